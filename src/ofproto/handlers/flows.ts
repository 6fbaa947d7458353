/** flow_mod and what is asked about flows. */

import { flowStatsReply } from "../../openflow/index.ts";
import type { FlowStats, FlowStatsRequest } from "../../openflow/messages.ts";
import type { Connection } from "../connections/connection.ts";
import type { RuleCriteria } from "../flow-mods.ts";
import type { Rule } from "../rule.ts";
import type { Handlers } from "./dispatch.ts";
import { checkReferences } from "./groups.ts";
import { executeBuffered } from "./packets.ts";

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
    checkReferences(message.actions);
    connection.ofproto.flowMod(message);
    return executeBuffered(message.bufferId);
  },
  "flow-request": (connection, message, { xid, name }) => {
    const rules = select(connection, message);
    const now = connection.ofproto.clock.now();
    const flows = rules.map((rule) => flowStats(rule, now));
    connection.sendBytes(flowStatsReply(flows, connection.version, xid, name.startsWith("NXST")));
  },
  "aggregate-request": (connection, message, { xid, name }) => {
    let packets = 0n;
    let bytes = 0n;
    const rules = select(connection, message);
    for (const rule of rules) {
      packets += BigInt(rule.packets);
      bytes += BigInt(rule.bytes);
    }
    connection.send({ type: "aggregate-reply", packets, bytes, flows: rules.length }, xid, {
      nxm: name.startsWith("NXST"),
    });
  },
};
