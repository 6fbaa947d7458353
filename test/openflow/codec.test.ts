/** The OpenFlow codec: golden messages, round trips in every version, hostile bytes, text syntax, rconn over memory. */
import { readFileSync } from "node:fs";
import t from "tap";
import { formatMatch } from "../../src/flow/match-text.ts";
import type { Timer } from "../../src/lib/clock.ts";
import { SimClock } from "../../src/lib/sim-clock.ts";
import { MemoryNetwork } from "../../src/lib/stream-memory.ts";
import {
  decode,
  encode,
  errorByNumbers,
  errorNames,
  errorNumbers,
  type FlowMod,
  formatActions,
  MultipartWriter,
  makeError,
  OfpError,
  parseActions,
  readHeaderAt,
  TextError,
  type Version,
} from "../../src/openflow/index.ts";
import { readMatch, writeMatch } from "../../src/openflow/oxm.ts";
import { Rconn } from "../../src/openflow/rconn.ts";
import { parseFlow } from "../../src/openflow/text/flow-parse.ts";
import { parseTlvs, tlvText } from "../../src/openflow/text/raw-match.ts";
import { versionsText } from "../../src/openflow/vconn.ts";
import { Reader, Writer } from "../../src/openflow/wire.ts";
import { ACTION_TEXTS, MATCH_TEXTS, MATCHED_ACTION_TEXTS, VERSIONED_ACTION_TEXTS } from "./examples.ts";

