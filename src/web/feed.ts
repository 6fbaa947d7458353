/**
 * What many pages may watch at once: a state and its changes, each made into text once for all of them. A source that has
 * to be asked (a switch) is asked only while somebody watches.
 */
import type { Clock, Timer } from "../lib/clock.ts";

/** Takes JSON texts: first the whole state, in one piece or several, then changes. */
export type Sink = (text: string) => void;

export abstract class Feed {
  readonly #sinks = new Set<Sink>();

  /** The whole state as it is; nothing while there is none yet. */
  protected abstract snapshot(): Iterable<unknown>;
  /** The first one watches, or the last one has gone. */
  protected watched(_yes: boolean): void {}

  /** Returns how to stop. */
  watch(sink: Sink): () => void {
    this.#sinks.add(sink);
    if (this.#sinks.size === 1) this.watched(true);
    for (const part of this.snapshot()) sink(JSON.stringify(part));
    return () => {
      if (this.#sinks.delete(sink) && this.#sinks.size === 0) this.watched(false);
    };
  }

  get isWatched(): boolean {
    return this.#sinks.size > 0;
  }

  protected publish(change: unknown): void {
    if (this.#sinks.size === 0) return;
    const text = JSON.stringify(change);
    for (const sink of [...this.#sinks]) sink(text);
  }
}

/** Rest after each round, in multiples of what the round took: a large answer is asked for less often. */
const REST = 9;

/** A feed whose source is asked again and again, at most one round at a time. */
export abstract class PolledFeed extends Feed {
  readonly #clock: Clock;
  readonly #intervalMs: number;
  #timer: Timer | undefined = undefined;
  #running = false;

  constructor(clock: Clock, intervalMs: number) {
    super();
    this.#clock = clock;
    this.#intervalMs = intervalMs;
  }

  /** Asks and publishes what is new. */
  protected abstract round(): Promise<void>;
  /** Publishes why a round has failed. */
  protected abstract failed(reason: string): void;

  protected override watched(yes: boolean): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (yes) void this.#run();
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    const beganMs = this.#clock.now();
    try {
      await this.round();
    } catch (error) {
      this.failed((error as Error).message);
    }
    this.#running = false;
    if (!this.isWatched) return;
    const tookMs = this.#clock.now() - beganMs;
    this.#timer = this.#clock.background(Math.max(this.#intervalMs, tookMs * REST), () => void this.#run());
  }
}

/** Cuts a list, so that no message is large. */
export function* pieces<T>(list: readonly T[], size: number): IterableIterator<{ part: T[]; last: boolean }> {
  if (list.length === 0) yield { part: [], last: true };
  for (let at = 0; at < list.length; at += size) {
    yield { part: list.slice(at, at + size), last: at + size >= list.length };
  }
}
