/**
 * Where the headers of a frame begin, for actions that change them. Hot path. Offsets are indices into `packet.data`;
 * every one of them has been checked against the frame's end.
 */
import {
  ETH_TYPE_IPV4,
  ETH_TYPE_IPV6,
  ETH_TYPE_VLAN_8021AD,
  ETH_TYPE_VLAN_8021Q,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
} from "../../flow/packet/ethernet.ts";
import type { Packet } from "../packet.ts";

export interface Headers {
  /** Ethernet type after the tags; 0 when the frame is too short. */
  ethType: number;
  /** Start of the network header; the end of the frame when there is none. */
  l3: number;
  /** Protocol of the transport header at `l4`; 0 when there is none (also in later fragments). */
  proto: number;
  /** Start of the transport header, the end of the frame when there is none. */
  l4: number;
  /** Of the IP datagram, of the frame where there is none: what follows in a short frame is padding. */
  end: number;
}

export function makeHeaders(): Headers {
  return { ethType: 0, l3: 0, proto: 0, l4: 0, end: 0 };
}

export function read16(data: Uint8Array, at: number): number {
  return (data[at]! << 8) | data[at + 1]!;
}

export function read32(data: Uint8Array, at: number): number {
  return (data[at]! << 24) | (data[at + 1]! << 16) | (data[at + 2]! << 8) | data[at + 3]!;
}

export function write16(data: Uint8Array, at: number, value: number): void {
  data[at] = value >>> 8;
  data[at + 1] = value;
}

export function write32(data: Uint8Array, at: number, value: number): void {
  data[at] = value >>> 24;
  data[at + 1] = value >>> 16;
  data[at + 2] = value >>> 8;
  data[at + 3] = value;
}

/** Shortest transport header that actions touch: up to and with its checksum where it has one. */
function leastTransport(proto: number): number {
  switch (proto) {
    case IPPROTO_TCP:
      return 20;
    case IPPROTO_SCTP:
      return 12;
    case IPPROTO_UDP:
      return 8;
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
      return 4;
    default:
      return 0;
  }
}

export function findHeaders(packet: Packet, out: Headers): void {
  const data = packet.data;
  const end = packet.offset + packet.length;
  out.ethType = 0;
  out.l3 = end;
  out.proto = 0;
  out.l4 = end;
  out.end = end;
  if (packet.length < 14) return;
  let at = packet.offset + 12;
  let type = read16(data, at);
  for (let tags = 0; tags < 2 && (type === ETH_TYPE_VLAN_8021Q || type === ETH_TYPE_VLAN_8021AD); tags++) {
    if (at + 6 > end) return;
    at += 4;
    type = read16(data, at);
  }
  at += 2;
  if (type < 0x600) {
    // 802.2 LLC with SNAP, organization 0: the type follows.
    if (at + 8 > end || read32(data, at) !== (0xaaaa0300 | 0) || read16(data, at + 4) !== 0) return;
    type = read16(data, at + 6);
    at += 8;
  }
  out.ethType = type;
  out.l3 = at;
  if (type === ETH_TYPE_IPV4) findIpv4(data, at, end, out);
  else if (type === ETH_TYPE_IPV6) findIpv6(data, at, end, out);
}

/** The IP packet under a label stack, whose first four bits say which (RFC 4928 section 3). */
export function findUnderLabels(packet: Packet, out: Headers): void {
  const { data } = packet;
  const end = packet.offset + packet.length;
  let at = out.l3;
  let bottom = false;
  for (; !bottom && at + 4 <= end; at += 4) bottom = (data[at + 2]! & 1) !== 0;
  const version = bottom && at < end ? data[at]! >>> 4 : 0;
  if (version !== 4 && version !== 6) return;
  out.ethType = version === 4 ? ETH_TYPE_IPV4 : ETH_TYPE_IPV6;
  out.l3 = at;
  if (version === 4) findIpv4(data, at, end, out);
  else findIpv6(data, at, end, out);
}

function findIpv4(data: Uint8Array, at: number, end: number, out: Headers): void {
  const length = (data[at]! & 15) * 4;
  if (at + 20 > end || length < 20 || at + length > end) {
    out.ethType = 0;
    return;
  }
  end = datagramEnd(at, read16(data, at + 2), length, end);
  out.end = end;
  // A later fragment has no transport header.
  if ((read16(data, at + 6) & 0x1fff) !== 0) return;
  setTransport(data[at + 9]!, at + length, end, out);
}

/** A length shorter than `least` is none: packets that are cut up later, or a lie. */
function datagramEnd(at: number, length: number, least: number, end: number): number {
  return length < least || at + length > end ? end : at + length;
}

function findIpv6(data: Uint8Array, at: number, end: number, out: Headers): void {
  if (at + 40 > end) {
    out.ethType = 0;
    return;
  }
  let next = data[at + 6]!;
  end = datagramEnd(at, read16(data, at + 4) + 40, 41, end);
  out.end = end;
  at += 40;
  for (;;) {
    if (next === 0 || next === 43 || next === 60 || next === 135) {
      if (at + 8 > end) return;
      next = data[at]!;
      at += (data[at + 1]! + 1) * 8;
    } else if (next === 51) {
      if (at + 8 > end) return;
      next = data[at]!;
      at += (data[at + 1]! + 2) * 4;
    } else if (next === 44) {
      if (at + 8 > end || (read16(data, at + 2) & 0xfff8) !== 0) return;
      next = data[at]!;
      at += 8;
    } else break;
    if (at > end) return;
  }
  setTransport(next, at, end, out);
}

function setTransport(proto: number, at: number, end: number, out: Headers): void {
  const least = leastTransport(proto);
  if (least === 0 || at + least > end) return;
  out.proto = proto;
  out.l4 = at;
}
