/**
 * Logging by module, level and destination (upstream: lib/vlog). `const log = vlog("bridge")` at the top of a file;
 * levels, patterns and rate limits are kept here, output goes through {@link vlogStart}'s platform.
 */
import type { Platform } from "./platform.ts";

export const VLL_OFF = 0;
export const VLL_EMER = 1;
export const VLL_ERR = 2;
export const VLL_WARN = 3;
export const VLL_INFO = 4;
export const VLL_DBG = 5;
export type Level = 0 | 1 | 2 | 3 | 4 | 5;

/** Tokens as the original's: at most `perMinute` messages a minute, bursts of `burst`. One object a call site, module-level. */
export class RateLimit {
  constructor(perMinute: number, burst: number) {
    void [perMinute, burst];
  }
}

export interface Logger {
  readonly module: string;
  emer(text: string): void;
  err(text: string): void;
  warn(text: string): void;
  info(text: string): void;
  dbg(text: string): void;
  /** The same, dropped and counted past the limit. */
  errRl(limit: RateLimit, text: string): void;
  warnRl(limit: RateLimit, text: string): void;
  infoRl(limit: RateLimit, text: string): void;
  dbgRl(limit: RateLimit, text: string): void;
  log(level: Level, text: string): void;
  logRl(level: Level, limit: RateLimit, text: string): void;
  /** Would any destination take it? Ask before building an expensive text. */
  isEnabled(level: Level): boolean;
  isDbg(): boolean;
}

/** The one logger of module `name` (as in `vlog/set name:dbg`; the original's module names). */
export function vlog(name: string): Logger {
  void name;
  throw new Error("not implemented");
}

/** Hands in clock, streams and process facts. Before that, messages wait in memory. */
export function vlogStart(platform: Platform, program: string): void {
  void [platform, program];
}
