/** Whom an exporter sends its datagrams to: the `targets` column of sFlow, NetFlow and IPFIX (upstream: `ofproto/collectors.c`). */
import type { Clock } from "../lib/clock.ts";
import type { Datagrams } from "../lib/datagram.ts";
import { describeError } from "../lib/errors.ts";
import type { StreamFactory } from "../lib/stream.ts";
import { splitAddress } from "../lib/stream-name.ts";
import { StreamCollector } from "./stream-collector.ts";

export type Warn = (message: string) => void;

/** UDP, or a connection. */
interface Transport {
  send(bytes: Uint8Array): void;
  readonly localAddress: string | undefined;
  close(): void;
}

interface Collector {
  transport: Transport;
  /** The last datagram was refused: said once, until one gets through again. */
  refused: boolean;
}

/** Targets of one exporter; opened anew when they change. */
export class Collectors {
  readonly #datagrams: Datagrams;
  readonly #defaultPort: number;
  readonly #warn: Warn;
  readonly #connections: { clock: Clock; streams: StreamFactory } | undefined;
  readonly #open = new Map<string, Collector>();
  /** Called when a collector that had refused datagrams may be back. */
  returned: (() => void) | undefined = undefined;
  /** What a new connection begins with; for exporters that may send over one ("tcp:" and "ssl:" targets). */
  preamble: () => readonly Uint8Array[] = () => [];
  /** Messages handed over, and those that were refused. */
  sent = 0;
  #refused = 0;

  /** `connections`: for "tcp:HOST:PORT" and "ssl:HOST:PORT"; undefined: UDP only. */
  constructor(
    datagrams: Datagrams,
    defaultPort: number,
    warn: Warn,
    connections?: { clock: Clock; streams: StreamFactory },
  ) {
    this.#datagrams = datagrams;
    this.#defaultPort = defaultPort;
    this.#warn = warn;
    this.#connections = connections;
  }

  get errors(): number {
    let lost = this.#refused;
    for (const { transport } of this.#open.values())
      if (transport instanceof StreamCollector) lost += transport.lost;
    return lost;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Numeric address that datagrams to the first collector leave from, once known. */
  get localAddress(): string | undefined {
    for (const { transport } of this.#open.values()) return transport.localAddress;
    return undefined;
  }

  /** Keeps what is in both, opens what is new ("HOST[:PORT]"), closes the rest. True when anything changed. */
  set(targets: readonly string[]): boolean {
    let changed = false;
    for (const [target, { transport }] of this.#open) {
      if (targets.includes(target)) continue;
      transport.close();
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
    const over = /^(tcp|ssl):/.test(target) ? this.#connections : undefined;
    if (over !== undefined) return this.#stream(target, over);
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
      transport: this.#datagrams.udp(address.host, port, {
        failed: (error) => {
          this.#refused++;
          this.#tell(collector, target, describeError(error));
        },
      }),
    };
    return collector;
  }

  #stream(name: string, { clock, streams }: { clock: Clock; streams: StreamFactory }): Collector {
    const failed = (reason: string): void => this.#tell(collector, name, reason);
    const preamble = (): readonly Uint8Array[] => {
      collector.refused = false;
      return this.preamble();
    };
    const collector: Collector = {
      refused: false,
      transport: new StreamCollector({ clock, streams, name, preamble, failed }),
    };
    return collector;
  }

  /** Once, until something gets through again. */
  #tell(collector: Collector, target: string, reason: string): void {
    if (!collector.refused) this.#warn(`${target}: sending to collector failed (${reason})`);
    collector.refused = true;
  }

  /** One message to each. */
  send(bytes: Uint8Array): void {
    for (const collector of this.#open.values()) {
      collector.transport.send(bytes);
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
      if (collector.transport instanceof StreamCollector) continue;
      back ||= collector.refused;
      collector.refused = false;
    }
    if (back) this.returned?.();
  }

  close(): void {
    this.set([]);
  }
}
