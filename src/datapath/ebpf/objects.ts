/** The maps that live as long as the datapath, and the loading of programs that name them. */
import type { Policing } from "../dpif.ts";
import { assemble, programSize } from "./asm/assemble.ts";
import type { Line } from "./asm/instruction.ts";
import {
  COUNTER_BYTES,
  FLOW_BITS,
  MAP_COUNTERS,
  MAP_POLICING,
  MAP_PORTS,
  MAP_PROGRAMS,
  MAP_STATS,
  MAP_UPCALLS,
  MAX_BPF_PORTS,
  POLICING_BYTES,
  PORT_BYTES,
  PROGRAM_SLOTS,
  ROW_BYTES,
  UPCALL_RING_BYTES,
  UPCALL_SLOT,
} from "./programs/layout.ts";
import { policeProgram, policingValue } from "./programs/police.ts";
import { upcallProgram } from "./programs/upcall.ts";
import {
  type EbpfMap,
  type EbpfProgram,
  type EbpfSystem,
  F_MMAPABLE,
  F_NO_PREALLOC,
  MAP_ARRAY,
  MAP_HASH,
  MAP_PROG_ARRAY,
  MAP_RINGBUF,
} from "./system.ts";

export interface LoadedProgram {
  readonly name: string;
  readonly lines: readonly Line[];
  readonly program: EbpfProgram;
  /** Units of 8 bytes. */
  readonly size: number;
}

export class EbpfObjects {
  readonly system: EbpfSystem;
  /** A power of two. */
  readonly processors: number;
  readonly maps = new Map<string, EbpfMap>();
  /** Rows of statistics. */
  readonly stats: Uint32Array;
  readonly counters: Uint32Array;
  readonly upcall: LoadedProgram;
  #police: LoadedProgram | undefined;

  /** Throws what the system throws; nothing is left behind then. */
  constructor(system: EbpfSystem) {
    this.system = system;
    this.processors = 2 ** Math.ceil(Math.log2(system.processors));
    try {
      const statsBytes = this.processors * (ROW_BYTES << FLOW_BITS);
      this.stats = new Uint32Array(this.#add(MAP_STATS, MAP_ARRAY, 4, statsBytes, 1, F_MMAPABLE).memory());
      this.counters = new Uint32Array(
        this.#add(MAP_COUNTERS, MAP_ARRAY, 4, COUNTER_BYTES, 1, F_MMAPABLE).memory(),
      );
      this.#add(MAP_PROGRAMS, MAP_PROG_ARRAY, 4, 4, PROGRAM_SLOTS, 0);
      this.#add(MAP_PORTS, MAP_HASH, 4, PORT_BYTES, MAX_BPF_PORTS, F_NO_PREALLOC);
      this.#add(MAP_UPCALLS, MAP_RINGBUF, 0, 0, UPCALL_RING_BYTES, 0);
      this.#add(MAP_POLICING, MAP_HASH, 4, POLICING_BYTES, MAX_BPF_PORTS, F_NO_PREALLOC);
      this.upcall = this.load("upcall", upcallProgram());
      this.setSlot(UPCALL_SLOT, this.upcall.program);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #add(
    name: string,
    type: number,
    keyBytes: number,
    valueBytes: number,
    entries: number,
    flags: number,
  ): EbpfMap {
    const map = this.system.createMap({ name, type, keyBytes, valueBytes, entries, flags });
    this.maps.set(name, map);
    return map;
  }

  get upcallRing(): number {
    return this.maps.get(MAP_UPCALLS)!.fd;
  }

  /** A map for flows under one mask; it can be named in programs from now on. */
  addFlowMap(name: string, keyBytes: number, valueBytes: number, entries: number): EbpfMap {
    return this.#add(name, MAP_HASH, keyBytes, valueBytes, entries, F_NO_PREALLOC);
  }

  removeMap(name: string): void {
    this.maps.get(name)?.close();
    this.maps.delete(name);
  }

  load(name: string, lines: readonly Line[]): LoadedProgram {
    const fdOf = (map: string): number => {
      const held = this.maps.get(map);
      if (held === undefined) throw new Error(`no map ${map}`);
      return held.fd;
    };
    const program = this.system.loadProgram(name, assemble(lines, fdOf));
    return { name, lines, program, size: programSize(lines) };
  }

  setSlot(slot: number, program: EbpfProgram): void {
    this.maps.get(MAP_PROGRAMS)!.update(word(slot), word(program.fd));
  }

  clearSlot(slot: number): void {
    this.maps.get(MAP_PROGRAMS)!.delete(word(slot));
  }

  setPort(ifindex: number, flags: number, address: Uint8Array): void {
    const value = new Uint8Array(PORT_BYTES);
    new DataView(value.buffer).setUint32(0, flags, true);
    value.set(address.subarray(0, 6), 4);
    this.maps.get(MAP_PORTS)!.update(word(ifindex), value);
  }

  clearPort(ifindex: number): void {
    this.maps.get(MAP_PORTS)!.delete(word(ifindex));
    this.maps.get(MAP_POLICING)!.delete(word(ifindex));
  }

  /** The program for ports with limits, loaded when the first one wants it. */
  get police(): LoadedProgram {
    this.#police ??= this.load("police", policeProgram());
    return this.#police;
  }

  /** Whether there is one yet. */
  get hasPolice(): boolean {
    return this.#police !== undefined;
  }

  /** Limits of a port, for {@link police}. */
  setPolicing(ifindex: number, policing: Policing): void {
    this.maps.get(MAP_POLICING)!.update(word(ifindex), policingValue(policing));
  }

  /** Of COUNT_* in programs/layout.ts. */
  counter(which: number): number {
    return this.counters[which * 2]! + this.counters[which * 2 + 1]! * 2 ** 32;
  }

  close(): void {
    this.upcall?.program.close();
    this.#police?.program.close();
    for (const map of this.maps.values()) map.close();
    this.maps.clear();
  }
}

function word(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}
