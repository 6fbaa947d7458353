/** The lines by which ovs-ctl tells what it does: "Starting ovs-vswitchd." or "Starting ovs-vswitchd ... failed!". */
import type { Run } from "../programs.ts";

/** Writes to standard output, one line. */
export type Say = (line: string) => void;

export const failed = (what: string): string => `${what} ... failed!`;
export const warning = (what: string): string => `${what} ... (warning).`;

/** Tells how `run` ended, with what it wrote on standard error; true when well. */
export function tell(say: Say, what: string, run: Run): boolean {
  for (const line of run.stderr.split("\n")) if (line !== "") say(line);
  say(run.status === 0 ? `${what}.` : failed(what));
  return run.status === 0;
}
