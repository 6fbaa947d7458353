/** HTTP and WebSockets by Bun's server (the interface: src/lib/http.ts). */
import type { HttpServer, HttpServerOptions, WebSocketHandler, WebSocketSide } from "../lib/http.ts";

/** Peers that take nothing for this long, in seconds, are dropped; the server's own pings keep the others. */
const IDLE_SEC = 60;

export function serveHttp(options: HttpServerOptions): Promise<HttpServer> {
  return new Promise((resolve) => {
    const server = Bun.serve<{ handler: WebSocketHandler }>({
      hostname: options.host,
      port: options.port,
      maxRequestBodySize: options.maxBytes,
      ...(options.tls === undefined ? {} : { tls: { key: options.tls.key, cert: options.tls.cert } }),
      // No stack traces to strangers.
      development: false,
      async fetch(request, bun) {
        const answer = await options.fetch(request, bun.requestIP(request)?.address ?? "");
        if (answer instanceof Response) return answer;
        if (bun.upgrade(request, { data: { handler: answer } })) return undefined;
        return new Response("a WebSocket was expected\n", { status: 426, headers: { upgrade: "websocket" } });
      },
      websocket: {
        maxPayloadLength: options.maxBytes,
        idleTimeout: IDLE_SEC,
        // Who sends counts the backlog and stops.
        backpressureLimit: 0x7fff_ffff,
        perMessageDeflate: false,
        open: (socket) => socket.data.handler.open(new Side(socket)),
        message: (socket, message) => {
          if (typeof message === "string") socket.data.handler.message(message);
          else socket.close(1003, "text was expected");
        },
        drain: (socket) => socket.data.handler.drain(),
        close: (socket) => socket.data.handler.close(),
      },
    });
    resolve({ port: server.port!, close: () => void server.stop(true) });
  });
}

class Side implements WebSocketSide {
  readonly #socket: Bun.ServerWebSocket<unknown>;

  constructor(socket: Bun.ServerWebSocket<unknown>) {
    this.#socket = socket;
  }

  send(text: string): void {
    this.#socket.send(text);
  }
  get backlog(): number {
    return this.#socket.getBufferedAmount();
  }
  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }
}
