/**
 * Packets a second side by side, in one run, on veth pairs of the same kind: 64-byte UDP with 1 and with 1000 flows
 * through ours, the peer's userspace datapath and the Linux bridge. Rounds take turns; medians of three; prints ratios.
 * `pps.ts --bare` measures our datapath without the switch.
 */
import { forward, type Throughput, withLanes } from "./net.ts";
import { median } from "./side.ts";

const SECONDS = 3;
const ROUNDS = 3;
const bare = process.argv.includes("--bare");
const results = new Map<string, Pick<Throughput, "kpps" | "cpu">>();
await withLanes(bare, async (lanes) => {
  for (const flows of [1, 1000]) {
    const rounds = new Map<string, Throughput[]>(lanes.map(({ who }) => [who, []]));
    for (let round = 0; round <= ROUNDS; round++) {
      for (const { who, hosts, subject } of lanes) {
        const result = await forward(hosts, subject, flows, SECONDS);
        // The first is for warming up.
        if (round > 0) rounds.get(who)!.push(result);
      }
    }
    for (const { who, subject } of lanes) {
      const all = rounds.get(who)!;
      const result = { kpps: median(all.map((r) => r.kpps)), cpu: median(all.map((r) => r.cpu)) };
      results.set(`${who} ${flows}`, result);
      const cpu = Number.isNaN(result.cpu) ? "in the kernel" : `${result.cpu.toFixed(2)} µs CPU a packet`;
      const what = `${flows} flow${flows > 1 ? "s" : ""}`.padEnd(10);
      const each = all.map((r) => r.kpps.toFixed(0)).join(" ");
      console.log(
        `${subject.name.padEnd(26)} ${what} ${result.kpps.toFixed(0).padStart(5)} kpps (${each}), ${cpu}`,
      );
    }
  }
});
for (const flows of [1, 1000]) {
  const ours = results.get(`ours ${flows}`)!.kpps;
  for (const who of ["peer", "bridge"]) {
    const other = results.get(`${who} ${flows}`);
    if (other !== undefined)
      console.log(`ratio to ${who}, ${flows} flow${flows > 1 ? "s" : ""}: ${(ours / other.kpps).toFixed(2)}`);
  }
}
process.exit(0);
