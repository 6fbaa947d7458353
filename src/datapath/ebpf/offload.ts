/**
 * The megaflows that programs in the kernel serve. Every megaflow is with the datapath in user space too, so that whatever
 * programs do not (yet) know of is served there: nothing here need ever be complete, only right.
 *
 * What? Megaflows under one mask share a hash map (a table). The classifier program is made for the set of tables and made
 * anew when that changes, at a bounded rate; until then a new table's megaflows are served in user space. Changes of a
 * megaflow in a table take effect at once. A table that is full moves to a larger map with the next classifier.
 *
 * Statistics are rows of mapped memory, one a flow and processor, that programs write and this reads.
 */
import { type Flow, W_IN_PORT } from "../../flow/layout.ts";
import type { Clock, Timer } from "../../lib/clock.ts";
import type { DpFlowStats, OdpPort } from "../dpif.ts";
import { type Action, ActionPrograms } from "./action-programs.ts";
import type { EbpfObjects, LoadedProgram } from "./objects.ts";
import type { ActionHost } from "./programs/actions.ts";
import { classifierProgram, type MaskTable } from "./programs/classifier.ts";
import {
  MAX_BPF_FLOWS,
  VALUE_BYTES,
  VALUE_FLAGS,
  VALUE_FLOW,
  VALUE_IFINDEX,
  VALUE_PROGRAM,
} from "./programs/layout.ts";
import { findLookup, type Lookup, signature } from "./programs/places.ts";
import { outputPorts } from "./programs/steps.ts";
import type { Rows } from "./rows.ts";
import type { EbpfMap, EbpfProgram } from "./system.ts";

/** A program may name 64 maps; two are others than those of flows. */
const MAX_TABLES = 62;
const FIRST_ENTRIES = 1024;
/** Rest between two classifiers, and how many times as long as the making of the last one. */
const REST_MS = 50;
const REST_FACTOR = 20;
const REST_MS_MAX = 1000;
/** An empty table is taken out when it has been empty for so long. */
const EMPTY_MS = 5000;
/** Tables are put in order of their hits so often, when that would help. */
const ORDER_MS = 10_000;
/** Packets in the kernel may still be counted for a flow that has just gone: its row rests at least for so many others. */
const ROWS_RESTING = 1024;
const FAILURE_REST_MS = 10_000;

export class Table implements MaskTable {
  readonly number: number;
  readonly branch: MaskTable["branch"];
  readonly fields: MaskTable["fields"];
  readonly signature: string;
  map: string;
  flows: EbpfMap;
  size = 0;
  /** The classifier asks it. */
  live = false;
  /** A megaflow did not fit. */
  full = false;
  emptySinceMs = 0;
  /** Of megaflows that are gone. */
  pastHits = 0;
  /** All, when they were last counted; and since the time before. */
  hits = 0;
  recentHits = 0;

  constructor(number: number, lookup: Lookup, name: string, flows: EbpfMap) {
    this.number = number;
    this.branch = lookup.branch;
    this.fields = lookup.fields;
    this.signature = signature(lookup.branch, lookup.fields);
    this.map = name;
    this.flows = flows;
  }
}

/** A megaflow that programs can serve. */
interface Served {
  readonly row: number;
  readonly table: Table;
  readonly key: Uint8Array;
  readonly lookup: Lookup;
  action: Action;
  /** It is in its map no more, and is kept for its last statistics. */
  stopped: boolean;
  /** Taps that it comes in by or goes out to, once for each. */
  taps: readonly TapUse[];
  /** What of it has been added to their traffic. */
  addedPackets: number;
  addedBytes: number;
}

interface TapUse {
  readonly port: OdpPort;
  /** The switch sends. */
  readonly tx: boolean;
}

const NO_TAPS: readonly TapUse[] = [];

/** Packets of a tap that pass by its own counters, as the switch sees them. */
export interface Traffic {
  rxPackets: number;
  rxBytes: number;
  txPackets: number;
  txBytes: number;
}

/** Rows that are free, those first that have been so for longest. (An array moves all that is left when one is taken.) */
class RowQueue {
  readonly #rows = new Int32Array(MAX_BPF_FLOWS);
  #first = 0;
  size = 0;

  push(row: number): void {
    this.#rows[(this.#first + this.size++) % MAX_BPF_FLOWS] = row;
  }

  take(): number {
    const row = this.#rows[this.#first]!;
    this.#first = (this.#first + 1) % MAX_BPF_FLOWS;
    this.size--;
    return row;
  }
}

export interface OffloadHost extends ActionHost {
  readonly clock: Clock;
  ifindexOf(port: number): number;
  /** Puts the classifier at every port. */
  install(program: EbpfProgram): void;
  warn(text: string): void;
}

