/**
 * ODP_SET: writes header bits of one word of the flow layout into a frame, with the checksums that cover them
 * (RFC 1624). Hot path.
 *
 * Under a partial checksum (VNET_NEEDS_CSUM) the transport checksum field holds the uncomplemented sum of the pseudo
 * header alone, and whoever finishes it adds everything from csumStart on. So a change of an address changes that sum,
 * and a change of a port changes nothing.
 */

import {
  W_ARP_SHA_HI,
  W_ARP_SHA_THA,
  W_ARP_THA_LO,
  W_ETH_DST_HI,
  W_ETH_SRC_LO,
  W_IPV4_DST,
  W_IPV4_SRC,
  W_IPV6_DST,
  W_IPV6_LABEL,
  W_IPV6_SRC,
  W_MPLS,
  W_ND_TARGET,
  W_NW,
  W_TP,
  W_VLAN0,
  W_VLAN1,
} from "../../flow/layout.ts";
import {
  ETH_TYPE_ARP,
  ETH_TYPE_IPV4,
  ETH_TYPE_IPV6,
  ETH_TYPE_RARP,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  isMplsType,
  isVlanType,
} from "../../flow/packet/ethernet.ts";
import { checksumUpdate16, checksumUpdate32 } from "../../lib/checksum.ts";
import { type Packet, VNET_NEEDS_CSUM } from "../packet.ts";
import { crc32c } from "./crc32c.ts";
import { findHeaders, makeHeaders, read16, read32, write16, write32 } from "./headers.ts";

const headers = makeHeaders();

/** Index of the transport checksum, -1 when there is none to keep. */
function transportChecksum(data: Uint8Array, partial: boolean): number {
  switch (headers.proto) {
    case IPPROTO_TCP:
      return headers.l4 + 16;
    case IPPROTO_UDP:
      // 0 on the wire means "no checksum" (RFC 768).
      return partial || read16(data, headers.l4 + 6) !== 0 ? headers.l4 + 6 : -1;
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
      return headers.l4 + 2;
    default:
      return -1;
  }
}

/** True when the transport checksum is still to be finished. */
function isPartial(packet: Packet): boolean {
  return (packet.vnetFlags & VNET_NEEDS_CSUM) !== 0 && packet.offset + packet.csumStart === headers.l4;
}

/** A 32-bit change of what the pseudo header covers. */
function fixPseudo(packet: Packet, before: number, after: number): void {
  const data = packet.data;
  const partial = isPartial(packet);
  const at = transportChecksum(data, partial);
  if (at < 0 || headers.proto === IPPROTO_ICMP) return;
  const field = read16(data, at);
  if (partial) write16(data, at, ~checksumUpdate32(~field & 0xffff, before, after));
  else storeTransport(data, at, checksumUpdate32(field, before, after));
}

/** A 32-bit change of what the transport checksum covers by itself. */
function fixTransport(packet: Packet, before: number, after: number): void {
  const data = packet.data;
  if (isPartial(packet)) return;
  const at = transportChecksum(data, false);
  if (at >= 0) storeTransport(data, at, checksumUpdate32(read16(data, at), before, after));
}

function storeTransport(data: Uint8Array, at: number, sum: number): void {
  write16(data, at, sum === 0 && headers.proto === IPPROTO_UDP ? 0xffff : sum);
}

function merge(before: number, value: number, mask: number): number {
  return (before & ~mask) | (value & mask);
}

