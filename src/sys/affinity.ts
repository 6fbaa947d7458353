/** Which processor a thread runs on (sched_setaffinity(2)). */
import { addressOf, libc, pointer } from "./ffi.ts";

const MASK_BYTES = 128;

/** Keeps the calling thread to a processor; -1: to none. One that is not there changes nothing. */
export function pinThread(processor: number): void {
  if (processor >= MASK_BYTES * 8) return;
  const mask = new Uint8Array(MASK_BYTES);
  if (processor < 0) mask.fill(0xff);
  else mask[processor >> 3] = 1 << (processor & 7);
  libc.sched_setaffinity(0, MASK_BYTES, pointer(addressOf(mask)));
}
