/** Several threads of the userspace datapath, with devices of several receive queues. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { cannotRun, sleep, type World, withWorld } from "./world.ts";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const bun = join(root, "node_modules/.bin/bun");
const flowsTool = join(root, "test/system/udp-flows.ts");
const skip =
  cannotRun("ping") || (availableParallelism() < 2 ? "one processor: the datapath has one thread" : false);
const noIperf = skip || cannotRun("iperf3");
const THREADS = Math.min(4, availableParallelism());

function start(world: World): void {
  world.startUp();
  world.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev");
  world.host("ha", "10.1.1.1/24", 4);
  world.host("hb", "10.1.1.2/24", 4);
}

/** Of each thread: core, the ports that it receives, lookups that found a megaflow. */
function threads(world: World): { core: number; ports: string[]; hits: number }[] {
  const queues = world.appctl("dpif-netdev/pmd-rxq-show").split("pmd thread numa_id 0 core_id ").slice(1);
  const stats = world.appctl("dpif-netdev/pmd-stats-show").split("pmd thread numa_id 0 core_id ").slice(1);
  return queues.map((text, i) => ({
    core: Number.parseInt(text, 10),
    ports: [...text.matchAll(/port: (\S+) +queue-id: +(\d+) \(enabled\)/g)].map((m) => `${m[1]}.${m[2]}`),
    hits: [...stats[i]!.matchAll(/(?:emc|megaflow) hits: (\d+)/g)].reduce((all, m) => all + Number(m[1]), 0),
  }));
}

/** Datagrams that the sockets of a host had no room for. */
function noRoom(world: World, host: string): number {
  const [names, values] = world
    .inside(host, "cat", "/proc/net/snmp")
    .split("\n")
    .filter((line) => line.startsWith("Udp:"))
    .map((line) => line.split(" "));
  return Number(values![names!.indexOf("RcvbufErrors")]);
}

/** Sends datagrams of many flows from ha to hb. */
async function send(
  world: World,
  flows: number,
  rounds: number,
  meanwhile: () => unknown = () => {},
): Promise<{ received: number; late: number }> {
  const args = [bun, flowsTool];
  const counts = ["10.1.1.2", String(flows), String(rounds)];
  const receiver = world.background("hb", ...args, "receive", ...counts);
  let output = "";
  receiver.stdout!.on("data", (bytes: Buffer) => {
    output += bytes;
  });
  const ended = new Promise<void>((resolve) => void receiver.on("exit", () => resolve()));
  for (let i = 0; !output.includes("ready") && i < 500; i++) await sleep(20);
  const sender = world.background("ha", ...args, "send", ...counts);
  const sentAll = new Promise<void>((resolve) => void sender.on("exit", () => resolve()));
  await sleep(900);
  meanwhile();
  await sentAll;
  await ended;
  return JSON.parse(output.slice(output.indexOf("{")));
}

t.test("flows are spread over threads, nothing is lost or overtaken", { skip }, async (t) => {
  await withWorld(async (world) => {
    start(world);
    t.equal(
      world.appctl("dpif-netdev/pmd-rxq-show"),
      "Displaying last 60 seconds pmd usage %\n",
      "one thread at first",
    );
    world.vsctl("add-port", "br0", "ha", "--", "add-port", "br0", "hb");
    world.ping("ha", "10.1.1.2");
    const before = threads(world);
    t.equal(before.length, THREADS);
    for (const { ports } of before) {
      t.equal(ports.filter((port) => port.startsWith("ha.")).length, 1);
      t.equal(ports.filter((port) => port.startsWith("hb.")).length, 1);
    }

    const lost = noRoom(world, "hb");
    const [flows, rounds] = [64, 200];
    const { received, late } = await send(world, flows, rounds);
    t.equal(received + noRoom(world, "hb") - lost, flows * rounds, "none is lost");
    t.equal(late, 0, "and none comes after a later one of its flow");
    const after = threads(world);
    const counts = after.map(({ hits }, i) => hits - before[i]!.hits);
    t.ok(
      counts.every((count) => count > (flows * rounds) / THREADS / 4),
      `each thread has its part: ${counts}`,
    );
    // What main shows is the sum.
    const counted = [
      ...world.appctl("dpctl/dump-flows").matchAll(/eth_type\(0x0800\).*packets:(\d+)/g),
    ].reduce((all, m) => all + Number(m[1]), 0);
    t.ok(counted >= flows * (rounds - 1), `megaflows have counted ${counted}`);

    // A meter's burst is that of all threads together, and its rate adds little to it in this time.
    world.ofctl(
      "-O",
      "OpenFlow13",
      "add-meter",
      "br0",
      "meter=1,pktps,burst,band=type=drop,rate=20,burst_size=500",
    );
    world.ofctl("-O", "OpenFlow13", "add-flow", "br0", "priority=9,udp,actions=meter:1,normal");
    const metered = await send(world, flows, 40);
    t.ok(metered.received >= 500 && metered.received < 700, `${metered.received} of 2560 pass the meter`);
    world.ofctl("-O", "OpenFlow13", "del-flows", "br0", "udp");

    // The internal port is one thread's to read, and all write to it.
    world.inside("sw", "ip", "addr", "add", "10.1.1.3/24", "dev", "br0");
    world.inside("sw", "ip", "link", "set", "br0", "up");
    world.ping("ha", "10.1.1.3", 20);
    world.ping("sw", "10.1.1.2", 20);

    world.vsctl("del-port", "br0", "hb");
    t.ok(world.unreachable("ha", "10.1.1.2"));
    t.notOk(threads(world).some(({ ports }) => ports.some((port) => port.startsWith("hb"))));
    world.vsctl("add-port", "br0", "hb");
    world.ping("ha", "10.1.1.2");
    t.equal(
      threads(world).filter(({ ports }) => ports.some((port) => port.startsWith("hb."))).length,
      THREADS,
    );
    // A device that goes and comes back under its name.
    world.vsctl("del-br", "br0");
    t.equal(packetSockets(world), 0, "no socket is left");
    world.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev");
    world.vsctl("add-port", "br0", "ha", "--", "add-port", "br0", "hb");
    world.ping("ha", "10.1.1.2");

    const pid = world.pid("ovs-vswitchd");
    world.appctl("exit");
    await world.until("the process ends", () => !existsSync(`/proc/${pid}`));
    t.equal(packetSockets(world), 0);
    t.notMatch(world.log(), /\|(EMER|ERR)\|/);
  });
});

