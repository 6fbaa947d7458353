/** The learn action: NXAST_LEARN (16) and NXAST_LEARN2 (45), ovs-actions(7). Row of the action registry. */
import { fieldByName, fieldByOxmName } from "../../flow/fields/index.ts";
import { formatFieldValue, parseFieldValue } from "../../flow/match-text.ts";
import type { Learn, LearnSpec, Subfield } from "../actions.ts";
import { OfpError } from "../errors.ts";
import { ones } from "../oxm.ts";
import type { Reader, Writer } from "../wire.ts";
import {
  type ActionRow,
  beginNx,
  checkSubfield,
  end,
  formatSubfield,
  hex,
  keyValues,
  long,
  mustBeZero,
  needPlainHeader,
  nx,
  type ParseContext,
  parseBig,
  parseSubfield,
  readFieldHeader,
  readLongFieldHeader,
  row,
  scanSubfield,
  showTable,
  TextError,
  table,
  u16,
  u32,
  u64,
  wholeField,
  writeNxFieldHeader,
} from "./row.ts";

const LEARN_SEND_FLOW_REM = 1;
const LEARN_DELETE_LEARNED = 2;
const LEARN_WRITE_RESULT = 4;
const KINDS = ["match", "load", "output"] as const;

const learn: ActionRow<Learn> = {
  types: ["learn"],
  wire: [
    long(nx("LEARN", 16, 32, (r) => readLearn(r, false))),
    long(nx("LEARN2", 45, 40, (r) => readLearn(r, true))),
  ],
  encode(a, w) {
    const second = a.second === true || a.limit !== 0 || (a.flags & LEARN_WRITE_RESULT) !== 0;
    const start = beginNx(w, second ? 45 : 16);
    w.u16(a.idleSec);
    w.u16(a.hardSec);
    w.u16(a.priority);
    w.u64(a.cookie);
    w.u16(a.flags);
    w.u8(a.table);
    w.u8(0);
    w.u16(a.finIdleSec);
    w.u16(a.finHardSec);
    if (second) {
      w.u32(a.limit);
      w.u16(a.resultDst?.offset ?? 0);
      w.u16(0);
      if (a.resultDst !== undefined) writeNxFieldHeader(w, a.resultDst.field);
    }
    for (const spec of a.specs) writeSpec(w, spec);
    end(w, start);
  },
  format: formatLearn,
  words: { learn: parseLearn },
};

function readLearn(r: Reader, second: boolean): Learn {
  const a: Learn = {
    type: "learn",
    idleSec: r.u16(),
    hardSec: r.u16(),
    priority: r.u16(),
    cookie: r.u64(),
    flags: r.u16(),
    table: r.u8(),
    finIdleSec: 0,
    finHardSec: 0,
    limit: 0,
    resultDst: undefined,
    specs: [],
  };
  const pad = r.u8();
  a.finIdleSec = r.u16();
  a.finHardSec = r.u16();
  if (a.flags & ~7 || pad !== 0 || a.table === 0xff) throw new OfpError("OFPBAC_BAD_ARGUMENT");
  if (!second && (a.flags & LEARN_WRITE_RESULT) !== 0) throw new OfpError("OFPBAC_BAD_ARGUMENT");
  if (second) {
    a.limit = r.u32();
    const offset = r.u16();
    mustBeZero(r, 2, "NXBAC_MUST_BE_ZERO");
    if (a.flags & LEARN_WRITE_RESULT) {
      a.resultDst = checkSubfield({ field: readLongFieldHeader(r), offset, bits: 1 }, true);
    } else if (offset !== 0) throw new OfpError("OFPBAC_BAD_ARGUMENT");
  }
  if (second) a.second = true;
  while (r.left >= 2) {
    const header = r.u16();
    if (header === 0) break;
    a.specs.push(readSpec(r, header));
  }
  if (!r.zeros(r.left)) throw new OfpError("OFPBAC_BAD_ARGUMENT");
  return a;
}

