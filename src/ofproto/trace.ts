/** What would happen to a packet, step by step: ofproto/trace, and the log of a translation that has failed. */
import { ACTION_DROPS } from "../datapath/drop-reasons.ts";
import { formatOdpActions } from "../datapath/odp/action-text.ts";
import { FLOW_DP_WORDS, FLOW_WORDS, type Flow, W_ACTSET_OUTPUT } from "../flow/layout.ts";
import { formatFlow, formatMatch, type PortNames } from "../flow/match-text.ts";
import type { Json } from "../lib/json.ts";
import type { Ofpact } from "../openflow/actions.ts";
import type { FrozenState } from "./frozen.ts";
import { portNames } from "./megaflow-text.ts";
import type { Ofproto } from "./ofproto.ts";
import { resumeConntrack } from "./trace-conntrack.ts";
import { formatTrace, type TraceNode, traceJson } from "./trace-nodes.ts";
import { ofPortNames, type TraceRequest } from "./trace-request.ts";
import { type Recirculation, XLATE_ERROR_NUMBER, type XlateContext } from "./xlate/context.ts";
import { shownMask, translate, translateActions } from "./xlate/translate.ts";

/** Where a pass begins. */
interface Start {
  ofproto: Ofproto;
  flow: Flow;
  /** What the flow's recirc_id stands for. */
  state: FrozenState | undefined;
  /** A packet-out's, in place of the tables. */
  actions: readonly Ofpact[] | undefined;
}

/** One run through the tables: from the packet's arrival to where it leaves, is dropped or is recirculated. */
interface TracePass {
  /** Lines before it that tell where it comes from. */
  heading: string[];
  bridge: string;
  initial: string;
  nodes: TraceNode[];
  final: string;
  megaflow: string;
  actions: string;
  /** The datapath cannot do it all. */
  slow: boolean;
  /** Why the translation failed. */
  error: string | undefined;
}

/** Without the action set's output, which nobody asked for. */
function flowText(flow: Flow, ports: PortNames | undefined): string {
  const shown = flow.slice();
  shown[W_ACTSET_OUTPUT] = 0;
  return formatFlow(shown, ports);
}

function sameFlow(a: Flow, b: Flow): boolean {
  for (let word = 0; word < FLOW_WORDS; word++)
    if (a[word] !== b[word] && word !== W_ACTSET_OUTPUT) return false;
  return true;
}

/** The packet's own pass, and those of the packets that connection tracking gives back. */
function trace(request: TraceRequest): TracePass[] {
  const { frozen } = request.ofproto.backer;
  return frozen.temporarily(() => {
    const waiting: Recirculation[] = [];
    const passes = [runPass(request, request, waiting, [])];
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const state = frozen.state(next.id)!;
      const heading = resumeConntrack(next, request.ctNext.shift());
      const start = { ofproto: state.ofproto, flow: next.flow, state, actions: undefined };
      passes.push(runPass(request, start, waiting, heading));
    }
    return passes;
  });
}

function runPass(
  { packet, names }: TraceRequest,
  { ofproto, flow, state, actions }: Start,
  waiting: Recirculation[],
  heading: string[],
): TracePass {
  const { backer } = ofproto;
  const ports = names ? ofPortNames(ofproto) : undefined;
  const ctx = backer.xlate;
  const nodes: TraceNode[] = [];
  const initial = flowText(flow, ports);

  ctx.flow.set(flow);
  ctx.trace = nodes;
  ctx.portNames = ports;
  const now = ofproto.clock.now();
  const sideEffects = packet !== undefined;
  const length = packet?.length ?? 0;
  if (actions === undefined) translate(ctx, ofproto, now, sideEffects, length, state);
  else translateActions(ctx, ofproto, actions, now, length, { packetOut: false, sideEffects });
  ctx.trace = undefined;
  ctx.portNames = undefined;
  waiting.push(...ctx.recirculations);

  return {
    heading,
    bridge: ofproto.name,
    initial,
    nodes,
    final: sameFlow(flow, ctx.flow) ? "unchanged" : flowText(ctx.flow, ports),
    megaflow: megaflowText(ctx, flow, ports),
    actions: formatOdpActions(ctx.odp.words.subarray(0, ctx.odp.length), {
      ports: names ? portNames(backer.dpif) : undefined,
      key: flow,
      userspace: (index) => backer.frozen.formatUserspace(index),
    }),
    slow: ctx.slow,
    error: ctx.error === undefined ? undefined : ACTION_DROPS[XLATE_ERROR_NUMBER[ctx.error]]!.text,
  };
}

function megaflowText(ctx: XlateContext, flow: Flow, ports: PortNames | undefined): string {
  const mask = new Int32Array(FLOW_WORDS);
  shownMask(ctx, mask);
  // Registers are no part of a megaflow; of a translation that failed they help to see why, as in the original.
  if (ctx.error === undefined) mask.fill(0, FLOW_DP_WORDS);
  const masked = flow.slice();
  for (let i = 0; i < FLOW_WORDS; i++) masked[i] = masked[i]! & mask[i]!;
  return formatMatch({ flow: masked, mask, tunMetadata: undefined }, { ports });
}

/** The whole text of a trace. */
export function traceText(request: TraceRequest): string {
  const lines: string[] = [];
  for (const pass of trace(request)) {
    lines.push(...pass.heading, `Flow: ${pass.initial}`);
    formatTrace(pass.nodes, lines);
    lines.push(
      "",
      `Final flow: ${pass.final}`,
      `Megaflow: ${pass.megaflow}`,
      `Datapath actions: ${pass.actions}`,
    );
    if (pass.slow)
      lines.push(
        "This flow is handled by the userspace slow path because it:",
        "  - Uses action(s) not supported by datapath.",
      );
    if (pass.error !== undefined) lines.push(`Translation failed (${pass.error}), packet is dropped.`);
  }
  return lines.join("\n");
}

/** The same for programs: what recirculation brings back follows in `recirculated`. */
export function traceDocument(request: TraceRequest): Json {
  const [first, ...others] = trace(request).map((pass) => ({
    bridge: pass.bridge,
    flow: pass.initial,
    steps: traceJson(pass.nodes),
    final_flow: pass.final,
    megaflow: pass.megaflow,
    datapath_actions: pass.actions,
    ...(pass.error === undefined ? {} : { error: pass.error }),
  }));
  return { ...first!, ...(others.length === 0 ? {} : { recirculated: others }) };
}
