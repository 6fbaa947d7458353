/** Starts datapath workers: what `openWorkerDpif` takes as `threads`. */
import { availableParallelism } from "node:os";
import type { SharedMemory } from "../src/datapath/userspace/shared.ts";
import type {
  DatapathInit,
  DatapathThread,
  DatapathThreads,
  UpcallRing,
} from "../src/datapath/userspace/thread.ts";
import { closeFd, makeEventFd, signalEventFd } from "../src/sys/eventfd.ts";
import { monotonicMs } from "../src/sys/monotonic.ts";
import { receiveQueues } from "../src/sys/receive-queues.ts";

function spawn(
  memory: SharedMemory,
  bell: () => void,
  died: (reason: string) => void,
  fault: (text: string) => void,
  upcalls?: UpcallRing,
): DatapathThread {
  const wakeFd = makeEventFd();
  const worker = new Worker(new URL("./datapath-worker.ts", import.meta.url).href);
  let ended = false;
  worker.onmessage = (event) => {
    if (typeof event.data === "string") fault(event.data);
    else bell();
  };
  worker.onerror = (event) => {
    if (!ended) died(event.message);
    ended = true;
  };
  const init: DatapathInit = { memory, wakeFd, upcalls };
  worker.postMessage(init);
  return {
    wake: () => signalEventFd(wakeFd),
    nowMs: monotonicMs,
    terminate() {
      if (ended) return;
      ended = true;
      worker.terminate();
      closeFd(wakeFd);
    },
  };
}

export const datapathThreads: DatapathThreads = { spawn, cores: availableParallelism(), receiveQueues };
