/** sFlow, IPFIX and NetFlow: codecs against datagrams of the original, exporters in simulated time. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import t from "tap";
import { Collector, type Decoded } from "../../src/export/codec/collector.ts";
import { toJson, toLines } from "../../src/export/codec/describe.ts";
import { MessageReader, MessageWriter, type Template } from "../../src/export/codec/ipfix.ts";
import { ByteWriter, CodecError } from "../../src/export/codec/layout.ts";
import { readNetflow5, writeNetflow5 } from "../../src/export/codec/netflow5.ts";
import { readSflow, type Sample, writeSample, writeSflow } from "../../src/export/codec/sflow.ts";
import { Collectors } from "../../src/export/collectors.ts";
import { IpfixExporter, type IpfixOptions, type IpfixSample } from "../../src/export/ipfix.ts";
import { Netflow, type NetflowOptions, OUTPUT_MULTI } from "../../src/export/netflow.ts";
import { outputMany, SflowAgent, type SflowOptions } from "../../src/export/sflow.ts";
import { StreamCollector } from "../../src/export/stream-collector.ts";
import { type TunnelInfo, tunnelInfo, tunnelRecords } from "../../src/export/tunnels.ts";
import * as L from "../../src/flow/layout.ts";
import type { DatagramEvents, Datagrams } from "../../src/lib/datagram.ts";
import { SimClock } from "../../src/lib/sim-clock.ts";
import { MemoryNetwork } from "../../src/lib/stream-memory.ts";

function recorded(name: string): { protocol: string; bytes: Uint8Array }[] {
  const lines = readFileSync(new URL(`data/${name}`, import.meta.url), "utf8").split("\n");
  return lines
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const [protocol, hex] = line.split(" ");
      return { protocol: protocol!, bytes: new Uint8Array(Buffer.from(hex!, "hex")) };
    });
}
const peer = recorded("peer.txt");
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

t.test("what the original sends is read, and written again is the same bytes", (t) => {
  const reader = new MessageReader();
  const out = new ByteWriter();
  for (const { protocol, bytes } of peer) {
    if (protocol === "sflow") {
      out.reset();
      writeSflow(out, readSflow(bytes));
      // The original leaves what it finds in the padding.
      t.equal(out.length, bytes.length);
      t.strictSame(readSflow(out.written()), readSflow(bytes));
    } else if (protocol === "netflow") {
      t.equal(hexOf(writeNetflow5(out, readNetflow5(bytes))), hexOf(bytes));
    } else {
      const message = reader.read(bytes);
      if (message.missing.length > 0) continue;
      const writer = new MessageWriter(out, message);
      writer.templates(message.templates);
      let open: Template | undefined;
      for (const { template, values } of message.records) {
        if (template !== open) writer.data(template);
        open = template;
        writer.record(template, values);
      }
      t.equal(hexOf(writer.end()), hexOf(bytes));
    }
  }
  t.end();
});

t.test("a collector adds up what it gets", (t) => {
  const collector = new Collector();
  const lines: string[] = [];
  for (const { bytes } of peer) {
    const decoded = collector.receive(bytes, "peer");
    lines.push(...toLines(decoded, "peer", (frame) => hexOf(frame)));
    t.doesNotThrow(() => JSON.stringify(toJson(decoded, "peer")));
  }
  const { totals } = collector;
  t.match(totals, { withoutTemplate: 1, malformed: 0 }, "the statistics came before their template");
  t.ok(
    lines.some((line) =>
      /^ {2}192\.168\.0\.1:1234 > 192\.168\.0\.2:80, protocol 6, ports 1 > 2, 2 packets/.test(line),
    ),
  );
  t.ok(lines.some((line) => line.includes("interfaceName=p1 ipVersion=4 ipTTL=63 protocolIdentifier=6")));
  t.ok(lines.some((line) => line.includes("app_resources: user_time_ms=")));
  const gappy = new Collector();
  const [first, , third] = peer.filter(({ protocol }) => protocol === "sflow").map(({ bytes }) => bytes);
  t.equal(gappy.receive(first!, "peer").lost, 0);
  const late = gappy.receive(third!, "peer");
  t.equal(late.lost, 1);
  t.match(toLines(late, "peer", hexOf)[0], /^1 missing before the next/);
  t.match(toJson(late, "peer"), { lost: 1, sequence: 5 });
  t.throws(() => new Collector("ipfix").receive(peer[0]!.bytes, "peer"), {
    message: /^sflow came where ipfix/,
  });
  t.end();
});

t.test("cut and random datagrams end in a CodecError or nothing", (t) => {
  const survive = (bytes: Uint8Array): void => {
    try {
      new Collector().receive(bytes, "x");
    } catch (error) {
      if (!(error instanceof CodecError)) throw error;
    }
  };
  for (const { bytes } of peer) for (let n = 0; n < bytes.length; n++) survive(bytes.subarray(0, n));
  fc.assert(
    fc.property(
      fc.constantFrom([0, 0, 0, 5], [0, 5], [0, 9], [0, 10]),
      fc.uint8Array({ maxLength: 300 }),
      (head, tail) => survive(Uint8Array.from([...head, ...tail])),
    ),
    { numRuns: process.env.OVSBOX_FULL ? 200_000 : 2000 },
  );
  t.end();
});

/** Sockets that keep what was sent. */
class FakeDatagrams implements Datagrams {
  readonly sent: { to: string; bytes: Uint8Array }[] = [];
  readonly events = new Map<string, DatagramEvents>();
  udp(host: string, port: number, events: DatagramEvents) {
    const to = `${host}:${port}`;
    this.events.set(to, events);
    return {
      localAddress: "192.0.2.1",
      send: (bytes: Uint8Array) => this.sent.push({ to, bytes: bytes.slice() }) > 0,
      close: () => void this.events.delete(to),
    };
  }
  deviceAddress(): undefined {}
  listen(): never {
    throw new Error("not here");
  }
  /** What has come since the last call, decoded. */
  take(): Decoded[] {
    return this.sent.splice(0).map(({ to, bytes }) => this.collector.receive(bytes, to));
  }
  readonly collector = new Collector();
}

