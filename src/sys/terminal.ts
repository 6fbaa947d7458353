/** The terminal that the process was started on: size, keys one by one, and a word when it changes its size. */
import type { Terminal } from "../lib/terminal/terminal.ts";

/** A lone ESC is told from a sequence by nothing following it for this long. */
const ESCAPE_MS = 30;

export function openTerminal(write: (text: string) => void): Terminal {
  const { stdin, stdout } = process;
  let ended = false;
  return {
    get columns() {
      return size()[0];
    },
    get rows() {
      return size()[1];
    },
    write,
    start: (input, resized) => {
      let pending = "";
      let timer: ReturnType<typeof setTimeout> | undefined;
      const flush = (): void => {
        const text = pending;
        pending = "";
        input(text);
      };
      stdin.setRawMode(true);
      stdin.setEncoding("utf8");
      stdin.on("data", (text: string) => {
        clearTimeout(timer);
        pending += text;
        if (/\x1b(\[[0-?]*|O)?$/.test(pending)) timer = setTimeout(flush, ESCAPE_MS);
        else flush();
      });
      stdin.on("end", () => input("q"));
      stdin.resume();
      process.on("SIGWINCH", resized);
    },
    raw: (on) => {
      if (ended) return;
      stdin.setRawMode(on);
    },
    end: () => {
      if (ended) return;
      stdin.setRawMode(false);
      ended = true;
    },
  };

  /** Asked for each time: the event may come later than the signal. */
  function size(): [columns: number, rows: number] {
    const [columns, rows] = (stdout as { getWindowSize?: () => [number, number] }).getWindowSize?.() ?? [
      80, 24,
    ];
    return [columns > 0 ? columns : 80, rows > 0 ? rows : 24];
  }
}
