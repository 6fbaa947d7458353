/**
 * Flow syntax of ovs-ofctl(8), "Flow Syntax": one line to a flow_mod, a statistics request, or a flow to compare
 * (upstream: ofp-flow's parser). Errors are thrown as TextError with the original's words.
 */

import { hashWord, isSpace } from "../../flow/items.ts";
import { clearMatch, type Match, makeMatch } from "../../flow/match.ts";
import { scanDecimal, takePlainItem } from "../../flow/match-plain.ts";
import { type PortNames, parseMatchItem, setDefaultPacketType } from "../../flow/match-text.ts";
import { normalizeMatch } from "../../flow/normalize.ts";
import { checkActions, checkOrder } from "../actions/check.ts";
import { parseActions, type TableNames, TextError } from "../actions/registry.ts";
import { Items, isSeparator, keyValues, parseBig } from "../actions/row.ts";
import { OFPG_ANY, OFPP_ANY } from "../actions.ts";
import { logNormalization } from "../log.ts";
import { matchProtocols } from "../match-protocols.ts";
import {
  type FlowMod,
  type FlowMonitorRequest,
  OFP_DEFAULT_PRIORITY,
  OFP_NO_BUFFER,
  OFPFC_ADD,
  OFPFC_DELETE,
  OFPFC_DELETE_STRICT,
  OFPFC_MODIFY,
  OFPFC_MODIFY_STRICT,
  OFPUTIL_FF_CHECK_OVERLAP,
  OFPUTIL_FF_HIDDEN_FIELDS,
  OFPUTIL_FF_NO_BYT_COUNTS,
  OFPUTIL_FF_NO_PKT_COUNTS,
  OFPUTIL_FF_NO_READONLY,
  OFPUTIL_FF_RESET_COUNTS,
  OFPUTIL_FF_SEND_FLOW_REM,
  UNKNOWN64,
} from "../messages.ts";
import { parsePort, parseUint } from "../ports.ts";
import { P_ANY, USABLE_13_UP, USABLE_14_UP, USABLE_NXM_OXM, USABLE_TID } from "../protocols.ts";

export interface FlowParseOptions {
  ports?: PortNames | undefined;
  tables?: TableNames | undefined;
  /** A match to use up for the flow, of one that nobody keeps. */
  scratch?: Match | undefined;
  /** Logs nothing: this was parsed before. */
  quiet?: boolean | undefined;
  /** Log lines: module ofp_match, ofp_actions. */
  log?: ((module: string, level: "info" | "warn", line: string) => void) | undefined;
}

export interface ParsedFlow {
  fm: FlowMod;
  usable: number;
}

const OUT_PORT = 1;
const ACTIONS = 2;
const TIMEOUT = 4;
const PRIORITY = 8;
const FLAGS = 16;
const IMPORTANCE = 32;

function allowed(command: number): number {
  switch (command) {
    case -1:
      return OUT_PORT | PRIORITY;
    case OFPFC_ADD:
      return ACTIONS | TIMEOUT | PRIORITY | FLAGS | IMPORTANCE;
    case OFPFC_DELETE:
      return OUT_PORT;
    case OFPFC_DELETE_STRICT:
      return OUT_PORT | PRIORITY;
    case OFPFC_MODIFY:
    case OFPFC_MODIFY_STRICT:
      return ACTIONS | TIMEOUT | PRIORITY | FLAGS;
    default:
      return 0;
  }
}

const FLAG_WORDS: Readonly<Record<string, number>> = {
  send_flow_rem: OFPUTIL_FF_SEND_FLOW_REM,
  check_overlap: OFPUTIL_FF_CHECK_OVERLAP,
  reset_counts: OFPUTIL_FF_RESET_COUNTS,
  no_packet_counts: OFPUTIL_FF_NO_PKT_COUNTS,
  no_byte_counts: OFPUTIL_FF_NO_BYT_COUNTS,
  allow_hidden_fields: OFPUTIL_FF_HIDDEN_FIELDS,
  no_readonly_table: OFPUTIL_FF_NO_READONLY,
};

const FLAG_USABLE: Readonly<Record<string, number>> = {
  no_packet_counts: USABLE_13_UP,
  no_byte_counts: USABLE_13_UP,
  reset_counts: USABLE_13_UP | 32,
};

/** Statistics that a dumped flow has and that are read over. */
const IGNORED = new Set(["duration", "n_packets", "n_bytes", "idle_age", "hard_age"]);

export function emptyFlowMod(command: number, match = makeMatch()): FlowMod {
  return {
    type: "flow-mod",
    command,
    match,
    priority: OFP_DEFAULT_PRIORITY,
    cookie: 0n,
    cookieMask: 0n,
    newCookie: command === OFPFC_MODIFY || command === OFPFC_MODIFY_STRICT ? UNKNOWN64 : 0n,
    modifyCookie: false,
    table: 0xff,
    idleSec: 0,
    hardSec: 0,
    importance: 0,
    bufferId: OFP_NO_BUFFER,
    outPort: OFPP_ANY,
    outGroup: OFPG_ANY,
    flags: 0,
    actions: [],
  };
}

