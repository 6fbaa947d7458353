/**
 * JSON-RPC 1.0 as RFC 7047 section 4 uses it, over any Stream: messages, a connection, and a session that reconnects.
 * Upstream: lib/jsonrpc.
 */
import type { Clock } from "./clock.ts";
import type { Json } from "./json.ts";
import type { Stream, StreamFactory } from "./stream.ts";

export interface JsonRpcRequest {
  readonly type: "request";
  readonly method: string;
  readonly params: readonly Json[];
  readonly id: Json;
}
export interface JsonRpcNotify {
  readonly type: "notify";
  readonly method: string;
  readonly params: readonly Json[];
}
export interface JsonRpcReply {
  readonly type: "reply";
  readonly result: Json;
  readonly id: Json;
}
export interface JsonRpcError {
  readonly type: "error";
  readonly error: Json;
  readonly id: Json;
}
export type JsonRpcMessage = JsonRpcRequest | JsonRpcNotify | JsonRpcReply | JsonRpcError;

export interface JsonRpcHandler {
  message(message: JsonRpcMessage): void;
  /** Everything written has left (see `JsonRpc.backlog`). */
  drain?(): void;
  /** Once. Malformed input, a broken stream (errno `code`) or undefined: the peer closed. */
  close(error: Error | undefined): void;
}

/** One connection. Does no probing of its own; an "echo" request is handed on like any other. */
export declare class JsonRpc {
  constructor(stream: Stream);
  readonly name: string;
  readonly stream: Stream;
  handler: JsonRpcHandler | undefined;
  /** Bytes not yet handed to the kernel. */
  readonly backlog: number;
  send(message: JsonRpcMessage): void;
  /** A message already serialised (one update to many monitors). */
  sendText(text: string): void;
  request(method: string, params: readonly Json[]): number;
  /** Sends and waits for the reply with that id; rejects with the error reply's JSON (JsonRpcFailure) or the stream's error. */
  transact(method: string, params: readonly Json[]): Promise<Json>;
  notify(method: string, params: readonly Json[]): void;
  reply(id: Json, result: Json): void;
  error(id: Json, error: Json): void;
  pause(): void;
  resume(): void;
  close(): void;
}

/** An error reply to JsonRpc.transact. */
export class JsonRpcFailure extends Error {
  readonly error: Json;
  constructor(error: Json) {
    super("JSON-RPC error");
    this.error = error;
  }
}

export interface SessionOptions {
  streams: StreamFactory;
  clock: Clock;
  /** Milliseconds without traffic before a probe, 0 for none. Default 5000 for tcp and ssl, 0 for unix, as the original. */
  probeMs?: number;
  /** Connection attempts before the session gives up; default: for ever. */
  maxTries?: number;
  /** Tried in the order given (after a shuffle by the caller where wanted). */
  remotes: readonly string[];
}

export interface SessionHandler {
  /** A new connection is up. */
  connected(): void;
  message(message: JsonRpcMessage): void;
  /** Lost; the session tries again by itself. */
  disconnected(error: Error | undefined): void;
  /** No more attempts will be made. */
  dead?(error: Error | undefined): void;
}
