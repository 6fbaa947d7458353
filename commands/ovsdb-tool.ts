/** `ovsdb-tool`: works on database files directly (ovsdb-tool(1)). */
import { runApplet, VERSION, versionText } from "../src/lib/applet.ts";
import { helpOptions } from "../src/lib/common-options.ts";
import { dirs } from "../src/lib/dirs.ts";
import { Exit, Fatal } from "../src/lib/errors.ts";
import { formatOptions, getopt, type OptionGroup } from "../src/lib/getopt.ts";
import type { Json } from "../src/lib/json.ts";
import type { Platform } from "../src/lib/platform.ts";
import { vlog, vlogStart } from "../src/lib/vlog.ts";
import { vlogOptions } from "../src/lib/vlog-options.ts";
import { ClusterFault, checkCluster } from "../src/ovsdb/cluster-check.ts";
import { clusteredDatabase, readClusterHeader, showClusterLog } from "../src/ovsdb/cluster-file.ts";
import type { ClusterHeader } from "../src/ovsdb/cluster-record.ts";
import { convertDatabase } from "../src/ovsdb/convert.ts";
import { createFile, DatabaseFile, loadFile, readSchema, writeNewFile } from "../src/ovsdb/database-file.ts";
import type { Disk } from "../src/ovsdb/disk.ts";
import { nodeDisk } from "../src/ovsdb/disk-node.ts";
import { OvsdbError } from "../src/ovsdb/error.ts";
import { execute, operationsOf } from "../src/ovsdb/execute.ts";
import { type FileContext, readFile } from "../src/ovsdb/file-context.ts";
import { sortedText } from "../src/ovsdb/json-text.ts";
import { fileMagic } from "../src/ovsdb/log.ts";
import { RoleCheck } from "../src/ovsdb/rbac.ts";
import { type DatabaseSchema, equalSchemas, isVersion } from "../src/ovsdb/schema.ts";
import { showLog } from "../src/ovsdb/show-log.ts";
import type { Database } from "../src/ovsdb/table.ts";
import { parseArgument, readSchemaFile } from "./ovsdb-input.ts";
import { realPlatform } from "./platform.ts";

interface Tool {
  readonly platform: Platform;
  readonly disk: Disk;
  readonly context: FileContext;
  readonly defaultDatabase: string;
  readonly defaultSchema: string;
  more: number;
  role: string | undefined;
}

interface Command {
  readonly min: number;
  readonly max: number;
  readonly usage: string;
  readonly run: (tool: Tool, args: readonly string[]) => number;
}

export function main(args: string[], program: string): Promise<number> {
  const platform = realPlatform();
  return runApplet(platform, program, () => {
    try {
      return run(platform, program, args);
    } catch (error) {
      if (error instanceof OvsdbError) throw new Fatal(error.message);
      throw error;
    }
  });
}

function run(platform: Platform, program: string, args: string[]): number {
  vlogStart(platform, program);
  const places = dirs(platform.env);
  const disk = nodeDisk(() => platform.process.files);
  const tool: Tool = {
    platform,
    disk,
    context: {
      disk,
      clock: platform.clock,
      uuid: () => platform.random.uuid(),
      onLocked: (file, holder) => {
        vlog("lockfile").warn(`${file}: cannot lock file because it is already locked by pid ${holder}`);
      },
      onLockFailed: (file, why) => {
        vlog("lockfile").warn(`${file}: failed to open lock file: ${why}`);
        vlog("lockfile").warn(`${file}: failed to lock file: ${why}`);
      },
    },
    defaultDatabase: `${places.db}/conf.db`,
    defaultSchema: `${places.pkgdata}/vswitch.ovsschema`,
    more: 0,
    role: undefined,
  };
  const words = getopt(program, options(tool, program), args);
  const [name, ...rest] = words;
  if (name === undefined) throw new Fatal("missing command name; use --help for help");
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name]! : undefined;
  if (command === undefined) throw new Fatal(`unknown command '${name}'; use --help for help`);
  if (rest.length < command.min) {
    throw new Fatal(`'${name}' command requires at least ${command.min} arguments`);
  }
  if (rest.length > command.max) {
    throw new Fatal(`'${name}' command takes at most ${command.max} arguments`);
  }
  return command.run(tool, rest);
}

