/**
 * Keys and masks of the flow layout to nested OVS_KEY_ATTR_*, and back, by the rows of `key-table.ts`.
 *
 * A key has every attribute that its values call for. A mask has those of the key's in which a bit counts. An Ethernet frame with
 * tags nests: ETHERTYPE (the tag's type), VLAN, ENCAP { the same for the second tag, or what is below }.
 */
import * as L from "../../flow/layout.ts";
import { ETH_TYPE_NSH, isMplsType, isVlanType } from "../../flow/packet/ethernet.ts";
import { eachAttribute } from "../../netdev/netlink-message.ts";
import { nestedStart, ODP_SET } from "../odp/actions.ts";
import { countMpls, typeOf } from "../odp/attributes.ts";
import {
  FRAGMENT_SHIFT,
  INVISIBLE,
  isIp,
  KEY_ENCAP,
  KEY_ETHERNET,
  KEY_ETHERTYPE,
  KEY_MPLS,
  KEY_NSH,
  KEY_ROWS,
  KEY_TUNNEL,
  KEY_VLAN,
  type KeyPiece,
  type KeyRow,
  ROW_OF,
} from "./key-table.ts";
import { anyTunnelBit, hasTunnel, narrowTunnel, readTunnel, writeTunnel } from "./tunnel-codec.ts";
import type { NlWriter } from "./writer.ts";

const NSH_BASE = 1;
const NSH_MD1 = 2;
const ETHERTYPE_MIN = 0x600;
/** DP_MAX_PORTS of the module. */
const MAX_PORTS = 0xffff;
const TAGS = [L.W_VLAN0, L.W_VLAN1] as const;

// --- Pieces.

const isFragment = (piece: KeyPiece): boolean => piece.word === L.W_NW && piece.shift === FRAGMENT_SHIFT;

/** none, first, later are 0, 1, 2 in the kernel; the layout has a bit for "any" and one for "later". */
function fragmentOut(bits: number, mask: boolean): number {
  if (mask) return bits === 0 ? 0 : 0xff;
  if ((bits & L.FLOW_NW_FRAG_ANY) === 0) return 0;
  return (bits & L.FLOW_NW_FRAG_LATER) === 0 ? 1 : 2;
}

function fragmentIn(byte: number, mask: boolean): number {
  if (mask) return byte === 0 ? 0 : 3;
  return byte === 0 ? 0 : byte === 1 ? L.FLOW_NW_FRAG_ANY : L.FLOW_NW_FRAG_ANY | L.FLOW_NW_FRAG_LATER;
}

function putPieces(out: NlWriter, at: number, row: KeyRow, words: L.Flow, mask: boolean): void {
  for (const piece of row.pieces) {
    let value = (words[piece.word]! >>> piece.shift) & piece.bits;
    if (isFragment(piece)) value = fragmentOut(value, mask);
    if (piece.bytes === 4) out.put32(at + piece.at, value, !row.host);
    else if (piece.bytes === 2) out.put16(at + piece.at, value, !row.host);
    else out.put8(at + piece.at, value);
  }
}

/** The struct of one row, and for SET_MASKED its mask behind it. */
export function writeRow(out: NlWriter, row: KeyRow, words: L.Flow, mask: L.Flow | undefined): void {
  const at = out.blank(row.attribute, mask === undefined ? row.bytes : 2 * row.bytes);
  putPieces(out, at, row, words, false);
  if (mask !== undefined) putPieces(out, at + row.bytes, row, mask, true);
}

export function anyBit(row: KeyRow, words: L.Flow): boolean {
  let any = 0;
  for (const piece of row.pieces) any |= (words[piece.word]! >>> piece.shift) & piece.bits;
  return any !== 0;
}

/** Fills in the row's words from its struct at the start of `value`; nothing when that is too short. */
export function readRow(row: KeyRow, value: DataView, into: L.Flow, mask: boolean, from = 0): void {
  if (value.byteLength < from + row.bytes) return;
  for (const piece of row.pieces) {
    const at = from + piece.at;
    let number: number;
    if (piece.bytes === 4) number = value.getUint32(at, row.host);
    else if (piece.bytes === 2) number = value.getUint16(at, row.host);
    else number = value.getUint8(at);
    if (isFragment(piece)) number = fragmentIn(number, mask);
    const bits = piece.bits << piece.shift;
    into[piece.word] = (into[piece.word]! & ~bits) | ((number << piece.shift) & bits);
  }
}

