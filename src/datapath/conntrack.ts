/**
 * Tracked connections as a datapath tells of them, and as text: what `dpctl/dump-conntrack` prints (upstream: lib/ct-dpif).
 * Pure.
 */
import { formatFlags } from "../flow/flags.ts";
import {
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_IGMP,
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
} from "../flow/packet/ethernet.ts";
import { formatIpv6 } from "../lib/ip.ts";

const IPPROTO_DCCP = 33;
const IPPROTO_UDPLITE = 136;

export interface CtTuple {
  /** 4 or 16 bytes. */
  readonly src: Uint8Array;
  readonly dst: Uint8Array;
  readonly proto: number;
  /** Ports; of ICMP the identifier and type << 8 | code. */
  readonly tpSrc: number;
  readonly tpDst: number;
}

export interface CtCounters {
  readonly packets: number;
  readonly bytes: number;
}

export type CtProtoinfo =
  | {
      readonly proto: typeof IPPROTO_TCP;
      /** Places in {@link TCP_STATES}. */
      readonly stateOrig: number;
      readonly stateReply: number;
      readonly wscaleOrig: number;
      readonly wscaleReply: number;
      readonly flagsOrig: number;
      readonly flagsReply: number;
    }
  | {
      readonly proto: typeof IPPROTO_SCTP;
      /** Place in {@link SCTP_STATES}. */
      readonly state: number;
      readonly vtagOrig: number;
      readonly vtagReply: number;
    };

export interface CtEntry {
  readonly orig: CtTuple;
  readonly reply: CtTuple;
  /** Of the connection that this one was expected by. */
  readonly parent: CtTuple | undefined;
  readonly id: number;
  readonly zone: number;
  /** Bits of {@link STATUS}. */
  readonly status: number;
  readonly timeoutSec: number;
  readonly mark: number;
  readonly labels: bigint;
  readonly countersOrig: CtCounters;
  readonly countersReply: CtCounters;
  /** Nanoseconds since 1970, 0 when not known. */
  readonly startNs: bigint;
  readonly stopNs: bigint;
  readonly protoinfo: CtProtoinfo | undefined;
  readonly helper: string;
}

/** Zone -1 is the default's. */
export interface CtLimit {
  readonly zone: number;
  readonly limit: number;
  readonly count: number;
}

/** A datapath's table of connections. All but the first throws an errno error when the kernel does not want to. */
export interface DpConntrack {
  /** Of one zone, or all. Read on as one goes on: what changes meanwhile may be seen or not. */
  dump(zone: number | undefined): Iterable<CtEntry>;
  /** One connection of a zone (0 unless told), all of a zone, or all. */
  flush(zone: number | undefined, orig: CtTuple | undefined): void;
  /** Of these zones and the default, or of all that have a limit. */
  limits(zones: readonly number[]): CtLimit[];
  setLimits(limits: readonly Omit<CtLimit, "count">[]): void;
  removeLimits(zones: readonly number[]): void;
}

export const TCP_STATES = [
  "CLOSED",
  "LISTEN",
  "SYN_SENT",
  "SYN_RECV",
  "ESTABLISHED",
  "CLOSE_WAIT",
  "FIN_WAIT_1",
  "CLOSING",
  "LAST_ACK",
  "FIN_WAIT_2",
  "TIME_WAIT",
] as const;
export const SCTP_STATES = [
  "CLOSED",
  "COOKIE_WAIT",
  "COOKIE_ECHOED",
  "ESTABLISHED",
  "SHUTDOWN_SENT",
  "SHUTDOWN_RECD",
  "SHUTDOWN_ACK_SENT",
  "HEARTBEAT_SENT",
  "HEARTBEAT_ACKED",
] as const;
const STATUS_NAMES = [
  "EXPECTED",
  "SEEN_REPLY",
  "ASSURED",
  "CONFIRMED",
  "SRC_NAT",
  "DST_NAT",
  "SEQ_ADJUST",
  "SRC_NAT_DONE",
  "DST_NAT_DONE",
  "DYING",
  "FIXED_TIMEOUT",
  "TEMPLATE",
  "UNTRACKED",
];
const STATUS = { names: STATUS_NAMES, all: (1 << STATUS_NAMES.length) - 1, what: "status" };
/** A connection that only says how others are to be: none. */
export const STATUS_TEMPLATE = 1 << STATUS_NAMES.indexOf("TEMPLATE");
const TCP_FLAGS = {
  names: ["WINDOW_SCALE", "SACK_PERM", "CLOSE_INIT", "BE_LIBERAL", "DATA_UNACKNOWLEDGED", "MAXACK_SET"],
  all: 0x3f,
  what: "TCP",
};

const PROTOCOLS: ReadonlyMap<number, string> = new Map([
  [IPPROTO_ICMP, "icmp"],
  [IPPROTO_ICMPV6, "icmpv6"],
  [IPPROTO_TCP, "tcp"],
  [IPPROTO_UDP, "udp"],
  [IPPROTO_SCTP, "sctp"],
  [IPPROTO_UDPLITE, "udplite"],
  [IPPROTO_DCCP, "dccp"],
  [IPPROTO_IGMP, "igmp"],
]);

/** The state of a connection, of the two ends' that which is further; what the kernel alone tells apart is one. */
export function tcpState(info: CtProtoinfo & { proto: typeof IPPROTO_TCP }): number {
  const state = Math.max(info.stateOrig, info.stateReply);
  if (TCP_STATES[state] === "FIN_WAIT_2") return TCP_STATES.indexOf("TIME_WAIT");
  if (TCP_STATES[state] === "SYN_RECV") return TCP_STATES.indexOf("ESTABLISHED");
  return state;
}

