/**
 * datapath_type=ebpf side by side, in one run, with the least that a TC program can do (a redirect), the peer's userspace
 * datapath and the Linux bridge: 64-byte UDP with 1 and with 1000 flows, TCP both ways, the machine's CPU time a gigabyte of TCP
 * at a rate that all can do, and nanoseconds a packet of the programs themselves by the kernel's test run; then 1 and 1000
 * flows with 1000 rules over 16 masks, with a tag pushed, with addresses and ports set. Rounds take turns; medians with their
 * spread; ratios of rounds.
 *
 * `ebpf.ts [--rounds=N] [PART...]`: parts are programs, packets, tcp, cpu, rules; all unless named.
 */
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { attach } from "../../src/sys/bpf.ts";
import { ifindexOf } from "../../src/sys/ffi.ts";
import { programs, redirectTo } from "./ebpf-programs.ts";
import {
  forward,
  type Hosts,
  inside,
  linuxBridge,
  ovsSwitch,
  type Subject,
  type SwitchSubject,
  sleep,
  withSubjects,
} from "./net.ts";
import { median, spread } from "./side.ts";
import { tcpOnce } from "./tcp-run.ts";

const SECONDS = 2;
const ROUNDS = Number(process.argv.find((word) => word.startsWith("--rounds="))?.slice(9) ?? 9);
const PARTS = process.argv.slice(2).filter((word) => !word.startsWith("--"));
const wanted = (part: string): boolean => PARTS.length === 0 || PARTS.includes(part);

/** One program at each port: out by the other. */
function limit(hosts: Hosts): Subject {
  const [a, b] = hosts.ports.map(ifindexOf) as [number, number];
  const links = [attach(redirectTo(b), a, false), attach(redirectTo(a), b, false)];
  return {
    name: "TC redirect",
    cpuSeconds: () => Number.NaN,
    stop: () => {
      for (const link of links) link.close();
    },
  };
}

async function compare(
  what: string,
  unit: string,
  lanes: readonly { who: string; hosts: Hosts; subject: Subject }[],
  measure: (hosts: Hosts, subject: Subject) => Promise<number> | number,
): Promise<void> {
  const rounds = new Map<string, number[]>(lanes.map(({ who }) => [who, []]));
  for (let round = 0; round <= ROUNDS; round++)
    for (const { who, hosts, subject } of lanes) {
      const value = await measure(hosts, subject);
      // The first is for warming up.
      if (round > 0) rounds.get(who)!.push(value);
    }
  const ours = rounds.get("ours")!;
  for (const { who, subject } of lanes) {
    const all = rounds.get(who)!;
    let line = `${what.padEnd(14)} ${subject.name.padEnd(26)} ${median(all).toFixed(2).padStart(8)} ${unit} (${spread(all)})`;
    if (who !== "ours") {
      const ratios = ours.map((value, i) => value / all[i]!).filter(Number.isFinite);
      line +=
        ratios.length === 0 ? ", stalls" : `; ours to it ${median(ratios).toFixed(2)} (${spread(ratios)})`;
    }
    console.log(line);
  }
}

// ---- CPU time ----

/** Bits a second, which none of the subjects has trouble with. */
const OFFERED = 4e9;
const SETTLE_MS = 700;
const WINDOW_MS = 3000;

/**
 * Seconds that the machine's processors have worked so far, whoever for: in-kernel forwarding is no process's. What is not
 * idle time, which the kernel measures; the rest of /proc/stat it samples at ticks, with which packets come in step.
 */
function busySeconds(): number {
  const [, , , idle, waiting] = readFileSync("/proc/stat", "utf8")
    .split("\n")[0]!
    .split(/ +/)
    .slice(1)
    .map(Number);
  return (performance.now() / 1000) * availableParallelism() - (idle! + waiting!) / 100;
}

const bytesAt = (namespace: string): number =>
  Number(inside(namespace, "cat", "/sys/class/net/eth0/statistics/rx_bytes"));

/** CPU seconds of the machine a gigabyte of TCP at {@link OFFERED}; the hosts' own part is in it, the same for all. */
async function cpuPerGigabyte(hosts: Hosts): Promise<number> {
  const start = (index: 0 | 1, ...options: string[]) =>
    spawn("ip", ["netns", "exec", hosts.namespaces[index], "iperf3", ...options], { stdio: "ignore" });
  const server = start(1, "-s", "-1");
  await sleep(300);
  const seconds = Math.ceil((SETTLE_MS + WINDOW_MS) / 1000) + 1;
  const client = start(0, "-c", "10.77.0.2", "-t", `${seconds}`, "-b", `${OFFERED}`);
  const ended = new Promise((resolve) => client.once("exit", resolve));
  await sleep(SETTLE_MS);
  const bytes = bytesAt(hosts.namespaces[1]);
  const busy = busySeconds();
  await sleep(WINDOW_MS);
  const used = busySeconds() - busy;
  const gigabytes = (bytesAt(hosts.namespaces[1]) - bytes) / 1e9;
  await ended;
  server.kill("SIGKILL");
  const offered = (OFFERED / 8) * (WINDOW_MS / 1000);
  if (gigabytes * 1e9 < offered * 0.9)
    console.log(
      `${"".padEnd(14)} the machine is too busy: ${gigabytes.toFixed(2)} GB arrived, not ${offered / 1e9}`,
    );
  return used / gigabytes;
}

