/** {@link Datagrams} by node:dgram, or with sockets of the engine's own to send by. */
import { createSocket } from "node:dgram";
import { lookup } from "node:dns";
import { isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";
import type {
  ConnectUdp,
  DatagramEvents,
  DatagramListener,
  DatagramSocket,
  Datagrams,
  UdpPeer,
} from "./datagram.ts";

/** Datagrams kept while an address is being resolved. */
const MAX_PENDING = 64;
/** A name that could not be resolved, or an address without a way to it, is tried again when something is to be sent. */
const OPEN_AGAIN_MS = 5000;

class UdpSocket implements DatagramSocket {
  localAddress: string | undefined = undefined;
  #peer: UdpPeer | undefined = undefined;
  #pending: Uint8Array[] | undefined = [];
  #closed = false;
  /** When opening failed last. */
  #unopenedMs: number | undefined = undefined;
  readonly #connectPeer: ConnectUdp;
  readonly #host: string;
  readonly #port: number;
  readonly #events: DatagramEvents;

  constructor(connectPeer: ConnectUdp, host: string, port: number, events: DatagramEvents) {
    this.#connectPeer = connectPeer;
    this.#host = host;
    this.#port = port;
    this.#events = events;
    this.#open();
  }

  #open(): void {
    this.#unopenedMs = undefined;
    lookup(this.#host, (error, address) => {
      if (this.#closed) return;
      if (error === null) this.#connect(address, this.#port);
      else this.#unopened(error);
    });
  }

  #unopened(error: Error): void {
    this.#unopenedMs = performance.now();
    this.#failed(error);
  }

  #connect(address: string, port: number): void {
    this.#connectPeer(address, port, (error) => this.#failed(error)).then(
      (peer) => {
        if (this.#closed) {
          peer.close();
          return;
        }
        this.#peer = peer;
        this.localAddress = peer.localAddress;
        const pending = this.#pending ?? [];
        this.#pending = undefined;
        for (const bytes of pending) this.send(bytes);
        this.#events.connected?.();
      },
      (error: Error) => {
        if (!this.#closed) this.#unopened(error);
      },
    );
  }

  #failed(error: Error): void {
    if (!this.#closed) this.#events.failed?.(error);
  }

  send(bytes: Uint8Array): boolean {
    if (this.#pending === undefined) return this.#peer?.send(bytes) ?? false;
    if (this.#unopenedMs !== undefined && performance.now() - this.#unopenedMs > OPEN_AGAIN_MS) {
      this.#open();
    }
    if (this.#pending.length >= MAX_PENDING) return false;
    this.#pending.push(bytes.slice());
    return true;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#peer?.close();
  }
}

function listen(
  host: string,
  port: number,
  receive: (bytes: Uint8Array, from: string) => void,
): Promise<DatagramListener> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(isIPv6(host) ? "udp6" : "udp4");
    socket.once("error", reject);
    socket.on("message", (bytes, { address, port }) =>
      receive(bytes, isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`),
    );
    socket.bind(port, host, () => {
      socket.off("error", reject);
      // A refused datagram of somebody else's is no business of a listener.
      socket.on("error", () => {});
      resolve({ port: socket.address().port, close: () => socket.close() });
    });
  });
}

/** By node:dgram. */
function connectNode(address: string, port: number, failed: (error: Error) => void): Promise<UdpPeer> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
    socket.on("error", failed);
    socket.unref();
    // Called with what the kernel says when there is no way to the address.
    socket.connect(port, address, (error?: Error) => {
      if (error !== undefined) {
        socket.close();
        reject(error);
        return;
      }
      const told = (error: Error | null): void => {
        if (error !== null) failed(error);
      };
      resolve({
        localAddress: socket.address().address,
        send: (bytes) => {
          socket.send(bytes.slice(), told);
          return true;
        },
        close: () => socket.close(),
      });
    });
  });
}

/** `connectUdp`: how sockets to collectors are made, by node:dgram when left out. */
export function makeDatagrams(connectUdp: ConnectUdp = connectNode): Datagrams {
  return {
    listen,
    deviceAddress: (device) => {
      const addresses = networkInterfaces()[device] ?? [];
      return (addresses.find(({ family }) => family === "IPv4") ?? addresses[0])?.address;
    },
    udp: (host, port, events) => new UdpSocket(connectUdp, host, port, events),
  };
}

export const nodeDatagrams: Datagrams = makeDatagrams();
