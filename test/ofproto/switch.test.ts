/** A whole switch in simulated time: forwarding, VLANs, flow_mods, timeouts, statistics, commands. */
import t from "tap";
import type { OfpError } from "../../src/openflow/errors.ts";
import { BUNDLE, frame, SimSwitch } from "../sim/switch.ts";

const ADD = 0;
const MODIFY = 1;
const MODIFY_STRICT = 2;
const DELETE = 3;
const DELETE_STRICT = 4;

const A = "00:00:00:00:00:0a";
const B = "00:00:00:00:00:0b";
const C = "00:00:00:00:00:0c";

function eth(src: string, dst: string, more = "dl_type=0x1234"): string {
  return `dl_src=${src},dl_dst=${dst},${more}`;
}

async function threePorts(): Promise<SimSwitch> {
  const sim = new SimSwitch();
  await sim.warp(1000);
  await sim.addBridge("br0");
  for (const name of ["p1", "p2", "p3"]) await sim.addPort("br0", name);
  return sim;
}

/** "n_packets" of each rule by its match and actions, from bridge/dump-flows, hidden rules left out. */
async function counts(sim: SimSwitch): Promise<Record<string, number>> {
  const out: Record<string, number> = {};
  for (const line of (await sim.appctl("bridge/dump-flows", "br0")).split("\n")) {
    const found = /^(table_id=\d+, )?(?:cookie=\S+ )?duration=\d+s, n_packets=(\d+), n_bytes=\d+, (.*)$/.exec(
      line,
    );
    if (found !== null && found[1] !== "table_id=254, ")
      out[`${found[1] ?? ""}${found[3]}`] = Number(found[2]);
  }
  return out;
}

t.test("NORMAL floods, learns, and follows a host that moves", async (t) => {
  const sim = await threePorts();
  t.equal(sim.outputs("p1", eth(A, B)), "br0 p2 p3", "unknown destination");
  t.equal(sim.outputs("p2", eth(B, A)), "p1", "A has been learned");
  await sim.backer.settled();
  t.equal(sim.outputs("p1", eth(A, B)), "p2", "the flooding megaflow was corrected");
  t.equal(sim.outputs("p3", eth(B, C)), "br0 p1 p2");
  await sim.backer.settled();
  t.equal(sim.outputs("p1", eth(A, B)), "p3", "B has moved");
  t.equal(sim.outputs("p3", eth(A, B)), "", "the learned port is the input port");
  t.equal(sim.outputs("p1", eth(A, "01:80:c2:00:00:00")), "", "reserved for bridges");
  t.equal(sim.outputs("p1", eth(A, "01:80:c2:00:00:10")), "br0 p2 p3");
  await sim.appctl("fdb/flush", "br0");
  await sim.backer.settled();
  t.equal(sim.outputs("p1", eth(A, B)), "br0 p2 p3", "forgotten");
  await sim.close();
});

t.test("learned addresses age, and live as long as megaflows carry their packets", async (t) => {
  const sim = await threePorts();
  const br0 = sim.bridges.get("br0")!;
  br0.setMac({ agingSec: 15, maxEntries: 100 });
  sim.receive("p1", eth(A, B));
  sim.receive("p2", eth(B, A));
  for (let i = 0; i < 8; i++) {
    await sim.warp(4000);
    sim.receive("p1", eth(A, B));
  }
  await sim.warp(600);
  t.match(await sim.appctl("fdb/show", "br0"), new RegExp(`${A}`), "A is still there");
  t.notMatch(await sim.appctl("fdb/show", "br0"), new RegExp(`${B}`), "B was not heard of");
  await sim.warp(16_000);
  t.equal(br0.mac.size, 0);
  t.equal(sim.dpif.flowCount(), 0, "idle megaflows are gone");
  await sim.close();
});