// --- Masks.

const FRAGMENTS = 3 << FRAGMENT_SHIFT;

/** Why the kernel cannot have a flow: a bit counts that it cannot see. */
export function invisibleBit(key: L.Flow, mask: L.Flow): string | undefined {
  for (const [word, bits, present] of INVISIBLE)
    if ((mask[word]! & bits) !== 0 && present(key)) return `a match of word ${word} of the flow layout`;
  return undefined;
}

/**
 * Adds to a mask what the kernel matches whatever one asks for (port, whether there is a tag) and what it must know to match the
 * rest, or to change it by `actions`. Only narrower, so a megaflow stays right.
 */
export function narrowMask(key: L.Flow, mask: L.Flow, actions: Int32Array): void {
  const add = (word: number, bits: number): void => {
    mask[word] = mask[word]! | bits;
  };
  add(L.W_IN_PORT, -1);
  if (anyTunnelBit(key)) narrowTunnel(mask);
  for (const row of KEY_ROWS) {
    if (row.needs.length === 0 || !anyBit(row, mask)) continue;
    if (row.present(key)) for (const [word, bits] of row.needs) add(word, bits);
    else if (!row.metadata) {
      // What the key does not have is 0 in all packets of this kind.
      add(L.W_ETH_TYPE, 0xffff);
      if (row.needs.length > 1 && isIp(key)) add(L.W_NW, 0xff | FRAGMENTS);
    }
  }
  narrowForSets(key, mask, actions, 0, actions.length);
  if ((mask[L.W_NW]! & FRAGMENTS) !== 0) add(L.W_NW, FRAGMENTS);
  let nested = 0;
  for (let i = 0; i < 3; i++) nested |= mask[L.W_MPLS + i]!;
  for (let word = L.W_NSH_BASE; word < L.W_NSH_CONTEXT + 4; word++) nested |= mask[word]!;
  if (nested !== 0) add(L.W_ETH_TYPE, 0xffff);
  for (const word of TAGS) {
    const tagged = (key[word]! & L.VLAN_CFI) !== 0;
    // The type of a tag counts in full.
    add(word, tagged ? 0xffff0000 | L.VLAN_CFI : L.VLAN_CFI);
    if (!tagged) break;
    // The kernel takes an ENCAP in which nothing counts for none.
    add(L.W_ETH_TYPE, 0xffff);
  }
}

/** A header that is set must be one that all packets of the flow have. */
function narrowForSets(key: L.Flow, mask: L.Flow, program: Int32Array, start: number, end: number): void {
  for (let at = start; at < end; at += program[at + 1]!) {
    const nested = nestedStart(program, at);
    if (nested > 0) narrowForSets(key, mask, program, nested, at + program[at + 1]!);
    if (program[at] !== ODP_SET) continue;
    for (const row of SETTABLE_ROWS) {
      if (!row.present(key) || !row.pieces.some((piece) => piece.word === program[at + 2])) continue;
      for (const [word, bits] of row.needs) mask[word] = mask[word]! | bits;
    }
  }
}
const SETTABLE_ROWS = KEY_ROWS.filter((row) => row.settable && row.needs.length > 0);

// --- Writing.

const METADATA_ROWS = KEY_ROWS.filter((row) => row.metadata);
const ETHERNET_ROW = ROW_OF[KEY_ETHERNET]!;
const HEADER_ROWS = KEY_ROWS.filter((row) => !row.metadata && row !== ETHERNET_ROW);
/** The others are 0 for the kernel when they are not there. */
const PORT_ROW = KEY_ROWS.find((row) => row.name === "in_port")!;

/** The attributes of a key, without the one that holds them. Where a bit of `mask` counts, the key has the attribute, too. */
export function writeKey(out: NlWriter, key: L.Flow, mask: L.Flow): void {
  for (const row of METADATA_ROWS)
    if (row.present(key) && (row === PORT_ROW || anyBit(row, key) || anyBit(row, mask)))
      writeRow(out, row, key, undefined);
  if (anyTunnelBit(key)) writeTunnel(out, key, undefined);
  if (ETHERNET_ROW.present(key)) writeRow(out, ETHERNET_ROW, key, undefined);
  writeTags(out, key, key, 0, false);
}

