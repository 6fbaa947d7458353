/**
 * What one kind of tunnel has beside addresses, as text, both ways: `geneve({class=0x102,type=0x80,len=4,0xa}),vxlan(gbp(id=5))`,
 * `erspan(ver=1,idx=0x7)`, `gtpu(flags=0x30,msgtype=255)`. The options of Geneve are in a datapath key as they are on the wire:
 *
 *   u16 class, u8 type, u8 length of the data in words (5 bits), data
 */
import * as L from "../../flow/layout.ts";

/** Bytes of Geneve's options at most: their length is told in 6 bits, in words. */
export const GENEVE_BYTES_MAX = 252;
const DATA_WORDS_MAX = 31;

/** A number of a name, and where its bits lie. */
interface Part {
  readonly label: string;
  readonly hex: boolean;
  readonly word: number;
  readonly shift: number;
  readonly width: number;
}

const part = (label: string, hex: boolean, word: number, shift: number, width: number): Part => ({
  label,
  hex,
  word,
  shift,
  width,
});

const GBP: readonly Part[] = [part("id", false, L.W_TUN_GBP, 0, 16), part("flags", true, L.W_TUN_GBP, 16, 8)];
const ERSPAN_VERSION = part("ver", false, L.W_TUN_ERSPAN, 0, 8);
const ERSPAN_1: readonly Part[] = [part("idx", true, L.W_TUN_ERSPAN_IDX, 0, 32)];
const ERSPAN_2: readonly Part[] = [
  part("dir", false, L.W_TUN_ERSPAN, 8, 8),
  part("hwid", true, L.W_TUN_ERSPAN, 16, 8),
];
const GTPU: readonly Part[] = [
  part("flags", true, L.W_TUN_GTPU, 0, 8),
  part("msgtype", false, L.W_TUN_GTPU, 8, 8),
];

const fullOf = ({ width }: Part): number => (width === 32 ? 0xffff_ffff : (1 << width) - 1);
const read = (of: Part, row: L.Flow): number => ((row[of.word]! >>> of.shift) & fullOf(of)) >>> 0;

const hex = (value: bigint | number): string => (BigInt(value) === 0n ? "0" : `0x${value.toString(16)}`);

/** `mask` undefined: all of it counts. Empty when nothing does. */
function formatNumber(
  label: string,
  asHex: boolean,
  value: number,
  mask: number | undefined,
  full: number,
  verbose: boolean,
): string[] {
  if (mask === 0 && !verbose) return [];
  const text = asHex ? hex(value) : String(value);
  return [`${label}=${text}${mask === undefined || mask === full ? "" : `/${hex(mask)}`}`];
}

function formatParts(
  parts: readonly Part[],
  key: L.Flow,
  mask: L.Flow | undefined,
  verbose: boolean,
): string[] {
  return parts.flatMap((of) => {
    const bits = mask === undefined ? undefined : read(of, mask);
    return formatNumber(of.label, of.hex, read(of, key), bits, fullOf(of), verbose);
  });
}

/** `erspan(…)` and so on, as far as the key has them. */
export function formatTunnelOptions(key: L.Flow, mask: L.Flow | undefined, verbose: boolean): string[] {
  const out: string[] = [];
  const counts = (...words: number[]): boolean =>
    mask === undefined || verbose || words.some((word) => mask[word] !== 0);
  if (key[L.W_TUN_GBP] !== 0 && counts(L.W_TUN_GBP))
    out.push(`vxlan(gbp(${formatParts(GBP, key, mask, verbose).join(",")}))`);
  if (key[L.W_TUN_METADATA_PRESENT] !== 0 && counts(L.W_TUN_METADATA_PRESENT))
    out.push(`geneve(${formatGeneve(key, mask, verbose)})`);
  const version = read(ERSPAN_VERSION, key);
  if (version !== 0 && counts(L.W_TUN_ERSPAN, L.W_TUN_ERSPAN_IDX)) {
    const parts = [ERSPAN_VERSION, ...(version === 1 ? ERSPAN_1 : ERSPAN_2)];
    out.push(`erspan(${formatParts(parts, key, mask, verbose).join(",")})`);
  }
  if (key[L.W_TUN_GTPU] !== 0 && counts(L.W_TUN_GTPU))
    out.push(`gtpu(${formatParts(GTPU, key, mask, verbose).join(",")})`);
  return out;
}

function dataOf(row: L.Flow, from: number, words: number): bigint {
  let value = 0n;
  for (let i = 0; i < words; i++) value = (value << 32n) | BigInt(row[from + i]! >>> 0);
  return value;
}

