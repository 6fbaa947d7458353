/**
 * `Dpif` in this thread, over ports that live in it (netdev.local): dummy datapaths and tests; see README.md.
 * Everything happens inside the call that sets it off: a packet that a port hands over has been forwarded, with the
 * upcall that it took, when `receive` returns.
 */
import { setVlanLimit } from "../../flow/extract.ts";
import { FLOW_DP_WORDS, type Flow } from "../../flow/layout.ts";
import type { Clock } from "../../lib/clock.ts";
import { osError } from "../../lib/errors.ts";
import type { LocalPort, Netdev } from "../../netdev/netdev.ts";
import {
  type DpFlow,
  type DpFlowStats,
  type Dpif,
  type DpMeter,
  type DpMeterStats,
  type DpPort,
  type DpStats,
  type FlowHandle,
  type OdpPort,
  type Policing,
  UPCALL_ACTION,
  UPCALL_MISS,
  type UpcallHandler,
} from "../dpif.ts";
import { formatFlowStats } from "../odp/stats-text.ts";
import type { Packet } from "../packet.ts";
import { MAX_DP_METERS, ownBuckets } from "./buckets.ts";
import { readCounters, readDrops } from "./counters.ts";
import { Datapath } from "./datapath.ts";
import { logFlowAdd, logFlowDump, logFlowModify, logMiss, wantsFlowDump } from "./debug-log.ts";
import type { PacketIo } from "./execute.ts";
import { FlowMirror } from "./flow-mirror.ts";
import { compactMask, makeCompactMask } from "./flow-table.ts";
import { finishChecksum, segment } from "./gso.ts";
import { METER_STATS_BYTES, readMeterStats } from "./meters.ts";
import { makePolicer, type Policer } from "./policer.ts";
import { chooseOdpPort } from "./port-numbers.ts";
import { Scratch } from "./scratch.ts";
import {
  COUNTERS,
  DROP_BAD_GSO,
  DROP_NO_PORT,
  DROP_NO_ROOM,
  DROP_POLICED,
  MAX_FLOWS,
  N_DROPS,
  N_UPCALLS,
  STATS_BYTES,
} from "./shared.ts";

export interface LocalDpifOptions {
  /** "dummy", or "netdev" or "system" where dummy stands in for them. */
  type: string;
  name: string;
  clock: Clock;
  /** 32 random bits, for sampling; a fixed sequence when left out. */
  random?: () => number;
}

interface Waiting {
  packet: Packet;
  port: OdpPort;
}

class LocalDpif implements Dpif, PacketIo {
  readonly type: string;
  readonly name: string;
  private readonly clock: Clock;
  private readonly counters = new Float64Array(COUNTERS);
  private readonly flowStatsMemory = new ArrayBuffer(MAX_FLOWS * STATS_BYTES);
  private readonly buckets = ownBuckets();
  private readonly meterStatsMemory = new ArrayBuffer(METER_STATS_BYTES);
  private readonly meterCounters = new Float64Array(this.meterStatsMemory);
  private readonly mirror = new FlowMirror(this.flowStatsMemory);
  private readonly scratch = new Scratch(
    () => 0,
    () => {},
  );
  private readonly datapath: Datapath;
  private readonly portTable = new Map<OdpPort, DpPort>();
  private readonly locals = new Map<OdpPort, LocalPort>();
  private readonly policers = new Map<OdpPort, Policer>();
  private readonly mask = makeCompactMask();
  userspaceText: ((operand: number) => string) | undefined = undefined;
  private handler: UpcallHandler | undefined;
  /** A packet is under way; others that arrive meanwhile wait. */
  private busy = false;
  private readonly waiting: Waiting[] = [];

  constructor(options: LocalDpifOptions) {
    this.type = options.type;
    this.name = options.name;
    this.clock = options.clock;
    let seed = 0x2545f491;
    const sequence = () => {
      seed ^= seed << 13;
      seed ^= seed >>> 17;
      seed ^= seed << 5;
      return seed;
    };
    this.datapath = new Datapath(
      this,
      this.scratch,
      this.counters,
      this.flowStatsMemory,
      this.meterStatsMemory,
      this.buckets,
      options.random ?? sequence,
    );
  }

  // ---- Ports ----

