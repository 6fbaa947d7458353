/**
 * Runs ODP programs on packets. Hot path: one dense switch over the program's words, nothing allocated.
 *
 * A packet's bytes may already be queued for sending (not copied) when an action is about to change them:
 * `io.unshare` is asked first. Nested programs that change the packet run on a copy from the scratch buffers.
 * Actions on metadata change the key; actions on headers leave the key stale, and it is extracted again where it is
 * needed (recirculation, upcall).
 */
import {
  FLOW_DP_WORDS,
  FLOW_PACKET_WORDS,
  type Flow,
  W_CT_LABEL,
  W_CT_NW_PROTO,
  W_CT_NW_SRC,
  W_CT_STATE_ZONE,
  W_DP_HASH,
  W_ETH_DST_HI,
  W_ETH_TYPE,
  W_IPV4_DST,
  W_IPV4_SRC,
  W_IPV6_DST,
  W_IPV6_SRC,
  W_NSH_BASE,
  W_NSH_CONTEXT,
  W_NW,
  W_PACKET_TYPE,
  W_RECIRC_ID,
  W_SKB_PRIORITY,
  W_TP,
} from "../../flow/layout.ts";
import { ETH_TYPE_IPV4, ETH_TYPE_IPV6 } from "../../flow/packet/ethernet.ts";
import { hashAdd, hashFinish } from "../../lib/hash.ts";
import { UPCALL_ACTION } from "../dpif.ts";
import {
  ODP_ADD_MPLS,
  ODP_CHECK_PKT_LEN,
  ODP_CLONE,
  ODP_CT,
  ODP_CT_CLEAR,
  ODP_DROP,
  ODP_HASH,
  ODP_METER,
  ODP_OUTPUT,
  ODP_POP_ETH,
  ODP_POP_MPLS,
  ODP_POP_NSH,
  ODP_POP_VLAN,
  ODP_PUSH_ETH,
  ODP_PUSH_MPLS,
  ODP_PUSH_NSH,
  ODP_PUSH_VLAN,
  ODP_RECIRC,
  ODP_SAMPLE,
  ODP_SET,
  ODP_TRUNC,
  ODP_USERSPACE,
} from "../odp/actions.ts";
import { GSO_NONE, type Packet, VNET_HEADER_LENGTH } from "../packet.ts";
import { addMpls, nshLength, popEth, popFirstMpls, popNsh, pushEth, pushNsh, setNsh } from "./encap.ts";
import { finishChecksum } from "./gso.ts";
import { METER_DROP, METER_PASS, type MeterBank, remarkDscp } from "./meters.ts";
import { popMpls, pushMpls } from "./mpls.ts";
import type { Scratch } from "./scratch.ts";
import { setField } from "./set-field.ts";
import {
  DROP_METER,
  DROP_NO_CONNTRACK,
  DROP_NO_ROOM,
  DROP_NOT_IMPLEMENTED,
  DROP_RECIRC_DEPTH,
  N_ACTION_DROPS,
  N_DROPS,
} from "./shared.ts";
import { popVlan, pushVlan } from "./vlan.ts";

const RECIRC_DEPTH_MAX = 6;

/** Where packets go. */
export interface PacketIo {
  /** Sends or queues; the bytes at `packet` stay as they are until flushed or unshared. May change header fields. */
  output(port: number, packet: Packet): void;
  /** To be called before bytes of `packet` are changed: what is queued of it is sent first. */
  unshare(packet: Packet): void;
  upcall(kind: number, packet: Packet, key: Flow, userdata: number): void;
}

/** The datapath's lookup, for recirculation: classifies `packet` under the key's metadata and runs what it finds. */
export type Recirculate = (packet: Packet, key: Flow, depth: number) => void;

export class Executor {
  private readonly io: PacketIo;
  private readonly scratch: Scratch;
  private readonly counters: Float64Array;
  private readonly recirculate: Recirculate;
  private readonly extract: (packet: Packet, key: Flow) => void;
  private readonly random: () => number;
  private readonly meters: MeterBank;
  /** Set when a program has written to a word past the packet's. */
  wide = false;
  /** Buffers that packets under way have moved to. */
  private readonly held: Packet[] = [];
  private heldCount = 0;
  /** Keys of nested and recirculated runs, one a depth. */
  private readonly keys: Flow[] = [];

