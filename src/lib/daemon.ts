/**
 * Being a daemon: --detach, --pidfile, --monitor, --user and so on, signals, exit hooks (upstream: lib/daemon, lib/fatal-signal).
 * A main does: parse options; `const daemon = new Daemon(...)`; `await daemon.start()`; set everything up; `daemon.ready()`.
 */
import type { OptionGroup } from "./getopt.ts";
import type { Platform } from "./platform.ts";

export interface DaemonOptions {
  detach: boolean;
  /** Absolute path; undefined: none. */
  pidfile: string | undefined;
  overwritePidfile: boolean;
  monitor: boolean;
  chdir: boolean;
  user: string | undefined;
  selfConfinement: boolean;
}

export declare function daemonOptions(
  platform: Platform,
  program: string,
): { group: OptionGroup; values: DaemonOptions };

export declare class Daemon {
  constructor(platform: Platform, program: string, options: DaemonOptions);
  /**
   * Takes the pid file and, with --detach or --monitor, starts the real daemon.
   * Resolves "run" where the daemon itself goes on; "done" in a parent that should return `status` from main.
   */
  start(args: readonly string[]): Promise<{ role: "run" } | { role: "done"; status: number }>;
  /** Start-up has succeeded: lets the parent end, moves to "/", closes stdio. */
  ready(): void;
  /** Runs at exit, SIGTERM, SIGINT, SIGHUP and SIGALRM included, last registered first. Must be synchronous. */
  atExit(run: () => void): void;
  /** Runs the hooks and ends the process. */
  exit(status: number): never;
}
