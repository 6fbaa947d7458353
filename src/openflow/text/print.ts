/** Any OpenFlow message as text, as `ovs-ofctl ofp-print` writes it (upstream: ofp-print). */

import { W_PACKET_TYPE } from "../../flow/layout.ts";
import type { Match } from "../../flow/match.ts";
import { formatIpv4, formatIpv6 } from "../../lib/ip.ts";
import { TextWriter } from "../../lib/text-writer.ts";
import { REASONS } from "../actions/output.ts";
import { dottedHex } from "../actions/row.ts";
import { decodeFound, identify, messageName, readHeaderAt } from "../codec.ts";
import { OfpError } from "../errors.ts";
import { logDecodeError } from "../log.ts";
import {
  type AsyncConfig,
  type BundleAdd,
  type BundleCtrl,
  type CtTuple,
  type Decoded,
  type FeaturesReply,
  type Hello,
  type IpfixStats,
  type Message,
  type NxtCtFlush,
  OFP_NO_BUFFER,
  OFPUTIL_FF_RESET_COUNTS,
  type OfpErrorMessage,
  type PacketIn,
  type PacketOut,
  type RoleMessage,
  type RoleStatus,
  UNKNOWN64,
} from "../messages.ts";
import { actionsFrom10 } from "../msg/table.ts";
import { formatPort } from "../ports.ts";
import { actionsText, bitNames, hexDump, hexNumber, matchText, type PrintOptions } from "./common.ts";
import {
  formatFlowRemoved,
  formatFlowStats,
  formatMonitorRequest,
  formatStatsRequest,
  formatUpdate,
  removedReason,
  writeFlowMod,
} from "./flow.ts";
import {
  formatGroupDesc,
  formatGroupFeatures,
  formatGroupMod,
  formatGroupStats,
  formatMeterConfig,
  formatMeterFeatures,
  formatMeterMod,
  formatMeterStats,
  meterId,
} from "./group.ts";
import { packetText } from "./packet.ts";
import {
  formatPhyPort,
  formatPortMod,
  formatPortStats,
  formatPortStatus,
  formatQueueConfig,
  formatQueueStats,
} from "./port.ts";
import { match10Text, tlvText } from "./raw-match.ts";
import { formatTableDesc, formatTableMod, formatTables, tableEntries } from "./table.ts";

/** " (OF1.3)": nothing for 1.0. */
function versionText(version: number): string {
  if (version === 1) return "";
  if (version >= 2 && version <= 6) return ` (OF1.${version - 1})`;
  return ` (OF 0x${version.toString(16).padStart(2, "0")})`;
}

/** What printMessage writes into; empty between calls. */
const TEXT = new TextWriter();

/** The whole text of one message, with its newline. `bytes` may hold less or more than its header says. */
export function printMessage(bytes: Uint8Array, options: PrintOptions = {}): string {
  const start = TEXT.pos;
  writeMessage(TEXT, bytes, options);
  return TEXT.take(start);
}

/** The same, written. */
export function writeMessage(out: TextWriter, bytes: Uint8Array, options: PrintOptions): void {
  const problem = cutText(bytes);
  if (problem !== undefined) {
    out.text(problem);
    return;
  }
  const found = identify(bytes);
  if (found instanceof OfpError) {
    logDecodeError(found);
    out.text(`***decode error: ${found.ofp}***\n${hexDump(bytes, true)}`);
    return;
  }
  const scratch = found.row.type === "flow-mod" ? options.scratch : undefined;
  const decoded = decodeFound(bytes, found, { tableIds: true, scratch });
  writeHead(out, found.row.name, bytes);
  if (decoded instanceof OfpError) {
    out.text(`: ***decode error: ${decoded.ofp}***\n${hexDump(bytes, true)}`);
    return;
  }
  out.text(":");
  if (decoded.more) out.text(moreFlags(found.flags));
  const { message } = decoded;
  if (message.type === "flow-mod") {
    // Before 1.2 the flag is implied.
    const hidden = decoded.version < 3 ? OFPUTIL_FF_RESET_COUNTS : 0;
    writeFlowMod(out, message, message.flags & ~hidden, options, rawMatch(decoded, bytes, options));
  } else out.text(printBody(decoded, bytes, options));
  if (out.bytes[out.pos - 1] !== NEWLINE) out.char(NEWLINE);
  if ((options.verbosity ?? 0) >= DUMP_VERBOSITY) out.text(hexDump(bytes, true));
}

