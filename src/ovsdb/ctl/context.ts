/** What the commands of one command line share while they run: the transaction, and rows named `@x`. */
import { Fatal } from "../../lib/errors.ts";
import { isUuid } from "../../lib/uuid.ts";
import { vlog } from "../../lib/vlog.ts";
import type { Atom, NamedUuids } from "../atom.ts";
import type { Datum } from "../datum.ts";
import type { IdlTransaction } from "../idl-transaction.ts";
import type { ColumnType } from "../type.ts";
import { isRef } from "../type.ts";
import type { CtlSchema } from "./names.ts";
import type { RecordIds } from "./records.ts";

/** A command cannot go on before the database changes (`wait-until`). */
export class NotYet extends Error {}

interface NamedRow {
  uuid: string;
  created: boolean;
  strong: boolean;
  weak: boolean;
  /** Set by `create` in a table whose rows live only while they are referred to. */
  needsReference: boolean;
}

export interface CtlContextOptions {
  readonly txn: IdlTransaction;
  readonly schema: CtlSchema;
  readonly ids: RecordIds;
  readonly uuid: () => string;
  /** Module of the log. */
  readonly program: string;
}

export class CtlContext {
  readonly txn: IdlTransaction;
  readonly schema: CtlSchema;
  readonly ids: RecordIds;
  readonly #uuid: () => string;
  readonly #program: string;
  readonly #named = new Map<string, NamedRow>();
  /** Ends the program once all is printed and committed, with this status. */
  exitStatus = 0;
  /** For commands that know each other. */
  readonly shared = new Map<string, unknown>();
  /** Called when a database command has written past those commands. */
  invalidate: () => void = () => {};

  constructor(options: CtlContextOptions) {
    this.txn = options.txn;
    this.schema = options.schema;
    this.ids = options.ids;
    this.#uuid = options.uuid;
    this.#program = options.program;
  }

  #row(name: string): NamedRow {
    let row = this.#named.get(name);
    if (row === undefined) {
      row = { uuid: this.#uuid(), created: false, strong: false, weak: false, needsReference: false };
      this.#named.set(name, row);
    }
    return row;
  }

  /** Resolves `@x` in values of a column of this type. */
  names(type: ColumnType): NamedUuids {
    const strong = isRef(type.key, "strong") || (type.value !== undefined && isRef(type.value, "strong"));
    return (name) => {
      const row = this.#row(name);
      if (strong) row.strong = true;
      else row.weak = true;
      return row.uuid;
    };
  }

  /** For `create --id=NAME`: the new row's UUID; `real`: NAME is that UUID. */
  nameCreated(name: string, needsReference: boolean): { uuid: string; real: boolean } {
    if (isUuid(name)) return { uuid: name.toLowerCase(), real: true };
    checkName(name);
    const row = this.#row(name);
    if (row.created) throw new Fatal(`row id "${name}" may only be specified on one --id option`);
    row.created = true;
    row.needsReference = needsReference;
    return { uuid: row.uuid, real: false };
  }

  /** For `get --id=NAME`. */
  nameExisting(name: string, uuid: string): void {
    checkName(name);
    const known = this.#named.get(name);
    if (known?.created) throw new Fatal(`row id "${name}" may only be specified on one --id option`);
    if (known !== undefined) {
      throw new Fatal(`row id "${name}" specified on "get" command was used before it was defined`);
    }
    Object.assign(this.#row(name), { uuid, created: true });
  }

  /** When all commands have run: every name must have a row, and every row a reader. */
  checkNames(): void {
    const log = vlog(this.#program);
    for (const [name, row] of this.#named) {
      if (!row.created) {
        throw new Fatal(
          `row id "${name}" is referenced but never created (e.g. with "-- --id=${name} create ...")`,
        );
      }
      if (!row.needsReference || row.strong) continue;
      const why = row.weak ? "only a weak reference to it was inserted" : "no reference to it was inserted";
      log.warn(`row id "${name}" was created but ${why}, so it will not actually appear in the database`);
    }
  }

  // Short forms for commands that know their columns.

  text(table: string, uuid: string, column: string): string {
    return String(this.txn.read(table, uuid, column).keys[0] ?? "");
  }
  atom(table: string, uuid: string, column: string): Atom | undefined {
    return this.txn.read(table, uuid, column).keys[0];
  }
  atoms(table: string, uuid: string, column: string): readonly Atom[] {
    return this.txn.read(table, uuid, column).keys;
  }
  /** References to rows that are there, or were before this run. */
  refs(table: string, uuid: string, column: string, target: string): string[] {
    return (this.txn.read(table, uuid, column).keys as readonly string[]).filter((ref) =>
      this.txn.known(target, ref),
    );
  }
  set(table: string, uuid: string, column: string, datum: Datum): void {
    this.txn.write(table, uuid, column, datum);
  }
}

function checkName(name: string): void {
  if (!name.startsWith("@")) throw new Fatal(`row id "${name}" does not begin with "@"`);
}
