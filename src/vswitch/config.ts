/**
 * What the database wants, as plain values: the rows of Open_vSwitch, Bridge, Port, Interface, Controller and SSL are read
 * in one go, so that a reconfiguration that takes many turns of the loop sees one consistent state.
 */
import type { Policing } from "../datapath/dpif.ts";
import type { ExportsConfig } from "../export/bridge-exports.ts";
import type { QosConfig } from "../netdev/netdev.ts";
import type {
  BundleConfig,
  ControllerConfig,
  FailMode,
  FlowTableConfig,
  VlanMode,
} from "../ofproto/types.ts";
import type { IdlReader } from "../ovsdb/idl-api.ts";
import type { Ref, Row } from "../ovsdb/idl-types.ts";
import { readExports } from "./exports.ts";
import type { OpenVswitchSchema } from "./schema/index.ts";

export type SwitchIdl = IdlReader<OpenVswitchSchema>;
type Strings = ReadonlyMap<string, string>;

export interface IfaceConfig {
  /** undefined for the LOCAL port of a bridge whose Port row is missing. */
  uuid: Ref<"Interface"> | undefined;
  name: string;
  /** "system" where the row says "". */
  type: string;
  options: Strings;
  ofportRequest: number | undefined;
  /** What an earlier run wrote; undefined when it was an error. */
  ofport: number | undefined;
  mac: string | undefined;
  mtuRequest: number | undefined;
  policing: Policing;
}

export interface PortConfig {
  uuid: Ref<"Port"> | undefined;
  name: string;
  ifaces: IfaceConfig[];
  mac: string | undefined;
  qos: QosConfig | undefined;
  bundle: Omit<BundleConfig, "ports">;
}

/** A Mirror as its row has it: ports by name, of this bridge or not. */
export interface MirrorRow {
  uuid: Ref<"Mirror">;
  name: string;
  selectAll: boolean;
  srcPorts: string[];
  dstPorts: string[];
  vlans: number[];
  outPort: string | undefined;
  outVlan: number | undefined;
  snaplen: number | undefined;
  filter: string | undefined;
}

export interface BridgeConfig {
  uuid: Ref<"Bridge">;
  name: string;
  /** "system" where the row says "". */
  datapathType: string;
  ports: PortConfig[];
  failMode: FailMode;
  protocols: string[];
  controllers: (ControllerConfig & { uuid: Ref<"Controller"> })[];
  /** Targets of database servers that in-band control must reach. */
  managers: string[];
  floodVlans: number[];
  flowTables: Map<number, FlowTableConfig>;
  exports: ExportsConfig | undefined;
  mirrors: MirrorRow[];
  otherConfig: Strings;
}

export interface SslConfig {
  privateKey: string;
  certificate: string;
  caCert: string;
  bootstrapCaCert: boolean;
}

export interface SwitchConfig {
  uuid: Ref<"Open_vSwitch">;
  nextCfg: number | bigint;
  otherConfig: Strings;
  bridges: BridgeConfig[];
  ssl: SslConfig | undefined;
}

/** ovs-vswitchd.conf.db(5), Interface, ingress policing. */
const DEFAULT_BURST_KB = 8000;
const DEFAULT_BURST_KPACKETS = 16;
const NO_POLICING: Policing = { kbps: 0, burstKb: 0, kpps: 0, burstKpackets: 0 };

/** A whole decimal number at the start of `text`, as atoi reads it; `fallback` when absent. */
export function intOption(options: Strings, key: string, fallback: number): number {
  const match = /^\s*([+-]?\d+)/.exec(options.get(key) ?? "");
  return match === null ? fallback : Number(match[1]);
}

export function boolOption(options: Strings, key: string, fallback: boolean): boolean {
  const value = options.get(key);
  if (value === undefined) return fallback;
  return fallback ? value.toLowerCase() !== "false" : value.toLowerCase() === "true";
}

/** Mode and native VLAN of a port (ovs-vswitchd.conf.db(5), Port, "VLAN Configuration"). */
export function vlanMode(
  mode: VlanMode | undefined,
  tag: number | undefined,
): { vlanMode: VlanMode; tag: number | undefined } {
  switch (mode) {
    case "access":
      return { vlanMode: "access", tag: tag ?? 0 };
    case "trunk":
      return { vlanMode: "trunk", tag: undefined };
    case "native-tagged":
    case "native-untagged":
    case "dot1q-tunnel":
      // Without a native VLAN the mode means nothing more than a trunk, or VLAN 0 for a tunnel.
      return tag === undefined && mode !== "dot1q-tunnel"
        ? { vlanMode: "trunk", tag: undefined }
        : { vlanMode: mode, tag: tag ?? 0 };
    default:
      return tag === undefined ? { vlanMode: "trunk", tag: undefined } : { vlanMode: "access", tag };
  }
}

