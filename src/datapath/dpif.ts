/**
 * The contract between the switch logic (`src/ofproto`, `src/vswitch`) and a datapath (upstream: `struct dpif_class`).
 * Implementations: `userspace/` in a worker, the same tables in this thread for dummy datapaths; `ebpf/`, `kernel/`.
 *
 * Requests are applied in the order they were made. In a worker that happens later: `settled()` resolves when every
 * request made before it has been applied, and whatever promises an effect (barrier reply, unixctl reply) awaits it.
 */
import type { Flow } from "../flow/layout.ts";
import type { Netdev } from "../netdev/netdev.ts";
import type { DpConntrack } from "./conntrack.ts";
import type { Packet } from "./packet.ts";

export { wireBytes } from "./wire.ts";

export type OdpPort = number;

/** Names a flow while it is installed: `generation * FLOW_INDICES + index`; never reused while anybody may hold it. */
export type FlowHandle = number;

/** Most flows at a time. */
export const FLOW_INDICES = 1 << 18;

/** Of the installed flows no two have the same; that of a deleted flow is free once its final statistics are told. */
export function flowIndex(flow: FlowHandle): number {
  return flow & (FLOW_INDICES - 1);
}

export interface DpFlowStats {
  packets: number;
  bytes: number;
  /** Clock.now() of the last packet, 0 when there was none. */
  usedMs: number;
  /** OR of all TCP flags seen. */
  tcpFlags: number;
}

/** Most masks that flows of one ingress port should have; see {@link Dpif.hasRoomFor}. */
export const MAX_PORT_MASKS = 256;

/** Why a packet was handed up. */
export const UPCALL_MISS = 0;
/** By ODP_USERSPACE. */
export const UPCALL_ACTION = 1;
/** No packet: an earlier run had a flow for packets of this key, and they pass by it still. It is not to be counted. */
export const UPCALL_KNOWN = 2;

export interface Upcall {
  kind: typeof UPCALL_MISS | typeof UPCALL_ACTION | typeof UPCALL_KNOWN;
  /** The datapath key, FLOW_DP_WORDS words. Valid during the call only. */
  key: Flow;
  /** Valid during the call only; what must live on, or goes to a controller, is taken by {@link wireBytes}. */
  packet: Packet;
  /** Operand of ODP_USERSPACE. Negative: a sample, which is not answered; see {@link SAMPLE_BYTES}. */
  userdata: number;
}

/**
 * Of a sampled packet at least so many bytes are there, though its length is the frame's; of its key port, addresses, tags,
 * protocol, the fields of the IP header, TCP flags are, and all where it came by a tunnel.
 */
export const SAMPLE_BYTES = 1024;

/** The handler's answer to a miss. */
export interface UpcallReply {
  /** To run on this packet, an ODP program; may be a view that is valid until the next upcall. */
  actions: Int32Array;
  /** The megaflow's mask (FLOW_DP_WORDS words) when one is to be installed with these actions, else undefined. */
  mask: Flow | undefined;
  /** Actions of the installed flow where they differ (e.g. slow path), else undefined. */
  flowActions: Int32Array | undefined;
  /** Called with the handle once the flow is known to the datapath's owner in this thread. */
  installed: ((flow: FlowHandle) => void) | undefined;
}

export type UpcallHandler = (upcall: Upcall) => UpcallReply | undefined;

/** How much a port may take in; a rate of 0 is no limit. */
export interface Policing {
  /** Kilobits a second, and at once. */
  readonly kbps: number;
  readonly burstKb: number;
  /** Thousands of packets. */
  readonly kpps: number;
  readonly burstKpackets: number;
}

export interface DpPort {
  readonly odpPort: OdpPort;
  readonly name: string;
  /** Netdev type: "system", "internal", "tap", "dummy", ... */
  readonly type: string;
}

export interface DpStats {
  hits: number;
  misses: number;
  lost: number;
  flows: number;
  masks: number;
  /** Masks looked at, for "hit/pkt". */
  maskHits: number;
  cacheHits: number;
}

/** A thread that forwards, of several. */
export interface DpThread {
  /** Processor that it keeps to, or its number among them. */
  readonly core: number;
  readonly stats: DpStats;
  /** What it receives of: a port's queues are numbered from 0. */
  readonly queues: readonly { readonly port: string; readonly queue: number }[];
}

export interface DpFlow {
  handle: FlowHandle;
  key: Flow;
  mask: Flow;
  actions: Int32Array;
}

/** Flags of {@link DpMeter}, OpenFlow's: rates are of kilobits, else of packets, a second. */
export const METER_KBPS = 1;
export const METER_MAX_BANDS = 8;

export interface DpMeter {
  flags: number;
  /** `bandType` 1 drops, 2 adds `precLevel` to the drop precedence. `burst` 0: none was given. */
  bands: { bandType: number; rate: number; burst: number; precLevel: number }[];
}

