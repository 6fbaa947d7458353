/**
 * What scripts for the Linux bridge find when they drive a switch: `ovs-brctl` beside bridge-utils' brctl, and
 * `ovs-brcompatd`, which takes live Linux bridges over and gives them back.
 */
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import t from "tap";
import { peer } from "./bin.ts";
import { cannotRun, sleep, World, withWorld } from "./world.ts";

const BRCTL = peer("brctl") ?? "/usr/sbin/brctl";
const skip = cannotRun("ping");

/** Devices p1 to p3 in the namespace "sw", each with a host behind it. */
function threeHosts(world: World): void {
  for (const n of [1, 2, 3]) world.host(`p${n}`, `10.7.0.${n}/24`);
}

/**
 * Lines of a script that both run, each in a namespace of its own; output, errors and status of each must be the same.
 */
const SCRIPT = [
  "brctl",
  "brctl nosuch",
  "brctl -x",
  "brctl addbr",
  "brctl addbr br7",
  "brctl addbr br7",
  "brctl addbr p1",
  "brctl addbr a/b",
  "brctl addbr ''",
  "brctl addif br7 p1",
  "brctl addif br7 p1",
  "brctl addif br7",
  "brctl addif br7 nosuch",
  "brctl addif nosuch p2",
  "brctl addif p3 p2",
  "brctl addif br7 br7",
  "brctl addif br7 lo",
  "brctl addif br7 p2 nosuch p3",
  "brctl delif br7 p3",
  "brctl delif br7 nosuch",
  "brctl delif nosuch p1",
  "brctl delif p3 p1",
  "brctl delif br7",
  "brctl show",
  "brctl show br7",
  "brctl show p1",
  "brctl show nosuch",
  "brctl show br7 nosuch",
  "brctl showmacs nosuch",
  "brctl showmacs p1",
  "brctl showmacs",
  "brctl showstp nosuch",
  "brctl showstp p1",
  "brctl setfd br7 0",
  "brctl setfd br7 x",
  "brctl setfd nosuch 4",
  "brctl setfd p1 4",
  "brctl setfd br7",
  "brctl setageing br7 60",
  "brctl setageing br7 5s",
  "brctl setageing br7 x",
  "brctl setageing nosuch 10",
  "brctl setageing p1 10",
  "brctl setbridgeprio br7 4096",
  "brctl show br7",
  "brctl setbridgeprio br7 x",
  "brctl setbridgeprio nosuch 1",
  "brctl sethello br7 3",
  "brctl sethello br7 0",
  "brctl sethello br7 11",
  "brctl sethello br7 x",
  "brctl setmaxage br7 30",
  "brctl setmaxage br7 5",
  "brctl setmaxage br7 41",
  "brctl setmaxage br7 x",
  "brctl setpathcost br7 p1 100",
  "brctl setpathcost br7 p1 0",
  "brctl setpathcost br7 p1 65536",
  "brctl setpathcost br7 p1 x",
  "brctl setpathcost br7 p3 100",
  "brctl setpathcost br7 nosuch 100",
  "brctl setpathcost br7 p1",
  "brctl setportprio br7 p1 10",
  "brctl setportprio br7 p1 64",
  "brctl setportprio br7 p1 x",
  "brctl hairpin br7 p3 on",
  "brctl hairpin br7 p1 maybe",
  "brctl hairpin nosuch p1 on",
  "brctl stp br7 on",
  "brctl stp br7 maybe",
  "brctl stp nosuch on",
  "brctl stp p1 on",
  "brctl show br7",
  "brctl setfd br7 1",
  "brctl setfd br7 31",
  "brctl setfd br7 4",
  "brctl stp br7 off",
  "ip link set br7 up",
  "brctl delbr br7",
  "brctl delif br7 p1",
  "brctl delif br7 p1",
  "ip link set br7 down",
  "brctl delbr br7",
  "brctl delbr br7",
  "brctl delbr p1",
  "brctl show",
];

