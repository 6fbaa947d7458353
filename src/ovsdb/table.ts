/**
 * The database in memory: tables of rows. A Row keeps its identity while its `data` is replaced, so that references
 * back to it (counts, weak referrers, a transaction's notes) stay valid. Only transaction.ts writes here.
 */

import type { Atom } from "./atom.ts";
import type { Datum, FromJsonOptions } from "./datum.ts";
import { datumFromJson, datumJsonText, defaultDatum, scalar } from "./datum.ts";
import { OvsdbError, syntaxError } from "./error.ts";
import type { Json } from "./json-text.ts";
import { isObject } from "./json-text.ts";
import { RowMap } from "./row-map.ts";
import type { Column, DatabaseSchema, TableSchema } from "./schema.ts";
import { UUID_INDEX } from "./schema.ts";
import { hasConstraints, isScalar } from "./type.ts";

export class Row {
  readonly table: Table;
  readonly uuid: string;
  /** Number of the `_version`, new with every commit that changes the row; `Database.versionText` makes it a UUID. */
  version: number;
  /** One a column, at `Column.index`. Replaced as a whole by a transaction, never written in place. */
  data: readonly Datum[];
  /** Strong references from committed rows to this one. */
  references = 0;
  /** Committed rows with a weak reference to this one. */
  weakFrom: Set<Row> | undefined = undefined;

  constructor(table: Table, uuid: string, version: number, data: readonly Datum[]) {
    this.table = table;
    this.uuid = uuid;
    this.version = version;
    this.data = data;
  }
}

/** Where a column's references go: which table, by key or value, strong or weak. */
export interface Reference {
  readonly column: Column;
  readonly part: "keys" | "values";
  readonly table: Table;
}

export class Table {
  readonly database: Database;
  readonly schema: TableSchema;
  readonly rows = new RowMap<Row>();
  /** One map a schema index: `indexKey` of the columns' values to the committed row that has them. */
  readonly indexes: readonly Map<Atom, Row>[];
  /** Filled by Database, which knows the other tables. */
  readonly strong: Reference[] = [];
  readonly weak: Reference[] = [];
  readonly defaults: readonly Datum[];
  /** Columns whose values are checked beyond their type. */
  readonly constrained: readonly Column[];

  constructor(database: Database, schema: TableSchema) {
    this.database = database;
    this.schema = schema;
    this.indexes = schema.indexes.map(() => new Map());
    this.defaults = schema.columns.map((column) => defaultDatum(column.type));
    this.constrained = schema.columns.filter(
      ({ type }) => hasConstraints(type.key) || (type.value !== undefined && hasConstraints(type.value)),
    );
  }

  get name(): string {
    return this.schema.name;
  }

  /** Column of that name, `_uuid` and `_version` included; throws "unknown column" about `json`. */
  column(name: string, json: Json): Column {
    const column = this.schema.byName.get(name);
    if (column !== undefined) return column;
    throw new OvsdbError(
      "unknown column",
      `No column ${name} in table ${this.name}.`,
      syntaxError(json, "").syntax,
    );
  }
}

export class Database {
  readonly schema: DatabaseSchema;
  readonly tables = new Map<string, Table>();
  readonly #versionPrefix: string;
  #version = 0;

  /** `uuid` is random: versions differ from those of other processes by it. */
  constructor(schema: DatabaseSchema, uuid: string) {
    this.schema = schema;
    this.#versionPrefix = uuid.slice(0, 24);
    for (const table of schema.tables.values()) this.tables.set(table.name, new Table(this, table));
    for (const table of this.tables.values()) this.#findReferences(table);
  }

  /** The last number that a row got. */
  get version(): number {
    return this.#version;
  }

  nextVersion(): number {
    return ++this.#version;
  }

  versionText(version: number): string {
    return this.#versionPrefix + version.toString(16).padStart(12, "0");
  }

  #findReferences(table: Table): void {
    for (const column of table.schema.columns) {
      for (const part of ["keys", "values"] as const) {
        const base = part === "keys" ? column.type.key : column.type.value;
        if (base?.refTable === undefined) continue;
        const reference = { column, part, table: this.tables.get(base.refTable)! };
        (base.refType === "strong" ? table.strong : table.weak).push(reference);
      }
    }
  }
}

/** A column's value, `_uuid` and `_version` included. */
export function rowDatum(row: Row, column: Column): Datum {
  if (column.index >= 0) return row.data[column.index]!;
  return scalar(column.index === UUID_INDEX ? row.uuid : row.table.database.versionText(row.version));
}

/** The key under which a row stands in a unique index: the value itself of a single column that always has one, or text. */
export function indexKey(columns: readonly Column[], row: Row, data: readonly Datum[]): Atom {
  const { type, index } = columns[0]!;
  if (columns.length === 1 && index >= 0 && isScalar(type)) return data[index]!.keys[0]!;
  let key = "";
  for (const column of columns) {
    const datum = column.index >= 0 ? data[column.index]! : rowDatum(row, column);
    key += `${datumJsonText(column.type, datum)},`;
  }
  return key;
}

/** Values given for some columns (RFC 7047 <row>); `_uuid` and `_version` may be named and are left out. */
export interface RowValues {
  readonly columns: readonly Column[];
  readonly datums: readonly Datum[];
}

export function rowFromJson(table: Table, json: Json, options: FromJsonOptions = {}): RowValues {
  if (!isObject(json)) throw syntaxError(json, "row must be JSON object");
  const columns: Column[] = [];
  const datums: Datum[] = [];
  for (const name of Object.keys(json)) {
    const column = table.column(name, json);
    const datum = datumFromJson(column.type, json[name]!, options);
    columns.push(column);
    datums.push(datum);
  }
  return { columns, datums };
}
