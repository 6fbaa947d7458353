/** Groups, meters, TLV maps, connection flush. */

import { fieldByName, fieldByOxmName } from "../../src/flow/fields/index.ts";
import { parseFieldValue } from "../../src/flow/match-text.ts";
import { Fatal } from "../../src/lib/errors.ts";
import { parseIpv4, parseIpv6 } from "../../src/lib/ip.ts";
import { parseActions, TextError } from "../../src/openflow/actions/registry.ts";
import { keyValues, parseBig } from "../../src/openflow/actions/row.ts";
import { encode } from "../../src/openflow/codec.ts";
import type {
  Bucket,
  CtTuple,
  GroupMod,
  Message,
  MeterMod,
  NxtCtFlush,
  TlvMap,
} from "../../src/openflow/messages.ts";
import { noGroupProps } from "../../src/openflow/msg/group.ts";
import { ones } from "../../src/openflow/oxm.ts";
import { parsePort, parseUint } from "../../src/openflow/ports.ts";
import { P_ANY, protocolVersion, USABLE_13_UP } from "../../src/openflow/protocols.ts";
import { printMessage } from "../../src/openflow/text/print.ts";
import { dumpParts } from "./dumps.ts";
import { readLines } from "./flows.ts";
import { inputNames, openForFlowMods, outputNames, Session } from "./session.ts";
import type { Ofctl } from "./settings.ts";

const OFPGC_ADD = 0;
const OFPGC_MODIFY = 1;
const OFPGC_DELETE = 2;
const OFPGC_INSERT = 3;
const OFPGC_REMOVE = 5;
const OFPGC_ADD_OR_MOD = 0x8000;
const TYPES: Readonly<Record<string, number>> = { all: 0, select: 1, indirect: 2, ff: 3, fast_failover: 3 };

interface Names {
  ports?: import("../../src/flow/match-text.ts").PortNames | undefined;
  tables?: import("../../src/openflow/actions/registry.ts").TableNames | undefined;
}

/** Group syntax of ovs-ofctl(8). */
export function parseGroup(text: string, command: number, names: Names): { gm: GroupMod; usable: number } {
  const gm: GroupMod = {
    type: "group-mod",
    command,
    groupType: 0,
    groupId: 0xfffffffc,
    commandBucketId: 0xffffffff,
    buckets: [],
    props: noGroupProps(),
  };
  let usable = P_ANY;
  let hadType = false;
  let hadCommandBucket = false;
  const at = text.search(/(?:^|[,\s])bucket[s]?=/);
  const head = at < 0 ? text : text.slice(0, at);
  for (const { key, value } of keyValues(head)) {
    if (key === "command_bucket_id") {
      usable &= 256 | 15;
      hadCommandBucket = true;
      gm.commandBucketId = bucketId(value);
    } else if (key === "group_id") {
      if (value === "all") gm.groupId = 0xfffffffc;
      else {
        const id = parseUint(value);
        if (id === undefined) throw new TextError(`invalid numeric format ${value}`);
        if (id > 0xffffff00) throw new TextError(`invalid group id ${id}`);
        gm.groupId = id;
      }
    } else if (key === "type") {
      const type = TYPES[value];
      if (type === undefined) throw new TextError(`invalid group type ${value}`);
      gm.groupType = type;
      hadType = true;
    } else if (key === "selection_method") {
      if (value.length > 15) throw new TextError(`selection method is longer than 15 bytes long`);
      gm.props.selectionMethod = value;
      usable &= 256 | 15;
    } else if (key === "selection_method_param") {
      gm.props.selectionMethodParam = parseBig(value) ?? 0n;
    } else if (key === "fields") {
      for (const item of keyValues(value)) {
        const field = fieldByName(item.key) ?? fieldByOxmName(item.key)?.field;
        if (field === undefined) throw new TextError(`unknown field ${item.key}`);
        if (item.value === "") gm.props.fields.push({ field, value: ones(field.bytes * 8) });
        else {
          const parsed = parseFieldValue(field, item.value, names.ports);
          if ("error" in parsed) throw new TextError(parsed.error);
          gm.props.fields.push({ field, value: parsed.value });
        }
      }
    } else throw new TextError(`unknown keyword ${key}`);
  }
  const wantsBuckets = command !== OFPGC_DELETE && command !== OFPGC_REMOVE;
  if (gm.groupId === 0xfffffffc && wantsBuckets) throw new TextError("must specify a group_id");
  if (!hadType && (command === OFPGC_ADD || command === OFPGC_MODIFY || command === OFPGC_ADD_OR_MOD)) {
    throw new TextError("must specify a type");
  }
  if (gm.props.fields.length > 0 && gm.props.selectionMethod === "") {
    throw new TextError(
      "fields may only be specified with a selection_method".replace(
        /^.*$/,
        "fields specified without a selection method",
      ),
    );
  }
  if ((command === OFPGC_INSERT || command === OFPGC_REMOVE) && !hadCommandBucket) {
    throw new TextError("must specify a command bucket id");
  }
  if (at >= 0) {
    if (!wantsBuckets) throw new TextError("bucket is not needed");
    const body = text.slice(at).replace(/^[,\s]/, "");
    for (const part of body.split(/(?:^|[,\s])bucket[s]?=/).filter((s) => s.trim() !== "")) {
      gm.buckets.push(
        parseBucket(part.replace(/,\s*$/, ""), gm, names, (set) => {
          usable &= set;
        }),
      );
    }
  }
  return { gm, usable: usable };
}

