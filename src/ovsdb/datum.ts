/**
 * Datums (RFC 7047 section 5.1 <value>): immutable sorted arrays of atoms, shared freely; every operation makes a new
 * one. Text forms are in datum-text.ts.
 */

import type { Atom, NamedUuids } from "./atom.ts";
import { atomFromJson, atomJsonText, atomToJson, compareAtoms, defaultAtom } from "./atom.ts";
import { OvsdbError, syntaxError } from "./error.ts";
import type { Json } from "./json-text.ts";
import { isArray } from "./json-text.ts";
import type { BaseType, ColumnType } from "./type.ts";
import { checkAtom, hasConstraints } from "./type.ts";

/** `keys` ascending without duplicates; `values`, for maps only, in the order of `keys`. Never written to. */
export class Datum {
  readonly keys: readonly Atom[];
  readonly values: readonly Atom[] | undefined;
  constructor(keys: readonly Atom[], values: readonly Atom[] | undefined) {
    this.keys = keys;
    this.values = values;
  }
}

const NONE: readonly Atom[] = [];
export const EMPTY_SET = new Datum(NONE, undefined);
export const EMPTY_MAP = new Datum(NONE, NONE);

const DEFAULTS = new WeakMap<ColumnType, Datum>();

/** Default value of a column (RFC 7047 section 5.2.1); one shared object a type. */
export function defaultDatum(type: ColumnType): Datum {
  const known = DEFAULTS.get(type);
  if (known !== undefined) return known;
  let datum = type.value === undefined ? EMPTY_SET : EMPTY_MAP;
  if (type.min > 0) {
    // A column with an enum still defaults to its type's default, whether or not the enum has it.
    datum = new Datum(
      [defaultAtom(type.key.type)],
      type.value === undefined ? undefined : [defaultAtom(type.value.type)],
    );
  }
  DEFAULTS.set(type, datum);
  return datum;
}

export function isDefault(type: ColumnType, datum: Datum): boolean {
  return equalDatums(datum, defaultDatum(type));
}

export function scalar(atom: Atom): Datum {
  return new Datum([atom], undefined);
}

export function equalDatums(a: Datum, b: Datum): boolean {
  if (a === b) return true;
  const n = a.keys.length;
  if (n !== b.keys.length) return false;
  for (let i = 0; i < n; i++) if (a.keys[i] !== b.keys[i]) return false;
  if (a.values !== undefined && b.values !== undefined) {
    for (let i = 0; i < n; i++) if (a.values[i] !== b.values[i]) return false;
  }
  return true;
}

/** Total order: by size, then keys, then values. */
export function compareDatums(a: Datum, b: Datum): number {
  if (a.keys.length !== b.keys.length) return a.keys.length < b.keys.length ? -1 : 1;
  for (let i = 0; i < a.keys.length; i++) {
    const order = compareAtoms(a.keys[i]!, b.keys[i]!);
    if (order !== 0) return order;
  }
  if (a.values === undefined || b.values === undefined) return 0;
  for (let i = 0; i < a.keys.length; i++) {
    const order = compareAtoms(a.values[i]!, b.values[i]!);
    if (order !== 0) return order;
  }
  return 0;
}

/** Index of `atom` in sorted `atoms`, or -(insertion point) - 1. */
export function search(atoms: readonly Atom[], atom: Atom): number {
  let low = 0;
  let high = atoms.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const order = compareAtoms(atoms[middle]!, atom);
    if (order === 0) return middle;
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return -low - 1;
}

export function hasKey(datum: Datum, key: Atom): boolean {
  return search(datum.keys, key) >= 0;
}

export function mapGet(datum: Datum, key: Atom): Atom | undefined {
  const at = search(datum.keys, key);
  return at < 0 ? undefined : datum.values?.[at];
}

function isSorted(keys: readonly Atom[]): boolean {
  for (let i = 1; i < keys.length; i++) if (compareAtoms(keys[i - 1]!, keys[i]!) >= 0) return false;
  return true;
}

/**
 * Makes a datum of atoms in any order, which it takes over. With `duplicates` "drop" the first of equal keys stays;
 * with "refuse" throws "set contains duplicate" or "map contains duplicate key".
 */
