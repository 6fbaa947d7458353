/** What the kernel's datapath needs of the machine; `commands/kernel-system.ts` fills it in from `src/sys`. */
import type { RouteSocket } from "../../sys/netlink.ts";
import type { NetlinkSocket } from "../../sys/netlink-socket.ts";

export interface KernelSystem {
  /** For generic netlink. `bufferBytes`: how much may wait to be received. Throws an OsError. */
  openSocket(bufferBytes: number): NetlinkSocket;
  /** The same for tables of netfilter. */
  openNetfilter(bufferBytes: number): NetlinkSocket;
  /** For the devices of tunnels. */
  openRoute(): RouteSocket;
  /** CLOCK_MONOTONIC. */
  nowMs(): number;
  /** 32 random bits. */
  random(): number;
}
