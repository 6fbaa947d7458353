/** The learn action: a flow_mod made from the packet (ovs-actions(7), "The learn action"). */
import { getFieldBig, setFieldBig } from "../../flow/fields/index.ts";
import { type Match, makeMatch } from "../../flow/match.ts";
import { type Learn, type LearnSpec, OFPP_MAX, type Ofpact, type Subfield } from "../../openflow/actions.ts";
import { type FlowMod, OFP_NO_BUFFER, OFPFC_ADD, OFPFC_MODIFY_STRICT } from "../../openflow/messages.ts";
import type { Ofproto } from "../ofproto.ts";
import type { Rule } from "../rule.ts";
import type { Credit, XlateContext } from "./context.ts";
import { hasPrerequisite, maskSubfield, readSubfield, reportSubfield, writeSubfield } from "./fields.ts";

const LEARN_SEND_FLOW_REM = 1;
const LEARN_DELETE_LEARNED = 2;
const LEARN_WRITE_RESULT = 4;

export function xlateLearn(ctx: XlateContext, action: Learn): void {
  // All that the flow depends on decides how wide the megaflow may be.
  for (const spec of action.specs) {
    if (typeof spec.src !== "bigint") {
      hasPrerequisite(spec.src.field, ctx.flow, ctx.wildcards);
      maskSubfield(spec.src, ctx.wildcards);
    }
  }
  const mod = learnedFlowMod(ctx, action);
  const { ofproto } = ctx;
  const learns = ofproto.mayLearn(mod, action.limit);
  // Another packet may come to learn what was beyond the limit: it has to be translated for that.
  if (action.limit !== 0) {
    ctx.footprint.depend(ofproto.id, action.table);
    if (!ctx.sideEffects) ctx.transient = !ofproto.hasLearned(mod);
  }
  if (learns && ctx.sideEffects) {
    const error = ofproto.learnFlow(mod, ctx.nowMs);
    if (error !== undefined) ctx.warn(`error ${error} adding learned flow`);
  }
  if (!ctx.sideEffects && ctx.tracing) ctx.warn("suppressing side effects, so learn action ignored");
  else ctx.credits.push(new Relearn(ctx, mod, action.limit));
  if (action.resultDst !== undefined && (action.flags & LEARN_WRITE_RESULT) !== 0) {
    ctx.footprint.depend(ofproto.id, action.table);
    writeSubfield(action.resultDst, learns ? 1n : 0n, ctx.flow, ctx.wildcards);
    reportSubfield(ctx, action.resultDst);
  }
}

/** Packets of a megaflow do what its first packet did: they refresh the learned flow, or learn it again. */
class Relearn implements Credit {
  private readonly ofproto: Ofproto;
  /** Whose action it is. */
  private readonly rule: Rule | undefined;
  private readonly mod: FlowMod;
  private readonly limit: number;

  constructor({ ofproto, rule }: XlateContext, mod: FlowMod, limit: number) {
    this.ofproto = ofproto;
    this.rule = rule;
    this.mod = mod;
    this.limit = limit;
  }

  credit(_packets: number, _bytes: number, usedMs: number): void {
    const { rule, ofproto } = this;
    // What packets did before their rule went must not bring back what went with it.
    if (rule !== undefined && ofproto.tables[rule.table]!.findExact(rule.match, rule.priority) !== rule)
      return;
    if (ofproto.mayLearn(this.mod, this.limit)) ofproto.learnFlow(this.mod, usedMs);
  }
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
