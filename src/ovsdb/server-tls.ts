/**
 * TLS files named by the database: `--private-key=db:DB,TABLE,COLUMN` and its like (ovsdb-server(1) "Public Key
 * Infrastructure Options"). The first row that has a value gives it; changes are followed.
 */
import type { TlsConfig } from "../lib/stream-config.ts";
import { parseColumnName } from "./remote-config.ts";
import type { OvsdbServer } from "./server.ts";

const SETTINGS = ["privateKey", "certificate", "caCert", "protocols", "ciphers", "ciphersuites"] as const;

/** `given` is what the command line said; `config` what streams use. */
export function keepTlsFromDatabase(server: OvsdbServer, given: TlsConfig, config: TlsConfig): void {
  const watched = new Set<string>();
  const update = (): void => {
    for (const name of SETTINGS) {
      const spec = given[name];
      if (spec?.startsWith("db:") === true) config[name] = lookUp(server, spec);
    }
  };
  Object.assign(config, given);
  for (const name of SETTINGS) {
    const spec = given[name];
    if (spec?.startsWith("db:") !== true) continue;
    config[name] = undefined;
    watched.add(spec.split(",")[0]!.slice(3));
  }
  for (const database of watched) server.databases.get(database)?.onCommit(update);
  update();
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
