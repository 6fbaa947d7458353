/**
 * What an earlier run has left pinned: links at devices with the programs behind them, which forward until this run takes
 * over, and the maps by which its megaflows are known again. A run that ended while it took over has left two generations.
 *
 *   N-vV/stats, counters, programs, ports, journal    maps of generation N, layout version V
 *   link-IFINDEX-in, link-IFINDEX-out                 links, or where the kernel has none, what stands for a filter
 *
 * All other maps and programs live by those that name them. The array of programs must be pinned: the kernel empties it when
 * nobody but programs holds it.
 */
import { type Flow, W_IN_PORT } from "../../flow/layout.ts";
import { Journal } from "./journal.ts";
import {
  COUNTERS,
  LAYOUT_VERSION,
  MAP_COUNTERS,
  MAP_JOURNAL,
  MAP_PORTS,
  MAP_PROGRAMS,
  MAP_STATS,
  PORT_FLAG_TAP,
  PORT_FLAGS,
  PORT_NUMBER,
  UPCALL_SLOT,
} from "./programs/layout.ts";
import { Rows } from "./rows.ts";
import { PINNED_MAPS, pinnedSpecs, rowProcessors } from "./specs.ts";
import type { EbpfLink, EbpfMap, EbpfProgram, EbpfSystem, PinFolder } from "./system.ts";

export function generationName(number: number): string {
  return `${number}-v${LAYOUT_VERSION}`;
}

export function linkName(ifindex: number, egress: boolean): string {
  return `link-${ifindex}-${egress ? "out" : "in"}`;
}

/** undefined for what is no link's name. */
export function parseLinkName(name: string): { ifindex: number; egress: boolean } | undefined {
  const [, ifindex, way] = /^link-(\d+)-(in|out)$/.exec(name) ?? [];
  return ifindex === undefined ? undefined : { ifindex: Number(ifindex), egress: way === "out" };
}

/** One run's maps, undefined where the run was of another version, whose memory we cannot read. */
class Generation {
  readonly folder: string;
  readonly maps: ReadonlyMap<string, EbpfMap> | undefined;

  constructor(folder: string, pins: PinFolder, system: EbpfSystem) {
    this.folder = folder;
    const maps = new Map<string, EbpfMap>();
    if (folder.endsWith(`-v${LAYOUT_VERSION}`))
      for (const spec of pinnedSpecs(rowProcessors(system.processors))) {
        const map = pins.openMap(`${folder}/${spec.name}`, spec);
        if (map !== undefined) maps.set(spec.name, map);
      }
    this.maps = maps.size === PINNED_MAPS ? maps : undefined;
    if (this.maps === undefined) for (const map of maps.values()) map.close();
  }

  close(): void {
    for (const map of this.maps?.values() ?? []) map.close();
  }
}

/** A megaflow of an earlier run: the key of a packet that it was made for. */
export interface OldFlow {
  readonly key: Flow;
  /** Device that it came in by. */
  readonly ifindex: number;
  /** Where it is counted. */
  readonly rows: Rows;
  readonly row: number;
}

export class LeftBehind {
  readonly #pins: PinFolder;
  readonly #generations: Generation[] = [];
  readonly #links = new Set<string>();
  readonly #processors: number;

  constructor(pins: PinFolder, system: EbpfSystem) {
    this.#pins = pins;
    this.#processors = rowProcessors(system.processors);
    for (const name of pins.list()) {
      if (name.startsWith("link-")) this.#links.add(name);
      else this.#generations.push(new Generation(name, pins, system));
    }
  }

  /** For the maps of this run. */
  get nextGeneration(): string {
    const numbers = this.#generations.map(({ folder }) => Number.parseInt(folder, 10) || 0);
    return generationName(Math.max(0, ...numbers) + 1);
  }

  /** The link at a device, which goes on with the programs that it has. */
  claim(ifindex: number, egress: boolean): EbpfLink | undefined {
    const name = linkName(ifindex, egress);
    if (!this.#links.delete(name)) return undefined;
    const link = this.#pins.openLink(name);
    if (link?.ifindex === ifindex) return link;
    // Of a device that has gone, and whose number another has now.
    link?.close();
    this.#pins.remove(name);
    return undefined;
  }

  get isEmpty(): boolean {
    return this.#generations.length === 0 && this.#links.size === 0;
  }

  /** Devices that were ports. */
  ports(): { ifindex: number; tap: boolean }[] {
    const found = new Map<number, boolean>();
    for (const { maps } of this.#generations)
      for (const [key, value] of maps?.get(MAP_PORTS)?.all() ?? [])
        found.set(u32(key, 0), (u32(value, PORT_FLAGS) & PORT_FLAG_TAP) !== 0);
    return [...found].map(([ifindex, tap]) => ({ ifindex, tap }));
  }

  /** What the old programs hand up comes to us from now on. */
  takeUpcalls(program: EbpfProgram): void {
    for (const { maps } of this.#generations)
      maps
        ?.get(MAP_PROGRAMS)
        ?.update(
          new Uint8Array(Uint32Array.of(UPCALL_SLOT).buffer),
          new Uint8Array(Uint32Array.of(program.fd).buffer),
        );
  }

  /** The oldest first. */
  flows(): OldFlow[] {
    const flows: OldFlow[] = [];
    for (const { maps } of this.#generations) {
      if (maps === undefined) continue;
      const ifindexes = new Map<number, number>();
      for (const [key, value] of maps.get(MAP_PORTS)!.all())
        ifindexes.set(u32(value, PORT_NUMBER), u32(key, 0));
      const rows = new Rows(maps.get(MAP_STATS)!.memory(), this.#processors);
      for (const { row, key } of new Journal(maps.get(MAP_JOURNAL)!.memory()).all())
        flows.push({ key, ifindex: ifindexes.get(key[W_IN_PORT]!) ?? 0, rows, row });
    }
    return flows;
  }

  /** Adds what the old programs have counted beside flows. */
  addCounters(counters: Uint32Array): void {
    for (const { maps } of this.#generations) {
      if (maps === undefined) continue;
      const old = new Uint32Array(maps.get(MAP_COUNTERS)!.memory());
      for (let i = 0; i < COUNTERS; i++) {
        const sum = (old[i * 2]! + counters[i * 2]!) % 2 ** 32;
        const carry = old[i * 2]! + counters[i * 2]! >= 2 ** 32 ? 1 : 0;
        counters[i * 2] = sum;
        counters[i * 2 + 1]! += old[i * 2 + 1]! + carry;
      }
    }
  }

  /** Takes away links at devices that are no ports any more. */
  removeLinks(): void {
    for (const name of this.#links) this.#pins.remove(name);
    this.#links.clear();
  }

  /** Takes away the maps; nothing runs any more that needs them. */
  removeMaps(): void {
    for (const generation of this.#generations) {
      generation.close();
      this.#pins.remove(generation.folder);
    }
  }

  /** Lets go, and leaves all as it is. */
  close(): void {
    for (const generation of this.#generations) generation.close();
  }
}

function u32(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true) | 0;
}
