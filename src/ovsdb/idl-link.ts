/**
 * The Idl's connection: opens one of its remotes, keeps it alive with probes, and tries again, after 1 to 8 seconds,
 * when it is lost. Requests are numbered here; what the replies mean is the Idl's business.
 */
import type { Clock, Timer } from "../lib/clock.ts";
import { JsonRpc, type JsonRpcMessage } from "../lib/jsonrpc.ts";
import type { Stream, StreamFactory, StreamServer } from "../lib/stream.ts";
import type { Json } from "./json-text.ts";

export interface IdlLinkOptions {
  readonly clock: Clock;
  readonly streams: StreamFactory;
  readonly remote: string;
  readonly retry?: boolean;
  readonly probeMs?: number;
}

export interface IdlLinkHandler {
  connected(): void;
  reply(id: number, result: Json, error: Json | undefined): void;
  notify(method: string, params: readonly Json[]): void;
  /** After `connected`. Another attempt follows by itself, unless `dead` does. */
  disconnected(error: Error | undefined): void;
  dead(error: Error | undefined): void;
}

const BACKOFF_MIN_MS = 1000;
const BACKOFF_MAX_MS = 8000;
const PROBE_MS = 5000;

export class IdlLink {
  readonly #options: IdlLinkOptions;
  readonly #handler: IdlLinkHandler;
  readonly #remotes: readonly string[];
  #at = 0;
  #rpc: JsonRpc | undefined = undefined;
  #server: StreamServer | undefined = undefined;
  #timer: Timer | undefined = undefined;
  #backoffMs = 0;
  #closed = false;
  #probed = false;
  #heard = false;

  constructor(options: IdlLinkOptions, handler: IdlLinkHandler) {
    this.#options = options;
    this.#handler = handler;
    this.#remotes = options.remote.split(",").map((remote) => remote.trim());
  }

  get remote(): string {
    return this.#remotes[this.#at]!;
  }

  open(): void {
    if (/^p(unix|tcp|ssl):/.test(this.remote)) void this.#listen();
    else void this.#connect();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#server?.close();
    this.#drop();
  }

  /** Gives the connection up and tries the next remote. */
  reconnect(why: string): void {
    if (this.#rpc === undefined) return;
    this.#drop();
    this.#lost(new Error(why));
  }

  request(method: string, params: readonly Json[]): number {
    if (this.#rpc === undefined) throw new Error("not connected");
    return this.#rpc.request(method, params);
  }

  #drop(): void {
    const rpc = this.#rpc;
    this.#rpc = undefined;
    this.#timer?.cancel();
    if (rpc === undefined) return;
    rpc.handler = undefined;
    rpc.close();
  }

  async #connect(): Promise<void> {
    let stream: Stream;
    try {
      stream = await this.#options.streams.connect(this.remote);
    } catch (error) {
      if (!this.#closed) this.#failed(error as Error);
      return;
    }
    if (this.#closed) stream.destroy();
    else this.#accept(stream);
  }

  async #listen(): Promise<void> {
    try {
      this.#server ??= await this.#options.streams.listen(this.remote, (stream) => {
        if (this.#rpc !== undefined || this.#closed) stream.destroy();
        else this.#accept(stream);
      });
      if (this.#closed) this.#server.close();
    } catch (error) {
      if (!this.#closed) this.#failed(error as Error);
    }
  }

  #accept(stream: Stream): void {
    const rpc = new JsonRpc(stream);
    this.#rpc = rpc;
    rpc.handler = {
      message: (message) => this.#message(rpc, message),
      close: (error) => {
        if (this.#rpc !== rpc) return;
        this.#rpc = undefined;
        this.#lost(error);
      },
    };
    const local = stream.kind === "unix" || stream.kind === "memory";
    const probeMs = this.#options.probeMs ?? (local ? 0 : PROBE_MS);
    this.#probed = false;
    this.#heard = true;
    if (probeMs > 0) this.#probe(rpc, probeMs);
    this.#handler.connected();
  }

  #probe(rpc: JsonRpc, probeMs: number): void {
    this.#timer = this.#options.clock.background(probeMs, () => {
      if (this.#rpc !== rpc) return;
      if (!this.#heard && this.#probed) {
        this.reconnect(`no response to inactivity probe after ${probeMs / 1000} seconds, disconnecting`);
        return;
      }
      this.#probed = !this.#heard;
      if (this.#probed) rpc.send({ type: "request", method: "echo", params: [], id: "echo" });
      this.#heard = false;
      this.#probe(rpc, probeMs);
    });
  }

  #message(rpc: JsonRpc, message: JsonRpcMessage): void {
    if (this.#rpc !== rpc) return;
    this.#heard = true;
    this.#backoffMs = 0;
    switch (message.type) {
      case "request":
        if (message.method === "echo") rpc.reply(message.id, message.params);
        else rpc.error(message.id, "unknown method");
        return;
      case "notify":
        this.#handler.notify(message.method, message.params);
        return;
      case "reply":
        if (message.id !== "echo") this.#handler.reply(message.id as number, message.result, undefined);
        return;
      case "error":
        if (message.id !== "echo") this.#handler.reply(message.id as number, null, message.error);
    }
  }

  #lost(error: Error | undefined): void {
    this.#timer?.cancel();
    this.#handler.disconnected(error);
    this.#failed(error);
  }

  #failed(error: Error | undefined): void {
    if (this.#closed) return;
    if (this.#server !== undefined) return;
    if (this.#options.retry === false && this.#at + 1 >= this.#remotes.length) {
      this.#closed = true;
      this.#handler.dead(error);
      return;
    }
    this.#at = (this.#at + 1) % this.#remotes.length;
    const { clock } = this.#options;
    const again = this.#at === 0;
    this.#timer = clock.after(again ? this.#backoffMs : 0, () => this.open());
    if (again) this.#backoffMs = Math.min(BACKOFF_MAX_MS, Math.max(BACKOFF_MIN_MS, 2 * this.#backoffMs));
  }
}