function bucketId(text: string): number {
  if (text === "all") return 0xffffffff;
  if (text === "last") return 0xfffffffe;
  if (text === "first") return 0xfffffffd;
  const id = parseUint(text);
  if (id === undefined || id > 0xffffff00) throw new TextError(`invalid command bucket id ${text}`);
  return id;
}

function parseBucket(text: string, gm: GroupMod, names: Names, narrow: (set: number) => void): Bucket {
  const b: Bucket = {
    bucketId: 0xffffff00,
    weight: gm.groupType === 1 ? 1 : 0,
    watchPort: 0xffff,
    watchGroup: 0xffffffff,
    actions: [],
  };
  const at = /(?:^|[,\s])actions?=/.exec(text);
  const head = at === null ? text : text.slice(0, at.index);
  let actionText = at === null ? "" : text.slice(at.index + at[0].length);
  const loose: string[] = [];
  for (const { key, value } of keyValues(head)) {
    if (key === "weight") {
      b.weight = parseUint(value) ?? -1;
      if (b.weight < 0 || b.weight > 0xffff) throw new TextError(`invalid weight "${value}"`);
    } else if (key === "watch_port") {
      const port = parsePort(value, names.ports);
      if (port === undefined || (port >= 0xff00 && port !== 0xffff))
        throw new TextError(`invalid watch_port ${value}`.replace(/^.*$/, `${value}: invalid watch_port`));
      b.watchPort = port;
    } else if (key === "watch_group") {
      b.watchGroup = parseUint(value) ?? 0xffffffff;
      if (b.watchGroup > 0xffffff00) throw new TextError(`invalid watch_group id ${b.watchGroup}`);
    } else if (key === "bucket_id") {
      const id = parseUint(value);
      if (id === undefined || id > 0xffffff00) throw new TextError(`invalid bucket_id id ${value}`);
      b.bucketId = id;
      narrow(256 | 15);
    } else loose.push(value === "" ? key : `${key}:${value}`);
  }
  if (loose.length > 0) actionText = [...loose, actionText].filter((s) => s !== "").join(",");
  const parsed = parseActions(actionText, { ports: names.ports, tables: names.tables });
  for (const a of parsed.actions) {
    if (
      a.type === "clear_actions" ||
      a.type === "write_actions" ||
      a.type === "write_metadata" ||
      a.type === "goto_table"
    ) {
      throw new TextError(`${a.type} instruction not allowed here`);
    }
  }
  narrow(parsed.usable);
  b.actions = parsed.actions;
  if (b.bucketId === 0xffffff00) b.bucketId = gm.buckets.reduce((max, x) => Math.max(max, x.bucketId + 1), 0);
  return b;
}

async function groupCommand(o: Ofctl, args: string[], command: number): Promise<void> {
  const names = (await inputNames(o, args[0]!)) ?? {};
  const { gm, usable } = parseGroup(args[1] ?? "", command, names);
  const session = await openForFlowMods(o, args[0]!, usable);
  await session.noReply(gm);
  session.close();
}

