/** Datapath keys as text: `recirc_id(0),in_port(1),eth(src=…,dst=…),eth_type(0x0800),ipv4(…)`, with masks. */
import {
  CT_STATE,
  FRAGMENTS,
  formatFlags,
  formatFlagsMasked,
  formatFragment,
  ODP_TUN_FLAGS,
  parseFlags,
  TCP_FLAGS,
} from "../../flow/flags.ts";
import * as L from "../../flow/layout.ts";
import { formatIpv4, formatIpv6, parseIpv4, parseIpv6 } from "../../flow/packet/address.ts";
import { formatMac, isVlanType, parseMac } from "../../flow/packet/ethernet.ts";
import {
  countMpls,
  ETH_ATTRIBUTE,
  ETH_TYPE_ATTRIBUTE,
  METADATA_ATTRIBUTES,
  mplsParts,
  NETWORK_ATTRIBUTES,
  type OdpAttribute,
  type OdpPart,
  partOnes,
  readPart,
  writePart,
} from "./attributes.ts";
import { formatTunnelOptions, parseTunnelOptions } from "./tunnel-options.ts";

export interface OdpPortNames {
  numberOf(name: string): number | undefined;
  nameOf(port: number): string | undefined;
}

export interface OdpFormatOptions {
  readonly ports?: OdpPortNames | undefined;
  /** Fully wildcarded fields are printed too (`-m`). */
  readonly verbose?: boolean | undefined;
}

/** C's %#x. */
export function hex(value: bigint | number): string {
  const digits = value.toString(16);
  return digits === "0" ? "0" : `0x${digits}`;
}

function mac(value: bigint): string {
  return formatMac(Number(value >> 16n), Number(value & 0xffffn));
}

/** A part's value, with "/mask" where a mask is given and is not exact. */
export function formatPart(
  of: OdpPart,
  value: bigint,
  mask: bigint | undefined,
  options: OdpFormatOptions = {},
): string {
  const exact = mask === undefined || mask === partOnes(of);
  const withMask = (text: string, maskText: (mask: bigint) => string) =>
    exact ? text : `${text}/${maskText(mask)}`;
  switch (of.format) {
    case "dec":
      return withMask(String(value), hex);
    case "hex":
      return withMask(hex(value), hex);
    case "hex_mask8":
      return withMask(hex(value), (n) => `0x${n.toString(16).padStart(8, "0")}`);
    case "hex4": {
      const four = (n: bigint) => `0x${n.toString(16).padStart(4, "0")}`;
      return withMask(four(value), four);
    }
    case "eth":
      return withMask(mac(value), mac);
    case "ipv4":
      return withMask(formatIpv4(Number(value) | 0), (n) => formatIpv4(Number(n) | 0));
    case "ipv6":
      return withMask(formatIpv6(value), formatIpv6);
    case "frag":
      return mask === undefined || mask === 3n
        ? formatFragment(Number(value), 3)
        : `${formatFragment(Number(value), 3)}/${hex(mask)}`;
    case "tcp_flags":
      if (mask === undefined) return formatFlags(TCP_FLAGS, Number(value));
      return formatFlagsMasked(TCP_FLAGS, Number(value), Number(mask) & 0xfff);
    case "ct_state":
      if (options.verbose) return withMask(hex(value), hex);
      if (mask === undefined) return formatFlags(CT_STATE, Number(value));
      return formatFlagsMasked(CT_STATE, Number(value), Number(mask), 0x10000);
    case "port":
      return options.ports?.nameOf(Number(value)) ?? String(value);
  }
}

