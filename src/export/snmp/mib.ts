/**
 * Management information as sorted tables: each column is described once, and an object is found by its identifier or as the
 * next after one, without any list of all objects. Pure.
 */
import type { Oid, SearchRange, SnmpValue, Varbind } from "./agentx.ts";

/** As identifiers are ordered: number by number, the shorter first. */
export function compareOids(a: Oid, b: Oid): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}

export interface MibColumn<R> {
  readonly number: number;
  /** undefined: this row has no such object. */
  readonly value: (row: R) => SnmpValue | undefined;
}

export interface MibRow<R> {
  readonly index: Oid;
  readonly row: R;
}

/** What a master may be told of: the objects of a table's entry, or scalars (one row, of index 0). */
export class MibTable<R = unknown> {
  readonly entry: Oid;
  readonly columns: readonly MibColumn<R>[];
  readonly #rows: readonly MibRow<R>[];

  /** `columns` in order of their numbers; `rows` in any, without two of the same index. */
  constructor(entry: Oid, columns: readonly MibColumn<R>[], rows: Iterable<MibRow<R>>) {
    this.entry = entry;
    this.columns = columns;
    this.#rows = [...rows].sort((a, b) => compareOids(a.index, b.index));
  }

  /** Rows whose index is at least `index` begin there; `after`: is greater than it. */
  #from(index: Oid, after: boolean): number {
    let low = 0;
    let high = this.#rows.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const order = compareOids(this.#rows[middle]!.index, index);
      if (order < 0 || (after && order === 0)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  get(oid: Oid): SnmpValue | undefined {
    const depth = this.entry.length;
    if (!this.entry.every((part, at) => oid[at] === part)) return undefined;
    const column = this.columns.find(({ number }) => number === oid[depth]);
    const index = oid.slice(depth + 1);
    const row = this.#rows[this.#from(index, false)];
    if (column === undefined || row === undefined || compareOids(row.index, index) !== 0) return undefined;
    return column.value(row.row);
  }

  /** The first object after `oid`, or at it if `include`. */
  next(oid: Oid, include: boolean): Varbind | undefined {
    const depth = this.entry.length;
    let number = -1;
    let index: Oid = [];
    let after = false;
    const order = compareOids(oid.slice(0, depth), this.entry);
    if (order > 0) return undefined;
    if (order === 0 && oid.length > depth) {
      number = oid[depth]!;
      index = oid.slice(depth + 1);
      after = !include;
    }
    for (const column of this.columns) {
      if (column.number < number) continue;
      const first = column.number === number && index.length > 0 ? this.#from(index, after) : 0;
      for (let at = first; at < this.#rows.length; at++) {
        const { index: found, row } = this.#rows[at]!;
        const value = column.value(row);
        if (value !== undefined) return { oid: [...this.entry, column.number, ...found], value };
      }
    }
    return undefined;
  }
}

/** All tables of one context. */
export class MibView {
  readonly #tables: readonly MibTable[];

  constructor(tables: readonly MibTable[]) {
    this.#tables = tables;
  }

  get(oid: Oid): Varbind {
    for (const table of this.#tables) {
      const value = table.get(oid);
      if (value !== undefined) return { oid, value };
    }
    const known = this.#tables.some(
      ({ entry, columns }) =>
        oid.length > entry.length &&
        entry.every((part, at) => oid[at] === part) &&
        columns.some(({ number }) => number === oid[entry.length]),
    );
    return { oid, value: { type: known ? "noSuchInstance" : "noSuchObject" } };
  }

  /** RFC 2741 section 7.2.3.2: within the range, else the end of the view under the name that was asked with. */
  next({ start, include, end }: SearchRange): Varbind {
    let best: Varbind | undefined;
    for (const table of this.#tables) {
      const found = table.next(start, include);
      if (found !== undefined && (best === undefined || compareOids(found.oid, best.oid) < 0)) best = found;
    }
    if (best === undefined || (end.length > 0 && compareOids(best.oid, end) >= 0))
      return { oid: start, value: { type: "endOfMibView" } };
    return best;
  }
}
