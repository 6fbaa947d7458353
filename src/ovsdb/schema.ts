/**
 * Database schemas (RFC 7047 section 3.2): parsing with the original's complaints, canonical JSON, comparison.
 *
 * A parsed schema numbers the columns of each table: `_uuid` and `_version` are not stored with the others, so a row
 * keeps one Datum for each of `columns` at the column's `index`.
 */
import { OvsdbError, syntaxError } from "./error.ts";
import type { Json, JsonObject } from "./json-text.ts";
import { isArray, sortedText } from "./json-text.ts";
import { isId, ObjectParser } from "./object-parser.ts";
import type { BaseType, ColumnType } from "./type.ts";
import { baseType, columnTypeFromJson, columnTypeToJson } from "./type.ts";

export interface Column {
  readonly name: string;
  readonly type: ColumnType;
  readonly mutable: boolean;
  readonly ephemeral: boolean;
  /** Place in a row's data; -1 for `_uuid`, -2 for `_version`. */
  readonly index: number;
}

export const UUID_INDEX = -1;
export const VERSION_INDEX = -2;

export const UUID_TYPE: ColumnType = { key: baseType("uuid"), value: undefined, min: 1, max: 1 };
export const UUID_COLUMN: Column = {
  name: "_uuid",
  type: UUID_TYPE,
  mutable: false,
  ephemeral: false,
  index: UUID_INDEX,
};
export const VERSION_COLUMN: Column = {
  name: "_version",
  type: UUID_TYPE,
  mutable: false,
  ephemeral: true,
  index: VERSION_INDEX,
};

export interface TableSchema {
  readonly name: string;
  /** Without `_uuid` and `_version`, by name in code point order; `columns[i].index === i`. */
  readonly columns: readonly Column[];
  /** All columns with `_uuid` and `_version`, by name. */
  readonly byName: ReadonlyMap<string, Column>;
  readonly mutable: boolean;
  /** As the schema says; see `DatabaseSchema.rootSetEverywhere`. */
  readonly isRoot: boolean;
  /** Infinity when there is no limit. */
  readonly maxRows: number;
  readonly indexes: readonly (readonly Column[])[];
}

export interface DatabaseSchema {
  readonly name: string;
  /** "" when the schema has none. */
  readonly version: string;
  readonly cksum: string;
  readonly tables: ReadonlyMap<string, TableSchema>;
}

/** Throws OvsdbError. */
export function schemaFromJson(json: Json): DatabaseSchema {
  const parser = new ObjectParser(json, "database schema");
  const name = parser.member("name", "id") as string;
  const version = parser.optional("version", "string") as string | undefined;
  const cksum = parser.optional("cksum", "string") as string | undefined;
  const tables = parser.member("tables", "object") as JsonObject;
  parser.finish();
  if (version !== undefined && !isVersion(version)) {
    throw syntaxError(json, `schema version "${version}" not in format x.y.z`);
  }
  const parsed: TableSchema[] = [];
  for (const tableName of Object.keys(tables).sort()) {
    checkName(json, tableName);
    parsed.push(tableFromJson(tableName, tables[tableName]!));
  }
  const anyRoot = parsed.some((table) => table.isRoot);
  const byName = new Map<string, TableSchema>();
  for (const table of parsed) byName.set(table.name, anyRoot ? table : { ...table, isRoot: true });
  for (const table of parsed) for (const column of table.columns) checkReferences(column, byName);
  return { name, version: version ?? "", cksum: cksum ?? "", tables: byName };
}

export function isVersion(text: string): boolean {
  return /^[0-9]+\.[0-9]+\.[0-9]+$/.test(text);
}

function checkName(json: Json, name: string): void {
  if (name.startsWith("_")) throw syntaxError(json, 'names beginning with "_" are reserved');
  if (!isId(name)) throw syntaxError(json, "name must be a valid id");
}

function checkReferences(column: Column, tables: ReadonlyMap<string, TableSchema>): void {
  const check = (base: BaseType | undefined, part: string): void => {
    if (base?.refTable === undefined || tables.has(base.refTable)) return;
    throw new OvsdbError(
      "syntax error",
      `column ${column.name} ${part} refers to undefined table ${base.refTable}`,
    );
  };
  check(column.type.key, "key");
  check(column.type.value, "value");
}

