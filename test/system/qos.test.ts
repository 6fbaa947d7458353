/** Queues and policing with real traffic: rates, counters, and what the kernel's own tool says of them. */
import t, { type Test } from "tap";
import { cannotRun, type World, withTwoHosts } from "./world.ts";

const skip = cannotRun("iperf3", "tc");

/**
 * Mbit/s that a run of iperf3 from `from` brings to its server at `to`, or what `scale` makes of it, is within `low` and `high`.
 * On a machine that does other things the sender cannot always offer what it should, hence up to five measurements.
 */
async function measures(
  t: Test,
  world: World,
  [low, high]: readonly [number, number],
  options: readonly string[],
  { from = "ha", to = "10.1.1.2", scale = 1e-6, unit = "Mbit/s" } = {},
): Promise<void> {
  let got = Number.NaN;
  for (let attempt = 0; attempt < 5 && !(got > low && got < high); attempt++) {
    await world.until("a measurement", () => {
      const run = world.tryInside(from, "iperf3", "-c", to, "-t", "3", "-O", "1", ...options, "-J");
      const { end } = run.stdout.startsWith("{")
        ? (JSON.parse(run.stdout) as { end?: { sum_received?: { bits_per_second: number } } })
        : {};
      got = (end?.sum_received?.bits_per_second ?? 0) * scale;
      return got > 0;
    });
  }
  t.ok(got > low && got < high, `${got.toFixed(1)} ${unit}, within ${low} and ${high}`);
}

/** Bytes and packets of classes, by their minor numbers, as tc counts them. */
function classes(world: World): Map<number, [bytes: number, packets: number]> {
  const text = world.inside("sw", "tc", "-s", "class", "show", "dev", "hb");
  return new Map(
    [...text.matchAll(/class htb 1:(\w+) parent 1:fffe.*\n Sent (\d+) bytes (\d+) pkt/g)].map(
      ([, id, bytes, packets]) => [Number.parseInt(id!, 16), [Number(bytes), Number(packets)]],
    ),
  );
}

for (const type of ["netdev", "ebpf"] as const) {
  t.test(`${type}: two queues, each with its rate`, { skip }, async (t) => {
    await withTwoHosts(async (world) => {
      world.vsctl(
        ...["set", "port", "hb", "qos=@q", "--", "--id=@q", "create", "qos", "type=linux-htb"],
        ...["other-config:max-rate=1000000000", "queues:1=@a", "queues:2=@b"],
        ...[
          "--",
          "--id=@a",
          "create",
          "queue",
          "other-config:max-rate=20000000",
          "other-config:min-rate=20000000",
        ],
        ...[
          "--",
          "--id=@b",
          "create",
          "queue",
          "other-config:max-rate=50000000",
          "other-config:min-rate=50000000",
        ],
      );
      world.ofctl("add-flow", "br0", "priority=10,in_port=1,tcp,tp_dst=5201,actions=set_queue:1,output:2");
      world.ofctl("add-flow", "br0", "priority=10,in_port=1,tcp,tp_dst=5202,actions=enqueue:2:2");
      for (const port of ["5201", "5202"]) world.background("hb", "iperf3", "-s", "-p", port);
      for (const [port, rate] of [
        [5201, 20],
        [5202, 50],
      ] as const) {
        await measures(t, world, [rate * 0.9, rate * 1.1], ["-p", String(port)]);
      }
      const counted = classes(world);
      t.strictSame([...counted.keys()].sort(), [1, 2, 3]);
      const stats = world.ofctl("queue-stats", "br0", "2");
      for (const queue of [1, 2]) {
        const [bytes, packets] = counted.get(queue + 1)!;
        t.ok(packets > 10);
        t.match(stats, new RegExp(`port 2 queue ${queue}: bytes=${bytes}, pkts=${packets}, errors=\\d+`));
      }
      t.match(
        world.appctl("qos/show", "hb"),
        /^QoS: hb linux-htb\nmax-rate: 1000000000\n\nDefault:\n {2}burst: 12512\n {2}min-rate: 12000\n {2}max-rate: 1000000000\n {2}tx_packets: \d+\n {2}tx_bytes: \d+\n {2}tx_errors: 0\n\nQueue 1:\n {2}burst: 12512\n {2}min-rate: 20000000\n {2}tx_packets: \d\d+\n/,
      );
      t.match(world.ofctl("-OOpenFlow13", "queue-stats", "br0", "2", "1"), /duration=\d+\.\d+s/);
      world.vsctl("clear", "port", "hb", "qos");
      t.notMatch(world.inside("sw", "tc", "qdisc", "show", "dev", "hb"), "htb");
      t.equal(world.appctl("qos/show", "hb"), "QoS not configured on hb\n");
      t.match(world.ofctl("queue-stats", "br0", "2"), /: 0 queues/);
    }, type);
  });

  t.test(`${type}: ingress policing`, { skip }, async (t) => {
    await withTwoHosts(async (world) => {
      world.background("hb", "iperf3", "-s");
      world.vsctl("set", "interface", "ha", "ingress_policing_rate=10000", "ingress_policing_burst=1000");
      // TCP would tell more of how it takes losses.
      const udp = ["-u", "-b", "30M", "-l", "1400"];
      await measures(t, world, [8, 12], udp);
      t.match(world.appctl("coverage/show"), /^datapath_drop_ingress_policing .* total: [1-9]/m);
      world.vsctl("set", "interface", "ha", "ingress_policing_rate=0");
      await measures(t, world, [28, 32], udp);
    }, type);
  });
}

