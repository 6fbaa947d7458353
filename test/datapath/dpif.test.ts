/**
 * The contract of `Dpif`: for the datapath in this thread, for the one in a worker (its loop run by hand), and for the one
 * of programs in the kernel (which an interpreter runs here).
 */
import t, { type Test } from "tap";
import {
  type DpFlowStats,
  type Dpif,
  METER_KBPS,
  SAMPLE_BYTES,
  type UpcallReply,
} from "../../src/datapath/dpif.ts";
import { POLICING_DROPS, USERSPACE_ACTION_DROPS } from "../../src/datapath/drop-reasons.ts";
import {
  ODP_CLONE,
  ODP_METER,
  ODP_OUTPUT,
  ODP_POP_VLAN,
  ODP_PUSH_VLAN,
  ODP_RECIRC,
  ODP_SAMPLE,
  ODP_SET,
  ODP_TRUNC,
  ODP_USERSPACE,
} from "../../src/datapath/odp/actions.ts";
import { makePacket } from "../../src/datapath/packet.ts";
import { openLocalDpif } from "../../src/datapath/userspace/dpif-local.ts";
import { openWorkerDpif } from "../../src/datapath/userspace/dpif-worker.ts";
import {
  FLOW_DP_WORDS,
  W_ETH_TYPE,
  W_IN_PORT,
  W_IPV4_DST,
  W_RECIRC_ID,
  W_SKB_PRIORITY,
  W_TP,
  W_TUN_DST,
} from "../../src/flow/layout.ts";
import type { Clock } from "../../src/lib/clock.ts";
import type { LocalPort, Netdev } from "../../src/netdev/netdev.ts";
import { ebpfBench } from "./bpf/bench.ts";
import { FakeRing } from "./fake-ring.ts";
import { FakeMachine } from "./fake-thread.ts";
import { type FrameSpec, frame, layers, partial, recompute } from "./frames.ts";

const clock: Clock = {
  now: () => 5000,
  wall: () => 0,
  after: () => ({ cancel() {} }),
  background: () => ({ cancel() {} }),
  soon: (run) => void setImmediate(run),
};

const VNET = 10;

/** A datapath and the far ends of its ports. */
interface Bench {
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

function localBench(): Bench {
  const dpif = openLocalDpif({ type: "dummy", name: "ovs-dummy", clock });
  const locals = new Map<string, LocalPort & { out: number[][] }>();
  return {
    dpif,
    device(name) {
      const local = {
        receive: undefined as LocalPort["receive"],
        out: [] as number[][],
        send(p: Parameters<LocalPort["send"]>[0]) {
          local.out.push([...p.data.subarray(p.offset, p.offset + p.length)]);
        },
      };
      locals.set(name, local);
      return { name, type: "dummy", local } as unknown as Netdev;
    },
    arrive(name, bytes, meta) {
      const packet = makePacket(Uint8Array.from(bytes));
      if (meta !== undefined) {
        Object.assign(packet, {
          vnetFlags: meta.flags,
          csumStart: meta.csumStart,
          csumOffset: meta.csumOffset,
        });
      }
      locals.get(name)!.receive?.(packet);
    },
    async sent(name) {
      return locals.get(name)!.out.splice(0);
    },
  };
}

function workerBench(machine = new FakeMachine()): Bench {
  const dpif = openWorkerDpif({ type: "netdev", name: "ovs-netdev", clock, spawn: machine.spawn });
  return {
    dpif,
    device: (name) => ({ name, type: "tap", local: undefined }) as unknown as Netdev,
    arrive(name, bytes, meta) {
      const header = [meta?.flags ?? 0, 0, 0, 0, 0, 0, meta?.csumStart ?? 0, 0, meta?.csumOffset ?? 0, 0];
      machine.incoming.get(name)!.push(Uint8Array.from([...header, ...bytes]));
      machine.turn();
    },
    async sent(name) {
      for (let i = 0; i < 10; i++) {
        await new Promise((resolve) => setImmediate(resolve));
        await dpif.settled();
        machine.turn();
      }
      return machine.outgoing
        .get(name)!
        .splice(0)
        .map((bytes) => [...bytes.subarray(VNET)]);
    },
  };
}

const udp: FrameSpec = {
  tags: [],
  ip: 4,
  proto: "udp",
  src: [10, 0, 0, 1],
  dst: [10, 0, 0, 2],
  sport: 1000,
  dport: 2000,
  payload: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18],
};
const row = (values: Record<number, number>) => {
  const words = new Int32Array(FLOW_DP_WORDS);
  for (const [word, value] of Object.entries(values)) words[Number(word)] = value;
  return words;
};
const fromPort = (port: number) =>
  [row({ [W_IN_PORT]: port }), row({ [W_IN_PORT]: -1, [W_RECIRC_ID]: -1 })] as const;
