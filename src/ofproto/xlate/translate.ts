/** A whole translation: a received packet's flow through its bridge's pipeline, or a packet-out's actions. */
import { ODP_DROP, ODP_WORDS_MAX } from "../../datapath/odp/actions.ts";
import {
  FLOW_DP_WORDS,
  type Flow,
  VLAN_CFI,
  W_ACTSET_OUTPUT,
  W_CT_NW_SRC,
  W_CT_STATE_ZONE,
  W_ETH_DST_HI,
  W_ETH_SRC_LO,
  W_ETH_TYPE,
  W_IGMP_ND_RESERVED,
  W_IN_PORT,
  W_IPV4_DST,
  W_IPV4_SRC,
  W_IPV6_LABEL,
  W_IPV6_SRC,
  W_MPLS,
  W_ND_TARGET,
  W_NSH_BASE,
  W_NSH_CONTEXT,
  W_NW,
  W_PACKET_TYPE,
  W_TCP_FLAGS,
  W_TP,
  W_TUN_ID_HI,
  W_VLAN0,
  W_VLAN1,
} from "../../flow/layout.ts";
import { formatActions } from "../../openflow/actions/registry.ts";
import type { Ofpact } from "../../openflow/actions.ts";
import { type FrozenState, thawMetadata } from "../frozen.ts";
import type { Ofproto } from "../ofproto.ts";
import { OFPPC_NO_RECV } from "../ports.ts";
import { OFT_THAW } from "../trace-nodes.ts";
import { xlateActions } from "./actions.ts";
import {
  ETH_TYPE_ARP,
  ETH_TYPE_IP,
  ETH_TYPE_IPV6,
  ETH_TYPE_MPLS,
  ETH_TYPE_MPLS_MCAST,
  ETH_TYPE_NSH,
  ETH_TYPE_RARP,
  XLATE_ERROR_NUMBER,
  type XlateContext,
} from "./context.ts";
import { mirrorIngress } from "./mirror.ts";
import { resetSavedFlows } from "./output.ts";
import { endPipeline } from "./recirculate.ts";
import { finishSamples, onlySamples, sampleInput } from "./sample.ts";
import { reportRule, ruleOrMiss } from "./table.ts";

/**
 * Runs `ctx.flow` (in_port an OpenFlow port of `ofproto`) through the tables. Afterwards `ctx.odp` has the actions,
 * `ctx.wildcards` the bits looked at, `ctx.credits` and `ctx.learns` what packets of the megaflow feed.
 */
export function translate(
  ctx: XlateContext,
  ofproto: Ofproto,
  nowMs: number,
  sideEffects: boolean,
  packetLength: number,
  state?: FrozenState,
): void {
  if (state !== undefined) thawMetadata(state, ctx.flow);
  ctx.begin(ofproto, nowMs, sideEffects, packetLength);
  ctx.flow[W_ACTSET_OUTPUT] = 0xfff7;
  resetSavedFlows();
  const top = ctx.trace;
  const bridge = ctx.bridgeNode();
  if (bridge !== undefined) ctx.trace = bridge;

  if (state !== undefined) thaw(ctx, state);
  else {
    sampleInput(ctx);
    mirrorIngress(ctx);
  }
  if (state?.actions !== undefined) xlateActions(ctx, state.actions, true);
  else firstTable(ctx, state?.tableId ?? 0);
  if (bridge !== undefined) ctx.trace = bridge;
  endPipeline(ctx);
  finishSamples(ctx);
  ctx.trace = top;
  ctx.odp.unwrapLastClone();
  explainDrop(ctx);
}

