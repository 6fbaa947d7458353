/**
 * A relay's database (ovsdb(7) "Relay Service Model"): a replica in memory, kept up to date by a monitor on another
 * server, the source. Reads and monitors are served from it; what writes is handed on to the source as it came.
 *
 * One connection, in four steps: the source's `_Server` database (schema; may it serve us?), the monitor, the replica
 * brought up to date, then what waits to be forwarded. A new schema begins at the second step again.
 */
import type { Clock } from "../lib/clock.ts";
import type { JsonRpcMessage } from "../lib/jsonrpc.ts";
import { JsonRpcSession } from "../lib/jsonrpc-session.ts";
import type { StreamFactory } from "../lib/stream.ts";
import { vlog } from "../lib/vlog.ts";
import { parseUuid, ZERO_UUID } from "./atom.ts";
import { OvsdbError } from "./error.ts";
import { splitRemotes } from "./idl-link.ts";
import type { Json } from "./json-text.ts";
import { isArray, isObject, sortedText } from "./json-text.ts";
import { applyUpdates, resetTables } from "./replay.ts";
import type { DatabaseSchema } from "./schema.ts";
import { equalSchemas, schemaFromJson } from "./schema.ts";
import type { RelaySource, ServedDatabase } from "./served-database.ts";
import { Database } from "./table.ts";

const log = vlog("relay");

/** A replica counts as connected for so long after it has lost its source. */
const GRACE_MS = 30_000;
const SERVER = "_Server";
const SERVER_COLUMNS = ["name", "model", "connected", "leader", "schema", "cid", "index"];

export interface LinkOptions {
  /** Undefined: as JsonRpcSession has it. */
  readonly probeMs?: number | undefined;
  readonly maxBackoffMs?: number | undefined;
}

export interface RelayHost {
  readonly clock: Clock;
  readonly streams: StreamFactory;
  uuid(): string;
  replaceDatabase(served: ServedDatabase, database: Database): void;
  refreshSystemRow(served: ServedDatabase): void;
}

/** `relay:NAME:REMOTE[,REMOTE...]`; undefined: something else, a file's name. */
export function parseRelay(text: string): { name: string; remotes: string } | undefined {
  const match = /^relay:([^:]+):(.+)$/s.exec(text);
  return match === null ? undefined : { name: match[1]!, remotes: match[2]! };
}

export function emptyDatabase(name: string, uuid: string): Database {
  return new Database({ name, version: "", cksum: "", tables: new Map() }, uuid);
}

interface Forwarded {
  readonly method: string;
  readonly params: readonly Json[];
  readonly done: (result: Json) => void;
  readonly failed: (error: Json) => void;
}

type Next = (result: Json, error: Json | undefined) => void;

type Method = "monitor_cond_since" | "monitor_cond" | "monitor";

const METHODS: readonly Method[] = ["monitor_cond_since", "monitor_cond", "monitor"];

export class Relay implements RelaySource {
  readonly #host: RelayHost;
  readonly #served: ServedDatabase;
  readonly #remotes: readonly string[];
  readonly #options: LinkOptions;
  #session: JsonRpcSession | undefined;
  #probeMs: number | undefined;
  /** The replica is up to date and follows the source. */
  #live = false;
  /** The monitor has been asked for, and not cancelled. */
  #monitoring = false;
  #lostAt = 0;
  #lastConnected = false;
  #closed = false;
  #schema: DatabaseSchema | undefined;
  #method: Method = METHODS[0]!;
  /** What the replica has, in the source's words; ZERO_UUID: nobody knows. */
  #lastTransaction: string = ZERO_UUID;
  /** The row about our database in the source's `_Server`. */
  #row: { uuid: string; values: Record<string, Json> } | undefined;
  /** Replies that we wait for. */
  readonly #next = new Map<Json, Next>();
  readonly #inFlight = new Map<Json, Forwarded>();
  #queue: Forwarded[] = [];

  constructor(host: RelayHost, served: ServedDatabase, remotes: string, options: LinkOptions = {}) {
    this.#host = host;
    this.#served = served;
    this.#remotes = splitRemotes(remotes);
    this.#options = options;
    this.#probeMs = options.probeMs;
  }

  get connected(): boolean {
    if (!this.hasSchema) return false;
    return this.#live || this.#host.clock.now() - this.#lostAt < GRACE_MS;
  }

  get hasSchema(): boolean {
    return this.#schema !== undefined;
  }

  get remotes(): string {
    return this.#remotes.join(",");
  }

