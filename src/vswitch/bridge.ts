/**
 * One bridge at work: its OpenFlow switch, its ports' devices, and how both are brought to what a {@link BridgeConfig} says
 * (upstream: vswitchd/bridge.c). `vswitch.ts` calls the steps below for all bridges together, in this order:
 * `deletePorts`, `addPorts`, `configure`.
 */

import type { BridgeExports, ExportsContext } from "../export/bridge-exports.ts";
import { prefixField } from "../flow/classifier/classifier.ts";
import { absolute } from "../lib/dirs.ts";
import { describeError, osError } from "../lib/errors.ts";
import { vlog } from "../lib/vlog.ts";
import type { Netdev } from "../netdev/netdev.ts";
import type { NetdevRegistry } from "../netdev/registry.ts";
import type { Ofproto } from "../ofproto/ofproto.ts";
import { OFPP_LOCAL, OFPP_NONE } from "../ofproto/types.ts";
import { FROM } from "./address-moves.ts";
import { bridgeAddress, datapathId } from "./addresses.ts";
import {
  type BridgeConfig,
  boolOption,
  type IfaceConfig,
  intOption,
  type MirrorRow,
  type PortConfig,
} from "./config.ts";
import type { Datapath } from "./datapaths.ts";
import { applyExports } from "./exports.ts";
import { type InterfaceWrite, interfaceState, interfaceStatistics, NO_STATE } from "./status.ts";

const log = vlog("bridge");
const logNetdev = vlog("netdev");
const logDpif = vlog("dpif");
const logDpifNetdev = vlog("dpif_netdev");

const DEFAULT_MAC_AGING_SEC = 300;
const DEFAULT_MAC_ENTRIES = 8192;
const ETHERNET_MTU = 1500;
/** Mirror.snaplen that cuts nothing. */
const WHOLE_PACKETS = 65535;

/** An interface whose device is attached. */
interface Iface {
  config: IfaceConfig;
  netdev: Netdev;
  ofport: number;
  /** The device that was attached: another of the same name later is not it. */
  ifindex: number | undefined;
  unwatch: () => void;
  /** Its counters have not been written yet. */
  fresh: boolean;
}

/** What became of an interface: its columns wait for the next transaction. */
export interface IfaceOutcome {
  ofport: number;
  error: string | undefined;
}

export interface BridgeContext {
  registry: NetdevRegistry;
  rundir: string | undefined;
  exports: ExportsContext;
  /** A device of this bridge has changed: its row is out of date, `gone` when it must be attached anew. */
  deviceChanged: (bridge: Bridge, name: string, gone: boolean) => void;
}

/** Datapaths' own devices, and what tunnel ports are called in a datapath (also with a suffix: vxlan_sys_4789). */
const RESERVED_NAME = /^(ovs-(system|netdev|dummy)$|(genev|gre|vxlan|erspan|ip6gre|gtpu|srv6)_sys)/;

export class Bridge {
  readonly name: string;
  readonly ofproto: Ofproto;
  readonly datapath: Datapath;
  config: BridgeConfig;
  readonly #context: BridgeContext;
  readonly #ifaces = new Map<string, Iface>();
  /** Interfaces that could not be set up. */
  readonly #failed = new Map<string, IfaceOutcome>();
  /** Last OpenFlow port numbers, so that a device that comes back gets its own again. */
  readonly #numbers = new Map<string, number>();
  /** Numbers that are kept for interfaces to come. */
  readonly #reserved = new Map<string, number>();
  #bundles = new Set<string>();
  #datapathId: string | undefined;
  #exports: BridgeExports | undefined;

  constructor(config: BridgeConfig, ofproto: Ofproto, datapath: Datapath, context: BridgeContext) {
    this.name = config.name;
    this.config = config;
    this.ofproto = ofproto;
    this.datapath = datapath;
    this.#context = context;
  }

  get datapathId(): string | undefined {
    return this.#datapathId;
  }

