/**
 * The MAC learning table of NORMAL forwarding (IEEE 802.1D section 7.8, 802.1Q section 8.8; upstream:
 * `mac-learning.c`): (VLAN, address) → port, least recently refreshed first. Pure: time comes in as milliseconds.
 *
 * A full table makes room at the cost of the port that has most entries, so that one port's flood of addresses does
 * not push out everybody else's.
 */

import { coverage } from "../lib/coverage.ts";
import { PortUsage } from "./port-usage.ts";

const coverLearned = coverage("mac_learning_learned");
const coverExpired = coverage("mac_learning_expired");
const coverEvicted = coverage("mac_learning_evicted");
const coverMoved = coverage("mac_learning_moved");
const coverStaticMove = coverage("mac_learning_static_none_move");

/** 48-bit address as a number (exact in a double). */
export type Mac = number;

export const MAC_ENTRY_DEFAULT_IDLE_SEC = 300;
export const MAC_DEFAULT_MAX = 8192;
/** How long after a gratuitous ARP ordinary packets seen on a bond do not move the address. */
export const MAC_GRAT_ARP_LOCK_MS = 5000;

export class MacEntry<P> {
  readonly mac: Mac;
  readonly vlan: number;
  port: P;
  isStatic: boolean;
  /** Time of the last packet from it. */
  seenMs: number;
  lockedUntilMs = 0;
  /** False once it has left the table. */
  live = true;
  older: MacEntry<P> | undefined = undefined;
  newer: MacEntry<P> | undefined = undefined;
  /** The port's own list (port-usage.ts). */
  portOlder: MacEntry<P> | undefined = undefined;
  portNewer: MacEntry<P> | undefined = undefined;

  constructor(mac: Mac, vlan: number, port: P, isStatic: boolean, nowMs: number) {
    this.mac = mac;
    this.vlan = vlan;
    this.port = port;
    this.isStatic = isStatic;
    this.seenMs = nowMs;
  }
}

export class MacLearning<P> {
  idleMs = MAC_ENTRY_DEFAULT_IDLE_SEC * 1000;
  maxEntries = MAC_DEFAULT_MAX;
  learned = 0;
  expired = 0;
  evicted = 0;
  moved = 0;
  statics = 0;

  private count = 0;
  private readonly byVlan: (Map<Mac, MacEntry<P>> | undefined)[] = new Array(4096).fill(undefined);
  private readonly usage = new PortUsage<P>();
  private oldest: MacEntry<P> | undefined = undefined;
  private newest: MacEntry<P> | undefined = undefined;

  get size(): number {
    return this.count;
  }

  lookup(mac: Mac, vlan: number): MacEntry<P> | undefined {
    return this.byVlan[vlan]?.get(mac);
  }

  /**
   * A packet from `mac` was seen on `port`. True when that changed where packets to `mac` go. The caller has
   * excluded multicast sources and flooded VLANs.
   */
  learn(mac: Mac, vlan: number, port: P, nowMs: number, isGratuitousArp = false, isBond = false): boolean {
    let entry = this.lookup(mac, vlan);
    if (entry === undefined) {
      if (this.count >= this.maxEntries) this.evictOne();
      entry = new MacEntry(mac, vlan, port, false, nowMs);
      this.insert(entry);
      this.learned++;
      coverLearned.count++;
      return true;
    }
    if (entry.isStatic) {
      if (entry.port !== port) coverStaticMove.count++;
      return false;
    }
    if (isGratuitousArp && !isBond) entry.lockedUntilMs = nowMs + MAC_GRAT_ARP_LOCK_MS;
    else if (isBond && entry.lockedUntilMs > nowMs) return false;
    entry.seenMs = nowMs;
    if (this.newest !== entry) {
      this.unlink(entry);
      this.append(entry);
    }
    if (entry.port === port) {
      this.usage.touch(entry);
      return false;
    }
    this.usage.remove(entry);
    entry.port = port;
    this.usage.add(entry);
    this.moved++;
    coverMoved.count++;
    return true;
  }

  /** An entry that never ages. True when the table has changed. */
  addStatic(mac: Mac, vlan: number, port: P, nowMs: number): boolean {
    const old = this.lookup(mac, vlan);
    if (old !== undefined) {
      if (old.isStatic && old.port === port) return false;
      this.remove(old);
    }
    if (this.count >= this.maxEntries) this.evictOne();
    this.insert(new MacEntry(mac, vlan, port, true, nowMs));
    return true;
  }

