/**
 * The userspace datapath proper: a packet's way from a port through caches and tables to its actions. Hot path.
 * It knows neither thread nor system call: packets leave through {@link PacketIo}. Flows are numbers that the owner
 * (main) hands out; their statistics lie in memory that main may share.
 */

import { extractFlow } from "../../flow/extract.ts";
import {
  FLOW_DP_WORDS,
  FLOW_PACKET_WORDS,
  type Flow,
  W_ETH_DST_HI,
  W_ETH_TYPE,
  W_IN_PORT,
  W_SKB_PRIORITY,
  W_TCP_FLAGS,
} from "../../flow/layout.ts";
import { ETH_TYPE_NSH } from "../../flow/packet/ethernet.ts";
import { UPCALL_ACTION, UPCALL_MISS } from "../dpif.ts";
import { ODP_OUTPUT, ODP_SAMPLE, ODP_USERSPACE } from "../odp/actions.ts";
import type { Packet } from "../packet.ts";
import type { Buckets } from "./buckets.ts";
import { ExactMatchCache, keyHash } from "./emc.ts";
import { Executor, type PacketIo } from "./execute.ts";
import { type CompactMask, FlowTable } from "./flow-table.ts";
import { MeterBank } from "./meters.ts";
import { ProgramTable } from "./program-table.ts";
import type { Scratch } from "./scratch.ts";
import {
  DROP_TOO_SHORT,
  MAX_FLOWS,
  N_DROPS,
  N_EMC_HITS,
  N_HITS,
  N_MASKS_LOOKED_AT,
  N_MISSES,
  STATS_OCTETS,
  STATS_PACKETS,
  STATS_TCP_FLAGS,
  STATS_USED,
} from "./shared.ts";

/** No program: packets of the flow are dropped. */
const DROP: Int32Array = new Int32Array(0);
const ETHERNET_HEADER_LENGTH = 14;
const offsets = new Int32Array(8);

function extractKey(packet: Packet, key: Flow): void {
  extractFlow(packet.data, packet.offset, packet.length, key, offsets);
}

export class Datapath {
  readonly table = new FlowTable(MAX_FLOWS);
  /** Time stamp for statistics, set by the owner once a batch. */
  nowMs = 0;
  private readonly generations = new Int32Array(MAX_FLOWS);
  private readonly emc = new ExactMatchCache(this.generations);
  /** Of each flow. */
  private readonly programs: Int32Array[] = [];
  /** 1 + the port of a flow that does nothing but send to one, negated when it is sampled first; else 0. */
  private readonly onlyPort = new Int32Array(MAX_FLOWS);
  private readonly programTable = new ProgramTable();
  private readonly key: Flow = new Int32Array(FLOW_DP_WORDS);
  private readonly io: PacketIo;
  private readonly random: () => number;
  private readonly counters: Float64Array;
  private readonly stats: Float64Array;
  private readonly statsWords: Int32Array;
  private readonly executor: Executor;
  readonly meters: MeterBank;

  /** `flowStats` holds MAX_FLOWS rows (shared.ts), `meterStats` METER_STATS_BYTES; `random` gives 32 bits. */
  constructor(
    io: PacketIo,
    scratch: Scratch,
    counters: Float64Array,
    flowStats: ArrayBufferLike,
    meterStats: ArrayBufferLike,
    buckets: Buckets,
    random: () => number,
  ) {
    this.io = io;
    this.random = random;
    this.counters = counters;
    this.stats = new Float64Array(flowStats);
    this.statsWords = new Int32Array(flowStats);
    const recirculate = (packet: Packet, key: Flow, depth: number) => this.classify(packet, key, depth);
    this.meters = new MeterBank(meterStats, this, buckets);
    this.executor = new Executor(io, scratch, counters, recirculate, extractKey, random, this.meters);
  }

  /** A packet from port `inPort`. Its bytes may be changed and must stay until what was output is flushed. */
  receive(packet: Packet, inPort: number): void {
    if (packet.length < ETHERNET_HEADER_LENGTH) {
      this.counters[N_DROPS + DROP_TOO_SHORT]!++;
      return;
    }
    const key = this.key;
    for (let word = 0; word < W_ETH_DST_HI; word++) key[word] = 0;
    key[W_IN_PORT] = inPort;
    extractFlow(packet.data, packet.offset, packet.length, key, offsets);
    const hash = keyHash(key);
    const flow = key[W_ETH_TYPE] === ETH_TYPE_NSH ? -1 : this.emc.find(key, hash);
    if (flow < 0) this.search(packet, key, hash, 0);
    else {
      this.counters[N_EMC_HITS]!++;
      this.counters[N_HITS]!++;
      this.account(flow, packet.length, key[W_TCP_FLAGS]!);
      const only = this.onlyPort[flow]!;
      if (only > 0) {
        this.io.output(only - 1, packet);
        return;
      }
      if (only < 0) {
        this.outputSampled(packet, key, this.programs[flow]!);
        return;
      }
      const program = this.programs[flow]!;
      this.executor.run(packet, key, program, 0, program.length, 0);
    }
    this.executor.finish();
    // What extraction or a program wrote past the packet's words must not stay for the next one.
    if (key[W_ETH_TYPE] === ETH_TYPE_NSH || this.executor.wide) {
      this.executor.wide = false;
      key.fill(0, FLOW_PACKET_WORDS);
    }
  }

