/**
 * What monitoring costs: 64-byte UDP packets through one switch with an exporter and without, in pairs whose order
 * alternates; medians of the pairs' ratios and their spread. sFlow samples one packet in 64; IPFIX takes every packet of 10 000
 * flows, and says how many of them it told of. `exports.ts [PAIRS [EXPORTER]]`: 9 of both by default, for ours and then for
 * the peer; EXPORTER is a column of the Bridge table.
 */
import { createSocket } from "node:dgram";
import { Collector } from "../../src/export/codec/collector.ts";
import { forward, makeHosts, ovsSwitch, reach, type SwitchSubject, sleep, type Throughput } from "./net.ts";
import { havePeer, type Maker, median } from "./side.ts";

const SECONDS = 2;
const PAIRS = Number(process.argv[2] ?? 9);
const ONLY = process.argv[3];
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

await measure("ours");
if (havePeer()) await measure("peer");
process.exit(0);
