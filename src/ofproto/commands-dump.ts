/** Dumps: bridges and their rules, datapaths and their ports and megaflows. */
import { W_IN_PORT } from "../flow/layout.ts";
import { formatMatch } from "../flow/match-text.ts";
import { Fatal } from "../lib/errors.ts";
import type { Json } from "../lib/json.ts";
import { formatActions } from "../openflow/actions/registry.ts";
import type { CommandScope, OfprotoCommand } from "./commands.ts";
import { TBL_INTERNAL } from "./flow-table.ts";
import { dumpFlows } from "./megaflow-text.ts";
import type { Ofproto } from "./ofproto.ts";
import type { Rule } from "./rule.ts";

export interface DumpFlags {
  more: boolean;
  names: boolean;
  rest: string[];
}

/** -m, --names and --no-names: names are shown when more is, unless somebody says otherwise. */
export function takeDumpFlags(args: readonly string[]): DumpFlags {
  let more = false;
  let names: boolean | undefined;
  const rest: string[] = [];
  for (const arg of args) {
    if (arg === "-m" || arg === "--more") more = true;
    else if (arg === "--names") names = true;
    else if (arg === "--no-names") names = false;
    else if (arg === "-s" || arg === "--statistics" || arg === "--read-only") continue;
    else if (arg.startsWith("-")) throw new Fatal(`Unrecognized option ${arg}`);
    else rest.push(arg);
  }
  return { more, names: names ?? more, rest };
}

function dpifDumpFlows(scope: CommandScope, args: readonly string[]): string {
  const { more, names, rest } = takeDumpFlags(args);
  const { backer, clock } = scope.bridge(rest[0] ?? "");
  const ofproto = scope.bridge(rest[0] ?? "");
  const lines = dumpFlows(
    { dpif: backer.dpif, backer, now: clock.now() },
    {
      more,
      names,
      dpctl: false,
      wanted: (flow) => backer.portOf(flow.key[W_IN_PORT]!)?.ofproto === ofproto,
    },
  );
  return lines.map((line) => `${line}\n`).join("");
}

/** As bridge/dump-flows prints it. */
export function ruleLine(rule: Rule, now: number): string {
  const parts: string[] = [];
  if (rule.table !== 0) parts.push(`table_id=${rule.table}, `);
  if (rule.cookie !== 0n) parts.push(`cookie=0x${rule.cookie.toString(16)}, `);
  parts.push(
    `duration=${Math.floor((now - rule.createdMs) / 1000)}s, `,
    `n_packets=${rule.packets}, n_bytes=${rule.bytes}, `,
  );
  const match = formatMatch(rule.match, { priority: rule.priority });
  parts.push(match, match === "" ? "" : ",", `actions=${formatActions(rule.actions)}`);
  return `${parts.join("")}\n`;
}

/** Hidden rules included. */
function bridgeDumpFlows(ofproto: Ofproto): string {
  ofproto.backer.pushStats();
  const now = ofproto.clock.now();
  let out = "";
  for (const table of ofproto.tables) {
    const rules = [...table.rules()];
    if (table.id === TBL_INTERNAL) rules.sort((a, b) => a.id - b.id);
    for (const rule of rules) out += ruleLine(rule, now);
  }
  return out;
}

async function dpifShow(scope: CommandScope): Promise<string> {
  let out = "";
  for (const backer of scope.backers()) {
    if (backer.ofprotos.size === 0) continue;
    const stats = await backer.dpif.stats();
    out += `${backer.dpif.type}@${backer.dpif.name}: hit:${stats.hits} missed:${stats.misses}\n`;
    for (const ofproto of [...backer.ofprotos.values()].sort((a, b) => (a.name < b.name ? -1 : 1))) {
      out += `  ${ofproto.name}:\n`;
      for (const port of [...ofproto.portsByNumber()].sort((a, b) => (a.name < b.name ? -1 : 1))) {
        const config = [...port.netdev.config()]
          .map(([key, value]) => `${key}=${value}`)
          .sort()
          .join(", ");
        const odp = port.odpPort === undefined ? "none" : String(port.odpPort);
        out += `    ${port.name} ${port.ofPort}/${odp}: (${datapathType(ofproto, port.netdev.type)}${config === "" ? "" : `: ${config}`})\n`;
      }
    }
  }
  return out;
}

