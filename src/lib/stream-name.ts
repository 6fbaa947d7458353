/** Reading connection names: `unix:FILE`, `tcp:HOST:PORT`, `ssl:[::1]:6640`, `punix:`, `ptcp:[PORT][:HOST]`, `pssl:`. */
import { osError } from "./errors.ts";
import { parseIpv4 } from "./ip.ts";

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

export function isActive(name: string): boolean {
  return /^(unix|tcp|ssl):/.test(name);
}

/**
 * "tcp:HOST[:PORT]". A bare IPv6 address needs brackets only when a port follows.
 * `defaultPort` 0: a port must be given. Throws an errno error: EAFNOSUPPORT for an unknown kind, EINVAL for a bad one.
 */
export function parseActive(name: string, defaultPort: number): ActiveName {
  const match = /^(unix|tcp|ssl):(.*)$/s.exec(name);
  if (match === null) throw osError("EAFNOSUPPORT");
  const kind = match[1] as ActiveName["kind"];
  if (kind === "unix") return { kind, path: match[2]!, host: "", port: 0 };
  const target = splitAddress(match[2]!);
  const port = target?.port === "" ? defaultPort : parsePort(target?.port);
  if (target === undefined || target.host === "" || port === undefined || port === 0) throw osError("EINVAL");
  return { kind, path: "", host: target.host, port };
}

/** "ptcp:[PORT][:HOST]". Throws as parseActive. */
export function parsePassive(name: string, defaultPort: number): PassiveName {
  const match = /^(punix|ptcp|pssl):(.*)$/s.exec(name);
  if (match === null) throw osError("EAFNOSUPPORT");
  const kind = match[1] as PassiveName["kind"];
  const rest = match[2]!;
  if (kind === "punix") return { kind, path: rest, host: "", port: 0 };
  const colon = rest.indexOf(":");
  const portText = colon < 0 ? rest : rest.slice(0, colon);
  const host = colon < 0 ? "" : unbracket(rest.slice(colon + 1));
  const port = portText === "" ? defaultPort : parsePort(portText);
  if (port === undefined || host === undefined) throw osError("EINVAL");
  return { kind, path: "", host, port };
}

function parsePort(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,5}$/.test(text) && Number(text) < 65536 ? Number(text) : undefined;
}

function unbracket(host: string): string | undefined {
  if (!host.startsWith("[")) return host;
  return host.endsWith("]") ? host.slice(1, -1) : undefined;
}

/** "1.2.3.4:5", "[::1]:5", "::1", "host:5", "host" */
export function splitAddress(text: string): { host: string; port: string } | undefined {
  const bracket = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
  if (bracket !== null) return { host: bracket[1]!, port: bracket[2] ?? "" };
  if (text.startsWith("[")) return undefined;
  const colons = text.split(":").length - 1;
  if (colons > 1) return { host: text, port: "" };
  const [host, port] = text.split(":");
  return { host: host!, port: port ?? "" };
}

/** "1.2.3.4:5" or "[::1]:5". */
export function formatAddress(host: string, port: number): string {
  return host.includes(":") && parseIpv4(host) === undefined ? `[${host}]:${port}` : `${host}:${port}`;
}
