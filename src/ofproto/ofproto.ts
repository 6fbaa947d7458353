/**
 * One OpenFlow switch, that is one bridge (upstream: `ofproto/ofproto.c` over `ofproto-dpif.c`): ports and port bundles,
 * OpenFlow tables, controllers. `src/vswitch` makes one a Bridge row and tells it what the rows say; nothing need be
 * polled: timers on `Clock` do what is due.
 */
import type { Packet } from "../datapath/packet.ts";
import { mustField, setFieldBig } from "../flow/fields/index.ts";
import { type Flow, W_ETH_TYPE, W_NW, W_RECIRC_ID, W_TCP_FLAGS } from "../flow/layout.ts";
import { type Match, makeMatch } from "../flow/match.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import type { Netdev } from "../netdev/netdev.ts";
import { OFPR_IMPLICIT_MISS } from "../openflow/actions/output.ts";
import { formatSubfield, parseSubfield } from "../openflow/actions/row.ts";
import type { Ofpact, Subfield } from "../openflow/actions.ts";
import { OFPP_NORMAL } from "../openflow/actions.ts";
import { OfpError } from "../openflow/errors.ts";
import type { FlowMod, NxtTlvTableMod, PhyPort } from "../openflow/messages.ts";
import { MacLearning } from "../protocols/mac-learning.ts";
import type { Backer } from "./backer.ts";
import type { Connection } from "./connections/connection.ts";
import { ConnectionManager } from "./connections/manager.ts";
import {
  FlowTables,
  OFPRR_DELETE,
  OFPRR_GROUP_DELETE,
  OFPRR_METER_DELETE,
  type RuleCriteria,
  sameActions,
  usesMeter,
} from "./flow-mods.ts";
import { FlowTable, N_TABLES, TBL_INTERNAL } from "./flow-table.ts";
import { type ControllerCopy, type FrozenState, frozenInPort } from "./frozen.ts";
import { GroupTable } from "./group.ts";
import { InBand, type InBandRemote, inBandRemote } from "./in-band.ts";
import { MeterTable } from "./meter.ts";
import { MirrorTable } from "./mirrors.ts";
import { PortBundle } from "./port-bundle.ts";
import {
  OFPPC_NO_FLOOD,
  OFPPC_NO_PACKET_IN,
  OFPPC_PORT_DOWN,
  OFPPC_SETTABLE,
  OFPPS_LIVE,
  OfportState,
  PortNumbers,
  samePhyPort,
} from "./ports.ts";
import { Rule } from "./rule.ts";
import type { BridgeSampling } from "./sampling.ts";
import { TlvTable } from "./tlv-table.ts";
import type {
  BundleConfig,
  ControllerConfig,
  ControllerStatus,
  DescStrings,
  FailMode,
  FlowTableConfig,
  InBandConfig,
  Log,
  MacConfig,
  MirrorConfig,
  OfPort,
  OfPortInfo,
  OfprotoOptions,
} from "./types.ts";
import { OFPP_LOCAL } from "./types.ts";
import { reportActionSet, xlateActionSet } from "./xlate/action-set.ts";
import type { Credit, XlateContext } from "./xlate/context.ts";

export type * from "./types.ts";

const TCP_FIN_OR_RST = 0x005;

/** Where controllers and database servers listen unless a target says otherwise. */
const OFP_PORT = 6653;
const OVSDB_PORT = 6640;

const OFPPR_ADD = 0;
const OFPPR_DELETE = 1;
const OFPPR_MODIFY = 2;

/** Between looks for the next hop to a controller: until it is found, and then. */
const HOP_UNKNOWN_MS = 1000;
const HOP_KNOWN_MS = 10_000;

export type FragMode = "normal" | "drop" | "nx-match";

/** Priority of the hidden rule that takes over when the controllers are gone. */
export const FAIL_OPEN_PRIORITY = 0xf0f0f0;

let lastId = 0;

/** Counts what passes a patch port. */
class PatchCredit implements Credit {
  private readonly port: OfportState;
  private readonly tx: boolean;

  constructor(port: OfportState, tx: boolean) {
    this.port = port;
    this.tx = tx;
  }

