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
import { type HeldSocket, PacketSender } from "./packet-sender.ts";

const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const SO_DETACH_FILTER = 27;
const SO_RCVBUFFORCE = 33;
const SOL_PACKET = 263;
const PACKET_RX_RING = 5;
const PACKET_COPY_THRESH = 7;
const PACKET_VERSION = 10;
const PACKET_RESERVE = 12;
const PACKET_FANOUT = 18;
const PACKET_IGNORE_OUTGOING = 23;
// linux/if_packet.h: PACKET_FANOUT_HASH | flags << 8, in the upper half of the option.
const FANOUT_HASH = 0;
const FANOUT_FLAG_UNIQUE_ID = 0x2000;
const FANOUT_FLAG_IGNORE_OUTGOING = 0x4000;
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

const TWO_32 = 0x100000000;

/** A ring on its way from one thread to another, which share descriptors and memory. */
interface HeldRing extends HeldSocket {
  readonly address: number;
  readonly head: number;
  readonly slots: number;
  readonly group: number;
}

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
  /** Number of the group with which the device's frames are shared, -1 for none. */
  readonly group: number;
  private readonly words: Int32Array;
  private readonly discarded = new Uint8Array(16);
  private readonly slots: number;
  private head: number;
  private tail: number;

  /**
   * Opens device `name` in the caller's network namespace; throws an OsError. All its frames come here, or, by `group`, those
   * of the flows that the kernel gives to this socket of a group: the number that another one has, or -2 for a new group.
   */
  constructor(name: string, group = -1, slots = SLOTS, held?: HeldRing) {
    super(name, held);
    this.slots = slots;
    const bytes = slots * SLOT_BYTES;
    let map = held?.address ?? 0;
    let joined = held?.group ?? -1;
    this.head = held?.head ?? 0;
    this.tail = this.head;
    if (held === undefined)
      this.attempt(() => {
        this.option(SOL_PACKET, PACKET_VERSION, 1);
        this.option(SOL_PACKET, PACKET_RESERVE, RESERVE);
        this.option(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
        this.option(SOL_PACKET, PACKET_COPY_THRESH, 1);
        this.option(SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER_BYTES);
        this.option(SOL_PACKET, PACKET_RX_RING, BLOCK_BYTES, bytes / BLOCK_BYTES, SLOT_BYTES, slots);
        map = libc.mmap(null, bytes, 3, 1, this.fd, 0) as unknown as number;
        if (map === -1 || map === 0 || map > 2 ** 53) throw osError("mmap", errno());
        try {
          if (group === -1) this.bind(ETH_P_ALL);
          else joined = this.join(group);
        } catch (error) {
          // It would keep the socket alive.
          libc.munmap(pointer(map), bytes);
          throw error;
        }
      });
    this.group = joined;
    this.address = map;
    const memory = memoryAt(map, bytes);
    this.data = new Uint8Array(memory);
    this.words = new Int32Array(memory);
  }

  /**
   * Joins a group, for which the socket must be bound as the others are. Until it has joined it would get what they get:
   * a filter keeps frames out.
   */
  private join(group: number): number {
    // BPF_RET | BPF_K, 0; struct sock_fprog.
    const nothing = new Uint8Array([6, 0, 0, 0, 0, 0, 0, 0]);
    const program = new BigUint64Array([1n, BigInt(addressOf(nothing))]);
    const filter = new Int32Array(program.buffer);
    this.option(SOL_SOCKET, SO_ATTACH_FILTER, ...filter);
    this.bind(ETH_P_ALL);
    const flags = FANOUT_HASH | FANOUT_FLAG_IGNORE_OUTGOING | (group < 0 ? FANOUT_FLAG_UNIQUE_ID : 0);
    this.option(SOL_PACKET, PACKET_FANOUT, (flags << 16) | Math.max(0, group));
    this.option(SOL_SOCKET, SO_DETACH_FILTER, 0);
    const value = new Int32Array(1);
    const length = Int32Array.of(4);
    const got = libc.getsockopt(
      this.fd,
      SOL_PACKET,
      PACKET_FANOUT,
      pointer(addressOf(value)),
      pointer(addressOf(length)),
    );
    if (got < 0) throw osError("getsockopt", errno());
    return value[0]! & 0xffff;
  }

  /** What {@link take} needs in another thread, when every slot has been released. This object is of no use afterwards. */
  handOver(): number[] {
    const { fd, ifindex, address, head, slots, group } = this;
    return [fd, ifindex, Math.floor(address / TWO_32), address | 0, head, slots, group];
  }

  /** The ring that another thread has handed over, all frames in their order. */
  static take(words: ArrayLike<number>): PacketRing {
    const [fd, ifindex, high, low, head, slots, group] = Array.from(words) as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    const address = high * TWO_32 + (low >>> 0);
    return new PacketRing("", group, slots, { fd, ifindex, address, head, slots, group });
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
