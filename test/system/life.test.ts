/** What happens to a switch in service: links that change under it, many ports, many commands, daemons that are killed. */
import { spawn } from "node:child_process";
import { join, resolve } from "node:path";
import t from "tap";
import { FULL } from "./bin.ts";
import { cannotRun, sleep, type World, withWorld } from "./world.ts";

const root = resolve(import.meta.dirname, "../..");
const skip = cannotRun("ping");

const link = (world: World, ...words: string[]): string =>
  world.command("ip", "-n", world.netns, "link", ...words);

t.test("links that change", { skip }, async (t) => {
  await withWorld(async (world) => {
    world.startUp();
    world.twoHosts();
    world.ping("ha", "10.1.1.2");

    link(world, "set", "dev", "hb", "down");
    await world.until("its state is told", () => world.get("interface", "hb", "admin_state") === "down");
    t.ok(world.unreachable("ha", "10.1.1.2"), "a link that is down");
    link(world, "set", "dev", "hb", "up");
    await world.until("its state is told", () => world.get("interface", "hb", "link_state") === "up");
    world.ping("ha", "10.1.1.2");

    for (const mtu of ["9000", "1400"]) {
      for (const host of ["ha", "hb"]) {
        link(world, "set", "dev", host, "mtu", mtu);
        world.inside(host, "ip", "link", "set", "dev", "eth0", "mtu", mtu);
      }
      await world.until("the MTU is told", () => world.get("interface", "hb", "mtu") === mtu);
      const size = String(Number(mtu) - 28);
      t.match(
        world.inside("ha", "ping", "-M", "do", "-s", size, "-c", "3", "-i", "0.05", "10.1.1.2"),
        / 3 received/,
        `frames as large as an MTU of ${mtu} allows`,
      );
    }
    // One that is too large for the way out goes nowhere, and harms nobody.
    link(world, "set", "dev", "ha", "mtu", "9000");
    world.inside("ha", "ip", "link", "set", "dev", "eth0", "mtu", "9000");
    world.tryInside("ha", "ping", "-M", "do", "-s", "8000", "-c", "2", "-i", "0.05", "-W", "1", "10.1.1.2");
    world.ping("ha", "10.1.1.2");

    link(world, "set", "dev", "hb", "name", "other");
    await world.until("the name is missed", () =>
      world.get("interface", "hb", "error").includes("No such device"),
    );
    world.vsctl("add-port", "br0", "other");
    world.ping("ha", "10.1.1.2");
    link(world, "set", "dev", "other", "name", "hb");
    await world.until("it is attached again", () => world.get("interface", "hb", "ofport") === "2");
    await world.until("the other name is missed", () => world.get("interface", "other", "ofport") === "-1");
    world.ping("ha", "10.1.1.2");

    world.command("ip", "netns", "del", `${world.id}-hb`);
    await world.until("its device has gone", () => world.get("interface", "hb", "ofport") === "-1", 10);
    world.inside("sw", "ip", "addr", "add", "10.1.1.9/24", "dev", "br0");
    world.inside("sw", "ip", "link", "set", "dev", "br0", "up");
    world.ping("ha", "10.1.1.9");
    t.notMatch(world.log(), /\|(ERR|EMER)\|/);
  });
});

t.test("many ports at once, and many commands", { skip }, async (t) => {
  await withWorld(async (world) => {
    world.startUp();
    world.twoHosts();
    const count = FULL ? 500 : 60;
    const names = Array.from({ length: count }, (_, i) => `p${i}`);
    world.inside(
      "sw",
      "sh",
      "-c",
      `for i in $(seq 0 ${count - 1}); do echo link add p$i type veth peer name q$i; echo link set p$i up; done | ip -batch -`,
    );
    world.vsctl("-t", "120", ...names.flatMap((name) => ["--", "add-port", "br0", name]));
    const shown = world.vsctl("--bare", "--columns=ofport", "find", "interface", "name>=p", "name<q");
    const numbers = shown.split(/\s+/).filter(Boolean).map(Number);
    t.equal(new Set(numbers).size, count, "each has a number of its own");
    t.ok(numbers.every((number) => number > 0));
    world.ping("ha", "10.1.1.2");
    const running = names.slice(0, 64).map(
      (name, i) =>
        new Promise<number | null>((resolve) => {
          const args = [
            "-t",
            "100",
            i % 2 === 0 ? "del-port" : "set",
            ...(i % 2 === 0 ? [] : ["port"]),
            name,
          ];
          if (i % 2 !== 0) args.push(`tag=${i}`);
          spawn("ovs-vsctl", args, { env: world.env, stdio: "ignore" }).once("exit", resolve);
        }),
    );
    t.ok(
      (await Promise.all(running)).every((status) => status === 0),
      "64 commands side by side",
    );
    const left = world.vsctl("list-ports", "br0").trim().split("\n");
    t.equal(left.length, 2 + count - running.length / 2);
    t.equal(world.get("port", "p1", "tag"), "1");
    world.vsctl(
      "-t",
      "120",
      "--",
      ...left.slice(2).flatMap((name) => ["--", "--if-exists", "del-port", "br0", name]),
    );
    world.ping("ha", "10.1.1.2");
    t.notMatch(world.log(), /\|(ERR|EMER)\|/);
  });
});

