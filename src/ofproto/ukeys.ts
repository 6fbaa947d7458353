/**
 * What is known of each installed megaflow beyond what the datapath keeps (upstream: `struct udpif_key`): whom its
 * packets are credited to, how much has been credited, when it was translated. A megaflow is a slot of typed arrays.
 */
import type { FlowHandle } from "../datapath/dpif.ts";
import type { Footprint } from "./changes.ts";
import { CreditLists } from "./credits.ts";
import type { Credit, LearnCredit } from "./xlate/context.ts";

const FIRST_CAPACITY = 1024;

function grown<T extends Float64Array | Int32Array>(old: T, make: (length: number) => T, length: number): T {
  const fresh = make(length);
  fresh.set(old as never);
  return fresh;
}

const float64 = (length: number) => new Float64Array(length);
const int32 = (length: number) => new Int32Array(length);

export class Ukeys {
  readonly lists = new CreditLists();
  private readonly slots = new Map<FlowHandle, number>();
  private readonly free: number[] = [];
  private next = 0;
  private capacity = FIRST_CAPACITY;

  handle = float64(FIRST_CAPACITY);
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
    return this.slots.size;
  }

  slotOf(handle: FlowHandle): number | undefined {
    return this.slots.get(handle);
  }

  /** Slots are numbers below this; of free ones `handle` is -1. */
  get slotEnd(): number {
    return this.next;
  }

  /** Safe against removal of what was returned. */
  handles(): IterableIterator<FlowHandle> {
    return this.slots.keys();
  }

  add(
    handle: FlowHandle,
    nowMs: number,
    generation: number,
    credits: readonly Credit[],
    learns: readonly LearnCredit[],
    footprint: Footprint,
  ): number {
    const old = this.slots.get(handle);
    if (old !== undefined) this.remove(handle);
    const slot = this.free.pop() ?? this.next++;
    if (slot >= this.capacity) this.grow();
    this.slots.set(handle, slot);
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
    const slot = this.slots.get(handle);
    if (slot === undefined) return;
    this.slots.delete(handle);
    this.lists.release(this.credits[slot]!);
    this.moreLearns.delete(slot);
    this.handle[slot] = -1;
    this.free.push(slot);
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

  creditsOf(slot: number): IterableIterator<Credit> {
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
    this.moreLearns.delete(slot);
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
    this.handle = grown(this.handle, float64, length);
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
