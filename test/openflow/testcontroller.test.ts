/** The learning switch of ovs-testcontroller as a function of messages: what it says to what a switch says. */
import t from "tap";
import { SwitchConnection } from "../../commands/testcontroller/connection.ts";
import { LearningSwitch, type SwitchSettings } from "../../commands/testcontroller/learning-switch.ts";
import {
  controllerOptions,
  defaultSettings,
  settleMode,
  versionOptions,
} from "../../commands/testcontroller/options.ts";
import { withActivePort, withPassivePort } from "../../commands/testcontroller/targets.ts";
import { getopt } from "../../src/lib/getopt.ts";
import { SimClock } from "../../src/lib/sim-clock.ts";
import { memoryPair } from "../../src/lib/stream-memory.ts";
import {
  decode,
  encode,
  type Message,
  matchInPort,
  OFP_NO_BUFFER,
  OFPFC_ADD,
  OfpError,
  type PhyPort,
  type Version,
} from "../../src/openflow/index.ts";
import { P_ANY } from "../../src/openflow/protocols.ts";
import { parseFlow } from "../../src/openflow/text/flow-parse.ts";
import { printMessage } from "../../src/openflow/text/print.ts";

const LEARN: SwitchSettings = {
  mode: "learn",
  maxIdleSec: 60,
  wildcards: 0,
  defaultQueue: undefined,
  portQueues: new Map(),
  flows: [],
  usable: P_ANY,
  mute: false,
};

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/[^0-9a-f]/g, ""), "hex"));
const A = "50:54:00:00:00:01";
const B = "50:54:00:00:00:02";
const ALL = "ff:ff:ff:ff:ff:ff";
const ARP = "0806 0001 0800 06 04 0001 505400000001 0a000001 000000000000 0a000002";
const ICMP = "0800 4500001c 00000000 40010000 0a000001 0a000002 0800f7ff 00000000";
const frame = (to: string, from: string, rest: string): Uint8Array => hex(to + from + rest);

function packetIn(
  port: number,
  packet: Uint8Array,
  more: { bufferId?: number; reason?: number } = {},
): Message {
  return {
    type: "packet-in",
    reason: 0,
    table: 0,
    cookie: 0n,
    match: matchInPort(port),
    packet,
    totalLen: packet.length,
    bufferId: OFP_NO_BUFFER,
    userdata: new Uint8Array(0),
    continuation: undefined,
    ...more,
  };
}

function port(number: number): PhyPort {
  return {
    port: number,
    hwAddr: new Uint8Array(6),
    hwAddr64: undefined,
    name: `p${number}`,
    config: 0,
    state: 0,
    curr: 0,
    advertised: 0,
    supported: 0,
    peer: 0,
    currSpeed: 0,
    maxSpeed: 0,
  };
}

function features(version: Version): Message {
  return {
    type: "features-reply",
    datapathId: 0x2320n,
    nBuffers: 256,
    nTables: 254,
    auxiliaryId: 0,
    capabilities: 0,
    actions: 0,
    ports: version < 4 ? [port(1), port(2), port(3)] : undefined,
  };
}

/** A controller whose words are collected as text: name, then what matters, without xid and packet dumps. */
function controller(settings: Partial<SwitchSettings>, version: Version = 1) {
  const clock = new SimClock();
  const said: string[] = [];
  const it = new LearningSwitch({ ...LEARN, ...settings }, version, clock, "sim", (message, options) => {
    const text = printMessage(encode(message, version, { ...options, xid: options.xid ?? 1 }), {
      verbosity: 1,
    });
    said.push(text.split("\n")[0]!.replace(/ \(OF1\.\d\)/, ""));
  });
  const hear = (message: Message): void => {
    const decoded = decode(encode(message, version, { xid: 7 }));
    if (decoded instanceof OfpError) throw decoded;
    it.receive(decoded, () => "");
  };
  const flush = (): string[] => said.splice(0);
  return { it, clock, hear, flush };
}

/** Past the greeting. */
function ready(settings: Partial<SwitchSettings>, version: Version = 1) {
  const c = controller(settings, version);
  c.it.start();
  c.hear(features(version));
  c.flush();
  return c;
}

const exact = (inPort: number, from: string, to: string): string =>
  `priority=65535,icmp,in_port=${inPort},vlan_tci=0x0000,dl_src=${from},dl_dst=${to},nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_tos=0,icmp_type=8,icmp_code=0 idle:60`;
const EXACT = exact(2, B, A);

