/**
 * Programs for the kernel: the assembler's encodings and listings, and what programs do to packets, run by an interpreter and
 * compared with the datapath in user space.
 */
import t from "tap";
import type { UpcallHandler } from "../../src/datapath/dpif.ts";
import { USERSPACE_ACTION_DROPS } from "../../src/datapath/drop-reasons.ts";
import { assemble } from "../../src/datapath/ebpf/asm/assemble.ts";
import * as helpers from "../../src/datapath/ebpf/asm/helpers.ts";
import {
  Add,
  And,
  BigEndian,
  call,
  comment,
  exit,
  IfEq,
  IfGt,
  IfSet,
  jump,
  type Line,
  Load,
  Lsh,
  label,
  loadMap,
  loadMapValue,
  Mov,
  Or,
  R0,
  R1,
  R2,
  R3,
  R6,
  R7,
  R10,
  Rsh,
  Store,
  StoreImm,
  Sub,
} from "../../src/datapath/ebpf/asm/instruction.ts";
import { formatProgram } from "../../src/datapath/ebpf/asm/listing.ts";
import { Journal } from "../../src/datapath/ebpf/journal.ts";
import { recoverOffloads } from "../../src/datapath/ebpf/offloads.ts";
import { Passing } from "../../src/datapath/ebpf/passing.ts";
import { JOURNAL_BYTES, MAX_BPF_FLOWS } from "../../src/datapath/ebpf/programs/layout.ts";
import { Rows, rowsBytes } from "../../src/datapath/ebpf/rows.ts";
import {
  ODP_CLONE,
  ODP_DROP,
  ODP_METER,
  ODP_OUTPUT,
  ODP_POP_MPLS,
  ODP_POP_VLAN,
  ODP_PUSH_MPLS,
  ODP_PUSH_VLAN,
  ODP_RECIRC,
  ODP_SAMPLE,
  ODP_SET,
  ODP_TRUNC,
  ODP_USERSPACE,
} from "../../src/datapath/odp/actions.ts";
import { makePacket } from "../../src/datapath/packet.ts";
import { extractFlow, OFS_WORDS } from "../../src/flow/extract.ts";
import {
  FLOW_DP_WORDS,
  FLOW_PACKET_WORDS,
  W_ARP_SHA_HI,
  W_ARP_SHA_THA,
  W_ARP_THA_LO,
  W_ETH_DST_HI,
  W_ETH_TYPE,
  W_IN_PORT,
  W_IPV4_DST,
  W_IPV4_SRC,
  W_IPV6_DST,
  W_IPV6_SRC,
  W_MPLS,
  W_NW,
  W_RECIRC_ID,
  W_TCP_FLAGS,
  W_TP,
  W_VLAN0,
  W_VLAN1,
} from "../../src/flow/layout.ts";
import { type EbpfBench, ebpfBench } from "./bpf/bench.ts";
import { makeSkb, strippedSkb } from "./bpf/fake-bpf.ts";
import { type FrameSpec, frame, layers, partial, recompute } from "./frames.ts";
import { hostileFrame, pick, randomOf } from "./hostile.ts";

// Bytes as the kernel's own assembler (llvm-mc -triple bpfel) gives them.
const ENCODINGS: [Line, string, string][] = [
  [Mov.reg(R6, R1), "bf16000000000000", "r6 = r1"],
  [Mov.imm(R0, 2), "b700000002000000", "r0 = 2"],
  [Mov.imm32(R2, -1), "b4020000ffffffff", "w2 = -1"],
  [Add.imm(R1, 22), "0701000016000000", "r1 += 0x16"],
  [Sub.reg(R3, R2), "1f23000000000000", "r3 -= r2"],
  [And.imm32(R1, 0xfff), "54010000ff0f0000", "w1 &= 0xfff"],
  [Or.reg32(R1, R2), "4c21000000000000", "w1 |= w2"],
  [Lsh.imm(R0, 16), "6700000010000000", "r0 <<= 0x10"],
  [Rsh.imm32(R3, 12), "740300000c000000", "w3 >>= 0xc"],
  [BigEndian.u16(R1), "dc01000010000000", "r1 = be16 r1"],
  [BigEndian.u32(R1), "dc01000020000000", "r1 = be32 r1"],
  [Load.u8(R0, R7, 14), "71700e0000000000", "r0 = *(u8 *)(r7 + 14)"],
  [Load.u16(R0, R7, 12), "69700c0000000000", "r0 = *(u16 *)(r7 + 12)"],
  [Load.u32(R7, R6, 76), "61674c0000000000", "r7 = *(u32 *)(r6 + 76)"],
  [Load.u64(R1, R7, 0), "7971000000000000", "r1 = *(u64 *)(r7 + 0)"],
  [Store.u32(R10, -4, R1), "631afcff00000000", "*(u32 *)(r10 - 4) = r1"],
  [Store.u64(R10, -8, R1), "7b1af8ff00000000", "*(u64 *)(r10 - 8) = r1"],
  [StoreImm.u32(R10, -4, 5), "620afcff05000000", "*(u32 *)(r10 - 4) = 5"],
  [loadMap(R1, "m"), "18110000070000000000000000000000", "r1 = map m"],
  [loadMapValue(R1, "m", 8), "18210000070000000000000008000000", "r1 = &m[8]"],
  [call(helpers.REDIRECT), "8500000017000000", "call redirect"],
  [exit(), "9500000000000000", "exit"],
];

t.test("assembler", async (t) => {
  const hex = (lines: Line[]): string => Buffer.from(assemble(lines, () => 7)).toString("hex");
  for (const [line, bytes, text] of ENCODINGS) {
    t.equal(hex([line]), bytes, text);
    t.equal(formatProgram([line]), `    0: ${text}\n`);
  }
  const jumps = [
    label("again"),
    IfEq.imm(R1, 6, "end"),
    comment("two units"),
    loadMap(R2, "m"),
    IfGt.reg(R3, R2, "end"),
    IfSet.imm32(R1, 1, "again"),
    jump("again"),
    label("end"),
    exit(),
  ];
  t.equal(
    hex(jumps),
    "1501050006000000" +
      "18120000070000000000000000000000" +
      "2d23020000000000" +
      "4601fbff01000000" +
      "0500faff00000000" +
      "9500000000000000",
  );
  t.equal(
    formatProgram(jumps),
    "again:\n    0: if r1 == 6 goto end\n       ; two units\n    1: r2 = map m\n    3: if r3 > r2 goto end\n" +
      "    4: if w1 & 1 goto again\n    5: goto again\nend:\n    6: exit\n",
  );
  t.throws(() => hex([jump("nowhere")]), /no label nowhere/);
  t.throws(() => hex([label("a"), label("a")]), /twice/);
  const far = Array.from({ length: 40_000 }, () => exit());
  t.throws(() => hex([jump("end"), ...far, label("end")]), /too far/);
});

