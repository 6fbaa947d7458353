/** ofproto/trace: what would happen to a packet, step by step (ovs-vswitchd(8), "OFPROTO COMMANDS"). */
import { ACTION_DROPS } from "../datapath/drop-reasons.ts";
import { formatOdpActions } from "../datapath/odp/action-text.ts";
import { parseOdpKey } from "../datapath/odp/key-text.ts";
import { composePacket } from "../flow/compose.ts";
import { extractFlow, OFS_WORDS } from "../flow/extract.ts";
import {
  FLOW_DP_WORDS,
  FLOW_WORDS,
  type Flow,
  W_ACTSET_OUTPUT,
  W_IN_PORT,
  W_RECIRC_ID,
} from "../flow/layout.ts";
import { formatFlow, formatMatch, type PortNames, parseExactFlow } from "../flow/match-text.ts";
import type { Backer } from "./backer.ts";
import type { CommandScope, OfprotoCommand } from "./commands.ts";
import { portNames } from "./commands-dump.ts";
import type { FrozenState } from "./frozen.ts";
import type { Ofproto } from "./ofproto.ts";
import { parseCtNext, resumeConntrack } from "./trace-conntrack.ts";
import { formatTrace, type TraceNode } from "./trace-nodes.ts";
import { OFPP_NONE } from "./types.ts";
import { type Recirculation, XLATE_ERROR_NUMBER } from "./xlate/context.ts";
import { shownMask, translate } from "./xlate/translate.ts";

interface Request {
  ofproto: Ofproto;
  flow: Flow;
  /** What the flow's recirc_id stands for. */
  state: FrozenState | undefined;
  /** The bytes to run it with: MACs are learned, learn actions take effect. */
  packet: Uint8Array | undefined;
  names: boolean;
  /** Connection states of packets that come back from connection tracking, in turn. */
  ctNext: number[];
}

function namesOf(ofproto: Ofproto): PortNames {
  return {
    numberOf: (name) => ofproto.portByName(name)?.ofPort,
    nameOf: (port) => ofproto.portAt(port)?.name,
  };
}

function hexBytes(text: string): Uint8Array | undefined {
  const digits = text.replaceAll(/[\s.]/g, "");
  if (digits === "" || digits.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(digits)) return undefined;
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) =>
    Number.parseInt(digits.slice(i * 2, i * 2 + 2), 16),
  );
}

