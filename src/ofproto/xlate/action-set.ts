/** The action set of OpenFlow 1.1 and later: kept by write_actions, executed at the end (OpenFlow 1.5.1, section 5.6). */
import { W_ACTSET_OUTPUT } from "../../flow/layout.ts";
import { formatActions } from "../../openflow/actions/registry.ts";
import { OFPP_UNSET, type Ofpact } from "../../openflow/actions.ts";
import { OFT_TABLE } from "../trace-nodes.ts";
import { xlateActions } from "./actions.ts";
import type { XlateContext } from "./context.ts";

/** Kinds in the order of execution; of one kind only the last counts, save set_field, which keeps one a field. */
const ORDER: readonly (readonly Ofpact["type"][])[] = [
  ["strip_vlan"],
  ["pop_mpls"],
  ["decap"],
  ["encap"],
  ["push_mpls"],
  ["push_vlan"],
  ["dec_ttl"],
  ["dec_mpls_ttl"],
  ["dec_nsh_ttl"],
];
const SETS: readonly Ofpact["type"][] = [
  "set_eth_dst",
  "set_eth_src",
  "set_field",
  "reg_move",
  "set_ipv4_dst",
  "set_ipv4_src",
  "set_ip_dscp",
  "set_ip_ecn",
  "set_ip_ttl",
  "set_l4_dst_port",
  "set_l4_src_port",
  "set_mpls_label",
  "set_mpls_tc",
  "set_mpls_ttl",
  "set_queue",
  "set_tunnel",
  "set_vlan_pcp",
  "set_vlan_vid",
];
/** Of these the first kind that is there wins. */
const FINAL: readonly Ofpact["type"][] = ["group", "output", "resubmit", "ct"];

/** What the set amounts to, in the order of execution; empty when nothing of it sends the packet anywhere. */
export function orderActionSet(set: readonly Ofpact[]): Ofpact[] {
  const out: Ofpact[] = [];
  const last = (types: readonly Ofpact["type"][]) => set.findLast((action) => types.includes(action.type));
  for (const types of ORDER) {
    const action = last(types);
    if (action !== undefined) out.push(action);
  }
  for (const action of set) if (SETS.includes(action.type)) out.push(action);
  for (const type of FINAL) {
    const action = last([type]);
    if (action !== undefined) {
      out.push(action);
      return out;
    }
  }
  return [];
}

/** actset_output: where the set sends the packet; a group decides for itself. */
export function actionSetOutput(set: readonly Ofpact[]): number {
  if (set.some(({ type }) => type === "group")) return OFPP_UNSET;
  const last = set.findLast((action) => action.type === "output");
  return last?.type === "output" ? last.port : OFPP_UNSET;
}

export function reportActionSet(ctx: XlateContext): void {
  if (!ctx.tracing) return;
  const actions = orderActionSet(ctx.actionSet);
  ctx.detail(actions.length === 0 ? "action set is empty" : `action set is: ${formatActions(actions)}`);
}

/** At the end of a pipeline. */
export function xlateActionSet(ctx: XlateContext): void {
  ctx.flow[W_ACTSET_OUTPUT] = OFPP_UNSET;
  if (ctx.actionSet.length === 0) return;
  const actions = orderActionSet(ctx.actionSet);
  ctx.actionSet.length = 0;
  if (actions.length === 0) return;
  const trace = ctx.trace;
  const subs = ctx.node(OFT_TABLE, "--. Executing action set:");
  if (subs !== undefined) ctx.trace = subs;
  ctx.inActionSet = true;
  xlateActions(ctx, actions, true);
  ctx.inActionSet = false;
  ctx.trace = trace;
}