const SPEC: FrameSpec = {
  tags: [],
  ip: 4,
  proto: "udp",
  src: [10, 0, 0, 1],
  dst: [10, 0, 0, 2],
  sport: 1000,
  dport: 2000,
  payload: Array.from({ length: 30 }, (_, i) => i),
};
const IPV6 = {
  ip: 6 as const,
  src: Array.from({ length: 16 }, (_, i) => i),
  dst: Array.from({ length: 16 }, (_, i) => 0xf0 + i),
};
const row = (values: Record<number, number>): Int32Array => {
  const words = new Int32Array(FLOW_DP_WORDS);
  for (const [word, value] of Object.entries(values)) words[Number(word)] = value;
  return words;
};
const output = (port: number): number[] => [ODP_OUTPUT, 3, port];
const set = (word: number, value: number, mask = -1): number[] => [ODP_SET, 5, word, value | 0, mask | 0];

async function twoPorts(): Promise<EbpfBench> {
  const bench = ebpfBench();
  for (const name of ["p1", "p2", "p3"]) await bench.dpif.portAdd(bench.device(name), undefined);
  return bench;
}

/** The key of a frame at port 1. */
function keyOf(bytes: number[]): Int32Array {
  const key = new Int32Array(FLOW_DP_WORDS);
  key[W_IN_PORT] = 1;
  extractFlow(Uint8Array.from(bytes), 0, bytes.length, key, new Int32Array(OFS_WORDS));
  return key;
}

/** What megaflows match on at least. */
function leastMask(key: Int32Array): Int32Array {
  const mask = row({ [W_IN_PORT]: -1, [W_RECIRC_ID]: -1, [W_ETH_TYPE]: 0xffff });
  if (key[W_ETH_TYPE] === 0x0800 || key[W_ETH_TYPE] === 0x86dd) mask[W_NW] = 0xff000000 | 0;
  return mask;
}

t.test("programs tell the same of a packet as extraction", async (t) => {
  const bench = await twoPorts();
  t.teardown(() => bench.dpif.close());
  const { dpif } = bench;
  const random = randomOf(7);
  let served = 0;
  let wrong = 0;
  for (let round = 0; round < 300; round++) {
    const kind = random(5);
    const bytes =
      kind < 2
        ? hostileFrame(random)
        : frame({
            ...SPEC,
            ...(random(2) === 0 ? IPV6 : {}),
            proto: pick(random, ["tcp", "udp", "icmp"] as const),
            tags: Array.from({ length: random(3) }, () => random(0x10000) & 0xefff),
            tos: random(256),
            flags: random(256),
            ...(kind === 4 ? { labels: [0x140] } : {}),
          });
    if (kind === 4) {
      // A stack of any height, perhaps cut off.
      const stack = layers(bytes).l3 - 4;
      for (let i = random(20); i > 0; i--) bytes[stack + random(20)] = random(256);
      if (random(3) === 0) bytes.length = stack + random(20);
    }
    if (bytes.length < 14 || bytes.length > 3000) continue;
    const key = keyOf(bytes);
    const mask = leastMask(key);
    for (let i = random(8); i > 0; i--)
      mask[W_ETH_DST_HI + random(FLOW_PACKET_WORDS - W_ETH_DST_HI)]! |= pick(random, [
        -1,
        random(2 ** 32) | 0,
      ]);
    mask[W_ETH_TYPE] = 0xffff;
    const handle = dpif.flowPut(key, mask, Int32Array.from(output(2)));
    await dpif.settled();
    // Sometimes as the kernel has it, with the tag beside the frame, sometimes as it came.
    bench.arriveSkb(random(2) === 0 ? strippedSkb(bytes, 10) : makeSkb(bytes, 10));
    if ((await bench.sent("p2")).length !== 1) wrong++;
    if (bench.dpif.offload.packets() > 0 && dpif.offload.isServed(handle)) served++;
    // A bit that is matched on, another way.
    const bits: [number, number][] = [];
    for (let word = W_ETH_DST_HI; word < FLOW_PACKET_WORDS; word++)
      for (let bit = 0; bit < 32; bit++) if (((mask[word]! >>> bit) & 1) !== 0) bits.push([word, bit]);
    await dpif.flowDel(handle);
    const [word, bit] = pick(random, bits);
    const other = key.slice();
    other[word]! ^= 1 << bit;
    const off = dpif.flowPut(other, mask, Int32Array.from(output(3)));
    await dpif.settled();
    bench.arriveSkb(makeSkb(bytes, 10));
    if ((await bench.sent("p3")).length !== 0) wrong++;
    await dpif.flowDel(off);
  }
  t.equal(wrong, 0, "none goes astray");
  t.ok(served > 150, `${served} were served by programs`);
  t.equal(dpif.offload.size, 0);
});

