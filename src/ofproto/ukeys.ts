/**
 * What is known of each installed megaflow beyond what the datapath keeps (upstream: `struct udpif_key`): whom its
 * packets are credited to, how much has been credited, when it was translated. A megaflow is a slot of typed arrays, the one
 * that its handle's index names.
 */
import { type FlowHandle, flowIndex } from "../datapath/dpif.ts";
import type { Footprint } from "./changes.ts";
import { CreditLists } from "./credits.ts";
import type { Credit, LearnCredit } from "./xlate/context.ts";

const FIRST_CAPACITY = 1024;
const FREE = -1;

function grown<T extends Float64Array | Int32Array>(old: T, make: (length: number) => T, length: number): T {
  const fresh = make(length);
  fresh.set(old as never);
  return fresh;
}

const float64 = (length: number) => new Float64Array(length);
const int32 = (length: number) => new Int32Array(length);

/** In place of the handle, below FREE. */
function retired(handle: FlowHandle): number {
  return FREE - 1 - handle;
}

export class Ukeys {
  readonly lists = new CreditLists();
  private count = 0;
  private next = 0;
  private capacity = FIRST_CAPACITY;

  /** Below 0 of a slot in which no megaflow is installed; of one that is on its way out, see {@link retired}. */
  handle = float64(FIRST_CAPACITY).fill(FREE);
  createdMs = float64(FIRST_CAPACITY);
  pushedPackets = float64(FIRST_CAPACITY);
  pushedBytes = float64(FIRST_CAPACITY);
  /** Generation of the tables that it was translated or revalidated against. */
  generation = float64(FIRST_CAPACITY);
  /** The translation's {@link Footprint}. */
  tagsLo = int32(FIRST_CAPACITY);
  tagsHi = int32(FIRST_CAPACITY);
  alteredLo = int32(FIRST_CAPACITY);
  alteredHi = int32(FIRST_CAPACITY);
  private credits = int32(FIRST_CAPACITY);
  /** The first learned address; most megaflows have one or none (bundle 0). */
  private learnBundle = int32(FIRST_CAPACITY);
  private learnMac = float64(FIRST_CAPACITY);
  private learnVlan = int32(FIRST_CAPACITY);
  /** More than one, through patch ports. */
  private readonly moreLearns = new Map<number, LearnCredit[]>();
  private readonly bundles = new Map<number, LearnCredit>();

  get size(): number {
    return this.count;
  }

  slotOf(handle: FlowHandle): number | undefined {
    const slot = flowIndex(handle);
    return slot < this.next && this.handle[slot] === handle ? slot : undefined;
  }

  /** Slots are numbers below this. */
  get slotEnd(): number {
    return this.next;
  }

  /** Safe against removal of what was returned. */
  *handles(): IterableIterator<FlowHandle> {
    for (let slot = 0; slot < this.next; slot++) if (this.handle[slot]! >= 0) yield this.handle[slot]!;
  }

  add(
    handle: FlowHandle,
    nowMs: number,
    generation: number,
    credits: readonly Credit[],
    learns: readonly LearnCredit[],
    footprint: Footprint,
  ): number {
    const slot = flowIndex(handle);
    while (slot >= this.capacity) this.grow();
    if (slot >= this.next) this.next = slot + 1;
    // Of a flow that somebody else took out of the datapath.
    if (this.handle[slot] !== FREE) this.free(slot);
    this.count++;
    this.handle[slot] = handle;
    this.createdMs[slot] = nowMs;
    this.pushedPackets[slot] = 0;
    this.pushedBytes[slot] = 0;
    this.generation[slot] = generation;
    this.credits[slot] = this.lists.hold(credits);
    this.setLearns(slot, learns);
    this.setFootprint(slot, footprint);
    return slot;
  }

  /** After a revalidation, which may have found other rules on the way. */
  replace(
    slot: number,
    generation: number,
    credits: readonly Credit[],
    learns: readonly LearnCredit[],
    footprint: Footprint,
  ): void {
    const list = this.lists.hold(credits);
    this.lists.release(this.credits[slot]!);
    this.credits[slot] = list;
    this.generation[slot] = generation;
    this.setLearns(slot, learns);
    this.setFootprint(slot, footprint);
  }

