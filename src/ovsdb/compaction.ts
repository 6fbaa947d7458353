/**
 * Writing a database file anew without its history. Online compaction does it in steps, with transactions between them:
 * they go into the old file as ever and are carried over behind the snapshot, which is of the moment of the start.
 * The new file takes the old one's name when everything in it is synced, so that a crash at any moment leaves one of
 * two whole files under that name.
 */
import { describeError } from "../lib/errors.ts";
import type { DiskFile, DiskLock } from "./disk.ts";
import { lockFileName } from "./disk.ts";
import { OvsdbError } from "./error.ts";
import { type FileContext, ioError, takeLock } from "./file-context.ts";
import { jsonText } from "./json-text.ts";
import { encodeRecord, LongRecord } from "./log.ts";
import type { Changes } from "./monitor.ts";
import { schemaToJson } from "./schema.ts";
import { Snapshot } from "./snapshot.ts";
import type { Database } from "./table.ts";

/** Characters or bytes that a step makes or writes: less than a millisecond, mostly. */
const STEP = 32768;
/** Syncs of what has come during a sync; then it is done at once, being little. */
const MAX_SYNCS = 4;

/** A file under a temporary name beside `path`, locked. */
class Temporary {
  readonly #context: FileContext;
  readonly #path: string;
  readonly #name: string;
  readonly #lock: DiskLock;
  #file: DiskFile | undefined;
  #length = 0;
  #dropped = false;

