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
import type { Flow } from "../../flow/layout.ts";
import type { Clock, Timer } from "../../lib/clock.ts";
import type { PassingTraffic } from "../../netdev/netdev.ts";
import { type DpFlowStats, FLOW_INDICES, type FlowHandle, flowIndex, type OdpPort } from "../dpif.ts";
import { type Action, ActionPrograms } from "./action-programs.ts";
import { type Kind, Kinds, type Made } from "./kinds.ts";
import type { EbpfObjects, LoadedProgram } from "./objects.ts";
import { type Passage, Passing } from "./passing.ts";
import type { ActionHost } from "./programs/actions.ts";
import { classifierProgram } from "./programs/classifier.ts";
import { MAX_BPF_FLOWS, VALUE_BYTES } from "./programs/layout.ts";
import { findLookup, type Lookup, lookupWords, signature, unmatched } from "./programs/places.ts";
import { outputPorts } from "./programs/steps.ts";
import type { Rows } from "./rows.ts";
import type { Shortcut } from "./shortcuts.ts";
import type { EbpfProgram } from "./system.ts";
import { Table, TableRows } from "./table.ts";

/** A program may name 64 maps; three are others than those of flows. */
const MAX_TABLES = 61;
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
const NO_PASSAGES: readonly Passage[] = [];

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

const MAX_REASONS = 255;

/** Why megaflows are left to user space, by their flows' indices. */
class Reasons {
  readonly #texts: string[] = [""];
  readonly #numbers = new Map<string, number>();
  readonly #counts = new Int32Array(MAX_REASONS + 1);
  readonly #of = new Uint8Array(FLOW_INDICES);
  size = 0;

  set(index: number, text: string): void {
    this.clear(index);
    const number = this.#numbers.get(text) ?? this.#number(text);
    this.#of[index] = number;
    this.#counts[number]!++;
    this.size++;
  }

  /** There are not so many texts; if there were, the last would stand for others. */
  #number(text: string): number {
    const number = Math.min(this.#texts.length, MAX_REASONS);
    this.#texts[number] = text;
    this.#numbers.set(text, number);
    return number;
  }

  clear(index: number): void {
    const number = this.#of[index]!;
    if (number === 0) return;
    this.#of[index] = 0;
    this.#counts[number]!--;
    this.size--;
  }

  of(index: number): string | undefined {
    return this.#texts[this.#of[index]!] || undefined;
  }

  counts(): Map<string, number> {
    const counts = new Map<string, number>();
    this.#texts.forEach((text, number) => {
      if (this.#counts[number]! > 0) counts.set(text, this.#counts[number]!);
    });
    return counts;
  }
}

export interface OffloadHost extends ActionHost {
  readonly clock: Clock;
  ifindexOf(port: number): number;
  /** For frames of one port that another sends. */
  shortcut(from: OdpPort, to: OdpPort): Shortcut;
  /** Puts the classifier at every port. */
  install(program: EbpfProgram): void;
  /** Whether programs know every megaflow there is, but for those of the last turn. */
  allKnown(all: boolean): void;
  warn(text: string): void;
}

