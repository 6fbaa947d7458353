/** Servers that copy others, over memory streams: active-backup pairs, relays, and what a configuration file makes of a server. */
import t, { type Test } from "tap";
import type { Json, JsonObject } from "../../src/lib/json.ts";
import { JsonRpc, JsonRpcFailure } from "../../src/lib/jsonrpc.ts";
import { SimClock } from "../../src/lib/sim-clock.ts";
import { MemoryNetwork } from "../../src/lib/stream-memory.ts";
import type { UnixctlCallback } from "../../src/lib/unixctl.ts";
import { replicationCommands } from "../../src/ovsdb/active-backup.ts";
import { ConfigFile } from "../../src/ovsdb/config-file.ts";
import { createFile } from "../../src/ovsdb/database-file.ts";
import { parseRelay } from "../../src/ovsdb/relay.ts";
import { schemaFromJson } from "../../src/ovsdb/schema.ts";
import { OvsdbServer } from "../../src/ovsdb/server.ts";
import { SimDisk } from "../sim/disk.ts";
import { nodeClock, seededRandom } from "../sim/platform.ts";

const set = { type: { key: "integer", min: 0, max: "unlimited" } };
const SCHEMA: JsonObject = {
  name: "T",
  version: "1.0.0",
  tables: {
    a: {
      isRoot: true,
      columns: {
        i: { type: "integer" },
        s: set,
        m: { type: { key: "string", value: "integer", min: 0, max: "unlimited" } },
        leaf: { type: { key: { type: "uuid", refTable: "leaf" }, min: 0, max: 1 } },
      },
      indexes: [["i"]],
    },
    b: { isRoot: true, columns: { n: { type: "integer" } } },
    leaf: { columns: { n: { type: "integer" } } },
  },
};

interface World {
  readonly clock: SimClock;
  readonly disk: SimDisk;
  readonly network: MemoryNetwork;
  /** A server that listens at punix:NAME; with a file NAME.db where a schema is given. */
  server(name: string, schema?: JsonObject): Promise<OvsdbServer>;
  client(name: string): Promise<Client>;
}

class Client {
  readonly rpc: JsonRpc;
  readonly notes: string[] = [];
  closed = false;

  constructor(stream: ConstructorParameters<typeof JsonRpc>[0]) {
    this.rpc = new JsonRpc(stream, {
      message: (message) => {
        if (message.type === "notify") this.notes.push(`${message.method} ${JSON.stringify(message.params)}`);
      },
      close: () => {
        this.closed = true;
      },
    });
  }

  async call(method: string, ...params: Json[]): Promise<Json> {
    try {
      return await this.rpc.transact(method, params);
    } catch (error) {
      if (error instanceof JsonRpcFailure) return { failed: error.error };
      throw error;
    }
  }

  transact(...operations: Json[]): Promise<Json> {
    return this.call("transact", "T", ...operations);
  }

  async rows(table: string, column: string): Promise<string> {
    const result = (await this.transact({ op: "select", table, where: [], columns: [column] })) as Json;
    const rows = Array.isArray(result) ? (result[0] as { rows: Record<string, Json>[] }).rows : undefined;
    return rows === undefined
      ? JSON.stringify(result)
      : JSON.stringify(rows.map((row) => row[column]).sort());
  }
}

function world(): World {
  const clock = new SimClock(nodeClock);
  const network = new MemoryNetwork(nodeClock);
  const disk = new SimDisk();
  const random = seededRandom(7);
  const uuid = (): string => random.uuid();
  return {
    clock,
    disk,
    network,
    async server(name, schema) {
      const server = new OvsdbServer({ clock, streams: network, disk, uuid });
      if (schema !== undefined) {
        createFile({ disk, clock, uuid }, `/${name}.db`, schemaFromJson(schema));
        server.openDatabase(`/${name}.db`);
      }
      await server.addRemote(`punix:${name}`);
      return server;
    },
    client: async (name) => new Client(await network.connect(`unix:${name}`)),
  };
}

