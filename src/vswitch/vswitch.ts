/**
 * The switch: reads the Open_vSwitch database through an Idl, makes bridges, ports and settings be as its rows say, and
 * writes back what became of them (upstream: vswitchd/bridge.c). One reconfiguration runs at a time; what changes meanwhile
 * starts the next. What devices and controllers do between reconfigurations is written at once (state) or at intervals
 * (counters).
 */

import type { ProcessUsage } from "../export/bridge-exports.ts";
import { VERSION } from "../lib/applet.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { coverage } from "../lib/coverage.ts";
import type { Datagrams } from "../lib/datagram.ts";
import { describeError } from "../lib/errors.ts";
import type { Random } from "../lib/platform.ts";
import type { InFlight } from "../lib/sim-clock.ts";
import type { StreamFactory } from "../lib/stream.ts";
import type { TlsConfig } from "../lib/stream-config.ts";
import { RateLimit, vlog } from "../lib/vlog.ts";
import type { NetdevRegistry } from "../netdev/registry.ts";
import type { Backer } from "../ofproto/backer.ts";
import { Ofproto } from "../ofproto/ofproto.ts";
import { Idl, type Transaction, type Watch } from "../ovsdb/idl.ts";
import type { Ref } from "../ovsdb/idl-types.ts";
import { AddressMoves, type MovesHost } from "./address-moves.ts";
import { Bridge, type BridgeContext } from "./bridge.ts";
import { type BridgeConfig, boolOption, intOption, readConfig, type SwitchConfig } from "./config.ts";
import type { DatapathOpener } from "./datapath-opener.ts";
import { type Datapath, Datapaths, logTo } from "./datapaths.ts";
import { type OpenVswitchSchema, openVswitchSchema } from "./schema/index.ts";
import { changedColumns, interfaceState, interfaceStatistics } from "./status.ts";

const log = vlog("bridge");
const logOfproto = vlog("ofproto");
const logCollectors = vlog("collectors");
const collectorsLimit = new RateLimit(1, 5);
const reconfigurations = coverage("bridge_reconfigure");
const revalidations = coverage("rev_reconfigure");
const LOCK = "ovs_vswitchd";
const contendedLimit = new RateLimit(1, 5);
const DEFAULT_STATS_INTERVAL_MS = 5000;
/** Between two writes of states that change; counters go with the statistics. */
const STATE_INTERVAL_MS = 100;
/** Rows whose counters are read in one turn of the loop. */
const STATS_SLICE = 64;
const MAX_VLAN_TAGS = 2;

