/** Meters with one band that drops, as action programs run them; all others are left to user space. Pure. */
import { type DpMeter, METER_KBPS } from "../../dpif.ts";
import { KTIME_GET_NS, MAP_LOOKUP_ELEM } from "../asm/helpers.ts";
import {
  Add,
  call,
  comment,
  exit,
  IfEq,
  jump,
  type Line,
  Load,
  label,
  loadMap,
  Mov,
  R0,
  R1,
  R2,
  R3,
  R6,
  R7,
  R9,
  R10,
  Store,
  StoreImm,
} from "../asm/instruction.ts";
import { SKB_LEN, SKB_VLAN_PRESENT, TC_ACT_SHOT } from "../asm/skb.ts";
import { packetCount, takeTokens, writeBucket } from "./bucket.ts";
import { MAP_METERS, METER_BITS, METER_BYTES, METER_DROPPED, METER_PACKETS, METER_PASSED } from "./layout.ts";

const BAND_DROP = 1;
const TEMP = -8;

/** What programs read of a meter, undefined for one that they do not run. Its bucket is full, its counters are 0. */
export function meterValue({ flags, bands }: DpMeter): Uint8Array | undefined {
  const [band] = bands;
  if (band === undefined || bands.length > 1 || band.bandType !== BAND_DROP || band.rate === 0)
    return undefined;
  const value = new Uint8Array(METER_BYTES);
  const view = new DataView(value.buffer);
  // Who gives no burst may send a second's worth at once.
  const burst = (band.burst > 0 ? band.burst / band.rate : 1) * 1e9;
  if ((flags & METER_KBPS) !== 0) writeBucket(view, METER_BITS, 8e6 / band.rate, burst);
  else writeBucket(view, METER_PACKETS, 1e9 / band.rate, burst);
  return value;
}

/** Adds the packet to two counters, of packets and of bytes (which are in R2). */
function count(at: number): Line[] {
  return [
    Load.u64(R1, R7, at),
    Add.imm(R1, 1),
    Store.u64(R7, at, R1),
    Load.u64(R1, R7, at + 8),
    Add.reg(R1, R2),
    Store.u64(R7, at + 8, R1),
  ];
}

/** R2 = bytes of the frame, with a tag beside it. */
function length(name: string): Line[] {
  return [
    Load.u32(R2, R6, SKB_LEN),
    Load.u32(R3, R6, SKB_VLAN_PRESENT),
    IfEq.imm(R3, 0, name),
    Add.imm(R2, 4),
    label(name),
  ];
}

/** Ends the program where the packet is too much. `name` makes labels its own; R1 to R5, R7 and R9 are lost. */
export function meter(id: number, name: string): Line[] {
  const [over, done] = [`${name}_over`, `${name}_done`];
  return [
    comment(`meter ${id}`),
    StoreImm.u32(R10, TEMP, id),
    Mov.reg(R2, R10),
    Add.imm(R2, TEMP),
    loadMap(R1, MAP_METERS),
    call(MAP_LOOKUP_ELEM),
    IfEq.imm(R0, 0, done),
    Mov.reg(R7, R0),
    call(KTIME_GET_NS),
    Mov.reg(R9, R0),
    ...length(`${name}_all`),
    ...count(METER_PASSED),
    ...takeTokens(
      `${name}_bits`,
      METER_BITS,
      R9,
      length(`${name}_len`),
      [Store.u64(R7, METER_BITS, R3)],
      over,
    ),
    ...takeTokens(
      `${name}_packets`,
      METER_PACKETS,
      R9,
      packetCount(`${name}_segments`),
      [Store.u64(R7, METER_PACKETS, R3)],
      over,
    ),
    jump(done),
    label(over),
    ...length(`${name}_dropped`),
    ...count(METER_DROPPED),
    Mov.imm(R0, TC_ACT_SHOT),
    exit(),
    label(done),
  ];
}
