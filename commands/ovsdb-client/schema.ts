/** Commands about databases and their schemas. */
import { withProgress } from "../../src/lib/progress.ts";
import { type Cell, TablePrinter } from "../../src/lib/table.ts";
import { sortedText } from "../../src/ovsdb/json-text.ts";
import { equalSchemas, schemaToJson, type TableSchema } from "../../src/ovsdb/schema.ts";
import { columnTypeToJson } from "../../src/ovsdb/type.ts";
import { readSchemaFile } from "../ovsdb-input.ts";
import { type Client, call, fetchSchema, print } from "./client.ts";

export async function listDbs(client: Client): Promise<number> {
  const names = (await call(client, "list_dbs", [])) as readonly string[];
  for (const name of [...names].sort()) print(client, `${name}\n`);
  return 0;
}

export async function getSchema(client: Client): Promise<number> {
  print(client, `${sortedText(schemaToJson(await fetchSchema(client)))}\n`);
  return 0;
}

export async function getSchemaVersion(client: Client): Promise<number> {
  print(client, `${(await fetchSchema(client)).version}\n`);
  return 0;
}

export async function getSchemaCksum(client: Client): Promise<number> {
  print(client, `${(await fetchSchema(client)).cksum}\n`);
  return 0;
}

export async function listTables(client: Client): Promise<number> {
  const { tables } = await fetchSchema(client);
  const rows = [...tables.keys()].map((name) => [name]);
  print(client, new TablePrinter(client.style).format({ headings: ["Table"], rows }));
  return 0;
}

export async function listColumns(client: Client): Promise<number> {
  const { tables } = await fetchSchema(client);
  const wanted = client.args[0];
  const rows: Cell[][] = [];
  for (const table of tables.values()) {
    if (wanted === undefined || table.name === wanted) rows.push(...columnRows(table, wanted === undefined));
  }
  const headings = wanted === undefined ? ["Table", "Column", "Type"] : ["Column", "Type"];
  print(client, new TablePrinter(client.style).format({ headings, rows }));
  return 0;
}

function columnRows(table: TableSchema, withTable: boolean): Cell[][] {
  return [...table.byName.values()].map((column) => {
    const type = sortedText(columnTypeToJson(column.type));
    const cells: Cell[] = [column.name, { string: () => type, bare: () => type, json: () => type }];
    return withTable ? [table.name, ...cells] : cells;
  });
}

export async function convert(client: Client): Promise<number> {
  const schema = readSchemaFile(client.args[0]!);
  const work = call(client, "convert", [schema.name, schemaToJson(schema)]);
  await withProgress(client.platform, `convert: ${schema.name} to ${schema.version}`, work);
  return 0;
}

export async function needsConversion(client: Client): Promise<number> {
  const schema = readSchemaFile(client.args[0]!);
  print(client, equalSchemas(schema, await fetchSchema(client, schema.name)) ? "no\n" : "yes\n");
  return 0;
}
