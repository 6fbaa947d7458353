/** An archive that the kernel unpacks at start (cpio, "newc": Documentation/driver-api/early-userspace/buffer-format.rst). */

export interface CpioFile {
  /** Without a leading slash. */
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly mode?: number;
}

const FOLDER = 0o040755;
const REGULAR = 0o100755;

function entry(name: string, mode: number, bytes: Uint8Array, inode: number): Uint8Array[] {
  const fields = [inode, mode, 0, 0, 1, 0, bytes.length, 0, 0, 0, 0, name.length + 1, 0];
  const head = `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}${name}\0`;
  const pad = (length: number): Uint8Array => new Uint8Array((4 - (length & 3)) & 3);
  return [new TextEncoder().encode(head), pad(head.length), bytes, pad(bytes.length)];
}

/** The folders above each file are made, too. */
export function cpio(files: readonly CpioFile[]): Uint8Array {
  const parts: Uint8Array[] = [];
  const folders = new Set<string>();
  let inode = 1;
  for (const { name, bytes, mode } of files) {
    const path = name.split("/");
    for (let i = 1; i < path.length; i++) {
      const folder = path.slice(0, i).join("/");
      if (folders.has(folder)) continue;
      folders.add(folder);
      parts.push(...entry(folder, FOLDER, new Uint8Array(0), inode++));
    }
    parts.push(...entry(name, mode ?? REGULAR, bytes, inode++));
  }
  parts.push(...entry("TRAILER!!!", 0, new Uint8Array(0), 0));
  return Buffer.concat(parts);
}