t.test("greeting", (t) => {
  const flow = (text: string) => parseFlow(text, OFPFC_ADD);
  const plain = flow("priority=5,ip,actions=output:2");
  const table = flow("table=3,tcp,actions=drop");
  const nxm = flow("reg0=1,actions=drop");
  const greet = [
    "OFPT_FEATURES_REQUEST (xid=0x1):",
    "OFPT_SET_CONFIG (xid=0x1): frags=normal miss_send_len=128",
  ];
  const add = "OFPT_FLOW_MOD (xid=0x1): ADD";
  const cases: { name: string; version: Version; flows: ReturnType<typeof flow>[]; want: string[] }[] = [
    { name: "1.0", version: 1, flows: [], want: [] },
    { name: "1.2", version: 3, flows: [], want: [] },
    {
      name: "1.3 drops by default",
      version: 4,
      flows: [],
      want: [`${add} priority=0 actions=CONTROLLER:128`],
    },
    { name: "flows", version: 1, flows: [plain], want: [`${add} priority=5,ip actions=output:2`] },
    {
      name: "a table needs an extension in 1.0",
      version: 1,
      flows: [plain, table],
      want: [
        "NXT_FLOW_MOD_TABLE_ID (xid=0x1): enable",
        `${add} table:255 priority=5,ip actions=output:2`,
        `${add} table:3 tcp actions=drop`,
      ],
    },
    {
      name: "so does a register",
      version: 1,
      flows: [nxm],
      want: [
        "NXT_SET_FLOW_FORMAT (xid=0x1): format=nxm",
        "NXT_FLOW_MOD (xid=0x1): ADD reg0=0x1 actions=drop",
      ],
    },
    { name: "what 1.1 cannot carry is not sent", version: 2, flows: [plain, nxm], want: [] },
  ];
  for (const { name, version, flows, want } of cases) {
    const usable = flows.reduce((set, one) => set & one.usable, P_ANY);
    const c = controller({ flows: flows.map(({ fm }) => fm), usable }, version);
    c.it.start();
    t.same(c.flush(), [...greet, ...want], name);
  }
  t.end();
});

