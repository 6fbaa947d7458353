/**
 * `Dpif` over openvswitch.ko; see README.md. The kernel does what a request asks for before the send returns, so there is no
 * thread and nothing to wait for: requests are gathered for as long as this turn of the loop lasts, and sent together.
 *
 * Main's mirror knows every flow. Nearly all of them are in the kernel; one that the kernel cannot have is served here: its
 * packets miss, come up, and find it in the mirror.
 */
import { extractFlow, setVlanLimit } from "../../flow/extract.ts";
import { FLOW_DP_WORDS, type Flow, W_IN_PORT, W_RECIRC_ID, W_TCP_FLAGS } from "../../flow/layout.ts";
import type { Clock } from "../../lib/clock.ts";
import { codeOf, errnoName, osError } from "../../lib/errors.ts";
import type { Netdev } from "../../netdev/netdev.ts";
import { NLM_F_ECHO } from "../../netdev/netlink-message.ts";
import {
  type TunnelConfig,
  TunnelDevices,
  tunnelConfig,
  tunnelDeviceName,
  tunnelOfDevice,
} from "../../netdev/tunnel-devices.ts";
import {
  type DpFlow,
  type DpFlowStats,
  type Dpif,
  type DpMeter,
  type DpMeterStats,
  type DpPort,
  type DpStats,
  type FlowHandle,
  type OdpPort,
  type Policing,
  UPCALL_ACTION,
  UPCALL_KNOWN,
  UPCALL_MISS,
  type Upcall,
  type UpcallHandler,
} from "../dpif.ts";
import { POLICING_DROPS } from "../drop-reasons.ts";
import { metersOf } from "../ebpf/programs/steps.ts";
import { GSO_NONE, makePacket, type Packet } from "../packet.ts";
import { MAX_DP_METERS } from "../userspace/buckets.ts";
import { FlowMirror } from "../userspace/flow-mirror.ts";
import { compactMask, makeCompactMask } from "../userspace/flow-table.ts";
import { chooseOdpPort } from "../userspace/port-numbers.ts";
import { MAX_FLOWS, STATS_BYTES } from "../userspace/shared.ts";
import { wireBytes } from "../wire.ts";
import { ACTION_METER, ACTION_OUTPUT, type LaterActions, writeActions } from "./action-codec.ts";
import { Batch } from "./batch.ts";
import { KernelConntrack } from "./conntrack.ts";
import { type Families, OVS_HEADER } from "./families.ts";
import { FlowStatsCopy, putUfid, type UfidSource } from "./flow-stats.ts";
import { Helper } from "./helper.ts";
import { invisibleBit, narrowMask, readMetadata, writeKey, writeMask, writeMetadata } from "./key-codec.ts";
import { KernelMeters } from "./meters.ts";
import { decodeFlow, type KernelFlow, listFlows } from "./old-flows.ts";
import { probeLaterActions } from "./probe.ts";
import type { KernelSystem } from "./system.ts";
import * as U from "./uapi.ts";
import { type KernelUpcall, UpcallSockets } from "./upcalls.ts";
import * as V from "./vports.ts";

/** So many flows' statistics are fetched at once when one is asked for; of more, a dump goes on in slices. */
const AT_ONCE = 2048;
/** How old the statistics of many flows may be. */
const STALE_MS = 200;
const SLICE_DATAGRAMS = 4;
/** A packet of a flow that has been in the kernel for so long should not have come up: it may be there no more. */
const SETTLED_MS = 50;
const RETRY_MS = 1000;
/** Flows of an earlier run that are made anew in one turn of the loop. */
const REPLAY_SLICE = 64;

// Where a flow is.
const IN_KERNEL = 0;
/** The kernel cannot have it. */
const HERE = 1;
/** The kernel has refused it, and may take it later. */
const REFUSED = 2;

// What a request in the batch was about.
const PUT = 1;
const DELETE = 2;
const DELETE_OLD = 3;
const EXECUTE = 4;
const CHANGE = 5;

export interface KernelDpifOptions {
  /** "system" */
  type: string;
  /** "ovs-system" */
  name: string;
  clock: Clock;
  /** Closed with the datapath, or when none comes of it. */
  families: Families;
  warn(text: string): void;
}

interface Port extends DpPort {
  /** VPORT_TYPE_… */
  readonly vport: number;
  /** Ports of configuration that share it: all tunnels of a kind have one. */
  users: number;
}

