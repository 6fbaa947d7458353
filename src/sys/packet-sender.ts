/**
 * Sending on an AF_PACKET socket with virtio headers: frames are queued where they lie and go with one sendmmsg. Hot path.
 */
import { addressOf, ENODEV, errno, ifindexOf, libc, osError, pointer } from "./ffi.ts";

const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
const SO_PRIORITY = 12;
const SO_SNDBUFFORCE = 32;
const SOL_PACKET = 263;
const PACKET_ADD_MEMBERSHIP = 1;
const PACKET_VNET_HDR = 15;
const PACKET_QDISC_BYPASS = 20;
const PACKET_MR_PROMISC = 1;
const MSG_DONTWAIT = 0x40;

const SOCKET_BUFFER_BYTES = 32 << 20;

/** Messages of a sendmmsg, and pieces of each. */
export const TX_BATCH = 64;
export const TX_PIECES = 48;
const MMSGHDR_WORDS = 16;
const TWO_32 = 0x100000000;
const TWO_32_INVERSE = 1 / TWO_32;

/** A socket that is there already: another thread's, which does not use it any more. */
export interface HeldSocket {
  readonly fd: number;
  readonly ifindex: number;
}

export class PacketSender {
  readonly fd: number;
  readonly ifindex: number;
  /** Frames queued for sending. */
  queued = 0;
  private readonly messages: Int32Array;
  private readonly vectors: Uint32Array;
  private readonly messagesAddress: number;

  /** A socket for device `name` in the caller's network namespace, to be bound. Throws an OsError. */
  constructor(name: string, held?: HeldSocket) {
    this.ifindex = held?.ifindex ?? ifindexOf(name);
    if (this.ifindex === 0) throw osError("if_nametoindex", ENODEV);
    // Protocol 0: deaf until bound to another.
    this.fd = held?.fd ?? libc.socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (this.fd < 0) throw osError("socket", errno());
    if (held === undefined)
      this.attempt(() => {
        this.option(SOL_PACKET, PACKET_VNET_HDR, 1);
        this.option(SOL_PACKET, PACKET_QDISC_BYPASS, 1);
        this.option(SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BUFFER_BYTES);
      });
    this.messages = new Int32Array(TX_BATCH * MMSGHDR_WORDS);
    this.vectors = new Uint32Array(TX_BATCH * TX_PIECES * 4);
    this.messagesAddress = addressOf(this.messages);
    const vectorsAddress = addressOf(this.vectors);
    for (let i = 0; i < TX_BATCH; i++) {
      const at = i * MMSGHDR_WORDS;
      const vector = vectorsAddress + i * TX_PIECES * 16;
      this.messages[at + 4] = vector | 0;
      this.messages[at + 5] = Math.floor(vector / TWO_32);
      this.messages[at + 6] = 1;
    }
  }

  /** Runs what sets the socket up; closes it when that throws. */
  protected attempt(run: () => void): void {
    try {
      run();
    } catch (error) {
      libc.close(this.fd);
      throw error;
    }
  }

  protected option(level: number, option: number, ...values: number[]): void {
    const value = Int32Array.from(values);
    if (libc.setsockopt(this.fd, level, option, pointer(addressOf(value)), value.length * 4) < 0) {
      throw osError("setsockopt", errno());
    }
  }

  /** For a socket that is to send only. */
  bindDeaf(): this {
    this.attempt(() => this.bind(0));
    return this;
  }

  /** Binds to the device: `protocol` 0 hears nothing, 3 (ETH_P_ALL) everything. The device takes all frames on its wire. */
  protected bind(protocol: number): void {
    const sockaddr = new Uint8Array(20);
    const view = new DataView(sockaddr.buffer);
    view.setUint16(0, AF_PACKET, true);
    view.setUint16(2, protocol); // network order
    view.setInt32(4, this.ifindex, true);
    if (libc.bind(this.fd, pointer(addressOf(sockaddr)), 20) < 0) throw osError("bind", errno());
    this.option(SOL_PACKET, PACKET_ADD_MEMBERSHIP, this.ifindex, PACKET_MR_PROMISC, 0, 0);
  }

  /** Queues virtio header and frame, `length` bytes in all at `address`. True when the queue is full: flush then. */
  queue(address: number, length: number): boolean {
    this.setPiece(this.queued, 0, address, length);
    this.messages[this.queued * MMSGHDR_WORDS + 6] = 1;
    return ++this.queued === TX_BATCH;
  }

  /** Makes piece `index` of a queued message; the message then has `index` + 1 pieces. */
  addPiece(message: number, index: number, address: number, length: number): void {
    this.setPiece(message, index, address, length);
    this.messages[message * MMSGHDR_WORDS + 6] = index + 1;
  }

  setPiece(message: number, index: number, address: number, length: number): void {
    const at = (message * TX_PIECES + index) * 4;
    const vectors = this.vectors;
    const high = Math.floor(address * TWO_32_INVERSE);
    vectors[at] = address - high * TWO_32;
    vectors[at + 1] = high;
    vectors[at + 2] = length;
  }

  /** Past the device's queueing disciplines, as at first, or through them. */
  setBypass(bypass: boolean): void {
    this.option(SOL_PACKET, PACKET_QDISC_BYPASS, bypass ? 1 : 0);
  }

  /** skb_priority of what is sent from now on. */
  setPriority(priority: number): void {
    this.option(SOL_SOCKET, SO_PRIORITY, priority);
  }

  /** Sends messages `first` to `queued` - 1; returns how many, or -errno when not even one went. */
  send(first: number): number {
    const sent = libc.sendmmsg(
      this.fd,
      pointer(this.messagesAddress + first * MMSGHDR_WORDS * 4),
      this.queued - first,
      MSG_DONTWAIT,
    );
    return sent >= 0 ? sent : -errno();
  }

  /** Takes and clears the socket's pending error (ENETDOWN after the device went down or away), 0 for none. */
  takeError(): number {
    const value = new Int32Array(1);
    const length = Int32Array.of(4);
    libc.getsockopt(this.fd, SOL_SOCKET, SO_ERROR, pointer(addressOf(value)), pointer(addressOf(length)));
    return value[0]!;
  }

  close(): void {
    libc.close(this.fd);
  }
}
