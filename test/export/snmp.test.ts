/** `ovsbox snmp` without a master: AgentX on the wire, tables, what is registered, a session through losses. */
import fc from "fast-check";
import t from "tap";
import {
  AGENTX_DUPLICATE_REGISTRATION,
  AgentxSplitter,
  encodeOpen,
  encodePing,
  encodeRegister,
  encodeResponse,
  encodeUnregister,
  type MasterPdu,
  type Oid,
  type SearchRange,
} from "../../src/export/snmp/agentx.ts";
import { bridgeTables, type SwitchBridge } from "../../src/export/snmp/bridge-mib.ts";
import { indexWithoutDevice, interfaceTables, type SwitchInterface } from "../../src/export/snmp/if-mib.ts";
import { compareOids, MibTable, MibView } from "../../src/export/snmp/mib.ts";
import { regions } from "../../src/export/snmp/regions.ts";
import { answer, Subagent } from "../../src/export/snmp/subagent.ts";
import { SimClock } from "../../src/lib/sim-clock.ts";
import type { Stream } from "../../src/lib/stream.ts";
import { MemoryNetwork } from "../../src/lib/stream-memory.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s/g, ""), "hex"));
const oid = (text: string): Oid => (text === "" ? [] : text.split(".").map(Number));
const ids = { session: 7, transaction: 8, packet: 9 };
const IDS = "00000007 00000008 00000009";

/** A master's message; `body` in hexadecimal, in network order. */
function pdu(type: number, body: string, flags = 0x10): Uint8Array {
  const payload = bytes(body);
  const length = payload.length.toString(16).padStart(8, "0");
  return bytes(
    `01${type.toString(16).padStart(2, "0")}${flags.toString(16).padStart(2, "0")}00 ${IDS} ${length} ${hex(payload)}`,
  );
}

t.test("AgentX messages of ours, byte by byte", async (t) => {
  for (const [name, message, want] of [
    [
      "open",
      encodeOpen(1, 5, "abcde"),
      "01011000 00000000 00000000 00000001 00000014 05000000 00000000 00000005 6162636465000000",
    ],
    ["ping", encodePing(ids), `010d1000 ${IDS} 00000000`],
    [
      // 1.3.6.1.2.1.2.2.1.[1-22].7, RFC 2741 section 6.2.3
      "register a row",
      encodeRegister(
        ids,
        { oid: oid("1.3.6.1.2.1.2.2.1.1.7"), context: "", priority: 100, place: 10, upper: 22 },
        5,
      ),
      `01031000 ${IDS} 00000024 05640a00 06020000 00000001 00000002 00000002 00000001 00000001 00000007 00000016`,
    ],
    [
      "register in a context",
      encodeRegister(ids, { oid: oid("1.3.6.1.2.1.17"), context: "br0", priority: 100 }, 5),
      `01031800 ${IDS} 00000018 00000003 62723000 05640000 02020000 00000001 00000011`,
    ],
    [
      "unregister",
      encodeUnregister(ids, { oid: oid("1.3.6.1.2.1.17"), context: "", priority: 100 }),
      `01041000 ${IDS} 00000010 00640000 02020000 00000001 00000011`,
    ],
    [
      "response",
      encodeResponse(ids, 0, 0, [
        { oid: oid("1.3.6.1.2"), value: { type: "integer", value: -1 } },
        { oid: oid("1.3.6.1.2"), value: { type: "counter64", value: 2n ** 64n - 1n } },
        { oid: oid("1.3.6.1.2"), value: { type: "octets", value: bytes("aa80ff010203") } },
        { oid: oid("1.3.6.1.2"), value: { type: "oid", value: [0, 0] } },
        { oid: oid("1.3.6.1.2"), value: { type: "endOfMibView" } },
      ]),
      `01121000 ${IDS} 0000004c 00000000 00000000 00020000 00020000 ffffffff 00460000 00020000 ffffffff ffffffff ` +
        "00040000 00020000 00000006 aa80ff01 02030000 00060000 00020000 00000000 00820000 00020000",
    ],
  ] as const) {
    t.equal(hex(message), want.replace(/\s/g, ""), name);
  }
});

