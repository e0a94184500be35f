import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { run } from '../../src/cli/main.ts';
import { wantsColor } from '../../src/cli/terminal.ts';
import { recordedTerminal } from '../support/terminal.ts';

const root = resolve(import.meta.dirname, '../..');

describe('the command line', () => {
  it('explains itself and every command', async () => {
    const terminal = recordedTerminal();
    assert.equal(await run(['--help'], terminal), 0);
    for (const command of [
      'controller',
      'ztunnel',
      'playground',
      'status',
      'why',
      'close-older',
      'policy',
      'completion',
    ]) {
      assert.match(terminal.out(), new RegExp(`^  ${command}\\b`, 'm'));
      const own = recordedTerminal();
      assert.equal(await run([command, '--help'], own), 0);
      assert.match(own.out(), new RegExp(`^Usage: culvert ${command}`));
    }
  });

  for (const [args, message] of [
    [['statsu'], /unknown command 'statsu'\s+\(Did you mean status\?\)/],
    [['ztunnel', '--drain-timout', '5s'], /Did you mean --drain-timeout\?/],
    [
      ['ztunnel', '--drian-timeout=5s'],
      /unknown option '--drian-timeout'\s+\(Did you mean --drain-timeout\?\)/,
    ],
    [['ztunnel', '--drain-timeout', '5'], /--drain-timeout: "5" is not a duration/],
    [['controller', '--config', '/nowhere.yaml'], /cannot read the configuration file/],
    [['status', '-o', 'yaml'], /Allowed choices are text, json/],
    [['why', 'shop/frontend'], /missing required argument 'destination'/],
    [['why', 'a', 'b', '--ztunnel', 'nonsense'], /neither host:port nor a socket file/],
    [['completion', 'fish'], /Allowed choices are bash, zsh/],
  ] as const)
    it(`answers \`${args.join(' ')}\` with exit code 2 and what is wrong`, async () => {
      const terminal = recordedTerminal();

      assert.equal(await run(args, terminal), 2);

      assert.match(terminal.err(), message);
      assert.equal(terminal.out(), '');
    });

  it('refuses an unknown variable of the environment', async () => {
    const terminal = recordedTerminal({ CULVERT_DRAIN_TIMOUT: '1s' });

    assert.equal(await run(['ztunnel'], terminal), 2);

    assert.match(
      terminal.err(),
      /unknown setting CULVERT_DRAIN_TIMOUT; did you mean CULVERT_DRAIN_TIMEOUT\?/,
    );
  });

  it('takes a setting of another process for no mistake', async () => {
    const terminal = recordedTerminal({
      CULVERT_PINS_DIRECTORY: '/x',
      CULVERT_MANIFESTS: 'x',
      CULVERT_SETTLE_TIME: 'x',
    });

    assert.equal(await run(['controller'], terminal), 2);

    assert.match(terminal.err(), /CULVERT_SETTLE_TIME: "x" is not a duration/);
  });

  it('runs under the bundled Node, whichever Node starts it', () => {
    const launched = spawnSync(join(root, 'bin', 'culvert.js'), ['--version'], { encoding: 'utf8' });

    assert.equal(launched.stdout.trim(), '0.1.0');
    assert.equal(launched.status, 0);
    assert.equal(spawnSync(join(root, 'bin', 'culvert.js'), ['nonsense']).status, 2);
  });

  it('runs a proxy with a small young generation, as the process that was started', async () => {
    const child = spawn(process.execPath, [join(root, 'bin', 'culvert.js'), 'ztunnel', '--nonsense'], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: {
        ...process.env,
        NODE_OPTIONS: '--import=data:text/javascript,process._rawDebug(process.pid,...process.execArgv)',
      },
    });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
    const [code] = (await once(child, 'close')) as [number];

    assert.equal(code, 2);
    assert.match(said, new RegExp(`^${child.pid} --max-semi-space-size=2$`, 'm'));
    assert.match(said, /unknown option '--nonsense'/);
  });

  describe('policy check', () => {
    let directory: string;
    before(async () => {
      directory = await mkdtemp(join(tmpdir(), 'culvert-policy-'));
    });
    after(() => rm(directory, { recursive: true }));

    const policy = (action: string): string => `apiVersion: security.culvert.dev/v1
kind: AuthorizationPolicy
metadata: { name: cart, namespace: shop }
spec:
  action: ${action}
  rules:
    - from:
        - source: { namespaces: [shop] }
`;

    it('is content with a good policy', async () => {
      const file = join(directory, 'good.yaml');
      await writeFile(file, policy('ALLOW'));
      const terminal = recordedTerminal();

      assert.equal(await run(['policy', 'check', file], terminal), 0);
      assert.match(terminal.out(), /^ok/);
    });

    it('names file, line and field of a bad one, and exits with 1', async () => {
      const file = join(directory, 'bad.yaml');
      await writeFile(file, policy('ALOW'));
      const terminal = recordedTerminal();

      assert.equal(await run(['policy', 'check', file], terminal), 1);
      assert.match(terminal.out(), /bad\.yaml:5:\d+: error: AuthorizationPolicy shop\/cart: spec\.action/);
    });

    it('answers machines in JSON', async () => {
      const file = join(directory, 'bad.yaml');
      await writeFile(file, policy('ALOW'));
      const terminal = recordedTerminal();

      assert.equal(await run(['policy', 'check', '-o', 'json', file], terminal), 1);
      const answer = JSON.parse(terminal.out()) as { ok: boolean; problems: { field: string }[] };
      assert.equal(answer.ok, false);
      assert.equal(answer.problems[0]?.field, 'spec.action');
    });
  });
});

describe('colour', () => {
  for (const [environment, isTerminal, wanted] of [
    [{}, true, true],
    [{}, false, false],
    [{ NO_COLOR: '1' }, true, false],
    [{ NO_COLOR: '' }, true, true],
    [{ FORCE_COLOR: '1' }, false, true],
    [{ NO_COLOR: '1', FORCE_COLOR: '1' }, true, false],
    [{ TERM: 'dumb' }, true, false],
  ] as const)
    it(`is ${wanted ? 'on' : 'off'} for ${JSON.stringify(environment)} ${isTerminal ? 'on a terminal' : 'in a pipe'}`, () => {
      assert.equal(wantsColor(environment, isTerminal), wanted);
    });
});
