/** A page as text for a terminal, where there is no man or the page is not installed. */
import { type Block, type Page, type Span, spans, type Text } from "./document.ts";

const STYLES: Readonly<Record<Span["style"], readonly [string, string]>> = {
  plain: ["", ""],
  strong: ["\x1b[1m", "\x1b[22m"],
  literal: ["\x1b[1m", "\x1b[22m"],
  variable: ["\x1b[4m", "\x1b[24m"],
};

interface Paper {
  readonly width: number;
  readonly color: boolean;
  readonly out: string[];
}

/** Words with their styles; those that stand together without a blank are one. */
function words(text: Text, color: boolean): { shown: string; length: number }[] {
  const found: { shown: string; length: number }[] = [];
  let open = false;
  for (const { style, text: part } of spans(text)) {
    const [on, off] = color ? STYLES[style] : ["", ""];
    for (const [index, word] of part.split(/\s+/).entries()) {
      if (index > 0) open = false;
      if (word === "") continue;
      const shown = `${on}${word}${off}`;
      const last = found.at(-1);
      if (open && last !== undefined)
        found[found.length - 1] = { shown: last.shown + shown, length: last.length + word.length };
      else found.push({ shown, length: word.length });
      open = true;
    }
    if (/\s$/.test(part)) open = false;
  }
  return found;
}

function fill(text: Text, depth: number, { width, color, out }: Paper): void {
  const margin = " ".repeat(depth);
  let line = "";
  let length = 0;
  for (const word of words(text, color)) {
    if (length > 0 && depth + length + 1 + word.length > width) {
      out.push(margin + line);
      line = "";
      length = 0;
    }
    line += (length > 0 ? " " : "") + word.shown;
    length += (length > 0 ? 1 : 0) + word.length;
  }
  if (length > 0) out.push(margin + line);
}

const MARGIN = 4;

function render(blocks: readonly Block[], depth: number, paper: Paper): void {
  const { out, color } = paper;
  const strong = (text: string): string => (color ? `\x1b[1m${text}\x1b[22m` : text);
  const gap = (): void => {
    if (out.length > 0 && out.at(-1) !== "") out.push("");
  };
  blocks.forEach((block, index) => {
    if (index > 0 && blocks[index - 1]!.kind !== "heading") gap();
    switch (block.kind) {
      case "heading":
        out.push(block.level === 1 ? strong(block.text) : `  ${strong(block.text)}`);
        break;
      case "paragraph":
        fill(block.text, depth, paper);
        break;
      case "bullets":
        for (const item of block.items) {
          const at = out.length;
          render(item, depth + 2, paper);
          if (out[at] !== undefined) out[at] = `${" ".repeat(depth)}- ${out[at].slice(depth + 2)}`;
        }
        break;
      case "terms":
        for (const { terms, body } of block.items) {
          for (const term of terms) fill(term, depth, paper);
          render(body, depth + 4, paper);
        }
        break;
      case "code":
        for (const line of block.text.split("\n")) out.push(`${" ".repeat(depth + 2)}${line}`);
        break;
    }
  });
}

/** `width` columns; `color` marks what is literal or variable. */
export function plain(page: Page, width: number, color: boolean): string {
  const paper: Paper = { width, color, out: [] };
  render(
    [
      { kind: "heading", level: 1, text: "NAME" },
      { kind: "paragraph", text: `${page.name} - ${page.about}` },
      ...page.blocks,
    ],
    MARGIN,
    paper,
  );
  return `${paper.out.join("\n")}\n`;
}
