/**
 * The classifier of OpenFlow tables: tuple space search with priorities, staged lookup, prefix tries, versions and
 * conjunctive match. Rules are small integers (handles) that the owner keeps its own data by.
 */
import type { Flow } from "../layout.ts";
import type { Match } from "../match.ts";

/** Names a rule while it is in the classifier; dense, reused after remove. */
export type RuleHandle = number;

/** A version later than all others. */
export const VERSION_MAX = 0x7fffffff;

export interface ClassifierOptions {
  /** Prefix tries on nw_src, nw_dst, ipv6_src, ipv6_dst, tp_src, tp_dst. Default all. */
  readonly prefixes?: readonly string[];
}

export interface Conjunction {
  readonly id: number;
  /** 0-based dimension. */
  readonly clause: number;
  readonly clauses: number;
}

export class Classifier {
  constructor(_options?: ClassifierOptions) {}

  get size(): number {
    throw new Error("not implemented");
  }

  /** Adds a rule; the same match and priority may be there already in other versions. */
  insert(
    _match: Match,
    _priority: number,
    _version?: number,
    _conjunctions?: readonly Conjunction[],
  ): RuleHandle {
    throw new Error("not implemented");
  }

  /** The rule is invisible from `version` on; it stays until {@link remove}. */
  hideFrom(_rule: RuleHandle, _version: number): void {
    throw new Error("not implemented");
  }

  remove(_rule: RuleHandle): void {
    throw new Error("not implemented");
  }

  /** The rule with exactly this match and priority visible in `version`, or -1. */
  findExact(_match: Match, _priority: number, _version?: number): RuleHandle {
    throw new Error("not implemented");
  }

  /**
   * The highest-priority rule that matches `flow` and is visible in `version`, or -1. When `wildcards` is given, the
   * mask bits that decided the answer are or-ed into it.
   */
  lookup(_flow: Flow, _wildcards: Flow | undefined, _version?: number): RuleHandle {
    throw new Error("not implemented");
  }

  priorityOf(_rule: RuleHandle): number {
    throw new Error("not implemented");
  }

  /** A copy of the rule's match. */
  matchOf(_rule: RuleHandle): Match {
    throw new Error("not implemented");
  }

  /** Visible rules that overlap with `match` at the same priority: the OpenFlow overlap check. */
  overlaps(_match: Match, _priority: number, _version?: number): boolean {
    throw new Error("not implemented");
  }

  /** All rules, or those within `target` (non-strict) when given. Safe against removal during the walk. */
  rules(_target?: Match, _version?: number): Iterable<RuleHandle> {
    throw new Error("not implemented");
  }
}
