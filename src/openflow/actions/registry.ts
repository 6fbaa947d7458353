/**
 * The action registry: all rows, and from them decoding, encoding, formatting and parsing of action lists and
 * instructions for every version. Upstream: ofp-actions.
 */
import { mustField } from "../../flow/fields/index.ts";
import type { PortNames } from "../../flow/match-text.ts";
import type { Ofpact, OfpactType, SetField, WriteMetadata } from "../actions.ts";
import { OFPP_CONTROLLER, OFPP_LOCAL, OFPP_MAX } from "../actions.ts";
import { NX_VENDOR, OfpError, ONF_VENDOR } from "../errors.ts";
import { parsePort } from "../ports.ts";
import { P_ANY, P_OF15_OXM } from "../protocols.ts";
import type { Reader, Writer } from "../wire.ts";
import { CONTROL_ROWS, setNestedEncoder } from "./control.ts";
import { CT_ROWS, setCtEncoder } from "./ct.ts";
import { LEARN_ROWS } from "./learn.ts";
import { MODIFY_ROWS, setL4Protocol, setLegacyEncoder } from "./modify.ts";
import { OUTPUT_ROWS } from "./output.ts";
import {
  type ActionRow,
  type DecodeContext,
  type FormatContext,
  Items,
  type ParseContext,
  type TableNames,
  TextError,
  type WireForm,
} from "./row.ts";

export const ACTIONS: readonly ActionRow[] = [
  ...OUTPUT_ROWS,
  ...MODIFY_ROWS,
  ...CONTROL_ROWS,
  ...LEARN_ROWS,
  ...CT_ROWS,
];

function wireKey(version: number, vendor: number, number: number): number {
  const which = vendor === 0 ? 0 : vendor === NX_VENDOR ? 1 : 2;
  return (version << 20) | (which << 16) | number;
}

const byType = new Map<string, ActionRow>();
const byWire = new Map<number, WireForm>();
const byWord = new Map<string, (arg: string, c: ParseContext) => void>();
for (const r of ACTIONS) {
  for (const type of r.types) byType.set(type, r);
  for (const form of r.wire) {
    for (let v = form.first; v <= form.last; v++) byWire.set(wireKey(v, form.vendor, form.number), form);
  }
  for (const [word, parse] of Object.entries(r.words)) byWord.set(word, parse.bind(r.words));
}

const METADATA = mustField("metadata");
const MAX_DEPTH = 64;

// Decoding.

/** Decodes actions up to the reader's end; with `instructions`, Nicira's write_metadata too. Throws OfpError. */
export function decodeActions(r: Reader, version: number, depth = 0, instructions = false): Ofpact[] {
  if (depth > MAX_DEPTH) throw new OfpError("OFPBAC_TOO_MANY");
  const out: Ofpact[] = [];
  const context: DecodeContext = {
    version,
    nested(inner, outer) {
      const list = decodeActions(inner, version, depth + 1);
      checkNested(list, outer);
      return list;
    },
  };
  const start = r.pos;
  while (r.left > 0) {
    const at = r.pos - start;
    try {
      out.push(decodeAction(r, version, context));
    } catch (error) {
      if (error instanceof OfpError && depth === 0) throw logBadAction(error, r, start, at);
      throw error;
    }
  }
  if (depth === 0) checkPlain(out, instructions);
  return out;
}

/** What may stand in a list by itself. */
function checkPlain(list: readonly Ofpact[], instructions: boolean): void {
  for (const a of list) {
    if (a.type === "write_metadata" && !instructions) {
      throw bad("OFPBIC_UNSUP_INST", "write_metadata instruction not allowed here");
    }
    if (setsConnection(a)) throw bad("OFPBAC_BAD_SET_ARGUMENT", "cannot set CT fields outside of ct action");
    if (a.type === "nat")
      throw bad("OFPBAC_BAD_SET_ARGUMENT", 'Cannot have NAT action outside of "ct" action');
  }
}

/** Writes ct_mark or ct_label, which only ct(exec(...)) may. */
function setsConnection(a: Ofpact): boolean {
  const field = a.type === "set_field" ? a.field : a.type === "reg_move" ? a.dst.field : undefined;
  return field !== undefined && (field.name === "ct_mark" || field.name === "ct_label");
}

function logBadAction(error: OfpError, r: Reader, start: number, at: number): OfpError {
  const line = `bad action at offset ${at} (${error.ofp}):`;
  error.context.push({ module: "ofp_actions", line, bytes: r.bytes.slice(start, r.end) });
  return error;
}

function bad(ofp: string, line: string): OfpError {
  return new OfpError(ofp, line, "ofp_actions");
}