export function tableFromJson(name: string, json: Json): TableSchema {
  const parser = new ObjectParser(json, `table schema for table ${name}`);
  const columns = parser.member("columns", "object") as JsonObject;
  const mutable = parser.optional("mutable", "boolean") as boolean | undefined;
  const maxRows = parser.optional("maxRows", "integer") as number | bigint | undefined;
  const isRoot = parser.optional("isRoot", "boolean") as boolean | undefined;
  const indexes = parser.optional("indexes", "array") as readonly Json[] | undefined;
  parser.finish();
  if (maxRows !== undefined && maxRows <= 0) throw syntaxError(json, "maxRows must be at least 1");
  const names = Object.keys(columns).sort();
  if (names.length === 0) throw syntaxError(json, "table must have at least one column");
  const list: Column[] = [];
  const byName = new Map<string, Column>([
    ["_uuid", UUID_COLUMN],
    ["_version", VERSION_COLUMN],
  ]);
  for (const columnName of names) {
    checkName(json, columnName);
    const column = columnFromJson(columnName, columns[columnName]!, list.length);
    list.push(column);
    byName.set(columnName, column);
  }
  const table = {
    name,
    columns: list,
    byName,
    mutable: mutable ?? true,
    isRoot: isRoot ?? false,
    maxRows: maxRows === undefined ? Number.POSITIVE_INFINITY : Number(maxRows),
    indexes: [] as (readonly Column[])[],
  };
  for (const index of indexes ?? []) table.indexes.push(indexFromJson(json, index, table));
  return table;
}

function indexFromJson(tableJson: Json, json: Json, table: TableSchema): readonly Column[] {
  const columns = columnSetFromJson(json, table);
  if (columns.length === 0) throw syntaxError(tableJson, "index must have at least one column");
  for (const column of columns) {
    if (column.ephemeral && column.index >= 0) {
      throw syntaxError(tableJson, `ephemeral columns (such as ${column.name}) may not be indexed`);
    }
  }
  return columns;
}

/** An array of distinct column names of `table`; undefined means all columns, `_uuid` and `_version` first. */
export function columnSetFromJson(json: Json | undefined, table: TableSchema): readonly Column[] {
  if (json === undefined) return [...table.byName.values()];
  const distinct = "array of distinct column names expected";
  if (!isArray(json)) throw syntaxError(json, distinct);
  const columns: Column[] = [];
  for (const name of json) {
    if (typeof name !== "string") throw syntaxError(json, distinct);
    const column = table.byName.get(name);
    if (column === undefined) throw syntaxError(json, `${name} is not a valid column name`);
    if (columns.includes(column)) throw syntaxError(json, distinct);
    columns.push(column);
  }
  return columns;
}

export function columnFromJson(name: string, json: Json, index: number): Column {
  const parser = new ObjectParser(json, `schema for column ${name}`);
  const mutable = parser.optional("mutable", "boolean") as boolean | undefined;
  const ephemeral = parser.optional("ephemeral", "boolean") as boolean | undefined;
  const typeJson = parser.member("type", "string", ["object"]);
  parser.finish();
  const type = columnTypeFromJson(typeJson);
  return { name, type, mutable: mutable ?? true, ephemeral: ephemeral ?? false, index };
}

export function schemaToJson(schema: DatabaseSchema): JsonObject {
  const json: Record<string, Json> = { name: schema.name };
  if (schema.version !== "") json.version = schema.version;
  if (schema.cksum !== "") json.cksum = schema.cksum;
  // Where every table is a root nobody needs to say so: that is what the absence of all isRoot means.
  const allRoot = [...schema.tables.values()].every((table) => table.isRoot);
  const tables: Record<string, Json> = {};
  for (const table of schema.tables.values()) tables[table.name] = tableToJson(table, allRoot);
  json.tables = tables;
  return json;
}

export function tableToJson(table: TableSchema, defaultIsRoot: boolean): JsonObject {
  const json: Record<string, Json> = {};
  if (!table.mutable) json.mutable = false;
  if (table.isRoot !== defaultIsRoot) json.isRoot = table.isRoot;
  const columns: Record<string, Json> = {};
  for (const column of table.columns) columns[column.name] = columnToJson(column);
  json.columns = columns;
  if (table.maxRows !== Number.POSITIVE_INFINITY) json.maxRows = table.maxRows;
  if (table.indexes.length > 0)
    json.indexes = table.indexes.map((index) => index.map((column) => column.name));
  return json;
}

export function columnToJson(column: Column): JsonObject {
  const json: Record<string, Json> = {};
  if (!column.mutable) json.mutable = false;
  if (column.ephemeral) json.ephemeral = true;
  json.type = columnTypeToJson(column.type);
  return json;
}

export function equalSchemas(a: DatabaseSchema, b: DatabaseSchema): boolean {
  return a === b || sortedText(schemaToJson(a)) === sortedText(schemaToJson(b));
}
