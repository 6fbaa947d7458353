/**
 * A stand-alone database file: opening (with recovery from a torn tail), appending transactions, syncing, compaction.
 * Upstream: ovsdb/log, ovsdb/file.
 *
 * Every transaction is written before its reply. One that asks to be durable waits for fdatasync, and one fdatasync
 * serves all that wait; the others are synced within SYNC_DELAY_MS.
 */
import type { Timer } from "../lib/clock.ts";
import { describeError } from "../lib/errors.ts";
import { Compaction, replaceFile, writeDatabase } from "./compaction.ts";
import type { Disk, DiskFile, DiskLock } from "./disk.ts";
import { OvsdbError } from "./error.ts";
import { type FileContext, ioError, readFile, takeLock } from "./file-context.ts";
import { jsonText } from "./json-text.ts";
import { encodeRecord, LogReader } from "./log.ts";
import { applyRecord, settle, transactionRecord } from "./record.ts";
import type { DatabaseSchema } from "./schema.ts";
import { schemaFromJson, schemaToJson } from "./schema.ts";
import { Database } from "./table.ts";
import type { Transaction } from "./transaction.ts";

export const SYNC_DELAY_MS = 100;

/** What a file holds; `torn` is the complaint about what follows the last whole record, if anything does. */
export interface Loaded {
  readonly database: Database;
  readonly records: number;
  /** Bytes of whole records. */
  readonly length: number;
  readonly torn: OvsdbError | undefined;
}

/** The schema alone. Throws OvsdbError. */
export function readSchema(disk: Disk, path: string): DatabaseSchema {
  return schemaFromJson(new LogReader(readFile(disk, path), path).next()!.json);
}

/**
 * Reads `path` whole. A schema that cannot be read throws; a later record that cannot be read, or applied, ends the
 * reading and is told in `torn`. `as`: read it with another schema, skipping what that does not know.
 */
export function loadFile(disk: Disk, path: string, uuid: () => string, as?: DatabaseSchema): Loaded {
  const reader = new LogReader(readFile(disk, path), path);
  const database = new Database(as ?? schemaFromJson(reader.next()!.json), uuid());
  if (as !== undefined) reader.next();
  let length = reader.offset;
  let records = 0;
  let torn: OvsdbError | undefined;
  try {
    for (let record = reader.next(); record !== undefined; record = reader.next()) {
      applyRecord(database, record.json, { lenient: as !== undefined });
      records++;
      length = record.end;
    }
  } catch (error) {
    if (!(error instanceof OvsdbError)) throw error;
    torn = error;
  }
  settle(database);
  return { database, records, length, torn };
}

/** Makes a file that holds `database`; one that exists is replaced. */
export function writeNewFile(context: FileContext, path: string, database: Database, comment: string): void {
  const real = context.disk.resolve(path);
  const lock = takeLock(context, real);
  try {
    if (context.disk.exists(real)) context.disk.unlink(real);
    let file: DiskFile | undefined;
    try {
      file = context.disk.open(real, "create");
      writeDatabase(file, context, database, comment);
    } catch (error) {
      throw ioError(path, file === undefined ? "create" : "write", error);
    } finally {
      file?.close();
    }
  } finally {
    lock.release();
  }
}

/** Makes a file that holds `schema` and no data. It must not exist. */
export function createFile(context: FileContext, path: string, schema: DatabaseSchema): void {
  const real = context.disk.resolve(path);
  const lock = takeLock(context, real);
  try {
    let file: DiskFile;
    try {
      file = context.disk.open(real, "create");
    } catch (error) {
      throw ioError(path, "create", error);
    }
    file.write(encodeRecord(jsonText(schemaToJson(schema))), 0);
    file.syncNow();
    file.close();
  } finally {
    lock.release();
  }
}

export class DatabaseFile {
  readonly path: string;
  database: Database;
  /** What was wrong with the tail when the file was opened; it is cut off by the first write. */
  readonly torn: OvsdbError | undefined;
  readonly #context: FileContext;
  /** `path` without symbolic links. */
  readonly #real: string;
  #lock: DiskLock | undefined;
  #file: DiskFile;
  #length: number;
  #snapshotLength: number;
  /** Transactions since the last compaction. */
  records: number;
  #syncTimer: Timer | undefined;
  #dirty = false;
  #syncing: Promise<void> | undefined;
  #nextSync: Promise<void> | undefined;
  /** The folder is not synced yet. */
  #renamed = false;
  #compaction: Compaction | undefined;

