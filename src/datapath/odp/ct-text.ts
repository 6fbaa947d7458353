/** The connection tracking action as text, both ways: `ct(commit,zone=5,nat(src=10.0.0.1-10.0.0.9:1-99,random))`. */
import { formatIpv4, formatIpv6, parseIpv4, parseIpv6 } from "../../lib/ip.ts";
import * as A from "./actions.ts";
import { splitItems } from "./key-text.ts";

const ALGS: readonly (readonly [number, string])[] = [
  [21, "ftp"],
  [69, "tftp"],
];
const NAT_WORDS: readonly (readonly [number, string])[] = [
  [A.CT_NAT_PERSISTENT, "persistent"],
  [A.CT_NAT_HASH, "hash"],
  [A.CT_NAT_RANDOM, "random"],
];

export function formatCt(words: Int32Array, at: number): string {
  const flags = words[at + A.CT_FLAGS]!;
  const parts: string[] = [];
  if ((flags & A.CT_COMMIT) !== 0) parts.push((flags & A.CT_FORCE) !== 0 ? "force_commit" : "commit");
  const zone = words[at + A.CT_ZONE]!;
  if (zone !== 0) parts.push(`zone=${zone}`);
  const mask = words[at + A.CT_MARK_MASK]!;
  if (mask !== 0) parts.push(`mark=${hex(BigInt(words[at + A.CT_MARK]! >>> 0))}/${hex(BigInt(mask >>> 0))}`);
  const labelMask = label(words, at + A.CT_LABEL_MASK);
  if (labelMask !== 0n) parts.push(`label=${hex(label(words, at + A.CT_LABEL))}/${hex(labelMask)}`);
  const alg = ALGS.find(([port]) => port === words[at + A.CT_ALG]);
  if (alg !== undefined) parts.push(`helper=${alg[1]}`);
  const timeout = A.ctTimeout(words, at);
  if (timeout !== "") parts.push(`timeout=${timeout}`);
  if ((flags & A.CT_NAT) !== 0) parts.push(formatNat(words, at));
  return parts.length === 0 ? "ct" : `ct(${parts.join(",")})`;
}

function hex(value: bigint): string {
  return value === 0n ? "0" : `0x${value.toString(16)}`;
}

function label(words: Int32Array, at: number): bigint {
  let value = 0n;
  for (let i = 0; i < 4; i++) value = (value << 32n) | BigInt(words[at + i]! >>> 0);
  return value;
}

function formatNat(words: Int32Array, at: number): string {
  const flags = words[at + A.CT_NAT_FLAGS]!;
  const parts: string[] = [];
  const side = (flags & A.CT_NAT_SRC) !== 0 ? "src" : (flags & A.CT_NAT_DST) !== 0 ? "dst" : "";
  const range = formatRange(words, at);
  if (side !== "") parts.push(range === "" ? side : `${side}=${range}`);
  for (const [bit, word] of NAT_WORDS) if ((flags & bit) !== 0) parts.push(word);
  return parts.length === 0 ? "nat" : `nat(${parts.join(",")})`;
}

function formatRange(words: Int32Array, at: number): string {
  const v6 = (words[at + A.CT_NAT_FLAGS]! & A.CT_NAT_IPV6) !== 0;
  const ports = words[at + A.CT_NAT_PORTS]!;
  let out = "";
  if (v6 || (words[at + A.CT_NAT_FLAGS]! & A.CT_NAT_IPV4) !== 0) {
    const address = (from: number) => {
      if (!v6) return formatIpv4(words[from]! >>> 0);
      const bytes = new DataView(new ArrayBuffer(16));
      for (let i = 0; i < 4; i++) bytes.setInt32(4 * i, words[from + i]!);
      const text = formatIpv6(new Uint8Array(bytes.buffer));
      return ports === 0 ? text : `[${text}]`;
    };
    const min = address(at + A.CT_NAT_MIN);
    const max = address(at + A.CT_NAT_MAX);
    out = min === max ? min : `${min}-${max}`;
  }
  if (ports !== 0) {
    const min = ports >>> 16;
    const max = ports & 0xffff;
    out += max === 0 || max === min ? `:${min}` : `:${min}-${max}`;
  }
  return out;
}

