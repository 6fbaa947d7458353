/** Keys, masks and actions as openvswitch.ko's attributes: golden bytes, and round trips. */
import fc from "fast-check";
import t from "tap";
import { writeActions } from "../../src/datapath/kernel/action-codec.ts";
import { readActions } from "../../src/datapath/kernel/action-decode.ts";
import {
  invisibleBit,
  narrowMask,
  readKey,
  readMask,
  readMetadata,
  writeKey,
  writeMask,
  writeMetadata,
} from "../../src/datapath/kernel/key-codec.ts";
import { KEY_ROWS } from "../../src/datapath/kernel/key-table.ts";
import { NlWriter } from "../../src/datapath/kernel/writer.ts";
import { formatOdpActions, parseOdpActions } from "../../src/datapath/odp/action-text.ts";
import * as A from "../../src/datapath/odp/actions.ts";
import { formatOdpKey, parseOdpKey } from "../../src/datapath/odp/key-text.ts";
import { extractFlow } from "../../src/flow/extract.ts";
import * as L from "../../src/flow/layout.ts";
import { type FrameSpec, frame } from "./frames.ts";

const view = (out: NlWriter): DataView => new DataView(out.bytes.buffer, 0, out.length);
const hex = (out: NlWriter): string => Buffer.from(out.bytes.subarray(0, out.length)).toString("hex");
const row = (values: Record<number, number>): L.Flow => {
  const words = new Int32Array(L.FLOW_DP_WORDS);
  for (const [word, value] of Object.entries(values)) words[Number(word)] = value;
  return words;
};
const NOTHING = row({});
const NO_ACTIONS = new Int32Array(0);

const udp: FrameSpec = {
  tags: [],
  ip: 4,
  proto: "udp",
  src: [10, 0, 0, 1],
  dst: [10, 0, 0, 2],
  sport: 1000,
  dport: 2000,
  payload: [],
};
function keyOf(bytes: number[], port = 1): L.Flow {
  const key = row({ [L.W_IN_PORT]: port });
  extractFlow(Uint8Array.from(bytes), 0, bytes.length, key, new Int32Array(8));
  return key;
}
function key(text: string): { key: L.Flow; mask: L.Flow } {
  const parsed = parseOdpKey(text);
  if ("error" in parsed) throw new Error(parsed.error);
  return parsed;
}

t.test("a key's bytes", async (t) => {
  const out = new NlWriter();
  out.bytes.fill(0xa5);
  const tagged = keyOf(frame({ ...udp, tags: [0x2005] }), 7);
  writeKey(out, tagged, NOTHING);
  const mac = Buffer.from(frame(udp).slice(0, 12)).toString("hex");
  t.equal(
    hex(out),
    [
      "0800 0300 07000000", // in_port
      `1000 0400 ${mac.slice(12)}${mac.slice(0, 12)}`, // eth: src, dst
      "0600 0600 8100 0000",
      "0600 0500 3005 0000", // vlan, with the bit that says so
      "2400 0100", // encap
      "0600 0600 0800 0000",
      "1000 0700 0a000001 0a000002 11 00 40 00",
      "0800 0a00 03e8 07d0",
    ]
      .join("")
      .replaceAll(" ", ""),
  );
  const mask = row({ [L.W_TP]: 0xffff, [L.W_VLAN0]: 0xfff });
  narrowMask(tagged, mask, NO_ACTIONS);
  out.reset();
  out.bytes.fill(0xa5);
  writeMask(out, tagged, mask);
  t.equal(
    hex(out),
    [
      "0800 0300 ffffffff",
      "0600 0600 ffff 0000",
      "0600 0500 1fff 0000",
      "2400 0100",
      "0600 0600 ffff 0000",
      "1000 0700 00000000 00000000 ff 00 00 ff",
      "0800 0a00 0000 ffff",
    ]
      .join("")
      .replaceAll(" ", ""),
  );
});

