/** ofproto/trace: what would happen to a packet, step by step (ovs-vswitchd(8), "OFPROTO COMMANDS"). */
import { ACTION_DROPS } from "../datapath/drop-reasons.ts";
import { formatOdpActions } from "../datapath/odp/action-text.ts";
import { parseOdpKey } from "../datapath/odp/key-text.ts";
import { composePacket } from "../flow/compose.ts";
import { extractFlow, OFS_WORDS } from "../flow/extract.ts";
import { FLOW_DP_WORDS, FLOW_WORDS, type Flow, W_ACTSET_OUTPUT, W_IN_PORT } from "../flow/layout.ts";
import { formatFlow, formatMatch, type PortNames, parseExactFlow } from "../flow/match-text.ts";
import { type Backer, fillFlow } from "./backer.ts";
import type { CommandScope, OfprotoCommand } from "./commands.ts";
import { portNames } from "./commands-dump.ts";
import type { Ofproto } from "./ofproto.ts";
import { formatTrace, type TraceNode } from "./trace-nodes.ts";
import { OFPP_NONE } from "./types.ts";
import { XLATE_ERROR_NUMBER } from "./xlate/context.ts";
import { shownMask, translate } from "./xlate/translate.ts";

interface Request {
  ofproto: Ofproto;
  flow: Flow;
  /** The bytes to run it with: MACs are learned, learn actions take effect. */
  packet: Uint8Array | undefined;
  names: boolean;
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
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (arg === "-generate" || arg === "--generate" || arg === "generate") generate = true;
    else if (arg === "--names") names = true;
    else if (arg === "--no-names") names = false;
    else if (arg === "--ct-next" || arg === "--l7" || arg === "--l7-len") i++;
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
  let flow: Flow;
  if (text.includes("(")) {
    const backer = backerNamed(scope, where);
    const parsed = parseOdpKey(text, portNames(backer.dpif));
    if ("error" in parsed) throw new Error(parsed.error);
    const port = parsed.key[W_IN_PORT]!;
    const found = backer.portOf(port);
    if (found === undefined) throw new Error(`no OpenFlow port for datapath port ${port}`);
    ofproto = found.ofproto;
    flow = new Int32Array(FLOW_WORDS);
    fillFlow(flow, parsed.key, found.ofPort);
  } else {
    if (where === undefined) throw new Error(`syntax error at ${text} (or the bridge name was omitted)`);
    const found = scope.find(where);
    if (found === undefined) throw new Error(`${where}: unknown bridge`);
    ofproto = found;
    const parsed = parseExactFlow(text, namesOf(ofproto));
    if ("error" in parsed) throw new Error(`Bad openflow flow syntax: ${parsed.error}`);
    flow = parsed.flow;
    if (!/(^|[,\s])in_port/.test(text)) flow[W_IN_PORT] = OFPP_NONE;
  }
  if (packet !== undefined) extractFlow(packet, 0, packet.length, flow, new Int32Array(OFS_WORDS));
  else if (generate) packet = composePacket(flow);
  return { ofproto, flow, packet, names };
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

/** The whole text of a trace. */
export function traceText(request: Request): string {
  const { ofproto, flow, packet, names } = request;
  const { backer } = ofproto;
  const ports = names ? namesOf(ofproto) : undefined;
  const ctx = backer.xlate;
  const nodes: TraceNode[] = [];
  const lines = [`Flow: ${flowText(flow, ports)}`];

  ctx.flow.set(flow);
  ctx.trace = nodes;
  ctx.portNames = ports;
  translate(ctx, ofproto, ofproto.clock.now(), packet !== undefined, packet?.length ?? 0);
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
    userspace: (index) => backer.userdata.format(index),
  });
  lines.push(`Datapath actions: ${actions}`);
  if (ctx.error !== undefined) {
    lines.push(
      `Translation failed (${ACTION_DROPS[XLATE_ERROR_NUMBER[ctx.error]]!.text}), packet is dropped.`,
    );
  }
  return lines.join("\n");
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
