/**
 * Memory that main and one lane's worker share, and who writes what. Hot path: only typed arrays.
 *
 * - control: indices and `sleeping` words, accessed with Atomics alone.
 * - counters, flow statistics: written by the worker with plain stores; 8-byte stores do not tear here. Main reads them in
 *   calls, never in a loop that waits.
 * - slots: packets on their way up. The worker takes a free slot, fills it, names it in the upcall ring; main's answer
 *   gives it back. A packet stays where it is and is sent from there.
 * - buckets: what rates have left (buckets.ts), the one thing that lanes share among each other.
 * - samples: copies for monitoring, which nobody answers (sample-ring.ts).
 */
import { FLOW_DP_WORDS } from "../../flow/layout.ts";
import { FLOW_INDICES } from "../dpif.ts";
import { type Packet, VNET_HEADER_LENGTH } from "../packet.ts";
import { BUCKETS_BYTES } from "./buckets.ts";
import { METER_STATS_BYTES } from "./meters.ts";

export const MAX_FLOWS = FLOW_INDICES;

// Control words.
export const C_REQUEST_HEAD = 0;
export const C_REQUEST_TAIL = 16;
export const C_UPCALL_HEAD = 32;
export const C_UPCALL_TAIL = 48;
/** Number of the last request applied (modulo 2^32). */
export const C_APPLIED = 64;
/** 1 while the worker sleeps in epoll_wait: whoever changes it to 0 writes to the eventfd. */
export const C_WORKER_SLEEPS = 80;
/** 1 while main wants a bell for what is in the upcall ring. */
export const C_MAIN_SLEEPS = 96;
/** 1 while main waits for a request to be applied. */
export const C_MAIN_WAITS = 112;
export const C_SAMPLE_HEAD = 128;
export const C_SAMPLE_TAIL = 144;
export const CONTROL_WORDS = 160;

// Counters.
export const N_HITS = 0;
export const N_MISSES = 1;
export const N_LOST = 2;
export const N_EMC_HITS = 3;
export const N_MASKS_LOOKED_AT = 4;
export const N_UPCALLS = 5;
/** First of DATAPATH_DROPS (drop-reasons.ts). */
export const N_DROPS = 16;
/** First of ACTION_DROPS. */
export const N_ACTION_DROPS = 64;
export const COUNTERS = 96;

/** Why a packet went nowhere; indices into the counters after N_DROPS. */
export const DROP_NO_PORT = 0;
export const DROP_TX_QUEUE_FULL = 1;
export const DROP_TX_ERROR = 2;
export const DROP_TOO_SHORT = 3;
export const DROP_UPCALL_QUEUE_FULL = 4;
export const DROP_RECIRC_DEPTH = 5;
export const DROP_NOT_IMPLEMENTED = 6;
export const DROP_NO_ROOM = 7;
export const DROP_NO_FLOW = 8;
export const DROP_OVER_MTU = 9;
export const DROP_BAD_GSO = 10;
export const DROP_PORT_DOWN = 11;
export const DROP_NO_CONNTRACK = 12;
export const DROP_METER = 13;
export const DROP_USERSPACE_ACTION = 14;
export const DROP_POLICED = 15;

// A flow's statistics: 32 bytes.
export const STATS_BYTES = 32;
/** Float64 indices within a row of 4. Bytes are exact to 2^53, which one flow at 10 Gbit/s reaches in 83 days. */
export const STATS_PACKETS = 0;
export const STATS_OCTETS = 1;
/** Milliseconds of CLOCK_MONOTONIC. */
export const STATS_USED = 2;
/** Int32 index within a row of 8. */
export const STATS_TCP_FLAGS = 6;

// Upcall slots: small ones for frames, large ones for what stands for many segments.
export const SMALL_SLOTS = 512;
export const LARGE_SLOTS = 32;
export const SLOT_HEADROOM = 128;
/** Words before the packet's headroom: metadata, then the key. */
export const SLOT_KEY = 16;
export const SLOT_HEADER_WORDS = 176;
export const SLOT_HEADER_BYTES = SLOT_HEADER_WORDS * 4;
export const SMALL_SLOT_BYTES = 4096;
export const LARGE_SLOT_BYTES = 69632;
export const SMALL_SLOT_ROOM = SMALL_SLOT_BYTES - SLOT_HEADER_BYTES - SLOT_HEADROOM;
export const LARGE_SLOT_ROOM = LARGE_SLOT_BYTES - SLOT_HEADER_BYTES - SLOT_HEADROOM;

