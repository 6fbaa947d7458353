/** Files of flows: parsed line by line, and encoded as they are. */
import { type Match, makeMatch } from "../../src/flow/match.ts";
import { type FlowMod, OFPFC_ADD } from "../../src/openflow/messages.ts";
import { P_ANY } from "../../src/openflow/protocols.ts";
import {
  type FlowParseOptions,
  leadingCommand,
  type ParsedFlow,
  parseFlow,
} from "../../src/openflow/text/flow-parse.ts";
import { Writer } from "../../src/openflow/wire.ts";
import { errorAtLine, type Lines, readLines } from "./lines.ts";
import { encodeInProtocol } from "./session.ts";
import type { Ofctl } from "./settings.ts";

/** Flows as text. */
export interface FlowSource {
  readonly count: number;
  /** Parses one, into the match given if any; `quiet` without log lines. */
  parse(at: number, scratch?: Match, quiet?: boolean): ParsedFlow;
}

/** One flow of a command line. */
export function oneFlow(text: string, command: number, options: FlowParseOptions): FlowSource {
  return {
    count: 1,
    parse: (_, scratch, quiet) => parseFlow(text, command, { ...options, scratch, quiet }),
  };
}

/** A file's lines, each a flow; errors name file and line. */
class FlowFile implements FlowSource {
  private readonly file: string;
  private readonly lines: Lines;
  private readonly command: number;
  private readonly options: FlowParseOptions;

  constructor(file: string, lines: Lines, command: number, options: FlowParseOptions) {
    this.file = file;
    this.lines = lines;
    this.command = command;
    this.options = { ...options };
  }

  get count(): number {
    return this.lines.count;
  }

  parse(at: number, scratch?: Match, quiet?: boolean): ParsedFlow {
    const text = this.lines.at(at);
    const { options, command } = this;
    options.scratch = scratch;
    options.quiet = quiet;
    const leading = command === -2 ? leadingCommand(text) : undefined;
    const of = leading?.command ?? (command === -2 ? OFPFC_ADD : command);
    try {
      return parseFlow(leading?.rest ?? text, of, options);
    } catch (error) {
      throw errorAtLine(error, this.file, this.lines.number(at));
    }
  }
}

/** The flows of a file. Command -2: each line may say what it is for. */
export async function openFlowFile(
  o: Ofctl,
  file: string,
  command: number,
  options: FlowParseOptions,
): Promise<FlowSource> {
  return new FlowFile(file, await readLines(o, file), command, options);
}

/** Parses all of it, to be kept. */
export function parseAll(source: FlowSource): { flows: FlowMod[]; usable: number } {
  const flows: FlowMod[] = [];
  let usable = P_ANY;
  for (let i = 0; i < source.count; i++) {
    const parsed = source.parse(i);
    usable &= parsed.usable;
    flows.push(parsed.fm);
  }
  return { flows, usable };
}

/** Flow_mods one after the other, in `protocol` (one bit; 0: no allowed one can say them). */
export interface EncodedFlows {
  bytes: Uint8Array;
  protocol: number;
  usable: number;
}

/**
 * Parses flows and encodes each at once, so that a match serves them all and 100 000 flows take their bytes: in the best
 * of `allowed` that can say all so far. One that it cannot say starts it over with the next best.
 */
export function encodeFlows(
  source: FlowSource,
  allowed: number,
  best: (protocols: number) => number,
): EncodedFlows {
  const scratch = makeMatch();
  const w = new Writer(source.count === 1 ? 256 : 65536);
  let usable = P_ANY;
  let protocol = best(allowed);
  let parsed = 0;
  for (let i = 0; i < source.count; i++) {
    const { fm, usable: can } = source.parse(i, scratch, i < parsed);
    if (i >= parsed) parsed = i + 1;
    usable &= can;
    if ((usable & protocol) !== 0) encodeInProtocol(w, fm, protocol);
    else if (protocol !== 0) {
      protocol = best(usable & allowed);
      w.pos = 0;
      i = -1;
    }
  }
  return { bytes: w.done(), protocol, usable };
}
