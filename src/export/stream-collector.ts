/**
 * An IPFIX collector over TCP or TLS (RFC 7011 section 10.4): connects again when the connection ends, begins each one with
 * the templates, and keeps what cannot be sent yet, up to a bound.
 */
import type { Clock, Timer } from "../lib/clock.ts";
import { describeError } from "../lib/errors.ts";
import type { Stream, StreamFactory } from "../lib/stream.ts";

/** What waits for a collector that is away or slow, in bytes; what comes later is lost and counted. */
export const MAX_WAITING_BYTES = 4 << 20;
const MIN_BACKOFF_MS = 1000;
const MAX_BACKOFF_MS = 8000;

export interface StreamCollectorOptions {
  clock: Clock;
  streams: StreamFactory;
  /** "tcp:HOST:PORT" or "ssl:HOST:PORT". */
  name: string;
  /** Messages that a new connection begins with. */
  preamble: () => readonly Uint8Array[];
  /** The connection has ended, or could not be made. */
  failed: (reason: string) => void;
}

export class StreamCollector {
  readonly #options: StreamCollectorOptions;
  #stream: Stream | undefined = undefined;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #backoffMs = MIN_BACKOFF_MS;
  #timer: Timer | undefined = undefined;
  #closed = false;

  constructor(options: StreamCollectorOptions) {
    this.#options = options;
    void this.#connect();
  }

  get localAddress(): string | undefined {
    return this.#stream?.localAddress;
  }

  async #connect(): Promise<void> {
    const { streams, name } = this.#options;
    let stream: Stream;
    try {
      stream = await streams.connect(name);
    } catch (error) {
      this.#again(describeError(error));
      return;
    }
    if (this.#closed) {
      stream.destroy();
      return;
    }
    this.#stream = stream;
    this.#backoffMs = MIN_BACKOFF_MS;
    stream.handler = {
      // Collectors have nothing to say.
      data: () => {},
      close: (error) => {
        this.#stream = undefined;
        this.#again(error === undefined ? "connection closed by peer" : describeError(error));
      },
    };
    for (const message of this.#options.preamble()) stream.write(message);
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    // No more than fits: it has been kept within the bound.
    for (const message of waiting) stream.write(message);
  }

  #again(reason: string): void {
    if (this.#closed) return;
    this.#options.failed(reason);
    this.#timer = this.#options.clock.background(this.#backoffMs, () => void this.#connect());
    this.#backoffMs = Math.min(this.#backoffMs * 2, MAX_BACKOFF_MS);
  }

  /** False when the message is lost: too much waits already. */
  send(bytes: Uint8Array): boolean {
    const stream = this.#stream;
    const before = stream === undefined ? this.#waitingBytes + bytes.length : stream.backlog;
    if (before > MAX_WAITING_BYTES) return false;
    if (stream !== undefined) stream.write(bytes.slice());
    else {
      this.#waiting.push(bytes.slice());
      this.#waitingBytes = before;
    }
    return true;
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#stream?.end();
  }
}