const VERSIONS: readonly Version[] = [1, 2, 3, 4, 5, 6];

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(hex.replace(/\s/g, "").match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

function hex(data: Uint8Array): string {
  return Array.from(data, (b) => b.toString(16).padStart(2, "0")).join("");
}

function flow(text: string): FlowMod {
  return parseFlow(text, 0).fm;
}

t.test("golden bytes: what is written is what the specification says", async (t) => {
  const add = flow("in_port=1,actions=output:2");
  t.equal(
    hex(encode(add, 1, { xid: 5 })),
    hex(
      bytes(`01 0e 0050 00000005  003820fe 0001 000000000000 000000000000 0000 00 00 0000 00 00 0000
             00000000 00000000 0000 0000  0000000000000000 0000 0000 0000 8000 ffffffff ffff 0000
             0000 0008 0002 0000`),
    ),
    "flow_mod of 1.0",
  );
  t.equal(
    hex(encode(add, 4, { xid: 5 })),
    hex(
      bytes(`04 0e 0058 00000005  0000000000000000 0000000000000000 00 00 0000 0000 8000 ffffffff ffffffff
             ffffffff 0000 0000  0001 000c 80000004 00000001 00000000
             0004 0018 00000000 0000 0010 00000002 0000 000000000000`),
    ),
    "flow_mod of 1.3",
  );
  t.equal(
    hex(encode(flow("actions=set_field:5->reg16,set_field:0x12->tun_metadata3"), 1, { xid: 5 })).slice(144),
    hex(
      bytes(`ffff 0018 00002320 0021 ffff 2208 00002320 00000005 0000
             ffff 0018 00002320 0021 0001 5604 00000012 000000000000`),
    ),
    "NXAST_REG_LOAD2 has no padding before its field",
  );
  t.equal(
    hex(encode({ type: "hello", versions: 0x10, understood: true }, 4)),
    "04000010000000000001000800000010",
  );
});

t.test("TLVs are taken, refused and written as the original does", async (t) => {
  const lines = readFileSync(new URL("data/oxm.txt", import.meta.url), "utf8").split("\n");
  for (const line of lines.filter((text) => text !== "" && !text.startsWith("#"))) {
    const [input, want] = line.split(" => ") as [string, string];
    const bytes = parseTlvs(input);
    const w = new Writer();
    let got: string;
    try {
      writeMatch(w, readMatch(new Reader(bytes), bytes.length), 4);
      got = tlvText(w.done());
    } catch (error) {
      got = `ERR ${(error as OfpError).ofp}`;
    }
    t.equal(got, want, input);
  }
});

/** What becomes of a packet_out with the action of these bytes. */
function taken(version: Version, action: string): string {
  const w = new Writer();
  const length = bytes(action).length.toString(16).padStart(4, "0");
  if (version === 6) w.put(bytes(`ffffffff ${length} 0000 0001 000c 80000004 00000001 00000000`));
  else if (version === 1) w.put(bytes(`ffffffff 0001 ${length}`));
  else w.put(bytes(`ffffffff 00000001 ${length} 000000000000`));
  w.put(bytes(action));
  const body = w.bytes.subarray(0, w.pos);
  const head = bytes(`0${version}0d00${(8 + body.length).toString(16)}00000007`);
  const decoded = decode(Uint8Array.of(...head, ...body));
  if (decoded instanceof OfpError) return decoded.ofp;
  return decoded.message.type === "packet-out" ? formatActions(decoded.message.actions, {}) : "";
}

t.test("actions are for some versions, and properties of encap have their lengths", async (t) => {
  const only10 = {
    set_queue: ["0004 0000 00000003", "set_queue:3"],
    set_mpls_label: ["001e 0000 00000003", "set_mpls_label(3)"],
    group: ["0028 0000 00000003", "group:3"],
  };
  for (const [name, [body, text]] of Object.entries(only10)) {
    t.equal(taken(1, `ffff 0010 00002320 ${body}`), text, name);
    for (const v of [2, 3, 4, 5, 6] as const)
      t.equal(taken(v, `ffff 0010 00002320 ${body}`), "OFPBAC_BAD_VENDOR_TYPE", `${name} in ${v}`);
  }
  const move = "ffff 0018 00002320 0006 0020 0000 0000 00010004 00010204";
  t.equal(taken(5, move), "move:NXM_NX_REG0[]->NXM_NX_REG1[]");
  t.equal(taken(6, move), "OFPBAC_BAD_VENDOR_TYPE");
  const encap = (properties: string): string => {
    const length = (16 + bytes(properties).length).toString(16);
    return `ffff 00${length} 00002320 002e 0000 0001894f ${properties}`;
  };
  const cases: [string, string, Version?][] = [
    ["0004 01 05 02 000000", "encap(nsh(md_type=2))"],
    ["0004 01 05 02 000000", "OFPBAC_BAD_VENDOR_TYPE", 3],
    ["0004 01 04 02 000000", "encap(nsh(md_type=2))"],
    ["0004 01 09 02 000000 0000000000000000", "NXBAC_BAD_ED_PROP"],
    ["0004 01 09 02 000000", "OFPBAC_BAD_LEN"],
    ["0004 02 10 1000 0a 02 1234 000000000000", "encap(nsh(tlv(0x1000,10,0x1234)))"],
    ["0004 02 0a 1000 0a 02 1234 000000000000", "NXBAC_BAD_ED_PROP"],
    ["0004 03 05 02 000000", "NXBAC_UNKNOWN_ED_PROP"],
    ["0005 01 05 02 000000", "NXBAC_UNKNOWN_ED_PROP"],
  ];
  for (const [properties, want, version] of cases)
    t.equal(taken(version ?? 4, encap(properties)), want, properties);
  const written = hex(encode(flow("actions=encap(nsh(tlv(0x1000,10,0x1234)))"), 4, { xid: 7 }));
  t.match(written, "0004021010000a021234000000000000", "a TLV's property counts its padding");
});

t.test("bad and odd actions are answered as the original answers them", async (t) => {
  const cases: [what: string, action: string, want: string, version?: Version][] = [
    ["1.1's set_vlan_vid", "0001 0008 0005 0000", "set_vlan_vid:5"],
    ["1.1's set_dl_src", "0003 0010 0000 0000 0001 000000000000", "mod_dl_src:00:00:00:00:00:01", 6],
    ["1.1's set_dl_src, too short", "0003 0008 00000000", "OFPBAC_BAD_LEN"],
    ["an action's length no multiple of 8", "0000 000c 00000001 ffff 0000", "OFPBRC_BAD_LEN"],
    ["set_field of an unknown field", "0019 0010 77770004 00000005 00000000", "OFPBAC_BAD_SET_LEN"],
    ["set_field of nothing", "0019 0010 00010000 00000000 00000000", "OFPBAC_BAD_SET_TYPE"],
    ["set_field, value beyond its mask", "0019 0010 00010108 00000005 00000000", "OFPBMC_BAD_WILDCARDS"],
    ["set_field of tun_metadata", "0019 0010 00017e04 00000005 00000000", "set_field:0x5->tun_metadata23"],
    ["load, unknown field", "ffff0018 00002320 0007 001f 77770004 0000000000000005", "OFPBAC_BAD_SET_TYPE"],
    [
      "load, length of another",
      "ffff0018 00002320 0007 001f 00010002 0000000000000005",
      "OFPBAC_BAD_SET_TYPE",
    ],
    [
      "load, header with a mask",
      "ffff0018 00002320 0007 001f 00010108 0000000000000005",
      "load:0x5->NXM_NX_REG0[]",
    ],
    ["push, unknown field", "ffff0018 00002320 001b 0000 77770004 0010 000000000000", "OFPBMC_BAD_FIELD"],
    ["push, header with a mask", "ffff0018 00002320 001b 0000 00010108 0010 000000000000", "OFPBMC_BAD_MASK"],
    ["move, one header", "ffff0010 00002320 0006 0010 0000 0000", "OFPBMC_BAD_LEN"],
    ["resubmit, padding", "ffff0010 00002320 000e fff8 03 010000", "OFPBAC_BAD_ARGUMENT"],
    ["output_reg, padding", "ffff0018 00002320 000f 000f 00010004 ffff 000000000001", "OFPBAC_BAD_ARGUMENT"],
    ["ct, padding", "ffff0018 00002320 0023 0000 00000000 0005 ff 010203 0000", "ct(zone=5)"],
    ["delete_field, any field", "ffff0018 00002320 0032 00010004 00000000000000000001", "delete_field:reg0"],
    [
      "bundle, more members than there are",
      "ffff0020 00002320 000c 0001 0000 003c 00000002 0801 0000 0000000000000000",
      "OFPBAC_BAD_LEN",
    ],
    ["controller, short max_len", "ffff0018 00002320 0025 000000000000 0000 0004 00000000", "OFPBPC_BAD_LEN"],
  ];
  for (const [what, action, want, version = 4] of cases) t.equal(taken(version, action), want, what);
  const nat = (rest: string): string => {
    const inner = bytes(rest).length + 16 - 6;
    const padded = (inner + 7) & ~7;
    const tail = "00".repeat(padded - inner);
    return `ffff00${(24 + padded).toString(16)} 00002320 0023 0001 00000000 0000 ff 000000 0000 ffff00${padded.toString(16)} 00002320 0024 ${rest} ${tail}`;
  };
  const nats: [rest: string, want: string][] = [
    ["0000 0001 0031 0a000001 0005 0007", "nat(src=10.0.0.1:5-7)"],
    ["0001 0001 0001 0a000001", "nat(src=10.0.0.1)"],
    ["0000 0001 0041 0a000001", "nat(src=10.0.0.1)"],
    ["0000 0000 0001 0a000001", "nat"],
    ["0000 0005 0000", "nat(src)"],
    ["0000 0001 0010 0005", "OFPBAC_BAD_ARGUMENT"],
    ["0000 0001 0011 0a000001 0000", "OFPBAC_BAD_ARGUMENT"],
    ["0000 0001 0031 0a000001 0005 0000", "OFPBAC_BAD_ARGUMENT"],
    ["0000 0001 0004 0a000001", "OFPBAC_BAD_ARGUMENT"],
    ["0000 0019 0001 0a000001", "OFPBAC_BAD_ARGUMENT"],
  ];
  for (const [rest, want] of nats) {
    t.equal(taken(4, nat(rest)), want.startsWith("OFP") ? want : `ct(commit,${want})`, rest);
  }
});

t.test("text: what is printed is read back as the same", async (t) => {
  for (const text of ACTION_TEXTS) {
    const { actions } = parseActions(text);
    const once = formatActions(actions);
    t.equal(formatActions(parseActions(once).actions), once, text);
    t.same(parseActions(once).actions, actions, text);
  }
  const flows = [
    ...MATCH_TEXTS.map((text) => `${text},actions=drop`),
    ...VERSIONED_ACTION_TEXTS.map(([text]) => `actions=${text}`),
    ...MATCHED_ACTION_TEXTS,
  ];
  for (const text of flows) {
    const fm = flow(text);
    const printed = `${formatMatch(fm.match)},actions=${formatActions(fm.actions)}`;
    t.same(flow(printed), fm, text);
  }
});

t.test("text: errors in the original's words", async (t) => {
  for (const [text, want] of [
    ["foo=5,actions=drop", "unknown keyword foo"],
    ["in_port=5", "must specify an action"],
    ["priority=99999,actions=drop", 'invalid priority "99999"'],
    ["actions=foo", "unknown action foo"],
    ["actions=drop,1", '"drop" must not be accompanied by any other action or instruction'],
    ["cookie=1/2,actions=drop", "flow additions cannot use a cookie mask"],
    [
      "actions=set_field:1.2.3.4->ip_src",
      "actions are invalid with specified match (OFPBAC_MATCH_INCONSISTENT)",
    ],
    [
      "actions=goto_table:4,1",
      "invalid instruction ordering: apply_actions must appear before goto_table, for OpenFlow 1.1+ compatibility",
    ],
  ] as const) {
    t.throws(() => parseFlow(text, 0), new TextError(want), text);
  }
});

t.test("errors have numbers in some version, and the numbers lead back", async (t) => {
  for (const name of errorNames()) {
    const versions = VERSIONS.filter((v) => errorNumbers(name, v) !== undefined);
    t.ok(versions.length > 0, name);
    for (const v of versions) {
      const { vendor, type, code } = errorNumbers(name, v)!;
      t.type(errorByNumbers(v, vendor, type, code), "string");
    }
  }
  const request = bytes("0414000800000007");
  const error = makeError("OFPBRC_BAD_LEN", 4, request);
  const back = decode(encode(error, 4, { xid: 7 }));
  t.match(back, { message: { type: "error", error: "OFPBRC_BAD_LEN", payload: request } });
});

t.test("a long reply is cut at 64 kB into messages that say that more follow", async (t) => {
  const fm = flow("tcp,tp_dst=80,actions=output:1");
  for (const [version, nx] of [
    [1, true],
    [4, false],
  ] as const) {
    const out = new MultipartWriter("flow-reply", version, 9, nx);
    for (let i = 0; i < 3000; i++) {
      out.flow({
        match: fm.match,
        cookie: BigInt(i),
        table: 0,
        priority: 5,
        idleSec: 0,
        hardSec: 0,
        duration: { sec: 1, nsec: 0 },
        idleAge: 0,
        hardAge: 0,
        packets: 1n,
        bytes: 2n,
        importance: 0,
        flags: 0,
        actions: fm.actions,
      });
    }
    const all = out.done();
    let count = 0;
    let parts = 0;
    for (let at = 0; at < all.length; ) {
      const { length } = readHeaderAt(all, at);
      const part = decode(all.slice(at, at + length));
      at += length;
      parts++;
      if (part instanceof OfpError || part.message.type !== "flow-reply") {
        t.fail("a part does not decode");
        break;
      }
      if (part.message.flows.some((s) => s.cookie !== BigInt(count++))) t.fail("flows out of order");
      t.equal(part.more, at < all.length, `part ${parts}`);
    }
    t.equal(count, 3000);
    t.ok(parts > 2);
  }
});

t.test("of more ports than a features reply holds the first ones are told", async (t) => {
  const port = { hwAddr: new Uint8Array(6), hwAddr64: undefined, name: "p", config: 0, state: 0 };
  const speeds = { curr: 0, advertised: 0, supported: 0, peer: 0, currSpeed: 0, maxSpeed: 0 };
  const ports = Array.from({ length: 2000 }, (_, i) => ({ port: i + 1, ...port, ...speeds }));
  const reply = {
    type: "features-reply",
    datapathId: 1n,
    nBuffers: 0,
    nTables: 254,
    auxiliaryId: 0,
  } as const;
  for (const [version, told] of [
    [1, 1364],
    [2, 1023],
  ] as const) {
    const bytes = encode({ ...reply, capabilities: 0, actions: 0, ports }, version, { xid: 9 });
    t.equal(bytes.length, readHeaderAt(bytes).length);
    const decoded = decode(bytes);
    t.equal((decoded as { message: { ports: unknown[] } }).message.ports.length, told);
  }
});

t.test("versions in words", async (t) => {
  t.equal(versionsText(0x02), "version 0x01");
  t.equal(versionsText(0x7e), "version 0x06 and earlier");
  t.equal(versionsText(0x12), "versions 0x01, 0x04");
});

const settle = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
};

