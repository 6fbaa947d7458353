/**
 * Reads the members of a JSON object one by one and complains as the original does: the first problem wins, and
 * `finish` refuses members that nobody asked for.
 */
import { OvsdbError, syntaxError } from "./error.ts";
import type { Json, JsonObject } from "./json-text.ts";
import { isArray, isObject } from "./json-text.ts";

/** What a member may be; "id" is a string that RFC 7047 section 3.1 calls <id>. */
export type Kind = "null" | "boolean" | "integer" | "number" | "string" | "id" | "array" | "object";

export function isId(text: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(text);
}

function isKind(json: Json, kind: Kind): boolean {
  switch (kind) {
    case "null":
      return json === null;
    case "boolean":
    case "string":
      return typeof json === kind;
    case "integer":
      return typeof json === "bigint" || (typeof json === "number" && Number.isInteger(json));
    case "number":
      return typeof json === "number" || typeof json === "bigint";
    case "id":
      return typeof json === "string" && isId(json);
    case "array":
      return isArray(json);
    case "object":
      return isObject(json);
  }
}

const NONE: readonly Kind[] = [];

export class ObjectParser {
  readonly #json: Json;
  readonly #object: JsonObject;
  readonly #what: string;
  readonly #place: number;
  readonly #places: number;
  readonly #used: string[] = [];

  /** `what` is the thing in "Parsing WHAT failed", perhaps one of several: "WHAT 2 of 3". Throws when `json` is no object. */
  constructor(json: Json, what: string, place = 0, places = 0) {
    this.#json = json;
    this.#what = what;
    this.#place = place;
    this.#places = places;
    if (!isObject(json))
      throw new OvsdbError("syntax error", `Parsing ${this.#whole()} failed: Object expected.`);
    this.#object = json;
  }

  #whole(): string {
    return this.#place === 0 ? this.#what : `${this.#what} ${this.#place} of ${this.#places}`;
  }

  fail(reason: string): OvsdbError {
    return syntaxError(this.#json, `Parsing ${this.#whole()} failed: ${reason}`);
  }

  /** `name`: none that every object has. `others`: what it may be, too. */
  optional(name: string, kind: Kind, others: readonly Kind[] = NONE): Json | undefined {
    const value = this.#object[name];
    if (value === undefined) return undefined;
    this.#used.push(name);
    if (isKind(value, kind)) return value;
    for (const other of others) if (isKind(value, other)) return value;
    throw this.fail(`Type mismatch for member '${name}'.`);
  }

  member(name: string, kind: Kind, others: readonly Kind[] = NONE): Json {
    const value = this.optional(name, kind, others);
    if (value === undefined) throw this.fail(`Required '${name}' member is missing.`);
    return value;
  }

  finish(): void {
    let extra: string | undefined;
    let others = -1;
    const names = Object.keys(this.#object);
    if (names.length === this.#used.length) return;
    for (const name of names) {
      if (this.#used.includes(name)) continue;
      extra ??= name;
      others++;
    }
    if (extra === undefined) return;
    if (others === 0) throw this.fail(`Member '${extra}' is present but not allowed here.`);
    throw this.fail(
      `Member '${extra}' and ${others} other member${others > 1 ? "s" : ""} are present but not allowed here.`,
    );
  }
}