/** Runs the script in "sw" with `brctl` in the place of its name. */
function transcript(world: World, brctl: string): string[] {
  return SCRIPT.map((line) => {
    const { status, stdout, stderr } = world.tryInside("sw", "sh", "-c", line.replace(/^brctl/, brctl));
    // A bridge's MAC is its own, and ours says who it is where getopt complains.
    const text = `${stdout}errors:\n${stderr}`
      .replaceAll(/\.[0-9a-f]{12}\b/g, ".MAC")
      .replaceAll(/^.*: invalid option/gm, "brctl: invalid option")
      .replaceAll(/^Unknown option .*\n/gm, "");
    return `$ ${line}\n${text}[${status}]`;
  });
}

const withoutPeer = peer("brctl") === undefined && "no peer brctl (scripts/peers)";

t.test("ovs-brctl says what brctl says", { skip: skip || withoutPeer }, async (t) => {
  let theirs: string[] = [];
  await withWorld((world) => {
    threeHosts(world);
    theirs = transcript(world, BRCTL);
  });
  await withWorld((world) => {
    world.startUp();
    threeHosts(world);
    const ours = transcript(world, "ovs-brctl");
    SCRIPT.forEach((line, i) => {
      t.equal(ours[i], theirs[i], line);
    });
  });
});

/** Numbers, addresses and timers out of a table. */
const shape = (text: string): string =>
  text.replaceAll(/[0-9a-f]{2}(:[0-9a-f]{2}){5}|[0-9a-f]{12}\b/g, "MAC").replaceAll(/ +\d+\.\d\d/g, " TIME");

t.test(
  "the same script forwards the same, and shows the same tables",
  { skip: skip || withoutPeer },
  async (t) => {
    const seen: { reach: string; macs: string; stp: string }[] = [];
    const script = [
      "brctl addbr br7",
      "ip link set br7 up",
      "brctl stp br7 off",
      "brctl setfd br7 0",
      "brctl setageing br7 120",
      "brctl addif br7 p1 p2 p3",
      "brctl delif br7 p3",
      "ip addr add 10.7.0.9/24 dev br7",
    ];
    for (const brctl of [BRCTL, "ovs-brctl"])
      await withWorld((world) => {
        if (brctl === "ovs-brctl") world.startUp();
        threeHosts(world);
        for (const line of script) world.inside("sw", "sh", "-c", line.replace(/^brctl/, brctl));
        let reach = "";
        for (const from of [1, 2, 3])
          for (const to of [1, 2, 3, 9])
            if (from !== to)
              reach += `${from}-${to}: ${world.unreachable(`p${from}`, `10.7.0.${to}`) ? "no" : "yes"}\n`;
        const hosts = [1, 2].map((n) => world.mac(`p${n}`));
        const macs = world
          .inside("sw", brctl, "showmacs", "br7")
          .split("\n")
          .filter((line) => /yes/.test(line) || hosts.some((mac) => line.includes(mac)))
          .map((line) => shape(line))
          .sort();
        // Path costs follow the speed that the kernel knows of; the second column of the Linux bridge's brctl is wrong.
        const stp = shape(world.inside("sw", brctl, "showstp", "br7")).replaceAll(
          /path cost\t\t +\d+/g,
          "path cost",
        );
        seen.push({ reach, macs: macs.join("\n"), stp });
      });
    const [theirs, ours] = seen;
    t.match(theirs!.reach, /1-2: yes\n1-3: no\n1-9: yes/);
    t.equal(ours!.reach, theirs!.reach);
    t.equal(ours!.macs, theirs!.macs);
    t.equal(ours!.stp, theirs!.stp);
  },
);

