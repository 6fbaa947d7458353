/** Addresses of a flow as exporters write them. */
import { type Flow, W_ETH_DST_HI, W_ETH_DST_SRC, W_ETH_SRC_LO } from "../flow/layout.ts";

/** An IPv6 address, that is four words from `first` on, as 16 bytes. */
export function ipv6Bytes(flow: Flow, first: number): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < 4; i++) view.setInt32(i * 4, flow[first + i]!);
  return bytes;
}

export function ethSrcBytes(flow: Flow): Uint8Array {
  return macBytes(flow[W_ETH_DST_SRC]! & 0xffff, flow[W_ETH_SRC_LO]!);
}

export function ethDstBytes(flow: Flow): Uint8Array {
  return macBytes(flow[W_ETH_DST_HI]! >>> 16, (flow[W_ETH_DST_HI]! << 16) | (flow[W_ETH_DST_SRC]! >>> 16));
}

function macBytes(high: number, low: number): Uint8Array {
  return Uint8Array.of(high >>> 8, high, low >>> 24, low >>> 16, low >>> 8, low);
}
