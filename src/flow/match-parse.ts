/** Match fields from text, one `key=value` at a time: the match part of ovs-ofctl(8)'s flow syntax. */
import { type Field, fieldByName, fieldByOxmName, setFieldBig } from "./fields/index.ts";
import {
  type Flow,
  VLAN_CFI,
  W_ACTSET_OUTPUT,
  W_ETH_DST_HI,
  W_ETH_DST_SRC,
  W_ETH_SRC_LO,
  W_ETH_TYPE,
  W_IN_PORT,
  W_NW,
  W_PACKET_TYPE,
  W_VLAN0,
} from "./layout.ts";
import { type Match, makeMatch, setMatchBig, setMatchBigMasked, setMatchWord } from "./match.ts";
import { takePlainValue } from "./match-plain.ts";
import { prerequisitesMet } from "./normalize.ts";
import type { PortNames } from "./ports-text.ts";
import { protocolByName } from "./protocols.ts";
import { bytesNeeded, setTunMetadata } from "./tun-metadata.ts";
import { fieldBits, fieldOnes, parseFieldValue } from "./value-text.ts";

/**
 * Takes one item of a flow's text; `value` is undefined (or "") when there was no `=`. Returns undefined when done, an
 * error text as 3.7 prints it, or `null` when `key` is no match field or protocol word (it may be `priority`, …).
 */
export function parseMatchItem(
  match: Match,
  key: string,
  value: string | undefined,
  ports?: PortNames,
): string | undefined | null {
  const protocol = protocolByName(key);
  if (protocol !== undefined) {
    setMatchWord(match, W_ETH_TYPE, protocol.type, 0xffff);
    if (protocol.protocol !== 0) setMatchWord(match, W_NW, protocol.protocol, 0xff);
    return undefined;
  }
  if (key === "eth") {
    setMatchWord(match, W_PACKET_TYPE, 0, -1);
    return undefined;
  }
  if (key.endsWith("]")) {
    const part = /^([a-zA-Z0-9_]+)\[(?:(\d+)(?:\.\.(\d+))?)?\]$/.exec(key);
    if (part !== null) return parseSubfield(match, part, value ?? "");
  }
  const field = fieldByName(key);
  return field === undefined ? null : parseField(match, field, value, ports);
}

function parseField(
  match: Match,
  field: Field,
  value: string | undefined,
  ports: PortNames | undefined,
): string | undefined {
  const text = value === undefined || value === "" ? "0/0" : value;
  if (takePlainValue(match, field, text, 0, text.length)) return undefined;
  const parsed = parseFieldValue(field, text, ports);
  if ("error" in parsed) return parsed.error;
  if (field.isTunMetadata) {
    const exact = parsed.mask === fieldOnes(field);
    const bytes = bytesNeeded(exact ? parsed.value : parsed.mask);
    const mask = exact ? undefined : parsed.mask;
    if (!setTunMetadata(match, field, bytes, parsed.value, mask)) return `${text}: no room for ${field.name}`;
    return undefined;
  }
  setParsed(match, field, parsed.value, parsed.mask);
  return undefined;
}

/**
 * Sets a field as OpenFlow and flow text mean it: the VLAN fields include the CFI bit that says "tagged", nw_tos leaves
 * the ECN bits alone, and a zero mask wildcards.
 */
export function setParsed(match: Match, field: Field, value: bigint, mask: bigint): void {
  if (mask === 0n) {
    setMatchBigMasked(match, field, 0n, 0n);
    return;
  }
  if (field.onesOnly) {
    setMatchBigMasked(match, field, value & mask, value & mask);
    return;
  }
  const exact = (mask & fieldBits(field)) === fieldBits(field);
  switch (field.name) {
    case "dl_vlan":
      if (value === 0xffffn) setVlan(match, 0, 0xffff, 0xffff);
      else setVlan(match, VLAN_CFI | (Number(value) & 0xfff), VLAN_CFI | 0xfff, VLAN_CFI | 0xfff);
      return;
    case "vlan_vid": {
      const bits = mask === fieldOnes(field) ? 0x1fff : Number(mask) & 0x1fff;
      if (bits === 0x1fff && (Number(value) & VLAN_CFI) === 0) setVlan(match, 0, 0xffff, 0xffff);
      else setVlan(match, Number(value), bits, 0x1fff);
      return;
    }
    case "dl_vlan_pcp":
    case "vlan_pcp":
      setVlan(match, VLAN_CFI | ((Number(value) & 7) << 13), 0xf000, 0xf000);
      return;
    case "vlan_tci":
      // Untagged is one case, whatever VID it is written with.
      if (exact && (Number(value) & VLAN_CFI) === 0) setVlan(match, 0, 0xffff, 0xffff);
      else setVlan(match, Number(value), Number(mask), 0xffff);
      return;
    case "tun_flags":
      setMatchBigMasked(match, field, value & mask & fieldBits(field), mask & fieldBits(field));
      return;
    case "nw_tos":
      setMatchWord(match, W_NW, (Number(value) & 0xfc) << 8, 0xfc << 8);
      return;
    default:
      if (exact) setMatchBig(match, field, value & fieldBits(field));
      else setMatchBigMasked(match, field, value, mask);
  }
}

