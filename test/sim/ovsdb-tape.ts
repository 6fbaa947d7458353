/**
 * Random schemas, transactions and monitor requests, made of a tape of numbers, which fast-check shrinks: each choice takes
 * the next number, and 0, the plainest choice, when there is none left.
 */
import type { Base, Column, Json, Model, Table } from "./ovsdb-model.ts";

type Names = Readonly<Record<string, string>>;

export class Tape {
  readonly #numbers: readonly number[];
  #at = 0;

  constructor(numbers: readonly number[]) {
    this.#numbers = numbers;
  }

  /** 0 to `n` - 1. */
  next(n: number): number {
    return (this.#numbers[this.#at++] ?? 0) % n;
  }

  /** True once in `n` times. */
  once(n: number): boolean {
    return this.next(n) === n - 1;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.next(items.length)]!;
  }

  /** Each of `items` with chance 1 in `n`. */
  some<T>(items: readonly T[], n = 2): T[] {
    return items.filter(() => this.once(n));
  }
}

const INTEGERS = [
  0,
  1,
  2,
  3,
  -1,
  7,
  9007199254740991,
  9007199254740992n,
  9223372036854775807n,
  -9223372036854775808n,
];
const REALS = [0, 1, 0.5, -1.25, 0.1, 1e300, -3, 1e-5];
const STRINGS = ["", "a", "b", "ab", "é", "\u{1f600}", 'a"b\\c', "true", "\uffee", "x y"];
/** Nobody has it. */
const NOWHERE = "deadbeef-0000-4000-8000-000000000000";
const GIVEN = [1, 2, 3].map((n) => `11111111-2222-4333-8444-00000000000${n}`);

function baseJson(tape: Tape, tables: number): Json {
  switch (tape.next(8)) {
    case 0:
      return { type: "integer" };
    case 1:
      return { type: "string" };
    case 2:
      return { type: "uuid", refTable: `T${tape.next(tables)}` };
    case 3:
      return { type: "uuid", refTable: `T${tape.next(tables)}`, refType: "weak" };
    case 4:
      return { type: tape.pick(["boolean", "real", "uuid"]) };
    case 5:
      return tape.pick<Json>([
        { type: "integer", minInteger: -1, maxInteger: 5 },
        { type: "integer", enum: ["set", [0, 2, 7]] },
        { type: "real", minReal: 0 },
      ]);
    case 6:
      return tape.pick<Json>([
        { type: "string", maxLength: 1 },
        { type: "string", enum: ["set", ["", "a", "x y"]] },
        { type: "string", minLength: 1, maxLength: 2 },
      ]);
    default:
      return { type: "integer" };
  }
}

function columnJson(tape: Tape, tables: number): Json {
  const key = baseJson(tape, tables);
  const isRef = (base: Json): boolean => typeof base === "object" && base !== null && "refTable" in base;
  const type: Record<string, Json> = { key };
  const shape = tape.next(6);
  // Scalar, optional, sets of two kinds, maps of two kinds.
  if (shape > 0) type.min = 0;
  if (shape >= 4) type.value = baseJson(tape, tables);
  if (shape === 2 || shape === 4) type.max = "unlimited";
  if (shape === 3 || shape === 5) {
    type.max = 2 + tape.next(2);
    type.min = tape.next(2);
  }
  const json: Record<string, Json> = { type };
  if (tape.once(12)) json.mutable = false;
  // What refers must outlive a restart.
  if (tape.once(8) && !isRef(key) && !(type.value !== undefined && isRef(type.value))) json.ephemeral = true;
  return json;
}

export function schemaJson(tape: Tape): Json {
  const count = 1 + tape.next(3);
  const tables: Record<string, Json> = {};
  for (let t = 0; t < count; t++) {
    const columns: Record<string, Json> = {};
    const names: string[] = [];
    const width = 1 + tape.next(5);
    for (let c = 0; c < width; c++) {
      columns[`c${c}`] = columnJson(tape, count);
      if ((columns[`c${c}`] as { ephemeral?: boolean }).ephemeral !== true) names.push(`c${c}`);
    }
    const table: Record<string, Json> = { columns };
    if (!tape.once(3)) table.isRoot = true;
    if (tape.once(6)) table.maxRows = 1 + tape.next(3);
    if (tape.once(3) && names.length > 0) {
      table.indexes = [[names[0]!]];
      if (names.length > 1) table.indexes = [[names[0]!, names[1]!], [names[1]!]].slice(tape.next(2));
    }
    tables[`T${t}`] = table;
  }
  return { name: "D", version: "1.0.0", tables };
}