function parseRequest(scope: CommandScope, args: readonly string[]): Request {
  let generate = false;
  let names = false;
  const words: string[] = [];
  const ctNext: number[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (arg === "-generate" || arg === "--generate" || arg === "generate") generate = true;
    else if (arg === "--names") names = true;
    else if (arg === "--no-names") names = false;
    else if (arg === "--ct-next") {
      if (i + 1 >= args.length) throw new Error("Missing argument for option --ct-next");
      ctNext.push(parseCtNext(args[++i]!));
    } else if (arg === "--l7" || arg === "--l7-len") i++;
    else if (arg.startsWith("-")) throw new Error(`${arg}: unknown option`);
    else words.push(arg);
  }
  if (words.length > 3) throw new Error("too many arguments");

  // Packet data is the last word, and nothing else looks like it.
  let packet: Uint8Array | undefined;
  const last = words.at(-1)!;
  if (words.length > 1 && !/[=(,]/.test(last)) {
    packet = hexBytes(last);
    if (packet === undefined) {
      if (words.length === 3) throw new Error("Trailing garbage in packet data");
    } else words.pop();
  }

  const text = words.at(-1)!;
  const where = words.length > 1 ? words[0]! : undefined;
  let ofproto: Ofproto;
  let state: FrozenState | undefined;
  const flow: Flow = new Int32Array(FLOW_WORDS);
  if (text.includes("(")) {
    const backer = backerNamed(scope, where);
    const parsed = parseOdpKey(text, portNames(backer.dpif));
    if ("error" in parsed) throw new Error(parsed.error);
    const found = backer.enter(parsed.key, flow);
    if (found === undefined) {
      const id = parsed.key[W_RECIRC_ID]!;
      if (id !== 0) throw new Error(`no recirculation data for recirc_id 0x${(id >>> 0).toString(16)}`);
      throw new Error(`no OpenFlow port for datapath port ${parsed.key[W_IN_PORT]}`);
    }
    ({ ofproto, state } = found);
  } else {
    if (where === undefined) throw new Error(`syntax error at ${text} (or the bridge name was omitted)`);
    const found = scope.find(where);
    if (found === undefined) throw new Error(`${where}: unknown bridge`);
    ofproto = found;
    const parsed = parseExactFlow(text, namesOf(ofproto));
    if ("error" in parsed) throw new Error(`Bad openflow flow syntax: ${parsed.error}`);
    flow.set(parsed.flow);
    if (!/(^|[,\s])in_port/.test(text)) flow[W_IN_PORT] = OFPP_NONE;
  }
  if (packet !== undefined) extractFlow(packet, 0, packet.length, flow, new Int32Array(OFS_WORDS));
  else if (generate) packet = composePacket(flow);
  return { ofproto, flow, state, packet, names, ctNext };
}

function backerNamed(scope: CommandScope, name: string | undefined): Backer {
  const all = [...scope.backers()];
  if (name === undefined) {
    if (all.length === 1) return all[0]!;
    throw new Error("Cannot find the datapath");
  }
  const byBridge = scope.find(name);
  if (byBridge !== undefined) return byBridge.backer;
  const found = all.find(({ dpif }) => name === `${dpif.type}@${dpif.name}` || name === dpif.name);
  if (found === undefined) throw new Error("Cannot find the datapath");
  return found;
}

/** Without the action set's output, which nobody asked for. */
function flowText(flow: Flow, ports: PortNames | undefined): string {
  const shown = flow.slice();
  shown[W_ACTSET_OUTPUT] = 0;
  return formatFlow(shown, ports);
}

/** The whole text of a trace, with those of the packets that connection tracking gives back. */
function traceText(request: Request): string {
  const { backer } = request.ofproto;
  return backer.frozen.temporarily(() => {
    const waiting: Recirculation[] = [];
    const lines = tracePass(request, request.ofproto, request.flow, request.state, waiting);
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const state = backer.frozen.state(next.id)!;
      lines.push(...resumeConntrack(next, request.ctNext.shift()));
      lines.push(...tracePass(request, state.ofproto, next.flow, state, waiting));
    }
    return lines.join("\n");
  });
}

/** One way through the pipeline. */
function tracePass(
  { packet, names }: Request,
  ofproto: Ofproto,
  flow: Flow,
  state: FrozenState | undefined,
  waiting: Recirculation[],
): string[] {
  const { backer } = ofproto;
  const ports = names ? namesOf(ofproto) : undefined;
  const ctx = backer.xlate;
  const nodes: TraceNode[] = [];
  const lines = [`Flow: ${flowText(flow, ports)}`];

  ctx.flow.set(flow);
  ctx.trace = nodes;
  ctx.portNames = ports;
  translate(ctx, ofproto, ofproto.clock.now(), packet !== undefined, packet?.length ?? 0, state);
  ctx.trace = undefined;
  ctx.portNames = undefined;
  formatTrace(nodes, lines);

  const initial = flowText(flow, ports);
  const final = flowText(ctx.flow, ports);
  lines.push("", `Final flow: ${initial === final ? "unchanged" : final}`);
  const mask = new Int32Array(FLOW_WORDS);
  shownMask(ctx, mask);
  mask.fill(0, FLOW_DP_WORDS);
  const masked = flow.slice();
  for (let i = 0; i < FLOW_WORDS; i++) masked[i] = masked[i]! & mask[i]!;
  lines.push(`Megaflow: ${formatMatch({ flow: masked, mask, tunMetadata: undefined }, { ports })}`);
  const actions = formatOdpActions(ctx.odp.words.subarray(0, ctx.odp.length), {
    ports: names ? portNames(backer.dpif) : undefined,
    key: flow,
    userspace: (index) => backer.frozen.formatUserspace(index),
  });
  lines.push(`Datapath actions: ${actions}`);
  if (ctx.error !== undefined) {
    lines.push(
      `Translation failed (${ACTION_DROPS[XLATE_ERROR_NUMBER[ctx.error]]!.text}), packet is dropped.`,
    );
  }
  waiting.push(...ctx.recirculations);
  return lines;
}

export function traceCommands(scope: CommandScope): OfprotoCommand[] {
  return [
    {
      name: "ofproto/trace",
      usage: "{[dp_name] odp_flow | bridge br_flow} [OPTIONS...] [-generate|packet]",
      minArgs: 1,
      maxArgs: -1,
      run: (args) => traceText(parseRequest(scope, args)),
    },
  ];
}
