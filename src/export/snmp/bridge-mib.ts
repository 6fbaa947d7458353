/** BRIDGE-MIB (RFC 4188) of one bridge: dot1dBase, dot1dStp as far as the database says, and dot1dTp with what it has learned. */
import type { MacEntry } from "../../lib/control-text.ts";
import { parseMac } from "../../lib/mac.ts";
import type { Oid, SnmpValue } from "./agentx.ts";
import { counter32, integer, octets, type SwitchInterface, statistic } from "./if-mib.ts";
import { type MibColumn, MibTable } from "./mib.ts";

export interface SwitchBridgePort {
  /** OpenFlow port number, which dot1dBasePort is; LOCAL is 65534. */
  readonly number: number;
  readonly device: SwitchInterface;
  /** Status columns of the port's row: stp_state, stp_port_id... */
  readonly status: ReadonlyMap<string, string>;
}

export interface SwitchBridge {
  readonly name: string;
  readonly mac: Uint8Array | undefined;
  readonly stp: boolean;
  /** stp_designated_root... */
  readonly status: ReadonlyMap<string, string>;
  readonly options: ReadonlyMap<string, string>;
  readonly ports: readonly SwitchBridgePort[];
}

export const DOT1D_BRIDGE: Oid = [1, 3, 6, 1, 2, 1, 17];
const BASE: Oid = [...DOT1D_BRIDGE, 1];
const STP: Oid = [...DOT1D_BRIDGE, 2];
const TP: Oid = [...DOT1D_BRIDGE, 4];

const TRANSPARENT_ONLY = 2;
const STP_UNKNOWN = 1;
const STP_IEEE8021D = 3;
/** dot1dStpPortState */
const STP_STATES: Readonly<Record<string, number>> = {
  disabled: 1,
  blocking: 2,
  listening: 3,
  learning: 4,
  forwarding: 5,
};
const ENABLED = 1;
const DISABLED = 2;
/** dot1dTpFdbStatus */
const LEARNED = 3;
const SELF = 4;
const MGMT = 5;

const AGING_SEC = 300;
const LOCAL = 65534;

/** Decimal or, as in "0x8000", hexadecimal. */
function option({ options }: SwitchBridge, key: string, missing: number): number {
  const value = Number(options.get(key) ?? missing);
  return Number.isInteger(value) && value >= 0 ? value : missing;
}

/** "8000.0123456789ab" as eight octets. */
function bridgeId(text: string | undefined): SnmpValue | undefined {
  const match = /^([0-9a-f]{4})\.([0-9a-f]{12})$/.exec(text ?? "");
  return match === null ? undefined : octets(Uint8Array.from(Buffer.from(match[1]! + match[2]!, "hex")));
}

const numeric = (text: string | undefined): SnmpValue | undefined =>
  text === undefined || !/^\d+$/.test(text) ? undefined : integer(Number(text));

const BASE_SCALARS: readonly MibColumn<SwitchBridge>[] = [
  { number: 1, value: ({ mac }) => (mac === undefined ? undefined : octets(mac)) },
  { number: 2, value: ({ ports }) => integer(ports.length) },
  { number: 3, value: () => integer(TRANSPARENT_ONLY) },
];

const BASE_PORT: readonly MibColumn<SwitchBridgePort>[] = [
  { number: 1, value: ({ number }) => integer(number) },
  { number: 2, value: ({ device }) => integer(device.index) },
  { number: 3, value: () => ({ type: "oid", value: [0, 0] }) },
];

const whenStp =
  (value: (bridge: SwitchBridge) => SnmpValue | undefined) =>
  (bridge: SwitchBridge): SnmpValue | undefined =>
    bridge.stp ? value(bridge) : undefined;

/** Times in hundredths of a second. */
const seconds = (key: string, missing: number) =>
  whenStp((bridge) => integer(option(bridge, key, missing) * 100));

