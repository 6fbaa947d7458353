/**
 * Token buckets for programs. A bucket is one number: the time until which what has been let through is paid for at its rate
 * (the "virtual scheduling" of ITU-T I.371). A packet moves it on by its cost, and is too much when that leads further into
 * the future than the burst takes at the rate. Two processors at once may take the same part of a bucket: it is not locked.
 * Pure.
 *
 *   | 0  time until which is paid, ns           u64 |
 *   | 8  cost of a byte or packet, ns << 16     u64 |  0: no limit
 *   | 16 most of that time that may lie ahead   u64 |
 */
import {
  Add,
  comment,
  IfEq,
  IfGe,
  IfGt,
  IfNe,
  type Line,
  Load,
  label,
  Mov,
  Mul,
  R1,
  R2,
  R3,
  R4,
  R5,
  R6,
  R7,
  type Register,
  Rsh,
  Sub,
} from "../asm/instruction.ts";
import { SKB_GSO_SEGS } from "../asm/skb.ts";

export const BUCKET_BYTES = 24;
const COST = 8;
const BURST = 16;
/** At high rates a byte takes less than a nanosecond. */
const COST_SHIFT = 16;

/** A full bucket at `at`: nanoseconds for a byte or packet, and for the burst. */
export function writeBucket(view: DataView, at: number, cost: number, burst: number): void {
  view.setBigUint64(at, 0n, true);
  view.setBigUint64(at + COST, BigInt(Math.max(1, Math.round(cost * 2 ** COST_SHIFT))), true);
  view.setBigUint64(at + BURST, BigInt(Math.round(burst)), true);
}

/** Where to go on from a bucket. */
interface Ways {
  readonly tooMuch: string;
  /** There is no limit. */
  readonly free: string;
}

/**
 * With the bucket at `at` from R7 and the time in `now`: the bucket's next time is in R3 for `keep`, after a packet of
 * `amount` (which sets R2, and may be skipped where there is no limit). Labels begin with `name`.
 */
export function takeTokens(
  name: string,
  at: number,
  now: Register,
  amount: Line[],
  keep: Line[],
  { tooMuch, free }: Ways,
): Line[] {
  return [
    comment(name),
    Load.u64(R1, R7, at + COST),
    IfEq.imm(R1, 0, free),
    ...amount,
    Mul.reg(R1, R2),
    Rsh.imm(R1, COST_SHIFT),
    Load.u64(R3, R7, at),
    IfGe.reg(R3, now, `${name}_owed`),
    Mov.reg(R3, now),
    label(`${name}_owed`),
    Add.reg(R3, R1),
    Mov.reg(R4, R3),
    Sub.reg(R4, now),
    Load.u64(R5, R7, at + BURST),
    IfGt.reg(R4, R5, tooMuch),
    ...keep,
  ];
}

/** R2 = packets that the frame stands for; R6 is the skb. `one` becomes a label. */
export function packetCount(one: string): Line[] {
  return [Load.u32(R2, R6, SKB_GSO_SEGS), IfNe.imm(R2, 0, one), Mov.imm(R2, 1), label(one)];
}
