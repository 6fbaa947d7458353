/** Samples for sFlow and IPFIX, and NetFlow's statistics (upstream: compose_sample_action and its callers). */
import {
  nestedStart,
  ODP_METER,
  ODP_PSAMPLE,
  ODP_SAMPLE,
  ODP_USERSPACE,
} from "../../datapath/odp/actions.ts";
import {
  W_ETH_TYPE,
  W_IPV4_DST,
  W_IPV4_SRC,
  W_IPV6_LABEL,
  W_IPV6_SRC,
  W_MPLS,
  W_NW,
  W_TP,
  W_VLAN0,
} from "../../flow/layout.ts";
import type { Sample, Subfield } from "../../openflow/actions.ts";
import { OFPP_NONE } from "../../openflow/actions.ts";
import { OFPM_SLOWPATH } from "../meter.ts";
import { ALWAYS, NF_OUT_DROP, NF_OUT_FLOOD, NF_OUT_MULTI, type SampleAction } from "../sampling.ts";
import {
  ETH_TYPE_IP,
  ETH_TYPE_IPV6,
  ETH_TYPE_MPLS,
  ETH_TYPE_MPLS_MCAST,
  type XlateContext,
} from "./context.ts";
import { readSubfield } from "./fields.ts";

const MPLS_BOS = 0x100;

/** Opens a sample action unless every packet is meant; returns what {@link closeSample} takes. */
function openSample(ctx: XlateContext, probability: number): number {
  const at = ctx.odp.length;
  if (probability >= ALWAYS) return -1;
  ctx.odp.emit(ODP_SAMPLE, probability | 0);
  return at;
}

function closeSample(ctx: XlateContext, at: number): void {
  if (at >= 0) ctx.odp.closeNested(at);
}

/**
 * Hands packets up, past the bridge's meter for that; returns where the operand is. `probability` undefined: within a
 * sample already.
 */
function emitUserspace(ctx: XlateContext, probability: number | undefined, action: SampleAction): number {
  const { odp } = ctx;
  const meter = ctx.ofproto.meters.get(OFPM_SLOWPATH);
  let at = probability === undefined ? -1 : openSample(ctx, probability);
  if (meter !== undefined) {
    if (at < 0 && probability !== undefined) {
      // What the meter drops goes on outside of the sample.
      at = odp.length;
      odp.emit(ODP_SAMPLE, ALWAYS | 0);
    }
    odp.emit(ODP_METER, meter.dpId);
  }
  odp.emit(ODP_USERSPACE, ctx.ofproto.backer.frozen.sample(ctx.ofproto, action));
  closeSample(ctx, at);
  return odp.length - 1;
}

/** On reception, before any action. */
export function sampleInput(ctx: XlateContext): void {
  const { sampling } = ctx.ofproto;
  ctx.sflowOperand = -1;
  if (sampling === undefined) return;
  if (sampling.sflowProbability !== undefined) {
    ctx.sflowOperand = emitUserspace(ctx, sampling.sflowProbability, {
      kind: "sflow",
      vlanTci: 0,
      output: 0,
      mpls: [],
    });
  }
  if (sampling.ipfix?.input === true) {
    emitUserspace(ctx, sampling.ipfix.probability, {
      kind: "ipfix",
      outputPort: undefined,
      dropped: false,
    });
  }
}

/** Right before the packet leaves by datapath port `odpPort`. */
export function sampleOutput(ctx: XlateContext, odpPort: number): void {
  const ipfix = ctx.ofproto.sampling?.ipfix;
  if (ipfix?.output !== true) return;
  emitUserspace(ctx, ipfix.probability, { kind: "ipfix", outputPort: odpPort, dropped: false });
}

