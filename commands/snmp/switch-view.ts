/** The switch as `ovsbox snmp` serves it: ports and bridges from the database, learned addresses from the switch daemon. */
import type { Region, SearchRange } from "../../src/export/snmp/agentx.ts";
import {
  bridgeTables,
  DOT1D_BRIDGE,
  type SwitchBridge,
  type SwitchBridgePort,
} from "../../src/export/snmp/bridge-mib.ts";
import { indexWithoutDevice, interfaceTables, type SwitchInterface } from "../../src/export/snmp/if-mib.ts";
import { MibView } from "../../src/export/snmp/mib.ts";
import { regions } from "../../src/export/snmp/regions.ts";
import { type MacEntry, parseMacs } from "../../src/lib/control-text.ts";
import { describeError } from "../../src/lib/errors.ts";
import { parseMac } from "../../src/lib/mac.ts";
import type { Platform } from "../../src/lib/platform.ts";
import { UnixctlClient } from "../../src/lib/unixctl-client.ts";
import { RateLimit, vlog } from "../../src/lib/vlog.ts";
import { Idl, type Row, type Watch } from "../../src/ovsdb/idl.ts";
import { type OpenVswitchSchema, openVswitchSchema } from "../../src/vswitch/schema/index.ts";

const log = vlog("snmp");
const fdbLimit = new RateLimit(1, 1);

/** Learned addresses are asked for again when they are older, and somebody wants them. */
const FDB_MS = 1000;

const WATCH: Watch<OpenVswitchSchema> = {
  Bridge: { columns: ["name", "ports", "status", "other_config", "stp_enable"] },
  Port: { columns: ["name", "interfaces", "status"] },
  Interface: {
    columns: [
      "name",
      "type",
      "ifindex",
      "ofport",
      "mtu",
      "link_speed",
      "mac_in_use",
      "admin_state",
      "link_state",
      "error",
      "statistics",
      "external_ids",
    ],
  },
};

type InterfaceRow = Row<OpenVswitchSchema, "Interface">;

export interface SwitchSource {
  /** Connection method. */
  readonly database: string;
  /** Of the default context; undefined: the first. */
  readonly bridge: string | undefined;
  /** Register tables, not rows. */
  readonly whole: boolean;
  /** The switch daemon. */
  readonly target: string;
}

export interface SwitchHooks {
  /** There may be other regions to register. */
  changed(): void;
  /** In hundredths of a second. */
  sysUpTime(): number;
}

export class SwitchView {
  readonly #platform: Platform;
  readonly #source: SwitchSource;
  readonly #idl: Idl<OpenVswitchSchema>;
  readonly #hooks: SwitchHooks;
  /** Of the replica as it is; undefined: to be read again. */
  #switch: { interfaces: SwitchInterface[]; bridges: SwitchBridge[] } | undefined = undefined;
  /** By context. */
  readonly #views = new Map<string, MibView>();
  readonly #macs = new Map<string, { atMs: number; entries: MacEntry[] }>();
  readonly #links = new Map<string, { link: string | undefined; ticks: number }>();