t.test("AgentX messages of a master's are read in either order, in pieces and together", async (t) => {
  const getNext = pdu(
    6,
    "06020000 00000001 00000002 00000002 00000001 0000000a 00000007 02020100 00000001 00000011",
  );
  const little = bytes(
    "01050800 07000000 08000000 09000000 14000000 03000000 62723000 01020100 01000000 00000000",
  );
  const bulk = pdu(7, "0001 0005 00000000 00000000");
  const response = pdu(18, "00000fa0 0107 0002");
  const want = [
    {
      kind: "getNext",
      session: 7,
      transaction: 8,
      packet: 9,
      context: "",
      ranges: [{ start: oid("1.3.6.1.2.1.2.2.1.10.7"), include: false, end: oid("1.3.6.1.2.1.17") }],
    },
    {
      kind: "get",
      session: 7,
      context: "br0",
      ranges: [{ start: oid("1.3.6.1.2.1"), include: true, end: [] }],
    },
    { kind: "getBulk", nonRepeaters: 1, maxRepetitions: 5, ranges: [{ start: [], end: [] }] },
    { kind: "response", sysUpTime: 4000, error: 263, index: 2 },
  ];
  const all = Buffer.concat([getNext, little, bulk, response]);
  for (const step of [1, 7, 20, all.length]) {
    const splitter = new AgentxSplitter();
    const found: MasterPdu[] = [];
    for (let at = 0; at < all.length; at += step) found.push(...splitter.push(all.subarray(at, at + step)));
    t.match(found, want, `by ${step} bytes`);
  }
  for (const [name, bad] of [
    ["version", bytes(`02051000 ${IDS} 00000000`)],
    ["length", bytes(`01051000 ${IDS} 7fffffff`)],
    ["identifier", pdu(5, "ff000000 00000001")],
    ["string", pdu(5, "0000ffff 61", 0x18)],
    ["cut off", pdu(7, "0001")],
  ] as const) {
    t.throws(() => [...new AgentxSplitter().push(bad)], /AgentX/, name);
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (noise) => {
      try {
        [...new AgentxSplitter().push(Buffer.concat([pdu(6, hex(noise)), noise]))];
      } catch (error) {
        if (!/AgentX/.test(String(error))) throw error;
      }
    }),
  );
});

const device = (index: number, name: string, more: Partial<SwitchInterface> = {}): SwitchInterface => ({
  index,
  name,
  type: "",
  mtu: 1500,
  speed: 10_000_000_000,
  mac: bytes("aa80ff010203"),
  admin: "up",
  link: "up",
  failed: false,
  alias: "",
  changedTicks: 0,
  statistics: new Map<string, number | bigint>([
    ["rx_packets", 2 ** 32 + 5],
    ["rx_multicast_packets", 3],
    ["rx_bytes", 2n ** 60n + 1n],
    ["tx_packets", 9],
  ]),
  ...more,
});

/** "2.10.7": value, for a table under `prefix`. */
function walk(view: MibView, prefix: Oid): Map<string, unknown> {
  const found = new Map<string, unknown>();
  const end = [...prefix.slice(0, -1), prefix.at(-1)! + 1];
  for (let at: SearchRange = { start: prefix, include: false, end }; ; ) {
    const { oid: name, value } = view.next(at);
    if (value.type === "endOfMibView") return found;
    if (compareOids(name, at.start) <= 0) throw new Error(`not after ${at.start.join(".")}`);
    if (view.get(name).value.type !== value.type) throw new Error(`${name.join(".")} is not found by name`);
    found.set(name.slice(prefix.length).join("."), "value" in value ? value.value : value.type);
    at = { start: name, include: false, end };
  }
}

