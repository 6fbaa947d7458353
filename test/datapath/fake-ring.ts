/**
 * A packet ring without kernel: what a device would receive is put in by the test, and what is sent is judged as the kernel
 * judges it (packet_snd, virtio_net_hdr_to_skb) and kept, in one piece.
 */
import type { FakeMachine } from "./fake-thread.ts";

const SLOT_BYTES = 2048;
const SLOTS = 64;
/** Where frames lie in their slots, with the room before them that the ring reserves, as with real ones. */
const FRAME_AT = 204;
const HEADER_BYTES = 66;
const VNET = 10;
const BATCH = 64;
const PIECES = 48;

export interface Arrival {
  /** virtio_net_hdr, 10 bytes. */
  header: Uint8Array;
  frame: Uint8Array;
  /** TPID << 16 | TCI that the kernel took off, 0 for none. */
  tag: number;
}

export interface Sent {
  header: Uint8Array;
  frame: Uint8Array;
  /** Past the device's queueing, or the priority with which it goes through. */
  priority: number | "bypass";
}

export class FakeRing {
  readonly fd: number;
  readonly headroom = 128;
  readonly data = new Uint8Array(SLOTS * SLOT_BYTES);
  readonly address: number;
  frame = 0;
  frameLength = 0;
  frameTag = 0;
  frameAction = false;
  frameOperand = 0;
  cut = 0;
  queued = 0;
  readonly incoming: Arrival[] = [];
  readonly sent: Sent[];
  /** As openRing was told, or the number of the group that was made. */
  group = -1;
  mtu = 1500;
  /** The device's answer to the next message: 0 or an errno. */
  trouble: () => number = () => 0;
  /** As it is set now. */
  bypass = true;
  priority = 0;
  private readonly machine: FakeMachine;
  private readonly large: Arrival[] = [];
  private head = 0;
  private tail = 0;
  private readonly pieces = new Float64Array(BATCH * PIECES * 2);
  private readonly counts = new Int32Array(BATCH);

  constructor(machine: FakeMachine, fd: number, sent: Sent[] = []) {
    this.machine = machine;
    this.fd = fd;
    this.sent = sent;
    for (let slot = 0; slot < SLOTS; slot++)
      this.data.fill(0xc5, slot * SLOT_BYTES, slot * SLOT_BYTES + HEADER_BYTES);
    this.address = machine.addressOf(this.data);
  }

  /** The kernel's headers of all slots are as they were. */
  get isWhole(): boolean {
    for (let slot = 0; slot < SLOTS; slot++)
      for (let i = 0; i < HEADER_BYTES; i++) if (this.data[slot * SLOT_BYTES + i] !== 0xc5) return false;
    return true;
  }

  get ready(): boolean {
    return this.incoming.length > 0;
  }

  next(): boolean {
    if (this.head - this.tail === SLOTS) return false;
    const arrival = this.incoming.shift();
    if (arrival === undefined) return false;
    const at = (this.head++ % SLOTS) * SLOT_BYTES + FRAME_AT;
    const { header, frame, tag } = arrival;
    this.frameTag = tag;
    this.frameLength = frame.length;
    if (frame.length > SLOT_BYTES - FRAME_AT) {
      this.frame = -1;
      this.large.push(arrival);
      return true;
    }
    this.frame = at;
    this.data.set(header, at - VNET);
    this.data.set(frame, at);
    return true;
  }

  receiveLarge(address: number, room: number): number {
    const { header, frame } = this.large.shift()!;
    const whole = new Uint8Array([...header, ...frame]).subarray(0, room);
    this.machine.memory(address, whole.length).set(whole);
    return whole.length;
  }

  discardLarge(): void {
    this.large.shift();
  }

  release(): void {
    this.tail = this.head;
  }

  queue(address: number, length: number): boolean {
    this.setPiece(this.queued, 0, address, length);
    this.counts[this.queued] = 1;
    return ++this.queued === BATCH;
  }

  addPiece(message: number, index: number, address: number, length: number): void {
    if (index >= PIECES) throw new Error("too many pieces");
    this.setPiece(message, index, address, length);
    this.counts[message] = index + 1;
  }

  setPiece(message: number, index: number, address: number, length: number): void {
    const at = (message * PIECES + index) * 2;
    this.pieces[at] = address;
    this.pieces[at + 1] = length;
  }

  send(first: number): number {
    for (let message = first; message < this.queued; message++) {
      const errno = this.sendOne(message);
      if (errno !== 0) return message > first ? message - first : -errno;
    }
    return this.queued - first;
  }

  private sendOne(message: number): number {
    const bytes: number[] = [];
    for (let i = 0; i < this.counts[message]!; i++) {
      const at = (message * PIECES + i) * 2;
      const piece = this.machine.memory(this.pieces[at]!, this.pieces[at + 1]!);
      for (const byte of piece) bytes.push(byte);
    }
    const header = Uint8Array.from(bytes.slice(0, VNET));
    const frame = Uint8Array.from(bytes.slice(VNET));
    const trouble = this.trouble();
    if (trouble !== 0) return trouble;
    const errno = this.judge(header, frame);
    if (errno === 0) this.sent.push({ header, frame, priority: this.bypass ? "bypass" : this.priority });
    return errno;
  }

  private judge(header: Uint8Array, frame: Uint8Array): number {
    const u16 = (at: number): number => header[at]! | (header[at + 1]! << 8);
    const needed = (header[0]! & 1) !== 0 ? u16(6) + u16(8) + 2 : 0;
    if (Math.max(needed, u16(2)) > frame.length) return 22;
    const gso = header[1]! & 0x7f;
    if (gso !== 0 && (![1, 3, 4, 5].includes(gso) || u16(4) === 0)) return 22;
    if (gso === 0 && frame.length > this.mtu + 18) return 90;
    return frame.length < 14 ? 22 : 0;
  }

  setBypass(bypass: boolean): void {
    this.bypass = bypass;
  }

  setPriority(priority: number): void {
    this.priority = priority;
  }

  handOver(): number[] {
    return [this.fd, 0, 0, 0, 0, 0, this.group];
  }

  takeError(): number {
    return 0;
  }

  close(): void {}
}
