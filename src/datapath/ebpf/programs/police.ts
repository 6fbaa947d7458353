/**
 * Ingress policing: the program at a port whose rate is limited, which hands on to the classifier what is within. Ports
 * without limits have the classifier itself, and pay nothing. Pure.
 */
import type { Policing } from "../../dpif.ts";
import { KTIME_GET_NS, MAP_LOOKUP_ELEM, TAIL_CALL } from "../asm/helpers.ts";
import {
  Add,
  call,
  comment,
  exit,
  IfEq,
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
  R8,
  R9,
  R10,
  Store,
  StoreImm,
} from "../asm/instruction.ts";
import { SKB_IFINDEX, SKB_LEN, TC_ACT_SHOT } from "../asm/skb.ts";
import { packetCount, takeTokens, writeBucket } from "./bucket.ts";
import {
  CLASSIFIER_SLOT,
  COUNT_POLICED,
  countUp,
  MAP_POLICING,
  MAP_PROGRAMS,
  POLICING_BITS,
  POLICING_BYTES,
  POLICING_PACKETS,
} from "./layout.ts";

/** Where the new time of the bucket of packets waits. */
const NEXT_PACKETS = -16;

/** A port's limits as the program reads them; its buckets are full. */
export function policingValue({ kbps, burstKb, kpps, burstKpackets }: Policing): Uint8Array {
  const value = new Uint8Array(POLICING_BYTES);
  const view = new DataView(value.buffer);
  if (kbps > 0) writeBucket(view, POLICING_BITS, 8e6 / kbps, (burstKb / kbps) * 1e9);
  if (kpps > 0) writeBucket(view, POLICING_PACKETS, 1e6 / kpps, (burstKpackets / kpps) * 1e9);
  return value;
}

export function policeProgram(): Line[] {
  return [
    Mov.reg(R6, R1),
    Load.u32(R1, R6, SKB_IFINDEX),
    Store.u32(R10, -4, R1),
    Mov.reg(R2, R10),
    Add.imm(R2, -4),
    loadMap(R1, MAP_POLICING),
    call(MAP_LOOKUP_ELEM),
    IfEq.imm(R0, 0, "pass"),
    Mov.reg(R7, R0),
    call(KTIME_GET_NS),
    Mov.reg(R8, R0),
    Mov.imm(R9, 0),
    StoreImm.u64(R10, NEXT_PACKETS, 0),
    ...takeTokens("bits", POLICING_BITS, R8, [Load.u32(R2, R6, SKB_LEN)], [Mov.reg(R9, R3)], {
      tooMuch: "drop",
      free: "bits_free",
    }),
    label("bits_free"),
    ...takeTokens(
      "packets",
      POLICING_PACKETS,
      R8,
      packetCount("segments"),
      [Store.u64(R10, NEXT_PACKETS, R3)],
      { tooMuch: "drop", free: "packets_free" },
    ),
    label("packets_free"),
    comment("within both: taken from both"),
    Store.u64(R7, POLICING_BITS, R9),
    Load.u64(R1, R10, NEXT_PACKETS),
    Store.u64(R7, POLICING_PACKETS, R1),
    label("pass"),
    Mov.reg(R1, R6),
    loadMap(R2, MAP_PROGRAMS),
    Mov.imm(R3, CLASSIFIER_SLOT),
    call(TAIL_CALL),
    Mov.imm(R0, TC_ACT_SHOT),
    exit(),
    label("drop"),
    ...countUp(COUNT_POLICED),
    Mov.imm(R0, TC_ACT_SHOT),
    exit(),
  ];
}