/** The pipeline goes on where it froze. */
function thaw(ctx: XlateContext, state: FrozenState): void {
  ctx.tableId = state.tableId;
  ctx.conntracked = state.conntracked;
  ctx.mirrors = state.mirrors;
  for (const value of state.stack) ctx.stack.push(value);
  for (const action of state.actionSet) ctx.actionSet.push(action);
  const { trace } = ctx;
  const subs = ctx.node(OFT_THAW, "thaw");
  if (subs === undefined) return;
  ctx.trace = subs;
  ctx.node(OFT_THAW, `Resuming from table ${ctx.ofproto.tables[state.tableId]?.name ?? state.tableId}`);
  if (state.actionSet.length > 0)
    ctx.node(OFT_THAW, `Restoring action set: ${formatActions(state.actionSet)}`);
  if (state.actions !== undefined && state.actions.length > 0)
    ctx.node(OFT_THAW, `Restoring actions: ${formatActions(state.actions)}`);
  ctx.trace = trace;
}

function firstTable(ctx: XlateContext, tableId: number): void {
  const { ofproto } = ctx;
  const rule = ruleOrMiss(ctx, tableId, true);
  reportRule(ctx, rule, ctx.tableId);
  if (rule !== undefined) {
    // What waits for its flows has not been received yet.
    if (!ofproto.restoring) ctx.credits.push(rule);
    ctx.rule = rule;
    ctx.ruleCookie = rule.cookie;
    const port = ofproto.portAt(ctx.flow[W_IN_PORT]!);
    const silent = ofproto.restoring || (port !== undefined && (port.config & OFPPC_NO_RECV) !== 0);
    if (!silent) xlateActions(ctx, rule.actions, true);
  }
}

/** A packet that goes nowhere is dropped by an action that says why, so that the datapath can count it. */
function explainDrop(ctx: XlateContext): void {
  const { odp, error } = ctx;
  if (odp.length > ODP_WORDS_MAX) ctx.slow = true;
  if (error !== undefined) odp.reset();
  if (odp.length > 0 && ctx.first.backer.explicitSampledDrops && onlySamples(ctx)) odp.emit(ODP_DROP, 0);
  if (odp.length === 0) odp.emit(ODP_DROP, error === undefined ? 0 : XLATE_ERROR_NUMBER[error]);
}

const VID = 0xfff;

export interface ActionsOptions {
  /** Controllers are told of a packet-out. */
  packetOut: boolean;
  sideEffects: boolean;
}

const PACKET_OUT: ActionsOptions = { packetOut: true, sideEffects: true };

/** A controller's own actions on `ctx.flow`. */
export function translateActions(
  ctx: XlateContext,
  ofproto: Ofproto,
  actions: readonly Ofpact[],
  nowMs: number,
  packetLength: number,
  options = PACKET_OUT,
): void {
  ctx.begin(ofproto, nowMs, options.sideEffects, packetLength);
  ctx.flow[W_ACTSET_OUTPUT] = 0xfff7;
  resetSavedFlows();
  ctx.inPacketOut = options.packetOut;
  const top = ctx.trace;
  const bridge = ctx.bridgeNode();
  if (bridge !== undefined) ctx.trace = bridge;
  mirrorIngress(ctx);
  xlateActions(ctx, actions, true);
  if (bridge !== undefined) ctx.trace = bridge;
  endPipeline(ctx);
  ctx.trace = top;
  ctx.odp.unwrapLastClone();
  explainDrop(ctx);
}

/**
 * The mask to install: what was looked at, and what a datapath needs to tell kinds of packets apart: whether there is a
 * tag at all, and nothing of headers that packets of this kind do not have. Where nothing has looked at the tag, the
 * VLAN is matched all the same, as the original's userspace datapath does: its statistics are then those of one VLAN.
 */
export function megaflowMask(ctx: XlateContext, out: Flow): void {
  const { wildcards, original } = ctx;
  for (let i = 0; i < FLOW_DP_WORDS; i++) out[i] = wildcards[i]!;
  forgetAbsent(original, out);
  const tag = (out[W_VLAN0]! & 0xffff) === 0 ? VLAN_CFI | VID : VLAN_CFI;
  out[W_VLAN0] = out[W_VLAN0]! | (0xffff0000 | 0) | tag;
  const type = original[W_ETH_TYPE]!;
  if (type === 0x0800 || type === 0x86dd) out[W_NW] = out[W_NW]! | (0xff000000 | 0);
}

