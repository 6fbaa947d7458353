/**
 * Counts prefixes of a value of 1 to 4 words and tells, for a looked-up value, which prefix lengths occur along its
 * way and how many leading bits of it decide that (upstream: "prefix tracking"). A binary trie in typed arrays; an
 * edge holds up to 32 bits.
 */

/** Bits `from` … `from + count - 1` of a value in words, left-aligned in 32 bits; count 1 to 32. */
function bitsAt(words: Int32Array, base: number, from: number, count: number): number {
  const word = base + (from >>> 5);
  const shift = from & 31;
  let bits = words[word]! << shift;
  if (shift !== 0 && shift + count > 32) bits |= words[word + 1]! >>> (32 - shift);
  return count === 32 ? bits : bits & (-1 << (32 - count));
}

const FIELDS_A_NODE = 5;
const BITS = 0; // left-aligned
const LENGTH = 1;
const RULES = 2;
const ZERO = 3; // children, 0 is none
const ONE = 4;

export class PrefixTrie {
  /** Where the field lies in a flow row. */
  readonly word: number;
  readonly bits: number;
  /** Prefix lengths found by the last {@link lookup}: bit n-1 of a 128-bit set for length n. */
  readonly lengths = new Int32Array(4);
  #nodes = new Int32Array(FIELDS_A_NODE * 16);
  #next = FIELDS_A_NODE; // node 0 is "none"
  #free = 0;
  #root = 0;

  constructor(word: number, bits: number) {
    this.word = word;
    this.bits = bits;
  }

  /** Adds the prefix of `length` > 0 bits found at `base` in `row`. */
  insert(row: Int32Array, base: number, length: number): void {
    let at = 0;
    let parent = 0;
    let side = 0;
    let node = this.#root;
    for (;;) {
      if (node === 0) {
        this.#link(parent, side, this.#branch(row, base, at, length));
        return;
      }
      const nodes = this.#nodes;
      const nodeLength = nodes[node + LENGTH]!;
      const want = Math.min(nodeLength, length - at);
      const same = want === 0 ? 0 : this.#common(node, row, base, at, want);
      if (same < nodeLength) {
        this.#split(parent, side, node, same);
        node = parent === 0 ? this.#root : this.#nodes[parent + side]!;
      }
      at += same;
      if (at === length) {
        this.#nodes[node + RULES] = this.#nodes[node + RULES]! + 1;
        return;
      }
      parent = node;
      side = bitsAt(row, base, at, 1) === 0 ? ZERO : ONE;
      node = this.#nodes[node + side]!;
    }
  }

  /** Takes back one {@link insert}. */
  remove(row: Int32Array, base: number, length: number): void {
    const path: number[] = [];
    let at = 0;
    let node = this.#root;
    while (node !== 0) {
      path.push(node);
      at += this.#nodes[node + LENGTH]!;
      if (at >= length) break;
      node = this.#nodes[node + (bitsAt(row, base, at, 1) === 0 ? ZERO : ONE)]!;
    }
    if (node === 0) return;
    this.#nodes[node + RULES] = this.#nodes[node + RULES]! - 1;
    for (let i = path.length - 1; i >= 0; i--) {
      const here = path[i]!;
      const nodes = this.#nodes;
      const zero = nodes[here + ZERO]!;
      const one = nodes[here + ONE]!;
      if (nodes[here + RULES] !== 0 || (zero !== 0 && one !== 0)) return;
      const child = zero + one;
      if (child !== 0 && nodes[here + LENGTH]! + nodes[child + LENGTH]! > 32) return;
      if (child !== 0) this.#merge(here, child);
      this.#replace(i === 0 ? 0 : path[i - 1]!, here, child);
      this.#release(here);
    }
  }