/** `name(…)`; undefined when nothing of it is to be printed. */
function formatAttribute(
  attribute: OdpAttribute,
  key: L.Flow,
  mask: L.Flow | undefined,
  options: OdpFormatOptions,
): string | undefined {
  const parts: string[] = [];
  for (const of of attribute.parts) {
    const bits = mask === undefined ? undefined : readPart(of, mask);
    if (bits === 0n && !options.verbose) continue;
    if (bits === 0n && of.format === "tcp_flags") {
      if (readPart(of, key) !== 0n) parts.push("0/0");
      continue;
    }
    const text = formatPart(of, readPart(of, key), bits, options);
    parts.push(of.label === "" ? text : `${of.label}=${text}`);
  }
  return parts.length === 0 ? undefined : `${attribute.name}(${parts.join(",")})`;
}

/**
 * `mask` undefined prints an exact key, as upcalls and traces do. Rows of at least FLOW_DP_WORDS words. A packet's
 * recirc_id, port, type and Ethernet header are printed whatever the mask.
 */
export function formatOdpKey(key: L.Flow, mask: L.Flow | undefined, options: OdpFormatOptions = {}): string {
  const out: string[] = [];
  const put = (attribute: OdpAttribute, bits = mask) => {
    const text = attribute.present(key) ? formatAttribute(attribute, key, bits, options) : undefined;
    if (text !== undefined) out.push(text);
  };
  for (const attribute of METADATA_ATTRIBUTES) {
    const exact = attribute.name === "recirc_id" || attribute.name === "in_port";
    if (attribute.name === "in_port") putTunnel(out, key, mask, options);
    put(attribute, exact ? undefined : mask);
  }
  if (key[L.W_PACKET_TYPE] === 0) {
    const eth = formatAttribute(ETH_ATTRIBUTE, key, mask, options);
    const typed = mask === undefined || mask[L.W_PACKET_TYPE] !== 0;
    // Something has to tell that it is an Ethernet frame.
    if (eth !== undefined || !typed) out.push(eth ?? "eth()");
  }
  let closing = "";
  for (const word of [L.W_VLAN0, L.W_VLAN1]) {
    if (key[word] === 0) break;
    const bits = mask === undefined ? undefined : mask[word]!;
    const vlan = formatVlan(
      key[word]!,
      bits === undefined ? undefined : bits & 0xffff,
      options.verbose ?? false,
    );
    out.push(`${hexType(key[word]! >>> 16)}${vlan === undefined ? "" : `,${vlan}`}`);
    closing += ")";
    out.push("encap(");
  }
  if ((key[L.W_ETH_TYPE]! & 0xffff) !== L.FLOW_DL_TYPE_NONE) put(ETH_TYPE_ATTRIBUTE);
  else if (mask !== undefined && mask[L.W_ETH_TYPE] !== 0) out.push("eth_type(0/0xffff)");
  for (const attribute of NETWORK_ATTRIBUTES) {
    if (attribute.name === "mpls") putMpls(out, key, mask, options);
    else if (attribute.name === "nd") put(attribute, isTypeExact(mask) ? mask : NOTHING);
    else if (attribute.name !== "nd_ext" || mask === undefined || anyBit(attribute, mask)) put(attribute);
  }
  return out.join(",").replaceAll("encap(,", "encap(") + closing;
}

const NOTHING: L.Flow = new Int32Array(L.FLOW_DP_WORDS);

function anyBit({ parts }: OdpAttribute, mask: L.Flow): boolean {
  return parts.some((of) => readPart(of, mask) !== 0n);
}

/** What neighbour discovery says is in the original's datapath messages only where the type is matched whole. */
function isTypeExact(mask: L.Flow | undefined): boolean {
  return mask === undefined || ((mask[L.W_TP]! >>> 16) & 0xff) === 0xff;
}

