/** Folders of a bpf file system (Linux Documentation/filesystems/bpf, bpf(2) BPF_OBJ_PIN): objects live there without a process. */
import { mkdirSync, readdirSync, readFileSync, rmdirSync, statSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import { BpfLink, BpfMap, type BpfMapSpec, getPinned, pinObject } from "./bpf.ts";

/** Where systemd and everybody else mount it. */
const MOUNT = "/sys/fs/bpf";

/** False also where /sys is not the machine's, as in `ip netns exec`. */
function isMounted(): boolean {
  return readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .some((line) => line.split(" ")[1] === MOUNT && line.split(" ")[2] === "bpf");
}

export class BpfPins {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  list(): string[] {
    try {
      return readdirSync(this.path);
    } catch {
      return [];
    }
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

/** The folder of a datapath of this network namespace; a text says why there is none. */
export function bpfPins(datapath: string): BpfPins | string {
  if (!isMounted()) return `no bpf file system at ${MOUNT}`;
  const { ino } = statSync("/proc/self/ns/net");
  // The file system takes no dots.
  return new BpfPins(`${MOUNT}/ovsbox/${datapath.replaceAll(".", "_")}@${ino}`);
}
