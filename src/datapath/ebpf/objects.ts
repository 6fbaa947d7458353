/** The maps that live as long as the datapath, and the loading of programs that name them. */
import type { Flow } from "../../flow/layout.ts";
import type { BpfMapSpec } from "../../sys/bpf.ts";
import type { DpMeter, DpMeterStats, Policing } from "../dpif.ts";
import { assemble, programSize } from "./asm/assemble.ts";
import type { Line } from "./asm/instruction.ts";
import { FarEnds } from "./far-ends.ts";
import { Journal } from "./journal.ts";
import {
  BAND_BYTES,
  BAND_DROPPED,
  BAND_NUMBER,
  MAP_COUNTERS,
  MAP_FAR_ENDS,
  MAP_JOURNAL,
  MAP_METERS,
  MAP_POLICING,
  MAP_PORTS,
  MAP_PROGRAMS,
  MAP_STATS,
  MAP_UPCALLS,
  METER_BANDS,
  METER_BYTES,
  METER_PASSED,
  PORT_BYTES,
  PORT_NUMBER,
  UPCALL_SLOT,
} from "./programs/layout.ts";
import { meterValue } from "./programs/meter.ts";
import { policeProgram, policingValue } from "./programs/police.ts";
import { upcallProgram } from "./programs/upcall.ts";
import { Rows } from "./rows.ts";
import { flowMapSpec, otherSpecs, pinnedSpecs, rowProcessors } from "./specs.ts";
import { type EbpfMap, type EbpfProgram, type EbpfSystem, MAP_RINGBUF } from "./system.ts";

const EINVAL = 22;

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
  readonly rows: Rows;
  readonly counters: Uint32Array;
  readonly farEnds: FarEnds;
  readonly upcall: LoadedProgram;
  readonly #journal: Journal | undefined;
  #police: LoadedProgram | undefined;

  /** `pin` pins a map for a later run. Throws what the system throws; nothing is left behind then. */
  constructor(system: EbpfSystem, pin: ((map: EbpfMap) => void) | undefined) {
    this.system = system;
    this.processors = rowProcessors(system.processors);
    try {
      for (const spec of pinnedSpecs(this.processors)) {
        if (spec.name === MAP_JOURNAL && pin === undefined) continue;
        const map = this.#add(spec);
        pin?.(map);
      }
      for (const spec of otherSpecs(this.processors)) this.#addOther(spec);
      this.rows = new Rows(this.maps.get(MAP_STATS)!.memory(), this.processors);
      this.farEnds = new FarEnds(this.maps.get(MAP_FAR_ENDS)!.memory(), this.processors);
      this.counters = new Uint32Array(this.maps.get(MAP_COUNTERS)!.memory());
      const journal = this.maps.get(MAP_JOURNAL);
      this.#journal = journal && new Journal(journal.memory());
      this.upcall = this.load("upcall", upcallProgram());
      this.setSlot(UPCALL_SLOT, this.upcall.program);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #add(spec: BpfMapSpec): EbpfMap {
    const map = this.system.createMap(spec);
    this.maps.set(spec.name, map);
    return map;
  }

  #addOther(spec: BpfMapSpec): void {
    try {
      this.#add(spec);
    } catch (error) {
      if (spec.type === MAP_RINGBUF && (error as { errno?: number }).errno === EINVAL)
        throw new Error("this kernel has no BPF ring buffers, which came with Linux 5.8");
      throw error;
    }
  }

  get upcallRing(): number {
    return this.maps.get(MAP_UPCALLS)!.fd;
  }

  /** A map for flows under one mask; it can be named in programs from now on. */
  addFlowMap(name: string, keyBytes: number, valueBytes: number, entries: number): EbpfMap {
    return this.#add(flowMapSpec(name, keyBytes, valueBytes, entries));
  }

  /** Takes all out of a map of flows that programs may go on asking, and lets go of it. */
  emptyMap(name: string): void {
    const map = this.maps.get(name);
    for (const [key] of map?.all() ?? []) map!.delete(key);
    this.removeMap(name);
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

  setPort(ifindex: number, odpPort: number, flags: number, address: Uint8Array): void {
    const value = new Uint8Array(PORT_BYTES);
    const view = new DataView(value.buffer);
    view.setUint32(0, flags, true);
    view.setUint32(PORT_NUMBER, odpPort, true);
    value.set(address.subarray(0, 6), 4);
    this.maps.get(MAP_PORTS)!.update(word(ifindex), value);
  }

  clearPort(ifindex: number): void {
    this.maps.get(MAP_PORTS)!.delete(word(ifindex));
    this.maps.get(MAP_POLICING)!.delete(word(ifindex));
  }

  /** Keeps for a later run what flow number `row` was made for. */
  remember(row: number, key: Flow): void {
    this.#journal?.remember(row, key);
  }

  forget(row: number): void {
    this.#journal?.forget(row);
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

  /** A meter that programs can run; false when they cannot, or there is no room. */
  setMeter(id: number, meter: DpMeter): boolean {
    const value = meterValue(meter);
    if (value !== undefined && this.maps.get(MAP_METERS)!.update(word(id), value)) return true;
    this.clearMeter(id);
    return false;
  }

  clearMeter(id: number): void {
    this.maps.get(MAP_METERS)!.delete(word(id));
  }

  /** Adds what programs have counted. */
  addMeterStats(id: number, out: DpMeterStats): void {
    const value = new Uint8Array(METER_BYTES);
    if (!this.maps.get(MAP_METERS)!.lookup(word(id), value)) return;
    const view = new DataView(value.buffer);
    const read = (at: number): number => Number(view.getBigUint64(at, true));
    out.packets += read(METER_PASSED);
    out.bytes += read(METER_PASSED + 8);
    for (let place = 0; place < out.bands.length; place++) {
      const at = METER_BANDS + place * BAND_BYTES;
      const band = out.bands[read(at + BAND_NUMBER)]!;
      band.packets += read(at + BAND_DROPPED);
      band.bytes += read(at + BAND_DROPPED + 8);
    }
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
