/** An eBPF datapath in the interpreter, its worker's loop run by hand, and the far ends of its ports. */
import { EbpfDpif } from "../../../src/datapath/ebpf/dpif.ts";
import { LOOK_MS } from "../../../src/datapath/ebpf/shortcuts.ts";
import { type UpcallMemory, UpcallPort, UpcallSource } from "../../../src/datapath/ebpf/upcall-port.ts";
import { openWorkerDpif } from "../../../src/datapath/userspace/dpif-worker.ts";
import type { Clock } from "../../../src/lib/clock.ts";
import type { Netdev } from "../../../src/netdev/netdev.ts";
import { FakeRing } from "../fake-ring.ts";
import { FakeMachine } from "../fake-thread.ts";
import { FakeBpf, type Skb, strippedSkb, wire } from "./fake-bpf.ts";

/** Timers of seconds are none, shorter ones are due at once, but for one that is set anew each time. */
const clock: Clock = {
  now: () => 5000,
  wall: () => 0,
  after: () => ({ cancel() {} }),
  background: (ms, run) => {
    if (ms < 1000 && ms !== LOOK_MS) setImmediate(run);
    return { cancel() {} };
  },
  soon: (run) => void setImmediate(run),
};

export interface EbpfBench {
  dpif: EbpfDpif;
  /** What it has warned of; without a list that is an error. */
  warnings: string[] | undefined;
  bpf: FakeBpf;
  machine: FakeMachine;
  device(name: string): Netdev;
  arrive(name: string, bytes: number[], meta?: { csumStart: number; csumOffset: number }): void;
  /** Just as the kernel has it. */
  arriveSkb(packet: Skb): number;
  sent(name: string): Promise<number[][]>;
}

/** `before`: of an earlier run, whose process has died; its kernel goes on. */
export function ebpfBench(before?: EbpfBench, pinned = before !== undefined): EbpfBench {
  const machine = before?.machine ?? new FakeMachine();
  const bpf =
    before?.bpf ?? new FakeBpf((address, bytes) => machine.memory(address, bytes.length).set(bytes));
  if (pinned) bpf.pinned ??= new Map();
  const memory: UpcallMemory = {
    addressOf: (bytes) => machine.addressOf(bytes),
    copyMemory: (to, from, length) => machine.memory(to, length).set(machine.memory(from, length)),
  };
  let source: UpcallSource;
  const senders = new Map<string, FakeRing>();
  const dpif = new EbpfDpif({
    name: "ovs-ebpf",
    clock,
    system: bpf,
    openInner: ({ allKnown }) => {
      source = new UpcallSource(bpf.records, memory, allKnown);
      return openWorkerDpif({ type: "ebpf", name: "ovs-ebpf", clock, threads: machine.threads });
    },
    warn: (text) => {
      if (bench.warnings === undefined) throw new Error(text);
      bench.warnings.push(text);
    },
  });
  const arriveSkb = (packet: Skb): number => {
    dpif.offload.flush();
    if ([...dpif.offload.tables.values()].some(({ live }) => !live)) dpif.offload.build();
    const result = bpf.run(packet);
    machine.turn();
    return result;
  };
  const bench: EbpfBench = {
    dpif,
    warnings: undefined,
    bpf,
    machine,
    device(name) {
      const ifindex = bpf.devices.get(name) ?? 10 + bpf.devices.size;
      bpf.devices.set(name, ifindex);
      const sender = Object.assign(new FakeRing(machine, 1000 + ifindex), { ifindex });
      senders.set(name, sender);
      machine.rings.set(name, new UpcallPort(source, sender) as unknown as FakeRing);
      return { name, type: "system", local: undefined, etherAddr: () => undefined } as unknown as Netdev;
    },
    arrive(name, bytes, meta) {
      const packet = strippedSkb(bytes, bpf.devices.get(name)!);
      if (meta !== undefined) packet.partial = meta.csumStart + meta.csumOffset;
      arriveSkb(packet);
    },
    arriveSkb,
    async sent(name) {
      for (let i = 0; i < 10; i++) {
        await new Promise((resolve) => setImmediate(resolve));
        await dpif.settled();
        machine.turn();
      }
      const ifindex = bpf.devices.get(name)!;
      const frames: number[][] = [];
      for (const each of bpf.sent) if (each.ifindex === ifindex) frames.push(wire(each.skb));
      bpf.sent.splice(0, bpf.sent.length, ...bpf.sent.filter((each) => each.ifindex !== ifindex));
      for (const { frame } of senders.get(name)!.sent.splice(0)) frames.push([...frame]);
      return frames;
    },
  };
  return bench;
}
