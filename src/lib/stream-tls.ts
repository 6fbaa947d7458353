/**
 * `ssl:` and `pssl:` over node:tls (upstream: lib/stream-ssl). Certificates are proof of membership, not of a host
 * name: the peer's must descend from the CA certificate, names are not compared, as the original does it.
 */
import fs from "node:fs";
import net from "node:net";
import tls from "node:tls";
import type { Clock } from "./clock.ts";
import { codeOf, describeError, errnoOf, osError } from "./errors.ts";
import type { Stream, StreamServer } from "./stream.ts";
import type { TlsConfig } from "./stream-config.ts";
import type { ActiveName, PassiveName } from "./stream-name.ts";
import { established, listening, remoteName, SocketStream } from "./stream-node.ts";
import { RateLimit, vlog } from "./vlog.ts";

const log = vlog("stream_ssl");
const suiteLimit = new RateLimit(1, 5);

/** How often a listener looks whether its files have changed. */
const RELOAD_MS = 1000;

export async function connectTls(
  name: string,
  target: ActiveName,
  config: TlsConfig,
  clock: Clock,
  timeoutMs: number | undefined,
): Promise<Stream> {
  const bootstrap = needsBootstrap(config);
  const options: tls.ConnectionOptions = {
    ...material(config, bootstrap),
    host: target.host,
    port: target.port,
    rejectUnauthorized: !bootstrap && config.caCert !== "none",
    checkServerIdentity: () => undefined,
  };
  const serverName = config.serverName ?? (net.isIP(target.host) === 0 ? target.host : undefined);
  if (serverName !== undefined) options.servername = serverName;
  const socket = tls.connect(options);
  try {
    await established(socket, "secureConnect", clock, timeoutMs);
  } catch (error) {
    const { message } = error as Error;
    // What is wrong with a certificate has names such as CERT_HAS_EXPIRED.
    const isCertificate = !(codeOf(error) ?? "E").startsWith("E");
    if (!isCertificate && !message.includes("SSL routines")) throw error;
    const why = isCertificate ? `certificate verify failed (${message})` : opensslText(message);
    log.warn(`SSL_connect: ${why}`);
    throw osError("EPROTO");
  }
  const suite = forbiddenSuite(socket, config);
  if (suite !== undefined) {
    socket.destroy();
    log.warn(`SSL_connect: sslv3 alert handshake failure (${suite} is not among the cipher suites allowed)`);
    throw osError("EPROTO");
  }
  if (bootstrap) {
    try {
      writeBootstrap(socket, config.caCert!);
    } finally {
      socket.destroy();
    }
    // Trust starts with a connection that has been checked: the next one. A session makes it; a client without --retry
    // ends here, as the original's does.
    throw osError("EPROTO");
  }
  return new SocketStream(socket, name, "ssl", commonName(socket));
}

function commonName(socket: tls.TLSSocket): string | undefined {
  // Bun and Node give an empty object, or null, where there is no certificate.
  const name: string | string[] | undefined = socket.getPeerCertificate()?.subject?.CN;
  return Array.isArray(name) ? name[0] : name;
}

export async function listenTls(
  name: string,
  target: PassiveName,
  config: TlsConfig,
  clock: Clock,
  accept: (stream: Stream) => void,
): Promise<StreamServer> {
  const server = tls.createServer(
    {
      ...material(config, false),
      requestCert: config.caCert !== "none",
      rejectUnauthorized: config.caCert !== "none",
    },
    (socket) => accept(new SocketStream(socket, remoteName("ssl", socket), "ssl", commonName(socket))),
  );
  server.on("secureConnection", (socket: tls.TLSSocket) => {
    const asked = (socket as { servername?: string | false }).servername;
    if (asked) log.dbg(`connection indicated server name ${asked}`);
    const suite = forbiddenSuite(socket, config);
    if (suite !== undefined) {
      log.warnRl(suiteLimit, `${name}: client uses ${suite}, which is not among the cipher suites allowed`);
    }
  });
  server.on("tlsClientError", (error) => log.warn(`SSL_accept: ${opensslText(error.message)}`));
  server.listen(target.host === "" ? { port: target.port } : { port: target.port, host: target.host });
  await listening(server);
  let seen = fingerprint(config);
  const watch = (): void => {
    const now = fingerprint(config);
    if (now !== seen) {
      seen = now;
      try {
        server.setSecureContext(material(config, false));
      } catch (error) {
        log.err(`${name}: could not reload TLS files: ${(error as Error).message}`);
      }
    }
    timer = clock.background(RELOAD_MS, watch);
  };
  let timer = clock.background(RELOAD_MS, watch);
  return {
    name,
    port: (server.address() as net.AddressInfo).port,
    close: () => {
      timer.cancel();
      server.close();
    },
  };
}

