/**
 * Packets that the kernel hands up: a few sockets among which the ports are divided, so that a port with many misses fills its
 * own only, and one for what actions hand up. Each turn of the loop reads so much and no more.
 */
import { NLMSG_HEADER } from "../../netdev/netlink-message.ts";
import type { NetlinkSocket } from "../../sys/netlink-socket.ts";
import { OVS_HEADER } from "./families.ts";
import type { KernelSystem } from "./system.ts";
import * as U from "./uapi.ts";

const PORT_SOCKETS = 8;
const SOCKET_BYTES = 1 << 20;
const DATAGRAM_BYTES = 80 << 10;
/** Packets, and milliseconds, before other work gets its turn. */
const BUDGET = 64;
const BUDGET_MS = 2;

/** One packet handed up; all of it is valid during the call only. */
export interface KernelUpcall {
  command: number;
  packet: Uint8Array;
  key: DataView;
  /** Operand of ODP_USERSPACE. */
  userdata: number;
  /** To be given back with the packet; undefined where there is none. */
  mru: number | undefined;
}

const NO_BYTES = new Uint8Array(0);
const NO_VIEW = new DataView(new ArrayBuffer(0));

export class UpcallSockets {
  private readonly system: KernelSystem;
  private readonly family: number;
  private readonly sockets: NetlinkSocket[] = [];
  private readonly buffer = new Uint8Array(DATAGRAM_BYTES);
  private readonly handle: (upcall: KernelUpcall) => void;
  private readonly done: () => void;
  private readonly upcall: KernelUpcall = {
    command: 0,
    packet: NO_BYTES,
    key: NO_VIEW,
    userdata: 0,
    mru: undefined,
  };
  private dpIfindex = -1;
  private closed = false;

  /** `handle` is called for each packet, `done` when the loop goes on to something else. */
  constructor(
    system: KernelSystem,
    family: number,
    handle: (upcall: KernelUpcall) => void,
    done: () => void,
  ) {
    this.system = system;
    this.family = family;
    this.handle = handle;
    this.done = done;
    try {
      for (let i = 0; i <= PORT_SOCKETS; i++) this.sockets.push(system.openSocket(SOCKET_BYTES));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Socket for what misses at a port. */
  pidOf(odpPort: number): number {
    return this.sockets[odpPort % PORT_SOCKETS]!.port;
  }

  get actionPid(): number {
    return this.sockets[PORT_SOCKETS]!.port;
  }

  /** From now on packets of the datapath are handed on. */
  start(dpIfindex: number): void {
    this.dpIfindex = dpIfindex;
    for (const socket of this.sockets) socket.watch((datagram) => this.arrived(socket, datagram));
  }

  private arrived(socket: NetlinkSocket, datagram: Uint8Array): void {
    if (this.closed) return;
    const until = this.system.nowMs() + BUDGET_MS;
    this.read(datagram, datagram.length);
    for (let i = 1; i < BUDGET && !this.closed && this.system.nowMs() < until; i++) {
      const length = socket.receive(this.buffer, false);
      if (length < 0) break;
      this.read(this.buffer, length);
    }
    this.done();
  }

  private read(bytes: Uint8Array, length: number): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, length);
    for (let at = 0; at + NLMSG_HEADER + OVS_HEADER <= length; ) {
      const size = view.getUint32(at, true);
      if (size < NLMSG_HEADER + OVS_HEADER || at + size > length) return;
      const head = at + NLMSG_HEADER;
      if (view.getUint16(at + 4, true) === this.family && view.getInt32(head + 4, true) === this.dpIfindex)
        this.parse(view, head, at + size);
      at += (size + 3) & ~3;
    }
  }

  private parse(view: DataView, head: number, end: number): void {
    const { upcall } = this;
    upcall.command = view.getUint8(head);
    upcall.packet = NO_BYTES;
    upcall.key = NO_VIEW;
    upcall.userdata = 0;
    upcall.mru = undefined;
    for (let at = head + OVS_HEADER; at + 4 <= end; ) {
      const length = view.getUint16(at, true);
      if (length < 4 || at + length > end) break;
      const start = view.byteOffset + at + 4;
      switch (view.getUint16(at + 2, true) & 0x3fff) {
        case U.PACKET_ATTR_PACKET:
          upcall.packet = new Uint8Array(view.buffer, start, length - 4);
          break;
        case U.PACKET_ATTR_KEY:
          upcall.key = new DataView(view.buffer, start, length - 4);
          break;
        case U.PACKET_ATTR_USERDATA:
          if (length >= 8) upcall.userdata = view.getInt32(at + 4, true);
          break;
        case U.PACKET_ATTR_MRU:
          if (length >= 6) upcall.mru = view.getUint16(at + 4, true);
          break;
        default:
      }
      at += (length + 3) & ~3;
    }
    if (upcall.packet.length > 0 && upcall.key.byteLength > 0) this.handle(upcall);
  }

  close(): void {
    this.closed = true;
    for (const socket of this.sockets) socket.close();
  }
}