  iface(name: string): { netdev: Netdev; ofport: number } | undefined {
    return this.#ifaces.get(name);
  }

  ifaceNames(): Iterable<string> {
    return this.#ifaces.keys();
  }

  /** True when `name` is configured here, and it has no device or another than it had. */
  wants(name: string): boolean {
    const iface = this.#ifaces.get(name);
    if (iface === undefined) return this.#failed.has(name);
    return iface.ifindex !== iface.netdev.ifindex();
  }

  #openType(config: IfaceConfig): string {
    return this.#context.registry.openType(this.datapath.class, config.type);
  }

  /** The interface `name` gets this OpenFlow port number when it comes, if it asks for no other. */
  reserve(name: string, ofport: number): void {
    this.#reserved.set(name, ofport);
  }

  /** Step 1: takes `config` over and detaches what is not wanted any more, or not as it is. */
  async deletePorts(config: BridgeConfig): Promise<void> {
    this.config = config;
    const wanted = new Map<string, IfaceConfig>();
    for (const port of config.ports) for (const iface of port.ifaces) wanted.set(iface.name, iface);
    for (const name of [...this.#failed.keys()]) if (!wanted.has(name)) this.#failed.delete(name);
    for (const name of [...this.#numbers.keys()]) if (!wanted.has(name)) this.#numbers.delete(name);

    const stay = new Map<number, { name: string; request: number | undefined }>();
    for (const iface of this.#ifaces.values())
      stay.set(iface.ofport, {
        name: iface.config.name,
        request: wanted.get(iface.config.name)?.ofportRequest,
      });
    const doomed = new Set<string>();
    for (const iface of this.#ifaces.values()) {
      const { name } = iface.config;
      const config = wanted.get(name);
      if (
        config === undefined ||
        this.#openType(config) !== iface.netdev.type ||
        iface.ifindex !== iface.netdev.ifindex() ||
        this.ofproto.portByName(name) === undefined
      ) {
        doomed.add(name);
      } else if (
        config.ofportRequest !== undefined &&
        config.ofportRequest !== iface.ofport &&
        iface.ofport !== OFPP_LOCAL
      ) {
        // It asks for another number: that is free, or held by one that has no claim on it.
        const holder = stay.get(config.ofportRequest);
        if (holder === undefined || holder.request !== config.ofportRequest) {
          doomed.add(name);
          this.#numbers.delete(name);
          if (holder !== undefined) {
            doomed.add(holder.name);
            this.#numbers.delete(holder.name);
          }
        }
      }
    }
    for (const name of doomed) {
      const config = wanted.get(name);
      const replaced = config !== undefined && this.#openType(config) !== this.#ifaces.get(name)?.netdev.type;
      await this.#detach(name, config === undefined || replaced);
    }
  }

  async #detach(name: string, remove: boolean): Promise<void> {
    const iface = this.#ifaces.get(name);
    if (iface === undefined) return;
    this.#ifaces.delete(name);
    iface.unwatch();
    log.info(`bridge ${this.name}: deleted interface ${name} on port ${iface.ofport}`);
    if (this.ofproto.portByName(name)?.ofPort === iface.ofport) {
      try {
        await this.ofproto.portDel(iface.ofport);
      } catch (error) {
        log.warn(`bridge ${this.name}: could not remove ${name} interface (${describeError(error)})`);
      }
    }
    if (remove) iface.netdev.setQos(undefined);
    this.#context.registry.close(iface.netdev, remove);
  }

  /** Step 2: attaches what is missing; numbers that were asked for are given out first, then those of the last run. */
  async addPorts(): Promise<void> {
    const missing: { iface: IfaceConfig; request: number | undefined }[] = [];
    for (const port of this.config.ports)
      for (const iface of port.ifaces) {
        const present = this.#ifaces.get(iface.name);
        if (present === undefined) {
          const last = this.#reserved.get(iface.name) ?? this.#numbers.get(iface.name) ?? iface.ofport;
          this.#reserved.delete(iface.name);
          missing.push({ iface, request: iface.ofportRequest ?? last });
        } else this.#reconfigure(present, iface);
      }
    const rank = (entry: (typeof missing)[number]): number =>
      entry.iface.name === this.name
        ? 0
        : entry.iface.ofportRequest !== undefined
          ? 1
          : entry.request !== undefined
            ? 2
            : 3;
    missing.sort((a, b) => rank(a) - rank(b));
    for (const { iface, request } of missing) await this.#attach(iface, request);
  }

  #reconfigure(iface: Iface, config: IfaceConfig): void {
    const old = iface.config;
    iface.config = config;
    const same =
      old.options.size === config.options.size &&
      [...config.options].every(([key, value]) => old.options.get(key) === value);
    const error = same ? undefined : iface.netdev.setConfig(config.options);
    if (error !== undefined) logNetdev.warn(`${config.name}: could not set configuration (Invalid argument)`);
    if (!same) this.ofproto.portChanged(iface.ofport);
    this.#setMtu(iface);
  }

  #setMtu(iface: Iface): void {
    const wanted = iface.config.mtuRequest;
    if (wanted === undefined || wanted === iface.netdev.mtu()) return;
    const error = iface.netdev.setMtu(wanted);
    if (error !== undefined)
      logNetdev.warn(`failed to set MTU for network device ${iface.config.name}: ${error}`);
  }

  async #attach(config: IfaceConfig, request: number | undefined): Promise<void> {
    const { name } = config;
    const fail = (error: string | undefined): void => {
      this.#failed.set(name, { ofport: -1, error });
    };
    if (RESERVED_NAME.test(name)) {
      log.warn(`could not create interface ${name}, name is reserved`);
      return fail(undefined);
    }
    let netdev: Netdev;
    try {
      netdev = this.#context.registry.open(name, this.#openType(config), this.datapath.class);
    } catch (error) {
      const message = `could not open network device ${name} (${describeError(error)})`;
      log.warn(message);
      return fail(message);
    }
    const wrong = netdev.setConfig(config.options);
    if (wrong !== undefined) {
      logNetdev.warn(`${name}: could not set configuration (Invalid argument)`);
      this.#context.registry.close(netdev, true);
      return fail(wrong);
    }
    let ofport = OFPP_NONE;
    const iface: Iface = { config, netdev, ofport: 0, ifindex: undefined, unwatch: () => {}, fresh: true };
    try {
      if (netdev.isLoopback()) {
        logDpifNetdev.err(`${name}: cannot add a loopback device`);
        const { type, name: datapath } = this.datapath.dpif;
        logDpif.warn(`${type}@${datapath}: failed to add ${name} as port: Invalid argument`);
        throw osError("EINVAL");
      }
      ofport = await this.ofproto.portAdd(netdev, name === this.name ? OFPP_LOCAL : request);
    } catch (error) {
      const message = `could not add network device ${name} to ofproto (${describeError(error)})`;
      log.warn(message);
      this.#context.registry.close(netdev, true);
      return fail(message);
    }
    iface.ofport = ofport;
    iface.ifindex = netdev.ifindex();
    this.#setMtu(iface);
    iface.unwatch = netdev.watch(() => this.#changed(iface));
    this.#ifaces.set(name, iface);
    this.#failed.delete(name);
    if (ofport !== OFPP_LOCAL) this.#numbers.set(name, ofport);
    log.info(`bridge ${this.name}: added interface ${name} on port ${ofport}`);
  }

  #changed(iface: Iface): void {
    if (this.#ifaces.get(iface.config.name) !== iface) return;
    const gone = iface.ifindex !== iface.netdev.ifindex();
    if (!gone) this.ofproto.portChanged(iface.ofport);
    this.#context.deviceChanged(this, iface.config.name, gone);
  }

  /** Step 3: everything else that the rows say. */
  configure(): void {
    const { config, ofproto } = this;
    this.#configureMtu();
    for (const port of config.ports) for (const iface of port.ifaces) this.#setMac(port, iface);

    const { address, error } = bridgeAddress(
      config.uuid,
      config.otherConfig.get("hwaddr") ?? this.#movedAddress(),
      this.#portAddresses(),
    );
    if (error === "multicast")
      log.err(
        `bridge ${this.name}: cannot set MAC address to multicast address ${config.otherConfig.get("hwaddr")}`,
      );
    const local = this.#ifaces.get(this.name);
    if (local !== undefined && local.netdev.etherAddr() !== address) {
      const failure = local.netdev.setEtherAddr(address);
      if (failure !== undefined)
        log.err(`bridge ${this.name}: failed to set bridge Ethernet address: ${failure}`);
    }
    ofproto.setLocalAddress(address);
    const id = datapathId(config.otherConfig.get("datapath-id"), address);
    if (id !== this.#datapathId) {
      this.#datapathId = id;
      ofproto.setDatapathId(id);
      log.info(`bridge ${this.name}: using datapath ID ${id}`);
    }

    const desc: { dp?: string; serial?: string } = {};
    const description = config.otherConfig.get("dp-desc");
    const serial = config.otherConfig.get("dp-sn");
    if (description !== undefined) desc.dp = description;
    if (serial !== undefined) desc.serial = serial;
    ofproto.setDesc(desc);
    ofproto.setProtocols(config.protocols);
    ofproto.setFailMode(config.failMode);
    ofproto.setForwardBpdu(boolOption(config.otherConfig, "forward-bpdu", false));
    ofproto.setFloodVlans(config.floodVlans);
    for (const { prefixes } of config.flowTables.values()) {
      for (const field of prefixes ?? []) {
        const kind = prefixField(field);
        if (kind !== "compatible") log.warn(`bridge ${this.name}: 'prefixes' with ${kind} field: ${field}`);
      }
    }
    ofproto.setFlowTables(config.flowTables);
    const aging = intOption(config.otherConfig, "mac-aging-time", 0);
    const entries = intOption(config.otherConfig, "mac-table-size", 0);
    ofproto.setMac({
      agingSec: aging > 0 ? aging : DEFAULT_MAC_AGING_SEC,
      maxEntries: entries > 0 ? entries : DEFAULT_MAC_ENTRIES,
    });

    const bundles = new Set<string>();
    for (const port of config.ports) {
      const ports: number[] = [];
      for (const iface of port.ifaces) {
        const attached = this.#ifaces.get(iface.name);
        if (attached !== undefined) ports.push(attached.ofport);
      }
      if (ports.length === 0) continue;
      bundles.add(port.name);
      ofproto.setBundle(port.name, { ...port.bundle, ports });
    }
    for (const name of this.#bundles) if (!bundles.has(name)) ofproto.removeBundle(name);
    this.#bundles = bundles;
    for (const port of config.ports) for (const iface of port.ifaces) this.#configureTraffic(port, iface);
    this.#configureMirrors();

    const queue = intOption(config.otherConfig, "in-band-queue", -1);
    ofproto.setInBand({
      disabled: boolOption(config.otherConfig, "disable-in-band", false),
      queue: queue >= 0 ? queue : undefined,
      managers: config.managers,
    });
    ofproto.setControllers(this.#safeControllers());
    this.#exports = applyExports(ofproto, this.#exports, config.exports, this.#context.exports);
  }

  /** Queueing is the device's, but the datapath must not go past it; policing is the datapath's. */
  #configureTraffic({ qos }: PortConfig, { name, policing }: IfaceConfig): void {
    const iface = this.#ifaces.get(name);
    if (iface === undefined) return;
    iface.netdev.setQos(qos);
    const odpPort = this.ofproto.portAt(iface.ofport)?.odpPort;
    if (odpPort === undefined) return;
    // "linux-noop" is somebody else's queueing.
    this.datapath.dpif.portShaped(odpPort, iface.netdev.qos() !== undefined || qos?.type === "linux-noop");
    this.datapath.dpif.portPolicing(odpPort, policing);
  }

  /** sFlow and its kin, where there are any. */
  get exporters(): BridgeExports | undefined {
    return this.#exports;
  }

  #configureMirrors(): void {
    const { config, ofproto } = this;
    const about = (mirror: MirrorRow): string => `bridge ${this.name}: mirror ${mirror.name}`;
    const onBridge = (names: readonly string[], mirror: MirrorRow): string[] =>
      names.filter((name) => {
        const known = this.#bundles.has(name);
        if (!known) log.warn(`${about(mirror)} cannot match on nonexistent port ${name}`);
        return known;
      });
    const wanted = new Set<string>();
    for (const mirror of config.mirrors) {
      const { outPort, outVlan } = mirror;
      if (outPort !== undefined && outVlan !== undefined)
        log.warn(`${about(mirror)} specifies both output port and output vlan; ignoring output vlan`);
      if (outPort !== undefined && !this.#bundles.has(outPort)) {
        log.warn(`${about(mirror)} outputs to port not on bridge`);
        continue;
      }
      if (outPort === undefined && outVlan === undefined) {
        log.warn(`${about(mirror)} does not specify output; ignoring`);
        continue;
      }
      const all = [...this.#bundles];
      const done = ofproto.setMirror(mirror.uuid, {
        name: mirror.name,
        srcPorts: mirror.selectAll ? all : onBridge(mirror.srcPorts, mirror),
        dstPorts: mirror.selectAll ? all : onBridge(mirror.dstPorts, mirror),
        vlans: mirror.vlans,
        outPort,
        outVlan: outPort === undefined ? outVlan : undefined,
        snaplen: mirror.snaplen === WHOLE_PACKETS ? undefined : mirror.snaplen,
        filter: mirror.filter,
      });
      if (done) wanted.add(mirror.uuid);
      else log.warn(`${about(mirror)} configuration is invalid`);
    }
    for (const mirror of [...ofproto.mirrors])
      if (!wanted.has(mirror.key as string)) ofproto.removeMirror(mirror.key);
  }

  /** Mirror.statistics, by row; undefined for a mirror that is not at work. */
  mirrorStatistics(uuid: MirrorRow["uuid"]): Map<string, number> | undefined {
    const mirror = this.ofproto.mirrors.find(uuid);
    if (mirror === undefined) return undefined;
    return new Map([
      ["tx_bytes", mirror.bytes],
      ["tx_packets", mirror.packets],
    ]);
  }

  /**
   * Who may write the database must not get files overwritten by it, nor sockets spoken to: socket controllers stay in the
   * run folder, listening ones under the bridge's name.
   */
  #safeControllers(): BridgeConfig["controllers"] {
    const rundir = this.#context.rundir ?? "";
    const own = `${rundir}/${this.name}.`;
    const management = `"unix:${own}mgmt" (which is always available without special configuration)`;
    const seen = new Set<string>([`punix:${own}mgmt`]);
    return this.config.controllers.filter(({ target }) => {
      if (target.startsWith("punix:")) {
        const path = absolute(rundir, target.slice(6));
        if (!path.startsWith(own) || path.slice(own.length).includes("/")) {
          log.err(
            `bridge ${this.name}: Not adding Unix domain socket controller "${target}" due to possibility of ` +
              `overwriting local files. Instead, specify path in permitted format "punix:${own}*" or connect to ${management}.`,
          );
          return false;
        }
      } else if (target.startsWith("unix:")) {
        const path = absolute(rundir, target.slice(5));
        if (!path.startsWith(`${rundir}/`) || path.includes("/../")) {
          log.err(
            `bridge ${this.name}: Not connecting to socket controller "${target}" due to possibility for remote ` +
              `exploit.  Instead, specify socket in permitted directory "unix:${rundir}/" or connect to ${management}.`,
          );
          return false;
        }
      }
      if (seen.has(target)) log.warn(`bridge ${this.name}: Duplicate controllers "${target}".`);
      return !seen.has(target) && seen.add(target) !== undefined;
    });
  }

  /**
   * Internal ports follow the smallest MTU of the other ports, unless they were asked for one (ovs-vswitchd.conf.db(5),
   * Interface, mtu_request).
   */
  #configureMtu(): void {
    let smallest: number | undefined;
    const followers: Iface[] = [];
    for (const iface of this.#ifaces.values()) {
      const mtu = iface.netdev.mtu();
      if (mtu === undefined) continue;
      const internal = iface.config.type === "internal" || iface.config.type === "tap";
      if (internal && iface.config.mtuRequest === undefined) followers.push(iface);
      else smallest = Math.min(smallest ?? mtu, mtu);
    }
    for (const iface of followers) {
      const wanted = smallest ?? ETHERNET_MTU;
      if (iface.netdev.mtu() === wanted) continue;
      const error = iface.netdev.setMtu(wanted);
      if (error !== undefined)
        logNetdev.warn(`failed to set MTU for network device ${iface.config.name}: ${error}`);
    }
  }

  /** Interface.mac (or Port.mac) of an internal port other than LOCAL. */
  #setMac(port: PortConfig, config: IfaceConfig): void {
    const wanted = config.mac ?? (port.ifaces.length > 1 ? undefined : port.mac);
    const iface = this.#ifaces.get(config.name);
    if (iface === undefined || wanted === undefined || config.type !== "internal") return;
    if (iface.ofport === OFPP_LOCAL || iface.netdev.etherAddr() === wanted.toLowerCase()) return;
    if ((Number.parseInt(wanted.slice(0, 2), 16) & 1) !== 0) {
      log.err(`interface ${config.name}: cannot set MAC to multicast address`);
      return;
    }
    const error = iface.netdev.setEtherAddr(wanted.toLowerCase());
    if (error !== undefined) log.err(`interface ${config.name}: setting MAC failed (${error})`);
  }

  /** The bridge is known by the address of the device that it stands for. */
  #movedAddress(): string | undefined {
    const from = this.config.otherConfig.get(FROM);
    return from === undefined ? undefined : this.#ifaces.get(from)?.netdev.etherAddr();
  }

  *#portAddresses(): Iterable<string> {
    for (const port of this.config.ports) {
      if (port.name === this.name) continue;
      if (port.mac !== undefined) {
        yield port.mac;
        continue;
      }
      for (const config of port.ifaces) {
        const address = this.#ifaces.get(config.name)?.netdev.etherAddr();
        if (address !== undefined && config.name !== this.name) yield address;
      }
    }
  }

  // What goes back into the database.

  /** Columns of an interface after a reconfiguration: number, error, state, counters. */
  ifaceColumns(name: string): InterfaceWrite {
    const iface = this.#ifaces.get(name);
    if (iface === undefined) {
      const failed = this.#failed.get(name) ?? { ofport: -1, error: undefined };
      return { ...NO_STATE, ofport: failed.ofport, error: failed.error };
    }
    const columns = { ...interfaceState(iface.netdev), ofport: iface.ofport, error: undefined };
    if (!iface.fresh) return columns;
    iface.fresh = false;
    return { ...columns, statistics: interfaceStatistics(iface.netdev) };
  }

  /** `remove`: also takes its ports out of the datapath and removes the devices that are ours. */
  async close(remove: boolean): Promise<void> {
    this.#exports = applyExports(this.ofproto, this.#exports, undefined, this.#context.exports);
    for (const name of [...this.#ifaces.keys()].sort()) {
      const iface = this.#ifaces.get(name)!;
      this.#ifaces.delete(name);
      iface.unwatch();
      log.info(`bridge ${this.name}: deleted interface ${name} on port ${iface.ofport}`);
      if (this.ofproto.portByName(name)?.ofPort === iface.ofport) await this.ofproto.portDel(iface.ofport);
      if (remove) iface.netdev.setQos(undefined);
      this.#context.registry.close(iface.netdev, remove);
    }
    await this.ofproto.close(remove);
  }
}
