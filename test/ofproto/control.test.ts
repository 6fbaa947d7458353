/** Who hears what, and who may change what: roles, asynchronous messages, tables, tunnel options, rate limits, in-band. */
import t from "tap";
import type { DpConntrack } from "../../src/datapath/conntrack.ts";
import type { Match } from "../../src/flow/match.ts";
import { formatMatch, parseMatch } from "../../src/flow/match-text.ts";
import { osError } from "../../src/lib/errors.ts";
import { MemoryNetwork } from "../../src/lib/stream-memory.ts";
import type { ControllerConfig } from "../../src/ofproto/types.ts";
import { parseActions } from "../../src/openflow/actions/registry.ts";
import { encode } from "../../src/openflow/codec.ts";
import type { AsyncConfig, Message, PhyPort, Version } from "../../src/openflow/messages.ts";
import { emptyAsync } from "../../src/openflow/msg/nicira.ts";
import { parseCtFlush } from "../../src/openflow/text/ct-match.ts";
import { Peer, start } from "../sim/peer.ts";
import { flowModOf, type SimSwitch } from "../sim/switch.ts";

function matchOf(text: string): Match {
  const parsed = parseMatch(text);
  if ("error" in parsed) throw new Error(parsed.error);
  return parsed.match;
}

const LISTEN: Message = { type: "set-config", frag: 0, invalidTtlToController: undefined, missSendLen: 128 };
const SECONDARY = 3;
const PRIMARY = 2;

function role(wanted: number, generationId?: bigint): Message {
  return { type: "role-request", role: wanted, generationId };
}

/** "add p4 live=false" and so on. */
function portStatus(messages: readonly Message[]): string[] {
  return messages
    .filter((message) => message.type === "port-status")
    .map(({ reason, port }) => {
      const { name, config, state } = port as PhyPort;
      return `${["add", "delete", "modify"][reason]} ${name} config=${config} state=${state}`;
    });
}

/** Answers with what the asker hears of it. */
async function portMod(
  sim: SimSwitch,
  peer: Peer,
  name: string,
  config: number,
  mask: number,
): Promise<string[]> {
  const port = sim.bridges.get("br0")!.portStateByName(name)!;
  const { hwAddr } = port.describe(undefined);
  const answers = await peer.replies({
    type: "port-mod",
    port: port.ofPort,
    hwAddr,
    hwAddr64: undefined,
    config,
    mask,
    advertise: 0,
  });
  return portStatus(answers);
}

t.test("roles and generations", async (t) => {
  const { sim, peer } = await start(5);
  const other = new Peer(sim, 5);
  t.same(await peer.ask(role(PRIMARY, 5n)), ["role-reply"]);
  t.same(await other.ask(role(PRIMARY, 4n)), ["OFPRRFC_STALE"]);
  t.same(await other.ask(role(PRIMARY, 6n)), ["role-reply"]);
  t.match(await peer.listen(), [{ type: "role-status", role: SECONDARY, reason: 0, generationId: 6n }]);
  for (const message of [flowModOf("actions=drop", 0), { ...flowModOf("actions=drop", 3) }])
    t.same(await peer.ask(message), ["OFPBRC_IS_SECONDARY"]);
  t.same(await other.ask(flowModOf("actions=drop", 0)), []);
  t.same(await peer.ask({ type: "desc-request" }), ["desc-reply"], "it may look");
  t.same(await peer.ask(role(1)), ["role-reply"]);
  t.same(await peer.ask(flowModOf("actions=drop", 3)), [], "equal again");
  await sim.close();
});

t.test("port status: in steps, by version, and not to who asked before 1.5", async (t) => {
  for (const version of [1, 4, 6] as const satisfies Version[]) {
    const { sim, peer } = await start(version);
    await sim.addPort("br0", "p4");
    t.same(portStatus(await peer.listen()), [], "a service connection hears nothing unasked");
    await peer.ask(LISTEN);
    await sim.addPort("br0", "p5");
    const live = version === 1 ? [] : ["modify p5 config=0 state=4"];
    t.same(portStatus(await peer.listen()), ["add p5 config=0 state=0", ...live]);
    const asker = new Peer(sim, version);
    await asker.ask(LISTEN);
    const heard = await portMod(sim, asker, "p5", 32, 32);
    const noForward = [`modify p5 config=32 state=${version === 1 ? 0 : 4}`];
    t.same(portStatus(await peer.listen()), noForward);
    t.same(heard, version < 6 ? [] : noForward);
    await portMod(sim, asker, "p5", 1, 1);
    const told = portStatus(await peer.listen());
    t.match(told.at(-1), /config=33 state=1$/, "down, and without a link");
    await sim.close();
  }
});

