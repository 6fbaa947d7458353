/** Nicira's small messages: formats, ids, TLV table, connection flush; asynchronous configuration. Rows of the message registry. */
import { OfpError } from "../errors.ts";
import type {
  AsyncConfig,
  CtTuple,
  IpfixReply,
  IpfixStats,
  NxtCtFlush,
  NxtCtFlushZone,
  NxtFlowAge,
  NxtFlowModTableId,
  NxtFlowMonitorCancel,
  NxtSetControllerId,
  NxtSetFlowFormat,
  NxtSetPacketInFormat,
  NxtTlvTableMod,
  NxtTlvTableReply,
  TlvMap,
} from "../messages.ts";
import type { Reader, Writer } from "../wire.ts";
import { properties, property } from "./port.ts";
import { empty, type Kind, type MessageRow, message } from "./row.ts";

const one = <
  M extends Parameters<typeof message>[0] extends never ? never : import("../messages.ts").Message,
>(
  name: string,
  type: M["type"],
  number: number,
  min: number,
  decode: (r: Reader) => M,
  encode: (m: M, w: Writer) => void,
  kind: Kind = "nx",
  unit = 0,
): MessageRow =>
  message<M>({
    name,
    type,
    kind,
    number,
    first: kind === "onf" ? 4 : 1,
    last: kind === "onf" ? 4 : 6,
    min,
    unit,
    decode: (r) => decode(r),
    encode: (m, w) => encode(m, w),
  });

const tableId = one<NxtFlowModTableId>(
  "NXT_FLOW_MOD_TABLE_ID",
  "nxt-flow-mod-table-id",
  15,
  8,
  (r) => ({ type: "nxt-flow-mod-table-id", set: r.u8() !== 0 }),
  (m, w) => {
    w.u8(m.set ? 1 : 0);
    w.zeros(7);
  },
);

const flowFormat = one<NxtSetFlowFormat>(
  "NXT_SET_FLOW_FORMAT",
  "nxt-set-flow-format",
  12,
  4,
  (r) => {
    const format = r.u32();
    if (format !== 0 && format !== 2) {
      throw new OfpError(
        "OFPBRC_EPERM",
        `NXT_SET_FLOW_FORMAT message specified invalid flow format ${format}`,
        "ofp_protocol",
      );
    }
    return { type: "nxt-set-flow-format", format };
  },
  (m, w) => w.u32(m.format),
);

const packetInFormat = one<NxtSetPacketInFormat>(
  "NXT_SET_PACKET_IN_FORMAT",
  "nxt-set-packet-in-format",
  16,
  4,
  (r) => {
    const format = r.u32();
    if (format > 2) {
      throw new OfpError(
        "OFPBRC_EPERM",
        `NXT_SET_PACKET_IN_FORMAT message specified invalid packet-in format ${format}`,
        "ofp_packet",
      );
    }
    return { type: "nxt-set-packet-in-format", format };
  },
  (m, w) => w.u32(m.format),
);

const flowAge = one<NxtFlowAge>(
  "NXT_FLOW_AGE",
  "nxt-flow-age",
  18,
  0,
  () => ({ type: "nxt-flow-age" }),
  () => {},
);

const controllerId = one<NxtSetControllerId>(
  "NXT_SET_CONTROLLER_ID",
  "nxt-set-controller-id",
  20,
  8,
  (r) => {
    if (!r.zeros(6)) throw new OfpError("NXBRC_MUST_BE_ZERO");
    return { type: "nxt-set-controller-id", controllerId: r.u16() };
  },
  (m, w) => {
    w.zeros(6);
    w.u16(m.controllerId);
  },
);

const cancel = (name: string, kind: Kind, number: number): MessageRow =>
  one<NxtFlowMonitorCancel>(
    name,
    "nxt-flow-monitor-cancel",
    number,
    4,
    (r) => ({ type: "nxt-flow-monitor-cancel", id: r.u32() }),
    (m, w) => w.u32(m.id),
    kind,
  );

function readMaps(r: Reader): TlvMap[] {
  const maps: TlvMap[] = [];
  while (r.left >= 8) {
    const map = { optionClass: r.u16(), optionType: r.u8(), optionLen: r.u8(), index: r.u16() };
    r.skip(2);
    if (map.optionLen > 124 || map.optionLen % 4 !== 0 || map.optionLen === 0)
      throw new OfpError("NXTTMFC_BAD_OPT_LEN");
    if (map.index >= 64) throw new OfpError("NXTTMFC_BAD_FIELD_IDX");
    maps.push(map);
  }
  return maps;
}

function writeMaps(maps: readonly TlvMap[], w: Writer): void {
  for (const map of maps) {
    w.u16(map.optionClass);
    w.u8(map.optionType);
    w.u8(map.optionLen);
    w.u16(map.index);
    w.u16(0);
  }
}