t.test("actions by programs", async (t) => {
  const bench = await twoPorts();
  t.teardown(() => bench.dpif.close());
  const { dpif } = bench;
  const tcp: FrameSpec = { ...SPEC, proto: "tcp" };
  const change = (spec: FrameSpec, other: Partial<FrameSpec>): number[] => frame({ ...spec, ...other });
  const address = (bytes: number[]): number => Buffer.from(bytes).readInt32BE(0);
  const newMac = recompute(frame(SPEC));
  newMac.splice(0, 6, 9, 8, 7, 6, 5, 4);
  const cases: [string, FrameSpec, number[], [number[][], number[][]]][] = [
    ["drop", SPEC, [], [[], []]],
    ["one", SPEC, output(2), [[frame(SPEC)], []]],
    ["two", SPEC, [...output(2), ...output(3)], [[frame(SPEC)], [frame(SPEC)]]],
    [
      "push",
      SPEC,
      [...output(3), ODP_PUSH_VLAN, 3, 0x8100300a | 0, ...output(2)],
      [[change(SPEC, { tags: [0x200a] })], [frame(SPEC)]],
    ],
    ["pop", { ...SPEC, tags: [5, 6] }, [ODP_POP_VLAN, 2, ...output(2)], [[change(SPEC, { tags: [6] })], []]],
    [
      "retag",
      { ...SPEC, tags: [0x3005] },
      [...set(W_VLAN0, 0x1007, 0xfff), ...output(2)],
      [[change(SPEC, { tags: [0x3007] })], []],
    ],
    [
      "Ethernet",
      SPEC,
      [...set(W_ETH_DST_HI, 0x09080706), ...set(W_ETH_DST_HI + 1, 0x05040000, 0xffff0000), ...output(2)],
      [[newMac], []],
    ],
    ...[SPEC, tcp].flatMap((spec): typeof cases => [
      [
        `${spec.proto} IPv4`,
        spec,
        [
          ...set(W_IPV4_SRC, address([1, 2, 3, 4])),
          ...set(W_IPV4_DST, 9, 0xff),
          ...set(W_NW, 0x003fb800, 0x00fffc00),
          ...set(W_TP, 7, 0xffff),
          ...output(2),
        ],
        [[change(spec, { src: [1, 2, 3, 4], dst: [10, 0, 0, 9], ttl: 63, tos: 0xb8, dport: 7 })], []],
      ],
      [
        `${spec.proto} IPv6`,
        { ...spec, ...IPV6 },
        [
          ...set(W_IPV6_SRC + 1, 0x01020304),
          ...set(W_IPV6_DST + 3, 0x05060708),
          ...set(W_NW, 0x003f2800, 0x00fffc00),
          ...set(W_TP, 7 << 16, 0xffff0000),
          ...output(2),
        ],
        [
          [
            change(
              { ...spec, ...IPV6 },
              {
                src: [0, 1, 2, 3, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 14, 15],
                dst: [...IPV6.dst.slice(0, 12), 5, 6, 7, 8],
                ttl: 63,
                tos: 0x28,
                sport: 7,
              },
            ),
          ],
          [],
        ],
      ],
    ]),
  ];
  for (const [what, spec, actions, [second, third]] of cases)
    for (const inFrame of [false, true]) {
      const bytes = frame(spec);
      const key = keyOf(bytes);
      const mask = leastMask(key);
      mask[W_NW]! |= 0xff;
      const handle = dpif.flowPut(key, mask, Int32Array.from(actions));
      await dpif.settled();
      const before = dpif.offload.packets();
      bench.arriveSkb(inFrame ? makeSkb(bytes, 10) : strippedSkb(bytes, 10));
      const name = `${what}${inFrame ? ", tags in the frame" : ""}`;
      t.strictSame(await bench.sent("p2"), second, `${name}: p2`);
      t.strictSame(await bench.sent("p3"), third, `${name}: p3`);
      // The kernel leaves no tag in a frame that had none beside it; such a one goes up.
      const up = inFrame && spec.tags.length > 0;
      t.equal(dpif.offload.packets() - before, up ? 0 : 1, `${name}: by ${up ? "user space" : "a program"}`);
      // The same under a partial checksum, which stays one.
      const [wanted] = second;
      if (wanted !== undefined && !inFrame && spec.tags.length === 0) {
        const { checksum } = layers(bytes);
        const packet = strippedSkb(partial(bytes), 10);
        packet.partial = checksum;
        bench.arriveSkb(packet);
        const [got] = await bench.sent("p2");
        await bench.sent("p3");
        t.strictSame(got, partial(wanted), `${name}: partial`);
      }
      await dpif.flowDel(handle);
    }
  t.equal(dpif.offload.actions.size, 0, "no program is left");
});

t.test("labels on, off and changed", async (t) => {
  const bench = await twoPorts();
  t.teardown(() => bench.dpif.close());
  const { dpif, bpf } = bench;
  const push = (entry: number, type = 0x8847): number[] => [ODP_PUSH_MPLS, 4, entry, type];
  const pop = (type: number): number[] => [ODP_POP_MPLS, 3, type];
  const tcp: FrameSpec = { ...SPEC, proto: "tcp" };
  const entry = (label: number, ttl: number, bottom = true): number =>
    (label << 12) | (bottom ? 0x100 : 0) | ttl;
  const one = { ...tcp, labels: [entry(100, 64)] };
  const two = { ...SPEC, labels: [entry(7, 9, false), entry(100, 64)] };
  const tags = [0x2005];
  const cases: [string, FrameSpec, number[], FrameSpec][] = [
    ["push", tcp, push(entry(100, 64)), one],
    ["push on a tagged one", { ...tcp, tags }, push(entry(100, 64)), { ...one, tags }],
    ["push another", { ...two, labels: [two.labels[1]!] }, push(entry(7, 9, false)), two],
    ["push two", SPEC, [...push(entry(100, 64)), ...push(entry(7, 9, false))], two],
    ["push, then a tag", tcp, [...push(entry(100, 64)), ODP_PUSH_VLAN, 3, 0x81003005 | 0], { ...one, tags }],
    ["pop", one, pop(0x0800), tcp],
    ["pop IPv6", { ...one, ...IPV6 }, pop(0x86dd), { ...tcp, ...IPV6 }],
    ["pop of a tagged one", { ...one, tags }, pop(0x0800), { ...tcp, tags }],
    ["pop one of two", two, pop(0x8847), { ...two, labels: [two.labels[1]!] }],
    ["pop two", two, [...pop(0x8847), ...pop(0x0800)], SPEC],
    ["set", two, set(W_MPLS, entry(55, 8, false)), { ...two, labels: [entry(55, 8, false), two.labels[1]!] }],
    [
      "set the TTL",
      { ...two, tags },
      set(W_MPLS, 8, 0xff),
      { ...two, tags, labels: [entry(7, 8, false), two.labels[1]!] },
    ],
    [
      "swap",
      one,
      [...pop(0x0800), ...push(entry(9, 1)), ...set(W_MPLS, 5, 0xff)],
      { ...tcp, labels: [entry(9, 5)] },
    ],
  ];
  for (const [what, spec, actions, wanted] of cases) {
    const bytes = frame(spec);
    const key = keyOf(bytes);
    const mask = leastMask(key);
    mask[W_VLAN0] = -1;
    mask[W_VLAN1] = -1;
    for (let label = 0; label < 3; label++) mask[W_MPLS + label] = -1;
    const handle = dpif.flowPut(key, mask, Int32Array.from([...output(3), ...actions, ...output(2)]));
    await dpif.settled();
    const before = dpif.offload.packets();
    bench.arriveSkb(strippedSkb(bytes, 10));
    t.strictSame(await bench.sent("p3"), [bytes], `${what}: before`);
    t.strictSame(await bench.sent("p2"), [frame(wanted)], what);
    const packet = strippedSkb(partial(bytes), 10);
    packet.partial = layers(packet.bytes).checksum;
    bench.arriveSkb(packet);
    bpf.sent.splice(0, 1);
    t.equal(bpf.sent[0]!.skb.partial, layers(bpf.sent[0]!.skb.bytes).checksum);
    t.strictSame(await bench.sent("p2"), [partial(frame(wanted))], `${what}: partial`);
    t.equal(dpif.offload.packets() - before, 2, `${what}: by a program`);
    await dpif.flowDel(handle);
  }
  // A second tag is in the frame.
  const doubly = keyOf(frame({ ...one, tags: [0x2005, 6] }));
  const withTags = leastMask(doubly);
  withTags.fill(-1, W_VLAN0, W_MPLS + 3);
  const flow = dpif.flowPut(doubly, withTags, Int32Array.from([...pop(0x0800), ...output(2)]));
  t.equal(dpif.offload.reasonOf(flow), "labels under VLAN tags in the frame");
  await dpif.flowDel(flow);
  // The tags are not known.
  const key = keyOf(frame(one));
  for (const [reason, actions] of [
    ["labels under VLAN tags in the frame", pop(0x0800)],
    ["labels under VLAN tags in the frame", push(entry(7, 1, false))],
    ["set of a field of this kind of packet", set(W_IPV4_DST, 1)],
    ["set of a field of this kind of packet", set(W_MPLS + 1, 1)],
  ] as const) {
    const handle = dpif.flowPut(key, leastMask(key), Int32Array.from([...actions, ...output(2)]));
    t.equal(dpif.offload.reasonOf(handle), reason);
    await dpif.flowDel(handle);
  }
});

