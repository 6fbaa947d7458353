/**
 * OpenFlow messages in version-independent form, told apart by `type` (upstream ofp-util and its neighbours).
 * The codec (`codec.ts`) turns bytes into these and back for versions 1.0 to 1.5 and the Nicira and ONF
 * extensions. 64-bit cookies are bigint; counters are bigint where the wire has 64 bits, and UNKNOWN64 means
 * "not counted". Ports are the switch's 16-bit numbers (`OfpPort`), whatever the version.
 */
import type { Field } from "../flow/fields/index.ts";
import type { Match } from "../flow/match.ts";
import type { Ofpact, OfpPort } from "./actions.ts";

/** Wire version byte: 1 is OpenFlow 1.0, 6 is 1.5. */
export type Version = 1 | 2 | 3 | 4 | 5 | 6;
export const OFP10 = 1;
export const OFP11 = 2;
export const OFP12 = 3;
export const OFP13 = 4;
export const OFP14 = 5;
export const OFP15 = 6;

export const UNKNOWN64 = 0xffff_ffff_ffff_ffffn;
export const OFP_NO_BUFFER = 0xffffffff;
export const OFP_DEFAULT_PRIORITY = 0x8000;

/** A time span as the wire has it. */
export interface Duration {
  sec: number;
  nsec: number;
}

export interface Hello {
  type: "hello";
  /** Bit v set: wire version v is offered. */
  versions: number;
  /** False when the hello had elements or a bitmap that make no sense. */
  understood: boolean;
}

export interface OfpErrorMessage {
  type: "error";
  /** Name such as "OFPBRC_BAD_TYPE" (see errors.ts), or undefined when unknown. */
  error: string | undefined;
  /** As on the wire; `vendor` for experimenter errors. */
  vendor: number;
  errType: number;
  errCode: number;
  /** Vendor errors: in the form of 1.0 and 1.1 (NXET_VENDOR). */
  vendorOld?: boolean;
  /** The offending message's first bytes, or text for OFPHFC_*. */
  payload: Uint8Array;
}

export interface Echo {
  type: "echo-request" | "echo-reply";
  payload: Uint8Array;
}

/** Requests and replies without a body. */
export interface Empty {
  type:
    | "features-request"
    | "get-config-request"
    | "barrier-request"
    | "barrier-reply"
    | "get-async-request"
    | "nxt-flow-monitor-paused"
    | "nxt-flow-monitor-resumed"
    | "nxt-tlv-table-request"
    | "desc-request"
    | "table-request"
    | "table-desc-request"
    | "group-desc-request-all"
    | "group-features-request"
    | "meter-features-request"
    | "ipfix-bridge-request"
    | "ipfix-flow-request";
}

/** Physical port (ofp_port). Feature words use OpenFlow 1.1's bits (OFPPF_*), whatever the version. */
export interface PhyPort {
  port: OfpPort;
  hwAddr: Uint8Array;
  /** 8 bytes, all zero when absent. */
  hwAddr64: Uint8Array | undefined;
  name: string;
  /** OFPPC_* in 1.0 bits: 1 port_down, 4 no_recv, 2 no_stp, 8 no_recv_stp, 16 no_flood, 32 no_fwd, 64 no_packet_in. */
  config: number;
  /** OFPPS_*: 1 link_down, 2 blocked, 4 live; STP state in bits 8-9 in 1.0. */
  state: number;
  curr: number;
  advertised: number;
  supported: number;
  peer: number;
  /** kb/s; 0 in 1.0. */
  currSpeed: number;
  maxSpeed: number;
}

export interface FeaturesReply {
  type: "features-reply";
  datapathId: bigint;
  nBuffers: number;
  nTables: number;
  auxiliaryId: number;
  /** OFPC_*: 1 flow_stats, 2 table_stats, 4 port_stats, 8 stp/group_stats (see `capabilities` in features.ts), 32 ip_reasm, 64 queue_stats, 128 arp_match_ip, 256 port_blocked, ... */
  capabilities: number;
  /** 1.0 only: OFPAT10 bit map. */
  actions: number;
  /** Undefined from 1.3 on (use port-desc). */
  ports: PhyPort[] | undefined;
}

export interface SwitchConfig {
  type: "get-config-reply" | "set-config";
  /** OFPC_FRAG_*: 0 normal, 1 drop, 2 reasm, 3 nx-match. */
  frag: number;
  /** OFPC_INVALID_TTL_TO_CONTROLLER; undefined where the version has no such flag. */
  invalidTtlToController: boolean | undefined;
  missSendLen: number;
}

