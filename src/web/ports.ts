/** A bridge's ports with their counters, read once a second while a page looks. */
import type { Clock } from "../lib/clock.ts";
import { formatMac } from "../lib/mac.ts";
import { OFPP_ANY } from "../openflow/actions.ts";
import { type PortStats, UNKNOWN64 } from "../openflow/messages.ts";
import { portName } from "../openflow/ports.ts";
import { PolledFeed } from "./feed.ts";
import type { OpenflowClient } from "./openflow-client.ts";
import type { PortsData, PortTuple } from "./protocol.ts";

const INTERVAL_MS = 1000;

export class PortFeed extends PolledFeed {
  readonly #clock: Clock;
  readonly #client: OpenflowClient;
  #last: PortsData | undefined = undefined;

  constructor(clock: Clock, client: OpenflowClient) {
    super(clock, INTERVAL_MS);
    this.#clock = clock;
    this.#client = client;
  }

  protected override *snapshot(): IterableIterator<PortsData> {
    if (this.#last !== undefined) yield this.#last;
  }

  protected override failed(error: string): void {
    this.#last = { atMs: this.#clock.wall(), ports: [], error };
    this.publish(this.#last);
  }

  protected override async round(): Promise<void> {
    const descriptions = await this.#client.ask(
      { type: "port-desc-request", port: OFPP_ANY },
      "port-desc-reply",
    );
    const statistics = await this.#client.ask({ type: "port-request", port: OFPP_ANY }, "port-reply");
    const counters = new Map<number, PortStats>();
    for (const { ports } of statistics) for (const stats of ports) counters.set(stats.port, stats);
    const ports: PortTuple[] = [];
    for (const part of descriptions) {
      for (const { port, name, hwAddr, config, state, currSpeed } of part.ports) {
        const stats = counters.get(port);
        const count = (key: Exclude<keyof PortStats, "port" | "duration" | "custom">): number => {
          const value = stats?.[key];
          return typeof value !== "bigint" || value === UNKNOWN64 ? 0 : Number(value);
        };
        ports.push([
          port,
          name === "" ? portName(port) : name,
          formatMac(hwAddr),
          config,
          state,
          currSpeed,
          count("rxPackets"),
          count("txPackets"),
          count("rxBytes"),
          count("txBytes"),
          count("rxDropped"),
          count("txDropped"),
          count("rxErrors"),
          count("txErrors"),
        ]);
      }
    }
    this.#last = { atMs: this.#clock.wall(), ports };
    this.publish(this.#last);
  }
}