t.test("asynchronous messages by mask and role", async (t) => {
  const { sim, peer } = await start(4);
  await peer.ask(LISTEN);
  const gone = async () => {
    sim.flowMod("br0", "in_port=1 actions=drop", 0, { flags: 1 });
    sim.flowMod("br0", "in_port=1", 3);
    return (await peer.listen()).map(({ type }) => type);
  };
  t.same(await gone(), ["flow-removed"]);
  await peer.ask({ ...emptyAsync("set-async"), flowRemoved: [0, 4] } as Message);
  t.same(await gone(), [], "masked for the primary");
  await peer.ask(role(SECONDARY, 1n));
  t.same(await gone(), ["flow-removed"]);
  const shown = await masksOf(peer);
  t.same(shown.flowRemoved, [0, 4]);
  await sim.close();

  const fresh = await start(4);
  const masks = await masksOf(fresh.peer);
  t.same(
    [masks.packetIn[0], masks.flowRemoved[0]],
    [3, 0xf],
    "reasons that 1.3 has no number for are left out",
  );
  await fresh.sim.close();
});

async function masksOf(peer: Peer): Promise<AsyncConfig> {
  return (await peer.replies({ type: "get-async-request" }))[0] as AsyncConfig;
}

t.test("requests are forwarded to those who want them", async (t) => {
  for (const version of [5, 6] as const satisfies Version[]) {
    const { sim, peer } = await start(version);
    await peer.ask(LISTEN);
    const other = new Peer(sim, version);
    await peer.ask({ ...emptyAsync("set-async"), requestforward: [1, 0] } as Message);
    const props = { selectionMethod: "", selectionMethodParam: 0n, fields: [] };
    await other.ask({
      type: "group-mod",
      command: 0,
      groupType: 0,
      groupId: 9,
      commandBucketId: 0xffffffff,
      buckets: [],
      props,
    });
    t.same(
      (await peer.listen()).map(({ type }) => type),
      ["requestforward"],
      `version ${version}`,
    );
    await sim.close();
  }
});

t.test("table names, limits and vacancy", async (t) => {
  const { sim, peer } = await start(6);
  const br0 = sim.bridges.get("br0")!;
  const all = (await peer.replies({ type: "table-features-request", tables: [] })).flatMap((part) =>
    part.type === "table-features-reply" ? part.tables : [],
  );
  t.equal(all.length, 254);
  const rename = (table: number, name: string): Message => ({
    type: "table-features-request",
    tables: [{ ...all[table]!, name, command: 1 }],
  });
  await peer.ask(rename(3, "gamma"));
  t.equal(br0.tables[3]!.name, "gamma");
  br0.setFlowTables(
    new Map([[3, { name: "three", maxFlows: 4, evict: false, groups: [], prefixes: undefined }]]),
  );
  t.equal(br0.tables[3]!.name, "three", "the database has the last word");
  const limited = { ...all[3]!, maxEntries: 4, command: 1 };
  const features = (name: string): Message => ({
    type: "table-features-request",
    tables: [{ ...limited, name }],
  });
  t.same(await peer.ask(features("gamma")), ["OFPTFFC_EPERM"]);
  t.same(await peer.ask({ type: "table-features-request", tables: [{ ...all[4]!, command: 2 }] }), [
    "OFPTFFC_EPERM",
  ]);
  t.same(
    await peer.ask({ type: "table-features-request", tables: [{ ...all[4]!, command: 0 }] }),
    ["OFPTFFC_EPERM"],
    "a pipeline is replaced whole",
  );

  await peer.ask(LISTEN);
  await peer.ask({ ...emptyAsync("set-async"), tableStatus: [0x18, 0] } as Message);
  await peer.ask({
    type: "table-mod",
    table: 3,
    miss: -1,
    eviction: undefined,
    evictionFlags: 0xffffffff,
    vacancy: true,
    vacancyDown: 30,
    vacancyUp: 60,
  });
  const events = async (change: () => void) => {
    change();
    return (await peer.listen()).map((m) =>
      m.type === "table-status" ? [m.reason, m.table.vacancyNow] : m.type,
    );
  };
  const add = (port: number) => () => sim.flowMod("br0", `table=3,in_port=${port} actions=drop`);
  for (const port of [1, 2]) t.same(await events(add(port)), []);
  t.same(await events(add(3)), [[3, 25]], "too few places are left");
  t.same(await events(add(4)), [], "told once");
  t.same(await peer.ask(flowModOf("table=3,in_port=5 actions=drop", 0)), ["OFPFMFC_TABLE_FULL"]);
  t.same(
    await events(() => sim.flowMod("br0", "table=3", 3)),
    [[4, 75]],
    "and once that there are enough again",
  );
  await sim.close();
});