export const isIcmp = (proto: number): boolean => proto === IPPROTO_ICMP || proto === IPPROTO_ICMPV6;

const address = (bytes: Uint8Array): string => (bytes.length === 4 ? bytes.join(".") : formatIpv6(bytes));

function formatTuple({ src, dst, proto, tpSrc, tpDst }: CtTuple, counters?: CtCounters): string {
  const ends = isIcmp(proto)
    ? `id=${tpSrc},type=${tpDst >>> 8},code=${tpDst & 0xff}`
    : `sport=${tpSrc},dport=${tpDst}`;
  const counted =
    counters !== undefined && (counters.packets > 0 || counters.bytes > 0)
      ? `,packets=${counters.packets},bytes=${counters.bytes}`
      : "";
  return `(src=${address(src)},dst=${address(dst)},${ends}${counted})`;
}

const name = (names: readonly string[], at: number): string => names[at] ?? `[${at}]`;

function formatProtoinfo(info: CtProtoinfo, verbose: boolean): string {
  if (info.proto === IPPROTO_SCTP)
    return `state=${name(SCTP_STATES, info.state)},vtag_orig=${info.vtagOrig},vtag_reply=${info.vtagReply}`;
  if (!verbose) return `state=${name(TCP_STATES, tcpState(info))}`;
  const scales =
    info.wscaleOrig > 0 || info.wscaleReply > 0
      ? `,wscale_orig=${info.wscaleOrig},wscale_reply=${info.wscaleReply}`
      : "";
  return (
    `state_orig=${name(TCP_STATES, info.stateOrig)},state_reply=${name(TCP_STATES, info.stateReply)}${scales}` +
    `,flags_orig=${formatFlags(TCP_FLAGS, info.flagsOrig)},flags_reply=${formatFlags(TCP_FLAGS, info.flagsReply)}`
  );
}

const timestamp = (ns: bigint): string => new Date(Number(ns / 1_000_000n)).toISOString().replace(/Z$/, "");

/** One line, without its end. `statistics`: counters, times and what is left of the time, too. */
export function formatCtEntry(entry: CtEntry, verbose: boolean, statistics: boolean): string {
  const { orig, reply, parent, protoinfo } = entry;
  let text = PROTOCOLS.get(orig.proto) ?? String(orig.proto);
  text += `,orig=${formatTuple(orig, statistics ? entry.countersOrig : undefined)}`;
  text += `,reply=${formatTuple(reply, statistics ? entry.countersReply : undefined)}`;
  if (statistics && entry.startNs !== 0n) text += `,start=${timestamp(entry.startNs)}`;
  if (statistics && entry.stopNs !== 0n) text += `,stop=${timestamp(entry.stopNs)}`;
  if (verbose) text += `,id=${entry.id}`;
  if (entry.zone !== 0) text += `,zone=${entry.zone}`;
  if (verbose) text += `,status=${formatFlags(STATUS, entry.status & STATUS.all)}`;
  if (statistics) text += `,timeout=${entry.timeoutSec}`;
  if (entry.mark !== 0) text += `,mark=${entry.mark}`;
  if (entry.labels !== 0n) text += `,labels=0x${entry.labels.toString(16)}`;
  if (protoinfo !== undefined) text += `,protoinfo=(${formatProtoinfo(protoinfo, verbose)})`;
  if (entry.helper !== "") text += `,helper=${entry.helper}`;
  if (verbose && parent !== undefined) text += `,parent=${formatTuple(parent)}`;
  return text;
}

/** In the order in which `ct-stats-show` prints them. */
const COUNTED: readonly (readonly [proto: number, label: string])[] = [
  [IPPROTO_TCP, "TCP"],
  [IPPROTO_UDP, "UDP"],
  [IPPROTO_UDPLITE, "UDPLITE"],
  [IPPROTO_SCTP, "SCTP"],
  [IPPROTO_ICMP, "ICMP"],
  [IPPROTO_DCCP, "DCCP"],
  [IPPROTO_IGMP, "IGMP"],
];
/** It counts those of ICMPv6 in the total alone. */
const UNTOLD: ReadonlySet<number> = new Set([IPPROTO_ICMPV6]);

/** Counts connections for `dpctl/ct-stats-show`. */
export class CtStats {
  #total = 0;
  readonly #protocols = new Map<number, number>();
  readonly #tcpStates = TCP_STATES.map(() => 0);

  add({ orig: { proto }, protoinfo }: CtEntry): void {
    this.#total++;
    this.#protocols.set(proto, (this.#protocols.get(proto) ?? 0) + 1);
    if (protoinfo?.proto === IPPROTO_TCP) {
      const state = tcpState(protoinfo);
      if (state < TCP_STATES.length) this.#tcpStates[state] = this.#tcpStates[state]! + 1;
    }
  }

  format(verbose: boolean): string {
    let text = `Connections Stats:\n    Total: ${this.#total}\n`;
    let others = 0;
    for (const [proto, count] of this.#protocols)
      if (!UNTOLD.has(proto) && !COUNTED.some(([counted]) => counted === proto)) others += count;
    for (const [proto, label] of COUNTED) {
      const count = this.#protocols.get(proto);
      if (count === undefined) continue;
      text += `  ${label}: ${count}\n`;
      if (proto !== IPPROTO_TCP || !verbose) continue;
      text += "    Conn per TCP states:\n";
      for (const [state, connections] of this.#tcpStates.entries())
        if (connections > 0) text += `\t  [${TCP_STATES[state]}]=${connections}\n`;
    }
    return others > 0 ? `${text}  Other: ${others}\n` : text;
  }
}
