/**
 * Connections that the kernel tracks, by ctnetlink (linux/netfilter/nfnetlink_conntrack.h; upstream: lib/netlink-conntrack). All
 * datapaths of the network namespace, and the host's firewall, share them. How many a zone may have is openvswitch.ko's to say.
 *
 *   nlmsghdr, nfgenmsg: u8 address family, u8 version, u16 resource; attributes, whose numbers are in the network's order
 */
import { IPPROTO_ICMP, IPPROTO_SCTP, IPPROTO_TCP } from "../../flow/packet/ethernet.ts";
import { codeOf, errnoName, osError } from "../../lib/errors.ts";
import {
  type Attribute,
  be16,
  bytesOf,
  decodeMessages,
  eachAttribute,
  encodeMessage,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_ECHO,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  textOf,
} from "../../netdev/netlink-message.ts";
import {
  type CtCounters,
  type CtEntry,
  type CtLimit,
  type CtProtoinfo,
  type CtTuple,
  type DpConntrack,
  isIcmp,
  STATUS_TEMPLATE,
} from "../conntrack.ts";
import { type Families, OVS_HEADER } from "./families.ts";
import * as U from "./uapi.ts";

const AF_UNSPEC = 0;
const AF_INET = 2;
const AF_INET6 = 10;
const NFGENMSG = 4;
// NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_*.
const CT_NEW = 0x100;
const CT_GET = 0x101;
const CT_DELETE = 0x102;

const TUPLE_ORIG = 1;
const TUPLE_REPLY = 2;
const STATUS = 3;
const PROTOINFO = 4;
const HELP = 5;
const TIMEOUT = 7;
const MARK = 8;
const COUNTERS_ORIG = 9;
const COUNTERS_REPLY = 10;
const ID = 12;
const TUPLE_MASTER = 14;
const ZONE = 18;
const TIMESTAMP = 20;
const LABELS = 22;

const TUPLE_IP = 1;
const TUPLE_PROTO = 2;
const PROTO_NUM = 1;
const PROTO_SRC_PORT = 2;
const PROTO_DST_PORT = 3;
/** Identifier, type and code; those of ICMPv6 follow. */
const PROTO_ICMP = 4;
const PROTO_ICMPV6 = 7;

const ROOM = 64 << 10;
const BUFFER_BYTES = 1 << 20;

/** TCP_CONNTRACK_* by place in TCP_STATES. */
const TCP_STATE_OF = [0, 2, 3, 4, 6, 5, 8, 10, 7, 2] as const;
/** SCTP_CONNTRACK_* by place in SCTP_STATES. */
const SCTP_STATE_OF = [0, 0, 1, 2, 3, 4, 5, 6, 7, 8] as const;

const NO_COUNTERS: CtCounters = { packets: 0, bytes: 0 };
const big = (value: DataView, at: number): number => Number(value.getBigUint64(at));

// ---- Decoding ----

function decodeTuple(value: DataView): CtTuple {
  let [src, dst] = [new Uint8Array(0), new Uint8Array(0)];
  let proto = 0;
  const ends = [0, 0, 0];
  eachAttribute(value, 0, (part, of) => {
    eachAttribute(of, 0, (type, bytes) => {
      if (part === TUPLE_IP) {
        // IPv4's source and destination, then IPv6's.
        if (type % 2 === 1) src = bytesOf(bytes).slice();
        else dst = bytesOf(bytes).slice();
      } else if (part === TUPLE_PROTO) {
        if (type === PROTO_NUM) proto = bytes.getUint8(0);
        else if (type === PROTO_SRC_PORT || type === PROTO_ICMP || type === PROTO_ICMPV6)
          ends[0] = bytes.getUint16(0);
        else if (type === PROTO_DST_PORT) ends[1] = bytes.getUint16(0);
        else if (type === PROTO_ICMP + 1 || type === PROTO_ICMPV6 + 1)
          ends[1] = ends[1]! | (bytes.getUint8(0) << 8);
        else if (type === PROTO_ICMP + 2 || type === PROTO_ICMPV6 + 2) ends[1] = ends[1]! | bytes.getUint8(0);
      }
    });
  });
  return { src, dst, proto, tpSrc: ends[0]!, tpDst: ends[1]! };
}

function decodeCounters(value: DataView): CtCounters {
  const counters = { packets: 0, bytes: 0 };
  eachAttribute(value, 0, (type, of) => {
    if (type === 1) counters.packets = big(of, 0);
    else if (type === 2) counters.bytes = big(of, 0);
  });
  return counters;
}

