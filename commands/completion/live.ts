/** Names that only the running system knows: bridges, ports, records, daemons and their commands. All fail to nothing. */
import { readdirSync } from "node:fs";
import { dirs } from "../../src/lib/dirs.ts";
import { runProgram } from "../programs.ts";

/** A completion must not hang: a second is long for one. */
const LIMIT = ["-t", "1"];

const lines = (text: string): string[] => text.split("\n").filter((line) => line !== "");

function vsctl(...args: string[]): string[] {
  const run = runProgram("ovs-vsctl", [...LIMIT, "--no-wait", "-vconsole:off", ...args]);
  return run.status === 0 ? lines(run.stdout) : [];
}

export const bridges = (): string[] => vsctl("list-br");

/** Of one bridge, or of all. */
export function ports(bridge?: string): string[] {
  return bridge === undefined ? column("Port", "name") : vsctl("list-ports", bridge);
}

export function column(table: string, name: string): string[] {
  return vsctl("--bare", `--columns=${name}`, "list", table);
}

/** Network devices that are no port yet. */
export function freeDevices(): string[] {
  const taken = new Set(column("Interface", "name"));
  try {
    return readdirSync("/sys/class/net").filter((name) => name !== "lo" && !taken.has(name));
  } catch {
    return [];
  }
}

/** Daemons that have a pid file. */
export function daemons(): string[] {
  try {
    const files = readdirSync(dirs(process.env).run);
    return files.filter((name) => name.endsWith(".pid")).map((name) => name.slice(0, -4));
  } catch {
    return [];
  }
}

/** Command to its arguments, as the daemon's list-commands shows them. */
export function daemonCommands(target: string | undefined): Record<string, string[]> {
  const where = target === undefined ? [] : ["-t", target];
  const run = runProgram("ovs-appctl", ["-T", "1", "-vconsole:off", ...where, "list-commands"]);
  const found: Record<string, string[]> = {};
  for (const line of lines(run.stdout).slice(1)) {
    const [name, ...args] = line.trim().split(/\s+/);
    if (name !== undefined) found[name] = args;
  }
  return found;
}
