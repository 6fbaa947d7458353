/** The pure core of the userspace datapath against dumb oracles. */
import fc from "fast-check";
import t from "tap";
import {
  ODP_CLONE,
  ODP_DROP,
  ODP_OUTPUT,
  ODP_POP_VLAN,
  ODP_PUSH_VLAN,
  ODP_SET,
  ODP_TRUNC,
} from "../../src/datapath/odp/actions.ts";
import {
  GSO_TCPV4,
  GSO_TCPV6,
  GSO_UDP_L4,
  makePacket,
  type Packet,
  VNET_NEEDS_CSUM,
} from "../../src/datapath/packet.ts";
import { ownBuckets } from "../../src/datapath/userspace/buckets.ts";
import { JOIN_ADDED, JOIN_ENDED, JOIN_OTHER, TcpJoin } from "../../src/datapath/userspace/coalesce.ts";
import { crc32c } from "../../src/datapath/userspace/crc32c.ts";
import { ExactMatchCache, keyHash } from "../../src/datapath/userspace/emc.ts";
import { Executor } from "../../src/datapath/userspace/execute.ts";
import { compactMask, FlowTable, makeCompactMask } from "../../src/datapath/userspace/flow-table.ts";
import { finishChecksum, segment } from "../../src/datapath/userspace/gso.ts";
import {
  METER_DROP,
  METER_PASS,
  METER_STATS_BYTES,
  MeterBank,
  readMeterStats,
  remarkDscp,
} from "../../src/datapath/userspace/meters.ts";
import { SharedRing } from "../../src/datapath/userspace/ring.ts";
import { Scratch } from "../../src/datapath/userspace/scratch.ts";
import { setField } from "../../src/datapath/userspace/set-field.ts";
import { COUNTERS, N_ACTION_DROPS } from "../../src/datapath/userspace/shared.ts";
import { loadVnet, storeVnet } from "../../src/datapath/userspace/vnet.ts";
import { extractFlow } from "../../src/flow/extract.ts";
import {
  FLOW_DP_WORDS,
  W_ETH_DST_HI,
  W_ETH_SRC_LO,
  W_IN_PORT,
  W_IPV4_DST,
  W_IPV4_SRC,
  W_IPV6_DST,
  W_IPV6_SRC,
  W_NW,
  W_PKT_MARK,
  W_TP,
  W_VLAN0,
} from "../../src/flow/layout.ts";
import { type FrameSpec, frame, layers, partial, recompute, sum } from "./frames.ts";

const RUNS = { numRuns: 300 };
const scratch = new Scratch(
  () => 0,
  () => {},
);

function packetOf(bytes: number[], headroom = 64): Packet {
  const data = new Uint8Array(headroom + bytes.length + 8).fill(0xa5);
  data.set(bytes, headroom);
  return makePacket(data, headroom, bytes.length);
}

const bytesOf = (packet: Packet): number[] => [
  ...packet.data.subarray(packet.offset, packet.offset + packet.length),
];

function compacted(mask: Int32Array) {
  const out = makeCompactMask();
  compactMask(mask, out);
  return out;
}

