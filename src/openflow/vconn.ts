/**
 * One OpenFlow connection over a {@link Stream}: hello and version negotiation (OpenFlow 1.3 section 6.3.1), framing,
 * log lines as the original's (upstream: vconn). Messages arrive whole; bytes belong to the callee for the call only.
 */
import type { Stream } from "../lib/stream.ts";
import { vlog } from "../lib/vlog.ts";
import { decode, encode, readHeaderAt } from "./codec.ts";
import { OfpError } from "./errors.ts";
import type { Version } from "./messages.ts";
import { makeError, upTo } from "./msg/core.ts";
import { printMessage } from "./text/print.ts";

const log = vlog("vconn");

/** What may wait while messages are held. */
const HELD_BYTES = 1 << 18;

/** "version 0x01", "versions 0x01, 0x04", "version 0x04 and earlier". */
export function versionsText(bits: number): string {
  const list: number[] = [];
  for (let v = 1; v < 32; v++) if (bits & (1 << v)) list.push(v);
  const hex = (v: number): string => `0x${v.toString(16).padStart(2, "0")}`;
  if (list.length === 0) return "no versions";
  const last = list[list.length - 1]!;
  if (list.length === 1) return `version ${hex(last)}`;
  if (bits === upTo(last)) return `version ${hex(last)} and earlier`;
  return `versions ${list.map(hex).join(", ")}`;
}

function numbersFrom(first: number): () => number {
  let next = first;
  return () => {
    const xid = next;
    next = (next + 1) >>> 0;
    return xid;
  };
}

export interface VconnHandler {
  /** Negotiation is done; `version` is set. */
  open(): void;
  /** A whole message, header first. */
  message(bytes: Uint8Array): void;
  /** Exactly once. `reason` undefined: the peer closed in order. */
  close(reason: Error | undefined): void;
  drain?(): void;
}

export class Vconn {
  readonly name: string;
  readonly stream: Stream;
  /** 0 until negotiated. */
  version: Version | 0 = 0;
  readonly allowed: number;
  /** What the peer offered. */
  peerVersions = 0;
  #handler: VconnHandler;
  #buffer: Uint8Array = new Uint8Array(0);
  #used = 0;
  #closed = false;
  #held = false;
  #paused = false;
  #failed: Error | undefined;
  readonly nextXid: () => number;

  /** `allowed`: bit v for wire version v. Sends the hello at once. `nextXid`: by default numbers of its own. */
  constructor(
    stream: Stream,
    allowed: number,
    handler: VconnHandler,
    nextXid: () => number = numbersFrom(1),
  ) {
    this.stream = stream;
    this.name = stream.name;
    this.allowed = allowed;
    this.#handler = handler;
    this.nextXid = nextXid;
    stream.handler = {
      data: (bytes) => this.#data(bytes),
      drain: () => handler.drain?.(),
      close: (error) => this.#close(error),
    };
    this.#hello();
  }

