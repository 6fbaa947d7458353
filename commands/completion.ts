/** `ovsbox completion SHELL`: the script that teaches a shell to complete our command lines. */
import { runApplet } from "../src/lib/applet.ts";
import { helpTextOptions } from "../src/lib/common-options.ts";
import { Fatal } from "../src/lib/errors.ts";
import { formatOptions, getopt, type OptionGroup } from "../src/lib/getopt.ts";
import { APPLETS } from "./applets.ts";
import { SHELLS } from "./completion/scripts.ts";
import { realPlatform } from "./platform.ts";

export function main(args: string[], program: string): Promise<number> {
  const platform = realPlatform();
  return runApplet(platform, program, () => {
    const known = Object.keys(SHELLS).join(", ");
    const groups: OptionGroup[] = [
      helpTextOptions(
        platform,
        program,
        () => `usage: ${program} SHELL\nSHELL is one of ${known}.\n${formatOptions(groups)}`,
      ),
    ];
    const [shell = "", ...rest] = getopt(program, groups, args);
    if (!Object.hasOwn(SHELLS, shell) || rest.length > 0)
      throw new Fatal(`unknown shell "${[shell, ...rest].join(" ")}" (${known})`);
    platform.stdout(SHELLS[shell]!(["ovsbox", ...Object.keys(APPLETS)]));
    return 0;
  });
}
