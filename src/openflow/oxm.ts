/**
 * Matches as NXM and OXM type-length-values (nicira-ext "nx_match", OpenFlow 1.2 section A.2.3): one header of 32
 * bits (class 16, field 7, has-mask 1, length 8; class 0xffff is followed by a 32-bit experimenter), value, mask.
 * Which field goes with which header comes from the field registry. `version` 0 means NXM. Upstream: nx-match.
 */
import {
  EXPERIMENTER_CLASS,
  FIELDS,
  type Field,
  type FieldHeader,
  fieldByHeader,
  fieldByName,
  fillField,
  getField,
  getFieldBig,
  headerFor,
  isFieldZero,
  mustField,
  setField,
  setFieldBig,
} from "../flow/fields/index.ts";
import {
  FLOW_WORDS,
  VLAN_CFI,
  W_CT_NW_PROTO,
  W_CT_TP,
  W_ETH_DST_HI,
  W_ETH_TYPE,
  W_IN_PORT,
  W_METADATA_HI,
  W_MPLS,
  W_NSH_BASE,
  W_NW,
  W_PACKET_TYPE,
  W_REG0,
  W_TP,
  W_TUN_ID_HI,
  W_VLAN0,
} from "../flow/layout.ts";
import {
  anyBits,
  clearMatch,
  type Match,
  makeMatch,
  matchesTunnel,
  type TunMetadataSlot,
} from "../flow/match.ts";
import { setDefaultPacketType } from "../flow/match-text.ts";
import { prerequisitesMet } from "../flow/normalize.ts";
import { isMplsType } from "../flow/packet/ethernet.ts";
import { readTunBytes, setTunMetadata } from "../flow/tun-metadata.ts";
import { OfpError } from "./errors.ts";
import { portFromWire, portToWire } from "./ports.ts";
import { Reader, type Writer } from "./wire.ts";

const NXM_COOKIE_CLASS = 1;
const NXM_COOKIE_FIELD = 30;

export function ones(bits: number): bigint {
  return (1n << BigInt(bits)) - 1n;
}

/** headerFor, remembered: [version][field id]. */
const headerCache: (FieldHeader | undefined | null)[][] = Array.from({ length: 8 }, () => []);

function cachedHeader(field: Field, version: number): FieldHeader | undefined {
  const row = headerCache[version]!;
  let found = row[field.id];
  if (found === undefined) {
    found = headerFor(field, version) ?? null;
    row[field.id] = found;
  }
  return found ?? undefined;
}

/** Fields of classes without experimenter by class << 7 | number. */
const plainFields = new Map<number, Field>();

/** The field of a class and number; undefined for an unknown one. */
export function fieldOfHeader(oxmClass: number, number: number, experimenter: number): Field | undefined {
  if (experimenter !== 0) return fieldByHeader(oxmClass, number, experimenter)?.field;
  const key = (oxmClass << 7) | number;
  let found = plainFields.get(key);
  if (found === undefined) {
    found = fieldByHeader(oxmClass, number, 0)?.field;
    if (found !== undefined) plainFields.set(key, found);
  }
  return found;
}

/** Bytes of the header itself. */
export function headerBytes(header: FieldHeader): number {
  return header.oxmClass === EXPERIMENTER_CLASS ? 8 : 4;
}

/** Writes a header alone, with the length of a whole value (and mask). */
export function writeHeader(w: Writer, header: FieldHeader, bytes: number, masked: boolean): void {
  const experimenter = header.oxmClass === EXPERIMENTER_CLASS;
  const length = (masked ? bytes * 2 : bytes) + (experimenter ? 4 : 0);
  w.u16(header.oxmClass);
  w.u8((header.number << 1) | (masked ? 1 : 0));
  w.u8(length);
  if (experimenter) w.u32(header.experimenter);
}

/** The field's header in a version, for encoding; throws nothing: fields without any header are never encoded. */
export function fieldHeader(field: Field, version: number): FieldHeader | undefined {
  return headerFor(field, version);
}