  constructor(platform: Platform, source: SwitchSource, hooks: SwitchHooks) {
    this.#platform = platform;
    this.#source = source;
    this.#hooks = hooks;
    this.#idl = new Idl<OpenVswitchSchema>({
      clock: platform.clock,
      streams: platform.streams,
      remote: source.database,
      schema: openVswitchSchema,
      uuid: () => platform.random.uuid(),
      watch: WATCH,
      leaderOnly: false,
      changed: () => this.#databaseChanged(),
    });
  }

  open(): void {
    this.#idl.open();
  }
  close(): void {
    this.#idl.close();
  }

  get databaseState(): string {
    return this.#idl.state;
  }

  #databaseChanged(): void {
    // While the database is away, what it said last goes on.
    if (this.#idl.state !== "live") return;
    this.#switch = undefined;
    this.#views.clear();
    this.#hooks.changed();
  }

  regions(): Region[] {
    const { interfaces, bridges } = this.#read();
    const shown = this.#default() === undefined ? [] : bridges.map(({ name }) => name);
    return regions(
      interfaces.map(({ index }) => index),
      shown,
      this.#source.whole,
    );
  }

  /** Of the default context. */
  #default(): SwitchBridge | undefined {
    const { bridges } = this.#read();
    const { bridge } = this.#source;
    return bridge === undefined ? bridges[0] : bridges.find(({ name }) => name === bridge);
  }

  /** What a context holds. */
  async of(context: string, ranges: readonly SearchRange[]): Promise<MibView | undefined> {
    const bridge =
      context === "" ? this.#default() : this.#read().bridges.find(({ name }) => name === context);
    if (bridge === undefined && context !== "") return undefined;
    const wantsMacs = ranges.some(({ start }) => DOT1D_BRIDGE.every((part, at) => start[at] === part));
    if (bridge !== undefined && wantsMacs) await this.#askMacs(bridge.name);
    let view = this.#views.get(context);
    if (view === undefined) {
      const macs = bridge === undefined ? [] : (this.#macs.get(bridge.name)?.entries ?? []);
      view = new MibView([
        ...(context === "" ? interfaceTables(this.#read().interfaces) : []),
        ...(bridge === undefined ? [] : bridgeTables(bridge, macs)),
      ]);
      this.#views.set(context, view);
    }
    return view;
  }

  async #askMacs(bridge: string): Promise<void> {
    const now = this.#platform.clock.now();
    const known = this.#macs.get(bridge);
    if (known !== undefined && now - known.atMs < FDB_MS) return;
    let entries: MacEntry[] = [];
    try {
      const client = await UnixctlClient.connect(this.#platform, this.#source.target);
      try {
        const reply = await client.transact("fdb/show", [bridge]);
        if ("error" in reply) throw new Error(String(reply.error).trim());
        entries = parseMacs(String(reply.result));
      } finally {
        client.close();
      }
    } catch (error) {
      log.warnRl(fdbLimit, `${bridge}: learned addresses not known (${describeError(error)})`);
    }
    this.#macs.set(bridge, { atMs: now, entries });
    this.#views.clear();
  }

  #read(): { interfaces: SwitchInterface[]; bridges: SwitchBridge[] } {
    this.#switch ??= this.#readSwitch();
    return this.#switch;
  }

  #readSwitch(): { interfaces: SwitchInterface[]; bridges: SwitchBridge[] } {
    const idl = this.#idl;
    const taken = new Set<number>();
    const found = new Map<string, SwitchInterface>();
    const rows = [...idl.rows("Interface")];
    for (const row of rows) {
      const index = Number(row.ifindex ?? 0);
      // Two rows of one device would be two rows of one index.
      if (index <= 0 || taken.has(index)) continue;
      taken.add(index);
      found.set(row._uuid, this.#readInterface(row, index));
    }
    for (const row of rows) {
      if (Number(row.ifindex ?? 0) > 0) continue;
      const index = indexWithoutDevice(row._uuid, taken);
      taken.add(index);
      found.set(row._uuid, this.#readInterface(row, index));
    }
    for (const uuid of this.#links.keys()) if (!found.has(uuid)) this.#links.delete(uuid);
    const bridges = [...idl.rows("Bridge")].map((row): SwitchBridge => {
      const ports: SwitchBridgePort[] = [];
      let mac: Uint8Array | undefined;
      for (const port of idl.refs("Port", row.ports)) {
        for (const member of idl.refs("Interface", port.interfaces)) {
          const device = found.get(member._uuid);
          const number = Number(member.ofport ?? -1);
          if (device === undefined || number <= 0) continue;
          ports.push({ number, device, status: port.status });
          if (member.name === row.name) mac = device.mac;
        }
      }
      return {
        name: row.name,
        mac,
        stp: row.stp_enable,
        status: row.status,
        options: row.other_config,
        ports,
      };
    });
    bridges.sort((a, b) => (a.name < b.name ? -1 : 1));
    return { interfaces: [...found.values()], bridges };
  }

  #readInterface(row: InterfaceRow, index: number): SwitchInterface {
    const known = this.#links.get(row._uuid);
    if (known === undefined) this.#links.set(row._uuid, { link: row.link_state, ticks: 0 });
    else if (known.link !== row.link_state)
      this.#links.set(row._uuid, { link: row.link_state, ticks: this.#hooks.sysUpTime() });
    return {
      index,
      name: row.name,
      type: row.type,
      mtu: row.mtu === undefined ? undefined : Number(row.mtu),
      speed: row.link_speed === undefined ? undefined : Number(row.link_speed),
      mac: row.mac_in_use === undefined ? undefined : parseMac(row.mac_in_use),
      admin: row.admin_state as SwitchInterface["admin"],
      link: row.link_state as SwitchInterface["link"],
      failed: row.error !== undefined,
      alias: row.external_ids.get("alias") ?? "",
      changedTicks: this.#links.get(row._uuid)!.ticks,
      statistics: row.statistics,
    };
  }
}
