/**
 * What the tables of an applet say, for its page: every command with its usage, every option. Where the source in man/
 * explains one, its words stand in place of the table's.
 */
import type { OptionGroup, OptionSpec } from "../../src/lib/getopt.ts";
import type { HelpSections } from "../../src/ovsdb/ctl/help.ts";
import { optionGroupsOf } from "../completion/model.ts";
import {
  type Block,
  heading,
  literal,
  paragraph,
  type Section,
  sections,
  sentence,
  type Term,
  type Text,
  terms,
} from "./document.ts";

export interface CommandEntry {
  readonly name: string;
  /** Title of the commands that it is listed with. */
  readonly group?: string;
  /** Marked up. */
  readonly usage: Text;
  readonly about?: string;
}

type Simple = Readonly<Record<string, { usage?: string; args?: string; about?: string; help?: string }>>;

/** "[--may-exist] add-br BRIDGE": words in capitals are what the user puts in. */
function usageText(name: string, words: string): Text {
  const marked = words
    .split(/ +/)
    .filter((word) => word !== "")
    .map((word) =>
      /^[A-Z[\]|.,:=()+_{}-]*[A-Z][A-Z0-9[\]|.,:=()+_{}-]*$/.test(word) ? `*${word}*` : literal(word),
    );
  return [`**${name}**`, ...marked].join(" ");
}

function simple(table: Simple): CommandEntry[] {
  return Object.entries(table).map(([name, { usage, args, about, help }]) => {
    const text = about ?? help;
    return {
      name,
      usage: usageText(name, usage ?? args ?? ""),
      ...(text === undefined ? {} : { about: text }),
    };
  });
}

async function ctl(
  commands: import("../../src/ovsdb/ctl/command.ts").CommandTable,
  own: HelpSections,
): Promise<CommandEntry[]> {
  const { DATABASE_HELP, usage } = await import("../../src/ovsdb/ctl/help.ts");
  return Object.entries({ ...own, ...DATABASE_HELP }).flatMap(([group, entries]) =>
    Object.entries(entries).map(([name, about]): CommandEntry => {
      const words = usage(commands.get(name)!).split(" ");
      const at = words.indexOf(name);
      const text = usageText(name, words.slice(at + 1).join(" "));
      const before = words.slice(0, at).map(literal);
      return { name, group, usage: [...before, text].join(" "), about };
    }),
  );
}

const upper = (table: Simple): Simple =>
  Object.fromEntries(
    Object.entries(table).map(([name, row]) => [name, { ...row, usage: (row.usage ?? "").toUpperCase() }]),
  );

const COMMANDS: Readonly<Record<string, () => Promise<CommandEntry[]>>> = {
  "ovs-vsctl": async () =>
    ctl((await import("../ovs-vsctl/commands.ts")).COMMANDS, (await import("../ovs-vsctl/help.ts")).SECTIONS),
  "vtep-ctl": async () =>
    ctl((await import("../vtep-ctl/commands.ts")).COMMANDS, (await import("../vtep-ctl/help.ts")).SECTIONS),
  "ovs-ofctl": async () => simple(upper((await import("../ovs-ofctl/commands.ts")).COMMANDS)),
  "ovsdb-client": async () => simple((await import("../ovsdb-client.ts")).COMMANDS),
  "ovsdb-tool": async () => simple((await import("../ovsdb-tool.ts")).COMMANDS),
  "ovs-ctl": async () => simple((await import("../ovs-ctl/commands.ts")).COMMANDS as Simple),
  "ovs-pki": async () => simple((await import("../ovs-pki/commands.ts")).COMMANDS),
  "ovs-save": async () => simple((await import("../ovs-save.ts")).COMMANDS),
  "ovs-brctl": async () => simple((await import("../ovs-brctl/commands.ts")).COMMANDS as Simple),
};

export const commandEntries = async (applet: string): Promise<CommandEntry[]> =>
  (await COMMANDS[applet]?.()) ?? [];

