/** `ovsdb-client`: talks to a database server (ovsdb-client(1)). Options, arguments and dispatch; the commands are beside. */
import { runApplet, versionText } from "../src/lib/applet.ts";
import { helpOptions, tlsOptions } from "../src/lib/common-options.ts";
import { daemonOptions, isRespawned } from "../src/lib/daemon.ts";
import { dirs } from "../src/lib/dirs.ts";
import { describeError, Exit, Fatal } from "../src/lib/errors.ts";
import { formatOptions, getopt, type OptionGroup } from "../src/lib/getopt.ts";
import { formatJson, type Json } from "../src/lib/json.ts";
import { JsonRpc, JsonRpcFailure } from "../src/lib/jsonrpc.ts";
import type { Platform } from "../src/lib/platform.ts";
import { type RecordingOptions, recordedPlatform, recordingOptions } from "../src/lib/recording.ts";
import type { Stream } from "../src/lib/stream.ts";
import { TLS } from "../src/lib/stream-config.ts";
import { isActive, isPassive } from "../src/lib/stream-name.ts";
import { tableOptions, tableStyle } from "../src/lib/table.ts";
import { armTimeout, defaultTimeout, parseTimeout } from "../src/lib/timeout.ts";
import { vlogStart } from "../src/lib/vlog.ts";
import { vlogOptions } from "../src/lib/vlog-options.ts";
import { OvsdbError } from "../src/ovsdb/error.ts";
import { backup, restore } from "./ovsdb-client/backup.ts";
import type { Client, Command } from "./ovsdb-client/client.ts";
import { dump, query, transact } from "./ovsdb-client/data.ts";
import { lockCommand } from "./ovsdb-client/lock.ts";
import { monitor, monitorCond, monitorCondSince } from "./ovsdb-client/monitor.ts";
import {
  convert,
  getSchema,
  getSchemaCksum,
  getSchemaVersion,
  listColumns,
  listDbs,
  listTables,
  needsConversion,
} from "./ovsdb-client/schema.ts";
import { wait } from "./ovsdb-client/wait.ts";
import { realPlatform } from "./platform.ts";

export const COMMANDS: Readonly<Record<string, Command>> = {
  "list-dbs": { needs: "server", min: 0, max: 0, usage: "[SERVER]", run: listDbs },
  "get-schema": { needs: "database", min: 0, max: 0, usage: "[SERVER] [DATABASE]", run: getSchema },
  "get-schema-version": {
    needs: "database",
    min: 0,
    max: 0,
    usage: "[SERVER] [DATABASE]",
    run: getSchemaVersion,
  },
  "get-schema-cksum": {
    needs: "database",
    min: 0,
    max: 0,
    usage: "[SERVER] [DATABASE]",
    run: getSchemaCksum,
  },
  "list-tables": { needs: "database", min: 0, max: 0, usage: "[SERVER] [DATABASE]", run: listTables },
  "list-columns": {
    needs: "database",
    min: 0,
    max: 1,
    usage: "[SERVER] [DATABASE] [TABLE]",
    run: listColumns,
  },
  transact: { needs: "server", min: 1, max: 1, usage: "[SERVER] TRANSACTION", run: transact },
  query: { needs: "server", min: 1, max: 1, usage: "[SERVER] TRANSACTION", run: query },
  dump: {
    needs: "database",
    min: 0,
    max: Infinity,
    usage: "[SERVER] [DATABASE] [TABLE [COLUMN]...]",
    run: dump,
  },
  monitor: {
    needs: "database",
    min: 1,
    max: Infinity,
    usage: "[SERVER] [DATABASE] TABLE [COLUMN,...]... | ALL",
    run: monitor,
  },
  "monitor-cond": {
    needs: "database",
    min: 2,
    max: 3,
    usage: "[SERVER] [DATABASE] CONDITION TABLE [COLUMN,...]",
    run: monitorCond,
  },
  "monitor-cond-since": {
    needs: "database",
    min: 2,
    max: Infinity,
    usage: "[SERVER] [DATABASE] [LASTID] CONDITION TABLE [COLUMN,...]...",
    run: monitorCondSince,
  },
  wait: { needs: "name", min: 2, max: 2, usage: "[SERVER] DATABASE STATE", run: wait },
  convert: { needs: "server", min: 1, max: 1, usage: "[SERVER] SCHEMA", run: convert },
  "needs-conversion": { needs: "server", min: 1, max: 1, usage: "[SERVER] SCHEMA", run: needsConversion },
  backup: { needs: "database", min: 0, max: 0, usage: "[SERVER] [DATABASE] > SNAPSHOT", run: backup },
  restore: { needs: "database", min: 0, max: 0, usage: "[SERVER] [DATABASE] < SNAPSHOT", run: restore },
  lock: { needs: "server", min: 1, max: 1, usage: "[SERVER] LOCK", run: lockCommand("lock") },
  steal: { needs: "server", min: 1, max: 1, usage: "[SERVER] LOCK", run: lockCommand("steal") },
  unlock: { needs: "server", min: 1, max: 1, usage: "[SERVER] LOCK", run: lockCommand("unlock") },
};

