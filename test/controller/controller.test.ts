// A whole controller on loopback, with clients as nodes have them.
import assert from 'node:assert/strict';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import type { ControllerOptions } from '../../src/controller/controller.ts';
import { Controller, adminRoutes } from '../../src/controller/controller.ts';
import { formatProblem } from '../../src/controller/problem.ts';
import { createSigningRequest } from '../../src/identity/csr.ts';
import { generateKey } from '../../src/identity/keys.ts';
import { readCertificate } from '../../src/identity/certificate.ts';
import { MeshSnapshot } from '../../src/mesh/snapshot.ts';
import type { PodSettings } from '../../src/mesh/pod-settings.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { CertificateClient } from '../../src/xds/certificate-client.ts';
import { XdsClient } from '../../src/xds/client.ts';
import type { Authenticator, Caller } from '../../src/xds/types.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { peerAuthenticationYaml, podYaml, policyYaml, settings } from './manifests.ts';

const deadlineMs = 10_000;
const tokens: Readonly<Record<string, Caller>> = {
  one: { namespace: 'root', serviceAccount: 'ztunnel', node: 'node1', name: 'root/ztunnel@node1' },
};
const authenticator: Authenticator = {
  authenticate: (token) => Promise.resolve(tokens[token]),
};

/** What a node has received, and a way to wait for it. */
class NodeState {
  mesh = MeshSnapshot.empty();
  readonly pods = new Map<string, PodSettings>();
  readonly #waiting = new Set<() => void>();

  readonly handlers = {
    onAddress: (update: Parameters<MeshSnapshot['with']>[0] & { readonly removed: readonly string[] }) =>
      this.#apply({ ...update, removedWorkloads: update.removed, removedServices: update.removed }),
    onPolicy: (update: Parameters<MeshSnapshot['with']>[0] & { readonly removed: readonly string[] }) =>
      this.#apply({ ...update, removedPolicies: update.removed }),
    onPods: (update: { readonly pods: readonly PodSettings[]; readonly removed: readonly string[] }) => {
      for (const uid of update.removed) this.pods.delete(uid);
      for (const pod of update.pods) this.pods.set(pod.uid, pod);
      this.#wake();
    },
    onSynced: () => this.#wake(),
  };

