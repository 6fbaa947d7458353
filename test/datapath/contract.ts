/**
 * The contract of `Dpif`, for whichever there is: in this process by tap, and in a guest of qemu by a runner that knows as much
 * of tap as is used here.
 */
import {
  type DpFlowStats,
  type Dpif,
  METER_KBPS,
  METER_MAX_BANDS,
  type UpcallReply,
} from "../../src/datapath/dpif.ts";
import { METER_DROPS, POLICING_DROPS } from "../../src/datapath/drop-reasons.ts";
import {
  ODP_CLONE,
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
import { extractFlow } from "../../src/flow/extract.ts";
import {
  FLOW_DP_WORDS,
  type Flow,
  VLAN_CFI,
  W_ETH_TYPE,
  W_IN_PORT,
  W_IPV4_DST,
  W_MPLS,
  W_NW,
  W_RECIRC_ID,
  W_TP,
  W_VLAN0,
} from "../../src/flow/layout.ts";
import type { Netdev } from "../../src/netdev/netdev.ts";
import { type FrameSpec, frame, layers, partial, recompute } from "./frames.ts";

/** What the contract needs of a test runner; tap's tests have it. */
export interface Checks {
  test(name: string, run: (t: Checks) => Promise<unknown>): unknown;
  teardown(run: () => unknown): void;
  ok(value: unknown, what?: string): unknown;
  notOk(value: unknown, what?: string): unknown;
  equal(got: unknown, want: unknown, what?: string): unknown;
  not(got: unknown, want: unknown, what?: string): unknown;
  strictSame(got: unknown, want: unknown, what?: string): unknown;
  match(got: unknown, want: unknown, what?: string): unknown;
  rejects(promise: Promise<unknown>, want: { code: string }, what?: string): Promise<unknown>;
}

/** Where datapaths may differ. */
export interface Traits {
  /** Partial checksums are finished before a port gets a frame. */
  readonly finishes?: boolean;
  /** Time passes: rates let through a little more, and times are not exact. */
  readonly realTime?: boolean;
  /** Frames of one connection come by several threads, as no device gives them out: they may overtake each other. */
  readonly unordered?: boolean;
  /** Nobody counts packets to a port that is gone. */
  readonly quiet?: boolean;
}

/** A datapath and the far ends of its ports. */
export interface Bench {
  dpif: Dpif;
  device(name: string): Netdev;
  /** A frame arrives at a port. */
  arrive(
    name: string,
    bytes: number[],
    meta?: { flags: number; csumStart: number; csumOffset: number },
  ): void;
  /** Frames sent to a port since the last call, once all has come to rest. */
  sent(name: string): Promise<number[][]>;
}

export const udp: FrameSpec = {
  tags: [],
  ip: 4,
  proto: "udp",
  src: [10, 0, 0, 1],
  dst: [10, 0, 0, 2],
  sport: 1000,
  dport: 2000,
  payload: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18],
};
export const row = (values: Record<number, number>) => {
  const words = new Int32Array(FLOW_DP_WORDS);
  for (const [word, value] of Object.entries(values)) words[Number(word)] = value;
  return words;
};
/** A flow of packets like this one from a port: its key, and a mask of the port and of what tells frames with tags apart. */
export const fromPort = (port: number, bytes = frame(udp)): readonly [Flow, Flow] => {
  const key = row({ [W_IN_PORT]: port });
  extractFlow(Uint8Array.from(bytes), 0, bytes.length, key, new Int32Array(8));
  const tag = key[W_VLAN0] === 0 ? VLAN_CFI : 0xffff1000 | 0;
  return [key, row({ [W_IN_PORT]: -1, [W_RECIRC_ID]: -1, [W_VLAN0]: tag })];
};
export const program = (...words: number[]) => Int32Array.from(words);
export const output = (port: number) => [ODP_OUTPUT, 3, port];
export const reply = (some: Partial<UpcallReply>): UpcallReply => ({
  actions: program(),
  mask: undefined,
  flowActions: undefined,
  installed: undefined,
  ...some,
});
export const stats = (): DpFlowStats => ({ packets: -1, bytes: -1, usedMs: -1, tcpFlags: -1 });

