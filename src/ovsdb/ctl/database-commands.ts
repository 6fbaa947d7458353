/** The commands on any table: comment get list find set add remove clear create destroy wait-until (ovs-vsctl(8)). */
import { Fatal } from "../../lib/errors.ts";
import type { Table } from "../../lib/table.ts";
import { vlog } from "../../lib/vlog.ts";
import { AtomTextError, formatAtom } from "../atom.ts";
import {
  compareDatums,
  Datum,
  EMPTY_MAP,
  EMPTY_SET,
  equalDatums,
  excludesAll,
  includesAll,
  mapGet,
  scalar,
  subtractDatums,
  unionDatums,
} from "../datum.ts";
import { formatDatum, parseDatum } from "../datum-text.ts";
import { type Column, UUID_COLUMN } from "../schema.ts";
import type { ColumnType } from "../type.ts";
import { atomArgument, CONDITION_OPERATORS, datumArgument, parseArgument } from "./argument.ts";
import { datumCell } from "./cells.ts";
import type { CtlCall, CtlCommand } from "./command.ts";
import { type CtlContext, NotYet } from "./context.ts";
import type { Needs } from "./needs.ts";
import { findRecord } from "./records.ts";

const log = vlog("db_ctl_base");
const ANY = Number.POSITIVE_INFINITY;
const SET_OPERATORS: readonly string[] = ["="];
const NO_OPERATORS: readonly string[] = [];

/** The name before any ":", "=" and so on. */
function columnOf(needs: Needs, table: string, typed: string, uuidToo = false): Column {
  const { column } = parseName(typed);
  return uuidToo ? needs.schema.findColumnOrUuid(table, column) : needs.schema.findColumn(table, column);
}

function parseName(typed: string): { column: string } {
  const end = typed.search(/[:=, [\]{}!<>]/);
  const column = end < 0 ? typed : typed.slice(0, end);
  if (column === "") throw new Fatal(`${typed}: missing column name`);
  return { column };
}

/** Notes the table, what identifies its records, and the columns of `args`. */
function prepareRecord(needs: Needs, call: CtlCall, columnArgs: readonly string[], uuidToo = false): string {
  const table = needs.schema.findTable(call.args[0]!);
  needs.record(table);
  for (const arg of columnArgs) needs.columns(table, columnOf(needs, table, arg, uuidToo).name);
  return table;
}

function tableOf(context: CtlContext, call: CtlCall): string {
  return context.schema.findTable(call.args[0]!);
}

/** Table and row that the first two arguments name; no row is fine with --if-exists. */
function recordOf(context: CtlContext, call: CtlCall): { table: string; uuid: string | undefined } {
  const table = tableOf(context, call);
  return { table, uuid: findRecord(context, table, call.args[1]!, !call.options.has("--if-exists")) };
}

/** A row that is only just being made has no columns that are set for ever yet. */
function checkMutable(context: CtlContext, table: string, uuid: string, column: Column): void {
  if (!column.mutable && !context.txn.isNew(uuid))
    throw new Fatal(`cannot modify read-only column ${column.name} in table ${table}`);
}

// get

const get: CtlCommand = {
  name: "get",
  min: 2,
  max: ANY,
  syntax: "!TABLE !RECORD *COLUMN?:KEY",
  options: ["--if-exists", "--id="],
  writes: false,
  prepare(call, needs) {
    prepareRecord(needs, call, call.args.slice(2), true);
  },
  run(call, context) {
    const id = call.options.get("--id");
    if (id !== undefined && call.options.has("--if-exists")) {
      throw new Fatal("--if-exists and --id may not be specified together");
    }
    const { table, uuid } = recordOf(context, call);
    if (uuid === undefined) return;
    if (id !== undefined) context.nameExisting(id, uuid);
    for (const arg of call.args.slice(2)) {
      const { column: name, key } = parseArgument(arg, NO_OPERATORS);
      const column = context.schema.findColumnOrUuid(table, name);
      const datum = column === UUID_COLUMN ? scalar(uuid) : context.txn.read(table, uuid, column.name);
      context.txn.verifyColumn(table, uuid, column.name);
      if (key === undefined) {
        call.output += `${formatDatum(column.type, datum)}\n`;
        continue;
      }
      if (column.type.value === undefined) {
        throw new Fatal(`cannot specify key to get for non-map column ${column.name}`);
      }
      const value = mapGet(datum, atomArgument(column.type.key, key));
      if (value !== undefined) call.output += `${formatAtom(column.type.value.type, value)}\n`;
      else if (call.options.has("--if-exists")) call.output += "\n";
      else {
        throw new Fatal(`no key "${key}" in ${table} record "${call.args[1]}" column ${column.name}`);
      }
    }
  },
};

