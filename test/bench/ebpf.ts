/**
 * datapath_type=ebpf side by side, in one run, with the least that a TC program can do (a redirect), the peer's userspace
 * datapath and the Linux bridge: 64-byte UDP with 1 and with 1000 flows, TCP both ways, and nanoseconds a packet of the
 * programs themselves by the kernel's test run; then 1 and 1000 flows with 1000 rules over 16 masks, with a tag pushed, with
 * addresses and ports set. Rounds take turns; medians with their spread; ratios of rounds.
 *
 * `ebpf.ts --programs` prints the nanoseconds only, `--rules` measures the last only.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { openEbpfSystem } from "../../commands/ebpf-system.ts";
import { assemble } from "../../src/datapath/ebpf/asm/assemble.ts";
import { REDIRECT } from "../../src/datapath/ebpf/asm/helpers.ts";
import { call, exit, Mov, R1, R2 } from "../../src/datapath/ebpf/asm/instruction.ts";
import { EbpfObjects } from "../../src/datapath/ebpf/objects.ts";
import { Offload } from "../../src/datapath/ebpf/offload.ts";
import type { EbpfProgram } from "../../src/datapath/ebpf/system.ts";
import { ODP_OUTPUT, ODP_POP_VLAN, ODP_PUSH_VLAN, ODP_SET } from "../../src/datapath/odp/actions.ts";
import {
  FLOW_DP_WORDS,
  W_ETH_DST_HI,
  W_ETH_TYPE,
  W_IN_PORT,
  W_IPV4_DST,
  W_IPV4_SRC,
  W_NW,
  W_TP,
} from "../../src/flow/layout.ts";
import { attach, type BpfProgram, ifindexOf, loadProgram } from "../../src/sys/bpf.ts";
import { frame } from "../datapath/frames.ts";
import {
  forward,
  type Hosts,
  linuxBridge,
  ovsSwitch,
  type Subject,
  type SwitchSubject,
  withSubjects,
} from "./net.ts";
import { median } from "./side.ts";
import { tcpOnce } from "./tcp-run.ts";

const SECONDS = 2;
const ROUNDS = 9;
/** Test runs short enough to be left alone by the scheduler now and then: the least of them counts. */
const REPEAT = 20_000;
const RUNS = 40;

const redirectTo = (ifindex: number): BpfProgram =>
  loadProgram(
    "limit",
    assemble([Mov.imm(R1, ifindex), Mov.imm(R2, 0), call(REDIRECT), exit()], () => 0),
  );

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

