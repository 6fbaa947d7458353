/**
 * The datapath worker without thread or system calls: memory has made-up addresses, taps are queues of frames, and the loop
 * takes its turns when the test (or main's wake) says so.
 */

import { type DatapathSystem, RING_NEW_GROUP } from "../../src/datapath/userspace/system.ts";
import type { DatapathThreads, SpawnDatapathThread } from "../../src/datapath/userspace/thread.ts";
import { WorkerLoop } from "../../src/datapath/userspace/worker-loop.ts";
import type { PacketRing } from "../../src/sys/packet-ring.ts";
import { FakeRing } from "./fake-ring.ts";

interface Region {
  address: number;
  bytes: Uint8Array;
}

export class FakeMachine {
  readonly regions: Region[] = [];
  /** By device name: frames (with virtio header) that the device will hand over, and that were written to it. */
  readonly incoming = new Map<string, Uint8Array[]>();
  readonly outgoing = new Map<string, Uint8Array[]>();
  private readonly fds: string[] = [];
  /** Descriptors that have been closed, in order. */
  readonly closed: number[] = [];
  /** Processor of each lane that has been told one. */
  readonly pinned: number[] = [];
  /** Lanes whose threads were ended. */
  readonly terminated: number[] = [];
  /** What opening a ring comes to in a lane: 0 or an errno. */
  trouble: (lane: number, receives: number) => number = () => 0;
  private groups = 0;
  /**
   * Rings by device name; a device without one here is none. What further lanes have of the device is under its name with
   * "/" and the lane's number, and is made when a lane asks for it; what it sends is sent by the device.
   */
  readonly rings = new Map<string, FakeRing>();
  /** What the worker reports; without a list it is an error. */
  reports: string[] | undefined;
  /** The next 32 random bits. */
  random: () => number = () => 12345;
  /** Of each lane. */
  readonly loops: WorkerLoop[] = [];
  /** How often main was to be woken. */
  bells = 0;
  nowMs = 1000;

  /** Memory with an address of its own. */
  addressOf(bytes: Uint8Array): number {
    const address = (this.regions.length + 1) * 2 ** 32;
    this.regions.push({ address, bytes });
    return address;
  }

  memory(address: number, length: number): Uint8Array {
    for (const region of this.regions) {
      const at = address - region.address;
      if (at >= 0 && at + length <= region.bytes.length) return region.bytes.subarray(at, at + length);
    }
    throw new Error(`no memory at ${address}`);
  }

  /** Of the first lane. */
  get loop(): WorkerLoop | undefined {
    return this.loops[0];
  }

  private ringOf(name: string, lane: number, receives: number): FakeRing {
    const ring = this.rings.get(name);
    if (ring === undefined) throw Object.assign(new Error("no such device"), { errno: 19 });
    const errno = this.trouble(lane, receives);
    if (errno !== 0) throw Object.assign(new Error(`errno ${errno}`), { errno });
    if (receives === RING_NEW_GROUP) ring.group = ++this.groups;
    if (lane === 0) return ring;
    const key = `${name}/${lane}`;
    const own = this.rings.get(key) ?? new FakeRing(this, ring.fd, ring.sent);
    own.group = receives === RING_NEW_GROUP ? ring.group : receives;
    this.rings.set(key, own);
    return own;
  }

  private system(lane: number, bell: () => void): DatapathSystem {
    let rung = false;
    const unwanted = () => {
      throw new Error("not in this test");
    };
    return {
      openRing: (name, receives) => this.ringOf(name, lane, receives) as unknown as PacketRing,
      takeRing: (held) => {
        for (const ring of this.rings.values()) if (ring.fd === held[0]) return ring as unknown as PacketRing;
        throw new Error(`no ring ${held[0]}`);
      },
      openTap: (name) => {
        this.incoming.set(name, []);
        this.outgoing.set(name, []);
        return this.fds.push(name) - 1;
      },
      readTap: (fd, address, room) => {
        const next = this.incoming.get(this.fds[fd]!)!.shift();
        if (next === undefined) return -11;
        this.memory(address, Math.min(room, next.length)).set(next.subarray(0, room));
        return Math.min(room, next.length);
      },
      writeTap: (fd, address, length) => {
        this.outgoing.get(this.fds[fd]!)!.push(this.memory(address, length).slice());
        return 0;
      },
      closeFd: (fd) => void this.closed.push(fd),
      pin: (processor) => {
        this.pinned[lane] = processor;
      },
      makeEpoll: () =>
        ({
          add: () => {},
          remove: () => {},
          wait: unwanted,
          ready: new Int32Array(1),
          close: () => {},
        }) as never,
      drainEventFd: () => {},
      addressOf: (bytes) => this.addressOf(bytes),
      nowMs: () => this.nowMs,
      random: () => this.random(),
      report: (text) => {
        if (this.reports === undefined) throw new Error(text);
        this.reports.push(text);
      },
      ringBell: () => {
        this.bells++;
        if (!rung)
          setImmediate(() => {
            rung = false;
            bell();
            this.turn();
          });
        rung = true;
      },
    };
  }

  /** Turns until there is nothing to do. */
  turn(): void {
    for (let busy = true; busy; ) {
      busy = false;
      for (const loop of this.loops) if (loop.turn()) busy = true;
    }
  }

  get threads(): DatapathThreads {
    return { spawn: this.spawn, cores: 1, receiveQueues: () => 1 };
  }

  readonly spawn: SpawnDatapathThread = (memory, bell) => {
    this.loops.push(new WorkerLoop(memory, 0, this.system(memory.lane, bell)));
    // As if asleep: each request wakes it.
    const control = new Int32Array(memory.control);
    const sleep = () => Atomics.store(control, 80, 1);
    sleep();
    return {
      wake: () => {
        setImmediate(() => {
          this.turn();
          sleep();
          this.turn();
        });
      },
      nowMs: () => this.nowMs,
      terminate: () => void this.terminated.push(memory.lane),
    };
  };
}
