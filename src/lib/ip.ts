/** IPv4 as unsigned 32-bit numbers in host order, IPv6 as 16 bytes; text as the original reads and prints it (RFC 5952). */

/** undefined when `text` is no dotted quad. */
export function parseIpv4(text: string): number | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return undefined;
  let value = 0;
  for (let i = 1; i <= 4; i++) {
    const part = Number(match[i]);
    if (part > 255) return undefined;
    value = value * 256 + part;
  }
  return value;
}

export function formatIpv4(address: number): string {
  return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`;
}

/** Prefix length -> mask: 24 -> 0xffffff00. */
export function ipv4Mask(prefix: number): number {
  return prefix <= 0 ? 0 : (0xffffffff << (32 - prefix)) >>> 0;
}

/** Mask -> prefix length, undefined when its ones are not contiguous. */
export function ipv4PrefixLength(mask: number): number | undefined {
  const inverse = ~mask >>> 0;
  return (inverse & (inverse + 1)) === 0 ? Math.clz32(inverse) : undefined;
}

export interface MaskedIpv4 {
  address: number;
  mask: number;
}

/** "10.0.0.0", "10.0.0.0/8", "10.0.0.0/255.0.0.0" */
export function parseIpv4Masked(text: string): MaskedIpv4 | undefined {
  const slash = text.indexOf("/");
  const address = parseIpv4(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return undefined;
  if (slash < 0) return { address, mask: 0xffffffff };
  const tail = text.slice(slash + 1);
  if (/^\d{1,2}$/.test(tail))
    return Number(tail) <= 32 ? { address, mask: ipv4Mask(Number(tail)) } : undefined;
  const mask = parseIpv4(tail);
  return mask === undefined ? undefined : { address, mask };
}

/** "10.0.0.1", "10.0.0.0/8", "10.0.0.1/255.0.0.255" */
export function formatIpv4Masked(address: number, mask: number): string {
  if (mask >>> 0 === 0xffffffff) return formatIpv4(address);
  const prefix = ipv4PrefixLength(mask >>> 0);
  return `${formatIpv4(address)}/${prefix ?? formatIpv4(mask)}`;
}

/** 16 bytes, or undefined. RFC 4291 section 2.2, embedded IPv4 included; no zone. */
export function parseIpv6(text: string): Uint8Array | undefined {
  const embedded = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (embedded !== null) {
    const v4 = parseIpv4(embedded[2]!);
    if (v4 === undefined) return undefined;
    text = `${embedded[1]}${(v4 >>> 16).toString(16)}:${(v4 & 0xffff).toString(16)}`;
  }
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = ipv6Words(halves[0]!);
  const tail = halves.length === 2 ? ipv6Words(halves[1]!) : [];
  if (head === undefined || tail === undefined) return undefined;
  const gap = 8 - head.length - tail.length;
  if (halves.length === 2 ? gap < 1 : gap !== 0) return undefined;
  const bytes = new Uint8Array(16);
  const put = (at: number, word: number): void => {
    bytes[2 * at] = word >> 8;
    bytes[2 * at + 1] = word & 255;
  };
  for (let i = 0; i < head.length; i++) put(i, head[i]!);
  for (let i = 0; i < tail.length; i++) put(8 - tail.length + i, tail[i]!);
  return bytes;
}

function ipv6Words(text: string): number[] | undefined {
  if (text === "") return [];
  const words = text.split(":");
  return words.every((word) => /^[0-9a-f]{1,4}$/i.test(word))
    ? words.map((word) => Number.parseInt(word, 16))
    : undefined;
}

/** RFC 5952, as inet_ntop: IPv4-mapped and -compatible addresses end in a dotted quad. */
export function formatIpv6(bytes: Uint8Array, offset = 0): string {
  const words: number[] = [];
  for (let i = 0; i < 8; i++) words.push((bytes[offset + 2 * i]! << 8) | bytes[offset + 2 * i + 1]!);
  let best = 0;
  let bestLength = 1;
  for (let i = 0; i < 8; i++) {
    let length = 0;
    while (i + length < 8 && words[i + length] === 0) length++;
    if (length > bestLength) {
      best = i;
      bestLength = length;
    }
    i += length;
  }
  const hex = (from: number, to: number): string =>
    words
      .slice(from, to)
      .map((word) => word.toString(16))
      .join(":");
  if (bestLength < 2) return hex(0, 8);
  const mapped = bestLength === 5 && words[5] === 0xffff;
  if (best === 0 && (bestLength === 6 || mapped)) {
    const quad = formatIpv4(((words[6]! << 16) | words[7]!) >>> 0);
    return mapped ? `::ffff:${quad}` : `::${quad}`;
  }
  return `${hex(0, best)}::${hex(best + bestLength, 8)}`;
}

export function ipv6Mask(prefix: number): Uint8Array {
  const mask = new Uint8Array(16);
  for (let i = 0; i < 16; i++) mask[i] = 0xff & ~(0xff >> Math.max(0, Math.min(8, prefix - 8 * i)));
  return mask;
}

/** undefined when the ones are not contiguous. */
export function ipv6PrefixLength(mask: Uint8Array): number | undefined {
  let prefix = 0;
  while (prefix < 128 && mask[prefix >> 3]! & (0x80 >> (prefix & 7))) prefix++;
  for (let i = prefix; i < 128; i++) if (mask[i >> 3]! & (0x80 >> (i & 7))) return undefined;
  return prefix;
}

export interface MaskedIpv6 {
  address: Uint8Array;
  mask: Uint8Array;
}

/** "::1", "fe80::/10", "::1/ffff::" */
export function parseIpv6Masked(text: string): MaskedIpv6 | undefined {
  const slash = text.indexOf("/");
  const address = parseIpv6(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return undefined;
  if (slash < 0) return { address, mask: ipv6Mask(128) };
  const tail = text.slice(slash + 1);
  if (/^\d{1,3}$/.test(tail)) {
    return Number(tail) <= 128 ? { address, mask: ipv6Mask(Number(tail)) } : undefined;
  }
  const mask = parseIpv6(tail);
  return mask === undefined ? undefined : { address, mask };
}

export function formatIpv6Masked(address: Uint8Array, mask: Uint8Array): string {
  const prefix = ipv6PrefixLength(mask);
  if (prefix === 128) return formatIpv6(address);
  return `${formatIpv6(address)}/${prefix ?? formatIpv6(mask)}`;
}

/** A numeric address as its 4 or 16 bytes. */
export function addressBytes(text: string): Uint8Array | undefined {
  const v4 = parseIpv4(text);
  return v4 === undefined ? parseIpv6(text) : Uint8Array.of(v4 >>> 24, v4 >>> 16, v4 >>> 8, v4);
}
