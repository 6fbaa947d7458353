/**
 * A database as RFC 7047 describes it, slow and obvious, to hold the real one against. It shares no code with src: a
 * transaction works on a copy of everything, conditions look at every row, and the end of a transaction looks at every
 * reference, limit and index of the whole database.
 */

export type Json =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly Json[]
  | { readonly [name: string]: Json };
type JsonObject = { readonly [name: string]: Json };

/** An atom is the text of its value, so that equal values are equal texts. */
type Atom = string;
/** A set has its elements as keys, each with the value ""; a map its pairs. */
export type Value = ReadonlyMap<Atom, Atom>;
export type Row = Map<string, Value>;
export type Tables = Map<string, Map<string, Row>>;

export interface Base {
  readonly type: "integer" | "real" | "boolean" | "string" | "uuid";
  readonly enum: ReadonlySet<Atom> | undefined;
  readonly min: number;
  readonly max: number;
  readonly refTable: string | undefined;
  readonly weak: boolean;
}
export interface Column {
  readonly name: string;
  readonly key: Base;
  readonly value: Base | undefined;
  readonly min: number;
  readonly max: number;
  readonly mutable: boolean;
  readonly ephemeral: boolean;
}
export interface Table {
  readonly name: string;
  readonly columns: ReadonlyMap<string, Column>;
  readonly isRoot: boolean;
  readonly maxRows: number;
  readonly indexes: readonly (readonly string[])[];
}

const ZERO = "00000000-0000-0000-0000-000000000000";

/** The tags of an <error> that would be right: more than one where the order of rows decides. */
class Refusal extends Error {
  readonly tags: ReadonlySet<string>;
  constructor(...tags: string[]) {
    super(tags.join(" or "));
    this.tags = new Set(tags);
  }
}

/** What an operation's result must be: equal to this, or an <error> with one of these tags. */
export type Result = { readonly value: Json } | { readonly tags: ReadonlySet<string> };

const object = (json: Json | undefined): JsonObject => json as JsonObject;
const array = (json: Json | undefined): readonly Json[] => json as readonly Json[];

function base(json: Json): Base {
  const full = typeof json === "string" ? { type: json } : object(json);
  const type = full.type as Base["type"];
  const plain = { type, enum: undefined, min: -Infinity, max: Infinity, refTable: undefined, weak: false };
  const choices = full.enum === undefined ? undefined : array(array(full.enum)[1]);
  return {
    ...plain,
    enum:
      choices && new Set(choices.map((choice) => atomOf({ ...plain, enum: undefined }, choice, () => ""))),
    min: Number(full.minInteger ?? full.minReal ?? full.minLength ?? -Infinity),
    max: Number(full.maxInteger ?? full.maxReal ?? full.maxLength ?? Infinity),
    refTable: full.refTable as string | undefined,
    weak: full.refType === "weak",
  };
}

function column(name: string, json: JsonObject): Column {
  const type = typeof json.type === "string" ? { key: json.type } : object(json.type);
  return {
    name,
    key: base(type.key!),
    value: type.value === undefined ? undefined : base(type.value),
    min: Number(type.min ?? 1),
    max: type.max === "unlimited" ? Infinity : Number(type.max ?? 1),
    mutable: json.mutable !== false,
    ephemeral: json.ephemeral === true,
  };
}

type Names = (name: string) => string;

function atomOf(type: Base, json: Json, names: Names, checked = true): Atom {
  const atom = unconstrained(type, json, names);
  if (!checked) return atom;
  if (type.enum !== undefined) {
    if (!type.enum.has(atom)) throw new Refusal("constraint violation");
  } else {
    const measure = type.type === "string" ? [...(json as string)].length : Number(atom);
    if (measure < type.min || measure > type.max) throw new Refusal("constraint violation");
  }
  return atom;
}

function unconstrained(type: Base, json: Json, names: Names): Atom {
  if (type.type === "integer" && (typeof json === "bigint" || Number.isInteger(json)))
    return String(BigInt(json as number));
  if (type.type === "real" && (typeof json === "bigint" || typeof json === "number"))
    return String(Number(json) + 0);
  if (type.type === "boolean" && typeof json === "boolean") return String(json);
  if (type.type === "string" && typeof json === "string") return json;
  if (type.type === "uuid" && Array.isArray(json)) {
    if (json[0] === "uuid") return json[1];
    if (json[0] === "named-uuid") return names(json[1]);
  }
  throw new Refusal("syntax error");
}

