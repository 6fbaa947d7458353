/**
 * A JSON-RPC connection that is made again whenever it is lost: remotes in turn, back-off, "echo" probes when the peer
 * is silent, answers to the peer's probes (upstream: jsonrpc_session).
 */
import type { Clock, Timer } from "./clock.ts";
import { describeError } from "./errors.ts";
import type { Json } from "./json.ts";
import { JsonRpc, type JsonRpcMessage } from "./jsonrpc.ts";
import { Reconnect, type ReconnectStats } from "./reconnect.ts";
import type { StreamFactory } from "./stream.ts";
import { vlog } from "./vlog.ts";

const log = vlog("reconnect");

export interface SessionOptions {
  streams: StreamFactory;
  clock: Clock;
  /** Milliseconds without traffic before a probe, 0 for none. Default 5000 for tcp and ssl, 0 for unix, as the original. */
  probeMs?: number;
  /** Longest wait between attempts, milliseconds. Default 8000. */
  maxBackoffMs?: number;
  /** Connection attempts before the session gives up; default: for ever. */
  maxTries?: number;
  /** Tried in the order given (after a shuffle by the caller where wanted). */
  remotes: readonly string[];
}

export interface SessionHandler {
  /** A new connection is up. */
  connected(): void;
  message(message: JsonRpcMessage): void;
  /** Lost, or an attempt failed; the session tries again by itself. */
  disconnected(error: Error | undefined): void;
  /** No more attempts will be made. */
  dead?(error: Error | undefined): void;
}

const PROBE_ID = "echo";

export class JsonRpcSession {
  readonly #options: SessionOptions;
  readonly #handler: SessionHandler;
  readonly #reconnect: Reconnect;
  #rpc: JsonRpc | undefined;
  #timer: Timer | undefined;
  #next = 0;
  #remote: string;
  /** Of the attempt under way; a result of an older one is thrown away. */
  #generation = 0;
  #seqno = 0;
  #open = true;
  #probeMs: number | undefined;

  /** Begins to connect at once. */
  constructor(options: SessionOptions, handler: SessionHandler) {
    this.#options = options;
    this.#handler = handler;
    this.#remote = options.remotes[0] ?? "";
    this.#probeMs = options.probeMs;
    this.#reconnect = new Reconnect(this.#now());
    if (options.maxTries !== undefined) this.#reconnect.triesLeft = options.maxTries;
    if (options.maxBackoffMs !== undefined) this.#reconnect.maxBackoff = options.maxBackoffMs;
    this.#reconnect.enable(this.#now());
    options.clock.soon(() => this.#run());
  }

  get connected(): boolean {
    return this.#rpc !== undefined;
  }

  /** The remote in use, or tried last. */
  get remote(): string {
    return this.#remote;
  }

  /** Counts the connections made and lost. */
  get seqno(): number {
    return this.#seqno;
  }

  get stats(): ReconnectStats {
    return this.#reconnect.stats;
  }

  get rpc(): JsonRpc | undefined {
    return this.#rpc;
  }

  get backlog(): number {
    return this.#rpc?.backlog ?? 0;
  }

  send(message: JsonRpcMessage): void {
    this.#rpc?.send(message);
  }

  request(method: string, params: readonly Json[]): number | undefined {
    return this.#rpc?.request(method, params);
  }

  /** Rejects when the connection is lost before the reply. */
  transact(method: string, params: readonly Json[]): Promise<Json> {
    return this.#rpc?.transact(method, params) ?? Promise.reject(new Error("not connected"));
  }

  /** undefined: the default of the kind of remote. */
  setProbeInterval(ms: number | undefined): void {
    this.#probeMs = ms;
    this.#applyProbe();
    this.#schedule();
  }

  /** Drops the connection and makes a new one, with the next remote. */
  forceReconnect(): void {
    this.#reconnect.forceReconnect(this.#now());
    this.#schedule();
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#generation++;
    this.#timer?.cancel();
    const rpc = this.#rpc;
    this.#rpc = undefined;
    if (rpc !== undefined) {
      rpc.handler = undefined;
      rpc.close();
    }
  }

  #now(): number {
    return this.#options.clock.now();
  }