  private setFootprint(slot: number, footprint: Footprint): void {
    this.tagsLo[slot] = footprint.tagsLo;
    this.tagsHi[slot] = footprint.tagsHi;
    this.alteredLo[slot] = footprint.alteredLo;
    this.alteredHi[slot] = footprint.alteredHi;
  }

  remove(handle: FlowHandle): void {
    const slot = this.slotOf(handle);
    if (slot !== undefined) this.free(slot);
  }

  private free(slot: number): void {
    if (this.handle[slot]! >= 0) this.count--;
    this.lists.release(this.credits[slot]!);
    if (this.moreLearns.size > 0) this.moreLearns.delete(slot);
    this.handle[slot] = FREE;
  }

  /** The megaflow is being deleted: it counts no more, but what its last packets are credited to is kept until {@link gone}. */
  retire(slot: number): void {
    this.count--;
    this.handle[slot] = retired(this.handle[slot]!);
  }

  /** With the final statistics of a megaflow that was {@link retire}d. */
  gone(handle: FlowHandle, packets: number, bytes: number, usedMs: number, tcpFlags: number): void {
    const slot = flowIndex(handle);
    if (this.handle[slot] !== retired(handle)) return;
    const morePackets = packets - this.pushedPackets[slot]!;
    const moreBytes = bytes - this.pushedBytes[slot]!;
    if (morePackets > 0) this.lists.push(this.credits[slot]!, morePackets, moreBytes, usedMs, tcpFlags);
    this.free(slot);
  }

  /** Credits what is new in the totals; true when anything was. */
  push(slot: number, packets: number, bytes: number, usedMs: number, tcpFlags: number): boolean {
    const morePackets = packets - this.pushedPackets[slot]!;
    const moreBytes = bytes - this.pushedBytes[slot]!;
    if (morePackets <= 0) return false;
    this.pushedPackets[slot] = packets;
    this.pushedBytes[slot] = bytes;
    this.lists.push(this.credits[slot]!, morePackets, moreBytes, usedMs, tcpFlags);
    this.refreshMacs(slot, usedMs);
    return true;
  }

  creditsOf(slot: number): Credit[] {
    return this.lists.of(this.credits[slot]!);
  }

  private refreshMacs(slot: number, usedMs: number): void {
    const site = this.bundles.get(this.learnBundle[slot]!);
    if (site === undefined) return;
    site.ofproto.refreshMac(this.learnMac[slot]!, this.learnVlan[slot]!, site.bundle, usedMs);
    const more = this.moreLearns.get(slot);
    if (more === undefined) return;
    for (const { ofproto, mac, vlan, bundle } of more) ofproto.refreshMac(mac, vlan, bundle, usedMs);
  }

  private setLearns(slot: number, learns: readonly LearnCredit[]): void {
    if (this.moreLearns.size > 0) this.moreLearns.delete(slot);
    const first = learns[0];
    if (first === undefined) {
      this.learnBundle[slot] = 0;
      return;
    }
    if (!this.bundles.has(first.bundle.id)) this.bundles.set(first.bundle.id, first);
    this.learnBundle[slot] = first.bundle.id;
    this.learnMac[slot] = first.mac;
    this.learnVlan[slot] = first.vlan;
    if (learns.length > 1) this.moreLearns.set(slot, learns.slice(1));
  }

  private grow(): void {
    const length = this.capacity * 2;
    this.handle = grown(this.handle, float64, length).fill(FREE, this.capacity);
    this.createdMs = grown(this.createdMs, float64, length);
    this.pushedPackets = grown(this.pushedPackets, float64, length);
    this.pushedBytes = grown(this.pushedBytes, float64, length);
    this.generation = grown(this.generation, float64, length);
    this.tagsLo = grown(this.tagsLo, int32, length);
    this.tagsHi = grown(this.tagsHi, int32, length);
    this.alteredLo = grown(this.alteredLo, int32, length);
    this.alteredHi = grown(this.alteredHi, int32, length);
    this.credits = grown(this.credits, int32, length);
    this.learnBundle = grown(this.learnBundle, int32, length);
    this.learnMac = grown(this.learnMac, float64, length);
    this.learnVlan = grown(this.learnVlan, int32, length);
    this.capacity = length;
  }
}
