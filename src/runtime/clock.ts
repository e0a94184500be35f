// Time as a value that is passed in, so that tests move it by hand.

export interface Timer {
  /** Idempotent; a cancelled timer never fires. */
  cancel(): void;
}

export interface Clock {
  /** Milliseconds since the epoch. It can be set, forward and back: for what people read and what certificates say. */
  now(): number;
  /** Milliseconds that only go forward, whatever happens to the wall clock: for how long something took or may take.
   *  CLOCK_MONOTONIC, which stands still while the machine is suspended. */
  monotonic(): number;
  /** Calls `callback` once after `ms`. The timer does not keep the process alive. */
  after(ms: number, callback: () => void): Timer;
}

/** Longest delay that setTimeout keeps; a longer one would fire at once. */
const timeoutMsMax = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, callback) {
    let handle: NodeJS.Timeout;
    const arm = (left: number): void => {
      const step = Math.min(left, timeoutMsMax);
      handle = setTimeout(() => (left > step ? arm(left - step) : callback()), Math.max(0, step));
      handle.unref();
    };
    arm(ms);
    return { cancel: () => clearTimeout(handle) };
  },
};
