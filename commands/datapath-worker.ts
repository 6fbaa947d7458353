/**
 * Entry of the datapath's worker thread, an entry point of its own in the executable. It gets the shared memory in one message
 * and then runs the loop for ever: no other message is ever read.
 */
import type { DatapathInit } from "../src/datapath/userspace/thread.ts";
import { WorkerLoop } from "../src/datapath/userspace/worker-loop.ts";
import { Epoll } from "../src/sys/epoll.ts";
import { closeFd, drainEventFd } from "../src/sys/eventfd.ts";
import { addressOf } from "../src/sys/ffi.ts";
import { monotonicMs } from "../src/sys/monotonic.ts";
import { PacketRing } from "../src/sys/packet-ring.ts";
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

self.onmessage = (event) => {
  const { memory, wakeFd } = event.data;
  new WorkerLoop(memory, wakeFd, {
    openRing: (name) => new PacketRing(name),
    openTap,
    readTap,
    writeTap,
    closeFd,
    makeEpoll: (limit) => new Epoll(limit),
    drainEventFd,
    addressOf,
    nowMs: monotonicMs,
    random,
    ringBell: () => self.postMessage(0),
    report: (text) => self.postMessage(text),
  }).run();
};
