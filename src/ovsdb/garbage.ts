/**
 * When to collect garbage: writing much leaves much, and the engine, which counts on more to come, keeps it for a while.
 */
import type { Clock } from "../lib/clock.ts";

/** After so much was written, and then nothing for so long. */
const BYTES = 4_000_000;
const QUIET_MS = 300;

export class GarbageWatch {
  readonly #clock: Clock;
  readonly #collect: () => void;
  #length: number;
  /** The length of the file at which the next collection is due. */
  #due: number;
  #waiting = false;

  /** `length`: the database file's. */
  constructor(clock: Clock, length: number, collect: () => void) {
    this.#clock = clock;
    this.#collect = collect;
    this.#length = length;
    this.#due = length + BYTES;
  }

  /** Call after each commit. */
  note(length: number): void {
    this.#length = length;
    // A compaction makes it shorter.
    if (length + BYTES < this.#due) this.#due = length + BYTES;
    if (length < this.#due || this.#waiting) return;
    this.#waiting = true;
    this.#wait(length);
  }

  #wait(length: number): void {
    this.#clock.background(QUIET_MS, () => {
      if (this.#length !== length) {
        this.#wait(this.#length);
        return;
      }
      this.#waiting = false;
      this.#due = length + BYTES;
      this.#collect();
    });
  }
}
