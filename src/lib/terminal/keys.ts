/** What a terminal in raw mode sends, as names of keys: characters stand for themselves, others have names in capitals. */

const SEQUENCES: Readonly<Record<string, string>> = {
  "[A": "UP",
  "[B": "DOWN",
  "[C": "RIGHT",
  "[D": "LEFT",
  OA: "UP",
  OB: "DOWN",
  OC: "RIGHT",
  OD: "LEFT",
  "[5~": "PAGEUP",
  "[6~": "PAGEDOWN",
  "[H": "HOME",
  "[F": "END",
  OH: "HOME",
  OF: "END",
  "[1~": "HOME",
  "[4~": "END",
  "[Z": "BACKTAB",
};

const CONTROLS: Readonly<Record<string, string>> = {
  "\r": "ENTER",
  "\n": "ENTER",
  "\t": "TAB",
  "\x7f": "BACKSPACE",
  "\b": "BACKSPACE",
  "\x1b": "ESC",
};

/** ESC, then "[", parameters and a final character, or "O" and one. */
const SEQUENCE = /^\x1b(\[[0-?]*[ -/]*[@-~]|O.)/;

/** The keys of `text`, which holds whole sequences. Unknown sequences are left out; control characters are "^C". */
export function decodeKeys(text: string): string[] {
  const keys: string[] = [];
  while (text !== "") {
    const sequence = SEQUENCE.exec(text);
    if (sequence !== null) {
      const name = SEQUENCES[sequence[1]!];
      if (name !== undefined) keys.push(name);
      text = text.slice(sequence[0].length);
      continue;
    }
    const character = String.fromCodePoint(text.codePointAt(0)!);
    text = text.slice(character.length);
    if (CONTROLS[character] !== undefined) keys.push(CONTROLS[character]);
    else if (character < " ") keys.push(`^${String.fromCharCode(character.charCodeAt(0) + 64)}`);
    else keys.push(character);
  }
  return keys;
}
