/** Folders of a bpf file system (Linux Documentation/filesystems/bpf, bpf(2) BPF_OBJ_PIN): objects live there without a process. */
import { dlopen } from "bun:ffi";
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  unlinkSync,
} from "node:fs";
import { dirname } from "node:path";
import { BpfLink, BpfMap, type BpfMapSpec, getPinned, pinObject } from "./bpf.ts";

const { symbols: libc } = dlopen("libc.so.6", { flock: { args: ["i32", "i32"], returns: "i32" } });

/** Where systemd and everybody else mount it. */
const MOUNT = "/sys/fs/bpf";

/** False also where /sys is not the machine's, as in `ip netns exec`. */
function isMounted(): boolean {
  return readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .some((line) => line.split(" ")[1] === MOUNT && line.split(" ")[2] === "bpf");
}

const LOCK_EX = 2;
const LOCK_NB = 4;

/** A folder that is this process's alone until {@link close}, or its end. */
export class BpfPins {
  readonly path: string;
  readonly #fd: number;

  constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
  }

  /** undefined while another process has it. Throws an OsError. */
  static open(path: string): BpfPins | undefined {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const fd = openSync(path, "r");
    if (libc.flock(fd, LOCK_EX | LOCK_NB) === 0) return new BpfPins(path, fd);
    closeSync(fd);
    return undefined;
  }

  close(): void {
    closeSync(this.#fd);
  }

  list(): string[] {
    return namesIn(this.path);
  }

  /** Throws an OsError. */
  pin({ fd }: { readonly fd: number }, name: string): void {
    const path = `${this.path}/${name}`;
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    pinObject(fd, path);
  }

  /** `spec` is believed. */
  openMap(name: string, spec: BpfMapSpec): BpfMap | undefined {
    const fd = getPinned(`${this.path}/${name}`);
    return fd < 0 ? undefined : new BpfMap(fd, spec);
  }

  openLink(name: string): BpfLink | undefined {
    const fd = getPinned(`${this.path}/${name}`);
    return fd < 0 ? undefined : new BpfLink(fd);
  }

  remove(name: string): void {
    const path = name === "" ? this.path : `${this.path}/${name}`;
    try {
      if (!statSync(path).isDirectory()) {
        unlinkSync(path);
        return;
      }
      for (const inner of readdirSync(path)) this.remove(name === "" ? inner : `${name}/${inner}`);
      rmdirSync(path);
      // Of all datapaths: goes with the last.
      if (name === "") rmdirSync(dirname(path));
    } catch {
      // It is not there, or others are.
    }
  }
}

/** Of datapaths of this network namespace, all in one. */
const FOLDER = `${MOUNT}/ovsbox`;
/** What the names of this namespace's folders end with. */
const here = (): string => `@${statSync("/proc/self/ns/net").ino}`;
/** The file system takes no dots. */
const folderOf = (datapath: string): string => `${FOLDER}/${datapath.replaceAll(".", "_")}${here()}`;

function namesIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** The folder of a datapath of this network namespace; a text says why there is none. */
export function bpfPins(datapath: string): BpfPins | string {
  if (!isMounted()) return `no bpf file system at ${MOUNT}`;
  const path = folderOf(datapath);
  try {
    return BpfPins.open(path) ?? `another switch has ${path}`;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Names of the datapaths of this network namespace that have a folder, whether or not a switch has them. */
export function pinnedDatapaths(): string[] {
  if (!isMounted()) return [];
  const end = here();
  return namesIn(FOLDER)
    .filter((name) => name.endsWith(end))
    .map((name) => name.slice(0, -end.length));
}

/** As `ovs-dpctl` names datapaths: what only a switch knows, its type, is told from the name. */
export const leftLabel = (datapath: string): string =>
  `${datapath === "ovs-system" ? "system" : "ebpf"}@${datapath}`;

/** What is in a datapath's folder, whoever has it. */
export const pinnedNames = (datapath: string): string[] => namesIn(folderOf(datapath));