/** "error:10000410:SSL routines:OPENSSL_internal:SSLV3_ALERT_X" of BoringSSL as OpenSSL says it, in small letters. */
function opensslText(message: string): string {
  return message.replace(
    /:OPENSSL_internal:([A-Z0-9_]+)/,
    (_, reason: string) => `::${reason.toLowerCase().replaceAll("_", " ")}`,
  );
}

function needsBootstrap(config: TlsConfig): boolean {
  return config.bootstrap && config.caCert !== undefined && !fs.existsSync(config.caCert);
}

/**
 * Reads the files. As in the original, one that cannot be used counts as not configured, and what is not configured
 * throws ENOPROTOOPT. Without its CA certificate a peer could not be trusted: EPROTO, before it is even asked.
 */
function material(config: TlsConfig, bootstrap: boolean): tls.SecureContextOptions {
  const key = read(config.privateKey, "SSL_use_PrivateKey_file", (text) => ({ key: text }));
  const certificate = read(config.certificate, "SSL_use_certificate_file", (text) => ({ cert: text }));
  const { caCert } = config;
  if (key === undefined) unset("Private key");
  if (certificate === undefined) unset("Certificate");
  if (caCert === undefined) unset("CA certificate");
  if (key === undefined || certificate === undefined || caCert === undefined) throw osError("ENOPROTOOPT");
  const mismatch = "Private key does not match certificate public key";
  if (!isUsable(mismatch, { key, cert: certificate })) throw osError("ENOPROTOOPT");
  if (caCert === "none") warnOfNone();
  const ca = caCert === "none" || bootstrap ? undefined : readCa(caCert);
  const peerCa = config.peerCaCert === undefined ? "" : `\n${readCa(config.peerCaCert)}`;
  return {
    key,
    cert: certificate + peerCa,
    ...(ca === undefined ? {} : { ca }),
    ...versions(config.protocols),
    ...ciphers(config.ciphers),
  };
}

let warned = false;

function warnOfNone(): void {
  if (!warned) log.warn("Peer certificate validation disabled (this is a security risk)");
  warned = true;
}

function unset(what: string): void {
  log.err(`${what} must be configured to use SSL`);
}

/** The file's text; undefined, and a log line that begins with `what`, when it is of no use. */
function read(
  file: string | undefined,
  what: string,
  options: (text: string) => tls.SecureContextOptions,
): string | undefined {
  if (file === undefined) return undefined;
  let text: string;
  try {
    text = fs.readFileSync(file, "utf8");
  } catch (error) {
    const number = (0x80000000 + errnoOf(codeOf(error) ?? "EIO")).toString(16).toUpperCase();
    log.err(`${what}: error:${number}:system library::${describeError(error)}`);
    return undefined;
  }
  return isUsable(what, options(text)) ? text : undefined;
}

function isUsable(what: string, options: tls.SecureContextOptions): boolean {
  try {
    tls.createSecureContext(options);
    return true;
  } catch (error) {
    log.err(`${what}: ${opensslText((error as Error).message)}`);
    return false;
  }
}

function readCa(file: string): string {
  const text = read(file, `failed to load client certificates from ${file}`, (ca) => ({ ca }));
  if (text === undefined) throw osError("EPROTO");
  return text;
}

/** Those that are offered: older ones are not. */
const VERSIONS: readonly tls.SecureVersion[] = ["TLSv1.2", "TLSv1.3"];

export interface ProtocolRange {
  readonly min: tls.SecureVersion;
  readonly max: tls.SecureVersion;
}