export class Offload {
  readonly actions: ActionPrograms;
  readonly tables = new Map<string, Table>();
  /** Why megaflows are left to user space: how many now have each reason. */
  readonly reasons = new Map<string, number>();
  classifier: LoadedProgram | undefined;
  /** Classifiers made so far, and the time that the last one took. */
  builds = 0;
  buildMs = 0;
  readonly #objects: EbpfObjects;
  readonly #host: OffloadHost;
  readonly #served = new Map<number, Served>();
  /** Of {@link Served} those with taps. */
  readonly #tapped = new Set<Served>();
  readonly #traffic = new Map<OdpPort, Traffic>();
  readonly #left = new Map<number, string>();
  readonly #freeRows = new RowQueue();
  #usedRows = 0;
  #numbers = 0;
  #vlanLimit = 2;
  /** A change that only another classifier brings into effect. */
  #stale = true;
  #builtMs = Number.NEGATIVE_INFINITY;
  #restMs = REST_MS;
  #timer: Timer | undefined;
  #tidying: Timer | undefined;
  #closed = false;
  /** Packets served for megaflows that are gone. */
  #pastPackets = 0;

  constructor(objects: EbpfObjects, host: OffloadHost) {
    this.#objects = objects;
    this.#host = host;
    this.actions = new ActionPrograms(objects);
    this.build();
    this.#tidy();
  }

  get size(): number {
    return this.#served.size;
  }

  get leftToUserspace(): number {
    return this.#left.size;
  }

  setVlanLimit(tags: number): void {
    if (tags === this.#vlanLimit) return;
    this.#vlanLimit = tags;
    this.build();
  }

  /** Takes a megaflow in, or another list of actions for one. */
  put(handle: number, key: Flow, mask: Flow, program: Int32Array): void {
    if (this.#closed) return;
    const held = this.#served.get(handle);
    if (held === undefined) {
      const reason = this.#add(handle, key, mask, program);
      if (reason !== undefined) this.#leave(handle, reason);
      return;
    }
    const action = this.#takeAction(program, held.lookup);
    if (typeof action === "string") {
      this.#remove(handle, held);
      this.#leave(handle, action);
      return;
    }
    const old = held.action;
    held.action = action;
    this.#setTaps(held, key, program);
    if (!this.#write(held)) held.table.full = true;
    this.actions.release(old);
  }

  #takeAction(program: Int32Array, lookup: Lookup): Action | string {
    try {
      return this.actions.take(program, lookup, this.#host);
    } catch (error) {
      this.#host.warn(`an action program could not be loaded: ${(error as Error).message}`);
      return "its program could not be loaded";
    }
  }

  /** The reason why not, when it is left to user space. */
  #add(handle: number, key: Flow, mask: Flow, program: Int32Array): string | undefined {
    const lookup = findLookup(key, mask, (port) => this.#host.ifindexOf(port));
    if (typeof lookup === "string") return lookup;
    const resting = this.#freeRows.size > ROWS_RESTING || this.#usedRows === MAX_BPF_FLOWS;
    if (resting && this.#freeRows.size === 0) return "too many megaflows";
    const action = this.#takeAction(program, lookup);
    if (typeof action === "string") return action;
    const table = this.#tableFor(lookup);
    if (typeof table === "string") {
      this.actions.release(action);
      return table;
    }
    const row = resting ? this.#freeRows.take() : this.#usedRows++;
    this.#objects.rows.clear(row);
    this.#objects.remember(row, key);
    this.#forgetReason(handle);
    const served: Served = {
      row,
      table,
      key: lookup.key,
      // There may be tens of thousands: what is the same for all of a table is there once.
      lookup: { ...lookup, fields: table.fields },
      action,
      stopped: false,
      taps: NO_TAPS,
      addedPackets: 0,
      addedBytes: 0,
    };
    this.#setTaps(served, key, program);
    this.#served.set(handle, served);
    table.size++;
    if (!this.#write(served)) {
      table.full = true;
      this.#changed();
    }
    return undefined;
  }

  #tableFor(lookup: Lookup): Table | string {
    const name = signature(lookup.branch, lookup.fields);
    const held = this.tables.get(name);
    if (held !== undefined) return held;
    if (this.tables.size >= MAX_TABLES) return "too many masks";
    const number = ++this.#numbers;
    const map = `mask_${number}`;
    try {
      const flows = this.#objects.addFlowMap(map, lookup.key.length, VALUE_BYTES, FIRST_ENTRIES);
      const table = new Table(number, lookup, map, flows);
      this.tables.set(name, table);
      this.#changed();
      return table;
    } catch (error) {
      this.#host.warn(`a map could not be made: ${(error as Error).message}`);
      return "its map could not be made";
    }
  }

  /** False when the map is full. */
  #write({ table, key, row, action }: Served): boolean {
    return table.flows.update(key, flowValue(row, action));
  }

  #leave(handle: number, reason: string): void {
    this.#forgetReason(handle);
    this.#left.set(handle, reason);
    this.reasons.set(reason, (this.reasons.get(reason) ?? 0) + 1);
  }

  #forgetReason(handle: number): void {
    const reason = this.#left.get(handle);
    if (reason === undefined) return;
    this.#left.delete(handle);
    const count = this.reasons.get(reason)! - 1;
    if (count === 0) this.reasons.delete(reason);
    else this.reasons.set(reason, count);
  }