export interface PacketIn {
  type: "packet-in";
  /** OFPR_*: 0 no_match, 1 action, 2 invalid_ttl, 3 action_set, 4 group, 5 packet_out. */
  reason: number;
  table: number;
  /** UNKNOWN64 when the format has none. */
  cookie: bigint;
  /** in_port and the metadata that the format carries. */
  match: Match;
  packet: Uint8Array;
  /** Length of the whole packet, when `packet` is cut. */
  totalLen: number;
  bufferId: number;
  userdata: Uint8Array;
  /** NXT_PACKET_IN2 continuation property, verbatim; undefined: none. */
  continuation: Uint8Array | undefined;
}

export interface PacketOut {
  type: "packet-out";
  bufferId: number;
  /** in_port and, in 1.5, other metadata. */
  match: Match;
  actions: Ofpact[];
  packet: Uint8Array;
}

export const OFPFC_ADD = 0;
export const OFPFC_MODIFY = 1;
export const OFPFC_MODIFY_STRICT = 2;
export const OFPFC_DELETE = 3;
export const OFPFC_DELETE_STRICT = 4;

/** Flags of a flow (any version). */
export const OFPUTIL_FF_SEND_FLOW_REM = 1;
export const OFPUTIL_FF_CHECK_OVERLAP = 2;
export const OFPUTIL_FF_EMERG = 4;
export const OFPUTIL_FF_RESET_COUNTS = 8;
export const OFPUTIL_FF_NO_PKT_COUNTS = 16;
export const OFPUTIL_FF_NO_BYT_COUNTS = 32;
export const OFPUTIL_FF_HIDDEN_FIELDS = 64;
export const OFPUTIL_FF_NO_READONLY = 128;

export interface FlowMod {
  type: "flow-mod";
  command: number;
  match: Match;
  priority: number;
  /** Match on cookie where mask bits are 1 (modify, delete). */
  cookie: bigint;
  cookieMask: bigint;
  newCookie: bigint;
  /** True when a modify command should set newCookie. */
  modifyCookie: boolean;
  /** 255: any (delete) or chosen by the switch. */
  table: number;
  idleSec: number;
  hardSec: number;
  importance: number;
  bufferId: number;
  outPort: OfpPort;
  outGroup: number;
  /** OFPUTIL_FF_*. */
  flags: number;
  actions: Ofpact[];
}

export interface FlowRemoved {
  type: "flow-removed";
  match: Match;
  priority: number;
  cookie: bigint;
  /** OFPRR_*: 0 idle, 1 hard, 2 delete, 3 group_delete, 4 meter_delete, 5 eviction. */
  reason: number;
  /** 255: unknown. */
  table: number;
  duration: Duration;
  idleSec: number;
  hardSec: number;
  packets: bigint;
  bytes: bigint;
}

export interface PortStatus {
  type: "port-status";
  /** 0 add, 1 delete, 2 modify. */
  reason: number;
  port: PhyPort;
}

export interface PortMod {
  type: "port-mod";
  port: OfpPort;
  hwAddr: Uint8Array;
  hwAddr64: Uint8Array | undefined;
  config: number;
  mask: number;
  advertise: number;
}

export interface TableMod {
  type: "table-mod";
  table: number;
  /** 1.1, 1.2: OFPTC11_TABLE_MISS_*: 0 controller, 1 continue, 2 drop; -1: default. */
  miss: number;
  /** 1.4: undefined = not given. */
  eviction: boolean | undefined;
  evictionFlags: number;
  vacancy: boolean | undefined;
  vacancyDown: number;
  vacancyUp: number;
}

export interface RoleMessage {
  type: "role-request" | "role-reply";
  /** 0 nochange, 1 equal, 2 primary (master), 3 secondary (slave). */
  role: number;
  generationId: bigint | undefined;
}
export interface RoleStatus {
  type: "role-status";
  role: number;
  reason: number;
  generationId: bigint;
}

/** Asynchronous message masks: [primary and equal, secondary] for each kind; bit = reason. */
export interface AsyncConfig {
  type: "set-async" | "get-async-reply";
  packetIn: [number, number];
  portStatus: [number, number];
  flowRemoved: [number, number];
  roleStatus: [number, number];
  tableStatus: [number, number];
  requestforward: [number, number];
}

export interface QueueProps {
  queue: number;
  port: OfpPort;
  /** Tenths of a percent; undefined: none. */
  minRate: number | undefined;
  maxRate: number | undefined;
}
export interface QueueGetConfigRequest {
  type: "queue-get-config-request";
  port: OfpPort;
  /** 1.4 on; OFPQ_ALL = 0xffffffff. */
  queue: number;
}
export interface QueueGetConfigReply {
  type: "queue-get-config-reply";
  port: OfpPort;
  queues: QueueProps[];
}

