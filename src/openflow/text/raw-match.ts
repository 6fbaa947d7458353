/** Matches as they lie in a message, uninterpreted: `ofp10_match` field by field, NXM and OXM entry by entry. */
import { type FieldHeader, fieldByName, fieldByOxmName } from "../../flow/fields/index.ts";
import type { PortNames } from "../../flow/match-text.ts";
import { formatIpv4 } from "../../lib/ip.ts";
import { formatMac } from "../../lib/mac.ts";
import { TextError } from "../actions/registry.ts";
import { headerText, readHeader } from "../oxm.ts";
import { formatPort } from "../ports.ts";
import { Reader, Writer } from "../wire.ts";

/** "NXM_OF_IN_PORT(0001), NXM_OF_ETH_DST_W(…/…)"; "<any>" for none. */
export function tlvText(bytes: Uint8Array): string {
  const r = new Reader(bytes);
  const parts: string[] = [];
  while (r.left >= 4) {
    const h = readHeader(r, "OFPBMC_BAD_LEN");
    const size = Math.min(h.masked ? h.payload / 2 : h.payload, r.left);
    const hex = (): string => Array.from(r.take(size), (b) => b.toString(16).padStart(2, "0")).join("");
    // The number is shared with NXM_NX_MPLS_TTL, which is shorter.
    const cookie = h.oxmClass === 1 && h.number === 30 && size === 8;
    const name = `${cookie ? "NXM_NX_COOKIE" : headerText(h)}${h.masked ? "_W" : ""}`;
    parts.push(`${name}(${hex()}${h.masked ? `/${hex()}` : ""})`);
  }
  return parts.length === 0 ? "<any>" : parts.join(", ");
}

/** The inverse of tlvText; instead of a name a header may be given in hex. Throws TextError. */
export function parseTlvs(text: string): Uint8Array {
  const w = new Writer(256);
  for (const item of text.matchAll(/([A-Za-z0-9_]+)\(([0-9a-fA-F]*)(?:\/([0-9a-fA-F]*))?\)/g)) {
    const [, name, value, mask] = item as unknown as [string, string, string, string | undefined];
    const size = Math.ceil(value.length / 2) * (mask === undefined ? 1 : 2);
    if (/^([0-9a-fA-F]{8}){1,2}$/.test(name)) w.put(hexBytes(name));
    else {
      const h = headerByName(name);
      if (h === undefined) throw new TextError(`unknown field \`${item[0]}'`);
      w.u16(h.oxmClass);
      w.u8((h.number << 1) | (mask === undefined ? 0 : 1));
      w.u8(size + (h.experimenter === 0 ? 0 : 4));
      if (h.experimenter !== 0) w.u32(h.experimenter);
    }
    w.put(hexBytes(value));
    if (mask !== undefined) w.put(hexBytes(mask));
  }
  return w.done().slice();
}

function hexBytes(text: string): Uint8Array {
  return Uint8Array.from(text.match(/[0-9a-fA-F]{2}/g) ?? [], (pair) => Number.parseInt(pair, 16));
}

function headerByName(name: string): Pick<FieldHeader, "oxmClass" | "number" | "experimenter"> | undefined {
  const bare = name.replace(/_W$/, "");
  if (bare === "NXM_NX_COOKIE") return { oxmClass: 1, number: 30, experimenter: 0 };
  const found = fieldByOxmName(bare);
  if (found === undefined || (bare !== name && !found.field.maskable)) return fieldByName(bare)?.headers[0];
  return found.header;
}

/** Protocols that stand for an ethertype and an IP protocol. */
function protocol(type: number, proto: number | undefined): { name: string; proto: boolean } | undefined {
  if (type === 0x0800) {
    const name =
      proto === 1 ? "icmp" : proto === 6 ? "tcp" : proto === 17 ? "udp" : proto === 132 ? "sctp" : undefined;
    return name === undefined ? { name: "ip", proto: false } : { name, proto: true };
  }
  if (type === 0x0806) return { name: "arp", proto: false };
  if (type === 0x8035) return { name: "rarp", proto: false };
  if (type === 0x8847) return { name: "mpls", proto: false };
  if (type === 0x8848) return { name: "mplsm", proto: false };
  return undefined;
}

export function match10Text(bytes: Uint8Array, ports?: PortNames): string {
  const r = new Reader(bytes);
  const wild = r.u32();
  const inPort = r.u16();
  const src = formatMac(r.take(6));
  const dst = formatMac(r.take(6));
  const vlan = r.u16();
  const pcp = r.u8();
  r.skip(1);
  const type = r.u16();
  const tos = r.u8();
  const proto = r.u8();
  r.skip(2);
  const nwSrc = r.u32();
  const nwDst = r.u32();
  const tpSrc = r.u16();
  const tpDst = r.u16();
  const parts: string[] = [];
  const known = wild & 0x10 ? undefined : protocol(type, wild & 0x20 ? undefined : proto);
  if (known !== undefined) parts.push(known.name);
  const put = (bit: number, text: string): void => {
    if (!(wild & bit)) parts.push(text);
  };
  put(1, `in_port=${formatPort(inPort, ports)}`);
  put(2, `dl_vlan=${vlan}`);
  put(0x100000, `dl_vlan_pcp=${pcp}`);
  put(4, `dl_src=${src}`);
  put(8, `dl_dst=${dst}`);
  if (known === undefined) put(0x10, `dl_type=0x${type.toString(16).padStart(4, "0")}`);
  address(parts, "nw_src", nwSrc, (wild >>> 8) & 63);
  address(parts, "nw_dst", nwDst, (wild >>> 14) & 63);
  const arp = type === 0x0806 || type === 0x8035;
  if (known === undefined || !known.proto) put(0x20, arp ? `arp_op=${proto}` : `nw_proto=${proto}`);
  put(0x200000, `nw_tos=${tos}`);
  const icmp = known?.name === "icmp";
  put(0x40, `${icmp ? "icmp_type" : "tp_src"}=${tpSrc}`);
  put(0x80, `${icmp ? "icmp_code" : "tp_dst"}=${tpDst}`);
  return parts.join(",");
}

function address(parts: string[], name: string, value: number, wildBits: number): void {
  if (wildBits >= 32) return;
  parts.push(`${name}=${formatIpv4(value)}${wildBits === 0 ? "" : `/${32 - wildBits}`}`);
}
