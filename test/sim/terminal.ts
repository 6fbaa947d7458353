/** A terminal of `rows` by `columns` that shows what is written to it: as much of one as our screens use. Throws at anything else. */
export class SimTerminal {
  columns: number;
  rows: number;
  alternate = false;
  cursorShown = true;
  wraps = true;
  /** Characters that were printed, spaces of erasing not counted. */
  printed = 0;
  #cells: string[][] = [];
  #row = 0;
  #column = 0;

  constructor(columns: number, rows: number) {
    this.columns = columns;
    this.rows = rows;
    this.#erase();
  }

  /** Without spaces at the ends. */
  get lines(): string[] {
    return this.#cells.map((cells) => cells.join("").trimEnd());
  }

  resize(columns: number, rows: number): void {
    this.columns = columns;
    this.rows = rows;
    this.#erase();
  }

  #erase(): void {
    this.#cells = Array.from({ length: this.rows }, () => Array<string>(this.columns).fill(" "));
  }

  write(text: string): void {
    for (let at = 0; at < text.length; ) {
      const control = /^\x1b\[([?0-9;]*)([A-Za-z])/.exec(text.slice(at, at + 16));
      if (control !== null) {
        this.#control(control[1]!, control[2]!);
        at += control[0].length;
        continue;
      }
      const character = String.fromCodePoint(text.codePointAt(at)!);
      at += character.length;
      if (character === "\r") this.#column = 0;
      else if (character === "\n") this.#row++;
      else if (character < " ") throw new Error(`control character ${JSON.stringify(character)}`);
      else this.#print(character);
    }
  }

  #print(character: string): void {
    this.printed++;
    if (this.#row < this.rows && this.#column < this.columns)
      this.#cells[this.#row]![this.#column] = character;
    this.#column++;
  }

  #control(parameters: string, final: string): void {
    if (final === "m") return;
    if (final === "H") {
      const [row, column] = parameters.split(";").map(Number);
      this.#row = row! - 1;
      this.#column = column! - 1;
    } else if (final === "J" && parameters === "2") this.#erase();
    else if (final === "K" && parameters === "") this.#cells[this.#row]?.fill(" ", this.#column);
    else if (final === "h" || final === "l") this.#mode(parameters, final === "h");
    else throw new Error(`unknown control sequence ${parameters}${final}`);
  }

  #mode(parameters: string, on: boolean): void {
    if (parameters === "?1049") this.alternate = on;
    else if (parameters === "?25") this.cursorShown = on;
    else if (parameters === "?7") this.wraps = on;
    else if (parameters !== "?2026") throw new Error(`unknown mode ${parameters}`);
  }
}
