/** Run in a guest by the executable as plain Bun: the contract of Dpif over openvswitch.ko, and what is this datapath's alone. */
import { openKernelSystem } from "../../commands/kernel-system.ts";
import { Families, openFamilies } from "../../src/datapath/kernel/families.ts";
import { KernelView } from "../../src/datapath/kernel/view.ts";
import { W_ETH_TYPE, W_NW, W_TP, W_VLAN0, W_VLAN1 } from "../../src/flow/layout.ts";
import { type Checks, contract, fromPort, output, program, row, udp } from "../datapath/contract.ts";
import { frame } from "../datapath/frames.ts";
import { kernelBench } from "./kernel-bench.ts";
import { makeRunner } from "./runner.ts";

const t = makeRunner((line) => console.log(line));
t.ok(openFamilies(openKernelSystem) instanceof Families, "the module is there");
contract(t, kernelBench, { realTime: true, quiet: true });

/** Each miss is answered by a flow to p2 that matches on what `mask` says. */
async function answering(t: Checks, mask: Record<number, number>) {
  const bench = kernelBench();
  t.teardown(() => bench.dpif.close());
  for (const port of ["p1", "p2"]) await bench.dpif.portAdd(bench.device(port), undefined);
  const misses: number[] = [];
  let handle = -1;
  bench.dpif.setUpcallHandler(({ key }) => {
    misses.push(key[W_TP]!);
    return {
      actions: program(...output(2)),
      mask: row(mask),
      flowActions: undefined,
      installed: (flow) => {
        handle = flow;
      },
    };
  });
  const view = (): KernelView => new KernelView(new Families(openKernelSystem()), "ovs-system");
  return { ...bench, misses, view, flow: () => handle };
}

t.test("a second tag where only one counts", async (t) => {
  const { dpif, arrive, sent, misses, view } = await answering(t, { [W_VLAN0]: -1, [W_ETH_TYPE]: 0xffff });
  dpif.setVlanLimit(1);
  const bytes = frame({ ...udp, tags: [5, 6] });
  for (const tags of [
    [5, 6],
    [5, 7],
    [5, 8],
  ]) {
    arrive("p1", frame({ ...udp, tags }));
    t.equal((await sent("p2")).length, 1);
  }
  t.equal(misses.length, 1, "the inner one is no part of the flow");
  const [flow] = [...view().flows()];
  t.equal(flow!.key[W_VLAN0], 0x81001005 | 0);
  t.equal(flow!.mask[W_VLAN1]! & 0xefff, 0, "nor of the kernel's");
  dpif.setVlanLimit(2);
  arrive("p2", bytes);
  await sent("p1");
});

t.test("a flow that somebody takes out", async (t) => {
  const { dpif, arrive, sent, misses, view, flow } = await answering(t, { [W_ETH_TYPE]: 0xffff });
  for (let i = 0; i < 2; i++) arrive("p1", frame(udp));
  await sent("p2");
  t.equal(dpif.flowCount(), 1);
  view().flush();
  const stats = { packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 };
  t.notOk(dpif.flowStats(flow(), stats), "is gone when somebody looks");
  t.equal(dpif.flowCount(), 0);
  arrive("p1", frame(udp));
  t.equal((await sent("p2")).length, 1);
  t.equal(misses.length, 2, "and is made anew");
});

t.test("what the kernel cannot see is matched here", async (t) => {
  const { dpif, arrive, sent, misses, view, flow } = await answering(t, { [W_NW]: 0xff, [W_TP]: -1 });
  const igmp = (type: number): number[] => {
    const bytes = frame(udp);
    bytes[23] = 2;
    bytes.splice(34, 8, type, 0, 0, 0, 224, 0, 0, 1);
    return bytes;
  };
  for (const type of [0x16, 0x16, 0x17]) arrive("p1", igmp(type));
  t.equal((await sent("p2")).length, 3);
  t.strictSame(misses, [0x16 << 16, 0x17 << 16]);
  t.equal([...view().flows()].length, 0, "no flow in the kernel");
  const stats = { packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 };
  dpif.flowPut(...fromPort(2), program());
  t.ok(dpif.flowStats(flow(), stats));
  t.equal(stats.packets, 0);
});

await t.done();
process.exit(0);