/** Of Linux 6.1; what came later is probed for. */
const FEATURES: readonly (readonly [string, boolean | number])[] = [
  ["ct_clear", true],
  ["max_hash_alg", 0],
  ["max_vlan_headers", 2],
  ["ct_state", true],
  ["ct_zone", true],
  ["ct_mark", true],
  ["ct_label", true],
  ["ct_state_nat", true],
  ["ct_orig_tuple", true],
  ["ct_orig_tuple6", true],
];

class KernelDpif implements Dpif {
  readonly type: string;
  readonly name: string;
  readonly features: ReadonlyMap<string, boolean | number>;
  private readonly later: LaterActions;
  readonly conntrack: KernelConntrack;
  userspaceText: ((operand: number) => string) | undefined = undefined;
  private readonly clock: Clock;
  private readonly system: KernelSystem;
  private readonly warn: (text: string) => void;
  private readonly families: Families;
  private readonly upcalls: UpcallSockets;
  private readonly batch: Batch;
  private readonly dpIfindex: number;
  private readonly meters: KernelMeters;
  private readonly statsCopy: FlowStatsCopy;
  private readonly dumpSocket;
  private readonly mirror: FlowMirror;
  private readonly ufids: UfidSource;
  /** Ports of ours, by number. */
  private readonly portTable = new Map<OdpPort, Port>();
  /** Ports that an earlier run has left, by name, until they are asked for again or it is all taken over. */
  private readonly left = new Map<string, V.Vport>();
  private tookOver = true;
  /** Of each flow. */
  private readonly place = new Uint8Array(MAX_FLOWS);
  private readonly putMs = new Float64Array(MAX_FLOWS);
  /** Meters that the kernel cannot have. */
  private readonly ourMeters = new Map<number, DpMeter>();
  private tunnelsMade: TunnelDevices | undefined;
  private helperMade: Helper | undefined;
  private handler: UpcallHandler | undefined;
  private readonly upcall: Upcall = {
    kind: UPCALL_MISS,
    key: new Int32Array(FLOW_DP_WORDS),
    packet: makePacket(new Uint8Array(0)),
    userdata: 0,
  };
  private readonly offsets = new Int32Array(8);
  private readonly mask: Flow = new Int32Array(FLOW_DP_WORDS);
  private readonly compact = makeCompactMask();
  private readonly flow: DpFlow = {
    handle: -1,
    key: new Int32Array(FLOW_DP_WORDS),
    mask: new Int32Array(FLOW_DP_WORDS),
    actions: new Int32Array(0),
  };
  private readonly last: DpFlowStats = { packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 };
  private flushPlanned = false;
  private fresh = false;
  private dumpedMs = 0;
  private slicePlanned = false;
  private leaving = false;
  private closed = false;

  /** Throws an errno error. */
  constructor(options: KernelDpifOptions) {
    const { type, name, clock, families, warn } = options;
    const { system } = families;
    this.type = type;
    this.name = name;
    this.clock = clock;
    this.system = system;
    this.warn = warn;
    this.families = families;
    const closers: { close(): void }[] = [families];
    try {
      this.upcalls = new UpcallSockets(
        system,
        families.ids.ovs_packet,
        (upcall) => this.packetUp(upcall),
        () => this.batch.flush(),
      );
      closers.push(this.upcalls);
      this.dumpSocket = system.openSocket(4 << 20);
      closers.push(this.dumpSocket);
      const batchSocket = system.openSocket(4 << 20);
      closers.push(batchSocket);
      this.batch = new Batch(batchSocket, {
        failed: (tag, subject, errno) => this.failed(tag, subject, errno),
        echoed: (tag, subject, body) => this.echoed(tag, subject, body),
      });
      this.dpIfindex = this.openDatapath();
    } catch (error) {
      for (const each of closers) each.close();
      throw error;
    }
    this.closers = closers;
    this.later = probeLaterActions(families, this.dpIfindex);
    this.features = new Map([
      ...FEATURES,
      ["explicit_drop_action", this.later.drop],
      ["psample", this.later.psample],
    ]);
    this.conntrack = new KernelConntrack(families, this.dpIfindex);
    this.meters = new KernelMeters(families, this.dpIfindex);
    const memory = new ArrayBuffer(MAX_FLOWS * STATS_BYTES);
    this.mirror = new FlowMirror(memory);
    this.ufids = {
      nonce: [system.random() | 0, system.random() | 0],
      generation: (flow) => ((this.mirror.handle(flow) - flow) / MAX_FLOWS) | 0,
    };
    this.statsCopy = new FlowStatsCopy(
      this.dumpSocket,
      families.ids.ovs_flow,
      this.dpIfindex,
      this.ufids,
      memory,
    );
    this.upcalls.start(this.dpIfindex);
  }

