/** The tables and columns that a command line touches: all that is replicated, so that a big database costs nothing. */
import type { TableWatch } from "../idl-api.ts";
import type { CtlSchema } from "./names.ts";
import type { RecordIds } from "./records.ts";

export class Needs {
  readonly schema: CtlSchema;
  readonly ids: RecordIds;
  readonly #columns = new Map<string, Set<string>>();
  readonly #written = new Map<string, Set<string>>();

  constructor(schema: CtlSchema, ids: RecordIds) {
    this.schema = schema;
    this.ids = ids;
  }

  /** The rows of `table`, without any column. */
  table(table: string): void {
    if (!this.#columns.has(table)) this.#columns.set(table, new Set());
  }

  columns(table: string, ...columns: readonly string[]): void {
    this.table(table);
    const set = this.#columns.get(table)!;
    for (const column of columns) if (column !== "_uuid") set.add(column);
  }

  /** Columns that only new rows are given. */
  written(table: string, ...columns: readonly string[]): void {
    this.table(table);
    const set = this.#written.get(table) ?? new Set();
    this.#written.set(table, set);
    for (const column of columns) set.add(column);
  }

  /** What it takes to find a record of `table` by name. */
  record(table: string): void {
    this.table(table);
    for (const id of this.ids[table] ?? []) {
      if (id.kind === "name") this.columns(table, id.column);
      else if (id.kind === "via") this.columns(id.table, id.name, id.column);
    }
  }

  get watch(): Record<string, TableWatch> {
    const watch: Record<string, TableWatch> = {};
    for (const [table, set] of this.#columns) {
      const columns = [...set].sort();
      const writeOnly = [...(this.#written.get(table) ?? [])].filter((column) => !set.has(column));
      watch[table] = { columns, writeOnly, exact: true };
    }
    return watch;
  }
}
