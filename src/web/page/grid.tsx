/**
 * A table of any length: only the rows in view are in the document. Sorted by a click on a column's head, filtered by the
 * text above it, walked through with the keyboard (arrows, page keys, Home, End, Enter to open).
 */
import type { ComponentChildren, JSX } from "preact";
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { type Filterable, parseFilter } from "./filter.ts";
import { count } from "./format.ts";
import { FLASH_MS } from "./sources.ts";

export const ROW_PX = 30;
/** Rows drawn above and below what is in view. */
const MARGIN = 8;

export interface GridColumn<R> {
  readonly key: string;
  readonly title: string;
  /** A track of the grid's columns: "8ch", "minmax(20ch, 2fr)". */
  readonly width: string;
  readonly align?: "right";
  /** Numbers and text in equal steps. */
  readonly mono?: true;
  readonly value: (row: R) => string | number;
  /** Default: the value. */
  readonly show?: (row: R) => ComponentChildren;
  /** Its values change all the time: sorting by it is done anew with each. */
  readonly live?: true;
  /** When the cell changed, by `performance.now()`. */
  readonly flash?: (row: R) => number | undefined;
  /** Most significant first where numbers are meant. */
  readonly descending?: true;
}

export interface Sort {
  readonly key: string;
  readonly down: boolean;
}

export interface GridProps<R> {
  readonly label: string;
  readonly columns: readonly GridColumn<R>[];
  /** Another array when rows came or went. */
  readonly rows: readonly R[];
  /** Grows with each change of values. */
  readonly tick: number;
  readonly id: (row: R) => string | number;
  readonly text: (row: R) => string;
  readonly sort: Sort;
  readonly filter: string;
  readonly open?: (row: R) => void;
  readonly chosen?: string | number | undefined;
  /** What stands in place of rows when there are none. */
  readonly empty: ComponentChildren;
  readonly shown?: (rows: number) => void;
}

function compare(a: string | number, b: string | number): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return a < b ? -1 : a > b ? 1 : 0;
}

export function Grid<R>(props: GridProps<R>): JSX.Element {
  const { columns, rows, id, filter, open } = props;
  const [sort, setSort] = useState(props.sort);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  const [current, setCurrent] = useState(0);
  const scroller = useRef<HTMLDivElement>(null);

  const sortColumn = columns.find(({ key }) => key === sort.key) ?? columns[0]!;
  const test = useMemo(() => parseFilter<R>(filter), [filter]);
  const by = useMemo<Filterable<R>>(
    () => ({
      text: props.text,
      column: (row, name) =>
        columns.find(({ key, title }) => key === name || title.toLowerCase() === name)?.value(row),
    }),
    [columns, props.text],
  );
  // What depends on values that change all the time is done anew with each change, the rest is not.
  const tick = sortColumn.live || /[<>=]/.test(filter) ? props.tick : 0;
  // Depends: `tick` stands for the rows' values
  const list = useMemo(() => {
    const found = test === undefined ? [...rows] : rows.filter((row) => test(row, by));
    const { value } = sortColumn;
    const sign = sort.down ? -1 : 1;
    return found.sort((a, b) => sign * compare(value(a), value(b)));
  }, [rows, test, by, sortColumn, sort.down, tick]);
  const { shown } = props;
  useEffect(() => shown?.(list.length), [shown, list.length]);

  const measure = useCallback(() => {
    const element = scroller.current;
    if (element === null) return;
    setTop(element.scrollTop);
    setHeight(element.clientHeight);
  }, []);
  useEffect(() => {
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(scroller.current!);
    return () => observer.disconnect();
  }, [measure]);

  const first = Math.max(0, Math.floor(top / ROW_PX) - MARGIN);
  const last = Math.min(list.length, Math.ceil((top + height) / ROW_PX) + MARGIN);
  // Tracks and least widths come from the columns alone, so that every row has the same.
  const tracks = {
    gridTemplateColumns: columns.map(({ width }) => width).join(" "),
    minWidth: `calc(28px + ${columns.map(({ width }) => /[\d.]+(ch|px)/.exec(width)![0]).join(" + ")})`,
  };
  const at = Math.min(current, Math.max(0, list.length - 1));

  const move = (to: number): void => {
    const next = Math.max(0, Math.min(list.length - 1, to));
    setCurrent(next);
    const element = scroller.current!;
    // The head stays in view and covers one row.
    const above = next * ROW_PX;
    if (above < element.scrollTop) element.scrollTop = above;
    else if (above + 2 * ROW_PX > element.scrollTop + element.clientHeight) {
      element.scrollTop = above + 2 * ROW_PX - element.clientHeight;
    }
  };
  const keys = (event: KeyboardEvent): void => {
    if (event.target !== scroller.current) return;
    const page = Math.max(1, Math.floor(height / ROW_PX) - 2);
    const steps: Readonly<Record<string, number>> = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      PageDown: at + page,
      PageUp: at - page,
      Home: 0,
      End: list.length - 1,
    };
    const to = steps[event.key];
    if (to !== undefined) move(to);
    else if (event.key === "Enter" && list[at] !== undefined) open?.(list[at]);
    else return;
    event.preventDefault();
  };
  const sortBy = (column: GridColumn<R>): void =>
    setSort({ key: column.key, down: sort.key === column.key ? !sort.down : column.descending === true });
  const now = performance.now();

  return (
    <div
      class="grid"
      role="grid"
      aria-label={props.label}
      aria-rowcount={list.length + 1}
      aria-activedescendant={list.length > 0 ? `row-${at}` : undefined}
      tabIndex={0}
      ref={scroller}
      onScroll={measure}
      onKeyDown={keys}
    >
      <div class="grid-head" role="row" aria-rowindex={1} style={tracks}>
        {columns.map((column) => (
          <div
            key={column.key}
            role="columnheader"
            class={column.align}
            aria-sort={sort.key !== column.key ? "none" : sort.down ? "descending" : "ascending"}
          >
            <button
              type="button"
              tabIndex={-1}
              onClick={() => sortBy(column)}
              title={`Sort by ${column.title}`}
            >
              {column.title}
            </button>
          </div>
        ))}
      </div>
      {list.length === 0 ? (
        <div class="empty">
          {rows.length > 0 ? `None of ${count(rows.length)} matches the filter.` : props.empty}
        </div>
      ) : (
        <div class="grid-body" style={{ height: `${list.length * ROW_PX}px`, minWidth: tracks.minWidth }}>
          {list.slice(first, last).map((row, i) => {
            const index = first + i;
            const key = id(row);
            return (
              // biome-ignore lint/a11y/useKeyWithClickEvents: the grid itself has the keyboard
              <div
                key={key}
                id={`row-${index}`}
                role="row"
                tabIndex={-1}
                aria-rowindex={index + 2}
                aria-selected={key === props.chosen}
                class={index === at ? "current" : undefined}
                style={{ ...tracks, transform: `translateY(${index * ROW_PX}px)` }}
                onClick={() => {
                  setCurrent(index);
                  open?.(row);
                }}
              >
                {columns.map((column) => {
                  const flash = column.flash?.(row);
                  const fresh = flash !== undefined && now - flash < FLASH_MS;
                  const classes = [column.align, column.mono && "mono", fresh && "flash"]
                    .filter(Boolean)
                    .join(" ");
                  return (
                    // A cell that changes again begins its flash again.
                    <div key={fresh ? `${column.key}${flash}` : column.key} role="gridcell" class={classes}>
                      {column.show === undefined ? column.value(row) : column.show(row)}
                    </div>
                  );
                })}
              </div>
            );
          })}
        </div>
      )}
    </div>
  );
}
