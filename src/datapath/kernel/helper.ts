/**
 * Actions that the kernel lacks are run here, by the userspace datapath's interpreter: what it sends goes to the kernel as a
 * packet to be output, what it classifies anew or hands up goes the way of any packet that comes up.
 */
import type { Flow } from "../../flow/layout.ts";
import type { DpMeter, DpMeterStats, OdpPort } from "../dpif.ts";
import type { Packet } from "../packet.ts";
import { ownBuckets } from "../userspace/buckets.ts";
import { readDrops } from "../userspace/counters.ts";
import { Datapath } from "../userspace/datapath.ts";
import type { PacketIo } from "../userspace/execute.ts";
import { finishChecksum, segment } from "../userspace/gso.ts";
import { METER_STATS_BYTES, readMeterStats } from "../userspace/meters.ts";
import { Scratch } from "../userspace/scratch.ts";
import {
  COUNTERS,
  DROP_BAD_GSO,
  DROP_NO_ROOM,
  MAX_FLOWS,
  N_DROPS,
  STATS_BYTES,
} from "../userspace/shared.ts";

export interface HelperIo {
  /** Sends one whole frame, valid during the call. */
  output(port: OdpPort, packet: Packet): void;
  /** UPCALL_MISS for a packet that is to be classified again, else UPCALL_ACTION. */
  upcall(kind: number, packet: Packet, key: Flow, userdata: number): void;
}

/** How deep packets that come up again may go. */
const DEPTH_MAX = 8;

export class Helper implements PacketIo {
  private readonly io: HelperIo;
  private readonly nowMs: () => number;
  private readonly scratch = new Scratch(
    () => 0,
    () => {},
  );
  private readonly counters = new Float64Array(COUNTERS);
  private readonly meterMemory = new ArrayBuffer(METER_STATS_BYTES);
  private readonly meterCounters = new Float64Array(this.meterMemory);
  private readonly datapath: Datapath;
  private depth = 0;

  constructor(io: HelperIo, nowMs: () => number, random: () => number) {
    this.io = io;
    this.nowMs = nowMs;
    // It has no flows: each lookup is a miss.
    const flowStats = new ArrayBuffer(MAX_FLOWS * STATS_BYTES);
    this.datapath = new Datapath(
      this,
      this.scratch,
      this.counters,
      flowStats,
      this.meterMemory,
      ownBuckets(),
      random,
    );
  }

  /** Runs a program on a copy of the packet. */
  run(packet: Packet, key: Flow, program: Int32Array): void {
    const copy = this.depth < DEPTH_MAX ? this.scratch.copy(packet) : undefined;
    if (copy === undefined) {
      this.counters[N_DROPS + DROP_NO_ROOM]!++;
      return;
    }
    this.depth++;
    this.datapath.nowMs = this.nowMs();
    try {
      this.datapath.executeInner(copy, key.slice(), program.slice());
    } finally {
      this.depth--;
      this.scratch.release(copy);
    }
  }

  output(port: number, packet: Packet): void {
    if (packet.gsoType !== 0) {
      if (segment(packet, this.scratch, (part) => this.io.output(port, part)) === 0)
        this.counters[N_DROPS + DROP_BAD_GSO]!++;
      return;
    }
    finishChecksum(packet);
    this.io.output(port, packet);
  }

  unshare(): void {}

  upcall(kind: number, packet: Packet, key: Flow, userdata: number): void {
    this.io.upcall(kind, packet, key, userdata);
  }

  meterSet(id: number, meter: DpMeter): void {
    this.datapath.nowMs = this.nowMs();
    this.datapath.meters.set(id, meter);
  }

  meterDel(id: number): void {
    this.datapath.meters.remove(id);
  }

  meterStats(id: number, bands: number): DpMeterStats {
    return readMeterStats([this.meterCounters], id, bands);
  }

  drops(): Map<string, number> {
    return readDrops([this.counters]);
  }
}
