/**
 * OFPP_NORMAL: forwarding as an 802.1Q bridge does (upstream: xlate_normal). VLANs are worked on as tags of flow words:
 * `outer` names the VLAN, `inner` is what follows it; a dot1q-tunnel port adds one in front.
 */
import {
  type Flow,
  VLAN_CFI,
  W_ETH_DST_HI,
  W_ETH_DST_SRC,
  W_ETH_SRC_LO,
  W_ETH_TYPE,
  W_IN_PORT,
  W_IPV4_DST,
  W_IPV4_SRC,
  W_NW,
  W_VLAN0,
  W_VLAN1,
} from "../../flow/layout.ts";
import { formatMacWords } from "../../lib/mac.ts";
import { ADDRESS_TABLE } from "../changes.ts";
import type { PortBundle } from "../port-bundle.ts";
import { OFPP_NONE } from "../types.ts";
import { ETH_TYPE_ARP, ETH_TYPE_VLAN_8021Q, type XlateContext } from "./context.ts";
import { outputToPort } from "./output.ts";

const VID = 0xfff;
const PCP = 0xe000;
const ARP_OP_REPLY = 2;

export function xlateNormal(ctx: XlateContext): void {
  const { flow, wildcards, ofproto } = ctx;
  wildcards[W_ETH_DST_HI] = -1;
  wildcards[W_ETH_DST_SRC] = -1;
  wildcards[W_ETH_SRC_LO] = -1;
  wildcards[W_VLAN0] = wildcards[W_VLAN0]! | VID | VLAN_CFI;

  const inBundle = ctx.port(ctx.inPort)?.bundle;
  if (inBundle === undefined) {
    if (ctx.inPort !== OFPP_NONE) {
      ctx.reportError(`received packet on unknown port ${ctx.inPort}`);
      ctx.warn("no input bundle, dropping");
      return;
    }
  } else if (!admits(ctx, inBundle)) return;

  const dstHi = flow[W_ETH_DST_HI]!;
  const dstLo = flow[W_ETH_DST_SRC]! >>> 16;
  if (!ofproto.forwardBpdu && isReserved(dstHi, dstLo)) {
    ctx.detail("packet has reserved destination MAC, dropping");
    return;
  }

  ctx.footprint.tag(ofproto.id, ADDRESS_TABLE);
  ctx.footprint.compare(flow, ctx.original);
  const { outer, inner } = inputTags(inBundle, flow);
  if (inBundle?.config.vlanMode === "dot1q-tunnel") wildcards[W_VLAN0] = -1;
  const vlan = outer & VID;
  if (inBundle !== undefined) learnSource(ctx, inBundle, vlan);

  if ((dstHi & 0x01000000) === 0) {
    const entry = ofproto.mac.lookup((dstHi >>> 0) * 0x10000 + dstLo, vlan);
    if (entry !== undefined) {
      if (entry.port === inBundle) ctx.detail("learned port is input port, dropping");
      else if (ofproto.mirrors.isOutput(entry.port)) ctx.warn("learned port is a mirror port, dropping");
      else {
        ctx.detail("forwarding to learned port");
        outputNormal(ctx, entry.port, outer, inner);
      }
      return;
    }
  }
  ctx.flooded = true;
  ctx.detail("no learned MAC for destination, flooding");
  for (const bundle of ofproto.bundles()) {
    if (bundle === inBundle || !bundle.floodable || bundle.ports.length === 0) continue;
    if (ofproto.mirrors.isOutput(bundle)) continue;
    if (bundle.carries(vlan, inner & VID)) outputNormal(ctx, bundle, outer, inner);
  }
}

/** Checks of the port that a packet came in by; reports why it is dropped. */
function admits(ctx: XlateContext, bundle: PortBundle): boolean {
  const { flow, ofproto } = ctx;
  const tag0 = flow[W_VLAN0]!;
  if ((flow[W_ETH_TYPE]! & 0xffff) === ETH_TYPE_VLAN_8021Q && (tag0 & VLAN_CFI) === 0) {
    ctx.reportError(`dropping packet with partial VLAN tag received on port ${bundle.name}`);
    ctx.warn("partial VLAN tag, dropping");
    return false;
  }
  if (ofproto.mirrors.isOutput(bundle)) {
    ctx.reportError(
      `dropping packet received on port ${bundle.name}, which is reserved exclusively for mirroring`,
    );
    ctx.warn("input port is mirror output port, dropping");
    return false;
  }
  const reason = bundle.rejects(tag0 & VID);
  if (reason === undefined) return true;
  ctx.reportError(reason);
  ctx.warn("disallowed VLAN VID for this input port, dropping");
  return false;
}

const tags = { outer: 0, inner: 0 };

/**
 * The packet's tags as if every port were a trunk: the outer one names the VLAN that it belongs to. `bundle` undefined: from
 * nowhere. The object is good until the next call.
 */
