/** Actions that push, pop and age headers: VLAN, MPLS, TTL. */

import { countMplsLabels } from "../../datapath/odp/commit.ts";
import {
  type Flow,
  VLAN_CFI,
  W_ETH_TYPE,
  W_IGMP_ND_RESERVED,
  W_IPV4_SRC,
  W_MPLS,
  W_NW,
  W_VLAN0,
  W_VLAN1,
} from "../../flow/layout.ts";
import type { DecTtl } from "../../openflow/actions.ts";
import {
  ETH_TYPE_IP,
  ETH_TYPE_IPV6,
  ETH_TYPE_MPLS,
  ETH_TYPE_MPLS_MCAST,
  ETH_TYPE_VLAN_8021Q,
  type XlateContext,
} from "./context.ts";
import { xlateController } from "./output.ts";

export const OFPR_INVALID_TTL = 2;
/** Label stack entries that a flow holds. */
export const MAX_LABELS = 3;
const VLAN_ALL = 0xffff_ffff | 0;

/** Makes room for an outer tag; the old one becomes the inner. */
export function pushVlan(ctx: XlateContext, ethertype: number): void {
  const { flow, wildcards } = ctx;
  const old = flow[W_VLAN0]!;
  if (old !== 0) wildcards[W_VLAN0] = VLAN_ALL;
  flow[W_VLAN1] = old;
  // The specification copies VID and priority from an outer tag that is there (OpenFlow 1.1, section 4.9.1).
  flow[W_VLAN0] = (ethertype << 16) | VLAN_CFI | (old & 0xefff);
}

/** Takes the outer tag off, if there is one. */
export function popVlan(ctx: XlateContext): void {
  const { flow, wildcards } = ctx;
  wildcards[W_VLAN0] = wildcards[W_VLAN0]! | VLAN_CFI;
  if ((flow[W_VLAN0]! & VLAN_CFI) === 0) return;
  wildcards[W_VLAN1] = VLAN_ALL;
  flow[W_VLAN0] = flow[W_VLAN1]!;
  flow[W_VLAN1] = 0;
}

/** set_vlan_vid of OpenFlow 1.0 tags what is untagged; later versions leave it alone. */
export function setVlanBits(ctx: XlateContext, value: number, mask: number, push: boolean): void {
  const { flow, wildcards } = ctx;
  wildcards[W_VLAN0] = wildcards[W_VLAN0]! | mask | VLAN_CFI;
  const tag = flow[W_VLAN0]!;
  if ((tag & VLAN_CFI) !== 0) flow[W_VLAN0] = (tag & ~mask) | value;
  else if (push) flow[W_VLAN0] = (ETH_TYPE_VLAN_8021Q << 16) | VLAN_CFI | value;
}

export function isIp(flow: Flow): boolean {
  const type = flow[W_ETH_TYPE]!;
  return type === ETH_TYPE_IP || type === ETH_TYPE_IPV6;
}

export function setNwBits(ctx: XlateContext, value: number, mask: number): void {
  const { flow, wildcards } = ctx;
  if (!isIp(flow)) return;
  wildcards[W_NW] = wildcards[W_NW]! | mask | 0xff;
  flow[W_NW] = (flow[W_NW]! & ~mask) | value;
}

/** True when the action list ends here because the packet is too old. */
export function decTtl(ctx: XlateContext, action: DecTtl): boolean {
  const { flow, wildcards } = ctx;
  if (!isIp(flow)) return false;
  wildcards[W_NW] = wildcards[W_NW]! | 0xff00ff;
  const ttl = (flow[W_NW]! >>> 16) & 0xff;
  if (ttl > 1) {
    flow[W_NW] = (flow[W_NW]! & ~0xff0000) | ((ttl - 1) << 16);
    return false;
  }
  for (const id of action.ids) xlateController(ctx, 0xffff, OFPR_INVALID_TTL, id, undefined, 0);
  ctx.warn(
    flow[W_ETH_TYPE] === ETH_TYPE_IP ? "IPv4 decrement TTL exception" : "IPv6 decrement TTL exception",
  );
  return true;
}

function isMpls(type: number): boolean {
  return type === ETH_TYPE_MPLS || type === ETH_TYPE_MPLS_MCAST;
}

