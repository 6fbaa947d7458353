/**
 * Streams inside the process: a pair, and a StreamFactory where passive and active names meet. Bytes arrive in a later
 * turn of the loop, never inside `write`, with the same back-pressure and end events as a socket has.
 */
import type { Clock } from "./clock.ts";
import { osError } from "./errors.ts";
import type { Stream, StreamFactory, StreamHandler, StreamServer } from "./stream.ts";

/** `write` returns false from here on, as a socket's buffer would. */
const HIGH_WATER = 65536;

const ENCODER = new TextEncoder();

/** Two ends of one connection. */
export function memoryPair(clock: Clock, name = "memory"): [Stream, Stream] {
  const a = new MemoryStream(clock, name);
  const b = new MemoryStream(clock, name);
  a.peer = b;
  b.peer = a;
  return [a, b];
}

class MemoryStream implements Stream {
  readonly kind = "memory";
  readonly localAddress = undefined;
  readonly remoteAddress = undefined;
  readonly remotePort = undefined;
  readonly name: string;
  peer!: MemoryStream;
  readonly #clock: Clock;
  #handler: StreamHandler | undefined;
  /** Written by the peer, not yet delivered. */
  #inbox: Uint8Array[] = [];
  #inboxBytes = 0;
  /** The peer ended or was destroyed (`#cause`) after what is in the inbox. */
  #ended = false;
  #cause: Error | undefined;
  #writable = true;
  #closed = false;
  #paused = false;
  #scheduled = false;
  #needDrain = false;

  constructor(clock: Clock, name: string) {
    this.#clock = clock;
    this.name = name;
  }

  get handler(): StreamHandler | undefined {
    return this.#handler;
  }

  set handler(handler: StreamHandler | undefined) {
    this.#handler = handler;
    this.#schedule();
  }

  get backlog(): number {
    return this.peer.#inboxBytes;
  }

  write(bytes: Uint8Array | string): boolean {
    if (!this.#writable) return false;
    const chunk = typeof bytes === "string" ? ENCODER.encode(bytes) : bytes;
    const peer = this.peer;
    if (chunk.length > 0 && !peer.#closed) {
      peer.#inbox.push(chunk);
      peer.#inboxBytes += chunk.length;
      peer.#schedule();
    }
    if (peer.#inboxBytes < HIGH_WATER) return true;
    this.#needDrain = true;
    return false;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#schedule();
  }

  end(): void {
    if (!this.#writable) return;
    this.#writable = false;
    this.#paused = false;
    this.peer.#peerEnded(undefined);
    this.#schedule();
  }

  destroy(error?: Error): void {
    if (this.#closed) return;
    this.#writable = false;
    this.#inbox = [];
    this.#inboxBytes = 0;
    this.peer.#peerEnded(undefined);
    this.#paused = false;
    this.#peerEnded(error);
  }

  #peerEnded(cause: Error | undefined): void {
    this.#ended = true;
    this.#cause ??= cause;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#clock.soon(() => {
      this.#scheduled = false;
      this.#deliver();
    });
  }

  #deliver(): void {
    while (this.#inbox.length > 0 && this.#handler !== undefined && !this.#paused) {
      const chunk = this.#inbox.shift()!;
      this.#inboxBytes -= chunk.length;
      this.#handler.data(chunk);
    }
    const peer = this.peer;
    if (this.#inbox.length === 0 && peer.#needDrain && peer.#writable) {
      peer.#needDrain = false;
      peer.#handler?.drain?.();
    }
    if (this.#inbox.length > 0 || this.#handler === undefined || this.#paused || this.#closed) return;
    // As a socket without half-open state: the peer's end ends this side, and `end` here waits for the peer's.
    if (this.#ended) {
      this.#closed = true;
      if (this.#writable) {
        this.#writable = false;
        peer.#peerEnded(undefined);
      }
      this.#handler.close(this.#cause);
    }
  }
}

/** Active names find passive ones listened to in the same network: unix:F with punix:F, tcp:H:P with ptcp:P. */
export class MemoryNetwork implements StreamFactory {
  readonly #clock: Clock;
  readonly #listeners = new Map<string, (stream: Stream) => void>();
  #ports = 49152;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async connect(name: string): Promise<Stream> {
    const accept = this.#listeners.get(key(name));
    if (accept === undefined) throw osError(name.startsWith("unix:") ? "ENOENT" : "ECONNREFUSED", "connect");
    const [near, far] = memoryPair(this.#clock, name);
    accept(far);
    return near;
  }

  async listen(name: string, accept: (stream: Stream) => void): Promise<StreamServer> {
    let port: number | undefined;
    if (!name.startsWith("punix:")) {
      port = Number(name.split(":")[1] ?? 0) || this.#ports++;
      name = `${name.split(":")[0]}:${port}`;
    }
    const at = key(name);
    if (this.#listeners.has(at)) throw osError("EADDRINUSE", "listen");
    this.#listeners.set(at, accept);
    return { name, port, close: () => void this.#listeners.delete(at) };
  }
}

/** "tcp:h:1", "ptcp:1" and "ptcp:1:h" -> "tcp 1"; "unix:f" and "punix:f" -> "unix f". */
function key(name: string): string {
  const match = /^(p?)(unix|tcp|ssl):(.*)$/.exec(name);
  if (match === null) throw osError("EAFNOSUPPORT");
  const [, passive, kind, rest] = match;
  if (kind === "unix") return `unix ${rest}`;
  return `${kind} ${passive ? rest!.split(":")[0] : rest!.slice(rest!.lastIndexOf(":") + 1)}`;
}