  /** Opens, locks and loads for writing. Throws OvsdbError. */
  constructor(context: FileContext, path: string) {
    const { disk } = context;
    this.#context = context;
    this.path = path;
    this.#real = disk.resolve(path);
    this.#lock = takeLock(context, this.#real);
    try {
      const loaded = loadFile(disk, path, context.uuid);
      this.database = loaded.database;
      this.records = loaded.records;
      this.torn = loaded.torn;
      this.#length = loaded.length;
      this.#snapshotLength = loaded.length;
      try {
        this.#file = disk.open(this.#real, "existing");
      } catch (error) {
        throw ioError(path, "open", error);
      }
    } catch (error) {
      this.#lock.release();
      throw error;
    }
  }

  get length(): number {
    return this.#length;
  }

  get snapshotLength(): number {
    return this.#snapshotLength;
  }

  /** Writes a prepared transaction. Throws an "I/O error", after which the file is as it was. */
  append(transaction: Transaction): void {
    const text = transactionRecord(
      transaction,
      this.#context.clock.wall(),
      this.#context.columnDiff !== false,
    );
    if (text !== undefined) this.#append(text);
    this.#compaction?.note(transaction.changes);
  }

  #append(text: string): void {
    const record = encodeRecord(text);
    try {
      // A torn tail, or what a failed write has left.
      if (this.#file.size > this.#length) this.#file.truncate(this.#length);
      this.#file.write(record, this.#length);
    } catch (error) {
      const what = `${this.path}: write failed (${describeError(error)})`;
      try {
        this.#file.truncate(this.#length);
      } catch {
        // The next write will try again.
      }
      throw new OvsdbError("I/O error", what);
    }
    this.#compaction?.carry(record);
    this.#length += record.length;
    this.records++;
    this.#dirty = true;
    this.#syncTimer ??= this.#context.clock.background(SYNC_DELAY_MS, () => {
      this.#syncTimer = undefined;
      if (this.#dirty) this.sync().catch(() => {});
    });
  }

  /** Resolves when all that was appended before is on the disk. Callers that come while one sync runs share the next. */
  sync(): Promise<void> {
    if (!this.#dirty && this.#syncing === undefined) return Promise.resolve();
    if (this.#syncing === undefined) return this.#startSync();
    this.#nextSync ??= this.#syncing.then(
      () => this.#afterSync(),
      () => this.#afterSync(),
    );
    return this.#nextSync;
  }

  #afterSync(): Promise<void> {
    this.#nextSync = undefined;
    return this.#dirty ? this.#startSync() : Promise.resolve();
  }

  #startSync(): Promise<void> {
    this.#dirty = false;
    const running = this.#syncAll().then(
      () => {
        this.#syncing = undefined;
      },
      (error: unknown) => {
        this.#syncing = undefined;
        this.#dirty = true;
        throw ioError(this.path, "fsync", error);
      },
    );
    this.#syncing = running;
    return running;
  }

  async #syncAll(): Promise<void> {
    await this.#file.sync();
    if (!this.#renamed) return;
    this.#renamed = false;
    try {
      await this.#context.disk.syncFolder(this.#real);
    } catch (error) {
      this.#renamed = true;
      throw error;
    }
  }

  /**
   * Writes the database anew, without its history, and puts the new file in the old one's place, in steps between which
   * transactions go on. Rejects with an OvsdbError, the old file being what it was. One that runs already is joined.
   */
  compact(comment: string): Promise<void> {
    if (this.#compaction !== undefined) return this.#compaction.done;
    const over = (): void => {
      if (this.#compaction === compaction) this.#compaction = undefined;
    };
    const compaction = new Compaction(this.#context, this.#real, this.database, comment, (file) => {
      over();
      this.#adopt(file, compaction.records);
    });
    this.#compaction = compaction;
    compaction.done.catch(over);
    return compaction.done;
  }

  /** At once, with another content (schema conversion): `database` is what the file holds from then on. */
  replace(database: Database, comment: string): void {
    this.#cancelCompaction();
    replaceFile(this.#context, this.#real, database, comment, (file) => this.#adopt(file, 0));
    this.database = database;
  }

  #cancelCompaction(): void {
    this.#compaction?.cancel();
    this.#compaction = undefined;
  }

  /** `file`, synced, has the name now. */
  #adopt(file: DiskFile, records: number): void {
    this.#file.close();
    this.#file = file;
    this.#length = file.size;
    this.#snapshotLength = file.size;
    this.records = records;
    // The new name must be there before anything that is written from now on can count as durable.
    this.#renamed = true;
    this.#dirty = true;
    this.sync().catch(() => {});
  }

  /** Syncs what is not synced yet and lets go of file and lock. */
  close(): void {
    this.#syncTimer?.cancel();
    this.#cancelCompaction();
    if (this.#lock === undefined) return;
    if (this.#dirty) {
      try {
        this.#file.syncNow();
        if (this.#renamed) this.#context.disk.syncFolderNow(this.#real);
      } catch {
        // Nobody is left to be told.
      }
      this.#dirty = false;
    }
    this.#file.close();
    this.#lock.release();
    this.#lock = undefined;
  }
}
