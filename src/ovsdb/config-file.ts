/**
 * --config-file (ovsdb-server(1), ovsdb(7)): remotes and databases as a JSON file says, read at start and again by
 * "ovsdb-server/reload". What is the same in both stays as it is.
 */

import { describeError } from "../lib/errors.ts";
import { parseJson } from "../lib/json.ts";
import { vlog } from "../lib/vlog.ts";
import type { BackupSettings } from "./active-backup.ts";
import type { Disk } from "./disk.ts";
import { OvsdbError } from "./error.ts";
import type { Json, JsonObject } from "./json-text.ts";
import { isObject, sortedText } from "./json-text.ts";
import { ObjectParser } from "./object-parser.ts";
import type { RemoteOptions } from "./remotes.ts";
import { DEFAULT_REMOTE } from "./remotes.ts";
import type { ServedDatabase } from "./served-database.ts";
import type { OvsdbServer } from "./server.ts";

const log = vlog("ovsdb_server");
const rpcLog = vlog("ovsdb_jsonrpc_server");

interface Source {
  readonly target: string;
  readonly probeMs: number | undefined;
  readonly maxBackoffMs: number | undefined;
}

interface DatabaseConfig {
  readonly relay?: Source;
  readonly backup?: BackupSettings;
}

interface Config {
  readonly remotes: ReadonlyMap<string, RemoteOptions>;
  /** By file name, or by schema name for relays. */
  readonly databases: ReadonlyMap<string, DatabaseConfig>;
}

const MODELS: ReadonlySet<string> = new Set(["standalone", "clustered", "active-backup", "relay"]);

export class ConfigFile {
  readonly path: string;
  readonly #disk: Disk;
  /** What was made of the file before: name, text of the settings, database. */
  readonly #opened = new Map<string, { text: string; served: ServedDatabase }>();

  /** `path`: absolute. */
  constructor(disk: Disk, path: string) {
    this.#disk = disk;
    this.path = path;
  }

  /** Reads the file and makes the server so. False: something was wrong; the log says what. */
  async load(server: OvsdbServer): Promise<boolean> {
    const config = this.#read();
    if (config === undefined) return false;
    let fine = this.#openDatabases(server, config);
    const error = await server.configureRemotes(config.remotes);
    if (error !== undefined) {
      log.warn(`failed to configure remotes: ${error}`);
      fine = false;
    }
    return fine;
  }

  #read(): Config | undefined {
    let text: string;
    try {
      text = new TextDecoder().decode(this.#disk.read(this.path));
    } catch (error) {
      log.err(`failed to open configuration file '${this.path}': ${describeError(error)}`);
      return undefined;
    }
    log.info(`loading configuration from '${this.path}'`);
    const config = parseConfig(text);
    if (config === undefined) log.warn(`failed to load configuration from ${this.path}`);
    return config;
  }

  #openDatabases(server: OvsdbServer, config: Config): boolean {
    for (const [name, { text, served }] of [...this.#opened]) {
      const wanted = config.databases.get(name);
      const kept = wanted !== undefined && (served.relay === undefined) === (wanted.relay === undefined);
      if (kept && (served.relay === undefined || JSON.stringify(wanted) === text)) continue;
      server.backup.configure(new Map());
      server.removeDatabase(served.name);
      this.#opened.delete(name);
    }
    let fine = true;
    const backups = new Map<ServedDatabase, BackupSettings>();
    for (const [name, wanted] of config.databases) {
      try {
        const served = this.#opened.get(name)?.served ?? open(server, name, wanted);
        this.#opened.set(name, { text: JSON.stringify(wanted), served });
        if (wanted.backup !== undefined) backups.set(served, wanted.backup);
      } catch (error) {
        if (!(error instanceof OvsdbError)) throw error;
        log.warn(`failed to open database '${name}': ${error.message}`);
        fine = false;
      }
    }
    server.backup.configure(backups);
    if (!fine) log.warn("failed to configure databases");
    return fine;
  }
}

function open(server: OvsdbServer, name: string, { relay }: DatabaseConfig): ServedDatabase {
  return relay === undefined ? server.openDatabase(name) : server.openRelay(name, relay.target, relay);
}

