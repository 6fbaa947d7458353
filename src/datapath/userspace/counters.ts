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

export function readCounters(counters: Float64Array, mirror: FlowMirror): DpStats {
  return {
    hits: counters[N_HITS]!,
    misses: counters[N_MISSES]!,
    lost: counters[N_LOST]!,
    flows: mirror.size,
    masks: mirror.table.subtables.length,
    maskHits: counters[N_MASKS_LOOKED_AT]!,
    cacheHits: counters[N_EMC_HITS]!,
  };
}

/** Packets dropped so far, by the names of coverage counters. */
export function readDrops(counters: Float64Array): Map<string, number> {
  const drops = new Map<string, number>();
  DATAPATH_DROPS.forEach(({ counter }, i) => void drops.set(counter, counters[N_DROPS + i]!));
  ACTION_DROPS.forEach(({ counter }, i) => void drops.set(counter, counters[N_ACTION_DROPS + i]!));
  return drops;
}
