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
import { MessageWriter, type RecordValues, type Template } from "./codec/ipfix.ts";
import { ByteWriter } from "./codec/layout.ts";
import type { CollectorStatus, Collectors } from "./collectors.ts";
import { ethDstBytes, ethSrcBytes, ipv6Bytes } from "./flow-bytes.ts";
import {
  dataTemplates,
  exporterStatistics,
  L2,
  L3,
  L4,
  type RecordKind,
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
class Totals {
  packets = 0;
  octets = 0;
  octetSquares = 0;
  layer2Octets = 0;
  dropped = 0;
  droppedOctets = 0;
  ingressUnicast = 0;
  ingressMulticast = 0;
  ingressBroadcast = 0;
  egressUnicast = 0;
  egressBroadcast = 0;
  multicastOut = 0;
  multicastOctetsOut = 0;
  tcp = [0, 0, 0, 0, 0, 0];
}

interface Entry {
  template: Template;
  domain: number;
  /** What does not change from packet to packet. */
  fixed: RecordValues;
  firstMs: number;
  lastMs: number;
  packets: number;
  octets: number;
  octetSquares: number;
  layer2Octets: number;
  dropped: number;
  droppedOctets: number;
  minLength: number;
  maxLength: number;
  multicastOut: number;
  multicastOctetsOut: number;
  /** The exporter's sums after the last packet. */
  totals: RecordValues;
}

export class IpfixExporter {
  readonly #clock: Clock;
  readonly #collectors: Collectors;
  readonly #out = new ByteWriter();
  readonly #totals = new Totals();
  /** Oldest first. */
  readonly #cache = new Map<string, Entry>();
  #options: IpfixOptions;
  #templates: ReadonlyMap<number, Template>;
  #timer: Timer;
  /** Finished flows that wait for company, by domain. */
  readonly #finished = new Map<number, { entry: Entry; reason: number }[]>();
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

  /** Adds a packet that the datapath sampled. */
  sample(sample: IpfixSample): void {
    const kind = kindOf(sample);
    this.#count(kind, sample);
    const now = this.#clock.now();
    const key = `${sample.domain}/${sample.point}/${templateId(kind)}/${flowKey(sample, kind)}`;
    let entry = this.#cache.get(key);
    if (entry === undefined) {
      entry = this.#newEntry(sample, kind, now);
      this.#stats.flows++;
      const cached = this.#options.cacheActiveTimeoutMs > 0 && this.#options.cacheMaxFlows > 0;
      this.#add(entry, sample, now);
      if (!cached) {
        this.#finish(entry, END_ACTIVE_TIMEOUT);
        this.#sendFinished();
        return;
      }
      this.#cache.set(key, entry);
      if (this.#cache.size > this.#options.cacheMaxFlows) {
        const [oldest, victim] = this.#cache.entries().next().value!;
        this.#cache.delete(oldest);
        this.#finish(victim, END_LACK_OF_RESOURCES);
      }
    } else this.#add(entry, sample, now);
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

  #newEntry(sample: IpfixSample, kind: RecordKind, now: number): Entry {
    return {
      template: this.#templates.get(templateId(kind))!,
      domain: sample.domain,
      fixed: fixedValues(sample, kind, this.#options.virtualObsId),
      firstMs: now,
      lastMs: now,
      packets: 0,
      octets: 0,
      octetSquares: 0,
      layer2Octets: 0,
      dropped: 0,
      droppedOctets: 0,
      minLength: Number.POSITIVE_INFINITY,
      maxLength: 0,
      multicastOut: 0,
      multicastOctetsOut: 0,
      totals: {},
    };
  }

  #add(entry: Entry, sample: IpfixSample, now: number): void {
    const { flow, length, ipLength, weight, output, tcpFlags } = sample;
    const t = this.#totals;
    const octets = ipLength * weight;
    const squares = ipLength * ipLength * weight;
    entry.lastMs = now;
    entry.packets += weight;
    entry.octets += octets;
    entry.octetSquares += squares;
    entry.layer2Octets += length * weight;
    entry.minLength = Math.min(entry.minLength, ipLength);
    entry.maxLength = Math.max(entry.maxLength, ipLength);
    t.packets += weight;
    t.octets += octets;
    t.octetSquares += squares;
    t.layer2Octets += length * weight;
    if (sample.dropped) {
      entry.dropped += weight;
      entry.droppedOctets += octets;
      t.dropped += weight;
      t.droppedOctets += octets;
    }
    const multicast = (flow[W_ETH_DST_HI]! & 0x01000000) !== 0;
    const broadcast = flow[W_ETH_DST_HI] === -1 && flow[W_ETH_DST_SRC]! >>> 16 === 0xffff;
    if (output === undefined) {
      if (broadcast) t.ingressBroadcast += weight;
      else if (multicast) t.ingressMulticast += weight;
      else t.ingressUnicast += weight;
    } else if (broadcast) t.egressBroadcast += weight;
    else if (multicast) {
      t.multicastOut += weight;
      t.multicastOctetsOut += octets;
      entry.multicastOut += weight;
      entry.multicastOctetsOut += octets;
    } else t.egressUnicast += weight;
    for (let i = 0; i < TCP_FLAGS.length; i++) {
      if ((tcpFlags & TCP_FLAGS[i]!) !== 0) t.tcp[i] = t.tcp[i]! + weight;
    }
    entry.totals = {
      packetTotalCount: t.packets,
      droppedPacketTotalCount: t.dropped,
      droppedOctetTotalCount: t.droppedOctets,
      ingressUnicastPacketTotalCount: t.ingressUnicast,
      ingressMulticastPacketTotalCount: t.ingressMulticast,
      ingressBroadcastPacketTotalCount: t.ingressBroadcast,
      egressUnicastPacketTotalCount: t.egressUnicast,
      egressBroadcastPacketTotalCount: t.egressBroadcast,
      postMCastPacketTotalCount: t.multicastOut,
      layer2OctetTotalCount: t.layer2Octets,
      octetTotalCount: t.octets,
      octetTotalSumOfSquares: t.octetSquares,
      postMCastOctetTotalCount: t.multicastOctetsOut,
      tcpAckTotalCount: t.tcp[0]!,
      tcpFinTotalCount: t.tcp[1]!,
      tcpPshTotalCount: t.tcp[2]!,
      tcpRstTotalCount: t.tcp[3]!,
      tcpSynTotalCount: t.tcp[4]!,
      tcpUrgTotalCount: t.tcp[5]!,
    };
  }

  /** Once a second: flows that are old enough, statistics that are due. */
  tick(): void {
    this.#collectors.forgetRefusals();
    const now = this.#clock.now();
    const limit = now - this.#options.cacheActiveTimeoutMs;
    for (const [key, entry] of this.#cache) {
      if (entry.firstMs > limit) break;
      this.#cache.delete(key);
      this.#finish(entry, END_ACTIVE_TIMEOUT);
    }
    if (this.#stats.packets > 0 && now >= this.#statsSentMs + this.#options.statsIntervalMs)
      this.#sendStats(now);
    this.#sendFinished();
  }

  /** Ends all flows. */
  flush(reason = END_FORCED): void {
    for (const entry of this.#cache.values()) this.#finish(entry, reason);
    this.#cache.clear();
    this.#sendFinished();
  }

  #finish(entry: Entry, reason: number): void {
    const waiting = this.#finished.get(entry.domain);
    if (waiting === undefined) this.#finished.set(entry.domain, [{ entry, reason }]);
    else waiting.push({ entry, reason });
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

  #sendRecords(domain: number, waiting: readonly { entry: Entry; reason: number }[]): void {
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
    for (const { entry, reason } of waiting) {
      if (this.#out.length > MAX_MESSAGE_BYTES - 400) send();
      writer ??= this.#begin(domain);
      if (template !== entry.template) writer.data(entry.template);
      template = entry.template;
      writer.record(entry.template, this.#values(entry, reason));
      records++;
    }
    send();
  }

  #values(entry: Entry, reason: number): RecordValues {
    // Times are relative to the header's, which has whole seconds.
    const exportMs = Math.floor(this.#clock.wall() / 1000) * 1000;
    const offset = this.#clock.wall() - this.#clock.now();
    const delta = (ms: number): number => Math.max(0, Math.round((exportMs - (ms + offset)) * 1000)) >>> 0;
    return {
      ...entry.fixed,
      ...entry.totals,
      flowStartDeltaMicroseconds: delta(entry.firstMs),
      flowEndDeltaMicroseconds: delta(entry.lastMs),
      packetDeltaCount: entry.packets,
      droppedPacketDeltaCount: entry.dropped,
      droppedOctetDeltaCount: entry.droppedOctets,
      postMCastPacketDeltaCount: entry.multicastOut,
      layer2OctetDeltaCount: entry.layer2Octets,
      flowEndReason: reason,
      octetDeltaCount: entry.octets,
      octetDeltaSumOfSquares: entry.octetSquares,
      minimumIpTotalLength: entry.minLength,
      maximumIpTotalLength: entry.maxLength,
      postMCastOctetDeltaCount: entry.multicastOctetsOut,
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
  return {
    l2: flow[W_VLAN0] === 0 ? L2.ethernet : L2.vlan,
    l3,
    l4: l3 === L3.unknown ? L4.unknown : icmp ? L4.icmp : (L4_OF_PROTOCOL[protocol] ?? L4.unknown),
    tunnel: tunnel !== undefined,
    egress: output !== undefined,
  };
}

/** What tells flows of one kind apart. */
function flowKey({ flow, input, output, tunnel }: IpfixSample, { l3, l4 }: RecordKind): string {
  let key = `${input?.name}/${output?.name}/${flow[W_ETH_DST_HI]}/${flow[W_ETH_DST_SRC]}/${flow[W_ETH_SRC_LO]}/${flow[W_ETH_TYPE]}/${flow[W_VLAN0]}`;
  if (l3 !== L3.unknown) key += `/${flow[W_NW]! & 0xffffff}`;
  if (l3 === L3.ipv4) key += `/${flow[W_IPV4_SRC]}/${flow[W_IPV4_DST]}`;
  else if (l3 === L3.ipv6) key += `/${flow.subarray(W_IPV6_SRC, W_IPV6_LABEL + 1)}`;
  if (l4 !== L4.unknown) key += `/${flow[W_TP]}`;
  if (tunnel !== undefined)
    key += `/${JSON.stringify(tunnel, (_, v) => (v instanceof Uint8Array ? [...v] : v))}`;
  return key;
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
