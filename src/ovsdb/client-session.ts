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
import { Missed } from "./history.ts";
import type { Json } from "./json-text.ts";
import { sortedText } from "./json-text.ts";
import type { LockClient, Locks } from "./locks.ts";
import type { Changes, MonitorVersion } from "./monitor.ts";
import { Monitor } from "./monitor.ts";
import { isId } from "./object-parser.ts";
import { RoleCheck } from "./rbac.ts";
import { schemaToJson } from "./schema.ts";
import type { Answer, Request, Requester, ServedDatabase, Subscriber } from "./served-database.ts";

const log = vlog("jsonrpc_server");

/** What a session needs of the server. */
export interface SessionHost {
  readonly clock: Clock;
  readonly serverId: string;
  readonly locks: Locks;
  /** False: the requests for conditional monitors are unknown. */
  readonly conditionalMonitors: boolean;
  readonly databases: ReadonlyMap<string, ServedDatabase>;
  /** Rows that are remembered for a client that takes nothing. */
  readonly missedRowsMax: number;
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

/** A "transact" under way. */
class Pending implements Answer {
  readonly id: Json;
  readonly key: string | number;
  readonly database: ServedDatabase;
  readonly #session: ClientSession;
  request: Request | undefined = undefined;
  /** Answered, or nobody waits for the answer any more. */
  over = false;

  constructor(session: ClientSession, id: Json, key: string | number, database: ServedDatabase) {
    this.#session = session;
    this.id = id;
    this.key = key;
    this.database = database;
  }

  done(results: string): void {
    if (this.over) return;
    this.#end();
    this.#session.reply(this.id, results);
  }

  failed(error: Json): void {
    if (this.over) return;
    this.#end();
    this.#session.rpc.error(this.id, error);
  }

  #end(): void {
    this.over = true;
    if (this.request !== undefined) this.#session.forget(this);
  }

  cancel(): void {
    this.over = true;
    this.request?.cancel();
  }
}

/** A client's monitor. While the client is behind, what it has not been told is kept as rows, not as text. */
class Watch implements Subscriber {
  readonly monitor: Monitor;
  readonly database: ServedDatabase;
  readonly #session: ClientSession;
  #missed: Missed | undefined;
  /** The last transaction that the client knows the UUID of. */
  #told: string;

  constructor(session: ClientSession, monitor: Monitor, database: ServedDatabase) {
    this.#session = session;
    this.monitor = monitor;
    this.database = database;
    this.#told = database.history.last;
  }

  get isBehind(): boolean {
    return this.#session.isBehind;
  }

  update(updates: string): void {
    this.#told = this.database.history.last;
    this.#session.sendUpdate(this, updates);
  }

