/**
 * What `lane.ts` needs of the machine: a thread that runs the worker loop. `commands/datapath-thread.ts` makes
 * real ones; tests run the loop's steps by hand.
 */
import type { SharedMemory } from "./shared.ts";

/** What a datapath's threads are made with. */
export interface DatapathThreads {
  readonly spawn: SpawnDatapathThread;
  /** Processors that there are for them. */
  readonly cores: number;
  /** Receive queues of a device of the system. */
  receiveQueues(device: string): number;
}

/** Sent to the worker when it starts; afterwards only shared memory and the bell connect the two. */
export interface DatapathInit {
  memory: SharedMemory;
  /** eventfd that wakes the worker. */
  wakeFd: number;
  /** Descriptor and size of the BPF ring buffer from which frames of system devices come, in place of packet rings. */
  upcalls: UpcallRing | undefined;
}

export interface UpcallRing {
  readonly fd: number;
  readonly bytes: number;
  /** One word: 1 while programs know every megaflow, so that the frames which come up are misses. */
  readonly allKnown: SharedArrayBuffer;
}

export interface DatapathThread {
  /** Ends the worker's sleep in epoll_wait. Called only when its `sleeping` word was set. */
  wake(): void;
  /** The worker's clock: CLOCK_MONOTONIC in milliseconds. */
  nowMs(): number;
  terminate(): void;
}

/**
 * Starts the worker; `bell` is called in a turn of main's loop after the worker has rung, `fault` with the text of a defect
 * that the loop survived, `died` when it ends unasked.
 */
export type SpawnDatapathThread = (
  memory: SharedMemory,
  bell: () => void,
  died: (reason: string) => void,
  fault: (text: string) => void,
  upcalls?: UpcallRing,
) => DatapathThread;