export async function main(args: string[], program: string): Promise<number> {
  const platform = realPlatform();
  const status = await runApplet(platform, program, async () => {
    try {
      return await run(platform, program, args);
    } catch (error) {
      if (error instanceof OvsdbError) throw new Fatal(error.message);
      throw error;
    }
  });
  // A connection may still be open.
  return platform.exit(status);
}

async function run(platform: Platform, program: string, args: string[]): Promise<number> {
  vlogStart(platform, program);
  const settings = {
    force: false,
    timestamp: false,
    timeoutSec: undefined as number | undefined,
    changeAware: true,
  };
  const style = tableStyle();
  const daemonGroup = daemonOptions(platform, program);
  const recording: RecordingOptions = { record: undefined, replay: undefined };
  const groups: OptionGroup[] = [
    {
      title: "Options",
      options: [
        {
          long: "force",
          help: "restore although the schemas differ",
          set: () => void (settings.force = true),
        },
        {
          long: "timestamp",
          help: "print a time before each table of monitor",
          set: () => void (settings.timestamp = true),
        },
        { long: "no-leader-only", help: "accept any server of a cluster", set: () => {} },
        { long: "leader-only", help: "accept the leader of a cluster only (default)", set: () => {} },
        {
          long: "db-change-aware",
          help: "stay connected when databases come and go (default)",
          set: () => void (settings.changeAware = true),
        },
        {
          long: "no-db-change-aware",
          help: "do not say so to the server",
          set: () => void (settings.changeAware = false),
        },
        {
          short: "t",
          long: "timeout",
          arg: "required",
          metavar: "SECS",
          help: "give up after SECS seconds",
          set: (value) => void (settings.timeoutSec = parseTimeout(value!)),
        },
      ],
    },
    tableOptions(style),
    recordingOptions(recording),
    daemonGroup.group,
    tlsOptions(TLS),
    vlogOptions(),
  ];
  const help = (): never => {
    const list = Object.entries(COMMANDS).map(([name, { usage }]) => `  ${name} ${usage}`);
    platform.stdout(
      `${program}: Open vSwitch database JSON-RPC client\nusage: ${program} [OPTIONS] COMMAND [ARG...]\n` +
        `${list.join("\n")}\nThe default SERVER is ${defaultServer(platform)}, the default DATABASE is Open_vSwitch.\n${formatOptions(groups)}`,
    );
    throw new Exit(0);
  };
  groups.push(
    helpOptions(help, () => {
      platform.stdout(versionText(program));
      throw new Exit(0);
    }),
  );
  const [name, ...words] = getopt(program, groups, args);
  if (name === undefined) throw new Fatal("missing command name; use --help for help");
  if (name === "help") help();
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name]! : undefined;
  if (command === undefined) throw new Fatal(`unknown command '${name}'; use --help for help`);
  armTimeout(platform, settings.timeoutSec ?? defaultTimeout(platform));
  // The process that only starts the one in the background must not write where that one does, nor end with it.
  const isCaller = daemonGroup.values.detach && !isRespawned(platform);
  if (isCaller) recording.record = undefined;
  const ended = isCaller ? () => {} : () => platform.exit(0);
  const client = await prepare(recordedPlatform(platform, recording, ended), program, name, command, words);
  const status = await command.run({ ...client, style, ...settings, daemon: daemonGroup.values });
  client.rpc?.close();
  return status;
}

