/**
 * encap() and decap(): other headers become the outermost (ovs-actions(7); NSH: RFC 8300). The flow changes here; the
 * datapath's actions are made when the change is committed, and what lies below a header that came off is known only
 * after the packet has been recirculated.
 */
import { countMplsLabels } from "../../datapath/odp/commit.ts";
import {
  type Flow,
  VLAN_CFI,
  W_ETH_DST_HI,
  W_ETH_SRC_LO,
  W_ETH_TYPE,
  W_IGMP_ND_RESERVED,
  W_MPLS,
  W_NSH_BASE,
  W_NSH_CONTEXT,
  W_NSH_PATH,
  W_PACKET_TYPE,
  W_VLAN0,
} from "../../flow/layout.ts";
import type { Decap, Encap } from "../../openflow/actions.ts";
import { ETH_TYPE_NSH, type XlateContext } from "./context.ts";
import { MAX_LABELS, OFPR_INVALID_TTL, pushMplsEntry } from "./headers.ts";
import { xlateController } from "./output.ts";

const PT_ETHERNET = 0;
const PT_IPV4 = 0x10800;
const PT_IPV6 = 0x186dd;
const PT_NSH = 0x1894f;
const PT_MPLS = 0x18847;
const PT_MPLS_MCAST = 0x18848;

/** Label 0, bottom of the stack, TTL 64. */
const FIRST_LABEL = 0x140;
const NSH_TTL = 63;
const NSH_SI = 255;
const NEXT_IPV4 = 1;
const NEXT_IPV6 = 2;
const NEXT_ETHERNET = 3;
const NEXT_NSH = 4;

const PROPERTY_MD_TYPE = 1;
const PROPERTY_TLV = 2;

export function xlateEncap(ctx: XlateContext, action: Encap): void {
  // What is pending concerns headers that will be inside.
  ctx.commit();
  const { flow, wildcards } = ctx;
  wildcards[W_PACKET_TYPE] = -1;
  switch (action.packetType) {
    case PT_ETHERNET:
      if (flow[W_PACKET_TYPE]! >>> 16 !== 1) {
        unsupported(ctx, "encap(ethernet) is not supported for packet type ethernet");
        return;
      }
      flow[W_ETH_TYPE] = flow[W_PACKET_TYPE]! & 0xffff;
      flow[W_PACKET_TYPE] = PT_ETHERNET;
      flow.fill(0, W_ETH_DST_HI, W_ETH_SRC_LO + 1);
      ctx.encapsulation = { kind: "ethernet" };
      return;
    case PT_NSH:
      encapNsh(ctx, action);
      return;
    default:
      encapMpls(ctx, action.packetType & 0xffff);
  }
}

function unsupported(ctx: XlateContext, why: string): void {
  ctx.error = "packet-type";
  ctx.exit = true;
  if (ctx.tracing) ctx.actionNode(`Dropping packet as ${why}.`);
}

/** All that came after the Ethernet addresses is inside now. */
function hidePayload(flow: Flow): void {
  flow.fill(0, W_VLAN0, W_IGMP_ND_RESERVED + 1);
}

function encapNsh(ctx: XlateContext, action: Encap): void {
  const { flow } = ctx;
  const next = {
    [PT_ETHERNET]: NEXT_ETHERNET,
    [PT_IPV4]: NEXT_IPV4,
    [PT_IPV6]: NEXT_IPV6,
    [PT_NSH]: NEXT_NSH,
  }[flow[W_PACKET_TYPE]!];
  if (next === undefined) {
    unsupported(
      ctx,
      `encap(nsh) is not supported for packet type (${flow[W_PACKET_TYPE]! >>> 16},0x${(flow[W_PACKET_TYPE]! & 0xffff).toString(16)})`,
    );
    return;
  }
  const mdType = action.properties.find(({ propType }) => propType === PROPERTY_MD_TYPE)?.data[0] ?? 1;
  const options: number[] = [];
  for (const { propType, data } of action.properties) {
    if (propType !== PROPERTY_TLV) continue;
    options.push(...data);
    while (options.length % 4 !== 0) options.push(0);
  }
  hidePayload(flow);
  flow.fill(0, W_NSH_BASE, W_NSH_CONTEXT + 4);
  flow[W_NSH_BASE] = (NSH_TTL << 16) | (mdType << 8) | next;
  flow[W_NSH_PATH] = NSH_SI;
  flow[W_ETH_TYPE] = ETH_TYPE_NSH;
  flow[W_PACKET_TYPE] = PT_NSH;
  ctx.encapsulation = { kind: "nsh", options: mdType === 2 ? Uint8Array.from(options) : new Uint8Array() };
}

