/** Flows in print: lines of dump-flows, flow_mod, flow_removed, statistics requests (upstream: ofp-flow). */
import { writeMatchText } from "../../flow/match-text.ts";
import type { TextWriter } from "../../lib/text-writer.ts";
import { OFPG_ANY, OFPP_ANY } from "../actions.ts";
import {
  type FlowMod,
  type FlowMonitorRequest,
  type FlowRemoved,
  type FlowStats,
  type FlowStatsRequest,
  type FlowUpdate,
  OFP_DEFAULT_PRIORITY,
  OFP_NO_BUFFER,
  UNKNOWN64,
} from "../messages.ts";
import { formatPort, quoteName } from "../ports.ts";
import { type Paint, plain } from "./colors.ts";
import {
  actionsText,
  bitNames,
  duration,
  FLOW_FLAGS,
  hexNumber,
  matchText,
  type PrintOptions,
} from "./common.ts";

function tableName(table: number, o: PrintOptions): string {
  const name = o.tables?.nameOf(table);
  return name === undefined ? String(table) : quoteName(name);
}

function flagsText(flags: number): string {
  const text = bitNames(flags & 0xfb, FLOW_FLAGS, "");
  return text === "" ? "" : `${text} `;
}

/** Timeouts, flags and importance, each with what divides it from the next. */
export function formatFlowNotes(
  s: Pick<FlowStats, "idleSec" | "hardSec" | "flags" | "importance">,
  paint: Paint = plain,
): string {
  let out = "";
  if (s.idleSec !== 0) out += `${paint("pm", "idle_timeout=")}${s.idleSec}, `;
  if (s.hardSec !== 0) out += `${paint("pm", "hard_timeout=")}${s.hardSec}, `;
  out += flagsText(s.flags);
  if (s.importance !== 0) out += `${paint("pm", "importance=")}${s.importance}, `;
  return out;
}

/** What a flow matches; `priority` false leaves the priority out. */
export function formatFlowMatch(s: FlowStats, o: PrintOptions = {}, priority = true): string {
  return matchText(s.match, o, priority ? s.priority : undefined);
}

/** One line of dump-flows without newline; `stats` false leaves durations and counters out. */
export function formatFlowStats(s: FlowStats, o: PrintOptions = {}, stats = true): string {
  const { paint = plain } = o;
  let out = "";
  if (stats || s.cookie !== 0n) out += ` ${paint("pm", "cookie=")}0x${s.cookie.toString(16)},`;
  if (stats) out += ` ${paint("pm", "duration=")}${duration(s.duration)},`;
  if (stats || s.table !== 0 || o.tables?.nameOf(0) !== undefined)
    out += ` ${paint("sp", "table=")}${tableName(s.table, o)},`;
  if (stats) {
    out += ` ${paint("pm", "n_packets=")}${s.packets},`;
    out += ` ${paint("pm", "n_bytes=")}${s.bytes},`;
  }
  out += " ";
  out += formatFlowNotes(s, paint);
  if (stats && s.idleAge >= 0) out += `${paint("pm", "idle_age=")}${s.idleAge}, `;
  if (stats && s.hardAge >= 0 && s.hardAge !== s.duration.sec) {
    out += `${paint("pm", "hard_age=")}${s.hardAge}, `;
  }
  const match = formatFlowMatch(s, o);
  if (match !== "") out += `${match} `;
  return `${out}${paint("ac", "actions=")}${actionsText(s.actions, o)}`;
}

export const FLOW_COMMANDS = ["ADD", "MOD", "MOD_STRICT", "DEL", "DEL_STRICT"];