function defaultServer(platform: Platform): string {
  return `unix:${dirs(platform.env).run}/db.sock`;
}

/** Finds server and database among the words, and connects. */
async function prepare(
  platform: Platform,
  program: string,
  name: string,
  command: Command,
  words: string[],
): Promise<Omit<Client, "style" | "force" | "timestamp" | "changeAware" | "daemon">> {
  let server = defaultServer(platform);
  const isServer = (word: string): boolean => command.needs === "name" || /^[a-z]+:/.test(word);
  if (words.length > command.min && isServer(words[0]!)) server = words.shift()!;
  const client = {
    platform,
    program,
    server,
    args: words,
    rpc: undefined as unknown as JsonRpc,
    database: "",
  };
  if (command.needs === "name") {
    if (words.length < command.min || words.length > command.max) throw badSyntax(name);
    return client;
  }
  client.rpc = await connect(platform, server);
  if (command.needs === "server") {
    if (words.length < command.min || words.length > command.max) throw badSyntax(name);
    return client;
  }
  const known = (await client.rpc.transact("list_dbs", []).catch(transactionError)) as readonly string[];
  if (words.length > command.min && known.includes(words[0]!)) client.database = words.shift()!;
  else if (known.includes("Open_vSwitch")) client.database = "Open_vSwitch";
  const isWrong = words.length < command.min || words.length > command.max;
  if (client.database === "") {
    const users = known.filter((candidate) => !candidate.startsWith("_"));
    if (isWrong) throw badSyntax(name);
    if (users.length !== 1) {
      throw new Fatal(`no default database for '${name}' command, please specify a database name`);
    }
    client.database = users[0]!;
  }
  if (isWrong) throw badSyntax(name);
  return client;
}

function badSyntax(name: string): Fatal {
  return new Fatal(`invalid syntax for '${name}' (use --help for help)`);
}

/** One of several servers, or a passive name on which the server is to call. */
async function connect(platform: Platform, server: string): Promise<JsonRpc> {
  let failure: unknown;
  const names = server.split(",");
  for (const name of names) {
    try {
      const stream = isPassive(name)
        ? await listenOnce(platform, name)
        : await platform.streams.connect(name);
      const rpc = new JsonRpc(stream);
      rpc.handler = {
        message: (message) => {
          if (message.type === "request" && message.method === "echo") rpc.reply(message.id, message.params);
        },
        close: () => {},
      };
      return rpc;
    } catch (error) {
      failure = error;
    }
  }
  const known = names.every((name) => isActive(name) || isPassive(name));
  throw new Fatal(`failed to connect ${known ? "" : "or listen "}to "${server}" (${describeError(failure)})`);
}

function listenOnce(platform: Platform, name: string): Promise<Stream> {
  return new Promise((resolve, reject) => {
    const listening = platform.streams.listen(name, (stream) => {
      void listening.then((server) => server.close());
      resolve(stream);
    });
    listening.catch(reject);
  });
}

/** What the original says about an error reply, or a connection lost. */
function transactionError(error: unknown): never {
  if (error instanceof JsonRpcFailure) {
    throw new Fatal(`transaction returned error: ${formatJson(error.error as Json, { sort: true })}`);
  }
  throw new Fatal(`transaction failed (${describeError(error)})`);
}
