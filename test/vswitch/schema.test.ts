/** The Open_vSwitch schema module: complete, documented, and equal to upstream's file where that is at hand. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import type { Json } from "../../src/lib/json.ts";
import { ownColumn } from "../../src/ovsdb/idl-schema.ts";
import type { ColumnSchema } from "../../src/ovsdb/idl-types.ts";
import { schemaFromJson, schemaToJson, tableFromJson } from "../../src/ovsdb/schema.ts";
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

t.test("documentation", async (t) => {
  for (const [name, table] of tables) {
    const doc = openVswitchDocs[name as keyof typeof openVswitchDocs];
    t.ok(doc.about.length > 10, `${name} has a text`);
    t.same(
      Object.keys(doc.columns).sort(),
      Object.keys(table.columns).sort(),
      `${name}: all columns, no other`,
    );
    for (const [column, text] of Object.entries(doc.columns)) {
      const words = typeof text === "string" ? text : text.text;
      t.ok(/^.{8,}[.)]$/s.test(words), `${name}.${column} is a sentence`);
      if (typeof text === "string") continue;
      const type = (table.columns as Record<string, ColumnSchema>)[column]!.type;
      t.ok(typeof type === "object" && type.value !== undefined, `${name}.${column}: only maps have keys`);
    }
  }
});

t.test("every column of an older upstream schema is still there with its type", (t) => {
  const file = PEERS === undefined ? "" : join(PEERS, "usr/share/openvswitch/vswitch.ovsschema");
  if (!existsSync(file)) {
    t.plan(0, "no peer file vswitch.ovsschema (scripts/peers)");
    return;
  }
  const theirs = JSON.parse(readFileSync(file, "utf8")) as { version: string; tables: Record<string, Json> };
  const canonical = (schema: unknown) =>
    schemaToJson(schemaFromJson(schema as Json)) as never as typeof theirs;
  const ours = canonical(openVswitchSchema);
  if (theirs.version === openVswitchSchema.version) t.same(ours.tables, canonical(theirs).tables);
  for (const [name, table] of Object.entries(canonical(theirs).tables)) {
    const { columns } = table as { columns: Record<string, Json> };
    const mine = (ours.tables[name] as { columns: Record<string, Json> } | undefined)?.columns;
    t.ok(mine, `table ${name}`);
    for (const column of Object.keys(columns)) t.ok(mine?.[column], `${name}.${column}`);
  }
  t.end();
});