/** Sets header bits; a header that the frame lacks is left alone. Metadata words are no business of this function. */
export function setField(packet: Packet, word: number, value: number, mask: number): void {
  const data = packet.data;
  if (word >= W_ETH_DST_HI && word <= W_ETH_SRC_LO) {
    if (packet.length < 14) return;
    const at = packet.offset + (word - W_ETH_DST_HI) * 4;
    write32(data, at, merge(read32(data, at), value, mask));
    return;
  }
  if (word === W_VLAN0 || word === W_VLAN1) {
    setVlan(packet, word - W_VLAN0, value, mask);
    return;
  }
  findHeaders(packet, headers);
  if (word >= W_IPV6_SRC && word < W_IPV6_DST + 4) {
    if (headers.ethType !== ETH_TYPE_IPV6) return;
    const at = headers.l3 + 8 + (word - W_IPV6_SRC) * 4;
    const before = read32(data, at);
    const after = merge(before, value, mask);
    write32(data, at, after);
    fixPseudo(packet, before, after);
    return;
  }
  if (word >= W_ND_TARGET && word < W_ND_TARGET + 4) {
    if (headers.proto !== IPPROTO_ICMPV6 || headers.l4 + 24 > headers.end) return;
    setCovered(packet, headers.l4 + 8 + (word - W_ND_TARGET) * 4, value, mask);
    return;
  }
  if (word >= W_MPLS && word < W_MPLS + 3) {
    if (!isMplsType(headers.ethType)) return;
    const at = headers.l3 + (word - W_MPLS) * 4;
    if (at + 4 <= headers.end) write32(data, at, merge(read32(data, at), value, mask));
    return;
  }
  switch (word) {
    case W_IPV4_SRC:
    case W_IPV4_DST:
      setIpv4(packet, word === W_IPV4_SRC ? 0 : 1, value, mask);
      break;
    case W_NW:
      setNetwork(packet, value, mask);
      break;
    case W_IPV6_LABEL:
      if (headers.ethType !== ETH_TYPE_IPV6) return;
      write32(data, headers.l3, merge(read32(data, headers.l3), value, mask & 0xfffff));
      break;
    case W_TP:
      setPorts(packet, value, mask);
      break;
    case W_ARP_SHA_HI:
    case W_ARP_SHA_THA:
    case W_ARP_THA_LO:
      setLinkAddress(packet, word, value, mask);
      break;
    default:
      break;
  }
}

function setVlan(packet: Packet, tag: number, value: number, mask: number): void {
  const data = packet.data;
  const at = packet.offset + 12 + tag * 4;
  if (packet.length < 18 + tag * 4) return;
  if (!isVlanType(read16(data, packet.offset + 12)) || !isVlanType(read16(data, at))) return;
  // Bit 12 says in a key that there is a tag; in the frame it is the drop eligible indicator, which stays.
  write32(data, at, merge(read32(data, at), value, mask & ~0x1000));
}

function setIpv4(packet: Packet, which: 0 | 1, value: number, mask: number): void {
  const data = packet.data;
  if (headers.ethType === ETH_TYPE_IPV4) {
    const at = headers.l3 + 12 + which * 4;
    const before = read32(data, at);
    const after = merge(before, value, mask);
    write32(data, at, after);
    const sum = headers.l3 + 10;
    write16(data, sum, checksumUpdate32(read16(data, sum), before, after));
    fixPseudo(packet, before, after);
  } else if (headers.ethType === ETH_TYPE_ARP || headers.ethType === ETH_TYPE_RARP) {
    const at = headers.l3 + 14 + which * 10;
    if (headers.l3 + 28 <= headers.end) write32(data, at, merge(read32(data, at), value, mask));
  }
}

/** The word of nw_proto, nw_tos and nw_ttl; nw_proto can be set for ARP alone, where it is the opcode. */
function setNetwork(packet: Packet, value: number, mask: number): void {
  const data = packet.data;
  const l3 = headers.l3;
  const tosMask = (mask >>> 8) & 0xff;
  const ttlMask = (mask >>> 16) & 0xff;
  if (headers.ethType === ETH_TYPE_IPV4) {
    const sum = l3 + 10;
    if (tosMask !== 0) {
      const before = read16(data, l3);
      data[l3 + 1] = merge(data[l3 + 1]!, value >>> 8, tosMask);
      write16(data, sum, checksumUpdate16(read16(data, sum), before, read16(data, l3)));
    }
    if (ttlMask !== 0) {
      const before = read16(data, l3 + 8);
      data[l3 + 8] = merge(data[l3 + 8]!, value >>> 16, ttlMask);
      write16(data, sum, checksumUpdate16(read16(data, sum), before, read16(data, l3 + 8)));
    }
  } else if (headers.ethType === ETH_TYPE_IPV6) {
    if (tosMask !== 0) {
      write32(data, l3, merge(read32(data, l3), ((value >>> 8) & 0xff) << 20, tosMask << 20));
    }
    if (ttlMask !== 0) data[l3 + 7] = merge(data[l3 + 7]!, value >>> 16, ttlMask);
  } else if (headers.ethType === ETH_TYPE_ARP || headers.ethType === ETH_TYPE_RARP) {
    if ((mask & 0xff) !== 0 && l3 + 28 <= headers.end) {
      write16(data, l3 + 6, merge(read16(data, l3 + 6), value, mask & 0xff));
    }
  }
}