export function makeDatum(keys: Atom[], values: Atom[] | undefined, duplicates: "drop" | "refuse"): Datum {
  if (isSorted(keys)) return new Datum(keys, values);
  const order = keys.map((_, i) => i).sort((a, b) => compareAtoms(keys[a]!, keys[b]!));
  const sortedKeys: Atom[] = [];
  const sortedValues: Atom[] | undefined = values === undefined ? undefined : [];
  for (const i of order) {
    if (sortedKeys.length > 0 && sortedKeys[sortedKeys.length - 1] === keys[i]) {
      if (duplicates === "drop") continue;
      throw new OvsdbError(
        "ovsdb error",
        values === undefined ? "set contains duplicate" : "map contains duplicate key",
      );
    }
    sortedKeys.push(keys[i]!);
    sortedValues?.push(values![i]!);
  }
  return new Datum(sortedKeys, sortedValues);
}

/** Throws "constraint violation" when an atom is outside of its base type. */
export function checkDatum(type: ColumnType, datum: Datum): void {
  if (hasConstraints(type.key)) for (const key of datum.keys) checkAtom(type.key, key);
  if (type.value !== undefined && hasConstraints(type.value)) {
    for (const value of datum.values!) checkAtom(type.value, value);
  }
}

export interface FromJsonOptions {
  readonly named?: NamedUuids | undefined;
  /** Skip min and max number of elements (for mutations and diffs). */
  readonly anySize?: boolean;
  /** Skip the base types' constraints. */
  readonly unchecked?: boolean;
}

const SHOWN_UNLIMITED = 4294967295;

function wrongSize(type: ColumnType, json: Json, count: number): OvsdbError {
  const kind = type.value === undefined ? "set" : "map";
  if (type.min === type.max) {
    return syntaxError(json, `${kind} must have exactly one member but ${count} are present`);
  }
  const max = type.max === Number.POSITIVE_INFINITY ? SHOWN_UNLIMITED : type.max;
  return syntaxError(json, `${kind} must have ${type.min} to ${max} members but ${count} are present`);
}

const CHECKED: FromJsonOptions = {};

export function datumFromJson(type: ColumnType, json: Json, options: FromJsonOptions = CHECKED): Datum {
  if (type.value !== undefined) return mapFromJson(type, type.value, json, options);
  if (!isArray(json) || json[0] !== "set") return shared(element(type.key, json, options));
  if (json.length !== 2 || !isArray(json[1])) throw syntaxError(json, 'expected ["set", <array>]');
  const items = json[1];
  checkSize(type, json, items.length, options);
  if (items.length === 0) return EMPTY_SET;
  const keys = new Array<Atom>(items.length);
  for (let i = 0; i < items.length; i++) keys[i] = element(type.key, items[i]!, options);
  return makeDatum(keys, undefined, "refuse");
}

function mapFromJson(type: ColumnType, valueType: BaseType, json: Json, options: FromJsonOptions): Datum {
  if (!isArray(json) || json.length !== 2 || json[0] !== "map" || !isArray(json[1])) {
    throw syntaxError(json, 'expected ["map", <array>]');
  }
  const pairs = json[1];
  checkSize(type, json, pairs.length, options);
  if (pairs.length === 0) return EMPTY_MAP;
  const keys = new Array<Atom>(pairs.length);
  const values = new Array<Atom>(pairs.length);
  for (let i = 0; i < pairs.length; i++) {
    const pair = pairs[i];
    if (!isArray(pair) || pair.length !== 2) throw syntaxError(pair!, "expected 2-element array");
    keys[i] = word(element(type.key, pair[0]!, options));
    values[i] = word(element(valueType, pair[1]!, options));
  }
  const datum = makeDatum(keys, values, "refuse");
  return new Datum(sharedKeys(datum.keys), datum.values);
}

function checkSize(type: ColumnType, json: Json, count: number, options: FromJsonOptions): void {
  if (count >= type.min && count <= type.max) return;
  if (options.anySize !== true) throw wrongSize(type, json, count);
}

// What many rows have is kept once, so that a large database does not repeat it: each of three tables remembers one
// value a slot.

const SHARED = 1024;
const scalars: (Datum | undefined)[] = new Array(SHARED).fill(undefined);
const words: string[] = new Array(SHARED).fill("");
const keyLists: (readonly Atom[])[] = new Array(SHARED).fill(NONE);

/** A set of `atom`. */
function shared(atom: Atom): Datum {
  const at = slot(atom);
  if (at < 0) return scalar(atom);
  const known = scalars[at];
  if (known !== undefined && known.keys[0] === atom) return known;
  const datum = scalar(atom);
  scalars[at] = datum;
  return datum;
}