t.test("tuple space search answers as a linear scan does", async (t) => {
  const word = fc.constantFrom(W_IN_PORT, W_ETH_DST_HI, W_IPV4_SRC, W_TP, 100);
  const bits = fc.constantFrom(-1, 0xff, 0xf0, 0);
  const key = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 5, maxLength: 5 });
  const spread = (values: number[]) => {
    const row = new Int32Array(FLOW_DP_WORDS);
    [W_IN_PORT, W_ETH_DST_HI, W_IPV4_SRC, W_TP, 100].forEach((at, i) => {
      row[at] = values[i]! * 0x11;
    });
    return row;
  };
  const operation = fc.record({
    what: fc.constantFrom("put", "put", "put", "del", "get", "get"),
    key,
    mask: fc.array(fc.tuple(word, bits), { maxLength: 3 }),
    pick: fc.nat(),
  });
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 120 }), (operations) => {
      const table = new FlowTable(256);
      const flows = new Map<number, { key: Int32Array; mask: Int32Array }>();
      const matches = (flow: { key: Int32Array; mask: Int32Array }, key: Int32Array) =>
        flow.mask.every((bits, word) => ((flow.key[word]! ^ key[word]!) & bits) === 0);
      let next = 0;
      for (const op of operations) {
        const key = spread(op.key);
        const mask = new Int32Array(FLOW_DP_WORDS);
        for (const [word, bits] of op.mask) mask[word] = bits;
        if (op.what === "put") {
          const same = [...flows].find(([, f]) => f.mask.every((b, w) => b === mask[w]) && matches(f, key));
          if (table.findExact(key, compacted(mask)) !== (same?.[0] ?? -1)) return false;
          if (same === undefined) {
            table.insert(next, key, compacted(mask));
            flows.set(next++, { key, mask });
          }
        } else if (op.what === "del" && flows.size > 0) {
          const flow = [...flows.keys()][op.pick % flows.size]!;
          table.remove(flow);
          flows.delete(flow);
        } else if (op.what === "get") {
          const candidates = [...flows].filter(([, f]) => matches(f, key)).map(([flow]) => flow);
          const found = table.lookup(key);
          if (candidates.length === 0 ? found !== -1 : !candidates.includes(found)) return false;
        }
        if (table.size !== flows.size) return false;
      }
      const mask = new Int32Array(FLOW_DP_WORDS);
      for (const [flow, f] of flows) {
        table.maskOf(flow, mask);
        if (mask.some((bits, word) => bits !== f.mask[word])) return false;
      }
      return table.subtables.length === new Set([...flows.values()].map((f) => f.mask.join())).size;
    }),
    RUNS,
  );
  t.pass();
});

t.test("a table of thousands finds each and forgets the removed", async (t) => {
  const table = new FlowTable(10_000);
  const mask = new Int32Array(FLOW_DP_WORDS);
  mask[W_IPV4_SRC] = -1;
  const key = new Int32Array(FLOW_DP_WORDS);
  for (let i = 0; i < 5000; i++) {
    key[W_IPV4_SRC] = i * 7919;
    table.insert(i, key, compacted(mask));
  }
  for (let i = 0; i < 5000; i += 2) table.remove(i);
  let wrong = 0;
  for (let i = 0; i < 5000; i++) {
    key[W_IPV4_SRC] = i * 7919;
    if (table.lookup(key) !== (i % 2 === 0 ? -1 : i)) wrong++;
  }
  t.equal(wrong, 0);
  t.equal(table.size, 2500);
});

t.test("a search in the wrong order learns from its hits", async (t) => {
  const table = new FlowTable(64);
  const key = new Int32Array(FLOW_DP_WORDS);
  for (let i = 0; i < 8; i++) {
    const mask = new Int32Array(FLOW_DP_WORDS);
    mask[W_ETH_DST_HI + i] = -1;
    key.fill(0);
    key[W_ETH_DST_HI + i] = 1 + i;
    table.insert(i, key, compacted(mask));
  }
  for (let i = 0; i < 100; i++) table.lookup(key);
  const before = table.lookedAt;
  table.lookup(key);
  t.equal(table.lookedAt - before, 1, "the last table has become the first");
});

t.test("the exact-match cache knows generations", async (t) => {
  const generations = new Int32Array(16);
  const cache = new ExactMatchCache(generations);
  const key = new Int32Array(FLOW_DP_WORDS);
  key[W_IN_PORT] = 3;
  const hash = keyHash(key);
  t.equal(cache.find(key, hash), -1);
  cache.insert(key, hash, 5);
  t.equal(cache.find(key, hash), 5);
  const other = key.slice();
  other[W_PKT_MARK] = 1;
  t.equal(keyHash(other), hash, "words that the hash leaves out");
  t.equal(cache.find(other, hash), -1, "are compared all the same");
  generations[5]!++;
  t.equal(cache.find(key, hash), -1, "a deleted flow is never found");
});

