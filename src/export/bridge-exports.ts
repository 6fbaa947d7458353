/**
 * The exporters of one bridge: what its sFlow, NetFlow, IPFIX and Flow_Sample_Collector_Set rows ask for, behind the face
 * that the switch logic knows ({@link BridgeSampling}).
 */
import type { DpStats } from "../datapath/dpif.ts";
import type { Packet } from "../datapath/packet.ts";
import { type Flow, W_ETH_TYPE, W_TCP_FLAGS, W_VLAN0, W_VLAN1 } from "../flow/layout.ts";
import type { Clock } from "../lib/clock.ts";
import type { Datagrams } from "../lib/datagram.ts";
import { hashString } from "../lib/hash.ts";
import { addressBytes } from "../lib/ip.ts";
import type { StreamFactory } from "../lib/stream.ts";
import type { Netdev } from "../netdev/netdev.ts";
import type { OfportState } from "../ofproto/ports.ts";
import {
  ALWAYS,
  type BridgeSampling,
  type IpfixStats,
  type NetflowCredit,
  type Outputs,
  type SampleAction,
} from "../ofproto/sampling.ts";
import type { OfPort } from "../ofproto/types.ts";
import type { CounterRecord, FlowRecord } from "./codec/sflow.ts";
import { type CollectorStatus, Collectors, type Warn } from "./collectors.ts";
import { IpfixExporter, type IpfixOptions, type IpfixPort, type IpfixSample } from "./ipfix.ts";
import { Netflow, type NetflowOptions } from "./netflow.ts";
import { OUTPUT_DROPPED, outputMany, type SampledWay, SflowAgent, type SflowPort } from "./sflow.ts";
import { tunnelInfo, tunnelRecords } from "./tunnels.ts";

export interface SflowConfig {
  targets: readonly string[];
  sampling: number;
  pollingSec: number;
  headerBytes: number;
  /** A device, an address, or undefined for the address of the way to the collector. */
  agent: string | undefined;
}

export interface NetflowConfig extends Omit<NetflowOptions, "engineType" | "engineId"> {
  engineType: number | undefined;
  engineId: number | undefined;
}

export interface BridgeIpfixConfig extends IpfixOptions {
  sampling: number;
  domain: number;
  point: number;
  input: boolean;
  output: boolean;
}

export interface ExportsConfig {
  sflow: SflowConfig | undefined;
  netflow: NetflowConfig | undefined;
  ipfix: BridgeIpfixConfig | undefined;
  /** Collector set ID → exporter. */
  collectorSets: ReadonlyMap<number, IpfixOptions>;
  /** Collector set ID → group of local collectors. */
  localGroups: ReadonlyMap<number, number>;
  /** What of the rows makes no sense, for the log. */
  complaints: readonly string[];
}

/** Use of resources by this process. */
export interface ProcessUsage {
  userMs: number;
  systemMs: number;
  /** Bytes. */
  memory: number;
}

/** The bridge as exporters see it; {@link import("../ofproto/ofproto.ts").Ofproto} and its datapath. */
export interface ExportedBridge {
  readonly name: string;
  datapathId(): bigint;
  ports(): Iterable<OfportState>;
  port(number: OfPort): OfportState | undefined;
  portByOdp(odpPort: number): OfportState | undefined;
  datapathStats(): Promise<DpStats>;
  /** Samples that its datapath could not hand up, of all bridges: it does not tell them apart. */
  lostSamples(): number;
}

export interface ExportsContext {
  clock: Clock;
  datagrams: Datagrams;
  /** For IPFIX over TCP and TLS. */
  streams: StreamFactory;
  warn: Warn;
  usage: () => ProcessUsage;
}

type SflowAction = Extract<SampleAction, { kind: "sflow" }>;

const SFLOW_PORT = 6343;
const IPFIX_PORT = 4739;
const IF_TYPE_ETHERNET = 6;
const DUPLEX = { full: 1, half: 2 } as const;
const ETH_TYPE_IP = 0x0800;
const ETH_TYPE_IPV6 = 0x86dd;
const IPV6_HEADER_BYTES = 40;

/** Sub-agents tell apart the bridges of one agent. */
const subAgents = new Set<number>();