t.test("packets", (t) => {
  const out = (xid: string, text: string): string => `OFPT_PACKET_OUT (xid=${xid}): ${text}`;
  const broadcast = packetIn(1, frame(ALL, A, ARP));
  const known = packetIn(2, frame(A, B, ICMP));
  const flood = out("0x1", "in_port=1 actions=FLOOD data_len=42");
  const cases: {
    name: string;
    settings: Partial<SwitchSettings>;
    version?: Version;
    hear: Message[];
    want: string[];
  }[] = [
    {
      name: "floods, then knows",
      settings: {},
      hear: [broadcast, known],
      want: [
        flood,
        `OFPT_FLOW_MOD (xid=0x1): ADD ${EXACT} actions=output:1`,
        out("0x1", "in_port=2 actions=output:1 data_len=42"),
      ],
    },
    {
      name: "a buffer goes with the flow",
      settings: {},
      hear: [broadcast, packetIn(2, frame(A, B, ICMP), { bufferId: 77 })],
      want: [flood, `OFPT_FLOW_MOD (xid=0x1): ADD ${EXACT} buf:0x4d actions=output:1`],
    },
    {
      name: "--noflow",
      settings: { maxIdleSec: undefined },
      hear: [broadcast, known],
      want: [flood, out("0x1", "in_port=2 actions=output:1 data_len=42")],
    },
    {
      name: "--noflow, to where it came from, buffered",
      settings: { maxIdleSec: undefined },
      hear: [broadcast, packetIn(1, frame(A, A, ICMP), { bufferId: 9 }), packetIn(1, frame(A, A, ICMP))],
      want: [flood, out("0x1", "in_port=1 actions=drop buffer=0x00000009")],
    },
    {
      name: "--max-idle=permanent",
      settings: { maxIdleSec: 0 },
      hear: [broadcast, known],
      want: [
        flood,
        `OFPT_FLOW_MOD (xid=0x1): ADD ${EXACT.replace(" idle:60", "")} actions=output:1`,
        out("0x1", "in_port=2 actions=output:1 data_len=42"),
      ],
    },
    {
      name: "--hub learns nothing and sets up flows",
      settings: { mode: "hub" },
      hear: [broadcast, known],
      want: [
        `OFPT_FLOW_MOD (xid=0x1): ADD priority=1,arp,in_port=1,vlan_tci=0x0000,dl_src=${A},dl_dst=${ALL},arp_spa=10.0.0.1,arp_tpa=10.0.0.2,arp_op=1 idle:60 actions=FLOOD`,
        flood,
        `OFPT_FLOW_MOD (xid=0x1): ADD ${EXACT} actions=FLOOD`,
        out("0x1", "in_port=2 actions=FLOOD data_len=42"),
      ],
    },
    {
      name: "--normal",
      settings: { mode: "normal" },
      hear: [broadcast, known],
      want: [
        flood,
        `OFPT_FLOW_MOD (xid=0x1): ADD ${EXACT} actions=NORMAL`,
        out("0x1", "in_port=2 actions=NORMAL data_len=42"),
      ],
    },
    {
      name: "--wildcards",
      settings: { wildcards: 0x3820f0 },
      hear: [broadcast, packetIn(2, frame(A, B, `8100200a${ICMP}`))],
      want: [
        flood,
        `OFPT_FLOW_MOD (xid=0x1): ADD priority=1,in_port=2,dl_vlan=10,dl_src=${B},dl_dst=${A} idle:60 actions=output:1`,
        out("0x1", "in_port=2 actions=output:1 data_len=46"),
      ],
    },
    {
      name: "--queue, and another for p1",
      settings: { defaultQueue: 3, portQueues: new Map([["p1", 7]]) },
      hear: [broadcast, known, packetIn(1, frame(B, A, ICMP), { bufferId: 5 })],
      want: [
        flood,
        `OFPT_FLOW_MOD (xid=0x1): ADD ${EXACT} actions=enqueue:1:3`,
        out("0x1", "in_port=2 actions=enqueue:1:3 data_len=42"),
        `OFPT_FLOW_MOD (xid=0x1): ADD ${exact(1, A, B)} buf:0x5 actions=enqueue:2:7`,
      ],
    },
    {
      name: "queues of 1.3, where ports are asked for",
      settings: { portQueues: new Map([["p2", 9]]), maxIdleSec: undefined },
      version: 4,
      hear: [{ type: "port-desc-reply", ports: [port(1), port(2)] }, broadcast, known],
      want: [flood, out("0x1", "in_port=2 actions=set_queue:9,output:1,pop_queue data_len=42")],
    },
    {
      name: "reserved addresses stay here",
      settings: {},
      hear: [packetIn(3, frame("01:80:c2:00:00:0e", A, "88cc 0000"))],
      want: [
        `OFPT_FLOW_MOD (xid=0x1): ADD priority=1,in_port=3,vlan_tci=0x0000,dl_src=${A},dl_dst=01:80:c2:00:00:0e,dl_type=0x88cc idle:60 actions=drop`,
      ],
    },
    {
      name: "a multicast source is not learned",
      settings: {},
      hear: [
        packetIn(3, frame(ALL, "01:00:00:00:00:05", ICMP)),
        packetIn(1, frame("01:00:00:00:00:05", A, ICMP)),
      ],
      want: [out("0x1", "in_port=3 actions=FLOOD data_len=42"), flood],
    },
    {
      name: "what an action sent is ignored",
      settings: {},
      hear: [packetIn(1, frame(ALL, A, ARP), { reason: 1 })],
      want: [],
    },
    {
      name: "echo",
      settings: {},
      hear: [{ type: "echo-request", payload: Uint8Array.of(1) }],
      want: ["OFPT_ECHO_REPLY (xid=0x7): 1 bytes of payload"],
    },
    {
      name: "--mute",
      settings: { mute: true },
      hear: [broadcast, known, { type: "echo-request", payload: new Uint8Array(0) }],
      want: [],
    },
  ];
  for (const { name, settings, version, hear, want } of cases) {
    const c = ready(settings, version);
    for (const message of hear) c.hear(message);
    t.same(c.flush(), want, name);
  }
  t.end();
});

t.test("before the features are known", (t) => {
  const c = controller({});
  c.it.start();
  c.flush();
  c.hear(packetIn(1, frame(ALL, A, ARP)));
  t.same(c.flush(), [], "packets wait");
  c.hear({ type: "echo-request", payload: new Uint8Array(0) });
  t.equal(c.flush().length, 1, "echo does not");
  t.end();
});

t.test("addresses age and move", async (t) => {
  const c = ready({ maxIdleSec: undefined });
  const ask = (): string => {
    c.hear(packetIn(3, frame(A, B, ICMP)));
    return /actions=(\S*)/.exec(c.flush()[0]!)![1]!;
  };
  c.hear(packetIn(1, frame(ALL, A, ARP)));
  c.flush();
  t.equal(ask(), "output:1");
  c.hear(packetIn(2, frame(ALL, A, ARP)));
  c.flush();
  t.equal(ask(), "output:2", "moved");
  await c.clock.warp(299_000);
  t.equal(ask(), "output:2", "299 s later");
  await c.clock.warp(2_000);
  t.equal(ask(), "FLOOD", "301 s later");
});

