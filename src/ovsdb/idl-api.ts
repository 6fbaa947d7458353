/** What users of an Idl write down and get: options, results, and the two faces it shows. The class is in idl.ts. */
import type { Clock } from "../lib/clock.ts";
import type { StreamFactory } from "../lib/stream.ts";
import type { ColumnName, DatabaseSchema, Integer, Ref, Row, RowWrite, TableName } from "./idl-types.ts";

/** RFC 7047 section 5.1 `<condition>`, with values in the JSON notation of the protocol. */
export type WireCondition = readonly [column: string, op: string, value: unknown];

export interface TableWatch<C extends string = string> {
  /** Replicated; a change of one is a change of the row. "all": every column that the server has. */
  readonly columns?: readonly C[] | "all";
  /** Replicated, but a change of these alone neither moves `seqno` nor makes an event: what only we write. */
  readonly quiet?: readonly C[];
  /** Not replicated: reads as default, may be written (statistics and the like). */
  readonly writeOnly?: readonly C[];
  /** The columns not named here do not exist: saves a short-lived client the parsing of their types. */
  readonly exact?: boolean;
  /** Rows to replicate; none given: all. */
  readonly where?: readonly WireCondition[];
}

export type Watch<S extends DatabaseSchema> =
  | "all"
  | { readonly [T in TableName<S>]?: "all" | TableWatch<ColumnName<S, T>> };

export interface IdlOptions<S extends DatabaseSchema> {
  readonly clock: Clock;
  readonly streams: StreamFactory;
  /** Connection method, or several with commas between, tried in turn (ovsdb(7)); passive ones listen. */
  readonly remote: string;
  /** Our own schema: name of the database, and defaults of what the server may lack. */
  readonly schema: S;
  /** Source of random UUIDs, which stand for new rows until the server has named them. */
  readonly uuid: () => string;
  /** What to replicate. Empty at first is fine: see `Idl.watch`. */
  readonly watch: Watch<S>;
  /**
   * Take our schema for the server's as long as the server accepts a request made from it: saves a short-lived client
   * the server's schema. Default false.
   */
  readonly trustSchema?: boolean;
  /** Name of the lock to ask for as soon as connected. */
  readonly lock?: string;
  /** Only ever talk to a cluster's leader (default true). */
  readonly leaderOnly?: boolean;
  /** False: the first failure to connect is final (`state` becomes "dead"). Default true. */
  readonly retry?: boolean;
  /** Milliseconds without traffic before an echo request; 0: never. Default: 5000, and 0 for unix and memory. */
  readonly probeMs?: number;
  /** Called in a turn of its own after the replica, lock or connection has changed. */
  readonly changed?: () => void;
}

/** A change of a row since `changes` was last taken; `old` undefined: inserted, `row` undefined: deleted. */
export interface Change<R> {
  readonly uuid: string;
  readonly old: R | undefined;
  readonly row: R | undefined;
}

/**
 * How a transaction ended. "tryAgain" (the database moved under us, or the connection was lost before it was sent):
 * build the transaction anew from the replica as it is then. "notLocked": we have lost the lock. "aborted": by `abort`.
 */
export type TxnStatus = "success" | "unchanged" | "tryAgain" | "notLocked" | "aborted" | "error";

export interface TxnResult {
  readonly status: TxnStatus;
  /** With "error": the text as upstream prints it. */
  readonly error?: string;
  /** The incremented column's new value, if `increment` was called. */
  readonly increment?: Integer;
  /** Real UUID of the row that `insert` returned `ref` for; any other `ref` comes back unchanged. */
  uuidOf(ref: string): string;
}

/** The connection's life. "live": the replica is complete and current. "dead": failed for good (`lastError`). */
export type IdlState = "connecting" | "syncing" | "live" | "dead" | "closed";

/**
 * Writes, gathered and sent in one go. Reads through `row` see the writes. One `commit`, after which it is spent.
 * Every column read through `row` or named to `verify` can be guarded against change by others (a `wait` operation).
 */
export interface Transaction<S extends DatabaseSchema = DatabaseSchema> {
  /** Returns a stand-in UUID, good in this transaction wherever a reference is and for `uuidOf` afterwards. */
  insert<T extends TableName<S>>(table: T, values?: RowWrite<S, T>): Ref<T>;
  update<T extends TableName<S>>(table: T, uuid: Ref<T>, values: RowWrite<S, T>): void;
  /** Adds elements to a set, or pairs to a map, whatever others write there at the same time. */
  add<T extends TableName<S>, C extends ColumnName<S, T>>(
    table: T,
    uuid: Ref<T>,
    column: C,
    value: RowWrite<S, T>[C],
  ): void;
  /** Removes elements from a set, or keys from a map (`value`: an iterable of elements or keys). */
  remove<T extends TableName<S>, C extends ColumnName<S, T>>(
    table: T,
    uuid: Ref<T>,
    column: C,
    value: Iterable<string | Integer | boolean>,
  ): void;
  delete<T extends TableName<S>>(table: T, uuid: Ref<T>): void;
  /** The commit fails with "tryAgain" if this column is no longer what the replica says now. */
  verify<T extends TableName<S>>(table: T, uuid: Ref<T>, column: ColumnName<S, T>): void;
  /** As it will be; undefined if deleted or unknown. */
  row<T extends TableName<S>>(table: T, uuid: Ref<T>): Row<S, T> | undefined;
  rows<T extends TableName<S>>(table: T): IterableIterator<Row<S, T>>;
  /** Goes into the server's log; lines add up. */
  comment(text: string): void;
  /** Adds 1 on the server's side and hands back the new value; `force`: even if nothing else is written. */
  increment<T extends TableName<S>>(table: T, uuid: Ref<T>, column: ColumnName<S, T>, force?: boolean): void;
  /** The server checks everything and changes nothing. */
  dryRun: boolean;
  commit(): Promise<TxnResult>;
  abort(): void;
}

/** What vswitchd and the ctl programs see of an Idl (the class below implements it). */
export interface IdlReader<S extends DatabaseSchema = DatabaseSchema> {
  readonly state: IdlState;
  /** Grows with every change of the replica that counts; 0 until the first complete state. */
  readonly seqno: number;
  /** Why the connection is down, or undefined. An `Error` with an errno `code` where it has one. */
  readonly lastError: Error | undefined;
  /** True while we own the lock; always true if none was asked for. */
  readonly isLocked: boolean;
  /** Somebody else owns the lock that we wait for. */
  readonly isLockContended: boolean;
  /** The server's schema knows this table (and column). False before the first connection. */
  has(table: string, column?: string): boolean;
  row<T extends TableName<S>>(table: T, uuid: Ref<T> | string | undefined): Row<S, T> | undefined;
  /** In order of UUID. */
  rows<T extends TableName<S>>(table: T): IterableIterator<Row<S, T>>;
  /** The rows behind a reference set or map, those not (or no longer) in the replica left out. */
  refs<T extends TableName<S>>(table: T, refs: Iterable<Ref<T>>): Row<S, T>[];
  count(table: TableName<S>): number;
  /** Changes since this was last called for `table`, one a row, and forgets them. */
  changes<T extends TableName<S>>(table: T): Change<Row<S, T>>[];
  transaction(): Transaction<S>;
}