t.test("VLAN bridges have members and learned addresses of their own", { skip }, async (t) => {
  await withWorld((world) => {
    world.startUp();
    threeHosts(world);
    const brctl = (...words: string[]) => world.inside("sw", "ovs-brctl", ...words);
    brctl("addbr", "br7");
    world.vsctl("add-br", "vlan5", "br7", "5");
    brctl("addif", "br7", "p1");
    brctl("addif", "vlan5", "p2", "p3");
    world.ping("p2", "10.7.0.3");
    t.ok(world.unreachable("p1", "10.7.0.2"));
    t.equal(world.get("Port", "p2", "tag"), "5");
    t.match(shape(brctl("show")), /^br7\t\t8000\.MAC\tno\t\tp1\nvlan5\t\t8000\.MAC\tno\t\tp2\n\t{7}p3\n$/m);
    const [here, there] = ["vlan5", "br7"].map((name) => brctl("showmacs", name));
    t.match(here, world.mac("p2"));
    t.notMatch(here, world.mac("p1"));
    t.match(there, world.mac("p1"));
    t.notMatch(there, world.mac("p2"));
    t.match(world.tryInside("sw", "ovs-brctl", "stp", "vlan5", "on"), {
      status: 1,
      stderr: "set stp status failed: Operation not supported\n",
    });
    brctl("delif", "vlan5", "p2");
    t.notMatch(brctl("show", "vlan5"), "p2");
    t.equal(world.tryInside("sw", "ovs-brctl", "addif", "br7", "p2").status, 0);
    // It may still be waiting for the answer that it did not get before.
    world.inside("p1", "ip", "neigh", "flush", "all");
    world.ping("p1", "10.7.0.2");
  });
});

t.test("what becomes of settings, and a warning", { skip }, async (t) => {
  await withWorld((world) => {
    world.startUp();
    threeHosts(world);
    const brctl = (...words: string[]) => world.tryInside("sw", "ovs-brctl", ...words);
    brctl("addbr", "br7");
    world.inside("sw", "ip", "addr", "add", "10.6.0.1/24", "dev", "p1");
    t.match(brctl("addif", "br7", "p1"), {
      status: 0,
      stderr: /^ovs-brctl: warning: p1 has 10\.6\.0\.1\/24, which cannot be reached .*\n$/,
    });
    for (const line of [
      "setageing br7 0",
      "setbridgeprio br7 7",
      "setportprio br7 p1 16",
      "setpathcost br7 p1 9",
    ])
      t.same(brctl(...line.split(" ")), { status: 0, stdout: "", stderr: "" }, line);
    t.equal(world.get("Bridge", "br7", "flood_vlans"), "[0]");
    t.equal(world.get("Bridge", "br7", "other_config"), '{stp-priority="7"}');
    t.equal(world.get("Port", "p1", "other_config"), '{stp-path-cost="9", stp-port-priority="64"}');
    t.match(
      brctl("showstp", "br7").stdout,
      / bridge id\t\t0007\.[\s\S]* ageing time\t\t {3}0\.00\n[\s\S]* port id\t\t4001\t/,
    );
    brctl("setageing", "br7", "30");
    t.equal(world.get("Bridge", "br7", "flood_vlans"), "[]");
    t.equal(world.get("Bridge", "br7", "other_config:mac-aging-time"), '"30"');
    t.match(world.try("ovs-brctl", "--db=unix:/nonexistent", "show"), {
      status: 1,
      stderr: /^ovs-brctl: .*\n$/,
    });
  });
});

/** The Linux bridge "lbr0" with 10.7.0.9 and the hosts behind p1 and p2, as other software would make it. */
function linuxBridge(world: World): void {
  threeHosts(world);
  const ip = (line: string) => world.inside("sw", "ip", ...line.split(" "));
  ip("link add lbr0 type bridge");
  // The lowest address, which the bridge takes for its own.
  ip("link set p1 address 02:00:00:00:00:01");
  ip("addr add 10.7.0.9/24 dev lbr0");
  ip("link set lbr0 up");
  for (const port of ["p1", "p2"]) ip(`link set ${port} master lbr0`);
}

