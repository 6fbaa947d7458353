/**
 * A bridge's flows: read again and again while a page looks, but decoded and put into words once each. In OpenFlow 1.1 to 1.4
 * an entry of a flow statistics reply is
 *
 *      0        2      3    4                12                      24      32       40      48
 *     | length | table | 0 | duration s, ns | priority … flags, pad | cookie | packets | bytes | match, instructions … |
 *
 * (OpenFlow 1.3.5 section 7.3.5.2), so what a flow is can be told from its counters without looking further: the bytes
 * before `duration`, between it and `packets`, and behind `bytes` are its key. Of other versions everything is decoded.
 */
import type { Clock } from "../lib/clock.ts";
import { OFPG_ANY, OFPP_ANY } from "../openflow/actions.ts";
import { decode } from "../openflow/codec.ts";
import { OfpError } from "../openflow/errors.ts";
import { type FlowStats, formatActions, UNKNOWN64, type Version } from "../openflow/index.ts";
import { formatFlowMatch, formatFlowNotes } from "../openflow/text/flow.ts";
import { emptyFlowMod } from "../openflow/text/flow-parse.ts";
import { PolledFeed, pieces } from "./feed.ts";
import type { OpenflowClient } from "./openflow-client.ts";
import type { FlowsData, FlowTuple } from "./protocol.ts";

const INTERVAL_MS = 1000;
/** Flows in one message. */
const PIECE = 4000;
/** Names of ports are read again this often. */
const NAMES_MS = 10_000;

const HEADER = 16;
const ENTRY = 48;

/** Of all flows. */
export const FLOW_REQUEST = {
  type: "flow-request" as const,
  match: emptyFlowMod(0).match,
  cookie: 0n,
  cookieMask: 0n,
  table: 0xff,
  outPort: OFPP_ANY,
  outGroup: OFPG_ANY,
};

interface Known {
  readonly tuple: FlowTuple;
  packets: number;
  bytes: number;
  /** Of the last round that has seen it. */
  round: number;
}

interface Names {
  numberOf(name: string): number | undefined;
  nameOf(port: number): string | undefined;
}