  private readonly closers: readonly { close(): void }[];

  private openDatapath(): number {
    const { families } = this;
    const pid = this.upcalls.pidOf(0);
    try {
      return V.createDatapath(families, this.name, pid).dpIfindex;
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw error;
    }
    const { dpIfindex } = V.adoptDatapath(families, this.name);
    V.setVportSocket(families, dpIfindex, 0, pid);
    for (const vport of V.listVports(families, dpIfindex))
      if (vport.odpPort !== 0) this.left.set(vport.name, vport);
    this.tookOver = false;
    return dpIfindex;
  }

  // ---- Ports ----

  async portAdd(netdev: Netdev, wanted: OdpPort | undefined): Promise<OdpPort> {
    if (netdev.local !== undefined) throw osError("EINVAL", "portAdd");
    const { name, type } = netdev;
    const tunnel = tunnelConfig(type, netdev.config());
    if (tunnel !== undefined) return this.addTunnel(tunnel, wanted);
    const vport = Math.max(U.VPORT_TYPE_NETDEV, V.VPORT_TYPE_NAMES.indexOf(type));
    let odpPort = this.adopt(name, vport, wanted);
    if (odpPort === undefined) {
      const free = this.choosePort(wanted);
      const port = { name, type: vport, odpPort: free };
      odpPort = V.addVport(this.families, this.dpIfindex, port, this.upcalls.pidOf(free));
    }
    this.portTable.set(odpPort, { odpPort, name, type, vport, users: 1 });
    return odpPort;
  }

  /** One port serves all tunnels of a kind: packets bring along where they go, and where they are from. */
  private addTunnel(config: TunnelConfig, wanted: OdpPort | undefined): OdpPort {
    const { type } = config;
    const name = tunnelDeviceName(config);
    for (const port of this.portTable.values()) {
      if (port.name !== name) continue;
      port.users++;
      return port.odpPort;
    }
    // What is there already must be as it is wanted now, or goes, and its port with it.
    const old = this.left.get(name);
    if (old?.type === U.VPORT_TYPE_NETDEV && this.isMadeAnew(config)) {
      this.left.delete(name);
      this.removePortOnly(old.odpPort);
    }
    const adopted = this.adopt(name, U.VPORT_TYPE_NETDEV, wanted);
    if (adopted !== undefined) {
      this.portTable.set(adopted, { odpPort: adopted, name, type, vport: U.VPORT_TYPE_NETDEV, users: 1 });
      return adopted;
    }
    const free = this.choosePort(wanted);
    const { families, dpIfindex } = this;
    const pid = this.upcalls.pidOf(free);
    const { odpPort, type: vport } = V.addTunnelVport(families, this.tunnels, dpIfindex, config, free, pid);
    this.portTable.set(odpPort, { odpPort, name, type, vport, users: 1 });
    return odpPort;
  }

  private isMadeAnew(config: TunnelConfig): boolean {
    try {
      return this.tunnels.make(config);
    } catch {
      // Adding its port will tell.
      return true;
    }
  }

  private get tunnels(): TunnelDevices {
    this.tunnelsMade ??= new TunnelDevices(this.system.openRoute());
    return this.tunnelsMade;
  }

  /** Number of a port that an earlier run has left, if it will do; else it is gone. */
  private adopt(name: string, type: number, wanted: OdpPort | undefined): OdpPort | undefined {
    const old = this.left.get(name);
    if (old === undefined) return undefined;
    this.left.delete(name);
    if (old.type === type && (wanted === undefined || wanted === old.odpPort)) {
      try {
        V.setVportSocket(this.families, this.dpIfindex, old.odpPort, this.upcalls.pidOf(old.odpPort));
        return old.odpPort;
      } catch {
        // Its device has gone meanwhile.
      }
    }
    this.removeVport(old);
    return undefined;
  }

