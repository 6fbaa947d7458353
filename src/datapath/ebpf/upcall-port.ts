/**
 * A port of the worker whose frames come from the BPF ring buffer: it looks like a packet ring, so that the loop of the
 * userspace datapath serves it unchanged. All ports share one ring buffer; a port sees the first record when it is its own.
 * Hot path.
 *
 * Records lie in memory that cannot be written, and a virtio header belongs before the frame: short frames are copied into
 * slots, long ones to where the loop wants them.
 */
import { makePacket, type Packet, VNET_HEADER_LENGTH } from "../packet.ts";
import { type PortRing, RING_ALONE } from "../userspace/system.ts";
import { storeVnet } from "../userspace/vnet.ts";
import { recoverOffloads } from "./offloads.ts";
import {
  RECORD_ACTION,
  RECORD_GSO_SIZE,
  RECORD_HEADER,
  RECORD_IFINDEX,
  RECORD_LENGTH,
  RECORD_OPERAND,
  RECORD_TAG,
  RECORD_TAGGED,
} from "./programs/layout.ts";

const SLOTS = 64;
const SLOT_BYTES = 2048;
const HEADROOM = 128 + VNET_HEADER_LENGTH;
const SLOT_ROOM = SLOT_BYTES - HEADROOM;

/** `src/sys/bpf-ring.ts`'s, or a test's. */
export interface RecordRing {
  readonly data: Uint8Array;
  readonly words: Int32Array;
  peek(): number;
  pass(at: number): void;
  release(): void;
  copyTo(address: number, at: number, length: number): void;
}

/** `src/sys/packet-sender.ts`'s part of a port. */
export type Sender = Pick<
  PortRing,
  "fd" | "queue" | "addPiece" | "setPiece" | "send" | "setBypass" | "setPriority" | "takeError" | "close"
> & { readonly ifindex: number; queued: number };

export interface UpcallMemory {
  addressOf(bytes: Uint8Array): number;
  copyMemory(to: number, from: number, length: number): void;
}

/** The ring buffer as its ports share it. */
export class UpcallSource {
  readonly ring: RecordRing;
  readonly memory: UpcallMemory;
  readonly slots = new Uint8Array(SLOTS * SLOT_BYTES);
  readonly slotsAddress: number;
  /** A virtio header on its way to a long frame. */
  readonly header = new Uint8Array(VNET_HEADER_LENGTH);
  readonly headerAddress: number;
  /** Slots in use. */
  used = 0;
  /** {@link UpcallRing.allKnown} */
  readonly allKnown: Int32Array;
  private readonly ports = new Set<number>();

  constructor(ring: RecordRing, memory: UpcallMemory, allKnown: SharedArrayBuffer) {
    this.ring = ring;
    this.allKnown = new Int32Array(allKnown);
    this.memory = memory;
    this.slotsAddress = memory.addressOf(this.slots);
    this.headerAddress = memory.addressOf(this.header);
  }

  add(ifindex: number): void {
    this.ports.add(ifindex);
  }

  remove(ifindex: number): void {
    this.ports.delete(ifindex);
  }

  /** Index of the first record when it is of device `ifindex`, else -1. Records of no port are thrown away. */
  head(ifindex: number): number {
    for (;;) {
      const at = this.ring.peek();
      if (at < 0) return -1;
      const from = this.ring.words[(at + RECORD_IFINDEX) >> 2]!;
      if (from === ifindex) return at;
      if (this.ports.has(from)) return -1;
      this.ring.pass(at);
      this.ring.release();
    }
  }
}

export class UpcallPort implements PortRing {
  readonly fd: number;
  readonly ifindex: number;
  readonly headroom = HEADROOM - VNET_HEADER_LENGTH;
  readonly data: Uint8Array;
  readonly address: number;
  frame = 0;
  frameLength = 0;
  frameTag = 0;
  frameAction = false;
  frameOperand = 0;
  cut = 0;
  readonly group = RING_ALONE;
  private readonly source: UpcallSource;
  private readonly sender: Sender;
  private readonly packet: Packet;
  /** Record of a long frame that has not been fetched yet. */
  private long = -1;

