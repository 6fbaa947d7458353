/** The `.ovsschema` file (RFC 7047 section 3.2) of a schema module: what `ovsdb-tool create` reads. */
import type { DatabaseSchema } from "../../ovsdb/idl-types.ts";

/** JSON text, indented, one column a line. `cksum` is stated as the module has it: tools compare it with upstream's file. */
export function renderSchema(schema: DatabaseSchema): string {
  const tables = Object.entries(schema.tables).map(([name, { columns, ...rest }]) => {
    const lines = Object.entries(columns).map(
      ([column, json]) => `        ${JSON.stringify(column)}: ${JSON.stringify(json)}`,
    );
    const members = Object.entries(rest).map(
      ([member, json]) => `      ${JSON.stringify(member)}: ${JSON.stringify(json)}`,
    );
    const body = [`      "columns": {\n${lines.join(",\n")}\n      }`, ...members].join(",\n");
    return `    ${JSON.stringify(name)}: {\n${body}\n    }`;
  });
  const head = [
    `  "name": ${JSON.stringify(schema.name)}`,
    `  "version": ${JSON.stringify(schema.version)}`,
    ...(schema.cksum === undefined ? [] : [`  "cksum": ${JSON.stringify(schema.cksum)}`]),
  ];
  return `{\n${head.join(",\n")},\n  "tables": {\n${tables.join(",\n")}\n  }\n}\n`;
}
