/**
 * Finishing in software what a port cannot take: partial checksums, and frames that stand for many segments
 * (virtio 1.2, section 5.1.6.2). Used where a frame leaves the offloading world: a device or socket without a virtio
 * header, a frame that the kernel refuses, a packet on its way to a controller.
 */

import { ETH_TYPE_IPV4, IPPROTO_TCP, IPPROTO_UDP } from "../../flow/packet/ethernet.ts";
import { checksumAdd, checksumFinish } from "../../lib/checksum.ts";
import {
  GSO_ECN,
  GSO_NONE,
  GSO_TCPV4,
  GSO_TCPV6,
  GSO_UDP_L4,
  type Packet,
  VNET_NEEDS_CSUM,
} from "../packet.ts";
import { findHeaders, makeHeaders, read16, read32, write16, write32 } from "./headers.ts";
import { copyBytes, type Scratch } from "./scratch.ts";

const headers = makeHeaders();

/** Writes the transport checksum and clears NEEDS_CSUM. A frame whose offsets lie outside it is left as it is. */
export function finishChecksum(packet: Packet): void {
  if ((packet.vnetFlags & VNET_NEEDS_CSUM) === 0) return;
  packet.vnetFlags &= ~VNET_NEEDS_CSUM;
  const { data, offset, csumStart, csumOffset, length } = packet;
  const at = offset + csumStart + csumOffset;
  if (csumStart + csumOffset + 2 > length) return;
  const sum = checksumFinish(checksumAdd(0, data, offset + csumStart, length - csumStart));
  // Offset 6 is UDP's, where 0 on the wire means "none" (RFC 768).
  write16(data, at, sum === 0 && csumOffset === 6 ? 0xffff : sum);
}

/** Sum of the pseudo header for `length` bytes of transport header and payload (RFC 9293 section 3.1, RFC 8200 8.1). */
function pseudoSum(data: Uint8Array, l3: number, isIpv4: boolean, proto: number, length: number): number {
  return isIpv4
    ? checksumAdd(proto + length, data, l3 + 12, 8)
    : checksumAdd(proto + length, data, l3 + 8, 32);
}

/**
 * Cuts a frame into its segments, whole with checksums, and hands each to `send`, which may keep the memory until
 * the scratch's next flush.
 * @returns the number of segments; 0 when the frame cannot be cut (nothing was sent).
 */
export function segment(packet: Packet, scratch: Scratch, send: (segment: Packet) => void): number {
  const kind = packet.gsoType & ~GSO_ECN;
  findHeaders(packet, headers);
  const { l3, l4, proto, end } = headers;
  const isTcp = (kind === GSO_TCPV4 || kind === GSO_TCPV6) && proto === IPPROTO_TCP;
  const isUdp = kind === GSO_UDP_L4 && proto === IPPROTO_UDP;
  if ((!isTcp && !isUdp) || packet.gsoSize <= 0) return 0;
  const data = packet.data;
  const isIpv4 = headers.ethType === ETH_TYPE_IPV4;
  const payload = l4 + (isTcp ? (data[l4 + 12]! >>> 4) * 4 : 8);
  if (payload < l4 + 8 || payload > end) return 0;
  const headerLength = payload - packet.offset;
  const sequence = isTcp ? read32(data, l4 + 4) : 0;
  const ipId = isIpv4 ? read16(data, l3 + 4) : 0;
  let count = 0;
  for (let at = payload; at < end || count === 0; at += packet.gsoSize, count++) {
    const size = Math.min(packet.gsoSize, end - at);
    const out = scratch.take(headerLength + size);
    if (out === undefined) return count;
    copyBytes(data, packet.offset, out.data, out.offset, headerLength);
    copyBytes(data, at, out.data, out.offset + headerLength, size);
    const delta = out.offset - packet.offset;
    const last = at + size >= end;
    if (isTcp) {
      write32(out.data, l4 + delta + 4, sequence + (at - payload));
      let flags = data[l4 + 13]!;
      if (!last) flags &= ~0x09; // FIN and PSH belong to the last segment,
      if (count > 0) flags &= ~0x80; // CWR to the first (RFC 3168).
      out.data[l4 + delta + 13] = flags;
    }
    finishSegment(out, l3 + delta, l4 + delta, isIpv4, proto, (ipId + count) & 0xffff);
    send(out);
    scratch.release(out);
  }
  return count;
}

function finishSegment(
  out: Packet,
  l3: number,
  l4: number,
  isIpv4: boolean,
  proto: number,
  id: number,
): void {
  const data = out.data;
  const end = out.offset + out.length;
  if (isIpv4) {
    write16(data, l3 + 2, end - l3);
    write16(data, l3 + 4, id);
    write16(data, l3 + 10, 0);
    write16(data, l3 + 10, checksumFinish(checksumAdd(0, data, l3, l4 - l3)));
  } else write16(data, l3 + 4, end - l3 - 40);
  const length = end - l4;
  const at = proto === IPPROTO_TCP ? l4 + 16 : l4 + 6;
  if (proto === IPPROTO_UDP) write16(data, l4 + 4, length);
  write16(data, at, 0);
  const sum = checksumFinish(checksumAdd(pseudoSum(data, l3, isIpv4, proto, length), data, l4, length));
  write16(data, at, sum === 0 && proto === IPPROTO_UDP ? 0xffff : sum);
  out.vnetFlags = 0;
  out.gsoType = GSO_NONE;
}
