/**
 * The network state of one port as a document that travels to another switch: `ovs-appctl port-state/export` writes it,
 * `port-state/import` puts it in force. Version 1. Ports are named, never numbered, since numbers differ between switches.
 */
import { Fatal } from "../../lib/errors.ts";
import type { Json, JsonObject } from "../../lib/json.ts";
import { isObject } from "../../ovsdb/json-text.ts";

export const FORMAT = "ovsbox-port-state";
export const VERSION = 1;

/** Columns of a row that are not at their defaults, in the form of RFC 7047 section 5.1. */
export type RowValues = { readonly [column: string]: Json };

export interface PortState {
  readonly format: typeof FORMAT;
  readonly version: typeof VERSION;
  readonly bridge: string;
  readonly port: string;
  readonly database: {
    readonly Port: RowValues;
    /** With `name`. */
    readonly Interface: readonly RowValues[];
    readonly QoS?: RowValues;
    /** By number. */
    readonly Queue?: { readonly [number: string]: RowValues };
    /** Mirrors that name the port. */
    readonly Mirror?: readonly {
      readonly name: string;
      readonly selects: readonly ("src" | "dst" | "output")[];
    }[];
  };
  /** Learned addresses: which, where, and how many seconds ago it was last seen. */
  readonly macs: readonly { readonly mac: string; readonly vlan: number; readonly age: number }[];
  /** Flows that name the port, as `ovs-ofctl add-flow` takes them, with what they have counted and their age in seconds. */
  readonly flows: readonly {
    readonly flow: string;
    readonly packets: number;
    readonly bytes: number;
    readonly age: number;
    readonly idle: number;
  }[];
}

function fail(what: string): never {
  throw new Fatal(`port state: ${what}`);
}

/** Throws a Fatal that says where the document is not one. */
export function checkPortState(json: Json): PortState {
  if (!isObject(json)) fail("not a JSON object");
  if (json.format !== FORMAT) fail(`"format" is not "${FORMAT}"`);
  if (json.version !== VERSION)
    fail(`version ${JSON.stringify(json.version ?? null)} is not known, only ${VERSION}`);
  const text = (value: Json | undefined, where: string): string =>
    typeof value === "string" ? value : fail(`${where} is not a string`);
  const number = (value: Json | undefined, where: string): void => {
    if (typeof value !== "number" || !(value >= 0)) fail(`${where} is not a number`);
  };
  const object = (value: Json | undefined, where: string): JsonObject =>
    value !== undefined && isObject(value) ? value : fail(`${where} is not an object`);
  const list = (value: Json | undefined, where: string): readonly Json[] =>
    Array.isArray(value) ? (value as readonly Json[]) : fail(`${where} is not an array`);
  text(json.bridge, "bridge");
  text(json.port, "port");
  const database = object(json.database, "database");
  object(database.Port, "database.Port");
  list(database.Interface, "database.Interface").forEach((row, i) => {
    text(object(row, `database.Interface[${i}]`).name, `database.Interface[${i}].name`);
  });
  if (database.QoS !== undefined) object(database.QoS, "database.QoS");
  for (const [key, row] of Object.entries(
    database.Queue === undefined ? {} : object(database.Queue, "database.Queue"),
  )) {
    if (!/^\d+$/.test(key)) fail(`database.Queue: "${key}" is not a number`);
    object(row, `database.Queue.${key}`);
  }
  (database.Mirror === undefined ? [] : list(database.Mirror, "database.Mirror")).forEach((mirror, i) => {
    const where = `database.Mirror[${i}]`;
    text(object(mirror, where).name, `${where}.name`);
    list(object(mirror, where).selects, `${where}.selects`);
  });
  list(json.macs, "macs").forEach((entry, i) => {
    const { mac, vlan, age } = object(entry, `macs[${i}]`);
    if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(text(mac, `macs[${i}].mac`)))
      fail(`macs[${i}].mac is no address`);
    number(vlan, `macs[${i}].vlan`);
    number(age, `macs[${i}].age`);
  });
  list(json.flows, "flows").forEach((entry, i) => {
    const flow = object(entry, `flows[${i}]`);
    text(flow.flow, `flows[${i}].flow`);
    for (const name of ["packets", "bytes", "age", "idle"]) number(flow[name], `flows[${i}].${name}`);
  });
  return json as unknown as PortState;
}
