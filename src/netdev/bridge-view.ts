/**
 * What a bridge of the kernel is like: settings and members from sysfs (/sys/class/net/NAME/bridge, brif, brport), learned
 * addresses from its `brforward`, VLANs from rtnetlink (linux/if_bridge.h).
 *
 *   struct __fdb_entry: u8 mac[6], u8 port, u8 is local, u32 age in 1/100 s, u8 port's high bits, u8 pad[3]
 *   IFLA_BRIDGE_VLAN_INFO: u16 flags, u16 VLAN
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { formatMac } from "../lib/mac.ts";
import type { RouteSocket } from "../sys/netlink.ts";

const CLASS = "/sys/class/net";
/** USER_HZ. */
const TICKS = 100;
const FDB_ENTRY = 16;

const RTM_NEWLINK = 16;
const RTM_GETLINK = 18;
const NLM_F_REQUEST = 1;
const NLM_F_DUMP = 0x300;
const AF_BRIDGE = 7;
const IFLA_EXT_MASK = 29;
const RTEXT_FILTER_BRVLAN = 2;
const IFLA_AF_SPEC = 26;
const IFLA_BRIDGE_VLAN_INFO = 2;
const VLAN_PVID = 2;
const VLAN_UNTAGGED = 4;

const STATES = ["disabled", "listening", "learning", "forwarding", "blocking"] as const;

export interface BridgeVlan {
  readonly vlan: number;
  readonly pvid: boolean;
  readonly untagged: boolean;
}

export interface BridgeMember {
  readonly name: string;
  readonly port: number;
  readonly state: string;
  readonly pathCost: number;
  readonly priority: number;
  readonly vlans: readonly BridgeVlan[];
}

export interface BridgeAddress {
  readonly mac: string;
  readonly port: number;
  readonly local: boolean;
  readonly ageSec: number;
}

export interface BridgeView {
  readonly name: string;
  /** "8000.020000000001" */
  readonly id: string;
  readonly root: string;
  readonly stp: boolean;
  readonly priority: number;
  readonly maxAgeSec: number;
  readonly helloSec: number;
  readonly forwardDelaySec: number;
  readonly ageingSec: number;
  readonly vlanFiltering: boolean;
  /** The bridge's own. */
  readonly vlans: readonly BridgeVlan[];
  readonly members: readonly BridgeMember[];
  readonly addresses: readonly BridgeAddress[];
}

function read(path: string): string {
  try {
    return readFileSync(`${CLASS}/${path}`, "utf8").trim();
  } catch {
    return "";
  }
}

const number = (path: string): number => Number(read(path)) || 0;

/** Undefined when there is no such bridge. `vlans`: of bridgeVlans(). */
export function viewBridge(name: string, vlans: ReadonlyMap<number, BridgeVlan[]>): BridgeView | undefined {
  const id = read(`${name}/bridge/bridge_id`);
  if (id === "") return undefined;
  const of = (file: string): number => number(`${name}/bridge/${file}`);
  return {
    name,
    id,
    root: read(`${name}/bridge/root_id`),
    stp: of("stp_state") !== 0,
    priority: of("priority"),
    maxAgeSec: of("max_age") / TICKS,
    helloSec: of("hello_time") / TICKS,
    forwardDelaySec: of("forward_delay") / TICKS,
    ageingSec: of("ageing_time") / TICKS,
    vlanFiltering: of("vlan_filtering") !== 0,
    vlans: vlans.get(number(`${name}/ifindex`)) ?? [],
    members: memberNames(name).map((member) => ({
      name: member,
      port: Number(read(`${member}/brport/port_no`)),
      state: STATES[number(`${member}/brport/state`)] ?? "unknown",
      pathCost: number(`${member}/brport/path_cost`),
      priority: number(`${member}/brport/priority`),
      vlans: vlans.get(number(`${member}/ifindex`)) ?? [],
    })),
    addresses: learned(name),
  };
}

function memberNames(bridge: string): string[] {
  try {
    return readdirSync(`${CLASS}/${bridge}/brif`).sort();
  } catch {
    return [];
  }
}

function learned(bridge: string): BridgeAddress[] {
  try {
    return decodeForward(readFileSync(`${CLASS}/${bridge}/brforward`));
  } catch {
    return [];
  }
}

/** Entries of `brforward`, in the order of addresses. */
export function decodeForward(bytes: Uint8Array): BridgeAddress[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found: BridgeAddress[] = [];
  for (let at = 0; at + FDB_ENTRY <= bytes.length; at += FDB_ENTRY)
    found.push({
      mac: formatMac(bytes, at),
      port: bytes[at + 6]! | (bytes[at + 12]! << 8),
      local: bytes[at + 7] !== 0,
      ageSec: view.getUint32(at + 8, true) / TICKS,
    });
  return found.sort((a, b) => (a.mac < b.mac ? -1 : 1));
}

/** Turns the kernel's own spanning tree on or off. Throws an errno error. */
export function setBridgeStp(bridge: string, on: boolean): void {
  writeFileSync(`${CLASS}/${bridge}/bridge/stp_state`, on ? "1" : "0");
}

/** VLANs of all bridges and members, by the index of the device. */
export function bridgeVlans(socket: RouteSocket): Map<number, BridgeVlan[]> {
  const request = new Uint8Array(40);
  const view = new DataView(request.buffer);
  view.setUint32(0, request.length, true);
  view.setUint16(4, RTM_GETLINK, true);
  view.setUint16(6, NLM_F_REQUEST | NLM_F_DUMP, true);
  view.setUint8(16, AF_BRIDGE);
  view.setUint16(32, 8, true);
  view.setUint16(34, IFLA_EXT_MASK, true);
  view.setUint32(36, RTEXT_FILTER_BRVLAN, true);
  const found = new Map<number, BridgeVlan[]>();
  for (const datagram of socket.transact(request)) decodeVlans(datagram, found);
  return found;
}

/** Adds what a datagram of the answer says to `found`. */
export function decodeVlans(datagram: Uint8Array, found: Map<number, BridgeVlan[]>): void {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  for (let at = 0; at + 32 <= datagram.length; ) {
    const length = view.getUint32(at, true);
    if (length < 16 || at + length > datagram.length) return;
    if (
      view.getUint16(at + 4, true) === RTM_NEWLINK &&
      length >= 32 &&
      view.getUint8(at + 16) === AF_BRIDGE
    ) {
      const vlans: BridgeVlan[] = [];
      eachAttribute(view, at + 32, at + length, (type, start, end) => {
        if (type !== IFLA_AF_SPEC) return;
        eachAttribute(view, start, end, (inner, value, valueEnd) => {
          if (inner !== IFLA_BRIDGE_VLAN_INFO || valueEnd - value < 4) return;
          const flags = view.getUint16(value, true);
          vlans.push({
            vlan: view.getUint16(value + 2, true),
            pvid: (flags & VLAN_PVID) !== 0,
            untagged: (flags & VLAN_UNTAGGED) !== 0,
          });
        });
      });
      if (vlans.length > 0) found.set(view.getInt32(at + 20, true), vlans);
    }
    at += (length + 3) & ~3;
  }
}

function eachAttribute(
  view: DataView,
  start: number,
  end: number,
  run: (type: number, start: number, end: number) => void,
): void {
  for (let at = start; at + 4 <= end; ) {
    const length = view.getUint16(at, true);
    if (length < 4 || at + length > end) return;
    run(view.getUint16(at + 2, true) & 0x3fff, at + 4, at + length);
    at += (length + 3) & ~3;
  }
}
