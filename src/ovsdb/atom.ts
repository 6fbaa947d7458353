/**
 * Atoms (RFC 7047 section 5.1): integer, real, boolean, string, uuid; their order, JSON form and text form.
 *
 * One form a value: an integer is a `number`, past ±2^53 a `bigint` (never both forms for one value, so `===` is
 * equality); a real a finite `number`; a uuid 36 characters in lower case.
 */
import { OvsdbError, syntaxError } from "./error.ts";
import type { Json } from "./json-text.ts";
import { isArray, quote, realText } from "./json-text.ts";

export type AtomicType = "integer" | "real" | "boolean" | "string" | "uuid";
export type Atom = number | bigint | boolean | string;

export const ATOMIC_TYPES: readonly AtomicType[] = ["integer", "real", "boolean", "string", "uuid"];
export const ZERO_UUID = "00000000-0000-0000-0000-000000000000";

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export function isAtomicType(name: string): name is AtomicType {
  return (ATOMIC_TYPES as readonly string[]).includes(name);
}

/** Default values of RFC 7047 section 5.2.1. */
export function defaultAtom(type: AtomicType): Atom {
  switch (type) {
    case "integer":
    case "real":
      return 0;
    case "boolean":
      return false;
    case "string":
      return "";
    case "uuid":
      return ZERO_UUID;
  }
}

/** `value` in its one form, undefined outside of 64 bits. */
export function integerAtom(value: bigint): number | bigint | undefined {
  if (value >= -9007199254740991n && value <= 9007199254740991n) return Number(value);
  return value >= INT64_MIN && value <= INT64_MAX ? value : undefined;
}

/** Lower case, or undefined when `text` is no UUID. */
export function parseUuid(text: string): string | undefined {
  if (text.length !== 36) return undefined;
  if (UUID.test(text)) return text;
  const lower = text.toLowerCase();
  return UUID.test(lower) ? lower : undefined;
}

/** Strings compare by code point (as strcmp on UTF-8), which UTF-16 order is not where surrogates meet U+E000 and up. */
export function compareStrings(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    let x = a.charCodeAt(i);
    let y = b.charCodeAt(i);
    if (x === y) continue;
    if (x >= 0xd800 && y >= 0xd800) {
      x = x < 0xe000 ? x + 0x2000 : x - 0x800;
      y = y < 0xe000 ? y + 0x2000 : y - 0x800;
    }
    return x < y ? -1 : 1;
  }
  return a.length < b.length ? -1 : 1;
}

/** Order within one atomic type: numbers by value, false before true, strings and UUIDs by code point. */
export function compareAtoms(a: Atom, b: Atom): number {
  if (a === b) return 0;
  if (typeof a === "string") return compareStrings(a, b as string);
  return a < b ? -1 : 1;
}

/** Resolves a `["named-uuid", NAME]`; undefined: named UUIDs are not allowed here. */
export type NamedUuids = (name: string) => string;

export function atomFromJson(type: AtomicType, json: Json, named?: NamedUuids): Atom {
  switch (type) {
    case "string":
      if (typeof json === "string") return json;
      break;
    case "integer":
      if (typeof json === "number" && Number.isSafeInteger(json)) return json === 0 ? 0 : json;
      if (typeof json === "bigint") {
        const value = integerAtom(json);
        if (value !== undefined) return value;
      } else if (typeof json === "number" && Number.isInteger(json)) {
        const value = integerAtom(BigInt(json));
        if (value !== undefined) return value;
      }
      break;
    case "real":
      if (typeof json === "number") return json === 0 ? 0 : json;
      if (typeof json === "bigint") return Number(json);
      break;
    case "boolean":
      if (typeof json === "boolean") return json;
      break;
    case "uuid":
      return uuidFromJson(json, named);
  }
  throw syntaxError(json, `expected ${type}`);
}

function uuidFromJson(json: Json, named: NamedUuids | undefined): string {
  if (isArray(json) && json.length === 2 && typeof json[1] === "string") {
    if (json[0] === "uuid") {
      const uuid = parseUuid(json[1]);
      if (uuid === undefined) throw syntaxError(json, `"${json[1]}" is not a valid UUID`);
      return uuid;
    }
    if (json[0] === "named-uuid" && named !== undefined) return named(json[1]);
  }
  throw syntaxError(json, 'expected ["uuid", <string>]');
}

