/** The daemon that `ovsbox top` follows, through its restarts. */
import type { TopModel } from "../../src/export/top/model.ts";
import { Sampler } from "../../src/export/top/sampler.ts";
import { describeError } from "../../src/lib/errors.ts";
import type { Platform } from "../../src/lib/platform.ts";
import { UnixctlClient, unixctlSocket } from "../../src/lib/unixctl-client.ts";

export class Follower {
  readonly model: TopModel;
  /** The last round has brought something. */
  fresh = false;
  readonly #platform: Platform;
  readonly #target: string;
  #client: UnixctlClient | undefined = undefined;
  #sampler: Sampler | undefined = undefined;
  #socket = "";
  #lost = false;

  constructor(platform: Platform, target: string, model: TopModel) {
    this.#platform = platform;
    this.#target = target;
    this.model = model;
  }

  /** The daemon and where it is reached. */
  get daemon(): string {
    const pid = /\.(\d+)\.ctl$/.exec(this.#socket)?.[1];
    return pid === undefined ? this.#target : `${this.#target} pid ${pid}`;
  }

  /** Asks once; throws why it could not. */
  async round(): Promise<void> {
    this.fresh = false;
    if (this.#client === undefined) {
      this.#socket = unixctlSocket(this.#platform, this.#target);
      this.#client = await UnixctlClient.connect(this.#platform, this.#socket);
      this.#sampler = new Sampler(this.#platform.clock, this.#client);
      this.model.reset();
    }
    try {
      const sample = await this.#sampler!.sample();
      this.model.take(sample);
      const flows = await this.#sampler!.flows(sample.datapaths.map(({ name }) => name));
      if (flows !== undefined) this.model.takeFlows(flows);
      this.fresh = true;
    } catch (error) {
      this.#client.close();
      this.#client = undefined;
      throw error;
    }
  }

  /** The same; what is worth telling comes back. */
  async tryRound(): Promise<string | undefined> {
    try {
      await this.round();
      if (!this.#lost) return undefined;
      this.#lost = false;
      return `connected again: ${this.daemon}`;
    } catch (error) {
      this.#lost = true;
      return `${this.#target} does not answer (${describeError(error)}); trying again`;
    }
  }
}