  /**
   * New conditions ("monitor_cond_change"). A client of version 3 that comes back asks for what has changed since the
   * transaction it was last told, under the conditions of then: so that these two belong together it is told the
   * transaction at which they change, by an update without rows if there is nothing else to tell.
   */
  change(requests: Json): void {
    const { monitor } = this;
    const updates = monitor.change(requests);
    if (updates !== undefined) this.update(updates);
    else if (monitor.version === 3 && this.#told !== this.database.history.last) this.update("{}");
  }

  miss(changes: Changes): void {
    this.#missed ??= new Missed();
    for (const [table, rows] of changes) {
      if (!this.monitor.watches(table)) continue;
      for (const change of rows.values()) this.#missed.add(table, change);
    }
    const { missedRowsMax } = this.#session.host;
    if (this.#missed.rows > missedRowsMax) this.#session.dropIfStuck();
  }

  /** Tells what was missed, as one update. */
  catchUp(): void {
    if (this.#missed === undefined) return;
    const changes = this.#missed.changes(this.database.database);
    this.#missed = undefined;
    const updates = this.monitor.update(changes, new Map());
    if (updates !== undefined) this.update(updates);
  }
}

/** Far more than the largest database needs to be restored at once. */
const REQUEST_BYTES_MAX = 512 * 1024 * 1024;
/** With so many bytes unsent a stream's `write` has returned false, so that `drain` follows. */
const BEHIND_BYTES = 65_536;
/** A client that takes nothing for so long, and has missed too much, is dropped. */
const STUCK_MS = 10_000;

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
  readonly #monitors = new Map<string, Watch>();
  /** "transact" requests that were not answered at once. */
  readonly #pending = new Map<string | number, Pending>();
  /** Requests of a client that does not read as fast as it asks; undefined: it does. */
  #unread: JsonRpcMessage[] | undefined;
  /** The least that was unsent since the client fell behind, and when that was seen. */
  #leastBacklog = 0;
  #progressAt = 0;

  constructor(host: SessionHost, stream: Stream, options: SessionOptions) {
    this.host = host;
    this.readOnly = options.readOnly;
    this.access = options.role === undefined ? undefined : new RoleCheck(options.role, stream.peerName);
    this.#probeMs = options.probeMs;
    this.connectedAt = host.clock.now();
    this.#lastReceived = this.connectedAt;
    const handler = {
      message: (message: JsonRpcMessage) => this.#message(message),
      drain: () => this.#drained(),
      close: () => this.#closed(),
    };
    this.rpc = new JsonRpc(stream, handler, REQUEST_BYTES_MAX);
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
    for (const watch of this.#monitors.values()) watch.database.subscribers.delete(watch);
    this.#monitors.clear();
  }

  // A client that reads slowly: its requests wait, and updates for it are taken together.

  get isBehind(): boolean {
    return this.#unread !== undefined;
  }

  #fallBehind(): void {
    if (this.isBehind || this.rpc.backlog < BEHIND_BYTES) return;
    this.#unread = [];
    this.#leastBacklog = this.rpc.backlog;
    this.#progressAt = this.host.clock.now();
    this.rpc.pause();
  }

  #drained(): void {
    const unread = this.#unread;
    if (unread === undefined) return;
    this.#unread = undefined;
    this.#progressAt = this.host.clock.now();
    this.#catchUp();
    for (const message of unread) this.#message(message);
    if (!this.isBehind) this.rpc.resume();
  }

  #catchUp(): void {
    for (const watch of this.#monitors.values()) watch.catchUp();
    this.#fallBehind();
  }

  /** Has the client taken any of what is unsent? */
  #noteProgress(): void {
    if (!this.isBehind || this.rpc.backlog >= this.#leastBacklog) return;
    this.#leastBacklog = this.rpc.backlog;
    this.#progressAt = this.host.clock.now();
  }

  dropIfStuck(): void {
    this.#noteProgress();
    if (this.host.clock.now() - this.#progressAt < STUCK_MS) return;
    log.warn(`${this.name}: client has stopped reading, disconnecting`);
    this.#dropMonitors();
    this.rpc.destroy();
  }

  #armProbe(ms: number): void {
    this.#probe = this.host.clock.background(ms, () => {
      this.#noteProgress();
      const silence = this.host.clock.now() - Math.max(this.#lastReceived, this.#progressAt);
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
    if (this.#unread === undefined) {
      this.#handle(message);
      this.#fallBehind();
    } else this.#unread.push(message);
  }

  #handle(message: JsonRpcMessage): void {
    if (this.#probeMs > 0) {
      this.#lastReceived = this.host.clock.now();
      this.#probed = false;
    }
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
    // What the client is to know before it has its reply.
    if (this.isBehind) this.#catchUp();
    const idText = typeof id === "number" ? String(id) : formatJson(id);
    this.rpc.sendText(`{"id":${idText},"result":${resultText},"error":null}`);
  }

  /** A reply whose result is the three put together. */
  #replyAround(id: Json, before: string, result: Uint8Array | string, after: string): void {
    if (typeof result === "string") {
      this.reply(id, before + result + after);
      return;
    }
    if (this.isBehind) this.#catchUp();
    this.rpc.sendText(`{"id":${formatJson(id)},"result":${before}`);
    this.rpc.sendShared(result);
    this.rpc.sendText(`${after},"error":null}`);
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
    const key = idKey(request.id);
    if (this.#pending.has(key)) throw syntaxError(request.params, "transact: duplicate request ID");
    const pending = new Pending(this, request.id, key, database);
    const running = database.transact(this, request.params.slice(1), pending);
    if (pending.over) return;
    pending.request = running;
    this.#pending.set(key, pending);
  }

  forget(pending: Pending): void {
    this.#pending.delete(pending.key);
  }

  #cancel(params: readonly Json[]): void {
    if (params.length !== 1) return;
    const key = idKey(params[0]!);
    const pending = this.#pending.get(key);
    if (pending === undefined || pending.request?.waiting !== true) return;
    pending.cancel();
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
    const watch = new Watch(this, monitor, database);
    this.#monitors.set(monitor.idText, watch);
    database.subscribers.add(watch);
    if (version !== 3) {
      this.#replyAround(request.id, "", database.initial(monitor), "");
      return;
    }
    const { history } = database;
    const since = typeof params[3] === "string" ? history.since(database.database, params[3]) : undefined;
    const updates =
      since === undefined ? database.initial(monitor) : (monitor.update(since, new Map()) ?? "{}");
    this.#replyAround(request.id, `[${since !== undefined},"${history.last}",`, updates, "]");
  }

