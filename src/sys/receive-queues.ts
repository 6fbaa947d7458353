/** Receive queues of a network device, as sysfs shows them (Documentation/ABI/testing/sysfs-class-net-queues). */
import { readdirSync } from "node:fs";

/** At least 1, also of a device that sysfs does not show. */
export function receiveQueues(name: string): number {
  try {
    const queues = readdirSync(`/sys/class/net/${name}/queues`).filter((queue) => queue.startsWith("rx-"));
    return Math.max(1, queues.length);
  } catch {
    return 1;
  }
}
