/**
 * Messages about queueing disciplines, classes and filters (rtnetlink(7), linux/rtnetlink.h, linux/pkt_sched.h). Pure.
 *
 *   tcmsg:      u8 family, 3 unused, i32 ifindex, u32 handle, u32 parent, u32 info
 */
import {
  type Attribute,
  cString,
  decodeMessages,
  eachAttribute,
  encodeMessage,
  textOf,
  type Value,
  words,
} from "../netlink-message.ts";

export const RTM_NEWQDISC = 36;
export const RTM_DELQDISC = 37;
export const RTM_GETQDISC = 38;
export const RTM_NEWTCLASS = 40;
export const RTM_DELTCLASS = 41;
export const RTM_GETTCLASS = 42;
export const RTM_NEWTFILTER = 44;
export const RTM_DELTFILTER = 45;
export const RTM_GETTFILTER = 46;

/** Parent of what a device sends through first. */
export const TC_H_ROOT = 0xffffffff;

const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TCA_STATS2 = 7;
const TCA_STATS_BASIC = 1;
const TCA_STATS_QUEUE = 3;
const TCA_STATS_PKT64 = 8;
/** Bytes of tcmsg. */
const HEAD_BYTES = 20;

export interface TcMessage {
  readonly type: number;
  readonly flags: number;
  readonly ifindex: number;
  /** Major number << 16 | minor number. */
  readonly handle: number;
  readonly parent: number;
  /** Of a filter: preference << 16 | protocol, as on the wire. */
  readonly info?: number;
  /** With its options; undefined where the message has none. */
  readonly kind?: string;
  readonly options?: Value;
}

export function encodeTc(message: TcMessage, sequence: number): Uint8Array {
  const attributes: Attribute[] = [];
  if (message.kind !== undefined) attributes.push([TCA_KIND, cString(message.kind)]);
  if (message.options !== undefined) attributes.push([TCA_OPTIONS, message.options]);
  const head = words(0, message.ifindex, message.handle, message.parent, message.info ?? 0);
  return encodeMessage(message.type, message.flags, sequence, head, attributes);
}

/** A discipline, class or filter as the kernel tells of it. */
export interface TcObject {
  readonly ifindex: number;
  readonly handle: number;
  readonly parent: number;
  readonly info: number;
  readonly kind: string;
  readonly options: DataView | undefined;
  readonly packets: number;
  readonly bytes: number;
  readonly drops: number;
}

function decodeObject(body: DataView): TcObject {
  const found = { kind: "", options: undefined as DataView | undefined, packets: 0, bytes: 0, drops: 0 };
  eachAttribute(body, HEAD_BYTES, (type, value) => {
    if (type === TCA_KIND) found.kind = textOf(value);
    if (type === TCA_OPTIONS) found.options = value;
    if (type !== TCA_STATS2) return;
    let wide: number | undefined;
    eachAttribute(value, 0, (inner, stats) => {
      if (inner === TCA_STATS_BASIC && stats.byteLength >= 12) {
        found.bytes = Number(stats.getBigUint64(0, true));
        found.packets = stats.getUint32(8, true);
      }
      if (inner === TCA_STATS_PKT64 && stats.byteLength >= 8) wide = Number(stats.getBigUint64(0, true));
      if (inner === TCA_STATS_QUEUE && stats.byteLength >= 12) found.drops = stats.getUint32(8, true);
    });
    if (wide !== undefined) found.packets = wide;
  });
  return {
    ifindex: body.getInt32(4, true),
    handle: body.getUint32(8, true),
    parent: body.getUint32(12, true),
    info: body.getUint32(16, true),
    ...found,
  };
}

/** The disciplines, classes or filters, by the message's type, of a dump. */
export function decodeTc(datagrams: readonly Uint8Array[], wanted: number): TcObject[] {
  const objects: TcObject[] = [];
  for (const { type, body } of decodeMessages(datagrams))
    if (type === wanted && body.byteLength >= HEAD_BYTES) objects.push(decodeObject(body));
  return objects;
}
