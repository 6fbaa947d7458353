/** Real time. `now` is monotonic from the start of the process. */
import type { Clock, Timer } from "../lib/clock.ts";

/** Timers of the engine hold 31 bits of milliseconds. */
const LONGEST = 0x7fffffff;

class RealTimer implements Timer {
  #handle: NodeJS.Timeout | undefined;

  constructor(ms: number, run: () => void, background: boolean) {
    const arm = (left: number): void => {
      const step = Math.min(left, LONGEST);
      this.#handle = setTimeout(
        () => {
          this.#handle = undefined;
          if (left > step) arm(left - step);
          else run();
        },
        Math.max(0, step),
      );
      if (background) this.#handle.unref();
    };
    arm(ms);
  }

  cancel(): void {
    if (this.#handle !== undefined) clearTimeout(this.#handle);
    this.#handle = undefined;
  }
}

export const realClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after: (ms, run) => new RealTimer(ms, run, false),
  background: (ms, run) => new RealTimer(ms, run, true),
  soon: (run) => void setImmediate(run),
};
