/** What ovs-appctl can ask of a database server: `ovsdb-server/…` (ovsdb-server(1) "Runtime Management Commands"). */
import type { UnixctlCallback, UnixctlCommands } from "../lib/unixctl.ts";
import { replicationCommands } from "./active-backup.ts";
import type { ConfigFile } from "./config-file.ts";
import { OvsdbError } from "./error.ts";
import type { OvsdbServer } from "./server.ts";

type Row = readonly [name: string, usage: string, min: number, max: number, run: UnixctlCallback];

/** What a configuration file says instead, where there is one. */
const CONFIGURING: ReadonlySet<string> = new Set(
  [
    "set-active-ovsdb-server",
    "connect-active-ovsdb-server",
    "disconnect-active-ovsdb-server",
    "set-active-ovsdb-server-probe-interval",
    "set-relay-source-probe-interval",
    "set-sync-exclude-tables",
    "add-db",
    "remove-db",
    "add-remote",
    "remove-remote",
  ].map((name) => `ovsdb-server/${name}`),
);

/** `exit` is called after the reply to "exit" has been given. */
export function serverCommands(
  server: OvsdbServer,
  commands: UnixctlCommands,
  exit: () => void,
  configFile?: ConfigFile,
): void {
  const logged = new Set<string>();
  const table: readonly Row[] = [
    ...replicationCommands(server),
    [
      "exit",
      "",
      0,
      0,
      (_args, reply) => {
        reply.ok();
        exit();
      },
    ],
    [
      "ovsdb-server/list-dbs",
      "",
      0,
      0,
      (_args, reply) => reply.ok(lines([...server.databases.keys()].sort())),
    ],
    [
      "ovsdb-server/add-db",
      "DB",
      1,
      1,
      ([path], reply) => {
        try {
          server.openDatabase(path!);
          reply.ok();
        } catch (error) {
          if (!(error instanceof OvsdbError)) throw error;
          reply.error(error.message);
        }
      },
    ],
    [
      "ovsdb-server/remove-db",
      "DB",
      1,
      1,
      ([name], reply) => {
        if (name!.startsWith("_")) reply.error("Cannot remove reserved database.");
        else if (server.removeDatabase(name!)) reply.ok();
        else reply.error("Failed to find the database.");
      },
    ],
    ["ovsdb-server/list-remotes", "", 0, 0, (_args, reply) => reply.ok(lines(server.remoteSpecs))],
    [
      "ovsdb-server/add-remote",
      "REMOTE",
      1,
      1,
      async ([spec], reply) => {
        const error = await server.addRemote(spec!);
        if (error === undefined) reply.ok();
        else reply.error(error);
      },
    ],
    [
      "ovsdb-server/remove-remote",
      "REMOTE",
      1,
      1,
      ([spec], reply) => {
        if (server.removeRemote(spec!)) reply.ok();
        else reply.error("no such remote");
      },
    ],
    [
      "ovsdb-server/compact",
      "",
      0,
      1,
      async ([name], reply) => {
        if (name?.startsWith("_") === true) {
          reply.error("cannot compact built-in databases");
          return;
        }
        if (name !== undefined && !server.databases.has(name)) {
          reply.error("no database by that name");
          return;
        }
        const errors: string[] = [];
        for (const served of [...server.databases.values()]) {
          if (name === undefined ? served.name.startsWith("_") : served.name !== name) continue;
          try {
            await server.compact(served);
          } catch (error) {
            if (!(error instanceof OvsdbError)) throw error;
            errors.push(error.message);
          }
        }
        if (errors.length === 0) reply.ok();
        else reply.error(errors.join("\n"));
      },
    ],
    [
      "ovsdb-server/reconnect",
      "",
      0,
      0,
      (_args, reply) => {
        server.reconnect();
        reply.ok();
      },
    ],
    [
      "ovsdb-server/get-db-storage-status",
      "DB",
      1,
      1,
      ([name], reply) => {
        if (server.databases.has(name!)) reply.ok("status: ok\n");
        else reply.error("Failed to find the database.");
      },
    ],
    [
      "ovsdb-server/perf-counters-show",
      "",
      0,
      0,
      (_args, reply) => reply.ok("performance counter is not supported on this platform\n"),
    ],
    ["ovsdb-server/perf-counters-clear", "", 0, 0, (_args, reply) => reply.ok()],
    [
      "ovsdb-server/disable-monitor-cond",
      "",
      0,
      0,
      (_args, reply) => {
        server.disableConditionalMonitors();
        reply.ok();
      },
    ],
    [
      "ovsdb-server/reload",
      "",
      0,
      0,
      async (_args, reply) => {
        if (configFile === undefined) reply.error("Configuration file was not specified on command line");
        else if (await configFile.load(server)) reply.ok();
        else reply.error("Configuration failed.  See the log file for details.");
      },
    ],
    [
      "ovsdb-server/memory-trim-on-compaction",
      "on|off",
      1,
      1,
      ([word], reply) => {
        if (word !== "on" && word !== "off") {
          reply.error("invalid argument");
          return;
        }
        server.trimsOnCompaction = word === "on";
        reply.ok();
      },
    ],
    [
      "ovsdb-server/tlog-list",
      "",
      0,
      0,
      (_args, reply) => {
        let text =
          "database        table                       logging\n--------        -----                       -------\n";
        for (const name of [...server.databases.keys()].sort()) {
          text += `${name.padEnd(16)} \n`;
          for (const tableName of [...server.databases.get(name)!.database.tables.keys()].sort()) {
            text += `                ${tableName.padEnd(27)} ${logged.has(`${name}:${tableName}`) ? "ON" : "OFF"}\n`;
          }
        }
        reply.ok(text);
      },
    ],
    [
      "ovsdb-server/tlog-set",
      "DB:TABLE on|off",
      2,
      2,
      ([what, word], reply) => {
        const [name, tableName] = what!.split(":");
        if (tableName === undefined) reply.error("invalid DB:TABLE argument");
        else if (!server.databases.has(name!)) reply.error("no such database");
        else if (!server.databases.get(name!)!.database.tables.has(tableName)) reply.error("no such table");
        else if (word !== "on" && word !== "off") reply.error("invalid command argument");
        else {
          if (word === "on") logged.add(what!);
          else logged.delete(what!);
          server.logTables(logged);
          reply.ok();
        }
      },
    ],
  ];
  const managed: UnixctlCallback = (_args, reply) =>
    reply.error(`Update the ${configFile?.path} and use ovsdb-server/reload instead`);
  for (const [name, usage, min, max, run] of table) {
    const refused = configFile !== undefined && CONFIGURING.has(name);
    commands.register(name, usage, min, max, refused ? managed : run);
  }
}

function lines(words: readonly string[]): string {
  return words.map((word) => `${word}\n`).join("");
}
