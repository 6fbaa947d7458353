/** The screen of `ovsbox top`, line by line, and its report for where there is no terminal. Pure. */
import { cut, fit, printable, textWidth } from "../../lib/terminal/width.ts";
import type { DatapathRow, TopRows } from "./model.ts";
import { short } from "./rates.ts";
import { type AnyTable, arrange, type Column, fitting, SECTIONS, type Section, TABLES } from "./tables.ts";
import { HELP, type View } from "./view.ts";

export interface Surroundings {
  /** Of the terminal. */
  readonly columns: number;
  readonly rows: number;
  /** NO_COLOR leaves bold and reverse. */
  readonly colour: boolean;
  /** "14:03:22" */
  readonly time: string;
  /** Whom it asks. */
  readonly daemon: string;
  /** Why there is nothing new, or what has happened to the daemon. */
  readonly trouble: string | undefined;
}

export interface Drawn {
  readonly lines: readonly string[];
  /** Rows of the focused table that are shown, and rows that it has. */
  readonly page: number;
  readonly count: number;
}

const BOLD = "\x1b[1m";
const REVERSE = "\x1b[7m";
const RED = "\x1b[31m";
const CYAN = "\x1b[36m";
const PLAIN = "\x1b[0m";

/** Of a table: its header and a row. */
const LEAST = 2;

export function draw(all: TopRows, view: View, around: Surroundings): Drawn {
  const { columns, rows } = around;
  const top = [titleLine(view, around), ...summary(all).map((line) => cut(line, columns))].slice(
    0,
    Math.max(1, rows - 1),
  );
  const bottom = lastLine(view, around);
  const room = rows - top.length - 1;
  if (room <= 0) return { lines: rows > 1 ? [...top, bottom] : top, page: 1, count: 0 };
  if (view.help) return { lines: [...filled(help(columns), top, room), bottom], page: 1, count: 0 };

  const tables = SECTIONS.map((section) => {
    const table = TABLES[section];
    return { section, table, rows: arrange(table, all, view.order[section], view.filter) };
  });
  const shares = share(
    tables.map(({ section, rows: own }) => ({ section, wants: own.length + 1 })),
    view,
    room,
  );
  const body: string[] = [];
  let page = 1;
  let count = 0;
  for (const { section, table, rows: own } of tables) {
    const lines = shares[section];
    if (lines === 0) continue;
    const shown = Math.max(0, lines - 1);
    const from = Math.min(view.scroll[section], Math.max(0, own.length - shown));
    if (section === view.focus) {
      page = Math.max(1, shown);
      count = own.length;
    }
    const picked = fitting(table, columns);
    body.push(header(table, picked, section, view, around, from, own.length, shown));
    for (const row of own.slice(from, from + shown))
      body.push(tableLine(picked, row, columns, around.colour));
  }
  return { lines: [...filled(body, top, room), bottom], page, count };
}

const filled = (body: readonly string[], top: readonly string[], room: number): string[] => [
  ...top,
  ...body.slice(0, room),
  ...Array<string>(Math.max(0, room - body.length)).fill(""),
];

/**
 * Lines for each table: what it wants where all find room, else the same for all that want more; the focused one first where
 * not even a row of each does.
 */
export function share(
  tables: readonly { readonly section: Section; readonly wants: number }[],
  view: Pick<View, "focus" | "zoomed">,
  room: number,
): Record<Section, number> {
  const shares = { bridges: 0, ports: 0, flows: 0, drops: 0 };
  if (view.zoomed || room < LEAST) {
    shares[view.focus] = room;
    return shares;
  }
  const order = [...tables].sort(
    (a, b) => Number(b.section === view.focus) - Number(a.section === view.focus),
  );
  let left = room;
  const given: { section: Section; wants: number }[] = [];
  for (const table of order) {
    // An empty table is a header.
    const least = Math.min(LEAST, Math.max(1, table.wants));
    if (left < least) continue;
    shares[table.section] = least;
    left -= least;
    given.push(table);
  }
  while (left > 0) {
    const hungry = given.filter(({ section, wants }) => shares[section] < wants);
    if (hungry.length === 0) break;
    for (const { section } of hungry) {
      if (left === 0) break;
      shares[section]++;
      left--;
    }
  }
  return shares;
}

function titleLine(view: View, around: Surroundings): string {
  const every =
    view.intervalMs < 1000 ? `${view.intervalMs / 1000} s` : `${Math.round(view.intervalMs / 1000)} s`;
  const parts = [`ovsbox top  ${around.time}  every ${every}`];
  if (view.paused) parts.push("PAUSED");
  if (view.filter !== "") parts.push(`filter "${printable(view.filter)}"`);
  parts.push(around.daemon);
  return BOLD + cut(parts.join("  "), around.columns);
}