  credit(packets: number, bytes: number): void {
    const credit = this.port.netdev.credit;
    if (this.tx) credit?.creditTx(packets, bytes);
    else credit?.creditRx(packets, bytes);
  }
}

export class Ofproto {
  readonly id: number;
  /** 16 bytes by which continuations know the bridge. */
  readonly uuid: Uint8Array;
  readonly name: string;
  readonly type: string;
  readonly backer: Backer;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;

  // Seen by translation.
  readonly tables: readonly FlowTable[];
  readonly mac = new MacLearning<PortBundle>();
  readonly mirrors: MirrorTable;
  floodVlans: ReadonlySet<number> = new Set();
  forwardBpdu = false;
  fragMode: FragMode = "normal";
  /** Set by {@link setSampling}. */
  sampling: BridgeSampling | undefined = undefined;
  /** flow-restore-wait: packets are dropped until the flows are back. */
  restoring = false;
  readonly missRules: { controller: Rule; silent: Rule; fragments: Rule };

  readonly flows: FlowTables;
  readonly groups: GroupTable;
  readonly meters: MeterTable;
  readonly tlvs = new TlvTable();
  /** Called when what {@link controllerStatus} says has changed: a connection, a role. */
  statusChanged: (() => void) | undefined = undefined;
  readonly connections: ConnectionManager;
  desc: DescStrings = { mfr: "Nicira, Inc.", hw: "Open vSwitch", sw: "3.7.1", serial: "None", dp: "None" };

  private readonly portNumbers = new PortNumbers();
  private readonly portsByOfp = new Map<OfPort, OfportState>();
  private readonly portsByName = new Map<string, OfportState>();
  private sortedPorts: OfportState[] | undefined = undefined;
  private readonly bundlesByKey = new Map<unknown, PortBundle>();
  private readonly patchCredits = new Map<OfportState, { tx: PatchCredit; rx: PatchCredit }>();
  private dpid = "0000000000000000";
  private localAddress: string | undefined = undefined;
  private failMode: FailMode = "standalone";
  private readonly inBand = new InBand(this);
  private inBandConfig: InBandConfig = { disabled: false, queue: undefined, managers: [] };
  private controllerRemotes: readonly InBandRemote[] = [];
  private readonly nextHopMac: OfprotoOptions["nextHopMac"];
  /** Nobody tells when the next hop becomes known or changes. */
  private hopTimer: Timer | undefined = undefined;
  private closed = false;

  constructor(options: OfprotoOptions) {
    this.id = ++lastId;
    this.name = options.name;
    this.backer = options.backer;
    this.type = options.backer.type;
    this.clock = options.clock;
    this.log = options.log;
    this.random = options.random;
    this.nextHopMac = options.nextHopMac;
    this.uuid = Uint8Array.from({ length: 16 }, () => options.random() & 0xff);
    this.tables = Array.from({ length: N_TABLES }, (_, id) => new FlowTable(id));
    this.connections = new ConnectionManager(this, options);
    this.mirrors = new MirrorTable(options.log);
    this.flows = new FlowTables(
      this.tables,
      this.connections,
      () => this.clock.now(),
      (rule) => this.backer.ruleChanged(this, rule),
    );
    this.groups = new GroupTable({
      nowMs: () => this.clock.now(),
      onRollback: (undo) => this.flows.onRollback(undo),
      groupDeleted: (id) => {
        for (const rule of this.flowsOfGroup(id)) this.flows.remove(rule, OFPRR_GROUP_DELETE);
      },
    });
    this.meters = new MeterTable(() => this.clock.now(), this.backer.dpif, this.backer.meterIds);
    this.missRules = this.addHiddenRules();
    this.backer.ofprotos.set(this.name, this);
    this.flushFlows();
  }

  /** Resolves when BR.mgmt and BR.snoop are bound (or have failed and were logged). */
  started(): Promise<void> {
    return this.connections.started;
  }

  /** Exporters that want packets or statistics of this bridge; `sampling` tells for itself what it wants. */
  setSampling(sampling: BridgeSampling | undefined): void {
    this.sampling = sampling;
    this.backer.changed();
  }

