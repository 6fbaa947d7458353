/**
 * Our ovs-ofctl on Debian's switch and theirs on ours, in two versions of OpenFlow (OVSBOX_FULL: in all): the same commands with both
 * clients on both switches, outputs compared. Then a controller made of another library drives our switch.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { errorNames, errorNumbers, type Version } from "../../src/openflow/index.ts";
import { FULL, PEERS, withoutPeer } from "../system/bin.ts";
import { DummySwitch, ours, SWITCH_PROGRAMS, sleep, theirs } from "./dummy-switch.ts";

const skip = withoutPeer(...SWITCH_PROGRAMS);
const folder = mkdtempSync(join(tmpdir(), `ovsbox-peers-openflow-${process.pid}-`));
const running: ChildProcess[] = [];
const switches: DummySwitch[] = [];

function dummySwitch(program: (name: string) => string): DummySwitch {
  const one = new DummySwitch(program);
  switches.push(one);
  return one;
}
const VERSIONS: readonly Version[] = [1, 2, 3, 4, 5, 6];

t.teardown(() => {
  for (const child of running) child.kill("SIGKILL");
  for (const one of switches) one.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Evens out ids of transactions, times, counters and addresses; the order of ports and groups is the switch's own. */
function even(text: string, sorted: boolean): string {
  const lines = text
    .replace(/\(xid=0x[0-9a-f]+\)/g, "(xid)")
    .replace(/duration[=:][\d.]+s/g, "duration=T")
    .replace(/(idle|hard)_age=\d+, /g, "")
    .replace(/(addr:|lookup=|matched=|pkts=|bytes=|packets=)[0-9a-f:]+/g, "$1")
    .split("\n");
  return (sorted ? lines.toSorted() : lines).join("\n").trim();
}

interface Step {
  /** First version that has it; 1 is OpenFlow 1.0. */
  first?: number;
  last?: number;
  args: string[];
  file?: string;
  sorted?: boolean;
}

const FLOWS = `table=0,priority=10,tcp,in_port=1,nw_src=10.0.0.0/8,tp_dst=80,actions=output:2
priority=9,dl_vlan=5,dl_src=00:11:22:33:44:55,actions=strip_vlan,output:3
priority=8,arp,arp_tpa=1.2.3.4,actions=NORMAL
cookie=0x1234567890abcdef,priority=7,idle_timeout=100,udp,actions=drop
`;

const STEPS: readonly Step[] = [
  { args: ["add-flow", "br0", "priority=1,actions=output:1"] },
  { args: ["add-flows", "br0", "FILE"], file: FLOWS },
  { first: 2, args: ["add-flow", "br0", "priority=6,actions=write_metadata:0x12/0xff,goto_table:3"] },
  {
    first: 3,
    args: [
      "add-flow",
      "br0",
      "table=3,priority=5,ipv6,ipv6_src=fe80::/64,actions=set_field:5->reg0,resubmit(,4)",
    ],
  },
  { args: ["dump-flows", "br0"], sorted: true },
  { args: ["dump-flows", "br0", "tcp"] },
  { args: ["--sort", "--no-stats", "dump-flows", "br0"] },
  { args: ["dump-aggregate", "br0"] },
  { args: ["mod-flows", "br0", "priority=10,tcp,actions=output:3"] },
  { args: ["--strict", "del-flows", "br0", "priority=1"] },
  { args: ["dump-flows", "br0"], sorted: true },
  {
    first: 2,
    args: ["add-group", "br0", "group_id=7,type=select,bucket=weight:3,output:1,bucket=weight:1,output:2"],
  },
  { first: 2, args: ["add-flow", "br0", "priority=4,icmp,actions=group:7"] },
  { first: 2, args: ["dump-groups", "br0"] },
  { first: 2, args: ["dump-group-stats", "br0"] },
  { first: 4, args: ["add-meter", "br0", "meter=3,kbps,burst,band=type=drop,rate=1000,burst_size=100"] },
  { first: 4, args: ["add-flow", "br0", "priority=3,sctp,actions=meter:3,output:1"] },
  { first: 4, args: ["dump-meters", "br0"] },
  { first: 4, args: ["meter-stats", "br0"] },
  {
    first: 4,
    args: ["--bundle", "add-flows", "br0", "FILE"],
    file: "priority=20,ip,actions=drop\npriority=21,ipv6,actions=drop\n",
  },
  { first: 4, args: ["--bundle", "replace-flows", "br0", "FILE"], file: "priority=20,ip,actions=output:1\n" },
  { args: ["dump-flows", "br0"], sorted: true },
  { args: ["dump-desc", "br0"] },
  { args: ["dump-ports-desc", "br0"], sorted: true },
  { args: ["mod-port", "br0", "p1", "no-packet-in"] },
  { args: ["mod-port", "br0", "p1", "packet-in"] },
  { args: ["packet-out", "br0", "in_port=LOCAL packet=02000000000102000000000288880000 actions=output:2"] },
  { args: ["dump-ports", "br0", "2"] },
  { args: ["set-frags", "br0", "drop"] },
  { args: ["get-frags", "br0"] },
  { args: ["probe", "br0"] },
  { args: ["diff-flows", "br0", "br0"] },
  { args: ["del-flows", "br0"] },
  { first: 2, args: ["del-groups", "br0"] },
  { first: 4, args: ["del-meters", "br0"] },
];

