/**
 * ovs-vswitchd.conf.db(5) and vtep(5): each table of a schema with its columns, their types and limits, under the words of the
 * source. A source has a section `TABLE NAME` a table; its terms are columns, and `COLUMN:KEY` keys of columns that are maps.
 */
import type {
  BaseType,
  BaseTypeObject,
  ColumnSchema,
  ColumnType,
  DatabaseSchema,
} from "../../src/ovsdb/idl-types.ts";
import { type Block, paragraph, type Section, sections, type Term, terms } from "./document.ts";

/** Columns that mean the same in every table that has them. */
const COMMON: Readonly<Record<string, string>> = {
  external_ids:
    "Whatever other programs want to note here; the switch leaves it alone, but for the keys that are described.",
  other_config: "Further settings, by the keys that are described.",
};

const full = (base: BaseType): BaseTypeObject => (typeof base === "string" ? { type: base } : base);

function choices(base: BaseTypeObject): readonly unknown[] {
  const { enum: of } = base;
  return of === undefined ? [] : Array.isArray(of) && of[0] === "set" ? (of[1] as unknown[]) : [of];
}

/** "integer, 0 to 4095", "string, one of `a`, `b`", "reference to **Port**". */
function baseText(base: BaseType, plural: boolean): string {
  const { type, minInteger, maxInteger, minReal, maxReal, minLength, maxLength, refTable, refType } =
    full(base);
  if (refTable !== undefined)
    return `${refType === "weak" ? "weak " : ""}reference${plural ? "s" : ""} to **${refTable}**`;
  const name = plural ? `${type}s` : type;
  const values = choices(full(base));
  if (values.length > 0)
    return `${name}, ${values.length > 1 ? "one of " : ""}${values.map((value) => `\`${value}\``).join(", ")}`;
  const [min, max] = [minInteger ?? minReal, maxInteger ?? maxReal];
  if (min !== undefined && max !== undefined) return `${name} from ${min} to ${max}`;
  if (min !== undefined) return `${name}, at least ${min}`;
  if (max !== undefined) return `${name}, at most ${max}`;
  if (minLength !== undefined || maxLength !== undefined)
    return `${name} of ${minLength ?? 0}${maxLength === undefined ? " or more" : ` to ${maxLength}`} characters`;
  return name;
}

export function typeText(type: ColumnType): string {
  if (typeof type === "string") return type;
  const { key, value, min = 1, max = 1 } = type;
  if (value !== undefined) return `map of ${baseText(key, true)} to ${baseText(value, true)}`;
  if (max === 1) return `${min === 0 ? "optional " : ""}${baseText(key, false)}`;
  const limits = [
    ...(min > 0 ? [`at least ${min}`] : []),
    ...(max === "unlimited" ? [] : [`at most ${max}`]),
  ];
  return `set of ${baseText(key, true)}${limits.length > 0 ? ` (${limits.join(", ")})` : ""}`;
}

function notes({ ephemeral, mutable }: ColumnSchema): string {
  return [
    ...(ephemeral === true ? [" (state, which is not kept when the server ends)"] : []),
    ...(mutable === false ? [" (cannot be changed)"] : []),
  ].join("");
}

function columnTerm(name: string, column: ColumnSchema, body: readonly Block[]): Term {
  return { terms: [`**${name}**: ${typeText(column.type)}${notes(column)}`], body };
}

/** "Bridge" of "TABLE Bridge". */
export const tableOf = (title: string): string | undefined => /^TABLE (\w+)$/.exec(title)?.[1];

export function databasePage(schema: DatabaseSchema, source: readonly Block[]): Section[] {
  const parts = sections(source);
  const out: Section[] = [];
  let done = false;
  for (const part of parts) {
    if (tableOf(part.title) === undefined) {
      out.push(part);
      continue;
    }
    // All tables stand where the first does, in the schema's order.
    if (done) continue;
    done = true;
    for (const [name, table] of Object.entries(schema.tables))
      out.push(tableSection(name, table, parts.find(({ title }) => title === `TABLE ${name}`)?.blocks ?? []));
  }
  return out;
}

function tableSection(
  name: string,
  table: DatabaseSchema["tables"][string],
  source: readonly Block[],
): Section {
  const left = new Map(Object.entries(table.columns));
  const columnOf = (term: string): ColumnSchema | undefined => {
    const column = left.get(term);
    left.delete(term);
    return column;
  };
  const blocks: Block[] = source.map((block) =>
    block.kind !== "terms"
      ? block
      : terms(
          block.items.flatMap(({ terms: names, body }) => {
            const known = names.flatMap((term) => {
              const column = columnOf(term);
              return column === undefined ? [] : [columnTerm(term, column, body)];
            });
            if (known.length === 0) return [{ terms: names.map((term) => `**${term}**`), body }];
            // Several columns may be explained together.
            return [{ terms: known.flatMap((term) => term.terms), body }];
          }),
        ),
  );
  if (left.size > 0)
    blocks.push(
      terms(
        [...left].map(([column, json]) =>
          columnTerm(column, json, COMMON[column] === undefined ? [] : [paragraph(COMMON[column])]),
        ),
      ),
    );
  const rules: string[] = [];
  if (table.maxRows !== undefined)
    rules.push(`at most ${table.maxRows} row${table.maxRows === 1 ? "" : "s"}`);
  for (const index of table.indexes ?? [])
    rules.push(`no two rows have the same ${index.map((each) => `**${each}**`).join(" and ")}`);
  if (table.isRoot !== true) rules.push("a row that nothing refers to is deleted");
  const rule = rules.length === 0 ? [] : [paragraph(`Rules: ${rules.join("; ")}.`)];
  const at = blocks.findIndex(({ kind }) => kind !== "paragraph");
  return { title: `TABLE ${name}`, blocks: [...blocks.slice(0, at), ...rule, ...blocks.slice(at)] };
}

/** What the source of a table leaves unexplained, or explains that is not there. */
export function checkTables(
  schema: DatabaseSchema,
  source: readonly Block[],
  say: (text: string) => void,
): void {
  const parts = sections(source);
  for (const { title } of parts) {
    const table = tableOf(title);
    if (table !== undefined && schema.tables[table] === undefined) say(`there is no table ${table}`);
  }
  for (const [name, { columns }] of Object.entries(schema.tables)) {
    const explained = (parts.find(({ title }) => title === `TABLE ${name}`)?.blocks ?? []).flatMap((block) =>
      block.kind === "terms" ? block.items.flatMap((item) => item.terms) : [],
    );
    for (const term of explained)
      if (columns[term.split(":")[0]!] === undefined) say(`there is no column ${name}.${term}`);
    for (const column of Object.keys(columns))
      if (!explained.includes(column) && COMMON[column] === undefined)
        say(`column ${name}.${column} is not explained`);
  }
}
