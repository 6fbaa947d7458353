/** sFlow, IPFIX and NetFlow of real packets, read by our own collector and by tshark. */
import type { ChildProcess } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { peer, withoutPeer } from "./bin.ts";
import { cannotRun, sleep, type World, withTwoHosts } from "./world.ts";

const skip = cannotRun("ping");
const noTshark = skip || cannotRun("ping", "tshark", "tcpdump");
const noDecoders = noTshark || withoutPeer("sfcapd", "nfcapd", "nfdump");
const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

/** Two hosts, a bridge, and a collector beside the switch, which prints a line of JSON a datagram. */
async function withCollector(
  body: (world: World, datagrams: () => Datagram[]) => Promise<void>,
): Promise<void> {
  await withTwoHosts(async (world) => {
    const collector = world.background("sw", "ovsbox", "collect", "--format=json");
    let text = "";
    collector.stdout!.on("data", (chunk) => {
      text += chunk;
    });
    await spoken(world, collector, "listening");
    // Addresses are learned before anything is counted.
    world.ping("ha", "10.1.1.2");
    await body(world, () =>
      text
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Datagram),
    );
  });
}

/** Waits until a program has said `words` on its standard error. */
async function spoken(world: World, program: ChildProcess, words: string): Promise<void> {
  let text = "";
  program.stderr!.on("data", (chunk) => {
    text += chunk;
  });
  await world.until(words, () => text.includes(words), 20);
}

/** tcpdump of the switch's loopback into a file, from now on. */
async function capturing(world: World, filter: string): Promise<ChildProcess> {
  const file = join(world.dir, "exports.pcap");
  const capture = world.background("sw", "tcpdump", "-U", "-B", "16384", "-i", "lo", "-w", file, filter);
  await spoken(world, capture, "listening");
  return capture;
}

/** Ends it (what `ip netns exec` starts takes its place: a signal reaches it), and waits until all that it wrote has been read. */
async function ended(program: ChildProcess): Promise<void> {
  const gone = new Promise((done) => program.once("close", done));
  program.kill("SIGINT");
  await gone;
}

/** What tshark reads of each field, in all datagrams of the capture that `options` let through. */
function fields(world: World, options: string[], ...names: string[]): string[][] {
  const file = join(world.dir, "exports.pcap");
  const wanted = names.flatMap((name) => ["-e", name]);
  const text = world.command("tshark", "-r", file, ...options, "-T", "fields", ...wanted);
  const columns: string[][] = names.map(() => []);
  for (const line of text.split("\n")) {
    for (const [i, cell] of line.split("\t").entries()) if (cell !== "") columns[i]!.push(...cell.split(","));
  }
  return columns;
}

interface Datagram {
  protocol: string;
  records?: Record<string, number | string>[];
  samples?: { kind: string; records: Record<string, number | string>[] }[];
}

/** Sums of two fields over the records that `wanted` takes. */
function sums(
  datagrams: Datagram[],
  wanted: (r: Record<string, number | string>) => boolean,
  ...fields: string[]
) {
  const found = datagrams.flatMap((d) => d.records ?? []).filter(wanted);
  return fields.map((field) => found.reduce((sum, r) => sum + Number(r[field]), 0));
}

t.test("collectors that have IPv6 addresses", { skip }, async (t) => {
  await withTwoHosts(async (world) => {
    const enable = "for f in all default lo; do echo 0 > /proc/sys/net/ipv6/conf/$f/disable_ipv6; done";
    world.inside("sw", "sh", "-c", enable);
    const collectors = ["sflow", "netflow"].map((what, i) => {
      const collector = world.background("sw", "ovsbox", "collect", what, `--listen=[::1]:${7000 + i}`);
      let text = "";
      collector.stdout!.on("data", (chunk) => {
        text += chunk;
      });
      return { listening: spoken(world, collector, "listening"), text: () => text };
    });
    for (const { listening } of collectors) await listening;
    world.vsctl(
      ...["--", "set", "bridge", "br0", "sflow=@s", "netflow=@n", "--", "--id=@s", "create", "sFlow"],
      ...['targets="[::1]:7000"', "sampling=1", "agent=lo", "--", "--id=@n", "create", "NetFlow"],
      ...['targets="[::1]:7001"', "active_timeout=1"],
    );
    world.ping("ha", "10.1.1.2", 3);
    for (const { text } of collectors)
      await world.until("an address of the hosts", () => text().includes("10.1.1.2"));
    t.match(world.appctl("exports/show"), /\[::1\]:7000: [1-9]\d* sent, 0 lost\n/);
    t.match(world.appctl("exports/show"), /\[::1\]:7001: [1-9]\d* sent, 0 lost\n/);
  });
});

