/** The short way to a veth device's far end: for which megaflows it is open, and that programs take it. */
import t from "tap";
import { FarEnds, farEndsBytes } from "../../src/datapath/ebpf/far-ends.ts";
import { FAR_END_BITS } from "../../src/datapath/ebpf/programs/layout.ts";
import { NO_SHORTCUT, Shortcuts } from "../../src/datapath/ebpf/shortcuts.ts";
import { ODP_OUTPUT } from "../../src/datapath/odp/actions.ts";
import { FLOW_DP_WORDS, W_IN_PORT } from "../../src/flow/layout.ts";
import { listenedTo } from "../../src/netdev/far-end.ts";
import { ebpfBench } from "./bpf/bench.ts";
import { FakeBpf, wire } from "./bpf/fake-bpf.ts";
import { frame } from "./frames.ts";

const ADDRESS = [2, 0, 0, 0, 0, 1];
const sending = (mtu = 1500, farMtu = 1500) => ({
  mtu,
  farEnd: { address: Uint8Array.from(ADDRESS), mtu: farMtu },
});
const noFarEnd = { mtu: 1500, farEnd: undefined };

/** Ports 1 and 2 are devices 11 and 12; `ticks` are timers. */
function shortcuts() {
  const bpf = new FakeBpf(() => {});
  bpf.sending.set(12, sending());
  const changes: number[] = [];
  let tick: (() => void) | undefined;
  const background = (_ms: number, run: () => void) => {
    tick = run;
    return {
      cancel() {
        tick = undefined;
      },
    };
  };
  const clock = { now: () => 0, wall: () => 0, after: background, background, soon() {} };
  const farEnds = new FarEnds(new ArrayBuffer(farEndsBytes(2)), 2);
  const all = new Shortcuts(bpf, clock, farEnds, (port) => changes.push(port));
  all.add(1, 11);
  all.add(2, 12);
  return { all, bpf, changes, tick: () => tick!(), ticks: () => tick !== undefined };
}

t.test("to a far end, from devices that send no longer frames", (t) => {
  const { all, bpf, changes } = shortcuts();
  t.match(all.find(1, 2), { farEnd: 1, low: 0x00000002, high: 0x0100 });
  t.equal(all.find(3, 2), NO_SHORTCUT, "an unknown device, or a tap");
  t.equal(all.find(2, 1), NO_SHORTCUT, "no far end");
  t.strictSame(changes, []);

  bpf.sending.set(11, { mtu: 9000, farEnd: undefined });
  bpf.sendingChanged!(11);
  t.equal(all.find(1, 2), NO_SHORTCUT);
  t.strictSame(changes.splice(0), [1]);
  bpf.sending.set(12, sending(1500, 9000));
  bpf.sendingChanged!(12);
  t.match(all.find(1, 2), { farEnd: 1 });
  t.strictSame(changes.splice(0), [2]);
  bpf.sendingChanged!(undefined);
  t.strictSame(changes, [], "nothing new");
  t.end();
});

t.test("not past queueing, filters, listeners", (t) => {
  const { all, bpf, changes, tick } = shortcuts();
  all.setShaped(2, true);
  t.notOk(all.isOpen(2));
  all.setShaped(2, false);
  t.ok(all.isOpen(2));
  t.strictSame(changes.splice(0), [2, 2]);

  for (const listened of [12, 0]) {
    bpf.listened.add(listened);
    tick();
    t.notOk(all.isOpen(2));
    bpf.listened.clear();
    tick();
    t.ok(all.isOpen(2));
    t.strictSame(changes.splice(0), [2, 2]);
  }
  bpf.listened.add(11);
  tick();
  t.ok(all.isOpen(2), "elsewhere");

  // Nothing tells of a program at the far end, but each device is asked about in turn.
  bpf.sending.set(12, noFarEnd);
  tick();
  tick();
  t.notOk(all.isOpen(2));
  t.strictSame(changes, [2]);
  t.end();
});