t.test("rconn negotiates, answers echoes, probes and comes back", async (t) => {
  const clock = new SimClock();
  clock.stop();
  const network = new MemoryNetwork(clock);
  const received: string[] = [];
  let drop: (() => void) | undefined;
  await network.listen("ptcp:6653", (stream) => {
    drop = () => stream.destroy();
    stream.handler = {
      data(data) {
        received.push(hex(data).slice(0, 4));
        if (data[1] === 0) stream.write(encode({ type: "hello", versions: 0x12, understood: true }, 4));
      },
      close() {},
    };
  });
  const states: string[] = [];
  const rconn = new Rconn(
    {
      clock,
      name: "br0<->tcp:127.0.0.1:6653",
      connect: () => network.connect("tcp:127.0.0.1:6653"),
      versions: () => 0x1e,
      maxBackoffMs: 8000,
      probeIntervalMs: 5000,
    },
    {
      connected: ({ version }) => states.push(`connected ${version}`),
      disconnected: () => states.push("disconnected"),
      message() {},
    },
  );
  rconn.start();
  await settle();
  t.same(states, ["connected 4"], "the highest common version");
  await clock.warp(5001, 1001);
  await settle();
  t.ok(received.includes("0402"), "an echo request after silence");
  drop?.();
  await settle();
  t.same(states.at(-1), "disconnected");
  await clock.warp(1001);
  await settle();
  t.same(states.at(-1), "connected 4", "back after the backoff");
  rconn.close();
});

t.test("rconn: what a peer has opened ends for good when it ends, and leaves no timer", async (t) => {
  let timers = 0;
  class CountingClock extends SimClock {
    override background(ms: number, run: () => void): Timer {
      timers++;
      return super.background(ms, run);
    }
  }
  const clock = new CountingClock();
  const network = new MemoryNetwork(clock);
  let ended = 0;
  const server = await network.listen("ptcp:6653", (stream) => {
    const options = { clock, name: "br0<->peer", connect: undefined, versions: () => 0x7e };
    const handler = { connected() {}, message() {}, disconnected: () => void ended++ };
    new Rconn({ ...options, maxBackoffMs: 1000, probeIntervalMs: 0 }, handler).adopt(stream);
  });
  for (let i = 0; i < 2; i++) {
    const stream = await network.connect("tcp:127.0.0.1:6653");
    stream.handler = { data() {}, close() {} };
    stream.write(encode({ type: "hello", versions: 0x7e, understood: true }, 6, { xid: 1 }));
    await settle();
    stream.destroy();
    await settle();
  }
  const before = timers;
  await clock.warp(1000);
  t.equal(ended, 2);
  t.equal(timers, before);
  server.close();
});
