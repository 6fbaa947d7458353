/** Prerequisites, and matches made canonical: bits whose prerequisite is missing are dropped, loudly. */
import type { Field, Prerequisite } from "./fields/index.ts";
import * as L from "./layout.ts";
import type { Match } from "./match.ts";
import { formatMatch } from "./match-format.ts";
import {
  ETH_TYPE_ARP,
  ETH_TYPE_IPV4,
  ETH_TYPE_IPV6,
  ETH_TYPE_MPLS,
  ETH_TYPE_MPLS_MCAST,
  ETH_TYPE_NSH,
  ETH_TYPE_RARP,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  isMplsType,
} from "./packet/ethernet.ts";

/** The ethertype that is matched exactly (or that packet_type tells), else -1. */
function typeOf(flow: L.Flow, mask: L.Flow | undefined): number {
  if (flow[L.W_PACKET_TYPE]! >>> 16 === 1 && mask?.[L.W_PACKET_TYPE] !== 0)
    return flow[L.W_PACKET_TYPE]! & 0xffff;
  if (mask !== undefined && (mask[L.W_ETH_TYPE]! & 0xffff) !== 0xffff) return -1;
  return flow[L.W_ETH_TYPE]! & 0xffff;
}

function protocolOf(flow: L.Flow, mask: L.Flow | undefined): number {
  if (mask !== undefined && (mask[L.W_NW]! & 0xff) !== 0xff) return -1;
  return flow[L.W_NW]! & 0xff;
}

/**
 * Whether a flow has what the field needs. With `mask`, it must be matched; without, a packet's flow is looked at.
 */
export function prerequisitesMet(field: Field, flow: L.Flow, mask?: L.Flow): boolean {
  const { prereq } = field;
  if (prereq === "none") return true;
  if (prereq === "ethernet") return flow[L.W_PACKET_TYPE] === 0;
  const type = typeOf(flow, mask);
  switch (prereq) {
    case "vlan":
      return (flow[L.W_VLAN0]! & (mask?.[L.W_VLAN0] ?? -1) & L.VLAN_CFI) !== 0;
    case "mpls":
      return isMplsType(type);
    case "ipv4":
      return type === ETH_TYPE_IPV4;
    case "ipv6":
      return type === ETH_TYPE_IPV6;
    case "ip":
      return type === ETH_TYPE_IPV4 || type === ETH_TYPE_IPV6;
    case "arp":
      return type === ETH_TYPE_ARP || type === ETH_TYPE_RARP;
    case "nsh":
      return type === ETH_TYPE_NSH;
    case "ct":
      // Of a valid connection: some state beside "tracked" and "invalid".
      return (flow[L.W_CT_STATE_ZONE]! & (mask?.[L.W_CT_STATE_ZONE] ?? -1) & 0xcf) !== 0;
    default:
      return transportMet(prereq, type, flow, mask);
  }
}

/** Of what follows an IP header: `type` is the ethertype. */
function transportMet(prereq: Prerequisite, type: number, flow: L.Flow, mask: L.Flow | undefined): boolean {
  if (type !== ETH_TYPE_IPV4 && type !== ETH_TYPE_IPV6) return false;
  const protocol = protocolOf(flow, mask);
  const notLater = ((flow[L.W_NW]! >>> 24) & L.FLOW_NW_FRAG_LATER) === 0;
  switch (prereq) {
    case "tcp":
      return protocol === IPPROTO_TCP && notLater;
    case "udp":
      return protocol === IPPROTO_UDP && notLater;
    case "sctp":
      return protocol === IPPROTO_SCTP && notLater;
    case "icmpv4":
      return type === ETH_TYPE_IPV4 && protocol === IPPROTO_ICMP && notLater;
  }
  if (type !== ETH_TYPE_IPV6 || protocol !== IPPROTO_ICMPV6) return false;
  if (prereq === "icmpv6") return notLater;
  const bits = mask === undefined ? -1 : mask[L.W_TP]!;
  const exact = bits >>> 16 === 0xffff || bits >>> 16 === 0xff;
  if (!exact || (flow[L.W_TP]! & bits & 0xffff) !== 0) return false;
  const kind = flow[L.W_TP]! >>> 16;
  return (kind === 135 && prereq !== "nd_advert") || (kind === 136 && prereq !== "nd_solicit");
}

/** Writes the bits of header words that a kind of match may have, by word. */
class Keep {
  readonly bits = new Int32Array(L.W_TUN_ID_HI);

  keep(from: number, count: number, bits = -1): void {
    for (let word = from; word < from + count; word++) this.bits[word] = this.bits[word]! | bits;
  }

