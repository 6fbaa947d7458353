/** What the commands of ovsdb-client share. */
import fs from "node:fs";
import type { DaemonOptions } from "../../src/lib/daemon.ts";
import { describeError, Fatal } from "../../src/lib/errors.ts";
import { formatJson, type Json, JsonError, parseJson } from "../../src/lib/json.ts";
import { type JsonRpc, JsonRpcFailure } from "../../src/lib/jsonrpc.ts";
import type { Platform } from "../../src/lib/platform.ts";
import type { Cell, TableStyle } from "../../src/lib/table.ts";
import { type Datum, datumFromJson, datumJsonText } from "../../src/ovsdb/datum.ts";
import { formatBareDatum, formatDatum } from "../../src/ovsdb/datum-text.ts";
import { OvsdbError } from "../../src/ovsdb/error.ts";
import { type DatabaseSchema, schemaFromJson } from "../../src/ovsdb/schema.ts";
import type { ColumnType } from "../../src/ovsdb/type.ts";

export interface Client {
  readonly platform: Platform;
  readonly program: string;
  readonly server: string;
  /** Connected, but for commands that need a server's name only. */
  readonly rpc: JsonRpc;
  /** "" for commands that need none. */
  readonly database: string;
  /** Words that are neither command, server nor database. */
  readonly args: readonly string[];
  readonly style: TableStyle;
  readonly force: boolean;
  readonly timestamp: boolean;
  /** Stay connected when databases come and go. */
  readonly changeAware: boolean;
  readonly daemon: DaemonOptions;
}

export interface Command {
  readonly needs: "name" | "server" | "database";
  readonly min: number;
  readonly max: number;
  readonly usage: string;
  readonly run: (client: Client) => Promise<number>;
}

/** A request whose error reply ends the program. */
export async function call(client: Client, method: string, params: readonly Json[]): Promise<Json> {
  try {
    return await client.rpc.transact(method, params);
  } catch (error) {
    if (error instanceof JsonRpcFailure) {
      throw new Fatal(`transaction returned error: ${formatJson(error.error, { sort: true })}`);
    }
    throw new Fatal(`transaction failed (${describeError(error)})`);
  }
}

export async function fetchSchema(client: Client, database = client.database): Promise<DatabaseSchema> {
  return schemaFromJson(await call(client, "get_schema", [database]));
}

export function print(client: Client, text: string): void {
  client.platform.stdout(text);
}

/** JSON typed on the command line. */
export function parseArgument(text: string): Json {
  try {
    const json = parseJson(text);
    if (typeof json === "object" && json !== null) return json;
    throw new JsonError(
      `line 0, column ${text.length}, byte ${text.length}: syntax error at beginning of input`,
    );
  } catch (error) {
    if (error instanceof JsonError) throw new Fatal(`"${text}": ${error.message}`);
    throw error;
  }
}

export function readSchemaFile(path: string): { schema: DatabaseSchema; json: Json } {
  const fail = (why: string): never => {
    throw new Fatal(`failed to read schema: "${path}" could not be read as JSON (${why})`);
  };
  let text = "";
  try {
    text = fs.readFileSync(path, "utf8");
  } catch (error) {
    fail(`error opening "${path}": ${describeError(error)}`);
  }
  let json: Json = null;
  try {
    json = parseJson(text);
  } catch (error) {
    if (error instanceof JsonError) fail(error.message);
    throw error;
  }
  try {
    return { schema: schemaFromJson(json), json };
  } catch (error) {
    if (error instanceof OvsdbError) throw new Fatal(`failed to read schema: ${error.message}`);
    throw error;
  }
}

export function datumCell(type: ColumnType, datum: Datum): Cell {
  return {
    string: () => formatDatum(type, datum),
    bare: () => formatBareDatum(type, datum),
    json: () => datumJsonText(type, datum),
  };
}

/** A value from the wire; `loose` for differences, which need not keep to the type's bounds. */
export function wireDatum(type: ColumnType, json: Json, loose = false): Datum {
  return datumFromJson(type, json, loose ? { anySize: true, unchecked: true } : {});
}
