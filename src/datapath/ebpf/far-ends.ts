/**
 * Frames that programs have handed straight to the far ends of devices (shortcuts.ts), whose own counters see nothing of
 * them: mapped memory, packets and bytes for each device that has a number, and processor, which programs write.
 */
import type { PassingTraffic } from "../../netdev/netdev.ts";
import { FAR_END_BITS, FAR_END_BYTES } from "./programs/layout.ts";
import { readU64 } from "./rows.ts";

export function farEndsBytes(processors: number): number {
  return processors * (FAR_END_BYTES << FAR_END_BITS);
}

export class FarEnds {
  readonly #words: Uint32Array;
  readonly #processors: number;
  readonly #free: number[] = [];
  /** Numbers taken so far; 0 is none. */
  #used = 1;
  /** By number, what was counted before its device had it. */
  readonly #before: { packets: number; bytes: number }[] = [];

  constructor(memory: ArrayBuffer, processors: number) {
    this.#words = new Uint32Array(memory);
    this.#processors = processors;
  }

  /** A number for a device, 0 when all are taken. */
  take(): number {
    const number = this.#free.shift() ?? (this.#used < 1 << FAR_END_BITS ? this.#used++ : 0);
    this.#before[number] = this.#sum(number);
    return number;
  }

  release(number: number): void {
    if (number !== 0) this.#free.push(number);
  }

  /** Since the number was taken. */
  traffic(number: number): PassingTraffic {
    const { packets, bytes } = this.#sum(number);
    const before = this.#before[number]!;
    return { rxPackets: 0, rxBytes: 0, txPackets: packets - before.packets, txBytes: bytes - before.bytes };
  }

  #sum(number: number): { packets: number; bytes: number } {
    let packets = 0;
    let bytes = 0;
    for (let cpu = 0; cpu < this.#processors; cpu++) {
      const at = ((cpu << FAR_END_BITS) + number) * (FAR_END_BYTES / 4);
      packets += readU64(this.#words, at);
      bytes += readU64(this.#words, at + 2);
    }
    return { packets, bytes };
  }
}
