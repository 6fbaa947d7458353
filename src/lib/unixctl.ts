/**
 * The control socket that ovs-appctl talks to: JSON-RPC, method = command, params = words (upstream: lib/unixctl).
 * Commands live in a registry, because `ovsbox up` serves two daemons' sockets from one process.
 */
import type { Json } from "./json.ts";

/** Exactly one of ok/error is called, now or later. */
export interface UnixctlReply {
  /** "text", or "json" after `ovs-appctl -f json`. */
  readonly format: "text" | "json";
  /** Text for people (the client adds a missing newline at the end). */
  ok(text?: string): void;
  /** For commands that know JSON, when `format` is "json". */
  okJson(value: Json): void;
  /** ovs-appctl prints it on standard error and exits with 2. */
  error(text: string): void;
}

/** `args` excludes the command's name. A thrown Fatal becomes the error reply. */
export type UnixctlCallback = (args: readonly string[], reply: UnixctlReply) => void | Promise<void>;

export declare class UnixctlCommands {
  /** `max` -1: any number. `usage` as in list-commands: "[bridge] flow". */
  register(name: string, usage: string, min: number, max: number, run: UnixctlCallback): void;
  unregister(name: string): void;
}
