/** Which processor a thread runs on (sched_setaffinity(2)). */
import { addressOf, libc, pointer } from "./ffi.ts";

const MASK_BYTES = 128;

/** Where this thread might run before it was kept anywhere; each thread has this module for itself. */
let before: Uint8Array | undefined;

/** Keeps the calling thread to a processor; -1: to none any more. One that is not there changes nothing. */
export function pinThread(processor: number): void {
  if (processor >= MASK_BYTES * 8) return;
  if (before === undefined) {
    if (processor < 0) return;
    before = new Uint8Array(MASK_BYTES);
    libc.sched_getaffinity(0, MASK_BYTES, pointer(addressOf(before)));
  }
  const mask = processor < 0 ? before : new Uint8Array(MASK_BYTES);
  if (processor >= 0) mask[processor >> 3] = 1 << (processor & 7);
  libc.sched_setaffinity(0, MASK_BYTES, pointer(addressOf(mask)));
}