t.test("truncation, explicit drops, clones, ICMP", async (t) => {
  const bench = await twoPorts();
  t.teardown(() => bench.dpif.close());
  const { dpif } = bench;
  const trunc = (length: number): number[] => [ODP_TRUNC, 3, length];
  const long: FrameSpec = { ...SPEC, payload: Array.from({ length: 200 }, (_, i) => i) };
  const whole = frame(long);
  const echo: FrameSpec = { ...SPEC, proto: "icmp" };
  const changed = (bytes: number[], type: number, code: number): number[] => {
    const out = [...bytes];
    out.splice(layers(bytes).l4, 2, type, code);
    return recompute(out);
  };
  const tagged = { ...long, tags: [0x2005] };
  const ping = frame(echo);
  const ping6 = frame({ ...echo, ...IPV6 });
  const cases: [string, number[], number[], [number[][], number[][]]][] = [
    ["cut", whole, [...trunc(100), ...output(2)], [[whole.slice(0, 100)], []]],
    ["nothing to cut", whole, [...trunc(1000), ...output(2)], [[whole], []]],
    ["cut, then whole", whole, [...trunc(100), ...output(2), ...output(3)], [[whole.slice(0, 100)], [whole]]],
    [
      "two lengths",
      whole,
      [...trunc(80), ...output(2), ...trunc(90), ...output(3)],
      [[whole.slice(0, 80)], [whole.slice(0, 90)]],
    ],
    ["cut with its tag", frame(tagged), [...trunc(100), ...output(2)], [[frame(tagged).slice(0, 100)], []]],
    [
      "cut after a change",
      whole,
      [ODP_PUSH_VLAN, 3, 0x81003005 | 0, ...trunc(100), ...output(2)],
      [[frame(tagged).slice(0, 100)], []],
    ],
    ["explicit drop", whole, [ODP_DROP, 3, 3], [[], []]],
    ["drop after an output", whole, [...output(2), ODP_DROP, 3, 3, ...output(3)], [[whole], []]],
    ["clone of outputs", whole, [ODP_CLONE, 5, ...output(2), ...output(3)], [[whole], [whole]]],
    [
      "clone at the end",
      whole,
      [...output(3), ODP_CLONE, 8, ODP_PUSH_VLAN, 3, 0x81003005 | 0, ...output(2)],
      [[frame(tagged)], [whole]],
    ],
    [
      "clone with a change",
      whole,
      [ODP_CLONE, 8, ODP_PUSH_VLAN, 3, 0x81003005 | 0, ...output(2), ...output(3)],
      [[frame(tagged)], [whole]],
    ],
    [
      "clone that drops",
      whole,
      [ODP_CLONE, 8, ...output(2), ODP_DROP, 3, 3, ...output(3)],
      [[whole], [whole]],
    ],
    [
      "clone in a clone",
      whole,
      [
        ...[
          ODP_CLONE,
          16,
          ODP_CLONE,
          8,
          ODP_PUSH_VLAN,
          3,
          0x81003005 | 0,
          ...output(2),
          ...output(2),
          ...output(3),
        ],
        ...output(3),
      ],
      [
        [whole, frame(tagged)],
        [whole, whole],
      ],
    ],
    ["ICMP", ping, [...set(W_TP, (3 << 16) | 1), ...output(2)], [[changed(ping, 3, 1)], []]],
    ["ICMPv6", ping6, [...set(W_TP, 129 << 16, 0xff0000), ...output(2)], [[changed(ping6, 129, 0)], []]],
  ];
  for (const [what, bytes, actions, [second, third]] of cases) {
    const key = keyOf(bytes);
    const mask = leastMask(key);
    mask[W_NW]! |= 0xff;
    const handle = dpif.flowPut(key, mask, Int32Array.from(actions));
    await dpif.settled();
    const before = dpif.offload.packets();
    bench.arriveSkb(strippedSkb(bytes, 10));
    t.strictSame(await bench.sent("p2"), second, `${what}: p2`);
    t.strictSame(await bench.sent("p3"), third, `${what}: p3`);
    t.equal(dpif.offload.packets() - before, 1, `${what}: by a program`);
    await dpif.flowDel(handle);
  }
  t.equal(dpif.drops().get("drop_action_too_many_resubmit"), 3, "drops are counted by their reasons");
});

