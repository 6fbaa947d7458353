/** Ports: their description, configuration and counters; queues. */
import { macToNumber } from "../../lib/mac.ts";
import type { NetdevQueue } from "../../netdev/netdev.ts";
import { OFPP_ALL, OFPP_ANY } from "../../openflow/actions.ts";
import { OfpError } from "../../openflow/errors.ts";
import { type Message, type PortMod, type PortStats, UNKNOWN64 } from "../../openflow/messages.ts";
import type { Connection } from "../connections/connection.ts";
import { durationSince } from "../duration.ts";
import type { OfportState } from "../ports.ts";
import type { Handlers } from "./dispatch.ts";

const ALL_QUEUES = 0xffffffff;
/** A rate that cannot be told in parts of a speed that nobody knows. */
const UNKNOWN_RATE = 0xffff;

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
export function startPortMod(connection: Connection, message: PortMod): () => void {
  const { ofproto } = connection;
  const port = ofproto.portAt(message.port);
  if (port === undefined) throw new OfpError("OFPPMFC_BAD_PORT");
  const { hwAddr } = port.describe(ofproto.localEtherAddr);
  if (macToNumber(hwAddr) !== macToNumber(message.hwAddr)) throw new OfpError("OFPPMFC_BAD_HW_ADDR");
  return () => ofproto.configurePort(port, message.config, message.mask, connection);
}

interface PortQueue {
  port: OfportState;
  queue: NetdevQueue;
}

/** The queues that a request names; none by a number that somebody asked for is an error. */
function selectQueues(connection: Connection, number: number, queueId: number): PortQueue[] {
  const all = number === OFPP_ANY || number === OFPP_ALL;
  const ports = selectPorts(connection, all ? OFPP_ANY : number);
  if (!all && ports.length === 0) throw new OfpError("OFPQOFC_BAD_PORT");
  const found = ports.flatMap((port) =>
    port.netdev
      .queues()
      .filter(({ id }) => queueId === ALL_QUEUES || id === queueId)
      .map((queue) => ({ port, queue })),
  );
  if (found.length === 0 && queueId !== ALL_QUEUES) throw new OfpError("OFPQOFC_BAD_QUEUE");
  return found;
}

/** Tenths of a percent of the device's speed. */
function rateOf(port: OfportState, bitsPerSecond: number | undefined): number | undefined {
  if (bitsPerSecond === undefined) return undefined;
  const { speed } = port.netdev.features();
  return speed > 0 ? Math.round((1000 * bitsPerSecond) / speed) : UNKNOWN_RATE;
}

/** A message has 64 kB at most; of what it may hold an entry takes well under 600, 120 and 60 bytes. */
const STATISTICS_A_MESSAGE = 100;
const DESCRIPTIONS_A_MESSAGE = 500;
const QUEUES_A_MESSAGE = 1000;

/** A multipart reply, of one part when there is nothing to tell. */
function sendParts<T>(
  connection: Connection,
  xid: number,
  entries: readonly T[],
  size: number,
  make: (part: T[]) => Message,
): void {
  for (let i = 0; i === 0 || i < entries.length; i += size) {
    connection.send(make(entries.slice(i, i + size)), xid, { more: i + size < entries.length });
  }
}

export const PORT_HANDLERS: Handlers = {
  "port-mod": (connection, message) => startPortMod(connection, message)(),
  "port-request": (connection, message, { xid }) => {
    connection.ofproto.backer.pushStats();
    const now = connection.ofproto.clock.now();
    const ports = selectPorts(connection, message.port).map((port) => portStats(port, now));
    sendParts(connection, xid, ports, STATISTICS_A_MESSAGE, (ports) => ({ type: "port-reply", ports }));
  },
  "port-desc-request": (connection, message, { xid }) => {
    const { ofproto } = connection;
    const ports = selectPorts(connection, message.port).map((port) => port.describe(ofproto.localEtherAddr));
    sendParts(connection, xid, ports, DESCRIPTIONS_A_MESSAGE, (ports) => ({
      type: "port-desc-reply",
      ports,
    }));
  },
  "queue-request": (connection, message, { xid }) => {
    const now = connection.ofproto.clock.now();
    const queues = selectQueues(connection, message.port, message.queue).map(({ port, queue }) => ({
      port: port.ofPort,
      queue: queue.id,
      txBytes: counter(queue.txBytes),
      txPackets: counter(queue.txPackets),
      txErrors: counter(queue.txErrors),
      duration: queue.createdMs === undefined ? undefined : durationSince(queue.createdMs, now),
    }));
    sendParts(connection, xid, queues, QUEUES_A_MESSAGE, (queues) => ({ type: "queue-reply", queues }));
  },
  "queue-get-config-request": (connection, message, { xid }) => {
    const queues = selectQueues(connection, message.port, message.queue).map(({ port, queue }) => ({
      port: port.ofPort,
      queue: queue.id,
      minRate: rateOf(port, queue.minRate),
      maxRate: rateOf(port, queue.maxRate),
    }));
    connection.send({ type: "queue-get-config-reply", port: message.port, queues }, xid);
  },
};
