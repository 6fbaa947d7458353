/**
 * Actions in a form that two lists which do the same share (dpctl/normalize-actions): outputs are gathered under the tags and
 * labels that the packet has when it is sent, and those that follow each other are sorted.
 */
import * as L from "../../flow/layout.ts";
import { formatOdpActions } from "./action-text.ts";
import * as A from "./actions.ts";
import { countMpls, mplsParts, readPart } from "./attributes.ts";
import { formatVlan } from "./key-text.ts";

/** Actions that packets with the same tags and labels take. */
interface Stage {
  key: L.Flow;
  prefix: string;
  actions: Int32Array[];
}

/** "no vlan: no mpls: 1,2" for each kind of packet that leaves, with nothing between them. */
export function normalizeOdpActions(key: L.Flow, program: Int32Array): string {
  if (program.length === 0) return `${prefixOf(key)}drop`;
  const stages: Stage[] = [];
  const flow = key.slice();
  for (let at = 0; at < program.length; at += Math.max(2, program[at + 1]!)) {
    if (reshape(flow, program, at)) continue;
    const prefix = prefixOf(flow);
    let stage = stages.find((each) => each.prefix === prefix);
    if (stage === undefined) {
      stage = { key: flow.slice(), prefix, actions: [] };
      stages.push(stage);
    }
    stage.actions.push(program.slice(at, at + program[at + 1]!));
  }
  stages.sort((a, b) => compareShapes(a.key, b.key));
  return stages.map(({ prefix, actions }) => prefix + sortOutputs(actions)).join("");
}

/** Applies a push or pop to `flow`; false for any other action. */
function reshape(flow: L.Flow, program: Int32Array, at: number): boolean {
  const operand = program[at + 2]!;
  switch (program[at]) {
    case A.ODP_PUSH_VLAN:
      flow[L.W_VLAN1] = flow[L.W_VLAN0]!;
      flow[L.W_VLAN0] = operand | L.VLAN_CFI;
      return true;
    case A.ODP_POP_VLAN:
      flow[L.W_VLAN0] = flow[L.W_VLAN1]!;
      flow[L.W_VLAN1] = 0;
      return true;
    case A.ODP_PUSH_MPLS:
      for (let label = 2; label > 0; label--) flow[L.W_MPLS + label] = flow[L.W_MPLS + label - 1]!;
      flow[L.W_MPLS] = operand;
      flow[L.W_ETH_TYPE] = program[at + 3]!;
      return true;
    case A.ODP_POP_MPLS:
      for (let label = 0; label < 2; label++) flow[L.W_MPLS + label] = flow[L.W_MPLS + label + 1]!;
      flow[L.W_MPLS + 2] = 0;
      flow[L.W_ETH_TYPE] = operand;
      return true;
    default:
      return false;
  }
}

function prefixOf(flow: L.Flow): string {
  let text = "";
  for (const word of [L.W_VLAN0, L.W_VLAN1]) {
    const tag = flow[word]!;
    if ((tag & L.VLAN_CFI) === 0) break;
    const tpid = tag >>> 16;
    const shown = tpid === 0 || tpid === 0x8100 ? "" : `tpid=0x${tpid.toString(16)},`;
    text += `vlan(${shown}${formatVlan(tag & 0xffff, undefined, false)!.slice("vlan(".length)}: `;
  }
  if (text === "") text = "no vlan: ";
  const labels = countMpls(flow);
  for (let label = 0; label < labels; label++) {
    const parts = mplsParts(label).map((part) => `${part.label}=${readPart(part, flow)}`);
    text += `mpls(${parts.join(",")}): `;
  }
  return labels === 0 ? `${text}no mpls: ` : text;
}

function compareShapes(a: L.Flow, b: L.Flow): number {
  for (const word of [L.W_VLAN0, L.W_VLAN1, L.W_MPLS, L.W_MPLS + 1, L.W_MPLS + 2]) {
    const difference = (a[word]! & 0xffff) - (b[word]! & 0xffff);
    if (difference !== 0) return difference;
  }
  return 0;
}

function sortOutputs(actions: Int32Array[]): string {
  const out: string[] = [];
  const isOutput = (action: Int32Array): boolean => action[0] === A.ODP_OUTPUT;
  for (let i = 0; i < actions.length; ) {
    const first = isOutput(actions[i]!);
    let end = i + 1;
    while (end < actions.length && isOutput(actions[end]!) === first) end++;
    const run = actions.slice(i, end);
    if (first)
      out.push(
        ...run
          .map((action) => action[2]!)
          .sort((a, b) => a - b)
          .map(String),
      );
    // Together, as what sets one header is several actions of ours.
    else out.push(formatOdpActions(Int32Array.from(run.flatMap((action) => [...action]))));
    i = end;
  }
  return out.join(",");
}
