/**
 * Names of tables and columns as they are typed: any case, "-" for "_", and cut short where that stays unique
 * (ovs-vsctl(8), "Identifying Tables, Records, and Columns"). Works on a schema's JSON, so that nothing is parsed
 * that is not used.
 */
import { Fatal } from "../../lib/errors.ts";
import { ownColumn } from "../idl-schema.ts";
import type { Json, JsonObject } from "../json-text.ts";
import type { Column } from "../schema.ts";
import { columnFromJson, UUID_COLUMN } from "../schema.ts";

/** The name typed is not known to our schema; a newer server may know it. */
export class UnknownName extends Fatal {}

function folded(name: string): string {
  return name.toLowerCase().replaceAll("-", "_");
}

/** The names that `typed` may mean: one if it is the whole of a name. */
function candidates(names: readonly string[], typed: string): string[] {
  const wanted = folded(typed);
  if (wanted === "") return [];
  const starts = names.filter((name) => folded(name).startsWith(wanted));
  const whole = starts.filter((name) => folded(name) === wanted);
  return whole.length > 0 ? whole : starts;
}

export class CtlSchema {
  /** `tables` of a database schema. */
  readonly #json: JsonObject;
  readonly #make: typeof columnFromJson;
  readonly #columns = new Map<string, Column>();

  /** `server`: part of it is not from this program. */
  constructor(tables: JsonObject, server = false) {
    this.#json = tables;
    this.#make = server ? columnFromJson : (ownColumn as unknown as typeof columnFromJson);
  }

  /** The same with all that `server` has beyond it. */
  extended(server: JsonObject): CtlSchema {
    const tables: Record<string, Json> = { ...this.#json };
    for (const name of Object.keys(server)) {
      const ours = tables[name] as JsonObject | undefined;
      const theirs = server[name] as JsonObject;
      const columns = { ...((ours?.columns ?? {}) as JsonObject), ...(theirs.columns as JsonObject) };
      tables[name] = { ...theirs, columns };
    }
    return new CtlSchema(tables, true);
  }

  get tableNames(): readonly string[] {
    return Object.keys(this.#json).sort();
  }

  columnNames(table: string): readonly string[] {
    return Object.keys((this.#json[table] as JsonObject).columns as JsonObject).sort();
  }

  /** A column that is known to be there. */
  column(table: string, name: string): Column {
    const path = `${table}.${name}`;
    let column = this.#columns.get(path);
    if (column === undefined) {
      const columns = (this.#json[table] as JsonObject).columns as JsonObject;
      column = this.#make(name, columns[name]!, 0);
      this.#columns.set(path, column);
    }
    return column;
  }

  isRoot(table: string): boolean {
    return (this.#json[table] as JsonObject).isRoot === true;
  }

  /** The name of the one column meant by `typed`, if there is one. */
  columnName(table: string, typed: string): string | undefined {
    const found = candidates(this.columnNames(table), typed);
    return found.length === 1 ? found[0] : undefined;
  }

  /** The table meant by `typed`. */
  findTable(typed: string): string {
    const found = candidates(this.tableNames, typed);
    if (found.length === 1) return found[0]!;
    if (found.length === 0) throw new UnknownName(`unknown table "${typed}"`);
    throw new Fatal(`"${typed}" matches multiple table names: ${found.join(", ")}`);
  }

  /** The column meant by `typed`. */
  findColumn(table: string, typed: string): Column {
    const found = candidates(this.columnNames(table), typed);
    if (found.length === 1) return this.column(table, found[0]!);
    if (found.length === 0) {
      throw new UnknownName(`${table} does not contain a column whose name matches "${typed}"`);
    }
    throw new Fatal(
      `${table} contains more than one column whose name matches "${typed}": ${found.join(", ")}`,
    );
  }

  /** As `findColumn`, and `_uuid` in full. */
  findColumnOrUuid(table: string, typed: string): Column {
    return folded(typed) === "_uuid" ? UUID_COLUMN : this.findColumn(table, typed);
  }
}
