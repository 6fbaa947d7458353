/**
 * Reading and writing a field in a flow row, derived from the field's places. A value is a `number` (unsigned) for
 * fields of up to 32 bits, a `bigint` for any, or big-endian bytes as in NXM and OXM. The same functions serve masks.
 * tun_metadata has no fixed place: see ../tun-metadata.ts.
 */
import type { Flow } from "../layout.ts";
import type { Field } from "./types.ts";

function ones(width: number): number {
  return width === 32 ? -1 : (1 << width) - 1;
}

/** The field's value as an unsigned number; only for fields whose places total 32 bits or fewer. */
export function getField(field: Field, flow: Flow): number {
  return (flow[field.word]! & field.wordBits) >>> field.shift;
}

export function setField(field: Field, flow: Flow, value: number): void {
  const { word, wordBits } = field;
  flow[word] = (flow[word]! & ~wordBits) | ((value << field.shift) & wordBits);
}

/** Any field's value. */
export function getFieldBig(field: Field, flow: Flow): bigint {
  let value = 0n;
  for (const [word, shift, width] of field.places) {
    value = (value << BigInt(width)) | BigInt(((flow[word]! >>> shift) & ones(width)) >>> 0);
  }
  return value;
}

export function setFieldBig(field: Field, flow: Flow, value: bigint): void {
  for (let i = field.places.length - 1; i >= 0; i--) {
    const [word, shift, width] = field.places[i]!;
    const part = Number(BigInt.asUintN(width, value)) | 0;
    flow[word] = (flow[word]! & ~(ones(width) << shift)) | (part << shift);
    value >>= BigInt(width);
  }
}

/** Writes the value as `field.bytes` big-endian bytes. */
export function readFieldBytes(field: Field, flow: Flow, out: Uint8Array, at: number): void {
  let value = getFieldBig(field, flow);
  for (let i = field.bytes - 1; i >= 0; i--) {
    out[at + i] = Number(value & 0xffn);
    value >>= 8n;
  }
}

/** Sets the field from `field.bytes` big-endian bytes; bits beyond its places are ignored. */
export function writeFieldBytes(field: Field, flow: Flow, bytes: Uint8Array, at: number): void {
  let value = 0n;
  for (let i = 0; i < field.bytes; i++) value = (value << 8n) | BigInt(bytes[at + i]!);
  setFieldBig(field, flow, value);
}

/** All `field.bits` bits of the field are set in the mask. */
export function isFieldExact(field: Field, mask: Flow): boolean {
  for (const [word, shift, width] of field.places) {
    const bits = ones(width) << shift;
    if ((mask[word]! & bits) !== bits) return false;
  }
  return true;
}

/** No bit of the field is set in the mask (or the value is zero). */
export function isFieldZero(field: Field, mask: Flow): boolean {
  if ((mask[field.word]! & field.wordBits) !== 0) return false;
  const { places } = field;
  for (let i = 1; i < places.length; i++) {
    const [word, shift, width] = places[i]!;
    if ((mask[word]! & (ones(width) << shift)) !== 0) return false;
  }
  return true;
}

/** Sets (or clears) every bit of the field in a mask, as un-wildcarding does. */
export function fillField(field: Field, mask: Flow): void {
  mask[field.word] = mask[field.word]! | field.wordBits;
  const { places } = field;
  for (let i = 1; i < places.length; i++) {
    const [word, shift, width] = places[i]!;
    mask[word] = mask[word]! | (ones(width) << shift);
  }
}

export function clearField(field: Field, mask: Flow): void {
  for (const [word, shift, width] of field.places) mask[word] = mask[word]! & ~(ones(width) << shift);
}
