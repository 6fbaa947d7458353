/**
 * What a packet's bytes and segmentation tell of its offloads: a program does not see whether a checksum is still to be
 * finished. A packet that stands for segments has a partial one; of others it is partial when it is wrong but the field
 * holds the pseudo header's sum, which is what a sender that leaves the rest to its device puts there.
 */
import {
  ETH_TYPE_IPV4,
  ETH_TYPE_IPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  isMplsType,
} from "../../flow/packet/ethernet.ts";
import { checksumAdd, checksumFinish } from "../../lib/checksum.ts";
import { GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, type Packet, VNET_NEEDS_CSUM } from "../packet.ts";
import { findHeaders, findUnderLabels, makeHeaders, read16 } from "../userspace/headers.ts";

const headers = makeHeaders();

/** Fills in what {@link Packet} says of offloads; `gsoSize` 0 for a packet that stands for itself. */
export function recoverOffloads(packet: Packet, gsoSize: number): void {
  packet.vnetFlags = 0;
  packet.gsoType = GSO_NONE;
  const { data, offset } = packet;
  findHeaders(packet, headers);
  if (isMplsType(headers.ethType)) findUnderLabels(packet, headers);
  const { ethType, l3, l4, proto, end } = headers;
  if (
    (ethType !== ETH_TYPE_IPV4 && ethType !== ETH_TYPE_IPV6) ||
    (proto !== IPPROTO_TCP && proto !== IPPROTO_UDP)
  )
    return;
  const csumOffset = proto === IPPROTO_TCP ? 16 : 6;
  // Padding is no part of it.
  const last = ethType === ETH_TYPE_IPV4 ? l3 + read16(data, l3 + 2) : l3 + 40 + read16(data, l3 + 4);
  const length = Math.min(last > l4 ? last : end, end) - l4;
  const field = read16(data, l4 + csumOffset);
  if (gsoSize === 0) {
    if (field === 0 && proto === IPPROTO_UDP) return;
    const pseudo =
      ethType === ETH_TYPE_IPV4
        ? checksumAdd(proto + length, data, l3 + 12, 8)
        : checksumAdd(proto + length, data, l3 + 8, 32);
    if ((~checksumFinish(pseudo) & 0xffff) !== field) return;
    if (checksumFinish(checksumAdd(pseudo, data, l4, length)) === 0) return;
  } else {
    packet.gsoSize = gsoSize;
    if (proto === IPPROTO_UDP) {
      packet.gsoType = GSO_UDP_L4;
      packet.gsoHeaderLength = l4 + 8 - offset;
    } else {
      packet.gsoType = ethType === ETH_TYPE_IPV4 ? GSO_TCPV4 : GSO_TCPV6;
      packet.gsoHeaderLength = l4 + (data[l4 + 12]! >>> 4) * 4 - offset;
    }
  }
  packet.vnetFlags = VNET_NEEDS_CSUM;
  packet.csumStart = l4 - offset;
  packet.csumOffset = csumOffset;
}