  delete(handle: number): void {
    if (this.#closed) return;
    this.#forgetReason(handle);
    const held = this.#served.get(handle);
    if (held !== undefined) this.#remove(handle, held);
  }

  /** From now on no program finds it; its statistics stay until {@link delete}. */
  stop(handle: number): void {
    const held = this.#served.get(handle);
    if (held === undefined || held.stopped || this.#closed) return;
    held.stopped = true;
    held.table.flows.delete(held.key);
  }

  #remove(handle: number, held: Served): void {
    const { table, row } = held;
    this.stop(handle);
    this.#served.delete(handle);
    this.#addTraffic(held);
    this.#tapped.delete(held);
    this.actions.release(held.action);
    const packets = this.#objects.rows.packets(row);
    this.#pastPackets += packets;
    table.pastHits += packets;
    this.#objects.forget(row);
    this.#freeRows.push(row);
    if (--table.size === 0) table.emptySinceMs = this.#host.clock.now();
  }

  /** Whether a program serves it, or why none does. */
  reasonOf(handle: number): string | undefined {
    return this.#left.get(handle);
  }

  isServed(handle: number): boolean {
    return this.#served.get(handle)?.table.live ?? false;
  }

  // ---- Statistics ----

  /** Adds what programs have counted. `offsetMs` turns CLOCK_MONOTONIC into Clock.now(). */
  addStats(handle: number, out: DpFlowStats, offsetMs: number): void {
    const held = this.#served.get(handle);
    if (held === undefined) return;
    this.#objects.rows.add(held.row, out, offsetMs);
  }

  /** Adds what an earlier run has counted for the megaflow, in a row of its own. */
  carry(handle: number, from: Rows, row: number): void {
    const held = this.#served.get(handle);
    if (held !== undefined) this.#objects.rows.carry(held.row, from, row);
  }

  #setTaps(served: Served, key: Flow, program: Int32Array): void {
    this.#addTraffic(served);
    const taps: TapUse[] = [];
    const add = (port: OdpPort, tx: boolean): void => {
      if (this.#host.portOf(port)?.tap) taps.push({ port, tx });
    };
    add(key[W_IN_PORT]!, false);
    for (const port of outputPorts(program)) add(port, true);
    served.taps = taps.length === 0 ? NO_TAPS : taps;
    served.addedPackets = this.#objects.rows.packets(served.row);
    served.addedBytes = this.#objects.rows.bytes(served.row);
    if (taps.length > 0) this.#tapped.add(served);
    else this.#tapped.delete(served);
  }

  /** Adds what a megaflow has served, since this was done last, to its taps' traffic. */
  #addTraffic(served: Served): void {
    if (served.taps.length === 0) return;
    const allPackets = this.#objects.rows.packets(served.row);
    const allBytes = this.#objects.rows.bytes(served.row);
    const packets = allPackets - served.addedPackets;
    const bytes = allBytes - served.addedBytes;
    served.addedPackets = allPackets;
    served.addedBytes = allBytes;
    for (const { port, tx } of served.taps) {
      const traffic = this.#trafficOf(port);
      traffic[tx ? "txPackets" : "rxPackets"] += packets;
      traffic[tx ? "txBytes" : "rxBytes"] += bytes;
    }
  }

