/** A switch that is restarted: by Debian's ovs-ctl with ovs-save, and by hand with flow-restore-wait. */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { openVswitchSchema } from "../../src/vswitch/schema/index.ts";
import { BIN, PEERS } from "./bin.ts";
import { cannotRun, sleep, World } from "./world.ts";

const skip = cannotRun("ping");
const scripts = PEERS === undefined ? undefined : join(PEERS, "usr/share/openvswitch/scripts");
const noOvsCtl = skip || (scripts === undefined && "no ovs-ctl (scripts/peers)");

/** What ovs-ctl finds in the folder of the package's data: Debian's scripts, but no kernel module, and our schema. */
function packageData(world: World): void {
  const data = join(world.dir, "data");
  mkdirSync(join(data, "scripts"), { recursive: true });
  for (const script of ["ovs-ctl", "ovs-lib", "ovs-save"])
    symlinkSync(join(scripts!, script), join(data, "scripts", script));
  writeFileSync(join(data, "scripts/ovs-kmod-ctl"), "#!/bin/sh\nexit 0\n", { mode: 0o755 });
  writeFileSync(join(data, "vswitch.ovsschema"), JSON.stringify(openVswitchSchema));
  Object.assign(world.env, { OVS_BINDIR: BIN, OVS_SBINDIR: BIN, OVS_PKGDATADIR: data });
}

function ovsCtl(world: World, ...words: string[]): string {
  const script = join(world.dir, "data/scripts/ovs-ctl");
  return world.inside("sw", script, "--system-id=test", "--no-record-hostname", ...words);
}

/** Pings every 10 ms while `body` runs. */
async function pingDuring(
  world: World,
  body: () => Promise<void> | void,
): Promise<{ sent: number; received: number; lost: number }> {
  const ping = world.background("ha", "ping", "-i", "0.01", "-q", "10.1.1.2");
  let text = "";
  ping.stdout!.on("data", (part) => {
    text += part;
  });
  await sleep(200);
  await body();
  await sleep(200);
  // SIGINT to the ping itself, which "ip netns exec" has become.
  ping.kill("SIGINT");
  await new Promise((resolve) => ping.once("close", resolve));
  const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(text)!.map(Number);
  return { sent: sent!, received: received!, lost: sent! - received! };
}

t.test("ovs-ctl restart", { skip: noOvsCtl }, async (t) => {
  const world = new World();
  try {
    packageData(world);
    ovsCtl(world, "start");
    world.twoHosts();
    world.vsctl("set", "bridge", "br0", "fail_mode=secure");
    world.ofctl("add-flow", "br0", "priority=7,cookie=0x77,in_port=1,actions=resubmit(,3)");
    world.ofctl("add-flow", "br0", "table=3,idle_timeout=600,actions=output:2");
    world.ofctl("-OOpenFlow13", "add-group", "br0", "group_id=5,type=all,bucket=output:1");
    world.ofctl("-OOpenFlow13", "add-flow", "br0", "priority=8,in_port=2,actions=group:5");
    world.ping("ha", "10.1.1.2");
    const dump = (): string[] => {
      const flows = world.ofctl("--no-stats", "dump-flows", "br0").split("\n").slice(1).sort();
      return [...flows, ...world.ofctl("-OOpenFlow13", "dump-groups", "br0").split("\n").slice(1)];
    };
    const ports = (): string => world.vsctl("--columns=name,ofport,mac_in_use", "list", "interface");
    const before = { flows: dump(), ports: ports().split("\n\n").sort() };
    const pids = [world.pid("ovs-vswitchd"), world.pid("ovsdb-server")];
    const { lost, sent } = await pingDuring(world, () => {
      t.match(ovsCtl(world, "restart"), /Saving flows\..*Restoring saved flows\./s);
    });
    t.comment(`${lost} of ${sent} pings lost, one every 10 ms`);
    t.not(world.pid("ovs-vswitchd"), pids[0], "another process");
    t.not(world.pid("ovsdb-server"), pids[1], "another process");
    t.equal(world.get("open_vswitch", ".", "other_config"), "{}", "nothing waits any longer");
    world.ping("ha", "10.1.1.2");
    t.strictSame(
      { flows: dump(), ports: ports().split("\n\n").sort() },
      before,
      "flows, groups and ports are back",
    );
    t.notMatch(world.log(), /\|(WARN|ERR|EMER)\|/);
    ovsCtl(world, "stop");
  } catch (error) {
    console.error(world.log());
    throw error;
  } finally {
    await world.close();
  }
});

t.test("flow-restore-wait", { skip }, async (t) => {
  const world = new World();
  try {
    world.startDatabase();
    world.startSwitch();
    world.twoHosts();
    world.ping("ha", "10.1.1.2");
    world.vsctl("set", "open_vswitch", ".", "other_config:flow-restore-wait=true");
    world.ping("ha", "10.1.1.2");
    world.appctl("exit");
    const received = (): number =>
      Number(world.inside("hb", "cat", "/sys/class/net/eth0/statistics/rx_packets"));
    const count = received();
    const { received: answered } = await pingDuring(world, async () => {
      world.startSwitch();
      await sleep(500);
      t.match(world.ofctl("dump-flows", "br0"), /n_packets=0,.* actions=NORMAL/, "no packet is counted");
    });
    t.equal(answered, 0);
    t.equal(received(), count, "nothing is forwarded as the tables happen to be at start");
    world.ofctl("add-flow", "br0", "priority=9,icmp,actions=NORMAL");
    world.vsctl("remove", "open_vswitch", ".", "other_config", "flow-restore-wait");
    world.ping("ha", "10.1.1.2");
    t.match(world.ofctl("dump-flows", "br0", "icmp"), /n_packets=[1-9]/);
  } catch (error) {
    console.error(world.log());
    throw error;
  } finally {
    await world.close();
  }
});

t.test("a database that is restarted, and a dead one", { skip }, async (t) => {
  const world = new World();
  try {
    world.startDatabase();
    world.startSwitch();
    world.twoHosts();
    world.ping("ha", "10.1.1.2");
    const flows = (): string[] =>
      [...world.appctl("dpctl/dump-flows", "-m").matchAll(/^ufid:\S+/gm)].map(String).sort();
    const before = flows();
    t.ok(before.length > 0);
    const { lost } = await pingDuring(world, async () => {
      process.kill(world.pid("ovsdb-server"), "SIGKILL");
      await sleep(300);
      world.startDatabase();
      world.vsctl("-t", "30", "set", "bridge", "br0", "other_config:mac-aging-time=500");
    });
    t.ok(lost <= 1, "only the ping that was under way at the end can have been lost");
    const after = new Set(flows());
    t.ok(
      before.every((flow) => after.has(flow)),
      "the datapath's flows are the same",
    );
  } catch (error) {
    console.error(world.log());
    throw error;
  } finally {
    await world.close();
  }
});
