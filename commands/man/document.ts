/**
 * A manual page as data, and the few forms of Markdown that the sources in man/ are written in: headings, paragraphs,
 * bullets, terms with what they mean (`TERM`, then `: text`), fenced code, and comments, which are not shown.
 */

/** Running text: `**strong**`, `*variable*` and `` `literal` `` are marked in it. */
export type Text = string;

export interface Term {
  /** One or more lines that are explained together. */
  readonly terms: readonly Text[];
  readonly body: readonly Block[];
}

export type Block =
  | { readonly kind: "heading"; readonly level: number; readonly text: Text }
  | { readonly kind: "paragraph"; readonly text: Text }
  | { readonly kind: "bullets"; readonly items: readonly (readonly Block[])[] }
  | { readonly kind: "terms"; readonly items: readonly Term[] }
  /** `info` is what stands behind the fence: see the README of man/. */
  | { readonly kind: "code"; readonly info: string; readonly text: string };

export interface Page {
  readonly name: string;
  readonly section: number;
  /** Behind the name, in the section NAME. */
  readonly about: string;
  readonly blocks: readonly Block[];
}

const FENCE = /^```(.*)$/;
const HEADING = /^(#{1,3}) (.*)$/;
const BULLET = /^- (.*)$/;
const MEANING = /^: (.*)$/;

/** Reads a source. Indentation by two blanks continues a bullet's or a term's text. */
export function parseMarkdown(source: string): Block[] {
  return parseLines(source.replaceAll(/<!--.*?-->\n?/gs, "").split("\n"));
}

function parseLines(lines: readonly string[]): Block[] {
  const blocks: Block[] = [];
  let at = 0;
  /** Lines that follow and are indented, or blank with an indented one behind, without the indentation. */
  const indented = (): string[] => {
    const found: string[] = [];
    while (at < lines.length) {
      const line = lines[at]!;
      if (line.startsWith("  ")) found.push(line.slice(2));
      else if (line === "" && lines[at + 1]?.startsWith("  ")) found.push("");
      else break;
      at++;
    }
    return found;
  };
  while (at < lines.length) {
    const line = lines[at]!;
    if (line === "") {
      at++;
      continue;
    }
    const fence = FENCE.exec(line);
    if (fence !== null) {
      const end = lines.indexOf("```", at + 1);
      if (end < 0) throw new Error(`code without an end: ${line}`);
      blocks.push({ kind: "code", info: fence[1]!, text: lines.slice(at + 1, end).join("\n") });
      at = end + 1;
      continue;
    }
    const heading = HEADING.exec(line);
    if (heading !== null) {
      blocks.push({ kind: "heading", level: heading[1]!.length, text: heading[2]! });
      at++;
      continue;
    }
    if (BULLET.test(line)) {
      const items: Block[][] = [];
      for (
        let bullet = BULLET.exec(lines[at] ?? "");
        bullet !== null;
        bullet = BULLET.exec(lines[at] ?? "")
      ) {
        at++;
        items.push(parseLines([bullet[1]!, ...indented()]));
      }
      blocks.push({ kind: "bullets", items });
      continue;
    }
    const start = at;
    while (at < lines.length && lines[at] !== "" && !MEANING.test(lines[at]!) && !FENCE.test(lines[at]!))
      at++;
    const words = lines.slice(start, at);
    const meaning = MEANING.exec(lines[at] ?? "");
    if (meaning === null) {
      blocks.push({ kind: "paragraph", text: words.join(" ") });
      continue;
    }
    at++;
    const item: Term = { terms: words, body: parseLines([meaning[1]!, ...indented()]) };
    const last = blocks.at(-1);
    if (last?.kind === "terms") blocks[blocks.length - 1] = { kind: "terms", items: [...last.items, item] };
    else blocks.push({ kind: "terms", items: [item] });
  }
  return blocks;
}

export interface Section {
  readonly title: string;
  readonly blocks: readonly Block[];
}

/** Cuts at the headings of level 1; what stands before the first is dropped. */
export function sections(blocks: readonly Block[]): Section[] {
  const found: { title: string; blocks: Block[] }[] = [];
  for (const block of blocks) {
    if (block.kind === "heading" && block.level === 1) found.push({ title: block.text, blocks: [] });
    else found.at(-1)?.blocks.push(block);
  }
  return found;
}

export const joined = (parts: readonly Section[]): Block[] =>
  parts.flatMap(({ title, blocks }): Block[] => [{ kind: "heading", level: 1, text: title }, ...blocks]);

export const heading = (level: number, text: Text): Block => ({ kind: "heading", level, text });
export const paragraph = (text: Text): Block => ({ kind: "paragraph", text });
export const terms = (items: readonly Term[]): Block => ({ kind: "terms", items });

/** Pieces of running text by how they are marked. */
export interface Span {
  readonly style: "plain" | "strong" | "variable" | "literal";
  readonly text: string;
}

const MARKED = /\*\*(.+?)\*\*|(?<![\w*])\*(?!\s)([^*]+?)\*(?![\w*])|`([^`]+)`/g;

export function spans(text: Text): Span[] {
  const found: Span[] = [];
  let at = 0;
  for (const match of text.matchAll(MARKED)) {
    if (match.index > at) found.push({ style: "plain", text: text.slice(at, match.index) });
    const [whole, strong, variable, literal] = match;
    found.push(
      strong !== undefined
        ? { style: "strong", text: strong }
        : variable !== undefined
          ? { style: "variable", text: variable }
          : { style: "literal", text: literal! },
    );
    at = match.index + whole.length;
  }
  if (at < text.length) found.push({ style: "plain", text: text.slice(at) });
  return found;
}

/** "add-br" to "**add-br**": text that must not be read as marked is made literal. */
export const literal = (text: string): Text => `\`${text}\``;

/** A fragment of a help text as a sentence. */
export function sentence(text: string): Text {
  const flat = text.replaceAll(/\s*\n\s*/g, " ").trim();
  if (flat === "") return flat;
  return flat[0]!.toUpperCase() + flat.slice(1) + (/[.!?]$/.test(flat) ? "" : ".");
}