/** Of what is not one whole message. */
function cutText(bytes: Uint8Array): string | undefined {
  if (bytes.length === 0) return "OpenFlow message is empty\n";
  if (bytes.length < 8) {
    return `OpenFlow packet too short (only ${bytes.length} bytes):\n${hexDump(bytes, true)}`;
  }
  const length = (bytes[2]! << 8) | bytes[3]!;
  if (length === bytes.length) return undefined;
  if (length < bytes.length) {
    return `(***only uses ${length} bytes out of ${bytes.length}***)\n${hexDump(bytes, true)}`;
  }
  const name = messageName(bytes);
  const head = name === undefined ? "" : `${headText(name, bytes)}:\n`;
  return `${head}(***truncated to ${bytes.length} bytes from ${length}***)\n${hexDump(bytes, true)}`;
}

const NEWLINE = 10;

/** From here on a message's bytes follow its text. */
const DUMP_VERBOSITY = 5;

function moreFlags(flags: number): string {
  const rest = flags & ~1;
  return ` flags=[more]${rest === 0 ? "" : `[***unknown flags 0x${rest.toString(16)}***]`}`;
}

function writeHead(out: TextWriter, name: string, bytes: Uint8Array): void {
  const { version, xid } = readHeaderAt(bytes);
  out.text(name);
  out.text(versionText(version));
  out.text(" (xid=0x");
  out.hex(xid);
  out.text(")");
}

function headText(name: string, bytes: Uint8Array): string {
  const start = TEXT.pos;
  writeHead(TEXT, name, bytes);
  return TEXT.take(start);
}

