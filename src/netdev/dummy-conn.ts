/**
 * A dummy device's wire: `options:stream` connects to and `options:pstream` listens at a stream, over which each packet
 * goes as its length in two bytes, high one first, and its bytes. Two daemons, or two devices of one, are joined so.
 */
import type { Clock, Timer } from "../lib/clock.ts";
import type { Stream, StreamFactory, StreamServer } from "../lib/stream.ts";
import { vlog } from "../lib/vlog.ts";

const log = vlog("netdev_dummy");
const RETRY_MS = 1000;
/** Bytes that may wait in a stream; packets beyond that are lost, as on a wire. */
const BACKLOG = 1 << 20;

export interface ConnContext {
  clock: Clock;
  streams: StreamFactory;
}

/** Cuts a byte stream into packets; `data` may come in any pieces. */
export class PacketSplitter {
  #rest = new Uint8Array(0);
  readonly #packet: (bytes: Uint8Array) => void;

  constructor(packet: (bytes: Uint8Array) => void) {
    this.#packet = packet;
  }

  data(bytes: Uint8Array): void {
    const all = new Uint8Array(this.#rest.length + bytes.length);
    all.set(this.#rest);
    all.set(bytes, this.#rest.length);
    let at = 0;
    while (all.length - at >= 2) {
      const length = (all[at]! << 8) | all[at + 1]!;
      if (all.length - at < 2 + length) break;
      if (length >= 14) this.#packet(all.slice(at + 2, at + 2 + length));
      at += 2 + length;
    }
    this.#rest = all.slice(at);
  }
}

export class DummyConn {
  readonly #name: string;
  readonly #context: ConnContext;
  readonly #input: (bytes: Uint8Array) => void;
  #passiveName: string | undefined;
  #activeName: string | undefined;
  #server: StreamServer | undefined;
  readonly #streams = new Set<Stream>();
  #retry: Timer | undefined;
  #closed = false;

  constructor(name: string, context: ConnContext, input: (bytes: Uint8Array) => void) {
    this.#name = name;
    this.#context = context;
    this.#input = input;
  }

  /** For netdev-dummy/conn-state: only an active connection has one. */
  state(): "connected" | "disconnected" | "unknown" {
    if (this.#activeName === undefined) return "unknown";
    return this.#streams.size > 0 ? "connected" : "disconnected";
  }

  configure(passiveName: string | undefined, activeName: string | undefined): void {
    if (passiveName !== undefined && activeName !== undefined) {
      log.warn("Open both stream and pstream");
      activeName = undefined;
    }
    if (passiveName !== this.#passiveName || activeName !== this.#activeName) {
      this.#drop();
      this.#passiveName = passiveName;
      this.#activeName = activeName;
      if (passiveName !== undefined) this.#listen(passiveName);
      if (activeName !== undefined) this.#connect(activeName);
    }
  }

  send(packet: Uint8Array): void {
    if (this.#streams.size === 0) return;
    const framed = new Uint8Array(2 + packet.length);
    framed[0] = packet.length >> 8;
    framed[1] = packet.length & 255;
    framed.set(packet, 2);
    for (const stream of this.#streams) if (stream.backlog < BACKLOG) stream.write(framed.slice());
  }

  close(): void {
    this.#closed = true;
    this.#drop();
  }

  #drop(): void {
    this.#retry?.cancel();
    this.#server?.close();
    this.#server = undefined;
    for (const stream of [...this.#streams]) stream.destroy();
    this.#streams.clear();
    this.#passiveName = undefined;
    this.#activeName = undefined;
  }

  #adopt(stream: Stream, closed: () => void): void {
    this.#streams.add(stream);
    const splitter = new PacketSplitter(this.#input);
    stream.handler = {
      data: (bytes) => splitter.data(bytes),
      close: () => {
        this.#streams.delete(stream);
        closed();
      },
    };
  }

  #listen(name: string): void {
    this.#context.streams
      .listen(name, (stream) => this.#adopt(stream, () => {}))
      .then(
        (server) => {
          if (this.#closed || this.#passiveName !== name) server.close();
          else this.#server = server;
        },
        (error: Error) => log.warn(`${this.#name}: ${name}: ${error.message}`),
      );
  }

  #connect(name: string): void {
    const again = (): void => {
      if (this.#closed || this.#activeName !== name) return;
      this.#retry = this.#context.clock.background(RETRY_MS, () => this.#connect(name));
    };
    this.#context.streams.connect(name).then((stream) => {
      if (this.#closed || this.#activeName !== name) stream.destroy();
      else this.#adopt(stream, again);
    }, again);
  }
}
