/** The real disk, by node:fs; locks come from the platform, which alone can make system calls. */
import fs from "node:fs";
import { dirname, resolve as resolvePath } from "node:path";
import type { FileLocks } from "../lib/platform.ts";
import type { Disk, DiskFile, DiskLock } from "./disk.ts";

class NodeFile implements DiskFile {
  readonly #fd: number;
  size: number;
  #closed = false;
  #pending = 0;

  constructor(fd: number) {
    this.#fd = fd;
    this.size = fs.fstatSync(fd).size;
  }

  write(bytes: Uint8Array, offset: number): void {
    let done = 0;
    while (done < bytes.length)
      done += fs.writeSync(this.#fd, bytes, done, bytes.length - done, offset + done);
    this.size = Math.max(this.size, offset + bytes.length);
  }

  truncate(size: number): void {
    fs.ftruncateSync(this.#fd, size);
    this.size = size;
  }

  sync(): Promise<void> {
    // Its number may be another file's by now.
    if (this.#closed) return Promise.resolve();
    this.#pending++;
    return new Promise((resolve, reject) => {
      fs.fdatasync(this.#fd, (error) => {
        this.#pending--;
        if (this.#closed && this.#pending === 0) fs.closeSync(this.#fd);
        if (error === null) resolve();
        else reject(error);
      });
    });
  }

  syncNow(): void {
    fs.fdatasyncSync(this.#fd);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#pending === 0) fs.closeSync(this.#fd);
  }
}

/** `locks` is called when the first lock is taken: reading alone needs no system calls of our own. */
export function nodeDisk(locks: () => FileLocks): Disk {
  /** This process's own: POSIX would grant a second lock, and its release would drop the first. */
  const held = new Set<string>();
  return {
    read: (path) => fs.readFileSync(path),
    open(path, mode) {
      const { O_RDWR, O_CREAT, O_EXCL, O_TRUNC } = fs.constants;
      const flags = {
        existing: O_RDWR,
        create: O_RDWR | O_CREAT | O_EXCL,
        replace: O_RDWR | O_CREAT | O_TRUNC,
      };
      return new NodeFile(fs.openSync(path, flags[mode], 0o640));
    },
    rename: (from, to) => fs.renameSync(from, to),
    unlink: (path) => fs.unlinkSync(path),
    exists: (path) => fs.existsSync(path),
    resolve(path) {
      let name = path;
      for (let hops = 0; hops < 10; hops++) {
        let target: string;
        try {
          target = fs.readlinkSync(name);
        } catch {
          return name;
        }
        name = target.startsWith("/") ? target : resolvePath(dirname(name), target);
      }
      return name;
    },
    async syncFolder(path) {
      const folder = await fs.promises.open(dirname(path), "r");
      try {
        await folder.sync();
      } finally {
        await folder.close();
      }
    },
    syncFolderNow(path) {
      const fd = fs.openSync(dirname(path), "r");
      try {
        fs.fsyncSync(fd);
      } finally {
        fs.closeSync(fd);
      }
    },
    lock(path): DiskLock | { holder: number } {
      const key = resolvePath(path);
      if (held.has(key)) return { holder: 0 };
      const lock = locks().tryLock(path, 0o600);
      if ("holder" in lock) return lock;
      held.add(key);
      return {
        release: () => {
          if (held.delete(key)) lock.release();
        },
      };
    },
  };
}