  // Ports.

  /**
   * Attaches `netdev`: to the datapath, or for type "patch" to nothing but its peer (option `peer` of its config).
   * The device named like the bridge becomes LOCAL. `request` is ofport_request; when it is taken or undefined a free
   * number is chosen. Resolves to the OpenFlow port number; rejects with an Error with errno `code`.
   */
  async portAdd(netdev: Netdev, request: OfPort | undefined): Promise<OfPort> {
    const odpPort = netdev.type === "patch" ? undefined : await this.backer.dpif.portAdd(netdev, undefined);
    const ofPort = this.portNumbers.allocate(request, netdev.name === this.name);
    if (ofPort === undefined) {
      if (odpPort !== undefined) await this.backer.dpif.portDel(odpPort);
      throw Object.assign(new Error(`no port number for ${netdev.name}`), { code: "EMFILE" });
    }
    const port = new OfportState(netdev, ofPort, odpPort, this.clock.now());
    this.portsByOfp.set(ofPort, port);
    this.portsByName.set(netdev.name, port);
    this.sortedPorts = undefined;
    this.backer.bindPort(this, port);
    port.unwatch = netdev.watch(() => this.portChanged(ofPort));
    const desc = port.describe(this.localAddress);
    // A port begins to live when it is there.
    port.lastDesc = { ...desc, state: desc.state & ~OFPPS_LIVE };
    this.connections.portStatus(OFPPR_ADD, port.lastDesc);
    this.portChanged(ofPort);
    this.backer.changed();
    return ofPort;
  }

  /** Detaches; the caller closes the Netdev. Tells controllers. */
  async portDel(ofPort: OfPort): Promise<void> {
    const port = this.portsByOfp.get(ofPort);
    if (port === undefined) return;
    port.unwatch?.();
    this.portsByOfp.delete(ofPort);
    this.portsByName.delete(port.name);
    this.sortedPorts = undefined;
    this.portNumbers.release(ofPort);
    this.backer.unbindPort(port);
    this.patchCredits.delete(port);
    const { bundle } = port;
    if (bundle !== undefined) {
      bundle.ports = bundle.ports.filter((member) => member !== port);
      if (bundle.ports.length === 0) this.flushBundle(bundle);
    }
    this.connections.portStatus(OFPPR_DELETE, port.lastDesc ?? port.describe(this.localAddress));
    this.backer.changed();
    if (port.odpPort !== undefined) await this.backer.dpif.portDel(port.odpPort);
  }

  /** Gives the port another number in the datapath (dpif-dummy/change-port-number). */
  async renumber(port: OfportState, odpPort: number): Promise<void> {
    const { dpif } = this.backer;
    this.backer.unbindPort(port);
    await dpif.portDel(port.odpPort!);
    port.odpPort = await dpif.portAdd(port.netdev, odpPort);
    this.backer.bindPort(this, port);
    this.backer.changed();
  }

  ports(): Iterable<OfPortInfo> {
    return this.portsByNumber();
  }

  portByName(name: string): OfPortInfo | undefined {
    return this.portsByName.get(name);
  }

  portStateByName(name: string): OfportState | undefined {
    return this.portsByName.get(name);
  }

  portAt(ofPort: OfPort): OfportState | undefined {
    return this.portsByOfp.get(ofPort);
  }

  portsByNumber(): readonly OfportState[] {
    this.sortedPorts ??= [...this.portsByOfp.values()].sort((a, b) => a.ofPort - b.ofPort);
    return this.sortedPorts;
  }

  /** To call after a netdev's changeSeq has grown (link state, address, options): port status, revalidation. */
  portChanged(ofPort: OfPort): void {
    const port = this.portsByOfp.get(ofPort);
    if (port === undefined) return;
    const desc = port.describe(this.localAddress);
    this.tellPort(port, desc);
    this.backer.changed(true);
  }

  private tellPort(port: OfportState, desc: PhyPort, source?: Connection): void {
    const old = port.lastDesc;
    if (old !== undefined && samePhyPort(old, desc)) return;
    port.lastDesc = desc;
    this.connections.portStatus(OFPPR_MODIFY, desc, old, source);
  }

