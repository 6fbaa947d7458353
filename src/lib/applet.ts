/** What every applet's main does around its work: errors become `PROGRAM: message` and an exit status; --version text. */
import { describeError, Exit, Fatal } from "./errors.ts";
import type { Platform } from "./platform.ts";

export const VERSION = "3.7.1";

/** `ovs-vsctl (Open vSwitch) 3.7.1` and further lines. */
export function versionText(program: string, ...more: readonly string[]): string {
  return `${[`${program} (Open vSwitch) ${VERSION}`, ...more].join("\n")}\n`;
}

/** Runs `body`; Fatal and Exit end it with their status, anything else is our mistake and is thrown on. */
export async function runApplet(
  platform: Platform,
  program: string,
  body: () => Promise<number> | number,
): Promise<number> {
  try {
    return await body();
  } catch (error) {
    if (error instanceof Exit) return error.status;
    if (error instanceof Fatal) {
      platform.stderr(error.bare ? `${error.message}\n` : `${program}: ${error.message}\n`);
      return error.status;
    }
    throw error;
  }
}

/** `message (No such file or directory)`: the original's ovs_fatal with an errno. */
export function fatalErrno(error: unknown, message: string, status = 1): Fatal {
  return new Fatal(`${message} (${describeError(error)})`, status);
}
