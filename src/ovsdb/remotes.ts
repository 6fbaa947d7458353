/**
 * Where a server listens and whom it calls: each remote keeps itself going (listens again after a failure, connects
 * again with growing pauses) and hands on what connects. Upstream: ovsdb/jsonrpc-server (remotes).
 */
import type { Clock, Timer } from "../lib/clock.ts";
import { codeOf, describeError } from "../lib/errors.ts";
import type { Stream, StreamFactory, StreamServer } from "../lib/stream.ts";
import { isPassive } from "../lib/stream-name.ts";
import { vlog } from "../lib/vlog.ts";

const log = vlog("ovsdb_jsonrpc_server");
const reconnectLog = vlog("reconnect");

export interface RemoteOptions {
  readonly readOnly: boolean;
  /** Undefined: 5000 for tcp and ssl, none for unix. */
  readonly probeMs: number | undefined;
  readonly maxBackoffMs: number;
  readonly role: string | undefined;
}

export const DEFAULT_REMOTE: RemoteOptions = {
  readOnly: false,
  probeMs: undefined,
  maxBackoffMs: 8000,
  role: undefined,
};

export function sameOptions(a: RemoteOptions, b: RemoteOptions): boolean {
  return (
    a.readOnly === b.readOnly &&
    a.probeMs === b.probeMs &&
    a.maxBackoffMs === b.maxBackoffMs &&
    a.role === b.role
  );
}

export interface RemoteHost {
  readonly clock: Clock;
  readonly streams: StreamFactory;
  /** A client is there; `closed` is to be called when it has gone. */
  accept(stream: Stream, remote: Remote, closed: () => void): { close(): void };
}

const LISTEN_AGAIN_MS = 3000;
const MIN_BACKOFF_MS = 1000;

export class Remote {
  readonly target: string;
  options: RemoteOptions;
  readonly #host: RemoteHost;
  #server: StreamServer | undefined;
  readonly #sessions = new Set<{ close(): void }>();
  #timer: Timer | undefined;
  #backoff = 0;
  #closed = false;
  /** For status columns: times (monotonic ms) and the last failure. */
  connectedAt: number | undefined;
  disconnectedAt: number | undefined;
  lastError: string | undefined;
  state: "ACTIVE" | "BACKOFF" | "CONNECTING" | "VOID" = "VOID";

  constructor(host: RemoteHost, target: string, options: RemoteOptions) {
    this.#host = host;
    this.target = target;
    this.options = options;
  }

  get isPassive(): boolean {
    return isPassive(this.target);
  }

  get sessionCount(): number {
    return this.#sessions.size;
  }

  get boundPort(): number | undefined {
    return this.#server?.port;
  }

  /** Resolves after the first attempt, whatever came of it. */
  async start(): Promise<void> {
    if (this.isPassive) await this.#listen();
    else this.#connect();
  }

  async #listen(): Promise<void> {
    try {
      const server = await this.#host.streams.listen(this.target, (stream) => this.#accept(stream));
      if (this.#closed) server.close();
      else this.#server = server;
    } catch (error) {
      log.err(`${this.target}: listen failed: ${describeError(error)}`);
      this.lastError = describeError(error);
      if (codeOf(error) === "EAFNOSUPPORT") return;
      if (!this.#closed) this.#timer = this.#host.clock.after(LISTEN_AGAIN_MS, () => void this.#listen());
    }
  }

  #accept(stream: Stream): void {
    const session = this.#host.accept(stream, this, () => {
      this.#sessions.delete(session);
      this.disconnectedAt = this.#host.clock.now();
      if (!this.isPassive) this.#lost();
    });
    this.#sessions.add(session);
    this.connectedAt = this.#host.clock.now();
  }

  #connect(): void {
    this.state = "CONNECTING";
    reconnectLog.info(`${this.target}: connecting...`);
    this.#host.streams.connect(this.target).then(
      (stream) => {
        if (this.#closed) {
          stream.destroy();
          return;
        }
        reconnectLog.info(`${this.target}: connected`);
        this.state = "ACTIVE";
        this.#backoff = 0;
        this.#accept(stream);
      },
      (error: unknown) => {
        this.lastError = describeError(error);
        reconnectLog.info(`${this.target}: connection attempt failed (${describeError(error)})`);
        this.#lost();
      },
    );
  }

  #lost(): void {
    if (this.#closed) return;
    this.state = "BACKOFF";
    const least = Math.min(MIN_BACKOFF_MS, this.options.maxBackoffMs);
    this.#backoff = Math.min(Math.max(least, this.#backoff * 2), this.options.maxBackoffMs);
    if (this.#backoff >= 2000) {
      const seconds = Math.round(this.#backoff / 100) / 10;
      reconnectLog.info(`${this.target}: waiting ${seconds} seconds before reconnect`);
    }
    this.#timer = this.#host.clock.after(this.#backoff, () => this.#connect());
  }

  /** Ends all connections; active ones are made again, passive remotes go on listening. */
  reconnect(): void {
    for (const session of [...this.#sessions]) session.close();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#server?.close();
    this.#server = undefined;
    for (const session of [...this.#sessions]) session.close();
  }
}
