/**
 * One transaction on a Database: changes are made in place as operations run and noted here, so that reading is plain
 * reading and undoing costs what was done; `prepare` then checks what only the whole can show (references, garbage,
 * row limits, unique indexes) and `finish` makes it permanent. Costs what it touches.
 *
 * Deviation: upstream can leave a dangling weak reference in a row that the same transaction changed; we look at all
 * referrers of a deleted row.
 */

import type { Atom } from "./atom.ts";
import { ZERO_UUID } from "./atom.ts";
import { Datum, equalDatums, search } from "./datum.ts";
import { formatDatum } from "./datum-text.ts";
import { constraintViolation, OvsdbError } from "./error.ts";
import type { Column } from "./schema.ts";
import type { Database, Reference, Table } from "./table.ts";
import { indexKey, Row, rowDatum } from "./table.ts";

/** What the transaction does to one row. */
export class Change {
  readonly row: Row;
  /** Undefined: the row is new. */
  readonly old: readonly Datum[] | undefined;
  deleted = false;
  /** `row.version` before the transaction. */
  readonly oldVersion: number;
  /** `row.data` is the transaction's own copy; before the first write it is `old` itself. */
  owned = false;

  constructor(row: Row, old: readonly Datum[] | undefined, oldVersion: number = row.version) {
    this.row = row;
    this.old = old;
    this.oldVersion = oldVersion;
  }

  isInsert(): boolean {
    return this.old === undefined && !this.deleted;
  }

  /** Neither inserted, deleted nor different. */
  isNoop(): boolean {
    if (this.old === undefined) return this.deleted;
    if (this.deleted) return false;
    for (let i = 0; i < this.old.length; i++) if (!equalDatums(this.old[i]!, this.row.data[i]!)) return false;
    return true;
  }
}

/** So many are searched for one by one: most transactions change a row or two, and a Map costs more than the rest of them. */
const FEW = 8;

/** Changes of the rows of one table, in the order of the first change of each. */
export class RowChanges {
  #list: Change[] = [];
  /** By UUID; undefined while there are few. */
  #found: Map<string, Change> | undefined = undefined;

  get size(): number {
    return this.#list.length;
  }

  values(): readonly Change[] {
    return this.#list;
  }

