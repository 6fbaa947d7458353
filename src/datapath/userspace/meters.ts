/**
 * Meters (OpenFlow 1.3.1 section 5.7): token buckets that say of each packet whether it passes, is dropped, or loses drop
 * precedence. Hot path: one row of doubles a meter, nothing allocated a packet. Rows belong to the thread that forwards,
 * what the buckets have left to all that do; the statistics lie in memory that main may share.
 *
 * A bucket holds thousandths of packets, or bits: what a rate a second (of thousands, for bits) fills in in a millisecond.
 */
import type { DpMeter, DpMeterStats } from "../dpif.ts";
import { METER_KBPS, METER_MAX_BANDS } from "../dpif.ts";
import type { Packet } from "../packet.ts";
import { type Buckets, MAX_DP_METERS, meterLevels } from "./buckets.ts";

// A row: kind, number of bands, then the bands.
const R_KBPS = 0;
const R_BANDS = 1;
const R_FIRST = 2;
// A band.
const B_RATE = 0;
const B_CAPACITY = 1;
/** 0: drop, else how many drop precedences are added. */
const B_REMARK = 2;
const BAND = 3;
const ROW = R_FIRST + METER_MAX_BANDS * BAND;

// Statistics: packets and bytes of the meter, then of each band.
const STATS_ROW = 2 + METER_MAX_BANDS * 2;
export const METER_STATS_BYTES = MAX_DP_METERS * STATS_ROW * 8;

const CHUNK = 64;

export const METER_PASS = 0;
export const METER_DROP = -1;

/** Numbers that say all about a meter, for a request between threads: flags, then type, rate, burst, level of each band. */
export function meterWords(meter: DpMeter): number[] {
  return [
    meter.flags,
    ...meter.bands.flatMap(({ bandType, rate, burst, precLevel }) => [bandType, rate, burst, precLevel]),
  ];
}

export function meterOfWords(words: Int32Array): DpMeter {
  const bands: DpMeter["bands"] = [];
  for (let at = 1; at + 3 < words.length; at += 4) {
    bands.push({
      bandType: words[at]!,
      rate: words[at + 1]! >>> 0,
      burst: words[at + 2]! >>> 0,
      precLevel: words[at + 3]!,
    });
  }
  return { flags: words[0]!, bands };
}

const BAND_DSCP_REMARK = 2;

export class MeterBank {
  private readonly chunks: (Float64Array | undefined)[] = [];
  private readonly stats: Float64Array;
  private readonly time: { readonly nowMs: number };
  private readonly buckets: Buckets;

  /** `time.nowMs` is that of the packets in hand. `stats` holds METER_STATS_BYTES, zeros. */
  constructor(stats: ArrayBufferLike, time: { readonly nowMs: number }, buckets: Buckets) {
    this.stats = new Float64Array(stats);
    this.time = time;
    this.buckets = buckets;
  }

  /** Makes or replaces a meter: its buckets are full, its counters zero. */
  set(id: number, meter: DpMeter): void {
    const { row, chunk } = this.place(id);
    chunk.fill(0, row, row + ROW);
    chunk[row + R_KBPS] = (meter.flags & METER_KBPS) !== 0 ? 1 : 0;
    chunk[row + R_BANDS] = meter.bands.length;
    meter.bands.forEach(({ bandType, rate, burst, precLevel }, i) => {
      const band = row + R_FIRST + i * BAND;
      chunk[band + B_RATE] = rate;
      // Who gives no burst may send a second's worth at once.
      chunk[band + B_CAPACITY] = (burst > 0 ? burst : rate) * 1000;
      chunk[band + B_REMARK] = bandType === BAND_DSCP_REMARK ? Math.max(1, precLevel) : 0;
    });
    this.stats.fill(0, id * STATS_ROW, (id + 1) * STATS_ROW);
    if (this.buckets.fills) this.fill(id, chunk, row, meter.bands.length);
  }