t.test("IPFIX and NetFlow count every packet, and say so when the exporter goes", { skip }, async (t) => {
  await withCollector(async (world, datagrams) => {
    world.vsctl(
      ...["--", "set", "Bridge", "br0", "ipfix=@i", "--", "--id=@i", "create", "IPFIX"],
      ...['targets="127.0.0.1:4739"', "obs_domain_id=123", "obs_point_id=456", "cache_active_timeout=60"],
      ...["cache_max_flows=13", "sampling=1", "other_config:enable-output-sampling=false"],
    );
    world.vsctl(
      ...["--", "--id=@n", "create", "NetFlow", 'targets="127.0.0.1:2055"', "active_timeout=60"],
      ...["--", "set", "Bridge", "br0", "netflow=@n"],
    );
    world.ping("ha", "10.1.1.2", 100);
    // Samples wait for company.
    await world.until("all counted", () =>
      /sampled pkts=2\d\d, ipv4 ok=200, /.test(world.ofctl("dump-ipfix-bridge", "br0")),
    );
    world.vsctl("--", "clear", "Bridge", "br0", "ipfix", "--", "clear", "Bridge", "br0", "netflow");
    const icmp = (type: number) => (r: Record<string, number | string>) =>
      r.icmpTypeIPv4 === type && r.protocolIdentifier === 1;
    const echo = (type: number) => (r: Record<string, number | string>) =>
      r.protocol === 1 && r.destination_port === type << 8;
    const ipfix = (type: number) => sums(datagrams(), icmp(type), "packetDeltaCount", "octetDeltaCount");
    const netflow = (type: number) => sums(datagrams(), echo(type), "packets");
    await world.until(
      "all records",
      () => ipfix(0)[0] === 100 && ipfix(8)[0] === 100 && netflow(0)[0] === 100,
    );
    t.strictSame(
      { requests: ipfix(8), replies: ipfix(0), netflow: [netflow(8), netflow(0)] },
      { requests: [100, 8400], replies: [100, 8400], netflow: [[100], [100]] },
    );
    t.match(world.ofctl("dump-ipfix-bridge", "br0"), /NXST_NOT_CONFIGURED/);
  });
});

t.test("sFlow sends headers and counters, as tshark reads them too", { skip: noTshark }, async (t) => {
  await withCollector(async (world, datagrams) => {
    const capture = await capturing(world, "udp port 6343");
    world.vsctl(
      ...[
        "--",
        "--id=@sflow",
        "create",
        "sflow",
        'target="127.0.0.1"',
        "header=128",
        "sampling=1",
        "polling=1",
      ],
      ...["agent=127.0.0.9", "--", "set", "bridge", "br0", "sflow=@sflow"],
    );
    const before = datagrams().length;
    world.inside("ha", "ping", "-c", "50", "-i", "0.01", "-s", "1000", "-q", "10.1.1.2");
    const samples = () =>
      datagrams()
        .slice(before)
        .flatMap((d) => d.samples ?? []);
    const frames = () =>
      samples()
        .flatMap((s) => s.records)
        .filter((r) => r.record === "raw_header" && r.frame_length === 1046);
    await world.until("100 samples", () => frames().length === 100);
    t.ok(
      frames().every((r) => (r.header as string).length === 256),
      "headers are cut",
    );
    const ports = () =>
      new Set(
        samples()
          .flatMap((s) => s.records)
          .filter((r) => r.record === "port_name")
          .map((r) => r.name),
      );
    await world.until("counters", () => ports().size > 0);
    await ended(capture);
    const [agents, lengths] = fields(world, [], "sflow_245.agent", "sflow_245.header.sampled_header_length");
    t.strictSame([...new Set(agents)], ["127.0.0.9"], "tshark names the agent");
    t.equal(Math.max(...lengths!.map(Number)), 128, "and no header is longer");
    world.vsctl("--", "clear", "Bridge", "br0", "sflow");
    t.equal(world.vsctl("list", "sflow").trim(), "", "gone with the last reference");
  });
});

