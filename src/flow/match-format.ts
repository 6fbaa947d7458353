/**
 * A match as text, to the letter of 3.7: metadata first, then the protocol's short name, registers, tunnel, and headers
 * from the outside in.
 */
import { TextWriter } from "../lib/text-writer.ts";
import { type Field, getField, getFieldBig, isFieldZero, mustField } from "./fields/index.ts";
import { CT_STATE, formatFlagsMasked, formatFragment, TCP_FLAGS, TUN_FLAGS } from "./flags.ts";
import * as L from "./layout.ts";
import { anyBits, type Match, matchesTunnel } from "./match.ts";
import {
  ETH_TYPE_ARP,
  ETH_TYPE_IPV4,
  ETH_TYPE_IPV6,
  ETH_TYPE_NSH,
  ETH_TYPE_RARP,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_TCP,
  isMplsType,
} from "./packet/ethernet.ts";
import { formatPort, type PortNames } from "./ports-text.ts";
import { protocolName } from "./protocols.ts";
import { readTunBytes } from "./tun-metadata.ts";
import { fieldOnes, formatFieldValue, formatPacketType, hex } from "./value-text.ts";

export interface MatchFormatOptions {
  readonly ports?: PortNames | undefined;
  /** Printed as `priority=N` unless it is 32768 or undefined. */
  readonly priority?: number | undefined;
}

export const DEFAULT_PRIORITY = 32768;

/** What formatMatch writes into; empty between calls. */
const TEXT = new TextWriter();

/** The match, no spaces; "" for a catch-all. */
export function formatMatch(match: Match, options: MatchFormatOptions = {}): string {
  const start = TEXT.pos;
  writeMatchText(TEXT, match, options.priority, options.ports);
  return TEXT.take(start);
}

/** The same, written. */
export function writeMatchText(
  out: TextWriter,
  match: Match,
  priority: number | undefined,
  ports: PortNames | undefined,
): void {
  new Formatter(out, match, ports).run(priority);
}

/** A flow (all bits that are set, exactly) as text, as ofproto/trace prints one. */
export function formatFlow(flow: L.Flow, ports?: PortNames): string {
  return formatMatch(flowAsMatch(flow), { ports });
}

const named = (names: string): Field[] => names.split(" ").map(mustField);

const MAYBE = named("pkt_mark recirc_id dp_hash conj_id skb_priority actset_output");
const CONNECTION = named("ct_mark ct_label ct_nw_src ct_ipv6_src ct_nw_dst ct_ipv6_dst");
const TUNNEL = named("tun_id tun_src tun_dst tun_ipv6_src tun_ipv6_dst tun_gbp_id tun_gbp_flags");
const NSH = named("nsh_ttl nsh_mdtype nsh_np");

/** Looked up once: most matches have few of them, and all are asked for in each. */
const F = {
  recirc_id: mustField("recirc_id"),
  metadata: mustField("metadata"),
  eth_src: mustField("eth_src"),
  eth_dst: mustField("eth_dst"),
  ct_nw_proto: mustField("ct_nw_proto"),
  ct_tp_src: mustField("ct_tp_src"),
  ct_tp_dst: mustField("ct_tp_dst"),
  tun_erspan_ver: mustField("tun_erspan_ver"),
  tun_erspan_idx: mustField("tun_erspan_idx"),
  tun_erspan_dir: mustField("tun_erspan_dir"),
  tun_erspan_hwid: mustField("tun_erspan_hwid"),
  tun_gtpu_flags: mustField("tun_gtpu_flags"),
  tun_gtpu_msgtype: mustField("tun_gtpu_msgtype"),
  ipv6_src: mustField("ipv6_src"),
  ipv6_dst: mustField("ipv6_dst"),
  ip_src: mustField("ip_src"),
  ip_dst: mustField("ip_dst"),
  nw_proto: mustField("nw_proto"),
  arp_sha: mustField("arp_sha"),
  arp_tha: mustField("arp_tha"),
  nsh_si: mustField("nsh_si"),
  nd_target: mustField("nd_target"),
  nd_reserved: mustField("nd_reserved"),
  nd_options_type: mustField("nd_options_type"),
  tcp_src: mustField("tcp_src"),
  tcp_dst: mustField("tcp_dst"),
  tun_tos: mustField("tun_tos"),
  tun_ttl: mustField("tun_ttl"),
};

const COMMA = 44;
const EQUALS = 61;

