// A controller that holds the key of the mesh's root: nothing shows its memory, alive or dead, unless that is asked for.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { requireRoot } from '../support/mesh.ts';

const root = resolve(import.meta.dirname, '../..');
const nobody = 65534;

describe('the memory of a process that holds keys', function () {
  this.timeout(40_000);
  let directory: string;
  let child: ChildProcess | undefined;
  let log = '';

  before(function () {
    requireRoot(this);
  });
  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'culvert-private-'));
    chownSync(directory, nobody, nobody);
    log = '';
    for (const name of ['manifests', 'run', 'ca']) {
      await mkdir(join(directory, name), { mode: 0o700 });
      chownSync(join(directory, name), nobody, nobody);
    }
    await writeFile(join(directory, 'tokens.json'), '[]', { mode: 0o600 });
    chownSync(join(directory, 'tokens.json'), nobody, nobody);
  });
  afterEach(async () => {
    if (child?.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    rmSync(directory, { recursive: true, force: true });
  });

  /** Starts a controller as user nobody in a directory where cores would be written; resolves when it runs. */
  async function start(...flags: string[]): Promise<ChildProcess> {
    const at = (name: string): string => join(directory, name);
    const command = [
      ...['prlimit', '--core=unlimited'],
      ...['setpriv', `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups', '--'],
      ...[process.execPath, join(root, 'bin', 'culvert.js'), 'controller'],
      ...['--manifests', at('manifests'), '--ca-directory', at('ca'), '--run-directory', at('run')],
      ...['--tokens-file', at('tokens.json'), '--xds-address', '127.0.0.1:0'],
      ...['--metrics-address', '127.0.0.1:0', '--readiness-address', '127.0.0.1:0'],
      ...['--admin-address', '127.0.0.1:0', '--log-format', 'json', ...flags],
    ];
    const started = spawn(command[0] ?? '', command.slice(1), {
      cwd: directory,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    child = started;
    started.stderr.setEncoding('utf8').on('data', (text: string) => (log += text));
    while (!log.includes('controller runs')) {
      assert.equal(started.exitCode, null, log);
      await Promise.race([once(started.stderr, 'data'), once(started, 'exit')]);
    }
    return started;
  }

  /** What another process of the same user gets that opens the memory of this one. */
  function seenBySameUser(pid: number | undefined): string {
    const flags = [`--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups', '--'];
    const opened = spawnSync('setpriv', [...flags, 'sh', '-c', `exec 3< /proc/${pid}/mem`]);
    return opened.status === 0 ? 'readable' : opened.stderr.toString();
  }

  async function dies(process: ChildProcess): Promise<readonly string[]> {
    process.kill('SIGABRT');
    if (process.signalCode === null) await once(process, 'exit');
    assert.equal(process.signalCode, 'SIGABRT');
    return readdirSync(directory).filter((name) => name.startsWith('core'));
  }

  it('cannot be read by another process of the same user, and no core is left when it dies', async () => {
    const controller = await start();

    assert.match(readFileSync(`/proc/${controller.pid}/limits`, 'utf8'), /Max core file size\s+0\s+0/);
    assert.match(seenBySameUser(controller.pid), /Permission denied/);
    assert.deepEqual(await dies(controller), []);
  });

  it('is not shown by the inspector: SIGUSR1 opens nothing', async () => {
    const controller = await start();

    controller.kill('SIGUSR1');
    while (!log.includes('the inspector stays closed')) await once(controller.stderr ?? controller, 'data');

    assert.ok(!log.includes('Debugger listening'), log);
  });

  it('can be read with the setting debugging, which is how to look at a core', async function () {
    const scope = '/proc/sys/kernel/yama/ptrace_scope';
    const strict = spawnSync('cat', [scope]).stdout.toString().trim();
    const controller = await start('--debugging', 'true');

    if (strict === '' || strict === '0') assert.equal(seenBySameUser(controller.pid), 'readable');
    assert.match(readFileSync(`/proc/${controller.pid}/limits`, 'utf8'), /Max core file size\s+unlimited/);
    const cores = await dies(controller);
    if (/^core/.test(readFileSync('/proc/sys/kernel/core_pattern', 'utf8'))) assert.equal(cores.length, 1);
  });
});
