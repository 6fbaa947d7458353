/** Ingress policing of one port: token buckets of bits and of packets, of which each packet takes its part. Hot path. */
import type { Policing } from "../dpif.ts";
import type { Packet } from "../packet.ts";
import { packetsOf } from "./meters.ts";

const NO_LIMIT = Number.POSITIVE_INFINITY;

export class Policer {
  private readonly bitsPerMs: number;
  private readonly bitsMost: number;
  private readonly packetsPerMs: number;
  private readonly packetsMost: number;
  private bits: number;
  private packets: number;
  private filledMs = 0;

  constructor({ kbps, burstKb, kpps, burstKpackets }: Policing) {
    // Kilobits a second are bits a millisecond.
    this.bitsPerMs = kbps;
    this.bitsMost = kbps > 0 ? burstKb * 1000 : NO_LIMIT;
    this.packetsPerMs = kpps;
    this.packetsMost = kpps > 0 ? burstKpackets * 1000 : NO_LIMIT;
    this.bits = this.bitsMost;
    this.packets = this.packetsMost;
  }

  /** False when the packet is too much. */
  passes(packet: Packet, nowMs: number): boolean {
    const elapsed = nowMs - this.filledMs;
    this.filledMs = nowMs;
    this.bits = Math.min(this.bitsMost, this.bits + elapsed * this.bitsPerMs);
    this.packets = Math.min(this.packetsMost, this.packets + elapsed * this.packetsPerMs);
    const bits = packet.length * 8;
    const packets = packetsOf(packet);
    if (bits > this.bits || packets > this.packets) return false;
    this.bits -= bits;
    this.packets -= packets;
    return true;
  }
}

/** undefined when nothing is limited. */
export function makePolicer(policing: Policing): Policer | undefined {
  return policing.kbps > 0 || policing.kpps > 0 ? new Policer(policing) : undefined;
}