  get(uuid: string): Change | undefined {
    if (this.#found !== undefined) return this.#found.get(uuid);
    const list = this.#list;
    for (let i = 0; i < list.length; i++) if (list[i]!.row.uuid === uuid) return list[i];
    return undefined;
  }

  /** Of a row that is not here yet. */
  add(change: Change): void {
    this.#list.push(change);
    if (this.#found !== undefined) this.#found.set(change.row.uuid, change);
    else if (this.#list.length > FEW) this.#index();
  }

  keep(wanted: (change: Change) => boolean): void {
    this.#list = this.#list.filter(wanted);
    if (this.#found !== undefined) this.#index();
  }

  #index(): void {
    this.#found = new Map(this.#list.map((change) => [change.row.uuid, change]));
  }
}

export class Transaction {
  readonly database: Database;
  /** By table, then row; a row deleted in the transaction that made it stays as a no-op. */
  readonly changes = new Map<Table, RowChanges>();
  /** All of them: an array is walked in a fraction of the time. */
  #list: Change[] = [];
  readonly #random: () => string;
  comment: string | undefined = undefined;
  #replay = false;
  /** Strong reference counts of rows that the transaction does not otherwise touch. */
  #deltas: Map<Row, number> | undefined = undefined;

  /** `random` makes UUIDs. */
  constructor(database: Database, random: () => string) {
    this.database = database;
    this.#random = random;
  }

  newUuid(): string {
    return this.#random();
  }

  addComment(text: string): void {
    this.comment = this.comment === undefined ? text : `${this.comment}\n${text}`;
  }

  #changesOf(table: Table): RowChanges {
    let changes = this.changes.get(table);
    if (changes === undefined) this.changes.set(table, (changes = new RowChanges()));
    return changes;
  }

  #change(row: Row): Change {
    const changes = this.#changesOf(row.table);
    let change = changes.get(row.uuid);
    if (change === undefined) {
      changes.add((change = new Change(row, row.data)));
      this.#list.push(change);
    }
    return change;
  }

  /** Is the UUID free: neither in the table nor deleted from it in this transaction? */
  isFree(table: Table, uuid: string): boolean {
    return !table.rows.has(uuid) && this.changes.get(table)?.get(uuid) === undefined;
  }

  insert(table: Table, uuid: string, columns: readonly Column[], datums: readonly Datum[]): Row {
    const data = table.defaults.slice();
    for (let i = 0; i < columns.length; i++) if (columns[i]!.index >= 0) data[columns[i]!.index] = datums[i]!;
    const row = new Row(table, uuid, this.database.nextVersion(), data);
    table.rows.add(row);
    const change = new Change(row, undefined);
    change.owned = true;
    this.#changesOf(table).add(change);
    this.#list.push(change);
    return row;
  }

  set(row: Row, column: Column, datum: Datum): void {
    const index = column.index;
    if (row.data[index] === datum) return;
    const change = this.#change(row);
    if (!change.owned) {
      row.data = row.data.slice();
      change.owned = true;
    }
    (row.data as Datum[])[index] = datum;
  }

  remove(row: Row): void {
    const change = this.#change(row);
    change.deleted = true;
    row.table.rows.delete(row.uuid);
  }

  /** Undoes everything. The transaction must not be used afterwards. */
  abort(): void {
    for (const [table, changes] of this.changes) {
      for (const { row, old, deleted } of changes.values()) {
        if (old === undefined) table.rows.delete(row.uuid);
        else {
          row.data = old;
          if (deleted) table.rows.add(row);
        }
      }
    }
    this.changes.clear();
    this.#list = [];
  }

  /**
   * Checks the whole; throws OvsdbError (call `abort` then). Afterwards only real changes remain in `changes`.
   * `replay`: another server has checked it; perhaps we have only some of its tables, so nothing is refused or added.
   */
  prepare(replay = false): void {
    this.#replay = replay;
    this.#checkStrong();
    if (!replay) {
      // A weak reference that goes may take a strong one with it, which leaves more garbage.
      do this.#collectGarbage();
      while (this.#dropWeak());
      this.#checkRowLimits();
    }
    this.#dropNoops();
    if (!replay) this.#checkIndexes();
  }

  get isEmpty(): boolean {
    return this.changes.size === 0;
  }

  /** Makes the changes permanent: reference counts, indexes, referrers, versions. */
  finish(): void {
    if (this.#deltas !== undefined) for (const [row, delta] of this.#deltas) row.references += delta;
    for (const change of this.#list) {
      if (change.old !== undefined && !change.deleted) change.row.version = this.database.nextVersion();
      this.#moveReferrer(change.row.table, change);
    }
    for (const [table, changes] of this.changes) {
      for (let i = 0; i < table.indexes.length; i++) {
        const index = table.indexes[i]!;
        const columns = table.schema.indexes[i]!;
        for (const change of changes.values()) {
          if (change.old === undefined || (!change.deleted && !indexTouched(columns, change))) continue;
          const key = indexKey(columns, change.row, change.old);
          if (index.get(key) === change.row) index.delete(key);
        }
        for (const change of changes.values()) {
          if (!change.deleted && (change.old === undefined || indexTouched(columns, change))) {
            index.set(indexKey(columns, change.row, change.row.data), change.row);
          }
        }
      }
    }
  }

  // Strong references.

  /** A row's reference to itself does not keep it. */
  #addReference(source: Row, target: Row, by: number): void {
    if (source === target) return;
    this.#deltas ??= new Map();
    this.#deltas.set(target, (this.#deltas.get(target) ?? 0) + by);
  }

  #references(row: Row): number {
    return row.references + (this.#deltas?.get(row) ?? 0);
  }

  #checkStrong(): void {
    for (const change of this.#list) this.#countStrong(change);
    for (const { row, deleted, old } of this.#list) {
      if (!deleted || old === undefined) continue;
      const count = this.#references(row);
      if (count > 0 && !this.#replay) {
        const what = `cannot delete ${row.table.name} row ${row.uuid} because of ${count} remaining reference(s)`;
        throw new OvsdbError("referential integrity violation", what);
      }
    }
  }

  /** Notes the difference that a change makes to the counts of the rows it refers to. */
  #countStrong(change: Change): void {
    const { row, old, deleted } = change;
    for (const { column, part, table } of row.table.strong) {
      const before = old === undefined ? undefined : old[column.index]!;
      const after = deleted ? undefined : row.data[column.index]!;
      if (before === after) continue;
      for (const uuid of removed(before?.[part], after?.[part], part === "keys")) {
        // A row deleted here is no longer in the table, but still has a count to settle.
        const target = table.rows.get(uuid) ?? this.changes.get(table)?.get(uuid)?.row;
        if (target !== undefined) this.#addReference(row, target, -1);
      }
      for (const uuid of removed(after?.[part], before?.[part], part === "keys")) {
        const target = table.rows.get(uuid) ?? this.changes.get(table)?.get(uuid)?.row;
        if (
          target === undefined ||
          (this.changes.get(table)?.get(uuid)?.old === undefined && !table.rows.has(uuid))
        ) {
          if (this.#replay) continue;
          const what = `Table ${row.table.name} column ${column.name} row ${row.uuid} references nonexistent row ${uuid} in table ${table.name}.`;
          throw new OvsdbError("referential integrity violation", what);
        }
        this.#addReference(row, target, 1);
      }
    }
  }

  /** Deletes rows of non-root tables that nobody refers to, and what only they referred to. */
  #collectGarbage(): void {
    const candidates: Row[] = [];
    for (const { row, deleted } of this.#list) if (!deleted && !row.table.schema.isRoot) candidates.push(row);
    for (const [row, delta] of this.#deltas ?? NO_DELTAS) {
      if (delta < 0 && !row.table.schema.isRoot && row.table.rows.get(row.uuid) === row) candidates.push(row);
    }
    for (let row = candidates.pop(); row !== undefined; row = candidates.pop()) {
      if (row.table.rows.get(row.uuid) !== row || this.#references(row) > 0) continue;
      const data = row.data;
      this.remove(row);
      for (const { column, part, table } of row.table.strong) {
        for (const uuid of data[column.index]![part]!) {
          const target = table.rows.get(uuid as string);
          if (target === undefined) continue;
          this.#addReference(row, target, -1);
          if (!table.schema.isRoot) candidates.push(target);
        }
      }
    }
  }

  #checkRowLimits(): void {
    for (const table of this.changes.keys()) {
      const { maxRows } = table.schema;
      if (table.rows.size <= maxRows) continue;
      let grown = false;
      for (const change of this.changes.get(table)!.values()) grown ||= change.isInsert();
      if (!grown) continue;
      throw constraintViolation(
        `transaction causes "${table.name}" table to contain ${table.rows.size} rows, greater than the schema-defined limit of ${maxRows} row(s)`,
      );
    }
  }

  // Weak references.

  /** True: strong references have gone, too. */
  #dropWeak(): boolean {
    let referrers: Set<Row> | undefined;
    let lost = false;
    for (const { row, deleted } of this.#list) {
      if (deleted ? row.weakFrom === undefined : row.table.weak.length === 0) continue;
      referrers ??= new Set();
      if (deleted) for (const from of row.weakFrom!) referrers.add(from);
      else referrers.add(row);
    }
    if (referrers === undefined) return false;
    for (const row of referrers) {
      if (row.table.rows.get(row.uuid) !== row) continue;
      const change = this.changes.get(row.table)?.get(row.uuid);
      const isNew = change !== undefined && change.old === undefined;
      for (const reference of row.table.weak) if (this.#dropWeakIn(row, reference, isNew)) lost = true;
    }
    return lost;
  }

  #dropWeakIn(row: Row, { column, part, table }: Reference, isNew: boolean): boolean {
    const datum = row.data[column.index]!;
    const atoms = datum[part]!;
    let stays: boolean[] | undefined;
    for (let i = 0; i < atoms.length; i++) {
      if (table.rows.has(atoms[i] as string)) continue;
      stays ??= new Array<boolean>(atoms.length).fill(true);
      stays[i] = false;
    }
    if (stays === undefined) return false;
    const keep = (_: Atom, i: number): boolean => stays[i]!;
    const rest = new Datum(datum.keys.filter(keep), datum.values?.filter(keep));
    if (rest.keys.length < column.type.min) {
      const note = isNew ? " (inserted within this transaction)" : "";
      if (atoms.includes(ZERO_UUID)) {
        throw constraintViolation(
          `Weak reference column "${column.name}" in "${row.table.name}" row ${row.uuid}${note} contained all-zeros UUID (probably as the default value for this column) but deleting this value caused a constraint volation because this column is not allowed to be empty.`,
        );
      }
      throw constraintViolation(
        `Deletion of ${datum.keys.length - rest.keys.length} weak reference(s) to deleted (or never-existing) rows from column "${column.name}" in "${row.table.name}" row ${row.uuid}${note} caused this column to become empty, but constraints on this column disallow an empty column.`,
      );
    }
    this.set(row, column, rest);
    return this.#dropPartners(row, column, part, datum, stays);
  }

  /** The other halves of pairs that went. */
  #dropPartners(
    row: Row,
    column: Column,
    part: "keys" | "values",
    datum: Datum,
    stays: readonly boolean[],
  ): boolean {
    const partner = row.table.strong.find((other) => other.column === column && other.part !== part);
    if (partner === undefined) return false;
    const atoms = datum[partner.part]!;
    for (let i = 0; i < atoms.length; i++) {
      const target = stays[i] ? undefined : partner.table.rows.get(atoms[i] as string);
      if (target !== undefined) this.#addReference(row, target, -1);
    }
    return true;
  }

