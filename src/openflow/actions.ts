/**
 * OpenFlow actions and instructions in version-independent form ("ofpacts", upstream ofp-actions): plain objects
 * told apart by `type`. Codecs per version are in `actions/`, text syntax in `text/actions.ts`; both come from one
 * registry, a row an action. An instruction is an ofpact too (`meter`, `clear_actions`, `write_actions`,
 * `write_metadata`, `goto_table`), as upstream.
 *
 * Where several wire forms mean the same action, `raw` remembers which one it was when the text differs
 * (`load:` against `set_field:`); encoders choose the best form of the version themselves.
 */
import type { Field } from "../flow/fields/index.ts";
import type { Match } from "../flow/match.ts";

/**
 * OpenFlow port as the switch numbers it: 16 bits. From 1.1 on the wire has 32: reserved ports 0xffffffxx are 0xffxx
 * here, and codecs translate (ports.ts).
 */
export type OfpPort = number;

/** Ports below are physical. */
export const OFPP_MAX = 0xff00;
export const OFPP_UNSET = 0xfff7;
export const OFPP_IN_PORT = 0xfff8;
export const OFPP_TABLE = 0xfff9;
export const OFPP_NORMAL = 0xfffa;
export const OFPP_FLOOD = 0xfffb;
export const OFPP_ALL = 0xfffc;
export const OFPP_CONTROLLER = 0xfffd;
export const OFPP_LOCAL = 0xfffe;
/** "No port" in actions, "any port" in out_port of a flow_mod or stats request. */
export const OFPP_NONE = 0xffff;
export const OFPP_ANY = 0xffff;

export const OFPG_MAX = 0xffffff00;
export const OFPG_ALL = 0xfffffffc;
export const OFPG_ANY = 0xffffffff;

/** max_len of a controller action: the whole packet. */
export const OFPCML_NO_BUFFER = 0xffff;
export const OFPTT_ALL = 0xff;

/** Bits `offset` to `offset + bits - 1` of a field, bit 0 the least significant. */
export interface Subfield {
  field: Field;
  offset: number;
  bits: number;
}

export interface Output {
  type: "output";
  port: OfpPort;
  /** Bytes to send, for OFPP_CONTROLLER only; 0 otherwise. */
  maxLen: number;
}
export interface GroupAction {
  type: "group";
  groupId: number;
}
export interface ControllerAction {
  type: "controller";
  maxLen: number;
  controllerId: number;
  /** OFPR_*: 0 no_match, 1 action, 2 invalid_ttl, 3 action_set, 4 group, 5 packet_out. */
  reason: number;
  /** 0 means none (NX_CTLR_NO_METER). */
  meterId: number;
  pause: boolean;
  userdata: Uint8Array;
}
export interface Enqueue {
  type: "enqueue";
  port: OfpPort;
  queue: number;
}
export interface OutputReg {
  type: "output_reg";
  src: Subfield;
  maxLen: number;
}
export interface OutputTrunc {
  type: "output_trunc";
  port: OfpPort;
  maxLen: number;
}
export type HashFields =
  | "eth_src"
  | "symmetric_l4"
  | "symmetric_l3l4"
  | "symmetric_l3l4+udp"
  | "nw_src"
  | "nw_dst"
  | "symmetric_l3";
