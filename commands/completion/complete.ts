/** One word of a command line, completed: the words that may stand there. */
import type { OptionSpec } from "../../src/lib/getopt.ts";
import { APPLETS, appletName, SUBCOMMANDS } from "../applets.ts";
import { bridges, column, daemonCommands, daemons, freeDevices, ports } from "./live.ts";
import { type CommandModel, commandsOf, optionsOf } from "./model.ts";

/** Instead of words: names of files. */
export const FILES = ":files";

/** Values of options, by their long names. */
const OPTION_VALUES: Readonly<Record<string, () => string[]>> = {
  target: daemons,
  format: () => ["table", "list", "html", "csv", "json", "text"],
  data: () => ["string", "bare", "json"],
  protocols: () => ["OpenFlow10", "OpenFlow11", "OpenFlow12", "OpenFlow13", "OpenFlow14", "OpenFlow15"],
  color: () => ["always", "auto", "never"],
};

/**
 * What may stand at `words[at]`; `words[0]` is the program. Not filtered by what has been typed, but for its kind
 * (an option or not).
 */
export async function complete(words: readonly string[], at: number): Promise<string[]> {
  const called = (words[0] ?? "").split("/").at(-1)!;
  if (called === "ovsbox") {
    if (at === 1) return [...Object.keys(SUBCOMMANDS), ...Object.keys(APPLETS)];
    if (at === 2 && (words[1] === "help" || words[1] === "man"))
      return (await import("../man/pages.ts")).PAGES.map(({ name }) => name);
    const name = appletName(words[1] ?? "");
    return name === undefined ? [FILES] : complete([name, ...words.slice(2)], at - 1);
  }
  return Object.hasOwn(APPLETS, called)
    ? completeApplet(called, words.slice(1, at), words[at] ?? "")
    : [FILES];
}

async function completeApplet(applet: string, before: readonly string[], current: string): Promise<string[]> {
  const options = await optionsOf(applet);
  const line = readLine(applet, options, before);
  if (line.wants !== undefined) {
    const values = line.wants.long === undefined ? undefined : OPTION_VALUES[line.wants.long];
    return values?.() ?? [FILES];
  }
  const remote = applet === "ovs-appctl" ? daemonCommands(line.target) : undefined;
  const commands =
    remote === undefined
      ? await commandsOf(applet)
      : Object.fromEntries(Object.entries(remote).map(([name, args]) => [name, { args, options: [] }]));
  const [name, ...args] = line.words;
  const command = name !== undefined && Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (current.startsWith("-")) {
    const own =
      name === undefined ? Object.values(commands).flatMap((each) => each.options) : (command?.options ?? []);
    return unique([...options.flatMap(optionWords), ...own]);
  }
  if (name === undefined) return Object.keys(commands).length > 0 ? Object.keys(commands) : [FILES];
  return command === undefined ? [] : argument(applet, command, args);
}

interface Line {
  /** The words that are no options, since the last "--" of a ctl program. */
  readonly words: string[];
  readonly target: string | undefined;
  /** The option whose value comes next. */
  readonly wants: OptionSpec | undefined;
}

function readLine(applet: string, options: readonly OptionSpec[], before: readonly string[]): Line {
  let words: string[] = [];
  let target: string | undefined;
  let wants: OptionSpec | undefined;
  const severalCommands = applet === "ovs-vsctl" || applet === "vtep-ctl";
  for (const word of before) {
    if (wants !== undefined) {
      if (wants.long === "target") target = word;
      wants = undefined;
    } else if (word === "--") {
      if (severalCommands) words = [];
    } else if (word.startsWith("-") && word !== "-") {
      const [head, value] = word.split("=");
      const spec = options.find(({ long, short }) => head === `--${long}` || head === `-${short}`);
      if (spec?.long === "target") target = value;
      if (spec?.arg === "required" && value === undefined) wants = spec;
    } else words.push(word);
  }
  return { words, target, wants };
}

function optionWords({ long, arg }: OptionSpec): string[] {
  return long === undefined ? [] : [`--${long}${arg === "required" ? "=" : ""}`];
}

const unique = (words: readonly string[]): string[] => [...new Set(words)];

/** Placeholder, in lower case and bare of brackets, to what may stand there. */
const ARGUMENTS: Readonly<Record<string, (args: readonly string[]) => string[]>> = {
  bridge: bridges,
  switch: bridges,
  parent: bridges,
  port: ([bridge]) => ports(bridge),
  bond: ([bridge]) => ports(bridge),
  iface: () => column("Interface", "name"),
  "port|iface": () => column("Interface", "name"),
  "new-port": freeDevices,
  record: ([table]) => column(table ?? "", "name"),
  mode: () => ["standalone", "secure"],
  file: () => [FILES],
  db: () => [FILES],
  schema: () => [FILES],
};

async function argument(
  applet: string,
  { args: places }: CommandModel,
  args: readonly string[],
): Promise<string[]> {
  const last = places.at(-1);
  const place = places[args.length] ?? (last?.endsWith("...") ? last : undefined);
  if (place === undefined) return [];
  const kind = place.replaceAll(/[[\]]|\.\.\.$/g, "").toLowerCase();
  if (kind === "table") return tables(applet);
  if (kind.startsWith("column")) return columns(applet, args, kind);
  // "[bridge] [dp]" of a daemon's commands, and names that only begin so ("bridge-name").
  const known = ARGUMENTS[kind] ?? (kind.includes("bridge") ? bridges : undefined);
  return known?.(args) ?? [];
}

async function schemaOf(applet: string) {
  return applet === "vtep-ctl"
    ? (await import("../../src/ovsdb/schemas/hardware-vtep.ts")).hardwareVtepSchema
    : (await import("../../src/vswitch/schema/index.ts")).openVswitchSchema;
}

async function tables(applet: string): Promise<string[]> {
  return Object.keys((await schemaOf(applet)).tables);
}

/** `COLUMN:KEY=VALUE` of the table in `args[0]`, or of Port for add-port and its like. */
async function columns(applet: string, args: readonly string[], kind: string): Promise<string[]> {
  const all = (await schemaOf(applet)).tables as Readonly<Record<string, { columns: object }>>;
  const table = Object.keys(all).find((name) => name.toLowerCase() === args[0]?.toLowerCase()) ?? "Port";
  const names = Object.keys(all[table]?.columns ?? {});
  return kind.includes("=") ? names.map((name) => `${name}=`) : names;
}
