/**
 * The replica's tables and rows. A row is immutable: a change puts a new one in its place, so a reader may keep the old.
 * Updates come in two forms: RFC 7047 section 4.1.6 (`monitor`) and ovsdb-server(7) section 4.1.14 (`monitor_cond`,
 * `monitor_cond_since`), whose "modify" carries differences.
 */
import { applyDiff, type Datum, datumFromJson, defaultDatum, equalDatums } from "./datum.ts";
import type { Change, WireCondition } from "./idl-api.ts";
import { ownColumn } from "./idl-schema.ts";
import type { DynamicRow } from "./idl-types.ts";
import { valueOfDatum } from "./idl-value.ts";
import type { Json, JsonObject } from "./json-text.ts";
import type { Column, TableSchema } from "./schema.ts";
import { columnFromJson, tableFromJson } from "./schema.ts";

export const IGNORE = 0;
export const ALERT = 1;
export const QUIET = 2;
export const WRITE_ONLY = 3;
export type Mode = typeof IGNORE | typeof ALERT | typeof QUIET | typeof WRITE_ONLY;

const UNCHECKED = { unchecked: true, anySize: true };

export class IdlRow {
  readonly table: IdlTable;
  readonly uuid: string;
  /** By `Column.index`; a column that is not replicated holds its default. */
  readonly data: readonly Datum[];
  #snapshot: DynamicRow | undefined;

  constructor(table: IdlTable, uuid: string, data: readonly Datum[]) {
    this.table = table;
    this.uuid = uuid;
    this.data = data;
    this.#snapshot = undefined;
  }

  datum(column: Column): Datum {
    return this.data[column.index]!;
  }

  /** Values instead of datums; made on first use. */
  get snapshot(): DynamicRow {
    if (this.#snapshot === undefined) this.#snapshot = snapshotOf(this.table.schema, this.uuid, this.data);
    return this.#snapshot;
  }
}

export function snapshotOf(schema: TableSchema, uuid: string, data: readonly Datum[]): DynamicRow {
  const row: Record<string, unknown> = { _uuid: uuid };
  for (const column of schema.columns) row[column.name] = valueOfDatum(column.type, data[column.index]!);
  return row as DynamicRow;
}

export class IdlTable {
  readonly name: string;
  /** Columns of the server and, after them in no special order, of our own schema. */
  readonly schema: TableSchema;
  readonly modes: readonly Mode[];
  /** Its rows live without being referred to. */
  readonly isRoot: boolean;
  /** The server has this table. */
  readonly present: boolean;
  /** Columns that only our schema has: never asked for, never written. */
  readonly missing: ReadonlySet<string>;
  readonly where: readonly WireCondition[] | undefined;
  readonly defaults: readonly Datum[];
  readonly changes = new Map<string, { old: IdlRow | undefined; row: IdlRow | undefined }>();
  rows = new Map<string, IdlRow>();
  /** UUIDs in order; undefined: to be sorted anew. */
  #order: string[] | undefined;

  constructor(
    name: string,
    server: JsonObject | undefined,
    ours: JsonObject | undefined,
    watch: TableWatchLike,
    allRoot: boolean,
  ) {
    this.name = name;
    this.present = server !== undefined;
    this.where = watch.where;
    const theirs = (server?.columns ?? {}) as JsonObject;
    const known = (ours?.columns ?? {}) as JsonObject;
    const { isRoot = false } = (server ?? ours ?? {}) as { isRoot?: boolean };
    const columns = { ...known, ...theirs };
    // The server's schema is our own where it is not known better.
    const makeColumn = server === ours ? (ownColumn as unknown as typeof columnFromJson) : columnFromJson;
    this.schema = watch.exact
      ? someColumns(name, columns, watch, makeColumn)
      : tableFromJson(name, { isRoot, columns });
    this.isRoot = allRoot || isRoot;
    this.missing = new Set(Object.keys(known).filter((column) => !Object.hasOwn(theirs, column)));
    this.modes = this.schema.columns.map((column) => modeOf(column.name, watch));
    this.defaults = this.schema.columns.map((column) => defaultDatum(column.type));
    this.#order = undefined;
  }

  /** The `<monitor-request>`: undefined where the server has nothing of it. */
  request(): Json | undefined {
    if (!this.present) return undefined;
    const columns = this.schema.columns
      .filter(
        (column) =>
          !this.missing.has(column.name) &&
          (this.modes[column.index] === ALERT || this.modes[column.index] === QUIET),
      )
      .map((column) => column.name);
    return this.where === undefined ? [{ columns }] : [{ columns, where: this.where as unknown as Json }];
  }

  *ordered(): IterableIterator<IdlRow> {
    this.#order ??= [...this.rows.keys()].sort();
    for (const uuid of this.#order) {
      const row = this.rows.get(uuid);
      if (row !== undefined) yield row;
    }
  }

  /** True when anything that counts has changed. */
  #put(uuid: string, row: IdlRow | undefined, alert: boolean): boolean {
    const old = this.rows.get(uuid);
    if (old === undefined || row === undefined) this.#order = undefined;
    if (row === undefined) this.rows.delete(uuid);
    else this.rows.set(uuid, row);
    if (!alert) return false;
    const change = this.changes.get(uuid);
    if (change === undefined) this.changes.set(uuid, { old, row });
    else if (change.old === undefined && row === undefined) this.changes.delete(uuid);
    else change.row = row;
    return true;
  }