t.test("daemons killed in the middle of changes", { skip }, async (t) => {
  await withWorld(async (world) => {
    world.startDatabase();
    world.startSwitch();
    world.twoHosts();
    for (let i = 0; i < 4; i++) {
      link(world, "add", `p${i}`, "type", "veth", "peer", "name", `q${i}`);
      link(world, "set", "dev", `p${i}`, "up");
    }
    const change = (i: number): string[] => {
      const port = `p${i % 4}`;
      if (i % 3 === 0) return ["--if-exists", "del-port", "br0", port];
      if (i % 3 === 1) return ["--may-exist", "add-port", "br0", port, `tag=${i}`];
      return [
        "--may-exist",
        "add-br",
        `br${1 + (i % 2)}`,
        "--",
        "set",
        "bridge",
        `br${1 + (i % 2)}`,
        "datapath_type=netdev",
      ];
    };
    let done = 0;
    for (let round = 0; round < (FULL ? 30 : 4); round++) {
      const daemon = round % 2 === 0 ? ("ovs-vswitchd" as const) : ("ovsdb-server" as const);
      const pid = world.pid(daemon);
      const kill = spawn("sh", ["-c", `sleep 0.${round % 10}; kill -9 ${pid}`]);
      const ended = new Promise((resolve) => kill.once("exit", resolve));
      for (let i = 0; i < 6; i++) world.try("ovs-vsctl", "--no-wait", "-t", "2", ...change(done++));
      await ended;
      if (daemon === "ovs-vswitchd") world.startSwitch();
      else world.startDatabase();
    }
    world.vsctl(
      "-t",
      "30",
      "--may-exist",
      "add-port",
      "br0",
      "p3",
      "--",
      "--if-exists",
      "del-port",
      "br0",
      "p2",
    );
    world.ping("ha", "10.1.1.2");
    // What the switch runs is what the database says.
    const wanted = new Map(
      world
        .vsctl("list-br")
        .trim()
        .split("\n")
        .map((bridge) => [bridge, world.vsctl("list-ports", bridge).split("\n").filter(Boolean).sort()]),
    );
    for (const [bridge, ports] of wanted) {
      const shown = [...world.ofctl("show", bridge).matchAll(/^ \d+\((\w+)\)/gm)].map((match) => match[1]!);
      t.strictSame(shown.sort(), ports, `ports of ${bridge}`);
    }
    const attached = [...world.appctl("dpif/show").matchAll(/^ {4}(\w+) \d+\/\d+:/gm)].map(
      (match) => match[1]!,
    );
    t.strictSame(
      attached.sort(),
      [...wanted].flatMap(([bridge, ports]) => [bridge, ...ports]).sort(),
      "the datapath's",
    );
  });
});

t.test("frames of every malformation, written to a tap", { skip }, async (t) => {
  await withWorld(async (world) => {
    world.startUp();
    world.twoHosts();
    world.inside("sw", "ip", "tuntap", "add", "dev", "tap9", "mode", "tap", "vnet_hdr");
    link(world, "set", "dev", "tap9", "up");
    world.vsctl("add-port", "br0", "tap9");
    world.ofctl(
      "add-flow",
      "br0",
      "priority=9,ip,in_port=tap9,actions=mod_nw_tos:4,mod_dl_dst:02:00:00:00:00:09,NORMAL",
    );
    world.ofctl("add-flow", "br0", "priority=9,ipv6,in_port=tap9,actions=mod_vlan_vid:7,FLOOD");
    const bun = join(root, "node_modules/.bin/bun");
    const seed = Math.floor(Math.random() * 2 ** 31);
    const tool = join(root, "test/system/tap-noise.ts");
    let taken = 0;
    for (let part = 0; part < (FULL ? 25 : 1); part++) {
      const said = world.inside("sw", bun, tool, "tap9", "4000", String(seed + part));
      taken += Number(/took (\d+)/.exec(said)![1]);
    }
    t.ok(taken > 1000, `the kernel let ${taken} pass`);
    await sleep(200);
    world.ping("ha", "10.1.1.2");
    t.match(world.appctl("dpctl/show"), /lookups: hit:\d+/);
    t.notMatch(world.log(), /\|(ERR|EMER)\|/, `seed ${seed}`);
  });
});
