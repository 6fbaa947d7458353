/** What the datapath does by itself: megaflows, lookups, and what it drops and why. */
import type { JSX } from "preact";
import { useCallback, useState } from "preact/hooks";
import type { Drop } from "../protocol.ts";
import { href } from "./address.ts";
import { COUNTERS } from "./flows-page.tsx";
import { age, count, rate, short } from "./format.ts";
import { Grid, type GridColumn } from "./grid.tsx";
import { Drawer, Empty, Figure, Filter, Head, type PageProps, Trouble } from "./parts.tsx";
import { type CountedFlow, DatapathSource } from "./sources.ts";
import { useOwnStore } from "./store.ts";
import { splitList } from "./trace-flow.ts";

/** Without what nearly every megaflow has. */
function brief(flow: string): string {
  return flow.replace(/^recirc_id\(0\),/, "").replace("packet_type(ns=0,id=0),", "");
}

const FLOW_COLUMNS: readonly GridColumn<CountedFlow>[] = [
  {
    key: "flow",
    title: "flow",
    width: "minmax(30ch, 3fr)",
    mono: true,
    value: ({ match }) => match,
    show: ({ match }) => brief(match),
  },
  {
    key: "actions",
    title: "actions",
    width: "minmax(16ch, 1fr)",
    mono: true,
    value: ({ actions }) => actions,
    show: ({ actions }) => (actions === "drop" ? <span class="bad">drop</span> : actions),
  },
  ...COUNTERS,
  {
    key: "used",
    title: "used",
    width: "8ch",
    align: "right",
    live: true,
    value: ({ usedSec }) => (usedSec < 0 ? 1e9 : usedSec),
    show: ({ usedSec }) => age(usedSec),
  },
];

const DROP_COLUMNS: readonly GridColumn<Drop>[] = [
  { key: "bridge", title: "bridge", width: "12ch", value: ({ bridge }) => bridge },
  { key: "reason", title: "reason", width: "minmax(22ch, 1fr)", value: ({ reason }) => reason },
  {
    key: "packets",
    title: "packets",
    width: "12ch",
    align: "right",
    descending: true,
    value: ({ packets }) => packets,
    show: ({ packets }) => count(packets),
  },
  {
    key: "bytes",
    title: "bytes",
    width: "10ch",
    align: "right",
    descending: true,
    value: ({ bytes }) => bytes,
    show: ({ bytes }) => short(bytes, "B"),
  },
  { key: "flow", title: "flow", width: "minmax(28ch, 2fr)", mono: true, value: ({ flow }) => flow },
  { key: "rule", title: "rule", width: "minmax(24ch, 2fr)", mono: true, value: ({ rule }) => rule ?? "" },
];

function keyOf({ bridge, flow }: Drop): string {
  return `${bridge} ${flow}`;
}

export function DatapathPage({ system, route }: PageProps): JSX.Element {
  if (!system.hasControl) {
    return (
      <Empty title="The datapath is out of reach">
        It is asked by the switch's control socket, which must be on this host.
      </Empty>
    );
  }
  return <Datapath key={system.id} system={system.id} drops={route.words[0] === "drops"} />;
}

