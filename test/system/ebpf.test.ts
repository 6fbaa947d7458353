/** datapath_type=ebpf with real packets: programs in the kernel forward, and everything is counted as it should be. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { release } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { cannotRun, World, withTwoHosts, withWorld } from "./world.ts";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const [major, minor] = release().split(".").map(Number);
const tooOld = major! > 5 || (major === 5 && minor! >= 11) ? false : "needs Linux 5.11";
const skip = cannotRun("ping") || tooOld;
/** Then that is what datapath_type=system means. */
const hasModule = existsSync("/sys/module/openvswitch") ? "the kernel has openvswitch.ko" : false;
const noIperf = skip || cannotRun("iperf3", "ethtool");

/** Packets that programs have forwarded. */
function byPrograms(world: World): number {
  return Number(/packets by programs: (\d+)/.exec(world.appctl("dpif-ebpf/show"))![1]);
}

function neighbours(world: World): void {
  world.inside("ha", "ip", "neigh", "replace", "10.1.1.2", "lladdr", world.mac("hb"), "dev", "eth0");
  world.inside("hb", "ip", "neigh", "replace", "10.1.1.1", "lladdr", world.mac("ha"), "dev", "eth0");
}

/** Waits until the classifier knows all masks. */
async function programsKnowAll(world: World): Promise<void> {
  await world.until("all masks are asked", () => !world.appctl("dpif-ebpf/show").includes("not yet asked"));
}

t.test("elements of maps come and go many at a time", { skip }, async (t) => {
  const script = join(root, "test/system/bpf-batches.ts");
  const { stdout, stderr } = spawnSync(join(root, "node_modules/.bin/bun"), [script], { encoding: "utf8" });
  t.equal(stdout.trim(), "[4,3,[1,2,3,4,5,6],[3,4,6],[3,4,6]]", stderr);
});

