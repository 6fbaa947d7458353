/**
 * A server of HTTP and WebSockets as who answers sees it; requests and responses are the web platform's own. The
 * implementation is src/sys/http-server.ts.
 */

/** One side of a WebSocket (RFC 6455) that is open. */
export interface WebSocketSide {
  /** Queues one text message. What a slow peer has not taken yet is counted in `backlog`. */
  send(text: string): void;
  readonly backlog: number;
  close(code: number, reason: string): void;
}

/** What becomes of a request that asked for a WebSocket. */
export interface WebSocketHandler {
  open(socket: WebSocketSide): void;
  message(text: string): void;
  /** The peer has taken what waited. */
  drain(): void;
  /** Exactly once after `open`. */
  close(): void;
}

export interface HttpServerOptions {
  readonly host: string;
  /** 0: the kernel chooses. */
  readonly port: number;
  /** PEM texts. */
  readonly tls: { readonly key: string; readonly cert: string } | undefined;
  /** Longest body of a request and message of a WebSocket, in bytes. */
  readonly maxBytes: number;
  /** `address` is the peer's. A handler in place of a response accepts the WebSocket asked for. */
  fetch(request: Request, address: string): Promise<Response | WebSocketHandler>;
}

export interface HttpServer {
  readonly port: number;
  close(): void;
}

/** Resolves when bound; rejects with an Error whose `code` is the errno name ("EADDRINUSE"). */
export type ServeHttp = (options: HttpServerOptions) => Promise<HttpServer>;
