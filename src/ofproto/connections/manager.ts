/**
 * All OpenFlow connections of a bridge (upstream: `connmgr.c`): controllers that we connect to or that connect to us,
 * ovs-ofctl on BR.mgmt, snoopers on BR.snoop; roles among them; who hears of what; and what happens when there is nobody.
 */
import { wireBytes } from "../../datapath/dpif.ts";
import type { Packet } from "../../datapath/packet.ts";
import { FIELDS, getFieldBig, setFieldBig } from "../../flow/fields/index.ts";
import { type Flow, W_IN_PORT, W_TUN_METADATA_PRESENT } from "../../flow/layout.ts";
import { makeMatch } from "../../flow/match.ts";
import type { Clock, Timer } from "../../lib/clock.ts";
import type { Stream, StreamFactory, StreamServer } from "../../lib/stream.ts";
import { OFPR_EXPLICIT_MISS, OFPR_IMPLICIT_MISS } from "../../openflow/actions/output.ts";
import type { Ofpact } from "../../openflow/actions.ts";
import {
  type GroupMod,
  type MeterMod,
  OFP_NO_BUFFER,
  OFPUTIL_FF_SEND_FLOW_REM,
  type PhyPort,
} from "../../openflow/messages.ts";
import { Rconn } from "../../openflow/rconn.ts";
import { Vconn } from "../../openflow/vconn.ts";
import { encodeContinuation } from "../continuation.ts";
import { durationSince } from "../duration.ts";
import type { Actor, FlowEvents } from "../flow-mods.ts";
import { describeTable, type FlowTable } from "../flow-table.ts";
import { type ControllerCopy, type FrozenState, frozenInPort } from "../frozen.ts";
import type { Ofproto } from "../ofproto.ts";
import { OFPPS_LIVE, samePhyPort } from "../ports.ts";
import type { Rule } from "../rule.ts";
import type { ControllerConfig, ControllerStatus, OfprotoOptions } from "../types.ts";
import { Connection, ROLE_EQUAL, ROLE_PRIMARY, ROLE_SECONDARY } from "./connection.ts";
import { Controller } from "./controller.ts";
import type { FlowEvent } from "./monitors.ts";

/** Wire versions 1 to 6 as a bit map: what Bridge.protocols empty means. */
const ALL_VERSIONS = 0b1111110;

const OFPTR_VACANCY_DOWN = 3;
const OFPTR_VACANCY_UP = 4;
const OFPR_NO_MATCH = 0;
const OFPR_ACTION = 1;
const OFPR_INVALID_TTL = 2;
/** Bytes that may wait for somebody who listens in. */
const MAX_SNOOP_BYTES = 1 << 20;

const VERSIONS: Readonly<Record<string, number>> = {
  OpenFlow10: 1,
  OpenFlow11: 2,
  OpenFlow12: 3,
  OpenFlow13: 4,
  OpenFlow14: 5,
  OpenFlow15: 6,
};

/** What a packet-in tells beside the packet: metadata that its bytes do not show (OpenFlow 1.2 section A.4.1). */
const PACKET_IN_FIELDS = FIELDS.filter(({ name }) =>
  /^(packet_type|tun_(id|src|dst|ipv6_src|ipv6_dst|gbp_id|gbp_flags)|pkt_mark|metadata|reg\d+|ct_(state|zone|mark|label))$/.test(
    name,
  ),
).map((field) => ({ field, words: [...new Set(field.places.map(([word]) => word))] }));

/** Reasons that a version has no number for are told as others. */
function wireReason(reason: number, version: number): number {
  if (reason === OFPR_IMPLICIT_MISS) return OFPR_NO_MATCH;
  // OpenFlow 1.3 is the first that knows flows for table misses.
  if (reason === OFPR_EXPLICIT_MISS) return version < 4 ? OFPR_ACTION : OFPR_NO_MATCH;
  return reason > OFPR_INVALID_TTL && version < 5 ? OFPR_ACTION : reason;
}

export class ConnectionManager implements FlowEvents {
  readonly started: Promise<void>;
  readonly ofproto: Ofproto;
  readonly streams: StreamFactory;
  readonly clock: Clock;
  private readonly connections = new Set<Connection>();
  private readonly controllers = new Map<string, Controller>();
  private readonly servers: StreamServer[] = [];
  private readonly services = new Set<Rconn>();
  private readonly snoopers = new Set<Vconn>();
  versions = ALL_VERSIONS;
  private enabled = true;
  private closed = false;
  /** Highest generation id that a primary role was asked for with. */
  private generationId: bigint | undefined = undefined;
  private failOpenTimer: Timer | undefined = undefined;

