import { performance } from 'node:perf_hooks';
import type { MeshUpdate } from '../../../src/mesh/snapshot.ts';
import { MeshSnapshot } from '../../../src/mesh/snapshot.ts';
import type { Workload } from '../../../src/mesh/workload.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import type { DecisionContext } from '../../../src/ztunnel/decide.ts';
import { decideConnect, decideOutbound, decidePlaintext } from '../../../src/ztunnel/decide.ts';
import { LoadBalancer } from '../../../src/ztunnel/load-balancer.ts';
import { connectEvent, outboundEvent, plaintextEvent } from '../../support/engine-events.ts';
import {
  crowdedWorkload,
  exact,
  largeMesh,
  largest,
  longPolicyWorkload,
  podIpAt,
  policyOf,
  principalAt,
  serviceIpAt,
} from '../../support/large-mesh.ts';
import type { Question, Trial } from '../question.ts';
import type { Target } from '../statistics.ts';

const situations = [
  'to a service',
  'to a pod',
  'CONNECT',
  'plaintext',
  '500 policies',
  '15,000 values',
] as const;
type Situation = (typeof situations)[number];

const most = (of: Situation, measure: string, what: string): Target => ({
  name: `${of}: ${what}, us`,
  measure,
  of,
  most: 50,
});

export const question: Question = {
  name: 'decisions',
  title: 'What does a decision cost in a large mesh?',
  how:
    '50,000 workloads, 5,000 services, 10,000 policies. Outbound to a service, to a pod; CONNECT, plaintext; CONNECT to a pod that 500 policies select, and under a policy of 15,000 values. CPU time of the JavaScript thread, for 20,000 decisions, and the ' +
    'time of the first decision after each of 200 changes, which pays for what the change invalidated (median).',
  contestants: situations,
  measures: [
    { key: 'warm', name: 'warm', unit: 'us', better: 'less' },
    { key: 'workload', name: 'after another workload changed', unit: 'us', better: 'less' },
    { key: 'policy', name: 'after another policy changed', unit: 'us', better: 'less' },
    { key: 'global', name: 'after a mesh-wide policy changed', unit: 'us', better: 'less' },
    { key: 'snapshot', name: 'the change of a workload itself', unit: 'us', better: 'less' },
  ],
  targets: situations.flatMap((situation) => [
    most(situation, 'warm', 'warm'),
    most(situation, 'workload', 'after a change'),
  ]),
  rounds: 3,
  start: () => Promise.resolve(new LargeNode()),
};

class LargeNode implements Trial {
  readonly #mesh = largeMesh(largest);
  readonly #crowded = crowdedWorkload(500);
  readonly #long = longPolicyWorkload(5_000);
  readonly #picker = new LoadBalancer({ clock: systemClock });
  #snapshot: MeshSnapshot;
  #step = 0;

  constructor() {
    const special: MeshUpdate = {
      workloads: [this.#crowded.workload, this.#long.workload],
      policies: [...this.#crowded.policies, ...this.#long.policies],
    };
    this.#snapshot = MeshSnapshot.empty().with(this.#mesh).with(special);
  }

  measure(situation: string): Promise<Readonly<Record<string, number>>> {
    const decide = (n: number): void => this.#decide(situation as Situation, n);
    cpuMs(5_000, decide);
    return Promise.resolve({
      warm: (cpuMs(20_000, decide) / 20_000) * 1e3,
      workload: this.#afterEach(decide, () => this.#changeWorkload()),
      policy: this.#afterEach(decide, () => this.#changePolicy('team-7')),
      global: this.#afterEach(decide, () => this.#changePolicy('mesh-system')),
      snapshot: (cpuMs(500, () => this.#changeWorkload()) / 500) * 1e3,
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #decide(situation: Situation, n: number): void {
    // 250 pods are of this node.
    const pod = this.#mesh.workloads[((n % 250) * 200) % this.#mesh.workloads.length];
    if (pod === undefined) return;
    const own = pod.addresses[0] ?? '';
    const other = podIpAt((n * 7) % this.#mesh.workloads.length);
    switch (situation) {
      case 'to a service': {
        const service = serviceIpAt(n % this.#mesh.services.length);
        decideOutbound(this.#context(pod), outboundEvent(n, 'p', `${own}:40000`, `${service}:80`));
        return;
      }
      case 'to a pod':
        decideOutbound(this.#context(pod), outboundEvent(n, 'p', `${own}:40000`, `${other}:8080`));
        return;
      case 'plaintext':
        decidePlaintext(this.#context(pod), plaintextEvent(n, 'p', `${other}:40000`, `${own}:8080`));
        return;
      case 'CONNECT':
        return this.#connect(pod, n);
      case '500 policies':
        return this.#connect(this.#crowded.workload, n);
      case '15,000 values':
        return this.#connect(this.#long.workload, n);
    }
  }

  #connect(to: Workload, n: number): void {
    const local = to.addresses[0] ?? podIpAt(0);
    const peer = n % 500;
    const event = connectEvent({
      id: n,
      podId: 'p',
      authority: `${local}:8080`,
      peerIdentity: `spiffe://${principalAt(peer)}`,
      peer: { ip: podIpAt(peer), port: 50_000 },
      local: { ip: local, port: 15008 },
    });
    decideConnect(this.#context(to), event);
  }

  #context(workload: Workload): DecisionContext {
    return {
      snapshot: this.#snapshot,
      workload,
      picker: this.#picker,
      hasIdentity: () => true,
      hbonePort: 15008,
      keepSourceAddress: true,
      nowMs: 0,
    };
  }

  /** Microseconds of the first decision after a change, the change left out; the median. */
  #afterEach(decide: (n: number) => void, change: () => void): number {
    const samples = Array.from({ length: 200 }, (_, n) => {
      change();
      const from = performance.now();
      decide(n);
      return performance.now() - from;
    });
    return (samples.sort((a, b) => a - b)[100] ?? 0) * 1e3;
  }

  #changeWorkload(): void {
    const { workloads } = this.#mesh;
    const chosen = workloads[(this.#step = (this.#step + 7919) % workloads.length)];
    if (chosen !== undefined) this.#snapshot = this.#snapshot.with({ workloads: [{ ...chosen }] });
  }

  #changePolicy(namespace: string): void {
    const scope = namespace === 'mesh-system' ? 'global' : 'namespace';
    const match = { principals: [exact(`x-${(this.#step += 1)}`)] };
    const changed = policyOf('changing', match, { namespace, scope, action: 'deny' });
    this.#snapshot = this.#snapshot.with({ policies: [changed] });
  }
}

/** Milliseconds of this thread's CPU: what else runs on the machine is left out. */
function cpuMs(count: number, work: (n: number) => void): number {
  const from = process.threadCpuUsage();
  for (let n = 0; n < count; n += 1) work(n);
  const { user, system } = process.threadCpuUsage(from);
  return (user + system) / 1e3;
}