/** Replaces `bits` of the outer tag's match by `value` under `mask`. */
function setVlan(match: Match, value: number, mask: number, bits: number): void {
  match.mask[W_VLAN0] = (match.mask[W_VLAN0]! & ~bits & 0xffff) | (mask & bits);
  match.flow[W_VLAN0] = (match.flow[W_VLAN0]! & ~bits & 0xffff) | (value & mask & bits);
}

/** `reg0[0..3]=5`: a part of a field, in the syntax of subfields. */
function parseSubfield(match: Match, part: RegExpExecArray, text: string): string | undefined | null {
  const field = fieldByName(part[1]!) ?? fieldByOxmName(part[1]!)?.field;
  if (field === undefined || field.isTunMetadata) return null;
  const from = Number(part[2] ?? 0);
  const to = part[2] === undefined ? field.bits - 1 : Number(part[3] ?? part[2]);
  if (to >= field.bits) {
    return `${part[0]}: subfield past the end of the field (${field.bits} bits)`;
  }
  if (!/^(0x[0-9a-f]+|\d+)$/i.test(text)) return `${text}: bad syntax for ${field.name} value`;
  const width = BigInt(to - from + 1);
  const value = BigInt(text);
  if (value >> width !== 0n) return `${text}: value too large for ${width}-bit field ${field.name}`;
  const mask = ((1n << width) - 1n) << BigInt(from);
  addBits(match, field, value << BigInt(from), mask);
  return undefined;
}

function addBits(match: Match, field: Field, value: bigint, mask: bigint): void {
  const scratch = makeMatch();
  setFieldBig(field, scratch.mask, mask);
  setFieldBig(field, scratch.flow, value);
  for (const [word] of field.places) setMatchWord(match, word, scratch.flow[word]!, scratch.mask[word]!);
}

/** A match on Ethernet fields that does not say so is one of Ethernet packets: packet_type (0,0). */
export function setDefaultPacketType(match: Match): void {
  const { mask } = match;
  if (mask[W_PACKET_TYPE] !== 0) return;
  const ethernet =
    mask[W_ETH_DST_HI]! | mask[W_ETH_DST_SRC]! | mask[W_ETH_SRC_LO]! | mask[W_ETH_TYPE]! | mask[W_VLAN0]!;
  if (ethernet !== 0) setMatchWord(match, W_PACKET_TYPE, 0, -1);
}

/** "key=value" pairs and words, separated by commas or white space; values may hold commas in parentheses. */
export function splitFlowItems(text: string): { key: string; value: string | undefined }[] {
  const items: { key: string; value: string | undefined }[] = [];
  let at = 0;
  while (at < text.length) {
    if (/[,\s]/.test(text[at]!)) {
      at++;
      continue;
    }
    const start = at;
    let depth = 0;
    let equals = -1;
    for (; at < text.length; at++) {
      const c = text[at]!;
      if (c === "(") depth++;
      else if (c === ")") depth--;
      else if (c === "=" && equals < 0 && depth === 0) equals = at;
      else if (depth <= 0 && /[,\s]/.test(c)) break;
    }
    items.push(
      equals < 0
        ? { key: text.slice(start, at), value: undefined }
        : { key: text.slice(start, equals), value: text.slice(equals + 1, at) },
    );
  }
  return items;
}

/** A whole match without flow attributes, "tcp,tp_dst=80". */
export function parseMatch(text: string, ports?: PortNames): { match: Match } | { error: string } {
  const match = makeMatch();
  for (const { key, value } of splitFlowItems(text)) {
    const problem = parseMatchItem(match, key, value, ports);
    if (problem === null) {
      return { error: value === undefined ? `field ${key} missing value` : `unknown keyword ${key}` };
    }
    if (problem !== undefined) return { error: problem };
  }
  setDefaultPacketType(match);
  return { match };
}

/**
 * A flow, exactly: what ofproto/trace and compose-packet take. Each field's prerequisites must be given before it.
 * Untouched fields are zero (actset_output and in_port: none). `match` has the same flow and the places of its
 * tun_metadata. Errors as 3.7.
 */
export function parseExactFlow(
  text: string,
  ports?: PortNames,
): { flow: Flow; match: Match } | { error: string } {
  const match = makeMatch();
  const { flow } = match;
  flow[W_IN_PORT] = 0xffff;
  flow[W_ACTSET_OUTPUT] = 0xfff7;
  for (const { key, value } of splitFlowItems(text)) {
    const fail = (why: string) => ({ error: `${text}: ${why}` });
    if (protocolByName(key) === undefined && key !== "eth") {
      const field = fieldByName(key);
      if (field === undefined) return fail(`unknown field ${key}`);
      if (!prerequisitesMet(field, flow)) return fail(`prerequisites not met for setting ${key}`);
      if (field.isTunMetadata) {
        const problem = parseMatchItem(match, key, value, ports);
        if (typeof problem === "string") return fail(problem);
        continue;
      }
      const parsed = parseFieldValue(field, value ?? "", ports);
      if ("error" in parsed) return fail(`bad value for ${key} (${parsed.error})`);
      if ((parsed.mask & fieldBits(field)) !== fieldBits(field)) {
        return fail(`${key}: cannot be masked`);
      }
    }
    const problem = parseMatchItem(match, key, value, ports);
    if (typeof problem === "string") return fail(problem);
  }
  if ((flow[W_VLAN0]! & VLAN_CFI) !== 0) flow[W_VLAN0] = flow[W_VLAN0]! | 0x81000000;
  return { flow, match };
}
