/**
 * JSON-RPC 1.0 as RFC 7047 section 4 uses it, over any Stream: messages and one connection (upstream: lib/jsonrpc).
 * The session that connects again by itself is in `jsonrpc-session.ts`.
 */
import { describeError } from "./errors.ts";
import {
  formatJson,
  type Json,
  JsonError,
  type JsonObject,
  JsonSplitter,
  parseJson,
  wholeObject,
} from "./json.ts";
import type { Stream } from "./stream.ts";
import { RateLimit, vlog } from "./vlog.ts";

const log = vlog("jsonrpc");
const limit = new RateLimit(5, 5);

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

/** An error reply to JsonRpc.transact. */
export class JsonRpcFailure extends Error {
  readonly error: Json;
  constructor(error: Json) {
    super(`JSON-RPC error: ${formatJson(error)}`);
    this.error = error;
  }
}

/** The wire form. An error carries no "result" and a reply a null "error", as the original writes them. */
export function encodeMessage(message: JsonRpcMessage): string {
  switch (message.type) {
    case "request":
      return formatJson({ id: message.id, method: message.method, params: message.params });
    case "notify":
      return formatJson({ id: null, method: message.method, params: message.params });
    case "reply":
      return formatJson({ id: message.id, result: message.result, error: null });
    case "error":
      return formatJson({ id: message.id, error: message.error });
  }
}

const MEMBERS: ReadonlySet<string> = new Set(["method", "params", "result", "error", "id"]);

/** Throws an Error that says what is wrong with the message, in the original's words. */
export function decodeMessage(json: Json): JsonRpcMessage {
  const refuse = (what: string): never => {
    throw new Error(what);
  };
  if (json === null || typeof json !== "object" || Array.isArray(json))
    refuse("message is not a JSON object");
  const { method, params, result, error, id } = json as JsonObject;
  // What nearly all messages are.
  if (typeof method === "string" && Array.isArray(params) && id !== undefined && id !== null) {
    if (Object.keys(json as JsonObject).length === 3)
      return { type: "request", method, params: params as readonly Json[], id };
  }
  if (method !== undefined && typeof method !== "string") refuse("method is not a JSON string");
  for (const name of Object.keys(json as JsonObject)) {
    if (!MEMBERS.has(name)) refuse(`message has unexpected member "${name}"`);
  }
  const hasId = id !== undefined && id !== null;
  const hasError = error !== undefined && error !== null;
  const kind =
    result !== undefined && result !== null ? "reply" : hasError ? "error" : hasId ? "request" : "notify";
  const label = kind === "notify" ? "notification" : kind;
  const must = (name: string, value: Json | undefined): void => {
    if (value === undefined) refuse(`${label} must have "${name}"`);
  };
  const mustNot = (name: string, value: Json | undefined): void => {
    if (value !== undefined && value !== null) refuse(`${label} must not have "${name}"`);
  };
  if (kind === "request" || kind === "notify") {
    // A reply whose result is null looks like this too.
    if (method === undefined && kind === "request" && result === null && error === null) {
      return { type: "reply", result: null, id: id! };
    }
    must("method", method);
    must("params", params);
    if (!Array.isArray(params)) refuse('"params" must be JSON array');
    mustNot("result", result);
    mustNot("error", error);
    const common = { method: method as string, params: params as readonly Json[] };
    return kind === "request" ? { type: "request", ...common, id: id! } : { type: "notify", ...common };
  }
  mustNot("method", method);
  mustNot("params", params);
  if (kind === "reply") mustNot("error", error);
  else mustNot("result", result);
  if (!hasId) refuse(`${label} must have "id"`);
  return kind === "reply"
    ? { type: "reply", result: result!, id: id! }
    : { type: "error", error: error!, id: id! };
}

/** `received reply, result="foo", id=0`: for debug logs. */
export function describeMessage(message: JsonRpcMessage): string {
  const kind = message.type === "notify" ? "notification" : message.type;
  let text = kind;
  if ("method" in message) text += `, method="${message.method}", params=${formatJson(message.params)}`;
  if ("result" in message) text += `, result=${formatJson(message.result)}`;
  if ("error" in message) text += `, error=${formatJson(message.error)}`;
  if ("id" in message) text += `, id=${formatJson(message.id)}`;
  return text;
}

let nextId = 0;

interface Waiter {
  resolve(result: Json): void;
  reject(error: Error): void;
}