/** C's %#x. */
function writeHex(out: TextWriter, value: number): void {
  if (value !== 0) out.text("0x");
  out.hex(value);
}

class Formatter {
  private readonly flow: L.Flow;
  private readonly mask: L.Flow;
  private readonly match: Match;
  private readonly ports: PortNames | undefined;
  private readonly out: TextWriter;
  private readonly start: number;
  /** The ethertype that the upper layers follow, 0 when unknown; whether a word stands for it, and for the IP protocol. */
  private type = 0;
  private typeNamed = false;
  private protocolNamed = false;

  constructor(out: TextWriter, match: Match, ports: PortNames | undefined) {
    this.out = out;
    this.start = out.pos;
    this.match = match;
    this.flow = match.flow;
    this.mask = match.mask;
    this.ports = ports;
  }

  run(priority: number | undefined): void {
    if (priority !== undefined && priority !== DEFAULT_PRIORITY) {
      this.label("priority");
      this.out.decimal(priority);
    }
    const { mask, flow } = this;
    const further = matchesTunnel(this.match) || anyBits(mask, L.W_METADATA_HI, L.FLOW_WORDS);
    if (further || anyBits(mask, L.W_IN_PORT + 1, L.W_PACKET_TYPE)) this.metadata();
    this.types();
    if (further) {
      this.registers();
      this.tunnel();
      this.field("metadata", F.metadata);
    }
    if (mask[L.W_IN_PORT] !== 0) {
      this.label("in_port");
      this.out.text(formatPort(flow[L.W_IN_PORT]!, this.ports));
    }
    if ((mask[L.W_VLAN0]! | mask[L.W_VLAN1]!) !== 0) {
      this.vlan("", L.W_VLAN0);
      this.vlan("1", L.W_VLAN1);
    }
    if ((mask[L.W_ETH_DST_HI]! | mask[L.W_ETH_DST_SRC]! | mask[L.W_ETH_SRC_LO]!) !== 0) {
      this.field("dl_src", F.eth_src);
      this.field("dl_dst", F.eth_dst);
    }
    if (!this.typeNamed && this.exactType()) {
      this.item(`dl_type=0x${this.type.toString(16).padStart(4, "0")}`);
    }
    this.network(this.type);
    this.transport(this.type);
  }

  private registers(): void {
    for (let n = 0; n < 32; n++) {
      if (this.mask[L.W_REG0 + n] !== 0) this.hexWord(`reg${n}`, L.W_REG0 + n);
    }
  }

  private metadata(): void {
    for (const field of MAYBE) {
      if (field === F.recirc_id) this.hexWord(field.name, L.W_RECIRC_ID);
      else this.field(field.name, field);
    }
    this.connection();
  }

  private item(text: string): void {
    if (this.out.pos > this.start) this.out.char(COMMA);
    this.out.text(text);
  }

  private label(label: string): void {
    this.item(label);
    this.out.char(EQUALS);
  }

  private fields(list: readonly Field[]): void {
    for (let i = 0; i < list.length; i++) this.field(list[i]!.name, list[i]!);
  }

  /** Prints a field in its own format when any of its bits is matched. */
  private field(label: string, field: Field): void {
    if (isFieldZero(field, this.mask)) return;
    this.label(label);
    const out = this.out;
    const { format } = field;
    if (
      field.bytes <= 4 &&
      !field.onesOnly &&
      (format === "decimal" || format === "hex" || format === "ipv4")
    ) {
      const value = getField(field, this.flow);
      const mask = getField(field, this.mask);
      if (~mask << (32 - field.bits) === 0) {
        if (format === "ipv4") out.ipv4(value);
        else if (format === "decimal") out.decimal(value);
        else writeHex(out, value);
        return;
      }
      out.text(formatFieldValue(field, BigInt(value), BigInt(mask), this.ports));
      return;
    }
    const shown = field.onesOnly ? fieldOnes(field) : getFieldBig(field, this.mask);
    out.text(formatFieldValue(field, getFieldBig(field, this.flow), shown, this.ports));
  }

  private hexWord(label: string, word: number): void {
    const mask = this.mask[word]! >>> 0;
    if (mask === 0) return;
    const value = hex(this.flow[word]! >>> 0);
    this.item(mask === 0xffffffff ? `${label}=${value}` : `${label}=${value}/${hex(mask)}`);
  }

