/** `ovsdbmonitor`: databases, flows and traffic in the browser, and metrics for Prometheus. The work is in src/web. */
import fs from "node:fs";
import path from "node:path";
import { fatalErrno, runApplet } from "../src/lib/applet.ts";
import { helpTextOptions, tlsOptions } from "../src/lib/common-options.ts";
import { coverageStart } from "../src/lib/coverage.ts";
import { Daemon, daemonOptions } from "../src/lib/daemon.ts";
import { nodeDatagrams } from "../src/lib/datagram-node.ts";
import { dirs } from "../src/lib/dirs.ts";
import { describeError, Fatal } from "../src/lib/errors.ts";
import { formatOptions, getopt, type OptionGroup } from "../src/lib/getopt.ts";
import type { Platform } from "../src/lib/platform.ts";
import { TLS } from "../src/lib/stream-config.ts";
import { formatAddress, isActive, splitAddress } from "../src/lib/stream-name.ts";
import { UnixctlCommands, UnixctlServer } from "../src/lib/unixctl.ts";
import { vlog, vlogStart } from "../src/lib/vlog.ts";
import { vlogOptions } from "../src/lib/vlog-options.ts";
import { serveHttp } from "../src/sys/http-server.ts";
import type { ControlPlace } from "../src/web/control.ts";
import { Guard, isLoopback } from "../src/web/guard.ts";
import { Monitor } from "../src/web/monitor.ts";
import type { SystemPlaces } from "../src/web/system.ts";
import { pageAssets } from "./ovsdbmonitor/assets.ts";
import { realPlatform } from "./platform.ts";

const log = vlog("ovsdbmonitor");

const DEFAULT_PORT = 6642;
const SFLOW_PORT = 6343;

interface Settings {
  listen: { host: string; port: number };
  token: string | undefined;
  readonly names: string[];
  allowEdit: boolean;
  sflow: { host: string; port: number } | undefined;
  readonly switches: string[];
  readonly openflow: string[];
  unixctl: string | undefined;
}

export async function main(args: string[], program: string): Promise<number> {
  const platform = realPlatform();
  // An end with a message may leave listeners behind, which would keep the process alive.
  return platform.exit(await runApplet(platform, program, () => run(platform, program, args)));
}

/** "[ADDRESS:]PORT" or "ADDRESS". */
function place(text: string, defaultHost: string, defaultPort: number): { host: string; port: number } {
  const address = /^\d+$/.test(text) ? { host: defaultHost, port: text } : splitAddress(text);
  const port = address?.port === "" ? defaultPort : Number(address?.port);
  if (address === undefined || !(port >= 0 && port < 65536)) {
    throw new Fatal(`${text}: bad address (expected [ADDRESS:]PORT)`);
  }
  return { host: address.host === "" ? defaultHost : address.host, port };
}

function ownOptions(settings: Settings): OptionGroup {
  return {
    title: "Options",
    options: [
      {
        long: "listen",
        arg: "required",
        metavar: "[ADDRESS:]PORT",
        help: `serve there (default: 127.0.0.1:${DEFAULT_PORT}; beyond loopback a token is needed)`,
        set: (value) => void (settings.listen = place(value!, "127.0.0.1", DEFAULT_PORT)),
      },
      {
        long: "token",
        arg: "required",
        metavar: "TEXT",
        help: "who looks must show TEXT (everybody on this host can read it in the list of processes)",
        set: (value) => void (settings.token = value),
      },
      {
        long: "token-file",
        arg: "required",
        metavar: "FILE",
        help: "the same, from FILE",
        set: (value) => void (settings.token = readToken(value!)),
      },
      {
        long: "server-name",
        arg: "required",
        metavar: "NAME",
        help: "a name, besides its addresses, by which browsers reach this host",
        set: (value) => void settings.names.push(value!),
      },
      {
        long: "switch",
        arg: "required",
        metavar: "SOCKET",
        help: "a switch's control socket (default: the one beside a database's socket)",
        set: (value) => void settings.switches.push(value!),
      },
      {
        long: "openflow",
        arg: "required",
        metavar: "METHOD",
        help: "a switch that is reached by OpenFlow alone (tcp:HOST:PORT, ssl:HOST:PORT, unix:FILE)",
        set: (value) => {
          if (!isActive(value!)) throw new Fatal(`${value}: not a way to connect by OpenFlow`);
          settings.openflow.push(value!);
        },
      },
      {
        long: "sflow",
        arg: "optional",
        metavar: "[ADDRESS:]PORT",
        help: `receive sFlow, for the top talkers (default: 127.0.0.1:${SFLOW_PORT})`,
        set: (value) => void (settings.sflow = place(value ?? String(SFLOW_PORT), "127.0.0.1", SFLOW_PORT)),
      },
      {
        long: "allow-edit",
        help: "rows of the databases may be changed (without --token one is made up: see web/link)",
        set: () => void (settings.allowEdit = true),
      },
      {
        long: "unixctl",
        arg: "required",
        metavar: "SOCKET",
        help: "where ovs-appctl finds the daemon",
        set: (socket) => void (settings.unixctl = socket),
      },
    ],
  };
}

function readToken(file: string): string {
  let text: string;
  try {
    text = fs.readFileSync(file, "utf8").trim();
  } catch (error) {
    throw fatalErrno(error, `${file}: cannot read the token`);
  }
  if (text === "") throw new Fatal(`${file}: holds no token`);
  return text;
}

