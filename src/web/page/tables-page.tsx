/** The database as it is: its tables, live; with --allow-edit, rows can be changed. */
import type { ComponentChildren, JSX } from "preact";
import { useCallback, useEffect, useMemo, useState } from "preact/hooks";
import type { Cell, CellAtom, ColumnInfo, TableInfo } from "../protocol.ts";
import { href } from "./address.ts";
import { connection } from "./connection.ts";
import { Editor } from "./editor.tsx";
import { count } from "./format.ts";
import { Grid, type GridColumn } from "./grid.tsx";
import { Choice, Drawer, Empty, Filter, Head, type PageProps, Trouble } from "./parts.tsx";
import { router } from "./route.ts";
import { type TableRow, TableSource } from "./sources.ts";
import { useOwnStore } from "./store.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

function atomText(atom: CellAtom): string {
  return typeof atom === "string" && UUID.test(atom) ? atom.slice(0, 8) : String(atom);
}

/** One line for a grid's cell. */
export function cellText(cell: Cell | undefined): string {
  if (cell === null || cell === undefined) return "";
  if (Array.isArray(cell)) return cell.map(atomText).join(", ");
  if (typeof cell === "object") {
    return Object.entries(cell)
      .map(([key, value]) => `${key}=${atomText(value)}`)
      .join(", ");
  }
  return atomText(cell as CellAtom);
}

function rowText(row: TableRow): string {
  row.text ??= `${row.uuid} ${Object.values(row.cells).map(fullText).join(" ")}`.toLowerCase();
  return row.text;
}

function fullText(cell: Cell): string {
  return cell !== null && typeof cell === "object" ? JSON.stringify(cell) : String(cell ?? "");
}

/** Columns that say most come first; those that are mostly empty last. */
const FIRST = [
  "name",
  "bridge",
  "target",
  "type",
  "ofport",
  "tag",
  "ports",
  "interfaces",
  "admin_state",
  "link_state",
];
const LATE = ["external_ids", "other_config", "statistics", "status", "options"];

function columnOrder(a: ColumnInfo, b: ColumnInfo): number {
  const rank = ({ name }: ColumnInfo): number => {
    const first = FIRST.indexOf(name);
    if (first >= 0) return first;
    const late = LATE.indexOf(name);
    return late >= 0 ? 200 + late : 100;
  };
  return rank(a) - rank(b) || (a.name < b.name ? -1 : 1);
}

function widthOf({ name, type }: ColumnInfo): string {
  // A head is set in a smaller type than cells.
  const head = Math.max(8, Math.ceil(name.length * 0.9) + 3);
  if (type.startsWith("map")) return `minmax(${Math.max(28, head)}ch, 2fr)`;
  if (/^(set of up to 1 )?(boolean|integer|real)s?$/.test(type)) return `${head}ch`;
  return `minmax(${Math.max(14, head)}ch, 1fr)`;
}

function isEmpty(cell: Cell | undefined): boolean {
  return cellText(cell) === "";
}

/** `rows` as they are at first: columns in which none of them has anything come last. */
function gridColumns(table: TableInfo, rows: readonly TableRow[]): GridColumn<TableRow>[] {
  const late = ({ name }: ColumnInfo): number => (rows.every(({ cells }) => isEmpty(cells[name])) ? 1 : 0);
  const order = [...table.columns].sort(columnOrder);
  const columns = [
    ...order.filter((info) => late(info) === 0),
    ...order.filter((info) => late(info) === 1),
  ].map(
    (info): GridColumn<TableRow> => ({
      key: info.name,
      title: info.name,
      width: widthOf(info),
      mono: true,
      value: ({ cells }) => {
        const cell = cells[info.name];
        return typeof cell === "number" ? cell : cellText(cell);
      },
      show: ({ cells }) => cellText(cells[info.name]),
      flash: ({ flashes }) => flashes.get(info.name),
    }),
  );
  const uuid: GridColumn<TableRow> = {
    key: "_uuid",
    title: "_uuid",
    width: "10ch",
    mono: true,
    value: (row) => row.uuid,
    show: (row) => row.uuid.slice(0, 8),
  };
  return [...columns, uuid];
}