  constructor(source: UpcallSource, sender: Sender) {
    this.source = source;
    this.sender = sender;
    this.fd = sender.fd;
    this.ifindex = sender.ifindex;
    this.data = source.slots;
    this.address = source.slotsAddress;
    this.packet = makePacket(source.slots, 0, 0);
    source.add(sender.ifindex);
  }

  get ready(): boolean {
    return this.source.head(this.ifindex) >= 0;
  }

  next(): boolean {
    const { source } = this;
    if (this.long >= 0) this.discardLarge();
    const at = source.used < SLOTS ? source.head(this.ifindex) : -1;
    if (at < 0) return false;
    const words = source.ring.words;
    const length = words[(at + RECORD_LENGTH) >> 2]!;
    this.frameLength = length;
    this.frameTag = words[(at + RECORD_TAGGED) >> 2] !== 0 ? words[(at + RECORD_TAG) >> 2]! : 0;
    this.frameAction = words[(at + RECORD_ACTION) >> 2] !== 0;
    this.frameOperand = words[(at + RECORD_OPERAND) >> 2]!;
    if (length > SLOT_ROOM) {
      this.frame = -1;
      this.long = at;
      return true;
    }
    const offset = source.used++ * SLOT_BYTES + HEADROOM;
    const from = at + RECORD_HEADER;
    source.ring.copyTo(source.slotsAddress + offset, from, length);
    const packet = this.packet;
    packet.offset = offset;
    packet.length = length;
    recoverOffloads(packet, words[(at + RECORD_GSO_SIZE) >> 2]!);
    storeVnet(packet);
    this.frame = offset;
    source.ring.pass(at);
    return true;
  }

  get missesOnly(): boolean {
    return Atomics.load(this.source.allKnown, 0) === 1;
  }

  discardMisses(most: number): number {
    const { source } = this;
    if (this.long >= 0) this.discardLarge();
    let count = 0;
    for (; count < most; count++) {
      const at = source.head(this.ifindex);
      if (at < 0 || source.ring.words[(at + RECORD_ACTION) >> 2] !== 0) break;
      source.ring.pass(at);
    }
    return count;
  }

  /** Virtio header and frame to `address`; bytes in all. */
  receiveLarge(address: number, room: number): number {
    const { source, long } = this;
    const length = this.frameLength;
    if (long >= 0 && length + VNET_HEADER_LENGTH <= room) {
      const start = long + RECORD_HEADER;
      const packet = makePacket(source.ring.data, start, length);
      recoverOffloads(packet, source.ring.words[(long + RECORD_GSO_SIZE) >> 2]!);
      packet.data = source.header;
      packet.offset = VNET_HEADER_LENGTH;
      storeVnet(packet);
      source.memory.copyMemory(address, source.headerAddress, VNET_HEADER_LENGTH);
      source.ring.copyTo(address + VNET_HEADER_LENGTH, start, length);
    }
    this.discardLarge();
    return length + VNET_HEADER_LENGTH;
  }

  discardLarge(): void {
    if (this.long >= 0) this.source.ring.pass(this.long);
    this.long = -1;
  }

  release(): void {
    if (this.long >= 0) this.discardLarge();
    this.source.used = 0;
    this.source.ring.release();
  }

  // ---- Sending ----

  get queued(): number {
    return this.sender.queued;
  }

  set queued(count: number) {
    this.sender.queued = count;
  }

  queue(address: number, length: number): boolean {
    return this.sender.queue(address, length);
  }

  addPiece(message: number, index: number, address: number, length: number): void {
    this.sender.addPiece(message, index, address, length);
  }

  setPiece(message: number, index: number, address: number, length: number): void {
    this.sender.setPiece(message, index, address, length);
  }

  send(first: number): number {
    return this.sender.send(first);
  }

  setBypass(bypass: boolean): void {
    this.sender.setBypass(bypass);
  }

  setPriority(priority: number): void {
    this.sender.setPriority(priority);
  }

  takeError(): number {
    return this.sender.takeError();
  }

  close(): void {
    this.source.remove(this.ifindex);
    this.sender.close();
  }
}
