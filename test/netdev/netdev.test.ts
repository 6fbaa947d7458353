/** src/netdev: rtnetlink's bytes, the table of links, device types, dummy devices and their commands. */
import t from "tap";
import { makePacket, type Packet } from "../../src/datapath/packet.ts";
import { Fatal } from "../../src/lib/errors.ts";
import { SimClock } from "../../src/lib/sim-clock.ts";
import { MemoryNetwork } from "../../src/lib/stream-memory.ts";
import { UnixctlCommands } from "../../src/lib/unixctl.ts";
import { vlogSetLevel } from "../../src/lib/vlog.ts";
import { type DummyContext, type DummyNetdev, enableDummy } from "../../src/netdev/dummy.ts";
import { registerDummyCommands } from "../../src/netdev/dummy-commands.ts";
import { PacketSplitter } from "../../src/netdev/dummy-conn.ts";
import { type Host, systemProvider, tapProvider } from "../../src/netdev/linux.ts";
import { decodeErrno } from "../../src/netdev/netlink-message.ts";
import { nextHopMac } from "../../src/netdev/next-hop.ts";
import { patchProvider } from "../../src/netdev/patch.ts";
import { pcapHeader, pcapRecord } from "../../src/netdev/pcap.ts";
import { TrafficControl } from "../../src/netdev/qos/device-qos.ts";
import { NetdevRegistry } from "../../src/netdev/registry.ts";
import { decodeLinks, LinkTable } from "../../src/netdev/rtnetlink.ts";
import type { RouteEvents, RouteSocket } from "../../src/sys/netlink.ts";

vlogSetLevel(undefined, undefined, 0);

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ""), "hex"));
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

// A kernel of our own: links by name, answered in rtnetlink's bytes.

interface FakeLink {
  index: number;
  name: string;
  flags: number;
  mac: Uint8Array;
  mtu: number;
  kind: string;
  stats: number[];
}

function attribute(type: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array((4 + value.length + 3) & ~3);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 4 + value.length, true);
  view.setUint16(2, type, true);
  bytes.set(value, 4);
  return bytes;
}

const text = (value: string): Uint8Array => new TextEncoder().encode(`${value}\0`);

function message(type: number, body: Uint8Array[]): Uint8Array {
  const length = 16 + body.reduce((sum, part) => sum + part.length, 0);
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, length, true);
  view.setUint16(4, type, true);
  let at = 16;
  for (const part of body) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function linkMessage(type: number, link: FakeLink, family = 0): Uint8Array {
  const info = new Uint8Array(16);
  const view = new DataView(info.buffer);
  view.setUint8(0, family);
  view.setInt32(4, link.index, true);
  view.setUint32(8, link.flags, true);
  const stats = new Uint8Array(BigUint64Array.from(link.stats, BigInt).buffer);
  return message(type, [
    info,
    attribute(3, text(link.name)),
    attribute(1, link.mac),
    attribute(4, new Uint8Array(Uint32Array.of(link.mtu).buffer)),
    attribute(18, attribute(1, text(link.kind))),
    attribute(23, stats),
  ]);
}

function errorMessage(errno: number): Uint8Array {
  return message(2, [new Uint8Array(Int32Array.of(-errno).buffer), new Uint8Array(16)]);
}

class FakeKernel implements RouteSocket {
  readonly links = new Map<string, FakeLink>();
  events: RouteEvents | undefined;
  #next = 1;

