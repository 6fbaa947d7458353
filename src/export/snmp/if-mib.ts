/** IF-MIB (RFC 2863) of the switch's ports: ifTable and ifXTable with 64-bit counters. Columns as data. */
import type { Oid, SnmpValue } from "./agentx.ts";
import { type MibColumn, MibTable } from "./mib.ts";

/** A port as the MIBs see it. */
export interface SwitchInterface {
  /** ifIndex: the kernel's, or one of {@link indexWithoutDevice}. */
  readonly index: number;
  readonly name: string;
  /** Interface type of the database: "", "internal", "patch", "vxlan"... */
  readonly type: string;
  readonly mtu: number | undefined;
  /** Bits a second. */
  readonly speed: number | undefined;
  readonly mac: Uint8Array | undefined;
  readonly admin: "up" | "down" | undefined;
  readonly link: "up" | "down" | undefined;
  /** The switch could not open its device. */
  readonly failed: boolean;
  readonly alias: string;
  /** sysUpTime, in hundredths of a second, when `link` changed; 0: before we looked. */
  readonly changedTicks: number;
  readonly statistics: ReadonlyMap<string, number | bigint>;
}

export const IF_NUMBER: Oid = [1, 3, 6, 1, 2, 1, 2, 1];
export const IF_TABLE: Oid = [1, 3, 6, 1, 2, 1, 2, 2];
export const IF_ENTRY: Oid = [...IF_TABLE, 1];
export const IFX_TABLE: Oid = [1, 3, 6, 1, 2, 1, 31, 1, 1];
export const IFX_ENTRY: Oid = [...IFX_TABLE, 1];

/** IANAifType-MIB. */
const ETHERNET_CSMACD = 6;
const PROP_VIRTUAL = 53;
const TUNNEL = 131;

const UP = 1;
const DOWN = 2;
const UNKNOWN = 4;
const NOT_PRESENT = 6;

const TRUE = 1;
const FALSE = 2;
const TRAPS_DISABLED = 2;

const utf8 = new TextEncoder();
const MAX_U32 = 0xffff_ffff;

export const integer = (value: number | undefined): SnmpValue | undefined =>
  value === undefined ? undefined : { type: "integer", value };
export const gauge = (value: number): SnmpValue => ({ type: "gauge32", value: Math.min(MAX_U32, value) });
export const octets = (value: Uint8Array | string): SnmpValue => ({
  type: "octets",
  value: typeof value === "string" ? utf8.encode(value) : value,
});
export const counter32 = (value: bigint | undefined): SnmpValue | undefined =>
  value === undefined ? undefined : { type: "counter32", value: Number(BigInt.asUintN(32, value)) };
const counter64 = (value: bigint | undefined): SnmpValue | undefined =>
  value === undefined ? undefined : { type: "counter64", value };

export const statistic = ({ statistics }: SwitchInterface, key: string): bigint | undefined => {
  const value = statistics.get(key);
  return value === undefined ? undefined : BigInt(value);
};

/** All but what is known to have gone to many. */
function unicast(of: SwitchInterface, way: "rx" | "tx"): bigint | undefined {
  const all = statistic(of, `${way}_packets`);
  if (all === undefined) return undefined;
  const many = nonUnicast(of, way) ?? 0n;
  return all > many ? all - many : 0n;
}

function nonUnicast(of: SwitchInterface, way: "rx" | "tx"): bigint | undefined {
  const multicast = statistic(of, `${way}_multicast_packets`);
  const broadcast = statistic(of, `${way}_broadcast_packets`);
  return multicast === undefined && broadcast === undefined
    ? undefined
    : (multicast ?? 0n) + (broadcast ?? 0n);
}

const TUNNELS = /^(geneve|gre|ip6gre|vxlan|stt|lisp|erspan|ip6erspan|gtpu|bareudp|srv6)$/;

function ifType(type: string): number {
  if (type === "" || type === "system" || type === "dpdk") return ETHERNET_CSMACD;
  return TUNNELS.test(type) ? TUNNEL : PROP_VIRTUAL;
}

function operStatus({ failed, link }: SwitchInterface): number {
  if (failed) return NOT_PRESENT;
  return link === "up" ? UP : link === "down" ? DOWN : UNKNOWN;
}

type Column = MibColumn<SwitchInterface>;

