/** `Dpif` over the datapath worker; see README.md. */
import type { Clock } from "../../lib/clock.ts";
import type { Dpif } from "../dpif.ts";
import type { SpawnDatapathThread } from "./thread.ts";

export interface WorkerDpifOptions {
  /** "netdev" */
  type: string;
  /** "ovs-netdev" */
  name: string;
  clock: Clock;
  /** From `commands/datapath-thread.ts`. */
  spawn: SpawnDatapathThread;
  /** Told when the worker ends unasked (a defect: all ports are dead then). */
  died?: (reason: string) => void;
}

export function openWorkerDpif(_options: WorkerDpifOptions): Dpif {
  throw new Error("not implemented");
}
