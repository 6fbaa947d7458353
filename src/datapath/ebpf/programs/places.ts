/**
 * Where a program finds the words of the flow layout. Packets part into branches by Ethertype, and in a branch a word lies
 * in the packet, in a slot that parsing has filled, or is always 0. What a megaflow matches on becomes a list of fields;
 * those that are 0 anyway need no looking at.
 */
import {
  FLOW_DP_WORDS,
  FLOW_NW_FRAG_LATER,
  FLOW_PACKET_WORDS,
  type Flow,
  VLAN_CFI,
  W_ARP_SHA_HI,
  W_ARP_SHA_THA,
  W_ARP_THA_LO,
  W_ETH_DST_HI,
  W_ETH_SRC_LO,
  W_ETH_TYPE,
  W_IGMP_ND_RESERVED,
  W_IN_PORT,
  W_IPV4_DST,
  W_IPV4_SRC,
  W_IPV6_DST,
  W_IPV6_LABEL,
  W_IPV6_SRC,
  W_MPLS,
  W_ND_TARGET,
  W_NSH_BASE,
  W_NSH_CONTEXT,
  W_NW,
  W_TCP_FLAGS,
  W_TP,
  W_VLAN0,
  W_VLAN1,
} from "../../../flow/layout.ts";
import {
  ETH_TYPE_ARP,
  ETH_TYPE_IPV4,
  ETH_TYPE_IPV6,
  ETH_TYPE_MPLS,
  ETH_TYPE_MPLS_MCAST,
  ETH_TYPE_NSH,
  ETH_TYPE_RARP,
  IPPROTO_ICMPV6,
  IPPROTO_IGMP,
} from "../../../flow/packet/ethernet.ts";
import { swap32 } from "./layout.ts";

/** "any": megaflows that do not match on the Ethertype. "arp" is RARP too, "mpls" also multicast. */
export type Branch = "any" | "ip4" | "ip6" | "arp" | "mpls" | "other";

/** What a field is read from: bytes of the packet from a header's start, a slot, or the ingress device's number. */
export type Base = "l2" | "l3" | "slot" | "port";

// Slots on the stack, host numbers as in the flow layout. They are 64 bits wide and written whole from registers: the
// verifier then takes them for registers put aside, whose values it need not tell apart, and walks what follows once.
export const SLOT_TCP_FLAGS = -8;
export const SLOT_VLAN0 = -16;
export const SLOT_VLAN1 = -24;
export const SLOT_TYPE = -32;
export const SLOT_NW = -40;
export const SLOT_TP = -48;
export const SLOT_SHA_THA = -56;
/** Entries of a label stack, where IP and ARP have other things. */
export const SLOT_MPLS: readonly number[] = [SLOT_NW, SLOT_TP, SLOT_SHA_THA];
/** Below the slots. */
export const SLOTS_END = -56;

export interface Place {
  readonly base: Base;
  /** From the header's start, or the slot. */
  readonly offset: number;
  /** Bits of the word that can be told from there. */
  readonly bits: number;
}

const ALL = -1;
const l2 = (offset: number): Place => ({ base: "l2", offset, bits: ALL });
const l3 = (offset: number, bits = ALL): Place => ({ base: "l3", offset, bits });
const slot = (offset: number, bits = ALL): Place => ({ base: "slot", offset, bits });

const COMMON = new Map<number, Place>([
  [W_IN_PORT, { base: "port", offset: 0, bits: ALL }],
  [W_ETH_DST_HI, l2(0)],
  [W_ETH_DST_HI + 1, l2(4)],
  [W_ETH_SRC_LO, l2(8)],
  [W_VLAN0, slot(SLOT_VLAN0)],
  [W_VLAN1, slot(SLOT_VLAN1)],
]);

const words = (first: number, offset: number): [number, Place][] =>
  [0, 1, 2, 3].map((i) => [first + i, l3(offset + i * 4)]);

const TRANSPORT: [number, Place][] = [
  [W_NW, slot(SLOT_NW)],
  [W_TP, slot(SLOT_TP)],
  [W_TCP_FLAGS, slot(SLOT_TCP_FLAGS, 0xffff)],
];