/** What a 32-bit header (64 with an experimenter) says. */
export interface WireHeader {
  oxmClass: number;
  number: number;
  masked: boolean;
  /** Bytes after the header. */
  payload: number;
  experimenter: number;
  field: Field | undefined;
}

/** Reads a header; the caller has checked that 4 bytes are there. Throws `error` when an experimenter is cut off. */
export function readHeader(r: Reader, error: string): WireHeader {
  const oxmClass = r.u16();
  const low = r.u8();
  let payload = r.u8();
  let experimenter = 0;
  if (oxmClass === EXPERIMENTER_CLASS) {
    if (payload < 4 || r.left < 4) throw new OfpError(error);
    experimenter = r.u32();
    payload -= 4;
  }
  const number = low >>> 1;
  const field = fieldOfHeader(oxmClass, number, experimenter);
  return { oxmClass, number, masked: (low & 1) === 1, payload, experimenter, field };
}

/** "NXM_OF_IN_PORT" or, unknown, "CLASS:FIELD". */
export function headerText(h: WireHeader): string {
  const name = fieldByHeader(h.oxmClass, h.number, h.experimenter)?.header.name;
  return name ?? `${h.oxmClass}:${h.number}`;
}

/** What a field's value is on the wire of `version`: ports widen to 32 bits, ip_dscp is stored shifted by its place. */
function valueToWire(field: Field, value: bigint): bigint {
  return field.format === "port" && field.bytes === 4 ? BigInt(portToWire(Number(value))) : value;
}

/** Writes header, value and, unless it is all ones, mask. */
export function writeField(
  w: Writer,
  field: Field,
  version: number,
  value: bigint,
  mask: bigint,
  bytes = field.bytes,
  exact = mask === ones(Math.min(field.bits, bytes * 8)) || mask === ones(bytes * 8),
): void {
  const header = cachedHeader(field, version);
  if (header === undefined) return;
  writeHeader(w, header, bytes, !exact);
  w.big(valueToWire(field, value), bytes);
  if (!exact) w.big(mask, bytes);
}

/** Writes the field if some bit of it is matched. */
export function put(w: Writer, match: Match, field: Field, version: number): void {
  if (isFieldZero(field, match.mask)) return;
  const places = field.places;
  if (places.length === 1 && field.bytes <= 4) {
    const [, , width] = places[0]!;
    const value = getField(field, match.flow);
    const mask = getField(field, match.mask);
    // Of tun_flags one bit is known, and it goes out masked; ICMP types and codes go out whole.
    const exact =
      (mask === (width === 32 ? 0xffffffff : (1 << width) - 1) >>> 0 && field !== TUN_FLAGS) ||
      !field.maskable;
    const header = cachedHeader(field, version);
    if (header === undefined) return;
    writeHeader(w, header, field.bytes, !exact);
    putNumber(w, value, field.bytes);
    if (!exact) putNumber(w, mask, field.bytes);
    return;
  }
  writeField(w, field, version, getFieldBig(field, match.flow), getFieldBig(field, match.mask));
}

function putNumber(w: Writer, value: number, bytes: number): void {
  if (bytes === 1) w.u8(value);
  else if (bytes === 2) w.u16(value);
  else w.u32(value);
}

/** The fields of these names. */
export function fields(names: string): Field[] {
  return names.split(" ").flatMap((name) => fieldByName(name) ?? []);
}

