/** Opening the connection methods of the command line, with the log lines of the original when that fails. */
import net from "node:net";
import { codeOf, describeError, osError } from "../../src/lib/errors.ts";
import type { Stream, StreamFactory, StreamServer } from "../../src/lib/stream.ts";
import { OPENFLOW_PORT } from "../../src/lib/stream-config.ts";
import { isActive, parseActive } from "../../src/lib/stream-name.ts";
import { vlog } from "../../src/lib/vlog.ts";

const log = vlog("controller");
const streamLog = vlog("stream");

let toldOfPort = false;

/** `tcp:HOST` means OpenFlow's port. */
export function withActivePort(name: string): string {
  const found = /^(tcp|ssl):(.*)$/s.exec(name);
  if (found === null) return name;
  const host = found[2]!;
  const hasPort = host.startsWith("[") ? /\]:[^:]*$/.test(host) : /^[^:]*:[^:]*$/.test(host);
  if (hasPort) return name;
  if (!toldOfPort) {
    streamLog.warn(`The default OpenFlow port number has changed from 6633 to ${OPENFLOW_PORT}`);
    toldOfPort = true;
  }
  return `${found[1]}:${net.isIPv6(host) ? `[${host}]` : host}:${OPENFLOW_PORT}`;
}

/** `ptcp:` and `ptcp::HOST` mean OpenFlow's port. */
export function withPassivePort(name: string): string {
  return name.replace(/^(ptcp|pssl):(?=:|$)/, `$1:${OPENFLOW_PORT}`);
}

/** Undefined: failed, and logged. */
export async function openActive(streams: StreamFactory, name: string): Promise<Stream | undefined> {
  const target = withActivePort(name);
  try {
    checkHost(target);
    return await streams.connect(target);
  } catch (error) {
    fail(name, error);
    return undefined;
  }
}

/** Undefined: failed, and logged. */
export async function openPassive(
  streams: StreamFactory,
  name: string,
  accept: (stream: Stream) => void,
): Promise<StreamServer | undefined> {
  const target = withPassivePort(name);
  const where = target.slice(target.indexOf(":") + 1);
  const port = /^p(?:tcp|ssl):([^:]*)/.exec(target)?.[1];
  if (port !== undefined && !(/^\d+$/.test(port) && Number(port) < 65536)) {
    vlog("socket_util").err(`${where}: bad port number "${port}"`);
    fail(name, osError("EAFNOSUPPORT"));
    return undefined;
  }
  try {
    return await streams.listen(target, accept);
  } catch (error) {
    // No address, and none looked up.
    if (/^(ENOTFOUND|EAI_AGAIN)$/.test(codeOf(error) ?? "")) fail(name, osError("EAGAIN"));
    else failToListen(name, where, port, error);
    return undefined;
  }
}

function failToListen(name: string, where: string, port: string | undefined, error: unknown): void {
  if (port === undefined) vlog("stream_unix").err(`${where}: binding failed: ${describeError(error)}`);
  else if (codeOf(error) !== "ENOPROTOOPT") {
    vlog("socket_util").err(`${where}: bind: ${describeError(error)}`);
  }
  fail(name, error);
}

/** Hosts are addresses: the original resolves no names while it connects. */
function checkHost(name: string): void {
  if (!isActive(name) || name.startsWith("unix:")) return;
  let host = "";
  try {
    host = parseActive(name, 0).host;
  } catch {
    // Complained of below.
  }
  if (net.isIP(host.replace(/%.*$/, "")) !== 0) return;
  const error = osError("EAFNOSUPPORT");
  const module = name.startsWith("tcp:") ? "stream_tcp" : "stream_ssl";
  vlog(module).err(`${name}: connect: ${describeError(error)}`);
  throw error;
}

function fail(name: string, error: unknown): void {
  log.err(`${name}: connect: ${describeError(error)}`);
}
