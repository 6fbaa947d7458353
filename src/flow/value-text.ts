/** One field's value and mask as text, by the field's format, both ways, in the words and errors of 3.7. */
import type { Field } from "./fields/index.ts";
import {
  CT_STATE,
  type FlagSet,
  FRAGMENTS,
  formatFlagsMasked,
  formatFragment,
  parseFlags,
  TCP_FLAGS,
  TUN_FLAGS,
} from "./flags.ts";
import {
  formatIpv4Masked,
  formatIpv6Masked,
  IPV6_ONES,
  ipv6Mask,
  parseIpv4,
  parseIpv6,
} from "./packet/address.ts";
import { formatMac, parseMac } from "./packet/ethernet.ts";
import { formatPort, type PortNames, parseInteger, parsePort } from "./ports-text.ts";

export type ParsedValue = { value: bigint; mask: bigint } | { error: string };

/** All bits of the field's bytes: what a mask of a whole value is. */
export function fieldOnes(field: Field): bigint {
  return (1n << BigInt(field.bytes * 8)) - 1n;
}

/** The bits of the field that can be set. */
export function fieldBits(field: Field): bigint {
  return (1n << BigInt(field.bits)) - 1n;
}

const FLAG_SETS: Partial<Record<Field["format"], FlagSet>> = {
  tcp_flags: TCP_FLAGS,
  ct_state: CT_STATE,
  tun_flags: TUN_FLAGS,
};

/** "value" or "value/mask"; "*" wildcards. The value is masked; an exact mask is {@link fieldOnes}. */
export function parseFieldValue(field: Field, text: string, ports?: PortNames): ParsedValue {
  if (text === "*") return { value: 0n, mask: 0n };
  const parsed = parseByFormat(field, text, ports);
  if ("error" in parsed) return parsed;
  if (!field.maskable && parsed.mask !== 0n && parsed.mask !== fieldOnes(field)) {
    return { error: `${text}: invalid mask for field ${field.name}` };
  }
  return { value: parsed.value & parsed.mask, mask: parsed.mask };
}

function parseByFormat(field: Field, text: string, ports: PortNames | undefined): ParsedValue {
  switch (field.format) {
    case "decimal":
    case "hex":
      return parseNumber(field, text);
    case "eth":
      return parseEthernet(text);
    case "ipv4":
      return parseIpv4Value(text);
    case "ipv6":
      return parseIpv6Value(text);
    case "port10":
    case "port":
      return parsePortValue(field, text, ports);
    case "frag":
      return parseFragment(text);
    case "packet_type":
      return parsePacketType(text);
    default: {
      const set = FLAG_SETS[field.format]!;
      const flags = parseFlags(set, text);
      if ("error" in flags) return flags;
      const exact = flags.mask === set.all;
      return { value: BigInt(flags.value), mask: exact ? fieldOnes(field) : BigInt(flags.mask) };
    }
  }
}

/** Integers of up to 8 bytes wrap when negative; wider ones take hexadecimal or decimal of any length. */
function parseNumber(field: Field, text: string): ParsedValue {
  const slash = text.indexOf("/");
  const head = slash < 0 ? text : text.slice(0, slash);
  const tail = slash < 0 ? undefined : text.slice(slash + 1);
  const value = parseInteger(head);
  const limit = fieldOnes(field);
  if (value === undefined) return { error: `${text}: bad syntax for ${field.name} value` };
  if (value > limit) return { error: `${text}: value too large for ${field.bytes}-byte field ${field.name}` };
  if (tail === undefined) return { value, mask: limit };
  const mask = parseInteger(tail);
  if (mask === undefined) return { error: `${text}: bad syntax for ${field.name} mask` };
  if (mask > limit) return { error: `${text}: mask too large for ${field.bytes}-byte field ${field.name}` };
  return { value, mask };
}

function macValue([hi, lo]: [number, number]): bigint {
  return (BigInt(hi >>> 0) << 16n) | BigInt(lo & 0xffff);
}

function parseEthernet(text: string): ParsedValue {
  const [head, tail, ...more] = text.split("/");
  const value = parseMac(head!);
  const mask = tail === undefined ? undefined : parseMac(tail);
  if (value === undefined || more.length > 0 || (tail !== undefined && mask === undefined)) {
    return { error: `${text}: invalid Ethernet address` };
  }
  return { value: macValue(value), mask: mask === undefined ? 0xffffffffffffn : macValue(mask) };
}