export interface BundleAction {
  type: "bundle";
  fields: HashFields;
  basis: number;
  algorithm: "active_backup" | "hrw";
  /** Undefined: output; else bundle_load. */
  dst: Subfield | undefined;
  members: OfpPort[];
}
export interface SetField {
  type: "set_field";
  field: Field;
  /** Value bits outside the mask are zero. */
  value: bigint;
  /** All `field.bits` ones: the whole field. */
  mask: bigint;
  /** Bytes on the wire: `field.bytes`, or the length given for tun_metadata. */
  bytes: number;
  /** Printed and, where the version allows it, encoded as NXAST_REG_LOAD (`load:`). */
  load: boolean;
}
export interface RegMove {
  type: "reg_move";
  src: Subfield;
  dst: Subfield;
  /** Came as ONF's extension of 1.3, and goes so. */
  onf?: boolean;
}
export interface StackAction {
  type: "stack_push" | "stack_pop";
  subfield: Subfield;
}
export interface SetVlanVid {
  type: "set_vlan_vid";
  vid: number;
  /** OpenFlow 1.0 semantics: add a tag to an untagged packet. */
  pushVlanIfNeeded: boolean;
  /** The flow matches only tagged packets (set by checkActions): 1.1 and later need no push_vlan before it. */
  flowHasVlan?: boolean;
}
export interface SetVlanPcp {
  type: "set_vlan_pcp";
  pcp: number;
  pushVlanIfNeeded: boolean;
  flowHasVlan?: boolean;
}
export interface StripVlan {
  type: "strip_vlan";
  /** Printed pop_vlan. */
  pop: boolean;
}
export interface Bare {
  type:
    | "dec_mpls_ttl"
    | "dec_nsh_ttl"
    | "pop_queue"
    | "exit"
    | "ct_clear"
    | "debug_recirc"
    | "debug_slow"
    | "clear_actions";
}
export interface PushVlan {
  type: "push_vlan";
  ethertype: number;
}
export interface SetEth {
  type: "set_eth_src" | "set_eth_dst";
  mac: Uint8Array;
}
export interface SetIpv4 {
  type: "set_ipv4_src" | "set_ipv4_dst";
  /** Host number. */
  ip: number;
}
/** set_ip_dscp holds the whole TOS byte with ECN bits zero, as mod_nw_tos writes it. */
export interface SetByte {
  type: "set_ip_dscp" | "set_ip_ecn" | "set_ip_ttl" | "set_mpls_tc" | "set_mpls_ttl";
  value: number;
}
export interface SetL4Port {
  type: "set_l4_src_port" | "set_l4_dst_port";
  port: number;
}
export interface DecTtl {
  type: "dec_ttl";
  /** Controllers that get packets whose TTL expires; [0] for plain dec_ttl. */
  ids: number[];
  /** From NXAST_DEC_TTL_CNT_IDS: printed with the ids. */
  withIds: boolean;
}
export interface SetMplsLabel {
  type: "set_mpls_label";
  label: number;
}
export interface MplsEthertype {
  type: "push_mpls" | "pop_mpls";
  ethertype: number;
}
export interface DeleteField {
  type: "delete_field";
  field: Field;
}
export interface EncapProperty {
  propClass: number;
  propType: number;
  data: Uint8Array;
}
export interface Encap {
  type: "encap";
  /** Namespace << 16 | type, as Flow's packet_type. */
  packetType: number;
  /** From the NSH md_type property or the ethertype; written as the header size on the wire. */
  hdrSize: number;
  properties: EncapProperty[];
}
export interface Decap {
  type: "decap";
  /** 0xfffe0000-like PT_USE_NEXT_PROTO: namespace 0, type 0xfffe. */
  packetType: number;
}
export interface SetTunnel {
  type: "set_tunnel";
  id: bigint;
  /** Printed set_tunnel64. */
  wide: boolean;
}
export interface SetQueue {
  type: "set_queue";
  queue: number;
}
export interface FinTimeout {
  type: "fin_timeout";
  idleSec: number;
  hardSec: number;
}
export interface Resubmit {
  type: "resubmit";
  /** OFPP_IN_PORT: the current one. */
  port: OfpPort;
  /** 255: the current table. */
  table: number;
  withCtOrig: boolean;
}
/** What a learned flow gets: a match on, a load into, or an output to bits. */
export interface LearnSpec {
  kind: "match" | "load" | "output";
  /** A constant, or bits of the packet's flow. */
  src: bigint | Subfield;
  bits: number;
  /** Undefined for `output`. */
  dst: Subfield | undefined;
}
export interface Learn {
  type: "learn";
  idleSec: number;
  hardSec: number;
  priority: number;
  table: number;
  cookie: bigint;
  finIdleSec: number;
  finHardSec: number;
  /** LEARN_SEND_FLOW_REM 1, LEARN_DELETE_LEARNED 2, LEARN_WRITE_RESULT 4. */
  flags: number;
  /** 0: no limit. */
  limit: number;
  resultDst: Subfield | undefined;
  specs: LearnSpec[];
  /** Came as NXAST_LEARN2, and goes so. */
  second?: boolean;
}
export interface Conjunction {
  type: "conjunction";
  id: number;
  /** From 0; printed from 1. */
  clause: number;
  nClauses: number;
}
export interface Multipath {
  type: "multipath";
  fields: HashFields;
  basis: number;
  algorithm: "modulo_n" | "hash_threshold" | "hrw" | "iter_hash";
  /** Largest link number. */
  maxLink: number;
  arg: number;
  dst: Subfield;
}
export interface Note {
  type: "note";
  data: Uint8Array;
}
export interface Sample {
  type: "sample";
  probability: number;
  collectorSetId: number;
  obsDomain: number | Subfield;
  obsPoint: number | Subfield;
  /** OFPP_NONE: none. */
  samplingPort: OfpPort;
  /** 0 default, 1 ingress, 2 egress. */
  direction: number;
}
export interface NatRange {
  /** Host numbers, or 16 bytes for IPv6. Undefined: no address given. */
  min: number | Uint8Array | undefined;
  max: number | Uint8Array | undefined;
}
export interface Nat {
  type: "nat";
  /** NX_NAT_F_*: 1 src, 2 dst, 4 persistent, 8 protocol hash, 16 protocol random. */
  flags: number;
  addresses: NatRange;
  /** 0: none. */
  protoMin: number;
  protoMax: number;
}
export interface Ct {
  type: "ct";
  /** NX_CT_F_COMMIT 1, NX_CT_F_FORCE 2. */
  flags: number;
  zone: number | Subfield;
  /** 0 none, 21 ftp, 69 tftp. */
  alg: number;
  /** 255: no recirculation. */
  recircTable: number;
  /** exec(...) and nat. */
  actions: Ofpact[];
}
export interface Clone {
  type: "clone";
  actions: Ofpact[];
}
export interface CheckPktLarger {
  type: "check_pkt_larger";
  dst: Subfield;
  length: number;
}
export interface MeterAction {
  type: "meter";
  meterId: number;
}
export interface WriteActions {
  type: "write_actions";
  actions: Ofpact[];
}
export interface WriteMetadata {
  type: "write_metadata";
  metadata: bigint;
  mask: bigint;
}
export interface GotoTable {
  type: "goto_table";
  table: number;
}
/** Only in what the switch keeps for recirculation after a pause; never on the wire from a user. */
export interface UnrollXlate {
  type: "unroll_xlate";
  table: number;
  cookie: bigint;
}

export type Ofpact =
  | Output
  | GroupAction
  | ControllerAction
  | Enqueue
  | OutputReg
  | OutputTrunc
  | BundleAction
  | SetField
  | RegMove
  | StackAction
  | SetVlanVid
  | SetVlanPcp
  | StripVlan
  | Bare
  | PushVlan
  | SetEth
  | SetIpv4
  | SetByte
  | SetL4Port
  | DecTtl
  | SetMplsLabel
  | MplsEthertype
  | DeleteField
  | Encap
  | Decap
  | SetTunnel
  | SetQueue
  | FinTimeout
  | Resubmit
  | Learn
  | Conjunction
  | Multipath
  | Note
  | Sample
  | Nat
  | Ct
  | Clone
  | CheckPktLarger
  | MeterAction
  | WriteActions
  | WriteMetadata
  | GotoTable
  | UnrollXlate;

export type OfpactType = Ofpact["type"];

/** A flow's actions with the match that their consistency is checked against. */
export interface CheckedActions {
  match: Match;
  actions: Ofpact[];
}