function options(tool: Tool, program: string): OptionGroup[] {
  const { platform } = tool;
  const groups: OptionGroup[] = [
    {
      title: "Options",
      options: [
        {
          short: "m",
          long: "more",
          help: "show-log: more detail, twice for most",
          set: () => {
            tool.more++;
          },
        },
        {
          long: "rbac-role",
          arg: "required",
          metavar: "ROLE",
          help: "RBAC role for query and transact",
          set: (role) => {
            tool.role = role;
          },
        },
        { long: "cid", arg: "required", metavar: "UUID", help: "cluster ID for join-cluster", set: () => {} },
        { long: "election-timer", arg: "required", metavar: "MS", help: "for create-cluster", set: () => {} },
      ],
    },
    vlogOptions(),
  ];
  const help = (): never => {
    const commands = Object.entries(COMMANDS).map(([name, { usage }]) => `  ${name} ${usage}`.trimEnd());
    platform.stdout(
      `${program}: works on Open vSwitch database files\nusage: ${program} [OPTIONS] COMMAND [ARG...]\n` +
        `${commands.join("\n")}\nThe default DB is ${tool.defaultDatabase}.\nThe default SCHEMA is ${tool.defaultSchema}.\n${formatOptions(groups)}`,
    );
    throw new Exit(0);
  };
  const version = (): never => {
    platform.stdout(versionText(program));
    throw new Exit(0);
  };
  groups.push(helpOptions(help, version));
  return groups;
}

/** All of a file, which must be whole. */
function load(tool: Tool, path: string, schema?: DatabaseSchema): Database {
  const { database, torn } = loadFile(tool.disk, path, tool.context.uuid, schema);
  if (torn !== undefined) throw torn;
  return database;
}

function printLine(tool: Tool, text: string): number {
  tool.platform.stdout(`${text}\n`);
  return 0;
}

function transact(tool: Tool, args: readonly string[], writable: boolean): number {
  const path = args.length > 1 ? args[0]! : tool.defaultDatabase;
  const file = writable ? new DatabaseFile(tool.context, path) : undefined;
  const database = file?.database ?? load(tool, path);
  try {
    if (file?.torn !== undefined) throw file.torn;
    const params = parseArgument(args[args.length - 1]!);
    return printLine(tool, runTransaction(tool, database, file, params));
  } finally {
    file?.close();
  }
}

function runTransaction(
  tool: Tool,
  database: Database,
  file: DatabaseFile | undefined,
  params: Json,
): string {
  try {
    const outcome = execute(
      {
        database,
        uuid: tool.context.uuid,
        readOnly: false,
        locks: { holdsLock: () => false },
        elapsed: 0,
        access: tool.role === undefined ? undefined : new RoleCheck(tool.role, undefined),
      },
      operationsOf(params, database),
    );
    if (outcome.kind === "wait") return '[{"details":"triggers not supported","error":"not supported"}]';
    const { results, transaction } = outcome;
    if (transaction !== undefined && !transaction.isEmpty) {
      try {
        file?.append(transaction);
        transaction.finish();
      } catch (error) {
        if (!(error instanceof OvsdbError)) throw error;
        results.push(sortedText(error.toJson()));
      }
    }
    return `[${results.join(",")}]`;
  } catch (error) {
    if (error instanceof OvsdbError) return sortedText(error.toJson());
    throw error;
  }
}

