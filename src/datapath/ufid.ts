/** A megaflow's unique id: a hash of its mask and of what the mask leaves of its key, written as a UUID is. */
import { FLOW_DP_WORDS, type Flow } from "../flow/layout.ts";
import { hashWords } from "../lib/hash.ts";

export function ufidOf(key: Flow, mask: Flow): string {
  const words: string[] = [];
  for (let i = 0; i < 4; i++) {
    const basis = hashWords(mask, 0, FLOW_DP_WORDS, 0x5bd1e995 * (i + 1));
    let hash = basis;
    for (let word = 0; word < FLOW_DP_WORDS; word++) {
      hash = (Math.imul(hash, 31) + (key[word]! & mask[word]!)) | 0;
    }
    words.push(((hash ^ basis) >>> 0).toString(16).padStart(8, "0"));
  }
  const [a, b, c, d] = words as [string, string, string, string];
  return `${a}-${b.slice(0, 4)}-${b.slice(4)}-${c.slice(0, 4)}-${c.slice(4)}${d}`;
}
