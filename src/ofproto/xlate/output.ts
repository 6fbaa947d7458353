/** Sending: one port, the port lists of FLOOD and ALL, the controller, and on into the bridge behind a patch port. */
import { ODP_METER, ODP_OUTPUT, ODP_SAMPLE, ODP_TRUNC, ODP_USERSPACE } from "../../datapath/odp/actions.ts";
import {
  FLOW_WORDS,
  type Flow,
  W_ACTSET_OUTPUT,
  W_ETH_TYPE,
  W_IN_PORT,
  W_METADATA_HI,
  W_NW,
  W_PACKET_TYPE,
  W_SKB_PRIORITY,
} from "../../flow/layout.ts";
import { OFPR_EXPLICIT_MISS } from "../../openflow/actions/output.ts";
import {
  OFPP_ALL,
  OFPP_CONTROLLER,
  OFPP_FLOOD,
  OFPP_IN_PORT,
  OFPP_NONE,
  OFPP_NORMAL,
  OFPP_TABLE,
} from "../../openflow/actions.ts";
import type { ControllerCopy, FrozenState } from "../frozen.ts";
import { OFPM_CONTROLLER } from "../meter.ts";
import { OFPPC_NO_FLOOD, OFPPC_NO_FWD, OFPPC_NO_RECV, type OfportState } from "../ports.ts";
import type { Rule } from "../rule.ts";
import type { OfPort } from "../types.ts";
import { ETH_TYPE_IP, ETH_TYPE_IPV6, type XlateContext } from "./context.ts";
import { clearConntrack } from "./ct.ts";
import { ensureEthernet } from "./encap.ts";
import { mirrorEgress, mirrorIngress } from "./mirror.ts";
import { xlateNormal } from "./normal.ts";
import { endPipeline, forkRecirculation, stateOf } from "./recirculate.ts";
import { sampleOutput } from "./sample.ts";
import { xlateTable } from "./table.ts";

export const OFPR_ACTION = 1;
const OFPR_ACTION_SET = 3;
const OFPR_GROUP = 4;
export const OFPR_PACKET_OUT = 5;

/** The action `output`. */
export function xlateOutput(
  ctx: XlateContext,
  port: number,
  maxLen: number,
  mayPacketIn: boolean,
  last: boolean,
): void {
  switch (port) {
    case OFPP_IN_PORT:
      outputToPort(ctx, ctx.inPort, last);
      return;
    case OFPP_TABLE:
      xlateTable(ctx, ctx.inPort, 0, mayPacketIn, true, last);
      return;
    case OFPP_NORMAL:
      xlateNormal(ctx);
      return;
    case OFPP_FLOOD:
      ctx.flooded = true;
      outputToAll(ctx, OFPPC_NO_FLOOD);
      return;
    case OFPP_ALL:
      outputToAll(ctx, 0);
      return;
    case OFPP_CONTROLLER:
      xlateController(ctx, maxLen, defaultReason(ctx), 0, undefined, 0);
      return;
    case OFPP_NONE:
      return;
    default:
      if (port === ctx.inPort) ctx.warn("skipping output to input port");
      else outputToPort(ctx, port, last);
  }
}

function defaultReason(ctx: XlateContext): number {
  if (ctx.inPacketOut) return OFPR_PACKET_OUT;
  if (ctx.inGroup) return OFPR_GROUP;
  if (ctx.inActionSet) return OFPR_ACTION_SET;
  return ctx.rule !== undefined && isTableMiss(ctx.rule) ? OFPR_EXPLICIT_MISS : OFPR_ACTION;
}

/** The entry of OpenFlow 1.3 section 5.4: lowest priority, matches every Ethernet packet. */
function isTableMiss({ priority, match }: Rule): boolean {
  return priority === 0 && match.mask.every((bits, word) => bits === 0 || word === W_PACKET_TYPE);
}

