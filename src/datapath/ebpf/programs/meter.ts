/**
 * Meters whose bands drop, as action programs run them; those that remark are left to user space. The fastest band comes
 * first: of the bands that a packet exceeds it is the one that applies, and counts. Pure.
 */
import { type DpMeter, METER_KBPS, METER_MAX_BANDS } from "../../dpif.ts";
import { KTIME_GET_NS, MAP_LOOKUP_ELEM } from "../asm/helpers.ts";
import {
  Add,
  call,
  comment,
  exit,
  IfEq,
  IfNe,
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
import {
  BAND_BYTES,
  BAND_DROPPED,
  BAND_NUMBER,
  COUNT_METERED,
  countUp,
  MAP_METERS,
  METER_BANDS,
  METER_BYTES,
  METER_PASSED,
  METER_UNIT,
} from "./layout.ts";

const BAND_DROP = 1;

// On the stack.
const ID = -8;
/** Bytes or packets that the frame counts for. */
const AMOUNT = -16;
/** Not 0 when a band is exceeded. */
const EXCEEDED = -24;

/** What programs read of a meter, undefined for one that they do not run. Its buckets are full, its counters are 0. */
export function meterValue({ flags, bands }: DpMeter): Uint8Array | undefined {
  if (bands.some(({ bandType, rate }) => bandType !== BAND_DROP || rate === 0)) return undefined;
  const value = new Uint8Array(METER_BYTES);
  const view = new DataView(value.buffer);
  const inBytes = (flags & METER_KBPS) !== 0;
  view.setUint32(METER_UNIT, inBytes ? 1 : 0, true);
  const fastest = bands.map((band, number) => ({ ...band, number })).sort((a, b) => b.rate - a.rate);
  fastest.forEach(({ rate, burst, number }, place) => {
    const at = METER_BANDS + place * BAND_BYTES;
    // Who gives no burst may send a second's worth at once.
    writeBucket(view, at, (inBytes ? 8e6 : 1e9) / rate, (burst > 0 ? burst / rate : 1) * 1e9);
    view.setUint32(at + BAND_NUMBER, number, true);
  });
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

/** One band; on to `asked` when there is none. */
function band(place: number, name: string, asked: string): Line[] {
  const at = METER_BANDS + place * BAND_BYTES;
  const [over, next] = [`${name}_over`, `${name}_next`];
  return [
    ...takeTokens(name, at, R9, [Load.u64(R2, R10, AMOUNT)], [Store.u64(R7, at, R3)], {
      tooMuch: over,
      free: asked,
    }),
    jump(next),
    label(over),
    comment("a faster one has counted it"),
    Load.u64(R1, R10, EXCEEDED),
    IfNe.imm(R1, 0, next),
    StoreImm.u64(R10, EXCEEDED, 1),
    ...length(`${name}_dropped`),
    ...count(at + BAND_DROPPED),
    label(next),
  ];
}

/** Ends the program where the packet is too much. `name` makes labels its own; R1 to R5, R7 and R9 are lost. */
export function meter(id: number, name: string): Line[] {
  const [amount, asked, done] = [`${name}_amount`, `${name}_asked`, `${name}_done`];
  return [
    comment(`meter ${id}`),
    StoreImm.u32(R10, ID, id),
    Mov.reg(R2, R10),
    Add.imm(R2, ID),
    loadMap(R1, MAP_METERS),
    call(MAP_LOOKUP_ELEM),
    IfEq.imm(R0, 0, done),
    Mov.reg(R7, R0),
    call(KTIME_GET_NS),
    Mov.reg(R9, R0),
    ...length(`${name}_all`),
    ...count(METER_PASSED),
    Load.u32(R1, R7, METER_UNIT),
    IfNe.imm(R1, 0, amount),
    ...packetCount(`${name}_segments`),
    label(amount),
    Store.u64(R10, AMOUNT, R2),
    StoreImm.u64(R10, EXCEEDED, 0),
    ...Array.from({ length: METER_MAX_BANDS }, (_, place) => band(place, `${name}_${place}`, asked)).flat(),
    label(asked),
    Load.u64(R1, R10, EXCEEDED),
    IfEq.imm(R1, 0, done),
    ...countUp(COUNT_METERED),
    Mov.imm(R0, TC_ACT_SHOT),
    exit(),
    label(done),
  ];
}
