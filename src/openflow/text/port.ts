/** Ports and queues in print (upstream: ofp-port, ofp-queue). */
import { formatMac } from "../../lib/mac.ts";
import {
  type PhyPort,
  type PortMod,
  type PortStats,
  type PortStatus,
  type QueueProps,
  type QueueStats,
  UNKNOWN64,
} from "../messages.ts";
import { formatPort, quoteName } from "../ports.ts";
import { bitNames, counter, duration, type PrintOptions } from "./common.ts";

export const PORT_FEATURES: readonly (readonly [bit: number, name: string])[] = [
  [0x1, "10MB-HD"],
  [0x2, "10MB-FD"],
  [0x4, "100MB-HD"],
  [0x8, "100MB-FD"],
  [0x10, "1GB-HD"],
  [0x20, "1GB-FD"],
  [0x40, "10GB-FD"],
  [0x80, "40GB-FD"],
  [0x100, "100GB-FD"],
  [0x200, "1TB-FD"],
  [0x400, "OTHER"],
  [0x800, "COPPER"],
  [0x1000, "FIBER"],
  [0x2000, "AUTO_NEG"],
  [0x4000, "AUTO_PAUSE"],
  [0x8000, "AUTO_PAUSE_ASYM"],
];

export const PORT_CONFIG: readonly (readonly [bit: number, name: string])[] = [
  [1, "PORT_DOWN"],
  [2, "NO_STP"],
  [4, "NO_RECV"],
  [8, "NO_RECV_STP"],
  [16, "NO_FLOOD"],
  [32, "NO_FWD"],
  [64, "NO_PACKET_IN"],
];

const STATE: readonly (readonly [bit: number, name: string])[] = [
  [1, "LINK_DOWN"],
  [2, "BLOCKED"],
  [4, "LIVE"],
];

const STP = ["STP_LISTEN", "STP_LEARN", "STP_FORWARD", "STP_BLOCK"];

export function stateText(state: number): string {
  if ((state & 0x300) !== 0) {
    const down = state & 1 ? "LINK_DOWN " : "";
    return `${down}${STP[(state >>> 8) & 3]}`;
  }
  return bitNames(state, STATE, "0");
}

export function formatFeatures(bits: number): string {
  return bitNames(bits, PORT_FEATURES, "0");
}

export function formatPhyPort(p: PhyPort): string {
  let out = ` ${formatPort(p.port)}`;
  out += `(${quoteName(p.name)}): addr:${formatMac(p.hwAddr)}\n`;
  out += `     config:     ${bitNames(p.config, PORT_CONFIG, "0")}\n`;
  out += `     state:      ${stateText(p.state)}\n`;
  if (p.curr !== 0) out += `     current:    ${formatFeatures(p.curr)}\n`;
  if (p.advertised !== 0) out += `     advertised: ${formatFeatures(p.advertised)}\n`;
  if (p.supported !== 0) out += `     supported:  ${formatFeatures(p.supported)}\n`;
  if (p.peer !== 0) out += `     peer:       ${formatFeatures(p.peer)}\n`;
  const mbps = (kbps: number): number => Math.floor(kbps / 1000);
  return `${out}     speed: ${mbps(p.currSpeed)} Mbps now, ${mbps(p.maxSpeed)} Mbps max\n`;
}

export const PORT_STATUS = ["ADD", "DEL", "MOD"];

export function formatPortStatus(m: PortStatus): string {
  return ` ${PORT_STATUS[m.reason] ?? m.reason}:${formatPhyPort(m.port)}`;
}

export function formatPortMod(m: PortMod, o: PrintOptions): string {
  let out = ` port: ${formatPort(m.port, o.ports)}: addr:${formatMac(m.hwAddr)}\n`;
  out += `     config: ${bitNames(m.config, PORT_CONFIG, "0")}\n`;
  out += `     mask:   ${bitNames(m.mask, PORT_CONFIG, "0")}\n`;
  return `${out}     advertise: ${m.advertise === 0 ? "UNCHANGED" : formatFeatures(m.advertise)}\n`;
}

