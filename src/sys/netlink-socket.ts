/**
 * Netlink sockets of any protocol (netlink(7)): opened, bound, watched. The kernel handles a request within the send() that
 * brings it, so replies lie ready when that returns. What messages mean is no business of this file.
 */
import { addressOf, errno, libc, osError, pointer } from "./ffi.ts";

export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;
export const NETLINK_GENERIC = 16;

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SO_RCVBUFFORCE = 33;
const SOL_NETLINK = 270;
const NETLINK_NO_ENOBUFS = 5;
const MSG_DONTWAIT = 0x40;
const SOCKADDR_BYTES = 12;

export interface NetlinkOptions {
  /** How much may wait to be received. */
  readonly bufferBytes: number;
  /** Multicast groups to join, as a bit mask. */
  readonly groups?: number;
  /** Whether to be told that something did not fit: it ends the watching. */
  readonly tellsLoss?: boolean;
}

export interface NetlinkSocket {
  /** The socket's netlink port id, to which the kernel addresses messages. */
  readonly port: number;
  /** Sends the first `length` bytes, one or more requests; 0 or -errno. */
  send(requests: Uint8Array, length: number): number;
  /** One datagram into `into`: its length, or -errno. Waits for at most 2 seconds, or not at all. */
  receive(into: Uint8Array, wait: boolean): number;
  /**
   * Bun's loop watches the socket from now on, and does not stay for it: `arrived` gets datagrams, valid during the call;
   * `ended` hears of an end that is not `close`.
   */
  watch(arrived: (datagram: Uint8Array) => void, ended?: () => void): void;
  close(): void;
}

class BunNetlinkSocket implements NetlinkSocket {
  readonly port: number;
  #fd: number;
  #watched = false;
  #watching: { end(): void } | undefined;

  constructor(protocol: number, { bufferBytes, groups = 0, tellsLoss = false }: NetlinkOptions) {
    const fd = libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    if (fd < 0) throw osError("socket", errno());
    this.#fd = fd;
    const setNumber = (level: number, option: number, value: number): void => {
      libc.setsockopt(fd, level, option, pointer(addressOf(Int32Array.of(value))), 4);
    };
    setNumber(SOL_SOCKET, SO_RCVBUFFORCE, bufferBytes);
    if (!tellsLoss) setNumber(SOL_NETLINK, NETLINK_NO_ENOBUFS, 1);
    // A reply that never comes must not stop the daemon.
    libc.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, pointer(addressOf(BigInt64Array.of(2n, 0n))), 16);
    const address = Int32Array.of(AF_NETLINK, 0, groups);
    const length = Int32Array.of(SOCKADDR_BYTES);
    const at = pointer(addressOf(address));
    if (libc.bind(fd, at, SOCKADDR_BYTES) < 0 || libc.getsockname(fd, at, pointer(addressOf(length))) < 0) {
      const error = osError("bind", errno());
      libc.close(fd);
      throw error;
    }
    this.port = address[1]! >>> 0;
  }

  send(requests: Uint8Array, length: number): number {
    const sent = libc.send(this.#fd, pointer(addressOf(requests)), length, 0);
    return sent < 0 ? -errno() : 0;
  }

  receive(into: Uint8Array, wait: boolean): number {
    const flags = wait ? 0 : MSG_DONTWAIT;
    const length = libc.recv(this.#fd, pointer(addressOf(into)), into.length, flags);
    return length < 0 ? -errno() : length;
  }

  watch(arrived: (datagram: Uint8Array) => void, ended?: () => void): void {
    const fd = this.#fd;
    this.#watched = true;
    // Bun.connect takes any descriptor that recv() works on, though its types do not say so.
    const options = {
      fd,
      socket: {
        data: (_socket: unknown, bytes: Uint8Array) => arrived(bytes),
        close: () => {
          if (this.#fd >= 0) ended?.();
        },
        error: () => {},
      },
    };
    const connecting = Bun.connect(options as unknown as Parameters<typeof Bun.connect>[0]);
    connecting.then(
      (socket) => {
        this.#watching = socket as unknown as { end(): void };
        (socket as unknown as { unref?(): void }).unref?.();
        if (this.#fd < 0) this.#watching.end();
      },
      () => libc.close(fd),
    );
  }

  close(): void {
    if (this.#fd < 0) return;
    if (!this.#watched) libc.close(this.#fd);
    // Before it is connected, that does it.
    else this.#watching?.end();
    this.#fd = -1;
  }
}

/** Throws an error with the `errno` of the call that failed. */
export function openNetlink(protocol: number, options: NetlinkOptions): NetlinkSocket {
  return new BunNetlinkSocket(protocol, options);
}