t.test("without devices nothing is watched", (t) => {
  const { all, bpf, ticks } = shortcuts();
  all.remove(1);
  t.ok(ticks());
  all.remove(2);
  t.notOk(ticks());
  t.equal(bpf.sendingChanged, undefined);
  all.add(2, 12);
  t.ok(all.isOpen(2));
  all.close();
  t.notOk(ticks());
  t.end();
});

t.test("programs take it, and what devices do not count is counted", async (t) => {
  const bench = ebpfBench();
  const { dpif, bpf } = bench;
  const [a, b] = [bench.device("a"), bench.device("b")];
  const ifindex = bpf.devices.get("b")!;
  bpf.sending.set(ifindex, sending());
  t.equal(await dpif.portAdd(a, undefined), 1);
  t.equal(await dpif.portAdd(b, undefined), 2);
  const [key, mask] = [new Int32Array(FLOW_DP_WORDS), new Int32Array(FLOW_DP_WORDS)];
  [key[W_IN_PORT], mask[W_IN_PORT]] = [1, -1];
  dpif.flowPut(key, mask, Int32Array.of(ODP_OUTPUT, 3, 2));
  const hosts = { src: [10, 0, 0, 1], dst: [10, 0, 0, 2], sport: 1, dport: 2 };
  const bytes = frame({ ...hosts, tags: [], ip: 4, proto: "udp", payload: [1, 2, 3, 4] });
  await dpif.settled();
  const arrive = (bytes: number[]): boolean => {
    bpf.sent.length = 0;
    bench.arrive("a", bytes);
    const [{ ifindex: to, shortcut, skb }] = bpf.sent as [(typeof bpf.sent)[0]];
    t.equal(to, ifindex);
    t.strictSame(wire(skb), bytes);
    return shortcut === true;
  };
  const passed = (packets: number): void => {
    const txBytes = packets * bytes.length;
    t.strictSame(b.passing!(), { rxPackets: 0, rxBytes: 0, txPackets: packets, txBytes });
  };
  t.ok(arrive(bytes));
  passed(1);
  for (const other of [
    [2, 0, 0, 0, 0, 2],
    [2, 0, 0, 0, 1, 1],
    [0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  ])
    t.notOk(arrive([...other, ...bytes.slice(6)]), "a frame to somebody else");
  passed(1);
  bpf.sending.delete(ifindex);
  bpf.sendingChanged!(ifindex);
  t.notOk(arrive(bytes));
  passed(1);
  bpf.sending.set(ifindex, sending());
  bpf.sendingChanged!(ifindex);
  t.ok(arrive(bytes));
  passed(2);
  t.equal(a.passing!().rxPackets, 0, "the device counts what comes in");
  await dpif.portDel(2);
  t.equal(b.passing, undefined);
});

t.test("numbers of far ends are used again, with counters of their own", (t) => {
  const memory = new ArrayBuffer(farEndsBytes(2));
  const farEnds = new FarEnds(memory, 2);
  const words = new Uint32Array(memory);
  const first = farEnds.take();
  t.equal(first, 1);
  // Processor 1: packets, bytes.
  words[((1 << FAR_END_BITS) + first) * 4] = 5;
  words[((1 << FAR_END_BITS) + first) * 4 + 2] = 300;
  words[first * 4] = 2;
  t.match(farEnds.traffic(first), { txPackets: 7, txBytes: 300 });
  farEnds.release(first);
  t.equal(farEnds.take(), first);
  t.match(farEnds.traffic(first), { txPackets: 0, txBytes: 0 });
  for (let number = 2; number < 1 << FAR_END_BITS; number++) farEnds.take();
  t.equal(farEnds.take(), 0, "there are no more");
  t.end();
});

t.test("packet sockets in /proc/net/packet", (t) => {
  const text = `sk               RefCnt Type Proto  Iface R Rmem   User   Inode
0000000000000000 3      3    0003   7     1 0      0      14
0000000000000000 3      3    0000   8     0 0      0      15
0000000000000000 3      3    88cc   9     1 0      0      16
0000000000000000 3      2    0003   0     1 0      0      17
`;
  t.strictSame([...listenedTo(text)], [7, 0]);
  t.strictSame([...listenedTo("sk RefCnt\n")], []);
  t.end();
});