function printBody(d: Decoded, bytes: Uint8Array, o: PrintOptions): string {
  const m: Message = d.message;
  switch (m.type) {
    case "hello":
      return hello(m, bytes);
    case "error":
      return errorText(m, o);
    case "echo-request":
    case "echo-reply": {
      const dump = m.payload.length > 0 && (o.verbosity ?? 0) > 1 ? hexDump(m.payload, true) : "";
      return ` ${m.payload.length} bytes of payload\n${dump}`;
    }
    case "features-reply":
      return features(m, d.version);
    case "get-config-reply":
    case "set-config":
      return configText(m.frag, m.invalidTtlToController, m.missSendLen);
    case "packet-in":
      return packetIn(m, o);
    case "packet-out":
      return packetOut(m, o);
    case "nxt-resume":
      return packetIn(m.packetIn, o);
    case "flow-removed":
      return formatFlowRemoved(m, o);
    case "port-status":
      return formatPortStatus(m);
    case "port-mod":
      return formatPortMod(m, o);
    case "table-mod":
      return formatTableMod(m, o, d.version);
    case "role-request":
    case "role-reply":
      return role(m);
    case "role-status":
      return roleStatus(m);
    case "set-async":
    case "get-async-reply":
      return asyncText(m);
    case "queue-get-config-request":
      return ` port=${formatPort(m.port, o.ports)}${d.version >= 5 && m.queue !== 0xffffffff ? ` queue=${m.queue}` : ""}`;
    case "queue-get-config-reply":
      return formatQueueConfig(m.queues, m.port, o);
    case "group-mod":
      return formatGroupMod(m, d.version, o);
    case "meter-mod":
      return formatMeterMod(m);
    case "bundle-control":
      return bundle(m);
    case "bundle-add-message":
      return bundleAdd(m, o);
    case "requestforward":
      return ` reason=${m.reason === 0 ? "group_mod" : "meter_mod"}${m.request.type === "group-mod" ? formatGroupMod(m.request, d.version, o) : formatMeterMod(m.request)}`;
    case "table-status":
      return ` reason=${m.reason === 3 ? "VACANCY_DOWN" : "VACANCY_UP"}\ntable_desc:-${formatTableDesc(m.table, o)}`;
    case "flow-request":
    case "aggregate-request":
      return formatStatsRequest(m, o);
    case "flow-reply":
      return `\n${m.flows.map((s) => `${formatFlowStats(s, o)}\n`).join("")}`;
    case "aggregate-reply":
      return ` packet_count=${m.packets} byte_count=${m.bytes} flow_count=${m.flows}`;
    case "desc-reply":
      return `\nManufacturer: ${m.manufacturer}\nHardware: ${m.hardware}\nSoftware: ${m.software}\nSerial Num: ${m.serial}\nDP Description: ${m.description}\n`;
    case "table-reply":
      return formatTables(tableEntries(m.tables, m.features), o);
    case "table-features-request":
    case "table-features-reply":
      return formatTables(tableEntries([], m.tables), o);
    case "table-desc-reply":
      return m.tables.map((t) => formatTableDesc(t, o)).join("\n");
    case "port-request":
      return ` port_no=${formatPort(m.port, o.ports)}`;
    case "port-desc-request":
      return ` port=${formatPort(m.port, o.ports)}`;
    case "port-reply":
      return ` ${m.ports.length} ports\n${m.ports.map((p) => formatPortStats(p, o)).join("")}`;
    case "port-desc-reply":
      return `\n${[...m.ports]
        .sort((a, b) => a.port - b.port)
        .map(formatPhyPort)
        .join("")}`;
    case "queue-request":
      return ` port=${formatPort(m.port, o.ports)} queue=${m.queue === 0xffffffff ? "ALL" : m.queue}`;
    case "queue-reply":
      return ` ${m.queues.length} queues\n${m.queues.map((q) => formatQueueStats(q, o)).join("")}`;
    case "group-request":
    case "group-desc-request":
      return ` group_id=${m.groupId === 0xfffffffc ? "ALL" : m.groupId === 0xffffffff ? "ANY" : m.groupId}`;
    case "group-reply":
      return m.groups.map(formatGroupStats).join("");
    case "group-desc-reply":
      return m.groups.map((g) => formatGroupDesc(g, d.version, o)).join("");
    case "group-features-reply":
      return formatGroupFeatures(m, d.version);
    case "meter-request":
    case "meter-config-request":
      return ` meter=${meterId(m.meterId)}`;
    case "meter-reply":
      return `\n${m.meters.map((x) => formatMeterStats(x)).join("\n")}`;
    case "meter-config-reply":
      return `\n${m.meters.map((x) => formatMeterConfig(x)).join("\n")}`;
    case "meter-features-reply":
      return formatMeterFeatures(m);
    case "flow-monitor-request":
      return m.monitors.map((x) => formatMonitorRequest(x, o)).join("");
    case "flow-monitor-reply":
      return m.updates.map((u) => formatUpdate(u, o)).join("");
    case "ipfix-bridge-reply":
      return m.stats.map((s) => `\n  bridge ipfix: ${ipfix(s)}`).join("");
    case "ipfix-flow-reply":
      return ` ${m.stats.length} ids\n${m.stats.map((s) => `  id ${String(s.collectorSetId).padStart(3)}: ${ipfix(s)}`).join("")}`;
    case "nxt-flow-mod-table-id":
      return ` ${m.set ? "enable" : "disable"}`;
    case "nxt-set-flow-format":
      return ` format=${m.format === 2 ? "nxm" : m.format === 0 ? "openflow10" : m.format}`;
    case "nxt-set-packet-in-format":
      return ` format=${["standard", "nxt_packet_in", "nxt_packet_in2"][m.format] ?? m.format}`;
    case "nxt-set-controller-id":
      return ` id=${m.controllerId}`;
    case "nxt-flow-monitor-cancel":
      return ` id=${m.id}`;
    case "nxt-tlv-table-mod":
      return tlv(["ADD", "DEL", "CLEAR"][m.command] ?? "", m.maps);
    case "nxt-tlv-table-reply":
      return tlvReply(m);
    case "nxt-ct-flush-zone":
      return ` zone_id=${m.zone}`;
    case "nxt-ct-flush":
      return ` ${formatCtFlush(m)}`;
    default:
      return "";
  }
}

/** In 1.0 and verbosely: the match as the message has it, before it was made canonical. */
function rawMatch(d: Decoded, bytes: Uint8Array, o: PrintOptions): string | undefined {
  if ((o.verbosity ?? 0) < 3 || d.version !== 1) return undefined;
  if (d.name === "OFPT_FLOW_MOD") return match10Text(bytes.subarray(8, 48), o.ports);
  const length = (bytes[40]! << 8) | bytes[41]!;
  return tlvText(bytes.subarray(48, 48 + length));
}

function hello(m: Hello, bytes: Uint8Array): string {
  const versions: string[] = [];
  for (let v = 1; v < 32; v++)
    if (m.versions & (1 << v)) versions.push(`0x${v.toString(16).padStart(2, "0")}`);
  let out = `\n version bitmap: ${versions.join(", ")}`;
  if (!m.understood) out += `\n unknown data in hello:\n${hexDump(bytes, true)}`;
  return out;
}

