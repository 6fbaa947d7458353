/** The picture of the overview: what stands in it, and where (layout by dagre). Pure. */
import dagre from "@dagrejs/dagre";
import type { Cell, Cells } from "../protocol.ts";
import { href } from "./address.ts";

type Rows = ReadonlyMap<string, { readonly cells: Cells }>;

export interface Network {
  readonly bridges: Rows;
  readonly ports: Rows;
  readonly interfaces: Rows;
  readonly controllers: Rows;
}

export type Tone = "good" | "bad" | "idle";

export interface GraphNode {
  readonly id: string;
  readonly kind: "bridge" | "port" | "tunnel" | "remote" | "controller" | "more";
  readonly title: string;
  readonly note: string;
  readonly tone: Tone;
  readonly href: string;
  x: number;
  y: number;
  readonly width: number;
  readonly height: number;
}

export interface GraphEdge {
  readonly from: string;
  readonly to: string;
  readonly kind: "port" | "patch" | "tunnel" | "control";
  readonly tone: Tone;
  readonly label: string;
  points: readonly { x: number; y: number }[];
}

export interface Graph {
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
  readonly width: number;
  readonly height: number;
}

/** Ports of a bridge that are drawn one by one; of more, those with something to say come first. */
const DRAWN = 10;
const TUNNELS = new Set([
  "vxlan",
  "geneve",
  "gre",
  "ip6gre",
  "stt",
  "lisp",
  "erspan",
  "ip6erspan",
  "gtpu",
  "bareudp",
  "srv6",
]);
/** Widths of a letter. */
const TITLE_PX = 7.3;
const NOTE_PX = 6.1;

function list(cell: Cell | undefined): readonly string[] {
  if (cell === null || cell === undefined) return [];
  return (Array.isArray(cell) ? cell : [cell]) as readonly string[];
}

function entry(cell: Cell | undefined, key: string): string {
  const value =
    cell !== null && typeof cell === "object" ? (cell as Record<string, unknown>)[key] : undefined;
  return value === undefined ? "" : String(value);
}

interface Port {
  readonly name: string;
  readonly type: string;
  readonly note: string;
  readonly tone: Tone;
  readonly options: Cell | undefined;
}

function portsOf(bridge: Cells, { ports, interfaces }: Network): Port[] {
  const found: Port[] = [];
  for (const uuid of list(bridge.ports)) {
    const port = ports.get(uuid)?.cells;
    if (port === undefined) continue;
    const members = list(port.interfaces)
      .map((one) => interfaces.get(one)?.cells)
      .filter((cells) => cells !== undefined);
    const [first] = members;
    if (first === undefined) continue;
    const name = String(port.name);
    // The bridge's own port says nothing that the bridge does not.
    if (name === bridge.name) continue;
    const type = String(first.type ?? "");
    const wrong = members.some((one) => (one.error ?? null) !== null);
    const up = members.some((one) => one.link_state === "up");
    const vlan =
      typeof port.tag === "number"
        ? `VLAN ${port.tag}`
        : list(port.trunks).length > 0
          ? `trunk ${list(port.trunks).join(", ")}`
          : "";
    const bond = members.length > 1 ? `bond of ${members.length}` : "";
    const note = [bond, vlan, type].filter((text) => text !== "").join(" · ");
    found.push({ name, type, note, tone: wrong ? "bad" : up ? "good" : "idle", options: first.options });
  }
  return found.sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
}

