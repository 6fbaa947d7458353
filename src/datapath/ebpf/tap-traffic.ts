/**
 * Packets that programs have served and that pass by their ports' own counters, summed up from their megaflows' rows: a tap's
 * packets both ways, and what goes straight to a device's far end.
 */
import type { OdpPort } from "../dpif.ts";
import { MAX_BPF_FLOWS } from "./programs/layout.ts";
import type { Rows } from "./rows.ts";

/** A port whose counters a megaflow passes by as it comes in or goes out. */
export interface TapUse {
  readonly port: OdpPort;
  /** The switch sends. */
  readonly tx: boolean;
}

/** As the switch sees them. */
export interface Traffic {
  rxPackets: number;
  rxBytes: number;
  txPackets: number;
  txBytes: number;
}

/** Megaflows with the same ports: nearly all that a list of actions is set up for share one. */
class Group {
  readonly taps: readonly TapUse[];
  rows = new Int32Array(16);
  size = 0;

  constructor(taps: readonly TapUse[]) {
    this.taps = taps;
  }

  push(row: number): number {
    if (this.size === this.rows.length) {
      const { rows } = this;
      this.rows = new Int32Array(rows.length * 2);
      this.rows.set(rows);
    }
    this.rows[this.size] = row;
    return this.size++;
  }
}

export class TapTraffic {
  readonly #rows: Rows;
  readonly #groups = new Map<readonly TapUse[], Group>();
  readonly #groupsOf = new Map<OdpPort, Set<Group>>();
  readonly #traffic = new Map<OdpPort, Traffic>();
  // By row: its group and where it is there, and what of it has been added to the ports' traffic.
  readonly #group: (Group | undefined)[] = new Array(MAX_BPF_FLOWS).fill(undefined);
  readonly #places = new Int32Array(MAX_BPF_FLOWS);
  readonly #packets = new Float64Array(MAX_BPF_FLOWS);
  readonly #bytes = new Float64Array(MAX_BPF_FLOWS);

  constructor(rows: Rows) {
    this.#rows = rows;
  }

  /** From now on the megaflow of this row passes by these ports' counters, once for each. Keeps `taps`. */
  set(row: number, taps: readonly TapUse[]): void {
    this.remove(row);
    if (taps.length === 0) return;
    const group = this.#groups.get(taps) ?? this.#addGroup(taps);
    this.#group[row] = group;
    this.#places[row] = group.push(row);
    this.#packets[row] = this.#rows.packets(row);
    this.#bytes[row] = this.#rows.bytes(row);
  }

  #addGroup(taps: readonly TapUse[]): Group {
    const group = new Group(taps);
    this.#groups.set(taps, group);
    for (const { port } of taps) {
      const groups = this.#groupsOf.get(port);
      if (groups === undefined) this.#groupsOf.set(port, new Set([group]));
      else groups.add(group);
    }
    return group;
  }

  remove(row: number): void {
    const group = this.#group[row];
    if (group === undefined) return;
    this.#add(row, group);
    this.#group[row] = undefined;
    const last = group.rows[--group.size]!;
    group.rows[this.#places[row]!] = last;
    this.#places[last] = this.#places[row]!;
    if (group.size === 0) this.#removeGroup(group);
  }

  #removeGroup(group: Group): void {
    this.#groups.delete(group.taps);
    for (const { port } of group.taps) {
      const groups = this.#groupsOf.get(port);
      groups?.delete(group);
      if (groups?.size === 0) this.#groupsOf.delete(port);
    }
  }

  /** Adds what a megaflow has served, since this was done last, to its ports' traffic. */
  #add(row: number, { taps }: Group): void {
    const packets = this.#rows.packets(row);
    if (packets === this.#packets[row]) return;
    const bytes = this.#rows.bytes(row);
    for (const { port, tx } of taps) {
      const traffic = this.#of(port);
      traffic[tx ? "txPackets" : "rxPackets"] += packets - this.#packets[row]!;
      traffic[tx ? "txBytes" : "rxBytes"] += bytes - this.#bytes[row]!;
    }
    this.#packets[row] = packets;
    this.#bytes[row] = bytes;
  }

  #of(port: OdpPort): Traffic {
    let traffic = this.#traffic.get(port);
    if (traffic === undefined) {
      traffic = { rxPackets: 0, rxBytes: 0, txPackets: 0, txBytes: 0 };
      this.#traffic.set(port, traffic);
    }
    return traffic;
  }

  /** What has passed by the port's counters since it became one. */
  of(port: OdpPort): Traffic {
    for (const group of this.#groupsOf.get(port) ?? [])
      for (let i = 0; i < group.size; i++) this.#add(group.rows[i]!, group);
    return this.#of(port);
  }

  forget(port: OdpPort): void {
    this.#traffic.delete(port);
  }
}
