/**
 * `ovs-brctl`: the command line of bridge-utils' brctl(8) on Open vSwitch's database. A link named `brctl` works, too; none
 * is installed, since distributions have their own. The commands are in ovs-brctl/.
 */
import { runApplet } from "../src/lib/applet.ts";
import { helpTextOptions } from "../src/lib/common-options.ts";
import { dirs } from "../src/lib/dirs.ts";
import { Fatal } from "../src/lib/errors.ts";
import { formatOptions, getopt, type OptionGroup } from "../src/lib/getopt.ts";
import type { Json } from "../src/lib/json.ts";
import type { Platform } from "../src/lib/platform.ts";
import { tableStyle } from "../src/lib/table.ts";
import { armTimeout, defaultTimeout, parseTimeout } from "../src/lib/timeout.ts";
import { UnixctlClient } from "../src/lib/unixctl-client.ts";
import { VLF_CONSOLE, VLL_WARN, vlogSetLevel, vlogStart } from "../src/lib/vlog.ts";
import { invoker } from "../src/ovsdb/ctl/applet.ts";
import type { CtlCall } from "../src/ovsdb/ctl/command.ts";
import { type CtlProgram, runCtl } from "../src/ovsdb/ctl/program.ts";
import { openVswitchSchema } from "../src/vswitch/schema/index.ts";
import { type BrctlCommand, type Learned, needAll, Session } from "./ovs-brctl/command.ts";
import { COMMANDS, usageLine } from "./ovs-brctl/commands.ts";
import { ELSEWHERE, HOST } from "./ovs-brctl/devices.ts";
import { rootRow } from "./ovs-vsctl/model.ts";
import { RECORD_IDS } from "./ovs-vsctl/records.ts";
import { checkInterfaces, waitApplied } from "./ovs-vsctl/wait.ts";
import { realPlatform } from "./platform.ts";

interface Settings {
  db: string;
  wait: boolean;
  timeoutSec: number | undefined;
}

export async function main(args: string[], program: string): Promise<number> {
  const platform = realPlatform();
  return platform.exit(await runApplet(platform, program, () => run(platform, program, args)));
}

function optionGroups(platform: Platform, program: string, settings: Settings): OptionGroup[] {
  const groups: OptionGroup[] = [
    {
      title: "Options",
      options: [
        {
          long: "db",
          arg: "required",
          metavar: "DATABASE",
          help: `connection method of the database server\n(default: ${settings.db})`,
          set: (value) => void (settings.db = value!),
        },
        {
          long: "no-wait",
          help: "do not wait until ovs-vswitchd has applied the change",
          set: () => void (settings.wait = false),
        },
        {
          long: "timeout",
          short: "t",
          arg: "required",
          metavar: "SECS",
          help: "end with SIGALRM after SECS seconds",
          set: (value) => void (settings.timeoutSec = parseTimeout(value!)),
        },
      ],
    },
    helpTextOptions(platform, program, () => `${usage()}${formatOptions(groups)}`),
  ];
  return groups;
}

const usage = (): string =>
  `Usage: brctl [commands]\ncommands:\n${Object.keys(COMMANDS)
    .map((name) => usageLine(name, true))
    .join("")}`;

async function run(platform: Platform, program: string, args: string[]): Promise<number> {
  const settings: Settings = {
    db: `unix:${dirs(platform.env).run}/db.sock`,
    wait: true,
    timeoutSec: defaultTimeout(platform),
  };
  const groups = optionGroups(platform, program, settings);
  let words: string[];
  try {
    words = getopt(program, groups, args);
  } catch (error) {
    if (!(error instanceof Fatal)) throw error;
    platform.stderr(`${program}: ${error.message}\n`);
    platform.stdout(usage());
    return 1;
  }
  const [name, ...rest] = words;
  if (name === undefined || !Object.hasOwn(COMMANDS, name)) {
    if (name !== undefined) platform.stderr(`never heard of command [${name}]\n`);
    platform.stdout(usage());
    return 1;
  }
  const command = COMMANDS[name]!;
  if (rest.length < command.min) {
    platform.stdout(`Incorrect number of arguments for command\nUsage: brctl ${usageLine(name, false)}`);
    return 1;
  }
  vlogStart(platform, program);
  vlogSetLevel(undefined, VLF_CONSOLE, VLL_WARN);
  vlogSetLevel("reconnect", undefined, VLL_WARN);
  armTimeout(platform, settings.timeoutSec);
  return runCommand(platform, program, settings, { name, command, args: rest });
}

