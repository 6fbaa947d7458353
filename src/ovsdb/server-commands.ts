/** What ovs-appctl can ask of a database server: `ovsdb-server/…` (ovsdb-server(1) "Runtime Management Commands"). */
import type { UnixctlCallback, UnixctlCommands } from "../lib/unixctl.ts";
import { OvsdbError } from "./error.ts";
import type { OvsdbServer } from "./server.ts";

type Row = readonly [name: string, usage: string, min: number, max: number, run: UnixctlCallback];

/** `exit` is called after the reply to "exit" has been given. */
export function serverCommands(server: OvsdbServer, commands: UnixctlCommands, exit: () => void): void {
  const notBuilt: UnixctlCallback = (_args, reply) => reply.error("not implemented");
  const logged = new Set<string>();
  const table: readonly Row[] = [
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
      ([name], reply) => {
        if (name?.startsWith("_") === true) {
          reply.error("cannot compact built-in databases");
          return;
        }
        if (name !== undefined && !server.databases.has(name)) {
          reply.error("no database by that name");
          return;
        }
        const errors: string[] = [];
        for (const served of server.databases.values()) {
          if (name === undefined ? served.name.startsWith("_") : served.name !== name) continue;
          try {
            server.compact(served);
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
    ["ovsdb-server/sync-status", "", 0, 0, (_args, reply) => reply.ok("state: active\n")],
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
    ["ovsdb-server/get-active-ovsdb-server", "", 0, 0, (_args, reply) => reply.ok()],
    ["ovsdb-server/get-sync-exclude-tables", "", 0, 0, (_args, reply) => reply.ok()],
    ["ovsdb-server/set-active-ovsdb-server", "", 1, 1, notBuilt],
    ["ovsdb-server/set-active-ovsdb-server-probe-interval", "", 1, 1, notBuilt],
    ["ovsdb-server/set-relay-source-probe-interval", "", 1, 1, notBuilt],
    ["ovsdb-server/set-sync-exclude-tables", "", 0, 1, notBuilt],
    ["ovsdb-server/connect-active-ovsdb-server", "", 0, 0, notBuilt],
    ["ovsdb-server/disconnect-active-ovsdb-server", "", 0, 0, notBuilt],
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
      (_args, reply) => reply.error("Configuration file was not specified on command line"),
    ],
    [
      "ovsdb-server/memory-trim-on-compaction",
      "on|off",
      1,
      1,
      ([word], reply) => {
        // The engine gives memory back by itself.
        if (word === "on" || word === "off") reply.ok();
        else reply.error("invalid argument");
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
  for (const [name, usage, min, max, run] of table) commands.register(name, usage, min, max, run);
}

function lines(words: readonly string[]): string {
  return words.map((word) => `${word}\n`).join("");
}
