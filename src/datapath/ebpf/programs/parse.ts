/**
 * The part of a program that finds headers. It tells the same of a packet as `flow/extract.ts`, and whatever is out of the
 * ordinary (options, extension headers, LLC, lengths that contradict each other) goes to the datapath in user space, which
 * knows all of it. Pure.
 *
 * Registers: R6 the context, R7 the frame's start, R8 the network header, R2 the end of what can be read. Slots: places.ts.
 */
import { FLOW_NW_FRAG_ANY, FLOW_NW_FRAG_LATER, VLAN_CFI } from "../../../flow/layout.ts";
import {
  ETH_TYPE_MIN,
  ETH_TYPE_VLAN_8021AD,
  ETH_TYPE_VLAN_8021Q,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_IGMP,
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
} from "../../../flow/packet/ethernet.ts";
import { SKB_PULL_DATA } from "../asm/helpers.ts";
import {
  Add,
  And,
  BigEndian,
  call,
  comment,
  IfEq,
  IfGe,
  IfGt,
  IfLe,
  IfLt,
  IfNe,
  IfSet,
  jump,
  type Line,
  Load,
  Lsh,
  label,
  Mov,
  Or,
  R0,
  R1,
  R2,
  R3,
  R4,
  R5,
  R6,
  R7,
  R8,
  R9,
  R10,
  type Register,
  Rsh,
  Store,
  Sub,
} from "../asm/instruction.ts";
import {
  SKB_DATA,
  SKB_DATA_END,
  SKB_LEN,
  SKB_VLAN_PRESENT,
  SKB_VLAN_PROTO,
  SKB_VLAN_TCI,
} from "../asm/skb.ts";
import { swap16 } from "./layout.ts";
import {
  type Branch,
  SLOT_MPLS,
  SLOT_NW,
  SLOT_SHA_THA,
  SLOT_TCP_FLAGS,
  SLOT_TP,
  SLOT_TYPE,
  SLOT_VLAN0,
  SLOT_VLAN1,
} from "./places.ts";

/** Where packets go that this cannot parse, or that nothing matches. */
export const UP = "up";
/** Bytes that are made readable: two tags, an IPv6 and a TCP header. */
const PULL = 14 + 2 * 4 + 40 + 20;

/** Bit of a label stack entry (RFC 3032): the last one. */
const MPLS_BOTTOM = 0x100;

const WIRE_8021Q = swap16(ETH_TYPE_VLAN_8021Q);
const WIRE_8021AD = swap16(ETH_TYPE_VLAN_8021AD);

/** Up unless `bytes` can be read at `from`. Clobbers R3. */
function need(from: Register, bytes: number): Line[] {
  return [Mov.reg(R3, from), Add.imm(R3, bytes), IfGt.reg(R3, R2, UP)];
}

/** Takes the context in R1; finds the headers that every frame has. Leaves R6, R7, R8, R2 and the Ethertype in R0. */
export function parseStart(vlanLimit: number): Line[] {
  return [
    Mov.reg(R6, R1),
    Load.u32(R7, R6, SKB_DATA),
    Load.u32(R2, R6, SKB_DATA_END),
    comment("headers may lie in pages that cannot be read directly yet"),
    Mov.reg(R3, R7),
    Add.imm(R3, PULL),
    IfLe.reg(R3, R2, "readable"),
    Mov.reg(R4, R2),
    Sub.reg(R4, R7),
    Load.u32(R5, R6, SKB_LEN),
    IfGe.reg(R4, R5, "readable"),
    Mov.reg(R1, R6),
    Mov.reg(R2, R5),
    IfLe.imm(R2, PULL, "pull"),
    Mov.imm(R2, PULL),
    label("pull"),
    call(SKB_PULL_DATA),
    Load.u32(R7, R6, SKB_DATA),
    Load.u32(R2, R6, SKB_DATA_END),
    label("readable"),
    ...need(R7, 14),
    Mov.imm(R1, 0),
    Store.u64(R10, SLOT_TCP_FLAGS, R1),
    ...parseTags(vlanLimit),
    BigEndian.u16(R0),
    IfLt.imm(R0, ETH_TYPE_MIN, UP),
    Store.u64(R10, SLOT_TYPE, R0),
  ];
}

/**
 * Tags into their slots, the type after them (as on the wire) into R0, the network header into R8. The kernel takes the
 * outermost tag off a frame before programs see it; one that is still there goes up.
 */
