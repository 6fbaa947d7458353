/** Dumps: bridges and their rules, datapaths and their ports and megaflows. */
import type { DpFlow, DpFlowStats, Dpif } from "../datapath/dpif.ts";
import { formatOdpActions } from "../datapath/odp/action-text.ts";
import { formatOdpKey, type OdpPortNames } from "../datapath/odp/key-text.ts";
import { formatFlowStats } from "../datapath/odp/stats-text.ts";
import { ufidOf } from "../datapath/ufid.ts";
import { W_IN_PORT } from "../flow/layout.ts";
import { matchesOverlap } from "../flow/match.ts";
import { formatMatch, parseMatch } from "../flow/match-text.ts";
import { formatActions } from "../openflow/actions/registry.ts";
import { type Backer, fillFlow } from "./backer.ts";
import type { CommandScope, OfprotoCommand } from "./commands.ts";
import { TBL_INTERNAL } from "./flow-table.ts";
import type { Ofproto } from "./ofproto.ts";
import type { Rule } from "./rule.ts";

export function portNames(dpif: Dpif): OdpPortNames {
  const byNumber = new Map<number, string>();
  const byName = new Map<string, number>();
  for (const port of dpif.ports()) {
    byNumber.set(port.odpPort, port.name);
    byName.set(port.name, port.odpPort);
  }
  return { nameOf: (port) => byNumber.get(port), numberOf: (name) => byName.get(name) };
}

interface DumpOptions {
  more: boolean;
  names: boolean;
  /** dpctl and dpif differ in the mark after the UFID. */
  dpctl: boolean;
  wanted: (flow: DpFlow) => boolean;
}

/** One line a megaflow. */
export function dumpFlows(backer: Backer, options: DumpOptions): string[] {
  const { dpif } = backer;
  const ports = options.names ? portNames(dpif) : undefined;
  const stats: DpFlowStats = { packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 };
  const now = backer.clock.now();
  const lines: string[] = [];
  for (const flow of dpif.flows()) {
    if (!options.wanted(flow) || !dpif.flowStats(flow.handle, stats)) continue;
    const ufid = options.more ? `ufid:${ufidOf(flow.key, flow.mask)}${options.dpctl ? ", " : " "}` : "";
    const key = formatOdpKey(flow.key, flow.mask, { ports, verbose: options.more });
    const dp = options.more && options.dpctl ? ", dp:ovs" : "";
    const actions = formatOdpActions(flow.actions, {
      ports,
      key: flow.key,
      userspace: (index) => backer.frozen.formatUserspace(index),
    });
    lines.push(`${ufid}${key}, ${formatFlowStats(stats, now)}${dp}, actions:${actions}`);
  }
  return lines;
}

function takeFlags(args: readonly string[]): { more: boolean; names: boolean; rest: string[] } {
  const out = { more: false, names: false, rest: [] as string[] };
  for (const arg of args) {
    if (arg === "-m" || arg === "--more") {
      out.more = true;
      out.names = true;
    } else if (arg === "--names") out.names = true;
    else if (arg === "--no-names") out.names = false;
    else if (arg.startsWith("-")) throw new Error(`Unrecognized option ${arg}`);
    else out.rest.push(arg);
  }
  return out;
}

function findBacker(scope: CommandScope, name: string | undefined): Backer {
  const all = [...scope.backers()];
  if (name === undefined) {
    if (all.length === 1) return all[0]!;
    throw new Error(
      `ovs-vswitchd: ${all.length === 0 ? "no datapaths exist" : "multiple datapaths, specify one"}`,
    );
  }
  const found = all.find(({ dpif }) => name === `${dpif.type}@${dpif.name}` || name === dpif.name);
  if (found === undefined) throw new Error("ovs-vswitchd: datapath not found (Invalid argument)");
  return found;
}

function dpctlDumpFlows(scope: CommandScope, args: readonly string[]): string {
  const { more, names, rest } = takeFlags(args);
  let name: string | undefined;
  let filter: string | undefined;
  for (const arg of rest) {
    if (arg.startsWith("filter=")) filter = arg.slice(7);
    else if (arg.startsWith("type=")) {
      for (const type of arg.slice(5).split(",")) {
        if (!/^(ovs|tc|dpdk|offloaded|non-offloaded|partially-offloaded|all)$/.test(type)) {
          throw new Error(`ovs-vswitchd: Failed to parse type (${type}) (Invalid argument)`);
        }
      }
    } else if (!arg.startsWith("pmd=")) name = arg;
  }
  const backer = findBacker(scope, name);
  const lines = dumpFlows(backer, { more, names, dpctl: true, wanted: flowFilter(backer, filter) });
  if (lines.length === 0) return "";
  return `flow-dump from the main thread:\n${lines.join("\n")}\n`;
}