/** A collector of nfdump's; the function ends it and adds up what it has got to port 9. */
async function nfdump(world: World, program: "sfcapd" | "nfcapd", port: number) {
  const folder = join(world.dir, `${program}-${port}`);
  mkdirSync(folder);
  const options = ["-w", folder, "-p", `${port}`, "-b", "127.0.0.1", "-t", "3600"];
  const started = world.background("sw", peer(program)!, ...options);
  await spoken(world, started, "Startup");
  return async (): Promise<{ packets: number; octets: number; records: number }> => {
    // Its file is whole when it has ended.
    await sleep(500);
    await ended(started);
    const file = join(folder, readdirSync(folder).find((name) => name.startsWith("nfcapd"))!);
    const text = world.command(peer("nfdump")!, "-r", file, "-N", "-q", "-o", "fmt:%pkt %byt", "dst port 9");
    const rows = text.split("\n").filter((line) => /\d/.test(line));
    const sums = rows.map((line) => line.trim().split(/\s+/).map(Number));
    const sum = (column: number): number => sums.reduce((total, row) => total + row[column]!, 0);
    return { packets: sum(0), octets: sum(1), records: rows.length };
  };
}

/** One of pmacct's collectors; the function gives packets and octets of ICMP that it has printed so far. */
async function pmacct(world: World, program: "sfacctd" | "nfacctd", port: number) {
  const file = join(world.dir, `${program}.conf`);
  const settings = {
    [`${program}_ip`]: "127.0.0.1",
    [`${program}_port`]: port,
    ...(program === "sfacctd" ? { sfacctd_renormalize: true } : {}),
    plugins: "print",
    aggregate: "proto,src_host,dst_host",
    print_refresh_time: 1,
    print_output: "csv",
  };
  writeFileSync(
    file,
    Object.entries(settings)
      .map((pair) => `${pair.join(": ")}\n`)
      .join(""),
  );
  const started = world.background("sw", peer(program)!, "-f", file);
  let text = "";
  started.stdout!.on("data", (chunk) => {
    text += chunk;
  });
  await world.until(
    `${program} listens`,
    () => world.inside("sw", "cat", "/proc/net/udp").includes(`0100007F:${port.toString(16).toUpperCase()}`),
    20,
  );
  return (): number[] => {
    const rows = [...text.matchAll(/^10\.1\.1\.\d,10\.1\.1\.\d,icmp,(\d+),(\d+)$/gm)];
    return [1, 2].map((column) => rows.reduce((sum, row) => sum + Number(row[column]), 0));
  };
}

t.test("counted traffic, read by pmacct", { skip: skip || withoutPeer("sfacctd", "nfacctd") }, async (t) => {
  await withTwoHosts(async (world) => {
    world.ping("ha", "10.1.1.2");
    const ipfix = await pmacct(world, "nfacctd", 4739);
    const sflow = await pmacct(world, "sfacctd", 6343);
    world.vsctl(
      ...["--", "set", "Bridge", "br0", "ipfix=@i", "sflow=@s", "--", "--id=@i", "create", "IPFIX"],
      ...['targets="127.0.0.1:4739"', "sampling=1", "cache_active_timeout=1"],
      ...["other_config:enable-output-sampling=false", "--", "--id=@s", "create", "sFlow"],
      ...['targets="127.0.0.1:6343"', "sampling=1", "header=128", "agent=lo"],
    );
    world.ping("ha", "10.1.1.2", 100);
    await world.until("all packets", () => ipfix()[0]! >= 200 && sflow()[0]! >= 200, 15);
    t.same(ipfix(), [200, 200 * 84], "nfacctd: packets and octets of IP");
    // Of whole frames, with the 14 bytes before and the 4 behind.
    t.same(sflow(), [200, 200 * (84 + 18)], "sfacctd: packets, and octets of frames");
  });
});

/** 60-byte UDP frames of 20 flows to port 9 of nobody's address; how many of them the bridge has had so far. */
function traffic(world: World, rate: number, seconds: number): number {
  const words = [join(root, "node_modules/.bin/bun"), join(root, "test/bench/traffic.ts"), "eth0"];
  world.inside("ha", ...words, world.mac("hb"), "20", `${seconds}`, `${rate}`);
  return Number(/n_packets=(\d+)/.exec(world.ofctl("dump-flows", "br0", "udp,tp_dst=9"))![1]);
}

