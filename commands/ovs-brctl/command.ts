/** What a command of brctl is, and what it finds when it runs. */
import type { CtlContext } from "../../src/ovsdb/ctl/context.ts";
import type { Needs } from "../../src/ovsdb/ctl/needs.ts";
import { type Datum, makeDatum, mapGet } from "../../src/ovsdb/datum.ts";
import { type Bridge, Model, needModel } from "../ovs-vsctl/model.ts";
import type { Devices } from "./devices.ts";

/** Entry of a switch's learning table, as `fdb/show` gives it. */
export interface Learned {
  readonly port: number | null;
  readonly vlan: number;
  readonly mac: string;
  readonly static?: boolean;
  readonly age?: number;
}

/** One run of a command. What it says comes out when its change is committed. */
export class Session {
  readonly context: CtlContext;
  readonly model: Model;
  readonly devices: Devices;
  /** After the commit: tables of ovs-vswitchd. */
  readonly #later: ((learned: (bridge: string) => Promise<Learned[]>) => Promise<void>)[] = [];
  readonly errors: string[] = [];
  /** Devices that have become ports, by the bridge. */
  readonly added = new Map<string, string>();
  text = "";

  constructor(context: CtlContext, devices: Devices) {
    this.context = context;
    this.model = Model.of(context);
    this.devices = devices;
  }

  print(text: string): void {
    this.text += text;
  }

  /** The command fails; what it has done stays. */
  fail(error: string): void {
    this.errors.push(error);
  }

  /** `text` is to print what ovs-vswitchd has learned on a bridge. */
  afterwards(text: (learned: (bridge: string) => Promise<Learned[]>) => Promise<void>): void {
    this.#later.push(text);
  }

  async finish(learned: (bridge: string) => Promise<Learned[]>): Promise<void> {
    for (const one of this.#later) await one(learned);
  }

  /** The switch that does the work of the Linux bridge `name` (ovs-brcompatd), else `name`. */
  switchOf(name: string): string {
    if (this.model.bridges.has(name)) return name;
    for (const bridge of this.model.bridges.values())
      if (this.value("Bridge", bridge.uuid, "external_ids", "brcompat-bridge") === name)
        return (bridge.parent ?? bridge).name;
    return name;
  }

  /** A name of a bridge, of a port or of a device of the host. */
  exists(name: string): boolean {
    return this.model.bridges.has(name) || this.model.interfaces.has(name) || this.devices.exists(name);
  }

  /** The value of a map's key. */
  value(table: string, uuid: string, column: string, key: string): string | undefined {
    return mapGet(this.context.txn.read(table, uuid, column), key) as string | undefined;
  }

  /** Sets keys of other_config; undefined: removes one. */
  configure(table: string, uuid: string, keys: Readonly<Record<string, string | undefined>>): void {
    const { keys: names, values } = this.context.txn.read(table, uuid, "other_config") as Datum;
    const map = new Map(names.map((name, i) => [name as string, values![i] as string]));
    for (const [key, value] of Object.entries(keys))
      if (value === undefined) map.delete(key);
      else map.set(key, value);
    this.context.txn.verifyColumn(table, uuid, "other_config");
    this.context.set(table, uuid, "other_config", makeDatum([...map.keys()], [...map.values()], "drop"));
  }

  /** Ports but the bridge's own, in the order of their numbers. */
  ports(bridge: Bridge): { name: string; uuid: string; number: number; mac: string }[] {
    return [...bridge.ports]
      .filter(({ name }) => name !== bridge.name)
      .map(({ name, uuid, interfaces }) => {
        const [first] = interfaces;
        const number = first && (this.context.atom("Interface", first.uuid, "ofport") as number | undefined);
        const mac = first && (this.context.atom("Interface", first.uuid, "mac_in_use") as string | undefined);
        return { name, uuid, number: number ?? -1, mac: mac ?? "" };
      })
      .sort((a, b) => a.number - b.number || (a.name < b.name ? -1 : 1));
  }

  /** `8000.020000000001` */
  bridgeId(bridge: Bridge): string {
    const own = bridge.parent === undefined && this.value("Bridge", bridge.uuid, "status", "stp_bridge_id");
    if (own) return own;
    const priority = this.value("Bridge", bridge.uuid, "other_config", "stp-priority") ?? "32768";
    const local = this.model.interfaces.get(bridge.name);
    const mac = local && (this.context.atom("Interface", local.uuid, "mac_in_use") as string | undefined);
    const digits = (mac ?? "00:00:00:00:00:00").replaceAll(":", "");
    return `${Number(priority).toString(16).padStart(4, "0")}.${digits}`;
  }

  stpEnabled(bridge: Bridge): boolean {
    return this.context.atom("Bridge", bridge.uuid, "stp_enable") === true;
  }
}

export interface BrctlCommand {
  /** "BRIDGE DEVICE..." */
  readonly args: string;
  readonly about: string;
  readonly min: number;
  readonly writes: boolean;
  /** The names of Linux bridges that switches stand for will not do. */
  readonly plain?: boolean;
  run(args: readonly string[], session: Session): void;
}

export function needAll(needs: Needs): void {
  needModel(needs);
  needs.columns("Bridge", "stp_enable", "other_config", "status", "flood_vlans", "external_ids");
  needs.columns("Port", "other_config", "status");
  needs.columns("Interface", "mac_in_use", "link_state");
}
