/**
 * Masked megaflow tables found by tuple space search. Hot path: {@link FlowTable.lookup}.
 *
 * What? A megaflow is a key under a mask; all flows with one mask live in one subtable, an open-addressed hash table
 * over the words that the mask touches. A lookup asks one subtable after the other. Megaflows do not overlap (or agree
 * where they do), so the first hit is the answer and there are no priorities.
 *
 * - A mask is a list of (word, bits) with the zero words left out: half the cost of hashing all of them.
 * - Masked keys lie in chunks that are added and never copied; only the index (one word a slot, and its hash) is
 *   rebuilt as a subtable grows.
 * - Subtables are kept roughly in order of their hits: one that has more than its neighbour changes places with it, and
 *   counts are halved now and then, so that the order follows the traffic.
 *
 * A flow is a number below MAX_FLOWS that the owner chooses. In main the same class mirrors the worker's tables.
 */
import { FLOW_DP_WORDS, type Flow } from "../../flow/layout.ts";

const CHUNK_SHIFT = 8;
const CHUNK_ROWS = 1 << CHUNK_SHIFT;
const FIRST_SLOTS = 16;
/** Hits of one subtable after which all counts are halved. */
const HITS_HALVED = 1 << 24;

/** A mask without its zero words. */
export interface CompactMask {
  count: number;
  readonly words: Int32Array;
  readonly bits: Int32Array;
}

export function makeCompactMask(): CompactMask {
  return { count: 0, words: new Int32Array(FLOW_DP_WORDS), bits: new Int32Array(FLOW_DP_WORDS) };
}

export function compactMask(mask: Flow, out: CompactMask): void {
  let count = 0;
  for (let word = 0; word < FLOW_DP_WORDS; word++) {
    const bits = mask[word]!;
    if (bits === 0) continue;
    out.words[count] = word;
    out.bits[count++] = bits;
  }
  out.count = count;
}

function mix(hash: number, word: number): number {
  const h = Math.imul(hash ^ word, 0x9e3779b1);
  return h ^ (h >>> 15);
}

/** Never 0, which means an empty slot. */
function finish(hash: number): number {
  let h = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  h ^= h >>> 16;
  return h === 0 ? 1 : h;
}

/** All flows under one mask. */
export class Subtable {
  readonly count: number;
  readonly words: Int32Array;
  readonly bits: Int32Array;
  hits = 0;
  size = 0;
  /** Hash of each slot's key, 0 for an empty slot. */
  private hashes = new Int32Array(FIRST_SLOTS);
  /** Row of each slot. */
  private rows = new Int32Array(FIRST_SLOTS);
  /** Masked keys, `count` words a row. */
  private readonly chunks: Int32Array[] = [];
  /** Flow of each row; of a free row the next free one. */
  private readonly flowChunks: Int32Array[] = [];
  private freeRow = -1;
  private usedRows = 0;

  constructor(mask: CompactMask) {
    this.count = mask.count;
    this.words = mask.words.slice(0, mask.count);
    this.bits = mask.bits.slice(0, mask.count);
  }

  sameMask(mask: CompactMask): boolean {
    if (mask.count !== this.count) return false;
    for (let i = 0; i < this.count; i++) {
      if (mask.words[i] !== this.words[i] || mask.bits[i] !== this.bits[i]) return false;
    }
    return true;
  }

  hash(key: Flow): number {
    const words = this.words;
    const bits = this.bits;
    let h = 0;
    for (let i = 0, n = this.count; i < n; i++) h = mix(h, key[words[i]!]! & bits[i]!);
    return finish(h);
  }

  /** The flow whose masked key equals `key` under the mask, or -1. */
  find(key: Flow): number {
    const hash = this.hash(key);
    const hashes = this.hashes;
    const last = hashes.length - 1;
    for (let slot = hash & last; hashes[slot] !== 0; slot = (slot + 1) & last) {
      if (hashes[slot] !== hash) continue;
      const row = this.rows[slot]!;
      if (this.equals(row, key)) return this.flowChunks[row >> CHUNK_SHIFT]![row & (CHUNK_ROWS - 1)]!;
    }
    return -1;
  }

  private equals(row: number, key: Flow): boolean {
    const chunk = this.chunks[row >> CHUNK_SHIFT]!;
    const words = this.words;
    const bits = this.bits;
    const n = this.count;
    let at = (row & (CHUNK_ROWS - 1)) * n;
    for (let i = 0; i < n; i++, at++) if (chunk[at] !== (key[words[i]!]! & bits[i]!)) return false;
    return true;
  }

  /** Adds a key that is not there yet; returns its row. */
  insert(key: Flow, flow: number): number {
    if ((this.size + 1) * 2 > this.hashes.length) this.grow();
    let row = this.freeRow;
    if (row >= 0) this.freeRow = this.flowChunks[row >> CHUNK_SHIFT]![row & (CHUNK_ROWS - 1)]!;
    else {
      row = this.usedRows++;
      if (row >> CHUNK_SHIFT === this.chunks.length) {
        this.chunks.push(new Int32Array(CHUNK_ROWS * this.count));
        this.flowChunks.push(new Int32Array(CHUNK_ROWS));
      }
    }
    const chunk = this.chunks[row >> CHUNK_SHIFT]!;
    let at = (row & (CHUNK_ROWS - 1)) * this.count;
    for (let i = 0; i < this.count; i++) chunk[at++] = key[this.words[i]!]! & this.bits[i]!;
    this.flowChunks[row >> CHUNK_SHIFT]![row & (CHUNK_ROWS - 1)] = flow;
    this.place(this.hash(key), row);
    this.size++;
    return row;
  }