  /** A number that no port has, `wanted` if there is one. A port of an earlier run that has it gives way. */
  private choosePort(wanted: OdpPort | undefined): OdpPort {
    const taken = new Map<OdpPort, DpPort>([[0, { odpPort: 0, name: this.name, type: "internal" }]]);
    for (const [odpPort, port] of this.portTable) taken.set(odpPort, port);
    for (const old of this.left.values()) {
      if (old.odpPort === wanted) {
        this.left.delete(old.name);
        this.removeVport(old);
      } else taken.set(old.odpPort, { odpPort: old.odpPort, name: old.name, type: "" });
    }
    return chooseOdpPort(taken, wanted, undefined);
  }

  private removeVport(vport: { odpPort: OdpPort; name: string; type: number }): void {
    try {
      V.removeVportAndDevice(this.families, this.tunnels, this.dpIfindex, vport);
    } catch {
      // A device that goes away takes its port along.
    }
  }

  /** The port of a device that has gone, in case the kernel has not noticed yet. */
  private removePortOnly(odpPort: OdpPort): void {
    try {
      V.removeVport(this.families, this.dpIfindex, odpPort);
    } catch {
      // It has.
    }
  }

  async portDel(port: OdpPort): Promise<void> {
    const held = this.portTable.get(port);
    if (held === undefined) throw osError("ENODEV", "portDel");
    if (--held.users > 0) return;
    this.portTable.delete(port);
    this.meters.unpolice(port);
    if (!this.leaving) this.removeVport({ odpPort: port, name: held.name, type: held.vport });
  }

  ports(): Iterable<DpPort> {
    return [{ odpPort: 0, name: this.name, type: "internal" }, ...this.portTable.values()];
  }

  portShaped(): void {
    // What the kernel sends goes through the device's queueing anyway.
  }

  portPolicing(port: OdpPort, policing: Policing): void {
    const changed = this.meters.police(port, policing);
    if (changed === "failed")
      this.warn(`port ${this.portTable.get(port)?.name}: no meter for its ingress policing`);
    if (changed !== false)
      this.rewrite((flow) => flow.key[W_IN_PORT] === port && flow.key[W_RECIRC_ID] === 0);
  }

  // ---- Packets that come up ----

  setUpcallHandler(handler: UpcallHandler | undefined): void {
    this.handler = handler;
  }

  private packetUp(from: KernelUpcall): void {
    const { key, packet } = this.upcall;
    readMetadata(from.key, key);
    packet.data = from.packet;
    packet.offset = 0;
    packet.length = from.packet.length;
    extractFlow(packet.data, 0, packet.length, key, this.offsets);
    if (from.command === U.PACKET_CMD_MISS) this.missed(packet, key, from.mru);
    else if (from.command === U.PACKET_CMD_ACTION) this.handedUp(packet, key, from.userdata, from.mru);
  }

  /** No flow in the kernel. */
  private missed(packet: Packet, key: Flow, mru: number | undefined): void {
    const held = this.mirror.table.lookup(key);
    if (held >= 0) {
      this.serve(held, packet, key, mru);
      return;
    }
    const { upcall } = this;
    upcall.kind = UPCALL_MISS;
    upcall.key = key;
    upcall.packet = packet;
    upcall.userdata = 0;
    const reply = this.handler?.(upcall);
    if (reply === undefined) return;
    const { actions, mask, flowActions, installed } = reply;
    let handle = -1;
    if (mask !== undefined) handle = this.flowPut(key, mask, flowActions ?? actions);
    if (handle >= 0) installed?.(handle);
    this.perform(packet, key, actions, mru);
  }

  private handedUp(packet: Packet, key: Flow, userdata: number, mru: number | undefined): void {
    const { upcall } = this;
    upcall.kind = UPCALL_ACTION;
    upcall.key = key;
    upcall.packet = packet;
    upcall.userdata = userdata;
    const reply = this.handler?.(upcall);
    if (reply !== undefined) this.perform(packet, key, reply.actions, mru);
  }

  /** A packet of a flow that is not in the kernel, or was not yet when the packet came. */
  private serve(flow: number, packet: Packet, key: Flow, mru: number | undefined): void {
    const nowMs = this.system.nowMs();
    this.statsCopy.add(flow, 1, packet.length, nowMs, key[W_TCP_FLAGS]! & 0xfff);
    this.mirror.read(flow, this.flow);
    const { actions } = this.flow;
    const age = nowMs - this.putMs[flow]!;
    const place = this.place[flow];
    if ((place === IN_KERNEL && age > SETTLED_MS) || (place === REFUSED && age > RETRY_MS))
      this.write(flow, this.flow.key, this.flow.mask, actions);
    this.perform(packet, key, actions, mru);
  }

