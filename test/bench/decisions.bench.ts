// What does a decision cost in a mesh of 50,000 workloads, 5,000 services and 10,000 policies: warm, cold, and straight
// after something else, or its own policies, changed? One JavaScript thread, no engine, no mesh to start.
import { performance } from 'node:perf_hooks';
import type { IpAddress } from '../../src/mesh/address.ts';
import type { MeshUpdate } from '../../src/mesh/snapshot.ts';
import { MeshSnapshot } from '../../src/mesh/snapshot.ts';
import type { Workload } from '../../src/mesh/workload.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import type { DecisionContext } from '../../src/ztunnel/decide.ts';
import { decideConnect, decideOutbound, decidePlaintext } from '../../src/ztunnel/decide.ts';
import { LoadBalancer } from '../../src/ztunnel/load-balancer.ts';
import { connectEvent, outboundEvent, plaintextEvent } from '../support/engine-events.ts';
import {
  crowdedWorkload,
  exact,
  largeMesh,
  largest,
  longPolicyWorkload,
  namespaceAt,
  podIpAt,
  policyOf,
  serviceIpAt,
} from '../support/large-mesh.ts';

const local = 250; // pods of this node, all of whom speak and are spoken to
const mesh = largeMesh(largest);
const crowded = crowdedWorkload(500);
const long = longPolicyWorkload(5_000);
const special: MeshUpdate = {
  workloads: [crowded.workload, long.workload],
  policies: [...crowded.policies, ...long.policies],
};

const started = performance.now();
let snapshot = MeshSnapshot.empty().with(mesh).with(special);
line('first snapshot of everything, ms', performance.now() - started);

const picker = new LoadBalancer({ clock: systemClock });

function context(workload: Workload): DecisionContext {
  return {
    snapshot,
    workload,
    picker,
    hasIdentity: () => true,
    hbonePort: 15008,
    keepSourceAddress: true,
    nowMs: 0,
  };
}

const pod = (n: number): Workload => mesh.workloads[(n * 500) % mesh.workloads.length] as Workload;
const spiffe = (n: number): string => `spiffe://cluster.local/ns/${namespaceAt(n)}/sa/account-${n}`;

const questions: Readonly<Record<string, (n: number) => unknown>> = {
  'outbound to a service': (n) =>
    decideOutbound(
      context(pod(n)),
      outboundEvent(n, 'p', `${pod(n).addresses[0]}:40000`, `${serviceIpAt(n % 5000)}:80`),
    ),
  'outbound to a pod': (n) =>
    decideOutbound(
      context(pod(n)),
      outboundEvent(n, 'p', `${pod(n).addresses[0]}:40000`, `${podIpAt((n * 7) % 50_000)}:8080`),
    ),
  connect: (n) => connect(pod(n), n),
  plaintext: (n) =>
    decidePlaintext(
      context(pod(n)),
      plaintextEvent(n, 'p', `${podIpAt((n * 7) % 50_000)}:40000`, `${pod(n).addresses[0]}:8080`),
    ),
  'connect, selected by 500 policies': (n) => connect(crowded.workload, n % 500),
  'connect, a policy of 15,000 values': (n) => connect(long.workload, n % 500),
};

function connect(to: Workload, n: number): unknown {
  const local = to.addresses[0] as IpAddress;
  return decideConnect(
    context(to),
    connectEvent({
      id: n,
      podId: 'p',
      authority: `${local}:8080`,
      peerIdentity: spiffe(n % 5000),
      peer: { ip: podIpAt(n % 50_000), port: 50_000 },
      local: { ip: local, port: 15008 },
    }),
  );
}

let step = 0;
for (const [name, ask] of Object.entries(questions)) {
  line(`${name}: the very first, us`, time(1, ask) * 1e3);
  time(20_000, ask);
  line(`${name}: warm, us`, (time(20_000, ask) / 20_000) * 1e3);
  line(
    `${name}: each after another workload changed, us`,
    afterEach(ask, 200, () => changedWorkload()),
  );
  line(
    `${name}: each after another policy changed, us`,
    afterEach(ask, 200, () => changedPolicy('team-7')),
  );
  line(
    `${name}: each after a mesh-wide policy changed, us`,
    afterEach(ask, 100, () => changedPolicy('mesh-system')),
  );
}
const own = pod(0).namespace;
line(
  `connect: each after a policy of its own namespace changed, us`,
  afterEach(
    () => connect(pod(0), 7),
    100,
    () => changedPolicy(own),
  ),
);
line('one workload of 50,000 changed, us', (time(500, () => changedWorkload()) / 500) * 1e3);
line('one policy of 10,000 changed, us', (time(500, () => changedPolicy('team-7')) / 500) * 1e3);
line('one service of 5,000 changed, us', (time(200, () => changedService()) / 200) * 1e3);

/** Milliseconds of this thread's CPU: what else runs on the machine is left out. */
function time(count: number, ask: (n: number) => unknown): number {
  const from = process.threadCpuUsage();
  for (let n = 0; n < count; n += 1) ask((step = (step + 1) % local));
  const { user, system } = process.threadCpuUsage(from);
  return (user + system) / 1e3;
}

/** Microseconds of the first decision after a change, without the change; the median. */
function afterEach(ask: (n: number) => unknown, count: number, change: () => void): number {
  const samples: number[] = [];
  for (let n = 0; n < count; n += 1) {
    change();
    const from = performance.now();
    ask(n % local);
    samples.push(performance.now() - from);
  }
  return (samples.sort((a, b) => a - b)[count >> 1] ?? 0) * 1e3;
}

function changedWorkload(): void {
  const chosen = mesh.workloads[(step = (step + 7919) % mesh.workloads.length)] as Workload;
  snapshot = snapshot.with({ workloads: [{ ...chosen, healthy: true }] });
}

function changedPolicy(namespace: string): void {
  const scope = namespace === 'mesh-system' ? 'global' : 'namespace';
  const changed = policyOf(
    'changing',
    { principals: [exact(`x-${(step += 1)}`)] },
    { namespace, scope, action: 'deny' },
  );
  snapshot = snapshot.with({ policies: [changed] });
}

function changedService(): void {
  const chosen = mesh.services[(step = (step + 997) % mesh.services.length)];
  if (chosen !== undefined) snapshot = snapshot.with({ services: [{ ...chosen }] });
}

function line(name: string, value: number): void {
  process.stdout.write(`${name.padEnd(70)} ${value.toFixed(value < 100 ? 2 : 0).padStart(9)}\n`);
}
