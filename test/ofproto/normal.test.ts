/** NORMAL forwarding beyond learning: mirrors, protected ports, priority tags, cvlans; and what tells of it: traces, drops. */
import t from "tap";
import type { MirrorConfig } from "../../src/ofproto/types.ts";
import { SimSwitch } from "../sim/switch.ts";

const A = "00:00:00:00:00:0a";
const B = "00:00:00:00:00:0b";
const ICMP = "icmp,dl_src=00:00:00:00:00:0a,dl_dst=00:00:00:00:00:0b";
const TCP = `tcp,dl_src=${A},dl_dst=${B},tp_dst=80`;

const MIRROR: MirrorConfig = {
  name: "m",
  srcPorts: [],
  dstPorts: [],
  vlans: [],
  outPort: undefined,
  outVlan: undefined,
  snaplen: undefined,
  filter: undefined,
};

async function fourPorts(
  bundles: Record<string, Parameters<SimSwitch["addPort"]>[2]> = {},
): Promise<SimSwitch> {
  const sim = new SimSwitch();
  await sim.warp(1000);
  await sim.addBridge("br0");
  for (const name of ["p1", "p2", "p3", "p4"]) await sim.addPort("br0", name, bundles[name] ?? {});
  return sim;
}

/** "Datapath actions" of a trace, by name. */
async function traced(sim: SimSwitch, flow: string): Promise<string> {
  const text = await sim.appctl("ofproto/trace", "br0", flow, "--names");
  return /Datapath actions: (.*)/.exec(text)?.[1] ?? text;
}

t.test("mirrors", async (t) => {
  const all = ["p1", "p2", "p3", "p4", "br0"];
  const table: [name: string, config: Partial<MirrorConfig>, flow: string, want: string][] = [
    ["everything", { srcPorts: all, dstPorts: all, outPort: "p3" }, `in_port=1,${ICMP}`, "p3,p2"],
    ["what comes in by p2", { srcPorts: ["p2"], outPort: "p3" }, `in_port=1,${ICMP}`, "p2"],
    ["what leaves by p2", { dstPorts: ["p2"], outPort: "p3" }, `in_port=1,${ICMP}`, "p2,p3"],
    ["a VLAN", { srcPorts: all, vlans: [5], outPort: "p3" }, `in_port=1,${ICMP}`, "p2"],
    ["this VLAN", { srcPorts: all, vlans: [5], outPort: "p3" }, `in_port=1,dl_vlan=5,${ICMP}`, "p3,p2"],
    ["a filter", { srcPorts: all, outPort: "p3", filter: "tcp" }, `in_port=1,${ICMP}`, "p2"],
    ["this filter", { srcPorts: all, outPort: "p3", filter: "tcp" }, `in_port=1,${TCP}`, "p3,p2"],
    [
      "the beginning",
      { srcPorts: all, outPort: "p3", snaplen: 100 },
      `in_port=1,${ICMP}`,
      "trunc(100),p3,p2",
    ],
    [
      "into a VLAN",
      { srcPorts: ["p1"], outVlan: 12 },
      `in_port=1,${ICMP}`,
      "push_vlan(vid=12,pcp=0),br0,p1,p2,p3,p4,pop_vlan,p2",
    ],
    [
      "what is reserved for bridges stays",
      { srcPorts: ["p1"], outVlan: 12 },
      "in_port=1,dl_dst=01:80:c2:00:00:00",
      "p2",
    ],
    ["its output takes nothing", { srcPorts: all, outPort: "p1" }, `in_port=2,${ICMP}`, "p1,p4"],
  ];
  for (const [name, config, flow, want] of table) {
    const sim = await fourPorts();
    const br0 = sim.bridges.get("br0")!;
    for (const rule of ["in_port=1 actions=2", "in_port=2 actions=4"]) sim.flowMod("br0", rule);
    t.equal(br0.setMirror("m", { ...MIRROR, ...config }), true, name);
    t.equal(await traced(sim, flow), want, name);
    await sim.close();
  }

  const sim = await fourPorts();
  const br0 = sim.bridges.get("br0")!;
  br0.setMirror("m", { ...MIRROR, srcPorts: all, dstPorts: all, outPort: "p3" });
  t.equal(sim.outputs("p1", ICMP), "br0 p2 p3 p4", "one copy, and no flooding to the mirror's port");
  t.equal(sim.outputs("p3", ICMP), "", "nor does anything come in there");
  sim.receive("p1", ICMP);
  sim.backer.pushStats();
  const [mirror] = br0.mirrors;
  t.same([mirror!.packets, mirror!.bytes], [2, 2 * 106]);
  sim.flowMod("br0", "in_port=1 actions=2,mod_vlan_vid:7,2");
  t.equal(
    await traced(sim, `in_port=1,${ICMP}`),
    "p3,p2,push_vlan(vid=7,pcp=0),p2,p3",
    "a changed packet is copied again",
  );
  sim.flowMod("br0", "in_port=1 actions=2,load:7->NXM_NX_REG1[],2");
  t.equal(await traced(sim, `in_port=1,${ICMP}`), "p3,p2,p2", "registers are no part of it");
  for (const filter of ["foo", "in_port=1"]) {
    t.equal(br0.setMirror("m", { ...MIRROR, srcPorts: all, outPort: "p3", filter }), false);
    t.equal(br0.mirrors.any, false, `no mirror with the filter ${filter}`);
  }
  t.same(
    sim.logged.filter((line) => line.includes("filter")),
    [
      "ofproto_dpif_mirror|warn|filter is invalid: foo: unknown field foo",
      "ofproto_dpif_mirror|warn|filter is invalid due to in_port field",
    ],
  );
  await sim.close();
});

