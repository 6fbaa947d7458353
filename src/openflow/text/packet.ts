/** A packet as text: its flow and its transport checksum, "tcp,vlan_tci=0x0000,… tcp_csum:26e8". */
import { extractFlow as extract, OFS_L4, OFS_WORDS } from "../../flow/extract.ts";
import { FLOW_WORDS, W_ETH_TYPE, W_IN_PORT, W_NW, W_PACKET_TYPE } from "../../flow/layout.ts";
import { flowAsMatch } from "../../flow/match-text.ts";
import { matchText, type PrintOptions } from "./common.ts";

/** `packetType` (namespace << 16 | type) says where its headers begin; 0 is Ethernet. */
export function packetText(packet: Uint8Array, { paint }: PrintOptions = {}, packetType = 0): string {
  const flow = new Int32Array(FLOW_WORDS);
  flow[W_PACKET_TYPE] = packetType;
  const offsets = new Int32Array(OFS_WORDS);
  extract(packet, 0, packet.length, flow, offsets);
  const match = flowAsMatch(flow);
  match.mask[W_IN_PORT] = 0;
  if (packetType === 0) match.mask[W_PACKET_TYPE] = 0;
  return `${matchText(match, { paint })}${checksumText(packet, flow, offsets[OFS_L4]!)}`;
}

const CHECKSUMS: Readonly<Record<number, readonly [name: string, offset: number]>> = {
  6: ["tcp_csum", 16],
  17: ["udp_csum", 6],
  132: ["sctp_csum", 8],
  1: ["icmp_csum", 2],
  58: ["icmp6_csum", 2],
};

function checksumText(packet: Uint8Array, flow: Int32Array, l4: number): string {
  const type = flow[W_ETH_TYPE]! & 0xffff;
  if (l4 < 0 || (type !== 0x0800 && type !== 0x86dd)) return "";
  const found = CHECKSUMS[flow[W_NW]! & 0xff];
  if (found === undefined) return "";
  const [name, at] = found;
  // SCTP has a CRC-32c.
  const bytes = name === "sctp_csum" ? 4 : 2;
  if (l4 + at + bytes > packet.length) return "";
  let value = 0;
  for (let i = 0; i < bytes; i++) value = value * 256 + packet[l4 + at + i]!;
  return ` ${name}:${value.toString(16)}`;
}
