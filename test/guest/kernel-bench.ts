/** The kernel's datapath over taps, whose far ends are in this process: for the contract of Dpif, within a guest. */
import { spawnSync } from "node:child_process";
import { openKernelSystem } from "../../commands/kernel-system.ts";
import { openKernelDpif } from "../../src/datapath/kernel/dpif.ts";
import { Families } from "../../src/datapath/kernel/families.ts";
import type { Netdev } from "../../src/netdev/netdev.ts";
import { addressOf } from "../../src/sys/ffi.ts";
import { openTap, readTap, writeTap } from "../../src/sys/tap.ts";
import type { Bench } from "../datapath/contract.ts";
import { clock } from "../datapath/still-clock.ts";

const VNET = 10;
const taps = new Map<string, number>();
const buffer = new Uint8Array(70_000);

function tap(name: string): number {
  let fd = taps.get(name);
  if (fd === undefined) {
    fd = openTap(name);
    taps.set(name, fd);
    spawnSync("ip", ["link", "set", name, "up"]);
  }
  return fd;
}

function drain(fd: number): number[][] {
  const frames: number[][] = [];
  for (;;) {
    const length = readTap(fd, addressOf(buffer), buffer.length);
    if (length <= 0) return frames;
    frames.push([...buffer.subarray(VNET, length)]);
  }
}

export function kernelBench(name = "ovs-system"): Bench {
  const dpif = openKernelDpif({
    type: "system",
    name,
    clock,
    families: new Families(openKernelSystem()),
    warn: (text) => console.log(`# ${text}`),
  });
  return {
    dpif,
    device(of) {
      drain(tap(of));
      return { name: of, type: "system", local: undefined, config: () => new Map() } as unknown as Netdev;
    },
    arrive(of, bytes, meta) {
      const header = [meta?.flags ?? 0, 0, 0, 0, 0, 0, meta?.csumStart ?? 0, 0, meta?.csumOffset ?? 0, 0];
      const frame = Uint8Array.from([...header, ...bytes]);
      writeTap(tap(of), addressOf(frame), frame.length);
    },
    async sent(of) {
      // The kernel is done with what has arrived; what came up is handled in the turns to come.
      for (let i = 0; i < 5; i++) {
        await new Promise((resolve) => setTimeout(resolve, 2));
        await dpif.settled();
      }
      return drain(tap(of));
    },
  };
}
