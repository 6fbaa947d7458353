/**
 * What database files need of a disk. The real one is disk-node.ts; test/sim has one that forgets what was not synced.
 * All errors are thrown with an errno name as `code`.
 */

export interface DiskFile {
  readonly size: number;
  /** Writes all of `bytes` at `offset`. */
  write(bytes: Uint8Array, offset: number): void;
  truncate(size: number): void;
  /** Resolves when everything written before the call will survive a loss of power (fdatasync). */
  sync(): Promise<void>;
  syncNow(): void;
  close(): void;
}

export interface DiskLock {
  release(): void;
}

export interface Disk {
  /** The whole file. */
  read(path: string): Uint8Array;
  /** "existing": must exist; "create": must not exist (EEXIST); "replace": emptied when it exists. Read and write. */
  open(path: string, mode: "existing" | "create" | "replace"): DiskFile;
  rename(from: string, to: string): void;
  unlink(path: string): void;
  exists(path: string): boolean;
  /** The file that a symbolic link names, through any number of links; `path` itself when it is none. */
  resolve(path: string): string;
  /** Makes a rename or a new name in the folder of `path` survive a loss of power. */
  syncFolder(path: string): Promise<void>;
  syncFolderNow(path: string): void;
  /** Write-locks `path` (made with mode 0600 when absent) without waiting; else the pid of who holds it, 0 for ourselves. */
  lock(path: string): DiskLock | { holder: number };
}

/** The file whose lock guards the database file `path`: `/a/b.db` has `/a/.b.db.~lock~`, as the original's. */
export function lockFileName(path: string): string {
  const slash = path.lastIndexOf("/") + 1;
  return `${path.slice(0, slash)}.${path.slice(slash)}.~lock~`;
}