export interface DpMeterStats {
  packets: number;
  bytes: number;
  /** Of what exceeded each band. */
  bands: { packets: number; bytes: number }[];
}

export interface Dpif {
  /** "netdev", "dummy", "ebpf", "system". */
  readonly type: string;
  /** e.g. "ovs-netdev". */
  readonly name: string;
  /** What it can do where that is not what the userspace datapath can, by the names of dpif/set-dp-features. */
  readonly features?: ReadonlyMap<string, boolean | number>;
  /** Tracked connections, of a datapath that tells of them. */
  readonly conntrack?: DpConntrack;

  /**
   * Attaches `netdev`; a dummy datapath needs one with `local`, a worker opens devices by their name.
   * `wanted` undefined takes the lowest free number. Rejects with an Error with errno `code`.
   */
  portAdd(netdev: Netdev, wanted: OdpPort | undefined): Promise<OdpPort>;
  portDel(port: OdpPort): Promise<void>;
  ports(): Iterable<DpPort>;
  /** Packets that leave by the port go through the queueing of its device, to the queue that skb_priority names. */
  portShaped(port: OdpPort, shaped: boolean): void;
  /** Drops what comes in above these rates. */
  portPolicing(port: OdpPort, policing: Policing): void;

  setUpcallHandler(handler: UpcallHandler | undefined): void;
  /** Text of an ODP_USERSPACE operand, for what is logged of flows. */
  userspaceText: ((operand: number) => string) | undefined;

  /** False when a flow would give its port one mask too many: then a mask that many share should be taken. */
  hasRoomFor(key: Flow, mask: Flow): boolean;
  /** Installs a flow (key and mask are copied). An equal key under an equal mask is replaced. */
  flowPut(key: Flow, mask: Flow, actions: Int32Array): FlowHandle;
  /** Changes the actions only; statistics stay. */
  flowSetActions(flow: FlowHandle, actions: Int32Array): void;
  /** Final statistics arrive after the flow is gone from the tables. */
  flowDel(flow: FlowHandle): Promise<DpFlowStats>;
  /** The same for many, each told of by `gone` (`last` is valid during the call); resolves when all are. */
  flowsDel(flows: readonly FlowHandle[], gone: (flow: FlowHandle, last: DpFlowStats) => void): Promise<void>;
  flowFlush(): void;
  flowCount(): number;
  /** Different masks of the installed flows. */
  maskCount(): number;
  /** Reads the live statistics into `out`; false when the flow is gone. No allocation. */
  flowStats(flow: FlowHandle, out: DpFlowStats): boolean;
  /** Fills in `into`, key and mask in its rows; false when the flow is gone. `actions` is the datapath's own. */
  readFlow(flow: FlowHandle, into: DpFlow): boolean;
  /** The installed flows, as this thread knows them. Safe against changes during the walk. */
  flows(): Iterable<DpFlow>;

  /** Runs `actions` on `packet` (copied). `key` as of extraction, FLOW_DP_WORDS words. */
  execute(packet: Packet, key: Flow, actions: Int32Array): void;

  /** Meters that the datapath can hold: their numbers are 0 to this, exclusive. */
  readonly maxMeters: number;
  /** Makes or replaces a meter; counters start at zero. */
  meterSet(id: number, meter: DpMeter): void;
  meterDel(id: number): void;
  /** `bands`: how many the meter has. */
  meterStats(id: number, bands: number): DpMeterStats;
  /** Tags that are looked at, 1 or 2, from the next packet on. Main's own extraction follows too. */
  setVlanLimit(tags: number): void;

  /**
   * Ports and rules are all there: what an earlier run has left forwarding gives way to what this one makes of it. Nothing
   * when there is no such thing.
   */
  takeOver(): Promise<void>;
  /** The process is about to end: from now on nothing is undone that can go on forwarding without it. */
  leave(): void;

  /** Threads that forward, where there may be several. */
  threads?(): readonly DpThread[];
  /** Gives each thread about as many ports, without loss. */
  rebalance?(): Promise<void>;
  /** Threads from now on: at most one for each of these processors, to which it keeps; undefined: anywhere. */
  setCpus?(cpus: readonly number[] | undefined): void;

  stats(): Promise<DpStats>;
  /** Packets dropped so far, by the counters of drop-reasons.ts. */
  drops(): ReadonlyMap<string, number>;
  settled(): Promise<void>;
  /** Polls of the dummy kind run in this thread; a worker ignores it. Called by time/warp. */
  run(): void;
  close(): Promise<void>;
}

/** What people look at and change by hand. */
export type DpifFlows = Pick<
  Dpif,
  "type" | "name" | "ports" | "flows" | "flowStats" | "flowPut" | "flowSetActions" | "flowsDel" | "settled"
>;
