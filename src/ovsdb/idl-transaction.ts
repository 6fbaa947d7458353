/**
 * Writes on their way to the server: gathered row by row, turned into one `transact` request (RFC 7047 section 4.1.3),
 * its reply into a {@link TxnResult}. Unchanged values are left out, and a transaction without effect is not sent.
 */
import type { Atom } from "./atom.ts";
import { Datum, datumToJson, equalDatums, hasKey, makeDatum, mapGet, unionDatums } from "./datum.ts";
import type { TxnResult } from "./idl-api.ts";
import { type IdlRow, type IdlTable, IGNORE, snapshotOf, WRITE_ONLY } from "./idl-table.ts";
import type { DatabaseSchema, Integer, Ref, Row, RowWrite, TableName } from "./idl-types.ts";
import { datumOfValue } from "./idl-value.ts";
import type { Json, JsonObject } from "./json-text.ts";
import { isObject, sortedText } from "./json-text.ts";
import type { Column } from "./schema.ts";

/** What a transaction needs of its Idl. */
export interface TxnHost {
  readonly database: string;
  readonly lock: string | undefined;
  readonly isLocked: boolean;
  table(name: string): IdlTable | undefined;
  uuid(): string;
  /** Resolves to the array of results; rejects when the connection goes away. Undefined: not connected. */
  transact(params: readonly Json[]): Promise<Json> | undefined;
  warn(text: string): void;
}

/** The pending state of one row. */
interface Pending {
  readonly table: IdlTable;
  readonly uuid: string;
  readonly base: IdlRow | undefined;
  /** `base` is undefined and the row is to be made; `persist`: under this very UUID. */
  readonly inserted: boolean;
  readonly persist: boolean;
  deleted: boolean;
  /** Whole values, by column index. */
  readonly writes: Map<number, Datum>;
  /** Elements put in and taken out, by column index, where the rest is not ours to say. */
  readonly parts: Map<number, { put: Datum; cut: Datum }>;
  readonly verified: Set<number>;
}

const NOTHING = new Datum([], undefined);

export class IdlTransaction {
  readonly #host: TxnHost;
  readonly #rows = new Map<string, Pending>();
  readonly #prerequisites: Json[] = [];
  #comment: string | undefined = undefined;
  #increment: { pending: Pending; column: Column; force: boolean } | undefined = undefined;
  #state: "open" | "sent" | "aborted" = "open";
  dryRun = false;

  constructor(host: TxnHost) {
    this.#host = host;
  }

