/**
 * ODP action programs as text, both ways, as 3.7 prints them: `push_vlan(vid=5,pcp=0),1`. ODP_SET actions that follow
 * each other and belong to one header are printed as one `set(…)`. Which header a word like "ports" belongs to depends
 * on the packet, so printing takes the flow's key where there is one.
 */
import * as L from "../../flow/layout.ts";
import { ETH_TYPE_NSH } from "../../flow/packet/ethernet.ts";
import * as A from "./actions.ts";
import {
  ETH_ATTRIBUTE,
  METADATA_ATTRIBUTES,
  ND_EXT_ATTRIBUTE,
  NETWORK_ATTRIBUTES,
  type OdpAttribute,
  readPart,
} from "./attributes.ts";
import { formatCt, parseCt } from "./ct-text.ts";
import { formatPushNsh, parsePushEth, parsePushNsh } from "./encap-text.ts";
import {
  formatPart,
  formatTunnel,
  formatVlan,
  hex,
  type OdpPortNames,
  parseAttribute,
  parseTunnel,
  splitItems,
} from "./key-text.ts";

export interface ActionFormatOptions {
  readonly ports?: OdpPortNames | undefined;
  /** Text of an ODP_USERSPACE operand: "userspace(pid=0,controller(…))". */
  readonly userspace?: ((index: number) => string) | undefined;
  /** The key that the program runs on. */
  readonly key?: L.Flow | undefined;
}

const SETTABLE: readonly OdpAttribute[] = [ETH_ATTRIBUTE, ...NETWORK_ATTRIBUTES, ...METADATA_ATTRIBUTES];

/** What a set of `word` sets: the header that the key has, else the likeliest. */
function attributeOf(word: number, mask: number, key: L.Flow): OdpAttribute | undefined {
  // The type of neighbour discovery's options shares a word with the flags of TCP.
  if (word === L.W_IGMP_ND_RESERVED || (word === L.W_TCP_FLAGS && mask >>> 16 !== 0)) return ND_EXT_ATTRIBUTE;
  const touching = SETTABLE.filter(({ name, parts }) => {
    if (name === "in_port" || name === "recirc_id" || name === "packet_type") return false;
    return parts.some(({ places }) => places.some(([of]) => of === word));
  });
  return touching.find(({ present }) => present(key)) ?? touching[0];
}

/** "drop" for an empty program. */
export function formatOdpActions(program: Int32Array, options: ActionFormatOptions = {}): string {
  return new ActionPrinter(program, options).list(0, program.length);
}

class ActionPrinter {
  readonly #words: Int32Array;
  readonly #options: ActionFormatOptions;
  /** The key as the actions change its shape. */
  readonly #key: L.Flow;

  constructor(words: Int32Array, options: ActionFormatOptions) {
    this.#words = words;
    this.#options = options;
    this.#key = options.key?.slice() ?? impliedKey(words);
  }

