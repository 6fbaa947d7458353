/** A database file's history as text for people (ovsdb-tool(1) show-log). */

import { datumFromJson } from "./datum.ts";
import { formatDatum } from "./datum-text.ts";
import { OvsdbError } from "./error.ts";
import type { Json, JsonObject } from "./json-text.ts";
import { isObject, quote, sortedText } from "./json-text.ts";
import { LogReader } from "./log.ts";
import type { DatabaseSchema, TableSchema } from "./schema.ts";
import { schemaFromJson } from "./schema.ts";

/** `detail` 0: a line a record; 1: rows, too; 2: columns, too. Prints what it can, then throws OvsdbError. */
export function showLog(
  bytes: Uint8Array,
  name: string,
  detail: number,
  print: (text: string) => void,
): void {
  const reader = new LogReader(bytes, name);
  const history = new LogHistory(detail, print);
  for (let i = 0, record = reader.next(); record !== undefined; i++, record = reader.next()) {
    if (i === 0) print(`record 0: ${history.learn(record.json, " schema")}\n\n`);
    else history.changes(`record ${i}:`, record.json);
  }
}

/** What a log has told of the database up to some record. */
export class LogHistory {
  readonly #detail: number;
  readonly #print: (text: string) => void;
  #schema!: DatabaseSchema;
  /** By table: UUID to what "name" holds, undefined for a row without one. */
  readonly #names = new Map<string, Map<string, string | undefined>>();

  constructor(detail: number, print: (text: string) => void) {
    this.#detail = detail;
    this.#print = print;
  }

  /** Takes the schema. @returns it in short: `"name"<what>, version="…", cksum="…"` */
  learn(json: JsonObject, what = ""): string {
    this.#schema = schemaFromJson(json);
    const { name, version, cksum } = this.#schema;
    return `"${name}"${what}, version="${version}", cksum="${cksum}"`;
  }

  /** Prints a transaction, after `head`. */
  changes(head: string, json: JsonObject): void {
    const date = typeof json._date === "number" ? ` ${formatDate(json._date)}` : "";
    const comment = typeof json._comment === "string" ? ` "${json._comment}"` : "";
    this.#print(`${head}${date}${comment}\n`);
    for (const table of Object.keys(json)) {
      const rows = json[table]!;
      if (table.startsWith("_") || !isObject(rows)) continue;
      for (const uuid of Object.keys(rows)) this.#row(table, uuid, rows[uuid]!, json._is_diff === true);
    }
    if (this.#detail > 0) this.#print("\n");
  }

  #row(table: string, uuid: string, json: Json, isDiff: boolean): void {
    let names = this.#names.get(table);
    if (names === undefined) this.#names.set(table, (names = new Map()));
    const isNew = !names.has(uuid);
    const short = uuid.slice(0, 8);
    const given = isObject(json) && typeof json.name === "string" ? json.name : undefined;
    const name = names.has(uuid) ? names.get(uuid) : given;
    const label = name === undefined ? (isNew ? short : `${short} (${short})`) : `${quote(name)} (${short})`;
    if (json === null) names.delete(uuid);
    else names.set(uuid, given ?? name);
    if (this.#detail === 0) return;
    this.#print(
      `  table ${table} ${isNew ? "insert " : ""}row ${label}${isDiff && !isNew ? " diff" : ""}:\n`,
    );
    if (json === null) this.#print("    delete row\n");
    else if (this.#detail > 1 && isObject(json)) {
      for (const column of Object.keys(json))
        this.#column(this.#schema.tables.get(table), column, json[column]!);
    }
  }

  #column(table: TableSchema | undefined, name: string, json: Json): void {
    this.#print(`    ${name}=${valueText(table, name, json)}\n`);
  }
}

function valueText(table: TableSchema | undefined, name: string, json: Json): string {
  const type = table?.byName.get(name)?.type;
  if (type === undefined) return sortedText(json);
  try {
    return formatDatum(type, datumFromJson(type, json, { anySize: true, unchecked: true }));
  } catch (error) {
    if (!(error instanceof OvsdbError)) throw error;
    return sortedText(json);
  }
}

/** `2026-11-22 16:35:02.572`, in UTC. Early files counted seconds. */
function formatDate(date: number): string {
  const ms = date < 2 ** 32 ? date * 1000 : date;
  return new Date(ms).toISOString().replace("T", " ").replace("Z", "");
}