function readSpec(r: Reader, header: number): LearnSpec {
  const bits = header & 0x3ff;
  const immediate = (header & 0x2000) !== 0;
  const kind = KINDS[(header >>> 11) & 3];
  if ((header & 0x4000) !== 0 || kind === undefined) throw new OfpError("OFPBAC_BAD_ARGUMENT");
  if (immediate && kind === "output") throw new OfpError("OFPBAC_BAD_ARGUMENT");
  const bytes = 2 * Math.ceil(bits / 16);
  r.need((immediate ? bytes : 6) + (kind === "output" ? 0 : 6), "OFPBAC_BAD_LEN");
  let src: LearnSpec["src"];
  if (immediate) {
    src = r.big(bytes) & ((1n << BigInt(bits)) - 1n);
  } else src = readEnd(r, bits, false);
  const dst = kind === "output" ? undefined : readEnd(r, bits, kind === "load");
  return { kind, src, bits, dst };
}

function readEnd(r: Reader, bits: number, write: boolean): Subfield {
  const field = readFieldHeader(r);
  return checkSubfield({ field, offset: r.u16(), bits }, write);
}

function writeSpec(w: Writer, spec: LearnSpec): void {
  const immediate = typeof spec.src === "bigint";
  w.u16(spec.bits | (immediate ? 0x2000 : 0) | (KINDS.indexOf(spec.kind) << 11));
  if (typeof spec.src === "bigint") w.big(spec.src, 2 * Math.ceil(spec.bits / 16));
  else {
    writeNxFieldHeader(w, spec.src.field);
    w.u16(spec.src.offset);
  }
  if (spec.dst !== undefined) {
    writeNxFieldHeader(w, spec.dst.field);
    w.u16(spec.dst.offset);
  }
}

function formatLearn(a: Learn, c: Parameters<ActionRow["format"]>[1]): string {
  const parts = [`table=${showTable(a.table, c)}`];
  if (a.idleSec !== 0) parts.push(`idle_timeout=${a.idleSec}`);
  if (a.hardSec !== 0) parts.push(`hard_timeout=${a.hardSec}`);
  if (a.finIdleSec !== 0) parts.push(`fin_idle_timeout=${a.finIdleSec}`);
  if (a.finHardSec !== 0) parts.push(`fin_hard_timeout=${a.finHardSec}`);
  if (a.priority !== 0x8000) parts.push(`priority=${a.priority}`);
  if (a.flags & LEARN_SEND_FLOW_REM) parts.push("send_flow_rem");
  if (a.flags & LEARN_DELETE_LEARNED) parts.push("delete_learned");
  if (a.cookie !== 0n) parts.push(`cookie=${hex(a.cookie)}`);
  if (a.limit !== 0) parts.push(`limit=${a.limit}`);
  if (a.resultDst !== undefined) parts.push(`result_dst=${formatSubfield(a.resultDst)}`);
  for (const spec of a.specs) parts.push(formatSpec(spec, c));
  return `learn(${parts.join(",")})`;
}

function formatSpec(spec: LearnSpec, c: Parameters<ActionRow["format"]>[1]): string {
  if (spec.kind === "output") return `output:${formatSubfield(spec.src as Subfield)}`;
  const dst = spec.dst!;
  if (spec.kind === "load") {
    const src = typeof spec.src === "bigint" ? hex(spec.src) : formatSubfield(spec.src);
    return `load:${src}->${formatSubfield(dst)}`;
  }
  if (typeof spec.src !== "bigint") {
    if (spec.src.field === dst.field && spec.src.offset === dst.offset) return formatSubfield(dst);
    return `${formatSubfield(dst)}=${formatSubfield(spec.src)}`;
  }
  if (dst.offset === 0 && dst.bits === dst.field.bits) {
    return `${dst.field.name}=${formatFieldValue(dst.field, spec.src, ones(dst.field.bits), c.ports)}`;
  }
  return `${formatSubfield(dst)}=${hex(spec.src)}`;
}

