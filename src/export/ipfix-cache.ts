/**
 * Flows under way, found by words and kept in the order in which they began. Hot path: {@link FlowCache.find}.
 *
 * With ten thousand flows nearly all time goes into waiting for memory. So a flow is a row: the words that tell it apart lie
 * together, so do its sums, and the number of the row, which the hash table has, tells where both are. What does not change and is
 * not looked at before the flow ends is an object of its own.
 */

const FIRST_ROWS = 256;
const NONE = -1;

export class FlowCache<T> {
  readonly keyWords: number;
  readonly sumsPerFlow: number;
  /** `sumsPerFlow` of each row; another array after {@link add}. */
  sums: Float64Array;
  size = 0;
  /** The row of the flow that began first, -1 when there is none. */
  oldest = NONE;
  #newest = NONE;
  #keys: Int32Array;
  #hashes: Int32Array;
  /** Of a flow the one that began next, of a free row another. */
  #next: Int32Array;
  #about: (T | undefined)[] = [];
  #free = NONE;
  #used = 0;
  /** Row + 1 of each slot, 0 for an empty one; twice as many at least as rows. */
  #slots: Int32Array;
  /** Of the latest {@link find}. */
  #hash = 0;

  constructor(keyWords: number, sumsPerFlow: number) {
    this.keyWords = keyWords;
    this.sumsPerFlow = sumsPerFlow;
    this.sums = new Float64Array(FIRST_ROWS * sumsPerFlow);
    this.#keys = new Int32Array(FIRST_ROWS * keyWords);
    this.#hashes = new Int32Array(FIRST_ROWS);
    this.#next = new Int32Array(FIRST_ROWS);
    this.#slots = new Int32Array(FIRST_ROWS * 2);
  }

  /** The row of the flow whose key begins with the first `count` words of `key` (the first says how many those are), or -1. */
  find(key: Int32Array, count: number): number {
    const hash = hashOf(key, count);
    this.#hash = hash;
    const slots = this.#slots;
    const keys = this.#keys;
    const hashes = this.#hashes;
    const last = slots.length - 1;
    for (let slot = hash & last; slots[slot] !== 0; slot = (slot + 1) & last) {
      const row = slots[slot]! - 1;
      if (hashes[row] !== hash) continue;
      let at = row * this.keyWords;
      let i = 0;
      while (i < count && keys[at] === key[i]) {
        i++;
        at++;
      }
      if (i === count) return row;
    }
    return NONE;
  }

  /** Adds the flow that {@link find} has just not found; its sums are zero. Returns its row. */
  add(key: Int32Array, about: T): number {
    let row = this.#free;
    if (row === NONE) {
      if (this.#used === this.#next.length) this.#grow();
      row = this.#used++;
    } else this.#free = this.#next[row]!;
    this.#keys.set(key, row * this.keyWords);
    this.#hashes[row] = this.#hash;
    this.#about[row] = about;
    this.#next[row] = NONE;
    this.sums.fill(0, row * this.sumsPerFlow, (row + 1) * this.sumsPerFlow);
    if (this.#newest === NONE) this.oldest = row;
    else this.#next[this.#newest] = row;
    this.#newest = row;
    this.size++;
    this.#place(row);
    return row;
  }

  #place(row: number): void {
    const slots = this.#slots;
    const last = slots.length - 1;
    let slot = this.#hashes[row]! & last;
    while (slots[slot] !== 0) slot = (slot + 1) & last;
    slots[slot] = row + 1;
  }

  #grow(): void {
    const rows = this.#next.length * 2;
    const grown = <A extends Int32Array | Float64Array>(from: A, to: A): A => {
      to.set(from);
      return to;
    };
    this.sums = grown(this.sums, new Float64Array(rows * this.sumsPerFlow));
    this.#keys = grown(this.#keys, new Int32Array(rows * this.keyWords));
    this.#hashes = grown(this.#hashes, new Int32Array(rows));
    this.#next = grown(this.#next, new Int32Array(rows));
    this.#slots = new Int32Array(rows * 2);
    for (let row = 0; row < this.#used; row++) this.#place(row);
  }

  /** Takes out the flow that began first, and returns what {@link add} was told of it; its sums stay until the next one comes. */
  removeOldest(): T {
    const row = this.oldest;
    const about = this.#about[row]!;
    this.oldest = this.#next[row]!;
    if (this.oldest === NONE) this.#newest = NONE;
    this.#unplace(row);
    this.#about[row] = undefined;
    this.#next[row] = this.#free;
    this.#free = row;
    this.size--;
    return about;
  }

  #unplace(row: number): void {
    const slots = this.#slots;
    const last = slots.length - 1;
    let slot = this.#hashes[row]! & last;
    while (slots[slot] !== row + 1) slot = (slot + 1) & last;
    // Moves later entries of the run back over the hole, so that no tombstone is needed.
    for (let next = (slot + 1) & last; slots[next] !== 0; next = (next + 1) & last) {
      const home = this.#hashes[slots[next]! - 1]! & last;
      if (((next - home) & last) >= ((next - slot) & last)) {
        slots[slot] = slots[next]!;
        slot = next;
      }
    }
    slots[slot] = 0;
  }
}

/** Two words at a time, so that neither waits for the other's product. */
function hashOf(key: Int32Array, count: number): number {
  let even = 0;
  let odd = count;
  for (let i = 0; i < count; i += 2) {
    even = Math.imul(even ^ key[i]!, 0x9e3779b1);
    odd = Math.imul(odd ^ (i + 1 < count ? key[i + 1]! : 0), 0x85ebca6b);
    even ^= even >>> 15;
    odd ^= odd >>> 13;
  }
  const hash = Math.imul(even ^ (odd >>> 16) ^ (odd << 16), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
