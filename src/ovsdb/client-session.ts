/**
 * One client of the server: answers its requests (RFC 7047 section 4, ovsdb-server(7)), sends its monitors' updates.
 * Upstream: ovsdb/jsonrpc-server.
 */
import type { Clock, Timer } from "../lib/clock.ts";
import { formatJson } from "../lib/json.ts";
import type { JsonRpcMessage, JsonRpcRequest } from "../lib/jsonrpc.ts";
import { JsonRpc } from "../lib/jsonrpc.ts";
import type { Stream } from "../lib/stream.ts";
import { vlog } from "../lib/vlog.ts";
import { OvsdbError, syntaxError } from "./error.ts";
import type { AccessCheck } from "./execute.ts";
import type { Json } from "./json-text.ts";
import { sortedText } from "./json-text.ts";
import type { LockClient, Locks } from "./locks.ts";
import type { MonitorVersion } from "./monitor.ts";
import { Monitor } from "./monitor.ts";
import { isId } from "./object-parser.ts";
import { RoleCheck } from "./rbac.ts";
import { schemaToJson } from "./schema.ts";
import type { Request, Requester, ServedDatabase, Subscriber } from "./served-database.ts";

const log = vlog("jsonrpc_server");

/** What a session needs of the server. */
export interface SessionHost {
  readonly clock: Clock;
  readonly serverId: string;
  readonly locks: Locks;
  /** False: the requests for conditional monitors are unknown. */
  readonly conditionalMonitors: boolean;
  readonly databases: ReadonlyMap<string, ServedDatabase>;
  /** Throws OvsdbError. `done` later, after `convert` has told the clients. */
  convert(session: ClientSession, database: ServedDatabase, schema: Json): void;
  sessionClosed(session: ClientSession): void;
}

export interface SessionOptions {
  readonly readOnly: boolean;
  /** Silence before an echo request, and before the connection counts as dead; 0: never. */
  readonly probeMs: number;
  readonly role?: string | undefined;
}

interface Pending {
  readonly id: Json;
  readonly database: ServedDatabase;
  request: Request | undefined;
}

type Handler = (session: ClientSession, request: JsonRpcRequest) => void;

export class ClientSession implements LockClient, Requester {
  readonly host: SessionHost;
  readonly rpc: JsonRpc;
  readonly readOnly: boolean;
  readonly access: AccessCheck | undefined;
  /** Asked for by "set_db_change_aware": stays connected when databases come and go. */
  changeAware = false;
  readonly connectedAt: number;
  readonly #probeMs: number;
  #probe: Timer | undefined;
  #lastReceived: number;
  #probed = false;
  /** By the text of the monitor's id. */
  readonly #monitors = new Map<string, { subscriber: Subscriber; database: ServedDatabase }>();
  /** "transact" requests that wait, by the text of their id. */
  readonly #pending = new Map<string, Pending>();

  constructor(host: SessionHost, stream: Stream, options: SessionOptions) {
    this.host = host;
    this.readOnly = options.readOnly;
    this.access = options.role === undefined ? undefined : new RoleCheck(options.role, stream.peerName);
    this.#probeMs = options.probeMs;
    this.connectedAt = host.clock.now();
    this.#lastReceived = this.connectedAt;
    this.rpc = new JsonRpc(stream, {
      message: (message) => this.#message(message),
      close: () => this.#closed(),
    });
    if (this.#probeMs > 0) this.#armProbe(this.#probeMs);
  }

  get name(): string {
    return this.rpc.name;
  }

  get monitorCount(): number {
    return this.#monitors.size;
  }

  get pendingCount(): number {
    return this.#pending.size;
  }

  holdsLock(name: string): boolean {
    return this.host.locks.owns(name, this);
  }

  lockNotify(method: "locked" | "stolen", name: string): void {
    this.rpc.notify(method, [name]);
  }

  /** What was sent before still goes out; nothing more is. */
  close(): void {
    this.#dropMonitors();
    this.rpc.close();
  }

  #dropMonitors(): void {
    for (const { subscriber, database } of this.#monitors.values()) database.subscribers.delete(subscriber);
    this.#monitors.clear();
  }

  #armProbe(ms: number): void {
    this.#probe = this.host.clock.background(ms, () => {
      const silence = this.host.clock.now() - this.#lastReceived;
      if (silence < this.#probeMs) this.#armProbe(this.#probeMs - silence);
      else if (this.#probed && silence >= 2 * this.#probeMs) {
        const seconds = Math.round(this.#probeMs / 100) / 10;
        log.err(`${this.name}: no response to inactivity probe after ${seconds} seconds, disconnecting`);
        this.rpc.destroy();
      } else if (this.#probed) this.#armProbe(2 * this.#probeMs - silence);
      else {
        this.#probed = true;
        this.rpc.sendText('{"id":"echo","method":"echo","params":[]}');
        this.#armProbe(this.#probeMs);
      }
    });
  }

  #message(message: JsonRpcMessage): void {
    this.#lastReceived = this.host.clock.now();
    this.#probed = false;
    if (message.type === "request") this.#request(message);
    else if (message.type === "notify") {
      if (message.method === "cancel") this.#cancel(message.params);
    } else if (message.id !== "echo") {
      // Nobody asked this peer anything.
      log.warn(`${this.name}: disconnecting (Protocol error)`);
      this.rpc.destroy();
    }
  }

