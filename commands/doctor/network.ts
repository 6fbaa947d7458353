/** The configured switch beside the kernel's devices: what the database's rows say of themselves, and do not. */
import type { Link } from "../../src/netdev/rtnetlink.ts";
import { IN_USERSPACE } from "../../src/vswitch/status.ts";
import { bad, type Finding, good, warn } from "./finding.ts";

export interface InterfaceRow {
  readonly name: string;
  readonly type: string;
  readonly error: string | undefined;
  readonly ofport: number | undefined;
  readonly mtu: number | undefined;
}

export interface BridgeRow {
  readonly name: string;
  readonly failMode: string | undefined;
  readonly status: ReadonlyMap<string, string>;
  readonly interfaces: readonly InterfaceRow[];
  readonly controllers: readonly { readonly target: string; readonly connected: boolean }[];
  /** other_config:addresses-from */
  readonly takesPlaceOf: string | undefined;
}

export interface Devices {
  link(name: string): Link | undefined;
  /** Large receive offload is on; undefined: not known. */
  lro(name: string): boolean | undefined;
  /** What the host's own network has on it, in words. */
  carried(name: string): string | undefined;
}

const DEVICE_TYPES = new Set(["", "system"]);

export function bridges(rows: readonly BridgeRow[], devices: Devices): Finding[] {
  if (rows.length === 0)
    return [warn("bridges", "there are none", "nothing is switched yet", "ovs-vsctl add-br br0")];
  return rows.flatMap((bridge) => {
    const found = [
      ...ofBridge(bridge),
      ...mtus(bridge),
      ...bridge.interfaces.flatMap((iface) => ofInterface(bridge, iface, devices)),
    ];
    return found.length > 0 ? found : [good(bridge.name, `${bridge.interfaces.length} interfaces, all well`)];
  });
}

function ofBridge(bridge: BridgeRow): Finding[] {
  const found: Finding[] = [];
  const { name } = bridge;
  const forwarding = bridge.status.get("datapath");
  if (forwarding?.startsWith(IN_USERSPACE) === true)
    found.push(warn(name, forwarding, "packets cost more than in the kernel"));
  const moved = bridge.status.get("addresses");
  if (moved?.startsWith("put back") === true)
    found.push(warn(name, `addresses ${moved}`, "the device is as it was before"));
  const away = bridge.controllers.filter(({ connected }) => !connected);
  for (const { target } of away) {
    const secure = bridge.failMode === "secure";
    found.push(
      (secure && away.length === bridge.controllers.length ? bad : warn)(
        name,
        `no connection to the controller ${target}`,
        secure
          ? "in secure mode only the flows that are there forward"
          : "it forwards as a plain switch meanwhile",
        `ovs-vsctl list controller   # status says when and why`,
      ),
    );
  }
  return found;
}

function mtus({ name, interfaces }: BridgeRow): Finding[] {
  const sizes = new Map<number, string[]>();
  for (const iface of interfaces) {
    if (iface.mtu === undefined || iface.name === name) continue;
    sizes.set(iface.mtu, [...(sizes.get(iface.mtu) ?? []), iface.name]);
  }
  if (sizes.size < 2) return [];
  const text = [...sizes]
    .sort(([a], [b]) => a - b)
    .map(([mtu, names]) => `${mtu} on ${[...names].sort().slice(0, 3).join(", ")}`);
  const largest = Math.max(...sizes.keys());
  const small = sizes.get(Math.min(...sizes.keys()))![0]!;
  return [
    warn(
      name,
      `ports of different MTU: ${text.join("; ")}`,
      "larger frames vanish at the smaller ports, without a word to the sender",
      `ovs-vsctl set interface ${small} mtu_request=${largest}`,
    ),
  ];
}

function ofInterface(bridge: BridgeRow, iface: InterfaceRow, devices: Devices): Finding[] {
  const { name } = iface;
  const where = `${bridge.name} ${name}`;
  if (iface.error !== undefined)
    return [
      bad(
        where,
        iface.error,
        "it is no port yet",
        `ovs-vsctl del-port ${bridge.name} ${name}   # if it is not wanted`,
      ),
    ];
  if (iface.ofport === undefined || iface.ofport < 0)
    return [
      bad(
        where,
        "has no OpenFlow port",
        "the switch has not taken it up; its log says why",
        "ovs-vsctl show",
      ),
    ];
  const found: Finding[] = [];
  const link = devices.link(name);
  if (link !== undefined && (link.flags & 1) === 0 && name !== bridge.name)
    found.push(warn(where, "the device is down", "nothing goes through it", `ip link set ${name} up`));
  else if (link !== undefined && !link.carrier && name !== bridge.name)
    found.push(warn(where, "no carrier", "the cable is out, or the other end is down"));
  if (!DEVICE_TYPES.has(iface.type) || name === bridge.name) return found;
  if (link !== undefined && link.master !== 0)
    found.push(
      bad(
        where,
        "it is in a Linux bridge or bond as well",
        "that takes its packets first",
        `ip link set ${name} nomaster`,
      ),
    );
  if (devices.lro(name) === true)
    found.push(
      warn(
        where,
        "large receive offload is on",
        "merged packets cannot be told apart again, and are too large to forward",
        `ethtool -K ${name} lro off`,
      ),
    );
  const carried = devices.carried(name);
  if (carried !== undefined && bridge.takesPlaceOf !== name)
    found.push(
      bad(
        where,
        `has ${carried}`,
        "which cannot be reached while it is a port",
        `ovs-vsctl del-port ${name} && ovs-vsctl --migrate-addresses add-port ${bridge.name} ${name}`,
      ),
    );
  return found;
}
