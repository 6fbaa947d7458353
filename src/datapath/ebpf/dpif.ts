/**
 * `Dpif` of type ebpf: the datapath in a worker (userspace/) knows every megaflow and serves what programs cannot; programs
 * in the kernel serve all the others (offload.ts). Frames of system ports reach the worker through the BPF ring buffer only,
 * when a program has found no megaflow for them; what the host sends by an internal port comes up its tap likewise.
 */
import { FLOW_DP_WORDS, type Flow, W_IN_PORT } from "../../flow/layout.ts";
import type { Clock, Timer } from "../../lib/clock.ts";
import { parseMac } from "../../lib/mac.ts";
import type { Netdev } from "../../netdev/netdev.ts";
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
  UPCALL_KNOWN,
  type Upcall,
  type UpcallHandler,
  type UpcallReply,
} from "../dpif.ts";
import { ACTION_DROPS, METER_DROPS, POLICING_DROPS, USERSPACE_ACTION_DROPS } from "../drop-reasons.ts";
import { makePacket, type Packet } from "../packet.ts";
import type { UpcallRing } from "../userspace/thread.ts";
import { LeftBehind, linkName, type OldFlow } from "./left-behind.ts";
import { EbpfObjects } from "./objects.ts";
import { Offload } from "./offload.ts";
import type { OutPort } from "./programs/actions.ts";
import {
  CLASSIFIER_SLOT,
  COUNT_ACTION_DROPS,
  COUNT_ACTION_LOST,
  COUNT_LOST,
  COUNT_METERED,
  COUNT_POLICED,
  COUNT_UP,
  PORT_FLAG_TAP,
  UPCALL_RING_BYTES,
} from "./programs/layout.ts";
import { metersOf, outputPorts } from "./programs/steps.ts";
import { Shortcuts } from "./shortcuts.ts";
import type { EbpfLink, EbpfProgram, EbpfSystem, PinFolder } from "./system.ts";

/** Flows of an earlier run that are made anew in one turn of the loop. */
const REPLAY_SLICE = 64;
/** After this no packet is on its way through programs that are at no device any more. */
const GRACE_MS = 100;

export interface EbpfDpifOptions {
  /** Of the datapath, e.g. "ovs-ebpf". */
  name: string;
  clock: Clock;
  system: EbpfSystem;
  /** Opens the datapath in the worker, whose system ports read the ring buffer. */
  openInner(upcalls: UpcallRing): Dpif;
  warn(text: string): void;
}

interface AttachedPort {
  readonly odpPort: OdpPort;
  readonly name: string;
  readonly ifindex: number;
  readonly tap: boolean;
  readonly link: EbpfLink;
  /** What policing allows, "" for anything. */
  limits: string;
  /** The link is an earlier run's, with its programs. */
  adopted: boolean;
  unwatch(): void;
}