/** Writes `make`'s database in place of the file at `path`, or into a new file `target`. */
function rewrite(
  tool: Tool,
  path: string,
  target: string | undefined,
  comment: string,
  make: (database: Database) => Database,
): number {
  if (target !== undefined && target !== path) {
    const database = make(load(tool, path));
    writeNewFile(tool.context, target, database, comment);
    return 0;
  }
  const file = new DatabaseFile(tool.context, path);
  try {
    if (file.torn !== undefined) throw file.torn;
    file.replace(make(file.database), comment);
  } finally {
    file.close();
  }
  return 0;
}

function notBuilt(_tool: Tool): number {
  throw new Fatal("not implemented");
}

function isClustered(tool: Tool, path: string): boolean {
  return fileMagic(tool.disk, path) === "CLUSTER";
}

/** The db-* commands that only clustered files answer. */
function clusterFact(fact: (header: ClusterHeader) => string | undefined): Command["run"] {
  return (tool, [path]) => {
    if (!isClustered(tool, path!)) throw new Fatal(`${path}: not a clustered database`);
    const text = fact(readClusterHeader(tool.disk, path!));
    if (text !== undefined) return printLine(tool, text);
    tool.platform.stderr(`${path}: cluster ID not yet known\n`);
    return 2;
  };
}

function databaseName(tool: Tool, path: string): string {
  if (isClustered(tool, path)) return readClusterHeader(tool.disk, path).name;
  return readSchema(tool.disk, path).name;
}

function toStandalone(tool: Tool, [target, path]: readonly string[]): number {
  if (!isClustered(tool, path!)) throw new Fatal("Database is not clustered db.");
  const database = clusteredDatabase(tool.disk, path!, tool.context.uuid);
  writeNewFile(tool.context, target!, database, `made of ${path} by ovsdb-tool ${VERSION}`);
  return 0;
}

function checkClusterFiles(tool: Tool, paths: readonly string[]): number {
  try {
    checkCluster(tool.disk, paths, (line) => void printLine(tool, line));
    return 0;
  } catch (error) {
    if (error instanceof ClusterFault) throw new Fatal(error.message);
    throw error;
  }
}

function compareVersions(_tool: Tool, [a, op, b]: readonly string[]): number {
  for (const version of [a!, b!]) {
    if (!isVersion(version)) throw new Fatal(`${version}: not an OVSDB version number in format x.y.z`);
  }
  const [left, right] = [a!.split(".").map(Number), b!.split(".").map(Number)];
  let order = 0;
  for (let i = 0; i < 3 && order === 0; i++) order = Math.sign(left[i]! - right[i]!);
  const holds: Record<string, boolean> = {
    "<": order < 0,
    "<=": order <= 0,
    "==": order === 0,
    ">=": order >= 0,
    ">": order > 0,
    "!=": order !== 0,
  };
  if (!Object.hasOwn(holds, op!)) throw new Fatal(`${op}: not a relational operator`);
  return holds[op!] ? 0 : 2;
}

const DB = "[DB]";
const SCHEMA = "[SCHEMA]";

