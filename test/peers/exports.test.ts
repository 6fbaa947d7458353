/**
 * Debian's exporters and ours fed the same frames: sFlow, IPFIX of a bridge and of flows, NetFlow 5. Every field of every record
 * is compared; what may differ is listed in {@link DIFFERENCES}.
 */
import { createSocket, type Socket } from "node:dgram";
import t from "tap";
import { Collector } from "../../src/export/codec/collector.ts";
import { toJson } from "../../src/export/codec/describe.ts";
import { withoutPeer } from "../system/bin.ts";
import { DummySwitch, ours, SWITCH_PROGRAMS, sleep, theirs } from "./dummy-switch.ts";

const skip = withoutPeer(...SWITCH_PROGRAMS);
const EXPORTERS = ["sflow", "ipfix", "flow", "netflow"] as const;
type Exporter = (typeof EXPORTERS)[number];
type Fields = Record<string, unknown>;

const ETH = "eth(src=50:54:00:00:00:01,dst=50:54:00:00:00:02)";
const v4 = (proto: number, more = ""): string =>
  `eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=${proto},tos=0x20,ttl=64,frag=no)${more}`;
const v6 = (proto: number, more: string): string =>
  `eth_type(0x86dd),ipv6(src=fe80::1,dst=fe80::2,label=0x12345,proto=${proto},tclass=0x70,hlimit=128,frag=no),${more}`;
const FRAMES = [
  v4(6, ",tcp(src=1000,dst=80),tcp_flags(0x012)"),
  v4(17, ",udp(src=1000,dst=53)"),
  v4(1, ",icmp(type=8,code=0)"),
  v4(132, ",sctp(src=5,dst=6)"),
  v4(47),
  v6(17, "udp(src=7,dst=8)"),
  v6(58, "icmpv6(type=128,code=0)"),
  `eth_type(0x8100),vlan(vid=10,pcp=3),encap(${v4(17, ",udp(src=1000,dst=53)")})`,
  "eth_type(0x0806),arp(sip=10.0.0.1,tip=10.0.0.2,op=1,sha=50:54:00:00:00:01,tha=00:00:00:00:00:00)",
];
const ROUNDS = 2;

/** Field → why it differs; all others are equal. */
const DIFFERENCES: Readonly<Record<Exporter, Readonly<Record<string, string>>>> = {
  sflow: {
    "app_resources.user_time_ms": "measured",
    "app_resources.system_time_ms": "measured",
    "app_resources.memory_used": "measured",
    "ovs_datapath.mask_hit": "the peer's userspace datapath has no such number: all ones",
    "ovs_datapath.masks": "likewise",
  },
  ipfix: {
    flowStartDeltaMicroseconds: "measured",
    flowEndDeltaMicroseconds: "measured",
    droppedPacketDeltaCount: "the peer counts ICMPv6 as dropped though it sends it on",
    droppedOctetDeltaCount: "likewise",
    droppedPacketTotalCount: "likewise",
    droppedOctetTotalCount: "likewise",
  },
  flow: {
    flowStartDeltaMicroseconds: "measured",
    flowEndDeltaMicroseconds: "measured",
    droppedPacketDeltaCount: "as above",
    droppedOctetDeltaCount: "as above",
    droppedPacketTotalCount: "as above",
    droppedOctetTotalCount: "as above",
  },
  netflow: {
    first_ms: "measured; the peer's is the connection's first packet, ours the first since the last report",
    last_ms: "measured",
  },
};

class Side {
  readonly datagrams: Record<Exporter, Uint8Array[]> = { sflow: [], ipfix: [], flow: [], netflow: [] };
  readonly #sockets: Socket[] = [];
  readonly #switch: DummySwitch;

  constructor(program: (name: string) => string) {
    this.#switch = new DummySwitch(program);
  }

  async #listen(exporter: Exporter): Promise<string> {
    const socket = createSocket("udp4");
    this.#sockets.push(socket);
    socket.on("message", (bytes) => this.datagrams[exporter].push(bytes));
    await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
    return `targets="127.0.0.1:${socket.address().port}"`;
  }

  #vsctl(...args: string[]): void {
    this.#switch.run("ovs-vsctl", "-t", "20", ...args);
  }

  async start(): Promise<void> {
    const { run } = this.#switch;
    const [sflow, ipfix, flow, netflow] = await Promise.all(EXPORTERS.map((one) => this.#listen(one)));
    await this.#switch.start();
    const sample =
      "sample(probability=65535,collector_set_id=1,obs_domain_id=7,obs_point_id=8,sampling_port=2)";
    for (const rule of [
      "priority=2,in_port=1,dl_type=0x86dd,actions=output:2,output:3",
      "priority=1,in_port=1,actions=output:2",
      `priority=1,in_port=3,actions=${sample},output:2`,
    ]) {
      run.call(this.#switch, "ovs-ofctl", "add-flow", "br0", rule);
    }
    this.#vsctl(
      ...["--", "--id=@s", "create", "sFlow", sflow!, "sampling=1", "header=128", "polling=1"],
      ...["agent=127.0.0.1", "--", "set", "bridge", "br0", "sflow=@s"],
      ...["--", "--id=@i", "create", "IPFIX", ipfix!, "sampling=1", "obs_domain_id=123", "obs_point_id=456"],
      ...["cache_active_timeout=0", "--", "set", "bridge", "br0", "ipfix=@i"],
      ...["--", "--id=@b", "get", "bridge", "br0", "--", "--id=@f", "create", "IPFIX", flow!],
      ...["--", "create", "Flow_Sample_Collector_Set", "id=1", "bridge=@b", "ipfix=@f"],
      ...["--", "--id=@n", "create", "NetFlow", netflow!, "active_timeout=1", "engine_type=2"],
      ...["engine_id=3", "--", "set", "bridge", "br0", "netflow=@n"],
    );
  }

  /** The same frames on each port; from p2 they go nowhere. */
  send(): void {
    for (const port of [1, 3, 2]) {
      const frames = FRAMES.map((frame) => `in_port(${port}),${ETH},${frame}`);
      for (let round = 0; round < ROUNDS; round++) {
        this.#switch.appctl("netdev-dummy/receive", `p${port}`, ...frames);
      }
    }
  }

  decoded(exporter: Exporter): Fields[] {
    const collector = new Collector();
    return this.datagrams[exporter].map((bytes) => toJson(collector.receive(bytes, "switch"), "") as Fields);
  }

  stop(): void {
    this.#switch.stop();
    for (const socket of this.#sockets) socket.close();
  }
}

function without(fields: Fields, exporter: Exporter): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !(name in DIFFERENCES[exporter])));
}

