/** Pushing and popping tags in place, by moving the addresses before them (IEEE 802.1Q clause 9). Hot path. */
import { isVlanType } from "../../flow/packet/ethernet.ts";
import { type Packet, VNET_NEEDS_CSUM } from "../packet.ts";
import { read16, write16 } from "./headers.ts";

const ADDRESSES = 12;

/** Moves what is counted from the frame's start, after `bytes` were put in (or taken out, negative) before it. */
export function shiftStart(packet: Packet, bytes: number): void {
  packet.offset -= bytes;
  packet.length += bytes;
  if ((packet.vnetFlags & VNET_NEEDS_CSUM) !== 0) packet.csumStart += bytes;
  if (packet.gsoType !== 0) packet.gsoHeaderLength += bytes;
}

/** `tag` is TPID << 16 | TCI. Needs 4 bytes of headroom and a frame of at least 14 bytes. */
export function pushVlan(packet: Packet, tag: number): void {
  const data = packet.data;
  const from = packet.offset;
  for (let i = 0; i < ADDRESSES; i++) data[from - 4 + i] = data[from + i]!;
  shiftStart(packet, 4);
  write16(data, packet.offset + ADDRESSES, tag >>> 16);
  // Bit 12 says in a program that there is a tag; it is the drop eligible indicator only in the frame.
  write16(data, packet.offset + ADDRESSES + 2, tag & 0xefff);
}

/** Takes the outermost tag away, if there is one. */
export function popVlan(packet: Packet): void {
  const data = packet.data;
  const from = packet.offset;
  if (packet.length < 18 || !isVlanType(read16(data, from + ADDRESSES))) return;
  for (let i = ADDRESSES - 1; i >= 0; i--) data[from + 4 + i] = data[from + i]!;
  shiftStart(packet, -4);
}