export class Offload {
  readonly actions: ActionPrograms;
  readonly tables = new Map<string, Table>();
  classifier: LoadedProgram | undefined;
  /** Classifiers made so far, and the time that the last one took. */
  builds = 0;
  buildMs = 0;
  /** Megaflows that programs serve. */
  size = 0;
  readonly #objects: EbpfObjects;
  readonly #host: OffloadHost;
  readonly #kinds = new Kinds();
  readonly #of = new TableRows();
  /** By a flow's index: its row and 1, or 0; and of each row the flow. */
  readonly #rows = new Int32Array(FLOW_INDICES);
  readonly #handles = new Float64Array(MAX_BPF_FLOWS);
  readonly #left = new Reasons();
  /** What megaflows have counted in rows that they had before; times are CLOCK_MONOTONIC's. */
  readonly #before = new Map<FlowHandle, DpFlowStats>();
  readonly #traffic: Passing;
  readonly #freeRows = new RowQueue();
  #usedRows = 0;
  #numbers = 0;
  #vlanLimit = 2;
  /** Megaflows wait for {@link flush}. */
  #waiting = false;
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
    this.#traffic = new Passing(objects.rows);
    this.build();
    this.#tidy();
  }

  /** Why megaflows are left to user space: how many now have each reason. */
  get reasons(): ReadonlyMap<string, number> {
    return this.#left.counts();
  }

  get leftToUserspace(): number {
    return this.#left.size;
  }

  setVlanLimit(tags: number): void {
    if (tags === this.#vlanLimit) return;
    this.#vlanLimit = tags;
    this.build();
  }

  /** To be told before anything else is when ports or meters change. */
  hostChanged(): void {
    this.#kinds.clear();
  }

  /** Takes a megaflow in, or another list of actions for one. Keeps no reference. */
  put(handle: FlowHandle, key: Flow, mask: Flow, list: Int32Array): void {
    if (this.#closed) return;
    const row = this.#rowOf(handle);
    const reason = row < 0 ? this.#add(handle, key, mask, list) : this.#change(row, key, mask, list);
    if (reason === undefined) return;
    this.#left.set(flowIndex(handle), reason);
    if (this.#left.size === 1) this.#tellKnown();
  }

  /** Row of a megaflow that programs serve, -1 for another. */
  #rowOf(handle: FlowHandle): number {
    const row = this.#rows[flowIndex(handle)]! - 1;
    return row >= 0 && this.#handles[row] === handle ? row : -1;
  }

  /** The reason why not, when it is left to user space. */
  #add(handle: FlowHandle, key: Flow, mask: Flow, list: Int32Array): string | undefined {
    const resting = this.#freeRows.size > ROWS_RESTING || this.#usedRows === MAX_BPF_FLOWS;
    if (resting && this.#freeRows.size === 0) return "too many megaflows";
    const kind = this.#kindOf(key, mask);
    const { lookup } = kind;
    if (typeof lookup === "string") return lookup;
    const reason = unmatched(lookup, key);
    if (reason !== undefined) return reason;
    const { action, passages } = this.#take(kind, list);
    if (typeof action === "string") return action;
    const table = this.#tableFor(kind, lookup);
    if (typeof table === "string") {
      this.actions.release(action);
      return table;
    }
    const row = resting ? this.#freeRows.take() : this.#usedRows++;
    this.#objects.rows.clear(row);
    this.#objects.remember(row, key);
    this.#clearReason(handle);
    this.#rows[flowIndex(handle)] = row + 1;
    this.#handles[row] = handle;
    this.size++;
    this.#traffic.set(row, passages);
    if (table.add(row, lookup, key, action)) this.#flushSoon();
    else this.#changed();
    return undefined;
  }

  /** As {@link #add}. */
  #change(row: number, key: Flow, mask: Flow, list: Int32Array): string | undefined {
    const { action, passages } = this.#take(this.#kindOf(key, mask), list);
    if (typeof action === "string") {
      this.#keepStats(row);
      this.#remove(row);
      return action;
    }
    const table = this.#of.tables[row]!;
    const before = this.#of.actions[row]!;
    this.#traffic.set(row, passages);
    table.setAction(row, action);
    if (table.full) this.#changed();
    this.actions.release(before);
    return undefined;
  }

  #clearReason(handle: FlowHandle): void {
    if (this.#left.size === 0) return;
    this.#left.clear(flowIndex(handle));
    if (this.#left.size === 0) this.#tellKnown();
  }

  #tellKnown(): void {
    let all = this.#left.size === 0;
    for (const table of this.tables.values()) if (!table.live || table.full) all = false;
    this.#host.allKnown(all);
  }

  #kindOf(key: Flow, mask: Flow): Kind {
    return (
      this.#kinds.find(key, mask) ??
      this.#kinds.add(
        key,
        mask,
        findLookup(key, mask, (port) => this.#host.ifindexOf(port)),
      )
    );
  }

  /** What comes of a list of actions; the action, when there is one, is to be given back. */
  #take(kind: Kind, list: Int32Array): Made {
    const { lookup } = kind;
    if (typeof lookup === "string") return { list, action: lookup, passages: NO_PASSAGES };
    const held = kind.made(list);
    if (held !== undefined && (typeof held.action === "string" || this.actions.retake(held.action)))
      return held;
    const action = this.#make(list, lookup);
    const made = { list: list.slice(), action, passages: this.#passages(lookup, list) };
    kind.remember(made);
    return made;
  }

  #make(list: Int32Array, lookup: Lookup): Action | string {
    try {
      const action = this.actions.take(list, lookup, this.#host);
      if (typeof action === "string" || action.ifindex === 0 || lookup.inPort === undefined) return action;
      // All that is done is to send it by a device.
      return { ...action, shortcut: this.#host.shortcut(lookup.inPort, outputPorts(list)[0]!) };
    } catch (error) {
      this.#host.warn(`an action program could not be loaded: ${(error as Error).message}`);
      return "its program could not be loaded";
    }
  }

  #passages({ inPort }: Lookup, list: Int32Array): Passage[] {
    const passages: Passage[] = [];
    const add = (port: OdpPort, tx: boolean): void => {
      if (this.#host.portOf(port)?.tap) passages.push({ port, tx });
    };
    if (inPort !== undefined) add(inPort, false);
    for (const port of outputPorts(list)) add(port, true);
    return passages;
  }

  #tableFor(kind: Kind, lookup: Lookup): Table | string {
    if (kind.table === undefined || kind.table.gone) {
      const table = this.#findTable(lookup);
      if (typeof table === "string") return table;
      kind.table = table;
    }
    return kind.table;
  }

  #findTable(lookup: Lookup): Table | string {
    const name = signature(lookup.branch, lookup.fields);
    const held = this.tables.get(name);
    if (held !== undefined) return held;
    if (this.tables.size >= MAX_TABLES) return "too many masks";
    const number = ++this.#numbers;
    const map = `mask_${number}`;
    try {
      const flows = this.#objects.addFlowMap(map, lookupWords(lookup) * 4, VALUE_BYTES, FIRST_ENTRIES);
      const table = new Table(number, lookup, map, flows, this.#of);
      this.tables.set(name, table);
      this.#changed();
      return table;
    } catch (error) {
      this.#host.warn(`a map could not be made: ${(error as Error).message}`);
      return "its map could not be made";
    }
  }

  #flushSoon(): void {
    if (this.#waiting) return;
    this.#waiting = true;
    this.#host.clock.soon(() => this.flush());
  }

  /** Programs find all megaflows from now on that have been put, as far as there is room. */
  flush(): void {
    if (!this.#waiting || this.#closed) return;
    this.#waiting = false;
    let full = false;
    for (const table of this.tables.values()) {
      table.flush();
      if (table.full) full = true;
    }
    if (full) this.#changed();
  }

  /** Puts a megaflow in once more, now that ports or meters have changed; what it has counted stays. */
  reconsider(handle: FlowHandle, key: Flow, mask: Flow, list: Int32Array): void {
    if (this.#closed) return;
    const row = this.#rowOf(handle);
    if (row >= 0) {
      this.#keepStats(row);
      this.#remove(row);
    }
    this.#clearReason(handle);
    this.put(handle, key, mask, list);
  }

  #keepStats(row: number): void {
    const handle = this.#handles[row]!;
    const stats = this.#before.get(handle) ?? { packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 };
    this.#objects.rows.add(row, stats, 0);
    if (stats.packets > 0) this.#before.set(handle, stats);
  }

  delete(handle: FlowHandle): void {
    if (this.#closed) return;
    if (this.#before.size > 0) this.#before.delete(handle);
    this.#clearReason(handle);
    const row = this.#rowOf(handle);
    if (row >= 0) this.#remove(row);
  }

  /** From now on no program finds them; their statistics stay until {@link delete}. */
  stop(handles: readonly FlowHandle[]): void {
    if (this.#closed) return;
    for (let i = 0; i < handles.length; i++) {
      const row = this.#rowOf(handles[i]!);
      if (row >= 0) this.#of.tables[row]!.stop(row);
    }
    for (const table of this.tables.values()) table.stopNow();
  }

  #remove(row: number): void {
    const table = this.#of.tables[row]!;
    const action = this.#of.actions[row]!;
    table.stop(row);
    table.stopNow();
    table.remove(row);
    this.#rows[flowIndex(this.#handles[row]!)] = 0;
    this.size--;
    this.#traffic.remove(row);
    this.actions.release(action);
    const packets = this.#objects.rows.packets(row);
    this.#pastPackets += packets;
    table.pastHits += packets;
    this.#objects.forget(row);
    this.#freeRows.push(row);
    if (table.size === 0) table.emptySinceMs = this.#host.clock.now();
  }

  /** Why no program serves it, undefined when one does. */
  reasonOf(handle: FlowHandle): string | undefined {
    return this.#left.of(flowIndex(handle));
  }

  isServed(handle: FlowHandle): boolean {
    const row = this.#rowOf(handle);
    return row >= 0 && this.#of.tables[row]!.live;
  }

  // ---- Statistics ----

  /** Whether programs have served packets of it. */
  hasStats(handle: FlowHandle): boolean {
    if (this.#before.size > 0 && this.#before.has(handle)) return true;
    const row = this.#rowOf(handle);
    return row >= 0 && this.#objects.rows.packets(row) > 0;
  }

  /** Adds what programs have counted. `offsetMs` turns CLOCK_MONOTONIC into Clock.now(). */
  addStats(handle: FlowHandle, out: DpFlowStats, offsetMs: number): void {
    const row = this.#rowOf(handle);
    if (row >= 0) this.#objects.rows.add(row, out, offsetMs);
    const before = this.#before.get(handle);
    if (before === undefined) return;
    out.packets += before.packets;
    out.bytes += before.bytes;
    out.usedMs = Math.max(out.usedMs, before.usedMs + offsetMs);
    out.tcpFlags |= before.tcpFlags;
  }

  /** Adds what an earlier run has counted for the megaflow, in a row of its own. */
  carry(handle: FlowHandle, from: Rows, fromRow: number): void {
    const row = this.#rowOf(handle);
    if (row >= 0) this.#objects.rows.carry(row, from, fromRow);
  }

  /** What programs have taken from a tap, or handed to its host, since it became a port. */
  traffic(port: OdpPort): PassingTraffic {
    return this.#traffic.of(port);
  }

  forgetTraffic(port: OdpPort): void {
    this.#traffic.forget(port);
  }

  /** Packets that programs have served so far. */
  packets(): number {
    const { rows } = this.#objects;
    let sum = this.#pastPackets;
    for (let row = 0; row < this.#usedRows; row++)
      if (this.#of.tables[row] !== undefined) sum += rows.packets(row);
    return sum;
  }

  countHits(): void {
    for (const table of this.tables.values()) {
      table.recentHits = -table.hits;
      table.hits = table.pastHits;
    }
    const { rows } = this.#objects;
    for (let row = 0; row < this.#usedRows; row++) {
      const table = this.#of.tables[row];
      if (table !== undefined) table.hits += rows.packets(row);
    }
    for (const table of this.tables.values()) table.recentHits += table.hits;
  }

  // ---- The classifier ----

  #changed(): void {
    this.#stale = true;
    this.#tellKnown();
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
    this.flush();
    const { system } = this.#objects;
    const began = system.nowMs();
    this.#stale = false;
    this.#builtMs = this.#host.clock.now();
    const retired: string[] = [];
    for (const table of [...this.tables.values()])
      if (table.size === 0) {
        this.tables.delete(table.signature);
        table.gone = true;
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
      // The one before goes on; what it does not know of is served in user space. Maps that nobody keeps in step with the
      // megaflows any more must not answer it.
      for (const map of retired) this.#objects.emptyMap(map);
      this.#restMs = FAILURE_REST_MS;
      this.#host.warn(`the classifier could not be made anew: ${(error as Error).message}`);
      this.#changed();
      return;
    }
    for (const map of retired) this.#objects.removeMap(map);
    this.#tellKnown();
  }

  /** Moves a table to a map with four times the room. */
  #grow(table: Table, retired: string[]): void {
    const name = `mask_${++this.#numbers}`;
    let entries = table.flows.spec.entries;
    while (entries < table.size) entries *= 4;
    const flows = this.#objects.addFlowMap(name, table.flows.spec.keyBytes, VALUE_BYTES, entries * 4);
    retired.push(table.map);
    table.live = false;
    table.moveTo(name, flows);
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
    this.flush();
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
