/**
 * A network device as configuration sees it (upstream: `struct netdev`): one object a device name and type, made by
 * {@link NetdevProvider}. Packets move elsewhere: `system`, `internal` and `tap` devices are opened by the datapath's
 * worker (`src/datapath/userspace/ports.ts`); a device that lives in this thread (dummy, patch) implements {@link LocalPort}.
 */
import type { Packet } from "../datapath/packet.ts";
import type { DatapathClass } from "./registry.ts";

export interface NetdevStats {
  rxPackets: number;
  txPackets: number;
  rxBytes: number;
  txBytes: number;
  rxErrors: number;
  txErrors: number;
  rxDropped: number;
  txDropped: number;
  multicast: number;
  collisions: number;
  rxOverErrors: number;
  rxCrcErrors: number;
  rxFrameErrors: number;
  rxMissedErrors: number;
}

export interface NetdevFeatures {
  /** Bits per second, 0 when unknown. */
  speed: number;
  duplex: "full" | "half" | undefined;
  medium: "copper" | "fiber" | undefined;
  /** Speed and duplex were negotiated. */
  negotiated: boolean;
}

/** One transmit queue of a device. */
export interface NetdevQueue {
  readonly id: number;
  /** Bits per second, undefined for no limit. */
  readonly minRate: number | undefined;
  readonly maxRate: number | undefined;
  /** -1 where not counted. */
  readonly txPackets: number;
  readonly txBytes: number;
  readonly txErrors: number;
  /** Clock.now() when it was made; undefined where that is not known. */
  readonly createdMs: number | undefined;
  /** What qos/show tells of its settings. */
  readonly details: ReadonlyMap<string, number>;
}

/** The queueing that a QoS row asks for. */
export interface QosConfig {
  /** "linux-htb", ... */
  readonly type: string;
  readonly settings: ReadonlyMap<string, string>;
  /** By their numbers. */
  readonly queues: ReadonlyMap<number, ReadonlyMap<string, string>>;
}

/** The queueing that is at work: numbers by the names of settings. */
export interface NetdevQos {
  readonly type: string;
  readonly details: ReadonlyMap<string, number>;
}

/** What a device is asked to be: Interface.options and its kin. */
export type NetdevConfig = ReadonlyMap<string, string>;

export interface LocalPort {
  /** Set by the datapath; the device calls it for each packet that arrives (packet valid during the call). */
  receive: ((packet: Packet) => void) | undefined;
  /** Called by the datapath; the packet is valid during the call. */
  send(packet: Packet): void;
}

export interface CreditPort {
  creditRx(packets: number, bytes: number): void;
  creditTx(packets: number, bytes: number): void;
}

/** Packets that take a way past the device's own counters, as the switch sees them. */
export type PassingTraffic = Pick<NetdevStats, "rxPackets" | "rxBytes" | "txPackets" | "txBytes">;

export interface Netdev {
  readonly name: string;
  readonly type: string;
  /** Present when packets move in this thread. */
  readonly local: LocalPort | undefined;
  /** Linux interface index, undefined for devices without one. */
  ifindex(): number | undefined;
  /** "aa:bb:cc:dd:ee:ff" */
  etherAddr(): string | undefined;
  /** Error text on failure. */
  setEtherAddr(address: string): string | undefined;
  mtu(): number | undefined;
  setMtu(mtu: number): string | undefined;
  adminUp(): boolean;
  setAdminUp(up: boolean): string | undefined;
  carrier(): boolean;
  /** The loopback device, which no datapath takes. */
  isLoopback(): boolean;
  /** Times that the carrier has changed. */
  linkResets(): number;
  features(): NetdevFeatures;
  /** Types of QoS that the device can have, sorted. */
  readonly qosTypes: readonly string[];
  /** Where that fails, the log says so, and the device has its default queueing, as it has with undefined. */
  setQos(wanted: QosConfig | undefined): void;
  /** undefined when there is no QoS, or one that is left to others. */
  qos(): NetdevQos | undefined;
  /** As QoS has set them up. */
  queues(): readonly NetdevQueue[];
  /** Set by a datapath that moves packets of the device without it; {@link stats} counts them in. */
  passing: (() => PassingTraffic) | undefined;
  /** As the switch sees it (what it received from the port is rx); counters that the device lacks are -1. */
  stats(): NetdevStats;
  /** Counters beyond {@link NetdevStats}, by the name that Interface.statistics shows. */
  customStats(): ReadonlyMap<string, number>;
  /** A patch port moves no packets itself: translation tells it what passed. Undefined for other types. */
  readonly credit: CreditPort | undefined;
  /** Interface.status: driver_name, driver_version, firmware_version, ... */
  status(): Map<string, string>;
  /** Error text when an option is wrong. */
  setConfig(options: NetdevConfig): string | undefined;
  /** What dpif/show prints after the type: the options in force and some facts. */
  config(): Map<string, string>;
  /** Grows whenever anything above may have changed, also when the device vanishes or comes back. */
  readonly changeSeq: number;
  /** Calls back, in a later turn, after changeSeq has grown. Returns how to stop that. */
  watch(changed: () => void): () => void;
  /** Releases the device. A device that the provider made (tap, internal) goes away with `remove`, else it stays. */
  close(remove?: boolean): void;
}

export interface NetdevProvider {
  /** "system", "internal", "tap", "dummy", "patch", ... */
  readonly type: string;
  /** Called once for each device; the registry shares it among later openers. Throws an Error with errno `code` and the message for the error column ("could not open network device X (No such device)"). `datapath`: of what kind it is to be a port. */
  open(name: string, datapath?: DatapathClass): Netdev;
}
