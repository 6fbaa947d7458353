/** backup and restore: a database as a stand-alone file on standard output, and back. */
import { Fatal } from "../../src/lib/errors.ts";
import { formatJson, type Json, type JsonObject } from "../../src/lib/json.ts";
import { withProgress } from "../../src/lib/progress.ts";
import { vlog } from "../../src/lib/vlog.ts";
import type { Atom } from "../../src/ovsdb/atom.ts";
import { type Datum, datumJsonText, datumToJson } from "../../src/ovsdb/datum.ts";
import { jsonText, quote } from "../../src/ovsdb/json-text.ts";
import { encodeRecord, LogReader } from "../../src/ovsdb/log.ts";
import { applyRecord } from "../../src/ovsdb/record.ts";
import { type DatabaseSchema, equalSchemas, schemaFromJson, schemaToJson } from "../../src/ovsdb/schema.ts";
import { Database, type Table } from "../../src/ovsdb/table.ts";
import type { BaseType, ColumnType } from "../../src/ovsdb/type.ts";
import { type Client, call, fetchSchema, wireDatum } from "./client.ts";

const log = vlog("ovsdb_client");

export async function backup(client: Client): Promise<number> {
  const schema = await fetchSchema(client);
  const tables = [...schema.tables.values()].map((table) => ({
    table,
    columns: table.columns.filter((column) => !column.ephemeral),
  }));
  const operations = tables.map(({ table, columns }) => ({
    op: "select",
    table: table.name,
    where: [],
    columns: ["_uuid", ...columns.map((column) => column.name)],
  }));
  const results = (await withProgress(
    client.platform,
    `backup: ${tables.length} tables`,
    call(client, "transact", [client.database, ...operations]),
  )) as readonly JsonObject[];
  let text = "";
  tables.forEach(({ table, columns }, i) => {
    const rows = ((results[i]?.rows as readonly JsonObject[] | undefined) ?? []).map((row) => {
      const uuid = (row._uuid as readonly string[])[1]!;
      const values = columns.map(
        (column) =>
          `"${column.name}":${datumJsonText(column.type, wireDatum(column.type, row[column.name]!))}`,
      );
      return `"${uuid}":{${values.join(",")}}`;
    });
    if (rows.length > 0) text += `,"${table.name}":{${rows.join(",")}}`;
  });
  client.platform.stdout(encodeRecord(jsonText(schemaToJson(schema))));
  const comment = quote('produced by "ovsdb-client backup"');
  const date = Math.floor(client.platform.clock.wall());
  client.platform.stdout(encodeRecord(`{"_date":${date}${text},"_comment":${comment}}`));
  return 0;
}

export async function restore(client: Client): Promise<number> {
  const reader = new LogReader(await client.platform.stdin(), "/dev/stdin");
  const schema = schemaFromJson(reader.next()!.json);
  const database = new Database(schema, client.platform.random.uuid());
  for (let record = reader.next(); record !== undefined; record = reader.next())
    applyRecord(database, record.json);
  const served = await fetchSchema(client);
  checkSchemas(client, schema, served);
  const operations: Json[] = [];
  for (const name of served.tables.keys()) operations.push({ op: "delete", table: name, where: [] });
  for (const table of database.tables.values()) {
    for (const row of table.rows.values()) operations.push(insertion(table, row.uuid, row.data, database));
  }
  operations.push({ op: "comment", comment: 'restored by "ovsdb-client restore"' });
  const results = (await withProgress(
    client.platform,
    `restore: ${operations.length - served.tables.size - 1} rows`,
    call(client, "transact", [client.database, ...operations]),
  )) as readonly Json[];
  const failed = results.find((result) => typeof result === "object" && result !== null && "error" in result);
  if (failed !== undefined) throw new Fatal(`restore failed: ${formatJson(failed, { sort: true })}`);
  return 0;
}

function checkSchemas(client: Client, backupSchema: DatabaseSchema, served: DatabaseSchema): void {
  if (equalSchemas(backupSchema, served)) return;
  const { version } = backupSchema;
  const what =
    version === served.version
      ? `backup schema and database schema are both version ${version} but still differ`
      : `backup schema has version "${version}" but database schema has version "${served.version}"`;
  if (client.force) log.info(what);
  else {
    throw new Fatal(
      `${what} (use --force to override differences, or "ovsdb-client convert" to change the schema)`,
    );
  }
}

function symbol(uuid: string): string {
  return `row${uuid.replaceAll("-", "_")}`;
}

function insertion(table: Table, uuid: string, data: readonly Datum[], database: Database): Json {
  const row: Record<string, Json> = {};
  for (const column of table.schema.columns) {
    if (column.ephemeral) continue;
    row[column.name] = withSymbols(column.type, data[column.index]!, database);
  }
  return { op: "insert", table: table.name, "uuid-name": symbol(uuid), row };
}

/** References go to the rows' new selves by name. */
function withSymbols(type: ColumnType, datum: Datum, database: Database): Json {
  const isReference = (base: BaseType | undefined): boolean => base?.refTable !== undefined;
  if (!isReference(type.key) && !isReference(type.value)) return datumToJson(type, datum);
  const one = (base: BaseType, atom: Atom): Json => {
    if (base.refTable !== undefined && database.tables.get(base.refTable)!.rows.has(atom as string)) {
      return ["named-uuid", symbol(atom as string)];
    }
    return base.type === "uuid" ? ["uuid", atom] : atom;
  };
  if (type.value === undefined) return ["set", datum.keys.map((key) => one(type.key, key))];
  const { value } = type;
  return ["map", datum.keys.map((key, i) => [one(type.key, key), one(value, datum.values![i]!)])];
}
