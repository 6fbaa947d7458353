/** What a switch answers over an OpenFlow connection: bundles, groups, meters, refused actions. */
import t from "tap";
import { parseActions } from "../../src/openflow/actions/registry.ts";
import type { FlowMod, GroupMod, Message, MeterMod, Version } from "../../src/openflow/messages.ts";
import { noGroupProps } from "../../src/openflow/msg/group.ts";
import { Peer, start } from "../sim/peer.ts";
import { flowModOf, type SimSwitch } from "../sim/switch.ts";

const V14: Version = 5;
const OPEN = 0;
const CLOSE = 2;
const COMMIT = 4;
const DISCARD = 6;

const flow = (text: string, command = 0): FlowMod => flowModOf(text, command);

async function flows(sim: SimSwitch): Promise<string[]> {
  const text = await sim.appctl("bridge/dump-flows", "br0");
  return text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("table_id=254"))
    .map((line) => line.replace(/^.*n_bytes=\d+, /, ""))
    .sort();
}

t.test("a bundle is committed as one change or not at all", async (t) => {
  for (const version of [4, 5, 6] as const) {
    const { sim, peer } = await start(version);
    t.same(await peer.bundle(OPEN), ["bundle 1"]);
    t.same(await peer.add(flow("priority=5,in_port=1 actions=2")), []);
    t.same(await peer.add(flow("priority=5,in_port=2 actions=3")), []);
    t.same(await flows(sim), [], "nothing yet");
    t.same(await peer.bundle(CLOSE), ["bundle 3"]);
    t.same(await peer.bundle(COMMIT), ["bundle 5"]);
    const before = ["priority=5,in_port=1,actions=output:2", "priority=5,in_port=2,actions=output:3"];
    t.same(await flows(sim), before);

    await peer.bundle(OPEN);
    await peer.add(flow("in_port=1 actions=3", 1));
    await peer.add(flow("", 3));
    await peer.add(flow("priority=6,in_port=3,tcp actions=1"));
    await peer.add({ ...flow("priority=6,in_port=3 actions=2"), flags: 2 });
    t.same(await peer.bundle(COMMIT), ["OFPFMFC_OVERLAP", "OFPBFC_MSG_FAILED"], "the entry's error first");
    t.same(await flows(sim), before, "modification, deletion and addition are taken back");
    t.same(await peer.bundle(COMMIT), ["OFPBFC_BAD_ID"], "the bundle is gone");
    await sim.close();
  }
});

t.test("what bundles refuse", async (t) => {
  const { sim, peer } = await start(V14);
  const hello = { type: "hello", versions: 2, understood: true } as const;
  t.same(await peer.add(flow("actions=drop")), [], "the first message opens");
  t.same(await peer.bundle(OPEN), ["OFPBFC_BAD_ID"], "opened twice");
  await peer.bundle(OPEN);
  t.same(await peer.bundle(CLOSE), ["bundle 3"]);
  t.same(await peer.bundle(CLOSE), ["OFPBFC_BUNDLE_CLOSED"]);
  await peer.bundle(OPEN);
  await peer.bundle(CLOSE);
  t.same(await peer.add(flow("actions=drop")), ["OFPBFC_BUNDLE_CLOSED"]);
  await peer.bundle(OPEN);
  t.same(await peer.add(flow("actions=drop"), 1), ["OFPBFC_BAD_FLAGS"]);
  await peer.bundle(OPEN);
  t.same(await peer.bundle(COMMIT, 1), ["OFPBFC_BAD_FLAGS"]);
  await peer.bundle(OPEN);
  t.same(await peer.add(hello), ["OFPBFC_MSG_UNSUP"]);
  t.same(await peer.bundle(DISCARD), ["bundle 7"]);
  for (const ctrl of [CLOSE, COMMIT, DISCARD]) t.same(await peer.bundle(ctrl), ["OFPBFC_BAD_ID"]);
  t.same(await peer.bundle(9), ["OFPBFC_BAD_TYPE"]);
  t.same(await flows(sim), []);

  await peer.bundle(OPEN);
  await sim.warp(9000);
  await peer.add(flow("actions=drop"));
  await sim.warp(9000);
  t.same(await peer.listen(), [], "adding keeps it");
  await sim.warp(2000);
  t.match(await peer.listen(), [{ type: "error", error: "OFPBFC_TIMEOUT" }]);
  t.same(await peer.bundle(COMMIT), ["OFPBFC_BAD_ID"]);
  await sim.close();
});