interface Typed {
  readonly name: string;
  readonly command: BrctlCommand;
  readonly args: readonly string[];
}

/** One command is one transaction of the ctl engine (src/ovsdb/ctl). */
function runCommand(platform: Platform, program: string, settings: Settings, typed: Typed): Promise<number> {
  const { name, command, args } = typed;
  const here = settings.db.startsWith("unix:");
  let session: Session | undefined;
  const call: CtlCall = {
    command: {
      name,
      min: command.min,
      max: Number.POSITIVE_INFINITY,
      syntax: "",
      writes: command.writes,
      prepare: (_call, needs) => needAll(needs),
      run(_call, context) {
        const each = new Session(context, here ? HOST : ELSEWHERE);
        session = each;
        const named = args.map((word, i) => (i === 0 || name === "show" ? each.switchOf(word) : word));
        command.run(command.plain === true ? args : named, each);
      },
    },
    args,
    options: new Map(),
    output: "",
    table: undefined,
    note: undefined,
  };
  const waits = settings.wait && command.writes;
  const ctl: CtlProgram = {
    platform,
    schema: openVswitchSchema,
    ids: RECORD_IDS,
    module: "brctl",
    remote: settings.db,
    retry: false,
    leaderOnly: true,
    dryRun: false,
    oneline: false,
    style: tableStyle(),
    get comment() {
      return `ovs-brctl${invoker()}: ${[name, ...args].join(" ")}`;
    },
    prepare(needs) {
      needs.table("Open_vSwitch");
      if (!waits) return;
      needs.columns("Open_vSwitch", "cur_cfg");
      needs.written("Open_vSwitch", "next_cfg");
    },
    begin({ txn }) {
      if (!command.writes || !txn.uuids("Open_vSwitch").next().done) return;
      txn.verifyEmpty("Open_vSwitch");
      txn.insertRow("Open_vSwitch");
    },
    finish(context) {
      if (waits) context.txn.increment("Open_vSwitch", rootRow(context), "next_cfg");
    },
    async committed(idl, result, context) {
      const done = session!;
      if (here) await warnOfAddresses(platform, program, done);
      await done.finish((bridge) => learnedOn(platform, bridge));
      platform.stdout(done.text);
      for (const error of done.errors) platform.stderr(`${error}\n`);
      if (waits && result.increment !== undefined) {
        await waitApplied(platform, program, idl, result.increment);
        const fresh = (context.shared.get("fresh") ?? []) as string[];
        const status = checkInterfaces(platform, program, idl, fresh);
        if (status !== 0) return status;
      }
      return done.errors.length === 0 ? 0 : 1;
    },
  };
  return runCtl(ctl, [call]);
}

/** A device's addresses stop working when it becomes a port; a Linux bridge's does so in silence. */
async function warnOfAddresses(platform: Platform, program: string, { added }: Session): Promise<void> {
  if (added.size === 0) return;
  const { carriedBy } = await import("./ovs-vsctl/carried.ts");
  for (const [device, bridge] of added) {
    const what = carriedBy(device);
    if (what !== undefined)
      platform.stderr(
        `${program}: warning: ${device} has ${what}, which cannot be reached while it is a port; "ovs-vsctl --migrate-addresses add-port ${bridge} ${device}" would move it to ${bridge}\n`,
      );
  }
}

async function learnedOn(platform: Platform, bridge: string): Promise<Learned[]> {
  const client = await UnixctlClient.connect(platform, "ovs-vswitchd");
  const ask = async (command: string, ...args: string[]): Promise<Json> => {
    const reply = await client.transact(command, args);
    if ("error" in reply) throw new Fatal(`ovs-vswitchd: ${String(reply.error).trim()}`);
    return reply.result;
  };
  await ask("set-options", "--format", "json");
  const table = await ask("fdb/show", bridge);
  client.close();
  return table as unknown as Learned[];
}
