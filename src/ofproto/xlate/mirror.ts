/**
 * Copies for mirrors, made where a packet enters a bridge and where it leaves by a port. Each mirror gets a packet once, and
 * again after an action has changed it.
 */
import type { Field } from "../../flow/fields/index.ts";
import {
  FLOW_PACKET_WORDS,
  type Flow,
  VLAN_CFI,
  W_ETH_DST_HI,
  W_ETH_DST_SRC,
  W_VLAN0,
} from "../../flow/layout.ts";
import type { Match } from "../../flow/match.ts";
import type { Ofpact } from "../../openflow/actions.ts";
import type { PortBundle } from "../port-bundle.ts";
import type { XlateContext } from "./context.ts";
import { inputTags, isReserved, outputNormal } from "./normal.ts";

const VID = 0xfff;

/** To be called when a packet has arrived, before any table has seen it. */
export function mirrorIngress(ctx: XlateContext): void {
  const { mirrors } = ctx.ofproto;
  if (!mirrors.any) return;
  const bundle = ctx.port(ctx.inPort)?.bundle;
  if (bundle === undefined) return;
  if (mirrors.isOutput(bundle)) {
    ctx.reportError(
      `dropping packet received on port ${bundle.name}, which is reserved exclusively for mirroring`,
    );
    return;
  }
  mirrorPacket(ctx, bundle, mirrors.srcOf(bundle));
}

/** To be called after a packet was sent to `bundle`. */
export function mirrorEgress(ctx: XlateContext, bundle: PortBundle): void {
  const { mirrors } = ctx.ofproto;
  if (mirrors.any) mirrorPacket(ctx, bundle, mirrors.dstOf(bundle));
}

function mirrorPacket(ctx: XlateContext, bundle: PortBundle, selected: number): void {
  // Copies are not copied again.
  let left = selected & ~ctx.mirrors;
  if (left === 0) return;
  const { flow, wildcards, ofproto } = ctx;
  const { outer, inner } = inputTags(bundle, flow);
  const vlan = outer & VID;
  // A copy that leaves by a selected port has been copied for other mirrors by the time it is their turn.
  for (let index = 0; (left &= ~ctx.mirrors) !== 0; index++) {
    const mirror = (left & (1 << index)) === 0 ? undefined : ofproto.mirrors.at(index);
    left &= ~(1 << index);
    if (mirror === undefined) continue;
    if (mirror.vlans !== undefined) {
      wildcards[W_VLAN0] = wildcards[W_VLAN0]! | VLAN_CFI | VID;
      if (!mirror.vlans.has(vlan)) continue;
    }
    if (mirror.filter !== undefined && !passes(mirror.filter, flow, wildcards)) continue;
    ctx.mirrors |= mirror.twins;
    ctx.credits.push(mirror);
    ctx.mirrorTruncate = mirror.snaplen;
    if (mirror.out !== undefined) outputNormal(ctx, mirror.out, outer, inner);
    else if (
      vlan !== mirror.config.outVlan &&
      !isReserved(flow[W_ETH_DST_HI]!, flow[W_ETH_DST_SRC]! >>> 16)
    ) {
      const tag = (outer & ~VID) | VLAN_CFI | mirror.config.outVlan!;
      for (const out of ofproto.bundles()) {
        if (out.includes(mirror.config.outVlan!) && !ofproto.mirrors.isOutput(out))
          outputNormal(ctx, out, tag, inner);
      }
    }
    ctx.mirrorTruncate = 0;
  }
}

/** Bits that the answer depends on count for the megaflow, as far as they decided. */
function passes(filter: Match, flow: Flow, wildcards: Flow): boolean {
  const { mask, flow: wanted } = filter;
  for (let word = 0; word < mask.length; word++) {
    const bits = mask[word]!;
    if (bits === 0) continue;
    wildcards[word] = wildcards[word]! | bits;
    if (((flow[word]! ^ wanted[word]!) & bits) !== 0) return false;
  }
  return true;
}

/** Actions that change headers wherever the packet has them. */
const CHANGING: ReadonlySet<Ofpact["type"]> = new Set([
  "strip_vlan",
  "push_vlan",
  "set_vlan_vid",
  "set_vlan_pcp",
  "set_eth_src",
  "set_eth_dst",
  "set_ipv4_src",
  "set_ipv4_dst",
  "set_ip_dscp",
  "set_ip_ecn",
  "set_ip_ttl",
  "set_l4_src_port",
  "set_l4_dst_port",
  "dec_ttl",
  "push_mpls",
  "pop_mpls",
  "set_mpls_label",
  "set_mpls_tc",
  "set_mpls_ttl",
  "dec_mpls_ttl",
  "dec_nsh_ttl",
  "encap",
  "decap",
]);

/** Whether mirrors want to see the packet again after this action. */
export function changesPacket(action: Ofpact): boolean {
  switch (action.type) {
    case "set_field":
      return isHeader(action.field);
    case "reg_move":
      return isHeader(action.dst.field);
    case "stack_pop":
      return isHeader(action.subfield.field);
    default:
      return CHANGING.has(action.type);
  }
}

function isHeader(field: Field): boolean {
  const word = field.places[0]?.[0] ?? 0;
  return word >= W_ETH_DST_HI && word < FLOW_PACKET_WORDS;
}
