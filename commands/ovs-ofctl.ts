/** `ovs-ofctl`: talks OpenFlow to a switch. Options and dispatch; the commands are in ovs-ofctl/. */
import { fieldByName } from "../src/flow/fields/index.ts";
import { runApplet, versionText } from "../src/lib/applet.ts";
import { helpOptions, tlsOptions } from "../src/lib/common-options.ts";
import { daemonOptions, isRespawned } from "../src/lib/daemon.ts";
import { Exit, Fatal } from "../src/lib/errors.ts";
import { formatOptions, getopt, listOptions, type OptionGroup } from "../src/lib/getopt.ts";
import type { Platform } from "../src/lib/platform.ts";
import { TLS } from "../src/lib/stream-config.ts";
import { armTimeout, defaultTimeout, parseTimeout } from "../src/lib/timeout.ts";
import { vlogStart } from "../src/lib/vlog.ts";
import { vlogOptions } from "../src/lib/vlog-options.ts";
import { TextError } from "../src/openflow/actions/registry.ts";
import {
  protocolsFromText,
  protocolsText,
  VERSION_NAMES,
  versionProtocols,
  versionsFromText,
} from "../src/openflow/protocols.ts";
import { paintWith } from "../src/openflow/text/colors.ts";
import { COMMANDS, type OfctlCommand } from "./ovs-ofctl/commands.ts";
import { defaultSettings, type Ofctl, type Settings } from "./ovs-ofctl/settings.ts";
import { realPlatform } from "./platform.ts";
import { shortRun } from "./short-run.ts";

export function main(args: string[], program: string): Promise<number> {
  const platform = realPlatform();
  // Also after an error: an open connection would keep the process alive.
  return runApplet(platform, program, () => run(platform, program, args)).then((status) =>
    platform.exit(status),
  );
}

/** What --color may be, and whether that means colors. */
const COLORS: Readonly<Record<string, (platform: Platform) => boolean>> = Object.fromEntries([
  ...["always", "yes", "force"].map((word) => [word, () => true]),
  ...["never", "no", "none"].map((word) => [word, () => false]),
  ...["auto", "tty", "if-tty"].map((word) => [word, hasColors]),
]);

function hasColors({ stdoutIsTerminal, env }: Platform): boolean {
  // no-color.org: any value but an empty one.
  return stdoutIsTerminal && env.TERM !== undefined && env.TERM !== "dumb" && !env.NO_COLOR;
}

function sortKey(settings: Settings, key: string | undefined, descending: boolean): void {
  if (key !== undefined && key !== "priority" && fieldByName(key) === undefined) {
    throw new Fatal(`${key}: unknown field name`);
  }
  settings.sort.push({ field: key ?? "", descending });
}

function options(platform: Platform, program: string, settings: Settings, help: () => never): OptionGroup[] {
  const flag =
    (
      key:
        | "strict"
        | "readd"
        | "readOnly"
        | "timestamp"
        | "bundle"
        | "mayCreate"
        | "pcap"
        | "bare"
        | "badCsum"
        | "raw",
    ) =>
    () => {
      settings[key] = true;
    };
  const own: OptionGroup = {
    title: "Other options",
    options: [
      {
        short: "t",
        long: "timeout",
        arg: "required",
        metavar: "SECS",
        help: "give up after SECS seconds",
        set: (v) => {
          settings.timeoutSec = parseTimeout(v!);
        },
      },
      { long: "strict", help: "use strict match for flow commands", set: flag("strict") },
      { long: "readd", help: "replace flows that haven't changed", set: flag("readd") },
      {
        short: "F",
        long: "flow-format",
        arg: "required",
        metavar: "FORMAT",
        help: "force particular flow format",
        set: (v) => {
          const set = protocolsFromText(v!);
          if (set === undefined) throw new Fatal(`${v}: unknown flow protocol`);
          settings.protocols = set;
        },
      },
      {
        short: "P",
        long: "packet-in-format",
        arg: "required",
        metavar: "FRMT",
        help: "force particular packet in format",
        set: (v) => {
          const format = ["standard", "nxt_packet_in", "nxt_packet_in2"].indexOf(
            v === "openflow10" ? "standard" : v === "nxm" ? "nxt_packet_in" : v!,
          );
          if (format < 0) throw new Fatal(`unknown packet-in format ${v}`);
          settings.packetInFormat = format;
        },
      },
      {
        short: "m",
        long: "more",
        help: "be more verbose printing OpenFlow",
        set: () => {
          settings.verbosity++;
        },
      },
      { long: "timestamp", help: "(monitor, snoop) print timestamps", set: flag("timestamp") },
      {
        long: "sort",
        arg: "optional",
        metavar: "field",
        help: "sort in ascending order",
        set: (v) => sortKey(settings, v, false),
      },
      {
        long: "rsort",
        arg: "optional",
        metavar: "field",
        help: "sort in descending order",
        set: (v) => sortKey(settings, v, true),
      },
      {
        long: "names",
        help: "show port names instead of numbers",
        set: () => {
          settings.names = true;
        },
      },
      {
        long: "no-names",
        help: "show port numbers, but not names",
        set: () => {
          settings.names = false;
        },
      },
      {
        long: "stats",
        help: "show statistics",
        set: () => {
          settings.stats = true;
        },
      },
      {
        long: "no-stats",
        help: "hide statistics",
        set: () => {
          settings.stats = false;
        },
      },
      {
        long: "format",
        arg: "required",
        metavar: "text|json",
        help: "print replies and messages as text (default) or JSON",
        set: (v) => {
          if (v !== "text" && v !== "json") throw new Fatal(`unknown output format "${v}"`);
          settings.json = v === "json";
        },
      },
      {
        long: "unixctl",
        arg: "required",
        metavar: "SOCKET",
        help: "set control socket name",
        set: (v) => {
          settings.unixctl = v;
        },
      },
      {
        short: "o",
        long: "option",
        help: "list the options",
        set: () => {
          platform.stdout(listOptions(groups));
          throw new Exit(0);
        },
      },
      { long: "bundle", help: "use an OpenFlow bundle", set: flag("bundle") },
      {
        long: "color",
        arg: "optional",
        metavar: "always|never|auto",
        help: "control use of color in output",
        set: (v) => {
          const colors = COLORS[v ?? "auto"];
          if (colors === undefined) throw new Fatal(`incorrect value \`${v}' for --color`);
          settings.paint = colors(platform) ? paintWith(platform.env.OVS_COLORS) : undefined;
        },
      },
      { long: "may-create", help: "mod-group may add the group", set: flag("mayCreate") },
      { long: "pcap", help: "(compose-packet) write a capture file", set: flag("pcap") },
      { long: "bare", help: "(compose-packet) hexadecimal digits only", set: flag("bare") },
      { long: "bad-csum", help: "(compose-packet) with wrong checksums", set: flag("badCsum") },
      { long: "raw", help: "(compose-packet) write the bytes as they are", set: flag("raw") },
      { long: "read-only", help: "do not execute read/write commands", set: flag("readOnly") },
    ],
  };
  const daemon = daemonOptions(platform, program);
  settings.daemon = daemon.values;
  const version = (): never => {
    platform.stdout(versionText(program, "OpenFlow versions 0x1:0x6"));
    throw new Exit(0);
  };
  const groups: OptionGroup[] = [
    own,
    daemon.group,
    {
      title: "OpenFlow version options",
      options: [
        {
          short: "O",
          long: "protocols",
          arg: "required",
          metavar: "VERSIONS",
          help: "set allowed OpenFlow versions",
          set: (v) => {
            settings.versions = versionsFromText(v!);
          },
        },
      ],
    },
    vlogOptions(),
    tlsOptions(TLS),
    helpOptions(help, version),
  ];
  return groups;
}