interface Packet {
  inPort?: number;
  src?: number;
  dst?: number;
  proto?: number;
  tp?: number;
  type?: number;
}

function packet({
  inPort = 1,
  src = 0x0a000001,
  dst = 0x0a000002,
  proto = 6,
  tp = (1234 << 16) | 80,
  type = 0x0800,
}: Packet) {
  const flow = new Int32Array(L.FLOW_WORDS);
  flow[L.W_IN_PORT] = inPort;
  flow[L.W_ETH_DST_HI] = 0x50540000;
  flow[L.W_ETH_DST_SRC] = 0x00075054;
  flow[L.W_ETH_SRC_LO] = 0x00000005;
  flow[L.W_ETH_TYPE] = type;
  flow[L.W_IPV4_SRC] = src;
  flow[L.W_IPV4_DST] = dst;
  flow[L.W_NW] = proto | (64 << 16);
  flow[L.W_TP] = tp;
  return flow;
}

const netflowOptions: NetflowOptions = {
  targets: ["10.9.9.9:2055"],
  version: 5,
  engineType: 2,
  engineId: 1,
  addIdToInterface: false,
  activeTimeoutMs: 10_000,
  templateIntervalMs: 600_000,
};

t.test("NetFlow: one learning packet, 59 more, 60 back, in records that add up", async (t) => {
  for (const version of [5, 9] as const) {
    const clock = new SimClock();
    const net = new FakeDatagrams();
    const netflow = new Netflow(clock, new Collectors(net, 0, () => {}), { ...netflowOptions, version });
    const there = packet({});
    const back = packet({ inPort: 2, src: 0x0a000002, dst: 0x0a000001, tp: (80 << 16) | 1234 });
    for (let i = 0; i < 60; i++) {
      netflow.update(there, i === 0 ? OUTPUT_MULTI : 2, 1, 54, clock.now(), 0x10);
      netflow.update(back, 1, 1, 54, clock.now(), 0x10);
      await clock.warp(1000);
    }
    netflow.update(packet({ type: 0x0806 }), 2, 1, 42, clock.now(), 0);
    netflow.close();
    const sums = new Map<string, number>();
    const add = (key: string, packets: number, octets: number): void => {
      t.equal(octets, packets * 54);
      sums.set(key, (sums.get(key) ?? 0) + packets);
    };
    for (const { datagram } of net.take()) {
      if ("engine_id" in datagram) {
        t.match(datagram, { engine_type: 2, engine_id: 1 });
        for (const r of datagram.records) add(`${r.input}>${r.output}`, r.packets, r.octets);
      } else if ("templates" in datagram) {
        t.equal(datagram.domain, 0x0201);
        for (const { values: v } of datagram.records) {
          add(
            `${v.ingressInterface}>${v.egressInterface}`,
            Number(v.packetDeltaCount),
            Number(v.octetDeltaCount),
          );
        }
      }
    }
    t.strictSame(Object.fromEntries(sums), { "1>65535": 1, "1>2": 59, "2>1": 60 }, `version ${version}`);
    t.match(net.collector.totals, { packets: 120, lost: 0, withoutTemplate: 0, malformed: 0 });
  }
});

