/**
 * A packet in memory, from receive to transmit (upstream: `struct dp_packet`).
 *
 *   data:  |<-- headroom -->|<------- length ------->|
 *                           ^ offset
 *
 * The virtio-net header (virtio 1.2, section 5.1.6) is kept as numbers, so that a frame with a partial checksum or
 * one that stands for many segments (GSO) stays that way until a port that cannot take it needs it finished.
 * Checksum and GSO offsets count from the start of the frame at `offset`: an action that pushes or pops bytes before
 * them moves them. A VLAN tag that the kernel stripped has been put back into the frame before anyone sees it,
 * unless `vlanTci` says otherwise.
 */
export interface Packet {
  data: Uint8Array;
  /** Memory address of data[0] where system calls read it from there (the worker's rings and slots), else 0. */
  address: number;
  offset: number;
  length: number;
  /** The lowest offset that pushed headers (and a virtio header before them) may reach. */
  floor: number;
  /** Number of the scratch buffer that the packet was taken from, -1 for none. It is given back by this number. */
  buffer: number;
  /** skb_priority: the number of the queue that it leaves by, where a port has queues. */
  priority: number;
  /** virtio_net_hdr.flags: 1 NEEDS_CSUM, 2 DATA_VALID. */
  vnetFlags: number;
  /** virtio_net_hdr.gso_type: 0 none, 1 TCPv4, 3 UDP, 4 TCPv6, 5 UDP_L4; bit 7 ECN. */
  gsoType: number;
  /** Bytes of all headers before the first segment's payload. */
  gsoHeaderLength: number;
  /** Payload bytes a segment. */
  gsoSize: number;
  /** Where summing starts, from the frame's start, when NEEDS_CSUM. */
  csumStart: number;
  /** Where the sum goes, from csumStart. */
  csumOffset: number;
}

export function makePacket(data: Uint8Array, offset = 0, length = data.length - offset): Packet {
  return {
    data,
    address: 0,
    offset,
    length,
    floor: 0,
    buffer: -1,
    priority: 0,
    vnetFlags: 0,
    gsoType: 0,
    gsoHeaderLength: 0,
    gsoSize: 0,
    csumStart: 0,
    csumOffset: 0,
  };
}

export const VNET_NEEDS_CSUM = 1;
export const VNET_DATA_VALID = 2;
export const GSO_NONE = 0;
export const GSO_TCPV4 = 1;
export const GSO_UDP = 3;
export const GSO_TCPV6 = 4;
export const GSO_UDP_L4 = 5;
export const GSO_ECN = 0x80;

/** Bytes of struct virtio_net_hdr, which lies just before a frame on its way to or from the kernel. */
export const VNET_HEADER_LENGTH = 10;
