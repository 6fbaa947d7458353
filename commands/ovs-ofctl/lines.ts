/** Files of flows, groups and bundles, line by line. */
import fs from "node:fs";
import { isSpace } from "../../src/flow/items.ts";
import { describeError, Fatal } from "../../src/lib/errors.ts";
import { TextError } from "../../src/openflow/actions/registry.ts";
import type { Ofctl } from "./settings.ts";

export interface Line {
  readonly text: string;
  readonly line: number;
}

/** A file's lines that say something: offsets into its text, as a hundred thousand lines would be as many objects. */
export class Lines implements Iterable<Line> {
  count = 0;
  private readonly text: string;
  /** Start, end and number of each. */
  private table = new Int32Array(3 * 64);

  constructor(text: string) {
    this.text = text;
    let line = 0;
    for (let at = 0; at < text.length; ) {
      let end = text.indexOf("\n", at);
      if (end < 0) end = text.length;
      line++;
      this.add(at, end, line);
      at = end + 1;
    }
  }

  /** Unless white space and a comment are all there is. */
  private add(start: number, end: number, line: number): void {
    const { text } = this;
    for (let at = start; at < end; at++) if (text.charCodeAt(at) === HASH) end = at;
    while (start < end && isSpace(text.charCodeAt(start))) start++;
    while (start < end && isSpace(text.charCodeAt(end - 1))) end--;
    if (start === end) return;
    const at = this.count++ * 3;
    if (at === this.table.length) {
      const grown = new Int32Array(at * 2);
      grown.set(this.table);
      this.table = grown;
    }
    this.table[at] = start;
    this.table[at + 1] = end;
    this.table[at + 2] = line;
  }

  at(index: number): string {
    return this.text.slice(this.table[index * 3], this.table[index * 3 + 1]);
  }

  /** From 1. */
  number(index: number): number {
    return this.table[index * 3 + 2]!;
  }

  *[Symbol.iterator](): Iterator<Line> {
    for (let i = 0; i < this.count; i++) yield { text: this.at(i), line: this.number(i) };
  }
}

const HASH = 35;

/** The lines of a file ("-": standard input) with their numbers; comments and empty lines left out. */
export async function readLines(o: Ofctl, file: string): Promise<Lines> {
  let bytes: Uint8Array;
  if (file === "-") bytes = await o.platform.stdin();
  else {
    try {
      bytes = fs.readFileSync(file);
    } catch (error) {
      throw new Fatal(`${file}: open failed (${describeError(error)})`);
    }
  }
  return new Lines(new TextDecoder().decode(bytes));
}

/** Runs a parser of one line; its errors name file and line. */
export function atLine<T>(file: string, line: number, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw errorAtLine(error, file, line);
  }
}

/** The error to throw for one of a line. */
export function errorAtLine(error: unknown, file: string, line: number): unknown {
  return error instanceof TextError ? new Fatal(`${file}:${line}: ${error.message}`) : error;
}
