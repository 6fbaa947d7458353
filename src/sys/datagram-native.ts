/**
 * UDP by the engine's own sockets: a datagram costs 4.4 µs of CPU, nearly all of it the kernel's, where node:dgram, which copies
 * it and calls back, takes 5.5 to 8.
 */
import { isIPv6 } from "node:net";
import type { ConnectUdp } from "../lib/datagram.ts";

export const connectUdp: ConnectUdp = async (hostname, port, failed) => {
  const socket = await Bun.udpSocket({
    // Of the peer's family: without a name it is IPv4's.
    hostname: isIPv6(hostname) ? "::" : "0.0.0.0",
    connect: { hostname, port },
    // A refusal, which comes after the datagram. The engine gives the error alone, its types tell of the socket before it.
    socket: { error: (...args: unknown[]) => failed(args.at(-1) as Error) },
  });
  socket.unref();
  return {
    localAddress: socket.address.address,
    send: (bytes) => {
      try {
        return socket.send(bytes);
      } catch (error) {
        failed(error as Error);
        return true;
      }
    },
    close: () => socket.close(),
  };
};