const COMMANDS: ReadonlyMap<string, number> = new Map([
  ["add", OFPFC_ADD],
  ["delete", OFPFC_DELETE],
  ["delete_strict", OFPFC_DELETE_STRICT],
  ["modify", OFPFC_MODIFY],
  ["modify_strict", OFPFC_MODIFY_STRICT],
]);

/** A leading "delete_strict " of a flow file's line; undefined: none. */
export function leadingCommand(text: string): { command: number; rest: string } | undefined {
  let start = 0;
  while (isSpace(text.charCodeAt(start))) start++;
  let end = start;
  while (isWordCharacter(text.charCodeAt(end))) end++;
  // Most lines begin with a field.
  if (end < text.length && !isSeparator(text.charCodeAt(end))) return undefined;
  const command = COMMANDS.get(text.slice(start, end));
  return command === undefined ? undefined : { command, rest: text.slice(end) };
}

function isWordCharacter(c: number): boolean {
  return c === 95 || (c >= 97 && c <= 122);
}

/** Where the actions begin: "actions=" or "action=" after a comma, white space or at the start; the text's end: nowhere. */
function actionsKey(text: string): number {
  for (let at = text.indexOf("action"); at >= 0; at = text.indexOf("action", at + 1)) {
    if (text[actionsValue(text, at) - 1] !== "=") continue;
    if (at === 0 || isSeparator(text.charCodeAt(at - 1))) return at;
  }
  return text.length;
}

/** Past the "=" of "actions=" or "action=" at `key`. */
function actionsValue(text: string, key: number): number {
  return key + (text.startsWith("s", key + 6) ? 8 : 7);
}

/** Parses one flow for `command` (OFPFC_*, or -1 for what requests take). */
export function parseFlow(text: string, command: number, options: FlowParseOptions = {}): ParsedFlow {
  const { scratch } = options;
  const match = scratch === undefined ? makeMatch() : clearMatch(scratch);
  const fm = emptyFlowMod(command < 0 ? OFPFC_DELETE : command, match);
  const fields = allowed(command);
  const hasActions = (fields & ACTIONS) !== 0;
  const end = hasActions ? actionsKey(text) : text.length;
  if (hasActions && end === text.length) throw new TextError("must specify an action");
  let usable = P_ANY;
  const items = new Items(text, 0, end);
  while (items.next()) {
    if (takePlainItem(match, items) || takePriority(fm, items, fields)) continue;
    usable &= parseItem(items.key, items.value, fm, fields, command, options);
  }
  setDefaultPacketType(fm.match);
  const changed = normalizeMatch(fm.match);
  if (changed !== undefined && !options.quiet) logNormalization(changed);
  usable &= matchProtocols(fm.match);
  if (hasActions) {
    const parsed = parseActions(text, options, actionsValue(text, end));
    checkOrder(parsed.actions);
    const checked = checkActions(parsed.actions, fm.match, usable & parsed.usable, fm.table);
    if (checked.log !== undefined && !options.quiet) options.log?.(checked.module, "warn", checked.log);
    if (checked.error !== undefined) {
      throw new TextError(`actions are invalid with specified match (${checked.error})`);
    }
    if (checked.usable === 0)
      throw new TextError("actions are invalid with specified match (OFPBAC_MATCH_INCONSISTENT)");
    usable = checked.usable;
    fm.actions = parsed.actions;
  }
  return { fm, usable };
}

const PRIORITY_HASH = hashWord("priority");

/** Nearly every flow has one, mostly plain. */
function takePriority(fm: FlowMod, items: Items, fields: number): boolean {
  if (items.hash !== PRIORITY_HASH || !(fields & PRIORITY) || items.key !== "priority") return false;
  const value = scanDecimal(items.text, items.valueStart, items.valueEnd);
  if (value < 0 || value > 0xffff) return false;
  fm.priority = value;
  return true;
}

/** One item of the match part; returns the protocols that it leaves. */
function parseItem(
  key: string,
  value: string,
  fm: FlowMod,
  fields: number,
  command: number,
  options: FlowParseOptions,
): number {
  const attribute = value === "" ? -1 : parseAttribute(key, value, fm, fields, command, options);
  if (attribute >= 0) return attribute;
  const flag = FLAG_WORDS[key];
  if (flag !== undefined && fields & FLAGS) {
    fm.flags |= flag;
    return FLAG_USABLE[key] ?? P_ANY;
  }
  if (flag !== undefined && (key === "allow_hidden_fields" || key === "no_readonly_table")) return P_ANY;
  if (IGNORED.has(key)) return P_ANY;
  if (value === "") {
    const problem = parseMatchItem(fm.match, key, undefined, options.ports);
    if (problem === null) throw new TextError(`field ${key} missing value`);
    if (problem !== undefined) throw new TextError(problem);
    return P_ANY;
  }
  const problem = parseMatchItem(fm.match, key, value, options.ports);
  if (problem === null) throw new TextError(`unknown keyword ${key}`);
  if (problem !== undefined) throw new TextError(problem);
  return VLAN_MASKED.has(key) && hasMask(value) ? USABLE_NXM_OXM : P_ANY;
}

