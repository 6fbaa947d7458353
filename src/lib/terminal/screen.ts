/**
 * A whole screen of text on a terminal (ECMA-48, xterm): given all lines each time, it writes those that have changed, so
 * nothing flickers and a slow line carries little. Pure: what is to be written comes back as a string.
 */

/** To the alternate screen, cursor off, no wrapping of long lines. */
export const ENTER_SCREEN = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
/** Everything as it was before. */
export const LEAVE_SCREEN = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";

/** A terminal that knows synchronized updates shows all of it at once; others ignore the two. */
const BEGIN_UPDATE = "\x1b[?2026h";
const END_UPDATE = "\x1b[?2026l";

export class Screen {
  #shown: readonly string[] = [];
  #rows = 0;

  /** What is on the terminal is not known any more (a resize, a return from suspension): the next update writes it all. */
  forget(): void {
    this.#rows = 0;
    this.#shown = [];
  }

  /** Lines from the top, at most `rows` of them; those that are missing are cleared. "": nothing has changed. */
  update(lines: readonly string[], rows: number): string {
    let text = this.#rows === rows ? "" : "\x1b[0m\x1b[2J";
    if (this.#rows !== rows) this.#shown = [];
    const last = Math.min(rows, Math.max(lines.length, this.#shown.length));
    for (let row = 0; row < last; row++) {
      const line = lines[row] ?? "";
      if (line === (this.#shown[row] ?? "")) continue;
      text += `\x1b[${row + 1};1H${line}\x1b[0m\x1b[K`;
    }
    this.#rows = rows;
    this.#shown = lines.slice(0, rows);
    return text === "" ? "" : `${BEGIN_UPDATE}${text}${END_UPDATE}`;
  }
}
