/** The shape of the action registry's rows, and what all rows share: wire headers, subfields, text scanning. */
import { EXPERIMENTER_CLASS, type Field, fieldByName, fieldByOxmName } from "../../flow/fields/index.ts";
import type { PortNames } from "../../flow/match-text.ts";
import type { Ofpact, OfpactType, OfpPort, Subfield } from "../actions.ts";
import { NX_VENDOR, OfpError } from "../errors.ts";
import { fieldHeader, fieldOfHeader, headerBytes, readHeader, type WireHeader, writeHeader } from "../oxm.ts";
import { formatPort, parsePort, parseUint } from "../ports.ts";
import type { Reader, Writer } from "../wire.ts";

export { Items, isSeparator, keyValues } from "../../flow/items.ts";

/** One wire form of an action: vendor 0 is OpenFlow's own numbering. */
export interface WireForm {
  readonly name: string;
  readonly vendor: number;
  readonly number: number;
  /** Wire versions that have it. */
  readonly first: number;
  readonly last: number;
  /** Least length of the whole action; `exact` forbids more. */
  readonly min: number;
  readonly exact: boolean;
  /** The reader stands after the header (4 bytes, or 10 for vendors) and ends with the action. */
  decode(r: Reader, c: DecodeContext): Ofpact;
}

export interface DecodeContext {
  readonly version: number;
  /** Decodes nested actions up to the reader's end. */
  nested(r: Reader, outer: OfpactType): Ofpact[];
}

/** Names of flow tables, in both directions. */
export interface TableNames {
  numberOf(name: string): number | undefined;
  nameOf(table: number): string | undefined;
}

export interface FormatContext {
  readonly ports: PortNames | undefined;
  readonly tables: TableNames | undefined;
  actions(list: readonly Ofpact[]): string;
}

/** What text parsing throws: the message as 3.7 prints it, without the program's name. */
export class TextError extends Error {}

export interface ParseContext {
  readonly ports: PortNames | undefined;
  readonly tables: TableNames | undefined;
  /** Bits of protocols.ts that can still say what was parsed. */
  usable: number;
  readonly out: Ofpact[];
  /** Inside `outer(...)`. */
  nested(text: string, outer: OfpactType): Ofpact[];
}

export interface ActionRow<A extends Ofpact = Ofpact> {
  readonly types: readonly A["type"][];
  readonly wire: readonly WireForm[];
  encode(a: A, w: Writer, version: number): void;
  format(a: A, c: FormatContext): string;
  /** Words of the text syntax; each appends to `c.out`. */
  readonly words: Readonly<Record<string, (arg: string, c: ParseContext) => void>>;
}

/** Loses the row's own type, so that rows of different actions share one table. */
export function row<A extends Ofpact>(r: ActionRow<A>): ActionRow {
  return r as unknown as ActionRow;
}

type Decode = (r: Reader, c: DecodeContext) => Ofpact;

/** OpenFlow's own action `number` in versions first to last. */
export function of(
  name: string,
  number: number,
  first: number,
  last: number,
  size: number,
  decode: Decode,
): WireForm {
  return { name: `OFPAT_${name}`, vendor: 0, number, first, last, min: size, exact: true, decode };
}

/** One of Nicira's, in every version. */
export function nx(name: string, number: number, size: number, decode: Decode): WireForm {
  return {
    name: `NXAST_${name}`,
    vendor: NX_VENDOR,
    number,
    first: 1,
    last: 6,
    min: size,
    exact: true,
    decode,
  };
}

/** The same in versions first to last. */
export function within(first: number, last: number, form: WireForm): WireForm {
  return { ...form, first, last };
}

/** The same, longer than `size` allowed. */
export function long(form: WireForm): WireForm {
  return { ...form, exact: false };
}

/** Starts an OpenFlow action; `end` finishes it. */
export function begin(w: Writer, type: number): number {
  const start = w.pos;
  w.u16(type);
  w.u16(0);
  return start;
}

export function beginNx(w: Writer, subtype: number, vendor = NX_VENDOR): number {
  const start = w.pos;
  w.u16(0xffff);
  w.u16(0);
  w.u32(vendor);
  w.u16(subtype);
  return start;
}

/** Pads to 8 bytes and writes the length. */
export function end(w: Writer, start: number): void {
  w.pad(start);
  w.setU16(start + 2, w.pos - start);
}

/** Throws `error` unless `count` bytes are zero. */
export function mustBeZero(r: Reader, count: number, error = "NXBRC_MUST_BE_ZERO"): void {
  if (r.left < count || !r.zeros(count)) throw new OfpError(error);
}

