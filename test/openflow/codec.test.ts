/** The OpenFlow codec: golden messages, round trips in every version, hostile bytes, text syntax, rconn over memory. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import t from "tap";
import { formatMatch } from "../../src/flow/match-text.ts";
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
import { printMessage } from "../../src/openflow/text/print.ts";
import { parseTlvs, tlvText } from "../../src/openflow/text/raw-match.ts";
import { versionsText } from "../../src/openflow/vconn.ts";
import { Reader, Writer } from "../../src/openflow/wire.ts";

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

const MATCHES = [
  "",
  "in_port=LOCAL",
  "ip,nw_src=10.0.0.0/8,nw_tos=32",
  "tcp,dl_vlan=5,tp_dst=80",
  "udp6,ipv6_dst=fe80::1,tp_src=53",
  "arp,arp_tpa=1.2.3.4,arp_op=1",
  "dl_src=00:11:22:33:44:55,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00",
  "reg0=0x5/0xff,metadata=0x1234,tun_id=7",
  "icmp6,icmp_type=135,nd_target=fe80::2",
  "mpls,mpls_label=5,mpls_tc=3",
];

const ACTIONS = [
  "drop",
  "output:1,NORMAL,CONTROLLER:128",
  "resubmit(,3),resubmit:7,resubmit(5,6,ct)",
  "load:0x5->NXM_NX_REG0[],move:NXM_NX_REG0[]->NXM_NX_REG1[],push:NXM_NX_REG0[0..5],pop:NXM_NX_REG1[0..5]",
  "learn(table=2,idle_timeout=10,NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])",
  "conjunction(5,1/2)",
  "multipath(eth_src,50,modulo_n,1,0,NXM_NX_REG0[]),bundle(eth_src,0,hrw,ofport,members:4,8)",
  "note:11.e9.9a.ad.67.f3,exit",
  "sample(probability=12345,collector_set_id=1,obs_domain_id=2,obs_point_id=3,sampling_port=4,egress)",
  "clone(output:1,output:2),check_pkt_larger(1500)->NXM_NX_REG0[0]",
  "controller(reason=invalid_ttl,max_len=100,id=3,userdata=01.02,pause)",
  "output(port=1,max_len=100),output:NXM_NX_REG1[5..10],group:5",
];

t.test("flow_mods survive encoding in every version", async (t) => {
  for (const version of VERSIONS) {
    for (const match of MATCHES) {
      const nxm = version === 1;
      const fm = {
        ...flow(`${match === "" ? "" : `${match},`}priority=7,idle_timeout=9,actions=output:1`),
        table: 0,
      };
      if (version === 2 && (match.includes("reg0") || match.includes("6") || match.includes("nd_"))) continue;
      const back = decode(encode(fm, version, { nxm, xid: 1 }), { tableIds: true });
      if (back instanceof OfpError) {
        t.fail(`${match} in version ${version}: ${back.ofp}`);
        continue;
      }
      t.equal(back.message.type, "flow-mod");
      t.equal(
        formatMatch((back.message as FlowMod).match),
        formatMatch(fm.match),
        `${match} in version ${version}`,
      );
      t.equal((back.message as FlowMod).priority, 7);
      t.equal((back.message as FlowMod).idleSec, 9);
    }
    for (const text of ACTIONS) {
      const { actions } = parseActions(text);
      const fm = { ...flow("actions=drop"), actions };
      const back = decode(encode(fm, version));
      if (back instanceof OfpError) {
        t.fail(`${text} in version ${version}: ${back.ofp} ${back.message}`);
        continue;
      }
      const got = formatActions((back.message as FlowMod).actions);
      const want = formatActions(actions);
      t.equal(
        version === 6 ? got.replace(/set_field:0x5->reg0/, "load:0x5->NXM_NX_REG0[]") : got,
        want,
        `${text} in ${version}`,
      );
    }
  }
});

t.test("text: what is printed is read back as the same actions", async (t) => {
  for (const text of ACTIONS) {
    const once = formatActions(parseActions(text).actions);
    t.equal(formatActions(parseActions(once).actions), once, text);
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

t.test("random and mutilated bytes: an error value, never an exception", async (t) => {
  const seeds = VERSIONS.flatMap((v) => [
    encode(flow("tcp,reg1=3,tp_dst=80,actions=output:1"), v, { nxm: v === 1 }),
    encode({ ...flow("actions=drop"), actions: parseActions(ACTIONS[4]!).actions }, v, { nxm: v === 1 }),
    encode({ type: "port-desc-request", port: 0xffff }, v),
    encode({ type: "echo-request", payload: new Uint8Array(20) }, v),
  ]);
  const check = (data: Uint8Array): boolean => {
    const out = decode(data);
    return out instanceof OfpError || typeof out.name === "string";
  };
  for (const seed of seeds) {
    for (let cut = 0; cut < seed.length; cut++) if (!check(seed.slice(0, cut))) t.fail(`cut at ${cut}`);
  }
  fc.assert(
    fc.property(
      fc.constantFrom(...seeds),
      fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 6 }),
      (seed, edits) => {
        const copy = seed.slice();
        for (const [at, value] of edits) if (at < copy.length) copy[at] = value;
        return check(copy) && typeof printMessage(copy) === "string";
      },
    ),
    { numRuns: 4000 },
  );
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 8, maxLength: 120 }),
      fc.integer({ min: 1, max: 6 }),
      fc.nat(34),
      (data, version, type) => {
        data[0] = version;
        data[1] = type;
        return check(data);
      },
    ),
    { numRuns: 8000 },
  );
  t.pass("no exception");
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

t.test("versions in words", async (t) => {
  t.equal(versionsText(0x02), "version 0x01");
  t.equal(versionsText(0x7e), "version 0x06 and earlier");
  t.equal(versionsText(0x12), "versions 0x01, 0x04");
});

t.test("rconn negotiates, answers echoes, probes and comes back", async (t) => {
  const clock = new SimClock();
  clock.stop();
  const network = new MemoryNetwork(clock);
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
  };
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
