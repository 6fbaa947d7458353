/**
 * Every attribute of a datapath key as a row: its name in text, its parts, where they lie in the flow layout, and when a
 * key has it. Keys, masks and `set(...)` actions are printed and parsed from this one table; vlan/encap and tunnel, which
 * nest, are in key-text.ts.
 */
import * as L from "../../flow/layout.ts";
import {
  ETH_TYPE_ARP,
  ETH_TYPE_IPV4,
  ETH_TYPE_IPV6,
  ETH_TYPE_NSH,
  ETH_TYPE_RARP,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  isMplsType,
} from "../../flow/packet/ethernet.ts";

export type OdpFormat =
  | "dec"
  | "hex"
  | "hex4"
  | "hex_mask8"
  | "eth"
  | "ipv4"
  | "ipv6"
  | "frag"
  | "tcp_flags"
  | "ct_state"
  | "port";

export interface OdpPart {
  /** "src"; "" when the attribute has only one part, written without a label. */
  readonly label: string;
  readonly format: OdpFormat;
  /** Most significant first. */
  readonly places: readonly (readonly [word: number, shift: number, width: number])[];
}

export interface OdpAttribute {
  readonly name: string;
  readonly parts: readonly OdpPart[];
  /** A key has this attribute. */
  readonly present: (key: L.Flow) => boolean;
}

const always = () => true;

export function typeOf(key: L.Flow): number {
  return key[L.W_ETH_TYPE]! & 0xffff;
}

export function protocolOf(key: L.Flow): number {
  return key[L.W_NW]! & 0xff;
}

function isIp(key: L.Flow): boolean {
  return typeOf(key) === ETH_TYPE_IPV4 || typeOf(key) === ETH_TYPE_IPV6;
}

function isLater(key: L.Flow): boolean {
  return ((key[L.W_NW]! >>> 24) & L.FLOW_NW_FRAG_LATER) !== 0;
}

function over(protocol: number): (key: L.Flow) => boolean {
  return (key) => isIp(key) && protocolOf(key) === protocol && !isLater(key);
}

function part(label: string, format: OdpFormat, word: number, shift = 0, width = 32): OdpPart {
  return { label, format, places: [[word, shift, width]] };
}

function quad(label: string, format: OdpFormat, word: number): OdpPart {
  return { label, format, places: [0, 1, 2, 3].map((i) => [word + i, 0, 32] as const) };
}

function one(name: string, format: OdpFormat, word: number, shift = 0, width = 32): OdpAttribute {
  return { name, parts: [part("", format, word, shift, width)], present: always };
}

function ports(name: string, protocol: number): OdpAttribute {
  return {
    name,
    parts: [part("src", "dec", L.W_TP, 16, 16), part("dst", "dec", L.W_TP, 0, 16)],
    present: over(protocol),
  };
}

const icmpParts = [part("type", "dec", L.W_TP, 16, 8), part("code", "dec", L.W_TP, 0, 8)];

const shaPlaces = [
  [L.W_ARP_SHA_HI, 0, 32],
  [L.W_ARP_SHA_THA, 16, 16],
] as const;
const thaPlaces = [
  [L.W_ARP_SHA_THA, 0, 16],
  [L.W_ARP_THA_LO, 0, 32],
] as const;

function isIcmpv6(key: L.Flow): boolean {
  return typeOf(key) === ETH_TYPE_IPV6 && over(IPPROTO_ICMPV6)(key);
}

function isNd(key: L.Flow): boolean {
  const type = key[L.W_TP]! >>> 16;
  return isIcmpv6(key) && (key[L.W_TP]! & 0xffff) === 0 && (type === 135 || type === 136);
}

/** The parts of one entry of the label stack. */
export function mplsParts(label: number): OdpPart[] {
  return [
    part("label", "dec", L.W_MPLS + label, 12, 20),
    part("tc", "dec", L.W_MPLS + label, 9, 3),
    part("ttl", "dec", L.W_MPLS + label, 0, 8),
    part("bos", "dec", L.W_MPLS + label, 8, 1),
  ];
}

