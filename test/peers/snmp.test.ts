/** `ovsbox snmp` with Debian's snmpd and snmpwalk: values are the database's, counters grow, restarts are survived. */
import type { ChildProcess } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { peer, withoutPeer } from "../system/bin.ts";
import { cannotRun, World } from "../system/world.ts";

const skip = cannotRun("ping") || withoutPeer("snmpd", "snmpwalk", "snmpget", "snmpbulkwalk");

const IF = "1.3.6.1.2.1.2.2.1";
const IFX = "1.3.6.1.2.1.31.1.1.1";
const DOT1D = "1.3.6.1.2.1.17";

t.test("ovsbox snmp", { skip }, async (t) => {
  const world = new World();
  t.teardown(() => world.close());
  const socket = join(world.dir, "agentx");
  world.env.MIBS = "";
  // snmpd writes a snmpd.conf of its own there when it ends.
  world.env.SNMP_PERSISTENT_DIR = world.dir;
  writeFileSync(
    join(world.dir, "agent.conf"),
    `master agentx\nagentXSocket unix:${socket}\nrocommunity public\n` +
      "com2sec -Cn br1 second default second\ngroup readers v2c second\nview all included .1\n" +
      "access readers br1 any noauth exact all none none\n",
  );
  let snmpd: ChildProcess | undefined;
  const startSnmpd = async (): Promise<void> => {
    const conf = join(world.dir, "agent.conf");
    snmpd = world.background(
      "sw",
      peer("snmpd")!,
      "-f",
      "-C",
      "-c",
      conf,
      "-Lf",
      join(world.dir, "snmpd.log"),
      "udp:127.0.0.1:1161",
    );
    await world.until(
      "snmpd answers",
      () =>
        world.tryInside(
          "sw",
          peer("snmpget")!,
          "-v2c",
          "-cpublic",
          "-t1",
          "-r0",
          "127.0.0.1:1161",
          "1.3.6.1.2.1.1.3.0",
        ).status === 0,
      20,
    );
  };
  const stopSnmpd = (): Promise<void> =>
    new Promise((resolve) => {
      snmpd!.once("exit", () => resolve());
      snmpd!.kill();
    });
  const ask = (program: string, oid: string, community = "public"): Map<string, string> => {
    const { stdout } = world.tryInside(
      "sw",
      peer(program)!,
      "-v2c",
      `-c${community}`,
      "-t5",
      "-r1",
      "-Oqnx",
      "127.0.0.1:1161",
      oid,
    );
    const lines = stdout.split("\n").flatMap((line) => {
      const match = /^\.([\d.]+) (.*)$/.exec(line);
      return match === null || match[2]!.startsWith("No ")
        ? []
        : [[match[1]!, match[2]!.replace(/^"(.*)"$/, "$1").trim()] as const];
    });
    return new Map(lines);
  };
  const get = (oid: string, community?: string): string | undefined =>
    ask("snmpget", oid, community).get(oid);
  /** A string that was printed as "6C 6F". */
  const spoken = (octets: string | undefined): string =>
    Buffer.from((octets ?? "").replaceAll(" ", ""), "hex").toString();
  const appctl = (command: string): string =>
    world.command("ovs-appctl", "-T", "10", "-t", "ovsbox-snmp", command);
  const mib = (text: string): string => text.replace(/"/g, "").replaceAll(":", " ").toUpperCase();

  world.startDatabase();
  world.startSwitch();
  world.host("h1", "10.0.0.1/24");
  world.host("h2", "10.0.0.2/24");
  world.vsctl(
    "add-br",
    "br0",
    "--",
    "set",
    "bridge",
    "br0",
    "datapath_type=netdev",
    "--",
    "add-br",
    "br1",
    "--",
    "set",
    "bridge",
    "br1",
    "datapath_type=netdev",
  );
  world.vsctl(
    "add-port",
    "br0",
    "h1",
    "--",
    "add-port",
    "br0",
    "h2",
    "--",
    "set",
    "interface",
    "h2",
    'external_ids:alias="to the cellar"',
  );
  world.vsctl("add-port", "br0", "p0", "--", "set", "interface", "p0", "type=patch", "options:peer=p1");
  world.vsctl("add-port", "br1", "p1", "--", "set", "interface", "p1", "type=patch", "options:peer=p0");
  world.ping("h1", "10.0.0.2");
  const index = Object.fromEntries(
    ["h1", "h2", "br0", "br1"].map((name) => [name, world.get("interface", name, "ifindex")]),
  ) as Record<"h1" | "h2" | "br0" | "br1", string>;

  await t.test("bad input, and no master yet", async (t) => {
    for (const [words, complaint] of [
      [
        ["--agentx=nowhere"],
        /^ovsbox snmp: nowhere: bad AgentX address \(expected unix:FILE or tcp:HOST\[:PORT\]\)\n$/,
      ],
      [["--agentx=tcp:1.2.3.4:99999"], /bad AgentX address/],
      [["a", "b"], /at most one non-option argument/],
      [["xyz"], /^ovsbox snmp: xyz: bad connection method\n$/],
    ] as const) {
      const run = world.try("ovsbox", "snmp", ...words);
      t.equal(run.status, 1);
      t.match(run.stderr, complaint);
    }
    world.inside(
      "sw",
      "ovsbox",
      "snmp",
      `--agentx=unix:${socket}`,
      "--detach",
      "--no-chdir",
      "--pidfile",
      "--log-file",
      "-vconsole:off",
    );
    await world.until("three attempts", () => /connecting \(No such file/.test(appctl("agentx/show")));
    await new Promise((resolve) => setTimeout(resolve, 2500));
    t.equal(
      world.log("ovsbox-snmp").match(/cannot reach AgentX master \(No such file or directory\)/g)?.length,
      1,
      "said once",
    );
  });

  await t.test("ports beside the host's interfaces", async (t) => {
    await startSnmpd();
    await world.until(
      "registered",
      () => /connected[\s\S]*registrations: 15 of 15/.test(appctl("agentx/show")),
      20,
    );
    /** Of each port what the database and the two tables say, as one text each. */
    const both = (): { database: string[]; tables: string[]; table: Map<string, string> } => {
      const table = new Map([...ask("snmpwalk", IF), ...ask("snmpbulkwalk", IFX)]);
      const columns = "name,ifindex,mtu,mac_in_use,admin_state,link_state,link_speed,statistics";
      const { data } = JSON.parse(world.vsctl("-f", "json", `--columns=${columns}`, "list", "interface")) as {
        data: [string, number, number, string, string, string, number, [string, [string, number][]]][];
      };
      const database: string[] = [];
      const tables: string[] = [];
      for (const [name, ifindex, mtu, mac, admin, link, speed, [, statistics]] of data) {
        if (!(ifindex > 0)) continue;
        const count = new Map(statistics);
        const status = (state: string): string => (state === "up" ? "1" : "2");
        database.push(
          [name, mtu, mib(mac), status(admin), status(link), speed / 1e6]
            .concat(["rx_bytes", "tx_bytes", "tx_packets", "tx_dropped"].map((key) => count.get(key) ?? -1))
            .join(", "),
        );
        const at = (entry: string, column: number): string =>
          table.get(`${entry}.${column}.${ifindex}`) ?? "";
        tables.push(
          [spoken(at(IF, 2)), at(IF, 4), at(IF, 6), at(IF, 7), at(IF, 8), at(IFX, 15)]
            .concat([at(IFX, 6), at(IFX, 10), at(IFX, 11), at(IF, 19)])
            .join(", "),
        );
      }
      return { database, tables, table };
    };
    let now = both();
    // The database is renewed each five seconds, between our two questions too.
    await world.until(
      "equal values",
      () => {
        now = both();
        return now.database.join() === now.tables.join();
      },
      20,
    );
    t.strictSame(now.tables, now.database, "values are the database's");
    t.equal(now.database.length, 4);
    const { table } = now;
    t.equal(spoken(table.get(`${IF}.2.1`)), "lo", "the host's own interface");
    t.equal(spoken(table.get(`${IFX}.18.${index.h2}`)), "to the cellar");
    const patch = [...table]
      .find(([oid, value]) => oid.startsWith(`${IF}.2.`) && spoken(value) === "p0")?.[0]
      .split(".")
      .at(-1);
    t.ok(Number(patch) >= 2 ** 30, "a port without a device has an index of its own");
    t.equal(table.get(`${IF}.3.${patch}`), "53");
    const own = (walk: Map<string, string>): string[] =>
      [...walk.keys()].filter((oid) => /^1\.3\.6\.1\.2\.1\.31/.test(oid));
    t.strictSame(own(ask("snmpbulkwalk", IFX)), own(ask("snmpwalk", IFX)), "in bulk as one by one");
    t.equal(
      world
        .tryInside(
          "sw",
          peer("snmpget")!,
          "-v1",
          "-cpublic",
          "-Oqvn",
          "127.0.0.1:1161",
          `${IF}.4.${index.h1}`,
        )
        .stdout.trim(),
      "1500",
      "SNMPv1",
    );
  });

  await t.test("counters grow with the traffic, and the link is followed", async (t) => {
    const packets = (): number => Number(get(`${IFX}.7.${index.h1}`));
    const before = packets();
    world.ping("h1", "10.0.0.2", 100);
    // Or more: ARP asks again after a while.
    await world.until("100 packets more", () => packets() >= before + 100, 30);
    t.equal(
      get(`${IFX}.7.${index.h1}`),
      world.vsctl("get", "interface", "h1", "statistics:rx_packets").trim(),
    );
    t.match(get(`${IF}.9.${index.h2}`), /^0:0:00:00\.00$|^0$/, "no change so far");
    world.inside("h2", "ip", "link", "set", "eth0", "down");
    await world.until("link down", () => get(`${IF}.8.${index.h2}`) === "2", 10);
    t.notMatch(get(`${IF}.9.${index.h2}`), /^0:0:00:00\.00$|^0$/, "ifLastChange");
    world.inside("h2", "ip", "link", "set", "eth0", "up");
    await world.until("link up", () => get(`${IF}.8.${index.h2}`) === "1", 10);
  });

  await t.test("BRIDGE-MIB", async (t) => {
    world.ping("h1", "10.0.0.2");
    const bridge = ask("snmpwalk", DOT1D);
    t.equal(bridge.get(`${DOT1D}.1.1.0`), mib(world.get("interface", "br0", "mac_in_use")));
    t.equal(bridge.get(`${DOT1D}.1.2.0`), "4");
    t.equal(bridge.get(`${DOT1D}.1.4.1.2.${world.get("interface", "h1", "ofport")}`), index.h1);
    t.equal(bridge.get(`${DOT1D}.1.4.1.2.65534`), index.br0);
    for (const host of ["h1", "h2"]) {
      const mac = world.mac(host);
      const at = mac
        .split(":")
        .map((part) => Number.parseInt(part, 16))
        .join(".");
      t.equal(bridge.get(`${DOT1D}.4.3.1.1.${at}`), mib(mac));
      t.equal(bridge.get(`${DOT1D}.4.3.1.2.${at}`), world.get("interface", host, "ofport"));
      t.equal(bridge.get(`${DOT1D}.4.3.1.3.${at}`), "3");
    }
    t.equal(bridge.get(`${DOT1D}.4.2.0`), "300");
    t.equal(
      get(`${DOT1D}.1.1.0`, "second"),
      mib(world.get("interface", "br1", "mac_in_use")),
      "another bridge by its context",
    );
    t.equal(get(`${DOT1D}.1.2.0`, "second"), "2");
    const set = world.tryInside(
      "sw",
      peer("snmpset") ?? "snmpset",
      "-v2c",
      "-cpublic",
      "127.0.0.1:1161",
      `${DOT1D}.4.2.0`,
      "i",
      "5",
    );
    t.not(set.status, 0, "nothing can be set");
  });

  await t.test("ports that come and go, a restart of snmpd, of the database, of the sub-agent", async (t) => {
    world.vsctl("del-port", "br0", "h2");
    await world.until("h2 gone", () => /registrations: 13 of 13/.test(appctl("agentx/show")));
    t.equal(get(`${DOT1D}.1.2.0`), "3");
    world.vsctl("add-port", "br0", "h2", "--", "set", "interface", "h2", "external_ids:alias=back");
    await world.until("h2 back", () => spoken(get(`${IFX}.18.${index.h2}`)) === "back", 10);

    await stopSnmpd();
    await world.until("noticed", () => /, connecting/.test(appctl("agentx/show")), 5);
    rmSync(socket, { force: true });
    await startSnmpd();
    await world.until("served again", () => spoken(get(`${IFX}.18.${index.h2}`)) === "back", 20);
    t.match(world.log("ovsbox-snmp"), /connection to AgentX master lost/);

    const pid = world.pid("ovsdb-server");
    process.kill(pid);
    await world.until("database gone", () => !/live/.test(appctl("agentx/show")), 10);
    t.equal(spoken(get(`${IFX}.18.${index.h2}`)), "back", "what it said last goes on");
    world.startDatabase();
    await world.until("database back", () => /live/.test(appctl("agentx/show")), 15);
    await world.until("ports again", () => spoken(get(`${IFX}.18.${index.h2}`)) === "back", 10);

    appctl("exit");
    await world.until("the host's rows again", () => spoken(get(`${IFX}.18.${index.h2}`)) !== "back", 10);
    world.inside(
      "sw",
      "ovsbox",
      "snmp",
      `--agentx=unix:${socket}`,
      "--whole-tables",
      "--detach",
      "--no-chdir",
      "--pidfile",
      "--log-file",
      "-vconsole:off",
    );
    await world.until("whole tables", () => get("1.3.6.1.2.1.2.1.0") === "6", 20);
    t.equal(get(`${IF}.2.1`), undefined, "without the host's");
    t.equal(spoken(get(`${IFX}.18.${index.h2}`)), "back");
    appctl("exit");
  });
});
