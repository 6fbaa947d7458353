/** The server over memory streams: operations, monitors, locks, waits, conversion, as RFC 7047 and ovsdb-server(7) say. */
import t from "tap";
import type { Json, JsonObject } from "../../src/lib/json.ts";
import { JsonRpc, JsonRpcFailure } from "../../src/lib/jsonrpc.ts";
import { SimClock } from "../../src/lib/sim-clock.ts";
import { MemoryNetwork, memoryPair } from "../../src/lib/stream-memory.ts";
import { schemaFromJson } from "../../src/ovsdb/schema.ts";
import { ServedDatabase } from "../../src/ovsdb/served-database.ts";
import { OvsdbServer } from "../../src/ovsdb/server.ts";
import { Database } from "../../src/ovsdb/table.ts";
import { SimDisk } from "../sim/disk.ts";
import { nodeClock, seededRandom } from "../sim/platform.ts";

const UUID_A = "550e8400-e29b-41d4-a716-446655440000";
const UUID_B = "550e8400-e29b-41d4-a716-446655440001";

const SCHEMA: Json = {
  name: "T",
  version: "1.0.0",
  tables: {
    a: {
      isRoot: true,
      columns: {
        i: { type: "integer" },
        s: { type: { key: "string", min: 0, max: "unlimited" } },
        s3: { type: { key: "integer", min: 1, max: 3 } },
        o: { type: { key: "integer", min: 0, max: 1 } },
        m: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
        r: { type: "real" },
        n: { type: { key: { type: "integer", minInteger: -100, maxInteger: 100 } } },
        im: { type: "string", mutable: false },
      },
    },
    u: {
      isRoot: true,
      columns: { k: { type: "integer" }, l: { type: "integer" } },
      indexes: [["k"]],
      maxRows: 3,
    },
    parent: {
      isRoot: true,
      columns: {
        strong: { type: { key: { type: "uuid", refTable: "child" }, min: 0, max: "unlimited" } },
        weak: {
          type: { key: { type: "uuid", refTable: "child", refType: "weak" }, min: 0, max: "unlimited" },
        },
        name: { type: "string" },
      },
    },
    needy: {
      isRoot: true,
      columns: {
        one: { type: { key: { type: "uuid", refTable: "child", refType: "weak" }, min: 1, max: 2 } },
      },
    },
    child: {
      columns: {
        size: { type: "integer" },
        next: { type: { key: { type: "uuid", refTable: "child" }, min: 0, max: 1 } },
      },
    },
  },
};

class Client {
  readonly rpc: JsonRpc;
  readonly notes: string[] = [];
  closed = false;