export const addGroup = (o: Ofctl, args: string[]): Promise<void> => groupCommand(o, args, OFPGC_ADD);
export const modGroup = (o: Ofctl, args: string[]): Promise<void> =>
  groupCommand(o, args, o.settings.mayCreate ? OFPGC_ADD_OR_MOD : OFPGC_MODIFY);
export const delGroups = (o: Ofctl, args: string[]): Promise<void> => groupCommand(o, args, OFPGC_DELETE);
export const insertBuckets = (o: Ofctl, args: string[]): Promise<void> => groupCommand(o, args, OFPGC_INSERT);
export const removeBuckets = (o: Ofctl, args: string[]): Promise<void> => groupCommand(o, args, OFPGC_REMOVE);

export async function addGroups(o: Ofctl, args: string[]): Promise<void> {
  const names = (await inputNames(o, args[0]!)) ?? {};
  let usable = P_ANY;
  const list: GroupMod[] = [];
  for (const { text, line } of await readLines(o, args[1]!)) {
    try {
      const parsed = parseGroup(text.replace(/^add\s+/, ""), OFPGC_ADD, names);
      usable &= parsed.usable;
      list.push(parsed.gm);
    } catch (error) {
      if (error instanceof TextError) throw new Fatal(`${args[1]}:${line}: ${error.message}`);
      throw error;
    }
  }
  const session = await openForFlowMods(o, args[0]!, usable);
  for (const gm of list) await session.noReply(gm);
  session.close();
}

export async function parseGroupCommand(o: Ofctl, [text]: string[]): Promise<void> {
  const { gm, usable } = parseGroup(text!, OFPGC_ADD, {});
  const wanted = usable & o.settings.protocols;
  if (wanted === 0) throw new Fatal("no usable protocol");
  const bytes = encode(gm, protocolVersion(wanted & -wanted), { xid: 1 });
  o.platform.stdout(printMessage(bytes, { verbosity: o.settings.verbosity }));
}

async function groupDump(
  o: Ofctl,
  args: string[],
  type: "group-request" | "group-desc-request",
): Promise<void> {
  const all = type === "group-request" ? 0xfffffffc : 0xfffffffc;
  const id = args[1] === undefined || args[1] === "all" ? all : parseUint(args[1].replace(/^group_id=/, ""));
  if (id === undefined) throw new Fatal(`invalid group id ${args[1]}`);
  const session = await Session.open(o, args[0]!);
  await dumpParts(o, session, { type, groupId: id }, await outputNames(o, args[0]!));
  session.close();
}

export const dumpGroups = (o: Ofctl, args: string[]): Promise<void> =>
  groupDump(o, args, "group-desc-request");
export const dumpGroupStats = (o: Ofctl, args: string[]): Promise<void> =>
  groupDump(o, args, "group-request");
export async function dumpGroupFeatures(o: Ofctl, [name]: string[]): Promise<void> {
  const session = await Session.open(o, name!);
  await dumpParts(o, session, { type: "group-features-request" });
  session.close();
}

// Meters.

const METER_FLAGS: Readonly<Record<string, number>> = { kbps: 1, pktps: 2, burst: 4, stats: 8 };

function meterNumber(text: string): number {
  if (text === "all") return 0xffffffff;
  if (text === "controller") return 0xfffffffe;
  if (text === "slowpath") return 0xfffffffd;
  const id = parseUint(text);
  if (id === undefined)
    throw new TextError(`invalid value for meter ${text}`.replace(/^.*$/, `invalid numeric format ${text}`));
  if (id === 0 || id > 0xffff0000)
    throw new TextError("invalid value for meter".replace(/^.*$/, `invalid meter id ${text}`));
  return id;
}

