/**
 * The group action: which buckets run, and each on its own copy of the flow. Select groups choose by weighted
 * rendezvous hashing, so that a bucket that comes or goes moves only its own share of the flows. dp_hash sends
 * the packet back to the datapath for its hash (`../select-group.ts`).
 */
import { type Field, getFieldBig, setFieldBig } from "../../flow/fields/index.ts";
import { W_DP_HASH } from "../../flow/layout.ts";
import { hashAdd, hashFinish } from "../../lib/hash.ts";
import { OFPG_ANY } from "../../openflow/actions.ts";
import {
  type BucketState,
  GROUP_ALL,
  GROUP_FAST_FAILOVER,
  GROUP_INDIRECT,
  type Group,
  watchesNothing,
} from "../group.ts";
import type { Ofproto } from "../ofproto.ts";
import { OFT_BUCKET } from "../trace-nodes.ts";
import { orderActionSet } from "./action-set.ts";
import { xlateOnCopy } from "./clone.ts";
import { MAX_DEPTH, type XlateContext } from "./context.ts";
import { hasPrerequisite } from "./fields.ts";
import { hashFlow } from "./hash-fields.ts";
import { popSavedFlow, pushSavedFlow } from "./output.ts";

/** Groups that watch groups: how far liveness is followed. */
const MAX_WATCH_DEPTH = 10;

export function xlateGroup(ctx: XlateContext, groupId: number, last: boolean): void {
  const group = ctx.ofproto.groups.get(groupId);
  if (group === undefined) {
    ctx.warn("output to nonexistent group");
    return;
  }
  if (ctx.depth >= MAX_DEPTH) {
    ctx.fail("recursion", `over max translation depth ${MAX_DEPTH}`);
    return;
  }
  switch (group.type) {
    case GROUP_ALL:
    case GROUP_INDIRECT:
      ctx.credits.push(group);
      for (const [i, bucket] of group.buckets.entries())
        if (ctx.error === undefined) runBucket(ctx, bucket, last && i === group.buckets.length - 1);
      return;
    case GROUP_FAST_FAILOVER:
      choose(
        ctx,
        group,
        group.buckets.find((bucket) => isLive(ctx.ofproto, bucket, 0)),
        last,
      );
      return;
    default:
      choose(ctx, group, select(ctx, group), last);
  }
}

function choose(ctx: XlateContext, group: Group, bucket: BucketState | undefined, last: boolean): void {
  if (bucket === undefined) {
    if (ctx.tracing && !ctx.freezing) ctx.detail("no live bucket");
    return;
  }
  if (ctx.tracing) ctx.detail(`using bucket ${bucket.config.bucketId}`);
  ctx.credits.push(group);
  runBucket(ctx, bucket, last);
}

/** Runs a bucket's actions as an action set on a copy of the flow. */
function runBucket(ctx: XlateContext, bucket: BucketState, last: boolean): void {
  bucket.ordered ??= orderActionSet(bucket.config.actions);
  ctx.credits.push(bucket);
  const { rule, trace, exit, conntracked, wasMpls, inGroup } = ctx;
  const actionSet = ctx.actionSet.slice();
  const place = pushSavedFlow(ctx.flow);
  const subs = ctx.tracing ? ctx.node(OFT_BUCKET, `bucket ${bucket.config.bucketId}`) : undefined;
  if (subs !== undefined) ctx.trace = subs;
  ctx.depth++;
  ctx.inGroup = true;
  xlateOnCopy(ctx, bucket.ordered, last, false);
  ctx.depth--;
  ctx.inGroup = inGroup;
  ctx.trace = trace;
  popSavedFlow(place, ctx.flow);
  ctx.rule = rule;
  ctx.conntracked = conntracked;
  ctx.wasMpls = wasMpls;
  if (ctx.error === undefined) ctx.exit = exit;
  ctx.actionSet.length = 0;
  for (const action of actionSet) ctx.actionSet.push(action);
}