function packetSockets(world: World): number {
  return world.inside("sw", "cat", "/proc/net/packet").trim().split("\n").length - 1;
}

t.test("a port that moves to another thread under traffic loses nothing", { skip }, async (t) => {
  await withWorld(async (world) => {
    world.startUp();
    world.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev");
    world.host("ha", "10.1.1.1/24");
    world.host("hb", "10.1.1.2/24");
    world.vsctl("add-port", "br0", "ha", "--", "add-port", "br0", "hb");
    world.ping("ha", "10.1.1.2");
    t.strictSame(threads(world), []);
    world.host("hc", "10.1.1.3/24", 4);
    const lost = noRoom(world, "hb");
    const [flows, rounds] = [16, 600];
    const { received, late } = await send(world, flows, rounds, () => world.vsctl("add-port", "br0", "hc"));
    t.equal(received + noRoom(world, "hb") - lost, flows * rounds);
    t.equal(late, 0);
    const of = (port: string) => threads(world).findIndex(({ ports }) => ports.includes(`${port}.0`));
    t.not(of("ha"), of("hb"), "each has a thread");
    world.ping("hc", "10.1.1.2");
  });
});

t.test("TCP with offloads between threads", { skip: noIperf }, async (t) => {
  await withWorld(async (world) => {
    start(world);
    world.vsctl("add-port", "br0", "ha", "--", "add-port", "br0", "hb");
    world.background("hb", "iperf3", "-s");
    // iperf3 3.12 ends with status 0 even when it could not connect: only the report tells.
    let received: { bits_per_second: number } | undefined;
    await world.until("a measurement", () => {
      const run = world.tryInside("ha", "iperf3", "-c", "10.1.1.2", "-t", "1", "-P", "8", "-J");
      if (run.stdout.startsWith("{")) received = JSON.parse(run.stdout).end.sum_received;
      return received !== undefined;
    });
    const rate = received!.bits_per_second;
    t.ok(rate > 50e6, `${(rate / 1e9).toFixed(2)} Gbit/s`);
    t.ok(threads(world).every(({ hits }) => hits > 0));
  });
});

t.test("pmd-cpu-mask: how many threads, and where they run", { skip }, async (t) => {
  await withWorld(async (world) => {
    start(world);
    world.vsctl("set", "Open_vSwitch", ".", "other_config:pmd-cpu-mask=1");
    world.vsctl("add-port", "br0", "ha", "--", "add-port", "br0", "hb");
    world.ping("ha", "10.1.1.2");
    t.strictSame(threads(world), [], "one thread is not shown as one of several");
    t.strictSame(pinned(world), ["0"]);
    world.vsctl("set", "Open_vSwitch", ".", "other_config:pmd-cpu-mask=0x3");
    world.vsctl("del-port", "br0", "hb", "--", "add-port", "br0", "hb");
    world.vsctl("del-port", "br0", "hb");
    world.vsctl("add-port", "br0", "hb");
    world.ping("ha", "10.1.1.2");
    t.strictSame(
      threads(world).map(({ core }) => core),
      [0, 1],
    );
    t.strictSame(pinned(world), ["0", "1"]);
    world.vsctl("remove", "Open_vSwitch", ".", "other_config", "pmd-cpu-mask");
    t.strictSame(pinned(world), [], "as it was before");
  });
});

/** Processors of threads that keep to one. */
function pinned(world: World): string[] {
  const tasks = `/proc/${world.pid("ovs-vswitchd")}/task`;
  return readdirSync(tasks)
    .map((task) => /Cpus_allowed_list:\s*(\S+)/.exec(readFileSync(`${tasks}/${task}/status`, "utf8"))![1]!)
    .filter((list) => /^\d+$/.test(list))
    .sort();
}
