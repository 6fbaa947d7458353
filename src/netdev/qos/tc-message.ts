/**
 * Messages about queueing disciplines and classes (rtnetlink(7), linux/rtnetlink.h, linux/pkt_sched.h). Pure.
 *
 *   nlmsghdr:   u32 length, u16 type, u16 flags, u32 sequence, u32 port
 *   tcmsg:      u8 family, 3 unused, i32 ifindex, u32 handle, u32 parent, u32 info
 *   attribute:  u16 length, u16 type, value (bytes or attributes), padded to 4 bytes
 */

export const RTM_NEWQDISC = 36;
export const RTM_DELQDISC = 37;
export const RTM_GETQDISC = 38;
export const RTM_NEWTCLASS = 40;
export const RTM_DELTCLASS = 41;
export const RTM_GETTCLASS = 42;

export const NLM_F_REQUEST = 1;
export const NLM_F_ACK = 4;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_DUMP = 0x300;

/** Parent of what a device sends through first. */
export const TC_H_ROOT = 0xffffffff;

const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TCA_STATS2 = 7;
const TCA_STATS_BASIC = 1;
const TCA_STATS_QUEUE = 3;
const TCA_STATS_PKT64 = 8;
/** nlmsghdr and tcmsg. */
const HEADER_BYTES = 36;

export type Attribute = readonly [type: number, value: Value];
export type Value = Uint8Array | readonly Attribute[];

export interface TcMessage {
  readonly type: number;
  readonly flags: number;
  readonly ifindex: number;
  /** Major number << 16 | minor number. */
  readonly handle: number;
  readonly parent: number;
  /** With its options; undefined where the message has none. */
  readonly kind?: string;
  readonly options?: Value;
}

/** Numbers as a struct of u32. */
export function words(...values: number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => {
    view.setUint32(i * 4, value, true);
  });
  return bytes;
}

const padded = (length: number): number => (length + 3) & ~3;

function isBytes(value: Value): value is Uint8Array {
  return value instanceof Uint8Array;
}

function valueLength(value: Value): number {
  if (isBytes(value)) return value.length;
  return value.reduce((sum, [, inner]) => sum + 4 + padded(valueLength(inner)), 0);
}

function writeAttribute(view: DataView, at: number, [type, value]: Attribute): number {
  const length = 4 + valueLength(value);
  view.setUint16(at, length, true);
  view.setUint16(at + 2, type, true);
  if (isBytes(value)) new Uint8Array(view.buffer).set(value, at + 4);
  else value.reduce((to, inner) => writeAttribute(view, to, inner), at + 4);
  return at + padded(length);
}

export function encodeTc(message: TcMessage, sequence: number): Uint8Array {
  const attributes: Attribute[] = [];
  if (message.kind !== undefined) attributes.push([TCA_KIND, new TextEncoder().encode(`${message.kind}\0`)]);
  if (message.options !== undefined) attributes.push([TCA_OPTIONS, message.options]);
  const length = HEADER_BYTES + valueLength(attributes);
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, length, true);
  view.setUint16(4, message.type, true);
  view.setUint16(6, message.flags, true);
  view.setUint32(8, sequence, true);
  view.setInt32(20, message.ifindex, true);
  view.setUint32(24, message.handle, true);
  view.setUint32(28, message.parent, true);
  attributes.reduce((at, attribute) => writeAttribute(view, at, attribute), HEADER_BYTES);
  return bytes;
}

/** A discipline or class as the kernel tells of it. */
export interface TcObject {
  readonly ifindex: number;
  readonly handle: number;
  readonly parent: number;
  readonly kind: string;
  readonly packets: number;
  readonly bytes: number;
  readonly drops: number;
}

/** Calls `visit` for each attribute between two places. */
function eachAttribute(
  view: DataView,
  start: number,
  end: number,
  visit: (type: number, at: number, length: number) => void,
): void {
  for (let at = start; at + 4 <= end; ) {
    const length = view.getUint16(at, true);
    if (length < 4 || at + length > end) return;
    visit(view.getUint16(at + 2, true) & 0x3fff, at + 4, length - 4);
    at += padded(length);
  }
}

function decodeObject(view: DataView, start: number, end: number): TcObject {
  const found = { kind: "", packets: 0, bytes: 0, drops: 0 };
  eachAttribute(view, start + 20, end, (type, at, length) => {
    if (type === TCA_KIND) {
      const text = new Uint8Array(view.buffer, view.byteOffset + at, length);
      found.kind = new TextDecoder().decode(text).replace(/\0.*$/s, "");
    }
    if (type !== TCA_STATS2) return;
    let wide: number | undefined;
    eachAttribute(view, at, at + length, (inner, from, size) => {
      if (inner === TCA_STATS_BASIC && size >= 12) {
        found.bytes = Number(view.getBigUint64(from, true));
        found.packets = view.getUint32(from + 8, true);
      }
      if (inner === TCA_STATS_PKT64 && size >= 8) wide = Number(view.getBigUint64(from, true));
      if (inner === TCA_STATS_QUEUE && size >= 12) found.drops = view.getUint32(from + 8, true);
    });
    if (wide !== undefined) found.packets = wide;
  });
  return {
    ifindex: view.getInt32(start + 4, true),
    handle: view.getUint32(start + 8, true),
    parent: view.getUint32(start + 12, true),
    ...found,
  };
}

/** The disciplines or classes, by the message's type, of a dump. */
export function decodeTc(datagrams: readonly Uint8Array[], wanted: number): TcObject[] {
  const objects: TcObject[] = [];
  for (const datagram of datagrams) {
    const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
    for (let at = 0; at + HEADER_BYTES <= datagram.length; ) {
      const length = view.getUint32(at, true);
      if (length < HEADER_BYTES || at + length > datagram.length) break;
      if (view.getUint16(at + 4, true) === wanted) objects.push(decodeObject(view, at + 16, at + length));
      at += padded(length);
    }
  }
  return objects;
}
