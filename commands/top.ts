/** `ovsbox top`: bridges, ports, flows and drops of the switch, live on a terminal, or as a report. */
import { report } from "../src/export/top/layout.ts";
import { TopModel } from "../src/export/top/model.ts";
import { firstView, INTERVALS_MS } from "../src/export/top/view.ts";
import { fatalErrno, runApplet } from "../src/lib/applet.ts";
import { helpTextOptions } from "../src/lib/common-options.ts";
import { Fatal } from "../src/lib/errors.ts";
import { formatOptions, getopt, type OptionGroup } from "../src/lib/getopt.ts";
import type { Platform } from "../src/lib/platform.ts";
import { realPlatform } from "./platform.ts";
import { Follower } from "./top/follower.ts";

const PROGRAM = "ovsbox top";

interface Settings {
  target: string;
  intervalMs: number;
  count: number | undefined;
  rows: number;
  filter: string;
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
          long: "target",
          short: "t",
          arg: "required",
          metavar: "TARGET",
          help: "ask that daemon (name or socket; default: ovs-vswitchd)",
          set: (value) => void (settings.target = value!),
        },
        {
          long: "interval",
          short: "i",
          arg: "required",
          metavar: "SECONDS",
          help: "ask so often (default: 1)",
          set: (value) => {
            settings.intervalMs = Number(value) * 1000;
            if (!(settings.intervalMs >= 100 && settings.intervalMs <= 86_400_000))
              throw new Fatal(`bad interval "${value}" (0.1 to 86400 seconds)`);
          },
        },
        {
          long: "once",
          help: "print one report as text, even on a terminal",
          set: () => void (settings.count = 1),
        },
        {
          long: "count",
          short: "c",
          arg: "required",
          metavar: "N",
          help: "print N reports as text, one an interval (0: for ever)",
          set: (value) => {
            if (!/^\d{1,9}$/.test(value!)) throw new Fatal(`bad count "${value}"`);
            settings.count = value === "0" ? Number.POSITIVE_INFINITY : Number(value);
          },
        },
        {
          long: "rows",
          arg: "required",
          metavar: "N",
          help: "at most N flows and drops in a report (default: 20)",
          set: (value) => {
            if (!/^[1-9]\d{0,8}$/.test(value!)) throw new Fatal(`bad number of rows "${value}"`);
            settings.rows = Number(value);
          },
        },
        {
          long: "filter",
          arg: "required",
          metavar: "WORDS",
          help: 'only what has all of the words, and none after "!"',
          set: (value) => void (settings.filter = value!),
        },
      ],
    },
    helpTextOptions(
      platform,
      PROGRAM,
      () =>
        `${PROGRAM}: shows what the switch does: rates of bridges and ports, busiest flows, drops\n` +
        `usage: ${PROGRAM} [OPTIONS]\n` +
        `On a terminal it is live, and "h" shows the keys; elsewhere it prints one report.\n${formatOptions(groups)}`,
    ),
  ];
  return groups;
}

async function run(platform: Platform, args: string[]): Promise<number> {
  const settings: Settings = {
    target: "ovs-vswitchd",
    intervalMs: INTERVALS_MS[1]!,
    count: undefined,
    rows: 20,
    filter: "",
  };
  const words = getopt(PROGRAM, options(platform, settings), args);
  if (words.length > 0) throw new Fatal("non-option arguments not supported; use --help for usage");
  const follower = new Follower(platform, settings.target, new TopModel());
  try {
    await follower.round();
  } catch (error) {
    throw error instanceof Fatal ? error : fatalErrno(error, settings.target);
  }
  const view = { ...firstView(settings.intervalMs), filter: settings.filter };
  if (settings.count === undefined && platform.stdoutIsTerminal && platform.env.TERM !== "dumb") {
    const { live } = await import("./top/live.ts");
    return live(platform, follower, view);
  }

  const count = settings.count ?? 1;
  for (let printed = 0; printed < count; printed++) {
    await new Promise<void>((resolve) => platform.clock.after(settings.intervalMs, resolve));
    const trouble = await follower.tryRound();
    if (trouble !== undefined) platform.stderr(`${PROGRAM}: ${trouble}\n`);
    if (!follower.fresh) continue;
    platform.stdout(`${printed > 0 ? "\n" : ""}${report(follower.model.rows(), view, settings.rows)}`);
  }
  return follower.fresh ? 0 : 1;
}