export function parseMeter(text: string, command: number): MeterMod {
  const m: MeterMod = { type: "meter-mod", command, flags: 0, meterId: 0, bands: [] };
  const at = text.search(/(?:^|[,\s])bands?=/);
  const head = at < 0 ? text : text.slice(0, at);
  for (const { key, value } of keyValues(head)) {
    if (key === "meter") m.meterId = meterNumber(value);
    else if (METER_FLAGS[key] !== undefined) m.flags |= METER_FLAGS[key];
    else throw new TextError(`unknown keyword ${key}`);
  }
  if (command !== 2 && m.meterId === 0)
    throw new TextError("must specify a meter".replace(/^.*$/, "must specify a meter"));
  if (at >= 0) {
    const body = text.slice(at).replace(/^[,\s]?bands?=/, "");
    let band: MeterMod["bands"][number] | undefined;
    for (const { key, value } of keyValues(body)) {
      if (key === "type") {
        if (value !== "drop" && value !== "dscp_remark")
          throw new TextError(`field type unknown value ${value}`);
        band = { bandType: value === "drop" ? 1 : 2, rate: 0, burst: 0, precLevel: 0 };
        m.bands.push(band);
      } else if (band === undefined)
        throw new TextError("missing band type".replace(/^.*$/, "field type missing"));
      else if (key === "rate") band.rate = Number(value);
      else if (key === "burst_size") band.burst = Number(value);
      else if (key === "prec_level") band.precLevel = Number(value);
      else throw new TextError(`unknown keyword ${key}`);
    }
  }
  if (command !== 2) {
    if (m.bands.length === 0 && at < 0) throw new TextError("must specify bands");
    if ((m.flags & 3) === 0) m.flags |= 1;
    if ((m.flags & 3) === 3) throw new TextError("pktps and kbps flags are mutually exclusive");
    if (!(m.flags & 4)) for (const b of m.bands) if (b.burst !== 0) m.flags |= 4;
  }
  return m;
}

async function meterCommand(o: Ofctl, args: string[], command: number): Promise<void> {
  const m = args[1] === undefined ? parseMeter("meter=all", command) : parseMeter(args[1], command);
  const session = await openForFlowMods(o, args[0]!, USABLE_13_UP);
  await session.noReply(m);
  session.close();
}

export const addMeter = (o: Ofctl, args: string[]): Promise<void> => meterCommand(o, args, 0);
export const modMeter = (o: Ofctl, args: string[]): Promise<void> => meterCommand(o, args, 1);
export const delMeters = (o: Ofctl, args: string[]): Promise<void> => meterCommand(o, args, 2);

async function meterDump(o: Ofctl, args: string[], message: Message): Promise<void> {
  const session = await openForFlowMods(o, args[0]!, USABLE_13_UP);
  await dumpParts(o, session, message);
  session.close();
}

function meterArgument(args: string[]): number {
  return args[1] === undefined ? 0xffffffff : meterNumber(args[1].replace(/^meter=/, ""));
}

export const dumpMeters = (o: Ofctl, args: string[]): Promise<void> =>
  meterDump(o, args, { type: "meter-config-request", meterId: meterArgument(args) });
export const meterStats = (o: Ofctl, args: string[]): Promise<void> =>
  meterDump(o, args, { type: "meter-request", meterId: meterArgument(args) });
export const meterFeatures = (o: Ofctl, args: string[]): Promise<void> =>
  meterDump(o, args, { type: "meter-features-request" });

// TLV maps.

function parseMaps(text: string): TlvMap[] {
  const out: TlvMap[] = [];
  for (const item of text.matchAll(/\{([^}]*)\}->tun_metadata(\d+)/g)) {
    const map: TlvMap = { optionClass: 0xffff, optionType: 0xff, optionLen: 0, index: Number(item[2]) };
    for (const { key, value } of keyValues(item[1]!)) {
      const number = parseUint(value);
      if (number === undefined) throw new TextError(`invalid ${key} "${value}"`);
      if (key === "class") map.optionClass = number;
      else if (key === "type") map.optionType = number;
      else if (key === "len") map.optionLen = number;
      else throw new TextError("invalid tlv mapping");
    }
    out.push(map);
  }
  if (out.length === 0 && text.trim() !== "") throw new TextError("invalid tlv mapping");
  return out;
}

export async function addTlvMap(o: Ofctl, [name, text]: string[]): Promise<void> {
  const maps = parseMaps(text!);
  const session = await Session.open(o, name!);
  await session.noReply({ type: "nxt-tlv-table-mod", command: 0, maps });
  session.close();
}

export async function delTlvMap(o: Ofctl, [name, text]: string[]): Promise<void> {
  const session = await Session.open(o, name!);
  await session.noReply({
    type: "nxt-tlv-table-mod",
    command: text === undefined ? 2 : 1,
    maps: text === undefined ? [] : parseMaps(text),
  });
  session.close();
}

