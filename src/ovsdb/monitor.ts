/**
 * Monitors: what a client asked to be told ("monitor", "monitor_cond", "monitor_cond_since"; RFC 7047 section 4.1.5,
 * ovsdb-server(7) sections 4.1.12 to 4.1.16) and the text of the updates. Monitors of the same shape share that text:
 * it is made once a commit.
 */
import { AnyCondition, anyConditionFromJson } from "./condition.ts";
import type { Datum } from "./datum.ts";
import { datumJsonText, diffDatums, equalDatums, scalar } from "./datum.ts";
import { OvsdbError, syntaxError } from "./error.ts";
import type { Json, JsonObject } from "./json-text.ts";
import { isArray, isObject, sortedText } from "./json-text.ts";
import { ObjectParser } from "./object-parser.ts";
import type { Column } from "./schema.ts";
import { VERSION_COLUMN } from "./schema.ts";
import type { Database, Row, Table } from "./table.ts";
import type { Change, RowChanges } from "./transaction.ts";

/** 1: "update", 2: "update2", 3: "update3". */
export type MonitorVersion = 1 | 2 | 3;

const INITIAL = 1;
const INSERT = 2;
const DELETE = 4;
const MODIFY = 8;
const ALL = 15;

interface Watched {
  readonly column: Column;
  /** Which kinds of update have the column. */
  readonly select: number;
}

class MonitorTable {
  readonly table: Table;
  readonly columns: readonly Watched[];
  /** Union of the columns' selects: other kinds are not sent at all. */
  readonly select: number;
  where: AnyCondition;
  readonly #columnsText: string;

  constructor(table: Table, columns: readonly Watched[], select: number, where: AnyCondition) {
    this.table = table;
    this.columns = columns;
    this.select = select;
    this.where = where;
    this.#columnsText = columns.map(({ column, select }) => `${column.name}:${select}`).join(",");
  }

  get shape(): string {
    return `${this.table.name}/${this.select}/${this.#columnsText}/${this.where.text}`;
  }
}

/** The rows of one commit, as monitors want them. */
export type Changes = ReadonlyMap<Table, RowChanges>;

/** Texts made for one commit, by shape; "" when there is nothing to tell. */
export type UpdateCache = Map<string, string>;

export class Monitor {
  readonly database: Database;
  readonly version: MonitorVersion;
  /** The client's name for it, and its text. */
  id: Json;
  idText: string;
  readonly #tables: Map<Table, MonitorTable>;
  #shape: string;

  constructor(database: Database, version: MonitorVersion, id: Json, requests: Json) {
    this.database = database;
    this.version = version;
    this.id = id;
    this.idText = sortedText(id);
    this.#tables = parseRequests(database, version, requests);
    this.#shape = this.#makeShape();
  }

  #makeShape(): string {
    const tables = [...this.#tables.values()].map((table) => table.shape).sort();
    return `${this.version === 1 ? 1 : 2} ${tables.join("\n")}`;
  }

  /** Monitors of one shape are told the same. */
  get shape(): string {
    return this.#shape;
  }

  watches(table: Table): boolean {
    return this.#tables.has(table);
  }

  /** <table-updates> of the initial contents, as text. */
  initial(): string {
    let text = "";
    for (const watch of this.#tables.values()) {
      if ((watch.select & INITIAL) === 0) continue;
      let rows = "";
      for (const row of watch.table.rows.values()) {
        if (!watch.where.test(row, row.data)) continue;
        rows += `${rows === "" ? "" : ","}"${row.uuid}":${this.#whole(watch, row, row.data, row.version, INITIAL)}`;
      }
      if (rows !== "") text += `${text === "" ? "" : ","}"${watch.table.name}":{${rows}}`;
    }
    return `{${text}}`;
  }

