/** Database files: what survives a cut at any byte, a loss of power, a full disk, compaction; replay equals memory. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import t from "tap";
import { SimClock } from "../../src/lib/sim-clock.ts";
import { checkCluster } from "../../src/ovsdb/cluster-check.ts";
import { clusteredDatabase, readClusterHeader, showClusterLog } from "../../src/ovsdb/cluster-file.ts";
import { createFile, DatabaseFile, loadFile } from "../../src/ovsdb/database-file.ts";
import { datumJsonText } from "../../src/ovsdb/datum.ts";
import { nodeDisk } from "../../src/ovsdb/disk-node.ts";
import { execute } from "../../src/ovsdb/execute.ts";
import type { FileContext } from "../../src/ovsdb/file-context.ts";
import { GarbageWatch } from "../../src/ovsdb/garbage.ts";
import type { Json } from "../../src/ovsdb/json-text.ts";
import { schemaFromJson } from "../../src/ovsdb/schema.ts";
import { type Answer, ServedDatabase } from "../../src/ovsdb/served-database.ts";
import type { Database } from "../../src/ovsdb/table.ts";
import { SimDisk } from "../sim/disk.ts";
import { seededRandom } from "../sim/platform.ts";

const SCHEMA = schemaFromJson({
  name: "T",
  version: "1.0.0",
  tables: {
    Root: {
      isRoot: true,
      columns: {
        name: { type: "string" },
        numbers: { type: { key: "integer", min: 0, max: "unlimited" } },
        options: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
        maybe: { type: { key: "real", min: 0, max: 1 } },
        leaves: { type: { key: { type: "uuid", refTable: "Leaf" }, min: 0, max: "unlimited" } },
        liked: {
          type: { key: { type: "uuid", refTable: "Leaf", refType: "weak" }, min: 0, max: "unlimited" },
        },
        passing: { type: "integer", ephemeral: true },
      },
    },
    Leaf: { columns: { size: { type: "integer" } } },
    Unique: {
      isRoot: true,
      columns: { key: { type: "integer" }, other: { type: "string" } },
      indexes: [["key"], ["key", "other"]],
    },
  },
});

function world(later?: (run: () => void) => void, stepBytes?: number) {
  const disk = new SimDisk(later);
  const clock = new SimClock(undefined, undefined, 1_800_000_000_000);
  const random = seededRandom(7);
  const steps = stepBytes === undefined ? {} : { stepBytes };
  const context: FileContext = { disk, clock, uuid: () => random.uuid(), ...steps };
  createFile(context, "/db", SCHEMA);
  disk.syncFolderNow();
  const open = (): ServedDatabase => {
    const file = new DatabaseFile(context, "/db");
    return new ServedDatabase(file.database, file, { clock, uuid: context.uuid });
  };
  return { disk, clock, context, open };
}

const ANYBODY = { readOnly: false, holdsLock: () => false };

/** `failed` is for relays. */
const answer = (done: (results: string) => void): Answer => ({ done, failed: () => {} });

function transact(served: ServedDatabase, ...operations: Json[]): string {
  let reply = "";
  served.transact(
    ANYBODY,
    operations,
    answer((results) => {
      reply = results;
    }),
  );
  return reply;
}

/** All persistent data, in one order. */
function contents(database: Database): string {
  const lines: string[] = [];
  for (const table of database.tables.values()) {
    for (const row of table.rows.values()) {
      const values = table.schema.columns
        .filter((column) => !column.ephemeral)
        .map((column) => datumJsonText(column.type, row.data[column.index]!));
      lines.push(`${table.name} ${row.uuid} ${values.join(" ")}`);
    }
  }
  return lines.sort().join("\n");
}

/** What transactions keep up to date must equal what loading makes anew. */
function derived(database: Database): string {
  const lines: string[] = [];
  for (const table of database.tables.values()) {
    for (const row of table.rows.values()) {
      lines.push(
        `${row.uuid} ${row.references} ${[...(row.weakFrom ?? [])].map((from) => from.uuid).sort()}`,
      );
    }
  }
  for (const table of database.tables.values()) {
    for (const index of table.indexes) for (const [key, row] of index) lines.push(`${key} ${row.uuid}`);
  }
  return lines.sort().join("\n");
}