  constructor(context: FileContext, path: string) {
    this.#context = context;
    this.#path = path;
    this.#name = `${path}.tmp`;
    this.#lock = takeLock(context, this.#name);
    try {
      if (context.disk.exists(this.#name)) context.disk.unlink(this.#name);
      this.#file = context.disk.open(this.#name, "create");
    } catch (error) {
      this.drop();
      throw ioError(this.#name, "create", error);
    }
  }

  get file(): DiskFile {
    return this.#file!;
  }

  append(bytes: Uint8Array): void {
    try {
      this.file.write(bytes, this.#length);
    } catch (error) {
      throw ioError(this.#name, "write", error);
    }
    this.#length += bytes.length;
  }

  async sync(): Promise<void> {
    try {
      await this.file.sync();
    } catch (error) {
      throw ioError(this.#name, "fsync", error);
    }
  }

  /** Takes the place of the file that has the name; the caller owns the open file. */
  adopt(): DiskFile {
    try {
      this.#context.disk.rename(this.#name, this.#path);
    } catch (error) {
      const what = `failed to rename "${this.#name}" to "${this.#path}" (${describeError(error)})`;
      throw new OvsdbError("I/O error", what);
    }
    const { file } = this;
    this.#file = undefined;
    this.drop();
    return file;
  }

  /** The lock goes, and the file with it unless it was adopted. */
  drop(): void {
    if (this.#dropped) return;
    this.#dropped = true;
    const { disk } = this.#context;
    try {
      if (this.#file !== undefined) {
        this.#file.close();
        disk.unlink(this.#name);
      }
      this.#lock.release();
      disk.unlink(lockFileName(this.#name));
    } catch {
      // The next one will try again.
    }
    this.#file = undefined;
  }
}

/** Writes all of a file that holds `database`, and syncs it. */
export function writeDatabase(
  file: DiskFile,
  { clock }: FileContext,
  database: Database,
  comment: string,
): void {
  let length = 0;
  const put = (bytes: Uint8Array): void => {
    file.write(bytes, length);
    length += bytes.length;
  };
  put(schemaRecord(database));
  const snapshot = new Snapshot(database, clock.wall(), comment);
  const record = new LongRecord();
  for (let text = snapshot.next(STEP); text !== undefined; text = snapshot.next(STEP)) record.add(text);
  if (snapshot.rows > 0) for (const piece of record.finish()) put(piece);
  file.syncNow();
}

function schemaRecord(database: Database): Uint8Array {
  return encodeRecord(jsonText(schemaToJson(database.schema)));
}

/** In one go: `adopt` gets the new file when it has the name `path`. Throws OvsdbError. */
export function replaceFile(
  context: FileContext,
  path: string,
  database: Database,
  comment: string,
  adopt: (file: DiskFile) => void,
): void {
  const temporary = new Temporary(context, path);
  try {
    writeDatabase(temporary.file, context, database, comment);
    adopt(temporary.adopt());
    context.disk.syncFolderNow(path);
  } catch (error) {
    temporary.drop();
    throw error instanceof OvsdbError ? error : ioError(path, "write", error);
  }
}

/** One online compaction. */
export class Compaction {
  /** Rejects with an OvsdbError. */
  readonly done: Promise<void>;
  /** Transactions carried over. */
  records = 0;
  readonly #context: FileContext;
  readonly #database: Database;
  readonly #snapshot: Snapshot;
  readonly #waiting: Uint8Array[] = [];
  #temporary: Temporary | undefined;
  #cancelled = false;

  /** Begins at once: the snapshot is of now. `adopt` is called as that of `replaceFile`. */
  constructor(
    context: FileContext,
    path: string,
    database: Database,
    comment: string,
    adopt: (file: DiskFile) => void,
  ) {
    this.#context = context;
    this.#database = database;
    this.#snapshot = new Snapshot(database, context.clock.wall(), comment);
    this.done = this.#run(path, adopt);
  }

  /** A transaction that has been written, and is not finished yet. */
  note(changes: Changes): void {
    this.#snapshot.note(changes);
  }

  /** A record that the old file got. */
  carry(record: Uint8Array): void {
    this.#waiting.push(record);
    this.records++;
  }

  /** Nothing remains of it when this returns; `done` rejects. */
  cancel(): void {
    this.#cancelled = true;
    this.#temporary?.drop();
  }

  async #run(path: string, adopt: (file: DiskFile) => void): Promise<void> {
    const temporary = new Temporary(this.#context, path);
    this.#temporary = temporary;
    try {
      await this.#turn();
      await this.#writeSnapshot(temporary);
      await this.#carryOver(temporary);
      // From here to the end nothing else runs.
      const file = temporary.adopt();
      this.#temporary = undefined;
      adopt(file);
    } catch (error) {
      temporary.drop();
      throw error instanceof OvsdbError ? error : ioError(path, "write", error);
    }
  }

  async #writeSnapshot(temporary: Temporary): Promise<void> {
    const size = this.#context.stepBytes ?? STEP;
    const record = new LongRecord();
    for (let text = this.#snapshot.next(size); text !== undefined; text = this.#snapshot.next(size)) {
      record.add(text);
      await this.#turn();
    }
    temporary.append(schemaRecord(this.#database));
    if (this.#snapshot.rows === 0) return;
    for (const piece of record.finish()) {
      temporary.append(piece);
      await this.#turn();
    }
  }

  /** Until all that the old file has is synced in the new one. */
  async #carryOver(temporary: Temporary): Promise<void> {
    let size = this.#context.stepBytes ?? STEP;
    for (let syncs = 0; ; syncs++) {
      while (this.#waiting.length > 0) {
        temporary.append(this.#take(size));
        // Whatever the clients do, it ends.
        size *= 2;
        if (this.#waiting.length > 0) await this.#turn();
      }
      if (syncs === MAX_SYNCS) {
        temporary.file.syncNow();
        return;
      }
      await temporary.sync();
      this.#checkCancelled();
      if (this.#waiting.length === 0) return;
    }
  }

  /** Records that wait, of `size` bytes or somewhat more together. */
  #take(size: number): Uint8Array {
    let count = 0;
    let length = 0;
    while (count < this.#waiting.length && length < size) length += this.#waiting[count++]!.length;
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const record of this.#waiting.splice(0, count)) {
      bytes.set(record, at);
      at += record.length;
    }
    return bytes;
  }

  async #turn(): Promise<void> {
    await new Promise<void>((resolve) => this.#context.clock.soon(resolve));
    this.#checkCancelled();
  }

  #checkCancelled(): void {
    if (this.#cancelled) throw new OvsdbError("ovsdb error", "compaction was cancelled");
  }
}
