/**
 * How often each 32-bit hash occurs: an open-addressed table of typed words. It answers "has any rule this partial
 * hash?" for staged lookup.
 */
export class HashCounter {
  /** Pairs of a count and its key, beside each other because a probe reads both; count 0 is an empty cell. */
  #cells = new Int32Array(16);
  /** A bit for each key, and for some that went: it lies in the cache when the cells do not. */
  #bits = new Int32Array(2);
  #used = 0;

  has(key: number): boolean {
    const bits = this.#bits;
    if (((bits[(key >>> 5) & (bits.length - 1)]! >>> key) & 1) === 0) return false;
    const cells = this.#cells;
    const mask = cells.length - 1;
    for (let at = (key << 1) & mask; ; at = (at + 2) & mask) {
      if (cells[at] === 0) return false;
      if (cells[at + 1] === key) return true;
    }
  }

  add(key: number): void {
    if ((this.#used + 1) * 4 > this.#cells.length) this.#grow();
    const cells = this.#cells;
    const at = this.#find(key);
    if (cells[at] === 0) {
      cells[at + 1] = key;
      this.#mark(key);
      this.#used++;
    }
    cells[at] = cells[at]! + 1;
  }

  /** `key` must have been added. */
  remove(key: number): void {
    const cells = this.#cells;
    const at = this.#find(key);
    cells[at] = cells[at]! - 1;
    if (cells[at] === 0) {
      this.#used--;
      this.#closeGap(at);
    }
  }

  #mark(key: number): void {
    const word = (key >>> 5) & (this.#bits.length - 1);
    this.#bits[word] = this.#bits[word]! | (1 << key);
  }

  #find(key: number): number {
    const cells = this.#cells;
    const mask = cells.length - 1;
    let at = (key << 1) & mask;
    while (cells[at] !== 0 && cells[at + 1] !== key) at = (at + 2) & mask;
    return at;
  }

  /** Moves later entries of a probe sequence back, so that no tombstone is needed. */
  #closeGap(gap: number): void {
    const cells = this.#cells;
    const mask = cells.length - 1;
    for (let at = (gap + 2) & mask; cells[at] !== 0; at = (at + 2) & mask) {
      const home = (cells[at + 1]! << 1) & mask;
      if (((at - home) & mask) < ((at - gap) & mask)) continue;
      cells[gap] = cells[at]!;
      cells[gap + 1] = cells[at + 1]!;
      cells[at] = 0;
      gap = at;
    }
  }

  #grow(): void {
    const old = this.#cells;
    this.#cells = new Int32Array(old.length * 2);
    this.#bits = new Int32Array(old.length >> 3);
    for (let i = 0; i < old.length; i += 2) {
      if (old[i] === 0) continue;
      const at = this.#find(old[i + 1]!);
      this.#cells[at] = old[i]!;
      this.#cells[at + 1] = old[i + 1]!;
      this.#mark(old[i + 1]!);
    }
  }
}
