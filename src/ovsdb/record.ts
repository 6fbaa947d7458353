/**
 * Transactions as records of a database file (ovsdb(5) "Standalone Format"): making them of a Transaction, applying
 * them to a Database while it is loaded. Since 2.15 the changed columns of a row hold differences (`_is_diff`).
 */
import { parseUuid } from "./atom.ts";
import type { Datum } from "./datum.ts";
import { applyDiff, datumFromJson, datumJsonText, diffDatums, equalDatums } from "./datum.ts";
import { OvsdbError, syntaxError } from "./error.ts";
import type { Json, JsonObject } from "./json-text.ts";
import { isObject, quote, sortedText } from "./json-text.ts";
import type { Database, Reference, Table } from "./table.ts";
import { indexKey, Row } from "./table.ts";
import type { Change, Transaction } from "./transaction.ts";

/**
 * The record's JSON text, undefined when nothing persistent changes. `date` is in ms since 1970. Without `isDiff` changed
 * columns are whole, which servers before 2.15 can read.
 */
export function transactionRecord(
  transaction: Transaction,
  date: number,
  isDiff: boolean,
): string | undefined {
  let tables = "";
  for (const [table, changes] of transaction.changes) {
    let rows = "";
    for (const change of changes.values()) {
      const text = changeText(table, change, isDiff);
      if (text !== undefined) rows += `${rows === "" ? "" : ","}"${change.row.uuid}":${text}`;
    }
    if (rows !== "") tables += `,"${table.name}":{${rows}}`;
  }
  if (tables === "") return undefined;
  const comment = transaction.comment ? `,"_comment":${quote(transaction.comment)}` : "";
  return `{"_date":${Math.floor(date)}${tables}${isDiff ? ',"_is_diff":true' : ""}${comment}}`;
}

function changeText(table: Table, { row, old, deleted }: Change, isDiff: boolean): string | undefined {
  if (deleted) return "null";
  let text = "";
  for (const column of table.schema.columns) {
    if (column.ephemeral) continue;
    const now = row.data[column.index]!;
    const before = old === undefined ? table.defaults[column.index]! : old[column.index]!;
    if (equalDatums(before, now)) continue;
    const value = old === undefined || !isDiff ? now : diffDatums(column.type, before, now);
    text += `${text === "" ? "" : ","}"${column.name}":${datumJsonText(column.type, value)}`;
  }
  return text === "" && old !== undefined ? undefined : `{${text}}`;
}

interface RowChange {
  readonly table: Table;
  readonly uuid: string;
  /** Undefined: the row goes. */
  readonly data: Datum[] | undefined;
}

export interface RecordOptions {
  /** Names of tables and columns that the schema does not know are skipped: for conversion. */
  readonly lenient?: boolean;
}

/** Applies one record whole or, throwing, not at all. Call `settle` once after the last. */
export function applyRecord(database: Database, json: JsonObject, options: RecordOptions = {}): void {
  const isDiff = json._is_diff === true;
  const changes: RowChange[] = [];
  for (const name of Object.keys(json)) {
    const table = database.tables.get(name);
    if (table === undefined) {
      if (options.lenient === true || isMeta(name, json[name]!)) continue;
      throw new OvsdbError("unknown table", `No table named ${name}.`, sortedText(json));
    }
    const rows = json[name]!;
    if (!isObject(rows)) throw syntaxError(rows, "object expected");
    for (const text of Object.keys(rows)) {
      const uuid = parseUuid(text);
      if (uuid === undefined) throw syntaxError(rows, `"${text}" is not a valid UUID`);
      changes.push(rowChange(table, uuid, rows[text]!, isDiff, options));
    }
  }
  for (const { table, uuid, data } of changes) {
    const row = table.rows.get(uuid);
    if (data === undefined) table.rows.delete(uuid);
    else if (row === undefined) table.rows.add(new Row(table, uuid, database.nextVersion(), data));
    else {
      row.data = data;
      row.version = database.nextVersion();
    }
  }
}

function isMeta(name: string, value: Json): boolean {
  if (name === "_date") return typeof value === "number";
  if (name === "_comment") return typeof value === "string";
  return name === "_is_diff" && typeof value === "boolean";
}

const DIFFERENCE = { anySize: true, unchecked: true };

function rowChange(
  table: Table,
  uuid: string,
  json: Json,
  isDiff: boolean,
  options: RecordOptions,
): RowChange {
  const row = table.rows.get(uuid);
  if (json === null) {
    if (row !== undefined) return { table, uuid, data: undefined };
    throw new OvsdbError("syntax error", `transaction deletes row ${uuid} that does not exist`);
  }
  if (!isObject(json)) throw syntaxError(json, "row must be JSON object");
  const data = (row === undefined ? table.defaults : row.data).slice();
  for (const name of Object.keys(json)) {
    if (options.lenient === true && !table.schema.byName.has(name)) continue;
    const column = table.column(name, json);
    if (column.index < 0) continue;
    if (isDiff && row !== undefined) {
      const diff = datumFromJson(column.type, json[name]!, DIFFERENCE);
      data[column.index] = applyDiff(column.type, data[column.index]!, diff);
    } else data[column.index] = datumFromJson(column.type, json[name]!);
  }
  return { table, uuid, data };
}

/** After loading: makes the counts, referrers and indexes that transactions keep from then on. */
export function settle(database: Database): void {
  for (const table of database.tables.values()) {
    for (const row of table.rows.values()) {
      row.references = 0;
      row.weakFrom = undefined;
    }
    for (const index of table.indexes) index.clear();
  }
  for (const table of database.tables.values()) {
    for (const reference of table.strong) settleReferences(table, reference, countReference);
    for (const reference of table.weak) settleReferences(table, reference, noteReferrer);
    for (let i = 0; i < table.indexes.length; i++) settleIndex(table, i);
  }
}

// Small loops: a server has not compiled anything yet when it comes here.

function settleReferences(table: Table, reference: Reference, note: (target: Row, from: Row) => void): void {
  const { part } = reference;
  const { index } = reference.column;
  const targets = reference.table.rows;
  for (const row of table.rows.values()) {
    const atoms = row.data[index]![part]!;
    for (let i = 0; i < atoms.length; i++) {
      const target = targets.get(atoms[i] as string);
      if (target !== undefined) note(target, row);
    }
  }
}

function countReference(target: Row, from: Row): void {
  if (target !== from) target.references++;
}

function noteReferrer(target: Row, from: Row): void {
  (target.weakFrom ??= new Set()).add(from);
}

function settleIndex(table: Table, at: number): void {
  const index = table.indexes[at]!;
  const columns = table.schema.indexes[at]!;
  for (const row of table.rows.values()) index.set(indexKey(columns, row, row.data), row);
}