  constructor(ofproto: Ofproto, options: OfprotoOptions) {
    this.ofproto = ofproto;
    this.streams = options.streams;
    this.clock = options.clock;
    this.started = options.rundir === undefined ? Promise.resolve() : this.listen(options.rundir);
  }

  private async listen(rundir: string): Promise<void> {
    const base = `punix:${rundir}/${this.ofproto.name}`;
    await Promise.all([
      this.listenAt(`${base}.mgmt`, (stream) => this.acceptService(stream)),
      this.listenAt(`${base}.snoop`, (stream) => this.acceptSnoop(stream)),
    ]);
  }

  private async listenAt(name: string, accept: (stream: Stream) => void): Promise<void> {
    try {
      const server = await this.streams.listen(name, accept);
      if (this.closed) server.close();
      else this.servers.push(server);
    } catch (error) {
      this.ofproto.log("connmgr", "err", `failed to listen on ${name}: ${(error as Error).message}`);
    }
  }

  /** A peer that talks to the switch itself: ovs-ofctl on BR.mgmt. */
  acceptService(stream: Stream): void {
    let connection: Connection | undefined;
    const rconn = new Rconn(
      {
        clock: this.clock,
        name: `${this.ofproto.name}<->${stream.name}`,
        versions: () => this.versions,
        connect: undefined,
        maxBackoffMs: 1000,
        probeIntervalMs: 0,
      },
      {
        connected: (vconn) => {
          connection = this.connect(vconn, "service");
        },
        message: (bytes) => connection!.receive(bytes),
        disconnected: () => {
          this.services.delete(rconn);
          if (connection !== undefined) this.disconnect(connection);
        },
      },
    );
    this.services.add(rconn);
    rconn.adopt(stream);
  }

  private acceptSnoop(stream: Stream): void {
    const vconn: Vconn = new Vconn(stream, this.versions, {
      open: () => this.snoopers.add(vconn),
      message: () => {},
      close: () => this.snoopers.delete(vconn),
    });
  }

  /** A peer has agreed on a version. */
  connect(vconn: Vconn, kind: "primary" | "service"): Connection {
    const connection = new Connection(this.ofproto, vconn, kind);
    if (kind === "primary") connection.snoop = (bytes) => this.snoopAll(bytes);
    this.connections.add(connection);
    this.connectionsChanged();
    return connection;
  }

  /** Its stream has ended. */
  disconnect(connection: Connection): void {
    this.connections.delete(connection);
    connection.closed();
    this.connectionsChanged();
  }

  private snoopAll(bytes: Uint8Array): void {
    for (const snooper of this.snoopers) if (snooper.backlog < MAX_SNOOP_BYTES) snooper.send(bytes);
  }

  // Configuration.

  /** Some controller is in charge of the bridge; those of kind "service" are not. */
  get hasControllers(): boolean {
    for (const controller of this.controllers.values()) if (controller.isPrimary) return true;
    return false;
  }

  setProtocols(names: readonly string[]): void {
    let versions = 0;
    for (const name of names) versions |= 1 << (VERSIONS[name] ?? 0);
    versions &= ~1;
    if (versions === 0) versions = ALL_VERSIONS;
    if (versions === this.versions) return;
    this.versions = versions;
    this.reconnect();
  }

  setControllers(configs: readonly ControllerConfig[]): void {
    const had = this.hasControllers;
    const wanted = new Map(configs.map((config) => [config.target, config]));
    for (const [target, controller] of this.controllers) {
      if (wanted.has(target)) continue;
      this.logController("removed", controller);
      controller.close();
      this.controllers.delete(target);
    }
    for (const [target, config] of wanted) {
      const old = this.controllers.get(target);
      if (old !== undefined) old.configure(config);
      else {
        const controller = new Controller(this, config, this.enabled);
        this.controllers.set(target, controller);
        this.logController("added", controller);
      }
    }
    if (had !== this.hasControllers) this.ofproto.flushFlows();
    this.failModeChanged();
  }

  private logController(what: string, { target, isPrimary }: Controller): void {
    const kind = isPrimary ? "primary" : "service";
    this.ofproto.log("connmgr", "info", `${this.ofproto.name}: ${what} ${kind} controller "${target}"`);
  }

  setEnabled(enabled: boolean): void {
    this.enabled = enabled;
    for (const controller of this.controllers.values()) controller.setEnabled(enabled);
  }