  constructor(server: OvsdbServer) {
    const [mine, its] = memoryPair(nodeClock);
    server.accept(its);
    this.rpc = new JsonRpc(mine, {
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

  /** Notifications since the last call, after everything under way has arrived. */
  async told(): Promise<string[]> {
    await this.call("echo");
    return this.notes.splice(0);
  }
}

function serve(): { server: OvsdbServer; client: () => Client; clock: SimClock } {
  const clock = new SimClock(nodeClock);
  const random = seededRandom(3);
  const uuid = (): string => random.uuid();
  const server = new OvsdbServer({
    clock,
    streams: new MemoryNetwork(nodeClock),
    disk: new SimDisk(),
    uuid,
    missedRowsMax: 20,
  });
  const database = new Database(schemaFromJson(SCHEMA), uuid());
  server.addDatabase(new ServedDatabase(database, undefined, { clock, uuid }));
  return { server, client: () => new Client(server), clock };
}

const insertA: Json = {
  op: "insert",
  table: "a",
  uuid: UUID_A,
  row: {
    i: 2,
    s: ["set", ["a", "b"]],
    s3: ["set", [1, 2]],
    m: ["map", [["a", "b"]]],
    o: 5,
    r: 1.5,
    n: 5,
    im: "y",
  },
};

t.test("operations: results and refusals", async (t) => {
  const cases: [string, Json, RegExp | Json][] = [
    ["no such operation", { op: "foo" }, /Parsing ovsdb operation 2 of 2 failed: No operation ..foo/],
    ["no such table", { op: "insert", table: "zz", row: {} }, /No table named zz\./],
    [
      "no such column",
      { op: "insert", table: "a", row: { zz: 5 } },
      /"details":"No column zz in table a\.","error":"unknown column"/,
    ],
    ["wrong type", { op: "insert", table: "a", row: { i: "x" } }, /expected integer/],
    ["bad uuid", { op: "insert", table: "a", row: {}, uuid: "x" }, /bad uuid/],
    ["taken uuid", { op: "insert", table: "a", row: {}, uuid: UUID_A }, /"error":"duplicate uuid"/],
    [
      "range",
      { op: "update", table: "a", where: [], row: { n: 500 } },
      /500 is not in the valid range -100 to 100/,
    ],
    [
      "immutable column",
      { op: "update", table: "a", where: [], row: { im: "z" } },
      /Cannot update immutable column im in table a\./,
    ],
    [
      "immutable column, mutated",
      { op: "mutate", table: "a", where: [], mutations: [["im", "insert", "q"]] },
      /Cannot mutate immutable column im/,
    ],
    [
      "extra member",
      { op: "delete", table: "a", where: [], x: 1 },
      /Member 'x' is present but not allowed here/,
    ],
    ["abort", { op: "abort" }, /aborted by request/],
    ["lock not held", { op: "assert", lock: "x" }, /Asserted lock x not held/],
    ["comment", { op: "comment", comment: "x" }, {}],
    ["commit", { op: "commit", durable: true }, {}],
    ["count", { op: "update", table: "a", where: [["i", "==", 9]], row: { i: 3 } }, { count: 0 }],
    [
      "select",
      { op: "select", table: "a", where: [["s", "includes", "a"]], columns: ["i", "o"] },
      { rows: [{ i: 2, o: 5 }] },
    ],
    [
      "wait, met",
      { op: "wait", table: "a", timeout: 0, where: [], columns: ["i"], until: "==", rows: [{ i: 2 }] },
      {},
    ],
    [
      "wait, not met",
      { op: "wait", table: "a", timeout: 0, where: [], columns: ["i"], until: "!=", rows: [{ i: 2 }] },
      /"where\\" clause test failed/,
    ],
    [
      "wait, negative",
      { op: "wait", table: "a", timeout: -1, where: [], until: "==", rows: [] },
      /timeout must be nonnegative/,
    ],
  ];
  for (const [name, operation, want] of cases) {
    const { client } = serve();
    const results = (await client().transact(insertA, operation)) as Json[];
    if (want instanceof RegExp)
      t.match(JSON.stringify(results[1], Object.keys((results[1] ?? {}) as object).sort()), want, name);
    else t.same(results[1], want, name);
  }
});

t.test("conditions", async (t) => {
  const yes: Json[] = [
    ["i", "==", 2],
    ["i", "!=", 3],
    ["i", "<", 3],
    ["i", "<=", 2],
    ["i", ">", 1],
    ["i", ">=", 2],
    ["i", "includes", 2],
    ["i", "excludes", 3],
    ["s", "==", ["set", ["b", "a"]]],
    ["s", "!=", "a"],
    ["s", "includes", ["set", []]],
    ["s", "includes", ["set", ["a", "b"]]],
    ["s", "excludes", "c"],
    ["o", "<", 7],
    ["r", ">=", 1.5],
    ["m", "includes", ["map", [["a", "b"]]]],
    ["m", "excludes", ["map", [["a", "c"]]]],
    ["_uuid", "==", ["uuid", UUID_A]],
    true,
  ];
  const no: Json[] = [
    ["i", "==", 3],
    ["i", "!=", 2],
    ["i", "<", 2],
    ["s", "==", "a"],
    ["s", "includes", "c"],
    ["s", "excludes", ["set", ["a", "c"]]],
    ["o", ">", 7],
    ["m", "includes", ["map", [["a", "c"]]]],
    ["_uuid", "==", ["uuid", UUID_B]],
    false,
  ];
  const { client } = serve();
  const one = client();
  await one.transact(insertA);
  for (const [clauses, want] of [
    [yes, 1],
    [no, 0],
  ] as const) {
    for (const clause of clauses) {
      const [{ rows }] = (await one.transact({
        op: "select",
        table: "a",
        where: [clause],
        columns: ["i"],
      })) as [{ rows: Json[] }];
      t.equal(rows.length, want, JSON.stringify(clause));
    }
  }
  for (const clause of [
    ["s", "<", "a"],
    ["m", "<", 1],
    ["_uuid", "<", ["uuid", UUID_A]],
  ] as Json[]) {
    const [result] = (await one.transact({ op: "select", table: "a", where: [clause] })) as [JsonObject];
    t.match(
      result.details,
      /^Type mismatch: "<" operator may not be applied to column /,
      JSON.stringify(clause),
    );
  }
});

t.test("mutations", async (t) => {
  const cases: [Json, string, Json | RegExp][] = [
    [["i", "+=", 1], "i", 3],
    [["i", "-=", 5], "i", -3],
    [["i", "*=", 3], "i", 6],
    [["i", "/=", -1], "i", -2],
    [["i", "%=", 2], "i", 0],
    [["i", "/=", 0], "i", /Division by zero/],
    [["i", "+=", 9223372036854775807n], "i", /out of range/],
    [["r", "*=", 2.5], "r", 3.75],
    [["r", "%=", 2], "r", /may not be applied to column r of type real/],
    [["s3", "+=", 1], "s3", ["set", [2, 3]]],
    [["s3", "*=", 0], "s3", /contains duplicates/],
    [["s3", "delete", ["set", [1, 2]]], "s3", /Attempted to store 0 elements in set of 1 to 3 integers\./],
    [["s3", "insert", ["set", [3, 4]]], "s3", /Attempted to store 4 elements/],
    [["s", "insert", ["set", ["c", "a"]]], "s", ["set", ["a", "b", "c"]]],
    [["s", "delete", "a"], "s", "b"],
    [
      [
        "m",
        "insert",
        [
          "map",
          [
            ["a", "z"],
            ["b", "c"],
          ],
        ],
      ],
      "m",
      [
        "map",
        [
          ["a", "b"],
          ["b", "c"],
        ],
      ],
    ],
    [["m", "delete", ["map", [["a", "z"]]]], "m", ["map", [["a", "b"]]]],
    [["m", "delete", "a"], "m", ["map", []]],
    [["n", "+=", 100], "n", /105 is not in the valid range/],
    [["i", "insert", 5], "i", /may not be applied to column i of type integer/],
  ];
  for (const [mutation, column, want] of cases) {
    const { client } = serve();
    const one = client();
    await one.transact(insertA);
    const [result] = (await one.transact({ op: "mutate", table: "a", where: [], mutations: [mutation] })) as [
      JsonObject,
    ];
    const [{ rows }] = (await one.transact({ op: "select", table: "a", where: [], columns: [column] })) as [
      { rows: JsonObject[] },
    ];
    if (want instanceof RegExp) t.match(result.details, want, String(mutation));
    else t.same(rows[0]![column], want, String(mutation));
  }
});

t.test("references and garbage", async (t) => {
  const { client } = serve();
  const one = client();
  const count = async (table: string): Promise<number> =>
    ((await one.transact({ op: "select", table, where: [] })) as [{ rows: Json[] }])[0].rows.length;
  const child = (name: string, next?: string): Json => ({
    op: "insert",
    table: "child",
    "uuid-name": name,
    row: next === undefined ? {} : { next: ["named-uuid", next] },
  });
  await one.transact(child("x"));
  t.equal(await count("child"), 0, "unreferenced rows of non-root tables do not stay");
  await one.transact(child("x", "y"), child("y"), {
    op: "insert",
    table: "parent",
    row: {
      name: "p",
      strong: ["named-uuid", "x"],
      weak: [
        "set",
        [
          ["named-uuid", "x"],
          ["named-uuid", "y"],
        ],
      ],
    },
  });
  t.equal(await count("child"), 2, "a chain stays");
  const [, failed] = (await one.transact({ op: "delete", table: "child", where: [] })) as [Json, JsonObject];
  t.match(failed.details, /^cannot delete child row .* because of 1 remaining reference\(s\)$/);
  const dangling = (await one.transact({
    op: "insert",
    table: "parent",
    row: { strong: ["uuid", UUID_B] },
  })) as [Json, JsonObject];
  t.match(
    dangling[1].details,
    /references nonexistent row 550e8400-e29b-41d4-a716-446655440001 in table child/,
  );
  await one.transact({ op: "insert", table: "parent", row: { name: "q", weak: ["uuid", UUID_B] } });
  const weak = (await one.transact({
    op: "select",
    table: "parent",
    where: [["name", "==", "q"]],
    columns: ["weak"],
  })) as Json;
  t.same(weak, [{ rows: [{ weak: ["set", []] }] }], "weak references to nothing go");
  // Changes row p and lets x and y go, in one transaction.
  await one.transact({
    op: "update",
    table: "parent",
    where: [["name", "==", "p"]],
    row: { strong: ["set", []] },
  });
  t.equal(await count("child"), 0, "the chain goes");
  const rest = (await one.transact({
    op: "select",
    table: "parent",
    where: [["name", "==", "p"]],
    columns: ["weak"],
  })) as Json;
  t.same(rest, [{ rows: [{ weak: ["set", []] }] }], "and no weak reference dangles");
  await one.transact({
    op: "insert",
    table: "child",
    "uuid-name": "self",
    row: { next: ["named-uuid", "self"] },
  });
  t.equal(await count("child"), 0, "a row does not keep itself");
  const needy = (await one.transact({ op: "insert", table: "needy", row: { one: ["uuid", UUID_B] } })) as [
    Json,
    JsonObject,
  ];
  t.match(
    needy[1].details,
    /^Deletion of 1 weak reference\(s\) to deleted \(or never-existing\) rows from column "one"/,
  );
});

t.test("unique indexes and row limits", async (t) => {
  const { client } = serve();
  const one = client();
  const insert = (k: number): Json => ({ op: "insert", table: "u", row: { k } });
  await one.transact(insert(1));
  const twice = (await one.transact(insert(1))) as [Json, JsonObject];
  t.match(
    twice[1].details,
    /^Transaction causes multiple rows in "u" table to have identical values \(1\) for index on column "k"\./,
  );
  t.match(
    JSON.stringify(await one.transact({ op: "delete", table: "u", where: [] }, insert(1))),
    /^\[\{"count":1\},\{"uuid":/,
    "free again in the same transaction",
  );
  await one.transact(insert(2));
  t.same(
    await one.transact(
      { op: "update", table: "u", where: [["k", "==", 1]], row: { k: 3 } },
      { op: "update", table: "u", where: [["k", "==", 2]], row: { k: 1 } },
    ),
    [{ count: 1 }, { count: 1 }],
  );
  await one.transact(insert(9));
  const full = (await one.transact(insert(10))) as [Json, JsonObject];
  t.match(
    full[1].details,
    /^transaction causes "u" table to contain 4 rows, greater than the schema-defined limit of 3 row\(s\)$/,
  );
});

t.test("monitors tell what changed", async (t) => {
  const { client } = serve();
  const writer = client();
  const [v1, v2, cond, quiet] = [client(), client(), client(), client()];
  const requests = { u: { columns: ["k", "l"] } };
  t.same(await v1.call("monitor", "T", "id", requests), {});
  t.same(await v2.call("monitor_cond", "T", null, requests), {});
  t.match(
    await cond.call(
      "monitor_cond_since",
      "T",
      [1],
      { u: { columns: ["k", "l"], where: [["k", "<", 5]] } },
      UUID_A,
    ),
    [false, /^[0-9a-f-]{36}$/, {}],
  );
  t.same(
    await quiet.call("monitor", "T", "q", {
      u: { columns: ["k"], select: { insert: false, modify: false } },
    }),
    {},
  );
  const told = async (): Promise<string[][]> => {
    const all: string[][] = [];
    for (const one of [v1, v2, cond, quiet])
      all.push(
        (await one.told()).map((line) =>
          line.replaceAll(UUID_A, "A").replace(/^(update3 .*?,)"[0-9a-f-]{36}"/, '$1"0"'),
        ),
      );
    return all;
  };
  await writer.transact({ op: "insert", table: "u", uuid: UUID_A, row: { k: 7, l: 1 } });
  t.same(
    await told(),
    [
      ['update ["id",{"u":{"A":{"new":{"k":7,"l":1}}}}]'],
      ['update2 [null,{"u":{"A":{"insert":{"k":7,"l":1}}}}]'],
      [],
      [],
    ],
    "insert",
  );
  await writer.transact({ op: "update", table: "u", where: [], row: { l: 2 } });
  t.same(
    await told(),
    [
      ['update ["id",{"u":{"A":{"old":{"l":1},"new":{"k":7,"l":2}}}}]'],
      ['update2 [null,{"u":{"A":{"modify":{"l":2}}}}]'],
      [],
      [],
    ],
    "modify",
  );
  await writer.transact({ op: "update", table: "u", where: [], row: { k: 3 } });
  t.same((await told())[2], ['update3 [[1],"0",{"u":{"A":{"insert":{"k":3,"l":2}}}}]'], "comes into view");
  await writer.transact({ op: "update", table: "u", where: [], row: { k: 8 } });
  t.same((await told())[2], ['update3 [[1],"0",{"u":{"A":{"delete":null}}}]'], "leaves the view");
  t.same(await cond.call("monitor_cond_change", [1], "new", { u: [{ where: [["k", "==", 8]] }] }), {});
  t.same(
    (await told())[2],
    ['update3 [[1],"0",{"u":{"A":{"insert":{"k":8,"l":2}}}}]'],
    "condition changed, under the old name",
  );
  await writer.transact({ op: "update", table: "u", where: [], row: { k: 8 } });
  t.same(await told(), [[], [], [], []], "nothing changed, nothing told");
  t.same(await v1.call("monitor_cancel", "id"), {});
  await writer.transact({ op: "delete", table: "u", where: [] });
  t.same(
    await told(),
    [
      [],
      ['update2 [null,{"u":{"A":{"delete":null}}}]'],
      ['update3 ["new","0",{"u":{"A":{"delete":null}}}]'],
      ['update ["q",{"u":{"A":{"old":{"k":8}}}}]'],
    ],
    "delete",
  );
});

t.test("a client that comes again gets what it has missed", async (t) => {
  const { client } = serve();
  const writer = client();
  const requests = { u: { columns: ["k", "l"], where: [["k", "<", 50]] } };
  const since = async (id: string) =>
    (await client().call("monitor_cond_since", "T", "m", requests, id)) as [boolean, string, JsonObject];
  const where = (k: number): Json => [["k", "==", k]];
  const put = (k: number, l: number): Json => ({ op: "insert", table: "u", row: { k, l } });
  await writer.transact(
    { ...(put(1, 1) as JsonObject), uuid: UUID_A },
    { ...(put(2, 2) as JsonObject), uuid: UUID_B },
  );
  const listener = client();
  const first = (await listener.call("monitor_cond_since", "T", "m", requests, UUID_A)) as [
    boolean,
    string,
    Json,
  ];
  t.same(first[0], false, "an id that was never given out");
  t.same(await since(first[1]), [true, first[1], {}], "nothing missed");
  await writer.transact({ op: "update", table: "u", where: where(1), row: { l: 10 } });
  const [note] = await listener.told();
  const told = JSON.parse(note!.slice(note!.indexOf(" "))) as [string, string, Json];
  t.not(told[1], first[1]);
  t.same(told, ["m", told[1], { u: { [UUID_A]: { modify: { l: 10 } } } }], "update3 names the transaction");
  await writer.transact({ op: "delete", table: "u", where: where(2) });
  await writer.transact({ ...(put(3, 3) as JsonObject), uuid: UUID_B });
  await writer.transact(put(60, 60));
  await writer.transact({ op: "delete", table: "u", where: where(60) });
  const [found, last, updates] = await since(first[1]);
  t.ok(found);
  t.same(updates, { u: { [UUID_A]: { modify: { l: 10 } }, [UUID_B]: { modify: { k: 3, l: 3 } } } });
  t.same((await since(told[1]))[2], { u: { [UUID_B]: { modify: { k: 3, l: 3 } } } });
  await writer.transact({ op: "update", table: "u", where: where(1), row: { k: 70 } });
  t.same((await since(last))[2], { u: { [UUID_A]: { delete: null } } }, "a row that left the condition");
  await writer.transact({ op: "update", table: "u", where: where(70), row: { k: 1 } });
  t.same(await since(last), [true, (await since(last))[1], {}], "there and back again");
  for (let i = 0; i < 101; i++)
    await writer.transact({ op: "update", table: "u", where: where(1), row: { l: i } });
  t.same((await since(last))[0], false, "too long ago: everything is sent");
  t.same(Object.keys((await since(last))[2].u as JsonObject).sort(), [UUID_A, UUID_B].sort());
});

t.test("large contents, told to many alike", async (t) => {
  const { client } = serve();
  const writer = client();
  const text = "ä".repeat(1000);
  const rows = Array.from({ length: 100 }, (_, i) => ({
    op: "insert",
    table: "a",
    row: { i, s: `${i} ${text}` },
  }));
  await writer.transact(...rows);
  const requests = { a: { columns: ["i", "s"] } };
  type Rows = { a: Record<string, { initial: { i?: number; s: string } }> };
  const numbers = (reply: Json): number[] =>
    Object.values((reply as unknown as Rows).a)
      .map(({ initial }) => (initial.s.endsWith(text) ? (initial.i ?? 0) : -1))
      .sort((a, b) => a - b);
  const all = rows.map((_, i) => i);
  const ask = (method: string, ...rest: Json[]): Promise<Json> =>
    client().call(method, "T", "m", requests, ...rest);
  t.same(numbers(await ask("monitor_cond")), all);
  t.same(numbers(await ask("monitor_cond")), all);
  const [found, , since] = (await ask("monitor_cond_since", UUID_A)) as [boolean, string, Json];
  t.same([found, numbers(since)], [false, all]);
  const old = (await ask("monitor")) as unknown as { a: Record<string, { new: { i: number } }> };
  t.equal(
    Object.values(old.a).filter(({ new: row }) => row.i >= 0).length,
    100,
    "another form, another text",
  );
  await writer.transact({ op: "delete", table: "a", where: [["i", "<", 50]] });
  t.same(numbers(await ask("monitor_cond")), all.slice(50), "what has changed is not kept");
});

t.test("a client that comes again after new conditions", async (t) => {
  const { client } = serve();
  const writer = client();
  const listener = client();
  const requests = (where: Json): JsonObject => ({ u: { columns: ["k", "l"], where } });
  const put = (k: number, uuid: string): Json => ({ op: "insert", table: "u", uuid, row: { k, l: k } });
  const set = (k: number, row: JsonObject): Json => ({
    op: "update",
    table: "u",
    where: [["k", "==", k]],
    row,
  });
  await writer.transact(put(1, UUID_A), put(2, UUID_B));
  await listener.call("monitor_cond_since", "T", "m", requests([false]), UUID_A);
  // Unseen: the first row leaves what is asked for next.
  await writer.transact(set(1, { l: 50 }));
  t.same(await listener.told(), []);
  const change = (): Promise<Json> =>
    listener.call("monitor_cond_change", "m", "m", { u: [{ where: [["l", "==", 1]] }] });
  t.same(await change(), {});
  const [note] = await listener.told();
  const [, id, nothing] = JSON.parse(note!.slice(note!.indexOf(" "))) as [string, string, Json];
  t.same(nothing, {}, "no rows, but the transaction at which the conditions changed");
  t.same(await change(), {});
  t.same(await listener.told(), [], "which is said once");
  await writer.transact(set(1, { l: 1 }));
  const again = (await client().call(
    "monitor_cond_since",
    "T",
    "m",
    requests([["l", "==", 1]]),
    id,
  )) as Json[];
  t.same(
    again[2],
    { u: { [UUID_A]: { insert: { k: 1, l: 1 } } } },
    "the row is not taken for one that is known",
  );
});

t.test("a client that does not read", async (t) => {
  const { server, client, clock } = serve();
  const [slow, quick, writer] = [client(), client(), client()];
  const requests = { a: { columns: ["i", "s"] } };
  await slow.call("monitor", "T", "one", requests);
  await slow.call("monitor_cond", "T", "two", requests);
  const since = (await slow.call("monitor_cond_since", "T", "three", requests, UUID_A)) as Json[];
  await quick.call("monitor_cond", "T", "two", requests);
  const [session] = [...server.sessions];
  slow.rpc.pause();
  const text = (i: number): string => `${i} ${"x".repeat(20_000)}`;
  const where: Json = [["i", "==", 1]];
  await writer.transact({ op: "insert", table: "a", uuid: UUID_A, row: { i: 1, s: "first" } });
  const put = (uuid: string, i: number): Json => ({ op: "insert", table: "a", uuid, row: { i, s: text(i) } });
  // It asks for more and more, which waits, and for a reply that comes when somebody else has done something.
  const awaited = slow.transact(
    { op: "wait", table: "a", where, columns: ["s"], until: "==", rows: [{ s: text(199) }] },
    { op: "comment", comment: "seen" },
  );
  await writer.call("echo");
  const echoes = Array.from({ length: 300 }, (_, i) => slow.call("echo", i, text(i)));
  for (let i = 2; i < 200; i++) {
    await writer.transact({ op: "update", table: "a", where, row: { s: text(i) } });
    await writer.transact(put(UUID_B, i + 1000));
    if (i < 199) await writer.transact({ op: "delete", table: "a", where: [["i", "==", i + 1000]] });
  }
  t.equal((await quick.told()).length, 1 + 3 * 198 - 1, "others are told everything");
  t.ok(session!.rpc.backlog < 1_000_000, "what is kept for it is bounded");
  t.notOk(slow.closed);
  const before = slow.notes.length;
  slow.rpc.resume();
  t.match(await awaited, [{}, {}]);
  t.same(
    (await Promise.all(echoes)).map((reply) => (reply as Json[])[0]),
    [...echoes.keys()],
    "in order",
  );
  const rows = new Set<string>();
  const told = (await slow.told()).slice(before);
  for (const note of told.filter((line) => line.startsWith("update2"))) {
    const [, updates] = JSON.parse(note.slice(note.indexOf(" "))) as [string, { a: JsonObject }];
    for (const [uuid, update] of Object.entries(updates.a) as [string, JsonObject][]) {
      if (update.delete !== undefined) rows.delete(uuid);
      else rows.add(uuid);
    }
  }
  t.same([...rows].sort(), [UUID_A, UUID_B]);
  t.ok(told.length < 100, "taken together");
  const last = told.filter((line) => line.startsWith("update3")).at(-1)!;
  const again = (await quick.call("monitor_cond_since", "T", "again", requests, since[1]!)) as Json[];
  t.ok(last.includes(again[1] as string), "up to the last transaction");
  t.match((await slow.call("transact", "T", { op: "select", table: "a", where: [] })) as Json, [
    { rows: { length: 2 } },
  ]);

  slow.rpc.pause();
  for (let i = 0; i < 40; i++) await writer.transact(put(server.uuid(), 5000 + i));
  t.notOk(slow.closed, "too much missed, but not for long");
  clock.stop();
  await clock.warp(11_000);
  await writer.transact(put(server.uuid(), 6000));
  slow.rpc.resume();
  for (let turn = 0; turn < 100 && !slow.closed; turn++) await writer.call("echo");
  t.ok(slow.closed, "then it is dropped");
  t.equal((await quick.told()).length, 2 * 41, "and the others go on, each of their monitors");
});

t.test("a client's update comes before its reply", async (t) => {
  const { client } = serve();
  const one = client();
  await one.call("monitor", "T", null, { u: {} });
  one.notes.splice(0);
  await one.transact({ op: "insert", table: "u", row: {} });
  t.equal(one.notes.length, 1);
});

t.test("bad requests get errors, and the server goes on", async (t) => {
  const { client } = serve();
  const one = client();
  const cases: [string, Json[], Json | RegExp][] = [
    ["foo", [], { failed: "unknown method" }],
    ["get_schema", ["zz"], /unknown database zz/],
    ["get_schema", [], /get_schema request params must begin with <db-name>/],
    ["monitor", ["T", 1], /invalid parameters/],
    ["monitor", ["T"], /invalid parameters/],
    ["monitor", ["T", 1, 5], /monitor-requests must be object/],
    ["monitor", ["T", 1, { zz: {} }], /no table named zz/],
    ["monitor", ["T", 1, { u: { columns: ["k", "k"] } }], /column k mentioned more than once/],
    ["monitor_cancel", ["x"], { failed: "unknown monitor" }],
    ["monitor_cond_change", ["x", "x", {}], /unknown monitor session/],
    ["unlock", ["x"], /"unlock\\" without \\"lock\\" or \\"steal/],
    ["lock", ["a b"], /lock request params must be <id>/],
    ["set_db_change_aware", [], /true or false parameter expected/],
    ["convert", ["T", {}], /Required 'name' member is missing/],
    ["transact", [], /must begin with <db-name>/],
    ["echo", [1, "x"], [1, "x"]],
  ];
  for (const [method, params, want] of cases) {
    const got = await one.call(method, ...params);
    if (want instanceof RegExp) t.match(JSON.stringify(got), want, `${method} ${JSON.stringify(params)}`);
    else t.same(got, want, `${method} ${JSON.stringify(params)}`);
  }
});

t.test("waits: woken by others, timed out, cancelled", async (t) => {
  const { client, clock } = serve();
  const [waiter, writer] = [client(), client()];
  const until = (k: number, timeout?: number): Json => ({
    op: "wait",
    table: "u",
    where: [],
    columns: ["k"],
    until: "==",
    rows: [{ k }],
    ...(timeout === undefined ? {} : { timeout }),
  });
  let done: Json | undefined;
  const waiting = waiter
    .transact(until(5), { op: "update", table: "u", where: [], row: { l: 9 } })
    .then((reply) => (done = reply));
  await writer.transact({ op: "insert", table: "u", row: { k: 4 } });
  await waiter.told();
  t.equal(done, undefined, "still waiting");
  await writer.transact({ op: "update", table: "u", where: [], row: { k: 5 } });
  await waiting;
  t.same(done, [{}, { count: 1 }], "woken");
  clock.stop();
  const timed = waiter.transact(until(6, 500));
  await waiter.told();
  await clock.warp(499);
  await waiter.told();
  await clock.warp(2);
  t.match(JSON.stringify(await timed), /"error":"timed out"/);
  const id = waiter.rpc.request("transact", ["T", until(7)]);
  const replies: string[] = [];
  const { handler } = waiter.rpc;
  waiter.rpc.handler = { ...handler!, message: (message) => void replies.push(JSON.stringify(message)) };
  waiter.rpc.notify("cancel", [id]);
  await waiter.told();
  t.match(replies.join(), /"canceled"/);
  const [{ rows }] = (await writer.transact({ op: "select", table: "u", where: [], columns: ["l"] })) as [
    { rows: Json[] },
  ];
  t.same(rows, [{ l: 9 }]);
});

t.test("locks", async (t) => {
  const { client } = serve();
  const [a, b] = [client(), client()];
  t.same(await a.call("lock", "x"), { locked: true });
  t.same(await b.call("lock", "x"), { locked: false });
  t.same(await a.transact({ op: "assert", lock: "x" }), [{}]);
  t.same(await a.call("unlock", "x"), {});
  t.same(await b.told(), ['locked ["x"]']);
  t.same(await a.call("steal", "x"), { locked: true });
  t.same(await b.told(), ['stolen ["x"]']);
  a.rpc.close();
  await b.told();
  await b.told();
  t.same(await b.transact({ op: "assert", lock: "x" }), [{}], "comes back when the thief is gone");
});

t.test("conversion and removal tell who wants to know, and end the others", async (t) => {
  const { server, client } = serve();
  const [aware, unaware, asker] = [client(), client(), client()];
  await aware.call("set_db_change_aware", true);
  await asker.call("set_db_change_aware", true);
  await aware.call("monitor", "T", "m", { u: {} });
  await asker.transact({ op: "insert", table: "u", row: { k: 1 } });
  await aware.told();
  const smaller: Json = {
    name: "T",
    version: "2.0.0",
    tables: { u: { columns: { k: { type: "integer" }, extra: { type: "string" } } } },
  };
  t.same(await asker.call("convert", "T", smaller), {});
  t.same(await aware.told(), ['monitor_canceled ["m"]']);
  t.ok(unaware.closed);
  t.same(await asker.transact({ op: "select", table: "u", where: [], columns: ["extra", "k"] }), [
    { rows: [{ extra: "", k: 1 }] },
  ]);
  const bad = (await asker.call("convert", "T", {
    name: "T",
    version: "2.0.0",
    tables: { u: { columns: { k: { type: "boolean" } } } },
  })) as JsonObject;
  t.match(JSON.stringify(bad), /expected boolean/);
  t.ok(server.removeDatabase("T"));
  t.same(await asker.call("list_dbs"), ["_Server"]);
});

t.test("the _Server database", async (t) => {
  const { client } = serve();
  const one = client();
  const select: Json = {
    op: "select",
    table: "Database",
    where: [["name", "==", "T"]],
    columns: ["model", "connected", "leader", "sid"],
  };
  t.same(await one.call("transact", "_Server", select), [
    { rows: [{ connected: true, leader: true, model: "standalone", sid: ["set", []] }] },
  ]);
  t.match(
    JSON.stringify(await one.call("transact", "_Server", { op: "delete", table: "Database", where: [] })),
    /not allowed when database server is in read only mode/,
  );
});
