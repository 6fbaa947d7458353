/** Stand-in for flow/extract.ts until that one answers; same contract. */
import * as L from "../../flow/layout.ts";
import { makePacket } from "../packet.ts";
import { findHeaders, makeHeaders, read16, read32 } from "./headers.ts";

const h = makeHeaders();
const p = makePacket(new Uint8Array(0));
export function extractFlow(
  d: Uint8Array,
  offset: number,
  length: number,
  key: Int32Array,
  _o: Int32Array,
): void {
  for (let i = L.W_ETH_DST_HI; i < L.FLOW_PACKET_WORDS; i++) key[i] = 0;
  if (length < 14) return;
  key[L.W_ETH_DST_HI] = read32(d, offset);
  key[L.W_ETH_DST_SRC] = read32(d, offset + 4);
  key[L.W_ETH_SRC_LO] = read32(d, offset + 8);
  let at = offset + 12;
  for (let t = 0; t < 2; t++) {
    const type = read16(d, at);
    if (type !== 0x8100 && type !== 0x88a8) break;
    key[L.W_VLAN0 + t] = (type << 16) | read16(d, at + 2) | 0x1000;
    at += 4;
  }
  p.data = d;
  p.offset = offset;
  p.length = length;
  findHeaders(p, h);
  key[L.W_ETH_TYPE] = read16(d, at) < 0x600 ? 0x5ff : read16(d, at);
  const l3 = h.l3;
  if (h.ethType === 0x800) {
    key[L.W_IPV4_SRC] = read32(d, l3 + 12);
    key[L.W_IPV4_DST] = read32(d, l3 + 16);
    const frag = read16(d, l3 + 6);
    const f = (frag & 0x3fff) === 0 ? 0 : (frag & 0x1fff) !== 0 ? 3 : 1;
    key[L.W_NW] = d[l3 + 9]! | (d[l3 + 1]! << 8) | (d[l3 + 8]! << 16) | (f << 24);
  } else if (h.ethType === 0x86dd) {
    for (let i = 0; i < 8; i++) key[L.W_IPV6_SRC + i] = read32(d, l3 + 8 + i * 4);
    key[L.W_NW] = h.proto | (d[l3 + 7]! << 16);
  } else if (h.ethType === 0x806 && l3 + 28 <= h.end) {
    key[L.W_NW] = read16(d, l3 + 6);
    key[L.W_IPV4_SRC] = read32(d, l3 + 14);
    key[L.W_IPV4_DST] = read32(d, l3 + 24);
  }
  if (h.proto === 6 || h.proto === 17 || h.proto === 132) key[L.W_TP] = read32(d, h.l4);
  else if (h.proto === 1 || h.proto === 58) key[L.W_TP] = (d[h.l4]! << 16) | d[h.l4 + 1]!;
  if (h.proto === 6) key[L.W_TCP_FLAGS] = read16(d, h.l4 + 12) & 0xfff;
}
