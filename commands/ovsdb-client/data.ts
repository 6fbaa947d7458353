/** Commands that read or change data: transact, query, dump. */

import { Fatal } from "../../src/lib/errors.ts";
import { formatJson, type Json, type JsonObject } from "../../src/lib/json.ts";
import { TablePrinter } from "../../src/lib/table.ts";
import { compareDatums } from "../../src/ovsdb/datum.ts";
import { isArray } from "../../src/ovsdb/json-text.ts";
import type { Column, TableSchema } from "../../src/ovsdb/schema.ts";
import { parseArgument } from "../ovsdb-input.ts";
import { goBackground } from "./background.ts";
import { type Client, call, datumCell, fetchSchema, print, wireDatum } from "./client.ts";

function parseTransaction(client: Client): readonly Json[] {
  const json = parseArgument(client.args[0]!);
  if (!isArray(json) || json.length === 0 || typeof json[0] !== "string")
    throw new Fatal("not a valid OVSDB query");
  return json;
}

export async function transact(client: Client): Promise<number> {
  if (client.daemon.detach) return transactInBackground(client);
  print(client, `${formatJson(await call(client, "transact", parseTransaction(client)), { sort: true })}\n`);
  return 0;
}

/** The reply is printed when it comes; the caller goes on at once. */
async function transactInBackground(client: Client): Promise<number> {
  const params = parseTransaction(client);
  const background = await goBackground(client);
  if (typeof background === "number") return background;
  if (client.changeAware) client.rpc.request("set_db_change_aware", [true]);
  const reply = call(client, "transact", params);
  background.ready();
  try {
    background.print(`${formatJson(await reply, { sort: true })}\n`);
  } catch (error) {
    background.fail((error as Error).message);
  }
  return background.exit(0);
}

/** As transact, undone by an abort at its end that the reply does not show. */
export async function query(client: Client): Promise<number> {
  const result = await call(client, "transact", [...parseTransaction(client), { op: "abort" }]);
  let shown = result;
  if (isArray(result)) {
    const last = result.at(-1);
    if (typeof last === "object" && last !== null && (last as JsonObject).error === "aborted") {
      shown = result.slice(0, -1);
    }
  }
  print(client, `${formatJson(shown, { sort: true })}\n`);
  return 0;
}

interface DumpTable {
  readonly table: TableSchema;
  readonly columns: readonly Column[];
}

export async function dump(client: Client): Promise<number> {
  const schema = await fetchSchema(client);
  const [wanted, ...names] = client.args;
  const tables: DumpTable[] = [];
  for (const table of schema.tables.values()) {
    if (wanted === undefined || table.name === wanted) tables.push({ table, columns: pick(table, names) });
  }
  if (wanted !== undefined && tables.length === 0) throw new Fatal(`No table "${wanted}" found.`);
  const operations = tables.map(({ table, columns }) => ({
    op: "select",
    table: table.name,
    where: [],
    columns: columns.map((column) => column.name),
  }));
  const results = (await call(client, "transact", [client.database, ...operations])) as readonly JsonObject[];
  const printer = new TablePrinter(client.style);
  tables.forEach(({ table, columns }, i) => {
    const rows = ((results[i]?.rows as readonly JsonObject[] | undefined) ?? []).map((row) =>
      columns.map((column) => wireDatum(column.type, row[column.name]!)),
    );
    // By values; UUIDs decide last.
    const order = [...columns.keys()].sort(
      (x, y) => Number(columns[x]!.index < 0) - Number(columns[y]!.index < 0),
    );
    rows.sort((a, b) => {
      for (const x of order) {
        const sign = compareDatums(a[x]!, b[x]!);
        if (sign !== 0) return sign;
      }
      return 0;
    });
    const cells = rows.map((row) => row.map((datum, x) => datumCell(columns[x]!.type, datum)));
    const headings = columns.map((column) => column.name);
    print(client, printer.format({ caption: `${table.name} table`, headings, rows: cells }));
  });
  return 0;
}

function pick(table: TableSchema, names: readonly string[]): readonly Column[] {
  const columns = names.map((name) => {
    const column = table.byName.get(name);
    if (column === undefined) throw new Fatal(`Table "${table.name}" has no column ${name}.`);
    return column;
  });
  const all =
    names.length > 0 ? columns : [...table.byName.values()].filter(({ name }) => name !== "_version");
  return [...all].sort((a, b) => (a.name < b.name ? -1 : 1));
}
