/** The whole at a glance: figures, and a picture of bridges, ports, patches, tunnels and controllers. */
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import type { SystemState } from "../protocol.ts";
import { href } from "./address.ts";
import { count, plural } from "./format.ts";
import { type GraphEdge, type GraphNode, makeGraph } from "./graph.ts";
import { Empty, Figure, Head, type PageProps, Trouble } from "./parts.tsx";
import { TableSource } from "./sources.ts";
import { useOwnStore } from "./store.ts";

export function OverviewPage({ system }: PageProps): JSX.Element {
  if (system.databases.includes("Open_vSwitch")) return <SwitchOverview key={system.id} system={system} />;
  if (system.databaseState === "none") {
    return (
      <Empty title={system.name}>
        {system.bridges.length === 0
          ? "The switch does not answer yet."
          : "A switch without a database: see its flows and ports."}
      </Empty>
    );
  }
  if (system.databases.length > 0)
    return (
      <Empty
        title={system.name}
      >{`Databases: ${system.databases.join(", ")}. None of them is a switch's.`}</Empty>
    );
  return <Empty title="Connecting to the database…">{system.databaseError}</Empty>;
}

function useTable(system: number, table: string, columns: readonly string[]): TableSource {
  return useOwnStore(
    () => new TableSource({ kind: "table", system, database: "Open_vSwitch", table, columns }),
    `${system} ${table}`,
  );
}

function SwitchOverview({ system }: { system: SystemState }): JSX.Element {
  const root = useTable(system.id, "Open_vSwitch", [
    "ovs_version",
    "db_version",
    "system_type",
    "system_version",
    "external_ids",
    "datapath_types",
  ]);
  const bridges = useTable(system.id, "Bridge", [
    "name",
    "ports",
    "controller",
    "datapath_type",
    "fail_mode",
  ]);
  const ports = useTable(system.id, "Port", ["name", "interfaces", "tag", "trunks"]);
  const interfaces = useTable(system.id, "Interface", [
    "name",
    "type",
    "options",
    "error",
    "link_state",
    "admin_state",
  ]);
  const controllers = useTable(system.id, "Controller", ["target", "is_connected", "role"]);
  const sources = [root, bridges, ports, interfaces, controllers];
  const ready = sources.every((source) => source.ready);
  // Depends: versions stand for the rows
  const graph = useMemo(
    () =>
      ready
        ? makeGraph({
            bridges: bridges.rows,
            ports: ports.rows,
            interfaces: interfaces.rows,
            controllers: controllers.rows,
          })
        : undefined,
    [ready, bridges.version, ports.version, interfaces.version, controllers.version],
  );
  let up = 0;
  let wrong = 0;
  for (const { cells } of interfaces.list) {
    if (cells.link_state === "up") up++;
    if ((cells.error ?? null) !== null) wrong++;
  }
  let connected = 0;
  for (const { cells } of controllers.list) if (cells.is_connected === true) connected++;
  const about = root.list[0]?.cells;
  const version = about?.ovs_version ?? "";
  const host = [about?.system_type, about?.system_version].filter(Boolean).join(" ");
  return (
    <section class="page scrolls">
      <Head
        title={system.name}
        note={[version === "" ? "" : `Open vSwitch ${version}`, host]
          .filter((text) => text !== "")
          .join(" on ")}
      />
      <Trouble error={sources.find(({ error }) => error !== undefined)?.error} />
      <dl class="figures">
        <Figure name="Bridges" value={count(bridges.list.length)} />
        <Figure name="Ports" value={count(ports.list.length)} />
        <Figure name="Links up" value={`${count(up)} of ${count(interfaces.list.length)}`} />
        <Figure name="With errors" value={count(wrong)} tone={wrong > 0 ? "bad" : undefined} />
        <Figure
          name="Controllers"
          value={controllers.list.length === 0 ? "none" : `${connected} of ${controllers.list.length}`}
          tone={connected < controllers.list.length ? "bad" : undefined}
        />
      </dl>
      {graph === undefined ? (
        <Empty title="Reading the database…" />
      ) : graph.nodes.length === 0 ? (
        <Empty title="No bridges yet">
          Add one with <code>ovs-vsctl add-br br0</code>; it appears here at once.
        </Empty>
      ) : (
        <div class="picture">
          <svg
            viewBox={`0 0 ${graph.width} ${graph.height}`}
            width={graph.width}
            height={graph.height}
            role="group"
            aria-label={`${plural(bridges.list.length, "bridge")} and what is connected to them`}
          >
            {graph.edges.map((edge) => (
              <Edge key={`${edge.from} ${edge.to} ${edge.label}`} edge={edge} />
            ))}
            {graph.nodes.map((node) => (
              <Node key={node.id} node={node} />
            ))}
          </svg>
        </div>
      )}
      <ul class="legend" aria-label="Legend">
        <li class="bridge">bridge</li>
        <li class="port">port</li>
        <li class="remote">tunnel end</li>
        <li class="controller">controller</li>
        <li>
          <a href={href("tables", ["Open_vSwitch", "Interface"])}>all interfaces</a>
        </li>
      </ul>
    </section>
  );
}

function Node({ node }: { node: GraphNode }): JSX.Element {
  const { x, y, width, height, kind, title, note, tone } = node;
  const fit = (text: string, letters: number): string =>
    text.length > letters ? `${text.slice(0, letters - 1)}…` : text;
  return (
    <a href={node.href} class={`node ${kind} ${tone}`} aria-label={`${kind} ${title}, ${note}`}>
      <title>{`${title}${note === "" ? "" : `\n${note}`}`}</title>
      <g transform={`translate(${x - width / 2} ${y - height / 2})`}>
        <rect width={width} height={height} rx={kind === "bridge" ? 6 : height / 2} />
        <circle cx={14} cy={note === "" ? height / 2 : 17} r={3.5} />
        <text x={25} y={note === "" ? height / 2 + 4.5 : 21.5}>
          {fit(title, 36)}
        </text>
        {note === "" ? null : (
          <text x={25} y={36.5} class="sub">
            {fit(note, 44)}
          </text>
        )}
      </g>
    </a>
  );
}

function Edge({ edge }: { edge: GraphEdge }): JSX.Element {
  const [start, ...rest] = edge.points;
  if (start === undefined) return <g />;
  const end = rest.at(-1) ?? start;
  // A curve from side to side of each stretch.
  let path = `M${start.x} ${start.y}`;
  let from = start;
  for (const to of rest) {
    const middle = (from.x + to.x) / 2;
    path += `C${middle} ${from.y} ${middle} ${to.y} ${to.x} ${to.y}`;
    from = to;
  }
  const at =
    rest.length === 1
      ? { x: (start.x + end.x) / 2, y: (start.y + end.y) / 2 }
      : edge.points[Math.floor(edge.points.length / 2)]!;
  return (
    <g class={`edge ${edge.kind} ${edge.tone}`}>
      <path d={path} />
      {edge.label === "" ? null : (
        <text x={at.x} y={at.y - 5}>
          {edge.label}
        </text>
      )}
    </g>
  );
}
