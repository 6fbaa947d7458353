/** The userspace datapath with several lanes: the contract, and what lanes share, by hand in one thread. */
import t from "tap";
import { METER_KBPS } from "../../src/datapath/dpif.ts";
import { POLICING_DROPS } from "../../src/datapath/drop-reasons.ts";
import { ODP_METER } from "../../src/datapath/odp/actions.ts";
import { BUCKETS_BYTES, Buckets } from "../../src/datapath/userspace/buckets.ts";
import { openWorkerDpif } from "../../src/datapath/userspace/dpif-worker.ts";
import { RING_NEW_GROUP } from "../../src/datapath/userspace/system.ts";
import { W_IN_PORT, W_TP } from "../../src/flow/layout.ts";
import type { Netdev } from "../../src/netdev/netdev.ts";
import {
  type Bench,
  type Checks,
  contract,
  fromPort,
  output,
  program,
  reply,
  row,
  stats,
  udp,
} from "./contract.ts";
import { FakeRing } from "./fake-ring.ts";
import { FakeMachine } from "./fake-thread.ts";
import { frame } from "./frames.ts";
import { clock } from "./still-clock.ts";

/** Devices named "t..." are taps; of the others those named "s..." have one receive queue, the rest as many as there are cores. */
function lanesBench(cores = 2) {
  const machine = new FakeMachine();
  const faults: string[] = [];
  const dpif = openWorkerDpif({
    type: "netdev",
    name: "ovs-netdev",
    clock,
    threads: {
      spawn: machine.spawn,
      cores,
      receiveQueues: (name) => (name.startsWith("s") ? 1 : cores),
    },
    fault: (text) => void faults.push(text),
  });
  const rest = async (): Promise<void> => {
    for (let i = 0; i < 10; i++) {
      await new Promise((resolve) => setImmediate(resolve));
      await dpif.settled();
      machine.turn();
    }
  };
  let next = 0;
  /** A frame comes by a lane's ring of a device. */
  const arriveAt = (lane: number, name: string, bytes: number[], meta?: Parameters<Bench["arrive"]>[2]) => {
    const header = Uint8Array.of(
      meta?.flags ?? 0,
      0,
      0,
      0,
      0,
      0,
      meta?.csumStart ?? 0,
      0,
      meta?.csumOffset ?? 0,
      0,
    );
    const ring = machine.rings.get(lane === 0 ? name : `${name}/${lane}`)!;
    ring.incoming.push({ header, frame: Uint8Array.from(bytes), tag: 0 });
    machine.turn();
  };
  const sent = async (name: string): Promise<number[][]> => {
    await rest();
    return machine.rings
      .get(name)!
      .sent.splice(0)
      .map(({ frame }) => [...frame]);
  };
  const bench: Bench = {
    dpif,
    device(name) {
      if (!machine.rings.has(name)) machine.rings.set(name, new FakeRing(machine, machine.rings.size + 100));
      return { name, type: name.startsWith("t") ? "tap" : "system", local: undefined } as unknown as Netdev;
    },
    arrive: (name, bytes, meta) => arriveAt(next++ % cores, name, bytes, meta),
    sent,
  };
  return { ...bench, machine, arriveAt, rest, faults };
}

for (const lanes of [2, 3])
  t.test(`the contract, frames by ${lanes} lanes in turn`, async (t) =>
    contract(t as unknown as Checks, () => lanesBench(lanes), { unordered: true }),
  );

