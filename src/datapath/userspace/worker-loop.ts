/**
 * The datapath worker: serves rings, taps and main's requests, and sleeps in epoll_wait when there is nothing to do.
 * It never returns to its event loop. Hot path.
 *
 * A turn: apply requests (at most REQUEST_BUDGET), then each port in its turn hands over at most PORT_BUDGET frames;
 * after each port what was queued is sent, and only then its slots go back to the kernel. Without work it spins
 * SPIN_MS before it sleeps: a wake across cores costs 25 to 30 µs.
 */
import { setVlanLimit } from "../../flow/extract.ts";
import { FLOW_DP_WORDS, type Flow } from "../../flow/layout.ts";
import { UPCALL_MISS } from "../dpif.ts";
import { makePacket, type Packet } from "../packet.ts";
import { Buckets } from "./buckets.ts";
import { Datapath } from "./datapath.ts";
import type { PacketIo } from "./execute.ts";
import { makeCompactMask } from "./flow-table.ts";
import { meterOfWords } from "./meters.ts";
import { makePolicer } from "./policer.ts";
import { type PortHost, RingPort, TapPort } from "./ports.ts";
import {
  EXECUTE_HEADER,
  PORT_RING,
  PORT_TAP,
  REQ_AGAIN,
  REQ_ANSWER,
  REQ_CLOSE,
  REQ_EXECUTE,
  REQ_FLOW_ACTIONS,
  REQ_FLOW_DEL,
  REQ_FLOW_PUT,
  REQ_METER_DEL,
  REQ_METER_SET,
  REQ_PIN,
  REQ_PORT_ADD,
  REQ_PORT_DEL,
  REQ_PORT_GIVE,
  REQ_PORT_POLICING,
  REQ_PORT_SHAPED,
  REQ_PORT_TAKE,
  REQ_VLAN_LIMIT,
  readName,
  UP_PACKET,
  UP_PORT,
  UP_RING,
  UP_WORDS,
} from "./requests.ts";
import { SharedRing } from "./ring.ts";
import { SampleWriter } from "./sample-ring.ts";
import { copyBytes, Scratch } from "./scratch.ts";
import {
  C_APPLIED,
  C_MAIN_SLEEPS,
  C_MAIN_WAITS,
  C_REQUEST_HEAD,
  C_REQUEST_TAIL,
  C_SAMPLE_HEAD,
  C_SAMPLE_TAIL,
  C_UPCALL_HEAD,
  C_UPCALL_TAIL,
  C_WORKER_SLEEPS,
  DROP_NO_PORT,
  DROP_NO_ROOM,
  DROP_UPCALL_QUEUE_FULL,
  DROP_USERSPACE_ACTION,
  LARGE_SLOT_ROOM,
  LARGE_SLOTS,
  loadSlotPacket,
  N_DROPS,
  N_LOST,
  N_MISSES,
  N_UPCALLS,
  S_KIND,
  S_OFFSET,
  S_USERDATA,
  SAMPLE_WORDS,
  type SharedMemory,
  SLOT_HEADER_BYTES,
  SLOT_HEADROOM,
  SLOT_KEY,
  SMALL_SLOT_ROOM,
  SMALL_SLOTS,
  slotStart,
  storeSlotPacket,
} from "./shared.ts";
import { type DatapathSystem, EIO, ENODEV, HELD_WORDS, RING_DEAF } from "./system.ts";

const REQUEST_BUDGET = 256;
const PORT_BUDGET = 64;
const DISCARD_BUDGET = 256;
/** While main has more to do than it can, its answers are better taken some at a time. */
const FLOOD_REST_MS = 0.1;
const SPIN_MS = 0.05;
/** Taps that had nothing rest for so long while there is other work: to ask one is a system call. */
const TAP_REST_MS = 0.05;
/** Most upcalls of one port that may wait, so that none starves the others. */
const PORT_UPCALLS = 320;
/** Samples wait for so many words of them, or so long, before main is woken: that costs more than the rest of it. */
const LAZY_WORDS = SAMPLE_WORDS / 4;
const LAZY_MS = 50;
const WAKE_TAG = -1;
const REPORT_MS = 1000;

