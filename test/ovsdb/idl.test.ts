/** The Idl against our own server, all in memory: replica, events, transactions, locks, old servers, lost connections. */
import t from "tap";
import type { Json, JsonObject } from "../../src/lib/json.ts";
import { JsonRpc } from "../../src/lib/jsonrpc.ts";
import { SimClock } from "../../src/lib/sim-clock.ts";
import type { Stream } from "../../src/lib/stream.ts";
import { MemoryNetwork, memoryPair } from "../../src/lib/stream-memory.ts";
import { Idl, type IdlOptions } from "../../src/ovsdb/idl.ts";
import { splitRemotes } from "../../src/ovsdb/idl-link.ts";
import type { DatabaseSchema } from "../../src/ovsdb/idl-types.ts";
import { schemaFromJson } from "../../src/ovsdb/schema.ts";
import { ServedDatabase } from "../../src/ovsdb/served-database.ts";
import { OvsdbServer } from "../../src/ovsdb/server.ts";
import { Database } from "../../src/ovsdb/table.ts";
import { SimDisk } from "../sim/disk.ts";
import { nodeClock, seededRandom } from "../sim/platform.ts";

const schema = {
  name: "T",
  version: "1.0.0",
  tables: {
    root: {
      isRoot: true,
      columns: {
        name: { type: "string" },
        tag: { type: { key: { type: "integer", minInteger: 0, maxInteger: 4095 }, min: 0, max: 1 } },
        big: { type: "integer" },
        set: { type: { key: "integer", min: 0, max: "unlimited" } },
        map: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
        leaves: { type: { key: { type: "uuid", refTable: "leaf" }, min: 0, max: "unlimited" } },
        stats: { type: { key: "string", value: "integer", min: 0, max: "unlimited" }, ephemeral: true },
      },
      indexes: [["name"]],
    },
    leaf: { columns: { size: { type: "integer" } } },
  },
} as const satisfies DatabaseSchema;
type Schema = typeof schema;

interface World {
  readonly server: OvsdbServer;
  readonly network: MemoryNetwork;
  idl(options?: Partial<IdlOptions<Schema>>): Promise<Idl<Schema>>;
  /** Runs operations as somebody else would. */
  other(...operations: Json[]): Promise<Json>;
}

/** `served`: what the server has in place of `schema`; `intercept`: sees requests first and may answer them. */
async function world(
  t: { teardown(run: () => void): void },
  served: DatabaseSchema = schema,
  intercept?: (method: string) => Json | undefined,
): Promise<World> {
  const network = new MemoryNetwork(nodeClock);
  const random = seededRandom(5);
  const uuid = (): string => random.uuid();
  const server = new OvsdbServer({
    clock: new SimClock(nodeClock),
    streams: network,
    disk: new SimDisk(),
    uuid,
  });
  const database = new Database(schemaFromJson(served as unknown as Json), uuid());
  server.addDatabase(new ServedDatabase(database, undefined, { clock: nodeClock, uuid }));
  await network.listen("punix:db", (stream) => {
    if (intercept === undefined) server.accept(stream);
    else between(server, stream, intercept);
  });
  const open: Idl<Schema>[] = [];
  t.teardown(() => {
    for (const idl of open) idl.close();
  });
  return {
    server,
    network,
    async idl(options = {}) {
      const idl = new Idl<Schema>({
        clock: nodeClock,
        streams: network,
        remote: "unix:db",
        schema,
        uuid,
        watch: { root: "all", leaf: "all" },
        ...options,
      });
      open.push(idl);
      idl.open();
      while (idl.state !== "live") await idl.next();
      return idl;
    },
    async other(...operations) {
      const [mine, its] = memoryPair(nodeClock);
      server.accept(its);
      const rpc = new JsonRpc(mine, { message() {}, close() {} });
      const reply = await rpc.transact("transact", ["T", ...operations]);
      rpc.close();
      return reply;
    },
  };
}

/** Stands between a client and the server, as a server of an older version would. */
function between(server: OvsdbServer, client: Stream, intercept: (method: string) => Json | undefined): void {
  const [near, far] = memoryPair(nodeClock);
  server.accept(far);
  const up = new JsonRpc(near, { message: (message) => down.send(message), close: () => down.close() });
  const down: JsonRpc = new JsonRpc(client, {
    message(message) {
      const error = message.type === "request" ? intercept(message.method) : undefined;
      if (message.type === "request" && error !== undefined) down.error(message.id, error);
      else up.send(message);
    },
    close: () => up.close(),
  });
}

const insertRoot = (name: string, row: JsonObject = {}): Json => ({
  op: "insert",
  table: "root",
  row: { name, ...row },
});

/** Waits until `done`, a few turns of the loop at most. */
async function until(idl: Idl<Schema>, done: () => boolean): Promise<void> {
  while (!done()) await idl.next();
}

