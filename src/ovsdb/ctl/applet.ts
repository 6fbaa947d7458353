/**
 * The mains of the ctl programs: their options, help, log and time limit, around one run of the commands (program.ts).
 * What a program adds is in its {@link CtlApplet}.
 */

import { versionText } from "../../lib/applet.ts";
import { tlsOptions } from "../../lib/common-options.ts";
import { dirs } from "../../lib/dirs.ts";
import { Exit, Fatal } from "../../lib/errors.ts";
import { formatOptions, getopt, listOptions, type OptionGroup } from "../../lib/getopt.ts";
import { fs } from "../../lib/lazy-fs.ts";
import type { Platform } from "../../lib/platform.ts";
import { TLS } from "../../lib/stream-config.ts";
import { tableOptions, tableStyle } from "../../lib/table.ts";
import {
  VLF_CONSOLE,
  VLL_DBG,
  VLL_INFO,
  VLL_WARN,
  vlog,
  vlogSetLevel,
  vlogSetSpec,
  vlogStart,
} from "../../lib/vlog.ts";
import { vlogOptions } from "../../lib/vlog-options.ts";
import { splitRemotes } from "../idl-link.ts";
import {
  type CommandTable,
  type LocalOption,
  listCommands,
  localOptionSpecs,
  parseCommands,
} from "./command.ts";
import { type CtlProgram, runCtl } from "./program.ts";

export interface CtlSettings {
  db: string;
  dryRun: boolean;
  oneline: boolean;
  retry: boolean;
  leaderOnly: boolean;
  shuffle: boolean;
  /** 0: no limit. */
  timeoutSec: number;
}

export interface CtlApplet
  extends Pick<
    CtlProgram,
    "platform" | "schema" | "ids" | "module" | "prepare" | "begin" | "finish" | "committed"
  > {
  /** As called, for messages. */
  readonly program: string;
  readonly commands: CommandTable;
  /** Filled from the command line before the hooks are called. */
  readonly settings: CtlSettings;
  readonly options: OptionGroup["options"];
  /** Precedes the command line in the transaction's comment. */
  readonly comment: string;
  /** The text of --help, but for the options. */
  help(): Promise<string>;
}

/** --help: the text is loaded when it is asked for. */
class HelpWanted extends Error {}

export function ctlSettings(platform: Platform): CtlSettings {
  return {
    db: `unix:${dirs(platform.env).run}/db.sock`,
    dryRun: false,
    oneline: false,
    retry: false,
    leaderOnly: true,
    shuffle: true,
    timeoutSec: environmentTimeout(platform),
  };
}

export async function runCtlApplet(applet: CtlApplet, args: string[]): Promise<number> {
  const { platform, program, module, commands, settings } = applet;
  vlogStart(platform, program);
  vlogSetLevel(undefined, VLF_CONSOLE, VLL_WARN);
  vlogSetLevel("reconnect", undefined, VLL_WARN);
  const style = { ...tableStyle(), format: "list" as const };
  const local: LocalOption[] = [];
  const shown: OptionGroup[] = [
    { title: "Options", options: ownOptions(applet) },
    { title: "Other options", options: infoOptions(applet, () => shown) },
    vlogOptions(),
    tableOptions(style),
    tlsOptions(TLS),
  ];
  // The commands' own options may stand before the first command without a "--".
  const all = [...shown, { title: "", options: localOptionSpecs(commands, local) }];
  let words: string[];
  try {
    words = getopt(program, all, args, { stopAtFirst: true });
  } catch (error) {
    if (!(error instanceof HelpWanted)) throw error;
    platform.stdout((await applet.help()) + formatOptions(shown));
    return 0;
  }
  const calls = parseCommands(commands, words, local);
  const writes = calls.some((call) => call.command.writes);
  const line = commandLine(args);
  vlog(module).log(writes ? VLL_INFO : VLL_DBG, `Called as ${line}`);
  if (settings.timeoutSec > 0) alarm(platform, settings.timeoutSec);

  const remote = settings.shuffle ? shuffled(platform, settings.db) : settings.db;
  const ctl: CtlProgram = {
    platform,
    schema: applet.schema,
    ids: applet.ids,
    module,
    remote,
    retry: settings.retry || /^p(unix|tcp|ssl):/.test(remote),
    leaderOnly: settings.leaderOnly,
    dryRun: settings.dryRun,
    oneline: settings.oneline,
    style,
    get comment() {
      return `${applet.comment}: ${line}`;
    },
    prepare: applet.prepare,
    begin: applet.begin,
    finish: applet.finish,
    committed: applet.committed,
  };
  return runCtl(ctl, calls);
}

