import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { parseDuration } from '../../src/runtime/duration.ts';
import { RuntimeError } from '../../src/runtime/errors.ts';
import type { LoadedSettings, Setting, SettingsInput } from '../../src/runtime/settings.ts';
import { describeSettings, flagOf, loadSettings, setting, variableOf } from '../../src/runtime/settings.ts';
import { anyText, brokenText, check, checkAsync, growth, propertyTimeoutMs } from '../support/properties.ts';

const table = {
  hbonePort: setting.port(15_008, 'Port.'),
  drainTimeout: setting.duration('30s', 'Drain.'),
  adminAddress: setting.address('127.0.0.1:15000', 'Admin.'),
  ipv6: setting.boolean(true, 'IPv6.'),
  threads: setting.integer(0, { min: 0, max: 256 }, 'Threads.'),
  logFormat: setting.oneOf(['text', 'json'], 'text', 'Format.'),
  serverNames: setting.list(['localhost'], 'Names.'),
  tokenFile: setting.path('/token', 'Token.'),
};

const nothing: SettingsInput = { flags: {}, environment: {} };

describe('settings', () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'culvert-settings-'));
  });
  after(() => rm(directory, { recursive: true }));

  async function file(text: string): Promise<string> {
    const path = join(directory, 'culvert.yaml');
    await writeFile(path, text);
    return path;
  }

  it('have their defaults where nothing is said', async () => {
    const { values, sources } = await loadSettings(table, nothing);

    assert.equal(values.hbonePort, 15_008);
    assert.equal(values.drainTimeout, 30_000);
    assert.deepEqual(values.adminAddress, { host: '127.0.0.1', port: 15_000 });
    assert.equal(sources.hbonePort, 'default');
  });

  it('take the flag over the variable, the variable over the file, the file over the default', async () => {
    const input = {
      flags: { hbonePort: '1' },
      environment: { CULVERT_HBONE_PORT: '2', CULVERT_DRAIN_TIMEOUT: '2s' },
      file: await file('hbonePort: 3\ndrainTimeout: 3s\nthreads: 3\n'),
    };

    const { values, sources } = await loadSettings(table, input);

    assert.deepEqual(
      [values.hbonePort, values.drainTimeout, values.threads, values.ipv6],
      [1, 2000, 3, true],
    );
    assert.deepEqual(
      [sources.hbonePort, sources.drainTimeout, sources.threads, sources.ipv6],
      ['flag', 'environment', 'file', 'default'],
    );
  });

  it('have one name in three spellings', () => {
    assert.equal(flagOf('drainTimeout'), '--drain-timeout');
    assert.equal(variableOf('drainTimeout'), 'CULVERT_DRAIN_TIMEOUT');
  });

  for (const [name, text, message] of [
    ['hbonePort', '70000', '"70000" is not a port (0 to 65535)'],
    ['hbonePort', '15008x', '"15008x" is not a port (0 to 65535)'],
    ['drainTimeout', '5', '"5" is not a duration (500ms, 30s, 1h30m)'],
    ['drainTimeout', '-5s', '"-5s" is not a duration (500ms, 30s, 1h30m)'],
    ['adminAddress', 'localhost', '"localhost" is not an address (host:port, [ipv6]:port or *:port)'],
    ['adminAddress', '::1:15000', '"::1:15000" is not an address (host:port, [ipv6]:port or *:port)'],
    ['ipv6', 'yes', '"yes" is not true or false'],
    ['threads', '257', '"257" is not a whole number from 0 to 256'],
    ['threads', '1.5', '"1.5" is not a whole number from 0 to 256'],
    ['logFormat', 'xml', '"xml" is not one of text, json'],
  ] as const) {
    it(`refuse ${name} = ${text}, naming where it came from`, async () => {
      await assert.rejects(loadSettings(table, { ...nothing, flags: { [name]: text } }), {
        code: 'ERR_CULVERT_SETTING_VALUE',
        message: `${flagOf(name)}: ${message}`,
      });
      await assert.rejects(loadSettings(table, { ...nothing, environment: { [variableOf(name)]: text } }), {
        message: `${variableOf(name)}: ${message}`,
      });
    });
  }

  it('read addresses of both families, names and any', async () => {
    for (const [text, host] of [
      ['[::1]:15000', '::1'],
      ['*:15000', '*'],
      ['controller.mesh.svc:15000', 'controller.mesh.svc'],
    ] as const) {
      const { values } = await loadSettings(table, { ...nothing, flags: { adminAddress: text } });
      assert.deepEqual(values.adminAddress, { host, port: 15_000 });
    }
  });

  it('name file, line and column of a value of the wrong type', async () => {
    const path = await file('threads: 1\n\nhbonePort: [1, 2]\n');

    await assert.rejects(loadSettings(table, { ...nothing, file: path }), {
      code: 'ERR_CULVERT_SETTING_VALUE',
      message: `${path}:3:1: hbonePort: "1,2" is not a port (0 to 65535)`,
    });
  });

  it('suggest the nearest name for an unknown key of the file', async () => {
    const path = await file('hbonPort: 1\n');

    await assert.rejects(loadSettings(table, { ...nothing, file: path }), {
      code: 'ERR_CULVERT_SETTING_UNKNOWN',
      message: `${path}:1:1: unknown setting hbonPort; did you mean hbonePort?`,
    });
  });

  it('suggest the nearest name for an unknown variable', async () => {
    await assert.rejects(loadSettings(table, { ...nothing, environment: { CULVERT_DRIAN_TIMEOUT: '1s' } }), {
      code: 'ERR_CULVERT_SETTING_UNKNOWN',
      message: 'environment: unknown setting CULVERT_DRIAN_TIMEOUT; did you mean CULVERT_DRAIN_TIMEOUT?',
    });
  });

  it('suggest nothing where no name is near', async () => {
    await assert.rejects(loadSettings(table, { ...nothing, environment: { CULVERT_ZZZ: '1' } }), {
      message: 'environment: unknown setting CULVERT_ZZZ',
    });
  });

  it('leave alone what Kubernetes says of Services, and what other processes know', async () => {
    await loadSettings(table, {
      flags: {},
      environment: {
        CULVERT_CONTROLLER_SERVICE_HOST: '10.96.0.7',
        CULVERT_CONTROLLER_SERVICE_PORT_XDS: '15012',
        CULVERT_CONTROLLER_PORT: 'tcp://10.96.0.7:15012',
        CULVERT_CONTROLLER_PORT_15012_TCP_ADDR: '10.96.0.7',
        CULVERT_ELSEWHERE: '1',
      },
      foreignVariables: ['CULVERT_ELSEWHERE'],
    });
  });

  it('say what is wrong with a file that is not YAML, not a map, or not there', async () => {
    const broken = await file('a: [1\n');
    await assert.rejects(loadSettings(table, { ...nothing, file: broken }), {
      code: 'ERR_CULVERT_SETTING_FILE',
    });
    const list = await file('- 1\n');
    await assert.rejects(loadSettings(table, { ...nothing, file: list }), /expected a map of settings/);
    await assert.rejects(loadSettings(table, { ...nothing, file: join(directory, 'none') }), /ENOENT/);
  });

  it('can be shown with their sources', async () => {
    const loaded = await loadSettings(table, {
      ...nothing,
      flags: { drainTimeout: '90s', serverNames: 'a, b' },
    });

    const shown = describeSettings(table, loaded);

    assert.deepEqual(shown['drainTimeout'], { value: '1m30s', source: 'flag' });
    assert.deepEqual(shown['serverNames'], { value: 'a,b', source: 'flag' });
    assert.deepEqual(shown['adminAddress'], { value: '127.0.0.1:15000', source: 'default' });
  });

  it('say what is wrong with lists of lists, keys given twice, several documents and files without end', async () => {
    for (const [text, message] of [
      [
        'serverNames: [[a], b]\n',
        /1:1: serverNames: a list of lists or maps is not a list, separated by commas$/,
      ],
      ['threads: 1\nthreads: 2\n', /2:1: "threads" is given twice/],
      ['threads: 1\n---\nthreads: 2\n', /3:1: a second document/],
      [`a: ${'['.repeat(5_000)}`, /is nested deeper than 64 levels/],
      ['# no end in sight\n'.repeat(100_000), /is longer than 1048576 characters/],
      ['__proto__: { threads: 5 }\n', /unknown setting __proto__$/],
      [`? ${'k'.repeat(100_000)}\n: 1\n`, /unknown setting k{200}\.\.\.$/],
      [`threads: "${'9'.repeat(100_000)}"\n`, /"9{200}\.\.\." is not a whole number/],
    ] as const)
      await assert.rejects(loadSettings(table, { ...nothing, file: await file(text) }), (error) => {
        assert.ok(error instanceof RuntimeError, inspect(error));
        assert.match(error.message, message);
        return true;
      });
  }).timeout(60_000);

  it('know no zero below zero', () => {
    assert.ok(Object.is(setting.port(1, '').parse('-0'), 0));
  });

  it('listen on addresses that are some', () => {
    for (const text of ['[:::]:80', '[.]:80', '[abc]:80', '[1.2.3.4]:80', '[::1%lo]:80'])
      assert.equal(setting.address('*:1', '').parse(text), undefined, text);
  });

  it('are shown as what reads back as the same', () => {
    const texts = fc.array(fc.stringMatching(/^[^\s,][^,]{0,9}[^\s,]$/), { maxLength: 4 });
    const hosts = fc.oneof(fc.ipV6(), fc.ipV4(), fc.domain(), fc.constant('*'));
    const host = fc.record({ host: hosts, port: fc.nat(65_535) }, { noNullPrototype: true });
    for (const [one, values] of [
      [setting.port(1, ''), fc.nat(65_535)],
      [setting.integer(1, { min: -5, max: 2 ** 40 }, ''), fc.integer({ min: -5, max: 2 ** 40 })],
      [setting.duration('1s', ''), fc.nat(2 ** 40)],
      [setting.boolean(true, ''), fc.boolean()],
      [setting.address('*:1', ''), host],
      [setting.list([], ''), texts],
      [setting.path('', ''), fc.string().filter((text) => !text.includes('\0'))],
    ] as [Setting<unknown>, fc.Arbitrary<unknown>][])
      check(fc.property(values, (value) => assert.deepEqual(one.parse(one.format(value)), value)));
  });

  it('are taken or refused, whatever text is given for them', async () => {
    const name = fc.constantFrom(...Object.keys(table));
    const value = fc.oneof(
      anyText,
      brokenText(fc.constantFrom('1h30m', '[::1]:80', '*:80', '0x10', 'true', 'a,b', '/x')),
    );
    await checkAsync(
      fc.asyncProperty(name, value, async (one, text) => {
        const input = { ...nothing, flags: { [one]: text } };
        const outcome = await loadSettings(table, input).catch((error: unknown) => error);
        if (outcome instanceof Error) {
          assert.ok(outcome instanceof RuntimeError, inspect(outcome));
          assert.equal(outcome.code, 'ERR_CULVERT_SETTING_VALUE');
          return;
        }
        // What was taken is shown as text that is taken for the same.
        const loaded = outcome as LoadedSettings<typeof table>;
        const shown = describeSettings(table, loaded)[one]?.value ?? '';
        const again = await loadSettings(table, { ...nothing, flags: { [one]: shown } });
        assert.deepEqual(again.values, loaded.values);
      }),
      500,
    );
  }).timeout(propertyTimeoutMs());

  it('of a file are taken or refused with file and line', async () => {
    const good =
      'hbonePort: 15008\ndrainTimeout: 30s\nadminAddress: "127.0.0.1:15000"\nserverNames: [a, b]\nipv6: true\n';
    await checkAsync(
      fc.asyncProperty(fc.oneof(brokenText(fc.constant(good)), anyText), async (text) => {
        const path = await file(text);
        const outcome = await loadSettings(table, { ...nothing, file: path }).catch(
          (error: unknown) => error,
        );
        if (!(outcome instanceof Error)) return;
        assert.ok(outcome instanceof RuntimeError, inspect(outcome));
        assert.match(outcome.message, /culvert\.yaml:\d+:\d+: /);
      }),
      300,
    );
  }).timeout(propertyTimeoutMs());

  for (const unit of ['1', '1h', '1.', '1m', 'ms', '1ms', 'hd'])
    it(`that are durations take their time in proportion: ${unit}`, () => {
      assert.ok(growth(10_000, (n) => `${unit.repeat(n)}!`, parseDuration) < 24);
    });
});
