/** From changed flow words to header-changing actions, as late as possible: before an output. */
import type { Flow } from "../../flow/layout.ts";
import type { OdpActionBuilder } from "./actions.ts";

/**
 * Emits what turns a packet with headers `base` into one with headers `flow`, makes `base` equal to `flow`, and
 * marks in `wildcards` the bits that the actions depend on.
 */
export function commitActions(_base: Flow, _flow: Flow, _builder: OdpActionBuilder, _wildcards: Flow): void {
  throw new Error("not implemented");
}