t.test("tracked connections are ended where the datapath tells of them", async (t) => {
  const { sim, peer } = await start(4);
  t.same(await peer.ask({ type: "nxt-ct-flush-zone", zone: 5 }), [], "one that does not");
  const flushed: unknown[] = [];
  const conntrack: Pick<DpConntrack, "dump" | "flush"> = {
    dump: () => [],
    flush(zone, orig) {
      flushed.push([zone, orig?.tpDst]);
      if (zone === 6) throw osError("EPERM");
    },
  };
  Object.assign(sim.dpif, { conntrack });
  t.same(await peer.ask({ type: "nxt-ct-flush-zone", zone: 5 }), []);
  const flush = (zone: number | undefined, args: string): Message => ({
    ...parseCtFlush(args === "" ? [] : [args]),
    zone,
  });
  t.same(await peer.ask(flush(undefined, "")), []);
  t.same(await peer.ask(flush(6, "")), [], "the log says what goes wrong");
  const whole = "ct_nw_src=10.0.0.1,ct_nw_dst=10.0.0.2,ct_nw_proto=17,ct_tp_src=1,ct_tp_dst=53";
  t.same(await peer.ask(flush(7, whole)), []);
  t.same(flushed, [
    [5, undefined],
    [undefined, undefined],
    [6, undefined],
    [7, 53],
  ]);
  await sim.close();
});

t.test("tunnel options must be mapped, and stay while flows use them", async (t) => {
  const { sim, peer } = await start(4);
  const mod = (command: number, ...indices: number[]): Message => ({
    type: "nxt-tlv-table-mod",
    command,
    maps: indices.map((index) => ({ optionClass: 0xffff, optionType: index, optionLen: 8, index })),
  });
  const put = (text: string) => peer.ask(flowModOf(text, 0));
  t.same(await put("tun_metadata1=0x11 actions=drop"), ["NXFMFC_INVALID_TLV_FIELD"]);
  t.same(await put("actions=move:tun_metadata1[0..31]->reg0"), ["NXFMFC_INVALID_TLV_FIELD"]);
  t.same(await peer.ask(mod(0, 1, 2)), []);
  t.same(await peer.ask(mod(0, 3, 3)), ["NXTTMFC_DUP_ENTRY"]);
  t.same(await peer.ask(mod(0, 1)), ["NXTTMFC_ALREADY_MAPPED"]);
  t.same(await peer.ask(mod(0, 64)), ["NXTTMFC_BAD_FIELD_IDX"]);
  t.same(await peer.ask(mod(7)), ["NXTTMFC_BAD_COMMAND"]);
  t.same(await put("tun_metadata1=0x11 actions=drop"), []);
  t.same(await put("tun_metadata2=0x22/0xf0ff,tun_metadata1=5 actions=drop"), []);
  t.same(await put("in_port=1 actions=clone(move:tun_metadata1[32..63]->reg0)"), []);
  t.same(await put("actions=move:tun_metadata2[32..95]->xreg0"), ["OFPBAC_BAD_SET_LEN"]);
  t.match(await sim.appctl("bridge/dump-flows", "br0"), /tun_metadata1=0x5,tun_metadata2=0x22\/0xf0ff/);
  // A value without a mask means the whole option, one with a mask of ones only those bits.
  t.same(await put("tun_metadata2=0x7/0xff actions=drop"), []);
  t.match(await sim.appctl("bridge/dump-flows", "br0"), /tun_metadata2=0x7\/0xff/);
  t.same(await peer.ask(mod(1, 1)), ["NXTTMFC_INVALID_TLV_DEL"]);
  t.same(await peer.ask(mod(2)), ["NXTTMFC_INVALID_TLV_DEL"]);
  sim.flowMod("br0", "", 3);
  t.same(await peer.ask(mod(1, 1)), []);
  const { maps } = await peer.reply({ type: "nxt-tlv-table-request" }, "nxt-tlv-table-reply");
  t.same(
    maps.map(({ index }) => index),
    [2],
  );
  await sim.close();
});

