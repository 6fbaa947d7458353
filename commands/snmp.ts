/** `ovsbox snmp`: an AgentX sub-agent that gives the switch's ports to the host's SNMP daemon (IF-MIB, BRIDGE-MIB). */
import { Subagent } from "../src/export/snmp/subagent.ts";
import { fatalErrno, runApplet } from "../src/lib/applet.ts";
import { helpTextOptions, tlsOptions } from "../src/lib/common-options.ts";
import { coverageStart } from "../src/lib/coverage.ts";
import { Daemon, type DaemonOptions, daemonOptions } from "../src/lib/daemon.ts";
import { dirs } from "../src/lib/dirs.ts";
import { Fatal } from "../src/lib/errors.ts";
import { formatOptions, getopt, type OptionGroup } from "../src/lib/getopt.ts";
import type { Platform } from "../src/lib/platform.ts";
import { TLS } from "../src/lib/stream-config.ts";
import { formatAddress, isActive, parseActive } from "../src/lib/stream-name.ts";
import { UnixctlCommands, UnixctlServer } from "../src/lib/unixctl.ts";
import { vlogStart } from "../src/lib/vlog.ts";
import { vlogOptions } from "../src/lib/vlog-options.ts";
import { realPlatform } from "./platform.ts";
import { SwitchView } from "./snmp/switch-view.ts";

/** Of the pid file, the log and the control socket. */
const PROGRAM = "ovsbox-snmp";
/** snmpd's own default. */
const MASTER = "unix:/var/agentx/master";
const AGENTX_PORT = 705;

interface Settings {
  master: string;
  bridge: string | undefined;
  whole: boolean;
  target: string;
  unixctl: string | undefined;
}

export async function main(args: string[]): Promise<number> {
  const platform = realPlatform();
  return platform.exit(await runApplet(platform, "ovsbox snmp", () => run(platform, args)));
}

function ownOptions(settings: Settings): OptionGroup {
  return {
    title: "Options",
    options: [
      {
        long: "agentx",
        arg: "required",
        metavar: "MASTER",
        help: `where snmpd listens: unix:FILE or tcp:HOST[:PORT] (default: ${MASTER})`,
        set: (value) => void (settings.master = masterName(value!)),
      },
      {
        long: "bridge",
        arg: "required",
        metavar: "BRIDGE",
        help: "the one that BRIDGE-MIB shows in the default context (default: the first)",
        set: (value) => void (settings.bridge = value),
      },
      {
        long: "whole-tables",
        help: "IF-MIB has the switch's ports only, not the host's beside them",
        set: () => void (settings.whole = true),
      },
      {
        long: "target",
        arg: "required",
        metavar: "TARGET",
        help: "ask that daemon for learned addresses (name or socket; default: ovs-vswitchd)",
        set: (value) => void (settings.target = value!),
      },
      {
        long: "unixctl",
        arg: "required",
        metavar: "SOCKET",
        help: "listen for ovs-appctl there",
        set: (value) => void (settings.unixctl = value),
      },
    ],
  };
}

function masterName(name: string): string {
  try {
    const { kind, path, host, port } = parseActive(name, AGENTX_PORT);
    if (kind === "unix" && path !== "") return name;
    if (kind === "tcp") return `tcp:${formatAddress(host, port)}`;
  } catch {
    // Said below.
  }
  throw new Fatal(`${name}: bad AgentX address (expected unix:FILE or tcp:HOST[:PORT])`);
}

function readOptions(
  platform: Platform,
  args: string[],
): { settings: Settings; daemon: DaemonOptions; database: string } {
  const settings: Settings = {
    master: MASTER,
    bridge: undefined,
    whole: false,
    target: "ovs-vswitchd",
    unixctl: undefined,
  };
  const usual = `unix:${dirs(platform.env).run}/db.sock`;
  const daemon = daemonOptions(platform, PROGRAM);
  const groups: OptionGroup[] = [
    ownOptions(settings),
    daemon.group,
    tlsOptions(TLS),
    vlogOptions(),
    helpTextOptions(
      platform,
      "ovsbox snmp",
      () =>
        "ovsbox snmp: gives the switch's ports to the host's SNMP daemon, as its AgentX sub-agent\n" +
        `usage: ovsbox snmp [OPTIONS] [DATABASE]\nDATABASE is a connection method (default: ${usual}).\n` +
        'snmpd must have "master agentx" in its configuration, and serve 1.3.6.1.2.1.2, .17 and .31.\n' +
        formatOptions(groups),
    ),
  ];
  const words = getopt(PROGRAM, groups, args);
  if (words.length > 1) throw new Fatal("at most one non-option argument accepted; use --help for usage");
  const database = words[0] ?? usual;
  try {
    for (const one of database.split(",")) if (isActive(one)) parseActive(one, 0xffff);
  } catch (error) {
    throw fatalErrno(error, `${database}: bad connection method`);
  }
  if (!database.split(",").every(isActive)) throw new Fatal(`${database}: bad connection method`);
  return { settings, daemon: daemon.values, database };
}

async function run(platform: Platform, args: string[]): Promise<number> {
  vlogStart(platform, PROGRAM);
  const { settings, daemon: daemonSettings, database } = readOptions(platform, args);
  const daemon = new Daemon(platform, PROGRAM, daemonSettings);
  const started = await daemon.start();
  if (started.role === "done") return started.status;

  const view: SwitchView = new SwitchView(
    platform,
    { ...settings, database },
    { changed: () => agent.register(view.regions()), sysUpTime: () => agent.sysUpTime },
  );
  const agent: Subagent = new Subagent({
    clock: platform.clock,
    streams: platform.streams,
    master: settings.master,
    description: "ovsbox",
    view: (context, ranges) => view.of(context, ranges),
  });
  const commands = new UnixctlCommands(PROGRAM);
  commands.register("agentx/show", "", 0, 0, (_words, reply) => {
    const { state, lastError, wished, registered, requests } = agent.status;
    reply.ok(
      `master: ${settings.master}, ${state}${lastError === undefined ? "" : ` (${lastError})`}\n` +
        `database: ${database}, ${view.databaseState}\n` +
        `registrations: ${registered} of ${wished}\nrequests: ${requests}`,
    );
  });
  const ended = Promise.withResolvers<number>();
  commands.register("exit", "", 0, 0, (_words, reply) => {
    agent.close();
    view.close();
    reply.ok();
    ended.resolve(0);
  });
  const control = await UnixctlServer.listen(platform, PROGRAM, commands, settings.unixctl);
  coverageStart(platform.clock, commands);
  view.open();
  agent.start();
  daemon.ready();
  const status = await ended.promise;
  // What was written last still has to leave.
  await new Promise<void>((resolve) => platform.clock.after(10, resolve));
  control?.close();
  return status;
}
