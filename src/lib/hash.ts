/** 32-bit hashes (MurmurHash3's mixing steps). Hot path: integers only. */

export function hashAdd(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = (k << 15) | (k >>> 17);
  hash ^= Math.imul(k, 0x1b873593);
  hash = (hash << 13) | (hash >>> 19);
  return (Math.imul(hash, 5) + 0xe6546b64) | 0;
}

/** `length` in bytes. */
export function hashFinish(hash: number, length: number): number {
  hash ^= length;
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** `count` words of `words` from `offset`. */
export function hashWords(
  words: Int32Array | Uint32Array,
  offset: number,
  count: number,
  basis: number,
): number {
  let hash = basis;
  for (let i = offset; i < offset + count; i++) hash = hashAdd(hash, words[i]!);
  return hashFinish(hash, count * 4);
}

/** UTF-16 units of a string. */
export function hashString(text: string, basis = 0): number {
  let hash = basis;
  for (let i = 0; i < text.length; i++) hash = hashAdd(hash, text.charCodeAt(i));
  return hashFinish(hash, text.length);
}
