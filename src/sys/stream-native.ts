/**
 * Streams by the engine's own sockets: node:net costs a client 8 ms more of start-up than the original's whole run takes
 * (Bun.connect one), and a busy server half of its time. Same behaviour as over node:net in `src/lib/stream-node.ts`,
 * which is used where this is not there (tests under Node) and does names, umask and socket files in both cases.
 */
import type { Stream, StreamHandler } from "../lib/stream.ts";
import type { NativeListeners } from "../lib/stream-node.ts";

const HIGH_WATER = 65536;

/** Rejects with an error whose `code` is the errno name. */
export async function connectUnix(name: string, path: string): Promise<Stream> {
  const stream = new NativeStream(name, "unix");
  await Bun.connect<NativeStream>({
    unix: path,
    data: stream,
    // A peer that shuts down its writing side only still gets what is queued for it.
    allowHalfOpen: true,
    socket: { ...EVENTS, open: (socket) => stream.opened(socket), connectError: () => {} },
  });
  return stream;
}

type NativeSocket = Bun.Socket<NativeStream>;

const EVENTS = {
  binaryType: "uint8array" as const,
  data: (socket: NativeSocket, bytes: Uint8Array): void => socket.data.received(bytes),
  drain: (socket: NativeSocket): void => socket.data.drained(),
  end: (socket: NativeSocket): void => socket.data.ended(),
  close: (socket: NativeSocket, error?: Error): void => socket.data?.closed(error),
  error: (socket: NativeSocket, error: Error): void => socket.data?.failed(error),
};

export const nativeListeners: NativeListeners = {
  unix(path, name, accept) {
    const listener = Bun.listen<NativeStream>({
      unix: path,
      allowHalfOpen: true,
      data: undefined as unknown as NativeStream,
      socket: { ...EVENTS, open: (socket) => opened(socket, new NativeStream(name(), "unix"), accept) },
    });
    return { port: undefined, close: () => listener.stop() };
  },
  tcp(hostname, port, name, accept) {
    const listener = Bun.listen<NativeStream>({
      hostname,
      port,
      exclusive: true,
      allowHalfOpen: true,
      data: undefined as unknown as NativeStream,
      socket: {
        ...EVENTS,
        open(socket) {
          socket.setNoDelay(true);
          opened(socket, new NativeStream(name(socket.remoteAddress, socket.remotePort), "tcp"), accept);
        },
      },
    });
    return { port: listener.port, close: () => listener.stop() };
  },
};

function opened(
  socket: Bun.Socket<NativeStream>,
  stream: NativeStream,
  accept: (stream: Stream) => void,
): void {
  socket.data = stream;
  stream.opened(socket);
  guard(() => accept(stream));
}

/** An exception of ours is no error of the socket, which the engine would make of it: it ends the program. */
function guard(run: () => void): void {
  try {
    run();
  } catch (error) {
    rethrow(error);
  }
}

function rethrow(error: unknown): void {
  setImmediate(() => {
    throw error;
  });
}

/** "::ffff:1.2.3.4", an IPv4 peer of a dual-stack socket, is shown as 1.2.3.4. */
function unmapped(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}

class NativeStream implements Stream {
  readonly name: string;
  readonly kind: "unix" | "tcp";
  localAddress: string | undefined = undefined;
  remoteAddress: string | undefined = undefined;
  remotePort: number | undefined = undefined;
  #socket: Bun.Socket<NativeStream> | undefined;
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

  constructor(name: string, kind: "unix" | "tcp") {
    this.name = name;
    this.kind = kind;
  }

  opened(socket: Bun.Socket<NativeStream>): void {
    this.#socket = socket;
    if (this.kind === "unix") return;
    this.localAddress = unmapped(socket.localAddress);
    this.remoteAddress = unmapped(socket.remoteAddress);
    this.remotePort = socket.remotePort;
  }

  received(bytes: Uint8Array): void {
    if (this.#handler === undefined || this.#paused || this.#early.length > 0)
      this.#early.push(bytes.slice());
    else {
      try {
        this.#handler.data(bytes);
      } catch (error) {
        rethrow(error);
      }
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
      guard(() => this.#handler?.drain?.());
    }
  }

  /** The peer sends no more: what is queued still goes out, then this side ends, too. */
  ended(): void {
    if (this.#over) return;
    if (this.#queue.length === 0) this.closed(undefined);
    else this.end();
  }

  /** An error of the socket itself: the close event, where the engine sends one, comes later. */
  failed(error: Error): void {
    this.#failure ??= error;
  }

  closed(error: Error | undefined): void {
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
      guard(() => this.#handler?.data(bytes));
    }
    if (!this.#over || this.#announced || this.#handler === undefined || this.#paused) return;
    this.#announced = true;
    guard(() => this.#handler?.close(this.#failure));
  }

  get backlog(): number {
    return this.#queued;
  }

  write(data: Uint8Array | string): boolean {
    if (this.#over || this.#ending || this.#socket === undefined) return false;
    if (this.#queue.length === 0 && typeof data === "string") {
      // The socket encodes it as it goes out; only what it does not take needs bytes of its own.
      const written = Math.max(0, this.#socket.write(data));
      if (written === Buffer.byteLength(data)) return true;
      const rest = Buffer.from(data).subarray(written);
      this.#queue.push(rest);
      this.#queued = rest.length;
      return this.#roomLeft();
    }
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
    return this.#roomLeft();
  }

  writeShared(bytes: Uint8Array): boolean {
    if (this.#over || this.#ending || this.#socket === undefined) return false;
    const written = this.#queue.length === 0 ? Math.max(0, this.#socket.write(bytes)) : 0;
    if (written === bytes.length) return true;
    this.#queue.push(bytes.subarray(written));
    this.#queued += bytes.length - written;
    return this.#roomLeft();
  }

  #roomLeft(): boolean {
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
    queueMicrotask(() => this.closed(error));
  }
}
