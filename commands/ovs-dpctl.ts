/**
 * `ovs-dpctl` (ovs-dpctl(8)): looks into datapaths. One of openvswitch.ko's it talks to itself; about others each command is
 * asked of the running switch, as `ovs-appctl dpctl/COMMAND` is.
 */

import { readFileSync } from "node:fs";
import { normalizeText, parseActionsText } from "../src/datapath/odp/dpctl-text.ts";
import { runApplet } from "../src/lib/applet.ts";
import { helpTextOptions } from "../src/lib/common-options.ts";
import { Fatal } from "../src/lib/errors.ts";
import { formatOptions, getopt, type OptionGroup } from "../src/lib/getopt.ts";
import type { Platform } from "../src/lib/platform.ts";
import { armTimeout, defaultTimeout, parseTimeout } from "../src/lib/timeout.ts";
import { UnixctlClient } from "../src/lib/unixctl-client.ts";
import { vlogStart } from "../src/lib/vlog.ts";
import { vlogOptions } from "../src/lib/vlog-options.ts";
import { realPlatform } from "./platform.ts";

const TARGET = "ovs-vswitchd";

const LOCAL: Readonly<Record<string, { min: number; run: (args: readonly string[]) => string }>> = {
  "normalize-actions": { min: 2, run: normalizeText },
  "parse-actions": { min: 1, run: parseActionsText },
};

export function main(args: string[], program: string): Promise<number> {
  const platform = realPlatform();
  return runApplet(platform, program, () => run(platform, program, args));
}

async function run(platform: Platform, program: string, args: string[]): Promise<number> {
  vlogStart(platform, program);
  let timeoutSec: number | undefined;
  /** Options that the switch's commands know, handed on as they are. */
  const handedOn: string[] = [];
  const hand = (long: string, help: string, short?: string) => ({
    long,
    help,
    ...(short === undefined ? {} : { short }),
    set: () => void handedOn.push(short === undefined ? `--${long}` : `-${short}`),
  });
  const groups: OptionGroup[] = [
    {
      title: "Options",
      options: [
        hand("statistics", "show statistics of ports", "s"),
        hand("more", "show more of flows", "m"),
        hand("names", "show names of ports"),
        hand("no-names", "show numbers of ports"),
        hand("clear", "reset statistics of changed flows"),
        hand("may-create", "add a flow that is to be changed and is not there"),
        hand("read-only", "change nothing"),
        {
          short: "t",
          long: "timeout",
          arg: "required",
          metavar: "SECS",
          help: "give up after SECS seconds",
          set: (value) => void (timeoutSec = parseTimeout(value!, "value", "-t or --timeout")),
        },
      ],
    },
    vlogOptions(),
    helpTextOptions(
      platform,
      program,
      () =>
        `${program}: looks into Open vSwitch datapaths\nusage: ${program} [OPTIONS] COMMAND [ARG...]\n` +
        `"list-commands" lists the commands of the running switch.\n${formatOptions(groups)}`,
    ),
  ];
  const [command, ...rest] = getopt(program, groups, args);
  if (command === undefined) throw new Fatal("missing command name; use --help for help");
  // These need no switch.
  const local = LOCAL[command];
  if (local !== undefined) {
    checkCount(command, rest.length, local.min, -1);
    platform.stdout(local.run(rest));
    return platform.exit(0);
  }
  armTimeout(platform, timeoutSec ?? defaultTimeout(platform));
  const words = [...handedOn, ...rest];
  const inKernel = await askKernel(platform, program, command, words, command === "add-dp");
  if (inKernel !== undefined) return platform.exit(inKernel);
  let client: UnixctlClient;
  try {
    client = await UnixctlClient.connect(platform, TARGET);
  } catch (error) {
    // Programs in the kernel forward without a switch, until somebody says otherwise.
    const left = await withoutSwitch(platform, command, rest).catch((reason: unknown) => reason);
    if (left === true) return platform.exit(0);
    const answer = await askKernel(platform, program, command, words, true);
    if (answer === undefined) throw left === false ? error : left;
    return platform.exit(answer);
  }
  const method = `dpctl/${command}`;
  const answer = await client.transact(method, words);
  client.close();
  if ("error" in answer) {
    const text = String(answer.error);
    if (text.startsWith(`"${method}" is not a valid command`))
      throw new Fatal(`unknown command '${command}'; use --help for help`);
    platform.stderr(`${text.replaceAll(/^ovs-vswitchd: /gm, `${program}: `).trimEnd()}\n`);
    return platform.exit(1);
  }
  const text = String(answer.result);
  platform.stdout(text === "" || text.endsWith("\n") ? text : `${text}\n`);
  return platform.exit(0);
}

/** `max` -1: any number. */
function checkCount(command: string, count: number, min: number, max: number): void {
  if (count < min) throw new Fatal(`'${command}' command requires at least ${min} arguments`);
  if (max >= 0 && count > max) throw new Fatal(`'${command}' command takes at most ${max} arguments`);
}

/**
 * Where the kernel has openvswitch.ko with a datapath, it is asked itself, as the original asks it; the exit
 * status. undefined: this is for the switch.
 */
async function askKernel(
  platform: Platform,
  program: string,
  command: string,
  args: readonly string[],
  /** Also where it has no datapath. */
  anyhow: boolean,
): Promise<number | undefined> {
  // What names a datapath of another type is no business of the kernel's.
  if (args.some((word) => /^(?!system@)\w+@/.test(word))) return undefined;
  const { openKernelSystem } = await import("./kernel-system.ts");
  const { KernelDpctl } = await import("../src/vswitch/kernel-dpctl.ts");
  let kernel: InstanceType<typeof KernelDpctl>;
  try {
    kernel = new KernelDpctl(openKernelSystem(), (path) => readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
  try {
    const found = kernel.commands.get(`dpctl/${command}`);
    if (found === undefined || (!anyhow && kernel.names().length === 0)) return undefined;
    const [, , min, max, run] = found;
    const words = args.filter((word) => !word.startsWith("-"));
    checkCount(command, words.length, min, max);
    platform.stdout(await run(args));
    return 0;
  } catch (error) {
    if (!(error instanceof Fatal) || !error.message.startsWith("ovs-vswitchd: ")) throw error;
    platform.stderr(`${error.message.replaceAll(/^ovs-vswitchd: /gm, `${program}: `)}\n`);
    return 1;
  } finally {
    kernel.close();
  }
}

/** What needs no switch to be done about programs that one has left in the kernel. False when there are none. */
async function withoutSwitch(platform: Platform, command: string, rest: readonly string[]): Promise<boolean> {
  if (command === "del-dp" && rest.length === 1) {
    const { removeLeftBehind } = await import("./ebpf-system.ts");
    return removeLeftBehind(rest[0]!.replace(/^(system|ebpf)@/, ""), () => false);
  }
  if (command !== "dump-dps") return false;
  const { leftLabel, pinnedDatapaths } = await import("../src/sys/bpf-pins.ts");
  const names = pinnedDatapaths();
  for (const name of names) platform.stdout(`${leftLabel(name)}\n`);
  return names.length > 0;
}
