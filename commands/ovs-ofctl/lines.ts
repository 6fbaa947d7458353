/** Files of flows, groups and bundles, line by line. */
import fs from "node:fs";
import { describeError, Fatal } from "../../src/lib/errors.ts";
import { TextError } from "../../src/openflow/actions/registry.ts";
import type { Ofctl } from "./settings.ts";

export interface Line {
  readonly text: string;
  readonly line: number;
}

/** The lines of a file ("-": standard input) with their numbers; comments and empty lines left out. */
export async function readLines(o: Ofctl, file: string): Promise<Line[]> {
  let bytes: Uint8Array;
  if (file === "-") bytes = await o.platform.stdin();
  else {
    try {
      bytes = fs.readFileSync(file);
    } catch (error) {
      throw new Fatal(`${file}: open failed (${describeError(error)})`);
    }
  }
  const out: Line[] = [];
  const text = new TextDecoder().decode(bytes);
  let line = 0;
  for (let at = 0; at < text.length; ) {
    let end = text.indexOf("\n", at);
    if (end < 0) end = text.length;
    line++;
    let one = text.slice(at, end);
    at = end + 1;
    const hash = one.indexOf("#");
    if (hash >= 0) one = one.slice(0, hash);
    one = one.trim();
    if (one !== "") out.push({ text: one, line });
  }
  return out;
}

/** Runs a parser of one line; its errors name file and line. */
export function atLine<T>(file: string, line: number, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof TextError) throw new Fatal(`${file}:${line}: ${error.message}`);
    throw error;
  }
}
