/**
 * Base types with their constraints and column types (RFC 7047 section 3.2 <base-type>, <type>): parsing, checks,
 * canonical JSON, English names for messages.
 */

import type { Atom, AtomicType } from "./atom.ts";
import { atomFromJson, compareAtoms, formatAtom, isAtomicType } from "./atom.ts";
import { constraintViolation, OvsdbError, syntaxError } from "./error.ts";
import type { Json, JsonObject } from "./json-text.ts";
import { isArray, isObject, realText } from "./json-text.ts";
import { ObjectParser } from "./object-parser.ts";

export type RefType = "strong" | "weak";

/** Absent constraints are undefined. */
export interface BaseType {
  readonly type: AtomicType;
  /** Sorted, at least one; no other constraint beside it. */
  readonly enum: readonly Atom[] | undefined;
  /** For integer and real: bounds, both inclusive. For string: bounds of the length in code points. */
  readonly min: number | bigint | undefined;
  readonly max: number | bigint | undefined;
  readonly refTable: string | undefined;
  /** Set exactly when `refTable` is. */
  readonly refType: RefType | undefined;
}

export interface ColumnType {
  readonly key: BaseType;
  /** Present: the column is a map. */
  readonly value: BaseType | undefined;
  readonly min: 0 | 1;
  /** Infinity for "unlimited". */
  readonly max: number;
}

/** The original's "unlimited", as its messages print it. */
const UNLIMITED = 4294967295;

export function baseType(type: AtomicType): BaseType {
  return { type, enum: undefined, min: undefined, max: undefined, refTable: undefined, refType: undefined };
}

export function scalarType(type: AtomicType): ColumnType {
  return { key: baseType(type), value: undefined, min: 1, max: 1 };
}

/** Exactly one value. */
export function isScalar(type: ColumnType): boolean {
  return type.value === undefined && type.min === 1 && type.max === 1;
}

export function isOptionalScalar(type: ColumnType): boolean {
  return type.value === undefined && type.min === 0 && type.max === 1;
}

/** Prints with brackets: more than one or no value possible. */
export function isComposite(type: ColumnType): boolean {
  return type.max > 1;
}

export function isRef(base: BaseType, refType: RefType): boolean {
  return base.refTable !== undefined && base.refType === refType;
}

function parseAtomicType(json: Json): AtomicType {
  if (typeof json !== "string") throw syntaxError(json, "atomic-type expected");
  if (!isAtomicType(json)) throw syntaxError(json, `"${json}" is not an atomic-type`);
  return json;
}

function lengthMember(parser: ObjectParser, name: string): number | undefined {
  const json = parser.optional(name, "integer") as number | bigint | undefined;
  if (json === undefined) return undefined;
  if (json < 0 || json > UNLIMITED) throw syntaxError(json, `${name} out of valid range 0 to ${UNLIMITED}`);
  return Number(json);
}

function numberMember(parser: ObjectParser, name: string, type: AtomicType): number | bigint | undefined {
  const json = parser.optional(name, type === "integer" ? "integer" : "number");
  return json === undefined ? undefined : (atomFromJson(type, json) as number | bigint);
}

const BOUNDS: Partial<Record<AtomicType, string>> = { integer: "Integer", real: "Real", string: "Length" };

export function baseTypeFromJson(json: Json): BaseType {
  if (typeof json === "string") return baseType(parseAtomicType(json));
  const parser = new ObjectParser(json, "ovsdb type");
  const type = parseAtomicType(parser.member("type", "string"));
  const base = { ...baseType(type) } as { -readonly [K in keyof BaseType]: BaseType[K] };
  const choices = parser.optional("enum", "null", ["boolean", "number", "string", "array", "object"]);
  const bounds = BOUNDS[type];
  if (choices !== undefined) base.enum = parseEnum(type, choices);
  else if (bounds !== undefined) {
    const read = type === "string" ? lengthMember : numberMember;
    base.min = read(parser, `min${bounds}`, type);
    base.max = read(parser, `max${bounds}`, type);
    if (base.min !== undefined && base.max !== undefined && base.min > base.max) {
      throw syntaxError(json, `min${bounds} exceeds max${bounds}`);
    }
  } else if (type === "uuid") {
    base.refTable = parser.optional("refTable", "id") as string | undefined;
    if (base.refTable !== undefined) base.refType = parseRefType(json, parser);
  }
  parser.finish();
  return base;
}