t.test("VLAN modes", async (t) => {
  const modes = {
    trunk: {},
    some: { trunks: [10, 20] },
    access10: { vlanMode: "access", tag: 10 },
    tagged20: { vlanMode: "native-tagged", tag: 20 },
    untagged20: { vlanMode: "native-untagged", tag: 20 },
    tunnel10: { vlanMode: "dot1q-tunnel", tag: 10 },
  } as const;
  const sim = new SimSwitch();
  await sim.warp(1000);
  await sim.addBridge("br0");
  for (const [name, config] of Object.entries(modes)) await sim.addPort("br0", name, config);
  sim.bridges.get("br0")!.removeBundle("br0");

  /** The tags of the frames that leave, by port: "10", "10+5", "-". */
  const tagsOut = (port: string, vlan: string): string => {
    const text = eth(A, C, `${vlan === "" ? "" : `dl_vlan=${vlan},`}dl_type=0x1234`);
    const out: string[] = [];
    for (const [name, [bytes]] of sim.receive(port, text)) {
      const tags: number[] = [];
      for (let at = 12; ; at += 4) {
        const type = (bytes![at]! << 8) | bytes![at + 1]!;
        if (type !== 0x8100 && type !== 0x88a8) break;
        tags.push(((bytes![at + 2]! << 8) | bytes![at + 3]!) & 0xfff);
      }
      out.push(`${name}:${tags.join("+") || "-"}`);
    }
    return out.sort().join(" ");
  };

  const table: [port: string, vlan: string, want: string][] = [
    ["trunk", "", ""],
    ["trunk", "10", "access10:- some:10 tagged20:10 tunnel10:- untagged20:10"],
    ["trunk", "20", "some:20 tagged20:20 untagged20:-"],
    ["trunk", "30", "tagged20:30 untagged20:30"],
    ["some", "", ""],
    ["some", "30", ""],
    ["some", "10", "access10:- tagged20:10 trunk:10 tunnel10:- untagged20:10"],
    ["access10", "", "some:10 tagged20:10 trunk:10 tunnel10:- untagged20:10"],
    ["access10", "10", ""],
    ["tagged20", "", "some:20 trunk:20 untagged20:-"],
    ["tagged20", "20", "some:20 trunk:20 untagged20:-"],
    ["untagged20", "", "some:20 tagged20:20 trunk:20"],
    ["untagged20", "10", "access10:- some:10 tagged20:10 trunk:10 tunnel10:-"],
    ["tunnel10", "", "access10:- some:10 tagged20:10 trunk:10 untagged20:10"],
    ["tunnel10", "5", "some:10+5 tagged20:10+5 trunk:10+5 untagged20:10+5"],
  ];
  for (const [port, vlan, want] of table) {
    // Twice: by translation, then by the megaflow that it made.
    t.equal(tagsOut(port, vlan), want, `${port}, ${vlan || "untagged"}`);
    t.equal(tagsOut(port, vlan), want, `${port}, ${vlan || "untagged"}, from the cache`);
    await sim.appctl("fdb/flush", "br0");
    await sim.backer.settled();
  }
  await sim.close();
});

t.test("flow_mod", async (t) => {
  const sim = await threePorts();
  const names = async () => Object.keys(await counts(sim)).sort();
  sim.flowMod("br0", "", DELETE);
  sim.flowMod("br0", "priority=5,in_port=1 actions=2", ADD);
  sim.flowMod("br0", "priority=7,ip,in_port=1 actions=3", ADD);
  sim.flowMod("br0", "priority=5,ip actions=2,3", ADD);
  sim.flowMod("br0", "table=3,arp actions=2", ADD);
  t.same(await names(), [
    "priority=5,in_port=1,actions=output:2",
    "priority=5,ip,actions=output:2,output:3",
    "priority=7,ip,in_port=1,actions=output:3",
    "table_id=3, arp,actions=output:2",
  ]);

  sim.flowMod("br0", "in_port=1 actions=1", MODIFY);
  sim.flowMod("br0", "priority=5,ip actions=drop", MODIFY_STRICT);
  t.same(
    await names(),
    [
      "priority=5,in_port=1,actions=output:1",
      "priority=5,ip,actions=drop",
      "priority=7,ip,in_port=1,actions=output:1",
      "table_id=3, arp,actions=output:2",
    ],
    "modify takes what is more specific too, strict only the same",
  );
  sim.flowMod("br0", "priority=9,udp actions=2", MODIFY_STRICT);
  t.ok((await names()).includes("priority=9,udp,actions=output:2"), "a modification without a target adds");
  sim.flowMod("br0", "priority=9,udp", DELETE_STRICT);
  sim.flowMod("br0", "priority=8,ip", DELETE_STRICT);
  sim.flowMod("br0", "", DELETE, { outPort: 2 });
  t.same(await names(), [
    "priority=5,in_port=1,actions=output:1",
    "priority=5,ip,actions=drop",
    "priority=7,ip,in_port=1,actions=output:1",
  ]);

  const refused = (text: string, extra: object): string => {
    try {
      sim.flowMod("br0", text, ADD, extra);
      return "taken";
    } catch (error) {
      return (error as OfpError).ofp;
    }
  };
  t.equal(refused("priority=5,tcp,in_port=1 actions=2", { flags: 2 }), "OFPFMFC_OVERLAP");
  t.equal(refused("priority=6,tcp,in_port=1 actions=2", { flags: 2 }), "taken");
  t.equal(refused("table=254,ip actions=2", {}), "OFPFMFC_EPERM".replace("FMFC", "BRC"));

  sim.flowMod("br0", "cookie=1,in_port=7 actions=2", ADD);
  sim.flowMod("br0", "cookie=2,in_port=8 actions=2", ADD);
  sim.flowMod("br0", "", DELETE, { cookie: 2n, cookieMask: 0xffff_ffff_ffff_ffffn });
  const left = await sim.appctl("bridge/dump-flows", "br0");
  t.match(left, /in_port=7/);
  t.notMatch(left, /in_port=8/);
  await sim.close();
});

