/**
 * A disk in memory that knows what a loss of power leaves: what was written but not synced may go, and a name that was
 * made but whose folder was not synced, too. `crash` takes the worst case of that.
 */
import type { Disk, DiskFile, DiskLock } from "../../src/ovsdb/disk.ts";

class Inode {
  bytes = new Uint8Array(0);
  synced = new Uint8Array(0);
}

function errno(code: string): Error {
  return Object.assign(new Error(code), { code });
}

export class SimDisk implements Disk {
  #names = new Map<string, Inode>();
  #syncedNames = new Map<string, Inode>();
  readonly #locks = new Set<string>();
  /** Syncs done, to see that one serves many. */
  syncs = 0;
  /** Writes fail with this errno while it is set. */
  failWrites: string | undefined;
  /** Called before anything on the disk changes: a moment at which to try a crash on a `copy`. */
  onChange: (() => void) | undefined;
  readonly #later: (run: () => void) => void;

  constructor(later: (run: () => void) => void = (run) => void setImmediate(run)) {
    this.#later = later;
  }

  #changing(): void {
    this.onChange?.();
  }

  /** Another disk with the same contents, of which nobody has anything open or locked: as after the end of the process. */
  copy(): SimDisk {
    const copy = new SimDisk(this.#later);
    const inodes = new Map<Inode, Inode>();
    const same = (inode: Inode): Inode => {
      const known = inodes.get(inode);
      if (known !== undefined) return known;
      const twin = new Inode();
      twin.bytes = inode.bytes.slice();
      twin.synced = inode.synced.slice();
      inodes.set(inode, twin);
      return twin;
    };
    for (const [name, inode] of this.#names) copy.#names.set(name, same(inode));
    for (const [name, inode] of this.#syncedNames) copy.#syncedNames.set(name, same(inode));
    return copy;
  }

  /**
   * Power is lost and comes back. Locks and open files are gone. "names": the folder has reached the disk, though nobody
   * has waited for it.
   */
  crash(kept: "nothing" | "names" = "nothing"): void {
    this.#locks.clear();
    if (kept === "nothing") this.#names = new Map(this.#syncedNames);
    for (const inode of this.#names.values()) inode.bytes = inode.synced.slice();
  }

  put(path: string, bytes: Uint8Array): void {
    const inode = new Inode();
    inode.bytes = bytes.slice();
    inode.synced = bytes.slice();
    this.#names.set(path, inode);
    this.#syncedNames.set(path, inode);
  }

  #inode(path: string): Inode {
    const inode = this.#names.get(path);
    if (inode === undefined) throw errno("ENOENT");
    return inode;
  }

  read(path: string): Uint8Array {
    return this.#inode(path).bytes.slice();
  }

  open(path: string, mode: "existing" | "create" | "replace"): DiskFile {
    if (mode === "create" && this.#names.has(path)) throw errno("EEXIST");
    if (mode !== "existing") this.#changing();
    if (mode !== "existing" && !this.#names.has(path)) this.#names.set(path, new Inode());
    const inode = this.#inode(path);
    if (mode === "replace") inode.bytes = new Uint8Array(0);
    return this.#file(inode);
  }

  #file(inode: Inode): DiskFile {
    const disk = this;
    const syncNow = (): void => {
      disk.#changing();
      disk.syncs++;
      inode.synced = inode.bytes.slice();
    };
    return {
      get size() {
        return inode.bytes.length;
      },
      write(bytes, offset) {
        disk.#changing();
        const { failWrites } = disk;
        // A full disk takes a part.
        const taken = failWrites === undefined ? bytes : bytes.subarray(0, bytes.length >> 1);
        const grown = new Uint8Array(Math.max(inode.bytes.length, offset + taken.length));
        grown.set(inode.bytes);
        grown.set(taken, offset);
        inode.bytes = grown;
        if (failWrites !== undefined) throw errno(failWrites);
      },
      truncate(size) {
        disk.#changing();
        inode.bytes = inode.bytes.slice(0, size);
      },
      sync() {
        // What was written before the call, and done at a later time.
        const now = inode.bytes.slice();
        return new Promise((resolve) =>
          disk.#later(() => {
            disk.#changing();
            disk.syncs++;
            inode.synced = now;
            resolve();
          }),
        );
      },
      syncNow,
      close() {},
    };
  }

  rename(from: string, to: string): void {
    this.#changing();
    this.#names.set(to, this.#inode(from));
    this.#names.delete(from);
  }

  unlink(path: string): void {
    this.#changing();
    this.#inode(path);
    this.#names.delete(path);
  }

  exists(path: string): boolean {
    return this.#names.has(path);
  }

  resolve(path: string): string {
    return path;
  }

  syncFolder(): Promise<void> {
    // As `sync` of a file.
    const now = new Map(this.#names);
    return new Promise((resolve) =>
      this.#later(() => {
        this.#changing();
        this.#syncedNames = now;
        resolve();
      }),
    );
  }

  syncFolderNow(): void {
    this.#changing();
    this.#syncedNames = new Map(this.#names);
  }

  lock(path: string): DiskLock | { holder: number } {
    if (this.#locks.has(path)) return { holder: 1 };
    this.#locks.add(path);
    if (!this.#names.has(path)) this.#names.set(path, new Inode());
    return { release: () => void this.#locks.delete(path) };
  }
}