/** The attributes of its mask, after {@link narrowMask}. */
export function writeMask(out: NlWriter, key: L.Flow, mask: L.Flow): void {
  const tagPast = isTagPast(key);
  for (const row of METADATA_ROWS)
    if (row.present(key) && anyBit(row, mask) && !(row === PORT_ROW && tagPast)) putMask(out, row, mask);
  if (anyTunnelBit(key) && anyTunnelBit(mask)) writeTunnel(out, mask, key);
  if (ETHERNET_ROW.present(key) && anyBit(ETHERNET_ROW, mask)) putMask(out, ETHERNET_ROW, mask);
  writeTags(out, key, mask, 0, true);
}

/** There is a tag past those that count. */
function isTagPast(key: L.Flow): boolean {
  return isVlanType(typeOf(key)) && (key[L.W_VLAN1]! & L.VLAN_CFI) === 0;
}

function putMask(out: NlWriter, row: KeyRow, mask: L.Flow): void {
  putPieces(out, out.blank(row.attribute, row.bytes), row, mask, true);
}

/** From the Ethertype on: `words` is the key itself, or with `mask` its mask. */
function writeTags(out: NlWriter, key: L.Flow, words: L.Flow, depth: number, mask: boolean): void {
  const tag = TAGS[depth];
  const type = typeOf(key);
  if (tag !== undefined && (key[tag]! & L.VLAN_CFI) !== 0) {
    out.be16(KEY_ETHERTYPE, mask ? 0xffff : key[tag]! >>> 16);
    out.be16(KEY_VLAN, words[tag]! & 0xffff);
    const encap = out.open(KEY_ENCAP);
    writeTags(out, key, words, depth + 1, mask);
    out.close(encap);
  } else if (tag !== undefined && isVlanType(type)) {
    // A tag past those that count: the kernel knows it, and wants to hear that it is there.
    out.be16(KEY_ETHERTYPE, mask ? 0xffff : type);
    out.be16(KEY_VLAN, L.VLAN_CFI);
    const encap = out.open(KEY_ENCAP);
    // All levels are one to the kernel, and something must count in each: the port always does.
    if (mask) putMask(out, PORT_ROW, words);
    out.close(encap);
  } else {
    const bits = typeOf(words);
    // What has no Ethertype is told by a mask alone.
    if (mask ? bits !== 0 : type >= ETHERTYPE_MIN) out.be16(KEY_ETHERTYPE, bits);
    if (type >= ETHERTYPE_MIN) writeHeaders(out, key, words, mask);
  }
}

function writeHeaders(out: NlWriter, key: L.Flow, words: L.Flow, mask: boolean): void {
  for (const row of HEADER_ROWS) {
    if (!row.present(key)) continue;
    if (!mask) writeRow(out, row, words, undefined);
    else if (anyBit(row, words)) putMask(out, row, words);
  }
  if (isMplsType(typeOf(key))) writeMpls(out, key, words, mask);
  else if (typeOf(key) === ETH_TYPE_NSH) writeNsh(out, words, mask);
}

function writeMpls(out: NlWriter, key: L.Flow, words: L.Flow, mask: boolean): void {
  const labels = countMpls(key);
  let any = 0;
  for (let i = 0; i < labels; i++) any |= words[L.W_MPLS + i]!;
  if (any !== 0 || !mask) out.be32s(KEY_MPLS, words, L.W_MPLS, labels);
}

export function writeNsh(out: NlWriter, words: L.Flow, mask: boolean): void {
  let context = 0;
  for (let i = 0; i < 4; i++) context |= words[L.W_NSH_CONTEXT + i]!;
  const base = words[L.W_NSH_BASE]! | words[L.W_NSH_PATH]!;
  if (mask && (base | context) === 0) return;
  const at = out.open(KEY_NSH);
  out.be32s(NSH_BASE, words, L.W_NSH_BASE, 2);
  const type1 = ((words[L.W_NSH_BASE]! >>> 8) & 0xff) === 1;
  if (mask ? context !== 0 : type1) out.be32s(NSH_MD1, words, L.W_NSH_CONTEXT, 4);
  out.close(at);
}

