/**
 * Devices of the Linux kernel: `system` (any link that is there), `tap` and `internal` (a tap device that we make; the host
 * is at its other end). Upstream: lib/netdev-linux. Packets are moved by the datapath's worker, which opens the device
 * by its name; this is the configuration side.
 */
import type { Clock } from "../lib/clock.ts";
import { osError } from "../lib/errors.ts";
import { RateLimit, vlog } from "../lib/vlog.ts";
import type { DeviceControl } from "../sys/ethtool.ts";
import { BaseNetdev, noStats } from "./base.ts";
import type {
  Netdev,
  NetdevConfig,
  NetdevFeatures,
  NetdevProvider,
  NetdevQos,
  NetdevQueue,
  NetdevStats,
  QosConfig,
} from "./netdev.ts";
import { DeviceQos, type TrafficControl } from "./qos/device-qos.ts";
import { LINUX_QOS_TYPES } from "./qos/disciplines.ts";
import type { DatapathClass } from "./registry.ts";
import { IFF_LOOPBACK, IFF_UP, type Link, type LinkTable, swapStats } from "./rtnetlink.ts";

const logNetdev = vlog("netdev");
const logLinux = vlog("netdev_linux");
const configLimit = new RateLimit(5, 20);

/** The host's network, as `commands/` hands it in. */
export interface Host {
  clock: Clock;
  links: LinkTable;
  devices: DeviceControl;
  traffic: TrafficControl;
}

/** What every device of ours can do with offloads; the datapath passes checksums and segments through. */
const OFFLOADS: readonly (readonly [name: string, on: boolean])[] = [
  ["tx_geneve_tso_offload", false],
  ["tx_gre_tso_offload", false],
  ["tx_ip_csum_offload", false],
  ["tx_out_ip_csum_offload", false],
  ["tx_out_udp_csum_offload", false],
  ["tx_sctp_csum_offload", false],
  ["tx_tcp_csum_offload", true],
  ["tx_tcp_seg_offload", true],
  ["tx_udp_csum_offload", true],
  ["tx_vxlan_tso_offload", false],
];

/** Who makes a device, and takes it away: nobody of us, we, or the datapath in the kernel with its port. */
type Maker = "others" | "we" | "datapath";

class LinuxNetdev extends BaseNetdev {
  readonly #host: Host;
  readonly #maker: Maker;
  readonly #unlisten: () => void;
  readonly #qos: DeviceQos;
  #link: Link | undefined;
  #resets = 0;
  #lastStats: NetdevStats = noStats();
  #features: NetdevFeatures | undefined;
  #status: Map<string, string> | undefined;

