/** Datagrams to one peer each, for exporters; made in `datagram-node.ts`. */

export interface DatagramSocket {
  /** `bytes` is copied or sent before this returns; a failure is told to `failed`. False when it was not taken at all. */
  send(bytes: Uint8Array): boolean;
  /** Numeric address of this side, once connected. */
  readonly localAddress: string | undefined;
  close(): void;
}

export interface DatagramEvents {
  /** The socket is connected: sending works from now on; what was sent before has been kept, a few datagrams of it. */
  connected?(): void;
  /** The kernel's word on a datagram sent before ("ECONNREFUSED": nobody listens) or on the address. */
  failed?(error: Error): void;
}

/** A connected socket. */
export interface UdpPeer {
  readonly localAddress: string;
  /** As {@link DatagramSocket.send}. */
  send(bytes: Uint8Array): boolean;
  close(): void;
}

/**
 * Connects to a numeric address; `failed` is told what the kernel says of datagrams sent. Rejects with an Error whose `code` is the
 * errno name when there is no way to the address. Keeps no process alive.
 */
export type ConnectUdp = (address: string, port: number, failed: (error: Error) => void) => Promise<UdpPeer>;

export interface DatagramListener {
  /** The bound port, which the kernel chose where 0 was asked for. */
  readonly port: number;
  close(): void;
}

export interface Datagrams {
  /** UDP to a numeric address or a name. Never throws: what is wrong with the address is told to `events.failed`. */
  udp(host: string, port: number, events: DatagramEvents): DatagramSocket;
  /** Numeric address of a network device, IPv4 before IPv6. */
  deviceAddress(device: string): string | undefined;
  /**
   * Receives on a numeric address; `bytes` belongs to the callee, `from` is ADDRESS:PORT. Resolves when bound, rejects with
   * an Error whose `code` is the errno name. Keeps the process alive until closed.
   */
  listen(
    host: string,
    port: number,
    receive: (bytes: Uint8Array, from: string) => void,
  ): Promise<DatagramListener>;
}
