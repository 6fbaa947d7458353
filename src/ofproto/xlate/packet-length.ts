/** check_pkt_larger: what follows is translated twice, for longer packets and for the others. */
import { ODP_CHECK_PKT_LEN } from "../../datapath/odp/actions.ts";
import type { CheckPktLarger, Ofpact } from "../../openflow/actions.ts";
import { xlateActions } from "./actions.ts";
import type { XlateContext } from "./context.ts";
import { writeSubfield } from "./fields.ts";
import { popSavedFlow, pushSavedFlow } from "./output.ts";
import { endPipeline, finishFreezing } from "./recirculate.ts";

/** `rest`: the actions of the list after it, `last` that nothing follows these. */
export function xlateCheckLarger(
  ctx: XlateContext,
  action: CheckPktLarger,
  rest: readonly Ofpact[],
  last: boolean,
): void {
  ctx.commit();
  if (!ctx.ofproto.backer.features.has("check_pkt_len")) {
    // Each packet comes up, with its length.
    ctx.slow = true;
    writeSubfield(action.dst, ctx.packetLength > action.length ? 1n : 0n, ctx.flow, ctx.wildcards);
    xlateActions(ctx, rest, last);
    return;
  }
  const { odp } = ctx;
  const at = odp.emitBlank(ODP_CHECK_PKT_LEN, 4);
  odp.words[at + 2] = action.length;
  branch(ctx, action, 1n, rest, last);
  odp.words[at + 3] = odp.length - at - 4;
  branch(ctx, action, 0n, rest, last);
  odp.closeNested(at);
}

function branch(
  ctx: XlateContext,
  action: CheckPktLarger,
  value: bigint,
  rest: readonly Ofpact[],
  last: boolean,
): void {
  const place = pushSavedFlow(ctx.flow);
  const basePlace = pushSavedFlow(ctx.base);
  const stack = ctx.stack.slice();
  const actionSet = ctx.actionSet.slice();
  const { conntracked, wasMpls, exit, trace } = ctx;
  writeSubfield(action.dst, value, ctx.flow, ctx.wildcards);
  xlateActions(ctx, rest, last);
  if (last) endPipeline(ctx);
  else finishFreezing(ctx);
  ctx.trace = trace;
  popSavedFlow(basePlace, ctx.base);
  popSavedFlow(place, ctx.flow);
  ctx.stack.length = 0;
  ctx.stack.push(...stack);
  ctx.actionSet.length = 0;
  ctx.actionSet.push(...actionSet);
  ctx.conntracked = conntracked;
  ctx.wasMpls = wasMpls;
  if (ctx.error === undefined) ctx.exit = exit;
}
