/**
 * One connection to a switch: negotiation, inactivity probes and log lines as the original's (upstream: rconn, without
 * the reconnecting: a connection that ends is gone), and the learning switch at its end.
 */
import type { Clock, Timer } from "../../src/lib/clock.ts";
import { codeOf, describeError } from "../../src/lib/errors.ts";
import { Reconnect } from "../../src/lib/reconnect.ts";
import type { Stream } from "../../src/lib/stream.ts";
import { RateLimit, vlog } from "../../src/lib/vlog.ts";
import { decode, encode, OfpError, type Version } from "../../src/openflow/index.ts";
import { logDecodeError } from "../../src/openflow/log.ts";
import { printMessage } from "../../src/openflow/text/print.ts";
import { Vconn } from "../../src/openflow/vconn.ts";
import { LearningSwitch, type SwitchSettings } from "./learning-switch.ts";

const log = vlog("rconn");
const switchLog = vlog("learning_switch");
const limit = new RateLimit(30, 300);

const PROBE_MS = 60_000;
/** A switch that takes nothing does not fill our memory: answers are dropped from here on. */
const BACKLOG_MAX_BYTES = 1 << 20;

let lastXid = 0;
/** Transaction numbers are the process's, not the connection's. */
function nextXid(): number {
  lastXid = (lastXid + 1) >>> 0;
  return lastXid;
}

export class SwitchConnection {
  readonly #vconn: Vconn;
  readonly #clock: Clock;
  readonly #fsm: Reconnect;
  readonly #closed: () => void;
  readonly #settings: SwitchSettings;
  #switch: LearningSwitch | undefined;
  #timer: Timer | undefined;

  /** `versions`: bit v for wire version v. `closed` is called once. */
  constructor(
    stream: Stream,
    versions: number,
    settings: SwitchSettings,
    clock: Clock,
    closed: () => void,
    probeMs = PROBE_MS,
  ) {
    this.#clock = clock;
    this.#settings = settings;
    this.#closed = closed;
    this.#fsm = new Reconnect(clock.now());
    this.#fsm.probeInterval = probeMs;
    this.#fsm.triesLeft = 1;
    this.#fsm.enable(clock.now());
    this.#fsm.connecting(clock.now());
    log.dbg(`${stream.name}: entering CONNECTING`);
    this.#vconn = new Vconn(
      stream,
      versions,
      {
        open: () => this.#open(),
        message: (bytes) => this.#message(bytes),
        close: (reason) => this.#close(reason),
      },
      nextXid,
    );
  }

  close(): void {
    this.#vconn.end();
  }

  get #name(): string {
    return this.#vconn.name;
  }

  #open(): void {
    const vconn = this.#vconn;
    const version = vconn.version as Version;
    log.dbg(`${this.#name}: connected`);
    log.dbg(`${this.#name}: entering ACTIVE`);
    this.#fsm.connected(this.#clock.now());
    this.#switch = new LearningSwitch(
      this.#settings,
      version,
      this.#clock,
      this.#name,
      (message, options) => {
        if (vconn.backlog > BACKLOG_MAX_BYTES) {
          switchLog.infoRl(limit, `${this.#name}: output queue overflow`);
          return;
        }
        vconn.sendOwned(encode(message, version, { ...options, xid: options.xid ?? nextXid() }));
      },
    );
    this.#switch.start();
    this.#watch();
  }

  #message(bytes: Uint8Array): void {
    if (this.#fsm.state === "IDLE") log.dbg(`${this.#name}: entering ACTIVE`);
    this.#fsm.activity(this.#clock.now());
    const decoded = decode(bytes);
    if (decoded instanceof OfpError) logDecodeError(decoded);
    else this.#switch?.receive(decoded, () => printMessage(bytes, { verbosity: 1 }).trimEnd());
  }

  /** Asks a silent switch whether it lives, and gives it up when it does not say so. */
  #watch(): void {
    const now = this.#clock.now();
    switch (this.#fsm.run(now)) {
      case "probe":
        log.dbg(`${this.#name}: idle ${this.#fsm.probeInterval / 1000} seconds, sending inactivity probe`);
        log.dbg(`${this.#name}: entering IDLE`);
        this.#vconn.sendOwned(
          encode({ type: "echo-request", payload: new Uint8Array(0) }, this.#vconn.version as Version, {
            xid: nextXid(),
          }),
        );
        break;
      case "disconnect":
        log.err(
          `${this.#name}: no response to inactivity probe after ${this.#fsm.probeInterval / 1000} seconds, disconnecting`,
        );
        this.#vconn.destroy(Object.assign(new Error("Connection timed out"), { code: "ETIMEDOUT" }));
        return;
      default:
    }
    const wait = this.#fsm.deadline() - this.#clock.now();
    if (Number.isFinite(wait)) this.#timer = this.#clock.background(Math.max(1, wait), () => this.#watch());
  }

  #close(reason: Error | undefined): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (codeOf(reason) !== "ETIMEDOUT") {
      if (reason === undefined) log.dbg(`${this.#name}: connection closed by peer`);
      else log.warn(`${this.#name}: connection dropped (${describeError(reason)})`);
    }
    log.dbg(`${this.#name}: entering DISCONNECTED`);
    this.#switch = undefined;
    this.#closed();
  }
}
