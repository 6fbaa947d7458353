/** What other folders use of src/openflow; README.md says how. */

export {
  formatActions,
  type ParsedActions,
  parseActions,
  type TableNames,
  TextError,
} from "./actions/registry.ts";
export * from "./actions.ts";
export {
  type DecodeOptions,
  decode,
  type EncodeMessageOptions,
  encode,
  encodeTo,
  identify,
  readHeaderAt,
} from "./codec.ts";
export { errorByNumbers, errorNames, errorNumbers, OfpError } from "./errors.ts";
export * from "./messages.ts";
export { makeError } from "./msg/core.ts";
export { matchInPort } from "./msg/packet.ts";
export { flowStatsReply, MultipartWriter } from "./replies.ts";
