/**
 * Why packets of a megaflow take the way they take, from the datapath's side: ofproto/detrace names the OpenFlow rules and
 * groups that a megaflow came from; ofproto/explain-drops, which the original does not have, says of each megaflow that
 * drops which rule in which table did it, for what reason, and how many packets that has cost so far.
 */
import type { DpFlow, DpFlowStats } from "../datapath/dpif.ts";
import { ACTION_DROPS } from "../datapath/drop-reasons.ts";
import { ODP_DROP } from "../datapath/odp/actions.ts";
import { formatOdpKey } from "../datapath/odp/key-text.ts";
import { ufidOf } from "../datapath/ufid.ts";
import { formatMatch } from "../flow/match-text.ts";
import { Fatal } from "../lib/errors.ts";
import type { Json } from "../lib/json.ts";
import { formatActions } from "../openflow/actions/registry.ts";
import { groupBody } from "../openflow/text/group.ts";
import type { Backer } from "./backer.ts";
import type { CommandScope, OfprotoCommand } from "./commands.ts";
import { ruleLine } from "./commands-dump.ts";
import { Group } from "./group.ts";
import { portNames } from "./megaflow-text.ts";
import { Rule } from "./rule.ts";
import { OFT_DETAIL, OFT_ERROR, OFT_TABLE, OFT_WARN, type TraceNode } from "./trace-nodes.ts";
import { XLATE_ERROR_NUMBER } from "./xlate/context.ts";
import { translate } from "./xlate/translate.ts";

interface Drop {
  bridge: string;
  flow: string;
  packets: number;
  bytes: number;
  /** Of the last lookup. */
  table: number;
  /** undefined where no rule matched. */
  rule: string | undefined;
  reason: string;
}

function isDrop({ actions }: DpFlow): boolean {
  return actions.length === 0 || actions[0] === ODP_DROP;
}

function ruleText(rule: Rule): string {
  const match = formatMatch(rule.match, { priority: rule.priority });
  const cookie = rule.cookie === 0n ? "" : `cookie=0x${rule.cookie.toString(16)}, `;
  return `${cookie}${match}${match === "" ? "" : " "}actions=${formatActions(rule.actions)}`;
}

/** What a translation reported, in the order of the steps. */
function* reports(nodes: readonly TraceNode[]): IterableIterator<TraceNode> {
  for (const node of nodes) {
    yield node;
    yield* reports(node.subs);
  }
}

/** Translates the megaflow's packet again and reads from the trace what became of it. */
function explain(backer: Backer, flow: DpFlow, stats: DpFlowStats): Drop | undefined {
  const ctx = backer.xlate;
  const from = backer.enter(flow.key, ctx.flow);
  if (from === undefined) return undefined;
  const nodes: TraceNode[] = [];
  ctx.trace = nodes;
  translate(ctx, from.ofproto, backer.clock.now(), false, 0, from.state);
  ctx.trace = undefined;

  const all = [...reports(nodes)];
  const lastTable = all.findLast(({ type }) => type === OFT_TABLE);
  const said = all.filter(({ type }) => type === OFT_WARN || type === OFT_ERROR).map(({ text }) => text);
  const hints = all.filter(({ type }) => type === OFT_DETAIL).map(({ text }) => text);
  const rule = ctx.credits.findLast((credit) => credit instanceof Rule && !credit.hidden) as Rule | undefined;
  const table = Number(/^\s*(\d+)\./.exec(lastTable?.text ?? "")?.[1] ?? rule?.table ?? 0);
  const missed = lastTable?.text.includes("No match") === true;
  let reason: string;
  if (ctx.error !== undefined)
    reason = [ACTION_DROPS[XLATE_ERROR_NUMBER[ctx.error]]!.text, ...said].join(": ");
  else if (said.length > 0) reason = said.join("; ");
  else if (missed) reason = `no rule of table ${table} matches`;
  else if (rule !== undefined && rule.actions.length === 0) reason = "the rule has no actions";
  else if (hints.length > 0) reason = hints.at(-1)!;
  else reason = "no action sends the packet anywhere";
  return {
    bridge: from.ofproto.name,
    flow: formatOdpKey(flow.key, flow.mask, { ports: portNames(backer.dpif) }),
    packets: stats.packets,
    bytes: stats.bytes,
    table,
    rule: missed || rule === undefined ? undefined : ruleText(rule),
    reason,
  };
}

