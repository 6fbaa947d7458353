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
import { hashAdd, hashFinish } from "../lib/hash.ts";
import type { IpfixStats } from "../ofproto/sampling.ts";
import type { ElementName } from "./codec/information-elements.ts";
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

/** What tells flows apart, as {@link writeKey} writes it: words, and what words cannot say. */
const KEY_WORDS = 21;
/** So many hashes there are: enough to tell a million flows apart, and few enough that some have the same. */
const HASH_MASK = 0xfffff;

interface Entry {
  key: Int32Array;
  input: string | undefined;
  output: string | undefined;
  tunnel: string | undefined;
  /** Another flow whose key has the same hash. */
  same: Entry | undefined;
  /** The flow that came next. */
  newer: Entry | undefined;
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
  /** The exporter's sums after the last packet, in the order of {@link TOTALS}. */
  totals: Float64Array;
}

export class IpfixExporter {
  readonly #clock: Clock;
  readonly #collectors: Collectors;
  readonly #out = new ByteWriter();
  readonly #totals = new Float64Array(TOTALS.length);
  /** Flows under way by the hash of their keys: the first of each list. */
  readonly #cache = new Map<number, Entry>();
  #oldest: Entry | undefined = undefined;
  #newest: Entry | undefined = undefined;
  #flows = 0;
  /** Of the packet at hand. */
  readonly #key = new Int32Array(KEY_WORDS);
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
      currentFlows: this.#flows,
      tx: this.#collectors.sent,
      txErrors: this.#collectors.errors,
    };
  }

  /** Adds a packet that the datapath sampled; keeps nothing of `sample`. */
  sample(sample: IpfixSample): void {
    const kind = kindOf(sample);
    this.#count(kind, sample);
    const now = this.#clock.now();
    const key = this.#key;
    writeKey(sample, kind, key);
    const hash = hashKey(key);
    const tunnel = sample.tunnel && tunnelText(sample.tunnel);
    const first = this.#cache.get(hash);
    let entry = first;
    while (entry !== undefined && !isOf(entry, key, sample, tunnel)) entry = entry.same;
    if (entry !== undefined) {
      this.#add(entry, sample, now);
      return;
    }
    entry = this.#newEntry(sample, kind, tunnel, now);
    this.#stats.flows++;
    this.#add(entry, sample, now);
    if (this.#options.cacheActiveTimeoutMs <= 0 || this.#options.cacheMaxFlows <= 0) {
      this.#finish(entry, END_ACTIVE_TIMEOUT);
      this.#sendFinished();
      return;
    }
    entry.same = first;
    this.#cache.set(hash, entry);
    if (this.#newest === undefined) this.#oldest = entry;
    else this.#newest.newer = entry;
    this.#newest = entry;
    if (++this.#flows > this.#options.cacheMaxFlows) this.#finishOldest(this.#oldest!, END_LACK_OF_RESOURCES);
  }

  /** Takes the oldest flow out of the cache. */
  #finishOldest(oldest: Entry, reason: number): void {
    this.#oldest = oldest.newer;
    if (oldest.newer === undefined) this.#newest = undefined;
    this.#flows--;
    const hash = hashKey(oldest.key);
    let other = this.#cache.get(hash)!;
    if (other !== oldest) {
      while (other.same !== oldest) other = other.same!;
      other.same = oldest.same;
    } else if (oldest.same === undefined) this.#cache.delete(hash);
    else this.#cache.set(hash, oldest.same);
    oldest.same = undefined;
    oldest.newer = undefined;
    this.#finish(oldest, reason);
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

  #newEntry(sample: IpfixSample, kind: RecordKind, tunnel: string | undefined, now: number): Entry {
    return {
      key: this.#key.slice(),
      input: sample.input?.name,
      output: sample.output?.name,
      tunnel,
      same: undefined,
      newer: undefined,
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
      totals: new Float64Array(TOTALS.length),
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
    t[T_PACKETS]! += weight;
    t[T_OCTETS]! += octets;
    t[T_OCTET_SQUARES]! += squares;
    t[T_LAYER2_OCTETS]! += length * weight;
    if (sample.dropped) {
      entry.dropped += weight;
      entry.droppedOctets += octets;
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
      entry.multicastOut += weight;
      entry.multicastOctetsOut += octets;
    } else t[T_EGRESS_UNICAST]! += weight;
    for (let i = 0; i < TCP_FLAGS.length; i++) {
      if ((tcpFlags & TCP_FLAGS[i]!) !== 0) t[T_TCP + i]! += weight;
    }
    const { totals } = entry;
    for (let i = 0; i < TOTALS.length; i++) totals[i] = t[i]!;
  }

  /** Once a second: flows that are old enough, statistics that are due. */
  tick(): void {
    this.#collectors.forgetRefusals();
    const now = this.#clock.now();
    const limit = now - this.#options.cacheActiveTimeoutMs;
    while (this.#oldest !== undefined && this.#oldest.firstMs <= limit)
      this.#finishOldest(this.#oldest, END_ACTIVE_TIMEOUT);
    if (this.#stats.packets > 0 && now >= this.#statsSentMs + this.#options.statsIntervalMs)
      this.#sendStats(now);
    this.#sendFinished();
  }

  /** Ends all flows. */
  flush(reason = END_FORCED): void {
    while (this.#oldest !== undefined) this.#finishOldest(this.#oldest, reason);
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
      ...Object.fromEntries(TOTALS.map((name, i) => [name, entry.totals[i]!])),
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
  return recordKind(
    flow[W_VLAN0] === 0 ? L2.ethernet : L2.vlan,
    l3,
    l3 === L3.unknown ? L4.unknown : icmp ? L4.icmp : (L4_OF_PROTOCOL[protocol] ?? L4.unknown),
    tunnel !== undefined,
    output !== undefined,
  );
}

/** What tells flows apart, but for the names of ports and the tunnel. */
function writeKey(sample: IpfixSample, kind: RecordKind, key: Int32Array): void {
  const { flow, input, output } = sample;
  const { l3, l4 } = kind;
  key[0] = templateId(kind);
  key[1] = sample.domain;
  key[2] = sample.point;
  key[3] = input === undefined ? -1 : input.ifIndex;
  key[4] = output === undefined ? -1 : output.ifIndex;
  key[5] = flow[W_ETH_DST_HI]!;
  key[6] = flow[W_ETH_DST_SRC]!;
  key[7] = flow[W_ETH_SRC_LO]!;
  key[8] = flow[W_ETH_TYPE]!;
  key[9] = flow[W_VLAN0]!;
  key[10] = l3 === L3.unknown ? 0 : flow[W_NW]! & 0xffffff;
  key[11] = l4 === L4.unknown ? 0 : flow[W_TP]!;
  if (l3 === L3.ipv6) {
    for (let word = W_IPV6_SRC, at = 12; word <= W_IPV6_LABEL; word++, at++) key[at] = flow[word]!;
    return;
  }
  key[12] = l3 === L3.ipv4 ? flow[W_IPV4_SRC]! : 0;
  key[13] = l3 === L3.ipv4 ? flow[W_IPV4_DST]! : 0;
  for (let at = 14; at < KEY_WORDS; at++) key[at] = 0;
}

function hashKey(key: Int32Array): number {
  let hash = 0;
  for (let i = 0; i < KEY_WORDS; i++) hash = hashAdd(hash, key[i]!);
  return hashFinish(hash, KEY_WORDS) & HASH_MASK;
}

function isOf(entry: Entry, key: Int32Array, sample: IpfixSample, tunnel: string | undefined): boolean {
  const own = entry.key;
  for (let i = 0; i < KEY_WORDS; i++) if (own[i] !== key[i]) return false;
  return (
    entry.input === sample.input?.name && entry.output === sample.output?.name && entry.tunnel === tunnel
  );
}

function tunnelText(tunnel: TunnelInfo): string {
  return JSON.stringify(tunnel, (_, v) => (v instanceof Uint8Array ? [...v] : v));
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