interface SampleJson extends Fields {
  kind: string;
  records: (Fields & { record: string })[];
}

/** A sample with its records' fields, in their order, as fields of its own. */
function flat({ records, ...sample }: SampleJson): Fields {
  const fields = records.flatMap(({ record, ...values }) =>
    Object.entries(values).map(([name, value]) => [`${record}.${name}`, value]),
  );
  return { ...sample, ...Object.fromEntries(fields) };
}

function samples(side: Side, kind: string): Fields[] {
  const all = side.decoded("sflow").flatMap((datagram) => datagram.samples as SampleJson[]);
  return all.filter((sample) => sample.kind === kind).map((sample) => without(flat(sample), "sflow"));
}

/** Statistics of the exporter itself apart. */
function records(side: Side, exporter: "ipfix" | "flow"): Fields[] {
  const all = side.decoded(exporter).flatMap((datagram) => datagram.records as Fields[]);
  return all.filter((record) => !("exportingProcessId" in record)).map((record) => without(record, exporter));
}

/** Reports of a connection added up: how often it is reported depends on when its packets came. */
function connections(side: Side): Record<string, number[]> {
  const sums = new Map<string, number[]>();
  for (const record of side.decoded("netflow").flatMap((datagram) => datagram.records as Fields[])) {
    const { packets, octets, tcp_flags, ...rest } = without(record, "netflow");
    const key = JSON.stringify(rest);
    const [p, o, flags] = sums.get(key) ?? [0, 0, 0];
    sums.set(key, [p! + Number(packets), o! + Number(octets), flags! | Number(tcp_flags)]);
  }
  return Object.fromEntries([...sums].sort());
}

async function until(what: string, test: () => boolean): Promise<void> {
  for (let i = 0; i < 600; i++) {
    if (test()) return;
    await sleep(100);
  }
  throw new Error(`not within a minute: ${what}`);
}

t.test("the peer's exporters and ours tell the same of the same frames", { skip }, async (t) => {
  const sides = [new Side(ours), new Side(theirs)] as const;
  t.teardown(() => {
    for (const side of sides) side.stop();
  });
  await Promise.all(sides.map((side) => side.start()));
  for (const side of sides) side.send();
  const perPort = FRAMES.length * ROUNDS;
  // VLAN and others share connections; ARP and IPv6 have none.
  const netflow = (side: Side): number => Object.values(connections(side)).reduce((sum, [p]) => sum + p!, 0);
  await until("all has come", () =>
    sides.every(
      (side) =>
        samples(side, "flow").length === 3 * perPort &&
        samples(side, "counters").length > 2 &&
        records(side, "flow").length === perPort &&
        netflow(side) === 3 * 6 * ROUNDS,
    ),
  );
  const [mine, peers] = sides;
  t.strictSame(samples(mine, "flow"), samples(peers, "flow"), "sFlow: each sample");
  const counters = (side: Side): Fields => ({ ...samples(side, "counters").at(-1), sequence: "" });
  t.strictSame(counters(mine), counters(peers), "sFlow: the bridge's counters");
  const ipfix = records(mine, "ipfix");
  // One going in each, and one going out for each output.
  t.equal(ipfix.length, 3 * perPort + perPort + 2 * ROUNDS + perPort);
  t.strictSame(ipfix, records(peers, "ipfix"), "IPFIX of the bridge: each record");
  t.strictSame(records(mine, "flow"), records(peers, "flow"), "IPFIX of flows: each record");
  t.strictSame(connections(mine), connections(peers), "NetFlow: each connection");
  const [header, other] = sides.map((side) => side.decoded("netflow")[0]!);
  t.match(header, { version: 5, engine_type: 2, engine_id: 3, sampling: other!.sampling }, "NetFlow: header");
  const templates = (side: Side): Fields[] =>
    side.decoded("ipfix").flatMap((datagram) => datagram.templates as Fields[]);
  const byId = (side: Side): Fields =>
    Object.fromEntries(templates(side).map(({ id, ...template }) => [String(id), template]));
  t.strictSame(byId(mine), byId(peers), "IPFIX: every template");
});