// list and find

function listedColumns(call: CtlCall, schema: Needs["schema"], table: string): Column[] {
  const option = call.options.get("--columns");
  if (option === undefined) {
    return [UUID_COLUMN, ...schema.columnNames(table).map((name) => schema.column(table, name))];
  }
  const names = option.split(/[, ]+/).filter((name) => name !== "");
  if (names.length === 0) throw new Fatal("must specify at least one column name");
  return names.map((name) => schema.findColumnOrUuid(table, name));
}

function listRows(context: CtlContext, call: CtlCall, table: string, uuids: Iterable<string>): Table {
  const columns = listedColumns(call, context.schema, table);
  const rows: Table["rows"] = [...uuids].map((uuid) =>
    columns.map((column) =>
      datumCell(
        column.type,
        column === UUID_COLUMN ? scalar(uuid) : context.txn.read(table, uuid, column.name),
      ),
    ),
  );
  return { headings: columns.map((column) => column.name), rows };
}

const list: CtlCommand = {
  name: "list",
  min: 1,
  max: ANY,
  syntax: "!TABLE *RECORD",
  options: ["--if-exists", "--columns="],
  writes: false,
  prepare(call, needs) {
    const table = prepareRecord(needs, call, []);
    needs.columns(table, ...listedColumns(call, needs.schema, table).map((column) => column.name));
  },
  run(call, context) {
    const table = tableOf(context, call);
    const uuids: string[] = [];
    for (const record of call.args.slice(1)) {
      const uuid = findRecord(context, table, record, !call.options.has("--if-exists"));
      if (uuid !== undefined) uuids.push(uuid);
    }
    call.table = listRows(context, call, table, call.args.length > 1 ? uuids : context.txn.uuids(table));
  },
};

const find: CtlCommand = {
  name: "find",
  min: 1,
  max: ANY,
  syntax: "!TABLE *COLUMN?:KEY=VALUE",
  options: ["--columns="],
  writes: false,
  prepare(call, needs) {
    const table = prepareRecord(needs, call, call.args.slice(1));
    needs.columns(table, ...listedColumns(call, needs.schema, table).map((column) => column.name));
  },
  run(call, context) {
    const table = tableOf(context, call);
    const conditions = call.args.slice(1);
    const uuids: string[] = [];
    for (const uuid of context.txn.uuids(table)) {
      if (conditions.every((condition) => isSatisfied(context, table, uuid, condition))) uuids.push(uuid);
    }
    call.table = listRows(context, call, table, uuids);
  },
};

/** ovs-vsctl(8), `find`: arithmetic operators never match where the key is missing, set operators see an empty set. */
function isSatisfied(context: CtlContext, table: string, uuid: string, text: string): boolean {
  const { column: name, key, operator, value } = parseArgument(text, CONDITION_OPERATORS);
  const column = context.schema.findColumn(table, name);
  const datum = context.txn.read(table, uuid, column.name);
  let { type } = column;
  let have = datum;
  if (key !== undefined) {
    if (type.value === undefined) {
      throw new Fatal(`cannot specify key to check for non-map column ${column.name}`);
    }
    const found = mapGet(datum, atomArgument(type.key, key));
    type = { key: type.value, value: undefined, min: 0, max: type.max };
    const want = datumArgument(type, value!);
    if (found === undefined && !operator!.startsWith("{")) return false;
    have = found === undefined ? EMPTY_SET : scalar(found);
    return compare(operator!, have, want);
  }
  const want = datumArgument({ ...type, min: 0 }, value!, context.names(type));
  return compare(operator!, have, want);
}

function compare(operator: string, have: Datum, want: Datum): boolean {
  switch (operator) {
    case "=":
    case "{=}":
      return equalDatums(have, want);
    case "!=":
    case "{!=}":
      return !equalDatums(have, want);
    case "<":
      return compareDatums(have, want) < 0;
    case ">":
      return compareDatums(have, want) > 0;
    case "<=":
      return compareDatums(have, want) <= 0;
    case ">=":
      return compareDatums(have, want) >= 0;
    case "{<}":
      return have.keys.length < want.keys.length && includesAll(want, have);
    case "{>}":
      return have.keys.length > want.keys.length && includesAll(have, want);
    case "{>=}":
      return includesAll(have, want);
    case "{not-in}":
      return excludesAll(want, have);
    default:
      return includesAll(want, have);
  }
}