const PLACES: Record<Branch, ReadonlyMap<number, Place>> = {
  any: COMMON,
  ip4: new Map([...COMMON, ...TRANSPORT, [W_IPV4_SRC, l3(12)], [W_IPV4_DST, l3(16)]]),
  ip6: new Map([
    ...COMMON,
    ...TRANSPORT,
    [W_IPV6_LABEL, l3(0, 0xfffff)],
    ...words(W_IPV6_SRC, 8),
    ...words(W_IPV6_DST, 24),
  ]),
  arp: new Map([
    ...COMMON,
    [W_ETH_TYPE, slot(SLOT_TYPE)],
    [W_NW, slot(SLOT_NW)],
    [W_ARP_SHA_HI, l3(8)],
    [W_ARP_SHA_THA, slot(SLOT_SHA_THA)],
    [W_ARP_THA_LO, l3(20)],
    [W_IPV4_SRC, l3(14)],
    [W_IPV4_DST, l3(24)],
  ]),
  mpls: new Map([
    ...COMMON,
    [W_ETH_TYPE, slot(SLOT_TYPE)],
    ...SLOT_MPLS.map((at, label): [number, Place] => [W_MPLS + label, slot(at)]),
  ]),
  other: new Map([...COMMON, [W_ETH_TYPE, slot(SLOT_TYPE)]]),
};

function branchOf(type: number): Branch {
  switch (type) {
    case ETH_TYPE_IPV4:
      return "ip4";
    case ETH_TYPE_IPV6:
      return "ip6";
    case ETH_TYPE_ARP:
    case ETH_TYPE_RARP:
      return "arp";
    case ETH_TYPE_MPLS:
    case ETH_TYPE_MPLS_MCAST:
      return "mpls";
    default:
      return "other";
  }
}

/** Bits of words that parsing leaves at 0 in some packets of the branch only: what may hold something else there. */
function mayDiffer(branch: Branch, type: number, proto: number | undefined, word: number): boolean {
  switch (branch) {
    case "any":
      return word > W_VLAN1;
    case "ip4":
      return word === W_IGMP_ND_RESERVED && (proto === undefined || proto === IPPROTO_IGMP);
    case "ip6": {
      const discovery =
        (word >= W_ND_TARGET && word < W_ND_TARGET + 4) ||
        (word >= W_ARP_SHA_HI && word <= W_ARP_THA_LO) ||
        word === W_TCP_FLAGS ||
        word === W_IGMP_ND_RESERVED;
      return discovery && (proto === undefined || proto === IPPROTO_ICMPV6);
    }
    case "other":
      return word >= W_NSH_BASE && word < W_NSH_CONTEXT + 4 && type === ETH_TYPE_NSH;
    default:
      return false;
  }
}

/** 32 bits of a packet that a mask covers. */
export interface Field {
  readonly base: Base;
  readonly offset: number;
  /** As loaded: bytes of the packet are in the wire's order. */
  readonly bits: number;
}

/** How programs look up megaflows of one kind. */
export interface Lookup {
  readonly branch: Branch;
  readonly fields: readonly Field[];
  /** Three numbers a field: a word of the flow's key, its bits, and how they get to the lookup's key (COPIED, ...). */
  readonly sources: Int32Array;
  /** Two numbers each: a word of the flow's key, and bits of it that are 0 in every packet that gets here. */
  readonly zeros: Int32Array;
  /** What is known of every packet of the megaflow; undefined where it does not match on it. */
  readonly ethType: number | undefined;
  readonly proto: number | undefined;
  readonly inPort: number | undefined;
  /** Every packet is a later fragment, which has no transport header (or none is). */
  readonly laterFragment: boolean | undefined;
  /** VLAN tags that every packet has, 2 for two or more. */
  readonly tags: number | undefined;
}

const COPIED = 0;
/** In the order in which the wire has the bytes. */
const SWAPPED = 1;
/** No word of the key: the number that stands for its bits. */
const CONSTANT = 2;

const ORDER: Record<Base, number> = { l2: 0, l3: 1, slot: 2, port: 3 };

/**
 * For all megaflows with this mask and the key's Ethertype, tags, protocol, fragment bits and ingress port. `ifindexOf` gives a
 * port's device, 0 for none. A text says why programs cannot match on this.
 */
