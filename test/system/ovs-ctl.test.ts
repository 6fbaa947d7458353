/** Our own ovs-ctl and ovs-save: daemons started, restarted with their flows, stopped; databases made and converted. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { openVswitchSchema } from "../../src/vswitch/schema/index.ts";
import { cannotRun, type Result, World } from "./world.ts";

const skip = cannotRun();
const ID = ["--system-id=random", "--no-mlockall"];
const ctl = (world: World, ...words: string[]): Result => world.tryInside("sw", "ovs-ctl", ...words);

/** What `dump-flows` and `dump-groups` say, without what passes with time. */
function tables(world: World): string {
  const flows = world.inside("sw", "ovs-ofctl", "dump-flows", "--no-stats", "br0");
  const rest = ["dump-groups", "dump-tlv-map"].map((dump) => world.inside("sw", "ovs-ofctl", dump, "br0"));
  return [flows, ...rest].join("").replaceAll(/xid=0x[0-9a-f]+/g, "");
}

t.test("start, restart, stop", { skip }, async (t) => {
  const world = new World();
  try {
    t.match(ctl(world, "status"), {
      status: 1,
      stdout: "ovsdb-server is not running\novs-vswitchd is not running\n",
    });
    const start = ctl(world, ...ID, "--external-id=a=b", "--system-type=Test", "start");
    t.equal(start.status, 0, start.stdout);
    t.match(start.stdout, /conf\.db does not exist \.\.\. \(warning\)\.\nCreating empty database /);
    t.match(start.stdout, /Starting ovsdb-server\.\n(.*\n)*Starting ovs-vswitchd\.\n/);
    const pids = { database: world.pid("ovsdb-server"), switch: world.pid("ovs-vswitchd") };
    t.equal(
      ctl(world, "status").stdout,
      `ovsdb-server is running with pid ${pids.database}\novs-vswitchd is running with pid ${pids.switch}\n`,
    );
    t.match(
      ctl(world, ...ID, "start").stdout,
      /ovsdb-server is already running\.\n(.*\n)*ovs-vswitchd is already/,
    );

    const id = readFileSync(join(world.dir, "openvswitch/system-id.conf"), "utf8").trim();
    const row = world.vsctl("--columns=external_ids,system_type", "list", "Open_vSwitch");
    t.match(row, /a=b, hostname=\S+, rundir=/);
    t.match(row, `system-id="${id}"`);
    t.match(row, /system_type +: Test/);

    world.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev");
    world.vsctl("add-port", "br0", "p1", "--", "set", "interface", "p1", "type=internal");
    world.vsctl(
      "add-port",
      "br0",
      "p2",
      "other_config:transient=true",
      "--",
      "set",
      "interface",
      "p2",
      "type=internal",
    );
    world.inside("sw", "ovs-ofctl", "add-tlv-map", "br0", "{class=0xffff,type=1,len=4}->tun_metadata3");
    world.inside(
      "sw",
      "ovs-ofctl",
      "-OOpenFlow13",
      "add-group",
      "br0",
      "group_id=7,type=all,bucket=output:1",
    );
    world.inside("sw", "ovs-ofctl", "add-flow", "br0", "cookie=0x99,table=3,tun_metadata3=5,actions=group:7");
    const before = tables(world);
    t.match(before, /cookie=0x99, table=3, tun_metadata3=0x5 actions=group:7/);

    const restart = ctl(world, ...ID, "restart");
    t.equal(restart.status, 0, restart.stdout);
    t.match(restart.stdout, /Saving flows\.\n(.*\n)*Restoring saved flows\.\n/);
    t.not(world.pid("ovs-vswitchd"), pids.switch);
    t.equal(tables(world), before, "flows, cookies, groups and option maps are back");
    t.notMatch(world.vsctl("list", "Open_vSwitch"), /flow-restore-wait/);
    t.match(world.vsctl("list", "Open_vSwitch"), id, "the identity stays");

    t.equal(ctl(world, "delete-transient-ports").status, 0);
    t.equal(world.vsctl("list-ports", "br0"), "p1\n");
    t.match(ctl(world, "--no-ovsdb-server", "stop").stdout, /^Exiting ovs-vswitchd \(\d+\)\.\n$/);
    t.match(ctl(world, "status").stdout, /ovsdb-server is running.*\novs-vswitchd is not running/);
    t.equal(ctl(world, "stop").status, 0);
    t.match(
      readdirSync(world.dir).filter((name) => /\.(pid|ctl|sock)$/.test(name)),
      [],
      "nothing left",
    );
    t.equal(ctl(world, "stop").stdout, "ovs-vswitchd is not running.\novsdb-server is not running.\n");
  } finally {
    await world.close();
  }
});

