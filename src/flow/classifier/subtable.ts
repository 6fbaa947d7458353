/**
 * The rules of one mask: an open-addressed table from the hash of a rule's masked words to a chain of rules with these
 * values, and for each stage but the last a count of partial hashes.
 */
import {
  FLOW_WORDS,
  type Flow,
  W_CT_NW_SRC,
  W_CT_TP,
  W_ETH_DST_HI,
  W_IPV4_SRC,
  W_ND_TARGET,
  W_TP,
  W_TUN_ID_HI,
} from "../layout.ts";
import { finishHash } from "../match.ts";
import { PrefixTrie } from "./prefix-trie.ts";

export const STAGES = 4;

/**
 * Metadata and registers, then L2, L3, L4: what changes least from packet to packet is looked at first. Bodies of ARP,
 * neighbor discovery and NSH count as L4, as in upstream's FLOW_SEGMENT_3_ENDS_AT.
 */
export function stageOf(word: number): number {
  if (word < W_ETH_DST_HI) return 0;
  if (word < W_IPV4_SRC) return 1;
  if (word < W_ND_TARGET) return 2;
  if (word < W_CT_NW_SRC) return 3;
  if (word < W_CT_TP) return 2;
  if (word < W_TUN_ID_HI) return 3;
  return 0;
}

/** Length of a prefix mask over `bits` bits, or 0 when the mask is empty or not a prefix. */
export function prefixLength(mask: Flow, word: number, bits: number): number {
  let length = 0;
  for (let i = 0; i < bits >>> 5; i++) {
    const part = mask[word + i]!;
    const ones = Math.clz32(~part);
    if (ones < 32 && part << ones !== 0) return 0;
    if (length !== i * 32) {
      if (part !== 0) return 0;
      continue;
    }
    length += ones;
  }
  return length;
}

/** The running hash over the words and masks of `pairs` from place `from` to `to`. */
export function hashPairs(flow: Flow, hash: number, pairs: Int32Array, from: number, to: number): number {
  for (let i = from; i < to; i += 2) {
    const mixed = Math.imul(hash ^ (flow[pairs[i]!]! & pairs[i + 1]!), 0x9e3779b1);
    hash = mixed ^ (mixed >>> 15);
  }
  return hash;
}

export class Subtable {
  readonly id: number;
  readonly hash: number;
  /** Words with mask bits, in stage order, and their bits. */
  readonly words: Int32Array;
  readonly masks: Int32Array;
  /** Both in turn, for what looks at each packet. */
  readonly pairs: Int32Array;
  /** What the hashes of its rules begin with. */
  readonly seed: number;
  /** End of each stage in `words`. */
  readonly stageEnds = new Int32Array(STAGES);
  /** The last stage that has words. */
  readonly lastStage: number;
  /** Prefix length of each of the classifier's tries in this mask, 0 for none. */
  readonly trieLengths: Int32Array;
  /** The stage that each trie's field is in. */
  readonly trieStages: Int32Array;
  /** Bit n: a trie counts some prefix of stage n. */
  readonly triedStages: number;
  /** Ports of the rules here; only when the mask has port bits. */
  readonly ports: PrefixTrie | undefined;
  readonly portsMask: number;

  /** Upper bound of the priorities here; exact unless `stale`. */
  maxPriority = -1;
  stale = false;
  readonly priorities = new Map<number, number>();

  /** Masked values, `words.length` a row. */
  values: Int32Array;
  rows = 0;
  freeRows: number[] = [];

  /** Pairs: head of a chain (rule + 1, 0 for an empty slot), and the hash of its rules. */
  slots = new Int32Array(16);
  chains = 0;

  constructor(id: number, hash: number, mask: Flow, tries: readonly PrefixTrie[]) {
    this.id = id;
    this.seed = finishHash(id + 1);
    this.hash = hash;
    const words: number[] = [];
    for (let stage = 0; stage < STAGES; stage++) {
      for (let word = 0; word < FLOW_WORDS; word++)
        if (mask[word] !== 0 && stageOf(word) === stage) words.push(word);
      this.stageEnds[stage] = words.length;
    }
    this.words = Int32Array.from(words);
    this.masks = Int32Array.from(words, (word) => mask[word]!);
    this.pairs = Int32Array.from(words.flatMap((word) => [word, mask[word]!]));
    let last = STAGES - 1;
    while (last > 0 && this.stageEnds[last - 1] === words.length) last--;
    this.lastStage = last;
    this.trieLengths = Int32Array.from(tries, (trie) => prefixLength(mask, trie.word, trie.bits));
    this.trieStages = Int32Array.from(tries, (trie) => stageOf(trie.word));
    let tried = 0;
    for (let i = 0; i < tries.length; i++) if (this.trieLengths[i]! > 0) tried |= 1 << this.trieStages[i]!;
    this.triedStages = tried;
    this.portsMask = mask[W_TP]!;
    this.ports = this.portsMask !== 0 ? new PrefixTrie(W_TP, 32) : undefined;
    this.values = new Int32Array(words.length * 4);
  }

  hasMask(mask: Flow): boolean {
    let bits = 0;
    for (let word = 0; word < FLOW_WORDS; word++) if (mask[word] !== 0) bits++;
    if (bits !== this.words.length) return false;
    for (let i = 0; i < bits; i++) if (mask[this.words[i]!] !== this.masks[i]) return false;
    return true;
  }

  /** The hash that rules are found by. */
  hashAll(flow: Flow): number {
    return finishHash(hashPairs(flow, this.seed, this.pairs, 0, this.pairs.length));
  }

  rowEquals(row: number, flow: Flow): boolean {
    const { values } = this;
    const pairs = this.pairs;
    const end = pairs.length;
    for (let i = 0, at = (row * end) >> 1; i < end; i += 2, at++) {
      if (((flow[pairs[i]!]! & pairs[i + 1]!) ^ values[at]!) !== 0) return false;
    }
    return true;
  }

  /** Copies the masked words of `flow` into a free row. */
  addRow(flow: Flow): number {
    const count = this.words.length;
    const row = this.freeRows.pop() ?? this.rows++;
    if ((row + 1) * count > this.values.length) {
      const grown = new Int32Array(Math.max(this.values.length * 2, (row + 1) * count));
      grown.set(this.values);
      this.values = grown;
    }
    for (let i = 0, at = row * count; i < count; i++, at++)
      this.values[at] = flow[this.words[i]!]! & this.masks[i]!;
    return row;
  }

  /** Writes a row's values at their words of an otherwise empty flow row. */
  expand(row: number, flow: Flow): void {
    const count = this.words.length;
    for (let i = 0; i < count; i++) flow[this.words[i]!] = this.values[row * count + i]!;
  }

  countPriority(priority: number, by: 1 | -1): void {
    const count = (this.priorities.get(priority) ?? 0) + by;
    if (count > 0) this.priorities.set(priority, count);
    else this.priorities.delete(priority);
    if (by > 0 && priority > this.maxPriority) this.maxPriority = priority;
    if (count === 0 && priority === this.maxPriority) this.stale = true;
  }

  refreshMax(): void {
    this.stale = false;
    this.maxPriority = -1;
    for (const priority of this.priorities.keys())
      if (priority > this.maxPriority) this.maxPriority = priority;
  }
}
