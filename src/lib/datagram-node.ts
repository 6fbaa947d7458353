/** {@link Datagrams} by node:dgram. */
import { createSocket, type Socket } from "node:dgram";
import { lookup } from "node:dns";
import { isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";
import type { DatagramEvents, DatagramListener, DatagramSocket, Datagrams } from "./datagram.ts";

/** Datagrams kept while an address is being resolved. */
const MAX_PENDING = 64;
/** A name that could not be resolved, or an address without a way to it, is tried again when something is to be sent. */
const OPEN_AGAIN_MS = 5000;

class UdpSocket implements DatagramSocket {
  localAddress: string | undefined = undefined;
  #socket: Socket | undefined = undefined;
  #pending: Uint8Array[] | undefined = [];
  #closed = false;
  /** When opening failed last. */
  #unopenedMs: number | undefined = undefined;
  readonly #host: string;
  readonly #port: number;
  readonly #events: DatagramEvents;

  constructor(host: string, port: number, events: DatagramEvents) {
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
    const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
    socket.on("error", (error) => this.#failed(error));
    socket.unref();
    const connected = (error?: Error): void => {
      if (error !== undefined && !this.#closed) this.#unopened(error);
      if (error !== undefined || this.#closed) {
        socket.close();
        return;
      }
      this.#socket = socket;
      this.localAddress = socket.address().address;
      const pending = this.#pending ?? [];
      this.#pending = undefined;
      for (const bytes of pending) this.send(bytes);
      this.#events.connected?.();
    };
    // Called with what the kernel says when there is no way to the address.
    socket.connect(port, address, connected);
  }

  #failed(error: Error): void {
    if (!this.#closed) this.#events.failed?.(error);
  }

  send(bytes: Uint8Array): boolean {
    if (this.#pending === undefined) {
      this.#socket?.send(bytes.slice(), (error) => {
        if (error != null) this.#failed(error);
      });
      return true;
    }
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
    this.#socket?.close();
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

export const nodeDatagrams: Datagrams = {
  listen,
  deviceAddress: (device) => {
    const addresses = networkInterfaces()[device] ?? [];
    return (addresses.find(({ family }) => family === "IPv4") ?? addresses[0])?.address;
  },
  udp: (host, port, events) => new UdpSocket(host, port, events),
};
