/**
 * OVS_KEY_ATTR_* as rows: each attribute's struct, cut into pieces of the flow layout's words; when a key has it; and which bits
 * a mask must have before it may have any of it (the kernel's own rule: what is matched tells how the packet was parsed).
 * What nests (tunnel, VLAN, MPLS, NSH) is in `key-codec.ts` and `tunnel-codec.ts`. Source: linux/openvswitch.h, Linux 6.1.
 */
import * as L from "../../flow/layout.ts";
import {
  ETH_TYPE_ARP,
  ETH_TYPE_IPV4,
  ETH_TYPE_IPV6,
  ETH_TYPE_RARP,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_IGMP,
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
} from "../../flow/packet/ethernet.ts";
import { protocolOf, typeOf } from "../odp/attributes.ts";

export const KEY_ENCAP = 1;
export const KEY_PRIORITY = 2;
export const KEY_ETHERNET = 4;
export const KEY_VLAN = 5;
export const KEY_ETHERTYPE = 6;
export const KEY_IPV4 = 7;
export const KEY_IPV6 = 8;
export const KEY_TUNNEL = 16;
export const KEY_MPLS = 21;
export const KEY_NSH = 28;

/** `bytes` bytes at `at` of the struct are the bits of `word` from `shift` on. */
export interface KeyPiece {
  readonly at: number;
  readonly bytes: 1 | 2 | 4;
  readonly word: number;
  readonly shift: number;
  /** The bits that the layout has, counted from 0. */
  readonly bits: number;
}

export interface KeyRow {
  readonly attribute: number;
  readonly name: string;
  /** Of the struct. */
  readonly bytes: number;
  readonly pieces: readonly KeyPiece[];
  /** Numbers are in the host's order, not the network's. */
  readonly host: boolean;
  /** Metadata: goes with a packet that is executed, too. */
  readonly metadata: boolean;
  readonly present: (key: L.Flow) => boolean;
  /** [word, bits] that a mask has in full when it has any of this attribute. */
  readonly needs: readonly (readonly [word: number, bits: number])[];
  /** Actions may set it. */
  readonly settable: boolean;
}

function piece(at: number, bytes: 1 | 2 | 4, word: number, shift = 0, bits?: number): KeyPiece {
  return { at, bytes, word, shift, bits: bits ?? (bytes === 4 ? -1 : (1 << (bytes * 8)) - 1) };
}

const quad = (at: number, word: number): KeyPiece[] =>
  [0, 1, 2, 3].map((i) => piece(at + i * 4, 4, word + i));

/** A MAC address whose high half lies in a word of its own, the low one in half a word; or the other way round. */
const highMac = (at: number, word: number): KeyPiece[] => [
  piece(at, 4, word),
  piece(at + 4, 2, word + 1, 16),
];
const lowMac = (at: number, word: number): KeyPiece[] => [piece(at, 2, word, 0), piece(at + 2, 4, word + 1)];

const always = (): boolean => true;

function meta(
  attribute: number,
  name: string,
  bytes: 2 | 4,
  word: number,
  shift = 0,
  settable = false,
): KeyRow {
  return {
    attribute,
    name,
    bytes,
    pieces: [piece(0, bytes, word, shift)],
    host: true,
    metadata: true,
    present: always,
    needs: [],
    settable,
  };
}

const TYPE = [L.W_ETH_TYPE, 0xffff] as const;
const PROTOCOL = [L.W_NW, 0xff] as const;

export const isIp = (key: L.Flow): boolean => typeOf(key) === ETH_TYPE_IPV4 || typeOf(key) === ETH_TYPE_IPV6;
const over =
  (protocol: number, type?: number) =>
  (key: L.Flow): boolean =>
    isIp(key) &&
    (type === undefined || typeOf(key) === type) &&
    protocolOf(key) === protocol &&
    ((key[L.W_NW]! >>> 24) & L.FLOW_NW_FRAG_LATER) === 0;

function header(
  attribute: number,
  name: string,
  bytes: number,
  pieces: readonly KeyPiece[],
  present: (key: L.Flow) => boolean,
  needs: KeyRow["needs"],
  settable = false,
): KeyRow {
  return { attribute, name, bytes, pieces, host: false, metadata: false, present, needs, settable };
}

const ports = [piece(0, 2, L.W_TP, 16), piece(2, 2, L.W_TP)];
const icmp = [piece(0, 1, L.W_TP, 16), piece(1, 1, L.W_TP)];
const TRANSPORT = [TYPE, PROTOCOL];
const isIcmpv6 = over(IPPROTO_ICMPV6, ETH_TYPE_IPV6);

/** The fragment byte counts 0, 1, 2 where the layout has two bits: see key-codec. */
export const FRAGMENT_SHIFT = 24;

const tuple = (name: string, attribute: number, type: number, addresses: KeyPiece[], at: number): KeyRow => ({
  attribute,
  name,
  bytes: at + 8,
  pieces: [
    ...addresses,
    piece(at, 2, L.W_CT_TP, 16),
    piece(at + 2, 2, L.W_CT_TP),
    piece(at + 4, 1, L.W_CT_NW_PROTO),
  ],
  host: false,
  metadata: true,
  present: (key) => key[L.W_CT_NW_PROTO] !== 0 && typeOf(key) === type,
  needs: [TYPE],
  settable: false,
});

