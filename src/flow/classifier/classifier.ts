/**
 * The classifier of OpenFlow tables: tuple space search with priorities, staged lookup, prefix tries, versions and
 * conjunctive match. Rules are small integers (handles) that the owner keeps its own data by; everything kept here of a
 * rule is a few words in typed arrays.
 *
 * Lookup walks subtables (one for each mask) from the highest priority down and stops when no later one can win. In
 * each it hashes stage by stage and leaves as soon as no rule has the partial hash, so that later layers stay
 * wildcarded; before that, tries may show that no prefix of the subtable's length covers the packet's address.
 */
import { fieldByName } from "../fields/index.ts";
import {
  FLOW_WORDS,
  type Flow,
  W_CONJ_ID,
  W_CT_IPV6_DST,
  W_CT_IPV6_SRC,
  W_CT_NW_DST,
  W_CT_NW_SRC,
  W_ETH_TYPE,
  W_IPV4_DST,
  W_IPV4_SRC,
  W_IPV6_DST,
  W_IPV6_SRC,
  W_TP,
  W_TUN_DST,
  W_TUN_ID_HI,
  W_TUN_IPV6_DST,
  W_TUN_IPV6_SRC,
  W_TUN_SRC,
} from "../layout.ts";
import { finishHash, type Match, makeMatch, mixHash, type TunMetadataSlot } from "../match.ts";
import { type Conjunction, conjunctionsMet, SoftMatches } from "./conjunction.ts";
import { HashCounter } from "./hash-counter.ts";
import { PrefixTrie } from "./prefix-trie.ts";
import { hashPairs, STAGES, Subtable } from "./subtable.ts";

export type { Conjunction } from "./conjunction.ts";

/** Names a rule while it is in the classifier; dense, reused after remove. */
export type RuleHandle = number;

/** The version of a lookup that sees all rules that are not hidden in any version. */
export const VERSION_MAX = 0x7ffffffe;
const NEVER_HIDDEN = 0x7fffffff;

// What is kept of a rule: words of its row.
const R_PRIORITY = 0;
/** Id of its subtable, -1 when the row is free. */
const R_SUBTABLE = 1;
/** Its row in the subtable. */
const R_ROW = 2;
const R_HASH = 3;
/** Versions that it is visible in: from, until (exclusive). */
const R_FROM = 4;
const R_UNTIL = 5;
/** Next rule with the same match and a lower or equal priority, -1 at the end. */
const R_NEXT = 6;
/** 32 bytes: a rule is in one cache line. */
const RULE_WORDS = 8;

// The plan of a lookup in a subtable: one cache line, so that a subtable without a match costs little more.
const P_PRIORITY = 0;
const P_SEED = 1;
/** Bit n: a trie counts some prefix of stage n. */
const P_TRIED = 2;
const P_LAST = 3;
/** Places in `#pairs`: of the first word, after each stage's last, and after the last. */
const P_START = 4;
const P_ENDS = 5;
const P_END = P_ENDS + STAGES;
const PLAN_WORDS = 16;

export interface ClassifierOptions {
  /** Fields to keep prefix tries on (Flow_Table.prefixes), at most four. Default: IPv4 and IPv6 addresses. */
  readonly prefixes?: readonly string[];
  /** For measurements only: techniques to leave out. */
  readonly without?: readonly ("priorities" | "stages" | "tries" | "ports")[];
}

const DEFAULT_PREFIXES = ["nw_dst", "nw_src", "ipv6_dst", "ipv6_src"];
/** Words of the fields that may have a trie: addresses and tunnel IDs. */
const TRIE_WORDS: ReadonlySet<number> = new Set([
  W_IPV4_SRC,
  W_IPV4_DST,
  W_IPV6_SRC,
  W_IPV6_DST,
  W_CT_NW_SRC,
  W_CT_NW_DST,
  W_CT_IPV6_SRC,
  W_CT_IPV6_DST,
  W_TUN_ID_HI,
  W_TUN_SRC,
  W_TUN_DST,
  W_TUN_IPV6_SRC,
  W_TUN_IPV6_DST,
]);

