// Private keys and tokens of a mesh that runs are in memory and in their own files, and nowhere else. Needs root.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { chmodSync, globSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ask } from '../../src/cli/admin-client.ts';
import { textsInMemory } from '../support/process-memory.ts';
import type { TestMesh } from '../support/mesh.ts';
import { requireRoot, sanitized, startTestMesh } from '../support/mesh.ts';
import { ztunnelPid } from '../support/ztunnel-pid.ts';

const port = 7001;
const nodes = ['node1', 'node2'] as const;

describe('the secrets of a mesh that runs', function () {
  this.timeout(sanitized ? 240_000 : 90_000);
  let mesh: TestMesh;

  before(async function () {
    requireRoot(this);
    // Cores are wanted: that there is none is not for want of permission.
    spawnSync('prlimit', ['--pid', String(process.pid), '--core=unlimited:unlimited']);
    mesh = await startTestMesh({
      pods: [
        { name: 'client', node: 'node1', captured: true },
        { name: 'server', node: 'node2', captured: true },
      ],
      certificateLifetime: '10s',
    });
    for (const socket of sockets()) await ask({ socketPath: socket }, '/logging?level=debug', 'POST');
    await mesh.pod('server').listen(port, 'echo');
  });
  after(async () => {
    await mesh?.close();
  });

  const sockets = (): readonly string[] => [
    ...nodes.map((node) => mesh.mesh.adminSocket(node)),
    mesh.mesh.controllerSocket,
  ];
  const pids = (): readonly number[] => [
    ...nodes.map((node) => ztunnelPid(mesh, node)),
    mesh.mesh.controller?.pid ?? 0,
  ];
  const directory = (): string => mesh.mesh.paths.directory;

  function secretFiles(): readonly string[] {
    return [
      ...globSync('**/ca-key.pem', { cwd: directory() }),
      ...globSync('token*', { cwd: directory() }),
    ].map((name) => join(directory(), name));
  }

  /** Each secret in the forms in which it could appear. */
  function secretTexts(): readonly string[] {
    const pem = ['-----BEGIN PRIVATE KEY-----', '-----END PRIVATE KEY-----'] as const;
    const keys = pids().flatMap((pid) => textsInMemory(pid, ...pem));
    const stored = secretFiles().map((path) => readFileSync(path, 'utf8'));
    const texts = [...keys, ...stored.filter((text) => text.includes('PRIVATE KEY'))];
    const scalars = texts.flatMap((text) => {
      try {
        const { d } = createPrivateKey(text).export({ format: 'jwk' });
        return [Buffer.from(d ?? '', 'base64url')];
      } catch {
        return []; // half overwritten
      }
    });
    assert.ok(scalars.length >= 3, `${scalars.length} keys are in memory`);
    const tokens = stored
      .filter((text) => !text.includes('PRIVATE KEY'))
      .flatMap((text) =>
        text.startsWith('[') ? [...text.matchAll(/"token": "([^"]+)"/g)].map((m) => m[1]) : text.trim(),
      )
      .filter((token) => token !== undefined);
    assert.ok(tokens.length >= 2, `${tokens.length} tokens`);
    return [
      ...tokens,
      ...texts.flatMap((text) =>
        text
          .split('\n')
          .filter((line) => /^[A-Za-z0-9+/=]{40,}$/.test(line))
          .slice(1),
      ),
      ...scalars.flatMap((scalar) => [
        ...(['hex', 'base64', 'base64url'] as const).map((form) => scalar.toString(form).replace(/=+$/, '')),
        [...scalar].join(','),
      ]),
    ];
  }

  /** Whatever somebody can see who is not allowed to read memory: by where it was seen. */
  async function everythingShown(): Promise<ReadonlyMap<string, string>> {
    const shown = new Map<string, string>();
    for (const socket of sockets()) {
      const index = (await ask({ socketPath: socket }, '/')).body;
      const paths = [...index.matchAll(/^GET +(\S+)/gm)].map((match) => match[1] ?? '');
      assert.ok(paths.includes('/config_dump') && paths.includes('/metrics'), index);
      const questions = [...paths, '/why?source=mesh/client&destination=mesh/server:7001'];
      for (const path of questions)
        shown.set(`${socket} ${path}`, (await ask({ socketPath: socket }, path)).body);
    }
    for (const pid of pids())
      for (const file of ['cmdline', 'environ', 'comm', 'status'])
        shown.set(`/proc/${pid}/${file}`, readFileSync(`/proc/${pid}/${file}`, 'latin1'));
    const secrets = secretFiles();
    for (const entry of readdirSync(directory(), { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      if (entry.isFile() && !secrets.includes(path)) shown.set(path, readFileSync(path, 'latin1'));
    }
    return shown;
  }

  it('are not in what it logs, answers, measures, or leaves in files', async () => {
    const before = await serials();
    const secrets = new Set(secretTexts());
    assert.equal((await mesh.pod('client').echo({ host: mesh.address('server', 'v4'), port })).outcome, 'ok');
    const deadline = performance.now() + 30_000;
    while ((await serials()) === before) assert.ok(performance.now() < deadline, 'certificates are renewed');
    for (const secret of secretTexts()) secrets.add(secret);

    const shown = await everythingShown();

    for (const [where, text] of shown)
      for (const secret of secrets) assert.ok(!text.includes(secret), `a secret is in ${where}`);
    for (const node of nodes)
      assert.match(shown.get(mesh.mesh.ztunnelLog(node)) ?? '', /"level":"debug"/, 'the log is at debug');
  });

  it('are in files and behind sockets for their owner alone', () => {
    for (const path of secretFiles()) assert.equal(statSync(path).mode & 0o077, 0, path);
    const files = readdirSync(directory(), { recursive: true, withFileTypes: true });
    const found = files
      .filter((entry) => entry.isSocket())
      .map((entry) => join(entry.parentPath, entry.name));
    assert.ok(found.length >= 5, found.join());
    for (const path of found) assert.equal(statSync(path).mode & 0o777, 0o600, path);
  });

  it('are not in a core: a ztunnel that aborts leaves none', async () => {
    const ztunnel = mesh.mesh.ztunnel('node1');
    const pid = ztunnelPid(mesh, 'node1');
    assert.match(readFileSync(`/proc/${pid}/limits`, 'utf8'), /Max core file size +0 +0/);

    process.kill(pid, 'SIGABRT');
    await ztunnel.close();

    const names = readdirSync(directory(), { recursive: true }).map(String);
    assert.deepEqual(
      names.filter((name) => /(^|\/)core/.test(name)),
      [],
    );
  });

  it('are refused when others can read them: the process does not start, and says why', async () => {
    const token = secretFiles().find((path) => path.endsWith('token-node1')) ?? '';
    chmodSync(token, 0o644);

    await assert.rejects(mesh.mesh.startZtunnel('node1'), new RegExp(`${token} has mode 0644: .*chmod 0600`));

    chmodSync(token, 0o600);
    await mesh.mesh.startZtunnel('node1');
  });

  async function serials(): Promise<string> {
    const { certificates } = await mesh.status('node1');
    return certificates.map(({ serial }) => serial).join();
  }
});
