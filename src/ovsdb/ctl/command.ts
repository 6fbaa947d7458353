/**
 * What a ctl program's commands are (a table of {@link CtlCommand}), and the cutting of a command line into calls of
 * them: `[OPTIONS] command ARG... [-- [OPTIONS] command ARG...]...`.
 */
import { Fatal } from "../../lib/errors.ts";
import type { OptionSpec } from "../../lib/getopt.ts";
import type { Table } from "../../lib/table.ts";
import type { TxnResult } from "../idl-api.ts";
import type { CtlContext } from "./context.ts";
import type { Needs } from "./needs.ts";

export interface CtlCommand {
  readonly name: string;
  readonly min: number;
  /** Infinity: any number. */
  readonly max: number;
  /** `!NEEDED ?OPTIONAL +ONE-OR-MORE *ANY`, as `--commands` prints it. */
  readonly syntax: string;
  /** `--name` or `--name=` (with an argument); `--name?` where the argument may be left out. */
  readonly options?: readonly string[];
  /** Writes: the call is logged and a comment goes with the transaction. */
  readonly writes: boolean;
  /** Writes whatever table it is told to: what other commands know of the database may be outdated then. */
  readonly anyTable?: boolean;
  /** Names the columns that `run` will touch. */
  prepare?(call: CtlCall, needs: Needs): void;
  /** May be run again from the start when the database changes under it. */
  run(call: CtlCall, context: CtlContext): void;
  /** After the commit, to complete the output. */
  after?(call: CtlCall, result: TxnResult): void;
}

/** One command of a command line. */
export interface CtlCall {
  readonly command: CtlCommand;
  /** Without the command's name. */
  readonly args: readonly string[];
  /** Name (with dashes) to argument. */
  readonly options: ReadonlyMap<string, string | undefined>;
  output: string;
  table: Table | undefined;
  /** Free for the command, between `run` and `after`. */
  note: unknown;
}

export type CommandTable = ReadonlyMap<string, CtlCommand>;

export function commandTable(...groups: readonly (readonly CtlCommand[])[]): CommandTable {
  return new Map(groups.flat().map((command) => [command.name, command]));
}

export interface LocalOption {
  readonly name: string;
  readonly value: string | undefined;
}

/** The options of all commands, for the part of the line before the first command; they go to `found`. */
export function localOptionSpecs(commands: CommandTable, found: LocalOption[]): OptionSpec[] {
  const specs = new Map<string, OptionSpec>();
  for (const { options } of commands.values()) {
    for (const option of options ?? []) {
      const [, long, kind] = /^--([^=?]*)([=?]?)$/.exec(option)!;
      if (specs.has(long!)) continue;
      specs.set(long!, {
        long: long!,
        arg: kind === "=" ? "required" : kind === "?" ? "optional" : "none",
        set: (value) => {
          found.push({ name: `--${long}`, value });
        },
      });
    }
  }
  return [...specs.values()];
}

/** `args`: what follows the global options; `first`: options found among them that belong to the first command. */
export function parseCommands(
  commands: CommandTable,
  args: readonly string[],
  first: readonly LocalOption[],
): CtlCall[] {
  const calls: CtlCall[] = [];
  let start = 0;
  let local = first;
  for (let i = 0; i <= args.length; i++) {
    if (i < args.length && args[i] !== "--") continue;
    if (i > start) {
      calls.push(parseCommand(commands, args.slice(start, i), local));
      local = [];
    }
    start = i + 1;
  }
  if (calls.length === 0) throw new Fatal("missing command name (use --help for help)");
  return calls;
}

function parseCommand(
  commands: CommandTable,
  words: readonly string[],
  local: readonly LocalOption[],
): CtlCall {
  const options = new Map<string, string | undefined>();
  // Options before `--` given twice are no mistake, one given on both sides is.
  for (const { name, value } of local) options.set(name, value);
  let at = 0;
  for (; at < words.length && words[at]!.startsWith("-"); at++) {
    const word = words[at]!;
    const equals = word.indexOf("=");
    const name = equals < 0 ? word : word.slice(0, equals);
    if (options.has(name)) throw new Fatal(`'${word}' option specified multiple times`);
    options.set(name, equals < 0 ? undefined : word.slice(equals + 1));
  }
  const name = words[at];
  if (name === undefined) throw new Fatal("missing command name (use --help for help)");
  const command = commands.get(name);
  if (command === undefined) throw new Fatal(`unknown command '${name}'; use --help for help`);
  for (const [option, value] of options) checkOption(command, option, value);
  const args = words.slice(at + 1);
  if (args.length < command.min) {
    throw new Fatal(`'${name}' command requires at least ${command.min} arguments`);
  }
  if (args.length > command.max) {
    const stray = args.slice(command.max).find((arg) => arg.startsWith("-"));
    const hint =
      stray === undefined ? "" : ' (note that options must precede command names and follow a "--" argument)';
    throw new Fatal(`'${name}' command takes at most ${command.max} arguments${hint}`);
  }
  return { command, args, options, output: "", table: undefined, note: undefined };
}

function checkOption(command: CtlCommand, option: string, value: string | undefined): void {
  for (const known of command.options ?? []) {
    const kind = known.at(-1)!;
    const bare = kind === "=" || kind === "?" ? known.slice(0, -1) : known;
    if (bare !== option) continue;
    if (kind === "=" && value === undefined) {
      throw new Fatal(`missing argument to '${option}' option on '${command.name}' command`);
    }
    if (bare === known && value !== undefined) {
      throw new Fatal(`'${option}' option on '${command.name}' does not accept an argument`);
    }
    return;
  }
  throw new Fatal(`'${command.name}' command has no '${option}' option`);
}

/** What `--commands` prints: `[--option] ,name,syntax`. */
export function listCommands(commands: CommandTable): string {
  let text = "";
  for (const { name, syntax, options } of commands.values()) {
    const shown = (options ?? []).map((option) => `[${option.replace("?", "")}] `).join("");
    text += `${shown},${name},${syntax}\n`;
  }
  return text;
}
