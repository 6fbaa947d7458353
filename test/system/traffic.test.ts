/** Real packets through the compiled executable: ping, TCP with offloads on and off, VLANs, counters. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { cannotRun, type World, withTwoHosts } from "./world.ts";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const skip = cannotRun("ping");
const noIperf = skip || cannotRun("iperf3", "ethtool");

t.test("ping, learning, counters", { skip }, async (t) => {
  await withTwoHosts(async (world) => {
    world.ping("ha", "10.1.1.2");
    const fdb = world.appctl("fdb/show", "br0");
    for (const [host, port] of [
      ["ha", 1],
      ["hb", 2],
    ] as const)
      t.match(
        fdb,
        new RegExp(`^ +${port} +0 +${world.mac(host)} `, "m"),
        `${host} is learned on port ${port}`,
      );
    t.match(world.ofctl("dump-flows", "br0"), /n_packets=[1-9]\d*, .*actions=NORMAL/);
    world.appctl("fdb/flush", "br0");
    t.equal(world.appctl("fdb/show", "br0").trim().split("\n").length, 1, "flushed");

    // Every packet is counted once: by the flow it matched, and by its ports.
    world.inside("ha", "ip", "neigh", "replace", "10.1.1.2", "lladdr", world.mac("hb"), "dev", "eth0");
    world.inside("hb", "ip", "neigh", "replace", "10.1.1.1", "lladdr", world.mac("ha"), "dev", "eth0");
    world.ofctl("del-flows", "br0");
    world.ofctl("add-flow", "br0", "priority=10,in_port=1,icmp,actions=output:2");
    world.ofctl("add-flow", "br0", "priority=10,in_port=2,icmp,actions=output:1");
    const before = counters(world);
    world.ping("ha", "10.1.1.2", 100);
    let flows = "";
    await world.until("100 packets a flow", () => {
      flows = world.ofctl("dump-flows", "br0");
      return [...flows.matchAll(/n_packets=100, n_bytes=9800,/g)].length === 2;
    });
    const after = counters(world);
    for (const port of ["1", "2"])
      t.strictSame(
        after.get(port)!.map((value, i) => value - before.get(port)![i]!),
        [100, 9800, 100, 9800],
        `port ${port}: packets and bytes received and sent`,
      );
    world.ofctl("add-flow", "br0", "priority=20,icmp,actions=drop");
    t.ok(world.unreachable("ha", "10.1.1.2"), "a drop takes effect at once");
    world.ofctl("--strict", "del-flows", "br0", "priority=20,icmp");
    world.ping("ha", "10.1.1.2");

    // A monitor in the background goes on writing where its standard error was.
    const file = join(world.dir, "monitor.txt");
    const monitor = "ovs-ofctl monitor br0 65534 --detach --no-chdir --pidfile";
    world.command("sh", "-c", `${monitor} 2>${file}`);
    world.ofctl(
      "add-flow",
      "br0",
      "priority=20,in_port=1,icmp,actions=clone(mod_nw_dst:1.2.3.4,controller),output:2",
    );
    world.ping("ha", "10.1.1.2");
    await world.until("the packets are printed", () =>
      /PACKET_IN.*in_port=1.*nw_dst=1\.2\.3\.4/s.test(readFileSync(file, "utf8")),
    );
    world.appctl("-t", "ovs-ofctl", "exit");

    // Truncation as the datapath does it, and as the switch does it for one that cannot.
    t.match(world.log(), /netdev@ovs-netdev: Datapath supports truncate action/);
    const echo = "priority=30,in_port=1,icmp";
    world.ofctl("add-flow", "br0", `${echo},actions=output(port=2,max_len=60),output:2`);
    for (const able of ["true", "false"]) {
      world.appctl("dpif/set-dp-features", "br0", "trunc", able);
      const trace = world.appctl("ofproto/trace", "br0", "in_port=1,icmp");
      t.match(trace, /Datapath actions: trunc\(60\),\d+,\d+\n/);
      t.equal(trace.includes("userspace slow path"), able === "false");
      world.appctl("revalidator/purge");
      const before = counters(world).get("2")!;
      world.ping("ha", "10.1.1.2", 10);
      await world.until("each is sent twice", () => {
        const now = counters(world).get("2")!;
        return now[2]! - before[2]! >= 20 && now[3]! - before[3]! >= 10 * (60 + 98);
      });
    }
  });
});

/** OpenFlow port → [rx packets, rx bytes, tx packets, tx bytes]. */
function counters(world: World): Map<string, number[]> {
  const found = new Map<string, number[]>();
  const text = world.ofctl("dump-ports", "br0");
  for (const match of text.matchAll(
    /port +"?(\w+)"?: rx pkts=(\d+), bytes=(\d+),[^\n]*\n +tx pkts=(\d+), bytes=(\d+)/g,
  )) {
    const name = match[1]!;
    const port = name === "ha" ? "1" : name === "hb" ? "2" : name;
    found.set(port, match.slice(2).map(Number));
  }
  return found;
}