export function findLookup(key: Flow, mask: Flow, ifindexOf: (port: number) => number): Lookup | string {
  const typeBits = mask[W_ETH_TYPE]! & 0xffff;
  if (typeBits !== 0 && typeBits !== 0xffff) return "matches on part of the Ethertype";
  const ethType = typeBits === 0 ? undefined : key[W_ETH_TYPE]! & 0xffff;
  const branch = ethType === undefined ? "any" : branchOf(ethType);
  const isIp = branch === "ip4" || branch === "ip6";
  const proto = isIp && (mask[W_NW]! & 0xff) === 0xff ? key[W_NW]! & 0xff : undefined;
  const places = PLACES[branch];
  const zeros: number[] = [];
  const found: { field: Field; source: [number, number, number] }[] = [];
  for (let word = 0; word < FLOW_DP_WORDS; word++) {
    const bits = mask[word]!;
    if (bits === 0 || (word === W_ETH_TYPE && isIp)) continue;
    const place = places.get(word);
    const here = place === undefined ? 0 : bits & place.bits;
    // The rest is 0, or cannot be told.
    if ((bits & ~here) !== 0) {
      if (mayDiffer(branch, ethType ?? 0, proto, word)) return "matches on what programs do not parse";
      zeros.push(word, bits & ~here);
    }
    if (here === 0 || place === undefined) continue;
    if (place.base === "port") {
      const ifindex = ifindexOf(key[word]! & bits);
      if (bits !== ALL || ifindex === 0) return "its ingress port is none";
      found.push({ field: { base: "port", offset: 0, bits: ALL }, source: [word, ifindex, CONSTANT] });
      continue;
    }
    const raw = place.base !== "slot";
    const field = { base: place.base, offset: place.offset, bits: raw ? swap32(here) : here };
    found.push({ field, source: [word, here, raw ? SWAPPED : COPIED] });
  }
  found.sort((a, b) => ORDER[a.field.base] - ORDER[b.field.base] || a.source[0] - b.source[0]);
  const fragBits = (mask[W_NW]! >>> 24) & FLOW_NW_FRAG_LATER;
  return {
    branch,
    fields: found.map(({ field }) => field),
    sources: Int32Array.from(found.flatMap(({ source }) => source)),
    zeros: Int32Array.from(zeros),
    ethType,
    proto,
    inPort: mask[W_IN_PORT] === ALL ? key[W_IN_PORT] : undefined,
    laterFragment: isIp && fragBits !== 0 ? ((key[W_NW]! >>> 24) & FLOW_NW_FRAG_LATER) !== 0 : undefined,
    tags: tagsOf(key, mask),
  };
}

/** Why a megaflow of the kind is one that programs cannot match on all the same. */
export function unmatched({ zeros }: Lookup, key: Flow): string | undefined {
  for (let i = 0; i < zeros.length; i += 2) {
    const word = zeros[i]!;
    if ((key[word]! & zeros[i + 1]!) !== 0)
      return word < W_ETH_DST_HI || word >= FLOW_PACKET_WORDS ? "recirculated" : "matches no packet";
  }
  return undefined;
}

/** Words of a lookup's key, at least one. */
export function lookupWords({ fields }: Pick<Lookup, "fields">): number {
  return Math.max(fields.length, 1);
}

/** Writes the key under which programs look a megaflow up, {@link lookupWords} of them. */
export function writeLookup({ sources }: Lookup, key: Flow, into: Int32Array, at: number): void {
  if (sources.length === 0) into[at] = 0;
  for (let i = 0, to = at; i < sources.length; i += 3, to++) {
    const bits = sources[i + 1]!;
    const value = key[sources[i]!]! & bits;
    const how = sources[i + 2];
    into[to] = how === SWAPPED ? swap32(value) : how === COPIED ? value : bits;
  }
}

function tagsOf(key: Flow, mask: Flow): number | undefined {
  for (let tags = 0; tags < 2; tags++) {
    if ((mask[W_VLAN0 + tags]! & VLAN_CFI) === 0) return undefined;
    if ((key[W_VLAN0 + tags]! & VLAN_CFI) === 0) return tags;
  }
  return 2;
}

/** Names what a table looks up: equal for megaflows that can share one. */
export function signature(branch: Branch, fields: readonly Field[]): string {
  return `${branch} ${fields.map(({ base, offset, bits }) => `${base}${offset}/${(bits >>> 0).toString(16)}`).join(" ")}`;
}
