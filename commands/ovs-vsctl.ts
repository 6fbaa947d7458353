/**
 * ovs-vsctl: configures the switch through its database (ovs-vsctl(8)). Options and the shape of a run are here; the
 * commands in ovs-vsctl/, what all ctl programs share in src/ovsdb/ctl/.
 */
import fs from "node:fs";
import { runApplet, versionText } from "../src/lib/applet.ts";
import { tlsOptions } from "../src/lib/common-options.ts";
import { dirs } from "../src/lib/dirs.ts";
import { Exit, Fatal } from "../src/lib/errors.ts";
import { getopt, listOptions, type OptionGroup } from "../src/lib/getopt.ts";
import type { Platform } from "../src/lib/platform.ts";
import { TLS } from "../src/lib/stream-config.ts";
import { tableOptions, tableStyle } from "../src/lib/table.ts";
import {
  VLF_CONSOLE,
  VLL_DBG,
  VLL_INFO,
  VLL_WARN,
  vlog,
  vlogSetLevel,
  vlogSetSpec,
  vlogStart,
} from "../src/lib/vlog.ts";
import { vlogOptions } from "../src/lib/vlog-options.ts";
import { type LocalOption, listCommands, localOptionSpecs, parseCommands } from "../src/ovsdb/ctl/command.ts";
import { type CtlProgram, runCtl } from "../src/ovsdb/ctl/program.ts";
import { splitRemotes } from "../src/ovsdb/idl-link.ts";
import { openVswitchSchema } from "../src/vswitch/schema/index.ts";
import { COMMANDS } from "./ovs-vsctl/commands.ts";
import { rootRow } from "./ovs-vsctl/model.ts";
import { RECORD_IDS } from "./ovs-vsctl/records.ts";
import { checkInterfaces, waitApplied } from "./ovs-vsctl/wait.ts";
import { realPlatform } from "./platform.ts";

const log = vlog("vsctl");

/** --help: the text is loaded when it is asked for. */
class HelpWanted extends Error {}

interface Settings {
  db: string;
  wait: boolean;
  dryRun: boolean;
  oneline: boolean;
  retry: boolean;
  leaderOnly: boolean;
  shuffle: boolean;
  timeoutSec: number;
}

export function main(args: string[], program: string): Promise<number> {
  const platform = realPlatform();
  return runApplet(platform, program, () => run(platform, args, program));
}

