/**
 * OFPP_NORMAL: forwarding as an 802.1Q bridge does (upstream: xlate_normal). VLANs are worked on as tags of flow words:
 * `outer` names the VLAN, `inner` is what follows it; a dot1q-tunnel port adds one in front.
 */
import {
  VLAN_CFI,
  W_ETH_DST_HI,
  W_ETH_DST_SRC,
  W_ETH_SRC_LO,
  W_ETH_TYPE,
  W_IN_PORT,
  W_IPV4_DST,
  W_IPV4_SRC,
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

export function xlateNormal(ctx: XlateContext): void {
  const { flow, wildcards, ofproto } = ctx;
  wildcards[W_ETH_DST_HI] = -1;
  wildcards[W_ETH_DST_SRC] = -1;
  wildcards[W_ETH_SRC_LO] = -1;
  wildcards[W_VLAN0] = wildcards[W_VLAN0]! | VID | VLAN_CFI;

  const inPort = ctx.port(ctx.inPort);
  const inBundle = inPort?.bundle;
  if (inBundle === undefined && ctx.inPort !== OFPP_NONE) {
    ctx.reportError(`received packet on unknown port ${ctx.inPort}`);
    ctx.warn("no input bundle, dropping");
    return;
  }

  const tag0 = flow[W_VLAN0]!;
  const tag1 = flow[W_VLAN1]!;
  const vid = tag0 & VID;
  if (inBundle !== undefined) {
    const reason = inBundle.rejects(vid, tag1 & VID);
    if (reason !== undefined) {
      ctx.reportError(reason);
      ctx.warn("disallowed VLAN VID for this input port, dropping");
      return;
    }
  }

  const dstHi = flow[W_ETH_DST_HI]!;
  const dstLo = flow[W_ETH_DST_SRC]! >>> 16;
  if (!ofproto.forwardBpdu && isReserved(dstHi, dstLo)) {
    ctx.detail("packet has reserved destination MAC, dropping");
    return;
  }

  ctx.footprint.tag(ofproto.id, ADDRESS_TABLE);
  ctx.footprint.compare(flow, ctx.original);

  // The packet's tags from here on, as if every port were a trunk.
  let outer: number;
  let inner: number;
  if (inBundle === undefined) {
    outer = tag0;
    inner = tag1;
  } else if (inBundle.config.vlanMode === "dot1q-tunnel") {
    outer = (inBundle.config.qinqEthtype << 16) | VLAN_CFI | inBundle.tag;
    inner = tag0;
    wildcards[W_VLAN0] = -1;
  } else {
    const vlan = inBundle.vlanOf(vid);
    const tpid = tag0 >>> 16 === 0 ? ETH_TYPE_VLAN_8021Q : tag0 >>> 16;
    outer = (tpid << 16) | (tag0 & PCP) | (vlan === 0 ? 0 : VLAN_CFI) | vlan;
    inner = tag1;
  }
  const vlan = outer & VID;

  if (inBundle !== undefined) learnSource(ctx, inBundle, vlan);

  if ((dstHi & 0x01000000) === 0) {
    const entry = ofproto.mac.lookup((dstHi >>> 0) * 0x10000 + dstLo, vlan);
    if (entry !== undefined) {
      if (entry.port === inBundle) ctx.detail("learned port is input port, dropping");
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
    if (inBundle?.config.protected === true && bundle.config.protected) continue;
    if (carries(bundle, vlan, inner & VID)) outputNormal(ctx, bundle, outer, inner);
  }
}

function carries(bundle: PortBundle, vlan: number, innerVid: number): boolean {
  if (!bundle.includes(vlan)) return false;
  switch (bundle.config.vlanMode) {
    case "access":
      return innerVid === 0;
    case "dot1q-tunnel":
      return bundle.config.cvlans.length === 0 || bundle.config.cvlans.includes(innerVid);
    default:
      return true;
  }
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

/** Refreshes or makes the entry of the source address. */
function learnSource(ctx: XlateContext, bundle: PortBundle, vlan: number): void {
  const { flow, ofproto } = ctx;
  const hi = flow[W_ETH_DST_SRC]! & 0xffff;
  const lo = flow[W_ETH_SRC_LO]!;
  if ((hi & 0x0100) !== 0 || ofproto.floodVlans.has(vlan)) return;
  const mac = hi * 0x1_0000_0000 + (lo >>> 0);
  ctx.learns.push({ bundle, ofproto, mac, vlan });
  if (!ctx.sideEffects) return;
  const isGratuitousArp =
    flow[W_ETH_TYPE] === ETH_TYPE_ARP && flow[W_IPV4_SRC] === flow[W_IPV4_DST] && flow[W_ETH_DST_HI] === -1;
  if (ofproto.learnMac(mac, vlan, bundle, isGratuitousArp) && ctx.tracing) {
    ctx.detail(`learned that ${formatMacWords(hi, lo)} is on port ${bundle.name} in VLAN ${vlan}`);
  }
}

function outputNormal(ctx: XlateContext, bundle: PortBundle, outer: number, inner: number): void {
  const port = bundle.ports[0];
  if (port === undefined) return;
  const { flow } = ctx;
  const pcp = outer & PCP;
  let tag: number;
  let next = inner;
  if (!bundle.strips(outer & VID)) {
    // VLAN 0 with a priority keeps its tag.
    tag = (outer & (VID | PCP)) === 0 ? 0 : outer | VLAN_CFI;
  } else if (isTagged(inner)) {
    tag = inner;
    next = 0;
  } else {
    const { priorityTags } = bundle.config;
    const keep = priorityTags === "always" || (priorityTags === "if-nonzero" && pcp !== 0);
    tag = keep ? (ETH_TYPE_VLAN_8021Q << 16) | VLAN_CFI | pcp : 0;
    next = 0;
  }
  const old0 = flow[W_VLAN0]!;
  const old1 = flow[W_VLAN1]!;
  const inPort = flow[W_IN_PORT]!;
  flow[W_VLAN0] = tag;
  flow[W_VLAN1] = next;
  outputToPort(ctx, port.ofPort);
  flow[W_VLAN0] = old0;
  flow[W_VLAN1] = old1;
  flow[W_IN_PORT] = inPort;
}

function isTagged(word: number): boolean {
  return (word & VLAN_CFI) !== 0;
}