export class EbpfDpif implements Dpif {
  readonly type: string;
  readonly name: string;
  readonly objects: EbpfObjects;
  readonly offload: Offload;
  readonly attached = new Map<OdpPort, AttachedPort>();
  readonly shortcuts: Shortcuts;
  readonly inner: Dpif;
  readonly #clock: Clock;
  readonly #system: EbpfSystem;
  readonly #flow: DpFlow = {
    handle: -1,
    key: new Int32Array(FLOW_DP_WORDS),
    mask: new Int32Array(FLOW_DP_WORDS),
    actions: new Int32Array(0),
  };
  /** Where objects are pinned, or why they are not. */
  readonly pins: PinFolder | string;
  /** What an earlier run has left, until it is taken over. */
  #left: LeftBehind | undefined;
  /** Until the maps of an earlier run, taken over just now, are taken away. */
  #grace: Timer | undefined;
  #leaving = false;
  /** Meters that programs run. */
  readonly #meters = new Set<number>();
  /** For the worker. */
  readonly #allKnown = new Int32Array(new SharedArrayBuffer(4));
  #offloadKnowsAll = false;
  /** Only programs of this run are at the ports. */
  #takenOver = true;
  #handler: UpcallHandler | undefined;
  /** What the handler has answered last. */
  #upcall: Upcall | undefined;
  #answer: UpcallReply | undefined;
  /** The same as the worker's dpif gets it. */
  readonly #reply: UpcallReply = {
    actions: this.#flow.actions,
    mask: undefined,
    flowActions: undefined,
    installed: undefined,
  };
  #classifier: EbpfProgram | undefined;

  /** Throws what the system throws: without the right to load programs, on too old a kernel. */
  constructor(options: EbpfDpifOptions) {
    const { name, clock, system, openInner, warn } = options;
    this.#clock = clock;
    this.#system = system;
    const pins = system.pins(name);
    this.pins = pins;
    let generation = "";
    if (typeof pins !== "string") {
      this.#left = new LeftBehind(pins, system);
      this.#takenOver = false;
      generation = this.#left.nextGeneration;
    }
    let objects: EbpfObjects | undefined;
    try {
      objects = new EbpfObjects(
        system,
        typeof pins === "string" ? undefined : (map) => pins.pin(map, `${generation}/${map.spec.name}`),
      );
      this.objects = objects;
      this.shortcuts = new Shortcuts(system, clock, objects.farEnds, (port) =>
        this.#reconsider((key, actions) => mentions(key, actions, port)),
      );
      probe(system, objects.upcall.program);
      this.offload = new Offload(objects, {
        clock,
        ifindexOf: (port) => this.attached.get(port)?.ifindex ?? 0,
        portOf: (port): OutPort | undefined => this.attached.get(port),
        hasMeter: (id) => this.#meters.has(id),
        shortcut: (from, to) => this.shortcuts.find(from, to),
        install: (program) => this.#install(program),
        allKnown: (all) => {
          this.#offloadKnowsAll = all;
          this.#tellKnown();
        },
        warn,
      });
    } catch (error) {
      objects?.close();
      if (typeof pins !== "string") {
        pins.remove(generation);
        pins.close();
      }
      throw error;
    }
    this.#left?.takeUpcalls(this.objects.upcall.program);
    this.inner = openInner({
      fd: this.objects.upcallRing,
      bytes: UPCALL_RING_BYTES,
      allKnown: this.#allKnown.buffer as SharedArrayBuffer,
    });
    this.type = this.inner.type;
    this.name = this.inner.name;
  }

  get userspaceText(): ((operand: number) => string) | undefined {
    return this.inner.userspaceText;
  }

  set userspaceText(text: ((operand: number) => string) | undefined) {
    this.inner.userspaceText = text;
  }

  // ---- Ports ----

  /** Frames for which an earlier run's programs know nothing may be of megaflows all the same. */
  #tellKnown(): void {
    Atomics.store(this.#allKnown, 0, this.#offloadKnowsAll && this.#takenOver ? 1 : 0);
  }

  #install(program: EbpfProgram): void {
    this.#classifier = program;
    this.objects.setSlot(CLASSIFIER_SLOT, program);
    for (const port of this.attached.values()) if (port.limits === "") this.#setProgram(port);
  }

  /** Puts the port's program in place, but not before an earlier run's is to go. */
  #setProgram({ link, limits, adopted }: AttachedPort): void {
    if (adopted) return;
    try {
      link.update(limits === "" ? this.#classifier! : this.objects.police.program);
    } catch {
      // The device is gone, and the port soon will be.
    }
  }

  async portAdd(netdev: Netdev, wanted: OdpPort | undefined): Promise<OdpPort> {
    const odpPort = await this.inner.portAdd(netdev, wanted);
    try {
      this.#attach(netdev, odpPort);
    } catch (error) {
      await this.inner.portDel(odpPort);
      throw error;
    }
    this.#reconsider((key, actions) => mentions(key, actions, odpPort));
    return odpPort;
  }

  #attach(netdev: Netdev, odpPort: OdpPort): void {
    const { name } = netdev;
    const tap = netdev.type === "internal" || netdev.type === "tap";
    const ifindex = this.#system.ifindexOf(name);
    const setPort = (): void =>
      this.objects.setPort(ifindex, odpPort, tap ? PORT_FLAG_TAP : 0, addressOf(netdev));
    setPort();
    const old = this.#left?.claim(ifindex, tap);
    const link = old ?? this.#system.attach(this.#classifier!, ifindex, tap);
    if (typeof this.pins !== "string") {
      if (old === undefined) this.pins.pin(link, linkName(ifindex, tap));
      if (!tap) this.#system.setPromiscuous(ifindex, true);
    }
    const stop = tap ? netdev.watch(setPort) : undefined;
    if (!tap) this.shortcuts.add(odpPort, ifindex);
    netdev.passing = () => (tap ? this.offload.traffic(odpPort) : this.shortcuts.traffic(odpPort));
    const unwatch = (): void => {
      stop?.();
      netdev.passing = undefined;
    };
    this.attached.set(odpPort, {
      odpPort,
      name,
      ifindex,
      tap,
      link,
      limits: "",
      adopted: old !== undefined,
      unwatch,
    });
  }

  portDel(port: OdpPort): Promise<void> {
    const attached = this.attached.get(port);
    if (attached !== undefined) {
      this.attached.delete(port);
      this.shortcuts.remove(port);
      attached.unwatch();
      attached.link.close();
      if (!this.#leaving) this.#detach(attached);
    }
    return this.inner.portDel(port);
  }

  #detach({ odpPort, ifindex, tap }: AttachedPort): void {
    if (typeof this.pins !== "string") {
      this.pins.remove(linkName(ifindex, tap));
      if (!tap) this.#system.setPromiscuous(ifindex, false);
    }
    this.objects.clearPort(ifindex);
    this.#reconsider((key, actions) => mentions(key, actions, odpPort));
    this.offload.forgetTraffic(odpPort);
  }

  /** Megaflows that a port or meter which comes or goes may concern are looked at again. */
  #reconsider(concerns: (key: Flow, actions: Int32Array) => boolean): void {
    this.offload.hostChanged();
    for (const { handle, key, mask, actions } of this.inner.flows()) {
      if (!concerns(key, actions)) continue;
      this.offload.reconsider(handle, key, mask, actions);
    }
  }

  ports(): Iterable<DpPort> {
    return this.inner.ports();
  }

  portShaped(port: OdpPort, shaped: boolean): void {
    this.shortcuts.setShaped(port, shaped);
    this.inner.portShaped(port, shaped);
  }

  /** By a program, also for a tap: what goes up its own way has passed one too. */
  portPolicing(port: OdpPort, policing: Policing): void {
    const attached = this.attached.get(port);
    if (attached === undefined) return;
    const { kbps, burstKb, kpps, burstKpackets } = policing;
    const limits = kbps > 0 || kpps > 0 ? [kbps, burstKb, kpps, burstKpackets].join() : "";
    if (limits === attached.limits) return;
    attached.limits = limits;
    if (limits !== "") this.objects.setPolicing(attached.ifindex, policing);
    this.#setProgram(attached);
  }

  // ---- Upcalls and megaflows ----

  setUpcallHandler(handler: UpcallHandler | undefined): void {
    this.#handler = handler;
    if (handler === undefined) {
      this.inner.setUpcallHandler(undefined);
      return;
    }
    this.inner.setUpcallHandler((upcall) => {
      const reply = this.#handler?.(upcall);
      if (reply?.mask === undefined) return reply;
      this.#upcall = upcall;
      this.#answer = reply;
      const own = this.#reply;
      own.actions = reply.actions;
      own.mask = reply.mask;
      own.flowActions = reply.flowActions;
      own.installed = this.#installed;
      return own;
    });
  }

  /** The worker's dpif tells of a flow before it lets go of the upcall and asks for another. */
  readonly #installed = (handle: FlowHandle): void => {
    const { actions, mask, flowActions, installed } = this.#answer!;
    this.offload.put(handle, this.#upcall!.key, mask!, flowActions ?? actions);
    installed?.(handle);
  };

  hasRoomFor(key: Flow, mask: Flow): boolean {
    return this.inner.hasRoomFor(key, mask);
  }

  flowPut(key: Flow, mask: Flow, actions: Int32Array): FlowHandle {
    const handle = this.inner.flowPut(key, mask, actions);
    this.offload.put(handle, key, mask, actions);
    return handle;
  }

  flowSetActions(flow: FlowHandle, actions: Int32Array): void {
    this.inner.flowSetActions(flow, actions);
    const { key, mask } = this.#flow;
    if (this.inner.readFlow(flow, this.#flow)) this.offload.put(flow, key, mask, actions);
  }

  async flowDel(flow: FlowHandle): Promise<DpFlowStats> {
    let all: DpFlowStats = { packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 };
    // While it is told of, no other flow can have its index.
    await this.flowsDel([flow], (_flow, last) => {
      all = { ...last };
    });
    return all;
  }

  flowsDel(flows: readonly FlowHandle[], gone: (flow: FlowHandle, last: DpFlowStats) => void): Promise<void> {
    this.offload.stop(flows);
    return this.inner.flowsDel(flows, (flow, last) => {
      this.#finish(flow, last);
      gone(flow, last);
    });
  }

  /** The worker has let go of the megaflow, and by now no program is still at a packet of it. */
  #finish(flow: FlowHandle, last: DpFlowStats): void {
    this.#addStats(flow, last);
    this.offload.delete(flow);
  }

  flowFlush(): void {
    const handles = Array.from(this.inner.flows(), ({ handle }) => handle);
    this.offload.stop(handles);
    for (const handle of handles) this.offload.delete(handle);
    this.inner.flowFlush();
  }

  flowCount(): number {
    return this.inner.flowCount();
  }

  maskCount(): number {
    return this.inner.maskCount();
  }

  #addStats(flow: FlowHandle, out: DpFlowStats): void {
    if (this.offload.hasStats(flow))
      this.offload.addStats(flow, out, this.#clock.now() - this.#system.nowMs());
  }

  flowStats(flow: FlowHandle, out: DpFlowStats): boolean {
    if (!this.inner.flowStats(flow, out)) return false;
    this.#addStats(flow, out);
    return true;
  }

  readFlow(flow: FlowHandle, into: DpFlow): boolean {
    return this.inner.readFlow(flow, into);
  }

  flows(): Iterable<DpFlow> {
    return this.inner.flows();
  }

  // ---- The rest ----

  execute(packet: Packet, key: Flow, actions: Int32Array): void {
    this.inner.execute(packet, key, actions);
  }

  get maxMeters(): number {
    return this.inner.maxMeters;
  }

  /** Packets that are left to user space have a bucket of their own there. */
  meterSet(id: number, meter: DpMeter): void {
    this.inner.meterSet(id, meter);
    if (this.#leaving) return;
    const could = this.#meters.has(id);
    const can = this.objects.setMeter(id, meter);
    if (can) this.#meters.add(id);
    else this.#meters.delete(id);
    if (can !== could) this.#reconsider((_key, actions) => metersOf(actions).includes(id));
  }

  meterDel(id: number): void {
    this.inner.meterDel(id);
    if (this.#leaving) return;
    this.objects.clearMeter(id);
    if (this.#meters.delete(id)) this.#reconsider((_key, actions) => metersOf(actions).includes(id));
  }

  meterStats(id: number, bands: number): DpMeterStats {
    const stats = this.inner.meterStats(id, bands);
    this.objects.addMeterStats(id, stats);
    return stats;
  }

  setVlanLimit(tags: number): void {
    this.inner.setVlanLimit(tags);
    this.offload.setVlanLimit(tags);
  }

  async takeOver(): Promise<void> {
    const left = this.#left;
    if (left === undefined) return;
    this.#left = undefined;
    const known: { old: OldFlow; handle: FlowHandle }[] = [];
    let count = 0;
    for (const old of left.flows()) {
      const handle = this.#putKnown(old);
      if (handle !== undefined) known.push({ old, handle });
      if (++count % REPLAY_SLICE === 0) await new Promise<void>((resolve) => this.#clock.soon(resolve));
    }
    await this.inner.settled();
    // From here on the new programs know all that the old ones knew.
    this.offload.build();
    for (const port of this.attached.values()) {
      port.adopted = false;
      this.#setProgram(port);
    }
    this.#takenOver = true;
    this.#tellKnown();
    left.removeLinks();
    // Packets may still be on their way through the old ones.
    this.#grace = this.#clock.background(GRACE_MS, () => {
      for (const { old, handle } of known) this.offload.carry(handle, old.rows, old.row);
      left.addCounters(this.objects.counters);
      left.removeMaps();
    });
  }

  /** A megaflow for what an earlier run has had one, as the rules are now. */
  #putKnown({ key, ifindex }: OldFlow): FlowHandle | undefined {
    const port = [...this.attached.values()].find((each) => each.ifindex === ifindex);
    if (port === undefined) return undefined;
    key[W_IN_PORT] = port.odpPort;
    const packet = makePacket(new Uint8Array(64));
    const reply = this.#handler?.({ kind: UPCALL_KNOWN, key, packet, userdata: 0 });
    if (reply?.mask === undefined) return undefined;
    const handle = this.flowPut(key, reply.mask, (reply.flowActions ?? reply.actions).slice());
    reply.installed?.(handle);
    return handle;
  }

  leave(): void {
    if (typeof this.pins === "string") return;
    this.#leaving = true;
    this.#grace?.cancel();
    this.shortcuts.close();
    this.offload.rest();
  }

  /** Packets that programs have handed up, and those for which the ring buffer had no room. */
  handedUp(): { up: number; lost: number } {
    return { up: this.objects.counter(COUNT_UP), lost: this.objects.counter(COUNT_LOST) };
  }

  async stats(): Promise<DpStats> {
    const stats = await this.inner.stats();
    const packets = this.offload.packets();
    const { lost } = this.handedUp();
    this.offload.countHits();
    let asked = 0;
    let place = 0;
    for (const table of this.offload.tables.values()) asked += ++place * table.hits;
    return {
      ...stats,
      hits: stats.hits + packets,
      // A packet that found no room was a miss.
      misses: stats.misses + lost,
      lost: stats.lost + lost,
      maskHits: stats.maskHits + asked,
    };
  }

  drops(): ReadonlyMap<string, number> {
    const drops = new Map(this.inner.drops());
    const add = (counter: string, which: number): void => {
      const count = this.objects.counter(which);
      if (count > 0) drops.set(counter, (drops.get(counter) ?? 0) + count);
    };
    add(POLICING_DROPS, COUNT_POLICED);
    add(METER_DROPS, COUNT_METERED);
    add(USERSPACE_ACTION_DROPS, COUNT_ACTION_LOST);
    ACTION_DROPS.forEach(({ counter }, reason) => {
      add(counter, COUNT_ACTION_DROPS + reason);
    });
    return drops;
  }

  settled(): Promise<void> {
    this.offload.flush();
    return this.inner.settled();
  }

  run(): void {
    this.inner.run();
  }

  async close(): Promise<void> {
    this.#grace?.cancel();
    this.shortcuts.close();
    for (const { link, unwatch, ifindex, tap } of this.attached.values()) {
      unwatch();
      link.close();
      if (typeof this.pins !== "string" && !this.#leaving && !tap)
        this.#system.setPromiscuous(ifindex, false);
    }
    this.attached.clear();
    this.offload.close();
    await this.inner.close();
    this.objects.close();
    this.#left?.close();
    if (typeof this.pins === "string") return;
    if (!this.#leaving) this.pins.remove("");
    this.pins.close();
  }
}

const ENODEV = 19;
const NO_DEVICE = 0x7fffffff;

/** Throws when programs cannot be attached: where they can, only the device is missing. */
function probe(system: EbpfSystem, program: EbpfProgram): void {
  try {
    system.attach(program, NO_DEVICE, false).close();
  } catch (error) {
    if ((error as { errno?: number }).errno !== ENODEV) throw error;
  }
}

/** Whether a megaflow comes in by a port, or goes out there. */
function mentions(key: Flow, program: Int32Array, port: OdpPort): boolean {
  return key[W_IN_PORT] === port || outputPorts(program).includes(port);
}

function addressOf(netdev: Netdev): Uint8Array {
  return parseMac(netdev.etherAddr() ?? "") ?? new Uint8Array(6);
}
