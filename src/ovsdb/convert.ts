/** A database's rows under another schema: unknown tables and columns are left out, new columns get their defaults. */
import { datumFromJson, datumToJson } from "./datum.ts";
import { OvsdbError } from "./error.ts";
import { sortedText } from "./json-text.ts";
import { settle } from "./record.ts";
import type { DatabaseSchema } from "./schema.ts";
import { Database, Row } from "./table.ts";
import { Transaction } from "./transaction.ts";
import { columnTypeToJson } from "./type.ts";

/** Throws OvsdbError when the data does not fit. The rows of `from` are not changed. */
export function convertDatabase(from: Database, schema: DatabaseSchema, uuid: () => string): Database {
  const to = new Database(schema, uuid());
  for (const table of to.tables.values()) {
    const source = from.tables.get(table.name);
    if (source === undefined) continue;
    const pairs = table.schema.columns.flatMap((column) => {
      const old = source.schema.byName.get(column.name);
      if (old === undefined) return [];
      const same = sortedText(columnTypeToJson(old.type)) === sortedText(columnTypeToJson(column.type));
      return [{ column, old, same }];
    });
    for (const row of source.rows.values()) {
      const data = table.defaults.slice();
      for (const { column, old, same } of pairs) {
        const datum = row.data[old.index]!;
        data[column.index] = same ? datum : datumFromJson(column.type, datumToJson(old.type, datum));
      }
      table.rows.add(new Row(table, row.uuid, to.nextVersion(), data));
    }
  }
  checkWhole(to, uuid);
  settle(to);
  return to;
}

/** Puts all rows through a transaction's checks, as if they were new. */
function checkWhole(database: Database, uuid: () => string): void {
  const transaction = new Transaction(database, uuid);
  for (const table of database.tables.values()) {
    const rows = table.rows.list();
    table.rows.clear();
    for (const row of rows) transaction.insert(table, row.uuid, table.schema.columns, row.data);
  }
  try {
    transaction.prepare();
  } catch (error) {
    if (error instanceof OvsdbError) transaction.abort();
    throw error;
  }
}