t.test("what actions hand up", async (t) => {
  const bench = await twoPorts();
  t.teardown(() => bench.dpif.close());
  const { dpif, bpf } = bench;
  const bytes = frame(SPEC);
  const key = keyOf(bytes);
  const seen: unknown[] = [];
  dpif.setUpcallHandler(({ kind, userdata, key, packet }) => {
    seen.push([kind, userdata, key[W_IN_PORT], key[W_TP], packet.length]);
    return undefined;
  });
  const up = (operand: number): number[] => [ODP_USERSPACE, 3, operand];
  const some = (probability: number, operand: number): number[] => [
    ODP_SAMPLE,
    6,
    probability,
    ...up(operand),
  ];
  const told = (operand: number, length = bytes.length) => [1, operand, 1, key[W_TP], length];
  const long = frame({ ...SPEC, payload: Array.from({ length: 3000 }, (_, i) => i & 0xff) });
  const cases: [string, number[], number[], unknown[], number][] = [
    ["and out", [...up(77), ...output(2)], bytes, [told(77)], 1],
    ["alone", up(-5), bytes, [told(-5)], 0],
    [
      "after a change",
      [ODP_PUSH_VLAN, 3, 0x81001005 | 0, ...up(6), ...output(2)],
      bytes,
      [told(6, bytes.length + 4)],
      1,
    ],
    ["twice", [...up(1), ...output(2), ...up(2)], bytes, [told(1), told(2)], 1],
    ["long", [...up(3), ...output(2)], long, [told(3, long.length)], 1],
    ["a sample", [...some(20_000, 9), ...output(2)], bytes, [told(9)], 1],
    ["none this time", [...some(10_000, 9), ...output(2)], bytes, [], 1],
    ["never", [...some(0, 9), ...output(2)], bytes, [], 1],
    ["always", [...some(-1, 9), ...output(2)], bytes, [told(9)], 1],
    ["of several", [ODP_SAMPLE, 12, 20_000, ...output(2), ...up(9), ...output(2)], bytes, [told(9)], 2],
    ["of none of several", [ODP_SAMPLE, 9, 10_000, ...output(2), ...up(9), ...output(2)], bytes, [], 1],
    [
      "within a sample",
      [ODP_SAMPLE, 18, 20_000, ...some(20_000, 8), ...output(2), ODP_SAMPLE, 6, 10_000, ...output(2)],
      bytes,
      [told(8)],
      1,
    ],
    [
      "changed at the end",
      [...output(2), ODP_SAMPLE, 12, 20_000, ODP_PUSH_VLAN, 3, 0x81001005 | 0, ...output(2), ...up(9)],
      bytes,
      [told(9, bytes.length + 4)],
      2,
    ],
  ];
  bpf.random = () => 15_000;
  const mask = leastMask(key);
  for (const [what, actions, input, wanted, out] of cases) {
    const handle = dpif.flowPut(key, mask, Int32Array.from(actions));
    await dpif.settled();
    const before = dpif.offload.packets();
    bench.arrive("p1", input);
    t.equal((await bench.sent("p2")).length, out, what);
    t.strictSame(seen.splice(0), wanted, what);
    t.equal(dpif.offload.packets() - before, 1, `${what}: by a program`);
    await dpif.flowDel(handle);
  }
  const handle = dpif.flowPut(key, mask, Int32Array.from([...up(1), ...output(2)]));
  await dpif.settled();
  Object.defineProperty(bpf.records, "room", { value: false, configurable: true });
  bench.arrive("p1", bytes);
  t.equal((await bench.sent("p2")).length, 1, "the packet goes on without room");
  t.equal(dpif.drops().get(USERSPACE_ACTION_DROPS), 1, "and what was lost is counted");
  dpif.flowSetActions(handle, Int32Array.from([ODP_SAMPLE, 9, 5, ODP_METER, 3, 1, ...up(1), ...output(2)]));
  t.strictSame([...dpif.offload.reasons], [["action sample", 1]]);
});

t.test("fields of ARP", async (t) => {
  const bench = await twoPorts();
  t.teardown(() => bench.dpif.close());
  const { dpif } = bench;
  const request = [
    ...[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1],
    ...[2, 0, 0, 0, 0, 2, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2],
    ...Array.from({ length: 18 }, () => 0),
  ];
  const answer = [...request];
  answer.splice(20, 22, 0, 2, 1, 2, 3, 4, 5, 6, 11, 0, 0, 1, 7, 8, 9, 10, 11, 12, 12, 0, 0, 2);
  const actions = [
    ...set(W_NW, 2, 0xff),
    ...set(W_ARP_SHA_HI, 0x01020304),
    ...set(W_ARP_SHA_THA, 0x05060708),
    ...set(W_ARP_THA_LO, 0x090a0b0c),
    ...set(W_IPV4_SRC, 0x0b000000, 0xff000000),
    ...set(W_IPV4_DST, 0x0c000002),
    ...output(2),
  ];
  const key = keyOf(request);
  dpif.flowPut(key, leastMask(key), Int32Array.from(actions));
  await dpif.settled();
  bench.arrive("p1", request);
  t.strictSame(await bench.sent("p2"), [answer]);
  t.equal(dpif.offload.packets(), 1, "by a program");
});

t.test("what is left to user space is told, and comes back", async (t) => {
  const bench = await twoPorts();
  t.teardown(() => bench.dpif.close());
  const { dpif } = bench;
  const key = keyOf(frame(SPEC));
  const mask = leastMask(key);
  const change = [ODP_PUSH_VLAN, 3, 0x8100300a | 0];
  const changes = [ODP_CLONE, 8, ...change, ...output(2), ODP_CLONE, 8, ...change, ...output(3)];
  const handle = dpif.flowPut(key, mask, Int32Array.from(changes));
  await dpif.settled();
  t.strictSame([...dpif.offload.reasons], [["action clone", 1]]);
  for (const [reason, actions] of [
    ["truncation to so few bytes", [ODP_TRUNC, 3, 59, ...output(2)]],
    [
      "truncation before a change",
      [ODP_TRUNC, 3, 100, ...output(2), ODP_PUSH_VLAN, 3, 0x8100300a | 0, ...output(3)],
    ],
    ["set of a field that programs do not write", [...set(W_TCP_FLAGS, 2), ...output(2)]],
    ["action recirc", [ODP_RECIRC, 3, 9]],
    ["too many actions", Array.from({ length: 300 }, () => output(2)).flat()],
  ] as const) {
    dpif.flowSetActions(handle, Int32Array.from(actions));
    t.strictSame([...dpif.offload.reasons], [[reason, 1]]);
  }
  dpif.flowSetActions(handle, Int32Array.from(changes));
  await dpif.settled();
  bench.arrive("p1", frame(SPEC));
  t.equal((await bench.sent("p2")).length, 1);
  t.equal((await bench.sent("p3")).length, 1);
  dpif.flowSetActions(handle, Int32Array.from(output(2)));
  await dpif.settled();
  t.strictSame([...dpif.offload.reasons], []);
  bench.arrive("p1", frame(SPEC));
  t.equal((await bench.sent("p2")).length, 1);
  t.equal(dpif.offload.packets(), 1);
  const stats = { packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 };
  dpif.flowStats(handle, stats);
  const counted = (what: string): void => {
    const now = { packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 };
    dpif.flowStats(handle, now);
    t.strictSame(now, stats, what);
  };
  t.strictSame(stats, { packets: 2, bytes: 144, usedMs: 5000, tcpFlags: 0 }, "counted together");
  await dpif.portDel(2);
  counted("also when it is user space's from now on");
  t.strictSame([...dpif.offload.reasons], [["output to a port that there is not", 1]]);
  await dpif.portAdd(bench.device("p2"), 2);
  t.strictSame([...dpif.offload.reasons], []);
  counted("and when programs serve it again");
  bench.arrive("p1", frame(SPEC));
  t.equal((await bench.sent("p2")).length, 1, "the port is another device now");
  const recirculated = dpif.flowPut(
    row({ ...Object.fromEntries(key.entries()), [W_RECIRC_ID]: 3 }),
    mask,
    Int32Array.from(output(2)),
  );
  t.equal(dpif.offload.reasonOf(recirculated), "recirculated");
});