  open(): void {
    const { clock, streams } = this.#host;
    const { maxBackoffMs } = this.#options;
    this.#session = new JsonRpcSession(
      {
        clock,
        streams,
        remotes: this.#remotes,
        ...(this.#probeMs === undefined ? {} : { probeMs: this.#probeMs }),
        ...(maxBackoffMs === undefined ? {} : { maxBackoffMs }),
      },
      {
        connected: () => this.#connected(),
        message: (message) => this.#message(message),
        disconnected: () => this.#disconnected(),
      },
    );
  }

  setProbe(ms: number): void {
    this.#probeMs = ms;
    this.#session?.setProbeInterval(ms);
  }

  close(): void {
    this.#closed = true;
    this.#session?.close();
    this.#queue = [];
    this.#inFlight.clear();
  }

  forward(
    method: "transact" | "convert",
    params: readonly Json[],
    done: (result: Json) => void,
    failed: (error: Json) => void,
  ): () => void {
    const request: Forwarded = { method, params, done, failed };
    if (this.#live) this.#send(request);
    else this.#queue.push(request);
    return () => {
      this.#queue = this.#queue.filter((other) => other !== request);
      for (const [id, other] of this.#inFlight) if (other === request) this.#inFlight.delete(id);
    };
  }

  #send(request: Forwarded): void {
    const id = this.#session!.request(request.method, request.params);
    if (id === undefined) this.#queue.push(request);
    else this.#inFlight.set(id, request);
  }

  #request(method: string, params: readonly Json[], next: Next): void {
    const id = this.#session!.request(method, params);
    if (id !== undefined) this.#next.set(id, next);
  }