  private place(hash: number, row: number): void {
    const last = this.hashes.length - 1;
    let slot = hash & last;
    while (this.hashes[slot] !== 0) slot = (slot + 1) & last;
    this.hashes[slot] = hash;
    this.rows[slot] = row;
  }

  /** Of a row that is in use. */
  remove(row: number): void {
    const last = this.hashes.length - 1;
    let slot = this.rowHash(row) & last;
    while (this.hashes[slot] === 0 || this.rows[slot] !== row) slot = (slot + 1) & last;
    // Moves later entries of the run back over the hole, so that no tombstone is needed.
    for (let next = (slot + 1) & last; this.hashes[next] !== 0; next = (next + 1) & last) {
      const home = this.hashes[next]! & last;
      if (((next - home) & last) >= ((next - slot) & last)) {
        this.hashes[slot] = this.hashes[next]!;
        this.rows[slot] = this.rows[next]!;
        slot = next;
      }
    }
    this.hashes[slot] = 0;
    this.flowChunks[row >> CHUNK_SHIFT]![row & (CHUNK_ROWS - 1)] = this.freeRow;
    this.freeRow = row;
    this.size--;
  }

  private rowHash(row: number): number {
    const chunk = this.chunks[row >> CHUNK_SHIFT]!;
    let at = (row & (CHUNK_ROWS - 1)) * this.count;
    let h = 0;
    for (let i = 0; i < this.count; i++) h = mix(h, chunk[at++]!);
    return finish(h);
  }

  private grow(): void {
    const hashes = this.hashes;
    const rows = this.rows;
    this.hashes = new Int32Array(hashes.length * 2);
    this.rows = new Int32Array(hashes.length * 2);
    for (let slot = 0; slot < hashes.length; slot++) {
      if (hashes[slot] !== 0) this.place(hashes[slot]!, rows[slot]!);
    }
  }
}

const EMPTY = new Subtable(makeCompactMask());

export class FlowTable {
  /** In the order of search. */
  readonly subtables: Subtable[] = [];
  size = 0;
  /** Subtables that lookups have asked, since the start. */
  lookedAt = 0;
  private readonly tableOf: Subtable[] = [];
  /** Row + 1 of each flow; 0 for none, so that memory of flows that never were is never touched. */
  private readonly rowOf: Int32Array;
  private readonly scratch = makeCompactMask();

  constructor(maxFlows: number) {
    this.rowOf = new Int32Array(maxFlows);
  }

  has(flow: number): boolean {
    return this.rowOf[flow]! > 0;
  }

  /** The flow that `key` belongs to, or -1. */
  lookup(key: Flow): number {
    const subtables = this.subtables;
    for (let i = 0; i < subtables.length; i++) {
      const table = subtables[i]!;
      const flow = table.find(key);
      if (flow < 0) continue;
      this.lookedAt += i + 1;
      if (++table.hits > HITS_HALVED) this.halve();
      if (i > 0 && table.hits > subtables[i - 1]!.hits) {
        subtables[i] = subtables[i - 1]!;
        subtables[i - 1] = table;
      }
      return flow;
    }
    this.lookedAt += subtables.length;
    return -1;
  }

  private halve(): void {
    for (let i = 0; i < this.subtables.length; i++) this.subtables[i]!.hits >>>= 1;
  }

  /** The flow with exactly this mask and, under it, this key, or -1. */
  findExact(key: Flow, mask: Flow): number {
    compactMask(mask, this.scratch);
    const table = this.subtableOf(this.scratch);
    return table === undefined ? -1 : table.find(key);
  }

  private subtableOf(mask: CompactMask): Subtable | undefined {
    for (const table of this.subtables) if (table.sameMask(mask)) return table;
    return undefined;
  }

  insert(flow: number, key: Flow, mask: Flow): void {
    compactMask(mask, this.scratch);
    this.insertCompact(flow, key, this.scratch);
  }

  /** The key must not be there under this mask, and the flow not be in use. */
  insertCompact(flow: number, key: Flow, mask: CompactMask): void {
    let table = this.subtableOf(mask);
    if (table === undefined) {
      table = new Subtable(mask);
      this.subtables.push(table);
    }
    this.rowOf[flow] = table.insert(key, flow) + 1;
    this.tableOf[flow] = table;
    this.size++;
  }

  remove(flow: number): void {
    const row = this.rowOf[flow]! - 1;
    if (row < 0) return;
    const table = this.tableOf[flow]!;
    table.remove(row);
    this.rowOf[flow] = 0;
    this.tableOf[flow] = EMPTY;
    this.size--;
    if (table.size === 0) this.subtables.splice(this.subtables.indexOf(table), 1);
  }

  /** The mask of a flow in use. */
  maskOf(flow: number, mask: Flow): void {
    mask.fill(0, 0, FLOW_DP_WORDS);
    const table = this.tableOf[flow]!;
    for (let i = 0; i < table.count; i++) mask[table.words[i]!] = table.bits[i]!;
  }
}
