/**
 * What a flow_mod does to the tables (OpenFlow 1.0 section 4.6 to 1.5.1 section 6.4; upstream: add_flow_start and kin).
 * Nothing here knows connections: the caller reports errors, flow_removed goes out through {@link FlowEvents}.
 */
import type { Match } from "../flow/match.ts";
import type { Ofpact } from "../openflow/actions.ts";
import { OfpError } from "../openflow/errors.ts";
import {
  type FlowMod,
  OFPFC_ADD,
  OFPFC_DELETE,
  OFPFC_DELETE_STRICT,
  OFPFC_MODIFY,
  OFPFC_MODIFY_STRICT,
  OFPUTIL_FF_CHECK_OVERLAP,
  OFPUTIL_FF_RESET_COUNTS,
} from "../openflow/messages.ts";
import { type FlowTable, TBL_INTERNAL } from "./flow-table.ts";
import { LearnedCookies } from "./learned-cookies.ts";
import { Rule, type RuleSpec } from "./rule.ts";

export const OFPRR_IDLE_TIMEOUT = 0;
export const OFPRR_HARD_TIMEOUT = 1;
export const OFPRR_DELETE = 2;
export const OFPRR_GROUP_DELETE = 3;
export const OFPRR_METER_DELETE = 4;
export const OFPRR_EVICTION = 5;

/** new_cookie of a modification that names none. */
const NO_COOKIE = 0xffff_ffff_ffff_ffffn;

/** On whose behalf rules change: a connection, and the message that says so. */
export interface Actor {
  readonly connection: object;
  readonly xid: number;
}

export interface FlowEvents {
  added(rule: Rule, actor: Actor | undefined): void;
  /** `old`: the actions before. */
  modified(rule: Rule, old: readonly Ofpact[], actor: Actor | undefined): void;
  removed(rule: Rule, reason: number, actor: Actor | undefined): void;
  /** A table that somebody watches has fewer free places than `vacancyDown`, or more than `vacancyUp`. */
  vacancyCrossed(table: FlowTable, isUp: boolean): void;
}

/** Which rules a request speaks of, beyond the match. */
export interface RuleCriteria {
  /** 255: all. */
  table: number;
  match: Match;
  /** -1: not strict. */
  priority: number;
  cookie: bigint;
  cookieMask: bigint;
  /** 0xffff: any. */
  outPort: number;
  /** 0xffffffff: any. */
  outGroup: number;
  /** Hidden rules too. */
  hidden: boolean;
}

export class FlowTables {
  readonly tables: readonly FlowTable[];
  private readonly events: FlowEvents;
  private readonly nowMs: () => number;
  private readonly touched: (rule: Rule) => void;
  readonly learned = new LearnedCookies();
  /** Rules with a timeout. */
  readonly expirable = new Set<Rule>();
  /** Who is changing rules just now; undefined for time-outs, learned flows and ourselves. */
  actor: Actor | undefined = undefined;
  /** What takes back the changes of the open transaction, oldest first; undefined when there is none. */
  private journal: (() => void)[] | undefined = undefined;
  /** What the open transaction will tell when it is committed. */
  private untold: (() => void)[] = [];

  /** `touched` hears at once, in a transaction too, of a rule that has come, changed or is about to go. */
  constructor(
    tables: readonly FlowTable[],
    events: FlowEvents,
    nowMs: () => number,
    touched: (rule: Rule) => void,
  ) {
    this.touched = touched;
    this.tables = tables;
    this.events = events;
    this.nowMs = nowMs;
  }

  // Transactions: changes are made at once, but told only at `commit`, and taken back by `rollback`.

  begin(): void {
    this.journal = [];
    this.untold = [];
  }

  commit(): void {
    const { untold } = this;
    this.journal = undefined;
    this.untold = [];
    for (const tell of untold) tell();
  }

  rollback(): void {
    const journal = this.journal ?? [];
    this.journal = undefined;
    this.untold = [];
    for (const undo of journal.reverse()) undo();
    // Counts are as before, so that nothing has lost its last user.
    this.learned.takeAbandoned();
  }

  /** For changes beside the tables that share the transaction (ports, groups). */
  onRollback(undo: () => void): void {
    this.journal?.push(undo);
  }

  /** Now, or when the transaction is committed. */
  private tell(report: () => void): void {
    if (this.journal === undefined) report();
    else this.untold.push(report);
  }

  private tellAdded(rule: Rule): void {
    const { actor } = this;
    this.tell(() => this.events.added(rule, actor));
  }