/** Whether a trie can be kept on the field, in the words of a complaint about Flow_Table.prefixes. */
export function prefixField(name: string): "compatible" | "incompatible" | "unknown" {
  const field = fieldByName(name);
  if (field === undefined) return "unknown";
  const whole = field.bits === 32 || field.bits === 64 || field.bits === 128;
  return whole && TRIE_WORDS.has(field.places[0]![0]) && !name.startsWith("arp")
    ? "compatible"
    : "incompatible";
}

/** A match without the words that it does not care for. */
export interface PackedMatch {
  readonly words: Int32Array;
  readonly masks: Int32Array;
  readonly values: Int32Array;
  readonly tunMetadata: Match["tunMetadata"];
}

export function unpackMatch({ words, masks, values, tunMetadata }: PackedMatch): Match {
  const match = makeMatch();
  for (let i = 0; i < words.length; i++) {
    match.mask[words[i]!] = masks[i]!;
    match.flow[words[i]!] = values[i]!;
  }
  match.tunMetadata = tunMetadata;
  return match;
}

export class Classifier {
  #tries: PrefixTrie[] = [];
  /** Deciding bits of each trie's answer in the lookup under way, -1 before it was asked, -2 when not applicable. */
  #trieBits = new Int32Array(4);
  readonly #sorts: boolean;
  readonly #stages: boolean;
  readonly #usesTries: boolean;
  readonly #portTries: boolean;

  #subtables: (Subtable | undefined)[] = [];
  #freeSubtables: number[] = [];
  #byMask = new Map<number, Subtable[]>();
  /** By falling max priority. */
  #order: Subtable[] = [];
  #unsorted = false;
  /** PLAN_WORDS for each of `#order`, and their words and masks: what a lookup goes through from front to back. */
  #plan = new Int32Array(0);
  #pairs = new Int32Array(0);
  /** Of the rules' hashes up to the end of each stage but the last; subtables begin with different seeds. */
  #partial = new HashCounter();

  /** RULE_WORDS a rule, together because a lookup reads most of them. */
  #rules = new Int32Array(16 * RULE_WORDS);
  #used = 0;
  #free: number[] = [];
  #size = 0;
  #conjunctions = new Map<RuleHandle, readonly Conjunction[]>();
  #tunMetadata = new Map<RuleHandle, readonly TunMetadataSlot[]>();
  #soft = new SoftMatches();

  constructor(options: ClassifierOptions = {}) {
    const without = options.without ?? [];
    this.#sorts = !without.includes("priorities");
    this.#stages = !without.includes("stages");
    this.#usesTries = !without.includes("tries");
    this.#portTries = !without.includes("ports");
    this.#tries = makeTries(options.prefixes ?? DEFAULT_PREFIXES);
  }

  /** Rules in any version. */
  get size(): number {
    return this.#size;
  }

  /** Different masks in use. */
  get subtables(): number {
    return this.#order.length;
  }

  /** Replaces the prefix tries; undefined: the default. True when that changed what lookups un-wildcard. */
  setPrefixes(prefixes: readonly string[] | undefined): boolean {
    const tries = makeTries(prefixes ?? DEFAULT_PREFIXES);
    if (tries.length === this.#tries.length && tries.every((trie, i) => trie.word === this.#tries[i]!.word)) {
      return false;
    }
    const rules: { rule: RuleHandle; match: Match }[] = [];
    for (const rule of this.rules()) rules.push({ rule, match: this.matchOf(rule) });
    this.#tries = tries;
    this.#subtables = [];
    this.#freeSubtables = [];
    this.#byMask.clear();
    this.#order = [];
    this.#partial = new HashCounter();
    for (const { rule, match } of rules) this.#place(rule, match);
    return true;
  }

