/**
 * Asks the switch daemon by its control socket, round by round. The connection stays open; a daemon that went away is looked
 * for again in each round, and one that came back is told apart by its process.
 */
import type { Clock } from "../../lib/clock.ts";
import {
  type Megaflow,
  parseBridges,
  parseCoverage,
  parseDatapaths,
  parseMegaflow,
  parseUpcalls,
} from "../../lib/control-text.ts";
import type { Json } from "../../lib/json.ts";
import type { ExplainedDrop, FlowSample, Sample } from "./model.ts";

/** An open control socket. */
export interface ControlSocket {
  transact(command: string, args: readonly string[]): Promise<{ result: Json } | { error: Json }>;
  close(): void;
}

/** Flows take at most this part of the time: with very many of them they are asked for less often. */
const FLOW_SHARE = 0.2;

export class Sampler {
  readonly #clock: Clock;
  readonly #socket: ControlSocket;
  #flowsDueMs = Number.NEGATIVE_INFINITY;
  #explains = true;

  constructor(clock: Clock, socket: ControlSocket) {
    this.#clock = clock;
    this.#socket = socket;
  }

  /** Throws when the daemon does not answer. */
  async sample(): Promise<Sample> {
    const [datapaths, bridges, upcalls, coverage] = await Promise.all([
      this.#text("dpctl/show", "-s"),
      this.#text("dpif/show"),
      this.#text("upcall/show"),
      this.#text("coverage/show"),
    ]);
    return {
      atMs: this.#clock.now(),
      datapaths: parseDatapaths(datapaths),
      bridges: parseBridges(bridges),
      upcalls: parseUpcalls(upcalls),
      coverage: parseCoverage(coverage),
    };
  }

  /** undefined: not yet again. */
  async flows(datapaths: readonly string[]): Promise<FlowSample | undefined> {
    const started = this.#clock.now();
    if (started < this.#flowsDueMs) return undefined;
    const flows: { datapath: string; flow: Megaflow }[] = [];
    let atMs = started;
    for (const datapath of datapaths) {
      const text = await this.#text("dpctl/dump-flows", "--names", datapath);
      atMs = this.#clock.now();
      for (const line of text.split("\n")) {
        const flow = parseMegaflow(line);
        if (flow !== undefined) flows.push({ datapath, flow });
      }
    }
    const drops = await this.#drops();
    const took = this.#clock.now() - started;
    this.#flowsDueMs = started + took / FLOW_SHARE;
    return { atMs, flows, drops };
  }

  async #drops(): Promise<ExplainedDrop[] | undefined> {
    if (!this.#explains) return undefined;
    // Other commands are read as text, which daemons of every age print.
    await this.#socket.transact("set-options", ["--format", "json"]);
    const reply = await this.#socket.transact("ofproto/explain-drops", []);
    await this.#socket.transact("set-options", ["--format", "text"]);
    const drops = "result" in reply ? reply.result : undefined;
    if (Array.isArray(drops)) return drops as unknown as ExplainedDrop[];
    this.#explains = false;
    return undefined;
  }

  /** A command that the daemon refuses says nothing: the original lacks some of ours. */
  async #text(command: string, ...args: readonly string[]): Promise<string> {
    const reply = await this.#socket.transact(command, args);
    return "result" in reply && typeof reply.result === "string" ? reply.result : "";
  }
}
