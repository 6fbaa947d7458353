/**
 * The last transactions of a served database, so that a client which connects again with "monitor_cond_since" gets only
 * what it has missed (ovsdb-server(7) section 4.1.15). Kept: what rows were before; what they are now the tables know.
 */
import type { Datum } from "./datum.ts";
import type { Changes } from "./monitor.ts";
import type { Database, Row, Table } from "./table.ts";
import { Change } from "./transaction.ts";

const MAX_TRANSACTIONS = 100;
/** Of all transactions kept together: a history larger than that costs more than it saves. */
const MAX_ROWS = 10_000;

interface Before {
  readonly row: Row;
  readonly old: readonly Datum[] | undefined;
}

type Past = readonly (readonly [Table, readonly Before[]])[];

export class History {
  readonly #prefix: string;
  /** The oldest first; `#ids` holds the UUID that was the last before each. */
  #past: Past[] = [];
  #ids: string[] = [];
  #count = 0;
  #rows = 0;
  /** UUID of the last transaction. */
  last: string;

  /** `uuid` is random: transactions of another run are not taken for ours. */
  constructor(uuid: string) {
    this.#prefix = uuid.slice(0, 24);
    this.last = this.#id();
  }

  #id(): string {
    return this.#prefix + this.#count.toString(16).padStart(12, "0");
  }

  /** Notes a finished transaction; `id` is its UUID if another server has given it one. */
  add(changes: Changes, id?: string): void {
    this.#count++;
    this.#ids.push(this.last);
    this.last = id ?? this.#id();
    const past = [...changes].map(
      ([table, rows]) => [table, [...rows.values()].map(({ row, old }) => ({ row, old }))] as const,
    );
    this.#past.push(past);
    this.#rows += size(past);
    while (this.#past.length > MAX_TRANSACTIONS || this.#rows > MAX_ROWS) {
      this.#rows -= size(this.#past.shift()!);
      this.#ids.shift();
    }
  }

  /** What has changed after transaction `id`, taken together; undefined: that is not known (any more). */
  since(database: Database, id: string): Changes | undefined {
    const from = id === this.last ? this.#past.length : this.#ids.indexOf(id);
    if (from < 0) return undefined;
    const merged = new Map<Table, Map<string, Change>>();
    for (const past of this.#past.slice(from)) {
      for (const [table, befores] of past) {
        let rows = merged.get(table);
        if (rows === undefined) merged.set(table, (rows = new Map()));
        for (const { row, old } of befores) {
          if (rows.has(row.uuid)) continue;
          const now = database.tables.get(table.name)!.rows.get(row.uuid);
          const change = new Change(now ?? row, old);
          change.deleted = now === undefined;
          rows.set(row.uuid, change);
        }
      }
    }
    for (const rows of merged.values())
      for (const [uuid, change] of rows) if (change.isNoop()) rows.delete(uuid);
    return merged;
  }
}

function size(past: Past): number {
  return past.reduce((sum, [, rows]) => sum + rows.length, 0);
}
