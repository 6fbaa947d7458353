/**
 * Memory that programs and this process share, byte by byte, and the maps that hold it. Little-endian, as the programs see it.
 *
 *   value of a flow in its mask's map        row of statistics, one a flow and processor
 *   | 0  flow number          u32 |          | 0  packets                u64 |
 *   | 4  action program, or 0 u32 |          | 8  bytes                  u64 |
 *   | 8  ifindex, 0: drop     u32 |          | 16 CLOCK_MONOTONIC, ns    u64 |
 *   | 12 far end's number, 0  u32 |          | 24 TCP flags seen         u32 |
 *
 *   record in the ring buffer, before the frame      port, by its ifindex
 *   | 0  ifindex                            u32 |    | 0 PORT_FLAG_TAP   u32 |
 *   | 4  bytes of the frame                 u32 |    | 4 Ethernet address    |
 *   | 8  stripped tag, TPID << 16 | TCI     u32 |    |   (6 bytes, 2 unused) |
 *   | 12 1 when there is a stripped tag     u32 |
 *   | 16 gso_size                           u32 |    | 12 datapath port  u32 |
 *   | 20 gso_segs                           u32 |
 *   | 24 1 when an action hands it up       u32 |
 *   | 28 that action's operand              u32 |
 *
 *   journal, a slot of 128 bytes by flow number: the key of a packet that the flow was made for
 *   | 0  which of its words 0 to 31 are not 0                         u32 |
 *   | 4  of 32 to FLOW_PACKET_WORDS - 1; the top bit: the slot is whole u32 |
 *   | 8  those words, at most 30                                          |
 *
 *   policing of a port, by its ifindex: a bucket (bucket.ts) of bits and one of packets
 *   meter, by its number                     band of a meter
 *   | 0  1: bits, 0: packets   u64 |         | 0  bucket (bucket.ts)         |
 *   | 8  packets and bytes         |         | 24 packets and bytes that it  |
 *   |    that came  u64, u64       |         |    dropped           u64, u64 |
 *   | 24 bands, fastest first      |         | 40 its number             u64 |
 */
import { METER_MAX_BANDS } from "../../dpif.ts";
import { Add, type Line, Load, loadMapValue, R1, R2, Store } from "../asm/instruction.ts";

/** Flows that programs can serve at a time; their statistics take 32 bytes each for every processor, and once more. */
export const FLOW_BITS = 16;
export const MAX_BPF_FLOWS = 1 << FLOW_BITS;

export const VALUE_BYTES = 24;
export const VALUE_FLOW = 0;
export const VALUE_PROGRAM = 4;
export const VALUE_IFINDEX = 8;
/** Of the device's far end: its number in MAP_FAR_ENDS, 0 when frames are not to go there the short way; its address. */
export const VALUE_FAR_END = 12;
export const VALUE_FAR_ADDRESS = 16;

export const ROW_SHIFT = 5;
export const ROW_BYTES = 1 << ROW_SHIFT;
export const ROW_PACKETS = 0;
export const ROW_OCTETS = 8;
export const ROW_USED = 16;
export const ROW_TCP_FLAGS = 24;

export const RECORD_IFINDEX = 0;
export const RECORD_LENGTH = 4;
export const RECORD_TAG = 8;
export const RECORD_TAGGED = 12;
export const RECORD_GSO_SIZE = 16;
export const RECORD_GSO_SEGS = 20;
export const RECORD_ACTION = 24;
export const RECORD_OPERAND = 28;
export const RECORD_HEADER = 32;

/** Longest frames of the kinds of records: most of what misses is short. */
export const RECORD_ROOMS: readonly number[] = [256, 2048, 65535 + 64];

export const PORT_BYTES = 16;
export const PORT_FLAGS = 0;
export const PORT_ADDRESS = 4;
export const PORT_NUMBER = 12;
export const PORT_FLAG_TAP = 1;

/** To be changed with anything here that a later run reads of what this one has left: another version lets it go. */
export const LAYOUT_VERSION = 3;

export const JOURNAL_BYTES = 128;

/** Far ends of devices that have counters, and bytes of these: packets and bytes, u64 each. */
export const FAR_END_BITS = 12;
export const FAR_END_BYTES = 16;

// Counters, u64 each.
/** Packets handed up, and those for which there was no room. */
export const COUNT_UP = 0;
export const COUNT_LOST = 1;
/** Dropped by policing. */
export const COUNT_POLICED = 2;
/** What actions hand up, for which there was no room. */
export const COUNT_ACTION_LOST = 3;
/** Dropped by meters. */
export const COUNT_METERED = 4;
/** First of ACTION_DROPS in drop-reasons.ts. */
export const COUNT_ACTION_DROPS = 8;
export const COUNTERS = 32;
export const COUNTER_BYTES = COUNTERS * 8;

/** Of all processors together: few packets come this way, and a count lost to a race is no harm. */
export function countUp(counter: number): Line[] {
  return [
    loadMapValue(R1, MAP_COUNTERS, counter * 8),
    Load.u64(R2, R1, 0),
    Add.imm(R2, 1),
    Store.u64(R1, 0, R2),
  ];
}

export const POLICING_BITS = 0;
export const POLICING_PACKETS = 24;
export const POLICING_BYTES = 48;

export const METER_UNIT = 0;
export const METER_PASSED = 8;
export const METER_BANDS = 24;
export const BAND_DROPPED = 24;
export const BAND_NUMBER = 40;
export const BAND_BYTES = 48;
export const METER_BYTES = METER_BANDS + METER_MAX_BANDS * BAND_BYTES;
export const MAX_BPF_METERS = 4096;

// Names of the maps, by which programs refer to them.
export const MAP_STATS = "stats";
export const MAP_COUNTERS = "counters";
export const MAP_PROGRAMS = "programs";
export const MAP_PORTS = "ports";
export const MAP_UPCALLS = "upcalls";
export const MAP_POLICING = "policing";
export const MAP_FAR_ENDS = "far_ends";
export const MAP_JOURNAL = "journal";
export const MAP_METERS = "meters";

/** Slots of the upcall program and of the classifier in MAP_PROGRAMS; action programs have the others. */
export const UPCALL_SLOT = 0;
export const CLASSIFIER_SLOT = 1;
export const FIRST_ACTION_SLOT = 2;
export const PROGRAM_SLOTS = 4096;

export const UPCALL_RING_BYTES = 4 << 20;
export const MAX_BPF_PORTS = 4096;

/** Flag of the redirect helpers: in to the device rather than out of it. */
export const REDIRECT_INGRESS = 1;

/** Flow words in the order in which the wire has their bytes. */
export function swap32(word: number): number {
  return (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24) | 0;
}

export function swap16(word: number): number {
  return ((word & 0xff) << 8) | ((word >>> 8) & 0xff);
}
