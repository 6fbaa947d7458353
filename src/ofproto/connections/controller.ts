/**
 * One Controller row's target: an active one is connected to again and again (upstream: `rconn.c`), a passive one
 * (`ptcp:`, `punix:`, `pssl:`) is listened on and may have several peers.
 */
import type { Timer } from "../../lib/clock.ts";
import { Reconnect } from "../../lib/reconnect.ts";
import type { StreamServer } from "../../lib/stream.ts";
import type { ControllerConfig, ControllerStatus } from "../types.ts";
import type { Channel } from "./channel.ts";
import { type Connection, ROLE_PRIMARY, ROLE_SECONDARY } from "./connection.ts";
import type { ConnectionManager } from "./manager.ts";

const CONNECT_TIMEOUT_MS = 8000;

export class Controller {
  private readonly manager: ConnectionManager;
  private config: ControllerConfig;
  private readonly passive: boolean;
  private readonly fsm: Reconnect;
  private readonly peers = new Map<Channel, { connection: Connection | undefined; fsm: Reconnect }>();
  private server: StreamServer | undefined = undefined;
  private timer: Timer | undefined = undefined;
  private lastError: string | undefined = undefined;
  private enabled: boolean;
  private closed = false;

  constructor(manager: ConnectionManager, config: ControllerConfig, enabled: boolean) {
    this.manager = manager;
    this.config = config;
    this.passive = /^p(tcp|unix|ssl):/.test(config.target);
    this.fsm = new Reconnect(manager.clock.now());
    this.enabled = enabled;
    this.configure(config);
    if (enabled) this.begin();
  }

  configure(config: ControllerConfig): void {
    this.config = config;
    this.fsm.minBackoff = Math.min(1000, config.maxBackoffMs);
    this.fsm.maxBackoff = config.maxBackoffMs;
    this.fsm.probeInterval = config.probeIntervalMs;
    for (const peer of this.peers.values()) {
      peer.fsm.probeInterval = config.probeIntervalMs;
      if (peer.connection !== undefined) peer.connection.enableAsync = config.enableAsyncMessages;
    }
  }

  get probeIntervalMs(): number {
    return this.config.probeIntervalMs;
  }

  get isConnected(): boolean {
    for (const peer of this.peers.values()) if (peer.connection !== undefined) return true;
    return false;
  }

  setEnabled(enabled: boolean): void {
    if (enabled === this.enabled) return;
    this.enabled = enabled;
    if (enabled) this.begin();
    else this.disconnect();
  }

  private begin(): void {
    if (this.passive) {
      void this.listen();
      return;
    }
    this.fsm.enable(this.manager.clock.now());
    this.tick();
  }

  private async listen(): Promise<void> {
    try {
      const server = await this.manager.streams.listen(this.config.target, (stream) => {
        const fsm = new Reconnect(this.manager.clock.now());
        fsm.passive = true;
        fsm.probeInterval = this.config.probeIntervalMs;
        fsm.enable(this.manager.clock.now());
        fsm.connecting(this.manager.clock.now());
        this.adopt(stream, fsm);
      });
      if (this.closed || !this.enabled) server.close();
      else this.server = server;
    } catch (error) {
      this.lastError = (error as Error).message;
      this.log("err", `${this.config.target}: failed to listen (${this.lastError})`);
    }
  }

  private adopt(stream: import("../../lib/stream.ts").Stream, fsm: Reconnect): void {
    const now = () => this.manager.clock.now();
    const channel = this.manager.open(
      stream,
      this.config.type,
      (reason) => {
        this.peers.delete(channel);
        fsm.disconnected(now());
        this.lastError = reason ?? "End of file";
        this.log("info", `connection closed by peer`);
        this.tick();
      },
      (connection) => {
        connection.enableAsync = this.config.enableAsyncMessages;
        this.peers.set(channel, { connection, fsm });
        fsm.connected(now());
        this.log("info", "connected");
        this.tick();
      },
      () => fsm.activity(now()),
    );
    if (channel.isOpen && !this.peers.has(channel)) this.peers.set(channel, { connection: undefined, fsm });
  }

  /** Does what is due and sets the timer for what comes next. */
  private tick(): void {
    this.timer?.cancel();
    this.timer = undefined;
    if (this.closed || !this.enabled) return;
    const now = this.manager.clock.now();
    let next = Number.POSITIVE_INFINITY;
    if (!this.passive) {
      if (this.fsm.run(now) === "connect") this.connect();
      next = Math.min(next, this.fsm.deadline() ?? Number.POSITIVE_INFINITY);
    }
    for (const [channel, peer] of [...this.peers]) {
      if (peer.connection === undefined) continue;
      const action = peer.fsm.run(now);
      if (action === "probe")
        channel.send({ type: "echo-request", payload: new Uint8Array() }, channel.nextXid());
      else if (action === "disconnect") {
        this.log(
          "err",
          `no response to inactivity probe after ${this.config.probeIntervalMs / 1000} seconds, disconnecting`,
        );
        channel.close("Connection timed out");
      }
      next = Math.min(next, peer.fsm.deadline() ?? Number.POSITIVE_INFINITY);
    }
    if (!Number.isFinite(next)) return;
    this.timer = this.manager.clock.background(Math.max(1, next - this.manager.clock.now()), () =>
      this.tick(),
    );
  }

  private connect(): void {
    const { clock, streams } = this.manager;
    this.fsm.connecting(clock.now());
    this.log("info", "connecting...");
    streams.connect(this.config.target, CONNECT_TIMEOUT_MS).then(
      (stream) => {
        if (this.closed || !this.enabled) stream.destroy();
        else this.adopt(stream, this.fsm);
      },
      (error: Error) => {
        if (this.closed) return;
        this.lastError = error.message;
        this.fsm.connectFailed(clock.now());
        this.log("info", `connection failed (${error.message})`);
        this.tick();
      },
    );
  }

  private disconnect(): void {
    this.timer?.cancel();
    this.timer = undefined;
    this.server?.close();
    this.server = undefined;
    this.fsm.disable(this.manager.clock.now());
    for (const channel of [...this.peers.keys()]) channel.end();
    this.peers.clear();
  }

  close(): void {
    this.closed = true;
    this.disconnect();
  }

  status(): ControllerStatus {
    const now = this.manager.clock.now();
    const status = new Map<string, string>();
    const peer = [...this.peers.values()].find(({ connection }) => connection !== undefined);
    const fsm = this.passive ? (peer?.fsm ?? this.fsm) : this.fsm;
    const { state, connectedAt, disconnectedAt } = fsm.stats;
    if (this.lastError !== undefined) status.set("last_error", this.lastError);
    if (!this.passive || peer !== undefined) status.set("state", state);
    if (connectedAt !== undefined)
      status.set("sec_since_connect", String(Math.floor((now - connectedAt) / 1000)));
    if (disconnectedAt !== undefined) {
      status.set("sec_since_disconnect", String(Math.floor((now - disconnectedAt) / 1000)));
    }
    const role = peer?.connection?.role;
    return {
      isConnected: peer !== undefined,
      role:
        role === undefined
          ? undefined
          : role === ROLE_PRIMARY
            ? "master"
            : role === ROLE_SECONDARY
              ? "slave"
              : "other",
      status,
    };
  }

  private log(level: "err" | "info", text: string): void {
    this.manager.ofproto.log("rconn", level, `${this.manager.ofproto.name}<->${this.config.target}: ${text}`);
  }
}
