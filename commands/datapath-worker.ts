/**
 * Entry of the datapath's worker thread, an entry point of its own in the executable. It gets the shared memory in one message
 * and then runs the loop for ever: no other message is ever read.
 */
import { UpcallPort, UpcallSource } from "../src/datapath/ebpf/upcall-port.ts";
import { type PortRing, RING_DEAF } from "../src/datapath/userspace/system.ts";
import type { DatapathInit, UpcallRing } from "../src/datapath/userspace/thread.ts";
import { WorkerLoop } from "../src/datapath/userspace/worker-loop.ts";
import { pinThread } from "../src/sys/affinity.ts";
import { BpfRing, copyMemory } from "../src/sys/bpf-ring.ts";
import { DeafRing } from "../src/sys/deaf-ring.ts";
import { Epoll } from "../src/sys/epoll.ts";
import { closeFd, drainEventFd } from "../src/sys/eventfd.ts";
import { addressOf } from "../src/sys/ffi.ts";
import { monotonicMs } from "../src/sys/monotonic.ts";
import { PacketRing } from "../src/sys/packet-ring.ts";
import { PacketSender } from "../src/sys/packet-sender.ts";
import { openTap, readTap, writeTap } from "../src/sys/tap.ts";

declare const self: {
  onmessage: ((event: { data: DatapathInit }) => void) | null;
  postMessage(value: number | string): void;
};

let seed = (Math.random() * 0x100000000) | 1;
function random(): number {
  seed ^= seed << 13;
  seed ^= seed >>> 17;
  seed ^= seed << 5;
  return seed;
}

/** No port's number: it only ends the loop's sleep. */
const UPCALLS_TAG = -2;

/** Ports whose frames come up from programs in the kernel. */
function upcallPorts({ fd, bytes, allKnown }: UpcallRing): (name: string) => PortRing {
  const source = new UpcallSource(new BpfRing(fd, bytes), { addressOf, copyMemory }, allKnown);
  return (name) => new UpcallPort(source, new PacketSender(name).bindDeaf());
}

self.onmessage = (event) => {
  const { memory, wakeFd, upcalls } = event.data;
  const openRecords = upcalls && upcallPorts(upcalls);
  new WorkerLoop(memory, wakeFd, {
    openRing:
      openRecords ??
      ((name, receives) => (receives === RING_DEAF ? new DeafRing(name) : new PacketRing(name, receives))),
    takeRing: (held) => PacketRing.take(held),
    openTap,
    openRecords,
    readTap,
    writeTap,
    closeFd,
    makeEpoll: (limit) => {
      const epoll = new Epoll(limit);
      if (upcalls !== undefined) epoll.add(upcalls.fd, UPCALLS_TAG);
      return epoll;
    },
    drainEventFd,
    addressOf,
    nowMs: monotonicMs,
    pin: pinThread,
    random,
    ringBell: () => self.postMessage(0),
    report: (text) => self.postMessage(text),
  }).run();
};