/** Samples that found the way up full. */
function lostSamples(world: World): number {
  const counter = /datapath_drop_userspace_action_error.* total: (\d+)/.exec(world.appctl("coverage/show"));
  return Number(counter?.[1] ?? 0);
}

t.test("counted traffic, read by sfcapd, nfcapd and tshark", { skip: noDecoders }, async (t) => {
  await withTwoHosts(async (world) => {
    // No ARP between the last counters that are sent and those that are read here.
    for (const [host, peer, address] of [
      ["ha", "hb", "10.1.1.2"],
      ["hb", "ha", "10.1.1.1"],
    ] as const)
      world.inside(host, ...["ip", "neigh", "replace", address, "lladdr", world.mac(peer), "dev", "eth0"]);
    world.ping("ha", "10.1.1.2");
    world.ofctl("add-flow", "br0", "priority=10,udp,tp_dst=9,actions=NORMAL");
    const sflow = await nfdump(world, "sfcapd", 6343);
    const netflow5 = await nfdump(world, "nfcapd", 2055);
    const netflow9 = await nfdump(world, "nfcapd", 2056);
    let capture = await capturing(world, "udp port 6343");
    world.vsctl(
      ...[
        "--",
        "--id=@s",
        "create",
        "sFlow",
        'targets="127.0.0.1"',
        "header=128",
        "sampling=64",
        "polling=1",
      ],
      ...["agent=127.0.0.1", "--", "set", "bridge", "br0", "sflow=@s", "--", "--id=@n", "create", "NetFlow"],
      ...['targets="127.0.0.1:2055"', "active_timeout=60", "--", "set", "bridge", "br0", "netflow=@n"],
    );
    let packets = 0;
    for (let round = 0; round < 6 && packets < 200_000; round++) packets = traffic(world, 105_000, 2);
    t.ok(packets >= 200_000, `${packets} packets`);
    await sleep(2500);
    packets = Number(/n_packets=(\d+)/.exec(world.ofctl("dump-flows", "br0", "udp,tp_dst=9"))![1]);
    const received = (what: string): string =>
      world.inside("sw", "cat", `/sys/class/net/ha/statistics/rx_${what}`).trim();
    const counters = [received("packets"), received("bytes")];
    world.vsctl("clear", "bridge", "br0", "sflow", "--", "clear", "bridge", "br0", "netflow");
    const five = await netflow5();
    t.strictSame([five.packets, five.octets], [packets, packets * 60], "NetFlow 5: all packets and octets");

    await ended(capture);
    const sampled = await sflow();
    const drops = Math.max(...fields(world, [], "sflow.flow_sample.dropped_packets")[0]!.map(Number));
    const sigma = Math.sqrt(packets * (1 / 64) * (63 / 64));
    const off = (sampled.records + drops - packets / 64) / sigma;
    const found = `${sampled.records} samples of ${packets} packets, ${drops} lost: ${off.toFixed(2)} sigma`;
    t.ok(Math.abs(off) < 4, `sFlow: ${found}`);
    t.equal(sampled.packets, sampled.records * 64, "sfcapd knows the rate");
    const names = ["sflow_245.ifindex", "sflow_245.ifinpkt", "sflow_245.ifinoct"];
    const [indexes, inPackets, inOctets] = fields(world, ["-Y", "sflow_245.ifinpkt"], ...names);
    const ha = world.inside("sw", "cat", "/sys/class/net/ha/ifindex").trim();
    const last = indexes!.lastIndexOf(ha);
    t.strictSame([inPackets![last], inOctets![last]], counters, "sFlow: the port's counters");

    // Without a collector at first; then one comes, late.
    world.vsctl(
      ...[
        "--",
        "--id=@i",
        "create",
        "IPFIX",
        'targets="127.0.0.1:4739"',
        "sampling=1",
        "template_interval=2",
      ],
      ...["cache_active_timeout=1", "cache_max_flows=1000", "other_config:enable-output-sampling=false"],
      ...["--", "set", "bridge", "br0", "ipfix=@i", "other_config:netflow-version=9", "--", "--id=@n"],
      ...["create", "NetFlow", 'targets="127.0.0.1:2056"', "--", "set", "bridge", "br0", "netflow=@n"],
    );
    const unseen = traffic(world, 100, 1);
    const lostBefore = lostSamples(world);
    await world.until("nobody listens", () =>
      /127.0.0.1:4739: .*refused/i.test(world.appctl("exports/show", "br0")),
    );
    const idle = (): boolean => world.ofctl("dump-ipfix-bridge", "br0").includes("current flows=0");
    await world.until("all is sent", idle, 10);
    const collector = world.background("sw", "ovsbox", "collect", "ipfix", "--format=json");
    let collected = "";
    collector.stdout!.on("data", (chunk) => {
      collected += chunk;
    });
    await spoken(world, collector, "listening");
    capture = await capturing(world, "udp port 4739");
    await sleep(1100);
    traffic(world, 2000, 3);
    await world.until("all is sent", idle, 10);
    await sleep(1100);
    t.match(world.appctl("exports/show", "br0"), /127.0.0.1:4739: \d+ sent, [1-9]\d* lost\n/, "well again");
    world.vsctl("clear", "bridge", "br0", "ipfix", "--", "clear", "bridge", "br0", "netflow");
    const all = Number(/n_packets=(\d+)/.exec(world.ofctl("dump-flows", "br0", "udp,tp_dst=9"))![1]);
    await world.until("records", () => collected.includes("destinationTransportPort"));
    await ended(collector);
    const lost = lostSamples(world) - lostBefore;
    const { totals } = JSON.parse(collected.trim().split("\n").at(-1)!);
    t.equal(totals.packets + lost, all - unseen, "IPFIX: all packets since the collector came");
    t.equal(totals.withoutTemplate, 0, "the collector that came late knows every template");
    const nine = await netflow9();
    const since = all - packets;
    t.strictSame([nine.packets, nine.octets], [since, since * 60], "NetFlow 9: all packets and octets");
    await ended(capture);

    const cells = (filter: string, ...names: string[]): string[][] =>
      fields(world, ["-d", "udp.port==4739,cflow", "-Y", filter], ...names);
    const [ports, counts, octets] = cells("cflow.dstport", "cflow.dstport", "cflow.packets", "cflow.octets");
    t.strictSame([...new Set(ports)], ["9"]);
    const sum = (all: string[]): number => all.reduce((total, text) => total + Number(text), 0);
    t.equal(sum(counts!) + lost, all - unseen, "IPFIX: all packets since then, as tshark reads it");
    t.equal(sum(octets!), sum(counts!) * 46, "and octets");
    if (lost > 0) t.comment(`${lost} samples found the way up full`);
    const [times] = cells("udp.port == 4739 and cflow.template_id", "frame.time_relative");
    // Templates take several datagrams.
    const rounds = times!.map(Number).filter((time, i, all) => i === 0 || time - all[i - 1]! > 0.5);
    const gaps = rounds.slice(1).map((time, i) => time - rounds[i]!);
    t.ok(
      gaps.some((gap) => gap >= 1.9) && gaps.every((gap) => gap < 6),
      `templates came again after ${gaps.map((gap) => gap.toFixed(1)).join(", ")} s`,
    );
  });
});