  /** `random` gives 32 bits; `extract` fills the header words of a key. */
  constructor(
    io: PacketIo,
    scratch: Scratch,
    counters: Float64Array,
    recirculate: Recirculate,
    extract: (packet: Packet, key: Flow) => void,
    random: () => number,
    meters: MeterBank,
  ) {
    this.io = io;
    this.scratch = scratch;
    this.counters = counters;
    this.recirculate = recirculate;
    this.extract = extract;
    this.random = random;
    this.meters = meters;
    for (let i = 0; i < 32; i++) this.keys.push(new Int32Array(FLOW_DP_WORDS));
  }

  /** Runs program[start..end) on `packet`, whose key is `key`. Both may be changed. */
  run(packet: Packet, key: Flow, program: Int32Array, start: number, end: number, depth: number): void {
    const io = this.io;
    let cut = 0;
    let stale = false;
    let remark = 0;
    for (let at = start; at < end; at += program[at + 1]!) {
      const next = at + program[at + 1]!;
      switch (program[at]) {
        case ODP_OUTPUT:
          if (cut > 0 && cut < packet.length) this.outputCut(packet, program[at + 2]!, cut);
          else io.output(program[at + 2]!, packet);
          cut = 0;
          break;
        case ODP_PUSH_VLAN:
          if (!this.makeRoom(packet, 4)) return;
          pushVlan(packet, program[at + 2]!);
          stale = true;
          break;
        case ODP_POP_VLAN:
          io.unshare(packet);
          popVlan(packet);
          stale = true;
          break;
        case ODP_SET: {
          const word = program[at + 2]!;
          const mask = program[at + 4]!;
          if (word >= W_NSH_BASE && word < W_NSH_CONTEXT + 4) {
            io.unshare(packet);
            setNsh(packet, key, word, program[at + 3]!, mask);
            stale = true;
          } else if (word < W_ETH_DST_HI || word >= FLOW_PACKET_WORDS) {
            key[word] = (key[word]! & ~mask) | (program[at + 3]! & mask);
            if (word >= FLOW_PACKET_WORDS) this.wide = true;
            else if (word === W_SKB_PRIORITY) packet.priority = key[word]!;
          } else if (key[W_PACKET_TYPE] === 0) {
            io.unshare(packet);
            setField(packet, word, program[at + 3]!, mask);
            stale = true;
          } else {
            // Fields are found from the start of a frame.
            if (!this.makeRoom(packet, 14)) return;
            pushEth(packet, key, 0, 0, 0);
            setField(packet, word, program[at + 3]!, mask);
            popEth(packet, key);
            stale = true;
          }
          break;
        }
        case ODP_USERSPACE:
          if (stale) this.extract(packet, key);
          stale = false;
          if (cut > 0 && cut < packet.length) this.upcallCut(packet, key, program[at + 2]!, cut);
          else io.upcall(UPCALL_ACTION, packet, key, program[at + 2]!);
          cut = 0;
          break;
        case ODP_TRUNC:
          cut = program[at + 2]!;
          break;
        case ODP_RECIRC:
          this.recirc(packet, key, program[at + 2]!, next === end, depth);
          break;
        case ODP_DROP:
          this.counters[N_ACTION_DROPS + program[at + 2]!]!++;
          return;
        case ODP_HASH:
          if (stale) this.extract(packet, key);
          stale = false;
          key[W_DP_HASH] = flowHash(key, program[at + 2]!, program[at + 3]!);
          break;
        case ODP_CLONE:
          if (stale) this.extract(packet, key);
          stale = false;
          this.nested(packet, key, program, at + 2, next, next === end, depth);
          break;
        case ODP_SAMPLE:
          if (stale) this.extract(packet, key);
          stale = false;
          if (this.random() >>> 0 <= program[at + 2]! >>> 0 && program[at + 2] !== 0) {
            this.nested(packet, key, program, at + 3, next, next === end, depth);
          }
          break;
        case ODP_PUSH_MPLS:
          if (!this.makeRoom(packet, 4)) return;
          pushMpls(packet, program[at + 2]!, program[at + 3]!);
          stale = true;
          break;
        case ODP_POP_MPLS:
          io.unshare(packet);
          if (key[W_PACKET_TYPE] === 0) popMpls(packet, program[at + 2]!);
          else popFirstMpls(packet, key, program[at + 2]!);
          stale = true;
          break;
        case ODP_ADD_MPLS:
          if (!this.makeRoom(packet, 4)) return;
          addMpls(packet, key, program[at + 2]!, program[at + 3]!);
          stale = true;
          break;
        case ODP_PUSH_ETH:
          if (!this.makeRoom(packet, 14)) return;
          pushEth(packet, key, program[at + 2]!, program[at + 3]!, program[at + 4]!);
          stale = true;
          break;
        case ODP_POP_ETH:
          io.unshare(packet);
          popEth(packet, key);
          stale = true;
          break;
        case ODP_PUSH_NSH:
          if (!this.makeRoom(packet, nshLength(program, at))) return;
          pushNsh(packet, key, program, at);
          stale = true;
          this.wide = true;
          break;
        case ODP_POP_NSH:
          io.unshare(packet);
          popNsh(packet, key);
          stale = true;
          break;
        case ODP_CHECK_PKT_LEN: {
          if (stale) this.extract(packet, key);
          stale = false;
          const greater = at + 4;
          const less = greater + program[at + 3]!;
          if (packet.length > program[at + 2]!)
            this.nested(packet, key, program, greater, less, next === end, depth);
          else this.nested(packet, key, program, less, next, next === end, depth);
          break;
        }
        case ODP_CT:
          // Connection tracking comes later: whoever asked for it must not be forwarded without.
          this.drop(DROP_NO_CONNTRACK);
          return;
        case ODP_CT_CLEAR:
          key.fill(0, W_CT_STATE_ZONE, W_CT_LABEL + 4);
          key.fill(0, W_CT_NW_SRC, W_CT_NW_PROTO + 1);
          break;
        case ODP_METER:
          remark = this.meters.run(program[at + 2]!, packet);
          if (remark === METER_DROP) {
            this.drop(DROP_METER);
            return;
          }
          if (remark !== METER_PASS) {
            if (stale) this.extract(packet, key);
            this.remark(packet, key, remark);
            stale = true;
          }
          break;
        default:
          // Tunnels: a later issue.
          this.drop(DROP_NOT_IMPLEMENTED);
          return;
      }
      if (next <= at) return;
    }
  }

