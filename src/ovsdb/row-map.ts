/**
 * The rows of a table by UUID, in the order in which they came.
 *
 * Why not a Map? It is one block of memory, all of which each of the collector's frequent small rounds looks through after
 * one row was added: with 400 000 rows that was half of a transaction's time. Here a round looks at the chunks that were
 * written to, and the index, numbers alone, is nothing to the collector.
 */

const CHUNK_BITS = 10;
const CHUNK = 1 << CHUNK_BITS;
/** Of the index; a power of two. */
const LEAST = 16;

export class RowMap<R extends { readonly uuid: string }> {
  /** Slot n is in chunk n / CHUNK; a deleted row leaves its slot empty. */
  #chunks: (R | undefined)[][] = [];
  /** Slots that were given out. */
  #used = 0;
  #size = 0;
  /** Open addressing, linear probing; two words an entry: hash, slot + 1 (0: no entry). At most three quarters full. */
  #index = new Int32Array(2 * LEAST);
  #mask = LEAST - 1;

  get size(): number {
    return this.#size;
  }

  get(uuid: string): R | undefined {
    const at = this.#find(uuid, hashOf(uuid));
    return at < 0 ? undefined : this.#row(this.#index[2 * at + 1]! - 1);
  }

  has(uuid: string): boolean {
    return this.#find(uuid, hashOf(uuid)) >= 0;
  }

  /** A row whose UUID no row here has. */
  add(row: R): void {
    if (this.#used - this.#size > this.#size + CHUNK) this.#squeeze();
    if ((this.#size + 1) * 4 > (this.#mask + 1) * 3) this.#grow();
    const slot = this.#used++;
    const inChunk = slot & (CHUNK - 1);
    if (inChunk === 0) this.#chunks.push([row]);
    else this.#chunks[slot >> CHUNK_BITS]![inChunk] = row;
    this.#size++;
    this.#enter(hashOf(row.uuid), slot);
  }

  delete(uuid: string): boolean {
    let hole = this.#find(uuid, hashOf(uuid));
    if (hole < 0) return false;
    const index = this.#index;
    const mask = this.#mask;
    const slot = index[2 * hole + 1]! - 1;
    this.#chunks[slot >> CHUNK_BITS]![slot & (CHUNK - 1)] = undefined;
    this.#size--;
    // Entries behind the hole that were put off by it move up.
    for (let at = (hole + 1) & mask; index[2 * at + 1] !== 0; at = (at + 1) & mask) {
      const home = index[2 * at]! & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      index[2 * hole] = index[2 * at]!;
      index[2 * hole + 1] = index[2 * at + 1]!;
      hole = at;
    }
    index[2 * hole + 1] = 0;
    return true;
  }

  clear(): void {
    this.#chunks = [];
    this.#used = this.#size = 0;
    this.#index = new Int32Array(2 * LEAST);
    this.#mask = LEAST - 1;
  }

  /** In an array of the caller's own. */
  list(): R[] {
    const rows: R[] = [];
    for (const chunk of this.#chunks) for (const row of chunk) if (row !== undefined) rows.push(row);
    return rows;
  }

  /** To be walked at once: rows must not be added or deleted meanwhile. */
  values(): IterableIterator<R> {
    return new RowIterator(this.#chunks);
  }

  #row(slot: number): R {
    return this.#chunks[slot >> CHUNK_BITS]![slot & (CHUNK - 1)]!;
  }

  /** Place in the index, or -1. */
  #find(uuid: string, hash: number): number {
    const index = this.#index;
    const mask = this.#mask;
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const next = index[2 * at + 1]!;
      if (next === 0) return -1;
      if (index[2 * at] === hash && this.#row(next - 1).uuid === uuid) return at;
    }
  }

  #enter(hash: number, slot: number): void {
    const index = this.#index;
    const mask = this.#mask;
    let at = hash & mask;
    while (index[2 * at + 1] !== 0) at = (at + 1) & mask;
    index[2 * at] = hash;
    index[2 * at + 1] = slot + 1;
  }

  #grow(): void {
    const old = this.#index;
    this.#index = new Int32Array(2 * old.length);
    this.#mask = 2 * this.#mask + 1;
    for (let at = 0; at < old.length; at += 2) if (old[at + 1] !== 0) this.#enter(old[at]!, old[at + 1]! - 1);
  }

  /** Leaves the empty slots out. */
  #squeeze(): void {
    const rows = this.list();
    const capacity = this.#mask + 1;
    this.#chunks = [];
    for (let from = 0; from < rows.length; from += CHUNK) this.#chunks.push(rows.slice(from, from + CHUNK));
    this.#used = rows.length;
    this.#index = new Int32Array(2 * capacity);
    for (let slot = 0; slot < rows.length; slot++) this.#enter(hashOf(rows[slot]!.uuid), slot);
  }
}

class RowIterator<R> implements IterableIterator<R> {
  readonly #chunks: readonly (readonly (R | undefined)[])[];
  #chunk = 0;
  #at = 0;

  constructor(chunks: readonly (readonly (R | undefined)[])[]) {
    this.#chunks = chunks;
  }

  [Symbol.iterator](): IterableIterator<R> {
    return this;
  }

  next(): IteratorResult<R, undefined> {
    while (this.#chunk < this.#chunks.length) {
      const chunk = this.#chunks[this.#chunk]!;
      while (this.#at < chunk.length) {
        const row = chunk[this.#at++];
        if (row !== undefined) return { done: false, value: row };
      }
      this.#chunk++;
      this.#at = 0;
    }
    return { done: true, value: undefined };
  }
}

/** Of all characters: UUIDs may be a client's own, and differ at their ends only. Four of 7 bits make a word. */
function hashOf(uuid: string): number {
  const { length } = uuid;
  let hash = length;
  let at = 0;
  for (; at + 3 < length; at += 4) {
    const word =
      uuid.charCodeAt(at) ^
      (uuid.charCodeAt(at + 1) << 7) ^
      (uuid.charCodeAt(at + 2) << 14) ^
      (uuid.charCodeAt(at + 3) << 21);
    hash = Math.imul(hash ^ word, 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  for (; at < length; at++) hash = Math.imul(hash ^ uuid.charCodeAt(at), 0x9e3779b1);
  return hash ^ (hash >>> 16);
}
