/**
 * TLS files named by the database: `--private-key=db:DB,TABLE,COLUMN` and its like (ovsdb-server(1) "Public Key
 * Infrastructure Options"). The first row that has a value gives it; changes are followed.
 */
import type { TlsConfig } from "../lib/stream-config.ts";
import { parseColumnName } from "./remote-config.ts";
import type { OvsdbServer } from "./server.ts";

const SETTINGS = ["privateKey", "certificate", "caCert", "protocols", "ciphers", "ciphersuites"] as const;

/** `given` is what the command line said; `config` what streams use. Returns a check: what is wrong with `given`, if anything. */
export function keepTlsFromDatabase(
  server: OvsdbServer,
  given: TlsConfig,
  config: TlsConfig,
): () => string | undefined {
  Object.assign(config, given);
  const specs = SETTINGS.flatMap((setting) => {
    const spec = given[setting];
    return spec?.startsWith("db:") === true ? [{ setting, spec }] : [];
  });
  const update = (): void => {
    for (const { setting, spec } of specs) config[setting] = lookUp(server, spec);
  };
  update();
  const watched = new Set(specs.map(({ spec }) => spec.split(",")[0]!.slice(3)));
  if (watched.size > 0) {
    server.onDataChange = (name) => {
      if (watched.has(name)) update();
    };
  }
  return () => specs.map(({ spec }) => complaint(server, spec)).find((text) => text !== undefined);
}

function complaint(server: OvsdbServer, spec: string): string | undefined {
  const name = parseColumnName(server.databases, spec);
  if (typeof name === "string") return name;
  const { table, column } = name;
  if (column.type.key.type === "string" && column.type.value === undefined) return undefined;
  return `"${spec}": table "${table.name}" column "${column.name}" is not string or set of strings`;
}

function lookUp(server: OvsdbServer, spec: string): string | undefined {
  const name = parseColumnName(server.databases, spec);
  if (typeof name === "string") return undefined;
  for (const row of name.table.rows.values()) {
    const value = row.data[name.column.index]?.keys[0];
    if (typeof value === "string" && value !== "") return value;
  }
  return undefined;
}
