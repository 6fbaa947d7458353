/**
 * What monitoring costs: 64-byte UDP packets through one switch with an exporter and without, in pairs whose order
 * alternates; medians of the pairs' ratios and their spread. sFlow samples one packet in 64; IPFIX takes every packet of 10 000
 * flows, and says how many of them it told of. `exports.ts [PAIRS [EXPORTER]]`: 9 of both by default, for ours and then for
 * the peer; EXPORTER is a column of the Bridge table. `exports.ts cpu [RATE]`: CPU nanoseconds a packet of each of our switch's
 * threads at RATE (300 000) packets a second, for machines that are not quiet.
 */
import { createSocket } from "node:dgram";
import { readdirSync, readFileSync } from "node:fs";
import { Collector } from "../../src/export/codec/collector.ts";
import { forward, makeHosts, ovsSwitch, reach, type SwitchSubject, sleep, type Throughput } from "./net.ts";
import { havePeer, type Maker, median } from "./side.ts";

const SECONDS = 2;
const CPU = process.argv[2] === "cpu";
const PAIRS = CPU ? 5 : Number(process.argv[2] ?? 9);
const ONLY = CPU ? undefined : process.argv[3];
const RATE = Number((CPU && process.argv[3]) || 300_000);
/** Datagrams are kept while packets flow, and decoded afterwards. */
const datagrams: Uint8Array[] = [];

const socket = createSocket({ type: "udp4", recvBufferSize: 8 << 20 });
socket.on("message", (bytes) => datagrams.push(bytes));
await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
const target = `targets="127.0.0.1:${socket.address().port}"`;

interface Exporter {
  name: string;
  flows: number;
  /** Of the Bridge table. */
  column: string;
  create: string[];
}

const EXPORTERS: readonly Exporter[] = [
  {
    name: "sFlow 1/64",
    flows: 1000,
    column: "sflow",
    create: ["sFlow", target, "header=128", "sampling=64", "polling=3", "agent=lo"],
  },
  {
    name: "IPFIX 1/1",
    flows: 10_000,
    column: "ipfix",
    create: [
      ...["IPFIX", target, "sampling=1", "cache_active_timeout=60", "cache_max_flows=20000"],
      "other_config:enable-output-sampling=false",
    ],
  },
];

async function turn({ side, bridge }: SwitchSubject, exporter: Exporter, on: boolean): Promise<void> {
  const { column, create } = exporter;
  if (on) {
    side.run(
      "ovs-vsctl",
      "--",
      "--id=@e",
      "create",
      ...create,
      "--",
      "set",
      "bridge",
      bridge,
      `${column}=@e`,
    );
  } else side.run("ovs-vsctl", "clear", "bridge", bridge, column);
  await sleep(300);
}

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

async function measure(maker: Maker): Promise<void> {
  const hosts = makeHosts();
  const subject = ovsSwitch(maker, hosts);
  try {
    await reach(hosts);
    for (const exporter of EXPORTERS) {
      if (exporter.column !== (ONLY ?? exporter.column)) continue;
      const pairs: { on: Throughput; off: Throughput }[] = [];
      let told = 0;
      for (let pair = 0; pair <= PAIRS; pair++) {
        const results: Throughput[] = [];
        for (const on of pair % 2 === 0 ? [false, true] : [true, false]) {
          if (on) await turn(subject, exporter, true);
          datagrams.length = 0;
          const result = await forward(hosts, subject, exporter.flows, SECONDS);
          results[on ? 1 : 0] = result;
          if (!on) continue;
          await turn(subject, exporter, false);
          await sleep(300);
          if (pair > 0) told += packetsTold() / result.packets / PAIRS;
        }
        // The first is for warming up.
        if (pair > 0) pairs.push({ off: results[0]!, on: results[1]! });
      }
      report(`${subject.name}, ${exporter.name}, ${exporter.flows} flows`, pairs, told);
    }
  } finally {
    subject.stop();
    hosts.close();
  }
}

/** As the exporter's datagrams have it; of sFlow, samples times their rate. */
function packetsTold(): number {
  const collector = new Collector();
  for (const bytes of datagrams) collector.receive(bytes, "switch");
  return collector.totals.packets;
}

function report(name: string, pairs: readonly { on: Throughput; off: Throughput }[], told: number): void {
  const off = median(pairs.map((pair) => pair.off.kpps));
  const on = median(pairs.map((pair) => pair.on.kpps));
  const ratios = pairs.map((pair) => pair.on.kpps / pair.off.kpps).sort((a, b) => a - b);
  const cpu = pairs.map((pair) => pair.on.cpu / pair.off.cpu).sort((a, b) => a - b);
  const spread = (all: readonly number[]): string =>
    `${median([...all]).toFixed(3)} (${all[0]!.toFixed(2)} to ${all.at(-1)!.toFixed(2)})`;
  console.log(
    `${name}: off ${off.toFixed(0)} kpps, on ${on.toFixed(0)}; ratio ${spread(ratios)}; ` +
      `CPU a packet, ratio ${spread(cpu)}; told of ${percent(told)} of the packets`,
  );
}

/** Nanoseconds used so far, by the names of threads. */
function threadTimes(pid: number): Map<string, number> {
  const times = new Map<string, number>();
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const read = (file: string): string => readFileSync(`/proc/${pid}/task/${thread}/${file}`, "utf8");
    try {
      const name = read("comm").trim();
      times.set(name, (times.get(name) ?? 0) + Number(read("schedstat").split(" ")[0]));
    } catch {
      // It has ended.
    }
  }
  return times;
}

async function measureCpu(): Promise<void> {
  const hosts = makeHosts();
  const subject = ovsSwitch("ours", hosts);
  try {
    await reach(hosts);
    const pid = subject.side.pid("ovs-vswitchd");
    for (const flows of new Set(EXPORTERS.map((exporter) => exporter.flows))) {
      const kinds = [undefined, ...EXPORTERS.filter((exporter) => exporter.flows === flows)];
      const found = kinds.map(() => new Map<string, number[]>());
      for (let round = 0; round <= PAIRS; round++) {
        for (const [i, exporter] of kinds.entries()) {
          if (exporter !== undefined) await turn(subject, exporter, true);
          await forward(hosts, subject, flows, 0.3, RATE);
          const before = threadTimes(pid);
          const { packets } = await forward(hosts, subject, flows, SECONDS, RATE);
          const after = threadTimes(pid);
          if (exporter !== undefined) await turn(subject, exporter, false);
          if (round === 0) continue;
          let all = 0;
          for (const [name, time] of after) {
            const used = (time - (before.get(name) ?? 0)) / packets;
            found[i]!.set(name, [...(found[i]!.get(name) ?? []), used]);
            all += used;
          }
          found[i]!.set("all", [...(found[i]!.get("all") ?? []), all]);
        }
      }
      for (const [i, exporter] of kinds.entries()) {
        const each = [...found[i]!].map(([name, used]) => [name, median(used)] as const);
        const text = each.filter(([, used]) => used >= 1).map(([name, used]) => `${name} ${used.toFixed(0)}`);
        console.log(`${exporter?.name ?? "nothing"}, ${flows} flows, ns a packet: ${text.join(", ")}`);
      }
    }
  } finally {
    subject.stop();
    hosts.close();
  }
}

if (CPU) await measureCpu();
else {
  await measure("ours");
  if (havePeer()) await measure("peer");
}
process.exit(0);