t.test("changed tables govern cached packets", async (t) => {
  const sim = await threePorts();
  sim.flowMod("br0", "", DELETE);
  sim.flowMod("br0", "priority=1,in_port=1 actions=2", ADD);
  const udp = eth(A, B, "udp,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64,udp_src=1,udp_dst=53");
  t.equal(sim.outputs("p1", udp), "p2");
  t.equal(sim.dpif.flowCount(), 1);
  sim.flowMod("br0", "priority=2,udp,udp_dst=53 actions=3", ADD);
  await sim.backer.settled();
  t.equal(sim.outputs("p1", udp), "p3", "a rule above, on bits the megaflow did not have");
  sim.flowMod("br0", "priority=2,udp,udp_dst=53 actions=mod_nw_dst:10.9.9.9,3", MODIFY_STRICT);
  await sim.backer.settled();
  const [sent] = sim.receive("p1", udp).get("p3")!;
  t.same([...sent!.subarray(30, 34)], [10, 9, 9, 9]);
  sim.flowMod("br0", "", DELETE);
  await sim.backer.settled();
  t.equal(sim.outputs("p1", udp), "");
  await sim.close();
});

t.test("a learn action with a limit: what was beyond it is learned when there is room", async (t) => {
  const sim = await threePorts();
  sim.flowMod("br0", "", DELETE);
  sim.flowMod("br0", "in_port=1 actions=learn(table=1,dl_dst=dl_src,cookie=0x1,limit=1),2", ADD);
  const learned = async () => {
    const table = (await sim.appctl("bridge/dump-flows", "br0")).split("\n");
    return table.flatMap((line) => /^table_id=1,.*dl_dst=([0-9a-f:]+)/.exec(line)?.[1] ?? []);
  };
  for (const source of [A, B]) sim.receive("p1", eth(source, C));
  t.same(await learned(), [A]);
  sim.flowMod("br0", "", DELETE, { table: 1 });
  await sim.backer.settled();
  t.same(await learned(), []);
  for (const source of [B, A]) sim.receive("p1", eth(source, C));
  t.same(await learned(), [B]);
  await sim.close();
});

t.test("timeouts", async (t) => {
  const sim = await threePorts();
  sim.flowMod("br0", "", DELETE);
  sim.flowMod("br0", "hard_timeout=3,in_port=1 actions=2", ADD);
  sim.flowMod("br0", "idle_timeout=5,in_port=2 actions=3", ADD);
  for (let second = 0; second < 2; second++) {
    sim.receive("p1", eth(A, B));
    sim.receive("p2", eth(B, A));
    await sim.warp(1000);
  }
  t.same(Object.keys(await counts(sim)).length, 2);
  await sim.warp(1600);
  t.same(Object.values(await counts(sim)), [2], "hard: whatever the traffic");
  sim.receive("p2", eth(B, A));
  await sim.warp(4000);
  t.same(Object.values(await counts(sim)), [3], "idle: traffic in the megaflow keeps the rule");
  await sim.warp(2000);
  t.same(await counts(sim), {});
  t.equal(sim.outputs("p2", eth(B, A)), "");
  await sim.close();
});

