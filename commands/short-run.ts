/**
 * For commands that go through a file and end. The engine's last compiler (FTL) takes up what has run some ten thousand
 * times, and is done with it when such a run is nearly over: of the CPU time of `parse-flows` with 20 000 to 100 000 flows
 * it takes a third (0.46 s against 0.25 s for 50 000). It can only be switched off by the environment at start.
 */
import { existsSync, statSync } from "node:fs";

/** Not in the types yet: execve(2), which never returns. */
const { execve } = process as { execve?: (file: string, args: string[], env: NodeJS.ProcessEnv) => never };

const NAME = "BUN_JSC_useFTLJIT";

/** Below, it has hardly begun; above, it pays. */
const MIN_BYTES = 600_000;
const MAX_BYTES = 24_000_000;

/** Starts the program over without that compiler, in the same process, when `file` is of such a size. */
export function shortRun(file: string): void {
  const { argv, argv0, env, execPath } = process;
  // Only the executable finds itself again: not under `bun` or in a test.
  if (!argv[1]?.startsWith("/$bunfs/") || env[NAME] !== undefined || execve === undefined) return;
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (size < MIN_BYTES || size > MAX_BYTES || !existsSync(execPath)) return;
  execve(execPath, [argv0, ...argv.slice(2)], { ...env, [NAME]: "0" });
}
