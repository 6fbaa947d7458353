/**
 * Command lines by the rules of GNU getopt_long: permutation, `--`, unique prefixes of long options, `--x=value`,
 * clusters of short ones, its error texts. An applet's options are one table, composed of shared groups
 * (`vlogOptions()`, `daemonOptions()`, `tlsOptions()`); help, `--options`, man pages and completions read the same table.
 */
import { Fatal } from "./errors.ts";

export interface OptionSpec {
  /** Without dashes. At least one of `long`, `short` is given. */
  readonly long?: string;
  /** One character. */
  readonly short?: string;
  /** Default "none". */
  readonly arg?: "none" | "required" | "optional";
  /** "FILE", "SECS": for help texts. */
  readonly metavar?: string;
  /** One line for --help; without it the option is not shown there. */
  readonly help?: string;
  /** Called in the order of the command line; may throw {@link Fatal}. */
  set(value: string | undefined): void;
}

export interface OptionGroup {
  /** "Daemon options" */
  readonly title: string;
  readonly options: readonly OptionSpec[];
}

export interface GetoptMode {
  /** Stop at the first word that is no option (getopt's "+"); default: permute. */
  readonly stopAtFirst?: boolean;
}

/** Applies all options of `args` and returns the other words. Throws {@link Fatal} (status 1) with getopt's message. */
export function getopt(
  program: string,
  groups: readonly OptionGroup[],
  args: readonly string[],
  mode?: GetoptMode,
): string[] {
  void [program, groups, args, mode];
  throw new Fatal("not implemented");
}

/** What `ovs-vsctl --options` prints: one line a name, `=ARG` and ` ARG` where there is an argument. */
export function listOptions(groups: readonly OptionGroup[]): string {
  void groups;
  throw new Fatal("not implemented");
}

/** The "TITLE:\n  -x, --long=META  help" part of a usage text. */
export function formatOptions(groups: readonly OptionGroup[]): string {
  void groups;
  throw new Fatal("not implemented");
}