t.test("tables count the packets of megaflows, too", async (t) => {
  const sim = await threePorts();
  sim.flowMod("br0", "", DELETE);
  sim.flowMod("br0", `table=1,dl_dst=${B} actions=2`, ADD, { table: 1 });
  sim.flowMod("br0", "actions=resubmit(,1)", ADD);
  for (let i = 0; i < 5; i++) sim.receive("p1", eth(A, B));
  for (let i = 0; i < 3; i++) sim.receive("p1", eth(A, C));
  sim.backer.pushStats();
  const counted = sim.bridges
    .get("br0")!
    .tables.slice(0, 2)
    .map(({ matched, missed }) => [matched, missed]);
  t.same(counted, [
    [8, 0],
    [5, 3],
  ]);
  await sim.close();
});

t.test("IP packets get the DSCP of their queue, at the ports that have it", async (t) => {
  const sim = await threePorts();
  const br0 = sim.bridges.get("br0")!;
  const ports = [br0.portByName("p2")!.ofPort];
  br0.setBundle("p2", {
    ...BUNDLE,
    name: "p2",
    ports,
    queueDscp: new Map([
      [1, 1],
      [2, 2],
    ]),
  });
  sim.flowMod("br0", "", DELETE);
  sim.flowMod("br0", "actions=enqueue:2:1,enqueue:2:2,2,3", ADD);
  const [, actions] = /^Datapath actions: (.*)$/m.exec(
    await sim.appctl("ofproto/trace", "br0", "in_port=1,icmp,nw_tos=252"),
  )!;
  t.equal(
    actions,
    "set(ipv4(tos=0x4/0xfc)),set(skb_priority(0x1)),2,set(ipv4(tos=0x8/0xfc)),set(skb_priority(0x2)),2," +
      "set(ipv4(tos=0xfc/0xfc)),set(skb_priority(0)),2,3",
  );
  t.match(
    await sim.appctl("ofproto/trace", "br0", "in_port=1,arp"),
    /^Datapath actions: set\(skb_priority\(0x1\)\),2,set\(skb_priority\(0x2\)\),2,/m,
    "other packets have none",
  );
  await sim.close();
});

t.test("each packet is counted once by every rule on its way", async (t) => {
  const sim = await threePorts();
  sim.flowMod("br0", "", DELETE);
  sim.flowMod("br0", "in_port=1 actions=resubmit(,1)", ADD);
  sim.flowMod("br0", "table=1,priority=1 actions=2", ADD);
  for (let i = 0; i < 10; i++) sim.receive("p1", eth(A, B));
  t.same(await counts(sim), {
    "in_port=1,actions=resubmit(,1)": 10,
    "table_id=1, priority=1,actions=output:2": 10,
  });
  // Another rule on the way: what was counted before stays where it was.
  sim.flowMod("br0", "table=1,priority=2,dl_type=0x1234 actions=3", ADD);
  await sim.backer.settled();
  for (let i = 0; i < 5; i++) sim.receive("p1", eth(A, B));
  await sim.appctl("revalidator/purge");
  for (let i = 0; i < 5; i++) sim.receive("p1", eth(A, B));
  await sim.warp(30_000);
  t.same(await counts(sim), {
    "in_port=1,actions=resubmit(,1)": 20,
    "table_id=1, priority=1,actions=output:2": 10,
    "table_id=1, priority=2,dl_type=0x1234,actions=output:3": 10,
  });
  await sim.close();
});

t.test("patch ports join bridges", async (t) => {
  const sim = await threePorts();
  await sim.addBridge("br1");
  await sim.addPort("br1", "q1");
  await sim.join("br0", "pa", "br1", "pb");
  t.equal(sim.outputs("p1", eth(A, B)), "br0 br1 p2 p3 q1");
  t.equal(sim.outputs("q1", eth(B, A)), "p1", "br1 has learned A behind its patch port");
  t.match(await sim.appctl("dpif/show"), /pa 4\/none: \(patch: peer=pb\)/);
  await sim.backer.settled();
  t.equal(sim.outputs("p1", eth(A, B)), "q1");
  const stats = sim.bridges.get("br0")!.portByName("pa")!.netdev.stats();
  sim.backer.pushStats();
  t.equal(stats.txPackets, 2);
  t.equal(stats.rxPackets, 1);
  await sim.bridges.get("br1")!.portDel(sim.bridges.get("br1")!.portByName("pb")!.ofPort);
  await sim.backer.settled();
  t.equal(sim.outputs("p1", eth(A, C)), "br0 p2 p3");
  await sim.close();
});