const FIRST = fields("dp_hash recirc_id conj_id");
const ETHERNET = fields("eth_src eth_dst eth_type");
const MPLS = fields("mpls_label mpls_tc mpls_bos mpls_ttl");
const IPV4 = fields("ip_src ip_dst");
const IPV6 = fields("ipv6_src ipv6_dst");
const ARP = fields("arp_op arp_spa arp_tpa arp_sha arp_tha");
/** By ICMPv6 type. */
const ND_FIELDS: Readonly<Record<number, Field[]>> = {
  135: fields("nd_target nd_sll nd_reserved nd_options_type"),
  136: fields("nd_target nd_tll nd_reserved nd_options_type"),
};
const NSH = fields("nsh_flags nsh_ttl nsh_mdtype nsh_np nsh_spi nsh_si nsh_c1 nsh_c2 nsh_c3 nsh_c4");
const TUNNEL = fields(
  "tun_id tun_src tun_dst tun_ipv6_src tun_ipv6_dst tun_gbp_id tun_gbp_flags tun_erspan_idx tun_erspan_ver tun_erspan_dir tun_erspan_hwid tun_gtpu_flags tun_gtpu_msgtype tun_flags",
);
const CT = fields(
  "pkt_mark ct_state ct_zone ct_mark ct_label ct_nw_src ct_nw_dst ct_ipv6_src ct_ipv6_dst ct_nw_proto ct_tp_src ct_tp_dst",
);
const REGS = fields(Array.from({ length: 32 }, (_, n) => `reg${n}`).join(" "));
const XREGS = fields(Array.from({ length: 16 }, (_, n) => `xreg${n}`).join(" "));
const PACKET_TYPE = mustField("packet_type");
const ACTSET_OUTPUT = mustField("actset_output");
const IN_PORT = mustField("in_port");
const IN_PORT_OXM = mustField("in_port_oxm");
const VLAN_TCI = mustField("vlan_tci");
const VLAN_VID = mustField("vlan_vid");
const VLAN_PCP = mustField("vlan_pcp");
const NW_TOS = mustField("nw_tos");
const IP_DSCP = mustField("ip_dscp");
const IP_ECN = mustField("nw_ecn");
const IP_TTL = mustField("nw_ttl");
const NW_PROTO = mustField("nw_proto");
const IP_FRAG = mustField("ip_frag");
const IPV6_LABEL = mustField("ipv6_label");
const METADATA = mustField("metadata");
const TUN_FLAGS = mustField("tun_flags");
const ARP_OP = mustField("arp_op");
const CT_STATE = mustField("ct_state");
const NSH_TTL = mustField("nsh_ttl");
const NSH_MDTYPE = mustField("nsh_mdtype");
const TRANSPORT: Readonly<Record<number, Field[]>> = {
  6: fields("tcp_src tcp_dst tcp_flags"),
  17: fields("udp_src udp_dst"),
  132: fields("sctp_src sctp_dst"),
};
const ICMP4 = fields("icmp_type icmp_code");
const ICMP6 = fields("icmpv6_type icmpv6_code");

function putAll(w: Writer, match: Match, list: readonly Field[], version: number): void {
  for (const field of list) put(w, match, field, version);
}

/** What is written of a match implies packet type Ethernet: some header beside it. */
function impliesEthernet(flow: Int32Array, mask: Int32Array): boolean {
  return (
    mask[W_ETH_TYPE] !== 0 ||
    anyBits(mask, W_ETH_DST_HI, W_CT_TP) ||
    flow[W_CT_NW_PROTO] !== 0 ||
    anyBits(mask, W_NSH_BASE, W_TUN_ID_HI)
  );
}

/** The ethertype that is matched exactly, or that a packet type without Ethernet header tells, else 0. */
function matchedType(flow: Int32Array, mask: Int32Array): number {
  if (flow[W_PACKET_TYPE]! >>> 16 === 1) return flow[W_PACKET_TYPE]! & 0xffff;
  return (mask[W_ETH_TYPE]! & 0xffff) === 0xffff ? flow[W_ETH_TYPE]! & 0xffff : 0;
}

