/** What the commands of ovsdb-client share. */
import type { DaemonOptions } from "../../src/lib/daemon.ts";
import { describeError, Fatal } from "../../src/lib/errors.ts";
import { formatJson, type Json } from "../../src/lib/json.ts";
import { type JsonRpc, JsonRpcFailure } from "../../src/lib/jsonrpc.ts";
import type { Platform } from "../../src/lib/platform.ts";
import type { Cell, TableStyle } from "../../src/lib/table.ts";
import { type Datum, datumFromJson, datumJsonText } from "../../src/ovsdb/datum.ts";
import { formatBareDatum, formatDatum } from "../../src/ovsdb/datum-text.ts";
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