t.test("a database of another schema is converted, and kept", { skip }, async (t) => {
  const world = new World();
  try {
    const { Flow_Sample_Collector_Set: _, ...tables } = openVswitchSchema.tables;
    const old = join(world.dir, "old.ovsschema");
    writeFileSync(old, JSON.stringify({ ...openVswitchSchema, version: "1.0.0", cksum: "1 2", tables }));
    world.command("ovsdb-tool", "create", join(world.dir, "conf.db"), old);
    const start = ctl(world, ...ID, "--no-ovs-vswitchd", "start");
    t.equal(start.status, 0, start.stdout);
    t.match(start.stdout, /Backing up database to .*\nCompacting database\.\nConverting database schema\.\n/);
    t.ok(readdirSync(world.dir).some((name) => /^conf\.db\.backup1\.0\.0-1-2$/.test(name)));
    t.match(world.inside("sw", "ovsdb-client", "list-tables"), /Flow_Sample_Collector_Set/);
    t.equal(ctl(world, "stop").status, 0);
  } finally {
    await world.close();
  }
});

t.test("ovs-save prints a script that a shell can run", { skip }, async (t) => {
  const world = new World();
  try {
    t.equal(ctl(world, ...ID, "start").status, 0);
    world.vsctl(
      "add-br",
      "br0",
      "--",
      "set",
      "bridge",
      "br0",
      "datapath_type=netdev",
      "protocols=OpenFlow10",
    );
    world.inside("sw", "ovs-ofctl", "add-flow", "br0", "priority=9,ip,actions=drop");
    world.inside("sw", "ip", "addr", "add", "10.9.0.1/24", "dev", "br0");
    world.inside("sw", "ip", "link", "set", "br0", "up");
    world.inside("sw", "ip", "route", "add", "10.8.0.0/16", "via", "10.9.0.2");
    const flows = world.inside("sw", "ovs-save", "save-flows", "br0");
    const addresses = world.inside("sw", "ovs-save", "save-interfaces", "br0");
    world.inside("sw", "ovs-ofctl", "del-flows", "br0");
    world.inside("sw", "ip", "addr", "flush", "dev", "br0");
    world.inside("sw", "sh", "-ec", flows + addresses);
    t.match(world.inside("sw", "ovs-ofctl", "dump-flows", "br0"), /priority=9,ip actions=drop/);
    t.match(world.inside("sw", "ip", "-o", "addr", "show", "dev", "br0"), "10.9.0.1/24");
    t.match(world.inside("sw", "ip", "route"), "10.8.0.0/16 via 10.9.0.2 dev br0");
    t.notOk(existsSync(/rm -rf (\S+)/.exec(flows)![1]!), "its folder is gone");
    t.match(world.tryInside("sw", "ovs-save", "save-flows", "br9"), { status: 1, stderr: /br9/ });
    t.equal(ctl(world, "stop").status, 0);
  } finally {
    await world.close();
  }
});

const BAD: { words: string[]; stderr: string }[] = [
  { words: [], stderr: "ovs-ctl: missing command name (use --help for help)\n" },
  { words: ["fly"], stderr: 'ovs-ctl: unknown command "fly" (use --help for help)\n' },
  {
    words: ["--ovs-vswitchd-priority=x", "start"],
    stderr: 'ovs-ctl: --ovs-vswitchd-priority: "x" is not a number\n',
  },
  {
    words: ["--ovsdb-server-umask=9", "start"],
    stderr: 'ovs-ctl: --ovsdb-server-umask: "9" is not an octal file mode\n',
  },
  { words: ["start-ovs-ipsec"], stderr: "ovs-ctl: start-ovs-ipsec: not implemented\n" },
];

t.test("bad command lines, and a start that fails", { skip }, async (t) => {
  const world = new World();
  try {
    for (const { words, stderr } of BAD) t.match(ctl(world, ...words), { status: 1, stderr });
    writeFileSync(join(world.dir, "conf.db"), "no database\n");
    const start = ctl(world, ...ID, "start");
    t.equal(start.status, 1);
    t.match(start.stdout, /conf\.db: .*\nReading .*conf\.db \.\.\. failed!\n$/);
    mkdirSync(join(world.dir, "dir.db"));
    t.match(ctl(world, ...ID, `--db-file=${world.dir}/dir.db`, "start"), { status: 1, stdout: /failed!\n$/ });
    t.equal(readFileSync(join(world.dir, "conf.db"), "utf8"), "no database\n", "and it is left alone");
  } finally {
    await world.close();
  }
});
