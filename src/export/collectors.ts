/** Whom an exporter sends its datagrams to: the `targets` column of sFlow, NetFlow and IPFIX (upstream: `ofproto/collectors.c`). */
import type { DatagramSocket, Datagrams } from "../lib/datagram.ts";
import { splitAddress } from "../lib/stream-name.ts";

export type Warn = (message: string) => void;

interface Collector {
  socket: DatagramSocket;
  /** The last datagram was refused: said once, until one gets through again. */
  refused: boolean;
}

/** Targets of one exporter; opened anew when they change. */
export class Collectors {
  readonly #datagrams: Datagrams;
  readonly #defaultPort: number;
  readonly #warn: Warn;
  readonly #open = new Map<string, Collector>();
  /** Called when a collector that had refused datagrams may be back. */
  returned: (() => void) | undefined = undefined;
  /** Datagrams handed to the kernel, and those that it refused. */
  sent = 0;
  errors = 0;

  constructor(datagrams: Datagrams, defaultPort: number, warn: Warn) {
    this.#datagrams = datagrams;
    this.#defaultPort = defaultPort;
    this.#warn = warn;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Numeric address that datagrams to the first collector leave from, once known. */
  get localAddress(): string | undefined {
    for (const { socket } of this.#open.values()) return socket.localAddress;
    return undefined;
  }

  /** Keeps what is in both, opens what is new ("HOST[:PORT]"), closes the rest. True when anything changed. */
  set(targets: readonly string[]): boolean {
    let changed = false;
    for (const [target, { socket }] of this.#open) {
      if (targets.includes(target)) continue;
      socket.close();
      this.#open.delete(target);
      changed = true;
    }
    for (const target of targets) {
      if (this.#open.has(target)) continue;
      const collector = this.#connect(target);
      if (collector === undefined) continue;
      this.#open.set(target, collector);
      changed = true;
    }
    return changed;
  }

  #connect(target: string): Collector | undefined {
    const address = splitAddress(target);
    const port = address?.port === "" ? this.#defaultPort : Number(address?.port);
    if (
      address === undefined ||
      address.host === "" ||
      !(port > 0 && port < 65536) ||
      !Number.isInteger(port)
    ) {
      this.#warn(`couldn't open connection to collector ${target} (Invalid argument)`);
      return undefined;
    }
    const collector: Collector = {
      refused: false,
      socket: this.#datagrams.udp(address.host, port, {
        failed: (error) => {
          this.errors++;
          if (!collector.refused) this.#warn(`${target}: sending to collector failed (${error.message})`);
          collector.refused = true;
        },
      }),
    };
    return collector;
  }

  /** One datagram to each. */
  send(bytes: Uint8Array): void {
    for (const collector of this.#open.values()) {
      collector.socket.send(bytes);
      this.sent++;
    }
  }

  /**
   * To be called now and then: a collector that refused before and has not since is taken for returned, since nothing
   * else tells when somebody listens again.
   */
  forgetRefusals(): void {
    let back = false;
    for (const collector of this.#open.values()) {
      back ||= collector.refused;
      collector.refused = false;
    }
    if (back) this.returned?.();
  }

  close(): void {
    this.set([]);
  }
}
