/**
 * An IPFIX exporter (RFC 7011; upstream: `ofproto/ofproto-dpif-ipfix.c`): sampled packets are added up in a cache of
 * flows, which go out when they are old enough, when the cache is full, and when the exporter closes. Records share
 * messages; templates are sent at first, at every interval, and when a collector may have come back.
 */
import {
  type Flow,
  W_ETH_DST_HI,
  W_ETH_DST_SRC,
  W_ETH_SRC_LO,
  W_ETH_TYPE,
  W_IPV4_DST,
  W_IPV4_SRC,
  W_IPV6_DST,
  W_IPV6_LABEL,
  W_IPV6_SRC,
  W_NW,
  W_TP,
  W_VLAN0,
} from "../flow/layout.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import type { IpfixStats } from "../ofproto/sampling.ts";
import type { ElementName } from "./codec/information-elements.ts";
import { MessageWriter, type RecordValues, type Template } from "./codec/ipfix.ts";
import { ByteWriter } from "./codec/layout.ts";
import type { CollectorStatus, Collectors } from "./collectors.ts";
import { ethDstBytes, ethSrcBytes, ipv6Bytes } from "./flow-bytes.ts";
import { FlowCache } from "./ipfix-cache.ts";
import {
  dataTemplates,
  exporterStatistics,
  L2,
  L3,
  L4,
  type RecordKind,
  recordKind,
  templateId,
} from "./ipfix-templates.ts";
import type { TunnelInfo } from "./tunnels.ts";

export interface IpfixOptions {
  targets: readonly string[];
  /** How long packets of a flow are added up, in ms; 0: each is a record of its own. */
  cacheActiveTimeoutMs: number;
  /** 0: nothing is cached. */
  cacheMaxFlows: number;
  templateIntervalMs: number;
  statsIntervalMs: number;
  virtualObsId: string | undefined;
  /** Records tell of the tunnels that packets went through. */
  tunnels: boolean;
}

/** A port as records name it. */
export interface IpfixPort {
  ifIndex: number;
  /** IANA ifType. */
  ifType: number;
  name: string;
  description: string;
}

export interface IpfixSample {
  /** Headers of the packet. */
  flow: Flow;
  /** Bytes of the frame, without checksum. */
  length: number;
  /** Bytes from the IP header on, as that header says; 0 when it is damaged. */
  ipLength: number;
  tcpFlags: number;
  /** How many packets this one stands for. */
  weight: number;
  domain: number;
  point: number;
  input: IpfixPort | undefined;
  /** Sampled on its way out by this port. */
  output: IpfixPort | undefined;
  tunnel: TunnelInfo | undefined;
  /** It went nowhere. */
  dropped: boolean;
}

/** flowEndReason (RFC 5102 section 5.11.3). */
const END_ACTIVE_TIMEOUT = 2;
const END_FORCED = 4;
const END_LACK_OF_RESOURCES = 5;

const ETH_TYPE_IP = 0x0800;
const ETH_TYPE_IPV6 = 0x86dd;
const L4_OF_PROTOCOL: Readonly<Record<number, RecordKind["l4"]>> = { 6: L4.tcp, 17: L4.udp, 132: L4.sctp };
const IPPROTO_ICMP = 1;
const IPPROTO_ICMPV6 = 58;
const MAX_MESSAGE_BYTES = 1400;
const TICK_MS = 1000;
/** ACK, FIN, PSH, RST, SYN, URG in the order of the templates, as bits of the TCP header. */
const TCP_FLAGS = [0x10, 0x01, 0x08, 0x04, 0x02, 0x20] as const;

