/**
 * A flow as a packet: headers from the flow's values, valid checksums, and a payload of counting bytes. What a flow does
 * not tell (sequence numbers, identification) is zero. Used where people give a flow and a packet is needed.
 */
import { checksum, checksumAdd, checksumFinish } from "../lib/checksum.ts";
import * as L from "./layout.ts";
import {
  ETH_TYPE_ARP,
  ETH_TYPE_IPV4,
  ETH_TYPE_IPV6,
  ETH_TYPE_NSH,
  ETH_TYPE_RARP,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_IGMP,
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  isMplsType,
} from "./packet/ethernet.ts";

export interface ComposeOptions {
  /** What follows the transport header; default 64 bytes 0, 1, 2, …. TCP segments with SYN, FIN or RST and ICMP other than echoes have none. */
  readonly payload?: Uint8Array | undefined;
  /** Makes the frame this long, if headers and a given payload are not longer already. */
  readonly totalLength?: number | undefined;
  /** Makes the checksum of the IPv4 header wrong on purpose (`--bad-csum`). */
  readonly badChecksum?: boolean | undefined;
}

const DEFAULT_PAYLOAD = Uint8Array.from({ length: 64 }, (_, i) => i);
const MF = 0x2000;
/** Where a later fragment claims to start, in units of 8 bytes. */
const LATER_OFFSET = 100;
const TCP_SYN_FIN_RST = 0x07;

export function composePacket(flow: L.Flow, options: ComposeOptions = {}): Uint8Array {
  if (options.totalLength === undefined) return new Composer(flow, options, 0).run();
  const bare = { ...options, payload: options.payload ?? new Uint8Array(0) };
  const frame = new Composer(flow, bare, 0).run();
  const missing = options.totalLength - frame.length;
  return missing > 0 ? new Composer(flow, bare, missing).run() : frame;
}

class Composer {
  readonly #flow: L.Flow;
  readonly #options: ComposeOptions;
  /** Bytes to add to the payload. */
  readonly #more: number;
  #bytes = new Uint8Array(256);
  #length = 0;

  constructor(flow: L.Flow, options: ComposeOptions, more: number) {
    this.#flow = flow;
    this.#options = options;
    this.#more = more;
  }

  run(): Uint8Array {
    const flow = this.#flow;
    const packetType = flow[L.W_PACKET_TYPE]!;
    let type = flow[L.W_ETH_TYPE]! & 0xffff;
    let lengthAt = -1;
    if (packetType === 0) {
      this.#u32(flow[L.W_ETH_DST_HI]!);
      this.#u32(flow[L.W_ETH_DST_SRC]!);
      this.#u32(flow[L.W_ETH_SRC_LO]!);
      for (const word of [L.W_VLAN0, L.W_VLAN1]) {
        const tag = flow[word]!;
        if ((tag & L.VLAN_CFI) === 0) break;
        this.#u16(tag >>> 16 || 0x8100);
        this.#u16(tag & 0xffff & ~L.VLAN_CFI);
      }
      if (type === L.FLOW_DL_TYPE_NONE) {
        lengthAt = this.#length;
        this.#u16(0);
      } else {
        this.#u16(type);
      }
    } else if (packetType >>> 16 === 1) {
      type = packetType & 0xffff;
    }
    this.#network(type);
    const bytes = this.#bytes.slice(0, this.#length);
    // 802.3: a length instead of a type. The original counts the header in.
    if (lengthAt >= 0) {
      bytes[lengthAt] = bytes.length >> 8;
      bytes[lengthAt + 1] = bytes.length & 0xff;
    }
    return bytes;
  }

