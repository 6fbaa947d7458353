/**
 * What scripts for the Linux bridge find when they drive a switch: `ovs-brctl` beside bridge-utils' brctl, and
 * `ovs-brcompatd`, which takes live Linux bridges over and gives them back.
 */
import t from "tap";
import { peer } from "./bin.ts";
import { cannotRun, type World, withWorld } from "./world.ts";

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
