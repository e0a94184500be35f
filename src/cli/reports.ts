// What the admin endpoints of the processes answer to `status` and `why`.
export type { StatusReport as ZtunnelReport, PodStatus, CertificateReport } from '../ztunnel/status.ts';
export type { WhyReport, WhyStep } from '../ztunnel/why.ts';

/** GET /status of a controller. */
export interface ControllerReport {
  readonly version: string;
  readonly startedMs: number;
  readonly ready: boolean;
  readonly pending: readonly string[];
  /** Objects in force, by kind. */
  readonly objects: Readonly<Record<string, number>>;
  /** What is wrong with what was read: one line each, with the place. */
  readonly problems: readonly string[];
  readonly clients: readonly { readonly name: string; readonly connectedMs: number }[];
  readonly roots: readonly { readonly subject: string; readonly notAfterMs: number }[];
}
