/** Between datums, which the replica keeps, and the values that its readers see (idl-types.ts). */
import { compareAtoms } from "./atom.ts";
import { type Datum, Datum as DatumClass, EMPTY_MAP, EMPTY_SET, makeDatum } from "./datum.ts";
import type { Atom, Value } from "./idl-types.ts";
import type { ColumnType } from "./type.ts";

const NO_ATOMS: ReadonlySet<Atom> = new Set();
const NO_PAIRS: ReadonlyMap<Atom, Atom> = new Map();

/** Sets and maps keep the datum's (ascending) order. */
export function valueOfDatum(type: ColumnType, datum: Datum): Value {
  const { keys, values } = datum;
  if (type.value !== undefined) {
    if (keys.length === 0) return NO_PAIRS;
    const map = new Map<Atom, Atom>();
    for (let i = 0; i < keys.length; i++) map.set(keys[i]!, values![i]!);
    return map;
  }
  if (type.max === 1) return keys[0];
  return keys.length === 0 ? NO_ATOMS : new Set(keys);
}

/** Integers given as a small bigint become numbers: one form a value. */
function normal(atom: Atom): Atom {
  if (typeof atom !== "bigint") return atom === 0 ? 0 : atom;
  return atom >= -9007199254740991n && atom <= 9007199254740991n ? Number(atom) : atom;
}

/** Takes what `RowWrite` allows for the column; duplicates in a set are dropped. */
export function datumOfValue(type: ColumnType, value: unknown): Datum {
  if (type.value !== undefined) {
    if (value === undefined) return EMPTY_MAP;
    const keys: Atom[] = [];
    const values: Atom[] = [];
    const integerKeys = type.key.type === "integer" || type.key.type === "real";
    const pairs: Iterable<[Atom, Atom | undefined]> =
      value instanceof Map
        ? value
        : Object.entries(value as object).map(([k, v]) => [integerKeys ? Number(k) : k, v as Atom]);
    for (const [k, v] of pairs) {
      if (v === undefined) continue;
      keys.push(normal(k));
      values.push(normal(v));
    }
    return keys.length === 0 ? EMPTY_MAP : makeDatum(keys, values, "drop");
  }
  if (value === undefined) return EMPTY_SET;
  if (typeof value !== "object") return new DatumClass([normal(value as Atom)], undefined);
  const atoms = [...(value as Iterable<Atom>)].map(normal);
  if (atoms.length === 0) return EMPTY_SET;
  return makeDatum([...new Set(atoms)].sort(compareAtoms), undefined, "drop");
}