  /** Drops every controller's connection; they come back by themselves. */
  reconnect(): void {
    for (const controller of this.controllers.values()) controller.reconnect();
  }

  status(): Map<string, ControllerStatus> {
    const all = new Map<string, ControllerStatus>();
    for (const [target, controller] of this.controllers) all.set(target, controller.status());
    return all;
  }

  // Fail-open (ovs-vsctl(8), "Controller Failure Settings"): a standalone bridge forwards by itself when its controllers
  // have been silent for three probe intervals.

  failModeChanged(): void {
    this.connectionsChanged();
  }

  private get anyConnected(): boolean {
    for (const controller of this.controllers.values())
      if (controller.isPrimary && controller.isConnected) return true;
    return false;
  }

  connectionsChanged(): void {
    if (this.closed) return;
    this.ofproto.statusChanged?.();
    const lost = this.hasControllers && this.ofproto.standalone && !this.anyConnected;
    if (!lost) {
      this.failOpenTimer?.cancel();
      this.failOpenTimer = undefined;
      if (this.ofproto.setFailOpenRule(false))
        this.ofproto.log("fail_open", "warn", "No longer in fail-open mode");
      return;
    }
    if (this.failOpenTimer !== undefined) return;
    const probes = [...this.controllers.values()]
      .filter(({ isPrimary }) => isPrimary)
      .map(({ probeIntervalMs }) => probeIntervalMs);
    const wait = Math.max(0, ...probes) * 3;
    this.failOpenTimer = this.clock.background(wait, () => {
      this.ofproto.log(
        "fail_open",
        "warn",
        "Could not connect to controller (or switch failed controller's post-connection admission control policy) " +
          `for ${Math.floor(wait / 1000)} seconds, failing open`,
      );
      this.ofproto.setFailOpenRule(true);
    });
  }

  // Roles.

  /** The name of an error, or undefined. */
  setRole(connection: Connection, role: number, generationId: bigint | undefined): string | undefined {
    if (role !== ROLE_EQUAL && generationId !== undefined) {
      if (this.generationId !== undefined && BigInt.asIntN(64, generationId - this.generationId) < 0n) {
        return "OFPRRFC_STALE";
      }
      this.generationId = generationId;
    }
    if (role === ROLE_PRIMARY) {
      for (const other of this.connections) {
        if (other === connection || other.role !== ROLE_PRIMARY) continue;
        other.role = ROLE_SECONDARY;
        // Earlier versions have no such message.
        if (other.version >= 4) {
          other.notify({
            type: "role-status",
            role: ROLE_SECONDARY,
            reason: 0,
            generationId: this.generationId ?? 0xffff_ffff_ffff_ffffn,
          });
        }
      }
    }
    connection.role = role;
    this.ofproto.statusChanged?.();
    return undefined;
  }

  get generation(): bigint | undefined {
    return this.generationId;
  }

  // What the switch tells unasked.

  /** Some connection wants packets that match nothing: those before OpenFlow 1.3 do by default. */
  get wantsMisses(): boolean {
    for (const connection of this.connections) {
      if (connection.version < 4 && connection.wants("packetIn", 0)) return true;
    }
    return false;
  }

  packetIn(state: FrozenState, copy: ControllerCopy, packet: Packet, key: Flow): void {
    const bytes = wireBytes(packet);
    const match = makeMatch();
    match.mask[W_IN_PORT] = -1;
    match.flow[W_IN_PORT] = frozenInPort(state);
    for (const { field, words } of PACKET_IN_FIELDS) {
      // What actions have set by then, or what the datapath brought along.
      const from = words.some((word) => state.metadata[word] !== 0) ? state.metadata : key;
      if (words.every((word) => (from[word] ?? 0) === 0)) continue;
      setFieldBig(field, match.flow, getFieldBig(field, from));
      setFieldBig(field, match.mask, (1n << BigInt(field.bits)) - 1n);
    }
    const options = W_TUN_METADATA_PRESENT;
    const optionsSet = (state.metadata[options]! | state.metadata[options + 1]!) !== 0;
    this.ofproto.tlvs.addOptions(match, optionsSet ? state.metadata : key);
    for (const connection of this.connections) {
      if (connection.controllerId !== copy.controllerId) continue;
      const reason = wireReason(copy.reason, connection.version);
      if (!connection.wants("packetIn", reason)) continue;
      const queue = copy.reason === OFPR_IMPLICIT_MISS ? connection.misses : connection.actions;
      queue.put(match.flow[W_IN_PORT]!, {
        type: "packet-in",
        reason,
        table: state.tableId,
        cookie: copy.cookie,
        match,
        packet: bytes,
        totalLen: bytes.length,
        bufferId: OFP_NO_BUFFER,
        userdata: copy.userdata ?? new Uint8Array(),
        continuation: copy.continuation ? encodeContinuation(state, connection.version) : undefined,
      });
    }
  }

