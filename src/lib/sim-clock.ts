/**
 * A clock that can be stopped and warped (`time/stop`, `time/warp`), over the real one or all by itself (tests).
 * Stopped, it stands still; a warp moves it in steps, and all that is due in a step comes to rest before the next.
 */
import type { Clock, Timer } from "./clock.ts";
import { Fatal } from "./errors.ts";
import type { UnixctlCommands } from "./unixctl.ts";

/** Counts work under way inside the process; `idle` resolves when there is none. */
export class InFlight {
  #count = 0;
  readonly #sources: (() => Promise<void>)[] = [];
  #waiters: (() => void)[] = [];
  readonly #soon: (run: () => void) => void;

  /** `soon`: Clock.soon of the real clock. */
  constructor(soon: (run: () => void) => void) {
    this.#soon = soon;
  }

  get busy(): boolean {
    return this.#count > 0;
  }

  begin(): void {
    this.#count++;
  }

  end(): void {
    if (--this.#count > 0) return;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter();
  }

  /** begin, run, end. */
  async track<T>(work: Promise<T>): Promise<T> {
    this.begin();
    try {
      return await work;
    } finally {
      this.end();
    }
  }

  /** Another source of work: resolves when it has none (e.g. `() => dpif.settled()`). */
  addSource(settled: () => Promise<void>): void {
    this.#sources.push(settled);
  }

  /** Resolves when nothing is under way, after a few turns of the loop in which nothing began. */
  async idle(): Promise<void> {
    for (let quiet = 0; quiet < 3; quiet++) {
      await new Promise<void>((resolve) => this.#soon(resolve));
      for (const settled of this.#sources) await settled();
      if (this.#count > 0) {
        await new Promise<void>((resolve) => this.#waiters.push(resolve));
        quiet = -1;
      }
    }
  }
}

class SimTimer implements Timer {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
  readonly background: boolean;
  pending = true;
  real: Timer | undefined;
  readonly #owner: Set<SimTimer>;

  constructor(owner: Set<SimTimer>, at: number, order: number, run: () => void, background: boolean) {
    this.#owner = owner;
    this.at = at;
    this.order = order;
    this.run = run;
    this.background = background;
    owner.add(this);
  }

  cancel(): void {
    this.pending = false;
    this.real?.cancel();
    this.#owner.delete(this);
  }

  fire(): void {
    if (!this.pending) return;
    this.cancel();
    this.run();
  }
}

export class SimClock implements Clock {
  readonly #base: Clock | undefined;
  readonly #inFlight: InFlight;
  readonly #timers = new Set<SimTimer>();
  #stopped: boolean;
  /** While stopped: the frozen times. While running: ahead of the base clock by so much. */
  #now = 0;
  #wall = 0;
  #ahead = 0;
  #order = 0;
  #warping = false;

  /** With `base` it runs until `stop`; without, it is stopped from the start at `now` 0 and `wall` `startWall`. */
  constructor(base?: Clock, inFlight?: InFlight, startWall = 0) {
    this.#base = base;
    this.#stopped = base === undefined;
    this.#wall = startWall;
    this.#inFlight = inFlight ?? new InFlight((run) => this.soon(run));
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  now(): number {
    // Whole milliseconds: sums of fractions would fall a hair short of the second that a warp has completed.
    return this.#stopped ? this.#now : Math.floor(this.#base!.now() + this.#ahead);
  }

  wall(): number {
    return this.#stopped ? this.#wall : this.#base!.wall() + this.#ahead;
  }

  soon(run: () => void): void {
    if (this.#base !== undefined) this.#base.soon(run);
    else setImmediate(run);
  }

  after(ms: number, run: () => void): Timer {
    return this.#add(ms, run, false);
  }

  background(ms: number, run: () => void): Timer {
    return this.#add(ms, run, true);
  }

  #add(ms: number, run: () => void, background: boolean): Timer {
    const timer = new SimTimer(this.#timers, this.now() + Math.max(0, ms), this.#order++, run, background);
    if (!this.#stopped) this.#arm(timer);
    // What is due at once does not wait for the next warp.
    else if (ms <= 0) this.soon(() => timer.fire());
    return timer;
  }

  #arm(timer: SimTimer): void {
    const left = Math.max(0, timer.at - this.now());
    timer.real = timer.background
      ? this.#base!.background(left, () => timer.fire())
      : this.#base!.after(left, () => timer.fire());
  }

  stop(): void {
    if (this.#stopped) return;
    this.#now = this.now();
    this.#wall = this.wall();
    this.#stopped = true;
    for (const timer of this.#timers) {
      timer.real?.cancel();
      timer.real = undefined;
    }
  }

  /** Moves `totalMs` ahead in steps of at most `stepMs` (default: all at once, timer by timer). */
  async warp(totalMs: number, stepMs = totalMs): Promise<void> {
    if (this.#warping) throw new Fatal('A previous "time/warp" command is still in progress');
    this.#warping = true;
    try {
      await this.#inFlight.idle();
      for (let left = totalMs; left > 0; ) {
        const step = Math.min(left, Math.max(1, stepMs));
        left -= step;
        await this.#advance(step);
      }
    } finally {
      this.#warping = false;
    }
  }

  async #advance(step: number): Promise<void> {
    if (this.#stopped) {
      this.#now += step;
      this.#wall += step;
      // A timer set by one that fires here, and due by now, fires here too.
      for (;;) {
        const due = this.#due();
        if (due === undefined) break;
        due.fire();
        await this.#inFlight.idle();
      }
    } else {
      this.#ahead += step;
      for (const timer of [...this.#timers]) {
        timer.real?.cancel();
        this.#arm(timer);
      }
    }
    await this.#inFlight.idle();
  }

  #due(): SimTimer | undefined {
    let first: SimTimer | undefined;
    for (const timer of this.#timers) {
      if (timer.at > this.#now) continue;
      if (first === undefined || timer.at < first.at || (timer.at === first.at && timer.order < first.order))
        first = timer;
    }
    return first;
  }
}

/** time/stop and time/warp, for programs started with --enable-dummy. */
export function timeCommands(commands: UnixctlCommands, clock: SimClock): void {
  commands.register("time/stop", "", 0, 0, (_args, reply) => {
    clock.stop();
    reply.ok();
  });
  commands.register("time/warp", "[large_msecs] msecs", 1, 2, async (args, reply) => {
    const values = args.map((text) => (/^\s*\d+$/.test(text) ? Number(text) : 0));
    const step = values.at(-1)!;
    if (values.some((value) => value <= 0)) return reply.error("invalid MSECS");
    // "time/warp LARGE MS": LARGE in steps of MS.
    await clock.warp(values[0]!, step);
    reply.ok("warped");
  });
}
