/** One entry of an OpenFlow table (upstream: `struct rule`), with the statistics that megaflows credit to it. */
import type { RuleHandle } from "../flow/classifier/classifier.ts";
import type { Match } from "../flow/match.ts";
import type { Ofpact } from "../openflow/actions.ts";

export const RULE_INSERTED = 0;
export const RULE_REMOVED = 1;

export interface RuleSpec {
  match: Match;
  priority: number;
  cookie: bigint;
  actions: readonly Ofpact[];
  /** 0: never. */
  idleSec: number;
  hardSec: number;
  importance: number;
  /** OFPUTIL_FF_*. */
  flags: number;
  /** Not shown to controllers: hidden tables and fail-open rules. */
  hidden: boolean;
}

let lastId = 0;

export class Rule {
  /** Grows for ever: an order of creation, and a name that is never reused. */
  readonly id: number;
  readonly table: number;
  readonly match: Match;
  readonly priority: number;
  cookie: bigint;
  actions: readonly Ofpact[];
  idleSec: number;
  hardSec: number;
  importance: number;
  flags: number;
  readonly hidden: boolean;
  /** Place in the table's classifier, -1 when it is in none. */
  handle: RuleHandle = -1;
  state: typeof RULE_INSERTED | typeof RULE_REMOVED = RULE_INSERTED;
  createdMs: number;
  /** Last change of actions or timeouts; hard_timeout counts from here. */
  modifiedMs: number;
  /** Last packet; idle_timeout counts from here. */
  usedMs: number;
  packets = 0;
  bytes = 0;
  /** Conjunctive clauses are in the classifier, but never the answer of a lookup. */
  readonly isConjunction: boolean;

  constructor(table: number, spec: RuleSpec, nowMs: number) {
    this.id = ++lastId;
    this.table = table;
    this.match = spec.match;
    this.priority = spec.priority;
    this.cookie = spec.cookie;
    this.actions = spec.actions;
    this.idleSec = spec.idleSec;
    this.hardSec = spec.hardSec;
    this.importance = spec.importance;
    this.flags = spec.flags;
    this.hidden = spec.hidden;
    this.createdMs = nowMs;
    this.modifiedMs = nowMs;
    this.usedMs = nowMs;
    this.isConjunction = spec.actions.some((action) => action.type === "conjunction");
  }

  credit(packets: number, bytes: number, usedMs: number): void {
    this.packets += packets;
    this.bytes += bytes;
    if (usedMs > this.usedMs) this.usedMs = usedMs;
  }
}
