/**
 * How a select group chooses its bucket (ovs-ofctl(8), "selection_method"), worked out once when the group is set up.
 *
 * dp_hash: the datapath hashes each packet and the low bits of that are an index into a table of buckets, so that all
 * connections together need no more megaflows than the table has entries. The entries are dealt out by weight with
 * Webster's method (Sainte-Laguë): always to the bucket with the highest weight / (2 * entries + 1).
 */
import { vlog } from "../lib/vlog.ts";
import type { GroupProps } from "../openflow/messages.ts";
import type { BucketState } from "./group.ts";

const MIN_HASH_VALUES = 16;
const MAX_HASH_VALUES = 256;
/** So that buckets of equal weight get nearly equal shares. */
const HASH_VALUES_PER_BUCKET = 4;

export const HASH_ALG_L4 = 0;
export const HASH_ALG_SYM_L4 = 1;

export interface Selection {
  /** dp_hash, hash over the group's fields, or a hash over what tells connections apart. */
  readonly method: "dp_hash" | "fields" | "default";
  /** Of dp_hash: HASH_ALG_*, the basis, and the buckets by the hash's low bits (a power of two of them). */
  readonly algorithm: number;
  readonly basis: number;
  readonly table: readonly BucketState[];
}

const log = vlog("ofproto_dpif");
const DEFAULT: Selection = { method: "default", algorithm: 0, basis: 0, table: [] };
const FIELDS: Selection = { method: "fields", algorithm: 0, basis: 0, table: [] };

/** `doing`: "Constructing" or "Modifying", for the log. */
export function setUpSelection(
  doing: string,
  id: number,
  props: GroupProps,
  buckets: readonly BucketState[],
): Selection {
  log.dbg(`${doing} select group ${id}`);
  const { selectionMethod, selectionMethodParam, fields } = props;
  if (selectionMethod === "hash") {
    log.dbg("Selection method specified: hash.");
    if (fields.length === 0) {
      log.dbg("No hash fields. Falling back to default hash method.");
      return DEFAULT;
    }
    return FIELDS;
  }
  const named = selectionMethod === "dp_hash";
  log.dbg(named ? "Selection method specified: dp_hash." : "No selection method specified. Trying dp_hash.");
  const table = hashTable(buckets);
  if (table === undefined) {
    log.dbg("Falling back to default hash method.");
    return DEFAULT;
  }
  let algorithm = named ? Number(BigInt.asUintN(32, selectionMethodParam >> 32n)) : HASH_ALG_SYM_L4;
  if (algorithm > HASH_ALG_SYM_L4) {
    log.dbg(`Invalid dp_hash algorithm ${algorithm}. Defaulting to OVS_HASH_ALG_L4`);
    algorithm = HASH_ALG_L4;
  }
  log.dbg(`Use dp_hash with ${table.length} hash values using algorithm ${algorithm}.`);
  const basis = named ? Number(BigInt.asIntN(32, selectionMethodParam)) : 0;
  return { method: "dp_hash", algorithm, basis, table };
}

function hashTable(buckets: readonly BucketState[]): BucketState[] | undefined {
  if (buckets.length === 0) {
    log.dbg("  Don't apply dp_hash method without buckets.");
    return undefined;
  }
  const weights = buckets.map(({ config }) => config.weight);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (total === 0) {
    log.dbg("  Total weight is zero. No active buckets.");
    return undefined;
  }
  const min = Math.min(...weights.filter((weight) => weight > 0));
  log.dbg(`  Minimum weight: ${min}, total weight: ${total}`);
  const required = powerOfTwo(Math.ceil(total / min));
  if (required > MAX_HASH_VALUES) {
    log.dbg(`  Too many hash values required: ${required}`);
    return undefined;
  }
  const wanted = Math.max(MIN_HASH_VALUES, required, powerOfTwo(buckets.length * HASH_VALUES_PER_BUCKET));
  const count = Math.min(MAX_HASH_VALUES, wanted);
  log.dbg(`  Using ${count} hash values:`);
  const hits = new Array<number>(buckets.length).fill(0);
  const table: BucketState[] = [];
  for (let i = 0; i < count; i++) {
    let best = 0;
    for (let b = 1; b < buckets.length; b++) {
      if (weights[b]! / (2 * hits[b]! + 1) > weights[best]! / (2 * hits[best]! + 1)) best = b;
    }
    hits[best]!++;
    table.push(buckets[best]!);
  }
  for (const [b, { config }] of buckets.entries()) {
    const target = ((config.weight * count) / total).toFixed(2);
    log.dbg(`  Bucket ${config.bucketId}: weight=${config.weight}, target=${target} hits=${hits[b]}`);
  }
  return table;
}

function powerOfTwo(atLeast: number): number {
  let power = 1;
  while (power < atLeast) power *= 2;
  return power;
}
