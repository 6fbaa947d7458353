/**
 * The records of a database file (ovsdb(5)): `OVSDB JSON <length> <sha1>\n` and one line of JSON each. Pure: bytes in,
 * records out, and the words that the original has for what is wrong.
 */
import { describeError } from "../lib/errors.ts";
import { JsonError, parseJson } from "../lib/json.ts";
import { newSha1, sha1 } from "../lib/sha1.ts";
import type { Disk } from "./disk.ts";
import { OvsdbError } from "./error.ts";
import type { JsonObject } from "./json-text.ts";
import { isObject } from "./json-text.ts";

export interface LogRecord {
  readonly json: JsonObject;
  /** Offset of the first byte after the record. */
  readonly end: number;
}

const NEWLINE = 10;
const HEADER = /^OVSDB ([A-Z]+) ([1-9][0-9]*) ([0-9a-fA-F]{40})$/;
/** What a length and a hash can take at most, with room. */
const HEADER_MAX = 100;
const TEXT = new TextDecoder("utf-8", { fatal: false });
const ENCODER = new TextEncoder();

/** Where a record is made; the header ends at HEADER_MAX, where the body begins. */
const SCRATCH = new Uint8Array(65536);
const SCRATCH_BODY = SCRATCH.subarray(HEADER_MAX);

/** One record as it stands in the file. */
export function encodeRecord(json: string): Uint8Array {
  // UTF-8 takes up to 3 bytes for each 16 bits.
  if (json.length < SCRATCH_BODY.length / 3) {
    const length = ENCODER.encodeInto(`${json}\n`, SCRATCH_BODY).written;
    const header = `OVSDB JSON ${length} ${sha1(SCRATCH_BODY.subarray(0, length))}\n`;
    const start = HEADER_MAX - header.length;
    for (let i = 0; i < header.length; i++) SCRATCH[start + i] = header.charCodeAt(i);
    return SCRATCH.slice(start, HEADER_MAX + length);
  }
  const body = ENCODER.encode(`${json}\n`);
  const header = ENCODER.encode(`OVSDB JSON ${body.length} ${sha1(body)}\n`);
  const record = new Uint8Array(header.length + body.length);
  record.set(header);
  record.set(body, header.length);
  return record;
}

/** A record whose text comes in pieces, too long for one string perhaps. */
export class LongRecord {
  readonly #hash = newSha1();
  readonly #pieces: Uint8Array[] = [];
  #length = 0;

  add(text: string): void {
    const piece = ENCODER.encode(text);
    this.#hash.update(piece);
    this.#pieces.push(piece);
    this.#length += piece.length;
  }

  /** All of it as it stands in the file; nothing can be added afterwards. */
  finish(): readonly Uint8Array[] {
    this.add("\n");
    return [ENCODER.encode(`OVSDB JSON ${this.#length} ${this.#hash.digest("hex")}\n`), ...this.#pieces];
  }
}

/** "JSON" for a stand-alone database file, "CLUSTER" for a clustered one. Throws OvsdbError. */
export function fileMagic(disk: Disk, path: string): string {
  let bytes: Uint8Array;
  try {
    bytes = disk.read(path);
  } catch (error) {
    throw new OvsdbError("I/O error", `${path}: open failed (${describeError(error)})`);
  }
  if (bytes.length === 0) throw new OvsdbError("ovsdb error", `${path}: cannot identify file type`);
  const line = TEXT.decode(bytes.subarray(0, HEADER_MAX)).split("\n", 1)[0]!;
  const match = HEADER.exec(line);
  if (match !== null) return match[1]!;
  throw new OvsdbError("ovsdb error", `${path}: unexpected file format`);
}

/**
 * Reads record by record. `next` gives undefined at the end, throws an OvsdbError at a record that is cut or broken
 * and from then on; `offset` stays at the end of the last good record.
 */
export class LogReader {
  readonly #bytes: Uint8Array;
  readonly #name: string;
  readonly #magic: string;
  offset = 0;

  /** `name` is the file's, for messages. `magic`: of stand-alone or of clustered databases. */
  constructor(bytes: Uint8Array, name: string, magic: "JSON" | "CLUSTER" = "JSON") {
    this.#bytes = bytes;
    this.#name = name;
    this.#magic = magic;
  }

  #fail(tag: string, what: string): OvsdbError {
    return new OvsdbError(tag, `${this.#name}: ${what}`);
  }

  next(): LogRecord | undefined {
    const bytes = this.#bytes;
    const start = this.offset;
    if (start === bytes.length) {
      if (start === 0) throw this.#fail("ovsdb error", "cannot identify file type");
      return undefined;
    }
    const newline = bytes.subarray(start, start + HEADER_MAX).indexOf(NEWLINE);
    const line = TEXT.decode(bytes.subarray(start, newline < 0 ? start + HEADER_MAX : start + newline));
    const match = newline < 0 ? null : HEADER.exec(line);
    if (match === null || (match[1] !== "JSON" && match[1] !== "CLUSTER")) {
      if (start === 0) throw this.#fail("ovsdb error", "unexpected file format");
      throw this.#fail("syntax error", `parse error at offset ${start} in header line "${line}"`);
    }
    if (match[1] !== this.#magic) {
      const other = this.#magic === "JSON" ? "clustered" : "stand-alone";
      throw this.#fail("ovsdb error", `cannot apply this operation to ${other} database file`);
    }
    return this.#body(start + newline + 1, Number(match[2]), match[3]!.toLowerCase());
  }

  #body(at: number, length: number, hash: string): LogRecord {
    const bytes = this.#bytes;
    if (at + length > bytes.length) {
      throw this.#fail("I/O error", `error reading ${length} bytes starting at offset ${at} (End of file)`);
    }
    const body = bytes.subarray(at, at + length);
    const where = `${length} bytes starting at offset ${at}`;
    const actual = sha1(body);
    if (actual !== hash) {
      throw this.#fail("syntax error", `${where} have SHA-1 hash ${actual} but should have hash ${hash}`);
    }
    let json: unknown;
    try {
      json = parseJson(TEXT.decode(body));
    } catch (error) {
      if (!(error instanceof JsonError)) throw error;
      throw this.#fail("syntax error", `${where} are not valid JSON (${error.message})`);
    }
    if (!isObject(json as JsonObject)) throw this.#fail("syntax error", `${where} are not a JSON object`);
    this.offset = at + length;
    return { json: json as JsonObject, end: this.offset };
  }
}
