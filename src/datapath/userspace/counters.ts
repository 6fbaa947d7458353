/** The datapath's counters as `Dpif.stats` and coverage show them. */
import type { DpStats } from "../dpif.ts";
import type { FlowMirror } from "./flow-mirror.ts";
import { DROP_REASONS, N_DROPS, N_EMC_HITS, N_HITS, N_LOST, N_MASKS_LOOKED_AT, N_MISSES } from "./shared.ts";

export function readCounters(counters: Float64Array, mirror: FlowMirror): DpStats {
  const drops: Record<string, number> = {};
  DROP_REASONS.forEach((reason, index) => {
    const count = counters[N_DROPS + index]!;
    if (count > 0) drops[reason] = count;
  });
  return {
    hits: counters[N_HITS]!,
    misses: counters[N_MISSES]!,
    lost: counters[N_LOST]!,
    flows: mirror.size,
    masks: mirror.table.subtables.length,
    maskHits: counters[N_MASKS_LOOKED_AT]!,
    cacheHits: counters[N_EMC_HITS]!,
    drops,
  };
}
