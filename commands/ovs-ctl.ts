/** `ovs-ctl`: starts, stops and restarts the daemons, as the host's start-up scripts ask for it (ovs-ctl(8)). */
import { runApplet } from "../src/lib/applet.ts";
import { helpTextOptions } from "../src/lib/common-options.ts";
import { Fatal } from "../src/lib/errors.ts";
import { formatOptions, getopt, type OptionGroup } from "../src/lib/getopt.ts";
import { vlogStart } from "../src/lib/vlog.ts";
import { COMMANDS, type CtlCommand } from "./ovs-ctl/commands.ts";
import { ctlOptions, defaultSettings } from "./ovs-ctl/settings.ts";
import { realPlatform } from "./platform.ts";

export function main(args: string[], program: string): Promise<number> {
  const platform = realPlatform();
  return runApplet(platform, program, async () => {
    vlogStart(platform, "ovs-ctl");
    const settings = defaultSettings(platform.env);
    const groups: OptionGroup[] = [
      ...ctlOptions(settings),
      helpTextOptions(platform, program, () => usage(program, groups)),
    ];
    const [name, ...rest] = getopt(program, groups, args);
    if (name === undefined) throw new Fatal("missing command name (use --help for help)");
    if (rest.length > 0) throw new Fatal(`unexpected non-option argument "${rest[0]}" (use --help for help)`);
    if (name === "help") {
      platform.stdout(usage(program, groups));
      return 0;
    }
    if (!Object.hasOwn(COMMANDS, name)) throw new Fatal(`unknown command "${name}" (use --help for help)`);
    const say = (line: string): void => platform.stdout(`${line}\n`);
    return (await COMMANDS[name]!.run({ platform, settings, say })) ? 0 : 1;
  });
}

function usage(program: string, groups: readonly OptionGroup[]): string {
  const line = ([name, { help }]: [string, CtlCommand]): string => `  ${name.padEnd(28)}${help}\n`;
  return (
    `${program}: starts and stops the daemons of Open vSwitch\nusage: ${program} [OPTIONS] COMMAND\n\nCommands:\n` +
    Object.entries(COMMANDS).map(line).join("") +
    formatOptions(groups)
  );
}