  #applyProbe(): void {
    const silent = this.#remote.startsWith("unix:") || this.#remote.startsWith("memory");
    const ms = this.#probeMs ?? (silent ? 0 : 5000);
    this.#reconnect.probeInterval = ms === 0 ? 0 : Math.max(1000, ms);
  }

  #schedule(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (!this.#open) return;
    const deadline = this.#reconnect.deadline();
    if (deadline !== Number.POSITIVE_INFINITY) {
      this.#timer = this.#options.clock.after(Math.max(0, deadline - this.#now()), () => this.#run());
    }
  }

  #run(): void {
    if (!this.#open) return;
    switch (this.#reconnect.run(this.#now())) {
      case "connect":
        void this.#connect();
        break;
      case "probe":
        if (log.isDbg()) log.dbg(`${this.#remote}: idle, sending inactivity probe`);
        this.#rpc?.send({ type: "request", method: "echo", params: [], id: PROBE_ID });
        break;
      case "disconnect":
        if (this.#rpc === undefined) log.info(`${this.#remote}: connection attempt timed out`);
        else if (this.#reconnect.state === "IDLE") {
          log.err(
            `${this.#remote}: no response to inactivity probe after ${this.#reconnect.probeInterval / 1000} seconds, disconnecting`,
          );
        } else log.info(`${this.#remote}: disconnecting`);
        this.#lose(undefined);
        break;
      default:
        break;
    }
    this.#schedule();
  }

  async #connect(): Promise<void> {
    const { remotes, streams } = this.#options;
    const generation = ++this.#generation;
    this.#remote = remotes[this.#next++ % remotes.length] ?? "";
    this.#applyProbe();
    this.#reconnect.connecting(this.#now());
    log.info(`${this.#remote}: connecting...`);
    try {
      const stream = await streams.connect(this.#remote);
      if (generation !== this.#generation || !this.#open) return stream.destroy();
      log.info(`${this.#remote}: connected`);
      this.#reconnect.connected(this.#now());
      this.#seqno++;
      this.#rpc = new JsonRpc(stream, {
        message: (message) => this.#receive(message),
        close: (error) => {
          log.info(
            error === undefined
              ? `${this.#remote}: connection closed by peer`
              : `${this.#remote}: connection dropped (${describeError(error)})`,
          );
          this.#lose(error);
          this.#schedule();
        },
      });
      this.#handler.connected();
      this.#schedule();
    } catch (error) {
      if (generation !== this.#generation || !this.#open) return;
      log.info(`${this.#remote}: connection attempt failed (${describeError(error)})`);
      this.#lose(error as Error);
      this.#schedule();
    }
  }

  #receive(message: JsonRpcMessage): void {
    const wasIdle = this.#reconnect.state === "IDLE";
    this.#reconnect.activity(this.#now());
    if (wasIdle) this.#schedule();
    if (message.type === "request" && message.method === "echo") {
      this.#rpc?.reply(message.id, message.params);
    } else if ((message.type === "reply" || message.type === "error") && message.id === PROBE_ID) {
      // Our probe's answer: the activity was all we wanted.
    } else this.#handler.message(message);
  }

  /** The connection or the attempt is over. */
  #lose(error: Error | undefined): void {
    this.#generation++;
    const rpc = this.#rpc;
    this.#rpc = undefined;
    if (rpc !== undefined) {
      this.#seqno++;
      rpc.handler = undefined;
      rpc.destroy();
    }
    this.#reconnect.disconnected(this.#now());
    // Another remote has not refused us yet.
    if (this.#options.remotes.length > 1 && this.#next % this.#options.remotes.length !== 0)
      this.#reconnect.skipBackoff();
    if (!this.#open) return;
    this.#handler.disconnected(error);
    if (this.#reconnect.state === "VOID") this.#handler.dead?.(error);
    else if (this.#reconnect.state === "BACKOFF") {
      const wait = this.#reconnect.stats.backoff;
      if (wait > 0) log.info(`${this.#remote}: waiting ${Math.round(wait / 1000)} seconds before reconnect`);
    }
  }
}
