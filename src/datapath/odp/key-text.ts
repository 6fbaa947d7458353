/** Datapath keys as text: `recirc_id(0),in_port(1),eth(src=…,dst=…),eth_type(0x0800),ipv4(…)`. */
import type { Flow } from "../../flow/layout.ts";

export interface OdpPortNames {
  numberOf(name: string): number | undefined;
  nameOf(port: number): string | undefined;
}

export interface OdpFormatOptions {
  readonly ports?: OdpPortNames;
  /** Fully wildcarded fields are printed too (`-m`). */
  readonly verbose?: boolean;
}

/** `mask` undefined prints an exact key as ofproto/trace and upcalls do. Rows of at least FLOW_DP_WORDS words. */
export function formatOdpKey(_key: Flow, _mask: Flow | undefined, _options?: OdpFormatOptions): string {
  throw new Error("not implemented");
}

/** Parses what {@link formatOdpKey} writes and people type. `mask` has ones only where the text named a field. */
export function parseOdpKey(
  _text: string,
  _ports?: OdpPortNames,
): { key: Flow; mask: Flow } | { error: string } {
  throw new Error("not implemented");
}
