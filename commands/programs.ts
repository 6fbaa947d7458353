/** Programs that an applet starts: other applets of ours, or what OVS_SBINDIR and OVS_BINDIR hold in their place. */
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

export interface Run {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What to execute for `name`, and the argv[0] to do it under. */
export function programPath(name: string): { file: string; argv0: string } {
  for (const folder of [process.env.OVS_SBINDIR, process.env.OVS_BINDIR]) {
    const path = `${folder}/${name}`;
    if (folder && existsSync(path)) return { file: path, argv0: path };
  }
  return { file: process.execPath, argv0: name };
}

/** Runs one of Open vSwitch's programs and keeps what it says. Never throws. */
export function runProgram(name: string, args: readonly string[]): Run {
  const { file, argv0 } = programPath(name);
  return told(spawnSync(file, args, { argv0, encoding: "utf8" }));
}

/** Runs a command of the host's; status 127 when there is none. Never throws. */
export function runHost(command: string, ...args: string[]): Run {
  return told(spawnSync(command, args, { encoding: "utf8" }));
}

function told(run: SpawnSyncReturns<string>): Run {
  return {
    status: run.error === undefined ? (run.status ?? 1) : 127,
    stdout: run.stdout ?? "",
    stderr: run.stderr ?? "",
  };
}