export async function ctFlushZone(o: Ofctl, [name, text]: string[]): Promise<void> {
  const zone = parseUint(text!);
  if (zone === undefined || zone > 0xffff) throw new Fatal(`invalid zone "${text}"`);
  const session = await Session.open(o, name!);
  await session.noReply({ type: "nxt-ct-flush-zone", zone });
  session.close();
}

/** One side of a connection: "ct_nw_src=10.1.1.1,ct_nw_dst=...,ct_tp_src=1" (upstream: ofp-ct). */
function parseTuple(text: string, m: NxtCtFlush): CtTuple {
  const t: CtTuple = {
    src: undefined,
    dst: undefined,
    srcPort: undefined,
    dstPort: undefined,
    icmpId: undefined,
    icmpType: undefined,
    icmpCode: undefined,
  };
  for (const { key, value } of keyValues(text)) {
    if (key === "ct_nw_src" || key === "ct_nw_dst") {
      const ip = parseIpv4(value);
      if (ip === undefined) throw new TextError(`failed to parse field ${key}`);
      const mapped = Uint8Array.from([
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        255,
        255,
        ip >>> 24,
        ip >>> 16,
        ip >>> 8,
        ip,
      ]);
      if (key === "ct_nw_src") t.src = mapped;
      else t.dst = mapped;
    } else if (key === "ct_ipv6_src" || key === "ct_ipv6_dst") {
      const ip = parseIpv6(value);
      if (ip === undefined) throw new TextError(`failed to parse field ${key}`);
      if (key === "ct_ipv6_src") t.src = ip;
      else t.dst = ip;
    } else {
      const number = parseUint(value);
      if (number === undefined) throw new TextError(`failed to parse field ${key}`);
      if (key === "ct_nw_proto") m.ipProto = number;
      else if (key === "ct_tp_src") t.srcPort = number;
      else if (key === "ct_tp_dst") t.dstPort = number;
      else if (key === "icmp_id") t.icmpId = number;
      else if (key === "icmp_type") t.icmpType = number;
      else if (key === "icmp_code") t.icmpCode = number;
      else throw new TextError(`invalid conntrack tuple field: ${key}`);
    }
  }
  return t;
}

function labelBytes(value: bigint): Uint8Array {
  const out = new Uint8Array(16);
  for (let i = 15; i >= 0; i--) {
    out[i] = Number(value & 0xffn);
    value >>= 8n;
  }
  return out;
}

export async function ctFlush(o: Ofctl, args: string[]): Promise<void> {
  const m: NxtCtFlush = {
    type: "nxt-ct-flush",
    ipProto: 0,
    l3Type: 0,
    zone: undefined,
    mark: undefined,
    markMask: undefined,
    label: undefined,
    labelMask: undefined,
    orig: parseTuple("", {} as NxtCtFlush),
    reply: parseTuple("", {} as NxtCtFlush),
  };
  let tuples = 0;
  for (const arg of args.slice(1)) {
    const text = arg.trim();
    if (text === "") {
      continue;
    }
    const zone = /^zone=(.*)$/.exec(text);
    const mark = /^mark=([^/]*)(?:\/(.*))?$/.exec(text);
    const labels = /^labels=([^/]*)(?:\/(.*))?$/.exec(text);
    if (zone !== null) {
      m.zone = parseUint(zone[1]!);
      if (m.zone === undefined || m.zone > 0xffff) throw new Fatal(`failed to parse zone ${zone[1]}`);
    } else if (mark !== null) {
      m.mark = parseUint(mark[1]!);
      m.markMask = mark[2] === undefined ? undefined : parseUint(mark[2]);
      if (m.mark === undefined) throw new Fatal(`failed to parse mark ${mark[1]}`);
    } else if (labels !== null) {
      const value = parseBig(labels[1]!);
      if (value === undefined) throw new Fatal(`failed to parse labels ${labels[1]}`);
      m.label = labelBytes(value);
      if (labels[2] !== undefined) m.labelMask = labelBytes(parseBig(labels[2]) ?? 0n);
    } else {
      const tuple = parseTuple(text, m);
      if (tuples++ === 0) m.orig = tuple;
      else m.reply = tuple;
    }
  }
  const session = await Session.open(o, args[0]!);
  await session.noReply(m);
  session.close();
}