export function inputTags(bundle: PortBundle | undefined, flow: Flow): { outer: number; inner: number } {
  const tag0 = flow[W_VLAN0]!;
  tags.outer = tag0;
  tags.inner = flow[W_VLAN1]!;
  if (bundle === undefined) return tags;
  const { config } = bundle;
  if (config.vlanMode === "dot1q-tunnel") {
    tags.outer = (config.qinqEthtype << 16) | VLAN_CFI | bundle.tag;
    tags.inner = tag0;
    return tags;
  }
  const vlan = bundle.vlanOf(tag0 & VID);
  const tpid = tag0 >>> 16 === 0 ? ETH_TYPE_VLAN_8021Q : tag0 >>> 16;
  tags.outer = (tpid << 16) | (tag0 & PCP) | (vlan === 0 ? 0 : VLAN_CFI) | vlan;
  if (config.vlanMode === "access") tags.inner = 0;
  return tags;
}

/** 01:80:c2:00:00:0x (IEEE 802.1D table 7-10), and what Cisco and Extreme use alike. */
export function isReserved(hi: number, lo: number): boolean {
  switch (hi) {
    case 0x0180c200:
      return lo >>> 4 === 0;
    case 0x01000ccc:
      return lo >>> 4 === 0xccc;
    case 0x01000c00:
      return lo === 0;
    case 0x01000ccd:
      return lo === 0xcdcd;
    case 0x00e02b00:
      return lo === 0x0000 || lo === 0x0004 || lo === 0x0006;
    default:
      return false;
  }
}

/**
 * An ARP that announces its own sender: to all, a reply, or a request for the sender's own address. It moves an address at
 * once, and ordinary packets seen on a bond do not move it back for a while.
 */
function isGratuitousArp(flow: Flow, wildcards: Flow): boolean {
  if ((flow[W_ETH_TYPE]! & 0xffff) !== ETH_TYPE_ARP) return false;
  if (flow[W_ETH_DST_HI] !== -1 || flow[W_ETH_DST_SRC]! >>> 16 !== 0xffff) return false;
  wildcards[W_NW] = wildcards[W_NW]! | 0xff;
  if ((flow[W_NW]! & 0xff) === ARP_OP_REPLY) return true;
  wildcards[W_IPV4_SRC] = -1;
  wildcards[W_IPV4_DST] = -1;
  return flow[W_IPV4_SRC] === flow[W_IPV4_DST];
}

/** Refreshes or makes the entry of the source address. */
function learnSource(ctx: XlateContext, bundle: PortBundle, vlan: number): void {
  const { flow, ofproto } = ctx;
  const hi = flow[W_ETH_DST_SRC]! & 0xffff;
  const lo = flow[W_ETH_SRC_LO]!;
  if ((hi & 0x0100) !== 0 || ofproto.floodVlans.has(vlan)) return;
  const mac = hi * 0x1_0000_0000 + (lo >>> 0);
  ctx.learns.push({ bundle, ofproto, mac, vlan });
  // Which kind of packet it is matters on bonds only.
  const gratuitous = bundle.ports.length > 1 ? isGratuitousArp(flow, ctx.wildcards) : false;
  if (!ctx.sideEffects) return;
  if (ofproto.learnMac(mac, vlan, bundle, gratuitous) && ctx.tracing) {
    ctx.detail(`learned that ${formatMacWords(hi, lo)} is on port ${bundle.name} in VLAN ${vlan}`);
  }
}

/** Sends to `bundle` what {@link inputTags} made of the packet, tagged as the bundle wants it. */
export function outputNormal(ctx: XlateContext, bundle: PortBundle, outer: number, inner: number): void {
  const port = bundle.ports[0];
  if (port === undefined) return;
  const { flow } = ctx;
  const old0 = flow[W_VLAN0]!;
  const old1 = flow[W_VLAN1]!;
  const inPort = flow[W_IN_PORT]!;
  let tag = outer;
  let next = inner;
  if (bundle.strips(outer & VID)) {
    tag = inner;
    next = 0;
  }
  const { priorityTags } = bundle.config;
  if (priorityTags !== "no") tag = (tag & ~PCP) | (old0 & PCP);
  // VLAN 0 with a priority keeps its tag.
  const needed = (tag & (VID | PCP)) !== 0 || priorityTags === "always";
  const tpid = tag >>> 16 === 0 ? ETH_TYPE_VLAN_8021Q : tag >>> 16;
  flow[W_VLAN0] = needed ? (tpid << 16) | VLAN_CFI | (tag & (VID | PCP)) : 0;
  flow[W_VLAN1] = next;
  outputToPort(ctx, port.ofPort);
  flow[W_VLAN0] = old0;
  flow[W_VLAN1] = old1;
  flow[W_IN_PORT] = inPort;
}