  private connection(): void {
    const word = this.mask[L.W_CT_STATE_ZONE]!;
    const state = this.flow[L.W_CT_STATE_ZONE]! & 0xffff;
    if ((word & 0xffff) !== 0) {
      const mask = word & 0xffff;
      this.item(`ct_state=${formatFlagsMasked(CT_STATE, state, mask)}`);
    }
    const zone = word >>> 16;
    if (zone !== 0) {
      const value = this.flow[L.W_CT_STATE_ZONE]! >>> 16;
      this.item(zone === 0xffff ? `ct_zone=${value}` : `ct_zone=${hex(value)}/${hex(zone)}`);
    }
    this.fields(CONNECTION);
    if ((this.mask[L.W_CT_NW_PROTO]! & 0xff) !== 0) {
      this.field("ct_nw_proto", F.ct_nw_proto);
      this.field("ct_tp_src", F.ct_tp_src);
      this.field("ct_tp_dst", F.ct_tp_dst);
    }
  }

  private exactType(): boolean {
    return (this.mask[L.W_ETH_TYPE]! & 0xffff) === 0xffff;
  }

  /** packet_type, or "eth" in a megaflow, then the protocol's word. */
  private types(): void {
    const { flow, mask } = this;
    const packetType = flow[L.W_PACKET_TYPE]!;
    if (mask[L.W_PACKET_TYPE] !== 0) {
      if (packetType !== 0) {
        this.item(`packet_type=${formatPacketType(packetType >>> 0)}`);
        if (packetType >>> 16 === 1) {
          this.type = packetType & 0xffff;
          return;
        }
      } else if (mask[L.W_RECIRC_ID] !== 0) {
        this.item("eth");
      }
    }
    if (!this.exactType()) return;
    this.type = flow[L.W_ETH_TYPE]! & 0xffff;
    let name = protocolName(this.type, 0);
    if (name === undefined) return;
    this.typeNamed = true;
    const protocol = flow[L.W_NW]! & mask[L.W_NW]! & 0xff;
    const isIp = this.type === ETH_TYPE_IPV4 || this.type === ETH_TYPE_IPV6;
    if (isIp && protocol !== 0 && (mask[L.W_NW]! & 0xff) === 0xff) {
      const full = protocolName(this.type, protocol);
      this.protocolNamed = full !== undefined;
      name = full ?? name;
    }
    this.item(name);
  }

  private tunnel(): void {
    this.fields(TUNNEL);
    // tos is printed in hexadecimal, ttl in decimal.
    if (!isFieldZero(F.tun_tos, this.mask)) this.item(`tun_tos=${hex(getField(F.tun_tos, this.flow))}`);
    if (!isFieldZero(F.tun_ttl, this.mask)) this.item(`tun_ttl=${getField(F.tun_ttl, this.flow)}`);
    const version = this.flow[L.W_TUN_ERSPAN]! & 0xff;
    this.field("tun_erspan_ver", F.tun_erspan_ver);
    if (version === 1) this.field("tun_erspan_idx", F.tun_erspan_idx);
    if (version === 2) {
      this.field("tun_erspan_dir", F.tun_erspan_dir);
      this.field("tun_erspan_hwid", F.tun_erspan_hwid);
    }
    this.field("gtpu_flags", F.tun_gtpu_flags);
    this.field("gtpu_msgtype", F.tun_gtpu_msgtype);
    const flags = this.mask[L.W_TUN_FLAGS_TOS_TTL]! & 0xffff;
    if (flags !== 0) {
      const value = this.flow[L.W_TUN_FLAGS_TOS_TTL]! & 0xffff;
      // Always with signs.
      this.item(`tun_flags=${formatFlagsMasked(TUN_FLAGS, value, flags & TUN_FLAGS.all, 0x10000)}`);
    }
    for (const { field, offset, bytes } of this.match.tunMetadata ?? []) {
      const mask = readTunBytes(this.mask, offset, bytes);
      const value = readTunBytes(this.flow, offset, bytes);
      const ones = (1n << BigInt(bytes * 8)) - 1n;
      const text = mask === 0n ? "" : mask === ones ? `=${hex(value)}` : `=${hex(value)}/${hex(mask)}`;
      this.item(field.name + text);
    }
  }

