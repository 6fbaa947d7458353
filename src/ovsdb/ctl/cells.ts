/** Datums as cells of tables. */
import type { Cell } from "../../lib/table.ts";
import { type Datum, datumJsonText } from "../datum.ts";
import { formatBareDatum, formatDatum } from "../datum-text.ts";
import type { ColumnType } from "../type.ts";

export function datumCell(type: ColumnType, datum: Datum): Cell {
  return {
    string: () => formatDatum(type, datum),
    bare: () => formatBareDatum(type, datum),
    json: () => datumJsonText(type, datum),
  };
}