export interface Bucket {
  bucketId: number;
  weight: number;
  watchPort: OfpPort;
  watchGroup: number;
  actions: Ofpact[];
}
/** Selection properties of a group (NTR, 1.5). */
export interface GroupProps {
  selectionMethod: string;
  selectionMethodParam: bigint;
  /** Field name and mask (big-endian), in registry order. */
  fields: { field: Field; value: bigint }[];
}
export interface GroupMod {
  type: "group-mod";
  /** 0 add, 1 modify, 2 delete, 3 insert_bucket, 5 remove_bucket, 32768 add_or_mod. */
  command: number;
  /** 0 all, 1 select, 2 indirect, 3 fast failover. */
  groupType: number;
  groupId: number;
  /** 0xffffffff all, 0xfffffffe last, 0xfffffffd first. */
  commandBucketId: number;
  buckets: Bucket[];
  props: GroupProps;
}

export interface MeterBand {
  /** 1 drop, 2 dscp_remark. */
  bandType: number;
  rate: number;
  burst: number;
  precLevel: number;
}
export interface MeterConfig {
  meterId: number;
  /** 1 kbps, 2 pktps, 4 burst, 8 stats. */
  flags: number;
  bands: MeterBand[];
}
export interface MeterMod extends MeterConfig {
  type: "meter-mod";
  /** 0 add, 1 modify, 2 delete. */
  command: number;
}

export interface BundleCtrl {
  type: "bundle-control";
  bundleId: number;
  /** 0 open request, 1 open reply, 2 close request, 3 close reply, 4 commit request, 5 commit reply, 6 discard request, 7 discard reply. */
  ctrl: number;
  /** 1 atomic, 2 ordered. */
  flags: number;
}
export interface BundleAdd {
  type: "bundle-add-message";
  bundleId: number;
  flags: number;
  /** The whole inner message, not yet decoded. */
  message: Uint8Array;
}

export interface RequestForward {
  type: "requestforward";
  /** 0 group_mod, 1 meter_mod. */
  reason: number;
  request: GroupMod | MeterMod;
  requestXid: number;
}

export interface TableStatus {
  type: "table-status";
  /** 3 vacancy_down, 4 vacancy_up. */
  reason: number;
  table: TableDesc;
}

// Multipart. A reply part carries `more` (OFPSF_REPLY_MORE) in the envelope (`Decoded`).

