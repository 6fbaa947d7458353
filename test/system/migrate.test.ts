/** A switch whose only way out becomes a port of its bridge: addresses move, and come back, under ping and TCP. */
import { once } from "node:events";
import t from "tap";
import { FULL } from "./bin.ts";
import { cannotRun, sleep, type World, withWorld } from "./world.ts";

const skip = cannotRun("ping", "iperf3");
const ROUNDS = FULL ? 100 : 3;
const PING_S = 0.02;

/** The daemons in a namespace with 10.9.0.2 on "uplink", behind which 10.9.0.1 is the gateway. */
async function behindUplink(body: (world: World) => Promise<void>): Promise<void> {
  await withWorld(async (world) => {
    world.host("uplink", "10.9.0.1/24");
    const ip = (...words: string[]) => world.inside("sw", "ip", ...words);
    ip("addr", "add", "10.9.0.2/24", "broadcast", "10.9.0.255", "dev", "uplink");
    ip("addr", "add", "10.9.0.3/24", "dev", "uplink");
    world.inside(
      "sw",
      "sh",
      "-c",
      "for f in all default uplink; do echo 0 > /proc/sys/net/ipv6/conf/$f/disable_ipv6; done",
    );
    ip("addr", "add", "fd09::2/64", "dev", "uplink", "nodad");
    ip("route", "add", "default", "via", "10.9.0.1", "dev", "uplink", "metric", "77");
    ip("-6", "route", "add", "default", "via", "fd09::1", "dev", "uplink");
    ip("route", "add", "10.8.0.0/16", "via", "10.9.0.9", "dev", "uplink", "mtu", "1300");
    world.startUp();
    world.vsctl("add-br", "br0");
    await body(world);
  });
}

/** Addresses of a device, and all routes, as the kernel has them. */
function network(world: World, device: string): { addresses: string[]; routes: string[] } {
  const lines = (text: string): string[] =>
    text
      .split("\n")
      .map((line) => line.replaceAll(/\s+/g, " ").trim())
      .filter((line) => line !== "");
  const routes = ["-4", "-6"].map((family) => world.inside("sw", "ip", family, "route", "show")).join("");
  return {
    addresses: lines(world.inside("sw", "ip", "-o", "addr", "show", "dev", device, "scope", "global"))
      .map((line) => line.replace(/^\d+: \S+ /, "").replace(device, "DEVICE"))
      .map((line) => line.replace(/ ?\\.*$/, "")),
    // Each device has a link-local network, and those of hosts that are asked for come and go.
    routes: lines(routes).filter((route) => !route.startsWith("fe80::")),
  };
}

const onDevice = (routes: readonly string[], device: string): string[] =>
  routes.map((route) => route.replace(` dev ${device}`, " dev DEVICE").replace(" linkdown", "")).sort();

t.test("there and back under ping and TCP", { skip }, async (t) => {
  await behindUplink(async (world) => {
    const before = network(world, "uplink");
    const mac = world.inside("sw", "cat", "/sys/class/net/uplink/address");
    world.background("sw", "iperf3", "-s");
    await sleep(200);
    const ping = world.background("uplink", "ping", "-i", String(PING_S), "10.9.0.2");
    let heard = "";
    ping.stdout!.on("data", (chunk) => {
      heard += chunk;
    });
    const seconds = String(FULL ? 600 : 60);
    const client = world.background(
      "uplink",
      "iperf3",
      "-c",
      "10.9.0.2",
      "-b",
      "5M",
      "-t",
      seconds,
      "-i",
      "0.5",
      "--forceflush",
    );
    let stream = "";
    client.stdout!.on("data", (chunk) => {
      stream += chunk;
    });
    await sleep(500);
    for (let round = 0; round < ROUNDS; round++) {
      world.vsctl("--migrate-addresses", "add-port", "br0", "uplink");
      if (round === 0) {
        const moved = network(world, "br0");
        t.same(moved.addresses, before.addresses, "all addresses are at the bridge");
        t.same(network(world, "uplink").addresses, [], "none at the device");
        t.same(onDevice(moved.routes, "br0"), onDevice(before.routes, "uplink"), "with their routes");
        t.equal(world.inside("sw", "cat", "/sys/class/net/br0/address"), mac, "under the device's MAC");
        t.equal(world.get("Bridge", "br0", "status:addresses"), '"moved from uplink"');
      }
      await sleep(100);
      if (round === 0) {
        const answers = world.inside("uplink", "ping", "-c", "5", "-i", "0.05", "-q", "10.9.0.3");
        t.match(answers, / 5 received, 0% packet loss/);
        t.notMatch(answers, "duplicates", "the host answers at the bridge alone");
      }
      world.vsctl("--migrate-addresses", "del-port", "br0", "uplink");
      await sleep(100);
    }
    await sleep(500);
    t.same(network(world, "uplink"), before, "as it was");
    t.same(world.get("Bridge", "br0", "other_config"), "{}");
    ping.kill("SIGINT");
    await once(ping, "close");
    const numbers = [...heard.matchAll(/icmp_seq=(\d+)/g)].map((match) => Number(match[1]));
    let gap = 0;
    numbers.forEach((number, i) => {
      if (i > 0) gap = Math.max(gap, number - numbers[i - 1]!);
    });
    t.ok(numbers.length > 20, `${numbers.length} replies`);
    t.ok(gap * PING_S <= 1, `longest silence ${(gap * PING_S).toFixed(2)} s in ${ROUNDS} rounds`);
    const seen = stream.length;
    await world.until("the stream goes on", () => {
      const since = stream.slice(seen);
      return /[1-9][\d.]* [KM]bits\/sec/.test(since);
    });
    t.equal(client.exitCode, null, "the TCP connection lives");
  });
});

