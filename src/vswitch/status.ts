/** The columns that the switch writes about an interface, from its device; and how values are told apart from the row's. */
import type { Netdev, NetdevStats } from "../netdev/netdev.ts";
import type { RowWrite } from "../ovsdb/idl-types.ts";
import type { OpenVswitchSchema } from "./schema/index.ts";

/** How Bridge.status:datapath begins where nothing in the kernel could be had. */
export const IN_USERSPACE = "forwarding in userspace";

export type InterfaceWrite = RowWrite<OpenVswitchSchema, "Interface">;

/** Everything that follows the device's state; see {@link interfaceStatistics} for the counters. */
export function interfaceState(netdev: Netdev): InterfaceWrite {
  const features = netdev.features();
  const present = netdev.etherAddr() !== undefined;
  return {
    admin_state: netdev.adminUp() ? "up" : "down",
    link_state: netdev.carrier() ? "up" : "down",
    link_resets: netdev.linkResets(),
    link_speed: features.speed > 0 ? features.speed : undefined,
    duplex: features.speed > 0 ? features.duplex : undefined,
    mac_in_use: netdev.etherAddr(),
    mtu: present ? netdev.mtu() : undefined,
    ifindex: Math.max(netdev.ifindex() ?? 0, 0),
    status: netdev.status(),
  };
}

/** For an interface that has no working device. */
export const NO_STATE: InterfaceWrite = {
  admin_state: undefined,
  link_state: undefined,
  link_resets: undefined,
  link_speed: undefined,
  duplex: undefined,
  mac_in_use: undefined,
  mtu: undefined,
  ifindex: undefined,
  status: new Map(),
  statistics: new Map(),
  lacp_current: undefined,
};

const COUNTERS: readonly (readonly [column: string, counter: keyof NetdevStats])[] = [
  ["collisions", "collisions"],
  ["rx_bytes", "rxBytes"],
  ["rx_crc_err", "rxCrcErrors"],
  ["rx_dropped", "rxDropped"],
  ["rx_errors", "rxErrors"],
  ["rx_frame_err", "rxFrameErrors"],
  ["rx_missed_errors", "rxMissedErrors"],
  ["rx_multicast_packets", "multicast"],
  ["rx_over_err", "rxOverErrors"],
  ["rx_packets", "rxPackets"],
  ["tx_bytes", "txBytes"],
  ["tx_dropped", "txDropped"],
  ["tx_errors", "txErrors"],
  ["tx_packets", "txPackets"],
];

export function interfaceStatistics(netdev: Netdev): Map<string, number> {
  const stats = netdev.stats();
  const map = new Map<string, number>();
  for (const [column, counter] of COUNTERS) if (stats[counter] >= 0) map.set(column, stats[counter]);
  for (const [column, value] of netdev.customStats()) map.set(column, value);
  return map;
}

/** Do two column values differ? Sets and maps by their elements. */
export function differs(a: unknown, b: unknown): boolean {
  if (a instanceof Map && b instanceof Map) {
    if (a.size !== b.size) return true;
    for (const [key, value] of a) if (b.get(key) !== value) return true;
    return false;
  }
  if (a instanceof Set && b instanceof Set) {
    if (a.size !== b.size) return true;
    for (const value of a) if (!b.has(value)) return true;
    return false;
  }
  return a !== b;
}

/** The columns of `wanted` that `row` does not have as wanted; undefined when there is none. */
export function changedColumns<W extends object>(row: object, wanted: W): W | undefined {
  let changed: Record<string, unknown> | undefined;
  for (const [column, value] of Object.entries(wanted))
    if (differs(value, (row as Record<string, unknown>)[column])) {
      changed ??= {};
      changed[column] = value;
    }
  return changed as W | undefined;
}