/** Appends the match's fields, unpadded. `cookie` is Nicira's pseudo-field, NXM only. */
export function writeMatch(
  w: Writer,
  match: Match,
  version: number,
  cookie?: { value: bigint; mask: bigint },
): void {
  const { flow, mask } = match;
  const metadata = anyBits(mask, W_IN_PORT + 1, W_PACKET_TYPE);
  const further = matchesTunnel(match) || anyBits(mask, W_METADATA_HI, FLOW_WORDS);
  if (mask[W_PACKET_TYPE] !== 0 && (flow[W_PACKET_TYPE] !== 0 || !impliesEthernet(flow, mask))) {
    put(w, match, PACKET_TYPE, version);
  }
  if (metadata || further) putAll(w, match, FIRST, version);
  if (mask[W_IN_PORT] !== 0) {
    if (version >= 2) {
      writeHeader(w, cachedHeader(IN_PORT_OXM, Math.max(version, 3))!, 4, false);
      w.u32(portToWire(flow[W_IN_PORT]!));
    } else {
      writeHeader(w, cachedHeader(IN_PORT, 0)!, 2, false);
      w.u16(flow[W_IN_PORT]!);
    }
  }
  if (further && !isFieldZero(ACTSET_OUTPUT, mask)) {
    writeField(w, ACTSET_OUTPUT, version, getFieldBig(ACTSET_OUTPUT, flow), 0xffffffffn);
  }
  putAll(w, match, ETHERNET, version);
  if (version >= 3) putVlanOxm(w, match, version);
  else put(w, match, VLAN_TCI, version);
  const type = matchedType(flow, mask);
  // Without any type they are what a packet_in tells of its packet.
  if (mask[W_MPLS] !== 0 && (type === 0 || isMplsType(type))) putAll(w, match, MPLS, version);
  if (type === 0x0800) {
    putAll(w, match, IPV4, version);
    putIp(w, match, version, 1, ICMP4);
  } else if (type === 0x86dd) {
    putAll(w, match, IPV6, version);
    putIp(w, match, version, 58, ICMP6);
    if ((flow[W_NW]! & 0xff) === 58) putAll(w, match, ND_FIELDS[flow[W_TP]! >>> 16] ?? [], version);
  } else if (type === 0x0806 || type === 0x8035) {
    putAll(w, match, ARP, version);
  }
  if (further) {
    putAll(w, match, NSH, version);
    putAll(w, match, TUNNEL, version);
  }
  if (match.tunMetadata !== undefined) {
    for (const slot of match.tunMetadata) putTunMetadata(w, match, slot, version);
  }
  if (!further) {
    // No registers.
  } else if (version >= 6) putAll(w, match, XREGS, version);
  else for (let n = 0; n < 32; n++) if (mask[W_REG0 + n] !== 0) put(w, match, REGS[n]!, version);
  if (metadata || further) {
    putAll(w, match, CT, version);
    put(w, match, METADATA, version);
  }
  if (cookie !== undefined && cookie.mask !== 0n) {
    const exact = cookie.mask === 0xffff_ffff_ffff_ffffn;
    w.u16(NXM_COOKIE_CLASS);
    w.u8((NXM_COOKIE_FIELD << 1) | (exact ? 0 : 1));
    w.u8(exact ? 8 : 16);
    w.u64(cookie.value & cookie.mask);
    if (!exact) w.u64(cookie.mask);
  }
}

function putVlanOxm(w: Writer, match: Match, version: number): void {
  const mask = match.mask[W_VLAN0]! & 0x1fff;
  const value = match.flow[W_VLAN0]! & 0x1fff;
  if (mask !== 0) {
    writeHeader(w, cachedHeader(VLAN_VID, version)!, 2, mask !== 0x1fff);
    w.u16(value);
    if (mask !== 0x1fff) w.u16(mask);
  }
  if (value !== 0 && (match.mask[W_VLAN0]! & 0xe000) !== 0) {
    writeHeader(w, cachedHeader(VLAN_PCP, version)!, 1, false);
    w.u8((match.flow[W_VLAN0]! >>> 13) & 7);
  }
}