t.test("a gateway that does not answer, and one that stops to", { skip }, async (t) => {
  await behindUplink(async (world) => {
    const before = network(world, "uplink");
    // Its answers are lost; the neighbour entry that there is would still be believed.
    world.inside("uplink", "ip", "link", "set", "eth0", "arp", "off");
    const run = world.try("ovs-vsctl", "-t", "10", "--migrate-addresses", "add-port", "br0", "uplink");
    t.equal(run.status, 1);
    t.equal(
      run.stderr,
      "ovs-vsctl: addresses of uplink put back to uplink: gateway 10.9.0.1 does not answer\n",
    );
    await world.until("the port is gone", () => world.vsctl("list-ports", "br0") === "");
    t.same(network(world, "uplink"), before);
    world.inside("uplink", "ip", "link", "set", "eth0", "arp", "on");
    world.ping("uplink", "10.9.0.2");

    const words = ["--migrate-addresses", "--confirm=2", "add-port", "br0", "uplink"];
    const held = world.try("ovs-vsctl", "-t", "10", ...words);
    t.equal(held.status, 0);
    t.match(held.stderr, /^ovs-vsctl: br0 has taken the place of uplink, for 2 s unless .* follows\n$/);
    world.inside("uplink", "ip", "link", "set", "eth0", "down");
    await world.until("it is put back", () => network(world, "uplink").addresses.length > 0, 4);
    await world.until("the port is gone", () => world.vsctl("list-ports", "br0") === "");
    t.equal(world.get("Bridge", "br0", "status:addresses"), '"put back to uplink: nobody confirmed in time"');
    world.inside("uplink", "ip", "link", "set", "eth0", "up");
    await world.until("it is reachable", () => !world.unreachable("uplink", "10.9.0.2"));

    t.equal(world.try("ovs-vsctl", "-t", "10", ...words).status, 0);
    world.vsctl("confirm");
    await sleep(2500);
    t.match(world.vsctl("list-ports", "br0"), "uplink", "confirmed: it stays");
    world.ping("uplink", "10.9.0.2");
    t.match(world.try("ovs-vsctl", "-t", "10", "confirm"), {
      status: 1,
      stderr: "ovs-vsctl: confirm: no move of addresses waits to be confirmed\n",
    });
  });
});

t.test("what is moved outlives the switch, and returns with the bridge", { skip }, async (t) => {
  await behindUplink(async (world) => {
    const before = network(world, "uplink");
    const warned = world.try("ovs-vsctl", "-t", "10", "--no-wait", "add-port", "br0", "nothing");
    t.equal(warned.stderr, "", "no address, no warning");
    world.vsctl("--no-wait", "del-port", "nothing");
    world.vsctl("--migrate-addresses", "add-port", "br0", "uplink");
    // As after a reboot: the tap device is new, and somebody has configured the device.
    process.kill(world.pid("ovs-vswitchd"), "SIGKILL");
    await sleep(200);
    world.inside("sw", "ip", "link", "del", "br0");
    world.inside("sw", "ip", "addr", "add", "10.9.0.2/24", "broadcast", "10.9.0.255", "dev", "uplink");
    world.startUp();
    await world.until("they are at the bridge again", () => network(world, "br0").addresses.length === 3);
    await world.until("and only there", () => network(world, "uplink").addresses.length === 0);
    await world.until("it is reachable", () => !world.unreachable("uplink", "10.9.0.2"));
    t.match(
      world.try("ovs-vsctl", "-t", "10", "del-port", "br0", "uplink").stderr,
      /^ovs-vsctl: warning: br0 keeps the addresses of uplink; "ovs-vsctl --migrate-addresses del-port uplink"/,
    );
    world.vsctl("del-br", "br0");
    await world.until("all is back", () => network(world, "uplink").addresses.length === 3);
    t.same(network(world, "uplink"), before);
    world.vsctl("add-br", "br1", "--", "set", "bridge", "br1", "datapath_type=netdev");
    const inside = (...words: string[]) => world.tryInside("sw", "ovs-vsctl", "-t", "10", ...words);
    t.match(
      inside("add-port", "br1", "uplink").stderr,
      /^ovs-vsctl: warning: uplink has 10\.9\.0\.2\/24, 10\.9\.0\.3\/24, fd09::2\/64 and the default route, which cannot be reached /,
    );
    world.vsctl("del-port", "br1", "uplink");
    t.equal(inside("--no-wait", "add-port", "br1", "uplink").stderr, "", "a database alone has no devices");
    for (const [words, error] of [
      [["--confirm=3", "add-port", "br1", "x"], "--confirm goes with --migrate-addresses"],
      [
        ["--migrate-addresses", "--confirm=soon", "add-port", "br1", "x"],
        '--confirm: "soon" is not a number of seconds up to 86400',
      ],
      [
        ["--migrate-addresses", "del-port", "br1", "uplink"],
        "--migrate-addresses: br1 has not taken the place of uplink",
      ],
    ] as const)
      t.match(inside(...words), { status: 1, stderr: `ovs-vsctl: ${error}\n` });
  });
});