  /**
   * OpenFlow port_mod: the settable bits of `mask` become those of `config`. Told in two steps, first the configuration,
   * then what the device makes of it.
   */
  configurePort(port: OfportState, config: number, mask: number, source?: Connection): void {
    const settable = mask & OFPPC_SETTABLE;
    port.config = (port.config & ~settable) | (config & settable);
    this.updateFloodable(port.bundle);
    const old = port.lastDesc ?? port.describe(this.localAddress);
    const shown = mask & (OFPPC_SETTABLE | OFPPC_PORT_DOWN);
    const fresh = { ...old, config: (old.config & ~shown) | (config & shown) };
    if ((fresh.config & OFPPC_PORT_DOWN) !== 0) fresh.state &= ~OFPPS_LIVE;
    this.tellPort(port, fresh, source);
    const up = (config & OFPPC_PORT_DOWN) === 0;
    if ((mask & OFPPC_PORT_DOWN) !== 0 && port.netdev.adminUp() !== up) port.netdev.setAdminUp(up);
    this.portChanged(port.ofPort);
    this.backer.changed();
  }

  patchTx(port: OfportState): Credit {
    return this.patchCredit(port).tx;
  }

  patchRx(port: OfportState): Credit {
    return this.patchCredit(port).rx;
  }

  private patchCredit(port: OfportState): { tx: PatchCredit; rx: PatchCredit } {
    let both = this.patchCredits.get(port);
    if (both === undefined) {
      both = { tx: new PatchCredit(port, true), rx: new PatchCredit(port, false) };
      this.patchCredits.set(port, both);
    }
    return both;
  }

  // Port bundles: `key` is the caller's (the Port row's name or object).

  setBundle(key: unknown, config: BundleConfig): void {
    const ports = config.ports
      .map((ofPort) => this.portsByOfp.get(ofPort))
      .filter((port) => port !== undefined);
    let bundle = this.bundlesByKey.get(key);
    if (bundle === undefined) {
      bundle = new PortBundle(key, config, ports);
      this.bundlesByKey.set(key, bundle);
    } else {
      if (sameBundle(bundle, config, ports)) return;
      const retag = bundle.config.vlanMode !== config.vlanMode || bundle.config.tag !== config.tag;
      for (const port of bundle.ports) if (port.bundle === bundle) port.bundle = undefined;
      bundle.configure(config, ports);
      if (retag) this.flushBundle(bundle);
    }
    for (const port of ports) {
      const other = port.bundle;
      if (other !== undefined && other !== bundle)
        other.ports = other.ports.filter((member) => member !== port);
      port.bundle = bundle;
    }
    this.updateFloodable(bundle);
    this.backer.changed();
  }

  removeBundle(key: unknown): void {
    const bundle = this.bundlesByKey.get(key);
    if (bundle === undefined) return;
    this.bundlesByKey.delete(key);
    for (const port of bundle.ports) if (port.bundle === bundle) port.bundle = undefined;
    bundle.ports = [];
    this.flushBundle(bundle);
    this.backer.changed();
  }

  /** False when it cannot be as `config` says; it is then gone. */
  setMirror(key: unknown, config: MirrorConfig): boolean {
    const outcome = this.mirrors.set(key, config, (bundle) => this.bundlesByKey.get(bundle));
    if (outcome !== "same") {
      this.mac.flush();
      this.backer.changed();
    }
    return outcome !== "invalid";
  }

  removeMirror(key: unknown): void {
    if (!this.mirrors.remove(key)) return;
    this.mac.flush();
    this.backer.changed();
  }

  bundles(): Iterable<PortBundle> {
    return this.bundlesByKey.values();
  }

  /** What sat there may sit elsewhere from now on: the other bridges must not believe otherwise. */
  private flushBundle(bundle: PortBundle): void {
    for (const { mac, vlan } of this.mac.flushPort(bundle))
      for (const other of this.backer.ofprotos.values())
        if (other !== this && other.mac.forgetAddress(mac, vlan)) other.backer.changed();
  }

  private updateFloodable(bundle: PortBundle | undefined): void {
    if (bundle === undefined) return;
    bundle.floodable = bundle.ports.every((port) => (port.config & OFPPC_NO_FLOOD) === 0);
  }

