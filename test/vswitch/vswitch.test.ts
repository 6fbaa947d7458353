/** The whole switch over a database server in memory, with dummy devices: reconfiguration and what is written back. */
import { randomBytes, randomUUID } from "node:crypto";
import t from "tap";
import type { Clock } from "../../src/lib/clock.ts";
import { coverage } from "../../src/lib/coverage.ts";
import { nodeDatagrams } from "../../src/lib/datagram-node.ts";
import { InFlight } from "../../src/lib/sim-clock.ts";
import type { StreamFactory } from "../../src/lib/stream.ts";
import { tlsConfig } from "../../src/lib/stream-config.ts";
import { MemoryNetwork, memoryPair } from "../../src/lib/stream-memory.ts";
import { UnixctlCommands } from "../../src/lib/unixctl.ts";
import { vlogSetLevel } from "../../src/lib/vlog.ts";
import { type DummyNetdev, enableDummy } from "../../src/netdev/dummy.ts";
import { patchProvider } from "../../src/netdev/patch.ts";
import { NetdevRegistry } from "../../src/netdev/registry.ts";
import type { Disk } from "../../src/ovsdb/disk.ts";
import { Idl, type Row, type RowWrite, type Transaction } from "../../src/ovsdb/idl.ts";
import type { Ref } from "../../src/ovsdb/idl-types.ts";
import type { Json } from "../../src/ovsdb/json-text.ts";
import { schemaFromJson } from "../../src/ovsdb/schema.ts";
import { ServedDatabase } from "../../src/ovsdb/served-database.ts";
import { OvsdbServer } from "../../src/ovsdb/server.ts";
import { Database } from "../../src/ovsdb/table.ts";
import { datapathOpener } from "../../src/vswitch/datapath-opener.ts";
import { registerDpctlCommands } from "../../src/vswitch/dpctl.ts";
import { type OpenVswitchSchema, openVswitchSchema } from "../../src/vswitch/schema/index.ts";
import { Vswitch } from "../../src/vswitch/vswitch.ts";

vlogSetLevel(undefined, undefined, 0);

type S = OpenVswitchSchema;

const clock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after: (ms, run) => timer(setTimeout(run, ms)),
  background: (ms, run) => timer(setTimeout(run, ms).unref()),
  soon: (run) => void setImmediate(run),
};
function timer(handle: NodeJS.Timeout): { cancel(): void } {
  return { cancel: () => clearTimeout(handle) };
}

class Bench {
  readonly server: OvsdbServer;
  readonly idl: Idl<S>;
  readonly registry = new NetdevRegistry();
  readonly commands = new UnixctlCommands("test");
  vswitch: Vswitch;
  readonly #streams: StreamFactory;
  /** What commands find when they read a file. */
  readonly files = new Map<string, string>();
  readonly #network = new MemoryNetwork(clock);

  constructor() {
    const options = { clock, streams: this.#network, disk: {} as Disk, uuid: randomUUID };
    this.server = new OvsdbServer(options);
    const schema = schemaFromJson(JSON.parse(JSON.stringify(openVswitchSchema)) as Json);
    this.server.addDatabase(new ServedDatabase(new Database(schema, randomUUID()), undefined, options));
    this.#streams = {
      connect: (name) => {
        const [ours, theirs] = memoryPair(clock, name);
        this.server.accept(theirs);
        return Promise.resolve(ours);
      },
      listen: () => Promise.reject(new Error("nobody listens here")),
    };
    enableDummy(this.registry, "override", {
      clock,
      streams: this.#network,
      files: { create: () => {}, append: () => {} },
      made: 1,
    });
    this.registry.register(patchProvider(clock, () => "02:00:00:00:00:01"));
    this.vswitch = this.start();
    this.idl = new Idl<S>({
      clock,
      streams: this.#streams,
      remote: "unix:db",
      schema: openVswitchSchema,
      uuid: randomUUID,
      watch: "all",
    }).open();
  }

