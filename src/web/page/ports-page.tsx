/** Ports with their rates, now and over time. */
import type { JSX } from "preact";
import { useCallback, useEffect, useMemo, useState } from "preact/hooks";
import type { History } from "../protocol.ts";
import { href } from "./address.ts";
import { connection } from "./connection.ts";
import { count, plural, rate } from "./format.ts";
import { Grid, type GridColumn } from "./grid.tsx";
import { BridgeChoice, bridgeOf, Filter, Head, NoBridge, type PageProps, Trouble } from "./parts.tsx";
import { Plot, Spark } from "./plot.tsx";
import { router } from "./route.ts";
import { type PortRow, PortsSource } from "./sources.ts";
import { useOwnStore } from "./store.ts";

const PORT_DOWN = 1;
const LINK_DOWN = 1;

function link({ config, state }: PortRow): { text: string; tone: string } {
  if ((config & PORT_DOWN) !== 0) return { text: "off", tone: "soft" };
  return (state & LINK_DOWN) !== 0 ? { text: "down", tone: "bad" } : { text: "up", tone: "good" };
}

function rateColumn(key: string, title: string, value: (row: PortRow) => number): GridColumn<PortRow> {
  return {
    key,
    title,
    width: "11ch",
    align: "right",
    live: true,
    descending: true,
    value,
    show: (row) => rate(value(row), ""),
  };
}

function countColumn(
  key: string,
  title: string,
  value: (row: PortRow) => number,
  bad = false,
): GridColumn<PortRow> {
  const show = (row: PortRow): JSX.Element | string => {
    const number = value(row);
    if (!bad) return count(number);
    return number === 0 ? "–" : <span class="bad">{count(number)}</span>;
  };
  return {
    key,
    title,
    width: bad ? "9ch" : "12ch",
    align: "right",
    live: true,
    descending: true,
    value,
    show,
  };
}

function columns(samples: () => number): GridColumn<PortRow>[] {
  return [
    {
      key: "port",
      title: "port",
      width: "8ch",
      align: "right",
      value: ({ port }) => port,
      show: ({ port }) => (port === 0xfffe ? "LOCAL" : port),
    },
    { key: "name", title: "name", width: "minmax(13ch, 1fr)", value: ({ name }) => name },
    {
      key: "link",
      title: "link",
      width: "7ch",
      value: (row) => link(row).text,
      show: (row) => {
        const { text, tone } = link(row);
        return <span class={`dot ${tone}`}>{text}</span>;
      },
    },
    {
      key: "minute",
      title: "last minute",
      width: "108px",
      live: true,
      descending: true,
      value: ({ rxBitRate, txBitRate }) => rxBitRate + txBitRate,
      show: ({ rx, tx }) => <Spark rx={rx} tx={tx} samples={samples()} />,
    },
    rateColumn("rx", "in, bit/s", ({ rxBitRate }) => rxBitRate),
    rateColumn("tx", "out, bit/s", ({ txBitRate }) => txBitRate),
    rateColumn("rxp", "in, p/s", ({ rxPacketRate }) => rxPacketRate),
    rateColumn("txp", "out, p/s", ({ txPacketRate }) => txPacketRate),
    countColumn("rx_packets", "packets in", ({ rxPackets }) => rxPackets),
    countColumn("tx_packets", "packets out", ({ txPackets }) => txPackets),
    countColumn("dropped", "dropped", ({ dropped }) => dropped, true),
    countColumn("errors", "errors", ({ errors }) => errors, true),
  ];
}

export function PortsPage(props: PageProps): JSX.Element {
  const bridge = bridgeOf(props);
  if (bridge === undefined) return <NoBridge system={props.system} />;
  return <BridgePorts key={`${props.system.id} ${bridge}`} {...props} bridge={bridge} />;
}

