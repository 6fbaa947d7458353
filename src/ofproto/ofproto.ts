/**
 * One OpenFlow switch, that is one bridge (upstream: `ofproto/ofproto.c` over `ofproto-dpif.c`): ports and port bundles,
 * OpenFlow tables, controllers. `src/vswitch` makes one a Bridge row and tells it what the rows say; nothing need be
 * polled: timers on `Clock` do what is due.
 */
import type { Netdev } from "../netdev/netdev.ts";
import type {
  BundleConfig,
  ControllerConfig,
  ControllerStatus,
  DescStrings,
  FailMode,
  MacConfig,
  OfPort,
  OfPortInfo,
  OfprotoOptions,
} from "./types.ts";

export type * from "./types.ts";

export class Ofproto {
  readonly name: string;
  readonly type: string;

  constructor(options: OfprotoOptions) {
    this.name = options.name;
    this.type = options.backer.type;
  }

  /** Resolves when BR.mgmt and BR.snoop are bound (or have failed and were logged). */
  started(): Promise<void> {
    throw new Error("not implemented");
  }

  // Ports.

  /**
   * Attaches `netdev`: to the datapath, or for type "patch" to nothing but its peer (option `peer` of its config).
   * The device named like the bridge becomes LOCAL. `request` is ofport_request; when it is taken or undefined a free
   * number is chosen. Resolves to the OpenFlow port number; rejects with an Error with errno `code`.
   */
  portAdd(_netdev: Netdev, _request: OfPort | undefined): Promise<OfPort> {
    throw new Error("not implemented");
  }

  /** Detaches; the caller closes the Netdev. Tells controllers. */
  portDel(_port: OfPort): Promise<void> {
    throw new Error("not implemented");
  }

  ports(): Iterable<OfPortInfo> {
    throw new Error("not implemented");
  }

  portByName(_name: string): OfPortInfo | undefined {
    throw new Error("not implemented");
  }

  /** To call after a netdev's changeSeq has grown (link state, address, options): port status, revalidation. */
  portChanged(_port: OfPort): void {
    throw new Error("not implemented");
  }

  // Port bundles: `key` is the caller's (the Port row's name or object).

  setBundle(_key: unknown, _config: BundleConfig): void {
    throw new Error("not implemented");
  }

  removeBundle(_key: unknown): void {
    throw new Error("not implemented");
  }

  // Settings; each is idempotent and cheap when nothing changes.

  /** 16 hexadecimal digits. */
  setDatapathId(_id: string): void {
    throw new Error("not implemented");
  }

  get datapathId(): string {
    throw new Error("not implemented");
  }

  /** "aa:bb:cc:dd:ee:ff" of the LOCAL port, as features and NORMAL see it. */
  setLocalAddress(_address: string): void {
    throw new Error("not implemented");
  }

  setFailMode(_mode: FailMode): void {
    throw new Error("not implemented");
  }

  /** Bridge.protocols as given ("OpenFlow10", ...); empty means the defaults (1.0 to 1.5). */
  setProtocols(_protocols: readonly string[]): void {
    throw new Error("not implemented");
  }

  /** The Controller rows, in full. An unchanged target keeps its connection. */
  setControllers(_controllers: readonly ControllerConfig[]): void {
    throw new Error("not implemented");
  }

  /** By target, for connected and connecting ones. */
  controllerStatus(): Map<string, ControllerStatus> {
    throw new Error("not implemented");
  }

  setMac(_config: MacConfig): void {
    throw new Error("not implemented");
  }

  /** Bridge.flood_vlans. */
  setFloodVlans(_vlans: readonly number[]): void {
    throw new Error("not implemented");
  }

  setForwardBpdu(_forward: boolean): void {
    throw new Error("not implemented");
  }

  setDesc(_desc: Partial<DescStrings>): void {
    throw new Error("not implemented");
  }

  /** While true (Open_vSwitch.other_config:flow-restore-wait) no packet is forwarded and no controller connected. */
  setFlowRestoreWait(_wait: boolean): void {
    throw new Error("not implemented");
  }

  /** Drops MAC entries of all or one VLAN. */
  flushMacs(): void {
    throw new Error("not implemented");
  }

  /** Closes listeners and connections, drops rules, leaves the backer. `del`: also removes its ports from the datapath. */
  close(_del: boolean): Promise<void> {
    throw new Error("not implemented");
  }
}
