/** What the page watches, kept as the pages want it. */
import type {
  Cells,
  DatapathCounts,
  DatapathData,
  Drop,
  FlowsData,
  MacsData,
  PortsData,
  PortTuple,
  State,
  TableData,
  TalkersData,
  Topic,
} from "../protocol.ts";
import { connection } from "./connection.ts";
import { Store } from "./store.ts";

/** A change of a cell is shown for this long. */
export const FLASH_MS = 1600;

abstract class Source extends Store {
  error: string | undefined = undefined;
  /** The first whole state has come. */
  ready = false;
  readonly topic: Topic;

  constructor(topic: Topic) {
    super();
    this.topic = topic;
  }

  start(): () => void {
    return connection.watch(
      this.topic,
      (data) => {
        const { error, more } = data as { error?: string; more?: true };
        this.error = error;
        if (error === undefined) this.take(data);
        if (more !== true) {
          this.ready = true;
          this.changed();
        }
      },
      (error) => {
        this.error = error;
        this.ready = true;
        this.changed();
      },
    );
  }

  protected abstract take(data: unknown): void;
}

export class StateSource extends Source {
  state: State = { version: "", allowEdit: false, systems: [] };

  constructor() {
    super({ kind: "state" });
  }

  protected override take(data: unknown): void {
    this.state = data as State;
  }
}

export interface TableRow {
  readonly uuid: string;
  cells: Cells;
  /** When a column changed, by `performance.now()`. */
  readonly flashes: Map<string, number>;
  /** For the filter, made when first asked for. */
  text: string | undefined;
}

export class TableSource extends Source {
  readonly rows = new Map<string, TableRow>();
  /** Another array after each change of which rows there are. */
  list: readonly TableRow[] = [];

  protected override take(data: unknown): void {
    const { reset, more, set, gone } = data as TableData;
    const now = performance.now();
    if (reset) this.rows.clear();
    let others = reset === true;
    for (const [uuid, cells] of Object.entries(set ?? {})) {
      const row = this.rows.get(uuid);
      if (row === undefined) {
        const flashes = new Map<string, number>();
        if (this.ready && !reset) for (const column in cells) flashes.set(column, now);
        this.rows.set(uuid, { uuid, cells, flashes, text: undefined });
        others = true;
        continue;
      }
      row.cells = { ...row.cells, ...cells };
      row.text = undefined;
      for (const column in cells) row.flashes.set(column, now);
    }
    for (const uuid of gone ?? []) others = this.rows.delete(uuid) || others;
    if (others && more !== true) this.list = [...this.rows.values()];
  }
}

/** A flow or megaflow: what it is, counters, and what they grow by in a second. */
export interface CountedFlow {
  readonly id: number;
  readonly table: number;
  readonly priority: number;
  readonly cookie: string;
  readonly match: string;
  readonly actions: string;
  readonly notes: string;
  readonly madeMs: number;
  readonly text: string;
  packets: number;
  bytes: number;
  packetRate: number;
  byteRate: number;
  usedSec: number;
}

abstract class FlowSource extends Source {
  readonly flows = new Map<number, CountedFlow>();
  list: readonly CountedFlow[] = [];
  atMs = 0;
  #moving: CountedFlow[] = [];

  protected begin(reset: boolean): void {
    if (reset) {
      this.flows.clear();
      this.#moving = [];
    }
  }

  protected put(flow: CountedFlow): void {
    this.flows.set(flow.id, flow);
  }

  protected count(atMs: number, counts: readonly number[], stride: number): void {
    const seconds = (atMs - this.atMs) / 1000;
    if (seconds <= 0) return;
    for (const flow of this.#moving) {
      flow.packetRate = 0;
      flow.byteRate = 0;
    }
    this.#moving = [];
    for (let i = 0; i < counts.length; i += stride) {
      const flow = this.flows.get(counts[i]!);
      if (flow === undefined) continue;
      const packets = counts[i + 1]!;
      const bytes = counts[i + 2]!;
      flow.packetRate = Math.max(0, packets - flow.packets) / seconds;
      flow.byteRate = Math.max(0, bytes - flow.bytes) / seconds;
      flow.packets = packets;
      flow.bytes = bytes;
      if (stride > 3) flow.usedSec = counts[i + 3]!;
      if (flow.packetRate > 0) this.#moving.push(flow);
    }
  }

  /** Takes the list anew when it is whole and `others` came or went. */
  protected end(others: boolean): void {
    if (others) this.list = [...this.flows.values()];
  }
}

export class OpenflowSource extends FlowSource {
  protected override take(data: unknown): void {
    const { reset, more, add = [], counts = [], gone = [], atMs } = data as FlowsData;
    this.begin(reset === true);
    for (const [id, table, priority, cookie, match, actions, notes, packets, bytes, madeMs] of add) {
      const text = `${match} ${actions} ${cookie} ${notes}`.toLowerCase();
      const rest = { packetRate: 0, byteRate: 0, usedSec: -1 };
      this.put({ id, table, priority, cookie, match, actions, notes, madeMs, text, packets, bytes, ...rest });
    }
    for (const id of gone) this.flows.delete(id);
    if (reset !== true) this.count(atMs, counts, 3);
    this.atMs = atMs;
    if (more !== true)
      this.end(reset === true || add.length > 0 || gone.length > 0 || this.list.length !== this.flows.size);
  }
}

export class DatapathSource extends FlowSource {
  datapaths: readonly DatapathCounts[] = [];
  /** Of all datapaths, in a second. */
  hitRate = 0;
  missRate = 0;
  lostRate = 0;
  drops: readonly Drop[] | undefined = undefined;

