/**
 * Properties of the whole server, held against a slow reference model (test/sim/ovsdb-model.ts): random schemas and
 * streams of transactions over JSON-RPC, with restarts and compactions between, and clients whose replicas, kept by
 * monitors of every kind, must equal the server's tables. Many more runs under OVSBOX_FULL.
 */
import fc from "fast-check";
import t from "tap";
import { formatJson, parseJson } from "../../src/lib/json.ts";
import { SimClock } from "../../src/lib/sim-clock.ts";
import type { Stream, StreamHandler } from "../../src/lib/stream.ts";
import { MemoryNetwork } from "../../src/lib/stream-memory.ts";
import { createFile, loadFile } from "../../src/ovsdb/database-file.ts";
import { datumToJson } from "../../src/ovsdb/datum.ts";
import { schemaFromJson } from "../../src/ovsdb/schema.ts";
import { OvsdbServer } from "../../src/ovsdb/server.ts";
import type { Database } from "../../src/ovsdb/table.ts";
import { indexKey } from "../../src/ovsdb/table.ts";
import { SimDisk } from "../sim/disk.ts";
import type { Json, Result, Row, Value } from "../sim/ovsdb-model.ts";
import { canonical, defaultValue, Model, parseValue, valueJson } from "../sim/ovsdb-model.ts";
import { conditionChange, monitorJson, schemaJson, Tape, transactionJson } from "../sim/ovsdb-tape.ts";
import { seededRandom } from "../sim/platform.ts";

const FULL = Boolean(process.env.OVSBOX_FULL);
/** The short run is the same each time; the long one looks for what is new. */
const seed = process.env.OVSBOX_SEED ?? (FULL ? undefined : 1);
const SEED = seed === undefined ? {} : { seed: Number(seed) };

/** Both ends in one turn of the loop: an answer is there when `call` returns. */
class Client {
  readonly #encoder = new TextEncoder();
  readonly #stream: Stream & { handler: StreamHandler | undefined };
  #replies: Json[] = [];
  #next = 0;
  readonly notify: (method: string, params: readonly Json[]) => void;

  constructor(server: OvsdbServer, notify: (method: string, params: readonly Json[]) => void) {
    this.notify = notify;
    const sent = (text: string): true => {
      const message = parseJson(text) as { method?: string; params?: readonly Json[] };
      if (message.method === undefined) this.#replies.push(message as Json);
      else this.notify(message.method, message.params!);
      return true;
    };
    const closed = (): void => this.#stream.handler?.close(undefined);
    this.#stream = {
      name: "unix",
      kind: "unix",
      handler: undefined,
      write: (data) => sent(typeof data === "string" ? data : new TextDecoder().decode(data)),
      backlog: 0,
      pause() {},
      resume() {},
      end: closed,
      destroy: closed,
      localAddress: undefined,
      remoteAddress: undefined,
      remotePort: undefined,
    } as Stream;
    server.accept(this.#stream);
  }

