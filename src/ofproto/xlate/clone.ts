/**
 * Actions on a copy of the packet: clone(), buckets, the bridge behind a patch port. Where what they do to the packet can
 * be undone by setting headers back, that is what happens; else the datapath makes the copy.
 */
import { ODP_CLONE } from "../../datapath/odp/actions.ts";
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
  const at = odp.openNested(ODP_CLONE);
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
