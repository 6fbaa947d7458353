/** CLOCK_MONOTONIC, the same in every thread: `performance.now()` has an origin of its own in each. */
import { addressOf, libc, pointer } from "./ffi.ts";

const CLOCK_MONOTONIC = 1;
const time = new Float64Array(2);
const words = new Uint32Array(time.buffer);
const address = addressOf(time);

/** Milliseconds. */
export function monotonicMs(): number {
  libc.clock_gettime(CLOCK_MONOTONIC, pointer(address));
  return (words[0]! + words[1]! * 0x100000000) * 1000 + words[2]! / 1e6;
}