  /** Runs what {@link isSampledOutput} is true of. */
  private outputSampled(packet: Packet, key: Flow, program: Int32Array): void {
    const last = program.length - 1;
    if (program[0] === ODP_USERSPACE || this.random() >>> 0 <= program[2]! >>> 0)
      this.io.upcall(UPCALL_ACTION, packet, key, program[last - 3]!);
    this.io.output(program[last]!, packet);
  }

  /** A packet that an action, which ran elsewhere, hands up. */
  handUp(packet: Packet, inPort: number, operand: number): void {
    const key = this.key;
    for (let word = 0; word < W_ETH_DST_HI; word++) key[word] = 0;
    key[W_IN_PORT] = inPort;
    extractFlow(packet.data, packet.offset, packet.length, key, offsets);
    this.io.upcall(UPCALL_ACTION, packet, key, operand);
    if (key[W_ETH_TYPE] === ETH_TYPE_NSH) key.fill(0, FLOW_PACKET_WORDS);
  }

  /** True when the cache, which compares the packet's words only, cannot know this key. */
  private isWide(key: Flow): boolean {
    let any = 0;
    for (let word = FLOW_PACKET_WORDS; word < FLOW_DP_WORDS; word++) any |= key[word]!;
    return any !== 0;
  }

  /** Looks a key up (again) and runs what it finds; a miss goes up. */
  private classify(packet: Packet, key: Flow, depth: number): void {
    const hash = keyHash(key);
    const flow = this.isWide(key) ? -1 : this.emc.find(key, hash);
    if (flow < 0) this.search(packet, key, hash, depth);
    else {
      this.counters[N_EMC_HITS]!++;
      this.hit(flow, packet, key, depth);
    }
  }

  private search(packet: Packet, key: Flow, hash: number, depth: number): void {
    const lookedAt = this.table.lookedAt;
    const flow = this.table.lookup(key);
    this.counters[N_MASKS_LOOKED_AT]! += this.table.lookedAt - lookedAt;
    if (flow < 0) {
      this.counters[N_MISSES]!++;
      this.io.upcall(UPCALL_MISS, packet, key, 0);
      return;
    }
    if (!this.isWide(key)) this.emc.insert(key, hash, flow);
    this.hit(flow, packet, key, depth);
  }

  private hit(flow: number, packet: Packet, key: Flow, depth: number): void {
    this.counters[N_HITS]!++;
    this.account(flow, packet.length, key[W_TCP_FLAGS]!);
    const program = this.programs[flow]!;
    this.executor.run(packet, key, program, 0, program.length, depth);
  }

  private account(flow: number, length: number, tcpFlags: number): void {
    const row = flow * 4;
    const stats = this.stats;
    stats[row + STATS_PACKETS]!++;
    stats[row + STATS_OCTETS]! += length;
    stats[row + STATS_USED] = this.nowMs;
    if (tcpFlags !== 0) this.statsWords[flow * 8 + STATS_TCP_FLAGS]! |= tcpFlags & 0xfff;
  }

  /** Runs a program, words `from` to `end`, on a packet whose key is known (an upcall's answer, a packet-out). */
  execute(packet: Packet, key: Flow, words: Int32Array, from: number, end: number): void {
    packet.priority = key[W_SKB_PRIORITY]!;
    this.executor.run(packet, key, words, from, end, 0);
    this.executor.finish();
  }

  /** The same in the middle of another packet's way: what that one holds stays held. */
  executeInner(packet: Packet, key: Flow, program: Int32Array): void {
    this.executor.run(packet, key, program, 0, program.length, 0);
  }

  /** Classifies a packet that waited for an answer once more. */
  again(packet: Packet, key: Flow): void {
    packet.priority = key[W_SKB_PRIORITY]!;
    this.classify(packet, key, 0);
    this.executor.finish();
  }

  /**
   * Installs flow number `flow`, which is free; its owner has cleared its statistics. Its program is in words `from` to
   * `end`, which are copied.
   */
  flowPut(flow: number, key: Flow, mask: CompactMask, words: Int32Array, from: number, end: number): void {
    this.table.insert(flow, key, mask);
    this.setProgram(flow, words, from, end);
  }

  flowSetActions(flow: number, words: Int32Array, from: number, end: number): void {
    if (!this.table.has(flow)) return;
    this.programTable.release(this.programs[flow]!);
    this.setProgram(flow, words, from, end);
  }

  flowDel(flow: number): void {
    if (!this.table.has(flow)) return;
    this.table.remove(flow);
    this.generations[flow] = (this.generations[flow]! + 1) | 0;
    this.programTable.release(this.programs[flow]!);
    this.programs[flow] = DROP;
  }

  private setProgram(flow: number, words: Int32Array, from: number, end: number): void {
    const program = this.programTable.hold(words, from, end);
    this.programs[flow] = program;
    const port = program[program.length - 1]! + 1;
    this.onlyPort[flow] = isOutput(program) ? port : isSampledOutput(program) ? -port : 0;
  }
}

function isOutput(program: Int32Array): boolean {
  return program.length === 3 && program[0] === ODP_OUTPUT;
}

/** Hands the packet up, always or with some probability, and sends it to one port. */
function isSampledOutput(program: Int32Array): boolean {
  const { length } = program;
  if (length < 6 || program[length - 3] !== ODP_OUTPUT || program[length - 6] !== ODP_USERSPACE) return false;
  return length === 6 || (length === 9 && program[0] === ODP_SAMPLE && program[1] === 6 && program[2] !== 0);
}
