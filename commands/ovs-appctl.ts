/** `ovs-appctl`: sends one command to a daemon's control socket and prints the reply. */
import { runApplet } from "../src/lib/applet.ts";
import { helpTextOptions } from "../src/lib/common-options.ts";
import { Fatal } from "../src/lib/errors.ts";
import { formatOptions, getopt, type OptionGroup } from "../src/lib/getopt.ts";
import { formatJson, type Json } from "../src/lib/json.ts";
import type { Platform } from "../src/lib/platform.ts";
import { withProgress } from "../src/lib/progress.ts";
import { armTimeout, defaultTimeout, parseTimeout } from "../src/lib/timeout.ts";
import { UnixctlClient } from "../src/lib/unixctl-client.ts";
import { vlogStart } from "../src/lib/vlog.ts";
import { vlogOptions } from "../src/lib/vlog-options.ts";
import { realPlatform } from "./platform.ts";

interface Settings {
  target: string;
  timeoutSec: number | undefined;
  format: "text" | "json";
  pretty: boolean;
}

export function main(args: string[], program: string): Promise<number> {
  const platform = realPlatform();
  return runApplet(platform, program, () => run(platform, program, args));
}

function options(platform: Platform, program: string, settings: Settings): OptionGroup[] {
  const groups: OptionGroup[] = [
    {
      title: "Options",
      options: [
        {
          short: "t",
          long: "target",
          arg: "required",
          metavar: "TARGET",
          help: "daemon's name (default: ovs-vswitchd) or control socket",
          set: (value) => {
            settings.target = value!;
          },
        },
        {
          short: "T",
          long: "timeout",
          arg: "required",
          metavar: "SECS",
          help: "give up after SECS seconds",
          set: (value) => {
            settings.timeoutSec = parseTimeout(value!, "value", "-T or --timeout");
          },
        },
        {
          short: "f",
          long: "format",
          arg: "required",
          metavar: "FORMAT",
          help: "text (default) or json",
          set: (value) => {
            if (value !== "text" && value !== "json")
              throw new Fatal(`value ${value} on -f or --format is invalid`);
            settings.format = value;
          },
        },
        // Scripts written for early versions give it.
        { short: "e", long: "execute", help: "accepted, without a meaning", set: () => {} },
        {
          long: "pretty",
          help: "indent JSON; needs --format=json",
          set: () => {
            settings.pretty = true;
          },
        },
      ],
    },
    vlogOptions(),
  ];
  groups.push(
    helpTextOptions(
      platform,
      program,
      () =>
        `${program}: steers a running Open vSwitch daemon\n` +
        `usage: ${program} [OPTIONS] COMMAND [ARG...]\n` +
        '"list-commands" lists the commands of the daemon.\n' +
        formatOptions(groups),
    ),
  );
  return groups;
}

async function run(platform: Platform, program: string, args: string[]): Promise<number> {
  vlogStart(platform, program);
  const settings: Settings = { target: "ovs-vswitchd", timeoutSec: undefined, format: "text", pretty: false };
  const words = getopt(program, options(platform, program, settings), args, { stopAtFirst: true });
  const [command, ...rest] = words;
  if (command === undefined) {
    throw new Fatal("at least one non-option argument is required (use --help for help)");
  }
  if (settings.pretty && settings.format !== "json")
    throw new Fatal("--pretty is supported with --format json only");
  armTimeout(platform, settings.timeoutSec ?? defaultTimeout(platform));
  const client = await UnixctlClient.connect(platform, settings.target);
  if (settings.format === "json") {
    const status = await transact(
      platform,
      program,
      client,
      settings,
      "set-options",
      ["--format", "json"],
      false,
    );
    if (status !== 0) return status;
  }
  const status = await transact(platform, program, client, settings, command, rest, true);
  client.close();
  return platform.exit(status);
}

/** Sends one command; prints its reply when `show`. Resolves to the exit status. */
async function transact(
  platform: Platform,
  program: string,
  client: UnixctlClient,
  settings: Settings,
  command: string,
  args: readonly string[],
  show: boolean,
): Promise<number> {
  let answer: { result: Json } | { error: Json };
  try {
    answer = await withProgress(platform, command, client.transact(command, args));
  } catch (error) {
    throw new Fatal(`${settings.target}: transaction error (${(error as Error).message})`);
  }
  if ("error" in answer) {
    if (typeof answer.error !== "string") throw unexpected(answer.error);
    platform.stderr(withNewline(answer.error));
    platform.stderr(`${program}: ${settings.target}: server returned an error\n`);
    return 2;
  }
  if (!show) return 0;
  if (settings.format === "json") {
    platform.stdout(withNewline(formatJson(answer.result, { pretty: settings.pretty, sort: true })));
  } else {
    if (typeof answer.result !== "string") throw unexpected(answer.result);
    platform.stdout(withNewline(answer.result));
  }
  return 0;
}

function withNewline(text: string): string {
  return text === "" || text.endsWith("\n") ? text : `${text}\n`;
}

function unexpected(value: Json): Fatal {
  const type =
    value === null
      ? "null"
      : Array.isArray(value)
        ? "array"
        : value === true || value === false
          ? String(value)
          : typeof value;
  return new Fatal(`Unexpected reply type in JSON rpc reply: ${type}`, 2);
}
