/**
 * Conjunctive match: rules whose only action is conjunction(id, k/n) are "soft" matches. When soft matches of one
 * priority cover all n clauses of an id, the packet is looked up again as if its conj_id were that id.
 */

export interface Conjunction {
  readonly id: number;
  /** 0-based dimension. */
  readonly clause: number;
  /** How many clauses the conjunction has, 2 to 64. */
  readonly clauses: number;
}

/** The soft matches of one lookup. */
export class SoftMatches {
  #rules: number[] = [];
  #priorities: number[] = [];
  length = 0;

  push(rule: number, priority: number): void {
    this.#rules[this.length] = rule;
    this.#priorities[this.length] = priority;
    this.length++;
  }

  /** The rules above `floor`, grouped by priority, highest first. Empties the list. */
  take(floor: number): number[][] {
    const groups = new Map<number, number[]>();
    for (let i = 0; i < this.length; i++) {
      const priority = this.#priorities[i]!;
      if (priority <= floor) continue;
      const group = groups.get(priority);
      if (group === undefined) groups.set(priority, [this.#rules[i]!]);
      else group.push(this.#rules[i]!);
    }
    this.length = 0;
    return [...groups].sort(([a], [b]) => b - a).map(([, rules]) => rules);
  }
}

/** Ids all of whose clauses some of `rules` are for, in ascending order. */
export function conjunctionsMet(
  rules: readonly number[],
  conjunctions: ReadonlyMap<number, readonly Conjunction[]>,
): number[] {
  const clauses = new Map<string, { id: number; wanted: number; met: Set<number> }>();
  for (const rule of rules) {
    for (const { id, clause, clauses: wanted } of conjunctions.get(rule) ?? []) {
      const key = `${id}/${wanted}`;
      const entry = clauses.get(key) ?? { id, wanted, met: new Set<number>() };
      entry.met.add(clause);
      clauses.set(key, entry);
    }
  }
  const met = [...clauses.values()].filter(({ wanted, met }) => met.size === wanted);
  return met.map(({ id }) => id).sort((a, b) => a - b);
}