t.test("ports in NORMAL", async (t) => {
  const access = (tag: number) => ({ vlanMode: "access", tag }) as const;
  const table: [name: string, bundles: Parameters<typeof fourPorts>[0], flow: string, want: string][] = [
    [
      "protected ports do not see each other",
      { p1: { protected: true }, p2: { protected: true } },
      "in_port=1",
      "br0,p3,p4",
    ],
    [
      "priority tags as they are asked for",
      {
        p1: access(5),
        p2: { ...access(5), priorityTags: "if-nonzero" },
        p3: { ...access(5), priorityTags: "always" },
        p4: access(5),
      },
      "in_port=1",
      "push_vlan(vid=5,pcp=0),br0,pop_vlan,p2,push_vlan(vid=0,pcp=0),p3,pop_vlan,p4",
    ],
    [
      "a priority survives where it may",
      {
        p1: access(5),
        p2: { ...access(5), priorityTags: "if-nonzero" },
        p3: { ...access(5), priorityTags: "always" },
        p4: access(5),
      },
      "in_port=1,vlan_tci=0x7000",
      "pop_vlan,push_vlan(vid=5,pcp=3),br0,pop_vlan,push_vlan(vid=0,pcp=3),p2,p3,pop_vlan,p4",
    ],
    [
      "a tunnel port takes its customer's VLANs alone",
      { p1: { vlanMode: "dot1q-tunnel", tag: 9, cvlans: [5] }, p2: access(9), p3: access(1), p4: access(1) },
      "in_port=1,dl_vlan=6",
      "drop",
    ],
    [
      "and hides them",
      { p1: { vlanMode: "dot1q-tunnel", tag: 9, cvlans: [5] }, p2: access(1), p3: access(1), p4: access(1) },
      "in_port=1,dl_vlan=5",
      "push_vlan(tpid=0x88a8,vid=9,pcp=0),br0",
    ],
  ];
  for (const [name, bundles, flow, want] of table) {
    const sim = await fourPorts(bundles);
    t.equal(await traced(sim, `${flow},dl_src=${A},dl_dst=${B}`), want, name);
    await sim.close();
  }
});

t.test("an address that moves with its port is forgotten in every bridge", async (t) => {
  const sim = await fourPorts();
  await sim.addBridge("br1");
  await sim.addPort("br1", "q1");
  sim.receive("p1", ICMP);
  sim.receive("q1", ICMP);
  const br1 = sim.bridges.get("br1")!;
  t.equal(br1.mac.size, 1);
  const br0 = sim.bridges.get("br0")!;
  await br0.portDel(br0.portByName("p1")!.ofPort);
  t.equal(br1.mac.size, 0);
  await sim.close();
});

