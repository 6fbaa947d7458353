/** Datapath flows, lookups and drops of one switch, by its control socket, asked for while a page looks. */
import type { Clock } from "../lib/clock.ts";
import { parseDatapaths, parseMacs, parseMegaflow } from "../lib/control-text.ts";
import type { Control } from "./control.ts";
import { PolledFeed, pieces } from "./feed.ts";
import type { DatapathCounts, DatapathData, Drop, MacsData, MegaflowTuple } from "./protocol.ts";

const INTERVAL_MS = 1000;
const PIECE = 4000;

interface Known {
  readonly tuple: MegaflowTuple;
  packets: number;
  bytes: number;
  usedSec: number;
  round: number;
}

export class DatapathFeed extends PolledFeed {
  readonly #clock: Clock;
  readonly #control: Control;
  #known = new Map<string, Known>();
  #round = 0;
  #nextId = 1;
  #atMs = 0;
  #datapaths: readonly DatapathCounts[] = [];
  #drops: readonly Drop[] | undefined = undefined;
  #error: string | undefined = undefined;

  constructor(clock: Clock, control: Control) {
    super(clock, INTERVAL_MS);
    this.#clock = clock;
    this.#control = control;
  }

  protected override watched(yes: boolean): void {
    if (!yes) {
      this.#known = new Map();
      this.#round = 0;
      this.#error = undefined;
    }
    super.watched(yes);
  }

  protected override *snapshot(): IterableIterator<DatapathData> {
    if (this.#error !== undefined) yield { atMs: this.#atMs, error: this.#error };
    if (this.#round === 0) return;
    const all = [...this.#known.values()].map(
      ({ tuple: [id, dp, key, actions], packets, bytes, usedSec }): MegaflowTuple => [
        id,
        dp,
        key,
        actions,
        packets,
        bytes,
        usedSec,
      ],
    );
    yield* this.#pieces(all, true);
  }

  *#pieces(flows: readonly MegaflowTuple[], reset: boolean): IterableIterator<DatapathData> {
    let first = reset;
    for (const { part, last } of pieces(flows, PIECE)) {
      yield {
        atMs: this.#atMs,
        ...(first ? { reset: true } : {}),
        ...(last ? this.#rest() : { more: true }),
        add: part,
      };
      first = false;
    }
  }

  #rest(): Pick<DatapathData, "datapaths" | "drops"> {
    return { datapaths: this.#datapaths, ...(this.#drops === undefined ? {} : { drops: this.#drops }) };
  }

  protected override failed(reason: string): void {
    this.#error = reason;
    this.publish({ atMs: this.#clock.wall(), error: reason });
  }

  protected override async round(): Promise<void> {
    const first = this.#round === 0 || this.#error !== undefined;
    const round = this.#round + 1;
    const add: MegaflowTuple[] = [];
    const counts: number[] = [];
    const wallMs = this.#clock.wall();
    // The page has ports from elsewhere.
    this.#datapaths = parseDatapaths(await this.#control.text("dpctl/show")).map(
      ({ ports: _, ...counts }) => counts,
    );
    for (const { name } of this.#datapaths) {
      const text = await this.#control.text("dpctl/dump-flows", "--names", name);
      for (const line of text.split("\n")) this.#seen(name, line, round, add, counts);
    }
    this.#drops = await this.#readDrops();
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
      this.publish({ atMs: wallMs, add: add.length > PIECE ? [] : add, counts, gone, ...this.#rest() });
    }
  }

  #seen(datapath: string, line: string, round: number, add: MegaflowTuple[], counts: number[]): void {
    const flow = parseMegaflow(line);
    if (flow === undefined) return;
    const { packets, bytes, usedSec } = flow;
    const key = `${datapath} ${flow.key} ${flow.actions}`;
    const known = this.#known.get(key);
    if (known === undefined) {
      const tuple: MegaflowTuple = [
        this.#nextId++,
        datapath,
        flow.key,
        flow.actions,
        packets,
        bytes,
        usedSec,
      ];
      this.#known.set(key, { tuple, packets, bytes, usedSec, round });
      add.push(tuple);
      return;
    }
    known.round = round;
    if (known.packets === packets && known.bytes === bytes && known.usedSec === usedSec) return;
    Object.assign(known, { packets, bytes, usedSec });
    counts.push(known.tuple[0], packets, bytes, usedSec);
  }

  /** undefined: the switch cannot say (the original). */
  async #readDrops(): Promise<readonly Drop[] | undefined> {
    try {
      const drops = await this.#control.json("ofproto/explain-drops");
      return Array.isArray(drops) ? (drops as unknown as Drop[]) : undefined;
    } catch {
      return undefined;
    }
  }
}

export class MacFeed extends PolledFeed {
  readonly #control: Control;
  readonly #bridge: string;
  #last: MacsData | undefined = undefined;

  constructor(clock: Clock, control: Control, bridge: string) {
    super(clock, INTERVAL_MS);
    this.#control = control;
    this.#bridge = bridge;
  }

  protected override *snapshot(): IterableIterator<MacsData> {
    if (this.#last !== undefined) yield this.#last;
  }

  protected override failed(error: string): void {
    this.#last = { macs: [], error };
    this.publish(this.#last);
  }

  protected override async round(): Promise<void> {
    const text = await this.#control.text("fdb/show", this.#bridge);
    this.#last = { macs: parseMacs(text) };
    this.publish(this.#last);
  }
}
