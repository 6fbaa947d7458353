/**
 * The operations of "transact" (RFC 7047 section 5.2), run in order on a Transaction. Results are made as JSON text at
 * once, because nobody but the client looks at them.
 */
import { parseUuid } from "./atom.ts";
import type { Condition } from "./condition.ts";
import { conditionFromJson } from "./condition.ts";
import { checkDatum, compareDatums, datumJsonText } from "./datum.ts";
import { OvsdbError, syntaxError } from "./error.ts";
import type { Json } from "./json-text.ts";
import { isArray, isObject, quote, sortedText } from "./json-text.ts";
import type { Mutation } from "./mutation.ts";
import { mutationFromJson } from "./mutation.ts";
import { ObjectParser } from "./object-parser.ts";
import type { Column } from "./schema.ts";
import { columnSetFromJson } from "./schema.ts";
import type { Database, Row, Table } from "./table.ts";
import { rowDatum, rowFromJson } from "./table.ts";
import { Transaction } from "./transaction.ts";

export interface ExecuteContext {
  readonly database: Database;
  /** Makes UUIDs. */
  readonly uuid: () => string;
  /** Operations that write fail, as on a backup server or a read-only remote. */
  readonly readOnly: boolean;
  /** Of the client. */
  readonly locks: { holdsLock(name: string): boolean };
  /** Milliseconds since the request came in; 0 when it is run for the first time. */
  readonly elapsed: number;
  /** Role-based access control; undefined: everything is allowed. */
  readonly access?: AccessCheck | undefined;
}

/** Each throws a "permission error" (rbac.ts). */
export interface AccessCheck {
  /** After the insertion: the row's own values decide. */
  inserted(row: Row): void;
  remove(table: Table, rows: readonly Row[]): void;
  update(table: Table, rows: readonly Row[], columns: readonly Column[]): void;
  mutate(table: Table, rows: readonly Row[], mutations: readonly Mutation[]): void;
}

/** `text`: the result array. `transaction`: prepared, not finished; undefined after a failure (nothing changed). */
export interface Executed {
  readonly kind: "done";
  readonly results: string[];
  readonly transaction: Transaction | undefined;
  readonly durable: boolean;
  /** An operation has failed, not only the whole. */
  readonly failed: boolean;
}

/** A "wait" is not yet satisfied: run the whole again when `table` has changed, or when `timeout` ms have passed since the request. */
export interface Waiting {
  readonly kind: "wait";
  readonly table: Table;
  readonly timeout: number | undefined;
}

class Retry {
  readonly table: Table;
  readonly timeout: number | undefined;
  constructor(table: Table, timeout: number | undefined) {
    this.table = table;
    this.timeout = timeout;
  }
}

/** `operations` are the params of "transact" after the database's name. */
export function execute(context: ExecuteContext, operations: readonly Json[]): Executed | Waiting {
  const run = new Execution(context, operations);
  const results: string[] = [];
  for (let i = 0; i < operations.length; i++) {
    try {
      const parser = new ObjectParser(operations[i]!, "ovsdb operation", i + 1, operations.length);
      results.push(run.operation(operations[i]!, parser));
    } catch (error) {
      run.transaction.abort();
      if (error instanceof Retry) return { kind: "wait", table: error.table, timeout: error.timeout };
      if (!(error instanceof OvsdbError)) throw error;
      results.push(sortedText(error.toJson()));
      while (results.length < operations.length) results.push("null");
      return { kind: "done", results, transaction: undefined, durable: false, failed: true };
    }
  }
  try {
    run.transaction.prepare();
  } catch (error) {
    run.transaction.abort();
    if (!(error instanceof OvsdbError)) throw error;
    results.push(sortedText(error.toJson()));
    return { kind: "done", results, transaction: undefined, durable: false, failed: false };
  }
  return { kind: "done", results, transaction: run.transaction, durable: run.durable, failed: false };
}

interface NamedRow {
  uuid: string;
  defined: boolean;
}

type Operation = (run: Execution, parser: ObjectParser, json: Json) => string;

class Execution {
  readonly context: ExecuteContext;
  readonly transaction: Transaction;
  durable = false;
  #symbols: Map<string, NamedRow> | undefined = undefined;

  readonly #operations: readonly Json[];

  constructor(context: ExecuteContext, operations: readonly Json[]) {
    this.context = context;
    this.#operations = operations;
    this.transaction = new Transaction(context.database, context.uuid);
  }

  readonly named = (name: string): string => this.#symbol(name).uuid;