/** Explanations of a section of the source: the first word of a term to its text. */
function explained(section: Section | undefined): Map<string, Term> {
  const found = new Map<string, Term>();
  for (const block of section?.blocks ?? [])
    if (block.kind === "terms")
      for (const item of block.items)
        for (const term of item.terms) found.set(term.replaceAll(/[`*]/g, "").split(/[ =]/)[0]!, item);
  return found;
}

/** Blocks of a section that are no explanations: they come first. */
const introduction = (section: Section | undefined): Block[] =>
  (section?.blocks ?? []).filter(({ kind }) => kind !== "terms");

function commandsSection(entries: readonly CommandEntry[], source: Section | undefined): Section {
  const words = explained(source);
  const blocks: Block[] = [...introduction(source)];
  let group: string | undefined;
  const list: Term[] = [];
  const flush = (): void => {
    if (list.length > 0) blocks.push(terms(list.splice(0)));
  };
  for (const entry of entries) {
    const body =
      words.get(entry.name)?.body ?? (entry.about === undefined ? [] : [paragraph(sentence(entry.about))]);
    // What neither the source nor the table explains is for tests only.
    if (body.length === 0) continue;
    if (entry.group !== group) {
      flush();
      group = entry.group;
      if (group !== undefined) blocks.push(heading(2, group));
    }
    list.push({ terms: [entry.usage], body });
  }
  flush();
  return { title: source?.title ?? "COMMANDS", blocks };
}

function optionTerm({ long, short, arg = "none", metavar = "ARG" }: OptionSpec): Text {
  const value = (before: string): string =>
    arg === "none" ? "" : arg === "required" ? `${before}*${metavar}*` : `[${before}*${metavar}*]`;
  const names = [];
  if (short !== undefined) names.push(long === undefined ? `**-${short}**${value(" ")}` : `**-${short}**`);
  if (long !== undefined) names.push(`**--${long}**${value("=")}`);
  return names.join(", ");
}

/** Every option, also those that --help leaves out; `--x` and `--no-x` together where one of them is explained. */
export function optionTerms(options: readonly OptionSpec[], words: ReadonlyMap<string, Term>): Term[] {
  const bodyOf = (option: OptionSpec): readonly Block[] => {
    const own = words.get(`--${option.long}`) ?? words.get(`-${option.short}`);
    return own?.body ?? (option.help === undefined ? [] : [paragraph(sentence(option.help))]);
  };
  const opposite = (a: OptionSpec, b: OptionSpec): boolean =>
    a.long !== undefined && b.long !== undefined && (a.long === `no-${b.long}` || b.long === `no-${a.long}`);
  return options
    .filter((option) => bodyOf(option).length > 0)
    .map((option) => {
      const silent = options.filter((other) => bodyOf(other).length === 0 && opposite(option, other));
      return { terms: [option, ...silent].map(optionTerm), body: bodyOf(option) };
    });
}

function optionsSection(groups: readonly OptionGroup[], source: Section | undefined): Section {
  const words = explained(source);
  const blocks: Block[] = [...introduction(source)];
  // Several groups of one title are one.
  const titles = new Map<string, OptionSpec[]>();
  // Options of a single command stand with the command.
  for (const { title, options } of groups)
    if (title !== "") titles.set(title, [...(titles.get(title) ?? []), ...options]);
  for (const [title, options] of titles) {
    if (titles.size > 1) blocks.push(heading(2, title));
    blocks.push(terms(optionTerms(options, words)));
  }
  return { title: "OPTIONS", blocks };
}

/** Puts what the tables say into the source: in place of its own sections, or before EXAMPLES. */
export async function appletBlocks(name: string, source: readonly Block[]): Promise<Section[]> {
  const parts = sections(source);
  const find = (title: string): Section | undefined => parts.find((part) => part.title === title);
  const entries = await commandEntries(name);
  const groups = await optionGroupsOf(name);
  const made: Section[] = [];
  if (entries.length > 0) made.push(commandsSection(entries, find("COMMANDS")));
  if (groups.length > 0) made.push(optionsSection(groups, find("OPTIONS")));
  const out: Section[] = [];
  for (const part of parts) {
    const own = made.findIndex(({ title }) => title === part.title);
    if (own >= 0) out.push(...made.splice(own, 1));
    else {
      if (part.title === "EXAMPLES") out.push(...made.splice(0));
      out.push(part);
    }
  }
  return [...out, ...made];
}
