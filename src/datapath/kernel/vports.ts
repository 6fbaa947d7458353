/** The datapath in the kernel and its ports: made, found, removed. Each port's packets that miss go to one of a few sockets. */
import { osError } from "../../lib/errors.ts";
import {
  type Attribute,
  cString,
  eachAttribute,
  NLM_F_DUMP,
  NLM_F_ECHO,
  textOf,
  words,
} from "../../netdev/netlink-message.ts";
import {
  type TunnelConfig,
  type TunnelDevices,
  tunnelDeviceName,
  tunnelOfDevice,
} from "../../netdev/tunnel-devices.ts";
import type { DpStats, OdpPort } from "../dpif.ts";
import { type Families, OVS_HEADER, type Reply } from "./families.ts";
import { u64 } from "./flow-stats.ts";
import * as U from "./uapi.ts";

export interface Vport {
  readonly odpPort: OdpPort;
  readonly name: string;
  /** VPORT_TYPE_… */
  readonly type: number;
  /** As the datapath sees it: rx packets, tx packets, rx bytes, tx bytes, rx errors, tx errors, rx dropped, tx dropped. */
  readonly stats: readonly number[];
}

export interface DatapathFacts {
  readonly dpIfindex: number;
  readonly name: string;
  readonly stats: Omit<DpStats, "masks"> & { masks: number };
  /** Slots of the cache of masks, undefined where the kernel has none. */
  readonly cacheSize: number | undefined;
}

export const VPORT_TYPE_NAMES: readonly string[] = ["", "system", "internal", "gre", "vxlan", "geneve"];

/** The port's type as configuration has it: what is a tunnel's device is told by its name. */
export function typeOfVport({ type, name }: { type: number; name: string }): string {
  const tunnel = type === U.VPORT_TYPE_NETDEV ? tunnelOfDevice(name)?.type : undefined;
  return tunnel ?? VPORT_TYPE_NAMES[type] ?? String(type);
}

function decodeDatapath({ body, dpIfindex }: Reply): DatapathFacts {
  const facts = {
    dpIfindex,
    name: "",
    stats: { hits: 0, misses: 0, lost: 0, flows: 0, masks: 0, maskHits: 0, cacheHits: 0 },
    cacheSize: undefined as number | undefined,
  };
  eachAttribute(body, OVS_HEADER, (type, value) => {
    if (type === U.DP_ATTR_NAME) facts.name = textOf(value);
    else if (type === U.DP_ATTR_STATS && value.byteLength >= 32) {
      facts.stats.hits = u64(value, 0);
      facts.stats.misses = u64(value, 8);
      facts.stats.lost = u64(value, 16);
      facts.stats.flows = u64(value, 24);
    } else if (type === U.DP_ATTR_MEGAFLOW_STATS && value.byteLength >= 32) {
      facts.stats.maskHits = u64(value, 0);
      facts.stats.masks = value.getUint32(8, true);
      facts.stats.cacheHits = u64(value, 16);
    } else if (type === U.DP_ATTR_MASKS_CACHE_SIZE && value.byteLength >= 4)
      facts.cacheSize = value.getUint32(0, true);
  });
  return facts;
}

function decodeVport({ body }: Reply): Vport {
  const port = { odpPort: 0, name: "", type: 0, stats: [] as number[] };
  eachAttribute(body, OVS_HEADER, (type, value) => {
    if (type === U.VPORT_ATTR_NAME) port.name = textOf(value);
    else if (type === U.VPORT_ATTR_STATS) {
      for (let at = 0; at + 8 <= value.byteLength; at += 8) port.stats.push(u64(value, at));
    } else if (value.byteLength < 4) return;
    else if (type === U.VPORT_ATTR_PORT_NO) port.odpPort = value.getUint32(0, true);
    else if (type === U.VPORT_ATTR_TYPE) port.type = value.getUint32(0, true);
  });
  return port;
}

const name = (of: string): Attribute => [U.DP_ATTR_NAME, cString(of)];

/** The datapaths that the kernel has in this network namespace. */
export function listDatapaths(families: Families): DatapathFacts[] {
  return families.request("ovs_datapath", U.CMD_GET, 0, [], NLM_F_DUMP).map(decodeDatapath);
}

/** Rejects with ENODEV when there is none of the name. */
export function findDatapath(families: Families, of: string): DatapathFacts {
  return decodeDatapath(only(families.request("ovs_datapath", U.CMD_GET, 0, [name(of)], NLM_F_ECHO)));
}

function only(replies: readonly Reply[]): Reply {
  const [reply] = replies;
  if (reply === undefined) throw osError("EPROTO", "openvswitch");
  return reply;
}