t.test("what a mask needs is added, and what the kernel cannot see is told", async (t) => {
  const plain = keyOf(frame(udp));
  const narrowed = (of: L.Flow, mask: L.Flow): L.Flow => {
    narrowMask(of, mask, NO_ACTIONS);
    return mask;
  };
  t.strictSame(narrowed(plain, row({})), row({ [L.W_IN_PORT]: -1, [L.W_VLAN0]: L.VLAN_CFI }));
  t.equal(narrowed(plain, row({ [L.W_IPV4_SRC]: 0xff }))[L.W_ETH_TYPE], 0xffff);
  const arp = key("in_port(1),eth(),eth_type(0x0806),arp(op=1)").key;
  t.equal(narrowed(arp, row({ [L.W_TP]: -1 }))[L.W_ETH_TYPE], 0xffff, "an ARP packet has no ports");
  const igmp = row({ [L.W_IN_PORT]: 1, [L.W_ETH_TYPE]: 0x800, [L.W_NW]: 0x400002, [L.W_TP]: 0x160000 });
  const ttl = Int32Array.of(A.ODP_CLONE, 7, A.ODP_SET, 5, L.W_NW, 9 << 16, 0xff0000);
  const set = row({});
  narrowMask(plain, set, ttl);
  t.equal(set[L.W_ETH_TYPE], 0xffff, "a header that is set must be there");
  t.match(invisibleBit(igmp, row({ [L.W_TP]: 0xff0000 })), /word 40/);
  t.equal(invisibleBit(igmp, row({ [L.W_NW]: 0xff })), undefined);
  t.equal(invisibleBit(plain, row({ [L.W_TP]: -1, [L.W_IGMP_ND_RESERVED]: -1 })), undefined);
});

t.test("keys and masks come back as they were", async (t) => {
  const frames = fc.record({
    tags: fc.array(fc.integer({ min: 0, max: 0xefff }), { maxLength: 2 }),
    ip: fc.constantFrom(4 as const, 6 as const),
    proto: fc.constantFrom("tcp" as const, "udp" as const, "icmp" as const),
    src: fc.array(fc.integer({ min: 1, max: 255 }), { minLength: 16, maxLength: 16 }),
    dst: fc.array(fc.integer({ min: 1, max: 255 }), { minLength: 16, maxLength: 16 }),
    sport: fc.integer({ min: 0, max: 65535 }),
    dport: fc.integer({ min: 0, max: 65535 }),
    payload: fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 4, maxLength: 4 }),
  });
  const bits = fc.array(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), {
    minLength: L.FLOW_DP_WORDS,
    maxLength: L.FLOW_DP_WORDS,
  });
  fc.assert(
    fc.property(frames, bits, bits, fc.boolean(), (spec, maskBits, metadata, tracked) => {
      const of = keyOf(frame(spec));
      for (const word of [L.W_SKB_PRIORITY, L.W_PKT_MARK, L.W_RECIRC_ID, L.W_DP_HASH])
        of[word] = metadata[word]!;
      if (tracked) {
        of[L.W_CT_STATE_ZONE] = metadata[L.W_CT_STATE_ZONE]! & 0xffff00ff;
        for (let i = 0; i < 4; i++) of[L.W_CT_LABEL + i] = metadata[L.W_CT_LABEL + i]!;
        of[L.W_CT_NW_PROTO] = 6;
        of[L.W_CT_TP] = metadata[L.W_CT_TP]!;
        of[spec.ip === 4 ? L.W_CT_NW_DST : L.W_CT_IPV6_SRC] = metadata[L.W_CT_NW_DST]!;
      }
      const out = new NlWriter();
      const back: L.Flow = new Int32Array(L.FLOW_DP_WORDS);
      // No bit of what the key's protocols do not have.
      const mask = row({});
      for (const { present, pieces } of KEY_ROWS)
        if (present(of))
          for (const piece of pieces)
            mask[piece.word]! |= maskBits[piece.word]! & (piece.bits << piece.shift);
      if ((of[L.W_VLAN0]! & L.VLAN_CFI) !== 0) mask[L.W_VLAN0] = maskBits[L.W_VLAN0]!;
      narrowMask(of, mask, NO_ACTIONS);
      writeMask(out, of, mask);
      readMask(view(out), of, back);
      t.strictSame(back, mask);
      out.reset();
      writeKey(out, of, mask);
      readKey(view(out), back);
      t.strictSame(back, of);
      out.reset();
      writeMetadata(out, of);
      readMetadata(view(out), back);
      t.strictSame(back.subarray(0, L.W_ETH_DST_HI), of.subarray(0, L.W_ETH_DST_HI));
    }),
    { numRuns: 60, seed: 1 },
  );
});

