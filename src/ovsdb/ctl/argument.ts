/**
 * `COLUMN[:KEY][OP VALUE]` arguments of the database commands, and values as they are typed (ovs-vsctl(8), "Database
 * Values").
 */
import { Fatal } from "../../lib/errors.ts";
import { type Atom, AtomTextError, type NamedUuids, parseAtom } from "../atom.ts";
import type { Datum } from "../datum.ts";
import { parseDatum } from "../datum-text.ts";
import { OvsdbError } from "../error.ts";
import type { BaseType, ColumnType } from "../type.ts";
import { checkAtom } from "../type.ts";

export interface Argument {
  /** As typed. */
  readonly column: string;
  /** As typed, with its quotes. */
  readonly key: string | undefined;
  readonly operator: string | undefined;
  /** Not empty. */
  readonly value: string | undefined;
}

const DELIMITERS = ":=, []{}!<>";

/** Longest first among those with the same beginning. */
export const CONDITION_OPERATORS: readonly string[] = [
  "=",
  "!=",
  "<",
  ">",
  "<=",
  ">=",
  "{=}",
  "{!=}",
  "{<}",
  "{>}",
  "{<=}",
  "{>=}",
  "{in}",
  "{not-in}",
];

/** The end of the token that begins at `at`; a quoted part counts as one. */
function tokenEnd(text: string, at: number): number {
  let quoted = false;
  for (; at < text.length; at++) {
    const c = text[at]!;
    if (quoted) {
      if (c === "\\") at++;
      else if (c === '"') quoted = false;
    } else if (DELIMITERS.includes(c)) break;
    else if (c === '"') quoted = true;
  }
  if (quoted) throw new Fatal(`${text}: quoted string extends past end of argument`);
  return at;
}

/** `operators`: those of which one must follow with a value; none: nothing may follow. */
export function parseArgument(text: string, operators: readonly string[]): Argument {
  let end = tokenEnd(text, 0);
  const column = text.slice(0, end);
  if (column === "") throw new Fatal(`${text}: missing column name`);
  let key: string | undefined;
  if (text[end] === ":") {
    const start = end + 1;
    end = tokenEnd(text, start);
    key = text.slice(start, end);
  }
  const rest = text.slice(end);
  if (operators.length === 0) {
    if (rest !== "") throw new Fatal(`${text}: trailing garbage "${rest}" in argument`);
    return { column, key, operator: undefined, value: undefined };
  }
  let operator: string | undefined;
  for (const candidate of operators) {
    if (rest.startsWith(candidate) && candidate.length > (operator?.length ?? 0)) operator = candidate;
  }
  const value = operator === undefined ? "" : rest.slice(operator.length);
  if (value === "")
    throw new Fatal(`${text}: argument does not end in ${listed(operators)} followed by a value.`);
  return { column, key, operator, value };
}

function listed(operators: readonly string[]): string {
  const quoted = operators.map((operator) => `"${operator}"`);
  if (quoted.length === 1) return quoted[0]!;
  return `${quoted.slice(0, -1).join(", ")}, or ${quoted.at(-1)}`;
}

/** Runs a parser of values; what it complains about ends the program. */
function complaining<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof AtomTextError) throw new Fatal(error.message);
    if (error instanceof OvsdbError) throw new Fatal(error.message);
    throw error;
  }
}

export function atomArgument(base: BaseType, text: string, named?: NamedUuids): Atom {
  return complaining(() => {
    const atom = parseAtom(base.type, text, named);
    checkAtom(base, atom);
    return atom;
  });
}

export function datumArgument(type: ColumnType, text: string, named?: NamedUuids): Datum {
  return complaining(() => parseDatum(type, text, named));
}
