/** Ingress policing of one port: token buckets of bits and of packets, of which each packet takes its part. Hot path. */
import type { OdpPort, Policing } from "../dpif.ts";
import type { Packet } from "../packet.ts";
import { type Buckets, policerLevels, policerLock } from "./buckets.ts";
import { packetsOf } from "./meters.ts";

const NO_LIMIT = Number.POSITIVE_INFINITY;

// The bucket's levels.
const FILLED_MS = 0;
const BITS = 1;
const PACKETS = 2;

export class Policer {
  private readonly bitsPerMs: number;
  private readonly bitsMost: number;
  private readonly packetsPerMs: number;
  private readonly packetsMost: number;
  private readonly buckets: Buckets;
  private readonly at: number;
  private readonly lockIndex: number;

  constructor({ kbps, burstKb, kpps, burstKpackets }: Policing, port: OdpPort, buckets: Buckets) {
    // Kilobits a second are bits a millisecond.
    this.bitsPerMs = kbps;
    this.bitsMost = kbps > 0 ? burstKb * 1000 : NO_LIMIT;
    this.packetsPerMs = kpps;
    this.packetsMost = kpps > 0 ? burstKpackets * 1000 : NO_LIMIT;
    this.buckets = buckets;
    this.at = policerLevels(port);
    this.lockIndex = policerLock(port);
    if (buckets.fills) this.fill();
  }

  private fill(): void {
    const { levels } = this.buckets;
    const locked = this.buckets.lock(this.lockIndex);
    levels[this.at + BITS] = this.bitsMost;
    levels[this.at + PACKETS] = this.packetsMost;
    if (locked) this.buckets.unlock(this.lockIndex);
  }

  /** False when the packet is too much. */
  passes(packet: Packet, nowMs: number): boolean {
    const { levels } = this.buckets;
    const { at } = this;
    const bits = packet.length * 8;
    const packets = packetsOf(packet);
    const locked = this.buckets.lock(this.lockIndex);
    // Another lane may be ahead.
    const elapsed = Math.max(0, nowMs - levels[at + FILLED_MS]!);
    levels[at + FILLED_MS]! += elapsed;
    const bitsLeft = refilled(levels[at + BITS]!, elapsed, this.bitsPerMs, this.bitsMost);
    const packetsLeft = refilled(levels[at + PACKETS]!, elapsed, this.packetsPerMs, this.packetsMost);
    const passes = bits <= bitsLeft && packets <= packetsLeft;
    levels[at + BITS] = passes ? bitsLeft - bits : bitsLeft;
    levels[at + PACKETS] = passes ? packetsLeft - packets : packetsLeft;
    if (locked) this.buckets.unlock(this.lockIndex);
    return passes;
  }
}

function refilled(level: number, elapsed: number, perMs: number, most: number): number {
  return perMs > 0 ? Math.min(most, level + elapsed * perMs) : most;
}

/** undefined when nothing is limited. */
export function makePolicer(policing: Policing, port: OdpPort, buckets: Buckets): Policer | undefined {
  return policing.kbps > 0 || policing.kpps > 0 ? new Policer(policing, port, buckets) : undefined;
}