t.test("keys that nest, or are of no Ethernet frame", async (t) => {
  for (const [what, of] of [
    [
      "tunnel",
      row({
        [L.W_IN_PORT]: 3,
        [L.W_ETH_TYPE]: L.FLOW_DL_TYPE_NONE,
        [L.W_TUN_ID_LO]: 5,
        [L.W_TUN_SRC]: 0x0a000001,
        [L.W_TUN_DST]: 0x0a000002,
        [L.W_TUN_FLAGS_TOS_TTL]: (64 << 24) | (4 << 16) | 0xe,
        [L.W_TUN_TP]: (1000 << 16) | 4789,
        [L.W_TUN_GBP]: 0x80123,
      }),
    ],
    [
      "tunnel over IPv6",
      row({ [L.W_IN_PORT]: 3, [L.W_ETH_TYPE]: L.FLOW_DL_TYPE_NONE, [L.W_TUN_IPV6_DST + 3]: 1 }),
    ],
    [
      "tunnel with options of Geneve",
      key(
        "tunnel(tun_id=0x5,src=10.0.0.1,dst=10.0.0.2,ttl=64,tp_dst=6081,geneve({class=0x102,type=0x80,len=8,0x1234567890abcdef}{class=0x1,type=0x2,len=0}),flags(oam|csum|key)),in_port(3),eth_type(0x88cc)",
      ).key,
    ],
    [
      "tunnel of ERSPAN",
      key(
        "tunnel(tun_id=0x5,dst=10.0.0.2,ttl=64,erspan(ver=1,idx=0x7),flags(key)),in_port(3),eth_type(0x88cc)",
      ).key,
    ],
    [
      "tunnel of ERSPAN version 2",
      key(
        "tunnel(tun_id=0,ipv6_dst=fd00::2,ttl=64,erspan(ver=2,dir=1,hwid=0x37),flags(key)),in_port(3),eth_type(0x88cc)",
      ).key,
    ],
    ["MPLS", row({ [L.W_ETH_TYPE]: 0x8847, [L.W_MPLS]: 0x0001_4040, [L.W_MPLS + 1]: 0x0002_4140 })],
    [
      "NSH",
      row({
        [L.W_ETH_TYPE]: 0x894f,
        [L.W_NSH_BASE]: 0x003f0103,
        [L.W_NSH_PATH]: 0x1234ff,
        [L.W_NSH_CONTEXT + 3]: 9,
      }),
    ],
    [
      "ARP",
      key(
        "in_port(1),eth(src=00:00:00:00:00:01,dst=ff:ff:ff:ff:ff:ff),eth_type(0x0806),arp(sip=1.2.3.4,op=1,sha=00:00:00:00:00:01)",
      ).key,
    ],
    [
      "ND",
      key(
        "in_port(1),eth_type(0x86dd),ipv6(proto=58),icmpv6(type=135,code=0),nd(target=fe80::1,sll=02:00:00:00:00:01)",
      ).key,
    ],
    ["a fragment", key("in_port(1),eth_type(0x0800),ipv4(src=1.2.3.4,proto=6,frag=later)").key],
    [
      "IP alone",
      row({ [L.W_PACKET_TYPE]: 0x10800, [L.W_ETH_TYPE]: 0x800, [L.W_IPV4_SRC]: 1, [L.W_NW]: 0x400011 }),
    ],
  ] as const) {
    const out = new NlWriter();
    writeKey(out, of, NOTHING);
    const back: L.Flow = new Int32Array(L.FLOW_DP_WORDS);
    readKey(view(out), back);
    t.strictSame(back, of, what);
    for (let length = 0; length < out.length; length++)
      readKey(new DataView(out.bytes.buffer, 0, length), back);
  }
});

t.test("masks of tunnels", async (t) => {
  const base = "src=10.0.0.1,dst=10.0.0.2,ttl=64";
  for (const [text, want] of [
    [`tunnel(tun_id=0x5/0xff,${base},flags(-df+csum+key)),in_port(1)`, undefined],
    [`tunnel(${base},vxlan(gbp(id=10/0xff,flags=0xb))),in_port(1)`, undefined],
    [
      `tunnel(${base},geneve({class=0x1,type=0x2/0x7f,len=4,0xa/0xff}{class=0x2,type=0x1,len=0})),in_port(1)`,
      undefined,
    ],
    [`tunnel(${base},erspan(ver=1,idx=0x7/0xf)),in_port(1)`, undefined],
    [
      `tunnel(${base},erspan(ver=2,dir=1/0,hwid=0x7/0xf)),in_port(1)`,
      `tunnel(${base},erspan(ver=2,hwid=0x7/0xf)),in_port(1)`,
    ],
    [`tunnel(tun_id=0x5,${base}),in_port(1)`, `tunnel(tun_id=0x5,${base},flags(-key)),in_port(1)`],
  ] as const) {
    const of = key(text);
    of.key[L.W_ETH_TYPE] = L.FLOW_DL_TYPE_NONE;
    narrowMask(of.key, of.mask, NO_ACTIONS);
    const out = new NlWriter();
    writeMask(out, of.key, of.mask);
    const back: L.Flow = new Int32Array(L.FLOW_DP_WORDS);
    readMask(view(out), of.key, back);
    back[L.W_RECIRC_ID] = 0;
    t.equal(
      formatOdpKey(of.key, back),
      `recirc_id(0),${want ?? text},eth()`.replace("recirc_id(0),", ""),
      text,
    );
    for (let length = 0; length < out.length; length++)
      readMask(new DataView(out.bytes.buffer, 0, length), of.key, back);
  }
  const geneve = key(`tunnel(${base},geneve({class=0x1,type=0x2,len=4,0xa/0xff})),in_port(1)`);
  const out = new NlWriter();
  out.bytes.fill(0xa5);
  writeKey(out, geneve.key, geneve.mask);
  t.match(hex(out), "0c0008000001020" + "10000000a", "options as they are on the wire");
});