/** Before eth. */
export const METADATA_ATTRIBUTES: readonly OdpAttribute[] = [
  one("recirc_id", "hex", L.W_RECIRC_ID),
  one("dp_hash", "hex", L.W_DP_HASH),
  one("skb_priority", "hex", L.W_SKB_PRIORITY),
  one("in_port", "port", L.W_IN_PORT),
  one("skb_mark", "hex", L.W_PKT_MARK),
  one("ct_state", "ct_state", L.W_CT_STATE_ZONE, 0, 16),
  one("ct_zone", "hex", L.W_CT_STATE_ZONE, 16, 16),
  one("ct_mark", "hex", L.W_CT_MARK),
  { name: "ct_label", parts: [quad("", "hex", L.W_CT_LABEL)], present: always },
  {
    name: "ct_tuple4",
    parts: [
      part("src", "ipv4", L.W_CT_NW_SRC),
      part("dst", "ipv4", L.W_CT_NW_DST),
      part("proto", "dec", L.W_CT_NW_PROTO, 0, 8),
      part("tp_src", "dec", L.W_CT_TP, 16, 16),
      part("tp_dst", "dec", L.W_CT_TP, 0, 16),
    ],
    present: (key) => key[L.W_CT_NW_PROTO] !== 0 && typeOf(key) === ETH_TYPE_IPV4,
  },
  {
    name: "ct_tuple6",
    parts: [
      quad("src", "ipv6", L.W_CT_IPV6_SRC),
      quad("dst", "ipv6", L.W_CT_IPV6_DST),
      part("proto", "dec", L.W_CT_NW_PROTO, 0, 8),
      part("tp_src", "dec", L.W_CT_TP, 16, 16),
      part("tp_dst", "dec", L.W_CT_TP, 0, 16),
    ],
    present: (key) => key[L.W_CT_NW_PROTO] !== 0 && typeOf(key) === ETH_TYPE_IPV6,
  },
  {
    name: "packet_type",
    parts: [part("ns", "dec", L.W_PACKET_TYPE, 16, 16), part("id", "hex", L.W_PACKET_TYPE, 0, 16)],
    present: always,
  },
];

export const ETH_ATTRIBUTE: OdpAttribute = {
  name: "eth",
  parts: [
    {
      label: "src",
      format: "eth",
      places: [
        [L.W_ETH_DST_SRC, 0, 16],
        [L.W_ETH_SRC_LO, 0, 32],
      ],
    },
    {
      label: "dst",
      format: "eth",
      places: [
        [L.W_ETH_DST_HI, 0, 32],
        [L.W_ETH_DST_SRC, 16, 16],
      ],
    },
  ],
  present: (key) => key[L.W_PACKET_TYPE] === 0,
};

export const ETH_TYPE_ATTRIBUTE: OdpAttribute = one("eth_type", "hex4", L.W_ETH_TYPE, 0, 16);

/** After eth_type. */
export const ND_EXT_ATTRIBUTE: OdpAttribute = {
  name: "nd_ext",
  parts: [
    part("nd_reserved", "hex", L.W_IGMP_ND_RESERVED),
    part("nd_options_type", "dec", L.W_TCP_FLAGS, 16, 8),
  ],
  present: (key) => isNd(key) && (key[L.W_IGMP_ND_RESERVED] !== 0 || key[L.W_TCP_FLAGS]! >>> 16 !== 0),
};

