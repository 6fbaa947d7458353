/**
 * Time as everything but `src/sys` sees it. The real clock lives in `src/sys/clock.ts`; `test/sim` and
 * `--enable-dummy` use {@link SimClock} (`src/lib/sim-clock.ts`), which `time/stop` and `time/warp` drive.
 */

/** A pending call; `cancel` is idempotent and may be used after it has fired. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Monotonic milliseconds, fractions allowed, origin unspecified. Stands still under `time/stop`. */
  now(): number;
  /** Milliseconds since 1970-01-01 UTC. Follows `time/warp`. */
  wall(): number;
  /** Runs `run` once, `ms` milliseconds from now (never synchronously). Keeps the process alive. */
  after(ms: number, run: () => void): Timer;
  /** Like `after`, but does not keep the process alive. */
  background(ms: number, run: () => void): Timer;
  /** Runs `run` in a later turn of the loop, frozen clock or not. */
  soon(run: () => void): void;
}