  private vlan(suffix: string, word: number): void {
    const mask = this.mask[word]! & 0xffff;
    if (mask === 0) return;
    const tci = this.flow[word]! & 0xffff;
    const tagged = (tci & L.VLAN_CFI) !== 0 && (mask & L.VLAN_CFI) !== 0;
    const vid = mask & 0xfff;
    const pcp = mask & 0xe000;
    if (tagged && (vid === 0xfff || vid === 0) && (pcp === 0xe000 || pcp === 0) && (vid | pcp) !== 0) {
      if (vid !== 0) this.item(`dl_vlan${suffix}=${tci & 0xfff}`);
      if (pcp !== 0) this.item(`dl_vlan_pcp${suffix}=${tci >>> 13}`);
    } else {
      const value = `vlan_tci${suffix}=0x${tci.toString(16).padStart(4, "0")}`;
      this.item(mask === 0xffff ? value : `${value}/0x${mask.toString(16).padStart(4, "0")}`);
    }
  }

  private network(type: number): void {
    const arp = type === ETH_TYPE_ARP || type === ETH_TYPE_RARP;
    if (type === ETH_TYPE_IPV6) {
      this.field("ipv6_src", F.ipv6_src);
      this.field("ipv6_dst", F.ipv6_dst);
      this.flowLabel();
    } else {
      this.field(arp ? "arp_spa" : "nw_src", F.ip_src);
      this.field(arp ? "arp_tpa" : "nw_dst", F.ip_dst);
    }
    if (type === ETH_TYPE_NSH) this.nsh();
    if (!this.protocolNamed) {
      if (arp) this.field("arp_op", F.nw_proto);
      else this.field("nw_proto", F.nw_proto);
    }
    if (arp) {
      this.field("arp_sha", F.arp_sha);
      this.field("arp_tha", F.arp_tha);
    }
    const nw = this.mask[L.W_NW]!;
    const value = this.flow[L.W_NW]!;
    if ((nw & 0xfc00) !== 0) this.item(`nw_tos=${(value >>> 8) & 0xfc}`);
    if ((nw & 0x0300) !== 0) this.item(`nw_ecn=${(value >>> 8) & 3}`);
    if ((nw & 0xff0000) !== 0) this.item(`nw_ttl=${(value >>> 16) & 0xff}`);
    if (anyBits(this.mask, L.W_MPLS, L.W_MPLS + 3)) this.mpls();
    const frag = (nw >>> 24) & 3;
    if (frag !== 0) this.item(`nw_frag=${formatFragment((value >>> 24) & 3, frag)}`);
  }

  /** A rule's exact match has the whole word; a datapath's mask has the 20 bits, and is printed with them. */
  private flowLabel(): void {
    const mask = this.mask[L.W_IPV6_LABEL]!;
    if (mask === 0) return;
    const text = (label: number) => `0x${(label >>> 0).toString(16).padStart(5, "0")}`;
    const value = text(this.flow[L.W_IPV6_LABEL]!);
    this.item(mask === -1 ? `ipv6_label=${value}` : `ipv6_label=${value}/${text(mask)}`);
  }

  private mpls(): void {
    const mask = this.mask[L.W_MPLS]!;
    const value = this.flow[L.W_MPLS]!;
    if (mask >>> 12 !== 0) this.item(`mpls_label=${value >>> 12}`);
    if ((mask & 0xe00) !== 0) this.item(`mpls_tc=${(value >>> 9) & 7}`);
    if ((mask & 0xff) !== 0) this.item(`mpls_ttl=${value & 0xff}`);
    if ((mask & 0x100) !== 0) this.item(`mpls_bos=${(value >>> 8) & 1}`);
    for (let label = 1; label < 3; label++) {
      const bits = this.mask[L.W_MPLS + label]! >>> 0;
      if (bits === 0) continue;
      const lse = this.flow[L.W_MPLS + label]! >>> 0;
      const text = bits === 0xffffffff ? String(lse) : `0x${lse.toString(16)}/0x${bits.toString(16)}`;
      this.item(`mpls_lse${label}=${text}`);
    }
  }

