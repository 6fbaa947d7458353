/** flow_mod and what is asked about flows. */

import { checkActions } from "../../openflow/actions/check.ts";
import { OFPP_IN_PORT, OFPP_MAX, OFPP_NONE, type Ofpact } from "../../openflow/actions.ts";
import { OfpError } from "../../openflow/errors.ts";
import { flowStatsReply } from "../../openflow/index.ts";
import {
  type FlowMod,
  type FlowStats,
  type FlowStatsRequest,
  OFPFC_DELETE,
  OFPFC_DELETE_STRICT,
} from "../../openflow/messages.ts";
import { P_ANY, versionProtocols } from "../../openflow/protocols.ts";
import type { Connection } from "../connections/connection.ts";
import { durationSince } from "../duration.ts";
import type { RuleCriteria } from "../flow-mods.ts";
import { TBL_INTERNAL } from "../flow-table.ts";
import type { Ofproto } from "../ofproto.ts";
import type { Rule } from "../rule.ts";
import type { Handlers } from "./dispatch.ts";
import { checkReferences } from "./groups.ts";
import { executeBuffered } from "./packets.ts";

function criteria({ tlvs }: Ofproto, request: FlowStatsRequest): RuleCriteria {
  return {
    table: request.table,
    match: tlvs.place(request.match),
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
  // In the order in which they came: a table gives handles again.
  return ofproto.flows.select(criteria(ofproto, request)).sort((a, b) => a.table - b.table || a.id - b.id);
}

export function flowStats(rule: Rule, nowMs: number): FlowStats {
  return {
    match: rule.match,
    cookie: rule.cookie,
    table: rule.table,
    priority: rule.priority,
    idleSec: rule.idleSec,
    hardSec: rule.hardSec,
    duration: durationSince(rule.createdMs, nowMs),
    idleAge: Math.max(0, Math.floor((nowMs - rule.usedMs) / 1000)),
    hardAge: Math.max(0, Math.floor((nowMs - rule.modifiedMs) / 1000)),
    packets: BigInt(rule.packets),
    bytes: BigInt(rule.bytes),
    importance: rule.importance,
    flags: rule.flags,
    actions: rule.actions as FlowStats["actions"],
  };
}

/** Refuses what is wrong whatever the tables hold: actions that make no sense for the match. Gives tun_metadata its place. Throws OfpError. */
export function checkFlowMod(connection: Connection, mod: FlowMod): void {
  const { tlvs } = connection.ofproto;
  mod.match = tlvs.place(mod.match);
  if (mod.command === OFPFC_DELETE || mod.command === OFPFC_DELETE_STRICT) return;
  mod.actions = tlvs.resolve(mod.actions);
  const wanted = versionProtocols(connection.version);
  const { error, log, module, usable } = checkActions(mod.actions, mod.match, P_ANY, mod.table);
  if (error !== undefined) throw new OfpError(error, log ?? "", module);
  if ((usable & wanted) === 0) throw new OfpError("OFPBAC_MATCH_INCONSISTENT");
  checkOutputs(mod.actions);
  if (mod.table === TBL_INTERNAL) throw new OfpError("OFPBRC_EPERM");
}

/** Makes the change within the open transaction, or for good when there is none. */
export function startFlowMod(connection: Connection, mod: FlowMod): void {
  executeBuffered(mod.bufferId);
  connection.flowMods.count(mod.command);
  if (mod.command !== OFPFC_DELETE && mod.command !== OFPFC_DELETE_STRICT)
    checkReferences(connection.ofproto, mod.actions);
  connection.ofproto.flowMod(mod, connection.version < 3);
}

/** Numbers that no port can have. */
function checkOutputs(actions: readonly Ofpact[]): void {
  for (const action of actions) {
    if (action.type === "output") {
      if (action.port === OFPP_NONE || (action.port >= OFPP_MAX && action.port < OFPP_IN_PORT))
        throw new OfpError("OFPBAC_BAD_OUT_PORT");
    } else if (action.type === "write_actions" || action.type === "clone") checkOutputs(action.actions);
  }
}

export const FLOW_HANDLERS: Handlers = {
  "flow-mod": (connection, message) => {
    checkFlowMod(connection, message);
    startFlowMod(connection, message);
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