  #request(request: JsonRpcRequest): void {
    const handler = Object.hasOwn(HANDLERS, request.method) ? HANDLERS[request.method]! : undefined;
    const isOff = !this.host.conditionalMonitors && request.method.startsWith("monitor_cond");
    if (handler === undefined || isOff) {
      this.rpc.error(request.id, "unknown method");
      return;
    }
    try {
      handler(this, request);
    } catch (error) {
      if (!(error instanceof OvsdbError)) throw error;
      this.rpc.error(request.id, error.toJson());
    }
  }

  reply(id: Json, resultText: string): void {
    this.rpc.sendText(`{"id":${formatJson(id)},"result":${resultText},"error":null}`);
  }

  /** The database that a request's first parameter names. */
  database(request: JsonRpcRequest): ServedDatabase {
    const { method, params } = request;
    const name = params[0];
    if (typeof name !== "string")
      throw syntaxError(params, `${method} request params must begin with <db-name>`);
    const database = this.host.databases.get(name);
    if (database !== undefined && database.relay?.hasSchema !== false) return database;
    throw new OvsdbError(
      "unknown database",
      `${method} request specifies unknown database ${name}`,
      sortedText(params),
    );
  }

  // Transactions.

  transact(request: JsonRpcRequest): void {
    const database = this.database(request);
    const key = sortedText(request.id);
    if (this.#pending.has(key)) throw syntaxError(request.params, "transact: duplicate request ID");
    const pending: Pending = { id: request.id, database, request: undefined };
    this.#pending.set(key, pending);
    const finished = (): boolean => this.#pending.get(key) === pending && this.#pending.delete(key);
    pending.request = database.transact(
      this,
      request.params.slice(1),
      (results) => {
        if (finished()) this.reply(request.id, results);
      },
      (error) => {
        if (finished()) this.rpc.error(request.id, error);
      },
    );
  }

  #cancel(params: readonly Json[]): void {
    if (params.length !== 1) return;
    const key = sortedText(params[0]!);
    const pending = this.#pending.get(key);
    if (pending === undefined || pending.request?.waiting !== true) return;
    pending.request.cancel();
    this.#pending.delete(key);
    this.rpc.error(pending.id, "canceled");
  }

  // Monitors.

  monitor(request: JsonRpcRequest, version: MonitorVersion): void {
    const database = this.database(request);
    const { params } = request;
    if (params.length !== (version === 3 ? 4 : 3)) throw syntaxError(params, "invalid parameters");
    const id = params[1]!;
    if (this.#monitors.has(sortedText(id))) throw syntaxError(id, "duplicate monitor ID");
    const monitor = new Monitor(database.database, version, id, params[2]!);
    const subscriber: Subscriber = {
      monitor,
      update: (updates) => this.#sendUpdate(monitor, database, updates),
    };
    this.#monitors.set(monitor.idText, { subscriber, database });
    database.subscribers.add(subscriber);
    if (version !== 3) {
      this.reply(request.id, monitor.initial());
      return;
    }
    const { history } = database;
    const since = typeof params[3] === "string" ? history.since(database.database, params[3]) : undefined;
    const updates = since === undefined ? monitor.initial() : (monitor.update(since, new Map()) ?? "{}");
    this.reply(request.id, `[${since !== undefined},"${history.last}",${updates}]`);
  }

  #sendUpdate(monitor: Monitor, { history }: ServedDatabase, updates: string): void {
    const head = `{"id":null,"method":"update`;
    const { idText } = monitor;
    if (monitor.version === 1) this.rpc.sendText(`${head}","params":[${idText},${updates}]}`);
    else if (monitor.version === 2) this.rpc.sendText(`${head}2","params":[${idText},${updates}]}`);
    else this.rpc.sendText(`${head}3","params":[${idText},"${history.last}",${updates}]}`);
  }

  monitorChange(request: JsonRpcRequest): void {
    const { params } = request;
    if (params.length !== 3) throw syntaxError(params, "invalid parameters");
    const key = sortedText(params[0]!);
    const entry = this.#monitors.get(key);
    if (entry === undefined) throw syntaxError(params[0]!, "unknown monitor session");
    const newKey = sortedText(params[1]!);
    if (newKey !== key && this.#monitors.has(newKey)) throw syntaxError(params[1]!, "duplicate monitor ID");
    const { monitor } = entry.subscriber;
    if (monitor.version === 1) throw syntaxError(params[0]!, "unknown monitor session");
    const updates = monitor.change(params[2]!);
    // What is sent before the reply still goes by the old name.
    if (updates !== undefined) this.#sendUpdate(monitor, entry.database, updates);
    if (newKey !== key) {
      this.#monitors.delete(key);
      monitor.rename(params[1]!);
      this.#monitors.set(newKey, entry);
    }
    this.reply(request.id, "{}");
  }

  monitorCancel(request: JsonRpcRequest): void {
    const { params, id } = request;
    if (params.length !== 1) {
      this.rpc.error(id, "invalid parameters");
      return;
    }
    const key = sortedText(params[0]!);
    const entry = this.#monitors.get(key);
    if (entry === undefined) {
      this.rpc.error(id, "unknown monitor");
      return;
    }
    entry.database.subscribers.delete(entry.subscriber);
    this.#monitors.delete(key);
    this.reply(id, "{}");
  }

  /** A database goes, or changes its schema: ends everything about it. A client that cannot know is disconnected. */
  databaseGone(database: ServedDatabase): void {
    for (const [key, pending] of [...this.#pending]) {
      if (pending.database !== database) continue;
      pending.request?.cancel();
      this.#pending.delete(key);
      if (this.changeAware) this.rpc.error(pending.id, "canceled");
    }
    for (const [key, entry] of [...this.#monitors]) {
      if (entry.database !== database) continue;
      database.subscribers.delete(entry.subscriber);
      this.#monitors.delete(key);
      if (this.changeAware) this.rpc.notify("monitor_canceled", [entry.subscriber.monitor.id]);
    }
  }

  // Locks.

  lock(request: JsonRpcRequest): void {
    const { method, params, id } = request;
    const name = this.#lockName(request);
    const { locks } = this.host;
    if (locks.has(name, this)) throw syntaxError(params, `must issue "unlock" before new "${method}"`);
    if (method === "steal") {
      locks.steal(name, this);
      this.reply(id, '{"locked":true}');
    } else this.reply(id, `{"locked":${locks.lock(name, this)}}`);
  }

  unlock(request: JsonRpcRequest): void {
    const name = this.#lockName(request);
    if (!this.host.locks.has(name, this)) {
      throw syntaxError(request.params, 'unlock: "unlock" without "lock" or "steal"');
    }
    this.host.locks.unlock(name, this);
    this.reply(request.id, "{}");
  }

  #lockName({ method, params }: JsonRpcRequest): string {
    const name = params[0];
    if (params.length === 1 && typeof name === "string" && isId(name)) return name;
    throw syntaxError(params, `${method} request params must be <id>`);
  }

  #closed(): void {
    this.#probe?.cancel();
    for (const { request } of this.#pending.values()) request?.cancel();
    this.#pending.clear();
    this.#dropMonitors();
    this.host.locks.forget(this);
    this.host.sessionClosed(this);
  }
}

/** Not listed: a relay's database that has not come yet, or is too old. */
function served(databases: ReadonlyMap<string, ServedDatabase>): string[] {
  return [...databases.values()].filter(({ relay }) => relay?.connected !== false).map(({ name }) => name);
}

const HANDLERS: Readonly<Record<string, Handler>> = {
  transact: (session, request) => session.transact(request),
  monitor: (session, request) => session.monitor(request, 1),
  monitor_cond: (session, request) => session.monitor(request, 2),
  monitor_cond_since: (session, request) => session.monitor(request, 3),
  monitor_cond_change: (session, request) => session.monitorChange(request),
  monitor_cancel: (session, request) => session.monitorCancel(request),
  lock: (session, request) => session.lock(request),
  steal: (session, request) => session.lock(request),
  unlock: (session, request) => session.unlock(request),
  echo: (session, { id, params }) => session.rpc.reply(id, params),
  list_dbs: (session, { id }) => session.rpc.reply(id, served(session.host.databases)),
  get_schema: (session, request) => {
    const { database } = session.database(request);
    session.rpc.reply(request.id, schemaToJson(database.schema));
  },
  get_server_id: (session, { id }) => session.rpc.reply(id, session.host.serverId),
  set_db_change_aware: (session, { id, params }) => {
    if (params.length !== 1 || typeof params[0] !== "boolean") {
      throw syntaxError(params, "set_db_change_aware: true or false parameter expected");
    }
    session.changeAware = params[0];
    session.rpc.reply(id, {});
  },
  convert: (session, request) => {
    const database = session.database(request);
    if (request.params.length !== 2) throw syntaxError(request.params, "invalid parameters");
    if (database.relay !== undefined) {
      database.relay.forward(
        "convert",
        request.params,
        (result) => session.rpc.reply(request.id, result),
        (error) => session.rpc.error(request.id, error),
      );
      return;
    }
    if (database.readOnly && !database.name.startsWith("_")) {
      throw new OvsdbError(
        "not allowed",
        `conversion is not allowed for read-only database ${database.name}`,
      );
    }
    session.host.convert(session, database, request.params[1]!);
    session.rpc.reply(request.id, {});
  },
};
