/**
 * One database of one server: its replica, and the feeds of its tables. All that changes comes from the server by itself
 * (OVSDB monitors); nothing is asked for again.
 */
import type { Clock } from "../lib/clock.ts";
import type { StreamFactory } from "../lib/stream.ts";
import { Idl } from "../ovsdb/idl.ts";
import type { IdlRow, IdlTable } from "../ovsdb/idl-table.ts";
import type { Column } from "../ovsdb/schema.ts";
import { describeType } from "../ovsdb/type.ts";
import { cellsOf, changedCells } from "./cells.ts";
import { Feed, pieces } from "./feed.ts";
import { RateHistory } from "./history.ts";
import type { Cells, ColumnInfo, TableData, TableInfo } from "./protocol.ts";

/** Rows in one message. */
const PIECE = 2000;

export interface DatabaseOptions {
  readonly clock: Clock;
  readonly streams: StreamFactory;
  readonly uuid: () => string;
  readonly remote: string;
  readonly name: string;
  /** After any change of rows or of the connection. */
  readonly changed: () => void;
}

type RowChange = { readonly old: IdlRow | undefined; readonly row: IdlRow | undefined };

/** A table, or some of its columns. */
class TableFeed extends Feed {
  readonly #database: Database;
  readonly #name: string;
  readonly #names: ReadonlySet<string> | undefined;
  #columnsOf: IdlTable | undefined = undefined;
  #columns: readonly Column[] = [];

  constructor(database: Database, name: string, names: readonly string[] | undefined) {
    super();
    this.#database = database;
    this.#name = name;
    this.#names = names === undefined ? undefined : new Set(names);
  }

  #shown(table: IdlTable): readonly Column[] {
    if (this.#columnsOf !== table) {
      this.#columnsOf = table;
      this.#columns = table.schema.columns.filter(({ name }) => this.#names?.has(name) ?? true);
    }
    return this.#columns;
  }

  protected override *snapshot(): IterableIterator<TableData> {
    const table = this.#database.idl.table(this.#name);
    const rows = table === undefined ? [] : [...table.ordered()];
    let first = true;
    for (const { part, last } of pieces(rows, PIECE)) {
      const set: { [uuid: string]: Cells } = {};
      for (const row of part) set[row.uuid] = cellsOf(row, this.#shown(table!));
      yield { ...(first ? { reset: true } : {}), ...(last ? {} : { more: true }), set };
      first = false;
    }
  }

  /** After a new connection nobody can say what has changed. */
  restart(): void {
    for (const part of this.snapshot()) this.publish(part);
  }

  changed(table: IdlTable, changes: ReadonlyMap<string, RowChange>): void {
    if (!this.isWatched) return;
    const columns = this.#shown(table);
    const set: { [uuid: string]: Cells } = {};
    const gone: string[] = [];
    let some = false;
    for (const [uuid, { old, row }] of changes) {
      if (row === undefined) {
        gone.push(uuid);
        continue;
      }
      const cells = old === undefined ? cellsOf(row, columns) : changedCells(old, row, columns);
      if (cells === undefined) continue;
      set[uuid] = cells;
      some = true;
    }
    if (some || gone.length > 0)
      this.publish({ ...(some ? { set } : {}), ...(gone.length > 0 ? { gone } : {}) });
  }
}

export class Database {
  readonly name: string;
  readonly idl: Idl;
  readonly history: RateHistory;
  /** Updates that the server has sent, the first state among them. */
  updates = 0;
  readonly #options: DatabaseOptions;
  readonly #feeds = new Map<string, { readonly table: string; readonly feed: TableFeed }>();
  #tables: ReadonlySet<IdlTable> = new Set();

  constructor(options: DatabaseOptions) {
    this.#options = options;
    this.name = options.name;
    this.history = new RateHistory(options.clock);
    this.idl = new Idl({
      clock: options.clock,
      streams: options.streams,
      remote: options.remote,
      schema: { name: options.name, version: "0.0.0", tables: {} },
      uuid: options.uuid,
      watch: "all",
      leaderOnly: false,
      changed: () => this.#changed(),
    }).open();
  }

  close(): void {
    this.history.close();
    this.idl.close();
  }

  get isLive(): boolean {
    return this.idl.state === "live";
  }

  *tables(): IterableIterator<IdlTable> {
    for (const name of Object.keys(this.idl.serverTables ?? {}).sort()) {
      const table = this.idl.table(name);
      if (table !== undefined) yield table;
    }
  }

  schema(): TableInfo[] {
    return [...this.tables()].map(({ name, isRoot, schema }) => ({
      name,
      isRoot,
      columns: schema.columns.map(columnInfo).sort((a, b) => (a.name < b.name ? -1 : 1)),
    }));
  }

  feed(table: string, columns: readonly string[] | undefined): Feed {
    const key = JSON.stringify([table, columns ?? null]);
    let known = this.#feeds.get(key);
    if (known === undefined) {
      // Watched by nobody any more: made again when wanted.
      for (const [old, { feed }] of this.#feeds) if (!feed.isWatched) this.#feeds.delete(old);
      known = { table, feed: new TableFeed(this, table, columns) };
      this.#feeds.set(key, known);
    }
    return known.feed;
  }

  #changed(): void {
    if (this.idl.seqno > this.updates) this.updates = this.idl.seqno;
    const tables = new Set(this.tables());
    for (const table of tables) this.#tableChanged(table, this.#tables.has(table));
    this.#tables = tables;
    this.#options.changed();
  }

  #tableChanged(table: IdlTable, known: boolean): void {
    const changes = new Map(table.changes);
    table.changes.clear();
    if (known && changes.size === 0) return;
    for (const { table: name, feed } of this.#feeds.values()) {
      if (name !== table.name) continue;
      if (known) feed.changed(table, changes);
      else feed.restart();
    }
    if (this.name === "Open_vSwitch" && table.name === "Interface") this.history.changed(table, changes);
  }
}

function columnInfo({ name, type, mutable }: Column): ColumnInfo {
  const ref = type.key.refTable ?? type.value?.refTable;
  return { name, type: describeType(type), mutable, ...(ref === undefined ? {} : { ref }) };
}