export interface FlowStatsRequest {
  type: "flow-request" | "aggregate-request";
  match: Match;
  cookie: bigint;
  cookieMask: bigint;
  table: number;
  outPort: OfpPort;
  outGroup: number;
}
export interface FlowStats {
  match: Match;
  cookie: bigint;
  table: number;
  priority: number;
  idleSec: number;
  hardSec: number;
  duration: Duration;
  /** Seconds since last use; -1 unknown. */
  idleAge: number;
  hardAge: number;
  packets: bigint;
  bytes: bigint;
  importance: number;
  flags: number;
  actions: Ofpact[];
}
export interface FlowStatsReply {
  type: "flow-reply";
  flows: FlowStats[];
}
export interface AggregateReply {
  type: "aggregate-reply";
  packets: bigint;
  bytes: bigint;
  flows: number;
}
export interface DescReply {
  type: "desc-reply";
  manufacturer: string;
  hardware: string;
  software: string;
  serial: string;
  description: string;
}
export interface TableStats {
  table: number;
  active: number;
  lookups: bigint;
  matched: bigint;
}
/** Features of one table; in versions before 1.3 they come with the table statistics. */
export interface TableFeatures {
  table: number;
  name: string;
  metadataMatch: bigint;
  metadataWrite: bigint;
  /** -1: unknown, else OFPTC11_TABLE_MISS_*. */
  missConfig: number;
  eviction: boolean | undefined;
  vacancy: boolean | undefined;
  maxEntries: number;
  /** [miss off, miss on]. */
  nonmiss: TableInstructions;
  miss: TableInstructions;
  /** Field names. */
  match: string[];
  wildcard: string[];
  mask: string[];
  /** 1.5 only: 0 replace, 1 enable, 2 disable... */
  command: number;
  /** 1.0 to 1.2 only. */
  stats: TableStats | undefined;
}
export interface TableInstructions {
  /** Table numbers. */
  next: number[];
  /** Instruction names: meter, apply_actions, clear_actions, write_actions, write_metadata, goto_table. */
  instructions: string[];
  writeActions: string[];
  writeSetFields: string[];
  applyActions: string[];
  applySetFields: string[];
}
export interface TableReply {
  type: "table-reply";
  tables: TableStats[];
  /** 1.0 to 1.2: what came with the statistics, same order. */
  features: TableFeatures[] | undefined;
}
export interface TableFeaturesMessage {
  type: "table-features-request" | "table-features-reply";
  tables: TableFeatures[];
}
export interface TableDesc {
  table: number;
  eviction: boolean | undefined;
  evictionFlags: number;
  vacancy: boolean | undefined;
  vacancyDown: number;
  vacancyUp: number;
  vacancyNow: number;
}
export interface TableDescReply {
  type: "table-desc-reply";
  tables: TableDesc[];
}
export interface PortRequest {
  type: "port-request" | "port-desc-request";
  port: OfpPort;
}
export interface CustomCounter {
  name: string;
  value: bigint;
}
export interface PortStats {
  port: OfpPort;
  /** UNKNOWN64 where not counted. */
  rxPackets: bigint;
  txPackets: bigint;
  rxBytes: bigint;
  txBytes: bigint;
  rxDropped: bigint;
  txDropped: bigint;
  rxErrors: bigint;
  txErrors: bigint;
  rxFrameErr: bigint;
  rxOverErr: bigint;
  rxCrcErr: bigint;
  collisions: bigint;
  /** Undefined before 1.3. */
  duration: Duration | undefined;
  /** RFC 2819 counters, in the order of the Nicira property; undefined: not given. */
  rfc2819: bigint[] | undefined;
  custom: CustomCounter[];
}
export interface PortReply {
  type: "port-reply";
  ports: PortStats[];
}
export interface PortDescReply {
  type: "port-desc-reply";
  ports: PhyPort[];
}
export interface QueueRequest {
  type: "queue-request";
  port: OfpPort;
  queue: number;
}
export interface QueueStats {
  port: OfpPort;
  queue: number;
  txBytes: bigint;
  txPackets: bigint;
  txErrors: bigint;
  duration: Duration | undefined;
}
export interface QueueReply {
  type: "queue-reply";
  queues: QueueStats[];
}
export interface GroupRequest {
  type: "group-request" | "group-desc-request";
  groupId: number;
}
export interface GroupStats {
  groupId: number;
  refCount: number;
  packets: bigint;
  bytes: bigint;
  duration: Duration | undefined;
  buckets: { packets: bigint; bytes: bigint }[];
}
export interface GroupReply {
  type: "group-reply";
  groups: GroupStats[];
}
export interface GroupDesc {
  groupId: number;
  groupType: number;
  buckets: Bucket[];
  props: GroupProps;
}
export interface GroupDescReply {
  type: "group-desc-reply";
  groups: GroupDesc[];
}
export interface GroupFeaturesReply {
  type: "group-features-reply";
  types: number;
  capabilities: number;
  maxGroups: [number, number, number, number];
  actions: [number, number, number, number];
}
export interface MeterRequest {
  type: "meter-request" | "meter-config-request";
  meterId: number;
}
export interface MeterStats {
  meterId: number;
  flowCount: number;
  packets: bigint;
  bytes: bigint;
  duration: Duration;
  bands: { packets: bigint; bytes: bigint }[];
}
export interface MeterReply {
  type: "meter-reply";
  meters: MeterStats[];
}
export interface MeterConfigReply {
  type: "meter-config-reply";
  meters: MeterConfig[];
}
export interface MeterFeaturesReply {
  type: "meter-features-reply";
  maxMeters: number;
  bandTypes: number;
  capabilities: number;
  maxBands: number;
  maxColor: number;
}

export interface FlowMonitorRequest {
  id: number;
  /** 0 add, 1 modify, 2 delete (1.4 on). */
  command: number;
  /** NXFMF_*: 1 initial, 2 add, 4 delete, 8 modify, 16 actions (instructions), 32 own (no abbrev), 64 only_own. */
  flags: number;
  outPort: OfpPort;
  outGroup: number;
  table: number;
  match: Match;
}
export interface FlowMonitorRequests {
  type: "flow-monitor-request";
  monitors: FlowMonitorRequest[];
}
export type FlowUpdate =
  | {
      event: "initial" | "added" | "removed" | "modified";
      /** OFPRR_* of removed. */
      reason: number;
      table: number;
      priority: number;
      idleSec: number;
      hardSec: number;
      cookie: bigint;
      match: Match;
      actions: Ofpact[] | undefined;
    }
  | { event: "abbrev"; xid: number }
  | { event: "paused" }
  | { event: "resumed" };
