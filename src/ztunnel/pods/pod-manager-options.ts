// What the pod manager is given: what it works with, what it asks others, and its bounds.
import type { Capture } from '../../engine/capture-types.ts';
import type { Engine } from '../../engine/types.ts';
import type { IpAddress } from '../../mesh/address.ts';
import type { PodSettings } from '../../mesh/pod-settings.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { Handover } from '../handover.ts';

export interface PodManagerOptions {
  readonly engine: Engine;
  readonly capture: Capture;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Settings of a pod of this node, by namespace and name. */
  readonly settingsOf: (namespace: string, name: string) => PodSettings | undefined;
  /** An identity's certificate is wanted, has been needed by its last pod, is there. */
  readonly certificates: {
    use(identity: string): void;
    release(identity: string): void;
    has(identity: string): boolean;
  };
  /** Connections of a pod that are open. */
  readonly openConnections: (podId: string) => number;
  /** The whole mesh has been received once: before that no connection may be decided. */
  readonly meshIsKnown: () => boolean;
  readonly handover?: Pick<Handover, 'inherited' | 'keep' | 'drop'>;
  readonly podsMax: number;
  readonly drainMs: number;
  readonly auditIntervalMs: number;
  readonly ipv6: boolean;
  /** Addresses of the node beside those in a pod's settings. */
  readonly nodeAddresses: readonly IpAddress[];
  readonly random?: () => number;
  /** Called when a pod has become, or is no longer, one that connections can be decided for. */
  readonly changed?: (podId: string) => void;
}