/** A bucket that watches nothing lives; otherwise the port or one bucket of the group that it watches must. */
function isLive(ofproto: Ofproto, bucket: BucketState, depth: number): boolean {
  const { config } = bucket;
  if (watchesNothing(config)) return true;
  if (depth > MAX_WATCH_DEPTH) return false;
  if (config.watchPort !== 0xffff && ofproto.portAt(config.watchPort)?.isLive === true) return true;
  if (config.watchGroup === OFPG_ANY) return false;
  const group = ofproto.groups.get(config.watchGroup);
  return group?.buckets.some((other) => isLive(ofproto, other, depth + 1)) ?? false;
}

function select(ctx: XlateContext, group: Group): BucketState | undefined {
  const { method, algorithm, basis, table } = group.selection!;
  // What is hashed may lie below the label that came off.
  if (ctx.wasMpls) {
    ctx.freezeAgain();
    return undefined;
  }
  if (method === "dp_hash") {
    const hash = ctx.flow[W_DP_HASH]!;
    // 0 says that the datapath has not hashed the packet yet.
    if (hash === 0) {
      if (ctx.tracing) ctx.detail("selection method in use: dp_hash, recirculating");
      ctx.freezeAgain();
      ctx.hashAlgorithm = algorithm;
      ctx.hashBasis = basis;
      return undefined;
    }
    if (ctx.tracing) ctx.detail("selection method in use: dp_hash");
    const mask = table.length - 1;
    ctx.wildcards[W_DP_HASH] = ctx.wildcards[W_DP_HASH]! | mask;
    // Buckets are spread over the table, so that the next ones take over from a dead one by their weights.
    for (let i = 0; i <= mask; i++) {
      const bucket = table[(hash + i) & mask]!;
      if (isLive(ctx.ofproto, bucket, 0)) return bucket;
    }
    return undefined;
  }
  return method === "fields" ? selectByFields(ctx, group) : selectByConnection(ctx, group);
}

function selectByConnection(ctx: XlateContext, group: Group): BucketState | undefined {
  return heaviest(ctx, group, hashFlow("symmetric_l4", 0, ctx.flow, ctx.wildcards));
}

function selectByFields(ctx: XlateContext, group: Group): BucketState | undefined {
  if (ctx.tracing) ctx.detail("selection method in use: hash");
  const { selectionMethodParam, fields } = group.props;
  const { flow, wildcards } = ctx;
  let hash = Number(BigInt.asIntN(32, selectionMethodParam ^ (selectionMethodParam >> 32n)));
  for (const { field, value } of fields) {
    if (!hasPrerequisite(field, flow, wildcards)) continue;
    hash = hashBig(hash, field, getFieldBig(field, flow) & value);
    setFieldBig(field, wildcards, getFieldBig(field, wildcards) | value);
  }
  return heaviest(ctx, group, hash);
}

/** Weighted rendezvous hashing. */
function heaviest(ctx: XlateContext, group: Group, basis: number): BucketState | undefined {
  let best: BucketState | undefined;
  let bestScore = 0;
  for (const bucket of group.buckets) {
    if (!isLive(ctx.ofproto, bucket, 0)) continue;
    const { bucketId, weight } = bucket.config;
    const score = (hashFinish(hashAdd(basis, bucketId), 8) & 0xffff) * weight;
    if (ctx.tracing) ctx.detail(`bucket ${bucketId}: score ${score}`);
    if (score >= bestScore && weight > 0) {
      best = bucket;
      bestScore = score;
    }
  }
  return best;
}

function hashBig(hash: number, field: Field, value: bigint): number {
  let out = hash;
  let rest = value;
  for (let bits = 0; bits < field.bits; bits += 32) {
    out = hashAdd(out, Number(BigInt.asIntN(32, rest)));
    rest >>= 32n;
  }
  return out;
}