export const COMMANDS: Readonly<Record<string, Command>> = {
  create: {
    min: 0,
    max: 2,
    usage: "[DB [SCHEMA]]",
    run: (tool, [path, schema]) => {
      createFile(tool.context, path ?? tool.defaultDatabase, readSchemaFile(schema ?? tool.defaultSchema));
      return 0;
    },
  },
  "create-cluster": { min: 3, max: 3, usage: "DB CONTENTS LOCAL", run: notBuilt },
  "join-cluster": { min: 4, max: Infinity, usage: "DB NAME LOCAL REMOTE...", run: notBuilt },
  "cluster-to-standalone": { min: 2, max: 2, usage: "DB CLUSTERDB", run: toStandalone },
  "check-cluster": { min: 1, max: Infinity, usage: "DB...", run: checkClusterFiles },
  compact: {
    min: 0,
    max: 2,
    usage: "[DB [TARGET]]",
    run: (tool, [path, target]) =>
      rewrite(
        tool,
        path ?? tool.defaultDatabase,
        target,
        `compacted by ovsdb-tool ${VERSION}`,
        (database) => database,
      ),
  },
  convert: {
    min: 0,
    max: 3,
    usage: "[DB [SCHEMA [TARGET]]]",
    run: (tool, [path, schemaPath, target]) => {
      const schema = readSchemaFile(schemaPath ?? tool.defaultSchema);
      return rewrite(
        tool,
        path ?? tool.defaultDatabase,
        target,
        `converted by ovsdb-tool ${VERSION}`,
        (database) => convertDatabase(database, schema, tool.context.uuid),
      );
    },
  },
  "needs-conversion": {
    min: 0,
    max: 2,
    usage: "[DB [SCHEMA]]",
    run: (tool, [path, schemaPath]) => {
      const have = readSchema(tool.disk, path ?? tool.defaultDatabase);
      const want = readSchemaFile(schemaPath ?? tool.defaultSchema);
      return printLine(tool, equalSchemas(have, want) ? "no" : "yes");
    },
  },
  "db-name": {
    min: 0,
    max: 1,
    usage: DB,
    run: (tool, [path]) => printLine(tool, databaseName(tool, path ?? tool.defaultDatabase)),
  },
  "db-version": {
    min: 0,
    max: 1,
    usage: DB,
    run: (tool, [path]) => printLine(tool, readSchema(tool.disk, path ?? tool.defaultDatabase).version),
  },
  "db-cksum": {
    min: 0,
    max: 1,
    usage: DB,
    run: (tool, [path]) => printLine(tool, readSchema(tool.disk, path ?? tool.defaultDatabase).cksum),
  },
  "db-cid": { min: 1, max: 1, usage: "DB", run: clusterFact(({ clusterId }) => clusterId) },
  "db-sid": { min: 1, max: 1, usage: "DB", run: clusterFact(({ serverId }) => serverId) },
  "db-local-address": { min: 1, max: 1, usage: "DB", run: clusterFact(({ localAddress }) => localAddress) },
  "db-is-clustered": {
    min: 1,
    max: 1,
    usage: "DB",
    run: (tool, [path]) => (isClustered(tool, path!) ? 0 : 2),
  },
  "db-is-standalone": {
    min: 1,
    max: 1,
    usage: "DB",
    run: (tool, [path]) => (isClustered(tool, path!) ? 2 : 0),
  },
  "schema-name": {
    min: 0,
    max: 1,
    usage: SCHEMA,
    run: (tool, [path]) => printLine(tool, readSchemaFile(path ?? tool.defaultSchema).name),
  },
  "schema-version": {
    min: 0,
    max: 1,
    usage: SCHEMA,
    run: (tool, [path]) => printLine(tool, readSchemaFile(path ?? tool.defaultSchema).version),
  },
  "schema-cksum": {
    min: 0,
    max: 1,
    usage: SCHEMA,
    run: (tool, [path]) => printLine(tool, readSchemaFile(path ?? tool.defaultSchema).cksum),
  },
  "compare-versions": { min: 3, max: 3, usage: "A OP B", run: compareVersions },
  query: { min: 1, max: 2, usage: "[DB] TRANSACTION", run: (tool, args) => transact(tool, args, false) },
  transact: { min: 1, max: 2, usage: "[DB] TRANSACTION", run: (tool, args) => transact(tool, args, true) },
  "show-log": {
    min: 0,
    max: 1,
    usage: DB,
    run: (tool, [path]) => {
      const name = path ?? tool.defaultDatabase;
      const show = isClustered(tool, name) ? showClusterLog : showLog;
      show(readFile(tool.disk, name), name, tool.more, (text) => tool.platform.stdout(text));
      return 0;
    },
  },
  help: { min: 0, max: Infinity, usage: "", run: help },
};

function help(tool: Tool): number {
  getopt("ovsdb-tool", options(tool, "ovsdb-tool"), ["--help"]);
  return 0;
}