/** A 32-bit word that the transport checksum covers. */
function setCovered(packet: Packet, at: number, value: number, mask: number): void {
  const before = read32(packet.data, at);
  const after = merge(before, value, mask);
  write32(packet.data, at, after);
  fixTransport(packet, before, after);
}

function setPorts(packet: Packet, value: number, mask: number): void {
  const data = packet.data;
  const l4 = headers.l4;
  switch (headers.proto) {
    case IPPROTO_TCP:
    case IPPROTO_UDP:
      setCovered(packet, l4, value, mask);
      break;
    case IPPROTO_SCTP: {
      // The wrong part of a checksum must stay wrong: only the difference is put in.
      const length = headers.end - l4;
      const stored = read32(data, l4 + 8);
      write32(data, l4 + 8, 0);
      const before = crc32c(data, l4, length);
      write32(data, l4, merge(read32(data, l4), value, mask));
      write32(data, l4 + 8, stored ^ before ^ crc32c(data, l4, length));
      break;
    }
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6: {
      // Type and code are a byte each, in the low halves of tp_src and tp_dst.
      const before = read16(data, l4);
      const wanted = (((value >>> 16) & 0xff) << 8) | (value & 0xff);
      const after = merge(before, wanted, (((mask >>> 16) & 0xff) << 8) | (mask & 0xff)) & 0xffff;
      write16(data, l4, after);
      fixTransport(packet, before, after);
      break;
    }
    default:
      break;
  }
}

/** arp_sha and arp_tha; in neighbour discovery the addresses in the options of types 1 and 2 (RFC 4861). */
function setLinkAddress(packet: Packet, word: number, value: number, mask: number): void {
  const data = packet.data;
  if (headers.ethType === ETH_TYPE_ARP || headers.ethType === ETH_TYPE_RARP) {
    if (headers.l3 + 28 > headers.end) return;
    const sha = headers.l3 + 8;
    const tha = headers.l3 + 18;
    if (word === W_ARP_SHA_HI) write32(data, sha, merge(read32(data, sha), value, mask));
    else if (word === W_ARP_THA_LO) write32(data, tha + 2, merge(read32(data, tha + 2), value, mask));
    else {
      write16(data, sha + 4, merge(read16(data, sha + 4), value >>> 16, mask >>> 16));
      write16(data, tha, merge(read16(data, tha), value, mask & 0xffff));
    }
    return;
  }
  if (headers.proto !== IPPROTO_ICMPV6) return;
  const type = data[headers.l4]!;
  if (type !== 135 && type !== 136) return;
  for (let at = headers.l4 + 24; at + 8 <= headers.end; ) {
    const length = data[at + 1]! * 8;
    if (length === 0 || at + length > headers.end) return;
    const option = data[at];
    if (option === 1 && word === W_ARP_SHA_HI) setCovered(packet, at + 2, value, mask);
    else if (option === 2 && word === W_ARP_THA_LO) setCovered(packet, at + 4, value, mask);
    else if (option === 1 && word === W_ARP_SHA_THA) setCovered(packet, at + 4, value >>> 16, mask >>> 16);
    else if (option === 2 && word === W_ARP_SHA_THA) setCovered(packet, at, value, mask & 0xffff);
    at += length;
  }
}
