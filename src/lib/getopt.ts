/**
 * Command lines by the rules of GNU getopt_long: permutation, `--`, unique prefixes of long options, `--x=value`,
 * clusters of short ones, its error texts. An applet's options are one table, composed of shared groups
 * (`vlogOptions()`, `daemonOptions()`, `tlsOptions()`); help, `--options`, man pages and completions read the same table.
 */
import { Fatal } from "./errors.ts";

export interface OptionSpec {
  /** Without dashes. At least one of `long`, `short` is given. */
  readonly long?: string;
  /** One character. */
  readonly short?: string;
  /** Default "none". */
  readonly arg?: "none" | "required" | "optional";
  /** "FILE", "SECS": for help texts. */
  readonly metavar?: string;
  /** One line for --help; without it the option is not shown there. */
  readonly help?: string;
  /** Called in the order of the command line; may throw {@link Fatal}. */
  set(value: string | undefined): void;
}

export interface OptionGroup {
  /** "Daemon options" */
  readonly title: string;
  readonly options: readonly OptionSpec[];
}

export interface GetoptMode {
  /** Stop at the first word that is no option (getopt's "+"); default: permute. */
  readonly stopAtFirst?: boolean;
}

/** Thrown by {@link getopt} in place of its work once {@link wantTables} was called. */
export class OptionTables extends Error {
  readonly groups: readonly OptionGroup[];
  constructor(groups: readonly OptionGroup[]) {
    super("option tables");
    this.groups = groups;
  }
}

let tablesWanted = false;

/** From now on getopt throws an applet's tables instead of reading a command line: completions read them so. */
export function wantTables(): void {
  tablesWanted = true;
}

/** Applies all options of `args` and returns the other words. Throws {@link Fatal} (status 1) with getopt's message. */
export function getopt(
  _program: string,
  groups: readonly OptionGroup[],
  args: readonly string[],
  mode: GetoptMode = {},
): string[] {
  if (tablesWanted) throw new OptionTables(groups);
  const table = groups.flatMap((group) => group.options);
  const rest: string[] = [];
  for (let at = 0; at < args.length; ) {
    const word = args[at++]!;
    if (word === "--") return rest.concat(args.slice(at));
    if (word.startsWith("--")) at = getoptLong(table, word, args, at);
    else if (word.startsWith("-") && word.length > 1) at = getoptShort(table, word, args, at);
    else if (mode.stopAtFirst) return [word, ...args.slice(at)];
    else rest.push(word);
  }
  return rest;
}

/** Handles `word` ("--name" or "--name=value"); returns the index of the next word. */
function getoptLong(table: readonly OptionSpec[], word: string, args: readonly string[], at: number): number {
  const equals = word.indexOf("=");
  const name = word.slice(2, equals < 0 ? undefined : equals);
  const value = equals < 0 ? undefined : word.slice(equals + 1);
  let spec = table.find((candidate) => candidate.long === name);
  if (spec === undefined) {
    const candidates = table.filter((candidate) => candidate.long?.startsWith(name));
    if (candidates.length === 0) throw new Fatal(`unrecognized option '${word}'`);
    if (candidates.length > 1) {
      const names = candidates.map((candidate) => `'--${candidate.long}'`).join(" ");
      throw new Fatal(`option '${word}' is ambiguous; possibilities: ${names}`);
    }
    spec = candidates[0]!;
  }
  const kind = spec.arg ?? "none";
  if (kind === "none" && value !== undefined)
    throw new Fatal(`option '--${spec.long}' doesn't allow an argument`);
  if (kind === "required" && value === undefined) {
    if (at >= args.length) throw new Fatal(`option '--${spec.long}' requires an argument`);
    spec.set(args[at]);
    return at + 1;
  }
  spec.set(value);
  return at;
}

/** Handles a cluster of short options ("-xyz", "-tVALUE", "-t VALUE"); returns the index of the next word. */
function getoptShort(
  table: readonly OptionSpec[],
  word: string,
  args: readonly string[],
  at: number,
): number {
  for (let i = 1; i < word.length; i++) {
    const letter = word[i]!;
    const spec = table.find((candidate) => candidate.short === letter);
    if (spec === undefined) throw new Fatal(`invalid option -- '${letter}'`);
    const kind = spec.arg ?? "none";
    if (kind === "none") {
      spec.set(undefined);
      continue;
    }
    const tail = word.slice(i + 1);
    if (tail !== "" || kind === "optional") {
      spec.set(tail === "" ? undefined : tail);
      return at;
    }
    if (at >= args.length) throw new Fatal(`option requires an argument -- '${letter}'`);
    spec.set(args[at]);
    return at + 1;
  }
  return at;
}

/** What `ovs-vsctl --options` prints: one line a name, `=ARG` and ` ARG` where there is an argument. */
export function listOptions(groups: readonly OptionGroup[]): string {
  let text = "";
  for (const { long, short, arg } of groups.flatMap((group) => group.options)) {
    const takes = (arg ?? "none") !== "none";
    if (long !== undefined) text += `--${long}${takes ? "=ARG" : ""}\n`;
    if (short !== undefined) text += `-${short}${takes ? " ARG" : ""}\n`;
  }
  return text;
}

/** The "TITLE:\n  -x, --long=META  help" part of a usage text. */
export function formatOptions(groups: readonly OptionGroup[]): string {
  let text = "";
  for (const { title, options } of groups) {
    text += `\n${title}:\n`;
    for (const option of options) if (option.help !== undefined) text += formatOption(option, option.help);
  }
  return text;
}

const COLUMN = 28;

function formatOption({ long, short, arg, metavar = "ARG" }: OptionSpec, help: string): string {
  const names = [...(short === undefined ? [] : [`-${short}`]), ...(long === undefined ? [] : [`--${long}`])];
  const kind = arg ?? "none";
  const value = kind === "none" ? "" : kind === "required" ? `=${metavar}` : `[=${metavar}]`;
  const head = `  ${names.join(", ")}${long === undefined ? value.replace("=", " ") : value}`;
  const lines = help.split("\n").join(`\n${" ".repeat(COLUMN)}`);
  return head.length < COLUMN
    ? `${head.padEnd(COLUMN)}${lines}\n`
    : `${head}\n${" ".repeat(COLUMN)}${lines}\n`;
}