function defaultAtom(type: Base): Atom {
  return { integer: "0", real: "0", boolean: "false", string: "", uuid: ZERO }[type.type];
}

export function defaultValue({ key, value, min }: Column): Value {
  if (min === 0) return new Map();
  return new Map([[defaultAtom(key), value === undefined ? "" : defaultAtom(value)]]);
}

/** `sizes`: how many elements are allowed. */
export function parseValue(
  { key, value, min, max }: Column,
  json: Json,
  names: Names,
  options: { anySize?: boolean; unchecked?: boolean } = {},
): Value {
  const checked = options.unchecked !== true;
  const tag = Array.isArray(json) ? json[0] : undefined;
  const items: readonly Json[] = tag === "set" || tag === "map" ? (json as Json[][])[1]! : [json];
  if ((value !== undefined) !== (tag === "map")) throw new Refusal("syntax error");
  if (tag !== undefined && tag !== "uuid" && tag !== "named-uuid" && options.anySize !== true) {
    if (items.length < min || items.length > max) throw new Refusal("syntax error");
  }
  const result = new Map<Atom, Atom>();
  for (const item of items) {
    if (value === undefined) result.set(atomOf(key, item, names, checked), "");
    else {
      const [k, v] = item as readonly [Json, Json];
      result.set(atomOf(key, k, names, checked), atomOf(value, v, names, checked));
    }
  }
  // Two names may be of one row.
  if (result.size < items.length) throw new Refusal("ovsdb error");
  return result;
}

function atomJson(type: Base, atom: Atom): Json {
  if (type.type === "integer") return BigInt(atom);
  if (type.type === "real") return Number(atom);
  if (type.type === "boolean") return atom === "true";
  return type.type === "uuid" ? ["uuid", atom] : atom;
}

export function valueJson({ key, value }: Column, atoms: Value): Json {
  if (value !== undefined) return ["map", [...atoms].map(([k, v]) => [atomJson(key, k), atomJson(value, v)])];
  return ["set", [...atoms.keys()].map((atom) => atomJson(key, atom))];
}

/** A text that two JSON forms share exactly when they mean the same: order, set of one, and form of a number are gone. */
export function canonical(json: Json): string {
  if (typeof json === "number" || typeof json === "bigint")
    return Number.isInteger(json) || typeof json === "bigint" ? String(BigInt(json)) : String(json);
  if (json === null || typeof json !== "object") return JSON.stringify(json);
  if (Array.isArray(json)) {
    if ((json[0] === "set" || json[0] === "map") && json.length === 2 && Array.isArray(json[1])) {
      const items = (json[1] as Json[]).map(canonical).sort();
      return json[0] === "set" && items.length === 1 ? items[0]! : `${json[0]}{${items.join(",")}}`;
    }
    return `[${json.map(canonical).join(",")}]`;
  }
  const members = json as JsonObject;
  const names = Object.keys(members).sort();
  return `{${names.map((name) => `${name}:${canonical(members[name]!)}`).join(",")}}`;
}

export function equalValues(a: Value, b: Value): boolean {
  return a.size === b.size && [...a].every(([key, value]) => b.get(key) === value);
}

export class Model {
  readonly schema: ReadonlyMap<string, Table>;
  tables: Tables = new Map();

  constructor(schema: Json) {
    const tables = Object.entries(object(object(schema).tables)) as [string, JsonObject][];
    const noRoot = tables.every(([, table]) => table.isRoot !== true);
    this.schema = new Map(
      tables.map(([name, table]) => [
        name,
        {
          name,
          columns: new Map(
            Object.entries(object(table.columns)).map(([name, json]) => [name, column(name, object(json))]),
          ),
          isRoot: noRoot || table.isRoot === true,
          maxRows: Number(table.maxRows ?? Infinity),
          indexes: array(table.indexes ?? []) as unknown as string[][],
        },
      ]),
    );
    for (const name of this.schema.keys()) this.tables.set(name, new Map());
  }

  rows(table: string): Map<string, Row> {
    return this.tables.get(table)!;
  }

  /** What a restart of the server forgets. */
  forgetEphemeral(): void {
    for (const [table, row] of this.#all()) {
      for (const column of table.columns.values())
        if (column.ephemeral) row.set(column.name, defaultValue(column));
    }
  }

