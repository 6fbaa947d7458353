/** What the eBPF datapath needs of the machine; `commands/ebpf-system.ts` fills it in from `src/sys`, tests from an interpreter. */
import type { BpfMapSpec, BpfProgramInfo } from "../../sys/bpf.ts";

export interface EbpfMap {
  readonly fd: number;
  readonly spec: BpfMapSpec;
  /** Adds or replaces; false when it is full. */
  update(key: Uint8Array, value: Uint8Array): boolean;
  delete(key: Uint8Array): boolean;
  updateBatch(keys: Uint8Array, values: Uint8Array, count: number): number;
  /** The value of a map with one entry that may be mapped. */
  memory(): ArrayBuffer;
  close(): void;
}

export interface EbpfProgram {
  readonly fd: number;
  info(): BpfProgramInfo;
  close(): void;
}

export interface EbpfLink {
  update(program: EbpfProgram): void;
  close(): void;
}

/** Everything throws an OsError, or for a program an error with the verifier's log in its message. */
export interface EbpfSystem {
  /** That there may ever be. */
  readonly processors: number;
  createMap(spec: BpfMapSpec): EbpfMap;
  loadProgram(name: string, instructions: Uint8Array): EbpfProgram;
  attach(program: EbpfProgram, ifindex: number, egress: boolean): EbpfLink;
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