/** Ends in 0 where nothing else is said: of TCP over IPv4. */
const tcp = key("in_port(1),eth_type(0x0800),ipv4(proto=6),tcp(src=1,dst=2)").key;

t.test("actions' bytes", async (t) => {
  const cases: [string, Int32Array, string][] = [
    ["output", Int32Array.of(A.ODP_OUTPUT, 3, 5), "0800 0100 05000000"],
    ["push_vlan", Int32Array.of(A.ODP_PUSH_VLAN, 3, 0x8100300a | 0), "0800 0400 8100300a"],
    ["userspace", Int32Array.of(A.ODP_USERSPACE, 3, -2), "1400 0200 0800 0100 63000000 0800 0200 feffffff"],
    [
      "two sets of one header are one",
      Int32Array.of(A.ODP_SET, 5, L.W_IPV4_DST, 0x0a000009, -1, A.ODP_SET, 5, L.W_NW, 9 << 16, 0xff0000),
      "2000 0b00 1c00 0700 00000000 0a000009 0000 0900 00000000 ffffffff 0000 ff00",
    ],
    ["queue", Int32Array.of(A.ODP_SET, 5, L.W_SKB_PRIORITY, 3, -1), "1000 0b00 0c00 0200 04000100 ffffffff"],
    ["push_mpls", Int32Array.of(A.ODP_PUSH_MPLS, 4, 0x00014140, 0x8847), "0c00 0900 00014140 8847 0000"],
    [
      "sample",
      Int32Array.of(A.ODP_SAMPLE, 6, -1, A.ODP_OUTPUT, 3, 2),
      "1800 0600 0800 0100 ffffffff 0c00 0200 0800 0100 02000000",
    ],
    [
      "check_pkt_len",
      Int32Array.of(A.ODP_CHECK_PKT_LEN, 9, 200, 3, A.ODP_OUTPUT, 3, 2, A.ODP_POP_VLAN, 2),
      "2000 1500 0600 0100 c800 0000 0c00 0200 0800 0100 02000000 0800 0300 0400 0500",
    ],
    [
      "a committed connection tells little of itself",
      (() => {
        const ct = new Int32Array(A.CT_WORDS);
        ct.set([A.ODP_CT, A.CT_WORDS, A.CT_COMMIT, 5]);
        return ct;
      })(),
      "1800 0c00 0400 0100 0800 0800 87040000 0600 0200 0500 0000",
    ],
    ["drop", Int32Array.of(A.ODP_DROP, 3, 1), ""],
  ];
  for (const [what, program, want] of cases) {
    const out = new NlWriter();
    out.bytes.fill(0xa5);
    t.equal(writeActions(out, program, tcp, 99), undefined, what);
    t.equal(hex(out), want.replaceAll(" ", ""), what);
  }
});

t.test("actions that came after Linux 6.1", async (t) => {
  const all = { drop: true, psample: true };
  for (const [what, program, want] of [
    ["drop", [A.ODP_DROP, 3, 2], "0800 1800 02000000"],
    ["psample", [A.ODP_PSAMPLE, 5, 7, 0x64, 0xc8], "1800 1900 0800 0100 07000000 0c00 0200 00000064000000c8"],
  ] as const) {
    const out = new NlWriter();
    out.bytes.fill(0xa5);
    t.equal(writeActions(out, Int32Array.from(program), tcp, 1, all), undefined, what);
    t.equal(hex(out), want.replaceAll(" ", ""), what);
    const builder = new A.OdpActionBuilder();
    readActions(view(out), builder);
    t.strictSame([...builder.take()], program);
    for (let length = 0; length < out.length; length++)
      readActions(new DataView(out.bytes.buffer, 0, length), new A.OdpActionBuilder());
  }
});

