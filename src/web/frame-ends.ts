/**
 * Both ends of a sampled frame, for the top talkers: addresses with ports where there are any, else MAC addresses. A sample
 * holds only the frame's first bytes, so lengths in headers say nothing here.
 */
import { formatIpv4, formatIpv6 } from "../lib/ip.ts";
import { formatMac } from "../lib/mac.ts";
import { formatAddress } from "../lib/stream-name.ts";

export interface Ends {
  readonly source: string;
  readonly target: string;
  readonly protocol: string;
}

const ETHERTYPES: Readonly<Record<number, string>> = {
  2054: "arp",
  34887: "mpls",
  34888: "mpls",
  35020: "lldp",
};
const PROTOCOLS: Readonly<Record<number, string>> = {
  1: "icmp",
  2: "igmp",
  6: "tcp",
  17: "udp",
  47: "gre",
  58: "icmpv6",
  132: "sctp",
};
const WITH_PORTS: ReadonlySet<number> = new Set([6, 17, 132]);
const VLAN_TYPES: ReadonlySet<number> = new Set([0x8100, 0x88a8]);
/** Hop-by-hop, routing and destination options (RFC 8200 section 4). */
const IPV6_EXTENSIONS: ReadonlySet<number> = new Set([0, 43, 60]);
const MAX_VLANS = 2;

/** `frame` begins with Ethernet; what it is too short for is left out. */
export function frameEnds(frame: Uint8Array): Ends {
  if (frame.length < 14) return { source: "?", target: "?", protocol: "" };
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  let at = 12;
  for (let tags = 0; tags < MAX_VLANS && VLAN_TYPES.has(view.getUint16(at)) && at + 6 <= frame.length; tags++)
    at += 4;
  const type = view.getUint16(at);
  at += 2;
  if (type === 0x0800 && frame.length >= at + 20) {
    const protocol = frame[at + 9]!;
    const later = (view.getUint16(at + 6) & 0x1fff) !== 0;
    const next = at + (frame[at]! & 15) * 4;
    return ends(
      formatIpv4(view.getUint32(at + 12)),
      formatIpv4(view.getUint32(at + 16)),
      protocol,
      view,
      later ? -1 : next,
    );
  }
  if (type === 0x86dd && frame.length >= at + 40) {
    let protocol = frame[at + 6]!;
    let next = at + 40;
    while (IPV6_EXTENSIONS.has(protocol) && next + 8 <= frame.length) {
      protocol = frame[next]!;
      next += (frame[next + 1]! + 1) * 8;
    }
    return ends(formatIpv6(frame, at + 8), formatIpv6(frame, at + 24), protocol, view, next);
  }
  const protocol = type < 0x600 ? "802.3" : (ETHERTYPES[type] ?? `0x${type.toString(16).padStart(4, "0")}`);
  return { source: formatMac(frame, 6), target: formatMac(frame, 0), protocol };
}

/** `next`: where the transport header begins; -1: it is in another fragment. */
function ends(source: string, target: string, number: number, view: DataView, next: number): Ends {
  const protocol = PROTOCOLS[number] ?? `ip ${number}`;
  if (!WITH_PORTS.has(number) || next < 0 || next + 4 > view.byteLength) return { source, target, protocol };
  return {
    source: formatAddress(source, view.getUint16(next)),
    target: formatAddress(target, view.getUint16(next + 2)),
    protocol,
  };
}