function formatGeneve(key: L.Flow, mask: L.Flow | undefined, verbose: boolean): string {
  let out = "";
  const end = L.W_TUN_METADATA + (key[L.W_TUN_METADATA_PRESENT]! >>> 2);
  for (let at = L.W_TUN_METADATA; at < end; ) {
    const head = key[at]!;
    const bits = mask?.[at];
    const words = head & 0x1f;
    const lengthMask = bits === undefined ? undefined : (bits & 0x1f) === 0x1f ? 0xff : bits & 0x1f;
    const parts = [
      ...formatNumber("class", true, head >>> 16, bits === undefined ? bits : bits >>> 16, 0xffff, verbose),
      ...formatNumber(
        "type",
        true,
        (head >>> 8) & 0xff,
        bits === undefined ? bits : (bits >>> 8) & 0xff,
        0xff,
        verbose,
      ),
      ...formatNumber("len", false, words * 4, lengthMask, 0xff, verbose),
    ];
    const ones = (1n << BigInt(words * 32)) - 1n;
    const dataMask = mask === undefined ? ones : dataOf(mask, at + 1, words);
    if (words > 0 && (verbose || dataMask !== 0n))
      parts.push(`${hexData(dataOf(key, at + 1, words))}${dataMask === ones ? "" : `/${hexData(dataMask)}`}`);
    out += `{${parts.join(",")}}`;
    at += 1 + words;
  }
  return out;
}

/** Data of nothing but zeros has its prefix, unlike a number. */
const hexData = (value: bigint): string => `0x${value.toString(16)}`;

// ---- Parsing ----

/** "VALUE[/MASK]"; without one all of `full` counts. */
function parseNumber(text: string, full: bigint): { value: bigint; mask: bigint } | undefined {
  const found = /^(0x[0-9a-f]+|\d+)(?:\/(0x[0-9a-f]+|\d+))?$/i.exec(text);
  if (found === null) return undefined;
  const value = BigInt(found[1]!);
  const mask = found[2] === undefined ? full : BigInt(found[2]);
  return value > full || mask > full ? undefined : { value, mask };
}

function parseParts(inside: string, parts: readonly Part[], key: L.Flow, mask: L.Flow): boolean {
  for (const item of inside === "" ? [] : inside.split(",")) {
    const [label, text] = item.split("=");
    const of = parts.find((each) => each.label === label);
    if (of === undefined) return false;
    const number = parseNumber(text ?? "", BigInt(fullOf(of)));
    if (number === undefined) return false;
    key[of.word] = key[of.word]! | (Number(number.value) << of.shift);
    mask[of.word] = mask[of.word]! | (Number(number.mask) << of.shift);
  }
  return true;
}

/** What stands in the parentheses of `vxlan(…)` and its like; undefined for no such name, false when it makes no sense. */
export function parseTunnelOptions(
  name: string,
  inside: string,
  key: L.Flow,
  mask: L.Flow,
): boolean | undefined {
  switch (name) {
    case "vxlan": {
      const gbp = /^gbp\(([^()]*)\)$/.exec(inside);
      return gbp !== null && parseParts(gbp[1]!, GBP, key, mask);
    }
    case "geneve":
      return parseGeneve(inside, key, mask);
    case "erspan": {
      const version = /^ver=([12])\b/.exec(inside)?.[1];
      if (version === undefined) return false;
      return parseParts(inside, [ERSPAN_VERSION, ...(version === "1" ? ERSPAN_1 : ERSPAN_2)], key, mask);
    }
    case "gtpu":
      return parseParts(inside, GTPU, key, mask);
    default:
      return undefined;
  }
}

function parseGeneve(inside: string, key: L.Flow, mask: L.Flow): boolean {
  if (!/^(\{[^{}]*\})*$/.test(inside)) return false;
  let at = L.W_TUN_METADATA;
  for (const [, option] of inside.matchAll(/\{([^{}]*)\}/g)) {
    const words = parseOption(option!, at, key, mask);
    if (words < 0) return false;
    at += 1 + words;
  }
  key[L.W_TUN_METADATA_PRESENT] = (at - L.W_TUN_METADATA) * 4;
  mask[L.W_TUN_METADATA_PRESENT] = -1;
  return true;
}

/** Words of data, or -1. */
function parseOption(text: string, at: number, key: L.Flow, mask: L.Flow): number {
  const found = /^(?:class=([^,]+),?)?(?:type=([^,]+),?)?(?:len=([^,]+),?)?(.*)$/.exec(text)!;
  const number = (part: string | undefined, full: bigint) =>
    part === undefined ? { value: 0n, mask: 0n } : parseNumber(part, full);
  const kind = number(found[1], 0xffffn);
  const type = number(found[2], 0xffn);
  const length = number(found[3], 0xffn);
  if (kind === undefined || type === undefined || length === undefined) return -1;
  const bytes = Number(length.value);
  const words = bytes / 4;
  const room = (GENEVE_BYTES_MAX >> 2) - (at - L.W_TUN_METADATA);
  if (bytes % 4 !== 0 || words > DATA_WORDS_MAX || 1 + words > room) return -1;
  key[at] = (Number(kind.value) << 16) | (Number(type.value) << 8) | words;
  mask[at] = (Number(kind.mask) << 16) | (Number(type.mask) << 8) | (Number(length.mask) & 0x1f);
  const ones = (1n << BigInt(bytes * 8)) - 1n;
  const data = found[4] === "" ? { value: 0n, mask: ones } : parseNumber(found[4]!, ones);
  if (data === undefined) return -1;
  for (let i = 0; i < words; i++) {
    const shift = BigInt(32 * (words - 1 - i));
    key[at + 1 + i] = Number(BigInt.asIntN(32, data.value >> shift));
    mask[at + 1 + i] = Number(BigInt.asIntN(32, data.mask >> shift));
  }
  return words;
}
