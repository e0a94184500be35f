// What happens when parts of the mesh go: never plaintext, and no connection lost that could live on.
import { setTimeout as delay } from 'node:timers/promises';
import type { StatusReport } from '../../ztunnel/status.ts';
import { adminJson } from '../admin.ts';
import type { Check } from './checklist.ts';
import { describe, expect, ms, until } from './expect.ts';
import type { Scenario } from './scenario.ts';
import { addressOf, curl, python, running } from './scenario.ts';
import { expectNoPlaintext } from './wire-checks.ts';

const renewalSeconds = 12;
/** Beyond the drain's own deadline of five seconds, on a busy machine. */
const drainMsMax = 15_000;

export function failureChecks(scenario: Scenario): readonly Check[] {
  return [
    { title: 'certificates are renewed under load', run: () => renewal(scenario) },
    { title: 'the mesh runs on without its controller', run: () => withoutController(scenario) },
    { title: 'kill -9 of a ztunnel: clients wait, none fails', run: () => survived(scenario) },
    { title: 'a ztunnel is replaced under load', run: () => replaced(scenario) },
    { title: 'without ztunnel and holder nothing gets out', run: () => killed(scenario) },
    { title: 'its successor adopts the pods', run: () => adopted(scenario) },
    { title: 'SIGTERM drains: open connections end well', run: () => drained(scenario) },
  ];
}

async function serialsOf({ mesh }: Scenario, node: string): Promise<ReadonlyMap<string, string>> {
  const { certificates } = await adminJson<StatusReport>(mesh.adminSocket(node), '/status');
  return new Map(certificates.map(({ identity, serial }) => [identity, serial ?? '']));
}

async function renewal(scenario: Scenario): Promise<string> {
  const { mesh } = scenario;
  const nodes = mesh.shop.nodes;
  const before = await Promise.all(nodes.map((node) => serialsOf(scenario, node)));
  const target = [addressOf(mesh, 'cart-2', '4'), '7000'];
  const load = await python(mesh, 'frontend', 'load.py', [...target, String(renewalSeconds)], {
    timeoutMs: (renewalSeconds + 10) * 1000,
  });
  const [total, failed, first] = load.stdout.trim().split(/ (.*?)(?: (.*))?$/);
  expect(load.code === 0 && Number(total) > 0, `the load: ${describe(load)}`);
  expect(failed === '0', `${failed ?? ''} of ${total ?? ''} connections failed: ${first ?? ''}`);
  const after = await Promise.all(nodes.map((node) => serialsOf(scenario, node)));
  const renewed = after.flatMap((serials, node) =>
    [...serials].filter(([identity, serial]) => before[node]?.get(identity) !== serial),
  );
  const identities = before.reduce((sum, serials) => sum + serials.size, 0);
  expect(renewed.length >= identities && identities > 0, `${renewed.length} of ${identities} were renewed`);
  return `${identities} certificates, 0 of ${total ?? ''} connections failed`;
}

async function withoutController({ mesh }: Scenario): Promise<string> {
  mesh.controller?.signal('SIGKILL');
  await mesh.controller?.exited;
  try {
    const result = await curl(mesh, 'frontend', 'http://cart/');
    expect(result.code === 0, `frontend to cart: ${describe(result)}`);
    const denied = await curl(mesh, 'reports', 'http://cart.shop/');
    expect(denied.code !== 0, 'reports may read the cart now');
  } finally {
    await mesh.startController();
  }
  for (const node of mesh.shop.nodes)
    await until(10_000, async () => {
      const { xds } = await adminJson<StatusReport>(mesh.adminSocket(node), '/status');
      return xds.connected ? { value: true } : { missing: `${node} has not come back to the controller` };
    });
  return 'allowed and denied as before; reconnected';
}

/** Its holder keeps the listeners: who connects meanwhile waits in them, and its successor is there within a second or so. */
async function survived(scenario: Scenario): Promise<string> {
  const { mesh } = scenario;
  const tap = await mesh.tap('node2');
  const started = performance.now();
  const pid = await mesh.killZtunnel('node1');
  await until(2000, () => Promise.resolve(isAlive(pid) ? { missing: 'the ztunnel lives' } : { value: true }));
  const attempts = await Promise.all(
    (['4', '6'] as const).flatMap((family) =>
      ['catalog', 'cart-2'].map(async (server) => {
        const address = addressOf(mesh, server, family);
        const url = `http://${family === '6' ? `[${address}]` : address}:8080/`;
        const result = await mesh.exec('frontend', ['curl', '-sS', '-g', '-m', '10', url]);
        expect(result.code === 0, `frontend to ${url}: ${describe(result)}`);
      }),
    ),
  );
  const tookMs = performance.now() - started;
  expect((await mesh.ztunnelPid('node1')) !== pid, 'no other ztunnel serves');
  return `${attempts.length} of ${attempts.length} served ${ms(tookMs)} after it; ${await expectNoPlaintext(scenario, tap)}`;
}

