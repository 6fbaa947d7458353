/**
 * Messages as JSON: `--format=json` of ovs-ofctl. The shape is that of the message types (messages.ts), whose members
 * become snake_case; the tables below say which members are sets of named bits, names, ports, addresses. Matches and actions are
 * what the text printer writes, taken apart, so that both always agree:
 *
 * - a match is an object, "tcp,nw_src=10.0.0.0/8" being {"tcp": true, "nw_src": "10.0.0.0/8"};
 * - actions are an array of texts, one an action, as in flow syntax; none means drop;
 * - counters are numbers with all their digits, null when not kept; cookies and datapath ids texts in hexadecimal;
 * - a set of flags is an array of names; a duration a number of seconds; packets and other bytes are in hexadecimal;
 * - ports and tables are numbers, or names where the text would have a name; what is not given is left out;
 * - units are OpenFlow's: timeouts, ages and durations in seconds, a meter's rates as its flags say (kbps: kilobits, pktps:
 *   packets a second), a queue's in tenths of a percent, a port's speeds in kilobits a second.
 */
import { splitFlowItems } from "../../flow/match-parse.ts";
import { formatMatch } from "../../flow/match-text.ts";
import { formatMac } from "../../lib/mac.ts";
import { REASONS } from "../actions/output.ts";
import { formatActions } from "../actions/registry.ts";
import type { Ofpact } from "../actions.ts";
import { decode } from "../codec.ts";
import { OfpError } from "../errors.ts";
import { type Decoded, type Duration, type GroupProps, UNKNOWN64 } from "../messages.ts";
import { actionsFrom10, actionsFromBits } from "../msg/table.ts";
import { formatPort } from "../ports.ts";
import { VERSION_NAMES } from "../protocols.ts";
import { FLOW_FLAGS, type PrintOptions } from "./common.ts";
import { FLOW_COMMANDS, MONITOR_FLAGS, REMOVED } from "./flow.ts";
import {
  BAND_TYPES,
  GROUP_COMMANDS,
  GROUP_TYPES,
  groupFieldText,
  METER_COMMANDS,
  METER_FLAGS,
  meterId,
} from "./group.ts";
import { PORT_CONFIG, PORT_FEATURES, PORT_STATUS, stateText } from "./port.ts";
import { ASYNC, BUNDLE_CTRL, BUNDLE_FLAGS, capabilityNames, FRAGS, ROLE_REASONS, ROLES } from "./print.ts";
import { EVICTION_FLAGS, MISS } from "./table.ts";

export type Json = null | boolean | number | bigint | string | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json;
}

interface Context {
  readonly type: string;
  readonly version: number;
  readonly options: PrintOptions;
}

type Convert = (value: never, c: Context, parent: Record<string, unknown>) => Json | undefined;

type Bits = readonly (readonly [bit: number, name: string])[];

const bits =
  (names: Bits): Convert =>
  (value: number) =>
    bitList(value, names);

function bitList(value: number, names: Bits): Json[] {
  const out: Json[] = [];
  let rest = value;
  for (const [bit, name] of names) {
    if ((value & bit) === 0) continue;
    out.push(name);
    rest &= ~bit;
  }
  if (rest !== 0) out.push(`0x${(rest >>> 0).toString(16)}`);
  return out;
}

const named =
  (names: Readonly<Record<number, string>>): Convert =>
  (value: number) =>
    names[value]?.toLowerCase() ?? value;

const hex64: Convert = (value: bigint) => `0x${value.toString(16)}`;
const hexBytes: Convert = (value: Uint8Array) => Buffer.from(value).toString("hex");
const port: Convert = (value: number, c) => number(formatPort(value, c.options.ports));
const table: Convert = (value: number, c) => c.options.tables?.nameOf(value) ?? value;
const unless =
  (none: number): Convert =>
  (value: number) =>
    value === none ? undefined : value;

function number(text: string): Json {
  return /^\d+$/.test(text) ? Number(text) : text;
}

function match(value: Parameters<typeof formatMatch>[0], c: Context): JsonObject {
  const out: JsonObject = {};
  for (const item of splitFlowItems(formatMatch(value, { ports: c.options.ports }))) {
    out[item.key] = item.value === undefined ? true : number(item.value);
  }
  return out;
}

