/**
 * The Idl's connection: a JSON-RPC session to one of its remotes, or one that the server makes to us where the remote is
 * passive (`ptcp:` and the like). What the replies mean is the Idl's business.
 */
import type { Clock } from "../lib/clock.ts";
import { JsonRpc, type JsonRpcMessage } from "../lib/jsonrpc.ts";
import { JsonRpcSession } from "../lib/jsonrpc-session.ts";
import type { StreamFactory, StreamServer } from "../lib/stream.ts";
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
  /** The connection, or an attempt at one, is gone. Another attempt follows by itself, unless `dead` does. */
  disconnected(error: Error | undefined): void;
  dead(error: Error | undefined): void;
}

/** Cuts `a,b:c,d` at the commas that begin another connection method. */
export function splitRemotes(text: string): string[] {
  const remotes: string[] = [];
  for (const part of text.split(",")) {
    if (remotes.length === 0 || /^\s*p?(unix|tcp|ssl|memory):/.test(part)) remotes.push(part.trim());
    else remotes[remotes.length - 1] += `,${part}`;
  }
  return remotes;
}

export class IdlLink {
  readonly #options: IdlLinkOptions;
  readonly #handler: IdlLinkHandler;
  readonly #remotes: readonly string[];
  #session: JsonRpcSession | undefined = undefined;
  #server: StreamServer | undefined = undefined;
  /** The passive side's connection. */
  #accepted: JsonRpc | undefined = undefined;
  #closed = false;

  constructor(options: IdlLinkOptions, handler: IdlLinkHandler) {
    this.#options = options;
    this.#handler = handler;
    this.#remotes = splitRemotes(options.remote);
  }

  get remote(): string {
    return this.#session?.remote ?? this.#remotes[0]!;
  }

  open(): void {
    if (/^p(unix|tcp|ssl):/.test(this.#remotes[0]!)) {
      void this.#listen();
      return;
    }
    const { clock, streams, probeMs, retry } = this.#options;
    this.#session = new JsonRpcSession(
      {
        clock,
        streams,
        remotes: this.#remotes,
        ...(probeMs === undefined ? {} : { probeMs }),
        ...(retry === false ? { maxTries: this.#remotes.length } : {}),
      },
      {
        connected: () => this.#handler.connected(),
        message: (message) => this.#message(message),
        disconnected: (error) => this.#handler.disconnected(error),
        dead: (error) => this.#handler.dead(error),
      },
    );
  }

  close(): void {
    this.#closed = true;
    this.#session?.close();
    this.#server?.close();
    const rpc = this.#accepted;
    this.#accepted = undefined;
    if (rpc === undefined) return;
    rpc.handler = undefined;
    rpc.close();
  }

  /** Gives the connection up and makes a new one, with the next remote. */
  reconnect(): void {
    this.#session?.forceReconnect();
    this.#accepted?.close();
  }

  request(method: string, params: readonly Json[]): number {
    const id = this.#session?.request(method, params) ?? this.#accepted?.request(method, params);
    if (id === undefined) throw new Error("not connected");
    return id;
  }

  async #listen(): Promise<void> {
    try {
      this.#server = await this.#options.streams.listen(this.#remotes[0]!, (stream) => {
        if (this.#accepted !== undefined || this.#closed) {
          stream.destroy();
          return;
        }
        this.#accepted = new JsonRpc(stream, {
          message: (message) => {
            if (message.type !== "request") this.#message(message);
            else if (message.method === "echo") this.#accepted?.reply(message.id, message.params);
          },
          close: (error) => {
            this.#accepted = undefined;
            this.#handler.disconnected(error);
          },
        });
        this.#handler.connected();
      });
      if (this.#closed) this.#server.close();
    } catch (error) {
      if (!this.#closed) this.#handler.dead(error as Error);
    }
  }

  #message(message: JsonRpcMessage): void {
    if (message.type === "notify") this.#handler.notify(message.method, message.params);
    else if (message.type === "reply") this.#handler.reply(message.id as number, message.result, undefined);
    else if (message.type === "error") this.#handler.reply(message.id as number, null, message.error);
  }
}