function encapMpls(ctx: XlateContext, ethertype: number): void {
  const { flow, wildcards } = ctx;
  const labels = flow[W_PACKET_TYPE] === PT_ETHERNET ? 0 : countMplsLabels(flow, wildcards);
  if (labels >= MAX_LABELS) {
    flow[W_PACKET_TYPE] = PT_ETHERNET;
    // The labels so far, in the frame that came.
    const shown = ctx.base.slice();
    for (let word = W_PACKET_TYPE; word <= W_ETH_SRC_LO; word++) shown[word] = ctx.original[word]!;
    ctx.fail(
      "mpls-labels",
      `dropping packet on which an encap MPLS action can't be performed as it would have more MPLS LSEs than the ${MAX_LABELS} supported.`,
      shown,
    );
    return;
  }
  if (labels > 0) pushMplsEntry(flow, wildcards, labels);
  else {
    hidePayload(flow);
    flow[W_MPLS] = FIRST_LABEL;
  }
  flow[W_ETH_TYPE] = ethertype;
  flow[W_PACKET_TYPE] = (1 << 16) | ethertype;
  if (!ctx.ofproto.backer.features.has("add_mpls")) ctx.slow = true;
  ctx.encapsulation = { kind: "mpls" };
}

/** True when the packet must be parsed again before anything else. */
export function xlateDecap(ctx: XlateContext, action: Decap): boolean {
  ctx.commit();
  const { flow, wildcards } = ctx;
  const type = flow[W_PACKET_TYPE]!;
  switch (type) {
    case PT_ETHERNET:
      if ((flow[W_VLAN0]! & VLAN_CFI) !== 0) {
        ctx.error = "packet-type";
        ctx.exit = true;
        if (ctx.tracing) ctx.actionNode("Dropping packet, cannot decap Ethernet if VLAN is present.");
        return false;
      }
      wildcards[W_ETH_TYPE] = wildcards[W_ETH_TYPE]! | 0xffff;
      flow[W_PACKET_TYPE] = (1 << 16) | (flow[W_ETH_TYPE]! & 0xffff);
      return false;
    case PT_MPLS:
    case PT_MPLS_MCAST:
      return decapMpls(ctx, action);
    case PT_NSH: {
      const inner = {
        [NEXT_IPV4]: PT_IPV4,
        [NEXT_IPV6]: PT_IPV6,
        [NEXT_ETHERNET]: PT_ETHERNET,
        [NEXT_NSH]: PT_NSH,
      }[flow[W_NSH_BASE]! & 0xff];
      wildcards[W_NSH_BASE] = wildcards[W_NSH_BASE]! | 0xff;
      if (inner === undefined) {
        unsupported(ctx, "NSH decap() does not support its next protocol");
        return false;
      }
      flow[W_PACKET_TYPE] = inner;
      ctx.encapsulation = { kind: "decap" };
      return true;
    }
    default:
      unsupported(
        ctx,
        `the decap() does not support packet type (${type >>> 16},0x${(type & 0xffff).toString(16)})`,
      );
      return false;
  }
}

function decapMpls(ctx: XlateContext, action: Decap): boolean {
  const { flow, wildcards } = ctx;
  const labels = countMplsLabels(flow, wildcards);
  if (labels >= MAX_LABELS && (flow[W_MPLS]! & 0x100) === 0) {
    ctx.fail(
      "mpls-labels",
      `dropping packet on which an MPLS decap can't be performed as it has more MPLS LSEs than the ${MAX_LABELS} supported.`,
    );
    return false;
  }
  wildcards.fill(-1, W_MPLS + 1, W_MPLS + labels);
  if (!ctx.ofproto.backer.features.has("add_mpls")) ctx.slow = true;
  ctx.encapsulation = { kind: "decap" };
  if (labels === 1) {
    flow[W_PACKET_TYPE] = action.packetType;
    return true;
  }
  flow[W_MPLS] = flow[W_MPLS + 1]!;
  flow[W_MPLS + 1] = flow[W_MPLS + 2]!;
  flow[W_MPLS + 2] = 0;
  return false;
}

/** Ports take Ethernet frames: a packet that begins higher up gets a header of zeros. */
export function ensureEthernet(ctx: XlateContext): void {
  const { flow } = ctx;
  if (flow[W_PACKET_TYPE]! >>> 16 !== 1) return;
  ctx.commit();
  flow[W_ETH_TYPE] = flow[W_PACKET_TYPE]! & 0xffff;
  flow[W_PACKET_TYPE] = PT_ETHERNET;
  flow.fill(0, W_ETH_DST_HI, W_ETH_SRC_LO + 1);
  ctx.encapsulation = { kind: "ethernet" };
}

/** True when the action list ends here because the packet has been through too many functions. */
export function decNshTtl(ctx: XlateContext): boolean {
  const { flow, wildcards } = ctx;
  if ((flow[W_ETH_TYPE]! & 0xffff) !== ETH_TYPE_NSH) return false;
  wildcards[W_NSH_BASE] = wildcards[W_NSH_BASE]! | 0xff0000;
  const ttl = (flow[W_NSH_BASE]! >>> 16) & 0xff;
  if (ttl > 1) {
    flow[W_NSH_BASE] = (flow[W_NSH_BASE]! & ~0xff0000) | ((ttl - 1) << 16);
    return false;
  }
  xlateController(ctx, 0xffff, OFPR_INVALID_TTL, 0, undefined, 0);
  ctx.warn("NSH decrement TTL exception");
  return true;
}
