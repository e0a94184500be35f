// The nodes' own account: which pods they hold, with which identities.
import type { StatusReport } from '../../ztunnel/status.ts';
import { adminJson } from '../admin.ts';
import type { ObservedConnection } from '../live/flows.ts';
import { observeMesh } from '../live/observe.ts';
import type { Check } from './checklist.ts';
import { expect, until } from './expect.ts';
import type { Scenario } from './scenario.ts';

export function captureChecks({ mesh }: Scenario): readonly Check[] {
  return [
    {
      title: 'every enrolled pod is captured, no other is',
      run: async () => {
        const counts: string[] = [];
        for (const node of mesh.shop.nodes) {
          const expected = mesh.shop.pods.filter((pod) => pod.enrolled && pod.node === node);
          const pods = await until(5000, async () => {
            const status = await adminJson<StatusReport>(mesh.adminSocket(node), '/status');
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
            const found = await adminJson<StatusReport>(mesh.adminSocket(node), '/status');
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

type Claim = { readonly [Key in keyof ObservedConnection]?: ObservedConnection[Key] };

/** Once traffic has run: the nodes name callers by identity and denials by policy. */
export function accountChecks({ mesh }: Scenario): readonly Check[] {
  return [
    {
      title: 'callers are known by identity, denials by policy',
      run: async () => {
        const seen = await observeMesh(mesh);
        const has = (what: Claim): boolean =>
          seen.some((one) =>
            Object.entries(what).every(([key, value]) => one[key as keyof typeof one] === value),
          );
        const claims: readonly Claim[] = [
          {
            from: 'frontend',
            identity: 'shop/frontend',
            link: 'mTLS',
            to: 'cart-2:8080',
            outcome: 'allowed',
          },
          {
            from: 'frontend',
            identity: 'shop/frontend',
            link: mesh.sameNode === 'direct' ? 'node' : 'mTLS', // one node has both
            to: 'cart-1:8080',
            outcome: 'allowed',
          },
          { from: 'catalog', identity: 'shop/catalog', link: 'mTLS', to: 'ledger:5432', outcome: 'allowed' },
          { from: 'reports', identity: 'data/reports', link: 'mTLS', outcome: 'denied: cart-readers' },
          { from: 'frontend', link: 'plain', to: 'billing:8080', outcome: 'allowed' },
          { from: 'crawler', identity: '', link: 'plain', to: 'catalog:8080', outcome: 'allowed' },
        ];
        for (const claim of claims) expect(has(claim), `no connection is listed as ${JSON.stringify(claim)}`);
        return `${claims.length} kinds among ${seen.length} connections`;
      },
    },
  ];
}
