/**
 * 100 000 megaflows side by side, in one run: what each costs in memory, and how long a change of tables takes to govern them
 * all. The pipeline matches on source ports, then on destination ports, then has one rule that sends; that rule is changed to
 * drop while a probe sends frames of all flows in turn. The last frame that leaves by the old rule tells the time.
 *
 * Memory: what the daemon's resident memory grows by from 5000 megaflows to all. CPU: what the daemon uses in the three
 * seconds after the change more than in the three before, under the same probe. Rounds take turns; medians of five; prints ratios.
 */
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { forward, type Lane, type SwitchSubject, sleep, startTraffic, withSwitches } from "./net.ts";
import { median, program, report } from "./side.ts";

const FLOWS = 100_000;
const WARM = 5000;
const FILL_RATE = 10_000;
const PROBE_RATE = 5000;
const WINDOW_MS = 3000;
const ROUNDS = 5;
/** Rules of either port; as in traffic.ts. */
const SOURCES = 4096;
const TARGETS = Math.ceil(FLOWS / SOURCES);

type Target = Lane<SwitchSubject>;

function control({ subject: { side } }: Target, ...args: string[]): string {
  return side.run("ovs-appctl", "-t", join(side.folder, "vswitchd.ctl"), ...args);
}

function megaflows(lane: Target): number {
  return Number(/\(current (\d+)\)/.exec(control(lane, "upcall/show"))?.[1] ?? 0);
}

function configure(lane: Target): void {
  const { side, bridge } = lane.subject;
  side.run("ovs-vsctl", "set", "bridge", bridge, "protocols=OpenFlow10,OpenFlow13");
  side.run("ovs-vsctl", "set", "Open_vSwitch", ".", "other_config:max-idle=3600000");
  const lines = ["table=0,priority=1,actions=NORMAL", "table=2,actions=output:2"];
  for (let i = 0; i < SOURCES; i++)
    lines.push(`table=0,priority=10,udp,tp_src=${1024 + i},actions=goto_table:1`);
  for (let i = 0; i < TARGETS; i++)
    lines.push(`table=1,priority=10,udp,tp_dst=${9 + i},actions=goto_table:2`);
  const path = join(side.folder, "flows.txt");
  writeFileSync(path, `${lines.join("\n")}\n`);
  side.run("ovs-ofctl", "del-flows", bridge);
  side.run("ovs-ofctl", "-O", "OpenFlow13", "add-flows", bridge, path);
  control(lane, "upcall/set-flow-limit", "200000");
}

/** Sends each flow's frame until (nearly) all are installed. */
async function fill(lane: Target, flows: number): Promise<void> {
  for (let i = 0; i < 30 && megaflows(lane) < flows * 0.995; i++) {
    await forward(lane.hosts, lane.subject, FLOWS, flows / FILL_RATE, FILL_RATE);
    control(lane, "upcall/set-flow-limit", "200000");
  }
}

/** Bytes a megaflow. */
async function memory(lane: Target): Promise<number> {
  const { side } = lane.subject;
  await fill(lane, WARM);
  await sleep(1000);
  const before = side.residentKb("ovs-vswitchd");
  const warm = megaflows(lane);
  await fill(lane, FLOWS);
  await sleep(1000);
  const flows = megaflows(lane) - warm;
  console.log(`${lane.subject.name}: ${flows + warm} megaflows`);
  return ((side.residentKb("ovs-vswitchd") - before) * 1024) / flows;
}

/** Frames that have left by the second port. */
function sent(lane: Target): number {
  return Number(readFileSync(`/sys/class/net/${lane.hosts.ports[1]}/statistics/tx_packets`, "utf8"));
}

interface Result {
  ms: number;
  cpuMs: number;
}

/** With the same ovs-ofctl on either switch, so that the clients' own start does not count. */
function modify(lane: Target, actions: string): Promise<void> {
  const { side, bridge } = lane.subject;
  const args = ["-O", "OpenFlow13", "mod-flows", bridge, `table=2,actions=${actions}`];
  return new Promise((resolve, reject) => {
    const child = spawn(program("peer", "ovs-ofctl"), args, { env: side.env, stdio: "inherit" });
    child.on("error", reject);
    child.on("close", (status) => (status === 0 ? resolve() : reject(new Error("mod-flows failed"))));
  });
}

async function once(lane: Target): Promise<Result> {
  const { subject } = lane;
  const seconds = (2 * WINDOW_MS) / 1000 + 1;
  const traffic = startTraffic(lane.hosts, FLOWS, seconds, PROBE_RATE);
  await sleep(700);
  const cpuFirst = subject.cpuSeconds();
  await sleep(WINDOW_MS);
  const cpuBefore = subject.cpuSeconds();
  const began = performance.now();
  let last = sent(lane);
  let lastMs = 0;
  const modified = modify(lane, "drop");
  while (performance.now() - began < WINDOW_MS) {
    await sleep(1);
    const now = sent(lane);
    if (now === last) continue;
    last = now;
    lastMs = performance.now() - began;
  }
  const cpuMs = (subject.cpuSeconds() - cpuBefore - (cpuBefore - cpuFirst)) * 1000;
  await modified;
  await traffic;
  await modify(lane, "output:2");
  control(lane, "revalidator/wait");
  return { ms: lastMs, cpuMs };
}

await withSwitches(async (lanes) => {
  const bytes = new Map<string, number>();
  const rounds = new Map<string, Result[]>(lanes.map(({ who }) => [who, []]));
  for (const lane of lanes) {
    configure(lane);
    bytes.set(lane.who, await memory(lane));
  }
  for (let round = 0; round <= ROUNDS; round++) {
    for (const lane of lanes) {
      await fill(lane, FLOWS);
      const result = await once(lane);
      // The first is for warming up.
      if (round > 0) rounds.get(lane.who)!.push(result);
    }
  }
  for (const { who, subject } of lanes) {
    const each = rounds.get(who)!.map(({ ms, cpuMs }) => `${ms.toFixed(0)}/${cpuMs.toFixed(0)}`);
    console.log(`${subject.name.padEnd(26)} ${each.join(" ")} (ms until all follow/ms CPU)`);
  }
  const ours = rounds.get("ours")!;
  const theirs = rounds.get("peer");
  if (theirs === undefined) return;
  const of = (all: Result[], what: keyof Result) => median(all.map((each) => each[what]));
  report("memory a megaflow", "bytes", bytes.get("ours")!, bytes.get("peer")!, "less");
  report("change governs 100 000 megaflows after", "ms", of(ours, "ms"), of(theirs, "ms"), "less");
  report("CPU for that", "ms", of(ours, "cpuMs"), of(theirs, "cpuMs"), "less");
});
process.exit(0);