export class WorkerLoop implements PacketIo, PortHost {
  readonly system: DatapathSystem;
  readonly scratch: Scratch;
  readonly counters: Float64Array;
  readonly datapath: Datapath;
  private readonly buckets: Buckets;
  private readonly control: Int32Array;
  private readonly requests: SharedRing;
  private readonly upcalls: SharedRing;
  private readonly samples: SampleWriter;
  private readonly epoll;
  private readonly wakeFd: number;
  private readonly ports: (RingPort | TapPort | undefined)[] = [];
  private readonly rings: RingPort[] = [];
  private readonly taps: TapPort[] = [];
  private readonly toFlush: RingPort[] = [];
  private toFlushCount = 0;
  /** Something of the packet under way has been queued. */
  private shared = false;
  private currentPort = 0;
  private readonly slotBytes: Uint8Array;
  private readonly slotWords: Int32Array;
  private readonly slotsAddress: number;
  private readonly freeSmall = new Int32Array(SMALL_SLOTS);
  private freeSmallCount = SMALL_SLOTS;
  private readonly freeLarge = new Int32Array(LARGE_SLOTS);
  private freeLargeCount = LARGE_SLOTS;
  /** Slots whose packets are queued, for as long as requests are applied. */
  private readonly sending = new Int32Array(SMALL_SLOTS + LARGE_SLOTS);
  private sendingCount = 0;
  private readonly slotPort = new Int32Array(SMALL_SLOTS + LARGE_SLOTS);
  private readonly waiting: number[] = [];
  private applied = 0;
  private upcallsPending = false;
  /** Misses were thrown away in the last turn. */
  private flooded = false;
  /** When no tap had anything. */
  private tapsEmptyMs = Number.NEGATIVE_INFINITY;
  /** Words of the samples that main may not know of, and when the first of them came. */
  private lazyWords = 0;
  private lazySinceMs = 0;
  private reportedMs = Number.NEGATIVE_INFINITY;
  private readonly mask = makeCompactMask();
  private readonly key: Flow = new Int32Array(FLOW_DP_WORDS);
  private readonly packet = makePacket(new Uint8Array(0));

  constructor(memory: SharedMemory, wakeFd: number, system: DatapathSystem) {
    this.system = system;
    this.control = new Int32Array(memory.control);
    this.counters = new Float64Array(memory.counters);
    this.requests = new SharedRing(
      new Int32Array(memory.requests),
      this.control,
      C_REQUEST_HEAD,
      C_REQUEST_TAIL,
    );
    this.upcalls = new SharedRing(new Int32Array(memory.upcalls), this.control, C_UPCALL_HEAD, C_UPCALL_TAIL);
    this.samples = new SampleWriter(
      new SharedRing(new Int32Array(memory.samples), this.control, C_SAMPLE_HEAD, C_SAMPLE_TAIL),
    );
    this.slotBytes = new Uint8Array(memory.slots);
    this.slotWords = new Int32Array(memory.slots);
    this.slotsAddress = system.addressOf(this.slotBytes);
    for (let i = 0; i < SMALL_SLOTS; i++) this.freeSmall[i] = i;
    for (let i = 0; i < LARGE_SLOTS; i++) this.freeLarge[i] = SMALL_SLOTS + i;
    this.scratch = new Scratch(system.addressOf, () => this.flushAll());
    this.buckets = new Buckets(memory.buckets, memory.lane === 0);
    this.datapath = new Datapath(
      this,
      this.scratch,
      this.counters,
      memory.flowStats,
      memory.meterStats,
      this.buckets,
      system.random,
    );
    this.wakeFd = wakeFd;
    this.epoll = system.makeEpoll(64);
    this.epoll.add(wakeFd, WAKE_TAG);
  }

  /** For ever. */
  run(): never {
    let idleSince = -1;
    for (;;) {
      if (this.safeTurn()) {
        idleSince = -1;
        continue;
      }
      const now = this.system.nowMs();
      if (idleSince < 0) idleSince = now;
      if (now - idleSince < SPIN_MS) continue;
      this.sleep();
      idleSince = -1;
    }
  }

