/** Open vSwitch's own tables: TLV maps of tunnel options, flush of tracked connections. */

import { Fatal } from "../../src/lib/errors.ts";
import { parseIpv4, parseIpv6 } from "../../src/lib/ip.ts";
import { TextError } from "../../src/openflow/actions/registry.ts";
import { keyValues, parseBig } from "../../src/openflow/actions/row.ts";
import type { CtTuple, NxtCtFlush, TlvMap } from "../../src/openflow/messages.ts";
import { emptyTuple, isMapped } from "../../src/openflow/msg/nicira.ts";
import { parseUint } from "../../src/openflow/ports.ts";
import { Session } from "./session.ts";
import type { Ofctl } from "./settings.ts";

function parseMaps(text: string): TlvMap[] {
  const out: TlvMap[] = [];
  for (const item of text.matchAll(/\{([^}]*)\}->tun_metadata(\d+)/g)) {
    const map: TlvMap = { optionClass: 0xffff, optionType: 0xff, optionLen: 0, index: Number(item[2]) };
    for (const { key, value } of keyValues(item[1]!)) {
      const number = parseUint(value);
      if (number === undefined) throw new TextError(`invalid ${key} "${value}"`);
      if (key === "class") map.optionClass = number;
      else if (key === "type") map.optionType = number;
      else if (key === "len") map.optionLen = number;
      else throw new TextError("invalid tlv mapping");
    }
    out.push(map);
  }
  if (out.length === 0 && text.trim() !== "") throw new TextError("invalid tlv mapping");
  return out;
}

export async function addTlvMap(o: Ofctl, [name, text]: string[]): Promise<void> {
  const maps = parseMaps(text!);
  const session = await Session.open(o, name!);
  await session.noReply({ type: "nxt-tlv-table-mod", command: 0, maps });
  session.close();
}

export async function delTlvMap(o: Ofctl, [name, text]: string[]): Promise<void> {
  const session = await Session.open(o, name!);
  await session.noReply({
    type: "nxt-tlv-table-mod",
    command: text === undefined ? 2 : 1,
    maps: text === undefined ? [] : parseMaps(text),
  });
  session.close();
}

export async function ctFlushZone(o: Ofctl, [name, text]: string[]): Promise<void> {
  const zone = parseUint(text!);
  if (zone === undefined || zone > 0xffff) throw new Fatal(`invalid zone "${text}"`);
  const session = await Session.open(o, name!);
  await session.noReply({ type: "nxt-ct-flush-zone", zone });
  session.close();
}

/** One side of a connection: "ct_nw_src=10.1.1.1,ct_nw_dst=...,ct_nw_proto=6,ct_tp_src=1" (upstream: ofp-ct). */
function parseTuple(text: string, m: NxtCtFlush): CtTuple {
  const t = emptyTuple();
  for (const { key, value } of keyValues(text)) {
    if (value === "") throw matchError(`field ${key} missing value`);
    const number = (max: number): number => {
      const n = parseUint(value);
      if (n === undefined || n > max) throw matchError(`failed to parse field ${key}`);
      return n;
    };
    const icmp = (max: number): number => {
      if (m.ipProto !== IPPROTO_ICMP && m.ipProto !== IPPROTO_ICMPV6) throw matchError("invalid L4 fields");
      return number(max);
    };
    const address = (ip: Uint8Array | undefined): Uint8Array => {
      if (ip === undefined) throw matchError(`failed to parse field ${key}`);
      const others = [t.src, t.dst, m.orig.src, m.orig.dst].filter((other) => other !== undefined);
      if (others.some((other) => isMapped(other) !== isMapped(ip))) {
        throw matchError(`the L3 protocol does not match ${value}`);
      }
      return ip;
    };
    if (key === "ct_nw_src") t.src = address(mappedIpv4(value));
    else if (key === "ct_nw_dst") t.dst = address(mappedIpv4(value));
    else if (key === "ct_ipv6_src") t.src = address(parseIpv6(value));
    else if (key === "ct_ipv6_dst") t.dst = address(parseIpv6(value));
    else if (key === "ct_nw_proto") m.ipProto = number(0xff);
    else if (key === "ct_tp_src") t.srcPort = number(0xffff);
    else if (key === "ct_tp_dst") t.dstPort = number(0xffff);
    else if (key === "icmp_id") t.icmpId = icmp(0xffff);
    else if (key === "icmp_type") t.icmpType = icmp(0xff);
    else if (key === "icmp_code") t.icmpCode = icmp(0xff);
    else throw matchError(`invalid conntrack tuple field: ${key}`);
  }
  if (m.ipProto === 0 && ((t.srcPort ?? 0) !== 0 || (t.dstPort ?? 0) !== 0)) {
    throw matchError("port is set without protocol");
  }
  return t;
}