t.test("taps that had nothing are asked less often while rings are busy", async (t) => {
  const { dpif, device, machine } = lanesBench(1);
  t.teardown(() => dpif.close());
  await dpif.portAdd(device("s1"), undefined);
  await dpif.portAdd(device("t1"), undefined);
  machine.turn();
  const bytes = Uint8Array.from(frame(udp));
  const tap = machine.incoming.get("t1")!;
  const busyTurn = (): void => {
    machine.rings.get("s1")!.incoming.push({ header: new Uint8Array(10), frame: bytes, tag: 0 });
    machine.loop!.turn();
  };
  tap.push(Uint8Array.from([...new Uint8Array(10), ...bytes]));
  busyTurn();
  t.equal(tap.length, 1, "it rests");
  machine.nowMs += 0.06;
  tap.push(tap[0]!);
  busyTurn();
  t.equal(tap.length, 0, "and is asked again");
  tap.push(Uint8Array.from([...new Uint8Array(10), ...bytes]));
  busyTurn();
  t.equal(tap.length, 0, "at once while it has something");
  tap.push(Uint8Array.from([...new Uint8Array(10), ...bytes]));
  busyTurn();
  machine.loop!.turn();
  t.equal(tap.length, 0, "and when nothing else is to be done");
});

t.test("lanes come with queues, and know what was there before", async (t) => {
  const { dpif, device, machine, arriveAt, sent, rest } = lanesBench(3);
  t.equal(await dpif.portAdd(device("s1"), undefined), 1);
  t.equal(await dpif.portAdd(device("t1"), undefined), 2);
  t.equal(machine.loops.length, 1, "one queue, one lane");
  const many = row({ [W_IN_PORT]: -1, [W_TP]: -1 });
  const handles = [];
  for (let i = 0; i < 600; i++)
    handles.push(dpif.flowPut(row({ [W_IN_PORT]: 3, [W_TP]: i }), many, program(...output(1))));
  dpif.meterSet(5, { flags: 0, bands: [{ bandType: 1, precLevel: 0, rate: 1, burst: 3 }] });
  dpif.portShaped(1, true);
  const added = dpif.portAdd(device("m1"), undefined);
  // While new lanes are told of flows: one goes, one changes, one takes the number of the first and one comes.
  await Promise.resolve();
  const last = dpif.flowDel(handles[599]!);
  dpif.flowSetActions(handles[598]!, program(...output(2)));
  await last;
  dpif.flowPut(row({ [W_IN_PORT]: 3, [W_TP]: 700 }), many, program(ODP_METER, 3, 5, ...output(1)));
  t.equal(await added, 3);
  t.equal(machine.loops.length, 3);
  for (const loop of machine.loops) t.equal(loop.datapath.table.size, 600);
  const group = machine.rings.get("m1")!.group;
  t.ok(group > 0);
  t.strictSame(
    ["m1", "m1/1", "m1/2", "s1", "s1/1", "s1/2"].map((name) => machine.rings.get(name)!.group),
    [group, group, group, -1, -3, -3],
    "lanes share the device of several queues, and only send to that of one",
  );
  t.strictSame(
    dpif.threads!().map(({ core, queues }) => [core, queues.map(({ port, queue }) => `${port}.${queue}`)]),
    [
      [0, ["t1.0", "m1.1"]],
      [1, ["s1.0", "m1.2"]],
      [2, ["m1.0"]],
    ],
  );

  const of = (sport: number, dport: number) => frame({ ...udp, sport, dport });
  for (let lane = 0; lane < 3; lane++) arriveAt(lane, "m1", of(0, lane));
  t.equal((await sent("s1")).length, 3);
  t.ok(machine.rings.get("s1/2")!.bypass === false, "a shaped port is shaped for all lanes");
  arriveAt(2, "m1", of(0, 598));
  await rest();
  t.equal(machine.outgoing.get("t1")!.length, 1, "the tap's descriptor is any lane's to write to");
  arriveAt(1, "m1", of(0, 599));
  await rest();
  t.equal((await dpif.stats()).misses, 1, "a flow that went meanwhile is nowhere");
  for (let i = 0; i < 6; i++) arriveAt(i % 3, "m1", of(0, 700));
  t.equal((await sent("s1")).length, 3, "a meter's burst is that of all lanes together");

  await dpif.portAdd(device("s2"), undefined);
  await dpif.portAdd(device("s3"), undefined);
  t.strictSame(
    dpif.threads!().map(({ queues }) => queues.length),
    [3, 2, 2],
    "ports of one queue go where there is least",
  );
  await dpif.close();
  t.strictSame(machine.terminated, [0, 1, 2]);
});