t.test("ports that come and go, and their configuration", async (t) => {
  const sim = await threePorts();
  const br0 = sim.bridges.get("br0")!;
  t.equal(sim.outputs("p1", eth(A, B)), "br0 p2 p3");
  br0.configurePort(br0.portAt(2)!, 16, 16);
  await sim.backer.settled();
  t.equal(sim.outputs("p1", eth(A, B)), "br0 p3", "no-flood");
  br0.configurePort(br0.portAt(1)!, 4, 4);
  await sim.backer.settled();
  t.equal(sim.outputs("p1", eth(A, B)), "", "no-receive");
  br0.configurePort(br0.portAt(1)!, 0, 4);
  await br0.portDel(3);
  await sim.backer.settled();
  t.equal(sim.outputs("p1", eth(A, B)), "br0");
  t.equal(await sim.addPort("br0", "p4", {}, 3), 3, "the number is free again");
  t.equal(await sim.addPort("br0", "p5", {}, 3), 4, "and taken: the next one");
  await sim.backer.settled();
  t.equal(sim.outputs("p1", eth(A, B)), "br0 p4 p5");
  br0.setFailMode("secure");
  await sim.backer.settled();
  t.equal(sim.outputs("p1", eth(A, B)), "", "secure: nothing without a flow");
  br0.setFailMode("standalone");
  await sim.backer.settled();
  t.equal(sim.outputs("p1", eth(A, B)), "br0 p4 p5");
  br0.setFlowRestoreWait(true);
  await sim.backer.settled();
  t.equal(sim.outputs("p1", eth(A, B)), "");
  await sim.close();
});

t.test("header changes reach the wire with right checksums", async (t) => {
  const sim = await threePorts();
  sim.flowMod("br0", "", DELETE);
  const udp = eth(A, B, "udp,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64,udp_src=1000,udp_dst=53");
  const changed = "udp,nw_src=10.0.0.1,nw_dst=10.0.0.9,nw_tos=32,nw_ttl=63,udp_src=1000,udp_dst=5353";
  sim.flowMod(
    "br0",
    "in_port=1 actions=mod_dl_src:00:00:00:00:00:0c,mod_nw_dst:10.0.0.9,mod_nw_tos:32,dec_ttl,mod_tp_dst:5353,2,mod_vlan_vid:7,3",
  );
  const out = sim.receive("p1", udp);
  t.same(out.get("p2")![0], frame(eth(C, B, changed)));
  t.same(out.get("p3")![0], frame(eth(C, B, `dl_vlan=7,${changed}`)));
  sim.flowMod("br0", "in_port=2 actions=dec_ttl,3");
  t.equal(sim.outputs("p2", eth(A, B, "udp,nw_ttl=1")), "", "too old");
  await sim.close();
});

t.test("commands", async (t) => {
  const sim = await threePorts();
  const table: [command: string, args: string[], want: string | RegExp][] = [
    ["fdb/show", ["nobr"], "error: no such bridge"],
    ["fdb/add", ["br0", "p1", "5", "00:00:00:00:00:07"], ""],
    [
      "fdb/add",
      ["br0", "p9", "5", "00:00:00:00:00:07"],
      "error: software error, odp port is present but no ofp port",
    ],
    ["fdb/add", ["br0", "p1", "5", "zz"], "error: bad MAC address"],
    ["fdb/show", ["br0"], " port  VLAN  MAC                Age\n    1     5  00:00:00:00:00:07  static\n"],
    ["fdb/stats-show", ["br0"], /Current static MAC entries in the table : 1\n/],
    ["fdb/del", ["br0", "6", "00:00:00:00:00:07"], "error: could not find static mac entry"],
    ["fdb/del", ["br0", "5", "00:00:00:00:00:07"], ""],
    ["fdb/flush", [], "table successfully flushed"],
    ["ofproto/list", [], "br0\n"],
    ["bridge/dump-flows", ["nobr"], "error: Unknown bridge"],
    ["ofproto/trace", ["nobr", "in_port=1"], "error: nobr: unknown bridge"],
    ["ofproto/trace", ["br0"], "error: syntax error at br0 (or the bridge name was omitted)"],
    [
      "ofproto/trace",
      ["br0", "in_port=1,foo=2"],
      "error: Bad openflow flow syntax: in_port=1,foo=2: unknown field foo",
    ],
    ["ofproto/trace", ["in_port(99)"], "error: no OpenFlow port for datapath port 99"],
    ["ofproto/trace", ["a", "b", "c", "d"], "error: too many arguments"],
    ["upcall/set-flow-limit", ["1000"], "set flow_limit to 1000\n"],
    ["upcall/show", [], /\(current 0\) \(avg 0\) \(max 0\) \(limit 1000\)/],
    ["upcall/disable-megaflows", [], "megaflows disabled\n"],
  ];
  for (const [command, args, want] of table) {
    const got = await sim.appctl(command, ...args);
    if (typeof want === "string") t.equal(got, want, `${command} ${args.join(" ")}`);
    else t.match(got, want, `${command} ${args.join(" ")}`);
  }
  await sim.close();
});