  /** A switch process; another one begins with fresh devices, as after a crash. */
  start(): Vswitch {
    const inFlight = new InFlight((run) => clock.soon(run));
    const vswitch = new Vswitch({
      remote: "unix:db",
      clock,
      realNow: () => performance.now(),
      streams: this.#streams,
      openflowStreams: this.#network,
      host: () => {
        throw new Error("no host here");
      },
      random: {
        bytes: (count) => randomBytes(count),
        uuid: randomUUID,
        u32: () => randomBytes(4).readUInt32LE(),
      },
      inFlight,
      registry: this.registry,
      datapaths: datapathOpener({
        clock,
        dummy: "override",
        disableSystem: true,
        threads: {
          spawn: () => {
            throw new Error("no threads here");
          },
          cores: 1,
          receiveQueues: () => 1,
        },
        ebpf: {
          open: () => {
            throw new Error("no programs here");
          },
          removeLeftBehind: () => [],
        },
        openKernelSystem: () => {
          throw new Error("no kernel here");
        },
        random: () => 4,
      }),
      rundir: "/run/test",
      pid: 1,
      tls: tlsConfig(),
      datagrams: nodeDatagrams,
      usage: () => ({ userMs: 1, systemMs: 2, memory: 3 }),
      systemStatistics: () => new Map([["cpu", "2"]]),
      identity: { ovs_version: "3.7.1", db_version: "8.8.0", system_type: "test", system_version: "1" },
      started: () => {},
    });
    registerDpctlCommands(this.commands, {
      vswitch,
      registry: this.registry,
      settled: () => inFlight.idle(),
      clock,
      readFile: (path) => this.files.get(path) ?? "",
    });
    vswitch.open();
    return vswitch;
  }

  get root(): Row<S, "Open_vSwitch"> | undefined {
    return this.idl.rows("Open_vSwitch").next().value as Row<S, "Open_vSwitch"> | undefined;
  }

