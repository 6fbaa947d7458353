/**
 * A database's contents as one record, made piece by piece while transactions go on: what it holds is the state at its
 * start. Rows that change before their turn are noted with what they were.
 */
import type { Datum } from "./datum.ts";
import { datumJsonText, equalDatums } from "./datum.ts";
import { quote } from "./json-text.ts";
import type { Changes } from "./monitor.ts";
import type { Database, Row, Table } from "./table.ts";

export class Snapshot {
  /** Rows with a later version are new, or have changed since and are in `#before`. */
  readonly #version: number;
  readonly #tables: Iterator<Table>;
  #table: Table | undefined;
  /** Those of `#table` when its turn began, and how many have been visited. */
  #rows: readonly Row[] = [];
  #visited = 0;
  /** Of `#table`. */
  #written = new Set<Row>();
  /** Tables whose turn is over. */
  readonly #done = new Set<Table>();
  readonly #before = new Map<Table, Map<Row, readonly Datum[]>>();
  #text: string;
  #comma = "";
  #ended = false;
  readonly #comment: string;
  /** Rows in it so far. */
  rows = 0;

  /** `date` is in ms since 1970. */
  constructor(database: Database, date: number, comment: string) {
    this.#version = database.version;
    this.#comment = comment;
    this.#tables = database.tables.values();
    this.#text = `{"_date":${Math.floor(date)}`;
  }

  /** Call with each transaction that is about to be finished. */
  note(changes: Changes): void {
    for (const [table, rows] of changes) {
      if (this.#done.has(table)) continue;
      for (const { row, old, oldVersion } of rows.values()) {
        if (old === undefined || oldVersion > this.#version) continue;
        if (table === this.#table && this.#written.has(row)) continue;
        let before = this.#before.get(table);
        if (before === undefined) this.#before.set(table, (before = new Map()));
        if (!before.has(row)) before.set(row, old);
      }
    }
  }

  /** The next characters, `size` or somewhat more; fewer at the end, and undefined after it. */
  next(size: number): string | undefined {
    if (this.#ended) return undefined;
    while (this.#text.length < size) {
      if (this.#table === undefined) {
        this.#table = this.#tables.next().value as Table | undefined;
        if (this.#table === undefined) {
          this.#text += `,"_comment":${quote(this.#comment)}}`;
          this.#ended = true;
          break;
        }
        this.#rows = this.#table.rows.list();
        this.#visited = 0;
        continue;
      }
      if (this.#visited === this.#rows.length) this.#endTable(this.#table);
      else this.#visit(this.#table, this.#rows[this.#visited++]!);
    }
    const text = this.#text;
    this.#text = "";
    return text;
  }

  #visit(table: Table, row: Row): void {
    const before = this.#before.get(table);
    const old = before?.get(row);
    before?.delete(row);
    // A row that was deleted meanwhile has still its version.
    if (old !== undefined) this.#write(table, row, old);
    else if (row.version <= this.#version) this.#write(table, row, row.data);
  }

  #endTable(table: Table): void {
    // What is left was deleted before the table's turn.
    for (const [row, old] of this.#before.get(table) ?? []) this.#write(table, row, old);
    this.#before.delete(table);
    if (this.#comma !== "") this.#text += "}";
    this.#comma = "";
    this.#done.add(table);
    this.#written = new Set();
    this.#table = undefined;
    this.#rows = [];
  }

  #write(table: Table, row: Row, data: readonly Datum[]): void {
    this.#written.add(row);
    let text = "";
    for (const column of table.schema.columns) {
      if (column.ephemeral) continue;
      const datum = data[column.index]!;
      if (equalDatums(datum, table.defaults[column.index]!)) continue;
      text += `${text === "" ? "" : ","}"${column.name}":${datumJsonText(column.type, datum)}`;
    }
    const head = this.#comma === "" ? `,"${table.name}":{` : this.#comma;
    this.#text += `${head}"${row.uuid}":{${text}}`;
    this.#comma = ",";
    this.rows++;
  }
}
