/**
 * The group action: which buckets run, and each on its own copy of the flow. Select groups choose by weighted
 * rendezvous hashing, so that a bucket that comes or goes moves only its own share of the flows. The method dp_hash
 * hashes here what the datapath would hash.
 */
import { type Field, getFieldBig, setFieldBig } from "../../flow/fields/index.ts";
import {
  type Flow,
  W_ETH_DST_HI,
  W_ETH_DST_SRC,
  W_ETH_SRC_LO,
  W_ETH_TYPE,
  W_IPV4_DST,
  W_IPV4_SRC,
  W_IPV6_DST,
  W_IPV6_SRC,
  W_NW,
  W_TP,
  W_VLAN0,
} from "../../flow/layout.ts";
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
import { xlateActions } from "./actions.ts";
import { ETH_TYPE_IP, ETH_TYPE_IPV6, MAX_DEPTH, type XlateContext } from "./context.ts";
import { hasPrerequisite } from "./fields.ts";
import { popSavedFlow, pushSavedFlow } from "./output.ts";
import { finishFreezing } from "./recirculate.ts";

/** Groups that watch groups: how far liveness is followed. */
const MAX_WATCH_DEPTH = 10;

export function xlateGroup(ctx: XlateContext, groupId: number): void {
  const group = ctx.ofproto.groups.get(groupId);
  if (group === undefined) {
    ctx.warn("output to nonexistent group");
    return;
  }
  if (ctx.depth > MAX_DEPTH) {
    ctx.fail("recursion", `over max translation depth ${MAX_DEPTH}`);
    return;
  }
  ctx.credits.push(group);
  switch (group.type) {
    case GROUP_ALL:
    case GROUP_INDIRECT:
      for (const bucket of group.buckets) if (ctx.error === undefined) runBucket(ctx, bucket);
      return;
    case GROUP_FAST_FAILOVER:
      choose(
        ctx,
        group.buckets.find((bucket) => isLive(ctx.ofproto, bucket, 0)),
      );
      return;
    default:
      choose(ctx, select(ctx, group));
  }
}

function choose(ctx: XlateContext, bucket: BucketState | undefined): void {
  if (bucket === undefined) {
    if (ctx.tracing) ctx.detail("no live bucket");
    return;
  }
  if (ctx.tracing) ctx.detail(`using bucket ${bucket.config.bucketId}`);
  runBucket(ctx, bucket);
}

/** Runs a bucket's actions as an action set on a copy of the flow. */
function runBucket(ctx: XlateContext, bucket: BucketState): void {
  bucket.ordered ??= orderActionSet(bucket.config.actions);
  ctx.credits.push(bucket);
  const { rule, trace, exit, conntracked, wasMpls } = ctx;
  const actionSet = ctx.actionSet.slice();
  const place = pushSavedFlow(ctx.flow);
  const subs = ctx.tracing ? ctx.node(OFT_BUCKET, `bucket ${bucket.config.bucketId}`) : undefined;
  if (subs !== undefined) ctx.trace = subs;
  ctx.depth++;
  xlateActions(ctx, bucket.ordered);
  ctx.depth--;
  finishFreezing(ctx);
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
  const { selectionMethod, selectionMethodParam, fields } = group.props;
  const byFields = selectionMethod === "hash" && fields.length > 0;
  if (ctx.tracing && selectionMethod !== "hash") ctx.detail("selection method in use: dp_hash");
  const seed = Number(BigInt.asIntN(32, selectionMethodParam ^ (selectionMethodParam >> 32n)));
  const basis = byFields
    ? hashFields(ctx, fields, seed)
    : hashConnection(ctx, seed, selectionMethod === "hash");
  let best: BucketState | undefined;
  let bestScore = 0;
  for (const bucket of group.buckets) {
    if (!isLive(ctx.ofproto, bucket, 0)) continue;
    const { bucketId, weight } = bucket.config;
    const score = (hashFinish(hashAdd(basis, bucketId), 8) & 0xffff) * weight;
    if (ctx.tracing && selectionMethod === "hash") ctx.detail(`bucket ${bucketId}: score ${score}`);
    if (score >= bestScore && weight > 0) {
      best = bucket;
      bestScore = score;
    }
  }
  return best;
}

function hashFields(ctx: XlateContext, fields: Group["props"]["fields"], seed: number): number {
  const { flow, wildcards } = ctx;
  let hash = seed;
  for (const { field, value } of fields) {
    if (!hasPrerequisite(field, flow, wildcards)) continue;
    hash = hashBig(hash, field, getFieldBig(field, flow) & value);
    setFieldBig(field, wildcards, getFieldBig(field, wildcards) | value);
  }
  return hash;
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

/** The same for both directions of a connection. `l2`: addresses and tag of Ethernet count too. */
function hashConnection(ctx: XlateContext, seed: number, l2: boolean): number {
  const { flow, wildcards } = ctx;
  let hash = seed;
  if (l2) {
    wildcards[W_ETH_DST_HI] = -1;
    wildcards[W_ETH_DST_SRC] = -1;
    wildcards[W_ETH_SRC_LO] = -1;
    wildcards[W_VLAN0] = wildcards[W_VLAN0]! | 0xffff;
    const shared = flow[W_ETH_DST_SRC]!;
    const dstHigh = flow[W_ETH_DST_HI]! >>> 16;
    const dstLow = (flow[W_ETH_DST_HI]! << 16) | (shared >>> 16);
    hash = hashAdd(hash, dstHigh ^ (shared & 0xffff));
    hash = hashAdd(hash, dstLow ^ flow[W_ETH_SRC_LO]!);
    hash = hashAdd(hash, flow[W_VLAN0]! & 0xffff);
  }
  return hashFinish(hashNetwork(flow, wildcards, hash), 24);
}

function hashNetwork(flow: Flow, wildcards: Flow, start: number): number {
  const type = flow[W_ETH_TYPE]!;
  let hash = hashAdd(start, type & 0xffff);
  if (type === ETH_TYPE_IP) {
    wildcards[W_IPV4_SRC] = -1;
    wildcards[W_IPV4_DST] = -1;
    hash = hashAdd(hash, flow[W_IPV4_SRC]! ^ flow[W_IPV4_DST]!);
  } else if (type === ETH_TYPE_IPV6) {
    for (let i = 0; i < 4; i++) {
      wildcards[W_IPV6_SRC + i] = -1;
      wildcards[W_IPV6_DST + i] = -1;
      hash = hashAdd(hash, flow[W_IPV6_SRC + i]! ^ flow[W_IPV6_DST + i]!);
    }
  } else return hash;
  wildcards[W_NW] = wildcards[W_NW]! | 0xff;
  const protocol = flow[W_NW]! & 0xff;
  hash = hashAdd(hash, protocol);
  if (protocol === 6 || protocol === 17 || protocol === 132) {
    wildcards[W_TP] = -1;
    hash = hashAdd(hash, (flow[W_TP]! >>> 16) ^ (flow[W_TP]! & 0xffff));
  }
  return hash;
}
