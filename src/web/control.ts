/** Commands to a daemon's control socket, each over a connection of its own. */
import fs from "node:fs";
import type { Json, JsonObject } from "../lib/json.ts";
import type { Platform } from "../lib/platform.ts";
import { UnixctlClient } from "../lib/unixctl-client.ts";

/** A socket's path, or a daemon's name with the folder of its pid file. */
export interface ControlPlace {
  readonly target: string;
  readonly folder: string;
}

export class Control {
  readonly #platform: Platform;
  readonly #place: ControlPlace;

  constructor(platform: Platform, place: ControlPlace) {
    this.#platform = platform;
    this.#place = place;
  }

  /** Whether the daemon seems to run: for one that need not. */
  get present(): boolean {
    const { target, folder } = this.#place;
    return fs.existsSync(target.startsWith("/") ? target : `${folder}/${target}.pid`);
  }

  /** The reply's text. Throws an Error with what the daemon says. */
  async text(command: string, ...args: readonly string[]): Promise<string> {
    const result = await this.#run(command, args, false);
    return typeof result === "string" ? result : JSON.stringify(result);
  }

  /** The reply as JSON; a daemon that knows text only gives a string. */
  async json(command: string, ...args: readonly string[]): Promise<Json> {
    const result = await this.#run(command, args, true);
    const plain = (result as JsonObject | null)?.["reply-format"] === "plain";
    return plain ? (result as JsonObject).reply! : result;
  }

  async #run(command: string, args: readonly string[], json: boolean): Promise<Json> {
    const client = await UnixctlClient.connect(this.#platform, this.#place.target, this.#place.folder);
    try {
      // Daemons before 3.4 do not know the option.
      if (json) await client.transact("set-options", ["--format", "json"]);
      const reply = await client.transact(command, args);
      if ("error" in reply) throw new Error(typeof reply.error === "string" ? reply.error.trim() : "refused");
      return reply.result;
    } finally {
      client.close();
    }
  }
}
