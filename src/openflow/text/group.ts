/** Groups and meters in print (upstream: ofp-group, ofp-meter). */
import { formatFieldValue } from "../../flow/match-text.ts";
import { OFPG_ANY } from "../actions.ts";
import type {
  Bucket,
  GroupDesc,
  GroupFeaturesReply,
  GroupMod,
  GroupProps,
  GroupStats,
  MeterBand,
  MeterConfig,
  MeterFeaturesReply,
  MeterMod,
  MeterStats,
} from "../messages.ts";
import { actionsFrom10, actionsFromBits } from "../msg/table.ts";
import { ones } from "../oxm.ts";
import { formatPort } from "../ports.ts";
import { actionsText, bitNames, duration, hexNumber, type PrintOptions } from "./common.ts";

export const GROUP_TYPES = ["all", "select", "indirect", "ff"];
export const GROUP_COMMANDS: Readonly<Record<number, string>> = {
  0: "ADD",
  1: "MOD",
  2: "DEL",
  3: "INSERT_BUCKET",
  5: "REMOVE_BUCKET",
  32768: "ADD_OR_MOD",
};

function bucketText(b: Bucket, groupType: number, withIds: boolean, o: PrintOptions): string {
  let out = ",bucket=";
  if (withIds) out += `bucket_id:${b.bucketId},`;
  if (b.weight !== (groupType === 1 ? 1 : 0)) out += `weight:${b.weight},`;
  if (b.watchPort !== 0xffff) out += `watch_port:${formatPort(b.watchPort, o.ports)},`;
  if (b.watchGroup !== OFPG_ANY) out += `watch_group:${b.watchGroup},`;
  return `${out}actions=${actionsText(b.actions, o)}`;
}

function propsText(props: GroupProps): string {
  let out = "";
  if (props.selectionMethod !== "") {
    out += `,selection_method=${props.selectionMethod}`;
    if (props.selectionMethodParam !== 0n) out += `,selection_method_param=${props.selectionMethodParam}`;
    if (props.fields.length === 1) out += `,fields=${groupFieldText(props.fields[0]!)}`;
    else if (props.fields.length > 1) {
      const sorted = [...props.fields].sort((a, b) => a.field.id - b.field.id);
      out += `,fields(${sorted.map(groupFieldText).join(",")})`;
    }
  }
  return out;
}

export function groupFieldText({ field, value }: GroupProps["fields"][number]): string {
  if (value === ones(field.bytes * 8) || value === ones(field.bits)) return field.name;
  return `${field.name}=${formatFieldValue(field, value, ones(field.bits))}`;
}

/** `group_id=…,type=…,bucket=…` of a description or a group_mod's body. */
export function groupBody(
  g: { groupId: number; groupType: number; buckets: readonly Bucket[]; props: GroupProps },
  version: number,
  o: PrintOptions,
  all = "",
): string {
  const id = g.groupId === 0xfffffffc && all !== "" ? all : String(g.groupId);
  let out = `group_id=${id}`;
  if (g.groupType < 4) out += `,type=${GROUP_TYPES[g.groupType]}`;
  out += propsText(g.props);
  const withIds = version >= 6 || version === 1;
  for (const b of g.buckets) out += bucketText(b, g.groupType, withIds, o);
  return out;
}

export function formatGroupMod(m: GroupMod, version: number, o: PrintOptions): string {
  let out = `\n ${GROUP_COMMANDS[m.command] ?? `cmd:${m.command}`} `;
  if ((version === 6 || version === 1) && (m.command === 3 || m.command === 5)) {
    out += `command_bucket_id:${bucketId(m.commandBucketId)},`;
  }
  return (
    out +
    groupBody(
      { ...m, groupType: m.command === 3 || m.command === 5 ? 255 : m.groupType, buckets: m.buckets },
      version,
      o,
      "all",
    )
  );
}

function bucketId(id: number): string {
  return id === 0xffffffff ? "all" : id === 0xfffffffe ? "last" : id === 0xfffffffd ? "first" : String(id);
}

