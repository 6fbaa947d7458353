/**
 * What `src/vswitch` tells an {@link Ofproto} and reads back: plain data, no behaviour (upstream: `ofproto.h`'s settings
 * structs). All numbers of ports here are OpenFlow port numbers unless the name says `odp`.
 */
import type { Clock } from "../lib/clock.ts";
import type { StreamFactory } from "../lib/stream.ts";
import type { Netdev } from "../netdev/netdev.ts";
import type { Backer } from "./backer.ts";

export type OfPort = number;

/** Last number that a port of a bridge can be given; above it are reserved numbers. */
export const OFPP_MAX_PHYSICAL = 0xfeff;
export const OFPP_LOCAL: OfPort = 0xfffe;
export const OFPP_NONE: OfPort = 0xffff;

export type LogLevel = "emer" | "err" | "warn" | "info" | "dbg";
/** `module` is a vlog module name ("bridge", "connmgr", "ofproto", "ofproto_dpif", ...). */
export type Log = (module: string, level: LogLevel, message: string) => void;

export interface OfprotoOptions {
  /** Bridge name; the LOCAL port is the port of this name. */
  name: string;
  /** The datapath and its shared state; its `type` is the bridge's datapath type. */
  backer: Backer;
  clock: Clock;
  streams: StreamFactory;
  log: Log;
  /** Where BR.mgmt and BR.snoop are bound; undefined for none. */
  rundir: string | undefined;
  /** Random 64-bit seed source for MAC learning and ids; `Math.random` is not used. */
  random: () => number;
  /** Ethernet address of the host's next hop to an address (dotted), for in-band control; undefined while not known. */
  nextHopMac?: ((address: string) => string | undefined) | undefined;
}

export type FailMode = "standalone" | "secure";

export type VlanMode = "access" | "trunk" | "native-tagged" | "native-untagged" | "dot1q-tunnel";

/** A Port row (upstream: `struct ofproto_bundle_settings`). */
export interface BundleConfig {
  name: string;
  /** Members; more than one is a bond. */
  ports: readonly OfPort[];
  vlanMode: VlanMode;
  /** Access or native VLAN 0..4095; undefined for plain trunks. */
  tag: number | undefined;
  /** Empty means all VLANs. */
  trunks: readonly number[];
  cvlans: readonly number[];
  /** TPID of dot1q-tunnel's outer tag, 0x88a8 or 0x8100. */
  qinqEthtype: number;
  /** other_config:priority-tags: how priority-tagged frames leave: never, if-nonzero (default "no"), always. */
  priorityTags: "no" | "if-nonzero" | "always";
  /** Port.protected. */
  protected: boolean;
  /** DSCP, 0 … 63, of IP packets that leave through a queue (Queue.dscp), by queue. */
  queueDscp: ReadonlyMap<number, number>;
}

/** A Flow_Table row. */
export interface FlowTableConfig {
  name: string | undefined;
  maxFlows: number | undefined;
  /** overflow_policy: what is full makes room. */
  evict: boolean;
  /** Subfields, "NXM_OF_IN_PORT[]": flows that agree in all of them are one group, and the largest loses flows first. */
  groups: readonly string[];
  /** Fields with prefix tracking; undefined: the default ones. */
  prefixes: readonly string[] | undefined;
}

/** How a bridge's own control traffic passes through it. */
export interface InBandConfig {
  /** Bridge.other_config:disable-in-band. */
  disabled: boolean;
  /** Bridge.other_config:in-band-queue. */
  queue: number | undefined;
  /** Targets of Open_vSwitch.manager_options that are not out-of-band. */
  managers: readonly string[];
}

export interface ControllerConfig {
  /** e.g. `tcp:127.0.0.1:6653`, `ptcp:6653`, `none` never appears. */
  target: string;
  /** Controller.max_backoff in ms, at least 1000 (default 8000). */
  maxBackoffMs: number;
  /** Inactivity probe in ms, 0 disables (default 5000). */
  probeIntervalMs: number;
  connectionMode: "in-band" | "out-of-band" | undefined;
  /** Packet-ins a second, 0 for no limit. */
  rateLimit: number;
  burstLimit: number;
  enableAsyncMessages: boolean;
  /** "primary" is the ordinary kind, "service" as for BR.mgmt. */
  type: "primary" | "service";
  maxQueuedPackets: number;
}

export interface ControllerStatus {
  isConnected: boolean;
  /** "other" | "master" | "slave" as the Controller.role column wants it, undefined when unknown. */
  role: "other" | "master" | "slave" | undefined;
  /** Controller.status: state, last_error, sec_since_connect, sec_since_disconnect. */
  status: Map<string, string>;
}

/** One port as configured and as seen. */
export interface OfPortInfo {
  readonly name: string;
  readonly ofPort: OfPort;
  /** undefined for patch ports, which the datapath does not know. */
  readonly odpPort: number | undefined;
  readonly netdev: Netdev;
}

/** A Mirror row (upstream: `struct ofproto_mirror_settings`). Ports are keys of port bundles. */
export interface MirrorConfig {
  name: string;
  /** Packets that come in by these are copied. */
  srcPorts: readonly unknown[];
  /** Packets that leave by these are copied. */
  dstPorts: readonly unknown[];
  /** Of these VLANs only; empty means all. */
  vlans: readonly number[];
  /** Where copies go: a port, else a VLAN. */
  outPort: unknown;
  outVlan: number | undefined;
  /** Bytes of a copy; undefined: all. */
  snaplen: number | undefined;
  /** A match in OpenFlow's text; undefined: everything. */
  filter: string | undefined;
}

export interface MacConfig {
  agingSec: number;
  maxEntries: number;
}

/** ofp_desc: the strings of ovs-ofctl show/dump-desc. */
export interface DescStrings {
  mfr: string;
  hw: string;
  sw: string;
  serial: string;
  dp: string;
}