/** Label stack entry: label 12-31, tc 9-11, bottom of stack 8, ttl 0-7 (RFC 3032). */
export function pushMpls(ctx: XlateContext, ethertype: number): void {
  // Changes to what the label will hide must reach the packet first.
  ctx.commit();
  const { flow, wildcards } = ctx;
  const labels = countMplsLabels(flow, wildcards);
  if (labels >= MAX_LABELS) {
    ctx.fail(
      "mpls-labels",
      `bridge ${ctx.ofproto.name}: dropping packet on which an MPLS push action can't be performed as it would have more MPLS LSEs than the ${MAX_LABELS} supported.`,
    );
    return;
  }
  pushMplsEntry(flow, wildcards, labels);
  flow[W_ETH_TYPE] = ethertype;
}

/** The flow with one entry more on its `labels`; its Ethernet type is the caller's to set. */
export function pushMplsEntry(flow: Flow, wildcards: Flow, labels: number): void {
  if (labels > 0) {
    wildcards.fill(-1, W_MPLS, W_MPLS + labels);
    flow[W_MPLS + 2] = flow[W_MPLS + 1]!;
    flow[W_MPLS + 1] = flow[W_MPLS]!;
    flow[W_MPLS] = flow[W_MPLS]! & ~0x100;
  } else {
    let label = 0;
    let tc = 0;
    let ttl = 64;
    if (isIp(flow)) {
      if (flow[W_ETH_TYPE] === ETH_TYPE_IPV6) label = 2;
      wildcards[W_NW] = wildcards[W_NW]! | 0x00fffc00;
      tc = (flow[W_NW]! >>> 13) & 7;
      ttl = (flow[W_NW]! >>> 16) & 0xff;
    }
    flow[W_MPLS] = (label << 12) | (tc << 9) | 0x100 | ttl;
    flow[W_MPLS + 1] = 0;
    flow[W_MPLS + 2] = 0;
    // What the label hides is no longer there to match on.
    flow.fill(0, W_IPV4_SRC, W_IGMP_ND_RESERVED + 1);
  }
}

export function popMpls(ctx: XlateContext, ethertype: number): void {
  const { flow, wildcards } = ctx;
  const labels = countMplsLabels(flow, wildcards);
  if (labels === 0) return;
  if (labels >= MAX_LABELS && (flow[W_MPLS + MAX_LABELS - 1]! & 0x100) === 0) {
    // What lies below the third label is not known, so nothing can take its place.
    ctx.fail(
      "mpls-labels",
      `bridge ${ctx.ofproto.name}: dropping packet on which an MPLS pop action can't be performed as it has more MPLS LSEs than the ${MAX_LABELS} supported.`,
    );
    return;
  }
  wildcards.fill(-1, W_MPLS + 1, W_MPLS + labels);
  flow[W_MPLS] = flow[W_MPLS + 1]!;
  flow[W_MPLS + 1] = flow[W_MPLS + 2]!;
  flow[W_MPLS + 2] = 0;
  flow[W_ETH_TYPE] = ethertype;
  if (!isMpls(ethertype)) ctx.wasMpls = true;
}

export function setMplsBits(ctx: XlateContext, value: number, mask: number): void {
  const { flow, wildcards } = ctx;
  if (!isMpls(flow[W_ETH_TYPE]!)) return;
  wildcards[W_MPLS] = wildcards[W_MPLS]! | mask;
  flow[W_MPLS] = (flow[W_MPLS]! & ~mask) | value;
}

/** True when the action list ends here. */
export function decMplsTtl(ctx: XlateContext): boolean {
  const { flow, wildcards } = ctx;
  if (!isMpls(flow[W_ETH_TYPE]!)) return false;
  wildcards[W_MPLS] = wildcards[W_MPLS]! | 0xff;
  const ttl = flow[W_MPLS]! & 0xff;
  if (ttl > 1) {
    flow[W_MPLS] = (flow[W_MPLS]! & ~0xff) | (ttl - 1);
    return false;
  }
  xlateController(ctx, 0xffff, OFPR_INVALID_TTL, 0, undefined, 0);
  ctx.warn("MPLS decrement TTL exception");
  return true;
}