  private tellModified(rule: Rule, old: readonly Ofpact[]): void {
    const { actor } = this;
    this.tell(() => this.events.modified(rule, old, actor));
  }

  /** Throws OfpError. True when something changed. `mayAdd`: a modification that finds nothing adds (before OpenFlow 1.2). */
  apply(mod: FlowMod, mayAdd = true): boolean {
    const changed = this.applyOne(mod, mayAdd);
    this.forgetLearned();
    return changed;
  }

  private applyOne(mod: FlowMod, mayAdd: boolean): boolean {
    switch (mod.command) {
      case OFPFC_ADD:
        this.add(mod);
        return true;
      case OFPFC_MODIFY:
      case OFPFC_MODIFY_STRICT: {
        const strict = mod.command === OFPFC_MODIFY_STRICT;
        const rules = this.select(criteriaOf(mod, strict));
        if (rules.length === 0) {
          // Only a modification that names no cookie adds what it does not find.
          if (mod.cookieMask !== 0n || !mayAdd) return false;
          this.add(mod);
          return true;
        }
        for (const rule of rules) this.modify(rule, mod);
        return true;
      }
      case OFPFC_DELETE:
      case OFPFC_DELETE_STRICT: {
        const rules = this.select(criteriaOf(mod, mod.command === OFPFC_DELETE_STRICT));
        for (const rule of rules) this.removeOne(rule, OFPRR_DELETE);
        return rules.length > 0;
      }
      default:
        throw new OfpError("OFPFMFC_BAD_COMMAND");
    }
  }

  private add(mod: FlowMod): void {
    const table = this.tableFor(mod.table);
    const now = this.nowMs();
    const old = table.findExact(mod.match, mod.priority);
    if (old === undefined && (mod.flags & OFPUTIL_FF_CHECK_OVERLAP) !== 0) {
      if (table.classifier.overlaps(mod.match, mod.priority)) throw new OfpError("OFPFMFC_OVERLAP");
    }
    if (old === undefined && table.maxFlows !== undefined && table.size >= table.maxFlows) {
      this.makeRoom(table);
    }
    const rule = new Rule(table.id, specOf(mod), now);
    if (old !== undefined) {
      // A replaced rule leaves without a word; from 1.2 on its counters stay unless they are asked to be reset.
      if ((mod.flags & OFPUTIL_FF_RESET_COUNTS) === 0) {
        rule.packets = old.packets;
        rule.bytes = old.bytes;
      }
      rule.usedMs = old.usedMs;
      this.take(table, old);
    }
    this.insert(table, rule);
    this.tellAdded(rule);
    this.watchVacancy(table);
  }

  /** Tells once of each crossing, the next time of that the other way. */
  private watchVacancy(table: FlowTable): void {
    if (!table.vacancy) return;
    const { vacancyNow } = table;
    const isUp = table.vacancyAwaits === "up";
    if (isUp ? vacancyNow <= table.vacancyUp : vacancyNow >= table.vacancyDown) return;
    this.tell(() => {
      table.vacancyAwaits = isUp ? "down" : "up";
      this.events.vacancyCrossed(table, isUp);
    });
  }

  /** Hidden rules, learned flows and restored ones come in here too. */
  insert(table: FlowTable, rule: Rule): void {
    this.put(table, rule);
    this.journal?.push(() => this.drop(table, rule));
  }

  private take(table: FlowTable, rule: Rule): void {
    this.drop(table, rule);
    this.journal?.push(() => this.put(table, rule));
  }

  private put(table: FlowTable, rule: Rule): void {
    table.insert(rule);
    this.touched(rule);
    this.learned.ruleAdded(rule);
    if (rule.idleSec !== 0 || rule.hardSec !== 0) this.expirable.add(rule);
  }

  private drop(table: FlowTable, rule: Rule): void {
    this.touched(rule);
    table.remove(rule);
    this.learned.ruleRemoved(rule);
    this.expirable.delete(rule);
  }

