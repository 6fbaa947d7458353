/** Hot path: packet bytes to flow words. */
import type { Flow } from "./layout.ts";

/** Indices into the caller's scratch: offsets from the frame's start, -1 when the layer is absent. */
export const OFS_L2_5 = 0;
export const OFS_L3 = 1;
export const OFS_L4 = 2;
/** Bytes of padding after the IP datagram. */
export const OFS_L2_PAD = 3;
export const OFS_WORDS = 4;

/**
 * Fills words 0 … FLOW_PACKET_WORDS-1 of `flow` from `length` bytes at data[offset]; W_IN_PORT, W_SKB_PRIORITY,
 * W_PKT_MARK, W_RECIRC_ID, W_DP_HASH, ct words and W_PACKET_TYPE are left as the caller set them
 * (W_PACKET_TYPE 0 means the data starts with an Ethernet header). Other words must be zero already.
 * NSH words are written when the packet has an NSH header. `offsets` is an Int32Array of OFS_WORDS.
 */
export function extractFlow(
  _data: Uint8Array,
  _offset: number,
  _length: number,
  _flow: Flow,
  _offsets: Int32Array,
): void {
  throw new Error("not implemented");
}