  sendUpdate({ monitor, database: { history } }: Watch, updates: string): void {
    const head = `{"id":null,"method":"update`;
    const { idText } = monitor;
    if (monitor.version === 1) this.rpc.sendText(`${head}","params":[${idText},${updates}]}`);
    else if (monitor.version === 2) this.rpc.sendText(`${head}2","params":[${idText},${updates}]}`);
    else this.rpc.sendText(`${head}3","params":[${idText},"${history.last}",${updates}]}`);
    this.#fallBehind();
  }

  monitorChange(request: JsonRpcRequest): void {
    const { params } = request;
    if (params.length !== 3) throw syntaxError(params, "invalid parameters");
    const key = sortedText(params[0]!);
    const watch = this.#monitors.get(key);
    if (watch === undefined) throw syntaxError(params[0]!, "unknown monitor session");
    const newKey = sortedText(params[1]!);
    if (newKey !== key && this.#monitors.has(newKey)) throw syntaxError(params[1]!, "duplicate monitor ID");
    const { monitor } = watch;
    if (monitor.version === 1) throw syntaxError(params[0]!, "unknown monitor session");
    // What is sent before the reply still goes by the old name.
    watch.change(params[2]!);
    if (newKey !== key) {
      this.#monitors.delete(key);
      monitor.rename(params[1]!);
      this.#monitors.set(newKey, watch);
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
    const watch = this.#monitors.get(key);
    if (watch === undefined) {
      this.rpc.error(id, "unknown monitor");
      return;
    }
    watch.database.subscribers.delete(watch);
    this.#monitors.delete(key);
    this.reply(id, "{}");
  }

  /** A database goes, or changes its schema: ends everything about it. A client that cannot know is disconnected. */
  databaseGone(database: ServedDatabase): void {
    for (const [key, pending] of [...this.#pending]) {
      if (pending.database !== database) continue;
      pending.cancel();
      this.#pending.delete(key);
      if (this.changeAware) this.rpc.error(pending.id, "canceled");
    }
    for (const [key, watch] of [...this.#monitors]) {
      if (watch.database !== database) continue;
      database.subscribers.delete(watch);
      this.#monitors.delete(key);
      if (this.changeAware) this.rpc.notify("monitor_canceled", [watch.monitor.id]);
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
    for (const pending of this.#pending.values()) pending.cancel();
    this.#pending.clear();
    this.#dropMonitors();
    this.host.locks.forget(this);
    this.host.sessionClosed(this);
  }
}

/** Equal for equal ids. */
function idKey(id: Json): string | number {
  return typeof id === "number" ? id : sortedText(id);
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
