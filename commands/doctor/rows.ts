/** Bridges and their interfaces, asked of a database server in one transaction. */
import type { Json, JsonObject } from "../../src/lib/json.ts";
import type { JsonRpc } from "../../src/lib/jsonrpc.ts";
import type { BridgeRow, InterfaceRow } from "./network.ts";

type RowJson = JsonObject;

/** The elements of a set in the form of RFC 7047 section 5.1, which a single one may stand for. */
function elements(value: Json | undefined): readonly Json[] {
  if (!Array.isArray(value)) return value === undefined ? [] : [value];
  return value[0] === "set" ? (value[1] as readonly Json[]) : [value as Json];
}

const references = (value: Json | undefined): string[] =>
  elements(value).map((one) => (one as readonly string[])[1]!);

function pairs(value: Json | undefined): Map<string, string> {
  const list = Array.isArray(value) && value[0] === "map" ? (value[1] as readonly Json[]) : [];
  return new Map(list as readonly (readonly [string, string])[]);
}

const first = <T extends string | number>(value: Json | undefined): T | undefined =>
  elements(value)[0] as T | undefined;

const WANTED: Readonly<Record<string, readonly string[]>> = {
  Bridge: ["name", "ports", "fail_mode", "status", "controller", "other_config"],
  Port: ["interfaces"],
  Interface: ["name", "type", "error", "ofport", "mtu"],
  Controller: ["target", "is_connected"],
};

export async function readBridges(rpc: JsonRpc): Promise<BridgeRow[]> {
  const names = Object.keys(WANTED);
  const operations = names.map((table) => ({
    op: "select",
    table,
    where: [],
    columns: ["_uuid", ...WANTED[table]!],
  }));
  const results = (await rpc.transact("transact", [
    "Open_vSwitch",
    ...(operations as unknown as Json[]),
  ])) as readonly {
    rows?: readonly RowJson[];
    error?: string;
  }[];
  const tables = names.map((table, i) => {
    const { rows, error } = results[i]!;
    if (rows === undefined) throw new Error(`${table}: ${error}`);
    return new Map(rows.map((row) => [references(row._uuid)[0]!, row]));
  });
  const [bridgeRows, ports, interfaces, controllers] = tables as [
    Map<string, RowJson>,
    Map<string, RowJson>,
    Map<string, RowJson>,
    Map<string, RowJson>,
  ];
  const known = (table: Map<string, RowJson>, uuids: readonly string[]): RowJson[] =>
    uuids.flatMap((uuid) => {
      const row = table.get(uuid);
      return row === undefined ? [] : [row];
    });
  return [...bridgeRows.values()].map((row) => ({
    name: row.name as string,
    failMode: first<string>(row.fail_mode),
    status: pairs(row.status),
    interfaces: known(ports, references(row.ports))
      .flatMap((port) => known(interfaces, references(port.interfaces)))
      .map(
        (iface): InterfaceRow => ({
          name: iface.name as string,
          type: iface.type as string,
          error: first<string>(iface.error),
          ofport: first<number>(iface.ofport),
          mtu: first<number>(iface.mtu),
        }),
      ),
    controllers: known(controllers, references(row.controller)).map((one) => ({
      target: one.target as string,
      connected: one.is_connected === true,
    })),
    takesPlaceOf: pairs(row.other_config).get("addresses-from"),
  }));
}