/** What of the kernel's network must be as it was. */
function linuxState(world: World): string {
  const { stdout } = world.tryInside(
    "sw",
    "sh",
    "-c",
    "ls /sys/class/net; cat /sys/class/net/lbr0/address; ls /sys/class/net/lbr0/brif; ip -o addr show dev lbr0; grep . /proc/sys/net/ipv4/conf/p1/arp_ignore /proc/sys/net/ipv4/conf/p1/rp_filter; cat /sys/class/net/lbr0/bridge/stp_state",
  );
  return stdout;
}

const DAEMON = ["ovs-brcompatd", "--no-chdir", "--pidfile", "--log-file", "-vconsole:off"];

function startDaemon(world: World, ...options: string[]): void {
  world.inside("sw", ...DAEMON, "--detach", "--datapath-type=netdev", ...options);
}

function listed(world: World): string {
  return world.try("ovs-vsctl", "-t", "10", "list-ports", "ovs-lbr0").stdout;
}

const daemonPid = (world: World): number => Number(readFileSync(`${world.dir}/ovs-brcompatd.pid`, "utf8"));

/** Stops the daemon, by SIGKILL as a rule. */
function stopDaemon(world: World, signal: NodeJS.Signals = "SIGKILL"): void {
  try {
    process.kill(daemonPid(world), signal);
  } catch {
    // Not running.
  }
}

async function withDaemon(body: (world: World) => Promise<void>): Promise<void> {
  await withWorld(async (world) => {
    world.startUp();
    linuxBridge(world);
    try {
      await body(world);
    } finally {
      if (existsSync(`${world.dir}/ovs-brcompatd.log`) && process.env.OVSBOX_SHOW_LOG)
        console.error(readFileSync(`${world.dir}/ovs-brcompatd.log`, "utf8"));
      stopDaemon(world);
    }
  });
}

/** Echo requests every 0.1 s from p1 to p2 and to the bridge; `stop` tells how many of each were lost. */
function pinging(world: World): { stop(): Promise<number[]> } {
  const runs = ["10.7.0.2", "10.7.0.9"].map((to) => {
    const child = world.background("p1", "ping", "-i", "0.1", "-W", "1", to);
    let text = "";
    child.stdout!.on("data", (chunk) => {
      text += chunk;
    });
    return { child, text: () => text };
  });
  return {
    stop: () =>
      Promise.all(
        runs.map(async ({ child, text }) => {
          child.kill("SIGINT");
          await once(child, "close");
          const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(text()) ?? [];
          // The last one may have been under way.
          return Math.max(0, Number(sent) - Number(received));
        }),
      ),
  };
}

