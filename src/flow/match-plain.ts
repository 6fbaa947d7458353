/**
 * What most items of most flows are: a protocol's word, or a field of one number, port, IPv4 or Ethernet address in its
 * plainest form. They are taken off the text as it lies, without strings and bigint; anything else, and whatever is wrong,
 * is for ./match-parse.ts. Which fields there are and how they are written comes from the field registry.
 */
import { FIELDS, type Field, fillField, setField } from "./fields/index.ts";
import { hashWord, type Items } from "./items.ts";
import { W_ETH_TYPE, W_NW } from "./layout.ts";
import { type Match, setMatch, setMatchMasked, setMatchWord } from "./match.ts";
import { parseIpv4 } from "./packet/address.ts";
import { PROTOCOL_WORDS } from "./protocols.ts";

const SLASH = 47;

const NOT_PLAIN = 0;
const NUMBER = 1;
const IPV4 = 2;
const ETHERNET = 3;
const PORT = 4;

/** Numbers from here on are reserved ports or none. */
const OFPP_MAX = 0xff00;

function kindOf({ name, format, places, onesOnly }: Field): number {
  if (format === "eth" && places.length === 2) return ETHERNET;
  if (places.length !== 1 || onesOnly || name.includes("vlan") || name === "nw_tos") return NOT_PLAIN;
  if (format === "decimal" || format === "hex") return NUMBER;
  if (format === "ipv4") return IPV4;
  return format === "port10" || format === "port" ? PORT : NOT_PLAIN;
}

/** By Field.id. */
const KINDS = Uint8Array.from(FIELDS, kindOf);

interface Word {
  readonly name: string;
  /** undefined: a protocol. */
  readonly field: Field | undefined;
  readonly type: number;
  /** 0 for none. */
  readonly protocol: number;
}

function makeWords(): Map<number, Word> {
  const words = new Map<number, Word>();
  const add = (word: Word): void => {
    const hash = hashWord(word.name);
    if (!words.has(hash)) words.set(hash, word);
  };
  for (const { name, type, protocol } of PROTOCOL_WORDS) add({ name, field: undefined, type, protocol });
  for (const field of FIELDS) {
    if (KINDS[field.id] === NOT_PLAIN) continue;
    add({ name: field.name, field, type: 0, protocol: 0 });
    if (field.alias !== undefined) add({ name: field.alias, field, type: 0, protocol: 0 });
  }
  return words;
}

/** By hash of the name. */
const WORDS = makeWords();

/** Takes the item at which `items` stands; false: it is none of these, and the match is as before. */
export function takePlainItem(match: Match, items: Items): boolean {
  const word = WORDS.get(items.hash);
  if (word === undefined || !isWord(items, word.name)) return false;
  if (word.field !== undefined) {
    return takePlainValue(match, word.field, items.text, items.valueStart, items.valueEnd);
  }
  setMatchWord(match, W_ETH_TYPE, word.type, 0xffff);
  if (word.protocol !== 0) setMatchWord(match, W_NW, word.protocol, 0xff);
  return true;
}

function isWord({ text, keyStart, keyEnd }: Items, word: string): boolean {
  if (keyEnd - keyStart !== word.length) return false;
  for (let i = 0; i < word.length; i++) {
    if (text.charCodeAt(keyStart + i) !== word.charCodeAt(i)) return false;
  }
  return true;
}

/** The same of a field's value, which is the text from `from` up to `end`. */
export function takePlainValue(match: Match, field: Field, text: string, from: number, end: number): boolean {
  const kind = KINDS[field.id]!;
  if (kind === NOT_PLAIN) return false;
  if (kind === IPV4) return takeIpv4(match, field, text, from, end);
  if (kind === ETHERNET) return takeEthernet(match, field, text, from, end);
  const value = kind === PORT ? scanDecimal(text, from, end) : scanNumber(text, from, end);
  const limit = kind === PORT ? OFPP_MAX : 2 ** (8 * field.bytes);
  if (value < 0 || value >= limit) return false;
  setMatch(match, field, value);
  return true;
}

/** A decimal number of up to nine digits without leading zeros; -1: something else. */
export function scanDecimal(text: string, from: number, end: number): number {
  if (end === from || end - from > 9 || (text.charCodeAt(from) === 48 && end - from > 1)) return -1;
  let value = 0;
  for (let at = from; at < end; at++) {
    const digit = text.charCodeAt(at) - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** The same, or 0x and up to eight hexadecimal digits. */
export function scanNumber(text: string, from: number, end: number): number {
  return text.charCodeAt(from + 1) > 57 ? scanHex(text, from, end) : scanDecimal(text, from, end);
}

function scanHex(text: string, from: number, end: number): number {
  if (
    text.charCodeAt(from) !== 48 ||
    (text.charCodeAt(from + 1) | 32) !== 120 ||
    end - from < 3 ||
    end - from > 10
  )
    return -1;
  let value = 0;
  for (let at = from + 2; at < end; at++) {
    const digit = hexDigit(text.charCodeAt(at));
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

function hexDigit(c: number): number {
  if (c >= 48 && c <= 57) return c - 48;
  const letter = (c | 32) - 97;
  return letter >= 0 && letter < 6 ? letter + 10 : -1;
}

/** a.b.c.d, perhaps with /PREFIX. */
function takeIpv4(match: Match, field: Field, text: string, from: number, end: number): boolean {
  let at = from;
  while (at < end && text.charCodeAt(at) !== SLASH) at++;
  const word = parseIpv4(text, from, at);
  if (word === undefined) return false;
  if (at === end) {
    setMatch(match, field, word);
    return true;
  }
  const length = scanDecimal(text, at + 1, end);
  if (length < 0 || length > 32 || !field.maskable) return false;
  setMatchMasked(match, field, word, length === 0 ? 0 : -1 << (32 - length));
  return true;
}

/** Six pairs of hexadecimal digits, apart by colons. */
function takeEthernet(match: Match, field: Field, text: string, from: number, end: number): boolean {
  if (end - from !== 17) return false;
  let high = 0;
  let low = 0;
  for (let at = from; at < end; at += 3) {
    const first = hexDigit(text.charCodeAt(at));
    const second = hexDigit(text.charCodeAt(at + 1));
    if (first < 0 || second < 0 || (at + 2 < end && text.charCodeAt(at + 2) !== 58)) return false;
    if (at < from + 12) high = (high << 8) | (first << 4) | second;
    else low = (low << 8) | (first << 4) | second;
  }
  setAddress(match, field, high, low);
  return true;
}

/** `high`: the first 32 bits of an Ethernet address, `low`: the last 16. It lies in two words, 32 or 16 bits in the first. */
function setAddress({ flow, mask }: Match, field: Field, high: number, low: number): void {
  const [second, shift, width] = field.places[1]!;
  const split = width === 32;
  fillField(field, mask);
  setField(field, flow, split ? high >>> 16 : high);
  if (split) flow[second] = (high << 16) | low;
  else flow[second] = (flow[second]! & ~(0xffff << shift)) | (low << shift);
}
