/**
 * Joins TCP segments that leave by one port in one batch into a frame that stands for them all (GSO), so that the
 * kernel sends and the receiver takes them in one piece (the kernel does the same on receive: GRO). Hot path.
 *
 * Why? With offloads off each 1500-byte frame costs the sending system call's share, a walk through the receiver's
 * stack and an acknowledgement. Nothing is copied: the joined frame is a list of pieces, headers in a buffer of their own and
 * the payloads where they lie.
 *
 * Only what can be cut apart again into the very same frames is joined: headers equal but for sequence number, IPv4
 * identification (counting up) and PSH on the last; all payloads as long as the first but the last; no flags but ACK and
 * PSH; every checksum verified, unless the kernel vouches for it. A frame with anything unusual stays alone and, when
 * it belongs to the same connection, ends the list, so that a connection's frames stay in order.
 */

import { checksumAdd, checksumFinish } from "../../lib/checksum.ts";
import {
  GSO_NONE,
  GSO_TCPV4,
  GSO_TCPV6,
  type Packet,
  VNET_DATA_VALID,
  VNET_HEADER_LENGTH,
  VNET_NEEDS_CSUM,
} from "../packet.ts";
import { read16, read32, write16 } from "./headers.ts";

const ETH = 14;
const TCP_ACK = 0x10;
const TCP_PSH = 0x08;
const IPPROTO_TCP = 6;
/** Longest joined frame. */
const LONGEST = 65000;
/** Most segments in one. */
export const SEGMENTS_MAX = 46;
/** Bytes of virtio header and frame headers: 14 + 40 + 60 at most. */
export const JOINED_HEADER_ROOM = 128;

/** What {@link TcpJoin.add} says. */
export const JOIN_OTHER = 0;
export const JOIN_ADDED = 1;
export const JOIN_ENDED = 2;

let words16: Uint16Array = new Uint16Array(0);

/** One's complement sum of bytes, `at` and the memory's start being even; as 16 bits in network order. */
function sumBytes(data: Uint8Array, at: number, length: number): number {
  if (words16.buffer !== data.buffer) words16 = new Uint16Array(data.buffer, 0, data.buffer.byteLength >> 1);
  const words = words16;
  let i = (at + data.byteOffset) >> 1;
  const end = i + (length >> 1);
  let a = 0;
  let b = 0;
  // At most 2^15 words of 2^16: no overflow of 31 bits. Two sums, as each addition waits for the one before.
  for (; i + 3 < end; i += 4) {
    a = (a + words[i]! + words[i + 1]!) | 0;
    b = (b + words[i + 2]! + words[i + 3]!) | 0;
  }
  for (; i < end; i++) a = (a + words[i]!) | 0;
  let sum = (a >>> 0) + (b >>> 0);
  if ((length & 1) !== 0) sum += data[at + length - 1]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  // Read in the machine's order (little-endian): swapping the sum is swapping each word (RFC 1071).
  return ((sum & 0xff) << 8) | (sum >>> 8);
}

/** One list under way. */
export class TcpJoin {
  active = false;
  /** Segments in the list. */
  count = 0;
  /** The message of the port's queue that it is. */
  message = 0;
  // The first frame.
  private data: Uint8Array = new Uint8Array(0);
  private at = 0;
  private l4 = 0;
  /** Ethernet, IP and TCP headers. */
  headerLength = 0;
  private mss = 0;
  private nextSequence = 0;
  private total = 0;
  private trusted = false;
  private lastFlags = 0;
  private firstLength = 0;

  /** Bytes of payload of the frame that was added or began the list. */
  payloadLength = 0;

