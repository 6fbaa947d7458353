/** OpenFlow tables with counters and rates. */
import type { JSX } from "preact";
import { useCallback, useMemo, useState } from "preact/hooks";
import { href } from "./address.ts";
import { age, count, plural, rate, short } from "./format.ts";
import { Grid, type GridColumn } from "./grid.tsx";
import { BridgeChoice, bridgeOf, Drawer, Filter, Head, NoBridge, type PageProps, Trouble } from "./parts.tsx";
import { router } from "./route.ts";
import { type CountedFlow, OpenflowSource } from "./sources.ts";
import { useOwnStore } from "./store.ts";
import { packetOf, splitList } from "./trace-flow.ts";

/** Counters, alike for flows and megaflows. */
export const COUNTERS: readonly GridColumn<CountedFlow>[] = [
  {
    key: "n_packets",
    title: "packets",
    width: "12ch",
    align: "right",
    live: true,
    descending: true,
    value: ({ packets }) => packets,
    show: ({ packets }) => count(packets),
  },
  {
    key: "n_bytes",
    title: "bytes",
    width: "10ch",
    align: "right",
    live: true,
    descending: true,
    value: ({ bytes }) => bytes,
    show: ({ bytes }) => short(bytes, "B"),
  },
  {
    key: "rate",
    title: "rate",
    width: "11ch",
    align: "right",
    live: true,
    descending: true,
    value: ({ packetRate }) => packetRate,
    show: ({ packetRate }) => rate(packetRate, "p/s"),
  },
];

const COLUMNS: readonly GridColumn<CountedFlow>[] = [
  {
    key: "table",
    title: "table",
    width: "7ch",
    align: "right",
    // Within a table the highest priority stands first.
    value: ({ table, priority }) => table * 65_536 + (65_535 - priority),
    show: ({ table }) => table,
  },
  {
    key: "priority",
    title: "priority",
    width: "9ch",
    align: "right",
    descending: true,
    value: ({ priority }) => priority,
  },
  {
    key: "match",
    title: "match",
    width: "minmax(26ch, 3fr)",
    mono: true,
    value: ({ match }) => match,
    show: ({ match }) => (match === "" ? <span class="soft">everything</span> : match),
  },
  {
    key: "actions",
    title: "actions",
    width: "minmax(22ch, 2fr)",
    mono: true,
    value: ({ actions }) => actions,
  },
  ...COUNTERS,
  { key: "cookie", title: "cookie", width: "12ch", mono: true, value: ({ cookie }) => cookie },
];

export function FlowsPage(props: PageProps): JSX.Element {
  const bridge = bridgeOf(props);
  if (bridge === undefined) return <NoBridge system={props.system} />;
  return <BridgeFlows key={`${props.system.id} ${bridge}`} {...props} bridge={bridge} />;
}

function BridgeFlows({ system, route, bridge }: PageProps & { bridge: string }): JSX.Element {
  const source = useOwnStore(
    () => new OpenflowSource({ kind: "flows", system: system.id, bridge }),
    `${system.id} ${bridge}`,
  );
  const [filter, setFilter] = useState(route.query.get("filter") ?? "");
  const [table, setTable] = useState<number>();
  const [shown, setShown] = useState<number>();
  const [chosen, setChosen] = useState<number>();
  const tables = useMemo(() => {
    const flows = new Map<number, number>();
    for (const { table: number } of source.list) flows.set(number, (flows.get(number) ?? 0) + 1);
    return [...flows].sort(([a], [b]) => a - b);
  }, [source.list]);
  const rows = useMemo(
    () => (table === undefined ? source.list : source.list.filter((flow) => flow.table === table)),
    [source.list, table],
  );
  const flow = chosen === undefined ? undefined : source.flows.get(chosen);
  const close = useCallback(() => setChosen(undefined), []);
  return (
    <section class="page">
      <Head title="Flows" note={source.ready && source.error === undefined ? count(source.list.length) : ""}>
        <BridgeChoice system={system} bridge={bridge} to={(name) => href("flows", [name])} />
        <Filter value={filter} set={setFilter} shown={shown} of={rows.length} />
      </Head>
      <Trouble error={source.error} />
      {tables.length > 1 ? (
        <nav class="chips" aria-label="OpenFlow tables">
          <button type="button" aria-pressed={table === undefined} onClick={() => setTable(undefined)}>
            all
          </button>
          {tables.map(([number, flows]) => (
            <button
              key={number}
              type="button"
              aria-pressed={table === number}
              title={plural(flows, "flow")}
              onClick={() => setTable(number)}
            >
              {`table ${number}`} <span class="soft">{count(flows)}</span>
            </button>
          ))}
        </nav>
      ) : null}
      <div class="with-drawer">
        <Grid
          label={`Flows of ${bridge}`}
          columns={COLUMNS}
          rows={rows}
          tick={source.version}
          id={({ id }) => id}
          text={({ text }) => text}
          sort={{ key: "table", down: false }}
          filter={filter}
          shown={setShown}
          chosen={chosen}
          open={({ id }) => setChosen(id)}
          empty={source.ready ? "This bridge has no flows: every packet is dropped." : "Reading flows…"}
        />
        {flow === undefined ? null : (
          <Drawer title={`table ${flow.table}, priority ${flow.priority}`} close={close}>
            <FlowDetails flow={flow} />
            <div class="buttons">
              <button
                type="button"
                onClick={() => router.go(href("trace", [bridge], { flow: packetOf(flow.match) }))}
              >
                Trace a packet that matches
              </button>
            </div>
          </Drawer>
        )}
      </div>
    </section>
  );
}

function FlowDetails({ flow }: { flow: CountedFlow }): JSX.Element {
  const lines = (text: string): JSX.Element[] =>
    splitList(text).map((part, i) => <div key={`${i} ${part}`}>{part}</div>);
  return (
    <dl class="details">
      <dt>match</dt>
      <dd class="mono">{flow.match === "" ? <span class="soft">everything</span> : lines(flow.match)}</dd>
      <dt>actions</dt>
      <dd class="mono">{lines(flow.actions)}</dd>
      <dt>packets</dt>
      <dd>{count(flow.packets)}</dd>
      <dt>bytes</dt>
      <dd>{count(flow.bytes)}</dd>
      <dt>rate</dt>
      <dd>{`${rate(flow.packetRate, "p/s")}, ${rate(flow.byteRate * 8, "bit/s")}`}</dd>
      {flow.cookie === "" ? null : (
        <>
          <dt>cookie</dt>
          <dd class="mono">{flow.cookie}</dd>
        </>
      )}
      {flow.notes === "" ? null : (
        <>
          <dt>options</dt>
          <dd class="mono">{flow.notes}</dd>
        </>
      )}
      <dt>age</dt>
      <dd>{age((Date.now() - flow.madeMs) / 1000)}</dd>
    </dl>
  );
}