  // Settings; each is idempotent and cheap when nothing changes.

  /** 16 hexadecimal digits. */
  setDatapathId(id: string): void {
    if (id === this.dpid) return;
    this.dpid = id;
    // A controller knows a switch by its datapath id: it must learn the new one.
    this.connections.reconnect();
  }

  get datapathId(): string {
    return this.dpid;
  }

  /** "aa:bb:cc:dd:ee:ff" of the LOCAL port, as features and NORMAL see it. */
  setLocalAddress(address: string): void {
    if (address === this.localAddress) return;
    this.localAddress = address;
    this.portChanged(OFPP_LOCAL);
    this.updateInBand();
  }

  get localEtherAddr(): string | undefined {
    return this.localAddress;
  }

  setFailMode(mode: FailMode): void {
    if (mode === this.failMode) return;
    this.failMode = mode;
    if (!this.connections.hasControllers) this.flushFlows();
    this.connections.failModeChanged();
  }

  get standalone(): boolean {
    return this.failMode === "standalone";
  }

  /** Bridge.protocols as given ("OpenFlow10", ...); empty means the defaults (1.0 to 1.5). */
  setProtocols(protocols: readonly string[]): void {
    this.connections.setProtocols(protocols);
  }

  /** The Controller rows, in full. An unchanged target keeps its connection. */
  setControllers(controllers: readonly ControllerConfig[]): void {
    this.connections.setControllers(controllers);
    this.controllerRemotes = controllers
      .filter(({ connectionMode }) => connectionMode !== "out-of-band")
      .map(({ target }) => inBandRemote(target, OFP_PORT))
      .filter((remote) => remote !== undefined);
    this.updateInBand();
  }

  /** Other_config's disable-in-band and in-band-queue, and the database servers that are to be reached too. */
  setInBand(config: InBandConfig): void {
    this.inBandConfig = config;
    this.updateInBand();
  }

  private updateInBand(): void {
    const { disabled, queue, managers } = this.inBandConfig;
    const remotes = [
      ...this.controllerRemotes,
      ...managers.map((target) => inBandRemote(target, OVSDB_PORT)).filter((remote) => remote !== undefined),
    ];
    const wanted = disabled ? [] : remotes;
    const addresses = [...new Set(wanted.map(({ address }) => address))];
    const macs = addresses.map((address) => this.nextHopMac?.(address));
    this.inBand.update(wanted, this.localAddress, new Set(macs.filter((mac) => mac !== undefined)), queue);
    this.hopTimer?.cancel();
    this.hopTimer = undefined;
    if (addresses.length === 0 || this.nextHopMac === undefined || this.closed) return;
    const interval = macs.includes(undefined) ? HOP_UNKNOWN_MS : HOP_KNOWN_MS;
    this.hopTimer = this.clock.background(interval, () => this.updateInBand());
  }

  /** By target, for connected and connecting ones. */
  controllerStatus(): Map<string, ControllerStatus> {
    return this.connections.status();
  }

  setMac(config: MacConfig): void {
    this.mac.setLimits(config.agingSec, config.maxEntries);
  }

  /** Bridge.flood_vlans. */
  setFloodVlans(vlans: readonly number[]): void {
    const fresh = new Set(vlans);
    if (fresh.size === this.floodVlans.size && vlans.every((vlan) => this.floodVlans.has(vlan))) return;
    this.floodVlans = fresh;
    for (const vlan of fresh) this.mac.flushVlan(vlan);
    this.backer.changed();
  }

  /** Bridge.flow_tables: what is not in `configs` is as by default. */
  setFlowTables(configs: ReadonlyMap<number, FlowTableConfig>): void {
    for (const table of this.tables) {
      const config = configs.get(table.id);
      if (config === undefined && !table.configured) continue;
      table.configured = config !== undefined;
      if (config?.name !== undefined || table.nameIsConfigured) table.name = config?.name;
      table.nameIsConfigured = config?.name !== undefined;
      table.maxFlows = config?.maxFlows;
      table.evictByConfig = config?.evict ?? false;
      table.evictionFields = (config?.groups ?? []).map(subfieldOf).filter((field) => field !== undefined);
      table.classifier.setPrefixes(config?.prefixes);
      this.flows.shrink(table);
    }
    this.backer.changed();
  }