  /** To be called when a packet has been dealt with. */
  finish(): void {
    while (this.heldCount > 0) this.scratch.release(this.held[--this.heldCount]!);
  }

  private drop(reason: number): void {
    this.counters[N_DROPS + reason]!++;
  }

  private remark(packet: Packet, key: Flow, levels: number): void {
    const type = key[W_ETH_TYPE];
    if (type !== ETH_TYPE_IPV4 && type !== ETH_TYPE_IPV6) return;
    const dscp = (key[W_NW]! >>> 10) & 0x3f;
    const fresh = remarkDscp(dscp, levels);
    if (fresh === dscp) return;
    this.io.unshare(packet);
    setField(packet, W_NW, fresh << 10, 0xfc00);
  }

  /** Makes the bytes private with `bytes` of headroom (and a virtio header's); false when there is no memory. */
  private makeRoom(packet: Packet, bytes: number): boolean {
    this.io.unshare(packet);
    if (packet.offset - packet.floor >= bytes + VNET_HEADER_LENGTH) return true;
    const copy = this.scratch.copy(packet);
    if (copy === undefined) {
      this.drop(DROP_NO_ROOM);
      return false;
    }
    packet.data = copy.data;
    packet.address = copy.address;
    packet.offset = copy.offset;
    packet.floor = copy.floor;
    if (this.heldCount === this.held.length) this.held.push(copy);
    else this.held[this.heldCount] = copy;
    this.heldCount++;
    return true;
  }