function putIp(w: Writer, match: Match, version: number, icmp: number, icmpFields: readonly Field[]): void {
  const { flow, mask } = match;
  const nw = mask[W_NW]!;
  if (nw === 0) {
    put(w, match, IPV6_LABEL, version);
    return;
  }
  put(w, match, IP_FRAG, version);
  putDscp(w, match, version);
  put(w, match, IP_ECN, version);
  put(w, match, IP_TTL, version);
  put(w, match, IPV6_LABEL, version);
  put(w, match, NW_PROTO, version);
  if ((nw & 0xff) !== 0xff) return;
  const proto = flow[W_NW]! & 0xff;
  const transport = proto === icmp ? icmpFields : TRANSPORT[proto];
  if (transport !== undefined) putAll(w, match, transport, version);
}

/** The six bits have a header for them, and in NXM the eight of nw_tos. */
export function putDscp(w: Writer, match: Match, version: number): void {
  if (((match.mask[W_NW]! >>> 8) & 0xfc) === 0) return;
  if (version >= 2) {
    writeHeader(w, cachedHeader(IP_DSCP, Math.max(version, 3))!, 1, false);
    w.u8((match.flow[W_NW]! >>> 10) & 0x3f);
  } else {
    writeHeader(w, cachedHeader(NW_TOS, 0)!, 1, false);
    w.u8((match.flow[W_NW]! >>> 8) & 0xfc);
  }
}

function putTunMetadata(w: Writer, match: Match, slot: TunMetadataSlot, version: number): void {
  const value = readTunBytes(match.flow, slot.offset, slot.bytes);
  const mask = readTunBytes(match.mask, slot.offset, slot.bytes);
  writeField(w, slot.field, version, value, mask, slot.bytes, !slot.masked);
}

export interface MatchOptions {
  /** Skip unknown fields, and known ones of another length; ask for no prerequisites. */
  loose?: boolean;
  cookie?: { value: bigint; mask: bigint };
  prerequisites?: boolean;
  /** Only metadata, as packet_out of 1.5 has it: OFPBRC_PIPELINE_FIELDS_ONLY otherwise. */
  pipeline?: boolean;
  /** A match to use up for what is read. */
  scratch?: Match | undefined;
}

/** Fields that are not read from a packet's headers. */
const PIPELINE =
  /^(tun_|metadata$|in_port|reg\d|xreg|xxreg|pkt_mark|ct_|actset_output|packet_type|skb_priority|dp_hash|recirc_id|conj_id)/;

/**
 * Reads `length` bytes of TLVs. Throws OfpError: OFPBMC_* or NXBRC_NXM_INVALID. With `loose`, unknown fields are
 * skipped and prerequisites not asked for.
 */
export function readMatch(r: Reader, length: number, options: MatchOptions = {}): Match {
  const match = options.scratch === undefined ? makeMatch() : clearMatch(options.scratch);
  const body = r.sub(length);
  while (body.left > 0) {
    if (takePlain(body, match, options)) continue;
    if (body.left < 4)
      throw new OfpError("OFPBMC_BAD_LEN", "encountered partial (%d-byte) OXM entry", "nx_match");
    const header = readHeader(body, "OFPBMC_BAD_LEN");
    const bytes = header.masked ? header.payload / 2 : header.payload;
    if (header.masked && header.payload % 2 !== 0) {
      throw new OfpError(
        "OFPBMC_BAD_LEN",
        `OXM header ${headerText(header)} has invalid payload length`,
        "nx_match",
      );
    }
    if (body.left < header.payload) {
      throw new OfpError(
        "OFPBMC_BAD_LEN",
        `OXM entry ${headerText(header)} has payload length ${header.payload} but only ${body.left} bytes left in OXM`,
        "nx_match",
      );
    }
    if (
      options.cookie !== undefined &&
      header.oxmClass === NXM_COOKIE_CLASS &&
      header.number === NXM_COOKIE_FIELD &&
      bytes === 8
    ) {
      options.cookie.value = body.u64();
      options.cookie.mask = header.masked ? body.u64() : 0xffff_ffff_ffff_ffffn;
      options.cookie.value &= options.cookie.mask;
      continue;
    }
    const field = header.field;
    const fits = field?.isTunMetadata === true ? bytes > 0 && bytes <= field.bytes : bytes === field?.bytes;
    if (!fits && options.loose) {
      body.skip(header.payload);
      continue;
    }
    if (field === undefined) throw new OfpError("OFPBMC_BAD_FIELD");
    if (!fits) throw new OfpError("OFPBMC_BAD_LEN");
    if (options.pipeline && !PIPELINE.test(field.name)) throw new OfpError("OFPBRC_PIPELINE_FIELDS_ONLY");
    takeField(body, match, field, bytes, header.masked, options);
  }
  setDefaultPacketType(match);
  return match;
}