  takeChanges(): Change<DynamicRow>[] {
    const list: Change<DynamicRow>[] = [];
    for (const [uuid, { old, row }] of this.changes) {
      list.push({ uuid, old: old?.snapshot, row: row?.snapshot });
    }
    this.changes.clear();
    return list;
  }

  #parse(base: readonly Datum[], json: JsonObject): Datum[] {
    const data = base.slice();
    for (const name in json) {
      const column = this.schema.byName.get(name);
      if (column === undefined || column.index < 0) continue;
      data[column.index] = datumFromJson(column.type, json[name]!, UNCHECKED);
    }
    return data;
  }

  /** Puts `data` in, or takes the row out; says whether something that counts changed. */
  #replace(uuid: string, data: Datum[] | undefined): boolean {
    const old = this.rows.get(uuid);
    if (data === undefined) return old === undefined ? false : this.#put(uuid, undefined, true);
    if (old === undefined) return this.#put(uuid, new IdlRow(this, uuid, data), true);
    let changed = false;
    let alert = false;
    for (let i = 0; i < data.length; i++) {
      if (equalDatums(data[i]!, old.data[i]!)) continue;
      changed = true;
      if (this.modes[i] === ALERT) alert = true;
    }
    return changed ? this.#put(uuid, new IdlRow(this, uuid, data), alert) : false;
  }

  /** RFC 7047 `<row-update>`: {old?, new?}. */
  update1(uuid: string, update: JsonObject): boolean {
    if (update.new === undefined || update.new === null) return this.#replace(uuid, undefined);
    const old = this.rows.get(uuid);
    return this.#replace(uuid, this.#parse(old?.data ?? this.defaults, update.new as JsonObject));
  }

  /** `<row-update2>`: {initial}, {insert}, {delete} or {modify}. */
  update2(uuid: string, update: JsonObject): boolean {
    const whole = update.initial ?? update.insert;
    if (whole !== undefined) {
      return this.#replace(uuid, this.#parse(this.defaults, (whole ?? {}) as JsonObject));
    }
    if (update.delete !== undefined) return this.#replace(uuid, undefined);
    const old = this.rows.get(uuid);
    if (update.modify === undefined || old === undefined) return false;
    const data = old.data.slice();
    const json = update.modify as JsonObject;
    for (const name in json) {
      const column = this.schema.byName.get(name);
      if (column === undefined || column.index < 0) continue;
      const diff = datumFromJson(column.type, json[name]!, UNCHECKED);
      data[column.index] = applyDiff(column.type, data[column.index]!, diff);
    }
    return this.#replace(uuid, data);
  }

  /** After a whole new state was put in: drops what `kept` does not name. */
  retain(kept: ReadonlySet<string>): boolean {
    let changed = false;
    for (const uuid of [...this.rows.keys()]) {
      if (!kept.has(uuid)) changed = this.#replace(uuid, undefined) || changed;
    }
    return changed;
  }

  /** Takes over the rows of the table's predecessor (before a reconnection), as far as columns agree. */
  adopt(before: IdlTable): void {
    const pairs = this.schema.columns.map((column) => before.schema.byName.get(column.name)?.index ?? -1);
    for (const [uuid, row] of before.rows) {
      const data = pairs.map((from, to) => (from < 0 ? this.defaults[to]! : row.data[from]!));
      this.rows.set(uuid, new IdlRow(this, uuid, data));
    }
    for (const [uuid, change] of before.changes) this.changes.set(uuid, change);
    this.#order = undefined;
  }
}

interface TableWatchLike {
  readonly columns?: readonly string[] | "all";
  readonly quiet?: readonly string[];
  readonly writeOnly?: readonly string[];
  readonly exact?: boolean;
  readonly where?: readonly WireCondition[] | undefined;
}

/** The table as if it had only the columns that `watch` names. */
function someColumns(
  name: string,
  all: JsonObject,
  watch: TableWatchLike,
  makeColumn: typeof columnFromJson,
): TableSchema {
  const named = watch.columns === "all" ? Object.keys(all) : (watch.columns ?? []);
  const wanted = new Set([...named, ...(watch.quiet ?? []), ...(watch.writeOnly ?? [])]);
  const columns = [...wanted]
    .filter((column) => Object.hasOwn(all, column))
    .sort()
    .map((column, index) => makeColumn(column, all[column]!, index));
  const byName = new Map(columns.map((column) => [column.name, column]));
  const rest = { mutable: true, isRoot: false, maxRows: Number.POSITIVE_INFINITY, indexes: [] };
  return { name, columns, byName, ...rest };
}

function modeOf(column: string, watch: TableWatchLike): Mode {
  if (watch.writeOnly?.includes(column)) return WRITE_ONLY;
  if (watch.quiet?.includes(column)) return QUIET;
  if (watch.columns === "all" || watch.columns?.includes(column)) return ALERT;
  return IGNORE;
}