function errorText(m: OfpErrorMessage, o: PrintOptions): string {
  if (m.error === undefined) {
    let out = " ***decode error***";
    const vendor = m.vendor === 0 ? "" : `vendor 0x${m.vendor.toString(16)}, `;
    out += `\n ${vendor}type ${m.errType}, code ${m.errCode}, payload:\n${hexDump(m.payload, true)}`;
    return out;
  }
  const hellos = m.error === "OFPHFC_INCOMPATIBLE" || m.error === "OFPHFC_EPERM";
  if (hellos) return ` ${m.error}\n${printable(m.payload)}`;
  return ` ${m.error}\n${printMessage(m.payload, { ...o, verbosity: 1 })}`;
}

/** Bytes as text, what cannot be printed as octal escapes. */
function printable(bytes: Uint8Array): string {
  let out = "";
  for (const b of bytes) {
    if (b >= 32 && b < 127) out += b === 92 ? "\\\\" : String.fromCharCode(b);
    else out += `\\${b.toString(8).padStart(3, "0")}`;
  }
  return `${out}\n`;
}

const CAPABILITIES: readonly (readonly [bit: number, name: string])[] = [
  [1, "FLOW_STATS"],
  [2, "TABLE_STATS"],
  [4, "PORT_STATS"],
];

export function capabilityNames(version: number): readonly (readonly [number, string])[] {
  const rest: (readonly [number, string])[] = [];
  if (version === 1) rest.push([8, "STP"]);
  else rest.push([8, "GROUP_STATS"]);
  rest.push([32, "IP_REASM"], [64, "QUEUE_STATS"]);
  if (version <= 2) rest.push([128, "ARP_MATCH_IP"]);
  if (version >= 3) rest.push([256, "PORT_BLOCKED"]);
  if (version >= 5) rest.push([512, "BUNDLES"], [1024, "FLOW_MONITORING"]);
  return [...CAPABILITIES, ...rest];
}

function features(m: FeaturesReply, version: number): string {
  let out = ` dpid:${m.datapathId.toString(16).padStart(16, "0")}\n`;
  out += `n_tables:${m.nTables}, n_buffers:${m.nBuffers}`;
  if (m.auxiliaryId !== 0) out += `, auxiliary_id:${m.auxiliaryId}`;
  out += "\n";
  const names = capabilityNames(version);
  const mask = names.reduce((sum, [bit]) => sum | bit, 0);
  out += `capabilities: ${bitNames(m.capabilities & mask, names, "0")}\n`;
  if (version === 1) out += `actions: ${actionsFrom10(m.actions).join(" ")}\n`;
  for (const p of [...(m.ports ?? [])].sort((a, b) => a.port - b.port)) out += formatPhyPort(p);
  return out;
}

export const FRAGS = ["normal", "drop", "reassemble", "nx-match"];

function configText(frag: number, ttl: boolean | undefined, miss: number): string {
  return ` frags=${FRAGS[frag]}${ttl ? " invalid_ttl_to_controller" : ""} miss_send_len=${miss}\n`;
}

function packetIn(m: PacketIn, o: PrintOptions): string {
  let out = "";
  if (m.table !== 0) out += ` table_id=${o.tables?.nameOf(m.table) ?? m.table}`;
  if (m.cookie !== UNKNOWN64) out += ` cookie=0x${m.cookie.toString(16)}`;
  out += ` total_len=${m.totalLen} ${matchText(m.match, o)}`;
  out += ` (via ${REASONS[m.reason] ?? m.reason}) data_len=${m.packet.length}`;
  if (m.bufferId === OFP_NO_BUFFER) {
    out += " (unbuffered)";
    if (m.totalLen !== m.packet.length) out += " (***total_len != data_len***)";
  } else {
    out += ` buffer=0x${m.bufferId.toString(16).padStart(8, "0")}`;
    if (m.totalLen < m.packet.length) out += " (***total_len < data_len***)";
  }
  out += "\n";
  if (m.userdata.length > 0) out += ` userdata=${dottedHex(m.userdata)}\n`;
  return out + packetLines(m.packet, m.match, o);
}

