/**
 * A connection that comes back: a {@link Vconn} with backoff, inactivity probes (echo requests) and a bound on what
 * may wait to be sent (upstream: rconn). Time and streams are handed in.
 */
import type { Clock, Timer } from "../lib/clock.ts";
import { describeError } from "../lib/errors.ts";
import { Reconnect, type ReconnectState } from "../lib/reconnect.ts";
import type { Stream, StreamFactory } from "../lib/stream.ts";
import { vlog } from "../lib/vlog.ts";
import { encode, readHeaderAt } from "./codec.ts";
import type { Version } from "./messages.ts";
import { Vconn } from "./vconn.ts";

const log = vlog("rconn");
const OFPT_ECHO_REQUEST = 2;
const OFPT_ECHO_REPLY = 3;

export interface RconnOptions {
  clock: Clock;
  streams: StreamFactory;
  /** Active connection method, "tcp:127.0.0.1:6653". */
  target: string;
  /** Bit v: wire version v is offered. */
  versions: number;
  maxBackoffMs?: number;
  /** 0: no probes. */
  probeIntervalMs?: number;
  /** Bytes that may wait to be sent; a message that would pass this is refused. */
  maxBacklog?: number;
}

export interface RconnHandler {
  connected?(version: Version): void;
  disconnected?(reason: string): void;
  /** Echoes are answered here and not handed on. `bytes` is valid during the call only. */
  message(bytes: Uint8Array): void;
}

export class Rconn {
  readonly target: string;
  readonly #o: RconnOptions;
  readonly #handler: RconnHandler;
  readonly #reconnect: Reconnect;
  #vconn: Vconn | undefined;
  #timer: Timer | undefined;
  #xid = 0;
  #stopped = false;
  /** Why the last connection ended, "" when none has. */
  lastError = "";

  constructor(options: RconnOptions, handler: RconnHandler) {
    this.target = options.target;
    this.#o = options;
    this.#handler = handler;
    this.#reconnect = new Reconnect(options.clock.now());
    this.#reconnect.maxBackoff = options.maxBackoffMs ?? 8000;
    this.#reconnect.probeInterval = options.probeIntervalMs ?? 5000;
  }

  get state(): ReconnectState {
    return this.#reconnect.state;
  }

  get version(): Version | undefined {
    const version = this.#vconn?.version ?? 0;
    return version === 0 ? undefined : version;
  }

  isConnected(): boolean {
    return this.version !== undefined;
  }

  start(): void {
    this.#reconnect.enable(this.#o.clock.now());
    this.#run();
  }

  /** Ends the connection for good. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#vconn?.destroy();
    this.#vconn = undefined;
  }

  nextXid(): number {
    this.#xid = (this.#xid + 1) >>> 0;
    return this.#xid;
  }

  /** Sends whole messages. "dropped": not connected, or too much is waiting already. */
  send(bytes: Uint8Array): "sent" | "full" | "dropped" {
    const vconn = this.#vconn;
    if (vconn === undefined || vconn.version === 0) return "dropped";
    if (vconn.backlog + bytes.length > (this.#o.maxBacklog ?? 1 << 24)) return "dropped";
    return vconn.send(bytes) ? "sent" : "full";
  }

  /** Drops the connection and makes a new one. */
  reconnect(): void {
    this.#reconnect.forceReconnect(this.#o.clock.now());
    this.#run();
  }

  #run(): void {
    if (this.#stopped) return;
    const { clock } = this.#o;
    const action = this.#reconnect.run(clock.now());
    if (action === "connect") this.#connect();
    else if (action === "disconnect") this.#fail("no response to inactivity probe");
    else if (action === "probe") this.#probe();
    this.#timer?.cancel();
    const deadline = this.#reconnect.deadline();
    if (deadline !== Number.POSITIVE_INFINITY) {
      this.#timer = clock.background(Math.max(0, deadline - clock.now()), () => this.#run());
    }
  }

  #probe(): void {
    const version = this.version;
    if (version === undefined) return;
    const message = encode({ type: "echo-request", payload: new Uint8Array(0) }, version, {
      xid: this.nextXid(),
    });
    this.#vconn?.send(message);
    log.dbg(`${this.target}: sending inactivity probe`);
  }

  #connect(): void {
    const { clock, streams, versions } = this.#o;
    log.info(`${this.target}: connecting...`);
    this.#reconnect.connecting(clock.now());
    streams.connect(this.target).then(
      (stream) => this.#opened(stream, versions),
      (error: unknown) => {
        if (this.#stopped) return;
        log.warn(`${this.target}: connection failed (${describeError(error)})`);
        this.lastError = describeError(error);
        this.#reconnect.connectFailed(clock.now());
        this.#run();
      },
    );
  }

  #opened(stream: Stream, versions: number): void {
    if (this.#stopped) {
      stream.destroy();
      return;
    }
    const vconn: Vconn = new Vconn(
      stream,
      versions,
      {
        open: () => {
          log.info(`${this.target}: connected`);
          this.#reconnect.connected(this.#o.clock.now());
          this.#handler.connected?.(vconn.version as Version);
          this.#run();
        },
        message: (bytes) => this.#message(bytes),
        close: (reason) => {
          if (this.#vconn === vconn)
            this.#closed(reason === undefined ? "End of file" : describeError(reason));
        },
      },
      () => this.nextXid(),
    );
    this.#vconn = vconn;
  }

  #message(bytes: Uint8Array): void {
    this.#reconnect.activity(this.#o.clock.now());
    const { type } = readHeaderAt(bytes);
    if (type === OFPT_ECHO_REQUEST) {
      const reply = bytes.slice();
      reply[1] = OFPT_ECHO_REPLY;
      this.#vconn?.send(reply);
    } else if (type !== OFPT_ECHO_REPLY || bytes.length > 8) this.#handler.message(bytes);
  }

  #fail(reason: string): void {
    const vconn = this.#vconn;
    this.#vconn = undefined;
    vconn?.destroy();
    log.err(`${this.target}: ${reason}, disconnecting`);
    this.#ended(reason);
  }

  #closed(reason: string): void {
    this.#vconn = undefined;
    log.info(`${this.target}: connection closed by peer`);
    this.#ended(reason);
    this.#run();
  }

  #ended(reason: string): void {
    this.lastError = reason;
    this.#reconnect.disconnected(this.#o.clock.now());
    if (!this.#stopped) this.#handler.disconnected?.(reason);
  }
}
