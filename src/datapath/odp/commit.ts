/**
 * From changed flow words to header-changing actions, as late as possible: before an output. The order is that of the
 * original: Ethernet, network, transport, MPLS, VLAN, then priority and mark.
 */
import * as L from "../../flow/layout.ts";
import {
  ETH_TYPE_ARP,
  ETH_TYPE_IPV4,
  ETH_TYPE_IPV6,
  ETH_TYPE_MPLS,
  ETH_TYPE_NSH,
  ETH_TYPE_RARP,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  isMplsType,
} from "../../flow/packet/ethernet.ts";
import * as A from "./actions.ts";

/** Parts of a header's words that are set as a whole: when one bit differs, all bits that were looked at count. */
type Fields = readonly (readonly [word: number, bits: number])[];

const ETHERNET: Fields = [
  [L.W_ETH_DST_SRC, 0x0000ffff],
  [L.W_ETH_SRC_LO, -1],
  [L.W_ETH_DST_HI, -1],
  [L.W_ETH_DST_SRC, 0xffff0000 | 0],
];
const IPV4: Fields = [
  [L.W_IPV4_SRC, -1],
  [L.W_IPV4_DST, -1],
  [L.W_NW, 0xff00],
  [L.W_NW, 0xff0000],
];
const IPV6: Fields = [
  ...[0, 1, 2, 3, 4, 5, 6, 7].map((i) => [L.W_IPV6_SRC + i, -1] as const),
  [L.W_IPV6_LABEL, 0xfffff],
  [L.W_NW, 0xff00],
  [L.W_NW, 0xff0000],
];
const ARP: Fields = [
  [L.W_IPV4_SRC, -1],
  [L.W_IPV4_DST, -1],
  [L.W_NW, 0xff],
  [L.W_ARP_SHA_HI, -1],
  [L.W_ARP_SHA_THA, 0xffff0000 | 0],
  [L.W_ARP_SHA_THA, 0xffff],
  [L.W_ARP_THA_LO, -1],
];
/** What encap() and decap() have done to the flow since the last commit. */
export type Encapsulation =
  | { readonly kind: "ethernet" }
  | { readonly kind: "mpls" }
  | { readonly kind: "nsh"; readonly options: Uint8Array }
  | { readonly kind: "decap" };

const NSH: Fields = [
  [L.W_NSH_BASE, 0xffff0000 | 0],
  [L.W_NSH_PATH, -1],
  ...[0, 1, 2, 3].map((i) => [L.W_NSH_CONTEXT + i, -1] as const),
];
const PORTS: Fields = [
  [L.W_TP, 0xffff0000 | 0],
  [L.W_TP, 0xffff],
];
const ICMP: Fields = [
  [L.W_TP, 0x00ff0000],
  [L.W_TP, 0xff],
];
const ND: Fields = [
  ...[0, 1, 2, 3].map((i) => [L.W_ND_TARGET + i, -1] as const),
  [L.W_ARP_SHA_HI, -1],
  [L.W_ARP_SHA_THA, 0xffff0000 | 0],
  [L.W_ARP_SHA_THA, 0xffff],
  [L.W_ARP_THA_LO, -1],
];
const ND_EXTENSIONS: Fields = [
  [L.W_IGMP_ND_RESERVED, -1],
  [L.W_TCP_FLAGS, 0xff0000],
];
const PRIORITY: Fields = [[L.W_SKB_PRIORITY, -1]];
const MARK: Fields = [[L.W_PKT_MARK, -1]];

/**
 * Fields made of several words: a change in one of them sets them all (an address is never set by halves). By first
 * word: the words.
 */