function spread(values: number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  return `${sorted[0]!.toFixed(2)}..${sorted.at(-1)!.toFixed(2)}`;
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

// ---- The programs alone ----

const row = (values: Record<number, number>): Int32Array => {
  const words = new Int32Array(FLOW_DP_WORDS);
  for (const [word, value] of Object.entries(values)) words[Number(word)] = value;
  return words;
};
const KEY = row({
  [W_IN_PORT]: 1,
  [W_ETH_DST_HI]: 0x02000000,
  [W_ETH_DST_HI + 1]: 0x00010200,
  [W_ETH_DST_HI + 2]: 2,
  [W_ETH_TYPE]: 0x0800,
  [W_IPV4_SRC]: 0x0a000001,
  [W_IPV4_DST]: 0x0a000002,
  [W_NW]: 17,
  [W_TP]: (1000 << 16) | 2000,
});
const LEAST = { [W_IN_PORT]: -1, [W_ETH_TYPE]: 0xffff, [W_NW]: 0xff000000 | 0 };
const L2 = { ...LEAST, [W_ETH_DST_HI]: -1, [W_ETH_DST_HI + 1]: -1, [W_ETH_DST_HI + 2]: -1 };
const FIVE = { ...LEAST, [W_NW]: 0xff0000ff | 0, [W_IPV4_SRC]: -1, [W_IPV4_DST]: -1, [W_TP]: -1 };
const OUT = [ODP_OUTPUT, 3, 1];
const set = (word: number, value: number): number[] => [ODP_SET, 5, word, value, -1];

/**
 * Nanoseconds of the classifier with `masks` masks, of which the last is the packet's. What actions set must be there already:
 * one packet goes round.
 */
function nanoseconds(mask: Record<number, number>, masks: number, actions: number[]): string {
  const objects = new EbpfObjects(openEbpfSystem(), undefined);
  let program: EbpfProgram | undefined;
  const none = { cancel() {} };
  const offload = new Offload(objects, {
    clock: { now: () => 0, wall: () => 0, after: () => none, background: () => none, soon() {} },
    ifindexOf: (port) => port,
    portOf: (port) => ({ ifindex: port, tap: false }),
    hasMeter: () => false,
    install: (next) => {
      program = next;
    },
    warn: (text) => {
      throw new Error(text);
    },
  });
  const other = KEY.slice();
  other[W_ETH_DST_HI + 2] = 77;
  other[W_IPV4_DST] = 77;
  for (let i = 1; i < masks; i++)
    offload.put(
      i,
      other,
      row({ ...mask, [W_IPV4_DST]: -1 << i, [W_ETH_DST_HI + 2]: -1 }),
      Int32Array.from(OUT),
    );
  offload.put(0, KEY, row(mask), Int32Array.from(actions));
  offload.build();
  const packet = Uint8Array.from(
    frame({
      tags: [],
      ip: 4,
      proto: "udp",
      src: [10, 0, 0, 1],
      dst: [10, 0, 0, 2],
      sport: 1000,
      dport: 2000,
      payload: new Array(18).fill(0),
    }),
  );
  const runs = Array.from({ length: RUNS }, () => {
    const { ns, result } = (program as BpfProgram).testRun(packet, REPEAT);
    if (result !== 7) throw new Error(`not redirected: ${result}`);
    return ns;
  });
  const { size } = offload.classifier!;
  offload.close();
  objects.close();
  return `${String(Math.min(...runs)).padStart(4)} ns (${median(runs)}), classifier of ${size} instructions`;
}

function programs(): void {
  const packet = new Uint8Array(64);
  const bare = redirectTo(1);
  const runs = Array.from({ length: RUNS }, () => bare.testRun(packet, REPEAT).ns);
  console.log(`${"redirect alone".padEnd(34)} ${String(Math.min(...runs)).padStart(4)} ns (${median(runs)})`);
  const cases: [string, Record<number, number>, number, number[]][] = [
    ["1 mask, addresses of Ethernet", L2, 1, OUT],
    ["1 mask, addresses and ports of IPv4", FIVE, 1, OUT],
    ["4 masks", FIVE, 4, OUT],
    ["16 masks", FIVE, 16, OUT],
    [
      "1 mask, addresses and ports set",
      FIVE,
      1,
      [
        ...set(W_IPV4_SRC, 0x0a000001),
        ...set(W_IPV4_DST, 0x0a000002),
        ...set(W_TP, (1000 << 16) | 2000),
        ...OUT,
      ],
    ],
  ];
  // One packet goes round: it must leave as it came.
  cases.push([
    "1 mask, a tag pushed and popped",
    FIVE,
    1,
    [ODP_PUSH_VLAN, 3, 0x81001064 | 0, ODP_POP_VLAN, 2, ...OUT],
  ]);
  for (const [what, mask, masks, actions] of cases)
    console.log(`${what.padEnd(34)} ${nanoseconds(mask, masks, actions)}`);
}

const measurePlain = (): Promise<void> =>
  withSubjects<Subject>(
    {
      ours: (hosts) => ovsSwitch("ours", hosts, "ebpf"),
      limit,
      bridge: linuxBridge,
      peer: (hosts) => ovsSwitch("peer", hosts),
    },
    async (lanes) => {
      for (const flows of [1, 1000])
        await compare(`${flows} flows`, "kpps", lanes, async (hosts, subject) => {
          const { kpps } = await forward(hosts, subject, flows, SECONDS);
          return kpps;
        });
      for (const reverse of [false, true])
        await compare(
          reverse ? "TCP back" : "TCP there",
          "Gbit/s",
          lanes,
          async (hosts) => (await tcpOnce(hosts, SECONDS, reverse)) / 1e9,
        );
    },
  );

// ---- Rules ----

const BACK = "priority=1,in_port=2,actions=output:1";

/** 1000 rules for source ports under 16 masks, one for each length of a prefix: megaflows have all of these lengths. */
function manyRules(): string[] {
  const rules = new Set<string>();
  let random = 12345;
  for (let i = 0; rules.size < 1000; i++) {
    random = (Math.imul(random, 1103515245) + 12345) & 0x7fffffff;
    const bits = 1 + (i % 16);
    const mask = (0xffff << (16 - bits)) & 0xffff;
    // Most near the ports of the traffic, 1024 to 2023.
    const port = (bits > 6 ? 1024 + ((random >>> 8) % 1000) : random >>> 8) & mask;
    rules.add(
      `priority=${100 + bits},in_port=1,udp,udp_src=0x${port.toString(16)}/0x${mask.toString(16)},actions=output:2`,
    );
  }
  return [...rules];
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
        const masks = [...show.matchAll(/^ {2}mask_.*$/gm)].length;
        console.log(`${what.padEnd(14)} ${masks} masks, ${/flows in programs.*/.exec(show)![0]}`);
      }
    },
  );

if (!process.argv.includes("--rules")) programs();
if (!process.argv.includes("--programs")) {
  if (!process.argv.includes("--rules")) await measurePlain();
  await measureRules();
}
process.exit(0);
