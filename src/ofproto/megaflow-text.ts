/** Installed megaflows as text: what dpctl/dump-flows and dpif/dump-flows print. */
import type { DpFlow, DpFlowStats, DpifFlows } from "../datapath/dpif.ts";
import { formatOdpActions } from "../datapath/odp/action-text.ts";
import { formatOdpKey, type OdpPortNames } from "../datapath/odp/key-text.ts";
import { formatFlowStats } from "../datapath/odp/stats-text.ts";
import { ufidOf } from "../datapath/ufid.ts";
import { W_IN_PORT } from "../flow/layout.ts";
import { matchesOverlap } from "../flow/match.ts";
import { parseExactFlow, parseMatch } from "../flow/match-text.ts";
import { type Backer, fillFlow } from "./backer.ts";

export function portNames(dpif: Pick<DpifFlows, "ports">): OdpPortNames {
  const byNumber = new Map<number, string>();
  const byName = new Map<string, number>();
  for (const port of dpif.ports()) {
    byNumber.set(port.odpPort, port.name);
    byName.set(port.name, port.odpPort);
  }
  return { nameOf: (port) => byNumber.get(port), numberOf: (name) => byName.get(name) };
}

export interface DumpOptions {
  /** Wildcarded fields, too, and unique ids. */
  more: boolean;
  names: boolean;
  /** dpctl and dpif differ in the mark after the unique id, and in "dp:ovs". */
  dpctl: boolean;
  wanted: (flow: DpFlow) => boolean;
  /** Where somebody has chosen it. */
  ufid?: ((flow: DpFlow) => string | undefined) | undefined;
}

export interface FlowSource {
  dpif: DpifFlows;
  /** Of a datapath without bridges there is none. */
  backer: Backer | undefined;
  now: number;
}

/** One line a megaflow, without a newline. */
export function dumpFlows(source: FlowSource, options: DumpOptions): string[] {
  const ports = options.names ? portNames(source.dpif) : undefined;
  const lines: string[] = [];
  for (const flow of source.dpif.flows()) {
    if (!options.wanted(flow)) continue;
    const line = formatMegaflow(source, flow, ports, options);
    if (line !== undefined) lines.push(line);
  }
  return lines;
}

/** undefined when the flow is gone. */
export function formatMegaflow(
  source: FlowSource,
  flow: DpFlow,
  ports: OdpPortNames | undefined,
  options: Pick<DumpOptions, "more" | "dpctl" | "ufid">,
): string | undefined {
  const stats: DpFlowStats = { packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 };
  if (!source.dpif.flowStats(flow.handle, stats)) return undefined;
  const { more, dpctl } = options;
  const id = more ? `ufid:${options.ufid?.(flow) ?? ufidOf(flow.key, flow.mask)}${dpctl ? ", " : " "}` : "";
  const key = formatOdpKey(flow.key, flow.mask, { ports, verbose: more });
  const actions = formatFlowActions(source.backer, flow, ports);
  const dp = more && dpctl ? ", dp:ovs" : "";
  return `${id}${key}, ${formatFlowStats(stats, source.now)}${dp}, actions:${actions}`;
}

export function formatFlowActions(
  backer: Backer | undefined,
  flow: DpFlow,
  ports: OdpPortNames | undefined,
): string {
  const userspace =
    backer === undefined ? undefined : (index: number) => backer.frozen.formatUserspace(index);
  return formatOdpActions(flow.actions, { ports, key: flow.key, userspace });
}

/**
 * Megaflows that may match what an OpenFlow match describes; an error's text when that is wrong. Fields may be written as
 * datapath keys have them, "in_port(1)".
 */
export function flowFilter(backer: Backer | undefined, given: string): ((flow: DpFlow) => boolean) | string {
  const text = given.replaceAll(/\b(\w+)\(([^()]*)\)/g, "$1=$2");
  const parsed = parseMatch(text);
  const exact = parseExactFlow(text);
  if ("error" in exact && /unknown field|prerequisites/.test(exact.error)) return exact.error;
  if ("error" in parsed) return parsed.error;
  const { match } = parsed;
  return (flow) => {
    const mine = {
      flow: new Int32Array(match.flow.length),
      mask: new Int32Array(match.flow.length),
      tunMetadata: undefined,
    };
    const odpPort = flow.key[W_IN_PORT]!;
    fillFlow(
      mine.flow,
      flow.key,
      backer === undefined ? odpPort : (backer.portOf(odpPort)?.ofPort ?? 0xffff),
    );
    mine.mask.set(flow.mask);
    for (let i = 0; i < mine.flow.length; i++) mine.flow[i] = mine.flow[i]! & mine.mask[i]!;
    return matchesOverlap(match, mine);
  };
}
