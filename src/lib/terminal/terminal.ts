/** A terminal as programs see it; the real one is `src/sys/terminal.ts`. */
export interface Terminal {
  readonly columns: number;
  readonly rows: number;
  /** At once and whole. */
  write(text: string): void;
  /** Keys come one by one and are not shown from now on; `input` gets whole sequences (see keys.ts). */
  start(input: (text: string) => void, resized: () => void): void;
  /** Back to lines and echo for a while (`false`), and to single keys again. */
  raw(on: boolean): void;
  /** The terminal is as it was before `start`. Idempotent. */
  end(): void;
}