t.test("IF-MIB", async (t) => {
  const view = new MibView(
    interfaceTables([
      device(7, "h7", { alias: "to the moon" }),
      device(5, "br0", { type: "internal", admin: "down", link: "down", speed: 1e9, changedTicks: 42 }),
      device(2 ** 30 + 1, "vx0", {
        type: "vxlan",
        link: undefined,
        mac: undefined,
        mtu: undefined,
        speed: undefined,
        failed: true,
        statistics: new Map(),
      }),
    ]),
  );
  const table = walk(view, oid("1.3.6.1.2.1.2"));
  t.equal(table.get("1.0"), 3, "ifNumber");
  const row = (index: number): Record<string, unknown> =>
    Object.fromEntries(
      [...table]
        .filter(([name]) => name.endsWith(`.${index}`))
        .map(([name, value]) => [name.split(".")[2], value]),
    );
  t.match(row(7), { 1: 7, 3: 6, 4: 1500, 5: 0xffffffff, 7: 1, 8: 1, 9: 0, 10: 1, 11: 2, 12: 3, 17: 9 });
  t.equal(hex(row(7)[6] as Uint8Array), "aa80ff010203");
  t.match(row(5), { 3: 53, 5: 1e9, 7: 2, 8: 2, 9: 42 });
  t.match(row(2 ** 30 + 1), { 3: 131, 4: 0, 5: 0, 7: 1, 8: 6 });
  t.notOk(Object.hasOwn(row(2 ** 30 + 1), "10"), "no counter where nothing counts");
  t.strictSame([...table.keys()].slice(1, 4), ["2.1.1.5", "2.1.1.7", `2.1.1.${2 ** 30 + 1}`], "in order");

  const more = walk(view, oid("1.3.6.1.2.1.31.1.1"));
  t.equal(more.get("1.6.7"), 2n ** 60n + 1n, "ifHCInOctets");
  t.equal(more.get("1.7.7"), 2n ** 32n + 2n, "ifHCInUcastPkts");
  t.equal(more.get("1.15.7"), 10_000, "ifHighSpeed");
  t.equal(new TextDecoder().decode(more.get("1.18.7") as Uint8Array), "to the moon");

  t.match(view.get(oid("1.3.6.1.2.1.2.2.1.2.8")).value, { type: "noSuchInstance" });
  t.match(view.get(oid("1.3.6.1.2.1.2.2.1.99.7")).value, { type: "noSuchObject" });
  t.match(view.get(oid("1.3.6.1.2.1.2.2.1.2")).value, { type: "noSuchInstance" });
  t.equal(indexWithoutDevice("00000005-0000-0000-0000-000000000000", new Set()), 2 ** 30 + 5);
  t.equal(indexWithoutDevice("00000005-0000-0000-0000-000000000000", new Set([2 ** 30 + 5])), 2 ** 30 + 6);
  t.equal(indexWithoutDevice("ffffffff-0000-0000-0000-000000000000", new Set()), 2 ** 31 - 1);
});

t.test("BRIDGE-MIB", async (t) => {
  const bridge: SwitchBridge = {
    name: "br0",
    mac: bytes("020000000001"),
    stp: false,
    status: new Map(),
    options: new Map([["mac-aging-time", "60"]]),
    ports: [
      {
        number: 65534,
        device: device(5, "br0", { mac: bytes("020000000001"), admin: "down" }),
        status: new Map(),
      },
      { number: 1, device: device(7, "h7"), status: new Map() },
    ],
  };
  const of = (one: SwitchBridge, macs: Parameters<typeof bridgeTables>[1] = []) =>
    walk(new MibView(bridgeTables(one, macs)), oid("1.3.6.1.2.1.17"));
  const plain = of(bridge, [
    { port: "1", vlan: 5, mac: "0e:de:de:6a:32:c7", age: 20 },
    { port: "LOCAL", vlan: 0, mac: "02:00:00:00:00:01", age: 1 },
    { port: "2", vlan: 6, mac: "0e:de:de:6a:32:c7", age: 3 },
    { port: "1", vlan: 0, mac: "00:00:00:00:00:09" },
  ]);
  t.match(Object.fromEntries(plain), {
    "1.2.0": 2,
    "1.3.0": 2,
    "1.4.1.2.1": 7,
    "1.4.1.2.65534": 5,
    "2.1.0": 1,
    "2.15.1.3.1": 5,
    "2.15.1.3.65534": 1,
    "4.2.0": 60,
    "4.3.1.2.14.222.222.106.50.199": 2,
    "4.3.1.3.14.222.222.106.50.199": 3,
    "4.3.1.2.2.0.0.0.0.1": 65534,
    "4.3.1.3.2.0.0.0.0.1": 4,
    "4.3.1.3.0.0.0.0.0.9": 5,
    "4.4.1.4.1": 9,
  });
  t.notOk(plain.has("2.5.0"), "no root where STP is off");
  const stp = of({
    ...bridge,
    stp: true,
    status: new Map([
      ["stp_bridge_id", "8000.020000000001"],
      ["stp_designated_root", "7000.0200000000ff"],
      ["stp_root_path_cost", "19"],
    ]),
    options: new Map([
      ["stp-priority", "0x7800"],
      ["stp-hello-time", "1"],
    ]),
    ports: [
      {
        number: 3,
        device: device(7, "h7"),
        status: new Map([
          ["stp_port_id", "8003"],
          ["stp_state", "learning"],
          ["stp_role", "root"],
        ]),
      },
    ],
  });
  t.match(Object.fromEntries(stp), {
    "2.1.0": 3,
    "2.2.0": 0x7800,
    "2.6.0": 19,
    "2.7.0": 3,
    "2.12.0": 2000,
    "2.13.0": 100,
    "2.14.0": 1500,
    "2.15.1.2.3": 0x80,
    "2.15.1.3.3": 4,
    "2.15.1.4.3": 1,
  });
  t.equal(hex(stp.get("2.5.0") as Uint8Array), "70000200000000ff");
});