/** What is left must be zero padding. */
export function restZero(r: Reader): void {
  mustBeZero(r, r.left);
}

// Subfields.

export function wholeField(field: Field): Subfield {
  return { field, offset: 0, bits: field.bits };
}

/** A field's header of 32 bits in an action: no experimenter, and the length of the field, or of it and a mask. */
export function readFieldHeader(r: Reader): Field {
  r.need(4, "OFPBAC_BAD_LEN");
  const oxmClass = r.u16();
  const low = r.u8();
  const payload = r.u8();
  const field = oxmClass === EXPERIMENTER_CLASS ? undefined : fieldOfHeader(oxmClass, low >>> 1, 0);
  const bytes = low & 1 ? payload / 2 : payload;
  if (field === undefined || !fitsPayload(field, bytes)) throw new OfpError("OFPBAC_BAD_SET_TYPE");
  return field;
}

/** The same where there is room for an experimenter's; such actions have errors of matches. */
export function readLongFieldHeader(r: Reader): Field {
  r.need(4, "OFPBMC_BAD_LEN");
  const { field, masked, payload } = readHeader(r, "OFPBMC_BAD_LEN");
  if (field === undefined) throw new OfpError("OFPBMC_BAD_FIELD");
  if (masked && payload > 0 && fitsPayload(field, payload / 2)) throw new OfpError("OFPBMC_BAD_MASK");
  if (masked || !fitsPayload(field, payload)) throw new OfpError("OFPBMC_BAD_FIELD");
  return field;
}

/** tun_metadata is as wide as its option is. */
function fitsPayload(field: Field, payload: number): boolean {
  return field.isTunMetadata ? payload <= field.bytes : payload === field.bytes;
}

/** The header before a value, and maybe a mask. Other lengths than the field's are for the reader of the value. */
export function readValueHeader(r: Reader): WireHeader & { field: Field } {
  r.need(4, "OFPBMC_BAD_LEN");
  const h = readHeader(r, "OFPBMC_BAD_LEN");
  if (h.payload === 0 && h.experimenter === 0) throw new OfpError("OFPBAC_BAD_SET_TYPE");
  if (h.field === undefined || h.payload % (h.masked ? 2 : 1) !== 0) throw new OfpError("OFPBAC_BAD_SET_LEN");
  return { ...h, field: h.field };
}

export function writeFieldHeader(w: Writer, field: Field, version: number): void {
  const header = fieldHeader(field, version);
  if (header === undefined) throw new OfpError("OFPBAC_BAD_SET_TYPE", `${field.name} has no wire form`);
  writeHeader(w, header, field.bytes, false);
}

/** Nicira actions name fields by the field's first header, the NXM one where there is one. */
export function writeNxFieldHeader(w: Writer, field: Field): void {
  writeFieldHeader(w, field, 0);
}

export function nxHeaderBytes(field: Field): number {
  return headerBytes(fieldHeader(field, 0)!);
}

export function offsetBits(s: Subfield): number {
  return (s.offset << 6) | (s.bits - 1);
}

export function subfieldOf(field: Field, packed: number): Subfield {
  return { field, offset: packed >>> 6, bits: (packed & 0x3f) + 1 };
}

/** Bits beyond the field: OFPBAC_BAD_SET_LEN; with `write`, a read-only field: OFPBAC_BAD_SET_ARGUMENT. */
export function checkSubfield(s: Subfield, write: boolean): Subfield {
  if (s.bits === 0 || s.offset + s.bits > s.field.bits) throw new OfpError("OFPBAC_BAD_SET_LEN");
  if (write && !s.field.writable) {
    throw new OfpError(
      "OFPBAC_BAD_SET_ARGUMENT",
      `destination field ${s.field.name} is not writable`,
      "meta_flow",
    );
  }
  return s;
}

export function fieldText(field: Field): string {
  return field.headers[0]?.name ?? field.name;
}

/** "NXM_NX_REG0[]", "NXM_NX_REG0[5]", "NXM_NX_REG0[0..5]". */
export function formatSubfield(s: Subfield): string {
  const name = fieldText(s.field);
  if (s.offset === 0 && s.bits === s.field.bits) return `${name}[]`;
  if (s.bits === 1) return `${name}[${s.offset}]`;
  return `${name}[${s.offset}..${s.offset + s.bits - 1}]`;
}

