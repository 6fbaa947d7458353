/**
 * A match: values and the mask that says which of their bits count (upstream: `struct match`). Value bits outside the
 * mask are zero. Both rows have FLOW_WORDS words. Setting a field does not check its prerequisites; see
 * {@link prerequisitesMet} and ./normalize.ts.
 */
import { clearField, type Field, fillField, setField, setFieldBig } from "./fields/index.ts";
import { FLOW_PACKET_WORDS, FLOW_WORDS, type Flow, W_TUN_METADATA_PRESENT } from "./layout.ts";

/** Where a match keeps one tun_metadata field that no TLV table places: `bytes` bytes at byte `offset` of the area. */
export interface TunMetadataSlot {
  readonly field: Field;
  readonly offset: number;
  readonly bytes: number;
  /** Given with a mask, if only of ones: such a value stands for no wider option. */
  readonly masked: boolean;
}

export interface Match {
  readonly flow: Flow;
  readonly mask: Flow;
  /** Slots of tun_metadata fields in use, in field order; undefined when none is. */
  tunMetadata: readonly TunMetadataSlot[] | undefined;
}

/** A match of everything. */
export function makeMatch(): Match {
  return { flow: new Int32Array(FLOW_WORDS), mask: new Int32Array(FLOW_WORDS), tunMetadata: undefined };
}

/** Makes a used match one of everything again. */
export function clearMatch(match: Match): Match {
  match.flow.fill(0);
  match.mask.fill(0);
  match.tunMetadata = undefined;
  return match;
}

export function copyMatch(match: Match): Match {
  return { flow: match.flow.slice(), mask: match.mask.slice(), tunMetadata: match.tunMetadata };
}

/** Sets all bits of a field of up to 32 bits. */
export function setMatch(match: Match, field: Field, value: number): void {
  fillField(field, match.mask);
  setField(field, match.flow, value);
}

/** Sets the masked bits, wildcards the others. */
export function setMatchMasked(match: Match, field: Field, value: number, mask: number): void {
  setField(field, match.mask, mask);
  setField(field, match.flow, value & mask);
}

/** For fields of any width. */
export function setMatchBig(match: Match, field: Field, value: bigint): void {
  fillField(field, match.mask);
  setFieldBig(field, match.flow, value);
}

export function setMatchBigMasked(match: Match, field: Field, value: bigint, mask: bigint): void {
  setFieldBig(field, match.mask, mask);
  setFieldBig(field, match.flow, value & mask);
}

export function wildcardField(match: Match, field: Field): void {
  clearField(field, match.mask);
  clearField(field, match.flow);
}

/** Sets bits of one word exactly; other bits of the word stay. */
export function setMatchWord(match: Match, word: number, value: number, mask: number): void {
  match.mask[word] = match.mask[word]! | mask;
  match.flow[word] = (match.flow[word]! & ~mask) | (value & mask);
}

/** tun_metadata counts as it lies: see alignTunMetadata. */
export function matchesEqual(a: Match, b: Match): boolean {
  const masks = (m: Match): boolean[] => (m.tunMetadata ?? []).map(({ masked }) => masked);
  return (
    rowsEqual(a.mask, b.mask, FLOW_WORDS) &&
    rowsEqual(a.flow, b.flow, FLOW_WORDS) &&
    masks(a).every((masked, i) => masked === b.tunMetadata?.[i]?.masked)
  );
}

export function rowsEqual(a: Flow, b: Flow, words: number): boolean {
  for (let i = 0; i < words; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** The packet or flow has the match's values where its mask has bits. */
export function matchCovers(match: Match, flow: Flow): boolean {
  const { flow: value, mask } = match;
  for (let i = 0; i < FLOW_WORDS; i++) if (((flow[i]! ^ value[i]!) & mask[i]!) !== 0) return false;
  return true;
}

/** `narrow` matches nothing that `wide` does not (OpenFlow's non-strict comparison). */
export function matchContains(wide: Match, narrow: Match): boolean {
  const { flow, mask } = wide;
  for (let i = 0; i < FLOW_WORDS; i++) {
    const bits = mask[i]!;
    if ((bits & ~narrow.mask[i]!) !== 0 || ((flow[i]! ^ narrow.flow[i]!) & bits) !== 0) return false;
  }
  return true;
}

/** Some packet matches both (OpenFlow's overlap check). */
export function matchesOverlap(a: Match, b: Match): boolean {
  for (let i = 0; i < FLOW_WORDS; i++) {
    if (((a.flow[i]! ^ b.flow[i]!) & a.mask[i]! & b.mask[i]!) !== 0) return false;
  }
  return true;
}

export function isCatchall(match: Match): boolean {
  return !anyBits(match.mask, 0, FLOW_WORDS);
}

/** Some word from `from` up to `end` has bits. */
export function anyBits(mask: Flow, from: number, end: number): boolean {
  for (let i = from; i < end; i++) if (mask[i] !== 0) return true;
  return false;
}

/** Something of what lies between a packet's headers and metadata counts: of the original tuple, NSH or a tunnel. */
export function matchesTunnel({ mask, tunMetadata }: Match): boolean {
  // Words of tun_metadata have bits only where there are slots.
  return tunMetadata !== undefined || anyBits(mask, FLOW_PACKET_WORDS, W_TUN_METADATA_PRESENT);
}

/** 32-bit hash of values and mask. */
export function hashMatch(match: Match, basis = 0): number {
  let hash = basis;
  for (let i = 0; i < FLOW_WORDS; i++) {
    const mask = match.mask[i]!;
    if (mask !== 0) hash = mixHash(mixHash(hash, match.flow[i]!), mask ^ Math.imul(i, 0x9e3779b1));
  }
  return finishHash(hash);
}

/** One step of a murmur3 hash. */
export function mixHash(hash: number, word: number): number {
  word = Math.imul(word, 0xcc9e2d51);
  word = Math.imul((word << 15) | (word >>> 17), 0x1b873593);
  hash ^= word;
  hash = (hash << 13) | (hash >>> 19);
  return (Math.imul(hash, 5) + 0xe6546b64) | 0;
}

export function finishHash(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