// Metadata words of a slot.
export const S_KIND = 0;
export const S_USERDATA = 1;
export const S_OFFSET = 2;
export const S_LENGTH = 3;
export const S_VNET_FLAGS = 4;
export const S_GSO_TYPE = 5;
export const S_GSO_HEADER = 6;
export const S_GSO_SIZE = 7;
export const S_CSUM_START = 8;
export const S_CSUM_OFFSET = 9;
/** Upcall kind of a reply to a request in place of a packet: see requests.ts. */
export const SLOT_NONE = -1;

const SLOTS_BYTES = SMALL_SLOTS * SMALL_SLOT_BYTES + LARGE_SLOTS * LARGE_SLOT_BYTES;
const REQUEST_WORDS = 1 << 19;
const UPCALL_WORDS = 1 << 14;
/** 8000 samples of short frames, 900 of the longest. */
export const SAMPLE_WORDS = 1 << 18;

/** One for each lane. */
export interface SharedMemory {
  /** The lane's number. */
  lane: number;
  control: SharedArrayBuffer;
  counters: SharedArrayBuffer;
  flowStats: SharedArrayBuffer;
  meterStats: SharedArrayBuffer;
  requests: SharedArrayBuffer;
  upcalls: SharedArrayBuffer;
  samples: SharedArrayBuffer;
  slots: SharedArrayBuffer;
  /** The same for all lanes. */
  buckets: SharedArrayBuffer;
}

export function makeSharedMemory(lane: number, buckets?: SharedArrayBuffer): SharedMemory {
  return {
    lane,
    control: new SharedArrayBuffer(CONTROL_WORDS * 4),
    counters: new SharedArrayBuffer(COUNTERS * 8),
    flowStats: new SharedArrayBuffer(MAX_FLOWS * STATS_BYTES),
    meterStats: new SharedArrayBuffer(METER_STATS_BYTES),
    requests: new SharedArrayBuffer(REQUEST_WORDS * 4),
    upcalls: new SharedArrayBuffer(UPCALL_WORDS * 4),
    samples: new SharedArrayBuffer(SAMPLE_WORDS * 4),
    slots: new SharedArrayBuffer(SLOTS_BYTES),
    buckets: buckets ?? new SharedArrayBuffer(BUCKETS_BYTES),
  };
}

/** Byte offset of slot `slot` within the slots' memory. */
export function slotStart(slot: number): number {
  return slot < SMALL_SLOTS
    ? slot * SMALL_SLOT_BYTES
    : SMALL_SLOTS * SMALL_SLOT_BYTES + (slot - SMALL_SLOTS) * LARGE_SLOT_BYTES;
}

export function slotRoom(slot: number): number {
  return slot < SMALL_SLOTS ? SMALL_SLOT_ROOM : LARGE_SLOT_ROOM;
}

/** Writes what a packet is, apart from its bytes, to `words` from `at`. */
export function storeSlotPacket(words: Int32Array, at: number, packet: Packet, offset: number): void {
  words[at + S_OFFSET] = offset;
  words[at + S_LENGTH] = packet.length;
  words[at + S_VNET_FLAGS] = packet.vnetFlags;
  words[at + S_GSO_TYPE] = packet.gsoType;
  words[at + S_GSO_HEADER] = packet.gsoHeaderLength;
  words[at + S_GSO_SIZE] = packet.gsoSize;
  words[at + S_CSUM_START] = packet.csumStart;
  words[at + S_CSUM_OFFSET] = packet.csumOffset;
}

export function loadSlotPacket(words: Int32Array, at: number, packet: Packet): void {
  packet.offset = words[at + S_OFFSET]!;
  packet.floor = packet.offset - SLOT_HEADROOM;
  packet.length = words[at + S_LENGTH]!;
  packet.vnetFlags = words[at + S_VNET_FLAGS]!;
  packet.gsoType = words[at + S_GSO_TYPE]!;
  packet.gsoHeaderLength = words[at + S_GSO_HEADER]!;
  packet.gsoSize = words[at + S_GSO_SIZE]!;
  packet.csumStart = words[at + S_CSUM_START]!;
  packet.csumOffset = words[at + S_CSUM_OFFSET]!;
}

if (SLOT_KEY + FLOW_DP_WORDS > SLOT_HEADER_WORDS || SLOT_HEADROOM < VNET_HEADER_LENGTH + 64) {
  throw new Error("upcall slot layout");
}