/** Parses a subfield at the start of `text`; returns it and what follows. */
export function scanSubfield(text: string): { subfield: Subfield; rest: string } {
  const match = /^[^[\]\->,()=: \t]*(?:-(?!>)[^[\]\->,()=: \t]*)*/.exec(text);
  const name = match?.[0] ?? "";
  const field = fieldByOxmName(name)?.field ?? fieldByName(name);
  if (field === undefined) throw new TextError(`${text}: unknown field \`${name}'`);
  let rest = text.slice(name.length);
  let offset = 0;
  let bits = field.bits;
  if (rest.startsWith("[")) {
    const range = /^\[(?:(\d+)\.\.(\d+)|(\d+))?\]/.exec(rest);
    if (range === null)
      throw new TextError(`${text}: syntax error expecting [] or [<bit>] or [<start>..<end>]`);
    rest = rest.slice(range[0].length);
    if (range[1] !== undefined || range[3] !== undefined) {
      const first = Number(range[1] ?? range[3]);
      const last = Number(range[2] ?? range[3]);
      if (first > last) throw new TextError(`${text}: starting bit ${first} is after ending bit ${last}`);
      if (first >= field.bits) {
        throw new TextError(
          `${text}: starting bit ${first} is not valid because field is only ${field.bits} bits wide`,
        );
      }
      if (last >= field.bits) {
        throw new TextError(
          `${text}: ending bit ${last} is not valid because field is only ${field.bits} bits wide`,
        );
      }
      offset = first;
      bits = last - first + 1;
    }
  }
  return { subfield: { field, offset, bits }, rest };
}

export function parseSubfield(text: string): Subfield {
  const { subfield, rest } = scanSubfield(text);
  if (rest !== "") throw new TextError(`${text}: trailing garbage \`${rest}'`);
  return subfield;
}

/** Some actions have room for 32-bit headers only: no experimenter fields. */
export function needPlainHeader(field: Field, text: string): void {
  if (nxHeaderBytes(field) > 4) {
    throw new TextError(`${text}: experimenter OXM field '${field.name}' not supported`);
  }
}

export function needWritable(s: Subfield): void {
  if (!s.field.writable) throw new TextError(`${s.field.name} is read-only`);
}

// Text.

/** An unsigned number of at most `max`; `what` names it in the error. */
export function number(text: string, what: string, max: number): number {
  const value = parseUint(text);
  if (value === undefined) {
    throw new TextError(max === 0xffffffff ? `invalid numeric format ${text}` : `invalid ${what} "${text}"`);
  }
  if (value > max) throw new TextError(`invalid ${what} "${text}"`);
  return value;
}

export function u8(text: string, what: string): number {
  return number(text, what, 0xff);
}
export function u16(text: string, what: string): number {
  return number(text, what, 0xffff);
}
export function u32(text: string): number {
  if (text === "") throw new TextError("missing required numeric argument");
  const value = parseUint(text);
  if (value === undefined || value > 0xffffffff) throw new TextError(`invalid numeric format ${text}`);
  return value;
}
export function u64(text: string): bigint {
  if (text === "") throw new TextError("missing required numeric argument");
  const value = parseBig(text);
  if (value === undefined || value >> 64n !== 0n) throw new TextError(`invalid numeric format ${text}`);
  return value;
}

/** strtoull with base 0. */
export function parseBig(text: string): bigint | undefined {
  if (/^0[xX][0-9a-fA-F]+$/.test(text)) return BigInt(text.toLowerCase());
  if (/^0[0-7]*$/.test(text)) return BigInt(`0o0${text.slice(1)}`);
  return /^[1-9][0-9]*$/.test(text) ? BigInt(text) : undefined;
}

export function port(text: string, c: ParseContext, what = "is not an OpenFlow port"): OfpPort {
  const value = parsePort(text, c.ports);
  if (value === undefined) throw new TextError(`${text} ${what}`);
  return value;
}

export function showPort(value: OfpPort, c: FormatContext): string {
  return formatPort(value, c.ports);
}

export function showTable(table: number, c: FormatContext): string {
  return c.tables?.nameOf(table) ?? String(table);
}

/** A table's number or name; 255 only where `all`. */
export function table(text: string, c: ParseContext, max = 254): number {
  const value = parseUint(text) ?? c.tables?.numberOf(text);
  if (value === undefined || value > max) throw new TextError(`unknown table "${text}"`);
  return value;
}

export function hexBytes(text: string): Uint8Array {
  const digits = text.replace(/\./g, "");
  if (!/^([0-9a-fA-F]{2})*$/.test(digits)) {
    throw new TextError("bad hex digit in `controller' action `userdata'");
  }
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

export function dottedHex(bytes: Uint8Array): string {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join(".");
}

/** 0 prints as "0", as `%#x` does. */
export function hex(value: number | bigint): string {
  return value === 0 || value === 0n ? "0" : `0x${value.toString(16)}`;
}