t.test("compact masks keep order and leave zeros out", async (t) => {
  const mask = new Int32Array(FLOW_DP_WORDS);
  mask[3] = 5;
  mask[144] = -1;
  const out = makeCompactMask();
  compactMask(mask, out);
  t.equal(out.count, 2);
  t.strictSame([...out.words.slice(0, 2)], [3, 144]);
  t.strictSame([...out.bits.slice(0, 2)], [5, -1]);
});

const bytes = (length: number) => fc.array(fc.nat(255), { minLength: length, maxLength: length });
const specs: fc.Arbitrary<FrameSpec> = fc.record({
  tags: fc.array(
    fc.nat(0xffff).map((tci) => tci & 0xefff),
    { maxLength: 2 },
  ),
  ip: fc.constantFrom(4 as const, 6 as const),
  proto: fc.constantFrom("tcp" as const, "udp" as const, "icmp" as const),
  src: bytes(16),
  dst: bytes(16),
  sport: fc.nat(0xffff),
  dport: fc.nat(0xffff),
  payload: fc.array(fc.nat(255), { maxLength: 40 }),
  tos: fc.nat(255),
  ttl: fc.nat(255),
});

type Action =
  | { do: "output"; port: number }
  | { do: "push"; tci: number }
  | { do: "pop" }
  | { do: "trunc"; bytes: number }
  | { do: "set"; word: number; value: number; mask: number }
  | { do: "clone"; actions: Action[] };

const setWords = [
  W_ETH_DST_HI,
  W_ETH_DST_HI + 1,
  W_ETH_SRC_LO,
  W_VLAN0,
  W_IPV4_SRC,
  W_IPV4_DST,
  W_IPV6_SRC,
  W_IPV6_SRC + 3,
  W_IPV6_DST + 1,
  W_NW,
  W_TP,
];
const simple: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ do: fc.constant("output" as const), port: fc.nat(3) }),
  fc.record({ do: fc.constant("push" as const), tci: fc.nat(0xffff).map((tci) => tci | 0x1000) }),
  fc.record({ do: fc.constant("pop" as const) }),
  fc.record({ do: fc.constant("trunc" as const), bytes: fc.integer({ min: 14, max: 100 }) }),
  fc.record({
    do: fc.constant("set" as const),
    word: fc.constantFrom(...setWords),
    value: fc.integer(),
    mask: fc.constantFrom(-1, 0x0000ffff, 0x00ff0000, 0x0f0f0f0f),
  }),
);
const programs = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: simple },
    {
      weight: 1,
      arbitrary: fc.array(simple, { maxLength: 4 }).map((actions) => ({ do: "clone" as const, actions })),
    },
  ),
  { maxLength: 8 },
);

function assemble(actions: Action[]): number[] {
  return actions.flatMap((a) => {
    switch (a.do) {
      case "output":
        return [ODP_OUTPUT, 3, a.port];
      case "push":
        return [ODP_PUSH_VLAN, 3, 0x81000000 | a.tci];
      case "pop":
        return [ODP_POP_VLAN, 2];
      case "trunc":
        return [ODP_TRUNC, 3, a.bytes];
      case "set":
        return [ODP_SET, 5, a.word, a.value, a.mask];
      default: {
        const nested = assemble(a.actions);
        return [ODP_CLONE, nested.length + 2, ...nested];
      }
    }
  });
}