  add(name: string, kind = "veth"): FakeLink {
    const link: FakeLink = {
      index: this.#next++,
      name,
      flags: 0x1043,
      mac: Uint8Array.of(2, 0, 0, 0, 0, this.#next),
      mtu: 1500,
      kind,
      stats: Array.from({ length: 24 }, (_, i) => i + 1),
    };
    this.links.set(name, link);
    this.events?.data(linkMessage(16, link));
    return link;
  }

  remove(name: string): void {
    const link = this.links.get(name)!;
    this.links.delete(name);
    this.events?.data(linkMessage(17, link));
  }

  changed(link: FakeLink): void {
    this.events?.data(linkMessage(16, link));
  }

  transact(request: Uint8Array): Uint8Array[] {
    const view = new DataView(request.buffer);
    const type = view.getUint16(4, true);
    if ((view.getUint16(6, true) & 0x300) === 0x300)
      return [
        ...[...this.links.values()].map((link) => linkMessage(16, link)),
        message(3, [new Uint8Array(4)]),
      ];
    const index = view.getInt32(20, true);
    let link = [...this.links.values()].find((l) => l.index === index);
    const attributes = new Map<number, Uint8Array>();
    for (let at = 32; at < request.length; ) {
      const length = view.getUint16(at, true);
      attributes.set(view.getUint16(at + 2, true), request.slice(at + 4, at + length));
      at += (length + 3) & ~3;
    }
    const name = attributes.get(3);
    if (name !== undefined) link = this.links.get(Buffer.from(name).toString().replace(/\0$/, ""));
    if (link === undefined) return [errorMessage(19)];
    if (type === 18) return [linkMessage(16, link)];
    if (type === 17) {
      this.remove(link.name);
      return [errorMessage(0)];
    }
    const mtu = attributes.get(4);
    if (mtu !== undefined) {
      const value = new DataView(mtu.buffer, mtu.byteOffset).getUint32(0, true);
      if (value < 68) return [errorMessage(22)];
      link.mtu = value;
    }
    const mac = attributes.get(1);
    if (mac !== undefined) link.mac = mac;
    if ((view.getUint32(28, true) & 1) !== 0) link.flags = (link.flags & ~1) | (view.getUint32(24, true) & 1);
    return [errorMessage(0)];
  }

  subscribe(_groups: number, events: RouteEvents): () => void {
    this.events = events;
    return () => {
      this.events = undefined;
    };
  }

  close(): void {}
}

t.test("rtnetlink messages", async (t) => {
  // What Linux 6.18 says of `ip link add v0 address 02:00:00:00:00:01 type veth`, cut to the attributes that are read.
  const veth = hex(`
    54000000 1000 0000 00000000 22420000  00 00 0100 03000000 02100000 00000000
    0700 0300 76300000  0800 0400 dc050000  0500 2100 00000000
    0a00 0100 020000000001 0000  1000 1200 0900 0100 76657468 00000000`);
  t.strictSame(decodeLinks(veth), [
    {
      type: "new",
      link: {
        index: 3,
        name: "v0",
        flags: 0x1002,
        mac: "02:00:00:00:00:01",
        mtu: 1500,
        carrier: false,
        kind: "veth",
        master: 0,
        stats: undefined,
      },
    },
  ]);
  for (let cut = 0; cut < veth.length; cut++)
    t.strictSame(decodeLinks(veth.subarray(0, cut)), [], `cut at ${cut}`);
  const missing = hex(`
    48000000 0200 0000 02242000 000000 00 edffffff 34000000 1200 0100 00000000 00000000
    00000000 00000000 00000000 00000000 0900 0300 6e6f7065 00000000 0800 1d00 08000000`);
  t.equal(decodeErrno([missing]), 19);
  t.equal(decodeErrno([veth]), undefined);
  const member = linkMessage(17, new FakeKernel().add("x"), 7);
  t.strictSame(decodeLinks(member), [], "a bridge's word on its member is not the end of the link");
});

t.test("table of links", async (t) => {
  const kernel = new FakeKernel();
  kernel.add("lo");
  const table = new LinkTable(kernel);
  const heard: string[] = [];
  table.listen({ changed: (name, link) => heard.push(link === undefined ? `-${name}` : `+${name}`) });
  t.equal(table.get("lo")?.index, 1);
  const v0 = kernel.add("v0");
  t.equal(table.get("v0")?.mtu, 1500);
  kernel.changed(v0);
  t.strictSame(heard, ["+v0"], "nothing new is no change");
  kernel.links.delete("v0");
  v0.name = "v9";
  kernel.links.set("v9", v0);
  kernel.changed(v0);
  t.equal(table.get("v0"), undefined, "a renamed link has its new name only");
  t.equal(table.get("v9")?.index, 2);
  t.equal(table.set("v9", { mtu: 1400 }), undefined);
  t.equal(table.get("v9")?.mtu, 1400);
  t.equal(table.set("v9", { mtu: 3 }), "Invalid argument");
  t.equal(table.set("nope", { mtu: 1400 }), "No such device");
  kernel.links.delete("v9");
  kernel.add("v8");
  kernel.events!.lost();
  t.equal(table.get("v9"), undefined, "what was missed is found again");
  t.strictSame(
    [...table.links()].map((link) => link.name),
    ["lo", "v8"],
  );
  t.equal(table.refresh("v8", true)?.stats?.rxPackets, 1);
});

function makeHost(): { kernel: FakeKernel; host: Host } {
  const kernel = new FakeKernel();
  const host: Host = {
    clock: realTurns(),
    links: new LinkTable(kernel),
    traffic: new TrafficControl(kernel),
    devices: {
      driverInfo: () => ({ driver: "veth", version: "1.0", firmware: "" }),
      linkSettings: () => ({ speedMbps: 10000, duplex: "full", medium: "copper", negotiated: false }),
      largeReceive: () => undefined,
      makeTap: (name) => {
        if (kernel.links.has(name)) return "EBUSY";
        kernel.add(name, "tun").flags = 0x1002;
        return undefined;
      },
    },
  };
  return { kernel, host };
}

/** A clock of which only `soon` is wanted. */
function realTurns(): SimClock {
  const clock = new SimClock();
  clock.soon = (run) => void setImmediate(run);
  return clock;
}

t.test("devices of the kernel", async (t) => {
  const { kernel, host } = makeHost();
  const link = kernel.add("v0");
  const registry = new NetdevRegistry();
  registry.register(systemProvider(() => host));
  registry.register(tapProvider(() => host, "internal"));
  t.throws(() => registry.open("nope", "system"), { code: "ENODEV", message: "No such device" });
  t.throws(() => registry.open("nope", "vxlan"), {
    code: "EAFNOSUPPORT",
    message: "Address family not supported by protocol",
  });
  const v0 = registry.open("v0", "system");
  t.equal(registry.open("v0", "system"), v0, "one device however many open it");
  t.throws(() => registry.open("v0", "internal"), { code: "EEXIST" });
  t.match(
    {
      ifindex: v0.ifindex(),
      mac: v0.etherAddr(),
      mtu: v0.mtu(),
      up: v0.adminUp(),
      carrier: v0.carrier(),
      features: v0.features(),
      rx: v0.stats().rxPackets,
      tx: v0.stats().txPackets,
      driver: v0.status().get("driver_name"),
    },
    {
      ifindex: 1,
      mac: "02:00:00:00:00:02",
      mtu: 1500,
      up: true,
      carrier: true,
      features: { speed: 1e10, duplex: "full", medium: "copper", negotiated: false },
      rx: 1,
      tx: 2,
      driver: "veth",
    },
  );
  let calls = 0;
  v0.watch(() => calls++);
  const before = v0.changeSeq;
  link.flags = 0x1003;
  kernel.changed(link);
  t.equal(v0.carrier(), false);
  t.equal(v0.linkResets(), 1);
  t.ok(v0.changeSeq > before);
  kernel.remove("v0");
  t.equal(v0.ifindex(), undefined);
  t.equal(v0.mtu(), undefined);
  await turn();
  await turn();
  t.equal(calls, 1, "two changes of one turn, one call");
  kernel.add("v0");
  t.equal(v0.ifindex(), 2, "another device of the same name");

  const int0 = registry.open("int0", "internal");
  t.equal(kernel.links.get("int0")?.kind, "tun");
  t.equal(int0.stats().rxPackets, 2, "what the host has sent, the switch has received");
  t.equal(int0.setMtu(1400), undefined);
  t.equal(int0.setEtherAddr("02:11:22:33:44:55"), undefined);
  t.equal(int0.etherAddr(), "02:11:22:33:44:55");
  registry.close(int0, false);
  t.ok(kernel.links.has("int0"), "left for the next run");
  registry.close(registry.open("int0", "internal"), true);
  t.notOk(kernel.links.has("int0"), "removed with its port");
});

t.test("internal ports are opened as each datapath wants them", async (t) => {
  const registry = new NetdevRegistry();
  for (const [datapath, type, want] of [
    ["netdev", "internal", "tap"],
    ["dummy", "internal", "dummy-internal"],
    ["system", "internal", "internal"],
    ["netdev", "", "system"],
    ["dummy", "patch", "patch"],
  ] as const)
    t.equal(registry.openType(datapath, type), want, `${datapath} ${type}`);
});

t.test("patch ports", async (t) => {
  const patch = patchProvider(realTurns(), () => "02:00:00:00:00:07").open("p");
  for (const [options, error] of [
    [{}, "p: patch type requires valid 'peer' argument"],
    [{ peer: "p" }, "p: patch peer must not be self"],
    [{ peer: "q" }, undefined],
  ] as const)
    t.equal(patch.setConfig(new Map(Object.entries(options))), error);
  t.strictSame([...patch.config()], [["peer", "q"]]);
  patch.credit!.creditRx(2, 120);
  patch.credit!.creditTx(1, 60);
  t.match(patch.stats(), { rxPackets: 2, rxBytes: 120, txPackets: 1, txBytes: 60, collisions: -1 });
});

function dummyContext(clock = realTurns()): DummyContext & { written: Map<string, Uint8Array[]> } {
  const written = new Map<string, Uint8Array[]>();
  return {
    clock,
    streams: new MemoryNetwork(clock),
    files: {
      create: (path, header) => void written.set(path, [header]),
      append: (path, bytes) => void written.get(path)!.push(bytes),
    },
    made: 1,
    written,
  };
}

const FRAME = hex("ffffffffffff 500000000001 0800 45000014 00000000 40110000 0a000001 0a000002");

t.test("dummy devices", async (t) => {
  const context = dummyContext();
  const registry = new NetdevRegistry();
  enableDummy(registry, "override", context);
  t.strictSame(registry.types(), ["dummy", "dummy-internal", "dummy-pmd", "internal", "system", "tap"]);
  const p1 = registry.open("p1", "dummy") as DummyNetdev;
  t.equal(p1.etherAddr(), "aa:55:aa:55:00:01");
  t.equal((registry.open("p2", "dummy") as DummyNetdev).etherAddr(), "aa:55:aa:55:00:02");
  t.equal(
    p1.setConfig(
      new Map([
        ["ifindex", "1010"],
        ["pcap", "p1.pcap"],
      ]),
    ),
    undefined,
  );
  t.equal(p1.ifindex(), 1010);
  t.strictSame([...p1.config()], [["ifindex", "1010"]]);

  const got: number[] = [];
  p1.receive = (packet: Packet) => got.push(packet.length);
  p1.input(FRAME);
  p1.setAdminUp(false);
  t.equal(p1.carrier(), false);
  p1.input(FRAME);
  p1.setAdminUp(true);
  t.strictSame(got, [FRAME.length], "a device that is down receives nothing");
  const packet = makePacket(FRAME);
  p1.send(packet);
  p1.send({ ...packet, data: new Uint8Array(2000), length: 2000 });
  t.match(
    p1.stats(),
    { rxPackets: 1, rxBytes: 34, txPackets: 1, txBytes: 34 },
    "nothing larger than the MTU",
  );
  t.strictSame(
    context.written.get("p1.pcap")?.map((bytes) => bytes.length),
    [24, 16 + 34, 16 + 34],
  );
  t.equal(p1.setMtu(9000), undefined);
  t.equal(p1.setMtu(10), "Invalid argument");
  t.equal(p1.mtu(), 9000);

  p1.ipv4 = { address: 0x0a000001, prefix: 24 };
  const request = new Uint8Array(60);
  request.set(
    hex("ffffffffffff 500000000001 0806 0001 0800 06 04 0001 500000000001 0a000002 000000000000 0a000001"),
  );
  let reply = new Uint8Array();
  p1.receive = (arrived: Packet) => {
    reply = arrived.data.slice(0, 42);
  };
  p1.send({ ...packet, data: request, length: 60 });
  await turn();
  t.equal(
    Buffer.from(reply).toString("hex"),
    "500000000001aa55aa550001080600010800060400" + "02aa55aa5500010a0000015000000000010a000002",
    "its address answers ARP",
  );
});

t.test("capture files", async (t) => {
  t.equal(
    Buffer.from(pcapHeader()).toString("hex"),
    "d4c3b2a1" + "02000400" + "00000000" + "00000000" + "ee050000" + "01000000",
  );
  t.equal(
    Buffer.from(pcapRecord(hex("0102"), 1500)).toString("hex"),
    "01000000" + "20a10700" + "02000000".repeat(2) + "0102",
  );
});

t.test("wires of dummy devices", async (t) => {
  const packets: Uint8Array[] = [];
  const splitter = new PacketSplitter((bytes) => packets.push(bytes));
  const stream = Uint8Array.of(0, 34, ...FRAME, 0, 34, ...FRAME);
  for (const byte of stream) splitter.data(Uint8Array.of(byte));
  t.strictSame(packets, [FRAME, FRAME], "whatever pieces it comes in");

  const context = dummyContext();
  const registry = new NetdevRegistry();
  enableDummy(registry, "", context);
  const a = registry.open("a", "dummy") as DummyNetdev;
  const b = registry.open("b", "dummy") as DummyNetdev;
  a.setConfig(new Map([["pstream", "punix:wire"]]));
  await turn();
  b.setConfig(new Map([["stream", "unix:wire"]]));
  for (let i = 0; i < 5; i++) await turn();
  t.equal(b.conn.state(), "connected");
  t.equal(a.conn.state(), "unknown");
  let arrived = 0;
  a.receive = (packet: Packet) => {
    arrived = packet.length;
  };
  b.conn.send(FRAME);
  for (let i = 0; i < 5; i++) await turn();
  t.equal(arrived, FRAME.length);
  registry.close(a, true);
  for (let i = 0; i < 5; i++) await turn();
  t.equal(b.conn.state(), "disconnected");
  registry.close(b, true);
});

t.test("netdev-dummy commands", async (t) => {
  const registry = new NetdevRegistry();
  enableDummy(registry, "", dummyContext());
  const p1 = registry.open("p1", "dummy") as DummyNetdev;
  const lengths: number[] = [];
  p1.receive = (packet: Packet) => lengths.push(packet.length);
  const commands = new UnixctlCommands("test");
  registerDummyCommands(commands, {
    registry,
    compose: (text, length) => {
      if (!text.startsWith("eth(")) throw new Fatal(`syntax error at ${text}`);
      return new Uint8Array(length ?? 64);
    },
    settled: () => Promise.resolve(),
  });
  const frame = Buffer.from(FRAME).toString("hex");
  for (const [line, want] of [
    [`receive p1 ${frame}`, ""],
    ["receive p1 eth(x)", ""],
    ["receive p1 eth(x) --len 100", ""],
    [`receive p1 --qid 1 ${frame} eth(y)`, ""],
    [`receive p9 ${frame}`, "! no such dummy netdev"],
    ["receive p1 xyz", "! syntax error at xyz"],
    ["receive p1", '! "netdev-dummy/receive" command requires at least 2 arguments'],
    ["set-admin-state p1 foo", "! Invalid Admin State"],
    ["set-admin-state p9 up", "! Unknown Dummy Interface"],
    ["set-admin-state down", "OK"],
    [`receive p1 ${frame}`, ""],
    ["conn-state", ""],
    ["conn-state p1", "p1: unknown\n"],
    ["ip4addr p1 1.2.3.4/24", "OK"],
    ["ip4addr p1 1.2.3", "! 1.2.3: invalid IP address"],
    ["ip4addr p9 1.2.3.4/24", "! Unknown Dummy Interface"],
    ["ip6addr p1 fe80::1/64", "OK"],
    ["ip6addr p1 1.2", "! 1.2: invalid IPv6 address"],
  ] as const) {
    const [name, ...args] = line.split(" ");
    let answer = "none";
    await commands.run(`netdev-dummy/${name}`, args, {
      format: "text",
      ok: (text = "") => {
        answer = text;
      },
      okJson: () => {},
      error: (text) => {
        answer = `! ${text}`;
      },
    });
    t.equal(answer, want, line);
  }
  t.strictSame(lengths, [34, 64, 100, 34, 64], "nothing more once it was down");
});

t.test("the next hop: longest route, then metric; a complete neighbour on its device", async (t) => {
  const head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
  const route = (device: string, to: string, via: string, mask: string, metric = 0, flags = "0003") =>
    `${device}\t${to}\t${via}\t${flags}\t0\t0\t${metric}\t${mask}\t0\t0\t0   \n`;
  const routes =
    head +
    route("eth0", "00000000", "010200C0", "00000000", 100) +
    route("eth1", "00000000", "010300C0", "00000000", 50) +
    route("eth0", "000200C0", "00000000", "00FFFFFF") +
    route("br0", "0000000A", "FE00000A", "000000FF") +
    route("br0", "0500000A", "00000000", "FFFFFFFF", 0, "0004");
  const arps = [
    "IP address       HW type     Flags       HW address            Mask     Device",
    "192.0.2.1        0x1         0x2         02:00:00:00:00:01     *        eth0",
    "192.0.3.1        0x1         0x2         02:00:00:00:00:02     *        eth1",
    "192.0.2.7        0x1         0x0         00:00:00:00:00:00     *        eth0",
    "192.0.2.8        0x1         0x2         02:00:00:00:00:08     *        eth1",
    "192.0.2.9        0x1         0x6         02:00:00:00:00:09     *        eth0",
    "10.0.0.254       0x1         0x2         02:00:00:00:00:fe     *        br0",
    "",
  ].join("\n");
  const cases: [address: string, mac: string | undefined, why: string][] = [
    ["8.8.8.8", "02:00:00:00:00:02", "of two default routes that of the smaller metric"],
    ["192.0.2.9", "02:00:00:00:00:09", "in the same network"],
    ["192.0.2.7", undefined, "not resolved"],
    ["192.0.2.8", undefined, "known on another device"],
    ["10.1.2.3", "02:00:00:00:00:fe", "by a gateway"],
    ["10.0.0.5", "02:00:00:00:00:fe", "a route that is down counts for nothing"],
    ["controller", undefined, "no address"],
  ];
  for (const [address, mac, why] of cases) t.equal(nextHopMac(routes, arps, address), mac, why);
  t.equal(nextHopMac(head, arps, "192.0.2.9"), undefined, "no routes");
});