async function run(platform: Platform, program: string, args: string[]): Promise<number> {
  vlogStart(platform, program);
  const { run: rundir } = dirs(platform.env);
  const settings: Settings = {
    listen: { host: "127.0.0.1", port: DEFAULT_PORT },
    token: undefined,
    names: [],
    allowEdit: false,
    sflow: undefined,
    switches: [],
    openflow: [],
    unixctl: undefined,
  };
  const daemonGroup = daemonOptions(platform, program);
  const groups: OptionGroup[] = [
    ownOptions(settings),
    daemonGroup.group,
    tlsOptions(TLS),
    vlogOptions(),
    helpTextOptions(
      platform,
      program,
      () =>
        `${program}: databases, flows and traffic in the browser\nusage: ${program} [OPTIONS] [DATABASE...]\n` +
        `Each DATABASE is where an ovsdb-server is reached (default: unix:${rundir}/db.sock).\n` +
        "The page is at /, metrics for Prometheus are at /metrics. With --private-key and --certificate it is\n" +
        `served over TLS.\n${formatOptions(groups)}`,
    ),
  ];
  const databases = getopt(program, groups, args);
  const { listen, allowEdit, sflow } = settings;
  if (settings.token === "") throw new Fatal("an empty token protects nothing");
  if (!isLoopback(listen.host) && settings.token === undefined) {
    throw new Fatal(`${listen.host} is not loopback: --token or --token-file is needed`);
  }
  const systems = systemPlaces(platform, databases, settings);
  const tls = readTls();
  // Whoever may log in on this host may not therefore change its switch.
  const token = settings.token ?? (allowEdit ? randomText(platform) : undefined);

  const daemon = new Daemon(platform, program, daemonGroup.values);
  const started = await daemon.start();
  if (started.role === "done") return started.status;

  const monitor = new Monitor({
    platform,
    serve: serveHttp,
    datagrams: nodeDatagrams,
    guard: new Guard({
      names: [...settings.names, listen.host],
      token,
      secure: tls !== undefined,
      secret: () => randomText(platform),
    }),
    assets: pageAssets,
    systems,
    listen,
    tls,
    sflow,
    allowEdit,
  });
  try {
    await monitor.start();
  } catch (error) {
    throw new Fatal(
      `cannot listen (${(error as { code?: string }).code === undefined ? (error as Error).message : describeError(error)})`,
    );
  }
  const commands = new UnixctlCommands(program);
  const unixctl = await UnixctlServer.listen(platform, program, commands, settings.unixctl);
  coverageStart(platform.clock, commands);
  const address = formatAddress(listen.host, monitor.port);
  const url = `${tls === undefined ? "http" : "https"}://${address}/`;
  commands.register("web/link", "", 0, 0, (_args, reply) =>
    reply.ok(token === undefined ? url : `${url}#token=${encodeURIComponent(token)}`),
  );
  commands.register("exit", "", 0, 0, (_args, reply) => {
    reply.ok();
    monitor.close();
    unixctl?.close();
    platform.clock.after(10, () => daemon.exit(0));
  });
  if (!daemonGroup.values.detach) {
    const link = settings.token === undefined && token !== undefined ? `${url}#token=${token}` : url;
    platform.stderr(`${program}: serving ${link}\n`);
  }
  daemon.ready();
  log.info(`serving ${url}`);
  if (monitor.sflowPort !== undefined)
    log.info(`receiving sFlow on ${formatAddress(sflow!.host, monitor.sflowPort)}`);
  return await new Promise<never>(() => {});
}

function randomText(platform: Platform): string {
  return (platform.random.uuid() + platform.random.uuid()).replaceAll("-", "");
}

function readTls(): { key: string; cert: string } | undefined {
  const { privateKey, certificate } = TLS;
  if (privateKey === undefined && certificate === undefined) return undefined;
  if (privateKey === undefined || certificate === undefined) {
    throw new Fatal("TLS needs both --private-key and --certificate");
  }
  const read = (file: string): string => {
    try {
      return fs.readFileSync(file, "utf8");
    } catch (error) {
      throw fatalErrno(error, `${file}: cannot read`);
    }
  };
  return { key: read(privateKey), cert: read(certificate) };
}

/** A database's Unix socket lies in the folder of its server's and its switch's other sockets. */
function systemPlaces(platform: Platform, databases: readonly string[], settings: Settings): SystemPlaces[] {
  const rundir = path.resolve(dirs(platform.env).run);
  const alone = settings.switches.length > 0 || settings.openflow.length > 0;
  const named = databases.length > 0 || alone ? databases : [`unix:${rundir}/db.sock`];
  const switches = settings.switches.map((name): ControlPlace => {
    if (!/[/.]/.test(name)) return { target: name, folder: rundir };
    const socket = path.resolve(rundir, name);
    return { target: socket, folder: path.dirname(socket) };
  });
  const places = named.map((database): SystemPlaces => {
    if (!/^p?(unix|tcp|ssl):/.test(database))
      throw new Fatal(`${database}: not a way to connect to a database`);
    const socket = /^unix:([^,]+)$/.exec(database)?.[1];
    if (socket === undefined) return { name: database, database };
    const folder = path.dirname(path.resolve(rundir, socket));
    const at = switches.findIndex((place) => place.folder === folder);
    const control = at < 0 ? { target: "ovs-vswitchd", folder } : switches.splice(at, 1)[0]!;
    const name = folder === rundir && named.length === 1 ? platform.hostname() : database;
    const databaseControl = { target: "ovsdb-server", folder };
    const bridgesControl = { target: "ovs-brcompatd", folder };
    return { name, database, control, databaseControl, bridgesControl, rundir: folder };
  });
  for (const control of switches) places.push({ name: control.target, control, rundir: control.folder });
  for (const openflow of settings.openflow) places.push({ name: openflow, openflow });
  return places;
}