  setForwardBpdu(forward: boolean): void {
    if (forward === this.forwardBpdu) return;
    this.forwardBpdu = forward;
    this.backer.changed();
  }

  setDesc(desc: Partial<DescStrings>): void {
    this.desc = { ...this.desc, ...desc };
  }

  setFragMode(mode: FragMode): void {
    if (mode === this.fragMode) return;
    this.fragMode = mode;
    this.backer.changed();
  }

  /** While true (Open_vSwitch.other_config:flow-restore-wait) no packet is forwarded and no controller connected. */
  setFlowRestoreWait(wait: boolean): void {
    if (wait === this.restoring) return;
    this.restoring = wait;
    this.connections.setEnabled(!wait);
    this.backer.changed();
  }

  // MAC learning.

  /** Called by translations for the packet in hand; true when the table changed. */
  learnMac(mac: number, vlan: number, bundle: PortBundle, isGratuitousArp: boolean): boolean {
    const isBond = bundle.ports.length > 1;
    if (!this.mac.learn(mac, vlan, bundle, this.clock.now(), isGratuitousArp, isBond)) return false;
    this.backer.addressChanged(this, mac);
    return true;
  }

  /** Packets from it took a megaflow, the last at `usedMs`. */
  refreshMac(mac: number, vlan: number, bundle: PortBundle, usedMs: number): void {
    if (this.closed || bundle.ports.length === 0) return;
    const entry = this.mac.lookup(mac, vlan);
    if (entry !== undefined && entry.seenMs > usedMs) return;
    if (this.mac.learn(mac, vlan, bundle, usedMs, false, bundle.ports.length > 1))
      this.backer.addressChanged(this, mac);
  }

  /** Forgets all learned addresses. */
  flushMacs(): void {
    if (this.mac.flush()) this.backer.changed();
  }

  // Flow tables.

  /** Throws OfpError. Connections await `backer.settled()` before they promise an effect. */
  flowMod(mod: FlowMod, mayAdd = true): void {
    if (this.flows.apply(mod, mayAdd)) this.backer.handleChanges();
  }

  /** Whether the learn action's flow is there or may be added: a `limit` (0: none) is of flows with its cookie. */
  mayLearn(mod: FlowMod, limit: number): boolean {
    if (limit === 0 || this.hasLearned(mod)) return true;
    const table = this.tables[mod.table]!;
    return this.flows.learned.flowsWith(mod.table, mod.newCookie, () => table.rules()) < limit;
  }

  /** The flow of a learn action is there. */
  hasLearned(mod: FlowMod): boolean {
    return this.tables[mod.table]!.findExact(mod.match, mod.priority) !== undefined;
  }

  /** The learn action's flow_mod, which a packet called for at `usedMs`; the name of an error when it failed. */
  learnFlow(mod: FlowMod, usedMs: number): string | undefined {
    if (this.closed) return undefined;
    try {
      const table = this.tables[mod.table]!;
      const old = table.findExact(mod.match, mod.priority);
      // Statistics of an earlier packet may come in later.
      if (old !== undefined && old.modifiedMs > usedMs) return undefined;
      const same = old !== undefined && sameActions(old.actions, mod.actions) && old.cookie === mod.newCookie;
      if (!same && this.flows.apply(mod)) this.backer.handleChanges(true);
      const rule = same ? old : table.findExact(mod.match, mod.priority);
      if (rule === undefined) return undefined;
      // Seeing the same thing again keeps the flow young.
      rule.modifiedMs = usedMs;
      rule.idleSec = mod.idleSec;
      rule.hardSec = mod.hardSec;
      return undefined;
    } catch (error) {
      if (error instanceof OfpError) return error.ofp;
      throw error;
    }
  }