  private get helper(): Helper {
    if (this.helperMade === undefined) {
      const helper = new Helper(
        {
          output: (port, packet) => this.send(packet, port),
          upcall: (kind, packet, key, userdata) => {
            if (kind === UPCALL_MISS) this.missed(packet, key, undefined);
            else this.handedUp(packet, key, userdata, undefined);
          },
        },
        () => this.system.nowMs(),
        () => this.system.random(),
      );
      for (const [id, meter] of this.ourMeters) helper.meterSet(id, meter);
      this.helperMade = helper;
    }
    return this.helperMade;
  }

  /** Runs actions on a whole frame. */
  private perform(packet: Packet, key: Flow, actions: Int32Array, mru: number | undefined): void {
    if (actions.length === 0) return;
    const why = this.usesOurMeter(actions)
      ? "a meter"
      : this.writeExecute(packet, key, mru, () => {
          this.writeMeters(key);
          return writeActions(this.batch.out, actions, key, this.upcalls.actionPid, this.later);
        });
    if (why !== undefined) this.helper.run(packet, key, actions);
  }

  private send(packet: Packet, port: OdpPort): void {
    const key = this.flow.key;
    key.fill(0);
    key[W_IN_PORT] = -1;
    this.writeExecute(packet, key, undefined, () => {
      this.batch.out.u32(ACTION_OUTPUT, port);
      return undefined;
    });
  }

  private writeExecute(
    packet: Packet,
    key: Flow,
    mru: number | undefined,
    writeThem: () => string | undefined,
  ): string | undefined {
    const { batch } = this;
    const { out } = batch;
    const { ovs_packet: family } = this.families.ids;
    batch.begin(family, 0, U.PACKET_CMD_EXECUTE, U.FAMILIES.ovs_packet, this.dpIfindex, EXECUTE, 0);
    out.data(U.PACKET_ATTR_PACKET, packet.data, packet.offset, packet.length);
    const keyAt = out.open(U.PACKET_ATTR_KEY);
    writeMetadata(out, key);
    out.close(keyAt);
    const actionsAt = out.open(U.PACKET_ATTR_ACTIONS);
    const why = writeThem() ?? (out.fits(actionsAt) ? undefined : "so many actions");
    if (why !== undefined) {
      batch.abandon();
      return why;
    }
    out.close(actionsAt);
    if (mru !== undefined) out.u16(U.PACKET_ATTR_MRU, mru);
    batch.end();
    this.planFlush();
    return undefined;
  }

  execute(packet: Packet, key: Flow, actions: Int32Array): void {
    if (packet.gsoType !== GSO_NONE) {
      this.helper.run(packet, key, actions);
      return;
    }
    const whole = packet.vnetFlags === 0 ? packet : makePacket(wireBytes(packet));
    this.perform(whole, key, actions, undefined);
  }

  // ---- Requests ----

  private planFlush(): void {
    if (this.flushPlanned) return;
    this.flushPlanned = true;
    this.clock.soon(() => {
      this.flushPlanned = false;
      if (!this.closed) this.batch.flush();
    });
  }

  private failed(tag: number, subject: number, errno: number): void {
    if (tag === CHANGE && errnoName(errno) === "ENOENT") {
      // Somebody has taken it out.
      this.place[subject] = HERE;
      if (!this.mirror.table.has(subject)) return;
      this.mirror.read(subject, this.flow);
      this.write(subject, this.flow.key, this.flow.mask, this.flow.actions);
    } else if (tag === PUT || tag === CHANGE) {
      if (!this.mirror.table.has(subject)) return;
      if (tag === CHANGE) this.unwrite(subject);
      this.place[subject] = REFUSED;
      this.warn(`flow refused by the kernel (${osError(errnoName(errno)).message}): served in userspace`);
    } else if (tag === EXECUTE && errnoName(errno) !== "ENODEV")
      this.warn(`packet refused by the kernel (${osError(errnoName(errno)).message})`);
  }

  private echoed(tag: number, subject: number, body: DataView): void {
    if (tag === DELETE) this.statsCopy.take(body, OVS_HEADER, body.byteLength, subject);
    else if (tag === DELETE_OLD) this.carry(subject, body);
  }