t.test("NetFlow: octets past 32 bits are shared out over records; interfaces carry the engine", (t) => {
  const clock = new SimClock();
  const net = new FakeDatagrams();
  const netflow = new Netflow(clock, new Collectors(net, 0, () => {}), {
    ...netflowOptions,
    addIdToInterface: true,
  });
  netflow.update(packet({}), 3, 10_000_000, 15_000_000_000, clock.now(), 0);
  netflow.close();
  const records = net.take().flatMap(({ datagram }) => ("engine_id" in datagram ? datagram.records : []));
  t.equal(records.length, 4);
  t.equal(
    records.reduce((sum, r) => sum + r.octets, 0),
    15_000_000_000,
  );
  t.equal(
    records.reduce((sum, r) => sum + r.packets, 0),
    10_000_000,
  );
  t.match(records[0], { input: (1 << 9) | 1, output: (1 << 9) | 3 });
  t.end();
});

const sflowOptions: SflowOptions = {
  targets: ["10.9.9.9"],
  sampling: 64,
  pollingSec: 5,
  headerBytes: 128,
  agent: Uint8Array.of(192, 0, 2, 1),
  subAgent: 3,
};

t.test("sFlow: samples fill datagrams, counters come on time", async (t) => {
  const clock = new SimClock();
  const net = new FakeDatagrams();
  let lost = 5;
  const agent = new SflowAgent(clock, new Collectors(net, 6343, () => {}), sflowOptions, {
    counters: () => [],
    lostSamples: () => lost,
  });
  agent.setPorts(
    new Map([["p1", { ifIndex: 7, records: () => [{ name: "port_name", values: { name: "p1" } }] }]]),
  );
  const frame = new Uint8Array(1500).fill(0xab);
  const ways = [outputMany(2), 8].map((output) => ({ input: 7, output, records: [] }));
  for (let i = 0; i < 20; i++) {
    agent.sample(ways[i === 0 ? 0 : 1]!, frame, 0, 1500);
  }
  await clock.warp(11_000, 1000);
  const largest = Math.max(...net.sent.map(({ bytes }) => bytes.length));
  const datagrams = net.take().map(({ datagram }) => datagram);
  const samples = datagrams.flatMap((d) => ("samples" in d ? d.samples : []));
  const flows = samples.filter((s) => s.kind === "flow");
  t.equal(flows.length, 20);
  t.ok(datagrams.length > 3, "split");
  t.ok(largest <= 1400, "to fit a frame");
  t.match(flows[19], {
    sequence: 20,
    pool: 20 * 64,
    rate: 64,
    source: { type: 2, index: 1003 },
    input: 7,
    output: 8,
  });
  t.match(flows[0]!.records[0], {
    name: "raw_header",
    values: { frame_length: 1504, stripped: 4, protocol: 1 },
  });
  t.equal((flows[0]!.records[0] as { values: { header: Uint8Array } }).values.header.length, 128);
  t.match(
    samples.filter((s) => s.kind === "counters" && s.source.type === 0),
    [1, 2, 3].map((sequence) => ({ sequence, source: { type: 0, index: 7 } })),
    "at 1, 6 and 11 s",
  );
  lost = 7;
  await clock.warp(1000);
  agent.sample(ways[1]!, frame, 3, 61);
  await clock.warp(1000);
  const last = net.take().flatMap(({ datagram }) => ("samples" in datagram ? datagram.samples : []));
  t.match(last, [{ sequence: 21, drops: 2, records: [{ values: { frame_length: 65 } }] }]);
  t.equal(net.collector.totals.lost, 0);
  agent.close();
});