t.test("takeover of a live bridge, and its release, under ping", { skip }, async (t) => {
  await withDaemon(async (world) => {
    const before = linuxState(world);
    world.ping("p1", "10.7.0.2");
    let pings = pinging(world);
    await sleep(500);
    startDaemon(world, "--mode=adopt", "--bridges=docker*,lbr*", "--exclude=lbr1");
    await world.until("both are ports", () => listed(world) === "p1\np2\n", 10);
    await sleep(1000);
    const taken = await pings.stop();
    t.comment(`lost at takeover: ${taken}`);
    t.ok(Math.max(...taken) <= 3, `lost at takeover: ${taken}`);
    t.match(linuxState(world), /^ovs-lbr0$[\s\S]*^lbr0$|^lbr0$[\s\S]*^ovs-lbr0$/m);
    t.equal(
      world.inside("sw", "ls", "/sys/class/net/lbr0/brif").trim(),
      "ovs-lbr0",
      "the shell's only member",
    );
    t.match(before, world.inside("sw", "cat", "/sys/class/net/lbr0/address"), "the shell keeps its MAC");

    // The host hears its guests by the shell alone, not by the devices that were its members, too.
    for (const host of ["p1", "p2"]) {
      world.inside(host, "ip", "neigh", "flush", "all");
      t.notMatch(world.inside(host, "ping", "-c", "3", "-i", "0.05", "10.7.0.9"), /DUP|duplicates/);
      t.match(world.inside(host, "ip", "neigh", "show", "10.7.0.9"), /lladdr 02:00:00:00:00:01/);
    }

    // One that comes, one that goes away, one that is deleted.
    world.inside("sw", "ip", "link", "set", "p3", "master", "lbr0");
    await world.until("p3 is a port", () => listed(world) === "p1\np2\np3\n");
    world.ping("p1", "10.7.0.3");
    world.inside("sw", "ip", "link", "add", "other", "type", "bridge");
    world.inside("sw", "ip", "link", "set", "p3", "master", "other");
    await world.until("p3 left for another bridge", () => listed(world) === "p1\np2\n");
    t.equal(world.inside("sw", "ls", "/sys/class/net/other/brif").trim(), "p3");
    world.inside("sw", "ip", "link", "del", "other");
    t.match(world.appctl("-t", "ovs-brcompatd", "brcompat/show"), "lbr0 adopt ovs-lbr0 p1,p2\n");

    // A device that is deleted and made again before anybody can look.
    world.inside(
      "sw",
      "sh",
      "-c",
      "ip link add flap type veth peer name flap1; ip link set flap up master lbr0",
    );
    await world.until("flap is a port", () => /flap/.test(listed(world)));
    world.inside(
      "sw",
      "sh",
      "-c",
      "for i in 1 2 3 4 5 6 7 8; do ip link del flap; ip link add flap type veth peer name flap1; ip link set flap up master lbr0; done; ip link set flap1 up",
    );
    await world.until("the last of them is a port", () => {
      const { stdout } = world.try("ovs-vsctl", "-t", "10", "get", "Interface", "flap", "ifindex");
      const members = world.inside("sw", "ls", "/sys/class/net/lbr0/brif").trim();
      return stdout.trim() === index(world, "flap") && members === "ovs-lbr0";
    });
    t.match(world.inside("sw", "ovs-brctl", "show", "lbr0"), /\tp1\n\t{7}p2\n\t{7}flap\n$/);
    world.inside("sw", "ovs-brctl", "delif", "lbr0", "flap");
    t.equal(listed(world), "p1\np2\n");

    pings = pinging(world);
    await sleep(500);
    world.inside("sw", "ovs-brcompatd", "--release", "lbr0");
    await sleep(1000);
    const released = await pings.stop();
    t.comment(`lost at release: ${released}`);
    t.ok(Math.max(...released) <= 3, `lost at release: ${released}`);
    t.equal(linuxState(world).replaceAll(/^flap1?\n/gm, ""), before, "all is as it was");
    t.equal(world.vsctl("list-br"), "");
    await sleep(200);
    t.equal(world.vsctl("list-br"), "", "and stays so");

    world.appctl("-t", "ovs-brcompatd", "brcompat/adopt", "lbr0");
    t.equal(listed(world), "p1\np2\n");
    world.ping("p1", "10.7.0.2");
    world.inside("sw", "ip", "link", "del", "p2");
    await world.until("p2 disappeared", () => listed(world) === "p1\n");
    world.inside("sw", "ip", "link", "del", "lbr0");
    await world.until("the bridge disappeared", () => world.vsctl("list-br") === "");
    t.match(world.tryInside("sw", "ovs-brcompatd", "--release", "lbr0"), {
      status: 1,
      stderr: "ovs-brcompatd: lbr0: not taken over\n",
    });
  });
});