/** When it is known where the packet goes: the sFlow sample says so, and NetFlow counts. `first`: translation's bridge. */
export function finishSamples(ctx: XlateContext): void {
  const { first } = ctx;
  const { sampling } = first;
  if (sampling === undefined || ctx.error !== undefined) return;
  if (ctx.sflowOperand >= 0) {
    ctx.odp.words[ctx.sflowOperand] = first.backer.frozen.sample(first, {
      kind: "sflow",
      vlanTci: ctx.base[W_VLAN0]! & 0xefff,
      output: sampling.sflowOutput(ctx.outputs),
      mpls: pushedLabels(ctx),
    });
  }
  if (onlySamples(ctx)) markDropped(ctx, 0, ctx.odp.length);
  const type = ctx.original[W_ETH_TYPE];
  if (type !== ETH_TYPE_IP && type !== ETH_TYPE_IPV6) return;
  const credit = sampling.netflowCredit(ctx.original, netflowOutput(ctx));
  if (credit === undefined) return;
  ctx.credits.push(credit);
  // Connections must not share a megaflow.
  const { wildcards } = ctx;
  wildcards[W_NW] = wildcards[W_NW]! | 0xfcff;
  wildcards[W_TP] = -1;
  if (type === ETH_TYPE_IP) {
    wildcards[W_IPV4_SRC] = -1;
    wildcards[W_IPV4_DST] = -1;
  } else wildcards.fill(-1, W_IPV6_SRC, W_IPV6_LABEL);
}

/** Copies for monitoring are all that becomes of the packet. */
export function onlySamples({ odp, outputs }: XlateContext): boolean {
  if (outputs.count > 0) return false;
  for (let at = 0; at < odp.length; at += odp.words[at + 1]!) {
    const opcode = odp.words[at];
    // Of every packet a sample is taken without an action of that name.
    const bare = opcode === ODP_USERSPACE && odp.words[at + 2]! < 0;
    if (!bare && opcode !== ODP_SAMPLE && opcode !== ODP_PSAMPLE) return false;
  }
  return true;
}

/** IPFIX samples of a packet that goes nowhere say so; those of `words` from `start` to `end`. */
function markDropped(ctx: XlateContext, start: number, end: number): void {
  const { words } = ctx.odp;
  const { frozen } = ctx.first.backer;
  for (let at = start; at < end; at += words[at + 1]!) {
    if (words[at] === ODP_USERSPACE) {
      const action = frozen.action(words[at + 2]!);
      if (action === undefined || !("sample" in action) || action.sample.kind === "sflow") continue;
      words[at + 2] = frozen.sample(action.ofproto, { ...action.sample, dropped: true });
    } else if (words[at] === ODP_SAMPLE) markDropped(ctx, nestedStart(words, at), at + words[at + 1]!);
  }
}

function netflowOutput(ctx: XlateContext): number {
  if (ctx.flooded) return NF_OUT_FLOOD;
  if (ctx.outputs.count === 0) return NF_OUT_DROP;
  return ctx.outputs.count === 1 ? ctx.outputs.port : NF_OUT_MULTI;
}

/** The label stack that the packet leaves with, outermost first, when translation has changed it. */
function pushedLabels({ base, original }: XlateContext): number[] {
  const type = base[W_ETH_TYPE];
  const labels: number[] = [];
  let changed = type !== original[W_ETH_TYPE];
  if (type !== ETH_TYPE_MPLS && type !== ETH_TYPE_MPLS_MCAST) return labels;
  for (let word = W_MPLS; word < W_MPLS + 3; word++) {
    labels.push(base[word]! >>> 0);
    changed ||= base[word] !== original[word];
    if ((base[word]! & MPLS_BOS) !== 0) break;
  }
  return changed ? labels : [];
}

/** The action `sample`. */
export function xlateSample(ctx: XlateContext, action: Sample): void {
  const { sampling } = ctx.ofproto;
  if (sampling === undefined) return;
  const { collectorSetId } = action;
  const group = ctx.ofproto.backer.features.has("psample") ? sampling.localGroup(collectorSetId) : undefined;
  if (group === undefined && !sampling.flowSampling) return;
  ctx.commit();
  const domain = number(ctx, action.obsDomain);
  const point = number(ctx, action.obsPoint);
  const probability = ((action.probability << 16) | action.probability) >>> 0;
  const at = group === undefined ? -1 : openSample(ctx, probability);
  if (group !== undefined) ctx.odp.emit(ODP_PSAMPLE, group | 0, domain | 0, point | 0, 3);
  if (sampling.flowSampling) {
    const port = action.samplingPort === OFPP_NONE ? undefined : ctx.port(action.samplingPort);
    emitUserspace(ctx, at >= 0 ? undefined : probability, {
      kind: "flow_sample",
      probability: action.probability,
      collectorSetId,
      domain,
      point,
      outputPort: port?.odpPort,
      direction: action.direction,
      dropped: false,
    });
  }
  closeSample(ctx, at);
}

function number(ctx: XlateContext, value: number | Subfield): number {
  return typeof value === "number" ? value : Number(readSubfield(value, ctx.flow, ctx.wildcards));
}