t.test("a decremented TTL", async (t) => {
  const program = Int32Array.of(A.ODP_DEC_TTL, 5, A.ODP_OUTPUT, 3, 9, A.ODP_OUTPUT, 3, 2);
  const out = new NlWriter();
  t.equal(writeActions(out, program, tcp, 1), undefined);
  t.equal(hex(out), "1000 1700 0c00 0100 0800 0100 09000000 0800 0100 02000000".replaceAll(" ", ""));
  const builder = new A.OdpActionBuilder();
  readActions(view(out), builder);
  t.strictSame(builder.take(), program);
  t.equal(formatOdpActions(program), "dec_ttl(le_1(9)),2");
});

t.test("actions come back as they were", async (t) => {
  for (const text of [
    "1,2,3",
    "push_vlan(vid=5,pcp=1),2,pop_vlan,3",
    "trunc(100),2",
    "hash(l4(7)),recirc(0x5)",
    "clone(push_vlan(vid=9,pcp=0),2),3",
    "sample(sample=50.0%,actions(2))",
    "check_pkt_len(size=200,gt(2),le(3,4))",
    "meter(3),2",
    "push_mpls(label=20,tc=1,ttl=64,bos=1,eth_type=0x8847),2",
    "pop_mpls(eth_type=0x800),2",
    "set(ipv4(src=1.2.3.4,ttl=9)),set(tcp(dst=80)),2",
    "set(skb_mark(0x5)),set(eth(src=02:00:00:00:00:01)),2",
    "set(skb_priority(0x3)),2",
    "ct(commit,zone=5,mark=0x1/0xff,label=0x5/0xff,nat(src=10.0.0.1-10.0.0.9:1-99,random)),recirc(0x6)",
    "ct(force_commit,helper=ftp,nat(dst=[fd00::1]:80)),ct_clear,2",
    "ct(nat),2",
    "ct(commit,zone=5,helper=tftp,timeout=ovs_tp_1_tcp4,nat(src=10.0.0.1,persistent,hash)),2",
    "pop_eth,2",
    "push_eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),2",
    "push_nsh(flags=0,ttl=63,mdtype=1,np=3,spi=0x1,si=255,c1=0x1,c2=0x2,c3=0x3,c4=0x4),2",
    "add_mpls(label=20,tc=0,ttl=64,bos=1,eth_type=0x8847),2",
    "set(tunnel(tun_id=0x5,dst=10.9.0.2,ttl=64,tp_dst=4789,vxlan(gbp(id=10,flags=0xb)),flags(df|key))),2",
    "set(tunnel(tun_id=0x5,ipv6_dst=fd00::2,tos=0x4,ttl=64,geneve({class=0x102,type=0x80,len=8,0x1234567890}{class=0x2,type=0x1,len=0}),flags(csum|key))),2",
    "set(tunnel(tun_id=0x5,dst=10.9.0.2,ttl=64,erspan(ver=2,dir=1,hwid=0x7),flags(key))),2",
  ]) {
    const builder = new A.OdpActionBuilder();
    t.equal(parseOdpActions(text, builder), undefined, text);
    const program = builder.take();
    const out = new NlWriter();
    t.equal(writeActions(out, program, tcp, 1), undefined, text);
    builder.reset();
    readActions(view(out), builder);
    t.equal(formatOdpActions(builder.take()), formatOdpActions(program));
    for (let length = 0; length < out.length; length++)
      readActions(new DataView(out.bytes.buffer, 0, length), new A.OdpActionBuilder());
  }
});

t.test("what the kernel does not have is told, and nothing is written", async (t) => {
  const arp = key("in_port(1),eth_type(0x0806),arp(op=1)").key;
  for (const [program, of, why] of [
    [[A.ODP_SET, 5, L.W_NW, 2, 0xff], arp, /set of word 23/],
    [[A.ODP_SET, 5, L.W_TP, 1, -1], arp, /set of word 40/],
    [[A.ODP_OUTPUT, 3, 1, A.ODP_HASH, 4, 1, 0], tcp, /hash/],
    [[A.ODP_OUTPUT, 3, 1, A.ODP_CLONE, 7, A.ODP_PSAMPLE, 5, 1, 2, 3], tcp, /action 24/],
  ] as const) {
    const out = new NlWriter();
    t.match(writeActions(out, Int32Array.from(program), of, 1), why);
    t.equal(out.length, 0);
  }
});
