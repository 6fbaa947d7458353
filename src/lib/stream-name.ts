/** Reading connection names: `unix:FILE`, `tcp:HOST:PORT`, `ssl:[::1]:6640`, `punix:`, `ptcp:[PORT][:HOST]`, `pssl:`. */
export interface ActiveName {
  kind: "unix" | "tcp" | "ssl";
  path: string;
  host: string;
  port: number;
}
/** `port` 0: any. `host` "": all addresses. */
export interface PassiveName {
  kind: "punix" | "ptcp" | "pssl";
  path: string;
  host: string;
  port: number;
}

export function isPassive(name: string): boolean {
  return /^p(unix|tcp|ssl):/.test(name);
}