/** Every port but the input, and those with a bit of `without` in their configuration. */
function outputToAll(ctx: XlateContext, without: number): void {
  for (const port of ctx.ofproto.portsByNumber()) {
    if (port.ofPort === ctx.inPort || (port.config & without) !== 0) continue;
    outputToPort(ctx, port.ofPort);
  }
}

/** Sends to one port, the input port included. */
export function outputToPort(ctx: XlateContext, number: OfPort, last = false): void {
  const port = ctx.port(number);
  if (port === undefined) {
    ctx.warn("Nonexistent output port");
    return;
  }
  if ((port.config & OFPPC_NO_FWD) !== 0) {
    ctx.detail("OFPPC_NO_FWD set, skipping output");
    return;
  }
  if (port.isPatch && ctx.mirrorTruncate !== 0) {
    ctx.warn("Mirror truncate to ODPP_NONE, skipping output");
    return;
  }
  const { bundle } = port;
  if (bundle?.config.protected === true && ctx.port(ctx.inPort)?.bundle?.config.protected === true) {
    ctx.warn("Flow is between protected ports, skipping output.");
    return;
  }
  if (port.isPatch) xlatePatch(ctx, port, last);
  else if (ctx.flow[W_PACKET_TYPE] !== 0) {
    const place = pushSavedFlow(ctx.flow);
    ensureEthernet(ctx);
    emitOutput(ctx, port);
    popSavedFlow(place, ctx.flow);
  } else emitOutput(ctx, port);
  if (bundle !== undefined) mirrorEgress(ctx, bundle);
}

/** In the word of nw_tos. */
const DSCP_MASK = 0xfc00;

/** Gives an IP packet the DSCP that its queue at the port has for it. */
function markDscp(ctx: XlateContext, queueDscp: ReadonlyMap<number, number>): void {
  const { flow, wildcards } = ctx;
  const type = flow[W_ETH_TYPE]! & 0xffff;
  if (type !== ETH_TYPE_IP && type !== ETH_TYPE_IPV6) return;
  wildcards[W_SKB_PRIORITY] = -1;
  const dscp = queueDscp.get(flow[W_SKB_PRIORITY]! >>> 0);
  if (dscp === undefined) return;
  wildcards[W_NW] = wildcards[W_NW]! | DSCP_MASK | 0xff;
  flow[W_NW] = (flow[W_NW]! & ~DSCP_MASK) | (dscp << 10);
}

/** Sends to a port of the datapath. */
function emitOutput(ctx: XlateContext, port: OfportState): void {
  const tos = ctx.flow[W_NW]!;
  const queueDscp = port.bundle?.config.queueDscp;
  if (queueDscp !== undefined && queueDscp.size > 0) markDscp(ctx, queueDscp);
  ctx.commit();
  // Other ports get the packet as it was.
  ctx.flow[W_NW] = tos;
  sampleOutput(ctx, port.odpPort!);
  ctx.outputs.count++;
  ctx.outputs.port = port.ofPort;
  ctx.outputs.netdev = port.netdev;
  const length = ctx.mirrorTruncate !== 0 ? ctx.mirrorTruncate : ctx.truncate;
  if (length !== 0) {
    ctx.odp.emit(ODP_TRUNC, length);
    if (!ctx.ofproto.backer.features.has("trunc")) ctx.slow = true;
  }
  ctx.odp.emit(ODP_OUTPUT, port.odpPort!);
}

/** One saved flow a level of bridges: translations nest, and must not allocate. */
const savedFlows: Flow[] = [];
let savedDepth = 0;

export function pushSavedFlow(flow: Flow): number {
  const place = savedDepth++;
  let saved = savedFlows[place];
  if (saved === undefined) {
    saved = new Int32Array(FLOW_WORDS);
    savedFlows[place] = saved;
  }
  saved.set(flow);
  return place;
}

export function popSavedFlow(place: number, flow: Flow): void {
  flow.set(savedFlows[place]!);
  savedDepth = place;
}