/** The same on arrays, with all checksums computed anew after each change. */
function oracle(start: number[], actions: Action[], out: [number, number[]][]): number[] {
  let now = start;
  let cut = Number.POSITIVE_INFINITY;
  const word = (at: number) =>
    (now[at]! << 24) | (now[at + 1]! << 16) | (now[at + 2]! << 8) | now[at + 3]! | 0;
  const put = (at: number, value: number, mask: number) => {
    const v = (word(at) & ~mask) | (value & mask);
    now.splice(at, 4, (v >>> 24) & 255, (v >>> 16) & 255, (v >>> 8) & 255, v & 255);
  };
  for (const a of actions) {
    now = [...now];
    if (a.do === "output") {
      out.push([a.port, now.slice(0, cut)]);
      cut = Number.POSITIVE_INFINITY;
    } else if (a.do === "push") now.splice(12, 0, 0x81, 0, (a.tci >> 8) & 0xef, a.tci & 255);
    else if (a.do === "pop") {
      if (now[12] === 0x81) now.splice(12, 4);
    } else if (a.do === "trunc") cut = a.bytes;
    else if (a.do === "clone") oracle(now, a.actions, out);
    else {
      const { l3, l4, ip, proto } = layers(now);
      const tags = (l3 - 14) / 4;
      if (a.word < 15) put((a.word - W_ETH_DST_HI) * 4, a.value, a.mask);
      else if (a.word === W_VLAN0) {
        // The TPID may be written too: only what stays a tag is kept comparable.
        if (tags > 0) put(12, a.value, a.mask & 0x0fff);
      } else if (tags > 2) continue;
      else if (a.word === W_IPV4_SRC || a.word === W_IPV4_DST) {
        if (ip === 4) put(l3 + 12 + (a.word - W_IPV4_SRC) * 4, a.value, a.mask);
      } else if (a.word >= W_IPV6_SRC && a.word < W_IPV6_SRC + 8) {
        if (ip === 6) put(l3 + 8 + (a.word - W_IPV6_SRC) * 4, a.value, a.mask);
      } else if (a.word === W_NW) {
        if (ip === 4) {
          put(l3, ((a.value >> 8) & 255) << 16, ((a.mask >> 8) & 255) << 16);
          put(l3 + 8, ((a.value >> 16) & 255) << 24, ((a.mask >> 16) & 255) << 24);
        } else {
          put(l3, ((a.value >> 8) & 255) << 20, ((a.mask >> 8) & 255) << 20);
          put(l3 + 4, (a.value >> 16) & 255, (a.mask >> 16) & 255);
        }
      } else if (a.word === W_TP) {
        if (proto === 6 || proto === 17) put(l4, a.value, a.mask);
        else {
          const two = (v: number) => (((v >>> 16) & 255) << 24) | ((v & 255) << 16);
          put(l4, two(a.value), two(a.mask));
        }
      }
      now = recompute(now);
    }
  }
  return now;
}

/** Keeps what the oracle can follow: the TPID stays, frames keep at most two tags where headers are set. */
function fitting(actions: Action[]): Action[] {
  return actions.map((a) => {
    if (a.do === "clone") return { do: "clone", actions: fitting(a.actions) };
    return a.do === "set" && a.word === W_VLAN0 ? { ...a, mask: a.mask & 0x0fff } : a;
  });
}

function runProgram(packet: Packet, program: Int32Array, counters: Float64Array): [number, Packet][] {
  const out: [number, Packet][] = [];
  const io = {
    output(port: number, sent: Packet) {
      const copy = packetOf(bytesOf(sent));
      copy.vnetFlags = sent.vnetFlags;
      copy.csumStart = sent.csumStart;
      copy.csumOffset = sent.csumOffset;
      out.push([port, copy]);
    },
    unshare() {},
    upcall() {},
  };
  const offsets = new Int32Array(8);
  const executor = new Executor(
    io,
    scratch,
    counters,
    () => {},
    (p, key) => extractFlow(p.data, p.offset, p.length, key, offsets),
    () => 0,
    new MeterBank(new ArrayBuffer(METER_STATS_BYTES), { nowMs: 0 }, ownBuckets()),
  );
  executor.run(packet, new Int32Array(FLOW_DP_WORDS), program, 0, program.length, 0);
  executor.finish();
  return out;
}

