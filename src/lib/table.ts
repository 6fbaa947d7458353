/**
 * Tables as text: `table`, `list`, `html`, `csv`, `json` (upstream: lib/table; ovs-vsctl(8), "Table Formatting Options").
 * Cells come as ready texts, one for each way to show data, so that nothing here knows what a datum is.
 */
import { Fatal } from "./errors.ts";
import type { OptionGroup } from "./getopt.ts";

export type TableFormat = "table" | "list" | "html" | "csv" | "json";
export type CellFormat = "string" | "bare" | "json";

export interface TableStyle {
  format: TableFormat;
  cell: CellFormat;
  headings: boolean;
  /** JSON with one member a line. */
  pretty: boolean;
  /** Of `table`; 0: no limit. */
  maxColumnWidth: number;
}

/** A text, or something that shows itself in each of the three ways; `json` as JSON text. */
export type Cell = string | { string(): string; bare(): string; json(): string };

export interface Table {
  readonly caption?: string;
  readonly headings: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
  /** Printed behind the caption in `html`, `table` and `list`. */
  readonly timestamp?: string;
}

export function tableStyle(): TableStyle {
  return { format: "table", cell: "string", headings: true, pretty: false, maxColumnWidth: 0 };
}

const FORMATS: readonly string[] = ["table", "list", "html", "csv", "json"];
const CELLS: readonly string[] = ["string", "bare", "json"];

export function tableOptions(style: TableStyle): OptionGroup {
  return {
    title: "Output formatting options",
    options: [
      {
        long: "format",
        short: "f",
        arg: "required",
        metavar: "FORMAT",
        help: 'set output formatting to FORMAT\n("table", "html", "csv", or "json")',
        set: (value) => {
          if (!FORMATS.includes(value!)) throw new Fatal(`unknown output format "${value}"`);
          style.format = value as TableFormat;
        },
      },
      {
        long: "data",
        short: "d",
        arg: "required",
        metavar: "FORMAT",
        help: 'set table cell output formatting to\nFORMAT ("string", "bare", or "json")',
        set: (value) => {
          if (!CELLS.includes(value!)) throw new Fatal(`unknown data format "${value}"`);
          style.cell = value as CellFormat;
        },
      },
      {
        long: "no-headings",
        help: "omit table heading row",
        set: () => {
          style.headings = false;
        },
      },
      {
        long: "pretty",
        help: "pretty-print JSON in output",
        set: () => {
          style.pretty = true;
        },
      },
      {
        long: "bare",
        help: 'equivalent to "--format=list --data=bare --no-headings"',
        set: () => {
          Object.assign(style, { format: "list", cell: "bare", headings: false });
        },
      },
      {
        long: "max-column-width",
        arg: "required",
        metavar: "N",
        help: "limit columns of tables to N columns",
        set: (value) => {
          const number = Number.parseInt(value!, 10);
          style.maxColumnWidth = Number.isNaN(number) || number < 0 ? 0 : number;
        },
      },
    ],
  };
}

function cellText(cell: Cell, style: TableStyle): string {
  if (typeof cell === "string") return cell;
  return cell[style.cell]();
}

/** Prints tables one after another, and what belongs between them. */
export class TablePrinter {
  readonly #style: TableStyle;
  #first = true;

  constructor(style: TableStyle) {
    this.#style = style;
  }