// set, add, remove, clear

/** `COLUMN[:KEY]=VALUE`, as `set`, `create` and the port commands take it. */
export function setColumn(context: CtlContext, table: string, uuid: string, text: string): void {
  const { column: name, key, value } = parseArgument(text, SET_OPERATORS);
  const column = context.schema.findColumn(table, name);
  checkMutable(context, table, uuid, column);
  const { type } = column;
  const names = context.names(type);
  if (key === undefined) {
    context.txn.write(table, uuid, column.name, datumArgument(type, value!, names));
    return;
  }
  if (type.value === undefined) {
    throw new Fatal(`cannot specify key to set for non-map column ${column.name}`);
  }
  const pair = new Datum([atomArgument(type.key, key, names)], [atomArgument(type.value, value!, names)]);
  context.txn.put(table, uuid, column.name, pair);
}

export function needColumns(needs: Needs, table: string, args: readonly string[]): void {
  for (const arg of args) needs.columns(table, columnOf(needs, table, arg).name);
}

const set: CtlCommand = {
  name: "set",
  min: 3,
  max: ANY,
  syntax: "!TABLE !RECORD +COLUMN?:KEY=VALUE",
  options: ["--if-exists"],
  writes: true,
  anyTable: true,
  prepare(call, needs) {
    prepareRecord(needs, call, call.args.slice(2));
  },
  run(call, context) {
    const { table, uuid } = recordOf(context, call);
    if (uuid === undefined) return;
    for (const arg of call.args.slice(2)) setColumn(context, table, uuid, arg);
  },
};

function prepareColumn(call: CtlCall, needs: Needs): void {
  const table = needs.schema.findTable(call.args[0]!);
  needs.record(table);
  needs.columns(table, needs.schema.findColumn(table, call.args[2]!).name);
}

const add: CtlCommand = {
  name: "add",
  min: 4,
  max: ANY,
  syntax: "!TABLE !RECORD !COLUMN +?KEY=VALUE",
  options: ["--if-exists"],
  writes: true,
  anyTable: true,
  prepare: prepareColumn,
  run(call, context) {
    const { table, uuid } = recordOf(context, call);
    if (uuid === undefined) return;
    const column = context.schema.findColumn(table, call.args[2]!);
    checkMutable(context, table, uuid, column);
    const { type } = column;
    const typed: ColumnType = { ...type, min: 1, max: ANY };
    let datum = context.txn.read(table, uuid, column.name);
    for (const arg of call.args.slice(3)) {
      datum = unionDatums(datum, datumArgument(typed, arg, context.names(type)));
    }
    if (datum.keys.length > type.max) {
      throw new Fatal(
        `"add" operation would put ${datum.keys.length} ${type.value === undefined ? "values" : "pairs"} in column ${column.name} of table ${table} but the maximum number is ${type.max}`,
      );
    }
    context.txn.verifyColumn(table, uuid, column.name);
    context.txn.write(table, uuid, column.name, datum);
  },
};

const remove: CtlCommand = {
  name: "remove",
  min: 4,
  max: ANY,
  syntax: "!TABLE !RECORD !COLUMN +KEY|VALUE|KEY=VALUE",
  options: ["--if-exists"],
  writes: true,
  anyTable: true,
  prepare: prepareColumn,
  run(call, context) {
    const { table, uuid } = recordOf(context, call);
    if (uuid === undefined) return;
    const column = context.schema.findColumn(table, call.args[2]!);
    checkMutable(context, table, uuid, column);
    const { type } = column;
    let datum = context.txn.read(table, uuid, column.name);
    for (const arg of call.args.slice(3)) datum = subtractDatums(datum, removed(context, type, arg));
    if (datum.keys.length < type.min) {
      throw new Fatal(
        `"remove" operation would put ${datum.keys.length} ${type.value === undefined ? "values" : "pairs"} in column ${column.name} of table ${table} but the minimum number is ${type.min}`,
      );
    }
    context.txn.verifyColumn(table, uuid, column.name);
    context.txn.write(table, uuid, column.name, datum);
  },
};

/** What to take out: elements or pairs, or in a map the keys alone. */
function removed(context: CtlContext, type: ColumnType, text: string): Datum {
  const typed: ColumnType = { ...type, min: 1, max: ANY };
  if (type.value !== undefined) {
    try {
      return parseDatum(typed, text, context.names(type));
    } catch (error) {
      if (!(error instanceof AtomTextError)) throw error;
    }
    return datumArgument({ ...typed, value: undefined }, text, context.names(type));
  }
  return datumArgument(typed, text, context.names(type));
}

