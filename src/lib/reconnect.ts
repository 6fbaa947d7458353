/**
 * When to connect, probe, and give up: the state machine behind every session (upstream: lib/reconnect). Pure: times
 * are arguments, in milliseconds of any monotonic clock; the owner does what {@link Reconnect.run} asks for, and
 * reports what happened.
 */

export type ReconnectState =
  | "VOID"
  | "LISTENING"
  | "BACKOFF"
  | "CONNECTING"
  | "ACTIVE"
  | "IDLE"
  | "RECONNECT";

/** What the owner has to do now. */
export type ReconnectAction = "connect" | "disconnect" | "probe" | undefined;

export interface ReconnectStats {
  state: ReconnectState;
  attempts: number;
  successes: number;
  /** Times of the last change, undefined: never. */
  connectedAt: number | undefined;
  disconnectedAt: number | undefined;
  /** Milliseconds of the present wait between attempts. */
  backoff: number;
}

export class Reconnect {
  minBackoff = 1000;
  maxBackoff = 8000;
  /** Silence before a probe, and before a probed connection counts as dead; 0: no probes. */
  probeInterval = 5000;
  /** Attempts left; undefined: for ever. */
  triesLeft: number | undefined;
  /** Never gives up waiting for a peer that connects to us. */
  passive = false;

  #state: ReconnectState = "VOID";
  #entered: number;
  #backoff = 0;
  #lastActivity: number;
  #attempts = 0;
  #successes = 0;
  #connectedAt: number | undefined;
  #disconnectedAt: number | undefined;

  constructor(now: number) {
    this.#entered = now;
    this.#lastActivity = now;
  }

  get state(): ReconnectState {
    return this.#state;
  }

  get stats(): ReconnectStats {
    return {
      state: this.#state,
      attempts: this.#attempts,
      successes: this.#successes,
      connectedAt: this.#connectedAt,
      disconnectedAt: this.#disconnectedAt,
      backoff: this.#backoff,
    };
  }

  isConnected(): boolean {
    return this.#state === "ACTIVE" || this.#state === "IDLE";
  }

  #go(state: ReconnectState, now: number): void {
    this.#state = state;
    this.#entered = now;
  }

  /** May connect from now on: at once, the first time. */
  enable(now: number): void {
    if (this.#state !== "VOID" || !this.#takeTry()) return;
    this.#go("BACKOFF", now);
    this.#backoff = 0;
  }

  disable(now: number): void {
    this.#go("VOID", now);
  }

  /** Drop the connection and connect again, as `ovsdb-server/reconnect` asks. */
  forceReconnect(now: number): void {
    if (this.#state === "CONNECTING" || this.#state === "ACTIVE" || this.#state === "IDLE")
      this.#go("RECONNECT", now);
  }

  /** No waiting before the next attempt (e.g. another remote is to be tried). */
  skipBackoff(): void {
    this.#backoff = 0;
  }

  connecting(now: number): void {
    this.#attempts++;
    this.#go("CONNECTING", now);
  }

  listening(now: number): void {
    this.#go("LISTENING", now);
  }

  listenFailed(now: number): void {
    this.disconnected(now);
  }

  connected(now: number): void {
    this.#connectedAt = now;
    this.#successes++;
    this.#lastActivity = now;
    this.#go("ACTIVE", now);
  }

  /** Something came from the peer. */
  activity(now: number): void {
    if (this.#state !== "ACTIVE" && this.#state !== "IDLE") return;
    if (this.#state === "IDLE") this.#go("ACTIVE", now);
    this.#lastActivity = now;
  }

  connectFailed(now: number): void {
    this.disconnected(now);
  }

  /** The connection, or the attempt at one, has ended. */
  disconnected(now: number): void {
    if (this.#state === "VOID" || this.#state === "BACKOFF") return;
    if (this.isConnected() || this.#state === "RECONNECT") this.#disconnectedAt = now;
    // A connection that lasted starts over with the shortest wait.
    const lasted = this.#connectedAt !== undefined && this.#lastActivity - this.#connectedAt >= this.#backoff;
    if (this.passive) this.#backoff = 0;
    else if (this.isConnected() && lasted) this.#backoff = this.minBackoff;
    else if (this.#backoff < this.minBackoff) this.#backoff = this.minBackoff;
    else this.#backoff = Math.min(this.maxBackoff, this.#backoff * 2);
    if (this.#takeTry()) this.#go("BACKOFF", now);
    else this.#go("VOID", now);
  }

  #takeTry(): boolean {
    if (this.triesLeft === undefined) return true;
    if (this.triesLeft === 0) return false;
    this.triesLeft--;
    return true;
  }

  /** When `run` next has something to say; Infinity: not before something is reported. */
  deadline(): number {
    switch (this.#state) {
      case "BACKOFF":
        return this.#entered + this.#backoff;
      case "CONNECTING":
        return this.#entered + Math.max(1000, this.#backoff);
      case "ACTIVE":
        return this.probeInterval === 0
          ? Number.POSITIVE_INFINITY
          : Math.max(this.#lastActivity, this.#entered) + this.probeInterval;
      case "IDLE":
        return this.probeInterval === 0 ? Number.POSITIVE_INFINITY : this.#entered + this.probeInterval;
      case "RECONNECT":
        return this.#entered;
      default:
        return Number.POSITIVE_INFINITY;
    }
  }

  /** "disconnect": close the connection or the attempt and report `disconnected`. */
  run(now: number): ReconnectAction {
    if (now < this.deadline()) return undefined;
    switch (this.#state) {
      case "BACKOFF":
        return "connect";
      case "ACTIVE":
        this.#go("IDLE", now);
        return "probe";
      case "CONNECTING":
      case "IDLE":
      case "RECONNECT":
        return "disconnect";
      default:
        return undefined;
    }
  }
}