  #symbol(name: string): NamedRow {
    this.#symbols ??= new Map();
    let symbol = this.#symbols.get(name);
    if (symbol === undefined) {
      const uuid = this.#givenLater(name) ?? this.context.uuid();
      this.#symbols.set(name, (symbol = { uuid, defined: false }));
    }
    return symbol;
  }

  /** The "uuid" of the "insert" that is to come. Upstream's reference names no row then. */
  #givenLater(name: string): string | undefined {
    for (const operation of this.#operations) {
      if (!isObject(operation) || operation["uuid-name"] !== name) continue;
      return typeof operation.uuid === "string" ? parseUuid(operation.uuid) : undefined;
    }
    return undefined;
  }

  /** The name of a row that is inserted; its UUID is `given` or new. */
  define(name: string, given: string | undefined): string {
    this.#symbols ??= new Map();
    let symbol = this.#symbols.get(name);
    if (symbol?.defined === true) {
      const what = 'This "uuid-name" appeared on an earlier "insert" operation.';
      throw new OvsdbError("duplicate uuid-name", what, quote(name));
    }
    if (symbol === undefined) this.#symbols.set(name, (symbol = { uuid: "", defined: true }));
    if (symbol.uuid === "" || given !== undefined) symbol.uuid = given ?? this.context.uuid();
    symbol.defined = true;
    return symbol.uuid;
  }

  operation(json: Json, parser: ObjectParser): string {
    const name = parser.member("op", "id") as string;
    const operation = Object.hasOwn(OPERATIONS, name) ? OPERATIONS[name]! : undefined;
    if (operation === undefined) throw parser.fail(`No operation "${name}"`);
    return operation(this, parser, json);
  }

  table(parser: ObjectParser): Table {
    const name = parser.member("table", "id") as string;
    const table = this.context.database.tables.get(name);
    if (table === undefined) throw parser.fail(`No table named ${name}.`);
    return table;
  }

  checkWritable(name: string): void {
    if (!this.context.readOnly) return;
    throw new OvsdbError(
      "not allowed",
      `${name} operation not allowed when database server is in read only mode`,
    );
  }
}

/** Rows that match, found by UUID where the condition says so. A copy: callers change the table. */
function matches(table: Table, condition: Condition): Row[] {
  if (condition.uuid !== undefined) {
    const row = table.rows.get(condition.uuid);
    return row !== undefined && condition.test(row) ? [row] : [];
  }
  const rows: Row[] = [];
  for (const row of table.rows.values()) if (condition.test(row)) rows.push(row);
  return rows;
}

function rowText(row: Row, columns: readonly Column[]): string {
  let text = "";
  for (const column of columns) {
    text += `${text === "" ? "{" : ","}"${column.name}":${datumJsonText(column.type, rowDatum(row, column))}`;
  }
  return text === "" ? "{}" : `${text}}`;
}

function insert(run: Execution, parser: ObjectParser): string {
  const table = run.table(parser);
  const name = parser.optional("uuid-name", "id") as string | undefined;
  const given = parser.optional("uuid", "string") as string | undefined;
  const rowJson = parser.member("row", "object");
  run.checkWritable("insert");
  parser.finish();
  let uuid = given === undefined ? undefined : parseUuid(given);
  if (given !== undefined) {
    if (uuid === undefined) throw syntaxError(given, "bad uuid");
    if (!run.transaction.isFree(table, uuid)) {
      const what =
        "This UUID would duplicate a UUID already present within the table or deleted within the same transaction.";
      throw new OvsdbError("duplicate uuid", what, quote(given));
    }
  }
  if (name !== undefined) uuid = run.define(name, uuid);
  const { columns, datums } = rowFromJson(table, rowJson, { named: run.named });
  // The defaults of the other columns must be allowed, too.
  for (const column of table.constrained) {
    if (!columns.includes(column)) checkDatum(column.type, table.defaults[column.index]!);
  }
  const row = run.transaction.insert(table, uuid ?? run.context.uuid(), columns, datums);
  run.context.access?.inserted(row);
  return `{"uuid":["uuid","${row.uuid}"]}`;
}

function select(run: Execution, parser: ObjectParser): string {
  const table = run.table(parser);
  const where = parser.member("where", "array");
  const columnsJson = parser.optional("columns", "array");
  // Not in RFC 7047: the rows come in the order of these columns.
  const sortJson = parser.optional("sort", "array");
  parser.finish();
  const condition = conditionFromJson(table, where, run.named);
  const columns = [...columnSetFromJson(columnsJson, table.schema)].sort((a, b) =>
    a.name < b.name ? -1 : 1,
  );
  const sort = sortJson === undefined ? [] : columnSetFromJson(sortJson, table.schema);
  const found = matches(table, condition);
  if (sort.length > 0) found.sort((a, b) => compareRows(a, b, sort));
  const rows = found.map((row) => rowText(row, columns));
  // Rows that are equal in the columns asked for are given once.
  const distinct = columnsJson === undefined ? rows : [...new Set(rows)];
  return `{"rows":[${distinct.join(",")}]}`;
}

function compareRows(a: Row, b: Row, columns: readonly Column[]): number {
  for (const column of columns) {
    const order = compareDatums(rowDatum(a, column), rowDatum(b, column));
    if (order !== 0) return order;
  }
  return 0;
}