function parseLearn(arg: string, c: ParseContext): void {
  const a: Learn = {
    type: "learn",
    idleSec: 0,
    hardSec: 0,
    priority: 0x8000,
    table: 1,
    cookie: 0n,
    finIdleSec: 0,
    finHardSec: 0,
    flags: 0,
    limit: 0,
    resultDst: undefined,
    specs: [],
  };
  for (const { key, value } of keyValues(arg)) {
    if (key === "table") {
      if (value === "255") throw new TextError(`${arg}: table id 255 not valid for \`learn' action`);
      a.table = table(value, c);
    } else if (key === "priority") a.priority = u16(value, key);
    else if (key === "idle_timeout") a.idleSec = u16(value, key);
    else if (key === "hard_timeout") a.hardSec = u16(value, key);
    else if (key === "fin_idle_timeout") a.finIdleSec = u16(value, key);
    else if (key === "fin_hard_timeout") a.finHardSec = u16(value, key);
    else if (key === "cookie") a.cookie = u64(value);
    else if (key === "send_flow_rem") a.flags |= LEARN_SEND_FLOW_REM;
    else if (key === "delete_learned") a.flags |= LEARN_DELETE_LEARNED;
    else if (key === "limit") a.limit = u32(value);
    else if (key === "result_dst") {
      a.resultDst = parseSubfield(value);
      if (!a.resultDst.field.writable) throw new TextError(`${a.resultDst.field.name} is read-only`);
      if (a.resultDst.bits !== 1) throw new TextError("result_dst in 'learn' action must be a single bit");
      a.flags |= LEARN_WRITE_RESULT;
    } else a.specs.push(parseSpec(key, value, c, arg));
  }
  c.out.push(a);
}

function parseSpec(key: string, value: string, c: ParseContext, whole: string): LearnSpec {
  if (key === "load") return parseLoadSpec(value);
  if (key === "output") {
    const src = parseSubfield(value);
    return { kind: "output", src, bits: src.bits, dst: undefined };
  }
  const plain = fieldByName(key) ?? fieldByOxmName(key)?.field;
  const unknown = () => new TextError(`${whole}: unknown keyword ${key}`);
  if (plain === undefined && !key.includes("[")) throw unknown();
  const { subfield: dst, rest } =
    plain === undefined ? scanSubfield(key) : { subfield: wholeField(plain), rest: "" };
  if (rest !== "") throw unknown();
  needPlainHeader(dst.field, whole);
  if (value === "") return { kind: "match", src: dst, bits: dst.bits, dst };
  const constant = parseConstant(dst, value, whole, c);
  if (typeof constant === "bigint") return { kind: "match", src: constant, bits: dst.bits, dst };
  let src: Subfield;
  try {
    src = parseSubfield(value);
  } catch (error) {
    throw new TextError(
      `${whole}: ${key} value ${value} cannot be parsed as a subfield (${(error as Error).message}) or an immediate value (${constant})`,
    );
  }
  if (src.bits !== dst.bits) {
    throw new TextError(`${whole}: bit widths of ${key} (${src.bits}) and ${value} (${dst.bits}) differ`);
  }
  return { kind: "match", src, bits: dst.bits, dst };
}

/** The value of a whole field in its own format, or of bits as an integer; a text says why it is neither. */
function parseConstant(
  { field, bits }: Subfield,
  value: string,
  whole: string,
  c: ParseContext,
): bigint | string {
  if (bits < field.bits) {
    const number = parseBig(value);
    if (number === undefined) return `${whole}: cannot parse integer value`;
    return number >> BigInt(bits) === 0n
      ? number
      : `${whole}: value ${hex(number)} does not fit into ${bits} bits`;
  }
  const parsed = parseFieldValue(field, value, c.ports);
  if ("error" in parsed) return parsed.error;
  return parsed.mask === ones(field.bits) ? parsed.value : `${value}: wildcards not allowed here`;
}

function parseLoadSpec(value: string): LearnSpec {
  const arrow = value.indexOf("->");
  if (arrow < 0) throw new TextError(`load: missing \`->' in \`${value}'`);
  if (arrow === 0) throw new TextError(`load: missing source before \`->' in \`${value}'`);
  const text = value.slice(0, arrow);
  const number = parseBig(text);
  if (number === undefined && /^\d/.test(text))
    throw new TextError(`load: garbage before \`->' in \`${value}'`);
  const dst = parseSubfield(value.slice(arrow + 2));
  needPlainHeader(dst.field, value);
  if (!dst.field.writable) throw new TextError(`${dst.field.name} is read-only`);
  if (number !== undefined) {
    if (number >> BigInt(dst.bits) !== 0n)
      throw new TextError(`${value}: value does not fit into ${dst.bits} bits`);
    return { kind: "load", src: number, bits: dst.bits, dst };
  }
  const src = parseSubfield(text);
  if (src.bits !== dst.bits) {
    throw new TextError(
      `${value}: source field is ${src.bits} bits wide but destination is ${dst.bits} bits wide`,
    );
  }
  return { kind: "load", src, bits: dst.bits, dst };
}

export const LEARN_ROWS: readonly ActionRow[] = [row(learn)];
