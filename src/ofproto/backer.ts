/**
 * All bridges of one datapath type share one datapath (upstream: `struct dpif_backer`): this owns the Dpif, the map from
 * datapath port numbers to (bridge, OpenFlow port), upcall handling and revalidation.
 */
import type { Dpif, OdpPort } from "../datapath/dpif.ts";
import type { Clock } from "../lib/clock.ts";
import type { Ofproto } from "./ofproto.ts";
import type { Log } from "./types.ts";

export interface BackerOptions {
  /** Datapath type as in Bridge.datapath_type after normalisation: "netdev", "dummy", "system". */
  type: string;
  dpif: Dpif;
  clock: Clock;
  log: Log;
}

export interface UpcallLimits {
  /** other_config:flow-limit (200000). */
  flowLimit: number;
  /** other_config:max-idle in ms (10000). */
  maxIdleMs: number;
  /** other_config:max-revalidator in ms (500). */
  maxRevalidatorMs: number;
}

export class Backer {
  readonly type: string;
  readonly dpif: Dpif;
  readonly clock: Clock;
  readonly log: Log;
  /** Bridges by name, kept by {@link Ofproto}'s constructor and `close`. */
  readonly ofprotos = new Map<string, Ofproto>();

  constructor(options: BackerOptions) {
    this.type = options.type;
    this.dpif = options.dpif;
    this.clock = options.clock;
    this.log = options.log;
  }

  /** Tuning from Open_vSwitch.other_config. */
  setLimits(_limits: UpcallLimits): void {
    throw new Error("not implemented");
  }

  /** Resolves when every change made so far governs every packet: megaflows revalidated, datapath settled. */
  settled(): Promise<void> {
    throw new Error("not implemented");
  }

  /** odp port → bridge and port, undefined for a port that is no bridge's. */
  portOf(_odpPort: OdpPort): { ofproto: Ofproto; ofPort: number } | undefined {
    throw new Error("not implemented");
  }

  /** After the last bridge has gone: detaches from the Dpif (which its owner closes). */
  async close(): Promise<void> {
    throw new Error("not implemented");
  }
}
