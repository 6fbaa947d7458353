/** Which flow protocols can carry a match (upstream: ofputil_match_… usable protocols). */
import type { Field } from "../flow/fields/index.ts";
import type { Membership } from "../flow/fields/types.ts";
import {
  FLOW_PACKET_WORDS,
  FLOW_WORDS,
  VLAN_CFI,
  W_ETH_DST_HI,
  W_ETH_DST_SRC,
  W_ETH_SRC_LO,
  W_ETH_TYPE,
  W_IN_PORT,
  W_IPV4_DST,
  W_IPV4_SRC,
  W_METADATA_HI,
  W_METADATA_LO,
  W_MPLS,
  W_NW,
  W_PACKET_TYPE,
  W_SKB_PRIORITY,
  W_TP,
  W_TUN_FLAGS_TOS_TTL,
  W_VLAN0,
} from "../flow/layout.ts";
import { anyBits, type Match, matchesTunnel } from "../flow/match.ts";
import { P_ANY, P_OF10_STD, P_OF10_STD_TID, P_OF11_STD, USABLE_NXM_OXM } from "./protocols.ts";

const STD10 = P_OF10_STD | P_OF10_STD_TID;

/** Words whose bits the fixed structures have a place for (1: 1.0 and 1.1, 2: 1.1 only); metadata has one in 1.1, too. */
const FIXED = new Uint8Array(FLOW_PACKET_WORDS);
for (const word of [
  W_IN_PORT,
  W_ETH_DST_HI,
  W_ETH_DST_SRC,
  W_ETH_SRC_LO,
  W_ETH_TYPE,
  W_VLAN0,
  W_NW,
  W_IPV4_SRC,
  W_IPV4_DST,
  W_TP,
  W_PACKET_TYPE,
]) {
  FIXED[word] = 1;
}
FIXED[W_MPLS] = 2;

/** Which protocols have the field, with or without a mask. */
export function fieldProtocols(field: Field, masked: boolean): number {
  const has = (membership: Membership): boolean => membership !== "no" && (!masked || membership === "full");
  return USABLE_NXM_OXM | (has(field.of10) ? STD10 : 0) | (has(field.of11) ? P_OF11_STD : 0);
}

export function matchProtocols(match: Match): number {
  const { mask, flow } = match;
  let of10 = true;
  if (mask[W_SKB_PRIORITY] !== 0 || mask[W_TUN_FLAGS_TOS_TTL]! >>> 16 !== 0) return 0;
  if (matchesTunnel(match) || anyBits(mask, W_METADATA_LO + 1, FLOW_WORDS)) return USABLE_NXM_OXM;
  if (mask[W_METADATA_HI] !== 0 || mask[W_METADATA_LO] !== 0) of10 = false;
  for (let i = 0; i < FLOW_PACKET_WORDS; i++) {
    if (mask[i] === 0) continue;
    const fixed = FIXED[i]!;
    if (fixed === 0) return USABLE_NXM_OXM;
    if (fixed === 2) of10 = false;
  }
  if (mask[W_PACKET_TYPE] !== 0 && flow[W_PACKET_TYPE] !== 0) return USABLE_NXM_OXM;
  const nw = mask[W_NW]!;
  const dscp = (nw >>> 8) & 0xfc;
  const proto = nw & 0xff;
  if (nw & ~0xffff || (dscp !== 0 && dscp !== 0xfc) || (proto !== 0 && proto !== 0xff)) return USABLE_NXM_OXM;
  if ((nw & 0x300) !== 0) of10 = false;
  const src = mask[W_TP]! >>> 16;
  const dst = mask[W_TP]! & 0xffff;
  const type = flow[W_ETH_TYPE]! & 0xffff;
  const icmp = type === 0x0800 && (flow[W_NW]! & 0xff) === 1;
  const whole = icmp ? 0xff : 0xffff;
  if ((src !== 0 && (src & whole) !== whole) || (dst !== 0 && (dst & whole) !== whole)) return USABLE_NXM_OXM;
  if (type === 0x86dd && (nw !== 0 || mask[W_TP] !== 0)) return USABLE_NXM_OXM;
  if (mask[W_MPLS] !== 0) {
    const label = mask[W_MPLS]! >>> 12;
    const tc = (mask[W_MPLS]! >>> 9) & 7;
    if (mask[W_MPLS]! & 0x1ff || (label !== 0 && label !== 0xfffff) || (tc !== 0 && tc !== 7))
      return USABLE_NXM_OXM;
  }
  const tci = mask[W_VLAN0]! & 0xffff;
  let of11 = true;
  if (mask[W_VLAN0]! >>> 16 !== 0) return USABLE_NXM_OXM;
  if (tci !== 0) {
    const cfi = flow[W_VLAN0]! & VLAN_CFI;
    if (tci === 0x1fff || tci === 0xffff || tci === 0xf000) {
      if (tci === 0xffff && cfi === 0 && (flow[W_VLAN0]! & 0xffff) !== 0) return USABLE_NXM_OXM;
    } else if (tci === VLAN_CFI && cfi !== 0) of10 = false;
    else return USABLE_NXM_OXM;
    if (tci === 0x1fff && cfi === 0) {
      if ((flow[W_VLAN0]! & 0xfff) !== 0) return USABLE_NXM_OXM;
    }
  }
  if (of10) of10 = exactMacs(mask) && cidr(mask[W_IPV4_SRC]!) && cidr(mask[W_IPV4_DST]!);
  if (mask[W_IN_PORT] !== 0 && mask[W_IN_PORT] !== -1) of11 = of10 = false;
  return (of10 ? P_ANY : P_ANY & ~STD10) & (of11 ? P_ANY : P_ANY & ~P_OF11_STD);
}

function exactMacs(mask: Int32Array): boolean {
  const dstHi = mask[W_ETH_DST_HI]!;
  const dstLo = mask[W_ETH_DST_SRC]! >>> 16;
  const srcHi = mask[W_ETH_DST_SRC]! & 0xffff;
  const srcLo = mask[W_ETH_SRC_LO]!;
  const dst = (dstHi === 0 && dstLo === 0) || (dstHi === -1 && dstLo === 0xffff);
  const src = (srcHi === 0 && srcLo === 0) || (srcHi === 0xffff && srcLo === -1);
  return dst && src;
}

function cidr(mask: number): boolean {
  const inverse = ~mask >>> 0;
  return (inverse & (inverse + 1)) === 0;
}