t.test("a packet-out's pipeline fields choose the flow, and its packet-in tells them", async (t) => {
  const { sim, peer } = await start(6);
  await peer.ask(LISTEN);
  const maps = [2, 3].map((index) => ({ optionClass: 0xffff, optionType: index, optionLen: 8, index }));
  t.same(await peer.ask({ type: "nxt-tlv-table-mod", command: 0, maps }), []);
  t.same(await peer.ask(flowModOf("tun_metadata3=0x11 actions=controller", 0)), []);
  const send = async (match: string, packet: string, actions = "table"): Promise<string[]> => {
    const answers = await peer.replies({
      type: "packet-out",
      bufferId: 0xffffffff,
      match: matchOf(match),
      actions: parseActions(actions, {}).actions,
      packet: Buffer.from(packet, "hex"),
    });
    return answers.map((each) => (each.type === "packet-in" ? formatMatch(each.match) : each.type));
  };
  const ethernet = "0001020304050010203040503333";
  t.same(await send("in_port=2,tun_metadata2=0x22,tun_metadata3=0x11", ethernet), [
    "tun_metadata2=0x22,tun_metadata3=0x11,in_port=2",
  ]);
  t.same(await send("in_port=2,tun_metadata3=0x12", ethernet), [], "no such flow");
  t.same(await send("in_port=2,tun_metadata4=1", ethernet), ["error"], "no such option");
  const ip = "4500002012344000ff1155670a0000140a00001e006400c8000cea78ffffffff";
  t.same(await send("packet_type=(1,0x800),in_port=2", ip, "controller"), [
    "packet_type=(1,0x800),in_port=2",
  ]);
  await sim.close();
});

t.test("requests in parts are put together", async (t) => {
  const { sim, peer } = await start(5);
  const monitor = (id: number): Message => ({
    type: "flow-monitor-request",
    monitors: [
      {
        id,
        command: 0,
        flags: 0x1f,
        outPort: 0xffff,
        outGroup: 0xffffffff,
        table: 255,
        match: flowModOf("", 3).match,
      },
    ],
  });
  sim.flowMod("br0", "in_port=1 actions=drop");
  const first = encode(monitor(1), 5, { xid: 77, more: true });
  t.same(await peer.ask(first), [], "nothing before the last part");
  const second = encode(monitor(2), 5, { xid: 77 });
  t.same(await peer.ask(second), ["flow-monitor-reply"]);
  t.same(await peer.ask(encode(monitor(3), 5, { xid: 78, more: true })), []);
  await sim.warp(1500);
  t.match(await peer.listen(), [{ type: "error", error: "OFPBRC_MULTIPART_REQUEST_TIMEOUT" }]);
  await sim.close();
});

const CONTROLLER: ControllerConfig = {
  target: "tcp:127.0.0.1:6653",
  maxBackoffMs: 8000,
  probeIntervalMs: 5000,
  connectionMode: undefined,
  rateLimit: 100,
  burstLimit: 25,
  enableAsyncMessages: true,
  type: "primary",
  maxQueuedPackets: 100,
};

t.test("packets to a controller wait when they come too fast, and drop when too many wait", async (t) => {
  const { sim, network, br0 } = await withController(CONTROLLER);
  let packetIns = 0;
  await network.listen("ptcp:6653", (stream) => {
    stream.write(encode({ type: "hello", versions: 2, understood: true }, 1));
    stream.handler = {
      data: (bytes) => {
        for (let at = 0; at + 8 <= bytes.length; at += (bytes[at + 2]! << 8) | bytes[at + 3]!)
          if (bytes[at + 1] === 10) packetIns++;
      },
      close: () => {},
    };
  });
  br0.setControllers([CONTROLLER]);
  await sim.warp(1);
  await sim.warp(1);
  t.equal(br0.controllerStatus().get(CONTROLLER.target)!.isConnected, true);
  sim.flowMod("br0", "actions=controller");
  const frame = "dl_src=00:00:00:00:00:01,dl_dst=00:00:00:00:00:02,dl_type=0x1234";
  for (let i = 0; i < 60; i++) sim.receive(i % 2 === 0 ? "p1" : "p2", frame);
  await sim.warp(1);
  t.ok(packetIns >= 25 && packetIns < 30, "a burst at once");
  await sim.warp(1000);
  t.ok(packetIns >= 50 && packetIns <= 51, "then what had room in the queue");
  const { status } = br0.controllerStatus().get(CONTROLLER.target)!;
  t.equal(status.get("packet-in-action-backlog"), "0");
  t.equal(
    Number(status.get("packet-in-action-bypassed")) + Number(status.get("packet-in-action-queued")),
    60,
  );
  t.ok(Number(status.get("packet-in-action-dropped")) >= 9);
  await sim.close();
});