const WHOLE: readonly Fields[] = [
  [
    [L.W_ETH_DST_SRC, 0x0000ffff],
    [L.W_ETH_SRC_LO, -1],
  ],
  [
    [L.W_ETH_DST_HI, -1],
    [L.W_ETH_DST_SRC, 0xffff0000 | 0],
  ],
  [0, 1, 2, 3].map((i) => [L.W_IPV6_SRC + i, -1] as const),
  [0, 1, 2, 3].map((i) => [L.W_IPV6_DST + i, -1] as const),
  [0, 1, 2, 3].map((i) => [L.W_ND_TARGET + i, -1] as const),
];
const HARDWARE: readonly Fields[] = [
  [
    [L.W_ARP_SHA_HI, -1],
    [L.W_ARP_SHA_THA, 0xffff0000 | 0],
  ],
  [
    [L.W_ARP_SHA_THA, 0xffff],
    [L.W_ARP_THA_LO, -1],
  ],
];

const NSH_WHOLE: readonly Fields[] = [
  [
    [L.W_NSH_BASE, 0xffff0000 | 0],
    [L.W_NSH_PATH, -1],
  ],
  [0, 1, 2, 3].map((i) => [L.W_NSH_CONTEXT + i, -1] as const),
];

/** Headers that datapaths other than this one cannot set: they go through the daemon in every datapath, as users expect. */
const SLOW: ReadonlySet<Fields> = new Set([ARP, ICMP, ND, ND_EXTENSIONS]);

const SCRATCH = new Int32Array(L.FLOW_DP_WORDS);
/** Of the commit under way: the datapath cannot set some bits of a header. */
let wholeHeaders = false;
/** Of the commit under way: it has set something of SLOW. */
let needsSlowPath = false;

/** What a header has that no action changes, but that a set of the whole header names. */
const UNCHANGING: ReadonlyMap<Fields, Fields> = new Map([
  [IPV4, [[L.W_NW, 0xff0000ff | 0]]],
  [IPV6, [[L.W_NW, 0xff0000ff | 0]]],
  [NSH, [[L.W_NSH_BASE, 0xffff]]],
] as const);

/**
 * Emits what turns a packet with headers `base` into one with headers `flow`, makes `base` equal to `flow` in what it
 * has emitted, and marks in `wildcards` the bits that the actions depend on. Ethertypes and IP protocols are not
 * changed here; without `knowsNetwork` what lies below a label that came off is left alone; without `masked` each header
 * in which something changes is set as a whole; pushing and popping of MPLS labels and VLAN tags is told from the stacks.
 * @returns whether datapaths leave this to the slow path.
 */
export function commitActions(
  base: L.Flow,
  flow: L.Flow,
  builder: A.OdpActionBuilder,
  wildcards: L.Flow,
  encapsulation?: Encapsulation,
  knowsNetwork = true,
  masked = true,
): boolean {
  wholeHeaders = !masked;
  needsSlowPath = false;
  commitEncapsulation(base, flow, builder, encapsulation);
  // What is inside will be parsed first.
  if (encapsulation?.kind === "decap") return false;
  if (flow[L.W_PACKET_TYPE] === 0 && base[L.W_PACKET_TYPE] === 0)
    commitFields(base, flow, builder, wildcards, ETHERNET, WHOLE);
  const type = flow[L.W_ETH_TYPE]! & 0xffff;
  // What lies below labels can be changed only once they are off, and only before new ones are on.
  if (!isMplsType(type)) commitMpls(base, flow, builder, wildcards);
  if (knowsNetwork && (base[L.W_ETH_TYPE]! & 0xffff) === type)
    commitNetwork(base, flow, builder, wildcards, type);
  if (isMplsType(type)) commitMpls(base, flow, builder, wildcards);
  commitVlan(base, flow, builder, wildcards);
  commitFields(base, flow, builder, wildcards, PRIORITY, []);
  commitFields(base, flow, builder, wildcards, MARK, []);
  return needsSlowPath;
}