const clear: CtlCommand = {
  name: "clear",
  min: 3,
  max: ANY,
  syntax: "!TABLE !RECORD +COLUMN",
  options: ["--if-exists"],
  writes: true,
  anyTable: true,
  prepare(call, needs) {
    const table = needs.schema.findTable(call.args[0]!);
    needs.record(table);
    for (const arg of call.args.slice(2)) needs.columns(table, needs.schema.findColumn(table, arg).name);
  },
  run(call, context) {
    const { table, uuid } = recordOf(context, call);
    if (uuid === undefined) return;
    for (const arg of call.args.slice(2)) {
      const column = context.schema.findColumn(table, arg);
      checkMutable(context, table, uuid, column);
      if (column.type.min > 0) {
        throw new Fatal(
          `"clear" operation cannot be applied to column ${column.name} of table ${table}, which is not allowed to be empty`,
        );
      }
      context.txn.write(table, uuid, column.name, column.type.value === undefined ? EMPTY_SET : EMPTY_MAP);
    }
  },
};

// create, destroy

const create: CtlCommand = {
  name: "create",
  min: 2,
  max: ANY,
  syntax: "!TABLE +COLUMN?:KEY=VALUE",
  options: ["--id="],
  writes: true,
  anyTable: true,
  prepare(call, needs) {
    const table = needs.schema.findTable(call.args[0]!);
    needs.table(table);
    for (const arg of call.args.slice(1)) {
      const column = needs.schema.columnName(table, arg.split(/[:=, [\]{}!<>]/, 1)[0]!);
      if (column !== undefined) needs.written(table, column);
    }
    if (!call.options.has("--id") && !needs.schema.isRoot(table)) {
      log.warn(`applying "create" command to table ${table} without --id option will have no effect`);
    }
  },
  run(call, context) {
    const table = tableOf(context, call);
    const id = call.options.get("--id");
    let uuid: string;
    if (id === undefined) uuid = context.txn.insertRow(table);
    else {
      const named = context.nameCreated(id, !context.schema.isRoot(table));
      uuid = context.txn.insertRow(table, named.uuid, named.real);
    }
    for (const arg of call.args.slice(1)) setColumn(context, table, uuid, arg);
    call.note = uuid;
    call.output = `${uuid}\n`;
  },
  after(call, result) {
    call.output = `${result.uuidOf(call.note as string)}\n`;
  },
};

const destroy: CtlCommand = {
  name: "destroy",
  min: 1,
  max: ANY,
  syntax: "!TABLE *RECORD",
  options: ["--if-exists", "--all"],
  writes: true,
  anyTable: true,
  prepare(call, needs) {
    prepareRecord(needs, call, []);
  },
  run(call, context) {
    const table = tableOf(context, call);
    const all = call.options.has("--all");
    const records = call.args.slice(1);
    if (all && records.length > 0) {
      throw new Fatal("--all and records argument should not be specified together");
    }
    if (all && call.options.has("--if-exists")) {
      throw new Fatal("--all and --if-exists should not be specified together");
    }
    if (!all && records.length === 0) log.warn("either --all or records argument should be specified");
    if (all) for (const uuid of [...context.txn.uuids(table)]) context.txn.deleteRow(table, uuid);
    for (const record of records) {
      const uuid = findRecord(context, table, record, !call.options.has("--if-exists"));
      if (uuid !== undefined) context.txn.deleteRow(table, uuid);
    }
  },
};

// wait-until, comment

const waitUntil: CtlCommand = {
  name: "wait-until",
  min: 2,
  max: ANY,
  syntax: "!TABLE !RECORD *COLUMN?:KEY=VALUE",
  writes: false,
  prepare(call, needs) {
    prepareRecord(needs, call, call.args.slice(2));
  },
  run(call, context) {
    const table = tableOf(context, call);
    const uuid = findRecord(context, table, call.args[1]!, false);
    if (uuid === undefined) throw new NotYet();
    for (const condition of call.args.slice(2)) {
      if (!isSatisfied(context, table, uuid, condition)) throw new NotYet();
    }
  },
};

/** Its words are in the transaction's comment with the rest of the command line. */
const comment: CtlCommand = {
  name: "comment",
  min: 0,
  max: ANY,
  syntax: "*ARG",
  writes: false,
  run() {},
};

export const DATABASE_COMMANDS: readonly CtlCommand[] = [
  comment,
  get,
  list,
  find,
  set,
  add,
  remove,
  clear,
  create,
  destroy,
  waitUntil,
];
