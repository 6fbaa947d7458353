/**
 * The command line of ofproto/trace and ofproto/trace-packet-out (ovs-vswitchd(8), "OFPROTO COMMANDS"):
 *
 *     [DP] ODP_FLOW | BRIDGE OF_FLOW, options, and bytes of a packet or -generate
 */
import { parseOdpKey } from "../datapath/odp/key-text.ts";
import { composePacket } from "../flow/compose.ts";
import { extractFlow, limitVlans, OFS_WORDS } from "../flow/extract.ts";
import { FLOW_WORDS, type Flow, W_IN_PORT, W_RECIRC_ID } from "../flow/layout.ts";
import { type PortNames, parseExactFlow } from "../flow/match-text.ts";
import { checkActions } from "../openflow/actions/check.ts";
import { parseActions } from "../openflow/actions/registry.ts";
import type { Ofpact } from "../openflow/actions.ts";
import { OfpError } from "../openflow/errors.ts";
import { USABLE_11_UP } from "../openflow/protocols.ts";
import type { Backer } from "./backer.ts";
import type { CommandScope } from "./commands.ts";
import type { FrozenState } from "./frozen.ts";
import { checkReferences } from "./handlers/groups.ts";
import { portNames } from "./megaflow-text.ts";
import type { Ofproto } from "./ofproto.ts";
import { parseCtNext } from "./trace-conntrack.ts";
import { OFPP_NONE } from "./types.ts";

export interface TraceRequest {
  ofproto: Ofproto;
  flow: Flow;
  /** What the flow's recirc_id stands for. */
  state: FrozenState | undefined;
  /** The bytes to run it with: MACs are learned, learn actions take effect. */
  packet: Uint8Array | undefined;
  /** Ports by name in what is printed. */
  names: boolean;
  /** A packet-out's actions, in place of the tables. */
  actions: readonly Ofpact[] | undefined;
  /** ct_state that successive recirculations by conntrack begin with. */
  ctNext: number[];
}

/** Where a flow enters. */
type Source = Pick<TraceRequest, "ofproto" | "flow" | "state">;

const ETHERNET_HEADER_LENGTH = 14;

export function ofPortNames(ofproto: Ofproto): PortNames {
  return {
    numberOf: (name) => ofproto.portByName(name)?.ofPort,
    nameOf: (port) => ofproto.portAt(port)?.name,
  };
}

function hexBytes(text: string): Uint8Array {
  const digits = text.replaceAll(/[\s.]/g, "");
  const pairs = /^([0-9a-fA-F]{2})*/.exec(digits)![0];
  if (pairs.length < digits.length) throw new Error("Trailing garbage in packet data");
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) =>
    Number.parseInt(digits.slice(i * 2, i * 2 + 2), 16),
  );
}

function packetBytes(text: string): Uint8Array {
  const bytes = hexBytes(text);
  if (bytes.length < ETHERNET_HEADER_LENGTH) throw new Error("Packet data too short for Ethernet");
  return bytes;
}

interface Words {
  generate: boolean;
  names: boolean;
  consistent: boolean;
  payload: Uint8Array | undefined;
  ctNext: number[];
  plain: string[];
}

function takeOptions(args: readonly string[], packetOut: boolean): Words {
  const words: Words = {
    generate: false,
    names: false,
    consistent: false,
    payload: undefined,
    ctNext: [],
    plain: [],
  };
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    const argument = (): string => {
      const value = args[++i];
      if (value === undefined) throw new Error(`Missing argument for option ${arg}`);
      return value;
    };
    if (arg === "-generate" || arg === "--generate" || arg === "generate") words.generate = true;
    else if (arg === "--names") words.names = true;
    else if (arg === "-consistent" && packetOut) words.consistent = true;
    else if (arg === "--ct-next") words.ctNext.push(parseCtNext(argument()));
    else if (arg === "--l7") words.payload = hexBytes(argument());
    else if (arg === "--l7-len") words.payload = new Uint8Array(payloadLength(argument()));
    else if (arg.startsWith("-")) throw new Error(`${arg}: unknown option`);
    else words.plain.push(arg);
  }
  return words;
}

function payloadLength(text: string): number {
  const length = Number(text);
  if (!/^\d+$/.test(text) || length > 64_000) throw new Error(`${text}: bad length for L7 payload`);
  return length;
}

