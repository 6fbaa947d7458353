/** `show`: the tree of rows from the root down, by a table that says which columns matter (ovs-vsctl(8), "show"). */
import { Fatal } from "../../lib/errors.ts";
import { formatAtom } from "../atom.ts";
import { type Datum, isDefault } from "../datum.ts";
import { formatDatum } from "../datum-text.ts";
import type { Column } from "../schema.ts";
import type { CtlCommand } from "./command.ts";
import type { CtlContext } from "./context.ts";
import type { CtlSchema } from "./names.ts";

export interface ShowTable {
  /** Printed behind the table's name; none: the UUID alone is printed. */
  readonly name: string | undefined;
  /**
   * In order. Those at their default are left out; those that refer to a table of this list are trees of their own, and
   * maps to such a table lists of `key=name`, also when empty.
   */
  readonly columns: readonly string[];
}

/** By table; the first is the root. */
export type ShowTables = Readonly<Record<string, ShowTable>>;

type Filters = ReadonlyMap<string, readonly string[]>;

const STEP = "    ";

export function showCommand(tables: ShowTables): CtlCommand {
  const root = Object.keys(tables)[0]!;
  return {
    name: "show",
    min: 0,
    max: 0,
    syntax: "",
    options: ["--filter="],
    writes: false,
    prepare(call, needs) {
      parseFilters(call.options.get("--filter"), needs.schema, root);
      for (const [table, { name, columns }] of Object.entries(tables)) {
        needs.columns(table, ...(name === undefined ? [] : [name]), ...columns);
      }
    },
    run(call, context) {
      const filters = parseFilters(call.options.get("--filter"), context.schema, root);
      for (const uuid of context.txn.uuids(root)) {
        call.output += showRow(context, tables, filters, root, uuid, "", new Set());
      }
    },
  };
}

/** `TABLE(WORD|WORD),...`; words without a table are for the root. */
function parseFilters(text: string | undefined, schema: CtlSchema, root: string): Filters {
  const filters = new Map<string, readonly string[]>();
  for (const rule of (text ?? "").split(",")) {
    if (rule === "") continue;
    const open = rule.indexOf("(");
    if (open >= 0 && !rule.endsWith(")")) throw new Fatal("Malformed filter: missing closing ')'");
    const table = open < 0 ? root : schema.findTable(rule.slice(0, open));
    const words = (open < 0 ? rule : rule.slice(open + 1, -1)).split("|").filter((word) => word !== "");
    filters.set(table, [...(filters.get(table) ?? []), ...words]);
  }
  return filters;
}

function showRow(
  context: CtlContext,
  tables: ShowTables,
  filters: Filters,
  table: string,
  uuid: string,
  indent: string,
  above: ReadonlySet<string>,
): string {
  const { name, columns } = tables[table]!;
  const { schema } = context;
  let text = indent;
  if (name === undefined) text += `${uuid}\n`;
  else {
    const column = schema.column(table, name);
    text += `${table} ${formatAtom(column.type.key.type, context.atom(table, uuid, name)!)}\n`;
  }
  const inner = indent + STEP;
  const path = new Set(above).add(table);
  for (const columnName of columns) {
    const column = schema.column(table, columnName);
    const { type } = column;
    const datum = context.txn.read(table, uuid, columnName);
    const target = type.value?.refTable ?? type.key.refTable;
    if (target !== undefined && tables[target] !== undefined && !path.has(target)) {
      if (type.value !== undefined) {
        text += `${inner}${columnName}:\n${showMap(context, tables, column, datum, inner + STEP)}`;
        continue;
      }
      for (const ref of datum.keys as readonly string[]) {
        if (context.txn.has(target, ref)) {
          text += showRow(context, tables, filters, target, ref, inner, path);
        }
      }
    } else if (!isDefault(type, datum)) text += `${inner}${columnName}: ${formatDatum(type, datum)}\n`;
  }
  const wanted = filters.get(table);
  return wanted === undefined || wanted.some((word) => text.includes(word)) ? text : "";
}

/** A map to rows, each told by its name. */
function showMap(
  context: CtlContext,
  tables: ShowTables,
  { type }: Column,
  { keys, values }: Datum,
  indent: string,
): string {
  const target = type.value!.refTable!;
  const { name } = tables[target]!;
  let text = "";
  keys.forEach((key, i) => {
    const ref = values![i] as string;
    if (!context.txn.has(target, ref)) return;
    const shown = name === undefined ? ref : formatAtom("string", context.text(target, ref, name));
    text += `${indent}${formatAtom(type.key.type, key)}=${shown}\n`;
  });
  return text;
}
