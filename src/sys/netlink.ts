/**
 * NETLINK_ROUTE sockets (rtnetlink(7)): a blocking one for requests, whose replies come within microseconds, and one
 * that Bun's own loop watches for events. The messages themselves are coded in `src/netdev/rtnetlink.ts`.
 */
import { dlopen, ptr } from "bun:ffi";

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SO_RCVBUFFORCE = 33;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F_MULTI = 2;

const { symbols: libc } = dlopen("libc.so.6", {
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
  send: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
  recv: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
  close: { args: ["i32"], returns: "i32" },
});

function openSocket(groups: number, flags: number): number {
  const fd = libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, 0);
  if (fd < 0) throw Object.assign(new Error("cannot open rtnetlink socket"), { code: "EIO" });
  const size = Int32Array.of(4 << 20);
  libc.setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, ptr(size), 4);
  const address = new Uint8Array(12);
  const view = new DataView(address.buffer);
  view.setUint16(0, AF_NETLINK, true);
  view.setUint32(8, groups, true);
  if (libc.bind(fd, ptr(address), 12) < 0) {
    libc.close(fd);
    throw Object.assign(new Error("cannot bind rtnetlink socket"), { code: "EIO" });
  }
  return fd;
}

export interface RouteEvents {
  /** One datagram, valid during the call. */
  data(datagram: Uint8Array): void;
  /** Events may have been lost: dump again. The subscription goes on. */
  lost(): void;
}

export interface RouteSocket {
  /** Sends `request` and returns the reply datagrams, the one with NLMSG_DONE or NLMSG_ERROR included. */
  transact(request: Uint8Array): Uint8Array[];
  /** Joins the multicast groups of the bit mask (RTMGRP_LINK is 1); returns how to leave. */
  subscribe(groups: number, events: RouteEvents): () => void;
  close(): void;
}

/** True when a reply ends in this datagram. */
function isLast(datagram: Uint8Array): boolean {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  for (let at = 0; at + 16 <= datagram.length; ) {
    const length = view.getUint32(at, true);
    const type = view.getUint16(at + 4, true);
    if (type === NLMSG_DONE || type === NLMSG_ERROR || (view.getUint16(at + 6, true) & NLM_F_MULTI) === 0)
      return true;
    if (length < 16) return true;
    at += (length + 3) & ~3;
  }
  return false;
}

class BunRouteSocket implements RouteSocket {
  #fd = -1;
  readonly #buffer = new Uint8Array(256 << 10);

  #open(): number {
    if (this.#fd < 0) {
      this.#fd = openSocket(0, 0);
      // A reply that never comes must not stop the daemon.
      const timeout = BigInt64Array.of(2n, 0n);
      libc.setsockopt(this.#fd, SOL_SOCKET, SO_RCVTIMEO, ptr(timeout), 16);
    }
    return this.#fd;
  }

  transact(request: Uint8Array): Uint8Array[] {
    const fd = this.#open();
    const replies: Uint8Array[] = [];
    if (Number(libc.send(fd, ptr(request), request.length, 0)) < 0) {
      this.close();
      return replies;
    }
    for (;;) {
      const length = Number(libc.recv(fd, ptr(this.#buffer), this.#buffer.length, 0));
      if (length <= 0) {
        this.close(); // Out of step with the kernel: start afresh next time.
        return replies;
      }
      const datagram = this.#buffer.slice(0, length);
      replies.push(datagram);
      if (isLast(datagram)) return replies;
    }
  }

  subscribe(groups: number, events: RouteEvents): () => void {
    let left = false;
    let current: { end(): void } | undefined;
    const start = (): void => {
      if (left) return;
      const fd = openSocket(groups, SOCK_NONBLOCK);
      // Bun.connect takes any descriptor that recv() works on, though its types do not say so.
      const options = {
        fd,
        socket: {
          data: (_socket: unknown, bytes: Uint8Array) => events.data(bytes),
          // The kernel reports an overflow as ENOBUFS, which ends Bun's socket.
          close: () => {
            if (left) return;
            start();
            events.lost();
          },
          error: () => {},
        },
      };
      const connecting = Bun.connect(options as unknown as Parameters<typeof Bun.connect>[0]);
      connecting.then(
        (socket) => {
          current = socket as unknown as { end(): void };
          (socket as unknown as { unref?(): void }).unref?.();
          if (left) current.end();
        },
        () => {},
      );
    };
    start();
    return () => {
      left = true;
      current?.end();
    };
  }

  close(): void {
    if (this.#fd >= 0) libc.close(this.#fd);
    this.#fd = -1;
  }
}

export function openRouteSocket(): RouteSocket {
  return new BunRouteSocket();
}
