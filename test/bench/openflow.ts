/**
 * The OpenFlow codec and ovs-ofctl beside the original's. First text: flows a second that ovs-ofctl parses, encodes,
 * decodes and prints (parse-flows), and messages that it decodes and prints (ofp-parse), by CPU time. Then
 * `ovs-ofctl add-flows` of 100 000 flows by either client into either switch: wall time, and CPU time of client and
 * switch. Medians of ROUNDS rounds in turns. The peer is Debian's, or that of OVS_TREE, a built source tree.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decode, encode, encodeTo } from "../../src/openflow/codec.ts";
import { parseFlow } from "../../src/openflow/text/flow-parse.ts";
import { Writer } from "../../src/openflow/wire.ts";
import { havePeer, type Maker, median, program, report, type Side, startSide } from "./side.ts";

const MAKERS: readonly Maker[] = ["ours", "peer"];
const FLOWS = Number(process.env.FLOWS ?? 100_000);
const ROUNDS = Number(process.env.ROUNDS ?? 5);
const OPENFLOW13 = 4;

if (!havePeer()) {
  console.log("no peer to compare with (scripts/peers)");
  process.exit(0);
}

/** User and system CPU seconds of the children that have ended. */
function childSeconds(): number {
  const stat = readFileSync("/proc/self/stat", "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[13]) + Number(fields[14])) / 100;
}

interface Cost {
  wall: number;
  cpu: number;
}

function run(maker: Maker, args: readonly string[], env: Record<string, string>): Cost {
  const before = childSeconds();
  const began = performance.now();
  const r = spawnSync(program(maker, "ovs-ofctl"), args, { env, stdio: ["ignore", "ignore", "pipe"] });
  if (r.status !== 0) throw new Error(`${maker} ovs-ofctl ${args.join(" ")}: ${r.stderr}`);
  return { wall: (performance.now() - began) / 1000, cpu: childSeconds() - before };
}

function flowLines(): string[] {
  return Array.from({ length: FLOWS }, (_, i) => {
    const ip = `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`;
    return `priority=${100 + (i & 7)},tcp,nw_src=${ip},tp_dst=${1 + (i % 60000)},actions=output:${1 + (i & 1)}`;
  });
}

/** CPU seconds of this process that `work` takes, as flows a second. */
function rate(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return FLOWS / ((user + system) / 1e6);
}

function inProcess(lines: readonly string[]): void {
  const flows = lines.slice(0, 1).map((line) => parseFlow(line, 0).fm);
  const parse = rate(() => {
    for (const line of lines) flows.push(parseFlow(line, 0).fm);
  });
  const w = new Writer(1 << 16);
  const encoded = rate(() => {
    for (const fm of flows) encodeTo(w, fm, OPENFLOW13, { xid: 1 });
  });
  const bytes = w.done();
  const decoded = rate(() => {
    for (let at = 0; at < bytes.length; ) {
      const end = at + ((bytes[at + 2]! << 8) | bytes[at + 3]!);
      decode(bytes.subarray(at, end));
      at = end;
    }
  });
  const text = (n: number): string => Math.round(n).toLocaleString("en").replaceAll(",", " ");
  console.log(
    `in this process, flows a CPU second: ${text(parse)} parsed, ${text(encoded)} encoded, ${text(decoded)} decoded (OpenFlow 1.3)`,
  );
}

function byBoth(what: string, args: readonly string[], env: Record<string, string>): void {
  const rates: Record<Maker, number[]> = { ours: [], peer: [] };
  for (let round = 0; round < ROUNDS; round++)
    for (const maker of MAKERS) rates[maker].push(FLOWS / run(maker, args, env).cpu);
  report(`ovs-ofctl ${what}, by CPU time`, "flows/s", median(rates.ours), median(rates.peer), "more");
}

interface Round {
  wall: number;
  client: number;
  server: number;
}

function addFlows(client: Maker, side: Side, file: string): Round {
  side.run("ovs-ofctl", "del-flows", "br0");
  const before = side.cpuSeconds("ovs-vswitchd");
  const { wall, cpu } = run(client, ["add-flows", "br0", file], side.env);
  return { wall, client: cpu, server: side.cpuSeconds("ovs-vswitchd") - before };
}

const folder = mkdtempSync(join(tmpdir(), "ovsbox-bench-openflow-"));
const sides: Side[] = [];
try {
  const lines = flowLines();
  inProcess(lines);
  const file = join(folder, "flows.txt");
  const messages = join(folder, "messages.bin");
  writeFileSync(file, `${lines.join("\n")}\n`);
  writeFileSync(
    messages,
    Buffer.concat(lines.map((line) => encode(parseFlow(line, 0).fm, OPENFLOW13, { xid: 1 }))),
  );
  const env = process.env as Record<string, string>;
  byBoth("parse-flows", ["parse-flows", file], env);
  byBoth("ofp-parse", ["ofp-parse", messages], env);

  const switches = {} as Record<Maker, Side>;
  for (const maker of MAKERS) {
    switches[maker] = startSide(maker, ["--enable-dummy", "--disable-system"]);
    sides.push(switches[maker]);
    const settings = ["datapath_type=dummy", "fail_mode=secure"];
    switches[maker].run("ovs-vsctl", "add-br", "br0", "--", "set", "bridge", "br0", ...settings);
  }
  const rounds = new Map<string, Round[]>();
  for (let round = 0; round < ROUNDS; round++) {
    for (const client of MAKERS) {
      for (const server of MAKERS) {
        const key = `${client} ${server}`;
        rounds.set(key, [...(rounds.get(key) ?? []), addFlows(client, switches[server], file)]);
      }
    }
  }
  const cost = (key: string, member: keyof Round): number =>
    median(rounds.get(key)!.map((round) => round[member]));
  console.log(
    `add-flows of ${FLOWS} flows; ratios to the peer's client on the peer's switch, more is better`,
  );
  for (const key of rounds.keys()) {
    const parts = (["wall", "client", "server"] as const).map((member) => {
      const seconds = cost(key, member);
      const ratio = cost("peer peer", member) / seconds;
      return `${member} ${seconds.toFixed(2)} s (${ratio.toFixed(2)})`;
    });
    const [client, server] = key.split(" ");
    console.log(`${client} client, ${server} switch: `.padEnd(28) + parts.join(", "));
  }
} finally {
  for (const side of sides) side.stop();
  rmSync(folder, { recursive: true, force: true });
}
