/**
 * The datapath worker without thread or system calls: memory has made-up addresses, taps are queues of frames, and the loop
 * takes its turns when the test (or main's wake) says so.
 */

import type { DatapathSystem } from "../../src/datapath/userspace/system.ts";
import type { SpawnDatapathThread } from "../../src/datapath/userspace/thread.ts";
import { WorkerLoop } from "../../src/datapath/userspace/worker-loop.ts";
import type { PacketRing } from "../../src/sys/packet-ring.ts";
import type { FakeRing } from "./fake-ring.ts";

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
  /** Rings by device name; a device without one here is none. */
  readonly rings = new Map<string, FakeRing>();
  /** What the worker reports; without a list it is an error. */
  reports: string[] | undefined;
  /** The next 32 random bits. */
  random: () => number = () => 12345;
  loop: WorkerLoop | undefined;
  private bell: () => void = () => {};
  private rung = false;
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

  private system(): DatapathSystem {
    const unwanted = () => {
      throw new Error("not in this test");
    };
    return {
      openRing: (name) => {
        const ring = this.rings.get(name);
        if (ring === undefined) throw Object.assign(new Error("no such device"), { errno: 19 });
        return ring as unknown as PacketRing;
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
      closeFd: () => {},
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
        if (!this.rung) setImmediate(() => this.ring());
        this.rung = true;
      },
    };
  }

  private ring(): void {
    this.rung = false;
    this.bell();
    this.turn();
  }

  /** Turns until there is nothing to do. */
  turn(): void {
    while (this.loop!.turn()) {}
  }

  readonly spawn: SpawnDatapathThread = (memory, bell) => {
    this.bell = bell;
    this.loop = new WorkerLoop(memory, 0, this.system());
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
      terminate: () => {},
    };
  };
}
