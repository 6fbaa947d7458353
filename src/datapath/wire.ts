/** A packet as it would be on the wire, for whoever takes bytes only: controllers, captures, mirrors to files. */
import { makePacket, type Packet } from "./packet.ts";
import { finishChecksum } from "./userspace/gso.ts";

/**
 * A copy of the frame that the caller owns, its partial checksum finished. A frame that stands for many segments stays
 * one frame, longer than the port's MTU, with the checksum of the whole.
 */
export function wireBytes(packet: Packet): Uint8Array {
  const copy = makePacket(packet.data.slice(packet.offset, packet.offset + packet.length));
  copy.vnetFlags = packet.vnetFlags;
  copy.csumStart = packet.csumStart;
  copy.csumOffset = packet.csumOffset;
  finishChecksum(copy);
  return copy.data;
}