  /** <table-updates> of a commit, undefined when there is nothing to tell. */
  update(changes: Changes, cache: UpdateCache): string | undefined {
    let text = cache.get(this.#shape);
    if (text === undefined) cache.set(this.#shape, (text = this.#compose(changes)));
    return text === "" ? undefined : text;
  }

  #compose(changes: Changes): string {
    let text = "";
    for (const [table, rows] of changes) {
      const watch = this.#tables.get(table);
      if (watch === undefined) continue;
      let updates = "";
      for (const change of rows.values()) {
        const update = this.#rowUpdate(watch, change);
        if (update !== undefined) updates += `${updates === "" ? "" : ","}"${change.row.uuid}":${update}`;
      }
      if (updates !== "") text += `${text === "" ? "" : ","}"${table.name}":{${updates}}`;
    }
    return text === "" ? "" : `{${text}}`;
  }

  #rowUpdate(watch: MonitorTable, { row, old, oldVersion, deleted }: Change): string | undefined {
    const was = old !== undefined && watch.where.test(row, old);
    const is = !deleted && watch.where.test(row, row.data);
    if (!was && !is) return undefined;
    if (!was) return this.#whole(watch, row, row.data, row.version, INSERT);
    if (!is) return this.#gone(watch, row, old!, oldVersion);
    return this.version === 1 ? oldAndNew(watch, row, old!, oldVersion) : differences(watch, row, old!);
  }

  /** A row that the client does not have yet; undefined when such are not selected. */
  #whole(
    watch: MonitorTable,
    row: Row,
    data: readonly Datum[],
    version: number,
    kind: number,
  ): string | undefined {
    if ((watch.select & kind) === 0) return undefined;
    const isV1 = this.version === 1;
    let text = "";
    for (const { column, select } of watch.columns) {
      if ((select & kind) === 0) continue;
      const datum = rowValue(row, data, version, column);
      if (!isV1 && column.index >= 0 && equalDatums(datum, watch.table.defaults[column.index]!)) continue;
      text += member(text, column, datum);
    }
    if (isV1) return `{"new":{${text}}}`;
    return `{"${kind === INITIAL ? "initial" : "insert"}":{${text}}}`;
  }

  #gone(watch: MonitorTable, row: Row, old: readonly Datum[], version: number): string | undefined {
    if ((watch.select & DELETE) === 0) return undefined;
    if (this.version !== 1) return '{"delete":null}';
    let text = "";
    for (const { column, select } of watch.columns) {
      if ((select & DELETE) !== 0) text += member(text, column, rowValue(row, old, version, column));
    }
    return `{"old":{${text}}}`;
  }

  /**
   * "monitor_cond_change": new conditions, and the text of what the client sees more or less of by that, undefined
   * when nothing. Throws before anything is changed.
   */
  change(requests: Json): string | undefined {
    if (!isObject(requests)) throw syntaxError(requests, "monitor-requests must be object");
    const wheres = new Map<MonitorTable, AnyCondition>();
    for (const name of Object.keys(requests)) {
      const table = this.database.tables.get(name);
      if (table === undefined) throw new OvsdbError("syntax error", `no table named ${name}`);
      const watch = this.#tables.get(table);
      if (watch === undefined)
        throw new OvsdbError("syntax error", `no table named ${name} in monitor session`);
      const value = requests[name]!;
      for (const request of isArray(value) ? value : [value]) {
        const parser = new ObjectParser(request, `table ${name}`);
        parser.optional("columns", "array");
        const where = parser.optional("where", "array");
        parser.finish();
        wheres.set(watch, anyConditionFromJson(table, where ?? []));
      }
    }
    let text = "";
    for (const [watch, where] of wheres) {
      const old = watch.where;
      watch.where = where;
      if (old.text === where.text) continue;
      let rows = "";
      for (const row of watch.table.rows.values()) {
        const was = old.test(row, row.data);
        if (was === where.test(row, row.data)) continue;
        const update = was
          ? this.#gone(watch, row, row.data, row.version)
          : this.#whole(watch, row, row.data, row.version, INSERT);
        if (update !== undefined) rows += `${rows === "" ? "" : ","}"${row.uuid}":${update}`;
      }
      if (rows !== "") text += `${text === "" ? "" : ","}"${watch.table.name}":{${rows}}`;
    }
    this.#shape = this.#makeShape();
    return text === "" ? undefined : `{${text}}`;
  }

  rename(id: Json): void {
    this.id = id;
    this.idText = sortedText(id);
  }
}

function rowValue(row: Row, data: readonly Datum[], version: number, column: Column): Datum {
  if (column.index >= 0) return data[column.index]!;
  return scalar(column === VERSION_COLUMN ? row.table.database.versionText(version) : row.uuid);
}