const ipfixOptions: IpfixOptions = {
  targets: ["10.9.9.9"],
  cacheActiveTimeoutMs: 2000,
  cacheMaxFlows: 3,
  templateIntervalMs: 60_000,
  statsIntervalMs: 600_000,
  virtualObsId: undefined,
  tunnels: true,
};
const port = (name: string) => ({ ifIndex: 5, ifType: 6, name, description: "" });

function sample(more: Partial<IpfixSample>): IpfixSample {
  return {
    flow: packet({}),
    length: 54,
    ipLength: 40,
    tcpFlags: 0x12,
    weight: 1,
    domain: 123,
    point: 456,
    input: port("p1"),
    output: undefined,
    tunnel: undefined,
    dropped: false,
    ...more,
  };
}

t.test(
  "IPFIX: flows are added up, expire, overflow; templates come first, at intervals, and to who returns",
  async (t) => {
    const clock = new SimClock();
    const net = new FakeDatagrams();
    const exporter = new IpfixExporter(clock, new Collectors(net, 4739, () => {}), ipfixOptions);
    for (let i = 0; i < 5; i++) exporter.sample(sample({}));
    await clock.warp(3000, 1000);
    const first = net.take().map(({ datagram }) => datagram);
    const records = () =>
      net.take().flatMap(({ datagram }) => ("templates" in datagram ? datagram.records : []));
    const data = first
      .flatMap((d) => ("templates" in d ? d.records : []))
      .filter((r) => r.template.scopeFields === 0);
    t.equal(data.length, 1);
    t.match(data[0]!.values, {
      observationPointId: 456,
      flowDirection: 0,
      interfaceName: "p1",
      packetDeltaCount: 5,
      octetDeltaCount: 200,
      layer2OctetDeltaCount: 270,
      octetDeltaSumOfSquares: 5 * 1600,
      minimumIpTotalLength: 40,
      flowEndReason: 2,
      tcpAckTotalCount: 5,
      tcpSynTotalCount: 5,
      tcpFinTotalCount: 0,
      ingressUnicastPacketTotalCount: 5,
    });
    t.equal(net.collector.totals.withoutTemplate, 0, "templates were there in time");

    for (let i = 0; i < 5; i++) exporter.sample(sample({ flow: packet({ tp: i }), output: port("p2") }));
    await clock.warp(1000);
    t.match(
      records().map((r) => r.values),
      [0, 1].map((destinationTransportPort) => ({
        destinationTransportPort,
        flowEndReason: 5,
        interfaceName2: "p2",
      })),
      "two too many",
    );
    await clock.warp(2000);
    t.equal(records().length, 3);

    const templates = async (): Promise<boolean> => {
      exporter.sample(sample({}));
      await clock.warp(3000, 1000);
      return net
        .take()
        .some(({ datagram }) => "templates" in datagram && datagram.templates.some((x) => x.id === 256));
    };
    t.notOk(await templates(), "not with every record");
    net.events.get("10.9.9.9:4739")!.failed!(new Error("connect ECONNREFUSED"));
    t.ok(await templates(), "a collector that refused may be new");
    t.notOk(await templates());
    await clock.warp(60_000, 1000);
    t.ok(await templates(), "after the interval");
    t.match(exporter.stats, {
      flows: 10,
      packets: 14,
      ipv4: 14,
      ipv6: 0,
      errors: 0,
      currentFlows: 0,
      txErrors: 1,
    });
    t.equal(net.collector.totals.lost, 0);
    exporter.close();
  },
);

