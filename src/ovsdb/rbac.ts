/**
 * Role-based access control (ovsdb-server(7) sections 3 and 4.1.3): a client whose remote has a role may write only what
 * the role's row in table RBAC_Role permits. Databases without that table permit everything. Upstream: ovsdb/rbac.
 */
import type { Datum } from "./datum.ts";
import { OvsdbError } from "./error.ts";
import type { AccessCheck } from "./execute.ts";
import type { Mutation } from "./mutation.ts";
import type { Column } from "./schema.ts";
import type { Row, Table } from "./table.ts";

export class RoleCheck implements AccessCheck {
  readonly #role: string;
  /** Common name of the client's certificate, undefined for clients that have none. */
  readonly #client: string | undefined;

  constructor(role: string, client: string | undefined) {
    this.#role = role;
    this.#client = client;
  }

  inserted(row: Row): void {
    const { table } = row;
    const what = `row insertion into table "${table.name}"`;
    this.#check(table, [row], what, (permission) => isTrue(permission, "insert_delete"));
  }

  remove(table: Table, rows: readonly Row[]): void {
    const what = `row deletion from table "${table.name}"`;
    this.#check(table, rows, what, (permission) => isTrue(permission, "insert_delete"));
  }

  update(table: Table, rows: readonly Row[], columns: readonly Column[]): void {
    const what = `modification of table "${table.name}"`;
    this.#check(table, rows, what, (permission) => {
      const update = strings(permission, "update");
      return columns.every(({ name }) => update.includes(name));
    });
  }

  mutate(table: Table, rows: readonly Row[], mutations: readonly Mutation[]): void {
    if (rows.length === 0 || mutations.length === 0) return;
    const what = `mutate operation on table "${table.name}"`;
    this.#check(table, rows, what, (permission) => {
      const update = strings(permission, "update");
      return mutations.every((mutation) => mayMutate(update, mutation));
    });
  }

  /** Throws unless the role has a permission for the table which, where there are rows, `permits` it and authorizes for each. */
  #check(table: Table, rows: readonly Row[], what: string, permits: (permission: Row) => boolean): void {
    if (!this.#applies(table)) return;
    const permission = this.#client === undefined ? undefined : this.#permission(table);
    if (permission !== undefined) {
      if (rows.length === 0) return;
      if (permits(permission) && rows.every((row) => this.#authorized(permission, row))) return;
    }
    const who = `client "${this.#client ?? "(null)"}" role "${this.#role}"`;
    throw new OvsdbError("permission error", `RBAC rules for ${who} prohibit ${what}.`);
  }

  #applies(table: Table): boolean {
    return table.database.tables.has("RBAC_Role");
  }

  /** The role's row of the permission table for `table`. */
  #permission(table: Table): Row | undefined {
    const roles = table.database.tables.get("RBAC_Role")!;
    for (const role of roles.rows.values()) {
      if (strings(role, "name")[0] !== this.#role) continue;
      const column = roles.schema.byName.get("permissions");
      const permissions = column === undefined ? undefined : role.data[column.index];
      const at = permissions?.keys.indexOf(table.name) ?? -1;
      const target = column?.type.value?.refTable;
      if (at < 0 || target === undefined) return undefined;
      return table.database.tables.get(target)?.rows.get(permissions!.values![at] as string);
    }
    return undefined;
  }

  /** Does a column that the permission names hold the client's name? An empty one authorizes everybody. */
  #authorized(permission: Row, row: Row): boolean {
    return strings(permission, "authorization").some((entry) => {
      if (entry === "") return true;
      if (this.#client === undefined) return false;
      const colon = entry.indexOf(":");
      const column = row.table.schema.byName.get(colon < 0 ? entry : entry.slice(0, colon));
      if (column === undefined || column.index < 0) return false;
      const datum = row.data[column.index]!;
      if (colon < 0) return datum.values === undefined && datum.keys.includes(this.#client);
      const at = datum.keys.indexOf(entry.slice(colon + 1));
      return at >= 0 && datum.values?.[at] === this.#client;
    });
  }
}

function isTrue(row: Row, name: string): boolean {
  return cell(row, name)?.keys[0] === true;
}

function strings(row: Row, name: string): readonly string[] {
  const datum = cell(row, name);
  return typeof datum?.keys[0] === "string" ? (datum.keys as readonly string[]) : [];
}

function cell(row: Row, name: string): Datum | undefined {
  const column = row.table.schema.byName.get(name);
  return column === undefined ? undefined : row.data[column.index];
}

/** "column", or "column:key" for each key that the mutation names: so it is documented, though the original refuses the latter. */
function mayMutate(update: readonly string[], { column, keys }: Mutation): boolean {
  if (update.includes(column.name)) return true;
  return keys.length > 0 && keys.every((key) => update.includes(`${column.name}:${key as string}`));
}
