/** Generic netlink for the kernel's own datapath. */
import { type KernelSystem, provideKernelSystem } from "../src/datapath/kernel/system.ts";
import { openGenericSocket } from "../src/sys/generic-netlink.ts";
import { monotonicMs } from "../src/sys/monotonic.ts";
import { realRandom } from "../src/sys/random.ts";

export function openKernelSystem(): KernelSystem {
  return {
    openSocket: openGenericSocket,
    nowMs: monotonicMs,
    random: realRandom.u32,
  };
}

provideKernelSystem(openKernelSystem);
