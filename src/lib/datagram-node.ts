/** {@link Datagrams} by node:dgram. */
import { createSocket, type Socket } from "node:dgram";
import { lookup } from "node:dns";
import { isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";
import type { DatagramEvents, DatagramListener, DatagramSocket, Datagrams } from "./datagram.ts";

/** Datagrams kept while an address is being resolved. */
const MAX_PENDING = 64;

class UdpSocket implements DatagramSocket {
  localAddress: string | undefined = undefined;
  #socket: Socket | undefined = undefined;
  #pending: Uint8Array[] | undefined = [];
  #closed = false;
  readonly #events: DatagramEvents;

  constructor(host: string, port: number, events: DatagramEvents) {
    this.#events = events;
    lookup(host, (error, address) => {
      if (this.#closed) return;
      if (error !== null) this.#failed(error);
      else this.#connect(address, port);
    });
  }

  #connect(address: string, port: number): void {
    const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
    this.#socket = socket;
    socket.on("error", (error) => this.#failed(error));
    socket.unref();
    socket.connect(port, address, () => {
      if (this.#closed) return;
      this.localAddress = socket.address().address;
      const pending = this.#pending ?? [];
      this.#pending = undefined;
      for (const bytes of pending) this.send(bytes);
      this.#events.connected?.();
    });
  }

  #failed(error: Error): void {
    if (!this.#closed) this.#events.failed?.(error);
  }

  send(bytes: Uint8Array): void {
    if (this.#pending !== undefined) {
      if (this.#pending.length < MAX_PENDING) this.#pending.push(bytes.slice());
      return;
    }
    this.#socket?.send(bytes.slice(), (error) => {
      if (error != null) this.#failed(error);
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      this.#socket?.close();
    } catch {
      // Not bound yet.
    }
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
