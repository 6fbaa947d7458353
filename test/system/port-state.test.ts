/** A port's network state moves from one switch to another, with the guest behind it, under a running TCP stream. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { cannotRun, sleep, type World, withWorld } from "./world.ts";

const skip = cannotRun("ping", "iperf3");

interface Exported {
  ofport?: number;
  database: { Port: { tag?: number }; Interface: { external_ids?: object }[]; QoS?: object; Queue?: object };
  macs: { mac: string }[];
  flows: { flow: string; packets: number }[];
}

/** Two switches in namespaces of their own, a guest on the first, a server on the second, a wire between them. */
async function twoSwitches(body: (first: World, second: World) => Promise<void>): Promise<void> {
  await withWorld((first) =>
    withWorld(async (second) => {
      for (const world of [first, second]) {
        world.startUp();
        world.vsctl(
          "add-br",
          "br0",
          "--",
          "set",
          "bridge",
          "br0",
          "datapath_type=netdev",
          "fail_mode=secure",
        );
      }
      first.command(
        ...(["ip", "-n", first.netns, "link", "add", "name", "wire", "type", "veth"] as const),
        ...(["peer", "name", "wire", "netns", second.netns] as const),
      );
      for (const world of [first, second]) {
        world.command("ip", "-n", world.netns, "link", "set", "wire", "up");
        world.vsctl("add-port", "br0", "wire");
        world.ofctl("add-flow", "br0", "priority=1,actions=NORMAL");
      }
      first.host("guest", "10.3.0.1/24");
      second.host("server", "10.3.0.2/24");
      second.vsctl("add-port", "br0", "server");
      await body(first, second);
    }),
  );
}

t.test("the stream goes on", { skip }, async (t) => {
  await twoSwitches(async (first, second) => {
    first.vsctl("add-port", "br0", "idle", "--", "set", "interface", "idle", "type=internal");
    first.vsctl(
      ...["--id=@q", "create", "queue", "other_config:max-rate=400000000", "--"],
      ...["--id=@qos", "create", "qos", "type=linux-htb", "queues:3=@q", "--"],
      ...["add-port", "br0", "guest", "--", "set", "port", "guest", "qos=@qos", "external_ids:vm=a b", "--"],
      ...["set", "interface", "guest", "external_ids:iface-id=7"],
    );
    const mac = first.mac("guest");
    // Only this stream passes, and ARP.
    for (const flow of [
      "table=0,priority=100,cookie=0x5,in_port=guest,actions=resubmit(,5)",
      "table=5,priority=50,in_port=guest,arp,actions=NORMAL",
      "table=5,priority=50,in_port=guest,tcp,nw_dst=10.3.0.2,tp_dst=5201,actions=NORMAL",
      `priority=90,tcp,dl_dst=${mac},tp_src=5201,actions=output:guest`,
      "table=5,priority=0,actions=drop",
      `priority=80,ip,dl_dst=${mac},actions=drop`,
    ])
      first.ofctl("add-flow", "br0", flow);
    second.background("server", "iperf3", "-s");
    await sleep(200);
    const client = first.background(
      "guest",
      ...["iperf3", "-c", "10.3.0.2", "-b", "20M", "-t", "60", "-i", "0.5", "--forceflush"],
    );
    let stream = "";
    client.stdout!.on("data", (chunk) => {
      stream += chunk;
    });
    const flows = (): boolean => /[1-9][\d.]* [KM]bits\/sec/.test(stream);
    await first.until("it flows", flows);

    const text = first.appctl("port-state/export", "br0", "guest");
    const state = JSON.parse(text) as Exported;
    t.match(state.database, {
      Port: { external_ids: { vm: "a b" } },
      Interface: [{ name: "guest", external_ids: { "iface-id": "7" } }],
      QoS: { type: "linux-htb" },
      Queue: { 3: { other_config: { "max-rate": "400000000" } } },
    });
    t.same(
      state.flows.map(({ flow }) => flow).sort(),
      [
        `table=0,priority=90,tcp,dl_dst=${mac},tp_src=5201 actions=output:guest`,
        "table=0,priority=100,cookie=0x5,in_port=guest actions=resubmit(,5)",
        "table=5,priority=50,arp,in_port=guest actions=NORMAL",
        "table=5,priority=50,tcp,in_port=guest,nw_dst=10.3.0.2,tp_dst=5201 actions=NORMAL",
      ].sort(),
      "flows that name the port, and no other",
    );
    t.ok(state.flows.every(({ flow, packets }) => packets > 0 || flow.includes("arp")));
    t.ok(state.macs.some((one) => one.mac === mac));

    // The guest's wire is plugged in elsewhere.
    first.vsctl("del-port", "br0", "guest");
    first.command("ip", "-n", first.netns, "link", "set", "guest", "netns", second.netns);
    second.command("ip", "-n", second.netns, "link", "set", "guest", "up");
    const file = join(second.dir, "guest.json");
    writeFileSync(file, text);
    second.vsctl("add-port", "br0", "other", "--", "set", "interface", "other", "type=internal");
    second.ofctl("add-flow", "br0", "table=5,priority=0,actions=drop");
    const report = second.appctl("port-state/import", "br0", file);
    t.equal(report, "guest: OpenFlow port 4, 4 flows, 1 learned addresses\n");
    stream = "";
    await second.until("it flows again", flows, 10);
    t.equal(client.exitCode, null, "the same connection");
    const rows = second.ofctl("--names", "dump-flows", "br0");
    t.match(
      rows,
      /table=5, n_packets=[1-9]\d*, .*priority=50,tcp,in_port=guest,.*tp_dst=5201 actions=NORMAL/,
    );
    t.match(rows, `priority=90,tcp,dl_dst=${mac},tp_src=5201 actions=output:guest`);
    t.equal(second.get("port", "guest", "external_ids"), '{vm="a b"}');
    t.match(second.vsctl("list", "queue"), 'max-rate="400000000"');
    t.ok(first.unreachable("guest", "10.3.0.2"), "what was not let through still is not");
  });
});

