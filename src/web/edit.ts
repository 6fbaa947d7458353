/**
 * Changing rows: all edits of a page in one transaction. The preview asks the server to try it and take it back, so that
 * what it shows is what would happen; values are in the notation of ovs-vsctl, and what the editor saw must still hold.
 */

import { equalDatums } from "../ovsdb/datum.ts";
import { formatDatum, parseDatum } from "../ovsdb/datum-text.ts";
import type { Idl } from "../ovsdb/idl.ts";
import type { IdlTransaction } from "../ovsdb/idl-transaction.ts";
import type { EditPreview, RowEdit } from "./protocol.ts";

/** `commit` false: nothing is changed. Throws an Error for people where the edits make no sense. */
export async function edit(idl: Idl, edits: readonly RowEdit[], commit: boolean): Promise<EditPreview> {
  const transaction = idl.dynamicTransaction();
  const changes: EditPreview["changes"][number][] = [];
  for (const one of edits) changes.push(...prepare(idl, transaction, one));
  if (changes.length === 0) throw new Error("nothing would change");
  transaction.comment("ovsdbmonitor");
  transaction.dryRun = !commit;
  const { status, error } = await transaction.commit();
  if (status === "success" || status === "unchanged") return { changes };
  if (status === "tryAgain") return { changes, error: "the database has changed meanwhile; look again" };
  return { changes, error: error ?? status };
}

/** What a row's columns are, as an editor shows them. */
export function rowText(idl: Idl, tableName: string, uuid: string): { [column: string]: string } {
  const row = idl.datumRow(tableName, uuid);
  if (row === undefined) throw new Error("the row is gone");
  return Object.fromEntries(
    row.table.schema.columns.map((column) => [column.name, formatDatum(column.type, row.datum(column))]),
  );
}

function prepare(
  idl: Idl,
  transaction: IdlTransaction,
  { table: name, uuid, delete: gone, columns }: RowEdit,
): EditPreview["changes"][number][] {
  const table = idl.table(name);
  const row = table?.rows.get(uuid);
  if (table === undefined || row === undefined) throw new Error(`no row ${uuid} in table ${name}`);
  if (gone === true) {
    transaction.deleteRow(name, uuid);
    return [{ table: name, uuid, column: "", from: "row", to: "deleted" }];
  }
  const changes: EditPreview["changes"][number][] = [];
  for (const [columnName, { was, value }] of Object.entries(columns)) {
    const column = table.schema.byName.get(columnName);
    if (column === undefined) throw new Error(`no column ${columnName} in table ${name}`);
    if (!column.mutable) throw new Error(`column ${columnName} of table ${name} cannot be changed`);
    const from = formatDatum(column.type, row.datum(column));
    if (from !== was) throw new Error(`${columnName} has changed meanwhile; it is ${from} now`);
    const datum = parseDatum(column.type, value);
    if (equalDatums(datum, row.datum(column))) continue;
    transaction.verifyColumn(name, uuid, columnName);
    transaction.write(name, uuid, columnName, datum);
    changes.push({ table: name, uuid, column: columnName, from, to: formatDatum(column.type, datum) });
  }
  return changes;
}