  async until(what: string, test: () => boolean): Promise<void> {
    for (let i = 0; i < 2000; i++) {
      if (test()) return;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    throw new Error(`never: ${what}`);
  }

  /** Changes the configuration and waits until the switch has applied it, as ovs-vsctl does. */
  async change(fill: (txn: Transaction<S>, root: Row<S, "Open_vSwitch">) => void): Promise<void> {
    await this.until("a root row", () => this.root !== undefined);
    const root = this.root!;
    const txn = this.idl.transaction();
    fill(txn, root);
    txn.increment("Open_vSwitch", root._uuid, "next_cfg", true);
    const result = await txn.commit();
    if (result.status !== "success") throw new Error(`${result.status} ${result.error}`);
    await this.until("applied", () => Number(this.root!.cur_cfg) >= Number(result.increment));
  }

  addBridge(name: string, values: RowWrite<S, "Bridge"> = {}): Promise<void> {
    return this.change((txn, root) => {
      const iface = txn.insert("Interface", { name, type: "internal" });
      const port = txn.insert("Port", { name, interfaces: [iface] });
      const bridge = txn.insert("Bridge", { name, datapath_type: "dummy", ports: [port], ...values });
      txn.add("Open_vSwitch", root._uuid, "bridges", [bridge]);
    });
  }

  addPort(
    bridge: string,
    name: string,
    values: RowWrite<S, "Interface"> = {},
    port: RowWrite<S, "Port"> = {},
  ): Promise<void> {
    return this.change((txn) => {
      const iface = txn.insert("Interface", { name, type: "dummy", ...values });
      const row = txn.insert("Port", { name, interfaces: [iface], ...port });
      txn.add("Bridge", this.uuid("Bridge", bridge), "ports", [row]);
    });
  }

  delPort(bridge: string, name: string): Promise<void> {
    return this.change((txn) =>
      txn.remove("Bridge", this.uuid("Bridge", bridge), "ports", [this.uuid("Port", name)]),
    );
  }

  set<T extends "Bridge" | "Port" | "Interface">(
    table: T,
    name: string,
    values: RowWrite<S, T>,
  ): Promise<void> {
    return this.change((txn) => txn.update(table, this.uuid(table, name), values));
  }

  row<T extends "Bridge" | "Port" | "Interface">(table: T, name: string): Row<S, T> {
    for (const row of this.idl.rows(table)) if ((row as { name: string }).name === name) return row;
    throw new Error(`no ${table} ${name}`);
  }

  uuid<T extends "Bridge" | "Port" | "Interface">(table: T, name: string): Ref<T> {
    return this.row(table, name)._uuid as Ref<T>;
  }

  /** Interface name → OpenFlow port number, as written. */
  ofports(...names: string[]): (number | undefined)[] {
    return names.map((name) => {
      const value = this.row("Interface", name).ofport;
      return value === undefined ? undefined : Number(value);
    });
  }

  dummy(name: string): DummyNetdev {
    return this.registry.get(name) as DummyNetdev;
  }

  async command(line: string): Promise<string> {
    const [name, ...args] = line.split(" ");
    let answer = "";
    await this.commands.run(name!, args, {
      format: "text",
      ok: (text = "") => {
        answer = text;
      },
      okJson: () => {},
      error: (text) => {
        answer = `! ${text}`;
      },
    });
    return answer;
  }

  async close(): Promise<void> {
    await this.vswitch.close(true);
    this.idl.close();
    this.server.close();
  }
}

async function bench(body: (b: Bench) => Promise<void>): Promise<void> {
  const b = new Bench();
  try {
    await body(b);
  } finally {
    await b.close();
  }
}

t.test("a bridge, its ports, their columns", async (t) => {
  await bench(async (b) => {
    await b.addBridge("br0");
    await b.addPort("br0", "p1", { options: { ifindex: "1010" } });
    await b.addPort("br0", "p2", { mtu_request: 9000 });
    t.match(b.root, {
      iface_types: new Set(["dummy", "dummy-internal", "dummy-pmd", "internal", "patch", "system", "tap"]),
      datapath_types: new Set(["dummy", "netdev", "system"]),
      dpdk_initialized: false,
      ovs_version: "3.7.1",
      system_type: "test",
    });
    const bridge = b.row("Bridge", "br0");
    t.match(bridge.datapath_id, /^0000[0-9a-f]{12}$/);
    t.equal(bridge.datapath_version, "<built-in>");
    t.match(b.row("Interface", "br0"), {
      ofport: 65534,
      mac_in_use: bridge.datapath_id!.slice(4).match(/../g)!.join(":"),
      error: undefined,
    });
    const p1 = b.row("Interface", "p1");
    t.match(p1, { ofport: 1, ifindex: 1010, admin_state: "up", link_state: "up", mtu: 1500, link_resets: 0 });
    t.match(p1.mac_in_use, /^aa:55:aa:55:/);
    t.equal(p1.statistics.get("rx_packets"), 0);
    t.equal(p1.statistics.has("rx_errors"), false, "what the device does not count is not shown");
    t.equal(b.row("Interface", "p2").mtu, 9000);

    b.dummy("p1").setAdminUp(false);
    await b.until("the state is written", () => b.row("Interface", "p1").admin_state === "down");

    await b.set("Interface", "p1", { options: { ifindex: "7" } });
    t.equal(b.row("Interface", "p1").ifindex, 7);
    const device = b.dummy("p2");
    await b.delPort("br0", "p2");
    t.equal(b.registry.get("p2"), undefined, "its device is closed");
    t.equal(device.receive, undefined);
    await b.change((txn, root) => txn.update("Open_vSwitch", root._uuid, { bridges: [] }));
    t.strictSame(b.registry.netdevs(), []);
    t.equal(await b.command("dpctl/dump-dps"), "", "the datapath ends with its last bridge");
  });
});

t.test("OpenFlow port numbers", async (t) => {
  // The same steps, and the same numbers, as were recorded from the original.
  await bench(async (b) => {
    await b.addBridge("br0");
    await b.addPort("br0", "a");
    await b.addPort("br0", "b");
    await b.addPort("br0", "c", { ofport_request: 1 });
    t.strictSame(b.ofports("a", "b", "c"), [1, 2, 3], "a number in use is not taken away at once");
    await b.set("Interface", "b", { ofport_request: 7 });
    t.strictSame(b.ofports("b", "c"), [7, 1], "at the next change who has asked gets it");
    t.not(b.ofports("a")[0], 1);
    await b.set("Interface", "a", { ofport_request: 5 });
    await b.addPort("br0", "d", { ofport_request: 5 });
    t.equal(b.ofports("a")[0], 5, "of two that ask, the first keeps it");
    t.not(b.ofports("d")[0], 5);
    await b.set("Interface", "a", { ofport_request: undefined });
    t.equal(b.ofports("d")[0], 5);
    t.not(b.ofports("a")[0], 5);

    const before = b.ofports("a", "b", "c", "d");
    await b.vswitch.close(false);
    b.vswitch = b.start();
    await b.set("Port", "a", { protected: true });
    t.strictSame(b.ofports("a", "b", "c", "d"), before, "numbers survive a restart");
  });
});

t.test("what cannot be set up", async (t) => {
  await bench(async (b) => {
    await b.addBridge("br0");
    for (const [name, values, error] of [
      ["x1", { type: "foo" }, "could not open network device x1 (Address family not supported by protocol)"],
      ["x2", { type: "patch" }, "x2: patch type requires valid 'peer' argument"],
      ["x3", { type: "patch", options: { peer: "x3" } }, "x3: patch peer must not be self"],
      ["ovs-dummy", { type: "dummy" }, undefined],
    ] as const) {
      await b.addPort("br0", name, values);
      t.match(
        b.row("Interface", name),
        { ofport: -1, error, mac_in_use: undefined, admin_state: undefined },
        name,
      );
    }
    await b.set("Interface", "x2", { options: { peer: "x9" } });
    t.match(b.row("Interface", "x2"), { ofport: 1, error: undefined, admin_state: "up" }, "put right");
    await b.addBridge("br1", { datapath_type: "foo" });
    t.match(b.row("Bridge", "br1"), { datapath_id: undefined, datapath_version: "" });
    t.equal(b.row("Interface", "br1").ofport, undefined);
    await b.set("Bridge", "br1", { datapath_type: "dummy" });
    t.equal(b.row("Interface", "br1").ofport, 65534);
    await b.addBridge("b/c");
    t.equal(b.row("Interface", "b/c").ofport, undefined, "a name that would leave the run folder");
  });
});

t.test("megaflows by hand", async (t) => {
  await bench(async (b) => {
    await b.addBridge("br0");
    await b.command("dpctl/add-dp dummy@x");
    const flow = "in_port(1),eth(src=00:00:00:00:00:01,dst=00:00:00:00:00:02),eth_type(0x1234)";
    const shown = `recirc_id(0),${flow}, packets:0, bytes:0, used:never`;
    const dump = (...actions: string[]) =>
      actions.length === 0
        ? ""
        : `flow-dump from the main thread:\n${actions.map((text) => `${shown}, actions:${text}\n`).join("")}`;
    b.files.set("f", `# by hand\n\nmodify ${flow} 4\nnonsense\n`);
    const id = "00112233-4455-6677-8899-aabbccddeeff";
    const cases: [command: string, want: string][] = [
      [`dpctl/add-flow dummy@x ${flow} 2`, ""],
      [`dpctl/add-flow dummy@x ${flow} 2`, "! ovs-vswitchd: updating flow table (File exists)"],
      ["dpctl/dump-flows dummy@x", dump("2")],
      [`dpctl/mod-flow dummy@x ${flow} push_vlan(vid=5,pcp=0),3`, ""],
      ["dpctl/dump-flows dummy@x", dump("push_vlan(vid=5,pcp=0),3")],
      ["dpctl/add-flows dummy@x f", "ovs-vswitchd: Failed parsing line number 4, skipped!\n"],
      ["dpctl/dump-flows dummy@x type=ovs", dump("4")],
      ["dpctl/dump-flows dummy@x type=tc", ""],
      ["dpctl/dump-flows dummy@x filter=arp", ""],
      ["dpctl/dump-flows dummy@x pmd=3", ""],
      [`dpctl/del-flow dummy@x ${flow}`, "packets:0, bytes:0, used:never\n"],
      [
        `dpctl/del-flow dummy@x ${flow}`,
        "! ovs-vswitchd: deleting flow (No such file or directory)\nPerhaps you need to specify a UFID?",
      ],
      [`dpctl/mod-flow dummy@x ${flow} 1`, "! ovs-vswitchd: updating flow table (No such file or directory)"],
      [`dpctl/mod-flow --may-create dummy@x ufid:${id},${flow} 1`, ""],
      [`dpctl/get-flow dummy@x ufid:${id}`, `${shown}, actions:1\n`],
      ["dpctl/del-flows dummy@x", ""],
      ["dpctl/dump-flows dummy@x", dump()],
      [`dpctl/get-flow dummy@x ufid:${id}`, "! ovs-vswitchd: getting flow (No such file or directory)"],
      ["dpctl/add-flow dummy@x eth() 1", "! ovs-vswitchd: updating flow table (Invalid argument)"],
      [
        "dpctl/add-flow dummy@x foo 1",
        "! ovs-vswitchd: parsing flow key (syntax error at foo) (Invalid argument)",
      ],
      [`dpctl/add-flow dummy@x ${flow} foo`, "! ovs-vswitchd: parsing actions (Invalid argument)"],
      ["dpctl/dump-flows", "! ovs-vswitchd: multiple datapaths, specify one"],
      ["dpctl/dump-flows foo", "! ovs-vswitchd: datapath not found (Invalid argument)"],
      ["dpctl/dump-flows dummy@x type=xx", "! ovs-vswitchd: Failed to parse type (xx) (Invalid argument)"],
      [
        `dpctl/normalize-actions ${flow} 2,1,push_vlan(vid=9,pcp=0),3,pop_vlan,set(eth(src=00:00:00:00:00:09)),8,7`,
        `input flow: ${flow}\nno vlan: no mpls: 1,2,set(eth(src=00:00:00:00:00:09)),7,8vlan(vid=9,pcp=0): no mpls: 3`,
      ],
    ];
    for (const [command, want] of cases) t.equal(await b.command(command), want, command);
  });
});

t.test("megaflows deleted by hand: what they counted stays, and they are missed", async (t) => {
  await bench(async (b) => {
    await b.addBridge("br0");
    for (const name of ["p1", "p2"]) await b.addPort("br0", name);
    const backer = b.vswitch.datapaths.all()[0]!.backer!;
    const frame = new Uint8Array(60).fill(0);
    frame.set([0x50, 0x54, 0, 0, 0, 2, 0x50, 0x54, 0, 0, 0, 1, 0x88, 0x99]);
    for (let i = 0; i < 5; i++) b.dummy("p1").input(frame);
    t.equal(backer.ukeys.size, 1);
    const missed = coverage("revalidate_missing_dp_flow");
    const { count } = missed;
    t.equal(await b.command("dpctl/del-flows"), "");
    t.equal(await b.command("dpctl/dump-flows"), "");
    await backer.fullPass();
    t.equal(backer.ukeys.size, 0);
    t.equal(missed.count - count, 1);
    const packets = [...backer.ofprotos.get("br0")!.tables[0]!.rules()].map((rule) => rule.packets);
    t.strictSame(packets, [5]);
  });
});

t.test("ports move, vanish and come back", async (t) => {
  await bench(async (b) => {
    await b.addBridge("br0");
    await b.addBridge("br1");
    await b.addPort("br0", "p1");
    await b.change((txn) => {
      const port = b.uuid("Port", "p1");
      txn.remove("Bridge", b.uuid("Bridge", "br0"), "ports", [port]);
      txn.add("Bridge", b.uuid("Bridge", "br1"), "ports", [port]);
    });
    t.equal(b.vswitch.bridge("br0")!.iface("p1"), undefined);
    t.equal(b.vswitch.bridge("br1")!.iface("p1")?.ofport, 1);
    t.equal(await b.command("dpctl/del-if dummy@ovs-dummy p1"), "");
    t.equal(b.vswitch.bridge("br1")!.ofproto.portByName("p1"), undefined);
    await b.addPort("br0", "p2");
    t.equal(b.vswitch.bridge("br1")!.ofproto.portByName("p1")?.ofPort, 1, "added back at the next change");
    await b.set("Interface", "p1", { type: "dummy-pmd" });
    t.equal(b.registry.get("p1")?.type, "dummy-pmd");
    t.strictSame(b.ofports("p1"), [1]);
    await b.set("Bridge", "br1", { datapath_type: "netdev" });
    t.match(await b.command("dpctl/show"), /netdev@ovs-netdev:\n(.*\n)*? {2}port \d+: p1 /);
  });
});

t.test("addresses and MTUs", async (t) => {
  await bench(async (b) => {
    await b.addBridge("br0");
    const address = (): [string | undefined, string | undefined] => [
      b.row("Interface", "br0").mac_in_use,
      b.row("Bridge", "br0").datapath_id,
    ];
    const [first] = address();
    await b.addPort("br0", "in1", { type: "internal", mac: "00:11:22:33:44:66" });
    t.equal(b.row("Interface", "in1").mac_in_use, "00:11:22:33:44:66");
    t.strictSame(address(), ["00:11:22:33:44:66", "0000001122334466"], "the lowest of its ports");
    await b.set("Bridge", "br0", { other_config: { hwaddr: "00:11:22:33:44:77" } });
    t.strictSame(address(), ["00:11:22:33:44:77", "0000001122334477"]);
    await b.set("Bridge", "br0", { other_config: { hwaddr: "00:11:22:33:44:77", "datapath-id": "0x5" } });
    t.strictSame(address(), ["00:11:22:33:44:77", "0000000000000005"]);
    await b.set("Bridge", "br0", { other_config: {} });
    await b.delPort("br0", "in1");
    t.equal(address()[0], first, "its own again");

    await b.addPort("br0", "in2", { type: "internal" });
    await b.addPort("br0", "p1", { mtu_request: 1400 });
    t.equal(b.row("Interface", "in2").mtu, 1400, "internal ports follow the smallest");
    await b.set("Interface", "in2", { mtu_request: 1300 });
    t.equal(b.row("Interface", "in2").mtu, 1300, "unless asked otherwise");
    t.equal(b.row("Interface", "br0").mtu, 1300);
  });
});

t.test("packets", async (t) => {
  await bench(async (b) => {
    await b.addBridge("br0");
    await b.addBridge("br1");
    await b.addPort("br0", "p1", {}, { tag: 10 });
    await b.addPort("br0", "p2", {}, { tag: 10 });
    await b.addPort("br0", "p3", {}, { tag: 20 });
    await b.addPort("br0", "pa", { type: "patch", options: { peer: "pb" } });
    await b.addPort("br1", "pb", { type: "patch", options: { peer: "pa" } });
    await b.addPort("br1", "p4");
    const frame = new Uint8Array(60).fill(0);
    frame.set([255, 255, 255, 255, 255, 255, 0x50, 0x54, 0, 0, 0, 1, 0x88, 0x99]);
    b.dummy("p1").input(frame);
    const sent = ["p1", "p2", "p3", "p4"].map((name) => b.dummy(name).stats().txPackets);
    t.strictSame(sent, [0, 1, 0, 1], "flooded in its VLAN and through the patch");
    t.equal(b.dummy("p4").stats().txBytes, 64, "tagged there");
    await b.set("Port", "p3", { tag: 10 });
    b.dummy("p1").input(frame);
    t.equal(b.dummy("p3").stats().txPackets, 1);
  });
});
