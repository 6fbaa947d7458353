/** The Internet checksum (RFC 1071) and its incremental update (RFC 1624). Hot path: plain loops, no allocation. */

/** Adds `length` bytes from `offset` to a partial sum: big-endian 16-bit words, an odd last byte is padded with zero. */
export function checksumAdd(sum: number, bytes: Uint8Array, offset: number, length: number): number {
  let at = offset;
  const end = offset + (length & ~1);
  let s = sum;
  while (at < end) {
    s += (bytes[at]! << 8) | bytes[at + 1]!;
    at += 2;
  }
  if (length & 1) s += bytes[at]! << 8;
  // A packet has under 2^15 words of 2^16: the sum stays far under 2^53, and is folded in checksumFinish.
  return s;
}

/** Folds and complements a partial sum: the value to store (host number of the big-endian field). */
export function checksumFinish(sum: number): number {
  let s = ((sum % 0x100000000) >>> 0) + Math.floor(sum / 0x100000000);
  s = (s & 0xffff) + Math.floor(s / 0x10000);
  s = (s & 0xffff) + (s >>> 16);
  s = (s & 0xffff) + (s >>> 16);
  return ~s & 0xffff;
}

export function checksum(bytes: Uint8Array, offset = 0, length = bytes.length - offset): number {
  return checksumFinish(checksumAdd(0, bytes, offset, length));
}

/** RFC 1624 equation 3: the field's new value after a 16-bit word changes from `before` to `after`. */
export function checksumUpdate16(field: number, before: number, after: number): number {
  let s = (~field & 0xffff) + (~before & 0xffff) + (after & 0xffff);
  s = (s & 0xffff) + (s >>> 16);
  s = (s & 0xffff) + (s >>> 16);
  return ~s & 0xffff;
}

/** The same for a 32-bit word. */
export function checksumUpdate32(field: number, before: number, after: number): number {
  return checksumUpdate16(
    checksumUpdate16(field, before >>> 16, after >>> 16),
    before & 0xffff,
    after & 0xffff,
  );
}