t.test("ofproto/trace tells the whole way", async (t) => {
  const sim = await threePorts();
  sim.flowMod("br0", "", DELETE);
  for (const text of [
    "priority=100,ip,in_port=1 actions=mod_dl_src:00:11:22:33:44:55,load:0x5->NXM_NX_REG0[],resubmit(,1)",
    "table=1,priority=5,tcp,reg0=5,cookie=0x9 actions=dec_ttl,mod_nw_dst:1.1.1.1,2,resubmit(,2),99,1,3",
    "table=2 actions=NORMAL",
  ]) {
    sim.flowMod("br0", text);
  }
  t.equal(
    await sim.appctl("ofproto/trace", "br0", "in_port=1,tcp,nw_ttl=64,nw_src=1.2.3.4"),
    `Flow: tcp,in_port=1,vlan_tci=0x0000,dl_src=00:00:00:00:00:00,dl_dst=00:00:00:00:00:00,nw_src=1.2.3.4,nw_dst=0.0.0.0,nw_tos=0,nw_ecn=0,nw_ttl=64,nw_frag=no,tp_src=0,tp_dst=0,tcp_flags=0

bridge("br0")
-------------
 0. ip,in_port=1, priority 100
    mod_dl_src:00:11:22:33:44:55
    load:0x5->NXM_NX_REG0[]
    resubmit(,1)
 1. tcp,reg0=0x5, priority 5, cookie 0x9
    dec_ttl
    mod_nw_dst:1.1.1.1
    output:2
    resubmit(,2)
     2. priority 32768
            NORMAL
             -> no learned MAC for destination, flooding
    output:99
     >> Nonexistent output port
    output:1
     >> skipping output to input port
    output:3

Final flow: tcp,reg0=0x5,in_port=1,vlan_tci=0x0000,dl_src=00:11:22:33:44:55,dl_dst=00:00:00:00:00:00,nw_src=1.2.3.4,nw_dst=1.1.1.1,nw_tos=0,nw_ecn=0,nw_ttl=63,nw_frag=no,tp_src=0,tp_dst=0,tcp_flags=0
Megaflow: recirc_id=0,eth,tcp,in_port=1,dl_src=00:00:00:00:00:00,dl_dst=00:00:00:00:00:00,nw_dst=0.0.0.0,nw_ttl=64,nw_frag=no
Datapath actions: set(eth(src=00:11:22:33:44:55)),set(ipv4(dst=1.1.1.1,ttl=63)),2,100,2,3,3`,
  );
  t.match(await sim.appctl("ofproto/trace", "br0", "in_port=2,arp"), /\n 0\. No match\.\n {4}drop\n/);
  t.equal(sim.bridges.get("br0")!.mac.size, 0, "a trace learns nothing");
  await sim.appctl("ofproto/trace", "br0", "in_port=1,tcp,nw_ttl=9", "-generate");
  t.equal(sim.bridges.get("br0")!.mac.size, 1, "unless it is given a packet");

  sim.flowMod("br0", "in_port=3 actions=resubmit(,9)");
  sim.flowMod("br0", "table=9 actions=resubmit(,9)");
  const endless = await sim.appctl("ofproto/trace", "br0", "in_port=3,arp");
  t.equal(endless.match(/^ 9\. /gm)?.length, 65);
  t.match(endless, / >>>> over max translation depth 64 <<<<\n/);
  t.match(endless, /Datapath actions: drop\nTranslation failed \(Recursion too deep\), packet is dropped\.$/);
  await sim.close();
});