const tlvMod = one<NxtTlvTableMod>(
  "NXT_TLV_TABLE_MOD",
  "nxt-tlv-table-mod",
  24,
  8,
  (r) => {
    const command = r.u16();
    r.skip(6);
    if (command > 2) throw new OfpError("NXTTMFC_BAD_COMMAND");
    return { type: "nxt-tlv-table-mod", command, maps: readMaps(r) };
  },
  (m, w) => {
    w.u16(m.command);
    w.zeros(6);
    writeMaps(m.maps, w);
  },
  "nx",
  8,
);

const tlvReply = one<NxtTlvTableReply>(
  "NXT_TLV_TABLE_REPLY",
  "nxt-tlv-table-reply",
  26,
  16,
  (r) => {
    const maxSpace = r.u32();
    const maxFields = r.u16();
    r.skip(10);
    return { type: "nxt-tlv-table-reply", maxSpace, maxFields, maps: readMaps(r) };
  },
  (m, w) => {
    w.u32(m.maxSpace);
    w.u16(m.maxFields);
    w.zeros(10);
    writeMaps(m.maps, w);
  },
  "nx",
  8,
);

const flushZone = one<NxtCtFlushZone>(
  "NXT_CT_FLUSH_ZONE",
  "nxt-ct-flush-zone",
  29,
  8,
  (r) => {
    if (!r.zeros(6)) throw new OfpError("NXBRC_MUST_BE_ZERO");
    return { type: "nxt-ct-flush-zone", zone: r.u16() };
  },
  (m, w) => {
    w.zeros(6);
    w.u16(m.zone);
  },
);

export function emptyTuple(): CtTuple {
  return {
    src: undefined,
    dst: undefined,
    srcPort: undefined,
    dstPort: undefined,
    icmpId: undefined,
    icmpType: undefined,
    icmpCode: undefined,
  };
}

function readTuple(data: Reader): CtTuple {
  const t = emptyTuple();
  if (!data.zeros(Math.min(4, data.left))) throw new OfpError("NXBRC_MUST_BE_ZERO");
  for (const { type, data: d } of properties(data)) {
    if (type === 0 || type === 1) {
      if (d.left !== 16) throw new OfpError("OFPBPC_BAD_LEN");
      const address = d.take(16);
      if (type === 0) t.src = address;
      else t.dst = address;
    } else if (type === 2 || type === 3 || type === 4) {
      if (d.left < 2) throw new OfpError("OFPBPC_BAD_LEN");
      const value = d.u16();
      if (type === 2) t.srcPort = value;
      else if (type === 3) t.dstPort = value;
      else t.icmpId = value;
    } else if (type === 5 || type === 6) {
      if (d.left < 1) throw new OfpError("OFPBPC_BAD_LEN");
      const value = d.u8();
      if (type === 5) t.icmpType = value;
      else t.icmpCode = value;
    } else {
      throw new OfpError("OFPBPC_BAD_TYPE", `unknown NXT_CT_TUPLE property type ${type}`, "ofp_ct");
    }
  }
  return t;
}

function writeTuple(t: CtTuple, w: Writer): void {
  w.u32(0);
  if (t.src !== undefined) property(w, 0, () => w.put(t.src!));
  if (t.dst !== undefined) property(w, 1, () => w.put(t.dst!));
  if (t.srcPort !== undefined) property(w, 2, () => w.u32(t.srcPort! << 16));
  if (t.dstPort !== undefined) property(w, 3, () => w.u32(t.dstPort! << 16));
  if (t.icmpId !== undefined) property(w, 4, () => w.u32(t.icmpId! << 16));
  if (t.icmpType !== undefined) property(w, 5, () => w.u8(t.icmpType!));
  if (t.icmpCode !== undefined) property(w, 6, () => w.u8(t.icmpCode!));
}

/** An IPv4 address is written as an IPv4-mapped IPv6 one. */
export function isMapped(address: Uint8Array): boolean {
  return address.subarray(0, 10).every((b) => b === 0) && address[10] === 0xff && address[11] === 0xff;
}

function checkFamilies(addresses: readonly (Uint8Array | undefined)[]): void {
  const given = addresses.filter((a) => a !== undefined);
  if (given.some(isMapped) && !given.every(isMapped)) throw new OfpError("OFPBPC_BAD_VALUE");
}

/** Of all connections. */
export function emptyCtFlush(): NxtCtFlush {
  return {
    type: "nxt-ct-flush",
    ipProto: 0,
    zone: undefined,
    mark: undefined,
    markMask: undefined,
    label: undefined,
    labelMask: undefined,
    orig: emptyTuple(),
    reply: emptyTuple(),
  };
}