  /** Deletes groups, meters and all but hidden rules; without controllers a standalone bridge gets its NORMAL flow back. */
  flushFlows(): void {
    for (const rule of this.flows.select(everyRule())) this.flows.remove(rule, OFPRR_DELETE);
    this.groups.clear();
    this.meters.clear();
    if (this.standalone && !this.connections.hasControllers) {
      this.addRule(0, 0, [{ type: "output", port: OFPP_NORMAL, maxLen: 0 }], false);
    }
    this.backer.changed();
  }

  /** NXT_TLV_TABLE_MOD; throws OfpError. Fields that flows use stay. */
  applyTlvMod(mod: NxtTlvTableMod): void {
    const rules = mod.command === 0 ? [] : this.flows.select(everyRule());
    this.tlvs.apply(mod, (index) => rules.some((rule) => this.tlvs.uses(rule.match, rule.actions, index)));
    this.backer.changed();
  }

  /** Rules with an action for this group. */
  flowsOfGroup(id: number): Rule[] {
    return this.flows.select({ ...everyRule(), outGroup: id });
  }

  flowsOfMeter(id: number): Rule[] {
    return this.flows.select(everyRule()).filter((rule) => usesMeter(rule.actions, id));
  }

  /** A meter takes the flows that use it along. */
  meterDeleted(id: number): void {
    for (const rule of this.flowsOfMeter(id)) this.flows.remove(rule, OFPRR_METER_DELETE);
  }

  addRule(table: number, priority: number, actions: readonly Ofpact[], hidden: boolean, reg0?: number): Rule {
    const match = makeMatch();
    if (reg0 !== undefined) {
      setFieldBig(mustField("reg0"), match.mask, 0xffffffffn);
      setFieldBig(mustField("reg0"), match.flow, BigInt(reg0));
    }
    return this.insertRule(table, match, priority, actions, hidden);
  }

  /** A rule of table 0 that no controller sees. */
  addHiddenRule(match: Match, priority: number, actions: readonly Ofpact[]): Rule {
    return this.insertRule(0, match, priority, actions, true);
  }

  private insertRule(
    table: number,
    match: Match,
    priority: number,
    actions: readonly Ofpact[],
    hidden: boolean,
  ): Rule {
    const spec = {
      match,
      priority,
      cookie: 0n,
      actions,
      idleSec: 0,
      hardSec: 0,
      importance: 0,
      flags: 0,
      hidden,
    };
    const rule = new Rule(table, spec, this.clock.now());
    this.flows.insert(this.tables[table]!, rule);
    return rule;
  }

  /** The hidden rule that takes over from lost controllers; true when that is a change. */
  setFailOpenRule(active: boolean): boolean {
    const rule = this.tables[0]!.findExact(makeMatch(), FAIL_OPEN_PRIORITY);
    if ((rule !== undefined) === active) return false;
    if (rule !== undefined) this.tables[0]!.remove(rule);
    else this.addRule(0, FAIL_OPEN_PRIORITY, [{ type: "output", port: OFPP_NORMAL, maxLen: 0 }], true);
    this.backer.changed();
    return true;
  }

  private addHiddenRules(): Ofproto["missRules"] {
    const toController: Ofpact = {
      type: "controller",
      maxLen: 0xffff,
      controllerId: 0,
      reason: OFPR_IMPLICIT_MISS,
      meterId: 0,
      pause: false,
      userdata: new Uint8Array(),
    };
    const recirc = makeMatch();
    recirc.mask[W_RECIRC_ID] = -1;
    const spec = { cookie: 0n, idleSec: 0, hardSec: 0, importance: 0, flags: 0, hidden: true };
    const stray = new Rule(
      TBL_INTERNAL,
      { ...spec, match: recirc, priority: 2, actions: [] },
      this.clock.now(),
    );
    this.flows.insert(this.tables[TBL_INTERNAL]!, stray);
    return {
      controller: this.addRule(TBL_INTERNAL, 0, [toController], true, 1),
      silent: this.addRule(TBL_INTERNAL, 0, [], true, 2),
      fragments: this.addRule(TBL_INTERNAL, 0, [], true, 3),
    };
  }