t.test("a packet on its way to a program that its flow has no more", async (t) => {
  const bench = await twoPorts();
  t.teardown(() => bench.dpif.close());
  const { dpif, bpf } = bench;
  const bytes = frame(SPEC);
  const key = keyOf(bytes);
  const flood = Int32Array.from([...output(2), ...output(3)]);
  const handle = dpif.flowPut(key, leastMask(key), flood);
  await dpif.settled();
  const replaced: number[] = [];
  bpf.tailCall = () => {
    bpf.tailCall = () => {};
    // As when an address is learned; other programs come and go.
    dpif.flowSetActions(handle, Int32Array.from(output(2)));
    for (let tag = 1; tag < 20; tag++) {
      dpif.flowSetActions(handle, Int32Array.from([ODP_PUSH_VLAN, 3, 0x81001000 | tag, ...output(2)]));
      replaced.push(tag);
    }
  };
  bench.arriveSkb(strippedSkb(bytes, 10));
  t.equal(replaced.length, 19);
  t.strictSame(await bench.sent("p2"), [bytes], "it goes where it was to go");
  t.strictSame(await bench.sent("p3"), [bytes]);
  t.equal(dpif.offload.actions.size, 1);
  // Far more than there are slots for, one after the other.
  for (let tag = 1; tag < 4095; tag++)
    dpif.flowSetActions(handle, Int32Array.from([ODP_PUSH_VLAN, 3, 0x81001000 | tag, ...output(3)]));
  t.strictSame([...dpif.offload.reasons], [], "slots are used again");
});

t.test("many megaflows: tables grow, and statistics stay apart", async (t) => {
  const bench = await twoPorts();
  t.teardown(() => bench.dpif.close());
  const { dpif } = bench;
  const mask = row({ [W_IN_PORT]: -1, [W_ETH_TYPE]: 0xffff, [W_NW]: 0xff0000ff | 0, [W_TP]: -1 });
  const handles: number[] = [];
  const spec = (i: number): FrameSpec => ({ ...SPEC, proto: "tcp", sport: i, flags: 1 << (i % 6) });
  for (let i = 0; i < 3000; i++)
    handles.push(dpif.flowPut(keyOf(frame(spec(i))), mask, Int32Array.from(output(2 + (i % 2)))));
  await dpif.settled();
  dpif.offload.build();
  t.match([...dpif.offload.tables.values()], [{ full: false, size: 3000 }], "more than fit at first");
  for (const i of [0, 1, 2999]) for (let n = 0; n <= i % 7; n++) bench.arrive("p1", frame(spec(i)));
  await bench.sent("p2");
  await bench.sent("p3");
  const stats = { packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 };
  for (const i of [0, 1, 2999, 5]) {
    dpif.flowStats(handles[i]!, stats);
    t.equal(stats.packets, i === 5 ? 0 : (i % 7) + 1, `flow ${i}`);
    t.equal(stats.tcpFlags, i === 5 ? 0 : 1 << (i % 6));
  }
  const all = dpif.offload.packets();
  t.equal(all, 7, "by programs");
  t.match(await dpif.flowDel(handles[2999]!), { packets: 4 });
  t.equal(dpif.offload.packets(), all, "what has gone still counts");
  t.match(await dpif.stats(), { hits: 7, flows: 2999 });
  t.equal(mask[W_TCP_FLAGS], 0);
});

t.test("megaflows get into maps and out of them together", async (t) => {
  const bench = await twoPorts();
  t.teardown(() => bench.dpif.close());
  const { dpif } = bench;
  const mask = row({ [W_IN_PORT]: -1, [W_ETH_TYPE]: 0xffff, [W_NW]: 0xff0000ff | 0, [W_TP]: -1 });
  const wide = mask.slice();
  wide[W_IPV4_SRC] = -1;
  const bytes = (i: number): number[] => frame({ ...SPEC, proto: "tcp", sport: i });
  const put = (i: number, out = 2): number =>
    dpif.flowPut(keyOf(bytes(i)), i % 3 === 0 ? wide : mask, Int32Array.from(output(out)));
  const inMaps = (): number[] =>
    [...dpif.offload.tables.values()].map(({ map }) => dpif.objects.maps.get(map)!.all().length);
  const handles = Array.from({ length: 900 }, (_, i) => put(i));
  // Before they all are there: some go, others come again or get other actions.
  for (const i of [0, 897, 898, 899]) void dpif.flowDel(handles[i]!);
  const again = put(898, 3);
  dpif.flowSetActions(handles[895]!, Int32Array.from(output(3)));
  await dpif.settled();
  t.strictSame(inMaps(), [298, 599], "each once");
  for (const [i, port] of [
    [898, "p3"],
    [895, "p3"],
    [896, "p2"],
  ] as const) {
    bench.arrive("p1", bytes(i));
    t.equal((await bench.sent(port)).length, 1, `${i}`);
  }
  t.equal(dpif.offload.packets(), 3, "by programs");
  // One of them is gone already.
  const seen: number[] = [];
  await dpif.flowsDel(handles.slice(1, 899), (flow, { packets }) => {
    if (packets > 0) seen.push(flow);
  });
  t.strictSame(seen, [handles[895], handles[896]], "their last packets are told");
  t.strictSame(inMaps(), [0, 1]);
  t.equal(dpif.offload.size, 1);
  bench.arrive("p1", bytes(898));
  t.equal((await bench.sent("p3")).length, 1, "the others are as they were");
  dpif.flowFlush();
  t.strictSame(inMaps(), [0, 0]);
  t.notOk(dpif.offload.isServed(again));
});

