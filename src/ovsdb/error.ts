/**
 * OVSDB errors (RFC 7047 section 3.1 <error>): a tag, details, and the piece of JSON that was wrong. One class for what a
 * client is told (`toJson`) and for what a program prints (`message`: `syntax "...": tag: details`, as the original).
 */

import type { Json, JsonObject } from "./json-text.ts";
import { sortedText } from "./json-text.ts";

export class OvsdbError extends Error {
  /** "constraint violation", "syntax error", ...; undefined prints as "ovsdb error". */
  readonly tag: string;
  readonly details: string | undefined;
  readonly syntax: string | undefined;

  constructor(tag: string, details?: string, syntax?: string) {
    super(
      (syntax === undefined ? "" : `syntax "${syntax}": `) +
        tag +
        (details === undefined ? "" : `: ${details}`),
    );
    this.tag = tag;
    this.details = details;
    this.syntax = syntax;
  }

  /** RFC 7047's <error> object; `syntax` is the original's addition. */
  toJson(): JsonObject {
    const json: Record<string, Json> = { error: this.tag };
    if (this.details !== undefined) json.details = this.details;
    if (this.syntax !== undefined) json.syntax = this.syntax;
    return json;
  }
}

/** "syntax error" about `json` (undefined: about nothing in particular). */
export function syntaxError(json: Json | undefined, details: string): OvsdbError {
  return new OvsdbError("syntax error", details, json === undefined ? undefined : sortedText(json));
}

export function constraintViolation(details: string): OvsdbError {
  return new OvsdbError("constraint violation", details);
}