  /** The source link-layer address of ARP and ND, and the target's. */
  keepSll(): void {
    this.keep(L.W_ARP_SHA_HI, 1);
    this.keep(L.W_ARP_SHA_THA, 1, 0xffff0000 | 0);
  }

  keepTll(): void {
    this.keep(L.W_ARP_SHA_THA, 1, 0xffff);
    this.keep(L.W_ARP_THA_LO, 1);
  }
}

/** What the exact ethertype and protocol (-1: not matched) and the ICMPv6 type of a match allow. */
function allowed(type: number, protocol: number, kind: number): Int32Array {
  const k = new Keep();
  if (type === ETH_TYPE_IPV4 || type === ETH_TYPE_IPV6) {
    k.keep(L.W_NW, 1);
    if (type === ETH_TYPE_IPV4) k.keep(L.W_IPV4_SRC, 2);
    else k.keep(L.W_IPV6_SRC, 9);
    const icmp = type === ETH_TYPE_IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
    if (
      protocol === IPPROTO_TCP ||
      protocol === IPPROTO_UDP ||
      protocol === IPPROTO_SCTP ||
      protocol === icmp
    ) {
      k.keep(L.W_TP, 1);
    }
    if (protocol === IPPROTO_TCP) k.keep(L.W_TCP_FLAGS, 1, 0xffff);
    if (kind === 135 || kind === 136) {
      k.keep(L.W_ND_TARGET, 4);
      k.keep(L.W_IGMP_ND_RESERVED, 1);
      k.keep(L.W_TCP_FLAGS, 1, 0xff0000);
      if (kind === 135) k.keepSll();
      else k.keepTll();
    }
  } else if (type === ETH_TYPE_ARP || type === ETH_TYPE_RARP) {
    k.keep(L.W_IPV4_SRC, 2);
    k.keep(L.W_NW, 1, 0xff);
    k.keepSll();
    k.keepTll();
  } else if (isMplsType(type)) {
    k.keep(L.W_MPLS, 3);
  } else if (type === ETH_TYPE_NSH) {
    k.keep(L.W_NSH_BASE, 6);
  }
  return k.bits;
}

/** Other ethertypes than IP's whose headers can be matched. */
const HEADER_TYPES: ReadonlySet<number> = new Set([
  ETH_TYPE_ARP,
  ETH_TYPE_RARP,
  ETH_TYPE_MPLS,
  ETH_TYPE_MPLS_MCAST,
  ETH_TYPE_NSH,
]);

/** Results of {@link allowed} by what they are for; one for all ethertypes of which nothing is known. */
const ALLOWED = new Map<number, Int32Array>();

function allowedBits({ flow, mask }: Match): Int32Array {
  const type = typeOf(flow, mask);
  const ip = type === ETH_TYPE_IPV4 || type === ETH_TYPE_IPV6;
  const protocol = ip ? protocolOf(flow, mask) : -1;
  const nd = type === ETH_TYPE_IPV6 && protocol === IPPROTO_ICMPV6 && mask[L.W_TP]! >>> 16 !== 0;
  const icmpType = nd ? flow[L.W_TP]! >>> 16 : 0;
  const kind = icmpType === 135 || icmpType === 136 ? icmpType : 0;
  const key =
    ip || HEADER_TYPES.has(type) ? (type << 12) | ((protocol + 1) << 2) | (kind === 0 ? 0 : kind - 134) : 0;
  let bits = ALLOWED.get(key);
  if (bits === undefined) {
    bits = allowed(type, protocol, kind);
    ALLOWED.set(key, bits);
  }
  return bits;
}

/**
 * Drops bits whose prerequisite is missing, in place. Returns undefined when nothing was dropped, else both texts for
 * what 3.7 logs: "normalization changed ofp_match, details:", " pre: TEXT", "post: TEXT".
 */
export function normalizeMatch(match: Match): { pre: string; post: string } | undefined {
  const keep = allowedBits(match);
  const { flow, mask } = match;
  let pre: string | undefined;
  for (let word = L.W_MPLS; word < L.W_TUN_ID_HI; word++) {
    if (word === L.FLOW_PACKET_WORDS) word = L.W_NSH_BASE;
    const drop = mask[word]! & ~keep[word]!;
    if (drop === 0) continue;
    // Fragment bits alone go without a word, as in the original.
    if (word !== L.W_NW || (drop & 0xffffff) !== 0) pre ??= formatMatch(match);
    mask[word] = mask[word]! & ~drop;
    flow[word] = flow[word]! & ~drop;
  }
  return pre === undefined ? undefined : { pre, post: formatMatch(match) };
}
