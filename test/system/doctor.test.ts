/** `ovsbox doctor` on a switch that is well, and on what has gone wrong in many ways. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { cannotRun, type World, withWorld } from "./world.ts";

interface Finding {
  level: string;
  subject: string;
  what: string;
  command?: string;
}

function findings(world: World): { status: number; all: Finding[] } {
  const run = world.tryInside("sw", "ovsbox", "doctor", "--format=json");
  if (run.stdout === "") throw new Error(run.stderr);
  return { status: run.status, all: JSON.parse(run.stdout) as Finding[] };
}

const said = (all: readonly Finding[], level: string): string[] =>
  all.filter((one) => one.level === level).map(({ subject, what }) => `${subject}: ${what}`);

t.test("a switch that is well", { skip: cannotRun() }, async (t) => {
  await withWorld((world) => {
    world.startUp();
    world.twoHosts();
    const { status, all } = findings(world);
    t.same(said(all, "bad"), []);
    t.equal(status, 0);
    t.ok(said(all, "good").includes("br0: 3 interfaces, all well"));
    t.ok(said(all, "good").some((line) => /^ovs-vswitchd: runs as process \d+$/.test(line)));
    t.match(world.inside("sw", "ovsbox", "doctor"), /^ok {3}br0: 3 interfaces, all well$/m);
  });
});

t.test("one that is not", { skip: cannotRun() }, async (t) => {
  await withWorld(async (world) => {
    world.startDatabase();
    world.startSwitch();
    world.twoHosts();
    const ip = (...words: string[]) => world.inside("sw", "ip", ...words);
    ip("addr", "add", "10.1.1.7/24", "dev", "ha");
    ip("link", "set", "hb", "mtu", "9000");
    world.host("hc", "10.1.1.3/24");
    world.host("hd", "10.1.1.4/24");
    world.vsctl("add-port", "br0", "hc", "--", "add-port", "br0", "hd");
    ip("link", "set", "hd", "down");
    world.inside("hc", "ip", "link", "set", "eth0", "down");
    world.try("ovs-vsctl", "-t", "10", "add-port", "br0", "nodev");
    world.vsctl("set-controller", "br0", "tcp:127.0.0.1:1", "--", "set", "bridge", "br0", "fail_mode=secure");
    writeFileSync(join(world.dir, "ovs-vswitchd.4194305.ctl"), "");
    await world.until("the links are seen", () => world.get("interface", "hd", "admin_state") === "down");
    const { status, all } = findings(world);
    t.equal(status, 1);
    const bad = said(all, "bad").filter((line) => line.startsWith("br0"));
    t.same(bad.sort(), [
      "br0 ha: has 10.1.1.7/24",
      "br0 nodev: could not open network device nodev (No such device)",
      "br0: no connection to the controller tcp:127.0.0.1:1",
    ]);
    const warned = said(all, "warn");
    for (const line of [
      "br0: ports of different MTU: 1500 on ha, hc, hd; 9000 on hb",
      "br0 hd: the device is down",
      "br0 hc: no carrier",
      "sockets: 1 of daemons that are gone",
    ])
      t.ok(warned.includes(line), line);
    process.kill(world.pid("ovs-vswitchd"), "SIGKILL");
    await world.until("it is dead", () =>
      said(findings(world).all, "bad").some((line) => line.includes("ovs-vswitchd: is not running; ")),
    );
  });
});

t.test("no switch at all, a broken database", { skip: cannotRun() }, async (t) => {
  await withWorld((world) => {
    mkdirSync(world.dir, { recursive: true });
    writeFileSync(join(world.dir, "conf.db"), "this is no database\n");
    const { status, all } = findings(world);
    t.equal(status, 1);
    const bad = said(all, "bad");
    t.ok(bad.some((line) => line.startsWith(`database: ${world.dir}/conf.db cannot be read: `)));
    t.ok(bad.includes("ovs-vswitchd: is not running"));
    t.ok(bad.includes("ovsdb-server: is not running"));
    for (const [words, error] of [
      [["now"], "non-option arguments not supported; use --help for usage"],
      [["--format=xml"], 'unknown format "xml" (text or json)'],
    ] as const)
      t.same(world.tryInside("sw", "ovsbox", "doctor", ...words), {
        status: 1,
        stdout: "",
        stderr: `ovsbox doctor: ${error}\n`,
      });
  });
});
