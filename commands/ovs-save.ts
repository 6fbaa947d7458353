/** `ovs-save`: prints a shell script that brings flows, or interfaces' addresses, back after a restart. */
import { runApplet } from "../src/lib/applet.ts";
import { helpTextOptions } from "../src/lib/common-options.ts";
import { Fatal } from "../src/lib/errors.ts";
import { formatOptions, getopt, type OptionGroup } from "../src/lib/getopt.ts";
import { saveFlows, saveInterfaces, shellLine } from "./ovs-ctl/save.ts";
import { realPlatform } from "./platform.ts";

export const COMMANDS = {
  "save-interfaces": {
    args: "INTERFACE...",
    help: "addresses, routes and link settings",
    run: saveInterfaces,
  },
  "save-flows": { args: "BRIDGE...", help: "flows, groups and tunnel option maps", run: saveFlows },
} as const;

export function main(args: string[], program: string): Promise<number> {
  const platform = realPlatform();
  return runApplet(platform, program, () => {
    const groups: OptionGroup[] = [helpTextOptions(platform, program, () => usage(program, groups))];
    const [name, ...words] = getopt(program, groups, args, { stopAtFirst: true });
    if (name === undefined) throw new Fatal("missing command name; use --help for help");
    if (!Object.hasOwn(COMMANDS, name)) throw new Fatal(`unknown command '${name}'; use --help for help`);
    const { commands, errors } = COMMANDS[name as keyof typeof COMMANDS].run(words);
    for (const error of errors) platform.stderr(`${program}: ${error}\n`);
    platform.stdout(commands.map((command) => `${shellLine(command)}\n`).join(""));
    return errors.length === 0 ? 0 : 1;
  });
}

function usage(program: string, groups: readonly OptionGroup[]): string {
  let text = `${program}: saves what a restart of the switch would lose\nusage: ${program} COMMAND ARG...\n\nCommands:\n`;
  for (const [name, { args, help }] of Object.entries(COMMANDS))
    text += `  ${`${name} ${args}`.padEnd(30)}${help}\n`;
  return text + formatOptions(groups);
}