t.test("statistics are sums; what comes up in a lane is answered there", async (t) => {
  const { dpif, device, machine, arriveAt, sent, rest } = lanesBench();
  for (const name of ["m1", "m2"]) await dpif.portAdd(device(name), undefined);
  let calls = 0;
  let flow = -1;
  dpif.setUpcallHandler(() => {
    calls++;
    return reply({
      actions: program(...output(2)),
      mask: row({ [W_IN_PORT]: -1 }),
      installed: (handle) => {
        flow = handle;
      },
    });
  });
  const miss = frame(udp);
  for (const lane of [1, 0]) {
    const key = lane === 0 ? "m1" : `m1/${lane}`;
    machine.rings
      .get(key)!
      .incoming.push({ header: new Uint8Array(10), frame: Uint8Array.from(miss), tag: 0 });
  }
  machine.turn();
  t.equal((await sent("m2")).length, 2);
  t.equal(calls, 1, "both lanes missed; the second finds the flow");
  const before = stats();
  t.ok(dpif.flowStats(flow, before));
  const tcp = (flags: number) => frame({ ...udp, proto: "tcp", flags });
  machine.nowMs = 2000;
  arriveAt(0, "m1", tcp(0x02));
  machine.nowMs = 3000;
  arriveAt(1, "m1", tcp(0x10));
  machine.nowMs = 4000;
  await rest();
  const out = stats();
  t.ok(dpif.flowStats(flow, out));
  t.equal(out.packets, before.packets + 2);
  t.equal(out.bytes, before.bytes + 2 * tcp(0).length);
  t.equal(out.usedMs, 4000, "the latest of both: 3000 of the threads' clock, which is 1000 behind");
  t.equal(out.tcpFlags, 0x12);
  const each = dpif.threads!().map((thread) => thread.stats.hits + thread.stats.misses);
  t.ok(
    each.every((count) => count >= 2),
    `${each}`,
  );
  const last = dpif.flowDel(flow);
  t.match(await last, { packets: out.packets });
  for (const loop of machine.loops) t.equal(loop.datapath.table.size, 0);
  const again = dpif.flowPut(...fromPort(1), program(...output(2)));
  await dpif.settled();
  t.ok(dpif.flowStats(again, out));
  t.equal(out.packets, 0, "a number's next flow starts anew in all lanes");
});

t.test("rates hold over all lanes", async (t) => {
  const { dpif, device, machine, arriveAt, sent } = lanesBench();
  for (const name of ["m1", "m2"]) await dpif.portAdd(device(name), undefined);
  dpif.flowPut(...fromPort(1), program(ODP_METER, 3, 9, ...output(2)));
  const bytes = frame(udp);
  const pass = async (count: number) => {
    for (let i = 0; i < count; i++) arriveAt(i % 2, "m1", bytes);
    return (await sent("m2")).length;
  };
  dpif.meterSet(9, { flags: METER_KBPS, bands: [{ bandType: 1, precLevel: 0, rate: 48, burst: 2 }] });
  await dpif.settled();
  t.equal(await pass(10), 4, "2 kbit are four frames of 60 bytes");
  machine.nowMs += 10;
  t.equal(await pass(10), 1, "10 ms at 48 kbit/s are one");
  t.match(dpif.meterStats(9, 1), { packets: 20, bands: [{ packets: 15 }] });
  dpif.meterDel(9);
  dpif.portPolicing(1, { kbps: 0, burstKb: 0, kpps: 1, burstKpackets: 0.006 });
  await dpif.settled();
  const dropped = dpif.drops().get(POLICING_DROPS)!;
  t.equal(await pass(3000), 0, "no burst, no time");
  machine.nowMs += 4;
  t.ok((await pass(10)) <= 4);
  t.ok(dpif.drops().get(POLICING_DROPS)! >= dropped + 3006);
});