const ctFlush = one<NxtCtFlush>(
  "NXT_CT_FLUSH",
  "nxt-ct-flush",
  32,
  8,
  (r) => {
    const m = emptyCtFlush();
    m.ipProto = r.u8();
    if (!r.zeros(7)) throw new OfpError("NXBRC_MUST_BE_ZERO");
    for (const { type, data } of properties(r)) {
      if (type === 0) m.orig = readTuple(data);
      else if (type === 1) m.reply = readTuple(data);
      else if (type === 2) {
        data.need(2, "OFPBPC_BAD_LEN");
        m.zone = data.u16();
      } else if (type === 3 || type === 4) {
        data.need(4, "OFPBPC_BAD_LEN");
        if (type === 3) m.mark = data.u32();
        else m.markMask = data.u32();
      } else if (type === 5 || type === 6) {
        if (data.left !== 16) throw new OfpError("OFPBPC_BAD_LEN");
        if (type === 5) m.label = data.take(16);
        else m.labelMask = data.take(16);
      } else {
        throw new OfpError("OFPBPC_BAD_TYPE", `unknown NXT_CT_FLUSH property type ${type}`, "ofp_ct");
      }
    }
    checkFamilies([m.orig.src, m.orig.dst, m.reply.src, m.reply.dst]);
    return m;
  },
  (m, w) => {
    w.u8(m.ipProto);
    w.zeros(7);
    property(w, 0, () => writeTuple(m.orig, w));
    property(w, 1, () => writeTuple(m.reply, w));
    if (m.zone !== undefined) property(w, 2, () => w.u32(m.zone! << 16));
    if (m.mark !== undefined) property(w, 3, () => w.u32(m.mark!));
    if (m.markMask !== undefined) property(w, 4, () => w.u32(m.markMask!));
    if (m.label !== undefined) property(w, 5, () => w.put(m.label!));
    if (m.labelMask !== undefined) property(w, 6, () => w.put(m.labelMask!));
  },
  "nx",
  1,
);

// Asynchronous configuration.

const KINDS = [
  "packetIn",
  "portStatus",
  "flowRemoved",
  "roleStatus",
  "tableStatus",
  "requestforward",
] as const;
type AsyncKind = (typeof KINDS)[number];

export function emptyAsync(type: AsyncConfig["type"]): AsyncConfig {
  return {
    type,
    packetIn: [0, 0],
    portStatus: [0, 0],
    flowRemoved: [0, 0],
    roleStatus: [0, 0],
    tableStatus: [0, 0],
    requestforward: [0, 0],
  };
}

function readAsync13(r: Reader, type: AsyncConfig["type"]): AsyncConfig {
  const m = emptyAsync(type);
  for (const kind of ["packetIn", "portStatus", "flowRemoved"] as const)
    m[kind] = [r.u32() & ALLOWED[kind][1], r.u32() & ALLOWED[kind][1]];
  return m;
}

function writeAsync13(m: AsyncConfig, w: Writer): void {
  for (const kind of ["packetIn", "portStatus", "flowRemoved"] as const) {
    w.u32(m[kind][0]);
    w.u32(m[kind][1]);
  }
}

/** Property type → kind and index: 1.4 has the secondary's masks in even types. */
const ALLOWED: Readonly<Record<AsyncKind, readonly [name: string, mask: number]>> = {
  packetIn: ["PACKET_IN", 0x3f],
  portStatus: ["PORT_STATUS", 7],
  flowRemoved: ["FLOW_REMOVED", 0x3f],
  roleStatus: ["ROLE_STATUS", 7],
  tableStatus: ["TABLE_STATUS", 0x18],
  requestforward: ["REQUESTFORWARD", 3],
};

function readAsync14(r: Reader, type: AsyncConfig["type"], loose: boolean): AsyncConfig {
  const m = emptyAsync(type);
  for (const { type: prop, data } of properties(r)) {
    const kind = KINDS[prop >> 1];
    if (kind === undefined) {
      if (prop === 0xfffe || prop === 0xffff) continue;
      throw new OfpError(
        "OFPACFC_UNSUPPORTED",
        `unknown async config property type ${prop}`,
        "ofp_connection",
      );
    }
    if (data.left !== 4) throw new OfpError("OFPBPC_BAD_LEN");
    const mask = data.u32();
    const [name, allowed] = ALLOWED[kind];
    if (mask & ~allowed && !loose) {
      throw new OfpError(
        "OFPACFC_INVALID",
        `bad value 0x${mask.toString(16)} for ${name} (allowed mask 0x${allowed.toString(16)})`,
        "ofp_connection",
      );
    }
    m[kind][prop & 1 ? 0 : 1] = mask & allowed;
  }
  return m;
}

function writeAsync14(m: AsyncConfig, w: Writer): void {
  KINDS.forEach((kind, i) => {
    property(w, i * 2, () => w.u32(m[kind][1]));
    property(w, i * 2 + 1, () => w.u32(m[kind][0]));
  });
}

