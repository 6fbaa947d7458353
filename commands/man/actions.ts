/** ovs-actions(7): how the actions are sent, from their registry, under the words of the source. */
import { ACTIONS } from "../../src/openflow/actions/registry.ts";
import type { WireForm } from "../../src/openflow/actions/row.ts";
import { type Block, type Section, sections, type Term, terms } from "./document.ts";

const VERSIONS = ["", "1.0", "1.1", "1.2", "1.3", "1.4", "1.5"];

/** First word of a term as it is typed: "output:PORT" is about `output`. */
export const wordOf = (term: string): string => term.replaceAll(/[`*]/g, "").split(/[:(=, ]/)[0]!;

const bare = (name: string): string => name.replace(/^(mod|set)_/, "");

/** Wire forms by the words of the text syntax. Of a row with many words each one has those of its own name. */
const FORMS: ReadonlyMap<string, readonly WireForm[]> = new Map(
  ACTIONS.flatMap(({ words, wire }) => {
    const names = Object.keys(words);
    return names.map((word) => {
      const own = wire.filter(
        ({ name }) => bare(name.replace(/^[A-Z0-9]+_/, "").toLowerCase()) === bare(word),
      );
      return [word, names.length > 2 ? own : wire] as const;
    });
  }),
);

export const WORDS: readonly string[] = [...FORMS.keys()];

function versions({ name, first, last }: WireForm): string {
  if (first === 1 && last === 6) return name;
  return first === last
    ? `${name} (OpenFlow ${VERSIONS[first]})`
    : `${name} (OpenFlow ${VERSIONS[first]} to ${VERSIONS[last]})`;
}

function actionTerm({ terms: names, body }: Term): Term {
  const forms = new Set<string>();
  for (const name of names) for (const form of FORMS.get(wordOf(name)) ?? []) forms.add(versions(form));
  if (forms.size === 0) return { terms: names, body };
  return {
    terms: names,
    body: [...body, { kind: "paragraph", text: `On the wire: ${[...forms].join(", ")}.` }],
  };
}

export const actionsPage = (source: readonly Block[]): Section[] =>
  sections(source).map(({ title, blocks }) => ({
    title,
    blocks: blocks.map((block) => (block.kind === "terms" ? terms(block.items.map(actionTerm)) : block)),
  }));