/** "experimenter:class:field:masked:bytes", as log lines name an entry. */
function entryText(field: Field, bytes: number): string {
  const h = field.headers[0]!;
  return `${h.experimenter}:${h.oxmClass}:${h.number}:1:${bytes * 2 + (h.experimenter === 0 ? 0 : 4)}`;
}

/** Fields that the general way must take: their values are not stored as they come. */
const SPECIAL = new Set(
  fields("vlan_vid vlan_pcp nw_tos ct_state in_port_oxm actset_output tun_flags").concat(
    FIELDS.filter(
      (f) => f.bytes > 4 || f.places.length !== 1 || f.name.startsWith("tun_erspan") || f.onesOnly,
    ),
  ),
);

/** The other fields by the first 32 bits of an entry without a mask. */
const PLAIN = new Map<number, Field>();
for (const field of FIELDS) {
  if (SPECIAL.has(field)) continue;
  for (const { oxmClass, number } of field.headers) {
    if (oxmClass !== EXPERIMENTER_CLASS) PLAIN.set((oxmClass << 16) | (number << 9) | field.bytes, field);
  }
}

/**
 * The next entry when it is a plain one: an unmasked value of up to 32 bits in one place, without bigint. False: it is to
 * be taken the general way.
 */
function takePlain(body: Reader, match: Match, options: MatchOptions): boolean {
  if (body.left < 5 || options.pipeline) return false;
  const field = PLAIN.get(body.u32At(body.pos) | 0);
  if (field === undefined || body.left < 4 + field.bytes) return false;
  body.pos += 4;
  const { bytes } = field;
  const value = bytes === 1 ? body.u8() : bytes === 2 ? body.u16() : body.u32();
  const bits = field === ARP_OP ? 8 : field.bits;
  if (bits < 32 && value >>> bits !== 0) throw new OfpError("OFPBMC_BAD_VALUE");
  if (!options.loose && options.prerequisites !== false && !prerequisitesMet(field, match.flow, match.mask)) {
    throw new OfpError("OFPBMC_BAD_PREREQ");
  }
  if (!isFieldZero(field, match.mask)) throw new OfpError("OFPBMC_DUP_FIELD");
  implyEthernet(match, field);
  fillField(field, match.mask);
  setField(field, match.flow, value);
  return true;
}

/** A field of Ethernet packets, even one that is all wildcarded, says that the match is one of Ethernet packets. */
function implyEthernet(match: Match, field: Field): void {
  if (field.prereq === "none" || match.mask[W_PACKET_TYPE] !== 0) return;
  match.mask[W_PACKET_TYPE] = -1;
  match.flow[W_PACKET_TYPE] = 0;
}

/** Bits that a value may have. */
function validBits(field: Field): bigint {
  if (field === VLAN_VID) return 0x1fffn;
  if (field === NW_TOS) return 0xfcn;
  if (field === CT_STATE) return 0xffn;
  if (field === ARP_OP) return 0xffn;
  if (field === NSH_TTL) return 0x3fn;
  return field.name.startsWith("tun_erspan") ? ones(field.bytes * 8) : ones(field.bits);
}

