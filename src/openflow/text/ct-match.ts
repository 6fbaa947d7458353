/** Which connections to flush, as text: "[zone=N] [mark=N[/M]] [labels=N[/M]] [TUPLE [TUPLE]]" (upstream: lib/ofp-ct). */
import { IPPROTO_ICMP, IPPROTO_ICMPV6 } from "../../flow/packet/ethernet.ts";
import { parseIpv4, parseIpv6 } from "../../lib/ip.ts";
import { keyValues, parseBig } from "../actions/row.ts";
import type { CtTuple, NxtCtFlush } from "../messages.ts";
import { emptyCtFlush, emptyTuple, isMapped } from "../msg/nicira.ts";
import { parseUint } from "../ports.ts";

/** The text is no match; its message says why. */
export class CtMatchError extends Error {}

/** One side of a connection: "ct_nw_src=10.1.1.1,ct_nw_dst=...,ct_nw_proto=6,ct_tp_src=1". */
function parseTuple(text: string, m: NxtCtFlush): CtTuple {
  const t = emptyTuple();
  for (const { key, value } of keyValues(text)) {
    if (value === "") throw new CtMatchError(`field ${key} missing value`);
    const number = (max: number): number => {
      const n = parseUint(value);
      if (n === undefined || n > max) throw new CtMatchError(`failed to parse field ${key}`);
      return n;
    };
    const icmp = (max: number): number => {
      if (m.ipProto !== IPPROTO_ICMP && m.ipProto !== IPPROTO_ICMPV6)
        throw new CtMatchError("invalid L4 fields");
      return number(max);
    };
    const address = (ip: Uint8Array | undefined): Uint8Array => {
      if (ip === undefined) throw new CtMatchError(`failed to parse field ${key}`);
      const others = [t.src, t.dst, m.orig.src, m.orig.dst].filter((other) => other !== undefined);
      if (others.some((other) => isMapped(other) !== isMapped(ip))) {
        throw new CtMatchError(`the L3 protocol does not match ${value}`);
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
    else throw new CtMatchError(`invalid conntrack tuple field: ${key}`);
  }
  if (m.ipProto === 0 && ((t.srcPort ?? 0) !== 0 || (t.dstPort ?? 0) !== 0)) {
    throw new CtMatchError("port is set without protocol");
  }
  return t;
}

function mappedIpv4(text: string): Uint8Array | undefined {
  const ip = parseIpv4(text);
  if (ip === undefined) return undefined;
  const out = new Uint8Array(16).fill(0xff, 10, 12);
  new DataView(out.buffer).setUint32(12, ip);
  return out;
}

/** "VALUE[/MASK]" of `name` with values up to `max`. */
function maskedNumber(name: string, text: string, max: bigint): { value: bigint; mask: bigint | undefined } {
  const [value, mask] = text.split("/").map((part) => parseBig(part));
  if (value === undefined || value > max || (text.includes("/") && (mask === undefined || mask > max))) {
    throw new CtMatchError(`failed to parse ${name}`);
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

/** The second tuple is the reply's. Throws {@link CtMatchError}. */
export function parseCtFlush(args: readonly string[]): NxtCtFlush {
  const m = emptyCtFlush();
  const tuples: string[] = [];
  for (const arg of args) {
    const [, name, text] = /^(zone|mark|labels)=(.*)$/s.exec(arg) ?? [];
    if (name === undefined || text === undefined) tuples.push(arg);
    else if (tuples.length > 0) throw new CtMatchError(`invalid conntrack tuple field: ${name}`);
    else if (name === "zone") {
      m.zone = parseUint(text);
      if (m.zone === undefined || m.zone > 0xffff) throw new CtMatchError("failed to parse zone");
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
  if (tuples.length > 2) throw new CtMatchError("invalid arguments");
  m.orig = parseTuple(tuples[0] ?? "", m);
  m.reply = parseTuple(tuples[1] ?? "", m);
  return m;
}