  private sleep(): void {
    Atomics.store(this.control, C_WORKER_SLEEPS, 1);
    // Whoever wrote before this word was set did not wake us.
    if (this.requests.peek() < 0) {
      const count = this.epoll.wait(this.lazyWords > 0 ? LAZY_MS : -1);
      for (let i = 0; i < count; i++) {
        const tag = this.epoll.ready[i]!;
        if (tag === WAKE_TAG) this.system.drainEventFd(this.wakeFd);
        else this.ports[tag]?.woken();
      }
    }
    Atomics.store(this.control, C_WORKER_SLEEPS, 0);
  }

  /** A defect must not end forwarding: what was queued is sent, slots go back, and main is told, at most once a second. */
  private safeTurn(): boolean {
    try {
      return this.turn();
    } catch (error) {
      const now = this.system.nowMs();
      if (now - this.reportedMs > REPORT_MS) {
        this.reportedMs = now;
        this.system.report(error instanceof Error ? (error.stack ?? error.message) : String(error));
      }
      this.flushAll();
      this.freeSent();
      for (const port of this.rings) port.release();
      return true;
    }
  }

  /** One round; false when there was nothing to do. */
  turn(): boolean {
    if (this.flooded) {
      this.flooded = false;
      // Not when main waits for a request to be applied.
      Atomics.wait(this.control, C_MAIN_WAITS, 0, FLOOD_REST_MS);
    }
    this.datapath.nowMs = this.system.nowMs();
    let work = this.applyRequests();
    for (let i = 0; i < this.rings.length; i++) {
      const port = this.rings[i]!;
      if (!port.ready) continue;
      this.currentPort = port.odpPort;
      if (port.ring.missesOnly === true) this.receiveMisses(port);
      else port.receive(this.datapath, PORT_BUDGET);
      this.flushAll();
      port.release();
      work = true;
    }
    if (!work || this.datapath.nowMs - this.tapsEmptyMs > TAP_REST_MS) {
      if (this.receiveFromTaps()) work = true;
      else this.tapsEmptyMs = this.datapath.nowMs;
    }
    const samples = this.lazyWords > 0;
    if (samples) this.samples.publish();
    if (this.upcallsPending || (samples && this.samplesWaited())) {
      this.upcallsPending = false;
      this.lazyWords = 0;
      this.wakeMain();
    }
    return work;
  }

  /**
   * More come up than main translates, as a rule: what there is no room for is not worth looking at, which costs more than
   * all else that is done here for a miss.
   */
  private receiveMisses(port: RingPort): void {
    const waiting = this.waiting[port.odpPort] ?? 0;
    const room = Math.min(PORT_BUDGET, PORT_UPCALLS - waiting, this.freeSmallCount);
    if (room > 0 && port.receive(this.datapath, room) < room) return;
    if (room === PORT_BUDGET) return;
    const lost = port.ring.discardMisses!(DISCARD_BUDGET);
    this.counters[N_MISSES]! += lost;
    this.counters[N_LOST]! += lost;
    this.counters[N_DROPS + DROP_UPCALL_QUEUE_FULL]! += lost;
    this.flooded = lost > 0;
    // What comes first is no miss.
    if (lost === 0) port.receive(this.datapath, 1);
  }

  private receiveFromTaps(): boolean {
    let work = false;
    for (let i = 0; i < this.taps.length; i++) {
      const port = this.taps[i]!;
      this.currentPort = port.odpPort;
      if (port.receive(this.datapath, PORT_BUDGET) > 0) work = true;
      this.flushAll();
    }
    return work;
  }

  private samplesWaited(): boolean {
    return this.lazyWords >= LAZY_WORDS || this.datapath.nowMs - this.lazySinceMs > LAZY_MS;
  }

  private wakeMain(): void {
    if (Atomics.compareExchange(this.control, C_MAIN_SLEEPS, 1, 0) === 1) this.system.ringBell();
  }

  // ---- PortHost and PacketIo ----

  startPacket(): void {
    this.shared = false;
  }

  unwatch(fd: number): void {
    this.epoll.remove(fd);
  }

  queuedOn(port: RingPort): void {
    port.listed = true;
    this.toFlush[this.toFlushCount++] = port;
  }