function takeField(
  body: Reader,
  match: Match,
  field: Field,
  bytes: number,
  masked: boolean,
  options: { loose?: boolean; prerequisites?: boolean },
): void {
  let value = body.big(bytes);
  const valid = field.isTunMetadata ? ones(bytes * 8) : validBits(field);
  let mask = valid;
  if (masked) {
    const wire = body.big(bytes);
    if (wire !== ones(bytes * 8) && (field !== IPV6_LABEL || (wire & valid) !== valid)) {
      if (!field.maskable && wire !== valid) throw new OfpError("OFPBMC_BAD_MASK");
      mask = field === TUN_FLAGS ? wire & valid : wire;
    }
  }
  if (field.format === "port" && field.bytes === 4) {
    value = BigInt(portFromWire(Number(value), "OFPBMC_BAD_VALUE"));
  }
  if ((value & ~valid) !== 0n) throw new OfpError("OFPBMC_BAD_VALUE");
  if (field === NSH_MDTYPE && value !== 1n && value !== 2n) throw new OfpError("OFPBMC_BAD_VALUE");
  if ((value & ~mask) !== 0n) {
    throw new OfpError(
      "OFPBMC_BAD_WILDCARDS",
      `Rejecting NXM/OXM entry ${entryText(field, bytes)} with 1-bits in value for bits wildcarded by the mask.`,
      "nx_match",
    );
  }
  if (!options.loose && options.prerequisites !== false && !prerequisitesMet(field, match.flow, match.mask)) {
    throw new OfpError("OFPBMC_BAD_PREREQ");
  }
  if (field.isTunMetadata) {
    if (match.tunMetadata?.some((slot) => slot.field === field)) throw new OfpError("OFPBMC_DUP_FIELD");
    if (!setTunMetadata(match, field, bytes, value, masked ? mask : undefined))
      throw new OfpError("OFPBMC_BAD_FIELD");
    return;
  }
  if (field === VLAN_PCP) {
    if ((match.mask[W_VLAN0]! & 0xe000) !== 0) throw new OfpError("OFPBMC_DUP_FIELD");
  } else if (!isFieldZero(field === NW_TOS ? IP_DSCP : field, match.mask)) {
    throw new OfpError("OFPBMC_DUP_FIELD");
  }
  implyEthernet(match, field);
  setMatchField(match, field, value, mask);
  // Some fields have more bits in a flow than values can have: an exact match covers them all.
  const partial = field === VLAN_VID || field === NW_TOS || field === CT_STATE || field === TUN_FLAGS;
  if (mask === valid && !partial && field !== VLAN_PCP && !field.onesOnly) fillField(field, match.mask);
}

/** Sets a field as matches do: a VLAN priority implies a tag. */
export function setMatchField(match: Match, field: Field, value: bigint, mask: bigint): void {
  // The ECN bits beside it may be matched already.
  if (field === NW_TOS) {
    setMatchField(match, IP_DSCP, value >> 2n, mask >> 2n);
    return;
  }
  const places = field.places;
  if (field.onesOnly) mask &= value;
  if (places.length === 1) {
    setField(field, match.mask, Number(BigInt.asIntN(32, mask)));
    setField(field, match.flow, Number(BigInt.asIntN(32, value & mask)));
  } else {
    setFieldBig(field, match.mask, mask);
    setFieldBig(field, match.flow, value & mask);
  }
  if (field === VLAN_PCP) {
    match.mask[W_VLAN0]! |= VLAN_CFI;
    match.flow[W_VLAN0]! |= VLAN_CFI;
  }
}

/** OpenFlow 1.2+ `struct ofp_match`: type 1, length, TLVs, padded to 8. */
export function writeOxmMatch(w: Writer, match: Match, version: number, write = writeMatch): void {
  const start = w.pos;
  w.u16(1);
  w.u16(0);
  write(w, match, version);
  w.setU16(start + 2, w.pos - start);
  w.pad(start);
}

/** Bytes → match, from TLVs alone. */
export function matchFromTlvs(bytes: Uint8Array, loose = false): Match {
  return readMatch(new Reader(bytes), bytes.length, { loose });
}
