/**
 * `ovs-brcompatd`: Linux bridges that other software makes, seen and, if asked for, made switches. The daemon of that name in
 * Open vSwitch up to 1.9 had a kernel module beside it; here rtnetlink tells all. See ovs-brcompatd/.
 */
import { runApplet } from "../src/lib/applet.ts";
import { helpTextOptions } from "../src/lib/common-options.ts";
import { coverageStart } from "../src/lib/coverage.ts";
import { Daemon, daemonOptions } from "../src/lib/daemon.ts";
import { Fatal } from "../src/lib/errors.ts";
import { formatOptions, getopt, type OptionGroup } from "../src/lib/getopt.ts";
import type { Platform } from "../src/lib/platform.ts";
import { UnixctlCommands, UnixctlServer } from "../src/lib/unixctl.ts";
import { UnixctlClient, unixctlSocket } from "../src/lib/unixctl-client.ts";
import { vlogStart } from "../src/lib/vlog.ts";
import { vlogOptions } from "../src/lib/vlog-options.ts";
import { LinkTable } from "../src/netdev/rtnetlink.ts";
import { openRouteSocket } from "../src/sys/netlink.ts";
import { Adopter } from "./ovs-brcompatd/adopter.ts";
import { Database } from "./ovs-brcompatd/database.ts";
import { observe, viewJson, viewText } from "./ovs-brcompatd/observe.ts";
import { defaultSettings, ownOptions, type Settings } from "./ovs-brcompatd/settings.ts";
import { realPlatform } from "./platform.ts";

const PROGRAM = "ovs-brcompatd";

export async function main(args: string[], program: string): Promise<number> {
  const platform = realPlatform();
  return platform.exit(await runApplet(platform, program, () => run(platform, program, args)));
}

function readOptions(platform: Platform, program: string, args: string[]) {
  const settings = defaultSettings();
  const daemon = daemonOptions(platform, PROGRAM);
  const groups: OptionGroup[] = [
    ownOptions(settings),
    daemon.group,
    vlogOptions(),
    helpTextOptions(
      platform,
      program,
      () =>
        `${program}: sees Linux bridges, or makes switches of them\nusage: ${program} [OPTIONS]\n${formatOptions(groups)}`,
    ),
  ];
  const words = getopt(program, groups, args);
  if (words.length > 0) throw new Fatal("non-option arguments not accepted; use --help for usage");
  if (settings.mode !== "observe" && settings.bridges.length === 0)
    throw new Fatal(`--mode=${settings.mode} needs --bridges=GLOB`);
  return { settings, daemon: daemon.values };
}

async function run(platform: Platform, program: string, args: string[]): Promise<number> {
  vlogStart(platform, program);
  const { settings, daemon: daemonSettings } = readOptions(platform, program, args);
  const database = new Database(settings.vsctl, settings.timeoutSec);
  if (settings.release !== undefined) return release(platform, database, settings, settings.release);

  const daemon = new Daemon(platform, PROGRAM, daemonSettings);
  const started = await daemon.start();
  if (started.role === "done") return started.status;

  const socket = openRouteSocket();
  const links = new LinkTable(socket);
  const adopter = new Adopter(platform.clock, links, database, settings);
  const ended = Promise.withResolvers<number>();
  const commands = controls(adopter, links, socket);
  commands.register("exit", "", 0, 0, (_words, reply) => {
    reply.ok();
    ended.resolve(0);
  });
  const control = await UnixctlServer.listen(platform, PROGRAM, commands, settings.unixctl);
  coverageStart(platform.clock, commands);
  if (settings.restoreOnExit) daemon.atExit(() => adopter.releaseAll());
  if (settings.mode !== "observe") adopter.start();
  daemon.ready();
  // Sockets of the kernel's do not keep the process alive.
  const alive = (): void => void platform.clock.after(60_000, alive);
  alive();
  const status = await ended.promise;
  await new Promise<void>((resolve) => platform.clock.after(10, resolve));
  adopter.stop();
  control?.close();
  return status;
}

function controls(
  adopter: Adopter,
  links: LinkTable,
  socket: ReturnType<typeof openRouteSocket>,
): UnixctlCommands {
  const commands = new UnixctlCommands(PROGRAM);
  commands.register("linux/show", "[bridge]", 0, 1, ([name], reply) => {
    const views = observe(links, socket, name);
    if (name !== undefined && views.length === 0) reply.error(`no Linux bridge ${name}`);
    else if (reply.format === "json") reply.okJson(viewJson(views));
    else reply.ok(views.map(viewText).join("\n"));
  });
  commands.register("brcompat/show", "", 0, 0, (_words, reply) => {
    const rows = [...adopter.adoptions].map(({ bridge, name, mode, ports }) => ({
      bridge,
      switch: name,
      mode,
      ports: [...ports.keys()],
    }));
    if (reply.format === "json") reply.okJson(rows);
    else
      reply.ok(
        rows.map((row) => `${row.bridge} ${row.mode} ${row.switch} ${row.ports.join(",")}\n`).join(""),
      );
  });
  commands.register("brcompat/release", "bridge", 1, 1, ([name], reply) => {
    adopter.release(name!);
    reply.ok();
  });
  commands.register("brcompat/adopt", "bridge", 1, 1, ([name], reply) => {
    adopter.adopt(name!);
    reply.ok();
  });
  return commands;
}

/** By the daemon if one runs, so that it does not take the bridge again at once. */
async function release(
  platform: Platform,
  database: Database,
  settings: Settings,
  bridge: string,
): Promise<number> {
  let running = true;
  try {
    unixctlSocket(platform, PROGRAM);
  } catch {
    running = false;
  }
  if (!running) {
    new Adopter(platform.clock, new LinkTable(openRouteSocket()), database, settings).release(bridge);
    return 0;
  }
  const client = await UnixctlClient.connect(platform, PROGRAM);
  const reply = await client.transact("brcompat/release", [bridge]);
  client.close();
  if ("error" in reply) throw new Fatal(String(reply.error).trim());
  return 0;
}
