/**
 * Shapes of the field registry: what {@link import("./rows.ts")} says about each match field, and the {@link Field}
 * that the registry makes of it. Facts from ovs-fields(7) and the OpenFlow 1.0 to 1.5 specifications.
 */

/** How a value is written in text. */
export type FieldFormat =
  | "decimal"
  | "hex"
  | "eth"
  | "ipv4"
  | "ipv6"
  | "port10"
  | "port"
  | "frag"
  | "tun_flags"
  | "tcp_flags"
  | "ct_state"
  | "packet_type";

/** What must already be matched for the field to make sense. */
export type Prerequisite =
  | "none"
  | "ethernet"
  | "vlan"
  | "mpls"
  | "ipv4"
  | "ipv6"
  | "ip"
  | "arp"
  | "nsh"
  | "ct"
  | "tcp"
  | "udp"
  | "sctp"
  | "icmpv4"
  | "icmpv6"
  | "nd"
  | "nd_solicit"
  | "nd_advert";

/** How far an OpenFlow version's fixed match structure can hold the field. */
export type Membership = "no" | "exact" | "cidr" | "full";

/** Bits `shift` to `shift + width - 1` of flow word `word`. */
export type Place = readonly [word: number, shift: number, width: number];

/** A row of the table as it is written down. Left out: not maskable needs "none", prerequisite none, read-only, ... */
export interface FieldRow {
  readonly name: string;
  readonly alias?: string;
  /** Size of the value in NXM and OXM; `bits` of them, the least significant, may be set. */
  readonly bytes: number;
  readonly bits: number;
  readonly format: FieldFormat;
  readonly masks: "none" | "any";
  readonly needs?: Prerequisite;
  readonly writable?: boolean;
  readonly onesOnly?: boolean;
  readonly of10?: Membership;
  readonly of11?: Membership;
  /** "NAME number OpenFlow-version Open-vSwitch-version"; the class follows from the name; "-" is a Nicira field. */
  readonly headers?: readonly string[];
  /** Most significant first; empty for tun_metadata, whose place comes from a TLV table. */
  readonly at: readonly Place[];
}

/** An NXM or OXM header that stands for a field on the wire. */
export interface FieldHeader {
  /** "NXM_OF_ETH_SRC". */
  readonly name: string;
  /** oxm_class: 0, 1, 0x1000, 0x8000, 0x8001 or 0xffff. */
  readonly oxmClass: number;
  /** 7-bit oxm_field. */
  readonly number: number;
  /** 32-bit experimenter id after the header when oxmClass is 0xffff, else 0. */
  readonly experimenter: number;
  /** Wire version (1 = OpenFlow 1.0 … 6 = 1.5) from which this is a standard field; 0 for extensions of any version. */
  readonly ofVersion: number;
  /** Open vSwitch release that introduced it, "2.4". */
  readonly since: string;
}

export interface Field {
  /** Dense index into {@link import("./registry.ts").FIELDS}; the original's order. */
  readonly id: number;
  readonly name: string;
  readonly alias: string | undefined;
  readonly bytes: number;
  readonly bits: number;
  readonly format: FieldFormat;
  readonly maskable: boolean;
  readonly prereq: Prerequisite;
  readonly writable: boolean;
  /** Only the bits that are 1 in the value are matched, as 3.7 does it: a match on 0 matches anything. */
  readonly onesOnly: boolean;
  readonly of10: Membership;
  readonly of11: Membership;
  /** In order of preference: Nicira's first, then OpenFlow's by version. */
  readonly headers: readonly FieldHeader[];
  readonly places: readonly Place[];
  /** The first place: its word, shift, and bits in that word; 0 where there is none. */
  readonly word: number;
  readonly shift: number;
  readonly wordBits: number;
  /** For regN, xregN, xxregN and tun_metadataN: N; else -1. */
  readonly index: number;
  readonly isRegister: boolean;
  readonly isTunMetadata: boolean;
}