function decodeProtoinfo(value: DataView): CtProtoinfo | undefined {
  let info: CtProtoinfo | undefined;
  eachAttribute(value, 0, (protocol, of) => {
    const numbers = new Map<number, DataView>();
    eachAttribute(of, 0, (type, number) => numbers.set(type, number));
    const byte = (type: number): number => numbers.get(type)?.getUint8(0) ?? 0;
    if (protocol === 1) {
      const state = TCP_STATE_OF[byte(1)] ?? 0;
      info = {
        proto: IPPROTO_TCP,
        stateOrig: state,
        stateReply: state,
        wscaleOrig: byte(2),
        wscaleReply: byte(3),
        flagsOrig: byte(4),
        flagsReply: byte(5),
      };
    } else if (protocol === 3) {
      // As the original prints them: the tags are not turned round.
      const tag = (type: number): number => numbers.get(type)?.getUint32(0, true) ?? 0;
      info = {
        proto: IPPROTO_SCTP,
        state: SCTP_STATE_OF[byte(1)] ?? 0,
        vtagOrig: tag(2),
        vtagReply: tag(3),
      };
    }
  });
  return info;
}

/** From the message's attributes; undefined for what is no connection. */
function decodeEntry(body: DataView): CtEntry | undefined {
  const parts = new Map<number, DataView>();
  eachAttribute(body, NFGENMSG, (type, value) => parts.set(type, value));
  const orig = parts.get(TUPLE_ORIG);
  const reply = parts.get(TUPLE_REPLY);
  if (orig === undefined || reply === undefined) return undefined;
  const word = (type: number): number => parts.get(type)?.getUint32(0) ?? 0;
  const counters = (type: number): CtCounters => {
    const of = parts.get(type);
    return of === undefined ? NO_COUNTERS : decodeCounters(of);
  };
  const status = word(STATUS);
  if ((status & STATUS_TEMPLATE) !== 0) return undefined;
  const times = [0n, 0n, 0n];
  let helper = "";
  const stamps = parts.get(TIMESTAMP);
  if (stamps !== undefined)
    eachAttribute(stamps, 0, (type, of) => {
      times[type] = of.getBigUint64(0);
    });
  const help = parts.get(HELP);
  if (help !== undefined)
    eachAttribute(help, 0, (type, of) => {
      if (type === 1) helper = textOf(of);
    });
  const labels = parts.get(LABELS);
  const protoinfo = parts.get(PROTOINFO);
  const parent = parts.get(TUPLE_MASTER);
  return {
    orig: decodeTuple(orig),
    reply: decodeTuple(reply),
    parent: parent === undefined ? undefined : decodeTuple(parent),
    id: word(ID),
    zone: parts.get(ZONE)?.getUint16(0) ?? 0,
    status,
    timeoutSec: word(TIMEOUT),
    mark: word(MARK),
    labels: labels === undefined ? 0n : decodeLabels(labels),
    countersOrig: counters(COUNTERS_ORIG),
    countersReply: counters(COUNTERS_REPLY),
    startNs: times[1]!,
    stopNs: times[2]!,
    protoinfo: protoinfo === undefined ? undefined : decodeProtoinfo(protoinfo),
    helper,
  };
}

/** 128 bits, least significant byte first. */
function decodeLabels(value: DataView): bigint {
  let labels = 0n;
  for (let at = Math.min(value.byteLength, 16) - 1; at >= 0; at--)
    labels = (labels << 8n) | BigInt(value.getUint8(at));
  return labels;
}

// ---- Encoding ----

function encodeTuple({ src, dst, proto, tpSrc, tpDst }: CtTuple): Attribute[] {
  const first = src.length === 4 ? 1 : 3;
  const ends: Attribute[] = [[PROTO_NUM, Uint8Array.of(proto)]];
  if (isIcmp(proto)) {
    const at = proto === IPPROTO_ICMP ? PROTO_ICMP : PROTO_ICMPV6;
    ends.push([at, be16(tpSrc)], [at + 1, Uint8Array.of(tpDst >>> 8)], [at + 2, Uint8Array.of(tpDst & 0xff)]);
  } else ends.push([PROTO_SRC_PORT, be16(tpSrc)], [PROTO_DST_PORT, be16(tpDst)]);
  return [
    [
      TUPLE_IP,
      [
        [first, src],
        [first + 1, dst],
      ],
    ],
    [TUPLE_PROTO, ends],
  ];
}

const nfgenmsg = (family: number): Uint8Array => Uint8Array.of(family, 0, 0, 0);

export class KernelConntrack implements DpConntrack {
  private readonly families: Families;
  private readonly dpIfindex: number;
  private sequence = 1;

  constructor(families: Families, dpIfindex: number) {
    this.families = families;
    this.dpIfindex = dpIfindex;
  }

  *dump(zone: number | undefined): Iterable<CtEntry> {
    for (const body of this.bodies(zone)) {
      const entry = decodeEntry(body);
      if (entry !== undefined && (zone === undefined || entry.zone === zone)) yield entry;
    }
  }

