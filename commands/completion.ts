/** `ovsbox completion SHELL`: the script that teaches a shell to complete our command lines. */
import { APPLETS } from "./applets.ts";
import { SHELLS } from "./completion/scripts.ts";
import { realPlatform } from "./platform.ts";

export function main([shell = "", ...rest]: string[]): number {
  const platform = realPlatform();
  const known = Object.keys(SHELLS).join(", ");
  if (["--help", "-h"].includes(shell)) {
    platform.stdout(`usage: ovsbox completion SHELL\nSHELL is one of ${known}.\n`);
    return 0;
  }
  if (!Object.hasOwn(SHELLS, shell) || rest.length > 0) {
    platform.stderr(`ovsbox completion: unknown shell "${[shell, ...rest].join(" ")}" (${known})\n`);
    return 1;
  }
  platform.stdout(SHELLS[shell]!(["ovsbox", ...Object.keys(APPLETS)]));
  return 0;
}