/** Megaflows that may match what an OpenFlow match describes. */
function flowFilter(backer: Backer, text: string | undefined): (flow: DpFlow) => boolean {
  if (text === undefined) return () => true;
  const parsed = parseMatch(text);
  if ("error" in parsed) throw new Error(`ovs-vswitchd: Failed to parse filter (${parsed.error})`);
  const { match } = parsed;
  return (flow) => {
    const mine = {
      flow: new Int32Array(match.flow.length),
      mask: new Int32Array(match.flow.length),
      tunMetadata: undefined,
    };
    fillFlow(mine.flow, flow.key, backer.portOf(flow.key[W_IN_PORT]!)?.ofPort ?? 0xffff);
    mine.mask.set(flow.mask);
    for (let i = 0; i < mine.flow.length; i++) mine.flow[i] = mine.flow[i]! & mine.mask[i]!;
    return matchesOverlap(match, mine);
  };
}

function dpifDumpFlows(scope: CommandScope, args: readonly string[]): string {
  const { more, names, rest } = takeFlags(args);
  const ofproto = scope.bridge(rest[0] ?? "");
  const lines = dumpFlows(ofproto.backer, {
    more,
    names,
    dpctl: false,
    wanted: (flow) => ofproto.backer.portOf(flow.key[W_IN_PORT]!)?.ofproto === ofproto,
  });
  return lines.map((line) => `${line}\n`).join("");
}

function ruleLine(rule: Rule, now: number): string {
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

/** Internal ports of a dummy datapath are dummies themselves. */
function datapathType(ofproto: Ofproto, type: string): string {
  if (type !== "internal") return type;
  if (ofproto.type === "dummy") return "dummy-internal";
  return ofproto.type === "netdev" ? "tap" : type;
}

const FEATURES: readonly (readonly [string, string])[] = [
  ["Masked set action", "Yes"],
  ["Tunnel push pop", "No"],
  ["Ufid", "Yes"],
  ["Truncate action", "Yes"],
  ["Clone action", "Yes"],
  ["Sample nesting", "10"],
  ["Conntrack eventmask", "No"],
  ["Conntrack clear", "No"],
  ["Max dp_hash algorithm", "1"],
  ["Check pkt length action", "Yes"],
  ["Conntrack timeout policy", "No"],
  ["Explicit Drop action", "Yes"],
  ["Optimized Balance TCP mode", "No"],
  ["Conntrack all-zero IP SNAT", "No"],
  ["MPLS Label add", "No"],
  ["psample action", "No"],
  ["Max VLAN headers", "2"],
  ["Max MPLS depth", "3"],
  ["Recirc", "Yes"],
  ["CT state", "No"],
  ["CT zone", "No"],
  ["CT mark", "No"],
  ["CT label", "No"],
  ["CT state NAT", "No"],
  ["CT orig tuple", "No"],
  ["CT orig tuple for IPv6", "No"],
  ["IPv6 ND Extension", "No"],
];

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
    { name: "dpif/show", usage: "", minArgs: 0, maxArgs: 0, run: () => dpifShow(scope) },
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
      run: (args) => {
        scope.bridge(args[0]!);
        return FEATURES.map(([name, value]) => `${name}: ${value}\n`).join("");
      },
    },
    {
      name: "dpif/dump-flows",
      usage: "[-m] [--names | --no-names] bridge",
      minArgs: 1,
      maxArgs: -1,
      run: (args) => dpifDumpFlows(scope, args),
    },
    {
      name: "dpctl/dump-flows",
      usage: "[-m] [--names] [dp] [filter=..] [type=..] [pmd=..]",
      minArgs: 0,
      maxArgs: 6,
      run: (args) => dpctlDumpFlows(scope, args),
    },
    {
      name: "dpctl/del-flows",
      usage: "[dp] [file]",
      minArgs: 0,
      maxArgs: 2,
      run: async (args) => {
        await findBacker(scope, args[0]).purge();
        return "";
      },
    },
  ];
}
