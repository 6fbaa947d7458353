/**
 * One lane of the datapath as main sees it: a worker thread, and the memory that the two share. Requests go to it in order, each
 * numbered by its place, and the worker publishes the last one applied; what comes up is handed to the {@link LaneHost}.
 */
import type { Clock } from "../../lib/clock.ts";
import type { Upcall } from "../dpif.ts";
import { UP_PACKET, UP_PORT, UP_RING } from "./requests.ts";
import { SharedRing } from "./ring.ts";
import { SampleReader } from "./sample-ring.ts";
import {
  C_APPLIED,
  C_MAIN_SLEEPS,
  C_MAIN_WAITS,
  C_REQUEST_HEAD,
  C_REQUEST_TAIL,
  C_SAMPLE_HEAD,
  C_SAMPLE_TAIL,
  C_UPCALL_HEAD,
  C_UPCALL_TAIL,
  C_WORKER_SLEEPS,
  type SharedMemory,
} from "./shared.ts";
import { EIO, HELD_WORDS } from "./system.ts";
import type { DatapathThread, SpawnDatapathThread } from "./thread.ts";

/** Upcalls handled, and time taken, before other work of main gets its turn. */
const UPCALL_BUDGET = 256;
const UPCALL_BUDGET_MS = 2;
/** The clock is looked at once for so many. */
const CLOCK_EVERY = 8;

export interface LaneHost {
  readonly clock: Clock;
  readonly spawn: SpawnDatapathThread;
  /** A packet of the lane waits in `slot` for its answer. */
  packetUp(lane: Lane, slot: number): void;
  /** Valid during the call. */
  sampleUp(sample: Upcall): void;
  died(reason: string): void;
  fault(text: string): void;
}

/** What becomes of a port that is added or given away: 0 or an errno; a value as of requests.ts; the ring that is given. */
export interface PortAnswer {
  readonly errno: number;
  readonly value: number;
  readonly ring: Int32Array | undefined;
}

const DEAD: PortAnswer = { errno: EIO, value: 0, ring: undefined };

interface Waiter {
  sequence: number;
  resolve: () => void;
}

export class Lane {
  readonly memory: SharedMemory;
  readonly counters: Float64Array;
  readonly meterCounters: Float64Array;
  readonly slotBytes: Uint8Array;
  readonly slotWords: Int32Array;
  readonly thread: DatapathThread;
  /** Where the request that {@link request} has made room for is written. */
  words: Int32Array;
  at = 0;
  private length = 0;
  private readonly host: LaneHost;
  private readonly control: Int32Array;
  private readonly requests: SharedRing;
  private readonly upcalls: SharedRing;
  private readonly samples: SampleReader;
  private readonly adding = new Map<number, (answer: PortAnswer) => void>();
  /** Requests that did not fit into the ring, in order. */
  private readonly backlog: Int32Array[] = [];
  /** Number of the last request made. */
  private sequence = 0;
  private readonly waiters: Waiter[] = [];
  private closed = false;
  private drainPlanned = false;

  /** Starts the thread. */
  constructor(memory: SharedMemory, host: LaneHost) {
    this.memory = memory;
    this.host = host;
    this.counters = new Float64Array(memory.counters);
    this.meterCounters = new Float64Array(memory.meterStats);
    this.slotBytes = new Uint8Array(memory.slots);
    this.slotWords = new Int32Array(memory.slots);
    const control = new Int32Array(memory.control);
    this.control = control;
    this.requests = new SharedRing(new Int32Array(memory.requests), control, C_REQUEST_HEAD, C_REQUEST_TAIL);
    this.words = this.requests.words;
    this.upcalls = new SharedRing(new Int32Array(memory.upcalls), control, C_UPCALL_HEAD, C_UPCALL_TAIL);
    this.samples = new SampleReader(
      new SharedRing(new Int32Array(memory.samples), control, C_SAMPLE_HEAD, C_SAMPLE_TAIL),
    );
    Atomics.store(control, C_MAIN_SLEEPS, 1);
    this.thread = host.spawn(
      memory,
      () => this.drain(),
      (reason) => host.died(reason),
      (text) => host.fault(text),
    );
  }

  // ---- Requests ----

  /** Makes room for a record of `length` words at `words[at]`; {@link post} follows in the same turn. */
  request(length: number): this {
    this.length = length;
    if (this.backlog.length === 0) {
      const at = this.requests.reserve(length);
      if (at >= 0) {
        this.words = this.requests.words;
        this.at = at;
        return this;
      }
    }
    this.words = new Int32Array(length);
    this.at = 0;
    this.backlog.push(this.words);
    return this;
  }

  post(): void {
    this.sequence = (this.sequence + 1) | 0;
    if (this.backlog.length > 0) {
      this.pushBacklog();
      if (this.backlog.length > 0) this.awaitApplied();
    } else this.requests.commit();
    this.wake();
  }