const program = (...words: number[]) => Int32Array.from(words);
const output = (port: number) => [ODP_OUTPUT, 3, port];
const reply = (some: Partial<UpcallReply>): UpcallReply => ({
  actions: program(),
  mask: undefined,
  flowActions: undefined,
  installed: undefined,
  ...some,
});
const stats = (): DpFlowStats => ({ packets: -1, bytes: -1, usedMs: -1, tcpFlags: -1 });

for (const [name, make] of [
  ["local", localBench],
  ["worker", () => workerBench()],
  ["ebpf", ebpfBench],
] as const) {
  t.test(name, async (t) => {
    const setUp = async (t: Test, ports = ["p1", "p2", "p3"]) => {
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
      t.strictSame([...dpif.ports()].map((p) => [p.odpPort, p.name]).sort(), [
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
      t.equal(dpif.drops().get("datapath_drop_invalid_port"), 1);
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
      t.strictSame(
        out,
        { packets: 3, bytes: 180, usedMs: 5000, tcpFlags: 0 },
        "the packet that missed is not the flow's",
      );
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
      t.strictSame(
        (await sent("p2")).map((bytes) => bytes.at(-1)),
        [0, 1, 2, 3, 4],
        "in order",
      );
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
      t.strictSame(out, { packets: 1, bytes: bytes.length, usedMs: 5000, tcpFlags: 0x12 });
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
      for (const [what, actions, input, [second, third]] of cases) {
        dpif.flowPut(...fromPort(1), program(...actions));
        await dpif.settled();
        arrive("p1", input);
        t.strictSame(await sent("p2"), second, `${what}: p2`);
        t.strictSame(await sent("p3"), third, `${what}: p3`);
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
      for (let i = 0; i < 1002; i++) arrive("p1", frame(udp));
      t.equal((await sent("p2")).length, 1000);
      t.equal(dpif.drops().get(POLICING_DROPS), 5);
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
      dpif.meterSet(5, { flags: 0, bands: [1, 2].map((rate) => ({ ...drop, rate, burst: rate })) });
      await dpif.settled();
      t.equal(await pass(), 1, "two bands");
      dpif.meterDel(5);
      await dpif.settled();
      t.equal(await pass(), 5);
    });

    t.test("recirculation and userspace", async (t) => {
      const { dpif, arrive, sent } = await setUp(t);
      const [key, mask] = fromPort(1);
      dpif.flowPut(key, mask, program(ODP_PUSH_VLAN, 3, 0x81001005 | 0, ODP_RECIRC, 3, 9));
      dpif.flowPut(
        row({ [W_IN_PORT]: 1, [W_RECIRC_ID]: 9 }),
        mask,
        program(ODP_USERSPACE, 3, 77, ...output(2)),
      );
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
      t.strictSame(await sent("p2"), [name === "local" ? whole : partial(whole)]);
    });
  });
}

t.test("local: a port's number follows its name, as in the original's dummy datapaths", async (t) => {
  const { dpif, device } = localBench();
  t.equal(await dpif.portAdd(device("br0"), undefined), 100);
  t.equal(await dpif.portAdd(device("br1"), undefined), 101);
  t.equal(await dpif.portAdd(device("p5"), undefined), 5);
  t.equal(await dpif.portAdd(device("eth5"), undefined), 1);
});

t.test(
  "worker: a device that cannot be opened, a queue of upcalls that is full, more requests than fit",
  async (t) => {
    const { dpif, device, arrive, sent } = workerBench();
    const missing = { ...device("eth9"), type: "system" } as Netdev;
    await t.rejects(dpif.portAdd(missing, undefined), { code: "ENODEV" });
    t.strictSame([...dpif.ports()], []);
    await dpif.portAdd(device("p1"), 1);
    let calls = 0;
    dpif.setUpcallHandler(() => {
      calls++;
      return undefined;
    });
    for (let i = 0; i < 1000; i++) arrive("p1", frame({ ...udp, sport: i }));
    await sent("p1");
    const { lost, misses } = await dpif.stats();
    t.equal(misses, 1000);
    t.equal(lost + calls, 1000);
    t.ok(calls > 100, `${calls} of 1000 were handled`);
    arrive("p1", frame(udp));
    await sent("p1");
    t.equal((await dpif.stats()).lost, lost, "and afterwards there is room again");
    const mask = row({ [W_IN_PORT]: -1, [W_TP]: -1 });
    const actions = program(...Array.from({ length: 30 }, () => output(1)).flat());
    const handles = [];
    for (let i = 0; i < 8000; i++)
      handles.push(dpif.flowPut(row({ [W_IN_PORT]: 1, [W_TP]: i }), mask, actions));
    await dpif.settled();
    t.equal(dpif.flowCount(), 8000);
    await Promise.all(handles.map((handle) => dpif.flowDel(handle)));
    t.equal(dpif.flowCount(), 0);
  },
);

t.test("worker: samples wait for company or for 50 ms, or come along with what cannot wait", async (t) => {
  const machine = new FakeMachine();
  const { dpif, device, arrive, sent } = workerBench(machine);
  await dpif.portAdd(device("p1"), 1);
  await dpif.portAdd(device("p2"), 2);
  const operands: number[] = [];
  dpif.setUpcallHandler((upcall) => {
    operands.push(upcall.userdata);
    return undefined;
  });
  dpif.flowPut(...fromPort(1), program(ODP_USERSPACE, 3, -5));
  await sent("p1");
  const rung = (arrivals: () => void): number => {
    const before = machine.bells;
    arrivals();
    machine.turn();
    return machine.bells - before;
  };
  const samples = (count: number) => () => {
    for (let i = 0; i < count; i++) arrive("p1", frame(udp));
  };
  t.equal(rung(samples(511)), 0);
  t.equal(rung(samples(1)), 1);
  await sent("p1");
  t.equal(operands.length, 512);
  t.equal(rung(samples(1)), 0);
  machine.nowMs += 51;
  t.equal(
    rung(() => {}),
    1,
    "time is up",
  );
  await sent("p1");
  t.equal(rung(samples(1)), 0);
  t.equal(
    rung(() => arrive("p2", frame(udp))),
    1,
    "a miss",
  );
  await sent("p1");
  t.strictSame(operands.slice(512), [-5, 0, -5], "a miss is first");
});

/** A worker with a flow from p1 whose packets are sampled. */
async function sampledBench(...actions: number[]) {
  const machine = new FakeMachine();
  const bench = workerBench(machine);
  for (const name of ["p1", "p2"]) await bench.dpif.portAdd(bench.device(name), undefined);
  bench.dpif.flowPut(...fromPort(1), program(...actions));
  await bench.dpif.settled();
  return { machine, ...bench };
}

t.test("worker: one packet in so many is sampled and sent", async (t) => {
  for (const [what, nested] of [
    ["then sent", []],
    ["and counted by a meter that is not there", [ODP_METER, 3, 9]],
  ] as const) {
    const sample = [ODP_SAMPLE, 6 + nested.length, 0x8000_0001 | 0, ...nested, ODP_USERSPACE, 3, -7];
    const { machine, dpif, arrive, sent } = await sampledBench(...sample, ...output(2));
    const seen: unknown[] = [];
    dpif.setUpcallHandler(({ userdata, key, packet }) => {
      seen.push([userdata, key[W_IN_PORT], key[W_TP]! >>> 16, packet.length]);
      return undefined;
    });
    const bytes = frame(udp);
    const draws = [0x8000_0001, 0x8000_0002, 0, 0xffff_ffff, 0x7fff_ffff];
    // Twice: the second packets of a flow are known to the cache.
    for (const draw of [...draws, ...draws]) {
      machine.random = () => draw | 0;
      arrive("p1", bytes);
    }
    machine.nowMs += 51;
    t.strictSame(await sent("p2"), Array(10).fill(bytes), what);
    t.strictSame(seen, Array(6).fill([-7, 1, 1000, bytes.length]), what);
  }
});

t.test("worker: a sample is the beginning of a frame, with the tunnel that it came by", async (t) => {
  const sample = [ODP_USERSPACE, 3, -7];
  const set = (word: number, value: number) => [ODP_SET, 5, word, value, -1];
  const { machine, dpif, arrive, sent } = await sampledBench(
    ...sample,
    ...set(W_TUN_DST, 0x0a000001),
    ...sample,
  );
  dpif.flowPut(...fromPort(2), program(...sample));
  const seen: [number, number, number, number[]][] = [];
  dpif.setUpcallHandler(({ key, packet: { data, offset, length } }) => {
    const bytes = data.subarray(offset, offset + Math.min(length, SAMPLE_BYTES));
    seen.push([key[W_IN_PORT]!, key[W_TUN_DST]!, length, [...bytes]]);
    return undefined;
  });
  const long = frame({ ...udp, payload: Array.from({ length: 3001 }, (_, i) => (i * 7) & 0xff) });
  const odd = frame({ ...udp, payload: [...udp.payload, 1, 2, 3] });
  const want: typeof seen = [];
  for (const bytes of [long, odd]) {
    for (const name of ["p1", "p2"]) arrive(name, bytes);
    for (const [port, tunnel] of [
      [1, 0],
      [1, 0x0a000001],
      [2, 0],
    ] as const)
      want.push([port, tunnel, bytes.length, bytes.slice(0, SAMPLE_BYTES)]);
  }
  machine.nowMs += 51;
  await sent("p1");
  t.strictSame(seen, want);
});

t.test("worker: samples that find no room are counted, and keep no miss waiting", async (t) => {
  const { dpif, arrive, sent } = await sampledBench(ODP_USERSPACE, 3, -7);
  const seen: number[] = [];
  dpif.setUpcallHandler(({ userdata }) => {
    seen.push(userdata);
    return undefined;
  });
  for (let i = 0; i < 6000; i++) arrive("p1", frame(udp));
  arrive("p2", frame(udp));
  const lost = dpif.drops().get(USERSPACE_ACTION_DROPS)!;
  t.ok(lost > 1000 && lost < 3000, `${lost} lost`);
  for (let i = 0; i < 20; i++) await sent("p1");
  t.equal(seen[0], 0, "the miss");
  t.equal(seen.length, 6001 - lost);
  for (let i = 0; i < 600; i++) arrive("p1", frame(udp));
  await sent("p1");
  t.equal(seen.length, 6601 - lost);
  t.equal((await dpif.stats()).lost, lost);
});

t.test("worker: a packet leaves by the queue that is set, where the device has queues", async (t) => {
  const machine = new FakeMachine();
  const { dpif, device, arrive, sent } = workerBench(machine);
  const ring = new FakeRing(machine, 100);
  machine.rings.set("eth0", ring);
  await dpif.portAdd(device("p1"), 1);
  await dpif.portAdd({ ...device("eth0"), type: "system" } as Netdev, 2);
  const queue = (number: number) => [ODP_SET, 5, W_SKB_PRIORITY, number, -1];
  const actions = [...queue(1), ...output(2), ...queue(7), ...output(2), ...queue(0), ...output(2)];
  dpif.flowPut(...fromPort(1), program(...actions));
  await dpif.settled();
  const priorities = async () => {
    arrive("p1", frame(udp));
    await sent("p1");
    return ring.sent.splice(0).map(({ priority }) => priority);
  };
  t.strictSame(await priorities(), ["bypass", "bypass", "bypass"]);
  dpif.portShaped(2, true);
  await dpif.settled();
  t.strictSame(await priorities(), [0x10002, 0x10008, 0]);
  ring.trouble = () => (ring.sent.length === 0 ? 22 : 0);
  arrive("p1", partial(frame(udp)), { flags: 1, csumStart: layers(frame(udp)).l4, csumOffset: 6 });
  await sent("p1");
  ring.trouble = () => 0;
  dpif.execute(makePacket(Uint8Array.from(frame(udp))), row({ [W_SKB_PRIORITY]: 3 }), program(...output(2)));
  await sent("p1");
  t.equal(ring.sent.splice(0).at(-1)!.priority, 0x10004, "a packet-out of a key with a queue");
  dpif.portShaped(2, false);
  await dpif.settled();
  t.strictSame(await priorities(), ["bypass", "bypass", "bypass"]);
});
