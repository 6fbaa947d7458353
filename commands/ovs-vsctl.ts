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
import { openVswitchSchema } from "../src/vswitch/schema/index.ts";
import { COMMANDS } from "./ovs-vsctl/commands.ts";
import { rootRow } from "./ovs-vsctl/model.ts";
import { RECORD_IDS } from "./ovs-vsctl/records.ts";
import { checkInterfaces, waitApplied } from "./ovs-vsctl/wait.ts";
import { realPlatform } from "./platform.ts";

const log = vlog("vsctl");

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
  const groups: OptionGroup[] = [
    { title: "Options", options: ownOptions(settings) },
    { title: "Other options", options: infoOptions(platform, program, () => groups) },
    vlogOptions(),
    tableOptions(style),
    tlsOptions(TLS),
  ];
  const shown = [...groups];
  groups.push({ title: "", options: localOptionSpecs(COMMANDS, local) });
  const words = getopt(program, groups, args, { stopAtFirst: true });
  groups.splice(0, groups.length, ...shown);
  const calls = parseCommands(COMMANDS, words, local);
  const writes = calls.some((call) => call.command.writes);
  const line = commandLine(args);
  log.log(writes ? VLL_INFO : VLL_DBG, `Called as ${line}`);
  if (settings.timeoutSec > 0) alarm(platform, settings.timeoutSec);

  const remotes = settings.db;
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
      if (settings.wait) needs.columns("Open_vSwitch", "cur_cfg");
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

function ownOptions(settings: Settings): OptionGroup["options"] {
  const flag = (long: string, apply: () => void) => ({ long, set: apply });
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
  groups: () => OptionGroup[],
): OptionGroup["options"] {
  const print = (text: string): never => {
    platform.stdout(text);
    throw new Exit(0);
  };
  const nothing = (): void => {};
  return [
    { long: "help", short: "h", set: () => print("help") },
    { long: "commands", set: () => print(listCommands(COMMANDS)) },
    { long: "options", set: () => print(listOptions(groups().filter(({ title }) => title !== ""))) },
    { long: "leader-only", set: nothing },
    { long: "no-leader-only", set: nothing },
    { long: "shuffle-remotes", set: nothing },
    { long: "no-shuffle-remotes", set: nothing },
    {
      long: "version",
      short: "V",
      set: () => print(versionText(program, `DB Schema ${openVswitchSchema.version}`)),
    },
  ];
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