t.test("ping, statistics, what is left to user space", { skip }, async (t) => {
  await withTwoHosts(async (world) => {
    world.ping("ha", "10.1.1.2");
    t.equal(world.get("Bridge", "br0", "status"), "{}", "no fall-back");
    neighbours(world);
    world.ofctl("del-flows", "br0");
    world.ofctl("add-flow", "br0", "priority=10,in_port=1,icmp,actions=output:2");
    world.ofctl("add-flow", "br0", "priority=10,in_port=2,icmp,actions=output:1");
    world.ping("ha", "10.1.1.2");
    await programsKnowAll(world);
    const before = byPrograms(world);
    world.ping("ha", "10.1.1.2", 97);
    t.ok(byPrograms(world) - before >= 2 * 97, "no packet of a known flow comes up");
    await world.until("100 packets a flow", () => {
      const flows = world.ofctl("dump-flows", "br0");
      return [...flows.matchAll(/n_packets=100, n_bytes=9800,/g)].length === 2;
    });
    const flows = world.appctl("dpctl/dump-flows");
    t.match(
      flows,
      /in_port\(2\),.*eth_type\(0x0800\),ipv4\(.*packets:9\d, bytes:9\d\d\d, used:\d.*actions:3/,
    );
    world.ofctl("add-flow", "br0", "priority=20,icmp,actions=drop");
    t.ok(world.unreachable("ha", "10.1.1.2"), "a drop takes effect at once");
    world.ofctl("--strict", "del-flows", "br0", "priority=20,icmp");
    world.ping("ha", "10.1.1.2");

    const show = world.appctl("dpif-ebpf/show");
    t.match(show, /^ebpf@ovs-ebpf:\n {2}flows in programs: [1-9]\d*, left to userspace: \d+\n/);
    t.match(show, / 2 ha: ifindex \d+, ingress\b/);
    t.match(show, / classify_\d+: id \d+, \d+ instructions, [1-9]\d* bytes jited, [1-9]\d* verified\n/);
    t.match(world.appctl("dpif-ebpf/dump-program"), /^upcall:\n.*call ringbuf_reserve\n/s);
    t.match(world.appctl("dpif-ebpf/dump-program", "upcall"), / 0: r6 = r1\n/);
    t.equal(world.try("ovs-appctl", "dpif-ebpf/dump-program", "nothing").status, 2);

    // A part of each, and the whole.
    const received = (): number =>
      Number(world.inside("hb", "cat", "/sys/class/net/eth0/statistics/rx_bytes"));
    world.ofctl("add-flow", "br0", "priority=30,in_port=1,icmp,actions=output(port=2,max_len=60),output:2");
    world.ping("ha", "10.1.1.2");
    const bytes = received();
    world.ping("ha", "10.1.1.2", 10);
    t.equal(received() - bytes, 10 * (60 + 98));
    t.match(world.appctl("dpif-ebpf/show"), /left to userspace: 0\n/);
    // Too little of it for a program, for that one flow.
    world.ofctl("add-flow", "br0", "priority=30,in_port=1,icmp,actions=output(port=2,max_len=40),output:2");
    world.ping("ha", "10.1.1.2");
    t.match(
      world.appctl("dpif-ebpf/show"),
      /left to userspace: [1-9]\d*\n(?: {4}.*\n)* {4}truncation to so few bytes: 1\n/,
    );
  }, "ebpf");
});

t.test("the default type, where the kernel has no module", { skip: skip || hasModule }, async (t) => {
  await withTwoHosts(async (world) => {
    world.vsctl("add-br", "br1", "--", "set", "bridge", "br1", "datapath_type=system");
    world.ping("ha", "10.1.1.2");
    await programsKnowAll(world);
    const before = byPrograms(world);
    world.ping("ha", "10.1.1.2", 20);
    t.ok(byPrograms(world) - before >= 40);
    const status = '{datapath="forwarding by eBPF programs: no openvswitch module in this kernel"}';
    for (const bridge of ["br0", "br1"]) t.equal(world.get("Bridge", bridge, "status"), status);
    const told = world.log().match(/system@ovs-system: forwarding/g);
    t.equal(told?.length, 1, "said once");
    t.match(
      world.appctl("dpif/show"),
      /^system@ovs-system: hit:\d+ missed:\d+\n {2}br0:\n {4}br0 65534\/1: \(internal\)\n/,
    );
    t.equal(world.command("ovs-dpctl", "dump-dps"), "system@ovs-system\n");
    t.match(world.command("ovs-dpctl", "show"), / port 1: br0 \(internal\)\n/);
    t.match(world.appctl("dpif-ebpf/show"), /^system@ovs-system:\n/);
    t.notMatch(world.try("ovsbox", "doctor").stdout, /userspace:/);
    world.vsctl("set", "bridge", "br1", "datapath_type=netdev");
    t.equal(world.get("Bridge", "br1", "status"), "{}");
  }, "");
});

t.test("the short way to a host, while nobody would miss the long one", { skip }, async (t) => {
  await withTwoHosts(async (world) => {
    const shown = (host: string): string =>
      new RegExp(` \\d ${host}: .*\n`).exec(world.appctl("dpif-ebpf/show"))![0];
    const opens = (host: string, open: boolean): Promise<void> =>
      world.until(
        `the short way to ${host} is ${open ? "open" : "shut"}`,
        () => shown(host).endsWith(", shortcut to its far end\n") === open,
      );
    const sentTo = (host: string): { device: number; port: number } => ({
      device: Number(world.inside("sw", "cat", `/sys/class/net/${host}/statistics/tx_packets`)),
      port: Number(/tx pkts=(\d+)/.exec(world.ofctl("dump-ports", "br0", host))![1]),
    });
    world.ping("ha", "10.1.1.2");
    neighbours(world);
    for (const host of ["ha", "hb"]) await opens(host, true);
    world.ping("ha", "10.1.1.2");
    await programsKnowAll(world);
    await world.until("it is taken", () => {
      const before = sentTo("hb");
      world.ping("ha", "10.1.1.2", 20);
      const after = sentTo("hb");
      t.ok(after.port - before.port >= 20, "all are counted");
      return after.device - before.device < 20;
    });

    const capture = world.background("sw", "tcpdump", "-l", "-n", "-i", "hb", "-c", "8", "icmp");
    let seen = "";
    capture.stdout!.on("data", (chunk) => {
      seen += chunk;
    });
    await opens("hb", false);
    world.ping("ha", "10.1.1.2", 10);
    await world.until("who listens sees both ways", () => /echo request.*echo reply/s.test(seen));
    await opens("hb", true);

    world.inside("sw", "tc", "qdisc", "add", "dev", "hb", "root", "pfifo");
    await opens("hb", false);
    world.inside("sw", "tc", "qdisc", "del", "dev", "hb", "root");
    await opens("hb", true);
    world.inside("sw", "ip", "link", "set", "hb", "down");
    await opens("hb", false);
    t.ok(world.unreachable("ha", "10.1.1.2"), "the near end is down");
    world.inside("sw", "ip", "link", "set", "hb", "up");
    await opens("hb", true);
    world.ping("ha", "10.1.1.2");
    world.vsctl("set", "port", "hb", "qos=@q", "--", "--id=@q", "create", "qos", "type=linux-noop");
    await opens("hb", false);
    world.vsctl("clear", "port", "hb", "qos");
    await opens("hb", true);

    // A stranger's frames come as a stranger's.
    world.ofctl("add-flow", "br0", "priority=9,in_port=1,icmp,actions=output:2");
    world.inside("ha", "ip", "neigh", "replace", "10.1.1.2", "lladdr", "02:00:00:00:00:77", "dev", "eth0");
    t.ok(world.unreachable("ha", "10.1.1.2"));
  }, "ebpf");
});

t.test("fields are set, checksums mended, with offloads on", { skip: noIperf }, async (t) => {
  await withTwoHosts(async (world) => {
    // ha believes that 10.1.1.9 is there, hb that 10.1.1.8 is.
    world.inside("ha", "ip", "neigh", "replace", "10.1.1.9", "lladdr", "02:00:00:00:00:09", "dev", "eth0");
    world.inside("hb", "ip", "neigh", "replace", "10.1.1.8", "lladdr", "02:00:00:00:00:08", "dev", "eth0");
    world.ofctl("del-flows", "br0");
    const there = `mod_dl_dst:${world.mac("hb")},mod_nw_src:10.1.1.8,mod_nw_dst:10.1.1.2`;
    const back = `mod_dl_dst:${world.mac("ha")},mod_nw_src:10.1.1.9,mod_nw_dst:10.1.1.1`;
    world.ofctl("add-flow", "br0", `priority=10,in_port=1,tcp,actions=${there},mod_tp_dst:5201,output:2`);
    world.ofctl("add-flow", "br0", `priority=10,in_port=2,tcp,actions=${back},mod_tp_src:7000,output:1`);
    world.ofctl("add-flow", "br0", `priority=9,in_port=1,ip,actions=${there},dec_ttl,output:2`);
    world.ofctl("add-flow", "br0", `priority=9,in_port=2,ip,actions=${back},output:1`);
    world.ping("ha", "10.1.1.9", 10);
    world.background("hb", "iperf3", "-s");
    const rate = await measure(world, "-c", "10.1.1.9", "-p", "7000", "-t", "2");
    t.ok(rate > 50e6, `${(rate / 1e9).toFixed(2)} Gbit/s`);
    t.match(world.appctl("dpif-ebpf/show"), /left to userspace: 0\n/);
    t.match(world.appctl("dpctl/dump-flows"), /in_port\(2\).*flags:[A-Z]*P.*actions:set\(eth/);
  }, "ebpf");
});

/** Bits a second of a TCP run from ha, once it succeeds. */
async function measure(world: World, ...options: string[]): Promise<number> {
  let received: { bits_per_second: number } | undefined;
  await world.until("a measurement", () => {
    const run = world.tryInside("ha", "iperf3", ...options, "-J");
    if (run.stdout.startsWith("{"))
      received = (JSON.parse(run.stdout) as { end: { sum_received?: typeof received } }).end.sum_received;
    return received !== undefined;
  });
  return received!.bits_per_second;
}

t.test("labels on and off, with offloads on", { skip: noIperf }, async (t) => {
  await withTwoHosts(async (world) => {
    // What leaves by one end of a cable comes back by the other; two labels do not fit into 1500 bytes.
    world.inside("sw", "ip", "link", "add", "name", "tr0", "type", "veth", "peer", "name", "tr1");
    for (const end of ["tr0", "tr1"]) {
      world.inside("sw", "ip", "link", "set", "dev", end, "mtu", "1600", "up");
      world.vsctl("add-port", "br0", end, "--", "set", "interface", end, `ofport_request=1${end[2]}`);
    }
    world.ofctl("del-flows", "br0");
    const push = (label: number): string => `push_mpls:0x8847,set_field:${label}->mpls_label`;
    for (const flow of [
      `in_port=1,ip,actions=${push(100)},output:10`,
      "in_port=11,mpls,mpls_label=100,actions=pop_mpls:0x0800,output:2",
      `in_port=2,ip,actions=${push(200)},${push(300)},push_vlan:0x8100,set_field:4101->vlan_vid,output:11`,
      "in_port=10,dl_vlan=5,mpls,mpls_label=300,actions=set_field:7->mpls_tc,pop_mpls:0x8847,pop_vlan,resubmit(,1)",
      "table=1,mpls,mpls_label=200,actions=pop_mpls:0x0800,output:1",
    ])
      world.ofctl("-OOpenFlow13", "add-flow", "br0", flow);
    neighbours(world);
    world.background("hb", "iperf3", "-s");
    // The very first packets, which come up, are TCP's, too.
    for (const direction of [[], ["-R"]]) {
      const rate = await measure(world, "-c", "10.1.1.2", "-t", "1", ...direction);
      t.ok(rate > 50e6, `${direction[0] ?? "there"}: ${(rate / 1e9).toFixed(2)} Gbit/s`);
    }
    await programsKnowAll(world);
    const before = byPrograms(world);
    world.ping("ha", "10.1.1.2", 20);
    t.ok(byPrograms(world) - before >= 80, "two hops each way");
    t.match(world.appctl("dpif-ebpf/show"), /left to userspace: 0\n/);
    t.match(
      world.appctl("dpctl/dump-flows"),
      /actions:pop_mpls\(eth_type=0x8847\),pop_mpls\(eth_type=0x800\)/,
    );
  }, "ebpf");
});

t.test("meters by programs", { skip }, async (t) => {
  await withTwoHosts(async (world) => {
    world.ping("ha", "10.1.1.2");
    neighbours(world);
    const ofctl = (...args: string[]): string => world.ofctl("-OOpenFlow13", ...args);
    ofctl("add-meter", "br0", "meter=3,pktps,burst,stats,bands=type=drop,rate=20,burst_size=10");
    ofctl("add-flow", "br0", "priority=10,in_port=1,icmp,actions=meter:3,output:2");
    world.tryInside("ha", "ping", "-c", "1", "10.1.1.2");
    await programsKnowAll(world);
    const limited = (): void => {
      const before = byPrograms(world);
      const flood = world.tryInside("ha", "ping", "-q", "-c", "300", "-i", "0.002", "-W", "1", "10.1.1.2");
      const answered = Number(/(\d+) received/.exec(flood.stdout)![1]);
      // A busy machine sends them more slowly.
      const seconds = Number(/time (\d+)ms/.exec(flood.stdout)![1]) / 1000;
      t.ok(answered >= 10 && answered <= 15 + 20 * seconds, `${answered} of 300 passed in ${seconds} s`);
      t.ok(byPrograms(world) - before >= 300, "none came up");
      t.match(world.appctl("dpif-ebpf/show"), /left to userspace: 0\n/);
      const stats = ofctl("meter-stats", "br0", "meter=3");
      const [, all, dropped] = /packet_in_count:(\d+) .*bands:\n0: packet_count:(\d+)/s.exec(stats)!;
      t.ok(Number(all) - 300 <= 1, `${all} came`);
      t.equal(Number(dropped), 300 - answered);
    };
    limited();
    // What exceeds only the slower of two bands is the slower one's.
    const bands = "type=drop,rate=20,burst_size=10,type=drop,rate=1000000,burst_size=1000000";
    ofctl("mod-meter", "br0", `meter=3,pktps,burst,stats,bands=${bands}`);
    limited();
    t.match(ofctl("meter-stats", "br0", "meter=3"), /\n1: packet_count:0 /);
    // Another kind of meter is user space's.
    ofctl("mod-meter", "br0", "meter=3,kbps,bands=type=dscp_remark,rate=1000,prec_level=1");
    t.match(world.appctl("dpif-ebpf/show"), / a meter that programs do not run: 1\n/);
    world.ping("ha", "10.1.1.2");
  }, "ebpf");
});

t.test("copies to a controller and samples, by programs", { skip }, async (t) => {
  await withTwoHosts(async (world) => {
    world.ping("ha", "10.1.1.2");
    neighbours(world);
    let heard = "";
    const monitor = world.background("sw", "ovs-ofctl", "monitor", "br0", "65534");
    for (const stream of [monitor.stdout!, monitor.stderr!])
      stream.on("data", (text) => void (heard += text));
    world.ofctl("add-flow", "br0", "priority=10,in_port=1,icmp,actions=controller,output:2");
    await world.until("the monitor hears", () => {
      world.ping("ha", "10.1.1.2", 1);
      return heard.includes("NXT_PACKET_IN2");
    });
    await programsKnowAll(world);
    const [before, packetIns] = [byPrograms(world), heard.split("NXT_PACKET_IN2").length];
    world.ping("ha", "10.1.1.2", 20);
    await world.until("a copy of each", () => heard.split("NXT_PACKET_IN2").length >= packetIns + 20);
    t.ok(byPrograms(world) - before >= 40, "there and back");
    // What the host sends by the bridge's own port, too.
    world.ofctl("del-flows", "br0", "icmp");
    world.inside("sw", "ip", "addr", "add", "10.1.1.100/24", "dev", "br0");
    world.inside("sw", "ip", "link", "set", "br0", "up");
    world.ofctl("add-flow", "br0", "priority=10,in_port=LOCAL,icmp,actions=controller,normal");
    world.ping("sw", "10.1.1.1", 1);
    await programsKnowAll(world);
    const [own, ownIns] = [byPrograms(world), heard.split("in_port=LOCAL").length];
    world.ping("sw", "10.1.1.1", 20);
    await world.until("a copy of each", () => heard.split("in_port=LOCAL").length >= ownIns + 20);
    t.ok(byPrograms(world) - own >= 20, "of the host's own packets");
    t.match(world.appctl("dpif-ebpf/show"), /left to userspace: 0\n/);
    world.ofctl("del-flows", "br0", "icmp");
    world.vsctl(
      ...[
        "--",
        "--id=@s",
        "create",
        "sflow",
        "agent=lo",
        'targets="127.0.0.1:6343"',
        "sampling=2",
        "header=128",
      ],
      ...["--", "set", "bridge", "br0", "sflow=@s"],
    );
    world.ping("ha", "10.1.1.2", 1);
    await programsKnowAll(world);
    const unsampled = byPrograms(world);
    world.ping("ha", "10.1.1.2", 100);
    t.ok(byPrograms(world) - unsampled >= 200, "sampled packets, too");
    t.match(world.appctl("dpif-ebpf/show"), /left to userspace: 0\n/);
    t.match(world.appctl("dpctl/dump-flows"), /actions:.*sample\(|userspace\(/);
  }, "ebpf");
});

t.test("programs that only dpctl makes: ARP, ICMP, explicit drops, clones, samples", { skip }, async (t) => {
  await withWorld((world) => {
    world.startUp();
    world.host("ha", "10.1.1.1/24");
    world.host("hb", "10.1.1.2/24");
    const dpctl = (command: string, ...words: string[]): string => world.appctl(`dpctl/${command}`, ...words);
    dpctl("add-dp", "ebpf@dp1", "ha", "hb");
    // The datapath answers for 10.1.1.77: a request itself becomes the answer, and an echo request the reply.
    const mac = world.mac("ha");
    const addresses = `set(eth(src=02:00:00:00:00:77,dst=${mac}))`;
    dpctl(
      "add-flow",
      "ebpf@dp1",
      "in_port(1),eth_type(0x0806),arp(tip=10.1.1.77,op=1)",
      `${addresses},set(arp(sip=10.1.1.77,tip=10.1.1.1,op=2,sha=02:00:00:00:00:77,tha=${mac})),1`,
    );
    dpctl(
      "add-flow",
      "ebpf@dp1",
      "in_port(1),eth_type(0x0800),ipv4(dst=10.1.1.77,proto=1,frag=no),icmp(type=8)",
      `${addresses},set(ipv4(src=10.1.1.77,dst=10.1.1.1)),set(icmp(type=0,code=0)),1`,
    );
    dpctl("add-flow", "ebpf@dp1", "in_port(1),eth_type(0x0800),ipv4(dst=10.1.1.78,frag=no)", "drop");
    world.ping("ha", "10.1.1.77", 10);
    // What it answers by a copy goes to hb as it was; by a sample, some of it.
    const received = (): number =>
      Number(world.inside("hb", "cat", "/sys/class/net/eth0/statistics/rx_packets"));
    const echo = (last: number): string =>
      `in_port(1),eth_type(0x0800),ipv4(dst=10.1.1.${last},proto=1,frag=no),icmp(type=8)`;
    const answer = (last: number): string =>
      `${addresses},set(ipv4(src=10.1.1.${last},dst=10.1.1.1)),set(icmp(type=0,code=0)),1`;
    for (const last of [79, 80])
      world.inside("ha", "ip", "neigh", "replace", `10.1.1.${last}`, "lladdr", mac, "dev", "eth0");
    dpctl("add-flow", "ebpf@dp1", echo(79), `clone(${answer(79)}),2`);
    dpctl("add-flow", "ebpf@dp1", echo(80), `sample(sample=50.0%,actions(2)),${answer(80)}`);
    let before = received();
    world.ping("ha", "10.1.1.79", 10);
    t.equal(received() - before, 10);
    before = received();
    world.ping("ha", "10.1.1.80", 100);
    const sampled = received() - before;
    t.ok(sampled > 0 && sampled < 100, `${sampled} of 100`);
    t.match(world.appctl("dpif-ebpf/show"), /left to userspace: 0\n/);
    t.match(dpctl("dump-flows", "ebpf@dp1"), /arp\(.*packets:[1-9]/);
    dpctl("del-dp", "ebpf@dp1");
  });
});

t.test("TCP both ways, VLANs, the host's own port", { skip: noIperf }, async (t) => {
  await withTwoHosts(async (world) => {
    world.background("hb", "iperf3", "-s");
    for (const direction of [[], ["-R"]]) {
      const rate = await measure(world, "-c", "10.1.1.2", "-t", "2", ...direction);
      t.ok(rate > 50e6, `${direction[0] ?? "there"}: ${(rate / 1e9).toFixed(2)} Gbit/s`);
    }

    // hb behind a second bridge, and a trunk between the two.
    const trunk = ["link", "add", "name", "tr0", "type", "veth", "peer", "name", "tr1"];
    world.inside("sw", "ip", ...trunk);
    for (const end of ["tr0", "tr1"]) world.inside("sw", "ip", "link", "set", "dev", end, "up");
    world.vsctl("add-br", "br1", "--", "set", "bridge", "br1", "datapath_type=ebpf");
    world.vsctl("add-port", "br0", "tr0", "trunks=10,20", "--", "add-port", "br1", "tr1", "trunks=10,20");
    world.vsctl(
      "del-port",
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
    world.ping("ha", "10.1.1.2");
    await programsKnowAll(world);
    const untagged = byPrograms(world);
    world.ping("ha", "10.1.1.2", 20);
    t.ok(byPrograms(world) - untagged >= 80, "tags on and off by programs, there and back");
    t.notMatch(world.appctl("dpif-ebpf/show"), /could not be/);
    t.match(world.appctl("dpctl/dump-flows"), /actions:push_vlan\(vid=10,pcp=0\)/);
    const rate = await measure(world, "-c", "10.1.1.2", "-t", "1");
    t.ok(rate > 50e6, `tagged: ${(rate / 1e9).toFixed(2)} Gbit/s`);
    world.vsctl("set", "port", "hb", "tag=20");
    t.ok(world.unreachable("ha", "10.1.1.2"), "another VLAN is another network");

    // The bridge's own port, in and out by programs.
    world.vsctl("remove", "port", "ha", "tag", "10");
    world.inside("sw", "ip", "addr", "add", "10.1.1.100/24", "dev", "br0");
    world.inside("sw", "ip", "link", "set", "br0", "up");
    world.ping("ha", "10.1.1.100");
    await programsKnowAll(world);
    const before = byPrograms(world);
    world.ping("ha", "10.1.1.100", 50);
    t.ok(byPrograms(world) - before >= 100, "there and back");
    const [, rx, tx] = /port LOCAL: rx pkts=(\d+),[^\n]*\n +tx pkts=(\d+),/.exec(
      world.ofctl("dump-ports", "br0"),
    )!;
    t.ok(Number(rx) >= 53 && Number(tx) >= 53, `counted at the port: ${rx} and ${tx}`);
  }, "ebpf");
});

t.test("without the right to load programs", { skip: skip || cannotRun("setpriv") }, async (t) => {
  const world = new World();
  try {
    world.startDatabase();
    world.inside(
      "sw",
      "setpriv",
      "--bounding-set=-bpf,-sys_admin",
      "--inh-caps=-all",
      "ovs-vswitchd",
      "--detach",
      "--no-chdir",
      "--pidfile",
      "--log-file",
      "-vconsole:off",
    );
    world.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=ebpf");
    world.vsctl("add-br", "br1");
    t.match(world.get("Bridge", "br0", "status"), /datapath="forwarding in userspace: .*CAP_BPF/);
    t.match(world.log(), /WARN\|ebpf@ovs-ebpf: forwarding in userspace: .*CAP_BPF/);
    t.match(world.get("Bridge", "br1", "status"), /datapath="forwarding in userspace: .*CAP_BPF/);
    t.match(world.log(), /INFO\|system@ovs-system: forwarding in userspace: .*, and .*CAP_BPF/);
    world.host("ha", "10.1.1.1/24");
    world.host("hb", "10.1.1.2/24");
    world.vsctl("add-port", "br0", "ha", "--", "add-port", "br0", "hb");
    world.ping("ha", "10.1.1.2");
  } finally {
    await world.close();
  }
});