export function formatPortStats(s: PortStats, o: PrintOptions): string {
  let out = `  port ${s.port < 10 ? " " : ""}${formatPort(s.port, o.ports)}: `;
  out += `rx pkts=${counter(s.rxPackets)}, bytes=${counter(s.rxBytes)}, drop=${counter(s.rxDropped)}, errs=${counter(s.rxErrors)}, `;
  out += `frame=${counter(s.rxFrameErr)}, over=${counter(s.rxOverErr)}, crc=${counter(s.rxCrcErr)}\n`;
  out += `           tx pkts=${counter(s.txPackets)}, bytes=${counter(s.txBytes)}, drop=${counter(s.txDropped)}, errs=${counter(s.txErrors)}, coll=${counter(s.collisions)}\n`;
  if (s.duration !== undefined && s.duration.sec !== 0xffffffff)
    out += `           duration=${duration(s.duration)}\n`;
  if (s.rfc2819 !== undefined) out += rfc2819(s.rfc2819);
  if (s.custom.length > 0) {
    out += "           CUSTOM Statistics";
    s.custom.forEach(({ name, value }, i) => {
      out += i % 3 === 0 ? "\n                      " : " ";
      out += `${name}=${value},`;
    });
    out += "\n";
  }
  return out;
}

const SIZES = [
  "1_to_64_packets",
  "65_to_127_packets",
  "128_to_255_packets",
  "256_to_511_packets",
  "512_to_1023_packets",
  "1024_to_1522_packets",
  "1523_to_max_packets",
];

/** In the order of the wire. */
const RFC2819: readonly (readonly [direction: "rx" | "tx", name: string])[] = [
  ...SIZES.map((name) => ["rx", name] as const),
  ...SIZES.map((name) => ["tx", name] as const),
  ["tx", "multicast_packets"],
  ["rx", "broadcast_packets"],
  ["tx", "broadcast_packets"],
  ["rx", "undersized_errors"],
  ["rx", "oversize_errors"],
  ["rx", "rx_fragmented_errors"],
  ["rx", "rx_jabber_errors"],
];

/** A line a direction with the counters that are known. */
function rfc2819(values: readonly bigint[]): string {
  let out = "";
  for (const direction of ["rx", "tx"]) {
    const known = RFC2819.map(([of, name], i) => [of, name, values[i]!] as const).filter(
      ([of, , value]) => of === direction && value !== UNKNOWN64,
    );
    if (known.length === 0) continue;
    out += `           ${direction} rfc2819 ${known.map(([, name, value]) => `${name}=${value}, `).join("")}\n`;
  }
  return out;
}

export function formatQueueStats(q: QueueStats, o: PrintOptions): string {
  let out = `  port ${formatPort(q.port, o.ports)} queue ${q.queue}: `;
  out += `bytes=${counter(q.txBytes)}, pkts=${counter(q.txPackets)}, errors=${counter(q.txErrors)}, `;
  const known = q.duration !== undefined && q.duration.sec !== 0xffffffff;
  return `${out}duration=${known ? duration(q.duration!) : "?"}\n`;
}

function rateText(name: string, rate: number | undefined): string {
  if (rate === undefined) return "";
  if (rate === 0xffff || rate > 1000) return rate <= 1000 ? "" : ` ${name}:(disabled)`;
  return ` ${name}:${Math.floor(rate / 10)}.${rate % 10}%`;
}

export function formatQueueConfig(queues: readonly QueueProps[], port: number, o: PrintOptions): string {
  let out = "";
  let current = -1;
  const sorted = [...queues].sort((a, b) => a.port - b.port || a.queue - b.queue);
  for (const q of sorted) {
    if (q.port !== current) {
      out += `${current < 0 ? " " : ""}port=${formatPort(q.port, o.ports)}\n`;
      current = q.port;
    }
    out += `queue ${q.queue}:${rateText("min_rate", q.minRate)}${rateText("max_rate", q.maxRate)}\n`;
  }
  if (queues.length === 0 && port !== 0) out += ` port=${formatPort(port, o.ports)}\n`;
  return out;
}
