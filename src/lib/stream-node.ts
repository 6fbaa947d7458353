/**
 * Streams over node:net: `unix:`, `tcp:`, `punix:`, `ptcp:`; `ssl:` and `pssl:` by `stream-tls.ts`, loaded when first used.
 * Upstream: lib/stream-{unix,tcp,ssl}, lib/socket-util. A relative socket path is meant relative to OVS_RUNDIR.
 */

import fs from "node:fs";
import type net from "node:net";
import type { Clock } from "./clock.ts";
import { absolute } from "./dirs.ts";
import { codeOf, osError } from "./errors.ts";
import { addressBytes } from "./ip.ts";
import type { Stream, StreamFactory, StreamHandler, StreamServer } from "./stream.ts";
import { TLS, type TlsConfig } from "./stream-config.ts";
import { formatAddress, parseActive, parsePassive } from "./stream-name.ts";
import { vlog } from "./vlog.ts";

export interface NodeStreamOptions {
  clock: Clock;
  /** Folder of relative socket names. */
  rundir: string;
  tls?: TlsConfig;
  /** Runs the call before the process ends: socket files must not stay behind. */
  atExit?(run: () => void): void;
  /** What `punix:` and `ptcp:` listen with; by default node:net. */
  listeners?: NativeListeners;
}

/** Sockets that listen. Binding happens within the call, which throws an errno error. */
export interface NativeListeners {
  /** `name` makes the name of one more stream. */
  unix(path: string, name: () => string, accept: (stream: Stream) => void): Listener;
  tcp(
    host: string,
    port: number,
    name: (address: string, port: number) => string,
    accept: (stream: Stream) => void,
  ): Listener;
}

export interface Listener {
  readonly port: number | undefined;
  close(): void;
}

/** Loaded when it is needed, which costs 15 ms: a daemon that listens with the engine's own sockets never does. */
const nodeNet = (): typeof net => process.getBuiltinModule("node:net");

/** sockaddr_un holds 108 bytes, the last a NUL. */
const UNIX_PATH_MAX = 107;
/** Default when a name leaves the port out. */
const DEFAULT_PORT = 6640;

export function nodeStreams(options: NodeStreamOptions): StreamFactory {
  const tls = options.tls ?? TLS;
  const sockets = new SocketFiles(options);

  async function connect(name: string, timeoutMs?: number): Promise<Stream> {
    const target = parseActive(name, DEFAULT_PORT);
    if (target.kind === "ssl") {
      const { connectTls } = await import("./stream-tls.ts");
      return connectTls(name, target, tls, options.clock, timeoutMs);
    }
    if (target.kind === "tcp") {
      const socket = nodeNet().connect({ host: target.host, port: target.port, noDelay: true });
      await established(socket, "connect", options.clock, timeoutMs);
      return new SocketStream(socket, name, "tcp");
    }
    const path = shortPath(absolute(options.rundir, target.path));
    try {
      const socket = nodeNet().connect({ path: path.name });
      await established(socket, "connect", options.clock, timeoutMs);
      return new SocketStream(socket, name, "unix");
    } finally {
      path.done();
    }
  }

  async function listen(name: string, accept: (stream: Stream) => void): Promise<StreamServer> {
    const target = parsePassive(name, DEFAULT_PORT);
    if (target.kind === "pssl") {
      const { listenTls } = await import("./stream-tls.ts");
      return tellPort(await listenTls(name, target, tls, options.clock, accept), target.port);
    }
    if (target.kind === "punix") return sockets.listen(name, absolute(options.rundir, target.path), accept);
    if (options.listeners !== undefined) {
      const { tcp } = options.listeners;
      const bind = (host: string): Listener =>
        tcp(host, target.port, (address, port) => tcpName("tcp", address, port), accept);
      const { port, close } = await bindTcp(bind, target.host);
      return tellPort({ name, port, close }, target.port);
    }
    const server = nodeNet().createServer({ noDelay: true }, (socket) =>
      accept(new SocketStream(socket, remoteName("tcp", socket), "tcp")),
    );
    server.listen(target.host === "" ? { port: target.port } : { port: target.port, host: target.host });
    await listening(server);
    const port = (server.address() as net.AddressInfo).port;
    return tellPort({ name, port, close: () => void server.close() }, target.port);
  }

  return { connect, listen };
}

