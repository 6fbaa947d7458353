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
export declare function parseIpv6(text: string): Uint8Array | undefined;
/** RFC 5952, as inet_ntop. */
export declare function formatIpv6(bytes: Uint8Array, offset?: number): string;
export declare function ipv6Mask(prefix: number): Uint8Array;
export declare function ipv6PrefixLength(mask: Uint8Array): number | undefined;
export interface MaskedIpv6 {
  address: Uint8Array;
  mask: Uint8Array;
}
export declare function parseIpv6Masked(text: string): MaskedIpv6 | undefined;
export declare function formatIpv6Masked(address: Uint8Array, mask: Uint8Array): string;
