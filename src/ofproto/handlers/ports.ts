/** Ports: their description, configuration and counters; queues. */
import { macToNumber } from "../../lib/mac.ts";
import { OFPP_ALL, OFPP_ANY } from "../../openflow/actions.ts";
import { OfpError } from "../../openflow/errors.ts";
import { type PortMod, type PortStats, UNKNOWN64 } from "../../openflow/messages.ts";
import type { Connection } from "../connections/connection.ts";
import { durationSince } from "../duration.ts";
import type { Ofproto } from "../ofproto.ts";
import { OFPPC_PORT_DOWN, OFPPC_SETTABLE, type OfportState } from "../ports.ts";
import type { Handlers } from "./dispatch.ts";

function counter(value: number): bigint {
  return value < 0 ? UNKNOWN64 : BigInt(Math.floor(value));
}

function portStats(port: OfportState, nowMs: number): PortStats {
  const stats = port.netdev.stats();
  return {
    port: port.ofPort,
    rxPackets: counter(stats.rxPackets),
    txPackets: counter(stats.txPackets),
    rxBytes: counter(stats.rxBytes),
    txBytes: counter(stats.txBytes),
    rxDropped: counter(stats.rxDropped),
    txDropped: counter(stats.txDropped),
    rxErrors: counter(stats.rxErrors),
    txErrors: counter(stats.txErrors),
    rxFrameErr: counter(stats.rxFrameErrors),
    rxOverErr: counter(stats.rxOverErrors),
    rxCrcErr: counter(stats.rxCrcErrors),
    collisions: counter(stats.collisions),
    duration: durationSince(port.createdMs, nowMs),
    rfc2819: undefined,
    custom: [...port.netdev.customStats()].map(([name, value]) => ({ name, value: BigInt(value) })),
  };
}

/** OFPP_ANY: all; one that is not there is an error. */
function selectPorts(connection: Connection, number: number): readonly OfportState[] {
  const { ofproto } = connection;
  if (number === OFPP_ANY) return ofproto.portsByNumber();
  const port = ofproto.portAt(number);
  return port === undefined ? [] : [port];
}

/** Checks a port_mod; the answer makes the change. */
export function startPortMod(ofproto: Ofproto, message: PortMod): () => void {
  const port = ofproto.portAt(message.port);
  if (port === undefined) throw new OfpError("OFPPMFC_BAD_PORT");
  const { hwAddr } = port.describe(ofproto.localEtherAddr);
  if (macToNumber(hwAddr) !== macToNumber(message.hwAddr)) throw new OfpError("OFPPMFC_BAD_HW_ADDR");
  return () => {
    ofproto.configurePort(port, message.config, message.mask & OFPPC_SETTABLE);
    if ((message.mask & OFPPC_PORT_DOWN) !== 0) {
      const up = (message.config & OFPPC_PORT_DOWN) === 0;
      if (port.netdev.adminUp() !== up) port.netdev.setAdminUp(up);
      ofproto.portChanged(port.ofPort);
    }
  };
}

export const PORT_HANDLERS: Handlers = {
  "port-mod": (connection, message) => startPortMod(connection.ofproto, message)(),
  "port-request": (connection, message, { xid }) => {
    connection.ofproto.backer.pushStats();
    const now = connection.ofproto.clock.now();
    const ports = selectPorts(connection, message.port).map((port) => portStats(port, now));
    connection.send({ type: "port-reply", ports }, xid);
  },
  "port-desc-request": (connection, message, { xid }) => {
    const { ofproto } = connection;
    const ports = selectPorts(connection, message.port).map((port) => port.describe(ofproto.localEtherAddr));
    connection.send({ type: "port-desc-reply", ports }, xid);
  },
  "queue-request": (connection, message, { xid }) => {
    const all = 0xffffffff;
    if (message.port !== OFPP_ANY && message.port !== OFPP_ALL) {
      if (connection.ofproto.portAt(message.port) === undefined) throw new OfpError("OFPQOFC_BAD_PORT");
    }
    // Without QoS every port has one queue, of which nothing is counted.
    if (message.queue !== all && message.queue !== 0) throw new OfpError("OFPQOFC_BAD_QUEUE");
    const ports = selectPorts(connection, message.port === OFPP_ALL ? OFPP_ANY : message.port);
    const queues = ports
      .filter((port) => !port.isPatch)
      .map((port) => ({
        port: port.ofPort,
        queue: 0,
        txBytes: UNKNOWN64,
        txPackets: UNKNOWN64,
        txErrors: UNKNOWN64,
        duration: undefined,
      }));
    connection.send({ type: "queue-reply", queues }, xid);
  },
  "queue-get-config-request": (connection, message, { xid }) => {
    if (message.port !== OFPP_ANY && connection.ofproto.portAt(message.port) === undefined) {
      throw new OfpError("OFPQOFC_BAD_PORT");
    }
    connection.send({ type: "queue-get-config-reply", port: message.port, queues: [] }, xid);
  },
};
