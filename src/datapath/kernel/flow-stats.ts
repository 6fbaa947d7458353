/**
 * The kernel's statistics of flows, copied into memory where they are read without a system call: by dumps of ids and counters
 * alone. A dump of many flows goes on in slices. Of each of our flows it is known when it was last seen, so that one that
 * somebody else has taken out of the kernel is found.
 */
import {
  NLM_F_DUMP,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_HEADER,
} from "../../netdev/netlink-message.ts";
import type { NetlinkSocket } from "../../sys/netlink-socket.ts";
import { FLOW_INDICES } from "../dpif.ts";
import { STATS_OCTETS, STATS_PACKETS, STATS_TCP_FLAGS, STATS_USED } from "../userspace/shared.ts";
import { OVS_HEADER } from "./families.ts";
import * as U from "./uapi.ts";
import { NlWriter } from "./writer.ts";

const ROOM = 64 << 10;
export const UFID_BYTES = 16;
const TWO_32 = 2 ** 32;
const ENODEV = 19;
/** The dump goes on. */
const MORE = 1;

/** Ids that we give: two random words of this run, the flow's generation, its number. */
export interface UfidSource {
  readonly nonce: readonly [number, number];
  generation(flow: number): number;
}

export function putUfid(out: NlWriter, source: UfidSource, flow: number): void {
  const at = out.blank(U.FLOW_ATTR_UFID, UFID_BYTES);
  out.put32(at, source.nonce[0], false);
  out.put32(at + 4, source.nonce[1], false);
  out.put32(at + 8, source.generation(flow), false);
  out.put32(at + 12, flow, false);
}

/** Number of the flow that an id is of, -1 when it is not one of ours as they are now. */
export function ufidFlow(source: UfidSource, view: DataView, at: number): number {
  if (view.getInt32(at, true) !== source.nonce[0] || view.getInt32(at + 4, true) !== source.nonce[1])
    return -1;
  const flow = view.getInt32(at + 12, true);
  if (flow < 0 || flow >= FLOW_INDICES) return -1;
  return source.generation(flow) === view.getInt32(at + 8, true) ? flow : -1;
}

/** What packets of a flow have counted outside of the kernel, or before it came there. */
interface Extra {
  packets: number;
  bytes: number;
  usedMs: number;
  tcpFlags: number;
}

export class FlowStatsCopy {
  /** Rows as the userspace datapath has them (STATS_…). Times are CLOCK_MONOTONIC. */
  readonly memory: ArrayBuffer;
  private readonly rows: Float64Array;
  private readonly words: Int32Array;
  private readonly socket: NetlinkSocket;
  private readonly family: number;
  private readonly dpIfindex: number;
  private readonly source: UfidSource;
  private readonly buffer = new Uint8Array(ROOM);
  private readonly view = new DataView(this.buffer.buffer);
  private readonly extras = new Map<number, Extra>();
  /** Number of the dump that has seen a flow last, or during which it was put. */
  private readonly seen = new Int32Array(FLOW_INDICES);
  private dump = 1;
  private underway = false;

  constructor(
    socket: NetlinkSocket,
    family: number,
    dpIfindex: number,
    source: UfidSource,
    memory: ArrayBuffer,
  ) {
    this.socket = socket;
    this.family = family;
    this.dpIfindex = dpIfindex;
    this.source = source;
    this.memory = memory;
    this.rows = new Float64Array(memory);
    this.words = new Int32Array(memory);
  }

  get isUnderway(): boolean {
    return this.underway;
  }

  /** A flow is new: nothing has been counted, and the dump under way need not see it. */
  added(flow: number): void {
    this.seen[flow] = this.dump;
    this.extras.delete(flow);
  }

  /** It is put (again): the dump under way need not see it. */
  touched(flow: number): void {
    this.seen[flow] = this.dump;
  }

  forget(flow: number): void {
    this.extras.delete(flow);
  }

  /** True when the latest whole dump has not found a flow that should be in the kernel. */
  isLost(flow: number): boolean {
    return this.seen[flow]! < this.dump;
  }

