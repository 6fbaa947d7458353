/** Flows of two sources side by side, by table, priority and match, as diff-flows and replace-flows compare them. */
import { FLOW_WORDS } from "../../src/flow/layout.ts";
import { hashMatch, type Match, matchesEqual, rowsEqual } from "../../src/flow/match.ts";
import { alignTunMetadata, type TunWidths, widenTunMetadata } from "../../src/flow/tun-metadata.ts";
import type { FlowMod } from "../../src/openflow/messages.ts";

/** A flow of a source. */
export interface SourceFlow {
  readonly fm: FlowMod;
  /** Its match with tun_metadata as wide as any of both sources has it: what is compared and shown. */
  readonly match: Match;
}

/** A flow of the first source, the second or both. */
export interface FlowPair {
  first: SourceFlow | undefined;
  second: SourceFlow | undefined;
}

/** Flows of one table that match on the same bits. */
interface SameMask {
  readonly mask: Int32Array;
  priority: number;
  readonly pairs: FlowPair[];
}

/**
 * By table; in each the masks with the highest priority first, and flows of a mask as they came, which is the order of
 * the original. Of flows that are there twice in a source the last counts.
 */
export function pairFlows(first: readonly FlowMod[], second: readonly FlowMod[]): FlowPair[] {
  const widths: TunWidths = new Map();
  for (const { match } of [...first, ...second]) widenTunMetadata(widths, match);
  const buckets = new Map<number, FlowPair[]>();
  const tables = new Map<number, SameMask[]>();
  const put = (fm: FlowMod, side: keyof FlowPair): void => {
    const flow: SourceFlow = { fm, match: alignTunMetadata(fm.match, widths) };
    const hash = hashMatch(flow.match, fm.priority ^ (fm.table << 16));
    const bucket = buckets.get(hash) ?? [];
    let pair = bucket.find((other) => isSame(flow, (other.first ?? other.second)!));
    if (pair === undefined) {
      pair = { first: undefined, second: undefined };
      bucket.push(pair);
      buckets.set(hash, bucket);
      addTo(tables, flow, pair);
    }
    pair[side] = flow;
  };
  for (const fm of first) put(fm, "first");
  for (const fm of second) put(fm, "second");
  return [...tables]
    .sort(([a], [b]) => a - b)
    .flatMap(([, masks]) => masks.sort((a, b) => b.priority - a.priority).flatMap(({ pairs }) => pairs));
}

function isSame(a: SourceFlow, b: SourceFlow): boolean {
  return a.fm.priority === b.fm.priority && a.fm.table === b.fm.table && matchesEqual(a.match, b.match);
}

function addTo(tables: Map<number, SameMask[]>, { fm, match }: SourceFlow, pair: FlowPair): void {
  const masks = tables.get(fm.table) ?? [];
  tables.set(fm.table, masks);
  let same = masks.find(({ mask }) => rowsEqual(mask, match.mask, FLOW_WORDS));
  if (same === undefined) {
    same = { mask: match.mask, priority: fm.priority, pairs: [] };
    masks.push(same);
  }
  same.priority = Math.max(same.priority, fm.priority);
  same.pairs.push(pair);
}
