/**
 * One list for equal actions: a hundred thousand flows that send to a few ports hold a few lists, and flow_mods that
 * repeat themselves are not decoded again. Lists are never changed once decoded.
 */
import type { Ofpact } from "../actions.ts";
import type { Reader } from "../wire.ts";

/** Longer lists are rarely repeated. */
const MAX_BYTES = 128;
/** Power of two; a list that falls into the place of another takes it over. */
const PLACES = 4096;

interface Held {
  readonly version: number;
  readonly bytes: Uint8Array;
  readonly actions: Ofpact[];
}

const places: (Held | undefined)[] = new Array(PLACES).fill(undefined);

/** What `decode` makes of the rest of `r`, or what it made of the same bytes before; the reader is at its end then. */
export function decodeShared(r: Reader, version: number, decode: () => Ofpact[]): Ofpact[] {
  const { bytes, pos, end } = r;
  if (end - pos > MAX_BYTES) return decode();
  let hash = version;
  for (let i = pos; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  const place = (hash ^ (hash >>> 15)) & (PLACES - 1);
  const held = places[place];
  if (held !== undefined && held.version === version && sameBytes(held.bytes, bytes, pos, end)) {
    r.pos = end;
    return held.actions;
  }
  const actions = decode();
  places[place] = { version, bytes: bytes.slice(pos, end), actions };
  return actions;
}

function sameBytes(held: Uint8Array, bytes: Uint8Array, pos: number, end: number): boolean {
  if (held.length !== end - pos) return false;
  for (let i = 0; i < held.length; i++) if (held[i] !== bytes[pos + i]) return false;
  return true;
}