  async portAdd(netdev: Netdev, wanted: OdpPort | undefined): Promise<OdpPort> {
    const local = netdev.local;
    if (local === undefined) throw osError("EINVAL", "portAdd");
    const odpPort = chooseOdpPort(this.portTable, wanted, netdev.name);
    this.portTable.set(odpPort, { odpPort, name: netdev.name, type: netdev.type });
    this.locals.set(odpPort, local);
    local.receive = (packet) => this.receive(packet, odpPort);
    return odpPort;
  }

  async portDel(port: OdpPort): Promise<void> {
    if (!this.portTable.delete(port)) throw osError("ENODEV", "portDel");
    this.locals.get(port)!.receive = undefined;
    this.locals.delete(port);
    this.policers.delete(port);
  }

  ports(): Iterable<DpPort> {
    return [...this.portTable.values()];
  }

  portShaped(): void {
    // Dummies have no queues.
  }

  portPolicing(port: OdpPort, policing: Policing): void {
    const policer = makePolicer(policing, port, this.buckets);
    if (policer === undefined) this.policers.delete(port);
    else this.policers.set(port, policer);
  }

  // ---- Packets ----

  private receive(packet: Packet, port: OdpPort): void {
    if (this.policers.get(port)?.passes(packet, this.clock.now()) === false) {
      this.counters[N_DROPS + DROP_POLICED]!++;
      return;
    }
    const copy = this.scratch.copy(packet);
    if (copy === undefined) {
      this.counters[N_DROPS + DROP_NO_ROOM]!++;
      return;
    }
    this.waiting.push({ packet: copy, port });
    this.work(undefined);
  }

  /** Runs `first`, then all packets that wait, one after the other. */
  private work(first: (() => void) | undefined): void {
    if (this.busy) {
      first?.();
      return;
    }
    this.busy = true;
    try {
      this.datapath.nowMs = this.clock.now();
      first?.();
      for (let next = this.waiting.shift(); next !== undefined; next = this.waiting.shift()) {
        try {
          this.datapath.receive(next.packet, next.port);
        } finally {
          this.scratch.release(next.packet);
        }
      }
    } finally {
      this.busy = false;
    }
  }

  output(port: OdpPort, packet: Packet): void {
    const local = this.locals.get(port);
    if (local === undefined) {
      this.counters[N_DROPS + DROP_NO_PORT]!++;
      return;
    }
    // Ports of this kind take whole frames only. The packet may go elsewhere too, but finished it is good for all.
    if (packet.gsoType !== 0) {
      if (segment(packet, this.scratch, (part) => local.send(part)) === 0)
        this.counters[N_DROPS + DROP_BAD_GSO]!++;
      return;
    }
    finishChecksum(packet);
    local.send(packet);
  }

  unshare(): void {}

  upcall(kind: number, packet: Packet, key: Flow, userdata: number): void {
    this.counters[N_UPCALLS]!++;
    if (kind === UPCALL_MISS) logMiss(this.name, key, packet);
    const reply = this.handler?.({
      kind: kind === UPCALL_MISS ? UPCALL_MISS : UPCALL_ACTION,
      key,
      packet,
      userdata,
    });
    if (reply === undefined) return;
    const actions = reply.actions.slice();
    let handle = -1;
    if (reply.mask !== undefined) handle = this.flowPut(key, reply.mask, reply.flowActions ?? actions);
    // Before the actions run, which may bring the packet up again: what the reply stands for is then overwritten.
    if (handle >= 0) reply.installed?.(handle);
    if (actions.length > 0) {
      const copy = this.scratch.copy(packet);
      if (copy !== undefined) {
        this.datapath.executeInner(copy, key.slice(), actions);
        this.scratch.release(copy);
      }
    }
  }

  setUpcallHandler(handler: UpcallHandler | undefined): void {
    this.handler = handler;
  }

  execute(packet: Packet, key: Flow, actions: Int32Array): void {
    const copy = this.scratch.copy(packet);
    if (copy === undefined) {
      this.counters[N_DROPS + DROP_NO_ROOM]!++;
      return;
    }
    this.work(() => this.datapath.executeInner(copy, key.slice(), actions.slice()));
    this.scratch.release(copy);
  }

  // ---- Flows ----

