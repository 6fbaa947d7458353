/**
 * Conditions (RFC 7047 section 5.1 <condition>, with the extensions of ovsdb-server(7) section 5.1): parsed once into
 * closures over a row, so that testing a row allocates nothing.
 */

import type { NamedUuids } from "./atom.ts";
import { compareAtoms } from "./atom.ts";
import type { Datum } from "./datum.ts";
import { datumFromJson, datumToJson, equalDatums, excludesAll, includesAll } from "./datum.ts";
import { OvsdbError, syntaxError } from "./error.ts";
import type { Json } from "./json-text.ts";
import { isArray, quote, sortedText } from "./json-text.ts";
import type { Column } from "./schema.ts";
import { UUID_INDEX } from "./schema.ts";
import type { Row, Table } from "./table.ts";
import { rowDatum } from "./table.ts";
import type { ColumnType } from "./type.ts";
import { describeType, optionalType } from "./type.ts";

export type ConditionFunction = "<" | "<=" | "==" | "!=" | ">=" | ">" | "includes" | "excludes";
const FUNCTIONS: readonly string[] = ["<", "<=", "==", "!=", ">=", ">", "includes", "excludes"];

/** One clause; `column` undefined for a bare true or false. */
export interface Clause {
  readonly column: Column | undefined;
  readonly function: ConditionFunction | "true" | "false";
  readonly arg: Datum | undefined;
  /** `data` is the row's, or one that it had or may have. */
  test(row: Row, data: readonly Datum[]): boolean;
}

const ALWAYS: Clause = { column: undefined, function: "true", arg: undefined, test: () => true };
const NEVER: Clause = { column: undefined, function: "false", arg: undefined, test: () => false };

export function clauseFromJson(table: Table, json: Json, named?: NamedUuids): Clause {
  if (json === true) return ALWAYS;
  if (json === false) return NEVER;
  if (!isArray(json) || json.length !== 3 || typeof json[0] !== "string" || typeof json[1] !== "string") {
    throw syntaxError(json, "Parse error in condition.");
  }
  const column = table.column(json[0], json);
  const name = json[1];
  if (!FUNCTIONS.includes(name)) throw new OvsdbError("unknown function", `No function named ${name}.`);
  const fn = name as ConditionFunction;
  const type = argumentType(column, fn, json);
  const arg = datumFromJson(type, json[2]!, { named });
  return { column, function: fn, arg, test: compile(column, fn, arg) };
}

function argumentType(column: Column, fn: ConditionFunction, json: Json): ColumnType {
  const { type } = column;
  const scalar = type.value === undefined && type.max === 1;
  switch (fn) {
    case "<":
    case "<=":
    case ">":
    case ">=":
      if (!scalar || (type.key.type !== "integer" && type.key.type !== "real")) {
        const what = `${quote(fn)} operator may not be applied to column ${column.name} of type ${describeType(type)}.`;
        throw syntaxError(json, `Type mismatch: ${what}`);
      }
      return type.min === 1 ? type : { ...type, min: 1 };
    case "includes":
    case "excludes":
      return type.min === 1 && type.max === 1 && type.value === undefined ? type : optionalType(type);
    default:
      return type;
  }
}

function compile(column: Column, fn: ConditionFunction, arg: Datum): Clause["test"] {
  const at = column.index;
  if (fn === "==" && at === UUID_INDEX) {
    const uuid = arg.keys[0];
    return (row) => row.uuid === uuid;
  }
  const get =
    at >= 0
      ? (_row: Row, data: readonly Datum[]): Datum => data[at]!
      : (row: Row): Datum => rowDatum(row, column);
  switch (fn) {
    case "==":
      return (row, data) => equalDatums(get(row, data), arg);
    case "!=":
      return (row, data) => !equalDatums(get(row, data), arg);
    case "includes":
      return (row, data) => includesAll(get(row, data), arg);
    case "excludes":
      return (row, data) => excludesAll(get(row, data), arg);
  }
  const limit = arg.keys[0]!;
  const holds = {
    "<": (o: number) => o < 0,
    "<=": (o: number) => o <= 0,
    ">": (o: number) => o > 0,
    ">=": (o: number) => o >= 0,
  }[fn];
  return (row, data) => {
    const { keys } = get(row, data);
    return keys.length === 1 && holds(compareAtoms(keys[0]!, limit));
  };
}

/** All clauses must hold (the "where" of an operation). */
export class Condition {
  readonly clauses: readonly Clause[];
  /** The `_uuid` of an equality clause: at most this row can match. */
  readonly uuid: string | undefined;

  constructor(clauses: readonly Clause[]) {
    this.clauses = clauses;
    const byUuid = clauses.find((clause) => clause.column?.index === UUID_INDEX && clause.function === "==");
    this.uuid = byUuid?.arg?.keys[0] as string | undefined;
  }

  test(row: Row): boolean {
    for (const clause of this.clauses) if (!clause.test(row, row.data)) return false;
    return true;
  }
}

export function conditionFromJson(table: Table, json: Json, named?: NamedUuids): Condition {
  if (!isArray(json)) throw syntaxError(json, "array expected");
  return new Condition(json.map((clause) => clauseFromJson(table, clause, named)));
}

/** Any clause may hold, none at all means every row (the "where" of a conditional monitor). */
export class AnyCondition {
  readonly clauses: readonly Clause[];
  readonly always: boolean;
  /** Equal for conditions that say the same in the same order. */
  readonly text: string;

  constructor(clauses: readonly Clause[]) {
    this.clauses = clauses;
    this.always = clauses.length === 0 || clauses.includes(ALWAYS);
    this.text = this.always ? "" : sortedText(clauses.map(clauseToJson));
  }

  test(row: Row, data: readonly Datum[]): boolean {
    if (this.always) return true;
    for (const clause of this.clauses) if (clause.test(row, data)) return true;
    return false;
  }
}

export function anyConditionFromJson(table: Table, json: Json): AnyCondition {
  if (!isArray(json)) throw syntaxError(json, "array expected");
  return new AnyCondition(json.map((clause) => clauseFromJson(table, clause)));
}

export function clauseToJson(clause: Clause): Json {
  if (clause.column === undefined) return clause.function === "true";
  return [clause.column.name, clause.function, datumToJson(clause.column.type, clause.arg!)];
}