/** What each step prints with one client on one switch; what is the switch's own is left out of dump-desc. */
function walk(client: (name: string) => string, on: DummySwitch, version: number): string[] {
  const out: string[] = [];
  for (const step of STEPS) {
    if (version < (step.first ?? 1) || version > (step.last ?? 6)) continue;
    const file = join(folder, "file");
    if (step.file !== undefined) writeFileSync(file, step.file);
    const args = [
      "-t",
      "20",
      "-O",
      `OpenFlow1${version - 1}`,
      "--no-names",
      ...step.args.map((a) => (a === "FILE" ? file : a)),
    ];
    const r = spawnSync(client("ovs-ofctl"), args, { env: on.env, encoding: "utf8", timeout: 30_000 });
    const text = even(r.stdout + r.stderr, step.sorted ?? false).replace(/^Software: .*/m, "Software");
    out.push(`${step.args.join(" ")}: ${r.status}\n${text}`);
  }
  return out;
}

t.test("both clients on both switches, version by version", { skip }, async (t) => {
  const mine = dummySwitch(ours);
  const peers = dummySwitch(theirs);
  await Promise.all([mine.start(), peers.start()]);
  for (const version of FULL ? [1, 2, 3, 4, 5, 6] : [1, 5]) {
    const reference = walk(theirs, peers, version);
    t.same(walk(ours, peers, version), reference, `our client on their switch in 1.${version - 1}`);
    const other = walk(theirs, mine, version);
    t.same(other, reference, `their client on our switch in 1.${version - 1}`);
    t.same(walk(ours, mine, version), other, `our client on our switch in 1.${version - 1}`);
  }
});

const library = PEERS === undefined ? "" : join(PEERS, "usr/lib/python3/dist-packages");
const noLibrary = skip || (existsSync(join(library, "pyof")) ? false : "no python3-openflow (scripts/peers)");

t.test("a controller made of python3-openflow drives our switch", { skip: noLibrary }, async (t) => {
  const script = fileURLToPath(new URL("data/controller.py", import.meta.url));
  const mine = dummySwitch(ours);
  await mine.start();
  for (const version of [1, 4]) {
    const portFile = join(folder, `port-${version}`);
    const controller = spawn("python3", [script, portFile, String(version)], {
      env: { ...process.env, PYTHONPATH: library, PYTHONWARNINGS: "ignore" },
    });
    running.push(controller);
    let output = "";
    controller.stdout.on("data", (data) => {
      output += data;
    });
    controller.stderr.on("data", (data) => {
      output += data;
    });
    const ended = new Promise((resolve) => controller.on("close", resolve));
    for (let i = 0; i < 400 && !existsSync(portFile); i++) await sleep(25);
    const target = `tcp:127.0.0.1:${readFileSync(portFile, "utf8")}`;
    const protocols = version === 1 ? "OpenFlow10" : "OpenFlow13";
    mine.run(
      "ovs-vsctl",
      "-t",
      "20",
      "set",
      "bridge",
      "br0",
      `protocols=${protocols}`,
      "--",
      "set-controller",
      "br0",
      target,
    );
    await ended;
    mine.run("ovs-vsctl", "-t", "20", "del-controller", "br0");
    t.equal(
      output,
      `datapath 0000000000000042 tables 254\npacket-in same reason 1\nflow 10 packets 1\nflow 5 packets 0\nflows left 0\n`,
      `version 1.${version - 1}`,
    );
  }
});

t.test("errors have the numbers that the peer prints", { skip }, async (t) => {
  const wrong: string[] = [];
  let known = 0;
  for (const name of errorNames()) {
    const { status, stdout } = spawnSync(theirs("ovs-ofctl"), ["print-error", name], { encoding: "utf8" });
    if (status !== 0) continue;
    known++;
    const numbers = VERSIONS.flatMap((v) => {
      const n = errorNumbers(name, v);
      if (n === undefined) return [];
      const vendor = n.vendor === 0 ? "0" : `0x${n.vendor.toString(16)}`;
      return [`OpenFlow 1.${v - 1}: vendor ${vendor}, type ${n.type}, code ${n.code}\n`];
    });
    if (numbers.join("") !== stdout) wrong.push(`${name}: ${numbers.join("")} instead of ${stdout}`);
  }
  t.same(wrong, []);
  t.ok(known > 150, `${known} errors that the peer knows`);
});