/** All labels in one `mpls(…)`, whole entries as soon as a bit of the stack counts. */
function putMpls(out: string[], key: L.Flow, mask: L.Flow | undefined, options: OdpFormatOptions): void {
  const labels = countMpls(key);
  let any = 0;
  let all = -1;
  for (let label = 0; label < labels; label++) {
    const bits = mask === undefined ? -1 : mask[L.W_MPLS + label]!;
    any |= bits;
    all &= bits;
  }
  if (labels === 0 || (any === 0 && !options.verbose)) return;
  const parts: string[] = [];
  for (let label = 0; label < labels; label++) {
    for (const of of mplsParts(label)) {
      const bits = mask === undefined ? partOnes(of) : readPart(of, mask);
      const prefix = of.label === "label" || of.label === "ttl" ? "0x" : "";
      const tail = all === -1 ? "" : `/${prefix}${bits.toString(16)}`;
      parts.push(`${of.label}=${readPart(of, key)}${tail}`);
    }
  }
  out.push(`mpls(${parts.join(",")})`);
}

function hexType(type: number): string {
  return `eth_type(0x${type.toString(16).padStart(4, "0")})`;
}

/** `vlan(vid=5,pcp=3)`, cfi only when it is not set. Mask bits 0-15, undefined for exact. */
export function formatVlan(tci: number, mask: number | undefined, verbose: boolean): string | undefined {
  const parts: string[] = [];
  if (mask === 0 && !verbose) return undefined;
  const put = (label: string, value: number, bits: number, full: number) => {
    parts.push(`${label}=${value}${mask === undefined || bits === full ? "" : `/0x${bits.toString(16)}`}`);
  };
  const bits = mask ?? 0xffff;
  // What is zero and does not count goes without saying.
  const all = verbose || mask === undefined;
  if (all || ((tci | bits) & 0xfff) !== 0) put("vid", tci & 0xfff, bits & 0xfff, 0xfff);
  if (all || ((tci | bits) & 0xe000) !== 0) put("pcp", (tci >>> 13) & 7, bits >>> 13, 7);
  if ((tci & L.VLAN_CFI) === 0) put("cfi", 0, (bits >>> 12) & 1, 1);
  return `vlan(${parts.join(",")})`;
}

// --- Tunnels.

const TUNNEL_PARTS: readonly OdpPart[] = [
  {
    label: "tun_id",
    format: "hex",
    places: [
      [L.W_TUN_ID_HI, 0, 32],
      [L.W_TUN_ID_LO, 0, 32],
    ],
  },
  { label: "src", format: "ipv4", places: [[L.W_TUN_SRC, 0, 32]] },
  { label: "dst", format: "ipv4", places: [[L.W_TUN_DST, 0, 32]] },
  {
    label: "ipv6_src",
    format: "ipv6",
    places: [0, 1, 2, 3].map((i) => [L.W_TUN_IPV6_SRC + i, 0, 32] as const),
  },
  {
    label: "ipv6_dst",
    format: "ipv6",
    places: [0, 1, 2, 3].map((i) => [L.W_TUN_IPV6_DST + i, 0, 32] as const),
  },
  { label: "tos", format: "hex", places: [[L.W_TUN_FLAGS_TOS_TTL, 16, 8]] },
  { label: "ttl", format: "dec", places: [[L.W_TUN_FLAGS_TOS_TTL, 24, 8]] },
  { label: "tp_src", format: "dec", places: [[L.W_TUN_TP, 16, 16]] },
  { label: "tp_dst", format: "dec", places: [[L.W_TUN_TP, 0, 16]] },
];

function putTunnel(out: string[], key: L.Flow, mask: L.Flow | undefined, options: OdpFormatOptions): void {
  let any = 0;
  for (let word = L.W_TUN_SRC; word < L.W_TUN_IPV6_DST + 4; word++) any |= key[word]!;
  if (any === 0) return;
  const text = formatTunnel(key, mask, options);
  if (text !== "" || options.verbose) out.push(`tunnel(${text})`);
}

