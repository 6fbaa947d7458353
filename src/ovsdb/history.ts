/**
 * The last transactions of a served database, so that a client which connects again with "monitor_cond_since" gets only
 * what it has missed (ovsdb-server(7) section 4.1.15), and the same for one that reads too slowly. Kept: what rows were
 * before; what they are now the tables know.
 */
import type { Datum } from "./datum.ts";
import type { Changes } from "./monitor.ts";
import type { Database, Row, Table } from "./table.ts";
import { Change, RowChanges } from "./transaction.ts";

const MAX_TRANSACTIONS = 100;
/** Of all transactions kept together: a history larger than that costs more than it saves. */
const MAX_ROWS = 10_000;

/** What is kept of a Change. */
interface Before {
  readonly row: Row;
  readonly old: readonly Datum[] | undefined;
  readonly oldVersion: number;
  readonly deleted: boolean;
}

const NOTHING: Changes = new Map();

export class History {
  readonly #prefix: string;
  /** The oldest first, from `#first` on; `#ids` holds what was the last transaction before each. */
  #past: Changes[] = [];
  #ids: (number | string)[] = [];
  #first = 0;
  #count = 0;
  #rows = 0;
  /** The last transaction: its number, or the UUID that another server has given it. */
  #last: number | string = 0;

  /** `uuid` is random: transactions of another run are not taken for ours. */
  constructor(uuid: string) {
    this.#prefix = uuid.slice(0, 24);
  }

  #text(id: number | string): string {
    return typeof id === "string" ? id : this.#prefix + id.toString(16).padStart(12, "0");
  }

  /** UUID of the last transaction. */
  get last(): string {
    return this.#text(this.#last);
  }

  set last(id: string) {
    this.#last = id;
  }

  /** Notes a finished transaction, whose `changes` stay as they are; `id` is its UUID if another server has given it one. */
  add(changes: Changes, id?: string): void {
    this.#count++;
    this.#ids.push(this.#last);
    this.#last = id ?? this.#count;
    this.#past.push(changes);
    this.#rows += size(changes);
    while (this.#past.length - this.#first > MAX_TRANSACTIONS || this.#rows > MAX_ROWS) {
      this.#rows -= size(this.#past[this.#first]!);
      this.#past[this.#first++] = NOTHING;
    }
    if (this.#first < MAX_TRANSACTIONS) return;
    this.#past = this.#past.slice(this.#first);
    this.#ids = this.#ids.slice(this.#first);
    this.#first = 0;
  }

  /** What has changed after transaction `id`, taken together; undefined: that is not known (any more). */
  since(database: Database, id: string): Changes | undefined {
    const isAfter = (other: number | string, at: number): boolean =>
      at >= this.#first && this.#text(other) === id;
    const from = id === this.last ? this.#past.length : this.#ids.findIndex(isAfter);
    if (from < 0) return undefined;
    const missed = new Missed();
    for (const past of this.#past.slice(from)) {
      for (const [table, befores] of past) for (const before of befores.values()) missed.add(table, before);
    }
    return missed.changes(database);
  }
}

/** Several transactions taken together: each row as it was before the first that touched it. */
export class Missed {
  readonly #tables = new Map<Table, Map<string, Before>>();
  #rows = 0;

  get rows(): number {
    return this.#rows;
  }

  /** In the order of the transactions. */
  add(table: Table, before: Before): void {
    let rows = this.#tables.get(table);
    if (rows === undefined) this.#tables.set(table, (rows = new Map()));
    const { uuid } = before.row;
    const first = rows.get(uuid);
    if (first === undefined) {
      rows.set(uuid, before);
      this.#rows++;
    } else if (first.old === undefined && before.deleted) {
      // It came and went.
      rows.delete(uuid);
      this.#rows--;
    }
  }

  /** As one transaction that ends in what the tables hold now. */
  changes(database: Database): Changes {
    const merged = new Map<Table, RowChanges>();
    for (const [table, befores] of this.#tables) {
      const rows = new RowChanges();
      for (const [uuid, { row, old, oldVersion }] of befores) {
        const now = database.tables.get(table.name)!.rows.get(uuid);
        const change = new Change(now ?? row, old, oldVersion);
        change.deleted = now === undefined;
        if (!change.isNoop()) rows.add(change);
      }
      merged.set(table, rows);
    }
    return merged;
  }
}

function size(changes: Changes): number {
  let rows = 0;
  for (const table of changes.values()) rows += table.size;
  return rows;
}