/** `match`: the pipeline fields that came along, among them the type of the packet. */
function packetLines(packet: Uint8Array, match: Match, o: PrintOptions): string {
  if (packet.length === 0) return "";
  const verbosity = o.verbosity ?? 1;
  let out = verbosity > 0 ? `${packetText(packet, o, match.flow[W_PACKET_TYPE]!)}\n` : "";
  if (verbosity > 2) out += hexDump(packet, false);
  return out;
}

function packetOut(m: PacketOut, o: PrintOptions): string {
  let out = ` ${matchText(m.match, o)} actions=${actionsText(m.actions, o)}`;
  if (m.bufferId === OFP_NO_BUFFER) {
    out += ` data_len=${m.packet.length}`;
    if (m.packet.length > 0) out += `\n${packetLines(m.packet, m.match, o)}`;
    else out += "\n";
    return out;
  }
  return `${out} buffer=0x${m.bufferId.toString(16).padStart(8, "0")}\n`;
}

export const ROLES = ["nochange", "equal", "primary", "secondary"];

function role(m: RoleMessage): string {
  const generation = m.generationId === undefined ? "" : ` generation_id=${m.generationId}`;
  return ` role=${ROLES[m.role] ?? m.role}${generation}`;
}

export const ROLE_REASONS = ["primary_request", "configuration_changed", "experimenter_data_changed"];

function roleStatus(m: RoleStatus): string {
  const generation = m.generationId === UNKNOWN64 ? "" : ` generation_id=${m.generationId}`;
  return ` role=${ROLES[m.role] ?? m.role}${generation} reason=${ROLE_REASONS[m.reason] ?? m.reason}`;
}

export const ASYNC: readonly (readonly [
  key: "packetIn" | "portStatus" | "flowRemoved" | "roleStatus" | "tableStatus" | "requestforward",
  title: string,
  reasons: readonly string[],
])[] = [
  ["packetIn", "PACKET_IN", REASONS],
  ["portStatus", "PORT_STATUS", ["add", "delete", "modify"]],
  ["flowRemoved", "FLOW_REMOVED", [0, 1, 2, 3, 4, 5].map(removedReason)],
  ["roleStatus", "ROLE_STATUS", ROLE_REASONS],
  ["tableStatus", "TABLE_STATUS", ["", "", "", "vacancy_down", "vacancy_up"]],
  ["requestforward", "REQUESTFORWARD", ["group_mod_request", "meter_mod_request"]],
];

function asyncText(m: AsyncConfig): string {
  let out = "";
  for (const side of [0, 1] as const) {
    out += `\n ${side === 0 ? "primary" : "secondary"}:\n`;
    for (const [key, title, reasons] of ASYNC) {
      const mask = m[key][side];
      const names: string[] = [];
      for (let bit = 0; bit < 32; bit++) if (mask & (1 << bit)) names.push(reasons[bit] || String(bit));
      out += `${title.padStart(16)}: ${names.length === 0 ? "(off)" : names.join(" ")}\n`;
    }
  }
  return out;
}

export const BUNDLE_CTRL = [
  "OPEN_REQUEST",
  "OPEN_REPLY",
  "CLOSE_REQUEST",
  "CLOSE_REPLY",
  "COMMIT_REQUEST",
  "COMMIT_REPLY",
  "DISCARD_REQUEST",
  "DISCARD_REPLY",
];

export const BUNDLE_FLAGS: readonly (readonly [bit: number, name: string])[] = [
  [1, "atomic"],
  [2, "ordered"],
];

function bundleFlags(flags: number): string {
  return bitNames(flags, BUNDLE_FLAGS, "0");
}

function bundle(m: BundleCtrl): string {
  return `\n bundle_id=${hexNumber(m.bundleId)} type=${BUNDLE_CTRL[m.ctrl] ?? m.ctrl} flags=${bundleFlags(m.flags)}`;
}

function bundleAdd(m: BundleAdd, o: PrintOptions): string {
  return `\n bundle_id=${hexNumber(m.bundleId)} flags=${bundleFlags(m.flags)}\n${printMessage(m.message, o)}`;
}

function ipfix(s: IpfixStats): string {
  return `flows=${s.totalFlows}, current flows=${s.currentFlows}, sampled pkts=${s.pkts}, ipv4 ok=${s.ipv4Pkts}, ipv6 ok=${s.ipv6Pkts}, tx pkts=${s.txPkts}\n          pkts errs=${s.errorPkts}, ipv4 errs=${s.ipv4ErrorPkts}, ipv6 errs=${s.ipv6ErrorPkts}, tx errs=${s.txErrors}\n`.replace(
    "\n          pkts",
    s.collectorSetId === 0 ? "\n                pkts" : "\n          pkts",
  );
}

