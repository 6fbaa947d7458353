/**
 * One Controller row's target: an active one is connected to again and again, a passive one (`ptcp:`, `punix:`, `pssl:`) is
 * listened on and may have several peers (upstream: `struct ofservice`).
 */
import { describeError } from "../../lib/errors.ts";
import type { StreamServer } from "../../lib/stream.ts";
import { Rconn } from "../../openflow/rconn.ts";
import type { ControllerConfig, ControllerStatus } from "../types.ts";
import { type Connection, ROLE_PRIMARY, ROLE_SECONDARY } from "./connection.ts";
import type { ConnectionManager } from "./manager.ts";

/** How long one attempt to connect may take. */
const CONNECT_TIMEOUT_MS = 8000;

interface Peer {
  readonly rconn: Rconn;
  /** Present while versions are agreed upon. */
  connection: Connection | undefined;
}

export class Controller {
  private readonly manager: ConnectionManager;
  private config: ControllerConfig;
  private readonly passive: boolean;
  /** One for an active target, one for each that has connected to a passive one. */
  private readonly peers = new Set<Peer>();
  private server: StreamServer | undefined = undefined;
  private enabled = false;
  private closed = false;

  constructor(manager: ConnectionManager, config: ControllerConfig, enabled: boolean) {
    this.manager = manager;
    this.config = config;
    this.passive = /^p(tcp|unix|ssl):/.test(config.target);
    this.setEnabled(enabled);
  }

  configure(config: ControllerConfig): void {
    this.config = config;
    for (const peer of this.peers) {
      peer.rconn.configure(config.maxBackoffMs, config.probeIntervalMs);
      this.configureConnection(peer.connection);
    }
  }

  private configureConnection(connection: Connection | undefined): void {
    if (connection === undefined) return;
    const { enableAsyncMessages, rateLimit, burstLimit } = this.config;
    connection.enableAsync = enableAsyncMessages;
    connection.misses.setLimits(rateLimit, burstLimit);
    connection.actions.setLimits(rateLimit, burstLimit);
  }

  get target(): string {
    return this.config.target;
  }

  get isPrimary(): boolean {
    return this.config.type === "primary";
  }

  get probeIntervalMs(): number {
    return this.config.probeIntervalMs;
  }

  get isConnected(): boolean {
    for (const peer of this.peers) if (peer.connection !== undefined) return true;
    return false;
  }

  setEnabled(enabled: boolean): void {
    if (enabled === this.enabled) return;
    this.enabled = enabled;
    if (!enabled) this.disconnect();
    else if (this.passive) void this.listen();
    else this.newPeer(this.config.target).rconn.start();
  }

  /** Drops every connection; those that we make come back. */
  reconnect(): void {
    for (const peer of [...this.peers]) peer.rconn.reconnect();
  }

  private async listen(): Promise<void> {
    const { manager, config } = this;
    try {
      const server = await manager.streams.listen(config.target, (stream) =>
        this.newPeer(stream.name).rconn.adopt(stream),
      );
      if (this.closed || !this.enabled) server.close();
      else this.server = server;
    } catch (error) {
      manager.ofproto.log("connmgr", "err", `failed to listen on ${config.target}: ${describeError(error)}`);
    }
  }

  private newPeer(remote: string): Peer {
    const { manager, config } = this;
    const { clock, streams } = manager;
    const rconn = new Rconn(
      {
        clock,
        name: `${manager.ofproto.name}<->${remote}`,
        versions: () => manager.versions,
        connect: this.passive ? undefined : () => streams.connect(config.target, CONNECT_TIMEOUT_MS),
        maxBackoffMs: config.maxBackoffMs,
        probeIntervalMs: config.probeIntervalMs,
      },
      {
        connected: (vconn) => {
          peer.connection = manager.connect(vconn, this.config.type);
          this.configureConnection(peer.connection);
        },
        message: (bytes) => peer.connection?.receive(bytes),
        disconnected: () => {
          if (this.passive) this.peers.delete(peer);
          const { connection } = peer;
          peer.connection = undefined;
          if (connection === undefined) manager.connectionsChanged();
          else manager.disconnect(connection);
        },
      },
    );
    const peer: Peer = { rconn, connection: undefined };
    this.peers.add(peer);
    return peer;
  }

  private disconnect(): void {
    this.server?.close();
    this.server = undefined;
    const peers = [...this.peers];
    this.peers.clear();
    for (const peer of peers) {
      peer.rconn.close();
      if (peer.connection !== undefined) this.manager.disconnect(peer.connection);
    }
  }

  close(): void {
    this.closed = true;
    this.disconnect();
  }

  status(): ControllerStatus {
    const now = this.manager.clock.now();
    const status = new Map<string, string>();
    const peer = [...this.peers].find(({ connection }) => connection !== undefined) ?? [...this.peers][0];
    const role = peer?.connection?.role;
    if (peer !== undefined) {
      const { state, connectedAt, disconnectedAt } = peer.rconn.stats;
      if (peer.rconn.lastError !== undefined) status.set("last_error", peer.rconn.lastError);
      status.set("state", state);
      if (connectedAt !== undefined)
        status.set("sec_since_connect", String(Math.floor((now - connectedAt) / 1000)));
      if (disconnectedAt !== undefined)
        status.set("sec_since_disconnect", String(Math.floor((now - disconnectedAt) / 1000)));
      this.addPacketInStatus(peer.connection, status);
    }
    return {
      isConnected: peer?.connection !== undefined,
      role: role === undefined ? undefined : roleName(role),
      status,
    };
  }

  private addPacketInStatus(connection: Connection | undefined, status: Map<string, string>): void {
    if (connection === undefined) return;
    for (const [name, queue] of [
      ["miss", connection.misses],
      ["action", connection.actions],
    ] as const) {
      if (!queue.isLimited) continue;
      for (const counter of ["bypassed", "queued", "dropped", "backlog"] as const)
        status.set(`packet-in-${name}-${counter}`, String(queue[counter]));
    }
  }
}

function roleName(role: number): NonNullable<ControllerStatus["role"]> {
  if (role === ROLE_PRIMARY) return "master";
  return role === ROLE_SECONDARY ? "slave" : "other";
}
