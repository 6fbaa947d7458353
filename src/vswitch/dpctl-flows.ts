/** `ovs-appctl dpctl/*` about megaflows: dump them, and add, change and delete some by hand (upstream: lib/dpctl). */
import type { DpFlow, DpFlowStats, DpifFlows, FlowHandle } from "../datapath/dpif.ts";
import { parseOdpActions } from "../datapath/odp/action-text.ts";
import { OdpActionBuilder } from "../datapath/odp/actions.ts";
import { normalizeText, parseActionsText } from "../datapath/odp/dpctl-text.ts";
import { parseOdpKey } from "../datapath/odp/key-text.ts";
import { formatFlowStats } from "../datapath/odp/stats-text.ts";
import { ufidOf } from "../datapath/ufid.ts";
import { FLOW_DP_WORDS, type Flow, W_IN_PORT } from "../flow/layout.ts";
import type { Clock } from "../lib/clock.ts";
import { codeOf, describeError, Fatal } from "../lib/errors.ts";
import { RateLimit, vlog } from "../lib/vlog.ts";
import { takeDumpFlags } from "../ofproto/commands-dump.ts";
import {
  dumpFlows,
  type FlowSource,
  flowFilter,
  formatMegaflow,
  portNames,
} from "../ofproto/megaflow-text.ts";

const PROGRAM = "ovs-vswitchd";
const logDpif = vlog("dpif");
const logNetdev = vlog("dpif_netdev");
const limit = new RateLimit(60, 60);

const FLOW_TYPES = /^(ovs|tc|dpdk|offloaded|non-offloaded|partially-offloaded|all)$/;
const UFID = /^ufid:([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})/i;

/** A datapath as these commands see it. */
export type FlowTarget = Omit<FlowSource, "now">;

/** Behind the back of the switch logic, which is told what they have counted, and finds them missing when it looks. */
function takeFlows({ dpif, backer }: FlowTarget, flows: readonly FlowHandle[]): Promise<void> {
  return dpif.flowsDel(flows, (flow, last) => backer?.flowTaken(flow, last));
}

export interface DpctlFlows {
  clock: Clock;
  /** The datapath of that name, or the only one. Throws Fatal. */
  find: (name: string | undefined) => FlowTarget;
  readFile: (path: string) => string;
  /** What a flow is called where it is. */
  ufid?: (dpif: DpifFlows, flow: FlowHandle) => string | undefined;
  /** Makes a mask what the datapath will make of it. */
  narrow?: (key: Flow, mask: Flow) => void;
}

interface ParsedFlow {
  ufid: string | undefined;
  key: Flow;
  mask: Flow;
}

interface Change {
  mayCreate: boolean;
  mustCreate: boolean;
  statistics: boolean;
}

export type DpctlCommand = readonly [
  name: string,
  usage: string,
  min: number,
  max: number,
  run: (args: readonly string[]) => Promise<string> | string,
];

/** Unique ids that people have given to flows of theirs. */
class ChosenUfids {
  readonly #given: DpctlFlows["ufid"];

  constructor(given: DpctlFlows["ufid"]) {
    this.#given = given;
  }

  chosen(dpif: DpifFlows, flow: FlowHandle): string | undefined {
    return this.of(dpif).get(flow) ?? this.#given?.(dpif, flow);
  }

  readonly #byDpif = new WeakMap<DpifFlows, Map<FlowHandle, string>>();

  of(dpif: DpifFlows): Map<FlowHandle, string> {
    let found = this.#byDpif.get(dpif);
    if (found === undefined) {
      found = new Map();
      this.#byDpif.set(dpif, found);
    }
    return found;
  }

  find(dpif: DpifFlows, flow: DpFlow): string {
    return this.chosen(dpif, flow.handle) ?? ufidOf(flow.key, flow.mask);
  }
}

function fatal(text: string): Fatal {
  return new Fatal(`${PROGRAM}: ${text}`);
}

/** What `ovs-dpctl` answers by itself. */
function local(run: (args: readonly string[]) => string, args: readonly string[]): string {
  try {
    return run(args);
  } catch (error) {
    throw error instanceof Fatal ? fatal(error.message) : error;
  }
}

function parseFlow(dpif: DpifFlows, text: string, narrow: DpctlFlows["narrow"]): ParsedFlow {
  const ufid = UFID.exec(text)?.[1]?.toLowerCase();
  const parsed = parseOdpKey(text, portNames(dpif));
  if ("error" in parsed) throw fatal(`parsing flow key (${parsed.error}) (Invalid argument)`);
  const { key, mask } = parsed;
  narrow?.(key, mask);
  // A field that is not named is wildcarded; bits outside of the mask must not tell flows apart.
  for (let word = 0; word < FLOW_DP_WORDS; word++) key[word] = key[word]! & mask[word]!;
  return { ufid, key, mask };
}

