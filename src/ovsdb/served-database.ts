/**
 * A database that a server serves: commits go to the file, to the monitors and to the requests that wait, in this
 * order. No sockets here; clients are behind {@link Subscriber} and callbacks.
 */
import type { Clock, Timer } from "../lib/clock.ts";
import { coverage } from "../lib/coverage.ts";
import type { DatabaseFile } from "./database-file.ts";
import { OvsdbError } from "./error.ts";
import type { AccessCheck } from "./execute.ts";
import { execute } from "./execute.ts";
import { History } from "./history.ts";
import type { Json } from "./json-text.ts";
import { isObject, jsonText, sortedText } from "./json-text.ts";
import type { Changes, Monitor, UpdateCache } from "./monitor.ts";
import type { Database } from "./table.ts";
import { Transaction } from "./transaction.ts";

const committed = coverage("ovsdb_commit");

/** A client's monitor and the way to it. */
export interface Subscriber {
  readonly monitor: Monitor;
  /** The client does not read as fast as it is told: `miss` instead of `update`. */
  readonly isBehind: boolean;
  /** `updates`: <table-updates> as text. */
  update(updates: string): void;
  miss(changes: Changes): void;
}

/** Who asks. */
export interface Requester {
  readonly readOnly: boolean;
  holdsLock(name: string): boolean;
  readonly access?: AccessCheck | undefined;
}

/** Where a relay's database comes from (relay.ts). */
export interface RelaySource {
  /** The replica is there and not much older than the source. */
  readonly connected: boolean;
  /** Until it has one the database is as good as unknown. */
  readonly hasSchema: boolean;
  /** Asks the source as soon as it can be asked; exactly one callback, unless the returned function is called before. */
  forward(
    method: "transact" | "convert",
    params: readonly Json[],
    done: (result: Json) => void,
    failed: (error: Json) => void,
  ): () => void;
  close(): void;
}

/** A "transact" that was started; `cancel` is for one that waits, and calls nothing. */
export interface Request {
  readonly waiting: boolean;
  cancel(): void;
}

/** Who is told how a "transact" has ended: one call, once. */
export interface Answer {
  /** `results`: the result array as text. */
  done(results: string): void;
  /** The source of a relay has refused it. */
  failed(error: Json): void;
}

class Trigger implements Request {
  readonly #database: ServedDatabase;
  readonly requester: Requester;
  readonly operations: readonly Json[];
  readonly answer: Answer;
  /** When it began to wait. */
  since: number | undefined = undefined;
  tableName = "";
  timer: Timer | undefined = undefined;

  constructor(database: ServedDatabase, requester: Requester, operations: readonly Json[], answer: Answer) {
    this.#database = database;
    this.requester = requester;
    this.operations = operations;
    this.answer = answer;
  }

  get waiting(): boolean {
    return this.#database.isWaiting(this);
  }

  cancel(): void {
    this.#database.forget(this);
  }
}

/** Characters from which on the contents are kept for the next who asks, and for how long. */
const INITIAL_SHARED = 65_536;
const INITIAL_KEPT_MS = 1000;

export interface ServedOptions {
  readonly clock: Clock;
  readonly uuid: () => string;
}

export class ServedDatabase {
  database: Database;
  readonly file: DatabaseFile | undefined;
  /** A backup server's: transactions that write are refused. */
  readOnly = false;
  /** Set for a relay's database. */
  relay: RelaySource | undefined;
  history: History;
  readonly subscribers = new Set<Subscriber>();
  readonly #forwarded = new Map<Trigger, () => void>();
  readonly #options: ServedOptions;
  readonly #triggers = new Set<Trigger>();
  readonly #listeners = new Set<(changes: Transaction["changes"]) => void>();
  #runAgain: Set<string> | undefined;
  /** The contents as monitors of a shape are told them, for as long as they stay so. */
  readonly #initials = new Map<string, Uint8Array>();

  constructor(database: Database, file: DatabaseFile | undefined, options: ServedOptions) {
    this.database = database;
    this.file = file;
    this.#options = options;
    this.history = new History(options.uuid());
  }

  get name(): string {
    return this.database.schema.name;
  }

