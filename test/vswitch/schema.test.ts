/** The Open_vSwitch schema module: complete, documented, and in agreement with the peers' files where they are at hand. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { gunzipSync } from "node:zlib";
import t from "tap";
import type { Json } from "../../src/lib/json.ts";
import { ownColumn } from "../../src/ovsdb/idl-schema.ts";
import type { ColumnSchema } from "../../src/ovsdb/idl-types.ts";
import { schemaFromJson, schemaToJson, tableFromJson } from "../../src/ovsdb/schema.ts";
import { type ColumnDoc, EXTERNAL_IDS, type TableDoc, writer } from "../../src/vswitch/schema/docs/doc.ts";
import { openVswitchDocs } from "../../src/vswitch/schema/docs/index.ts";
import { openVswitchSchema } from "../../src/vswitch/schema/index.ts";
import { renderSchema } from "../../src/vswitch/schema/render.ts";
import { PEERS } from "../system/bin.ts";

const tables = Object.entries(openVswitchSchema.tables);

t.test("size and self-consistency", async (t) => {
  t.equal(tables.length, 19);
  t.equal(
    tables.reduce((sum, [, table]) => sum + Object.keys(table.columns).length, 0),
    190,
  );
  const text = renderSchema(openVswitchSchema);
  t.same(
    JSON.parse(text),
    JSON.parse(JSON.stringify(openVswitchSchema)),
    "the rendered file says what the module says",
  );
  t.match(text, /"cksum": "2823623553 27869"/);
  t.doesNotThrow(() => schemaFromJson(JSON.parse(text) as Json), "and is a valid schema");
});

t.test("the short way to a column's type agrees with the checked one", async (t) => {
  for (const [name, table] of tables) {
    const checked = tableFromJson(name, table as unknown as Json);
    for (const { index, ...column } of checked.columns) {
      const { index: _, ...own } = ownColumn(
        column.name,
        (table.columns as Record<string, ColumnSchema>)[column.name]!,
        index,
      );
      t.same(own, column, `${name}.${column.name}`);
    }
  }
});

/** A column's documentation, whichever way it is written, beside its schema. */
const columns = tables.flatMap(([table, { columns }]) =>
  Object.entries(columns as Record<string, ColumnSchema>).map(([column, schema]) => {
    const doc: ColumnDoc | undefined = (openVswitchDocs as Record<string, TableDoc>)[table]?.columns[column];
    const { text, keys, values } = typeof doc === "object" ? doc : { text: doc ?? "" };
    return { name: `${table}.${column}`, table, column, schema, doc, text, keys, values };
  }),
);

t.test("documentation is there, in sentences, each said once", async (t) => {
  t.same(Object.keys(openVswitchDocs), Object.keys(openVswitchSchema.tables), "all tables, no other");
  const said = new Map<string, string>();
  const sentence = (name: string, text: string, scope: string) => {
    t.match(text, /^\S.{2,}\.$/s, `${name} ends in a full stop`);
    t.notMatch(text, / {2}|\s$|\n|``|<\/|\*\*/, `${name} is plain text`);
    if (text === EXTERNAL_IDS) return;
    t.equal(said.get(`${scope}${text}`), undefined, `${name} does not repeat another text`);
    said.set(`${scope}${text}`, name);
  };
  for (const [name, { columns }] of tables) {
    const doc = openVswitchDocs[name as keyof typeof openVswitchDocs];
    sentence(name, doc.about, "");
    t.same(Object.keys(doc.columns).sort(), Object.keys(columns).sort(), `${name}: all columns, no other`);
  }
  for (const { name, column, text, keys, values, schema } of columns) {
    sentence(name, text, "");
    for (const [key, words] of Object.entries({ ...keys, ...values }))
      sentence(`${name}:${key}`, words, `${name}:`);
    const { type } = schema;
    const map = typeof type === "object" && type.value !== undefined;
    if (keys !== undefined) t.ok(map, `${name}: only maps have keys`);
    if (values !== undefined) t.notOk(map, `${name}: maps have no values`);
    const strings = map && type.key === "string" && (type.value === "string" || type.value === "integer");
    if (strings && column !== "external_ids") t.ok(keys, `${name} has keys`);
  }
});

t.test("documentation refers to what exists", async (t) => {
  const reference =
    /\b(?:([A-Z][A-Za-z_]+|sFlow)\.)?([a-z]+(?:_[a-z]+)*)(?::([A-Za-z_-]+[A-Za-z]))?(?=[\s.,;:)]|$)/g;
  let found = 0;
  for (const { name, table, text, keys, values } of columns)
    for (const words of [text, ...Object.values({ ...keys, ...values })])
      for (const [what, otherTable, column, key] of words.matchAll(reference)) {
        if (
          otherTable === undefined &&
          (key === undefined || !/^(options|other_config|bfd|external_ids)$/.test(column!))
        )
          continue;
        found++;
        const target = columns.find((c) => c.table === (otherTable ?? table) && c.column === column);
        t.ok(target, `${name} refers to ${what}`);
        if (key !== undefined) t.ok(target?.keys?.[key], `${name} refers to ${what}`);
      }
  t.ok(found > 30, `${found} references`);
});