  private modify(rule: Rule, mod: FlowMod): void {
    if (rule.isConjunction || mod.actions.some((action) => action.type === "conjunction")) {
      this.replaceConjunction(rule, mod);
      return;
    }
    if (this.journal !== undefined) {
      const { actions, cookie, modifiedMs, packets, bytes } = rule;
      this.journal.push(() => {
        this.learned.ruleChanges(rule, actions, cookie);
        Object.assign(rule, { actions, cookie, modifiedMs, packets, bytes });
        this.touched(rule);
      });
    }
    const old = rule.actions;
    const changed = (mod.modifyCookie && mod.newCookie !== rule.cookie) || !sameActions(old, mod.actions);
    this.learned.ruleChanges(rule, mod.actions, mod.modifyCookie ? mod.newCookie : rule.cookie);
    rule.actions = mod.actions;
    this.touched(rule);
    if (mod.modifyCookie) rule.cookie = mod.newCookie;
    rule.modifiedMs = this.nowMs();
    if ((mod.flags & OFPUTIL_FF_RESET_COUNTS) !== 0) {
      rule.packets = 0;
      rule.bytes = 0;
    }
    if (changed) this.tellModified(rule, old);
  }

  /** The classifier knows a rule's conjunctions, so these are exchanged whole. */
  private replaceConjunction(rule: Rule, mod: FlowMod): void {
    const table = this.tables[rule.table]!;
    const fresh = new Rule(
      rule.table,
      {
        ...rule,
        match: rule.match,
        actions: mod.actions,
        cookie: mod.modifyCookie ? mod.newCookie : rule.cookie,
      },
      rule.createdMs,
    );
    fresh.modifiedMs = this.nowMs();
    fresh.usedMs = rule.usedMs;
    fresh.packets = rule.packets;
    fresh.bytes = rule.bytes;
    this.take(table, rule);
    this.insert(table, fresh);
    this.tellModified(fresh, rule.actions);
  }

  remove(rule: Rule, reason: number): void {
    this.removeOne(rule, reason);
    this.forgetLearned();
  }

  /** Learned flows go with the last of the actions that learn them, if these say so. */
  private forgetLearned(): void {
    for (let gone = this.learned.takeAbandoned(); gone.length > 0; gone = this.learned.takeAbandoned()) {
      for (const { table, cookie } of gone) {
        const rules = [...this.tables[table]!.rules()].filter(
          (rule) => rule.cookie === cookie && !rule.hidden,
        );
        for (const rule of rules) this.removeOne(rule, OFPRR_DELETE);
      }
    }
  }

  private removeOne(rule: Rule, reason: number): void {
    this.take(this.tables[rule.table]!, rule);
    const { actor } = this;
    this.tell(() => this.events.removed(rule, reason, actor));
    this.watchVacancy(this.tables[rule.table]!);
  }

  select(criteria: RuleCriteria): Rule[] {
    const found: Rule[] = [];
    const strict = criteria.priority >= 0;
    const tables =
      criteria.table === 255
        ? this.tables.filter((table) => table.id !== TBL_INTERNAL || criteria.hidden)
        : [this.checkedTable(criteria.table)];
    for (const table of tables) {
      if (table.size === 0) continue;
      if (strict) {
        const rule = table.findExact(criteria.match, criteria.priority);
        if (rule !== undefined && satisfies(rule, criteria)) found.push(rule);
      } else {
        for (const rule of table.rules(criteria.match)) if (satisfies(rule, criteria)) found.push(rule);
      }
    }
    return found;
  }

  /** Removes what has timed out; true when anything was. */
  expire(nowMs: number): boolean {
    let changed = false;
    for (const rule of this.expirable) {
      if (rule.hardSec !== 0 && nowMs > rule.modifiedMs + rule.hardSec * 1000) {
        this.removeOne(rule, OFPRR_HARD_TIMEOUT);
        changed = true;
      } else if (rule.idleSec !== 0 && nowMs > Math.max(rule.usedMs, rule.modifiedMs) + rule.idleSec * 1000) {
        this.removeOne(rule, OFPRR_IDLE_TIMEOUT);
        changed = true;
      }
    }
    this.forgetLearned();
    return changed;
  }

  /** Takes out what is over a table's limit. */
  shrink(table: FlowTable): void {
    if (table.maxFlows === undefined || !table.eviction) return;
    while (table.size > table.maxFlows) {
      const victim = this.victim(table);
      if (victim === undefined) return;
      this.remove(victim, OFPRR_EVICTION);
    }
  }

  private makeRoom(table: FlowTable): void {
    const victim = table.eviction ? this.victim(table) : undefined;
    if (victim === undefined) throw new OfpError("OFPFMFC_TABLE_FULL");
    this.remove(victim, OFPRR_EVICTION);
  }

