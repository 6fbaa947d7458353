/** The addresses that a bridge has learned. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { MacEntry } from "../protocol.ts";
import { href } from "./address.ts";
import { age, count } from "./format.ts";
import { Grid, type GridColumn } from "./grid.tsx";
import { BridgeChoice, bridgeOf, Empty, Filter, Head, NoBridge, type PageProps, Trouble } from "./parts.tsx";
import { MacsSource, PortsSource } from "./sources.ts";
import { useOwnStore } from "./store.ts";

export function MacsPage(props: PageProps): JSX.Element {
  const bridge = bridgeOf(props);
  if (bridge === undefined) return <NoBridge system={props.system} />;
  if (!props.system.hasControl) {
    return (
      <Empty title="Learned addresses are out of reach">
        They are asked by the switch's control socket, which must be on this host.
      </Empty>
    );
  }
  return <BridgeMacs key={`${props.system.id} ${bridge}`} {...props} bridge={bridge} />;
}

function BridgeMacs({ system, bridge }: PageProps & { bridge: string }): JSX.Element {
  const key = `${system.id} ${bridge}`;
  const source = useOwnStore(() => new MacsSource({ kind: "macs", system: system.id, bridge }), key);
  const ports = useOwnStore(() => new PortsSource({ kind: "ports", system: system.id, bridge }), key);
  const [filter, setFilter] = useState("");
  const [shown, setShown] = useState<number>();
  const { macs } = source.data;
  const nameOf = ({ port }: MacEntry): string =>
    ports.ports.get(port === "LOCAL" ? 0xfffe : Number(port))?.name ?? "";
  const columns: readonly GridColumn<MacEntry>[] = [
    { key: "mac", title: "address", width: "minmax(20ch, 1fr)", mono: true, value: ({ mac }) => mac },
    {
      key: "vlan",
      title: "VLAN",
      width: "8ch",
      align: "right",
      value: ({ vlan }) => vlan,
      show: ({ vlan }) => (vlan === 0 ? <span class="soft">none</span> : vlan),
    },
    { key: "port", title: "port", width: "9ch", align: "right", value: ({ port }) => Number(port) || port },
    { key: "name", title: "name", width: "minmax(16ch, 2fr)", value: nameOf },
    {
      key: "age",
      title: "last seen",
      width: "12ch",
      align: "right",
      live: true,
      value: (entry) => entry.age ?? -1,
      show: (entry) => (entry.age === undefined ? "static" : age(entry.age)),
    },
  ];
  return (
    <section class="page">
      <Head
        title="Learned addresses"
        note={source.ready && source.error === undefined ? count(macs.length) : ""}
      >
        <BridgeChoice system={system} bridge={bridge} to={(name) => href("macs", [name])} />
        <Filter value={filter} set={setFilter} shown={shown} of={macs.length} />
      </Head>
      <Trouble error={source.error} />
      <div class="with-drawer">
        <Grid
          label={`Addresses learned by ${bridge}`}
          columns={columns}
          rows={macs}
          tick={source.version}
          id={({ mac, vlan }) => `${mac} ${vlan}`}
          text={(entry) => `${entry.mac} ${entry.vlan} ${entry.port} ${nameOf(entry)}`.toLowerCase()}
          sort={{ key: "mac", down: false }}
          filter={filter}
          shown={setShown}
          empty={
            source.ready ? "Nothing learned: no packet has gone through a NORMAL action lately." : "Reading…"
          }
        />
      </div>
    </section>
  );
}
