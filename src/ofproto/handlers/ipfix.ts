/** NXST_IPFIX_BRIDGE and NXST_IPFIX_FLOW: what the exporters of a bridge have done. */
import { OfpError } from "../../openflow/errors.ts";
import type { IpfixStats as WireStats } from "../../openflow/messages.ts";
import type { IpfixStats } from "../sampling.ts";
import type { Handlers } from "./dispatch.ts";

function onWire(stats: IpfixStats, collectorSetId: number): WireStats {
  return {
    collectorSetId,
    totalFlows: BigInt(stats.flows),
    currentFlows: BigInt(stats.currentFlows),
    pkts: BigInt(stats.packets),
    ipv4Pkts: BigInt(stats.ipv4),
    ipv6Pkts: BigInt(stats.ipv6),
    errorPkts: BigInt(stats.errors),
    ipv4ErrorPkts: BigInt(stats.ipv4Errors),
    ipv6ErrorPkts: BigInt(stats.ipv6Errors),
    txPkts: BigInt(stats.tx),
    txErrors: BigInt(stats.txErrors),
  };
}

export const IPFIX_HANDLERS: Handlers = {
  "ipfix-bridge-request": (connection, _message, { xid }) => {
    const stats = connection.ofproto.sampling?.ipfixStats();
    if (stats === undefined) throw new OfpError("NXST_NOT_CONFIGURED");
    connection.send({ type: "ipfix-bridge-reply", stats: [onWire(stats, 0)] }, xid);
  },
  "ipfix-flow-request": (connection, _message, { xid }) => {
    const sets = connection.ofproto.sampling?.flowIpfixStats();
    if (sets === undefined || sets.size === 0) throw new OfpError("NXST_NOT_CONFIGURED");
    const stats = [...sets].sort(([a], [b]) => a - b).map(([id, one]) => onWire(one, id));
    connection.send({ type: "ipfix-flow-reply", stats }, xid);
  },
};