/** Makes operations that fit `model` as it is now, with a few that do not. */
class Maker {
  readonly tape: Tape;
  readonly model: Model;
  /** Name to table, of the rows that the transaction inserts. */
  readonly names: Names;
  readonly #faulty: boolean;

  /** `faulty`: now and then with a value that the column may not have. */
  constructor(tape: Tape, model: Model, names: Names, faulty: boolean) {
    this.tape = tape;
    this.model = model;
    this.names = names;
    this.#faulty = faulty;
  }

  #fault(): boolean {
    return this.#faulty && this.tape.once(16);
  }

  uuidOf(table: string): Json {
    const rows = [...this.model.rows(table).keys()];
    const named = Object.keys(this.names).filter((name) => this.names[name] === table);
    const choice = this.tape.next(rows.length + 2 * named.length + (this.tape.once(6) ? 1 : 0) || 1);
    if (choice < rows.length) return ["uuid", rows[choice]!];
    const name = named[(choice - rows.length) % (named.length || 1)];
    return choice < rows.length + 2 * named.length && name !== undefined
      ? ["named-uuid", name]
      : ["uuid", NOWHERE];
  }

  atom(base: Base): Json {
    const { tape } = this;
    if (base.type === "uuid") return this.uuidOf(base.refTable ?? "T0");
    if (base.type === "boolean") return tape.next(2) === 1;
    const pool: readonly (number | bigint | string)[] = { integer: INTEGERS, real: REALS, string: STRINGS }[
      base.type
    ];
    const fits = pool.filter((atom) => {
      if (base.enum !== undefined) return base.enum.has(String(atom));
      const measure = typeof atom === "string" ? [...atom].length : Number(atom);
      return measure >= base.min && measure <= base.max;
    });
    return tape.pick(this.#fault() ? pool : fits);
  }

  /** Of a size that is allowed, mostly; without an element twice. */
  value(column: Column, min = column.min, max = column.max): Json {
    const { tape } = this;
    if (max === 1 && column.value === undefined && min === 1 && !tape.once(8)) return this.atom(column.key);
    const most = Math.min(max, 4) + (this.#fault() ? 1 : 0);
    const size = min + tape.next(most - min + 1);
    const keys = new Map<string, Json>();
    for (let i = 0; i < size; i++) {
      const key = this.atom(column.key);
      keys.set(String(key), key);
    }
    // Names of one row are one key, and 1 and 1.0 are equal: only whole numbers are in the pools.
    const items = [...keys.values()];
    if (column.value === undefined)
      return items.length === 1 && tape.next(2) === 0 ? items[0]! : ["set", items];
    return ["map", items.map((key) => [key, this.atom(column.value!)])];
  }

  row(table: Table, full: boolean): Json {
    const columns = [...table.columns.values()];
    const chosen = full
      ? columns.filter(() => !this.tape.once(4))
      : [this.tape.pick(columns), ...this.tape.some(columns, 4)];
    return Object.fromEntries(chosen.map((column) => [column.name, this.value(column)]));
  }

  clause(table: Table): Json {
    const { tape } = this;
    if (tape.once(8)) return tape.next(2) === 0;
    if (tape.once(4))
      return ["_uuid", tape.pick(["==", "!=", "includes", "excludes"]), this.uuidOf(table.name)];
    const column = tape.pick([...table.columns.values()]);
    const isNumber = column.key.type === "integer" || column.key.type === "real";
    const ordered = isNumber && column.value === undefined && column.max === 1;
    const functions = ["==", "!=", "includes", "excludes", ...(ordered ? ["<", "<=", ">", ">="] : [])];
    const fn = tape.pick(functions);
    if (fn === "==" || fn === "!=") return [column.name, fn, this.value(column)];
    if (fn === "includes" || fn === "excludes") {
      const scalar = column.min === 1 && column.max === 1 && column.value === undefined;
      return [column.name, fn, this.value(column, scalar ? 1 : 0)];
    }
    return [column.name, fn, this.atom(column.key)];
  }

  where(table: Table): Json {
    const { tape } = this;
    const rows = this.model.rows(table.name).size;
    if (rows > 0 && tape.next(3) < 2) return [["_uuid", "==", this.uuidOf(table.name)]];
    return Array.from({ length: tape.next(3) }, () => this.clause(table));
  }

  mutation(table: Table): Json {
    const { tape } = this;
    const columns = [...table.columns.values()];
    const composite = columns.filter(
      (column) => column.value !== undefined || column.min !== 1 || column.max !== 1,
    );
    const numeric = columns.filter(
      ({ key, value }) => value === undefined && (key.type === "integer" || key.type === "real"),
    );
    const useful = [...composite, ...numeric];
    if (useful.length === 0) return [columns[0]!.name, "none such", 1];
    const at = tape.next(useful.length);
    const column = useful[at]!;
    if (at >= composite.length) {
      const mutators = ["+=", "-=", "*=", "/=", ...(column.key.type === "integer" ? ["%="] : [])];
      const operand =
        column.key.type === "integer"
          ? tape.pick([1, 2, -1, 3, 0, 9007199254740992n])
          : tape.pick([1, 0.5, 0, 1e200]);
      return [column.name, tape.pick(mutators), operand];
    }
    if (tape.next(5) < 3) return [column.name, "insert", this.value(column, 0)];
    if (column.value !== undefined && tape.next(2) === 1)
      return [column.name, "delete", this.value({ ...column, value: undefined }, 0, Infinity)];
    return [column.name, "delete", this.value(column, 0, Infinity)];
  }
}

const KINDS = [
  "insert",
  "insert",
  "insert",
  "update",
  "mutate",
  "mutate",
  "delete",
  "update",
  "select",
  "wait",
];

export function transactionJson(tape: Tape, model: Model): { readonly [name: string]: Json }[] {
  const tables = [...model.schema.values()];
  const count = 1 + tape.next(5);
  const plan = Array.from({ length: count }, (_, i) => {
    const kind = tape.pick(KINDS);
    const named = kind === "insert" && tape.next(2) === 0;
    return { kind, table: tape.pick(tables), name: named ? `n${tape.once(10) ? 0 : i}` : undefined };
  });
  const names = Object.fromEntries(plan.flatMap(({ name, table }) => (name ? [[name, table.name]] : [])));
  const maker = new Maker(tape, model, names, true);
  const operations: { readonly [name: string]: Json }[] = plan.map(({ kind, table, name }) => {
    const common = { op: kind, table: table.name };
    switch (kind) {
      case "insert":
        return {
          ...common,
          ...(name !== undefined ? { "uuid-name": name } : {}),
          ...(tape.once(6) ? { uuid: tape.pick(GIVEN) } : {}),
          row: maker.row(table, true),
        };
      case "update":
        return { ...common, where: maker.where(table), row: maker.row(table, false) };
      case "mutate":
        return {
          ...common,
          where: maker.where(table),
          mutations: Array.from({ length: 1 + tape.next(2) }, () => maker.mutation(table)),
        };
      case "delete":
        return { ...common, where: maker.where(table) };
      case "select": {
        const columns = tape.some(["_uuid", ...table.columns.keys()]);
        return { ...common, where: maker.where(table), ...(columns.length > 0 ? { columns } : {}) };
      }
      default: {
        const columns = [tape.pick([...table.columns.keys()])];
        const rows = [...model.rows(table.name).entries()].map(([uuid, row]) =>
          model.rowJson(table, uuid, row, columns),
        );
        return {
          ...common,
          timeout: 0,
          where: maker.where(table),
          columns,
          until: tape.pick(["==", "!="]),
          rows: tape.next(2) === 0 ? tape.some(rows) : [maker.row(table, false)],
        };
      }
    }
  });
  if (tape.once(12)) operations.push({ op: "comment", comment: tape.pick(STRINGS) });
  if (tape.once(20)) operations.push({ op: "abort" });
  return operations;
}

/** The <monitor-requests> of a monitor of some tables, by name. */
export function monitorJson(tape: Tape, model: Model, conditional: boolean): Record<string, Json> {
  const maker = new Maker(tape, model, {}, false);
  const requests: Record<string, Json> = {};
  for (const table of model.schema.values()) {
    if (tape.once(5)) continue;
    const columns = tape.next(2) === 0 ? undefined : tape.some(["_uuid", ...table.columns.keys()]);
    requests[table.name] = {
      ...(columns === undefined ? {} : { columns }),
      ...(conditional ? { where: conditionJson(maker, table) } : {}),
    };
  }
  return requests;
}

function conditionJson(maker: Maker, table: Table): Json {
  return Array.from({ length: maker.tape.next(3) }, () => maker.clause(table));
}

/** New conditions for some of the tables of a monitor. */
export function conditionChange(tape: Tape, model: Model, tables: readonly string[]): Record<string, Json> {
  const maker = new Maker(tape, model, {}, false);
  return Object.fromEntries(
    tape.some(tables).map((name) => [name, [{ where: conditionJson(maker, model.schema.get(name)!) }]]),
  );
}
