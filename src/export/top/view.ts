/** What the user of `ovsbox top` looks at, and what keys do to it. Pure. */
import { type Order, SECTIONS, type Section, TABLES } from "./tables.ts";

export interface View {
  /** Where sorting and scrolling apply. */
  readonly focus: Section;
  /** The focused table alone. */
  readonly zoomed: boolean;
  readonly order: Readonly<Record<Section, Order>>;
  /** First row shown. */
  readonly scroll: Readonly<Record<Section, number>>;
  readonly filter: string;
  /** A filter as it is being typed. */
  readonly typing: string | undefined;
  readonly help: boolean;
  readonly paused: boolean;
  readonly intervalMs: number;
}

/** What a key asks for beside a new view. */
export type Wish = "quit" | "suspend" | "redraw" | undefined;

export const INTERVALS_MS: readonly number[] = [500, 1000, 2000, 5000, 10_000, 30_000, 60_000];

const each = <T>(make: (section: Section) => T): Record<Section, T> =>
  Object.fromEntries(SECTIONS.map((section) => [section, make(section)])) as Record<Section, T>;

export function firstView(intervalMs: number): View {
  return {
    focus: "ports",
    zoomed: false,
    order: each((section) => ({ column: TABLES[section].sortedBy, reversed: false })),
    scroll: each(() => 0),
    filter: "",
    typing: undefined,
    help: false,
    paused: false,
    intervalMs,
  };
}

/** `page`: rows of the focused table that are on the screen, `count`: rows that it has. */
export function press(view: View, key: string, page: number, count: number): { view: View; wish: Wish } {
  if (key === "^C") return { view, wish: "quit" };
  if (key === "^Z") return { view, wish: "suspend" };
  if (key === "^L") return { view, wish: "redraw" };
  if (view.typing !== undefined) return { view: typed(view, view.typing, key), wish: undefined };
  if (view.help) return { view: { ...view, help: false }, wish: key === "q" ? "quit" : undefined };
  return { view: command(view, key, page, count), wish: key === "q" ? "quit" : undefined };
}

function typed(view: View, text: string, key: string): View {
  if (key === "ESC") return { ...view, typing: undefined };
  if (key === "ENTER") return { ...view, typing: undefined, filter: text.trim(), scroll: each(() => 0) };
  if (key === "BACKSPACE") return { ...view, typing: [...text].slice(0, -1).join("") };
  if (key === "^U") return { ...view, typing: "" };
  return [...key].length === 1 ? { ...view, typing: text + key } : view;
}

function command(view: View, key: string, page: number, count: number): View {
  const { focus } = view;
  const scrolled = (by: number): View => {
    const last = Math.max(0, count - page);
    const at = Math.min(last, Math.max(0, view.scroll[focus] + by));
    return { ...view, scroll: { ...view.scroll, [focus]: at } };
  };
  const ordered = (order: Partial<Order>): View => ({
    ...view,
    order: { ...view.order, [focus]: { ...view.order[focus], ...order } },
  });
  const turned = (by: number): View => {
    const columns = TABLES[focus].columns.length;
    return ordered({ column: (view.order[focus].column + by + columns) % columns });
  };
  const focused = (by: number): View => {
    const at = SECTIONS.indexOf(focus) + by + SECTIONS.length;
    return { ...view, focus: SECTIONS[at % SECTIONS.length]! };
  };
  switch (key) {
    case "TAB":
      return focused(1);
    case "BACKTAB":
      return focused(-1);
    case "1":
    case "2":
    case "3":
    case "4":
      return { ...view, focus: SECTIONS[Number(key) - 1]! };
    case "z":
    case "ENTER":
      return { ...view, zoomed: !view.zoomed };
    case "s":
    case "RIGHT":
    case ">":
      return turned(1);
    case "S":
    case "LEFT":
    case "<":
      return turned(-1);
    case "r":
      return ordered({ reversed: !view.order[focus].reversed });
    case "/":
      return { ...view, typing: view.filter };
    case "ESC":
      return { ...view, filter: "", zoomed: false, scroll: each(() => 0) };
    case "UP":
    case "k":
      return scrolled(-1);
    case "DOWN":
    case "j":
      return scrolled(1);
    case "PAGEUP":
      return scrolled(-page);
    case "PAGEDOWN":
      return scrolled(page);
    case "HOME":
      return scrolled(Number.NEGATIVE_INFINITY);
    case "END":
      return scrolled(Number.POSITIVE_INFINITY);
    case "p":
    case " ":
      return { ...view, paused: !view.paused };
    case "+":
      return { ...view, intervalMs: INTERVALS_MS.find((ms) => ms > view.intervalMs) ?? view.intervalMs };
    case "-":
      return { ...view, intervalMs: INTERVALS_MS.findLast((ms) => ms < view.intervalMs) ?? view.intervalMs };
    case "h":
    case "?":
      return { ...view, help: true };
    default:
      return view;
  }
}

export const HELP: readonly (readonly [keys: string, what: string])[] = [
  ["Tab, 1 2 3 4", "choose bridges, ports, flows or drops"],
  ["z, Enter", "that table alone, and back"],
  ["s S, > <", "sort by the next or previous column"],
  ["r", "sort the other way round"],
  ["/", 'filter: words that must be there, "!word" that must not'],
  ["Esc", "no filter, all tables"],
  ["arrows, j k, PgUp PgDn", "scroll"],
  ["p, Space", "pause"],
  ["+ -", "ask less or more often"],
  ["^L", "draw the screen again"],
  ["q, ^C", "quit"],
];
