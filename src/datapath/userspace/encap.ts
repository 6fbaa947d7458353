/**
 * Putting headers before a packet and taking them off: Ethernet, NSH (RFC 8300), MPLS before a whole frame. What the packet
 * begins with is told by the key's packet_type: 0 Ethernet, `1 << 16 | ethertype` that layer. Those that push need headroom.
 */
import { type Flow, W_NSH_BASE, W_NSH_CONTEXT, W_NSH_PATH, W_PACKET_TYPE } from "../../flow/layout.ts";
import { ETH_TYPE_IPV4, ETH_TYPE_IPV6, ETH_TYPE_NSH, isVlanType } from "../../flow/packet/ethernet.ts";
import { NSH_BASE, NSH_CONTEXT, NSH_MD2_LENGTH, NSH_PATH } from "../odp/actions.ts";
import type { Packet } from "../packet.ts";
import { read16, read32, write16, write32 } from "./headers.ts";
import { shiftStart } from "./vlan.ts";

const ETHERNET_LENGTH = 14;
const NSH_MIN_LENGTH = 8;
const NSH_MD1_LENGTH = 24;
/** Transparent Ethernet bridging: what an MPLS label that holds a whole frame is popped to. */
const ETH_TYPE_TEB = 0x6558;

/** packet_type of a layer by its Ethernet type. */
function layer(type: number): number {
  return type === ETH_TYPE_TEB ? 0 : (1 << 16) | type;
}

/** The addresses as in words W_ETH_DST_HI to W_ETH_SRC_LO. */
export function pushEth(packet: Packet, key: Flow, dstHi: number, dstSrc: number, srcLo: number): void {
  shiftStart(packet, ETHERNET_LENGTH);
  const { data, offset } = packet;
  write32(data, offset, dstHi);
  write32(data, offset + 4, dstSrc);
  write32(data, offset + 8, srcLo);
  write16(data, offset + 12, key[W_PACKET_TYPE]! & 0xffff);
  key[W_PACKET_TYPE] = 0;
}

export function popEth(packet: Packet, key: Flow): void {
  if (key[W_PACKET_TYPE] !== 0 || packet.length < ETHERNET_LENGTH) return;
  key[W_PACKET_TYPE] = layer(read16(packet.data, packet.offset + 12));
  shiftStart(packet, -ETHERNET_LENGTH);
}

/** Bytes that the ODP_PUSH_NSH at `at` puts before a packet. */
export function nshLength(program: Int32Array, at: number): number {
  return ((program[at + NSH_BASE]! >>> 8) & 0xff) === 1
    ? NSH_MD1_LENGTH
    : NSH_MIN_LENGTH + program[at + NSH_MD2_LENGTH]!;
}

export function pushNsh(packet: Packet, key: Flow, program: Int32Array, at: number): void {
  const length = nshLength(program, at);
  shiftStart(packet, length);
  const { data, offset } = packet;
  const base = program[at + NSH_BASE]!;
  const flags = (base >>> 24) & 3;
  const ttl = (base >>> 16) & 0x3f;
  write16(data, offset, (flags << 12) | (ttl << 6) | (length >>> 2));
  write16(data, offset + 2, base & 0xffff);
  write32(data, offset + 4, program[at + NSH_PATH]!);
  for (let i = 0; i < (length - NSH_MIN_LENGTH) >>> 2; i++)
    write32(data, offset + NSH_MIN_LENGTH + 4 * i, program[at + NSH_CONTEXT + i]!);
  key[W_PACKET_TYPE] = (1 << 16) | ETH_TYPE_NSH;
}

export function popNsh(packet: Packet, key: Flow): void {
  const { data, offset } = packet;
  if (packet.length < NSH_MIN_LENGTH) return;
  const length = (read16(data, offset) & 0x3f) << 2;
  if (length < NSH_MIN_LENGTH || length > packet.length) return;
  const next = data[offset + 3];
  key[W_PACKET_TYPE] =
    next === 1
      ? layer(ETH_TYPE_IPV4)
      : next === 2
        ? layer(ETH_TYPE_IPV6)
        : next === 4
          ? layer(ETH_TYPE_NSH)
          : 0;
  shiftStart(packet, -length);
}

/** An entry before everything that the packet is by now. */
export function addMpls(packet: Packet, key: Flow, entry: number, ethType: number): void {
  shiftStart(packet, 4);
  write32(packet.data, packet.offset, entry);
  key[W_PACKET_TYPE] = layer(ethType);
}

/** Takes the entry off that a packet without Ethernet header begins with. */
export function popFirstMpls(packet: Packet, key: Flow, ethType: number): void {
  if (packet.length < 4) return;
  key[W_PACKET_TYPE] = layer(ethType);
  shiftStart(packet, -4);
}

/** Writes bits of a word of the flow layout into the packet's NSH header. */
export function setNsh(packet: Packet, key: Flow, word: number, value: number, mask: number): void {
  const { data } = packet;
  let at = packet.offset;
  if (key[W_PACKET_TYPE] === 0) {
    at += 12;
    while (at + 2 <= packet.offset + packet.length && isVlanType(read16(data, at))) at += 4;
    if (at + 2 > packet.offset + packet.length || read16(data, at) !== ETH_TYPE_NSH) return;
    at += 2;
  }
  const room = packet.offset + packet.length - at;
  if (word === W_NSH_BASE) {
    if (room < NSH_MIN_LENGTH) return;
    const head = read16(data, at);
    const old = (((head >>> 12) & 3) << 24) | (((head >>> 6) & 0x3f) << 16);
    const now = (old & ~mask) | (value & mask);
    write16(data, at, (head & 0xc03f) | (((now >>> 24) & 3) << 12) | (((now >>> 16) & 0x3f) << 6));
    return;
  }
  const where = word === W_NSH_PATH ? 4 : NSH_MIN_LENGTH + 4 * (word - W_NSH_CONTEXT);
  if (room < where + 4) return;
  write32(data, at + where, (read32(data, at + where) & ~mask) | (value & mask));
}
