/**
 * One OpenFlow byte stream: messages cut out of it, and version negotiation (OpenFlow 1.3.1, section 6.3.1): both send
 * a hello at once, the highest version that both offer is spoken.
 */
import type { Stream } from "../../lib/stream.ts";
import {
  decode,
  type EncodeMessageOptions,
  encode,
  type Message,
  OfpError,
  type Version,
} from "../../openflow/index.ts";

const HEADER_BYTES = 8;
const OFPT_HELLO = 0;

export interface ChannelHandler {
  /** Versions agreed upon: from now on messages come. */
  ready(version: Version): void;
  /** A whole message; valid during the call only. */
  message(bytes: Uint8Array): void;
  drain(): void;
  /** Called once. `reason` undefined: the peer closed in good order. */
  closed(reason: string | undefined): void;
}

export class Channel {
  readonly stream: Stream;
  version: Version | undefined = undefined;
  private readonly allowed: number;
  private readonly handler: ChannelHandler;
  private pending: Uint8Array = new Uint8Array(0);
  private xid = 1;
  private over = false;
  private held = false;

  /** `allowed`: bit v set allows wire version v. */
  constructor(stream: Stream, allowed: number, handler: ChannelHandler) {
    this.stream = stream;
    this.allowed = allowed;
    this.handler = handler;
    const highest = 31 - Math.clz32(allowed);
    const hello: Message = { type: "hello", versions: allowed, understood: true };
    stream.write(encode(hello, highest as Version, { xid: this.nextXid() }));
    stream.handler = {
      data: (bytes) => this.data(bytes),
      drain: () => handler.drain(),
      close: (error) => this.close(error === undefined ? undefined : error.message),
    };
  }

  nextXid(): number {
    const xid = this.xid;
    this.xid = (this.xid + 1) >>> 0;
    return xid;
  }

  get isOpen(): boolean {
    return !this.over;
  }

  send(message: Message, xid: number, options: EncodeMessageOptions = {}): Uint8Array | undefined {
    if (this.over || this.version === undefined) return undefined;
    const bytes = encode(message, this.version, { ...options, xid });
    this.stream.write(bytes);
    return bytes;
  }

  /** Verbatim, for snoopers. */
  sendBytes(bytes: Uint8Array): void {
    if (!this.over) this.stream.write(bytes.slice());
  }

  /** Stops taking messages, until {@link release}. */
  hold(): void {
    this.held = true;
    this.stream.pause();
  }

  release(): void {
    if (!this.held) return;
    this.held = false;
    this.cut();
    if (!this.held && !this.over) this.stream.resume();
  }

  close(reason?: string): void {
    if (this.over) return;
    this.over = true;
    this.stream.destroy();
    this.handler.closed(reason);
  }

  /** Flushes what was sent, then closes. */
  end(reason?: string): void {
    if (this.over) return;
    this.over = true;
    this.stream.end();
    this.handler.closed(reason);
  }

  private data(bytes: Uint8Array): void {
    if (this.over) return;
    if (this.pending.length === 0 && !this.held) {
      const used = this.cutFrom(bytes);
      if (used < bytes.length) this.pending = bytes.slice(used);
      return;
    }
    const joined = new Uint8Array(this.pending.length + bytes.length);
    joined.set(this.pending);
    joined.set(bytes, this.pending.length);
    this.pending = joined;
    if (!this.held) this.cut();
  }

  private cut(): void {
    const bytes = this.pending;
    this.pending = new Uint8Array(0);
    const used = this.cutFrom(bytes);
    this.pending = used === bytes.length ? new Uint8Array(0) : bytes.subarray(used);
  }

  /** Hands over whole messages; returns how many bytes they had. */
  private cutFrom(bytes: Uint8Array): number {
    let at = 0;
    while (bytes.length - at >= HEADER_BYTES && !this.held && !this.over) {
      const length = (bytes[at + 2]! << 8) | bytes[at + 3]!;
      if (length < HEADER_BYTES) {
        this.close("received too-short ofp_header");
        break;
      }
      if (bytes.length - at < length) break;
      const message = bytes.subarray(at, at + length);
      at += length;
      if (this.version === undefined) this.negotiate(message);
      else this.handler.message(message);
    }
    return at;
  }

  private negotiate(bytes: Uint8Array): void {
    if (bytes[1] !== OFPT_HELLO) {
      this.close(`received message of type ${bytes[1]} while expecting hello`);
      return;
    }
    const decoded = decode(bytes);
    let theirs = 0;
    if (!(decoded instanceof OfpError) && decoded.message.type === "hello") theirs = decoded.message.versions;
    if (theirs === 0) theirs = (2 << bytes[0]!) - 2;
    const common = this.allowed & theirs;
    if (common === 0) {
      const mine = versionsText(this.allowed);
      const text = `We support ${mine}, you support ${versionsText(theirs)}, no common versions.`;
      this.version = Math.min(31 - Math.clz32(this.allowed), bytes[0]!) as Version;
      this.send(
        {
          type: "error",
          error: "OFPHFC_INCOMPATIBLE",
          vendor: 0,
          errType: 0,
          errCode: 0,
          payload: new TextEncoder().encode(text),
        },
        this.nextXid(),
      );
      this.end(`version negotiation failed (we support ${mine}, peer supports ${versionsText(theirs)})`);
      return;
    }
    this.version = (31 - Math.clz32(common)) as Version;
    this.handler.ready(this.version);
  }
}

/** "version 0x01", "versions 0x01, 0x04", as 3.7 words it. */
export function versionsText(versions: number): string {
  const list: string[] = [];
  for (let v = 1; v < 31; v++)
    if ((versions & (1 << v)) !== 0) list.push(`0x${v.toString(16).padStart(2, "0")}`);
  const earlier = list.slice(0, -1);
  return list.length === 1
    ? `version ${list[0]}`
    : `versions ${earlier.join(", ")}${earlier.length > 1 ? "," : ""} and ${list.at(-1)}`;
}