function priorityTags(text: string | undefined): BundleConfig["priorityTags"] {
  if (text === "always") return "always";
  return text === "if-nonzero" || text === "true" ? "if-nonzero" : "no";
}

function readIface(row: Row<OpenVswitchSchema, "Interface">, bridge: string): IfaceConfig {
  const ofport = row.ofport === undefined ? undefined : Number(row.ofport);
  return {
    uuid: row._uuid,
    name: row.name,
    type: row.name === bridge ? "internal" : row.type === "" ? "system" : row.type,
    options: row.options,
    ofportRequest: row.ofport_request,
    ofport: ofport !== undefined && ofport > 0 && ofport < 0xff00 ? ofport : undefined,
    mac: row.mac,
    mtuRequest: row.mtu_request === undefined ? undefined : Number(row.mtu_request),
    policing: {
      kbps: Number(row.ingress_policing_rate),
      burstKb: Number(row.ingress_policing_burst) || DEFAULT_BURST_KB,
      kpps: Number(row.ingress_policing_kpkts_rate),
      burstKpackets: Number(row.ingress_policing_kpkts_burst) || DEFAULT_BURST_KPACKETS,
    },
  };
}

/** Port.qos with its queues; undefined when there is none, or one of type "". */
function readQos(idl: SwitchIdl, port: Row<OpenVswitchSchema, "Port">): QosConfig | undefined {
  const qos = port.qos === undefined ? undefined : idl.row("QoS", port.qos);
  if (qos === undefined || qos.type === "") return undefined;
  const queues = new Map<number, Strings>();
  for (const [id, ref] of qos.queues)
    queues.set(Number(id), idl.row("Queue", ref)?.other_config ?? new Map());
  return { type: qos.type, settings: qos.other_config, queues };
}

function readPort(idl: SwitchIdl, row: Row<OpenVswitchSchema, "Port">, bridge: string): PortConfig {
  const mode = vlanMode(row.vlan_mode, row.tag);
  return {
    uuid: row._uuid,
    name: row.name,
    ifaces: idl
      .refs("Interface", row.interfaces)
      .map((iface) => readIface(iface, bridge))
      .sort(byName),
    mac: row.mac,
    qos: readQos(idl, row),
    bundle: {
      name: row.name,
      ...mode,
      trunks: mode.vlanMode === "access" || mode.vlanMode === "dot1q-tunnel" ? [] : [...row.trunks],
      cvlans: [...row.cvlans],
      qinqEthtype: row.other_config.get("qinq-ethtype") === "802.1q" ? 0x8100 : 0x88a8,
      priorityTags: priorityTags(row.other_config.get("priority-tags")),
      protected: row.protected,
      queueDscp: readQueueDscp(idl, row),
    },
  };
}

/** What the port's queues, if it has a QoS, say of DSCP. */
function readQueueDscp(idl: SwitchIdl, port: Row<OpenVswitchSchema, "Port">): Map<number, number> {
  const out = new Map<number, number>();
  const qos = port.qos === undefined ? undefined : idl.row("QoS", port.qos);
  if (qos === undefined || qos.type === "") return out;
  for (const [id, ref] of qos.queues) {
    const dscp = idl.row("Queue", ref)?.dscp;
    if (dscp !== undefined) out.set(Number(id), Number(dscp));
  }
  return out;
}

function readController(row: Row<OpenVswitchSchema, "Controller">): BridgeConfig["controllers"][number] {
  return {
    uuid: row._uuid,
    target: row.target,
    maxBackoffMs: Math.max(Number(row.max_backoff ?? 8000), 1000),
    probeIntervalMs: Math.max(Number(row.inactivity_probe ?? 5000), 0),
    connectionMode: row.connection_mode,
    rateLimit: Number(row.controller_rate_limit ?? 0),
    burstLimit: Number(row.controller_burst_limit ?? 0),
    enableAsyncMessages: row.enable_async_messages ?? true,
    type: row.type ?? (/^p(unix|tcp|ssl):/.test(row.target) ? "service" : "primary"),
    maxQueuedPackets: row.controller_queue_size ?? 100,
  };
}