async function run(platform: Platform, program: string, args: string[]): Promise<number> {
  vlogStart(platform, program);
  const settings = defaultSettings();
  let groups: OptionGroup[] = [];
  const help = (): never => {
    platform.stdout(helpText(program, groups));
    throw new Exit(0);
  };
  groups = options(platform, program, settings, help);
  const words = getopt(program, groups, args);
  narrowVersions(settings);
  const name = words[0];
  if (name === undefined) throw new Fatal("missing command name; use --help for help");
  if (name === "help") help();
  if (name === "list-commands") {
    platform.stdout(commandList());
    return 0;
  }
  const command = COMMANDS[name];
  if (command === undefined) throw new Fatal(`unknown command '${name}'; use --help for help`);
  const rest = words.slice(1);
  checkArguments(name, command, rest.length);
  if (command.write && settings.readOnly)
    throw new Fatal(`'${name}' command does not work in read only mode`);
  if (command.file !== undefined) shortRun(rest[command.file]!);
  // OVS_CTL_TIMEOUT is for those who wait: a monitor in the background would end in the midst of its work.
  const bySelf = isRespawned(platform) ? undefined : defaultTimeout(platform);
  armTimeout(platform, settings.timeoutSec ?? bySelf);
  const ofctl: Ofctl = { platform, program, settings, args, command: name };
  try {
    return (await command.run(ofctl, rest)) ?? 0;
  } catch (error) {
    if (error instanceof TextError) throw new Fatal(error.message);
    throw error;
  }
}

/** -O and -F each limit what the other allows; by default OpenFlow 1.0 is spoken, with any flow format. */
function narrowVersions(settings: Settings): void {
  let protocols = 0;
  for (let v = 1; v <= 6; v++) if (settings.versions & (1 << v)) protocols |= versionProtocols(v);
  const both = settings.protocols & protocols;
  if (both === 0) {
    throw new Fatal(
      `None of the enabled OpenFlow versions (${versionsText(settings.versions)}) supports any of the enabled flow formats (${protocolsText(settings.protocols)}).  (Use -O to enable additional OpenFlow versions or -F to enable additional flow formats.)`,
    );
  }
  settings.protocols = both;
}

function versionsText(bits: number): string {
  return VERSION_NAMES.filter((_name, v) => (bits & (1 << v)) !== 0).join(", ");
}

function checkArguments(name: string, command: OfctlCommand, count: number): void {
  const plural = (n: number): string => (n === 1 ? "argument" : "arguments");
  if (count < command.min) {
    throw new Fatal(`'${name}' command requires at least ${command.min} ${plural(command.min)}`);
  }
  if (command.max >= 0 && count > command.max) {
    throw new Fatal(`'${name}' command takes at most ${command.max} ${plural(command.max)}`);
  }
}

function commandList(): string {
  const lines = Object.entries(COMMANDS).map(([name, c]) => `  ${name.padEnd(23)} ${c.usage}\n`);
  return `The available commands are:\n${lines.join("")}`;
}

function helpText(program: string, groups: readonly OptionGroup[]): string {
  const lines = Object.entries(COMMANDS)
    .filter(([, c]) => c.about !== undefined)
    .map(([name, c]) => `  ${`${name} ${c.usage.toUpperCase()}`.trimEnd().padEnd(40)} ${c.about}\n`);
  return `${program}: OpenFlow switch management utility\nusage: ${program} [OPTIONS] COMMAND [ARG...]\n\nCommands:\n${lines.join("")}${formatOptions(groups)}`;
}
