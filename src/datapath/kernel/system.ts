/**
 * What the kernel's datapath needs of the machine; `commands/kernel-system.ts` fills it in from `src/sys`. And whether there
 * is such a datapath.
 */
import { codeOf } from "../../lib/errors.ts";
import type { GenericSocket } from "../../sys/generic-netlink.ts";
import { Families } from "./families.ts";

export interface KernelSystem {
  /** `bufferBytes`: how much may wait to be received. Throws an OsError. */
  openSocket(bufferBytes: number): GenericSocket;
  /** CLOCK_MONOTONIC. */
  nowMs(): number;
  /** 32 random bits. */
  random(): number;
}

export const NO_MODULE = "no openvswitch module in this kernel";
export const NOT_PERMITTED = "not permitted";

let provided: (() => KernelSystem) | undefined;

/** The process's way to the kernel; without one there is no datapath in it. */
export function provideKernelSystem(open: () => KernelSystem): void {
  provided = open;
}

/** Throws what keeps the machine from being used so. */
export function providedKernelSystem(): KernelSystem {
  if (provided === undefined) throw new Error(NO_MODULE);
  return provided();
}

/** undefined when openvswitch.ko is there (or comes when asked for) and takes our requests, else why not. */
export function kernelDatapathAvailable(): string | undefined {
  if (provided === undefined) return NO_MODULE;
  let families: Families | undefined;
  try {
    families = new Families(provided());
    return families.mayChange() ? undefined : NOT_PERMITTED;
  } catch (error) {
    const code = codeOf(error);
    return code === "EPERM" || code === "EACCES" ? NOT_PERMITTED : NO_MODULE;
  } finally {
    families?.close();
  }
}
