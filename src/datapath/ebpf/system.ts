/** What the eBPF datapath needs of the machine; `commands/ebpf-system.ts` fills it in from `src/sys`, tests from an interpreter. */
import type { BpfMapSpec, BpfProgramInfo } from "../../sys/bpf.ts";
import type { ShortcutSystem } from "./shortcuts.ts";

export interface EbpfMap {
  readonly fd: number;
  readonly spec: BpfMapSpec;
  /** Adds or replaces; false when it is full. */
  update(key: Uint8Array, value: Uint8Array): boolean;
  delete(key: Uint8Array): boolean;
  /** Fills in `value`; false when there is no such key. */
  lookup(key: Uint8Array, value: Uint8Array): boolean;
  /** All that is in a hash map. */
  all(): [key: Uint8Array, value: Uint8Array][];
  /** Adds or replaces `count` elements, keys and values one after the other. Returns how many; fewer when it is full. */
  updateBatch(keys: Uint8Array, values: Uint8Array, count: number): number;
  /** Deletes those of `count` keys that are there. */
  deleteBatch(keys: Uint8Array, count: number): void;
  /** The values of an array that may be mapped. */
  memory(): ArrayBuffer;
  close(): void;
}

export interface EbpfProgram {
  readonly fd: number;
  info(): BpfProgramInfo;
  close(): void;
}

export interface EbpfLink {
  readonly fd: number;
  /** Of the device that it is at; 0 when that is gone. */
  readonly ifindex: number;
  update(program: EbpfProgram): void;
  close(): void;
}

/** A folder of a bpf file system, which holds objects whether or not a process does. Names may be in folders below it. */
export interface PinFolder {
  /** For people. */
  readonly path: string;
  /** What is in it itself. */
  list(): string[];
  pin(object: { readonly fd: number }, name: string): void;
  /** undefined when there is none. */
  openMap(name: string, spec: BpfMapSpec): EbpfMap | undefined;
  openLink(name: string): EbpfLink | undefined;
  /** A folder with all that is in it; what is not there is no error. "" is the whole. */
  remove(name: string): void;
  /** Another process may have it from now on. */
  close(): void;
}

/** Everything throws an OsError, or for a program an error with the verifier's log in its message. */
export interface EbpfSystem extends ShortcutSystem {
  /** That there may ever be. */
  readonly processors: number;
  createMap(spec: BpfMapSpec): EbpfMap;
  loadProgram(name: string, instructions: Uint8Array): EbpfProgram;
  attach(program: EbpfProgram, ifindex: number, egress: boolean): EbpfLink;
  /** Where a datapath's objects are pinned; a text says why they cannot be. */
  pins(datapath: string): PinFolder | string;
  /** Has a device take frames for all addresses, also when no process listens any more. */
  setPromiscuous(ifindex: number, on: boolean): void;
  /** 0 for none. */
  ifindexOf(name: string): number;
  /** CLOCK_MONOTONIC. */
  nowMs(): number;
}

// As in src/sys/bpf.ts, which cannot be imported by value here.
export const MAP_HASH = 1;
export const MAP_ARRAY = 2;
export const MAP_PROG_ARRAY = 3;
export const MAP_RINGBUF = 27;
export const F_NO_PREALLOC = 1;
export const F_MMAPABLE = 1 << 10;
