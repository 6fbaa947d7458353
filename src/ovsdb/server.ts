/**
 * A database server: databases, remotes, clients, the `_Server` database. Embeddable: it holds no globals, ends no
 * process, and takes clock, streams, disk and randomness from outside; `accept` serves any Stream.
 */
import type { Clock, Timer } from "../lib/clock.ts";
import { formatJson } from "../lib/json.ts";
import type { Stream, StreamFactory } from "../lib/stream.ts";
import { vlog } from "../lib/vlog.ts";
import { ActiveBackup } from "./active-backup.ts";
import type { SessionHost } from "./client-session.ts";
import { ClientSession } from "./client-session.ts";
import { convertDatabase } from "./convert.ts";
import { DatabaseFile } from "./database-file.ts";
import { type Datum, EMPTY_SET, scalar } from "./datum.ts";
import type { Disk } from "./disk.ts";
import { OvsdbError } from "./error.ts";
import { GarbageWatch } from "./garbage.ts";
import type { Json } from "./json-text.ts";
import { Locks } from "./locks.ts";
import type { LinkOptions } from "./relay.ts";
import { emptyDatabase, parseRelay, Relay } from "./relay.ts";
import type { ColumnName } from "./remote-config.ts";
import { configuredRemotes, parseColumnName, writeStatus } from "./remote-config.ts";
import type { RemoteHost, RemoteOptions } from "./remotes.ts";
import { DEFAULT_REMOTE, Remote, sameOptions } from "./remotes.ts";
import { schemaFromJson, schemaToJson } from "./schema.ts";
import { ServedDatabase } from "./served-database.ts";
import { serverSchema } from "./server-schema.ts";
import { Database } from "./table.ts";
import type { Transaction } from "./transaction.ts";

const log = vlog("ovsdb_server");

export interface ServerOptions {
  readonly clock: Clock;
  readonly streams: StreamFactory;
  readonly disk: Disk;
  /** Makes random UUIDs. */
  readonly uuid: () => string;
  /** What compaction notes in the file, e.g. "compacting database online". */
  readonly compactionComment?: string;
  /** See FileContext. */
  readonly stepBytes?: number;
  /** Collects garbage and gives free memory back, which takes a while. */
  readonly trimMemory?: () => void;
  /** The same beside the work, which goes on. */
  readonly collectGarbage?: () => void;
  /** As FileContext has it. */
  readonly columnDiff?: boolean;
  /** As SessionHost has it; for tests, which have little data. */
  readonly missedRowsMax?: number;
}

const STATUS_INTERVAL_MS = 2500;
const DEFAULT_PROBE_MS = 5000;
/** Compaction by itself: not before this size, these many transactions, and twice the last snapshot. */
const COMPACT_MIN_BYTES = 10_000_000;
const COMPACT_MIN_RECORDS = 100;
const COMPACT_INTERVAL_MS = 600_000;

export class OvsdbServer implements SessionHost, RemoteHost {
  readonly clock: Clock;
  readonly streams: StreamFactory;
  readonly serverId: string;
  readonly locks = new Locks();
  readonly databases = new Map<string, ServedDatabase>();
  readonly sessions = new Set<ClientSession>();
  readonly #options: ServerOptions;
  readonly #system: ServedDatabase;
  /** As given on the command line or by add-remote, `db:` ones included. */
  readonly #specs = new Map<string, RemoteOptions>();
  /** By target. */
  readonly #remotes = new Map<string, Remote>();
  readonly #systemRows = new Map<string, string>();
  readonly #unwatch = new Map<string, () => void>();
  #statusTimer: Timer | undefined;
  #reconfiguring = false;
  #closed = false;
  conditionalMonitors = true;
  readonly missedRowsMax: number;
  readonly backup: ActiveBackup = new ActiveBackup(this);
  /** Called with a database's name when it was added, and when its contents or schema have changed. */
  onDataChange: (name: string) => void = () => {};
  /** Called when databases or remotes were added or removed. */
  onConfigChange: () => void = () => {};
  #logged: ReadonlySet<string> = new Set();

