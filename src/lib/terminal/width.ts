/** Columns that text takes on a terminal, and text cut to columns. */

/** East Asian wide characters and emoji, coarsely; combining marks and other zero-width characters. */
const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
const NONE = /[\p{Mn}\p{Me}\p{Cf}]/u;
/** What would move the cursor or change the terminal. */
const CONTROL = /[\0-\x1f\x7f-\x9f]/g;

function columns(character: string): number {
  if (character < "\u0300") return 1;
  return NONE.test(character) ? 0 : WIDE.test(character) ? 2 : 1;
}

export function textWidth(text: string): number {
  let width = 0;
  for (const character of text) width += columns(character);
  return width;
}

/** Text from elsewhere (names, filters) made harmless. */
export function printable(text: string): string {
  return text.replace(CONTROL, "?");
}

/** Cut to `width` columns, the last of them "…" where something is missing. */
export function cut(text: string, width: number): string {
  if (text.length <= width && textWidth(text) <= width) return text;
  if (width <= 0) return "";
  let kept = "";
  let used = 0;
  for (const character of text) {
    const next = used + columns(character);
    if (next > width - 1) break;
    kept += character;
    used = next;
  }
  return `${kept}…`;
}

/** Cut or filled with spaces to exactly `width` columns. */
export function fit(text: string, width: number, right = false): string {
  const shown = cut(text, width);
  const fill = " ".repeat(Math.max(0, width - textWidth(shown)));
  return right ? fill + shown : shown + fill;
}
