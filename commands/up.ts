/**
 * `ovsbox up`: database and switch in one process, joined by a memory stream. It opens what the two daemons would: db.sock,
 * both pid files, both control sockets, so that every command works unchanged; it makes the database if there is none.
 */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { runApplet, VERSION } from "../src/lib/applet.ts";
import { helpTextOptions, tlsOptions } from "../src/lib/common-options.ts";
import { coverageStart } from "../src/lib/coverage.ts";
import { Daemon, daemonOptions } from "../src/lib/daemon.ts";
import { dirs } from "../src/lib/dirs.ts";
import { describeError, Fatal } from "../src/lib/errors.ts";
import { formatOptions, getopt, type OptionGroup } from "../src/lib/getopt.ts";
import { memoryCommands } from "../src/lib/memory.ts";
import type { Platform } from "../src/lib/platform.ts";
import type { StreamFactory } from "../src/lib/stream.ts";
import { TLS } from "../src/lib/stream-config.ts";
import { memoryPair } from "../src/lib/stream-memory.ts";
import { UnixctlCommands, UnixctlServer } from "../src/lib/unixctl.ts";
import { vlogSetFile, vlogStart } from "../src/lib/vlog.ts";
import { vlogOptions } from "../src/lib/vlog-options.ts";
import type { DummyMode } from "../src/netdev/dummy.ts";
import { createFile } from "../src/ovsdb/database-file.ts";
import { nodeDisk } from "../src/ovsdb/disk-node.ts";
import type { Json } from "../src/ovsdb/json-text.ts";
import { schemaFromJson } from "../src/ovsdb/schema.ts";
import { OvsdbServer } from "../src/ovsdb/server.ts";
import { serverCommands } from "../src/ovsdb/server-commands.ts";
import { keepTlsFromDatabase } from "../src/ovsdb/server-tls.ts";
import { captureFiles } from "../src/sys/capture-files.ts";
import { connectUdp } from "../src/sys/datagram-native.ts";
import { openDeviceControl } from "../src/sys/ethtool.ts";
import { openRouteSocket } from "../src/sys/netlink.ts";
import { processUsage, systemStatistics } from "../src/sys/system-statistics.ts";
import { openVswitchSchema } from "../src/vswitch/schema/index.ts";
import { Vswitchd } from "../src/vswitch/vswitchd.ts";
import { datapathThreads } from "./datapath-thread.ts";
import { ebpfHost } from "./ebpf-system.ts";
import { openKernelSystem } from "./kernel-system.ts";
import { realPlatform } from "./platform.ts";

const PROGRAM = "ovsbox up";
const SWITCH = "ovs-vswitchd";
const DATABASE = "ovsdb-server";

interface Settings {
  remotes: string[];
  dummy: DummyMode | undefined;
  disableSystem: boolean;
}

export function main(args: string[]): Promise<number> {
  const platform = realPlatform();
  return runApplet(platform, PROGRAM, () => run(platform, args));
}

function ownOptions(settings: Settings): OptionGroup {
  return {
    title: "Options",
    options: [
      {
        long: "remote",
        arg: "required",
        metavar: "REMOTE",
        help: "serve the database there, too (ptcp:6640, pssl:6640, ...)",
        set: (remote) => void settings.remotes.push(remote!),
      },
      {
        long: "enable-dummy",
        arg: "optional",
        metavar: "WHICH",
        help: "add dummy devices and datapaths, for tests",
        set: (which) => void (settings.dummy = which === "override" || which === "system" ? which : ""),
      },
      {
        long: "disable-system",
        help: "do without datapath type system",
        set: () => void (settings.disableSystem = true),
      },
    ],
  };
}