function parseRefType(json: Json, parser: ObjectParser): RefType {
  const refType = parser.optional("refType", "string") ?? "strong";
  if (refType === "strong" || refType === "weak") return refType;
  throw syntaxError(json, `refType must be "strong" or "weak" (not "${refType}")`);
}

function parseEnum(type: AtomicType, json: Json): readonly Atom[] {
  const items =
    isArray(json) && json[0] === "set" && json.length === 2 && isArray(json[1]) ? json[1] : [json];
  if (items.length === 0)
    throw syntaxError(json, `set must have 1 to ${UNLIMITED} members but 0 are present`);
  const atoms = items.map((item) => atomFromJson(type, item)).sort(compareAtoms);
  for (let i = 1; i < atoms.length; i++) {
    if (atoms[i] === atoms[i - 1]) throw new OvsdbError("ovsdb error", "set contains duplicate");
  }
  return atoms;
}

export function baseTypeToJson(base: BaseType): Json {
  const json: Record<string, Json> = { type: base.type };
  const toJson = (atom: Atom): Json => (base.type === "uuid" ? ["uuid", atom] : atom);
  if (base.enum !== undefined) {
    json.enum = base.enum.length === 1 ? toJson(base.enum[0]!) : ["set", base.enum.map(toJson)];
  }
  const bounds = BOUNDS[base.type];
  if (base.min !== undefined && !(base.type === "string" && base.min === 0) && !isInt64Limit(base.min)) {
    json[`min${bounds}`] = base.min;
  }
  if (
    base.max !== undefined &&
    !(base.type === "string" && base.max === UNLIMITED) &&
    !isInt64Limit(base.max)
  ) {
    json[`max${bounds}`] = base.max;
  }
  if (base.refTable !== undefined) json.refTable = base.refTable;
  if (base.refType === "weak") json.refType = "weak";
  return Object.keys(json).length === 1 ? base.type : json;
}

function isInt64Limit(value: number | bigint): boolean {
  return value === -(2n ** 63n) || value === 2n ** 63n - 1n;
}

function parseCount(json: Json | undefined, fallback: number): number {
  if (json === undefined) return fallback;
  if (json === "unlimited") return Number.POSITIVE_INFINITY;
  if (typeof json === "number" && json >= 0 && json <= UNLIMITED) return json;
  throw syntaxError(json, "bad min or max value");
}

export function columnTypeFromJson(json: Json): ColumnType {
  if (typeof json === "string") return { key: baseTypeFromJson(json), value: undefined, min: 1, max: 1 };
  if (!isObject(json)) throw syntaxError(json, "ovsdb type expected");
  const parser = new ObjectParser(json, "ovsdb type");
  const key = parser.member("key", "string", ["object"]);
  const value = parser.optional("value", "string", ["object"]);
  const min = parser.optional("min", "integer");
  const max = parser.optional("max", "integer", ["string"]);
  parser.finish();
  const type = {
    key: baseTypeFromJson(key),
    value: value === undefined ? undefined : baseTypeFromJson(value),
    min: parseCount(min, 1) as 0 | 1,
    max: parseCount(max, 1),
  };
  if (type.min > 1 || type.max < 1) throw syntaxError(json, "ovsdb type fails constraint checks");
  return type;
}

export function columnTypeToJson(type: ColumnType): Json {
  const key = baseTypeToJson(type.key);
  if (isScalar(type) && typeof key === "string") return key;
  const json: Record<string, Json> = { key };
  if (type.value !== undefined) json.value = baseTypeToJson(type.value);
  if (type.min !== 1) json.min = type.min;
  if (type.max !== 1) json.max = type.max === Number.POSITIVE_INFINITY ? "unlimited" : type.max;
  return json as JsonObject;
}