export function formatGroupDesc(g: GroupDesc, version: number, o: PrintOptions): string {
  return `\n ${groupBody(g, version, o)}`;
}

export function formatGroupStats(g: GroupStats): string {
  let out = `\n group_id=${g.groupId},`;
  if (g.duration !== undefined) out += `duration=${duration(g.duration)},`;
  out += `ref_count=${g.refCount},packet_count=${g.packets},byte_count=${g.bytes}`;
  g.buckets.forEach((b, i) => {
    out += `,bucket${i}:packet_count=${b.packets},byte_count=${b.bytes}`;
  });
  return out;
}

const FEATURE_TYPES = ["all", "select", "indirect", "fast failover"];

export function formatGroupFeatures(m: GroupFeaturesReply, version: number): string {
  const names = version === 1 ? actionsFrom10 : actionsFromBits;
  let out = `\n Group table:\n    Types:  ${hexNumber(m.types)}\n    Capabilities:  ${hexNumber(m.capabilities)}\n`;
  FEATURE_TYPES.forEach((name, i) => {
    if (!(m.types & (1 << i))) return;
    out += `    ${name} group:\n       max_groups=${hexNumber(m.maxGroups[i]!)}\n       actions: ${names(m.actions[i]!).join(" ")}\n`;
  });
  return out;
}

export function meterId(id: number): string {
  if (id === 0xffffffff) return "all";
  if (id === 0xfffffffe) return "controller";
  if (id === 0xfffffffd) return "slowpath";
  return String(id);
}

export const BAND_TYPES: readonly (readonly [bit: number, name: string])[] = [
  [1 << 1, "drop"],
  [1 << 2, "dscp_remark"],
];

function bandText(b: MeterBand): string {
  const type = b.bandType === 1 ? "drop" : b.bandType === 2 ? "dscp_remark" : String(b.bandType);
  let out = `\ntype=${type} rate=${b.rate}`;
  if (b.burst !== 0) out += ` burst_size=${b.burst}`;
  if (b.bandType === 2) out += ` prec_level=${b.precLevel}`;
  return out;
}

export const METER_FLAGS: readonly (readonly [bit: number, name: string])[] = [
  [1, "kbps"],
  [2, "pktps"],
  [4, "burst"],
  [8, "stats"],
];

function meterFlags(flags: number): string {
  const names = bitNames(flags & 15, METER_FLAGS, "");
  const rest = flags & ~15;
  const parts = names === "" ? [] : [names];
  if (rest !== 0) parts.push(`flags:0x${rest.toString(16)}`);
  return parts.length === 0 ? "" : `${parts.join(" ")} `;
}

export function formatMeterConfig(c: MeterConfig): string {
  return `meter=${meterId(c.meterId)} ${meterFlags(c.flags)}bands=${c.bands.map(bandText).join("")}\n`;
}

export const METER_COMMANDS = ["ADD", "MOD", "DEL"];

export function formatMeterMod(m: MeterMod): string {
  return ` ${METER_COMMANDS[m.command] ?? `cmd:${m.command}`} ${formatMeterConfig(m)}`;
}

export function formatMeterStats(s: MeterStats): string {
  let out = `meter:${meterId(s.meterId)} flow_count:${s.flowCount} packet_in_count:${s.packets} byte_in_count:${s.bytes} duration:${duration(s.duration)} bands:\n`;
  s.bands.forEach((b, i) => {
    out += `${i}: packet_count:${b.packets} byte_count:${b.bytes}\n`;
  });
  return out;
}

export function formatMeterFeatures(m: MeterFeaturesReply): string {
  const types = bitNames(m.bandTypes, BAND_TYPES, "0");
  let out = `\nmax_meter:${m.maxMeters} max_bands:${m.maxBands} max_color:${m.maxColor}\n`;
  out += `band_types: ${m.bandTypes === 0 ? "0" : types}\n`;
  return `${out}capabilities: ${meterFlags(m.capabilities).trimEnd() || "0"}\n`;
}