t.test("programs do what the oracle does, checksums included", async (t) => {
  const counters = new Float64Array(COUNTERS);
  fc.assert(
    fc.property(
      specs,
      programs,
      fc.boolean(),
      fc.constantFrom(0, 4, 64),
      (spec, wanted, isPartial, headroom) => {
        const actions = fitting(wanted);
        const whole = frame(spec);
        const { l4, checksum, proto } = layers(whole);
        const usePartial = isPartial && proto !== 1 && proto !== 58;
        const packet = packetOf(usePartial ? partial(whole) : whole, headroom);
        if (usePartial) {
          packet.vnetFlags = VNET_NEEDS_CSUM;
          packet.csumStart = l4;
          packet.csumOffset = checksum - l4;
        }
        const want: [number, number[]][] = [];
        oracle(whole, actions, want);
        const got = runProgram(packet, Int32Array.from(assemble(actions)), counters).map(([port, sent]) => {
          finishChecksum(sent);
          return [port, bytesOf(sent)];
        });
        const text = JSON.stringify(got);
        if (text !== JSON.stringify(want)) throw new Error(`got  ${text}\nwant ${JSON.stringify(want)}`);
      },
    ),
    RUNS,
  );
  t.pass();
});

t.test("a malformed frame never throws, whatever the program", async (t) => {
  const counters = new Float64Array(COUNTERS);
  fc.assert(
    fc.property(
      specs,
      programs,
      fc.nat(200),
      fc.array(fc.tuple(fc.nat(70), fc.nat(255)), { maxLength: 4 }),
      (spec, actions, length, noise) => {
        const whole = frame(spec);
        for (const [at, value] of noise) if (at < whole.length) whole[at] = value;
        const cut = whole.slice(0, Math.max(14, Math.min(length, whole.length)));
        const packet = packetOf(cut);
        packet.vnetFlags = VNET_NEEDS_CSUM;
        packet.csumStart = length;
        packet.csumOffset = 16;
        const after = packet.data.slice(packet.offset + packet.length);
        runProgram(packet, Int32Array.from(assemble(actions)), counters);
        finishChecksum(packet);
        return after.every((byte) => byte === 0xa5);
      },
    ),
    RUNS,
  );
  t.pass();
});

t.test("an explicit drop is counted and ends the program", async (t) => {
  const counters = new Float64Array(COUNTERS);
  const out = runProgram(
    packetOf(new Array(60).fill(0)),
    Int32Array.of(ODP_DROP, 3, 0, ODP_OUTPUT, 3, 1),
    counters,
  );
  t.equal(out.length, 0);
  t.equal(counters[N_ACTION_DROPS], 1);
});

t.test("virtio headers survive a trip through memory", async (t) => {
  const packet = packetOf(new Array(60).fill(1));
  Object.assign(packet, {
    vnetFlags: 1,
    gsoType: 1,
    gsoHeaderLength: 66,
    gsoSize: 1448,
    csumStart: 34,
    csumOffset: 16,
  });
  storeVnet(packet);
  const again = makePacket(packet.data, packet.offset, packet.length);
  loadVnet(again);
  t.strictSame({ ...again }, { ...packet });
});

const stream = (ip: 4 | 6, payload: number, options = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]): FrameSpec => ({
  tags: [],
  ip,
  proto: "tcp",
  src: [10, 0, 0, 1, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7],
  dst: [10, 0, 0, 2, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 8],
  sport: 1000,
  dport: 2000,
  payload: Array.from({ length: payload }, (_, i) => (i * 7) & 255),
  options,
  sequence: 0xfffffff0,
});