/** `flags`: those to show of its own. `raw`: the match as text of the message itself. */
export function writeFlowMod(
  out: TextWriter,
  m: FlowMod,
  flags: number,
  o: PrintOptions,
  raw?: string,
): void {
  out.text(" ");
  out.text(FLOW_COMMANDS[m.command] ?? `cmd:${m.command}`);
  if (m.table !== 0) out.text(` table:${tableName(m.table, o)}`);
  out.text(" ");
  const start = out.pos;
  if (raw !== undefined) out.text(raw);
  else if (o.paint === undefined) writeMatchText(out, m.match, m.priority, o.ports);
  else out.text(matchText(m.match, o, m.priority));
  if (out.pos > start) out.text(" ");
  if (m.newCookie !== 0n && m.newCookie !== UNKNOWN64) out.text(`cookie:0x${m.newCookie.toString(16)} `);
  if (m.cookieMask !== 0n) out.text(`cookie:0x${m.cookie.toString(16)}/0x${m.cookieMask.toString(16)} `);
  if (m.idleSec !== 0) out.text(`idle:${m.idleSec} `);
  if (m.hardSec !== 0) out.text(`hard:${m.hardSec} `);
  if (m.importance !== 0) out.text(`importance:${m.importance} `);
  if (m.priority !== OFP_DEFAULT_PRIORITY && raw !== undefined) out.text(`pri:${m.priority} `);
  if (m.bufferId !== OFP_NO_BUFFER) out.text(`buf:0x${m.bufferId.toString(16)} `);
  if (m.outPort !== OFPP_ANY) out.text(`out_port:${formatPort(m.outPort, o.ports)} `);
  if (m.outGroup !== OFPG_ANY) out.text(`out_group:${m.outGroup} `);
  if (flags !== 0) out.text(flagsText(flags & ~4));
  out.text("actions=");
  out.text(actionsText(m.actions, o));
}

export const REMOVED = ["idle", "hard", "delete", "group_delete", "meter_delete", "eviction"];

export function removedReason(reason: number): string {
  return REMOVED[reason] ?? String(reason);
}

export function formatFlowRemoved(m: FlowRemoved, o: PrintOptions): string {
  let out = ` ${matchText(m.match, o, m.priority)} reason=${removedReason(m.reason)}`;
  if (m.table !== 255) out += ` table_id=${tableName(m.table, o)}`;
  if (m.cookie !== 0n) out += ` cookie:0x${m.cookie.toString(16)}`;
  out += ` duration${duration(m.duration)} idle${m.idleSec}`;
  if (m.hardSec !== 0) out += ` hard${m.hardSec}`;
  return `${out} pkts${m.packets} bytes${m.bytes}\n`;
}

export function formatStatsRequest(m: FlowStatsRequest, o: PrintOptions): string {
  let out = "";
  if (m.table !== 0xff) out += ` table=${tableName(m.table, o)}`;
  if (m.outPort !== OFPP_ANY) out += ` out_port=${formatPort(m.outPort, o.ports)}`;
  const match = matchText(m.match, o);
  return match === "" ? out : `${out} ${match}`;
}

export const MONITOR_FLAGS: readonly (readonly [bit: number, name: string])[] = [
  [1, "initial"],
  [2, "add"],
  [4, "delete"],
  [8, "modify"],
  [16, "actions"],
  [32, "own"],
  [64, "own"],
];

export function formatMonitorRequest(m: FlowMonitorRequest, o: PrintOptions): string {
  let out = `\n id=${m.id}`;
  if (m.command === 2) return `${out} command=delete`;
  out += ` flags=${bitNames(m.flags, MONITOR_FLAGS, "0", ",")}`;
  if (m.outPort !== OFPP_ANY) out += ` out_port=${formatPort(m.outPort, o.ports)}`;
  if (m.outGroup !== OFPG_ANY) out += ` out_group=${m.outGroup}`;
  if (m.table !== 0xff) out += ` table=${tableName(m.table, o)}`;
  const match = matchText(m.match, o);
  return match === "" ? out : `${out} ${match}`;
}

const EVENTS: Readonly<Record<string, string>> = {
  initial: "INITIAL",
  added: "ADDED",
  removed: "DELETED",
  modified: "MODIFIED",
};

export function formatUpdate(u: FlowUpdate, o: PrintOptions): string {
  let out = "\n event=";
  if (u.event === "abbrev") return `${out}ABBREV xid=0x${u.xid.toString(16)}`;
  if (u.event === "paused" || u.event === "resumed") return `${out}${u.event.toUpperCase()}`;
  out += EVENTS[u.event];
  if (u.event === "removed") out += ` reason=${removedReason(u.reason)}`;
  out += ` table=${tableName(u.table, o)}`;
  if (u.idleSec !== 0) out += ` idle_timeout=${u.idleSec}`;
  if (u.hardSec !== 0) out += ` hard_timeout=${u.hardSec}`;
  out += ` cookie=${hexNumber(u.cookie)}`;
  const match = matchText(u.match, o, u.priority);
  if (match !== "") out += ` ${match}`;
  if (u.actions !== undefined && u.actions.length > 0) out += ` actions=${actionsText(u.actions, o)}`;
  return out;
}
