/**
 * How often each 32-bit hash occurs: an open-addressed table of typed words. It answers "has any rule this partial
 * hash?" for staged lookup.
 */
export class HashCounter {
  #keys = new Int32Array(8);
  #counts = new Int32Array(8);
  #used = 0;

  has(key: number): boolean {
    const mask = this.#keys.length - 1;
    for (let at = key & mask; ; at = (at + 1) & mask) {
      if (this.#counts[at] === 0) return false;
      if (this.#keys[at] === key) return true;
    }
  }

  add(key: number): void {
    if ((this.#used + 1) * 2 > this.#keys.length) this.#grow();
    const at = this.#find(key);
    if (this.#counts[at] === 0) {
      this.#keys[at] = key;
      this.#used++;
    }
    this.#counts[at] = this.#counts[at]! + 1;
  }

  /** `key` must have been added. */
  remove(key: number): void {
    const at = this.#find(key);
    this.#counts[at] = this.#counts[at]! - 1;
    if (this.#counts[at] === 0) {
      this.#used--;
      this.#closeGap(at);
    }
  }

  #find(key: number): number {
    const mask = this.#keys.length - 1;
    let at = key & mask;
    while (this.#counts[at] !== 0 && this.#keys[at] !== key) at = (at + 1) & mask;
    return at;
  }

  /** Moves later entries of a probe sequence back, so that no tombstone is needed. */
  #closeGap(gap: number): void {
    const keys = this.#keys;
    const counts = this.#counts;
    const mask = keys.length - 1;
    for (let at = (gap + 1) & mask; counts[at] !== 0; at = (at + 1) & mask) {
      const home = keys[at]! & mask;
      if (((at - home) & mask) < ((at - gap) & mask)) continue;
      keys[gap] = keys[at]!;
      counts[gap] = counts[at]!;
      counts[at] = 0;
      gap = at;
    }
  }

  #grow(): void {
    const keys = this.#keys;
    const counts = this.#counts;
    this.#keys = new Int32Array(keys.length * 2);
    this.#counts = new Int32Array(keys.length * 2);
    for (let i = 0; i < keys.length; i++) {
      if (counts[i] === 0) continue;
      const at = this.#find(keys[i]!);
      this.#keys[at] = keys[i]!;
      this.#counts[at] = counts[i]!;
    }
  }
}