t.test("a file cut at any byte is opened at its last whole transaction", async (t) => {
  const { disk, open, context } = world();
  const served = open();
  const states = new Map<number, string>([[served.file!.length, contents(served.database)]]);
  for (let i = 0; i < 4; i++) {
    transact(served, { op: "insert", table: "Root", row: { name: `n${i}é`, numbers: ["set", [1, i + 5]] } });
    states.set(served.file!.length, contents(served.database));
    transact(served, { op: "mutate", table: "Root", where: [], mutations: [["numbers", "insert", 100 + i]] });
    states.set(served.file!.length, contents(served.database));
  }
  served.close();
  const bytes = disk.read("/db");
  const ends = [...states.keys()];
  let wrong = 0;
  for (let cut = ends[0]!; cut <= bytes.length; cut++) {
    const want = Math.max(...ends.filter((end) => end <= cut));
    disk.put("/cut", bytes.subarray(0, cut));
    const loaded = loadFile(disk, "/cut", context.uuid);
    const torn = loaded.torn !== undefined;
    if (loaded.length !== want || contents(loaded.database) !== states.get(want) || torn !== cut > want)
      wrong++;
  }
  t.equal(wrong, 0, `${bytes.length - ends[0]!} cuts`);
  for (let cut = 0; cut < ends[0]!; cut++) {
    disk.put("/cut", bytes.subarray(0, cut));
    t.throws(() => loadFile(disk, "/cut", context.uuid), `schema cut at ${cut}`);
  }
  // The next write cuts the torn tail off.
  const end = ends.at(-2)!;
  disk.put("/db", bytes.subarray(0, end + 20));
  const again = open();
  t.match(again.file!.torn?.message, /\/db: (parse error at offset|error reading)/);
  transact(again, { op: "insert", table: "Root", row: { name: "after" } });
  again.close();
  const loaded = loadFile(disk, "/db", context.uuid);
  t.equal(loaded.torn, undefined);
  t.equal([...loaded.database.tables.get("Root")!.rows.values()].length, 5);
});

t.test("a bit that flips ends the reading before it", async (t) => {
  const { disk, open, context } = world();
  const served = open();
  const first = served.file!.length;
  transact(served, { op: "insert", table: "Root", row: { name: "a" } });
  const second = served.file!.length;
  transact(served, { op: "insert", table: "Root", row: { name: "b" } });
  served.close();
  const bytes = disk.read("/db");
  for (const at of [first + 3, first + 20, second - 5]) {
    const broken = bytes.slice();
    broken[at] = broken[at]! ^ 1;
    disk.put("/cut", broken);
    const loaded = loadFile(disk, "/cut", context.uuid);
    t.equal(loaded.length, first, `byte ${at}`);
    t.ok(loaded.torn);
  }
});

t.test("durable transactions survive a loss of power, and share syncs", async (t) => {
  const waiting: (() => void)[] = [];
  const { disk, open, context } = world((run) => void waiting.push(run));
  const served = open();
  let replies = 0;
  const before = disk.syncs;
  for (let i = 0; i < 10; i++) {
    served.transact(
      ANYBODY,
      [
        { op: "insert", table: "Root", row: { name: `d${i}` } },
        { op: "commit", durable: true },
      ],
      answer(() => replies++),
    );
  }
  t.equal(replies, 0, "no reply before the sync");
  const bytes = disk.read("/db");
  disk.crash();
  t.equal(
    loadFile(disk, "/db", context.uuid).database.tables.get("Root")!.rows.size,
    0,
    "the disk does forget",
  );
  disk.put("/db", bytes);
  const drain = async (): Promise<void> => {
    for (let run = waiting.shift(); run !== undefined; run = waiting.shift()) {
      run();
      for (let i = 0; i < 5; i++) await null;
    }
  };
  await drain();
  t.equal(replies, 10);
  t.equal(disk.syncs - before, 2, "one sync for the first, one for the nine that waited");
});