  /** Begins a list with a frame that has been queued as it is; false when it is not the beginning of one. */
  start(packet: Packet, message: number): boolean {
    const { data, offset, length } = packet;
    if (packet.gsoType !== GSO_NONE || ((offset + data.byteOffset) & 1) !== 0) return false;
    const type = read16(data, offset + 12);
    let l4: number;
    const l3 = offset + ETH;
    if (type === 0x0800) {
      // No options, no fragment, no padding.
      if (data[l3] !== 0x45 || (read16(data, l3 + 6) & 0x3fff) !== 0 || data[l3 + 9] !== IPPROTO_TCP)
        return false;
      if (read16(data, l3 + 2) !== length - ETH) return false;
      l4 = l3 + 20;
    } else if (type === 0x86dd) {
      if (data[l3 + 6] !== IPPROTO_TCP || read16(data, l3 + 4) !== length - ETH - 40) return false;
      l4 = l3 + 40;
    } else return false;
    if (data[l4 + 13] !== TCP_ACK) return false;
    const headerLength = l4 - offset + (data[l4 + 12]! >>> 4) * 4;
    const payload = length - headerLength;
    if (headerLength < l4 - offset + 20 || payload <= 0) return false;
    const partial = (packet.vnetFlags & VNET_NEEDS_CSUM) !== 0;
    if (partial && packet.csumStart !== l4 - offset) return false;
    this.trusted = partial || (packet.vnetFlags & VNET_DATA_VALID) !== 0;
    this.active = true;
    this.count = 1;
    this.message = message;
    this.data = data;
    this.at = offset;
    this.l4 = l4;
    this.headerLength = headerLength;
    this.mss = payload;
    this.total = payload;
    this.nextSequence = (read32(data, l4 + 4) + payload) | 0;
    this.lastFlags = TCP_ACK;
    this.firstLength = length;
    this.payloadLength = payload;
    return true;
  }

  /** Takes a frame into the list (JOIN_ADDED), or says that it is none of its (JOIN_OTHER), or that the list ends. */
  add(packet: Packet): number {
    const mine = this.data;
    const { data, offset, length } = packet;
    const from = this.at;
    const l3 = this.l4 - from === ETH + 20 ? 20 : 40;
    const tcp = offset + ETH + l3;
    if (length < ETH + l3 + 20 || read16(data, offset + 12) !== read16(mine, from + 12)) return JOIN_OTHER;
    if (read32(data, tcp) !== read32(mine, this.l4)) return JOIN_OTHER;
    const addresses = l3 === 20 ? 12 : 8;
    for (let i = ETH + addresses; i < ETH + l3; i += 4) {
      if (read32(data, offset + i) !== read32(mine, from + i)) return JOIN_OTHER;
    }
    return this.fits(packet, l3, tcp) ? this.take(packet, tcp) : this.end();
  }

  private end(): number {
    this.active = false;
    return JOIN_ENDED;
  }

  private fits(packet: Packet, l3: number, tcp: number): boolean {
    const mine = this.data;
    const { data, offset, length } = packet;
    const from = this.at;
    if (packet.gsoType !== GSO_NONE || ((offset + data.byteOffset) & 1) !== 0) return false;
    const payload = length - this.headerLength;
    if (payload <= 0 || payload > this.mss || this.count >= SEGMENTS_MAX || this.total + length > LONGEST)
      return false;
    if (read32(data, tcp + 4) !== this.nextSequence) return false;
    for (let i = 0; i < ETH; i += 2) if (read16(data, offset + i) !== read16(mine, from + i)) return false;
    const ip = offset + ETH;
    const myIp = from + ETH;
    if (l3 === 20) {
      if (read16(data, ip) !== read16(mine, myIp) || read16(data, ip + 2) !== length - ETH) return false;
      if (read16(data, ip + 4) !== ((read16(mine, myIp + 4) + this.count) & 0xffff)) return false;
      if (read16(data, ip + 6) !== read16(mine, myIp + 6) || read16(data, ip + 8) !== read16(mine, myIp + 8))
        return false;
    } else {
      if (read32(data, ip) !== read32(mine, myIp) || read16(data, ip + 4) !== length - ETH - 40) return false;
      if (read16(data, ip + 6) !== read16(mine, myIp + 6)) return false;
    }
    // Acknowledgement; length and flags but for PSH; window; urgent pointer; options.
    if (read32(data, tcp + 8) !== read32(mine, this.l4 + 8)) return false;
    if (data[tcp + 12] !== mine[this.l4 + 12] || (data[tcp + 13]! & ~TCP_PSH) !== TCP_ACK) return false;
    if (read16(data, tcp + 14) !== read16(mine, this.l4 + 14) || read16(data, tcp + 18) !== 0) return false;
    const options = this.headerLength - ETH - l3;
    for (let i = 20; i < options; i += 4)
      if (read32(data, tcp + i) !== read32(mine, this.l4 + i)) return false;
    if (!this.trusted) {
      if (!verified(mine, from, this.firstLength, l3)) return false;
      this.trusted = true;
    }
    const partial = (packet.vnetFlags & VNET_NEEDS_CSUM) !== 0;
    if (partial) return packet.csumStart === tcp - offset;
    return (packet.vnetFlags & VNET_DATA_VALID) !== 0 || verified(data, offset, length, l3);
  }

