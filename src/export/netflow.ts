/**
 * NetFlow of one bridge, version 5 or 9 (upstream: `ofproto/netflow.c`): each IPv4 connection that megaflows carry is an
 * entry that their statistics are added to; it is reported when it changes its output, every `activeTimeoutMs`, when it
 * has ended, and when the exporter closes. Version 9 reports IPv6 as well.
 */
import {
  type Flow,
  W_ETH_TYPE,
  W_IN_PORT,
  W_IPV4_DST,
  W_IPV4_SRC,
  W_IPV6_DST,
  W_IPV6_SRC,
  W_NW,
  W_TP,
} from "../flow/layout.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { MessageWriter, makeTemplate, type RecordValues } from "./codec/ipfix.ts";
import { ByteWriter } from "./codec/layout.ts";
import { NETFLOW5_MAX_RECORDS, type Netflow5Record, writeNetflow5 } from "./codec/netflow5.ts";
import type { CollectorStatus, Collectors } from "./collectors.ts";
import { ipv6Bytes } from "./flow-bytes.ts";

export interface NetflowOptions {
  targets: readonly string[];
  /** 5, the original's, or 9. */
  version: 5 | 9;
  engineType: number;
  engineId: number;
  /** Interface numbers carry the engine ID in their upper seven bits. */
  addIdToInterface: boolean;
  /** 0: never. */
  activeTimeoutMs: number;
  /** Version 9: how often templates go out. */
  templateIntervalMs: number;
}

/** Output of a packet that leaves by several ports, and of one that leaves by none. */
export const OUTPUT_MULTI = 0xffff;
export const OUTPUT_NONE = 0;

const ETH_TYPE_IP = 0x0800;
const ETH_TYPE_IPV6 = 0x86dd;
const IPPROTO_ICMP = 1;
const IPPROTO_ICMPV6 = 58;
const RUN_INTERVAL_MS = 1000;
/** Largest number of octets that one version 5 record holds. */
const MAX_U32 = 0xffff_ffff;

interface Entry {
  key: string;
  /** Headers, as the flow layout has them. */
  flow: Flow;
  output: number;
  packets: number;
  bytes: number;
  tcpFlags: number;
  /** Clock of the first and last packet since the last report. */
  firstMs: number;
  usedMs: number;
  reportedMs: number;
}

const V9_COMMON = [
  "ingressInterface",
  "egressInterface",
  "packetDeltaCount",
  "octetDeltaCount",
  "flowStartSysUpTime",
  "flowEndSysUpTime",
  "sourceTransportPort",
  "destinationTransportPort",
  "tcpControlBits",
  "protocolIdentifier",
  "ipClassOfService",
] as const;
const V9_LENGTHS = { lengths: { tcpControlBits: 1 } };
const V9_IPV4 = makeTemplate(256, ["sourceIPv4Address", "destinationIPv4Address", ...V9_COMMON], V9_LENGTHS);
const V9_IPV6 = makeTemplate(257, ["sourceIPv6Address", "destinationIPv6Address", ...V9_COMMON], V9_LENGTHS);
/** Keeps a version 9 packet within an Ethernet frame. */
const V9_MAX_BYTES = 1400;