  private flushAll(): void {
    for (let i = 0; i < this.toFlushCount; i++) {
      const port = this.toFlush[i]!;
      port.flush();
      port.listed = false;
    }
    this.toFlushCount = 0;
    this.shared = false;
    this.scratch.rewind();
  }

  output(port: number, packet: Packet): void {
    const to = this.ports[port];
    if (to === undefined) {
      this.counters[N_DROPS + DROP_NO_PORT]!++;
      return;
    }
    this.shared = true;
    to.output(packet);
  }

  unshare(_packet: Packet): void {
    if (this.shared) this.flushAll();
  }

  private sample(packet: Packet, key: Flow, operand: number): void {
    const words = this.samples.write(packet, key, operand);
    if (words === 0) {
      this.counters[N_LOST]!++;
      this.counters[N_DROPS + DROP_USERSPACE_ACTION]!++;
      return;
    }
    this.counters[N_UPCALLS]!++;
    if (this.lazyWords === 0) this.lazySinceMs = this.datapath.nowMs;
    this.lazyWords += words;
  }

  upcall(kind: number, packet: Packet, key: Flow, userdata: number): void {
    if (userdata < 0) {
      this.sample(packet, key, userdata);
      return;
    }
    const slot = this.takeSlot(packet.length);
    const index = slot < 0 ? -1 : this.upcalls.reserve(UP_WORDS);
    if (index < 0) {
      if (slot >= 0) this.freeSlot(slot);
      this.counters[N_LOST]!++;
      this.counters[N_DROPS + (kind === UPCALL_MISS ? DROP_UPCALL_QUEUE_FULL : DROP_USERSPACE_ACTION)]!++;
      return;
    }
    this.counters[N_UPCALLS]!++;
    const start = slotStart(slot);
    const words = this.slotWords;
    const at = start >> 2;
    const offset = start + SLOT_HEADER_BYTES + SLOT_HEADROOM;
    words[at + S_KIND] = kind;
    words[at + S_USERDATA] = userdata;
    copyBytes(packet.data, packet.offset, this.slotBytes, offset, packet.length);
    storeSlotPacket(words, at, packet, offset);
    for (let word = 0; word < FLOW_DP_WORDS; word++) words[at + SLOT_KEY + word] = key[word]!;
    this.upcalls.words[index] = UP_PACKET;
    this.upcalls.words[index + 1] = slot;
    this.upcalls.commit();
    this.upcallsPending = true;
  }

  private takeSlot(length: number): number {
    if (length > LARGE_SLOT_ROOM) return -1;
    const port = this.currentPort;
    const waiting = this.waiting[port] ?? 0;
    if (waiting >= PORT_UPCALLS) return -1;
    let slot = -1;
    if (length <= SMALL_SLOT_ROOM && this.freeSmallCount > 0) slot = this.freeSmall[--this.freeSmallCount]!;
    else if (length > SMALL_SLOT_ROOM && this.freeLargeCount > 0)
      slot = this.freeLarge[--this.freeLargeCount]!;
    if (slot < 0) return -1;
    this.waiting[port] = waiting + 1;
    this.slotPort[slot] = port;
    return slot;
  }

  private freeSlot(slot: number): void {
    this.waiting[this.slotPort[slot]!]!--;
    if (slot < SMALL_SLOTS) this.freeSmall[this.freeSmallCount++] = slot;
    else this.freeLarge[this.freeLargeCount++] = slot;
  }

  // ---- Requests ----

  private applyRequests(): boolean {
    let count = 0;
    for (; count < REQUEST_BUDGET; count++) {
      const at = this.requests.peek();
      if (at < 0) break;
      const words = this.requests.words;
      try {
        this.apply(words, at, at + words[at - 1]!);
      } finally {
        // One that fails must not come again.
        this.requests.release(at);
        this.applied = (this.applied + 1) | 0;
      }
    }
    if (count === 0) return false;
    this.flushAll();
    this.freeSent();
    Atomics.store(this.control, C_APPLIED, this.applied);
    if (Atomics.compareExchange(this.control, C_MAIN_WAITS, 1, 0) === 1) this.system.ringBell();
    return true;
  }

