/**
 * How many addresses each port has in a MAC learning table, as a heap: the port with most is on top. Each port lists its
 * entries, least recently seen first, so that making room costs no search.
 */
import type { MacEntry } from "./mac-learning.ts";

export interface PortUse<P> {
  readonly port: P;
  count: number;
  /** In the heap. */
  place: number;
  oldest: MacEntry<P> | undefined;
  newest: MacEntry<P> | undefined;
}

export class PortUsage<P> {
  private readonly byPort = new Map<P, PortUse<P>>();
  private readonly heap: PortUse<P>[] = [];

  /** The least recently seen entry of the port that has most. */
  victim(): MacEntry<P> | undefined {
    return this.heap[0]?.oldest;
  }

  add(entry: MacEntry<P>): void {
    let use = this.byPort.get(entry.port);
    if (use === undefined) {
      use = { port: entry.port, count: 0, place: this.heap.length, oldest: undefined, newest: undefined };
      this.byPort.set(entry.port, use);
      this.heap.push(use);
    }
    this.append(use, entry);
    use.count++;
    this.raise(use);
  }

  remove(entry: MacEntry<P>): void {
    const use = this.byPort.get(entry.port)!;
    this.unlink(use, entry);
    use.count--;
    if (use.count > 0) {
      this.lower(use);
      return;
    }
    this.byPort.delete(use.port);
    const last = this.heap.pop()!;
    if (last === use) return;
    this.put(last, use.place);
    this.raise(last);
    this.lower(last);
  }

  /** The entry has been seen again. */
  touch(entry: MacEntry<P>): void {
    const use = this.byPort.get(entry.port)!;
    if (use.newest === entry) return;
    this.unlink(use, entry);
    this.append(use, entry);
  }

  private append(use: PortUse<P>, entry: MacEntry<P>): void {
    entry.portOlder = use.newest;
    entry.portNewer = undefined;
    if (use.newest !== undefined) use.newest.portNewer = entry;
    else use.oldest = entry;
    use.newest = entry;
  }

  private unlink(use: PortUse<P>, entry: MacEntry<P>): void {
    if (entry.portOlder !== undefined) entry.portOlder.portNewer = entry.portNewer;
    else use.oldest = entry.portNewer;
    if (entry.portNewer !== undefined) entry.portNewer.portOlder = entry.portOlder;
    else use.newest = entry.portOlder;
    entry.portOlder = undefined;
    entry.portNewer = undefined;
  }

  private put(use: PortUse<P>, place: number): void {
    this.heap[place] = use;
    use.place = place;
  }

  private raise(use: PortUse<P>): void {
    while (use.place > 0) {
      const parent = this.heap[(use.place - 1) >> 1]!;
      if (parent.count >= use.count) return;
      const { place } = use;
      this.put(use, parent.place);
      this.put(parent, place);
    }
  }

  private lower(use: PortUse<P>): void {
    for (;;) {
      let most = use;
      for (const child of [use.place * 2 + 1, use.place * 2 + 2]) {
        const below = this.heap[child];
        if (below !== undefined && below.count > most.count) most = below;
      }
      if (most === use) return;
      const { place } = use;
      this.put(use, most.place);
      this.put(most, place);
    }
  }
}