  /** Messages about connections. A kernel may look at the zone, or not. */
  private *bodies(zone: number | undefined): Iterable<DataView> {
    const attributes: Attribute[] = zone === undefined ? [] : [[ZONE, be16(zone)]];
    const request = this.message(CT_GET, NLM_F_DUMP, AF_UNSPEC, attributes);
    // One of its own: it is read while others make requests.
    const socket = this.families.system.openNetfilter(BUFFER_BYTES);
    const buffer = new Uint8Array(ROOM);
    try {
      const failed = socket.send(request, request.length);
      if (failed < 0) throw osError(errnoName(-failed), "ctnetlink");
      for (;;) {
        const length = socket.receive(buffer, true);
        if (length < 0) throw osError(errnoName(-length), "ctnetlink");
        for (const { type, body } of decodeMessages([buffer.subarray(0, length)])) {
          if (type === NLMSG_ERROR) throw osError(errnoName(-body.getInt32(0, true)), "ctnetlink");
          if (type === NLMSG_DONE) return;
          if (type === CT_NEW) yield body;
        }
      }
    } finally {
      socket.close();
    }
  }

  flush(zone: number | undefined, orig: CtTuple | undefined): void {
    if (orig !== undefined) {
      const family = orig.src.length === 4 ? AF_INET : AF_INET6;
      this.change(family, [
        [ZONE, be16(zone ?? 0)],
        [TUPLE_ORIG, encodeTuple(orig)],
      ]);
    } else if (zone === undefined) this.change(AF_UNSPEC, []);
    else this.flushZone(zone);
  }

  /** One by one: before Linux 6.8 it takes a zone for all zones. */
  private flushZone(zone: number): void {
    const doomed: [family: number, Attribute[]][] = [];
    for (const body of this.bodies(zone)) {
      const attributes: Attribute[] = [];
      let of = 0;
      eachAttribute(body, NFGENMSG, (type, value) => {
        if (type === ZONE) of = value.getUint16(0);
        if (type === ZONE || type === TUPLE_ORIG || type === ID)
          attributes.push([type, bytesOf(value).slice()]);
      });
      if (of === zone) doomed.push([body.getUint8(0), attributes]);
    }
    for (const [family, attributes] of doomed) {
      try {
        this.change(family, attributes);
      } catch (error) {
        // It may have ended meanwhile.
        if (codeOf(error) !== "ENOENT") throw error;
      }
    }
  }

  private change(family: number, attributes: readonly Attribute[]): void {
    const request = this.message(CT_DELETE, NLM_F_ACK, family, attributes);
    const socket = this.families.system.openNetfilter(BUFFER_BYTES);
    const buffer = new Uint8Array(ROOM);
    try {
      const failed = socket.send(request, request.length);
      const length = failed < 0 ? failed : socket.receive(buffer, true);
      let errno = length < 0 ? -length : 0;
      for (const { type, body } of decodeMessages([buffer.subarray(0, Math.max(0, length))]))
        if (type === NLMSG_ERROR) errno = -body.getInt32(0, true);
      if (errno !== 0) throw osError(errnoName(errno), "ctnetlink");
    } finally {
      socket.close();
    }
  }

  private message(type: number, flags: number, family: number, attributes: readonly Attribute[]): Uint8Array {
    return encodeMessage(type, NLM_F_REQUEST | flags, this.sequence++, nfgenmsg(family), attributes);
  }

  // ---- Limits ----

  limits(zones: readonly number[]): CtLimit[] {
    const wanted = zones.map((zone) => ({ zone, limit: 0 }));
    const attributes = zones.length === 0 ? [] : limitAttributes([{ zone: -1, limit: 0 }, ...wanted]);
    const found: CtLimit[] = [];
    for (const { body } of this.families.request(
      "ovs_ct_limit",
      U.CT_LIMIT_CMD_GET,
      this.dpIfindex,
      attributes,
      NLM_F_ECHO,
    )) {
      // One attribute, an array.
      for (let at = OVS_HEADER + 4; at + 12 <= body.byteLength; at += 12)
        found.push({
          zone: body.getInt32(at, true),
          limit: body.getUint32(at + 4, true),
          count: body.getUint32(at + 8, true),
        });
    }
    return found;
  }

  setLimits(limits: readonly Omit<CtLimit, "count">[]): void {
    this.families.request("ovs_ct_limit", U.CT_LIMIT_CMD_SET, this.dpIfindex, limitAttributes(limits));
  }

  removeLimits(zones: readonly number[]): void {
    const limits = zones.map((zone) => ({ zone, limit: 0 }));
    this.families.request("ovs_ct_limit", U.CT_LIMIT_CMD_DEL, this.dpIfindex, limitAttributes(limits));
  }
}

function limitAttributes(limits: readonly Omit<CtLimit, "count">[]): Attribute[] {
  const words = new Int32Array(limits.flatMap(({ zone, limit }) => [zone, limit | 0, 0]));
  return [[U.CT_LIMIT_ATTR_ZONE_LIMIT, new Uint8Array(words.buffer)]];
}
