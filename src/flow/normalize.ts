/** Prerequisites, and matches made canonical: bits whose prerequisite is missing are dropped, loudly. */
import type { Field } from "./fields/index.ts";
import type { Match } from "./match.ts";

/** Whether a match (as value and mask) satisfies what the field needs. */
export function prerequisitesMet(_match: Match, _field: Field): boolean {
  throw new Error("not implemented");
}

/**
 * Drops bits whose prerequisite is missing, in place. Returns undefined when nothing was dropped, else the lines
 * that 3.7 logs after "normalization changed ofp_match, details:" (" pre: …", "post: …").
 */
export function normalizeMatch(_match: Match): { pre: string; post: string } | undefined {
  throw new Error("not implemented");
}
