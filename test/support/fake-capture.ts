// Capture without namespaces: which pods are captured, how, and what an earlier process left.
import type {
  Capture,
  CaptureCounters,
  CaptureFault,
  CaptureResult,
  CaptureSpec,
} from '../../src/engine/capture-types.ts';

export class FakeCapture implements Capture {
  readonly attached = new Map<string, Omit<CaptureSpec, 'netns' | 'listeners'>>();
  readonly released = new Set<string>();
  readonly faults = new Map<string, readonly CaptureFault[]>();
  readonly counted = new Map<string, CaptureCounters>();
  readonly kept = new Map<string, number>();
  /** Pods whose connections were counted, each time. */
  readonly walks: string[] = [];
  readonly pins: Set<string>;
  failAttach: Error | undefined;
  closed = false;

  constructor(pins: readonly string[] = []) {
    this.pins = new Set(pins);
  }

  attach(spec: CaptureSpec): CaptureResult {
    if (this.failAttach !== undefined) throw this.failAttach;
    const adopted = this.pins.has(spec.podId);
    this.attached.set(spec.podId, spec);
    this.released.delete(spec.podId);
    this.pins.add(spec.podId);
    this.faults.delete(spec.podId);
    return { adopted, keptConnections: this.kept.get(spec.podId) ?? 0, netnsCookie: 7n };
  }

  update(spec: Omit<CaptureSpec, 'netns' | 'listeners'>): void {
    this.attached.set(spec.podId, spec);
  }

  release(podId: string): void {
    this.released.add(podId);
  }

  detach(podId: string): void {
    this.attached.delete(podId);
    this.released.delete(podId);
    this.pins.delete(podId);
  }

  audit(podId: string): readonly CaptureFault[] {
    return this.faults.get(podId) ?? [];
  }

  counters(podId: string): CaptureCounters {
    return this.counted.get(podId) ?? {};
  }

  keptConnections(podId: string): number {
    this.walks.push(podId);
    return this.kept.get(podId) ?? 0;
  }

  closeKept(podId: string): number {
    const closed = this.kept.get(podId) ?? 0;
    this.kept.delete(podId);
    return closed;
  }

  pinned(): readonly string[] {
    return [...this.pins];
  }

  close(): void {
    this.closed = true;
  }
}