export function atomToJson(type: AtomicType, atom: Atom): Json {
  return type === "uuid" ? ["uuid", atom] : atom;
}

/** The JSON form as text, without making the value in between. */
export function atomJsonText(type: AtomicType, atom: Atom): string {
  switch (type) {
    case "string":
      return quote(atom as string);
    case "uuid":
      return `["uuid","${atom as string}"]`;
    case "real":
      return realText(atom as number);
    default:
      return String(atom);
  }
}

const BARE = /^[A-Za-z_][A-Za-z0-9_.-]*$/;

/** Strings that read back as themselves without quotes. */
export function needsQuotes(text: string): boolean {
  return !BARE.test(text) || text === "true" || text === "false" || parseUuid(text) !== undefined;
}

/** Text form, as ovs-vsctl prints it. */
export function formatAtom(type: AtomicType, atom: Atom): string {
  if (type === "string") return needsQuotes(atom as string) ? quote(atom as string) : (atom as string);
  return type === "real" ? realText(atom as number) : String(atom);
}

/**
 * Text form without quotes, for table cells in `--data=bare`.
 */
export function bareAtom(type: AtomicType, atom: Atom): string {
  return type === "string" ? (atom as string) : formatAtom(type, atom);
}

/** What is wrong with a value typed on a command line; printed alone, no tag. */
export class AtomTextError extends Error {}

const REAL_TEXT = /^\s*[+-]?(\d+\.?\d*(e[+-]?\d+)?|\.\d+(e[+-]?\d+)?|0x[0-9a-f]+)$/i;

/** Parses a text form (already cut off from its neighbours by the token rules of datum-text.ts). */
export function parseAtom(type: AtomicType, text: string, named?: NamedUuids): Atom {
  switch (type) {
    case "integer": {
      if (/^\s*[+-]?\d+$/.test(text)) {
        const value = integerAtom(BigInt(text.trim().replace("+", "")));
        if (value !== undefined) return value;
      }
      throw new AtomTextError(`"${text}" is not a valid integer or range`);
    }
    case "real": {
      if (/^(inf|nan)/i.test(text)) {
        throw new OvsdbError(
          "constraint violation",
          `${text} is greater than maximum allowed value 1.79769313486232e+308`,
        );
      }
      const value = REAL_TEXT.test(text) ? Number(text.trim()) : Number.NaN;
      if (Number.isFinite(value)) return value === 0 ? 0 : value;
      throw new AtomTextError(`"${text}" is not a valid real number`);
    }
    case "boolean":
      if (text === "true" || text === "yes" || text === "on" || text === "1") return true;
      if (text === "false" || text === "no" || text === "off" || text === "0") return false;
      throw new AtomTextError(`"${text}" is not a valid boolean (use "true" or "false")`);
    case "string":
      return parseStringAtom(text);
    case "uuid": {
      const uuid = parseUuid(text);
      if (uuid !== undefined) return uuid;
      if (text.startsWith("@") && named !== undefined) return named(text);
      throw new AtomTextError(`"${text}" is not a valid UUID`);
    }
  }
}

function parseStringAtom(text: string): string {
  if (text === "") {
    throw new AtomTextError('An empty string is not valid as input; use "" to represent the empty string');
  }
  if (!text.startsWith('"')) return text;
  if (text.length < 2 || !text.endsWith('"'))
    throw new AtomTextError(`${text}: missing quote at end of quoted string`);
  return unquote(text);
}

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

function unquote(text: string): string {
  let value = "";
  const end = text.length - 1;
  for (let i = 1; i < end; i++) {
    const c = text[i]!;
    if (c === '"') throw new AtomTextError(`${text}: quoted string may not include unescaped "`);
    if (c !== "\\") {
      value += c;
      continue;
    }
    if (++i >= end) throw new AtomTextError(`${text}: quoted string may not end with backslash`);
    const letter = text[i]!;
    const hex = text.slice(i + 1, i + 5);
    if (letter === "u" && /^[0-9a-f]{4}$/i.test(hex) && i + 4 < end) {
      value += String.fromCharCode(Number.parseInt(hex, 16));
      i += 4;
    } else if (letter === "u") throw new AtomTextError(`${text}: malformed \\u escape`);
    else if (Object.hasOwn(ESCAPES, letter)) value += ESCAPES[letter];
    else throw new AtomTextError(`${text}: bad escape \\${letter}`);
  }
  return value;
}
