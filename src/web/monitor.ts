/** The monitor as a whole: systems, pages, metrics, behind one web server (`ovsdbmonitor`, commands/ovsdbmonitor.ts). */

import { VERSION } from "../lib/applet.ts";
import type { Datagrams } from "../lib/datagram.ts";
import type { HttpServer, ServeHttp } from "../lib/http.ts";
import type { Platform } from "../lib/platform.ts";
import { formatAddress } from "../lib/stream-name.ts";
import { edit, rowText } from "./edit.ts";
import { Feed } from "./feed.ts";
import type { Guard } from "./guard.ts";
import { Metrics } from "./metrics.ts";
import { type Desk, PageSession } from "./page-session.ts";
import type { Methods, RowEdit, State, Topic, TracePass } from "./protocol.ts";
import { type Assets, Site } from "./site.ts";
import { System, type SystemPlaces } from "./system.ts";
import { Talkers } from "./talkers.ts";

export interface MonitorOptions {
  readonly platform: Platform;
  readonly serve: ServeHttp;
  readonly datagrams: Datagrams;
  readonly guard: Guard;
  readonly assets: Assets;
  readonly systems: readonly SystemPlaces[];
  readonly listen: { readonly host: string; readonly port: number };
  readonly tls: { readonly key: string; readonly cert: string } | undefined;
  /** Where to receive sFlow. */
  readonly sflow: { readonly host: string; readonly port: number } | undefined;
  readonly allowEdit: boolean;
}

/** Longest request and message of a page. */
const MAX_BYTES = 1 << 20;
/** Changes of the state that come close together are told once. */
const GATHER_MS = 50;

class StateFeed extends Feed {
  readonly #make: () => State;

  constructor(make: () => State) {
    super();
    this.#make = make;
  }

  protected override *snapshot(): IterableIterator<State> {
    yield this.#make();
  }

  tell(): void {
    this.publish(this.#make());
  }
}

export class Monitor implements Desk {
  readonly #options: MonitorOptions;
  readonly #systems: readonly System[];
  readonly #state: StateFeed;
  readonly #talkers: Talkers | undefined;
  readonly #metrics: Metrics;
  readonly #pages = new Set<PageSession>();
  #server: HttpServer | undefined = undefined;
  #sflow: { readonly port: number; close(): void } | undefined = undefined;
  #telling = false;
  #told = "";

  constructor(options: MonitorOptions) {
    this.#options = options;
    const { platform } = options;
    this.#state = new StateFeed(() => this.#makeState());
    this.#systems = options.systems.map(
      (places, id) => new System(id, places, platform, () => this.#changed()),
    );
    this.#talkers = options.sflow === undefined ? undefined : new Talkers(platform.clock);
    this.#metrics = new Metrics({
      systems: this.#systems,
      talkers: this.#talkers,
      pages: () => this.#pages.size,
      after: (ms, run) => platform.clock.background(ms, run),
    });
  }

  /** Begins to serve; rejects with an errno error where an address cannot be had. */
  async start(): Promise<void> {
    const { serve, listen, tls, guard, assets, platform, datagrams, sflow } = this.#options;
    const site = new Site({
      clock: platform.clock,
      guard,
      assets,
      connect: () => this.#connect(),
      metrics: async () => ({ type: this.#metrics.type, text: await this.#metrics.text() }),
    });
    this.#server = await serve({
      ...listen,
      tls,
      maxBytes: MAX_BYTES,
      fetch: (request) => site.answer(request),
    });
    if (sflow !== undefined) {
      this.#sflow = await datagrams.listen(sflow.host, sflow.port, (bytes, from) =>
        this.#talkers?.receive(bytes, from),
      );
    }
  }

  get port(): number {
    return this.#server!.port;
  }
  get sflowPort(): number | undefined {
    return this.#sflow?.port;
  }

  close(): void {
    for (const page of this.#pages) page.end();
    this.#server?.close();
    this.#sflow?.close();
    for (const system of this.#systems) system.close();
  }

  #connect(): PageSession {
    const page = new PageSession(this, (gone) => this.#pages.delete(gone));
    this.#pages.add(page);
    return page;
  }

  #makeState(): State {
    const { allowEdit, sflow } = this.#options;
    return {
      version: VERSION,
      allowEdit,
      ...(sflow === undefined ? {} : { sflow: formatAddress(sflow.host, this.#sflow?.port ?? sflow.port) }),
      systems: this.#systems.map((system) => system.state()),
    };
  }

  /** Rows and connections change often, what the page's frame shows of them seldom. */
  #changed(): void {
    if (this.#telling) return;
    this.#telling = true;
    this.#options.platform.clock.background(GATHER_MS, () => {
      this.#telling = false;
      const text = JSON.stringify(this.#makeState());
      if (text === this.#told) return;
      this.#told = text;
      this.#state.tell();
    });
  }

  #system(id: unknown): System {
    const system = this.#systems[Number(id)];
    if (system === undefined) throw new Error("no such system");
    return system;
  }

  feed(topic: Topic): Feed {
    switch (topic?.kind) {
      case "state":
        return this.#state;
      case "table": {
        const { database, table, columns } = topic;
        if (columns !== undefined && !Array.isArray(columns)) throw new Error("bad columns");
        return this.#system(topic.system)
          .database(String(database))
          .feed(String(table), columns?.map(String));
      }
      case "flows":
        return this.#system(topic.system).flows(String(topic.bridge));
      case "ports":
        return this.#system(topic.system).ports(String(topic.bridge));
      case "macs":
        return this.#system(topic.system).macs(String(topic.bridge));
      case "datapath":
        return this.#system(topic.system).datapath();
      case "talkers":
        if (this.#talkers === undefined)
          throw new Error("sFlow is not received; start ovsdbmonitor with --sflow");
        return this.#talkers;
      default:
        throw new Error("unknown topic");
    }
  }

  async call(method: keyof Methods, params: unknown): Promise<unknown> {
    const given = (typeof params === "object" && params !== null ? params : {}) as Record<string, unknown>;
    const system = this.#system(given.system);
    const database = () => system.database(String(given.database));
    switch (method) {
      case "schema":
        return database().schema();
      case "rowText":
        return rowText(database().idl, String(given.table), String(given.uuid));
      case "history":
        return system.switchDatabase?.history.of(String(given.name)) ?? null;
      case "trace":
        return await trace(system, String(given.bridge), String(given.flow));
      case "preview":
      case "commit": {
        if (!this.#options.allowEdit) throw new Error("this monitor is read-only (see --allow-edit)");
        if (!Array.isArray(given.edits)) throw new Error("no edits");
        return await edit(database().idl, given.edits as RowEdit[], method === "commit");
      }
      default:
        throw new Error("unknown method");
    }
  }
}

async function trace(system: System, bridge: string, flow: string): Promise<Methods["trace"]["result"]> {
  if (system.control === undefined) throw new Error("the switch's control socket is not known");
  if (!system.bridges().includes(bridge)) throw new Error(`no bridge named ${bridge}`);
  // Neither an option nor a packet to be sent: a trace changes nothing.
  if (flow.trim() === "" || /^\s*-/.test(flow)) throw new Error("a flow was expected, as in in_port=1,tcp");
  const result = await system.control.json("ofproto/trace", bridge, flow.trim());
  return typeof result === "string" ? { text: result } : { document: result as unknown as TracePass };
}