  // ---- Flows ----

  flowPut(key: Flow, mask: Flow, actions: Int32Array): FlowHandle {
    for (let word = 0; word < FLOW_DP_WORDS; word++) this.mask[word] = mask[word]!;
    narrowMask(key, this.mask, actions);
    compactMask(this.mask, this.compact);
    const held = this.mirror.table.findExact(key, this.compact);
    if (held >= 0) {
      const handle = this.mirror.handle(held);
      this.flowSetActions(handle, actions);
      return handle;
    }
    const flow = this.mirror.add(key, this.compact, actions);
    if (flow < 0) throw osError("ENOSPC", "flowPut");
    this.statsCopy.added(flow);
    this.place[flow] = HERE;
    this.write(flow, key, this.mask, actions);
    return this.mirror.handle(flow);
  }

  flowSetActions(handle: FlowHandle, actions: Int32Array): void {
    const flow = this.mirror.resolve(handle);
    if (flow < 0) return;
    this.mirror.setProgram(flow, actions);
    this.mirror.read(flow, this.flow);
    this.write(flow, this.flow.key, this.flow.mask, actions);
  }

  /** Puts a flow of the mirror into the kernel, in the place of what it has there; where that cannot be, it is served here. */
  private write(flow: number, key: Flow, mask: Flow, actions: Int32Array): void {
    const was = this.place[flow]!;
    this.putMs[flow] = this.system.nowMs();
    this.statsCopy.touched(flow);
    const { batch } = this;
    const { out } = batch;
    const { ovs_flow: family } = this.families.ids;
    let why = this.usesOurMeter(actions) ? "a meter" : invisibleBit(key, mask);
    if (why === undefined) {
      const command = was === IN_KERNEL ? U.CMD_SET : U.CMD_NEW;
      const tag = was === IN_KERNEL ? CHANGE : PUT;
      batch.begin(family, 0, command, U.FAMILIES.ovs_flow, this.dpIfindex, tag, flow);
      putUfid(out, this.ufids, flow);
      const keyAt = out.open(U.FLOW_ATTR_KEY);
      writeKey(out, key, mask);
      out.close(keyAt);
      const maskAt = out.open(U.FLOW_ATTR_MASK);
      writeMask(out, key, mask);
      out.close(maskAt);
      const actionsAt = out.open(U.FLOW_ATTR_ACTIONS);
      this.writeMeters(key);
      why = writeActions(out, actions, key, this.upcalls.actionPid, this.later);
      if (why === undefined && !out.fits(actionsAt)) why = "so many actions";
      out.close(actionsAt);
      if (why === undefined) {
        batch.end();
        this.place[flow] = IN_KERNEL;
      } else batch.abandon();
    }
    if (why !== undefined) {
      this.place[flow] = HERE;
      if (was === IN_KERNEL) this.unwrite(flow);
    }
    this.planFlush();
  }

  private writeMeters(key: Flow): void {
    if (key[W_RECIRC_ID] !== 0) return;
    for (const id of this.meters.ofPort(key[W_IN_PORT]!)) this.batch.out.u32(ACTION_METER, id);
  }

  /** Asks the kernel to delete a flow, and to tell what it had counted. */
  private unwrite(flow: number): void {
    const { batch } = this;
    const { ovs_flow: family } = this.families.ids;
    batch.begin(family, NLM_F_ECHO, U.CMD_DEL, U.FAMILIES.ovs_flow, this.dpIfindex, DELETE, flow);
    putUfid(batch.out, this.ufids, flow);
    batch.out.u32(U.FLOW_ATTR_UFID_FLAGS, U.UFID_F_OMIT_ALL);
    batch.end();
  }

  async flowDel(handle: FlowHandle): Promise<DpFlowStats> {
    const out: DpFlowStats = { packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 };
    await this.flowsDel([handle], (_flow, last) => Object.assign(out, last));
    return out;
  }

  async flowsDel(
    flows: readonly FlowHandle[],
    gone: (flow: FlowHandle, last: DpFlowStats) => void,
  ): Promise<void> {
    const numbers = flows.map((handle) => this.mirror.resolve(handle));
    for (const flow of numbers)
      if (flow >= 0 && this.place[flow] === IN_KERNEL && !this.leaving) this.unwrite(flow);
    this.batch.flush();
    await null;
    const offset = this.clockOffset();
    numbers.forEach((flow, i) => {
      if (flow >= 0) {
        this.mirror.readStats(flow, this.last, offset);
        this.forget(flow);
      } else Object.assign(this.last, { packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 });
      gone(flows[i]!, this.last);
    });
  }