/** What goes with a packet to be executed: the kernel finds out the headers itself. */
export function writeMetadata(out: NlWriter, key: L.Flow): void {
  for (const row of METADATA_ROWS) {
    // A packet that came in nowhere has a number that is no port's.
    const there = row === PORT_ROW ? key[L.W_IN_PORT]! >>> 0 < MAX_PORTS : anyBit(row, key);
    if (there && row.present(key)) writeRow(out, row, key, undefined);
  }
  if (hasTunnel(key)) writeTunnel(out, key, undefined);
  if (ETHERNET_ROW.present(key)) writeRow(out, ETHERNET_ROW, key, undefined);
  else out.be16(KEY_ETHERTYPE, typeOf(key));
}

// --- Reading.

/** Metadata alone, of the key of a packet that the kernel hands up; clears the words of headers. */
export function readMetadata(value: DataView, into: L.Flow): void {
  into.fill(0);
  let ethernet = false;
  let type = 0;
  eachAttribute(value, 0, (attribute, of) => {
    const row = ROW_OF[attribute];
    if (row?.metadata === true) readRow(row, of, into, false);
    else if (attribute === KEY_TUNNEL) readTunnel(of, into);
    else if (attribute === KEY_ETHERNET) ethernet = true;
    else if (attribute === KEY_ETHERTYPE && of.byteLength >= 2) type = of.getUint16(0);
  });
  if (!ethernet) into[L.W_PACKET_TYPE] = 0x10000 | type;
}

/** A whole key or mask; `into` is cleared first. A mask is read beside its key, which tells what its parts mean. */
export function readKey(value: DataView, into: L.Flow): void {
  into.fill(0);
  into[L.W_PACKET_TYPE] = 0x10000;
  readLevel(value, into, 0, undefined);
  if (into[L.W_PACKET_TYPE] !== 0) into[L.W_PACKET_TYPE] = 0x10000 | typeOf(into);
}

export function readMask(value: DataView, key: L.Flow, into: L.Flow): void {
  into.fill(0);
  readLevel(value, into, 0, key);
  for (const word of TAGS) {
    if ((key[word]! & L.VLAN_CFI) !== 0) continue;
    into[word] = L.VLAN_CFI;
    break;
  }
}

function readLevel(value: DataView, into: L.Flow, depth: number, maskOf: L.Flow | undefined): void {
  const mask = maskOf !== undefined;
  let type = -1;
  let tci = -1;
  let encap: DataView | undefined;
  eachAttribute(value, 0, (attribute, of) => {
    const row = ROW_OF[attribute];
    if (row !== undefined) {
      readRow(row, of, into, mask);
      if (attribute === KEY_ETHERNET && !mask) into[L.W_PACKET_TYPE] = 0;
    } else if (attribute === KEY_TUNNEL) readTunnel(of, into, maskOf);
    else if (attribute === KEY_ETHERTYPE && of.byteLength >= 2) type = of.getUint16(0);
    else if (attribute === KEY_VLAN && of.byteLength >= 2) tci = of.getUint16(0);
    else if (attribute === KEY_ENCAP) encap = of;
    else if (attribute === KEY_MPLS) {
      for (let i = 0; i < 3 && of.byteLength >= i * 4 + 4; i++) into[L.W_MPLS + i] = of.getInt32(i * 4);
    } else if (attribute === KEY_NSH) readNsh(of, into);
  });
  const tag = TAGS[depth];
  if (tag !== undefined && encap !== undefined && tci >= 0) {
    into[tag] = (type << 16) | tci;
    readLevel(encap, into, depth + 1, maskOf);
    return;
  }
  const none = mask ? 0 : L.FLOW_DL_TYPE_NONE;
  into[L.W_ETH_TYPE] = type < 0 ? none : type;
}

function readNsh(value: DataView, into: L.Flow): void {
  eachAttribute(value, 0, (attribute, of) => {
    const at = attribute === NSH_BASE ? L.W_NSH_BASE : attribute === NSH_MD1 ? L.W_NSH_CONTEXT : 0;
    if (at > 0) for (let i = 0; i * 4 + 4 <= of.byteLength && i < 4; i++) into[at + i] = of.getInt32(i * 4);
  });
}