/** How the original's records of tunnels and bonds read, and what makes ours the same. */
t.test("tunnels and LACP: the records of the original, byte by byte", (t) => {
  const sent = recorded("tunnels.txt");
  const samples = sent.flatMap(({ protocol, bytes }) =>
    protocol === "sflow" ? readSflow(bytes).samples : [],
  );
  const bytesOf = (sample: Sample): string => {
    const out = new ByteWriter();
    writeSample(out, sample);
    return hexOf(out.written());
  };
  const whole = sent.map(({ bytes }) => hexOf(bytes)).join("\n");

  const counters = samples.filter((sample) => sample.kind === "counters");
  const lacp = counters.flatMap(({ records }) => records).find((record) => record.name === "lacp")!;
  t.match(lacp, {
    values: {
      actor_system: Uint8Array.of(0x11, 0x22, 0x33, 0x44, 0x55, 0x66),
      partner_system: new Uint8Array(6),
      // Actor administrative and operational, partner likewise.
      port_state: 0x07bf0002,
      rx_marker_pdus: 0xffffffff,
      tx_lacpdus: 2,
    },
  });
  const alone = bytesOf({ kind: "counters", sequence: 1, source: { type: 0, index: 1 }, records: [lacp] });
  t.ok(whole.includes(alone.slice(2 * 20)), "LACP counters, written again");

  const tunnelled = (type: string, id: number, port: number, ingress: boolean): TunnelInfo => {
    const flow = packet({});
    const [mine, other] = [0x01010258, 0x0101025c];
    flow[L.W_TUN_SRC] = ingress ? other : mine;
    flow[L.W_TUN_DST] = ingress ? mine : other;
    flow[L.W_TUN_ID_LO] = id;
    flow[L.W_TUN_FLAGS_TOS_TTL] = ingress ? 184 << 16 : 0;
    // The frames that came in had source ports of their own.
    const source = ingress
      ? (new Map([
          [4789, 0xc123],
          [6081, 0xc124],
        ]).get(port) ?? 0)
      : 0;
    flow[L.W_TUN_TP] = (source << 16) | port;
    return tunnelInfo(flow, type)!;
  };
  const flows = samples.filter((sample) => sample.kind === "flow");
  const swapped = (port: number): number => ((port & 0xff) << 8) | (port >>> 8);
  const cases = [
    ["gre", 456, 0, false],
    ["vxlan", 123, 4789, false],
    ["geneve", 789, 6081, false],
    ["gre", 456, 0, true],
    ["vxlan", 123, 4789, true],
    ["geneve", 77, 6081, true],
  ] as const;
  t.equal(flows.length, cases.length);
  for (const [i, [type, id, port, ingress]] of cases.entries()) {
    const direction = ingress ? "ingress" : "egress";
    const tunnel = tunnelled(type, id, port, ingress);
    // The original has the ports of the outer header with their bytes swapped.
    const theirs = { ...tunnel, sourcePort: swapped(tunnel.sourcePort), destinationPort: swapped(port) };
    const sample: Sample = { ...flows[i]!, records: tunnelRecords(theirs, direction) };
    t.ok(bytesOf(flows[i]!).includes(bytesOf(sample).slice(2 * 40)), `${type} ${direction}`);
    t.strictSame(tunnelRecords(tunnel, direction)[1]!.name, `ipv4_tunnel_${direction}`);
  }

  const reader = new MessageReader();
  const theirs = sent.flatMap(({ protocol, bytes }) =>
    protocol === "ipfix" ? reader.read(bytes).records : [],
  );
  const net = new FakeDatagrams();
  const options = { ...ipfixOptions, cacheMaxFlows: 0 };
  const exporter = new IpfixExporter(new SimClock(), new Collectors(net, 4739, () => {}), options);
  for (const [type, id, port, ingress] of cases.filter(([, , , ingress]) => ingress)) {
    const flow = packet({ src: 0xc0a80101 | 0, dst: 0xc0a80202 | 0, proto: 17, tp: (1000 << 16) | 7 });
    const [name] = [{ gre: "gre0", vxlan: "vx0", geneve: "gnv0" }[type]];
    const input = { ifIndex: 0, ifType: 0, name, description: "" };
    const tunnel = tunnelled(type, id, port, ingress);
    exporter.sample(sample({ flow, length: 42, ipLength: 28, tcpFlags: 0, input, tunnel }));
  }
  const ours = net.take().flatMap(({ datagram }) => ("templates" in datagram ? datagram.records : []));
  t.equal(ours.length, 3);
  for (const [i, { template, values }] of ours.entries()) {
    t.equal(template.id, 286);
    // Times, running totals, and addresses that the frames of this test do not share.
    const rest = (all: Record<string, unknown>): unknown =>
      Object.entries(all).filter(
        ([field]) => !/Microseconds$|Total(Count|SumOfSquares)$|MacAddress$/.test(field),
      );
    t.strictSame(rest(values), rest(theirs[i]!.values));
  }
  exporter.close();
  t.end();
});