/** Pushes the header that is new, or pops the one that is gone. */
function commitEncapsulation(
  base: L.Flow,
  flow: L.Flow,
  builder: A.OdpActionBuilder,
  encapsulation: Encapsulation | undefined,
): void {
  switch (encapsulation?.kind) {
    case "ethernet":
      builder.emit(A.ODP_PUSH_ETH, flow[L.W_ETH_DST_HI]!, flow[L.W_ETH_DST_SRC]!, flow[L.W_ETH_SRC_LO]!, 3);
      for (let word = L.W_PACKET_TYPE; word <= L.W_ETH_TYPE; word++) base[word] = flow[word]!;
      return;
    case "nsh":
      pushNsh(flow, builder, encapsulation.options);
      copyHeaders(base, flow);
      return;
    case "mpls":
      builder.emit(A.ODP_ADD_MPLS, flow[L.W_MPLS]!, flow[L.W_ETH_TYPE]! & 0xffff, 0, 2);
      copyHeaders(base, flow);
      return;
    case "decap":
      popHeader(base, flow, builder);
      return;
    default:
      if (base[L.W_PACKET_TYPE] !== 0 || flow[L.W_PACKET_TYPE] === 0) return;
      builder.emit(A.ODP_POP_ETH, 0, 0, 0, 0);
      base[L.W_PACKET_TYPE] = flow[L.W_PACKET_TYPE]!;
      base.fill(0, L.W_ETH_DST_HI, L.W_ETH_SRC_LO + 1);
  }
}

function copyHeaders(base: L.Flow, flow: L.Flow): void {
  for (let word = L.W_PACKET_TYPE; word < L.FLOW_PACKET_WORDS; word++) base[word] = flow[word]!;
  for (let word = L.W_NSH_BASE; word < L.W_NSH_CONTEXT + 4; word++) base[word] = flow[word]!;
}

function pushNsh(flow: L.Flow, builder: A.OdpActionBuilder, options: Uint8Array): void {
  const md1 = ((flow[L.W_NSH_BASE]! >>> 8) & 0xff) === 1;
  const words = md1 ? 4 : options.length >>> 2;
  const at = builder.emitBlank(A.ODP_PUSH_NSH, A.NSH_CONTEXT + words);
  const program = builder.words;
  program[at + A.NSH_BASE] = flow[L.W_NSH_BASE]!;
  program[at + A.NSH_PATH] = flow[L.W_NSH_PATH]!;
  program[at + A.NSH_MD2_LENGTH] = md1 ? 0 : options.length;
  const view = new DataView(options.buffer, options.byteOffset, options.byteLength);
  for (let i = 0; i < words; i++)
    program[at + A.NSH_CONTEXT + i] = md1 ? flow[L.W_NSH_CONTEXT + i]! : view.getInt32(4 * i);
}

/** Transparent Ethernet bridging: a label on a whole frame. */
const ETH_TYPE_TEB = 0x6558;

function popHeader(base: L.Flow, flow: L.Flow, builder: A.OdpActionBuilder): void {
  if ((base[L.W_PACKET_TYPE]! & 0xffff) === ETH_TYPE_NSH) {
    builder.emit(A.ODP_POP_NSH, 0, 0, 0, 0);
    return;
  }
  const last = (base[L.W_MPLS]! & 0x100) !== 0;
  const type = flow[L.W_PACKET_TYPE]!;
  const below = !last ? base[L.W_ETH_TYPE]! & 0xffff : type === 0 ? ETH_TYPE_TEB : type & 0xffff;
  builder.emit(A.ODP_POP_MPLS, below);
  popMplsWords(base);
  if (last) base[L.W_PACKET_TYPE] = type;
}

