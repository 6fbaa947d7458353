/**
 * Idl: a live replica of chosen tables and columns of an OVSDB database, and transactions into it.
 * It sits between `ovsdb-server` and whoever needs its rows (vswitchd, the ctl programs); upstream: `ovsdb-idl`.
 *
 * The replica is made from the schema that the *server* has: a column or table that the server lacks reads as its
 * default and as empty, one that we do not know is there all the same in the dynamic layer. The type argument `S`, a
 * schema module `as const`, adds types only; nothing of it is needed at run time, except to know the defaults of
 * what the server lacks.
 *
 * Rows are immutable snapshots (`idl-types.ts`). All state changes happen between turns of the loop: within one turn
 * a reader sees one consistent state.
 */
import { vlog } from "../lib/vlog.ts";
import type { Change, IdlOptions, IdlReader, IdlState, TableWatch, Transaction, Watch } from "./idl-api.ts";
import { IdlLink } from "./idl-link.ts";
import { type IdlRow, IdlTable } from "./idl-table.ts";
import { IdlTransaction, type TxnHost } from "./idl-transaction.ts";
import type { DatabaseSchema, Ref, Row, TableName } from "./idl-types.ts";
import type { Json, JsonObject } from "./json-text.ts";
import { isObject, sortedText } from "./json-text.ts";

export type * from "./idl-api.ts";
export type * from "./idl-types.ts";

const log = vlog("ovsdb_idl");

const SERVER = "_Server";
const SERVER_COLUMNS = ["name", "model", "connected", "leader", "cid", "index"];
const NO_TRANSACTION = "00000000-0000-0000-0000-000000000000";

/** What the reply to a request of ours leads to. `error`: the peer refused. */
type Next = (result: Json, error: Json | undefined) => void;

export class Idl<S extends DatabaseSchema = DatabaseSchema> implements IdlReader<S>, TxnHost {
  readonly #options: IdlOptions<S>;
  readonly #link: IdlLink;
  readonly #waiting = new Map<number, Next>();
  readonly #transactions = new Map<
    number,
    { resolve: (json: Json) => void; reject: (error: unknown) => void }
  >();
  #tables = new Map<string, IdlTable>();
  /** `tables` of the server's schema. */
  #server: JsonObject | undefined = undefined;
  #state: IdlState = "connecting";
  #seqno = 0;
  #lastError: Error | undefined = undefined;
  #lock: string | undefined;
  #locked = false;
  #contended = false;
  /** Monitor methods from the newest on; the connection works down until one is known. */
  #method: "monitor_cond_since" | "monitor_cond" | "monitor" = "monitor_cond_since";
  #lastTransaction = NO_TRANSACTION;
  #announced = false;
  #waiters: (() => void)[] = [];
  #watch: Watch<S>;
  #held = false;
  /** `trustSchema`, until the server has refused a request. */
  #trusting: boolean;