export function contract(t: Checks, make: () => Bench, traits: Traits = {}): void {
  const counted = (t: Checks, got: DpFlowStats, want: Omit<DpFlowStats, "usedMs">, what?: string): void => {
    const { usedMs, ...counts } = got;
    t.strictSame(counts, want, what);
    if (traits.realTime) t.ok(usedMs > 0 && usedMs <= 5000, `used at ${usedMs}`);
    else t.equal(usedMs, 5000);
  };
  const setUp = async (t: Checks, ports = ["p1", "p2", "p3"]) => {
    const bench: Bench = make();
    t.teardown(() => bench.dpif.close());
    for (const port of ports) await bench.dpif.portAdd(bench.device(port), undefined);
    return bench;
  };

  t.test("ports: numbers, errors, removal", async (t) => {
    const { dpif, device, arrive, sent } = await setUp(t, []);
    t.equal(await dpif.portAdd(device("p1"), undefined), 1);
    t.equal(await dpif.portAdd(device("x"), 7), 7);
    t.equal(await dpif.portAdd(device("p2"), undefined), 2);
    await t.rejects(dpif.portAdd(device("y"), 7), { code: "EBUSY" });
    // A kernel's datapath has a port of its own.
    const others = [...dpif.ports()].filter(({ odpPort }) => odpPort !== 0);
    t.strictSame(others.map((p) => [p.odpPort, p.name]).sort(), [
      [1, "p1"],
      [2, "p2"],
      [7, "x"],
    ]);
    dpif.flowPut(...fromPort(1), program(...output(7)));
    await dpif.settled();
    arrive("p1", frame(udp));
    t.equal((await sent("x")).length, 1);
    await dpif.portDel(7);
    arrive("p1", frame(udp));
    if (!traits.quiet) t.equal(dpif.drops().get("datapath_drop_invalid_port"), 1);
    await t.rejects(dpif.portDel(7), { code: "ENODEV" });
    t.equal(await dpif.portAdd(device("x"), 7), 7, "the number is free again");
  });

  t.test("a miss goes up once, and the flow serves the rest", async (t) => {
    const { dpif, arrive, sent } = await setUp(t);
    const seen: number[][] = [];
    let handle = -1;
    dpif.setUpcallHandler((upcall) => {
      const { packet, key } = upcall;
      seen.push([upcall.kind, key[W_IN_PORT]!, key[W_ETH_TYPE]!, key[W_TP]!, packet.length]);
      return reply({
        actions: program(...output(2)),
        mask: row({ [W_IN_PORT]: -1, [W_ETH_TYPE]: 0xffff }),
        installed: (flow) => {
          handle = flow;
        },
      });
    });
    const bytes = frame(udp);
    arrive("p1", bytes);
    t.strictSame(await sent("p2"), [bytes]);
    t.strictSame(seen, [[0, 1, 0x0800, (1000 << 16) | 2000, 60]]);
    t.ok(handle >= 0);
    for (let i = 0; i < 3; i++) arrive("p1", frame({ ...udp, sport: i }));
    t.equal((await sent("p2")).length, 3);
    t.equal(seen.length, 1);
    const out = stats();
    t.ok(dpif.flowStats(handle, out));
    counted(t, out, { packets: 3, bytes: 180, tcpFlags: 0 }, "the packet that missed is not the flow's");
    const all = await dpif.stats();
    t.match(all, { hits: 3, misses: 1, flows: 1, masks: 1, lost: 0 });
  });

  t.test("packets that miss together are all sent, and translated once", async (t) => {
    const { dpif, arrive, sent } = await setUp(t);
    let calls = 0;
    dpif.setUpcallHandler(() => {
      calls++;
      return reply({ actions: program(...output(2)), mask: row({ [W_IN_PORT]: -1 }) });
    });
    for (let i = 0; i < 5; i++) arrive("p1", frame({ ...udp, payload: [...udp.payload, i] }));
    const last = (await sent("p2")).map((bytes) => bytes.at(-1)!);
    t.strictSame(traits.unordered ? last.sort() : last, [0, 1, 2, 3, 4], "in order");
    t.equal(calls, 1);
  });

  t.test("no handler, no answer, other actions for the flow", async (t) => {
    const { dpif, arrive, sent } = await setUp(t);
    arrive("p1", frame(udp));
    t.strictSame(await sent("p2"), []);
    dpif.setUpcallHandler(() => undefined);
    arrive("p1", frame(udp));
    t.strictSame(await sent("p2"), []);
    t.equal(dpif.flowCount(), 0);
    dpif.setUpcallHandler(() =>
      reply({
        actions: program(...output(2)),
        mask: row({ [W_IN_PORT]: -1 }),
        flowActions: program(...output(3)),
      }),
    );
    arrive("p1", frame(udp));
    arrive("p1", frame(udp));
    t.equal((await sent("p2")).length, 1);
    arrive("p1", frame(udp));
    t.ok((await sent("p3")).length >= 1);
  });

  t.test("flows: put, replace, change, read, delete, flush", async (t) => {
    const { dpif, arrive, sent } = await setUp(t);
    const [key, mask] = fromPort(1);
    const flow = dpif.flowPut(key, mask, program(...output(2)));
    await dpif.settled();
    t.equal(dpif.flowCount(), 1);
    const bytes = frame({ ...udp, proto: "tcp", flags: 0x12 });
    arrive("p1", bytes);
    t.equal((await sent("p2")).length, 1);
    const out = stats();
    t.ok(dpif.flowStats(flow, out));
    counted(t, out, { packets: 1, bytes: bytes.length, tcpFlags: 0x12 });
    t.equal(
      dpif.flowPut(key, mask, program(...output(3))),
      flow,
      "an equal key under an equal mask is replaced",
    );
    await dpif.settled();
    arrive("p1", bytes);
    t.equal((await sent("p3")).length, 1);
    dpif.flowSetActions(flow, program(...output(2), ...output(3)));
    await dpif.settled();
    arrive("p1", bytes);
    t.equal((await sent("p2")).length, 1);
    t.equal((await sent("p3")).length, 1);
    const [dumped] = [...dpif.flows()];
    t.strictSame([...dumped!.actions], [...output(2), ...output(3)]);
    t.strictSame([...dumped!.mask], [...mask]);
    t.strictSame([...dumped!.key], [...key]);
    t.equal(dumped!.handle, flow);
    t.match(await dpif.flowDel(flow), { packets: 3, tcpFlags: 0x12 });
    t.notOk(dpif.flowStats(flow, out), "the handle is dead");
    const next = dpif.flowPut(key, mask, program());
    t.not(next, flow, "and is not given out again");
    t.ok(dpif.flowStats(next, out));
    t.equal(out.packets, 0, "statistics start anew");
    t.equal(out.usedMs, 0);
    dpif.flowFlush();
    await dpif.settled();
    t.equal(dpif.flowCount(), 0);
    arrive("p1", bytes);
    t.equal((await dpif.stats()).misses, 1);
  });

  t.test("actions: tags, fields, truncation, clone, sample", async (t) => {
    const { dpif, arrive, sent } = await setUp(t);
    const bytes = frame(udp);
    const set = recompute(frame({ ...udp, dst: [192, 168, 0, 9] }));
    const tagged = frame({ ...udp, tags: [0x200a] });
    const cases: [string, number[], number[], [number[][], number[][]]][] = [
      ["drop", [], bytes, [[], []]],
      ["flood", [...output(2), ...output(3)], bytes, [[bytes], [bytes]]],
      ["push", [ODP_PUSH_VLAN, 3, 0x8100300a | 0, ...output(2)], bytes, [[tagged], []]],
      ["pop", [ODP_POP_VLAN, 2, ...output(2)], tagged, [[bytes], []]],
      [
        "before and after",
        [...output(2), ODP_PUSH_VLAN, 3, 0x8100300a | 0, ...output(3)],
        bytes,
        [[bytes], [tagged]],
      ],
      ["set", [ODP_SET, 5, W_IPV4_DST, 0xc0a80009 | 0, -1, ...output(2)], bytes, [[set], []]],
      [
        "set between",
        [...output(3), ODP_SET, 5, W_IPV4_DST, 0xc0a80009 | 0, -1, ...output(2)],
        bytes,
        [[set], [bytes]],
      ],
      ["trunc", [ODP_TRUNC, 3, 20, ...output(2), ...output(3)], bytes, [[bytes.slice(0, 20)], [bytes]]],
      [
        "clone",
        [ODP_CLONE, 8, ODP_PUSH_VLAN, 3, 0x8100300a | 0, ...output(2), ...output(3)],
        bytes,
        [[tagged], [bytes]],
      ],
      ["sample never", [ODP_SAMPLE, 6, 0, ...output(2), ...output(3)], bytes, [[], [bytes]]],
      ["sample always", [ODP_SAMPLE, 6, -1, ...output(2), ...output(3)], bytes, [[bytes], [bytes]]],
    ];
    for (const protocol of [0xff, 0]) {
      for (const [what, actions, input, [second, third]] of cases) {
        const [key, mask] = fromPort(1, input);
        mask[W_ETH_TYPE] = 0xffff;
        mask[W_NW] = protocol;
        dpif.flowPut(key, mask, program(...actions));
        await dpif.settled();
        arrive("p1", input);
        const about = protocol === 0 ? `${what}, of any protocol` : what;
        t.strictSame(await sent("p2"), second, `${about}: p2`);
        t.strictSame(await sent("p3"), third, `${about}: p3`);
      }
      dpif.flowFlush();
    }
  });

  t.test("labels on, off and changed", async (t) => {
    const { dpif, arrive, sent } = await setUp(t);
    const label = (value: number, ttl: number, bottom = true): number =>
      (value << 12) | (bottom ? 0x100 : 0) | ttl;
    const one = { ...udp, labels: [label(100, 64)] };
    const two = { ...udp, labels: [label(7, 9, false), label(100, 64)] };
    const push = (entry: number): number[] => [ODP_PUSH_MPLS, 4, entry, 0x8847];
    const pop = (type: number): number[] => [ODP_POP_MPLS, 3, type];
    const cases: [string, FrameSpec, number[], FrameSpec][] = [
      ["push", udp, push(label(100, 64)), one],
      ["push another", one, push(label(7, 9, false)), two],
      ["pop", one, pop(0x0800), udp],
      ["pop one of two", two, pop(0x8847), one],
      [
        "set",
        two,
        [ODP_SET, 5, W_MPLS, label(8, 0), 0xfffff000 | 0],
        { ...udp, labels: [label(8, 9, false), label(100, 64)] },
      ],
      ["decrement", one, [ODP_SET, 5, W_MPLS, 63, 0xff], { ...udp, labels: [label(100, 63)] }],
    ];
    for (const [what, spec, actions, want] of cases) {
      const bytes = frame(spec);
      const [key, mask] = fromPort(1, bytes);
      mask[W_ETH_TYPE] = 0xffff;
      // All of the stack, of which the words after its bottom are 0.
      if (spec.labels !== undefined) for (let i = 0; i < 3; i++) mask[W_MPLS + i] = -1;
      const flow = dpif.flowPut(key, mask, program(...actions, ...output(2)));
      await dpif.settled();
      arrive("p1", bytes);
      t.strictSame(await sent("p2"), [frame(want)], what);
      // Another stack is another megaflow's.
      if (spec.labels !== undefined) {
        arrive("p1", frame({ ...spec, labels: [spec.labels[0]! ^ 0x1000, ...spec.labels.slice(1)] }));
        arrive("p1", frame({ ...spec, labels: [label(3, 3, false), ...spec.labels] }));
        t.strictSame(await sent("p2"), [], `${what}: not`);
      }
      await dpif.flowDel(flow);
    }
  });

  t.test("policing: a burst passes, what is above is dropped and counted", async (t) => {
    const { dpif, arrive, sent } = await setUp(t);
    dpif.flowPut(...fromPort(1), program(...output(2)));
    dpif.flowPut(...fromPort(3), program(...output(2)));
    // 125 bytes at once.
    dpif.portPolicing(1, { kbps: 8, burstKb: 1, kpps: 0, burstKpackets: 0 });
    await dpif.settled();
    for (let i = 0; i < 5; i++) arrive("p1", frame(udp));
    t.equal((await sent("p2")).length, 2);
    t.equal(dpif.drops().get(POLICING_DROPS), 3);
    arrive("p3", frame(udp));
    t.equal((await sent("p2")).length, 1, "another port has no limit");
    dpif.portPolicing(1, { kbps: 0, burstKb: 8000, kpps: 1, burstKpackets: 1 });
    await dpif.settled();
    // Where time passes, more than a thousand packets may take longer than their burst lasts.
    if (!traits.realTime) {
      for (let i = 0; i < 1002; i++) arrive("p1", frame(udp));
      t.equal((await sent("p2")).length, 1000);
      t.equal(dpif.drops().get(POLICING_DROPS), 5);
    }
    dpif.portPolicing(1, { kbps: 0, burstKb: 8000, kpps: 0, burstKpackets: 16 });
    await dpif.settled();
    for (let i = 0; i < 3; i++) arrive("p1", frame(udp));
    t.equal((await sent("p2")).length, 3);
  });

  t.test("meters", async (t) => {
    const { dpif, arrive, sent } = await setUp(t);
    const bytes = frame(udp);
    const metered = program(ODP_METER, 3, 5, ...output(2));
    dpif.flowPut(...fromPort(1), metered);
    await dpif.settled();
    const pass = async () => {
      for (let i = 0; i < 5; i++) arrive("p1", bytes);
      return (await sent("p2")).length;
    };
    t.equal(await pass(), 5, "a meter that is not there");
    const drop = { bandType: 1, precLevel: 0 };
    for (const [flags, rate, burst, through] of [
      [0, 1, 2, 2],
      [0, 3, 0, 3],
      // 125 bytes.
      [METER_KBPS, 1, 1, 2],
      [METER_KBPS, 100, 0, 5],
    ] as const) {
      dpif.meterSet(5, { flags, bands: [{ ...drop, rate, burst }] });
      await dpif.settled();
      t.equal(await pass(), through, `${flags} ${rate} ${burst}`);
      t.match(dpif.meterStats(5, 1), {
        packets: 5,
        bytes: 5 * bytes.length,
        bands: [{ packets: 5 - through, bytes: (5 - through) * bytes.length }],
      });
    }
    // Of the bands that are exceeded the fastest applies, and counts; in whatever order they are given.
    const bands = [4, 1, 2].map((burst, i) => ({ ...drop, rate: [1, 3, 2][i]!, burst }));
    const orders: { order: number[]; counts: number[] }[] = [
      { order: [0, 1, 2], counts: [0, 4, 0] },
      { order: [1, 2, 0], counts: [4, 0, 0] },
      { order: [0, 2], counts: [0, 3] },
      { order: [2, 0], counts: [3, 0] },
      { order: [0], counts: [1] },
    ];
    // Where time passes, the fast ones may have let through more by then.
    for (const { order, counts } of traits.realTime ? [] : orders) {
      dpif.meterSet(5, { flags: 0, bands: order.map((i) => bands[i]!) });
      await dpif.settled();
      t.equal(await pass(), 5 - Math.max(...counts), `bands ${order}`);
      t.strictSame(dpif.meterStats(5, order.length), {
        packets: 5,
        bytes: 5 * bytes.length,
        bands: counts.map((count) => ({ packets: count, bytes: count * bytes.length })),
      });
    }
    const many = Array.from({ length: METER_MAX_BANDS }, () => ({ ...drop, rate: 1, burst: 5 }));
    many[METER_MAX_BANDS - 1]!.burst = 3;
    dpif.meterSet(5, { flags: 0, bands: many });
    await dpif.settled();
    t.equal(await pass(), 3, "the last of many");
    t.equal(dpif.meterStats(5, METER_MAX_BANDS).bands.at(-1)!.packets, 2);
    if (!traits.realTime) t.equal(dpif.drops().get(METER_DROPS), 8 + 15 + 2, "counted together");
    dpif.meterDel(5);
    await dpif.settled();
    t.equal(await pass(), 5);
  });

  t.test("recirculation and userspace", async (t) => {
    const { dpif, arrive, sent } = await setUp(t);
    const [key, mask] = fromPort(1);
    dpif.flowPut(key, mask, program(ODP_PUSH_VLAN, 3, 0x81001005 | 0, ODP_RECIRC, 3, 9));
    const [again, ofTagged] = fromPort(1, frame({ ...udp, tags: [5] }));
    again[W_RECIRC_ID] = 9;
    dpif.flowPut(again, ofTagged, program(ODP_USERSPACE, 3, 77, ...output(2)));
    await dpif.settled();
    const seen: number[][] = [];
    dpif.setUpcallHandler((upcall) => {
      seen.push([
        upcall.kind,
        upcall.userdata,
        upcall.key[W_RECIRC_ID]!,
        upcall.key[W_TP]!,
        upcall.packet.length,
      ]);
      return reply({ actions: program(...output(3)) });
    });
    arrive("p1", frame(udp));
    const tagged = frame({ ...udp, tags: [5] });
    t.strictSame(await sent("p2"), [tagged]);
    t.strictSame(await sent("p3"), [tagged], "the answer's actions run on the packet as it went up");
    t.strictSame(seen, [[1, 77, 9, (1000 << 16) | 2000, 64]]);
  });

  t.test("a packet-out, and partial checksums", async (t) => {
    const { dpif, arrive, sent } = await setUp(t);
    const bytes = frame(udp);
    const packet = makePacket(Uint8Array.from([9, 9, 9, ...bytes]), 3, bytes.length);
    dpif.execute(packet, row({ [W_IN_PORT]: 1 }), program(ODP_PUSH_VLAN, 3, 0x8100300a | 0, ...output(3)));
    t.strictSame(await sent("p3"), [frame({ ...udp, tags: [0x200a] })]);
    t.strictSame([...packet.data.subarray(3)], bytes, "the caller's bytes are as they were");
    dpif.flowPut(...fromPort(1), program(ODP_SET, 5, W_IPV4_DST, 0xc0a80009 | 0, -1, ...output(2)));
    await dpif.settled();
    const { l4 } = layers(bytes);
    arrive("p1", partial(bytes), { flags: 1, csumStart: l4, csumOffset: 6 });
    const whole = frame({ ...udp, dst: [192, 168, 0, 9] });
    // A tap takes the partial checksum as it is; a port in this thread gets it finished.
    t.strictSame(await sent("p2"), [traits.finishes ? whole : partial(whole)]);
  });
}