/** No host: every address, of IPv4 alone where there is no IPv6. */
async function bindTcp(bind: (host: string) => Listener, host: string): Promise<Listener> {
  if (host !== "")
    return bind(addressBytes(host.split("%", 1)[0]!) === undefined ? await lookup(host) : host);
  try {
    return bind("::");
  } catch (error) {
    if (!["EAFNOSUPPORT", "EADDRNOTAVAIL"].includes(codeOf(error) ?? "")) throw error;
    return bind("0.0.0.0");
  }
}

async function lookup(host: string): Promise<string> {
  return (await process.getBuiltinModule("node:dns/promises").lookup(host)).address;
}

/** Whoever asked the kernel for a port finds it in the log. */
function tellPort(server: StreamServer, asked: number): StreamServer {
  const where = server.name.slice(server.name.indexOf(":") + 1);
  if (asked === 0) vlog("socket_util").info(`${where}: listening on port ${server.port}`);
  return server;
}

/** `tcp:ADDRESS:PORT` of the other end. */
export function remoteName(kind: "tcp" | "ssl", socket: net.Socket): string {
  return tcpName(kind, socket.remoteAddress, socket.remotePort);
}

function tcpName(kind: "tcp" | "ssl", address: string | undefined, port: number | undefined): string {
  return `${kind}:${formatAddress(unmapped(address) ?? "", port ?? 0)}`;
}

/** "::ffff:1.2.3.4", an IPv4 peer of a dual-stack socket, is shown as 1.2.3.4. */
function unmapped(address: string | undefined): string | undefined {
  return address?.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}

/** Waits for `event` ("connect", "secureConnect"); rejects with the socket's error or ETIMEDOUT. */
export function established(
  socket: net.Socket,
  event: string,
  clock: Clock,
  timeoutMs: number | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer =
      timeoutMs === undefined
        ? undefined
        : clock.background(timeoutMs, () => {
            fail(osError("ETIMEDOUT", "connect"));
            socket.destroy();
          });
    const done = (): void => {
      timer?.cancel();
      socket.off("error", fail);
      socket.off("close", closed);
      socket.off(event, connected);
    };
    const connected = (): void => {
      done();
      resolve();
    };
    const fail = (error: Error): void => {
      done();
      socket.on("error", () => {});
      reject(error);
    };
    const closed = (): void => fail(osError("ECONNRESET", "connect"));
    socket.once(event, connected);
    socket.once("error", fail);
    socket.once("close", closed);
  });
}

export function listening(server: net.Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.once("listening", () => {
      server.off("error", reject);
      // A failed accept (EMFILE, a reset peer) concerns nobody else.
      server.on("error", () => {});
      resolve();
    });
  });
}

/** One end of a connection; TLS sockets are net sockets too. */
export class SocketStream implements Stream {
  readonly name: string;
  readonly kind: "unix" | "tcp" | "ssl";
  readonly localAddress: string | undefined;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  readonly peerName: string | undefined;
  readonly #socket: net.Socket;
  #handler: StreamHandler | undefined;
  /** What came before there was a handler. */
  #early: Uint8Array[] = [];
  #paused = false;
  #failure: Error | undefined;
  #closed = false;
  #announced = false;