  private take(packet: Packet, tcp: number): number {
    const payload = packet.length - this.headerLength;
    this.count++;
    this.total += payload;
    this.nextSequence = (this.nextSequence + payload) | 0;
    this.lastFlags = packet.data[tcp + 13]!;
    this.payloadLength = payload;
    // A shorter one or a pushed one is the last.
    if (payload < this.mss || (this.lastFlags & TCP_PSH) !== 0) this.active = false;
    return JOIN_ADDED;
  }

  /** Writes virtio header and frame headers of the whole to `out` from `to`: VNET_HEADER_LENGTH + headerLength bytes. */
  writeHeader(out: Uint8Array, to: number): void {
    const frame = to + VNET_HEADER_LENGTH;
    for (let i = 0; i < this.headerLength; i++) out[frame + i] = this.data[this.at + i]!;
    const ip = frame + ETH;
    const l4 = frame + (this.l4 - this.at);
    const tcpLength = this.headerLength - (this.l4 - this.at) + this.total;
    const isIpv4 = l4 - ip === 20;
    if (isIpv4) {
      write16(out, ip + 2, 20 + tcpLength);
      write16(out, ip + 10, 0);
      write16(out, ip + 10, checksumFinish(checksumAdd(0, out, ip, 20)));
    } else write16(out, ip + 4, tcpLength);
    out[l4 + 13] = this.lastFlags;
    // The pseudo header's sum, not complemented: the rest is added by whoever cuts or finishes the frame.
    const pseudo = isIpv4 ? checksumAdd(0, out, ip + 12, 8) : checksumAdd(0, out, ip + 8, 32);
    write16(out, l4 + 16, ~checksumFinish(pseudo + IPPROTO_TCP + tcpLength));
    out[to] = VNET_NEEDS_CSUM;
    out[to + 1] = isIpv4 ? GSO_TCPV4 : GSO_TCPV6;
    little16(out, to + 2, this.headerLength);
    little16(out, to + 4, this.mss);
    little16(out, to + 6, l4 - frame);
    little16(out, to + 8, 16);
  }
}

function little16(out: Uint8Array, at: number, value: number): void {
  out[at] = value;
  out[at + 1] = value >>> 8;
}

/** True when the checksums of a frame's IP and TCP headers are right. */
function verified(data: Uint8Array, offset: number, length: number, l3: number): boolean {
  const ip = offset + ETH;
  if (l3 === 20 && sumBytes(data, ip, 20) !== 0xffff) return false;
  const addresses = l3 === 20 ? 12 : 8;
  // Addresses and TCP lie side by side.
  const covered = sumBytes(data, ip + addresses, length - ETH - addresses);
  const sum = covered + IPPROTO_TCP + (length - ETH - l3);
  return ((sum & 0xffff) + (sum >>> 16)) % 0xffff === 0;
}