function actions(value: readonly Ofpact[], c: Context): Json {
  return value.map((action) => formatActions([action], c.options));
}

const FEATURES: Convert = bits(PORT_FEATURES);

/** By member, or by "message-type.member" where a member's name has several meanings. */
const CONVERTERS: Readonly<Record<string, Convert>> = {
  // Of table features: names of fields.
  match: (value: Parameters<typeof match>[0] | string[], c) =>
    Array.isArray(value) ? [...value] : match(value, c),
  actions,
  cookie: (value: bigint) => (value === UNKNOWN64 ? undefined : `0x${value.toString(16)}`),
  cookieMask: hex64,
  newCookie: hex64,
  datapathId: (value: bigint) => value.toString(16).padStart(16, "0"),
  metadataMatch: hex64,
  metadataWrite: hex64,
  generationId: (value: bigint) => (value === UNKNOWN64 ? undefined : value),
  duration: (value: Duration) => value.sec + value.nsec / 1e9,
  hwAddr: (value: Uint8Array) => formatMac(value),
  hwAddr64: hexBytes,
  port,
  outPort: port,
  watchPort: port,
  table,
  outGroup: unless(0xffffffff),
  watchGroup: unless(0xffffffff),
  bufferId: unless(0xffffffff),
  idleAge: unless(-1),
  hardAge: unless(-1),
  missConfig: (value: number) => (value < 0 ? undefined : (MISS[value] ?? value)),
  miss: (value: number | object, c) =>
    typeof value === "number" ? (value < 0 ? undefined : (MISS[value] ?? value)) : object(value, c),
  config: bits(PORT_CONFIG),
  mask: (value: number | string[]) => (typeof value === "number" ? bitList(value, PORT_CONFIG) : [...value]),
  state: (value: number) => (value === 0 ? [] : stateText(value).split(" ")),
  curr: FEATURES,
  advertised: FEATURES,
  supported: FEATURES,
  peer: FEATURES,
  advertise: FEATURES,
  flags: bits(FLOW_FLAGS),
  "meter-config-reply.flags": bits(METER_FLAGS),
  "meter-mod.flags": bits(METER_FLAGS),
  "meter-features-reply.capabilities": bits(METER_FLAGS),
  "meter-features-reply.bandTypes": bits(BAND_TYPES),
  "flow-monitor-request.flags": bits(MONITOR_FLAGS),
  "bundle-control.flags": bits(BUNDLE_FLAGS),
  "bundle-add-message.flags": bits(BUNDLE_FLAGS),
  "requestforward.flags": bits(METER_FLAGS),
  evictionFlags: bits(EVICTION_FLAGS),
  "features-reply.capabilities": (value: number, c) => bitList(value, capabilityNames(c.version)),
  "features-reply.actions": (value: number, c) => (c.version === 1 ? actionsFrom10(value) : undefined),
  "group-features-reply.actions": (value: number[], c) =>
    value.map((set) => (c.version === 1 ? actionsFrom10(set) : actionsFromBits(set))),
  "group-features-reply.types": (value: number) =>
    bitList(
      value,
      GROUP_TYPES.map((name, i) => [1 << i, name] as const),
    ),
  "flow-mod.command": named(FLOW_COMMANDS),
  "group-mod.command": named(GROUP_COMMANDS),
  "meter-mod.command": named(METER_COMMANDS),
  groupType: named(GROUP_TYPES),
  props: (value: GroupProps) => ({
    ...(value.selectionMethod === "" ? {} : { selection_method: value.selectionMethod }),
    ...(value.selectionMethod === "" ? {} : { selection_method_param: value.selectionMethodParam }),
    ...(value.fields.length === 0 ? {} : { fields: value.fields.map(groupFieldText) }),
  }),
  meterId: (value: number) => number(meterId(value)),
  bandType: (value: number) => BAND_TYPES.find(([bit]) => bit === 1 << value)?.[1] ?? value,
  frag: named(FRAGS),
  role: named(ROLES),
  "packet-in.reason": named(REASONS),
  "nxt-resume.reason": named(REASONS),
  "flow-removed.reason": named(REMOVED),
  "flow-monitor-reply.reason": (value: number, _c, parent) =>
    parent.event === "removed" ? (REMOVED[value] ?? value) : undefined,
  "port-status.reason": named(PORT_STATUS),
  "role-status.reason": named(ROLE_REASONS),
  "requestforward.reason": named(["group_mod", "meter_mod"]),
  "table-status.reason": named({ 3: "vacancy_down", 4: "vacancy_up" }),
  ctrl: named(BUNDLE_CTRL),
  message: (value: Uint8Array, c) => messageJson(value, c.options),
  "hello.versions": (value: number) => VERSION_NAMES.filter((_name, v) => (value & (1 << v)) !== 0),
  "error.payload": hexBytes,
};
for (const [key, , reasons] of ASYNC) {
  (CONVERTERS as Record<string, Convert>)[key] = (sides: [number, number]) => {
    const [primary, secondary] = sides.map((set) =>
      bitList(
        set,
        reasons.map((name, i) => [1 << i, name || String(i)] as const),
      ),
    );
    return { primary: primary!, secondary: secondary! };
  };
}