t.test("killed in the middle, and started again", { skip }, async (t) => {
  await withDaemon(async (world) => {
    const before = linuxState(world);
    const options = ["--mode=adopt", "--bridges=lbr0"];
    // Its ovs-vsctl kills the daemon where it would add the ports: they belong to neither bridge then.
    const trap = `${world.dir}/vsctl`;
    writeFileSync(
      trap,
      `#!/bin/sh\ncase "$*" in *add-port*) kill -9 $(cat ${world.dir}/ovs-brcompatd.pid); exit 1;; esac\nexec ovs-vsctl "$@"\n`,
      { mode: 0o755 },
    );
    startDaemon(world, ...options, `--vsctl=${trap}`);
    const orphans = () => world.inside("sw", "ls", "/sys/class/net/lbr0/brif") === "ovs-lbr0\n";
    await world.until("the daemon has died in the middle", () => orphans() && !alive(daemonPid(world)), 10);
    t.equal(listed(world), "");
    startDaemon(world, ...options);
    await world.until("the next finishes it", () => listed(world) === "p1\np2\n", 10);
    world.ping("p1", "10.7.0.2");
    world.ping("p1", "10.7.0.9");

    // The switch restarts, and its device is another one then.
    world.appctl("exit", "--cleanup");
    await world.until(
      "the device is gone",
      () => world.inside("sw", "ls", "/sys/class/net/lbr0/brif") === "",
    );
    world.startUp();
    await world.until("the shell has its member again", orphans, 10);
    world.ping("p1", "10.7.0.2");
    world.ping("p1", "10.7.0.9");

    stopDaemon(world);
    await world.until("killed", () => !alive(daemonPid(world)));
    world.ping("p1", "10.7.0.2");
    world.inside("sw", "ip", "link", "set", "p3", "master", "lbr0");
    world.inside("sw", "ip", "link", "del", "p2");
    startDaemon(world, ...options, "--restore-on-exit");
    await world.until("the next sees what it missed", () => listed(world) === "p1\np3\n", 10);
    stopDaemon(world, "SIGTERM");
    await world.until("given back at the end", () => world.vsctl("list-br") === "", 10);
    t.equal(
      linuxState(world),
      before.replace(/^p2\n/m, "").replace(/(?<=:..\n)p1\np2\n/, "p1\np3\n"),
      "as it was, but for what changed",
    );

    // Without a daemon, from the database alone.
    startDaemon(world, ...options);
    await world.until("again", () => listed(world) === "p1\np3\n", 10);
    stopDaemon(world);
    await world.until("killed", () => !alive(daemonPid(world)));
    world.inside("sw", "ovs-brcompatd", "--release=lbr0");
    t.equal(world.inside("sw", "ls", "/sys/class/net/lbr0/brif"), "p1\np3\n");
    t.equal(world.vsctl("list-br"), "");
  });
});

const index = (world: World, device: string): string =>
  world.inside("sw", "cat", `/sys/class/net/${device}/ifindex`).trim();
const alive = (pid: number): boolean => existsSync(`/proc/${pid}`);

t.test("what fails is put back", { skip }, async (t) => {
  await withDaemon(async (world) => {
    const before = linuxState(world);
    const trap = `${world.dir}/vsctl`;
    writeFileSync(
      trap,
      `#!/bin/sh\ncase "$*" in *add-port*) echo no >&2; exit 1;; esac\nexec ovs-vsctl "$@"\n`,
      {
        mode: 0o755,
      },
    );
    startDaemon(world, "--mode=adopt", "--bridges=lbr0", `--vsctl=${trap}`);
    const log = () => readFileSync(`${world.dir}/ovs-brcompatd.log`, "utf8");
    await world.until("it failed", () => /put back as it was/.test(log()), 10);
    t.match(log(), /lbr0: no \(again in 1 s\)/);
    stopDaemon(world);
    await world.until("killed", () => !alive(daemonPid(world)));
    await world.until("as it was", () => linuxState(world) === before, 10);
    world.ping("p1", "10.7.0.2");
  });
});

