/**
 * NETLINK_GENERIC sockets (netlink(7); linux/genetlink.h). The kernel handles a request within the send() that brings it, so
 * replies lie ready when that returns. Messages are coded in `src/netdev/netlink-message.ts` and `src/datapath/kernel`.
 */
import { addressOf, errno, libc, osError, pointer } from "./ffi.ts";

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const NETLINK_GENERIC = 16;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SO_RCVBUFFORCE = 33;
const SOL_NETLINK = 270;
const NETLINK_NO_ENOBUFS = 5;
const MSG_DONTWAIT = 0x40;
const SOCKADDR_BYTES = 12;

export interface GenericSocket {
  /** The socket's netlink port id, to which the kernel addresses messages. */
  readonly port: number;
  /** Sends the first `length` bytes, one or more requests; 0 or -errno. */
  send(requests: Uint8Array, length: number): number;
  /** One datagram into `into`: its length, or -errno. Waits for at most 2 seconds, or not at all. */
  receive(into: Uint8Array, wait: boolean): number;
  /** Bun's loop watches the socket from now on, which is closed by `close` then: `arrived` gets datagrams, valid during the call. */
  watch(arrived: (datagram: Uint8Array) => void): void;
  close(): void;
}

class BunGenericSocket implements GenericSocket {
  readonly port: number;
  #fd: number;
  #watching: { end(): void } | undefined;

  constructor(bufferBytes: number) {
    const fd = libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
    if (fd < 0) throw osError("socket", errno());
    this.#fd = fd;
    const setNumber = (level: number, option: number, value: number): void => {
      libc.setsockopt(fd, level, option, pointer(addressOf(Int32Array.of(value))), 4);
    };
    setNumber(SOL_SOCKET, SO_RCVBUFFORCE, bufferBytes);
    // What does not fit is counted by who sends; an error at each would end the watching.
    setNumber(SOL_NETLINK, NETLINK_NO_ENOBUFS, 1);
    libc.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, pointer(addressOf(BigInt64Array.of(2n, 0n))), 16);
    const address = new Int32Array(SOCKADDR_BYTES / 4);
    address[0] = AF_NETLINK;
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

  watch(arrived: (datagram: Uint8Array) => void): void {
    // Bun.connect takes any descriptor that recv() works on, though its types do not say so.
    const options = {
      fd: this.#fd,
      socket: { data: (_socket: unknown, bytes: Uint8Array) => arrived(bytes), error: () => {} },
    };
    const connecting = Bun.connect(options as unknown as Parameters<typeof Bun.connect>[0]);
    const fd = this.#fd;
    connecting.then(
      (socket) => {
        this.#watching = socket as unknown as { end(): void };
        (socket as unknown as { unref?(): void }).unref?.();
        if (this.#fd < 0) this.#watching.end();
      },
      () => libc.close(fd),
    );
    this.#watching = { end: () => {} };
  }

  close(): void {
    if (this.#fd < 0) return;
    if (this.#watching === undefined) libc.close(this.#fd);
    else this.#watching.end();
    this.#fd = -1;
  }
}

/** `bufferBytes`: how much may wait to be received. Throws an OsError. */
export function openGenericSocket(bufferBytes: number): GenericSocket {
  return new BunGenericSocket(bufferBytes);
}