  /** False when there is no such static entry. */
  delStatic(mac: Mac, vlan: number): boolean {
    const entry = this.lookup(mac, vlan);
    if (entry === undefined || !entry.isStatic) return false;
    this.remove(entry);
    return true;
  }

  /** Removes what has not been seen for `idleMs`; true when anything was. */
  expire(nowMs: number): boolean {
    let changed = false;
    let entry = this.oldest;
    while (entry !== undefined) {
      const newer: MacEntry<P> | undefined = entry.newer;
      if (!entry.isStatic) {
        if (entry.seenMs + this.idleMs > nowMs) break;
        this.remove(entry);
        this.expired++;
        coverExpired.count++;
        changed = true;
      }
      entry = newer;
    }
    return changed;
  }

  /** Forgets all that was learned (static entries stay); true when anything was. */
  flush(): boolean {
    return this.forget(() => true);
  }

  /** Forgets what was learned on `port`, static entries included: the port is going away. Returns what went. */
  flushPort(port: P): MacEntry<P>[] {
    const gone: MacEntry<P>[] = [];
    this.forget((entry) => {
      if (entry.port === port) gone.push(entry);
      return entry.port === port;
    }, true);
    return gone;
  }

  /** Forgets one address, unless somebody has entered it by hand; true when it was there. */
  forgetAddress(mac: Mac, vlan: number): boolean {
    const entry = this.lookup(mac, vlan);
    if (entry === undefined || entry.isStatic) return false;
    this.remove(entry);
    return true;
  }

  flushVlan(vlan: number): boolean {
    return this.forget((entry) => entry.vlan === vlan);
  }

  setLimits(idleSec: number, maxEntries: number): void {
    this.idleMs = idleSec * 1000;
    this.maxEntries = maxEntries;
    while (this.count > this.maxEntries && this.evictOne()) {}
  }

  clearStats(): void {
    this.learned = 0;
    this.expired = 0;
    this.evicted = 0;
    this.moved = 0;
  }

  /** Least recently seen first. */
  *entries(): IterableIterator<MacEntry<P>> {
    for (let entry = this.oldest; entry !== undefined; entry = entry.newer) yield entry;
  }

  private forget(which: (entry: MacEntry<P>) => boolean, statics = false): boolean {
    let changed = false;
    let entry = this.oldest;
    while (entry !== undefined) {
      const newer: MacEntry<P> | undefined = entry.newer;
      if ((statics || !entry.isStatic) && which(entry)) {
        this.remove(entry);
        changed = true;
      }
      entry = newer;
    }
    return changed;
  }

  /** The least recently seen entry of the port that has most. */
  private evictOne(): boolean {
    const entry = this.usage.victim();
    if (entry === undefined) return false;
    this.remove(entry);
    this.evicted++;
    coverEvicted.count++;
    return true;
  }

  private insert(entry: MacEntry<P>): void {
    let vlan = this.byVlan[entry.vlan];
    if (vlan === undefined) {
      vlan = new Map();
      this.byVlan[entry.vlan] = vlan;
    }
    vlan.set(entry.mac, entry);
    this.count++;
    if (entry.isStatic) this.statics++;
    else this.usage.add(entry);
    this.append(entry);
  }

  private remove(entry: MacEntry<P>): void {
    this.byVlan[entry.vlan]!.delete(entry.mac);
    this.count--;
    if (entry.isStatic) this.statics--;
    else this.usage.remove(entry);
    entry.live = false;
    this.unlink(entry);
  }

  private append(entry: MacEntry<P>): void {
    entry.older = this.newest;
    entry.newer = undefined;
    if (this.newest !== undefined) this.newest.newer = entry;
    else this.oldest = entry;
    this.newest = entry;
  }

  private unlink(entry: MacEntry<P>): void {
    if (entry.older !== undefined) entry.older.newer = entry.newer;
    else this.oldest = entry.newer;
    if (entry.newer !== undefined) entry.newer.older = entry.older;
    else this.newest = entry.older;
    entry.older = undefined;
    entry.newer = undefined;
  }
}