t.test("megaflows of a kind share what is found out once", async (t) => {
  const bench = await twoPorts();
  t.teardown(() => bench.dpif.close());
  const { dpif } = bench;
  const mask = row({ [W_IN_PORT]: -1, [W_ETH_TYPE]: 0xffff, [W_NW]: 0xff0000ff | 0, [W_TP]: -1 });
  const up = (spec: Partial<FrameSpec>, actions: number[]): number =>
    dpif.flowPut(keyOf(frame({ ...SPEC, ...spec })), mask, Int32Array.from(actions));
  const tp = (port: number): number[] => [...set(W_TP, port), ...output(2)];
  // More lists than a kind remembers, all with programs; then all of them once more.
  const handles = [1, 2, 3, 4, 5, 6].map((port) => up({ sport: port }, tp(port)));
  handles.push(...[1, 2, 3, 4, 5, 6].map((port) => up({ sport: 10 + port }, tp(port))));
  t.equal(dpif.offload.actions.size, 6);
  await dpif.flowsDel(handles, () => {});
  t.equal(dpif.offload.actions.size, 0, "their programs go with them");
  const again = up({ sport: 1 }, tp(6));
  t.equal(dpif.offload.actions.size, 1, "and come again");
  await dpif.settled();
  bench.arrive("p1", frame({ ...SPEC, sport: 1 }));
  t.equal((await bench.sent("p2")).length, 1);
  t.match(await dpif.flowDel(again), { packets: 1 });
  // The same mask, but another protocol: what sets ports is another program, or none.
  const kinds = (["udp", "tcp", "icmp"] as const).map((proto) => up({ proto }, tp(7)));
  t.equal(dpif.offload.actions.size, 3);
  await dpif.flowsDel(kinds, () => {});
  // The kind is known, but not all keys of it can come.
  mask[W_IPV6_SRC] = -1;
  const odd = keyOf(frame(SPEC));
  odd[W_IPV6_SRC] = 1;
  t.equal(
    dpif.offload.reasonOf(dpif.flowPut(keyOf(frame(SPEC)), mask, Int32Array.from(output(2)))),
    undefined,
  );
  t.equal(dpif.offload.reasonOf(dpif.flowPut(odd, mask, Int32Array.from(output(2)))), "matches no packet");
});

t.test(
  "more misses than are answered are thrown away unseen, but nothing that a megaflow matches",
  async (t) => {
    const bench = await twoPorts();
    t.teardown(() => bench.dpif.close());
    const { dpif } = bench;
    const mask = row({ [W_IN_PORT]: -1, [W_ETH_TYPE]: 0xffff, [W_NW]: 0xff0000ff | 0, [W_TP]: -1 });
    const bytes = (i: number): number[] => frame({ ...SPEC, sport: i });
    let asked = 0;
    dpif.setUpcallHandler(() => {
      asked++;
      return undefined;
    });
    const put = (i: number, actions: number[]): number =>
      dpif.flowPut(keyOf(bytes(i)), mask, Int32Array.from(actions));
    const known = put(1, output(2));
    await dpif.settled();
    const looked = async (): Promise<number> => (await dpif.stats()).maskHits;
    const actionDrops = (): number => dpif.drops().get(USERSPACE_ACTION_DROPS) ?? 0;

    // Main has no turn meanwhile: 320 of a port may wait.
    const flood = (): void => {
      for (let i = 0; i < 400; i++) bench.arrive("p1", bytes(1000 + i));
    };
    const before = await looked();
    flood();
    bench.arrive("p1", bytes(1));
    t.match(await bench.sent("p2"), { length: 1 }, "programs forward on");
    t.equal(asked, 320);
    t.match(await dpif.stats(), { misses: 400, lost: 80 });
    t.equal((await looked()) - before, 321, "those without room were not looked up");

    // One that programs cannot serve: from now on all that comes up may be its.
    const left = put(2, [ODP_SAMPLE, 6, -1, ...output(2)]);
    await dpif.settled();
    flood();
    bench.arrive("p1", bytes(2));
    t.match(await bench.sent("p2"), { length: 1 }, "what is left to user space is found");
    t.match(await dpif.stats(), { misses: 800, lost: 160 });
    await dpif.flowDel(left);

    // What an action hands up is no miss.
    await dpif.flowDel(known);
    put(1, [ODP_USERSPACE, 3, 7]);
    await dpif.settled();
    t.equal(actionDrops(), 0);
    flood();
    for (let i = 0; i < 5; i++) bench.arrive("p1", bytes(1));
    await bench.sent("p2");
    t.match(await dpif.stats(), { misses: 1200 });
    t.equal(actionDrops(), 5, "and counted as such");
  },
);

t.test("traffic of ports whose counters see nothing of it, beside sums made the long way", async (t) => {
  const rows = new Rows(new ArrayBuffer(rowsBytes(1)), 1);
  const traffic = new Passing(rows);
  const random = randomOf(11);
  const lists = Array.from({ length: 6 }, () => [1, 2, 3].filter(() => random(2) === 0)).map((ports, i) =>
    ports.map((port) => ({ port, tx: (port + i) % 2 === 0 })),
  );
  // One packet of 60 bytes.
  const one = new ArrayBuffer(rowsBytes(1));
  new Uint32Array(one).set([1, 0, 60]);
  const source = new Rows(one, 1);
  const sums = new Map([1, 2, 3].map((port) => [port, { rx: 0, tx: 0 }]));
  const passages = new Map<number, (typeof lists)[number]>();
  for (let step = 0; step < 5000; step++) {
    const row = random(60);
    if (random(4) === 0) {
      const list = pick(random, lists);
      traffic.set(row, list);
      passages.set(row, list);
    } else if (random(3) === 0) {
      traffic.remove(row);
      passages.delete(row);
    } else {
      rows.carry(row, source, 0);
      for (const { port, tx } of passages.get(row) ?? []) sums.get(port)![tx ? "tx" : "rx"]++;
    }
    if (step % 100 !== 0) continue;
    for (const [port, { rx, tx }] of sums) {
      const { rxPackets, rxBytes, txPackets, txBytes } = traffic.of(port);
      t.strictSame([rxPackets, rxBytes, txPackets, txBytes], [rx, rx * 60, tx, tx * 60]);
    }
  }
});

t.test("when the classifier cannot be made anew, the one before finds nothing that has gone", async (t) => {
  const bench = await twoPorts();
  t.teardown(() => bench.dpif.close());
  const { dpif, bpf } = bench;
  const mask = row({ [W_IN_PORT]: -1, [W_ETH_TYPE]: 0xffff, [W_NW]: 0xff0000ff | 0, [W_TP]: -1 });
  const bytes = (i: number): number[] => frame({ ...SPEC, sport: i });
  const put = (i: number): number => dpif.flowPut(keyOf(bytes(i)), mask, Int32Array.from(output(2)));
  const first = put(0);
  await dpif.settled();
  dpif.offload.build();
  t.ok(dpif.offload.isServed(first));
  // The table grows, but programs cannot be loaded.
  const load = bpf.loadProgram;
  bpf.loadProgram = () => {
    throw new Error("no memory");
  };
  bench.warnings = [];
  for (let i = 1; i < 1500; i++) put(i);
  dpif.offload.build();
  bpf.loadProgram = load;
  t.match(bench.warnings, [/could not be made anew: no memory/]);
  t.notOk(dpif.offload.isServed(first), "it is user space's");
  const gone = dpif.flowDel(first);
  bpf.run(makeSkb(bytes(0), 10));
  t.strictSame(bpf.sent, [], "no program forwards what is no megaflow");
  await gone;
  await bench.sent("p2");
  dpif.offload.build();
  bench.arrive("p1", bytes(1));
  t.equal((await bench.sent("p2")).length, 1);
  t.equal(dpif.offload.packets(), 1, "all is well again");
});