t.test("the next object is the least one after, as a plain search says", async () => {
  const number = fc.integer({ min: 0, max: 3 });
  const name = fc.array(number, { minLength: 1, maxLength: 3 });
  fc.assert(
    fc.property(
      fc.uniqueArray(name, { selector: String, maxLength: 6 }),
      fc.uniqueArray(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 3 }),
      fc.array(number, { maxLength: 6 }),
      fc.boolean(),
      fc.array(number, { maxLength: 5 }),
      (indexes, numbers, start, include, end) => {
        numbers.sort((a, b) => a - b);
        const holes = (column: number, index: Oid): boolean => (column + index.length) % 3 === 0;
        const columns = numbers.map((column) => ({
          number: column,
          value: (row: Oid) =>
            holes(column, row) ? undefined : ({ type: "integer", value: column } as const),
        }));
        const entry = [1, 2];
        const table = new MibTable(
          entry,
          columns,
          indexes.map((index) => ({ index, row: index })),
        );
        const all = numbers
          .flatMap((column) =>
            indexes.filter((index) => !holes(column, index)).map((index) => [...entry, column, ...index]),
          )
          .sort(compareOids);
        const want = all.find(
          (one) => compareOids(one, start) > 0 || (include && compareOids(one, start) === 0),
        );
        const bounded =
          want !== undefined && (end.length === 0 || compareOids(want, end) < 0) ? want : undefined;
        const got = new MibView([table as MibTable]).next({ start, include, end });
        if (String(got.value.type === "endOfMibView" ? undefined : got.oid) !== String(bounded))
          throw new Error(`${got.oid} instead of ${bounded}`);
      },
    ),
  );
});

t.test("get, next and bulk", async (t) => {
  const view = new MibView(interfaceTables([device(1, "a"), device(2, "b")]));
  const range = (start: string): SearchRange => ({ start: oid(start), include: false, end: [] });
  const ask = (kind: "get" | "getNext" | "getBulk", ...starts: string[]) =>
    answer(
      {
        kind,
        type: 0,
        ...ids,
        context: "",
        ranges: starts.map(range),
        nonRepeaters: 1,
        maxRepetitions: 3,
      } as never,
      view,
    ).map(({ oid: name, value }) => `${name.slice(6).join(".")} ${value.type}`);
  t.strictSame(ask("get", "1.3.6.1.2.1.2.2.1.1.2", "1.3.6.1.2.1.2.2.1.1.3"), [
    "2.2.1.1.2 integer",
    "2.2.1.1.3 noSuchInstance",
  ]);
  t.strictSame(ask("getNext", "1.3.6.1.2.1.2.2.1.1.2"), ["2.2.1.2.1 octets"]);
  t.strictSame(ask("getBulk", "1.3.6.1.2.1.2.2.1.1", "1.3.6.1.2.1.2.2.1.8", "1.3.6.1.2.1.31.1.1.1.19.1"), [
    "2.2.1.1.1 integer",
    "2.2.1.8.1 integer",
    "31.1.1.1.19.2 timeticks",
    "2.2.1.8.2 integer",
    "31.1.1.1.19.2 endOfMibView",
    "2.2.1.9.1 timeticks",
    "31.1.1.1.19.2 endOfMibView",
  ]);
  t.strictSame(
    answer({ kind: "get", type: 5, ...ids, context: "x", ranges: [range("1.3")] }, undefined)[0]!.value,
    { type: "noSuchObject" },
  );
});