async function withController(config: ControllerConfig) {
  void config;
  const { sim } = await start(1);
  const network = new MemoryNetwork(sim.clock);
  await sim.bridges.get("br0")!.close(true);
  sim.bridges.delete("br0");
  const br0 = await sim.addBridge("br0", network);
  for (const name of ["p1", "p2"]) await sim.addPort("br0", name);
  return { sim, network, br0 };
}

t.test("in-band rules are hidden, and follow controllers, managers and settings", async (t) => {
  const { sim, br0 } = await withController(CONTROLLER);
  const hidden = async () =>
    (await sim.appctl("bridge/dump-flows", "br0"))
      .split("\n")
      .filter((line) => line.includes("priority=18000"));
  br0.setLocalAddress("02:00:00:00:00:01");
  t.same(await hidden(), []);
  br0.setControllers([CONTROLLER, { ...CONTROLLER, target: "tcp:10.0.0.2" }]);
  t.equal((await hidden()).length, 3 + 2 * 2 + 2 * 2);
  t.match((await hidden()).join("\n"), /tcp,nw_dst=10.0.0.2,tp_dst=6653/);
  br0.setInBand({
    disabled: false,
    queue: 5,
    managers: ["ssl:10.0.0.9:7000", "ptcp:6640", "ssl:[::1]:6640"],
  });
  t.match((await hidden()).join("\n"), /tcp,nw_src=10.0.0.9,tp_src=7000,actions=set_queue:5,NORMAL/);
  br0.setControllers([{ ...CONTROLLER, connectionMode: "out-of-band" }]);
  t.equal((await hidden()).length, 3 + 2 + 2, "the manager alone");
  const peer = new Peer(sim, 1);
  const { flows } = await peer.reply({ type: "aggregate-request", ...everything() }, "aggregate-reply");
  t.equal(flows, 0, "no controller sees them");
  t.same(await peer.ask(flowModOf("", 3)), []);
  t.equal((await hidden()).length, 7, "nor can it delete them");
  br0.setInBand({ disabled: true, queue: undefined, managers: ["ssl:10.0.0.9:7000"] });
  t.same(await hidden(), []);
  await sim.close();
});

t.test("in-band: the next hop to a controller is found when it is known, and followed", async (t) => {
  const { sim } = await start(1);
  let mac: string | undefined;
  const asked: string[] = [];
  const br1 = await sim.addBridge("br1", undefined, undefined, (address) => {
    asked.push(address);
    return mac;
  });
  const hops = async () =>
    (await sim.appctl("bridge/dump-flows", "br1"))
      .split("\n")
      .filter((line) => /priority=18000[34]/.test(line))
      .map((line) => line.replace(/.*(arp,.*),actions.*/, "$1"));
  br1.setInBand({ disabled: false, queue: undefined, managers: ["tcp:10.0.0.9:7000", "ssl:10.0.0.9:7001"] });
  t.same(asked, ["10.0.0.9"]);
  t.same(await hops(), []);
  mac = "02:00:00:00:00:09";
  await sim.warp(2000);
  t.same((await hops()).sort(), [`arp,dl_dst=${mac},arp_op=2`, `arp,dl_src=${mac},arp_op=1`]);
  mac = "02:00:00:00:00:0a";
  await sim.warp(11_000);
  t.same((await hops()).sort(), [`arp,dl_dst=${mac},arp_op=2`, `arp,dl_src=${mac},arp_op=1`]);
  br1.setInBand({ disabled: true, queue: undefined, managers: ["tcp:10.0.0.9:7000"] });
  const before = asked.length;
  await sim.warp(60_000);
  t.equal(asked.length, before, "nobody asks any more");
  t.same(await hops(), []);
  await sim.close();
});

function everything() {
  return {
    match: flowModOf("", 3).match,
    cookie: 0n,
    cookieMask: 0n,
    table: 255,
    outPort: 0xffff,
    outGroup: 0xffffffff,
  };
}
