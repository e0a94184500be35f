// Policies are edited while connections are open: those that are no longer allowed end, the others do not notice.
import type { Check } from './checklist.ts';
import { describe, expect, ms, until } from './expect.ts';
import type { Scenario } from './scenario.ts';
import { addressOf, curl, running } from './scenario.ts';

/** The promise to users: an edit takes effect within a second. */
const effectMsMax = 1000;
const allowed = 'cluster.local/ns/shop/sa/frontend';
const nobody = 'cluster.local/ns/shop/sa/nobody';

export function policyChecks({ mesh }: Scenario): readonly Check[] {
  return [
    {
      title: 'an edit cuts the live connections it forbids',
      run: async () => {
        const forbidden = running(mesh, 'frontend', 'hold.py', [addressOf(mesh, 'cart-2', '4'), '7000']);
        const other = running(mesh, 'catalog', 'hold.py', [addressOf(mesh, 'ledger', '4'), '5432']);
        try {
          await Promise.all([forbidden.open, other.open]);
          const edited = performance.now();
          await mesh.edit('policies.yaml', (text) => text.replaceAll(allowed, nobody));
          await Promise.race([forbidden.done, other.done]);
          const cutMs = performance.now() - edited;
          expect(!other.ended(), 'the connection to the ledger was cut, which nothing forbids');
          expect(cutMs < effectMsMax, `the connection to the cart was cut after ${ms(cutMs)}`);
          return `after ${ms(cutMs)}, the other lives on`;
        } finally {
          await Promise.all([forbidden.stop(), other.stop()]);
        }
      },
    },
    {
      title: 'new connections are denied, too',
      run: async () => {
        const result = await curl(mesh, 'frontend', 'http://cart/');
        expect(result.code !== 0 && result.stdout === '', `the cart answered: ${describe(result)}`);
        return describe(result).slice(0, 30);
      },
    },
    {
      title: 'the edit undone lets them pass again',
      run: async () => {
        const edited = performance.now();
        await mesh.edit('policies.yaml', (text) => text.replaceAll(nobody, allowed));
        await until(5000, async () => {
          const result = await curl(mesh, 'frontend', 'http://cart/');
          return result.code === 0 ? { value: true } : { missing: `the cart: ${describe(result)}` };
        });
        const tookMs = performance.now() - edited;
        expect(tookMs < effectMsMax, `it took ${ms(tookMs)}`);
        return `after ${ms(tookMs)}`;
      },
    },
    {
      title: 'a broken edit changes nothing',
      run: async () => {
        const intact = '# Who may talk';
        await mesh.edit('policies.yaml', (text) => text.replace(intact, `{{{ not YAML\n${intact}`));
        try {
          await new Promise((resolve) => setTimeout(resolve, effectMsMax)); // nothing must happen for that long
          const allowedStill = await curl(mesh, 'frontend', 'http://cart/');
          expect(allowedStill.code === 0, `frontend to cart: ${describe(allowedStill)}`);
          const deniedStill = await curl(mesh, 'reports', 'http://cart.shop/');
          expect(deniedStill.code !== 0, 'reports may read the cart now');
        } finally {
          await mesh.edit('policies.yaml', (text) => text.replace(`{{{ not YAML\n${intact}`, intact));
        }
        return 'last good content stays in force';
      },
    },
  ];
}
