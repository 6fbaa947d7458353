/**
 * NETLINK_ROUTE (rtnetlink(7)): requests, whose replies come within microseconds, and events. The messages themselves are coded
 * in `src/netdev/rtnetlink.ts`.
 */
import { NETLINK_ROUTE, type NetlinkSocket, openNetlink } from "./netlink-socket.ts";

const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F_MULTI = 2;
const BUFFER_BYTES = 4 << 20;

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
  #socket: NetlinkSocket | undefined;
  readonly #buffer = new Uint8Array(256 << 10);

  transact(request: Uint8Array): Uint8Array[] {
    this.#socket ??= openNetlink(NETLINK_ROUTE, { bufferBytes: BUFFER_BYTES, tellsLoss: true });
    const replies: Uint8Array[] = [];
    if (this.#socket.send(request, request.length) < 0) {
      this.close();
      return replies;
    }
    for (;;) {
      const length = this.#socket.receive(this.#buffer, true);
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
    let current: NetlinkSocket;
    const start = (): void => {
      current = openNetlink(NETLINK_ROUTE, { bufferBytes: BUFFER_BYTES, groups, tellsLoss: true });
      current.watch(
        (datagram) => events.data(datagram),
        // The kernel reports an overflow as ENOBUFS, which ends Bun's socket.
        () => {
          start();
          events.lost();
        },
      );
    };
    start();
    return () => current.close();
  }

  close(): void {
    this.#socket?.close();
    this.#socket = undefined;
  }
}

export function openRouteSocket(): RouteSocket {
  return new BunRouteSocket();
}