function commitNetwork(
  base: L.Flow,
  flow: L.Flow,
  builder: A.OdpActionBuilder,
  wildcards: L.Flow,
  type: number,
): void {
  // Without a protocol what the flow says of this header is not known: labels hid it.
  if (type !== ETH_TYPE_NSH && (flow[L.W_NW]! & 0xff) === 0) return;
  switch (type) {
    case ETH_TYPE_IPV4:
      commitFields(base, flow, builder, wildcards, IPV4, WHOLE);
      break;
    case ETH_TYPE_IPV6:
      commitFields(base, flow, builder, wildcards, IPV6, WHOLE);
      break;
    case ETH_TYPE_ARP:
    case ETH_TYPE_RARP:
      commitFields(base, flow, builder, wildcards, ARP, HARDWARE);
      return;
    case ETH_TYPE_NSH:
      commitFields(base, flow, builder, wildcards, NSH, NSH_WHOLE);
      return;
    default:
      return;
  }
  const protocol = base[L.W_NW]! & 0xff;
  switch (protocol) {
    case IPPROTO_TCP:
    case IPPROTO_UDP:
    case IPPROTO_SCTP:
      commitFields(base, flow, builder, wildcards, PORTS, []);
      break;
    case IPPROTO_ICMP:
      if (type === ETH_TYPE_IPV4) commitFields(base, flow, builder, wildcards, ICMP, []);
      break;
    case IPPROTO_ICMPV6:
      if (type !== ETH_TYPE_IPV6) break;
      if (isNd(base)) {
        commitFields(base, flow, builder, wildcards, ND, [...WHOLE, ...HARDWARE]);
        commitFields(base, flow, builder, wildcards, ND_EXTENSIONS, []);
      }
      commitFields(base, flow, builder, wildcards, ICMP, []);
  }
}

function isNd(flow: L.Flow): boolean {
  const kind = flow[L.W_TP]! >>> 16;
  return (flow[L.W_TP]! & 0xffff) === 0 && (kind === 135 || kind === 136);
}

/** Sets the fields that differ, in the bits that were looked at and those that differ. */
function commitFields(
  base: L.Flow,
  flow: L.Flow,
  builder: A.OdpActionBuilder,
  wildcards: L.Flow,
  fields: Fields,
  whole: readonly Fields[],
): void {
  let any = 0;
  for (const [word, bits] of fields) any |= (base[word]! ^ flow[word]!) & bits;
  if (any === 0) return;
  const masks = SCRATCH;
  if (SLOW.has(fields)) needsSlowPath = true;
  // Nobody has headers of ARP set as a whole, nor those of ICMP by halves.
  if (fields === ICMP || (wholeHeaders && fields !== ARP)) {
    for (const part of [fields, UNCHANGING.get(fields) ?? []])
      for (const [word, bits] of part) masks[word] = masks[word]! | bits;
  }
  for (const [word, bits] of fields) {
    const differs = (base[word]! ^ flow[word]!) & bits;
    if (differs !== 0) masks[word] = masks[word]! | differs | (wildcards[word]! & bits);
  }
  for (const group of whole) {
    let touched = 0;
    for (const [word, bits] of group) touched |= masks[word]! & bits;
    if (touched === 0) continue;
    for (const [word, bits] of group) masks[word] = masks[word]! | (wildcards[word]! & bits);
  }
  for (const [word] of fields) {
    const mask = masks[word]!;
    if (mask === 0) continue;
    masks[word] = 0;
    builder.emit(A.ODP_SET, word, flow[word]! & mask, mask, 3);
    wildcards[word] = wildcards[word]! | mask;
    base[word] = (base[word]! & ~mask) | (flow[word]! & mask);
  }
}

/** Entries of the label stack that a flow holds, 0 to 3; marks the bits that tell. */
export function countMplsLabels(flow: L.Flow, wildcards?: L.Flow): number {
  if (!isMplsType(flow[L.W_ETH_TYPE]! & 0xffff)) return 0;
  let count = 0;
  for (let label = 0; label < 3; label++) {
    const entry = flow[L.W_MPLS + label]!;
    if (wildcards !== undefined) wildcards[L.W_MPLS + label] = wildcards[L.W_MPLS + label]! | 0x100;
    if ((entry & 0x100) !== 0) return label + 1;
    // A stack deeper than 3, or a flow that tells of no more.
    if (entry !== 0) count++;
  }
  return count;
}

