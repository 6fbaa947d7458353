/** One entry of an OpenFlow table (upstream: `struct rule`), with the statistics that megaflows credit to it. */
import {
  type Classifier,
  type Conjunction,
  type PackedMatch,
  type RuleHandle,
  unpackMatch,
} from "../flow/classifier/classifier.ts";
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
  /** The match before the rule is in a classifier (which keeps it from then on, in a tenth of the room) and after. */
  private fresh: Match | undefined;
  private left: PackedMatch | undefined = undefined;
  private classifier: Classifier | undefined = undefined;
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
  /** Counts the packets of all its rules. */
  private home: { matched: number } | undefined = undefined;
  /** Conjunctive clauses are in the classifier, but never the answer of a lookup. */
  readonly isConjunction: boolean;

  constructor(table: number, spec: RuleSpec, nowMs: number) {
    this.id = ++lastId;
    this.table = table;
    this.fresh = spec.match;
    this.priority = spec.priority;
    // Each zero that was read is an object of its own.
    this.cookie = spec.cookie === 0n ? 0n : spec.cookie;
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

  /** A copy, once the rule has been in a table. */
  get match(): Match {
    if (this.fresh !== undefined) return this.fresh;
    return this.left !== undefined ? unpackMatch(this.left) : this.classifier!.matchOf(this.handle);
  }

  /** The match in few words, of a rule that is in a table. */
  get packedMatch(): PackedMatch {
    return this.classifier!.packedMatchOf(this.handle);
  }

  /** Puts the rule into the classifier of `home`, for the time being. */
  enter(
    home: { readonly classifier: Classifier; matched: number },
    conjunctions: readonly Conjunction[] | undefined,
  ): void {
    const { classifier } = home;
    this.home = home;
    this.handle = classifier.insert(this.match, this.priority, undefined, conjunctions);
    this.classifier = classifier;
    this.fresh = undefined;
    this.left = undefined;
    this.state = RULE_INSERTED;
  }

  leave(): void {
    this.left = this.packedMatch;
    this.classifier!.remove(this.handle);
    this.classifier = undefined;
    this.handle = -1;
    this.state = RULE_REMOVED;
  }

  credit(packets: number, bytes: number, usedMs: number): void {
    if (this.home !== undefined) this.home.matched += packets;
    this.packets += packets;
    this.bytes += bytes;
    if (usedMs > this.usedMs) this.usedMs = usedMs;
  }
}
