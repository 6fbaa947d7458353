/** CRC-32C as SCTP stores it (RFC 9260 appendix A). */
const TABLE = new Int32Array(256);
for (let i = 0; i < 256; i++) {
  let c = i;
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
  TABLE[i] = c;
}

/** The value of the 32-bit checksum field, which is stored least significant byte first: as a big-endian number. */
export function crc32c(data: Uint8Array, at: number, length: number): number {
  let crc = -1;
  for (const end = at + length; at < end; at++) crc = TABLE[(crc ^ data[at]!) & 0xff]! ^ (crc >>> 8);
  crc = ~crc;
  return ((crc & 0xff) << 24) | ((crc & 0xff00) << 8) | ((crc >>> 8) & 0xff00) | (crc >>> 24);
}