/** Running sums of the exporter, of which each record shows the state after its last packet. */
const TOTALS: readonly ElementName[] = [
  "packetTotalCount",
  "octetTotalCount",
  "octetTotalSumOfSquares",
  "layer2OctetTotalCount",
  "droppedPacketTotalCount",
  "droppedOctetTotalCount",
  "ingressUnicastPacketTotalCount",
  "ingressMulticastPacketTotalCount",
  "ingressBroadcastPacketTotalCount",
  "egressUnicastPacketTotalCount",
  "egressBroadcastPacketTotalCount",
  "postMCastPacketTotalCount",
  "postMCastOctetTotalCount",
  "tcpAckTotalCount",
  "tcpFinTotalCount",
  "tcpPshTotalCount",
  "tcpRstTotalCount",
  "tcpSynTotalCount",
  "tcpUrgTotalCount",
];
const T_PACKETS = 0;
const T_OCTETS = 1;
const T_OCTET_SQUARES = 2;
const T_LAYER2_OCTETS = 3;
const T_DROPPED = 4;
const T_DROPPED_OCTETS = 5;
const T_INGRESS_UNICAST = 6;
const T_INGRESS_MULTICAST = 7;
const T_INGRESS_BROADCAST = 8;
const T_EGRESS_UNICAST = 9;
const T_EGRESS_BROADCAST = 10;
const T_MULTICAST_OUT = 11;
const T_MULTICAST_OCTETS_OUT = 12;
/** Of the first of {@link TCP_FLAGS}; the others follow. */
const T_TCP = 13;

/** Words of what tells flows apart, as {@link IpfixExporter} writes them. */
const KEY_WORDS = 26;

// Sums of a flow, in ms, packets, octets.
const S_FIRST_MS = 0;
const S_LAST_MS = 1;
const S_PACKETS = 2;
const S_OCTETS = 3;
const S_OCTET_SQUARES = 4;
const S_LAYER2_OCTETS = 5;
const S_DROPPED = 6;
const S_DROPPED_OCTETS = 7;
const S_MIN_LENGTH = 8;
const S_MAX_LENGTH = 9;
const S_MULTICAST_OUT = 10;
const S_MULTICAST_OCTETS_OUT = 11;
/** The exporter's sums after the last packet, in the order of {@link TOTALS}. */
const S_TOTALS = 12;
const SUMS = S_TOTALS + TOTALS.length;

/** What does not change from packet to packet. */
interface Entry {
  template: Template;
  domain: number;
  fixed: RecordValues;
}

interface Finished {
  entry: Entry;
  sums: Float64Array;
  reason: number;
}

export class IpfixExporter {
  readonly #clock: Clock;
  readonly #collectors: Collectors;
  readonly #out = new ByteWriter();
  readonly #totals = new Float64Array(TOTALS.length);
  readonly #cache = new FlowCache<Entry>(KEY_WORDS, SUMS);
  /** Of the packet at hand. */
  readonly #key = new Int32Array(KEY_WORDS);
  /** Numbers of the ports that samples have named. */
  readonly #portNumbers = new Map<string, number>();
  #options: IpfixOptions;
  #templates: ReadonlyMap<number, Template>;
  #timer: Timer;
  /** Finished flows that wait for company, by domain. */
  readonly #finished = new Map<number, Finished[]>();
  /** Data records sent, by domain (RFC 7011 section 3.1). */
  readonly #sequences = new Map<number, number>();
  readonly #templatesSentMs = new Map<number, number>();
  #statsSentMs = Number.NEGATIVE_INFINITY;
  readonly #stats = { flows: 0, packets: 0, ipv4: 0, ipv6: 0, errors: 0, ipv4Errors: 0, ipv6Errors: 0 };