function drops(scope: CommandScope, bridge: string | undefined): Drop[] {
  const wanted = bridge === undefined ? undefined : scope.bridge(bridge);
  const found: Drop[] = [];
  const stats: DpFlowStats = { packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 };
  for (const backer of scope.backers()) {
    if (wanted !== undefined && wanted.backer !== backer) continue;
    backer.frozen.temporarily(() => {
      for (const flow of backer.dpif.flows()) {
        if (!isDrop(flow) || !backer.dpif.flowStats(flow.handle, stats)) continue;
        const drop = explain(backer, flow, stats);
        if (drop !== undefined && (wanted === undefined || drop.bridge === wanted.name)) found.push(drop);
      }
    });
  }
  return found.sort((a, b) => b.packets - a.packets);
}

function dropsText(found: readonly Drop[]): string {
  let text = "";
  let packets = 0;
  let bytes = 0;
  for (const drop of found) {
    text += `${drop.flow}\n`;
    text += `    packets:${drop.packets}, bytes:${drop.bytes}\n`;
    text += `    bridge ${drop.bridge}, table ${drop.table}: ${drop.rule ?? "no match"}\n`;
    text += `    reason: ${drop.reason}\n`;
    packets += drop.packets;
    bytes += drop.bytes;
  }
  const flows = found.length === 1 ? "1 megaflow drops" : `${found.length} megaflows drop`;
  return `${text}${flows}: packets:${packets}, bytes:${bytes}\n`;
}

function dropsJson(found: readonly Drop[]): Json {
  return found.map(({ rule, ...drop }) => ({ ...drop, rule: rule ?? null }));
}

/** The rules and groups that the megaflow's packets are credited to, in the order of the pipeline. */
function detrace(scope: CommandScope, args: readonly string[]): string {
  const wanted = /^ufid:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/i.exec(args[0]!)?.[1]?.toLowerCase();
  if (wanted === undefined) throw new Fatal("failed to parse ufid");
  if (args[1] !== undefined && !/^pmd=-?\d+$/.test(args[1]))
    throw new Fatal("Invalid pmd argument format. Expecting 'pmd=PMD-ID'");
  let text = "";
  for (const backer of scope.backers()) {
    const label = `${backer.dpif.type}@${backer.dpif.name}`;
    let flow: DpFlow | undefined;
    for (const each of backer.dpif.flows()) if (ufidOf(each.key, each.mask) === wanted) flow = each;
    const slot = flow === undefined ? undefined : backer.ukeys.slotOf(flow.handle);
    if (slot === undefined) {
      text += `UFID was not found for ${label}\n`;
      continue;
    }
    backer.pushStats();
    for (const credit of backer.ukeys.creditsOf(slot)) {
      if (credit instanceof Rule) text += ruleLine(credit, backer.clock.now());
      else if (credit instanceof Group) text += `${groupText(credit)}\n`;
    }
  }
  return text;
}

function groupText(group: Group): string {
  const buckets = group.buckets.map(({ config }) => config);
  return groupBody(
    { groupId: group.id, groupType: group.type, buckets, props: group.props },
    OPENFLOW_15,
    {},
  );
}

const OPENFLOW_15 = 6;

export function explainCommands(scope: CommandScope): OfprotoCommand[] {
  return [
    {
      name: "ofproto/explain-drops",
      usage: "[bridge]",
      minArgs: 0,
      maxArgs: 1,
      run: ([bridge]) => dropsText(drops(scope, bridge)),
      json: ([bridge]) => dropsJson(drops(scope, bridge)),
    },
    {
      name: "ofproto/detrace",
      usage: "UFID [pmd=PMD-ID]",
      minArgs: 1,
      maxArgs: 2,
      run: (args) => detrace(scope, args),
    },
  ];
}
