/**
 * `Dpif` over datapath workers; see README.md. Main owns the numbers of flows and a mirror of the tables. There is one lane
 * (lane.ts) until a port comes whose device has several receive queues: then there are as many, as far as there are
 * processors. All lanes have the same flows, meters and ports, by the same requests; each answers for what it has handed up,
 * and what they count is added up.
 */
import { setVlanLimit } from "../../flow/extract.ts";
import { FLOW_DP_WORDS, type Flow } from "../../flow/layout.ts";
import type { Clock } from "../../lib/clock.ts";
import { describeError, osError } from "../../lib/errors.ts";
import type { Netdev } from "../../netdev/netdev.ts";
import {
  type DpFlow,
  type DpFlowStats,
  type Dpif,
  type DpMeter,
  type DpMeterStats,
  type DpPort,
  type DpStats,
  type DpThread,
  type FlowHandle,
  type OdpPort,
  type Policing,
  UPCALL_MISS,
  type Upcall,
  type UpcallHandler,
} from "../dpif.ts";
import { makePacket, type Packet } from "../packet.ts";
import { Buckets, MAX_DP_METERS } from "./buckets.ts";
import { readCounters, readDrops } from "./counters.ts";
import { FlowMirror } from "./flow-mirror.ts";
import { type CompactMask, compactMask, makeCompactMask } from "./flow-table.ts";
import { Lane, type LaneHost } from "./lane.ts";
import { meterWords, readMeterStats } from "./meters.ts";
import {
  EXECUTE_HEADER,
  REQ_AGAIN,
  REQ_ANSWER,
  REQ_EXECUTE,
  REQ_FLOW_ACTIONS,
  REQ_FLOW_DEL,
  REQ_FLOW_PUT,
  REQ_METER_DEL,
  REQ_METER_SET,
  REQ_PIN,
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
import type { DatapathThreads, SpawnDatapathThread } from "./thread.ts";
import { type PortLanes, WorkerPorts } from "./worker-ports.ts";

/** More are of no use to the ports of one machine, and each has a heap and 8 MB of rings a port. */
const MAX_LANES = 8;
/** Flows that a new lane is told of in one turn of the loop. */
const REPLAY_SLICE = 256;
const NOTHING: Int32Array = new Int32Array(0);

export interface WorkerDpifOptions {
  /** "netdev" */
  type: string;
  /** "ovs-netdev" */
  name: string;
  clock: Clock;
  /** From `commands/datapath-thread.ts`. */
  threads: DatapathThreads;
  /** Told when the worker ends unasked (a defect: all ports are dead then). */
  died?: (reason: string) => void;
  /** Told of a defect in the worker that it survived; at most one text a second. */
  fault?: (text: string) => void;
}

class WorkerDpif implements Dpif, LaneHost, PortLanes {
  userspaceText: ((operand: number) => string) | undefined = undefined;
  readonly type: string;
  readonly name: string;
  readonly clock: Clock;
  readonly spawn: SpawnDatapathThread;
  readonly lanes: Lane[];
  private readonly options: WorkerDpifOptions;
  private readonly mirror: FlowMirror;
  private readonly portSet = new WorkerPorts(this);
  private readonly buckets: Buckets;
  /** Words of each meter's last request, for lanes that come later. */
  private readonly meters = new Map<number, number[]>();
  private vlanLimit = -1;
  private cpus: readonly number[] | undefined;
  /** Lanes that know all flows. */
  ready = 1;
  private growing: Promise<void> = Promise.resolve();
  private handler: UpcallHandler | undefined;
  private readonly mask = makeCompactMask();
  private readonly key: Flow = new Int32Array(FLOW_DP_WORDS);
  private readonly replayed: DpFlow = {
    handle: -1,
    key: new Int32Array(FLOW_DP_WORDS),
    mask: new Int32Array(FLOW_DP_WORDS),
    actions: NOTHING,
  };
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
    this.spawn = options.threads.spawn;
    this.options = options;
    const lane = new Lane(makeSharedMemory(0), this);
    this.lanes = [lane];
    this.buckets = new Buckets(lane.memory.buckets, false);
    this.mirror = new FlowMirror(lane.memory.flowStats);
  }

  // ---- Lanes ----

  /** Room for a request to all lanes, as of {@link Lane.request}; {@link post} follows in the same turn. */
  request(length: number): Lane {
    return this.lanes[0]!.request(length);
  }

  post(): void {
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

  receiveQueues(device: string): number {
    return this.options.threads.receiveQueues(device);
  }

  grow(queues: number): Promise<void> {
    this.growing = this.growing.then(() => this.growTo(Math.min(queues, this.mostLanes())));
    return this.growing;
  }

  private mostLanes(): number {
    return Math.min(this.cpus?.length ?? MAX_LANES, this.options.threads.cores, MAX_LANES);
  }

  private async growTo(count: number): Promise<void> {
    try {
      while (this.lanes.length < count && !this.closed) await this.addLane();
    } catch (error) {
      this.fault(`no further thread: ${describeError(error)}`);
    }
  }

  /** Starts a lane and tells it all that the others have been told; what changes meanwhile it hears like them. */
  private async addLane(): Promise<void> {
    const first = this.lanes[0]!;
    const number = this.lanes.length;
    this.buckets.setLanes(number + 1);
    const lane = new Lane(makeSharedMemory(number, first.memory.buckets), this);
    const generations = this.mirror.generationsNow();
    this.mirror.addLane(lane.memory.flowStats);
    this.lanes.push(lane);
    if (this.vlanLimit >= 0) this.requestVlanLimit(lane);
    this.requestPin(lane, number);
    for (const [id, words] of this.meters) this.requestMeter(lane, id, words);
    this.portSet.replay(lane);
    let told = 0;
    for (let flow = 0; flow < generations.length; flow++) {
      // A newer flow of this number the lane has heard of.
      if (!this.mirror.isOf(flow, generations)) continue;
      this.replayFlow(lane, flow);
      if (++told % REPLAY_SLICE === 0) await new Promise<void>((resolve) => this.clock.soon(resolve));
    }
    await lane.settled();
    this.ready = this.lanes.length;
    await this.portSet.rebalance();
  }

  rebalance(): Promise<void> {
    this.growing = this.growing.then(() => this.portSet.rebalance());
    return this.growing;
  }

  private replayFlow(lane: Lane, flow: number): void {
    const { key, mask } = this.replayed;
    this.mirror.read(flow, this.replayed);
    compactMask(mask, this.mask);
    writeFlow(lane, flow, key, this.mask, this.replayed.actions);
    lane.post();
  }

  setCpus(cpus: readonly number[] | undefined): void {
    if (String(cpus) === String(this.cpus)) return;
    this.cpus = cpus?.length === 0 ? undefined : cpus;
    for (const [number, lane] of this.lanes.entries()) this.requestPin(lane, number);
  }

  private coreOf(number: number): number {
    return this.cpus === undefined ? -1 : this.cpus[number % this.cpus.length]!;
  }

  private requestPin(lane: Lane, number: number): void {
    const { words, at } = lane.request(2);
    words[at] = REQ_PIN;
    words[at + 1] = this.coreOf(number);
    lane.post();
  }

  threads(): DpThread[] {
    return this.lanes.map((lane, number) => ({
      core: this.cpus === undefined ? number : this.coreOf(number),
      stats: readCounters([lane.counters], this.mirror),
      queues: [...this.portSet.table.values()].flatMap(({ name, readers }) => {
        const queue = readers.indexOf(number);
        return queue < 0 ? [] : [{ port: name, queue }];
      }),
    }));
  }

  died(reason: string): void {
    if (this.closed) return;
    this.abandon();
    this.terminate();
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

  portAdd(netdev: Netdev, wanted: OdpPort | undefined): Promise<OdpPort> {
    return this.portSet.add(netdev, wanted);
  }

  portDel(port: OdpPort): Promise<void> {
    return this.portSet.remove(port);
  }

  ports(): Iterable<DpPort> {
    return [...this.portSet.table.values()];
  }

  portShaped(port: OdpPort, shaped: boolean): void {
    this.portSet.setShaped(port, shaped);
  }

  portPolicing(port: OdpPort, policing: Policing): void {
    this.portSet.setPolicing(port, policing);
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
    writeFlow(this.lanes[0]!, flow, key, this.mask, actions);
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
    this.meters.set(id, wanted);
    for (const lane of this.lanes) this.requestMeter(lane, id, wanted);
  }

  private requestMeter(lane: Lane, id: number, wanted: readonly number[]): void {
    const { words, at } = lane.request(2 + wanted.length);
    words[at] = REQ_METER_SET;
    words[at + 1] = id;
    words.set(wanted, at + 2);
    lane.post();
  }

  meterDel(id: number): void {
    this.meters.delete(id);
    const { words, at } = this.request(2);
    words[at] = REQ_METER_DEL;
    words[at + 1] = id;
    this.post();
  }

  meterStats(id: number, bands: number): DpMeterStats {
    return readMeterStats(
      this.lanes.map((lane) => lane.meterCounters),
      id,
      bands,
    );
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
    const lane = this.lanes[0]!;
    const { words, at } = lane.request(length);
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
    lane.post();
  }

  setVlanLimit(tags: number): void {
    setVlanLimit(tags);
    this.vlanLimit = tags;
    for (const lane of this.lanes) this.requestVlanLimit(lane);
  }

  private requestVlanLimit(lane: Lane): void {
    const { words, at } = lane.request(2);
    words[at] = REQ_VLAN_LIMIT;
    words[at + 1] = this.vlanLimit;
    lane.post();
  }

  stats(): Promise<DpStats> {
    return this.settled().then(() => readCounters(this.counters(), this.mirror));
  }

  drops(): ReadonlyMap<string, number> {
    return readDrops(this.counters());
  }

  private counters(): Float64Array[] {
    return this.lanes.map((lane) => lane.counters);
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
    for (const port of [...this.portSet.table.keys()]) await this.portDel(port);
    this.abandon();
    this.terminate();
  }

  private terminate(): void {
    for (const lane of this.lanes) lane.thread.terminate();
  }
}

/** Makes room for the request that installs a flow, and writes it. */
function writeFlow(lane: Lane, flow: number, key: Flow, mask: CompactMask, actions: Int32Array): void {
  const { count, words: maskWords, bits } = mask;
  const { words, at } = lane.request(3 + count * 3 + actions.length);
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
}

function writeProgram(program: Int32Array, words: Int32Array, at: number): void {
  for (let i = 0; i < program.length; i++) words[at + i] = program[i]!;
}

export function openWorkerDpif(options: WorkerDpifOptions): Dpif {
  return new WorkerDpif(options);
}