  #trafficOf(port: OdpPort): Traffic {
    let traffic = this.#traffic.get(port);
    if (traffic === undefined) {
      traffic = { rxPackets: 0, rxBytes: 0, txPackets: 0, txBytes: 0 };
      this.#traffic.set(port, traffic);
    }
    return traffic;
  }

  /** What programs have taken from a tap, or handed to its host, since it became a port. */
  traffic(port: OdpPort): Traffic {
    for (const served of this.#tapped) this.#addTraffic(served);
    return this.#trafficOf(port);
  }

  forgetTraffic(port: OdpPort): void {
    this.#traffic.delete(port);
  }

  /** Packets that programs have served so far. */
  packets(): number {
    let sum = this.#pastPackets;
    for (const { row } of this.#served.values()) sum += this.#objects.rows.packets(row);
    return sum;
  }

  countHits(): void {
    for (const table of this.tables.values()) {
      table.recentHits = -table.hits;
      table.hits = table.pastHits;
    }
    for (const { row, table } of this.#served.values()) table.hits += this.#objects.rows.packets(row);
    for (const table of this.tables.values()) table.recentHits += table.hits;
  }

  // ---- The classifier ----

  #changed(): void {
    this.#stale = true;
    if (this.#timer !== undefined || this.#closed) return;
    const wait = this.#builtMs + this.#restMs - this.#host.clock.now();
    const run = (): void => {
      this.#timer = undefined;
      if (this.#stale && !this.#closed) this.build();
    };
    // Others may follow in this turn.
    if (wait <= 0) {
      let cancelled = false;
      this.#timer = {
        cancel: () => {
          cancelled = true;
        },
      };
      this.#host.clock.soon(() => cancelled || run());
    } else this.#timer = this.#host.clock.background(wait, run);
  }

  /** Makes the classifier for the tables that there are, and puts it at the ports. */
  build(): void {
    const { system } = this.#objects;
    const began = system.nowMs();
    this.#stale = false;
    this.#builtMs = this.#host.clock.now();
    const retired: string[] = [];
    for (const table of [...this.tables.values()])
      if (table.size === 0) {
        this.tables.delete(table.signature);
        retired.push(table.map);
      } else if (table.full) this.#grow(table, retired);
    const tables = [...this.tables.values()].sort(
      (a, b) => b.recentHits - a.recentHits || a.number - b.number,
    );
    const spec = { processors: this.#objects.processors, vlanLimit: this.#vlanLimit, tables };
    try {
      const next = this.#objects.load(`classify_${++this.builds}`, classifierProgram(spec));
      this.#host.install(next.program);
      this.classifier?.program.close();
      this.classifier = next;
      for (const table of tables) table.live = true;
      this.buildMs = system.nowMs() - began;
      this.#restMs = Math.min(REST_MS_MAX, Math.max(REST_MS, REST_FACTOR * this.buildMs));
    } catch (error) {
      if (this.classifier === undefined) throw error;
      // The one before goes on; what it does not know of is served in user space.
      this.#restMs = FAILURE_REST_MS;
      this.#host.warn(`the classifier could not be made anew: ${(error as Error).message}`);
      this.#changed();
      return;
    }
    for (const map of retired) this.#objects.removeMap(map);
  }

  /** Moves a table to a map with four times the room. */
  #grow(table: Table, retired: string[]): void {
    const name = `mask_${++this.#numbers}`;
    let entries = table.flows.spec.entries;
    while (entries < table.size) entries *= 4;
    const flows = this.#objects.addFlowMap(name, table.flows.spec.keyBytes, VALUE_BYTES, entries * 4);
    retired.push(table.map);
    const keys = new Uint8Array(table.size * flows.spec.keyBytes);
    const values = new Uint8Array(table.size * VALUE_BYTES);
    let count = 0;
    for (const served of this.#served.values()) {
      if (served.table !== table || served.stopped) continue;
      keys.set(served.key, count * flows.spec.keyBytes);
      values.set(flowValue(served.row, served.action), count++ * VALUE_BYTES);
    }
    flows.updateBatch(keys, values, count);
    table.map = name;
    table.flows = flows;
    table.full = false;
  }

  /** Takes out tables that stay empty, and puts those first that are hit most. */
  #tidy(): void {
    this.#tidying = this.#host.clock.background(ORDER_MS, () => {
      if (this.#closed) return;
      const now = this.#host.clock.now();
      this.countHits();
      let last = Number.POSITIVE_INFINITY;
      let wrong = false;
      const tables = [...this.tables.values()];
      for (const table of tables) {
        if (table.size === 0 && now - table.emptySinceMs > EMPTY_MS) wrong = true;
        // Small differences are not worth a program.
        if (table.recentHits > 2 * last + 1000) wrong = true;
        last = table.recentHits;
      }
      if (wrong) {
        tables.sort((a, b) => b.recentHits - a.recentHits);
        this.tables.clear();
        for (const table of tables) this.tables.set(table.signature, table);
        this.#changed();
      }
      this.#tidy();
    });
  }

  /** From now on nothing changes: programs go on with what they know. */
  rest(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#tidying?.cancel();
  }

  close(): void {
    this.rest();
    this.classifier?.program.close();
    this.actions.close();
  }
}

const VALUE = new Uint8Array(VALUE_BYTES);
const VALUE_VIEW = new DataView(VALUE.buffer);

/** Valid until the next call. */
function flowValue(row: number, action: Action): Uint8Array {
  VALUE_VIEW.setUint32(VALUE_FLOW, row, true);
  VALUE_VIEW.setUint32(VALUE_PROGRAM, action.slot, true);
  VALUE_VIEW.setUint32(VALUE_IFINDEX, action.ifindex, true);
  VALUE_VIEW.setUint32(VALUE_FLAGS, 0, true);
  return VALUE;
}