  constructor(clock: Clock, collectors: Collectors, options: IpfixOptions) {
    this.#clock = clock;
    this.#collectors = collectors;
    this.#options = options;
    this.#templates = dataTemplates(options.virtualObsId !== undefined);
    collectors.returned = () => this.#templatesSentMs.clear();
    collectors.preamble = () =>
      [...this.#templatesSentMs.keys()].flatMap((domain) => this.#templateMessages(domain));
    collectors.set(options.targets);
    this.#timer = this.#arm();
  }

  get options(): IpfixOptions {
    return this.#options;
  }

  get collectors(): readonly CollectorStatus[] {
    return this.#collectors.status();
  }

  configure(options: IpfixOptions): void {
    const before = this.#options;
    if (options.virtualObsId !== before.virtualObsId) {
      this.flush(END_FORCED);
      this.#templates = dataTemplates(options.virtualObsId !== undefined);
      this.#templatesSentMs.clear();
    }
    this.#options = options;
    if (this.#collectors.set(options.targets)) this.#templatesSentMs.clear();
    if (
      options.cacheMaxFlows < before.cacheMaxFlows ||
      options.cacheActiveTimeoutMs < before.cacheActiveTimeoutMs
    ) {
      this.flush(END_FORCED);
    }
  }

  #arm(): Timer {
    return this.#clock.background(TICK_MS, () => {
      this.#timer = this.#arm();
      this.tick();
    });
  }

  get stats(): IpfixStats {
    return {
      ...this.#stats,
      currentFlows: this.#cache.size,
      tx: this.#collectors.sent,
      txErrors: this.#collectors.errors,
    };
  }

  /** Adds a packet that the datapath sampled; keeps nothing of `sample`. */
  sample(sample: IpfixSample): void {
    const kind = kindOf(sample);
    this.#count(kind, sample);
    const now = this.#clock.now();
    const count = this.#writeKey(sample, kind);
    const cache = this.#cache;
    let row = cache.find(this.#key, count);
    if (row >= 0) {
      this.#add(row, sample, now);
      return;
    }
    row = cache.add(this.#key, {
      template: this.#templates.get(templateId(kind))!,
      domain: sample.domain,
      fixed: fixedValues(sample, kind, this.#options.virtualObsId),
    });
    cache.sums[row * SUMS + S_FIRST_MS] = now;
    cache.sums[row * SUMS + S_MIN_LENGTH] = Number.POSITIVE_INFINITY;
    this.#stats.flows++;
    this.#add(row, sample, now);
    if (this.#options.cacheActiveTimeoutMs <= 0 || this.#options.cacheMaxFlows <= 0) {
      this.#finishOldest(END_ACTIVE_TIMEOUT);
      this.#sendFinished();
    } else if (cache.size > this.#options.cacheMaxFlows) this.#finishOldest(END_LACK_OF_RESOURCES);
  }

  /** Writes what tells the packet's flow from others, and returns how many words that is. */
  #writeKey({ flow, domain, point, input, output, tunnel }: IpfixSample, kind: RecordKind): number {
    const key = this.#key;
    key[0] = templateId(kind);
    key[1] = domain;
    key[2] = point;
    key[3] = input === undefined ? 0 : this.#portNumber(input.name);
    key[4] = output === undefined ? 0 : this.#portNumber(output.name);
    key[5] = flow[W_ETH_DST_HI]!;
    key[6] = flow[W_ETH_DST_SRC]!;
    key[7] = flow[W_ETH_SRC_LO]!;
    key[8] = flow[W_ETH_TYPE]!;
    key[9] = flow[W_VLAN0]!;
    key[10] = kind.l3 === L3.unknown ? 0 : flow[W_NW]! & 0xffffff;
    key[11] = kind.l4 === L4.unknown ? 0 : flow[W_TP]!;
    let at = 12;
    if (kind.l3 === L3.ipv4) {
      key[at++] = flow[W_IPV4_SRC]!;
      key[at++] = flow[W_IPV4_DST]!;
    } else if (kind.l3 === L3.ipv6) {
      for (let word = W_IPV6_SRC; word <= W_IPV6_LABEL; word++) key[at++] = flow[word]!;
    }
    if (tunnel !== undefined) {
      key[at++] = tunnel.source;
      key[at++] = tunnel.destination;
      key[at++] = (tunnel.protocol << 16) | (tunnel.type << 8) | tunnel.tos;
      key[at++] = (tunnel.sourcePort << 16) | tunnel.destinationPort;
      key[at++] = tunnel.id;
    }
    return at;
  }

  #portNumber(name: string): number {
    let number = this.#portNumbers.get(name);
    if (number === undefined) {
      number = this.#portNumbers.size + 1;
      this.#portNumbers.set(name, number);
    }
    return number;
  }

  #count({ l3, l4 }: RecordKind, { ipLength }: IpfixSample): void {
    const stats = this.#stats;
    stats.packets++;
    // As the original has it, a transport protocol that no template is made for is an error, too.
    const whole = ipLength > 0 && l4 !== L4.unknown;
    if (l3 === L3.ipv4) {
      if (whole) stats.ipv4++;
      else stats.ipv4Errors++;
    } else if (l3 === L3.ipv6) {
      if (whole) stats.ipv6++;
      else stats.ipv6Errors++;
    }
    if (l3 !== L3.unknown && !whole) stats.errors++;
  }

  #add(row: number, sample: IpfixSample, now: number): void {
    const { flow, length, ipLength, weight, output, tcpFlags } = sample;
    const t = this.#totals;
    const octets = ipLength * weight;
    const squares = ipLength * ipLength * weight;
    const { sums } = this.#cache;
    const at = row * SUMS;
    sums[at + S_LAST_MS] = now;
    sums[at + S_PACKETS]! += weight;
    sums[at + S_OCTETS]! += octets;
    sums[at + S_OCTET_SQUARES]! += squares;
    sums[at + S_LAYER2_OCTETS]! += length * weight;
    sums[at + S_MIN_LENGTH] = Math.min(sums[at + S_MIN_LENGTH]!, ipLength);
    sums[at + S_MAX_LENGTH] = Math.max(sums[at + S_MAX_LENGTH]!, ipLength);
    t[T_PACKETS]! += weight;
    t[T_OCTETS]! += octets;
    t[T_OCTET_SQUARES]! += squares;
    t[T_LAYER2_OCTETS]! += length * weight;
    if (sample.dropped) {
      sums[at + S_DROPPED]! += weight;
      sums[at + S_DROPPED_OCTETS]! += octets;
      t[T_DROPPED]! += weight;
      t[T_DROPPED_OCTETS]! += octets;
    }
    const multicast = (flow[W_ETH_DST_HI]! & 0x01000000) !== 0;
    const broadcast = flow[W_ETH_DST_HI] === -1 && flow[W_ETH_DST_SRC]! >>> 16 === 0xffff;
    if (output === undefined) {
      t[broadcast ? T_INGRESS_BROADCAST : multicast ? T_INGRESS_MULTICAST : T_INGRESS_UNICAST]! += weight;
    } else if (broadcast) t[T_EGRESS_BROADCAST]! += weight;
    else if (multicast) {
      t[T_MULTICAST_OUT]! += weight;
      t[T_MULTICAST_OCTETS_OUT]! += octets;
      sums[at + S_MULTICAST_OUT]! += weight;
      sums[at + S_MULTICAST_OCTETS_OUT]! += octets;
    } else t[T_EGRESS_UNICAST]! += weight;
    for (let i = 0; i < TCP_FLAGS.length; i++) {
      if ((tcpFlags & TCP_FLAGS[i]!) !== 0) t[T_TCP + i]! += weight;
    }
    for (let i = 0; i < TOTALS.length; i++) sums[at + S_TOTALS + i] = t[i]!;
  }

  /** Once a second: flows that are old enough, statistics that are due. */
  tick(): void {
    this.#collectors.forgetRefusals();
    const now = this.#clock.now();
    const limit = now - this.#options.cacheActiveTimeoutMs;
    const cache = this.#cache;
    while (cache.oldest >= 0 && cache.sums[cache.oldest * SUMS + S_FIRST_MS]! <= limit)
      this.#finishOldest(END_ACTIVE_TIMEOUT);
    if (this.#stats.packets > 0 && now >= this.#statsSentMs + this.#options.statsIntervalMs)
      this.#sendStats(now);
    this.#sendFinished();
  }

  /** Ends all flows. */
  flush(reason = END_FORCED): void {
    while (this.#cache.size > 0) this.#finishOldest(reason);
    this.#sendFinished();
  }

  #finishOldest(reason: number): void {
    const cache = this.#cache;
    const at = cache.oldest * SUMS;
    const entry = cache.removeOldest();
    const finished = { entry, sums: cache.sums.slice(at, at + SUMS), reason };
    const waiting = this.#finished.get(entry.domain);
    if (waiting === undefined) this.#finished.set(entry.domain, [finished]);
    else waiting.push(finished);
  }

  #sendFinished(): void {
    for (const [domain, waiting] of this.#finished) {
      this.#sendTemplates(domain);
      this.#sendRecords(domain, waiting);
    }
    this.#finished.clear();
  }

  #begin(domain: number): MessageWriter {
    return new MessageWriter(this.#out, {
      protocol: "ipfix",
      exportTime: Math.floor(this.#clock.wall() / 1000),
      sequence: this.#sequences.get(domain) ?? 0,
      domain,
    });
  }

  #sendTemplates(domain: number): void {
    const now = this.#clock.now();
    const sent = this.#templatesSentMs.get(domain);
    if (sent !== undefined && now < sent + this.#options.templateIntervalMs) return;
    this.#templatesSentMs.set(domain, now);
    for (const message of this.#templateMessages(domain)) this.#collectors.send(message);
  }

  #templateMessages(domain: number): Uint8Array[] {
    const messages: Uint8Array[] = [];
    const all = [...this.#templates.values()];
    for (let first = 0; first < all.length; ) {
      const writer = this.#begin(domain);
      let size = 0;
      let next = first;
      // Four bytes a field, four more for an enterprise.
      for (; next < all.length && size < MAX_MESSAGE_BYTES - 300; next++)
        size += 4 + all[next]!.fields.length * 4.5;
      writer.templates(all.slice(first, next));
      messages.push(writer.end().slice());
      first = next;
    }
    return messages;
  }

  #sendRecords(domain: number, waiting: readonly Finished[]): void {
    let writer: MessageWriter | undefined;
    let records = 0;
    let template: Template | undefined;
    const send = (): void => {
      if (writer === undefined) return;
      this.#collectors.send(writer.end());
      this.#sequences.set(domain, ((this.#sequences.get(domain) ?? 0) + records) >>> 0);
      writer = undefined;
      template = undefined;
      records = 0;
    };
    for (const { entry, sums, reason } of waiting) {
      if (this.#out.length > MAX_MESSAGE_BYTES - 400) send();
      writer ??= this.#begin(domain);
      if (template !== entry.template) writer.data(entry.template);
      template = entry.template;
      writer.record(entry.template, this.#values(entry, sums, reason));
      records++;
    }
    send();
  }

  #values(entry: Entry, sums: Float64Array, reason: number): RecordValues {
    // Times are relative to the header's, which has whole seconds.
    const exportMs = Math.floor(this.#clock.wall() / 1000) * 1000;
    const offset = this.#clock.wall() - this.#clock.now();
    const delta = (ms: number): number => Math.max(0, Math.round((exportMs - (ms + offset)) * 1000)) >>> 0;
    return {
      ...entry.fixed,
      ...Object.fromEntries(TOTALS.map((name, i) => [name, sums[S_TOTALS + i]!])),
      flowStartDeltaMicroseconds: delta(sums[S_FIRST_MS]!),
      flowEndDeltaMicroseconds: delta(sums[S_LAST_MS]!),
      packetDeltaCount: sums[S_PACKETS]!,
      droppedPacketDeltaCount: sums[S_DROPPED]!,
      droppedOctetDeltaCount: sums[S_DROPPED_OCTETS]!,
      postMCastPacketDeltaCount: sums[S_MULTICAST_OUT]!,
      layer2OctetDeltaCount: sums[S_LAYER2_OCTETS]!,
      flowEndReason: reason,
      octetDeltaCount: sums[S_OCTETS]!,
      octetDeltaSumOfSquares: sums[S_OCTET_SQUARES]!,
      minimumIpTotalLength: sums[S_MIN_LENGTH]!,
      maximumIpTotalLength: sums[S_MAX_LENGTH]!,
      postMCastOctetDeltaCount: sums[S_MULTICAST_OCTETS_OUT]!,
    };
  }

  #sendStats(now: number): void {
    this.#statsSentMs = now;
    const writer = this.#begin(0);
    writer.templates([exporterStatistics]);
    writer.data(exporterStatistics);
    writer.record(exporterStatistics, {
      exportingProcessId: 0,
      notSentPacketTotalCount: this.#collectors.errors,
    });
    this.#sequences.set(0, ((this.#sequences.get(0) ?? 0) + 1) >>> 0);
    this.#collectors.send(writer.end());
  }

  close(): void {
    this.#timer.cancel();
    this.flush(END_FORCED);
    this.#collectors.close();
  }
}