t.test("segments in software", async (t) => {
  for (const [name, ip, proto, size] of [
    ["TCP over IPv4", 4, "tcp", 100],
    ["TCP over IPv6", 6, "tcp", 99],
    ["UDP over IPv4", 4, "udp", 100],
    ["a single segment", 4, "tcp", 5000],
  ] as const) {
    const spec = { ...stream(ip, 1010), proto, flags: 0x19 | 0x80 };
    const whole = frame(spec);
    const { l3, l4 } = layers(whole);
    const packet = packetOf(partial(whole));
    const gsoType = proto === "udp" ? GSO_UDP_L4 : ip === 4 ? GSO_TCPV4 : GSO_TCPV6;
    Object.assign(packet, {
      vnetFlags: 1,
      gsoType,
      gsoSize: size,
      csumStart: l4,
      csumOffset: proto === "udp" ? 6 : 16,
    });
    const parts: number[][] = [];
    segment(packet, scratch, (part) => parts.push(bytesOf(part)));
    const header = l4 + (proto === "udp" ? 8 : 32);
    t.equal(parts.length, Math.ceil(1010 / size), `${name}: count`);
    t.strictSame(
      parts.flatMap((part) => part.slice(header)),
      spec.payload,
      `${name}: payload`,
    );
    t.strictSame(parts, parts.map(recompute), `${name}: checksums`);
    if (ip === 4) {
      t.strictSame(
        parts.map((p) => (p[l3 + 4]! << 8) | p[l3 + 5]!),
        parts.map((_, i) => 7 + i),
        `${name}: identification`,
      );
      t.strictSame(
        parts.map((p) => (p[l3 + 2]! << 8) | p[l3 + 3]!),
        parts.map((p) => p.length - l3),
        `${name}: length`,
      );
    }
    if (proto === "tcp") {
      const last = parts.length - 1;
      t.strictSame(
        parts.map((p) => p[l4 + 13]),
        parts.map((_, i) => 0x10 | (i === 0 ? 0x80 : 0) | (i === last ? 0x09 : 0)),
        `${name}: FIN and PSH on the last, CWR on the first`,
      );
      t.strictSame(
        parts.map((p) => ((p[l4 + 4]! << 24) | (p[l4 + 5]! << 16) | (p[l4 + 6]! << 8) | p[l4 + 7]!) >>> 0),
        parts.map((_, i) => (0xfffffff0 + i * size) % 2 ** 32),
        `${name}: sequence numbers`,
      );
    }
  }
  const udp = packetOf(frame({ ...stream(4, 100), proto: "udp" }));
  Object.assign(udp, { vnetFlags: 1, gsoType: GSO_TCPV4, gsoSize: 10 });
  t.equal(
    segment(udp, scratch, () => t.fail("sent")),
    0,
    "what is no TCP is not cut as TCP",
  );
});

/** Joins frames; each list's header and payloads are put together as the kernel would see them. */
function joinAll(
  frames: number[][],
  flags = 0,
): { verdicts: number[]; joined: number[] | undefined; header: Packet } {
  const join = new TcpJoin();
  const first = packetOf(frames[0]!);
  first.vnetFlags = flags;
  const header = makePacket(new Uint8Array(256), 10, 0);
  if (!join.start(first, 0)) return { verdicts: [-1], joined: undefined, header };
  const verdicts: number[] = [];
  const payload = frames[0]!.slice(join.headerLength);
  for (const bytes of frames.slice(1)) {
    if (!join.active) break;
    const packet = packetOf(bytes);
    packet.vnetFlags = flags;
    const did = join.add(packet);
    verdicts.push(did);
    if (did === JOIN_ADDED) payload.push(...bytes.slice(bytes.length - join.payloadLength));
  }
  join.writeHeader(header.data, 0);
  header.length = join.headerLength;
  loadVnet(header);
  return { verdicts, joined: [...bytesOf(header), ...payload], header };
}