t.test("IPFIX: the cache adds up and lets go as a plain list of flows would", async (t) => {
  const clock = new SimClock();
  const net = new FakeDatagrams();
  const options = { ...ipfixOptions, cacheActiveTimeoutMs: 3000, cacheMaxFlows: 3000 };
  const exporter = new IpfixExporter(clock, new Collectors(net, 4739, () => {}), options);
  const list: { name: string; firstMs: number; packets: number; octets: number; total: number }[] = [];
  const found = new Map<string, (typeof list)[number]>();
  const want: string[] = [];
  const end = (reason: number) => {
    const { name, packets, octets, total } = list.shift()!;
    found.delete(name);
    want.push([name, packets, octets, total, reason].join());
  };
  let seed = 1;
  const pick = (count: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % count;
  };
  let total = 0;
  for (let second = 0; second < 6; second++) {
    for (let i = 0; i < 3000; i++) {
      const [v6, tag, out, point, to, tp] = [pick(2), pick(2), pick(2), pick(2), pick(4), pick(80)];
      const flow = packet({ type: v6 ? 0x86dd : 0x0800, proto: 17, tp: (9 << 16) | tp, dst: v6 ? 0 : to });
      if (v6) flow[L.W_IPV6_DST + 3] = to;
      if (tag) flow[L.W_VLAN0] = 0x81001005 | 0;
      const [input, output] = [port(`in${pick(3)}`), out ? port("out") : undefined];
      const ipLength = 28 + pick(100);
      exporter.sample(sample({ flow, ipLength, point, input, output }));
      total++;
      const name = [v6, tag, out, point, to, tp, input.name].join();
      let entry = found.get(name);
      if (entry === undefined) {
        entry = { name, firstMs: clock.now(), packets: 0, octets: 0, total };
        list.push(entry);
        found.set(name, entry);
      }
      entry.packets++;
      entry.octets += ipLength;
      entry.total = total;
      if (list.length > 3000) end(5);
    }
    await clock.warp(1000);
    while (list.length > 0 && list[0]!.firstMs <= clock.now() - 3000) end(2);
    t.equal(exporter.stats.currentFlows, list.length, `${list.length} flows`);
  }
  exporter.close();
  while (list.length > 0) end(4);
  const got = net
    .take()
    .flatMap(({ datagram }) => ("templates" in datagram ? datagram.records : []))
    .filter((record) => record.template.scopeFields === 0)
    .map(({ values: v }) => {
      const v6 = v.ipVersion === 6;
      const to = ((v6 ? v.destinationIPv6Address : v.destinationIPv4Address) as Uint8Array).at(-1);
      const [tag, out] = ["vlanId" in v, "interfaceName2" in v].map(Number);
      const name = [
        Number(v6),
        tag,
        out,
        v.observationPointId,
        to,
        v.destinationTransportPort,
        v.interfaceName,
      ];
      return [...name, v.packetDeltaCount, v.octetDeltaCount, v.packetTotalCount, v.flowEndReason].join();
    });
  t.ok(want.length > 3000 && want.length < total, `${want.length} records`);
  t.strictSame(got, want);
});