t.test("TCP with offloads as the kernel sets them, and without", { skip: noIperf }, async (t) => {
  await withTwoHosts(async (world) => {
    world.background("hb", "iperf3", "-s");
    for (const offloads of ["on", "off"]) {
      if (offloads === "off")
        for (const host of ["ha", "hb"])
          world.inside(host, "ethtool", "-K", "eth0", "tx", "off", "tso", "off", "gso", "off", "gro", "off");
      // With -J, iperf3 3.12 ends with status 0 even when it could not connect: only the report tells.
      let received: { bits_per_second: number } | undefined;
      await world.until("a measurement", () => {
        const run = world.tryInside("ha", "iperf3", "-c", "10.1.1.2", "-t", "2", "-J");
        if (run.stdout.startsWith("{"))
          received = (JSON.parse(run.stdout) as { end: { sum_received?: typeof received } }).end.sum_received;
        return received !== undefined;
      });
      const rate = received!.bits_per_second;
      t.ok(rate > 50e6, `offloads ${offloads}: ${(rate / 1e9).toFixed(2)} Gbit/s`);
    }
    // Content, not only volume: a file with partial checksums all the way.
    if (spawnSync("sh", ["-c", "command -v nc"]).status === 0)
      t.equal(await transfer(world), "same", "a megabyte arrives as it was sent");
  });
});

async function transfer(world: World): Promise<string> {
  world.inside("sw", "sh", "-c", `head -c 1000000 /dev/urandom > ${world.dir}/sent`);
  const receiver = world.background("hb", "sh", "-c", `exec nc -l -p 5555 > ${world.dir}/got`);
  const ended = new Promise((resolve) => receiver.once("exit", resolve));
  await world.until("the receiver listens", () => world.inside("hb", "ss", "-ltn").includes(":5555 "));
  world.tryInside("ha", "sh", "-c", `nc -q 1 -w 20 10.1.1.2 5555 < ${world.dir}/sent`);
  await ended;
  return world.try("cmp", `${world.dir}/sent`, `${world.dir}/got`).status === 0 ? "same" : "different";
}

