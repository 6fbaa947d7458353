/** Log lines of decoding, under the original's module names, rate-limited as there. */
import { type Logger, RateLimit, vlog } from "../lib/vlog.ts";
import type { OfpError } from "./errors.ts";
import { hexDump } from "./text/common.ts";

const limit = new RateLimit(60, 60);
/** Bad matches come in floods: few words about them. */
const matchLimit = new RateLimit(1, 2);
const loggers = new Map<string, Logger>();

function logger(module: string): Logger {
  let found = loggers.get(module);
  if (found === undefined) {
    found = vlog(module);
    loggers.set(module, found);
  }
  return found;
}

/** Actions that make no sense, and what they stand in. */
const actionLimit = new RateLimit(1, 5);

function limitOf(module: string, line: string): RateLimit {
  if (module === "nx_match") return matchLimit;
  const action = line.startsWith("OpenFlow action") || line.startsWith("bad action");
  return module === "ofp_actions" && action ? actionLimit : limit;
}

/** What went wrong, and in what. */
export function logDecodeError(error: OfpError): void {
  if (error.message !== "" && error.module !== "") {
    logger(error.module).warnRl(limitOf(error.module, error.message), error.message);
  }
  for (const { module, line, bytes } of error.context) {
    const dump = bytes === undefined ? "" : `\n${hexDump(bytes, false).trimEnd()}`;
    logger(module).warnRl(limitOf(module, line), line + dump);
  }
}

export function logDecode(module: string, level: "info" | "warn", line: string): void {
  if (level === "info") logger(module).infoRl(limit, line);
  else logger(module).warnRl(limit, line);
}

const normalLimit = new RateLimit(1, 5);

/** Bits of a match whose prerequisite is missing were dropped: three lines, counted as one. */
export function logNormalization(changed: { pre: string; post: string }): void {
  const before = normalLimit.dropped;
  logger("ofp_match").infoRl(normalLimit, "normalization changed ofp_match, details:");
  if (normalLimit.dropped > before) return;
  logger("ofp_match").info(` pre: ${changed.pre}`);
  logger("ofp_match").info(`post: ${changed.post}`);
}
