/**
 * One OpenFlow table: a classifier and the rules behind its handles (upstream: `struct oftable`). What a flow_mod means
 * is in `flow-mods.ts`; here rules only come and go.
 */
import { Classifier } from "../flow/classifier/classifier.ts";
import { getFieldBig } from "../flow/fields/index.ts";
import type { Flow } from "../flow/layout.ts";
import type { Match } from "../flow/match.ts";
import type { Conjunction as ConjunctionAction, Subfield } from "../openflow/actions.ts";
import type { TableDesc } from "../openflow/messages.ts";
import type { Rule } from "./rule.ts";
import type { Credit } from "./xlate/context.ts";

export const N_TABLES = 255;
/** Holds the rules for table misses; not shown to controllers. */
export const TBL_INTERNAL = 254;

/** By importance, lifetime and whatever else: how we choose what to evict. */
export const OFPTMPEF_ALL = 7;

/** As a Credit it takes packets that found no rule. */
export class FlowTable implements Credit {
  readonly id: number;
  readonly classifier = new Classifier();
  private readonly byHandle: (Rule | undefined)[] = [];
  private count = 0;
  private hidden = 0;
  /** Packets that reached the table and found a rule, and that found none. */
  matched = 0;
  missed = 0;
  name: string | undefined = undefined;
  /** The name is the database's: OpenFlow may not change it. */
  nameIsConfigured = false;
  /** Table features' miss handling: undefined is the version's default. */
  miss: "controller" | "continue" | "drop" | undefined = undefined;
  /** Some Flow_Table row speaks of it. */
  configured = false;
  /** What is full makes room, because the database or a controller said so. */
  evictByConfig = false;
  evictByController = false;
  vacancy = false;
  vacancyDown = 0;
  vacancyUp = 0;
  /** Which crossing is told next. */
  vacancyAwaits: "down" | "up" = "down";
  maxFlows: number | undefined = undefined;
  /** Eviction groups by these; none: all flows are one group. */
  evictionFields: readonly Subfield[] = [];

  constructor(id: number) {
    this.id = id;
  }

  /** Bits of a rule that say which eviction group it is in. */
  evictionKey(rule: Rule): string {
    const { flow, mask } = rule.match;
    return this.evictionFields
      .map(({ field, offset, bits }) => {
        const value = getFieldBig(field, flow) & getFieldBig(field, mask);
        return BigInt.asUintN(bits, value >> BigInt(offset)).toString(16);
      })
      .join(",");
  }

  credit(packets: number): void {
    this.missed += packets;
  }

  get size(): number {
    return this.count;
  }

  /** Rules that controllers see. */
  get shown(): number {
    return this.count - this.hidden;
  }

  get eviction(): boolean {
    return this.evictByConfig || this.evictByController;
  }

  /** Percent of the table that is free. */
  get vacancyNow(): number {
    if (this.maxFlows === undefined || this.maxFlows === 0) return 100;
    return Math.floor((100 * Math.max(0, this.maxFlows - this.count)) / this.maxFlows);
  }

  insert(rule: Rule): void {
    const conjunctions = rule.isConjunction
      ? rule.actions
          .filter((action): action is ConjunctionAction => action.type === "conjunction")
          .map(({ id, clause, nClauses }) => ({ id, clause, clauses: nClauses }))
      : undefined;
    rule.enter(this, conjunctions);
    this.byHandle[rule.handle] = rule;
    this.count++;
    if (rule.hidden) this.hidden++;
  }

  remove(rule: Rule): void {
    this.byHandle[rule.handle] = undefined;
    rule.leave();
    this.count--;
    if (rule.hidden) this.hidden--;
  }

  /** `clauses` is given the rules of the conjunction that led to the answer. */
  lookup(flow: Flow, wildcards: Flow | undefined, clauses?: Rule[]): Rule | undefined {
    const handles: number[] | undefined = clauses === undefined ? undefined : [];
    const handle = this.classifier.lookup(flow, wildcards, undefined, handles);
    if (handles !== undefined) for (const each of handles) clauses!.push(this.byHandle[each]!);
    return handle < 0 ? undefined : this.byHandle[handle];
  }

  findExact(match: Match, priority: number): Rule | undefined {
    const handle = this.classifier.findExact(match, priority);
    return handle < 0 ? undefined : this.byHandle[handle];
  }

  /** Rules within `target`, or all. Safe against removal during the walk. */
  *rules(target?: Match): IterableIterator<Rule> {
    for (const handle of this.classifier.rules(target)) {
      const rule = this.byHandle[handle];
      if (rule !== undefined) yield rule;
    }
  }
}

/** As OpenFlow 1.4 describes it. */
export function describeTable(table: FlowTable): TableDesc {
  return {
    table: table.id,
    eviction: table.eviction,
    evictionFlags: OFPTMPEF_ALL,
    vacancy: table.vacancy,
    vacancyDown: table.vacancyDown,
    vacancyUp: table.vacancyUp,
    vacancyNow: table.vacancyNow,
  };
}
