/** What pages lack, or explain that is not there: for the test that keeps them whole. */
import type { OptionSpec } from "../../src/lib/getopt.ts";
import { APPLETS, SUBCOMMANDS } from "../applets.ts";
import { optionGroupsOf } from "../completion/model.ts";
import { commandEntries, optionTerms } from "./applet.ts";
import { type Block, parseMarkdown, type Section, sections } from "./document.ts";
import { PAGES } from "./pages.ts";

/** One complaint a line. */
export async function check(): Promise<string[]> {
  const wrong: string[] = [];
  for (const [name, { about }] of Object.entries(APPLETS))
    if (!about.includes("(not implemented)") && !PAGES.some((page) => page.name === name))
      wrong.push(`${name}: no page`);
  for (const name of Object.keys(SUBCOMMANDS))
    if (!PAGES.some((page) => page.name === `ovsbox-${name}`)) wrong.push(`ovsbox ${name}: no page`);
  for (const { name, section, source } of PAGES) {
    const say: Say = (text) => void wrong.push(`${name}.${section}: ${text}`);
    const parts = sections(parseMarkdown(source));
    const last = parts.map(({ title }) => title).slice(-2);
    if (last[0] !== "EXAMPLES" || last[1] !== "SEE ALSO") say("does not end with EXAMPLES and SEE ALSO");
    references(source).forEach((page) => {
      if (/^(ovs|vtep)/.test(page) && !PAGES.some((other) => `${other.name}(${other.section})` === page))
        say(`there is no page ${page}`);
    });
    const word = name.replace(/^ovsbox-/, "");
    const program = name in APPLETS ? name : word in SUBCOMMANDS && word !== name ? word : undefined;
    if (program !== undefined) await checkProgram(program, parts, say);
    await CHECKS[name]?.(parseMarkdown(source), say);
  }
  return wrong;
}

type Say = (text: string) => void;

const CHECKS: Readonly<Record<string, (source: readonly Block[], say: Say) => Promise<void>>> = {
  "ovs-vswitchd.conf.db": async (source, say) =>
    (await import("./database.ts")).checkTables(
      (await import("../../src/vswitch/schema/index.ts")).openVswitchSchema,
      source,
      say,
    ),
  vtep: async (source, say) =>
    (await import("./database.ts")).checkTables(
      (await import("../../src/ovsdb/schemas/hardware-vtep.ts")).hardwareVtepSchema,
      source,
      say,
    ),
  "ovs-fields": async (source, say) => {
    const explained = explainedIn(source);
    for (const { name } of (await import("./fields.ts")).TOLD)
      if (!explained.has(name)) say(`field ${name} is not explained`);
  },
  "ovs-actions": async (source, say) => {
    const { WORDS, wordOf } = await import("./actions.ts");
    const explained = explainedIn(source, wordOf);
    for (const word of WORDS) if (!explained.has(word.toLowerCase())) say(`action ${word} is not explained`);
  },
};

const references = (source: string): string[] =>
  [...source.matchAll(/\*\*([\w.-]+)\*\*\((\d)\)/g)].map(([, name, section]) => `${name}(${section})`);

async function checkProgram(program: string, parts: readonly Section[], say: Say): Promise<void> {
  const entries = await commandEntries(program);
  const commands = explainedIn(parts.find(({ title }) => title === "COMMANDS")?.blocks ?? []);
  if (entries.length > 0) {
    const names = new Set(entries.map((entry) => entry.name));
    for (const name of commands) if (!names.has(name)) say(`there is no command ${name}`);
  }
  // A command that shows no usage is one for tests.
  for (const { name, about, usage } of entries)
    if (about === undefined && !commands.has(name) && usage !== `**${name}**`)
      say(`command ${name} is not explained`);
  const groups = (await optionGroupsOf(program)).filter(({ title }) => title !== "");
  const options = groups.flatMap((group) => group.options);
  const explained = explainedIn(parts.find(({ title }) => title === "OPTIONS")?.blocks ?? []);
  const known = new Set(options.flatMap(namesOf));
  for (const name of explained) if (!known.has(name)) say(`there is no option ${name}`);
  const items = new Map(
    [...explained].map((name) => [name, { terms: [name], body: [{ kind: "paragraph", text: "" } as Block] }]),
  );
  const shown = optionTerms(options, items).flatMap(({ terms }) => terms.join(" "));
  for (const name of known)
    if (!shown.some((text) => text.split(/[^\w-]+/).includes(name))) say(`option ${name} is not explained`);
}

const namesOf = ({ long, short }: OptionSpec): string[] => [
  ...(long === undefined ? [] : [`--${long}`]),
  ...(short === undefined ? [] : [`-${short}`]),
];

const firstWord = (term: string): string => term.replaceAll(/[`*]/g, "").split(/[ =]/)[0]!;

/** First words of the terms. */
function explainedIn(blocks: readonly Block[], wordOf = firstWord): Set<string> {
  const found = new Set<string>();
  for (const block of blocks)
    if (block.kind === "terms")
      for (const { terms } of block.items) for (const term of terms) found.add(wordOf(term));
  return found;
}