  /**
   * Runs a transaction. `given(i)`: the UUID that operation `i`, an insertion, was answered with; its own where the
   * server has not answered it. The results are as many as the operations, and one more when the whole fails.
   */
  transact(operations: readonly JsonObject[], given: (index: number) => string): Result[] {
    const before = this.tables;
    this.tables = new Map(
      [...before].map(([name, rows]) => [
        name,
        new Map([...rows].map(([uuid, row]) => [uuid, new Map(row)])),
      ]),
    );
    const run = new Run(this, operations, given);
    const results: Result[] = [];
    for (const [i, operation] of operations.entries()) {
      try {
        results.push({ value: run.operation(operation, i) });
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        results.push({ tags: error.tags });
        while (results.length < operations.length) results.push({ value: null });
        this.tables = before;
        return results;
      }
    }
    try {
      this.#settle(run.touched);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      results.push({ tags: error.tags });
      this.tables = before;
    }
    return results;
  }

  *#all(): Generator<[Table, Row, string]> {
    for (const table of this.schema.values())
      for (const [uuid, row] of this.rows(table.name)) yield [table, row, uuid];
  }

  /** Each reference in the database, by strength. */
  *#references(weak: boolean): Generator<{ column: Column; row: Row; key: Atom; to: string; table: string }> {
    for (const [table, row] of this.#all()) {
      for (const column of table.columns.values()) {
        for (const [key, value] of row.get(column.name)!) {
          if (column.key.refTable !== undefined && column.key.weak === weak)
            yield { column, row, key, to: key, table: column.key.refTable };
          if (column.value?.refTable !== undefined && column.value.weak === weak)
            yield { column, row, key, to: value, table: column.value.refTable };
        }
      }
    }
  }

  /** Section 3.2 <schema>, <base-type> and section 5.2: what must hold at the end of a transaction. */
  #settle(grown: ReadonlySet<string>): void {
    for (const { to, table } of this.#references(false))
      if (!this.rows(table).has(to)) throw new Refusal("referential integrity violation");
    for (let again = true; again; ) {
      again = false;
      // Rows of different tables may have one UUID.
      const kept = new Set<Row>();
      for (const { row, to, table } of this.#references(false)) {
        const target = this.rows(table).get(to)!;
        // A row's reference to itself does not keep it.
        if (target !== row) kept.add(target);
      }
      for (const [table, row, uuid] of [...this.#all()]) {
        if (table.isRoot || kept.has(row)) continue;
        this.rows(table.name).delete(uuid);
        again = true;
      }
      if (again) continue;
      for (const { to, table, row, column, key } of [...this.#references(true)]) {
        if (this.rows(table).has(to)) continue;
        const rest = new Map(row.get(column.name)!);
        rest.delete(key);
        if (rest.size < column.min) throw new Refusal("constraint violation");
        row.set(column.name, rest);
        // A pair may have held a strong reference, too.
        again = true;
      }
    }
    for (const { name, maxRows } of this.schema.values())
      if (grown.has(name) && this.rows(name).size > maxRows) throw new Refusal("constraint violation");
    for (const { name, columns, indexes } of this.schema.values()) {
      for (const index of indexes) {
        const seen = new Set<string>();
        for (const row of this.rows(name).values()) {
          const key = canonical(index.map((part) => valueJson(columns.get(part)!, row.get(part)!)));
          if (seen.has(key)) throw new Refusal("constraint violation");
          seen.add(key);
        }
      }
    }
  }

  /** Rows that a "where" selects: all of the clauses, or for a monitor any of them. */
  select(table: Table, where: Json, any = false, names: Names = (name) => name): [string, Row][] {
    const clauses = array(where).map((clause) => this.#clause(table, clause, names));
    return [...this.rows(table.name)].filter(([uuid, row]) =>
      any && clauses.length > 0
        ? clauses.some((clause) => clause(uuid, row))
        : clauses.every((clause) => clause(uuid, row)),
    );
  }

  #clause(table: Table, json: Json, names: Names): (uuid: string, row: Row) => boolean {
    if (typeof json === "boolean") return () => json;
    const [name, fn, argJson] = json as readonly [string, string, Json];
    if (name === "_uuid") {
      const wanted = unconstrained(UUID, argJson, names);
      return (uuid) => (uuid === wanted) === (fn === "==" || fn === "includes");
    }
    const column = table.columns.get(name)!;
    const isSet = column.value !== undefined || column.min !== 1 || column.max !== 1;
    const within = fn === "includes" || fn === "excludes";
    const arg = parseValue(within && isSet ? { ...column, min: 0 } : column, argJson, names);
    const holds = (value: Value): boolean => {
      switch (fn) {
        case "==":
          return equalValues(value, arg);
        case "!=":
          return !equalValues(value, arg);
        case "includes":
          return [...arg].every(([key, item]) => value.get(key) === item);
        case "excludes":
          return [...arg].every(([key, item]) => value.get(key) !== item);
      }
      if (value.size === 0) return false;
      const number = column.key.type === "integer" ? BigInt : Number;
      const left = number([...value.keys()][0]!);
      const right = number([...arg.keys()][0]!);
      return { "<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right }[fn]!;
    };
    return (_uuid, row) => holds(row.get(name)!);
  }

  /** The row as "select" and monitors give it. */
  rowJson(table: Table, uuid: string, row: Row, columns: readonly string[]): JsonObject {
    const json: Record<string, Json> = {};
    for (const name of columns)
      json[name] = name === "_uuid" ? ["uuid", uuid] : valueJson(table.columns.get(name)!, row.get(name)!);
    return json;
  }
}

const UUID: Base = {
  type: "uuid",
  enum: undefined,
  min: -Infinity,
  max: Infinity,
  refTable: undefined,
  weak: false,
};

/** The operations of one transaction. */
class Run {
  readonly model: Model;
  /** Tables that got rows. */
  readonly touched = new Set<string>();
  readonly #given: (index: number) => string;
  readonly #operations: readonly JsonObject[];
  /** Table and UUID of each. */
  readonly #deleted = new Set<string>();
  readonly #defined = new Set<string>();

  constructor(model: Model, operations: readonly JsonObject[], given: (index: number) => string) {
    this.model = model;
    this.#operations = operations;
    this.#given = given;
  }

  readonly names: Names = (name) => {
    const index = this.#operations.findIndex((operation) => operation["uuid-name"] === name);
    if (index < 0) return `nobody is ${name}`;
    return (this.#operations[index]!.uuid as string | undefined) ?? this.#given(index);
  };

  operation(operation: JsonObject, index: number): Json {
    const table = this.model.schema.get(operation.table as string)!;
    switch (operation.op) {
      case "insert":
        return this.#insert(table, operation, index);
      case "select":
        return this.#select(table, operation);
      case "update":
        return this.#update(table, operation);
      case "mutate":
        return this.#mutate(table, operation);
      case "delete":
        return this.#delete(table, operation);
      case "wait":
        return this.#wait(table, operation);
      case "comment":
        return {};
      default:
        throw new Refusal("aborted");
    }
  }

  #parseRow(table: Table, json: Json): Row {
    const row: Row = new Map();
    for (const [name, value] of Object.entries(object(json)))
      row.set(name, parseValue(table.columns.get(name)!, value, this.names));
    return row;
  }

  #insert(table: Table, { uuid, "uuid-name": name, row }: JsonObject, index: number): Json {
    if (uuid !== undefined) {
      const taken =
        this.model.rows(table.name).has(uuid as string) || this.#deleted.has(`${table.name} ${uuid}`);
      if (taken) throw new Refusal("duplicate uuid");
    }
    if (name !== undefined) {
      if (this.#defined.has(name as string)) throw new Refusal("duplicate uuid-name");
      this.#defined.add(name as string);
    }
    const values = this.#parseRow(table, row!);
    for (const column of table.columns.values()) {
      if (values.has(column.name)) continue;
      const value = defaultValue(column);
      // A default, too, must be one of the values that the column may have.
      parseValue(column, valueJson(column, value), this.names);
      values.set(column.name, value);
    }
    const id = this.#given(index);
    this.model.rows(table.name).set(id, values);
    this.touched.add(table.name);
    return { uuid: ["uuid", id] };
  }

  #select(table: Table, { where, columns }: JsonObject): Json {
    const names = columns === undefined ? ["_uuid", ...table.columns.keys()] : (columns as string[]);
    const distinct = new Map<string, Json>();
    for (const [uuid, row] of this.model.select(table, where!, false, this.names)) {
      const json = this.model.rowJson(table, uuid, row, names);
      distinct.set(canonical(json), json);
    }
    return { rows: ["set", [...distinct.values()]] };
  }

  #update(table: Table, { where, row }: JsonObject): Json {
    const values = this.#parseRow(table, row!);
    for (const name of values.keys())
      if (!table.columns.get(name)!.mutable) throw new Refusal("constraint violation");
    const rows = this.model.select(table, where!, false, this.names);
    for (const [, row] of rows) for (const [name, value] of values) row.set(name, value);
    return { count: rows.length };
  }

  #delete(table: Table, { where }: JsonObject): Json {
    const rows = this.model.select(table, where!, false, this.names);
    for (const [uuid] of rows) {
      this.model.rows(table.name).delete(uuid);
      this.#deleted.add(`${table.name} ${uuid}`);
    }
    return { count: rows.length };
  }

  #mutate(table: Table, { where, mutations }: JsonObject): Json {
    const steps = array(mutations).map((mutation) => this.#mutation(table, mutation));
    const rows = this.model.select(table, where!, false, this.names);
    const refused = new Set<string>();
    for (const [, row] of rows) {
      try {
        for (const step of steps) step(row);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        for (const tag of error.tags) refused.add(tag);
      }
    }
    if (refused.size > 0) throw new Refusal(...refused);
    return { count: rows.length };
  }

  #mutation(table: Table, json: Json): (row: Row) => void {
    const [name, mutator, operand] = json as readonly [string, string, Json];
    const column = table.columns.get(name)!;
    if (!column.mutable) throw new Refusal("constraint violation");
    if (!MUTATORS.includes(mutator)) throw new Refusal("unknown mutator");
    const store = (row: Row, value: Value): void => {
      if (value.size < column.min || value.size > column.max) throw new Refusal("constraint violation");
      row.set(name, value);
    };
    if (mutator === "insert") {
      const arg = parseValue({ ...column, min: 0 }, operand, this.names);
      return (row) => store(row, new Map([...arg, ...row.get(name)!]));
    }
    if (mutator === "delete") {
      const byKey = column.value !== undefined && array(operand)[0] !== "map";
      const wide = { ...column, value: byKey ? undefined : column.value };
      const arg = parseValue(wide, operand, this.names, { anySize: true, unchecked: true });
      return (row) =>
        store(
          row,
          new Map(
            [...row.get(name)!].filter(([key, value]) => !arg.has(key) || (!byKey && arg.get(key) !== value)),
          ),
        );
    }
    return (row) => {
      const results = [...row.get(name)!.keys()].map((atom) =>
        compute(column.key.type, atom, mutator, operand),
      );
      if (new Set(results).size < results.length) throw new Refusal("constraint violation");
      for (const atom of results) atomOf(column.key, atomJson(column.key, atom), this.names);
      row.set(name, new Map(results.map((atom) => [atom, ""])));
    };
  }

  #wait(table: Table, { where, columns, until, rows }: JsonObject): Json {
    const names = columns === undefined ? ["_uuid", ...table.columns.keys()] : (columns as string[]);
    const found = new Set<string>();
    for (const [uuid, row] of this.model.select(table, where!, false, this.names))
      found.add(canonical(this.model.rowJson(table, uuid, row, names)));
    const wanted = new Set<string>();
    for (const json of array(rows)) {
      const row = this.#parseRow(table, json);
      for (const column of table.columns.values())
        if (!row.has(column.name)) row.set(column.name, defaultValue(column));
      wanted.add(canonical(this.model.rowJson(table, ZERO, row, names)));
    }
    const equal = found.size === wanted.size && [...found].every((row) => wanted.has(row));
    if (equal === (until === "==")) return {};
    throw new Refusal("timed out");
  }
}

const MUTATORS = ["insert", "delete", "+=", "-=", "*=", "/=", "%="];

function compute(type: Base["type"], atom: Atom, mutator: string, operand: Json): Atom {
  if (type === "integer") {
    const [a, b] = [BigInt(atom), BigInt(operand as bigint)];
    if (b === 0n && (mutator === "/=" || mutator === "%=")) throw new Refusal("domain error");
    const result =
      mutator === "+="
        ? a + b
        : mutator === "-="
          ? a - b
          : mutator === "*="
            ? a * b
            : mutator === "/="
              ? a / b
              : a % b;
    if (BigInt.asIntN(64, result) !== result) throw new Refusal("range error");
    return String(result);
  }
  const [a, b] = [Number(atom), Number(operand)];
  if (b === 0 && mutator === "/=") throw new Refusal("domain error");
  const result = mutator === "+=" ? a + b : mutator === "-=" ? a - b : mutator === "*=" ? a * b : a / b;
  if (!Number.isFinite(result)) throw new Refusal("range error");
  return String(result + 0);
}
