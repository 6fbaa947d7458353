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
  /** False when it was not taken, and is lost. */
  send(bytes: Uint8Array): boolean;
  readonly localAddress: string | undefined;
  close(): void;
}

interface Collector {
  transport: Transport;
  /** Messages handed over, and those of them that are known to be lost. */
  sent: number;
  lost: number;
  /** Since the last look. */
  sentLately: boolean;
  refusedLately: boolean;
  /** What is wrong: said once, until something gets through again. */
  problem: string | undefined;
}

export interface CollectorStatus {
  target: string;
  sent: number;
  lost: number;
  problem: string | undefined;
}

/** Targets of one exporter; opened anew when they change. */
export class Collectors {
  readonly #datagrams: Datagrams;
  readonly #defaultPort: number;
  readonly #warn: Warn;
  readonly #connections: { clock: Clock; streams: StreamFactory } | undefined;
  readonly #open = new Map<string, Collector>();
  /** Targets that are no addresses, and why. */
  readonly #bad = new Map<string, string>();
  /** Called when a collector that had refused datagrams may be back. */
  returned: (() => void) | undefined = undefined;
  /** What a new connection begins with; for exporters that may send over one ("tcp:" and "ssl:" targets). */
  preamble: () => readonly Uint8Array[] = () => [];
  /** Of targets that are no more. */
  #sentBefore = 0;
  #lostBefore = 0;

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

  /** Messages handed over. */
  get sent(): number {
    let sent = this.#sentBefore;
    for (const collector of this.#open.values()) sent += collector.sent;
    return sent;
  }

  /** Those of them that were refused or could not be kept. */
  get errors(): number {
    let lost = this.#lostBefore;
    for (const collector of this.#open.values()) lost += collector.lost;
    return lost;
  }

  /** Each target's, in no order. */
  status(): CollectorStatus[] {
    return [
      ...[...this.#open].map(([target, { sent, lost, problem }]) => ({ target, sent, lost, problem })),
      ...[...this.#bad].map(([target, problem]) => ({ target, sent: 0, lost: 0, problem })),
    ];
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
    for (const [target, { transport, sent, lost }] of this.#open) {
      if (targets.includes(target)) continue;
      transport.close();
      this.#sentBefore += sent;
      this.#lostBefore += lost;
      this.#open.delete(target);
      changed = true;
    }
    for (const target of this.#bad.keys()) if (!targets.includes(target)) this.#bad.delete(target);
    for (const target of targets) {
      if (this.#open.has(target) || this.#bad.has(target)) continue;
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
      this.#bad.set(target, "Invalid argument");
      return undefined;
    }
    const collector = opened(
      this.#datagrams.udp(address.host, port, {
        failed: (error) => {
          collector.lost++;
          this.#tell(collector, target, describeError(error));
        },
      }),
    );
    return collector;
  }

  #stream(name: string, { clock, streams }: { clock: Clock; streams: StreamFactory }): Collector {
    const failed = (reason: string): void => this.#tell(collector, name, reason);
    const preamble = (): readonly Uint8Array[] => {
      collector.problem = undefined;
      return this.preamble();
    };
    const collector = opened(new StreamCollector({ clock, streams, name, preamble, failed }));
    return collector;
  }

  /** Once, until something gets through again. */
  #tell(collector: Collector, target: string, reason: string): void {
    if (collector.problem === undefined) this.#warn(`${target}: sending to collector failed (${reason})`);
    collector.problem = reason;
    collector.refusedLately = true;
  }

  /** One message to each. */
  send(bytes: Uint8Array): void {
    for (const collector of this.#open.values()) {
      collector.sent++;
      collector.sentLately = true;
      if (!collector.transport.send(bytes)) collector.lost++;
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
      back ||= collector.refusedLately;
      // Told again only when something has got through in between: what waits for an address has not.
      const through = collector.sentLately && collector.transport.localAddress !== undefined;
      if (through && !collector.refusedLately) collector.problem = undefined;
      collector.sentLately = false;
      collector.refusedLately = false;
    }
    if (back) this.returned?.();
  }

  close(): void {
    this.set([]);
  }
}

function opened(transport: Transport): Collector {
  return { transport, sent: 0, lost: 0, sentLately: false, refusedLately: false, problem: undefined };
}
