/** The words that stand for an ethertype and IP protocol in flow text: `tcp` is `eth_type=0x0800,nw_proto=6`. */
import * as E from "./packet/ethernet.ts";

export interface ProtocolWord {
  readonly name: string;
  readonly type: number;
  /** 0 for none. */
  readonly protocol: number;
}

export const PROTOCOL_WORDS: readonly ProtocolWord[] = [
  { name: "ip", type: E.ETH_TYPE_IPV4, protocol: 0 },
  { name: "ipv4", type: E.ETH_TYPE_IPV4, protocol: 0 },
  { name: "ip4", type: E.ETH_TYPE_IPV4, protocol: 0 },
  { name: "arp", type: E.ETH_TYPE_ARP, protocol: 0 },
  { name: "icmp", type: E.ETH_TYPE_IPV4, protocol: E.IPPROTO_ICMP },
  { name: "tcp", type: E.ETH_TYPE_IPV4, protocol: E.IPPROTO_TCP },
  { name: "udp", type: E.ETH_TYPE_IPV4, protocol: E.IPPROTO_UDP },
  { name: "sctp", type: E.ETH_TYPE_IPV4, protocol: E.IPPROTO_SCTP },
  { name: "ipv6", type: E.ETH_TYPE_IPV6, protocol: 0 },
  { name: "ip6", type: E.ETH_TYPE_IPV6, protocol: 0 },
  { name: "icmp6", type: E.ETH_TYPE_IPV6, protocol: E.IPPROTO_ICMPV6 },
  { name: "tcp6", type: E.ETH_TYPE_IPV6, protocol: E.IPPROTO_TCP },
  { name: "udp6", type: E.ETH_TYPE_IPV6, protocol: E.IPPROTO_UDP },
  { name: "sctp6", type: E.ETH_TYPE_IPV6, protocol: E.IPPROTO_SCTP },
  { name: "rarp", type: E.ETH_TYPE_RARP, protocol: 0 },
  { name: "mpls", type: E.ETH_TYPE_MPLS, protocol: 0 },
  { name: "mplsm", type: E.ETH_TYPE_MPLS_MCAST, protocol: 0 },
];

const BY_NAME = new Map(PROTOCOL_WORDS.map((word) => [word.name, word]));

export function protocolByName(name: string): ProtocolWord | undefined {
  return BY_NAME.get(name);
}

/** By ethertype << 8 | protocol; of several words the first. */
const NAMES = new Map(
  PROTOCOL_WORDS.toReversed().map((word) => [(word.type << 8) | word.protocol, word.name]),
);

/** The word for an ethertype and IP protocol; protocol 0 (or not matched) gives the ethertype's alone. */
export function protocolName(type: number, protocol: number): string | undefined {
  return NAMES.get((type << 8) | protocol);
}
