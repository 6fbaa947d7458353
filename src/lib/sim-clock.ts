/**
 * A clock that can be stopped and warped (`time/stop`, `time/warp`), over the real one or all by itself (tests).
 */
import type { Clock, Timer } from "./clock.ts";

/** Counts work under way inside the process; `idle` resolves when there is none. */
export declare class InFlight {
  begin(): void;
  end(): void;
  /** begin, run, end. */
  track<T>(work: Promise<T>): Promise<T>;
  /** Another source of work: resolves when it has none (e.g. `() => dpif.settled()`). */
  addSource(settled: () => Promise<void>): void;
  idle(): Promise<void>;
}

export declare class SimClock implements Clock {
  /** With `base` it runs until `stop`; without, it is stopped from the start at `now` 0 and `wall` 0. `inFlight` is waited for between steps of a warp. */
  constructor(base?: Clock, inFlight?: InFlight);
  now(): number;
  wall(): number;
  after(ms: number, run: () => void): Timer;
  background(ms: number, run: () => void): Timer;
  soon(run: () => void): void;
  readonly stopped: boolean;
  stop(): void;
  /** Moves `totalMs` ahead in steps of at most `stepMs`; all that is due in a step comes to rest before the next. */
  warp(totalMs: number, stepMs?: number): Promise<void>;
}