/** "idleSec" → "idle_timeout", "txPackets" → "tx_packets". */
function memberName(key: string): string {
  if (key === "idleSec" || key === "hardSec") return `${key.slice(0, 4)}_timeout`;
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function object(value: object, c: Context): JsonObject {
  const out: JsonObject = {};
  const members = value as Record<string, unknown>;
  for (const [key, member] of Object.entries(members)) {
    if (member === undefined) continue;
    const convert = CONVERTERS[`${c.type}.${key}`] ?? (key === "type" ? undefined : CONVERTERS[key]);
    const json = convert === undefined ? generic(member, c) : convert(member as never, c, members);
    if (json !== undefined) out[memberName(key)] = json;
  }
  return out;
}

function generic(value: unknown, c: Context): Json | undefined {
  if (typeof value === "bigint") return value === UNKNOWN64 ? null : value;
  if (typeof value === "number" || typeof value === "string" || typeof value === "boolean") return value;
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (Array.isArray(value)) return value.map((item) => generic(item, c) ?? null);
  return typeof value === "object" && value !== null ? object(value, c) : undefined;
}

/** Flows that no message holds, shaped as in a flow-reply. */
export function flowsJson(flows: readonly object[], options: PrintOptions = {}): JsonObject[] {
  return flows.map((flow) => object(flow, { type: "flow-reply", version: 0, options }));
}

/** A decoded message; its type, version and transaction id come first. */
export function decodedJson(d: Decoded, options: PrintOptions = {}): JsonObject {
  const { type, ...rest } = d.message;
  const head: JsonObject = { type, version: VERSION_NAMES[d.version]!, xid: d.xid };
  return { ...head, ...object(rest, { type, version: d.version, options }) };
}

/** One message; what cannot be decoded is an object with the error's name and the bytes. */
export function messageJson(bytes: Uint8Array, options: PrintOptions = {}): JsonObject {
  const decoded = decode(bytes, { tableIds: true });
  if (decoded instanceof OfpError) {
    return { type: "undecodable", error: decoded.ofp, bytes: Buffer.from(bytes).toString("hex") };
  }
  return decodedJson(decoded, options);
}

/** Adds the members of a later part: lists are joined, what is new is added, what is there already stays. */
export function mergeJson(into: JsonObject, part: JsonObject): void {
  for (const [key, value] of Object.entries(part)) {
    const have = into[key];
    if (Array.isArray(have) && Array.isArray(value)) for (const item of value) have.push(item);
    else if (have === undefined) into[key] = value;
  }
}

/** As JSON.stringify, with big integers as the numbers that they are. */
export function jsonText(value: Json): string {
  if (typeof value === "bigint") return value.toString();
  if (Array.isArray(value)) return `[${value.map(jsonText).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value).map(
      ([key, member]) => `${JSON.stringify(key)}:${jsonText(member)}`,
    );
    return `{${members.join(",")}}`;
  }
  return JSON.stringify(value);
}