t.test("ports, groups and packets in a bundle", async (t) => {
  const { sim, peer } = await start(V14);
  const br0 = sim.bridges.get("br0")!;
  const { hwAddr } = br0.portAt(2)!.describe(undefined);
  const noForward = {
    type: "port-mod",
    port: 2,
    hwAddr,
    hwAddr64: undefined,
    config: 32,
    mask: 32,
    advertise: 0,
  };
  await peer.add(group(7, 0, ["1"]));
  await peer.add(flow("in_port=2 actions=group:7"));
  await peer.add(noForward as Message);
  t.same(await peer.add(flow("in_port=3 actions=group:8")), []);
  t.same(await peer.bundle(COMMIT), ["OFPBAC_BAD_OUT_GROUP", "OFPBFC_MSG_FAILED"]);
  t.equal(br0.groups.get(7), undefined);
  t.equal(br0.portAt(2)!.config, 0);
  await peer.add(group(7, 0, ["1"]));
  await peer.add(flow("in_port=2 actions=group:7"));
  await peer.add(noForward as Message);
  t.same(await peer.bundle(COMMIT), ["bundle 5"]);
  t.equal(br0.portAt(2)!.config, 32);
  t.equal(sim.outputs("p2", "dl_src=00:00:00:00:00:01,dl_dst=00:00:00:00:00:02,dl_type=0x1234"), "p1");
  await sim.close();
});

t.test("actions that do not fit", async (t) => {
  const table: [version: Version, text: string, want: string | undefined][] = [
    [1, "actions=mod_nw_src:1.2.3.4", undefined],
    [4, "actions=mod_nw_src:1.2.3.4", "OFPBAC_MATCH_INCONSISTENT"],
    [4, "ip actions=mod_nw_src:1.2.3.4", undefined],
    [4, "actions=set_field:1->tcp_src", "OFPBAC_MATCH_INCONSISTENT"],
    [4, "tcp actions=set_field:1->tcp_src", undefined],
    [1, "actions=move:NXM_OF_IP_SRC[]->NXM_NX_REG0[]", "OFPBAC_MATCH_INCONSISTENT"],
    [4, "table=3 actions=goto_table:2", "OFPBIC_BAD_TABLE_ID"],
    [4, "actions=group:5", "OFPBAC_BAD_OUT_GROUP"],
    [4, "actions=meter:5,output:1", "OFPMMFC_INVALID_METER"],
    [4, "actions=write_actions(group:5)", "OFPBAC_BAD_OUT_GROUP"],
  ];
  for (const [version, text, want] of table) {
    const { sim, peer } = await start(version);
    if (version === 1) sim.bridges.get("br0")!.setProtocols([]);
    t.same(await peer.ask(flow(text)), want === undefined ? [] : [want], `version ${version}: ${text}`);
    t.equal((await flows(sim)).length, want === undefined ? 1 : 0);
    await sim.close();
  }
});

function group(
  groupId: number,
  groupType: number,
  buckets: string[],
  extra: Partial<GroupMod> = {},
): GroupMod {
  return {
    type: "group-mod",
    command: 0,
    groupType,
    groupId,
    commandBucketId: 0xffffffff,
    buckets: buckets.map((text, i) => {
      const watch = /^watch (\d+) /.exec(text);
      return {
        bucketId: i,
        weight: groupType === 1 ? 1 : 0,
        watchPort: watch === null ? 0xffff : Number(watch[1]),
        watchGroup: 0xffffffff,
        actions: parseActions(text.replace(/^watch \d+ /, "")).actions,
      };
    }),
    props: noGroupProps(),
    ...extra,
  };
}

const FRAME = "dl_src=00:00:00:00:00:01,dl_dst=00:00:00:00:00:02";
const udp = (src: number) =>
  `${FRAME},udp,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64,udp_src=${src},udp_dst=53`;