/**
 * "TLSv1.2,TLSv1.3" (also with blanks, and no gaps: all from the lowest to the highest), "TLSv1.2+", "TLSv1.2-TLSv1.3".
 * @returns the range, or the word that is no version
 */
export function parseProtocols(text: string): ProtocolRange | string {
  const isOpen = text.endsWith("+");
  const words = isOpen
    ? [text.slice(0, -1)]
    : text.includes("-")
      ? text.split("-")
      : text.split(/[,\s]+/).filter((word) => word !== "");
  const places = words.map((word) => VERSIONS.indexOf(word as tls.SecureVersion));
  const bad = places.indexOf(-1);
  if (bad >= 0) return words[bad]!;
  const min = VERSIONS[Math.min(...places)] ?? VERSIONS[0]!;
  return { min, max: isOpen ? VERSIONS.at(-1)! : (VERSIONS[Math.max(...places)] ?? VERSIONS.at(-1)!) };
}

/** What cannot be read counts as not said. */
function versions(text: string | undefined): tls.SecureContextOptions {
  const range = text === undefined ? "" : parseProtocols(text);
  if (typeof range === "string") {
    if (text !== undefined) log.err(`${range}: SSL/TLS protocol not recognized`);
    return { minVersion: VERSIONS[0]!, maxVersion: VERSIONS.at(-1)! };
  }
  const { min, max } = range;
  log.dbg(`Enabled protocol range: ${min} ${text!.endsWith("+") ? "or later" : `- ${max}`}`);
  return { minVersion: min, maxVersion: max };
}

/**
 * An OpenSSL cipher list as BoringSSL, which is below Bun, reads it: that has no security levels (it refuses what levels
 * 1 and 2 refuse anyhow) and no word for its default, which is all it has.
 */
function ciphers(text: string | undefined): tls.SecureContextOptions {
  const words = (text ?? "")
    .split(/[:,\s]+/)
    .filter((word) => word !== "" && !/^@(SECLEVEL=|STRENGTH)/.test(word))
    .map((word) => (/^(COMPLEMENTOF)?DEFAULT$/.test(word) ? "ALL" : word));
  return words.length === 0 ? {} : { ciphers: words.join(":") };
}

/**
 * TLS 1.3 cipher suites cannot be chosen in BoringSSL, whose three are always offered. So a client that may not use the
 * one that came out gives up the connection; a server, whose clients could do nothing about it, takes it and says so.
 */
function forbiddenSuite(socket: tls.TLSSocket, { ciphersuites }: TlsConfig): string | undefined {
  if (ciphersuites === undefined || socket.getProtocol() !== "TLSv1.3") return undefined;
  const suite = socket.getCipher().standardName;
  return ciphersuites.split(/[:,\s]+/).includes(suite) ? undefined : suite;
}

function fingerprint({ privateKey, certificate, caCert, peerCaCert, ...rest }: TlsConfig): string {
  const stamps = [privateKey, certificate, caCert, peerCaCert].map((file) => {
    try {
      const { mtimeMs, size, ino } = fs.statSync(file ?? "");
      return `${file} ${mtimeMs} ${size} ${ino}`;
    } catch {
      return `${file}`;
    }
  });
  return JSON.stringify([stamps, rest]);
}

/** Writes the self-signed root that the peer sent. */
function writeBootstrap(socket: tls.TLSSocket, file: string): void {
  let certificate = socket.getPeerCertificate(true);
  while (certificate.issuerCertificate && certificate.issuerCertificate !== certificate) {
    if (certificate.issuerCertificate.fingerprint256 === certificate.fingerprint256) break;
    certificate = certificate.issuerCertificate;
  }
  const same = JSON.stringify(certificate.subject) === JSON.stringify(certificate.issuer);
  if (!same) {
    log.err("could not bootstrap CA cert: root certificate not sent by peer");
    throw osError("EPROTO");
  }
  const base64 = certificate.raw.toString("base64").replace(/(.{64})(?=.)/g, "$1\n");
  try {
    fs.writeFileSync(file, `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`, {
      flag: "wx",
      mode: 0o444,
    });
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
  }
  log.info(`successfully bootstrapped CA cert to ${file}`);
}
