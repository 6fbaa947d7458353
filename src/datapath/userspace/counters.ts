/** The datapath's counters as `Dpif.stats` and coverage show them. */
import type { DpStats } from "../dpif.ts";
import { ACTION_DROPS, DATAPATH_DROPS } from "../drop-reasons.ts";
import type { FlowMirror } from "./flow-mirror.ts";
import {
  N_ACTION_DROPS,
  N_DROPS,
  N_EMC_HITS,
  N_HITS,
  N_LOST,
  N_MASKS_LOOKED_AT,
  N_MISSES,
} from "./shared.ts";

/** `lanes` has the counters of each. */
export function readCounters(lanes: readonly Float64Array[], mirror: FlowMirror): DpStats {
  const sum = (index: number): number => lanes.reduce((all, counters) => all + counters[index]!, 0);
  return {
    hits: sum(N_HITS),
    misses: sum(N_MISSES),
    lost: sum(N_LOST),
    flows: mirror.size,
    masks: mirror.table.subtables.length,
    maskHits: sum(N_MASKS_LOOKED_AT),
    cacheHits: sum(N_EMC_HITS),
  };
}

/** Packets dropped so far, by the names of coverage counters. */
export function readDrops(lanes: readonly Float64Array[]): Map<string, number> {
  const sum = (index: number): number => lanes.reduce((all, counters) => all + counters[index]!, 0);
  const drops = new Map<string, number>();
  DATAPATH_DROPS.forEach(({ counter }, i) => void drops.set(counter, sum(N_DROPS + i)));
  ACTION_DROPS.forEach(({ counter }, i) => void drops.set(counter, sum(N_ACTION_DROPS + i)));
  return drops;
}
