/**
 * A small JSON parser of our own: keeps 64-bit integers exact under any engine, and names errors by line, column
 * and byte in the original's words. parseJson comes here only when the engine's parser cannot serve.
 */
import type { Json } from "./json.ts";

const DEPTH_MAX = 1000;

export function readJson(text: string): { value: Json } | { error: string } {
  const reader = new Reader(text);
  try {
    return { value: reader.document() };
  } catch (error) {
    if (error instanceof Stop) return { error: `${reader.where(error.at)}: ${error.message}` };
    throw error;
  }
}

class Stop extends Error {
  readonly at: number;
  constructor(message: string, at: number) {
    super(message);
    this.at = at;
  }
}

class Reader {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  where(at: number): string {
    let line = 0;
    let column = 0;
    for (let i = 0; i < at; i++) {
      if (this.#text[i] === "\n") {
        line++;
        column = 0;
      } else column++;
    }
    return `line ${line}, column ${column}, byte ${at}`;
  }

  document(): Json {
    const value = this.#value();
    if (this.#peek() !== "") throw new Stop("trailing garbage at end of input", this.#at);
    return value;
  }

  #peek(): string {
    const text = this.#text;
    while (
      text[this.#at] === " " ||
      text[this.#at] === "\n" ||
      text[this.#at] === "\t" ||
      text[this.#at] === "\r"
    )
      this.#at++;
    return text[this.#at] ?? "";
  }

  /** Where the original's lexer stands when it has read the token at #at. */
  #tokenEnd(): number {
    const text = this.#text;
    let at = this.#at;
    if (at >= text.length) return text.length;
    if (text[at] === '"') {
      this.#string();
      at = this.#at - 1;
    } else if (/[-+.\w]/.test(text[at]!)) while (at < text.length && /[-+.\w]/.test(text[at]!)) at++;
    return at;
  }

  #fail(message: string): never {
    if (this.#at >= this.#text.length) throw new Stop("unexpected end of input", this.#text.length);
    throw new Stop(message, this.#tokenEnd());
  }

  #value(): Json {
    const c = this.#peek();
    if (c === "{") return this.#object();
    if (c === "[") return this.#array();
    if (c === '"') return this.#string();
    if (c === "-" || (c >= "0" && c <= "9")) return this.#number();
    return this.#keyword();
  }

  #enter(): void {
    if (++this.#depth > DEPTH_MAX)
      throw new Stop(`input exceeds maximum nesting depth ${DEPTH_MAX}`, this.#at);
    this.#at++;
  }

  #object(): Json {
    const members: Record<string, Json> = {};
    this.#enter();
    if (this.#peek() === "}") return this.#leave(members);
    for (;;) {
      if (this.#peek() !== '"') this.#fail("syntax error parsing object expecting string");
      const key = this.#string();
      if (this.#peek() !== ":") this.#fail("syntax error parsing object expecting ':'");
      this.#at++;
      const value = this.#value();
      if (key === "__proto__") Object.defineProperty(members, key, { value, enumerable: true });
      else members[key] = value;
      const next = this.#peek();
      if (next === "}") return this.#leave(members);
      if (next !== ",") this.#fail("syntax error expecting '}' or ','");
      this.#at++;
    }
  }

  #array(): Json {
    const items: Json[] = [];
    this.#enter();
    if (this.#peek() === "]") return this.#leave(items);
    for (;;) {
      items.push(this.#value());
      const next = this.#peek();
      if (next === "]") return this.#leave(items);
      if (next !== ",") this.#fail("syntax error expecting ']' or ','");
      this.#at++;
    }
  }

  #leave<T>(value: T): T {
    this.#at++;
    this.#depth--;
    return value;
  }

  #keyword(): Json {
    const match = /^[a-zA-Z]+/.exec(this.#text.slice(this.#at, this.#at + 32));
    if (match === null)
      return this.#fail(
        this.#depth === 0 ? "syntax error at beginning of input" : "syntax error expecting value",
      );
    const word = match[0];
    const end = this.#at + word.length;
    if (word !== "true" && word !== "false" && word !== "null")
      throw new Stop(`invalid keyword '${word}'`, end);
    this.#at = end;
    return word === "null" ? null : word === "true";
  }

  #number(): Json {
    const from = this.#at;
    const text = this.#text;
    let at = from;
    while (at < text.length && /[-+.\w]/.test(text[at]!)) at++;
    const source = text.slice(from, at);
    const bad = (message: string): never => {
      throw new Stop(message, at);
    };
    if (/^-?0\d/.test(source)) bad("leading zeros not allowed");
    if (/^-(?!\d)/.test(source)) bad("'-' must be followed by digit");
    if (/^-?\d+\.(?!\d)/.test(source)) bad("decimal point must be followed by digit");
    if (/[eE][-+]?$/.test(source)) bad("exponent must contain at least one digit");
    if (!/^-?\d+(\.\d+)?([eE][-+]?\d+)?$/.test(source)) bad("syntax error in number");
    this.#at = at;
    const value = Number(source);
    if (!Number.isFinite(value)) bad("number outside valid range");
    if (/^-?\d+$/.test(source) && !Number.isSafeInteger(value)) return BigInt(source);
    return value;
  }

  #string(): string {
    const text = this.#text;
    const from = ++this.#at;
    let at = from;
    let plain = true;
    for (; ; at++) {
      if (at >= text.length) throw new Stop("unexpected end of input in quoted string", text.length);
      const c = text.charCodeAt(at);
      if (c === 0x22) break;
      if (c < 0x20) {
        throw new Stop(
          `U+${c.toString(16).toUpperCase().padStart(4, "0")} must be escaped in quoted string`,
          at,
        );
      }
      if (c === 0x5c) {
        plain = false;
        at++;
      }
    }
    this.#at = at + 1;
    return plain ? text.slice(from, at) : unescapeString(text.slice(from, at), at);
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

/** `end` is where the closing quote stands: errors are reported there. */
function unescapeString(source: string, end: number): string {
  let out = "";
  for (let at = 0; at < source.length; at++) {
    if (source[at] !== "\\") {
      out += source[at];
      continue;
    }
    const letter = source[++at] ?? "";
    if (letter !== "u") {
      const value = ESCAPES[letter];
      if (value === undefined) throw new Stop(`bad escape \\${letter}`, end);
      out += value;
      continue;
    }
    const unit = hex4(source, at + 1, end);
    at += 4;
    if (unit >= 0xd800 && unit <= 0xdfff) {
      const low =
        source[at + 1] === "\\" && source[at + 2] === "u" && unit < 0xdc00 ? hex4(source, at + 3, end) : 0;
      if (low < 0xdc00 || low > 0xdfff) throw new Stop("malformed escaped surrogate pair", end);
      out += String.fromCharCode(unit, low);
      at += 6;
    } else if (unit === 0) throw new Stop("null bytes not supported in quoted strings", end);
    else out += String.fromCharCode(unit);
  }
  return out;
}

function hex4(source: string, at: number, end: number): number {
  const digits = source.slice(at, at + 4);
  if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw new Stop("malformed \\u escape", end);
  return Number.parseInt(digits, 16);
}
