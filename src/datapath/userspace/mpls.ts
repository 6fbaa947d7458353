/** Pushing and popping MPLS label stack entries (RFC 3032) in place. */
import { isMplsType, isVlanType } from "../../flow/packet/ethernet.ts";
import type { Packet } from "../packet.ts";
import { read16, write16, write32 } from "./headers.ts";
import { shiftStart } from "./vlan.ts";

/** Index of the Ethernet type after at most two tags. */
function typeAt(packet: Packet): number {
  let at = packet.offset + 12;
  for (let tags = 0; tags < 2 && isVlanType(read16(packet.data, at)); tags++) at += 4;
  return at;
}

/** `entry` is the label stack entry as on the wire. Needs 4 bytes of headroom. */
export function pushMpls(packet: Packet, entry: number, ethType: number): void {
  const data = packet.data;
  const type = typeAt(packet);
  if (type + 2 > packet.offset + packet.length) return;
  for (let i = packet.offset; i < type + 2; i++) data[i - 4] = data[i]!;
  shiftStart(packet, 4);
  write16(data, type - 4, ethType);
  write32(data, type - 2, entry);
}

/** Takes the outermost entry away; `ethType` is that of what follows. */
export function popMpls(packet: Packet, ethType: number): void {
  const data = packet.data;
  const type = typeAt(packet);
  if (type + 6 > packet.offset + packet.length || !isMplsType(read16(data, type))) return;
  write16(data, type, ethType);
  for (let i = type + 1; i >= packet.offset; i--) data[i + 4] = data[i]!;
  shiftStart(packet, -4);
}
