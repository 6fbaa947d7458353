/**
 * One system: a database server with its databases, the switch beside it, or a switch alone that is reached by its control
 * socket or by OpenFlow.
 */
import path from "node:path";
import { describeError } from "../lib/errors.ts";
import type { JsonRpcMessage } from "../lib/jsonrpc.ts";
import { JsonRpcSession } from "../lib/jsonrpc-session.ts";
import type { Platform } from "../lib/platform.ts";
import { splitRemotes } from "../ovsdb/idl-link.ts";
import { Control, type ControlPlace } from "./control.ts";
import { Database } from "./database.ts";
import { DatapathFeed, MacFeed } from "./datapath.ts";
import type { Feed } from "./feed.ts";
import { FlowFeed } from "./flows.ts";
import { OpenflowClient } from "./openflow-client.ts";
import { PortFeed } from "./ports.ts";
import type { SystemState } from "./protocol.ts";

export interface SystemPlaces {
  readonly name: string;
  /** Where ovsdb-server is. */
  readonly database?: string;
  /** The switch's control socket. */
  readonly control?: ControlPlace;
  readonly databaseControl?: ControlPlace;
  /** Of ovs-brcompatd. */
  readonly bridgesControl?: ControlPlace;
  /** Folder of the bridges' management sockets. */
  readonly rundir?: string;
  /** A switch that is reached by OpenFlow alone. */
  readonly openflow?: string;
}

/** Bridges of a switch without a database are asked for this often. */
const BRIDGES_MS = 10_000;
const SWITCH_DATABASE = "Open_vSwitch";

interface BridgeFeeds {
  readonly client: OpenflowClient;
  readonly flows: FlowFeed;
  readonly ports: PortFeed;
}

export class System {
  readonly id: number;
  readonly places: SystemPlaces;
  readonly control: Control | undefined;
  readonly databaseControl: Control | undefined;
  readonly bridgesControl: Control | undefined;
  readonly databases = new Map<string, Database>();
  readonly #platform: Platform;
  readonly #changed: () => void;
  readonly #session: JsonRpcSession | undefined;
  readonly #bridgeFeeds = new Map<string, BridgeFeeds>();
  readonly #macs = new Map<string, MacFeed>();
  readonly #datapath: DatapathFeed | undefined;
  #error: string | undefined = undefined;
  #ownBridges: readonly string[] = [];

  constructor(id: number, places: SystemPlaces, platform: Platform, changed: () => void) {
    this.id = id;
    this.places = places;
    this.#platform = platform;
    this.#changed = changed;
    this.control = places.control === undefined ? undefined : new Control(platform, places.control);
    this.databaseControl =
      places.databaseControl === undefined ? undefined : new Control(platform, places.databaseControl);
    this.bridgesControl =
      places.bridgesControl === undefined ? undefined : new Control(platform, places.bridgesControl);
    this.#datapath = this.control === undefined ? undefined : new DatapathFeed(platform.clock, this.control);
    this.#session = places.database === undefined ? undefined : this.#connect(places.database);
    if (places.openflow !== undefined) this.#ownBridges = [places.openflow];
    else if (places.database === undefined) void this.#askBridges();
  }

  close(): void {
    this.#session?.close();
    for (const database of this.databases.values()) database.close();
    for (const { client } of this.#bridgeFeeds.values()) client.close();
  }

  get switchDatabase(): Database | undefined {
    return this.databases.get(SWITCH_DATABASE);
  }

  state(): SystemState {
    const { places } = this;
    const all = [...this.databases.values()];
    const live = all.length > 0 && all.every(({ isLive }) => isLive);
    return {
      id: this.id,
      name: places.name,
      databaseState: places.database === undefined ? "none" : live ? "live" : "connecting",
      ...(live || this.#error === undefined ? {} : { databaseError: this.#error }),
      databases: all.map(({ name }) => name),
      hasControl: this.control !== undefined,
      bridges: this.bridges(),
    };
  }

  bridges(): readonly string[] {
    const table = this.switchDatabase?.idl.table("Bridge");
    if (table === undefined) return this.#ownBridges;
    const { rundir } = this.places;
    if (rundir === undefined) return [];
    return [...this.switchDatabase!.idl.rows("Bridge")].map(({ name }) => String(name)).sort();
  }

  database(name: string): Database {
    const database = this.databases.get(name);
    if (database === undefined) throw new Error(`no database ${name}`);
    return database;
  }

  flows(bridge: string): Feed {
    return this.#bridge(bridge).flows;
  }
  ports(bridge: string): Feed {
    return this.#bridge(bridge).ports;
  }
  /** For who wants other things of a bridge than its feeds. */
  openflow(bridge: string): OpenflowClient {
    return this.#bridge(bridge).client;
  }
  datapath(): Feed {
    if (this.#datapath === undefined) throw new Error("the switch's control socket is not known");
    return this.#datapath;
  }
  macs(bridge: string): Feed {
    if (this.control === undefined) throw new Error("the switch's control socket is not known");
    this.#check(bridge);
    let feed = this.#macs.get(bridge);
    if (feed === undefined) {
      feed = new MacFeed(this.#platform.clock, this.control, bridge);
      this.#macs.set(bridge, feed);
    }
    return feed;
  }

  #check(bridge: string): void {
    if (!this.bridges().includes(bridge)) throw new Error(`no bridge named ${bridge}`);
  }

  #bridge(bridge: string): BridgeFeeds {
    this.#check(bridge);
    let feeds = this.#bridgeFeeds.get(bridge);
    if (feeds === undefined) {
      const { openflow, rundir } = this.places;
      const target = openflow ?? `unix:${path.join(rundir ?? "/", `${bridge}.mgmt`)}`;
      const client = new OpenflowClient(this.#platform.clock, this.#platform.streams, target);
      const { clock } = this.#platform;
      feeds = { client, flows: new FlowFeed(clock, client), ports: new PortFeed(clock, client) };
      this.#bridgeFeeds.set(bridge, feeds);
    }
    return feeds;
  }

  /** Asks which databases there are at each connection; each gets a replica, whose connection is its own. */
  #connect(remote: string): JsonRpcSession {
    const { clock, streams } = this.#platform;
    const session = new JsonRpcSession(
      { clock, streams, remotes: splitRemotes(remote) },
      {
        connected: () => void this.#askDatabases(session),
        message: (_message: JsonRpcMessage) => {},
        disconnected: (error) => {
          this.#error = error === undefined ? "connection closed" : describeError(error);
          this.#changed();
        },
      },
    );
    return session;
  }

  async #askDatabases(session: JsonRpcSession): Promise<void> {
    try {
      const names = await session.transact("list_dbs", []);
      this.#error = undefined;
      for (const name of Array.isArray(names) ? names : []) {
        if (typeof name !== "string" || name === "_Server" || this.databases.has(name)) continue;
        const { clock, streams, random } = this.#platform;
        this.databases.set(
          name,
          new Database({
            clock,
            streams,
            uuid: () => random.uuid(),
            remote: this.places.database!,
            name,
            changed: this.#changed,
          }),
        );
      }
    } catch (error) {
      this.#error = (error as Error).message;
    }
    this.#changed();
  }

  async #askBridges(): Promise<void> {
    try {
      const text = await this.control!.text("ofproto/list");
      const bridges = text.split("\n").filter((name) => name !== "");
      if (bridges.join() !== this.#ownBridges.join()) {
        this.#ownBridges = bridges;
        this.#changed();
      }
    } catch {
      // Not there now; perhaps later.
    }
    this.#platform.clock.background(BRIDGES_MS, () => void this.#askBridges());
  }
}
