/**
 * What the worker loop needs of the machine; `commands/datapath-worker.ts` fills it in from `src/sys`. System calls give
 * a result or -errno, none throws but the openers (OsError with a numeric `errno`).
 */
import type { Epoll } from "../../sys/epoll.ts";
import type { PacketRing } from "../../sys/packet-ring.ts";

/** What a port of the loop needs of a packet ring. */
export type PortRing = Omit<PacketRing, "bindDeaf" | "ifindex" | "handOver"> & {
  /** {@link HELD_WORDS} words with which another thread goes on with it; every slot has been released. Where it can be. */
  handOver?(): ArrayLike<number>;
  /** No megaflow matches what it receives. */
  readonly missesOnly?: boolean;
  /** Throws away frames that no megaflow matches, at most `most`; returns how many. */
  discardMisses?(most: number): number;
};

export const HELD_WORDS = 7;

/** How a packet socket receives: all that the device gets, its share of a group, which is new here, or nothing. */
export const RING_ALONE = -1;
export const RING_NEW_GROUP = -2;
export const RING_DEAF = -3;

export interface DatapathSystem {
  /** `receives`: RING_*, or the number of a group that another lane's socket of the device has made. */
  openRing(name: string, receives: number): PortRing;
  /** Goes on with a ring that another thread has handed over. */
  takeRing(held: ArrayLike<number>): PortRing;
  openTap(name: string): number;
  /** Where programs in the kernel are at a tap: what their actions hand up of its packets. */
  openRecords?: ((name: string) => PortRing) | undefined;
  readTap(fd: number, address: number, room: number): number;
  writeTap(fd: number, address: number, length: number): number;
  closeFd(fd: number): void;
  makeEpoll(limit: number): Epoll;
  drainEventFd(fd: number): void;
  addressOf(bytes: Uint8Array): number;
  /** CLOCK_MONOTONIC in milliseconds. */
  nowMs(): number;
  /** Keeps this thread to a processor; -1: to none. One that is not there changes nothing. */
  pin(processor: number): void;
  /** 32 random bits, of any quality. */
  random(): number;
  /** Rings main's bell. */
  ringBell(): void;
  /** Tells main of a defect that the loop survived. */
  report(text: string): void;
}

export const EINTR = 4;
export const EIO = 5;
export const ENXIO = 6;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EEXIST = 17;
export const ENODEV = 19;
export const EINVAL = 22;
export const EBADFD = 77;
export const EMSGSIZE = 90;
export const ENETDOWN = 100;
export const ENOBUFS = 105;