function parseIpv4Value(text: string): ParsedValue {
  const slash = text.indexOf("/");
  const value = parseIpv4(slash < 0 ? text : text.slice(0, slash));
  if (value === undefined) return { error: `${text}: invalid IP address` };
  const of = (word: number) => BigInt(word >>> 0);
  if (slash < 0) return { value: of(value), mask: 0xffffffffn };
  const tail = text.slice(slash + 1);
  if (/^\d+$/.test(tail)) {
    const length = Number(tail);
    if (length > 32) {
      return { error: `${text}: IPv4 network prefix bits not between 0 and 32, inclusive` };
    }
    return { value: of(value), mask: length === 0 ? 0n : of(-1 << (32 - length)) };
  }
  const mask = parseIpv4(tail);
  return mask === undefined ? { error: `${text}: invalid IP address` } : { value: of(value), mask: of(mask) };
}

function parseIpv6Value(text: string): ParsedValue {
  const slash = text.indexOf("/");
  const value = parseIpv6(slash < 0 ? text : text.slice(0, slash));
  if (value === undefined) return { error: `${text}: invalid IPv6 address` };
  if (slash < 0) return { value, mask: IPV6_ONES };
  const tail = text.slice(slash + 1);
  if (/^\d+$/.test(tail)) {
    const length = Number(tail);
    if (length > 128) {
      return { error: `${text}: IPv6 network prefix bits not between 0 and 128, inclusive` };
    }
    return { value, mask: ipv6Mask(length) };
  }
  const mask = parseIpv6(tail);
  return mask === undefined ? { error: `${text}: invalid IPv6 address` } : { value, mask };
}

function parsePortValue(field: Field, text: string, ports: PortNames | undefined): ParsedValue {
  const port = parsePort(text, ports);
  if (port === undefined) {
    const why = field.format === "port10" ? "invalid or unknown port for" : "port value out of range for";
    return { error: `${text}: ${why} ${field.name}` };
  }
  return { value: BigInt(port), mask: fieldOnes(field) };
}

function parseFragment(text: string): ParsedValue {
  const found = FRAGMENTS.find(([name]) => name === text);
  if (found === undefined) {
    return {
      error: `${text}: unknown fragment type (valid types are "no", "yes", "first", "later", "not_later"`,
    };
  }
  return { value: BigInt(found[1]), mask: found[2] === 3 ? 0xffn : BigInt(found[2]) };
}

function parsePacketType(text: string): ParsedValue {
  if (!text.startsWith("(")) return { error: `${text}: bad syntax for packet type missing '('` };
  const comma = text.indexOf(",");
  const rest = text.slice(comma + 1);
  const namespace = comma < 0 ? undefined : parseInteger(text.slice(1, comma));
  if (comma < 0) return { error: ": bad syntax for packet type ns_type" };
  if (namespace === undefined || namespace > 0xffffn) {
    return { error: `${text.slice(1)}: bad syntax for packet type ns` };
  }
  const close = rest.indexOf(")");
  const type = parseInteger(close < 0 ? rest.replace(/,$/, "") : rest.slice(0, close));
  if (type === undefined || type > 0xffffn) return { error: `${rest}: bad syntax for packet type ns_type` };
  if (close < 0) return { error: `${rest}: bad syntax for packet type missing ')'` };
  return { value: (namespace << 16n) | type, mask: 0xffffffffn };
}

/** C's %#x: no prefix for zero. */
export function hex(value: bigint | number): string {
  const digits = value.toString(16);
  return digits === "0" ? "0" : `0x${digits}`;
}

/** "(1,0x800)": numbers past 9 in hexadecimal. */
export function formatPacketType(value: number): string {
  const part = (n: number) => (n > 9 ? `0x${n.toString(16)}` : String(n));
  return `(${part(value >>> 16)},${part(value & 0xffff)})`;
}

/** The value in the field's own format, with "/mask" where not exact. "ANY" when the mask is empty. */
export function formatFieldValue(field: Field, value: bigint, mask: bigint, ports?: PortNames): string {
  if (mask === 0n) return "ANY";
  const bits = fieldBits(field);
  const exact = (mask & bits) === bits;
  switch (field.format) {
    case "decimal":
      return exact ? value.toString() : `0x${value.toString(16)}/0x${mask.toString(16)}`;
    case "hex":
      return exact ? hex(value) : `${hex(value)}/${hex(mask)}`;
    case "eth": {
      const text = formatMac(Number(value >> 16n), Number(value & 0xffffn));
      return exact ? text : `${text}/${formatMac(Number(mask >> 16n), Number(mask & 0xffffn))}`;
    }
    case "ipv4":
      return formatIpv4Masked(Number(value) | 0, Number(mask) | 0);
    case "ipv6":
      return formatIpv6Masked(value, mask);
    case "port10":
    case "port":
      return formatPort(Number(value), ports);
    case "frag":
      return formatFragment(Number(value), Number(mask & 3n));
    case "packet_type":
      return formatPacketType(Number(value));
    default:
      return formatFlagsMasked(FLAG_SETS[field.format]!, Number(value), Number(mask));
  }
}
