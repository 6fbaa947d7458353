/**
 * `Dpif` over the datapath worker; see README.md. Main owns the numbers of flows and a mirror of the tables; each
 * request is one record in the request ring, numbered by its place in it, and the worker publishes the last one applied.
 */
import { setVlanLimit } from "../../flow/extract.ts";
import { FLOW_DP_WORDS, type Flow } from "../../flow/layout.ts";
import type { Clock } from "../../lib/clock.ts";
import { errnoName, osError } from "../../lib/errors.ts";
import type { Netdev } from "../../netdev/netdev.ts";
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
  UPCALL_MISS,
  type Upcall,
  type UpcallHandler,
} from "../dpif.ts";
import { makePacket, type Packet } from "../packet.ts";
import { readCounters, readDrops } from "./counters.ts";
import { FlowMirror } from "./flow-mirror.ts";
import { compactMask, makeCompactMask } from "./flow-table.ts";
import { Lane, type LaneHost } from "./lane.ts";
import { MAX_DP_METERS, meterWords, readMeterStats } from "./meters.ts";
import { chooseOdpPort } from "./port-numbers.ts";
import {
  EXECUTE_HEADER,
  PORT_RING,
  PORT_TAP,
  REQ_AGAIN,
  REQ_ANSWER,
  REQ_EXECUTE,
  REQ_FLOW_ACTIONS,
  REQ_FLOW_DEL,
  REQ_FLOW_PUT,
  REQ_METER_DEL,
  REQ_METER_SET,
  REQ_PORT_ADD,
  REQ_PORT_DEL,
  REQ_PORT_POLICING,
  REQ_PORT_SHAPED,
  REQ_VLAN_LIMIT,
} from "./requests.ts";
import {
  loadSlotPacket,
  makeSharedMemory,
  S_KIND,
  S_OFFSET,
  S_USERDATA,
  SLOT_KEY,
  slotStart,
  storeSlotPacket,
} from "./shared.ts";
import type { SpawnDatapathThread } from "./thread.ts";

const NOTHING: Int32Array = new Int32Array(0);

export interface WorkerDpifOptions {
  /** "netdev" */
  type: string;
  /** "ovs-netdev" */
  name: string;
  clock: Clock;
  /** From `commands/datapath-thread.ts`. */
  spawn: SpawnDatapathThread;
  /** Told when the worker ends unasked (a defect: all ports are dead then). */
  died?: (reason: string) => void;
  /** Told of a defect in the worker that it survived; at most one text a second. */
  fault?: (text: string) => void;
}

class WorkerDpif implements Dpif, LaneHost {
  userspaceText: ((operand: number) => string) | undefined = undefined;
  readonly type: string;
  readonly name: string;
  readonly clock: Clock;
  readonly spawn: SpawnDatapathThread;
  private readonly lanes: Lane[];
  private readonly options: WorkerDpifOptions;
  private readonly mirror: FlowMirror;
  private readonly portTable = new Map<OdpPort, DpPort>();
  private handler: UpcallHandler | undefined;
  private readonly mask = makeCompactMask();
  private readonly key: Flow = new Int32Array(FLOW_DP_WORDS);
  private readonly upcall: Upcall = {
    kind: UPCALL_MISS,
    key: this.key,
    packet: makePacket(new Uint8Array(0)),
    userdata: 0,
  };
  private closed = false;

  constructor(options: WorkerDpifOptions) {
    this.type = options.type;
    this.name = options.name;
    this.clock = options.clock;
    this.spawn = options.spawn;
    this.options = options;
    const lane = new Lane(makeSharedMemory(), this);
    this.lanes = [lane];
    this.mirror = new FlowMirror(lane.memory.flowStats);
  }

  // ---- Lanes ----

  /** Room for a request to all lanes, as of {@link Lane.request}; {@link post} follows in the same turn. */
  private request(length: number): Lane {
    return this.lanes[0]!.request(length);
  }

  private post(): void {
    const { lanes } = this;
    const first = lanes[0]!;
    for (let i = 1; i < lanes.length; i++) lanes[i]!.repeat(first);
    first.post();
  }

  settled(): Promise<void> {
    const { lanes } = this;
    if (lanes.length === 1) return lanes[0]!.settled();
    return Promise.all(lanes.map((lane) => lane.settled())).then(() => {});
  }

  died(reason: string): void {
    this.abandon();
    this.options.died?.(reason);
  }

  fault(text: string): void {
    this.options.fault?.(text);
  }

  sampleUp(sample: Upcall): void {
    this.handler?.(sample);
  }