t.test("ports that go: descriptors are closed when all lanes have let go", async (t) => {
  const { dpif, device, machine, arriveAt, sent, rest } = lanesBench();
  await dpif.portAdd(device("m1"), 1);
  await dpif.portAdd(device("t1"), 2);
  dpif.flowPut(...fromPort(1), program(...output(2)));
  await dpif.settled();
  arriveAt(1, "m1", frame(udp));
  await rest();
  t.equal(machine.outgoing.get("t1")!.length, 1);
  const gone = dpif.portDel(2);
  const again = dpif.portAdd(device("t1"), 2);
  t.strictSame(machine.closed, []);
  await gone;
  t.strictSame(machine.closed, [0]);
  t.equal(await again, 2, "and the same tap can be opened again");
  arriveAt(1, "m1", frame(udp));
  await rest();
  t.equal(machine.outgoing.get("t1")!.length, 1, "by another descriptor");

  await t.rejects(dpif.portAdd({ ...device("x"), name: "missing" } as Netdev, 3), { code: "ENODEV" });
  const early = t.rejects(dpif.portAdd(device("m3"), 3), { code: "ENODEV" });
  await dpif.portDel(3);
  await early;
  t.strictSame(
    [...dpif.ports()].map(({ name }) => name),
    ["m1", "t1"],
  );
  t.equal(await dpif.portAdd(device("m3"), 3), 3);
  dpif.flowPut(...fromPort(3), program(...output(1)));
  await dpif.settled();
  for (const lane of [0, 1]) arriveAt(lane, "m3", frame(udp));
  t.equal((await sent("m1")).length, 2);
});

t.test("ports of one queue move to lanes that have less, with what waits in their rings", async (t) => {
  const { dpif, device, machine, sent, rest } = lanesBench();
  for (const name of ["s1", "s2", "s3"]) await dpif.portAdd(device(name), undefined);
  for (const port of [1, 2]) dpif.flowPut(...fromPort(port), program(...output(3)));
  dpif.portPolicing(1, { kbps: 0, burstKb: 0, kpps: 1, burstKpackets: 2 });
  dpif.portShaped(1, true);
  await dpif.settled();
  const queues = () => dpif.threads!().map((thread) => thread.queues.map(({ port }) => port));
  t.strictSame(queues(), [["s1", "s2", "s3"]]);
  const ring = machine.rings.get("s1")!;
  const wait = (count: number) => {
    for (let i = 0; i < count; i++)
      ring.incoming.push({
        header: new Uint8Array(10),
        frame: Uint8Array.from(frame({ ...udp, sport: i })),
        tag: 0,
      });
  };
  // More than one turn takes.
  wait(200);
  await dpif.portAdd(device("m1"), undefined);
  t.strictSame(queues(), [
    ["s2", "s3", "m1"],
    ["s1", "m1"],
  ]);
  const got = (await sent("s3")).map((bytes) => (bytes[34]! << 8) | bytes[35]!);
  t.strictSame(
    got,
    Array.from({ length: 200 }, (_, i) => i),
    "all frames, in order",
  );
  const before = dpif.threads!().map(({ stats }) => stats.hits);
  wait(100);
  await rest();
  t.equal((await sent("s3")).length, 100);
  t.strictSame(
    dpif.threads!().map(({ stats }, i) => stats.hits - before[i]!),
    [0, 100],
    "the other lane serves it now",
  );
  t.notOk(ring.bypass, "shaped as before");
  wait(3000);
  t.equal((await sent("s3")).length, 1700, "and held to its rate of before");

  await dpif.portDel(2);
  await dpif.portDel(3);
  t.strictSame(queues(), [["m1"], ["s1", "m1"]]);
  await dpif.portAdd(device("s4"), 4 + 4);
  await dpif.portAdd(device("s5"), 4 + 5);
  await dpif.portDel(8);
  await dpif.portAdd(device("s6"), 4 + 6);
  await dpif.rebalance!();
  t.strictSame(
    queues()
      .map((names) => names.length)
      .sort(),
    [2, 3],
  );
  const going = dpif.portDel(1);
  await dpif.rebalance!();
  await going;
  t.notOk(queues().flat().includes("s1"));
});

