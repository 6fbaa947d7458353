/**
 * Recirculation: the datapath parses the packet again and hands it up under a recirc_id, where the pipeline goes on in the
 * state that it was frozen in (`../frozen.ts`). Either all that is left waits (after a label came off, for a hash): `freeze`,
 * then each list of actions on the way out leaves what it has not done ({@link freezeActions}) until
 * {@link finishFreezing}; or a copy goes on in some table while this packet goes on here: {@link forkRecirculation}.
 */
import { ODP_HASH, ODP_RECIRC } from "../../datapath/odp/actions.ts";
import {
  type ControllerAction,
  type GotoTable,
  OFPP_IN_PORT,
  type Ofpact,
  type Resubmit,
} from "../../openflow/actions.ts";
import type { FrozenState } from "../frozen.ts";
import type { XlateContext } from "./context.ts";
import { emitController } from "./output.ts";

/** May tell a controller the table and the cookie that they run in. */
const TELLING: ReadonlySet<Ofpact["type"]> = new Set([
  "output_reg",
  "output_trunc",
  "group",
  "output",
  "controller",
  "dec_mpls_ttl",
  "dec_nsh_ttl",
  "dec_ttl",
]);

/** Neither looks at nor changes what lies below a label that came off. */
const ABOVE_MPLS: ReadonlySet<Ofpact["type"]> = new Set([
  "output",
  "output_trunc",
  "output_reg",
  "enqueue",
  "set_vlan_vid",
  "set_vlan_pcp",
  "set_eth_src",
  "set_eth_dst",
  "set_tunnel",
  "set_queue",
  // Its buckets find out for themselves.
  "group",
]);
const L2_OR_METADATA = new Set(["none", "ethernet", "vlan"]);

/** Whether the packet must come back before this action, when a label has come off. */
export function needsPayload(action: Ofpact): boolean {
  if (action.type !== "set_field") return !ABOVE_MPLS.has(action.type);
  return !L2_OR_METADATA.has(action.field.prereq) || action.field.name.startsWith("arp_");
}

const resubmits = new WeakMap<GotoTable, Resubmit>();
/** Resubmits that stand for goto_table: a miss does there what the table's configuration says. */
const gotos = new WeakSet<Resubmit>();

/** goto_table ends a list of actions; what is frozen may go on behind it. */
function gotoAsResubmit(action: GotoTable): Resubmit {
  let resubmit = resubmits.get(action);
  if (resubmit === undefined) {
    resubmit = { type: "resubmit", port: OFPP_IN_PORT, table: action.table, withCtOrig: false };
    resubmits.set(action, resubmit);
    gotos.add(resubmit);
  }
  return resubmit;
}

export function isGoto(action: Resubmit): boolean {
  return gotos.has(action);
}

/** Keeps `actions` from `first` on, with a note of the table and flow that they belong to where that matters. */
export function freezeActions(ctx: XlateContext, actions: readonly Ofpact[], first: number): void {
  const { frozenActions, tableId, ruleCookie } = ctx;
  for (let i = first; i < actions.length; i++) {
    const action = actions[i]!;
    if (action.type === "note" || action.type === "conjunction") continue;
    if (TELLING.has(action.type) || (action.type === "resubmit" && action.table === 255)) {
      const last = frozenActions.findLast((each) => each.type === "unroll_xlate");
      if (last === undefined || last.table !== tableId || last.cookie !== ruleCookie)
        frozenActions.push({ type: "unroll_xlate", table: tableId, cookie: ruleCookie });
    }
    frozenActions.push(action.type === "goto_table" ? gotoAsResubmit(action) : action);
  }
}

export function stateOf(
  ctx: XlateContext,
  tableId: number,
  actions: readonly Ofpact[] | undefined,
): FrozenState {
  return {
    ofproto: ctx.ofproto,
    tableId,
    metadata: ctx.flow,
    stack: ctx.stack,
    actions,
    actionSet: ctx.actionSet,
    conntracked: ctx.conntracked,
    mirrors: ctx.mirrors,
  };
}

/** What comes after the last table: the action set, or the wait for the packet to come back. */
export function endPipeline(ctx: XlateContext): void {
  if (ctx.error !== undefined) return;
  if (!ctx.freezing) ctx.ofproto.xlateActionSet(ctx);
  finishFreezing(ctx);
}

/** At the end of a pipeline, or of a part of it that has its own end, that froze. */
export function finishFreezing(ctx: XlateContext): void {
  if (!ctx.freezing || ctx.error !== undefined) return;
  ctx.commit();
  if (ctx.pause !== undefined) {
    xlatePause(ctx, ctx.pause, stateOf(ctx, ctx.tableId, ctx.frozenActions));
    ctx.pause = undefined;
    ctx.freezing = false;
    ctx.frozenActions.length = 0;
    return;
  }
  const { frozen } = ctx.ofproto.backer;
  if (ctx.hashAlgorithm >= 0) ctx.odp.emit(ODP_HASH, ctx.hashAlgorithm, ctx.hashBasis, 0, 2);
  ctx.hashAlgorithm = -1;
  ctx.odp.emit(ODP_RECIRC, frozen.recirculation(stateOf(ctx, 0, ctx.frozenActions)));
  ctx.freezing = false;
  ctx.frozenActions.length = 0;
}

/** The rest is up to a controller, which gets the packet and what is to be done with it. */
function xlatePause(ctx: XlateContext, action: ControllerAction, state: FrozenState): void {
  emitController(
    ctx,
    state,
    {
      reason: action.reason,
      cookie: ctx.ruleCookie,
      controllerId: action.controllerId,
      maxLen: action.maxLen,
      userdata: action.userdata.length > 0 ? action.userdata : undefined,
      continuation: true,
      dontSend: !ctx.sideEffects && ctx.tracing,
    },
    action.meterId,
  );
}

/** A copy of the packet goes on in `tableId`; returns its recirc_id. */
export function forkRecirculation(ctx: XlateContext, tableId: number): number {
  ctx.commit();
  const id = ctx.ofproto.backer.frozen.recirculation(stateOf(ctx, tableId, undefined));
  ctx.odp.emit(ODP_RECIRC, id);
  return id;
}
