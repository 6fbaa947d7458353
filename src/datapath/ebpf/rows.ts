/** Rows of statistics in mapped memory, one a flow and processor, which programs write (programs/layout.ts). */
import type { DpFlowStats } from "../dpif.ts";
import { FLOW_BITS, ROW_BYTES, ROW_OCTETS, ROW_PACKETS, ROW_TCP_FLAGS, ROW_USED } from "./programs/layout.ts";

/** Bytes of the rows of all flows: those of the processors, and one more that only this side writes. */
export function rowsBytes(processors: number): number {
  return (processors + 1) * (ROW_BYTES << FLOW_BITS);
}

export class Rows {
  readonly #words: Uint32Array;
  /** Number of the rows that only this side writes. */
  readonly #ours: number;

  constructor(memory: ArrayBuffer, processors: number) {
    this.#words = new Uint32Array(memory);
    this.#ours = processors;
  }

  clear(row: number): void {
    for (let cpu = 0; cpu <= this.#ours; cpu++) {
      const at = rowStart(cpu, row);
      for (let word = 0; word < ROW_BYTES / 4; word++) this.#words[at + word] = 0;
    }
  }

  packets(row: number): number {
    return this.#sum(row, ROW_PACKETS);
  }

  bytes(row: number): number {
    return this.#sum(row, ROW_OCTETS);
  }

  #sum(row: number, offset: number): number {
    let sum = 0;
    for (let cpu = 0; cpu <= this.#ours; cpu++) sum += readU64(this.#words, rowStart(cpu, row) + offset / 4);
    return sum;
  }

  /** `offsetMs` turns CLOCK_MONOTONIC into the clock of `usedMs`. */
  add(row: number, out: DpFlowStats, offsetMs: number): void {
    const words = this.#words;
    for (let cpu = 0; cpu <= this.#ours; cpu++) {
      const at = rowStart(cpu, row);
      const packets = readU64(words, at + ROW_PACKETS / 4);
      if (packets === 0) continue;
      out.packets += packets;
      out.bytes += readU64(words, at + ROW_OCTETS / 4);
      out.usedMs = Math.max(out.usedMs, readU64(words, at + ROW_USED / 4) / 1e6 + offsetMs);
      out.tcpFlags |= words[at + ROW_TCP_FLAGS / 4]!;
    }
  }

  /** Adds to a row what another has, of an earlier run. */
  carry(row: number, from: Rows, fromRow: number): void {
    const sum = { packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 };
    from.add(fromRow, sum, 0);
    const at = rowStart(this.#ours, row);
    const words = this.#words;
    writeU64(words, at + ROW_PACKETS / 4, readU64(words, at + ROW_PACKETS / 4) + sum.packets);
    writeU64(words, at + ROW_OCTETS / 4, readU64(words, at + ROW_OCTETS / 4) + sum.bytes);
    writeU64(words, at + ROW_USED / 4, Math.max(readU64(words, at + ROW_USED / 4), sum.usedMs * 1e6));
    words[at + ROW_TCP_FLAGS / 4]! |= sum.tcpFlags;
  }
}

function rowStart(cpu: number, row: number): number {
  return (cpu * (1 << FLOW_BITS) + row) * (ROW_BYTES / 4);
}

/** A number that another processor may be writing: the halves must be of one moment. Exact to 2^53. */
export function readU64(words: Uint32Array, at: number): number {
  for (;;) {
    const high = words[at + 1]!;
    const low = words[at]!;
    if (words[at + 1] === high) return high * 0x100000000 + low;
  }
}

function writeU64(words: Uint32Array, at: number, value: number): void {
  words[at] = value % 0x100000000;
  words[at + 1] = Math.floor(value / 0x100000000);
}
