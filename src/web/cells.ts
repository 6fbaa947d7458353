/** A database's values as the page gets them (protocol.ts, `Cell`). */
import type { Atom } from "../ovsdb/atom.ts";
import type { Datum } from "../ovsdb/datum.ts";
import type { IdlRow } from "../ovsdb/idl-table.ts";
import type { Column } from "../ovsdb/schema.ts";
import type { ColumnType } from "../ovsdb/type.ts";
import type { Cell, CellAtom, Cells } from "./protocol.ts";

function atom(value: Atom): CellAtom {
  return typeof value === "bigint" ? String(value) : value;
}

export function cellOf(type: ColumnType, { keys, values }: Datum): Cell {
  if (type.value !== undefined) {
    // Without a prototype: "__proto__" is a key like any other.
    const map: { [key: string]: CellAtom } = Object.create(null);
    for (let i = 0; i < keys.length; i++) map[String(keys[i])] = atom(values![i]!);
    return map;
  }
  if (type.max === 1) return keys.length === 0 ? null : atom(keys[0]!);
  return keys.map(atom);
}

export function cellsOf(row: IdlRow, columns: readonly Column[]): Cells {
  const cells: { [column: string]: Cell } = {};
  for (const column of columns) cells[column.name] = cellOf(column.type, row.datum(column));
  return cells;
}

/** Those of `columns` that differ; undefined: none. Unchanged datums are the same objects in both rows. */
export function changedCells(old: IdlRow, row: IdlRow, columns: readonly Column[]): Cells | undefined {
  let cells: { [column: string]: Cell } | undefined;
  for (const column of columns) {
    if (old.datum(column) === row.datum(column)) continue;
    cells ??= {};
    cells[column.name] = cellOf(column.type, row.datum(column));
  }
  return cells;
}