/** Columns that only we write do not start a reconfiguration when they change. */
const WATCH: Watch<OpenVswitchSchema> = {
  Open_vSwitch: {
    columns: ["bridges", "manager_options", "other_config", "next_cfg", "ssl", "external_ids"],
    quiet: ["cur_cfg", "iface_types", "datapath_types", "dpdk_initialized", "dpdk_version", "statistics"],
    writeOnly: ["ovs_version", "db_version", "system_type", "system_version"],
  },
  Bridge: {
    columns: [
      "name",
      "ports",
      "datapath_type",
      "fail_mode",
      "protocols",
      "controller",
      "flood_vlans",
      "flow_tables",
      "sflow",
      "netflow",
      "ipfix",
      "mirrors",
      "other_config",
      "stp_enable",
      "rstp_enable",
      "mcast_snooping_enable",
    ],
    quiet: ["datapath_id", "datapath_version", "status", "rstp_status"],
  },
  Port: {
    columns: [
      "name",
      "interfaces",
      "tag",
      "trunks",
      "cvlans",
      "vlan_mode",
      "mac",
      "protected",
      "other_config",
      "bond_mode",
      "qos",
    ],
    // Those that mean nothing here yet travel with a port's state.
    quiet: [
      "status",
      "statistics",
      "external_ids",
      "bond_fake_iface",
      "bond_updelay",
      "bond_downdelay",
      "lacp",
    ],
  },
  QoS: { columns: ["type", "queues", "other_config"], quiet: ["external_ids"] },
  Queue: { columns: ["dscp", "other_config"], quiet: ["external_ids"] },
  Interface: {
    columns: [
      "name",
      "type",
      "options",
      "ofport_request",
      "mac",
      "mtu_request",
      "other_config",
      "ingress_policing_rate",
      "ingress_policing_burst",
      "ingress_policing_kpkts_rate",
      "ingress_policing_kpkts_burst",
    ],
    quiet: [
      "ofport",
      "error",
      "admin_state",
      "link_state",
      "link_resets",
      "link_speed",
      "duplex",
      "mac_in_use",
      "mtu",
      "ifindex",
      "status",
      "statistics",
      "lacp_current",
      "external_ids",
      "bfd",
      "lldp",
    ],
  },
  Controller: {
    columns: [
      "target",
      "type",
      "max_backoff",
      "inactivity_probe",
      "connection_mode",
      "controller_queue_size",
      "controller_rate_limit",
      "controller_burst_limit",
      "enable_async_messages",
      "other_config",
    ],
    quiet: ["is_connected", "role", "status"],
  },
  Manager: { columns: ["target", "connection_mode"] },
  Mirror: {
    columns: [
      "name",
      "select_all",
      "select_src_port",
      "select_dst_port",
      "select_vlan",
      "output_port",
      "output_vlan",
      "snaplen",
      "filter",
    ],
    quiet: ["statistics"],
  },
  Flow_Table: { columns: ["name", "flow_limit", "overflow_policy", "groups", "prefixes"] },
  sFlow: { columns: ["targets", "sampling", "polling", "header", "agent"] },
  NetFlow: { columns: ["targets", "engine_type", "engine_id", "add_id_to_interface", "active_timeout"] },
  IPFIX: {
    columns: [
      "targets",
      "sampling",
      "obs_domain_id",
      "obs_point_id",
      "cache_active_timeout",
      "cache_max_flows",
      "stats_interval",
      "template_interval",
      "other_config",
    ],
  },
  Flow_Sample_Collector_Set: { columns: ["id", "bridge", "ipfix", "local_group_id"] },
  SSL: { columns: ["private_key", "certificate", "ca_cert", "bootstrap_ca_cert"] },
};

export interface Identity {
  ovs_version: string;
  db_version: string;
  system_type: string;
  system_version: string;
}

export interface VswitchOptions {
  /** Of the database server, e.g. "unix:/run/openvswitch/db.sock". */
  remote: string;
  clock: Clock;
  /** For the database. */
  streams: StreamFactory;
  /** For controllers and BR.mgmt. */
  openflowStreams: StreamFactory;
  random: Random;
  /** Milliseconds that no time/stop holds up. */
  realNow: () => number;
  /** Work under way; time/warp and replies of commands wait for it. */
  inFlight: InFlight;
  registry: NetdevRegistry;
  datapaths: DatapathOpener;
  /** Where BR.mgmt and BR.snoop go; undefined: nowhere. */
  rundir: string | undefined;
  pid: number;
  /** Written to by the SSL table. */
  tls: TlsConfig;
  datagrams: Datagrams;
  /** The host's own network, opened when it is needed first. */
  host: () => MovesHost;
  /** For sFlow's counters of the process. */
  usage: () => ProcessUsage;
  /** Open_vSwitch.statistics, asked for when other_config:enable-statistics is true. */
  systemStatistics: () => Map<string, string>;
  /** Of the host's routing and neighbour tables; undefined where the switch's world has none. */
  nextHopMac?: ((address: string) => string | undefined) | undefined;
  /** Written to the Open_vSwitch row, which is made if there is none; undefined leaves that to a start script. */
  identity: Identity | undefined;
  /** Called once: the first reconfiguration is done and written. */
  started: () => void;
}

export class Vswitch {
  readonly #options: VswitchOptions;
  readonly idl: Idl<OpenVswitchSchema>;
  readonly datapaths: Datapaths;
  readonly #bridges = new Map<string, Bridge>();
  readonly #bridgeContext: BridgeContext;
  readonly #moves: AddressMoves;
  #config: SwitchConfig | undefined;
  #running: Promise<void> | undefined;
  #again = false;
  #startedOnce = false;
  /** other_config:flow-restore-wait as it was when the first configuration came, until it is taken away. */
  #restoring = true;
  #closed = false;
  /** Interfaces whose state is out of date in the database. */
  readonly #stale = new Set<string>();
  #controllersStale = false;
  #stateTimer: Timer | undefined;
  #lastStateMs = Number.NEGATIVE_INFINITY;
  #writing: Promise<void> | undefined;
  #statsTimer: Timer | undefined;
  #statsInterval = DEFAULT_STATS_INTERVAL_MS;
  #seqno = -1;
  #wasLocked = false;