/** What stands between the parentheses of `tunnel(…)`. */
export function formatTunnel(key: L.Flow, mask: L.Flow | undefined, options: OdpFormatOptions = {}): string {
  const parts: string[] = [];
  for (const of of TUNNEL_PARTS) {
    const value = readPart(of, key);
    const bits = mask === undefined ? undefined : readPart(of, mask);
    const rare = of.label !== "ttl" && value === 0n;
    if (bits === 0n ? !options.verbose || rare : rare && (bits === undefined || of.label !== "tun_id"))
      continue;
    parts.push(`${of.label === "ipv6_src" ? "ipv6_src" : of.label}=${formatPart(of, value, bits, options)}`);
  }
  parts.push(...formatTunnelOptions(key, mask, options.verbose === true));
  const flags = key[L.W_TUN_FLAGS_TOS_TTL]! & 0xffff;
  const flagBits = mask === undefined ? 0xffff : mask[L.W_TUN_FLAGS_TOS_TTL]! & 0xffff;
  if (flagBits !== 0 || options.verbose) {
    const names =
      (flagBits & ODP_TUN_FLAGS.all) === ODP_TUN_FLAGS.all
        ? flags === 0
          ? ""
          : formatFlags(ODP_TUN_FLAGS, flags)
        : formatFlagsMasked(ODP_TUN_FLAGS, flags, flagBits, 0x10000);
    parts.push(`flags(${names})`);
  }
  return parts.join(",");
}

// --- Parsing.

/** One `name(…)` or bare word of a list, with what stands in its parentheses. */
export interface Item {
  readonly name: string;
  /** Undefined when there were no parentheses. */
  readonly inside: string | undefined;
  readonly at: number;
}

/** Splits "a(b,c(d)),e" at its outer commas (and white space); undefined when parentheses do not match. */
export function splitItems(text: string): Item[] | undefined {
  const items: Item[] = [];
  let at = 0;
  while (at < text.length) {
    if (/[,\s]/.test(text[at]!)) {
      at++;
      continue;
    }
    const start = at;
    let depth = 0;
    for (; at < text.length; at++) {
      const c = text[at]!;
      if (c === "(") depth++;
      else if (c === ")") {
        if (--depth < 0) return undefined;
      } else if (depth === 0 && /[,\s]/.test(c)) break;
    }
    if (depth !== 0) return undefined;
    const item = text.slice(start, at);
    const open = item.indexOf("(");
    if (open < 0) items.push({ name: item, inside: undefined, at: start });
    else if (item.endsWith(")"))
      items.push({ name: item.slice(0, open), inside: item.slice(open + 1, -1), at: start });
    else return undefined;
  }
  return items;
}

function integer(text: string): bigint | undefined {
  return /^(0x[0-9a-f]+|\d+)$/i.test(text) ? BigInt(text) : undefined;
}

/** One value of a part's format, without a mask. */
function parseOne(of: OdpPart, text: string): bigint | undefined {
  switch (of.format) {
    case "eth": {
      const words = parseMac(text);
      return words === undefined ? undefined : (BigInt(words[0] >>> 0) << 16n) | BigInt(words[1] & 0xffff);
    }
    case "ipv4": {
      const word = parseIpv4(text);
      return word === undefined ? undefined : BigInt(word >>> 0);
    }
    case "ipv6":
      return parseIpv6(text);
    case "frag": {
      const found = FRAGMENTS.find(([name]) => name === text && name !== "yes" && name !== "not_later");
      return found === undefined ? undefined : BigInt(found[1]);
    }
    default:
      return integer(text);
  }
}

