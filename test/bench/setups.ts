/**
 * Flow set-ups a second side by side, in one run: every frame is of a flow that was never seen, so that each needs a
 * translation, and a megaflow while there is room for it. Frames come as fast as one core sends; what arrives is counted.
 *
 * - ports: a table that matches on each source port sends on to one that matches on each destination port; a megaflow
 *   matches on both.
 * - NORMAL: the MAC learning switch, with `upcall/disable-megaflows`, or its megaflow would serve all.
 *
 * Both with limits as they are by default, and with room for 200 000 megaflows from the start. Ours twice: in userspace, and with
 * programs in the kernel that hand frames up through a ring buffer. Rounds take turns; prints medians of five, and the median
 * of the rounds' ratios with their spread.
 * `setups.ts [--rounds=N] [WORD]` runs only what has the word in its name.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  forward,
  type Hosts,
  type Lane,
  ovsSwitch,
  type SwitchSubject,
  type Throughput,
  withSubjects,
} from "./net.ts";
import { reportRounds } from "./side.ts";

const SECONDS = 3;
const ROUNDS = Number(process.argv.find((word) => word.startsWith("--rounds="))?.slice(9) ?? 5);
const PORTS = 4096;
const FLOWS = PORTS * PORTS;

interface Scenario {
  readonly name: string;
  readonly pipeline: "ports" | "normal";
  readonly limit: number | undefined;
}

const SCENARIOS: readonly Scenario[] = [
  { name: "ports", pipeline: "ports", limit: undefined },
  { name: "NORMAL", pipeline: "normal", limit: undefined },
  { name: "ports, roomy", pipeline: "ports", limit: 200_000 },
  { name: "NORMAL, roomy", pipeline: "normal", limit: 200_000 },
];

function portTables(folder: string): string {
  const lines = ["table=0,priority=1,actions=NORMAL"];
  for (let i = 0; i < PORTS; i++) {
    lines.push(`table=0,priority=10,udp,tp_src=${1024 + i},actions=goto_table:1`);
    lines.push(`table=1,priority=10,udp,tp_dst=${9 + i},actions=output:2`);
  }
  const path = join(folder, "ports.txt");
  writeFileSync(path, `${lines.join("\n")}\n`);
  return path;
}

function configure({ subject: { side, bridge } }: Lane<SwitchSubject>, { pipeline, limit }: Scenario): void {
  side.run("ovs-ofctl", "del-flows", bridge);
  if (pipeline === "normal") side.run("ovs-ofctl", "add-flow", bridge, "actions=NORMAL");
  else side.run("ovs-ofctl", "-O", "OpenFlow13", "add-flows", bridge, portTables(side.folder));
  const ctl = (...args: string[]) => side.run("ovs-appctl", "-t", join(side.folder, "vswitchd.ctl"), ...args);
  ctl(pipeline === "normal" ? "upcall/disable-megaflows" : "upcall/enable-megaflows");
  ctl("upcall/set-flow-limit", String(limit ?? 10_000));
  ctl("revalidator/purge");
}

let nextFlow = 0;

async function once({ hosts, subject }: Lane<SwitchSubject>): Promise<Throughput> {
  const first = nextFlow;
  // More than one core sends in that time.
  nextFlow = (nextFlow + 1_000_000 * SECONDS) % FLOWS;
  return forward(hosts, subject, FLOWS, SECONDS, 0, first);
}

const word = process.argv.slice(2).find((each) => !each.startsWith("--")) ?? "";
const subjects = {
  ours: (hosts: Hosts) => ovsSwitch("ours", hosts),
  ebpf: (hosts: Hosts) => ovsSwitch("ours", hosts, "ebpf"),
  peer: (hosts: Hosts) => ovsSwitch("peer", hosts),
};
await withSubjects<SwitchSubject>(subjects, async (lanes) => {
  for (const scenario of SCENARIOS) {
    if (!scenario.name.includes(word)) continue;
    const rounds = new Map<string, Throughput[]>(lanes.map(({ who }) => [who, []]));
    for (const lane of lanes) {
      lane.subject.side.run(
        "ovs-vsctl",
        "set",
        "bridge",
        lane.subject.bridge,
        "protocols=OpenFlow10,OpenFlow13",
      );
      configure(lane, scenario);
    }
    for (let round = 0; round <= ROUNDS; round++) {
      for (const lane of lanes) {
        const result = await once(lane);
        // The first is for warming up.
        if (round > 0) rounds.get(lane.who)!.push(result);
      }
    }
    for (const { who, subject } of lanes) {
      const all = rounds.get(who)!;
      const each = all.map(({ kpps, cpu }) => `${kpps.toFixed(1)}k/${cpu.toFixed(1)}`).join(" ");
      console.log(`${subject.name.padEnd(26)} ${scenario.name}: ${each} (set-ups a second/µs CPU each)`);
    }
    const theirs = rounds.get("peer");
    if (theirs === undefined) continue;
    for (const who of ["ours", "ebpf"]) {
      const ours = rounds.get(who)!;
      const name = who === "ours" ? scenario.name : `${scenario.name}, eBPF`;
      const of = (what: "kpps" | "cpu") =>
        [ours, theirs].map((all) => all.map((each) => each[what])) as [number[], number[]];
      reportRounds(`flow set-ups, ${name}`, "k/s", ...of("kpps"), "more");
      reportRounds(`CPU a flow set-up, ${name}`, "µs", ...of("cpu"), "less");
    }
  }
});
process.exit(0);
