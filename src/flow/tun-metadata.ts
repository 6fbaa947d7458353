/**
 * tun_metadataN in a match that no TLV table places: the bytes lie one after the other in the flow's option area, and
 * the match's `tunMetadata` slots say where. Presence is a bit of W_TUN_METADATA_PRESENT.
 */
import type { Field } from "./fields/index.ts";
import { type Flow, W_TUN_METADATA, W_TUN_METADATA_PRESENT } from "./layout.ts";
import { copyMatch, type Match, type TunMetadataSlot } from "./match.ts";

const AREA = 256;

function byteAt(row: Flow, at: number): number {
  return (row[W_TUN_METADATA + (at >> 2)]! >>> (24 - (at & 3) * 8)) & 0xff;
}

function setByte(row: Flow, at: number, value: number): void {
  const word = W_TUN_METADATA + (at >> 2);
  const shift = 24 - (at & 3) * 8;
  row[word] = (row[word]! & ~(0xff << shift)) | (value << shift);
}

export function readTunBytes(row: Flow, offset: number, bytes: number): bigint {
  let value = 0n;
  for (let i = 0; i < bytes; i++) value = (value << 8n) | BigInt(byteAt(row, offset + i));
  return value;
}

export function writeTunBytes(row: Flow, offset: number, bytes: number, value: bigint): void {
  for (let i = bytes - 1; i >= 0; i--) {
    setByte(row, offset + i, Number(value & 0xffn));
    value >>= 8n;
  }
}

/** Marks the option as present, in values and mask. */
export function markTunPresent(match: Match, field: Field): void {
  const word = W_TUN_METADATA_PRESENT + (field.index >> 5);
  const bit = 1 << (field.index & 31);
  match.flow[word] = match.flow[word]! | bit;
  match.mask[word] = match.mask[word]! | bit;
}

/**
 * Matches a tun_metadata field of `bytes` bytes (1 … 124), whole without a mask; a zero mask matches only its presence.
 * False when the area is full.
 */
export function setTunMetadata(
  match: Match,
  field: Field,
  bytes: number,
  value: bigint,
  mask: bigint | undefined,
): boolean {
  const bits = mask ?? onesOf(bytes);
  const others = (match.tunMetadata ?? []).filter((slot) => slot.field !== field);
  const old = (match.tunMetadata ?? []).find((slot) => slot.field === field);
  const size = (bytes + 3) & ~3;
  let offset = 0;
  if (old !== undefined && old.bytes === bytes) offset = old.offset;
  else {
    for (const slot of [...others].sort((a, b) => a.offset - b.offset)) {
      if (slot.offset - offset >= size) break;
      offset = slot.offset + ((slot.bytes + 3) & ~3);
    }
    if (offset + size > AREA) return false;
    if (old !== undefined) {
      writeTunBytes(match.flow, old.offset, old.bytes, 0n);
      writeTunBytes(match.mask, old.offset, old.bytes, 0n);
    }
  }
  writeTunBytes(match.flow, offset, bytes, value & bits);
  writeTunBytes(match.mask, offset, bytes, bits);
  markTunPresent(match, field);
  const slot: TunMetadataSlot = { field, offset, bytes, masked: mask !== undefined };
  match.tunMetadata = [...others, slot].sort((a, b) => a.field.id - b.field.id);
  return true;
}

/** Bytes of the widest value of each field, in whole words as options have them. */
export type TunWidths = Map<Field, number>;

/** Makes `widths` wide enough for the match. */
export function widenTunMetadata(widths: TunWidths, match: Match): void {
  for (const { field, bytes } of match.tunMetadata ?? []) {
    widths.set(field, Math.max(widths.get(field) ?? 0, (bytes + 3) & ~3));
  }
}

/**
 * `match` with its tun_metadata in field order and as wide as `widths` say: matches that mean the same, such as one of a
 * text and one that a switch tells as wide as its options are, become equal. A mask of that many ones is none.
 */
export function alignTunMetadata(match: Match, widths: TunWidths): Match {
  if (match.tunMetadata === undefined) return match;
  const aligned = copyMatch(match);
  for (const row of [aligned.flow, aligned.mask]) row.fill(0, W_TUN_METADATA, W_TUN_METADATA + AREA / 4);
  aligned.tunMetadata = undefined;
  for (const { field, offset, bytes, masked } of match.tunMetadata) {
    const width = widths.get(field) ?? bytes;
    const value = readTunBytes(match.flow, offset, bytes);
    const mask = masked ? readTunBytes(match.mask, offset, bytes) : onesOf(width);
    // Wider than a switch could tell: it lies where it lay, and is compared so.
    if (!setTunMetadata(aligned, field, width, value, mask === onesOf(width) ? undefined : mask))
      return match;
  }
  return aligned;
}

const onesOf = (bytes: number): bigint => (1n << BigInt(bytes * 8)) - 1n;

/** Bytes that hold the value: what a number without a TLV table is taken to be as wide as. */
export function bytesNeeded(value: bigint): number {
  return Math.max(1, Math.ceil(value.toString(16).length / 2));
}
