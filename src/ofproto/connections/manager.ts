/**
 * All OpenFlow connections of a bridge (upstream: `connmgr.c`): controllers that we connect to or that connect to us,
 * ovs-ofctl on BR.mgmt, snoopers on BR.snoop; roles among them; who hears of what; and what happens when there is nobody.
 */
import { wireBytes } from "../../datapath/dpif.ts";
import type { Packet } from "../../datapath/packet.ts";
import { FLOW_DP_WORDS, type Flow, W_IN_PORT, W_METADATA_HI, W_REG0 } from "../../flow/layout.ts";
import { makeMatch } from "../../flow/match.ts";
import type { Clock, Timer } from "../../lib/clock.ts";
import type { Stream, StreamFactory, StreamServer } from "../../lib/stream.ts";
import type { Ofpact } from "../../openflow/actions.ts";
import {
  type GroupMod,
  type MeterMod,
  OFP_NO_BUFFER,
  OFPUTIL_FF_SEND_FLOW_REM,
  type PhyPort,
} from "../../openflow/messages.ts";
import { durationSince } from "../duration.ts";
import type { Actor, FlowEvents } from "../flow-mods.ts";
import { type ControllerCopy, type FrozenState, frozenInPort } from "../frozen.ts";
import { OFPR_EXPLICIT_MISS, type Ofproto } from "../ofproto.ts";
import type { Rule } from "../rule.ts";
import type { ControllerConfig, ControllerStatus, OfprotoOptions } from "../types.ts";
import { Channel } from "./channel.ts";
import { Connection, ROLE_EQUAL, ROLE_PRIMARY, ROLE_SECONDARY } from "./connection.ts";
import { Controller } from "./controller.ts";
import type { FlowEvent } from "./monitors.ts";

/** Wire versions 1 to 6 as a bit map: what Bridge.protocols empty means. */
const ALL_VERSIONS = 0b1111110;

const OFPR_NO_MATCH = 0;

const VERSIONS: Readonly<Record<string, number>> = {
  OpenFlow10: 1,
  OpenFlow11: 2,
  OpenFlow12: 3,
  OpenFlow13: 4,
  OpenFlow14: 5,
  OpenFlow15: 6,
};

export class ConnectionManager implements FlowEvents {
  readonly started: Promise<void>;
  readonly ofproto: Ofproto;
  readonly streams: StreamFactory;
  readonly clock: Clock;
  private readonly connections = new Set<Connection>();
  private readonly controllers = new Map<string, Controller>();
  private readonly servers: StreamServer[] = [];
  private readonly snoopers = new Set<Channel>();
  private versions = ALL_VERSIONS;
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

  private acceptService(stream: Stream): void {
    this.open(stream, "service", () => {});
  }

  private acceptSnoop(stream: Stream): void {
    const channel = new Channel(stream, this.versions, {
      ready: () => this.snoopers.add(channel),
      message: () => {},
      drain: () => {},
      closed: () => this.snoopers.delete(channel),
    });
  }

  /** Negotiates on `stream`; `closed` is called when it ends, at whatever stage. */
  open(
    stream: Stream,
    kind: "primary" | "service",
    closed: (reason: string | undefined) => void,
    ready?: (connection: Connection) => void,
    heard?: () => void,
  ): Channel {
    let connection: Connection | undefined;
    const channel = new Channel(stream, this.versions, {
      ready: () => {
        connection = new Connection(this.ofproto, channel, kind);
        if (kind === "primary") connection.snoop = (bytes) => this.snoopAll(bytes);
        this.connections.add(connection);
        ready?.(connection);
        this.connectionsChanged();
      },
      message: (bytes) => {
        heard?.();
        connection!.receive(bytes);
      },
      drain: () => {},
      closed: (reason) => {
        if (connection !== undefined) this.connections.delete(connection);
        closed(reason);
        this.connectionsChanged();
      },
    });
    return channel;
  }

