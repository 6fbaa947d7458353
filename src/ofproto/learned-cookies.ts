/**
 * What learn actions need to know of the tables: which learned flows go when the last action that made them has gone
 * (`delete_learned`), and how many flows have a cookie (`limit`). Flows are known by table and cookie.
 */
import type { Ofpact } from "../openflow/actions.ts";
import type { Rule } from "./rule.ts";

const DELETE_LEARNED = 2;

export interface LearnTarget {
  table: number;
  cookie: bigint;
}

function keyOf(table: number, cookie: bigint): string {
  return `${table} ${cookie}`;
}

/** The targets of the learn actions in `actions` that delete what they have learned. */
function* targets(actions: readonly Ofpact[]): IterableIterator<LearnTarget> {
  for (const action of actions) {
    if (action.type === "learn" && (action.flags & DELETE_LEARNED) !== 0) yield action;
    else if (action.type === "clone" || action.type === "write_actions") yield* targets(action.actions);
  }
}

export class LearnedCookies {
  /** Learn actions by their target, of those that delete what they have learned. */
  private readonly users = new Map<string, number>();
  /** Targets that have lost a user. */
  private lost: LearnTarget[] = [];
  /** Flows by table and cookie, of those that somebody has asked for. */
  private readonly counted = new Map<string, number>();

  ruleAdded(rule: Rule): void {
    this.actionsAdded(rule.actions);
    this.count(rule, 1);
  }

  ruleRemoved(rule: Rule): void {
    this.actionsRemoved(rule.actions);
    this.count(rule, -1);
  }

  /** A rule gets other actions and perhaps another cookie. */
  ruleChanges(rule: Rule, actions: readonly Ofpact[], cookie: bigint): void {
    this.actionsAdded(actions);
    this.actionsRemoved(rule.actions);
    if (cookie === rule.cookie) return;
    this.count(rule, -1);
    this.count({ table: rule.table, cookie }, 1);
  }

  private actionsAdded(actions: readonly Ofpact[]): void {
    for (const { table, cookie } of targets(actions)) {
      const key = keyOf(table, cookie);
      this.users.set(key, (this.users.get(key) ?? 0) + 1);
    }
  }

  private actionsRemoved(actions: readonly Ofpact[]): void {
    for (const { table, cookie } of targets(actions)) {
      const key = keyOf(table, cookie);
      const users = this.users.get(key)! - 1;
      if (users > 0) this.users.set(key, users);
      else this.users.delete(key);
      this.lost.push({ table, cookie });
    }
  }

  /** Takes the targets that have no user any more. */
  takeAbandoned(): LearnTarget[] {
    if (this.lost.length === 0) return [];
    const lost = this.lost;
    this.lost = [];
    return lost.filter(({ table, cookie }) => !this.users.has(keyOf(table, cookie)));
  }

  private count({ table, cookie }: LearnTarget, by: number): void {
    if (this.counted.size === 0) return;
    const key = keyOf(table, cookie);
    const old = this.counted.get(key);
    if (old !== undefined) this.counted.set(key, old + by);
  }

  /** Flows of `table` with `cookie`; `rules` is asked the first time only. */
  flowsWith(table: number, cookie: bigint, rules: () => Iterable<Rule>): number {
    const key = keyOf(table, cookie);
    let count = this.counted.get(key);
    if (count === undefined) {
      count = 0;
      for (const rule of rules()) if (rule.cookie === cookie) count++;
      this.counted.set(key, count);
    }
    return count;
  }
}
