// What to do next about one pod: a comparison of what should be with what is. Pure; the pod manager does it.
import type { PodSettings } from '../../mesh/pod-settings.ts';

/** What the engine and capture have of a pod. */
export interface AttachedPod {
  readonly settings: PodSettings;
  readonly identity: string;
}

export interface PodFacts {
  /** The agent said that the pod is gone. */
  readonly removed: boolean;
  /** Undefined until the controller has sent them. */
  readonly settings: PodSettings | undefined;
  readonly identity: string | undefined;
  readonly hasCertificate: boolean;
  readonly attached: AttachedPod | undefined;
  readonly draining: boolean;
  /** An earlier process left something in its namespace that this one has not taken over. */
  readonly pinned: boolean;
  /** Its namespace is another one than that which is attached. */
  readonly moved: boolean;
}

export type PodStep =
  | { readonly kind: 'none'; readonly phase: 'running' | 'left_alone' | 'draining' }
  | { readonly kind: 'wait'; readonly detail: string }
  | { readonly kind: 'attach'; readonly settings: PodSettings; readonly identity: string }
  | { readonly kind: 'update'; readonly settings: PodSettings }
  /** Stop serving it; with `release`, what it opens from now on goes direct. */
  | { readonly kind: 'drain'; readonly release: boolean }
  /** Take everything away at once, and look again. */
  | { readonly kind: 'detach' }
  | { readonly kind: 'forget' };

export function nextStep(facts: PodFacts): PodStep {
  const { removed, settings, identity, attached, draining } = facts;
  if (removed) {
    if (attached === undefined) return { kind: facts.pinned ? 'detach' : 'forget' };
    return draining ? { kind: 'none', phase: 'draining' } : { kind: 'drain', release: false };
  }
  if (settings === undefined || identity === undefined)
    // A pod that is captured stays so while the controller has nothing to say of it: it fails closed.
    return attached === undefined || draining
      ? { kind: 'wait', detail: 'settings from the controller' }
      : { kind: 'none', phase: 'running' };
  if (!settings.enrolled) {
    if (attached === undefined)
      return facts.pinned ? { kind: 'detach' } : { kind: 'none', phase: 'left_alone' };
    return draining ? { kind: 'none', phase: 'draining' } : { kind: 'drain', release: true };
  }
  if (attached === undefined)
    return facts.hasCertificate
      ? { kind: 'attach', settings, identity }
      : { kind: 'wait', detail: `certificate of ${identity}` };
  if (draining || facts.moved || attached.identity !== identity) return { kind: 'detach' };
  if (isSameCapture(attached.settings, settings)) return { kind: 'none', phase: 'running' };
  return { kind: 'update', settings };
}

/** Whether capture would do the same with both. */
export function isSameCapture(a: PodSettings, b: PodSettings): boolean {
  const of = ({ probePorts, nodeAddresses, exclusions }: PodSettings): string =>
    JSON.stringify([probePorts, nodeAddresses, exclusions]);
  return a === b || of(a) === of(b);
}
