/** Match fields as text, both ways: the syntax of ovs-ofctl(8). */
export {
  DEFAULT_PRIORITY,
  flowAsMatch,
  formatFlow,
  formatMatch,
  type MatchFormatOptions,
  writeMatchText,
} from "./match-format.ts";
export {
  parseExactFlow,
  parseMatch,
  parseMatchItem,
  setDefaultPacketType,
  setParsed,
  splitFlowItems,
} from "./match-parse.ts";
export { formatPort, type PortNames, parsePort, quotePortName, RESERVED_PORTS } from "./ports-text.ts";
export { fieldOnes, formatFieldValue, type ParsedValue, parseFieldValue } from "./value-text.ts";