t.test("crafted packets that multiply masks are bounded, and other ports do not feel them", async (t) => {
  const sim = new SimSwitch();
  await sim.addBridge("br0");
  for (const port of ["p1", "p2", "p3"]) await sim.addPort("br0", port);
  for (const rule of [
    "priority=40,in_port=2,udp actions=3",
    "priority=30,tcp,nw_src=10.0.0.10 actions=3",
    "priority=20,tcp,tp_dst=80 actions=3",
    "priority=10,tcp,tp_src=12345 actions=3",
    "priority=1,actions=drop",
  ])
    sim.flowMod("br0", rule);
  const eth = "dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02";
  const lookedAt = async (port: string, flow: string) => {
    const before = (await sim.dpif.stats()).maskHits;
    sim.receive(port, flow);
    return (await sim.dpif.stats()).maskHits - before;
  };
  const crafted = (i: number, j: number, k: number) => {
    const address = (0x0a00000a ^ (1 << i)) >>> 0;
    const bytes = [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");
    return `${eth},tcp,nw_src=${bytes},nw_dst=10.9.9.9,tcp_src=${12345 ^ (1 << j)},tcp_dst=${80 ^ (1 << k)}`;
  };
  // Traffic of its own kind, before the flood and under it, on the flooded port and on another.
  const good = `${eth},tcp,nw_src=10.0.0.10,nw_dst=10.9.9.9,tcp_src=1,tcp_dst=2`;
  for (let i = 0; i < 20; i++) sim.receive("p1", good.replace("tcp_src=1,", `tcp_src=${1000 + i},`));
  for (let i = 0; i < 32; i++)
    for (let j = 0; j < 4; j++) for (let k = 0; k < 8; k++) sim.receive("p1", crafted(i, j, k));
  const { masks } = await sim.dpif.stats();
  t.ok(masks <= 256 + 3, `${masks} masks of 1024 crafted packets`);
  t.match(
    await sim.appctl("upcall/show"),
    /masks +: \(current 25\d\) \(limit 256 a port\) \(times reached [1-9]/,
  );
  await lookedAt("p2", `${eth},udp,nw_src=1.2.3.4,udp_src=1`);
  t.equal(
    await lookedAt("p2", `${eth},udp,nw_src=1.2.3.5,udp_src=2`),
    1,
    "another port asks for its own mask",
  );
  t.ok(
    (await lookedAt("p1", good.replace("tcp_src=1,", "tcp_src=77,"))) <= 2,
    "what is used most is asked for first",
  );
  t.same([...sim.receive("p1", crafted(3, 3, 3)).keys()], [], "still dropped");
  // As long as the flood goes on, masks that are seldom used make room.
  await sim.warp(2000);
  sim.receive("p1", crafted(5, 9, 5));
  await sim.appctl("revalidator/wait");
  t.ok((await sim.dpif.stats()).masks < 10);
  await sim.close();
});

t.test("what upcalls cost between its slices does not make revalidation seem slow", async (t) => {
  let realMs = 0;
  const sim = new SimSwitch({ realNow: () => realMs++ });
  await sim.warp(1000);
  await sim.addBridge("br0");
  for (const name of ["p1", "p2"]) await sim.addPort("br0", name);
  sim.flowMod("br0", "priority=1,udp actions=2", ADD);
  sim.flowMod("br0", "priority=2,udp,udp_dst=1 actions=2", ADD);
  await sim.appctl("upcall/disable-megaflows");
  for (let i = 0; i < 3000; i++) sim.receive("p1", eth(A, B, `udp,udp_src=${i},udp_dst=2`));
  t.equal(sim.backer.ukeys.size, 3000);
  sim.backer.changed();
  const between = setInterval(() => {
    realMs += 1000;
  }, 0);
  await sim.appctl("revalidator/wait");
  clearInterval(between);
  t.ok(realMs > 2000, "it took its time");
  t.ok(sim.backer.dumpDurationMs < 1000, `but little of that itself: ${sim.backer.dumpDurationMs}`);
  t.equal(sim.backer.flowLimit, 11_000, "so there may be more megaflows");
  await sim.close();
});