function tlv(
  command: string,
  maps: readonly { optionClass: number; optionType: number; optionLen: number; index: number }[],
): string {
  let out = `\n ${command} mapping table:\n`;
  out += " class  type  length  match field\n------  ----  ------  --------------";
  for (const map of maps) out += `\n${tlvRow(map)}`;
  return out;
}

function tlvRow(map: { optionClass: number; optionType: number; optionLen: number; index: number }): string {
  const klass = map.optionClass === 0 ? "0" : `0x${map.optionClass.toString(16)}`;
  const type = map.optionType === 0 ? "0" : `0x${map.optionType.toString(16)}`;
  return ` ${klass.padStart(5)}  ${type.padStart(4)}  ${String(map.optionLen).padStart(6)}  tun_metadata${map.index}`;
}

function tlvReply(m: {
  maxSpace: number;
  maxFields: number;
  maps: readonly { optionClass: number; optionType: number; optionLen: number; index: number }[];
}): string {
  const used = m.maps.reduce((sum, map) => sum + map.optionLen, 0);
  let out = `\n max option space=${m.maxSpace} max fields=${m.maxFields}\n`;
  out += ` allocated option space=${used}\n\n mapping table:\n`;
  out += "  class  type  length  match field\n ------  ----  ------  --------------";
  for (const map of m.maps) {
    const klass = `0x${map.optionClass.toString(16)}`;
    const type = `0x${map.optionType.toString(16)}`;
    out += `\n ${klass.padStart(6)}  ${type.padStart(4)}  ${String(map.optionLen).padStart(6)}  tun_metadata${map.index}`;
  }
  return out;
}

function address(bytes: Uint8Array | undefined, v4: boolean): string {
  if (bytes === undefined) return "::";
  const mapped = bytes.subarray(0, 10).every((b) => b === 0) && bytes[10] === 255 && bytes[11] === 255;
  if (v4 && mapped) return formatIpv4(new DataView(bytes.buffer, bytes.byteOffset).getUint32(12));
  return formatIpv6(bytes);
}

function isV4(t: CtTuple): boolean {
  const mapped = (bytes: Uint8Array | undefined): boolean =>
    bytes !== undefined &&
    bytes.subarray(0, 10).every((b) => b === 0) &&
    bytes[10] === 255 &&
    bytes[11] === 255;
  return mapped(t.src) || mapped(t.dst);
}

function tupleText(t: CtTuple, proto: number, v4: boolean, withProto: boolean): string {
  const prefix = v4 ? "ct_nw" : "ct_ipv6";
  let out = `'${prefix}_src=${address(t.src, v4)},${prefix}_dst=${address(t.dst, v4)},`;
  if (proto === 1 || proto === 58) {
    out += `icmp_id=${t.icmpId ?? 0},icmp_type=${t.icmpType ?? 0},icmp_code=${t.icmpCode ?? 0}`;
  } else out += `ct_tp_src=${t.srcPort ?? 0},ct_tp_dst=${t.dstPort ?? 0}`;
  return `${out}${withProto ? `,ct_nw_proto=${proto}` : ""}'`;
}

/** What is to be flushed, without a leading space: zone, mark, labels, both tuples. */
export function formatCtFlush(m: NxtCtFlush): string {
  let out = `zone=${m.zone ?? 0}`;
  if (m.mark !== undefined || m.markMask !== undefined) {
    out += ` mark=${hexNumber(m.mark ?? 0)}`;
    if (m.markMask !== undefined && m.markMask !== 0xffffffff) out += `/${hexNumber(m.markMask)}`;
  }
  if (m.label !== undefined || m.labelMask !== undefined) {
    out += ` labels=${hexNumber(big(m.label))}`;
    const mask = big(m.labelMask);
    if (m.labelMask !== undefined && mask !== (1n << 128n) - 1n) out += `/${hexNumber(mask)}`;
  }
  const v4 = isV4(m.orig) || isV4(m.reply);
  return `${out} ${tupleText(m.orig, m.ipProto, v4, true)} ${tupleText(m.reply, m.ipProto, v4, false)}`;
}

function big(bytes: Uint8Array | undefined): bigint {
  return (bytes ?? new Uint8Array(0)).reduce((sum, b) => (sum << 8n) | BigInt(b), 0n);
}
