/**
 * Rate limit of one kind of packet-in to one controller (upstream: pinsched.c; Controller.controller_rate_limit and
 * controller_burst_limit): what comes too fast waits in a queue of its port, and the queues are served in turn. When all are
 * full, the longest loses its oldest.
 */
import type { Clock, Timer } from "../../lib/clock.ts";

export class PacketInQueue<T> {
  bypassed = 0;
  queued = 0;
  dropped = 0;
  /** Now in the queues. */
  backlog = 0;
  private readonly clock: Clock;
  private readonly send: (item: T) => void;
  private readonly byPort = new Map<number, T[]>();
  private rate = 0;
  private burst = 0;
  private tokens = 0;
  private filledMs: number;
  private timer: Timer | undefined = undefined;

  constructor(clock: Clock, send: (item: T) => void) {
    this.clock = clock;
    this.send = send;
    this.filledMs = clock.now();
  }

  get isLimited(): boolean {
    return this.rate > 0;
  }

  /** Packets a second, 0 for no limit; `burst` 0 is a quarter of the rate. */
  setLimits(rate: number, burst: number): void {
    const wanted = burst > 0 ? burst : Math.max(1, Math.floor(rate / 4));
    if (rate === this.rate && wanted === this.burst) return;
    this.rate = rate;
    this.burst = wanted;
    this.tokens = wanted;
    this.filledMs = this.clock.now();
    if (rate === 0) this.flush();
  }

  /** Sends now, or when there is room. */
  put(port: number, item: T): void {
    if (this.rate === 0) {
      this.send(item);
      return;
    }
    if (this.backlog === 0 && this.take()) {
      this.bypassed++;
      this.send(item);
      return;
    }
    if (this.backlog >= this.burst) this.dropOne();
    let queue = this.byPort.get(port);
    if (queue === undefined) {
      queue = [];
      this.byPort.set(port, queue);
    }
    queue.push(item);
    this.queued++;
    this.backlog++;
    this.arm();
  }

  /** Forgets what waits. */
  close(): void {
    this.timer?.cancel();
    this.timer = undefined;
    this.byPort.clear();
    this.backlog = 0;
  }

  private take(): boolean {
    const now = this.clock.now();
    this.tokens = Math.min(this.burst, this.tokens + ((now - this.filledMs) * this.rate) / 1000);
    this.filledMs = now;
    if (this.tokens < 1) return false;
    this.tokens--;
    return true;
  }

  private dropOne(): void {
    let longest: T[] = [];
    for (const queue of this.byPort.values()) if (queue.length > longest.length) longest = queue;
    longest.shift();
    this.dropped++;
    this.backlog--;
  }

  private arm(): void {
    if (this.timer !== undefined || this.backlog === 0) return;
    const wait = Math.max(1, Math.ceil(((1 - this.tokens) * 1000) / this.rate));
    this.timer = this.clock.background(wait, () => {
      this.timer = undefined;
      while (this.backlog > 0 && this.take()) this.sendNext();
      this.arm();
    });
  }

  /** One of the port that has waited longest for its turn. */
  private sendNext(): void {
    for (const [port, queue] of this.byPort) {
      this.byPort.delete(port);
      const item = queue.shift();
      if (item === undefined) continue;
      if (queue.length > 0) this.byPort.set(port, queue);
      this.backlog--;
      this.send(item);
      return;
    }
  }

  private flush(): void {
    while (this.backlog > 0) this.sendNext();
  }
}
