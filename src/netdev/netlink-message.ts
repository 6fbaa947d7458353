/**
 * The form that all messages of rtnetlink have (netlink(7), rtnetlink(7)). Pure: bytes in, bytes out; what they mean is in
 * `rtnetlink.ts` (links), `host-addresses.ts` and `qos/tc-message.ts`.
 *
 *   nlmsghdr:   u32 length, u16 type, u16 flags, u32 sequence, u32 port
 *   head:       a struct of the message's type
 *   attribute:  u16 length, u16 type, value (bytes or attributes), padded to 4 bytes
 */

export const NLM_F_REQUEST = 1;
export const NLM_F_ACK = 4;
export const NLM_F_ECHO = 8;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_DUMP = 0x300;
export const NLM_F_CREATE = 0x400;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
/** Bytes of nlmsghdr. */
export const NLMSG_HEADER = 16;
/** The high bits of an attribute's type say how it is coded. */
const ATTRIBUTE_TYPE = 0x3fff;

export type Attribute = readonly [type: number, value: Value];
export type Value = Uint8Array | readonly Attribute[];

/** Numbers as a struct of u32. */
export function words(...values: number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => {
    view.setUint32(i * 4, value, true);
  });
  return bytes;
}

/** Text as the kernel takes it, ended by a zero. */
/** 16 bits in the network's order. */
export const be16 = (value: number): Uint8Array => Uint8Array.of(value >>> 8, value & 0xff);

export const cString = (text: string): Uint8Array => new TextEncoder().encode(`${text}\0`);

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

export function encodeMessage(
  type: number,
  flags: number,
  sequence: number,
  head: Uint8Array,
  attributes: readonly Attribute[],
): Uint8Array {
  const start = NLMSG_HEADER + padded(head.length);
  const length = start + valueLength(attributes);
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags, true);
  view.setUint32(8, sequence, true);
  bytes.set(head, NLMSG_HEADER);
  attributes.reduce((at, attribute) => writeAttribute(view, at, attribute), start);
  return bytes;
}

export interface NetlinkMessage {
  readonly type: number;
  /** What follows nlmsghdr: a head, then attributes. */
  readonly body: DataView;
}

/** The messages of some datagrams; what is cut off is left out. */
export function* decodeMessages(datagrams: readonly Uint8Array[]): Generator<NetlinkMessage> {
  for (const datagram of datagrams) {
    const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
    for (let at = 0; at + NLMSG_HEADER <= datagram.length; ) {
      const length = view.getUint32(at, true);
      if (length < NLMSG_HEADER || at + length > datagram.length) break;
      const body = new DataView(view.buffer, view.byteOffset + at + NLMSG_HEADER, length - NLMSG_HEADER);
      yield { type: view.getUint16(at + 4, true), body };
      at += padded(length);
    }
  }
}

/** Calls `visit` for each attribute of `view` from place `start` on. */
export function eachAttribute(
  view: DataView,
  start: number,
  visit: (type: number, value: DataView) => void,
): void {
  for (let at = start; at + 4 <= view.byteLength; ) {
    const length = view.getUint16(at, true);
    if (length < 4 || at + length > view.byteLength) return;
    const value = new DataView(view.buffer, view.byteOffset + at + 4, length - 4);
    visit(view.getUint16(at + 2, true) & ATTRIBUTE_TYPE, value);
    at += padded(length);
  }
}

export const bytesOf = (view: DataView): Uint8Array =>
  new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

/** Up to its zero. */
export const textOf = (view: DataView): string =>
  new TextDecoder().decode(bytesOf(view)).replace(/\0.*$/s, "");

/** The errno of an NLMSG_ERROR in the replies: 0 for an acknowledgement, undefined when there is none. */
export function decodeErrno(datagrams: readonly Uint8Array[]): number | undefined {
  for (const { type, body } of decodeMessages(datagrams))
    if (type === NLMSG_ERROR && body.byteLength >= 4) return -body.getInt32(0, true);
  return undefined;
}