  list(from: number, to: number): string {
    if (from >= to) return "drop";
    const out: string[] = [];
    for (let at = from; at < to; ) {
      if (this.#words[at] === A.ODP_SET) {
        at = this.#sets(at, to, out);
        continue;
      }
      out.push(this.#action(at));
      at += Math.max(2, this.#words[at + 1]!);
    }
    return out.join(",");
  }

  /** Prints ODP_SET actions from `at` while they set one header; returns where they end. */
  #sets(at: number, to: number, out: string[]): number {
    const words = this.#words;
    const first = words[at + 2]!;
    if (first >= L.W_TUN_ID_HI && first < L.FLOW_DP_WORDS) return this.#setTunnel(at, to, out);
    const attribute = attributeOf(first, words[at + 4]!, this.#key);
    const value = new Int32Array(L.FLOW_DP_WORDS);
    const mask = new Int32Array(L.FLOW_DP_WORDS);
    for (; at < to && words[at] === A.ODP_SET; at += words[at + 1]!) {
      const word = words[at + 2]!;
      if (attributeOf(word, words[at + 4]!, this.#key) !== attribute || (mask[word]! & words[at + 4]!) !== 0)
        break;
      value[word] = value[word]! | words[at + 3]!;
      mask[word] = mask[word]! | words[at + 4]!;
    }
    if (attribute === undefined) {
      out.push("set(bad)");
      return Math.max(at, 1);
    }
    const parts: string[] = [];
    for (const of of attribute.parts) {
      const bits = readPart(of, mask);
      if (bits === 0n) continue;
      const text = formatPart(of, readPart(of, value), bits);
      parts.push(of.label === "" ? text : `${of.label}=${text}`);
    }
    out.push(`set(${attribute.name}(${parts.join(",")}))`);
    return at;
  }

  #setTunnel(at: number, to: number, out: string[]): number {
    const words = this.#words;
    const value = new Int32Array(L.FLOW_DP_WORDS);
    for (; at < to && words[at] === A.ODP_SET; at += words[at + 1]!) {
      const word = words[at + 2]!;
      if (word < L.W_TUN_ID_HI || word >= L.FLOW_DP_WORDS) break;
      value[word] = (value[word]! & ~words[at + 4]!) | (words[at + 3]! & words[at + 4]!);
    }
    out.push(`set(tunnel(${formatTunnel(value, undefined)}))`);
    return at;
  }

  #port(port: number): string {
    return this.#options.ports?.nameOf(port) ?? String(port >>> 0);
  }

  #action(at: number): string {
    const words = this.#words;
    const end = at + words[at + 1]!;
    const a = words[at + 2]!;
    const b = words[at + 3]!;
    switch (words[at]) {
      case A.ODP_OUTPUT:
        return this.#port(a);
      case A.ODP_PUSH_VLAN: {
        const tpid = a >>> 16;
        const vlan = formatVlan(a & 0xffff, undefined, false)!.slice("vlan(".length);
        return `push_vlan(${tpid === 0x8100 ? "" : `tpid=0x${tpid.toString(16).padStart(4, "0")},`}${vlan}`;
      }
      case A.ODP_POP_VLAN:
        return "pop_vlan";
      case A.ODP_USERSPACE:
        return this.#options.userspace?.(a) ?? "userspace(pid=0)";
      case A.ODP_TRUNC:
        return `trunc(${a >>> 0})`;
      case A.ODP_RECIRC:
        return `recirc(${hex(a >>> 0)})`;
      case A.ODP_DROP:
        return "drop";
      case A.ODP_HASH:
        return `hash(${HASH_NAMES[a] ?? `Unknown hash algorithm(${a})`}(${b >>> 0}))`;
      case A.ODP_CLONE:
        return `clone(${this.list(at + 2, end)})`;
      case A.ODP_DEC_TTL:
        return `dec_ttl(le_1(${this.list(at + 2, end)}))`;
      case A.ODP_SAMPLE: {
        const percent = ((a >>> 0) * 100) / 0xffffffff;
        return `sample(sample=${percent.toFixed(1)}%,actions(${this.list(at + 3, end)}))`;
      }
      case A.ODP_PSAMPLE: {
        const cookie = (BigInt(b >>> 0) << 32n) | BigInt(words[at + 4]! >>> 0);
        return `psample(group=${a >>> 0},cookie=0x${cookie.toString(16)})`;
      }
      case A.ODP_METER:
        return `meter(${a >>> 0})`;
      case A.ODP_PUSH_ETH: {
        const key = this.#key;
        for (let i = 0; i < 3; i++) key[L.W_ETH_DST_HI + i] = words[at + 2 + i]!;
        key[L.W_PACKET_TYPE] = 0;
        const parts = ETH_ATTRIBUTE.parts.map(
          (of) => `${of.label}=${formatPart(of, readPart(of, key), undefined)}`,
        );
        return `push_eth(${parts.join(",")})`;
      }
      case A.ODP_POP_ETH:
        return "pop_eth";
      case A.ODP_PUSH_NSH:
        this.#retype(ETH_TYPE_NSH);
        return formatPushNsh(words, at);
      case A.ODP_POP_NSH:
        return "pop_nsh()";
      case A.ODP_ADD_MPLS:
        this.#retype(b);
        return `add_mpls(${mpls(a)},eth_type=0x${b.toString(16)})`;
      case A.ODP_PUSH_MPLS: {
        this.#retype(b);
        return `push_mpls(${mpls(a)},eth_type=0x${b.toString(16)})`;
      }
      case A.ODP_POP_MPLS:
        this.#retype(a);
        return `pop_mpls(eth_type=0x${a.toString(16)})`;
      case A.ODP_CHECK_PKT_LEN: {
        const split = at + 4 + b;
        return `check_pkt_len(size=${a},gt(${this.list(at + 4, split)}),le(${this.list(split, end)}))`;
      }
      case A.ODP_CT:
        return formatCt(words, at);
      case A.ODP_CT_CLEAR:
        return "ct_clear";
      case A.ODP_TUNNEL_PUSH:
        return `tnl_push(tnl_port(${this.#port(a)}))`;
      case A.ODP_TUNNEL_POP:
        return `tnl_pop(${this.#port(a)})`;
      default:
        return `action${words[at]}`;
    }
  }

  #retype(type: number): void {
    this.#key[L.W_ETH_TYPE] = type;
    for (let label = 0; label < 3; label++) this.#key[L.W_MPLS + label] = 0x100;
  }
}

