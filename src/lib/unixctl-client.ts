/** The client's side of a control socket: finding it by a daemon's name, one command and its reply. */
import fs from "node:fs";
import { absolute, dirs } from "./dirs.ts";
import { codeOf, describeError, Fatal } from "./errors.ts";
import type { Json } from "./json.ts";
import { JsonRpc, JsonRpcFailure } from "./jsonrpc.ts";
import type { Platform } from "./platform.ts";
import { vlog } from "./vlog.ts";

const log = vlog("unixctl");

/** The socket of `target`: a path as it is, a daemon's name by its pid file in `run`. Throws Fatal. */
export function unixctlSocket(platform: Platform, target: string, run = dirs(platform.env).run): string {
  if (target.startsWith("/")) return target;
  const pidfile = absolute(run, `${target}.pid`);
  return `${run}/${target}.${readPidfile(pidfile)}.ctl`;
}

function readPidfile(path: string): number {
  let pid = Number.NaN;
  try {
    pid = Number.parseInt(fs.readFileSync(path, "utf8"), 10);
  } catch (error) {
    vlog("daemon_unix").warn(`${path}: open: ${describeError(error)}`);
    throw new Fatal(`cannot read pidfile "${path}" (${describeError(error)})`);
  }
  if (!(pid > 0) || !fs.existsSync(`/proc/${pid}`))
    throw new Fatal(`cannot read pidfile "${path}" (No such process)`);
  return pid;
}

export class UnixctlClient {
  readonly #rpc: JsonRpc;

  private constructor(rpc: JsonRpc) {
    this.#rpc = rpc;
  }

  /** `target` and `run` as given to unixctlSocket. Throws Fatal. */
  static async connect(platform: Platform, target: string, run?: string): Promise<UnixctlClient> {
    const path = unixctlSocket(platform, target, run);
    try {
      return new UnixctlClient(new JsonRpc(await platform.streams.connect(`unix:${path}`)));
    } catch (error) {
      log.warn(`failed to connect to ${path}`);
      throw new Fatal(`cannot connect to "${path}" (${describeError(error)})`);
    }
  }

  /** `result` or `error`, as the server sent it. Throws Fatal-free errno errors when the connection breaks. */
  async transact(command: string, args: readonly string[]): Promise<{ result: Json } | { error: Json }> {
    try {
      return { result: await this.#rpc.transact(command, args) };
    } catch (error) {
      if (error instanceof JsonRpcFailure) return { error: error.error };
      const code = codeOf(error);
      const text =
        code === "EOF" ? "End of file" : code === undefined ? "Protocol error" : describeError(error);
      log.warn(`error communicating with ${this.#rpc.name}: ${text}`);
      throw new Error(text);
    }
  }

  close(): void {
    this.#rpc.close();
  }
}
