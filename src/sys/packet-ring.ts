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
import { addressOf, errno, libc, memoryAt, osError, pointer } from "./ffi.ts";
import { PacketSender } from "./packet-sender.ts";

const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const SOL_PACKET = 263;
const PACKET_RX_RING = 5;
const PACKET_COPY_THRESH = 7;
const PACKET_VERSION = 10;
const PACKET_RESERVE = 12;
const PACKET_IGNORE_OUTGOING = 23;
const ETH_P_ALL = 3;
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

export class PacketRing extends PacketSender {
  /** Bytes before a frame, its virtio header included, that are the reader's. */
  readonly headroom: number = RESERVE;
  /** The ring. */
  readonly data: Uint8Array;
  readonly address: number;
  /** Index into `data` of the frame that {@link next} found, and its length; -1 when the frame waits on the socket. */
  frame = 0;
  frameLength = 0;
  /** TPID << 16 | TCI of the tag that the kernel stripped, 0 for none. */
  frameTag = 0;
  /** An action has handed it up, with this operand: not here, but where frames come from programs in the kernel. */
  readonly frameAction: boolean = false;
  readonly frameOperand: number = 0;
  /** Frames that {@link next} has passed over because the kernel cut them off; the reader sets it back. */
  cut = 0;
  private readonly words: Int32Array;
  private readonly discarded = new Uint8Array(16);
  private readonly slots: number;
  private head = 0;
  private tail = 0;

  /** Opens device `name` in the caller's network namespace; throws an OsError. */
  constructor(name: string, slots = SLOTS) {
    super(name);
    this.slots = slots;
    const bytes = slots * SLOT_BYTES;
    let map = 0;
    this.attempt(() => {
      this.option(SOL_PACKET, PACKET_VERSION, 1);
      this.option(SOL_PACKET, PACKET_RESERVE, RESERVE);
      this.option(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
      this.option(SOL_PACKET, PACKET_COPY_THRESH, 1);
      this.option(SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER_BYTES);
      this.option(SOL_PACKET, PACKET_RX_RING, BLOCK_BYTES, bytes / BLOCK_BYTES, SLOT_BYTES, slots);
      map = libc.mmap(null, bytes, 3, 1, this.fd, 0) as unknown as number;
      if (map === -1 || map === 0 || map > 2 ** 53) throw osError("mmap", errno());
      this.bind(ETH_P_ALL);
    });
    this.address = map;
    const memory = memoryAt(map, bytes);
    this.data = new Uint8Array(memory);
    this.words = new Int32Array(memory);
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

  override close(): void {
    libc.munmap(pointer(this.address), this.slots * SLOT_BYTES);
    super.close();
  }
}