t.test("what has been replied to durably is there after a crash", async (t) => {
  const { disk, open, context } = world();
  const served = open();
  for (let i = 0; i < 5; i++) {
    await new Promise<void>((resolve) => {
      served.transact(
        ANYBODY,
        [
          { op: "insert", table: "Root", row: { name: `d${i}` } },
          { op: "commit", durable: true },
        ],
        answer(() => resolve()),
      );
    });
    transact(served, { op: "insert", table: "Root", row: { name: `v${i}` } });
  }
  disk.crash();
  const names = [...loadFile(disk, "/db", context.uuid).database.tables.get("Root")!.rows.values()].map(
    (row) => row.data[SCHEMA.tables.get("Root")!.byName.get("name")!.index]!.keys[0],
  );
  for (let i = 0; i < 5; i++) t.ok(names.includes(`d${i}`), `d${i}`);
});

t.test("other transactions are synced within 100 ms", async (t) => {
  const { disk, clock, open, context } = world();
  const served = open();
  transact(served, { op: "insert", table: "Root", row: { name: "x" } });
  clock.stop?.();
  await clock.warp(101);
  await new Promise((resolve) => setImmediate(resolve));
  disk.crash();
  t.equal(loadFile(disk, "/db", context.uuid).database.tables.get("Root")!.rows.size, 1);
});

t.test("a full disk fails the transaction and leaves file and memory as they were", async (t) => {
  const { disk, open, context } = world();
  const served = open();
  transact(served, { op: "insert", table: "Root", row: { name: "kept" } });
  const before = contents(served.database);
  disk.failWrites = "ENOSPC";
  const reply = transact(served, { op: "insert", table: "Root", row: { name: "lost" } });
  t.match(reply, /"error":"I\/O error"/);
  t.match(reply, /No space left on device/);
  t.equal(contents(served.database), before);
  disk.failWrites = undefined;
  transact(served, { op: "insert", table: "Root", row: { name: "again" } });
  const loaded = loadFile(disk, "/db", context.uuid);
  t.equal(loaded.torn, undefined);
  t.equal(contents(loaded.database), contents(served.database));
});

t.test("one process at a time", async (t) => {
  const { open } = world();
  const served = open();
  t.throws(open, { message: "I/O error: /db: failed to lock lockfile (Resource temporarily unavailable)" });
  served.close();
  open().close();
});

const name = fc.constantFrom("a", "b", "c");
const digit = fc.integer({ min: 0, max: 2 });
const op: fc.Arbitrary<Json> = fc.oneof(
  digit.map((key) => ({ op: "insert", table: "Unique", row: { key } }) as Json),
  digit.map((key) => ({ op: "delete", table: "Unique", where: [["key", "==", key]] }) as Json),
  fc
    .tuple(digit, digit, name)
    .map(
      ([from, key, other]) =>
        ({ op: "update", table: "Unique", where: [["key", "==", from]], row: { key, other } }) as Json,
    ),
  name.map((value) => ({ op: "insert", table: "Root", row: { name: value } }) as Json),
  fc.tuple(name, fc.array(fc.integer({ min: 0, max: 5 }))).map(
    ([value, numbers]) =>
      ({
        op: "update",
        table: "Root",
        where: [["name", "==", value]],
        row: { numbers: ["set", [...new Set(numbers)]], maybe: 1.5, passing: 7 },
      }) as Json,
  ),
  fc.tuple(name, name, name).map(
    ([value, key, to]) =>
      ({
        op: "mutate",
        table: "Root",
        where: [["name", "==", value]],
        mutations: [
          ["options", "delete", key],
          ["options", "insert", ["map", [[key, to]]]],
        ],
      }) as Json,
  ),
  name.map((value) => ({ op: "delete", table: "Root", where: [["name", "==", value]] }) as Json),
  fc.constantFrom<Json>({ op: "insert", table: "Leaf", row: { size: 3 }, "uuid-name": "leaf" }),
  name.map(
    (value) =>
      ({
        op: "mutate",
        table: "Root",
        where: [["name", "==", value]],
        mutations: [
          ["leaves", "insert", ["set", [["named-uuid", "leaf"]]]],
          ["liked", "insert", ["set", [["named-uuid", "leaf"]]]],
        ],
      }) as Json,
  ),
  name.map(
    (value) =>
      ({ op: "update", table: "Root", where: [["name", "==", value]], row: { leaves: ["set", []] } }) as Json,
  ),
);