  /** What a table without a match does: ask a controller that wants to be asked, or nothing. */
  missRule(tableId: number, mayPacketIn: boolean): Rule | undefined {
    const { miss } = this.tables[tableId]!;
    if (miss === "drop") return undefined;
    const wanted = miss === "controller" || this.connections.wantsMisses;
    return mayPacketIn && wanted ? this.missRules.controller : this.missRules.silent;
  }

  /** Called after each pass over the megaflows, when rules' `usedMs` is up to date. */
  expire(): void {
    const now = this.clock.now();
    if (this.flows.expire(now)) this.backer.handleChanges();
    if (this.mac.expire(now)) this.backer.changed(true);
  }

  // Called by translation.

  xlateActionSet(ctx: XlateContext): void {
    xlateActionSet(ctx);
  }

  reportActionSet(ctx: XlateContext): void {
    reportActionSet(ctx);
  }

  subfieldName(subfield: Subfield): string {
    return formatSubfield(subfield);
  }

  /** fin_timeout: a TCP FIN or RST shortens the timeouts of the rule that has the action. */
  xlateFinTimeout(ctx: XlateContext, idleSec: number, hardSec: number): void {
    const { rule, flow } = ctx;
    if (rule === undefined || !isTcp(flow)) return;
    ctx.wildcards[W_TCP_FLAGS] = ctx.wildcards[W_TCP_FLAGS]! | 0xfff;
    if (!ctx.sideEffects || (flow[W_TCP_FLAGS]! & TCP_FIN_OR_RST) === 0) return;
    if (idleSec !== 0 && (rule.idleSec === 0 || idleSec < rule.idleSec)) rule.idleSec = idleSec;
    if (hardSec !== 0 && (rule.hardSec === 0 || hardSec < rule.hardSec)) rule.hardSec = hardSec;
    this.flows.expirable.add(rule);
  }

  /** A copy that some megaflow's action handed up. `key` is the packet's datapath key. */
  sendPacketIn(state: FrozenState, copy: ControllerCopy, packet: Packet, key: Flow): void {
    const port = this.portsByOfp.get(frozenInPort(state));
    if (copy.reason === OFPR_IMPLICIT_MISS && port !== undefined && (port.config & OFPPC_NO_PACKET_IN) !== 0)
      return;
    this.connections.packetIn(state, copy, packet, key);
  }

  /** Closes listeners and connections, drops rules, leaves the backer. `del`: also removes its ports from the datapath. */
  async close(del: boolean): Promise<void> {
    this.closed = true;
    this.hopTimer?.cancel();
    await this.connections.close();
    for (const port of [...this.portsByOfp.values()]) {
      port.unwatch?.();
      this.backer.unbindPort(port);
      if (del && port.odpPort !== undefined) {
        await this.backer.dpif
          .portDel(port.odpPort)
          .catch((error: Error) => this.log("ofproto", "warn", `${port.name}: ${error.message}`));
      }
    }
    this.meters.clear();
    this.backer.ofprotos.delete(this.name);
    this.backer.frozen.forgetBridge(this);
    this.backer.changed();
  }
}

function subfieldOf(text: string): Subfield | undefined {
  try {
    return parseSubfield(text);
  } catch {
    return undefined;
  }
}

function everyRule(): RuleCriteria {
  return {
    table: 255,
    match: makeMatch(),
    priority: -1,
    cookie: 0n,
    cookieMask: 0n,
    outPort: 0xffff,
    outGroup: 0xffffffff,
    hidden: false,
  };
}

function isTcp(flow: Flow): boolean {
  return (flow[W_ETH_TYPE] === 0x0800 || flow[W_ETH_TYPE] === 0x86dd) && (flow[W_NW]! & 0xff) === 6;
}

function sameBundle(bundle: PortBundle, config: BundleConfig, ports: readonly OfportState[]): boolean {
  return (
    JSON.stringify(bundle.config) === JSON.stringify(config) &&
    sameMap(bundle.config.queueDscp, config.queueDscp) &&
    bundle.ports.length === ports.length &&
    bundle.ports.every((port, i) => port === ports[i])
  );
}

function sameMap(a: ReadonlyMap<number, number>, b: ReadonlyMap<number, number>): boolean {
  return a.size === b.size && [...a].every(([key, value]) => b.get(key) === value);
}
