/** Mutations (RFC 7047 section 5.1 <mutation>), parsed once and applied to datums without changing them. */

import type { Atom, NamedUuids } from "./atom.ts";
import { integerAtom } from "./atom.ts";
import {
  checkDatum,
  type Datum,
  datumFromJson,
  makeDatum,
  subtractDatums,
  subtractKeys,
  unionDatums,
} from "./datum.ts";
import { constraintViolation, OvsdbError, syntaxError } from "./error.ts";
import type { Json } from "./json-text.ts";
import { isArray, quote } from "./json-text.ts";
import type { Column } from "./schema.ts";
import type { Table } from "./table.ts";
import type { ColumnType } from "./type.ts";
import { baseType, describeType, keysType, optionalType, unlimitedType } from "./type.ts";

export type Mutator = "+=" | "-=" | "*=" | "/=" | "%=" | "insert" | "delete";
const MUTATORS: readonly string[] = ["+=", "-=", "*=", "/=", "%=", "insert", "delete"];

export interface Mutation {
  readonly column: Column;
  readonly mutator: Mutator;
  /** Keys that an insertion or deletion names; none for arithmetic. */
  readonly keys: readonly Atom[];
  apply(datum: Datum): Datum;
}

export function mutationFromJson(table: Table, json: Json, named?: NamedUuids): Mutation {
  if (!isArray(json) || json.length !== 3 || typeof json[0] !== "string" || typeof json[1] !== "string") {
    throw syntaxError(json, "Parse error in mutation.");
  }
  const column = table.column(json[0], json);
  if (!column.mutable || column.index < 0) {
    const what = `Cannot mutate immutable column ${column.name} in table ${table.name}.`;
    throw new OvsdbError("constraint violation", what, syntaxError(json, "").syntax);
  }
  if (!MUTATORS.includes(json[1])) throw new OvsdbError("unknown mutator", `No mutator named ${json[1]}.`);
  const mutator = json[1] as Mutator;
  if (mutator === "insert" || mutator === "delete") return setMutation(column, mutator, json, named);
  return { column, mutator, keys: [], apply: arithmetic(column, mutator, json) };
}

function mismatch(column: Column, mutator: Mutator, json: Json): OvsdbError {
  const type = describeType(column.type);
  const what = `${quote(mutator)} operator may not be applied to column ${column.name} of type ${type}.`;
  return syntaxError(json, `Type mismatch: ${what}`);
}

function setMutation(column: Column, mutator: Mutator, json: Json, named: NamedUuids | undefined): Mutation {
  const { type } = column;
  if (type.value === undefined && type.min === 1 && type.max === 1) throw mismatch(column, mutator, json);
  const operand = (json as readonly Json[])[2]!;
  if (mutator === "insert") {
    const arg = datumFromJson(optionalType(type), operand, { named });
    return { column, mutator, keys: arg.keys, apply: (datum) => checkSize(type, unionDatums(datum, arg)) };
  }
  if (type.value !== undefined && !(isArray(operand) && operand[0] === "map")) {
    // A set of keys: their pairs go whatever the values are.
    const keys = datumFromJson(keysType(type), operand, { named, unchecked: true });
    return { column, mutator, keys: keys.keys, apply: (datum) => checkSize(type, subtractKeys(datum, keys)) };
  }
  const arg = datumFromJson(unlimitedType(type), operand, { named, unchecked: true });
  return { column, mutator, keys: arg.keys, apply: (datum) => checkSize(type, subtractDatums(datum, arg)) };
}

function checkSize(type: ColumnType, datum: Datum): Datum {
  const count = datum.keys.length;
  if (count >= type.min && count <= type.max) return datum;
  throw constraintViolation(`Attempted to store ${count} elements in ${describeType(type)}.`);
}

function arithmetic(column: Column, mutator: Mutator, json: Json): Mutation["apply"] {
  const { type } = column;
  const kind = type.key.type;
  if (type.value !== undefined || (kind !== "integer" && !(kind === "real" && mutator !== "%="))) {
    throw mismatch(column, mutator, json);
  }
  const operandType: ColumnType = { key: baseType(kind), value: undefined, min: 1, max: 1 };
  const arg = datumFromJson(operandType, (json as readonly Json[])[2]!).keys[0] as number | bigint;
  const one = kind === "integer" ? integerStep(mutator, arg) : realStep(mutator, Number(arg));
  return (datum) => {
    const keys = datum.keys.map((atom) => one(atom));
    const result = distinct(keys, mutator);
    checkDatum(type, result);
    return result;
  };
}

function distinct(keys: Atom[], mutator: Mutator): Datum {
  try {
    return makeDatum(keys, undefined, "refuse");
  } catch {
    throw constraintViolation(`Result of ${quote(mutator)} operation contains duplicates.`);
  }
}

function outOfRange(mutator: Mutator): OvsdbError {
  return new OvsdbError("range error", `Result of ${quote(mutator)} operation is out of range.`);
}

function integerStep(mutator: Mutator, arg: number | bigint): (atom: Atom) => Atom {
  const by = BigInt(arg);
  return (atom) => {
    const value = BigInt(atom as number | bigint);
    if (by === 0n && (mutator === "/=" || mutator === "%="))
      throw new OvsdbError("domain error", "Division by zero.");
    let result: bigint;
    if (mutator === "+=") result = value + by;
    else if (mutator === "-=") result = value - by;
    else if (mutator === "*=") result = value * by;
    else if (mutator === "/=") result = value / by;
    else result = value % by;
    const exact = integerAtom(result);
    if (exact === undefined) throw outOfRange(mutator);
    return exact;
  };
}

function realStep(mutator: Mutator, by: number): (atom: Atom) => Atom {
  return (atom) => {
    const value = atom as number;
    if (by === 0 && mutator === "/=") throw new OvsdbError("domain error", "Division by zero.");
    let result: number;
    if (mutator === "+=") result = value + by;
    else if (mutator === "-=") result = value - by;
    else if (mutator === "*=") result = value * by;
    else result = value / by;
    if (!Number.isFinite(result)) throw outOfRange(mutator);
    return result === 0 ? 0 : result;
  };
}