t.test("a silent switch is given up", async (t) => {
  const clock = new SimClock();
  const [ours, theirs] = memoryPair(clock, "memory:x");
  const heard: string[] = [];
  let gone = false;
  let closed = false;
  theirs.handler = {
    data: (bytes) => {
      for (let at = 0; at < bytes.length; at += (bytes[at + 2]! << 8) | bytes[at + 3]!)
        heard.push(String(bytes[at + 1]));
    },
    close: () => {
      gone = true;
    },
  };
  new SwitchConnection(ours, 2, LEARN, clock, () => {
    closed = true;
  });
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
  };
  theirs.write(encode({ type: "hello", versions: 2, understood: true }, 1, { xid: 1 }));
  await settle();
  t.same(heard.splice(0), ["0", "5", "9"], "hello, features request, set config");
  await clock.warp(61_000);
  await settle();
  t.same(heard.splice(0), ["2"], "a probe after 60 s");
  t.notOk(closed);
  await clock.warp(61_000);
  await settle();
  t.ok(closed, "no answer for 60 s more");
  t.ok(gone);
});

t.test("options", (t) => {
  const parse = (...args: string[]) => {
    const settings = defaultSettings();
    const rest = getopt("x", [controllerOptions(settings), versionOptions(settings)], args);
    return { ...settings, complaint: settleMode(settings), mode: settings.mode, rest };
  };
  const good: { args: string[]; want: Record<string, unknown> }[] = [
    { args: [], want: { mode: "learn", maxIdleSec: 60, wildcards: 0, versions: 0x7e, mute: false } },
    { args: ["-w"], want: { wildcards: 0x3820f0 } },
    { args: ["-w0x2000EC"], want: { wildcards: 0x2000ec } },
    { args: ["--wildcards=2820f0"], want: { wildcards: 0x2820f0 } },
    { args: ["-wzz"], want: { wildcards: 0 } },
    { args: ["--max-idle=permanent"], want: { maxIdleSec: 0 } },
    { args: ["-H"], want: { mode: "hub", complaint: undefined } },
    { args: ["-N", "x"], want: { mode: "normal", rest: ["x"] } },
    {
      args: ["-H", "-q", "1"],
      want: { mode: "learn", complaint: "queue IDs are incompatible with -H or --hub; not acting as hub" },
    },
    {
      args: ["-N", "-Q", "eth0:2"],
      want: {
        mode: "learn",
        complaint: "queue IDs are incompatible with -N or --normal; not using OFPP_NORMAL",
      },
    },
    { args: ["-q", "4294967295"], want: { defaultQueue: undefined } },
    { args: ["-O", "OpenFlow10,OpenFlow13"], want: { versions: 0x12 } },
    { args: ["--mute", "--unixctl=a"], want: { mute: true, unixctl: "a" } },
  ];
  for (const { args, want } of good) t.match(parse(...args), want, args.join(" "));
  const form = 'argument to -Q or --port-queue should take the form "<port-name>:<queue-id>"';
  const idle = "--max-idle argument must be between 1 and 65535 or the word 'permanent'";
  const bad: [args: string[], want: string][] = [
    [["--max-idle=0"], idle],
    [["--max-idle=65536"], idle],
    [["-Q", "foo"], form],
    [["-Q", ":1"], form],
    [["-Q", "a:"], form],
    [["-Q", "a:1", "-Q", "a:2"], "<port-name> arguments for -Q or --port-queue must be unique"],
    [["-O", "foo"], 'Unknown OpenFlow version: "foo"'],
  ];
  for (const [args, want] of bad) t.throws(() => parse(...args), { message: want }, args.join(" "));
  t.same(["tcp:1.2.3.4", "tcp:1.2.3.4:5", "ssl:[::1]", "tcp:::1", "unix:a"].map(withActivePort), [
    "tcp:1.2.3.4:6653",
    "tcp:1.2.3.4:5",
    "ssl:[::1]:6653",
    "tcp:[::1]:6653",
    "unix:a",
  ]);
  t.same(["ptcp:", "ptcp::[::1]", "pssl:7", "punix:x"].map(withPassivePort), [
    "ptcp:6653",
    "ptcp:6653:[::1]",
    "pssl:7",
    "punix:x",
  ]);
  t.end();
});