  call(method: string, ...params: Json[]): Json {
    this.#replies = [];
    const text = formatJson({ method, params, id: this.#next++ });
    this.#stream.handler!.data(this.#encoder.encode(text));
    const { result, error } = this.#replies[0] as { result?: Json; error?: Json };
    if (this.#replies.length !== 1 || (error !== null && error !== undefined))
      throw new Error(`${text}: ${formatJson(this.#replies)}`);
    return result!;
  }

  close(): void {
    this.#stream.handler!.close(undefined);
  }
}

type Tables = Map<string, Map<string, Row>>;
type Requests = Record<string, { columns?: string[]; where?: Json }>;
const NO_NAMES = (name: string): string => name;

/** A client that monitors, and what it knows by that. */
class Replica {
  readonly #model: Model;
  readonly #version: 1 | 2 | 3;
  readonly #requests: Requests;
  #client: Client | undefined;
  #tables: Tables = new Map();
  /** Of the last update: "monitor_cond_since" begins there. */
  #last = "00000000-0000-0000-0000-000000000000";
  #id: Json = "first";
  /** Conditions are being changed: the server may say at which transaction, and nothing else. */
  #changing = false;

  constructor(model: Model, tape: Tape) {
    this.#model = model;
    this.#version = (tape.next(3) + 1) as 1 | 2 | 3;
    this.#requests = monitorJson(tape, model, this.#version > 1) as Requests;
  }

  get connected(): boolean {
    return this.#client !== undefined;
  }

  /** `continues`: the server is the one that we were connected to before. */
  connect(server: OvsdbServer, continues: boolean): void {
    this.#client = new Client(server, (method, params) => this.#notified(method, params));
    const method = ["monitor", "monitor_cond", "monitor_cond_since"][this.#version - 1]!;
    const since = this.#version === 3 ? [this.#last] : [];
    const known = this.#tables;
    this.#tables = new Map(Object.keys(this.#requests).map((name) => [name, new Map()]));
    const reply = this.#client.call(method, "D", this.#id, this.#requests as unknown as Json, ...since);
    if (this.#version < 3) {
      this.#apply(reply);
      return;
    }
    const [found, last, updates] = reply as readonly [boolean, string, Json];
    if (found !== continues) throw new Error(`monitor_cond_since: found is ${found}`);
    if (found) this.#tables = known;
    this.#last = last;
    this.#apply(updates);
  }

  drop(): void {
    this.#client?.close();
    this.#client = undefined;
  }

  changeConditions(tape: Tape): void {
    if (this.#version === 1) return;
    const change = conditionChange(tape, this.#model, Object.keys(this.#requests));
    const id = tape.pick<Json>([this.#id, "second", ["third", 3]]);
    this.#changing = this.#version === 3;
    const reply = this.#client!.call("monitor_cond_change", this.#id, id, change);
    this.#changing = false;
    if (canonical(reply) !== "{}") throw new Error(`monitor_cond_change: ${formatJson(reply)}`);
    this.#id = id;
    for (const name of Object.keys(change))
      this.#requests[name] = {
        ...this.#requests[name],
        where: (change[name] as { where: Json }[])[0]!.where,
      };
  }

  #notified(method: string, params: readonly Json[]): void {
    if (method !== ["update", "update2", "update3"][this.#version - 1]) throw new Error(`${method} came`);
    if (canonical(params[0]!) !== canonical(this.#id)) throw new Error("update of another monitor");
    if (this.#version === 3) this.#last = params[1] as string;
    const updates = params[this.#version === 3 ? 2 : 1]!;
    if (canonical(updates) === "{}" && !this.#changing) throw new Error("an update without content");
    this.#apply(updates);
  }

  #apply(updates: Json): void {
    for (const [name, rows] of Object.entries(updates as { [table: string]: Json })) {
      for (const [uuid, update] of Object.entries(rows as { [uuid: string]: Json }))
        this.#applyRow(name, uuid, update as { [kind: string]: { [column: string]: Json } });
    }
  }

  #applyRow(name: string, uuid: string, update: { [kind: string]: { [column: string]: Json } }): void {
    const rows = this.#tables.get(name)!;
    const columns = this.#columns(name);
    const must = (present: boolean): void => {
      if (rows.has(uuid) !== present)
        throw new Error(`${name} ${uuid}: ${formatJson(update as unknown as Json)}`);
    };
    // Unchecked: an ephemeral column has its default after a restart, whatever the constraints.
    const whole = (json: { [column: string]: Json }, onlyWhole: boolean): void => {
      const row: Row = new Map();
      for (const column of columns) {
        if (onlyWhole && json[column.name] === undefined) throw new Error(`no ${column.name} in an update`);
        row.set(
          column.name,
          json[column.name] === undefined
            ? defaultValue(column)
            : parseValue(column, json[column.name]!, NO_NAMES, { unchecked: true }),
        );
      }
      rows.set(uuid, row);
    };
    if (this.#version === 1) {
      must(update.old !== undefined);
      if (update.new === undefined) rows.delete(uuid);
      else whole(update.new, true);
      return;
    }
    const kinds = Object.keys(update);
    if (kinds.length !== 1) throw new Error(`${kinds} in one update`);
    must(kinds[0] === "modify" || kinds[0] === "delete");
    if (kinds[0] === "delete") rows.delete(uuid);
    else if (kinds[0] !== "modify") whole(update[kinds[0]!]!, false);
    else {
      const row = rows.get(uuid)!;
      for (const column of columns) {
        const json = update.modify![column.name];
        if (json === undefined) continue;
        const diff = parseValue(column, json, NO_NAMES, { anySize: true, unchecked: true });
        row.set(column.name, column.max === 1 ? diff : applied(row.get(column.name)!, diff));
      }
    }
  }

  #columns(name: string) {
    const columns = [...this.#model.schema.get(name)!.columns.values()];
    const names = this.#requests[name]!.columns;
    return names === undefined ? columns : columns.filter((column) => names.includes(column.name));
  }

  check(): void {
    for (const [name, { where }] of Object.entries(this.#requests)) {
      const table = this.#model.schema.get(name)!;
      const names = this.#columns(name).map((column) => column.name);
      const text = (rows: Iterable<[string, Row]>): string =>
        [...rows]
          .map(([uuid, row]) => uuid + canonical(this.#model.rowJson(table, uuid, row, names)))
          .sort()
          .join("\n");
      const want = text(this.#model.select(table, where ?? [], true));
      const have = text(this.#tables.get(name)!);
      if (want !== have) throw new Error(`replica of ${name} has\n${have}\nand should have\n${want}`);
    }
  }
}

/** ovsdb-server(7) section 4.1.14: elements in one of both; pairs of the difference replace or remove. */
function applied(value: Value, diff: Value): Value {
  const result = new Map(value);
  for (const [key, item] of diff) {
    if (result.get(key) === item) result.delete(key);
    else result.set(key, item);
  }
  return result;
}

function contents(database: Database, ephemeral: boolean): string {
  const lines: string[] = [];
  for (const table of database.tables.values()) {
    for (const row of table.rows.values()) {
      const values = table.schema.columns
        .filter((column) => ephemeral || !column.ephemeral)
        .map((column) => `${column.name}=${canonical(datumToJson(column.type, row.data[column.index]!))}`);
      lines.push(`${table.name} ${row.uuid} ${values.join(" ")}`);
    }
  }
  return lines.sort().join("\n");
}

function modelContents(model: Model): string {
  const lines: string[] = [];
  for (const table of model.schema.values()) {
    for (const [uuid, row] of model.rows(table.name)) {
      const values = [...table.columns.values()].map(
        (column) => `${column.name}=${canonical(valueJson(column, row.get(column.name)!))}`,
      );
      lines.push(`${table.name} ${uuid} ${values.join(" ")}`);
    }
  }
  return lines.sort().join("\n");
}

/** What transactions keep up to date must equal what loading makes anew. */
function derived(database: Database): string {
  const lines: string[] = [];
  for (const table of database.tables.values()) {
    for (const row of table.rows.values()) {
      const weak = [...(row.weakFrom ?? [])].map((from) => from.uuid).sort();
      lines.push(`${row.uuid} ${row.references} ${weak}`);
    }
    table.schema.indexes.forEach((columns, i) => {
      for (const [key, row] of table.indexes[i]!) {
        if (key !== indexKey(columns, row, row.data)) lines.push("an index is wrong");
        lines.push(`${i} ${key} ${row.uuid}`);
      }
    });
  }
  return lines.sort().join("\n");
}

const UUID = /[0-9a-f]{8}-[0-9a-f-]{27}/g;

function check(what: string, have: string, want: string): void {
  if (have !== want) throw new Error(`${what}: have\n${have}\nwant\n${want}`);
}

/** UUIDs of rows that never came to be are known to one side only. Masked first: they have a place in a set's order. */
function masked(json: Json, known: (uuid: string) => boolean): string {
  return canonical(parseJson(formatJson(json).replace(UUID, (uuid) => (known(uuid) ? uuid : "?"))) as Json);
}

function checkResults(
  operations: readonly Json[],
  have: readonly Json[],
  want: readonly Result[],
  known: (uuid: string) => boolean,
): void {
  const fail = (i: number): never => {
    const right = want[i]!;
    const shown = "tags" in right ? [...right.tags].join(" or ") : canonical(right.value);
    throw new Error(
      `operation ${i} of ${formatJson(operations)}: ${formatJson(have[i] ?? null)} should be ${shown}`,
    );
  };
  for (const [i, right] of want.entries()) {
    const got = have[i] as { error?: string; rows?: readonly { _version?: Json }[] } | null | undefined;
    if (got === undefined) fail(i);
    if ("tags" in right) {
      if (got?.error === undefined || !right.tags.has(got.error)) fail(i);
      continue;
    }
    if (got?.error !== undefined) fail(i);
    const rows = got?.rows?.map(({ _version, ...rest }) => rest as Json);
    const shown = rows === undefined ? (got as Json) : { rows: ["set", rows] };
    if (masked(shown, known) !== masked(right.value, known)) fail(i);
  }
  if (have.length !== want.length) fail(want.length - 1);
}

class World {
  readonly disk = new SimDisk();
  readonly #clock = new SimClock(undefined, undefined, 1_800_000_000_000);
  readonly #random = seededRandom(11);
  readonly model: Model;
  readonly replicas: Replica[] = [];
  server!: OvsdbServer;
  failure: Error | undefined;
  #client!: Client;
  /** Clients that were connected to the server that runs now. */
  readonly #knows = new Set<Replica>();

  constructor(tape: Tape) {
    const json = schemaJson(tape);
    this.model = new Model(json);
    createFile(this.#context, "/db", schemaFromJson(json));
    this.start();
  }

  get #context() {
    return { disk: this.disk, clock: this.#clock, uuid: () => this.#random.uuid() };
  }

  get database(): Database {
    return this.server.databases.get("D")!.database;
  }

  start(): void {
    const streams = new MemoryNetwork(this.#clock);
    // A step is a row.
    this.server = new OvsdbServer({ ...this.#context, streams, stepBytes: 1 });
    this.server.openDatabase("/db");
    this.#client = new Client(this.server, () => {});
    this.#knows.clear();
  }

  /** Goes on during the following transactions; a restart ends it. */
  compact(): void {
    this.server.compact(this.server.databases.get("D")!).catch((error: Error) => {
      if (!error.message.includes("compaction was cancelled")) this.failure = error;
    });
  }

  restart(): void {
    for (const replica of this.replicas) replica.drop();
    this.server.close();
    this.model.forgetEphemeral();
    this.start();
    check("after a restart", contents(this.database, true), modelContents(this.model));
  }

  connect(replica: Replica): void {
    replica.connect(this.server, this.#knows.has(replica));
    this.#knows.add(replica);
  }

  transact(operations: readonly { readonly [name: string]: Json }[]): void {
    const results = this.#client.call("transact", "D", ...operations) as readonly Json[];
    const given = (i: number): string => {
      const result = results[i] as { uuid?: readonly [string, string] } | null | undefined;
      return result?.uuid?.[1] ?? `ffffffff-0000-4000-8000-${String(i).padStart(12, "0")}`;
    };
    const inserted = results.map((result) => (result as { uuid?: Json } | null)?.uuid ?? null);
    const texts = [formatJson(operations), formatJson(inserted), modelContents(this.model)].join();
    const known = new Set(texts.match(UUID));
    checkResults(operations, results, this.model.transact(operations, given), (uuid) => known.has(uuid));
    check("tables", contents(this.database, true), modelContents(this.model));
  }

  checkFile(): void {
    if (this.failure !== undefined) throw this.failure;
    const loaded = loadFile(this.disk, "/db", () => this.#random.uuid());
    if (loaded.torn !== undefined) throw loaded.torn;
    check("the file", contents(loaded.database, false), contents(this.database, false));
    check("counts and indexes", derived(this.database), derived(loaded.database));
  }
}

const tape = fc.array(fc.nat(0xffff), { maxLength: 60, size: "max" });

/** Runs `steps`, each a transaction and what else its tape says. */
async function run(
  schema: readonly number[],
  clients: readonly number[][],
  steps: readonly number[][],
): Promise<void> {
  const world = new World(new Tape(schema));
  for (const numbers of clients) {
    const replica = new Replica(world.model, new Tape(numbers));
    world.replicas.push(replica);
    world.connect(replica);
  }
  for (const numbers of steps) {
    const tape = new Tape(numbers);
    world.transact(transactionJson(tape, world.model));
    for (const replica of world.replicas) {
      const deed = tape.next(8);
      if (!replica.connected) {
        if (deed < 4) world.connect(replica);
      } else if (deed === 6) replica.changeConditions(tape);
      else if (deed === 7) replica.drop();
    }
    const deed = tape.next(16);
    if (deed >= 8) world.compact();
    // A step of the compaction, if one runs.
    await new Promise((resolve) => setImmediate(resolve));
    world.checkFile();
    if (deed === 15) world.restart();
    for (const replica of world.replicas) if (replica.connected) replica.check();
  }
  world.server.close();
}

t.test("results, tables, file and replicas are those of the model", async (t) => {
  await fc.assert(
    fc.asyncProperty(
      tape,
      fc.array(tape, { maxLength: 3, size: "max" }),
      fc.array(tape, { maxLength: FULL ? 40 : 20, size: "max" }),
      run,
    ),
    { numRuns: FULL ? 5000 : 120, ...SEED },
  );
  t.pass();
});