t.test("joined segments, cut again, are the frames that went in", async (t) => {
  const build = (ip: 4 | 6, sizes: number[]) => {
    let sequence = 0xffffff00;
    return sizes.map((size, i) => {
      const spec = {
        ...stream(ip, size),
        sequence,
        id: (0xfffe + i) & 0xffff,
        flags: i === sizes.length - 1 ? 0x18 : 0x10,
      };
      sequence = (sequence + size) >>> 0;
      return frame(spec);
    });
  };
  for (const ip of [4, 6] as const) {
    const frames = build(ip, [1000, 1000, 1000, 333]);
    const { verdicts, joined, header } = joinAll(frames);
    t.strictSame(verdicts, [JOIN_ADDED, JOIN_ADDED, JOIN_ADDED]);
    const packet = packetOf(joined!);
    for (const field of ["vnetFlags", "gsoType", "gsoSize", "csumStart", "csumOffset"] as const)
      packet[field] = header[field];
    const parts: number[][] = [];
    segment(packet, scratch, (part) => parts.push(bytesOf(part)));
    t.strictSame(parts, frames, `IPv${ip}`);
    const whole = packetOf(joined!);
    Object.assign(whole, { vnetFlags: 1, csumStart: header.csumStart, csumOffset: 16 });
    finishChecksum(whole);
    t.strictSame(bytesOf(whole), recompute(joined!), `IPv${ip}: the whole's checksum can be finished`);
  }
  const base = build(4, [500, 500]);
  const change = (edit: (bytes: number[]) => number[]) => joinAll([base[0]!, edit([...base[1]!])]).verdicts;
  const set = (at: number, value: number) => (bytes: number[]) => {
    bytes[at] = value;
    return recompute(bytes);
  };
  const cases: [string, number[], number][] = [
    ["as it is", change((b) => b), JOIN_ADDED],
    ["a wrong checksum", change((b) => b.map((v, i) => (i === 200 ? v ^ 1 : v))), JOIN_ENDED],
    ["a gap in the sequence", change(set(14 + 20 + 7, 1)), JOIN_ENDED],
    ["another acknowledgement", change(set(14 + 20 + 11, 9)), JOIN_ENDED],
    ["another window", change(set(14 + 20 + 15, 9)), JOIN_ENDED],
    ["other options", change(set(14 + 20 + 31, 9)), JOIN_ENDED],
    ["FIN", change(set(14 + 20 + 13, 0x11)), JOIN_ENDED],
    ["congestion marked", change(set(15, 3)), JOIN_ENDED],
    ["another TTL", change(set(22, 3)), JOIN_ENDED],
    ["another identification", change(set(19, 77)), JOIN_ENDED],
    ["another connection", change(set(14 + 20, 77)), JOIN_OTHER],
    ["another address", change(set(14 + 15, 77)), JOIN_OTHER],
    ["padding after it", change((b) => [...b, 0]), JOIN_ENDED],
  ];
  for (const [name, verdicts, want] of cases) t.strictSame(verdicts, [want], name);
  t.strictSame(
    joinAll([base[0]!.map((v, i) => (i === 300 ? v ^ 1 : v)), base[1]!]).verdicts,
    [JOIN_ENDED],
    "the first is verified too",
  );
  t.strictSame(joinAll([base[1]!, base[1]!]).verdicts, [-1], "PSH begins no list");
  t.equal(sum(base[0]!.slice(14, 34)), 0, "the helper's frames have good checksums");
});

t.test("SCTP: the padding of a short frame is no part of the checksum", async (t) => {
  const header = Buffer.from("00000000000700000000000108004500002400000000008400000a0000010a000002", "hex");
  // Ports, tag, checksum, and a chunk of 4 bytes.
  const body = Buffer.from("045808af0000000000000000010000042122", "hex").subarray(0, 16);
  new DataView(body.buffer, body.byteOffset).setInt32(8, crc32c(body, 0, 16));
  const packet = packetOf([...header, ...body, ...Array(10).fill(0xee)]);
  setField(packet, W_TP, 85 << 16, 0xffff0000 | 0);
  const after = packet.data.slice(packet.offset + 34, packet.offset + 50);
  const stored = new DataView(after.buffer).getInt32(8);
  t.equal((after[0]! << 8) | after[1]!, 85);
  after.fill(0, 8, 12);
  t.equal(stored, crc32c(after, 0, 16));
});

t.test("CRC-32C as SCTP has it", async (t) => {
  // RFC 3720 B.4: 32 bytes of zeros.
  t.equal(crc32c(new Uint8Array(32), 0, 32) >>> 0, 0xaa36918a);
});

