/**
 * The control socket that ovs-appctl talks to: JSON-RPC, method = command, params = words (upstream: lib/unixctl).
 * Commands live in a registry, because `ovsbox up` serves two daemons' sockets from one process.
 */
import { versionText } from "./applet.ts";
import { readReply } from "./control-json.ts";
import { coverage } from "./coverage.ts";
import { absolute, dirs } from "./dirs.ts";
import { describeError, Fatal } from "./errors.ts";
import { getopt } from "./getopt.ts";
import { formatJson, type Json } from "./json.ts";
import { JsonRpc, type JsonRpcMessage, type JsonRpcRequest } from "./jsonrpc.ts";
import type { Platform } from "./platform.ts";
import type { Stream, StreamServer } from "./stream.ts";
import { RateLimit, vlog } from "./vlog.ts";
import { vlogCommands } from "./vlog-unixctl.ts";

const log = vlog("unixctl");
const limit = new RateLimit(5, 10);
const received = coverage("unixctl_received");
const replied = coverage("unixctl_replied");

/** Exactly one of ok/okJson/error is called, now or later. */
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

/** Usage of a command that is not listed. */
export const HIDDEN: unique symbol = Symbol("hidden");

interface Command {
  usage: string | typeof HIDDEN;
  min: number;
  max: number;
  run: UnixctlCallback;
}

export class UnixctlCommands {
  readonly #commands = new Map<string, Command>();

  /** With the commands that every daemon has: list-commands, version, vlog/... */
  constructor(program: string) {
    this.register("list-commands", "", 0, 0, (_args, reply) => this.#list(reply));
    this.register("version", "", 0, 0, (_args, reply) => reply.ok(versionText(program).trimEnd()));
    // Handled by each connection, as the format is the connection's; here for the list.
    this.register("set-options", "[--format text|json]", 0, 2, () => {});
    vlogCommands(this);
  }

  /** `max` -1: any number. `usage` as in list-commands: "[bridge] flow"; {@link HIDDEN} keeps the command off that list. */
  register(
    name: string,
    usage: string | typeof HIDDEN,
    min: number,
    max: number,
    run: UnixctlCallback,
  ): void {
    this.#commands.set(name, { usage, min, max, run });
  }

  unregister(name: string): void {
    this.#commands.delete(name);
  }

  has(name: string): boolean {
    return this.#commands.has(name);
  }

  /** Commands whose names begin with `prefix`, with their usage. */
  list(prefix = ""): { name: string; usage: string }[] {
    return [...this.#commands]
      .filter(([name, { usage }]) => name.startsWith(prefix) && usage !== HIDDEN)
      .map(([name, { usage }]) => ({ name, usage: usage as string }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  #list(reply: UnixctlReply): void {
    const all = this.list();
    if (reply.format === "json") {
      reply.okJson(Object.fromEntries(all.map(({ name, usage }) => [name, usage])));
      return;
    }
    const lines = all.map(({ name, usage }) => `  ${name.padEnd(23)} ${usage}\n`);
    reply.ok(`The available commands are:\n${lines.join("")}`);
  }

  /** Checks the arguments and runs the command. */
  async run(name: string, args: readonly string[], reply: UnixctlReply): Promise<void> {
    const command = this.#commands.get(name);
    if (command === undefined) {
      return reply.error(
        `"${name}" is not a valid command (use "list-commands" to see a list of valid commands)`,
      );
    }
    if (args.length < command.min) {
      return reply.error(`"${name}" command requires at least ${command.min} arguments`);
    }
    if (command.max >= 0 && args.length > command.max) {
      return reply.error(`"${name}" command takes at most ${command.max} arguments`);
    }
    try {
      await command.run(args, reply);
    } catch (error) {
      if (!(error instanceof Fatal)) throw error;
      reply.error(error.message);
    }
  }
}

/** One client: its requests are served one after the other. */
class Connection {
  readonly #rpc: JsonRpc;
  readonly #commands: UnixctlCommands;
  readonly #queue: JsonRpcRequest[] = [];
  #format: "text" | "json" = "text";
  #busy = false;

  constructor(stream: Stream, commands: UnixctlCommands, closed: (connection: Connection) => void) {
    this.#commands = commands;
    this.#rpc = new JsonRpc(stream, {
      message: (message) => this.#receive(message),
      close: () => closed(this),
    });
  }

  close(): void {
    this.#rpc.close();
  }

  #receive(message: JsonRpcMessage): void {
    if (message.type !== "request") {
      const kind = message.type === "notify" ? "notification" : message.type;
      log.warnRl(limit, `${this.#rpc.name}: received unexpected ${kind} message`);
      this.#rpc.destroy();
      return;
    }
    this.#queue.push(message);
    void this.#serve();
  }

  async #serve(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    for (let request = this.#queue.shift(); request !== undefined; request = this.#queue.shift()) {
      await this.#process(request);
    }
    this.#busy = false;
  }

  #process({ id, method, params }: JsonRpcRequest): Promise<void> {
    received.count++;
    if (log.isDbg()) log.dbg(`received request ${method}${formatJson(params)}, id=${formatJson(id)}`);
    return new Promise((resolve) => {
      let open = true;
      const finish = (send: () => void): void => {
        if (!open) throw new Error(`${method}: replied twice`);
        open = false;
        replied.count++;
        if (!this.#rpc.closed) send();
        resolve();
      };
      const reply: UnixctlReply = {
        format: this.#format,
        ok: (text = "") => {
          const result =
            this.#format === "text"
              ? text
              : (readReply(method, text) ?? { "reply-format": "plain", reply: text });
          if (log.isDbg()) log.dbg(`replying with success, id=${formatJson(id)}: "${formatJson(result)}"`);
          finish(() => this.#rpc.reply(id, result));
        },
        okJson: (value) => finish(() => this.#rpc.reply(id, value)),
        error: (text) => {
          if (log.isDbg()) log.dbg(`replying with error, id=${formatJson(id)}: "${formatJson(text)}"`);
          finish(() => this.#rpc.error(id, text));
        },
      };
      const bad = params.findIndex((param) => typeof param !== "string");
      const known = this.#commands.has(method);
      if (bad >= 0 && known) return reply.error(`"${method}" command has non-string argument`);
      const words = params as readonly string[];
      if (method === "set-options" && words.length <= 2) return this.#setOptions(words, reply);
      // A throw here is a defect of the command's; the caller hears of it before the process dies.
      this.#commands.run(method, words, reply).catch((error: unknown) => {
        if (open) reply.error(`internal error: ${(error as Error).message}`);
        throw error;
      });
    });
  }

  #setOptions(args: readonly string[], reply: UnixctlReply): void {
    let format = this.#format;
    const set = (value: string | undefined): void => {
      if (value !== "text" && value !== "json") throw new Fatal(`option format has invalid value ${value}`);
      format = value;
    };
    try {
      getopt("set-options", [{ title: "", options: [{ long: "format", arg: "required", set }] }], args);
    } catch (error) {
      if (!(error instanceof Fatal)) throw error;
      reply.error(error.message);
      return;
    }
    this.#format = format;
    reply.ok();
  }
}