/** Makes a datapath whose own port's packets go to socket `pid`. Throws EEXIST when there is one of the name. */
export function createDatapath(families: Families, of: string, pid: number): DatapathFacts {
  const features: Attribute = [U.DP_ATTR_USER_FEATURES, words(U.DP_F_VPORT_PIDS)];
  const attributes: Attribute[] = [name(of), [U.DP_ATTR_UPCALL_PID, words(pid)], features];
  return decodeDatapath(only(families.request("ovs_datapath", U.CMD_NEW, 0, attributes, NLM_F_ECHO)));
}

/** Makes one that is there ours. */
export function adoptDatapath(families: Families, of: string): DatapathFacts {
  const features: Attribute = [U.DP_ATTR_USER_FEATURES, words(U.DP_F_VPORT_PIDS)];
  families.request("ovs_datapath", U.CMD_SET, 0, [name(of), features]);
  return findDatapath(families, of);
}

export function removeDatapath(families: Families, of: string): void {
  families.request("ovs_datapath", U.CMD_DEL, 0, [name(of)]);
}

export function listVports(families: Families, dpIfindex: number): Vport[] {
  return families
    .request("ovs_vport", U.CMD_GET, dpIfindex, [], NLM_F_DUMP)
    .map(decodeVport)
    .sort((a, b) => a.odpPort - b.odpPort);
}

/** `odpPort` undefined: the kernel chooses. `udpPort`: of a VXLAN or Geneve port that the module makes itself. */
export function addVport(
  families: Families,
  dpIfindex: number,
  port: { name: string; type: number; odpPort?: OdpPort; udpPort?: number },
  pid: number,
): OdpPort {
  const attributes: Attribute[] = [
    [U.VPORT_ATTR_TYPE, words(port.type)],
    [U.VPORT_ATTR_NAME, cString(port.name)],
    [U.VPORT_ATTR_UPCALL_PID, words(pid)],
  ];
  if (port.odpPort !== undefined) attributes.push([U.VPORT_ATTR_PORT_NO, words(port.odpPort)]);
  if (port.udpPort !== undefined)
    attributes.push([
      U.VPORT_ATTR_OPTIONS,
      [[U.TUNNEL_ATTR_DST_PORT, new Uint8Array(Uint16Array.of(port.udpPort).buffer)]],
    ]);
  const replies = families.request("ovs_vport", U.CMD_NEW, dpIfindex, attributes, NLM_F_ECHO);
  return decodeVport(only(replies)).odpPort;
}

export interface TunnelVport {
  readonly odpPort: OdpPort;
  /** VPORT_TYPE_… */
  readonly type: number;
}

/**
 * A port for the tunnels that `config` is of: a device by rtnetlink and a port of the device; where the kernel makes no such device
 * of its own, the module may have a type of port for it. `port`: its number, undefined when the kernel chooses.
 */
export function addTunnelVport(
  families: Families,
  devices: TunnelDevices,
  dpIfindex: number,
  config: TunnelConfig,
  port: OdpPort | undefined,
  pid: number,
): TunnelVport {
  const name = tunnelDeviceName(config);
  const common = { name, ...(port === undefined ? {} : { odpPort: port }) };
  let made: boolean;
  try {
    made = devices.make(config);
  } catch (error) {
    const type = VPORT_TYPE_NAMES.indexOf(config.type);
    if (type < 0) throw error;
    const udp = config.dstPort === 0 ? {} : { udpPort: config.dstPort };
    return { type, odpPort: addVport(families, dpIfindex, { ...common, type, ...udp }, pid) };
  }
  const type = U.VPORT_TYPE_NETDEV;
  try {
    return { type, odpPort: addVport(families, dpIfindex, { ...common, type }, pid) };
  } catch (error) {
    if (made) devices.remove(name);
    throw error;
  }
}

/** Removes a port; and a tunnel's device, which nobody needs any more. */
export function removeVportAndDevice(
  families: Families,
  devices: TunnelDevices,
  dpIfindex: number,
  { odpPort, name, type }: { odpPort: OdpPort; name: string; type: number },
): void {
  try {
    removeVport(families, dpIfindex, odpPort);
  } finally {
    if (type === U.VPORT_TYPE_NETDEV && tunnelOfDevice(name) !== undefined) devices.remove(name);
  }
}

export function setVportSocket(families: Families, dpIfindex: number, odpPort: OdpPort, pid: number): void {
  families.request("ovs_vport", U.CMD_SET, dpIfindex, [
    [U.VPORT_ATTR_PORT_NO, words(odpPort)],
    [U.VPORT_ATTR_UPCALL_PID, words(pid)],
  ]);
}

export function removeVport(families: Families, dpIfindex: number, odpPort: OdpPort): void {
  families.request("ovs_vport", U.CMD_DEL, dpIfindex, [[U.VPORT_ATTR_PORT_NO, words(odpPort)]]);
}

/** Slots of the cache of masks, a power of two or 0. Throws ERANGE for too many. */
export function setCacheSize(families: Families, of: string, size: number): void {
  families.request("ovs_datapath", U.CMD_SET, 0, [name(of), [U.DP_ATTR_MASKS_CACHE_SIZE, words(size)]]);
}
