/**
 * One page that is open: its watches and calls (protocol.ts). A page that does not keep up is sent nothing more until it
 * has taken what waits, and then every watch begins anew with the whole state.
 */
import type { WebSocketHandler, WebSocketSide } from "../lib/http.ts";
import type { Feed } from "./feed.ts";
import type { FromPage, Methods, Topic } from "./protocol.ts";

/** Bytes that may wait for a page. */
const MAX_BACKLOG = 64 << 20;
const MAX_WATCHES = 200;

/** What pages may ask for. Both throw an Error with a text for the page. */
export interface Desk {
  feed(topic: Topic): Feed;
  call(method: keyof Methods, params: unknown): Promise<unknown>;
}

interface Watch {
  readonly topic: Topic;
  stop: (() => void) | undefined;
}

export class PageSession implements WebSocketHandler {
  readonly #desk: Desk;
  readonly #closed: (session: PageSession) => void;
  readonly #watches = new Map<number, Watch>();
  #socket: WebSocketSide | undefined = undefined;
  #behind = false;

  constructor(desk: Desk, closed: (session: PageSession) => void) {
    this.#desk = desk;
    this.#closed = closed;
  }

  open(socket: WebSocketSide): void {
    this.#socket = socket;
  }

  close(): void {
    this.#socket = undefined;
    for (const { stop } of this.#watches.values()) stop?.();
    this.#watches.clear();
    this.#closed(this);
  }

  /** Ends the connection. */
  end(): void {
    this.#socket?.close(1001, "the server ends");
  }

  message(text: string): void {
    let message: FromPage;
    try {
      message = JSON.parse(text) as FromPage;
    } catch {
      this.#socket?.close(1007, "JSON was expected");
      return;
    }
    if (typeof message !== "object" || message === null) return;
    if ("watch" in message) this.#watch(message.watch, message.topic);
    else if ("stop" in message) this.#stop(message.stop);
    else if ("call" in message) void this.#call(message.call, message.method, message.params);
  }

  drain(): void {
    if (!this.#behind || (this.#socket?.backlog ?? 0) > 0) return;
    this.#behind = false;
    for (const [id, watch] of this.#watches) {
      watch.stop?.();
      this.#begin(id, watch);
    }
  }

  #watch(id: number, topic: Topic): void {
    if (!Number.isSafeInteger(id) || this.#watches.has(id)) return;
    if (this.#watches.size >= MAX_WATCHES) {
      this.#fail(id, "too many watches");
      return;
    }
    const watch: Watch = { topic, stop: undefined };
    this.#watches.set(id, watch);
    this.#begin(id, watch);
  }

  #begin(id: number, watch: Watch): void {
    watch.stop = undefined;
    try {
      watch.stop = this.#desk.feed(watch.topic).watch((text) => this.#send(`{"id":${id},"data":${text}}`));
    } catch (error) {
      this.#watches.delete(id);
      this.#fail(id, (error as Error).message);
    }
  }

  #stop(id: number): void {
    this.#watches.get(id)?.stop?.();
    this.#watches.delete(id);
  }

  async #call(id: number, method: keyof Methods, params: unknown): Promise<void> {
    if (!Number.isSafeInteger(id)) return;
    try {
      const result = await this.#desk.call(method, params);
      this.#socket?.send(`{"id":${id},"result":${JSON.stringify(result ?? null)}}`);
    } catch (error) {
      this.#fail(id, (error as Error).message);
    }
  }

  #fail(id: number, text: string): void {
    this.#socket?.send(JSON.stringify({ id, error: text }));
  }

  #send(text: string): void {
    if (this.#socket === undefined || this.#behind) return;
    this.#socket.send(text);
    if (this.#socket.backlog > MAX_BACKLOG) this.#behind = true;
  }
}