function decodeAction(r: Reader, version: number, context: DecodeContext): Ofpact {
  if (r.left < 8) throw bad("OFPBAC_BAD_LEN", `OpenFlow action is only ${r.left} bytes long`);
  const begin = r.pos;
  let number = r.u16();
  const length = r.u16();
  let vendor = 0;
  if (number === 0xffff) {
    vendor = r.u32At(begin + 4);
    if (vendor !== NX_VENDOR && vendor !== ONF_VENDOR) throw new OfpError("OFPBAC_BAD_VENDOR");
    if (length < 16 || begin + 10 > r.end) throw new OfpError("OFPBAC_BAD_LEN");
    r.skip(4);
    number = r.u16();
  }
  const form = byWire.get(wireKey(version, vendor, number));
  if (form === undefined) {
    throw new OfpError(vendor === 0 ? "OFPBAC_BAD_TYPE" : "OFPBAC_BAD_VENDOR_TYPE");
  }
  if (length === 0 || begin + length > r.end) {
    throw bad(
      "OFPBAC_BAD_LEN",
      `OpenFlow action ${form.name} length ${length} exceeds action buffer length ${r.end - begin}`,
    );
  }
  if (length < form.min || (form.exact && length > form.min)) {
    throw bad(
      "OFPBAC_BAD_LEN",
      `OpenFlow action ${form.name} length ${length} not in valid range [${form.min},${form.exact ? form.min : 65528}]`,
    );
  }
  if (length % 8 !== 0) {
    throw bad("OFPBAC_BAD_LEN", `OpenFlow action ${form.name} length ${length} is not a multiple of 8`);
  }
  const body = r.sub(begin + length - r.pos);
  return form.decode(body, context);
}

/** What may stand inside ct(exec(...)), write_actions, clone. */
function checkNested(list: readonly Ofpact[], outer: OfpactType): void {
  for (const a of list) {
    if (outer === "ct") {
      if (a.type === "nat") continue;
      if (a.type === "set_field" || a.type === "reg_move") {
        const name = a.type === "set_field" ? a.field.name : a.dst.field.name;
        if (name === "ct_mark" || name === "ct_label") continue;
        throw bad("OFPBAC_BAD_ARGUMENT", `ct action doesn't support nested modification of ${name}`);
      }
      throw bad("OFPBAC_BAD_ARGUMENT", `ct action doesn't support nested action ${a.type}`);
    }
  }
}

/** OpenFlow 1.1+ instructions up to the reader's end, in the order of execution. */
export function decodeInstructions(r: Reader, version: number): Ofpact[] {
  if (version === 1) return decodeActions(r, 1, 0, true);
  if (r.left % 8 !== 0) {
    throw bad("OFPBIC_BAD_LEN", `OpenFlow message instructions length ${r.left} is not a multiple of 8`);
  }
  let meter: Ofpact | undefined;
  let apply: Ofpact[] | undefined;
  let clear: Ofpact | undefined;
  let write: Ofpact | undefined;
  let metadata: Ofpact | undefined;
  let gotoTable: Ofpact | undefined;
  const dup = (seen: unknown): void => {
    if (seen !== undefined) throw new OfpError("OFPBIC_DUP_INST");
  };
  while (r.left > 0) {
    r.need(8, "OFPBIC_BAD_LEN");
    const type = r.u16();
    const length = r.u16();
    if (length < 8 || length % 8 !== 0 || r.left + 4 < length) throw new OfpError("OFPBIC_BAD_LEN");
    const body = r.sub(length - 4);
    if (type === 0xffff) {
      throw new OfpError("OFPBIC_BAD_EXPERIMENTER");
    }
    if (type === 1) {
      if (length !== 8) throw new OfpError("OFPBIC_BAD_LEN");
      dup(gotoTable);
      gotoTable = { type: "goto_table", table: body.u8() };
    } else if (type === 2) {
      if (length !== 24) throw new OfpError("OFPBIC_BAD_LEN");
      dup(metadata);
      body.skip(4);
      metadata = { type: "write_metadata", metadata: body.u64(), mask: body.u64() };
    } else if (type === 3) {
      dup(write);
      body.skip(4);
      write = { type: "write_actions", actions: decodeActions(body, version, 1) };
    } else if (type === 4) {
      dup(apply);
      body.skip(4);
      apply = decodeActions(body, version, 0, true);
    } else if (type === 5) {
      if (length !== 8) throw new OfpError("OFPBIC_BAD_LEN");
      dup(clear);
      clear = { type: "clear_actions" };
    } else if (type === 6 && version >= 4 && version <= 5) {
      if (length !== 8) throw new OfpError("OFPBIC_BAD_LEN");
      dup(meter);
      meter = { type: "meter", meterId: body.u32() };
    } else {
      throw new OfpError("OFPBIC_UNKNOWN_INST");
    }
  }
  const out: Ofpact[] = meter === undefined ? [] : [meter];
  if (apply !== undefined) for (const a of apply) out.push(a);
  for (const i of [clear, write, metadata, gotoTable]) if (i !== undefined) out.push(i);
  return out;
}