function member(before: string, column: Column, datum: Datum): string {
  return `${before === "" ? "" : ","}"${column.name}":${datumJsonText(column.type, datum)}`;
}

/** Version 1's form of a changed row. */
function oldAndNew(
  watch: MonitorTable,
  row: Row,
  old: readonly Datum[],
  oldVersion: number,
): string | undefined {
  let before = "";
  let after = "";
  let changed = false;
  for (const { column, select } of watch.columns) {
    if ((select & MODIFY) === 0) continue;
    const now = rowValue(row, row.data, row.version, column);
    after += member(after, column, now);
    const was = rowValue(row, old, oldVersion, column);
    if (was === now || equalDatums(was, now)) continue;
    before += member(before, column, was);
    changed ||= column.index >= 0;
  }
  if (
    before === "" ||
    (!changed && watch.columns.every(({ column }) => column.index !== VERSION_COLUMN.index))
  ) {
    return undefined;
  }
  return `{"old":{${before}},"new":{${after}}}`;
}

/** Version 2's: only what differs. */
function differences(watch: MonitorTable, row: Row, old: readonly Datum[]): string | undefined {
  let text = "";
  for (const { column, select } of watch.columns) {
    if ((select & MODIFY) === 0) continue;
    if (column.index < 0) {
      if (column === VERSION_COLUMN) text += member(text, column, rowValue(row, old, row.version, column));
      continue;
    }
    const was = old[column.index]!;
    const now = row.data[column.index]!;
    if (was === now || equalDatums(was, now)) continue;
    text += member(text, column, diffDatums(column.type, was, now));
  }
  return text === "" ? undefined : `{"modify":{${text}}}`;
}

function parseRequests(
  database: Database,
  version: MonitorVersion,
  requests: Json,
): Map<Table, MonitorTable> {
  if (!isObject(requests)) throw syntaxError(requests, "monitor-requests must be object");
  const tables = new Map<Table, MonitorTable>();
  for (const name of Object.keys(requests)) {
    const table = database.tables.get(name);
    if (table === undefined) throw new OvsdbError("syntax error", `no table named ${name}`);
    tables.set(table, parseTable(table, version, requests[name]!));
  }
  return tables;
}

function parseTable(table: Table, version: MonitorVersion, json: Json): MonitorTable {
  const columns: Watched[] = [];
  const clauses: AnyCondition[] = [];
  let union = 0;
  for (const request of isArray(json) ? json : [json]) {
    const parser = new ObjectParser(request, `table ${table.name}`);
    const names = parser.optional("columns", "array") as readonly Json[] | undefined;
    const where = version === 1 ? undefined : parser.optional("where", "array");
    const selectJson = parser.optional("select", "object") as JsonObject | undefined;
    parser.finish();
    const select = selectJson === undefined ? ALL : parseSelect(table, selectJson);
    union |= select;
    for (const column of watchedColumns(table, names)) {
      if (columns.some((other) => other.column === column)) {
        throw syntaxError(names, `column ${column.name} mentioned more than once`);
      }
      columns.push({ column, select });
    }
    if (where !== undefined) clauses.push(anyConditionFromJson(table, where));
  }
  columns.sort((a, b) => (a.column.name < b.column.name ? -1 : 1));
  const where = clauses.length === 1 ? clauses[0]! : new AnyCondition(clauses.flatMap((any) => any.clauses));
  return new MonitorTable(table, columns, union, where);
}

/** No names: all but `_uuid`, which is the update's key. */
function watchedColumns(table: Table, names: readonly Json[] | undefined): readonly Column[] {
  if (names === undefined) return [VERSION_COLUMN, ...table.schema.columns];
  return names.map((name) => {
    if (typeof name !== "string") throw syntaxError(names, "array of column names expected");
    const column = table.schema.byName.get(name);
    if (column === undefined) throw syntaxError(names, `${name} is not a valid column name`);
    return column;
  });
}

function parseSelect(table: Table, json: JsonObject): number {
  const parser = new ObjectParser(json, `table ${table.name} select`);
  const flag = (name: string, bit: number): number => (parser.optional(name, "boolean") === false ? 0 : bit);
  const select =
    flag("initial", INITIAL) | flag("insert", INSERT) | flag("delete", DELETE) | flag("modify", MODIFY);
  parser.finish();
  return select;
}
