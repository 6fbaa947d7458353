/** Open vSwitch's own tables: TLV maps of tunnel options, flush of tracked connections. */

import { Fatal } from "../../src/lib/errors.ts";
import { parseIpv4, parseIpv6 } from "../../src/lib/ip.ts";
import { TextError } from "../../src/openflow/actions/registry.ts";
import { keyValues, parseBig } from "../../src/openflow/actions/row.ts";
import type { CtTuple, NxtCtFlush, TlvMap } from "../../src/openflow/messages.ts";
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

/** One side of a connection: "ct_nw_src=10.1.1.1,ct_nw_dst=...,ct_tp_src=1" (upstream: ofp-ct). */
function parseTuple(text: string, m: NxtCtFlush): CtTuple {
  const t: CtTuple = {
    src: undefined,
    dst: undefined,
    srcPort: undefined,
    dstPort: undefined,
    icmpId: undefined,
    icmpType: undefined,
    icmpCode: undefined,
  };
  for (const { key, value } of keyValues(text)) {
    if (key === "ct_nw_src" || key === "ct_nw_dst") {
      const ip = parseIpv4(value);
      if (ip === undefined) throw new TextError(`failed to parse field ${key}`);
      const mapped = Uint8Array.from([
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        255,
        255,
        ip >>> 24,
        ip >>> 16,
        ip >>> 8,
        ip,
      ]);
      if (key === "ct_nw_src") t.src = mapped;
      else t.dst = mapped;
    } else if (key === "ct_ipv6_src" || key === "ct_ipv6_dst") {
      const ip = parseIpv6(value);
      if (ip === undefined) throw new TextError(`failed to parse field ${key}`);
      if (key === "ct_ipv6_src") t.src = ip;
      else t.dst = ip;
    } else {
      const number = parseUint(value);
      if (number === undefined) throw new TextError(`failed to parse field ${key}`);
      if (key === "ct_nw_proto") m.ipProto = number;
      else if (key === "ct_tp_src") t.srcPort = number;
      else if (key === "ct_tp_dst") t.dstPort = number;
      else if (key === "icmp_id") t.icmpId = number;
      else if (key === "icmp_type") t.icmpType = number;
      else if (key === "icmp_code") t.icmpCode = number;
      else throw new TextError(`invalid conntrack tuple field: ${key}`);
    }
  }
  return t;
}

function labelBytes(value: bigint): Uint8Array {
  const out = new Uint8Array(16);
  for (let i = 15; i >= 0; i--) {
    out[i] = Number(value & 0xffn);
    value >>= 8n;
  }
  return out;
}

export async function ctFlush(o: Ofctl, args: string[]): Promise<void> {
  const m: NxtCtFlush = {
    type: "nxt-ct-flush",
    ipProto: 0,
    l3Type: 0,
    zone: undefined,
    mark: undefined,
    markMask: undefined,
    label: undefined,
    labelMask: undefined,
    orig: parseTuple("", {} as NxtCtFlush),
    reply: parseTuple("", {} as NxtCtFlush),
  };
  let tuples = 0;
  for (const arg of args.slice(1)) {
    const text = arg.trim();
    if (text === "") {
      // A tuple without conditions: the one after it is the reply's.
      tuples++;
      continue;
    }
    const zone = /^zone=(.*)$/.exec(text);
    const mark = /^mark=([^/]*)(?:\/(.*))?$/.exec(text);
    const labels = /^labels=([^/]*)(?:\/(.*))?$/.exec(text);
    if (zone !== null) {
      m.zone = parseUint(zone[1]!);
      if (m.zone === undefined || m.zone > 0xffff) throw new Fatal(`failed to parse zone ${zone[1]}`);
    } else if (mark !== null) {
      m.mark = parseUint(mark[1]!);
      m.markMask = mark[2] === undefined ? undefined : parseUint(mark[2]);
      if (m.mark === undefined) throw new Fatal(`failed to parse mark ${mark[1]}`);
    } else if (labels !== null) {
      const value = parseBig(labels[1]!);
      if (value === undefined) throw new Fatal(`failed to parse labels ${labels[1]}`);
      m.label = labelBytes(value);
      if (labels[2] !== undefined) m.labelMask = labelBytes(parseBig(labels[2]) ?? 0n);
    } else {
      const tuple = parseTuple(text, m);
      if (tuples++ === 0) m.orig = tuple;
      else m.reply = tuple;
    }
  }
  const session = await Session.open(o, args[0]!);
  await session.noReply(m);
  session.close();
}
