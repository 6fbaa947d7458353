/** IPv4 and IPv6 addresses and masks as text, in the forms that the C library reads and prints. Values are words. */

/** a.b.c.d, from `from` up to `end`, as a signed word; undefined when it is no address. Parts past 255 wrap, as the original lets them. */
export function parseIpv4(text: string, from = 0, end = text.length): number | undefined {
  let word = 0;
  let part = 0;
  let digits = 0;
  let dots = 0;
  for (let i = from; i < end; i++) {
    const c = text.charCodeAt(i);
    if (c >= 48 && c <= 57) {
      part = (part * 10 + c - 48) & 0xff;
      digits++;
    } else if (c === 46 && digits > 0 && dots < 3) {
      word = (word << 8) | part;
      part = digits = 0;
      dots++;
    } else return undefined;
  }
  return dots === 3 && digits > 0 ? (word << 8) | part : undefined;
}

export function formatIpv4(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 0xff}.${(value >>> 8) & 0xff}.${value & 0xff}`;
}

/** "1.2.3.4", "1.2.3.0/24", "1.0.3.0/255.0.255.0". */
export function formatIpv4Masked(value: number, mask: number): string {
  const ones = Math.clz32(~mask);
  if (ones === 32) return formatIpv4(value);
  return `${formatIpv4(value)}/${mask << ones === 0 ? ones : formatIpv4(mask)}`;
}

/** 16-byte value of an IPv6 address (RFC 4291 text, with an IPv4 tail where written so), or undefined. */
export function parseIpv6(text: string): bigint | undefined {
  const tail = /^(.*:)(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})$/.exec(text);
  if (tail !== null) {
    const parts = tail[2]!.split(".").map(Number);
    if (parts.some((part) => part > 255)) return undefined;
    const word = parseIpv4(tail[2]!)! >>> 0;
    text = `${tail[1]}${(word >>> 16).toString(16)}:${(word & 0xffff).toString(16)}`;
  }
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head, rest] = halves.map((half) => (half === "" ? [] : half.split(":")));
  const given = head!.length + (rest?.length ?? 0);
  if (halves.length === 1 ? given !== 8 : given > 7) return undefined;
  const groups = [...head!, ...new Array<string>(8 - given).fill("0"), ...(rest ?? [])];
  let value = 0n;
  for (const group of groups) {
    if (!/^[0-9a-f]{1,4}$/i.test(group)) return undefined;
    value = (value << 16n) | BigInt(Number.parseInt(group, 16));
  }
  return value;
}

/** The shortest form; mapped and compatible addresses end in dotted quads. */
export function formatIpv6(value: bigint): string {
  const groups: number[] = [];
  for (let shift = 112n; shift >= 0n; shift -= 16n) groups.push(Number((value >> shift) & 0xffffn));
  let start = -1;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > length) {
      start = i;
      length = end - i;
    }
    if (end > i) i = end;
  }
  const hex = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(":");
  if (start === 0 && (length === 6 || (length === 5 && groups[5] === 0xffff))) {
    const quad = formatIpv4(Number(value & 0xffffffffn) | 0);
    return length === 6 ? `::${quad}` : `::ffff:${quad}`;
  }
  return start < 0 ? hex(0, 8) : `${hex(0, start)}::${hex(start + length, 8)}`;
}

export const IPV6_ONES = (1n << 128n) - 1n;

/** Leading ones of a 128-bit mask when that is all it has, else undefined. */
export function ipv6PrefixLength(mask: bigint): number | undefined {
  const zeros = (~mask & IPV6_ONES).toString(2);
  if (mask === IPV6_ONES) return 128;
  return /^1*$/.test(zeros) ? 128 - zeros.length : undefined;
}

export function ipv6Mask(length: number): bigint {
  return IPV6_ONES ^ ((1n << BigInt(128 - length)) - 1n);
}

export function formatIpv6Masked(value: bigint, mask: bigint): string {
  if (mask === IPV6_ONES) return formatIpv6(value);
  return `${formatIpv6(value)}/${ipv6PrefixLength(mask) ?? formatIpv6(mask)}`;
}
