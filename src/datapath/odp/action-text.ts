/** ODP action programs as text, both ways, as 3.7 prints them: `push_vlan(vid=5,pcp=0),1`. */
import type { OdpActionBuilder } from "./actions.ts";
import type { OdpPortNames } from "./key-text.ts";

export interface ActionFormatOptions {
  readonly ports?: OdpPortNames;
  /** Text of an ODP_USERSPACE operand: "userspace(pid=0,controller(…))". */
  readonly userspace?: (index: number) => string;
}

/** "drop" for an empty program. */
export function formatOdpActions(_program: Int32Array, _options?: ActionFormatOptions): string {
  throw new Error("not implemented");
}

/** Appends the parsed actions; returns an error text, or undefined when all is well. */
export function parseOdpActions(
  _text: string,
  _builder: OdpActionBuilder,
  _options?: { ports?: OdpPortNames; userspace?: (text: string) => number },
): string | undefined {
  throw new Error("not implemented");
}
