/**
 * Programs that forward on while the switch is stopped, killed and started again: not one packet of an established flow is
 * lost. The bpf file system is one of a mount namespace of its own, which goes with the test.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { cannotRun, type Result, sleep, World } from "./world.ts";

const [major, minor] = release().split(".").map(Number);
const tooOld = major! > 5 || (major === 5 && minor! >= 11) ? false : "needs Linux 5.11";
/** Then that is what datapath_type=system means. */
const hasModule = existsSync("/sys/module/openvswitch") ? "the kernel has openvswitch.ko" : false;
const skip = cannotRun("ping", "unshare", "nsenter") || tooOld;
const ROUNDS = process.env.OVSBOX_FULL ? 10 : 2;
const PINS = "/sys/fs/bpf/ovsbox";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

/** How programs are attached: filters of tc are what kernels before 6.6 have. */
type Hook = "links" | "filters";

/** A world whose switch runs where there is a bpf file system. */
class PinnedWorld extends World {
  readonly #mounts: ChildProcess;
  readonly hook: Hook;

  constructor(hook: Hook) {
    super();
    this.hook = hook;
    const script = "mount -t bpf bpf /sys/fs/bpf && echo ready && exec sleep 1000";
    this.#mounts = spawn("unshare", ["--mount", "--propagation", "private", "sh", "-c", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
  }

  async ready(): Promise<void> {
    await new Promise((resolve) => this.#mounts.stdout!.once("data", resolve));
  }

  #words(words: string[]): string[] {
    return [`--mount=/proc/${this.#mounts.pid}/ns/mnt`, `--net=/run/netns/${this.netns}`, ...words];
  }