function byName(a: { name: string }, b: { name: string }): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

/** The LOCAL port of a bridge that has no Port row of its name. */
function localPort(bridge: string): PortConfig {
  return {
    uuid: undefined,
    name: bridge,
    ifaces: [
      {
        uuid: undefined,
        name: bridge,
        type: "internal",
        options: new Map(),
        ofportRequest: undefined,
        ofport: undefined,
        mac: undefined,
        mtuRequest: undefined,
        policing: NO_POLICING,
      },
    ],
    mac: undefined,
    qos: undefined,
    bundle: {
      name: bridge,
      vlanMode: "trunk",
      tag: undefined,
      trunks: [],
      cvlans: [],
      qinqEthtype: 0x88a8,
      priorityTags: "no",
      protected: false,
      queueDscp: new Map(),
    },
  };
}

function readFlowTables(idl: SwitchIdl, row: Row<OpenVswitchSchema, "Bridge">): BridgeConfig["flowTables"] {
  const tables: BridgeConfig["flowTables"] = new Map();
  for (const [id, ref] of row.flow_tables) {
    const table = idl.row("Flow_Table", ref);
    if (table === undefined) continue;
    tables.set(Number(id), {
      name: table.name,
      maxFlows: table.flow_limit === undefined ? undefined : Number(table.flow_limit),
      evict: table.overflow_policy === "evict",
      groups: [...table.groups],
      prefixes: table.prefixes.has("none") ? [] : table.prefixes.size === 0 ? undefined : [...table.prefixes],
    });
  }
  return tables;
}

function readMirror(idl: SwitchIdl, row: Row<OpenVswitchSchema, "Mirror">): MirrorRow {
  const names = (ports: ReadonlySet<Ref<"Port">>): string[] =>
    idl.refs("Port", ports).map(({ name }) => name);
  return {
    uuid: row._uuid,
    name: row.name,
    selectAll: row.select_all,
    srcPorts: names(row.select_src_port),
    dstPorts: names(row.select_dst_port),
    vlans: [...row.select_vlan],
    outPort: idl.row("Port", row.output_port)?.name,
    outVlan: row.output_vlan,
    snaplen: row.snaplen,
    filter: row.filter,
  };
}

function readBridge(idl: SwitchIdl, row: Row<OpenVswitchSchema, "Bridge">, managers: string[]): BridgeConfig {
  const ports = idl
    .refs("Port", row.ports)
    .map((port) => readPort(idl, port, row.name))
    .filter((port) => port.ifaces.length > 0)
    .sort(byName);
  if (!ports.some((port) => port.ifaces.some((iface) => iface.name === row.name)))
    ports.unshift(localPort(row.name));
  return {
    uuid: row._uuid,
    name: row.name,
    datapathType: row.datapath_type === "" ? "system" : row.datapath_type,
    ports,
    failMode: row.fail_mode ?? "standalone",
    protocols: [...row.protocols],
    controllers: idl
      .refs("Controller", row.controller)
      .filter((controller) => controller.target !== "none")
      .map(readController),
    managers,
    floodVlans: [...row.flood_vlans].map(Number),
    flowTables: readFlowTables(idl, row),
    exports: readExports(idl, row),
    mirrors: idl.refs("Mirror", row.mirrors).map((mirror) => readMirror(idl, mirror)),
    otherConfig: row.other_config,
  };
}

/** undefined while the database has no Open_vSwitch row. */
export function readConfig(idl: SwitchIdl): SwitchConfig | undefined {
  for (const row of idl.rows("Open_vSwitch")) {
    const ssl = idl.row("SSL", row.ssl);
    const managers = idl
      .refs("Manager", row.manager_options)
      .filter((manager) => manager.connection_mode !== "out-of-band")
      .map(({ target }) => target);
    return {
      uuid: row._uuid,
      nextCfg: row.next_cfg,
      otherConfig: row.other_config,
      bridges: idl
        .refs("Bridge", row.bridges)
        .map((bridge) => readBridge(idl, bridge, managers))
        .sort(byName),
      ssl:
        ssl === undefined
          ? undefined
          : {
              privateKey: ssl.private_key,
              certificate: ssl.certificate,
              caCert: ssl.ca_cert,
              bootstrapCaCert: ssl.bootstrap_ca_cert,
            },
    };
  }
  return undefined;
}