  constructor(options: ServerOptions) {
    this.#options = options;
    this.clock = options.clock;
    this.streams = options.streams;
    this.serverId = options.uuid();
    this.missedRowsMax = options.missedRowsMax ?? 100_000;
    this.#system = new ServedDatabase(new Database(serverSchema(), options.uuid()), undefined, options);
    this.#system.readOnly = true;
    this.databases.set("_Server", this.#system);
    this.#addSystemRow(this.#system);
  }

  // Databases.

  /** Opens a database file and serves it. Throws OvsdbError. */
  openDatabase(path: string): ServedDatabase {
    const relay = parseRelay(path);
    if (relay !== undefined) return this.openRelay(relay.name, relay.remotes);
    for (const { file } of this.databases.values()) {
      if (file?.path === path) throw new OvsdbError("ovsdb error", `${path}: already open`);
    }
    const file = new DatabaseFile(
      {
        disk: this.#options.disk,
        clock: this.clock,
        uuid: this.#options.uuid,
        ...(this.#options.stepBytes === undefined ? {} : { stepBytes: this.#options.stepBytes }),
        columnDiff: this.#options.columnDiff,
        onLocked: (lockFile, holder) => {
          const who = holder === 0 ? "within this process" : `by pid ${holder}`;
          vlog("lockfile").warn(`${lockFile}: cannot lock file because it is already locked ${who}`);
        },
        onLockFailed: (lockFile, why) => {
          vlog("lockfile").warn(`${lockFile}: failed to open lock file: ${why}`);
          vlog("lockfile").warn(`${lockFile}: failed to lock file: ${why}`);
        },
      },
      path,
    );
    if (file.torn !== undefined) log.err(file.torn.message);
    const { name } = file.database.schema;
    if (this.databases.has(name)) {
      file.close();
      throw new OvsdbError("ovsdb error", `${name}: duplicate database name`);
    }
    const served = new ServedDatabase(file.database, file, this.#options);
    // Reading a large file leaves as much garbage as rows.
    if (file.length > COMPACT_MIN_BYTES) this.#options.trimMemory?.();
    this.addDatabase(served);
    this.onConfigChange();
    return served;
  }

  /** Serves a replica of the database `name` that other servers have, at `remotes` (separated by commas). */
  openRelay(name: string, remotes: string, link: LinkOptions = {}): ServedDatabase {
    if (this.databases.has(name)) throw new OvsdbError("ovsdb error", `${name}: duplicate database name`);
    const served = new ServedDatabase(emptyDatabase(name, this.#options.uuid()), undefined, this.#options);
    const relay = new Relay(this, served, remotes, { probeMs: this.relayProbeMs, ...link });
    served.relay = relay;
    this.addDatabase(served);
    relay.open();
    this.onConfigChange();
    return served;
  }

  /** Of relays to their sources, from now on; undefined: the default. */
  relayProbeMs: number | undefined;

  setRelayProbe(ms: number): void {
    this.relayProbeMs = ms;
    for (const { relay } of this.databases.values()) if (relay instanceof Relay) relay.setProbe(ms);
  }

  /** A database with another schema: clients are told, or disconnected where they cannot know. */
  replaceDatabase(served: ServedDatabase, database: Database, asker?: ClientSession): void {
    for (const session of [...this.sessions]) if (session !== asker && !session.changeAware) session.close();
    for (const session of this.sessions) session.databaseGone(served);
    served.file?.replace(database, this.#options.compactionComment ?? "compacting database online");
    served.replace(database);
    this.refreshSystemRow(served);
    this.onDataChange(served.name);
    this.#reconfigureSoon(served);
  }

  /** Writes what is new about a database into `_Server`. */
  refreshSystemRow(served: ServedDatabase): void {
    const uuid = this.#systemRows.get(served.name);
    if (uuid === undefined) return;
    this.#system.change((transaction) => {
      const table = this.#system.database.tables.get("Database")!;
      const row = table.rows.get(uuid)!;
      const values = this.#systemValues(served);
      for (const name of Object.keys(values))
        transaction.set(row, table.schema.byName.get(name)!, values[name]!);
    });
  }

  uuid(): string {
    return this.#options.uuid();
  }

  /** Serves a database, with or without a file. */
  addDatabase(served: ServedDatabase): void {
    this.#disconnectUnaware();
    this.databases.set(served.name, served);
    this.#addSystemRow(served);
    let nextCompaction = this.clock.now() + COMPACT_INTERVAL_MS;
    const collect = (): void => this.#options.collectGarbage?.();
    const garbage = new GarbageWatch(this.clock, served.file?.length ?? 0, collect);
    this.#unwatch.set(
      served.name,
      served.onCommit((changes) => {
        if (this.#logged.size > 0) this.#logCommit(served, changes);
        this.onDataChange(served.name);
        if (this.#specs.size > 0) this.#reconfigureSoon(served);
        const { file } = served;
        if (file === undefined) return;
        garbage.note(file.length);
        if (file.length < COMPACT_MIN_BYTES || file.records < COMPACT_MIN_RECORDS) return;
        if (file.length < 2 * file.snapshotLength || this.clock.now() < nextCompaction) return;
        nextCompaction = this.clock.now() + COMPACT_INTERVAL_MS;
        this.compact(served).catch((error: unknown) => log.err((error as OvsdbError).message));
      }),
    );
    this.backup.databasesChanged();
    this.onDataChange(served.name);
  }

  /** Stops serving a database. False: there is none of that name. */
  removeDatabase(name: string): boolean {
    const served = this.databases.get(name);
    if (served === undefined || served === this.#system) return false;
    this.#disconnectUnaware();
    for (const session of this.sessions) session.databaseGone(served);
    this.databases.delete(name);
    this.#unwatch.get(name)?.();
    this.#unwatch.delete(name);
    const row = this.#systemRows.get(name)!;
    this.#systemRows.delete(name);
    this.#system.change((transaction) => {
      transaction.remove(this.#system.database.tables.get("Database")!.rows.get(row)!);
    });
    served.close();
    this.backup.databasesChanged();
    this.onConfigChange();
    return true;
  }

  /** "memory-trim-on-compaction". */
  trimsOnCompaction = false;

  /** In steps, while the service goes on. Rejects with an OvsdbError. */
  async compact(served: ServedDatabase): Promise<void> {
    const start = this.clock.now();
    await served.file?.compact(this.#options.compactionComment ?? "compacting database online");
    if (this.trimsOnCompaction) this.#options.trimMemory?.();
    const took = this.clock.now() - start;
    if (took > 1000) log.info(`${served.name}: Database compaction took ${Math.round(took)}ms`);
  }

  #systemValues(served: ServedDatabase): Record<string, Datum> {
    const { relay } = served;
    return {
      name: scalar(served.name),
      model: scalar(relay === undefined ? "standalone" : "relay"),
      connected: scalar(relay?.connected !== false),
      leader: scalar(relay === undefined),
      schema:
        relay?.hasSchema === false ? EMPTY_SET : scalar(formatJson(schemaToJson(served.database.schema))),
      cid: EMPTY_SET,
      sid: EMPTY_SET,
      index: EMPTY_SET,
    };
  }

  #addSystemRow(served: ServedDatabase): void {
    this.#system.change((transaction) => {
      const table = this.#system.database.tables.get("Database")!;
      const values = this.#systemValues(served);
      const columns = Object.keys(values).map((name) => table.schema.byName.get(name)!);
      const row = transaction.insert(table, this.#options.uuid(), columns, Object.values(values));
      this.#systemRows.set(served.name, row.uuid);
    });
  }

  /** Clients that did not ask to be told of such things notice by losing their connection. */
  #disconnectUnaware(): void {
    for (const session of [...this.sessions]) if (!session.changeAware) session.close();
  }

  convert(asker: ClientSession, served: ServedDatabase, json: Json): void {
    const schema = schemaFromJson(json);
    if (served === this.#system) {
      throw new OvsdbError("not allowed", `convert: cannot convert the "_Server" database`);
    }
    if (schema.name !== served.name) {
      throw new OvsdbError(
        "invalid parameters",
        `database name ${served.name} does not match schema name ${schema.name}`,
      );
    }
    const converted = convertDatabase(served.database, schema, this.#options.uuid);
    this.replaceDatabase(served, converted, asker);
    // The asker gets its reply first.
    if (!asker.changeAware) this.clock.soon(() => asker.close());
  }

  // Remotes.

  get remoteSpecs(): readonly string[] {
    return [...this.#specs.keys()].sort();
  }

  remote(target: string): Remote | undefined {
    return this.#remotes.get(target);
  }

  /** Resolves, when the first attempt to listen has been made, with the error text if `spec` names nothing. */
  async addRemote(spec: string): Promise<string | undefined> {
    if (spec.startsWith("db:")) {
      const name = parseColumnName(this.databases, spec);
      if (typeof name === "string") return name;
    }
    this.#specs.set(spec, DEFAULT_REMOTE);
    this.onConfigChange();
    await this.reconfigure();
    return undefined;
  }

  /** All remotes at once, as a configuration file has them. As `addRemote`. */
  async configureRemotes(remotes: ReadonlyMap<string, RemoteOptions>): Promise<string | undefined> {
    let bad: string | undefined;
    this.#specs.clear();
    for (const [spec, options] of remotes) {
      const name = spec.startsWith("db:") ? parseColumnName(this.databases, spec) : undefined;
      if (typeof name === "string") bad ??= name;
      this.#specs.set(spec, options);
    }
    await this.reconfigure();
    return bad;
  }

  /** False: no such remote. */
  removeRemote(spec: string): boolean {
    if (!this.#specs.delete(spec)) return false;
    this.onConfigChange();
    void this.reconfigure();
    return true;
  }

  /** Ends all connections of clients, to be made again: what they may do has changed. */
  disconnectClients(): void {
    for (const session of [...this.sessions]) session.close();
  }

  /** Ends all connections, so that clients make them again. */
  reconnect(): void {
    for (const remote of this.#remotes.values()) remote.reconnect();
  }

  #hasColumns(): boolean {
    for (const spec of this.#specs.keys()) if (spec.startsWith("db:")) return true;
    return false;
  }

  #columnNames(): ColumnName[] {
    const names: ColumnName[] = [];
    for (const spec of this.#specs.keys()) {
      if (!spec.startsWith("db:")) continue;
      const name = parseColumnName(this.databases, spec);
      if (typeof name !== "string") names.push(name);
    }
    return names;
  }

  #reconfigureSoon(served: ServedDatabase): void {
    if (this.#reconfiguring || !this.#hasColumns()) return;
    if (!this.#columnNames().some((name) => name.served === served)) return;
    this.#reconfiguring = true;
    this.clock.soon(() => {
      this.#reconfiguring = false;
      if (!this.#closed) void this.reconfigure();
    });
  }

  /** Makes the remotes those that command line and databases ask for. */
  async reconfigure(): Promise<void> {
    const wanted = new Map<string, RemoteOptions>();
    for (const [spec, options] of this.#specs) if (!spec.startsWith("db:")) wanted.set(spec, options);
    const names = this.#columnNames();
    for (const name of names) {
      for (const [target, options] of configuredRemotes(name))
        if (!wanted.has(target)) wanted.set(target, options);
    }
    for (const [target, remote] of [...this.#remotes]) {
      const options = wanted.get(target);
      if (options !== undefined && sameOptions(options, remote.options)) continue;
      if (
        options !== undefined &&
        remote.options.role === options.role &&
        remote.options.readOnly === options.readOnly
      ) {
        remote.options = options;
        continue;
      }
      remote.close();
      this.#remotes.delete(target);
    }
    const started: Promise<void>[] = [];
    for (const [target, options] of wanted) {
      if (this.#remotes.has(target)) continue;
      const remote = new Remote(this, target, options);
      this.#remotes.set(target, remote);
      started.push(remote.start());
    }
    await Promise.all(started);
    if (names.some(({ column }) => column.type.key.refTable !== undefined)) this.#keepStatus();
  }

  #keepStatus(): void {
    if (this.#statusTimer !== undefined || this.#closed) return;
    this.#writeStatus();
    this.#statusTimer = this.clock.background(STATUS_INTERVAL_MS, () => {
      this.#statusTimer = undefined;
      if (this.#columnNames().length > 0) this.#keepStatus();
    });
  }

  #writeStatus(): void {
    for (const name of this.#columnNames()) {
      try {
        name.served.change((transaction) => {
          writeStatus(name, transaction, this.#remotes, (remote) => this.#remoteStatus(remote));
        });
      } catch (error) {
        if (!(error instanceof OvsdbError)) throw error;
        log.err(`Failed to update remote status: ${error.message}`);
      }
    }
  }

  #remoteStatus(remote: Remote): { connected: boolean; status: Map<string, string> } {
    const status = new Map<string, string>();
    const seconds = (since: number): string => String(Math.floor((this.clock.now() - since) / 1000));
    const connected = remote.sessionCount > 0;
    status.set("state", remote.isPassive ? (connected ? "ACTIVE" : "LISTENING") : remote.state);
    if (remote.lastError !== undefined && !connected) status.set("last_error", remote.lastError);
    if (remote.connectedAt !== undefined && connected)
      status.set("sec_since_connect", seconds(remote.connectedAt));
    if (remote.disconnectedAt !== undefined)
      status.set("sec_since_disconnect", seconds(remote.disconnectedAt));
    if (remote.isPassive) {
      status.set("n_connections", String(remote.sessionCount));
      if (remote.boundPort !== undefined) status.set("bound_port", String(remote.boundPort));
    }
    return { connected, status };
  }

  // Clients.

  /** Serves a client on any stream, as `ovsbox up` does with one end of a memory pair. */
  accept(stream: Stream, remote?: Remote, closed?: () => void): ClientSession {
    const options = remote?.options ?? DEFAULT_REMOTE;
    const isNetwork = stream.kind === "tcp" || stream.kind === "ssl";
    const session = new ClientSession(this, stream, {
      readOnly: options.readOnly,
      probeMs: options.probeMs ?? (isNetwork ? DEFAULT_PROBE_MS : 0),
      role: options.role,
    });
    this.sessions.add(session);
    if (closed !== undefined) this.#closers.set(session, closed);
    return session;
  }

  readonly #closers = new Map<ClientSession, () => void>();

  sessionClosed(session: ClientSession): void {
    this.sessions.delete(session);
    const closed = this.#closers.get(session);
    this.#closers.delete(session);
    closed?.();
  }

  /** As a server before 2.6 would answer: only "monitor" is known. Clients connect again to notice. */
  disableConditionalMonitors(): void {
    this.conditionalMonitors = false;
    this.reconnect();
  }

  /** Transactions that change these (`DB:TABLE`) are logged. */
  logTables(names: ReadonlySet<string>): void {
    this.#logged = new Set(names);
  }

  #logCommit(served: ServedDatabase, changes: Transaction["changes"]): void {
    for (const [table, rows] of changes) {
      if (!this.#logged.has(`${served.name}:${table.name}`)) continue;
      for (const { row, old, deleted } of rows.values()) {
        const kind = deleted ? "delete" : old === undefined ? "insert" : "modify";
        vlog("transaction").info(`table:${table.name},op:${kind},${row.uuid}`);
      }
    }
  }

  /** What memory/show prints. */
  memory(add: (name: string, count: number) => void): void {
    let atoms = 0;
    let cells = 0;
    let monitors = 0;
    let weak = 0;
    let triggers = 0;
    for (const { database, triggerCount } of this.databases.values()) {
      triggers += triggerCount;
      for (const table of database.tables.values()) {
        cells += table.rows.size * (table.schema.columns.length + 2);
        for (const row of table.rows.values()) {
          atoms += 2;
          weak += row.weakFrom?.size ?? 0;
          for (const { keys, values } of row.data)
            atoms += values === undefined ? keys.length : 2 * keys.length;
        }
      }
    }
    let backlog = 0;
    for (const session of this.sessions) {
      monitors += session.monitorCount;
      backlog += session.rpc.backlog;
    }
    add("atoms", atoms);
    if (backlog > 0) add("backlog", backlog);
    add("cells", cells);
    add("monitors", monitors);
    add("n-weak-refs", weak);
    add("sessions", this.sessions.size);
    if (triggers > 0) add("triggers", triggers);
  }

  close(): void {
    this.#closed = true;
    this.backup.close();
    this.#statusTimer?.cancel();
    for (const remote of this.#remotes.values()) remote.close();
    this.#remotes.clear();
    for (const session of [...this.sessions]) session.close();
    for (const served of this.databases.values()) served.close();
    this.databases.clear();
  }
}