async function dpifShowJson(scope: CommandScope): Promise<Json> {
  const out: Record<string, Json> = {};
  for (const backer of scope.backers()) {
    if (backer.ofprotos.size === 0) continue;
    const stats = await backer.dpif.stats();
    const bridges: Record<string, Json> = {};
    for (const ofproto of backer.ofprotos.values()) {
      const ports: Record<string, Json> = {};
      for (const port of ofproto.portsByNumber()) {
        const config = Object.fromEntries(port.netdev.config());
        ports[port.name] = {
          ofport: String(port.ofPort),
          port_no: port.odpPort === undefined ? "none" : String(port.odpPort),
          type: datapathType(ofproto, port.netdev.type),
          ...(Object.keys(config).length === 0 ? {} : { config }),
        };
      }
      bridges[ofproto.name] = ports;
    }
    out[`${backer.dpif.type}@${backer.dpif.name}`] = {
      stats: { hit: String(stats.hits), missed: String(stats.misses) },
      bridges,
    };
  }
  return out;
}

/** Internal ports of a dummy datapath are dummies themselves. */
function datapathType(ofproto: Ofproto, type: string): string {
  if (type !== "internal") return type;
  if (ofproto.type === "dummy") return "dummy-internal";
  return ofproto.type === "netdev" ? "tap" : type;
}

async function setFeatures(scope: CommandScope, args: readonly string[]): Promise<string> {
  const force = args[0] === "--force";
  const [bridge, name, value] = force ? args.slice(1) : args;
  const { backer } = scope.bridge(bridge ?? "");
  const { features } = backer;
  if (name === undefined) return features.list();
  if (value === undefined) return features.one(name) ?? "Unexpected support field";
  const error = features.set(name, value, force);
  if (error !== undefined) return error;
  // What was translated for another datapath begins anew, with its statistics.
  backer.changed();
  await backer.purge();
  return "";
}

export function dumpCommands(scope: CommandScope): OfprotoCommand[] {
  return [
    {
      name: "ofproto/list",
      usage: "",
      minArgs: 0,
      maxArgs: 0,
      run: () =>
        scope
          .bridges()
          .map(({ name }) => `${name}\n`)
          .join(""),
    },
    {
      name: "bridge/dump-flows",
      usage: "[--offload-stats] bridge",
      minArgs: 1,
      maxArgs: 2,
      run: (args) => {
        const names = args.filter((arg) => arg !== "--offload-stats");
        return bridgeDumpFlows(scope.bridge(names[0] ?? "", "Unknown bridge"));
      },
    },
    {
      name: "dpif/show",
      usage: "",
      minArgs: 0,
      maxArgs: 0,
      run: () => dpifShow(scope),
      json: () => dpifShowJson(scope),
    },
    {
      name: "dpif/dump-dps",
      usage: "",
      minArgs: 0,
      maxArgs: 0,
      run: () =>
        scope
          .bridges()
          .map(({ name, backer }) => `${backer.dpif.type}@${name}\n`)
          .join(""),
    },
    {
      name: "dpif/show-dp-features",
      usage: "bridge",
      minArgs: 1,
      maxArgs: 1,
      run: (args) => scope.bridge(args[0]!).backer.features.show(),
    },
    {
      name: "dpif/dump-flows",
      usage: "[-m] [--names | --no-names] bridge",
      minArgs: 1,
      maxArgs: -1,
      run: (args) => dpifDumpFlows(scope, args),
    },
    {
      name: "dpif/set-dp-features",
      usage: "[--force] bridge [feature [value]]",
      minArgs: 1,
      maxArgs: 4,
      run: (args) => setFeatures(scope, args),
    },
  ];
}