t.test("journal", async (t) => {
  const memory = new ArrayBuffer(JOURNAL_BYTES * MAX_BPF_FLOWS);
  const journal = new Journal(memory);
  const key = (words: number[]): Int32Array => row(Object.fromEntries(words.map((word) => [word, word + 1])));
  const sparse = key([0, 15, 31, 32, FLOW_PACKET_WORDS - 1]);
  const most = key(Array.from({ length: 30 }, (_, i) => i + 10));
  const tooMany = key(Array.from({ length: 31 }, (_, i) => i + 10));
  const all = (): unknown[] => [...journal.all()].map(({ row, key }) => [row, [...key]]);
  journal.remember(3, sparse);
  journal.remember(MAX_BPF_FLOWS - 1, most);
  journal.remember(7, row({}));
  t.strictSame(all(), [
    [3, [...sparse]],
    [7, [...row({})]],
    [MAX_BPF_FLOWS - 1, [...most]],
  ]);
  journal.remember(3, tooMany);
  journal.forget(7);
  t.strictSame(all(), [[MAX_BPF_FLOWS - 1, [...most]]], "what does not fit is not there at all");
});

t.test("a later run takes over what one that has died left forwarding", async (t) => {
  const output = (port: number): number[] => [ODP_OUTPUT, 3, port];
  const bytes = frame(SPEC);
  const answer = (out: number): UpcallHandler => {
    return ({ key }) => ({
      actions: Int32Array.from(output(key[W_IN_PORT] === out ? 1 : out)),
      mask: fromPort,
      flowActions: undefined,
      installed: undefined,
    });
  };
  const fromPort = new Int32Array(FLOW_DP_WORDS);
  fromPort[W_IN_PORT] = -1;
  const first = ebpfBench(undefined, true);
  for (const name of ["p1", "p2"]) await first.dpif.portAdd(first.device(name), undefined);
  first.dpif.setUpcallHandler(answer(2));
  first.arrive("p1", bytes);
  first.arrive("p2", bytes);
  t.equal((await first.sent("p2")).length, 1);
  for (let i = 0; i < 4; i++) first.arrive("p1", bytes);
  t.equal((await first.sent("p2")).length, 4);
  t.strictSame([...first.bpf.promiscuous], [10, 11]);

  // Dead: nobody reads what comes up.
  const { bpf } = first;
  bpf.run(makeSkb(bytes, 10));
  t.equal(bpf.sent.splice(0).length, 1, "known flows go on");

  const second = ebpfBench(first);
  const { dpif } = second;
  let asked = 0;
  dpif.setUpcallHandler((upcall) => {
    asked++;
    return answer(7)(upcall);
  });
  // Other numbers this time, and p3 is new.
  await dpif.portAdd(second.device("p2"), 7);
  second.arrive("p1", bytes);
  t.equal((await second.sent("p2")).length, 1, "while ports are few");
  await dpif.portAdd(second.device("p1"), undefined);
  await dpif.portAdd(second.device("p3"), undefined);
  second.arrive("p1", bytes);
  t.equal((await second.sent("p2")).length, 1, "before it takes over");
  t.equal(asked, 0);
  await dpif.takeOver();
  t.equal(asked, 2, "each flow was asked for");
  for (let i = 0; i < 3; i++) second.arrive("p1", bytes);
  t.equal((await second.sent("p2")).length, 3);
  t.equal(asked, 2, "and is there");
  const flows = [...dpif.flows()].map(({ handle, key }) => {
    const stats = { packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 };
    dpif.flowStats(handle, stats);
    return [key[W_IN_PORT], stats.packets];
  });
  // 4 and one alone, two by old programs for the new run, three by new ones; the miss itself is not the flow's.
  t.strictSame(flows.sort(), [
    [1, 10],
    [7, 0],
  ]);
  t.match((await dpif.stats()).hits, 10);
  t.strictSame(
    [...new Set([...bpf.pinned!.keys()].map((name) => name.replace(/\/.*/, "")))].sort(),
    ["2-v3", "link-10-in", "link-11-in", "link-12-in"],
    "the first run's maps have gone",
  );

  // It leaves with things as they are, and a third that has other ports takes over.
  dpif.leave();
  await dpif.portDel(1);
  await dpif.close();
  bpf.run(makeSkb(bytes, 10));
  t.equal(bpf.sent.splice(0).length, 1, "after an orderly end, too");
  const third = ebpfBench(second);
  third.dpif.setUpcallHandler(answer(2));
  await third.dpif.portAdd(third.device("p1"), undefined);
  await third.dpif.takeOver();
  t.strictSame([...bpf.attached.keys()], [10], "devices that are no ports any more are let go");
  await third.sent("p1");
  await third.dpif.close();
  t.strictSame([...bpf.pinned!.keys()], [], "nothing is left behind");
  t.strictSame([...bpf.attached.keys()], []);
});

t.test("offloads are told from the bytes", async (t) => {
  const labels = [[], [0x1040, 0x2140]];
  const kinds = ([4, 6] as const).flatMap((ip) =>
    (["tcp", "udp", "icmp"] as const).flatMap((proto) => labels.map((stack) => ({ ip, proto, stack }))),
  );
  for (const { ip, proto, stack } of kinds) {
    const spec: FrameSpec = { ...SPEC, ...(ip === 6 ? IPV6 : {}), ip, proto };
    if (stack.length > 0) spec.labels = stack;
    const whole = frame(spec);
    const packet = makePacket(Uint8Array.from(whole));
    recoverOffloads(packet, 0);
    t.equal(packet.vnetFlags, 0, `${proto} ${ip}: whole`);
    if (proto === "icmp") continue;
    const { l4, checksum } = layers(whole);
    packet.data = Uint8Array.from([...partial(whole), 0, 0]);
    packet.length += 2;
    recoverOffloads(packet, 0);
    t.match(
      packet,
      { vnetFlags: 1, gsoType: 0, csumStart: l4, csumOffset: checksum - l4 },
      "partial, padded",
    );
    packet.data = Uint8Array.from(whole);
    packet.length = whole.length;
    packet.data[checksum]! ^= 1;
    recoverOffloads(packet, 0);
    t.equal(packet.vnetFlags, 0, "wrong is not partial");
    recoverOffloads(packet, 8);
    t.match(packet, { vnetFlags: 1, gsoSize: 8, gsoType: proto === "udp" ? 5 : ip === 4 ? 1 : 4 });
    t.equal(packet.gsoHeaderLength, whole.length - 30);
  }
});