  private snoopAll(bytes: Uint8Array): void {
    for (const snooper of this.snoopers) snooper.sendBytes(bytes);
  }

  // Configuration.

  get hasControllers(): boolean {
    return this.controllers.size > 0;
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
      controller.close();
      this.controllers.delete(target);
    }
    for (const [target, config] of wanted) {
      const old = this.controllers.get(target);
      if (old !== undefined) old.configure(config);
      else this.controllers.set(target, new Controller(this, config, this.enabled));
    }
    if (had !== this.hasControllers) this.ofproto.flushFlows();
    this.failModeChanged();
  }

  setEnabled(enabled: boolean): void {
    this.enabled = enabled;
    for (const controller of this.controllers.values()) controller.setEnabled(enabled);
  }

  /** Drops every controller's connection; they come back by themselves. */
  reconnect(): void {
    for (const connection of [...this.connections]) {
      if (connection.kind === "primary") connection.channel.close("disconnected by reconfiguration");
    }
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
    for (const controller of this.controllers.values()) if (controller.isConnected) return true;
    return false;
  }

  private connectionsChanged(): void {
    if (this.closed) return;
    this.ofproto.statusChanged?.();
    const lost = this.hasControllers && this.ofproto.standalone && !this.anyConnected;
    if (!lost) {
      this.failOpenTimer?.cancel();
      this.failOpenTimer = undefined;
      this.ofproto.setFailOpenRule(false);
      return;
    }
    if (this.failOpenTimer !== undefined) return;
    const probes = [...this.controllers.values()].map((controller) => controller.probeIntervalMs);
    this.failOpenTimer = this.clock.background(Math.max(0, ...probes) * 3, () => {
      this.ofproto.log(
        "fail_open",
        "warn",
        "Could not connect to controller (or switch failed controller's post-connection admission control policy) for long, failing open",
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
        if (other.version >= 5) {
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
    for (let word = W_METADATA_HI; word < W_REG0 + 32; word++) {
      if (state.metadata[word] === 0) continue;
      match.mask[word] = -1;
      match.flow[word] = state.metadata[word]!;
    }
    // Metadata that the datapath carries: marks, tunnel, connection state.
    for (let word = 1; word < FLOW_DP_WORDS; word++) {
      if (word === 11) word = 61;
      if (word === 3 || word === 1 || key[word] === 0) continue;
      match.mask[word] = -1;
      match.flow[word] = key[word]!;
    }
    const reason = copy.reason === OFPR_EXPLICIT_MISS ? OFPR_NO_MATCH : copy.reason;
    for (const connection of this.connections) {
      if (connection.controllerId !== copy.controllerId || !connection.wants("packetIn", reason)) continue;
      connection.notify({
        type: "packet-in",
        reason,
        table: state.tableId,
        cookie: copy.cookie,
        match,
        packet: bytes,
        totalLen: bytes.length,
        bufferId: OFP_NO_BUFFER,
        userdata: copy.userdata ?? new Uint8Array(),
        continuation: undefined,
      });
    }
  }

  portStatus(reason: number, port: PhyPort): void {
    for (const connection of this.connections) {
      if (connection.wants("portStatus", reason)) connection.notify({ type: "port-status", reason, port });
    }
  }

  /** Tells the other controllers what one of them has done to groups or meters. */
  requestForward(from: Connection, reason: number, request: GroupMod | MeterMod, requestXid: number): void {
    for (const connection of this.connections) {
      if (connection === from || connection.version < 5 || !connection.wants("requestforward", reason))
        continue;
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

  async close(): Promise<void> {
    this.closed = true;
    this.failOpenTimer?.cancel();
    for (const controller of this.controllers.values()) controller.close();
    this.controllers.clear();
    for (const connection of [...this.connections]) connection.channel.end();
    for (const snooper of [...this.snoopers]) snooper.end();
    await this.started;
    for (const server of this.servers) server.close();
  }
}
