/**
 * Rates of interfaces over the last half hour, from the statistics that the switch writes into the database every few
 * seconds. An interface that has no traffic is not written anew, so all get a value at each writing: the time axis is one.
 */
import type { Clock, Timer } from "../lib/clock.ts";
import { mapGet } from "../ovsdb/datum.ts";
import type { IdlRow, IdlTable } from "../ovsdb/idl-table.ts";
import type { Column } from "../ovsdb/schema.ts";
import type { History } from "./protocol.ts";

const COUNTERS = ["rx_bytes", "tx_bytes", "rx_packets", "tx_packets"] as const;
const SIZE = COUNTERS.length;
/** Values of each rate that are kept: half an hour at the usual five seconds. */
const KEPT = 360;
/** One writing may come in several transactions. */
const GATHER_MS = 500;

class Series {
  name: string;
  /** As they were at the last tick. */
  readonly counters = new Float64Array(SIZE);
  known = false;
  /** SIZE values a tick; the ring's slot is the tick's. Grows to KEPT slots. */
  rates = new Float32Array(0);

  constructor(name: string) {
    this.name = name;
  }
}

export class RateHistory {
  readonly #clock: Clock;
  readonly #series = new Map<string, Series>();
  readonly #times: number[] = [];
  #ticks = 0;
  #table: IdlTable | undefined = undefined;
  #timer: Timer | undefined = undefined;
  #lastMs = Number.NaN;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  close(): void {
    this.#timer?.cancel();
  }

  changed(
    table: IdlTable,
    changes: ReadonlyMap<string, { old: IdlRow | undefined; row: IdlRow | undefined }>,
  ): void {
    this.#table = table;
    const statistics = table.schema.byName.get("statistics");
    if (statistics === undefined) return;
    let counted = false;
    for (const [uuid, { old, row }] of changes) {
      if (row === undefined) this.#series.delete(uuid);
      // What a new interface begins with is no writing of all.
      else if (old !== undefined && old.datum(statistics).keys.length > 0)
        counted ||= old.datum(statistics) !== row.datum(statistics);
    }
    if (counted) this.#timer ??= this.#clock.background(GATHER_MS, () => this.#tick());
  }

  #tick(): void {
    this.#timer = undefined;
    const table = this.#table!;
    const statistics = table.schema.byName.get("statistics")!;
    const name = table.schema.byName.get("name");
    const now = this.#clock.now();
    const seconds = (now - this.#lastMs) / 1000;
    this.#lastMs = now;
    const slot = this.#ticks++ % KEPT;
    this.#times[slot] = this.#clock.wall();
    for (const row of table.rows.values()) {
      let series = this.#series.get(row.uuid);
      if (series === undefined) {
        series = new Series(name === undefined ? "" : String(row.datum(name).keys[0] ?? ""));
        this.#series.set(row.uuid, series);
      }
      if ((slot + 1) * SIZE > series.rates.length) {
        const grown = new Float32Array(Math.min(KEPT, slot * 2 + 32) * SIZE);
        grown.set(series.rates);
        series.rates = grown;
      }
      this.#count(series, row, statistics, slot, seconds);
    }
  }

  #count(series: Series, row: IdlRow, statistics: Column, slot: number, seconds: number): void {
    const datum = row.datum(statistics);
    for (let i = 0; i < SIZE; i++) {
      const value = Number(mapGet(datum, COUNTERS[i]!) ?? 0);
      const grown = value - series.counters[i]!;
      // Counters that went back began anew.
      series.rates[slot * SIZE + i] = series.known && grown > 0 && seconds > 0 ? grown / seconds : 0;
      series.counters[i] = value;
    }
    series.known = true;
  }

  /** Of the interface of that name; without one, nothing. */
  of(name: string): History {
    const series = [...this.#series.values()].find((one) => one.name === name);
    const result = {
      atMs: [] as number[],
      rxBytes: [] as number[],
      txBytes: [] as number[],
      rxPackets: [] as number[],
      txPackets: [] as number[],
    };
    if (series === undefined) return result;
    for (let tick = Math.max(0, this.#ticks - KEPT); tick < this.#ticks; tick++) {
      const slot = tick % KEPT;
      const at = slot * SIZE;
      result.atMs.push(this.#times[slot]!);
      result.rxBytes.push(Math.round(series.rates[at] ?? 0));
      result.txBytes.push(Math.round(series.rates[at + 1] ?? 0));
      result.rxPackets.push(Math.round((series.rates[at + 2] ?? 0) * 10) / 10);
      result.txPackets.push(Math.round((series.rates[at + 3] ?? 0) * 10) / 10);
    }
    return result;
  }
}
