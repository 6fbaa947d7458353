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
import {
  type Attribute,
  decodeMessages,
  eachAttribute,
  encodeMessage,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  words,
} from "./netlink-message.ts";
import { IFINFOMSG, IFLA_EXT_MASK, RTM_GETLINK, RTM_NEWLINK } from "./rtnetlink.ts";

const CLASS = "/sys/class/net";
/** USER_HZ. */
const TICKS = 100;
const FDB_ENTRY = 16;

const AF_BRIDGE = 7;
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
  /** Shorter than configured during a change of topology. */
  readonly ageingSec: number;
  readonly topologyChange: boolean;
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
    topologyChange: of("topology_change") !== 0,
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
  const head = new Uint8Array(IFINFOMSG);
  head[0] = AF_BRIDGE;
  const only: Attribute = [IFLA_EXT_MASK, words(RTEXT_FILTER_BRVLAN)];
  return decodeVlans(
    socket.transact(encodeMessage(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, head, [only])),
  );
}

/** What the answer's datagrams say. */
export function decodeVlans(datagrams: readonly Uint8Array[]): Map<number, BridgeVlan[]> {
  const found = new Map<number, BridgeVlan[]>();
  for (const { type, body } of decodeMessages(datagrams)) {
    if (type !== RTM_NEWLINK || body.byteLength < IFINFOMSG || body.getUint8(0) !== AF_BRIDGE) continue;
    const vlans: BridgeVlan[] = [];
    eachAttribute(body, IFINFOMSG, (outer, value) => {
      if (outer !== IFLA_AF_SPEC) return;
      eachAttribute(value, 0, (inner, info) => {
        if (inner !== IFLA_BRIDGE_VLAN_INFO || info.byteLength < 4) return;
        const flags = info.getUint16(0, true);
        vlans.push({
          vlan: info.getUint16(2, true),
          pvid: (flags & VLAN_PVID) !== 0,
          untagged: (flags & VLAN_UNTAGGED) !== 0,
        });
      });
    });
    if (vlans.length > 0) found.set(body.getInt32(4, true), vlans);
  }
  return found;
}