function takeSubAgent(): number {
  let number = 0;
  while (subAgents.has(number)) number++;
  subAgents.add(number);
  return number;
}

function probabilityOf(sampling: number): number {
  return sampling <= 1 ? ALWAYS : Math.max(1, Math.floor(ALWAYS / sampling));
}

function configText(config: ExportsConfig): string {
  return JSON.stringify(config, (_key, value) => (value instanceof Map ? [...value] : value));
}

export class BridgeExports implements BridgeSampling {
  sflowProbability: number | undefined = undefined;
  ipfix: BridgeSampling["ipfix"] = undefined;
  readonly #bridge: ExportedBridge;
  readonly #context: ExportsContext;
  readonly #subAgent = takeSubAgent();
  #sflow: SflowAgent | undefined = undefined;
  /** What the last packet of each action had. */
  readonly #ways = new WeakMap<SflowAction, { tci: number; way: SampledWay }>();
  readonly #ipfixPorts = new WeakMap<OfportState, IpfixPort>();
  /** The one under way: each packet's is the same object. */
  readonly #ipfixSample: IpfixSample = {
    flow: new Int32Array(),
    length: 0,
    ipLength: 0,
    tcpFlags: 0,
    weight: 1,
    domain: 0,
    point: 0,
    input: undefined,
    output: undefined,
    tunnel: undefined,
    dropped: false,
  };
  #netflow: Netflow | undefined = undefined;
  #netflowVersion = 5;
  #bridgeIpfix: IpfixExporter | undefined = undefined;
  #bridgeIpfixConfig: BridgeIpfixConfig | undefined = undefined;
  readonly #sets = new Map<number, IpfixExporter>();
  #localGroups: ReadonlyMap<number, number> = new Map();
  #configText = "";
  #dpStats: DpStats | undefined = undefined;

  constructor(bridge: ExportedBridge, context: ExportsContext) {
    this.#bridge = bridge;
    this.#context = context;
  }

  get flowSampling(): boolean {
    return this.#sets.size > 0;
  }

  localGroup(collectorSetId: number): number | undefined {
    return this.#localGroups.get(collectorSetId);
  }

  isConfigured(config: ExportsConfig | undefined): boolean {
    return config !== undefined && configText(config) === this.#configText;
  }

  /** True when packets or flows are to be sampled differently from now on. */
  configure(config: ExportsConfig): boolean {
    const before = this.#summary();
    this.#configText = configText(config);
    this.#configureSflow(config.sflow);
    this.#configureNetflow(config.netflow);
    this.#configureIpfix(config.ipfix);
    this.#configureSets(config.collectorSets);
    this.#localGroups = config.localGroups;
    return before !== this.#summary();
  }

  #summary(): string {
    return JSON.stringify([
      this.sflowProbability,
      this.ipfix,
      this.flowSampling,
      [...this.#localGroups],
      this.#netflow === undefined ? 0 : this.#netflowVersion,
    ]);
  }

  #collectors(port: number): Collectors {
    const { datagrams, warn, clock, streams } = this.#context;
    return new Collectors(datagrams, port, warn, port === IPFIX_PORT ? { clock, streams } : undefined);
  }

  #configureSflow(config: SflowConfig | undefined): void {
    if (config === undefined) {
      this.#sflow?.close();
      this.#sflow = undefined;
      this.sflowProbability = undefined;
      return;
    }
    const options = {
      targets: config.targets,
      sampling: config.sampling,
      pollingSec: config.pollingSec,
      headerBytes: config.headerBytes,
      agent: config.agent === undefined ? undefined : this.#address(config.agent),
      subAgent: this.#subAgent,
    };
    if (this.#sflow === undefined) {
      const { clock } = this.#context;
      this.#sflow = new SflowAgent(clock, this.#collectors(SFLOW_PORT), options, {
        counters: () => this.#counters(),
        lostSamples: () => this.#bridge.lostSamples(),
      });
    } else this.#sflow.configure(options);
    this.sflowProbability = probabilityOf(config.sampling);
    this.#sflow.setPorts(this.#sflowPorts());
  }

  /** Of a device, or as it stands. */
  #address(agent: string): Uint8Array | undefined {
    const bytes = addressBytes(agent) ?? addressBytes(this.#context.datagrams.deviceAddress(agent) ?? "");
    if (bytes === undefined) this.#context.warn(`sFlow agent ${agent}: no such device or address`);
    return bytes;
  }

  #sflowPorts(): Map<string, SflowPort> {
    const ports = new Map<string, SflowPort>();
    for (const port of this.#bridge.ports()) {
      const ifIndex = port.netdev.ifindex();
      if (ifIndex !== undefined)
        ports.set(port.name, { ifIndex, records: () => this.#portRecords(port, ifIndex) });
    }
    return ports;
  }

  #portRecords(port: OfportState, ifIndex: number): CounterRecord[] {
    return [
      interfaceRecord(port.netdev, ifIndex),
      ethernetRecord(port.netdev),
      {
        name: "openflow_port",
        values: { datapath_id: this.#bridge.datapathId(), port_number: port.ofPort },
      },
      { name: "port_name", values: { name: port.name } },
    ];
  }

  /** Of the process and the datapath; the datapath's answer is of the last time. */
  #counters(): CounterRecord[] {
    const usage = this.#context.usage();
    this.#bridge.datapathStats().then(
      (stats) => {
        this.#dpStats = stats;
      },
      () => {},
    );
    const dp = this.#dpStats;
    return [
      {
        name: "app_resources",
        values: {
          user_time_ms: usage.userMs >>> 0,
          system_time_ms: usage.systemMs >>> 0,
          memory_used: BigInt(usage.memory),
          memory_max: 0n,
          fd_open: 0,
          fd_max: 0,
          connections_open: 0,
          connections_max: 0,
        },
      },
      {
        name: "ovs_datapath",
        values: {
          hit: u32(dp?.hits ?? 0),
          missed: u32(dp?.misses ?? 0),
          lost: u32(dp?.lost ?? 0),
          mask_hit: u32(dp?.maskHits ?? 0),
          flows: u32(dp?.flows ?? 0),
          masks: u32(dp?.masks ?? 0),
        },
      },
    ];
  }

  sflowOutput({ count, netdev }: Outputs): number {
    if (count === 0) return OUTPUT_DROPPED;
    return count === 1 ? (netdev?.ifindex() ?? outputMany(1)) : outputMany(count);
  }

  #configureNetflow(config: NetflowConfig | undefined): void {
    if (config === undefined) {
      this.#netflow?.close();
      this.#netflow = undefined;
      return;
    }
    // By default a number for each bridge.
    const hash = hashString(this.#bridge.name);
    const options: NetflowOptions = {
      ...config,
      engineType: config.engineType ?? (hash >>> 8) & 0xff,
      engineId: config.engineId ?? hash & 0xff,
    };
    this.#netflowVersion = config.version;
    if (this.#netflow === undefined) {
      this.#netflow = new Netflow(this.#context.clock, this.#collectors(0), options);
    } else this.#netflow.configure(options);
  }

  netflowCredit(flow: Flow, output: number): NetflowCredit | undefined {
    const netflow = this.#netflow;
    if (netflow === undefined || (flow[W_ETH_TYPE] === ETH_TYPE_IPV6 && this.#netflowVersion === 5))
      return undefined;
    const own = flow.slice();
    return {
      credit: (packets, bytes, usedMs, tcpFlags) =>
        netflow.update(own, output, packets, bytes, usedMs, tcpFlags),
    };
  }

  #configureIpfix(config: BridgeIpfixConfig | undefined): void {
    this.#bridgeIpfixConfig = config;
    if (config === undefined) {
      this.#bridgeIpfix?.close();
      this.#bridgeIpfix = undefined;
      this.ipfix = undefined;
      return;
    }
    this.#bridgeIpfix = this.#exporter(this.#bridgeIpfix, config);
    const { input, output } = config;
    this.ipfix = { probability: probabilityOf(config.sampling), input, output };
  }

  #configureSets(sets: ReadonlyMap<number, IpfixOptions>): void {
    for (const [id, exporter] of this.#sets) {
      if (sets.has(id)) continue;
      exporter.close();
      this.#sets.delete(id);
    }
    for (const [id, options] of sets) this.#sets.set(id, this.#exporter(this.#sets.get(id), options));
  }

  #exporter(exporter: IpfixExporter | undefined, options: IpfixOptions): IpfixExporter {
    if (exporter === undefined)
      return new IpfixExporter(this.#context.clock, this.#collectors(IPFIX_PORT), options);
    exporter.configure(options);
    return exporter;
  }

  /** Each exporter by name, with its collectors. */
  status(): [string, readonly CollectorStatus[]][] {
    const found: [string, readonly CollectorStatus[]][] = [];
    if (this.#sflow !== undefined) found.push(["sFlow", this.#sflow.collectors]);
    if (this.#netflow !== undefined) found.push(["NetFlow", this.#netflow.collectors]);
    if (this.#bridgeIpfix !== undefined) found.push(["IPFIX", this.#bridgeIpfix.collectors]);
    for (const [id, exporter] of this.#sets) found.push([`IPFIX of set ${id}`, exporter.collectors]);
    return found;
  }

  ipfixStats(): IpfixStats | undefined {
    return this.#bridgeIpfix?.stats;
  }

  flowIpfixStats(): Map<number, IpfixStats> {
    return new Map([...this.#sets].map(([id, exporter]) => [id, exporter.stats]));
  }

  sampled(action: SampleAction, packet: Packet, key: Flow, inPort: OfPort): void {
    const input = this.#bridge.port(inPort);
    if (action.kind === "sflow") this.#sampledSflow(action, packet, key, input);
    else this.#sampledIpfix(action, packet, key, input);
  }

  #sampledSflow(action: SflowAction, packet: Packet, key: Flow, input: OfportState | undefined): void {
    const tci = key[W_VLAN0]! & 0xffff;
    const ifIndex = input?.netdev.ifindex() ?? 0;
    const { data, offset, length } = packet;
    const tunnel = input && tunnelInfo(key, input.netdev.type);
    if (tunnel !== undefined) {
      const way = sampledWay(action, tci, ifIndex);
      way.records = [...way.records, ...tunnelRecords(tunnel, "ingress")];
      this.#sflow?.sample(way, data, offset, length);
      return;
    }
    let known = this.#ways.get(action);
    if (known === undefined || known.tci !== tci || known.way.input !== ifIndex) {
      known = { tci, way: sampledWay(action, tci, ifIndex) };
      this.#ways.set(action, known);
    }
    this.#sflow?.sample(known.way, data, offset, length);
  }

  #sampledIpfix(
    action: Exclude<SampleAction, { kind: "sflow" }>,
    packet: Packet,
    key: Flow,
    input: OfportState | undefined,
  ): void {
    const config = this.#bridgeIpfixConfig;
    const ofFlow = action.kind === "flow_sample";
    const exporter = ofFlow ? this.#sets.get(action.collectorSetId) : this.#bridgeIpfix;
    if (exporter === undefined) return;
    const { outputPort } = action;
    const output = outputPort === undefined ? undefined : this.#bridge.portByOdp(outputPort);
    const sample = this.#ipfixSample;
    sample.flow = key;
    sample.length = packet.length;
    sample.ipLength = ipLength(packet, key);
    sample.tcpFlags = key[W_TCP_FLAGS]! & 0xfff;
    sample.weight = ofFlow ? Math.max(1, Math.floor(65535 / action.probability)) : (config?.sampling ?? 1);
    sample.domain = ofFlow ? action.domain : (config?.domain ?? 0);
    sample.point = ofFlow ? action.point : (config?.point ?? 0);
    sample.input = input && this.#ipfixPort(input);
    sample.output = output && this.#ipfixPort(output);
    sample.tunnel = exporter.options.tunnels && input ? tunnelInfo(key, input.netdev.type) : undefined;
    sample.dropped = action.dropped;
    exporter.sample(sample);
  }

  #ipfixPort(port: OfportState): IpfixPort {
    const ifIndex = port.netdev.ifindex();
    let known = this.#ipfixPorts.get(port);
    if (known === undefined || known.ifIndex !== (ifIndex ?? 0)) {
      const ifType = ifIndex === undefined ? 0 : IF_TYPE_ETHERNET;
      known = { ifIndex: ifIndex ?? 0, ifType, name: port.name, description: "" };
      this.#ipfixPorts.set(port, known);
    }
    return known;
  }

  close(): void {
    this.configure({
      sflow: undefined,
      netflow: undefined,
      ipfix: undefined,
      collectorSets: new Map(),
      localGroups: new Map(),
      complaints: [],
    });
    subAgents.delete(this.#subAgent);
  }
}

function sampledWay({ vlanTci, output, mpls }: SflowAction, tci: number, input: number): SampledWay {
  return {
    input,
    output,
    records: [
      ...(mpls.length === 0 ? [] : [mplsRecord(mpls)]),
      {
        name: "extended_switch",
        values: {
          src_vlan: tci & 0xfff,
          src_priority: tci >>> 13,
          dst_vlan: vlanTci & 0xfff,
          dst_priority: vlanTci >>> 13,
        },
      },
    ],
  };
}

function mplsRecord(outStack: readonly number[]): FlowRecord {
  return {
    name: "extended_mpls",
    values: { next_hop: new Uint8Array(4), in_stack: [], out_stack: outStack },
  };
}

/** Bytes of the IP packet as its header says, 0 when that cannot be or it is no IP packet. */
function ipLength({ data, offset, length }: Packet, key: Flow): number {
  const tags = (key[W_VLAN0] === 0 ? 0 : 1) + (key[W_VLAN1] === 0 ? 0 : 1);
  const at = offset + 14 + 4 * tags;
  const room = offset + length - at;
  if (key[W_ETH_TYPE] === ETH_TYPE_IP) {
    if (room < 20 || data[at]! >>> 4 !== 4) return 0;
    const total = (data[at + 2]! << 8) | data[at + 3]!;
    // A frame that is to be cut into segments may be longer than the field can say.
    return total === 0 ? room : total < 20 || total > room ? 0 : total;
  }
  if (key[W_ETH_TYPE] !== ETH_TYPE_IPV6 || room < IPV6_HEADER_BYTES || data[at]! >>> 4 !== 6) return 0;
  const total = ((data[at + 4]! << 8) | data[at + 5]!) + IPV6_HEADER_BYTES;
  return total > room ? 0 : total;
}

/** Counters that a device lacks (-1) are all ones in sFlow. */
function u32(counter: number): number {
  return counter < 0 ? 0xffff_ffff : counter % 0x1_0000_0000;
}
function u64(counter: number): bigint {
  return counter < 0 ? 0xffff_ffff_ffff_ffffn : BigInt(counter);
}

function interfaceRecord(netdev: Netdev, ifIndex: number): CounterRecord {
  const stats = netdev.stats();
  const { speed, duplex } = netdev.features();
  return {
    name: "generic_interface",
    values: {
      if_index: ifIndex,
      if_type: IF_TYPE_ETHERNET,
      if_speed: BigInt(speed > 0 ? speed : 100_000_000),
      if_direction: duplex === undefined ? 0 : DUPLEX[duplex],
      if_status: (netdev.adminUp() ? 1 : 0) | (netdev.carrier() ? 2 : 0),
      in_octets: u64(stats.rxBytes),
      in_unicast: u32(stats.rxPackets),
      in_multicast: u32(stats.multicast),
      in_broadcast: u32(-1),
      in_discards: u32(stats.rxDropped),
      in_errors: u32(stats.rxErrors),
      in_unknown_protocols: u32(-1),
      out_octets: u64(stats.txBytes),
      out_unicast: u32(stats.txPackets),
      out_multicast: u32(-1),
      out_broadcast: u32(-1),
      out_discards: u32(stats.txDropped),
      out_errors: u32(stats.txErrors),
      promiscuous: 0,
    },
  };
}

function ethernetRecord(netdev: Netdev): CounterRecord {
  const stats = netdev.stats();
  const unknown = u32(-1);
  return {
    name: "ethernet_interface",
    values: {
      alignment_errors: u32(stats.rxFrameErrors),
      fcs_errors: u32(stats.rxCrcErrors),
      single_collisions: unknown,
      multiple_collisions: unknown,
      sqe_test_errors: unknown,
      deferred_transmissions: unknown,
      late_collisions: unknown,
      excessive_collisions: unknown,
      mac_transmit_errors: unknown,
      carrier_sense_errors: unknown,
      frame_too_longs: unknown,
      mac_receive_errors: unknown,
      symbol_errors: unknown,
    },
  };
}
