/**
 * A session with one OpenFlow peer (upstream: rconn): over streams that are opened again and again, with backoff, or over
 * one stream that a peer has opened. Inactivity probes, and the log lines that say how it fares. Time and streams are handed
 * in; messages go through {@link Rconn.vconn}.
 */
import type { Clock, Timer } from "../lib/clock.ts";
import { describeError } from "../lib/errors.ts";
import { Reconnect, type ReconnectState, type ReconnectStats } from "../lib/reconnect.ts";
import type { Stream } from "../lib/stream.ts";
import { vlog } from "../lib/vlog.ts";
import { encode } from "./codec.ts";
import { Vconn } from "./vconn.ts";

const log = vlog("rconn");

export interface RconnOptions {
  clock: Clock;
  /** For log lines: "br0<->tcp:127.0.0.1:6653". */
  name: string;
  /** Bit v: wire version v is offered. Asked at each connection. */
  versions: () => number;
  /** Opens a stream; undefined for a session that {@link Rconn.adopt}s one and ends with it. */
  connect: (() => Promise<Stream>) | undefined;
  maxBackoffMs: number;
  /** 0: no probes. */
  probeIntervalMs: number;
}

export interface RconnHandler {
  /** Versions are agreed upon: {@link Rconn.vconn} may be used. */
  connected(vconn: Vconn): void;
  /** Valid during the call only. */
  message(bytes: Uint8Array): void;
  /** What was connected no longer is; also called for a stream that never agreed on a version. */
  disconnected(): void;
}

export class Rconn {
  /** Present while there is a stream. */
  vconn: Vconn | undefined = undefined;
  /** Why the last connection, or attempt at one, ended. */
  lastError: string | undefined = undefined;
  private readonly options: RconnOptions;
  private readonly handler: RconnHandler;
  private readonly fsm: Reconnect;
  private timer: Timer | undefined = undefined;
  private closed = false;

  constructor(options: RconnOptions, handler: RconnHandler) {
    this.options = options;
    this.handler = handler;
    this.fsm = new Reconnect(options.clock.now());
    this.fsm.passive = options.connect === undefined;
    this.configure(options.maxBackoffMs, options.probeIntervalMs);
  }

  configure(maxBackoffMs: number, probeIntervalMs: number): void {
    this.fsm.minBackoff = Math.min(1000, maxBackoffMs);
    this.fsm.maxBackoff = maxBackoffMs;
    this.fsm.probeInterval = probeIntervalMs;
    if (this.timer !== undefined) this.run();
  }

  get state(): ReconnectState {
    return this.fsm.state;
  }

  get stats(): ReconnectStats {
    return this.fsm.stats;
  }

  get isConnected(): boolean {
    return this.vconn !== undefined && this.vconn.version !== 0;
  }

  /** Begins to connect. */
  start(): void {
    this.fsm.enable(this.options.clock.now());
    this.run();
  }

  /** Takes a stream that a peer has opened. */
  adopt(stream: Stream): void {
    const now = this.options.clock.now();
    this.fsm.enable(now);
    this.fsm.connecting(now);
    this.opened(stream);
  }

  /** Drops the connection; an active session makes a new one. */
  reconnect(): void {
    if (this.vconn === undefined) return;
    log.info(`${this.options.name}: disconnecting`);
    this.drop("disconnected by reconfiguration");
  }

  /** Sends what waits, and ends for good, without a word to the handler. */
  close(): void {
    this.closed = true;
    this.timer?.cancel();
    this.vconn?.end();
    this.vconn = undefined;
    this.fsm.disable(this.options.clock.now());
  }

  private go<T>(change: () => T): T {
    const before = this.fsm.state;
    const result = change();
    if (this.fsm.state !== before) log.dbg(`${this.options.name}: entering ${this.fsm.state}`);
    return result;
  }

