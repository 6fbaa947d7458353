/** The maps that live as long as the datapath: their kinds and sizes. */
import type { BpfMapSpec } from "../../sys/bpf.ts";
import { farEndsBytes } from "./far-ends.ts";
import {
  COUNTER_BYTES,
  JOURNAL_BYTES,
  MAP_COUNTERS,
  MAP_FAR_ENDS,
  MAP_JOURNAL,
  MAP_METERS,
  MAP_POLICING,
  MAP_PORTS,
  MAP_PROGRAMS,
  MAP_STATS,
  MAP_UPCALLS,
  MAX_BPF_FLOWS,
  MAX_BPF_METERS,
  MAX_BPF_PORTS,
  METER_BYTES,
  POLICING_BYTES,
  PORT_BYTES,
  PROGRAM_SLOTS,
  UPCALL_RING_BYTES,
} from "./programs/layout.ts";
import { rowsBytes } from "./rows.ts";
import { F_MMAPABLE, F_NO_PREALLOC, MAP_ARRAY, MAP_HASH, MAP_PROG_ARRAY, MAP_RINGBUF } from "./system.ts";

function spec(
  name: string,
  type: number,
  keyBytes: number,
  valueBytes: number,
  entries: number,
  flags: number,
): BpfMapSpec {
  return { name, type, keyBytes, valueBytes, entries, flags };
}

/** Processors that there are rows of statistics for, a power of two: programs mask the processor's number. */
export function rowProcessors(processors: number): number {
  return 2 ** Math.ceil(Math.log2(processors));
}

/** Those that a later run needs to take over; `processors` is a power of two. */
export function pinnedSpecs(processors: number): BpfMapSpec[] {
  return [
    spec(MAP_STATS, MAP_ARRAY, 4, rowsBytes(processors), 1, F_MMAPABLE),
    spec(MAP_COUNTERS, MAP_ARRAY, 4, COUNTER_BYTES, 1, F_MMAPABLE),
    spec(MAP_PROGRAMS, MAP_PROG_ARRAY, 4, 4, PROGRAM_SLOTS, 0),
    spec(MAP_PORTS, MAP_HASH, 4, PORT_BYTES, MAX_BPF_PORTS, F_NO_PREALLOC),
    spec(MAP_JOURNAL, MAP_ARRAY, 4, JOURNAL_BYTES, MAX_BPF_FLOWS, F_MMAPABLE),
  ];
}

export const PINNED_MAPS = 5;

export function otherSpecs(processors: number): BpfMapSpec[] {
  return [
    spec(MAP_FAR_ENDS, MAP_ARRAY, 4, farEndsBytes(processors), 1, F_MMAPABLE),
    spec(MAP_UPCALLS, MAP_RINGBUF, 0, 0, UPCALL_RING_BYTES, 0),
    spec(MAP_METERS, MAP_HASH, 4, METER_BYTES, MAX_BPF_METERS, F_NO_PREALLOC),
    spec(MAP_POLICING, MAP_HASH, 4, POLICING_BYTES, MAX_BPF_PORTS, F_NO_PREALLOC),
  ];
}

/** Flows under one mask. */
export function flowMapSpec(name: string, keyBytes: number, valueBytes: number, entries: number): BpfMapSpec {
  return spec(name, MAP_HASH, keyBytes, valueBytes, entries, F_NO_PREALLOC);
}
