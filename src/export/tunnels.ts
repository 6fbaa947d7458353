/** The outer headers of a packet that came or goes through a tunnel, as IPFIX and sFlow records tell of them. */
import {
  type Flow,
  W_TUN_DST,
  W_TUN_FLAGS_TOS_TTL,
  W_TUN_ID_LO,
  W_TUN_SRC,
  W_TUN_TP,
} from "../flow/layout.ts";
import type { FlowRecord } from "./codec/sflow.ts";

export interface TunnelInfo {
  source: number;
  destination: number;
  /** Of the outer IP header. */
  protocol: number;
  sourcePort: number;
  destinationPort: number;
  tos: number;
  /** The low 32 bits of tun_id. */
  id: number;
  /** VMware's element tunnelType. */
  type: number;
  /** The key as the tunnel's header has it. */
  key: Uint8Array;
}

interface TunnelKind {
  protocol: number;
  type: number;
  keyBytes: number;
}

const IPPROTO_UDP = 17;
const IPPROTO_GRE = 47;

/** By type of interface. */
const KINDS: Readonly<Record<string, TunnelKind>> = {
  gre: { protocol: IPPROTO_GRE, type: 2, keyBytes: 4 },
  vxlan: { protocol: IPPROTO_UDP, type: 1, keyBytes: 3 },
  geneve: { protocol: IPPROTO_UDP, type: 7, keyBytes: 3 },
};

/**
 * Tunnel metadata of `flow` for a port of type `portType`; undefined when that is no tunnel, or when the outer header is not
 * IPv4: the records have no room for other addresses.
 */
export function tunnelInfo(flow: Flow, portType: string): TunnelInfo | undefined {
  const kind = KINDS[portType];
  if (kind === undefined || flow[W_TUN_DST] === 0) return undefined;
  const id = flow[W_TUN_ID_LO]! >>> 0;
  const key = new Uint8Array(kind.keyBytes);
  for (let i = 0; i < key.length; i++) key[i] = id >>> (8 * (key.length - 1 - i));
  return {
    source: flow[W_TUN_SRC]! >>> 0,
    destination: flow[W_TUN_DST]! >>> 0,
    protocol: kind.protocol,
    sourcePort: flow[W_TUN_TP]! >>> 16,
    destinationPort: flow[W_TUN_TP]! & 0xffff,
    tos: (flow[W_TUN_FLAGS_TOS_TTL]! >>> 16) & 0xff,
    id,
    type: kind.type,
    key,
  };
}

/** sFlow's records of a tunnel that a packet came out of ("ingress") or goes into. */
export function tunnelRecords(tunnel: TunnelInfo, direction: "ingress" | "egress"): FlowRecord[] {
  return [
    { name: `vni_${direction}`, values: { vni: tunnel.id } },
    {
      name: `ipv4_tunnel_${direction}`,
      values: {
        // Of the outer packet, which is not here.
        length: 0,
        protocol: tunnel.protocol,
        src_ip: tunnel.source,
        dst_ip: tunnel.destination,
        src_port: tunnel.sourcePort,
        dst_port: tunnel.destinationPort,
        tcp_flags: 0,
        tos: tunnel.tos,
      },
    },
  ];
}
