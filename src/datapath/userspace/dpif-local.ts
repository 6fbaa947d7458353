/** `Dpif` in this thread, over ports that live in it (netdev.local): dummy datapaths and tests; see README.md. */
import type { Clock } from "../../lib/clock.ts";
import type { Dpif } from "../dpif.ts";

export interface LocalDpifOptions {
  /** "dummy", or "netdev" or "system" where dummy stands in for them. */
  type: string;
  name: string;
  clock: Clock;
}

export function openLocalDpif(_options: LocalDpifOptions): Dpif {
  throw new Error("not implemented");
}