t.test("a replica in the one form of each value, and its events", async (t) => {
  const w = await world(t);
  const big = 9007199254740993n;
  await w.other(
    insertRoot("a", { tag: 7, big, set: ["set", [3, 1]], map: ["map", [["k", "v"]]] }),
    insertRoot("b"),
  );
  const idl = await w.idl();
  const [a, b] = [...idl.rows("root")].sort((x, y) => (x.name < y.name ? -1 : 1));
  t.equal(a!.tag, 7);
  t.equal(b!.tag, undefined);
  t.equal(a!.big, big, "past 2^53 a bigint");
  t.equal(b!.big, 0);
  t.same([...a!.set], [1, 3]);
  t.same([...a!.map], [["k", "v"]]);
  t.equal(idl.changes("root").length, 2, "the first state is all inserts");
  t.same(idl.changes("root"), [], "taken once");

  const before = idl.seqno;
  await w.other({ op: "update", table: "root", where: [["name", "==", "a"]], row: { tag: 8 } });
  await w.other({
    op: "mutate",
    table: "root",
    where: [["name", "==", "a"]],
    mutations: [["set", "insert", 2]],
  });
  await w.other({ op: "delete", table: "root", where: [["name", "==", "b"]] }, insertRoot("c"));
  await until(idl, () => idl.count("root") === 2 && idl.row("root", b!._uuid) === undefined);
  t.ok(idl.seqno > before);
  const changes = idl.changes("root");
  t.equal(changes.length, 3, "one a row");
  const ofA = changes.find(({ uuid }) => uuid === a!._uuid)!;
  t.equal(ofA.old!.tag, 7);
  t.equal(ofA.row!.tag, 8);
  t.same([...ofA.row!.set], [1, 2, 3]);
  t.equal(a!.tag, 7, "the old snapshot is as it was");
  t.equal(changes.find(({ uuid }) => uuid === b!._uuid)!.row, undefined);
  t.equal(changes.find(({ row }) => row?.name === "c")!.old, undefined);
});

t.test("quiet columns make no events, unwatched and write-only ones read as default", async (t) => {
  const w = await world(t);
  await w.other(insertRoot("a", { tag: 1, big: 5, stats: ["map", [["x", 1]]] }));
  const idl = await w.idl({ watch: { root: { columns: ["name"], quiet: ["big"], writeOnly: ["stats"] } } });
  const [row] = idl.rows("root");
  t.equal(row!.big, 5);
  t.equal(row!.tag, undefined, "not watched");
  t.equal(row!.stats.size, 0, "write-only");
  idl.changes("root");
  const { seqno } = idl;
  await w.other({ op: "update", table: "root", where: [], row: { big: 6 } });
  const txn = idl.transaction();
  txn.update("root", row!._uuid, { stats: { y: 2 } });
  t.equal((await txn.commit()).status, "success");
  t.equal(idl.row("root", row!._uuid)!.big, 6);
  t.equal(idl.seqno, seqno);
  t.same(idl.changes("root"), []);
  const [reply] = (await w.other({ op: "select", table: "root", where: [] })) as [
    { rows: [{ stats: Json }] },
  ];
  t.same(reply.rows[0].stats, ["map", [["y", 2]]]);
});

t.test("transactions", async (t) => {
  const w = await world(t);
  const idl = await w.idl();

  const make = idl.transaction();
  const leaf = make.insert("leaf", { size: 3 });
  const root = make.insert("root", { name: "a", leaves: [leaf], map: { k: "v" } });
  t.equal(make.row("root", root)!.name, "a", "reads see the writes");
  make.comment("test");
  const made = await make.commit();
  t.equal(made.status, "success");
  const uuid = made.uuidOf(root);
  t.not(uuid, root);
  await until(idl, () => idl.row("root", uuid) !== undefined);
  t.same(
    idl.refs("leaf", idl.row("root", uuid)!.leaves).map(({ size }) => size),
    [3],
  );

  const same = idl.transaction();
  same.update("root", uuid, { name: "a" });
  t.equal((await same.commit()).status, "unchanged", "nothing is sent for the same value");

  const bad = idl.transaction();
  bad.insert("root", { name: "a" });
  const refused = await bad.commit();
  t.equal(refused.status, "error");
  t.match(refused.error, /"error":"constraint violation"/);

  const count = idl.transaction();
  count.increment("root", uuid, "big", true);
  t.equal((await count.commit()).increment, 1);

  const mutate = idl.transaction();
  mutate.add("root", uuid, "map", { k: "new", l: "w" });
  mutate.add("root", uuid, "set", [5, 6]);
  t.same(
    [...mutate.row("root", uuid)!.map],
    [
      ["k", "new"],
      ["l", "w"],
    ],
  );
  await w.other({ op: "mutate", table: "root", where: [], mutations: [["set", "insert", 9]] });
  t.equal((await mutate.commit()).status, "success");
  await until(idl, () => idl.row("root", uuid)!.map.get("k") === "new");
  t.same([...idl.row("root", uuid)!.set], [5, 6, 9], "elements of others stay");
  const cut = idl.transaction();
  cut.remove("root", uuid, "map", ["k"]);
  cut.remove("root", uuid, "set", [6, 77]);
  await cut.commit();
  await until(idl, () => !idl.row("root", uuid)!.map.has("k"));
  t.same([...idl.row("root", uuid)!.set], [5, 9]);

  const guarded = idl.transaction();
  guarded.verify("root", uuid, "tag");
  guarded.update("root", uuid, { big: 10 });
  await w.other({ op: "update", table: "root", where: [], row: { tag: 1 } });
  t.equal((await guarded.commit()).status, "tryAgain", "somebody was faster");

  const dry = idl.transaction();
  dry.update("root", uuid, { big: 11 });
  dry.dryRun = true;
  t.equal((await dry.commit()).status, "success");
  const aborted = idl.transaction();
  aborted.abort();
  t.equal((await aborted.commit()).status, "aborted");
  const [reply] = (await w.other({ op: "select", table: "root", where: [] })) as [{ rows: [{ big: Json }] }];
  t.equal(reply.rows[0].big, 1, "neither of them changed anything");

  const gone = idl.transaction();
  gone.delete("root", uuid);
  t.equal(gone.row("root", uuid), undefined);
  await gone.commit();
  await until(idl, () => idl.count("root") === 0 && idl.count("leaf") === 0);
});