t.test("what is registered", async (t) => {
  const found = regions([7, 9], ["br0", "br1"], false).map(
    ({ oid: name, context, place, upper }) =>
      `${context}:${name.slice(6).join(".")}:${place ?? ""}-${upper ?? ""}`,
  );
  t.strictSame(found, [
    ":2.2.1.1.7:10-22",
    ":31.1.1.1.1.7:11-19",
    ":2.2.1.1.9:10-22",
    ":31.1.1.1.1.9:11-19",
    ":17:-",
    "br0:17:-",
    "br1:17:-",
  ]);
  t.strictSame(
    regions([7], [], true).map(({ oid: name, priority }) => `${name.slice(6).join(".")} ${priority}`),
    ["2.1 100", "2.2 100", "31.1.1 100"],
  );
});

t.test("a session is opened again after each loss, and registrations follow the wish", async (t) => {
  const clock = new SimClock();
  const network = new MemoryNetwork(clock);
  const seen: string[] = [];
  let peer: Stream | undefined;
  let refuse = false;
  const serve = () =>
    network.listen("punix:/master", (stream) => {
      peer = stream;
      let left = Buffer.alloc(0);
      stream.handler = {
        data: (chunk) => {
          left = Buffer.concat([left, chunk]);
          for (
            ;
            left.length >= 20 && left.length >= 20 + left.readUInt32BE(16);
            left = left.subarray(20 + left.readUInt32BE(16))
          ) {
            const type = left[1]!;
            const length = left.readUInt32BE(16);
            const body = left.subarray(20, 20 + length);
            seen.push(type === 3 || type === 4 ? `${type}:${body.readUInt32BE(length - 4)}` : `${type}`);
            if (type === 18 || type === 2) continue;
            const reply = pdu(18, `00001000 ${refuse && type === 3 ? "0107" : "0000"} 0000`);
            Buffer.from(reply.buffer).writeUInt32BE(left.readUInt32BE(12), 12);
            stream.write(reply);
          }
        },
        close: () => void (peer = undefined),
      };
    });
  const view = new MibView(interfaceTables([device(1, "a")]));
  const agent = new Subagent({
    clock,
    streams: network,
    master: "unix:/master",
    description: "test",
    view: async () => view,
  });
  const region = (index: number) => ({ oid: [1, 3, 6, 1, 2, 1, 17, index], context: "", priority: 100 });
  agent.register([region(1), region(2)]);
  agent.start();
  await clock.warp(5000, 100);
  t.equal(agent.status.state, "connecting");
  t.match(agent.status.lastError, /refused|No such file/);
  let server = await serve();
  await clock.warp(9000, 100);
  t.strictSame(seen, ["1", "3:1", "3:2"]);
  t.match(agent.status, { state: "connected", registered: 2, wished: 2, lastError: undefined });
  t.ok(agent.sysUpTime >= 0x1000);

  agent.register([region(2), region(3)]);
  await clock.warp(100);
  t.strictSame(seen.slice(3), ["4:1", "3:3"]);
  peer!.write(pdu(5, "05020000 00000001 00000002 00000002 00000001 00000001 00000000"));
  peer!.write(pdu(8, ""));
  await clock.warp(100);
  t.strictSame(seen.slice(5), ["18", "18"]);
  t.equal(agent.status.requests, 1);
  await clock.warp(16_000, 100);
  t.equal(seen.at(-1), "13", "a ping after silence");

  for (const [what, lose] of [
    ["the connection ends", () => peer!.end()],
    ["the master says goodbye", () => void peer!.write(pdu(2, "01000000"))],
    ["it talks nonsense", () => void peer!.write("GET / HTTP/1.0\r\n\r\n........")],
  ] as const) {
    seen.length = 0;
    lose();
    await clock.warp(9000, 100);
    t.strictSame(seen, ["1", "3:2", "3:3"], what);
    t.equal(agent.status.state, "connected", what);
  }
  refuse = true;
  agent.register([region(4)]);
  await clock.warp(5000, 100);
  t.match(agent.status, { state: "connected", registered: 0, wished: 1 });
  t.equal(seen.filter((one) => one === "3:4").length, 1, "what was refused is not asked again and again");
  t.equal(AGENTX_DUPLICATE_REGISTRATION, 0x107);
  server.close();
  agent.close();
  await clock.warp(20_000, 100);
  t.equal(peer, undefined);
  server = await serve();
  await clock.warp(20_000, 100);
  t.equal(peer, undefined, "closed is closed");
  server.close();
});
