/** What database files need of their surroundings, and their locks. */
import type { Clock } from "../lib/clock.ts";
import { describeError } from "../lib/errors.ts";
import type { Disk, DiskLock } from "./disk.ts";
import { lockFileName } from "./disk.ts";
import { OvsdbError } from "./error.ts";

export interface FileContext {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly uuid: () => string;
  /** False: records hold changed columns whole, for servers before 2.15. */
  readonly columnDiff?: boolean | undefined;
  /** How much a step of an online compaction does; for tests, which have little data. */
  readonly stepBytes?: number;
  /** A lock is held by `holder` (0: by this process). Called before the error is thrown. */
  readonly onLocked?: (lockFile: string, holder: number) => void;
  /** A lock file cannot be made. */
  readonly onLockFailed?: (lockFile: string, why: string) => void;
}

export function ioError(path: string, what: string, error: unknown): OvsdbError {
  return new OvsdbError("I/O error", `${path}: ${what} failed (${describeError(error)})`);
}

/** Throws OvsdbError. */
export function readFile(disk: Disk, path: string): Uint8Array {
  try {
    return disk.read(path);
  } catch (error) {
    throw ioError(path, "open", error);
  }
}

export function takeLock(context: FileContext, path: string): DiskLock {
  const name = lockFileName(path);
  let lock: DiskLock | { holder: number };
  try {
    lock = context.disk.lock(name);
  } catch (error) {
    context.onLockFailed?.(name, describeError(error));
    throw new OvsdbError("I/O error", `${path}: failed to lock lockfile (${describeError(error)})`);
  }
  if ("release" in lock) return lock;
  context.onLocked?.(name, lock.holder);
  const why = lock.holder === 0 ? "Resource deadlock avoided" : "Resource temporarily unavailable";
  throw new OvsdbError("I/O error", `${path}: failed to lock lockfile (${why})`);
}