// Encoding.

export function encodeAction(a: Ofpact, w: Writer, version: number): void {
  byType.get(a.type)?.encode(a, w, version);
}

/** Writes an action list; instructions in it are left out (1.0 has none; see encodeInstructions). */
export function encodeActions(list: readonly Ofpact[], w: Writer, version: number): void {
  for (let i = 0; i < list.length; i++) {
    const a = list[i]!;
    const r = byType.get(a.type);
    if (r !== undefined) r.encode(a, w, version);
  }
}

setLegacyEncoder(encodeAction);
setNestedEncoder(encodeActions);
setCtEncoder(encodeActions);

function isInstruction(type: OfpactType, version: number): boolean {
  return (
    type === "goto_table" ||
    type === "write_metadata" ||
    type === "write_actions" ||
    type === "clear_actions" ||
    (type === "meter" && version < 6)
  );
}

/** 1.0 has no instructions but these. */
const ACTIONS_OF_10 = new Set<OfpactType>(["write_metadata", "goto_table"]);

function loadMetadata({ metadata, mask }: WriteMetadata): SetField {
  return { type: "set_field", field: METADATA, value: metadata & mask, mask, bytes: 8, load: true };
}

/** 1.0: actions; later: instructions. `proto` is the flow's exact nw_proto, for 1.2+ transport port setters. */
export function encodeInstructions(list: readonly Ofpact[], w: Writer, version: number, proto = 6): void {
  setL4Protocol(proto);
  if (version === 1) {
    // Nothing may follow Nicira's write_metadata, not even the resubmit that goto_table becomes.
    const goes = hasType(list, "goto_table");
    for (const a of list) {
      if (goes && a.type === "write_metadata") encodeAction(loadMetadata(a), w, version);
      else if (!isInstruction(a.type, 1) || ACTIONS_OF_10.has(a.type)) encodeAction(a, w, version);
    }
    return;
  }
  let i = 0;
  while (i < list.length) {
    const a = list[i]!;
    if (!isInstruction(a.type, version)) {
      const start = beginInstruction(w, 4);
      w.u32(0);
      for (; i < list.length && !isInstruction(list[i]!.type, version); i++)
        encodeAction(list[i]!, w, version);
      endInstruction(w, start);
      continue;
    }
    encodeInstruction(a, w, version);
    i++;
  }
}

function beginInstruction(w: Writer, type: number): number {
  const start = w.pos;
  w.u16(type);
  w.u16(0);
  return start;
}

function endInstruction(w: Writer, start: number): void {
  w.setU16(start + 2, w.pos - start);
}

function encodeInstruction(a: Ofpact, w: Writer, version: number): void {
  if (a.type === "goto_table") {
    const start = beginInstruction(w, 1);
    w.u8(a.table);
    w.zeros(3);
    endInstruction(w, start);
  } else if (a.type === "write_metadata") {
    const start = beginInstruction(w, 2);
    w.u32(0);
    w.u64(a.metadata);
    w.u64(a.mask);
    endInstruction(w, start);
  } else if (a.type === "write_actions") {
    if (a.actions.length === 0) return;
    const start = beginInstruction(w, 3);
    w.u32(0);
    encodeActions(a.actions, w, version);
    endInstruction(w, start);
  } else if (a.type === "clear_actions") {
    const start = beginInstruction(w, 5);
    w.u32(0);
    endInstruction(w, start);
  } else if (a.type === "meter" && version >= 4) {
    const start = beginInstruction(w, 6);
    w.u32(a.meterId);
    endInstruction(w, start);
  }
}

// Text.

export interface ActionsFormat {
  ports?: PortNames | undefined;
  tables?: TableNames | undefined;
}

/** "drop" for none, else the actions separated by commas. */
export function formatActions(list: readonly Ofpact[], options: ActionsFormat = {}): string {
  if (list.length === 0) return "drop";
  const context: FormatContext = {
    ports: options.ports,
    tables: options.tables,
    actions: (inner) => formatActions(inner, options),
  };
  if (list.length === 1) return formatAction(list[0]!, context);
  let out = "";
  for (let i = 0; i < list.length; i++) out += (i === 0 ? "" : ",") + formatAction(list[i]!, context);
  return out;
}