t.test(
  "replay equals memory, compaction changes nothing, a failed transaction changes nothing",
  async (t) => {
    const stream = fc.array(fc.array(op, { maxLength: 6 }), { maxLength: 12 });
    fc.assert(
      fc.property(stream, fc.nat(), (transactions, compactAt) => {
        const { disk, open, context } = world();
        const served = open();
        transactions.forEach((operations, i) => {
          const before = contents(served.database) + derived(served.database);
          const reply = transact(served, ...operations);
          if (reply.includes('"error"') && contents(served.database) + derived(served.database) !== before) {
            throw new Error(`a failed transaction left traces: ${JSON.stringify(operations)}`);
          }
          if (i === compactAt % 12) served.file!.replace(served.database, "test");
          const loaded = loadFile(disk, "/db", context.uuid);
          if (loaded.torn !== undefined) throw loaded.torn;
          if (contents(loaded.database) !== contents(served.database)) throw new Error("contents differ");
          if (derived(loaded.database) !== derived(served.database)) throw new Error("references differ");
        });
        return true;
      }),
      { numRuns: 150 },
    );
    t.pass();
  },
);

t.test("a crash at any moment of a compaction leaves a whole file with all that was promised", async (t) => {
  // The disk takes its time: much happens during a sync.
  const { disk, open, context } = world((run) => void setImmediate(() => setImmediate(run)), 50);
  const served = open();
  for (let i = 0; i < 12; i++)
    transact(served, { op: "insert", table: "Root", row: { name: `n${i}`, numbers: ["set", [i, i + 100]] } });
  /** After each transaction; those from `promised` on may be found after a loss of power, any after a kill but the last two. */
  const states = [contents(served.database)];
  let promised = 0;
  const wrong: string[] = [];
  let moments = 0;
  const look = (how: "kill" | "nothing" | "names"): void => {
    const copy = disk.copy();
    if (how !== "kill") copy.crash(how);
    const loaded = loadFile(copy, "/db", context.uuid);
    const state = states.lastIndexOf(contents(loaded.database));
    const least = how === "kill" ? states.length - 1 : promised;
    if (state < least)
      wrong.push(`${how} at change ${moments}: ${state} of ${states.length}, ${promised} promised`);
    if (how === "kill" && loaded.torn !== undefined) wrong.push(loaded.torn.message);
    const again = new DatabaseFile({ ...context, disk: copy }, "/db");
    again.replace(again.database, "what the crash has left is in nobody's way");
    again.close();
  };
  await served.file!.sync();
  disk.onChange = () => {
    moments++;
    for (const how of ["kill", "nothing", "names"] as const) look(how);
  };
  let compacted = false;
  const first = disk.read("/db").length;
  const compaction = served.file!.compact("test").then(() => {
    compacted = true;
  });
  let afterwards = 12;
  for (let i = 0; !compacted || afterwards-- > 0; i++) {
    const number = states.length;
    const operations: Json[] = [
      { op: "update", table: "Root", where: [["name", "==", `n${i % 12}`]], row: { numbers: 1000 + i } },
    ];
    if (i % 3 === 1)
      operations.push({ op: "delete", table: "Root", where: [["name", "==", `n${(i * 7) % 12}`]] });
    if (i % 3 === 2)
      operations.push({ op: "insert", table: "Root", row: { name: `n${(i * 5) % 12}`, numbers: i } });
    operations.push({ op: "commit", durable: i % 2 === 0 });
    const done = (): void => {
      if (i % 2 === 0) promised = Math.max(promised, number);
    };
    served.transact(ANYBODY, operations, answer(done));
    // Noted before anything else changes: the record itself is one write.
    states.push(contents(served.database));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await compaction;
  for (let i = 0; i < 6; i++) await new Promise((resolve) => setImmediate(resolve));
  t.same(wrong, []);
  t.ok(moments > 40, `${moments} moments`);
  t.ok(disk.read("/db").length !== first);
  t.equal(contents(loadFile(disk, "/db", context.uuid).database), contents(served.database));
  t.equal(disk.exists("/db.tmp"), false);
  served.close();
});

t.test("a compaction that cannot be finished leaves everything as it was", async (t) => {
  const { disk, open, context } = world(undefined, 50);
  const served = open();
  for (let i = 0; i < 5; i++) transact(served, { op: "insert", table: "Root", row: { name: `n${i}` } });
  const held = disk.lock("/.db.tmp.~lock~") as { release(): void };
  await t.rejects(served.file!.compact("test"), /failed to lock lockfile/);
  held.release();
  const full = served.file!.compact("test");
  for (let i = 0; i < 9; i++) await new Promise((resolve) => setImmediate(resolve));
  disk.failWrites = "ENOSPC";
  await t.rejects(full, /No space left on device/);
  disk.failWrites = undefined;
  const cut = served.file!.compact("test");
  served.file!.replace(served.database, "at once");
  await t.rejects(cut, /compaction was cancelled/);
  transact(served, { op: "insert", table: "Root", row: { name: "later" } });
  t.equal(disk.exists("/db.tmp"), false);
  await served.file!.compact("test");
  t.equal(served.file!.records, 0);
  t.equal(contents(loadFile(disk, "/db", context.uuid).database), contents(served.database));
  const last = served.file!.compact("test");
  served.close();
  await t.rejects(last, /compaction was cancelled/);
  t.equal(disk.exists("/db.tmp"), false);
});

t.test("a query runs without a file", async (t) => {
  const { disk, context } = world();
  const { database } = loadFile(disk, "/db", context.uuid);
  const outcome = execute({ database, uuid: context.uuid, readOnly: true, locks: ANYBODY, elapsed: 0 }, [
    { op: "insert", table: "Root", row: {} },
  ]);
  t.match(outcome, { kind: "done", transaction: undefined });
});

function writeClustered(disk: SimDisk, path: string, records: readonly Json[]): void {
  const parts = records.map((json) => {
    const text = `${JSON.stringify(json)}\n`;
    const hash = createHash("sha1").update(text).digest("hex");
    return `OVSDB CLUSTER ${text.length} ${hash}\n${text}`;
  });
  const file = disk.open(path, "create");
  file.write(new TextEncoder().encode(parts.join("")), 0);
  file.close();
}

t.test("clustered files are read", async (t) => {
  const disk = new SimDisk();
  const schema = (version: string): Json => ({
    name: "C",
    version,
    cksum: "1 2",
    tables: {
      t: {
        isRoot: true,
        columns: { a: { type: "integer" }, ...(version === "1.0.0" ? {} : { b: { type: "string" } }) },
      },
    },
  });
  const ids = ["1", "2", "3"].map((digit) => `${digit.repeat(8)}-0000-4000-8000-000000000000`);
  const [one, two, three] = ids as [string, string, string];
  const write = (path: string, ...records: Json[]): void => writeClustered(disk, path, records);
  const entry = (index: number, data: Json): Json => ({ term: 2, index, eid: one, data });
  const member = { name: "C", server_id: two, local_address: "tcp:1.2.3.4:5" };
  const snapshot = {
    ...member,
    cluster_id: three,
    prev_index: 1,
    prev_term: 1,
    prev_servers: { [two]: "tcp:1.2.3.4:5" },
    prev_eid: one,
    prev_data: [schema("1.0.0"), { _date: 1_800_000_000_000, t: { [one]: { a: 1 } } }],
  };
  write(
    "/c",
    snapshot,
    { term: 2, vote: two },
    entry(2, [null, { _is_diff: true, _comment: "by the old leader", t: { [two]: { a: 2 } } }]),
    entry(3, [null, { _is_diff: true, t: { [three]: { a: 3 } } }]),
    entry(2, [null, { _is_diff: true, _comment: "by the new one", t: { [two]: { a: 20 } } }]),
    { commit_index: 2 },
    entry(3, [schema("2.0.0"), null]),
    entry(4, [null, { _is_diff: true, t: { [one]: { b: "new" } } }]),
    { note: "left" },
  );
  write("/joining", { ...member, remote_addresses: ["tcp:1.2.3.4:6", "tcp:1.2.3.4:7"] });
  t.match(readClusterHeader(disk, "/c"), {
    name: "C",
    serverId: two,
    localAddress: "tcp:1.2.3.4:5",
    clusterId: three,
  });
  t.equal(readClusterHeader(disk, "/joining").clusterId, undefined);
  const random = seededRandom(1);
  const database = clusteredDatabase(disk, "/c", () => random.uuid());
  const rows = [...database.tables.get("t")!.rows.values()].map(({ uuid, data }) => [
    uuid,
    ...data.map(({ keys }) => keys[0]),
  ]);
  t.strictSame(
    rows,
    [
      [one, 1, "new"],
      [two, 20, ""],
    ],
    "the new leader's entries, under the new schema",
  );
  t.throws(() => clusteredDatabase(disk, "/joining", () => random.uuid()), /not joined/);
  t.throws(
    () => readClusterHeader(world().disk, "/db"),
    /cannot apply this operation to stand-alone database file/,
  );
  t.throws(
    () => loadFile(disk, "/c", () => random.uuid()),
    /cannot apply this operation to clustered database file/,
  );
  let text = "";
  showClusterLog(disk.read("/c"), "/c", 1, (piece) => (text += piece));
  t.match(
    text,
    /^record 0:\n name: "C"\n local address: "tcp:1.2.3.4:5"\n server_id: 2222\n cluster_id: 3333\n prev_index: 1\n/,
  );
  t.match(
    text,
    /\n prev_schema: "C", version="1.0.0", cksum="1 2"\n 2027-01-15 08:00:00.000\n {2}table t insert row 11111111:\n\nrecord 1:\n/,
  );
  t.match(text, /record 4:\n term: 2\n index: 2\n eid: 1111\n "by the new one"\n {2}table t row/);
  t.match(text, /record 8:\n note: "left"\n\n$/);
  text = "";
  showClusterLog(disk.read("/joining"), "/joining", 0, (piece) => (text += piece));
  t.match(text, / remote_addresses: tcp:1.2.3.4:6 tcp:1.2.3.4:7\n\n$/);
});

t.test("check-cluster finds what cannot be", async (t) => {
  const [a, b] = ["a", "b"].map((letter) => `${letter.repeat(8)}-1111-4111-8111-111111111111`) as [
    string,
    string,
  ];
  const header = (id: string, more: object = {}): Json => ({
    name: "D",
    server_id: id,
    local_address: "unix:x",
    cluster_id: "cccccccc-1111-4111-8111-111111111111",
    prev_index: 1,
    prev_term: 1,
    prev_eid: a,
    prev_servers: { [a]: "unix:a", [b]: "unix:b" },
    prev_data: [{}, {}],
    ...more,
  });
  const entry = (index: number, term: number, n = index): Json => ({
    term,
    index,
    eid: a,
    data: [null, { n }],
  });
  const log: readonly Json[] = [
    { term: 1, leader: a },
    entry(2, 1),
    { commit_index: 2 },
    entry(3, 1),
    { commit_index: 3 },
  ];
  const good: readonly Json[] = [header(a), { term: 1, vote: a }, ...log];
  const other: readonly Json[] = [header(b), { term: 1 }, ...log];
  // Messages as the original's, seen with the same files; "" where it finds nothing.
  const cases: readonly { name: string; files: readonly (readonly Json[])[]; want: string | RegExp }[] = [
    { name: "good files", files: [good, other], want: "" },
    { name: "one is behind", files: [good, other.slice(0, 5)], want: "" },
    {
      name: "not joined",
      files: [good, [{ name: "D", server_id: b, local_address: "unix:b", remote_addresses: ["unix:a"] }]],
      want: "/1 has not joined the cluster, omitting",
    },
    { name: "one server twice", files: [good, good], want: "Duplicate server ID aaaa in /1 and /0." },
    {
      name: "two clusters",
      files: [good, [header(b, { cluster_id: b })]],
      want: "/0 has cluster ID cccc but /1 has cluster ID bbbb",
    },
    {
      name: "two names",
      files: [good, [header(b, { name: "E" })]],
      want: '/0 is named "D" but /1 is named "E"',
    },
    {
      name: "two leaders of a term",
      files: [good, [header(b), { term: 1, leader: b }]],
      want: "term 1 has two different leaders: /0 says that the leader is /0 and /1 says that the leader is /1",
    },
    {
      name: "two leaders in one file",
      files: [[...good, { term: 1, leader: b }]],
      want: "/0: record 7 reports leader bbbb for term 1 but record 2 previously reported the leader as /0 in that term",
    },
    {
      name: "two votes",
      files: [[...good, { term: 1, vote: b }]],
      want: "/0: record 7 votes for bbbb in term 1 but a previous record for the same term voted for /0",
    },
    {
      name: "commit goes back",
      files: [[...good, { commit_index: 2 }]],
      want: "/0: record 7 regresses commit index from 3 to 2",
    },
    {
      name: "commit of what is not there",
      files: [[...good, { commit_index: 9 }]],
      want: "/0: record 7 advances commit index to 9 but last log index is 3",
    },
    {
      name: "a gap",
      files: [[...good, entry(7, 1)]],
      want: "/0: record 7 with index 7 skips past expected index 4",
    },
    {
      name: "committed entries go",
      files: [[...other, entry(2, 1)]],
      want: "/0: record 7 attempts to truncate log from 4 to 2 entries, but commit index is already 3",
    },
    {
      name: "a leader takes back",
      files: [[...good, entry(4, 1), entry(4, 1, 8)]],
      want: "/0: record 8 truncates log from 5 to 4 entries while server is leader",
    },
    {
      name: "a new leader decides otherwise",
      files: [[...good, entry(4, 1), { term: 2 }, entry(4, 2, 8)]],
      want: "/0: record 9 truncates log from 5 to 4 entries",
    },
    {
      name: "terms fall",
      files: [[header(a), entry(2, 3), entry(3, 2)]],
      want: "/0: record 2 with index 3 term 2 precedes previous entry's term 3",
    },
    {
      name: "entries differ",
      files: [good, [header(b), entry(2, 1, 77)]],
      want: /^log entries with index 2 differ:\n\/0 has \{"data":\[null,\{"n":2\}\],.*\n\/1 has .*"n":77.*"term":1\}$/,
    },
    {
      name: "a leader lacks what was committed",
      files: [good, [...other.slice(0, 4), { term: 2, leader: b }]],
      want: "leader /1 for term 2 has log entries only up to index 2, but index 3 was committed in a previous term (e.g. by /0)",
    },
    {
      name: "a record with too much",
      files: [[...good, { term: 1, vote: a, index: 4 }]],
      want: /: syntax error: Parsing raft log record failed: Member 'index' is present but not allowed here\.$/,
    },
    {
      name: "a header with too little",
      files: [[header(a, { prev_eid: undefined })]],
      want: /: syntax error: Parsing raft header failed: Required 'prev_eid' member is missing\.$/,
    },
  ];
  for (const { name, files, want } of cases) {
    const disk = new SimDisk();
    for (const [i, records] of files.entries()) writeClustered(disk, `/${i}`, records);
    const lines: string[] = [];
    try {
      checkCluster(
        disk,
        files.map((_, i) => `/${i}`),
        (line) => lines.push(line),
      );
    } catch (error) {
      lines.push((error as Error).message);
    }
    if (typeof want === "string") t.equal(lines.join("\n"), want, name);
    else t.match(lines.join("\n"), want, name);
  }
});

t.test("garbage is collected after much was written, when it is quiet again", async (t) => {
  const { clock } = world();
  let collected = 0;
  const watch = new GarbageWatch(clock, 1_000_000, () => collected++);
  const steps: [length: number, quietMs: number, collected: number, what: string][] = [
    [4_999_999, 1000, 0, "little"],
    [5_000_000, 200, 0, "much, just now"],
    [6_000_000, 200, 0, "still more"],
    [6_000_000, 600, 1, "quiet"],
    [9_999_999, 1000, 1, "little since"],
    [500_000, 1000, 1, "compacted"],
    [4_500_000, 700, 2, "much since"],
  ];
  for (const [length, quietMs, wanted, what] of steps) {
    watch.note(length);
    await clock.warp(quietMs);
    t.equal(collected, wanted, what);
  }
});

t.test("a file that is closed leaves its descriptor, by now another's, alone", async (t) => {
  const disk = nodeDisk(() => {
    throw new Error("no lock is taken here");
  });
  const dir = t.testdir();
  const file = disk.open(join(dir, "one"), "create");
  const syncing = file.sync();
  file.close();
  await syncing;
  const other = disk.open(join(dir, "other"), "create");
  await file.sync();
  other.write(Buffer.from("still open"), 0);
  t.equal(readFileSync(join(dir, "other"), "utf8"), "still open");
  other.close();
});