/** The same text, and the same object for what comes often: keys of maps do, and some of their values. */
function word(atom: Atom): Atom {
  if (typeof atom !== "string") return atom;
  const at = slot(atom);
  if (at < 0) return atom;
  const known = words[at]!;
  if (known === atom) return known;
  words[at] = atom;
  return atom;
}

/** The keys of a map: rows of a table mostly have the same ones. */
function sharedKeys(keys: readonly Atom[]): readonly Atom[] {
  const at = slot(keys[0]!);
  if (at < 0) return keys;
  const known = keyLists[at]!;
  if (known.length === keys.length) {
    let i = 0;
    while (i < keys.length && known[i] === keys[i]) i++;
    if (i === keys.length) return known;
  }
  keyLists[at] = keys;
  return keys;
}

/** Where a value stands in a table of SHARED if it is there; -1: too long to come often. */
function slot(atom: Atom): number {
  if (typeof atom === "number") return atom & (SHARED - 1);
  if (typeof atom === "boolean") return atom ? 1 : 0;
  if (typeof atom !== "string" || atom.length > 32) return -1;
  const { length } = atom;
  if (length < 2) return length;
  // The first, the middle and, as names mostly end in a number, the last two.
  const ends = atom.charCodeAt(0) * 31 + atom.charCodeAt(length >> 1) * 7;
  const number = atom.charCodeAt(length - 2) * 10 + atom.charCodeAt(length - 1);
  return (length * 131 + ends + number) & (SHARED - 1);
}

function element(base: ColumnType["key"], json: Json, options: FromJsonOptions): Atom {
  const atom = atomFromJson(base.type, json, options.named);
  if (options.unchecked !== true && hasConstraints(base)) checkAtom(base, atom);
  return atom;
}

/** The canonical JSON form: a set of exactly one is its atom. */
export function datumToJson(type: ColumnType, datum: Datum): Json {
  if (type.value !== undefined) {
    const { key, value } = type;
    return [
      "map",
      datum.keys.map((k, i) => [atomToJson(key.type, k), atomToJson(value.type, datum.values![i]!)]),
    ];
  }
  if (datum.keys.length === 1) return atomToJson(type.key.type, datum.keys[0]!);
  return ["set", datum.keys.map((key) => atomToJson(type.key.type, key))];
}

/** `datumToJson` as text. */
export function datumJsonText(type: ColumnType, datum: Datum): string {
  const { keys } = datum;
  const keyType = type.key.type;
  if (type.value !== undefined) {
    let text = "";
    for (let i = 0; i < keys.length; i++) {
      if (i > 0) text += ",";
      text += `[${atomJsonText(keyType, keys[i]!)},${atomJsonText(type.value.type, datum.values![i]!)}]`;
    }
    return `["map",[${text}]]`;
  }
  if (keys.length === 1) return atomJsonText(keyType, keys[0]!);
  let text = "";
  for (let i = 0; i < keys.length; i++) {
    if (i > 0) text += ",";
    text += atomJsonText(keyType, keys[i]!);
  }
  return `["set",[${text}]]`;
}

/** Elements of both; on equal map keys `a`'s value stays. */
export function unionDatums(a: Datum, b: Datum): Datum {
  if (b.keys.length === 0) return a;
  if (a.keys.length === 0) return b;
  if (b.keys.length <= FEW && a.keys.length > b.keys.length) return withFew(a, b);
  return merge(a, b, (inA, inB) => inA || inB, false);
}

/** So many elements are searched for one by one, and the many others copied as they are. */
const FEW = 4;

function withFew(a: Datum, b: Datum): Datum {
  let keys: Atom[] | undefined;
  let values: Atom[] | undefined;
  for (let i = 0; i < b.keys.length; i++) {
    const at = search(keys ?? a.keys, b.keys[i]!);
    if (at >= 0) continue;
    keys ??= a.keys.slice();
    values ??= a.values?.slice();
    keys.splice(-at - 1, 0, b.keys[i]!);
    values?.splice(-at - 1, 0, b.values![i]!);
  }
  return keys === undefined ? a : new Datum(keys, values);
}

function withoutFew(a: Datum, b: Datum, pairs: boolean): Datum {
  let keys: Atom[] | undefined;
  let values: Atom[] | undefined;
  for (let i = 0; i < b.keys.length; i++) {
    const at = search(keys ?? a.keys, b.keys[i]!);
    if (at < 0 || (pairs && (values ?? a.values)![at] !== b.values![i])) continue;
    keys ??= a.keys.slice();
    values ??= a.values?.slice();
    keys.splice(at, 1);
    values?.splice(at, 1);
  }
  return keys === undefined ? a : new Datum(keys, values);
}