function Datapath({ system, drops }: { system: number; drops: boolean }): JSX.Element {
  const source = useOwnStore(() => new DatapathSource({ kind: "datapath", system }), String(system));
  const [filter, setFilter] = useState("");
  const [shown, setShown] = useState<number>();
  const [chosen, setChosen] = useState<number>();
  const close = useCallback(() => setChosen(undefined), []);
  const flow = chosen === undefined ? undefined : source.flows.get(chosen);
  const [dropKey, setDropKey] = useState<string>();
  const drop = dropKey === undefined ? undefined : source.drops?.find((one) => keyOf(one) === dropKey);
  const closeDrop = useCallback(() => setDropKey(undefined), []);
  const lookups = source.hitRate + source.missRate;
  const all = source.datapaths.reduce(
    (sum, { hits, misses }) => ({ hits: sum.hits + hits, all: sum.all + hits + misses }),
    { hits: 0, all: 0 },
  );
  const dropped = source.drops?.reduce((sum, { packets }) => sum + packets, 0);
  return (
    <section class="page">
      <Head title="Datapath" note={source.datapaths.map(({ name }) => name).join(", ")}>
        <Filter
          value={filter}
          set={setFilter}
          shown={shown}
          of={drops ? (source.drops?.length ?? 0) : source.list.length}
        />
      </Head>
      <Trouble error={source.error} />
      <dl class="figures">
        <Figure name="Megaflows" value={count(source.list.length)} />
        <Figure name="Lookups" value={rate(lookups, "p/s")} />
        <Figure
          name="Hits since start"
          value={all.all === 0 ? "–" : `${((100 * all.hits) / all.all).toFixed(1)} %`}
        />
        <Figure name="Upcalls" value={rate(source.missRate, "p/s")} />
        <Figure
          name="Lost"
          value={rate(source.lostRate, "p/s")}
          tone={source.lostRate > 0 ? "bad" : undefined}
        />
        {dropped === undefined ? null : (
          <Figure name="Dropped by flows" value={count(dropped)} tone={dropped > 0 ? "bad" : undefined} />
        )}
      </dl>
      {source.drops === undefined ? null : (
        <nav class="chips" aria-label="Views">
          <a href={href("datapath")} aria-current={drops ? undefined : "page"}>
            Megaflows <span class="soft">{count(source.list.length)}</span>
          </a>
          <a href={href("datapath", ["drops"])} aria-current={drops ? "page" : undefined}>
            Drops and why <span class="soft">{count(source.drops.length)}</span>
          </a>
        </nav>
      )}
      <div class="with-drawer">
        {drops ? (
          <Grid
            key="drops"
            label="Drops"
            columns={DROP_COLUMNS}
            rows={source.drops ?? []}
            tick={source.version}
            id={keyOf}
            text={(drop) => `${drop.bridge} ${drop.reason} ${drop.flow} ${drop.rule ?? ""}`.toLowerCase()}
            sort={{ key: "packets", down: true }}
            filter={filter}
            shown={setShown}
            chosen={dropKey}
            open={(one) => setDropKey(keyOf(one))}
            empty="No megaflow drops packets."
          />
        ) : (
          <Grid
            key="flows"
            label="Megaflows"
            columns={FLOW_COLUMNS}
            rows={source.list}
            tick={source.version}
            id={({ id }) => id}
            text={({ text }) => text}
            sort={{ key: "n_packets", down: true }}
            filter={filter}
            shown={setShown}
            chosen={chosen}
            open={({ id }) => setChosen(id)}
            empty={source.ready ? "No megaflows: no packet has come lately." : "Reading megaflows…"}
          />
        )}
        {drop === undefined || !drops ? null : (
          <Drawer title={drop.reason} close={closeDrop}>
            <dl class="details">
              <dt>bridge</dt>
              <dd>{drop.bridge}</dd>
              <dt>rule</dt>
              <dd class="mono">{drop.rule ?? "none"}</dd>
              <dt>flow</dt>
              <dd class="mono">
                {splitList(drop.flow).map((part) => (
                  <div key={part}>{part}</div>
                ))}
              </dd>
              <dt>packets</dt>
              <dd>{count(drop.packets)}</dd>
              <dt>bytes</dt>
              <dd>{count(drop.bytes)}</dd>
            </dl>
          </Drawer>
        )}
        {flow === undefined || drops ? null : (
          <Drawer title="Megaflow" close={close}>
            <dl class="details">
              <dt>datapath</dt>
              <dd>{flow.notes}</dd>
              <dt>flow</dt>
              <dd class="mono">
                {splitList(flow.match).map((part) => (
                  <div key={part}>{part}</div>
                ))}
              </dd>
              <dt>actions</dt>
              <dd class="mono">
                {splitList(flow.actions).map((part, i) => (
                  <div key={`${i} ${part}`}>{part}</div>
                ))}
              </dd>
              <dt>packets</dt>
              <dd>{count(flow.packets)}</dd>
              <dt>bytes</dt>
              <dd>{count(flow.bytes)}</dd>
              <dt>rate</dt>
              <dd>{`${rate(flow.packetRate, "p/s")}, ${rate(flow.byteRate * 8, "bit/s")}`}</dd>
              <dt>used</dt>
              <dd>{flow.usedSec < 0 ? "never" : `${age(flow.usedSec)} ago`}</dd>
            </dl>
          </Drawer>
        )}
      </div>
    </section>
  );
}
