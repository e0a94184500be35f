// Connections of pods whose workload the controller has not sent yet: a pod can dial before its record has come. They
// wait a little; their number is bounded by the engine, which limits undecided connections per pod and in all.
import type { ConnectEvent, ConnectionId, OutboundEvent, PlaintextEvent } from '../engine/types.ts';
import type { Clock, Timer } from '../runtime/clock.ts';

/** An event that asks for a decision. */
export type Question = OutboundEvent | PlaintextEvent | ConnectEvent;

export interface WaitingRoomOptions {
  readonly clock: Clock;
  readonly waitMs: number;
  readonly max: number;
  /** Called for a question that has waited in vain. */
  readonly expired: (question: Question) => void;
}

export class WaitingRoom {
  readonly #options: WaitingRoomOptions;
  /** In order of arrival, so of deadline. */
  readonly #waiting = new Map<ConnectionId, { readonly question: Question; readonly untilMs: number }>();
  #timer: Timer | undefined;

  constructor(options: WaitingRoomOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** False if the room is full. */
  enter(question: Question): boolean {
    if (this.#waiting.size >= this.#options.max) return false;
    const { clock, waitMs } = this.#options;
    this.#waiting.set(question.id, { question, untilMs: clock.monotonic() + waitMs });
    this.#timer ??= clock.after(waitMs, () => this.#expire());
    return true;
  }

  /** Takes out a connection that ended meanwhile. */
  leave(id: ConnectionId): Question | undefined {
    const question = this.#waiting.get(id)?.question;
    this.#waiting.delete(id);
    return question;
  }

  /** Takes out all those that `isReady` lets go. */
  release(isReady: (podId: string) => boolean): readonly Question[] {
    const released: Question[] = [];
    const known = new Map<string, boolean>();
    for (const [id, { question }] of this.#waiting) {
      const ready = known.get(question.podId) ?? isReady(question.podId);
      known.set(question.podId, ready);
      if (!ready) continue;
      this.#waiting.delete(id);
      released.push(question);
    }
    return released;
  }

  close(): void {
    this.#timer?.cancel();
    this.#waiting.clear();
  }

  #expire(): void {
    this.#timer = undefined;
    const { clock, expired } = this.#options;
    const now = clock.monotonic();
    for (const [id, { question, untilMs }] of this.#waiting) {
      if (untilMs > now) {
        this.#timer = clock.after(untilMs - now, () => this.#expire());
        return;
      }
      this.#waiting.delete(id);
      expired(question);
    }
  }
}
