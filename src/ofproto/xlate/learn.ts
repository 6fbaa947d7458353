/** The learn action: a flow_mod made from the packet (ovs-actions(7), "The learn action"). */
import { getFieldBig, setFieldBig } from "../../flow/fields/index.ts";
import { type Match, makeMatch } from "../../flow/match.ts";
import { type Learn, type LearnSpec, OFPP_MAX, type Ofpact, type Subfield } from "../../openflow/actions.ts";
import { type FlowMod, OFP_NO_BUFFER, OFPFC_ADD, OFPFC_MODIFY_STRICT } from "../../openflow/messages.ts";
import type { XlateContext } from "./context.ts";
import { hasPrerequisite, maskSubfield, readSubfield } from "./fields.ts";

const LEARN_SEND_FLOW_REM = 1;
const LEARN_DELETE_LEARNED = 2;

export function xlateLearn(ctx: XlateContext, action: Learn): void {
  // All that the flow depends on decides how wide the megaflow may be.
  for (const spec of action.specs) {
    if (typeof spec.src !== "bigint") {
      hasPrerequisite(spec.src.field, ctx.flow, ctx.wildcards);
      maskSubfield(spec.src, ctx.wildcards);
    }
  }
  if (!ctx.sideEffects) {
    if (ctx.tracing) ctx.warn("suppressing side effects, so learn action ignored");
    return;
  }
  const mod = learnedFlowMod(ctx, action);
  const error = ctx.ofproto.learnFlow(mod, action.limit, (action.flags & LEARN_DELETE_LEARNED) !== 0);
  if (error !== undefined) ctx.warn(`error ${error} adding learned flow`);
}

function setMatchBits(match: Match, dst: Subfield, value: bigint): void {
  const shift = BigInt(dst.offset);
  const ones = ((1n << BigInt(dst.bits)) - 1n) << shift;
  setFieldBig(dst.field, match.mask, getFieldBig(dst.field, match.mask) | ones);
  setFieldBig(
    dst.field,
    match.flow,
    (getFieldBig(dst.field, match.flow) & ~ones) | ((value << shift) & ones),
  );
}

function learnedFlowMod(ctx: XlateContext, action: Learn): FlowMod {
  const match = makeMatch();
  const actions: Ofpact[] = [];
  for (const spec of action.specs) {
    const value = typeof spec.src === "bigint" ? spec.src : readSubfield(spec.src, ctx.flow, ctx.wildcards);
    addSpec(spec, value, match, actions);
  }
  if (action.finIdleSec !== 0 || action.finHardSec !== 0) {
    actions.unshift({ type: "fin_timeout", idleSec: action.finIdleSec, hardSec: action.finHardSec });
  }
  return {
    type: "flow-mod",
    command: (action.flags & LEARN_DELETE_LEARNED) !== 0 ? OFPFC_ADD : OFPFC_MODIFY_STRICT,
    match,
    priority: action.priority,
    cookie: 0n,
    cookieMask: 0n,
    newCookie: action.cookie,
    modifyCookie: action.cookie !== 0xffff_ffff_ffff_ffffn,
    table: action.table,
    idleSec: action.idleSec,
    hardSec: action.hardSec,
    importance: 0,
    bufferId: OFP_NO_BUFFER,
    outPort: 0xffff,
    outGroup: 0xffffffff,
    flags: (action.flags & LEARN_SEND_FLOW_REM) !== 0 ? 1 : 0,
    actions,
  };
}

function addSpec(spec: LearnSpec, value: bigint, match: Match, actions: Ofpact[]): void {
  switch (spec.kind) {
    case "match":
      setMatchBits(match, spec.dst!, value);
      return;
    case "load": {
      const { field, offset, bits } = spec.dst!;
      const mask = ((1n << BigInt(bits)) - 1n) << BigInt(offset);
      actions.push({
        type: "set_field",
        field,
        value: value << BigInt(offset),
        mask,
        bytes: field.bytes,
        load: true,
      });
      return;
    }
    case "output": {
      const port = Number(value);
      if (port < OFPP_MAX || port >= 0xfff8) actions.push({ type: "output", port, maxLen: 0xffff });
    }
  }
}
