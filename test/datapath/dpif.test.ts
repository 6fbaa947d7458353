/**
 * The contract of `Dpif`: for the datapath in this thread, for the one in a worker (its loop run by hand), and for the one
 * of programs in the kernel (which an interpreter runs here).
 */
import t from "tap";
import { SAMPLE_BYTES } from "../../src/datapath/dpif.ts";
import { USERSPACE_ACTION_DROPS } from "../../src/datapath/drop-reasons.ts";
import { ODP_METER, ODP_SAMPLE, ODP_SET, ODP_USERSPACE } from "../../src/datapath/odp/actions.ts";
import { makePacket } from "../../src/datapath/packet.ts";
import { openLocalDpif } from "../../src/datapath/userspace/dpif-local.ts";
import { openWorkerDpif } from "../../src/datapath/userspace/dpif-worker.ts";
import {
  W_ETH_TYPE,
  W_IN_PORT,
  W_IPV4_DST,
  W_IPV6_DST,
  W_SKB_PRIORITY,
  W_TP,
  W_TUN_DST,
} from "../../src/flow/layout.ts";
import type { LocalPort, Netdev } from "../../src/netdev/netdev.ts";
import { ebpfBench } from "./bpf/bench.ts";
import { type Bench, type Checks, contract, fromPort, output, program, row, udp } from "./contract.ts";
import { FakeRing } from "./fake-ring.ts";
import { FakeMachine } from "./fake-thread.ts";
import { type FrameSpec, frame, layers, partial } from "./frames.ts";
import { clock } from "./still-clock.ts";

const VNET = 10;

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
  const dpif = openWorkerDpif({ type: "netdev", name: "ovs-netdev", clock, threads: machine.threads });
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

for (const [name, make, traits] of [
  ["local", localBench, { finishes: true }],
  ["worker", () => workerBench(), {}],
  ["ebpf", ebpfBench, {}],
] as const)
  t.test(name, async (t) => contract(t as unknown as Checks, make, traits));

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
  t.equal(rung(samples(2114)), 0);
  t.equal(rung(samples(1)), 1);
  await sent("p1");
  t.equal(operands.length, 2115);
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
  t.strictSame(operands.slice(2115), [-5, 0, -5], "a miss is first");
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
  const seen: [string, number, number[]][] = [];
  const words = [W_IN_PORT, W_ETH_TYPE, W_IPV4_DST, W_IPV6_DST + 3, W_TP, W_TUN_DST];
  dpif.setUpcallHandler(({ key, packet: { data, offset, length } }) => {
    const bytes = data.subarray(offset, offset + Math.min(length, SAMPLE_BYTES));
    seen.push([words.map((word) => key[word]!.toString(16)).join(), length, [...bytes]]);
    return undefined;
  });
  const six: FrameSpec = { ...udp, ip: 6, src: Array(16).fill(9), dst: [...Array(12).fill(8), 1, 2, 3, 4] };
  const long = frame({ ...udp, payload: Array.from({ length: 3001 }, (_, i) => (i * 7) & 0xff) });
  const odd = frame({ ...udp, payload: [...udp.payload, 1, 2, 3] });
  const want: typeof seen = [];
  for (const [bytes, network] of [
    [long, "800,a000002,0"],
    [frame(six), "86dd,0,1020304"],
    [odd, "800,a000002,0"],
  ] as const) {
    for (const name of ["p1", "p2"]) arrive(name, bytes);
    for (const [port, tunnel] of [
      [1, "0"],
      [1, "a000001"],
      [2, "0"],
    ])
      want.push([`${port},${network},3e807d0,${tunnel}`, bytes.length, bytes.slice(0, SAMPLE_BYTES)]);
  }
  machine.nowMs += 51;
  await sent("p1");
  t.strictSame(seen, want);
});

t.test("worker: samples that find no room are counted, and keep no miss waiting", async (t) => {
  const { machine, dpif, arrive, sent } = await sampledBench(ODP_USERSPACE, 3, -7);
  const seen: number[] = [];
  dpif.setUpcallHandler(({ userdata }) => {
    seen.push(userdata);
    return undefined;
  });
  for (let i = 0; i < 10_000; i++) arrive("p1", frame(udp));
  arrive("p2", frame(udp));
  const lost = dpif.drops().get(USERSPACE_ACTION_DROPS)!;
  t.ok(lost > 1000 && lost < 3000, `${lost} lost`);
  for (let i = 0; i < 20; i++) await sent("p1");
  t.equal(seen[0], 0, "the miss");
  t.equal(seen.length, 10_001 - lost);
  for (let i = 0; i < 600; i++) arrive("p1", frame(udp));
  machine.nowMs += 51;
  await sent("p1");
  t.equal(seen.length, 10_601 - lost);
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
