/** The tables of `ovsbox top`: one description of each column, for the screen, the plain text and the sorting. */
import { printable } from "../../lib/terminal/width.ts";
import type { BridgeRow, DropRow, FlowRow, PortRates, PortRow, TopRows } from "./model.ts";
import { short } from "./rates.ts";

export interface Column<R> {
  readonly title: string;
  /** Columns on the terminal; 0: what is left. */
  readonly width: number;
  readonly right?: boolean;
  /** Those with the highest number go first where the terminal is narrow. */
  readonly leave: number;
  /** undefined sorts as the least. */
  readonly sort: (row: R) => string | number | undefined;
  readonly text: (row: R) => string;
}

export interface TableSpec<R> {
  readonly title: string;
  readonly columns: readonly Column<R>[];
  /** Index of the column that it is sorted by at first. */
  readonly sortedBy: number;
  readonly rows: (all: TopRows) => readonly R[];
  /** What a filter looks at. */
  readonly search: (row: R) => string;
}

const number = <R>(
  title: string,
  leave: number,
  get: (row: R) => number | undefined,
  width = Math.max(6, title.length),
): Column<R> => ({ title, width, right: true, leave, sort: get, text: (row) => short(get(row)) });

const text = <R>(title: string, width: number, leave: number, get: (row: R) => string): Column<R> => ({
  title,
  width,
  leave,
  sort: get,
  text: (row) => printable(get(row)),
});

const rates = <R extends PortRates>(): Column<R>[] => [
  number("RX bit/s", 0, (row) => row.rxBps),
  number("RX pps", 4, (row) => row.rxPps),
  number("TX bit/s", 0, (row) => row.txBps),
  number("TX pps", 4, (row) => row.txPps),
  number("drop/s", 2, (row) => row.dropPps),
  number("err/s", 3, (row) => row.errorPps),
];

const BRIDGES: TableSpec<BridgeRow> = {
  title: "BRIDGES",
  columns: [
    text("BRIDGE", 15, 0, (row) => row.name),
    ...rates<BridgeRow>(),
    number("ports", 5, (row) => row.ports),
    number("flows", 1, (row) => row.flows),
  ],
  sortedBy: 1,
  rows: (all) => all.bridges,
  search: (row) => row.name,
};

const PORTS: TableSpec<PortRow> = {
  title: "PORTS",
  columns: [
    text("PORT", 15, 0, (row) => row.name),
    ...rates<PortRow>(),
    text("bridge", 10, 1, (row) => row.bridge),
    {
      title: "ofport",
      width: 6,
      right: true,
      leave: 5,
      sort: (row) => row.ofport,
      text: (row) => (row.ofport === 65534 ? "LOCAL" : String(row.ofport ?? "-")),
    },
    text("type", 8, 6, (row) => row.type),
  ],
  sortedBy: 1,
  rows: (all) => all.ports,
  search: (row) => `${row.name} ${row.bridge} ${row.type}`,
};

const FLOWS: TableSpec<FlowRow> = {
  title: "FLOWS",
  columns: [
    text("IN_PORT", 11, 1, (row) => row.inPort),
    number("bit/s", 0, (row) => row.bps),
    number("pps", 2, (row) => row.pps),
    number("packets", 4, (row) => row.packets),
    {
      title: "used",
      width: 5,
      right: true,
      leave: 5,
      // What was used last comes first in the usual order.
      sort: (row) => (row.usedSec < 0 ? Number.NEGATIVE_INFINITY : -row.usedSec),
      text: (row) => (row.usedSec < 0 ? "never" : `${row.usedSec.toFixed(row.usedSec < 10 ? 1 : 0)}s`),
    },
    text("flow -> actions", 0, 0, (row) => `${row.match} -> ${row.actions === "" ? "drop" : row.actions}`),
  ],
  sortedBy: 1,
  rows: (all) => all.flows,
  search: (row) => `${row.bridge} in_port(${row.inPort}) ${row.match} ${row.actions}`,
};

const DROPS: TableSpec<DropRow> = {
  title: "DROPS",
  columns: [
    text("REASON", 34, 0, (row) => row.reason),
    number("drop/s", 0, (row) => row.pps),
    number("packets", 1, (row) => row.packets),
    text("where", 0, 2, (row) => row.where),
  ],
  sortedBy: 1,
  rows: (all) => all.drops,
  search: (row) => `${row.reason} ${row.where}`,
};

export const SECTIONS = ["bridges", "ports", "flows", "drops"] as const;
export type Section = (typeof SECTIONS)[number];

/** Rows of any of the four; only the functions beside them look inside. */
export type AnyTable = TableSpec<unknown>;

export const TABLES = {
  bridges: BRIDGES,
  ports: PORTS,
  flows: FLOWS,
  drops: DROPS,
} as unknown as Readonly<Record<Section, AnyTable>>;

/** Terms with spaces between must all be in the text, those after "!" must not. */
export function matches(text: string, filter: string): boolean {
  const where = text.toLowerCase();
  return filter
    .toLowerCase()
    .split(/\s+/)
    .every((term) => {
      const wanted = term.replace(/^!/, "");
      return wanted === "" || where.includes(wanted) !== term.startsWith("!");
    });
}

export interface Order {
  /** Index of a column. */
  readonly column: number;
  readonly reversed: boolean;
}

/** Numbers from the largest, texts from A; ties by the text that a filter looks at, so that rows stay where they are. */
export function arrange(table: AnyTable, all: TopRows, order: Order, filter: string): unknown[] {
  const { sort } = table.columns[order.column]!;
  const sign = order.reversed ? -1 : 1;
  const keyed = table
    .rows(all)
    .map((row) => ({ row, key: sort(row), text: table.search(row) }))
    .filter(({ text }) => matches(text, filter));
  keyed.sort((a, b) => {
    const by =
      typeof a.key === "string" || typeof b.key === "string"
        ? compare(String(a.key), String(b.key))
        : (b.key ?? -1) - (a.key ?? -1) || 0;
    return sign * by || compare(a.text, b.text);
  });
  return keyed.map(({ row }) => row);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

const GAP = 1;
/** Of the column that takes what is left. */
const REST = 20;

/** The columns that find room in `width`. */
export function fitting(table: AnyTable, width: number): Column<unknown>[] {
  let columns = [...table.columns];
  const needed = (): number =>
    columns.reduce((total, column) => total + (column.width === 0 ? REST : column.width) + GAP, -GAP);
  while (columns.length > 1 && needed() > width) {
    const worst = Math.max(...columns.map(({ leave }) => leave));
    if (worst === 0) break;
    const at = columns.findLastIndex(({ leave }) => leave === worst);
    columns = columns.toSpliced(at, 1);
  }
  return columns;
}
