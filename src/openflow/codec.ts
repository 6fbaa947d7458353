/**
 * OpenFlow messages, bytes to values and back: the message registry and the header around its rows (upstream:
 * ofp-msgs, ofp-util). {@link decode} takes one whole message and returns it or an {@link OfpError}; it never throws
 * anything else and never allocates more than a small multiple of its input. {@link encode} writes one.
 */
import { NX_VENDOR, OfpError, ONF_VENDOR } from "./errors.ts";
import { logDecodeError } from "./log.ts";
import type { Decoded, Message, MessageType, Version } from "./messages.ts";
import { BUNDLE_ROWS, setInnerCodec } from "./msg/bundle.ts";
import { CORE_ROWS } from "./msg/core.ts";
import { FLOW_ROWS } from "./msg/flow.ts";
import { GROUP_ROWS } from "./msg/group.ts";
import { METER_ROWS } from "./msg/meter.ts";
import { MONITOR_ROWS } from "./msg/monitor.ts";
import { NICIRA_ROWS } from "./msg/nicira.ts";
import { PACKET_ROWS } from "./msg/packet.ts";
import { PORT_ROWS } from "./msg/port.ts";
import type { DecodeOptions, EncodeOptions, Kind, MessageRow } from "./msg/row.ts";
import { TABLE_ROWS } from "./msg/table.ts";
import { Reader, Writer } from "./wire.ts";

export const MESSAGES: readonly MessageRow[] = [
  ...CORE_ROWS,
  ...PORT_ROWS,
  ...FLOW_ROWS,
  ...PACKET_ROWS,
  ...TABLE_ROWS,
  ...GROUP_ROWS,
  ...METER_ROWS,
  ...MONITOR_ROWS,
  ...BUNDLE_ROWS,
  ...NICIRA_ROWS,
];

const byWire = new Map<string, MessageRow>();
/** Rows of kind "msg" by `version << 8 | type`. */
const plain: (MessageRow | undefined)[] = [];
/** By version, then type. */
const byType = Array.from({ length: 7 }, () => new Map<MessageType, MessageRow[]>());
for (const row of MESSAGES) {
  for (let v = row.first; v <= Math.min(row.last, 6); v++) {
    byWire.set(`${v}.${row.kind}.${row.number}`, row);
    if (row.kind === "msg") plain[(v << 8) | row.number] = row;
    const list = byType[v]!.get(row.type);
    if (list === undefined) byType[v]!.set(row.type, [row]);
    else list.push(row);
  }
}

/** Where a version has its multipart messages. */
function statsType(version: number, reply: boolean): number {
  return (version === 1 ? 16 : 18) + (reply ? 1 : 0);
}

export interface Header {
  version: number;
  type: number;
  length: number;
  xid: number;
}

/** The 8 bytes that every message starts with. */
export function readHeaderAt(bytes: Uint8Array, at = 0): Header {
  return {
    version: bytes[at]!,
    type: bytes[at + 1]!,
    length: (bytes[at + 2]! << 8) | bytes[at + 3]!,
    xid: ((bytes[at + 4]! << 24) | (bytes[at + 5]! << 16) | (bytes[at + 6]! << 8) | bytes[at + 7]!) >>> 0,
  };
}

export function setXid(bytes: Uint8Array, xid: number): void {
  bytes[4] = xid >>> 24;
  bytes[5] = xid >>> 16;
  bytes[6] = xid >>> 8;
  bytes[7] = xid;
}

export interface Found {
  row: MessageRow;
  /** Offset of the body. */
  body: number;
  more: boolean;
  flags: number;
}

function bad(error: string, text: string): OfpError {
  return new OfpError(error, text, "ofp_msgs");
}

/** Finds the row of a message and checks its length. */
export function identify(bytes: Uint8Array): Found | OfpError {
  try {
    return find(bytes);
  } catch (error) {
    if (error instanceof OfpError) return error;
    throw error;
  }
}

/** The name of a message of which perhaps only the beginning is there; undefined: cannot be told. */
export function messageName(bytes: Uint8Array): string | undefined {
  try {
    return find(bytes, false).row.name;
  } catch {
    return undefined;
  }
}