  #hello(): void {
    const best = 31 - Math.clz32(this.allowed);
    const bytes = encode({ type: "hello", versions: this.allowed, understood: true }, best as Version, {
      xid: this.nextXid(),
    });
    this.send(bytes);
  }

  /** Writes whole messages; false: wait for drain. The bytes may be used again afterwards. */
  send(bytes: Uint8Array): boolean {
    if (this.#closed) return true;
    if (log.isDbg()) this.#logEach(bytes, "sent (Success)");
    return this.stream.write(bytes.slice());
  }

  /** Like send, but hands the bytes over. */
  sendOwned(bytes: Uint8Array): boolean {
    if (this.#closed) return true;
    if (log.isDbg()) this.#logEach(bytes, "sent (Success)");
    return this.stream.write(bytes);
  }

  #logEach(bytes: Uint8Array, what: string): void {
    for (let at = 0; at + 8 <= bytes.length; ) {
      const { length } = readHeaderAt(bytes, at);
      if (length < 8) break;
      this.#logMessage(bytes.subarray(at, at + length), what);
      at += length;
    }
  }

  #logMessage(bytes: Uint8Array, what: string): void {
    log.dbg(`${this.name}: ${what}: ${printMessage(bytes, { verbosity: 1 }).trimEnd()}`);
  }

  get isOpen(): boolean {
    return !this.#closed;
  }

  /**
   * Hands on no messages until {@link release}. What comes meanwhile is kept; only a peer that sends much is stopped, as
   * most holds end before a stream could be.
   */
  hold(): void {
    this.#held = true;
  }

  release(): void {
    if (!this.#held) return;
    this.#held = false;
    this.#drainBuffer();
    if (!this.#paused || this.#held || this.#closed) return;
    this.#paused = false;
    this.stream.resume();
  }

  get backlog(): number {
    return this.stream.backlog;
  }

  end(): void {
    this.stream.end();
  }

  destroy(error?: Error): void {
    this.#failed ??= error;
    this.stream.destroy(error);
  }

  #close(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#handler.close(this.#failed ?? error);
  }

  #data(bytes: Uint8Array): void {
    let at = 0;
    if (this.#used > 0) {
      this.#append(bytes);
      this.#drainBuffer();
      return;
    }
    at = this.#messages(bytes);
    if (at < bytes.length) this.#append(bytes.subarray(at));
  }

  #drainBuffer(): void {
    const at = this.#messages(this.#buffer.subarray(0, this.#used));
    this.#buffer.copyWithin(0, at, this.#used);
    this.#used -= at;
    if (this.#used === 0 && this.#buffer.length > 262144) this.#buffer = new Uint8Array(0);
  }

  #append(bytes: Uint8Array): void {
    const needed = this.#used + bytes.length;
    if (needed > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(needed, this.#buffer.length * 2, 65536));
      grown.set(this.#buffer.subarray(0, this.#used));
      this.#buffer = grown;
    }
    this.#buffer.set(bytes, this.#used);
    this.#used = needed;
    if (this.#held && !this.#paused && needed > HELD_BYTES) {
      this.#paused = true;
      this.stream.pause();
    }
  }

  /** Hands on whole messages; returns how many bytes were used. */
  #messages(bytes: Uint8Array): number {
    let at = 0;
    while (!this.#closed && !this.#held && bytes.length - at >= 8) {
      const length = (bytes[at + 2]! << 8) | bytes[at + 3]!;
      if (length < 8) {
        log.err(`${this.name}: received too-short ofp_header (${length} bytes)`);
        this.destroy(Object.assign(new Error("Protocol error"), { code: "EPROTO" }));
        return bytes.length;
      }
      if (bytes.length - at < length) break;
      this.#receive(bytes.subarray(at, at + length));
      at += length;
    }
    return at;
  }

  #receive(bytes: Uint8Array): void {
    if (log.isDbg()) this.#logMessage(bytes, "received");
    if (this.version === 0) {
      this.#negotiate(bytes);
      return;
    }
    if (bytes[0] !== this.version && bytes[1]! > 3) {
      log.err(
        `${this.name}: received OpenFlow version 0x${bytes[0]!.toString(16).padStart(2, "0")} != expected ${this.version.toString(16).padStart(2, "0")}`,
      );
      // The peer is answered in the version that it spoke.
      const version = (bytes[0]! >= 1 && bytes[0]! <= 6 ? bytes[0] : this.version) as Version;
      this.send(
        encode(makeError("OFPBRC_BAD_VERSION", version, bytes), version, { xid: readHeaderAt(bytes).xid }),
      );
      return;
    }
    this.#handler.message(bytes);
  }

  #negotiate(bytes: Uint8Array): void {
    if (bytes[1] !== 0) {
      const text = printMessage(bytes, { verbosity: 1 }).trimEnd();
      log.warn(`${this.name}: received message while expecting hello: ${text}`);
      if (bytes[1] !== 1) this.destroy(Object.assign(new Error("Protocol error"), { code: "EPROTO" }));
      return;
    }
    const decoded = decode(bytes);
    if (decoded instanceof OfpError || decoded.message.type !== "hello") return;
    this.peerVersions = decoded.message.versions;
    const common = this.peerVersions & this.allowed;
    if (common === 0) {
      this.#refuse(bytes);
      return;
    }
    this.version = (31 - Math.clz32(common)) as Version;
    const ours = versionsText(this.allowed);
    log.dbg(
      `${this.name}: negotiated OpenFlow version 0x${this.version.toString(16).padStart(2, "0")} (we support ${ours}, peer supports ${versionsText(this.peerVersions)})`,
    );
    this.#handler.open();
  }

  /** Why negotiation failed, as 3.7 says it. */
  get refusal(): string {
    return `version negotiation failed (we support ${versionsText(this.allowed)}, peer supports ${versionsText(this.peerVersions)})`;
  }

  #refuse(bytes: Uint8Array): void {
    log.warn(`${this.name}: ${this.refusal}`);
    const text = `We support ${versionsText(this.allowed)}, you support ${versionsText(this.peerVersions)}, no common versions.`;
    const version = (31 - Math.clz32(this.allowed)) as Version;
    const m = makeError("OFPHFC_INCOMPATIBLE", version, new TextEncoder().encode(text));
    m.payload = new TextEncoder().encode(text);
    this.send(encode(m, version, { xid: readHeaderAt(bytes).xid }));
    this.#failed = Object.assign(new Error(this.refusal), { code: "EPROTO" });
    this.stream.end();
    this.#close(this.#failed);
  }
}