  private forget(flow: number): void {
    this.mirror.remove(flow);
    this.statsCopy.forget(flow);
    this.mirror.recycle(flow);
  }

  flowFlush(): void {
    this.batch.flush();
    try {
      if (!this.leaving) this.families.request("ovs_flow", U.CMD_DEL, this.dpIfindex, []);
    } catch (error) {
      this.warn(`flows cannot be flushed: ${(error as Error).message}`);
    }
    for (const flow of [...this.mirror.numbers()]) this.forget(flow);
  }

  flowCount(): number {
    return this.mirror.size;
  }

  maskCount(): number {
    return this.mirror.table.subtables.length;
  }

  hasRoomFor(key: Flow, mask: Flow): boolean {
    return this.mirror.table.hasRoom(key, mask);
  }

  flowStats(handle: FlowHandle, out: DpFlowStats): boolean {
    if (!this.fresh) this.refresh();
    const flow = this.mirror.resolve(handle);
    if (flow < 0) return false;
    this.mirror.readStats(flow, out, this.clockOffset());
    return true;
  }

  private clockOffset(): number {
    return this.clock.now() - this.system.nowMs();
  }

  /** Fetches statistics: for this turn of the loop, or where that would take long, in the turns to come. */
  private refresh(): void {
    this.batch.flush();
    const now = this.system.nowMs();
    const many = this.mirror.size > AT_ONCE;
    if (many && now - this.dumpedMs < STALE_MS) return;
    this.statsCopy.begin();
    if (many) {
      this.planSlice();
      return;
    }
    if (this.statsCopy.proceed(Number.POSITIVE_INFINITY)) this.dumped();
    this.fresh = true;
    this.clock.soon(() => {
      this.fresh = false;
    });
  }

  private planSlice(): void {
    if (this.slicePlanned) return;
    this.slicePlanned = true;
    this.clock.soon(() => {
      this.slicePlanned = false;
      if (this.closed || !this.statsCopy.isUnderway) return;
      if (this.statsCopy.proceed(SLICE_DATAGRAMS)) this.dumped();
      else this.planSlice();
    });
  }

  /** Flows that somebody else has taken out of the kernel are gone. */
  private dumped(): void {
    this.dumpedMs = this.system.nowMs();
    for (const flow of this.mirror.numbers())
      if (this.place[flow] === IN_KERNEL && this.statsCopy.isLost(flow)) this.forget(flow);
  }

  readFlow(handle: FlowHandle, into: DpFlow): boolean {
    const flow = this.mirror.resolve(handle);
    if (flow < 0) return false;
    this.mirror.read(flow, into);
    return true;
  }

  flows(): Iterable<DpFlow> {
    return this.mirror.flows();
  }

  /** Writes flows anew that something they depend on has changed for. */
  private rewrite(concerns: (flow: DpFlow) => boolean): void {
    for (const flow of this.mirror.numbers()) {
      this.mirror.read(flow, this.flow);
      if (concerns(this.flow)) this.write(flow, this.flow.key, this.flow.mask, this.flow.actions);
    }
  }

  // ---- Meters ----

  get maxMeters(): number {
    return this.meters.maxMeters === 0 ? MAX_DP_METERS : this.meters.maxMeters;
  }

  private usesOurMeter(actions: Int32Array): boolean {
    return this.ourMeters.size > 0 && metersOf(actions).some((id) => this.ourMeters.has(id));
  }

  meterSet(id: number, meter: DpMeter): void {
    if (this.leaving) return;
    this.batch.flush();
    const was = this.ourMeters.has(id);
    const ours = !this.meters.set(id, meter);
    if (ours) {
      this.ourMeters.set(id, meter);
      this.helperMade?.meterSet(id, meter);
    } else {
      this.ourMeters.delete(id);
      this.helperMade?.meterDel(id);
    }
    if (ours !== was) this.rewrite(({ actions }) => metersOf(actions).includes(id));
  }

  meterDel(id: number): void {
    if (this.leaving) return;
    this.batch.flush();
    this.meters.delete(id);
    if (!this.ourMeters.delete(id)) return;
    this.helperMade?.meterDel(id);
    this.rewrite(({ actions }) => metersOf(actions).includes(id));
  }