function parseTags(limit: number): Line[] {
  const lines: Line[] = [
    Mov.imm(R4, 0),
    Mov.imm(R5, 0),
    Mov.reg(R8, R7),
    Add.imm(R8, 14),
    Load.u16(R0, R7, 12),
    Load.u32(R1, R6, SKB_VLAN_PRESENT),
    IfEq.imm(R1, 0, "untagged_frame"),
  ];
  if (limit === 0) lines.push(jump(UP));
  else {
    lines.push(
      Load.u32(R4, R6, SKB_VLAN_PROTO),
      BigEndian.u16(R4),
      Lsh.imm32(R4, 16),
      Load.u32(R1, R6, SKB_VLAN_TCI),
      Or.reg32(R4, R1),
      Or.imm32(R4, VLAN_CFI),
    );
    if (limit === 2)
      lines.push(
        IfEq.imm(R0, WIRE_8021Q, "inner_tag"),
        IfNe.imm(R0, WIRE_8021AD, "tagged"),
        label("inner_tag"),
        ...parseTag(R5, 14),
      );
    lines.push(jump("tagged"));
  }
  return [
    ...lines,
    label("untagged_frame"),
    IfEq.imm(R0, WIRE_8021Q, UP),
    IfEq.imm(R0, WIRE_8021AD, UP),
    label("tagged"),
    Store.u64(R10, SLOT_VLAN0, R4),
    Store.u64(R10, SLOT_VLAN1, R5),
  ];
}

/** The tag whose TPID is in R0 and whose TCI lies at `at`. */
function parseTag(into: Register, at: number): Line[] {
  return [
    ...need(R7, at + 4),
    Mov.reg32(into, R0),
    BigEndian.u16(into),
    Lsh.imm32(into, 16),
    Load.u16(R1, R7, at),
    BigEndian.u16(R1),
    Or.reg32(into, R1),
    Or.imm32(into, VLAN_CFI),
    Load.u16(R0, R7, at + 2),
    Mov.reg(R8, R7),
    Add.imm(R8, at + 4),
  ];
}

/** What a branch's tables look at, so that no more is parsed. */
export interface Wanted {
  /** Bits of the word W_NW. */
  readonly nw: number;
  readonly tp: boolean;
  readonly shaTha: boolean;
  /** Entries of a label stack. */
  readonly labels: number;
}

/** The network and transport headers of a branch. Labels begin with its name. */
export function parseBranch(branch: Branch, wanted: Wanted): Line[] {
  switch (branch) {
    case "ip4":
      return parseIpv4(wanted);
    case "ip6":
      return parseIpv6(wanted);
    case "arp":
      return parseArp(wanted);
    case "mpls":
      return parseMpls(wanted);
    default:
      return [];
  }
}

/** R4 = bytes from the network header to the frame's end must not be fewer than R0 says. Clobbers R1, R3. */
const withinFrame = (): Line[] => [
  Mov.reg(R1, R8),
  Sub.reg(R1, R7),
  Load.u32(R3, R6, SKB_LEN),
  Sub.reg(R3, R1),
  IfGt.reg(R4, R3, UP),
];

function parseIpv4(wanted: Wanted): Line[] {
  const lines: Line[] = [
    ...need(R8, 20),
    Load.u8(R0, R8, 0),
    IfNe.imm(R0, 0x45, UP),
    Load.u16(R4, R8, 2),
    BigEndian.u16(R4),
    IfLt.imm(R4, 20, UP),
    ...withinFrame(),
    Load.u8(R5, R8, 9),
    comment("R1: more fragments, and the fragment's offset"),
    Load.u16(R1, R8, 6),
    BigEndian.u16(R1),
    And.imm32(R1, 0x3fff),
  ];
  if (wanted.nw !== 0) {
    lines.push(Mov.imm(R3, 0));
    if (wanted.nw >>> 24 !== 0)
      lines.push(
        IfEq.imm(R1, 0, "ip4_whole"),
        Mov.imm(R3, (FLOW_NW_FRAG_ANY | FLOW_NW_FRAG_LATER) << 24),
        IfSet.imm(R1, 0x1fff, "ip4_whole"),
        Mov.imm(R3, FLOW_NW_FRAG_ANY << 24),
        label("ip4_whole"),
      );
    if ((wanted.nw & 0xff) !== 0) lines.push(Or.reg32(R3, R5));
    if ((wanted.nw & 0xff00) !== 0) lines.push(Load.u8(R0, R8, 1), Lsh.imm32(R0, 8), Or.reg32(R3, R0));
    if ((wanted.nw & 0xff0000) !== 0) lines.push(Load.u8(R0, R8, 8), Lsh.imm32(R0, 16), Or.reg32(R3, R0));
    lines.push(Store.u64(R10, SLOT_NW, R3));
  }
  lines.push(IfSet.imm(R1, 0x1fff, "ip4_no_ports"), Mov.reg(R9, R8), Add.imm(R9, 20));
  return [...lines, ...parseTransport("ip4", wanted, 20, [IPPROTO_ICMP, IPPROTO_IGMP])];
}

/** Extension headers: hop-by-hop, routing, fragment, authentication, destination options. */
const EXTENSIONS = [0, 43, 44, 51, 60];