  /**
   * `old`: what was told before. `source` has asked for the change; before OpenFlow 1.5 a controller hears nothing of its
   * own port_mods.
   */
  portStatus(reason: number, port: PhyPort, old?: PhyPort, source?: Connection): void {
    for (const connection of this.connections) {
      if (!connection.wants("portStatus", reason)) continue;
      if (connection === source && connection.version < 6) continue;
      // OpenFlow 1.0 has no "live".
      if (
        connection.version === 1 &&
        old !== undefined &&
        samePhyPort(old, { ...port, state: port.state ^ ((old.state ^ port.state) & OFPPS_LIVE) })
      )
        continue;
      connection.notify({ type: "port-status", reason, port });
    }
  }

  /** Tells the other controllers what one of them has done to groups or meters. */
  requestForward(from: Connection, reason: number, request: GroupMod | MeterMod, requestXid: number): void {
    for (const connection of this.connections) {
      if (connection === from || !connection.wants("requestforward", reason)) continue;
      connection.notify({ type: "requestforward", reason, request, requestXid });
    }
  }

  // FlowEvents.

  added(rule: Rule, actor: Actor | undefined): void {
    this.monitored("added", rule, 0, undefined, actor);
  }

  modified(rule: Rule, old: readonly Ofpact[], actor: Actor | undefined): void {
    this.monitored("modified", rule, 0, old, actor);
  }

  private monitored(
    event: FlowEvent,
    rule: Rule,
    reason: number,
    old: readonly Ofpact[] | undefined,
    actor: Actor | undefined,
  ): void {
    if (rule.hidden) return;
    for (const connection of this.connections) {
      if (connection.monitors.isEmpty) continue;
      const xid = actor?.connection === connection ? actor.xid : undefined;
      connection.monitors.report(event, rule, reason, old, xid);
      this.scheduleMonitors();
    }
  }

  private monitorsScheduled = false;

  /** For what changes outside of a message: time-outs, learned flows. */
  private scheduleMonitors(): void {
    if (this.monitorsScheduled) return;
    this.monitorsScheduled = true;
    this.clock.soon(() => {
      this.monitorsScheduled = false;
      this.flushMonitors();
    });
  }

  flushMonitors(): void {
    for (const connection of this.connections) {
      if (connection.monitors.isEmpty) continue;
      for (const updates of connection.monitors.take())
        connection.send({ type: "flow-monitor-reply", updates }, 0);
    }
  }

  removed(rule: Rule, reason: number, actor: Actor | undefined): void {
    this.monitored("removed", rule, reason, undefined, actor);
    if ((rule.flags & OFPUTIL_FF_SEND_FLOW_REM) === 0 || rule.hidden) return;
    const now = this.clock.now();
    for (const connection of this.connections) {
      if (!connection.wants("flowRemoved", reason)) continue;
      connection.notify({
        type: "flow-removed",
        match: rule.match,
        priority: rule.priority,
        cookie: rule.cookie,
        reason,
        table: rule.table,
        duration: durationSince(rule.createdMs, now),
        idleSec: rule.idleSec,
        hardSec: rule.hardSec,
        packets: BigInt(rule.packets),
        bytes: BigInt(rule.bytes),
      });
    }
  }

  vacancyCrossed(table: FlowTable, isUp: boolean): void {
    const reason = isUp ? OFPTR_VACANCY_UP : OFPTR_VACANCY_DOWN;
    for (const connection of this.connections) {
      if (connection.version >= 5 && connection.wants("tableStatus", reason))
        connection.notify({ type: "table-status", reason, table: describeTable(table) });
    }
  }

  async close(): Promise<void> {
    this.closed = true;
    this.failOpenTimer?.cancel();
    for (const controller of this.controllers.values()) controller.close();
    this.controllers.clear();
    for (const rconn of this.services) rconn.close();
    for (const connection of this.connections) connection.closed();
    this.connections.clear();
    for (const snooper of [...this.snoopers]) snooper.end();
    await this.started;
    for (const server of this.servers) server.close();
  }
}