  /** <table-updates> of the contents. Large ones are made once for all monitors alike that ask one soon after the other. */
  initial(monitor: Monitor): Uint8Array | string {
    const known = this.#initials.get(monitor.shape);
    if (known !== undefined) return known;
    const text = monitor.initial();
    if (text.length < INITIAL_SHARED) return text;
    const bytes = new TextEncoder().encode(text);
    if (this.#initials.size === 0)
      this.#options.clock.background(INITIAL_KEPT_MS, () => this.#initials.clear());
    this.#initials.set(monitor.shape, bytes);
    return bytes;
  }

  get triggerCount(): number {
    return this.#triggers.size;
  }

  /** Calls `listener` after each commit until the returned function is called. */
  onCommit(listener: (changes: Transaction["changes"]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Runs a "transact". `answer` is told perhaps before this returns, or later when the transaction waits for a condition
   * or for the disk.
   */
  transact(requester: Requester, operations: readonly Json[], answer: Answer): Request {
    const trigger = new Trigger(this, requester, operations, answer);
    this.#run(trigger);
    this.#rerun();
    return trigger;
  }

  isWaiting(trigger: Trigger): boolean {
    return this.#triggers.has(trigger) || this.#forwarded.has(trigger);
  }

  forget(trigger: Trigger): void {
    trigger.timer?.cancel();
    this.#triggers.delete(trigger);
    this.#forwarded.get(trigger)?.();
    this.#forwarded.delete(trigger);
  }

  /** A relay's transaction that writes goes to the source, once nothing here speaks against it. */
  #forward(relay: RelaySource, trigger: Trigger): void {
    this.#forwarded.set(trigger, () => {});
    const finished = (): boolean => this.#forwarded.delete(trigger);
    const cancel = relay.forward(
      "transact",
      [this.name, ...trigger.operations],
      (results) => {
        if (finished()) trigger.answer.done(jsonText(results));
      },
      (error) => {
        if (finished()) trigger.answer.failed(error);
      },
    );
    if (this.#forwarded.has(trigger)) this.#forwarded.set(trigger, cancel);
  }

  #run(trigger: Trigger): void {
    const { requester, since } = trigger;
    const outcome = execute(
      {
        database: this.database,
        uuid: this.#options.uuid,
        readOnly: this.readOnly || requester.readOnly,
        locks: requester,
        elapsed: since === undefined ? 0 : this.#options.clock.now() - since,
        access: requester.access,
      },
      trigger.operations,
    );
    if (outcome.kind === "wait") {
      trigger.since ??= this.#options.clock.now();
      trigger.tableName = outcome.table.name;
      if (!this.#triggers.has(trigger)) this.#triggers.add(trigger);
      if (outcome.timeout !== undefined && trigger.timer === undefined) this.#arm(trigger, outcome.timeout);
      return;
    }
    if (trigger.since !== undefined) this.forget(trigger);
    const { results, transaction } = outcome;
    if (this.relay !== undefined && !outcome.failed && trigger.operations.some(writes)) {
      transaction?.abort();
      this.#forward(this.relay, trigger);
      return;
    }
    if (transaction !== undefined && !transaction.isEmpty) {
      try {
        this.commit(transaction);
      } catch (error) {
        if (!(error instanceof OvsdbError)) throw error;
        results.push(sortedText(error.toJson()));
      }
    }
    if (!outcome.durable || this.file === undefined) trigger.answer.done(resultArray(results));
    else {
      const finish = (): void => trigger.answer.done(resultArray(results));
      this.file.sync().then(finish, (error: unknown) => {
        results.push(sortedText((error as OvsdbError).toJson()));
        finish();
      });
    }
  }

  #arm(trigger: Trigger, timeout: number): void {
    const left = Math.max(0, trigger.since! + timeout - this.#options.clock.now());
    trigger.timer = this.#options.clock.after(left, () => {
      trigger.timer = undefined;
      if (!this.#triggers.has(trigger)) return;
      this.#run(trigger);
      this.#rerun();
    });
  }

  /**
   * A transaction of the server's own, or, as a replay, of another server's, perhaps with the UUID that it has there.
   * Throws what `prepare` throws.
   */
  change(write: (transaction: Transaction) => void, replay = false, id?: string): void {
    const transaction = new Transaction(this.database, this.#options.uuid);
    try {
      write(transaction);
      transaction.prepare(replay);
    } catch (error) {
      transaction.abort();
      throw error;
    }
    if (!transaction.isEmpty) this.commit(transaction, id);
    else if (id !== undefined) this.history.last = id;
    this.#rerun();
  }

  /** Makes a prepared transaction permanent and tells everybody; throws, with nothing changed, when it cannot be written. */
  commit(transaction: Transaction, id?: string): void {
    try {
      this.file?.append(transaction);
    } catch (error) {
      transaction.abort();
      throw error;
    }
    transaction.finish();
    this.#initials.clear();
    committed.count++;
    this.history.add(transaction.changes, id);
    if (this.subscribers.size > 0) this.#tell(transaction.changes);
    for (const listener of this.#listeners) listener(transaction.changes);
    if (this.#triggers.size === 0) return;
    this.#runAgain ??= new Set();
    for (const table of transaction.changes.keys()) this.#runAgain.add(table.name);
  }

  #tell(changes: Changes): void {
    const cache: UpdateCache = new Map();
    for (const subscriber of this.subscribers) {
      if (subscriber.isBehind) {
        subscriber.miss(changes);
        continue;
      }
      const updates = subscriber.monitor.update(changes, cache);
      if (updates !== undefined) subscriber.update(updates);
    }
  }

  /** Runs the waiting requests whose table has changed, until none of them changes anything more. */
  #rerun(): void {
    while (this.#runAgain !== undefined) {
      const tables = this.#runAgain;
      this.#runAgain = undefined;
      for (const trigger of [...this.#triggers]) {
        if (this.#triggers.has(trigger) && tables.has(trigger.tableName)) this.#run(trigger);
      }
    }
  }

  /** Another content or schema from now on: waiting requests must have been cancelled, monitors too. */
  replace(database: Database): void {
    this.database = database;
    this.#initials.clear();
    this.history = new History(this.#options.uuid());
  }

  close(): void {
    for (const trigger of this.#triggers) trigger.timer?.cancel();
    this.#triggers.clear();
    this.relay?.close();
    this.#forwarded.clear();
    this.subscribers.clear();
    this.#listeners.clear();
    this.file?.close();
  }
}

/** So many are sooner put together one by one. */
const FEW_RESULTS = 8;

function resultArray(results: readonly string[]): string {
  if (results.length === 0 || results.length > FEW_RESULTS) return `[${results.join(",")}]`;
  let text = `[${results[0]}`;
  for (let i = 1; i < results.length; i++) text += `,${results[i]}`;
  return `${text}]`;
}

const WRITES: ReadonlySet<Json | undefined> = new Set(["insert", "update", "mutate", "delete"]);

function writes(operation: Json): boolean {
  return isObject(operation) && WRITES.has(operation.op);
}