/** The key that a program without one was probably made for, from the words it sets. */
function impliedKey(words: Int32Array): L.Flow {
  const key = new Int32Array(L.FLOW_DP_WORDS);
  const sets = (from: number, count: number) => {
    for (let at = 0; at < words.length; at += Math.max(2, words[at + 1]!)) {
      const word = words[at + 2]! - from;
      if (words[at] === A.ODP_SET && word >= 0 && word < count) return true;
    }
    return false;
  };
  const nd = sets(L.W_ND_TARGET, 4);
  const arp = !nd && sets(L.W_ARP_SHA_HI, 3);
  key[L.W_ETH_TYPE] = nd || sets(L.W_IPV6_SRC, 9) ? 0x86dd : arp ? 0x0806 : 0x0800;
  key[L.W_NW] = nd ? 58 : 6;
  if (nd) key[L.W_TP] = 135 << 16;
  return key;
}

const HASH_NAMES = ["l4", "sym_l4"];

function mpls(lse: number): string {
  return `label=${lse >>> 12},tc=${(lse >>> 9) & 7},ttl=${lse & 0xff},bos=${(lse >>> 8) & 1}`;
}

export interface ActionParseOptions {
  readonly ports?: OdpPortNames | undefined;
  /** Takes what stands in `userspace(…)`; the operand of ODP_USERSPACE, -1 when the text is wrong. */
  readonly userspace?: ((inside: string) => number) | undefined;
}

/** Appends the parsed actions; returns an error text, or undefined when all is well. */
export function parseOdpActions(
  text: string,
  builder: A.OdpActionBuilder,
  options: ActionParseOptions = {},
): string | undefined {
  if (/^\s*(drop)?\s*$/.test(text)) return undefined;
  const items = splitItems(text);
  if (items === undefined) return `bad action at end: ${text}`;
  for (const { name, inside, at } of items) {
    if (!parseAction(name, inside, builder, options)) return `bad action at end: ${text.slice(at)}`;
  }
  return undefined;
}

/** `key=value` pairs of decimal or hexadecimal numbers, all of them known. */
function numbers<Name extends string>(
  inside: string,
  defaults: Record<Name, number>,
): Record<Name, number> | undefined {
  const values = { ...defaults };
  for (const item of inside === "" ? [] : inside.split(",")) {
    const found = /^(\w+)=(0x[0-9a-f]+|\d+)$/i.exec(item.trim());
    if (found === null || !Object.hasOwn(values, found[1]!)) return undefined;
    values[found[1] as Name] = Number(found[2]);
  }
  return values;
}

function parseAction(
  name: string,
  inside: string | undefined,
  builder: A.OdpActionBuilder,
  options: ActionParseOptions,
): boolean {
  if (inside === undefined) return parseWord(name, builder, options);
  const integer = /^(0x[0-9a-f]+|\d+)$/i.test(inside) ? Number(inside) : undefined;
  switch (name) {
    case "push_vlan": {
      const tag = numbers(inside, { tpid: 0x8100, vid: 0, pcp: 0, cfi: 1 });
      if (tag === undefined || tag.vid > 0xfff || tag.pcp > 7 || tag.cfi > 1 || tag.tpid > 0xffff)
        return false;
      builder.emit(A.ODP_PUSH_VLAN, (tag.tpid << 16) | (tag.pcp << 13) | (tag.cfi << 12) | tag.vid);
      return true;
    }
    case "push_mpls":
    case "add_mpls": {
      const lse = numbers(inside, { label: 0, tc: 0, ttl: 0, bos: 0, eth_type: 0x8847 });
      if (lse === undefined) return false;
      const word = (lse.label << 12) | (lse.tc << 9) | (lse.bos << 8) | lse.ttl;
      builder.emit(name === "push_mpls" ? A.ODP_PUSH_MPLS : A.ODP_ADD_MPLS, word, lse.eth_type, 0, 2);
      return true;
    }
    case "push_eth":
      return parsePushEth(inside, builder);
    case "push_nsh":
      return parsePushNsh(inside, builder);
    case "pop_nsh":
      if (inside === "") builder.emit(A.ODP_POP_NSH, 0, 0, 0, 0);
      return inside === "";
    case "pop_mpls": {
      const type = numbers(inside, { eth_type: 0 });
      if (type !== undefined) builder.emit(A.ODP_POP_MPLS, type.eth_type);
      return type !== undefined;
    }
    case "trunc":
    case "recirc":
    case "meter":
    case "tnl_pop": {
      if (integer === undefined) return false;
      const opcodes = {
        trunc: A.ODP_TRUNC,
        recirc: A.ODP_RECIRC,
        meter: A.ODP_METER,
        tnl_pop: A.ODP_TUNNEL_POP,
      };
      builder.emit(opcodes[name], integer);
      return true;
    }
    case "hash": {
      const found = /^(l4|sym_l4)\((\d+)\)$/.exec(inside);
      if (found === null) return false;
      builder.emit(A.ODP_HASH, found[1] === "sym_l4" ? 1 : 0, Number(found[2]), 0, 2);
      return true;
    }
    case "clone": {
      const at = builder.openNested(A.ODP_CLONE);
      const bad = parseOdpActions(inside, builder, options);
      builder.closeNested(at);
      return bad === undefined;
    }
    case "ct":
      return parseCt(inside, builder);
    case "sample":
      return parseSample(inside, builder, options);
    case "psample":
      return parsePsample(inside, builder);
    case "check_pkt_len":
      return parseCheckLength(inside, builder, options);
    case "set":
      return parseSet(inside, builder);
    case "userspace": {
      const operand = options.userspace?.(inside) ?? -1;
      if (operand >= 0) builder.emit(A.ODP_USERSPACE, operand);
      return operand >= 0;
    }
    default:
      return false;
  }
}