  private fill(id: number, chunk: Float64Array, row: number, bands: number): void {
    const { levels } = this.buckets;
    const at = meterLevels(id);
    const locked = this.buckets.lock(id);
    levels[at] = this.time.nowMs;
    for (let i = 0; i < bands; i++) levels[at + 1 + i] = chunk[row + R_FIRST + i * BAND + B_CAPACITY]!;
    if (locked) this.buckets.unlock(id);
  }

  remove(id: number): void {
    const { row, chunk } = this.place(id);
    chunk.fill(0, row, row + ROW);
  }

  /** METER_PASS, METER_DROP, or how many drop precedences the packet gets. A meter that is not there lets all pass. */
  run(id: number, packet: Packet): number {
    const chunk = this.chunks[id >> 6];
    if (chunk === undefined) return METER_PASS;
    const row = (id & (CHUNK - 1)) * ROW;
    const bands = chunk[row + R_BANDS]!;
    const stats = id * STATS_ROW;
    this.stats[stats]!++;
    this.stats[stats + 1]! += packet.length;
    const cost = chunk[row + R_KBPS] === 1 ? packet.length * 8 : packetsOf(packet) * 1000;
    const { levels } = this.buckets;
    let level = meterLevels(id);
    let hit = -1;
    let hitRate = -1;
    const locked = this.buckets.lock(id);
    // Another lane may be ahead.
    const elapsed = Math.max(0, this.time.nowMs - levels[level]!);
    levels[level]! += elapsed;
    for (let i = 0; i < bands; i++) {
      const band = row + R_FIRST + i * BAND;
      const rate = chunk[band + B_RATE]!;
      const tokens = Math.min(chunk[band + B_CAPACITY]!, levels[++level]! + elapsed * rate);
      if (tokens >= cost) levels[level] = tokens - cost;
      else {
        levels[level] = tokens;
        // Of the bands that are exceeded the fastest applies.
        if (rate > hitRate) {
          hit = i;
          hitRate = rate;
        }
      }
    }
    if (locked) this.buckets.unlock(id);
    if (hit < 0) return METER_PASS;
    const counter = stats + 2 + hit * 2;
    this.stats[counter]!++;
    this.stats[counter + 1]! += packet.length;
    const remark = chunk[row + R_FIRST + hit * BAND + B_REMARK]!;
    return remark === 0 ? METER_DROP : remark;
  }

  private place(id: number): { row: number; chunk: Float64Array } {
    let chunk = this.chunks[id >> 6];
    if (chunk === undefined) {
      chunk = new Float64Array(CHUNK * ROW);
      this.chunks[id >> 6] = chunk;
    }
    return { row: (id & (CHUNK - 1)) * ROW, chunk };
  }
}

/** How many packets one that stands for many segments is. */
export function packetsOf(packet: Packet): number {
  if (packet.gsoType === 0 || packet.gsoSize === 0) return 1;
  return Math.max(1, Math.ceil((packet.length - packet.gsoHeaderLength) / packet.gsoSize));
}

/** The DSCP with `levels` more drop precedence: assured forwarding has three (RFC 2597), other classes none. */
export function remarkDscp(dscp: number, levels: number): number {
  const group = dscp >> 3;
  const precedence = (dscp >> 1) & 3;
  if (group < 1 || group > 4 || precedence === 0 || (dscp & 1) !== 0) return dscp;
  return (group << 3) | (Math.min(3, precedence + levels) << 1);
}

/** Reads a meter's counters out of the shared memory of each lane. */
export function readMeterStats(lanes: readonly Float64Array[], id: number, bands: number): DpMeterStats {
  const sum = (at: number): number => lanes.reduce((all, stats) => all + stats[id * STATS_ROW + at]!, 0);
  const out: DpMeterStats = { packets: sum(0), bytes: sum(1), bands: [] };
  for (let i = 0; i < bands; i++) out.bands.push({ packets: sum(2 + i * 2), bytes: sum(3 + i * 2) });
  return out;
}