/** Sets a part in both rows from "value" or "value/mask". False when the text is wrong. */
export function parsePart(
  of: OdpPart,
  given: string,
  key: L.Flow,
  mask: L.Flow,
  ports?: OdpPortNames,
): boolean {
  const text = given.trim();
  let value: bigint | undefined;
  let bits: bigint | undefined = partOnes(of);
  if (of.format === "port" && integer(text) === undefined) {
    const port = ports?.numberOf(text.startsWith('"') ? text.slice(1, -1) : text);
    value = port === undefined ? undefined : BigInt(port);
  } else if ((of.format === "tcp_flags" || of.format === "ct_state") && !/^\d/.test(text)) {
    const flags = parseFlags(of.format === "ct_state" ? CT_STATE : TCP_FLAGS, text);
    if ("error" in flags) return false;
    value = BigInt(flags.value);
    // Without signs, all bits count.
    bits = /^[+-]/.test(text) ? BigInt(flags.mask) : partOnes(of);
  } else {
    const slash = text.indexOf("/");
    value = parseOne(of, slash < 0 ? text : text.slice(0, slash));
    if (slash >= 0)
      bits = of.format === "frag" ? integer(text.slice(slash + 1)) : parseOne(of, text.slice(slash + 1));
  }
  if (value === undefined || bits === undefined || value > partOnes(of) || bits > partOnes(of)) return false;
  // Bits outside the mask are kept: they are those of the packet that the flow was made for.
  writePart(of, key, value);
  writePart(of, mask, bits);
  return true;
}

/** Sets an attribute's parts from what stands in its parentheses. */
export function parseAttribute(
  attribute: OdpAttribute,
  inside: string,
  key: L.Flow,
  mask: L.Flow,
  ports?: OdpPortNames,
): boolean {
  if (attribute.parts.length === 1 && attribute.parts[0]!.label === "") {
    return parsePart(attribute.parts[0]!, inside, key, mask, ports);
  }
  for (const item of inside === "" ? [] : inside.split(",")) {
    const equals = item.indexOf("=");
    const of = attribute.parts.find(({ label }) => label === item.slice(0, equals));
    if (equals < 0 || of === undefined || !parsePart(of, item.slice(equals + 1), key, mask, ports))
      return false;
  }
  return true;
}

/** `vid=5,pcp=3,cfi=1` into a tag word whose TPID is there already. */
function parseVlan(inside: string, word: number, key: L.Flow, mask: L.Flow): boolean {
  key[word] = key[word]! | L.VLAN_CFI;
  mask[word] = mask[word]! | L.VLAN_CFI;
  for (const item of inside === "" ? [] : inside.split(",")) {
    const found = /^(vid|pcp|cfi)=(0x[0-9a-f]+|\d+)(?:\/(0x[0-9a-f]+|\d+))?$/i.exec(item);
    if (found === null) return false;
    const [shift, width] = found[1] === "vid" ? [0, 12] : found[1] === "pcp" ? [13, 3] : [12, 1];
    const full = (1 << width!) - 1;
    const value = Number(found[2]);
    const bits = found[3] === undefined ? full : Number(found[3]);
    if (value > full || bits > full) return false;
    key[word] = (key[word]! & ~(full << shift!)) | (value << shift!);
    mask[word] = (mask[word]! & ~(full << shift!)) | (bits << shift!);
  }
  return true;
}

/** `tun_id=0x5,src=…,geneve({…}),flags(df|key)`. */
export function parseTunnel(inside: string, key: L.Flow, mask: L.Flow): boolean {
  const items = splitItems(inside);
  if (items === undefined) return false;
  for (const { name, inside: nested } of items) {
    if (name === "flags" && nested !== undefined) {
      const flags = parseFlags(ODP_TUN_FLAGS, nested.replaceAll(",", "|"));
      if ("error" in flags) return false;
      key[L.W_TUN_FLAGS_TOS_TTL] = (key[L.W_TUN_FLAGS_TOS_TTL]! & ~0xffff) | flags.value;
      mask[L.W_TUN_FLAGS_TOS_TTL] =
        (mask[L.W_TUN_FLAGS_TOS_TTL]! & ~0xffff) | (/^[+-]/.test(nested) ? flags.mask : 0xffff);
      continue;
    }
    if (nested !== undefined) {
      if (parseTunnelOptions(name, nested, key, mask) !== true) return false;
      continue;
    }
    const equals = name.indexOf("=");
    const of = TUNNEL_PARTS.find(({ label }) => label === name.slice(0, equals));
    if (of === undefined || !parsePart(of, name.slice(equals + 1), key, mask)) return false;
  }
  return true;
}

