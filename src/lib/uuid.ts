/** UUIDs as text (36 lower-case characters), the form used everywhere above the codecs. */

const FULL = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export const ZERO_UUID = "00000000-0000-0000-0000-000000000000";

export function isUuid(text: string): boolean {
  return FULL.test(text);
}

/** How many characters of `text` agree with the form of a UUID from the start (36: all of one); 0 when one does not. */
export function uuidPrefix(text: string): number {
  for (let i = 0; i < text.length; i++) {
    if (i >= 36) return 0;
    const dash = i === 8 || i === 13 || i === 18 || i === 23;
    if (dash ? text[i] !== "-" : !/[0-9a-f]/i.test(text[i]!)) return 0;
  }
  return text.length;
}

/** Version 4 (RFC 9562 section 5.4) from 16 random bytes, which are changed. */
export function uuidFromRandom(bytes: Uint8Array): string {
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return formatUuid(bytes);
}

export function formatUuid(bytes: Uint8Array, at = 0): string {
  let text = "";
  for (let i = 0; i < 16; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) text += "-";
    text += bytes[at + i]!.toString(16).padStart(2, "0");
  }
  return text;
}

/** 16 bytes; undefined when `text` is no UUID. */
export function parseUuid(text: string): Uint8Array | undefined {
  if (!FULL.test(text)) return undefined;
  const hex = text.replaceAll("-", "");
  const bytes = new Uint8Array(16);
  for (let i = 0; i < 16; i++) bytes[i] = Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}