t.test("ofproto/explain-drops and ofproto/detrace", async (t) => {
  const sim = await fourPorts();
  t.equal(await sim.appctl("ofproto/explain-drops"), "0 megaflows drop: packets:0, bytes:0\n");
  sim.flowMod("br0", "priority=9,in_port=1,icmp actions=resubmit(,5)");
  sim.flowMod("br0", "table=5,priority=7,cookie=3,ip actions=drop");
  sim.flowMod("br0", "in_port=2 actions=normal");
  sim.flowMod("br0", "in_port=3 actions=resubmit(,9)");
  sim.flowMod("br0", "in_port=4 actions=resubmit:4");
  for (let i = 0; i < 3; i++) sim.receive("p1", ICMP);
  for (let i = 0; i < 2; i++) sim.receive("p2", "dl_dst=01:80:c2:00:00:00,dl_type=0x1234");
  for (const port of ["p3", "p4"]) sim.receive(port, "dl_type=0x1234");
  const key = "recirc_id(0),in_port";
  const type = "packet_type(ns=0,id=0)";
  t.equal(
    await sim.appctl("ofproto/explain-drops", "br0"),
    `${key}(p1),${type},eth_type(0x0800),ipv4(proto=1,frag=no)
    packets:2, bytes:212
    bridge br0, table 5: cookie=0x3, priority=7,ip actions=drop
    reason: the rule has no actions
${key}(p2),${type},eth(src=00:00:00:00:00:00,dst=01:80:c2:00:00:00),eth_type(0x1234)
    packets:1, bytes:14
    bridge br0, table 0: in_port=2 actions=NORMAL
    reason: packet has reserved destination MAC, dropping
${key}(p3),${type},eth_type(0x1234)
    packets:0, bytes:0
    bridge br0, table 9: no match
    reason: no rule of table 9 matches
${key}(p4),${type},eth_type(0x1234)
    packets:0, bytes:0
    bridge br0, table 0: in_port=4 actions=resubmit:4
    reason: Recursion too deep: over max translation depth 64
4 megaflows drop: packets:3, bytes:226
`,
  );
  t.equal(await sim.appctl("ofproto/explain-drops", "br7"), "error: no such bridge");
  t.equal(sim.dpif.drops().get("drop_action_of_pipeline"), 6);
  t.equal(sim.dpif.drops().get("drop_action_recursion_too_deep"), 1);

  const dump = await sim.appctl("dpif/dump-flows", "-m", "br0");
  const [ufid] = dump.match(/ufid:\S+(?= \S*in_port\(p1\))/)!;
  t.equal(
    (await sim.appctl("ofproto/detrace", ufid!)).replaceAll(/duration=\d+s/g, "duration=0s"),
    "duration=0s, n_packets=3, n_bytes=318, priority=9,icmp,in_port=1,actions=resubmit(,5)\n" +
      "table_id=5, cookie=0x3, duration=0s, n_packets=3, n_bytes=318, priority=7,ip,actions=drop\n",
  );
  t.equal(
    await sim.appctl("ofproto/detrace", "ufid:00000000-0000-0000-0000-000000000000"),
    "UFID was not found for dummy@ovs-dummy\n",
  );
  await sim.close();
});

