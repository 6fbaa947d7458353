/** Randomness of the system. */
import type { Random } from "../lib/platform.ts";

export const realRandom: Random = {
  bytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
  uuid: () => crypto.randomUUID(),
  u32: () => crypto.getRandomValues(new Uint32Array(1))[0]!,
};
