/** Starts datapath workers: what `openWorkerDpif` takes as `spawn`. */

import type { SharedMemory } from "../src/datapath/userspace/shared.ts";
import type { DatapathInit, DatapathThread, UpcallRing } from "../src/datapath/userspace/thread.ts";
import { closeFd, makeEventFd, signalEventFd } from "../src/sys/eventfd.ts";
import { monotonicMs } from "../src/sys/monotonic.ts";

export function spawnDatapathThread(
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
