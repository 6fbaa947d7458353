/** Frames that nobody should send, from a seed. */
import { type FrameSpec, frame, layers, partial } from "./frames.ts";

/** mulberry32: the same numbers for the same seed. */
export function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return Math.floor((((x ^ (x >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}
export type Random = (below: number) => number;
const bytes = (random: Random, length: number): number[] => Array.from({ length }, () => random(256));
export const pick = <T>(random: Random, list: readonly T[]): T => list[random(list.length)]!;

function spec(random: Random): FrameSpec {
  const large = random(8) === 0;
  return {
    tags: Array.from({ length: random(6) === 0 ? random(30) : random(3) }, () => random(0x10000) & 0xefff),
    ip: random(2) === 0 ? 4 : 6,
    proto: pick(random, ["tcp", "tcp", "udp", "icmp"] as const),
    src: bytes(random, 16),
    dst: bytes(random, 16),
    sport: random(4),
    dport: random(4),
    payload: new Array(large ? random(60_000) : random(1400)).fill(random(256)),
    flags: pick(random, [0x10, 0x18, 0x11, 0xc2]),
    sequence: random(4) * 1000,
  };
}

/** A frame, whole or maimed. */
export function hostileFrame(random: Random): number[] {
  if (random(10) === 0) return bytes(random, random(200));
  const made = spec(random);
  let whole = random(3) === 0 ? partial(frame({ ...made, tags: made.tags.slice(0, 2) })) : frame(made);
  for (let i = random(4); i > 0; i--) whole[random(Math.min(whole.length, 90))] = random(256);
  if (random(4) === 0) whole = whole.slice(0, random(whole.length + 1));
  if (random(8) === 0) whole.push(...bytes(random, random(64)));
  return whole;
}

/** A virtio header that fits, or any. */
export function vnetHeader(random: Random, frameBytes: number[]): Uint8Array {
  const header = new Uint8Array(10);
  const kind = random(4);
  if (kind === 0) return header;
  if (kind === 1) return Uint8Array.from(bytes(random, 10));
  const view = new DataView(header.buffer);
  header[0] = pick(random, [0, 1, 2, 3]);
  header[1] = pick(random, [0, 1, 4, 5, 0x81, 3, 77]);
  view.setUint16(2, pick(random, [0, 54, 66, frameBytes.length, 0xffff]), true);
  view.setUint16(4, pick(random, [0, 1, 100, 1448, 0xffff]), true);
  const start = frameBytes.length > 60 ? layers([...frameBytes.slice(0, 60), 0, 0, 0, 0, 0, 0]).l4 : 34;
  view.setUint16(6, pick(random, [start, start, 0, 14, frameBytes.length, 0xfffe]) & 0xffff, true);
  view.setUint16(8, pick(random, [16, 6, 0, 0xffff]), true);
  return header;
}