/** Pops what only `base` has, rewrites the top entry where that is enough, and pushes what only `flow` has. */
function commitMpls(base: L.Flow, flow: L.Flow, builder: A.OdpActionBuilder, wildcards: L.Flow): void {
  const flowType = flow[L.W_ETH_TYPE]! & 0xffff;
  let have = countMplsLabels(base);
  const want = countMplsLabels(flow);
  if (have === 0 && want === 0) return;
  // Equal entries at the bottom stay.
  let common = 0;
  while (
    common < have &&
    common < want &&
    base[L.W_MPLS + have - 1 - common] === flow[L.W_MPLS + want - 1 - common]
  ) {
    common++;
  }
  const bottom = common;
  while (have > bottom) {
    wildcards[L.W_MPLS] = wildcards[L.W_MPLS]! | 0x100;
    if (have - 1 === bottom && want > bottom) {
      const lse = flow[L.W_MPLS + want - 1 - bottom]!;
      const differs = base[L.W_MPLS]! ^ lse;
      const mask = wholeHeaders && differs !== 0 ? -1 : mplsFields(differs);
      if (mask !== 0) builder.emit(A.ODP_SET, L.W_MPLS, lse & mask, mask, 3);
      wildcards[L.W_MPLS] = wildcards[L.W_MPLS]! | mask;
      common++;
      break;
    }
    popMplsWords(base);
    have--;
    // With labels left that are to go, too, it is MPLS still.
    builder.emit(A.ODP_POP_MPLS, have > 0 && want === 0 ? ETH_TYPE_MPLS : flowType);
    if (have === 0) base[L.W_ETH_TYPE] = flowType;
  }
  for (let label = want - common - 1; label >= 0; label--) {
    builder.emit(A.ODP_PUSH_MPLS, flow[L.W_MPLS + label]!, flowType, 0, 2);
  }
  for (let label = 0; label < 3; label++) base[L.W_MPLS + label] = flow[L.W_MPLS + label]!;
  base[L.W_ETH_TYPE] = (base[L.W_ETH_TYPE]! & ~0xffff) | flowType;
}

/** Whole fields of a label stack entry where any bit differs. */
function mplsFields(differs: number): number {
  let mask = 0;
  for (const bits of [0xfffff000 | 0, 0xe00, 0x100, 0xff]) if ((differs & bits) !== 0) mask |= bits;
  return mask;
}

function popMplsWords(flow: L.Flow): void {
  flow[L.W_MPLS] = flow[L.W_MPLS + 1]!;
  flow[L.W_MPLS + 1] = flow[L.W_MPLS + 2]!;
  flow[L.W_MPLS + 2] = 0;
}

function countTags(flow: L.Flow): number {
  if ((flow[L.W_VLAN0]! & L.VLAN_CFI) === 0) return 0;
  return (flow[L.W_VLAN1]! & L.VLAN_CFI) === 0 ? 1 : 2;
}

/** Pops the outer tags of `base` down to the inner ones that both have, then pushes those of `flow`. */
function commitVlan(base: L.Flow, flow: L.Flow, builder: A.OdpActionBuilder, wildcards: L.Flow): void {
  let have = countTags(base);
  let want = countTags(flow);
  while (have > 0 && want > 0 && base[L.W_VLAN0 + have - 1] === flow[L.W_VLAN0 + want - 1]) {
    have--;
    want--;
  }
  for (let tag = have - 1; tag >= 0; tag--) {
    builder.emit(A.ODP_POP_VLAN, 0, 0, 0, 0);
    wildcards[L.W_VLAN0 + tag] = -1;
  }
  for (let tag = want - 1; tag >= 0; tag--) {
    const value = flow[L.W_VLAN0 + tag]!;
    builder.emit(A.ODP_PUSH_VLAN, value >>> 16 === 0 ? value | 0x81000000 : value);
  }
  base[L.W_VLAN0] = flow[L.W_VLAN0]!;
  base[L.W_VLAN1] = flow[L.W_VLAN1]!;
}
