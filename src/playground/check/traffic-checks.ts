// Unmodified programs talk through the mesh: who may, in both families, and who may not.
import type { Check } from './checklist.ts';
import { describe, expect, ms, until } from './expect.ts';
import type { Family, Scenario } from './scenario.ts';
import { addressOf, curl, families, python } from './scenario.ts';

const requests = 10;
const iperfBytes = 20_000_000;

export function trafficChecks(scenario: Scenario): readonly Check[] {
  return [
    { title: 'programs are up', run: () => programsAreUp(scenario) },
    { title: 'curl of a service reaches both endpoints', run: () => forFamilies((f) => httpOf(scenario, f)) },
    {
      title: 'a raw TCP echo, client first, half-closed',
      run: () => forFamilies((f) => echoOf(scenario, f)),
    },
    { title: 'a server that speaks first', run: () => forFamilies((f) => greetingOf(scenario, f)) },
    { title: 'iperf3 streams', run: () => forFamilies((f) => iperfOf(scenario, f)) },
    { title: 'a caller no policy allows is denied', run: () => forFamilies((f) => deniedOf(scenario, f)) },
    {
      title: 'plain TCP from the mesh to a pod outside',
      run: () => forFamilies((f) => toOutside(scenario, f)),
    },
    { title: 'PERMISSIVE lets plain TCP in', run: () => forFamilies((f) => fromOutside(scenario, f)) },
    { title: 'STRICT refuses plain TCP', run: () => forFamilies((f) => refusedOutside(scenario, f)) },
  ];
}

async function forFamilies(check: (family: Family) => Promise<string>): Promise<string> {
  const figures: string[] = [];
  for (const family of families) figures.push(`IPv${family} ${await check(family)}`);
  return figures.join(', ');
}

/** Each server answers a client in its own pod: that traffic is not the mesh's. */
async function programsAreUp({ mesh }: Scenario): Promise<string> {
  const servers = [
    ['cart-1', 8080],
    ['cart-2', 8080],
    ['cart-2', 7000],
    ['cart-2', 5201],
    ['catalog', 8080],
    ['ledger', 5432],
    ['billing', 8080],
  ] as const;
  const started = performance.now();
  for (const [pod, port] of servers)
    await until(10_000, async () => {
      const code = `import socket; socket.create_connection(("127.0.0.1", ${port}), timeout=1)`;
      const result = await mesh.exec(pod, ['python3', '-c', code]);
      return result.code === 0 ? { value: true } : { missing: `${pod}:${port}: ${describe(result)}` };
    });
  return `${servers.length} servers after ${ms(performance.now() - started)}`;
}

async function httpOf({ mesh, marker }: Scenario, family: Family): Promise<string> {
  const byPod = new Map<string, number>();
  for (let request = 0; request < requests; request += 1) {
    const result = await curl(mesh, 'frontend', 'http://cart/', family);
    const pod = /^hello from (\S+), /.exec(result.stdout)?.[1];
    expect(
      result.code === 0 && pod !== undefined && result.stdout.includes(marker),
      `IPv${family} request ${request + 1}: ${describe(result)}`,
    );
    byPod.set(pod, (byPod.get(pod) ?? 0) + 1);
  }
  // Weighted random: ten requests all to one of two endpoints would happen once in five hundred runs.
  for (let more = 0; more < 30 && byPod.size < 2; more += 1) {
    const pod = /^hello from (\S+), /.exec(
      (await curl(mesh, 'frontend', 'http://cart/', family)).stdout,
    )?.[1];
    if (pod !== undefined) byPod.set(pod, (byPod.get(pod) ?? 0) + 1);
  }
  expect(byPod.size === 2, `IPv${family}: only ${[...byPod.keys()].join()} answered`);
  return [...byPod]
    .sort()
    .map(([pod, count]) => `${pod} ${count}`)
    .join(' ');
}

async function echoOf({ mesh, marker }: Scenario, family: Family): Promise<string> {
  const target = [addressOf(mesh, 'cart-2', family), '7000'];
  const result = await python(mesh, 'frontend', 'say.py', [...target, marker]);
  expect(result.stdout === `${marker}\n`, `IPv${family}: ${describe(result)}`);
  return 'ok';
}

async function greetingOf({ mesh, marker }: Scenario, family: Family): Promise<string> {
  const target = [addressOf(mesh, 'ledger', family), '5432'];
  const result = await python(mesh, 'catalog', 'listen-first.py', target);
  expect(result.stdout.includes(marker), `IPv${family}: ${describe(result)}`);
  return 'ok';
}

async function iperfOf({ mesh }: Scenario, family: Family): Promise<string> {
  const target = addressOf(mesh, 'cart-2', family);
  const args = ['-c', target, '-p', '5201', '-n', String(iperfBytes), '-J', '--connect-timeout', '3000'];
  const result = await mesh.exec('frontend', ['iperf3', ...args], { timeoutMs: 20_000 });
  expect(result.code === 0, `IPv${family}: ${describe(result)}`);
  const report = JSON.parse(result.stdout) as {
    end: { sum_received: { bytes: number; bits_per_second: number } };
  };
  const { bytes, bits_per_second: bps } = report.end.sum_received;
  // Its server stops counting when the client has handed over the last byte; some are under way then.
  expect(bytes >= iperfBytes / 2, `IPv${family}: only ${bytes} of ${iperfBytes} bytes arrived`);
  return `${(bps / 1e9).toFixed(1)} Gbit/s`;
}

async function deniedOf({ mesh }: Scenario, family: Family): Promise<string> {
  for (const caller of ['reports', 'catalog']) {
    const result = await curl(mesh, caller, 'http://cart.shop/', family);
    expect(result.code !== 0 && result.stdout === '', `IPv${family}: ${caller} got ${describe(result)}`);
  }
  return 'ok';
}

async function toOutside({ mesh }: Scenario, family: Family): Promise<string> {
  const result = await curl(mesh, 'frontend', 'http://billing.pod:8080/', family);
  expect(result.stdout.startsWith('hello from billing'), `IPv${family}: ${describe(result)}`);
  return 'ok';
}

async function fromOutside({ mesh }: Scenario, family: Family): Promise<string> {
  const result = await curl(mesh, 'crawler', 'http://catalog.pod:8080/', family);
  expect(result.stdout.startsWith('hello from catalog'), `IPv${family}: ${describe(result)}`);
  return 'ok';
}

async function refusedOutside({ mesh }: Scenario, family: Family): Promise<string> {
  const target = [addressOf(mesh, 'ledger', family), '5432'];
  const result = await python(mesh, 'crawler', 'listen-first.py', target);
  expect(result.stdout === '', `IPv${family}: the ledger said ${result.stdout.trim()}`);
  return 'ok';
}
