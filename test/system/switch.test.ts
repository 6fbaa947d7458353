/** ovs-vswitchd as the database sees it: columns, errors, devices that come and go, restarts. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { cannotRun, withWorld } from "./world.ts";

const skip = cannotRun("ping");

t.test("what the switch writes back", { skip }, async (t) => {
  await withWorld(async (world) => {
    world.startDatabase();
    world.startSwitch();
    world.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev");
    world.host("ha", "10.1.1.1/24");
    world.vsctl(
      "add-port",
      "br0",
      "ha",
      "--",
      "add-port",
      "br0",
      "int0",
      "--",
      "set",
      "interface",
      "int0",
      "type=internal",
      "ofport_request=7",
      "mtu_request=1400",
    );
    const id = world.get("bridge", "br0", "datapath_id");
    t.match(id, /^"0000[0-9a-f]{12}"$/);
    const rows: [string, string, string | RegExp][] = [
      ["br0", "ofport", "65534"],
      ["br0", "mac_in_use", `"${id.slice(5, 17).match(/../g)!.join(":")}"`],
      ["ha", "ofport", "1"],
      ["ha", "admin_state", "up"],
      ["ha", "link_state", "up"],
      ["ha", "link_speed", "10000000000"],
      ["ha", "duplex", "full"],
      ["ha", "mtu", "1500"],
      ["ha", "link_resets", /^\d+$/],
      ["ha", "ifindex", world.inside("sw", "cat", "/sys/class/net/ha/ifindex").trim()],
      ["ha", "status:driver_name", "veth"],
      ["ha", "error", "[]"],
      ["int0", "ofport", "7"],
      ["int0", "mtu", "1400"],
      ["int0", "admin_state", "down"],
      ["int0", "status:driver_name", "tun"],
    ];
    for (const [name, column, want] of rows)
      t.match(world.get("interface", name, column), want, `${name} ${column}`);
    for (const counter of [
      "rx_packets",
      "tx_packets",
      "rx_bytes",
      "tx_bytes",
      "rx_errors",
      "tx_dropped",
      "collisions",
    ])
      t.match(world.get("interface", "ha", `statistics:${counter}`), /^\d+$/, counter);
    t.equal(world.get("open", ".", "cur_cfg"), world.get("open", ".", "next_cfg"));
    t.match(world.get("open", ".", "iface_types"), /internal.*patch.*system.*tap/);
    t.match(world.get("open", ".", "datapath_types"), /netdev/);

    world.inside("sw", "ip", "link", "set", "dev", "ha", "down");
    await world.until(
      "link down is written",
      () => world.get("interface", "ha", "admin_state") === "down",
      2,
    );
    world.vsctl("set", "bridge", "br0", "other_config:hwaddr=00:11:22:33:44:55");
    t.equal(world.get("interface", "br0", "mac_in_use"), '"00:11:22:33:44:55"');
    t.equal(world.get("bridge", "br0", "datapath_id"), '"0000001122334455"');
    world.vsctl("set", "bridge", "br0", "other_config:datapath-id=0x5");
    t.equal(world.get("bridge", "br0", "datapath_id"), '"0000000000000005"');
    world.vsctl("set", "interface", "int0", "ofport_request=1");
    t.equal(world.get("interface", "int0", "ofport"), "1", "a number that is asked for goes to who asks");
    t.not(world.get("interface", "ha", "ofport"), "1");

    for (const [name, settings, error] of [
      ["nope", [], "could not open network device nope (No such device)"],
      ["bad", ["type=foo"], "could not open network device bad (Address family not supported by protocol)"],
      ["lo", [], "could not add network device lo to ofproto (Invalid argument)"],
      ["pt", ["type=patch"], "pt: patch type requires valid 'peer' argument"],
      ["ovs-netdev", ["type=internal"], undefined],
    ] as const) {
      const words = settings.length > 0 ? ["--", "set", "interface", name, ...settings] : [];
      const run = world.try("ovs-vsctl", "-t", "5", "add-port", "br0", name, ...words);
      t.equal(run.status, 65, `${name}: status`);
      t.equal(
        run.stderr.split("\n")[0],
        `ovs-vsctl: Error detected while setting up '${name}'${error === undefined ? "" : `: ${error}`}.  See ovs-vswitchd log for details.`,
      );
      t.equal(world.get("interface", name, "ofport"), "-1");
      world.vsctl("del-port", name);
    }
    world.vsctl("del-port", "int0");
    t.not(world.tryInside("sw", "ip", "link", "show", "dev", "int0").status, 0, "its device is gone with it");
    world.appctl("exit");
    await world.until("the daemon has ended", () => !existsSync(join(world.dir, "ovs-vswitchd.pid")));
    t.equal(
      world.tryInside("sw", "ip", "link", "show", "dev", "br0").status,
      0,
      "br0 waits for the next run",
    );
    world.startSwitch();
    world.appctl("exit", "--cleanup");
    await world.until("the daemon has ended", () => !existsSync(join(world.dir, "ovs-vswitchd.pid")));
    t.not(world.tryInside("sw", "ip", "link", "show", "dev", "br0").status, 0, "and is gone after a cleanup");
  });
});

t.test("a device that vanishes and comes back", { skip }, async (t) => {
  await withWorld(async (world) => {
    world.startUp();
    world.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev");
    world.host("ha", "10.1.1.1/24");
    world.host("hb", "10.1.1.2/24");
    world.vsctl("add-port", "br0", "ha", "--", "add-port", "br0", "hb");
    world.ping("ha", "10.1.1.2");
    world.command("ip", "-n", world.netns, "link", "del", "dev", "hb");
    await world.until(
      "the error is told",
      () => world.get("interface", "hb", "error").includes("No such device"),
      2,
    );
    t.equal(world.get("interface", "hb", "ofport"), "-1");
    t.ok(world.unreachable("ha", "10.1.1.2"));
    const netns = `${world.id}-hb`;
    world.command(
      "ip",
      "-n",
      world.netns,
      "link",
      "add",
      "name",
      "hb",
      "type",
      "veth",
      "peer",
      "name",
      "eth0",
      "netns",
      netns,
    );
    world.command("ip", "-n", world.netns, "link", "set", "dev", "hb", "up");
    world.inside("hb", "ip", "addr", "add", "10.1.1.2/24", "dev", "eth0");
    world.inside("hb", "ip", "link", "set", "dev", "eth0", "up");
    await world.until("it is attached again", () => world.get("interface", "hb", "ofport") === "2", 2);
    t.equal(world.get("interface", "hb", "error"), "[]");
    world.inside("ha", "ip", "neigh", "flush", "dev", "eth0");
    world.ping("ha", "10.1.1.2");
  });
});

t.test("kill -9 and restart", { skip }, async (t) => {
  await withWorld(async (world) => {
    world.startDatabase();
    world.startSwitch();
    world.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev");
    world.host("ha", "10.1.1.1/24");
    world.host("hb", "10.1.1.2/24");
    world.vsctl(
      "add-port",
      "br0",
      "ha",
      "--",
      "add-port",
      "br0",
      "hb",
      "--",
      "set",
      "interface",
      "hb",
      "ofport_request=9",
    );
    world.inside("sw", "ip", "addr", "add", "10.1.1.9/24", "dev", "br0");
    world.inside("sw", "ip", "link", "set", "dev", "br0", "up");
    world.ping("ha", "10.1.1.2");
    world.ping("ha", "10.1.1.9");
    const id = world.get("bridge", "br0", "datapath_id");
    process.kill(world.pid("ovs-vswitchd"), "SIGKILL");
    t.ok(world.unreachable("ha", "10.1.1.2"), "nothing forwards without the daemon");
    world.startSwitch();
    world.ping("ha", "10.1.1.2");
    world.ping("ha", "10.1.1.9");
    t.equal(world.get("bridge", "br0", "datapath_id"), id);
    t.equal(world.get("interface", "ha", "ofport"), "1");
    t.equal(world.get("interface", "hb", "ofport"), "9");
    // A second daemon waits for the lock; it must not disturb the first.
    const second = world.background(
      "sw",
      "ovs-vswitchd",
      `--unixctl=${world.dir}/second.ctl`,
      "-vconsole:info",
    );
    let said = "";
    second.stderr?.on("data", (bytes: Buffer) => {
      said += bytes.toString();
    });
    await world.until("the second daemon complains", () =>
      said.includes("another ovs-vswitchd process is running"),
    );
    world.ping("ha", "10.1.1.2");
    second.kill("SIGKILL");
  });
});

t.test("patch ports join bridges", { skip }, async (t) => {
  await withWorld((world) => {
    world.startUp();
    for (const n of ["0", "1"])
      world.vsctl("add-br", `br${n}`, "--", "set", "bridge", `br${n}`, "datapath_type=netdev");
    world.host("ha", "10.1.1.1/24");
    world.host("hb", "10.1.1.2/24");
    world.vsctl("add-port", "br0", "ha", "--", "add-port", "br1", "hb");
    t.ok(world.unreachable("ha", "10.1.1.2"));
    world.vsctl(
      "add-port",
      "br0",
      "p0",
      "--",
      "set",
      "interface",
      "p0",
      "type=patch",
      "options:peer=p1",
      "--",
      "add-port",
      "br1",
      "p1",
      "--",
      "set",
      "interface",
      "p1",
      "type=patch",
      "options:peer=p0",
    );
    world.ping("ha", "10.1.1.2");
    t.match(world.appctl("dpif/show"), /p0 2\/none: \(patch: peer=p1\)/);
    world.vsctl("set", "interface", "p0", "options:peer=nobody");
    t.ok(world.unreachable("ha", "10.1.1.2"));
  });
});

t.test("in-band control knows the next hop to a controller", { skip }, async (t) => {
  await withWorld(async (world) => {
    world.startDatabase();
    world.startSwitch();
    world.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev");
    world.inside("sw", "ip", "addr", "add", "10.1.1.1/24", "dev", "br0");
    world.inside("sw", "ip", "link", "set", "br0", "up");
    world.inside("sw", "ip", "route", "add", "default", "via", "10.1.1.254");
    world.vsctl("set-controller", "br0", "tcp:192.0.2.1:6653");
    const flows = () => world.appctl("bridge/dump-flows", "br0");
    t.match(flows(), /priority=180007,tcp,nw_dst=192\.0\.2\.1,tp_dst=6653/);
    t.notMatch(flows(), "priority=180003");
    const mac = "02:00:00:00:00:fe";
    world.inside("sw", "ip", "neigh", "replace", "10.1.1.254", "lladdr", mac, "dev", "br0");
    await world.until("the gateway is found", () =>
      flows().includes(`priority=180003,arp,dl_dst=${mac},arp_op=2`),
    );
    t.match(flows(), `priority=180004,arp,dl_src=${mac},arp_op=1`);
  });
});