  /** Does what is due and sets the timer for what comes next. */
  private run(): void {
    if (this.closed) return;
    const { clock } = this.options;
    this.timer?.cancel();
    this.timer = undefined;
    const idleSec = Math.round(this.fsm.probeInterval / 1000);
    switch (this.go(() => this.fsm.run(clock.now()))) {
      case "connect":
        if (this.options.connect !== undefined) this.connect();
        break;
      case "probe":
        log.dbg(`${this.options.name}: idle ${idleSec} seconds, sending inactivity probe`);
        this.probe();
        break;
      case "disconnect":
        if (this.isConnected) {
          log.err(
            `${this.options.name}: no response to inactivity probe after ${idleSec} seconds, disconnecting`,
          );
        } else if (this.isLogged) log.warn(`${this.options.name}: connection timed out`);
        this.drop("Connection timed out");
        return;
    }
    const deadline = this.fsm.deadline();
    if (deadline === Number.POSITIVE_INFINITY) return;
    this.timer = clock.background(Math.max(1, deadline - clock.now()), () => this.run());
  }

  private probe(): void {
    const { vconn } = this;
    if (vconn === undefined || vconn.version === 0) return;
    const xid = vconn.nextXid();
    vconn.sendOwned(encode({ type: "echo-request", payload: new Uint8Array(0) }, vconn.version, { xid }));
  }

  /** Attempts are told until they have become rare. */
  private get isLogged(): boolean {
    return this.fsm.stats.backoff < this.fsm.maxBackoff;
  }

  private connect(): void {
    const { clock, name, connect } = this.options;
    if (this.isLogged) log.info(`${name}: connecting...`);
    this.go(() => this.fsm.connecting(clock.now()));
    const attempt = this.fsm.stats.attempts;
    connect!().then(
      (stream) => {
        if (this.closed || this.fsm.stats.attempts !== attempt || this.fsm.state !== "CONNECTING")
          stream.destroy();
        else this.opened(stream);
      },
      (error: unknown) => {
        if (this.closed || this.fsm.stats.attempts !== attempt || this.fsm.state !== "CONNECTING") return;
        const reason = describeError(error);
        if (this.isLogged) log.warn(`${name}: connection failed (${reason})`);
        this.ended(reason);
      },
    );
  }

  private opened(stream: Stream): void {
    const { clock, name, versions } = this.options;
    const vconn: Vconn = new Vconn(stream, versions(), {
      open: () => {
        log[this.fsm.passive ? "dbg" : "info"](`${name}: connected`);
        this.go(() => this.fsm.connected(clock.now()));
        this.handler.connected(vconn);
        this.run();
      },
      message: (bytes) => {
        this.fsm.activity(clock.now());
        this.handler.message(bytes);
      },
      close: (error) => {
        if (this.vconn !== vconn) return;
        this.vconn = undefined;
        const reason = error === undefined ? "End of file" : describeError(error);
        if (error === undefined) log[this.fsm.passive ? "dbg" : "info"](`${name}: connection closed by peer`);
        else log.warn(`${name}: connection dropped (${reason})`);
        this.ended(reason);
      },
    });
    this.vconn = vconn;
  }

  private drop(reason: string): void {
    const { vconn } = this;
    this.vconn = undefined;
    vconn?.destroy();
    this.ended(reason);
  }

  private ended(reason: string): void {
    if (this.closed) return;
    const { name, clock } = this.options;
    this.lastError = reason;
    this.go(() => this.fsm.disconnected(clock.now()));
    if (!this.fsm.passive) {
      if (this.isLogged)
        log.info(`${name}: waiting ${Math.round(this.fsm.stats.backoff / 1000)} seconds before reconnect`);
      else if (this.fsm.stats.attempts > 0 && !this.silent) {
        this.silent = true;
        log.info(
          `${name}: continuing to retry connections in the background but suppressing further logging`,
        );
      }
    }
    if (this.isLogged) this.silent = false;
    // A stream that a peer has opened is not opened anew.
    if (this.fsm.passive) {
      this.closed = true;
      this.timer?.cancel();
    }
    this.handler.disconnected();
    this.run();
  }

  private silent = false;
}