function formatAction(a: Ofpact, c: FormatContext): string {
  if (a.type === "unroll_xlate") return `unroll_xlate(table=${a.table}, cookie=${a.cookie})`;
  return byType.get(a.type)?.format(a, c) ?? a.type;
}

export interface ParsedActions {
  actions: Ofpact[];
  /** Protocols that can carry them. */
  usable: number;
}

/** What the original counts for a plain action. */
const ACTION_BYTES = 16;

const INSTRUCTIONS = new Set<OfpactType>(["goto_table", "write_metadata", "write_actions", "clear_actions"]);

/** Parses actions where only a flow has instructions: of a packet_out or a bucket. Throws TextError. */
export function parsePlainActions(text: string, options: ActionsFormat = {}): ParsedActions {
  const parsed = parseActions(text, options);
  for (const { type } of parsed.actions) {
    if (INSTRUCTIONS.has(type)) throw new TextError(`${type} instruction not allowed here`);
    // An action since 1.5, before that an instruction.
    if (type === "meter") parsed.usable &= P_OF15_OXM;
  }
  return parsed;
}

/** Parses an action list, which is `text` from `start`. Throws TextError with the original's text. */
export function parseActions(text: string, options: ActionsFormat = {}, start = 0): ParsedActions {
  const state = { usable: P_ANY };
  const actions = parseList(text, options, state, undefined, 0, start);
  if (actions.length * ACTION_BYTES > 0xffff) throw new TextError("input too big");
  return { actions, usable: state.usable };
}

function parseList(
  text: string,
  options: ActionsFormat,
  state: { usable: number },
  outer: OfpactType | undefined,
  depth: number,
  start = 0,
): Ofpact[] {
  if (depth > 32) throw new TextError("Action nested too deeply");
  const out: Ofpact[] = [];
  const context: ParseContext = {
    ports: options.ports,
    tables: options.tables,
    usable: state.usable,
    out,
    nested(inner, from) {
      const nestedState = { usable: context.usable };
      const list = parseList(inner, options, nestedState, from, depth + 1);
      context.usable = nestedState.usable;
      return list;
    },
  };
  let drop = false;
  let count = 0;
  for (const items = new Items(text, start); items.next(); ) {
    const { key, value } = items;
    count++;
    const parse = byWord.get(key) ?? byWord.get(key.toLowerCase());
    if (parse === undefined && key.toLowerCase() === "drop") drop = true;
    else if (key === "unroll_xlate") {
      throw new TextError("UNROLL is an internal action that shouldn't be used via OpenFlow");
    } else if (key === "apply_actions") throw new TextError("apply_actions is the default instruction");
    else if (parse !== undefined) parse(value, context);
    else {
      const port = parsePort(key, options.ports);
      if (port === undefined) throw new TextError(`unknown action ${key}`);
      if (port >= OFPP_MAX && (port < 0xfff8 || port > OFPP_LOCAL))
        throw new TextError(`unknown action ${key}`);
      if (value !== "" && port !== OFPP_CONTROLLER) throw new TextError(`unknown action ${key}`);
      out.push({ type: "output", port, maxLen: port === OFPP_CONTROLLER ? Number(value || 0xffff) : 0 });
    }
    if (drop && count > 1)
      throw new TextError('"drop" must not be accompanied by any other action or instruction');
  }
  state.usable = context.usable;
  if (outer === "ct") checkExec(out);
  else {
    for (const a of out) {
      if (setsConnection(a)) throw new TextError("cannot set CT fields outside of ct action");
      if (a.type === "nat") throw new TextError('Cannot have NAT action outside of "ct" action');
    }
  }
  checkConjunctions(out);
  return out;
}

function hasType(list: readonly Ofpact[], type: OfpactType): boolean {
  for (let i = 0; i < list.length; i++) if (list[i]!.type === type) return true;
  return false;
}

function checkConjunctions(list: readonly Ofpact[]): void {
  if (!hasType(list, "conjunction")) return;
  const other = list.find((a) => a.type !== "conjunction" && a.type !== "note");
  if (other !== undefined) {
    throw new TextError(
      `"conjunction" actions may be used along with "note" but not any other kind of action (such as the "${other.type}" action used here)`,
    );
  }
}

function checkExec(list: readonly Ofpact[]): void {
  for (const a of list) {
    if (a.type === "set_field" || a.type === "reg_move") {
      const name = a.type === "set_field" ? a.field.name : a.dst.field.name;
      if (name !== "ct_mark" && name !== "ct_label") {
        throw new TextError(`ct action doesn't support nested modification of ${name}`);
      }
    } else if (a.type !== "nat") throw new TextError(`ct action doesn't support nested action ${a.type}`);
  }
}

export type { TableNames } from "./row.ts";
export { TextError } from "./row.ts";