async function run(platform: Platform, args: string[], program: string): Promise<number> {
  vlogStart(platform, program);
  vlogSetLevel(undefined, VLF_CONSOLE, VLL_WARN);
  vlogSetLevel("reconnect", undefined, VLL_WARN);
  const settings: Settings = {
    db: `unix:${dirs(platform.env).run}/db.sock`,
    wait: true,
    dryRun: false,
    oneline: false,
    retry: false,
    leaderOnly: true,
    shuffle: true,
    timeoutSec: environmentTimeout(platform),
  };
  const style = { ...tableStyle(), format: "list" as const };
  const local: LocalOption[] = [];
  const shown: OptionGroup[] = [
    { title: "Options", options: ownOptions(settings) },
    { title: "Other options", options: infoOptions(platform, program, settings, () => shown) },
    vlogOptions(),
    tableOptions(style),
    tlsOptions(TLS),
  ];
  // The commands' own options may stand before the first command without a "--".
  const all = [...shown, { title: "", options: localOptionSpecs(COMMANDS, local) }];
  let words: string[];
  try {
    words = getopt(program, all, args, { stopAtFirst: true });
  } catch (error) {
    if (!(error instanceof HelpWanted)) throw error;
    // Not loaded otherwise.
    const { helpText } = await import("./ovs-vsctl/help.ts");
    platform.stdout(helpText(program, COMMANDS, dirs(platform.env)));
    return 0;
  }
  const calls = parseCommands(COMMANDS, words, local);
  const writes = calls.some((call) => call.command.writes);
  const line = commandLine(args);
  log.log(writes ? VLL_INFO : VLL_DBG, `Called as ${line}`);
  if (settings.timeoutSec > 0) alarm(platform, settings.timeoutSec);

  const remotes = settings.shuffle ? shuffled(platform, settings.db) : settings.db;
  const ctl: CtlProgram = {
    platform,
    schema: openVswitchSchema,
    ids: RECORD_IDS,
    module: "vsctl",
    remote: remotes,
    retry: settings.retry || /^p(unix|tcp|ssl):/.test(remotes),
    leaderOnly: settings.leaderOnly,
    dryRun: settings.dryRun,
    oneline: settings.oneline,
    style,
    comment: `ovs-vsctl${invoker()}: ${line}`,
    prepare(needs) {
      needs.table("Open_vSwitch");
      if (!settings.wait) return;
      needs.columns("Open_vSwitch", "cur_cfg");
      needs.written("Open_vSwitch", "next_cfg");
    },
    begin(context) {
      const { txn } = context;
      if (txn.uuids("Open_vSwitch").next().done) {
        txn.verifyEmpty("Open_vSwitch");
        txn.insertRow("Open_vSwitch");
      }
    },
    finish(context) {
      if (settings.wait) context.txn.increment("Open_vSwitch", rootRow(context), "next_cfg");
    },
    async committed(idl, result, context) {
      if (!settings.wait || settings.dryRun || result.increment === undefined) return 0;
      await waitApplied(platform, program, idl, result.increment);
      const fresh = (context.shared.get("fresh") ?? []) as string[];
      return checkInterfaces(platform, program, idl, fresh);
    },
  };
  return runCtl(ctl, calls);
}

const flag = (long: string, apply: () => void) => ({ long, set: apply });

function ownOptions(settings: Settings): OptionGroup["options"] {
  return [
    {
      long: "db",
      arg: "required",
      set: (value) => {
        settings.db = value!;
      },
    },
    flag("no-syslog", () => void vlogSetSpec("vsctl:syslog:warn")),
    flag("no-wait", () => {
      settings.wait = false;
    }),
    flag("dry-run", () => {
      settings.dryRun = true;
    }),
    flag("oneline", () => {
      settings.oneline = true;
    }),
    {
      long: "timeout",
      short: "t",
      arg: "required",
      set: (value) => {
        const seconds = /^\s*\+?\d+$/.test(value!) ? Number(value) : 0;
        if (seconds < 1 || seconds > 4294967295) {
          throw new Fatal(`value ${value} on -t or --timeout is invalid`);
        }
        settings.timeoutSec = seconds;
      },
    },
    flag("retry", () => {
      settings.retry = true;
    }),
  ];
}

function infoOptions(
  platform: Platform,
  program: string,
  settings: Settings,
  groups: () => OptionGroup[],
): OptionGroup["options"] {
  const print = (text: string): never => {
    platform.stdout(text);
    throw new Exit(0);
  };
  return [
    {
      long: "help",
      short: "h",
      set: () => {
        throw new HelpWanted();
      },
    },
    { long: "commands", set: () => print(listCommands(COMMANDS)) },
    { long: "options", set: () => print(listOptions(groups())) },
    flag("leader-only", () => {
      settings.leaderOnly = true;
    }),
    flag("no-leader-only", () => {
      settings.leaderOnly = false;
    }),
    flag("shuffle-remotes", () => {
      settings.shuffle = true;
    }),
    flag("no-shuffle-remotes", () => {
      settings.shuffle = false;
    }),
    {
      long: "version",
      short: "V",
      set: () => print(versionText(program, `DB Schema ${openVswitchSchema.version}`)),
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
function invoker(): string {
  try {
    return ` (invoked by ${fs.readFileSync(`/proc/${process.ppid}/comm`, "utf8").trim()})`;
  } catch {
    return "";
  }
}
