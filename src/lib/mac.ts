/** Ethernet addresses: six bytes, or two words of a flow (high 16 bits, low 32 bits). */

/** Six bytes, or undefined when `text` is not aa:bb:cc:dd:ee:ff. */
export function parseMac(text: string): Uint8Array | undefined {
  const match =
    /^([0-9a-f]{1,2}):([0-9a-f]{1,2}):([0-9a-f]{1,2}):([0-9a-f]{1,2}):([0-9a-f]{1,2}):([0-9a-f]{1,2})$/i.exec(
      text,
    );
  if (match === null) return undefined;
  const bytes = new Uint8Array(6);
  for (let i = 0; i < 6; i++) bytes[i] = Number.parseInt(match[i + 1]!, 16);
  return bytes;
}

const HEX: readonly string[] = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, "0"));

export function formatMac(b: Uint8Array, at = 0): string {
  return `${HEX[b[at]!]}:${HEX[b[at + 1]!]}:${HEX[b[at + 2]!]}:${HEX[b[at + 3]!]}:${HEX[b[at + 4]!]}:${HEX[b[at + 5]!]}`;
}

/** From the high 16 and the low 32 bits. */
export function formatMacWords(high: number, low: number): string {
  return `${HEX[(high >>> 8) & 255]}:${HEX[high & 255]}:${HEX[low >>> 24]}:${HEX[(low >>> 16) & 255]}:${HEX[(low >>> 8) & 255]}:${HEX[low & 255]}`;
}

export function macToNumber(b: Uint8Array, at = 0): number {
  return (
    ((b[at]! << 8) | b[at + 1]!) * 0x100000000 +
    (((b[at + 2]! << 24) | (b[at + 3]! << 16) | (b[at + 4]! << 8) | b[at + 5]!) >>> 0)
  );
}

export function macFromNumber(value: number): Uint8Array {
  const high = Math.floor(value / 0x100000000);
  const low = value >>> 0;
  return Uint8Array.of(high >>> 8, high & 255, low >>> 24, (low >>> 16) & 255, (low >>> 8) & 255, low & 255);
}
