/** The short way to a veth device's far end: for which megaflows it is open, and that programs take it. */
import t from "tap";
import { Shortcuts } from "../../src/datapath/ebpf/shortcuts.ts";
import { ODP_OUTPUT } from "../../src/datapath/odp/actions.ts";
import { FLOW_DP_WORDS, W_ETH_DST_HI, W_IN_PORT } from "../../src/flow/layout.ts";
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

/** Matches the port and the far end's address; `lastBit`: all of it. */
function match(inPort: number, lastBit = true): [key: Int32Array, mask: Int32Array] {
  const key = new Int32Array(FLOW_DP_WORDS);
  const mask = new Int32Array(FLOW_DP_WORDS);
  [key[W_IN_PORT], mask[W_IN_PORT]] = [inPort, -1];
  [key[W_ETH_DST_HI], mask[W_ETH_DST_HI]] = [0x02000000, -1];
  [key[W_ETH_DST_HI + 1], mask[W_ETH_DST_HI + 1]] = [0x00010000, (lastBit ? 0xffff : 0xfffe) << 16];
  return [key, mask];
}

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
  const all = new Shortcuts(bpf, clock, (port) => changes.push(port));
  all.add(1, 11);
  all.add(2, 12);
  return { all, bpf, changes, tick: () => tick!(), ticks: () => tick !== undefined };
}

t.test("for frames to the far end's address, in devices that send no longer ones", (t) => {
  const { all, bpf, changes } = shortcuts();
  t.ok(all.takes(...match(1), 2));
  t.notOk(all.takes(...match(1, false), 2), "a bit of the address is not matched on");
  t.notOk(all.takes(...match(3), 2), "an unknown device, or a tap");
  t.notOk(all.takes(...match(2), 1), "no far end");
  const [key, mask] = match(1);
  key[W_ETH_DST_HI]! ^= 1;
  t.notOk(all.takes(key, mask, 2), "another address");
  mask[W_IN_PORT] = 0;
  t.notOk(all.takes(key, mask, 2), "from anywhere");
  t.strictSame(changes, []);

  bpf.sending.set(11, { mtu: 9000, farEnd: undefined });
  bpf.sendingChanged!(11);
  t.notOk(all.takes(...match(1), 2));
  t.strictSame(changes.splice(0), [1]);
  bpf.sending.set(12, sending(1500, 9000));
  bpf.sendingChanged!(12);
  t.ok(all.takes(...match(1), 2));
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
  dpif.flowPut(...match(1), Int32Array.of(ODP_OUTPUT, 3, 2));
  const hosts = { src: [10, 0, 0, 1], dst: [10, 0, 0, 2], sport: 1, dport: 2 };
  const bytes = frame({ ...hosts, tags: [], ip: 4, proto: "udp", payload: [1, 2, 3, 4] });
  await dpif.settled();
  const arrive = (): { shortcut?: boolean; bytes: number[] } => {
    bpf.sent.length = 0;
    bench.arrive("a", bytes);
    const [{ ifindex: to, shortcut, skb }] = bpf.sent as [(typeof bpf.sent)[0]];
    t.equal(to, ifindex);
    return { ...(shortcut === undefined ? {} : { shortcut }), bytes: wire(skb) };
  };
  t.strictSame(arrive(), { shortcut: true, bytes });
  t.strictSame(b.passing!(), { rxPackets: 0, rxBytes: 0, txPackets: 1, txBytes: bytes.length });
  bpf.sending.delete(ifindex);
  bpf.sendingChanged!(ifindex);
  t.strictSame(arrive(), { bytes });
  t.strictSame(b.passing!(), { rxPackets: 0, rxBytes: 0, txPackets: 1, txBytes: bytes.length });
  bpf.sending.set(ifindex, sending());
  bpf.sendingChanged!(ifindex);
  t.strictSame(arrive(), { shortcut: true, bytes });
  t.strictSame(b.passing!(), { rxPackets: 0, rxBytes: 0, txPackets: 2, txBytes: 2 * bytes.length });
  t.equal(a.passing!().rxPackets, 0, "the device counts what comes in");
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
