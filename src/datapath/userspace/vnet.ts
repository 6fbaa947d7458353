/** struct virtio_net_hdr, the 10 bytes before a frame in memory (virtio 1.2, section 5.1.6), little-endian. Hot path. */
import { GSO_NONE, type Packet, VNET_HEADER_LENGTH, VNET_NEEDS_CSUM } from "../packet.ts";

/** Reads the header that lies before the frame. */
export function loadVnet(packet: Packet): void {
  const data = packet.data;
  const at = packet.offset - VNET_HEADER_LENGTH;
  const flags = data[at]!;
  const gso = data[at + 1]!;
  packet.vnetFlags = flags;
  packet.gsoType = gso;
  if ((flags & VNET_NEEDS_CSUM) === 0 && gso === GSO_NONE) return;
  packet.gsoHeaderLength = data[at + 2]! | (data[at + 3]! << 8);
  packet.gsoSize = data[at + 4]! | (data[at + 5]! << 8);
  packet.csumStart = data[at + 6]! | (data[at + 7]! << 8);
  packet.csumOffset = data[at + 8]! | (data[at + 9]! << 8);
}

/** Writes the header before the frame. */
export function storeVnet(packet: Packet): void {
  const data = packet.data;
  const at = packet.offset - VNET_HEADER_LENGTH;
  const flags = packet.vnetFlags & VNET_NEEDS_CSUM;
  data[at] = flags;
  data[at + 1] = packet.gsoType;
  if (flags === 0 && packet.gsoType === GSO_NONE) {
    // The kernel checks the header length even so, and reads nothing else.
    data[at + 2] = 0;
    data[at + 3] = 0;
    return;
  }
  data[at + 2] = packet.gsoHeaderLength;
  data[at + 3] = packet.gsoHeaderLength >>> 8;
  data[at + 4] = packet.gsoSize;
  data[at + 5] = packet.gsoSize >>> 8;
  data[at + 6] = packet.csumStart;
  data[at + 7] = packet.csumStart >>> 8;
  data[at + 8] = packet.csumOffset;
  data[at + 9] = packet.csumOffset >>> 8;
}