const IPPROTO_ICMP = 1;
const IPPROTO_ICMPV6 = 58;

function mappedIpv4(text: string): Uint8Array | undefined {
  const ip = parseIpv4(text);
  if (ip === undefined) return undefined;
  const out = new Uint8Array(16).fill(0xff, 10, 12);
  new DataView(out.buffer).setUint32(12, ip);
  return out;
}

const matchError = (why: string): Fatal => new Fatal(`Failed to parse CT match: ${why}`);

/** "VALUE[/MASK]" of `name` with values up to `max`. */
function maskedNumber(name: string, text: string, max: bigint): { value: bigint; mask: bigint | undefined } {
  const [value, mask] = text.split("/").map((part) => parseBig(part));
  if (value === undefined || value > max || (text.includes("/") && (mask === undefined || mask > max))) {
    throw matchError(`failed to parse ${name}`);
  }
  return { value, mask };
}

function labelBytes(value: bigint): Uint8Array {
  const out = new Uint8Array(16);
  for (let i = 15; i >= 0; i--) {
    out[i] = Number(value & 0xffn);
    value >>= 8n;
  }
  return out;
}

/** [zone=N] [mark=N[/M]] [labels=N[/M]] [TUPLE [TUPLE]]: the second tuple is the reply's. */
function parseCtFlush(args: readonly string[]): NxtCtFlush {
  const m: NxtCtFlush = {
    type: "nxt-ct-flush",
    ipProto: 0,
    zone: undefined,
    mark: undefined,
    markMask: undefined,
    label: undefined,
    labelMask: undefined,
    orig: emptyTuple(),
    reply: emptyTuple(),
  };
  const tuples: string[] = [];
  for (const arg of args) {
    const [, name, text] = /^(zone|mark|labels)=(.*)$/s.exec(arg) ?? [];
    if (name === undefined || text === undefined) tuples.push(arg);
    else if (tuples.length > 0) throw matchError(`invalid conntrack tuple field: ${name}`);
    else if (name === "zone") {
      m.zone = parseUint(text);
      if (m.zone === undefined || m.zone > 0xffff) throw matchError("failed to parse zone");
    } else if (name === "mark") {
      const { value, mask } = maskedNumber(name, text, 0xffff_ffffn);
      m.mark = Number(value);
      m.markMask = mask === undefined ? undefined : Number(mask);
    } else {
      const { value, mask } = maskedNumber(name, text, (1n << 128n) - 1n);
      m.label = labelBytes(value);
      m.labelMask = mask === undefined ? undefined : labelBytes(mask);
    }
  }
  if (tuples.length > 2) throw matchError("invalid arguments");
  m.orig = parseTuple(tuples[0] ?? "", m);
  m.reply = parseTuple(tuples[1] ?? "", m);
  return m;
}

export async function ctFlush(o: Ofctl, [name, ...args]: string[]): Promise<void> {
  const m = parseCtFlush(args);
  const session = await Session.open(o, name!);
  await session.noReply(m);
  session.close();
}