  flowPut(key: Flow, mask: Flow, actions: Int32Array): FlowHandle {
    compactMask(mask, this.mask);
    const held = this.mirror.table.findExact(key, this.mask);
    if (held >= 0) {
      const handle = this.mirror.handle(held);
      this.flowSetActions(handle, actions);
      return handle;
    }
    const flow = this.mirror.add(key, this.mask, actions);
    if (flow < 0) throw osError("ENOSPC", "flowPut");
    this.datapath.flowPut(flow, key, this.mask, actions, 0, actions.length);
    logFlowAdd(key, mask, actions, this.userspaceText);
    return this.mirror.handle(flow);
  }

  flowSetActions(handle: FlowHandle, actions: Int32Array): void {
    const flow = this.mirror.resolve(handle);
    if (flow < 0) return;
    this.mirror.setProgram(flow, actions);
    const mask = new Int32Array(FLOW_DP_WORDS);
    this.mirror.table.maskOf(flow, mask);
    logFlowModify(
      `${this.type}@${this.name}`,
      { key: this.mirror.keyOf(flow), mask, actions },
      this.userspaceText,
    );
    this.datapath.flowSetActions(flow, actions, 0, actions.length);
  }

  async flowDel(handle: FlowHandle): Promise<DpFlowStats> {
    const out: DpFlowStats = { packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 };
    const flow = this.mirror.resolve(handle);
    if (flow >= 0) this.remove(flow, out);
    return out;
  }

  async flowsDel(
    flows: readonly FlowHandle[],
    gone: (flow: FlowHandle, last: DpFlowStats) => void,
  ): Promise<void> {
    for (const handle of flows) gone(handle, await this.flowDel(handle));
  }

  private remove(flow: number, out: DpFlowStats): void {
    this.mirror.readStats(flow, out, 0);
    this.mirror.remove(flow);
    this.datapath.flowDel(flow);
    this.mirror.recycle(flow);
  }

  flowFlush(): void {
    const out: DpFlowStats = { packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 };
    for (const flow of [...this.mirror.numbers()]) this.remove(flow, out);
  }

  flowCount(): number {
    return this.mirror.size;
  }

  maskCount(): number {
    return this.mirror.table.subtables.length;
  }

  hasRoomFor(key: Flow, mask: Flow): boolean {
    return this.mirror.table.hasRoom(key, mask);
  }

  flowStats(handle: FlowHandle, out: DpFlowStats): boolean {
    const flow = this.mirror.resolve(handle);
    if (flow < 0) return false;
    this.mirror.readStats(flow, out, 0);
    return true;
  }

  readFlow(handle: FlowHandle, into: DpFlow): boolean {
    const flow = this.mirror.resolve(handle);
    if (flow < 0) return false;
    this.mirror.read(flow, into);
    if (wantsFlowDump()) this.logDump(into);
    return true;
  }

  *flows(): Iterable<DpFlow> {
    for (const flow of this.mirror.flows()) {
      if (wantsFlowDump()) this.logDump(flow);
      yield flow;
    }
  }

  private logDump(flow: DpFlow): void {
    const stats: DpFlowStats = { packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 };
    if (this.flowStats(flow.handle, stats))
      logFlowDump(
        `${this.type}@${this.name}`,
        flow,
        formatFlowStats(stats, this.clock.now()),
        this.userspaceText,
      );
  }

  // ---- Meters ----

  readonly maxMeters = MAX_DP_METERS;

  meterSet(id: number, meter: DpMeter): void {
    this.datapath.nowMs = this.clock.now();
    this.datapath.meters.set(id, meter);
  }

  meterDel(id: number): void {
    this.datapath.meters.remove(id);
  }

  meterStats(id: number, bands: number): DpMeterStats {
    return readMeterStats([this.meterCounters], id, bands);
  }

  // ---- The rest ----

  setVlanLimit(tags: number): void {
    setVlanLimit(tags);
  }

  async stats(): Promise<DpStats> {
    return readCounters([this.counters], this.mirror);
  }

  drops(): ReadonlyMap<string, number> {
    return readDrops([this.counters]);
  }

  async settled(): Promise<void> {}

  async takeOver(): Promise<void> {}

  leave(): void {
    // The process's end is the datapath's.
  }

  run(): void {}

  async close(): Promise<void> {
    for (const port of [...this.portTable.keys()]) await this.portDel(port);
    this.flowFlush();
  }
}

export function openLocalDpif(options: LocalDpifOptions): Dpif {
  return new LocalDpif(options);
}
