/**
 * Hashes of a flow by the names that bundle, multipath and groups know (ovs-actions(7), "fields"); what they look at is
 * marked. The symmetric ones are the same for both directions of a connection.
 */
import {
  type Flow,
  VLAN_CFI,
  W_ETH_DST_HI,
  W_ETH_DST_SRC,
  W_ETH_SRC_LO,
  W_ETH_TYPE,
  W_IPV4_DST,
  W_IPV4_SRC,
  W_IPV6_DST,
  W_IPV6_SRC,
  W_NW,
  W_TP,
  W_VLAN0,
} from "../../flow/layout.ts";
import { hashAdd, hashFinish } from "../../lib/hash.ts";
import type { HashFields } from "../../openflow/actions.ts";
import { ETH_TYPE_IP, ETH_TYPE_IPV6 } from "./context.ts";

const TCP = 6;
const UDP = 17;
const SCTP = 132;

export function hashFlow(fields: HashFields, basis: number, flow: Flow, wildcards: Flow): number {
  switch (fields) {
    case "eth_src":
      wildcards[W_ETH_DST_SRC] = wildcards[W_ETH_DST_SRC]! | 0xffff;
      wildcards[W_ETH_SRC_LO] = -1;
      return hashFinish(hashAdd(hashAdd(basis, flow[W_ETH_DST_SRC]! & 0xffff), flow[W_ETH_SRC_LO]!), 6);
    case "nw_src":
      return hashAddress(basis, W_IPV4_SRC, W_IPV6_SRC, flow, wildcards);
    case "nw_dst":
      return hashAddress(basis, W_IPV4_DST, W_IPV6_DST, flow, wildcards);
    case "symmetric_l3":
      return hashFinish(hashAddresses(basis, flow, wildcards), 42);
    case "symmetric_l3l4":
      return hashFinish(hashNetwork(basis, false, flow, wildcards), 42);
    case "symmetric_l3l4+udp":
      return hashFinish(hashNetwork(basis, true, flow, wildcards), 42);
    case "symmetric_l4":
      return hashFinish(hashNetwork(hashEthernet(basis, flow, wildcards), false, flow, wildcards), 42);
  }
}

function hashAddress(basis: number, v4: number, v6: number, flow: Flow, wildcards: Flow): number {
  const type = flow[W_ETH_TYPE]!;
  const words = type === ETH_TYPE_IP ? 1 : type === ETH_TYPE_IPV6 ? 4 : 0;
  const first = words === 1 ? v4 : v6;
  let hash = basis;
  for (let i = 0; i < words; i++) {
    wildcards[first + i] = -1;
    hash = hashAdd(hash, flow[first + i]!);
  }
  return hashFinish(hash, 4 * words);
}

function hashEthernet(basis: number, flow: Flow, wildcards: Flow): number {
  wildcards[W_ETH_DST_HI] = -1;
  wildcards[W_ETH_DST_SRC] = -1;
  wildcards[W_ETH_SRC_LO] = -1;
  wildcards[W_VLAN0] = wildcards[W_VLAN0]! | VLAN_CFI | 0xfff;
  const shared = flow[W_ETH_DST_SRC]!;
  const dstHigh = flow[W_ETH_DST_HI]! >>> 16;
  const dstLow = (flow[W_ETH_DST_HI]! << 16) | (shared >>> 16);
  let hash = hashAdd(basis, dstHigh ^ (shared & 0xffff));
  hash = hashAdd(hash, dstLow ^ flow[W_ETH_SRC_LO]!);
  hash = hashAdd(hash, flow[W_VLAN0]! & 0xfff);
  return hashAdd(hash, flow[W_ETH_TYPE]!);
}

function hashAddresses(basis: number, flow: Flow, wildcards: Flow): number {
  const type = flow[W_ETH_TYPE]!;
  const words = type === ETH_TYPE_IP ? 1 : type === ETH_TYPE_IPV6 ? 4 : 0;
  const [src, dst] = words === 1 ? [W_IPV4_SRC, W_IPV4_DST] : [W_IPV6_SRC, W_IPV6_DST];
  let hash = basis;
  for (let i = 0; i < words; i++) {
    wildcards[src + i] = -1;
    wildcards[dst + i] = -1;
    hash = hashAdd(hash, flow[src + i]! ^ flow[dst + i]!);
  }
  return hash;
}

function hashNetwork(basis: number, udp: boolean, flow: Flow, wildcards: Flow): number {
  const type = flow[W_ETH_TYPE]!;
  if (type !== ETH_TYPE_IP && type !== ETH_TYPE_IPV6) return basis;
  wildcards[W_NW] = wildcards[W_NW]! | 0xff;
  wildcards[W_TP] = -1;
  const protocol = flow[W_NW]! & 0xff;
  let hash = hashAdd(hashAddresses(basis, flow, wildcards), protocol);
  if (protocol === TCP || protocol === SCTP || (udp && protocol === UDP))
    hash = hashAdd(hash, (flow[W_TP]! >>> 16) ^ (flow[W_TP]! & 0xffff));
  return hash;
}