  packetUp(lane: Lane, slot: number): void {
    const { slotWords } = lane;
    const at = slotStart(slot) >> 2;
    const upcall = this.upcall;
    upcall.kind = slotWords[at + S_KIND] === UPCALL_MISS ? UPCALL_MISS : 1;
    upcall.userdata = slotWords[at + S_USERDATA]!;
    const { key } = this;
    for (let word = 0; word < FLOW_DP_WORDS; word++) key[word] = slotWords[at + SLOT_KEY + word]!;
    if (upcall.kind === UPCALL_MISS && this.mirror.table.lookup(upcall.key) >= 0) {
      // Another packet of the flow has come up before: its flow is there by the time the worker reads this.
      const { words, at: to } = lane.request(2);
      words[to] = REQ_AGAIN;
      words[to + 1] = slot;
      lane.post();
      return;
    }
    const packet = upcall.packet;
    packet.data = lane.slotBytes;
    loadSlotPacket(slotWords, at, packet);
    let actions: Int32Array = NOTHING;
    let handle = -1;
    let installed: ((flow: FlowHandle) => void) | undefined;
    try {
      const reply = this.handler?.(upcall);
      if (reply !== undefined) {
        actions = reply.actions;
        installed = reply.installed;
        if (reply.mask !== undefined) {
          // No flow has the key, so none has it under this mask.
          compactMask(reply.mask, this.mask);
          handle = this.addFlow(upcall.key, reply.flowActions ?? actions);
        }
      }
    } finally {
      const { words, at: to } = lane.request(2 + actions.length);
      words[to] = REQ_ANSWER;
      words[to + 1] = slot;
      writeProgram(actions, words, to + 2);
      lane.post();
    }
    if (handle >= 0) installed?.(handle);
  }

  setUpcallHandler(handler: UpcallHandler | undefined): void {
    this.handler = handler;
  }

  // ---- Ports ----

  async portAdd(netdev: Netdev, wanted: OdpPort | undefined): Promise<OdpPort> {
    if (netdev.local !== undefined) throw osError("EINVAL", "portAdd");
    const odpPort = chooseOdpPort(this.portTable, wanted, undefined);
    const name = netdev.name;
    this.portTable.set(odpPort, { odpPort, name, type: netdev.type });
    const answer = this.lanes[0]!.portAnswer(odpPort);
    const { words, at } = this.request(4 + name.length);
    words[at] = REQ_PORT_ADD;
    words[at + 1] = odpPort;
    words[at + 2] = netdev.type === "internal" || netdev.type === "tap" ? PORT_TAP : PORT_RING;
    words[at + 3] = name.length;
    for (let i = 0; i < name.length; i++) words[at + 4 + i] = name.charCodeAt(i);
    this.post();
    const errno = await answer;
    if (errno === 0) return odpPort;
    this.portTable.delete(odpPort);
    throw osError(errnoName(errno), "portAdd");
  }

  portDel(port: OdpPort): Promise<void> {
    if (!this.portTable.delete(port)) return Promise.reject(osError("ENODEV", "portDel"));
    const { words, at } = this.request(2);
    words[at] = REQ_PORT_DEL;
    words[at + 1] = port;
    this.post();
    return this.settled();
  }

  ports(): Iterable<DpPort> {
    return [...this.portTable.values()];
  }

  portShaped(port: OdpPort, shaped: boolean): void {
    const { words, at } = this.request(3);
    words[at] = REQ_PORT_SHAPED;
    words[at + 1] = port;
    words[at + 2] = shaped ? 1 : 0;
    this.post();
  }

  portPolicing(port: OdpPort, { kbps, burstKb, kpps, burstKpackets }: Policing): void {
    const { words, at } = this.request(6);
    words[at] = REQ_PORT_POLICING;
    words[at + 1] = port;
    words[at + 2] = kbps;
    words[at + 3] = burstKb;
    words[at + 4] = kpps;
    words[at + 5] = burstKpackets;
    this.post();
  }

  // ---- Flows ----

  flowPut(key: Flow, mask: Flow, actions: Int32Array): FlowHandle {
    compactMask(mask, this.mask);
    const held = this.mirror.table.findExact(key, this.mask);
    if (held < 0) return this.addFlow(key, actions);
    const handle = this.mirror.handle(held);
    this.flowSetActions(handle, actions);
    return handle;
  }

  /** Under `this.mask`, where the key is not yet. */
  private addFlow(key: Flow, actions: Int32Array): FlowHandle {
    const flow = this.mirror.add(key, this.mask, actions);
    if (flow < 0) throw osError("ENOSPC", "flowPut");
    const { count, words: maskWords, bits } = this.mask;
    const { words, at } = this.request(3 + count * 3 + actions.length);
    words[at] = REQ_FLOW_PUT;
    words[at + 1] = flow;
    words[at + 2] = count;
    let to = at + 3;
    for (let i = 0; i < count; i++) {
      words[to++] = maskWords[i]!;
      words[to++] = bits[i]!;
      words[to++] = key[maskWords[i]!]!;
    }
    writeProgram(actions, words, to);
    this.post();
    return this.mirror.handle(flow);
  }

  flowSetActions(handle: FlowHandle, actions: Int32Array): void {
    const flow = this.mirror.resolve(handle);
    if (flow < 0) return;
    this.mirror.setProgram(flow, actions);
    const { words, at } = this.request(2 + actions.length);
    words[at] = REQ_FLOW_ACTIONS;
    words[at + 1] = flow;
    writeProgram(actions, words, at + 2);
    this.post();
  }

