/** `ovsbox doctor`: looks at everything that has kept a switch from working, and says what it means and what to type. */
import fs from "node:fs";
import { join } from "node:path";
import { runApplet } from "../src/lib/applet.ts";
import { helpTextOptions } from "../src/lib/common-options.ts";
import { type Dirs, dirs } from "../src/lib/dirs.ts";
import { describeError, Fatal } from "../src/lib/errors.ts";
import { formatOptions, getopt, type OptionGroup } from "../src/lib/getopt.ts";
import { formatJson, type Json } from "../src/lib/json.ts";
import { JsonRpc } from "../src/lib/jsonrpc.ts";
import type { Platform } from "../src/lib/platform.ts";
import { LinkTable } from "../src/netdev/rtnetlink.ts";
import { openDeviceControl } from "../src/sys/ethtool.ts";
import { openRouteSocket } from "../src/sys/netlink.ts";
import { bad, type Finding } from "./doctor/finding.ts";
import {
  daemon,
  database,
  kernel,
  leftovers,
  limits,
  privileges,
  time,
  unattended,
} from "./doctor/machine.ts";
import { type BridgeRow, bridges } from "./doctor/network.ts";
import { readBridges } from "./doctor/rows.ts";
import { carriedBy } from "./ovs-vsctl/carried.ts";
import { realPlatform } from "./platform.ts";

const PROGRAM = "ovsbox doctor";

interface Settings {
  json: boolean;
  quiet: boolean;
}

export async function main(args: string[]): Promise<number> {
  const platform = realPlatform();
  return platform.exit(await runApplet(platform, PROGRAM, () => run(platform, args)));
}

function options(platform: Platform, settings: Settings): OptionGroup[] {
  const groups: OptionGroup[] = [
    {
      title: "Options",
      options: [
        {
          long: "format",
          short: "f",
          arg: "required",
          metavar: "FORMAT",
          help: "text (default) or json",
          set: (value) => {
            if (value !== "text" && value !== "json")
              throw new Fatal(`unknown format "${value}" (text or json)`);
            settings.json = value === "json";
          },
        },
        {
          long: "quiet",
          short: "q",
          help: "only what is not well",
          set: () => void (settings.quiet = true),
        },
      ],
    },
    helpTextOptions(
      platform,
      PROGRAM,
      () =>
        `${PROGRAM}: looks for what keeps the switch from working\nusage: ${PROGRAM} [OPTIONS]\n` +
        `Ends with status 1 if something does not work, else with 0.\n${formatOptions(groups)}`,
    ),
  ];
  return groups;
}

async function run(platform: Platform, args: string[]): Promise<number> {
  const settings: Settings = { json: false, quiet: false };
  const words = getopt(PROGRAM, options(platform, settings), args);
  if (words.length > 0) throw new Fatal("non-option arguments not supported; use --help for usage");
  const all = await examine(platform, dirs(platform.env));
  const shown = settings.quiet ? all.filter(({ level }) => level !== "good") : all;
  if (settings.json) platform.stdout(`${formatJson(shown as unknown as Json)}\n`);
  else platform.stdout(shown.map(text).join(""));
  return all.some(({ level }) => level === "bad") ? 1 : 0;
}

const SIGNS = { good: "ok   ", warn: "warn ", bad: "BAD  " } as const;

function text({ level, subject, what, meaning, command }: Finding): string {
  let out = `${SIGNS[level]}${subject}: ${what}\n`;
  if (meaning !== undefined) out += `       ${meaning}\n`;
  if (command !== undefined) out += `       > ${command}\n`;
  return out;
}

async function examine(platform: Platform, where: Dirs): Promise<Finding[]> {
  const found = [...kernel(), ...privileges(), ...time(platform), ...database(platform, where)];
  const server = await daemon(platform, where, "ovsdb-server");
  const both = server.level === "good" ? [server] : [];
  const vswitchd = await daemon(platform, where, "ovs-vswitchd");
  // `ovsbox up` is both in one process.
  if (server.level !== "good" && !(vswitchd.level === "good" && fs.existsSync(join(where.run, "db.sock"))))
    found.push(server);
  found.push(...both, vswitchd, ...leftovers(where), ...limits(pidOf(where)));
  if (vswitchd.level !== "good") found.push(...unattended());
  const rows = await configured(platform, where, found);
  if (rows !== undefined) found.push(...look(rows));
  return found;
}

function pidOf(where: Dirs): number | undefined {
  try {
    return Number.parseInt(fs.readFileSync(join(where.run, "ovs-vswitchd.pid"), "utf8"), 10) || undefined;
  } catch {
    return undefined;
  }
}

async function configured(
  platform: Platform,
  where: Dirs,
  found: Finding[],
): Promise<BridgeRow[] | undefined> {
  const socket = join(where.run, "db.sock");
  if (!fs.existsSync(socket)) return undefined;
  try {
    const rpc = new JsonRpc(await platform.streams.connect(`unix:${socket}`, 3000));
    try {
      return await readBridges(rpc);
    } finally {
      rpc.close();
    }
  } catch (error) {
    found.push(
      bad(
        "database",
        `${socket} does not answer (${describeError(error)})`,
        "nothing can be configured",
        "ovs-ctl restart",
      ),
    );
    return undefined;
  }
}

function look(rows: readonly BridgeRow[]): Finding[] {
  const links = new LinkTable(openRouteSocket());
  const control = openDeviceControl();
  try {
    return bridges(rows, {
      link: (name) => links.get(name),
      lro: (name) => control.largeReceive(name),
      carried: carriedBy,
    });
  } finally {
    links.close();
  }
}
