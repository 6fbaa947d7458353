/** What all devices have in common: empty statistics and the defaults of {@link Netdev}. */
import type { Packet } from "../datapath/packet.ts";
import type { Clock } from "../lib/clock.ts";
import type {
  CreditPort,
  LocalPort,
  Netdev,
  NetdevConfig,
  NetdevFeatures,
  NetdevQos,
  NetdevQueue,
  NetdevStats,
  PassingTraffic,
  QosConfig,
} from "./netdev.ts";

/** All counters unsupported. */
export function noStats(): NetdevStats {
  return {
    rxPackets: -1,
    txPackets: -1,
    rxBytes: -1,
    txBytes: -1,
    rxErrors: -1,
    txErrors: -1,
    rxDropped: -1,
    txDropped: -1,
    multicast: -1,
    collisions: -1,
    rxOverErrors: -1,
    rxCrcErrors: -1,
    rxFrameErrors: -1,
    rxMissedErrors: -1,
  };
}

/** A packet over `data`, without offloads: netdev may name the datapath's type, not use its code. */
export function plainPacket(data: Uint8Array): Packet {
  return {
    data,
    address: 0,
    offset: 0,
    length: data.length,
    floor: 0,
    buffer: -1,
    priority: 0,
    vnetFlags: 0,
    gsoType: 0,
    gsoHeaderLength: 0,
    gsoSize: 0,
    csumStart: 0,
    csumOffset: 0,
  };
}

const NO_CUSTOM: ReadonlyMap<string, number> = new Map();
const EOPNOTSUPP = "Operation not supported";

/** A device that is there, up, and knows nothing: subclasses override what they know. */
export abstract class BaseNetdev implements Netdev {
  readonly name: string;
  readonly type: string;
  readonly local: LocalPort | undefined = undefined;
  readonly credit: CreditPort | undefined = undefined;
  passing: (() => PassingTraffic) | undefined = undefined;
  #changeSeq = 1;
  readonly #watchers = new Set<() => void>();
  readonly #clock: Clock;
  #pending = false;

  constructor(name: string, type: string, clock: Clock) {
    this.name = name;
    this.type = type;
    this.#clock = clock;
  }

  get changeSeq(): number {
    return this.#changeSeq;
  }

  /** Something that {@link Netdev} tells has changed. */
  protected changed(): void {
    this.#changeSeq++;
    if (this.#pending || this.#watchers.size === 0) return;
    this.#pending = true;
    this.#clock.soon(() => {
      this.#pending = false;
      for (const watcher of [...this.#watchers]) watcher();
    });
  }

  watch(changed: () => void): () => void {
    this.#watchers.add(changed);
    return () => this.#watchers.delete(changed);
  }

  ifindex(): number | undefined {
    return undefined;
  }
  abstract etherAddr(): string | undefined;
  setEtherAddr(_address: string): string | undefined {
    return EOPNOTSUPP;
  }
  mtu(): number | undefined {
    return undefined;
  }
  setMtu(_mtu: number): string | undefined {
    return EOPNOTSUPP;
  }
  adminUp(): boolean {
    return true;
  }
  setAdminUp(_up: boolean): string | undefined {
    return EOPNOTSUPP;
  }
  carrier(): boolean {
    return true;
  }
  isLoopback(): boolean {
    return false;
  }
  linkResets(): number {
    return 0;
  }
  features(): NetdevFeatures {
    return { speed: 0, duplex: undefined, medium: undefined, negotiated: false };
  }
  get qosTypes(): readonly string[] {
    return [];
  }
  setQos(_wanted: QosConfig | undefined): void {}
  qos(): NetdevQos | undefined {
    return undefined;
  }
  queues(): readonly NetdevQueue[] {
    return [];
  }
  abstract stats(): NetdevStats;
  customStats(): ReadonlyMap<string, number> {
    return NO_CUSTOM;
  }
  status(): Map<string, string> {
    return new Map();
  }
  setConfig(_options: NetdevConfig): string | undefined {
    return undefined;
  }
  config(): Map<string, string> {
    return new Map();
  }
  close(_remove?: boolean): void {
    this.#watchers.clear();
  }
}