/** Appends what stands between the parentheses of `ct(…)`; false when it is wrong. */
export function parseCt(inside: string, builder: A.OdpActionBuilder): boolean {
  const items = inside === "" ? [] : splitItems(inside);
  if (items === undefined) return false;
  const at = builder.emitBlank(A.ODP_CT, A.CT_WORDS);
  const { words } = builder;
  for (const { name, inside: nested } of items) {
    if (name === "nat") {
      words[at + A.CT_FLAGS]! |= A.CT_NAT;
      if (nested !== undefined && !parseNat(nested, words, at)) return false;
      continue;
    }
    if (name === "commit" || name === "force_commit") {
      words[at + A.CT_FLAGS]! |= A.CT_COMMIT | (name === "commit" ? 0 : A.CT_FORCE);
      continue;
    }
    const found = /^(zone|mark|label|helper|timeout)=([^/]+)(?:\/(.+))?$/.exec(name);
    if (found === null || nested !== undefined) return false;
    if (!parseValue(found[1]!, found[2]!, found[3], words, at)) return false;
  }
  // Everything but the zone and NAT as before is for connections that are being committed.
  const committing = (words[at + A.CT_FLAGS]! & A.CT_COMMIT) !== 0;
  const needsCommit =
    words[at + A.CT_MARK_MASK] !== 0 ||
    words[at + A.CT_ALG] !== 0 ||
    words[at + A.CT_TIMEOUT] !== 0 ||
    words[at + A.CT_NAT_FLAGS] !== 0 ||
    label(words, at + A.CT_LABEL_MASK) !== 0n;
  return committing || !needsCommit;
}

function parseValue(
  name: string,
  value: string,
  mask: string | undefined,
  words: Int32Array,
  at: number,
): boolean {
  if (name === "helper") {
    const alg = ALGS.find(([, word]) => word === value);
    words[at + A.CT_ALG] = alg?.[0] ?? 0;
    return alg !== undefined && mask === undefined;
  }
  if (name === "timeout") return mask === undefined && A.setCtTimeout(words, at, value);
  const number = parseBig(value);
  if (number === undefined) return false;
  if (name === "zone") {
    words[at + A.CT_ZONE] = Number(number);
    return number <= 0xffffn && mask === undefined;
  }
  const ones = name === "mark" ? 0xffff_ffffn : (1n << 128n) - 1n;
  const bits = mask === undefined ? ones : parseBig(mask);
  if (bits === undefined || bits > ones || number > ones) return false;
  const count = name === "mark" ? 1 : 4;
  const [to, toMask] = name === "mark" ? [A.CT_MARK, A.CT_MARK_MASK] : [A.CT_LABEL, A.CT_LABEL_MASK];
  for (let i = 0; i < count; i++) {
    const shift = BigInt(32 * (count - 1 - i));
    words[at + to + i] = Number(BigInt.asIntN(32, number >> shift));
    words[at + toMask + i] = Number(BigInt.asIntN(32, bits >> shift));
  }
  return true;
}

function parseBig(text: string): bigint | undefined {
  return /^(0x[0-9a-f]+|\d+)$/i.test(text) ? BigInt(text) : undefined;
}

function parseNat(inside: string, words: Int32Array, at: number): boolean {
  for (const part of inside === "" ? [] : inside.split(",")) {
    const word = NAT_WORDS.find(([, text]) => text === part);
    if (word !== undefined) {
      words[at + A.CT_NAT_FLAGS]! |= word[0];
      continue;
    }
    const found = /^(src|dst)(?:=(.+))?$/.exec(part);
    if (found === null) return false;
    words[at + A.CT_NAT_FLAGS]! |= found[1] === "src" ? A.CT_NAT_SRC : A.CT_NAT_DST;
    if (found[2] !== undefined && !parseRange(found[2], words, at)) return false;
  }
  return true;
}

const RANGE_V4 = /^([\d.]+)(?:-([\d.]+))?(?::(\d+)(?:-(\d+))?)?$/;
const RANGE_V6 = /^([0-9a-f:.]+)(?:-([0-9a-f:.]+))?$/i;
const RANGE_V6_PORTS = /^\[([0-9a-f:.]+)\](?:-\[([0-9a-f:.]+)\])?(?::(\d+)(?:-(\d+))?)?$/i;

function parseRange(text: string, words: Int32Array, at: number): boolean {
  const v4 = RANGE_V4.exec(text);
  const found = v4 ?? RANGE_V6_PORTS.exec(text) ?? RANGE_V6.exec(text);
  if (found === null) return false;
  words[at + A.CT_NAT_FLAGS]! |= v4 === null ? A.CT_NAT_IPV6 : A.CT_NAT_IPV4;
  const ends = [found[1]!, found[2] ?? found[1]!];
  for (const [i, end] of ends.entries()) {
    const to = at + (i === 0 ? A.CT_NAT_MIN : A.CT_NAT_MAX);
    if (v4 !== null) {
      const address = parseIpv4(end);
      if (address === undefined) return false;
      words[to] = address | 0;
    } else {
      const address = parseIpv6(end);
      if (address === undefined) return false;
      const bytes = new DataView(address.buffer);
      for (let i = 0; i < 4; i++) words[to + i] = bytes.getInt32(4 * i);
    }
  }
  const min = Number(found[3] ?? 0);
  const max = Number(found[4] ?? min);
  if (min > 0xffff || max > 0xffff || max < min) return false;
  words[at + A.CT_NAT_PORTS] = (min << 16) | max;
  return true;
}