  /** Of the largest group the least important flow, of those the one that would expire first. */
  private victim(table: FlowTable): Rule | undefined {
    const groups = new Map<string, { size: number; first: Rule }>();
    for (const rule of table.rules()) {
      if (rule.idleSec === 0 && rule.hardSec === 0) continue;
      const key = table.evictionKey(rule);
      const group = groups.get(key);
      if (group === undefined) groups.set(key, { size: 1, first: rule });
      else {
        group.size++;
        if (goesBefore(rule, group.first)) group.first = rule;
      }
    }
    let best: { size: number; first: Rule } | undefined;
    for (const group of groups.values()) {
      if (best === undefined || group.size > best.size) best = group;
      else if (group.size === best.size && goesBefore(group.first, best.first)) best = group;
    }
    return best?.first;
  }

  private checkedTable(id: number): FlowTable {
    const table = this.tables[id];
    if (table === undefined) throw new OfpError("OFPBRC_BAD_TABLE_ID");
    return table;
  }

  /** 255 lets the switch choose: the first. */
  private tableFor(id: number): FlowTable {
    if (id === TBL_INTERNAL) throw new OfpError("OFPBRC_EPERM");
    return id === 255 ? this.tables[0]! : this.checkedTable(id);
  }
}

function goesBefore(a: Rule, b: Rule): boolean {
  return a.importance === b.importance ? dueMs(a) < dueMs(b) : a.importance < b.importance;
}

function dueMs(rule: Rule): number {
  const last = Math.max(rule.usedMs, rule.modifiedMs);
  const idle = rule.idleSec === 0 ? Number.POSITIVE_INFINITY : last + rule.idleSec * 1000;
  const hard = rule.hardSec === 0 ? Number.POSITIVE_INFINITY : rule.modifiedMs + rule.hardSec * 1000;
  return Math.min(idle, hard);
}

function specOf(mod: FlowMod): RuleSpec {
  return {
    match: mod.match,
    priority: mod.priority,
    cookie: mod.newCookie === NO_COOKIE ? 0n : mod.newCookie,
    actions: mod.actions,
    idleSec: mod.idleSec,
    hardSec: mod.hardSec,
    importance: mod.importance,
    flags: mod.flags,
    hidden: false,
  };
}

function criteriaOf(mod: FlowMod, strict: boolean): RuleCriteria {
  const isDelete = mod.command === OFPFC_DELETE || mod.command === OFPFC_DELETE_STRICT;
  return {
    table: mod.table,
    match: mod.match,
    priority: strict ? mod.priority : -1,
    cookie: mod.cookie,
    cookieMask: mod.cookieMask,
    outPort: isDelete ? mod.outPort : 0xffff,
    outGroup: isDelete ? mod.outGroup : 0xffffffff,
    hidden: false,
  };
}

/** Beyond the match, which the walk has compared. */
function satisfies(rule: Rule, criteria: RuleCriteria): boolean {
  if (rule.hidden && !criteria.hidden) return false;
  if (((rule.cookie ^ criteria.cookie) & criteria.cookieMask) !== 0n) return false;
  if (criteria.outPort !== 0xffff && !outputsTo(rule.actions, criteria.outPort)) return false;
  if (criteria.outGroup !== 0xffffffff && !outputsToGroup(rule.actions, criteria.outGroup)) return false;
  return true;
}

/** Some action sends to this port. */
export function outputsTo(actions: readonly Ofpact[], port: number): boolean {
  return actions.some((action) => {
    switch (action.type) {
      case "output":
      case "enqueue":
      case "output_trunc":
        return action.port === port;
      case "controller":
        return port === 0xfffd;
      case "write_actions":
      case "clone":
        return outputsTo(action.actions, port);
      default:
        return false;
    }
  });
}

export function usesMeter(actions: readonly Ofpact[], meter: number): boolean {
  return actions.some((action) => {
    if (action.type === "meter") return action.meterId === meter;
    return (action.type === "write_actions" || action.type === "clone") && usesMeter(action.actions, meter);
  });
}

export function outputsToGroup(actions: readonly Ofpact[], group: number): boolean {
  return actions.some((action) => {
    if (action.type === "group") return action.groupId === group;
    return (
      (action.type === "write_actions" || action.type === "clone") && outputsToGroup(action.actions, group)
    );
  });
}

export function sameActions(a: readonly Ofpact[], b: readonly Ofpact[]): boolean {
  const text = (actions: readonly Ofpact[]) =>
    JSON.stringify(actions, (key, value: unknown) =>
      typeof value === "bigint" ? `${value}n` : key === "field" ? (value as { name: string }).name : value,
    );
  return a.length === b.length && text(a) === text(b);
}