function asyncRow(
  name: string,
  type: AsyncConfig["type"],
  kind: Kind,
  number: number,
  first: number,
  last: number,
  props: boolean,
): MessageRow {
  return message<AsyncConfig>({
    name,
    type,
    kind,
    number,
    first,
    last,
    min: props ? 0 : 24,
    unit: props ? 1 : 0,
    decode: (r) => (props ? readAsync14(r, type, type === "get-async-reply") : readAsync13(r, type)),
    encode: (m, w) => (props ? writeAsync14(m, w) : writeAsync13(m, w)),
  });
}

// IPFIX statistics.

function ipfix(name: string, type: IpfixReply["type"], number: number, flow: boolean): MessageRow {
  return message<IpfixReply>({
    name,
    type,
    kind: "nxreply",
    number,
    first: 1,
    last: 6,
    min: flow ? 0 : 88,
    unit: flow ? 88 : 0,
    decode(r) {
      const stats: IpfixStats[] = [];
      while (r.left >= 88) {
        const totalFlows = r.u64();
        const currentFlows = r.u64();
        const pkts = r.u64();
        const ipv4Pkts = r.u64();
        const ipv6Pkts = r.u64();
        const errorPkts = r.u64();
        const ipv4ErrorPkts = r.u64();
        const ipv6ErrorPkts = r.u64();
        const txPkts = r.u64();
        const txErrors = r.u64();
        const collectorSetId = r.u32();
        r.skip(4);
        stats.push({
          collectorSetId,
          totalFlows,
          currentFlows,
          pkts,
          ipv4Pkts,
          ipv6Pkts,
          errorPkts,
          ipv4ErrorPkts,
          ipv6ErrorPkts,
          txPkts,
          txErrors,
        });
      }
      return { type, stats };
    },
    encode(m, w) {
      for (const s of m.stats) {
        for (const value of [
          s.totalFlows,
          s.currentFlows,
          s.pkts,
          s.ipv4Pkts,
          s.ipv6Pkts,
          s.errorPkts,
          s.ipv4ErrorPkts,
          s.ipv6ErrorPkts,
          s.txPkts,
          s.txErrors,
        ]) {
          w.u64(value);
        }
        w.u32(s.collectorSetId);
        w.u32(0);
      }
    },
  });
}

export const NICIRA_ROWS: readonly MessageRow[] = [
  tableId,
  flowFormat,
  packetInFormat,
  flowAge,
  controllerId,
  cancel("NXT_FLOW_MONITOR_CANCEL", "nx", 21),
  cancel("ONFT_FLOW_MONITOR_CANCEL", "onf", 1870),
  ...empty("NXT_FLOW_MONITOR_PAUSED", "nxt-flow-monitor-paused", "nx", [22, 1, 6]),
  ...empty("NXT_FLOW_MONITOR_RESUMED", "nxt-flow-monitor-resumed", "nx", [23, 1, 6]),
  ...empty("ONFT_FLOW_MONITOR_PAUSED", "nxt-flow-monitor-paused", "onf", [1871, 4, 4]),
  ...empty("ONFT_FLOW_MONITOR_RESUMED", "nxt-flow-monitor-resumed", "onf", [1872, 4, 4]),
  tlvMod,
  ...empty("NXT_TLV_TABLE_REQUEST", "nxt-tlv-table-request", "nx", [25, 1, 6]),
  tlvReply,
  flushZone,
  ctFlush,
  asyncRow("OFPT_SET_ASYNC", "set-async", "msg", 28, 4, 4, false),
  asyncRow("OFPT_SET_ASYNC", "set-async", "msg", 28, 5, 6, true),
  asyncRow("NXT_SET_ASYNC_CONFIG", "set-async", "nx", 19, 1, 4, false),
  asyncRow("NXT_SET_ASYNC_CONFIG2", "set-async", "nx", 27, 1, 4, true),
  ...empty("OFPT_GET_ASYNC_REQUEST", "get-async-request", "msg", [26, 4, 6]),
  asyncRow("OFPT_GET_ASYNC_REPLY", "get-async-reply", "msg", 27, 4, 4, false),
  asyncRow("OFPT_GET_ASYNC_REPLY", "get-async-reply", "msg", 27, 5, 6, true),
  ...empty("NXST_IPFIX_BRIDGE request", "ipfix-bridge-request", "nxrequest", [3, 1, 6]),
  ...empty("NXST_IPFIX_FLOW request", "ipfix-flow-request", "nxrequest", [4, 1, 6]),
  ipfix("NXST_IPFIX_BRIDGE reply", "ipfix-bridge-reply", 3, false),
  ipfix("NXST_IPFIX_FLOW reply", "ipfix-flow-reply", 4, true),
];
