/**
 * Text form of datums, as ovs-vsctl and ovsdb-client print and read them: `value`, `[a, b]`, `{k=v, k2=v2}`; strings
 * that look like nothing else go without quotes.
 */

import type { Atom, NamedUuids } from "./atom.ts";
import { AtomTextError, bareAtom, formatAtom, integerAtom, parseAtom } from "./atom.ts";
import { type Datum, makeDatum } from "./datum.ts";
import { constraintViolation, OvsdbError } from "./error.ts";
import type { BaseType, ColumnType } from "./type.ts";
import { checkAtom, describeType, isComposite } from "./type.ts";

export function formatDatum(type: ColumnType, datum: Datum): string {
  const { keys, values } = datum;
  if (type.value !== undefined) {
    const pairs = keys.map(
      (key, i) => `${formatAtom(type.key.type, key)}=${formatAtom(type.value!.type, values![i]!)}`,
    );
    return `{${pairs.join(", ")}}`;
  }
  if (!isComposite(type) && keys.length === 1) return formatAtom(type.key.type, keys[0]!);
  return `[${keys.map((key) => formatAtom(type.key.type, key)).join(", ")}]`;
}

/** `--data=bare`: no quotes, brackets or braces, elements separated by a space. */
export function formatBareDatum(type: ColumnType, datum: Datum): string {
  const items = datum.keys.map((key, i) => {
    const left = bareAtom(type.key.type, key);
    return type.value === undefined ? left : `${left}=${bareAtom(type.value.type, datum.values![i]!)}`;
  });
  return items.join(" ");
}

const SPACE = /\s/;
const DELIMITER = ":=, []{}!<>";
const RANGE = /^(-?\d+)-(-?\d+)$/;
const MAX_RANGE = 4096n;

/** Reads one argument from left to right. */
class TextParser {
  readonly text: string;
  at = 0;
  constructor(text: string) {
    this.text = text;
  }

  fail(what: string): AtomTextError {
    return new AtomTextError(`${this.text}: ${what}`);
  }

  spaces(): void {
    while (this.at < this.text.length && SPACE.test(this.text[this.at]!)) this.at++;
  }

  accept(char: string): boolean {
    if (this.text[this.at] !== char) return false;
    this.at++;
    return true;
  }

  /** Up to the next delimiter, a quoted part counting as one; quotes stay. */
  token(): string {
    const start = this.at;
    let quoted = false;
    for (; this.at < this.text.length; this.at++) {
      const c = this.text[this.at]!;
      if (quoted) {
        if (c === "\\") this.at++;
        else if (c === '"') quoted = false;
      } else if (DELIMITER.includes(c)) break;
      else if (c === '"') quoted = true;
    }
    if (quoted) throw this.fail("quoted string extends past end of argument");
    return this.text.slice(start, this.at);
  }

  /** Skips one separator: spaces and at most one comma. */
  separator(): void {
    this.spaces();
    this.accept(",");
    this.spaces();
  }
}

function element(base: BaseType, token: string, named: NamedUuids | undefined): Atom {
  const atom = parseAtom(base.type, token, named);
  checkAtom(base, atom);
  return atom;
}

function elements(base: BaseType, token: string, named: NamedUuids | undefined): Atom[] {
  const range = base.type === "integer" ? RANGE.exec(token) : null;
  if (range === null) return [element(base, token, named)];
  const [from, to] = [BigInt(range[1]!), BigInt(range[2]!)];
  if (integerAtom(from) === undefined || integerAtom(to) === undefined) {
    throw new AtomTextError(`"${token}" is not a valid integer or range`);
  }
  if (to < from) {
    throw new AtomTextError(`"${token}" is not a valid range. Range end cannot be before start.`);
  }
  checkAtom(base, integerAtom(from)!);
  checkAtom(base, integerAtom(to)!);
  if (to - from >= MAX_RANGE) {
    throw constraintViolation(`Range "${token}" is too big. Maximum allowed size is ${MAX_RANGE}.`);
  }
  const atoms: Atom[] = [];
  for (let value = from; value <= to; value++) {
    const atom = integerAtom(value)!;
    checkAtom(base, atom);
    atoms.push(atom);
  }
  return atoms;
}

/** `@name` as an element of a uuid column goes to `named`. Throws AtomTextError (text alone) or OvsdbError. */
export function parseDatum(type: ColumnType, text: string, named?: NamedUuids): Datum {
  const parser = new TextParser(text);
  const isMap = type.value !== undefined;
  const [open, close] = isMap ? "{}" : "[]";
  const keys: Atom[] = [];
  const values: Atom[] | undefined = isMap ? [] : undefined;
  parser.spaces();
  const bracketed = parser.accept(open!);
  if (bracketed) parser.spaces();
  else if (parser.at === text.length) {
    throw new AtomTextError(`use "${open}${close}" to specify the empty ${isMap ? "map" : "set"}`);
  }
  while (parser.at < text.length && !(bracketed && text[parser.at] === close)) {
    const start = parser.at;
    const token = parser.token();
    if (parser.at === start) throw parser.fail(`unexpected "${text[start]}" parsing ${describeType(type)}`);
    if (isMap) {
      keys.push(element(type.key, token, named));
      parser.spaces();
      if (!parser.accept("=")) {
        // The original prints a NUL there, which ends its message.
        if (parser.at === text.length) throw parser.fail('syntax error at "');
        throw parser.fail(`syntax error at "${text[parser.at]}" expecting "="`);
      }
      parser.spaces();
      values!.push(element(type.value!, parser.token(), named));
    } else keys.push(...elements(type.key, token, named));
    parser.separator();
  }
  if (bracketed) {
    if (!parser.accept(close!)) throw parser.fail(`missing "${close}" at end of data`);
    parser.spaces();
    if (parser.at < text.length) throw parser.fail(`trailing garbage after "${close}"`);
  }
  if (keys.length > type.max) {
    throw parser.fail(`${keys.length} ${unit(type)} specified but the maximum number is ${type.max}`);
  }
  if (keys.length < type.min) {
    throw parser.fail(`${keys.length} ${unit(type)} specified but the minimum number is ${type.min}`);
  }
  return collect(parser, keys, values);
}

function unit(type: ColumnType): string {
  return type.value === undefined ? "value(s)" : "pair(s)";
}

function collect(parser: TextParser, keys: Atom[], values: Atom[] | undefined): Datum {
  try {
    return makeDatum(keys, values, "refuse");
  } catch (error) {
    if (!(error instanceof OvsdbError)) throw error;
    throw parser.fail(values === undefined ? "set contains duplicate value" : "map contains duplicate key");
  }
}