  /** Makes the request that has been written for another lane. */
  repeat({ words: from, at, length }: Lane): void {
    const { words, at: to } = this.request(length);
    for (let i = 0; i < length; i++) words[to + i] = from[at + i]!;
    this.post();
  }

  private wake(): void {
    if (Atomics.compareExchange(this.control, C_WORKER_SLEEPS, 1, 0) === 1) this.thread.wake();
  }

  private pushBacklog(): void {
    let count = 0;
    for (const record of this.backlog) {
      const at = this.requests.reserve(record.length);
      if (at < 0) break;
      this.requests.words.set(record, at);
      this.requests.commit();
      count++;
    }
    this.backlog.splice(0, count);
    if (count > 0) this.wake();
  }

  /** Asks for the bell when requests have been applied; looks once more, as the worker may have been faster. */
  private awaitApplied(): void {
    Atomics.store(this.control, C_MAIN_WAITS, 1);
    this.planDrain();
  }

  private planDrain(): void {
    if (this.drainPlanned || this.closed) return;
    this.drainPlanned = true;
    this.host.clock.soon(() => {
      this.drainPlanned = false;
      this.drain();
    });
  }

  private resolveWaiters(): void {
    const applied = Atomics.load(this.control, C_APPLIED);
    let count = 0;
    while (count < this.waiters.length && ((applied - this.waiters[count]!.sequence) | 0) >= 0) count++;
    for (const waiter of this.waiters.splice(0, count)) waiter.resolve();
  }

  /** Resolves when every request made so far has been applied. */
  settled(): Promise<void> {
    if (this.closed || ((Atomics.load(this.control, C_APPLIED) - this.sequence) | 0) >= 0)
      return Promise.resolve();
    return new Promise((resolve) => {
      this.waiters.push({ sequence: this.sequence, resolve });
      this.awaitApplied();
    });
  }

  /** Resolves with the worker's answer about a port, which is about to be requested. */
  portAnswer(odpPort: number): Promise<PortAnswer> {
    if (this.closed) return Promise.resolve(DEAD);
    return new Promise((resolve) => void this.adding.set(odpPort, resolve));
  }

  // ---- From the worker ----

  /** Handles what the worker has written; called by its bell. */
  private drain(): void {
    if (this.closed) return;
    const began = this.thread.nowMs();
    for (let count = 0; ; count++) {
      if (
        count === UPCALL_BUDGET ||
        (count % CLOCK_EVERY === 0 && this.thread.nowMs() - began > UPCALL_BUDGET_MS)
      ) {
        this.planDrain();
        break;
      }
      const at = this.upcalls.peek();
      if (at < 0) {
        if (this.sampleUp()) {
          if (this.closed) return;
          continue;
        }
        // Whatever is written from here on rings; what was written before is looked at once more.
        if (Atomics.exchange(this.control, C_MAIN_SLEEPS, 1) === 1) break;
        if (this.upcalls.peek() < 0 && !this.samples.waiting) break;
        Atomics.store(this.control, C_MAIN_SLEEPS, 0);
        continue;
      }
      const words = this.upcalls.words;
      const type = words[at]!;
      const a = words[at + 1]!;
      const b = words[at + 2]!;
      const c = words[at + 3]!;
      const ring = type === UP_RING ? words.slice(at + 3, at + 3 + HELD_WORDS) : undefined;
      this.upcalls.release(at);
      if (type === UP_PACKET) this.host.packetUp(this, a);
      else if (type === UP_PORT || type === UP_RING) this.portUp(a, { errno: b, value: c, ring });
      if (this.closed) return;
    }
    if (this.backlog.length > 0) this.pushBacklog();
    this.resolveWaiters();
    if (this.waiters.length > 0 || this.backlog.length > 0) {
      Atomics.store(this.control, C_MAIN_WAITS, 1);
      // The worker may have applied the last request between the two lines above.
      this.resolveWaiters();
    }
  }

  /** Hands one sample over, for which there is time when nothing else has come up. */
  private sampleUp(): boolean {
    const sample = this.samples.next();
    if (sample === undefined) return false;
    try {
      this.host.sampleUp(sample);
    } finally {
      this.samples.release();
    }
    return true;
  }

  private portUp(odpPort: number, answer: PortAnswer): void {
    const added = this.adding.get(odpPort);
    this.adding.delete(odpPort);
    added?.(answer);
  }

  /** Nothing more comes or is waited for; ports that were being added fail. */
  abandon(): void {
    this.closed = true;
    for (const waiter of this.waiters.splice(0)) waiter.resolve();
    for (const added of this.adding.values()) added(DEAD);
    this.adding.clear();
  }
}