t.test("the ring between threads hands over every record in order", async (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 31 }), fc.boolean()), { maxLength: 300 }),
      (steps) => {
        const control = new Int32Array(32);
        const words = new Int32Array(64);
        const writer = new SharedRing(words, control, 0, 16);
        const reader = new SharedRing(words, control, 0, 16);
        const queue: number[][] = [];
        let value = 0;
        let kept = 0;
        for (const [write, length, later] of steps) {
          if (write) {
            const at = writer.reserve(length);
            if (at < 0) {
              if (queue.length === 0 && kept === 0) return false;
              reader.giveBack();
              kept = 0;
              continue;
            }
            const record = Array.from({ length }, () => value++);
            words.set(record, at);
            writer.commit();
            queue.push(record);
          } else {
            const at = reader.peek();
            const want = queue.shift();
            if (at < 0 !== (want === undefined)) return false;
            if (want === undefined) continue;
            if (words.slice(at, at + words[at - 1]!).join() !== want.join()) return false;
            if (later) reader.step(at);
            else reader.release(at);
            kept = later ? kept + 1 : 0;
          }
        }
        return true;
      },
    ),
    RUNS,
  );
  t.pass();
});

t.test("meters hold packets to their rates, the fastest exceeded band applies", async (t) => {
  const stats = new ArrayBuffer(METER_STATS_BYTES);
  const time = { nowMs: 1000 };
  const bank = new MeterBank(stats, time, ownBuckets());
  const packet = packetOf(Array.from({ length: 60 }, () => 0));
  const run = (id: number, count: number): number[] =>
    Array.from({ length: count }, () => bank.run(id, packet));
  t.same(run(7, 2), [METER_PASS, METER_PASS], "a meter that is not there");

  bank.set(1, { flags: 0, bands: [{ bandType: 1, rate: 2, burst: 3, precLevel: 0 }] });
  t.same(run(1, 4), [METER_PASS, METER_PASS, METER_PASS, METER_DROP], "a burst, then no more");
  time.nowMs += 499;
  t.same(run(1, 1), [METER_DROP], "half a second makes one packet at 2 a second");
  time.nowMs += 1;
  t.same(run(1, 2), [METER_PASS, METER_DROP]);
  time.nowMs += 100_000;
  t.same(run(1, 4), [METER_PASS, METER_PASS, METER_PASS, METER_DROP], "no more than the burst is saved up");
  t.same(readMeterStats([new Float64Array(stats)], 1, 1), {
    packets: 11,
    bytes: 660,
    bands: [{ packets: 4, bytes: 240 }],
  });

  // 1 kbit/s, a burst of 2000 bits: four frames of 480 bits.
  bank.set(2, { flags: 1, bands: [{ bandType: 1, rate: 1, burst: 2, precLevel: 0 }] });
  t.same(run(2, 5), [METER_PASS, METER_PASS, METER_PASS, METER_PASS, METER_DROP]);
  time.nowMs += 400;
  t.same(run(2, 2), [METER_PASS, METER_DROP], "what was left counts");

  bank.set(65_000, {
    flags: 0,
    bands: [
      { bandType: 2, rate: 1, burst: 0, precLevel: 1 },
      { bandType: 1, rate: 2, burst: 0, precLevel: 0 },
    ],
  });
  t.same(run(65_000, 3), [METER_PASS, 1, METER_DROP], "first the slower band, then the faster");
  const jumbo = packetOf(Array.from({ length: 3060 }, () => 0));
  Object.assign(jumbo, { gsoType: 1, gsoSize: 1000, gsoHeaderLength: 60 });
  bank.set(3, { flags: 0, bands: [{ bandType: 1, rate: 1, burst: 5, precLevel: 0 }] });
  t.equal(bank.run(3, jumbo), METER_PASS);
  t.equal(bank.run(3, jumbo), METER_DROP, "segments count, not frames");
  bank.remove(3);
  t.equal(bank.run(3, jumbo), METER_PASS);

  t.equal(remarkDscp(10, 1), 12, "AF11 becomes AF12");
  t.equal(remarkDscp(12, 5), 14, "AF13 is the last");
  for (const dscp of [0, 8, 46, 48, 11]) t.equal(remarkDscp(dscp, 1), dscp, `class ${dscp} has none`);
});
