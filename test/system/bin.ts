/** Where the programs under test and their peers are, for test/system and test/peers. */
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

/** Folder with ovs-vsctl and the others, as links to the compiled executable. */
export const BIN = process.env.OVSBOX_BIN ?? join(root, "dist/bin");

/** Folder that Debian's packages are unpacked into, undefined where they could not be had. */
export const PEERS = process.env.OVSBOX_PEERS || undefined;

/** Absolute path of a peer's program, or undefined. */
export function peer(program: string): string | undefined {
  if (PEERS === undefined) return undefined;
  for (const folder of ["usr/bin", "usr/sbin", "usr/lib/openvswitch-switch"]) {
    const path = join(PEERS, folder, program);
    if (existsSync(path)) return path;
  }
  return undefined;
}

/** A reason to skip, for tap's `{ skip }`, or false. */
export function withoutPeer(...programs: string[]): string | false {
  const missing = programs.filter((program) => peer(program) === undefined);
  return missing.length === 0 ? false : `no peer ${missing.join(", ")} (scripts/peers)`;
}

/** Set by scripts/test --full. */
export const FULL = Boolean(process.env.OVSBOX_FULL);