  constructor(options: VswitchOptions) {
    this.#options = options;
    this.datapaths = new Datapaths(
      options.datapaths,
      options.registry,
      options.clock,
      options.realNow,
      options.inFlight,
    );
    this.#bridgeContext = {
      registry: options.registry,
      rundir: options.rundir,
      exports: {
        clock: options.clock,
        datagrams: options.datagrams,
        streams: options.openflowStreams,
        usage: options.usage,
        warn: (text) => logCollectors.warnRl(collectorsLimit, text),
      },
      deviceChanged: (_bridge, name, gone) => {
        if (gone) this.reconfigure();
        else this.#markStale(name);
      },
    };
    this.#moves = new AddressMoves({
      clock: options.clock,
      host: options.host,
      attached: (bridge, name) => this.#bridges.get(bridge)?.iface(name) !== undefined,
      edit: (bridge, keys, withoutPort) => this.#editBridge(bridge, keys, withoutPort),
      again: () => this.reconfigure(),
    });
    this.idl = new Idl<OpenVswitchSchema>({
      clock: options.clock,
      streams: options.streams,
      remote: options.remote,
      schema: openVswitchSchema,
      uuid: () => options.random.uuid(),
      watch: WATCH,
      lock: LOCK,
      changed: () => this.#idlChanged(),
    });
    options.inFlight.addSource(() => this.#settled());
  }

  /** A link of the kernel has come, gone or changed: whoever waits for a device of that name gets it. */
  linkChanged(name: string): void {
    for (const bridge of this.#bridges.values()) if (bridge.wants(name)) this.reconfigure();
  }

  open(): void {
    this.idl.open();
  }

  bridges(): Bridge[] {
    return [...this.#bridges.values()];
  }
  bridge(name: string): Bridge | undefined {
    return this.#bridges.get(name);
  }

  /** Waits for a running reconfiguration and its writes. */
  async #settled(): Promise<void> {
    while (this.#running !== undefined || this.#writing !== undefined || this.#flushDue())
      await (this.#running ?? this.#writing ?? this.#flushNow());
  }

  #idlChanged(): void {
    if (this.#closed) return;
    const { idl } = this;
    if (idl.state !== "live") return;
    if (!idl.isLocked) {
      if (idl.isLockContended)
        log.errRl(
          contendedLimit,
          `another ovs-vswitchd process is running, disabling this process (pid ${this.#options.pid}) until it goes away`,
        );
      if (this.#wasLocked) {
        this.#wasLocked = false;
        this.#seqno = -1;
        this.#run(() => this.#dropAll(false));
      }
      return;
    }
    this.#wasLocked = true;
    if (idl.seqno === this.#seqno) return;
    this.reconfigure();
  }

  /** Brings everything to what the database says, soon; one call serves all changes so far. */
  reconfigure(): void {
    if (this.#closed || this.idl.state !== "live" || !this.idl.isLocked) return;
    this.#again = true;
    this.#run(async () => {
      while (this.#again && !this.#closed) {
        this.#again = false;
        await this.#reconfigureOnce();
      }
    });
  }

  /** One at a time, in the order of the calls. */
  #run(work: () => Promise<void>): void {
    const before = this.#running ?? Promise.resolve();
    const mine: Promise<void> = before.then(work).catch((error: unknown) => {
      log.err(`reconfiguration failed: ${error instanceof Error ? error.stack : String(error)}`);
    });
    this.#running = mine;
    void this.#options.inFlight.track(
      mine.then(() => {
        if (this.#running === mine) this.#running = undefined;
      }),
    );
  }

  async #reconfigureOnce(): Promise<void> {
    const { idl } = this;
    if (idl.state !== "live" || !idl.isLocked) return;
    reconfigurations.count++;
    this.#seqno = idl.seqno;
    if (!this.#startedOnce && this.#options.identity !== undefined)
      await this.#identify(this.#options.identity);
    const config = readConfig(idl);
    this.#config = config;
    this.#applyGlobal(config);
    this.#restoring &&= boolOption(config?.otherConfig ?? new Map(), "flow-restore-wait", false);
    const bridges = (config?.bridges ?? []).filter((bridge) => {
      // It would name sockets outside of the run folder.
      const valid = !bridge.name.includes("/");
      if (!valid) log.warn(`ignoring bridge with invalid name "${bridge.name}"`);
      return valid;
    });

    // What goes goes first, so that its ports are free for others.
    const wanted = new Map(bridges.map((bridge) => [bridge.name, bridge]));
    for (const bridge of [...this.#bridges.values()])
      if (wanted.get(bridge.name)?.datapathType !== bridge.datapath.type)
        await this.#closeBridge(bridge, true);
    for (const bridge of this.#bridges.values()) await bridge.deletePorts(wanted.get(bridge.name)!);

    for (const bridge of bridges) if (!this.#bridges.has(bridge.name)) await this.#openBridge(bridge);
    // Programs that nobody claims would take the packets of ports that come now.
    if (!this.#startedOnce) this.datapaths.removeLeftBehind(devicesOf(bridges));
    for (const bridge of this.#bridges.values()) {
      await bridge.addPorts();
      bridge.configure();
    }
    if (!this.#restoring)
      for (const bridge of this.#bridges.values()) bridge.ofproto.setFlowRestoreWait(false);
    const backers = new Set([...this.#bridges.values()].map((bridge) => bridge.ofproto.backer));
    for (const backer of backers) {
      if (backer.reconfigured) revalidations.count++;
      backer.reconfigured = false;
    }

    // What promises an effect waits for it.
    for (const { backer, dpif } of this.datapaths) {
      await backer.settled();
      if (!this.#restoring) await dpif.takeOver();
    }
    await this.#moves.run(config?.bridges ?? []);
    if (config !== undefined) await this.#writeAll(config);
    if (!this.#startedOnce) {
      this.#startedOnce = true;
      this.#options.started();
      // The log's alone: a detached daemon has closed its console by now.
      log.info(`ovs-vswitchd (Open vSwitch) ${VERSION}`);
    }
    this.#scheduleStats();
  }

  async #identify(identity: Identity): Promise<void> {
    const txn = this.idl.transaction();
    const row = this.idl.rows("Open_vSwitch").next().value;
    if (row === undefined) txn.insert("Open_vSwitch", { ...identity });
    else txn.update("Open_vSwitch", row._uuid, { ...identity });
    await txn.commit();
  }

  #applyGlobal(config: SwitchConfig | undefined): void {
    const { tls } = this.#options;
    if (config?.ssl !== undefined) {
      tls.privateKey = config.ssl.privateKey;
      tls.certificate = config.ssl.certificate;
      tls.caCert = config.ssl.caCert;
      tls.bootstrap = config.ssl.bootstrapCaCert;
    }
    const other = config?.otherConfig ?? new Map<string, string>();
    for (const { backer } of this.datapaths) this.#tune(backer, other);
  }

  #tune(backer: Backer, other: ReadonlyMap<string, string>): void {
    backer.setLimits(limits(other));
    backer.bundleIdleMs = bundleIdleMs(other);
    backer.setVlanLimit(vlanLimit(other));
    backer.dpif.setCpus?.(cpuMask(other));
    const explicit = boolOption(other, "explicit-sampled-drops", false);
    if (explicit !== backer.explicitSampledDrops) {
      backer.explicitSampledDrops = explicit;
      backer.changed();
    }
  }

  async #openBridge(config: BridgeConfig): Promise<void> {
    const { name } = config;
    const type = config.datapathType;
    let datapath: Datapath;
    try {
      datapath = await this.datapaths.use(type);
    } catch (error) {
      if (!this.datapaths.types.includes(type))
        logOfproto.warn(`could not create datapath ${name} of unknown type ${type}`);
      log.err(`failed to create bridge ${name}: ${describeError(error)}`);
      return;
    }
    this.#tune(datapath.backer, this.#config?.otherConfig ?? new Map());
    const { clock, openflowStreams, rundir, random, nextHopMac } = this.#options;
    const options = {
      name,
      backer: datapath.backer,
      clock,
      streams: openflowStreams,
      rundir,
      random: () => random.u32(),
      log: logTo,
      nextHopMac,
    };
    const ofproto = new Ofproto(options);
    ofproto.setFlowRestoreWait(this.#restoring);
    const bridge = new Bridge(config, ofproto, datapath, this.#bridgeContext);
    this.#bridges.set(name, bridge);
    ofproto.statusChanged = () => this.#controllersChanged();
    await ofproto.started();
  }

  async #closeBridge(bridge: Bridge, remove: boolean): Promise<void> {
    this.#bridges.delete(bridge.name);
    if (remove) this.#moves.bridgeGone(bridge.config);
    await bridge.close(remove);
    await this.datapaths.release(bridge.datapath.type);
  }

  // Writing back.

  /** Everything that we say, in one transaction; again when the database has moved under us. */
  async #writeAll(config: SwitchConfig): Promise<void> {
    this.#stale.clear();
    for (;;) {
      const txn = this.idl.transaction();
      const { registry } = this.#options;
      update(txn, "Open_vSwitch", config.uuid, {
        cur_cfg: config.nextCfg,
        iface_types: new Set(registry.types()),
        datapath_types: new Set(this.datapaths.types),
        dpdk_initialized: false,
        dpdk_version: "none",
      });
      for (const wanted of config.bridges) {
        const bridge = this.#bridges.get(wanted.name);
        if (bridge === undefined) continue;
        update(txn, "Bridge", wanted.uuid, {
          datapath_id: bridge.datapathId,
          datapath_version: "<built-in>",
        });
        update(txn, "Bridge", wanted.uuid, { status: this.#bridgeStatus(bridge) });
        for (const port of wanted.ports)
          for (const iface of port.ifaces)
            if (iface.uuid !== undefined)
              update(txn, "Interface", iface.uuid, bridge.ifaceColumns(iface.name));
        this.#writeControllers(txn, bridge, wanted);
      }
      const result = await txn.commit();
      if (result.status === "error") log.err(`could not write to the database: ${result.error}`);
      if (result.status !== "tryAgain" || this.#again || this.idl.state !== "live") return;
    }
  }

  #bridgeStatus(bridge: Bridge): Map<string, string> {
    const status = new Map<string, string>();
    const { forwarding } = bridge.datapath;
    if (forwarding !== undefined) status.set("datapath", forwarding);
    const addresses = this.#moves.status(bridge.name);
    if (addresses !== undefined) status.set("addresses", addresses);
    return status;
  }

  /** Keys of other_config that are ours to write; again when the database has moved under us. */
  async #editBridge(
    { uuid }: BridgeConfig,
    keys: Readonly<Record<string, string | undefined>>,
    withoutPort: string | undefined,
  ): Promise<void> {
    for (;;) {
      const txn = this.idl.transaction();
      const row = txn.row("Bridge", uuid);
      if (row === undefined) return;
      const other = new Map(row.other_config);
      for (const [key, value] of Object.entries(keys))
        if (value === undefined) other.delete(key);
        else other.set(key, value);
      txn.verify("Bridge", uuid, "other_config");
      txn.update("Bridge", uuid, { other_config: other });
      if (withoutPort !== undefined) {
        const ports = [...row.ports].filter((port) => txn.row("Port", port)?.name !== withoutPort);
        txn.verify("Bridge", uuid, "ports");
        txn.update("Bridge", uuid, { ports: new Set(ports) });
      }
      const result = await txn.commit();
      if (result.status === "error") throw new Error(result.error);
      if (result.status !== "tryAgain") return;
      if (this.idl.state !== "live" || this.#closed) throw new Error("the database is away");
    }
  }

  #writeControllers(txn: Transaction<OpenVswitchSchema>, bridge: Bridge, config: BridgeConfig): void {
    if (config.controllers.length === 0) return;
    const states = bridge.ofproto.controllerStatus();
    for (const controller of config.controllers) {
      const state = states.get(controller.target);
      update(txn, "Controller", controller.uuid, {
        is_connected: state?.isConnected ?? false,
        role: state?.role,
        status: state?.status ?? new Map<string, string>(),
      });
    }
  }

  #writeMirrors(txn: Transaction<OpenVswitchSchema>, bridge: Bridge): void {
    for (const { uuid } of bridge.config.mirrors)
      update(txn, "Mirror", uuid, { statistics: bridge.mirrorStatistics(uuid) ?? new Map<string, number>() });
  }

  /** A connection came or went, or changed its role: the rows follow at once. */
  #controllersChanged(): void {
    if (this.#controllersStale || this.#closed) return;
    this.#controllersStale = true;
    this.#options.clock.soon(() => {
      this.#controllersStale = false;
      if (this.#closed) return;
      void this.#write(async (txn) => {
        for (const bridge of this.#bridges.values()) this.#writeControllers(txn, bridge, bridge.config);
      });
    });
  }

  #markStale(name: string): void {
    this.#stale.add(name);
    if (this.#stateTimer !== undefined) return;
    const wait = Math.max(0, this.#lastStateMs + STATE_INTERVAL_MS - this.#options.clock.now());
    this.#stateTimer = this.#options.clock.background(wait, () => {
      this.#stateTimer = undefined;
      void this.#flushNow();
    });
  }

  #flushDue(): boolean {
    return this.#stale.size > 0 && this.idl.state === "live" && this.idl.isLocked && !this.#closed;
  }

  /** Writes the states that have changed. Does not wait for the interval. */
  #flushNow(): Promise<void> {
    this.#stateTimer?.cancel();
    this.#stateTimer = undefined;
    if (!this.#flushDue()) return Promise.resolve();
    return this.#write(async (txn) => {
      this.#lastStateMs = this.#options.clock.now();
      const names = new Set(this.#stale);
      this.#stale.clear();
      this.#eachIface((bridge, name, uuid) => {
        const iface = names.has(name) ? bridge.iface(name) : undefined;
        if (iface !== undefined) update(txn, "Interface", uuid, interfaceState(iface.netdev));
      });
    });
  }

  #eachIface(visit: (bridge: Bridge, name: string, uuid: Ref<"Interface">) => void): void {
    for (const bridge of this.#bridges.values())
      for (const port of bridge.config.ports)
        for (const iface of port.ifaces) if (iface.uuid !== undefined) visit(bridge, iface.name, iface.uuid);
  }

  /** One transaction after the other, none while a reconfiguration runs. What it misses, the next one brings. */
  #write(fill: (txn: Transaction<OpenVswitchSchema>) => Promise<void>): Promise<void> {
    const before = this.#running ?? this.#writing ?? Promise.resolve();
    const mine: Promise<void> = before
      .then(async () => {
        if (this.#closed || this.idl.state !== "live" || !this.idl.isLocked) return;
        const txn = this.idl.transaction();
        await fill(txn);
        await txn.commit();
      })
      .catch((error: unknown) => log.err(`could not write status: ${describeError(error)}`))
      .then(() => {
        if (this.#writing === mine) this.#writing = undefined;
      });
    this.#writing = mine;
    return this.#options.inFlight.track(mine);
  }

  #scheduleStats(): void {
    if (this.#closed) return;
    const interval = Math.max(
      intOption(this.#config?.otherConfig ?? new Map(), "stats-update-interval", DEFAULT_STATS_INTERVAL_MS),
      DEFAULT_STATS_INTERVAL_MS,
    );
    if (this.#statsTimer !== undefined && interval === this.#statsInterval) return;
    this.#statsTimer?.cancel();
    this.#statsInterval = interval;
    this.#statsTimer = this.#options.clock.background(interval, () => {
      this.#statsTimer = undefined;
      void this.#write((txn) => this.#fillStatistics(txn)).then(() => this.#scheduleStats());
    });
  }

  async #fillStatistics(txn: Transaction<OpenVswitchSchema>): Promise<void> {
    const work: [Bridge, string, Ref<"Interface">][] = [];
    this.#eachIface((bridge, name, uuid) => work.push([bridge, name, uuid]));
    let inSlice = 0;
    for (const [bridge, name, uuid] of work) {
      const iface = bridge.iface(name);
      if (iface === undefined) continue;
      update(txn, "Interface", uuid, {
        statistics: interfaceStatistics(iface.netdev),
        ...interfaceState(iface.netdev),
      });
      if (++inSlice >= STATS_SLICE) {
        inSlice = 0;
        await new Promise<void>((resolve) => this.#options.clock.soon(resolve));
      }
    }
    for (const bridge of this.#bridges.values()) {
      this.#writeControllers(txn, bridge, bridge.config);
      this.#writeMirrors(txn, bridge);
    }
    const config = this.#config;
    if (config !== undefined)
      update(txn, "Open_vSwitch", config.uuid, {
        statistics: boolOption(config.otherConfig, "enable-statistics", false)
          ? this.#options.systemStatistics()
          : new Map<string, string>(),
      });
  }

  // The end.

  async #dropAll(remove: boolean): Promise<void> {
    for (const bridge of this.bridges()) await this.#closeBridge(bridge, remove);
  }

  /** `cleanup`: devices that are ours go too, as after `exit --cleanup`. */
  async close(cleanup: boolean): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#statsTimer?.cancel();
    this.#stateTimer?.cancel();
    this.#moves.close();
    this.#run(() => {
      if (!cleanup) for (const { dpif } of this.datapaths) dpif.leave();
      return this.#dropAll(cleanup);
    });
    await this.#running;
    this.idl.close();
  }
}