t.test("forms of ofproto/trace", async (t) => {
  const sim = await fourPorts();
  sim.flowMod("br0", "in_port=1 actions=2");
  const bytes = "50540000000250540000000108064500001C000100004001F98CC0A80001C0A800020800F7FF00000000";
  const unknown = (word: string) => `error: ${word}: unknown option`;
  const table: [args: string[], want: string][] = [
    [["in_port(p1)"], "2"],
    [["ovs-dummy", "in_port(1)"], "2"],
    [["br0", "in_port=1"], "2"],
    [["br0", "in_port=p1", "--names"], "p2"],
    [["br0", "in_port=1", bytes], "2"],
    [["in_port(1)", "in_port=1"], "error: Trailing garbage in packet data"],
    [["nobody", "in_port(1)"], "error: Cannot find the datapath"],
    [["br0", "in_port(1)"], "error: Cannot find the datapath"],
    [["br1", "in_port=1"], "error: br1: unknown bridge"],
    [["in_port=1"], "error: syntax error at in_port=1 (or the bridge name was omitted)"],
    [["in_port=1", bytes], "error: syntax error at in_port=1 (or the bridge name was omitted)"],
    [["br0", "in_port=1", "xyz"], "error: Trailing garbage in packet data"],
    [["br0", "in_port=1", "0102"], "error: Packet data too short for Ethernet"],
    [["br0", "in_port=1", bytes, "-generate"], "error: Syntax error"],
    [["br0", "in_port=1", "-consistent"], unknown("-consistent")],
    [["br0", "in_port=1", "--ct-next"], "error: Missing argument for option --ct-next"],
    [["br0", "in_port=1", "--ct-next", "foo"], "error: foo: unknown connection tracking state flag"],
    [["ovs-dummy", "in_port(42)"], "error: no OpenFlow port for datapath port 42"],
    [["ovs-dummy", "recirc_id(0x42)"], "error: no recirculation data for recirc_id 0x42"],
    [["a", "b", "c", "d"], "error: too many arguments"],
  ];
  const last = (text: string) => text.replace(/^.*Datapath actions: /s, "");
  for (const [args, want] of table)
    t.equal(last(await sim.appctl("ofproto/trace", ...args)), want, args.join(" "));
  const outs: [args: string[], want: string][] = [
    [["br0", "in_port=1", "mod_vlan_vid:123,resubmit(,0)"], "push_vlan(vid=123,pcp=0),2"],
    [["br0", "in_port=1", "drop"], "2"],
    [["br0", "in_port=1", "3,4"], "3,4"],
    [["br0", "in_port=1", "foo"], "error: unknown action foo"],
    [["br0", "in_port=1", "group:5"], "error: Bad actions: OFPBAC_BAD_OUT_GROUP"],
    [["-consistent", "br0", "in_port=1", "mod_nw_tos:4"], "error: Bad actions: OFPBAC_MATCH_INCONSISTENT"],
    [["-consistent", "br0", "in_port=1,icmp", "mod_nw_tos:4,2"], "set(ipv4(tos=0x4/0xfc)),2"],
  ];
  for (const [args, want] of outs)
    t.equal(last(await sim.appctl("ofproto/trace-packet-out", ...args)), want, args.join(" "));
  await sim.close();
});

t.test("a translation that fails is logged with the packet's whole way, once a minute", async (t) => {
  const sim = await fourPorts();
  sim.flowMod("br0", "actions=resubmit(,1)");
  sim.flowMod("br0", "table=1 actions=resubmit(,0)");
  for (const type of ["1234", "1235"])
    t.equal(sim.receive("p1", `dl_src=0:0:0:0:0:1,dl_dst=0:0:0:0:0:2,dl_type=0x${type}`).size, 0);
  const told = sim.logged.filter((line) => line.startsWith("ofproto_dpif_upcall|warn|"));
  t.equal(told.length, 1);
  t.match(told[0]!, /Flow: .*dl_type=0x1234.*\n\nbridge\("br0"\)\n-+\n 0\. priority 32768\n/);
  t.match(told[0]!, /Translation failed \(Recursion too deep\), packet is dropped\.$/);
  await sim.close();
});

t.test("a program of outputs longer than netlink holds is run by the slow path", async (t) => {
  const sim = await fourPorts();
  const times = (count: number, action: string) => Array.from({ length: count }, () => action).join();
  const trace = (port: number) => sim.appctl("ofproto/trace", "br0", `in_port=${port}`);
  sim.flowMod("br0", `in_port=1 actions=${times(4, "resubmit(,1)")}`);
  sim.flowMod("br0", `in_port=3 actions=${times(6, "resubmit(,1)")}`);
  sim.flowMod("br0", `table=1 actions=${times(2000, "2")}`);
  t.notMatch(await trace(1), /slow path/);
  const failed = await trace(3);
  t.match(failed, /resubmits yielded over 64 kB of actions/);
  t.match(failed, /This flow is handled by the userspace slow path/);
  await sim.close();
});

t.test(
  "where megaflows are disabled, all that a packet has is matched, and that it is not tracked",
  async (t) => {
    const sim = await fourPorts();
    sim.flowMod("br0", "actions=2");
    await sim.appctl("upcall/disable-megaflows");
    sim.receive(
      "p1",
      "dl_src=0:0:0:0:0:1,dl_dst=0:0:0:0:0:2,udp,nw_src=1.1.1.1,nw_dst=2.2.2.2,udp_src=1,udp_dst=2",
    );
    const dump = await sim.appctl("dpif/dump-flows", "-m", "br0");
    t.match(dump, /ct_state\(0\/0xff\),ct_zone\(0\),ct_mark\(0\),ct_label\(0\),packet_type/);
    t.match(dump, /ipv4\(src=1\.1\.1\.1,dst=2\.2\.2\.2,proto=17,tos=0,ttl=\d+,frag=no\),udp\(src=1,dst=2\)/);
    t.notMatch(dump, /tunnel|ct_tuple|arp/);
    await sim.close();
  },
);