t.test("what users type", { skip }, async (t) => {
  await withTwoHosts(async (world) => {
    const type = (line: string): string => world.command("sh", "-c", line);
    type(
      'ovs-vsctl -- --id=@sflow create sflow target=\\"127.0.0.1:6343\\" header=128 sampling=64 polling=3 -- set bridge br0 sflow=@sflow',
    );
    const sflow = type("ovs-vsctl list sflow");
    t.match(sflow, /^header +: 128$/m);
    t.match(sflow, /^polling +: 3$/m);
    t.match(sflow, /^sampling +: 64$/m);
    t.match(sflow, /^targets +: \["127.0.0.1:6343"\]$/m);
    t.match(world.appctl("exports/show"), /^br0:\n {2}sFlow:\n {4}127.0.0.1:6343: /);
    type("ovs-vsctl -- clear Bridge br0 sflow");
    t.equal(type("ovs-vsctl list sflow").trim(), "");
    type(
      'ovs-vsctl -- set Bridge br0 ipfix=@i -- --id=@i create IPFIX targets=\\"127.0.0.1:4739\\" obs_domain_id=123 obs_point_id=456 cache_active_timeout=60 cache_max_flows=13 other_config:enable-input-sampling=false other_config:enable-tunnel-sampling=true',
    );
    const ipfix = type("ovs-vsctl list ipfix");
    t.match(ipfix, /^cache_active_timeout: 60$/m);
    t.match(ipfix, /^cache_max_flows +: 13$/m);
    t.match(ipfix, /^obs_domain_id +: 123$/m);
    t.match(ipfix, /^obs_point_id +: 456$/m);
    t.match(ipfix, /^other_config +: \{enable-input-sampling="false", enable-tunnel-sampling="true"\}$/m);
    t.match(world.appctl("exports/show"), /^br0:\n {2}IPFIX:\n {4}127.0.0.1:4739: /);
    type("ovs-vsctl clear Bridge br0 ipfix");
    t.equal(type("ovs-vsctl list ipfix").trim(), "");
    t.equal(world.appctl("exports/show").trim(), "");
  });
});