export function makeGraph(network: Network): Graph {
  const nodes = new Map<string, GraphNode>();
  const edges: GraphEdge[] = [];
  const node = (
    id: string,
    kind: GraphNode["kind"],
    title: string,
    note: string,
    tone: Tone,
    to: string,
  ): void => {
    const letters = Math.max(title.length * TITLE_PX, note.length * NOTE_PX);
    const width = Math.round(Math.max(kind === "bridge" ? 130 : 84, Math.min(320, letters + 46)));
    nodes.set(id, {
      id,
      kind,
      title,
      note,
      tone,
      href: to,
      x: 0,
      y: 0,
      width,
      height: note === "" ? 30 : 46,
    });
  };
  const edge = (from: string, to: string, kind: GraphEdge["kind"], tone: Tone, label = ""): void =>
    void edges.push({ from, to, kind, tone, label, points: [] });
  /** Patch ports by name: which bridge they are on. */
  const patches = new Map<string, { readonly bridge: string; readonly peer: string }>();
  for (const [uuid, { cells }] of network.bridges) {
    const ports = portsOf(cells, network);
    const bridge = String(cells.name);
    const id = `bridge ${uuid}`;
    const wrong = ports.filter(({ tone }) => tone === "bad").length;
    const count = ports.length;
    node(
      id,
      "bridge",
      bridge,
      `${count} port${count === 1 ? "" : "s"}${wrong > 0 ? `, ${wrong} wrong` : ""}`,
      wrong > 0 ? "bad" : "good",
      href("ports", [bridge]),
    );
    for (const controller of list(cells.controller)) {
      const row = network.controllers.get(controller)?.cells;
      if (row === undefined) continue;
      const tone: Tone = row.is_connected === true ? "good" : "bad";
      const target = `controller ${String(row.target)}`;
      const role = typeof row.role === "string" && row.role !== "other" ? row.role : "";
      if (!nodes.has(target)) {
        const note =
          tone === "good"
            ? ["controller", role].filter((text) => text !== "").join(", ")
            : "controller, not connected";
        node(
          target,
          "controller",
          String(row.target),
          note,
          tone,
          href("tables", ["Open_vSwitch", "Controller"], { row: controller }),
        );
      }
      edge(target, id, "control", tone);
    }
    const plain: Port[] = [];
    for (const port of ports) {
      if (port.type === "patch") patches.set(port.name, { bridge: id, peer: entry(port.options, "peer") });
      else if (TUNNELS.has(port.type)) tunnel(id, bridge, port);
      else plain.push(port);
    }
    const urgent = (port: Port): number => (port.tone === "bad" ? 0 : 1);
    const drawn =
      plain.length > DRAWN ? [...plain].sort((a, b) => urgent(a) - urgent(b)).slice(0, DRAWN - 1) : plain;
    for (const port of drawn) {
      const own = `port ${uuid} ${port.name}`;
      node(own, "port", port.name, port.note, port.tone, href("ports", [bridge], { port: port.name }));
      edge(id, own, "port", port.tone);
    }
    if (drawn.length < plain.length) {
      const rest = plain.filter((port) => !drawn.includes(port));
      const up = rest.filter(({ tone }) => tone === "good").length;
      node(`more ${uuid}`, "more", `${rest.length} more`, `${up} up`, "idle", href("ports", [bridge]));
      edge(id, `more ${uuid}`, "port", "idle");
    }
  }
  function tunnel(id: string, bridge: string, port: Port): void {
    const remote = entry(port.options, "remote_ip") || "?";
    const far = `remote ${remote}`;
    if (!nodes.has(far)) {
      const flows = remote === "flow";
      node(
        far,
        "remote",
        flows ? "by flows" : remote,
        flows ? "any tunnel end" : "tunnel end",
        "idle",
        href("ports", [bridge], { port: port.name }),
      );
    }
    const key = entry(port.options, "key");
    edge(id, far, "tunnel", port.tone, `${port.type}${key === "" ? "" : ` ${key}`}`);
  }
  for (const [name, { bridge, peer }] of patches) {
    const other = patches.get(peer);
    if (other === undefined) {
      const own = `port ${bridge} ${name}`;
      node(
        own,
        "port",
        name,
        "patch without peer",
        "bad",
        href("tables", ["Open_vSwitch", "Interface"], { filter: name }),
      );
      edge(bridge, own, "port", "bad");
    } else if (name < peer && other.peer === name) edge(bridge, other.bridge, "patch", "good", "patch");
  }
  return layout([...nodes.values()], edges);
}

function layout(nodes: readonly GraphNode[], edges: readonly GraphEdge[]): Graph {
  const graph = new dagre.graphlib.Graph({ multigraph: true });
  graph.setGraph({ rankdir: "LR", nodesep: 12, ranksep: 88, marginx: 8, marginy: 8 });
  for (const { id, width, height } of nodes) graph.setNode(id, { width, height });
  edges.forEach(({ from, to }, i) => {
    graph.setEdge(from, to, {}, String(i));
  });
  dagre.layout(graph);
  for (const node of nodes) {
    const { x, y } = graph.node(node.id);
    node.x = x!;
    node.y = y!;
  }
  sortLeaves(nodes, edges);
  const byId = new Map(nodes.map((node) => [node.id, node]));
  edges.forEach((edge, i) => {
    const from = byId.get(edge.from)!;
    const to = byId.get(edge.to)!;
    // From one side to the other, whatever lies between; dagre's own ends are at a corner now and then.
    const between = (graph.edge(edge.from, edge.to, String(i)).points ?? []).slice(1, -1);
    edge.points = [
      { x: from.x + from.width / 2, y: from.y },
      ...(between.length > 1 ? between : []),
      { x: to.x - to.width / 2, y: to.y },
    ];
  });
  const { width = 0, height = 0 } = graph.graph();
  return { nodes, edges, width: Math.max(0, width), height: Math.max(0, height) };
}

/** Ports that hang on one bridge alone stand in the order of their names, in the places that they have. */
function sortLeaves(nodes: readonly GraphNode[], edges: readonly GraphEdge[]): void {
  const byId = new Map(nodes.map((node, index) => [node.id, { node, index }]));
  const leaves = new Map<string, { node: GraphNode; index: number }[]>();
  for (const { kind, from, to } of edges) {
    if (kind !== "port") continue;
    const known = leaves.get(from);
    if (known === undefined) leaves.set(from, [byId.get(to)!]);
    else known.push(byId.get(to)!);
  }
  for (const list of leaves.values()) {
    const found = list.sort((a, b) => a.index - b.index);
    const places = found.map(({ node }) => node.y).sort((a, b) => a - b);
    found.forEach(({ node }, i) => {
      node.y = places[i]!;
    });
  }
}