/** One connection. Does no probing of its own; an "echo" request is handed on like any other. */
export class JsonRpc {
  readonly name: string;
  readonly stream: Stream;
  handler: JsonRpcHandler | undefined;
  readonly #waiting = new Map<Json, Waiter>();
  readonly #splitter: JsonSplitter;
  #closed = false;

  /** `bytesMax`: a message that is longer ends the connection. */
  constructor(stream: Stream, handler?: JsonRpcHandler, bytesMax?: number) {
    this.#splitter = new JsonSplitter(bytesMax);
    this.stream = stream;
    this.name = stream.name;
    this.handler = handler;
    const onText = (text: string): void => this.#receive(text);
    stream.handler = {
      data: (bytes) => {
        if (this.#closed) return;
        const json = this.#splitter.partial ? undefined : wholeObject(bytes);
        if (json !== undefined) {
          this.#receiveJson(json);
          return;
        }
        try {
          this.#splitter.push(bytes, onText);
        } catch (error) {
          if (!(error instanceof JsonError)) throw error;
          log.warnRl(limit, `${this.name}: error parsing stream: ${error.message}`);
          this.#fail(error);
        }
      },
      drain: () => this.handler?.drain?.(),
      close: (error) => {
        if (error !== undefined && !this.#closed)
          log.warnRl(limit, `${this.name}: receive error: ${describeError(error)}`);
        this.#finish(error);
      },
    };
  }

  /** Bytes not yet handed to the kernel. */
  get backlog(): number {
    return this.stream.backlog;
  }

  get closed(): boolean {
    return this.#closed;
  }

  #receive(text: string): void {
    if (!this.#closed) this.#receiveJson(parseJson(text));
  }

  #receiveJson(json: Json): void {
    let message: JsonRpcMessage;
    try {
      message = decodeMessage(json);
    } catch (error) {
      log.warnRl(limit, `${this.name}: received bad JSON-RPC message: ${(error as Error).message}`);
      this.#fail(error as Error);
      return;
    }
    if (log.isDbg()) log.dbg(`${this.name}: received ${describeMessage(message)}`);
    if (message.type === "reply" || message.type === "error") {
      const waiter = this.#waiting.get(message.id);
      if (waiter !== undefined) {
        this.#waiting.delete(message.id);
        if (message.type === "reply") waiter.resolve(message.result);
        else waiter.reject(new JsonRpcFailure(message.error));
        return;
      }
    }
    this.handler?.message(message);
  }

  /** False: the peer does not read as fast as we write; see `backlog` and the handler's `drain`. */
  send(message: JsonRpcMessage): boolean {
    if (log.isDbg()) log.dbg(`${this.name}: send ${describeMessage(message)}`);
    return this.sendText(encodeMessage(message));
  }

  /** A message already serialised (one update to many monitors). */
  sendText(text: string): boolean {
    return !this.#closed && this.stream.write(text);
  }

  /** Part of a message, in bytes that other connections send, too, and nobody changes. */
  sendShared(bytes: Uint8Array): boolean {
    return !this.#closed && (this.stream.writeShared?.(bytes) ?? this.stream.write(bytes));
  }

  request(method: string, params: readonly Json[]): number {
    const id = nextId++;
    this.send({ type: "request", method, params, id });
    return id;
  }

  /** Sends and waits for the reply; rejects with JsonRpcFailure on an error reply, or with what closed the connection. */
  transact(method: string, params: readonly Json[]): Promise<Json> {
    if (this.#closed) return Promise.reject(new Error(`${this.name}: connection closed`));
    return new Promise((resolve, reject) => {
      const id = this.request(method, params);
      this.#waiting.set(id, { resolve, reject });
    });
  }

  notify(method: string, params: readonly Json[]): void {
    this.send({ type: "notify", method, params });
  }

  reply(id: Json, result: Json): void {
    this.send({ type: "reply", result, id });
  }

  error(id: Json, error: Json): void {
    this.send({ type: "error", error, id });
  }

  pause(): void {
    this.stream.pause();
  }

  resume(): void {
    this.stream.resume();
  }

  /** Sends what is queued, then closes; the handler's `close` is called unless it was removed before. */
  close(): void {
    this.stream.end();
  }

  destroy(error?: Error): void {
    this.stream.destroy(error);
  }

  #fail(error: Error): void {
    this.#finish(error);
    this.stream.destroy(error);
  }

  #finish(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const waiter of this.#waiting.values()) {
      waiter.reject(error ?? Object.assign(new Error("End of file"), { code: "EOF" }));
    }
    this.#waiting.clear();
    this.handler?.close(error);
  }
}