  #refuse(why: string): void {
    log.warn(`${this.#session!.remote}: ${this.#served.name} database: ${why}`);
    this.#next.clear();
    this.#session!.forceReconnect();
  }

  // Connecting.

  #connected(): void {
    this.#method = METHODS[0]!;
    this.#row = undefined;
    const { name } = this.#served;
    const request = { Database: [{ columns: SERVER_COLUMNS }] };
    this.#request("monitor_cond", [SERVER, ["monid", SERVER], request], (result, error) => {
      // Before 2.9 there was no such database.
      if (error !== undefined) this.#askSchema();
      else {
        this.#request("set_db_change_aware", [true], () => {});
        this.#serverUpdate(result);
        if (this.#row === undefined) this.#refuse("server does not have it");
      }
    });
    log.dbg(`${name}: connected`);
  }

  #askSchema(): void {
    this.#request("get_schema", [this.#served.name], (result, error) => {
      if (error !== undefined) this.#refuse("server does not have it");
      else this.#gotSchema(result);
    });
  }

  #serverUpdate(updates: Json): void {
    const rows = isObject(updates) ? updates.Database : undefined;
    if (!isObject(rows)) return;
    const before = this.#row;
    const schemaBefore = before?.values.schema;
    for (const uuid of Object.keys(rows)) {
      const update = rows[uuid]!;
      if (!isObject(update)) continue;
      const values = update.initial ?? update.insert;
      if (isObject(values)) {
        if (values.name === this.#served.name) this.#row = { uuid, values: { ...values } };
      } else if (this.#row?.uuid !== uuid) continue;
      else if (update.delete !== undefined) {
        this.#row = undefined;
        this.#refuse("server does not have it any more");
        return;
        // Columns of at most one value come whole, not as a difference.
      } else if (isObject(update.modify)) Object.assign(this.#row.values, update.modify);
    }
    if (this.#row === undefined) return;
    const { values } = this.#row;
    if (values.connected !== true && values.model !== "standalone") {
      this.#refuse("server is disconnected from its source; trying another server");
      return;
    }
    // One still without a schema is a relay that will have one soon.
    if (typeof values.schema !== "string" || values.schema === schemaBefore) return;
    try {
      this.#gotSchema(JSON.parse(values.schema) as Json);
    } catch (error) {
      this.#refuse(`bad schema (${(error as Error).message})`);
    }
  }

  #gotSchema(json: Json): void {
    let schema: DatabaseSchema;
    try {
      schema = schemaFromJson(json);
    } catch (error) {
      if (!(error instanceof OvsdbError)) throw error;
      this.#refuse(`bad schema (${error.message})`);
      return;
    }
    if (this.#schema === undefined || !equalSchemas(this.#schema, schema)) {
      this.#lastTransaction = ZERO_UUID;
      this.#live = false;
      this.#monitoring = false;
      this.#schema = schema;
      this.#lostAt = Number.NEGATIVE_INFINITY;
      this.#host.replaceDatabase(this.#served, new Database(schema, this.#host.uuid()));
    }
    if (!this.#monitoring) this.#monitor();
  }

  #monitor(): void {
    const method = this.#method;
    this.#monitoring = true;
    const { name, database } = this.#served;
    const tables: Record<string, Json> = {};
    for (const table of database.tables.keys()) tables[table] = [{}];
    const last = method === "monitor_cond_since" ? [this.#lastTransaction] : [];
    this.#request(method, [name, ["monid", name], tables, ...last], (result, error) => {
      if (database !== this.#served.database) return;
      if (error !== undefined) {
        const older = METHODS[METHODS.indexOf(method) + 1];
        if (older === undefined) this.#refuse(`monitor failed (${sortedText(error)})`);
        else {
          this.#method = older;
          this.#monitor();
        }
        return;
      }
      const since = method === "monitor_cond_since";
      if (since && (!isArray(result) || result.length !== 3)) {
        this.#refuse("bad reply to monitor_cond_since");
        return;
      }
      const [found, last, updates] = since ? (result as readonly Json[]) : [false, ZERO_UUID, result];
      const fine = this.#change(
        (transaction) => {
          if (found === true) applyUpdates(transaction, updates!, 2);
          else resetTables(transaction, database.tables.values(), updates!);
        },
        since ? last : undefined,
      );
      if (!fine) return;
      this.#live = true;
      this.#refresh();
      for (const request of this.#queue.splice(0)) this.#send(request);
    });
  }

  /**
   * A transaction as the source has made it; `id` is its UUID there, if it has told one: ours is the same, so that
   * clients may change from one server to another. False: the connection is given up, and what comes next begins anew.
   */
  #change(write: Parameters<ServedDatabase["change"]>[0], id: Json | undefined): boolean {
    const last = typeof id === "string" ? parseUuid(id) : undefined;
    try {
      this.#served.change(write, true, last);
      this.#lastTransaction = last ?? ZERO_UUID;
      return true;
    } catch (error) {
      if (!(error instanceof OvsdbError)) throw error;
      this.#lastTransaction = ZERO_UUID;
      this.#refuse(`update does not fit (${error.message})`);
      return false;
    }
  }

  // Following.

  #message(message: JsonRpcMessage): void {
    if (message.type === "notify") this.#notified(message.method, message.params);
    else if (message.type === "reply") this.#reply(message.id, message.result, undefined);
    else if (message.type === "error") this.#reply(message.id, null, message.error);
  }

  #reply(id: Json, result: Json, error: Json | undefined): void {
    const next = this.#next.get(id);
    if (next !== undefined) {
      this.#next.delete(id);
      next(result, error);
      return;
    }
    const request = this.#inFlight.get(id);
    this.#inFlight.delete(id);
    if (error === undefined) request?.done(result);
    else request?.failed(error);
  }

  #notified(method: string, params: readonly Json[]): void {
    const id = params[0];
    const ofServer = isArray(id) && id[1] === SERVER;
    if (method === "update" || method === "update2" || method === "update3") {
      const updates = params[method === "update3" ? 2 : 1] ?? null;
      if (ofServer) this.#serverUpdate(updates);
      else if (this.#live) {
        this.#change(
          (transaction) => applyUpdates(transaction, updates, method === "update" ? 1 : 2),
          method === "update3" ? params[1] : undefined,
        );
      }
    } else if (method === "monitor_canceled" && !ofServer) {
      // Perhaps for another schema, which `_Server` may tell of before or after; perhaps for the same.
      this.#live = false;
      this.#monitoring = false;
      this.#askSchema();
      this.#lostAt = this.#host.clock.now();
      this.#lastTransaction = ZERO_UUID;
    }
  }

  #disconnected(): void {
    this.#next.clear();
    this.#monitoring = false;
    if (this.#closed) return;
    if (this.#live) {
      this.#live = false;
      this.#lostAt = this.#host.clock.now();
      this.#host.clock.background(GRACE_MS, () => this.#refresh());
    }
    // Whether the source has done them nobody knows.
    const lost = [...this.#inFlight.values()];
    this.#inFlight.clear();
    for (const { failed } of lost) failed("canceled");
  }

  /** `_Server` shows when the replica becomes, or is no longer, good enough. */
  #refresh(): void {
    if (this.#closed || this.connected === this.#lastConnected) return;
    this.#lastConnected = this.connected;
    this.#host.refreshSystemRow(this.#served);
  }
}