  /** A cut frame cannot be finished later: it loses its offloads, with the checksum of the whole. */
  private outputCut(packet: Packet, port: number, cut: number): void {
    const copy = this.cutCopy(packet, cut);
    if (copy === undefined) return;
    this.io.output(port, copy);
    this.scratch.release(copy);
  }

  private upcallCut(packet: Packet, key: Flow, userdata: number, cut: number): void {
    const copy = this.cutCopy(packet, cut);
    if (copy === undefined) return;
    this.io.upcall(UPCALL_ACTION, copy, key, userdata);
    this.scratch.release(copy);
  }

  private cutCopy(packet: Packet, cut: number): Packet | undefined {
    const copy = this.scratch.copy(packet);
    if (copy === undefined) {
      this.drop(DROP_NO_ROOM);
      return undefined;
    }
    finishChecksum(copy);
    copy.length = cut;
    copy.vnetFlags = 0;
    copy.gsoType = GSO_NONE;
    return copy;
  }

  private recirc(packet: Packet, key: Flow, id: number, last: boolean, depth: number): void {
    if (depth >= RECIRC_DEPTH_MAX) {
      this.drop(DROP_RECIRC_DEPTH);
      return;
    }
    const copy = last ? packet : this.scratch.copy(packet);
    if (copy === undefined) {
      this.drop(DROP_NO_ROOM);
      return;
    }
    const inner = this.keys[depth]!;
    inner.set(key);
    inner[W_RECIRC_ID] = id;
    this.extract(copy, inner);
    this.recirculate(copy, inner, depth + 1);
    if (!last) this.scratch.release(copy);
  }

  /** Runs a nested program; on a copy when it changes what later actions would see. */
  private nested(
    packet: Packet,
    key: Flow,
    program: Int32Array,
    start: number,
    end: number,
    last: boolean,
    depth: number,
  ): void {
    if (last || !changesPacket(program, start, end)) {
      this.run(packet, key, program, start, end, depth);
      return;
    }
    if (depth + 16 >= this.keys.length) {
      this.drop(DROP_RECIRC_DEPTH);
      return;
    }
    const copy = this.scratch.copy(packet);
    if (copy === undefined) {
      this.drop(DROP_NO_ROOM);
      return;
    }
    const inner = this.keys[depth + 16]!;
    inner.set(key);
    this.run(copy, inner, program, start, end, depth + 1);
    this.scratch.release(copy);
  }
}

function changesPacket(program: Int32Array, start: number, end: number): boolean {
  for (let at = start; at < end; at += program[at + 1]!) {
    const opcode = program[at];
    if (opcode !== ODP_OUTPUT && opcode !== ODP_USERSPACE && opcode !== ODP_TRUNC && opcode !== ODP_DROP)
      return true;
  }
  return false;
}

/** OVS_HASH_ALG_L4 (0), or symmetric (1): both directions of a connection give the same. */
function flowHash(key: Flow, algorithm: number, basis: number): number {
  let hash = basis;
  if (algorithm === 1) {
    hash = hashAdd(hash, key[W_IPV4_SRC]! ^ key[W_IPV4_DST]!);
    for (let i = 0; i < 4; i++) hash = hashAdd(hash, key[W_IPV6_SRC + i]! ^ key[W_IPV6_DST + i]!);
    hash = hashAdd(hash, key[W_NW]! & 0xff);
    hash = hashAdd(hash, (key[W_TP]! >>> 16) ^ (key[W_TP]! & 0xffff));
  } else {
    hash = hashAdd(hash, key[W_IPV4_SRC]!);
    hash = hashAdd(hash, key[W_IPV4_DST]!);
    for (let i = 0; i < 8; i++) hash = hashAdd(hash, key[W_IPV6_SRC + i]!);
    hash = hashAdd(hash, key[W_NW]! & 0xff);
    hash = hashAdd(hash, key[W_TP]!);
  }
  // 0 means "not hashed".
  return hashFinish(hash, 28) | 0 || 1;
}
