/** bpf(2) for the eBPF datapath. */
import { readFileSync } from "node:fs";
import type { EbpfSystem } from "../src/datapath/ebpf/system.ts";
import { attach, type BpfProgram, createMap, ifindexOf, loadProgram } from "../src/sys/bpf.ts";
import { monotonicMs } from "../src/sys/monotonic.ts";

/** Processors that there may ever be, from a list like "0-3,8". */
function possibleProcessors(): number {
  const text = readFileSync("/sys/devices/system/cpu/possible", "utf8").trim();
  return Math.max(...text.split(/[-,]/).map(Number)) + 1;
}

export function openEbpfSystem(): EbpfSystem {
  return {
    processors: possibleProcessors(),
    createMap,
    loadProgram,
    attach: (program, ifindex, egress) => {
      const link = attach(program as BpfProgram, ifindex, egress);
      return { update: (next) => link.update(next as BpfProgram), close: () => link.close() };
    },
    ifindexOf,
    nowMs: monotonicMs,
  };
}
