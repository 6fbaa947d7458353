/** `ovsdb-server`: the database daemon (ovsdb-server(1)). Options and calls only; the server is src/ovsdb/server.ts. */
import fs from "node:fs";
import path from "node:path";
import { runApplet, versionText } from "../src/lib/applet.ts";
import { helpOptions, tlsOptions } from "../src/lib/common-options.ts";
import { coverageStart } from "../src/lib/coverage.ts";
import { Daemon, daemonOptions, describeSignal } from "../src/lib/daemon.ts";
import { dirs } from "../src/lib/dirs.ts";
import { Exit, Fatal } from "../src/lib/errors.ts";
import { formatOptions, getopt, type OptionGroup } from "../src/lib/getopt.ts";
import { memoryCommands } from "../src/lib/memory.ts";
import type { Platform } from "../src/lib/platform.ts";
import { type RecordingOptions, recordedPlatform, recordingOptions } from "../src/lib/recording.ts";
import { TLS } from "../src/lib/stream-config.ts";
import { UnixctlCommands, UnixctlServer } from "../src/lib/unixctl.ts";
import { vlog, vlogStart } from "../src/lib/vlog.ts";
import { vlogOptions } from "../src/lib/vlog-options.ts";
import type { ActiveBackupState } from "../src/ovsdb/active-backup.ts";
import { ConfigFile } from "../src/ovsdb/config-file.ts";
import { nodeDisk } from "../src/ovsdb/disk-node.ts";
import { OvsdbError } from "../src/ovsdb/error.ts";
import { Relay } from "../src/ovsdb/relay.ts";
import { OvsdbServer } from "../src/ovsdb/server.ts";
import { serverCommands } from "../src/ovsdb/server-commands.ts";
import { keepTlsFromDatabase } from "../src/ovsdb/server-tls.ts";
import { realPlatform } from "./platform.ts";

const log = vlog("ovsdb_server");

interface Settings {
  readonly remotes: string[];
  run: string | undefined;
  unixctl: string | undefined;
  noDb: boolean;
  columnDiff: boolean;
  configFile: string | undefined;
  syncFrom: string | undefined;
  syncExclude: string | undefined;
  active: boolean;
}

export async function main(args: string[], program: string): Promise<number> {
  const platform = realPlatform();
  const status = await runApplet(platform, program, () => run(platform, program, args));
  // What was set up before something failed would keep the process.
  return platform.exit(status);
}

function ownOptions(settings: Settings): OptionGroup {
  return {
    title: "Options",
    options: [
      {
        long: "remote",
        arg: "required",
        metavar: "REMOTE",
        help: "connect or listen to REMOTE",
        set: (remote) => void settings.remotes.push(remote!),
      },
      {
        long: "run",
        arg: "required",
        metavar: "COMMAND",
        help: "run COMMAND as subprocess then exit",
        set: (command) => void (settings.run = command),
      },
      {
        long: "unixctl",
        arg: "required",
        metavar: "SOCKET",
        help: "override default control socket name",
        set: (path) => void (settings.unixctl = path),
      },
      { long: "no-dbs", help: "serve no database", set: () => void (settings.noDb = true) },
      {
        long: "config-file",
        arg: "required",
        metavar: "FILE",
        help: "read remotes and databases from FILE",
        set: (path) => void (settings.configFile = path),
      },
      {
        long: "sync-from",
        arg: "required",
        metavar: "SERVER",
        help: "sync DATABASE from active SERVER and start in backup mode",
        set: (source) => void (settings.syncFrom = source),
      },
      {
        long: "sync-exclude-tables",
        arg: "required",
        metavar: "DB:TABLE,...",
        help: "exclude the TABLE in DB from syncing",
        set: (tables) => void (settings.syncExclude = tables),
      },
      {
        long: "active",
        help: "with --sync-from, start in active mode and wait",
        set: () => void (settings.active = true),
      },
      {
        long: "disable-file-column-diff",
        help: "write changed columns whole, for servers before 2.15",
        set: () => void (settings.columnDiff = false),
      },
      // About clustered files alone.
      {
        long: "disable-file-no-data-conversion",
        help: "accepted; a conversion is written whole anyway",
        set: () => {},
      },
    ],
  };
}