t.test("who writes a column", async (t) => {
  for (const [name, want] of [
    ["Bridge.name", "user"],
    ["Bridge.datapath_id", "switch"],
    ["Interface.ofport", "switch"],
    ["Interface.ofport_request", "user"],
    ["Interface.statistics", "switch"],
    ["Controller.is_connected", "switch"],
    ["Manager.is_connected", "ovsdb-server"],
    ["Open_vSwitch.next_cfg", "user"],
    ["Open_vSwitch.cur_cfg", "switch"],
    ["Open_vSwitch.system_type", "startup"],
  ] as const) {
    const { schema, doc } = columns.find((c) => c.name === name)!;
    t.equal(writer(schema, doc!), want, name);
  }
  for (const { name, schema, doc } of columns)
    if (schema.ephemeral === true)
      t.not(writer(schema, doc!), "user", `${name} is lost at the end of the server`);
});

t.test("no command pays for the documentation at its start", async (t) => {
  const root = join(import.meta.dirname, "../..");
  for (const folder of ["src", "commands"])
    for (const file of readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })) {
      if (!file.endsWith(".ts") || file.startsWith("vswitch/schema/docs/")) continue;
      const text = readFileSync(join(root, folder, file), "utf8");
      const imports = text.matchAll(/^\s*(?:import|export)\s(?!type\s)[^;]*?from\s+["']([^"']+)["']/gm);
      for (const [, from] of imports) t.notMatch(from!, /schema\/docs\/|^\.\/docs\//, `${folder}/${file}`);
    }
});

/** Columns that changed their type since the peers' release, in either direction of the change. */
const CHANGED = new Map([["Flow_Table.prefixes", "8.4.0 or later: up to 4 fields instead of 3"]]);

/** A file of the peers' packages, if it is there. */
function peerFile(path: string): { skip: string | false; read: () => Buffer } {
  const file = PEERS === undefined ? "" : join(PEERS, path);
  return {
    skip: !existsSync(file) && `no peer file ${basename(path)} (scripts/peers)`,
    read: () => readFileSync(file),
  };
}

const theirSchema = peerFile("usr/share/openvswitch/vswitch.ovsschema");
t.test("every column of an older upstream schema is still there", { skip: theirSchema.skip }, async (t) => {
  const canonical = (schema: unknown) =>
    schemaToJson(schemaFromJson(schema as Json)) as unknown as {
      version: string;
      tables: Record<string, { columns: Record<string, Json>; [member: string]: Json }>;
    };
  const theirs = canonical(JSON.parse(theirSchema.read().toString()));
  const ours = canonical(JSON.parse(renderSchema(openVswitchSchema)));
  if (theirs.version === ours.version) t.same(ours.tables, theirs.tables);
  const changed: string[] = [];
  for (const [name, { columns, ...rest }] of Object.entries(theirs.tables)) {
    const { columns: mine, ...members } = ours.tables[name] ?? { columns: {} };
    t.same(members, rest, `${name}: indexes, rows, root`);
    for (const [column, json] of Object.entries(columns)) {
      t.ok(mine[column], `${name}.${column}`);
      if (CHANGED.has(`${name}.${column}`)) changed.push(`${name}.${column}`);
      else t.same(mine[column], json, `${name}.${column} has its type`);
    }
  }
  if (theirs.version === "8.3.1") t.same(changed, [...CHANGED.keys()]);
});

/** Keys that the peers' release had and 3.7 has no more. */
const REMOVED = new Set(["pmd-maxsleep", "use-need-wakeup", "pci-vendor_id", "pci-device_id"]);

const theirManual = peerFile("usr/share/man/man5/ovs-vswitchd.conf.db.5.gz");
t.test("every key of an older upstream manual is documented", { skip: theirManual.skip }, async (t) => {
  let table = "";
  let found = 0;
  for (const line of gunzipSync(theirManual.read()).toString().replaceAll("\\-", "-").split("\n")) {
    table = /^\.SH "?(\w+) TABLE/.exec(line)?.[1] ?? table;
    const [, column, key] = /^\.IP "\\fB(\w+) : ([^\s:\\]+)/.exec(line) ?? [];
    if (column === undefined || key === undefined) continue;
    found++;
    const { keys, values } = columns.find((c) => c.name === `${table}.${column}`)!;
    const names = Object.keys({ ...keys, ...values }).map((name) => name.toLowerCase());
    t.ok(REMOVED.has(key) || names.includes(key.toLowerCase()), `${table}.${column}:${key}`);
  }
  t.ok(found > 300, `${found} keys`);
});
