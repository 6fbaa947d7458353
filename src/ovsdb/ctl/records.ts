/** How a record is named on a command line: UUID (from its first 4 digits on), `.`, a name, or through a table that refers to it. */
import { Fatal } from "../../lib/errors.ts";
import { isUuid, uuidPrefix } from "../../lib/uuid.ts";
import type { CtlContext } from "./context.ts";

export type RecordId =
  /** "." is the table's only row. */
  | { readonly kind: "only" }
  /** The row whose `column` has this value. */
  | { readonly kind: "name"; readonly column: string }
  /** The row that `column` of the row of `table` with this `name` refers to. */
  | { readonly kind: "via"; readonly table: string; readonly name: string; readonly column: string };

/** By table, in the order in which they are tried. */
export type RecordIds = Readonly<Record<string, readonly RecordId[]>>;

/** The UUID of the record, undefined when there is none and `mustExist` is false. */
export function findRecord(
  context: CtlContext,
  table: string,
  typed: string,
  mustExist = true,
): string | undefined {
  const found = lookup(context, table, typed);
  if (found === undefined && mustExist) throw new Fatal(`no row "${typed}" in table ${table}`);
  return found;
}

function lookup(context: CtlContext, table: string, typed: string): string | undefined {
  const { txn } = context;
  if (isUuid(typed)) {
    const uuid = typed.toLowerCase();
    if (txn.has(table, uuid)) return uuid;
  }
  for (const id of context.ids[table] ?? []) {
    const found = lookupBy(context, table, id, typed);
    if (found !== undefined) return found;
  }
  if (typed === ".") return onlyRow(context, table);
  if (typed.length >= 4 && uuidPrefix(typed) === typed.length) {
    const wanted = typed.toLowerCase();
    let found: string | undefined;
    for (const uuid of txn.uuids(table)) {
      if (!uuid.startsWith(wanted)) continue;
      if (found !== undefined) {
        throw new Fatal(
          `${table} contains 2 or more rows whose UUIDs begin with ${typed}: at least ${found} and ${uuid}`,
        );
      }
      found = uuid;
    }
    return found;
  }
  return undefined;
}

/** The row of a table that has but one: the original takes "." for any such table. */
function onlyRow(context: CtlContext, table: string): string | undefined {
  const [first, second] = context.txn.uuids(table);
  return second === undefined ? first : undefined;
}

function lookupBy(context: CtlContext, table: string, id: RecordId, typed: string): string | undefined {
  const { txn } = context;
  if (id.kind === "only") return typed === "." ? onlyRow(context, table) : undefined;
  const named = id.kind === "name" ? table : id.table;
  const column = id.kind === "name" ? id.column : id.name;
  let found: string | undefined;
  for (const uuid of txn.uuids(named)) {
    const atom = txn.read(named, uuid, column).keys[0];
    if (atom === undefined || String(atom) !== typed) continue;
    if (found !== undefined) throw new Fatal(`multiple rows in ${named} match "${typed}"`);
    found = uuid;
  }
  if (found === undefined || id.kind === "name") return found;
  const ref = txn.read(named, found, id.column).keys;
  const target = ref.length === 1 ? (ref[0] as string) : undefined;
  return target !== undefined && txn.has(table, target) ? target : undefined;
}