/** Waits, a few turns at a time, until `look` gives `want`. */
async function until(t: Test, what: string, look: () => unknown, want: unknown): Promise<void> {
  let seen: unknown;
  for (let turn = 0; turn < 400; turn++) {
    seen = await look();
    if (JSON.stringify(seen) === JSON.stringify(want)) break;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  t.strictSame(seen, want, what);
}

/** UUID of no transaction. */
const UNKNOWN = "00000000-0000-0000-0000-000000000000";

async function ask(server: OvsdbServer, name: string, ...args: string[]): Promise<string> {
  const row = replicationCommands(server).find(([command]) => command === `ovsdb-server/${name}`)!;
  let text = "";
  const reply = {
    ok: (body = "") => void (text = body as string),
    error: (body: string) => void (text = `error: ${body}`),
  };
  await row[4](args, reply as unknown as Parameters<UnixctlCallback>[1]);
  return text;
}

const insert = (table: string, row: JsonObject): Json => ({ op: "insert", table, row });

t.test("a backup copies, follows, refuses to write, and takes over", async (t) => {
  const w = world();
  const one = await w.server("one", SCHEMA);
  const two = await w.server("two", SCHEMA);
  const active = await w.client("one");
  let backup = await w.client("two");
  await active.transact(
    { op: "insert", table: "leaf", "uuid-name": "l", row: { n: 1 } },
    insert("a", { i: 1, s: ["set", [1, 2]], m: ["map", [["x", 1]]], leaf: ["named-uuid", "l"] }),
    insert("b", { n: 5 }),
  );
  await backup.transact(insert("a", { i: 99 }), insert("b", { n: 99 }));
  t.equal(await ask(two, "sync-status"), "state: active\n");
  t.match(await ask(two, "connect-active-ovsdb-server"), /^Unable to connect: active server is not spec/);
  await ask(two, "set-active-ovsdb-server", "unix:one");
  t.equal(await ask(two, "get-active-ovsdb-server"), "unix:one\n");
  await ask(two, "set-sync-exclude-tables", "T:b");
  t.equal(await ask(two, "get-sync-exclude-tables"), "T:b\n");
  t.equal(await ask(two, "sync-status"), "database: T\nstate: active\n");
  await ask(two, "connect-active-ovsdb-server");
  t.equal(await ask(two, "sync-status"), "database: T\nstate: backup\nconnecting: unix:one");
  await until(t, "clients must notice", () => backup.closed, true);
  backup = await w.client("two");
  await until(t, "copied", () => backup.rows("a", "i"), "[1]");
  t.equal(await backup.rows("b", "n"), "[99]", "an excluded table stays");
  t.equal(await backup.rows("leaf", "n"), "[1]", "a row that only a reference keeps");
  t.equal(await ask(two, "sync-status"), "database: T\nstate: backup\nreplicating: unix:one\nexclude: T:b");
  await active.transact(
    { op: "mutate", table: "a", where: [], mutations: [["s", "delete", 1]] },
    { op: "mutate", table: "a", where: [], mutations: [["m", "insert", ["map", [["y", 2]]]]] },
    insert("a", { i: 2 }),
  );
  await until(t, "followed", () => backup.rows("a", "i"), "[1,2]");
  t.match(await backup.rows("a", "m"), '["y",2]');
  await active.transact({ op: "delete", table: "a", where: [["i", "==", 1]] });
  await until(t, "deleted", () => backup.rows("a", "i"), "[2]");
  t.equal(await backup.rows("leaf", "n"), "[]");
  const refused = JSON.stringify(await backup.transact(insert("a", { i: 3 })));
  t.match(refused, /insert operation not allowed when database server is in read only mode/);
  t.match(await backup.call("convert", "T", SCHEMA), {
    failed: { details: "conversion is not allowed for read-only database T" },
  });
  await ask(two, "disconnect-active-ovsdb-server");
  await until(t, "disconnected again", () => backup.closed, true);
  backup = await w.client("two");
  t.match(JSON.stringify(await backup.transact(insert("a", { i: 3 }))), /uuid/);
  await active.transact(insert("a", { i: 4 }));
  t.equal(await backup.rows("a", "i"), "[2,3]");
  t.match(await ask(two, "set-active-ovsdb-server-probe-interval", "x"), /Invalid probe interval, integer/);
  t.equal(await ask(two, "set-active-ovsdb-server-probe-interval", "2000"), "");
  for (const server of [one, two]) server.close();
});

t.test("what cannot be replicated makes the server active", async (t) => {
  const w = world();
  const more = structuredClone(SCHEMA) as { tables: Record<string, JsonObject> };
  more.tables.c = { isRoot: true, columns: { n: { type: "integer" } } };
  const servers = [await w.server("small", SCHEMA), await w.server("big", more as unknown as JsonObject)];
  const [small, big] = servers as [OvsdbServer, OvsdbServer];
  servers.push(await w.server("none"));
  const cases: [string, OvsdbServer, string, boolean][] = [
    ["itself", small, "small", false],
    ["a table that we have not", small, "big", false],
    ["less than we have", big, "small", true],
    ["no such database there", small, "none", false],
  ];
  for (const [what, server, source, works] of cases) {
    server.backup.restore({ source: `unix:${source}`, excluded: undefined, backup: true });
    t.ok(server.backup.state.backup);
    const want = works ? /replicating/ : /state: active/;
    await until(t, what, async () => want.test(await ask(server, "sync-status")), true);
    t.equal(server.databases.get("T")!.readOnly, works, what);
    server.backup.disconnect();
  }
  for (const server of servers) server.close();
});

t.test("relay: names", async (t) => {
  t.strictSame(parseRelay("relay:T:unix:a,tcp:b:1"), { name: "T", remotes: "unix:a,tcp:b:1" });
  for (const text of ["relay:T", "relay::x", "conf.db", "/x/relay:T:unix:a"])
    t.equal(parseRelay(text), undefined);
});

t.test("relay: reads here, writes there", async (t) => {
  const w = world();
  const relay = await w.server("relay");
  relay.openDatabase("relay:T:unix:source");
  const reader = await w.client("relay");
  const row = async (): Promise<unknown> => {
    const op = { op: "select", table: "Database", where: [["name", "==", "T"]] };
    const result = (await reader.call("transact", "_Server", op)) as unknown as [{ rows: JsonObject[] }];
    const { model, connected, leader, schema } = result[0].rows[0]!;
    return [model, connected, leader, typeof schema === "string"];
  };
  t.strictSame(await row(), ["relay", false, false, false], "known, but nothing to see yet");
  t.strictSame(await reader.call("list_dbs"), ["_Server"]);
  t.match(await reader.transact(), { failed: { error: "unknown database" } });
  await reader.call("set_db_change_aware", true);
  t.throws(() => relay.openDatabase("relay:T:unix:other"), /duplicate database name/);

  let source = await w.server("source", SCHEMA);
  let writer = await w.client("source");
  await writer.transact(insert("a", { i: 1, s: ["set", [1, 2]] }));
  await until(t, "connected", row, ["relay", true, false, true]);
  t.strictSame(await reader.call("list_dbs"), ["_Server", "T"]);
  t.equal(await reader.rows("a", "i"), "[1]");
  await reader.call("monitor", "T", "m", { a: { columns: ["i", "s"] } });
  const done = await reader.transact(insert("a", { i: 2 }), {
    op: "mutate",
    table: "a",
    where: [["i", "==", 1]],
    mutations: [["s", "delete", 1]],
  });
  t.match(done, [{ uuid: ["uuid", String] }, { count: 1 }]);
  t.equal(await writer.rows("a", "i"), "[1,2]", "the source has it");
  t.equal(await reader.rows("a", "i"), "[1,2]", "and so has the relay when it answers");
  t.equal(reader.notes.filter((note) => note.startsWith("update ")).length, 1, "monitors hear of it");
  t.equal(await reader.rows("a", "s"), await writer.rows("a", "s"));
  const last = async (client: Client): Promise<Json> => {
    const reply = await client.call("monitor_cond_since", "T", "last", { b: [{}] }, UNKNOWN);
    await client.call("monitor_cancel", "last");
    return (reply as Json[])[1]!;
  };
  const before = await last(reader);
  t.equal(before, await last(writer), "a transaction has the source's UUID here, too");
  await reader.transact(insert("b", { n: 1 }));
  t.match(await reader.call("monitor_cond_since", "T", "r", { b: [{ columns: ["n"] }] }, before), [
    true,
    await last(writer),
    { b: {} },
  ]);
  t.not(await last(writer), before);
  t.match(JSON.stringify(await reader.transact(insert("a", { i: 2 }))), /identical values/, "its refusal");
  t.match(JSON.stringify(await reader.transact(insert("zz", {}))), /No table named zz/, "our refusal");

  const newer = structuredClone(SCHEMA) as { version: string; tables: Record<string, JsonObject> };
  newer.tables.c = { isRoot: true, columns: { n: { type: "integer" } } };
  t.strictSame(await reader.call("convert", "T", newer as unknown as JsonObject), {});
  await until(t, "the new schema comes", () => reader.rows("c", "n"), "[]");
  t.ok(reader.notes.some((note) => note.startsWith("monitor_canceled")));
  t.equal(await reader.rows("a", "i"), "[1,2]");

  t.strictSame(await reader.call("convert", "T", newer as unknown as JsonObject), {}, "to the same");
  writer = await w.client("source");
  await writer.transact(insert("c", { n: 8 }));
  await until(t, "it goes on", () => reader.rows("c", "n"), "[8]");

  source.close();
  await until(t, "the source went", () => relay.databases.get("T")!.relay!.connected, true);
  const queued = reader.transact(insert("a", { i: 3 }));
  t.equal(await reader.rows("a", "i"), "[1,2]", "reads go on");
  source = new OvsdbServer({ clock: w.clock, streams: w.network, disk: w.disk, uuid: () => relay.uuid() });
  source.openDatabase("/source.db");
  await source.addRemote("punix:source");
  t.match(await queued, [{ uuid: ["uuid", String] }], "what waited is done");
  t.equal(await reader.rows("a", "i"), "[1,2,3]");
  relay.setRelayProbe(1000);
  t.ok(relay.removeDatabase("T"));
  for (const server of [relay, source]) server.close();
});

t.test("relay: for 30 seconds without its source it counts as connected", async (t) => {
  const w = world();
  const source = await w.server("source", SCHEMA);
  const relay = await w.server("relay");
  relay.openDatabase("relay:T:unix:source");
  const link = relay.databases.get("T")!.relay!;
  await until(t, "connected", () => link.connected, true);
  const reader = await w.client("relay");
  w.clock.stop();
  source.close();
  t.strictSame(await reader.call("list_dbs"), ["_Server", "T"], "and the loss is known by now");
  await w.clock.warp(29_000, 1000);
  t.ok(link.connected);
  t.strictSame(await reader.call("list_dbs"), ["_Server", "T"]);
  await w.clock.warp(2000, 1000);
  t.notOk(link.connected);
  t.strictSame(await reader.call("list_dbs"), ["_Server"]);
  t.equal(await reader.rows("a", "i"), "[]", "who asks all the same gets an answer");
  for (const server of [source, relay]) server.close();
});

t.test("a configuration file", async (t) => {
  const w = world();
  const source = await w.server("source", SCHEMA);
  const server = await w.server("unused");
  createFile({ disk: w.disk, clock: w.clock, uuid: () => server.uuid() }, "/x.db", schemaFromJson(SCHEMA));
  const file = new ConfigFile(w.disk, "/c.json");
  const load = (config: Json | string): Promise<boolean> => {
    const text = typeof config === "string" ? config : JSON.stringify(config);
    w.disk.put("/c.json", new TextEncoder().encode(text));
    return file.load(server);
  };
  t.notOk(await file.load(server), "no file");
  const bad: [string, Json | string][] = [
    ["no JSON", "xx"],
    ["no object", []],
    ["no remotes", { databases: {} }],
    ["remotes of a wrong kind", { remotes: [], databases: {} }],
    ["options of a wrong kind", { remotes: { "punix:q": 3 }, databases: {} }],
    ["unknown model", { remotes: {}, databases: { "/x.db": { "service-model": "foo" } } }],
    ["relay without source", { remotes: {}, databases: { T: { "service-model": "relay" } } }],
    [
      "backup of nobody",
      { remotes: {}, databases: { T: { "service-model": "active-backup", backup: true } } },
    ],
    ["unknown member", { remotes: {}, databases: { "/x.db": { bar: 1 } } }],
    ["no such file", { remotes: {}, databases: { "/y.db": {} } }],
  ];
  for (const [what, config] of bad) t.notOk(await load(config), what);

  t.ok(
    await load({
      remotes: { "punix:q": { "read-only": true }, "punix:r": null },
      databases: { "/x.db": {} },
    }),
  );
  t.strictSame(server.remoteSpecs, ["punix:q", "punix:r"]);
  const readOnly = await w.client("q");
  t.match(JSON.stringify(await readOnly.transact(insert("a", { i: 3 }))), /read only mode/);
  const before = server.databases.get("T");
  const backup = { "service-model": "active-backup", backup: true, source: { "unix:source": {} } };
  const remotes = { "punix:r": {} };
  t.ok(await load({ remotes, databases: { "/x.db": { ...backup, "exclude-tables": ["b"] } } }));
  t.equal(server.databases.get("T"), before, "not opened again");
  t.strictSame(server.remoteSpecs, ["punix:r"]);
  await until(
    t,
    "replicates",
    () => ask(server, "sync-status"),
    "database: T\nstate: backup\nreplicating: unix:source\nexclude: T:b",
  );
  t.ok(await load({ remotes, databases: { "/x.db": { ...backup, backup: false } } }));
  t.equal(await ask(server, "sync-status"), "database: T\nstate: active\n");
  t.notOk(before!.readOnly);
  t.ok(
    await load({ remotes, databases: { T: { "service-model": "relay", source: { "unix:source": {} } } } }),
  );
  await until(t, "a relay now", () => server.databases.get("T")!.relay?.connected, true);
  for (const one of [source, server]) one.close();
});
