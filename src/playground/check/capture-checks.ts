// The nodes' own account: which pods they hold, with which identities.
import { adminJson } from '../admin.ts';
import { parseAccessLine } from '../live/access-log.ts';
import { Tail } from '../live/tail.ts';
import type { Check } from './checklist.ts';
import { expect, until } from './expect.ts';
import type { Scenario } from './scenario.ts';
import type { NodeStatus } from './status.ts';

export function captureChecks({ mesh }: Scenario): readonly Check[] {
  return [
    {
      title: 'every enrolled pod is captured, no other is',
      run: async () => {
        const counts: string[] = [];
        for (const node of mesh.shop.nodes) {
          const expected = mesh.shop.pods.filter((pod) => pod.enrolled && pod.node === node);
          const pods = await until(5000, async () => {
            const status = await adminJson<NodeStatus>(mesh.adminSocket(node), '/status');
            const captured = status.pods.filter((pod) => pod.captured);
            return captured.length === expected.length
              ? { value: captured }
              : { missing: `${node} captured ${captured.length} of ${expected.length} pods` };
          });
          const faults = pods.flatMap((pod) => pod.faults.map((fault) => `${pod.name}: ${fault}`));
          expect(faults.length === 0, `${node}: ${faults.join('; ')}`);
          counts.push(`${pods.length} on ${node}`);
        }
        return counts.join(', ');
      },
    },
    {
      title: 'each identity has a certificate',
      run: async () => {
        let count = 0;
        for (const node of mesh.shop.nodes) {
          const status = await until(5000, async () => {
            const found = await adminJson<NodeStatus>(mesh.adminSocket(node), '/status');
            const missing = found.certificates.filter(({ state }) => state !== 'valid');
            return missing.length === 0
              ? { value: found }
              : { missing: missing.map(({ identity, state }) => `${identity} is ${state}`).join(', ') };
          });
          count += status.certificates.length;
        }
        expect(count > 0, 'there is none');
        return `${count} valid`;
      },
    },
  ];
}

/** Once traffic has run: the access logs name callers by identity and denials by policy. */
export function accountChecks({ mesh }: Scenario): readonly Check[] {
  return [
    {
      title: 'callers are known by identity, denials by policy',
      run: async () => {
        const seen: { from: string; identity: string; outcome: string; link: string; to: string }[] = [];
        for (const node of mesh.shop.nodes) {
          const lines = await new Tail(mesh.ztunnelLog(node)).read();
          seen.push(...lines.flatMap((line, position) => parseAccessLine(node, line, position) ?? []));
        }
        const has = (what: Partial<(typeof seen)[number]>): boolean =>
          seen.some((one) =>
            Object.entries(what).every(([key, value]) => one[key as keyof typeof one] === value),
          );
        const claims = [
          { from: 'frontend', identity: 'shop/frontend', link: 'mTLS', outcome: 'allowed' },
          { from: 'catalog', identity: 'shop/catalog', link: 'mTLS', to: 'ledger:5432', outcome: 'allowed' },
          { from: 'reports', identity: 'data/reports', link: 'mTLS', outcome: 'denied: cart-readers' },
          { from: 'frontend', link: 'plain', to: 'billing:8080', outcome: 'allowed' },
          { from: 'crawler', identity: '', link: 'plain', to: 'catalog:8080', outcome: 'allowed' },
        ];
        for (const claim of claims)
          expect(has(claim), `no line of the access logs has ${JSON.stringify(claim)}`);
        return `${claims.length} kinds among ${seen.length} lines`;
      },
    },
  ];
}