  /**
   * Adds a rule that is visible from `version` on. The same match and priority may be there already in other versions
   * (and even in the same: the caller looks with {@link findExact} first). `conjunctions` makes it part of
   * conjunctive matches instead of an answer.
   */
  insert(
    match: Match,
    priority: number,
    version = 0,
    conjunctions?: readonly Conjunction[] | undefined,
  ): RuleHandle {
    const rule = this.#free.pop() ?? this.#newRule();
    this.#rules[rule * RULE_WORDS + R_PRIORITY] = priority;
    this.#rules[rule * RULE_WORDS + R_FROM] = version;
    this.#rules[rule * RULE_WORDS + R_UNTIL] = NEVER_HIDDEN;
    if (conjunctions !== undefined && conjunctions.length > 0) this.#conjunctions.set(rule, conjunctions);
    if (match.tunMetadata !== undefined) this.#tunMetadata.set(rule, match.tunMetadata);
    this.#place(rule, match);
    this.#size++;
    return rule;
  }

  /** Changes what conjunctions a rule is part of; empty makes it an ordinary rule. */
  setConjunctions(rule: RuleHandle, conjunctions: readonly Conjunction[]): void {
    if (conjunctions.length > 0) this.#conjunctions.set(rule, conjunctions);
    else this.#conjunctions.delete(rule);
  }

  /** The rule is invisible from `version` on; it stays until {@link remove}. */
  hideFrom(rule: RuleHandle, version: number): void {
    this.#rules[rule * RULE_WORDS + R_UNTIL] = version;
  }

  /** Takes {@link hideFrom} back. */
  unhide(rule: RuleHandle): void {
    this.#rules[rule * RULE_WORDS + R_UNTIL] = NEVER_HIDDEN;
  }

  isVisible(rule: RuleHandle, version: number): boolean {
    return (
      this.#rules[rule * RULE_WORDS + R_FROM]! <= version &&
      version < this.#rules[rule * RULE_WORDS + R_UNTIL]!
    );
  }

