/**
 * Active `unix:` streams by the engine's own sockets: node:net costs a client 8 ms more of start-up than the original's
 * whole run takes, Bun.connect one. Same behaviour as `src/lib/stream-node.ts`, which serves all other names.
 */
import type { Stream, StreamHandler } from "../lib/stream.ts";

const HIGH_WATER = 65536;

/** Rejects with an error whose `code` is the errno name. */
export async function connectUnix(name: string, path: string): Promise<Stream> {
  const stream = new UnixStream(name);
  await Bun.connect({
    unix: path,
    socket: {
      binaryType: "uint8array",
      open: (socket) => stream.opened(socket),
      data: (_socket, bytes) => stream.received(bytes),
      drain: () => stream.drained(),
      end: () => stream.ended(undefined),
      close: (_socket, error) => stream.ended(error),
      error: (_socket, error) => stream.ended(error),
      connectError: () => {},
    },
  });
  return stream;
}

class UnixStream implements Stream {
  readonly name: string;
  readonly kind = "unix";
  readonly localAddress = undefined;
  readonly remoteAddress = undefined;
  readonly remotePort = undefined;
  #socket: Bun.Socket | undefined;
  #handler: StreamHandler | undefined;
  /** Came before there was a handler, or while paused. */
  #early: Uint8Array[] = [];
  /** Not yet taken by the kernel. */
  #queue: Uint8Array[] = [];
  #queued = 0;
  #wantDrain = false;
  #paused = false;
  /** No more writes. */
  #ending = false;
  #over = false;
  #announced = false;
  #failure: Error | undefined;

  constructor(name: string) {
    this.name = name;
  }

  opened(socket: Bun.Socket): void {
    this.#socket = socket;
  }

  received(bytes: Uint8Array): void {
    if (this.#handler === undefined || this.#paused || this.#early.length > 0)
      this.#early.push(bytes.slice());
    else this.#guard(() => this.#handler?.data(bytes));
  }

  /** An exception of ours is no error of the socket, which the engine would make of it: it ends the program. */
  #guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      setImmediate(() => {
        throw error;
      });
    }
  }

  drained(): void {
    while (this.#queue.length > 0) {
      const first = this.#queue[0]!;
      const written = Math.max(0, this.#socket!.write(first));
      this.#queued -= written;
      if (written < first.length) {
        this.#queue[0] = first.subarray(written);
        return;
      }
      this.#queue.shift();
    }
    if (this.#ending) this.#socket?.end();
    else if (this.#wantDrain) {
      this.#wantDrain = false;
      this.#guard(() => this.#handler?.drain?.());
    }
  }

  ended(error: Error | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#failure ??= error;
    this.#queue = [];
    this.#queued = 0;
    this.#socket?.end();
    this.#flush();
  }

  get handler(): StreamHandler | undefined {
    return this.#handler;
  }

  set handler(handler: StreamHandler | undefined) {
    this.#handler = handler;
    if (handler !== undefined && (this.#early.length > 0 || this.#over)) queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    while (this.#early.length > 0 && this.#handler !== undefined && !this.#paused) {
      const bytes = this.#early.shift()!;
      this.#guard(() => this.#handler?.data(bytes));
    }
    if (!this.#over || this.#announced || this.#handler === undefined || this.#paused) return;
    this.#announced = true;
    this.#guard(() => this.#handler?.close(this.#failure));
  }

  get backlog(): number {
    return this.#queued;
  }

  write(data: Uint8Array | string): boolean {
    if (this.#over || this.#ending || this.#socket === undefined) return false;
    const bytes = typeof data === "string" ? Buffer.from(data) : data;
    if (this.#queue.length === 0) {
      const written = Math.max(0, this.#socket.write(bytes));
      if (written === bytes.length) return true;
      this.#queue.push(bytes.slice(written));
      this.#queued = bytes.length - written;
    } else {
      this.#queue.push(bytes);
      this.#queued += bytes.length;
    }
    if (this.#queued < HIGH_WATER) return true;
    this.#wantDrain = true;
    return false;
  }

  pause(): void {
    this.#paused = true;
    this.#socket?.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#socket?.resume();
    if (this.#early.length > 0 || this.#over) queueMicrotask(() => this.#flush());
  }

  end(): void {
    if (this.#ending || this.#over) return;
    this.#ending = true;
    this.#paused = false;
    if (this.#queue.length === 0) this.#socket?.end();
  }

  destroy(error?: Error): void {
    this.#failure ??= error;
    this.#paused = false;
    this.#early = [];
    this.#socket?.terminate();
    queueMicrotask(() => this.ended(error));
  }
}