  async flowDel(handle: FlowHandle): Promise<DpFlowStats> {
    const out: DpFlowStats = { packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 };
    const flow = this.mirror.resolve(handle);
    if (flow < 0) return out;
    this.removeFlow(flow);
    await this.settled();
    this.mirror.readStats(flow, out, this.clockOffset());
    this.mirror.recycle(flow);
    return out;
  }

  async flowsDel(
    flows: readonly FlowHandle[],
    gone: (flow: FlowHandle, last: DpFlowStats) => void,
  ): Promise<void> {
    const indices = flows.map((handle) => this.mirror.resolve(handle));
    for (const flow of indices) if (flow >= 0) this.removeFlow(flow);
    await this.settled();
    const last: DpFlowStats = { packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 };
    const offset = this.clockOffset();
    for (let i = 0; i < flows.length; i++) {
      if (indices[i]! >= 0) this.mirror.readStats(indices[i]!, last, offset);
      else last.packets = 0;
      gone(flows[i]!, last);
      if (indices[i]! >= 0) this.mirror.recycle(indices[i]!);
    }
  }

  private removeFlow(flow: number): void {
    this.mirror.remove(flow);
    const { words, at } = this.request(2);
    words[at] = REQ_FLOW_DEL;
    words[at + 1] = flow;
    this.post();
  }

  // ---- Meters ----

  readonly maxMeters = MAX_DP_METERS;

  meterSet(id: number, meter: DpMeter): void {
    const wanted = meterWords(meter);
    const { words, at } = this.request(2 + wanted.length);
    words[at] = REQ_METER_SET;
    words[at + 1] = id;
    words.set(wanted, at + 2);
    this.post();
  }

  meterDel(id: number): void {
    const { words, at } = this.request(2);
    words[at] = REQ_METER_DEL;
    words[at + 1] = id;
    this.post();
  }

  meterStats(id: number, bands: number): DpMeterStats {
    return readMeterStats(this.lanes[0]!.meterCounters, id, bands);
  }

  flowFlush(): void {
    const flows = [...this.mirror.numbers()];
    for (const flow of flows) this.removeFlow(flow);
    void this.settled().then(() => {
      for (const flow of flows) this.mirror.recycle(flow);
    });
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
    this.mirror.readStats(flow, out, this.clockOffset());
    return true;
  }

  private clockOffset(): number {
    return this.clock.now() - this.lanes[0]!.thread.nowMs();
  }

  readFlow(handle: FlowHandle, into: DpFlow): boolean {
    const flow = this.mirror.resolve(handle);
    if (flow < 0) return false;
    this.mirror.read(flow, into);
    return true;
  }

  flows(): Iterable<DpFlow> {
    return this.mirror.flows();
  }

  // ---- The rest ----

  execute(packet: Packet, key: Flow, actions: Int32Array): void {
    const byteWords = (packet.length + 3) >> 2;
    const length = EXECUTE_HEADER + FLOW_DP_WORDS + byteWords + actions.length;
    const { words, at } = this.request(length);
    words[at] = REQ_EXECUTE;
    words[at + 1] = packet.length;
    storeSlotPacket(words, at + 2 - S_OFFSET, packet, 0);
    let to = at + EXECUTE_HEADER;
    words.set(key.subarray(0, FLOW_DP_WORDS), to);
    to += FLOW_DP_WORDS;
    new Uint8Array(words.buffer, words.byteOffset + to * 4, packet.length).set(
      packet.data.subarray(packet.offset, packet.offset + packet.length),
    );
    words.set(actions, to + byteWords);
    this.post();
  }

  setVlanLimit(tags: number): void {
    setVlanLimit(tags);
    const { words, at } = this.request(2);
    words[at] = REQ_VLAN_LIMIT;
    words[at + 1] = tags;
    this.post();
  }

  stats(): Promise<DpStats> {
    return this.settled().then(() => readCounters(this.lanes[0]!.counters, this.mirror));
  }

  drops(): ReadonlyMap<string, number> {
    return readDrops(this.lanes[0]!.counters);
  }

  async takeOver(): Promise<void> {}

  leave(): void {
    // The process's end is the datapath's.
  }

  run(): void {}

  private abandon(): void {
    this.closed = true;
    for (const lane of this.lanes) lane.abandon();
  }

  async close(): Promise<void> {
    if (this.closed) return;
    for (const port of [...this.portTable.keys()]) await this.portDel(port);
    this.abandon();
    for (const lane of this.lanes) lane.thread.terminate();
  }
}

function writeProgram(program: Int32Array, words: Int32Array, at: number): void {
  for (let i = 0; i < program.length; i++) words[at + i] = program[i]!;
}

export function openWorkerDpif(options: WorkerDpifOptions): Dpif {
  return new WorkerDpif(options);
}