  /** In the network namespace of the switch, where the file system is. */
  mounted(...words: string[]): string {
    return this.command("nsenter", ...this.#words(words));
  }

  /** As somebody who does not know of the switch. */
  mountedTry(...words: string[]): Result {
    return this.try("nsenter", ...this.#words(["env", "OVS_RUNDIR=/nonexistent", ...words]));
  }

  override startSwitch(): void {
    const options = ["--no-chdir", "--pidfile", "--log-file", "-vconsole:off"];
    if (this.hook === "links") {
      this.mounted("ovs-vswitchd", "--detach", ...options);
      return;
    }
    const script = join(root, "test/system/filters-switch.ts");
    const words = this.#words([join(root, "node_modules/.bin/bun"), script, ...options]);
    spawn("nsenter", words, { env: this.env, stdio: "ignore" }).unref();
    this.vsctl("-t", "20", "set", "Open_vSwitch", ".", "external_ids:again=yes");
    this.vsctl("remove", "Open_vSwitch", ".", "external_ids", "again");
  }

  /** Filters of ours at all devices. */
  filters(): number {
    const devices = this.inside("sw", "ls", "/sys/class/net").trim().split(/\s+/);
    const shown = devices.flatMap((device) =>
      ["ingress", "egress"].map((way) => this.inside("sw", "tc", "filter", "show", "dev", device, way)),
    );
    return shown.join("").match(/ ovsbox-\d+ direct-action /g)?.length ?? 0;
  }

  pins(): string[] {
    return this.mounted("sh", "-c", `find ${PINS} 2>/dev/null || true`).split("\n").filter(Boolean);
  }

  async kill(): Promise<void> {
    const pid = this.pid("ovs-vswitchd");
    process.kill(pid, "SIGKILL");
    await this.until("it is dead", () => {
      try {
        // A zombie is none that holds anything.
        return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
      } catch {
        return true;
      }
    });
  }

  override async close(): Promise<void> {
    await super.close();
    this.#mounts.kill("SIGKILL");
  }
}

/** A ping that is to be answered every time; `end` says what was not. */
function flood(world: World, from: string, to: string): { end(): Promise<{ sent: number; lost: number }> } {
  const child = world.background(from, "ping", "-i", "0.002", "-W", "1", "-q", to);
  let text = "";
  child.stdout!.on("data", (data) => {
    text += String(data);
  });
  return {
    async end() {
      const done = new Promise((resolve) => child.once("close", resolve));
      child.kill("SIGINT");
      await done;
      const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(text)!;
      return { sent: Number(sent), lost: Number(sent) - Number(received) };
    },
  };
}

function neighbours(world: World): void {
  const hosts = { ha: "10.1.1.1", hb: "10.1.1.2" };
  const local = world.inside("sw", "cat", "/sys/class/net/br0/address").trim();
  for (const [host, other] of [
    ["ha", "hb"],
    ["hb", "ha"],
  ] as const) {
    const add = ["ip", "neigh", "replace"];
    world.inside(host, ...add, hosts[other], "lladdr", world.mac(other), "dev", "eth0");
    world.inside(host, ...add, "10.1.1.100", "lladdr", local, "dev", "eth0");
    world.inside("sw", ...add, hosts[host], "lladdr", world.mac(host), "dev", "br0");
  }
}

function show(world: World): string {
  return world.appctl("dpif-ebpf/show");
}

/** Packets of the flow of echo requests from ha to hb. */
function counted(world: World): number {
  const flows = world.appctl("dpctl/dump-flows").split("\n");
  const line = flows.find(
    (flow) => flow.includes(`dst=${world.mac("hb")}`) && flow.includes("eth_type(0x0800)"),
  );
  return Number(/packets:(\d+)/.exec(line ?? "")?.[1] ?? -1);
}

async function withPins(
  type: "" | "ebpf",
  hook: Hook,
  body: (world: PinnedWorld) => Promise<void>,
): Promise<void> {
  const world = new PinnedWorld(hook);
  try {
    await world.ready();
    world.startDatabase();
    world.startSwitch();
    world.twoHosts(type);
    world.inside("sw", "ip", "addr", "add", "10.1.1.100/24", "dev", "br0");
    world.inside("sw", "ip", "link", "set", "br0", "up");
    neighbours(world);
    await body(world);
  } catch (error) {
    console.error(world.log().split("\n").slice(-60).join("\n"));
    throw error;
  } finally {
    await world.close();
  }
}

const killed = async (t: Test, hook: Hook): Promise<void> => {
  await withPins("ebpf", hook, async (world) => {
    const other = world.mountedTry("ovs-dpctl", "del-dp", "ebpf@ovs-ebpf");
    t.equal(other.status, 1, "one that a switch has is not taken away under it");
    t.equal(world.filters(), hook === "links" ? 0 : 3, "two ingress, one egress");
    t.match(show(world), /^ {2}pinned: \/sys\/fs\/bpf\/ovsbox\/ovs-ebpf@\d+$/m);
    for (const to of ["10.1.1.2", "10.1.1.100"]) world.ping("ha", to, 10);
    await world.until("all masks are asked", () => !show(world).includes("not yet asked"));
    for (let round = 0; round < ROUNDS; round++) {
      const pings = ["10.1.1.2", "10.1.1.100"].map((to) => flood(world, "ha", to));
      await sleep(300);
      const before = counted(world);
      await world.kill();
      await sleep(500);
      const began = performance.now();
      world.startSwitch();
      // Detached: ready when the first configuration is done.
      const tookMs = performance.now() - began;
      await sleep(500);
      t.ok(counted(world) > before, `statistics go on from ${before}: ${counted(world)}`);
      for (const ping of pings) {
        const { sent, lost } = await ping.end();
        t.ok(sent > 300, `${sent} packets`);
        t.equal(lost, 0, `round ${round}: none is lost`);
      }
      t.ok(tookMs < 15_000, `again at work after ${tookMs.toFixed(0)} ms`);
      t.equal(world.pins().filter((path) => path.endsWith("/journal")).length, 1, "one generation is left");
    }
    world.appctl("exit", "--cleanup");
    t.strictSame(world.pins(), [], "nothing is left behind");
    t.equal(world.filters(), 0);
    t.notMatch(world.inside("sw", "tc", "qdisc", "show"), "clsact");
    t.notMatch(world.inside("sw", "ip", "link"), "PROMISC");
  });
};
t.test("kill -9 under load", { skip }, (t) => killed(t, "links"));
t.test("the same by filters of tc", { skip: skip || cannotRun("tc") }, (t) => killed(t, "filters"));

t.test("an orderly end, rules that come again, and del-dp", { skip }, async (t) => {
  await withPins("ebpf", "links", async (world) => {
    world.vsctl("set-fail-mode", "br0", "secure");
    world.ofctl("del-flows", "br0");
    world.ofctl("add-flow", "br0", "in_port=1,actions=2");
    world.ofctl("add-flow", "br0", "in_port=2,actions=1");
    world.ping("ha", "10.1.1.2", 10);
    await world.until("all masks are asked", () => !show(world).includes("not yet asked"));
    let ping = flood(world, "ha", "10.1.1.2");
    await sleep(200);
    world.appctl("exit");
    await sleep(200);
    world.vsctl("--no-wait", "set", "Open_vSwitch", ".", "other_config:flow-restore-wait=true");
    world.startSwitch();
    await sleep(300);
    world.ofctl("add-flow", "br0", "in_port=1,actions=2");
    world.ofctl("add-flow", "br0", "in_port=2,actions=1");
    world.vsctl("remove", "Open_vSwitch", ".", "other_config", "flow-restore-wait");
    await sleep(300);
    let { sent, lost } = await ping.end();
    t.ok(sent > 200);
    t.equal(lost, 0, "flow-restore-wait keeps the old flows until the rules are there");

    ping = flood(world, "ha", "10.1.1.2");
    await sleep(200);
    world.appctl("exit");
    await sleep(300);
    world.mounted("ovs-dpctl", "del-dp", "ebpf@ovs-ebpf");
    t.ok(world.unreachable("ha", "10.1.1.2"));
    ({ sent, lost } = await ping.end());
    t.ok(lost > 0);
    t.strictSame(world.pins(), []);
    t.notMatch(world.inside("sw", "ip", "link"), /br0|PROMISC/);
  });
});

t.test(
  "the default type: an orderly end, and what nobody claims any more",
  { skip: skip || hasModule },
  async (t) => {
    await withPins("", "links", async (world) => {
      for (const to of ["10.1.1.2", "10.1.1.100"]) world.ping("ha", to, 10);
      await world.until("all masks are asked", () => !show(world).includes("not yet asked"));
      const pings = ["10.1.1.2", "10.1.1.100"].map((to) => flood(world, "ha", to));
      await sleep(300);
      world.appctl("exit");
      await sleep(300);
      t.equal(world.mounted("ovs-dpctl", "dump-dps"), "system@ovs-system\n", "also when no switch runs");
      const doctor = world.mountedTry("ovsbox", "doctor");
      t.match(
        doctor.stdout,
        /warn system@ovs-system: still forwards .*\n.*\n.*ovs-dpctl del-dp system@ovs-system\n/,
      );
      world.startSwitch();
      await sleep(300);
      for (const ping of pings) {
        const { sent, lost } = await ping.end();
        t.ok(sent > 200, `${sent} packets`);
        t.equal(lost, 0);
      }
      t.match(
        show(world),
        /^system@ovs-system:\n(.*\n)+ {2}pinned: \/sys\/fs\/bpf\/ovsbox\/ovs-system@\d+\n/,
      );

      // Another kind of datapath next time.
      world.appctl("exit");
      world.vsctl("--no-wait", "set", "bridge", "br0", "datapath_type=netdev");
      world.startSwitch();
      t.strictSame(world.pins(), []);
      t.match(world.log(), /INFO\|ovs-system: removed what an earlier run has left in the kernel/);
      for (const to of ["10.1.1.2", "10.1.1.100"]) world.ping("ha", to, 10);

      world.vsctl("set", "bridge", "br0", "datapath_type=system");
      world.ping("ha", "10.1.1.2", 10);
      t.not(world.pins().length, 0);
      // No bridge at all next time.
      world.appctl("exit");
      world.vsctl("--no-wait", "del-br", "br0");
      world.startSwitch();
      t.strictSame(world.pins(), []);
      t.ok(world.unreachable("ha", "10.1.1.2"));
      t.notMatch(world.inside("sw", "ip", "link"), /br0|PROMISC/);
    });
  },
);