  meterStats(id: number, bands: number): DpMeterStats {
    if (this.ourMeters.has(id) && this.helperMade !== undefined) return this.helperMade.meterStats(id, bands);
    return this.meters.stats(id, bands);
  }

  setVlanLimit(tags: number): void {
    // The kernel looks at two tags whatever we say; keys are made to suit.
    setVlanLimit(tags);
  }

  // ---- What an earlier run has left ----

  async takeOver(): Promise<void> {
    if (this.tookOver) return;
    this.tookOver = true;
    for (const old of this.left.values()) this.removeVport(old);
    this.left.clear();
    let count = 0;
    for (const old of listFlows(this.families, this.dpIfindex)) {
      if (old.ufid !== undefined && this.isOurs(old.ufid)) continue;
      this.replace(old);
      if (++count % REPLAY_SLICE === 0) await new Promise<void>((resolve) => this.clock.soon(resolve));
      if (this.closed) return;
    }
    this.batch.flush();
  }

  private isOurs(ufid: Uint8Array): boolean {
    const view = new DataView(ufid.buffer, ufid.byteOffset, ufid.byteLength);
    return (
      ufid.length === 16 &&
      view.getInt32(0, true) === this.ufids.nonce[0] &&
      view.getInt32(4, true) === this.ufids.nonce[1]
    );
  }

  /** Deletes a flow and puts what the rules say now, in one go. */
  private replace(old: KernelFlow): void {
    const { batch } = this;
    const { ovs_flow: family } = this.families.ids;
    const packet = makePacket(new Uint8Array(64));
    const { key } = old;
    const reply = this.portTable.has(key[W_IN_PORT]!)
      ? this.handler?.({ kind: UPCALL_KNOWN, key, packet, userdata: 0 })
      : undefined;
    const subject = this.carried.length;
    this.carried.push(-1);
    batch.begin(family, NLM_F_ECHO, U.CMD_DEL, U.FAMILIES.ovs_flow, this.dpIfindex, DELETE_OLD, subject);
    const [type, value] = old.name;
    batch.out.data(type, value as Uint8Array);
    batch.out.u32(U.FLOW_ATTR_UFID_FLAGS, U.UFID_F_OMIT_ALL);
    batch.end();
    if (reply?.mask === undefined) return;
    const { mask, actions, flowActions, installed } = reply;
    const handle = this.flowPut(key, mask, flowActions ?? actions);
    this.carried[subject] = handle;
    installed?.(handle);
  }

  /** Which new flow goes on counting for an old one, by the number of its deletion. */
  private readonly carried: FlowHandle[] = [];

  private carry(subject: number, body: DataView): void {
    const flow = this.mirror.resolve(this.carried[subject]!);
    if (flow < 0) return;
    const { stats } = decodeFlow(body);
    this.statsCopy.add(flow, stats.packets, stats.bytes, stats.usedMs, stats.tcpFlags);
  }

  leave(): void {
    this.leaving = true;
  }

  // ---- The rest ----

  async stats(): Promise<DpStats> {
    this.batch.flush();
    const { stats } = V.findDatapath(this.families, this.name);
    return { ...stats, flows: this.mirror.size, masks: this.maskCount() };
  }

  drops(): ReadonlyMap<string, number> {
    const drops = this.helperMade?.drops() ?? new Map<string, number>();
    drops.set(POLICING_DROPS, this.closed ? 0 : this.meters.policed());
    return drops;
  }

  async settled(): Promise<void> {
    if (!this.closed) this.batch.flush();
  }

  run(): void {}

  async close(): Promise<void> {
    if (this.closed) return;
    this.batch.flush();
    this.closed = true;
    if (!this.leaving) {
      try {
        V.removeDatapath(this.families, this.name);
      } catch (error) {
        if (codeOf(error) !== "ENODEV") this.warn(`cannot be removed: ${(error as Error).message}`);
      }
      const names = [...this.portTable.values(), ...this.left.values()].map(({ name }) => name);
      for (const name of names) if (tunnelOfDevice(name) !== undefined) this.tunnels.remove(name);
    }
    this.portTable.clear();
    this.tunnelsMade?.close();
    for (const each of this.closers) each.close();
  }
}

export function openKernelDpif(options: KernelDpifOptions): Dpif {
  return new KernelDpif(options);
}