t.test("groups", async (t) => {
  const { sim, peer } = await start(6);
  t.same(await peer.ask(group(1, 0, ["output:2", "output:3", "in_port"])), []);
  t.same(await peer.ask(group(1, 0, ["output:2"])), ["OFPGMFC_GROUP_EXISTS"]);
  t.same(await peer.ask(group(2, 0, ["output:2"], { command: 1 })), ["OFPGMFC_UNKNOWN_GROUP"]);
  t.same(await peer.ask(group(2, 1, ["output:2", "output:3"])), []);
  t.same(await peer.ask(group(3, 3, ["watch 2 output:2", "watch 3 output:3"])), []);
  t.same(await peer.ask(group(4, 2, ["group:1"])), []);
  t.same(await peer.ask(group(5, 2, ["group:1", "group:2"])), ["OFPGMFC_INVALID_GROUP"]);
  for (const id of [1, 2, 3, 4]) sim.flowMod("br0", `udp,in_port=1,tp_src=${id} actions=group:${id}`);
  sim.flowMod("br0", "udp,in_port=1 actions=group:2");

  t.equal(sim.outputs("p1", udp(1)), "p1 p2 p3", "all: each bucket");
  t.equal(sim.outputs("p1", udp(1)), "p1 p2 p3", "and from the megaflow");
  t.equal(sim.outputs("p1", udp(4)), "p1 p2 p3", "indirect, to another group");
  t.equal(sim.outputs("p1", udp(3)), "p2", "the first live bucket");
  sim.bridges.get("br0")!.portAt(2)!.netdev.setAdminUp(false);
  sim.bridges.get("br0")!.portChanged(2);
  await sim.backer.settled();
  t.equal(sim.outputs("p1", udp(3)), "p3", "fails over");

  const seen = new Set<string>();
  for (let src = 100; src < 160; src++) {
    const first = sim.outputs("p1", udp(src));
    t.equal(sim.outputs("p1", udp(src)), first, "a connection stays");
    seen.add(first);
  }
  t.same([...seen].sort(), ["p2", "p3"], "connections are spread");

  const { groups } = await peer.reply({ type: "group-request", groupId: 1 }, "group-reply");
  t.match(groups, [
    { groupId: 1, refCount: 1, packets: 3n, buckets: [{ packets: 3n }, { packets: 3n }, {}] },
  ]);

  const bucket = (text: string, bucketId: number) => ({ ...group(0, 0, [text]).buckets[0]!, bucketId });
  const insert = (commandBucketId: number, bucketId: number) =>
    peer.ask(group(1, 0, [], { command: 3, commandBucketId, buckets: [bucket("output:1", bucketId)] }));
  const removeBucket = (commandBucketId: number) =>
    peer.ask(group(1, 0, [], { command: 5, commandBucketId }));
  const ids = () =>
    sim.bridges
      .get("br0")!
      .groups.get(1)!
      .buckets.map(({ config }) => config.bucketId);
  t.same(await insert(0xfffffffd, 10), []);
  t.same(await insert(0xfffffffe, 11), []);
  t.same(await insert(1, 12), []);
  t.same(ids(), [10, 0, 1, 12, 2, 11]);
  t.same(await insert(99, 13), ["OFPGMFC_UNKNOWN_BUCKET"]);
  t.same(await insert(1, 12), ["OFPGMFC_BUCKET_EXISTS"]);
  t.same(await removeBucket(12), []);
  t.same(await removeBucket(0xfffffffd), []);
  t.same(await removeBucket(0xfffffffe), []);
  t.same(ids(), [0, 1, 2]);
  t.same(await removeBucket(12), ["OFPGMFC_UNKNOWN_BUCKET"]);

  t.same(await peer.ask(group(2, 0, [], { command: 2 })), []);
  t.equal((await flows(sim)).filter((line) => line.includes("group:2")).length, 0, "its flows went with it");
  t.same(await peer.ask(group(0xfffffffc, 0, [], { command: 2 })), []);
  t.same(await flows(sim), []);
  await sim.close();
});

t.test("meters", async (t) => {
  const { sim, peer } = await start(4);
  const meter = (command: number, meterId: number, flags = 1): MeterMod => ({
    type: "meter-mod",
    command,
    flags,
    meterId,
    bands: command === 2 ? [] : [{ bandType: 1, rate: 100, burst: 0, precLevel: 0 }],
  });
  t.same(await peer.ask(meter(0, 1)), []);
  t.same(await peer.ask(meter(0, 1)), ["OFPMMFC_METER_EXISTS"]);
  t.same(await peer.ask(meter(1, 2)), ["OFPMMFC_UNKNOWN_METER"]);
  t.same(await peer.ask(flow("in_port=1 actions=meter:1,output:2")), []);
  t.equal(sim.outputs("p1", udp(1)), "p2");
  t.equal(sim.outputs("p1", udp(1)), "p2");
  const { meters } = await peer.reply({ type: "meter-request", meterId: 1 }, "meter-reply");
  t.match(meters, [{ meterId: 1, flowCount: 1, packets: 2n }]);
  t.same(await peer.ask({ type: "meter-request", meterId: 9 }), ["OFPMMFC_UNKNOWN_METER"]);
  t.same(await peer.ask(meter(2, 0xffffffff)), []);
  t.same(await flows(sim), [], "the flow went with the meter");
  await sim.close();
});