  #table(name: string): IdlTable {
    const table = this.#host.table(name);
    if (table === undefined) throw new Error(`table ${name} is not part of this replica`);
    return table;
  }

  #pending(tableName: string, uuid: string): Pending {
    const known = this.#rows.get(uuid);
    if (known !== undefined) return known;
    const table = this.#table(tableName);
    const base = table.rows.get(uuid);
    if (base === undefined) throw new Error(`no row ${uuid} in table ${tableName}`);
    const pending: Pending = {
      table,
      uuid,
      base,
      inserted: false,
      persist: false,
      deleted: false,
      writes: new Map(),
      parts: new Map(),
      verified: new Set(),
    };
    this.#rows.set(uuid, pending);
    return pending;
  }

  #column(table: IdlTable, name: string): Column {
    const column = table.schema.byName.get(name);
    if (column === undefined || column.index < 0) throw new Error(`no column ${name} in table ${table.name}`);
    return column;
  }

  // The dynamic face: datums.

  /** `uuid`: the stand-in to use; `persist`: it is to be the row's real one. */
  insertRow(tableName: string, uuid: string = this.#host.uuid(), persist = false): string {
    const table = this.#table(tableName);
    this.#rows.set(uuid, {
      table,
      uuid,
      base: undefined,
      inserted: true,
      persist,
      deleted: false,
      writes: new Map(),
      parts: new Map(),
      verified: new Set(),
    });
    return uuid;
  }

  has(tableName: string, uuid: string): boolean {
    const pending = this.#rows.get(uuid);
    if (pending !== undefined) return pending.table.name === tableName && !pending.deleted;
    return this.#host.table(tableName)?.rows.has(uuid) ?? false;
  }

  /** There, or only just deleted by this transaction: what refers to it still does. */
  known(tableName: string, uuid: string): boolean {
    return this.#rows.get(uuid)?.table.name === tableName || this.has(tableName, uuid);
  }

  /** Made by this transaction. */
  isNew(uuid: string): boolean {
    return this.#rows.get(uuid)?.inserted === true;
  }

  /** The rows as they will be: those of the replica in order of UUID, then new ones in order of their making. */
  *uuids(tableName: string): IterableIterator<string> {
    const table = this.#host.table(tableName);
    if (table === undefined) return;
    for (const row of table.ordered()) if (this.#rows.get(row.uuid)?.deleted !== true) yield row.uuid;
    for (const pending of [...this.#rows.values()]) {
      if (pending.inserted && pending.table === table && !pending.deleted) yield pending.uuid;
    }
  }

  /** The column as it will be. */
  read(tableName: string, uuid: string, columnName: string): Datum {
    const pending = this.#rows.get(uuid);
    const table = pending?.table ?? this.#table(tableName);
    const column = this.#column(table, columnName);
    if (pending === undefined) {
      const row = table.rows.get(uuid);
      if (row === undefined) throw new Error(`no row ${uuid} in table ${tableName}`);
      return row.datum(column);
    }
    return this.#read(pending, column);
  }

  #read(pending: Pending, column: Column): Datum {
    const { base, table } = pending;
    const whole = pending.writes.get(column.index);
    if (whole !== undefined) return whole;
    const from = base === undefined ? table.defaults[column.index]! : base.datum(column);
    const part = pending.parts.get(column.index);
    return part === undefined ? from : unionDatums(part.put, without(from, part.cut));
  }

  write(tableName: string, uuid: string, columnName: string, datum: Datum): void {
    const pending = this.#pending(tableName, uuid);
    const column = this.#column(pending.table, columnName);
    pending.parts.delete(column.index);
    const mode = pending.table.modes[column.index];
    const replicated = mode !== WRITE_ONLY && mode !== IGNORE;
    if (pending.base !== undefined && replicated && equalDatums(pending.base.datum(column), datum)) {
      pending.writes.delete(column.index);
    } else pending.writes.set(column.index, datum);
  }

  /** Adds elements, or puts pairs (over pairs with the same key). */
  put(tableName: string, uuid: string, columnName: string, datum: Datum): void {
    const pending = this.#pending(tableName, uuid);
    const column = this.#column(pending.table, columnName);
    const whole = pending.writes.get(column.index);
    if (whole !== undefined || pending.inserted) {
      const from = whole ?? pending.table.defaults[column.index]!;
      pending.writes.set(column.index, unionDatums(datum, from));
      return;
    }
    const part = pending.parts.get(column.index) ?? { put: emptyLike(datum), cut: NOTHING };
    part.put = unionDatums(datum, part.put);
    part.cut = without(part.cut, new Datum(datum.keys, undefined));
    pending.parts.set(column.index, part);
  }

  /** Takes elements out, or the pairs with these keys. */
  cut(tableName: string, uuid: string, columnName: string, keys: readonly Atom[]): void {
    const pending = this.#pending(tableName, uuid);
    const column = this.#column(pending.table, columnName);
    const gone = makeDatum([...keys], undefined, "drop");
    const whole = pending.writes.get(column.index);
    if (whole !== undefined || pending.inserted) {
      pending.writes.set(column.index, without(whole ?? pending.table.defaults[column.index]!, gone));
      return;
    }
    const empty = new Datum([], column.type.value === undefined ? undefined : []);
    const part = pending.parts.get(column.index) ?? { put: empty, cut: NOTHING };
    part.put = without(part.put, gone);
    part.cut = unionDatums(part.cut, gone);
    pending.parts.set(column.index, part);
  }

  deleteRow(tableName: string, uuid: string): void {
    const pending = this.#pending(tableName, uuid);
    if (pending.inserted) this.#rows.delete(uuid);
    else pending.deleted = true;
  }

  verifyColumn(tableName: string, uuid: string, columnName: string): void {
    const own = this.#rows.get(uuid);
    if (own?.inserted || columnName === "_uuid") return;
    const pending = own ?? this.#pending(tableName, uuid);
    pending.verified.add(this.#column(pending.table, columnName).index);
  }

  /** The commit fails with "tryAgain" unless `table` has no row at all. */
  verifyEmpty(table: string): void {
    this.#prerequisites.push({ op: "wait", timeout: 0, table, where: [], until: "==", rows: [] });
  }

  // The typed face: values.

  insert(table: string, values: RowWrite<DatabaseSchema, string> = {}): Ref {
    const uuid = this.insertRow(table);
    this.update(table, uuid, values);
    return uuid;
  }

  update(table: string, uuid: string, values: RowWrite<DatabaseSchema, string>): void {
    const pending = this.#pending(table, uuid);
    for (const name of Object.keys(values)) {
      const column = pending.table.schema.byName.get(name);
      // Of what neither we nor the server know there is nothing to write.
      if (column === undefined || column.index < 0) continue;
      this.write(table, uuid, name, datumOfValue(column.type, values[name as never]));
    }
  }

  add(table: string, uuid: string, column: string, value: unknown): void {
    const { type } = this.#column(this.#pending(table, uuid).table, column);
    this.put(table, uuid, column, datumOfValue(type, value));
  }

  remove(table: string, uuid: string, column: string, value: Iterable<Atom>): void {
    this.cut(table, uuid, column, [...value]);
  }

  delete(table: string, uuid: string): void {
    this.deleteRow(table, uuid);
  }

  verify(table: string, uuid: string, column: string): void {
    this.verifyColumn(table, uuid, column);
  }

  row<T extends TableName<DatabaseSchema>>(tableName: T, uuid: string): Row<DatabaseSchema, T> | undefined {
    if (!this.has(tableName, uuid)) return undefined;
    const pending = this.#rows.get(uuid);
    if (pending === undefined) return this.#table(tableName).rows.get(uuid)!.snapshot as never;
    const data = pending.table.schema.columns.map((column) => this.#read(pending, column));
    return snapshotOf(pending.table.schema, uuid, data) as never;
  }

  *rows<T extends TableName<DatabaseSchema>>(tableName: T): IterableIterator<Row<DatabaseSchema, T>> {
    for (const uuid of this.uuids(tableName)) yield this.row(tableName, uuid)!;
  }

  comment(text: string): void {
    this.#comment = this.#comment === undefined ? text : `${this.#comment}\n${text}`;
  }

  increment(table: string, uuid: string, column: string, force = false): void {
    const pending = this.#pending(table, uuid);
    this.#increment = { pending, column: this.#column(pending.table, column), force };
  }

  abort(): void {
    this.#state = "aborted";
  }

  // To the server and back.

  #substitute(json: Json): Json {
    if (!Array.isArray(json)) return json;
    if (json[0] === "uuid" && typeof json[1] === "string") {
      const row = this.#rows.get(json[1]);
      return row?.inserted === true && !row.persist ? ["named-uuid", rowName(json[1])] : json;
    }
    return json.map((item) => this.#substitute(item as Json));
  }

  #json(column: Column, datum: Datum): Json {
    const json = datumToJson(column.type, datum);
    const refs = column.type.key.type === "uuid" || column.type.value?.type === "uuid";
    return refs ? this.#substitute(json) : json;
  }

  /** The operations, how many are prerequisites, and where the results of interest will be. */
  #operations(): { ops: Json[]; inserts: Map<number, string>; incrementAt: number } | undefined {
    const waits: Json[] = [];
    const ops: Json[] = [];
    const inserts: string[] = [];
    for (const pending of this.#rows.values()) {
      const { table, uuid, base } = pending;
      const where = [["_uuid", "==", ["uuid", uuid]]] as Json;
      const wait = this.#wait(pending, where);
      if (wait !== undefined) waits.push(wait);
      if (!table.present) continue;
      if (pending.deleted) {
        // Rows of other tables go by themselves with their last reference.
        if (table.isRoot) ops.push({ op: "delete", table: table.name, where });
      } else if (base === undefined) {
        const row = this.#rowJson(pending);
        inserts[ops.length] = uuid;
        const name = pending.persist ? { uuid } : { "uuid-name": rowName(uuid) };
        ops.push({ op: "insert", table: table.name, row, ...name });
      } else {
        const row = this.#rowJson(pending);
        if (Object.keys(row).length > 0) ops.push({ op: "update", table: table.name, row, where });
        const mutations = this.#mutations(pending);
        if (mutations.length > 0) ops.push({ op: "mutate", table: table.name, mutations, where });
      }
    }
    const forced = this.#increment?.force === true && this.#increment.pending.base !== undefined;
    if (ops.length === 0 && !forced) return undefined;
    const head: Json[] = [];
    if (this.#host.lock !== undefined) head.push({ op: "assert", lock: this.#host.lock });
    head.push(...this.#prerequisites, ...waits);
    const all = [...head, ...ops];
    let incrementAt = -1;
    if (this.#increment !== undefined) {
      const { pending, column } = this.#increment;
      const where = [["_uuid", "==", this.#substitute(["uuid", pending.uuid])]] as Json;
      const table = pending.table.name;
      all.push({ op: "mutate", table, where, mutations: [[column.name, "+=", 1]] });
      incrementAt = all.length;
      all.push({ op: "select", table, where, columns: [column.name] });
    }
    if (this.#comment !== undefined) all.push({ op: "comment", comment: this.#comment });
    if (this.dryRun) all.push({ op: "abort" });
    const places = new Map<number, string>();
    inserts.forEach((uuid, i) => {
      places.set(head.length + i, uuid);
    });
    return { ops: all, inserts: places, incrementAt };
  }

  #wait(pending: Pending, where: Json): Json | undefined {
    const { base, table } = pending;
    if (base === undefined || pending.verified.size === 0) return undefined;
    const columns: string[] = [];
    const row: Record<string, Json> = {};
    for (const index of pending.verified) {
      const column = table.schema.columns[index]!;
      if (table.missing.has(column.name)) continue;
      columns.push(column.name);
      row[column.name] = datumToJson(column.type, base.datum(column));
    }
    return { op: "wait", timeout: 0, table: table.name, where, columns, until: "==", rows: [row] };
  }

  #rowJson(pending: Pending): JsonObject {
    const row: Record<string, Json> = {};
    for (const [index, datum] of pending.writes) {
      const column = pending.table.schema.columns[index]!;
      if (pending.table.missing.has(column.name)) continue;
      if (pending.inserted && equalDatums(datum, pending.table.defaults[index]!)) continue;
      row[column.name] = this.#json(column, datum);
    }
    return row;
  }

  #mutations(pending: Pending): Json[] {
    const mutations: Json[] = [];
    for (const [index, { put, cut }] of pending.parts) {
      const column = pending.table.schema.columns[index]!;
      if (pending.table.missing.has(column.name)) continue;
      const now = pending.base!.datum(column);
      const isMap = column.type.value !== undefined;
      // A key whose value changes is taken out first: "insert" leaves what is there alone.
      const gone = cut.keys.filter((key) => hasKey(now, key));
      const kept: number[] = [];
      put.keys.forEach((key, i) => {
        if (hasKey(now, key)) {
          if (!isMap || mapGet(now, key) === put.values![i]) return;
          gone.push(key);
        }
        kept.push(i);
      });
      if (gone.length > 0) {
        const keyType = { ...column.type, value: undefined };
        const json = datumToJson(keyType, makeDatum(gone, undefined, "drop"));
        const set = Array.isArray(json) && json[0] === "set" ? json : ["set", [json]];
        mutations.push([column.name, "delete", this.#substitute(set as Json)]);
      }
      if (kept.length > 0) {
        const added = new Datum(
          kept.map((i) => put.keys[i]!),
          isMap ? kept.map((i) => put.values![i]!) : undefined,
        );
        mutations.push([column.name, "insert", this.#json(column, added)]);
      }
    }
    return mutations;
  }

  async commit(): Promise<TxnResult> {
    if (this.#state !== "open") return result("aborted");
    this.#state = "sent";
    if (this.#host.lock !== undefined && !this.#host.isLocked) return result("notLocked");
    const request = this.#operations();
    if (request === undefined) return result("unchanged");
    let reply: Json;
    try {
      const sent = this.#host.transact([this.#host.database, ...request.ops]);
      if (sent === undefined) return result("tryAgain");
      reply = await sent;
    } catch (error) {
      // An error reply as a whole ("canceled", unknown database), or a connection that broke: the latter may have
      // been executed, which the caller finds out by building the transaction anew.
      const failure = (error as { error?: Json }).error;
      if (failure === undefined || failure === "canceled") return result("tryAgain");
      return this.#failed(failure);
    }
    return this.#answer(reply, request.inserts, request.incrementAt);
  }

  #failed(error: Json): TxnResult {
    const text = sortedText(error);
    this.#host.warn(`transaction error: ${text}`);
    return result("error", text);
  }

  #answer(reply: Json, inserts: ReadonlyMap<number, string>, incrementAt: number): TxnResult {
    if (!Array.isArray(reply)) return this.#failed(reply);
    let soft = false;
    let lockLost = false;
    for (const item of reply as readonly Json[]) {
      if (!isObject(item) || item.error === undefined) continue;
      const { error } = item;
      if (error === "timed out" || error === "not leader" || error === "canceled") soft = true;
      else if (error === "not owner") lockLost = true;
      else if (error === "aborted" && this.dryRun) continue;
      else return this.#failed(item);
    }
    if (lockLost) return result("notLocked");
    if (soft) return result("tryAgain");
    const names = new Map<string, string>();
    for (const [at, uuid] of inserts) {
      const item = reply[at] as JsonObject | undefined;
      const real = (item?.uuid as readonly Json[] | undefined)?.[1];
      if (typeof real === "string") names.set(uuid, real);
    }
    let increment: Integer | undefined;
    if (incrementAt >= 0) {
      const rows = (reply[incrementAt] as JsonObject | null)?.rows as readonly JsonObject[] | undefined;
      increment = rows?.[0]?.[this.#increment!.column.name] as Integer | undefined;
    }
    return {
      status: "success",
      ...(increment === undefined ? {} : { increment }),
      uuidOf: (ref) => names.get(ref) ?? ref,
    };
  }
}

function rowName(uuid: string): string {
  return `row${uuid.replaceAll("-", "_")}`;
}

function emptyLike(datum: Datum): Datum {
  return new Datum([], datum.values === undefined ? undefined : []);
}

/** `from` without the elements, or the pairs with the keys, of `gone`. */
function without(from: Datum, gone: Datum): Datum {
  if (gone.keys.length === 0 || from.keys.length === 0) return from;
  const kept: number[] = [];
  from.keys.forEach((key, i) => {
    if (!hasKey(gone, key)) kept.push(i);
  });
  if (kept.length === from.keys.length) return from;
  const { values } = from;
  return new Datum(
    kept.map((i) => from.keys[i]!),
    values === undefined ? undefined : kept.map((i) => values[i]!),
  );
}

function result(status: TxnResult["status"], error?: string): TxnResult {
  return { status, ...(error === undefined ? {} : { error }), uuidOf: (ref) => ref };
}
