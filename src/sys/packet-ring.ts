/**
 * An AF_PACKET socket with a TPACKET_V2 receive ring (packet(7), Documentation/networking/packet_mmap) and virtio
 * headers. Hot path. There is no transmit ring: frames are sent with sendmmsg straight from where they lie.
 *
 *   slot:  | tpacket2_hdr 32 | sockaddr_ll 20 | reserve ... | virtio header 10 | frame ...
 *                                                                              ^ tp_mac
 *
 * A frame too large for its slot is marked COPY and waits whole on the socket, one `recv` for each such slot, in order;
 * when the socket's buffer is full it is cut off instead, and of no use.
 */
import { addressOf, cString, ENODEV, errno, libc, memoryAt, osError, pointer } from "./ffi.ts";

const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SOL_PACKET = 263;
const PACKET_ADD_MEMBERSHIP = 1;
const PACKET_RX_RING = 5;
const PACKET_COPY_THRESH = 7;
const PACKET_VERSION = 10;
const PACKET_RESERVE = 12;
const PACKET_VNET_HDR = 15;
const PACKET_QDISC_BYPASS = 20;
const PACKET_IGNORE_OUTGOING = 23;
const PACKET_MR_PROMISC = 1;
const MSG_DONTWAIT = 0x40;

const BLOCK_BYTES = 1 << 20;
const BLOCKS = 8;
const SLOT_BYTES = 2048;
const SLOTS = (BLOCK_BYTES / SLOT_BYTES) * BLOCKS;
const SLOT_WORDS = SLOT_BYTES / 4;
/** Room before a frame for what actions push. */
const RESERVE = 128;
/** Frames passed over at a time. */
const CUT_MAX = 256;
const SOCKET_BUFFER_BYTES = 32 << 20;

// Words of tpacket2_hdr.
const H_STATUS = 0;
const H_LENGTH = 1;
const H_SNAP_LENGTH = 2;
const H_MAC = 3;
const H_VLAN = 6;

const STATUS_USER = 1;
const STATUS_COPY = 2;
const STATUS_VLAN_VALID = 0x10;
const STATUS_VLAN_TPID_VALID = 0x40;

/** Messages of a sendmmsg, and pieces of each. */
export const TX_BATCH = 64;
export const TX_PIECES = 48;
const MMSGHDR_WORDS = 16;
const TWO_32 = 0x100000000;
const TWO_32_INVERSE = 1 / TWO_32;

export class PacketRing {
  readonly fd: number;
  /** Bytes before a frame, its virtio header included, that are the reader's. */
  readonly headroom = RESERVE;
  /** The ring. */
  readonly data: Uint8Array;
  readonly address: number;
  /** Index into `data` of the frame that {@link next} found, and its length; -1 when the frame waits on the socket. */
  frame = 0;
  frameLength = 0;
  /** TPID << 16 | TCI of the tag that the kernel stripped, 0 for none. */
  frameTag = 0;
  /** Frames that {@link next} has passed over because the kernel cut them off; the reader sets it back. */
  cut = 0;
  /** Frames queued for sending. */
  queued = 0;
  private readonly words: Int32Array;
  private readonly discarded = new Uint8Array(16);
  private readonly slots: number;
  private head = 0;
  private tail = 0;
  private readonly messages: Int32Array;
  private readonly vectors: Uint32Array;
  private readonly messagesAddress: number;