  /** Counts packets that the kernel does not. */
  add(flow: number, packets: number, bytes: number, usedMs: number, tcpFlags: number): void {
    let extra = this.extras.get(flow);
    if (extra === undefined) {
      extra = { packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 };
      this.extras.set(flow, extra);
    }
    extra.packets += packets;
    extra.bytes += bytes;
    extra.usedMs = Math.max(extra.usedMs, usedMs);
    extra.tcpFlags |= tcpFlags;
    const row = flow * 4;
    this.rows[row + STATS_PACKETS]! += packets;
    this.rows[row + STATS_OCTETS]! += bytes;
    if (usedMs > this.rows[row + STATS_USED]!) this.rows[row + STATS_USED] = usedMs;
    this.words[flow * 8 + STATS_TCP_FLAGS]! |= tcpFlags;
  }

  private store(flow: number, packets: number, bytes: number, usedMs: number, tcpFlags: number): void {
    const row = flow * 4;
    const extra = this.extras.size === 0 ? undefined : this.extras.get(flow);
    this.rows[row + STATS_PACKETS] = packets + (extra?.packets ?? 0);
    this.rows[row + STATS_OCTETS] = bytes + (extra?.bytes ?? 0);
    this.rows[row + STATS_USED] = Math.max(usedMs, extra?.usedMs ?? 0);
    this.words[flow * 8 + STATS_TCP_FLAGS] = tcpFlags | (extra?.tcpFlags ?? 0);
  }

  /** Takes a message's statistics in, from byte `at` of `view` (attributes) to `end`. `flow` undefined: as its id says. */
  take(view: DataView, at: number, end: number, flow?: number): void {
    let packets = 0;
    let bytes = 0;
    let used = 0;
    let flags = 0;
    let of = flow ?? -1;
    while (at + 4 <= end) {
      const length = view.getUint16(at, true);
      if (length < 4 || at + length > end) return;
      const value = at + 4;
      switch (view.getUint16(at + 2, true) & 0x3fff) {
        case U.FLOW_ATTR_UFID:
          if (flow === undefined && length === 4 + UFID_BYTES) of = ufidFlow(this.source, view, value);
          break;
        case U.FLOW_ATTR_STATS:
          if (length >= 20) {
            packets = u64(view, value);
            bytes = u64(view, value + 8);
          }
          break;
        case U.FLOW_ATTR_TCP_FLAGS:
          if (length >= 5) flags = view.getUint8(value);
          break;
        case U.FLOW_ATTR_USED:
          if (length >= 12) used = u64(view, value);
          break;
        default:
      }
      at += (length + 3) & ~3;
    }
    if (of < 0) return;
    if (this.seen[of]! < this.dump) this.seen[of] = this.dump;
    this.store(of, packets, bytes, used, flags);
  }

  /** Begins a dump, unless one is under way. */
  begin(): void {
    if (this.underway) return;
    const out = new NlWriter();
    this.dump++;
    const version = U.FAMILIES.ovs_flow;
    const at = out.beginMessage(
      this.family,
      NLM_F_REQUEST | NLM_F_DUMP,
      this.dump,
      U.CMD_GET,
      version,
      this.dpIfindex,
    );
    out.u32(U.FLOW_ATTR_UFID_FLAGS, U.UFID_F_OMIT_ALL);
    out.endMessage(at);
    this.underway = this.socket.send(out.bytes, out.length) === 0;
  }

  /** Goes on for about so many messages' datagrams; true when the dump is over. Then {@link isLost} tells what is gone. */
  proceed(datagrams: number): boolean {
    for (let i = 0; this.underway && i < datagrams; i++) {
      const length = this.socket.receive(this.buffer, true);
      const end = length < 0 ? length : this.read(length);
      if (end !== MORE) this.underway = false;
      // What a dump that broke off has not seen may be there, unless the datapath itself is gone.
      if (end < 0 && end !== -ENODEV) this.dump--;
    }
    return !this.underway;
  }

  /** MORE, or at the end of the dump 0 or -errno. */
  private read(length: number): number {
    const { view } = this;
    for (let at = 0; at + NLMSG_HEADER <= length; ) {
      const size = view.getUint32(at, true);
      if (size < NLMSG_HEADER || at + size > length) break;
      if (view.getUint32(at + 8, true) === this.dump) {
        const type = view.getUint16(at + 4, true);
        if (type === NLMSG_DONE || type === NLMSG_ERROR)
          return size >= NLMSG_HEADER + 4 ? view.getInt32(at + NLMSG_HEADER, true) : 0;
        this.take(view, at + NLMSG_HEADER + OVS_HEADER, at + size);
      }
      at += (size + 3) & ~3;
    }
    return MORE;
  }
}

export function u64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * TWO_32;
}