t.test("older and newer servers", async (t) => {
  const { tag: _tag, ...columns } = schema.tables.root.columns;
  const older = {
    ...schema,
    tables: { root: { ...schema.tables.root, columns: { ...columns, extra: { type: "string" } } } },
  } as unknown as DatabaseSchema;
  delete (older.tables.root as { columns: Record<string, unknown> }).columns.leaves;
  for (const trustSchema of [false, true]) {
    const w = await world(t, older);
    await w.other(insertRoot("a", { extra: "x" }));
    const idl = await w.idl({ trustSchema });
    const [row] = idl.rows("root");
    t.equal(row!.tag, undefined, "a missing column reads as its default");
    t.equal((row as unknown as { extra: string }).extra, "x", "one that we do not know is there");
    t.same([...idl.rows("leaf")], [], "a missing table is empty");
    t.notOk(idl.has("root", "tag"));
    t.ok(idl.has("root", "extra"));
    const txn = idl.transaction();
    txn.update("root", row!._uuid, { tag: 5, name: "b" });
    t.equal((await txn.commit()).status, "success", "what the server lacks is not written");
  }
  for (const missing of [["monitor_cond_since"], ["monitor_cond_since", "monitor_cond"]]) {
    const w = await world(t, schema, (method) => (missing.includes(method) ? "unknown method" : undefined));
    await w.other(insertRoot("a", { set: ["set", [1]] }));
    const idl = await w.idl();
    await w.other({ op: "mutate", table: "root", where: [], mutations: [["set", "insert", 2]] });
    await until(idl, () => [...idl.rows("root")][0]!.set.size === 2);
    t.pass(`without ${missing.join(", ")}`);
    await w.other({ op: "delete", table: "root", where: [] });
    await until(idl, () => idl.count("root") === 0);
  }
});

t.test("locks", async (t) => {
  const w = await world(t);
  const first = await w.idl({ lock: "l" });
  await until(first, () => first.isLocked);
  const second = await w.idl({ lock: "l" });
  await until(second, () => second.isLockContended);
  const txn = second.transaction();
  txn.insert("root", { name: "x" });
  t.equal((await txn.commit()).status, "notLocked");
  const allowed = first.transaction();
  allowed.insert("root", { name: "y" });
  t.equal((await allowed.commit()).status, "success");
  first.close();
  await until(second, () => second.isLocked);
  t.notOk(second.isLockContended, "handed on");
});

t.test("a lost connection", async (t) => {
  const accepted: Stream[] = [];
  const w = await world(t);
  await w.network.listen("punix:two", (stream) => {
    accepted.push(stream);
    w.server.accept(stream);
  });
  await w.other(insertRoot("a"), insertRoot("b"));
  const idl = await w.idl({ remote: "unix:two" });
  idl.changes("root");
  const [first] = idl.rows("root");
  accepted.pop()!.destroy();
  await until(idl, () => idl.state !== "live");
  t.equal(idl.count("root"), 2, "what was known stays");
  await w.other({ op: "delete", table: "root", where: [["name", "==", "b"]] }, insertRoot("c"));
  const txn = idl.transaction();
  txn.update("root", first!._uuid, { big: 2 });
  t.equal((await txn.commit()).status, "tryAgain", "not connected");
  await until(idl, () => idl.state === "live");
  t.same(
    idl
      .changes("root")
      .map(({ old, row }) => [old?.name, row?.name])
      .sort(),
    [
      [undefined, "c"],
      ["b", undefined],
    ],
  );

  const dead = new Idl({
    clock: nodeClock,
    streams: w.network,
    remote: "unix:nowhere",
    schema,
    uuid: () => "",
    watch: {},
    retry: false,
  }).open();
  while (dead.state !== "dead") await dead.next();
  t.ok(dead.lastError, "without retry the first failure is the last");
});

t.test("remotes in one text", async (t) => {
  t.same(splitRemotes("unix:a"), ["unix:a"]);
  t.same(splitRemotes("tcp:1.2.3.4:5, ssl:h:6,punix:/a,b"), ["tcp:1.2.3.4:5", "ssl:h:6", "punix:/a,b"]);
});