function datapathText({ name, flows, limit, hitPps, missPps, lostPps, dumpSeconds }: DatapathRow): string {
  const looked = hitPps === undefined || missPps === undefined ? 0 : hitPps + missPps;
  const ratio = looked === 0 ? "-" : `${((hitPps! / looked) * 100).toFixed(1)}%`;
  const dump = dumpSeconds === undefined ? "" : `  dump ${Math.round(dumpSeconds * 1000)} ms`;
  return (
    `${name}: ${flows}${limit === undefined ? "" : `/${limit}`} flows  hit ${ratio} ${short(hitPps)}/s` +
    `  upcalls ${short(missPps)}/s  lost ${short(lostPps)}/s${dump}`
  );
}

/** A line a datapath, and the drops of all. */
export function summary(all: TopRows): string[] {
  const lines = all.datapaths.map(datapathText);
  const drops = `drops ${short(all.dropPps)}/s`;
  if (lines.length === 0) return [`no datapath  ${drops}`];
  lines[0] += `  ${drops}`;
  return lines;
}

function header(
  table: AnyTable,
  picked: readonly Column<unknown>[],
  section: Section,
  view: View,
  around: Surroundings,
  from: number,
  count: number,
  shown: number,
): string {
  const order = view.order[section];
  const titles = picked.map((column, index) => {
    const sorted = column === table.columns[order.column];
    // The mark takes the gap before a right-aligned title, so that titles stay above their numbers.
    const mark = sorted ? (order.reversed ? "↑" : "↓") : "";
    return cell(column, mark + column.title, restWidth(picked, around.columns), index > 0);
  });
  const focused = section === view.focus;
  const where = count > shown ? ` ${from + 1}-${Math.min(count, from + shown)} of ${count}` : "";
  const line = titles.join("");
  const width = around.columns - where.length;
  const style = REVERSE + (focused ? BOLD : "") + (focused && around.colour ? CYAN : "");
  return style + fit(line, Math.max(0, width)) + cut(where, around.columns);
}

/** One cell with the gap before it, which is none for the first. */
function cell(column: Column<unknown>, content: string, rest: number, gap: boolean): string {
  const width = column.width === 0 ? rest : column.width;
  const wide = gap && column.right === true && textWidth(content) === width + 1;
  if (wide) return content;
  return (gap ? " " : "") + fit(content, width, column.right);
}

/** Width of the column that takes what is left. */
function restWidth(picked: readonly Column<unknown>[], columns: number): number {
  const used = picked.reduce((total, { width }) => total + width + 1, -1);
  return Math.max(0, columns - used);
}

function tableLine(
  picked: readonly Column<unknown>[],
  row: unknown,
  columns: number,
  colour: boolean,
): string {
  const rest = restWidth(picked, columns);
  const texts = picked.map((column, index) => {
    const shown = cell(column, column.text(row), rest, index > 0);
    const alarming = colour && /^(drop|err)\/s$/.test(column.title) && Number(column.sort(row) ?? 0) > 0;
    return { shown, alarming };
  });
  let line = "";
  let used = 0;
  for (const { shown, alarming } of texts) {
    const piece = cut(shown, columns - used);
    used += textWidth(piece);
    line += alarming ? RED + piece + PLAIN : piece;
  }
  return line.trimEnd();
}

function lastLine(view: View, { columns, trouble, colour }: Surroundings): string {
  if (view.typing !== undefined) return `${BOLD}${cut(`filter: ${printable(view.typing)}_`, columns)}`;
  if (trouble !== undefined) return `${BOLD}${colour ? RED : ""}${cut(printable(trouble), columns)}`;
  return cut(
    "q quit  Tab table  z zoom  s sort  r reverse  / filter  p pause  + - interval  h help",
    columns,
  );
}

function help(columns: number): string[] {
  const width = Math.max(...HELP.map(([keys]) => keys.length));
  return ["", ...HELP.map(([keys, what]) => cut(`  ${keys.padEnd(width)}  ${what}`, columns))];
}

/** Without a terminal: every column in full. `limit`: rows of flows and drops. */
export function report(all: TopRows, view: View, limit: number): string {
  let text = `${summary(all).join("\n")}\n`;
  for (const section of SECTIONS) {
    const table = TABLES[section];
    const rows = arrange(table, all, view.order[section], view.filter);
    const shown = section === "flows" || section === "drops" ? rows.slice(0, limit) : rows;
    text += `\n${table.title}\n`;
    const cells = [
      table.columns.map(({ title }) => title),
      ...shown.map((row) => table.columns.map((c) => c.text(row))),
    ];
    const widths = table.columns.map((_column, at) => Math.max(...cells.map((line) => textWidth(line[at]!))));
    for (const line of cells) {
      const padded = line.map((content, at) => fit(content, widths[at]!, table.columns[at]!.right));
      text += `${padded.join("  ").trimEnd()}\n`;
    }
    if (rows.length > shown.length) text += `(${rows.length - shown.length} more)\n`;
  }
  return text;
}