/** What a flow has beside match and actions; returns the protocols that it leaves, or -1 for something else. */
function parseAttribute(
  key: string,
  value: string,
  fm: FlowMod,
  fields: number,
  command: number,
  options: FlowParseOptions,
): number {
  switch (key) {
    case "table": {
      const table = parseUint(value) ?? options.tables?.numberOf(unquote(value));
      if (table === undefined || table > 255) throw new TextError(`unknown table "${value}"`);
      fm.table = table;
      return table === 0xff ? P_ANY : USABLE_TID;
    }
    case "out_port": {
      if (!(fields & OUT_PORT)) break;
      const port = parsePort(value, options.ports);
      if (port === undefined) throw new TextError(`${value} is not a valid OpenFlow port`);
      fm.outPort = port;
      return P_ANY;
    }
    case "out_group": {
      if (!(fields & OUT_PORT)) break;
      const group = parseUint(value);
      if (group === undefined || group > 0xffffffff) throw new TextError(`invalid out_group: ${value}`);
      fm.outGroup = group;
      return P_ANY & ~15;
    }
    case "priority":
      if (!(fields & PRIORITY)) break;
      fm.priority = u16(value, key);
      return P_ANY;
    case "importance":
      if (!(fields & IMPORTANCE)) break;
      fm.importance = u16(value, key);
      return fm.importance === 0 ? P_ANY : USABLE_14_UP | P_ANY;
    case "idle_timeout":
      if (!(fields & TIMEOUT)) break;
      fm.idleSec = u16(value, key);
      return P_ANY;
    case "hard_timeout":
      if (!(fields & TIMEOUT)) break;
      fm.hardSec = u16(value, key);
      return P_ANY;
    case "cookie":
      return cookie(value, fm, command);
  }
  return -1;
}

/** Masked they are no fields of the fixed matches, though some of what they may say, like "this VLAN", is. */
const VLAN_MASKED: ReadonlySet<string> = new Set(["vlan_tci", "vlan_vid"]);

/** A mask of all ones is none. */
function hasMask(value: string): boolean {
  const slash = value.indexOf("/");
  return slash >= 0 && parseUint(value.slice(slash + 1)) !== 0xffff;
}

function unquote(text: string): string {
  if (!text.startsWith('"')) return text;
  try {
    return JSON.parse(text) as string;
  } catch {
    return text;
  }
}

function u16(value: string, what: string): number {
  const number = parseUint(value);
  if (number === undefined || number > 0xffff) throw new TextError(`invalid ${what} "${value}"`);
  return number;
}

function cookie(value: string, fm: FlowMod, command: number): number {
  const slash = value.indexOf("/");
  if (slash >= 0) {
    if (command === OFPFC_ADD) throw new TextError("flow additions cannot use a cookie mask");
    fm.cookie = u64(value.slice(0, slash));
    fm.cookieMask = value.slice(slash + 1) === "-1" ? UNKNOWN64 : u64(value.slice(slash + 1));
    fm.cookie &= fm.cookieMask;
    return P_ANY & (USABLE_NXM_OXM | 16);
  }
  if (command !== OFPFC_ADD && command !== OFPFC_MODIFY && command !== OFPFC_MODIFY_STRICT) {
    throw new TextError("cannot set cookie");
  }
  fm.newCookie = u64(value);
  fm.modifyCookie = true;
  return P_ANY;
}

function u64(text: string): bigint {
  const value = parseBig(text);
  if (value === undefined || value >> 64n !== 0n) throw new TextError(`invalid numeric format ${text}`);
  return value;
}

const MONITOR_WORDS: Readonly<Record<string, number>> = {
  "!initial": -1,
  "!add": -2,
  "!delete": -4,
  "!modify": -8,
  "!actions": -16,
  "!own": -32,
};

/** `watch:` argument of monitor. */
export function parseMonitor(
  text: string,
  id: number,
  options: FlowParseOptions = {},
): { request: FlowMonitorRequest; usable: number } {
  const fm = emptyFlowMod(OFPFC_DELETE);
  let flags = 0x3f;
  let usable = P_ANY;
  for (const { key, value } of keyValues(text)) {
    const off = MONITOR_WORDS[key];
    if (off !== undefined) flags &= ~-off;
    else if (key === "table" || key === "out_port" || key === "out_group")
      usable &= parseItem(key, value, fm, OUT_PORT, -1, options);
    else usable &= parseItem(key, value, fm, 0, -1, options);
  }
  setDefaultPacketType(fm.match);
  return {
    request: {
      id,
      command: 0,
      flags,
      outPort: fm.outPort,
      outGroup: fm.outGroup,
      table: fm.table,
      match: fm.match,
    },
    usable,
  };
}

export type { Match };
