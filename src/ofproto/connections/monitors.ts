/**
 * Flow monitors of one connection (Nicira's NXST_FLOW_MONITOR, OpenFlow 1.4.0 section 7.3.5.17): which rules the peer wants
 * to hear of, and what it has not been told yet. Its own changes come abbreviated, as the xid that made them, unless it
 * asked for all.
 */
import { type Match, matchContains } from "../../flow/match.ts";
import { OFPG_ANY, OFPP_ANY, type Ofpact } from "../../openflow/actions.ts";
import { OfpError } from "../../openflow/errors.ts";
import type { FlowMonitorRequest, FlowUpdate } from "../../openflow/messages.ts";
import { type FlowTables, outputsTo, outputsToGroup } from "../flow-mods.ts";
import type { Rule } from "../rule.ts";

const INITIAL = 1;
const ADD = 2;
const DELETE = 4;
const MODIFY = 8;
const ACTIONS = 16;
/**
 * Own changes in full: OpenFlow 1.3's bit and, as 3.7 reads it, 1.4's ONLY_OWN, which does not shut out what others do.
 */
const OWN = 32 | 64;

const COMMAND_MODIFY = 1;
const COMMAND_DELETE = 2;

const EVENT_FLAGS = { added: ADD, removed: DELETE, modified: MODIFY } as const;
/** Updates that one message carries: far from its 64 kB. */
const BATCH = 100;

export type FlowEvent = keyof typeof EVENT_FLAGS;

export class FlowMonitors {
  private readonly byId = new Map<number, FlowMonitorRequest>();
  private pending: FlowUpdate[] = [];
  private abbreviated: number | undefined = undefined;

  get isEmpty(): boolean {
    return this.byId.size === 0;
  }

  /** Takes a whole request or nothing; answers with the flows that are there already. Throws OfpError. */
  request(monitors: readonly FlowMonitorRequest[], tables: FlowTables): FlowUpdate[] {
    const added: FlowMonitorRequest[] = [];
    try {
      for (const monitor of monitors) {
        const known = this.byId.has(monitor.id);
        if (monitor.command === COMMAND_DELETE || monitor.command === COMMAND_MODIFY) {
          if (!known) throw new OfpError("OFPMOFC_UNKNOWN_MONITOR");
          this.byId.delete(monitor.id);
          if (monitor.command === COMMAND_DELETE) continue;
        } else if (known) throw new OfpError("OFPMOFC_MONITOR_EXISTS");
        if (monitor.table !== 255 && tables.tables[monitor.table] === undefined)
          throw new OfpError("OFPBRC_BAD_TABLE_ID");
        this.byId.set(monitor.id, monitor);
        added.push(monitor);
      }
    } catch (error) {
      for (const { id } of added) this.byId.delete(id);
      throw error;
    }
    const rules = new Map<Rule, boolean>();
    for (const monitor of added) {
      if ((monitor.flags & INITIAL) === 0) continue;
      for (const rule of tables.select({ ...CRITERIA, ...monitor })) {
        rules.set(rule, (rules.get(rule) ?? false) || (monitor.flags & ACTIONS) !== 0);
      }
    }
    return [...rules].map(([rule, actions]) => updateOf("initial", rule, 0, actions));
  }

  cancel(id: number): void {
    if (!this.byId.delete(id)) throw new OfpError("OFPMOFC_UNKNOWN_MONITOR");
  }

  /** `xid`: of this connection's own message that made the change, else undefined. */
  report(
    event: FlowEvent,
    rule: Rule,
    reason: number,
    old: readonly Ofpact[] | undefined,
    xid?: number,
  ): void {
    let wanted = false;
    let withActions = false;
    let full = false;
    for (const monitor of this.byId.values()) {
      if ((monitor.flags & EVENT_FLAGS[event]) === 0 || !concerns(monitor, rule, old)) continue;
      wanted = true;
      if ((monitor.flags & ACTIONS) !== 0) withActions = true;
      if ((monitor.flags & OWN) !== 0) full = true;
    }
    if (!wanted) return;
    if (xid === undefined || full) this.pending.push(updateOf(event, rule, reason, withActions));
    else if (this.abbreviated !== xid) {
      this.abbreviated = xid;
      this.pending.push({ event: "abbrev", xid });
    }
  }

  /** What is to be sent now, in messages. */
  take(): FlowUpdate[][] {
    const { pending } = this;
    this.pending = [];
    this.abbreviated = undefined;
    return batches(pending);
  }
}

export function batches(updates: readonly FlowUpdate[]): FlowUpdate[][] {
  const out: FlowUpdate[][] = [];
  for (let i = 0; i < updates.length; i += BATCH) out.push(updates.slice(i, i + BATCH));
  return out;
}

const CRITERIA = { priority: -1, cookie: 0n, cookieMask: 0n, hidden: false } as const;

function concerns(monitor: FlowMonitorRequest, rule: Rule, old: readonly Ofpact[] | undefined): boolean {
  if (monitor.table !== 255 && monitor.table !== rule.table) return false;
  if (monitor.outPort !== OFPP_ANY) {
    const { outPort } = monitor;
    if (!outputsTo(rule.actions, outPort) && !(old !== undefined && outputsTo(old, outPort))) return false;
  }
  if (monitor.outGroup !== OFPG_ANY) {
    // Unlike with ports, a flow that no longer sends to the group is not told of, as in 3.7.
    if (!outputsToGroup(rule.actions, monitor.outGroup)) return false;
  }
  return matchContains(monitor.match, rule.match);
}

function updateOf(event: FlowEvent | "initial", rule: Rule, reason: number, actions: boolean): FlowUpdate {
  const match: Match = rule.match;
  return {
    event,
    reason: event === "removed" ? reason : 0,
    table: rule.table,
    priority: rule.priority,
    idleSec: rule.idleSec,
    hardSec: rule.hardSec,
    cookie: rule.cookie,
    match,
    actions: actions ? [...rule.actions] : undefined,
  };
}