t.test("flow monitors", async (t) => {
  for (const version of [1, 4, 5] as const) {
    const { sim, peer } = await start(version);
    const other = new Peer(sim, version);
    sim.flowMod("br0", "in_port=1 actions=2");
    sim.flowMod("br0", "table=3,in_port=2 actions=3");
    const watch = (extra: object): Message => ({
      type: "flow-monitor-request",
      monitors: [
        {
          id: 5,
          command: 0,
          flags: 1 | 2 | 4 | 8 | 16,
          outPort: 0xffff,
          outGroup: 0xffffffff,
          table: 0,
          match: flow("").match,
          ...extra,
        },
      ],
    });
    const events = (messages: Message[]) =>
      messages.flatMap((message) => (message.type === "flow-monitor-reply" ? message.updates : []));
    const first = await peer.reply(watch({}), "flow-monitor-reply");
    t.match(first.updates, [
      { event: version === 5 ? "initial" : "added", table: 0, actions: [{ port: 2 }] },
    ]);
    t.equal(first.updates.length, 1, "table 3 is not watched");
    t.same(await peer.ask(watch({})), ["OFPMOFC_MONITOR_EXISTS"]);

    await other.ask(flow("in_port=7,cookie=1 actions=2"));
    t.match(events(await peer.listen()), [{ event: "added", cookie: 1n, actions: [{ port: 2 }] }]);
    await other.ask(flow("in_port=7 actions=3", 1));
    t.match(events(await peer.listen()), [{ event: "modified", actions: [{ port: 3 }] }]);
    await other.ask(flow("in_port=7 actions=3", 1));
    t.same(events(await peer.listen()), [], "nothing was modified");
    await other.ask(flow("in_port=7", 3));
    t.match(events(await peer.listen()), [{ event: "removed", reason: 2 }]);
    await other.ask(flow("table=3,in_port=7 actions=2"));
    if (version > 1) t.same(events(await peer.listen()), [], "another table");
    else await peer.listen();

    t.same(await peer.ask(flow("in_port=8,actions=1")), ["flow-monitor-reply"], "its own, abbreviated");
    await sim.close();
  }
});

t.test("a full table makes room", async (t) => {
  const { sim, peer } = await start(1);
  const br0 = sim.bridges.get("br0")!;
  const table = (evict: boolean, groups: string[]) =>
    br0.setFlowTables(new Map([[0, { name: "main", maxFlows: 3, evict, groups, prefixes: undefined }]]));
  table(false, []);
  for (const i of [1, 2, 3]) sim.flowMod("br0", `idle_timeout=${i * 10},in_port=${i} actions=drop`);
  t.same(await peer.ask(flow("in_port=9 actions=drop")), ["OFPFMFC_TABLE_FULL"]);
  table(true, []);
  t.same(await peer.ask(flow("in_port=9 actions=drop")), []);
  const ports = (await flows(sim)).map((line) => /in_port=(\d)/.exec(line)![1]);
  t.same(ports.sort(), ["2", "3", "9"], "what would have expired first went");
  sim.flowMod("br0", "", 3);
  table(true, ["NXM_OF_IN_PORT[]"]);
  sim.flowMod("br0", "idle_timeout=5,in_port=1 actions=drop");
  sim.flowMod("br0", "idle_timeout=30,in_port=2,ip actions=drop");
  sim.flowMod("br0", "idle_timeout=40,in_port=2,arp actions=drop");
  sim.flowMod("br0", "in_port=2,tcp actions=drop");
  t.equal(
    (await flows(sim)).filter((line) => line.includes("in_port=1")).length,
    1,
    "the larger group lost one",
  );
  table(true, []);
  br0.setFlowTables(new Map());
  t.equal(br0.tables[0]!.name, undefined);
  await sim.close();
});

t.test("table features follow the version", async (t) => {
  for (const version of [3, 4, 6] as const) {
    const { sim, peer } = await start(version);
    const request: Message =
      version === 3 ? { type: "table-request" } : { type: "table-features-request", tables: [] };
    const answers = await peer.replies(request);
    const tables = answers.flatMap((each) =>
      each.type === "table-reply" ? each.features! : each.type === "table-features-reply" ? each.tables : [],
    );
    const first = tables[0]!;
    t.equal(
      first.nonmiss.instructions.includes("meter"),
      version === 4,
      `an instruction in 1.${version - 1}`,
    );
    t.equal(first.match.includes("tun_id"), version !== 3, "tunnels came with 1.3");
    t.ok(first.match.includes("ipv6_label"));
    await sim.close();
  }
});