export interface FlowMonitorReply {
  type: "flow-monitor-reply";
  updates: FlowUpdate[];
}

export interface IpfixStats {
  collectorSetId: number;
  totalFlows: bigint;
  currentFlows: bigint;
  pkts: bigint;
  ipv4Pkts: bigint;
  ipv6Pkts: bigint;
  errorPkts: bigint;
  ipv4ErrorPkts: bigint;
  ipv6ErrorPkts: bigint;
  txPkts: bigint;
  txErrors: bigint;
}
export interface IpfixReply {
  type: "ipfix-bridge-reply" | "ipfix-flow-reply";
  stats: IpfixStats[];
}

// Nicira extensions.

export interface NxtFlowModTableId {
  type: "nxt-flow-mod-table-id";
  set: boolean;
}
export interface NxtSetFlowFormat {
  type: "nxt-set-flow-format";
  /** 0 openflow10, 2 nxm. */
  format: number;
}
export interface NxtSetPacketInFormat {
  type: "nxt-set-packet-in-format";
  /** 0 standard, 1 nxt_packet_in, 2 nxt_packet_in2. */
  format: number;
}
export interface NxtFlowAge {
  type: "nxt-flow-age";
}
export interface NxtSetControllerId {
  type: "nxt-set-controller-id";
  controllerId: number;
}
export interface NxtFlowMonitorCancel {
  type: "nxt-flow-monitor-cancel";
  id: number;
}
export interface TlvMap {
  optionClass: number;
  optionType: number;
  optionLen: number;
  index: number;
}
export interface NxtTlvTableMod {
  type: "nxt-tlv-table-mod";
  /** 0 add, 1 delete, 2 clear. */
  command: number;
  maps: TlvMap[];
}
export interface NxtTlvTableReply {
  type: "nxt-tlv-table-reply";
  maxSpace: number;
  maxFields: number;
  maps: TlvMap[];
}
export interface NxtResume {
  type: "nxt-resume";
  packetIn: PacketIn;
}
export interface NxtCtFlushZone {
  type: "nxt-ct-flush-zone";
  zone: number;
}
export interface CtTuple {
  /** 4 bytes, 16 bytes, or undefined. */
  src: Uint8Array | undefined;
  dst: Uint8Array | undefined;
  srcPort: number | undefined;
  dstPort: number | undefined;
  icmpId: number | undefined;
  icmpType: number | undefined;
  icmpCode: number | undefined;
}
export interface NxtCtFlush {
  type: "nxt-ct-flush";
  ipProto: number;
  zone: number | undefined;
  mark: number | undefined;
  markMask: number | undefined;
  label: Uint8Array | undefined;
  labelMask: Uint8Array | undefined;
  orig: CtTuple;
  reply: CtTuple;
}

export type Message =
  | Hello
  | OfpErrorMessage
  | Echo
  | Empty
  | FeaturesReply
  | SwitchConfig
  | PacketIn
  | PacketOut
  | FlowMod
  | FlowRemoved
  | PortStatus
  | PortMod
  | TableMod
  | RoleMessage
  | RoleStatus
  | AsyncConfig
  | QueueGetConfigRequest
  | QueueGetConfigReply
  | GroupMod
  | MeterMod
  | BundleCtrl
  | BundleAdd
  | RequestForward
  | TableStatus
  | FlowStatsRequest
  | FlowStatsReply
  | AggregateReply
  | DescReply
  | TableReply
  | TableFeaturesMessage
  | TableDescReply
  | PortRequest
  | PortReply
  | PortDescReply
  | QueueRequest
  | QueueReply
  | GroupRequest
  | GroupReply
  | GroupDescReply
  | GroupFeaturesReply
  | MeterRequest
  | MeterReply
  | MeterConfigReply
  | MeterFeaturesReply
  | FlowMonitorRequests
  | FlowMonitorReply
  | IpfixReply
  | NxtFlowModTableId
  | NxtSetFlowFormat
  | NxtSetPacketInFormat
  | NxtFlowAge
  | NxtSetControllerId
  | NxtFlowMonitorCancel
  | NxtTlvTableMod
  | NxtTlvTableReply
  | NxtResume
  | NxtCtFlushZone
  | NxtCtFlush;

export type MessageType = Message["type"];

/** A decoded message with what its header said. */
export interface Decoded {
  version: Version;
  xid: number;
  /** Wire name, such as "OFPT_FLOW_MOD", "NXST_FLOW reply"; chosen by version and extension. */
  name: string;
  /** A multipart message that more parts follow. */
  more: boolean;
  message: Message;
}
