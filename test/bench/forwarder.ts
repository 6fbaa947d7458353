/** forwarder.ts PORT PORT: our userspace datapath with one static flow each way, without a switch around it. */
import { datapathThreads } from "../../commands/datapath-thread.ts";
import { ODP_OUTPUT } from "../../src/datapath/odp/actions.ts";
import { openWorkerDpif } from "../../src/datapath/userspace/dpif-worker.ts";
import { FLOW_DP_WORDS, W_IN_PORT } from "../../src/flow/layout.ts";
import type { Clock } from "../../src/lib/clock.ts";
import type { Netdev } from "../../src/netdev/netdev.ts";

const after = (ms: number, run: () => void) => {
  const timer = setTimeout(run, ms);
  return { cancel: () => clearTimeout(timer) };
};
const clock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after,
  background: after,
  soon: (run) => void setImmediate(run),
};
const dpif = openWorkerDpif({
  type: "netdev",
  name: "ovs-netdev",
  clock,
  threads: datapathThreads,
  died(reason) {
    console.error(reason);
    process.exit(1);
  },
});
const device = (name: string) => ({ name, type: "system", local: undefined }) as unknown as Netdev;
const ports = [];
for (const name of process.argv.slice(2)) ports.push(await dpif.portAdd(device(name), undefined));
for (const [from, to] of [ports, [...ports].reverse()]) {
  const key = new Int32Array(FLOW_DP_WORDS);
  const mask = new Int32Array(FLOW_DP_WORDS);
  key[W_IN_PORT] = from!;
  mask[W_IN_PORT] = -1;
  dpif.flowPut(key, mask, Int32Array.of(ODP_OUTPUT, 3, to!));
}
await dpif.settled();
setInterval(async () => {
  if (process.env.VERBOSE !== undefined) console.log(JSON.stringify(await dpif.stats()));
}, 1000);
