/** Netlink for the kernel's own datapath. */
import type { KernelSystem } from "../src/datapath/kernel/system.ts";
import { monotonicMs } from "../src/sys/monotonic.ts";
import { openRouteSocket } from "../src/sys/netlink.ts";
import { NETLINK_GENERIC, NETLINK_NETFILTER, openNetlink } from "../src/sys/netlink-socket.ts";
import { realRandom } from "../src/sys/random.ts";

export function openKernelSystem(): KernelSystem {
  return {
    openSocket: (bufferBytes) => openNetlink(NETLINK_GENERIC, { bufferBytes }),
    openNetfilter: (bufferBytes) => openNetlink(NETLINK_NETFILTER, { bufferBytes }),
    openRoute: openRouteSocket,
    nowMs: monotonicMs,
    random: realRandom.u32,
  };
}