function update(run: Execution, parser: ObjectParser, json: Json): string {
  const table = run.table(parser);
  const where = parser.member("where", "array");
  const rowJson = parser.member("row", "object");
  run.checkWritable("update");
  parser.finish();
  const { columns, datums } = rowFromJson(table, rowJson, { named: run.named });
  for (const column of columns) {
    if (column.mutable && column.index >= 0) continue;
    const what = `Cannot update immutable column ${column.name} in table ${table.name}.`;
    throw new OvsdbError("constraint violation", what, sortedText(json));
  }
  const rows = matches(table, conditionFromJson(table, where, run.named));
  run.context.access?.update(table, rows, columns);
  for (const row of rows) {
    for (let i = 0; i < columns.length; i++) run.transaction.set(row, columns[i]!, datums[i]!);
  }
  return `{"count":${rows.length}}`;
}

function mutate(run: Execution, parser: ObjectParser): string {
  const table = run.table(parser);
  const where = parser.member("where", "array");
  const list = parser.member("mutations", "array") as readonly Json[];
  run.checkWritable("mutate");
  parser.finish();
  const mutations = list.map((item) => mutationFromJson(table, item, run.named));
  const rows = matches(table, conditionFromJson(table, where, run.named));
  run.context.access?.mutate(table, rows, mutations);
  for (const row of rows) {
    for (const { column, apply } of mutations)
      run.transaction.set(row, column, apply(row.data[column.index]!));
  }
  return `{"count":${rows.length}}`;
}

function remove(run: Execution, parser: ObjectParser): string {
  const table = run.table(parser);
  const where = parser.member("where", "array");
  run.checkWritable("delete");
  parser.finish();
  const rows = matches(table, conditionFromJson(table, where, run.named));
  run.context.access?.remove(table, rows);
  for (const row of rows) run.transaction.remove(row);
  return `{"count":${rows.length}}`;
}

function wait(run: Execution, parser: ObjectParser): string {
  const timeoutJson = parser.optional("timeout", "number") as number | bigint | undefined;
  const table = run.table(parser);
  const where = parser.member("where", "array");
  const columnsJson = parser.optional("columns", "array");
  const until = parser.member("until", "string") as string;
  const rowsJson = parser.member("rows", "array") as readonly Json[];
  parser.finish();
  const timeout = timeoutJson === undefined ? undefined : Number(timeoutJson);
  if (timeout !== undefined && timeout < 0) throw syntaxError(timeoutJson!, "timeout must be nonnegative");
  const condition = conditionFromJson(table, where, run.named);
  const columns = columnSetFromJson(columnsJson, table.schema);
  if (until !== "==" && until !== "!=") throw syntaxError(until, '"until" must be "==" or "!="');
  const wanted = rowsJson.map((rowJson) => wantedRow(run, table, columns, rowJson));
  const found = matches(table, condition).map((row) => rowText(row, columns));
  if (sameSets(wanted, found) === (until === "==")) return "{}";
  if (timeout !== undefined && run.context.elapsed >= timeout) {
    throw new OvsdbError("timed out", `"where" clause test failed`);
  }
  throw new Retry(table, timeout);
}

function sameSets(a: readonly string[], b: readonly string[]): boolean {
  if (a.length === 1 && b.length === 1) return a[0] === b[0];
  const inA = new Set(a);
  const inB = new Set(b);
  return inA.size === inB.size && a.every((text) => inB.has(text));
}

const ZERO = `["uuid","00000000-0000-0000-0000-000000000000"]`;

function wantedRow(run: Execution, table: Table, columns: readonly Column[], json: Json): string {
  const values = rowFromJson(table, json, { named: run.named });
  let text = "";
  for (const column of columns) {
    const at = values.columns.indexOf(column);
    let value: string;
    if (at >= 0) value = datumJsonText(column.type, values.datums[at]!);
    else if (column.index < 0) value = ZERO;
    else value = datumJsonText(column.type, table.defaults[column.index]!);
    text += `${text === "" ? "{" : ","}"${column.name}":${value}`;
  }
  return text === "" ? "{}" : `${text}}`;
}

const OPERATIONS: Readonly<Record<string, Operation>> = {
  insert,
  select,
  update,
  mutate,
  delete: remove,
  wait,
  commit(run, parser) {
    const durable = parser.member("durable", "boolean") as boolean;
    run.checkWritable("commit");
    parser.finish();
    run.durable ||= durable;
    return "{}";
  },
  abort(_run, parser) {
    parser.finish();
    throw new OvsdbError("aborted", "aborted by request");
  },
  comment(run, parser) {
    const comment = parser.member("comment", "string") as string;
    parser.finish();
    run.transaction.addComment(comment);
    return "{}";
  },
  assert(run, parser) {
    const lock = parser.member("lock", "id") as string;
    parser.finish();
    if (!run.context.locks.holdsLock(lock))
      throw new OvsdbError("not owner", `Asserted lock ${lock} not held.`);
    return "{}";
  },
};

/** Checks the outer form of "transact" params: an array that begins with a string. */
export function operationsOf(params: Json, database: Database): readonly Json[] {
  if (!isArray(params)) throw syntaxError(params, "array expected");
  if (params[0] !== database.schema.name) {
    throw syntaxError(params, "database name expected as first parameter");
  }
  return params.slice(1);
}