t.test(
  "IPFIX over a connection: templates first, nothing lost while the collector is away, up to a bound",
  async (t) => {
    const clock = new SimClock();
    const network = new MemoryNetwork(clock);
    const warnings: string[] = [];
    const collectors = new Collectors(new FakeDatagrams(), 4739, (text) => warnings.push(text), {
      clock,
      streams: network,
    });
    const options = { ...ipfixOptions, targets: ["tcp:10.9.9.9:4739"], cacheActiveTimeoutMs: 0 };
    const exporter = new IpfixExporter(clock, collectors, options);
    for (let i = 0; i < 10; i++) exporter.sample(sample({ flow: packet({ tp: i }) }));
    await clock.warp(1000, 100);

    const reader = new MessageReader();
    let left: Uint8Array = new Uint8Array();
    const got: unknown[] = [];
    let missing = 0;
    const listener = await network.listen("ptcp:4739", (stream) => {
      stream.handler = {
        data: (bytes) => {
          left = Buffer.concat([left, bytes]);
          while (left.length >= 4 && left.length >= ((left[2]! << 8) | left[3]!)) {
            const message = reader.read(left.subarray(0, (left[2]! << 8) | left[3]!));
            got.push(
              ...message.records.map((r) => r.values.destinationTransportPort).filter((x) => x !== undefined),
            );
            missing += message.missing.length;
            left = left.subarray((left[2]! << 8) | left[3]!);
          }
        },
        close: () => {},
      };
    });
    await clock.warp(9000, 100);
    t.strictSame(got, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], "what waited comes");
    t.equal(missing, 0, "after its templates");
    t.strictSame(
      warnings,
      ["tcp:10.9.9.9:4739: sending to collector failed (Connection refused)"],
      "told once",
    );
    exporter.sample(sample({ flow: packet({ tp: 10 }) }));
    await clock.warp(1000, 100);
    t.equal(got.at(-1), 10);
    t.equal(exporter.stats.txErrors, 0);
    listener.close();
    exporter.close();

    const away = new StreamCollector({
      clock,
      streams: network,
      name: "tcp:10.9.9.9:1",
      preamble: () => [],
      failed: () => {},
    });
    const kept = [1, 2, 3, 4, 5].filter(() => away.send(new Uint8Array(1 << 20)));
    t.equal(kept.length, 4, "four megabytes are kept");
    away.close();
  },
);

t.test("bad targets are told once and open nothing", (t) => {
  const warnings: string[] = [];
  const collectors = new Collectors(new FakeDatagrams(), 0, (text) => warnings.push(text));
  collectors.set(["xyzzy", "1.2.3.4:70000", "1.2.3.4:5"]);
  t.strictSame(warnings, [
    "couldn't open connection to collector xyzzy (Invalid argument)",
    "couldn't open connection to collector 1.2.3.4:70000 (Invalid argument)",
  ]);
  t.equal(collectors.size, 1);
  t.equal(warnings.length, 2);
  t.strictSame(
    collectors.status().map(({ target, problem }) => [target, problem]),
    [
      ["1.2.3.4:5", undefined],
      ["xyzzy", "Invalid argument"],
      ["1.2.3.4:70000", "Invalid argument"],
    ],
  );
  t.end();
});