export class FlowFeed extends PolledFeed {
  readonly #clock: Clock;
  readonly #client: OpenflowClient;
  #known = new Map<string, Known>();
  #round = 0;
  #nextId = 1;
  #atMs = 0;
  #names: Names & { key: string; readMs: number } = {
    numberOf: () => undefined,
    nameOf: () => undefined,
    key: "",
    readMs: Number.NEGATIVE_INFINITY,
  };
  #error: string | undefined = undefined;

  constructor(clock: Clock, client: OpenflowClient) {
    super(clock, INTERVAL_MS);
    this.#clock = clock;
    this.#client = client;
  }

  protected override watched(yes: boolean): void {
    // Old counters would make wrong rates.
    if (!yes) {
      this.#known = new Map();
      this.#round = 0;
      this.#error = undefined;
    }
    super.watched(yes);
  }

  protected override *snapshot(): IterableIterator<FlowsData> {
    if (this.#error !== undefined) yield { atMs: this.#atMs, error: this.#error };
    if (this.#round === 0) return;
    const all = [...this.#known.values()].map(current);
    yield* this.#pieces(all, true);
  }

  *#pieces(flows: readonly FlowTuple[], reset: boolean): IterableIterator<FlowsData> {
    let first = reset;
    for (const { part, last } of pieces(flows, PIECE)) {
      yield {
        atMs: this.#atMs,
        ...(first ? { reset: true } : {}),
        ...(last ? {} : { more: true }),
        add: part,
      };
      first = false;
    }
  }

  protected override failed(reason: string): void {
    this.#error = reason;
    this.publish({ atMs: this.#clock.wall(), error: reason });
  }

  protected override async round(): Promise<void> {
    await this.#readNames();
    const first = this.#round === 0 || this.#error !== undefined;
    const round = this.#round + 1;
    const add: FlowTuple[] = [];
    const counts: number[] = [];
    const wallMs = this.#clock.wall();
    const seen = (key: string, stats: () => FlowStats, packets: number, bytes: number): void => {
      const known = this.#known.get(key);
      if (known === undefined) {
        const tuple = this.#describe(stats(), packets, bytes, wallMs);
        this.#known.set(key, { tuple, packets, bytes, round });
        add.push(tuple);
        return;
      }
      known.round = round;
      if (known.packets === packets && known.bytes === bytes) return;
      known.packets = packets;
      known.bytes = bytes;
      counts.push(known.tuple[0], packets, bytes);
    };
    await this.#client.stream(FLOW_REQUEST, (bytes, version) => {
      if (version >= 2 && version <= 5) eachEntry(bytes, version, seen);
      else eachDecoded(bytes, seen);
    });
    if (!this.isWatched) return;
    const gone: number[] = [];
    for (const [key, known] of this.#known) {
      if (known.round === round) continue;
      gone.push(known.tuple[0]);
      this.#known.delete(key);
    }
    this.#round = round;
    this.#error = undefined;
    this.#atMs = wallMs;
    if (first) for (const part of this.snapshot()) this.publish(part);
    else {
      for (const part of add.length > PIECE ? this.#pieces(add, false) : []) this.publish(part);
      const few = add.length > PIECE ? [] : add;
      this.publish({ atMs: wallMs, add: few, counts, gone });
    }
  }

  async #readNames(): Promise<void> {
    const now = this.#clock.now();
    if (now - this.#names.readMs < NAMES_MS) return;
    const names = new Map<number, string>();
    for (const { ports } of await this.#client.ask(
      { type: "port-desc-request", port: OFPP_ANY },
      "port-desc-reply",
    )) {
      for (const { port, name } of ports) names.set(port, name);
    }
    const key = JSON.stringify([...names]);
    // Texts with old names are of no use.
    if (key !== this.#names.key && this.#names.key !== "") {
      this.#known = new Map();
      this.#round = 0;
    }
    this.#names = { numberOf: () => undefined, nameOf: (port) => names.get(port), key, readMs: now };
  }

  #describe(s: FlowStats, packets: number, bytes: number, wallMs: number): FlowTuple {
    const options = { ports: this.#names };
    const madeMs = Math.round(wallMs - s.duration.sec * 1000 - s.duration.nsec / 1e6);
    return [
      this.#nextId++,
      s.table,
      s.priority,
      s.cookie === 0n ? "" : `0x${s.cookie.toString(16)}`,
      formatFlowMatch(s, options, false),
      formatActions(s.actions, options),
      formatFlowNotes(s).replace(/,? $/, ""),
      packets,
      bytes,
      madeMs,
    ];
  }
}

function current({ tuple, packets, bytes }: Known): FlowTuple {
  if (tuple[7] === packets && tuple[8] === bytes) return tuple;
  const [id, table, priority, cookie, match, actions, notes, , , madeMs] = tuple;
  return [id, table, priority, cookie, match, actions, notes, packets, bytes, madeMs];
}

type Seen = (key: string, stats: () => FlowStats, packets: number, bytes: number) => void;

function eachEntry(bytes: Uint8Array, version: Version, seen: Seen): void {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = HEADER; at + ENTRY <= buffer.length; ) {
    const length = buffer.readUInt16BE(at);
    if (length < ENTRY || at + length > buffer.length) throw new Error("bad reply: a flow's length");
    const start = at;
    const key =
      buffer.toString("latin1", at + 2, at + 4) +
      buffer.toString("latin1", at + 12, at + 32) +
      buffer.toString("latin1", at + ENTRY, at + length);
    const stats = (): FlowStats => decodeEntry(buffer, start, length, version);
    seen(key, stats, counter(buffer, at + 32), counter(buffer, at + 40));
    at += length;
  }
}

/** A message with this entry alone. */
function decodeEntry(buffer: Buffer, at: number, length: number, version: Version): FlowStats {
  const one = new Uint8Array(HEADER + length);
  one.set(buffer.subarray(0, HEADER));
  one.set(buffer.subarray(at, at + length), HEADER);
  one[0] = version;
  one[2] = one.length >> 8;
  one[3] = one.length & 0xff;
  const [stats] = decodeFlows(one);
  if (stats === undefined) throw new Error("bad reply: an entry without a flow");
  return stats;
}

function decodeFlows(bytes: Uint8Array): FlowStats[] {
  const decoded = decode(bytes);
  if (decoded instanceof OfpError) throw new Error(`bad reply: ${decoded.message}`);
  if (decoded.message.type !== "flow-reply") throw new Error(`unexpected reply: ${decoded.name}`);
  return decoded.message.flows;
}

function eachDecoded(bytes: Uint8Array, seen: Seen): void {
  for (const stats of decodeFlows(bytes)) {
    const key = `${stats.table},${stats.cookie},${formatFlowMatch(stats)},${formatFlowNotes(stats)},${formatActions(stats.actions)}`;
    const number = (value: bigint): number => (value === UNKNOWN64 ? 0 : Number(value));
    seen(key, () => stats, number(stats.packets), number(stats.bytes));
  }
}

/** 64 bits; all ones: not counted. */
function counter(buffer: Buffer, at: number): number {
  const high = buffer.readUInt32BE(at);
  return high === 0xffff_ffff ? 0 : high * 0x1_0000_0000 + buffer.readUInt32BE(at + 4);
}
