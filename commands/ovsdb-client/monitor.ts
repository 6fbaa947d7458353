/** monitor, monitor-cond, monitor-cond-since: prints tables of changes as they come. */
import { describeError, Fatal } from "../../src/lib/errors.ts";
import { formatJson, type Json, type JsonObject } from "../../src/lib/json.ts";
import type { JsonRpcMessage } from "../../src/lib/jsonrpc.ts";
import { type Cell, TablePrinter } from "../../src/lib/table.ts";
import { parseUuid, ZERO_UUID } from "../../src/ovsdb/atom.ts";
import { isObject } from "../../src/ovsdb/json-text.ts";
import type { Column, DatabaseSchema, TableSchema } from "../../src/ovsdb/schema.ts";
import { VERSION_COLUMN } from "../../src/ovsdb/schema.ts";
import { parseArgument } from "../ovsdb-input.ts";
import { type Background, goBackground } from "./background.ts";
import { type Client, datumCell, fetchSchema, wireDatum } from "./client.ts";

type Version = 1 | 2 | 3;
const METHODS: Readonly<Record<Version, string>> = {
  1: "monitor",
  2: "monitor_cond",
  3: "monitor_cond_since",
};

interface Watched {
  readonly table: TableSchema;
  /** In the order of the printed columns. */
  readonly columns: readonly Column[];
}

const SELECTS: readonly string[] = ["initial", "insert", "delete", "modify"];

export function monitor(client: Client): Promise<number> {
  const [table, ...groups] = client.args;
  return run(client, 1, undefined, table!, groups, ZERO_UUID);
}

export function monitorCond(client: Client): Promise<number> {
  const [condition, table, ...groups] = client.args;
  return run(client, 2, parseArgument(condition!), table!, groups, ZERO_UUID);
}

export function monitorCondSince(client: Client): Promise<number> {
  const args = [...client.args];
  const given = args.length > 2 ? parseUuid(args[0]!) : undefined;
  if (given !== undefined) args.shift();
  const [condition, table, ...groups] = args;
  return run(client, 3, parseArgument(condition!), table!, groups, given ?? ZERO_UUID);
}

async function run(
  client: Client,
  version: Version,
  condition: Json | undefined,
  tableName: string,
  groups: readonly string[],
  lastId: string,
): Promise<number> {
  const schema = await fetchSchema(client);
  const requests: Record<string, Json> = {};
  const watched = new Map<string, Watched>();
  const isAll = tableName === "ALL";
  for (const table of isAll ? schema.tables.values() : [findTable(client, schema, tableName)]) {
    const [request, columns] = parseGroups(client, table, isAll ? [] : groups, condition);
    requests[table.name] = request;
    watched.set(table.name, { table, columns });
  }
  const background = await goBackground(client);
  if (typeof background === "number") return background;
  const view = new View(client, background, watched, watched.size > 1, version);
  return view.follow(requests, lastId, condition !== undefined);
}

function findTable(client: Client, schema: DatabaseSchema, name: string): TableSchema {
  const table = schema.tables.get(name);
  if (table !== undefined) return table;
  throw new Fatal(`${client.server}: ${client.database} does not have a table named "${name}"`);
}

/** The request for a table and the columns to print. */
function parseGroups(
  client: Client,
  table: TableSchema,
  groups: readonly string[],
  condition: Json | undefined,
): [Json, readonly Column[]] {
  const all: Column[] = [];
  const requests = (groups.length === 0 ? [""] : groups).map((group) => {
    const select: Record<string, boolean> = {};
    const columns: Column[] = [];
    for (const word of group.split(",").filter((part) => part !== "")) {
      if (word.startsWith("!")) {
        if (!SELECTS.includes(word.slice(1))) {
          throw new Fatal(`${client.server}: unknown argument "${word}"`);
        }
        select[word.slice(1)] = false;
        continue;
      }
      const column = table.byName.get(word);
      if (column === undefined) {
        throw new Fatal(
          `${client.server}: table "${table.name}" in ${client.database} does not have a column named "${word}"`,
        );
      }
      columns.push(column);
    }
    if (columns.length === 0) columns.push(...table.columns, VERSION_COLUMN);
    for (const column of columns) {
      if (all.includes(column))
        throw new Fatal(`${client.server}: column "${column.name}" mentioned multiple times`);
      all.push(column);
    }
    const request: Record<string, Json> = { columns: columns.map((column) => column.name), select };
    if (condition !== undefined) request.where = condition;
    return request;
  });
  return [requests, all];
}

class View {
  readonly #client: Client;
  readonly #background: Background;
  readonly #watched: ReadonlyMap<string, Watched>;
  readonly #captions: boolean;
  readonly #version: Version;
  readonly #printer: TablePrinter;