t.test("what cannot move is said, what is wrong refused", { skip }, async (t) => {
  await twoSwitches(async (first, second) => {
    first.vsctl("add-port", "br0", "guest");
    first.ofctl("-OOpenFlow13", "add-group", "br0", "group_id=9,type=all,bucket=output:guest");
    first.ofctl("add-flow", "br0", "in_port=guest,udp,actions=group:9");
    first.ofctl("add-flow", "br0", "in_port=wire,udp,actions=output:guest");
    first.vsctl("add-port", "br0", "extra", "--", "set", "interface", "extra", "type=internal");
    first.ofctl("add-flow", "br0", "in_port=guest,sctp,actions=output:extra");
    first.vsctl(
      ...["--id=@p", "get", "port", "guest", "--", "--id=@o", "get", "port", "extra", "--"],
      ...["--id=@m", "create", "mirror", "name=m0", "select_src_port=@p", "output_port=@o", "--"],
      ...["set", "bridge", "br0", "mirrors=@m"],
    );
    const text = first.appctl("port-state/export", "br0", "guest");
    const report = second.try("ovs-appctl", "-T", "10", "port-state/import", "br0", text);
    t.equal(report.status, 0, report.stderr);
    t.match(report.stdout, /^guest: OpenFlow port \d+, 1 flows, 0 learned addresses\n/);
    t.match(report.stdout, / {2}left behind: flow ".*in_port=guest actions=group:9": OFPBAC_BAD_OUT_GROUP\n/);
    t.match(report.stdout, / {2}left behind: flow ".*actions=output:extra": .*extra.*\n/);
    t.match(report.stdout, / {2}left behind: mirror m0: br0 has none of that name\n/);
    t.match(
      report.stdout,
      / {2}left behind: guest: there is no such device yet; it is attached when it comes\n/,
    );
    const before = second.vsctl("show");
    for (const [words, error] of [
      [["import", "br0", text], "cannot import guest: there is a port or interface guest already"],
      [["import", "br9", text], "no such bridge"],
      [["import", "br0", "state.json"], "state.json: the path of the file must be absolute"],
      [["import", "br0", '{"format":"other"}'], 'port state: "format" is not "ovsbox-port-state"'],
      [
        ["import", "br0", '{"format":"ovsbox-port-state","version":2}'],
        "port state: version 2 is not known, only 1",
      ],
      [
        ["import", "br0", text.replace('"name": "guest"', '"name": 7')],
        /Interface\[0\]\.name is not a string/,
      ],
      [["export", "br0", "nobody"], "br0: no port named nobody"],
    ] as const) {
      const [verb, ...rest] = words;
      const run = second.try("ovs-appctl", "-T", "10", `port-state/${verb}`, ...rest);
      t.equal(run.status, 2);
      t.match(run.stderr, error);
    }
    t.equal(second.vsctl("show"), before, "nothing has changed");
  });
});