  private apply(words: Int32Array, at: number, end: number): void {
    switch (words[at]) {
      case REQ_PORT_ADD:
        this.portAdd(words, at);
        break;
      case REQ_PORT_DEL:
        this.portDel(words[at + 1]!, words[at + 2] !== 0);
        break;
      case REQ_PORT_SHAPED: {
        const port = this.ports[words[at + 1]!];
        if (port instanceof RingPort) port.setShaped(words[at + 2] !== 0);
        break;
      }
      case REQ_PORT_POLICING: {
        const port = this.ports[words[at + 1]!];
        const [kbps, burstKb, kpps, burstKpackets] = [2, 3, 4, 5].map((i) => words[at + i]! >>> 0);
        if (port !== undefined)
          port.policer = makePolicer(
            { kbps: kbps!, burstKb: burstKb!, kpps: kpps!, burstKpackets: burstKpackets! },
            port.odpPort,
            this.buckets,
          );
        break;
      }
      case REQ_VLAN_LIMIT:
        setVlanLimit(words[at + 1]!);
        break;
      case REQ_FLOW_PUT: {
        const count = words[at + 2]!;
        const mask = this.mask;
        mask.count = count;
        let from = at + 3;
        for (let i = 0; i < count; i++, from += 3) {
          mask.words[i] = words[from]!;
          mask.bits[i] = words[from + 1]!;
          this.key[words[from]!] = words[from + 2]!;
        }
        this.datapath.flowPut(words[at + 1]!, this.key, mask, words, from, end);
        break;
      }
      case REQ_FLOW_ACTIONS:
        this.datapath.flowSetActions(words[at + 1]!, words, at + 2, end);
        break;
      case REQ_FLOW_DEL:
        this.datapath.flowDel(words[at + 1]!);
        break;
      case REQ_METER_SET:
        this.datapath.meters.set(words[at + 1]!, meterOfWords(words.slice(at + 2, end)));
        break;
      case REQ_METER_DEL:
        this.datapath.meters.remove(words[at + 1]!);
        break;
      case REQ_ANSWER:
        this.loadSlot(words[at + 1]!);
        if (end > at + 2) this.datapath.execute(this.packet, this.key, words, at + 2, end);
        this.answered(words[at + 1]!);
        break;
      case REQ_AGAIN:
        this.loadSlot(words[at + 1]!);
        this.datapath.again(this.packet, this.key);
        this.answered(words[at + 1]!);
        break;
      case REQ_EXECUTE:
        this.execute(words, at, end);
        break;
      case REQ_PORT_GIVE:
        this.portGive(words, at);
        break;
      case REQ_PORT_TAKE:
        this.portTake(words[at + 1]!, words.slice(at + 2, end));
        break;
      case REQ_CLOSE:
        this.system.closeFd(words[at + 1]!);
        break;
      case REQ_PIN:
        this.system.pin(words[at + 1]!);
        break;
      default:
        break;
    }
  }

  /** Points `packet` at the slot's bytes and copies its key. */
  private loadSlot(slot: number): void {
    const at = slotStart(slot) >> 2;
    this.startPacket();
    this.currentPort = this.slotPort[slot]!;
    this.packet.data = this.slotBytes;
    this.packet.address = this.slotsAddress;
    loadSlotPacket(this.slotWords, at, this.packet);
    for (let word = 0; word < FLOW_DP_WORDS; word++) this.key[word] = this.slotWords[at + SLOT_KEY + word]!;
  }

  /** The slot's packet may still be queued: it is free once that has been sent. */
  private answered(slot: number): void {
    this.sending[this.sendingCount++] = slot;
  }

  private freeSent(): void {
    for (let i = 0; i < this.sendingCount; i++) this.freeSlot(this.sending[i]!);
    this.sendingCount = 0;
  }

  private execute(words: Int32Array, at: number, end: number): void {
    const length = words[at + 1]!;
    const packet = this.scratch.take(length);
    if (packet === undefined) {
      this.counters[N_DROPS + DROP_NO_ROOM]!++;
      return;
    }
    const { offset, floor } = packet;
    loadSlotPacket(words, at + 2 - S_OFFSET, packet);
    packet.offset = offset;
    packet.floor = floor;
    packet.length = length;
    let from = at + EXECUTE_HEADER;
    for (let word = 0; word < FLOW_DP_WORDS; word++) this.key[word] = words[from++]!;
    const bytes = new Uint8Array(words.buffer, words.byteOffset + from * 4, length);
    packet.data.set(bytes, offset);
    from += (length + 3) >> 2;
    this.startPacket();
    this.currentPort = 0;
    this.datapath.execute(packet, this.key, words, from, end);
    this.scratch.release(packet);
  }