/** What is wrong, how the log tells of it, and how exports/show does. */
const BAD = [
  ["a port where nobody listens", "127.0.0.1:1", /: \d+ sent, [1-9]\d* lost, .*refused/i],
  ["a network that cannot be reached", "203.0.113.1:6343", /: .*(unreach|connect)/i],
  ["a name that cannot be resolved", "nosuch.invalid:6343", /: .*(ENOTFOUND|EAI_AGAIN|not known|resol)/i],
] as const;

t.test("bad targets and numbers: told once, shown, and nothing else", { skip }, async (t) => {
  await withTwoHosts(async (world) => {
    const script =
      'require("net").createServer((s) => s.resetAndDestroy()).listen(4741, () => console.error("ready"))';
    await spoken(world, world.background("sw", process.execPath, "-e", script), "ready");
    const targets = [...BAD.map(([, target]) => target), "127.0.0.1:70000"];
    world.vsctl(
      ...[
        "--",
        "--id=@s",
        "create",
        "sFlow",
        `targets=${JSON.stringify(targets)}`,
        "header=0",
        "sampling=-5",
      ],
      ...["polling=1", "agent=127.0.0.1", "--", "set", "bridge", "br0", "sflow=@s"],
      ...["--", "--id=@i", "create", "IPFIX", 'targets="tcp:127.0.0.1:4741"', "sampling=1"],
      ...["--", "set", "bridge", "br0", "ipfix=@i"],
    );
    world.ping("ha", "10.1.1.2", 100);
    await sleep(2500);
    world.ping("ha", "10.1.1.2", 100);
    const log = (): string[] => world.log().split("\n");
    const told = (text: string): number => log().filter((line) => line.includes(text)).length;
    const shown = world.appctl("exports/show", "br0").split("\n");
    for (const [what, target, status] of BAD) {
      t.equal(told(`${target}: sending to collector failed`), 1, `${what}: told once`);
      t.match(
        shown.find((line) => line.includes(target)),
        status,
        `${what}: shown`,
      );
    }
    t.equal(told("collector 127.0.0.1:70000 (Invalid argument)"), 1, "a port that is none: told once");
    t.ok(shown.includes("    127.0.0.1:70000: 0 sent, 0 lost, Invalid argument"));
    t.equal(told("br0: sFlow header 0 is not from 1 to 1024: 128 is used"), 1, "header=0");
    t.equal(told("br0: sFlow sampling -5 is not from 1 to 4294967295: 400 is used"), 1, "negative sampling");
    const resets = told("tcp:127.0.0.1:4741: sending to collector failed");
    t.ok(resets >= 1 && resets <= 12, `a collector that resets: told ${resets} times, limited`);
    t.ok(shown.some((line) => /tcp:127.0.0.1:4741: [1-9]\d* sent/.test(line)));
    world.vsctl("set", "sflow", ".", "sampling=99999999999", "header=4000", "polling=-1");
    world.ping("ha", "10.1.1.2", 10);
    const huge = "br0: sFlow sampling 99999999999 is not from 1 to 4294967295: 4294967295 is used";
    t.equal(told(huge), 1, "huge sampling");
    t.equal(told("br0: sFlow header 4000 is not from 1 to 1024: 1024 is used"), 1, "a long header");
    t.equal(told("br0: sFlow polling -1 is not from 0 to 2147483647: 30 is used"), 1, "negative polling");
    t.not(world.try("ovs-vsctl", "set", "ipfix", ".", "sampling=-1").status, 0, "refused by the database");
    t.equal(told("|ERR|") + told("|EMER|"), 0);
  });
});