async function replaced({ mesh }: Scenario): Promise<string> {
  const before = await mesh.ztunnelPid('node2');
  const started = performance.now();
  const load = python(mesh, 'frontend', 'load.py', [addressOf(mesh, 'cart-2', '4'), '7000', '6'], {
    timeoutMs: 20_000,
  });
  mesh.replaceZtunnel('node2');
  await until(20_000, async () =>
    (await mesh.ztunnelPid('node2')) === before ? { missing: 'no successor serves' } : { value: true },
  );
  const tookMs = performance.now() - started;
  const [total, failed, first] = (await load).stdout.trim().split(/ (.*?)(?: (.*))?$/);
  expect(failed === '0' && Number(total) > 0, `${failed ?? ''} of ${total ?? ''} failed: ${first ?? ''}`);
  return `by a successor after ${ms(tookMs)}, 0 of ${total ?? ''} connections failed`;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function killed(scenario: Scenario): Promise<string> {
  const { mesh } = scenario;
  const tap = await mesh.tap('node2');
  mesh.ztunnel('node1').signal('SIGKILL');
  await mesh.ztunnel('node1').exited;
  const attempts = [
    ['frontend', 'http://catalog/'],
    ['frontend', `http://${addressOf(mesh, 'catalog', '4')}:8080/`],
    ['frontend', `http://[${addressOf(mesh, 'catalog', '6')}]:8080/`],
    ['frontend', `http://${addressOf(mesh, 'billing', '4')}:8080/`],
  ] as const;
  for (const [pod, url] of attempts) {
    const result = await mesh.exec(pod, ['curl', '-sS', '-g', '-m', '1', url]);
    expect(result.code !== 0 && result.stdout === '', `${pod} reached ${url} without a ztunnel`);
  }
  // From the other side: nothing may enter a pod whose ztunnel is gone, either.
  const inbound = await python(mesh, 'crawler', 'listen-first.py', [addressOf(mesh, 'ledger', '4'), '5432']);
  expect(inbound.stdout === '', 'the ledger answered without a ztunnel');
  return `${attempts.length + 1} attempts fail; ${await expectNoPlaintext(scenario, tap)}`;
}

async function adopted({ mesh }: Scenario): Promise<string> {
  const started = performance.now();
  await mesh.startZtunnel('node1');
  await mesh.handOver('node1');
  await until(5000, async () => {
    const result = await curl(mesh, 'frontend', 'http://cart/');
    return result.code === 0 ? { value: true } : { missing: `frontend to cart: ${describe(result)}` };
  });
  const tookMs = performance.now() - started;
  const { pods } = await adminJson<StatusReport>(mesh.adminSocket('node1'), '/status');
  const own = mesh.shop.pods.filter((pod) => pod.enrolled && pod.node === 'node1').length;
  const found = pods.filter((pod) => pod.captured && pod.adopted).length;
  expect(found === own, `${found} of ${own} pods were adopted`);
  return `${own} pods, serving again after ${ms(tookMs)}`;
}

async function drained({ mesh }: Scenario): Promise<string> {
  const open = running(mesh, 'frontend', 'linger.py', [addressOf(mesh, 'cart-2', '4'), '7000', '1']);
  await open.open;
  const ztunnel = mesh.ztunnel('node2');
  const asked = performance.now();
  ztunnel.signal('SIGTERM');
  const late = delay(drainMsMax).then(() => 'late' as const);
  const ended = await Promise.race([Promise.all([open.done, ztunnel.exited]), late]);
  if (ended === 'late') {
    const connection = open.ended() ? 'has ended' : 'is still open';
    ztunnel.signal('SIGKILL');
    throw new Error(`the ztunnel has not ended after ${drainMsMax / 1000} s; the connection ${connection}`);
  }
  const [result, code] = ended;
  const tookMs = performance.now() - asked;
  await mesh.startZtunnel('node2');
  await mesh.handOver('node2');
  expect(result.code === 0, `the open connection: ${describe(result)}`);
  expect(code === 0, `the ztunnel ended with code ${String(code)}`);
  return `finished in ${ms(tookMs)}, exit code 0`;
}