function codePoints(text: string): number {
  let count = text.length;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c >= 0xd800 && c < 0xdc00 && i + 1 < text.length) count--;
  }
  return count;
}

/** Throws "constraint violation" when `atom` is outside of `base`. References are not looked up here. */
export function checkAtom(base: BaseType, atom: Atom): void {
  if (base.enum !== undefined) {
    if (base.enum.includes(atom)) return;
    const choices = base.enum.map((choice) => formatAtom(base.type, choice)).join(", ");
    throw constraintViolation(
      `${formatAtom(base.type, atom)} is not one of the allowed values ([${choices}])`,
    );
  }
  if (base.min === undefined && base.max === undefined) return;
  if (base.type === "string") checkLength(base, atom as string);
  else checkRange(base, atom);
}

function checkRange(base: BaseType, atom: Atom): void {
  const under = base.min !== undefined && (atom as number) < base.min;
  const over = base.max !== undefined && (atom as number) > base.max;
  if (!under && !over) return;
  const show = (value: Atom): string => (base.type === "real" ? realText(value as number) : String(value));
  const min = base.min !== undefined && !isInt64Limit(base.min) ? base.min : undefined;
  const max = base.max !== undefined && !isInt64Limit(base.max) ? base.max : undefined;
  if (min !== undefined && max !== undefined) {
    throw constraintViolation(
      `${show(atom)} is not in the valid range ${show(min)} to ${show(max)} (inclusive)`,
    );
  }
  if (under) throw constraintViolation(`${show(atom)} is less than minimum allowed value ${show(base.min!)}`);
  throw constraintViolation(`${show(atom)} is greater than maximum allowed value ${show(base.max!)}`);
}

function checkLength(base: BaseType, text: string): void {
  const length = codePoints(text);
  if (base.min !== undefined && length < base.min) {
    throw constraintViolation(`"${text}" length ${length} is less than minimum allowed length ${base.min}`);
  }
  if (base.max !== undefined && length > base.max) {
    throw constraintViolation(
      `"${text}" length ${length} is greater than maximum allowed length ${base.max}`,
    );
  }
}

export function hasConstraints(base: BaseType): boolean {
  return base.enum !== undefined || base.min !== undefined || base.max !== undefined;
}

/** "set of up to 3 integers", "map of (string, integer) pairs", "string": for messages about text forms. */
export function describeType(type: ColumnType): string {
  if (isScalar(type)) return type.key.type;
  const least = type.min === 1;
  const count =
    type.max === Number.POSITIVE_INFINITY
      ? least
        ? "1 or more "
        : ""
      : least && type.max > 1
        ? `1 to ${type.max} `
        : `up to ${type.max} `;
  if (type.value !== undefined) return `map of ${count}(${type.key.type}, ${type.value.type}) pairs`;
  return `set of ${count}${type.key.type === "boolean" ? "booleans" : `${type.key.type}s`}`;
}

const OPTIONAL = new WeakMap<ColumnType, ColumnType>();
const UNLIMITED_TYPE = new WeakMap<ColumnType, ColumnType>();

/** The same, and none is enough. */
export function optionalType(type: ColumnType): ColumnType {
  if (type.min === 0) return type;
  let optional = OPTIONAL.get(type);
  if (optional === undefined) OPTIONAL.set(type, (optional = { ...type, min: 0 }));
  return optional;
}

/** The same with any number of elements. */
export function unlimitedType(type: ColumnType): ColumnType {
  if (type.min === 0 && type.max === Number.POSITIVE_INFINITY) return type;
  let unlimited = UNLIMITED_TYPE.get(type);
  if (unlimited === undefined)
    UNLIMITED_TYPE.set(type, (unlimited = { ...type, min: 0, max: Number.POSITIVE_INFINITY }));
  return unlimited;
}

const KEYS = new WeakMap<ColumnType, ColumnType>();

/** Of a map, any number of its keys. */
export function keysType(type: ColumnType): ColumnType {
  let keys = KEYS.get(type);
  if (keys === undefined) KEYS.set(type, (keys = { ...unlimitedType(type), value: undefined }));
  return keys;
}