  constructor(options: IdlOptions<S>) {
    this.#options = options;
    this.#trusting = options.trustSchema === true;
    this.#lock = options.lock;
    this.#watch = options.watch;
    this.#link = new IdlLink(options, {
      connected: () => this.#connected(),
      reply: (id, result, error) => this.#reply(id, result, error),
      notify: (method, params) => this.#notified(method, params),
      disconnected: (error) => this.#disconnected(error),
      dead: (error) => {
        this.#lastError = error;
        this.#setState("dead");
      },
    });
  }

  /** Connects. */
  open(): this {
    this.#link.open();
    return this;
  }

  close(): void {
    this.#setState("closed");
    this.#link.close();
  }

  /**
   * For who must see the server's schema before saying what to replicate: after `hold()` the Idl stops at "syncing"
   * with `serverTables` known, and goes on with `watch`.
   */
  hold(): this {
    this.#held = true;
    return this;
  }

  /** Replicates this from now on, anew when something was replicated before. */
  watch(watch: Watch<S>): void {
    const first = this.#held;
    this.#watch = watch;
    this.#held = false;
    if (this.#server === undefined) return;
    if (first) this.#monitor();
    else this.#link.reconnect();
  }

  /** `tables` of the server's schema; undefined before it is known. */
  get serverTables(): JsonObject | undefined {
    return this.#server;
  }

  get state(): IdlState {
    return this.#state;
  }
  get seqno(): number {
    return this.#seqno;
  }
  get lastError(): Error | undefined {
    return this.#lastError;
  }
  get isLocked(): boolean {
    return this.#lock === undefined || this.#locked;
  }
  get isLockContended(): boolean {
    return this.#contended;
  }
  /** Of the connection, e.g. `unix:/run/db.sock`; the remote that is being tried while there is none. */
  get remote(): string {
    return this.#link.remote;
  }

  has(table: string, column?: string): boolean {
    const json = this.#server?.[table] as JsonObject | undefined;
    if (json === undefined || column === undefined) return json !== undefined;
    return Object.hasOwn((json.columns ?? {}) as object, column);
  }

  row<T extends TableName<S>>(table: T, uuid: Ref<T> | string | undefined): Row<S, T> | undefined {
    if (uuid === undefined) return undefined;
    return this.#tables.get(table)?.rows.get(uuid)?.snapshot as Row<S, T> | undefined;
  }

  *rows<T extends TableName<S>>(table: T): IterableIterator<Row<S, T>> {
    const found = this.#tables.get(table);
    if (found !== undefined) for (const row of found.ordered()) yield row.snapshot as Row<S, T>;
  }

  refs<T extends TableName<S>>(table: T, refs: Iterable<Ref<T>>): Row<S, T>[] {
    const rows: Row<S, T>[] = [];
    for (const ref of refs) {
      const row = this.row(table, ref);
      if (row !== undefined) rows.push(row);
    }
    return rows;
  }

  count(table: TableName<S>): number {
    return this.#tables.get(table)?.rows.size ?? 0;
  }

  changes<T extends TableName<S>>(table: T): Change<Row<S, T>>[] {
    return (this.#tables.get(table)?.takeChanges() ?? []) as unknown as Change<Row<S, T>>[];
  }

  transaction(): Transaction<S> {
    return new IdlTransaction(this) as unknown as Transaction<S>;
  }

  /** The dynamic layer: datums instead of values. */
  dynamicTransaction(): IdlTransaction {
    return new IdlTransaction(this);
  }
  table(name: string): IdlTable | undefined {
    return this.#tables.get(name);
  }
  datumRow(table: string, uuid: string): IdlRow | undefined {
    return this.#tables.get(table)?.rows.get(uuid);
  }

  /** Resolves at the next change of replica, lock or connection (at once in nothing but a later turn). */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push(resolve);
    });
  }

  /** Asks for another lock (undefined: for none). */
  setLock(name: string | undefined): void {
    if (name === this.#lock) return;
    if (this.#lock !== undefined && this.#state === "live") this.#request("unlock", [this.#lock], () => {});
    this.#lock = name;
    this.#locked = false;
    this.#contended = false;
    if (name !== undefined && this.#state === "live") this.#askLock();
  }

  // TxnHost
  get database(): string {
    return this.#options.schema.name;
  }
  get lock(): string | undefined {
    return this.#lock;
  }
  uuid(): string {
    return this.#options.uuid();
  }
  warn(text: string): void {
    log.warn(text);
  }
  transact(params: readonly Json[]): Promise<Json> | undefined {
    if (this.#state !== "live") return undefined;
    return new Promise((resolve, reject) => {
      this.#transactions.set(this.#link.request("transact", params), { resolve, reject });
    });
  }

  #setState(state: IdlState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#announce();
  }

  /** Tells in a turn of its own that something has changed. */
  #announce(): void {
    if (this.#announced) return;
    this.#announced = true;
    this.#options.clock.soon(() => {
      this.#announced = false;
      const waiters = this.#waiters;
      this.#waiters = [];
      for (const resolve of waiters) resolve();
      this.#options.changed?.();
    });
  }

  #request(method: string, params: readonly Json[], next: Next): void {
    this.#waiting.set(this.#link.request(method, params), next);
  }

  #connected(): void {
    this.#lastError = undefined;
    this.#setState("syncing");
    if (this.#trusting && !this.#held) {
      this.#server = this.#options.schema.tables as unknown as JsonObject;
      this.#watchServer();
      this.#monitor();
    } else this.#askSchema();
  }

  #askSchema(): void {
    let toCome = 2;
    let leader = false;
    let ours: JsonObject | undefined;
    const got = (): void => {
      if (--toCome > 0) return;
      if (ours === undefined) {
        this.#refuse(`server does not have database ${this.database}`);
        return;
      }
      this.#server = ours.tables as JsonObject;
      if (leader) this.#watchServer();
      if (!this.#held) this.#monitor();
      this.#announce();
    };
    // Both at once: one turn of the network.
    this.#request("get_schema", [SERVER], (_result, error) => {
      leader = error === undefined;
      got();
    });
    this.#request("get_schema", [this.database], (result, error) => {
      if (error === undefined && isObject(result)) ours = result;
      got();
    });
  }

  #refuse(why: string): void {
    log.warn(`${this.remote}: ${why}`);
    // What the peer still says on this connection is not for us.
    this.#waiting.clear();
    this.#link.reconnect();
  }

  /** Asks for the row about our database in `_Server`: which member of a cluster is this? */
  #watchServer(): void {
    const request = { Database: [{ columns: SERVER_COLUMNS }] };
    this.#request("monitor_cond", [SERVER, ["monid", SERVER], request], (result, error) => {
      if (error === undefined) this.#serverUpdate(result);
    });
  }

  readonly #serverRows = new Map<string, Record<string, Json>>();

  #serverUpdate(updates: Json): void {
    const rows = (updates as JsonObject).Database;
    if (!isObject(rows)) return;
    for (const uuid of Object.keys(rows)) {
      const update = rows[uuid] as JsonObject;
      const row = (update.initial ?? update.insert) as JsonObject | undefined;
      if (row !== undefined) this.#serverRows.set(uuid, { ...row });
      else if (update.delete !== undefined) this.#serverRows.delete(uuid);
      else Object.assign(this.#serverRows.get(uuid) ?? {}, update.modify);
    }
    for (const row of this.#serverRows.values()) {
      if (row.name !== this.database || row.model !== "clustered") continue;
      if (row.connected === false) {
        this.#refuse("clustered database server is disconnected from cluster; trying another server");
        return;
      }
      if (row.leader === false && this.#options.leaderOnly !== false) {
        this.#refuse("clustered database server is not cluster leader; trying another server");
        return;
      }
    }
  }

  #monitor(): void {
    const watch = this.#watch;
    const ours = this.#options.schema.tables as unknown as Record<string, JsonObject>;
    const server = this.#server!;
    const names = watch === "all" ? [...Object.keys(ours), ...Object.keys(server)] : Object.keys(watch);
    // A schema without any isRoot means that all tables are roots.
    const allRoot = !Object.values(server).some((table) => (table as JsonObject).isRoot === true);
    const before = this.#tables;
    this.#tables = new Map();
    const request: Record<string, Json> = {};
    for (const name of new Set(names)) {
      const what = watch === "all" ? "all" : watch[name as TableName<S>]!;
      const table = new IdlTable(
        name,
        server[name] as JsonObject | undefined,
        ours[name],
        what === "all" ? { columns: "all" } : (what as TableWatch),
        allRoot,
      );
      const old = before.get(name);
      if (old !== undefined) table.adopt(old);
      this.#tables.set(name, table);
      const wanted = table.request();
      if (wanted !== undefined) request[name] = wanted;
    }
    if (this.#lock !== undefined) this.#askLock();
    this.#method = "monitor_cond_since";
    this.#sendMonitor(request);
  }

  #sendMonitor(request: JsonObject): void {
    const id = ["monid", this.database];
    const since = this.#method === "monitor_cond_since" ? [this.#lastTransaction] : [];
    const plain = this.#method === "monitor" ? withoutWhere(request) : request;
    this.#request(this.#method, [this.database, id, plain, ...since], (result, error) => {
      if (error !== undefined) {
        if (this.#trusting) {
          this.#trusting = false;
          this.#server = undefined;
          this.#askSchema();
          return;
        }
        if (this.#method === "monitor") {
          this.#refuse(`monitor failed: ${sortedText(error)}`);
          return;
        }
        this.#method = this.#method === "monitor_cond_since" ? "monitor_cond" : "monitor";
        this.#lastTransaction = NO_TRANSACTION;
        this.#sendMonitor(request);
        return;
      }
      let updates = result;
      let partial = false;
      if (this.#method === "monitor_cond_since") {
        const [found, last, since] = result as readonly [boolean, string, Json];
        partial = found;
        this.#lastTransaction = last;
        updates = since;
      }
      this.#apply(updates as JsonObject);
      if (!partial) {
        for (const table of this.#tables.values()) {
          table.retain(new Set(Object.keys(((updates as JsonObject)[table.name] ?? {}) as object)));
        }
      }
      this.#seqno++;
      this.#state = "live";
      this.#announce();
    });
  }

  #apply(updates: JsonObject): boolean {
    let changed = false;
    for (const name of Object.keys(updates)) {
      const table = this.#tables.get(name);
      if (table === undefined) continue;
      const rows = updates[name] as JsonObject;
      for (const uuid of Object.keys(rows)) {
        const update = rows[uuid] as JsonObject;
        const one = this.#method === "monitor" ? table.update1(uuid, update) : table.update2(uuid, update);
        changed = one || changed;
      }
    }
    return changed;
  }

  #askLock(): void {
    const name = this.#lock!;
    this.#request("lock", [name], (result, error) => {
      if (name !== this.#lock) return;
      if (error !== undefined) this.#refuse(`lock failed: ${sortedText(error)}`);
      else this.#setLocked((result as JsonObject).locked === true);
    });
  }

  #setLocked(locked: boolean): void {
    this.#locked = locked;
    this.#contended = !locked;
    this.#seqno++;
    this.#announce();
  }

  #reply(id: number, result: Json, error: Json | undefined): void {
    const next = this.#waiting.get(id);
    if (next !== undefined) {
      this.#waiting.delete(id);
      next(result, error);
      return;
    }
    const transaction = this.#transactions.get(id);
    this.#transactions.delete(id);
    if (error !== undefined) transaction?.reject(Object.assign(new Error(sortedText(error)), { error }));
    else transaction?.resolve(result);
  }

  #notified(method: string, params: readonly Json[]): void {
    if (method === "update" || method === "update2" || method === "update3") {
      const id = params[0];
      const updates = params[method === "update3" ? 2 : 1] as JsonObject;
      if (Array.isArray(id) && id[1] === SERVER) {
        this.#serverUpdate(updates);
        return;
      }
      if (method === "update3") this.#lastTransaction = params[1] as string;
      if (this.#apply(updates)) {
        this.#seqno++;
        this.#announce();
      }
    } else if (method === "locked" && params[0] === this.#lock) this.#setLocked(true);
    else if (method === "stolen" && params[0] === this.#lock) this.#setLocked(false);
    else if (method === "monitor_canceled") this.#link.reconnect();
  }

  #disconnected(error: Error | undefined): void {
    this.#lastError = error;
    this.#waiting.clear();
    this.#serverRows.clear();
    this.#locked = false;
    this.#contended = false;
    const lost = [...this.#transactions.values()];
    this.#transactions.clear();
    for (const { reject } of lost) reject(error ?? new Error("connection closed"));
    if (this.#state !== "closed" && this.#state !== "dead") this.#setState("connecting");
    this.#announce();
  }
}

function withoutWhere(request: JsonObject): JsonObject {
  const plain: Record<string, Json> = {};
  for (const table of Object.keys(request)) {
    plain[table] = (request[table] as readonly JsonObject[]).map(({ columns }) => ({ columns: columns! }));
  }
  return plain;
}