  #dropNoops(): void {
    let noops: Set<Change> | undefined;
    for (const change of this.#list) {
      if (!change.isNoop()) continue;
      (noops ??= new Set()).add(change);
      if (!change.deleted) change.row.data = change.old!;
    }
    if (noops === undefined) return;
    const isReal = (change: Change): boolean => !noops.has(change);
    this.#list = this.#list.filter(isReal);
    for (const [table, changes] of this.changes) {
      changes.keep(isReal);
      if (changes.size === 0) this.changes.delete(table);
    }
  }

  /** Keeps `weakFrom` of the rows referred to. */
  #moveReferrer(table: Table, { row, old, deleted }: Change): void {
    if (table.weak.length === 0) return;
    let touched = old === undefined || deleted;
    for (const { column } of table.weak) touched ||= old![column.index] !== row.data[column.index];
    if (!touched) return;
    if (old !== undefined) {
      for (const { column, part, table: to } of table.weak) {
        for (const uuid of old[column.index]![part]!) to.rows.get(uuid as string)?.weakFrom?.delete(row);
      }
    }
    if (deleted) return;
    for (const { column, part, table: to } of table.weak) {
      for (const uuid of row.data[column.index]![part]!) {
        const target = to.rows.get(uuid as string);
        if (target !== undefined) (target.weakFrom ??= new Set()).add(row);
      }
    }
  }

  // Unique indexes.

  #checkIndexes(): void {
    for (const [table, changes] of this.changes) {
      for (let i = 0; i < table.indexes.length; i++) {
        const index = table.indexes[i]!;
        const columns = table.schema.indexes[i]!;
        const touched: Change[] = [];
        for (const change of changes.values()) {
          if (!change.deleted && (change.old === undefined || indexTouched(columns, change)))
            touched.push(change);
        }
        if (touched.length === 0) continue;
        const seen = new Map<Atom, Change>();
        // The original comes to the row that was touched last first, and its messages tell.
        for (const change of touched.reverse()) {
          const key = indexKey(columns, change.row, change.row.data);
          const earlier = seen.get(key);
          if (earlier !== undefined) throw this.#duplicate(table, columns, earlier.row, change.row);
          seen.set(key, change);
          const other = index.get(key);
          if (other === undefined || other === change.row) continue;
          const otherChange = changes.get(other.uuid);
          if (otherChange !== undefined && (otherChange.deleted || indexTouched(columns, otherChange)))
            continue;
          throw this.#duplicate(table, columns, other, change.row);
        }
      }
    }
  }

  #duplicate(table: Table, columns: readonly Column[], first: Row, second: Row): OvsdbError {
    const show = (row: Row, data: readonly Datum[]): string =>
      enumerate(
        columns.map((column) =>
          formatDatum(column.type, column.index >= 0 ? data[column.index]! : rowDatum(row, column)),
        ),
      );
    const names = `${columns.length === 1 ? "column" : "columns"} ${enumerate(columns.map((column) => `"${column.name}"`))}`;
    const tell = (row: Row): string => {
      const change = this.changes.get(table)?.get(row.uuid);
      const head = `row, with UUID ${row.uuid},`;
      if (change === undefined) {
        return `${head} existed in the database before this transaction and was not modified by the transaction.`;
      }
      if (change.old === undefined) return `${head} was inserted by this transaction.`;
      if (!indexTouched(columns, change)) {
        return `${head} existed in the database before this transaction, which modified some of the row's columns but not any columns in this index.`;
      }
      return `${head} had the following index values before the transaction: ${show(row, change.old)}.`;
    };
    return constraintViolation(
      `Transaction causes multiple rows in "${table.name}" table to have identical values (${show(second, second.data)}) for index on ${names}.  First ${tell(first)}  Second ${tell(second)}`,
    );
  }
}