async function run(world: Platform, program: string, args: string[]): Promise<number> {
  vlogStart(world, program);
  const settings: Settings = {
    remotes: [],
    run: undefined,
    unixctl: undefined,
    noDb: false,
    columnDiff: true,
    configFile: undefined,
    syncFrom: undefined,
    syncExclude: undefined,
    active: false,
  };
  const daemonGroup = daemonOptions(world, program);
  const tls = { ...TLS };
  const recording: RecordingOptions = { record: undefined, replay: undefined };
  const groups: OptionGroup[] = [
    ownOptions(settings),
    recordingOptions(recording),
    daemonGroup.group,
    tlsOptions(tls),
    vlogOptions(),
  ];
  const places = dirs(world.env);
  groups.push(
    helpOptions(
      () => {
        world.stdout(
          `${program}: Open vSwitch database server\nusage: ${program} [OPTIONS] [DATABASE...]\n` +
            `where each DATABASE is a database file (default: ${places.db}/conf.db).\n${formatOptions(groups)}`,
        );
        throw new Exit(0);
      },
      () => {
        world.stdout(versionText(program));
        throw new Exit(0);
      },
    ),
  );
  const words = getopt(program, groups, args);
  checkExclusive(settings, words);
  const withoutDb = settings.noDb || settings.configFile !== undefined;
  const paths = withoutDb ? [] : words.length > 0 ? words : [`${places.db}/conf.db`];

  const daemon = new Daemon(world, program, daemonGroup.values);
  const started = await daemon.start();
  if (started.role === "done") return started.status;
  const platform = recordedPlatform(world, recording, () => daemon.exit(0));

  const disk = nodeDisk(() => platform.process.files);
  const server = new OvsdbServer({
    clock: platform.clock,
    streams: platform.streams,
    disk,
    uuid: () => platform.random.uuid(),
    trimMemory: () => Bun.gc(true),
    collectGarbage: () => Bun.gc(false),
    columnDiff: settings.columnDiff,
  });
  const configFile =
    settings.configFile === undefined
      ? undefined
      : new ConfigFile(disk, path.resolve(places.db, settings.configFile));
  const config = new KeptConfig(platform, daemonGroup.values.monitor && configFile === undefined);
  const kept = config.read();
  const tlsComplaint = keepTlsFromDatabase(server, tls, TLS);
  openDatabases(server, kept?.databases ?? paths);
  for (const remote of kept?.remotes ?? settings.remotes) {
    const error = await server.addRemote(remote);
    if (error === undefined) continue;
    log.warn(`failed to configure remotes: ${error}`);
    throw new Fatal("server configuration failed");
  }
  if (configFile !== undefined && !(await configFile.load(server))) {
    throw new Fatal("server configuration failed");
  }
  const complaint = tlsComplaint();
  if (complaint !== undefined) {
    log.warn(`failed to configure SSL/TLS: ${complaint}`);
    throw new Fatal("server configuration failed");
  }
  const { syncFrom, syncExclude, active } = settings;
  const role = { source: syncFrom, excluded: syncExclude, backup: syncFrom !== undefined && !active };
  server.backup.restore(kept?.role ?? role);
  const commands = new UnixctlCommands(program);
  const unixctl = await UnixctlServer.listen(platform, program, commands, settings.unixctl);
  const finish = (status: number): void => {
    unixctl?.close();
    server.close();
    platform.clock.soon(() => daemon.exit(status));
  };
  serverCommands(server, commands, () => finish(0), configFile);
  server.onConfigChange = server.backup.onChange = () => config.write(server);
  coverageStart(platform.clock, commands);
  memoryCommands(commands, [(add) => server.memory(add)]);
  daemon.atExit(() => server.close());
  daemon.atExit(() => config.remove());
  daemon.ready();
  if (settings.run !== undefined) runChild(platform, program, settings.run, finish);
  else log.info(versionText(program).trim());
  return new Promise(() => {});
}

function checkExclusive(
  { configFile, syncFrom, syncExclude, active, remotes }: Settings,
  words: string[],
): void {
  if (configFile === undefined) return;
  if (remotes.length > 0) throw new Fatal("--config-file is mutually exclusive with --remote");
  if (syncFrom !== undefined || syncExclude !== undefined || active) {
    throw new Fatal("--config-file is mutually exclusive with --sync-from, --sync-exclude and --active");
  }
  if (words.length > 0) throw new Fatal("Databases should be specified in a config file");
}

interface Config {
  readonly databases: readonly string[];
  readonly remotes: readonly string[];
  readonly role: ActiveBackupState;
}

/** With --monitor: databases and remotes as ovs-appctl has changed them, for the daemon that follows a crash. */
class KeptConfig {
  readonly #path: string | undefined;

  constructor(platform: Platform, monitor: boolean) {
    // The parent is the monitor: the same for the daemon before and after.
    this.#path = monitor ? `${dirs(platform.env).run}/.ovsdb-server.${process.ppid}.config` : undefined;
  }

  read(): Config | undefined {
    try {
      return this.#path === undefined
        ? undefined
        : (JSON.parse(fs.readFileSync(this.#path, "utf8")) as Config);
    } catch {
      return undefined;
    }
  }

  write(server: OvsdbServer): void {
    if (this.#path === undefined) return;
    const databases = [...server.databases.values()].flatMap(({ name, file, relay }) =>
      relay instanceof Relay ? `relay:${name}:${relay.remotes}` : (file?.path ?? []),
    );
    const kept: Config = { databases, remotes: server.remoteSpecs, role: server.backup.state };
    fs.writeFileSync(this.#path, JSON.stringify(kept), { mode: 0o600 });
  }

  remove(): void {
    if (this.#path !== undefined) fs.rmSync(this.#path, { force: true });
  }
}

function openDatabases(server: OvsdbServer, paths: readonly string[]): void {
  const seen = new Set<string>();
  for (const path of paths) {
    if (seen.has(path)) {
      log.warn(`Duplicate database configuration: ${path}`);
      continue;
    }
    seen.add(path);
    try {
      server.openDatabase(path);
    } catch (error) {
      if (!(error instanceof OvsdbError)) throw error;
      log.warn(`failed to open database '${path}': ${error.message}`);
      log.warn("failed to configure databases");
      throw new Fatal("server configuration failed");
    }
  }
}

/** --run: the server lives as long as the command does. */
function runChild(
  platform: Platform,
  program: string,
  command: string,
  finish: (status: number) => void,
): void {
  const { spawn } = process.getBuiltinModule("node:child_process");
  const child = spawn("/bin/sh", ["-c", command], { stdio: "inherit" });
  child.on("exit", (status, signal) => {
    if (status === 0) {
      finish(0);
      return;
    }
    const how = signal === null ? `exit status ${status}` : `killed (${describeSignal(signal)})`;
    platform.stderr(`${program}: ${command}: child exited, ${how}\n`);
    finish(1);
  });
}
