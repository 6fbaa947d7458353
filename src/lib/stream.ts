/**
 * Bytes both ways over unix, tcp, ssl or memory: the one thing that everything which talks takes.
 * Names are those of Open vSwitch (ovsdb(7), "Connection Methods"): active `unix:FILE`, `tcp:HOST:PORT`,
 * `ssl:HOST:PORT`; passive `punix:FILE`, `ptcp:[PORT][:HOST]`, `pssl:[PORT][:HOST]`.
 */

/** Callbacks of the owner; set before data may flow (a stream buffers until `handler` is set). */
export interface StreamHandler {
  /** `bytes` belongs to the callee for the length of the call only. */
  data(bytes: Uint8Array): void;
  /** The write buffer has emptied after `write` returned false. */
  drain?(): void;
  /** Called exactly once; `error` undefined means an orderly close by the peer or by `destroy`. */
  close(error: Error | undefined): void;
}

export interface Stream {
  /** As given or accepted, e.g. `unix:/run/db.sock`, `tcp:127.0.0.1:54321`. */
  readonly name: string;
  readonly kind: "unix" | "tcp" | "ssl" | "memory";
  handler: StreamHandler | undefined;
  /** Queues `bytes` (copied or owned by the stream from now on). False: stop until `drain`. */
  write(bytes: Uint8Array | string): boolean;
  /** The same for bytes that nobody is going to change, so that many streams can send them without a copy each. */
  writeShared?(bytes: Uint8Array): boolean;
  /** Bytes accepted by `write` and not yet handed to the kernel. */
  readonly backlog: number;
  pause(): void;
  resume(): void;
  /** Flushes, then closes. */
  end(): void;
  destroy(error?: Error): void;
  /** IP address of this side for in-band and status, undefined for unix and memory. */
  readonly localAddress: string | undefined;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  /** Common name in the certificate of an `ssl:` peer that has shown one. */
  readonly peerName?: string | undefined;
}

export interface StreamServer {
  readonly name: string;
  /** The bound port of ptcp/pssl (ptcp:0 asks the kernel for one), undefined for punix. */
  readonly port: number | undefined;
  close(): void;
}

/** Opens and listens. The implementation (`src/lib/stream-node.ts`) uses node:net and node:tls. */
export interface StreamFactory {
  /** Resolves when connected; rejects with an Error whose `code` is the errno name ("ECONNREFUSED"). */
  connect(name: string, timeoutMs?: number): Promise<Stream>;
  /** Resolves when bound; rejects with an errno `code` as above. */
  listen(name: string, accept: (stream: Stream) => void): Promise<StreamServer>;
}