/** "a", "a and b", "a, b, and c". */
function enumerate(items: readonly string[]): string {
  if (items.length <= 2) return items.join(" and ");
  return `${items.slice(0, -1).join(", ")}, and ${items.at(-1)!}`;
}

function indexTouched(columns: readonly Column[], { row, old }: Change): boolean {
  for (const { index } of columns) {
    if (index >= 0 && old !== undefined && !equalDatums(old[index]!, row.data[index]!)) return true;
  }
  return false;
}

/** Atoms of `from` that are not in `to`; where they may repeat, each time counts. Keys do not, and are sorted. */
function removed(
  from: readonly Atom[] | undefined,
  to: readonly Atom[] | undefined,
  keys: boolean,
): readonly string[] {
  if (from === undefined || from.length === 0) return NO_ATOMS;
  if (to === undefined || to.length === 0) return from as readonly string[];
  // Mostly little of much has changed.
  const most = Math.min(from.length, to.length);
  let start = 0;
  while (start < most && from[start] === to[start]) start++;
  let end = 0;
  while (end < most - start && from[from.length - 1 - end] === to[to.length - 1 - end]) end++;
  const last = from.length - end;
  if (start === last) return NO_ATOMS;
  const left: string[] = [];
  if (keys) {
    for (let i = start; i < last; i++) if (search(to, from[i]!) < 0) left.push(from[i] as string);
    return left;
  }
  const counts = new Map<Atom, number>();
  for (let i = start; i < to.length - end; i++) counts.set(to[i]!, (counts.get(to[i]!) ?? 0) + 1);
  for (let i = start; i < last; i++) {
    const count = counts.get(from[i]!) ?? 0;
    if (count > 0) counts.set(from[i]!, count - 1);
    else left.push(from[i] as string);
  }
  return left;
}

const NO_ATOMS: readonly string[] = [];
const NO_DELTAS: ReadonlyMap<Row, number> = new Map();