function BridgePorts({ system, route, bridge }: PageProps & { bridge: string }): JSX.Element {
  const source = useOwnStore(
    () => new PortsSource({ kind: "ports", system: system.id, bridge }),
    `${system.id} ${bridge}`,
  );
  const [filter, setFilter] = useState("");
  const [shown, setShown] = useState<number>();
  const wanted = route.query.get("port") ?? undefined;
  const port = wanted === undefined ? undefined : source.list.find(({ name }) => name === wanted);
  const own = useMemo(() => columns(() => source.times.length), [source]);
  const down = source.list.filter((row) => link(row).text === "down").length;
  const choose = useCallback(
    (name: string | undefined) =>
      router.go(href("ports", [bridge], name === undefined ? {} : { port: name }), true),
    [bridge],
  );
  return (
    <section class="page">
      <Head
        title="Ports"
        note={source.ready ? `${count(source.list.length)}${down > 0 ? `, ${down} down` : ""}` : ""}
      >
        <BridgeChoice system={system} bridge={bridge} to={(name) => href("ports", [name])} />
        <Filter value={filter} set={setFilter} shown={shown} of={source.list.length} />
      </Head>
      <Trouble error={source.error} />
      {port === undefined ? (
        <AllPorts source={source} bridge={bridge} />
      ) : (
        <OnePort source={source} port={port} system={system.id} all={() => choose(undefined)} />
      )}
      <div class="with-drawer">
        <Grid
          label={`Ports of ${bridge}`}
          columns={own}
          rows={source.list}
          tick={source.version}
          id={({ port: number }) => number}
          text={({ text }) => text}
          sort={{ key: "port", down: false }}
          filter={filter}
          shown={setShown}
          chosen={port?.port}
          open={({ name }) => choose(name === wanted ? undefined : name)}
          empty={source.ready ? "This bridge has no ports." : "Reading ports…"}
        />
      </div>
    </section>
  );
}

function AllPorts({ source, bridge }: { source: PortsSource; bridge: string }): JSX.Element {
  const samples = source.times.length;
  const total = new Float32Array(samples);
  for (const { rx } of source.list) for (let i = 0; i < samples; i++) total[i]! += rx[i]!;
  return (
    <figure class="panel">
      <figcaption>
        <strong>{bridge}</strong>{" "}
        <span class="soft">{`received by ${plural(source.list.length, "port")}; choose one below for its own`}</span>
      </figcaption>
      <Plot
        label={`Bits a second received by all ports of ${bridge}`}
        times={source.times}
        lines={[{ name: "received", color: "--rx", values: total }]}
        unit="bit/s"
        tick={source.version}
      />
    </figure>
  );
}

/** The half hour that the database knows, in its steps, and then second by second what has been seen here. */
function OnePort({
  source,
  port,
  system,
  all,
}: {
  source: PortsSource;
  port: PortRow;
  system: number;
  all: () => void;
}): JSX.Element {
  const [history, setHistory] = useState<History>();
  useEffect(() => {
    let here = true;
    setHistory(undefined);
    connection.call("history", { system, name: port.name }).then(
      (found) => here && setHistory(found ?? undefined),
      () => {},
    );
    return () => {
      here = false;
    };
  }, [system, port.name]);
  const { times } = source;
  const start = times[0] ?? Number.POSITIVE_INFINITY;
  const before = history?.atMs.filter((ms) => ms < start).length ?? 0;
  const joined = (own: Float32Array, old: readonly number[] | undefined): number[] => [
    ...(old ?? []).slice(0, before).map((bytes) => bytes * 8),
    ...own.subarray(0, times.length),
  ];
  return (
    <figure class="panel">
      <figcaption>
        <strong>{port.name}</strong> <span class="mono soft">{port.mac}</span>
        <button type="button" class="plain" onClick={all}>
          All ports
        </button>
      </figcaption>
      <Plot
        label={`Bits a second of ${port.name}`}
        times={[...(history?.atMs ?? []).slice(0, before), ...times]}
        lines={[
          { name: "received", color: "--rx", values: joined(port.rx, history?.rxBytes) },
          { name: "sent", color: "--tx", values: joined(port.tx, history?.txBytes) },
        ]}
        unit="bit/s"
        tick={source.version}
      />
    </figure>
  );
}
