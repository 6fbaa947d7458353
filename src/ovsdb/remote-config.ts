/**
 * Remotes that a database names: `db:DB,TABLE,COLUMN` (ovsdb-server(1) --remote). The column holds targets itself, or
 * references rows whose columns describe a connection; into these the server writes the connection's status.
 */
import type { Atom } from "./atom.ts";
import { type Datum, equalDatums, makeDatum, scalar } from "./datum.ts";
import type { Remote, RemoteOptions } from "./remotes.ts";
import { DEFAULT_REMOTE } from "./remotes.ts";
import type { Column } from "./schema.ts";
import type { ServedDatabase } from "./served-database.ts";
import type { Row, Table } from "./table.ts";
import type { Transaction } from "./transaction.ts";

export interface ColumnName {
  readonly served: ServedDatabase;
  readonly table: Table;
  readonly column: Column;
}

/** Returns the error text when `spec` names nothing. */
export function parseColumnName(
  databases: ReadonlyMap<string, ServedDatabase>,
  spec: string,
): ColumnName | string {
  const words = spec.slice(spec.indexOf(":") + 1).split(",");
  if (words.length !== 3 || words.includes("")) return `"${spec}": invalid syntax`;
  const [databaseName, tableName, columnName] = words as [string, string, string];
  const served = databases.get(databaseName);
  if (served === undefined) return `"${spec}": no database named ${databaseName}`;
  const table = served.database.tables.get(tableName);
  if (table === undefined) return `"${spec}": no table named ${tableName}`;
  const column = table.schema.byName.get(columnName);
  if (column === undefined) return `"${spec}": table "${tableName}" has no column "${columnName}"`;
  return { served, table, column };
}

/** Targets and how to treat them, as the database has them now. */
export function configuredRemotes({ table, column }: ColumnName): Map<string, RemoteOptions> {
  const remotes = new Map<string, RemoteOptions>();
  for (const row of table.rows.values()) {
    const datum = row.data[column.index]!;
    const { key } = column.type;
    if (key.type === "string" && column.type.value === undefined) {
      for (const target of datum.keys) remotes.set(target as string, DEFAULT_REMOTE);
    } else if (key.refTable !== undefined) {
      for (const remote of referencedRows(table, column, datum)) {
        const target = readColumn(remote, "target", "string");
        if (target !== undefined && target !== "") remotes.set(target as string, rowOptions(remote));
      }
    }
  }
  return remotes;
}

function referencedRows(table: Table, column: Column, datum: Datum): Row[] {
  const to = table.database.tables.get(column.type.key.refTable!)!;
  return datum.keys.flatMap((uuid) => to.rows.get(uuid as string) ?? []);
}

/** The value of an optional or scalar column, undefined when there is none (or no such column). */
function readColumn(row: Row, name: string, type: string): Atom | undefined {
  const column = row.table.schema.byName.get(name);
  if (column === undefined || column.type.key.type !== type || column.type.value !== undefined)
    return undefined;
  return row.data[column.index]!.keys[0];
}

function rowOptions(row: Row): RemoteOptions {
  const probe = readColumn(row, "inactivity_probe", "integer");
  const backoff = readColumn(row, "max_backoff", "integer");
  const role = readColumn(row, "role", "string");
  return {
    readOnly: readColumn(row, "read_only", "boolean") === true,
    probeMs: probe === undefined ? undefined : Number(probe),
    maxBackoffMs: backoff === undefined ? DEFAULT_REMOTE.maxBackoffMs : Number(backoff),
    role: role === undefined || role === "" ? undefined : (role as string),
  };
}

/** Writes is_connected and status of every remote's row; only what differs. */
export function writeStatus(
  name: ColumnName,
  transaction: Transaction,
  remotes: ReadonlyMap<string, Remote>,
  status: (remote: Remote) => { connected: boolean; status: ReadonlyMap<string, string> },
): void {
  const { table, column } = name;
  if (column.type.key.refTable === undefined) return;
  for (const row of table.rows.values()) {
    for (const target of referencedRows(table, column, row.data[column.index]!)) {
      const remote = remotes.get((readColumn(target, "target", "string") as string | undefined) ?? "");
      if (remote === undefined) continue;
      const now = status(remote);
      put(transaction, target, "is_connected", scalar(now.connected));
      put(transaction, target, "status", makeDatum([...now.status.keys()], [...now.status.values()], "drop"));
    }
  }
}

function put(transaction: Transaction, row: Row, name: string, datum: Datum): void {
  const column = row.table.schema.byName.get(name);
  if (column === undefined || (column.type.value === undefined) !== (datum.values === undefined)) return;
  if (!equalDatums(row.data[column.index]!, datum)) transaction.set(row, column, datum);
}
