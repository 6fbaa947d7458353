/** Packets of taps that programs have served, which pass by the taps' own counters, summed up from their megaflows' rows. */
import type { PassingTraffic } from "../../netdev/netdev.ts";
import type { OdpPort } from "../dpif.ts";
import { MAX_BPF_FLOWS } from "./programs/layout.ts";
import type { Rows } from "./rows.ts";

/** A port whose counters a megaflow passes by as it comes in or goes out. */
export interface Passage {
  readonly port: OdpPort;
  /** The switch sends. */
  readonly tx: boolean;
}

/** Megaflows with the same ports: nearly all that a list of actions is set up for share one. */
class Group {
  readonly passages: readonly Passage[];
  rows = new Int32Array(16);
  size = 0;

  constructor(passages: readonly Passage[]) {
    this.passages = passages;
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

export class Passing {
  readonly #rows: Rows;
  readonly #groups = new Map<readonly Passage[], Group>();
  readonly #groupsOf = new Map<OdpPort, Set<Group>>();
  readonly #traffic = new Map<OdpPort, PassingTraffic>();
  // By row: its group and where it is there, and what of it has been added to the ports' traffic.
  readonly #group: (Group | undefined)[] = new Array(MAX_BPF_FLOWS).fill(undefined);
  readonly #places = new Int32Array(MAX_BPF_FLOWS);
  readonly #packets = new Float64Array(MAX_BPF_FLOWS);
  readonly #bytes = new Float64Array(MAX_BPF_FLOWS);

  constructor(rows: Rows) {
    this.#rows = rows;
  }

  /** From now on the megaflow of this row passes by these ports' counters, once for each. Keeps `passages`. */
  set(row: number, passages: readonly Passage[]): void {
    this.remove(row);
    if (passages.length === 0) return;
    const group = this.#groups.get(passages) ?? this.#addGroup(passages);
    this.#group[row] = group;
    this.#places[row] = group.push(row);
    this.#packets[row] = this.#rows.packets(row);
    this.#bytes[row] = this.#rows.bytes(row);
  }

  #addGroup(passages: readonly Passage[]): Group {
    const group = new Group(passages);
    this.#groups.set(passages, group);
    for (const { port } of passages) {
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
    this.#groups.delete(group.passages);
    for (const { port } of group.passages) {
      const groups = this.#groupsOf.get(port);
      groups?.delete(group);
      if (groups?.size === 0) this.#groupsOf.delete(port);
    }
  }

  /** Adds what a megaflow has served, since this was done last, to its ports' traffic. */
  #add(row: number, { passages }: Group): void {
    const packets = this.#rows.packets(row);
    if (packets === this.#packets[row]) return;
    const bytes = this.#rows.bytes(row);
    for (const { port, tx } of passages) {
      const traffic = this.#of(port);
      traffic[tx ? "txPackets" : "rxPackets"] += packets - this.#packets[row]!;
      traffic[tx ? "txBytes" : "rxBytes"] += bytes - this.#bytes[row]!;
    }
    this.#packets[row] = packets;
    this.#bytes[row] = bytes;
  }

  #of(port: OdpPort): PassingTraffic {
    let traffic = this.#traffic.get(port);
    if (traffic === undefined) {
      traffic = { rxPackets: 0, rxBytes: 0, txPackets: 0, txBytes: 0 };
      this.#traffic.set(port, traffic);
    }
    return traffic;
  }

  /** What has passed by the port's counters since it became one. */
  of(port: OdpPort): PassingTraffic {
    for (const group of this.#groupsOf.get(port) ?? [])
      for (let i = 0; i < group.size; i++) this.#add(group.rows[i]!, group);
    return this.#of(port);
  }

  forget(port: OdpPort): void {
    this.#traffic.delete(port);
  }
}
