/**
 * The flows as main knows them: numbers, generations, keys, masks and programs; and how statistics are read.
 * The same tables as the worker's find out whether a key is already served. Typed arrays: there may be 200 000.
 */
import { FLOW_DP_WORDS, FLOW_PACKET_WORDS, type Flow } from "../../flow/layout.ts";
import { type DpFlow, type DpFlowStats, type FlowHandle, flowIndex } from "../dpif.ts";
import { type CompactMask, FlowTable } from "./flow-table.ts";
import { ProgramTable } from "./program-table.ts";
import { MAX_FLOWS, STATS_OCTETS, STATS_PACKETS, STATS_TCP_FLAGS, STATS_USED } from "./shared.ts";

const CHUNK_SHIFT = 8;
const CHUNK_ROWS = 1 << CHUNK_SHIFT;

export class FlowMirror {
  readonly table = new FlowTable(MAX_FLOWS);
  /** Of each flow in use. */
  private readonly programs: (Int32Array | undefined)[] = [];
  private readonly programTable = new ProgramTable();
  private readonly generations = new Int32Array(MAX_FLOWS);
  private readonly free = new Int32Array(MAX_FLOWS);
  /** A ring. */
  private freeHead = 0;
  private freeCount = 0;
  private used = 0;
  private readonly keys: Int32Array[] = [];
  /** Keys with words past the packet's (tunnels, conntrack). */
  private readonly wideKeys = new Map<number, Int32Array>();
  /** Of each lane. */
  private readonly stats: Float64Array[] = [];
  private readonly statsWords: Int32Array[] = [];

  constructor(flowStats: ArrayBufferLike) {
    this.addLane(flowStats);
  }

  /** Statistics of a further lane, zeros as yet. */
  addLane(flowStats: ArrayBufferLike): void {
    this.stats.push(new Float64Array(flowStats));
    this.statsWords.push(new Int32Array(flowStats));
  }

  get size(): number {
    return this.table.size;
  }

  handle(flow: number): FlowHandle {
    return this.generations[flow]! * MAX_FLOWS + flow;
  }

  /** What {@link isOf} takes to tell the flows of now from later ones. */
  generationsNow(): Int32Array {
    return this.generations.slice(0, this.used);
  }

  /** Flow number `flow` is there, and was when `generations` were taken. */
  isOf(flow: number, generations: Int32Array): boolean {
    return this.programs[flow] !== undefined && this.generations[flow] === generations[flow];
  }

  /** The flow's number, or -1 when it is gone. */
  resolve(handle: FlowHandle): number {
    const flow = flowIndex(handle);
    return this.table.has(flow) && this.handle(flow) === handle ? flow : -1;
  }

  /** Number of a new flow, or -1 when there are MAX_FLOWS. The key must not be there under the mask. */
  add(key: Flow, mask: CompactMask, program: Int32Array): number {
    const flow = this.takeNumber();
    if (flow < 0) return -1;
    this.generations[flow]!++;
    for (let lane = 0; lane < this.stats.length; lane++) {
      const stats = this.stats[lane]!;
      for (let at = flow * 4; at < flow * 4 + 4; at++) stats[at] = 0;
    }
    this.storeKey(flow, key);
    this.table.insert(flow, key, mask);
    this.programs[flow] = this.programTable.hold(program, 0, program.length);
    return flow;
  }

  /** Of a flow in use. */
  setProgram(flow: number, program: Int32Array): void {
    this.programTable.release(this.programs[flow]!);
    this.programs[flow] = this.programTable.hold(program, 0, program.length);
  }

  /** Takes the flow out; its number stays taken until {@link recycle}, while its statistics may still grow. */
  remove(flow: number): void {
    this.table.remove(flow);
    this.programTable.release(this.programs[flow]!);
    this.programs[flow] = undefined;
    this.wideKeys.delete(flow);
  }

  recycle(flow: number): void {
    this.free[(this.freeHead + this.freeCount++) % MAX_FLOWS] = flow;
  }

  /** The number that has been free for longest, so that flows are told in about the order of their making. */
  private takeNumber(): number {
    if (this.freeCount === 0) return this.used < MAX_FLOWS ? this.used++ : -1;
    const flow = this.free[this.freeHead]!;
    this.freeHead = (this.freeHead + 1) % MAX_FLOWS;
    this.freeCount--;
    return flow;
  }

  private storeKey(flow: number, key: Flow): void {
    const number = flow >> CHUNK_SHIFT;
    while (this.keys.length <= number) this.keys.push(new Int32Array(CHUNK_ROWS * FLOW_PACKET_WORDS));
    const chunk = this.keys[number]!;
    const at = (flow & (CHUNK_ROWS - 1)) * FLOW_PACKET_WORDS;
    for (let word = 0; word < FLOW_PACKET_WORDS; word++) chunk[at + word] = key[word]!;
    let wide = 0;
    for (let word = FLOW_PACKET_WORDS; word < FLOW_DP_WORDS; word++) wide |= key[word]!;
    if (wide !== 0) this.wideKeys.set(flow, key.slice(0, FLOW_DP_WORDS));
  }

  keyOf(flow: number): Flow {
    const wide = this.wideKeys.get(flow);
    if (wide !== undefined) return wide.slice();
    const key = new Int32Array(FLOW_DP_WORDS);
    const at = (flow & (CHUNK_ROWS - 1)) * FLOW_PACKET_WORDS;
    key.set(this.keys[flow >> CHUNK_SHIFT]!.subarray(at, at + FLOW_PACKET_WORDS));
    return key;
  }

  /** Key, mask and program of a flow in use. */
  read(flow: number, into: DpFlow): void {
    const { key } = into;
    const wide = this.wideKeys.get(flow);
    if (wide !== undefined) key.set(wide);
    else {
      const chunk = this.keys[flow >> CHUNK_SHIFT]!;
      const at = (flow & (CHUNK_ROWS - 1)) * FLOW_PACKET_WORDS;
      for (let word = 0; word < FLOW_PACKET_WORDS; word++) key[word] = chunk[at + word]!;
      key.fill(0, FLOW_PACKET_WORDS);
    }
    this.table.maskOf(flow, into.mask);
    into.actions = this.programs[flow]!;
    into.handle = this.handle(flow);
  }

  /** Of all lanes together. `offsetMs` turns the time of the statistics into Clock.now(). */
  readStats(flow: number, out: DpFlowStats, offsetMs: number): void {
    const row = flow * 4;
    out.packets = 0;
    out.bytes = 0;
    out.tcpFlags = 0;
    let used = 0;
    for (let lane = 0; lane < this.stats.length; lane++) {
      const stats = this.stats[lane]!;
      out.packets += stats[row + STATS_PACKETS]!;
      out.bytes += stats[row + STATS_OCTETS]!;
      used = Math.max(used, stats[row + STATS_USED]!);
      out.tcpFlags |= this.statsWords[lane]![flow * 8 + STATS_TCP_FLAGS]!;
    }
    out.usedMs = out.packets === 0 ? 0 : used + offsetMs;
  }

  *flows(): Iterable<DpFlow> {
    for (let flow = 0; flow < this.used; flow++) {
      const actions = this.programs[flow];
      if (actions === undefined) continue;
      const mask = new Int32Array(FLOW_DP_WORDS);
      this.table.maskOf(flow, mask);
      yield { handle: this.handle(flow), key: this.keyOf(flow), mask, actions };
    }
  }

  /** Numbers of all flows. */
  *numbers(): Iterable<number> {
    for (let flow = 0; flow < this.used; flow++) if (this.programs[flow] !== undefined) yield flow;
  }
}