  /** Opens device `name` in the caller's network namespace; throws an OsError. */
  constructor(name: string, slots = SLOTS) {
    const nameBytes = cString(name);
    const ifindex = libc.if_nametoindex(pointer(addressOf(nameBytes)));
    if (ifindex === 0) throw osError("if_nametoindex", ENODEV);
    // Protocol 0: deaf until bound.
    this.fd = libc.socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (this.fd < 0) throw osError("socket", errno());
    this.slots = slots;
    const bytes = slots * SLOT_BYTES;
    try {
      this.option(SOL_PACKET, PACKET_VERSION, 1);
      this.option(SOL_PACKET, PACKET_VNET_HDR, 1);
      this.option(SOL_PACKET, PACKET_RESERVE, RESERVE);
      this.option(SOL_PACKET, PACKET_QDISC_BYPASS, 1);
      this.option(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
      this.option(SOL_PACKET, PACKET_COPY_THRESH, 1);
      this.option(SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER_BYTES);
      this.option(SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BUFFER_BYTES);
      this.option(SOL_PACKET, PACKET_RX_RING, BLOCK_BYTES, bytes / BLOCK_BYTES, SLOT_BYTES, slots);
      const map = libc.mmap(null, bytes, 3, 1, this.fd, 0) as unknown as number;
      if (map === -1 || map === 0 || map > 2 ** 53) throw osError("mmap", errno());
      this.address = map;
      const memory = memoryAt(map, bytes);
      this.data = new Uint8Array(memory);
      this.words = new Int32Array(memory);
      this.bind(ifindex);
      this.option(SOL_PACKET, PACKET_ADD_MEMBERSHIP, ifindex, PACKET_MR_PROMISC, 0, 0);
    } catch (error) {
      libc.close(this.fd);
      throw error;
    }
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

  private option(level: number, option: number, ...values: number[]): void {
    const value = Int32Array.from(values);
    if (libc.setsockopt(this.fd, level, option, pointer(addressOf(value)), value.length * 4) < 0) {
      throw osError("setsockopt", errno());
    }
  }

  private bind(ifindex: number): void {
    const sockaddr = new Uint8Array(20);
    const view = new DataView(sockaddr.buffer);
    view.setUint16(0, AF_PACKET, true);
    view.setUint16(2, 3); // ETH_P_ALL, network order
    view.setInt32(4, ifindex, true);
    if (libc.bind(this.fd, pointer(addressOf(sockaddr)), 20) < 0) throw osError("bind", errno());
  }

  /** True when a frame waits. */
  get ready(): boolean {
    return (Atomics.load(this.words, this.head * SLOT_WORDS) & STATUS_USER) !== 0;
  }

  /** Steps to the next frame, described by `frame*`; false when there is none. Its slot stays ours until {@link release}. */
  next(): boolean {
    const words = this.words;
    let at = this.head * SLOT_WORDS;
    let status = Atomics.load(words, at + H_STATUS);
    while (
      (status & (STATUS_USER | STATUS_COPY)) === STATUS_USER &&
      words[at + H_LENGTH]! > words[at + H_SNAP_LENGTH]!
    ) {
      if (++this.head === this.slots) this.head = 0;
      // Not all slots at once: those that are ours must be told from those that are the kernel's.
      if (++this.cut >= CUT_MAX) return false;
      at = this.head * SLOT_WORDS;
      status = Atomics.load(words, at + H_STATUS);
    }
    if ((status & STATUS_USER) === 0) return false;
    this.frame = (status & STATUS_COPY) !== 0 ? -1 : at * 4 + (words[at + H_MAC]! & 0xffff);
    this.frameLength = words[at + ((status & STATUS_COPY) !== 0 ? H_LENGTH : H_SNAP_LENGTH)]!;
    this.frameTag = 0;
    if ((status & STATUS_VLAN_VALID) !== 0) {
      const tag = words[at + H_VLAN]!;
      const tpid = (status & STATUS_VLAN_TPID_VALID) !== 0 ? tag >>> 16 : 0x8100;
      this.frameTag = (tpid << 16) | (tag & 0xffff);
    }
    if (++this.head === this.slots) this.head = 0;
    return true;
  }

  /** A frame found by {@link next} that waits on the socket: virtio header and frame to `address`; bytes in all, or < 0. */
  receiveLarge(address: number, room: number): number {
    return libc.recv(this.fd, pointer(address), room, MSG_DONTWAIT);
  }

  /** Drops a frame that waits on the socket. */
  discardLarge(): void {
    libc.recv(this.fd, pointer(addressOf(this.discarded)), this.discarded.length, MSG_DONTWAIT);
  }

  /** Gives back every slot that {@link next} has stepped over. */
  release(): void {
    while (this.tail !== this.head) {
      Atomics.store(this.words, this.tail * SLOT_WORDS + H_STATUS, 0);
      if (++this.tail === this.slots) this.tail = 0;
    }
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
    libc.munmap(pointer(this.address), this.slots * SLOT_BYTES);
    libc.close(this.fd);
  }
}