  #network(type: number): void {
    if (type === ETH_TYPE_IPV4) this.#ipv4();
    else if (type === ETH_TYPE_IPV6) this.#ipv6();
    else if (type === ETH_TYPE_ARP || type === ETH_TYPE_RARP) this.#arp();
    else if (isMplsType(type)) this.#mpls();
    else if (type === ETH_TYPE_NSH) this.#nsh();
    else this.#fill(this.#more);
  }

  #ipv4(): void {
    const flow = this.#flow;
    const at = this.#length;
    const nw = flow[L.W_NW]!;
    const frag = nw >>> 24;
    this.#u16(0x4500 | ((nw >>> 8) & 0xff));
    this.#u32(0); // length, identification
    const later = (frag & L.FLOW_NW_FRAG_LATER) !== 0;
    this.#u16((frag & L.FLOW_NW_FRAG_ANY) === 0 ? 0 : later ? MF | LATER_OFFSET : MF);
    this.#u8((nw >>> 16) & 0xff);
    this.#u8(nw & 0xff);
    this.#u16(0);
    this.#u32(flow[L.W_IPV4_SRC]!);
    this.#u32(flow[L.W_IPV4_DST]!);
    if (later) this.#fill(this.#more);
    else this.#transport(nw & 0xff, at + 12, 8, false);
    this.#set16(at + 2, this.#length - at);
    const sum = checksum(this.#bytes, at, 20);
    this.#set16(at + 10, this.#options.badChecksum ? (sum + 0x100) & 0xffff : sum);
  }

  #ipv6(): void {
    const flow = this.#flow;
    const at = this.#length;
    const nw = flow[L.W_NW]!;
    this.#u32((6 << 28) | (((nw >>> 8) & 0xff) << 20) | (flow[L.W_IPV6_LABEL]! & 0xfffff));
    this.#u16(0);
    this.#u8(nw & 0xff);
    this.#u8((nw >>> 16) & 0xff);
    for (let word = L.W_IPV6_SRC; word < L.W_IPV6_DST + 4; word++) this.#u32(flow[word]!);
    if (((nw >>> 24) & L.FLOW_NW_FRAG_LATER) !== 0) this.#fill(this.#more);
    else this.#transport(nw & 0xff, at + 8, 32, true);
    this.#set16(at + 4, this.#length - at - 40);
  }

  /** `addresses`: where source and destination lie, `size` bytes together, for the pseudo header. */
  #transport(protocol: number, addresses: number, size: number, isV6: boolean): void {
    const flow = this.#flow;
    const at = this.#length;
    const ports = flow[L.W_TP]!;
    const pseudo = () => checksumAdd(protocol + (this.#length - at), this.#bytes, addresses, size);
    switch (protocol) {
      case IPPROTO_TCP: {
        const flags = flow[L.W_TCP_FLAGS]! & 0xfff;
        this.#u32(ports);
        this.#fill(8);
        this.#u16(0x5000 | flags);
        this.#fill(6);
        if ((flags & TCP_SYN_FIN_RST) === 0) this.#payload();
        else this.#fill(this.#more);
        this.#sum(at, at + 16, pseudo());
        return;
      }
      case IPPROTO_UDP:
        this.#u32(ports);
        this.#u32(0);
        this.#payload();
        this.#set16(at + 4, this.#length - at);
        this.#sum(at, at + 6, pseudo());
        if (this.#bytes[at + 6] === 0 && this.#bytes[at + 7] === 0) this.#set16(at + 6, 0xffff);
        return;
      case IPPROTO_SCTP:
        this.#u32(ports);
        this.#fill(8 + this.#more);
        return;
      case IPPROTO_ICMP:
        if (isV6) break;
        this.#icmp();
        if (ports >>> 16 === 8 || ports >>> 16 === 0) this.#payload();
        else this.#fill(this.#more);
        this.#sum(at, at + 2, 0);
        return;
      case IPPROTO_IGMP:
        if (isV6) break;
        this.#icmp(flow[L.W_IGMP_ND_RESERVED]!);
        this.#fill(this.#more);
        this.#sum(at, at + 2, 0);
        return;
      case IPPROTO_ICMPV6:
        if (!isV6) break;
        this.#icmpv6();
        this.#sum(at, at + 2, pseudo());
        return;
    }
    this.#fill(this.#more);
  }

  /** Type, code, an empty checksum and a word. */
  #icmp(rest = 0): void {
    const ports = this.#flow[L.W_TP]!;
    this.#u8((ports >>> 16) & 0xff);
    this.#u8(ports & 0xff);
    this.#u16(0);
    this.#u32(rest);
  }

  #icmpv6(): void {
    const flow = this.#flow;
    const kind = flow[L.W_TP]! >>> 16;
    const code = flow[L.W_TP]! & 0xffff;
    if (code !== 0 || (kind !== 135 && kind !== 136)) {
      this.#icmp();
      if (kind === 128 || kind === 129) this.#payload();
      else this.#fill(this.#more);
      return;
    }
    this.#icmp(flow[L.W_IGMP_ND_RESERVED]!);
    for (let i = 0; i < 4; i++) this.#u32(flow[L.W_ND_TARGET + i]!);
    const option = flow[L.W_TCP_FLAGS]! >>> 16;
    const middle = flow[L.W_ARP_SHA_THA]!;
    if (kind === 135 && (option === 1 || (flow[L.W_ARP_SHA_HI]! | (middle >>> 16)) !== 0)) {
      this.#u16(0x0101);
      this.#u32(flow[L.W_ARP_SHA_HI]!);
      this.#u16(middle >>> 16);
    }
    if (kind === 136 && (option === 2 || ((middle & 0xffff) | flow[L.W_ARP_THA_LO]!) !== 0)) {
      this.#u16(0x0201);
      this.#u16(middle & 0xffff);
      this.#u32(flow[L.W_ARP_THA_LO]!);
    }
    this.#fill(this.#more);
  }

  /** Addresses are filled in for requests and replies only, as the original does. */
  #arp(): void {
    const flow = this.#flow;
    const opcode = flow[L.W_NW]! & 0xff;
    this.#u32(0x00010800);
    this.#u16(0x0604);
    this.#u16(opcode);
    if (opcode === 1 || opcode === 2) {
      this.#u32(flow[L.W_ARP_SHA_HI]!);
      this.#u16(flow[L.W_ARP_SHA_THA]! >>> 16);
      this.#u32(flow[L.W_IPV4_SRC]!);
      this.#u16(flow[L.W_ARP_SHA_THA]! & 0xffff);
      this.#u32(flow[L.W_ARP_THA_LO]!);
      this.#u32(flow[L.W_IPV4_DST]!);
    } else {
      this.#fill(20);
    }
    this.#fill(this.#more);
  }

  #mpls(): void {
    for (let label = 0; label < 3; label++) {
      const lse = this.#flow[L.W_MPLS + label]!;
      this.#u32(lse);
      if ((lse & 0x100) !== 0) break;
    }
    this.#fill(this.#more);
  }

  #nsh(): void {
    const flow = this.#flow;
    const base = flow[L.W_NSH_BASE]!;
    const type = (base >>> 8) & 0xff;
    const words = type === 1 ? 6 : 2;
    this.#u16((((base >>> 24) & 3) << 12) | (((base >>> 16) & 0x3f) << 6) | words);
    this.#u8(type);
    this.#u8(base & 0xff);
    this.#u32(flow[L.W_NSH_PATH]!);
    if (type === 1) for (let i = 0; i < 4; i++) this.#u32(flow[L.W_NSH_CONTEXT + i]!);
    this.#fill(this.#more);
  }

  #payload(): void {
    const payload = this.#options.payload ?? DEFAULT_PAYLOAD;
    this.#reserve(payload.length);
    this.#bytes.set(payload, this.#length);
    this.#length += payload.length;
    this.#fill(this.#more);
  }

  #sum(at: number, where: number, pseudo: number): void {
    this.#set16(where, checksumFinish(checksumAdd(pseudo, this.#bytes, at, this.#length - at)));
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + more));
    grown.set(this.#bytes);
    this.#bytes = grown;
  }

  #fill(count: number): void {
    this.#reserve(count);
    this.#length += count;
  }

  #u8(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  #u16(value: number): void {
    this.#u8(value >>> 8);
    this.#u8(value & 0xff);
  }

  #u32(value: number): void {
    this.#u16(value >>> 16);
    this.#u16(value & 0xffff);
  }

  #set16(at: number, value: number): void {
    this.#bytes[at] = value >>> 8;
    this.#bytes[at + 1] = value & 0xff;
  }
}