  remove(rule: RuleHandle): void {
    const subtable = this.#subtables[this.#rules[rule * RULE_WORDS + R_SUBTABLE]!]!;
    this.#unchain(subtable, rule);
    this.#countPrefixes(subtable, rule, -1);
    subtable.countPriority(this.#rules[rule * RULE_WORDS + R_PRIORITY]!, -1);
    if (subtable.stale) this.#unsorted = true;
    subtable.freeRows.push(this.#rules[rule * RULE_WORDS + R_ROW]!);
    if (subtable.freeRows.length === subtable.rows) this.#dropSubtable(subtable);
    this.#rules[rule * RULE_WORDS + R_SUBTABLE] = -1;
    this.#conjunctions.delete(rule);
    this.#tunMetadata.delete(rule);
    this.#free.push(rule);
    this.#size--;
  }

  /** The rule with exactly this match and priority visible in `version`, or -1. */
  findExact(match: Match, priority: number, version = VERSION_MAX): RuleHandle {
    const subtable = this.#findSubtable(match.mask, hashMask(match.mask));
    if (subtable === undefined) return -1;
    const slot = this.#findSlot(subtable, subtable.hashAll(match.flow), match.flow);
    for (let rule = subtable.slots[slot]! - 1; rule >= 0; rule = this.#rules[rule * RULE_WORDS + R_NEXT]!) {
      if (this.#rules[rule * RULE_WORDS + R_PRIORITY] === priority && this.isVisible(rule, version))
        return rule;
    }
    return -1;
  }

  /**
   * The highest-priority rule that matches `flow` and is visible in `version`, or -1. When `wildcards` is given, the
   * mask bits that decided the answer are or-ed into it: every flow that equals `flow` in them gets the same answer.
   * `clauses` is given the rules of the conjunction that led to the answer, when one did.
   */
  lookup(
    flow: Flow,
    wildcards: Flow | undefined,
    version = VERSION_MAX,
    clauses: RuleHandle[] | undefined = undefined,
  ): RuleHandle {
    return this.#lookup(flow, wildcards, version, this.#conjunctions.size > 0, clauses);
  }

  priorityOf(rule: RuleHandle): number {
    return this.#rules[rule * RULE_WORDS + R_PRIORITY]!;
  }

  conjunctionsOf(rule: RuleHandle): readonly Conjunction[] {
    return this.#conjunctions.get(rule) ?? [];
  }

  /** A copy of the rule's match. */
  matchOf(rule: RuleHandle): Match {
    const subtable = this.#subtables[this.#rules[rule * RULE_WORDS + R_SUBTABLE]!]!;
    const flow = new Int32Array(FLOW_WORDS);
    const mask = new Int32Array(FLOW_WORDS);
    subtable.expand(this.#rules[rule * RULE_WORDS + R_ROW]!, flow);
    unwildcard(mask, subtable.pairs, 0, subtable.pairs.length);
    return { flow, mask, tunMetadata: this.#tunMetadata.get(rule) };
  }

  /** The same in a few words, for a rule that is about to leave. */
  packedMatchOf(rule: RuleHandle): PackedMatch {
    const { words, masks, values } = this.#subtables[this.#rules[rule * RULE_WORDS + R_SUBTABLE]!]!;
    const at = this.#rules[rule * RULE_WORDS + R_ROW]! * words.length;
    return {
      words,
      masks,
      values: values.slice(at, at + words.length),
      tunMetadata: this.#tunMetadata.get(rule),
    };
  }

  /** Some visible rule of this priority matches a packet that `match` matches too: the OpenFlow overlap check. */
  overlaps(match: Match, priority: number, version = VERSION_MAX): boolean {
    for (const subtable of this.#order) {
      if (!subtable.priorities.has(priority)) continue;
      for (const rule of this.#rulesOf(subtable)) {
        if (this.#rules[rule * RULE_WORDS + R_PRIORITY] !== priority || !this.isVisible(rule, version))
          continue;
        if (this.#agrees(subtable, this.#rules[rule * RULE_WORDS + R_ROW]!, match.flow, match.mask))
          return true;
      }
    }
    return false;
  }

  /**
   * All rules, or those at least as specific as `target` (non-strict), in all versions or the given one. The walk may
   * go on while rules are removed; rules that are added meanwhile may be missed.
   */
  *rules(target?: Match, version?: number): Generator<RuleHandle> {
    for (let rule = 0; rule < this.#used; rule++) {
      const id = this.#rules[rule * RULE_WORDS + R_SUBTABLE]!;
      if (id < 0 || (version !== undefined && !this.isVisible(rule, version))) continue;
      if (
        target !== undefined &&
        !this.#within(this.#subtables[id]!, this.#rules[rule * RULE_WORDS + R_ROW]!, target)
      )
        continue;
      yield rule;
    }
  }

  #lookup(
    flow: Flow,
    wildcards: Flow | undefined,
    version: number,
    conjunctive: boolean,
    clauses: RuleHandle[] | undefined,
  ): RuleHandle {
    if (this.#unsorted) this.#sort();
    if (wildcards !== undefined) for (let i = 0; i < 4; i++) this.#trieBits[i] = -1;
    const soft = this.#soft;
    if (conjunctive) soft.length = 0;
    const plan = this.#plan;
    const end = this.#order.length * PLAN_WORDS;
    let best = -1;
    let bestPriority = -1;
    for (let at = 0; at < end; at += PLAN_WORDS) {
      if (this.#sorts && bestPriority >= plan[at + P_PRIORITY]!) break;
      let rule = this.#match(at, flow, wildcards);
      for (; rule >= 0; rule = this.#rules[rule * RULE_WORDS + R_NEXT]!) {
        if (
          this.#rules[rule * RULE_WORDS + R_FROM]! > version ||
          version >= this.#rules[rule * RULE_WORDS + R_UNTIL]!
        )
          continue;
        if (conjunctive && this.#conjunctions.has(rule)) {
          soft.push(rule, this.#rules[rule * RULE_WORDS + R_PRIORITY]!);
          continue;
        }
        if (this.#conjunctions.size > 0 && this.#conjunctions.has(rule)) continue;
        if (this.#rules[rule * RULE_WORDS + R_PRIORITY]! > bestPriority) {
          best = rule;
          bestPriority = this.#rules[rule * RULE_WORDS + R_PRIORITY]!;
        }
        break;
      }
    }
    if (conjunctive && soft.length > 0)
      return this.#resolve(flow, wildcards, version, best, bestPriority, clauses);
    return best;
  }

  /** The conj_id rules that the soft matches lead to, from the highest priority down, against the best hard match. */
  #resolve(
    flow: Flow,
    wildcards: Flow | undefined,
    version: number,
    best: RuleHandle,
    bestPriority: number,
    clauses: RuleHandle[] | undefined,
  ): RuleHandle {
    const groups = this.#soft.take(bestPriority);
    const saved = flow[W_CONJ_ID]!;
    for (const rules of groups) {
      for (const id of conjunctionsMet(rules, this.#conjunctions)) {
        flow[W_CONJ_ID] = id;
        const found = this.#lookup(flow, wildcards, version, false, undefined);
        flow[W_CONJ_ID] = saved;
        if (found < 0) continue;
        if (clauses !== undefined) {
          for (const rule of rules)
            if (this.conjunctionsOf(rule).some((conjunction) => conjunction.id === id)) clauses.push(rule);
        }
        return found;
      }
    }
    return best;
  }

  /** Head of the chain that has the flow's values in the subtable planned at `at`, or -1. */
  #match(at: number, flow: Flow, wildcards: Flow | undefined): RuleHandle {
    const plan = this.#plan;
    const pairs = this.#pairs;
    const start = plan[at + P_START]!;
    const last = plan[at + P_LAST]!;
    // Tries and stages tell which bits decide; without anybody who asks, one stage before the whole is the quickest.
    const tried = wildcards === undefined ? 0 : plan[at + P_TRIED]!;
    let hash = plan[at + P_SEED]!;
    let from = start;
    if (this.#stages) {
      for (let stage = 0; stage <= last; stage++) {
        const end = plan[at + P_ENDS + stage]!;
        if (end === from) continue;
        // A stage whose hash nobody has is not reached by the tries of later ones, which would narrow the megaflow.
        if ((tried & (1 << stage)) !== 0 && this.#excluded(at, stage, flow, wildcards!)) {
          unwildcard(wildcards!, pairs, start, from);
          return -1;
        }
        if (stage === last) break;
        hash = hashPairs(flow, hash, pairs, from, end);
        from = end;
        if (!this.#partial.has(hash)) {
          if (wildcards !== undefined) unwildcard(wildcards, pairs, start, end);
          return -1;
        }
        if (wildcards === undefined) break;
      }
    } else if (tried !== 0 && this.#excluded(at, -1, flow, wildcards!)) return -1;
    const end = plan[at + P_END]!;
    hash = finishHash(hashPairs(flow, hash, pairs, from, end));
    const subtable = this.#order[at / PLAN_WORDS]!;
    const head = subtable.slots[this.#findSlot(subtable, hash, flow)]! - 1;
    if (wildcards === undefined) return head;
    if (head < 0 && this.#portTries && subtable.ports !== undefined) missByPorts(subtable, flow, wildcards);
    else unwildcard(wildcards, pairs, start, end);
    return head;
  }

  /** A trie of this stage (-1: of any) shows that no rule here can match; the bits that show it are un-wildcarded. */
  #excluded(at: number, stage: number, flow: Flow, wildcards: Flow): boolean {
    const subtable = this.#order[at / PLAN_WORDS]!;
    const lengths = subtable.trieLengths;
    for (let i = 0; i < lengths.length; i++) {
      const length = lengths[i]!;
      if (length === 0 || (stage >= 0 && subtable.trieStages[i] !== stage)) continue;
      const trie = this.#tries[i]!;
      let bits = this.#trieBits[i]!;
      if (bits === -1) {
        bits = trieApplies(trie, flow) ? trie.lookup(flow, trie.word) : -2;
        this.#trieBits[i] = bits;
      }
      if (bits < 0 || trie.hasLength(length)) continue;
      // Never un-wildcard more than the subtable itself would.
      if (bits <= length) {
        setPrefix(wildcards, trie.word, bits);
        return true;
      }
      if (prefixIsSet(wildcards, trie.word, bits)) return true;
    }
    return false;
  }

  /** Slot of the chain with these values, or the empty slot where it would go. */
  #findSlot(subtable: Subtable, hash: number, flow: Flow): number {
    const slots = subtable.slots;
    const mask = slots.length - 1;
    for (let slot = (hash << 1) & mask; ; slot = (slot + 2) & mask) {
      const head = slots[slot]!;
      if (head === 0) return slot;
      if (slots[slot + 1] === hash && subtable.rowEquals(this.#rules[(head - 1) * RULE_WORDS + R_ROW]!, flow))
        return slot;
    }
  }

  #place(rule: RuleHandle, match: Match): void {
    const hash = hashMask(match.mask);
    const subtable = this.#findSubtable(match.mask, hash) ?? this.#addSubtable(match.mask, hash);
    this.#rules[rule * RULE_WORDS + R_SUBTABLE] = subtable.id;
    this.#rules[rule * RULE_WORDS + R_ROW] = subtable.addRow(match.flow);
    this.#rules[rule * RULE_WORDS + R_HASH] = subtable.hashAll(match.flow);
    const before = subtable.maxPriority;
    subtable.countPriority(this.#rules[rule * RULE_WORDS + R_PRIORITY]!, 1);
    if (subtable.maxPriority !== before) this.#unsorted = true;
    this.#chain(subtable, rule, match.flow);
    this.#countPrefixes(subtable, rule, 1);
  }

  #chain(subtable: Subtable, rule: RuleHandle, flow: Flow): void {
    if ((subtable.chains + 1) * 4 > subtable.slots.length) growSlots(subtable);
    const slot = this.#findSlot(subtable, this.#rules[rule * RULE_WORDS + R_HASH]!, flow);
    const priority = this.#rules[rule * RULE_WORDS + R_PRIORITY]!;
    let before = -1;
    let at = subtable.slots[slot]! - 1;
    if (at < 0) subtable.chains++;
    // Of equal priorities, the one that was added last comes first.
    while (at >= 0 && this.#rules[at * RULE_WORDS + R_PRIORITY]! > priority) {
      before = at;
      at = this.#rules[at * RULE_WORDS + R_NEXT]!;
    }
    this.#rules[rule * RULE_WORDS + R_NEXT] = at;
    if (before < 0) {
      subtable.slots[slot] = rule + 1;
      subtable.slots[slot + 1] = this.#rules[rule * RULE_WORDS + R_HASH]!;
    } else this.#rules[before * RULE_WORDS + R_NEXT] = rule;
  }

  #unchain(subtable: Subtable, rule: RuleHandle): void {
    const slots = subtable.slots;
    const mask = slots.length - 1;
    let slot = (this.#rules[rule * RULE_WORDS + R_HASH]! << 1) & mask;
    for (; ; slot = (slot + 2) & mask) {
      let before = -1;
      let at = slots[slot]! - 1;
      while (at >= 0 && at !== rule) {
        before = at;
        at = this.#rules[at * RULE_WORDS + R_NEXT]!;
      }
      if (at < 0) continue;
      if (before >= 0) this.#rules[before * RULE_WORDS + R_NEXT] = this.#rules[rule * RULE_WORDS + R_NEXT]!;
      else slots[slot] = this.#rules[rule * RULE_WORDS + R_NEXT]! + 1;
      break;
    }
    if (slots[slot] !== 0) return;
    subtable.chains--;
    for (let at = (slot + 2) & mask; slots[at] !== 0; at = (at + 2) & mask) {
      const home = (slots[at + 1]! << 1) & mask;
      if (((at - home) & mask) < ((at - slot) & mask)) continue;
      slots[slot] = slots[at]!;
      slots[slot + 1] = slots[at + 1]!;
      slots[at] = 0;
      slot = at;
    }
  }

  /** Enters a rule into, or takes it out of, stage hashes and tries. */
  #countPrefixes(subtable: Subtable, rule: RuleHandle, by: 1 | -1): void {
    const scratch = SCRATCH;
    subtable.expand(this.#rules[rule * RULE_WORDS + R_ROW]!, scratch);
    let hash = subtable.seed;
    let from = 0;
    for (let stage = 0; stage < subtable.lastStage; stage++) {
      const end = subtable.stageEnds[stage]!;
      if (end === from) continue;
      hash = hashPairs(scratch, hash, subtable.pairs, from * 2, end * 2);
      from = end;
      if (by > 0) this.#partial.add(hash);
      else this.#partial.remove(hash);
    }
    for (let i = 0; i < this.#tries.length; i++) {
      const length = subtable.trieLengths[i]!;
      if (length > 0) countPrefix(this.#tries[i]!, scratch, length, by);
    }
    if (subtable.ports !== undefined) countPrefix(subtable.ports, scratch, 32, by);
    for (const word of subtable.words) scratch[word] = 0;
  }

  #findSubtable(mask: Flow, hash: number): Subtable | undefined {
    return this.#byMask.get(hash)?.find((subtable) => subtable.hasMask(mask));
  }

  #addSubtable(mask: Flow, hash: number): Subtable {
    const id = this.#freeSubtables.pop() ?? this.#subtables.length;
    const subtable = new Subtable(id, hash, mask, this.#tries);
    this.#subtables[id] = subtable;
    const same = this.#byMask.get(hash);
    if (same === undefined) this.#byMask.set(hash, [subtable]);
    else same.push(subtable);
    this.#order.push(subtable);
    this.#unsorted = true;
    return subtable;
  }

  #dropSubtable(subtable: Subtable): void {
    const same = this.#byMask.get(subtable.hash)!.filter((other) => other !== subtable);
    if (same.length > 0) this.#byMask.set(subtable.hash, same);
    else this.#byMask.delete(subtable.hash);
    this.#order.splice(this.#order.indexOf(subtable), 1);
    this.#unsorted = true;
    this.#subtables[subtable.id] = undefined;
    this.#freeSubtables.push(subtable.id);
  }

  #sort(): void {
    this.#unsorted = false;
    for (const subtable of this.#order) if (subtable.stale) subtable.refreshMax();
    if (this.#sorts) this.#order.sort((a, b) => b.maxPriority - a.maxPriority);
    this.#makePlan();
  }

  #makePlan(): void {
    const order = this.#order;
    if (this.#plan.length < order.length * PLAN_WORDS)
      this.#plan = new Int32Array(order.length * 2 * PLAN_WORDS);
    let words = 0;
    for (const subtable of order) words += subtable.pairs.length;
    if (this.#pairs.length < words) this.#pairs = new Int32Array(words * 2);
    const plan = this.#plan;
    let at = 0;
    let start = 0;
    for (const subtable of order) {
      const { pairs } = subtable;
      this.#pairs.set(pairs, start);
      plan[at + P_PRIORITY] = subtable.maxPriority;
      plan[at + P_SEED] = subtable.seed;
      plan[at + P_TRIED] = this.#usesTries ? subtable.triedStages : 0;
      plan[at + P_LAST] = subtable.lastStage;
      plan[at + P_START] = start;
      for (let stage = 0; stage < STAGES; stage++)
        plan[at + P_ENDS + stage] = start + subtable.stageEnds[stage]! * 2;
      plan[at + P_END] = start += pairs.length;
      at += PLAN_WORDS;
    }
  }

  #newRule(): RuleHandle {
    if (this.#used * RULE_WORDS === this.#rules.length) {
      const grown = new Int32Array(this.#rules.length * 2);
      grown.set(this.#rules);
      this.#rules = grown;
    }
    return this.#used++;
  }

  *#rulesOf(subtable: Subtable): Generator<RuleHandle> {
    for (let slot = 0; slot < subtable.slots.length; slot += 2) {
      for (let rule = subtable.slots[slot]! - 1; rule >= 0; rule = this.#rules[rule * RULE_WORDS + R_NEXT]!)
        yield rule;
    }
  }

  /** The row's values and `flow` do not contradict each other in the bits that both care for. */
  #agrees(subtable: Subtable, row: number, flow: Flow, mask: Flow): boolean {
    const { words, masks, values } = subtable;
    for (let i = 0, at = row * words.length; i < words.length; i++, at++) {
      const word = words[i]!;
      if (((values[at]! ^ flow[word]!) & masks[i]! & mask[word]!) !== 0) return false;
    }
    return true;
  }

  /** The row is at least as specific as `target`. */
  #within(subtable: Subtable, row: number, target: Match): boolean {
    const { words, masks, values } = subtable;
    let seen = 0;
    for (let i = 0, at = row * words.length; i < words.length; i++, at++) {
      const word = words[i]!;
      const bits = target.mask[word]!;
      if (bits === 0) continue;
      seen++;
      if ((bits & ~masks[i]!) !== 0 || ((values[at]! ^ target.flow[word]!) & bits) !== 0) return false;
    }
    return seen === countWords(target.mask);
  }
}

/** Ors the mask bits of `pairs` from place `start` to `end` into `wildcards`. */
function unwildcard(wildcards: Flow, pairs: Int32Array, start: number, end: number): void {
  for (let i = start; i < end; i += 2) wildcards[pairs[i]!] = wildcards[pairs[i]!]! | pairs[i + 1]!;
}

function growSlots(subtable: Subtable): void {
  const old = subtable.slots;
  const slots = new Int32Array(old.length * 2);
  const mask = slots.length - 1;
  for (let i = 0; i < old.length; i += 2) {
    if (old[i] === 0) continue;
    let slot = (old[i + 1]! << 1) & mask;
    while (slots[slot] !== 0) slot = (slot + 2) & mask;
    slots[slot] = old[i]!;
    slots[slot + 1] = old[i + 1]!;
  }
  subtable.slots = slots;
}

const SCRATCH = new Int32Array(FLOW_WORDS);

function countWords(mask: Flow): number {
  let count = 0;
  for (let word = 0; word < FLOW_WORDS; word++) if (mask[word] !== 0) count++;
  return count;
}

function hashMask(mask: Flow): number {
  let hash = 0;
  for (let word = 0; word < FLOW_WORDS; word++)
    if (mask[word] !== 0) hash = mixHash(hash + word, mask[word]!);
  return finishHash(hash);
}

function makeTries(names: readonly string[]): PrefixTrie[] {
  const tries: PrefixTrie[] = [];
  for (const name of names) {
    if (tries.length === 4 || prefixField(name) !== "compatible") continue;
    const field = fieldByName(name)!;
    tries.push(new PrefixTrie(field.places[0]![0], field.bits));
  }
  return tries;
}

function countPrefix(trie: PrefixTrie, row: Flow, length: number, by: 1 | -1): void {
  if (by > 0) trie.insert(row, trie.word, length);
  else trie.remove(row, trie.word, length);
}

/** Addresses mean something in packets of their kind only (the IPv4 words serve ARP too, where tries are not asked). */
function trieApplies(trie: PrefixTrie, flow: Flow): boolean {
  const type = flow[W_ETH_TYPE]!;
  if (trie.word === W_IPV6_SRC || trie.word === W_IPV6_DST) return type === 0x86dd;
  if (trie.word === W_IPV4_SRC || trie.word === W_IPV4_DST) return type === 0x0800;
  return true;
}

function setPrefix(wildcards: Flow, word: number, bits: number): void {
  for (; bits >= 32; bits -= 32) wildcards[word++] = -1;
  if (bits > 0) wildcards[word] = wildcards[word]! | (-1 << (32 - bits));
}

function prefixIsSet(wildcards: Flow, word: number, bits: number): boolean {
  for (; bits >= 32; bits -= 32) if (wildcards[word++] !== -1) return false;
  return bits === 0 || ~wildcards[word]! >>> (32 - bits) === 0;
}

/** No rule here has the packet's values: all other words count, and of the ports the bits that tell them from rules'. */
function missByPorts(subtable: Subtable, flow: Flow, wildcards: Flow): void {
  const { words, masks, portsMask } = subtable;
  PORTS[0] = flow[W_TP]! & portsMask;
  const bits = subtable.ports!.lookup(PORTS, 0);
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (word !== W_TP) wildcards[word] = wildcards[word]! | masks[i]!;
  }
  if (bits > 0) wildcards[W_TP] = wildcards[W_TP]! | (portsMask & (-1 << (32 - bits)));
}

const PORTS = new Int32Array(1);