function parseIpv6(wanted: Wanted): Line[] {
  const lines: Line[] = [
    ...need(R8, 40),
    Load.u16(R4, R8, 4),
    BigEndian.u16(R4),
    Add.imm(R4, 40),
    ...withinFrame(),
    Load.u8(R5, R8, 6),
    ...EXTENSIONS.map((header) => IfEq.imm(R5, header, UP)),
  ];
  if (wanted.nw !== 0) {
    lines.push(Mov.reg(R3, R5));
    if ((wanted.nw & 0xff00) !== 0)
      lines.push(
        Load.u16(R0, R8, 0),
        BigEndian.u16(R0),
        Rsh.imm32(R0, 4),
        And.imm32(R0, 0xff),
        Lsh.imm32(R0, 8),
        Or.reg32(R3, R0),
      );
    if ((wanted.nw & 0xff0000) !== 0) lines.push(Load.u8(R0, R8, 7), Lsh.imm32(R0, 16), Or.reg32(R3, R0));
    lines.push(Store.u64(R10, SLOT_NW, R3));
  }
  lines.push(Mov.reg(R9, R8), Add.imm(R9, 40));
  return [...lines, ...parseTransport("ip6", wanted, 40, [IPPROTO_ICMPV6])];
}

/**
 * R5 is the protocol, R9 the transport header, R4 the datagram's bytes, `header` of them the network header's. Ports are
 * wanted by tables, TCP flags by statistics too.
 */
function parseTransport(branch: Branch, wanted: Wanted, header: number, typed: number[]): Line[] {
  const name = (what: string): string => `${branch}_${what}`;
  const lines: Line[] = [IfEq.imm(R5, IPPROTO_TCP, name("tcp"))];
  const atLeast = (bytes: number): Line[] => [...need(R9, bytes), IfLt.imm(R4, header + bytes, UP)];
  if (wanted.tp) {
    lines.push(IfEq.imm(R5, IPPROTO_UDP, name("udp")), IfEq.imm(R5, IPPROTO_SCTP, name("sctp")));
    for (const proto of typed) lines.push(IfEq.imm(R5, proto, name("typed")));
  }
  lines.push(label(name("no_ports")));
  if (wanted.tp) lines.push(Mov.imm(R1, 0), Store.u64(R10, SLOT_TP, R1));
  lines.push(
    jump(name("parsed")),
    label(name("tcp")),
    ...atLeast(20),
    Load.u16(R1, R9, 12),
    BigEndian.u16(R1),
    Mov.reg32(R3, R1),
    And.imm32(R1, 0xfff),
    Store.u64(R10, SLOT_TCP_FLAGS, R1),
    comment("the header's length, in words"),
    Rsh.imm32(R3, 12),
    IfLt.imm(R3, 5, UP),
    Lsh.imm32(R3, 2),
    Add.imm(R3, header),
    IfGt.reg(R3, R4, UP),
  );
  if (wanted.tp)
    lines.push(
      jump(name("ports")),
      label(name("sctp")),
      ...atLeast(12),
      jump(name("ports")),
      label(name("typed")),
      ...atLeast(8),
      Load.u8(R1, R9, 0),
      Lsh.imm32(R1, 16),
      Load.u8(R0, R9, 1),
      Or.reg32(R1, R0),
      jump(name("store_ports")),
      label(name("udp")),
      ...atLeast(8),
      label(name("ports")),
      Load.u32(R1, R9, 0),
      BigEndian.u32(R1),
      label(name("store_ports")),
      Store.u64(R10, SLOT_TP, R1),
    );
  return [...lines, label(name("parsed"))];
}

/** Ethernet and IPv4 (RFC 826); anything else goes up. */
function parseArp(wanted: Wanted): Line[] {
  const lines: Line[] = [
    ...need(R8, 28),
    Load.u32(R0, R8, 0),
    BigEndian.u32(R0),
    IfNe.imm(R0, 0x00010800, UP),
    Load.u16(R0, R8, 4),
    BigEndian.u16(R0),
    IfNe.imm(R0, 0x0604, UP),
  ];
  if (wanted.nw !== 0)
    lines.push(Load.u16(R0, R8, 6), BigEndian.u16(R0), IfGt.imm(R0, 0xff, UP), Store.u64(R10, SLOT_NW, R0));
  if (wanted.shaTha)
    lines.push(
      Load.u16(R0, R8, 12),
      BigEndian.u16(R0),
      Lsh.imm32(R0, 16),
      Load.u16(R1, R8, 18),
      BigEndian.u16(R1),
      Or.reg32(R0, R1),
      Store.u64(R10, SLOT_SHA_THA, R0),
    );
  return lines;
}

/** The label stack down to its bottom, or as far as it is wanted; a stack that the frame's end cuts off goes up. */
function parseMpls({ labels }: Wanted): Line[] {
  const entries = [R0, R4, R5].slice(0, labels);
  const lines: Line[] = entries.slice(1).map((register) => Mov.imm(register, 0));
  entries.forEach((register, label) => {
    if (label > 0) lines.push(IfSet.imm(entries[label - 1]!, MPLS_BOTTOM, "mpls_bottom"));
    lines.push(...need(R8, label * 4 + 4), Load.u32(register, R8, label * 4), BigEndian.u32(register));
  });
  if (labels > 1) lines.push(label("mpls_bottom"));
  return [...lines, ...entries.map((register, label) => Store.u64(R10, SLOT_MPLS[label]!, register))];
}