function parseConfig(text: string): Config | undefined {
  let json: Json;
  try {
    json = parseJson(text);
  } catch (error) {
    log.warn(`config: reading JSON failed (${(error as Error).message})`);
    return undefined;
  }
  if (!isObject(json)) {
    log.warn("configuration in a file must be a JSON object");
    return undefined;
  }
  const remotes = parseRemotes(json.remotes);
  if (remotes === undefined) {
    log.warn("config: failed to parse 'remotes'");
    return undefined;
  }
  const databases = parseDatabases(json.databases);
  if (databases === undefined) {
    log.warn("config: failed to parse 'databases'");
    return undefined;
  }
  return { remotes, databases };
}

/** Options of one connection; complaints are logged, and the rest counts. */
function parseConnection(target: string, json: Json): RemoteOptions | undefined {
  if (json !== null && !isObject(json)) {
    log.warn(`${target}: JSON-RPC options are not a JSON object or null`);
    return undefined;
  }
  if (json === null) return DEFAULT_REMOTE;
  const options: { -readonly [Key in keyof RemoteOptions]: RemoteOptions[Key] } = { ...DEFAULT_REMOTE };
  try {
    const parser = new ObjectParser(json, "JSON-RPC options");
    const backoff = parser.optional("max-backoff", "integer");
    const probe = parser.optional("inactivity-probe", "integer");
    parser.optional("dscp", "integer");
    const readOnly = parser.optional("read-only", "boolean");
    const role = parser.optional("role", "string") as string | undefined;
    if (backoff !== undefined) options.maxBackoffMs = Number(backoff);
    if (probe !== undefined) options.probeMs = Number(probe);
    options.readOnly = readOnly === true;
    options.role = role === "" ? undefined : role;
    parser.finish();
  } catch (error) {
    if (!(error instanceof OvsdbError)) throw error;
    rpcLog.warn(error.message);
  }
  return options;
}

function parseRemotes(json: Json | undefined): Map<string, RemoteOptions> | undefined {
  if (!isObject(json)) {
    log.warn("config: 'remotes' is not a JSON object");
    return undefined;
  }
  const remotes = new Map<string, RemoteOptions>();
  for (const target of Object.keys(json)) {
    const options = parseConnection(target, json[target]!);
    if (options === undefined) return undefined;
    remotes.set(target, options);
  }
  return remotes;
}

function parseDatabases(json: Json | undefined): Map<string, DatabaseConfig> | undefined {
  if (!isObject(json)) {
    log.warn("config: 'databases' is not a JSON object");
    return undefined;
  }
  const databases = new Map<string, DatabaseConfig>();
  for (const name of Object.keys(json)) {
    try {
      databases.set(name, json[name] === null ? {} : parseDatabase(name, json[name]!));
    } catch (error) {
      if (!(error instanceof OvsdbError)) throw error;
      log.warn(error.message);
      return undefined;
    }
  }
  return databases;
}

function parseDatabase(name: string, json: Json): DatabaseConfig {
  const parser = new ObjectParser(json, `database ${name}`);
  const model = parser.optional("service-model", "string") as string | undefined;
  if (model !== undefined && !MODELS.has(model)) {
    log.warn(`Unrecognized database service model: '${model}'`);
    throw parser.fail(`'${model}' is not a valid service model`);
  }
  if (model === "relay") {
    const relay = parseSource(parser, parser.member("source", "object") as JsonObject);
    parser.finish();
    return { relay };
  }
  if (model !== "active-backup") {
    parser.finish();
    return {};
  }
  const backup = parser.member("backup", "boolean") === true;
  const sourceJson = backup ? parser.member("source", "object") : parser.optional("source", "object");
  const tables = (parser.optional("exclude-tables", "array") ?? []) as readonly Json[];
  for (const table of tables) {
    if (typeof table !== "string") throw parser.fail("'exclude-tables' must contain strings");
  }
  const source = sourceJson === undefined ? undefined : parseSource(parser, sourceJson as JsonObject);
  parser.finish();
  return {
    backup: {
      source: source?.target ?? "",
      backup,
      excluded: tables as readonly string[],
      probeMs: source?.probeMs,
      maxBackoffMs: source?.maxBackoffMs,
    },
  };
}

function parseSource(parser: ObjectParser, json: JsonObject): Source {
  const targets = Object.keys(json);
  if (targets.length !== 1) throw parser.fail("'source' should be an object with exactly one element");
  const target = targets[0]!;
  const options = parseConnection(target, json[target]!);
  if (options === undefined) throw parser.fail(`'source' has bad options ${sortedText(json[target]!)}`);
  return { target, probeMs: options.probeMs, maxBackoffMs: options.maxBackoffMs };
}