t.test("kinds that the kernel has not, or nobody knows", { skip }, async (t) => {
  await withTwoHosts((world) => {
    t.equal(
      world.appctl("qos/show-types", "ha"),
      ["codel", "fq_codel", "hfsc", "htb", "netem", "noop", "sfq"]
        .map((name) => `QoS type: linux-${name}\n`)
        .join(""),
    );
    t.match(world.try("ovs-appctl", "qos/show", "nope").stderr, /^no such interface\n/);
    const lacks = (kind: string): boolean =>
      world.tryInside("sw", "tc", "qdisc", "add", "dev", "lo", "root", kind).status !== 0;
    world.vsctl("set", "port", "ha", "qos=@q", "--", "--id=@q", "create", "qos", "type=bogus");
    t.match(world.log(), /WARN\|ha: QoS type bogus is none of linux-codel, /);
    if (lacks("hfsc")) {
      world.vsctl("set", "qos", world.get("port", "ha", "qos"), "type=linux-hfsc");
      t.match(world.log(), /WARN\|ha: Failed to install new qdisc: No such file or directory/);
      t.equal(world.appctl("qos/show", "ha"), "QoS not configured on ha\n");
    }
    world.ping("ha", "10.1.1.2");
  });
});

t.test("ebpf: policing of what the host sends by the switch's own port", { skip }, async (t) => {
  await withTwoHosts(async (world) => {
    world.inside("sw", "ip", "addr", "add", "10.1.1.100/24", "dev", "br0");
    world.inside("sw", "ip", "link", "set", "br0", "up");
    world.background("ha", "iperf3", "-s");
    world.vsctl("set", "interface", "br0", "ingress_policing_kpkts_rate=1", "ingress_policing_kpkts_burst=1");
    await measures(t, world, [800, 1200], ["-u", "-b", "30M", "-l", "1000"], {
      ...{ from: "sw", to: "10.1.1.1" },
      ...{ scale: 1 / 8000, unit: "packets a second" },
    });
    t.match(world.appctl("dpif-ebpf/show"), / br0: ifindex \d+, egress of a tap, policed\n/);
    t.match(world.appctl("dpif-ebpf/show"), /dropped by policing: [1-9]/);
  }, "ebpf");
});

t.test("everything goes with the port", { skip }, async (t) => {
  await withTwoHosts((world) => {
    world.vsctl("set", "port", "ha", "qos=@q", "--", "--id=@q", "create", "qos", "type=linux-htb");
    t.match(world.inside("sw", "tc", "qdisc", "show", "dev", "ha"), "htb 1: root");
    world.vsctl("del-port", "ha");
    t.notMatch(world.inside("sw", "tc", "qdisc", "show", "dev", "ha"), "htb");
  });
});