t.test("a kernel without groups, and a lane that cannot open a device", async (t) => {
  const { dpif, device, machine, arriveAt, sent } = lanesBench();
  machine.trouble = (_lane, receives) => (receives === RING_NEW_GROUP ? 22 : 0);
  t.equal(await dpif.portAdd(device("m1"), 1), 1);
  t.strictSame(
    ["m1", "m1/1"].map((name) => machine.rings.get(name)!.group),
    [-1, -3],
    "one lane gets all",
  );
  t.strictSame(
    dpif.threads!().map(({ queues }) => queues.length),
    [1, 0],
  );
  machine.trouble = (lane) => (lane === 0 ? 12 : 0);
  await t.rejects(dpif.portAdd(device("m2"), 2), { code: "ENOMEM" });
  t.strictSame(
    [...dpif.ports()].map(({ name }) => name),
    ["m1"],
  );
  machine.trouble = () => 0;
  t.equal(await dpif.portAdd(device("m2"), 2), 2, "nothing of it is left in the other lane");
  dpif.flowPut(...fromPort(2), program(...output(1)));
  await dpif.settled();
  for (const lane of [0, 1]) arriveAt(lane, "m2", frame(udp));
  t.equal((await sent("m1")).length, 2);
});

t.test("processors: at most a lane for each, which keeps to it", async (t) => {
  const { dpif, device, machine, rest } = lanesBench(4);
  dpif.setCpus!([5, 7]);
  await dpif.portAdd(device("m1"), undefined);
  await rest();
  t.equal(machine.loops.length, 2);
  t.strictSame(machine.pinned, [5, 7]);
  t.strictSame(
    dpif.threads!().map(({ core }) => core),
    [5, 7],
  );
  dpif.setCpus!(undefined);
  await dpif.portAdd(device("m2"), undefined);
  await rest();
  t.strictSame(machine.pinned, [-1, -1, -1, -1]);
});

t.test("a thread that cannot be had, and one that dies", async (t) => {
  const machine = new FakeMachine();
  machine.rings.set("m1", new FakeRing(machine, 100));
  const faults: string[] = [];
  const deaths: string[] = [];
  let die = (_reason: string): void => {};
  const open = (allowed: number) =>
    openWorkerDpif({
      type: "netdev",
      name: "ovs-netdev",
      clock,
      threads: {
        cores: 2,
        receiveQueues: () => 2,
        spawn: (memory, bell, died, fault) => {
          if (memory.lane >= allowed) throw new Error("no memory");
          die = died;
          return machine.spawn(memory, bell, died, fault);
        },
      },
      fault: (text) => void faults.push(text),
      died: (reason) => void deaths.push(reason),
    });
  const device = { name: "m1", type: "system", local: undefined } as unknown as Netdev;
  const alone = open(1);
  t.equal(await alone.portAdd(device, undefined), 1);
  t.match(faults, ["no further thread: no memory"]);
  t.equal(alone.threads!().length, 1);
  await alone.close();
  machine.loops.splice(0);
  machine.terminated.splice(0);
  const two = open(2);
  await two.portAdd(device, undefined);
  die("killed");
  die("killed again");
  t.strictSame(deaths, ["killed"]);
  t.strictSame(machine.terminated, [0, 1], "the datapath is one: it forwards by all of its lanes or by none");
  await t.rejects(two.portAdd(device, 5), { code: "EIO" });
});

t.test("a bucket's lock is taken only where there are lanes", async (t) => {
  const memory = new SharedArrayBuffer(BUCKETS_BYTES);
  const [a, b] = [new Buckets(memory, true), new Buckets(memory, false)];
  t.notOk(a.lock(7));
  t.notOk(b.lock(7));
  a.setLanes(2);
  t.ok(a.lock(7));
  t.ok(b.lock(8), "one for each bucket");
  a.unlock(7);
  t.ok(b.lock(7));
});