t.test("access ports on two bridges joined by a trunk", { skip }, async (t) => {
  await withTwoHosts((world) => {
    world.vsctl("add-br", "br1", "--", "set", "bridge", "br1", "datapath_type=netdev");
    world.command(
      "ip",
      "-n",
      world.netns,
      "link",
      "add",
      "name",
      "tr0",
      "type",
      "veth",
      "peer",
      "name",
      "tr1",
    );
    for (const [bridge, end] of [
      ["br0", "tr0"],
      ["br1", "tr1"],
    ] as const) {
      world.command("ip", "-n", world.netns, "link", "set", "dev", end, "up");
      world.vsctl("add-port", bridge, end, "trunks=10,20");
    }
    world.vsctl(
      "del-port",
      "br0",
      "hb",
      "--",
      "add-port",
      "br1",
      "hb",
      "tag=10",
      "--",
      "set",
      "port",
      "ha",
      "tag=10",
    );
    world.host("hc", "10.1.1.3/24");
    world.vsctl("add-port", "br1", "hc", "tag=20");
    world.ping("ha", "10.1.1.2");
    t.ok(world.unreachable("ha", "10.1.1.3"), "another VLAN is another network");
    world.vsctl("set", "port", "hc", "tag=10");
    world.ping("ha", "10.1.1.3");
    t.match(world.appctl("fdb/show", "br1"), new RegExp(` 10 +${world.mac("ha")}`), "learned in its VLAN");
    world.vsctl("set", "port", "tr0", "trunks=20");
    t.ok(world.unreachable("ha", "10.1.1.2"), "a trunk that does not carry the VLAN");
  });
});

t.test("tagged frames from and to a tap", { skip }, async (t) => {
  await withTwoHosts((world) => {
    world.command("ip", "-n", world.netns, "tuntap", "add", "dev", "tap9", "mode", "tap", "vnet_hdr");
    world.command("ip", "-n", world.netns, "link", "set", "dev", "tap9", "up");
    world.vsctl("add-port", "br0", "tap9", "--", "set", "port", "ha", "tag=10");
    const who = "0001080006040001" + "020000000099" + "0a010163" + "000000000000" + "0a010101";
    const tagged = `ffffffffffff020000000099${"8100000a"}0806${who}`.padEnd(128, "0");
    const other = tagged.replace("8100000a", "81000014");
    const bun = join(root, "node_modules/.bin/bun");
    const tool = join(root, "test/system/tap-frames.ts");
    const frames = (hex: string, ms: number): string[] =>
      world
        .inside("sw", bun, tool, "tap9", String(ms), hex)
        .split("\n")
        .filter((line) => line.slice(24).includes("0806"));
    let replies: string[] = [];
    for (let ms = 400; ms < 10_000 && replies.length === 0; ms *= 2) replies = frames(tagged, ms);
    t.equal(replies.length, 1, "ha answers");
    t.equal(
      replies[0]?.slice(0, 36),
      `020000000099${world.mac("ha").replaceAll(":", "")}8100000a0806`,
      "tagged as its port is",
    );
    t.strictSame(frames(other, 400), [], "not to a frame of VLAN 20");
    t.match(world.appctl("fdb/show", "br0"), / 10 +02:00:00:00:00:99/);
  });
});

t.test("a barrier means it: no frame after the reply follows the old tables", { skip }, async (t) => {
  await withTwoHosts((world) => {
    for (const tap of ["probe0", "probe1"]) {
      world.command("ip", "-n", world.netns, "tuntap", "add", "dev", tap, "mode", "tap", "vnet_hdr");
      world.command("ip", "-n", world.netns, "link", "set", "dev", tap, "up");
    }
    world.vsctl("add-br", "br9", "--", "set", "bridge", "br9", "datapath_type=netdev", "fail_mode=secure");
    for (const [index, tap] of ["probe0", "probe1"].entries())
      world.vsctl("add-port", "br9", tap, "--", "set", "interface", tap, `ofport_request=${index + 1}`);
    const bun = join(root, "node_modules/.bin/bun");
    const tool = join(root, "test/system/barrier-probe.ts");
    const CHANGES = 300;
    const report = world.inside("sw", bun, tool, "br9", join(world.dir, "br9.mgmt"), `${CHANGES}`);
    const seen = JSON.parse(report) as Record<"probes" | "load" | "stale", number>;
    t.equal(seen.stale, 0, "no stale frame");
    t.ok(seen.probes > CHANGES / 2, `${seen.probes} of ${CHANGES} probes arrived`);
    t.ok(seen.load > CHANGES * 32, `${seen.load} frames of load`);
  });
});
