// What a node says of itself at /status, as far as the checks look.

export interface NodeStatus {
  readonly node: string;
  readonly ready: boolean;
  readonly pending: readonly string[];
  readonly xds: { readonly connected: boolean; readonly resources: Readonly<Record<string, number>> };
  readonly pods: readonly {
    readonly uid: string;
    readonly name: string;
    readonly namespace: string;
    readonly identity: string;
    readonly captured: boolean;
    readonly faults: readonly string[];
  }[];
  readonly certificates: readonly {
    readonly identity: string;
    readonly state: string;
    readonly notAfterMs?: number;
    readonly serial?: string;
  }[];
}
