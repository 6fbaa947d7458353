/** The `.ovsschema` file (RFC 7047, section 3.2) of a schema module, as `ovsdb-tool create` and the server read it. */
import type { DatabaseSchema } from "../../ovsdb/idl-types.ts";

export function renderSchema(schema: DatabaseSchema): string {
  return `${JSON.stringify(schema, undefined, 2)}\n`;
}