function kindOf({ flow, output, tunnel }: IpfixSample): RecordKind {
  const type = flow[W_ETH_TYPE];
  const l3 = type === ETH_TYPE_IP ? L3.ipv4 : type === ETH_TYPE_IPV6 ? L3.ipv6 : L3.unknown;
  const protocol = flow[W_NW]! & 0xff;
  const icmp = protocol === (l3 === L3.ipv4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
  return recordKind(
    flow[W_VLAN0] === 0 ? L2.ethernet : L2.vlan,
    l3,
    l3 === L3.unknown ? L4.unknown : icmp ? L4.icmp : (L4_OF_PROTOCOL[protocol] ?? L4.unknown),
    tunnel !== undefined,
    output !== undefined,
  );
}

function fixedValues(
  { flow, point, input, output, tunnel }: IpfixSample,
  { l2, l3, l4 }: RecordKind,
  virtualObsId: string | undefined,
): RecordValues {
  const nw = flow[W_NW]!;
  const tos = (nw >>> 8) & 0xff;
  const tp = flow[W_TP]!;
  const tci = flow[W_VLAN0]! & 0xffff;
  return {
    observationPointId: point,
    flowDirection: output === undefined ? 0 : 1,
    sourceMacAddress: ethSrcBytes(flow),
    destinationMacAddress: ethDstBytes(flow),
    ethernetType: flow[W_ETH_TYPE]! & 0xffff,
    ethernetHeaderLength: l2 === L2.vlan ? 18 : 14,
    ingressInterface: input?.ifIndex ?? 0,
    ingressInterfaceType: input?.ifType ?? 0,
    interfaceName: input?.name ?? "",
    interfaceDescription: input?.description ?? "",
    ...(output !== undefined && {
      egressInterface: output.ifIndex,
      egressInterfaceType: output.ifType,
      interfaceName2: output.name,
      interfaceDescription2: output.description,
    }),
    vlanId: tci & 0xfff,
    dot1qVlanId: tci & 0xfff,
    dot1qPriority: tci >>> 13,
    ipVersion: l3 === L3.ipv4 ? 4 : 6,
    ipTTL: (nw >>> 16) & 0xff,
    protocolIdentifier: nw & 0xff,
    ipDiffServCodePoint: tos >>> 2,
    ipPrecedence: tos >>> 5,
    ipClassOfService: tos,
    sourceIPv4Address: flow[W_IPV4_SRC]! >>> 0,
    destinationIPv4Address: flow[W_IPV4_DST]! >>> 0,
    ...(l3 === L3.ipv6 && {
      sourceIPv6Address: ipv6Bytes(flow, W_IPV6_SRC),
      destinationIPv6Address: ipv6Bytes(flow, W_IPV6_DST),
      flowLabelIPv6: flow[W_IPV6_LABEL]!,
    }),
    ...(l4 === L4.icmp
      ? {
          icmpTypeIPv4: (tp >>> 16) & 0xff,
          icmpCodeIPv4: tp & 0xff,
          icmpTypeIPv6: (tp >>> 16) & 0xff,
          icmpCodeIPv6: tp & 0xff,
        }
      : { sourceTransportPort: tp >>> 16, destinationTransportPort: tp & 0xffff }),
    ...(tunnel !== undefined && {
      tunnelSourceIPv4Address: tunnel.source >>> 0,
      tunnelDestinationIPv4Address: tunnel.destination >>> 0,
      tunnelProtocolIdentifier: tunnel.protocol,
      tunnelSourceTransportPort: tunnel.sourcePort,
      tunnelDestinationTransportPort: tunnel.destinationPort,
      tunnelType: tunnel.type,
      tunnelKey: tunnel.key,
    }),
    ...(virtualObsId !== undefined && { virtualObsID: virtualObsId }),
  };
}
