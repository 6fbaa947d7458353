/**
 * Actions on a copy of the packet: clone(), buckets, the bridge behind a patch port. Where what they do to the packet can
 * be undone by setting headers back, that is what happens; else the datapath makes the copy.
 */
import { ODP_CLONE, ODP_SAMPLE } from "../../datapath/odp/actions.ts";
import type { Ofpact } from "../../openflow/actions.ts";
import { xlateActions } from "./actions.ts";
import type { XlateContext } from "./context.ts";
import { popSavedFlow, pushSavedFlow } from "./output.ts";
import { endPipeline, finishFreezing } from "./recirculate.ts";

/** What no setting of headers undoes. */
const IRREVERSIBLE: ReadonlySet<Ofpact["type"]> = new Set([
  "ct",
  "nat",
  "meter",
  "output_trunc",
  "encap",
  "decap",
  "dec_nsh_ttl",
]);

/** Sampling every packet makes copies too, where it may be nested deep enough. */
const MIN_SAMPLE_NESTING = 3;
/** Probability of a sample, of 2^32 - 1. */
const ALWAYS = -1;

/** Runs `actions`, the caller restoring `ctx.flow` afterwards. `pipeline`: with what the action set holds at their end. */
export function xlateOnCopy(
  ctx: XlateContext,
  actions: readonly Ofpact[],
  last: boolean,
  pipeline: boolean,
): void {
  if ((last && ctx.actionSet.length === 0) || !actions.some(({ type }) => IRREVERSIBLE.has(type))) {
    xlateActions(ctx, actions, last);
    end(ctx, pipeline);
    return;
  }
  // What is pending happens once, before there are two packets.
  ctx.commit();
  const { odp } = ctx;
  const place = pushSavedFlow(ctx.base);
  const { features } = ctx.ofproto.backer;
  const canClone = features.has("clone");
  if (!canClone && features.limit("sample_nesting") <= MIN_SAMPLE_NESTING) {
    ctx.reportError("Failed to compose clone action");
    popSavedFlow(place, ctx.base);
    return;
  }
  const at = odp.openNested(canClone ? ODP_CLONE : ODP_SAMPLE);
  if (!canClone) {
    odp.reserve(1);
    odp.words[odp.length++] = ALWAYS;
  }
  const start = odp.length;
  xlateActions(ctx, actions, true);
  end(ctx, pipeline);
  if (odp.length === start) odp.length = at;
  else odp.closeNested(at);
  popSavedFlow(place, ctx.base);
}

function end(ctx: XlateContext, pipeline: boolean): void {
  if (pipeline) endPipeline(ctx);
  else finishFreezing(ctx);
}