t.test("observe changes nothing, attach leaves the members", { skip }, async (t) => {
  await withDaemon(async (world) => {
    world.ping("p1", "10.7.0.2");
    const before = linuxState(world);
    startDaemon(world);
    const show = (...words: string[]) => world.appctl("-t", "ovs-brcompatd", ...words);
    const text = show("linux/show");
    t.match(text, /^lbr0\n {2}id 8000\.[0-9a-f]{12}, root .*, spanning tree off, ageing 300 s\n/);
    t.match(text, /\n {2}VLAN filtering off, VLANs .*\n/);
    t.match(text, /\n {2}port 1 p1: forwarding, cost \d+, priority 32, VLANs .*\n/);
    t.match(text, new RegExp(`\n  ${world.mac("p1")} port 1 \\d+\\.\\d\\d s\n`));
    const [json] = JSON.parse(show("-f", "json", "linux/show", "lbr0"));
    t.match(json, {
      name: "lbr0",
      stp: false,
      vlanFiltering: false,
      members: [{ name: "p1" }, { name: "p2" }],
    });
    t.match(
      json.addresses.find(({ mac }: { mac: string }) => mac === world.mac("p2")),
      { port: 2, local: false },
    );
    t.match(world.try("ovs-appctl", "-t", "ovs-brcompatd", "linux/show", "none"), { status: 2 });
    world.command(
      "ovsdbmonitor",
      "--detach",
      "--no-chdir",
      "--pidfile",
      "-vconsole:off",
      "--listen=127.0.0.1:0",
    );
    try {
      const link = new URL(world.appctl("-t", "ovsdbmonitor", "web/link").trim());
      const authorization = `Bearer ${link.hash.slice("#token=".length)}`;
      const metrics = await (await fetch(`${link.origin}/metrics`, { headers: { authorization } })).text();
      for (const line of [
        /^ovs_linux_bridge_ports\{[^}]*bridge="lbr0"\} 2$/m,
        /^ovs_linux_bridge_addresses\{[^}]*bridge="lbr0"\} [1-9]$/m,
        /^ovs_linux_bridge_stp_enabled\{[^}]*bridge="lbr0"\} 0$/m,
        /^ovs_linux_bridge_port_state\{[^}]*bridge="lbr0",port="p2",state="forwarding"\} 1$/m,
      ])
        t.match(metrics, line);
    } finally {
      process.kill(Number(readFileSync(`${world.dir}/ovsdbmonitor.pid`, "utf8")), "SIGKILL");
    }
    t.equal(linuxState(world), before);
    t.equal(world.vsctl("list-br"), "");
    show("exit");
    await world.until("ended", () => !existsSync(`${world.dir}/ovs-brcompatd.pid`));

    startDaemon(world, "--mode=attach", "--bridges=lbr0");
    await world.until("attached", () => {
      const members = world.inside("sw", "ls", "/sys/class/net/lbr0/brif");
      return members === "ovs-lbr0\np1\np2\n";
    });
    t.equal(listed(world), "");
    world.host("far", "10.7.0.5/24");
    world.vsctl("add-port", "ovs-lbr0", "far");
    world.ping("p1", "10.7.0.5");
    world.vsctl("del-port", "far");
    world.inside("sw", "ovs-brcompatd", "--release=lbr0");
    t.equal(world.inside("sw", "ls", "/sys/class/net/lbr0/brif"), "p1\np2\n");
  });
});

t.test("bad options", { skip }, (t) => {
  const world = new World();
  for (const [words, error] of [
    [["--mode=steal"], '--mode: "steal" is not one of observe, adopt, attach'],
    [["--mode=adopt"], "--mode=adopt needs --bridges=GLOB"],
    [["--prefix=a/b"], '--prefix: bad prefix "a/b"'],
    [["word"], "non-option arguments not accepted; use --help for usage"],
  ] as const)
    t.same(world.try("ovs-brcompatd", ...words), {
      status: 1,
      stdout: "",
      stderr: `ovs-brcompatd: ${error}\n`,
    });
  return world.close();
});
