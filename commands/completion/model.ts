/** What there is to complete: an applet's options and commands, read from the tables that drive it. */
import { type OptionGroup, type OptionSpec, OptionTables, wantTables } from "../../src/lib/getopt.ts";
import type { CommandTable } from "../../src/ovsdb/ctl/command.ts";
import { APPLETS, SUBCOMMANDS } from "../applets.ts";

export interface CommandModel {
  /** Words after the command, one placeholder each ("BRIDGE", "switch", "[port]"); the last may repeat ("..."). */
  readonly args: readonly string[];
  /** "--may-exist", "--id=" */
  readonly options: readonly string[];
}

type Commands = Readonly<Record<string, CommandModel>>;

/** The options of an applet or subcommand, without running it. */
export async function optionGroupsOf(name: string): Promise<readonly OptionGroup[]> {
  wantTables();
  try {
    await (await (APPLETS[name] ?? SUBCOMMANDS[name])!.load()).main([], name);
  } catch (error) {
    if (error instanceof OptionTables) return error.groups;
    throw error;
  }
  return [];
}

export const optionsOf = async (name: string): Promise<readonly OptionSpec[]> =>
  (await optionGroupsOf(name)).flatMap((group) => group.options);

function fromUsage(
  table: Readonly<Record<string, { readonly usage?: string; readonly args?: string }>>,
): Commands {
  const found: Record<string, CommandModel> = {};
  for (const [name, { usage, args }] of Object.entries(table))
    found[name] = { args: (usage ?? args ?? "").split(/\s+/).filter((word) => word !== ""), options: [] };
  return found;
}

/** ctl programs say `!NEEDED ?OPTIONAL +ONE-OR-MORE *ANY`. */
function fromCtl(table: CommandTable): Commands {
  const found: Record<string, CommandModel> = {};
  for (const { name, syntax, options } of table.values()) {
    const words = syntax.split(" ").filter((word) => word !== "");
    const args = words.map((word) => word.slice(1) + (/^[+*]/.test(word) ? "..." : ""));
    found[name] = { args, options: (options ?? []).map((option) => option.replace("?", "")) };
  }
  return found;
}

/** Loaded for the one applet that is asked for. ovs-appctl and ovs-dpctl have what their daemon lists: see live.ts. */
const COMMANDS: Readonly<Record<string, () => Promise<Commands>>> = {
  "ovs-vsctl": async () => fromCtl((await import("../ovs-vsctl/commands.ts")).COMMANDS),
  "vtep-ctl": async () => fromCtl((await import("../vtep-ctl/commands.ts")).COMMANDS),
  "ovs-ofctl": async () => fromUsage((await import("../ovs-ofctl/commands.ts")).COMMANDS),
  "ovsdb-client": async () => fromUsage((await import("../ovsdb-client.ts")).COMMANDS),
  "ovsdb-tool": async () => fromUsage((await import("../ovsdb-tool.ts")).COMMANDS),
  "ovs-ctl": async () =>
    fromUsage((await import("../ovs-ctl/commands.ts")).COMMANDS as Record<string, object>),
  "ovs-pki": async () => fromUsage((await import("../ovs-pki/commands.ts")).COMMANDS),
  "ovs-save": async () => fromUsage((await import("../ovs-save.ts")).COMMANDS),
  "ovs-brctl": async () => fromUsage((await import("../ovs-brctl/commands.ts")).COMMANDS),
};

export async function commandsOf(applet: string): Promise<Commands> {
  return (await COMMANDS[applet]?.()) ?? {};
}
