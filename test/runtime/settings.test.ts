import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SettingsInput } from '../../src/runtime/settings.ts';
import { describeSettings, flagOf, loadSettings, setting, variableOf } from '../../src/runtime/settings.ts';

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
});