  // ---- Ports ----

  private portAdd(words: Int32Array, at: number): void {
    const odpPort = words[at + 1]!;
    const name = readName(words, at + 4);
    const kind = words[at + 2]!;
    const operand = words[at + 3]!;
    let error = 0;
    let value = 0;
    try {
      if (kind === PORT_RING) {
        const ring = this.system.openRing(name, operand);
        const port = new RingPort(odpPort, ring, this);
        value = ring.group;
        if (operand !== RING_DEAF) {
          this.epoll.add(port.fd, odpPort);
          this.rings.push(port);
        }
        this.ports[odpPort] = port;
      } else {
        value = kind === PORT_TAP ? this.system.openTap(name) : operand;
        const port = new TapPort(odpPort, value, this);
        if (kind === PORT_TAP) {
          this.epoll.add(port.fd, odpPort);
          this.taps.push(port);
          const records = this.system.openRecords?.(name);
          if (records !== undefined) {
            port.records = new RingPort(odpPort, records, this);
            this.rings.push(port.records);
          }
        }
        this.ports[odpPort] = port;
      }
    } catch (caught) {
      error = (caught as { errno?: number }).errno ?? EIO;
    }
    const index = this.upcalls.reserve(UP_WORDS);
    if (index < 0) return;
    this.upcalls.words[index] = UP_PORT;
    this.upcalls.words[index + 1] = odpPort;
    this.upcalls.words[index + 2] = error;
    this.upcalls.words[index + 3] = value;
    this.upcalls.commit();
    this.upcallsPending = true;
  }

  /** Another lane goes on with what the ring has; frames leave by a socket of our own. */
  private portGive(words: Int32Array, at: number): void {
    const odpPort = words[at + 1]!;
    const name = readName(words, at + 2);
    const index = this.upcalls.reserve(3 + HELD_WORDS);
    if (index < 0) return;
    const up = this.upcalls.words;
    up[index] = UP_RING;
    up[index + 1] = odpPort;
    up[index + 2] = ENODEV;
    const port = this.ports[odpPort];
    try {
      if (port instanceof RingPort && port.ring.handOver !== undefined) {
        const deaf = new RingPort(odpPort, this.system.openRing(name, RING_DEAF), this);
        this.flushAll();
        deaf.inherit(port);
        this.ports[odpPort] = deaf;
        port.release();
        this.epoll.remove(port.fd);
        take(this.rings, port);
        up.set(port.ring.handOver(), index + 3);
        up[index + 2] = 0;
      }
    } catch (caught) {
      up[index + 2] = (caught as { errno?: number }).errno ?? EIO;
    }
    this.upcalls.commit();
    this.upcallsPending = true;
  }

  private portTake(odpPort: number, held: Int32Array): void {
    const port = new RingPort(odpPort, this.system.takeRing(held), this);
    this.flushAll();
    const deaf = this.ports[odpPort];
    if (deaf instanceof RingPort) port.inherit(deaf);
    deaf?.close();
    this.ports[odpPort] = port;
    this.rings.push(port);
    this.epoll.add(port.fd, odpPort);
  }

  private portDel(odpPort: number, shared: boolean): void {
    const port = this.ports[odpPort];
    if (port === undefined) return;
    this.flushAll();
    this.ports[odpPort] = undefined;
    this.epoll.remove(port.fd);
    if (port instanceof RingPort) {
      take(this.rings, port);
      port.close();
    } else {
      take(this.taps, port);
      if (port.records !== undefined) {
        take(this.rings, port.records);
        port.records.close();
      }
      if (!shared) port.close();
    }
  }
}

/** Takes a port out of a list where it may be. */
function take<T>(ports: T[], port: T): void {
  const at = ports.indexOf(port);
  if (at >= 0) ports.splice(at, 1);
}