/** After an exception in a translation (a defect) nothing may stay saved. */
export function resetSavedFlows(): void {
  savedDepth = 0;
}

/** The packet enters the peer's bridge as if it had just been received there. */
function xlatePatch(ctx: XlateContext, port: OfportState, last: boolean): void {
  const peer = ctx.ofproto.backer.patchPeer(ctx.ofproto, port);
  if (peer === undefined) {
    ctx.warn("Nonexistent patch port peer");
    return;
  }
  const ofproto = ctx.ofproto;
  const { rule, ruleCookie, tableId, trace, inActionSet, originalPriority, conntracked, wasMpls, mirrors } =
    ctx;
  const actionSet = ctx.actionSet.slice();
  const stack = ctx.stack.slice();
  const place = pushSavedFlow(ctx.flow);

  ctx.credits.push(ofproto.patchTx(port), peer.ofproto.patchRx(peer.port));
  ctx.ofproto = peer.ofproto;
  const flow = ctx.flow;
  flow[W_IN_PORT] = peer.port.ofPort;
  flow.fill(0, W_METADATA_HI, W_ACTSET_OUTPUT + 1);
  clearConntrack(flow);
  ctx.conntracked = false;
  ctx.stack.length = 0;
  ctx.mirrors = 0;
  ctx.actionSet.length = 0;
  ctx.inActionSet = false;
  const subs = ctx.bridgeNode();
  if (subs !== undefined) ctx.trace = subs;
  if (wasMpls) {
    // The peer may look below the label that came off.
    forkRecirculation(ctx, 0);
  } else if ((peer.port.config & OFPPC_NO_RECV) === 0) {
    mirrorIngress(ctx);
    xlateTable(ctx, peer.port.ofPort, 0, true, true, last, true);
    endPipeline(ctx);
  }
  ctx.trace = trace;

  // A peer's `exit` ends the peer's pipeline only.
  if (ctx.error === undefined) ctx.exit = false;
  popSavedFlow(place, ctx.flow);
  ctx.ofproto = ofproto;
  ctx.rule = rule;
  ctx.ruleCookie = ruleCookie;
  ctx.tableId = tableId;
  ctx.conntracked = conntracked;
  ctx.wasMpls = wasMpls;
  ctx.mirrors = mirrors;
  ctx.inActionSet = inActionSet;
  ctx.originalPriority = originalPriority;
  ctx.stack.length = 0;
  ctx.stack.push(...stack);
  ctx.actionSet.length = 0;
  for (const action of actionSet) ctx.actionSet.push(action);
}

/** A copy for the controllers, made by the datapath so that it is what the packet is at this point. */
export function xlateController(
  ctx: XlateContext,
  maxLen: number,
  reason: number,
  controllerId: number,
  userdata: Uint8Array | undefined,
  meterId: number,
): void {
  ctx.commit();
  const copy = {
    reason,
    cookie: ctx.ruleCookie,
    controllerId,
    maxLen,
    userdata,
    continuation: false,
    dontSend: !ctx.sideEffects && ctx.tracing,
  };
  emitController(ctx, { ...stateOf(ctx, ctx.tableId, undefined), actionSet: [] }, copy, meterId);
}

/** Hands the packet up for controllers, through their meter if there is one. */
export function emitController(
  ctx: XlateContext,
  state: FrozenState,
  copy: ControllerCopy,
  meterId: number,
): void {
  const { odp, ofproto } = ctx;
  const meter = ofproto.meters.get(meterId === 0 ? OFPM_CONTROLLER : meterId);
  let nested = -1;
  if (meter !== undefined) {
    // A copy of the packet may exceed its rate; the packet itself goes on.
    nested = odp.openNested(ODP_SAMPLE);
    odp.emitWord(-1);
    odp.emit(ODP_METER, meter.dpId);
  }
  odp.emit(ODP_USERSPACE, ofproto.backer.frozen.controller(state, copy));
  if (nested >= 0) odp.closeNested(nested);
}