  private nsh(): void {
    const flags = this.mask[L.W_NSH_BASE]! >>> 24;
    if (flags !== 0) {
      const value = this.flow[L.W_NSH_BASE]! >>> 24;
      const two = (n: number) => `0x${n.toString(16).padStart(2, "0")}`;
      this.item(flags === 0xff ? `nsh_flags=${value}` : `nsh_flags=${two(value)}/${two(flags)}`);
    }
    this.fields(NSH);
    if (this.mask[L.W_NSH_PATH]! >>> 8 !== 0) {
      this.item(`nsh_spi=0x${(this.flow[L.W_NSH_PATH]! >>> 8).toString(16)}`);
    }
    this.field("nsh_si", F.nsh_si);
    for (let i = 0; i < 4; i++) {
      const mask = this.mask[L.W_NSH_CONTEXT + i]! >>> 0;
      if (mask === 0) continue;
      const value = `0x${(this.flow[L.W_NSH_CONTEXT + i]! >>> 0).toString(16)}`;
      this.item(`nsh_c${i + 1}=${value}${mask === 0xffffffff ? "" : `/${hex(mask)}`}`);
    }
  }

  private transport(type: number): void {
    const exactProtocol = (this.mask[L.W_NW]! & 0xff) === 0xff;
    const protocol = exactProtocol ? this.flow[L.W_NW]! & 0xff : 0;
    if (type === ETH_TYPE_IPV4 && protocol === IPPROTO_ICMP) {
      this.icmp();
    } else if (type === ETH_TYPE_IPV6 && protocol === IPPROTO_ICMPV6) {
      this.icmp();
      this.field("nd_target", F.nd_target);
      this.field("nd_sll", F.arp_sha);
      this.field("nd_tll", F.arp_tha);
      if (this.mask[L.W_IGMP_ND_RESERVED] !== 0) this.field("nd_reserved", F.nd_reserved);
      this.field("nd_options_type", F.nd_options_type);
    } else {
      this.field("tp_src", F.tcp_src);
      this.field("tp_dst", F.tcp_dst);
    }
    const flags = this.mask[L.W_TCP_FLAGS]! & 0xfff;
    if (protocol === IPPROTO_TCP && flags !== 0) {
      this.item(`tcp_flags=${formatFlagsMasked(TCP_FLAGS, this.flow[L.W_TCP_FLAGS]! & 0xfff, flags)}`);
    }
  }

  private icmp(): void {
    const mask = this.mask[L.W_TP]!;
    const value = this.flow[L.W_TP]!;
    const print = (label: string, bits: number, of: number) => {
      if (bits === 0) return;
      this.item(bits === 0xffff ? `${label}=${of}` : `${label}=0x${of.toString(16)}/${hex(bits)}`);
    };
    print("icmp_type", mask >>> 16, value >>> 16);
    print("icmp_code", mask & 0xffff, value & 0xffff);
  }
}

/** Fields that are printed for a flow even when zero come from its protocol; the others when they are not zero. */
export function flowAsMatch(flow: L.Flow): Match {
  const mask = new Int32Array(L.FLOW_WORDS);
  const copy = new Int32Array(L.FLOW_WORDS);
  copy.set(flow.subarray(0, L.FLOW_WORDS));
  const set = (word: number, bits = -1) => {
    mask[word] = mask[word]! | bits;
  };
  set(L.W_IN_PORT);
  set(L.W_PACKET_TYPE);
  for (const word of [L.W_SKB_PRIORITY, L.W_PKT_MARK, L.W_RECIRC_ID, L.W_DP_HASH, L.W_CT_MARK, L.W_CONJ_ID]) {
    if (copy[word] !== 0) set(word);
  }
  if ((copy[L.W_CT_STATE_ZONE]! & 0xffff) !== 0) set(L.W_CT_STATE_ZONE, 0xffff);
  if (copy[L.W_CT_STATE_ZONE]! >>> 16 !== 0) set(L.W_CT_STATE_ZONE, 0xffff0000 | 0);
  const range = (from: number, to: number) => {
    let any = 0;
    for (let word = from; word < to; word++) any |= copy[word]!;
    if (any !== 0) for (let word = from; word < to; word++) set(word);
  };
  range(L.W_CT_LABEL, L.W_CT_LABEL + 4);
  range(L.W_CT_NW_SRC, L.W_CT_NW_DST + 1);
  range(L.W_CT_IPV6_SRC, L.W_CT_IPV6_DST + 4);
  if (copy[L.W_CT_NW_PROTO] !== 0) {
    set(L.W_CT_NW_PROTO, 0xff);
    set(L.W_CT_TP);
  }
  for (let word = L.W_REG0; word < L.W_REG0 + 32; word++) if (copy[word] !== 0) set(word);
  range(L.W_METADATA_HI, L.W_METADATA_LO + 1);
  if (copy[L.W_ACTSET_OUTPUT] !== 0 && copy[L.W_ACTSET_OUTPUT] !== 0xfff7) set(L.W_ACTSET_OUTPUT);
  tunnelMask(copy, set, range);
  headerMask(copy, set, range);
  return { flow: copy, mask, tunMetadata: undefined };
}

