/** Generic netlink for the kernel's own datapath. */
import { type KernelSystem, provideKernelSystem } from "../src/datapath/kernel/system.ts";
import { openGenericSocket } from "../src/sys/generic-netlink.ts";
import { monotonicMs } from "../src/sys/monotonic.ts";

export function openKernelSystem(): KernelSystem {
  return {
    openSocket: openGenericSocket,
    nowMs: monotonicMs,
    random: () => crypto.getRandomValues(new Uint32Array(1))[0]!,
  };
}

provideKernelSystem(openKernelSystem);
