/** Who talks most, by the sFlow samples of the last minute. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Talker } from "../protocol.ts";
import { count, short } from "./format.ts";
import { Grid, type GridColumn } from "./grid.tsx";
import { Empty, Figure, Filter, Head, type PageProps, Trouble } from "./parts.tsx";
import { TalkersSource } from "./sources.ts";
import { useOwnStore } from "./store.ts";

export function TalkersPage({ state }: PageProps): JSX.Element {
  if (state.sflow === undefined) {
    return (
      <Empty title="sFlow is not received">
        Start ovsdbmonitor with <code>--sflow</code>, and let the bridges send to it:{" "}
        <code>
          ovs-vsctl -- --id=@s create sflow targets=\"127.0.0.1:6343\" sampling=64 polling=10 -- set bridge
          br0 sflow=@s
        </code>
      </Empty>
    );
  }
  return <Talkers at={state.sflow} />;
}

function Talkers({ at }: { at: string }): JSX.Element {
  const source = useOwnStore(() => new TalkersSource(), "");
  const [filter, setFilter] = useState("");
  const [shown, setShown] = useState<number>();
  const { talkers = [], windowSec = 60, datagrams = 0, lost = 0, agents = [] } = source.data ?? {};
  const total = talkers.reduce((sum, { bytes }) => sum + bytes, 0);
  const packets = talkers.reduce((sum, one) => sum + one.packets, 0);
  const columns: readonly GridColumn<Talker>[] = [
    {
      key: "source",
      title: "from",
      width: "minmax(22ch, 1fr)",
      mono: true,
      value: ({ source: from }) => from,
    },
    { key: "target", title: "to", width: "minmax(22ch, 1fr)", mono: true, value: ({ target }) => target },
    { key: "protocol", title: "protocol", width: "10ch", value: ({ protocol }) => protocol },
    {
      key: "bits",
      title: "bit/s",
      width: "13ch",
      align: "right",
      live: true,
      descending: true,
      value: ({ bytes }) => bytes,
      show: ({ bytes }) => short((bytes * 8) / windowSec, "bit/s"),
    },
    {
      key: "packets",
      title: "p/s",
      width: "11ch",
      align: "right",
      live: true,
      descending: true,
      value: (one) => one.packets,
      show: (one) => short(one.packets / windowSec, "p/s"),
    },
    {
      key: "share",
      title: "share",
      width: "minmax(12ch, 1fr)",
      live: true,
      descending: true,
      value: ({ bytes }) => bytes,
      show: ({ bytes }) => <Share value={total === 0 ? 0 : bytes / total} />,
    },
    {
      key: "samples",
      title: "samples",
      width: "9ch",
      align: "right",
      live: true,
      descending: true,
      value: ({ samples }) => samples,
      show: ({ samples }) => count(samples),
    },
  ];
  return (
    <section class="page">
      <Head title="Top talkers" note={`sFlow to ${at}, the last ${windowSec} seconds`}>
        <Filter value={filter} set={setFilter} shown={shown} of={talkers.length} />
      </Head>
      <Trouble error={source.error} />
      <dl class="figures">
        <Figure name="Traffic" value={short((total * 8) / windowSec, "bit/s")} />
        <Figure name="Packets" value={short(packets / windowSec, "p/s")} />
        <Figure name="Datagrams" value={count(datagrams)} />
        <Figure name="Lost" value={count(lost)} tone={lost > 0 ? "bad" : undefined} />
        <Figure
          name="Agents"
          value={agents.length === 0 ? "–" : agents.length > 2 ? count(agents.length) : agents.join(", ")}
        />
      </dl>
      <div class="with-drawer">
        <Grid
          label="Top talkers"
          columns={columns}
          rows={talkers}
          tick={source.version}
          id={(one) => `${one.protocol} ${one.source} ${one.target}`}
          text={(one) => `${one.source} ${one.target} ${one.protocol}`.toLowerCase()}
          sort={{ key: "bits", down: true }}
          filter={filter}
          shown={setShown}
          empty={
            datagrams === 0 ? `No sFlow has come to ${at} yet.` : "No packet was sampled in the last minute."
          }
        />
      </div>
    </section>
  );
}

function Share({ value }: { value: number }): JSX.Element {
  return (
    <span class="share">
      <meter min={0} max={1} value={value} />
      {`${(value * 100).toFixed(1)} %`}
    </span>
  );
}
