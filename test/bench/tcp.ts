/**
 * TCP throughput side by side, in one run, with iperf3 over veth pairs of the same kind: with offloads as the kernel
 * sets them and with checksum and segmentation offload off, through ours, the peer's userspace datapath and the Linux bridge.
 * Rounds take turns; medians of three; prints ratios. `tcp.ts --bare` measures our datapath without the switch.
 */
import { type Hosts, inside, type Subject, withLanes } from "./net.ts";
import { median } from "./side.ts";
import { tcpOnce } from "./tcp-run.ts";

const SECONDS = 4;
const ROUNDS = 3;
const bare = process.argv.includes("--bare");
interface Result {
  gbits: number;
  /** CPU seconds of the switch a gigabyte. */
  cpu: number;
}

async function once(hosts: Hosts, subject: Subject): Promise<Result> {
  const cpuBefore = subject.cpuSeconds();
  const bits = await tcpOnce(hosts, SECONDS);
  const gigabytes = (bits * SECONDS) / 8e9;
  return { gbits: bits / 1e9, cpu: (subject.cpuSeconds() - cpuBefore) / gigabytes };
}

const results = new Map<string, Result>();
await withLanes(bare, async (lanes) => {
  for (const offloads of ["on", "off"]) {
    const rounds = new Map<string, Result[]>(lanes.map(({ who }) => [who, []]));
    if (offloads === "off") {
      const off = ["tx", "rx", "tso", "gso"].flatMap((feature) => [feature, "off"]);
      for (const { hosts } of lanes)
        for (const ns of hosts.namespaces) inside(ns, "ethtool", "-K", "eth0", ...off);
    }
    for (let round = 0; round < ROUNDS; round++) {
      for (const { who, hosts, subject } of lanes) rounds.get(who)!.push(await once(hosts, subject));
    }
    for (const { who, subject } of lanes) {
      const all = rounds.get(who)!;
      const result = { gbits: median(all.map((r) => r.gbits)), cpu: median(all.map((r) => r.cpu)) };
      results.set(`${who} ${offloads}`, result);
      const cpu = Number.isFinite(result.cpu)
        ? `${result.cpu.toFixed(2)} CPU s a GB`
        : result.gbits === 0
          ? "stalls"
          : "in the kernel";
      const each = all.map((r) => r.gbits.toFixed(2)).join(" ");
      console.log(
        `${subject.name.padEnd(26)} offloads ${offloads.padEnd(3)} ${result.gbits.toFixed(2).padStart(6)} Gbit/s (${each}), ${cpu}`,
      );
    }
  }
});
for (const offloads of ["on", "off"]) {
  const ours = results.get(`ours ${offloads}`)!.gbits;
  for (const who of ["peer", "bridge"]) {
    const other = results.get(`${who} ${offloads}`);
    if (other === undefined) continue;
    const ratio = other.gbits === 0 ? "beyond measure, it stalls" : (ours / other.gbits).toFixed(2);
    console.log(`ratio to ${who}, offloads ${offloads}: ${ratio}`);
  }
}
process.exit(0);