  constructor(socket: net.Socket, name: string, kind: "unix" | "tcp" | "ssl", peerName?: string) {
    this.#socket = socket;
    this.name = name;
    this.kind = kind;
    this.peerName = peerName;
    this.localAddress = kind === "unix" ? undefined : unmapped(socket.localAddress);
    this.remoteAddress = kind === "unix" ? undefined : unmapped(socket.remoteAddress);
    this.remotePort = kind === "unix" ? undefined : socket.remotePort;
    socket.on("data", (bytes: Uint8Array) => {
      if (this.#handler === undefined || this.#early.length > 0 || this.#paused) {
        this.#early.push(bytes);
        socket.pause();
      } else this.#handler.data(bytes);
    });
    socket.on("drain", () => this.#handler?.drain?.());
    socket.on("error", (error: Error) => {
      this.#failure ??= error;
    });
    socket.on("close", () => {
      this.#closed = true;
      this.#flush();
    });
  }

  get handler(): StreamHandler | undefined {
    return this.#handler;
  }

  set handler(handler: StreamHandler | undefined) {
    this.#handler = handler;
    if (handler !== undefined && (this.#early.length > 0 || this.#closed))
      queueMicrotask(() => this.#flush());
  }

  /** Hands on what waited, then the end. */
  #flush(): void {
    while (this.#early.length > 0 && this.#handler !== undefined && !this.#paused) {
      this.#handler.data(this.#early.shift()!);
    }
    if (this.#handler === undefined || this.#paused) return;
    if (this.#closed) {
      if (this.#announced) return;
      this.#announced = true;
      this.#handler.close(this.#failure);
    } else this.#socket.resume();
  }

  get backlog(): number {
    return this.#socket.writableLength;
  }

  write(bytes: Uint8Array | string): boolean {
    if (this.#closed || this.#socket.destroyed || this.#socket.writableEnded) return false;
    return this.#socket.write(bytes);
  }

  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.#early.length > 0 || this.#closed) queueMicrotask(() => this.#flush());
    else this.#socket.resume();
  }

  end(): void {
    this.#paused = false;
    this.#socket.resume();
    this.#socket.end();
  }

  destroy(error?: Error): void {
    this.#failure ??= error;
    this.#paused = false;
    this.#early = [];
    this.#socket.destroy();
  }
}

/** Listening unix sockets, whose files go away with them. */
class SocketFiles {
  readonly #files = new Map<string, Listener>();
  #accepted = 0;
  readonly #options: NodeStreamOptions;

  constructor(options: NodeStreamOptions) {
    this.#options = options;
  }

  async listen(name: string, path: string, accept: (stream: Stream) => void): Promise<StreamServer> {
    const streamName = (): string => `unix#${this.#accepted++}`;
    unlinkQuietly(path);
    const short = shortPath(path);
    // The kernel makes the file with 0777 less umask; it is opened to the group only once it has its final mode.
    const umask = process.umask(0o077);
    let listener: Listener;
    try {
      listener =
        this.#options.listeners?.unix(short.name, streamName, accept) ??
        (await listenUnix(short.name, streamName, accept));
      fs.chmodSync(path, 0o770 & ~umask);
    } finally {
      process.umask(umask);
      short.done();
    }
    if (this.#files.size === 0) this.#options.atExit?.(() => this.#unlinkAll());
    this.#files.set(path, listener);
    const close = (): void => {
      if (this.#files.get(path) !== listener) return;
      this.#files.delete(path);
      listener.close();
      unlinkQuietly(path);
    };
    return { name, port: undefined, close };
  }

  #unlinkAll(): void {
    for (const path of this.#files.keys()) unlinkQuietly(path);
    this.#files.clear();
  }
}

async function listenUnix(
  path: string,
  name: () => string,
  accept: (stream: Stream) => void,
): Promise<Listener> {
  const server = nodeNet().createServer((socket) => accept(new SocketStream(socket, name(), "unix")));
  server.listen({ path });
  await listening(server);
  return { port: undefined, close: () => void server.close() };
}

function unlinkQuietly(path: string): void {
  try {
    fs.unlinkSync(path);
  } catch {
    // Not there, or not ours to remove: binding will tell.
  }
}

const O_PATH = 0o10000000;

/** A name for `path` that fits a socket address: through an open descriptor of its folder where it is too long itself. */
function shortPath(path: string): { name: string; done: () => void } {
  if (Buffer.byteLength(path) <= UNIX_PATH_MAX) return { name: path, done: () => {} };
  const slash = path.lastIndexOf("/");
  const fd = fs.openSync(path.slice(0, slash) || "/", O_PATH | fs.constants.O_DIRECTORY);
  return { name: `/proc/self/fd/${fd}/${path.slice(slash + 1)}`, done: () => fs.closeSync(fd) };
}