  async until(what: string, holds: () => boolean): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${what}: not within ${deadlineMs} ms`)), deadlineMs);
      const look = (): void => {
        if (!holds()) return;
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
      look();
    });
  }

  #apply(update: Parameters<MeshSnapshot['with']>[0]): void {
    this.mesh = this.mesh.with(update);
    this.#wake();
  }

  #wake(): void {
    for (const look of [...this.#waiting]) look();
  }
}

/** Fingerprint of the certificate that the server presents now. */
async function presented(controller: Controller): Promise<string> {
  return new Promise((resolve, reject) => {
    const { port } = controller.address;
    const socket = connectTls({ host: '127.0.0.1', port, ca: controller.roots(), ALPNProtocols: ['h2'] });
    socket.once('error', reject);
    socket.once('secureConnect', () => {
      resolve(socket.getPeerCertificate().fingerprint256);
      socket.destroy();
    });
  });
}

async function poll(what: string, holds: () => Promise<boolean>): Promise<void> {
  const endMs = Date.now() + deadlineMs;
  while (!(await holds())) if (Date.now() > endMs) throw new Error(`${what}: not within ${deadlineMs} ms`);
}

describe('a controller', () => {
  let root: string;
  const closing: (() => unknown)[] = [];

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'culvert-controller-'));
  });

  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
    await rm(root, { recursive: true, force: true });
  });

  async function write(name: string, text: string): Promise<void> {
    await writeFile(join(root, `${name}.new`), text);
    await rename(join(root, `${name}.new`), join(root, name));
  }

  async function start(more: Partial<ControllerOptions> = {}): Promise<Controller> {
    const controller = await Controller.start({
      source: { directory: root, quietMs: 5 },
      mesh: settings,
      listen: { host: '127.0.0.1', port: 0 },
      authority: { directory: join(root, '.ca') },
      serving: { names: ['localhost', '127.0.0.1'] },
      authenticator,
      logger: silentLogger,
      ...more,
    });
    closing.push(() => controller.close(0));
    return controller;
  }

  function channel(controller: Controller, token = 'one') {
    return {
      address: `127.0.0.1:${controller.address.port}`,
      roots: () => controller.roots(),
      token: () => token,
    };
  }

  function connect(controller: Controller): NodeState {
    const state = new NodeState();
    const client = new XdsClient({
      ...channel(controller),
      node: { kind: 'ztunnel', podName: 'ztunnel-1', namespace: 'root', nodeName: 'node1' },
      handlers: state.handlers,
      logger: silentLogger,
      backoffMs: { min: 10, max: 50 },
    });
    client.start();
    closing.push(() => client.close());
    return state;
  }

  function request(controller: Controller): CertificateClient {
    const client = new CertificateClient(channel(controller));
    closing.push(() => client.close());
    return client;
  }

  async function certificateFor(client: CertificateClient, account: string): Promise<readonly string[]> {
    const identity = `spiffe://cluster.local/ns/shop/sa/${account}`;
    const csr = createSigningRequest({ uris: [identity] }, await generateKey());
    return client.requestCertificate(csr, { validityMs: 3_600_000, impersonatedIdentity: identity });
  }

  it('brings what the files say to a node, and every change of it', async () => {
    await write(
      'pods.yaml',
      podYaml('a', '10.0.0.1', { labels: 'app: a' }) + podYaml('b', '10.0.0.2', { spec: 'nodeName: node2' }),
    );
    await write(
      'policy.yaml',
      policyYaml('p', '{ selector: { matchLabels: { app: a } }, action: DENY, rules: [{}] }'),
    );
    const controller = await start();
    const node = connect(controller);

    await node.until(
      'first',
      () => node.mesh.workloads.size === 2 && node.mesh.policies.size === 1 && node.pods.size === 1,
    );
    const a = node.mesh.workload('test//Pod/shop/a');
    assert.ok(a);
    assert.deepEqual(
      node.mesh.policiesFor(a).map(({ name }) => name),
      ['p'],
    );
    assert.deepEqual([...node.pods.keys()], ['test//Pod/shop/a']);

    await write('policy.yaml', peerAuthenticationYaml('default', 'shop', '{ mtls: { mode: STRICT } }'));
    await node.until('changed', () => node.mesh.policies.has('root/istio_converted_static_strict'));
    await node.until('removed', () => !node.mesh.policies.has('shop/p'));
    await rm(join(root, 'pods.yaml'));
    await node.until('gone', () => node.mesh.workloads.size === 0 && node.pods.size === 0);
  });

  it('starts with a broken file, says which, and serves once it is mended', async () => {
    await write('a.yaml', podYaml('a', '10.0.0.1'));
    await write('b.yaml', 'kind: [');
    const controller = await start();
    const node = connect(controller);
    assert.equal(controller.ready(), false);
    assert.deepEqual(controller.pending(), ['manifests that can be read: b.yaml']);
    assert.match(controller.problems().map(formatProblem).join('\n'), /^b\.yaml:1:\d+: error: /);
    assert.equal(node.mesh.workloads.size, 0);

    await write('b.yaml', podYaml('b', '10.0.0.2'));
    await node.until('mended', () => node.mesh.workloads.size === 2);

    assert.equal(controller.ready(), true);
    assert.deepEqual(controller.pending(), []);
  });

  it('denies by a policy that becomes wrong, and leaves the rest as it is', async () => {
    await write('pods.yaml', podYaml('a', '10.0.0.1'));
    await write('p.yaml', policyYaml('p', '{ action: ALLOW, rules: [{}] }'));
    const controller = await start();
    const node = connect(controller);
    await node.until('first', () => node.mesh.policies.get('shop/p')?.action === 'allow');

    await write('p.yaml', policyYaml('p', '{ action: ALLOW, rules: [{ form: [] }] }'));
    await node.until('denied', () => node.mesh.policies.get('shop/p')?.action === 'deny');

    assert.match(
      controller.problems().map(formatProblem).join('\n'),
      /^p\.yaml:6:\d+: error: AuthorizationPolicy shop\/p: spec\.rules\[0\]\.form/,
    );
    assert.equal(node.mesh.workloads.size, 1);
  });

  it("issues the identities of the asking node's pods, while they are there", async () => {
    await write(
      'pods.yaml',
      podYaml('a', '10.0.0.1') + podYaml('b', '10.0.0.2', { spec: 'nodeName: node2' }),
    );
    const controller = await start();
    const node = connect(controller);
    const client = request(controller);

    const [leaf = ''] = await certificateFor(client, 'a');
    assert.deepEqual(readCertificate(leaf).names.uris, ['spiffe://cluster.local/ns/shop/sa/a']);
    await assert.rejects(certificateFor(client, 'b'), /may not have/);

    await node.until('first', () => node.pods.size === 1);
    await write('pods.yaml', podYaml('b', '10.0.0.2', { spec: 'nodeName: node2' }));
    await node.until('gone', () => node.pods.size === 0);
    await assert.rejects(certificateFor(client, 'a'), /may not have/);
  });

  it('keeps its root over a restart', async () => {
    const first = await start();
    const roots = first.roots();
    await first.close(0);

    const second = await start();

    assert.equal(second.roots(), roots);
  });

  it('presents a new certificate of its own before the old one ends', async () => {
    await write('pods.yaml', podYaml('a', '10.0.0.1'));
    const clock = new FakeClock(Date.now());
    const controller = await start({ clock, serving: { names: ['127.0.0.1'], validityMs: 60_000 } });
    const before = await presented(controller);

    clock.advance(31_000);

    await poll('renewed', async () => (await presented(controller)) !== before);
  });

  it('tells whoever measures how long a publication took and what is wrong', async () => {
    await write('p.yaml', policyYaml('p', '{ action: AUDIT }') + policyYaml('q', '{ action: NONE }'));
    const seen: { errors: number; warnings: number; changed: number }[] = [];

    await start({ observer: { published: (step) => seen.push(step) } });

    assert.deepEqual(
      seen.map(({ errors, warnings, changed }) => [errors, warnings, changed]),
      [[1, 1, 1]],
    );
  });

  it('reports itself on the admin endpoint', async () => {
    await write('pods.yaml', podYaml('a', '10.0.0.1') + policyYaml('q', '{ action: NONE }'));
    const controller = await start();
    const get = async (path: string): Promise<unknown> => {
      const route = adminRoutes(controller).find((candidate) => candidate.path === path);
      assert.ok(route);
      const answer = await route.handle({
        method: 'GET',
        path,
        query: new URLSearchParams(),
        headers: {},
        body: Buffer.alloc(0),
      });
      return JSON.parse(answer.body);
    };

    const status = (await get('/status')) as {
      ready: boolean;
      objects: Record<string, number>;
      problems: string[];
      roots: unknown[];
    };
    const dump = (await get('/config_dump')) as {
      workloads: { uid: string }[];
      policies: { name: string }[];
    };

    assert.deepEqual(
      [status.ready, status.objects['Pod'], status.objects['broken'], status.roots.length],
      [true, 1, 1, 1],
    );
    assert.match(
      status.problems[0] ?? '',
      /^pods\.yaml:\d+:\d+: error: AuthorizationPolicy shop\/q: spec\.action/,
    );
    assert.deepEqual([dump.workloads[0]?.uid, dump.policies[0]?.name], ['test//Pod/shop/a', 'q']);
  });

  it('does not start without a directory, and leaves nothing open', async () => {
    await assert.rejects(start({ source: { directory: join(root, 'none') } }), {
      code: 'ERR_CULVERT_CONTROLLER_SOURCE',
    });
  });

  it('does not start on an address that is taken', async () => {
    const first = await start();

    await assert.rejects(start({ listen: { host: '127.0.0.1', port: first.address.port } }), {
      code: 'ERR_CULVERT_XDS_LISTEN',
    });
  });
});