  /**
   * Fills {@link lengths} for the value at `word` of `flow`, and returns how many of its leading bits decided it.
   */
  lookup(flow: Int32Array, base: number): number {
    const lengths = this.lengths;
    lengths[0] = 0;
    lengths[1] = 0;
    lengths[2] = 0;
    lengths[3] = 0;
    const nodes = this.#nodes;
    let at = 0;
    let node = this.#root;
    while (node !== 0) {
      const length = nodes[node + LENGTH]!;
      if (length > 0) {
        const same = this.#common(node, flow, base, at, length);
        at += same;
        if (same < length) return at + 1;
      }
      if (nodes[node + RULES] !== 0 && at > 0) {
        const bit = at - 1;
        lengths[bit >>> 5] = lengths[bit >>> 5]! | (1 << (bit & 31));
      }
      if (at >= this.bits) return at;
      const next = nodes[node + (bitsAt(flow, base, at, 1) === 0 ? ZERO : ONE)]!;
      if (next === 0) return nodes[node + ZERO] === 0 && nodes[node + ONE] === 0 ? at : at + 1;
      node = next;
    }
    return at;
  }

  /** Whether the last lookup met a prefix of `length` bits. */
  hasLength(length: number): boolean {
    const bit = length - 1;
    return (this.lengths[bit >>> 5]! & (1 << (bit & 31))) !== 0;
  }

  #common(node: number, row: Int32Array, base: number, at: number, length: number): number {
    const differing = this.#nodes[node + BITS]! ^ bitsAt(row, base, at, length);
    return Math.min(Math.clz32(differing), length);
  }

  #alloc(): number {
    if (this.#free !== 0) {
      const node = this.#free;
      this.#free = this.#nodes[node]!;
      return node;
    }
    if (this.#next + FIELDS_A_NODE > this.#nodes.length) {
      const grown = new Int32Array(this.#nodes.length * 2);
      grown.set(this.#nodes);
      this.#nodes = grown;
    }
    const node = this.#next;
    this.#next += FIELDS_A_NODE;
    return node;
  }

  #release(node: number): void {
    this.#nodes[node] = this.#free;
    this.#free = node;
  }

  #node(bits: number, length: number, rules: number, zero: number, one: number): number {
    const node = this.#alloc();
    this.#nodes[node + BITS] = bits;
    this.#nodes[node + LENGTH] = length;
    this.#nodes[node + RULES] = rules;
    this.#nodes[node + ZERO] = zero;
    this.#nodes[node + ONE] = one;
    return node;
  }

  /** A chain of new nodes for bits at … length-1, with one rule at its end. */
  #branch(row: Int32Array, base: number, at: number, length: number): number {
    const take = Math.min(32, length - at);
    const bits = take === 0 ? 0 : bitsAt(row, base, at, take);
    if (at + take === length) return this.#node(bits, take, 1, 0, 0);
    const rest = this.#branch(row, base, at + take, length);
    return bitsAt(row, base, at + take, 1) === 0
      ? this.#node(bits, take, 0, rest, 0)
      : this.#node(bits, take, 0, 0, rest);
  }

  /** Puts a node of the first `length` bits above `node`, which keeps the rest. */
  #split(parent: number, side: number, node: number, length: number): void {
    const bits = this.#nodes[node + BITS]!;
    const rest = length === 32 ? 0 : bits << length;
    const upperBits = length === 0 ? 0 : bits & (-1 << (32 - length));
    const upper =
      rest < 0 ? this.#node(upperBits, length, 0, 0, node) : this.#node(upperBits, length, 0, node, 0);
    this.#nodes[node + BITS] = rest;
    this.#nodes[node + LENGTH] = this.#nodes[node + LENGTH]! - length;
    this.#link(parent, side, upper);
  }

  #merge(upper: number, child: number): void {
    const nodes = this.#nodes;
    const length = nodes[upper + LENGTH]!;
    const bits = length === 32 ? 0 : nodes[child + BITS]! >>> length;
    nodes[child + BITS] = nodes[upper + BITS]! | bits;
    nodes[child + LENGTH] = nodes[child + LENGTH]! + length;
  }

  #link(parent: number, side: number, node: number): void {
    if (parent === 0) this.#root = node;
    else this.#nodes[parent + side] = node;
  }

  #replace(parent: number, old: number, node: number): void {
    if (parent === 0) this.#root = node;
    else this.#nodes[parent + (this.#nodes[parent + ZERO] === old ? ZERO : ONE)] = node;
  }
}
