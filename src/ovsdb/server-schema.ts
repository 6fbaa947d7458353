/** The built-in `_Server` database (ovsdb-server(5)): one row for each database that the server has. */

import type { DatabaseSchema } from "./schema.ts";
import { schemaFromJson } from "./schema.ts";

const optional = (key: string): object => ({ type: { key, min: 0, max: 1 } });

export function serverSchema(): DatabaseSchema {
  return schemaFromJson({
    name: "_Server",
    version: "1.2.0",
    cksum: "3009684573 744",
    tables: {
      Database: {
        isRoot: true,
        columns: {
          name: { type: "string" },
          model: { type: { key: { type: "string", enum: ["set", ["standalone", "clustered", "relay"]] } } },
          connected: { type: "boolean" },
          leader: { type: "boolean" },
          schema: optional("string"),
          cid: optional("uuid"),
          sid: optional("uuid"),
          index: optional("integer"),
        },
      },
    },
  } as never);
}