/** other_config:vlan-limit: 1 unless it says otherwise, 0 for as many as there can be. */
function vlanLimit(other: ReadonlyMap<string, string>): number {
  const tags = intOption(other, "vlan-limit", 1);
  return tags <= 0 ? MAX_VLAN_TAGS : Math.min(tags, MAX_VLAN_TAGS);
}

/** other_config:pmd-cpu-mask: the numbers of its bits, ascending; undefined when none is set, or it is no mask. */
function cpuMask(other: ReadonlyMap<string, string>): number[] | undefined {
  const digits = /^(?:0x)?([0-9a-f]+)$/i.exec(other.get("pmd-cpu-mask") ?? "")?.[1];
  if (digits === undefined) return undefined;
  const cpus = [...digits].reverse().flatMap((digit, at) => {
    const bits = Number.parseInt(digit, 16);
    return [0, 1, 2, 3].filter((bit) => ((bits >> bit) & 1) !== 0).map((bit) => at * 4 + bit);
  });
  return cpus.length > 0 ? cpus : undefined;
}

/** other_config:bundle-idle-timeout, in seconds there; 0 is the default too. */
function bundleIdleMs(other: ReadonlyMap<string, string>): number {
  const seconds = intOption(other, "bundle-idle-timeout", 0);
  return seconds > 0 ? seconds * 1000 : 10_000;
}