  protected override take(data: unknown): void {
    const { reset, more, add = [], counts = [], gone = [], atMs, datapaths, drops } = data as DatapathData;
    this.begin(reset === true);
    for (const [id, datapath, key, actions, packets, bytes, usedSec] of add) {
      const text = `${key} ${actions} ${datapath}`.toLowerCase();
      const rest = {
        packetRate: 0,
        byteRate: 0,
        table: 0,
        priority: 0,
        cookie: "",
        notes: datapath,
        madeMs: 0,
      };
      this.put({ id, match: key, actions, text, packets, bytes, usedSec, ...rest });
    }
    for (const id of gone) this.flows.delete(id);
    if (reset !== true) this.count(atMs, counts, 4);
    if (datapaths !== undefined) this.#lookups(datapaths, (atMs - this.atMs) / 1000, reset === true);
    if (drops !== undefined) this.drops = drops;
    this.atMs = atMs;
    if (more !== true)
      this.end(reset === true || add.length > 0 || gone.length > 0 || this.list.length !== this.flows.size);
  }

  #lookups(datapaths: readonly DatapathCounts[], seconds: number, first: boolean): void {
    const sum = (list: readonly DatapathCounts[], key: "hits" | "misses" | "lost"): number =>
      list.reduce((total, one) => total + one[key], 0);
    const rate = (key: "hits" | "misses" | "lost"): number =>
      first || seconds <= 0 ? 0 : Math.max(0, sum(datapaths, key) - sum(this.datapaths, key)) / seconds;
    this.hitRate = rate("hits");
    this.missRate = rate("misses");
    this.lostRate = rate("lost");
    this.datapaths = datapaths;
  }
}

/** Samples of a port's rates that the page keeps: five minutes. */
const SAMPLES = 300;

export interface PortRow {
  readonly port: number;
  readonly name: string;
  mac: string;
  config: number;
  state: number;
  speedKbps: number;
  rxPackets: number;
  txPackets: number;
  rxBytes: number;
  txBytes: number;
  dropped: number;
  errors: number;
  rxBitRate: number;
  txBitRate: number;
  rxPacketRate: number;
  txPacketRate: number;
  text: string;
  /** Bits a second, received and sent, by sample. */
  readonly rx: Float32Array;
  readonly tx: Float32Array;
}

export class PortsSource extends Source {
  readonly ports = new Map<number, PortRow>();
  list: readonly PortRow[] = [];
  /** Times of the samples, oldest first; sample i of a port belongs to times[i]. */
  times: number[] = [];
  #last: PortsData | undefined = undefined;

  protected override take(data: unknown): void {
    const now = data as PortsData;
    const before = new Map(this.#last?.ports.map((port) => [port[0], port]));
    const seconds = this.#last === undefined ? 0 : (now.atMs - this.#last.atMs) / 1000;
    this.#last = now;
    if (seconds > 0) {
      if (this.times.length === SAMPLES) {
        this.times.shift();
        for (const { rx, tx } of this.ports.values()) {
          rx.copyWithin(0, 1);
          tx.copyWithin(0, 1);
        }
      }
      this.times.push(now.atMs);
    }
    const seen = new Set<number>();
    let others = false;
    for (const tuple of now.ports) {
      seen.add(tuple[0]);
      let row = this.ports.get(tuple[0]);
      if (row === undefined || row.name !== tuple[1]) {
        row = newPort(tuple);
        this.ports.set(tuple[0], row);
        others = true;
      }
      update(row, tuple, before.get(tuple[0]), seconds, this.times.length - 1);
    }
    for (const port of [...this.ports.keys()]) {
      if (!seen.has(port)) others = this.ports.delete(port) || others;
    }
    if (others) this.list = [...this.ports.values()];
  }
}

function newPort(tuple: PortTuple): PortRow {
  const zero = { dropped: 0, errors: 0, rxBitRate: 0, txBitRate: 0, rxPacketRate: 0, txPacketRate: 0 };
  const [port, name, mac, config, state, speedKbps, rxPackets, txPackets, rxBytes, txBytes] = tuple;
  const series = { rx: new Float32Array(SAMPLES), tx: new Float32Array(SAMPLES) };
  const text = `${name} ${mac} ${port}`.toLowerCase();
  return {
    port,
    name,
    mac,
    config,
    state,
    speedKbps,
    rxPackets,
    txPackets,
    rxBytes,
    txBytes,
    text,
    ...zero,
    ...series,
  };
}

function update(
  row: PortRow,
  tuple: PortTuple,
  before: PortTuple | undefined,
  seconds: number,
  sample: number,
): void {
  const rate = (index: number): number =>
    before === undefined || seconds <= 0
      ? 0
      : Math.max(0, (tuple[index] as number) - (before[index] as number)) / seconds;
  row.mac = tuple[2];
  row.config = tuple[3];
  row.state = tuple[4];
  row.speedKbps = tuple[5];
  row.rxPackets = tuple[6];
  row.txPackets = tuple[7];
  row.rxBytes = tuple[8];
  row.txBytes = tuple[9];
  row.dropped = tuple[10] + tuple[11];
  row.errors = tuple[12] + tuple[13];
  row.rxPacketRate = rate(6);
  row.txPacketRate = rate(7);
  row.rxBitRate = rate(8) * 8;
  row.txBitRate = rate(9) * 8;
  if (sample >= 0) {
    row.rx[sample] = row.rxBitRate;
    row.tx[sample] = row.txBitRate;
  }
}

export class MacsSource extends Source {
  data: MacsData = { macs: [] };

  protected override take(data: unknown): void {
    this.data = data as MacsData;
  }
}

export class TalkersSource extends Source {
  data: TalkersData | undefined = undefined;

  constructor() {
    super({ kind: "talkers" });
  }

  protected override take(data: unknown): void {
    this.data = data as TalkersData;
  }
}
