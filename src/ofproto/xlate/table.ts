/** Going through a table: look a rule up, run its actions, miss or recurse. */
import { ODP_WORDS_MAX } from "../../datapath/odp/actions.ts";
import { FLOW_NW_FRAG_ANY, W_IN_PORT, W_NW, W_TP } from "../../flow/layout.ts";
import { formatMatch } from "../../flow/match-text.ts";
import { TBL_INTERNAL } from "../flow-table.ts";
import type { Rule } from "../rule.ts";
import { OFT_ACTION, OFT_DETAIL } from "../trace-nodes.ts";
import type { OfPort } from "../types.ts";
import { xlateActions } from "./actions.ts";
import { xlateOnCopy } from "./clone.ts";
import { MAX_DEPTH, MAX_RESUBMITS, type XlateContext } from "./context.ts";

/** Looks up `tableId` with fragments seen as the bridge's configuration wants (OFPC_FRAG_*). */
export function lookupRule(ctx: XlateContext, tableId: number): Rule | undefined {
  const { flow } = ctx;
  const table = ctx.ofproto.tables[tableId]!;
  let rule: Rule | undefined;
  ctx.footprint.tag(ctx.ofproto.id, tableId);
  ctx.footprint.compare(flow, ctx.original);
  const clauses = ctx.tracing ? ctx.clauses : undefined;
  if (clauses !== undefined) clauses.length = 0;
  const isFragment = ((flow[W_NW]! >>> 24) & FLOW_NW_FRAG_ANY) !== 0;
  if (isFragment && ctx.ofproto.fragMode === "drop") return ctx.ofproto.missRules.fragments;
  if (isFragment && ctx.ofproto.fragMode === "normal") {
    // Ports of a first fragment are hidden, so that all fragments of a datagram go the same way.
    const tp = flow[W_TP]!;
    ctx.footprint.alter(W_TP);
    flow[W_TP] = 0;
    rule = table.lookup(flow, ctx.wildcards, clauses);
    flow[W_TP] = tp;
  } else rule = table.lookup(flow, ctx.wildcards, clauses);
  if (rule === undefined) ctx.credits.push(table);
  return rule;
}

/** The same, and what the table's configuration has for misses; sets `ctx.tableId` to the table that decides. */
export function ruleOrMiss(ctx: XlateContext, tableId: number, mayPacketIn: boolean): Rule | undefined {
  const { tables } = ctx.ofproto;
  let id = tableId;
  let rule = lookupRule(ctx, id);
  while (rule === undefined && tables[id]!.miss === "continue" && id + 1 < TBL_INTERNAL)
    rule = lookupRule(ctx, ++id);
  ctx.tableId = id;
  return rule ?? ctx.ofproto.missRule(id, mayPacketIn);
}

/**
 * Continues in `tableId` as if the packet had come in by `inPort` (resubmit's first argument; the flow's own in_port
 * is untouched afterwards). `honorMiss`: a table without a match does what its configuration says of misses.
 */
export function xlateTable(
  ctx: XlateContext,
  inPort: OfPort,
  tableId: number,
  mayPacketIn: boolean,
  honorMiss: boolean,
  last: boolean,
  onCopy = false,
): void {
  if (ctx.depth >= MAX_DEPTH) {
    ctx.fail("recursion", `over max translation depth ${MAX_DEPTH}`);
    return;
  }
  if (ctx.resubmits >= MAX_RESUBMITS) {
    ctx.fail("resubmits", `over ${MAX_RESUBMITS} resubmit actions`);
    return;
  }
  if (ctx.odp.length > ODP_WORDS_MAX) {
    ctx.fail("resubmits", "resubmits yielded over 64 kB of actions");
    return;
  }
  if (ctx.stack.length * 16 >= 0x10000) {
    ctx.fail("stack", "resubmits yielded over 64 kB of stack");
    return;
  }
  ctx.resubmits++;

  const outerTable = ctx.tableId;
  const outerRule = ctx.rule;
  const outerCookie = ctx.ruleCookie;
  const { inGroup } = ctx;
  const { flow } = ctx;
  const savedPort = flow[W_IN_PORT]!;
  ctx.tableId = tableId;
  flow[W_IN_PORT] = inPort;
  const rule = honorMiss ? ruleOrMiss(ctx, tableId, mayPacketIn) : lookupRule(ctx, tableId);
  flow[W_IN_PORT] = savedPort;

  const trace = ctx.trace;
  reportRule(ctx, rule, ctx.tableId);
  if (rule !== undefined) {
    ctx.credits.push(rule);
    // Going forward cannot go on for ever.
    const deeper = tableId <= outerTable ? 1 : 0;
    ctx.depth += deeper;
    ctx.rule = rule;
    ctx.ruleCookie = rule.cookie;
    // What another flow does is no longer the bucket's doing.
    ctx.inGroup = false;
    if (onCopy) xlateOnCopy(ctx, rule.actions, last, true);
    else xlateActions(ctx, rule.actions, last);
    ctx.rule = outerRule;
    ctx.ruleCookie = outerCookie;
    ctx.inGroup = inGroup;
    ctx.depth -= deeper;
  }
  ctx.trace = trace;
  ctx.tableId = outerTable;
}

/** Writes the table's line and makes its children's list the current one. */
export function reportRule(ctx: XlateContext, rule: Rule | undefined, tableId: number): void {
  if (!ctx.tracing) return;
  const number = String(tableId).padStart(2);
  if (rule === undefined) {
    const subs = ctx.tableNode(`${number}. No match.`)!;
    subs.push({ type: OFT_ACTION, text: "drop", subs: [] });
    return;
  }
  let text = `${number}. `;
  const { missRules } = ctx.first;
  if (rule === missRules.silent) text += "No match.";
  else if (rule === missRules.fragments)
    text += 'Packets are IP fragments and the fragment handling mode is "drop".';
  else if (rule === missRules.controller) text += 'No match, and a "packet-in" is called for.';
  else {
    text += ruleText(ctx, rule);
    if (rule.cookie !== 0n) text += `, cookie 0x${rule.cookie.toString(16)}`;
  }
  const subs = ctx.tableNode(text)!;
  for (const clause of ctx.clauses) {
    const match = formatMatch(clause.match, { ports: ctx.portNames });
    subs.push({ type: OFT_DETAIL, text: `conj. priority=${clause.priority},${match}`, subs: [] });
  }
  ctx.trace = subs;
}

function ruleText(ctx: XlateContext, rule: Rule): string {
  const match = formatMatch(rule.match, { ports: ctx.portNames });
  return `${match === "" ? "" : `${match}, `}priority ${rule.priority}`;
}
