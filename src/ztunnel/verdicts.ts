// What policies say of connections that are alike: from one address and identity to one place. There are fewer of those
// than connections, so asking again about all of a pod's asks the policies about a few.
import { authorize } from '../authz/authorize.ts';
import type { PolicyConnection } from '../authz/connection.ts';
import { principalOf } from '../mesh/identity.ts';
import type { Policy } from '../mesh/policy.ts';
import type { Refusal } from './connection.ts';
import { describeDenial } from './decide.ts';

const keptMax = 10_000;

export class Verdicts {
  #policies: readonly Policy[] = [];
  readonly #kept = new Map<string, Refusal | 'allowed'>();

  /** Why these policies deny the connection; undefined if they do not. */
  denialOf(policies: readonly Policy[], connection: PolicyConnection): Refusal | undefined {
    if (policies !== this.#policies || this.#kept.size >= keptMax) this.forget();
    this.#policies = policies;
    const { sourceIp, sourceIdentity, destination } = connection;
    const principal = sourceIdentity === undefined ? '' : principalOf(sourceIdentity);
    const key = `${sourceIp} ${destination.ip} ${destination.port} ${principal}`;
    let verdict = this.#kept.get(key);
    if (verdict === undefined) this.#kept.set(key, (verdict = judge(policies, connection)));
    return verdict === 'allowed' ? undefined : verdict;
  }

  forget(): void {
    this.#kept.clear();
    this.#policies = [];
  }
}

function judge(policies: readonly Policy[], connection: PolicyConnection): Refusal | 'allowed' {
  const decision = authorize(policies, connection);
  if (decision.allow) return 'allowed';
  return { reason: 'denied', message: describeDenial(decision), policy: decision.policy };
}
