/**
 * A backup's database (ovsdb(7) "Active-Backup Database Service Model"): a connection to the active server, whose
 * database is copied, then followed by a monitor. Table by table: excluded ones stay as they are.
 */
import type { Clock } from "../lib/clock.ts";
import type { JsonRpcMessage } from "../lib/jsonrpc.ts";
import { JsonRpcSession } from "../lib/jsonrpc-session.ts";
import type { StreamFactory } from "../lib/stream.ts";
import { vlog } from "../lib/vlog.ts";
import { OvsdbError } from "./error.ts";
import { splitRemotes } from "./idl-link.ts";
import type { Json } from "./json-text.ts";
import { isArray, sortedText } from "./json-text.ts";
import { applyUpdates, resetTables } from "./replay.ts";
import type { DatabaseSchema } from "./schema.ts";
import { equalSchemas, schemaFromJson } from "./schema.ts";
import type { ServedDatabase } from "./served-database.ts";
import type { Table } from "./table.ts";
import { columnTypeToJson } from "./type.ts";

const log = vlog("replication");
const errorLog = vlog("ovsdb_error");

export interface ReplicationHost {
  readonly clock: Clock;
  readonly streams: StreamFactory;
  readonly serverId: string;
}

export interface ReplicationOptions {
  readonly source: string;
  /** Names of the tables that are not copied. */
  readonly excluded: ReadonlySet<string>;
  readonly probeMs?: number | undefined;
  readonly maxBackoffMs?: number | undefined;
  /** This pair can never replicate. Called once, after which `close` is due. */
  readonly failed: () => void;
}

type Next = (result: Json) => void;

export class Replication {
  readonly #host: ReplicationHost;
  readonly #served: ServedDatabase;
  readonly #options: ReplicationOptions;
  readonly #session: JsonRpcSession;
  readonly #next = new Map<Json, { what: string; next: Next }>();
  #live = false;

  constructor(host: ReplicationHost, served: ServedDatabase, options: ReplicationOptions) {
    this.#host = host;
    this.#served = served;
    this.#options = options;
    const { probeMs, maxBackoffMs } = options;
    this.#session = new JsonRpcSession(
      {
        clock: host.clock,
        streams: host.streams,
        remotes: splitRemotes(options.source),
        ...(probeMs === undefined ? {} : { probeMs }),
        ...(maxBackoffMs === undefined ? {} : { maxBackoffMs }),
      },
      {
        connected: () => this.#connected(),
        message: (message) => this.#message(message),
        disconnected: () => {
          this.#live = false;
          this.#next.clear();
        },
      },
    );
  }

  get database(): ServedDatabase {
    return this.#served;
  }

  get source(): string {
    return this.#options.source;
  }

  /** What sync-status says about the database, after its name. */
  get status(): string {
    const { source, excluded } = this.#options;
    if (!this.#live) return `state: backup\nconnecting: ${source}`;
    const names = [...excluded].map((table) => `${this.#served.name}:${table}`);
    const tail = names.length === 0 ? "" : `exclude: ${names.join(",")}`;
    return `state: backup\nreplicating: ${source}\n${tail}`;
  }

  setProbe(ms: number): void {
    this.#session.setProbeInterval(ms);
  }

  close(): void {
    this.#next.clear();
    this.#session.close();
  }

  #request(method: string, params: readonly Json[], next: Next): void {
    const id = this.#session.request(method, params);
    if (id !== undefined) this.#next.set(id, { what: method, next });
  }

  #fail(why: string): void {
    errorLog.err(`unexpected ovsdb error: ${why}`);
    this.close();
    this.#options.failed();
  }

  #connected(): void {
    const { name } = this.#served;
    this.#request("get_server_id", [], (id) => {
      if (id === this.#host.serverId) {
        this.#fail(`Server ID check failed: ${name}: Self replicating is not allowed`);
        return;
      }
      this.#request("list_dbs", [], (names) => {
        if (!isArray(names) || !names.includes(name)) {
          this.#fail(`list_dbs failed: ${name}: database name is not in the list`);
        } else this.#request("get_schema", [name], (json) => this.#gotSchema(json));
      });
    });
  }

  #gotSchema(json: Json): void {
    const { name } = this.#served;
    let schema: DatabaseSchema;
    try {
      schema = schemaFromJson(json);
    } catch (error) {
      if (!(error instanceof OvsdbError)) throw error;
      this.#fail(`${name}: failed to parse schema: ${error.message}`);
      return;
    }
    if (!equalSchemas(schema, this.#served.database.schema)) {
      log.info(`${name}: Schema version mismatch, checking if ${name} can still be replicated or not.`);
      const why = this.#difference(schema);
      if (why !== undefined) {
        log.info(why);
        log.info(`${name} cannot be replicated.`);
        this.close();
        this.#options.failed();
        return;
      }
      log.info(`${name} can be replicated.`);
    }
    const tables: Record<string, Json> = {};
    for (const table of schema.tables.keys()) {
      if (!this.#options.excluded.has(table)) tables[table] = [{}];
    }
    this.#request("monitor", [name, name, tables], (updates) => {
      log.info(`${name}: Monitor reply received. Resetting the database.`);
      this.#live = true;
      this.#change((transaction) => resetTables(transaction, this.#copied(), updates));
    });
  }

  #copied(): Table[] {
    return [...this.#served.database.tables.values()].filter(({ name }) => !this.#options.excluded.has(name));
  }

  /** What the active server's schema has that ours has not, or has otherwise. */
  #difference(schema: DatabaseSchema): string | undefined {
    const { tables } = this.#served.database.schema;
    for (const table of schema.tables.values()) {
      if (this.#options.excluded.has(table.name)) continue;
      const ours = tables.get(table.name);
      if (ours === undefined) return `Table ${table.name} not present in the local db schema`;
      for (const column of table.columns) {
        const other = ours.byName.get(column.name);
        if (other === undefined) {
          return `Column ${column.name} not present in the local db schema table ${table.name}.`;
        }
        if (sortedText(columnTypeToJson(column.type)) !== sortedText(columnTypeToJson(other.type))) {
          return `Column ${column.name} mismatch in local db schema table ${table.name}.`;
        }
      }
    }
    return undefined;
  }

  #change(write: Parameters<ServedDatabase["change"]>[0]): void {
    try {
      this.#served.change(write, true);
    } catch (error) {
      if (!(error instanceof OvsdbError)) throw error;
      this.#fail(`${this.#served.name}: ${error.message}`);
    }
  }

  #message(message: JsonRpcMessage): void {
    if (message.type === "notify") this.#notified(message.method, message.params);
    else if (message.type === "reply" || message.type === "error") {
      const waiting = this.#next.get(message.id);
      if (waiting === undefined) return;
      this.#next.delete(message.id);
      if (message.type === "reply") waiting.next(message.result);
      else this.#fail(`${waiting.what} failed: ${this.#served.name}: ${sortedText(message.error)}`);
    }
  }

  #notified(method: string, params: readonly Json[]): void {
    if (!this.#live || params[0] !== this.#served.name) return;
    if (method === "update") this.#change((transaction) => applyUpdates(transaction, params[1]!, 1));
    else if (method === "monitor_canceled") this.#session.forceReconnect();
  }
}