/** Throws an Error with the reply's text. */
export function parseTraceRequest(
  scope: CommandScope,
  args: readonly string[],
  packetOut: boolean,
): TraceRequest {
  const words = takeOptions(args, packetOut);
  const { plain } = words;
  let actionText: string | undefined;
  if (packetOut) {
    actionText = plain.pop();
    if (actionText === undefined || plain.length === 0) throw new Error("insufficient arguments");
  }
  if (plain.length > 3) throw new Error("too many arguments");

  // One word is a flow. Of two the second may be a packet, when the first is a datapath's flow.
  let packet: Uint8Array | undefined;
  let where: string | undefined;
  let text: string;
  const [first, second, third] = plain as [string, string | undefined, string | undefined];
  const isDatapathFlow = (word: string) => /^\s*(ufid:[\w-]+[\s,]+)?\w+\s*\(/.test(word);
  if (second === undefined) text = first;
  else if (third === undefined && isDatapathFlow(first) && !isDatapathFlow(second)) {
    text = first;
    packet = packetBytes(second);
  } else if (third === undefined && !isDatapathFlow(second) && isPacket(second) && first.includes("=")) {
    text = first;
  } else {
    where = first;
    text = second;
    if (third !== undefined) packet = packetBytes(third);
  }
  if (packet !== undefined && words.generate) throw new Error("Syntax error");

  const { ofproto, flow, state } = isDatapathFlow(text)
    ? fromDatapathFlow(scope, where, text)
    : fromBridgeFlow(scope, where, text);
  if (packet !== undefined) extractFlow(packet, 0, packet.length, flow, new Int32Array(OFS_WORDS));
  else if (words.generate) packet = composePacket(flow, { payload: words.payload });
  const actions = actionText === undefined ? undefined : parsePacketOut(ofproto, flow, actionText, words);
  return { ofproto, flow, state, packet, names: words.names, actions, ctNext: words.ctNext };
}

function isPacket(text: string): boolean {
  return /^[0-9a-fA-F\s.]+$/.test(text);
}

/** Without actions a packet-out is traced as a packet that was received. */
function parsePacketOut(
  ofproto: Ofproto,
  flow: Flow,
  text: string,
  words: Words,
): readonly Ofpact[] | undefined {
  const { actions } = parseActions(text, { ports: ofPortNames(ofproto) });
  if (actions.some(({ type }) => type === "goto_table"))
    throw new Error("goto_table instruction not allowed here");
  try {
    if (words.consistent) {
      const match = { flow, mask: new Int32Array(FLOW_WORDS).fill(-1), tunMetadata: undefined };
      // What 1.0 alone lets pass is not consistent.
      const { error, usable } = checkActions(actions, match, USABLE_11_UP);
      if (error !== undefined || usable === 0) throw new OfpError("OFPBAC_MATCH_INCONSISTENT");
    }
    checkReferences(ofproto, actions);
  } catch (error) {
    if (error instanceof OfpError) throw new Error(`Bad actions: ${error.ofp}`);
    throw error;
  }
  return actions.length === 0 ? undefined : actions;
}

function fromDatapathFlow(scope: CommandScope, where: string | undefined, text: string): Source {
  const backer = backerNamed(scope, where);
  const parsed = parseOdpKey(text, portNames(backer.dpif));
  if ("error" in parsed)
    throw new Error(where === undefined ? `${parsed.error} (or the bridge name was omitted)` : parsed.error);
  limitVlans(parsed.key);
  const flow = new Int32Array(FLOW_WORDS);
  const found = backer.enter(parsed.key, flow);
  if (found === undefined) {
    const id = parsed.key[W_RECIRC_ID]! >>> 0;
    if (id !== 0) throw new Error(`no recirculation data for recirc_id 0x${id.toString(16)}`);
    throw new Error(`no OpenFlow port for datapath port ${parsed.key[W_IN_PORT]}`);
  }
  return { ...found, flow };
}

function fromBridgeFlow(scope: CommandScope, where: string | undefined, text: string): Source {
  if (where === undefined) throw new Error(`syntax error at ${text} (or the bridge name was omitted)`);
  if (where === "" || text === "") throw new Error("Cannot find the datapath");
  const ofproto = scope.find(where);
  if (ofproto === undefined) throw new Error(`${where}: unknown bridge`);
  const parsed = parseExactFlow(text, ofPortNames(ofproto));
  if ("error" in parsed) throw new Error(`Bad openflow flow syntax: ${parsed.error}`);
  let { flow } = parsed;
  try {
    flow = ofproto.tlvs.place(parsed.match).flow;
  } catch (error) {
    if (error instanceof OfpError) throw new Error(`Bad openflow flow syntax: ${text}: ${error.ofp}`);
    throw error;
  }
  if (!/(^|[,\s])in_port/.test(text)) flow[W_IN_PORT] = OFPP_NONE;
  const id = flow[W_RECIRC_ID]! >>> 0;
  const state = id === 0 ? undefined : ofproto.backer.frozen.state(id);
  if (id !== 0 && state === undefined)
    throw new Error(`no recirculation data for recirc_id 0x${id.toString(16)}`);
  return { ofproto: state?.ofproto ?? ofproto, flow, state };
}

function backerNamed(scope: CommandScope, name: string | undefined): Backer {
  const all = [...scope.backers()];
  const found = name === undefined ? (all.length === 1 ? all[0] : undefined) : undefined;
  const chosen = found ?? all.find(({ dpif }) => name === dpif.name);
  if (chosen === undefined) throw new Error("Cannot find the datapath");
  return chosen;
}