/**
 * Parses what {@link formatOdpKey} writes and people type. `mask` has ones where the text named a field; recirc_id
 * always counts. Errors as 3.7: "syntax error at REST".
 */
export function parseOdpKey(
  text: string,
  ports?: OdpPortNames,
): { key: L.Flow; mask: L.Flow } | { error: string } {
  const key = new Int32Array(L.FLOW_DP_WORDS);
  const mask = new Int32Array(L.FLOW_DP_WORDS);
  mask[L.W_RECIRC_ID] = -1;
  const bad = parseKeyItems(text, 0, key, mask, ports);
  // An Ethernet frame of which no type is told has that of the header that is told, or none.
  if (key[L.W_PACKET_TYPE] === 0 && (key[L.W_ETH_TYPE]! | mask[L.W_ETH_TYPE]!) === 0) {
    const implied = IMPLIED_TYPES.find(([name]) => text.includes(name));
    key[L.W_ETH_TYPE] = implied?.[1] ?? L.FLOW_DL_TYPE_NONE;
  }
  return bad === undefined ? { key, mask } : { error: `syntax error at ${bad}` };
}

const IMPLIED_TYPES: readonly (readonly [attribute: string, type: number])[] = [
  ["ipv4(", 0x0800],
  ["ipv6(", 0x86dd],
  ["arp(", 0x0806],
];

/** Returns the rest of the text from the first item that makes no sense. */
function parseKeyItems(
  text: string,
  depth: number,
  key: L.Flow,
  mask: L.Flow,
  ports: OdpPortNames | undefined,
): string | undefined {
  const items = splitItems(text);
  if (items === undefined) return text;
  for (const { name, inside, at } of items) {
    const rest = text.slice(at);
    if (name.startsWith("ufid:")) continue;
    if (inside === undefined) return rest;
    if (name === "vlan") {
      if (!parseVlan(inside, L.W_VLAN0 + depth, key, mask)) return rest;
    } else if (name === "encap") {
      if (depth >= 2) return rest;
      const type = key[L.W_ETH_TYPE]! & 0xffff;
      const tag = L.W_VLAN0 + depth;
      if (isVlanType(type)) {
        key[tag] = key[tag]! | (type << 16) | L.VLAN_CFI;
        mask[tag] = mask[tag]! | 0xffff0000;
      }
      key[L.W_ETH_TYPE] = 0;
      mask[L.W_ETH_TYPE] = 0;
      const bad = parseKeyItems(inside, depth + 1, key, mask, ports);
      if (bad !== undefined) return bad;
    } else if (name === "tunnel") {
      if (!parseTunnel(inside, key, mask)) return rest;
    } else if (name === "mpls") {
      if (!parseMpls(inside, key, mask)) return rest;
    } else if (name === "eth_type" && inside === "0/0xffff") {
      key[L.W_ETH_TYPE] = L.FLOW_DL_TYPE_NONE;
      mask[L.W_ETH_TYPE] = 0xffff;
    } else {
      const attribute = PARSED.find((one) => one.name === name);
      if (attribute === undefined || !parseAttribute(attribute, inside, key, mask, ports)) return rest;
    }
  }
  return undefined;
}

const PARSED = [...METADATA_ATTRIBUTES, ETH_ATTRIBUTE, ETH_TYPE_ATTRIBUTE, ...NETWORK_ATTRIBUTES];

/** `label=5,tc=0,ttl=3,bos=0,label=6,…`: each "label" starts the next entry. */
function parseMpls(inside: string, key: L.Flow, mask: L.Flow): boolean {
  let label = -1;
  for (const item of inside === "" ? [] : inside.split(",")) {
    const equals = item.indexOf("=");
    const name = item.slice(0, equals);
    if (name === "label") label++;
    const of = mplsParts(label).find((part) => part.label === name);
    if (label < 0 || label > 2 || of === undefined || !parsePart(of, item.slice(equals + 1), key, mask))
      return false;
  }
  return true;
}
