/**
 * A table: the megaflows under one mask, and the hash map in the kernel where programs find them. Megaflows are known by their
 * rows (rows.ts). They get into the map some at a time, as each call has its price; out of it at once, or many together.
 * Hot path.
 */
import type { Flow } from "../../flow/layout.ts";
import type { Action } from "./action-programs.ts";
import type { MaskTable } from "./programs/classifier.ts";
import { MAX_BPF_FLOWS, VALUE_BYTES } from "./programs/layout.ts";
import { type Lookup, lookupWords, signature, writeLookup } from "./programs/places.ts";
import type { EbpfMap } from "./system.ts";

/** Megaflows that go into a map, or out of it, by one call. */
const BATCH = 256;
const FIRST_PLACES = 256;

/** The map has no room for it. */
const OUTSIDE = 0;
/** It will be in the map with the next {@link Table.flush}. */
const PENDING = 1;
const INSIDE = 2;
/** It is in the map no more, and is kept for its last statistics. */
const STOPPED = 3;

/** Of megaflows by their rows, whichever table they are in. */
export class TableRows {
  readonly tables: (Table | undefined)[] = new Array(MAX_BPF_FLOWS).fill(undefined);
  readonly actions: (Action | undefined)[] = new Array(MAX_BPF_FLOWS).fill(undefined);
  /** Where in its table. */
  readonly places = new Int32Array(MAX_BPF_FLOWS);
  readonly states = new Uint8Array(MAX_BPF_FLOWS);
}

const VALUE_WORDS = VALUE_BYTES / 4;
const VALUES = new Int32Array(BATCH * VALUE_WORDS);
const VALUES_BYTES = new Uint8Array(VALUES.buffer);

function writeValue(values: Int32Array, index: number, row: number, action: Action): void {
  const at = index * VALUE_WORDS;
  values[at] = row;
  values[at + 1] = action.slot;
  values[at + 2] = action.ifindex;
  values[at + 3] = action.shortcut.farEnd;
  values[at + 4] = action.shortcut.low;
  values[at + 5] = action.shortcut.high;
}

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
  /** It has been taken out. */
  gone = false;
  emptySinceMs = 0;
  /** Of megaflows that are gone. */
  pastHits = 0;
  /** All, when they were last counted; and since the time before. */
  hits = 0;
  recentHits = 0;
  /** Which row is at each place, and its key. */
  private rows = new Int32Array(FIRST_PLACES);
  private keys: Int32Array;
  private readonly keyWords: number;
  private readonly of: TableRows;
  private readonly pending = new Int32Array(BATCH);
  private pendingCount = 0;
  private readonly batch: Int32Array;
  private readonly batchBytes: Uint8Array;
  private stopping = 0;

  constructor(number: number, lookup: Lookup, name: string, flows: EbpfMap, of: TableRows) {
    this.number = number;
    this.branch = lookup.branch;
    this.fields = lookup.fields;
    this.signature = signature(lookup.branch, lookup.fields);
    this.map = name;
    this.flows = flows;
    this.of = of;
    this.keyWords = lookupWords(lookup);
    this.keys = new Int32Array(FIRST_PLACES * this.keyWords);
    this.batch = new Int32Array(BATCH * this.keyWords);
    this.batchBytes = new Uint8Array(this.batch.buffer);
  }

  /** Takes a megaflow in; `lookup` is of its kind. True when it waits for the next {@link flush}. */
  add(row: number, lookup: Lookup, key: Flow, action: Action): boolean {
    if (this.size === this.rows.length) this.makeRoom();
    const place = this.size++;
    const { of } = this;
    this.rows[place] = row;
    writeLookup(lookup, key, this.keys, place * this.keyWords);
    of.tables[row] = this;
    of.actions[row] = action;
    of.places[row] = place;
    if (this.full) {
      of.states[row] = OUTSIDE;
      return false;
    }
    of.states[row] = PENDING;
    this.pending[this.pendingCount++] = row;
    if (this.pendingCount === BATCH) this.flush();
    return true;
  }

  private makeRoom(): void {
    const { rows, keys } = this;
    this.rows = new Int32Array(rows.length * 2);
    this.rows.set(rows);
    this.keys = new Int32Array(keys.length * 2);
    this.keys.set(keys);
  }

  /** Puts into the map what waits for that. Where there is no more room, the table is {@link full}. */
  flush(): void {
    const { of, pending } = this;
    let count = 0;
    for (let i = 0; i < this.pendingCount; i++) {
      const row = pending[i]!;
      // It may have gone since, and its row be another's.
      if (of.states[row] !== PENDING || of.tables[row] !== this) continue;
      of.states[row] = INSIDE;
      pending[count] = row;
      this.copyKey(row, count);
      writeValue(VALUES, count++, row, of.actions[row]!);
    }
    this.pendingCount = 0;
    const put = this.flows.updateBatch(this.batchBytes, VALUES_BYTES, count);
    if (put === count) return;
    this.full = true;
    for (let i = put; i < count; i++) of.states[pending[i]!] = OUTSIDE;
  }

  private copyKey(row: number, index: number): void {
    const { keys, batch, keyWords } = this;
    const from = this.of.places[row]! * keyWords;
    const to = index * keyWords;
    for (let word = 0; word < keyWords; word++) batch[to + word] = keys[from + word]!;
  }

  /** Another action for a megaflow, in effect at once. */
  setAction(row: number, action: Action): void {
    const { of } = this;
    of.actions[row] = action;
    if (of.states[row] !== INSIDE) return;
    this.copyKey(row, 0);
    writeValue(VALUES, 0, row, action);
    if (this.flows.updateBatch(this.batchBytes, VALUES_BYTES, 1) === 1) return;
    this.flows.deleteBatch(this.batchBytes, 1);
    of.states[row] = OUTSIDE;
    this.full = true;
  }

  /** No program will find the megaflow from the next {@link stopNow} on. */
  stop(row: number): void {
    const { of } = this;
    const inside = of.states[row] === INSIDE;
    of.states[row] = STOPPED;
    if (!inside) return;
    this.copyKey(row, this.stopping++);
    if (this.stopping === BATCH) this.stopNow();
  }

  stopNow(): void {
    const count = this.stopping;
    this.stopping = 0;
    this.flows.deleteBatch(this.batchBytes, count);
  }

  /** Lets go of a megaflow that has been stopped. */
  remove(row: number): void {
    const { of, rows, keys, keyWords } = this;
    const place = of.places[row]!;
    const last = --this.size;
    if (place !== last) {
      rows[place] = rows[last]!;
      of.places[rows[place]!] = place;
      for (let word = 0; word < keyWords; word++)
        keys[place * keyWords + word] = keys[last * keyWords + word]!;
    }
    of.tables[row] = undefined;
    of.actions[row] = undefined;
  }

  /** Goes on in a new map, with all that programs are to find. */
  moveTo(map: string, flows: EbpfMap): void {
    const { of, rows } = this;
    this.map = map;
    this.flows = flows;
    this.full = false;
    this.pendingCount = 0;
    for (let place = 0; place < this.size; place++) {
      const row = rows[place]!;
      if (of.states[row] === STOPPED) continue;
      of.states[row] = PENDING;
      this.pending[this.pendingCount++] = row;
      if (this.pendingCount === BATCH) this.flush();
    }
    this.flush();
  }
}