function parseActions(dpif: DpifFlows, text: string): Int32Array {
  const builder = new OdpActionBuilder();
  const bad = parseOdpActions(text, builder, { ports: portNames(dpif) });
  if (bad !== undefined) throw fatal("parsing actions (Invalid argument)");
  return builder.take();
}

/** The flow with this key under this mask, or that unique id. */
function findFlow(ufids: ChosenUfids, dpif: DpifFlows, wanted: ParsedFlow): DpFlow | undefined {
  const id = wanted.ufid ?? ufidOf(wanted.key, wanted.mask);
  for (const flow of dpif.flows()) {
    // What people have called otherwise is found by that alone.
    const byKey = wanted.ufid === undefined && !ufids.of(dpif).has(flow.handle);
    if ((byKey ? ufidOf(flow.key, flow.mask) : ufids.find(dpif, flow)) === id) return flow;
  }
  return undefined;
}

export function dpctlFlowCommands(context: DpctlFlows): DpctlCommand[] {
  const ufids = new ChosenUfids(context.ufid);
  const now = (): number => context.clock.now();

  const statisticsOf = (dpif: DpifFlows, flow: DpFlow): string => {
    const stats: DpFlowStats = { packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 };
    dpif.flowStats(flow.handle, stats);
    return formatFlowStats(stats, now());
  };

  const put = async (target: FlowTarget, flowText: string, actionText: string, change: Change) => {
    const { dpif } = target;
    const flow = parseFlow(dpif, flowText, context.narrow);
    const actions = parseActions(dpif, actionText);
    const fail = (reason: string): Fatal => {
      logDpif.warnRl(
        limit,
        `${dpif.type}@${dpif.name}: failed to put[${change.mustCreate ? "create" : "modify"}] (${reason}) ` +
          `${flowText}, actions:${actionText}`,
      );
      return fatal(`updating flow table (${reason})`);
    };
    if (flow.mask[W_IN_PORT] !== -1) {
      logNetdev.err("flow: in_port is not an exact match");
      throw fail("Invalid argument");
    }
    const old = findFlow(ufids, dpif, flow);
    if (old !== undefined && change.mustCreate) throw fail("File exists");
    if (old === undefined && !change.mayCreate) throw fail("No such file or directory");
    const before = old !== undefined && change.statistics ? `${statisticsOf(dpif, old)}\n` : "";
    try {
      if (old !== undefined) dpif.flowSetActions(old.handle, actions);
      else {
        const handle = dpif.flowPut(flow.key, flow.mask, actions);
        if (flow.ufid !== undefined) ufids.of(dpif).set(handle, flow.ufid);
      }
    } catch (error) {
      if (codeOf(error) === undefined) throw error;
      throw fail(describeError(error));
    }
    await dpif.settled();
    return before;
  };

  const remove = async (target: FlowTarget, flowText: string): Promise<string> => {
    const { dpif } = target;
    const flow = findFlow(ufids, dpif, parseFlow(dpif, flowText, context.narrow));
    if (flow === undefined)
      throw fatal("deleting flow (No such file or directory)\nPerhaps you need to specify a UFID?");
    const text = statisticsOf(dpif, flow);
    await takeFlows(target, [flow.handle]);
    ufids.of(dpif).delete(flow.handle);
    return `${text}\n`;
  };

  /** Each line is a flow, with a word before it that says what is to be done where `otherwise` does not. */
  const applyFile = async (target: FlowTarget, path: string, otherwise: string): Promise<string> => {
    let text: string;
    try {
      text = context.readFile(path);
    } catch {
      throw fatal(`Opening file "${path}" failed (No such file or directory)`);
    }
    let output = "";
    for (const [index, line] of text.split("\n").entries()) {
      const words = line.replace(/#.*/, "").trim();
      if (words === "") continue;
      const [, verb = otherwise, rest] = /^(?:(add|modify|delete)\s+)?(.*)$/.exec(words)!;
      const [, flow, actions] = /^(\S+)(?:\s+(.*))?$/.exec(rest!)!;
      if ((verb === "delete") !== (actions === undefined)) {
        output += `${PROGRAM}: Failed parsing line number ${index + 1}, skipped!\n`;
        continue;
      }
      if (verb === "delete") await remove(target, flow!);
      else
        await put(target, flow!, actions!, {
          mayCreate: verb === "add",
          mustCreate: verb === "add",
          statistics: false,
        });
    }
    return output;
  };

  const withDp = (
    args: readonly string[],
    words: number,
  ): { target: FlowTarget; rest: readonly string[] } => {
    const named = args.length > words;
    return { target: context.find(named ? args[0] : undefined), rest: named ? args.slice(1) : args };
  };

  const dump = (args: readonly string[]): string => {
    const { more, names, rest } = takeDumpFlags(args);
    const options = new Map<string, string>();
    const words = [...rest];
    for (let at = words.length - 1; at >= 0; at--) {
      const option = /^(filter|type|pmd)=(.*)$/s.exec(words[at]!);
      if (option === null || options.has(option[1]!)) break;
      options.set(option[1]!, option[2]!);
      words.pop();
    }
    const target = context.find(words[0]);
    const types = options.get("type")?.split(",") ?? [];
    for (const type of types)
      if (!FLOW_TYPES.test(type)) throw fatal(`Failed to parse type (${type}) (Invalid argument)`);
    const filterText = options.get("filter");
    const filter = filterText === undefined ? () => true : flowFilter(target.backer, filterText);
    if (typeof filter === "string") throw fatal(`Failed to parse filter (${filter})`);
    // There are no flows but those of the datapath itself, in its one thread.
    const none =
      types.length > 0 && !types.some((type) => type === "ovs" || type === "all" || type === "non-offloaded");
    const pmd = options.get("pmd");
    if (none || (pmd !== undefined && pmd !== "-1")) return "";
    const { dpif } = target;
    const lines = dumpFlows(
      { ...target, now: now() },
      { more, names, dpctl: true, wanted: filter, ufid: (flow) => ufids.chosen(dpif, flow.handle) },
    );
    return lines.length === 0 ? "" : `flow-dump from the main thread:\n${lines.join("\n")}\n`;
  };

  return [
    ["dpctl/dump-flows", "[-m] [--names] [dp] [filter=..] [type=..] [pmd=..]", 0, 6, dump],
    [
      "dpctl/add-flow",
      "[dp] flow actions",
      2,
      3,
      (args) => {
        const { target, rest } = withDp(args, 2);
        return put(target, rest[0]!, rest[1]!, { mayCreate: true, mustCreate: true, statistics: false });
      },
    ],
    [
      "dpctl/mod-flow",
      "[dp] flow actions",
      2,
      6,
      (args) => {
        const words = args.filter((word) => !word.startsWith("-"));
        if (args.includes("--clear")) throw fatal("updating flow table (Operation not supported)");
        const { target, rest } = withDp(words, 2);
        return put(target, rest[0]!, rest[1]!, {
          mayCreate: args.includes("--may-create"),
          mustCreate: false,
          statistics: args.includes("-s") || args.includes("--statistics"),
        });
      },
    ],
    [
      "dpctl/add-flows",
      "[dp] file",
      1,
      2,
      (args) => {
        const { target, rest } = withDp(args, 1);
        return applyFile(target, rest[0]!, "add");
      },
    ],
    [
      "dpctl/mod-flows",
      "[dp] file",
      1,
      2,
      (args) => {
        const { target, rest } = withDp(args, 1);
        return applyFile(target, rest[0]!, "modify");
      },
    ],
    [
      "dpctl/del-flow",
      "[dp] flow",
      1,
      3,
      (args) => {
        const words = args.filter((word) => word !== "-s" && word !== "--statistics");
        const { target, rest } = withDp(words, 1);
        return remove(target, rest[0]!);
      },
    ],
    [
      "dpctl/del-flows",
      "[dp] [file]",
      0,
      2,
      async (args) => {
        const names = [...args];
        let target: FlowTarget;
        // One argument is a datapath's name where there is one of that name, else a file's.
        try {
          target = context.find(names[0]);
          names.shift();
        } catch (error) {
          if (names.length !== 1) throw error;
          target = context.find(undefined);
        }
        if (names.length > 0) return applyFile(target, names[0]!, "delete");
        await takeFlows(
          target,
          [...target.dpif.flows()].map(({ handle }) => handle),
        );
        ufids.of(target.dpif).clear();
        return "";
      },
    ],
    [
      "dpctl/get-flow",
      "[dp] ufid",
      1,
      4,
      (args) => {
        const { more, names, rest: words } = takeDumpFlags(args);
        const { target, rest } = withDp(words, 1);
        const { dpif } = target;
        const wanted = UFID.exec(rest[0]!)?.[1]?.toLowerCase();
        if (wanted === undefined) throw fatal("parsing flow ufid (Invalid argument)");
        for (const flow of dpif.flows()) {
          if (ufids.find(dpif, flow) !== wanted) continue;
          const ports = names ? portNames(dpif) : undefined;
          const line = formatMegaflow({ ...target, now: now() }, flow, ports, {
            more,
            dpctl: true,
            ufid: (each) => ufids.chosen(dpif, each.handle),
          });
          return `${line ?? ""}\n`;
        }
        throw fatal("getting flow (No such file or directory)");
      },
    ],
    ["dpctl/normalize-actions", "actions", 2, -1, (args) => local(normalizeText, args)],
    ["dpctl/parse-actions", "actions", 1, -1, (args) => local(parseActionsText, args)],
  ];
}