const flag = (long: string, help: string, apply: () => void) => ({ long, help, set: apply });

function ownOptions({ settings, module, options }: CtlApplet): OptionGroup["options"] {
  return [
    {
      long: "db",
      arg: "required",
      metavar: "DATABASE",
      help: `connection method of the database server, active or passive\n(default: ${settings.db})`,
      set: (value) => {
        settings.db = value!;
      },
    },
    flag(
      "no-syslog",
      `same as --verbose=${module}:syslog:warn`,
      () => void vlogSetSpec(`${module}:syslog:warn`),
    ),
    ...options,
    flag("dry-run", "change nothing", () => {
      settings.dryRun = true;
    }),
    flag("oneline", "one line a command", () => {
      settings.oneline = true;
    }),
    {
      long: "timeout",
      short: "t",
      arg: "required",
      metavar: "SECS",
      help: "end with SIGALRM after SECS seconds (also: OVS_CTL_TIMEOUT)",
      set: (value) => {
        const seconds = /^\s*\+?\d+$/.test(value!) ? Number(value) : 0;
        if (seconds < 1 || seconds > 4294967295) {
          throw new Fatal(`value ${value} on -t or --timeout is invalid`);
        }
        settings.timeoutSec = seconds;
      },
    },
    flag("retry", "keep trying to connect", () => {
      settings.retry = true;
    }),
  ];
}

function infoOptions(applet: CtlApplet, groups: () => OptionGroup[]): OptionGroup["options"] {
  const { platform, program, commands, schema, settings } = applet;
  const print = (text: string): never => {
    platform.stdout(text);
    throw new Exit(0);
  };
  return [
    {
      long: "help",
      short: "h",
      help: "show this text",
      set: () => {
        throw new HelpWanted();
      },
    },
    { long: "commands", help: "list the commands, for completion", set: () => print(listCommands(commands)) },
    { long: "options", help: "list the options, for completion", set: () => print(listOptions(groups())) },
    flag("leader-only", "of a cluster's servers, talk to the leader only (default)", () => {
      settings.leaderOnly = true;
    }),
    flag("no-leader-only", "talk to any server of a cluster", () => {
      settings.leaderOnly = false;
    }),
    flag("shuffle-remotes", "try several servers in random order (default)", () => {
      settings.shuffle = true;
    }),
    flag("no-shuffle-remotes", "try several servers in the given order", () => {
      settings.shuffle = false;
    }),
    {
      long: "version",
      short: "V",
      help: "show the version of program and schema",
      set: () => print(versionText(program, `DB Schema ${schema.version}`)),
    },
  ];
}

/** Members of a cluster in random order, so that clients spread. */
function shuffled(platform: Platform, text: string): string {
  const remotes = splitRemotes(text);
  for (let i = remotes.length - 1; i > 0; i--) {
    const j = platform.random.u32() % (i + 1);
    [remotes[i], remotes[j]] = [remotes[j]!, remotes[i]!];
  }
  return remotes.join(",");
}

function environmentTimeout(platform: Platform): number {
  const text = platform.env.OVS_CTL_TIMEOUT ?? "";
  return /^\d+$/.test(text) ? Number(text) : 0;
}

/** The end by SIGALRM that scripts know. */
function alarm(platform: Platform, seconds: number): void {
  platform.clock.background(seconds * 1000, () => {
    vlog("fatal_signal").warn("terminating with signal 14 (Alarm clock)");
    platform.process.dieOf("SIGALRM");
  });
}

/** As it can be given to a shell again, more or less. */
function commandLine(args: readonly string[]): string {
  const quoted = args.map((arg) => (/[\s"'\\]/.test(arg) ? JSON.stringify(arg) : arg));
  return [process.argv0, ...quoted].join(" ");
}

/** Which program called us, for the transaction's comment. */
export function invoker(): string {
  try {
    return ` (invoked by ${fs().readFileSync(`/proc/${process.ppid}/comm`, "utf8").trim()})`;
  } catch {
    return "";
  }
}
