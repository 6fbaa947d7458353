/** `-t SECS` and OVS_CTL_TIMEOUT of the one-shot clients: SIGALRM when the time is up (upstream: timeval's ctl_timeout_setup). */
import { Fatal } from "./errors.ts";
import type { Platform } from "./platform.ts";
import { vlog } from "./vlog.ts";

const log = vlog("fatal_signal");

/** A whole number of seconds from 1 up; throws Fatal "value X on -t or --timeout is invalid". */
export function parseTimeout(value: string, what = "value", option = "-t or --timeout"): number {
  const seconds = /^\s*\+?\d+$/.test(value) ? Number(value) : 0;
  if (seconds < 1 || seconds > 0x7fffffff) throw new Fatal(`${what} ${value} on ${option} is invalid`);
  return seconds;
}

/** The seconds of OVS_CTL_TIMEOUT, where that is a positive number. */
export function defaultTimeout(platform: Platform): number | undefined {
  const text = platform.env.OVS_CTL_TIMEOUT;
  return text !== undefined && /^\s*\+?\d+/.test(text) && Number.parseInt(text, 10) > 0
    ? Number.parseInt(text, 10)
    : undefined;
}

/** The process dies of SIGALRM `seconds` from now, undefined: never, unless it has ended. */
export function armTimeout(platform: Platform, seconds: number | undefined): void {
  if (seconds === undefined) return;
  platform.clock.background(seconds * 1000, () => {
    log.warn("terminating with signal 14 (Alarm clock)");
    platform.runExitHooks();
    platform.process.dieOf("SIGALRM");
  });
}