function limits(other: ReadonlyMap<string, string>): {
  flowLimit: number;
  maxIdleMs: number;
  maxRevalidatorMs: number;
} {
  return {
    flowLimit: intOption(other, "flow-limit", 200_000),
    maxIdleMs: Math.max(intOption(other, "max-idle", 10_000), 500),
    maxRevalidatorMs: Math.max(intOption(other, "max-revalidator", 500), 100),
  };
}

/** Whether a device is one of an interface of these. */
function devicesOf(bridges: readonly BridgeConfig[]): (device: string) => boolean {
  const names = new Set(
    bridges.flatMap(({ ports }) => ports.flatMap(({ ifaces }) => ifaces.map(({ name }) => name))),
  );
  return (device) => names.has(device);
}

type Tables = "Open_vSwitch" | "Bridge" | "Port" | "Interface" | "Controller" | "Mirror";

/** Writes the columns that differ from what the replica has; a row that is gone meanwhile is left alone. */
function update<T extends Tables>(
  txn: Transaction<OpenVswitchSchema>,
  table: T,
  uuid: Ref<T>,
  values: Parameters<Transaction<OpenVswitchSchema>["update"]>[2] & object,
): void {
  const row = txn.row(table, uuid);
  if (row === undefined) return;
  const changed = changedColumns(row, values);
  if (changed !== undefined) txn.update(table, uuid, changed as never);
}
