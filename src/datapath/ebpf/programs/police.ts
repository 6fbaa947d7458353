/**
 * Ingress policing: the program at a port whose rate is limited, which hands on to the classifier what is within. Ports
 * without limits have the classifier itself, and pay nothing. Pure.
 *
 * A bucket is one number: the time until which what has been let through is paid for at the port's rate (the "virtual
 * scheduling" of ITU-T I.371). A packet moves it on by its cost, and is too much when that leads further into the future
 * than the burst takes at the rate. Two processors at once may take the same part of a bucket; a device seldom has both.
 */
import type { Policing } from "../../dpif.ts";
import { KTIME_GET_NS, MAP_LOOKUP_ELEM, TAIL_CALL } from "../asm/helpers.ts";
import {
  Add,
  call,
  comment,
  exit,
  IfEq,
  IfGe,
  IfGt,
  IfNe,
  type Line,
  Load,
  label,
  loadMap,
  Mov,
  Mul,
  R0,
  R1,
  R2,
  R3,
  R4,
  R5,
  R6,
  R7,
  R8,
  R9,
  R10,
  Rsh,
  Store,
  StoreImm,
  Sub,
} from "../asm/instruction.ts";
import { SKB_GSO_SEGS, SKB_IFINDEX, SKB_LEN, TC_ACT_SHOT } from "../asm/skb.ts";
import {
  CLASSIFIER_SLOT,
  COUNT_POLICED,
  countUp,
  MAP_POLICING,
  MAP_PROGRAMS,
  POLICING_BITS,
  POLICING_BUCKET_BURST,
  POLICING_BUCKET_COST,
  POLICING_BYTES,
  POLICING_PACKETS,
} from "./layout.ts";

/** Costs are in nanoseconds times this: at high rates a byte takes less than one. */
const COST_SHIFT = 16;
/** Where the new time of the bucket of packets waits. */
const NEXT_PACKETS = -16;

/** A port's limits as the program reads them; its buckets are full. */
export function policingValue({ kbps, burstKb, kpps, burstKpackets }: Policing): Uint8Array {
  const value = new Uint8Array(POLICING_BYTES);
  const view = new DataView(value.buffer);
  const bucket = (at: number, cost: number, burst: number): void => {
    view.setBigUint64(
      at + POLICING_BUCKET_COST,
      BigInt(Math.max(1, Math.round(cost * 2 ** COST_SHIFT))),
      true,
    );
    view.setBigUint64(at + POLICING_BUCKET_BURST, BigInt(Math.round(burst)), true);
  };
  if (kbps > 0) bucket(POLICING_BITS, 8e6 / kbps, (burstKb / kbps) * 1e9);
  if (kpps > 0) bucket(POLICING_PACKETS, 1e6 / kpps, (burstKpackets / kpps) * 1e9);
  return value;
}

/** With R7 the value, R8 now: the bucket's next time into `next` after a packet of `amount` (which sets R2). */
function take(name: string, bucket: number, amount: Line[], keep: Line[]): Line[] {
  return [
    comment(name),
    Load.u64(R1, R7, bucket + POLICING_BUCKET_COST),
    IfEq.imm(R1, 0, `no_${name}`),
    ...amount,
    Mul.reg(R1, R2),
    Rsh.imm(R1, COST_SHIFT),
    Load.u64(R3, R7, bucket),
    IfGe.reg(R3, R8, `${name}_owed`),
    Mov.reg(R3, R8),
    label(`${name}_owed`),
    Add.reg(R3, R1),
    Mov.reg(R4, R3),
    Sub.reg(R4, R8),
    Load.u64(R5, R7, bucket + POLICING_BUCKET_BURST),
    IfGt.reg(R4, R5, "drop"),
    ...keep,
    label(`no_${name}`),
  ];
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
    ...take("bits", POLICING_BITS, [Load.u32(R2, R6, SKB_LEN)], [Mov.reg(R9, R3)]),
    ...take(
      "packets",
      POLICING_PACKETS,
      [Load.u32(R2, R6, SKB_GSO_SEGS), IfNe.imm(R2, 0, "segments"), Mov.imm(R2, 1), label("segments")],
      [Store.u64(R10, NEXT_PACKETS, R3)],
    ),
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