  constructor(
    client: Client,
    background: Background,
    watched: ReadonlyMap<string, Watched>,
    captions: boolean,
    version: Version,
  ) {
    this.#client = client;
    this.#background = background;
    this.#watched = watched;
    this.#captions = captions;
    this.#version = version;
    this.#printer = new TablePrinter(client.style);
  }

  follow(requests: Json, lastId: string, hasCondition: boolean): Promise<number> {
    const { rpc, database } = this.#client;
    let monitorId: Json = null;
    const name: Json = null;
    let blocked = false;
    const held: JsonRpcMessage[] = [];
    return new Promise((_resolve, reject) => {
      const message = (received: JsonRpcMessage): void => {
        if (received.type === "request") {
          if (received.method === "echo") rpc.reply(received.id, received.params);
        } else if (received.type === "notify") {
          if (blocked) held.push(received);
          else this.#notify(received.method, received.params);
        } else if (received.type === "error" && received.id === monitorId) {
          reject(new Fatal(`transaction returned error: ${formatJson(received.error, { sort: true })}`));
        } else if (received.type === "reply" && received.id === monitorId) {
          this.#initial(received.result);
          this.#background.ready();
        }
      };
      const { commands } = this.#background;
      commands.register("ovsdb-client/block", "", 0, 0, (_args, reply) => {
        blocked = true;
        reply.ok(undefined);
      });
      commands.register("ovsdb-client/unblock", "", 0, 0, (_args, reply) => {
        blocked = false;
        for (const one of held.splice(0)) message(one);
        reply.ok(undefined);
      });
      if (hasCondition) {
        commands.register("ovsdb-client/cond_change", "TABLE COND", 2, 2, ([table, text], reply) => {
          if (!this.#watched.has(table!)) {
            reply.error("not a valid table name");
            return;
          }
          const change = { [table!]: [{ where: parseArgument(text!) }] };
          rpc.request("monitor_cond_change", [name, name, change]);
          reply.ok(undefined);
        });
      }
      rpc.handler = {
        message,
        close: (error) =>
          this.#background.fail(
            `${this.#client.server}: receive failed (${error === undefined ? "End of file" : describeError(error)})`,
          ),
      };
      if (this.#client.changeAware) rpc.request("set_db_change_aware", [true]);
      const params: Json[] = [database, name, requests];
      if (this.#version === 3) params.push(lastId);
      monitorId = rpc.request(METHODS[this.#version], params);
    });
  }

  #initial(result: Json): void {
    if (this.#version !== 3) {
      this.#print(result, true);
      return;
    }
    const [found, lastId, updates] = result as readonly Json[];
    this.#background.print(`found: ${found}, last_id: ${lastId}\n`);
    this.#print(updates!, true);
  }

  #notify(method: string, params: readonly Json[]): void {
    if (method === "update" || method === "update2") this.#print(params[1]!, false);
    else if (method === "update3") {
      this.#background.print(`\nlast_id: ${params[1]}`);
      this.#print(params[2]!, false);
    } else if (method === "monitor_canceled") {
      this.#client.rpc.handler = undefined;
      this.#background.fail(`${this.#client.database} database was removed`);
    }
  }

  #print(updates: Json, initial: boolean): void {
    for (const [name, rows] of Object.entries(updates as JsonObject)) {
      const watched = this.#watched.get(name);
      if (watched === undefined || !isObject(rows)) continue;
      const cells: Cell[][] = [];
      for (const [uuid, update] of Object.entries(rows)) {
        if (isObject(update)) cells.push(...this.#rows(watched, uuid, update, initial));
      }
      const headings = ["row", "action", ...watched.columns.map((column) => column.name)];
      const table = {
        headings,
        rows: cells,
        ...(this.#captions ? { caption: name } : {}),
        ...(this.#client.timestamp ? { timestamp: this.#now() } : {}),
      };
      this.#background.print(this.#printer.format(table));
    }
  }

  #now(): string {
    return new Date(this.#client.platform.clock.wall()).toISOString().replace("T", " ").replace("Z", "");
  }

  #rows(watched: Watched, uuid: string, update: JsonObject, initial: boolean): Cell[][] {
    const line = (row: string, action: string, values: Json | undefined, loose = false): Cell[] => [
      row,
      action,
      ...watched.columns.map((column) => {
        const value = isObject(values) ? values[column.name] : undefined;
        return value === undefined ? "" : datumCell(column.type, wireDatum(column.type, value, loose));
      }),
    ];
    if (this.#version === 1) {
      if (update.old === undefined) return [line(uuid, initial ? "initial" : "insert", update.new)];
      if (update.new === undefined) return [line(uuid, "delete", update.old)];
      return [line(uuid, "old", update.old), line("", "new", update.new)];
    }
    for (const action of ["initial", "insert", "modify", "delete"]) {
      if (Object.hasOwn(update, action)) return [line(uuid, action, update[action], true)];
    }
    return [];
  }
}