/** Elements of `a` that are not in `b`; for maps a pair goes only when its value is equal too. */
export function subtractDatums(a: Datum, b: Datum): Datum {
  return subtract(a, b, a.values !== undefined && b.values !== undefined);
}

/** Elements of `a` whose keys `b` does not have. */
export function subtractKeys(a: Datum, b: Datum): Datum {
  return subtract(a, b, false);
}

function subtract(a: Datum, b: Datum, pairs: boolean): Datum {
  if (b.keys.length <= FEW) return withoutFew(a, b, pairs);
  const keys: Atom[] = [];
  const values: Atom[] | undefined = a.values === undefined ? undefined : [];
  for (let i = 0; i < a.keys.length; i++) {
    const at = search(b.keys, a.keys[i]!);
    if (at >= 0 && (!pairs || a.values![i] === b.values![at])) continue;
    keys.push(a.keys[i]!);
    values?.push(a.values![i]!);
  }
  return keys.length === a.keys.length ? a : new Datum(keys, values);
}

/** Does `a` hold every element (pair) of `b`? */
export function includesAll(a: Datum, b: Datum): boolean {
  if (b.keys.length > a.keys.length) return false;
  for (let i = 0; i < b.keys.length; i++) {
    const at = search(a.keys, b.keys[i]!);
    if (at < 0) return false;
    if (b.values !== undefined && a.values![at] !== b.values[i]) return false;
  }
  return true;
}

/** Does `a` hold no element (pair) of `b`? */
export function excludesAll(a: Datum, b: Datum): boolean {
  for (let i = 0; i < b.keys.length; i++) {
    const at = search(a.keys, b.keys[i]!);
    if (at >= 0 && (b.values === undefined || a.values![at] === b.values[i])) return false;
  }
  return true;
}

/**
 * The difference that update2 and the log file's diff records carry (ovsdb-server(7) section 4.1.14): for a column with
 * at most one value the new value; for sets the elements in exactly one of them; for maps the keys in exactly one, and
 * the new value where both have the key with different values.
 */
export function diffDatums(type: ColumnType, from: Datum, to: Datum): Datum {
  if (isReplaced(type)) return to;
  return merge(from, to, (inFrom, inTo) => inFrom !== inTo, true);
}

/** `diffDatums`' inverse: `applyDiff(type, from, diffDatums(type, from, to))` equals `to`. */
export function applyDiff(type: ColumnType, from: Datum, diff: Datum): Datum {
  if (isReplaced(type)) return diff;
  return merge(from, diff, (inFrom, inDiff) => inFrom !== inDiff, true);
}

/** Columns whose difference is their new value. */
function isReplaced(type: ColumnType): boolean {
  return type.max === 1;
}

/**
 * Walks both in order and keeps a key when `keep` says so. `newer` decides maps with the key in both: true keeps `b`'s
 * value when it differs from `a`'s and drops equal ones; false keeps `a`'s.
 */
function merge(a: Datum, b: Datum, keep: (inA: boolean, inB: boolean) => boolean, newer: boolean): Datum {
  const keys: Atom[] = [];
  const values: Atom[] | undefined = a.values === undefined ? undefined : [];
  let i = 0;
  let j = 0;
  let endA = a.keys.length;
  let endB = b.keys.length;
  if (newer) {
    // What is the same in both is no difference: what little differs lies between.
    const same = (at: number, other: number): boolean =>
      a.keys[at] === b.keys[other] && (values === undefined || a.values![at] === b.values![other]);
    while (i < endA && i < endB && same(i, i)) i++;
    j = i;
    while (endA > i && endB > j && same(endA - 1, endB - 1)) {
      endA--;
      endB--;
    }
  }
  while (i < endA || j < endB) {
    const order = i === endA ? 1 : j === endB ? -1 : compareAtoms(a.keys[i]!, b.keys[j]!);
    if (order === 0) {
      const differs = values !== undefined && a.values![i] !== b.values![j];
      if (keep(true, true) || (newer && differs)) {
        keys.push(a.keys[i]!);
        values?.push(newer ? b.values![j]! : a.values![i]!);
      }
      i++;
      j++;
    } else if (order < 0) {
      if (keep(true, false)) {
        keys.push(a.keys[i]!);
        values?.push(a.values![i]!);
      }
      i++;
    } else {
      if (keep(false, true)) {
        keys.push(b.keys[j]!);
        values?.push(b.values![j]!);
      }
      j++;
    }
  }
  return new Datum(keys, values);
}