const STP_SCALARS: readonly MibColumn<SwitchBridge>[] = [
  { number: 1, value: ({ stp }) => integer(stp ? STP_IEEE8021D : STP_UNKNOWN) },
  { number: 2, value: whenStp((bridge) => integer(option(bridge, "stp-priority", 0x8000))) },
  { number: 5, value: whenStp(({ status }) => bridgeId(status.get("stp_designated_root"))) },
  { number: 6, value: whenStp(({ status }) => numeric(status.get("stp_root_path_cost"))) },
  {
    number: 7,
    value: whenStp(({ ports }) =>
      integer(ports.find(({ status }) => status.get("stp_role") === "root")?.number ?? 0),
    ),
  },
  { number: 12, value: seconds("stp-max-age", 20) },
  { number: 13, value: seconds("stp-hello-time", 2) },
  { number: 14, value: seconds("stp-forward-delay", 15) },
];

/** Where STP does not decide, the device does. */
function portState({ status, device }: SwitchBridgePort): number {
  const known = STP_STATES[status.get("stp_state") ?? ""];
  return known ?? (device.admin === "down" ? STP_STATES.disabled! : STP_STATES.forwarding!);
}

const STP_PORT: readonly MibColumn<SwitchBridgePort>[] = [
  { number: 1, value: ({ number }) => integer(number) },
  {
    number: 2,
    value: ({ status }) => {
      const id = /^([0-9a-f]{2})[0-9a-f]{2}$/.exec(status.get("stp_port_id") ?? "");
      return id === null ? undefined : integer(Number.parseInt(id[1]!, 16));
    },
  },
  { number: 3, value: (port) => integer(portState(port)) },
  { number: 4, value: ({ device }) => integer(device.admin === "down" ? DISABLED : ENABLED) },
];

const TP_SCALARS: readonly MibColumn<SwitchBridge>[] = [
  { number: 2, value: (bridge) => integer(option(bridge, "mac-aging-time", AGING_SEC)) },
];

interface FdbRow {
  readonly mac: Uint8Array;
  readonly port: number;
  readonly status: number;
}

const FDB: readonly MibColumn<FdbRow>[] = [
  { number: 1, value: ({ mac }) => octets(mac) },
  { number: 2, value: ({ port }) => integer(port) },
  { number: 3, value: ({ status }) => integer(status) },
];

const TP_PORT: readonly MibColumn<SwitchBridgePort>[] = [
  { number: 1, value: ({ number }) => integer(number) },
  { number: 2, value: ({ device }) => integer(device.mtu ?? 0) },
  { number: 3, value: ({ device }) => counter32(statistic(device, "rx_packets")) },
  { number: 4, value: ({ device }) => counter32(statistic(device, "tx_packets")) },
  { number: 5, value: ({ device }) => counter32(statistic(device, "rx_dropped")) },
];

/** The MIB knows no VLANs: of an address in several of them the one that was seen last counts. */
function fdbRows(bridge: SwitchBridge, macs: readonly MacEntry[]): { index: Oid; row: FdbRow }[] {
  const own = new Set(bridge.ports.map(({ device }) => String(device.mac)));
  const rows = new Map<string, { index: Oid; row: FdbRow }>();
  const oldestFirst = [...macs].sort((a, b) => (b.age ?? 0) - (a.age ?? 0));
  for (const { mac: address, port, age } of oldestFirst) {
    const mac = parseMac(address);
    if (mac === undefined) continue;
    const status = age === undefined ? MGMT : own.has(String(mac)) ? SELF : LEARNED;
    const row = { mac, port: port === "LOCAL" ? LOCAL : Number(port) || 0, status };
    rows.set(address, { index: [...mac], row });
  }
  return [...rows.values()];
}

export function bridgeTables(bridge: SwitchBridge, macs: readonly MacEntry[]): MibTable[] {
  const scalar = [{ index: [0], row: bridge }];
  const ports = bridge.ports.map((row) => ({ index: [row.number], row }));
  return [
    new MibTable(BASE, BASE_SCALARS, scalar),
    new MibTable([...BASE, 4, 1], BASE_PORT, ports),
    new MibTable(STP, STP_SCALARS, scalar),
    new MibTable([...STP, 15, 1], STP_PORT, ports),
    new MibTable(TP, TP_SCALARS, scalar),
    new MibTable([...TP, 3, 1], FDB, fdbRows(bridge, macs)),
    new MibTable([...TP, 4, 1], TP_PORT, ports),
  ] as MibTable[];
}