  format(table: Table): string {
    switch (this.#style.format) {
      case "table":
        return this.#gap() + formatTable(table, this.#style);
      case "list":
        return this.#gap() + formatList(table, this.#style);
      case "csv":
        return this.#gap() + formatCsv(table, this.#style);
      case "html":
        return formatHtml(table, this.#style);
      case "json":
        return formatJson(table, this.#style);
    }
  }

  #gap(): string {
    const gap = this.#first ? "" : "\n";
    this.#first = false;
    return gap;
  }
}

const encoder = new TextEncoder();

/** Widths count bytes, as the original's do. */
function byteLength(text: string): number {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return encoder.encode(text).length;
  return text.length;
}

/** At most `width` bytes, filled up with spaces if `pad`. */
function fit(text: string, width: number, pad: boolean): string {
  let length = byteLength(text);
  if (length > width) {
    text = new TextDecoder().decode(encoder.encode(text).subarray(0, width)).replace(/\ufffd+$/, "");
    length = byteLength(text);
  }
  return pad ? text + " ".repeat(width - length) : text;
}

function captionLine(table: Table): string {
  if (table.caption === undefined) return table.timestamp === undefined ? "" : `${table.timestamp}\n`;
  return `${table.caption}${table.timestamp === undefined ? "" : ` at ${table.timestamp}`}\n`;
}

function formatTable(table: Table, style: TableStyle): string {
  const rows = table.rows.map((row) => row.map((cell) => cellText(cell, style)));
  const widths = table.headings.map((heading, x) => {
    const limit = style.maxColumnWidth;
    let width = 0;
    for (const row of rows) width = Math.max(width, byteLength(row[x]!));
    if (limit > 0) width = Math.min(width, limit);
    return style.headings ? Math.max(width, byteLength(heading)) : width;
  });
  // Empty cells at the end of a line leave no spaces.
  const line = (cells: readonly string[]): string => {
    let last = cells.length - 1;
    while (last > 0 && cells[last] === "") last--;
    return `${cells
      .slice(0, last + 1)
      .map((cell, x) => fit(cell, widths[x]!, x < last))
      .join(" ")}\n`;
  };
  let text = captionLine(table);
  if (style.headings) text += line(table.headings) + line(widths.map((width) => "-".repeat(width)));
  for (const row of rows) text += line(row);
  return text;
}

function formatList(table: Table, style: TableStyle): string {
  let text = captionLine(table);
  table.rows.forEach((row, y) => {
    if (y > 0) text += "\n";
    row.forEach((cell, x) => {
      if (style.headings) text += `${table.headings[x]!.padEnd(20)}: `;
      text += `${cellText(cell, style)}\n`;
    });
  });
  return text;
}

const ESCAPES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (char) => ESCAPES[char]!);
}

function htmlCell(element: string, text: string, isUuid: boolean): string {
  const content = isUuid
    ? `<a name="${escapeHtml(text)}">${escapeHtml(text.slice(0, 8))}</a>`
    : escapeHtml(text).replace(UUID, (uuid) => `<a href="#${uuid}">${uuid.slice(0, 8)}</a>`);
  return `    <${element}>${content}</${element}>\n`;
}

function formatHtml(table: Table, style: TableStyle): string {
  let text = "<table border=1>\n";
  if (table.caption !== undefined || table.timestamp !== undefined) {
    text += `    <caption>${escapeHtml(captionLine(table).trimEnd())}</caption>\n`;
  }
  const row = (cells: string): string => `  <tr>\n${cells}  </tr>\n`;
  if (style.headings) text += row(table.headings.map((heading) => htmlCell("th", heading, false)).join(""));
  for (const cells of table.rows) {
    text += row(
      cells.map((cell, x) => htmlCell("td", cellText(cell, style), table.headings[x] === "_uuid")).join(""),
    );
  }
  return `${text}</table>\n`;
}

function csvCell(text: string): string {
  return /["\n\r,]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function formatCsv(table: Table, style: TableStyle): string {
  let text = captionLine(table);
  if (style.headings) text += `${table.headings.map(csvCell).join(",")}\n`;
  for (const row of table.rows) text += `${row.map((cell) => csvCell(cellText(cell, style))).join(",")}\n`;
  return text;
}

/** Members in alphabetical order, as the original writes objects. */
function formatJson(table: Table, style: TableStyle): string {
  const cell = (value: Cell): string => (typeof value === "string" ? JSON.stringify(value) : value.json());
  const members: string[] = [];
  if (table.caption !== undefined) members.push(`"caption":${JSON.stringify(table.caption)}`);
  members.push(`"data":[${table.rows.map((row) => `[${row.map(cell).join(",")}]`).join(",")}]`);
  members.push(`"headings":[${table.headings.map((heading) => JSON.stringify(heading)).join(",")}]`);
  if (table.timestamp !== undefined) members.push(`"time":${JSON.stringify(table.timestamp)}`);
  const text = `{${members.join(",")}}`;
  return `${style.pretty ? prettyJson(text) : text}\n`;
}

/** Lays compact JSON text out with one element a line; works on the text, so that long integers stay whole. */
function prettyJson(text: string): string {
  let out = "";
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (c === '"') {
      const start = i++;
      while (text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
      out += text.slice(start, i + 1);
    } else if (c === "{" || c === "[") {
      const close = c === "{" ? "}" : "]";
      if (text[i + 1] === close) {
        out += c + close;
        i++;
      } else out += `${c}\n${"  ".repeat(++depth)}`;
    } else if (c === "}" || c === "]") {
      depth--;
      out += c;
    } else if (c === ",") out += `,\n${"  ".repeat(depth)}`;
    else if (c === ":") out += ": ";
    else out += c;
  }
  return out;
}