export const KEY_ROWS: readonly KeyRow[] = [
  meta(KEY_PRIORITY, "priority", 4, L.W_SKB_PRIORITY, 0, true),
  meta(3, "in_port", 4, L.W_IN_PORT),
  meta(15, "skb_mark", 4, L.W_PKT_MARK, 0, true),
  meta(19, "dp_hash", 4, L.W_DP_HASH),
  meta(20, "recirc_id", 4, L.W_RECIRC_ID),
  // The kernel knows the lowest 8 bits, and refuses others also in masks.
  { ...meta(22, "ct_state", 4, L.W_CT_STATE_ZONE), pieces: [piece(0, 4, L.W_CT_STATE_ZONE, 0, 0xff)] },
  meta(23, "ct_zone", 2, L.W_CT_STATE_ZONE, 16),
  meta(24, "ct_mark", 4, L.W_CT_MARK),
  { ...meta(25, "ct_labels", 4, 0), bytes: 16, host: false, pieces: quad(0, L.W_CT_LABEL) },
  tuple("ct_tuple4", 26, ETH_TYPE_IPV4, [piece(0, 4, L.W_CT_NW_SRC), piece(4, 4, L.W_CT_NW_DST)], 8),
  tuple("ct_tuple6", 27, ETH_TYPE_IPV6, [...quad(0, L.W_CT_IPV6_SRC), ...quad(16, L.W_CT_IPV6_DST)], 32),
  header(
    KEY_ETHERNET,
    "ethernet",
    12,
    [...lowMac(0, L.W_ETH_DST_SRC), ...highMac(6, L.W_ETH_DST_HI)],
    (key) => key[L.W_PACKET_TYPE] === 0,
    [],
    true,
  ),
  header(
    KEY_IPV4,
    "ipv4",
    12,
    [
      piece(0, 4, L.W_IPV4_SRC),
      piece(4, 4, L.W_IPV4_DST),
      piece(8, 1, L.W_NW),
      piece(9, 1, L.W_NW, 8),
      piece(10, 1, L.W_NW, 16),
      piece(11, 1, L.W_NW, FRAGMENT_SHIFT, 3),
    ],
    (key) => typeOf(key) === ETH_TYPE_IPV4,
    [TYPE],
    true,
  ),
  header(
    KEY_IPV6,
    "ipv6",
    40,
    [
      ...quad(0, L.W_IPV6_SRC),
      ...quad(16, L.W_IPV6_DST),
      piece(32, 4, L.W_IPV6_LABEL, 0, 0xfffff),
      piece(36, 1, L.W_NW),
      piece(37, 1, L.W_NW, 8),
      piece(38, 1, L.W_NW, 16),
      piece(39, 1, L.W_NW, FRAGMENT_SHIFT, 3),
    ],
    (key) => typeOf(key) === ETH_TYPE_IPV6,
    [TYPE],
    true,
  ),
  header(
    13,
    "arp",
    24,
    [
      piece(0, 4, L.W_IPV4_SRC),
      piece(4, 4, L.W_IPV4_DST),
      piece(8, 2, L.W_NW, 0, 0xff),
      ...highMac(10, L.W_ARP_SHA_HI),
      ...lowMac(16, L.W_ARP_SHA_THA),
    ],
    (key) => typeOf(key) === ETH_TYPE_ARP || typeOf(key) === ETH_TYPE_RARP,
    [TYPE],
  ),
  header(9, "tcp", 4, ports, over(IPPROTO_TCP), TRANSPORT, true),
  header(18, "tcp_flags", 2, [piece(0, 2, L.W_TCP_FLAGS)], over(IPPROTO_TCP), TRANSPORT),
  header(10, "udp", 4, ports, over(IPPROTO_UDP), TRANSPORT, true),
  header(17, "sctp", 4, ports, over(IPPROTO_SCTP), TRANSPORT, true),
  header(11, "icmp", 2, icmp, over(IPPROTO_ICMP, ETH_TYPE_IPV4), TRANSPORT),
  header(12, "icmpv6", 2, icmp, isIcmpv6, TRANSPORT),
  header(
    14,
    "nd",
    28,
    [...quad(0, L.W_ND_TARGET), ...highMac(16, L.W_ARP_SHA_HI), ...lowMac(22, L.W_ARP_SHA_THA)],
    (key) => isIcmpv6(key) && (key[L.W_TP]! >>> 16 === 135 || key[L.W_TP]! >>> 16 === 136),
    [...TRANSPORT, [L.W_TP, 0xff0000]],
  ),
];

/** By OVS_KEY_ATTR_*. */
export const ROW_OF: readonly (KeyRow | undefined)[] = Array.from({ length: 33 }, (_, attribute) =>
  KEY_ROWS.find((row) => row.attribute === attribute),
);

const isIgmp = over(IPPROTO_IGMP, ETH_TYPE_IPV4);

/** What keys of packets have and the kernel's keys never tell: [word, bits, when a key has it]. */
export const INVISIBLE: readonly (readonly [
  word: number,
  bits: number,
  present: (key: L.Flow) => boolean,
])[] = [
  [L.W_IGMP_ND_RESERVED, -1, (key) => isIgmp(key) || isIcmpv6(key)],
  // The type of options of neighbour discovery.
  [L.W_TCP_FLAGS, 0xff0000, isIcmpv6],
  [L.W_TP, -1, isIgmp],
  [L.W_TUN_GTPU, -1, (key) => key[L.W_TUN_GTPU] !== 0],
];