/** Ports, by number or name, and actions without operands. */
function parseWord(name: string, builder: A.OdpActionBuilder, options: ActionParseOptions): boolean {
  const bare: Record<string, number> = {
    pop_vlan: A.ODP_POP_VLAN,
    pop_eth: A.ODP_POP_ETH,
    ct_clear: A.ODP_CT_CLEAR,
  };
  if (/^\d+$/.test(name)) {
    builder.emit(A.ODP_OUTPUT, Number(name));
  } else if (Object.hasOwn(bare, name)) {
    builder.emit(bare[name]!, 0, 0, 0, 0);
  } else if (name === "ct") {
    return parseCt("", builder);
  } else {
    const port = options.ports?.numberOf(name);
    if (port === undefined) return false;
    builder.emit(A.ODP_OUTPUT, port);
  }
  return true;
}

/** `group=42,cookie=0x64000000c8` */
function parsePsample(inside: string, builder: A.OdpActionBuilder): boolean {
  const found = /^group=(\d+)(?:,cookie=0x([0-9a-f]{1,16}))?$/i.exec(inside);
  if (found === null) return false;
  const cookie = BigInt(`0x${found[2] ?? "0"}`);
  builder.emit(A.ODP_PSAMPLE, Number(found[1]), Number(cookie >> 32n), Number(cookie & 0xffff_ffffn), 3);
  return true;
}

/** `sample=50.0%,actions(…)` */
function parseSample(inside: string, builder: A.OdpActionBuilder, options: ActionParseOptions): boolean {
  const found = /^sample=(\d+(?:\.\d+)?)%,actions\((.*)\)$/s.exec(inside);
  if (found === null || Number(found[1]) > 100) return false;
  const at = builder.openNested(A.ODP_SAMPLE);
  builder.emitWord(Math.floor((0xffffffff / 100) * Number(found[1]) + 0.5) | 0);
  const bad = parseOdpActions(found[2]!, builder, options);
  builder.closeNested(at);
  return bad === undefined;
}

/** `size=200,gt(…),le(…)` */
function parseCheckLength(inside: string, builder: A.OdpActionBuilder, options: ActionParseOptions): boolean {
  const items = splitItems(inside);
  const size = /^size=(\d+)$/.exec(items?.[0]?.name ?? "");
  if (items?.length !== 3 || size === null || items[1]!.name !== "gt" || items[2]!.name !== "le")
    return false;
  const at = builder.openNested(A.ODP_CHECK_PKT_LEN);
  builder.reserve(2);
  builder.words[builder.length++] = Number(size[1]);
  const count = builder.length++;
  if (parseOdpActions(items[1]!.inside ?? "", builder, options) !== undefined) return false;
  builder.words[count] = builder.length - count - 1;
  const bad = parseOdpActions(items[2]!.inside ?? "", builder, options);
  builder.closeNested(at);
  return bad === undefined;
}

/** `ipv4(src=1.2.3.4,ttl=3)`: one ODP_SET for each word it touches. */
function parseSet(inside: string, builder: A.OdpActionBuilder): boolean {
  const items = splitItems(inside);
  const item = items?.[0];
  if (items?.length !== 1 || item?.inside === undefined) return false;
  const value = new Int32Array(L.FLOW_DP_WORDS);
  const mask = new Int32Array(L.FLOW_DP_WORDS);
  if (item.name === "tunnel") {
    if (!parseTunnel(item.inside, value, mask)) return false;
  } else {
    const attribute = SETTABLE.find(({ name }) => name === item.name);
    if (attribute === undefined || !parseAttribute(attribute, item.inside, value, mask)) return false;
  }
  let any = false;
  for (let word = 0; word < L.FLOW_DP_WORDS; word++) {
    if (mask[word] === 0) continue;
    builder.emit(A.ODP_SET, word, value[word]!, mask[word]!, 3);
    any = true;
  }
  return any;
}
