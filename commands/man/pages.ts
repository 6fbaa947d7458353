/** All manual pages: a source in man/ each, named NAME.SECTION.md, and what makes the page of it. */
import { APPLETS, SUBCOMMANDS } from "../applets.ts";
import { type Block, joined, type Page, parseMarkdown, type Section, sections } from "./document.ts";
import { SOURCES } from "./sources.ts";

type Maker = (source: readonly Block[]) => Promise<Section[]> | Section[];

/** Pages that are about no program. */
const TOPICS: Readonly<Record<string, { about: string; make: Maker }>> = {
  "ovs-vswitchd.conf.db": {
    about: "the database of the switch",
    make: async (source) =>
      (await import("./database.ts")).databasePage(
        (await import("../../src/vswitch/schema/index.ts")).openVswitchSchema,
        source,
      ),
  },
  vtep: {
    about: "the database of a hardware VTEP",
    make: async (source) =>
      (await import("./database.ts")).databasePage(
        (await import("../../src/ovsdb/schemas/hardware-vtep.ts")).hardwareVtepSchema,
        source,
      ),
  },
  "ovs-fields": {
    about: "fields of packets that flows match",
    make: async (source) => (await import("./fields.ts")).fieldsPage(source),
  },
  "ovs-actions": {
    about: "what flows do with packets",
    make: async (source) => (await import("./actions.ts")).actionsPage(source),
  },
};

export interface PageName {
  readonly name: string;
  readonly section: number;
  /** The text in man/. */
  readonly source: string;
}

export const PAGES: readonly PageName[] = Object.entries(SOURCES).map(([file, source]) => {
  const [, name, section] = /^(.+)\.(\d)$/.exec(file)!;
  return { name: name!, section: Number(section), source };
});

/** What `help` and `man` are asked for: a page, an applet with or without "ovs-", a word of ovsbox. */
export function pageNamed(word: string): PageName | undefined {
  for (const name of [word, `ovs-${word}`, `ovsbox-${word}`, `ovs-vswitchd.${word}`]) {
    const page = PAGES.find((candidate) => candidate.name === name);
    if (page !== undefined) return page;
  }
  return undefined;
}

export async function makePage({ name, section, source }: PageName): Promise<Page> {
  const blocks = parseMarkdown(source);
  const topic = TOPICS[name];
  if (topic !== undefined)
    return { name, section, about: topic.about, blocks: joined(await topic.make(blocks)) };
  const word = name.replace(/^ovsbox-/, "");
  const program = APPLETS[name] ?? (word === name ? undefined : SUBCOMMANDS[word]);
  if (program === undefined) return { name, section, about: ABOUT_OVSBOX, blocks: joined(sections(blocks)) };
  const { appletBlocks } = await import("./applet.ts");
  const about = program.about.replace(/ \(its options: .*\)$/, "");
  return { name, section, about, blocks: joined(await appletBlocks(word === name ? name : word, blocks)) };
}

const ABOUT_OVSBOX = "all of Open vSwitch as one executable";