/** The mask of a flow that serves packets like this one alone: all words that packets of its kind can have. */
export function exactMask(key: Flow, out: Flow): void {
  out.fill(-1, 0, FLOW_DP_WORDS);
  // Of ct_state only the bits that have a meaning; an untracked packet has no original direction.
  out[W_CT_STATE_ZONE] = 0xffff00ff | 0;
  if ((key[W_CT_STATE_ZONE]! & 0xffff) === 0) out.fill(0, W_CT_NW_SRC, W_NSH_BASE);
  let tunnelled = 0;
  for (let word = W_TUN_ID_HI; word < FLOW_DP_WORDS; word++) tunnelled |= key[word]!;
  // Those of a tunnel come in by another port.
  if (tunnelled === 0) out.fill(0, W_TUN_ID_HI, FLOW_DP_WORDS);
  forgetAbsent(key, out);
  const type = key[W_ETH_TYPE]!;
  const protocol = key[W_NW]! & 0xff;
  if ((type === ETH_TYPE_IP || type === ETH_TYPE_IPV6) && protocol !== 58) {
    out.fill(0, W_ND_TARGET, W_TP);
    if (protocol !== 6) out[W_TCP_FLAGS] = 0;
    if (protocol !== 2) out[W_IGMP_ND_RESERVED] = 0;
  }
}

/**
 * Headers that a packet of this type cannot have are zero by nature: bits looked at there (after a push, say) were
 * never the packet's.
 */
function forgetAbsent(original: Flow, out: Flow): void {
  if (original[W_VLAN0] === 0) out[W_VLAN1] = 0;
  const packetType = original[W_PACKET_TYPE]!;
  const type = packetType >>> 16 === 1 ? packetType & 0xffff : original[W_ETH_TYPE]!;
  if (type !== ETH_TYPE_NSH) out.fill(0, W_NSH_BASE, W_NSH_CONTEXT + 4);
  if (original[W_PACKET_TYPE] !== 0) out.fill(0, W_ETH_DST_HI, W_ETH_SRC_LO + 1);
  const protocol = original[W_NW]! & 0xff;
  // Type and code of ICMP are bytes.
  if ((type === ETH_TYPE_IP && protocol === 1) || (type === ETH_TYPE_IPV6 && protocol === 58))
    out[W_TP] = out[W_TP]! & 0x00ff00ff;
  switch (type) {
    case ETH_TYPE_IP:
    case ETH_TYPE_ARP:
    case ETH_TYPE_RARP:
      out.fill(0, W_MPLS, W_MPLS + 3);
      out.fill(0, W_IPV6_SRC, W_IPV6_LABEL + 1);
      return;
    case ETH_TYPE_IPV6:
      out.fill(0, W_MPLS, W_IPV4_DST + 1);
      return;
    case ETH_TYPE_MPLS:
    case ETH_TYPE_MPLS_MCAST:
      out.fill(0, W_IPV4_SRC, W_IGMP_ND_RESERVED + 1);
      return;
    default:
      out.fill(0, W_MPLS, W_IGMP_ND_RESERVED + 1);
  }
}

/** The mask as a trace shows it: a missing tag and its TPID go without saying. */
export function shownMask(ctx: XlateContext, out: Flow): void {
  out.set(ctx.wildcards);
  const { original } = ctx;
  forgetAbsent(original, out);
  if (original[W_VLAN0] === 0) out[W_VLAN0] = 0;
  else {
    let bits = out[W_VLAN0]! & 0xffff;
    // The CFI bit alone says "some tag".
    if (bits === VLAN_CFI) bits = 0;
    out[W_VLAN0] = bits;
  }
}