function find(bytes: Uint8Array, whole = true): Found {
  const { version, type } = readHeaderAt(bytes);
  const own = plain[(version << 8) | type];
  if (own !== undefined) {
    if (whole) checkLength(own, bytes.length, 8);
    return { row: own, body: 8, more: false, flags: 0 };
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let kind: Kind = "msg";
  let number = type;
  let body = 8;
  let flags = 0;
  const request = type === statsType(version, false);
  const reply = type === statsType(version, true);
  const need = (count: number, what: string): void => {
    if (bytes.length < count) throw bad("OFPBRC_BAD_LEN", `truncated ${what}`);
  };
  if (type === 4) {
    need(16, "message");
    const vendor = view.getUint32(8);
    number = view.getUint32(12);
    body = 16;
    if (vendor === NX_VENDOR) kind = "nx";
    else if (vendor === ONF_VENDOR) kind = "onf";
    else throw bad("OFPBRC_BAD_VENDOR", `message for unknown vendor 0x${vendor.toString(16)}`);
  } else if ((request || reply) && version >= 1 && version <= 6) {
    need(version === 1 ? 12 : 16, "stats");
    number = view.getUint16(8);
    flags = view.getUint16(10);
    body = version === 1 ? 12 : 16;
    kind = request ? "request" : "reply";
    if (number === 0xffff) {
      need(24, "stats");
      const vendor = view.getUint32(version === 1 ? 12 : 16);
      number = view.getUint32(version === 1 ? 16 : 20);
      body = 24;
      if (vendor === NX_VENDOR) kind = request ? "nxrequest" : "nxreply";
      else if (vendor === ONF_VENDOR) kind = request ? "onfrequest" : "onfreply";
      else throw bad("OFPBRC_BAD_VENDOR", `stats for unknown vendor 0x${vendor.toString(16)}`);
    }
  }
  const row =
    byWire.get(`${version}.${kind}.${number}`) ?? (kind === "msg" && number === 0 ? CORE_ROWS[0] : undefined);
  if (row === undefined) throw unknown(version, kind, number, type);
  if (whole) checkLength(row, bytes.length, body);
  return {
    row,
    body,
    more: (kind.endsWith("reply") || kind.endsWith("request")) && (flags & 1) !== 0,
    flags,
  };
}

function unknown(version: number, kind: Kind, number: number, type: number): OfpError {
  if (kind === "msg")
    return bad("OFPBRC_BAD_TYPE", `unknown OpenFlow message (version ${version}, type ${type})`);
  if (kind === "nx" || kind === "onf") {
    const vendor = (kind === "nx" ? NX_VENDOR : ONF_VENDOR).toString(16);
    return bad(
      "OFPBRC_BAD_SUBTYPE",
      `unknown OpenFlow message (version ${version}, type 4, vendor 0x${vendor}, subtype ${number})`,
    );
  }
  const stat = number;
  if (kind === "request" || kind === "reply") {
    return bad(
      "OFPBRC_BAD_STAT",
      `unknown OpenFlow message (version ${version}, type ${type}, stat ${stat})`,
    );
  }
  return bad(
    "OFPBRC_BAD_SUBTYPE",
    `unknown OpenFlow message (version ${version}, type ${type}, stat 65535, vendor 0x${(kind.startsWith("nx") ? NX_VENDOR : ONF_VENDOR).toString(16)}, subtype ${number})`,
  );
}

function checkLength(row: MessageRow, length: number, body: number): void {
  const size = length - body;
  const min = row.min + body;
  if (row.unit === 0) {
    if (size !== row.min) {
      throw bad(
        "OFPBRC_BAD_LEN",
        `received ${row.name} with incorrect length ${length} (expected length ${min})`,
      );
    }
  } else if (row.unit === 1) {
    if (size < row.min) {
      throw bad(
        "OFPBRC_BAD_LEN",
        `received ${row.name} with incorrect length ${length} (must be at least ${min} bytes)`,
      );
    }
  } else if (size < row.min || (size - row.min) % row.unit !== 0) {
    throw bad(
      "OFPBRC_BAD_LEN",
      `received ${row.name} with incorrect length ${length} (must be exactly ${min} bytes or longer by an integer multiple of ${row.unit} bytes)`,
    );
  }
}

/**
 * Decodes one message; `bytes` is as long as its header says. On an error the name is known when `identify` succeeds.
 */
export function decode(bytes: Uint8Array, options: DecodeOptions = {}): Decoded | OfpError {
  if (bytes.length >= 8) return decodeFound(bytes, undefined, options);
  const error = bad("OFPBRC_BAD_LEN", "message is shorter than a header");
  logDecodeError(error);
  return error;
}

/** The same of a message that {@link identify} may have found already. */
export function decodeFound(
  bytes: Uint8Array,
  identified: Found | undefined,
  options: DecodeOptions,
): Decoded | OfpError {
  try {
    const found = identified ?? find(bytes);
    const version = bytes[0] as Version;
    const message = found.row.decode(new Reader(bytes, found.body), version, options);
    const xid = readHeaderAt(bytes).xid;
    return { version, xid, name: found.row.name, more: found.more, message };
  } catch (error) {
    if (error instanceof OfpError) {
      logDecodeError(error);
      return error;
    }
    if (error instanceof RangeError) return new OfpError("OFPBRC_BAD_LEN");
    throw error;
  }
}

/** Chooses the row that writes `message` in `version`; undefined when the version cannot say it. */
function rowFor(message: Message, version: Version, options: EncodeOptions): MessageRow | undefined {
  const list = byType[version]!.get(message.type);
  if (list === undefined) return undefined;
  if (list.length === 1) return list[0];
  if (options.name !== undefined) return list.find((row) => row.name === options.name);
  const extended = version === 1 && options.nxm === true && EXTENDED.has(message.type);
  for (let i = 0; i < list.length; i++) {
    const { kind } = list[i]!;
    if (extended ? kind.startsWith("nx") : kind === "msg" || kind === "request" || kind === "reply") {
      return list[i];
    }
  }
  return list[0];
}

/** What 1.0 has in Nicira's extended format, too. */
const EXTENDED: ReadonlySet<MessageType> = new Set([
  "flow-mod",
  "flow-removed",
  "flow-request",
  "aggregate-request",
  "flow-reply",
  "aggregate-reply",
]);

export interface EncodeMessageOptions extends EncodeOptions {
  xid?: number;
  /** A multipart message that more parts follow. */
  more?: boolean;
}

/** Writes header and, for experimenter and multipart messages, what follows it; `end` fixes the length. */
export function beginMessage(w: Writer, row: MessageRow, version: number, xid: number, flags = 0): number {
  const start = w.pos;
  const { kind, number } = row;
  w.room(32);
  w.u8(version);
  if (kind === "msg") w.u8(number);
  else if (kind === "nx" || kind === "onf") w.u8(4);
  else w.u8(statsType(version, kind.endsWith("reply")));
  w.u16(0);
  w.u32(xid);
  if (kind === "msg") return start;
  if (kind === "nx" || kind === "onf") {
    w.u32(kind === "nx" ? NX_VENDOR : ONF_VENDOR);
    w.u32(number);
    return start;
  }
  const vendor = kind.startsWith("nx") ? NX_VENDOR : kind.startsWith("onf") ? ONF_VENDOR : 0;
  w.u16(vendor === 0 ? number : 0xffff);
  w.u16(flags);
  if (version > 1) w.u32(0);
  if (vendor !== 0) {
    w.u32(vendor);
    w.u32(number);
    if (version === 1) w.u32(0);
  }
  return start;
}

/** Appends a whole message to `w`. Throws OfpError when the version has no such message. */
export function encodeTo(
  w: Writer,
  message: Message,
  version: Version,
  options: EncodeMessageOptions = {},
): void {
  const row = rowFor(message, version, options);
  if (row === undefined) throw new OfpError("OFPBRC_BAD_TYPE", `no ${message.type} in version ${version}`);
  const start = beginMessage(w, row, version, options.xid ?? 0, options.more ? 1 : 0);
  row.encode(message, w, version, options);
  w.setU16(start + 2, w.pos - start);
}

/** One message as bytes of its own. */
export function encode(message: Message, version: Version, options: EncodeMessageOptions = {}): Uint8Array {
  const w = new Writer(128);
  encodeTo(w, message, version, options);
  return w.done();
}

setInnerCodec({
  decode(bytes) {
    const decoded = decode(bytes);
    return decoded instanceof OfpError ? decoded : decoded.message;
  },
  encode: (m, version, xid) => encode(m, version, { xid }),
});

/** The first version that has a message type, as OpenFlow itself knows it; 0: none has. */
export function firstVersion(type: MessageType): Version | 0 {
  for (let v = 1; v <= 6; v++) {
    if (byType[v]!.get(type)?.some((row) => !row.kind.startsWith("nx"))) return v as Version;
  }
  return 0;
}

/** The row of a message type in a version, for writers that fill in the body themselves (replies.ts). */
export function messageRow(type: MessageType, version: Version, nx = false): MessageRow | undefined {
  const list = byType[version]?.get(type);
  return list?.find((row) => row.kind.startsWith("nx") === nx) ?? list?.[0];
}

export type { DecodeOptions, EncodeOptions } from "./msg/row.ts";