export function TablesPage(props: PageProps): JSX.Element {
  const { system, route } = props;
  const { databases } = system;
  const database = databases.includes(route.words[0] ?? "") ? route.words[0]! : databases[0];
  const [tables, setTables] = useState<readonly TableInfo[]>([]);
  useEffect(() => {
    if (database === undefined || system.databaseState !== "live") return;
    let wanted = true;
    connection.call("schema", { system: system.id, database }).then(
      (schema) => wanted && setTables(schema),
      () => {},
    );
    return () => {
      wanted = false;
    };
  }, [system.id, database, system.databaseState]);
  if (database === undefined) {
    const none = system.databaseState === "none";
    return (
      <Empty title={none ? "No database here" : "Connecting to the database…"}>
        {none ? "This switch is reached by OpenFlow or its control socket alone." : system.databaseError}
      </Empty>
    );
  }
  const wanted = route.words[1] ?? "Interface";
  const table = tables.find(({ name }) => name === wanted) ?? tables[0];
  const to = (name: string): string => href("tables", [database, name]);
  return (
    <div class="tables">
      <nav class="table-list" aria-label="Tables">
        {databases.length > 1 ? (
          <Choice
            label="Database"
            value={database}
            options={databases.map((name) => [name, name] as const)}
            set={(name) => router.go(href("tables", [name]))}
          />
        ) : (
          <h2>{database}</h2>
        )}
        {tables.map(({ name }) => (
          <a key={name} href={to(name)} aria-current={name === table?.name ? "page" : undefined}>
            {name}
          </a>
        ))}
      </nav>
      {table === undefined ? (
        <Empty title="Reading the schema…" />
      ) : (
        <OneTable
          key={`${database} ${table.name}`}
          {...props}
          database={database}
          table={table}
          tables={tables}
          to={to}
        />
      )}
    </div>
  );
}

interface OneTableProps extends PageProps {
  readonly database: string;
  readonly table: TableInfo;
  readonly tables: readonly TableInfo[];
  readonly to: (table: string) => string;
}

function OneTable({ state, system, route, database, table, tables, to }: OneTableProps): JSX.Element {
  const source = useOwnStore(
    () => new TableSource({ kind: "table", system: system.id, database, table: table.name }),
    `${system.id} ${database} ${table.name}`,
  );
  const [filter, setFilter] = useState(route.query.get("filter") ?? "");
  const [shown, setShown] = useState<number>();
  // Depends: only whether rows are there, lest columns move about
  const columns = useMemo(() => gridColumns(table, source.list), [table, source.ready]);
  const uuid = route.query.get("row") ?? undefined;
  const row = uuid === undefined ? undefined : source.rows.get(uuid);
  const close = useCallback(() => router.go(to(table.name), true), [to, table.name]);
  return (
    <section class="page">
      <Head title={table.name} note={source.ready ? count(source.list.length) : ""}>
        <div class="narrow-only">
          <Choice
            label="Table"
            value={table.name}
            options={tables.map(({ name }) => [name, name] as const)}
            set={(name) => router.go(to(name))}
          />
        </div>
        <Filter value={filter} set={setFilter} shown={shown} of={source.list.length} />
      </Head>
      <Trouble error={source.error} />
      <div class="with-drawer">
        <Grid
          label={`Rows of ${table.name}`}
          columns={columns}
          rows={source.list}
          tick={source.version}
          id={(one) => one.uuid}
          text={rowText}
          sort={{ key: columns[0]!.key, down: false }}
          filter={filter}
          chosen={uuid}
          shown={setShown}
          open={(one) => router.go(href("tables", [database, table.name], { row: one.uuid }), true)}
          empty={source.ready ? `${table.name} has no rows.` : "Reading…"}
        />
        {row === undefined ? null : (
          <Drawer title={cellText(row.cells.name) || row.uuid.slice(0, 8)} close={close}>
            {state.allowEdit ? (
              <Editor system={system.id} database={database} table={table} uuid={row.uuid} />
            ) : null}
            <RowDetails row={row} table={table} database={database} />
          </Drawer>
        )}
      </div>
    </section>
  );
}

function RowDetails({
  row,
  table,
  database,
}: {
  row: TableRow;
  table: TableInfo;
  database: string;
}): JSX.Element {
  return (
    <dl class="details">
      <dt>_uuid</dt>
      <dd class="mono">{row.uuid}</dd>
      {[...table.columns].sort(columnOrder).map((info) => (
        <Detail key={info.name} info={info} cell={row.cells[info.name]} database={database} />
      ))}
    </dl>
  );
}

function Detail({
  info,
  cell,
  database,
}: {
  info: ColumnInfo;
  cell: Cell | undefined;
  database: string;
}): JSX.Element {
  const atom = (value: CellAtom): ComponentChildren =>
    info.ref !== undefined && typeof value === "string" && UUID.test(value) ? (
      <a href={href("tables", [database, info.ref], { row: value })}>{value.slice(0, 8)}</a>
    ) : (
      String(value)
    );
  return (
    <>
      <dt title={info.type}>{info.name}</dt>
      <dd class="mono">
        {cell === null || cell === undefined ? (
          <span class="soft">none</span>
        ) : Array.isArray(cell) ? (
          cell.length === 0 ? (
            <span class="soft">none</span>
          ) : (
            cell.map((one: CellAtom) => <div key={String(one)}>{atom(one)}</div>)
          )
        ) : typeof cell === "object" ? (
          Object.keys(cell).length === 0 ? (
            <span class="soft">none</span>
          ) : (
            Object.entries(cell).map(([key, value]) => (
              <div key={key}>
                <span class="soft">{key}=</span>
                {atom(value)}
              </div>
            ))
          )
        ) : (
          atom(cell as CellAtom)
        )}
      </dd>
    </>
  );
}
