/** Role-based access control: what each kind of operation needs, in the original's words (measured on 3.7.1). */
import t from "tap";
import type { Json } from "../../src/lib/json.ts";
import { execute } from "../../src/ovsdb/execute.ts";
import { RoleCheck } from "../../src/ovsdb/rbac.ts";
import { schemaFromJson } from "../../src/ovsdb/schema.ts";
import { Database } from "../../src/ovsdb/table.ts";
import { seededRandom } from "../sim/platform.ts";

const SET = { key: "string", min: 0, max: "unlimited" };
const MAP = { ...SET, value: "string" };
const PERMISSIONS = { ...SET, value: { type: "uuid", refTable: "P", refType: "weak" } };
const schema = schemaFromJson({
  name: "T",
  tables: {
    RBAC_Role: { columns: { name: { type: "string" }, permissions: { type: PERMISSIONS } }, isRoot: true },
    P: {
      columns: {
        table: { type: "string" },
        authorization: { type: SET },
        insert_delete: { type: "boolean" },
        update: { type: SET },
      },
      isRoot: true,
    },
    t: {
      columns: { name: { type: "string" }, creator: { type: "string" }, m: { type: MAP } },
      isRoot: true,
    },
    x: { columns: { name: { type: "string" } }, isRoot: true },
    k: { columns: { name: { type: "string" }, m: { type: MAP } }, isRoot: true },
  },
} as unknown as Json);

const uuid = () => random.uuid();
const random = seededRandom(1);

function run(database: Database, access: RoleCheck | undefined, operations: Json[]): string {
  const context = { database, uuid, readOnly: false, locks: { holdsLock: () => false }, elapsed: 0, access };
  const outcome = execute(context, operations);
  if (outcome.kind === "wait") throw new Error("no wait was asked for");
  outcome.transaction?.finish();
  return outcome.results.at(-1)!;
}

function filled(): Database {
  const database = new Database(schema, uuid());
  const permission = (name: string, authorization: Json, insertDelete: boolean): Json => ({
    op: "insert",
    table: "P",
    "uuid-name": name,
    row: {
      table: name,
      authorization,
      insert_delete: insertDelete,
      update: ["set", ["name", "m:a"]],
    },
  });
  const result = run(database, undefined, [
    permission("t", ["set", ["creator", "m:owner"]], true),
    permission("k", "", false),
    {
      op: "insert",
      table: "RBAC_Role",
      row: {
        name: "r",
        permissions: [
          "map",
          [
            ["t", ["named-uuid", "t"]],
            ["k", ["named-uuid", "k"]],
          ],
        ],
      },
    },
    { op: "insert", table: "t", row: { name: "mine", creator: "c" } },
    { op: "insert", table: "t", row: { name: "owned", m: ["map", [["owner", "c"]]] } },
    { op: "insert", table: "t", row: { name: "other", creator: "d", m: ["map", [["c", "owner"]]] } },
    { op: "insert", table: "k", row: { name: "k1" } },
  ]);
  if (result.includes("error")) throw new Error(result);
  return database;
}

const insert = (table: string, row: Json): Json => ({ op: "insert", table, row });
const named = (name: string): Json => [["name", "==", name]];
const update = (table: string, name: string, row: Json): Json => ({
  op: "update",
  table,
  where: named(name),
  row,
});
const remove = (table: string, name: string): Json => ({ op: "delete", table, where: named(name) });
const mutate = (table: string, name: string, ...mutations: Json[]): Json => ({
  op: "mutate",
  table,
  where: named(name),
  mutations,
});
const put = (key: string): Json => ["m", "insert", ["map", [[key, "1"]]]];

/** Operation, then what is refused to client "c", undefined when it is allowed. */
const CASES: [Json, string | undefined][] = [
  [insert("t", { name: "a" }), "row insertion into table"],
  [insert("t", { name: "a", creator: "d" }), "row insertion into table"],
  [insert("t", { name: "a", creator: "c" }), undefined],
  [insert("t", { name: "a", m: ["map", [["owner", "c"]]] }), undefined],
  [insert("x", { name: "a" }), "row insertion into table"],
  [insert("k", { name: "a" }), "row insertion into table"],
  [update("t", "mine", { name: "b" }), undefined],
  [update("t", "owned", { name: "b" }), undefined],
  [update("t", "other", { name: "b" }), "modification of table"],
  [update("t", "mine", { creator: "d" }), "modification of table"],
  [update("k", "k1", { name: "b" }), undefined],
  [update("k", "k1", { m: ["map", [["a", "1"]]] }), "modification of table"],
  [update("k", "nope", { m: ["map", []] }), undefined],
  [update("x", "nope", { name: "b" }), "modification of table"],
  [mutate("k", "k1", put("a")), undefined],
  [mutate("k", "k1", put("a"), put("b")), "mutate operation on table"],
  [mutate("k", "k1", ["m", "delete", ["set", ["b"]]]), "mutate operation on table"],
  [mutate("k", "k1"), undefined],
  [mutate("t", "other", put("a")), "mutate operation on table"],
  [remove("t", "mine"), undefined],
  [remove("t", "other"), "row deletion from table"],
  [remove("k", "k1"), "row deletion from table"],
  [remove("k", "nope"), undefined],
  [remove("x", "nope"), "row deletion from table"],
];

t.test("what a role may do", async (t) => {
  for (const [operation, refused] of CASES) {
    const { table } = operation as { table: string };
    const database = filled();
    const before = database.tables.get(table)!.rows.size;
    const result = run(database, new RoleCheck("r", "c"), [operation]);
    const text = JSON.stringify(operation);
    if (refused === undefined) {
      t.notMatch(result, "error", text);
      continue;
    }
    const details = `RBAC rules for client "c" role "r" prohibit ${refused} "${table}".`;
    t.same(JSON.parse(result), { error: "permission error", details }, text);
    t.equal(database.tables.get(table)!.rows.size, before, "nothing has changed");
  }
});

t.test("other roles, and clients without a name", async (t) => {
  const writes = [
    insert("t", { name: "a", creator: "c" }),
    update("k", "k1", { name: "b" }),
    remove("t", "mine"),
  ];
  for (const operation of writes) {
    t.match(run(filled(), new RoleCheck("s", "c"), [operation]), /client \\"c\\" role \\"s\\" prohibit/);
    t.match(
      run(filled(), new RoleCheck("r", undefined), [operation]),
      /client \\"\(null\)\\" role \\"r\\" prohibit/,
    );
    t.notMatch(run(filled(), undefined, [operation]), "error", "without a role everything is allowed");
  }
  const select = { op: "select", table: "x", where: [] };
  t.equal(run(filled(), new RoleCheck("s", undefined), [select]), '{"rows":[]}', "reading is always allowed");
});

t.test("a database without RBAC_Role", async (t) => {
  const plain = schemaFromJson({
    name: "T",
    tables: { t: { columns: { name: { type: "string" } }, isRoot: true } },
  });
  const database = new Database(plain, uuid());
  t.notMatch(run(database, new RoleCheck("r", undefined), [insert("t", { name: "a" })]), "error");
});