const kernelSubjects = {
  ours: (hosts: Hosts): Subject => ovsSwitch("ours", hosts, "ebpf"),
  limit,
  bridge: linuxBridge,
};

const measurePlain = (): Promise<void> =>
  withSubjects<Subject>({ ...kernelSubjects, peer: (hosts) => ovsSwitch("peer", hosts) }, async (lanes) => {
    for (const flows of wanted("packets") ? [1, 1000] : [])
      await compare(`${flows} flows`, "kpps", lanes, async (hosts, subject) => {
        const { kpps } = await forward(hosts, subject, flows, SECONDS);
        return kpps;
      });
    for (const reverse of wanted("tcp") ? [false, true] : [])
      await compare(
        reverse ? "TCP back" : "TCP there",
        "Gbit/s",
        lanes,
        async (hosts) => (await tcpOnce(hosts, SECONDS, reverse)) / 1e9,
      );
  });

const measureCpu = (): Promise<void> =>
  withSubjects<Subject>(kernelSubjects, async (lanes) => {
    const before = busySeconds();
    await sleep(WINDOW_MS);
    const busy = (busySeconds() - before) / (WINDOW_MS / 1000);
    console.log(
      `${"at rest".padEnd(14)} ${busy.toFixed(2)} processors are busy with something else, which counts as well`,
    );
    await compare(`TCP, ${OFFERED / 1e9} Gbit/s`, "CPU s a GB", lanes, cpuPerGigabyte);
  });

// ---- Rules ----

const BACK = "priority=1,in_port=2,actions=output:1";

const MASKS = 16;

/**
 * 1000 rules for the source ports of the traffic, under 16 lengths of the destination's prefix, the shortest with the highest
 * priority: a packet that finds its rule in the nth has been looked for in those before, so that megaflows, too, have all of
 * these lengths, and an equal part of the flows each.
 */
function manyRules(): string[] {
  return Array.from({ length: 1000 }, (_, i) => {
    const mask = i % MASKS;
    return `priority=${200 - mask},in_port=1,udp,nw_dst=10.77.9.9/${33 - MASKS + mask},udp_src=${1024 + i},actions=output:2`;
  });
}

const VARIANTS: readonly (readonly [what: string, rules: readonly string[]])[] = [
  ["1000 rules", manyRules()],
  ["VLAN push", ["priority=9,in_port=1,udp,actions=push_vlan:0x8100,set_field:4196->vlan_vid,output:2"]],
  [
    "set-field",
    [
      "priority=9,in_port=1,udp,actions=mod_nw_src:10.77.0.3,mod_nw_dst:10.77.9.8,mod_tp_src:4000,mod_tp_dst:99,output:2",
    ],
  ],
];

function setRules({ side, bridge }: SwitchSubject, rules: readonly string[]): void {
  const file = join(side.folder, "rules");
  writeFileSync(file, [...rules, BACK, "priority=0,in_port=1,actions=output:2"].join("\n"));
  side.run("ovs-ofctl", "del-flows", bridge);
  side.run("ovs-ofctl", "-OOpenFlow13", "add-flows", bridge, file);
}

const measureRules = (): Promise<void> =>
  withSubjects<Subject>(
    { ours: (hosts) => ovsSwitch("ours", hosts, "ebpf"), limit, peer: (hosts) => ovsSwitch("peer", hosts) },
    async (lanes) => {
      for (const [what, rules] of VARIANTS) {
        for (const { subject } of lanes) if ("side" in subject) setRules(subject as SwitchSubject, rules);
        for (const flows of [1, 1000])
          await compare(`${what}, ${flows}`, "kpps", lanes, async (hosts, subject) => {
            const { kpps } = await forward(hosts, subject, flows, SECONDS);
            return kpps;
          });
        const { side } = lanes[0]!.subject as SwitchSubject;
        const show = side.run("ovs-appctl", "-t", join(side.folder, "vswitchd.ctl"), "dpif-ebpf/show");
        const masks = [...show.matchAll(/^ {2}mask_\d+ \w+: [1-9]\d* flows, [1-9]\d* hits: /gm)].length;
        console.log(`${what.padEnd(14)} ${masks} masks, ${/flows in programs.*/.exec(show)![0]}`);
        if (rules.length === 1000 && masks < MASKS) throw new Error(`${masks} masks instead of ${MASKS}`);
      }
    },
  );

if (wanted("programs")) programs();
if (wanted("packets") || wanted("tcp")) await measurePlain();
if (wanted("cpu")) await measureCpu();
if (wanted("rules")) await measureRules();
process.exit(0);