function tunnelMask(
  flow: L.Flow,
  set: (word: number, bits?: number) => void,
  range: (from: number, to: number) => void,
): void {
  const v4 = (flow[L.W_TUN_SRC]! | flow[L.W_TUN_DST]!) !== 0;
  let v6 = 0;
  for (let word = L.W_TUN_IPV6_SRC; word < L.W_TUN_IPV6_DST + 4; word++) v6 |= flow[word]!;
  if (!v4 && v6 === 0) {
    range(L.W_TUN_ID_HI, L.W_TUN_ID_LO + 1);
    return;
  }
  set(L.W_TUN_ID_HI);
  set(L.W_TUN_ID_LO);
  if (v4) {
    set(L.W_TUN_SRC);
    set(L.W_TUN_DST);
  }
  if (v6 !== 0) for (let word = L.W_TUN_IPV6_SRC; word < L.W_TUN_IPV6_DST + 4; word++) set(word);
  set(L.W_TUN_FLAGS_TOS_TTL);
  for (const word of [L.W_TUN_GBP, L.W_TUN_GTPU, L.W_TUN_ERSPAN, L.W_TUN_ERSPAN_IDX])
    if (flow[word] !== 0) set(word);
}

function headerMask(
  flow: L.Flow,
  set: (word: number, bits?: number) => void,
  _range: (from: number, to: number) => void,
): void {
  const packetType = flow[L.W_PACKET_TYPE]!;
  if (packetType === 0) {
    for (const word of [L.W_ETH_DST_HI, L.W_ETH_DST_SRC, L.W_ETH_SRC_LO]) set(word);
    set(L.W_ETH_TYPE, 0xffff);
    set(L.W_VLAN0, 0xffff);
    if (flow[L.W_VLAN0] !== 0) set(L.W_VLAN1, 0xffff);
  }
  const type = flow[L.W_ETH_TYPE]! & 0xffff;
  const protocol = flow[L.W_NW]! & 0xff;
  if (type === ETH_TYPE_IPV4 || type === ETH_TYPE_IPV6) {
    if (type === ETH_TYPE_IPV4) for (const word of [L.W_IPV4_SRC, L.W_IPV4_DST]) set(word);
    else for (let word = L.W_IPV6_SRC; word <= L.W_IPV6_LABEL; word++) set(word);
    set(L.W_NW);
    const later = (flow[L.W_NW]! >>> 24) & L.FLOW_NW_FRAG_LATER;
    if (later !== 0) return;
    if ([IPPROTO_TCP, 17, 132, IPPROTO_ICMP, 2, IPPROTO_ICMPV6].includes(protocol)) set(L.W_TP);
    if (protocol === IPPROTO_TCP) set(L.W_TCP_FLAGS, 0xfff);
    if (protocol === IPPROTO_ICMPV6 && type === ETH_TYPE_IPV6) {
      const kind = flow[L.W_TP]! >>> 16;
      if ((flow[L.W_TP]! & 0xffff) === 0 && (kind === 135 || kind === 136)) {
        for (let word = L.W_ND_TARGET; word < L.W_ND_TARGET + 4; word++) set(word);
        for (const word of [L.W_ARP_SHA_HI, L.W_ARP_SHA_THA, L.W_ARP_THA_LO]) set(word);
      }
    }
  } else if (type === ETH_TYPE_ARP || type === ETH_TYPE_RARP) {
    for (const word of [L.W_IPV4_SRC, L.W_IPV4_DST, L.W_ARP_SHA_HI, L.W_ARP_SHA_THA, L.W_ARP_THA_LO])
      set(word);
    set(L.W_NW, 0xff);
  } else if (isMplsType(type)) {
    for (let label = 0; label < 3; label++) {
      set(L.W_MPLS + label);
      if ((flow[L.W_MPLS + label]! & 0x100) !== 0) break;
    }
  } else if (type === ETH_TYPE_NSH) {
    set(L.W_NSH_BASE);
    set(L.W_NSH_PATH);
    if (((flow[L.W_NSH_BASE]! >>> 8) & 0xff) === 1) for (let i = 0; i < 4; i++) set(L.W_NSH_CONTEXT + i);
    set(L.W_NW);
  }
}
