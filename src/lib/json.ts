/**
 * JSON text with exact 64-bit integers: past ±2^53 they are bigint. RFC 8259 as OVSDB uses it (RFC 7047 section 3.1).
 * The engine's own parser does the work; texts with a run of 16 digits or more, and texts that it refuses, go
 * through ways that keep the digits, or that say what is wrong in the original's words.
 */
import { readJson } from "./json-reader.ts";

export type Json =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

/** `message` is like "line 0, column 6, byte 6: syntax error expecting value". */
export class JsonError extends Error {}

/** May hold an integer past 2^53. */
const LONG_NUMBER = /\d{16}/;
/** May hold what the engine takes and the original refuses: numbers past the range, lone surrogates, NULs. */
const DOUBTFUL = /\d[eE]\+?\d{3,}[\],}\s]|\\u(?:[dD][89a-fA-F]|0000)/;

type SourceReviver = (key: string, value: unknown, context: { source?: string }) => unknown;
const parseWithSource = JSON.parse as (text: string, reviver: SourceReviver) => Json;

const HAS_SOURCE = (() => {
  let seen = false;
  parseWithSource("1", (_key, value, context) => {
    seen = context?.source === "1";
    return value;
  });
  return seen;
})();

const exactInteger: SourceReviver = (_key, value, context) =>
  typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(context.source ?? "")
    ? BigInt(context.source!)
    : value;

/** Throws JsonError. Takes single strings and numbers, too. */
export function parseJson(text: string): Json {
  if (DOUBTFUL.test(text)) return parseJsonSlowly(text);
  const long = LONG_NUMBER.test(text);
  try {
    if (!long) return JSON.parse(text) as Json;
    if (HAS_SOURCE) return parseWithSource(text, exactInteger);
  } catch {
    // Read it again, for the words.
  }
  return parseJsonSlowly(text);
}

/** Short enough that it cannot nest deeper than DEPTH_MAX. */
const WHOLE_MAX = 2000;
const DECODER = new TextDecoder();

/** Most messages are short and come alone: the value, if `bytes` are just one object, else undefined: split them. */
export function wholeObject(bytes: Uint8Array): Json | undefined {
  const { length } = bytes;
  if (length > WHOLE_MAX || bytes[0] !== 0x7b || bytes[length - 1] !== 0x7d) return undefined;
  const text = DECODER.decode(bytes);
  if (LONG_NUMBER.test(text) || DOUBTFUL.test(text)) return undefined;
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

/** The same by our own parser, which knows the original's error texts. */
export function parseJsonSlowly(text: string): Json {
  const result = readJson(text);
  if ("error" in result) throw new JsonError(result.error);
  return result.value;
}

export interface JsonFormat {
  /** Indented by two spaces, one member a line. */
  pretty?: boolean;
  /** Members by name. */
  sort?: boolean;
}

/** As the original writes it: no spaces, "/" not escaped, control characters as \u00XX. */
export function formatJson(value: Json, format: JsonFormat = {}): string {
  if (!format.pretty && !format.sort) {
    try {
      return JSON.stringify(value);
    } catch {
      // A bigint, which stringify refuses.
    }
  }
  return write(value, format, 0);
}

function write(value: Json, format: JsonFormat, depth: number): string {
  if (typeof value === "bigint") return value.toString();
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const indent = format.pretty ? `\n${"  ".repeat(depth + 1)}` : "";
  const colon = format.pretty ? ": " : ":";
  const parts: string[] = [];
  if (Array.isArray(value)) {
    for (const item of value as readonly Json[]) parts.push(write(item, format, depth + 1));
    return parts.length === 0 ? "[]" : `[${indent}${parts.join(`,${indent}`)}]`;
  }
  const members = value as JsonObject;
  const keys = Object.keys(members);
  if (format.sort) keys.sort((a, b) => (a < b ? -1 : 1));
  for (const key of keys) {
    if (members[key] === undefined) continue;
    parts.push(JSON.stringify(key) + colon + write(members[key]!, format, depth + 1));
  }
  return parts.length === 0 ? "{}" : `{${indent}${parts.join(`,${indent}`)}}`;
}

/** The deepest nesting that is read. */
const DEPTH_MAX = 1000;

/** Cuts a byte stream of JSON objects (or arrays) without delimiters into texts, whatever the chunks. */
export class JsonSplitter {
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  readonly #bytesMax: number;
  #depth = 0;
  #inString = false;
  #escaped = false;
  readonly #decoder = new TextDecoder();

  /** `bytesMax`: of one value. */
  constructor(bytesMax = Number.POSITIVE_INFINITY) {
    this.#bytesMax = bytesMax;
  }

  /** Are we inside a value? */
  get partial(): boolean {
    return this.#depth > 0;
  }

  /** Calls `text` for each whole value; throws JsonError on bytes that cannot begin one. */
  push(bytes: Uint8Array, text: (text: string) => void): void {
    let start = 0;
    let depth = this.#depth;
    let inString = this.#inString;
    const length = bytes.length;
    let at = 0;
    if (this.#escaped && length > 0) {
      this.#escaped = false;
      at = 1;
    }
    for (; at < length; at++) {
      const byte = bytes[at]!;
      if (inString) {
        if (byte === 0x22) inString = false;
        else if (byte === 0x5c) {
          if (++at === length) this.#escaped = true;
        }
      } else if (byte === 0x22) {
        if (depth === 0) throw new JsonError(beginning(at));
        inString = true;
      } else if (byte === 0x7b || byte === 0x5b) {
        if (depth === 0) start = at;
        if (++depth > DEPTH_MAX) {
          throw new JsonError(
            `line 0, column ${at}, byte ${at}: input exceeds maximum nesting depth ${DEPTH_MAX}`,
          );
        }
      } else if (byte === 0x7d || byte === 0x5d) {
        if (depth === 0) throw new JsonError(beginning(at));
        if (--depth === 0) {
          const whole = this.#take(bytes.subarray(start, at + 1));
          start = at + 1;
          text(whole);
        }
      } else if (depth === 0 && byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) {
        throw new JsonError(beginning(at));
      }
    }
    this.#depth = depth;
    this.#inString = inString;
    if (depth === 0 || start === length) return;
    this.#held.push(bytes.slice(start, length));
    this.#heldBytes += length - start;
    if (this.#heldBytes > this.#bytesMax) {
      this.#held = [];
      throw new JsonError(`input exceeds maximum size of ${this.#bytesMax} bytes`);
    }
  }

  #take(last: Uint8Array): string {
    if (this.#held.length === 0) return this.#decoder.decode(last);
    const whole = new Uint8Array(this.#heldBytes + last.length);
    let at = 0;
    for (const chunk of this.#held) {
      whole.set(chunk, at);
      at += chunk.length;
    }
    whole.set(last, at);
    this.#held = [];
    this.#heldBytes = 0;
    return this.#decoder.decode(whole);
  }
}

function beginning(at: number): string {
  return `line 0, column ${at}, byte ${at}: syntax error at beginning of input`;
}
