/** The rows of sFlow, NetFlow, IPFIX and Flow_Sample_Collector_Set as configuration of a bridge's exporters, and those. */
import { USERSPACE_ACTION_DROPS } from "../datapath/drop-reasons.ts";
import { BridgeExports, type ExportsConfig, type ExportsContext } from "../export/bridge-exports.ts";
import type { IpfixOptions } from "../export/ipfix.ts";
import { RateLimit, vlog } from "../lib/vlog.ts";
import type { Ofproto } from "../ofproto/ofproto.ts";
import type { Row } from "../ovsdb/idl-types.ts";
import { boolOption, intOption, type SwitchIdl } from "./config.ts";
import type { OpenVswitchSchema } from "./schema/index.ts";

type BridgeRow = Row<OpenVswitchSchema, "Bridge">;
type IpfixRow = Row<OpenVswitchSchema, "IPFIX">;

const DEFAULT_SAMPLING = 400;
const DEFAULT_POLLING_SEC = 30;
const DEFAULT_HEADER_BYTES = 128;
const MAX_SAMPLING = 0xffff_ffff;
const MAX_POLLING_SEC = 0x7fff_ffff;
/** A sample must fit into a datagram. */
const MAX_HEADER_BYTES = 1024;
const DEFAULT_ACTIVE_TIMEOUT_SEC = 600;
const DEFAULT_INTERVAL_SEC = 600;

const log = vlog("ofproto_dpif_lsample");
const bridgeLog = vlog("bridge");
const limit = new RateLimit(1, 1);

/** undefined where the bridge exports nothing. */
export function readExports(idl: SwitchIdl, bridge: BridgeRow): ExportsConfig | undefined {
  const complaints: string[] = [];
  const config: ExportsConfig = {
    sflow: readSflow(idl, bridge, complaints),
    netflow: readNetflow(idl, bridge),
    ipfix: readBridgeIpfix(idl, bridge),
    ...readCollectorSets(idl, bridge),
    complaints,
  };
  const { sflow, netflow, ipfix, collectorSets, localGroups } = config;
  const sets = collectorSets.size + localGroups.size;
  return sflow === undefined && netflow === undefined && ipfix === undefined && sets === 0
    ? undefined
    : config;
}

/** A column that the schema sets no bounds for: what is out of `range` is said, and the default or the upper bound taken. */
function inRange(
  column: string,
  value: number | bigint | undefined,
  [least, most]: readonly [number, number],
  fallback: number,
  complaints: string[],
): number {
  if (value === undefined) return fallback;
  const taken = value < least ? fallback : Math.min(Number(value), most);
  if (taken !== Number(value))
    complaints.push(`${column} ${value} is not from ${least} to ${most}: ${taken} is used`);
  return taken;
}

function readSflow(idl: SwitchIdl, bridge: BridgeRow, complaints: string[]): ExportsConfig["sflow"] {
  const row = idl.row("sFlow", bridge.sflow);
  if (row === undefined) return undefined;
  return {
    targets: [...row.targets],
    sampling: inRange("sFlow sampling", row.sampling, [1, MAX_SAMPLING], DEFAULT_SAMPLING, complaints),
    pollingSec: inRange("sFlow polling", row.polling, [0, MAX_POLLING_SEC], DEFAULT_POLLING_SEC, complaints),
    headerBytes: inRange("sFlow header", row.header, [1, MAX_HEADER_BYTES], DEFAULT_HEADER_BYTES, complaints),
    agent: row.agent,
  };
}

function readNetflow(idl: SwitchIdl, bridge: BridgeRow): ExportsConfig["netflow"] {
  const row = idl.row("NetFlow", bridge.netflow);
  if (row === undefined) return undefined;
  const timeout = Number(row.active_timeout);
  return {
    targets: [...row.targets],
    // Beyond the original, which knows version 5 alone; the table has no column for it.
    version: bridge.other_config.get("netflow-version") === "9" ? 9 : 5,
    engineType: row.engine_type,
    engineId: row.engine_id,
    addIdToInterface: row.add_id_to_interface,
    activeTimeoutMs: timeout < 0 ? 0 : (timeout || DEFAULT_ACTIVE_TIMEOUT_SEC) * 1000,
    templateIntervalMs:
      intOption(bridge.other_config, "netflow-template-interval", DEFAULT_INTERVAL_SEC) * 1000,
  };
}