export const NETWORK_ATTRIBUTES: readonly OdpAttribute[] = [
  {
    name: "ipv4",
    parts: [
      part("src", "ipv4", L.W_IPV4_SRC),
      part("dst", "ipv4", L.W_IPV4_DST),
      part("proto", "dec", L.W_NW, 0, 8),
      part("tos", "hex", L.W_NW, 8, 8),
      part("ttl", "dec", L.W_NW, 16, 8),
      part("frag", "frag", L.W_NW, 24, 2),
    ],
    present: (key) => typeOf(key) === ETH_TYPE_IPV4,
  },
  {
    name: "ipv6",
    parts: [
      quad("src", "ipv6", L.W_IPV6_SRC),
      quad("dst", "ipv6", L.W_IPV6_DST),
      part("label", "hex", L.W_IPV6_LABEL, 0, 20),
      part("proto", "dec", L.W_NW, 0, 8),
      part("tclass", "hex", L.W_NW, 8, 8),
      part("hlimit", "dec", L.W_NW, 16, 8),
      part("frag", "frag", L.W_NW, 24, 2),
    ],
    present: (key) => typeOf(key) === ETH_TYPE_IPV6,
  },
  {
    name: "arp",
    parts: [
      part("sip", "ipv4", L.W_IPV4_SRC),
      part("tip", "ipv4", L.W_IPV4_DST),
      part("op", "dec", L.W_NW, 0, 8),
      { label: "sha", format: "eth", places: shaPlaces },
      { label: "tha", format: "eth", places: thaPlaces },
    ],
    present: (key) => typeOf(key) === ETH_TYPE_ARP || typeOf(key) === ETH_TYPE_RARP,
  },
  {
    // Of the outermost label; key-text.ts repeats the parts for the others.
    name: "mpls",
    parts: mplsParts(0),
    present: (key) => isMplsType(typeOf(key)),
  },
  {
    name: "nsh",
    parts: [
      part("flags", "dec", L.W_NSH_BASE, 24, 8),
      part("ttl", "dec", L.W_NSH_BASE, 16, 8),
      part("mdtype", "dec", L.W_NSH_BASE, 8, 8),
      part("np", "dec", L.W_NSH_BASE, 0, 8),
      part("spi", "hex", L.W_NSH_PATH, 8, 24),
      part("si", "dec", L.W_NSH_PATH, 0, 8),
      ...[1, 2, 3, 4].map((n) => part(`c${n}`, "hex_mask8", L.W_NSH_CONTEXT + n - 1)),
    ],
    present: (key) => typeOf(key) === ETH_TYPE_NSH,
  },
  ports("tcp", IPPROTO_TCP),
  {
    name: "tcp_flags",
    parts: [part("", "tcp_flags", L.W_TCP_FLAGS, 0, 16)],
    present: over(IPPROTO_TCP),
  },
  ports("udp", IPPROTO_UDP),
  ports("sctp", IPPROTO_SCTP),
  {
    name: "icmp",
    parts: icmpParts,
    present: (key) => typeOf(key) === ETH_TYPE_IPV4 && over(IPPROTO_ICMP)(key),
  },
  { name: "icmpv6", parts: icmpParts, present: isIcmpv6 },
  {
    name: "nd",
    parts: [
      quad("target", "ipv6", L.W_ND_TARGET),
      { label: "sll", format: "eth", places: shaPlaces },
      { label: "tll", format: "eth", places: thaPlaces },
    ],
    present: isNd,
  },
  ND_EXT_ATTRIBUTE,
];

/** Labels at the start of the stack that the key holds, 0 to 3. */
export function countMpls(key: L.Flow): number {
  if (!isMplsType(typeOf(key))) return 0;
  for (let label = 0; label < 3; label++) if ((key[L.W_MPLS + label]! & 0x100) !== 0) return label + 1;
  return 3;
}

/** What has a name of its own in text, all in one list. */
export const ATTRIBUTES: readonly OdpAttribute[] = [
  ...METADATA_ATTRIBUTES,
  ETH_ATTRIBUTE,
  ETH_TYPE_ATTRIBUTE,
  ...NETWORK_ATTRIBUTES,
];

export function readPart(of: OdpPart, row: L.Flow): bigint {
  let value = 0n;
  for (const [word, shift, width] of of.places) {
    value = (value << BigInt(width)) | BigInt(((row[word]! >>> shift) & ones(width)) >>> 0);
  }
  return value;
}

export function writePart(of: OdpPart, row: L.Flow, value: bigint): void {
  for (let i = of.places.length - 1; i >= 0; i--) {
    const [word, shift, width] = of.places[i]!;
    const bits = Number(value & BigInt(ones(width) >>> 0)) | 0;
    row[word] = (row[word]! & ~(ones(width) << shift)) | (bits << shift);
    value >>= BigInt(width);
  }
}

function ones(width: number): number {
  return width === 32 ? -1 : (1 << width) - 1;
}

/** All ones of the part's width. */
export function partOnes(of: OdpPart): bigint {
  let bits = 0;
  for (const [, , width] of of.places) bits += width;
  return (1n << BigInt(bits)) - 1n;
}