const IF_COLUMNS: readonly Column[] = [
  { number: 1, value: ({ index }) => integer(index) },
  { number: 2, value: ({ name }) => octets(name) },
  { number: 3, value: ({ type }) => integer(ifType(type)) },
  { number: 4, value: ({ mtu }) => integer(mtu ?? 0) },
  { number: 5, value: ({ speed }) => gauge(speed ?? 0) },
  { number: 6, value: ({ mac }) => octets(mac ?? "") },
  { number: 7, value: ({ admin }) => integer(admin === "down" ? DOWN : UP) },
  { number: 8, value: (row) => integer(operStatus(row)) },
  { number: 9, value: ({ changedTicks }) => ({ type: "timeticks", value: changedTicks }) },
  { number: 10, value: (row) => counter32(statistic(row, "rx_bytes")) },
  { number: 11, value: (row) => counter32(unicast(row, "rx")) },
  { number: 12, value: (row) => counter32(nonUnicast(row, "rx")) },
  { number: 13, value: (row) => counter32(statistic(row, "rx_dropped")) },
  { number: 14, value: (row) => counter32(statistic(row, "rx_errors")) },
  { number: 16, value: (row) => counter32(statistic(row, "tx_bytes")) },
  { number: 17, value: (row) => counter32(unicast(row, "tx")) },
  { number: 18, value: (row) => counter32(nonUnicast(row, "tx")) },
  { number: 19, value: (row) => counter32(statistic(row, "tx_dropped")) },
  { number: 20, value: (row) => counter32(statistic(row, "tx_errors")) },
];

const IFX_COLUMNS: readonly Column[] = [
  { number: 1, value: ({ name }) => octets(name) },
  { number: 2, value: (row) => counter32(statistic(row, "rx_multicast_packets")) },
  { number: 3, value: (row) => counter32(statistic(row, "rx_broadcast_packets")) },
  { number: 4, value: (row) => counter32(statistic(row, "tx_multicast_packets")) },
  { number: 5, value: (row) => counter32(statistic(row, "tx_broadcast_packets")) },
  { number: 6, value: (row) => counter64(statistic(row, "rx_bytes")) },
  { number: 7, value: (row) => counter64(unicast(row, "rx")) },
  { number: 8, value: (row) => counter64(statistic(row, "rx_multicast_packets")) },
  { number: 9, value: (row) => counter64(statistic(row, "rx_broadcast_packets")) },
  { number: 10, value: (row) => counter64(statistic(row, "tx_bytes")) },
  { number: 11, value: (row) => counter64(unicast(row, "tx")) },
  { number: 12, value: (row) => counter64(statistic(row, "tx_multicast_packets")) },
  { number: 13, value: (row) => counter64(statistic(row, "tx_broadcast_packets")) },
  { number: 14, value: () => integer(TRAPS_DISABLED) },
  { number: 15, value: ({ speed }) => gauge(Math.round((speed ?? 0) / 1e6)) },
  // A switch takes in whatever comes to a port.
  { number: 16, value: () => integer(TRUE) },
  { number: 17, value: ({ type }) => integer(ifType(type) === ETHERNET_CSMACD ? TRUE : FALSE) },
  { number: 18, value: ({ alias }) => octets(alias) },
  { number: 19, value: () => ({ type: "timeticks", value: 0 }) },
];

/** Numbers of the last columns: what a registration of one row spans. */
export const IF_LAST = 22;
export const IFX_LAST = 19;

export function interfaceTables(interfaces: readonly SwitchInterface[]): MibTable[] {
  const rows = interfaces.map((row) => ({ index: [row.index], row }));
  const number = [{ number: 1, value: () => integer(interfaces.length) }];
  return [
    new MibTable<null>([1, 3, 6, 1, 2, 1, 2], number, [{ index: [0], row: null }]),
    new MibTable(IF_ENTRY, IF_COLUMNS, rows),
    new MibTable(IFX_ENTRY, IFX_COLUMNS, rows),
  ] as MibTable[];
}

const NO_DEVICE = 2 ** 30;

/**
 * An ifIndex for a port without a device of the kernel: the same for the same row of the database, above all that the kernel
 * gives, and none of `taken`.
 */
export function indexWithoutDevice(uuid: string, taken: ReadonlySet<number>): number {
  let index = NO_DEVICE + (Number.parseInt(uuid.slice(0, 8), 16) % NO_DEVICE);
  while (taken.has(index)) index = NO_DEVICE + ((index + 1) % NO_DEVICE);
  return index;
}
