/** flow_mod and what is asked about flows. */
import type { FlowStats, FlowStatsRequest } from "../../openflow/messages.ts";
import type { Connection } from "../connections/connection.ts";
import type { RuleCriteria } from "../flow-mods.ts";
import type { Rule } from "../rule.ts";
import type { Handlers } from "./dispatch.ts";
import { executeBuffered } from "./packets.ts";

/** Flows in one part of a reply: under 64 kB with any ordinary match and actions. */
const FLOWS_PER_PART = 100;

function criteria(request: FlowStatsRequest): RuleCriteria {
  return {
    table: request.table,
    match: request.match,
    priority: -1,
    cookie: request.cookie,
    cookieMask: request.cookieMask,
    outPort: request.outPort,
    outGroup: request.outGroup,
    hidden: false,
  };
}

function select(connection: Connection, request: FlowStatsRequest): Rule[] {
  const { ofproto } = connection;
  ofproto.backer.pushStats();
  return ofproto.flows.select(criteria(request));
}

export function flowStats(rule: Rule, nowMs: number): FlowStats {
  const age = Math.max(0, nowMs - rule.createdMs);
  return {
    match: rule.match,
    cookie: rule.cookie,
    table: rule.table,
    priority: rule.priority,
    idleSec: rule.idleSec,
    hardSec: rule.hardSec,
    duration: { sec: Math.floor(age / 1000), nsec: Math.floor((age % 1000) * 1e6) },
    idleAge: Math.max(0, Math.floor((nowMs - rule.usedMs) / 1000)),
    hardAge: Math.max(0, Math.floor((nowMs - rule.modifiedMs) / 1000)),
    packets: BigInt(rule.packets),
    bytes: BigInt(rule.bytes),
    importance: rule.importance,
    flags: rule.flags,
    actions: rule.actions as FlowStats["actions"],
  };
}

export const FLOW_HANDLERS: Handlers = {
  "flow-mod": (connection, message) => {
    connection.ofproto.flowMod(message);
    return executeBuffered(message.bufferId);
  },
  "flow-request": (connection, message, { xid }) => {
    const rules = select(connection, message);
    const now = connection.ofproto.clock.now();
    for (let at = 0; ; at += FLOWS_PER_PART) {
      const flows = rules.slice(at, at + FLOWS_PER_PART).map((rule) => flowStats(rule, now));
      const more = at + FLOWS_PER_PART < rules.length;
      connection.send({ type: "flow-reply", flows }, xid, more);
      if (!more) break;
    }
  },
  "aggregate-request": (connection, message, { xid }) => {
    let packets = 0n;
    let bytes = 0n;
    const rules = select(connection, message);
    for (const rule of rules) {
      packets += BigInt(rule.packets);
      bytes += BigInt(rule.bytes);
    }
    connection.send({ type: "aggregate-reply", packets, bytes, flows: rules.length }, xid);
  },
};