export class UnixctlServer {
  readonly path: string;
  readonly #server: StreamServer;
  readonly #connections: Set<Connection>;

  private constructor(path: string, server: StreamServer, connections: Set<Connection>) {
    this.path = path;
    this.#server = server;
    this.#connections = connections;
  }

  /**
   * Listens on `socket`: undefined: RUNDIR/PROGRAM.PID.ctl; "none": nowhere (resolves undefined); relative: in RUNDIR.
   * Throws Fatal with the original's message when that fails.
   */
  static async listen(
    platform: Platform,
    program: string,
    commands: UnixctlCommands,
    socket?: string,
  ): Promise<UnixctlServer | undefined> {
    if (socket === "none") return undefined;
    const path = absolute(dirs(platform.env).run, socket ?? `${program}.${platform.pid}.ctl`);
    const connections = new Set<Connection>();
    try {
      const server = await platform.streams.listen(`punix:${path}`, (stream) => {
        connections.add(new Connection(stream, commands, (connection) => connections.delete(connection)));
      });
      return new UnixctlServer(path, server, connections);
    } catch (error) {
      vlog("stream_unix").err(`${path}: binding failed: ${describeError(error)}`);
      throw new Fatal(`${path}: could not initialize control socket (${describeError(error)})`);
    }
  }

  /** Removes the socket; replies under way are still sent. */
  close(): void {
    this.#server.close();
    for (const connection of this.#connections) connection.close();
  }
}
