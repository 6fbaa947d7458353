/**
 * Match fields as text, the syntax of ovs-ofctl(8): parsing one `key=value` at a time, formatting whole matches.
 */
import type { Field } from "./fields/index.ts";
import type { Match } from "./match.ts";

/** Names of ports, in both directions; absent names fall back to numbers and reserved names. */
export interface PortNames {
  numberOf(name: string): number | undefined;
  nameOf(port: number): string | undefined;
}

export interface MatchParseOptions {
  readonly ports: PortNames | undefined;
}

/**
 * Takes one item of a flow's text. Returns undefined when done, an error text as 3.7 prints it, or
 * `null` when `key` is no match field or protocol at all (it may be `priority`, `cookie`, …).
 */
export function parseMatchItem(
  _match: Match,
  _key: string,
  _value: string | undefined,
  _options: MatchParseOptions,
): string | undefined | null {
  throw new Error("not implemented");
}

/** A whole match without flow attributes, "tcp,tp_dst=80". Error texts as 3.7 prints them. */
export function parseMatch(
  _text: string,
  _options?: MatchParseOptions,
): { match: Match } | { error: string } {
  throw new Error("not implemented");
}

/**
 * The match as 3.7 prints it, no spaces, "" for a catch-all. `priority` is printed first when given (as
 * `priority=N,`) unless it is 32768.
 */
export function formatMatch(_match: Match, _options?: { ports?: PortNames; priority?: number }): string {
  throw new Error("not implemented");
}

/** One field's value and mask in the field's own format ("10.0.0.0/8", "0x5/0xf", "80"). */
export function formatFieldValue(_field: Field, _value: bigint, _mask: bigint, _ports?: PortNames): string {
  throw new Error("not implemented");
}

/** Parses "value" or "value/mask" for a field (set_field, match). `exact` mask is all ones. */
export function parseFieldValue(
  _field: Field,
  _text: string,
  _ports?: PortNames,
): { value: bigint; mask: bigint } | { error: string } {
  throw new Error("not implemented");
}