export class Netflow {
  readonly #clock: Clock;
  readonly #collectors: Collectors;
  readonly #entries = new Map<string, Entry>();
  readonly #out = new ByteWriter();
  readonly #bootMs: number;
  #options: NetflowOptions;
  #timer: Timer;
  #pending: Entry[] = [];
  /** Version 5 counts flows, version 9 packets. */
  #sequence = 0;
  #templatesSentMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, collectors: Collectors, options: NetflowOptions) {
    this.#clock = clock;
    this.#collectors = collectors;
    this.#bootMs = clock.now();
    this.#options = options;
    collectors.set(options.targets);
    collectors.returned = () => {
      this.#templatesSentMs = Number.NEGATIVE_INFINITY;
    };
    this.#timer = this.#arm();
  }

  get collectors(): readonly CollectorStatus[] {
    return this.#collectors.status();
  }

  configure(options: NetflowOptions): void {
    if (options.version !== this.#options.version) {
      this.#flush();
      this.#templatesSentMs = Number.NEGATIVE_INFINITY;
    }
    this.#options = options;
    if (this.#collectors.set(options.targets)) this.#templatesSentMs = Number.NEGATIVE_INFINITY;
  }

  #arm(): Timer {
    return this.#clock.background(RUN_INTERVAL_MS, () => {
      this.#timer = this.#arm();
      this.run();
    });
  }

  /** Packets of `flow` (with its OpenFlow in_port) left by `output`, an OpenFlow port or one of OUTPUT_*. */
  update(flow: Flow, output: number, packets: number, bytes: number, usedMs: number, tcpFlags: number): void {
    const type = flow[W_ETH_TYPE];
    if (packets === 0 || !(type === ETH_TYPE_IP || (type === ETH_TYPE_IPV6 && this.#options.version === 9)))
      return;
    const key = flowKey(flow);
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = {
        key,
        flow: flow.slice(),
        output,
        packets: 0,
        bytes: 0,
        tcpFlags: 0,
        firstMs: usedMs,
        usedMs,
        reportedMs: this.#clock.now(),
      };
      this.#entries.set(key, entry);
    } else if (entry.output !== output) {
      this.#report(entry);
      entry.output = output;
    }
    if (entry.packets === 0) entry.firstMs = usedMs;
    entry.packets += packets;
    entry.bytes += bytes;
    entry.tcpFlags |= tcpFlags;
    entry.usedMs = Math.max(entry.usedMs, usedMs);
  }

  /** Reports what is due; every second by itself. */
  run(): void {
    this.#collectors.forgetRefusals();
    const now = this.#clock.now();
    const timeout = this.#options.activeTimeoutMs;
    if (timeout > 0) {
      for (const entry of this.#entries.values()) {
        if (now < entry.reportedMs + timeout) continue;
        const idle = entry.usedMs < entry.reportedMs;
        this.#report(entry);
        if (idle) this.#entries.delete(entry.key);
      }
    }
    this.#flush();
  }

  /** The connection that a packet of `flow` belongs to has ended, or its megaflow has. */
  ended(flow: Flow): void {
    const entry = this.#entries.get(flowKey(flow));
    if (entry === undefined) return;
    this.#report(entry);
    this.#entries.delete(entry.key);
  }

  #report(entry: Entry): void {
    entry.reportedMs = this.#clock.now();
    if (entry.packets === 0) return;
    this.#pending.push({ ...entry });
    entry.packets = 0;
    entry.bytes = 0;
    entry.tcpFlags = 0;
    if (this.#pending.length >= NETFLOW5_MAX_RECORDS) this.#flush();
  }

  #flush(): void {
    if (this.#pending.length === 0) return;
    const pending = this.#pending;
    this.#pending = [];
    if (this.#options.version === 5) this.#send5(pending);
    else this.#send9(pending);
  }

  #interface(port: number): number {
    return this.#options.addIdToInterface
      ? ((this.#options.engineId & 0x7f) << 9) | (port & 0x1ff)
      : port & 0xffff;
  }

  #send5(entries: readonly Entry[]): void {
    const records = entries.flatMap((entry) => this.#records5(entry));
    while (records.length > 0) {
      const batch = records.splice(0, NETFLOW5_MAX_RECORDS);
      const wall = this.#clock.wall();
      this.#collectors.send(
        writeNetflow5(this.#out, {
          uptime_ms: (this.#clock.now() - this.#bootMs) >>> 0,
          unix_seconds: Math.floor(wall / 1000),
          unix_nanoseconds: Math.floor(wall % 1000) * 1_000_000,
          sequence: this.#sequence,
          engine_type: this.#options.engineType,
          engine_id: this.#options.engineId,
          sampling: 0,
          records: batch,
        }),
      );
      this.#sequence = (this.#sequence + batch.length) >>> 0;
    }
  }

  /** More than one where the octets do not fit into 32 bits; packets are shared out in proportion. */
  #records5(entry: Entry): Netflow5Record[] {
    const records: Netflow5Record[] = [];
    let { packets, bytes } = entry;
    const perPacket = bytes / packets;
    while (packets > 0) {
      const part = bytes <= MAX_U32 ? packets : Math.max(1, Math.floor(MAX_U32 / perPacket));
      const octets = bytes <= MAX_U32 ? bytes : Math.round(part * perPacket);
      records.push(this.#record5(entry, Math.min(part, MAX_U32), octets));
      packets -= part;
      bytes -= octets;
    }
    return records;
  }

  #record5(
    { flow, output, firstMs, usedMs, tcpFlags }: Entry,
    packets: number,
    octets: number,
  ): Netflow5Record {
    return {
      source: flow[W_IPV4_SRC]! >>> 0,
      destination: flow[W_IPV4_DST]! >>> 0,
      next_hop: 0,
      input: this.#interface(flow[W_IN_PORT]!),
      output: this.#interface(output),
      packets,
      octets,
      first_ms: (firstMs - this.#bootMs) >>> 0,
      last_ms: (usedMs - this.#bootMs) >>> 0,
      ...ports(flow),
      tcp_flags: tcpFlags & 0xff,
      protocol: flow[W_NW]! & 0xff,
      tos: (flow[W_NW]! >>> 8) & 0xff,
      source_as: 0,
      destination_as: 0,
      source_mask: 0,
      destination_mask: 0,
    };
  }

  #send9(entries: readonly Entry[]): void {
    let writer: MessageWriter | undefined;
    for (const [template, v6] of [
      [V9_IPV4, false],
      [V9_IPV6, true],
    ] as const) {
      let open = false;
      for (const entry of entries) {
        if ((entry.flow[W_ETH_TYPE] === ETH_TYPE_IPV6) !== v6) continue;
        if (writer !== undefined && writer.out.length > V9_MAX_BYTES - 64) {
          this.#collectors.send(writer.end());
          writer = undefined;
        }
        if (writer === undefined) {
          writer = this.#begin9();
          open = false;
        }
        if (!open) writer.data(template);
        open = true;
        writer.record(template, this.#record9(entry));
      }
    }
    if (writer !== undefined) this.#collectors.send(writer.end());
  }

  #begin9(): MessageWriter {
    const now = this.#clock.now();
    const writer = new MessageWriter(this.#out, {
      protocol: "netflow9",
      exportTime: Math.floor(this.#clock.wall() / 1000),
      sequence: this.#sequence++ >>> 0,
      domain: (this.#options.engineType << 8) | this.#options.engineId,
      uptimeMs: (now - this.#bootMs) >>> 0,
    });
    if (now >= this.#templatesSentMs + this.#options.templateIntervalMs) {
      writer.templates([V9_IPV4, V9_IPV6]);
      this.#templatesSentMs = now;
    }
    return writer;
  }

  #record9({ flow, output, packets, bytes, firstMs, usedMs, tcpFlags }: Entry): RecordValues {
    const { source_port, destination_port } = ports(flow);
    const addresses =
      flow[W_ETH_TYPE] === ETH_TYPE_IP
        ? { sourceIPv4Address: flow[W_IPV4_SRC]! >>> 0, destinationIPv4Address: flow[W_IPV4_DST]! >>> 0 }
        : {
            sourceIPv6Address: ipv6Bytes(flow, W_IPV6_SRC),
            destinationIPv6Address: ipv6Bytes(flow, W_IPV6_DST),
          };
    return {
      ...addresses,
      ingressInterface: this.#interface(flow[W_IN_PORT]!),
      egressInterface: this.#interface(output),
      packetDeltaCount: packets,
      octetDeltaCount: bytes,
      flowStartSysUpTime: (firstMs - this.#bootMs) >>> 0,
      flowEndSysUpTime: (usedMs - this.#bootMs) >>> 0,
      sourceTransportPort: source_port,
      destinationTransportPort: destination_port,
      tcpControlBits: tcpFlags & 0xff,
      protocolIdentifier: flow[W_NW]! & 0xff,
      ipClassOfService: (flow[W_NW]! >>> 8) & 0xff,
    };
  }

  /** Reports what is left. */
  close(): void {
    this.#timer.cancel();
    for (const entry of this.#entries.values()) this.#report(entry);
    this.#entries.clear();
    this.#flush();
    this.#collectors.close();
  }
}

/** Transport ports; of ICMP the type and code in the place of the destination's. */
function ports(flow: Flow): { source_port: number; destination_port: number } {
  const tp = flow[W_TP]!;
  const protocol = flow[W_NW]! & 0xff;
  const icmp = protocol === IPPROTO_ICMP || protocol === IPPROTO_ICMPV6;
  const [source, destination] = [tp >>> 16, tp & 0xffff];
  return icmp
    ? { source_port: 0, destination_port: ((source & 0xff) << 8) | (destination & 0xff) }
    : { source_port: source, destination_port: destination };
}

/** What tells connections apart: port, addresses, protocol, service, transport ports. */
function flowKey(flow: Flow): string {
  const common = `${flow[W_IN_PORT]}/${flow[W_NW]! & 0xffff}/${flow[W_TP]}`;
  if (flow[W_ETH_TYPE] === ETH_TYPE_IP) return `${common}/${flow[W_IPV4_SRC]}/${flow[W_IPV4_DST]}`;
  return `${common}/${flow.subarray(W_IPV6_SRC, W_IPV6_SRC + 4)}/${flow.subarray(W_IPV6_DST, W_IPV6_DST + 4)}`;
}