  constructor(name: string, type: string, host: Host, maker: Maker) {
    super(name, type, host.clock);
    this.#host = host;
    this.#maker = maker;
    this.#qos = new DeviceQos(host.traffic, host.clock);
    this.#link = host.links.get(name);
    this.#unlisten = host.links.listen({
      changed: (changed, link) => {
        if (changed === name) this.#update(link);
      },
    });
  }

  #update(link: Link | undefined): void {
    const old = this.#link;
    if (link !== undefined && old?.index === link.index && old.carrier !== link.carrier) this.#resets++;
    if (link?.index !== old?.index) this.#lastStats = noStats();
    this.#link = link;
    this.#features = undefined;
    this.#status = undefined;
    this.changed();
  }

  override ifindex(): number | undefined {
    // The kernel's datapath makes it when it becomes a port, and we may be asked before we hear of that.
    if (this.#link === undefined && this.#maker === "datapath")
      this.#link = this.#host.links.refresh(this.name);
    return this.#link?.index;
  }
  override etherAddr(): string | undefined {
    return this.#link?.mac;
  }
  override setEtherAddr(address: string): string | undefined {
    return this.#link?.mac === address ? undefined : this.#host.links.set(this.name, { mac: address });
  }
  override mtu(): number | undefined {
    return this.#link?.mtu;
  }
  override setMtu(mtu: number): string | undefined {
    return this.#link?.mtu === mtu ? undefined : this.#host.links.set(this.name, { mtu });
  }
  override adminUp(): boolean {
    return this.#link !== undefined && (this.#link.flags & IFF_UP) !== 0;
  }
  override setAdminUp(up: boolean): string | undefined {
    return this.adminUp() === up ? undefined : this.#host.links.set(this.name, { up });
  }
  override carrier(): boolean {
    return this.#link?.carrier ?? false;
  }
  override isLoopback(): boolean {
    return this.#link !== undefined && (this.#link.flags & IFF_LOOPBACK) !== 0;
  }
  override linkResets(): number {
    return this.#resets;
  }

  override features(): NetdevFeatures {
    if (this.#features === undefined) {
      const settings = this.#link === undefined ? undefined : this.#host.devices.linkSettings(this.name);
      this.#features = {
        speed: (settings?.speedMbps ?? 0) * 1_000_000,
        duplex: settings?.speedMbps === undefined ? undefined : settings.duplex,
        medium: settings?.medium,
        negotiated: settings?.negotiated ?? false,
      };
    }
    return this.#features;
  }

  override get qosTypes(): readonly string[] {
    return LINUX_QOS_TYPES;
  }
  override setQos(wanted: QosConfig | undefined): void {
    const link = this.#link;
    if (link === undefined) return;
    const facts = { mtu: link.mtu, speed: wanted === undefined ? 0 : this.features().speed };
    const error = this.#qos.set(link.index, facts, wanted);
    if (error !== undefined) logLinux.warn(`${this.name}: ${error}`);
  }
  override qos(): NetdevQos | undefined {
    return this.#qos.current;
  }
  override queues(): readonly NetdevQueue[] {
    return this.#link === undefined ? [] : this.#qos.queues();
  }

  override stats(): NetdevStats {
    const stats = this.#link === undefined ? undefined : this.#host.links.refresh(this.name, true)?.stats;
    if (stats !== undefined) this.#lastStats = this.#maker === "others" ? stats : swapStats(stats);
    const passing = this.passing?.();
    if (passing === undefined) return this.#lastStats;
    const sum = { ...this.#lastStats };
    for (const name of ["rxPackets", "rxBytes", "txPackets", "txBytes"] as const) sum[name] += passing[name];
    return sum;
  }

  override status(): Map<string, string> {
    if (this.#status === undefined) {
      const status = new Map<string, string>();
      const info = this.#link === undefined ? undefined : this.#host.devices.driverInfo(this.name);
      if (info !== undefined) {
        status.set("driver_name", info.driver);
        status.set("driver_version", info.version);
        status.set("firmware_version", info.firmware);
        for (const [name, on] of OFFLOADS) status.set(name, String(on));
      }
      this.#status = status;
    }
    return this.#status;
  }

  override setConfig(options: NetdevConfig): string | undefined {
    if (options.size > 0)
      logNetdev.warnRl(configLimit, `${this.name}: arguments provided to device that is not configurable`);
    return undefined;
  }

  override close(remove = false): void {
    super.close();
    this.#unlisten();
    if (remove && this.#maker === "we") {
      const error = this.#host.links.delete(this.name);
      if (error !== undefined && error !== "No such device")
        logLinux.warn(`${this.name}: could not remove tap device (${error})`);
    }
  }
}

/** Any link of the namespace. */
export function systemProvider(getHost: () => Host): NetdevProvider {
  return {
    type: "system",
    open: (name: string): Netdev => {
      const host = getHost();
      const link = name.length > 15 ? undefined : host.links.refresh(name);
      if (link === undefined) throw osError("ENODEV");
      return new LinuxNetdev(name, "system", host, "others");
    },
  };
}

/**
 * `tap` and `internal`: made when first opened, where the datapath does not; one left by an earlier run, with its addresses, is
 * taken over.
 */
export function tapProvider(getHost: () => Host, type: "tap" | "internal"): NetdevProvider {
  return {
    type,
    open: (name: string, datapath?: DatapathClass): Netdev => {
      const host = getHost();
      const link = name.length > 15 ? undefined : host.links.refresh(name);
      if (type === "internal" && datapath === "kernel") {
        // Of an earlier run in userspace.
        if (link?.kind === "tun") host.links.delete(name);
        return new LinuxNetdev(name, type, host, "datapath");
      }
      if (link === undefined || link.kind !== "tun") {
        const error = host.devices.makeTap(name);
        if (error !== undefined) {
          logLinux.warn(`${name}: creating tap device failed: ${osError(error).message}`);
          throw osError(error);
        }
        host.links.refresh(name);
      }
      return new LinuxNetdev(name, type, host, "we");
    },
  };
}