function ipfixOptions(row: IpfixRow): IpfixOptions {
  return {
    targets: [...row.targets],
    cacheActiveTimeoutMs: Number(row.cache_active_timeout ?? 0) * 1000,
    cacheMaxFlows: Number(row.cache_max_flows ?? 0),
    templateIntervalMs: Number(row.template_interval ?? DEFAULT_INTERVAL_SEC) * 1000,
    statsIntervalMs: Number(row.stats_interval ?? DEFAULT_INTERVAL_SEC) * 1000,
    tunnels: boolOption(row.other_config, "enable-tunnel-sampling", true),
    virtualObsId: row.other_config.get("virtual_obs_id"),
  };
}

function readBridgeIpfix(idl: SwitchIdl, bridge: BridgeRow): ExportsConfig["ipfix"] {
  const row = idl.row("IPFIX", bridge.ipfix);
  if (row === undefined) return undefined;
  return {
    ...ipfixOptions(row),
    sampling: Number(row.sampling ?? DEFAULT_SAMPLING),
    domain: Number(row.obs_domain_id ?? 0),
    point: Number(row.obs_point_id ?? 0),
    input: boolOption(row.other_config, "enable-input-sampling", true),
    output: boolOption(row.other_config, "enable-output-sampling", true),
  };
}

function readCollectorSets(
  idl: SwitchIdl,
  bridge: BridgeRow,
): Pick<ExportsConfig, "collectorSets" | "localGroups"> {
  const collectorSets = new Map<number, IpfixOptions>();
  const localGroups = new Map<number, number>();
  for (const row of idl.rows("Flow_Sample_Collector_Set")) {
    if (row.bridge !== bridge._uuid) continue;
    const ipfix = idl.row("IPFIX", row.ipfix);
    if (ipfix !== undefined) collectorSets.set(Number(row.id), ipfixOptions(ipfix));
    if (row.local_group_id !== undefined) localGroups.set(Number(row.id), Number(row.local_group_id));
  }
  return { collectorSets, localGroups };
}

/** Makes, changes or ends the exporters of `ofproto`; returns those that are there now. */
export function applyExports(
  ofproto: Ofproto,
  exports: BridgeExports | undefined,
  config: ExportsConfig | undefined,
  context: ExportsContext,
): BridgeExports | undefined {
  // What has been forwarded so far goes to those who asked for it then.
  const news = exports === undefined || !exports.isConfigured(config);
  if (exports !== undefined && news) ofproto.backer.pushStats();
  if (news) for (const complaint of config?.complaints ?? []) bridgeLog.warn(`${ofproto.name}: ${complaint}`);
  if (config === undefined) {
    if (exports !== undefined) {
      ofproto.setSampling(undefined);
      exports.close();
    }
    return undefined;
  }
  if (config.localGroups.size > 0 && !ofproto.backer.features.has("psample")) {
    log.warnRl(limit, "ignoring local sampling configuration: not supported by this datapath");
  }
  const there = exports ?? new BridgeExports(exported(ofproto), context);
  const changed = there.configure(config);
  if (changed || exports === undefined) ofproto.setSampling(there);
  return there;
}

/** Each exporter's collectors: what was sent, what was lost, what is wrong. */
export function formatExports(bridge: string, exports: BridgeExports | undefined): string {
  if (exports === undefined) return "";
  const lines = [`${bridge}:`];
  for (const [name, collectors] of exports.status()) {
    lines.push(`  ${name}:`);
    for (const { target, sent, lost, problem } of collectors) {
      lines.push(`    ${target}: ${sent} sent, ${lost} lost${problem === undefined ? "" : `, ${problem}`}`);
    }
  }
  return `${lines.join("\n")}\n`;
}

function exported(ofproto: Ofproto): ConstructorParameters<typeof BridgeExports>[0] {
  const { backer } = ofproto;
  return {
    name: ofproto.name,
    datapathId: () => BigInt(`0x${ofproto.datapathId}`),
    ports: () => ofproto.portsByNumber(),
    port: (number) => ofproto.portAt(number),
    portByOdp: (odpPort) => {
      const found = backer.portOf(odpPort);
      return found?.ofproto.portAt(found.ofPort);
    },
    datapathStats: () => backer.dpif.stats(),
    lostSamples: () => backer.dpif.drops().get(USERSPACE_ACTION_DROPS) ?? 0,
  };
}
