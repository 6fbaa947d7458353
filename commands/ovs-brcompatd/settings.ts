/** Options of ovs-brcompatd. */
import { Fatal } from "../../src/lib/errors.ts";
import type { OptionGroup } from "../../src/lib/getopt.ts";
import { vlog } from "../../src/lib/vlog.ts";

const MODES = ["observe", "adopt", "attach"] as const;
type Mode = (typeof MODES)[number];

export interface Settings {
  mode: Mode;
  bridges: string[];
  exclude: string[];
  prefix: string;
  datapathType: string;
  vsctl: string | undefined;
  timeoutSec: number;
  dryRun: boolean;
  restoreOnExit: boolean;
  release: string | undefined;
  unixctl: string | undefined;
}

export function defaultSettings(): Settings {
  return {
    mode: "observe",
    bridges: [],
    exclude: [],
    prefix: "ovs-",
    datapathType: "",
    vsctl: undefined,
    timeoutSec: 5,
    dryRun: false,
    restoreOnExit: false,
    release: undefined,
    unixctl: undefined,
  };
}

const words = (text: string): string[] => text.split(",").filter((word) => word !== "");

/** What the daemon of Open vSwitch 1.9, or 1.0, was given and ours does in another way. */
function ignored(long: string, metavar: string, help: string): OptionGroup["options"][number] {
  return {
    long,
    arg: "required",
    metavar,
    help,
    set: () => vlog("brcompatd").warn(`--${long} has no effect`),
  };
}

export function ownOptions(settings: Settings): OptionGroup {
  return {
    title: "Options",
    options: [
      {
        long: "mode",
        arg: "required",
        metavar: "MODE",
        help: "observe, adopt or attach (default: observe)",
        set: (value) => {
          const mode = MODES.find((known) => known === value);
          if (mode === undefined) throw new Fatal(`--mode: "${value}" is not one of ${MODES.join(", ")}`);
          settings.mode = mode;
        },
      },
      {
        long: "bridges",
        arg: "required",
        metavar: "GLOB",
        help: "the Linux bridges that are meant; several with commas",
        set: (value) => void settings.bridges.push(...words(value!)),
      },
      {
        long: "exclude",
        arg: "required",
        metavar: "GLOB",
        help: "but not these",
        set: (value) => void settings.exclude.push(...words(value!)),
      },
      {
        long: "prefix",
        arg: "required",
        metavar: "TEXT",
        help: `precedes a bridge's name in the switch's (default: ${settings.prefix})`,
        set: (value) => {
          if (value === "" || /[\s/:]/.test(value!)) throw new Fatal(`--prefix: bad prefix "${value}"`);
          settings.prefix = value!;
        },
      },
      {
        long: "datapath-type",
        arg: "required",
        metavar: "TYPE",
        help: "of the switches (netdev, ebpf; default: the database's)",
        set: (value) => void (settings.datapathType = value!),
      },
      {
        long: "dry-run",
        help: "log what would be done, and change nothing",
        set: () => void (settings.dryRun = true),
      },
      {
        long: "restore-on-exit",
        help: "give all bridges back at the end",
        set: () => void (settings.restoreOnExit = true),
      },
      {
        long: "release",
        arg: "required",
        metavar: "BRIDGE",
        help: "give one bridge back, by the running daemon or without one, and end",
        set: (value) => void (settings.release = value),
      },
      {
        long: "vsctl",
        arg: "required",
        metavar: "PROGRAM",
        help: "run PROGRAM in the place of ovs-vsctl",
        set: (value) => void (settings.vsctl = value!),
      },
      ignored("appctl", "PROGRAM", "accepted, without a meaning"),
      ignored("appctl-command", "COMMAND", "accepted, without a meaning"),
      ignored("check-leaks", "FILE", "accepted, without a meaning"),
      ignored("leak-limit", "SIZE", "accepted, without a meaning"),
      ignored("prune-timeout", "SECS", "accepted, without a meaning"),
      {
        long: "unixctl",
        arg: "required",
        metavar: "SOCKET",
        help: "listen for ovs-appctl there",
        set: (value) => void (settings.unixctl = value),
      },
    ],
  };
}

/** A shell's pattern: `*`, `?`, `[a-z]`. */
export function matches(glob: string, name: string): boolean {
  const source = glob
    .replaceAll(/[.+^${}()|\\]/g, "\\$&")
    .replaceAll("*", ".*")
    .replaceAll("?", ".")
    .replaceAll("[!", "[^");
  try {
    return new RegExp(`^${source}$`).test(name);
  } catch {
    return glob === name;
  }
}