async function run(platform: Platform, args: string[]): Promise<number> {
  vlogStart(platform, SWITCH);
  const places = dirs(platform.env);
  const settings: Settings = { remotes: [], dummy: undefined, disableSystem: false };
  const daemonGroup = daemonOptions(platform, SWITCH);
  const groups: OptionGroup[] = [
    ownOptions(settings),
    daemonGroup.group,
    tlsOptions(TLS),
    vlogOptions(),
    helpTextOptions(
      platform,
      PROGRAM,
      () =>
        `${PROGRAM}: runs database and switch in one process\nusage: ${PROGRAM} [OPTIONS] [DATABASE]\n` +
        `DATABASE is a file, made if there is none (default: ${places.db}/conf.db).\n${formatOptions(groups)}`,
    ),
  ];
  const words = getopt(PROGRAM, groups, args);
  if (words.length > 1) throw new Fatal("at most one non-option argument accepted; use --help for usage");
  const file = words[0] === undefined ? `${places.db}/conf.db` : path.resolve(platform.cwd(), words[0]);

  for (const folder of [places.run, places.log, path.dirname(file)]) makeFolder(folder);
  const { values } = daemonGroup;
  values.pidfile ??= `${places.run}/${SWITCH}.pid`;
  if (values.detach && !args.some((word) => word.startsWith("--log-f"))) vlogSetFile(undefined);
  const daemon = new Daemon(platform, SWITCH, values, { accessDatapath: true, hangupReopensLog: true });
  const start = await daemon.start();
  if (start.role === "done") return start.status;
  secondPidfile(platform, `${places.run}/${DATABASE}.pid`);

  // The database.
  const disk = nodeDisk(() => platform.process.files);
  const uuid = (): string => platform.random.uuid();
  const context = { disk, clock: platform.clock, uuid };
  const schema = JSON.parse(JSON.stringify(openVswitchSchema)) as Json;
  if (!fs.existsSync(file)) createFile(context, file, schemaFromJson(schema));
  const server = new OvsdbServer({ clock: platform.clock, streams: platform.streams, disk, uuid });
  server.openDatabase(file);
  keepTlsFromDatabase(server, { ...TLS }, TLS);
  const remotes = [
    `punix:${places.run}/db.sock`,
    "db:Open_vSwitch,Open_vSwitch,manager_options",
    ...settings.remotes,
  ];
  for (const remote of remotes) {
    const error = await server.addRemote(remote);
    if (error !== undefined) throw new Fatal(error);
  }
  const databaseCommands = new UnixctlCommands(DATABASE);
  const databaseControl = await UnixctlServer.listen(platform, DATABASE, databaseCommands);
  coverageStart(platform.clock, databaseCommands);
  memoryCommands(databaseCommands, [(add) => server.memory(add)]);

  // The switch.
  const switchCommands = new UnixctlCommands(SWITCH);
  const switchControl = await UnixctlServer.listen(platform, SWITCH, switchCommands);
  const vswitchd = new Vswitchd({
    platform,
    streams: intoServer(platform, server),
    remote: "unix:memory",
    commands: switchCommands,
    dummy: settings.dummy,
    disableSystem: settings.disableSystem,
    rundir: places.run,
    threads: datapathThreads,
    ebpf: ebpfHost,
    openKernelSystem,
    openRouteSocket,
    openDeviceControl,
    captureFiles,
    connectUdp,
    systemStatistics: () => systemStatistics(places.run),
    usage: processUsage,
    identity: identity(),
    started: () => daemon.ready(),
  });
  const finish = async (cleanup: boolean): Promise<void> => {
    await vswitchd.close(cleanup);
    platform.clock.after(10, () => {
      switchControl?.close();
      databaseControl?.close();
      server.close();
      daemon.exit(0);
    });
  };
  switchCommands.register("exit", "[--cleanup]", 0, 1, async (words, reply) => {
    await finish(words[0] === "--cleanup");
    reply.ok();
  });
  serverCommands(server, databaseCommands, () => void finish(false));
  daemon.atExit(() => server.close());
  vswitchd.start();
  return await new Promise<never>(() => {});
}

function makeFolder(folder: string): void {
  try {
    fs.mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw new Fatal(`${folder}: cannot be made (${describeError(error)})`);
  }
}

/** The database server's, beside the switch's that {@link Daemon} keeps: locked and moved into place. */
function secondPidfile(platform: Platform, pidfile: string): void {
  const lock = platform.process.files.tryLock(`${pidfile}.tmp`, 0o666);
  if ("holder" in lock) throw new Fatal(`${pidfile}: already running as pid ${lock.holder}, aborting`);
  fs.ftruncateSync(lock.fd, 0);
  fs.writeSync(lock.fd, `${platform.pid}\n`);
  fs.renameSync(`${pidfile}.tmp`, pidfile);
  platform.atExit(() => {
    try {
      fs.unlinkSync(pidfile);
    } catch {
      // Gone already.
    }
  });
}

/** Whatever is connected to is the server in this process. */
function intoServer(platform: Platform, server: OvsdbServer): StreamFactory {
  return {
    connect: (name) => {
      const [ours, theirs] = memoryPair(platform.clock, name);
      server.accept(theirs);
      return Promise.resolve(ours);
    },
    listen: (name, accept) => platform.streams.listen(name, accept),
  };
}

/** What the start script of the two daemons would write about this system. */
function identity(): Record<"ovs_version" | "db_version" | "system_type" | "system_version", string> {
  const release = new Map<string, string>();
  try {
    for (const line of fs.readFileSync("/etc/os-release", "utf8").split("\n")) {
      const match = /^(\w+)="?([^"]*)"?$/.exec(line);
      if (match !== null) release.set(match[1]!, match[2]!);
    }
  } catch {
    // Not every system says what it is.
  }
  return {
    ovs_version: VERSION,
    db_version: openVswitchSchema.version,
    system_type: release.get("ID") ?? os.type().toLowerCase(),
    system_version: release.get("VERSION_ID") ?? os.release(),
  };
}
