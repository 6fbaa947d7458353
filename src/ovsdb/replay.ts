/**
 * Applying another server's monitor updates to a database of ours: what a backup (replication.ts) and a relay
 * (relay.ts) do with what they hear. The source has checked everything, so the transaction is prepared as a replay.
 */
import type { Datum } from "./datum.ts";
import { applyDiff, datumFromJson, equalDatums } from "./datum.ts";
import { syntaxError } from "./error.ts";
import type { Json, JsonObject } from "./json-text.ts";
import { isObject } from "./json-text.ts";
import type { Row, Table } from "./table.ts";
import { rowFromJson } from "./table.ts";
import type { Transaction } from "./transaction.ts";

/** 1: <table-updates> of RFC 7047; 2: <table-updates2> of ovsdb-server(7). */
export type UpdateVersion = 1 | 2;

/** Brings a database up to date. Throws OvsdbError on updates that do not fit the schema. */
export function applyUpdates(transaction: Transaction, updates: Json, version: UpdateVersion): void {
  forEachRow(transaction, updates, (table, uuid, update) => {
    const row = table.rows.get(uuid);
    if (version === 1) {
      if (update.new === undefined) removeRow(transaction, row);
      else putRow(transaction, table, uuid, update.new, "keep");
    } else if (update.delete !== undefined) removeRow(transaction, row);
    else if (update.modify === undefined) {
      putRow(transaction, table, uuid, update.insert ?? update.initial ?? {}, "default");
    } else if (row !== undefined) modifyRow(transaction, row, update.modify);
  });
}

/**
 * Makes `tables` hold exactly what `updates`, the reply to a monitor request, says. Rows that stay as they are are
 * not touched, so that clients of ours hear of nothing but differences.
 */
export function resetTables(transaction: Transaction, tables: Iterable<Table>, updates: Json): void {
  const all = isObject(updates) ? updates : {};
  for (const table of tables) {
    const rows = all[table.name];
    for (const row of table.rows.list()) {
      if (!isObject(rows) || !Object.hasOwn(rows, row.uuid)) transaction.remove(row);
    }
  }
  forEachRow(transaction, updates, (table, uuid, update) => {
    putRow(transaction, table, uuid, update.new ?? update.initial ?? update.insert ?? {}, "default");
  });
}

function forEachRow(
  transaction: Transaction,
  updates: Json,
  visit: (table: Table, uuid: string, update: JsonObject) => void,
): void {
  if (!isObject(updates)) throw syntaxError(updates, "<table-updates> is not an object");
  for (const name of Object.keys(updates)) {
    const table = transaction.database.tables.get(name);
    const rows = updates[name]!;
    if (table === undefined) throw syntaxError(updates, `No table named ${name}`);
    if (!isObject(rows)) throw syntaxError(rows, "<table-update> is not an object");
    for (const uuid of Object.keys(rows)) {
      const update = rows[uuid]!;
      if (!isObject(update)) throw syntaxError(update, "<row-update> is not an object");
      visit(table, uuid, update);
    }
  }
}

function removeRow(transaction: Transaction, row: Row | undefined): void {
  if (row !== undefined) transaction.remove(row);
}

/** `rest`: what becomes of the columns that `json` does not name, in a row that exists. */
function putRow(
  transaction: Transaction,
  table: Table,
  uuid: string,
  json: Json,
  rest: "keep" | "default",
): void {
  const { columns, datums } = rowFromJson(table, json, { unchecked: true });
  const row = table.rows.get(uuid);
  if (row === undefined) {
    transaction.insert(table, uuid, columns, datums);
    return;
  }
  const wanted: (Datum | undefined)[] = rest === "default" ? [...table.defaults] : [];
  for (let i = 0; i < columns.length; i++) wanted[columns[i]!.index] = datums[i]!;
  for (const column of table.schema.columns) {
    const datum = wanted[column.index];
    if (datum !== undefined && !equalDatums(datum, row.data[column.index]!))
      transaction.set(row, column, datum);
  }
}

function modifyRow(transaction: Transaction, row: Row, json: Json): void {
  if (!isObject(json)) throw syntaxError(json, "row must be JSON object");
  for (const name of Object.keys(json)) {
    const column = row.table.column(name, json);
    if (column.index < 0) continue;
    const diff = datumFromJson(column.type, json[name]!, { anySize: true, unchecked: true });
    transaction.set(row, column, applyDiff(column.type, row.data[column.index]!, diff));
  }
}
